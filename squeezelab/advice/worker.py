"""A child process that runs a system: its crash, its memory and its state are no matter of the lab's own process."""

from __future__ import annotations

import signal
from pathlib import Path
from types import TracebackType
from typing import Any

from squeezelab.engines._child import Child
from squeezelab.errors import SqueezelabError

PATIENCE = 600.0
"""Seconds that one call may take."""
FAREWELL = 10.0
"""Seconds that a system may take to close, before it is killed."""


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
        self.child = Child("squeezelab.advice._worker", folder / "worker.log", folder)
        try:
            self.call("make", kind.__module__, kind.__qualname__)
        except BaseException:
            self.child.close()
            raise

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
        try:
            answer = self.child.ask(method, arguments, PATIENCE)
        except (EOFError, OSError) as error:
            status = self.child.status()
            how = signal.Signals(-status).name if status < 0 else f"status {status}"
            raise SystemFailedError(f"its process ended with {how}") from error
        if answer is None:
            raise SystemFailedError(f"no answer within {PATIENCE:.0f} s")
        if answer.failure:
            raise SystemFailedError(answer.failure)
        return answer.value

    def close(self) -> None:
        """End the process, which has some seconds to tidy up."""
        self.child.close(FAREWELL)
