"""Brotli, through Google's package."""

from __future__ import annotations

import brotli
import numpy as np

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec, reading
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_range


class Brotli(ByteCodec):
    """Brotli (RFC 7932): LZ77, context modelling of second order, and Huffman coding; made for the web.

    Parameters
    ----------
    quality : int
        From 0 (fast) to 11 (small, very slow); 11 as brotli itself. Web servers compress on the fly with 4 or 5.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Brotli(quality=5)
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    name = "brotli"
    # One meta-block holds up to 16 MiB, which a single copy can fill (RFC 7932, section 9.2).
    max_expansion = 2**24

    def __init__(self, quality: int = 11) -> None:
        check_range("brotli", "quality", quality, 0, 11)
        self.quality = quality

    def squeeze(self, data: bytes | Bytes) -> bytes:
        """Compress into one stream."""
        compressed: bytes = brotli.compress(data, quality=self.quality)
        return compressed

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Expand one stream."""
        stream = brotli.Decompressor()
        with reading("brotli"):
            expanded = stream.process(data.tobytes(), output_buffer_limit=out.size + 1)
        if len(expanded) != out.size or not stream.is_finished():
            raise CorruptDataError("the brotli stream is of another size than promised: it is damaged")
        np.copyto(out, np.frombuffer(expanded, np.uint8))
