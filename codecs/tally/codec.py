"""Tally: the counts that numbers were made from, coded with models that learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT32, FLOAT64, INT64, INTEGERS, Bytes, Frame, pack_frame, read_varint, tag_of
from squeezelab.codecs.base import Column, ColumnCodec, allocate, as_bytes
from squeezelab.codecs.tally.columns import (
    FAST,
    MARK,
    NAME,
    SMALL,
    SMALLEST,
    decode_frame,
    decode_frames,
    decode_payload,
    encode_columns,
    encode_frame,
    encode_frames,
)
from squeezelab.codecs.tally.widths import narrow, widen
from squeezelab.codecs.tally.workspace import BLOCK
from squeezelab.errors import CorruptDataError, InvalidRequestError

WHOLE = (INT64, FLOAT64)
SHORTEST = 11
"""A frame of any values has more bytes than these."""
_DTYPES = {tag_of(dtype): dtype for dtype in WHOLE}


def checked_level(level: int) -> int:
    """Return a level, if there is such a one.

    Raises
    ------
    InvalidRequestError
        If there is not.
    """
    if level not in (FAST, SMALL, SMALLEST):
        raise InvalidRequestError(f"tally has no level {level}: choose 1, fast, 2, small, or 3, smallest")
    return level


class Tally(ColumnCodec):
    """Tally for any column: metrics as the integers they were made from.

    A metric is seldom any double: it was a count, text of a few digits, or the difference of two readings of a counter.
    Tally finds which arithmetic made a block's doubles of integers, keeps apart the rare ones that it did not make,
    predicts the integers, and codes what is left with tables that stand before it, or with models that learn as they
    go; where few values are distinct it numbers them. Choose it where size matters most; level 1 packs bits in place
    of modelling them, and reads two or three times as fast.

    Parameters
    ----------
    level : int
        1, fast, packs bits but where tables take much less; 2, small; 3, smallest, takes models that learn wherever
        they are smaller at all.

    Notes
    -----
    Payload: a mark, and blocks of 8192 values, the last of what is left; before each a varint, its bytes. A block is
    drawn in `squeezelab.codecs.tally.columns`, the arithmetics in `modes`, streams of integers in `static_streams`,
    lanes of tokens in `static`; blocks of version 1, which have the models, in `blocks`. ``docs/format.md`` has all of
    it in one place. Integers of other widths, and float32, are coded as the int64 or float64 of `widths`.

    Static blocks decode a few GB/s: 2 or 4 lanes of rANS are under way at once. Where models that learn
    promise to be over 3 % smaller, and are, level 2 takes them; they decode less than 1 GB/s, since each step needs
    what the one before has changed.

    References
    ----------
    The parts are named where they are used. Nearest in kind are pcodec (M. Loncaric et al., 2025), which finds common
    steps of doubles and codes integers by bins, and ALP (A. Afroozeh et al., SIGMOD 2024), which finds decimals.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Tally()
    >>> column = np.arange(1000) * 0.05
    >>> len(codec.encode(column))
    19
    >>> bool((codec.decode(codec.encode(column)) == column).all())
    True
    """

    name = NAME
    kind = "ours"
    dtypes = (*INTEGERS[:1], FLOAT64, *INTEGERS[1:], FLOAT32)
    showcase = ("", "level=1")
    max_expansion = 1 << 14
    takes_many = True

    def __init__(self, level: int = SMALL) -> None:
        self.level = checked_level(level)

    def pack(self, column: Column) -> bytes:
        """Encode as int64 or float64, in the smallest of the ways there are."""
        if column.dtype in WHOLE:
            return self._pack_wide(column)
        return min((way + self._pack_wide(wide) for way, wide in widen(column)), key=len)

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode as int64 or float64, and bring what comes to the dtype of the column."""
        if column.dtype in WHOLE:
            self._unpack_wide(data, frame, column)
            return
        with narrow(data, frame, column) as (start, wide):
            self._unpack_wide(data, frame._replace(start=start), wide)

    def encode(self, buf: Any) -> bytes:
        """Encode a column; one of native int64 or float64 without much ado."""
        if not _is_plain(buf) or not buf.size:
            return super().encode(buf)
        if buf.size <= BLOCK:
            return encode_frame(buf, self.level)
        return pack_frame(NAME, buf.dtype, buf.size, self._pack_wide(buf))

    def encode_many(self, columns: Sequence[Any]) -> list[bytes]:
        """Encode plain short columns of int64, and those of float64, in one call each."""
        frames: list[bytes] = [b""] * len(columns)
        short: dict[np.dtype[Any], list[int]] = {dtype: [] for dtype in WHOLE}
        for i, column in enumerate(columns):
            if _is_plain(column) and 0 < column.size <= BLOCK:
                short[column.dtype].append(i)
        for mine in filter(None, short.values()):
            if len(mine) == len(columns):
                return encode_frames(columns, self.level)
            for i, frame in zip(mine, encode_frames([columns[i] for i in mine], self.level), strict=True):
                frames[i] = frame
        return [frame or self.encode(column) for frame, column in zip(frames, columns, strict=True)]

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a frame of int64 or float64 in one call; what is not whole, or another thing, as other codecs do."""
        if out is None and type(buf) is bytes and len(buf) > SHORTEST and buf[0] in _DTYPES:
            size = buf[1] if buf[1] < 0x80 else read_varint(buf, 1)[0]
            if 0 < 8 * size <= len(buf) * self.max_expansion:
                column = allocate(size, _DTYPES[buf[0]])
                if decode_frame(buf, column):
                    return column
        return super().decode(buf, out)

    def decode_many(self, frames: Sequence[Any]) -> list[Column]:
        """Decode all frames in one call, where they are of int64 and float64."""
        every = [frame if type(frame) is bytes else bytes(as_bytes(frame)) for frame in frames]
        columns = decode_frames(every, self.max_expansion)
        return [self.decode(frame) for frame in every] if columns is None else columns

    def _pack_wide(self, column: Column) -> bytes:
        """Encode block by block, in version 2."""
        return MARK + encode_columns(column, np.array((0, column.size)), self.level)[0]

    def _unpack_wide(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode block by block, in the version that they are of."""
        if not decode_payload(data, frame.start, frame.stop, column):
            raise CorruptDataError("the tally payload does not hold the values it promises: it is damaged")


def _is_plain(buf: Any) -> bool:
    """Return whether something is a column that kernels take as it lies in memory."""
    if type(buf) is not np.ndarray or buf.ndim != 1 or buf.dtype not in WHOLE:
        return False
    flags = buf.flags
    return flags.c_contiguous and flags.aligned
