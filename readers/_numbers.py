"""Text to numbers: the nearest doubles, as ``float`` reads them, and what is none told apart from what lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from squeezelab.dataset import to_doubles
from squeezelab.doubles import count_inexact, is_inexact

NUMBER = re.compile(r"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)", re.IGNORECASE | re.ASCII)
LARGE, TYPED = "large", "typed"
"""Which numbers `to_numbers` keeps as they are."""
ROUNDED = "integers beyond 2^53, each became the nearest double: {}"
MIXED = pa.struct([("double", pa.float64()), ("integer", pa.int64())])
"""The type of a column of doubles and integers that no double holds, as JSON has them in one field."""
TRUTH = {"true": 1.0, "false": 0.0}
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_LONGEST_WHOLE = 400
_WORDS = {*TRUTH, *(sign + word for sign in ("", "+", "-") for word in ("nan", "inf", "infinity"))}
_DIGITS_END = frozenset("0123456789.,")
_EXPONENT = r"(?:[eE][-+]?\d{1,4})?"
_SPACES = " '\u2019\u00a0\u202f"
PLAIN = {
    ".": re.compile(rf"[-+]?(?:\d+\.?\d*|\.\d+){_EXPONENT}", re.ASCII),
    ",": re.compile(rf"[-+]?(?:\d+,?\d*|,\d+){_EXPONENT}", re.ASCII),
}
"""Numbers as they are, by what separates their decimals."""
GROUPED = {
    ".": re.compile(rf"[-+]?\d{{1,3}}([,{_SPACES}])\d{{3}}(?:\1\d{{3}})*(?:\.\d+)?", re.ASCII),
    ",": re.compile(rf"[-+]?\d{{1,3}}([.{_SPACES}])\d{{3}}(?:\1\d{{3}})*(?:,\d+)?", re.ASCII),
}
"""Numbers whose digits stand in groups of three."""
_FORMATTED = re.compile(rf"([-+]?[\d.,](?:[\d.,{_SPACES}]*[\d.,])?{_EXPONENT})[{_SPACES}]*([^\d.,\s+-].*)?", re.ASCII)


def _make_units() -> dict[str, Decimal]:
    """Return what a unit multiplies a number by, as Grafana and others write them."""
    tens = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
    units = {
        "%": Decimal(1),
        "percent": Decimal(1),
        "Mil": Decimal(10**6),
        "Bil": Decimal(10**9),
        "Tri": Decimal(10**12),
    }
    for prefix, power in tens.items():
        for base in ("", "B", "b", "Hz", "W", "V", "A", "Wh"):
            units[prefix + base] = Decimal(10) ** power
        for base in ("", "B", "b") if prefix in ("k", "K", "M", "G", "T", "P", "E") else ():
            units[f"{prefix}i{base}"] = Decimal(1024) ** (power // 3)
    for rate in ("/s", "ps"):
        units |= {f"{unit}{rate}": factor for unit, factor in units.items() if unit[-1:] in ("B", "b")}
    for name in ("ops/s", "req/s", "msg/s", "p/s", "c/s", "reads/s", "writes/s", "rps", "wps", "iops", "io/s"):
        units |= {name: Decimal(1), f"K {name}": Decimal(1000), f"K{name}": Decimal(1000)}
    units |= dict.fromkeys(("\u00b0C", "\u00b0F", "\u00b0"), Decimal(1))
    seconds = {
        "ns": "1e-9",
        "us": "1e-6",
        "\u00b5s": "1e-6",
        "\u03bcs": "1e-6",
        "ms": "1e-3",
        "s": "1",
        "sec": "1",
        "min": "60",
    }
    longer = {"mins": "60", "hour": "3600", "hours": "3600", "h": "3600", "day": "86400", "days": "86400", "d": "86400"}
    del units[""]
    return units | {unit: Decimal(size) for unit, size in (seconds | longer).items()}


UNITS = _make_units()
ABSENT = ("", "-", "NA", "N/A", "n/a", "na", "#N/A", "null", "NULL", "None", "<NA>", "nil", "undefined", "No data")
"""How texts say that there is no value. NaN is not among them: it is a value."""


class Numbers(NamedTuple):
    """A column's values, float64 unless `to_numbers` says more, which cells have one, and which hold no number.

    ``absent`` counts cells that say in words that nothing is there, ``rounded`` integers that no double holds, and
    ``units`` cells with a unit. Where large integers are kept, ``whole`` tells which cells are integers of 64 bits, and
    ``integers`` has these.
    """

    values: npt.NDArray[Any]
    present: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]
    absent: int = 0
    rounded: int = 0
    units: int = 0
    whole: npt.NDArray[np.bool_] | None = None
    integers: npt.NDArray[np.int64] | None = None

    def by_type(
        self, kept: npt.NDArray[np.int64], series: npt.NDArray[np.int64]
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
        """Return some cells, type by type, with their values: a series has one type.

        Where large integers are kept, a series is of integers if it is nothing else, and no double holds one of them.

        Examples
        --------
        >>> numbers = to_numbers(pa.array(["9007199254740993", "0.5", "1"]), keep="large")
        >>> numbers.by_type(np.arange(3), np.array([0, 1, 1]))
        [(array([1, 2]), array([0.5, 1. ])), (array([0]), array([9007199254740993]))]
        """
        values = self.values[kept]
        if self.whole is None or self.integers is None:
            return [(kept, values)]
        integers = self.integers[kept]
        exact = np.zeros(series.max(initial=-1) + 1, np.bool_)
        exact[series[is_inexact(integers)]] = True
        exact[series[~self.whole[kept]]] = False
        mine = exact[series]
        return [(kept[~mine], to_doubles(values[~mine])), (kept[mine], integers[mine])]


def to_numbers(column: pa.Array, decimal: str = ".", keep: str = "") -> Numbers:
    """Turn a column of any type into numbers: doubles, and other numbers that are to be kept as they are.

    Parameters
    ----------
    column : pyarrow.Array
        Text, numbers or booleans, which are 0 and 1.
    decimal : {".", ","}
        What separates the decimals of text.
    keep : {"", "large", "typed"}
        ``large`` keeps as int64 what are integers all, if any is one that no double holds, and beside other numbers as
        `Numbers.by_type` gives them; ``typed`` keeps all integers of a typed column as int64, and float32, and counts
        nulls among ``absent``.

    Examples
    --------
    >>> numbers = to_numbers(pa.array(["0.1", "true", None, "x"]))
    >>> numbers.values[numbers.present], numbers.bad
    (array([0.1, 1. ]), array([False, False, False,  True]))
    >>> to_numbers(pa.array(["1.234,5", "12,5 %"]), ",").values
    array([1234.5,   12.5])
    >>> to_numbers(pa.array(["9007199254740993", "1"]), keep="large").values
    array([9007199254740993,                1])
    """
    if pa.types.is_string(column.type):
        return _parse(column, decimal, keep)
    if column.type == MIXED:
        return _read_mixed(column, keep)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    rounded = count_rounded(column)
    absent = column.null_count if keep == TYPED else 0
    kind = _kept_type(column, keep, rounded)
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.uint8())
    if column.null_count:
        column = column.fill_null(0)
    if kind is not None:
        numbers = Numbers(column.cast(kind).to_numpy(), present, np.zeros(len(column), np.bool_), absent)
        return numbers._replace(whole=~numbers.bad, integers=numbers.values) if keep == LARGE else numbers
    # Not safe: an integer beyond 2**53 becomes the nearest double. How many do is told by `count_rounded`.
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Numbers(values, present, np.zeros(len(column), np.bool_), absent, rounded)


def _kept_type(column: pa.Array, keep: str, rounded: int) -> pa.DataType | None:
    """Return what a typed column is kept as; None for doubles."""
    if pa.types.is_float32(column.type) and keep == TYPED:
        return pa.float32()
    if not pa.types.is_integer(column.type) or not (keep == TYPED or (keep == LARGE and rounded)):
        return None
    most = compute.max(column).as_py() if pa.types.is_uint64(column.type) else 0
    return pa.int64() if (most or 0) < 2**63 else None


def count_rounded(column: pa.Array) -> int:
    """Count the integers of a typed column that no double holds exactly."""
    if not pa.types.is_integer(column.type) or column.type.bit_width < 64:
        return 0
    return count_inexact(column.drop_null().to_numpy())


def _parse(column: pa.Array, decimal: str, keep: str) -> Numbers:
    """Read texts; most columns need no trimming, and no second look."""
    if decimal == ".":
        with suppress(pa.ArrowInvalid):
            return plain_numbers(column, keep)
    trimmed = compute.utf8_trim_whitespace(column)
    texts = tidy(column)
    absent = texts.null_count - column.null_count - int(compute.sum(compute.equal(trimmed, "")).as_py() or 0)
    plain = texts if decimal == "." else _with_point(texts)
    if plain is not None:
        with suppress(pa.ArrowInvalid):
            return plain_numbers(plain, keep)._replace(absent=absent)
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    units = 0
    values, found = np.zeros(len(texts)), np.zeros(len(texts), np.bool_)
    rounded = 0
    for i, text in enumerate(texts.to_pylist()):
        number = None if text is None else parse_formatted(text, decimal)
        if number is not None:
            values[i], found[i] = number, True
            units += text[-1] not in _DIGITS_END and text.lower() not in _WORDS
            rounded += abs(number) >= 2**53 and _integer(text) not in (None, number)
    return Numbers(values, found, present & ~found, absent, rounded, units)


def _with_point(texts: pa.Array) -> pa.Array | None:
    """Return texts with a point for their comma; None where points group digits."""
    if compute.any(compute.match_substring(texts, ".")).as_py():
        return None
    return compute.replace_substring(texts, ",", ".", max_replacements=1)


def plain_numbers(texts: pa.Array, keep: str = "") -> Numbers:
    """Turn texts that are all numbers, or null, into the nearest doubles; the values of nulls are 0.

    Parameters
    ----------
    texts : pyarrow.Array
    keep : {"", "large"}
        As `to_numbers` takes it.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a text is no number.
    """
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    filled = texts.fill_null("0") if texts.null_count else texts
    values = filled.cast(pa.float64()).to_numpy(zero_copy_only=False)
    large = np.flatnonzero(np.abs(values) >= 2**53)
    cells = filled.take(pa.array(large, pa.int64())).to_pylist() if len(large) else []
    told = list(map(_integer, cells))
    rounded = sum(number not in (None, value) for number, value in zip(told, values[large].tolist(), strict=True))
    numbers = Numbers(values, present, np.zeros(len(texts), np.bool_), rounded=rounded)
    return _with_integers(numbers, large, told) if rounded and keep == LARGE else numbers


def _integer(text: str) -> int | None:
    """Return the integer that a text is, None if it is another number."""
    return int(text) if len(text) < _LONGEST_WHOLE and _WHOLE.fullmatch(text) else None


def _with_integers(numbers: Numbers, large: npt.NDArray[np.int64], told: Sequence[int | None]) -> Numbers:
    """Return doubles with the integers that they stand for; of large ones it is told what they are in full."""
    whole = is_whole(numbers.values)
    integers = np.zeros(whole.size, np.int64)
    whole[large] = False
    integers[whole] = numbers.values[whole].astype(np.int64)
    for place, number in zip(large.tolist(), told, strict=True):
        if number is not None and -(2**63) <= number < 2**63:
            whole[place], integers[place] = True, number
    numbers = numbers._replace(whole=whole, integers=integers)
    return numbers._replace(values=integers, rounded=0) if whole.all() else numbers


def mixed_column(cells: Sequence[float | None]) -> pa.Array:
    """Return a column of integers of 64 bits and doubles, each with its bits."""
    doubles = pa.array([None if cell is None else float(cell) for cell in cells], pa.float64(), from_pandas=False)
    integers = pa.array([cell if isinstance(cell, int) else None for cell in cells], pa.int64())
    return pa.StructArray.from_arrays([doubles, integers], fields=list(MIXED), mask=doubles.is_null())


def _read_mixed(column: pa.Array, keep: str) -> Numbers:
    doubles, integers = (column.field(i) for i in range(2))
    rounded = count_inexact(integers.drop_null().to_numpy())
    present = column.is_valid().to_numpy(zero_copy_only=False)
    values = doubles.fill_null(0.0).to_numpy()
    numbers = Numbers(values, present, np.zeros(len(column), np.bool_), rounded=rounded)
    if keep != LARGE:
        return numbers
    return _with_integers(numbers, np.flatnonzero(integers.is_valid()), integers.drop_null().to_pylist())


def is_whole(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which numbers are integers that doubles hold; -0.0 is none."""
    with np.errstate(invalid="ignore"):  # NaNs that signal
        whole = np.isfinite(values) & (np.abs(values) <= 2.0**53) & (values == np.rint(values))
    return np.asarray(whole & ~((values == 0) & np.signbit(values)))


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


def parse_formatted(text: str, decimal: str = ".") -> float | None:
    """Return the number of a text for people, with groups of digits, a decimal comma or a unit; None if it is none.

    Units of time give seconds, units of data bytes or bits; a per cent sign is passed over.

    Examples
    --------
    >>> [parse_formatted(text) for text in ("1,234.5", "12.5%", "1.5 KiB", "250 ms", "3 Mil", "12 apples")]
    [1234.5, 12.5, 1536.0, 0.25, 3000000.0, None]
    >>> parse_formatted("1.234,5 kB", ",")
    1234500.0
    """
    text = text.strip()
    if decimal == "." and (number := parse_number(text)) is not None:
        return number
    if text.lower() in _WORDS:
        return TRUTH.get(text.lower(), float(text) if text.lower() not in TRUTH else None)
    found = _FORMATTED.fullmatch(text)
    factor = UNITS.get(found[2]) if found and found[2] else Decimal(1)
    if found is None or factor is None:
        return None
    digits = found[1]
    if GROUPED[decimal].fullmatch(digits):
        digits = re.sub(f"[^0-9eE{decimal}+-]", "", digits)
    elif not PLAIN[decimal].fullmatch(digits):
        return None
    digits = digits.replace(",", ".")
    return float(digits) if factor == 1 else float(Decimal(digits) * factor)


def find_decimal(cells: Iterable[str]) -> str | None:
    """Return what separates the decimals of these cells; "?" if they may mean either, None if none has decimals.

    Examples
    --------
    >>> find_decimal(["0,5", "12"]), find_decimal(["1,234.5"]), find_decimal(["1,234"]), find_decimal(["1.5"])
    (',', '.', '?', '.')
    """
    doubtful = False
    comma = False
    for cell in cells:
        found = _FORMATTED.fullmatch(cell.strip()) if "," in cell or cell.count(".") > 1 else None
        if found is None:
            if PLAIN["."].fullmatch(cell.strip()) and "." in cell and not GROUPED[","].fullmatch(cell.strip()):
                return "." if not comma else None
            continue
        point, theirs = (bool(PLAIN[one].fullmatch(found[1]) or GROUPED[one].fullmatch(found[1])) for one in (".", ","))
        if point and not theirs:
            return "."
        comma |= theirs and not point
        doubtful |= theirs and point
    return "," if comma else "?" if doubtful else None


def tidy(column: pa.Array) -> pa.Array:
    """Return a column; of text, without blanks around its cells, and null where they say that nothing is there."""
    if not pa.types.is_string(column.type):
        return column
    column = compute.utf8_trim_whitespace(column)
    return compute.if_else(compute.is_in(column, pa.array(ABSENT)), pa.scalar(None, pa.string()), column)
