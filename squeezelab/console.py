"""How the lab speaks to a person: progress on standard error, words through logging, tables on standard output."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def progress_bar() -> Progress:
    """Return a progress display that vanishes when done and stays silent where standard error is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


class _StderrHandler(logging.Handler):
    """Prints through rich, so that a word and a progress bar do not spoil each other."""

    def emit(self, record: logging.LogRecord) -> None:
        stderr.print(self.format(record), soft_wrap=True, markup=False)


def speak_through_logging() -> None:
    """Let the words of the library's modules (``logging``, from INFO up) appear on standard error, a line each."""
    logger = logging.getLogger("squeezelab")
    logger.handlers[:] = [_StderrHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
