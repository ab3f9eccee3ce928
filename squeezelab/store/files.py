"""Files that appear whole or not at all."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from squeezelab.errors import InvalidRequestError

logger = logging.getLogger(__name__)

PATIENCE = 2
"""Seconds to wait for another run before a word is said."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes this path's place when the block ends well, and is gone when it does not.

    It has the permissions of the file that it replaces.

    Parameters
    ----------
    path : path-like
        The file to make or replace; its folder is made where it lacks.

    Raises
    ------
    InvalidRequestError
        If something other than a file has this name.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a" / "b.txt"
    ...     with replacing(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_bytes()
    b'whole'
    """
    with naming(path):
        yield from _replacing(replaceable(path))


def _replacing(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".squeezelab-{secrets.token_hex(4)}")
    unnamed = _open_unnamed(path.parent)
    try:
        with beside.open("xb") if unnamed is None else os.fdopen(unnamed, "wb") as file:
            _take_over_permissions(path, file)
            yield file
            file.flush()
            if unnamed is not None:
                # Only with a descriptor given does Python make the call that follows the link in /proc.
                os.link(f"/proc/self/fd/{unnamed}", beside, src_dir_fd=unnamed, follow_symlinks=True)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of the system that name no file name this one: a full disk is that of what was written."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Return a folder that takes this path's place when the block ends well, and is gone when it does not.

    Parameters
    ----------
    path : path-like
        The folder to make or replace; the one that it is in is made where it lacks.

    Raises
    ------
    InvalidRequestError
        If something other than a folder has this name.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_dir():
        raise InvalidRequestError(f"{path} is no folder that can be replaced: name another")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside, before = (target.with_name(f".squeezelab-{secrets.token_hex(4)}") for _ in range(2))
    try:
        beside.mkdir()
        yield beside
        if target.exists():
            target.rename(before)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def replaceable(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path stands for: where it is a link, what is replaced is not the link.

    Raises
    ------
    InvalidRequestError
        If something other than a file has this name.
    """
    try:
        target = Path(path).resolve()
    except RuntimeError as error:
        raise InvalidRequestError(f"{path} is a link in a circle: name another") from error
    if target.exists() and not target.is_file():
        raise InvalidRequestError(f"{path} is a directory or device, no file that can be replaced: name another")
    return target


def _take_over_permissions(path: Path, file: BinaryIO) -> None:
    """Give a new file, before anything is in it, the permissions of the one at this path; none on Windows."""
    if path.exists() and hasattr(os, "fchmod"):
        os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode) & 0o777)


def _open_unnamed(folder: Path) -> int | None:
    """Open a file that has no name yet, so that even a killed process leaves nothing behind; None where none can be."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError:
        return None


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a lock that other runs take as well; say so when one of them keeps it for long.

    Parameters
    ----------
    path : path-like
        The lock's file, which stays.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        logger.warning("Waiting for another run that holds %s.", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
