"""Running an engine in a process of its own: with a time limit, apart from the lab's memory, and never left behind."""

from __future__ import annotations

import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from squeezelab.engines._child import Answer, Child
from squeezelab.engines._processes import last_lines
from squeezelab.engines.base import Engine
from squeezelab.errors import EngineError, OutOfTimeError
from squeezelab.store.workplace import workplace

LIMIT = 300.0
"""Seconds that one call may take unless it is told otherwise."""
FAREWELL = 20.0
"""Seconds that an engine may take to stop, before it is killed."""


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
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self._exits = ExitStack()
        self.folder = self._exits.enter_context(workplace(self._parent))
        self.folder.parent.chmod(0o755)  # an engine that refuses root is another user
        try:
            self._child = Child("squeezelab.engines._worker", self.folder / "log")
            self._child.connection.send(self.engine)
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
        assert self._child is not None
        try:
            answer = self._child.ask(method, arguments, patience)
        except (EOFError, OSError) as error:
            raise EngineError(f"{name}: its process ended in {method}{self._how_it_ended()}") from error
        if answer is None:
            raise OutOfTimeError(f"{name}: {method} took more than {patience:g} seconds and was ended")
        if answer.failure:
            raise EngineError(f"{name}: {answer.failure}")
        return answer

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
        if self._child is not None:
            self._child.close()
        self._exits.close()

    def _how_it_ended(self) -> str:
        assert self._child is not None
        status = self._child.status()
        by = f" by {signal.Signals(-status).name}" if status < 0 else ""
        return by + last_lines(self.folder / "log")
