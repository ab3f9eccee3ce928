"""zlib (Deflate), through Python's standard library."""

from __future__ import annotations

import zlib

import numpy as np

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_range


class Zlib(ByteCodec):
    """Deflate (RFC 1950, RFC 1951): LZ77 in a window of 32 KiB, then Huffman coding.

    Parameters
    ----------
    level : int
        From 1 (fast) to 9 (small); 6 as zlib itself.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Zlib()
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    name = "zlib"
    showcase = ("", "level=9")
    # Deflate's longest match is 258 bytes, coded in 2 bits at best (zlib's technical notes say 1032:1).
    max_expansion = 1032

    def __init__(self, level: int = 6) -> None:
        check_range("zlib", "level", level, 1, 9)
        self.level = level

    def squeeze(self, data: bytes | Bytes) -> bytes:
        """Compress into one zlib stream."""
        return zlib.compress(data, self.level)

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Expand one zlib stream."""
        stream = zlib.decompressobj()
        try:
            expanded = stream.decompress(data, out.size + 1)
        except zlib.error as error:
            raise CorruptDataError(f"zlib cannot read the payload: {error}") from error
        if len(expanded) != out.size or not stream.eof or stream.unused_data:
            raise CorruptDataError("the zlib stream is of another size than promised: it is damaged")
        np.copyto(out, np.frombuffer(expanded, np.uint8))
