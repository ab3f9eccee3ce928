"""Where a tally file's bytes come from: memory, a mapped file, or ranges that are asked of another machine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import as_bytes
from squeezelab.errors import CorruptDataError, DataSourceError
from squeezelab.formats.base import Buffer
from squeezelab.kernels.bits import READ_SLACK

Words = npt.NDArray[np.uint64]

JOINED_GAP = 64 * 1024
"""Bytes between two ranges up to which they are asked for as one: a request takes longer than these."""
_DOWNLOAD = "download the file, and name the copy"


class MemorySource:
    """A file that is in memory or mapped to it."""

    is_remote = False

    def __init__(self, data: Buffer) -> None:
        self._data = as_bytes(data)
        self.size = self._data.size

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from one place up to, and without, another."""
        return self._data[begin:end].tobytes()

    def fetch(self, begins: Words, ends: Words) -> tuple[Bytes, Words]:
        """Return bytes that hold these ranges, and where in them each one begins; some bytes after it are readable."""
        return self._data, begins


class RemoteSource:
    """A file at any path that fsspec knows."""

    is_remote = True

    def __init__(self, filesystem: Any, path: str, url: str) -> None:
        self._filesystem, self._path, self._url = filesystem, path, url
        size = _explained(url, lambda: filesystem.info(path)["size"])
        if size is None:
            raise DataSourceError(f"{url}: its server does not say how large it is: {_DOWNLOAD}")
        self.size = int(size)

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from one place up to, and without, another, with one request."""
        data = bytes(_explained(self._url, lambda: self._filesystem.cat_file(self._path, start=begin, end=end)))
        return self._whole(data, end - begin)

    def fetch(self, begins: Words, ends: Words) -> tuple[Bytes, Words]:
        """Return bytes that hold these ranges, and where in them each one begins: neighbours are one request."""
        order = np.argsort(begins, kind="stable")
        starts: list[int] = []
        stops: list[int] = []
        places = np.empty_like(begins)
        at = 0  # in the bytes that are returned, of the range asked for last
        for i in order.tolist():
            begin, end = int(begins[i]), int(ends[i])
            if not starts or begin > stops[-1] + JOINED_GAP:
                at += stops[-1] - starts[-1] if starts else 0
                starts.append(begin)
                stops.append(end)
            stops[-1] = max(stops[-1], end)
            places[i] = at + begin - starts[-1]
        paths = [self._path] * len(starts)
        pieces = _explained(self._url, lambda: self._filesystem.cat_ranges(paths, starts, stops, on_error="raise"))
        sizes = (stop - start for start, stop in zip(starts, stops, strict=True))
        whole = [self._whole(bytes(piece), size) for piece, size in zip(pieces, sizes, strict=True)]
        return as_bytes(b"".join((*whole, bytes(READ_SLACK)))), places

    def _whole(self, data: bytes, size: int) -> bytes:
        if len(data) > size:
            raise DataSourceError(
                f"{self._url}: its server gives no ranges, but {len(data):,} bytes where {size:,} were asked for: "
                f"{_DOWNLOAD}"
            )
        if len(data) < size:
            raise CorruptDataError(f"{self._url} gave {len(data)} bytes where {size} were asked for: it has changed")
        return data


Source = MemorySource | RemoteSource


def open_source(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Source:
    """Open a path or URL.

    Raises
    ------
    DataSourceError
        If it cannot be reached.
    """
    text = os.fspath(path)
    if "://" not in text:
        return MemorySource(_mapped(Path(text)))
    import fsspec

    filesystem, name = _explained(text, lambda: fsspec.core.url_to_fs(text, **dict(options or {})))
    if "file" in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)):
        return MemorySource(_mapped(Path(name)))
    return RemoteSource(filesystem, name, text)


def _mapped(path: Path) -> Buffer:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if size else b""
    except OSError as error:
        raise DataSourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _explained(path: str, ask: Any) -> Any:
    """Ask a file system, and turn whatever it raises into one line."""
    try:
        return ask()
    except Exception as error:
        raise DataSourceError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
