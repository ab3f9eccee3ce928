"""How the lab speaks to a person: progress on standard error, words through logging, tables on standard output."""

from __future__ import annotations

import logging
import os
import threading

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

WIDTH_OF_FILES = 120
"""Columns of tables that go to a file or a pipe, which has no width of its own: names need not be broken there."""

stdout = Console(highlight=False, markup=False)
if not stdout.is_terminal and "COLUMNS" not in os.environ:
    stdout.width = WIDTH_OF_FILES
stderr = Console(stderr=True, highlight=False, markup=False)


class _RateColumn(ProgressColumn):
    """How many units are done in a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed and task.speed >= 10 else "")


def progress_bar(*, quiet: bool = False) -> Progress:
    """Return a progress display that vanishes when done.

    It stays silent where standard error is no terminal, and in threads other than the first: they work for others. A
    quiet one draws nothing by itself: whoever times something calls its ``refresh`` in between.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}", markup=False),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        auto_refresh=not quiet,
        disable=not stderr.is_terminal or threading.current_thread() is not threading.main_thread(),
    )


class _StderrHandler(logging.Handler):
    """Prints through rich, so that a word and a progress bar do not spoil each other."""

    def emit(self, record: logging.LogRecord) -> None:
        stderr.print(self.format(record), soft_wrap=True, markup=False)


def working(message: str) -> Status:
    """Return a display for work whose length is not known; silent where standard error is no terminal."""
    return Status(message, console=stderr)


def speak_through_logging() -> None:
    """Let the words of the library's modules (``logging``, from INFO up) appear on standard error, a line each."""
    logger = logging.getLogger("squeezelab")
    logger.handlers[:] = [_StderrHandler()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
