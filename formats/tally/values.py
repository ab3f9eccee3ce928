"""Values of other dtypes than float64 in a tally file: as the int64 or float64 columns that blocks hold.

What a series' blocks stand for is told by its coder in the index: a reader that does not know the number rejects it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT32, FLOAT64, INT64
from squeezelab.codecs.tally.widths import AS_BITS, AS_DOUBLES, widen
from squeezelab.errors import CorruptDataError

OLD_DOUBLES, DOUBLES, INTEGERS, FLOATS_AS_DOUBLES, FLOATS_AS_BITS = range(1, 6)
CODERS = (OLD_DOUBLES, DOUBLES, INTEGERS, FLOATS_AS_DOUBLES, FLOATS_AS_BITS)
"""The coders of series: doubles in blocks of coder 1, and in blocks of coder 2 doubles, int64, float32 by their value,
and float32 by their bits."""
WAYS = {AS_DOUBLES: FLOATS_AS_DOUBLES, AS_BITS: FLOATS_AS_BITS}

Column = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]


def columns_for(values: Column) -> list[tuple[int, Column]]:
    """Return the ways in which blocks can hold values: the coder that says so, and the column for the blocks.

    Examples
    --------
    >>> columns_for(np.array([1, 2]))
    [(3, array([1, 2]))]
    >>> [coder for coder, _ in columns_for(np.array([0.1], np.float32))]
    [4, 5]
    """
    if values.dtype == FLOAT32:
        return [(WAYS[way[0]], column) for way, column in widen(np.ascontiguousarray(values))]
    return [(INTEGERS if values.dtype == INT64 else DOUBLES, values)]


def are_doubles(coders: Integers) -> npt.NDArray[np.bool_]:
    """Tell whose blocks hold doubles."""
    return np.asarray((coders <= DOUBLES) | (coders == FLOATS_AS_DOUBLES))


def dtype_of(coder: int) -> np.dtype[Any]:
    """Return the dtype of the values that a coder stands for."""
    return FLOAT64 if coder <= DOUBLES else INT64 if coder == INTEGERS else FLOAT32


def values_of(coder: int, words: npt.NDArray[np.uint64]) -> Column:
    """Return the values of a series, whose blocks held these words.

    Raises
    ------
    CorruptDataError
        If they are no bits of float32 where they should be.
    """
    if coder == FLOATS_AS_DOUBLES:
        with np.errstate(over="ignore", invalid="ignore"):
            return words.view(FLOAT64).astype(FLOAT32)
    if coder == FLOATS_AS_BITS:
        bits = words.view(INT64)
        if bits.size and (bits.min() < -(2**31) or bits.max() >= 2**31):
            raise CorruptDataError("a series has bits beyond those of float32: the tally file is damaged")
        return bits.astype(np.int32).view(FLOAT32)
    return words.view(dtype_of(coder))
