"""Pcodec, through its own package."""

from __future__ import annotations

from functools import cache
from typing import Any

from pcodec import ChunkConfig, standalone

from squeezelab.codecs._frame import NUMBERS, Bytes, Frame
from squeezelab.codecs.base import Column, ColumnCodec, reading
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_range


class Pcodec(ColumnCodec):
    """Pcodec: numbers split by a mode (multiples, decimals), delta encoded, then binned and entropy coded with tANS.

    Parameters
    ----------
    level : int
        From 0 (fast) to 12 (small); 8 as pcodec itself. Mode and delta encoding are found by pcodec.

    Notes
    -----
    The payload is a standalone file of pcodec. Source: M Loncaric, N Jeppesen, B Zinberg: Pcodec: Better Compression
    for Numerical Sequences, 2025, arXiv:2502.06112; https://github.com/pcodec/pcodec

    Examples
    --------
    >>> import numpy as np
    >>> codec = Pcodec(level=12)
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    name = "pcodec"
    kind = "peers"
    dtypes = NUMBERS
    showcase = ("", "level=12")
    # A chunk holds up to 2**24 numbers, and takes 8 bytes or more even where all are the same.
    max_expansion = 2**24

    def __init__(self, level: int = 8) -> None:
        check_range("pcodec", "level", level, 0, 12)
        self.level = level

    def pack(self, column: Column) -> bytes:
        """Compress into one standalone file."""
        return bytes(standalone.simple_compress(column, _config(self.level)))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decompress straight into the column."""
        with reading("pcodec"):
            progress = standalone.simple_decompress_into(data[frame.start : frame.stop].tobytes(), column)
        if progress.n_processed != column.size or not progress.finished:
            raise CorruptDataError("the pcodec file does not hold as many values as promised: it is damaged")


@cache
def _config(level: int) -> Any:
    return ChunkConfig(compression_level=level, enable_8_bit=True)
