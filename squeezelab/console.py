"""How the lab speaks to a person: progress on standard error, words through logging, tables on standard output."""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

WIDTH_OF_FILES = 120
"""Columns of tables that go to a file or a pipe, which has no width of its own: names need not be broken there."""

SECONDS_BETWEEN_LINES = 10

stdout = Console(highlight=False, markup=False)
if not stdout.is_terminal and "COLUMNS" not in os.environ:
    stdout.width = WIDTH_OF_FILES
stderr = Console(stderr=True, highlight=False, markup=False)


class _RateColumn(ProgressColumn):
    """How many units are done in a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed and task.speed >= 10 else "")


class _Lines(Progress):
    """Progress where nothing can be redrawn: a line now and then."""

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._told = monotonic()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance, and print a line if the last one was some seconds ago."""
        super().advance(task_id, advance)
        if monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = monotonic()
            task = self._tasks[task_id]
            left = f", about {task.time_remaining:,.0f} s left" if task.time_remaining else ""
            stderr.print(f"{task.description}: {task.percentage:.0f} %{left}", soft_wrap=True)


def progress_bar(*, quiet: bool = False) -> Progress:
    """Return a progress display that vanishes when done.

    Where standard error is no terminal it is a line every ten seconds, and in threads other than the first there is
    none: they work for others. A quiet one draws nothing by itself: whoever times something calls its ``refresh``.
    """
    first = threading.current_thread() is threading.main_thread()
    kind = Progress if stderr.is_terminal or not first else _Lines
    return kind(
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
        disable=not stderr.is_terminal or not first,
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
