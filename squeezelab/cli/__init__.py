"""The command line: options in, one call, one conclusion, and errors of one line. Each module has some commands."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from typing import Any

import typer

# Each gives the app its commands.
from squeezelab.cli import advise, archive, atlas, compare, documents, engines, losses, own_data, run, shelf
from squeezelab.cli.app import app
from squeezelab.console import speak_through_logging, stderr
from squeezelab.errors import SqueezelabError

__all__ = [
    "advise",
    "app",
    "archive",
    "atlas",
    "compare",
    "documents",
    "engines",
    "losses",
    "main",
    "own_data",
    "run",
    "shelf",
]

# typer exports one of its usage errors; its parent is what all of them have in common.
UsageError: Any = typer.BadParameter.__mro__[1]
INTERRUPTED = 130


def main() -> None:
    """Run the command line; every error a user can cause is one line and exit code 2."""
    speak_through_logging()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may hold half a surrogate pair
    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        # One is enough: another would only disturb the tidying up.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Whoever ends a run politely gets the same tidying up as with Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        status = app(standalone_mode=False) or 0
    except UsageError as error:
        status = _fail(f"{error.format_message()} (see --help)")
    # An interrupt can come out as another error: numba and Arrow make their own of it.
    except (Exception, KeyboardInterrupt) as error:
        expected = isinstance(error, SqueezelabError | OSError | MemoryError)
        if not interrupted and (not expected or "--debug" in sys.argv):
            raise
        status = INTERRUPTED if interrupted else _fail(_describe(error))
    if status == INTERRUPTED:
        _fail("interrupted")
    sys.exit(status)


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, SqueezelabError) else f"{type(error).__name__}: {error}"


def _fail(message: str) -> int:
    stderr.print(f"error: {' '.join(message.split())}", soft_wrap=True)
    return 2
