"""Zstandard, through the zstandard package."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import zstandard

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_range

_contexts = threading.local()


class Zstd(ByteCodec):
    """Zstandard (RFC 8878): LZ77 with a large window, then Huffman and FSE entropy coding.

    Parameters
    ----------
    level : int
        From 1 (fast) to 22 (small, slow); 3 as zstd itself.

    Notes
    -----
    Contexts are kept, one a thread and level, as the library's manual advises: for columns of a thousand values that
    saves a quarter of the time.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Zstd(level=19)
    >>> codec.decode(codec.encode(np.arange(5)))
    array([0, 1, 2, 3, 4])
    """

    name = "zstd"
    showcase = ("", "level=22")
    # A block of 128 KiB takes at least 4 bytes: its header and the one byte that is repeated.
    max_expansion = 32 * 1024

    def __init__(self, level: int = 3) -> None:
        check_range("zstd", "level", level, 1, zstandard.MAX_COMPRESSION_LEVEL)
        self.level = level

    def squeeze(self, data: bytes | Bytes) -> bytes:
        """Compress into one zstd frame that says its content's size."""
        compressors = _contexts.__dict__.setdefault("compressors", {})
        if self.level not in compressors:
            compressors[self.level] = zstandard.ZstdCompressor(level=self.level)
        compressed: bytes = compressors[self.level].compress(data)
        return compressed

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Expand one zstd frame."""
        if not hasattr(_contexts, "decompressor"):
            _contexts.decompressor = zstandard.ZstdDecompressor()
        expand_with(_contexts.decompressor, data, out)


def expand_with(decompressor: Any, data: Bytes, out: Bytes) -> None:
    """Expand one zstd frame into as many bytes as are promised.

    Raises
    ------
    CorruptDataError
        If it is no whole frame of these.
    """
    if content_size(data) != out.size:
        raise CorruptDataError("the zstd frame is of another size than promised: it is damaged")
    try:
        expanded = decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"zstd cannot read the payload: {error}") from error
    np.copyto(out, np.frombuffer(expanded, np.uint8))


def content_size(data: Bytes) -> int:
    """Return the size that a zstd frame expands to, as its header says; -1 where that does not say it.

    Raises
    ------
    CorruptDataError
        If no zstd frame begins here.
    """
    try:
        size: int = zstandard.frame_content_size(data.data)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"zstd cannot read the payload: {error}") from error
    return size
