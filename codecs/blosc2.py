"""Blosc2, through its own package."""

from __future__ import annotations

import blosc2
import numpy as np

from squeezelab.codecs._frame import NUMBERS, Bytes, Frame
from squeezelab.codecs.base import Column, ColumnCodec, reading
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_choice, check_range

FILTERS = {
    "shuffle": blosc2.Filter.SHUFFLE,
    "bitshuffle": blosc2.Filter.BITSHUFFLE,
    "none": blosc2.Filter.NOFILTER,
}
CODECS = {
    "zstd": blosc2.Codec.ZSTD,
    "lz4": blosc2.Codec.LZ4,
    "lz4hc": blosc2.Codec.LZ4HC,
    "zlib": blosc2.Codec.ZLIB,
    "blosclz": blosc2.Codec.BLOSCLZ,
}


class Blosc2(ColumnCodec):
    """Blosc2: bytes or bits of equal weight brought together, then a general codec, in blocks that fit the cache.

    Parameters
    ----------
    shuffle : {"shuffle", "bitshuffle", "none"}
        Whether bytes or bits are brought together, or neither: smaller where whole numbers repeat, as decimals do.
    codec : {"zstd", "lz4", "lz4hc", "zlib", "blosclz"}
        What compresses them.
    level : int
        From 1 (fast) to 9 (small); 1, with zstd, as python-blosc2 itself.

    Notes
    -----
    A column holds at most about 2 GB. Blosc2 keeps threads for all callers in a process; the first codec that is made
    sets their number to one, so that its times are those of one thread like all others. Decoding uses ``decompress2``,
    some microseconds a call slower than ``decompress``, which reads beyond damaged chunks. Source: https://www.blosc.org

    Examples
    --------
    >>> import numpy as np
    >>> codec = Blosc2(shuffle="bitshuffle", level=9)
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    name = "blosc2"
    kind = "general"
    dtypes = NUMBERS
    showcase = ("", "shuffle=bitshuffle", "shuffle=bitshuffle,level=9", "shuffle=none,level=9")
    # A chunk of nothing but zeros, up to 2**31 bytes, is a header of 32 bytes.
    max_expansion = 2**26

    def __init__(self, shuffle: str = "shuffle", codec: str = "zstd", level: int = 1) -> None:
        check_choice("blosc2", "shuffle", shuffle, FILTERS)
        check_choice("blosc2", "codec", codec, CODECS)
        check_range("blosc2", "level", level, 1, 9)
        self.shuffle = shuffle
        self.codec = codec
        self.level = level
        blosc2.set_nthreads(1)

    def pack(self, column: Column) -> bytes:
        """Compress into one chunk."""
        chunk: bytes = blosc2.compress(column, column.itemsize, self.level, FILTERS[self.shuffle], CODECS[self.codec])
        return chunk

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decompress one chunk straight into the column."""
        chunk = data[frame.start : frame.stop].tobytes()
        # Bytes, block size and compressed bytes stand in the header (C-Blosc2's README_CHUNK_FORMAT).
        sizes = np.frombuffer(chunk[4:16].ljust(12, b"\0"), "<i4")
        if sizes[0] != column.nbytes or sizes[2] != len(chunk):
            raise CorruptDataError("the Blosc2 chunk is of another size than promised: it is damaged")
        with reading("Blosc2"):
            blosc2.decompress2(chunk, dst=column, nthreads=1)
