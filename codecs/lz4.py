"""LZ4, through numcodecs."""

from __future__ import annotations

import numcodecs.lz4

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_range


class Lz4(ByteCodec):
    """LZ4 block format: LZ77 with byte-aligned tokens and no entropy coder, made for speed.

    Parameters
    ----------
    acceleration : int
        1 (smallest) and up: each step skips more input while it looks for matches.

    Notes
    -----
    A block holds at most about 2 GB. numcodecs puts the size of the content in the block's first four bytes.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Lz4()
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    name = "lz4"
    # A match can go on for 255 bytes with each further byte.
    max_expansion = 255

    def __init__(self, acceleration: int = 1) -> None:
        check_range("lz4", "acceleration", acceleration, 1, 65537)
        self.acceleration = acceleration

    def squeeze(self, data: bytes | Bytes) -> bytes:
        """Compress into one block."""
        compressed: bytes = numcodecs.lz4.compress(data, self.acceleration)
        return compressed

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Expand one block."""
        if data.size < 4 or int.from_bytes(data[:4].tobytes(), "little") != out.size:
            raise CorruptDataError("the LZ4 block is of another size than promised: it is damaged")
        try:
            numcodecs.lz4.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise CorruptDataError(f"LZ4 cannot read the payload: {error}") from error
