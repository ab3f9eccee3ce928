r"""Columns of other widths, as the int64 and float64 that tally codes.

Integers become int64: narrower ones by their value, uint64 by its bits. float32 has two ways, told by the payload's
first byte:

::

    0           doubles, each of which rounds to its float32: 0.1 itself where the float32 is the nearest to it, and
                the decimals with it; else the float32's own value
    1           its bits, as int32

The second is for NaNs whose bits do not come through arithmetic, and is taken wherever it is smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT32, FLOAT64, INT64, Bytes, Frame
from squeezelab.errors import CorruptDataError

Column = npt.NDArray[Any]

AS_DOUBLES, AS_BITS = 0, 1
MOST_DIGITS = 9
"""So many digits tell any float32 from all others."""


def widen(column: Column) -> list[tuple[bytes, Column]]:
    r"""Return the ways to code a column: what a payload begins with, and int64[n] or float64[n].

    Examples
    --------
    >>> widen(np.array([1, 255], np.uint8))
    [(b'', array([  1, 255]))]
    >>> widen(np.array([0.1, 0.2], np.float32))[0]
    (b'\x00', array([0.1, 0.2]))
    """
    if column.dtype in (INT64, FLOAT64):
        return [(b"", column)]
    if column.dtype != FLOAT32:
        return [(b"", column.view(np.int64) if column.dtype == np.uint64 else column.astype(np.int64))]
    ways = [(bytes([AS_BITS]), column.view(np.int32).astype(np.int64))]
    doubles = _as_doubles(column)
    if _same_bits(_as_float32(doubles), column).all():
        ways.insert(0, (bytes([AS_DOUBLES]), doubles))
    return ways


@contextmanager
def narrow(data: Bytes, frame: Frame, column: Column) -> Iterator[tuple[int, Column]]:
    """Give where the payload of `widen`'s column begins, and room for it; then fill the column from there.

    Raises
    ------
    CorruptDataError
        If there is no such way, or an integer does not fit the column's dtype.
    """
    if column.dtype in (INT64, FLOAT64, np.dtype(np.uint64)):
        yield frame.start, column if column.dtype == FLOAT64 else column.view(np.int64)
        return
    if column.dtype != FLOAT32:
        wide = np.empty(column.size, np.int64)
        yield frame.start, wide
        _fill_integers(column, wide)
        return
    way = data[frame.start] if frame.stop > frame.start else None
    if way not in (AS_DOUBLES, AS_BITS):
        raise CorruptDataError("the tally payload holds float32 in no way that there is: it is damaged")
    wide = np.empty(column.size, FLOAT64 if way == AS_DOUBLES else INT64)
    yield frame.start + 1, wide
    if way == AS_DOUBLES:
        column[:] = _as_float32(wide)
    else:
        _fill_integers(column.view(np.int32), wide)


def _fill_integers(column: Column, wide: Column) -> None:
    limits = np.iinfo(column.dtype)
    if wide.size and (wide.min() < limits.min or wide.max() > limits.max):
        raise CorruptDataError(f"the tally payload holds integers beyond {column.dtype}: it is damaged")
    column[:] = wide


def _as_doubles(column: Column) -> Column:
    """Return doubles that round to float32: decimals, with as many digits as make the most of them."""
    with np.errstate(over="ignore", invalid="ignore"):
        exact = column.astype(np.float64)
        best, most = exact, 0
        for digits in range(MOST_DIGITS + 1):
            decimals = np.rint(exact * 10.0**digits) / 10.0**digits
            good = _same_bits(_as_float32(decimals), column)
            count = int(np.count_nonzero(good))
            if count > 1.01 * most:
                best, most = np.where(good, decimals, exact), count
            if count == column.size:
                break
    return best


def _as_float32(doubles: Column) -> Column:
    with np.errstate(over="ignore", invalid="ignore"):
        return doubles.astype(np.float32)


def _same_bits(a: Column, b: Column) -> npt.NDArray[np.bool_]:
    return np.asarray(a.view(np.uint32) == b.view(np.uint32))
