"""Running an engine in a process of its own: with a time limit, apart from the lab's memory, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from squeezelab.engines._processes import descendants, last_lines
from squeezelab.engines.base import Engine
from squeezelab.errors import EngineError, OutOfTimeError
from squeezelab.store.workplace import workplace

LIMIT = 300.0
"""Seconds that one call may take unless it is told otherwise."""
FAREWELL = 20.0
"""Seconds that an engine may take to stop, before it is killed."""


class Answer(NamedTuple):
    """What an engine's method returned, and the seconds that it took there."""

    value: Any
    seconds: float


class Session:
    """An engine that runs, in a process and a folder of its own; both are gone when the session ends.

    Parameters
    ----------
    engine : Engine
        What `squeezelab.engines.get_engine` returns. A class of your own must be importable by its module's name.
    limit : float
        Seconds that each call may take.
    folder : path, optional
        Where the session's folder is made: the system's folder for temporary files.

    Raises
    ------
    EngineError
        By every call: if the engine refuses, crashes, or takes too long. One line says which, with the last lines of
        its log.

    Examples
    --------
    >>> import numpy as np
    >>> from squeezelab import MetricDataset, SeriesKey
    >>> from squeezelab.engines import get_engine
    >>> dataset = MetricDataset([SeriesKey("up", {})], np.array([0, 2]), np.array([100, 115]), np.array([1.0, 0.0]))
    >>> with Session(get_engine("sqlite")) as session:
    ...     _ = session.start(dataset.time_unit), session.call("ingest", dataset), session.call("compact")
    ...     session.call("read_all").value
    <MetricDataset: 1 series, 2 samples>
    """

    def __init__(self, engine: Engine, *, limit: float = LIMIT, folder: str | Path | None = None) -> None:
        self.engine = engine
        self.limit = limit
        self._parent = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._exits = ExitStack()
        self.folder = self._exits.enter_context(workplace(self._parent))
        self.folder.parent.chmod(0o755)  # an engine that refuses root is another user
        ours, theirs = socket.socketpair()
        try:
            with theirs, (self.folder / "log").open("wb") as log:
                command = [
                    sys.executable,
                    "-P",
                    "-m",
                    "squeezelab.engines._worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ]
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self._connection = self._exits.enter_context(Connection(ours.detach()))
            self._connection.send(sys.path)
            self._connection.send(self.engine)
        except BaseException:
            self._end()
            raise
        return self

    def start(self, time_unit: str) -> Answer:
        """Start the engine on a folder of its own."""
        data = self.folder / "data"
        data.mkdir()
        return self.call("start", data, time_unit)

    def call(self, method: str, *arguments: Any, limit: float | None = None) -> Answer:
        """Call one of the engine's methods, and wait for what it returns."""
        name, patience = self.engine.name, self.limit if limit is None else limit
        try:
            self._connection.send((method, arguments))
            if not self._connection.poll(patience):
                self._kill()
                raise OutOfTimeError(f"{name}: {method} took more than {patience:g} seconds and was ended")
            failure, value, seconds = self._connection.recv()
        except (EOFError, OSError) as error:
            raise EngineError(f"{name}: its process ended in {method}{self._how_it_ended()}") from error
        if failure:
            raise EngineError(f"{name}: {failure}")
        return Answer(value, seconds)

    def memory_mb(self) -> float | None:
        """Return the peak memory of the engine's processes since it was started, in megabytes; None if not known."""
        value: float | None = self.call("memory_mb").value
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # Who is interrupted or has run into a limit does not wait for a farewell.
            if kind is None or issubclass(kind, EngineError):
                with suppress(EngineError):
                    self.call("stop", limit=FAREWELL)
        finally:
            self._end()

    def _end(self) -> None:
        self._kill()
        self._exits.close()

    def _kill(self) -> None:
        """End the process and all that it has started."""
        if self._process is None:
            return
        children = [] if self._process.poll() is not None else descendants(self._process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0
        by = f" by {signal.Signals(-status).name}" if status < 0 else ""
        return by + last_lines(self.folder / "log")
