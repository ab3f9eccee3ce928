"""A child process that runs a system: its crash, its memory and its state are no matter of the lab's own process."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from squeezelab.engines._processes import die_with_parent
from squeezelab.errors import SqueezelabError

PATIENCE = 600.0
"""Seconds that one call may take."""


class SystemFailedError(SqueezelabError):
    """A system that refused, failed or died; the message is its own, in one line."""


class Worker:
    """An object of a class, made and called in a child process whose working folder is given.

    Parameters
    ----------
    kind : type
        A class at the top of a module; made there without arguments.
    folder : Path
        Where the child works.

    Notes
    -----
    Calls and answers are pickled through a pipe. The child ends with the pipe, and on Linux with its parent, even where
    that is killed.

    Examples
    --------
    >>> import tempfile
    >>> from collections import Counter
    >>> with tempfile.TemporaryDirectory() as folder, Worker(Counter, Path(folder)) as worker:
    ...     worker.call("update", "abca")
    ...     worker.call("most_common", 1)
    [('a', 2)]
    """

    def __init__(self, kind: type[Any], folder: Path) -> None:
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        with theirs:
            code = f"from squeezelab.advice.worker import serve; serve({theirs.fileno()})"
            with (folder / "worker.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", code],
                    cwd=folder,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
        self._exchange((kind.__module__, kind.__qualname__, os.getpid()))

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object, and return what it returns.

        Raises
        ------
        SystemFailedError
            If it raised, took too long, or the process died.
        """
        return self._exchange((method, arguments))

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _exchange(self, message: Any) -> Any:
        try:
            self._connection.send_bytes(pickle.dumps(message, protocol=5))
            if not self._connection.poll(PATIENCE):
                self._process.kill()
                raise SystemFailedError(f"no answer within {PATIENCE:.0f} s")
            succeeded, answer = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            status = self._process.wait()
            how = signal.Signals(-status).name if status < 0 else f"status {status}"
            raise SystemFailedError(f"its process ended with {how}") from error
        if not succeeded:
            raise SystemFailedError(answer)
        return answer


def serve(descriptor: int) -> None:
    """Answer calls until the pipe ends; what the child process does."""
    connection = Connection(descriptor)
    served: Any = None
    while True:
        try:
            message = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            with suppress(Exception):
                served.close()
            # Databases that run in threads of this process may not let it end by itself.
            os._exit(0)
        try:
            if served is None:
                module, name, parent = message
                die_with_parent(parent)
                served = getattr(import_module(module), name)()
                answer = None
            else:
                method, arguments = message
                answer = getattr(served, method)(*arguments)
            reply = pickle.dumps((True, answer), protocol=5)
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            reply = pickle.dumps((False, told), protocol=5)
        connection.send_bytes(reply)
