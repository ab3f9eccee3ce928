"""Tally: the counts that numbers were made from, coded with models that learn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT32, FLOAT64, INTEGERS, Bytes, Frame
from squeezelab.codecs.base import Column, ColumnCodec
from squeezelab.codecs.tally.blocks import Room, read_block
from squeezelab.codecs.tally.columns import (
    FAST,
    NO_OTHERS,
    SMALL,
    SMALLEST,
    VERSION,
    Workspace,
    encode_columns,
    read_columns,
)
from squeezelab.codecs.tally.shapes import BANK
from squeezelab.codecs.tally.static import BLOCK
from squeezelab.codecs.tally.widths import narrow, widen
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.kernels.bits import U, take_varint

Words = npt.NDArray[np.uint64]

MARK = bytes([VERSION])
"""Begins a payload. Those of version 1 begin with the size of a block, which is 5 or more."""


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
    predicts the integers, and codes what is left with models that learn as they go; where few values are distinct it
    numbers them. Choose it where size matters most; level 1 packs bits in place of modelling them, and reads several
    times as fast.

    Parameters
    ----------
    level : int
        1, fast, or 2, small.

    Notes
    -----
    Payload: blocks of 8192 values, the last of what is left; before each a varint, its bytes. A block is drawn in
    `squeezelab.codecs.tally.blocks`, the arithmetics in `_quanta`, streams of integers in `_streams`, the models in
    `_nibbles`; ``docs/format.md`` has all of it in one place.

    Integers of other widths, and float32, are coded as the int64 or float64 that `widths` makes of them.

    Level 2 decodes less than 1 GB/s: each value takes one or two steps of the entropy coder, 10 to 15 ns, and each
    step needs the model that the step before has changed. The lab's file can read faster for each sample, because the
    8 bytes of a timestamp come with every value for nothing.

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

    name = "tally"
    kind = "ours"
    dtypes = (*INTEGERS[:1], FLOAT64, *INTEGERS[1:], FLOAT32)
    showcase = ("", "level=1")
    max_expansion = 1 << 14

    def __init__(self, level: int = SMALL) -> None:
        self.level = checked_level(level)

    def pack(self, column: Column) -> bytes:
        """Encode as int64 or float64, in the smallest of the ways there are."""
        return min((way + self._pack_wide(wide) for way, wide in widen(column)), key=len)

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode as int64 or float64, and bring what comes to the dtype of the column."""
        with narrow(data, frame, column) as (start, wide):
            self._unpack_wide(data, frame._replace(start=start), wide)

    def _pack_wide(self, column: Column) -> bytes:
        """Encode block by block, in version 2."""
        return MARK + encode_columns(column, np.array([0, column.size], np.int64), self.level)[0]

    def _unpack_wide(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode block by block, in the version that they are of."""
        is_double, words = column.dtype == FLOAT64, column.view(np.uint64)
        if frame.start < frame.stop and data[frame.start] == VERSION:
            space = Workspace.of_thread()
            whole = read_columns(
                data, np.array([frame.start + 1]), np.array([frame.stop]), np.array([0, column.size]), is_double,
                NO_OTHERS, BANK, space.rows, *space.room, space.levels[:0], words,
            )  # fmt: skip
        else:
            whole = _read_version_1(data, frame, is_double, words)
        if not whole:
            raise CorruptDataError("the tally payload does not hold the values it promises: it is damaged")


def _read_version_1(data: Bytes, frame: Frame, is_double: bool, words: Words) -> bool:
    """Decode the blocks of frames as they were up to version 1; return whether they are whole."""
    count, at = min(words.size, BLOCK), frame.start
    room, levels = Room.of(count), np.empty(count, np.uint64)
    for first in range(0, words.size, BLOCK):
        block = words[first : first + BLOCK]
        size, at = (int(number) for number in take_varint(data, U(at), U(frame.stop)))
        at += size
        if at > frame.stop or not read_block(
            data, U(at - size), U(at), is_double, NO_OTHERS, U(0), *room, levels[: block.size], block
        ):
            return False
    return at == frame.stop
