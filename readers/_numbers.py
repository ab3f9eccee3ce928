"""Text to numbers: the nearest doubles, as ``float`` reads them, and what is none told apart from what lacks."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

NUMBER = re.compile(r"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)", re.IGNORECASE | re.ASCII)
TRUTH = {"true": 1.0, "false": 0.0}
ABSENT = ("", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None", "<NA>")
"""How texts say that there is no value. NaN is not among them: it is a value."""


class Numbers(NamedTuple):
    """A column's values, which cells have one, and which hold something that is no number."""

    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]


def to_numbers(column: pa.Array) -> Numbers:
    """Turn a column of any type into doubles.

    Parameters
    ----------
    column : pyarrow.Array
        Text, numbers or booleans, which are 0 and 1.

    Examples
    --------
    >>> numbers = to_numbers(pa.array(["0.1", "true", None, "x"]))
    >>> numbers.values[numbers.present], numbers.bad
    (array([0.1, 1. ]), array([False, False, False,  True]))
    """
    if pa.types.is_string(column.type):
        return _parse(column)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.uint8())
    if column.null_count:
        column = column.fill_null(0)
    # Not safe: an integer beyond 2**53 becomes the nearest double. Who cares is told by `rounds_integers`.
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Numbers(values, present, np.zeros(len(column), np.bool_))


def rounds_integers(column: pa.Array) -> bool:
    """Tell whether a column has integers that no double holds exactly."""
    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return False
    numbers = column.drop_null().to_numpy()
    sizes = np.where(numbers < 0, -numbers, numbers).astype(np.uint64)
    lowest_bits = np.maximum(sizes & (~sizes + np.uint64(1)), np.uint64(1))
    return bool(np.any(sizes // lowest_bits >= np.uint64(2**53)))


def _parse(column: pa.Array) -> Numbers:
    """Read texts; most columns need no trimming, and no second look."""
    with suppress(pa.ArrowInvalid):
        return _cast(column)
    texts = tidy(column)
    with suppress(pa.ArrowInvalid):
        return _cast(texts)
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    cells = [parse_number(text) if text is not None else None for text in texts.to_pylist()]
    found = np.array([cell is not None for cell in cells], np.bool_)
    values = np.array([0.0 if cell is None else cell for cell in cells], np.float64)
    return Numbers(values, found, present & ~found)


def _cast(texts: pa.Array) -> Numbers:
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    filled = texts.fill_null("0") if texts.null_count else texts
    values = filled.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Numbers(values, present, np.zeros(len(texts), np.bool_))


def parse_number(text: str) -> float | None:
    """Return a text's number, None if it is none.

    Examples
    --------
    >>> parse_number(" 0.1 "), parse_number("False"), parse_number("1_000")
    (0.1, 0.0, None)
    """
    text = text.strip()
    if NUMBER.fullmatch(text):
        return float(text)
    return TRUTH.get(text.lower())


def tidy(column: pa.Array) -> pa.Array:
    """Return a column; of text, without blanks around its cells, and null where they say that nothing is there."""
    if not pa.types.is_string(column.type):
        return column
    column = compute.utf8_trim_whitespace(column)
    return compute.if_else(compute.is_in(column, pa.array(ABSENT)), pa.scalar(None, pa.string()), column)
