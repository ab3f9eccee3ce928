"""Temporary folders that do not outlive their process for long."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Where files are in memory, if this system has such a place."""
PREFIX = "sqlab-"
"""Short, for the path of a socket in such a folder has 107 bytes at most."""
LOCK = ".lock"


@contextmanager
def workplace(parent: str | Path | None = None) -> Iterator[Path]:
    """Make a folder for the block, and remove what killed processes have left beside it.

    Its process holds a lock in it for as long as it lives: a folder whose lock is free belongs to nobody.

    Parameters
    ----------
    parent : path-like, optional
        Where it is made: where the system has temporary files, if not given.

    Yields
    ------
    pathlib.Path
        An empty folder.

    Examples
    --------
    >>> with workplace() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    beside = Path(parent or tempfile.gettempdir())
    _sweep(beside)
    folder, lock = _claim(beside)
    try:
        inner = folder / "w"
        inner.mkdir()
        yield inner
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _claim(parent: Path) -> tuple[Path, FileLock]:
    """Make a folder and take its lock, again where another process takes it for abandoned in between."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        lock = FileLock(folder / LOCK)
        with suppress(FileNotFoundError, Timeout):
            lock.acquire(timeout=0)
            if (folder / LOCK).exists():
                return folder, lock
            lock.release()


@cache
def _sweep(parent: Path) -> None:
    """Remove the folders here that belong to no living process; once a process is enough."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout), FileLock(folder / LOCK, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
