"""LZ4, through numcodecs; its high compression, through pyarrow."""

from __future__ import annotations

from functools import cache
from typing import Any

import numcodecs.lz4
import pyarrow as pa

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.registry import check_range

LOWEST_HC = 3


class Lz4(ByteCodec):
    """LZ4 block format: LZ77 with byte-aligned tokens and no entropy coder, made for speed.

    Parameters
    ----------
    acceleration : int
        1 (smallest) and up: each step skips more input while it looks for matches.
    hc : int
        LZ4 HC, which searches longer for matches, at levels 3 to 12 (9 is its own default); 0 is without. What it makes
        is read by the same decoder.

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
    showcase = ("", "hc=12")
    # A match can go on for 255 bytes with each further byte.
    max_expansion = 255

    def __init__(self, acceleration: int = 1, hc: int = 0) -> None:
        check_range("lz4", "acceleration", acceleration, 1, 65537)
        check_range("lz4", "hc", hc, 0, 12)
        if hc and (hc < LOWEST_HC or acceleration > 1):
            raise InvalidRequestError(f"lz4 takes hc from {LOWEST_HC} to 12, and no acceleration with it")
        self.acceleration = acceleration
        self.hc = hc

    def squeeze(self, data: bytes | Bytes) -> bytes:
        """Compress into one block."""
        compressed: bytes
        if self.hc:
            compressed = _hc(self.hc).compress(data, asbytes=True)
            return len(data).to_bytes(4, "little") + compressed
        compressed = numcodecs.lz4.compress(data, self.acceleration)
        return compressed

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Expand one block."""
        if data.size < 4 or int.from_bytes(data[:4].tobytes(), "little") != out.size:
            raise CorruptDataError("the LZ4 block is of another size than promised: it is damaged")
        try:
            numcodecs.lz4.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise CorruptDataError(f"LZ4 cannot read the payload: {error}") from error


@cache
def _hc(level: int) -> Any:
    return pa.Codec("lz4_raw", compression_level=level)
