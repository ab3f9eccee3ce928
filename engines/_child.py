"""A process for what may crash or hang: asked through a pipe, and gone with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from squeezelab.engines._processes import descendants, die_with_parent
from squeezelab.errors import EngineError

MOST_WORDS = 600
"""Letters that are kept of a failure."""


class Answer(NamedTuple):
    """What a method returned, the seconds that it took there, and why it failed where it did."""

    value: Any
    seconds: float
    failure: str = ""


class Child:
    """A process that runs a module, which begins with `connect` and then does `serve`.

    Parameters
    ----------
    module : str
        Its name.
    log : path
        What it prints goes there.
    folder : path, optional
        Where it works: where this process does.
    """

    def __init__(self, module: str, log: Path, folder: Path | None = None) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("wb") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self.connection.send(sys.path)

    def ask(self, method: str, arguments: Sequence[Any], patience: float) -> Answer | None:
        """Return the answer to a call; None if there was none in so many seconds, and the process is ended.

        Raises
        ------
        EOFError, OSError
            If the process has ended.
        """
        self.connection.send((method, arguments))
        if not self.connection.poll(patience):
            self.kill()
            return None
        answer: Answer = self.connection.recv()
        return answer

    def close(self, patience: float = 0.0) -> None:
        """End the process; it has so many seconds to end by itself, as it does when the pipe is closed."""
        if patience:
            self.connection.close()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        self.kill()
        self.connection.close()

    def kill(self) -> None:
        """End the process and all that it has started."""
        children = [] if self.process.poll() is not None else descendants(self.process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.wait()

    def status(self) -> int:
        """Return how it has ended: the number of a signal, negative, or an exit code; 0 where it has not."""
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            return 0


def connect() -> Connection:
    """Return the child's end of the pipe; it finds modules where its parent does, and dies with it."""
    die_with_parent(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    sys.path[:] = connection.recv()
    return connection


def serve(connection: Connection, call: Callable[[str, Sequence[Any]], Any]) -> None:
    """Answer calls of methods until nobody asks any more."""
    while True:
        try:
            method, arguments = connection.recv()
        except (EOFError, OSError):
            return
        try:
            begin = time.perf_counter()
            value = call(method, arguments)
            connection.send(Answer(value, time.perf_counter() - begin))
        except Exception as error:
            words = " ".join(str(error).split())[:MOST_WORDS]
            known = isinstance(error, EngineError)
            connection.send(Answer(None, 0.0, words if known else f"{type(error).__name__}: {words}"))
