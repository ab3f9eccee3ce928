"""Times as files tell them: numbers since an epoch, in a unit to be found, and dates; all become whole numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from squeezelab.errors import InvalidRequestError
from squeezelab.readers._numbers import NUMBER

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_DECIMALS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
PLAUSIBLE = (10**8, 41 * 10**8)
"""Seconds from 1973 to 2099: what numbers must be to pass for times where no name says that they are."""

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ]\s*(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE,
)
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?!\d)")


class Times(NamedTuple):
    """A column's times in a unit, and which cells have one."""

    timestamps: npt.NDArray[np.int64]
    unit: str
    present: npt.NDArray[np.bool_]


class Clock:
    """Reads the times of one file; what the first of them are holds for all.

    Parameters
    ----------
    unit : {"s", "ms", "us", "ns"}, optional
        Unit of numbers; found by their size if not given.

    Attributes
    ----------
    form : str
        What the times turned out to be, in words.
    rounded : int
        How many were finer than a nanosecond.

    Examples
    --------
    >>> clock = Clock()
    >>> clock.read(pa.array(["2014-04-10 00:04:00", "2014-04-10T00:09:00"])).timestamps, clock.form
    (array([1397088240, 1397088540]), 'dates, UTC')
    >>> clock = Clock()
    >>> clock.read(pa.array([1397088240123, 1397088255123])).unit, clock.form
    ('ms', 'milliseconds since 1970, by their size')
    """

    def __init__(self, unit: str | None = None) -> None:
        if unit is not None and unit not in NANOSECONDS:
            raise InvalidRequestError(f"unknown time unit {unit!r}: choose one of {', '.join(NANOSECONDS)}")
        self._unit = unit
        self._numbers: bool | None = None
        self._month_first: bool | None = None
        self.form = ""
        self.rounded = 0

    def read(self, column: pa.Array) -> Times:
        """Read a column of dates, numbers or texts of either."""
        kind = column.type
        if pa.types.is_date(kind):
            self.form = "dates"
            return _of_integers(column.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms")), None)
        if pa.types.is_timestamp(kind):
            self.form = f"time stamps of {UNIT_NAMES[kind.unit]}" + (f", {kind.tz}" if kind.tz else ", taken for UTC")
            return _of_integers(column, kind.unit)
        if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
            return self._read_integers(column.cast(pa.int64()))
        if pa.types.is_uint64(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            self._numbers = True
            column = column.cast(pa.float64() if pa.types.is_float16(kind) else kind).cast(pa.string())
        if not pa.types.is_string(column.type):
            raise InvalidRequestError(f"a time column of {kind} cannot be read: give --time-column")
        return self._read_texts(column)

    def _read_integers(self, column: pa.Array) -> Times:
        whole = column.drop_null()
        if len(whole):
            self._understand(float(np.median(np.abs(whole.to_numpy().astype(np.float64)))))
        return _of_integers(column, self._unit or "s")

    def _understand(self, size: float) -> None:
        """Settle the unit of numbers, by the size of the first ones if it was not given."""
        if self.form:
            return
        how = "as said" if self._unit else "by their size"
        self._unit = self._unit or unit_by_size(size)
        told = size * NANOSECONDS[self._unit] >= PLAUSIBLE[0] * 10**9
        self.form = f"{UNIT_NAMES[self._unit]} since {'1970' if told else 'a beginning of their own'}, {how}"

    def _read_texts(self, column: pa.Array) -> Times:
        if self._numbers is None:
            self._numbers = _share(column, _is_number) > 0.5
        if not self._numbers:
            return self._read_dates(column)
        try:
            return self._read_integers(column.cast(pa.int64()))
        except pa.ArrowInvalid:
            return self._read_decimals(column)

    def _read_decimals(self, column: pa.Array) -> Times:
        sizes = [abs(float(text)) for text in column.slice(0, 1000).to_pylist() if text and _is_number(text)]
        self._understand(float(np.median(sizes)) if sizes else 0.0)
        unit = self._unit or "s"
        try:
            return _of_decimals(column, _DECIMALS[unit])
        except pa.ArrowInvalid:
            return _one_by_one(column, lambda text: self._exact(text, unit))

    def _exact(self, text: str, unit: str) -> int | None:
        try:
            exact = Decimal(text) * NANOSECONDS[unit]
            nearest = round(exact)
        except (InvalidOperation, ValueError, OverflowError):
            return None
        self.rounded += nearest != exact
        return nearest

    def _read_dates(self, column: pa.Array) -> Times:
        self.form = "dates, UTC"
        first = next((text for text in column.to_pylist() if text), "")
        zone = "UTC" if re.search(r":\d\d.*(Z|[-+]\d\d:?\d\d)$", first) else None
        if zone:
            self.form = "dates with a time zone"
        for unit in NANOSECONDS:
            try:
                return _of_integers(column.cast(pa.timestamp(unit, zone)), unit)
            except pa.ArrowInvalid:
                continue
        if self._month_first is None and _YEAR_LAST.match(first):
            self._month_first = _month_comes_first(column.to_pylist())
        return _one_by_one(column, lambda text: parse_date(text, self._month_first))


def unit_by_size(size: float) -> str:
    """Return the unit in which a number of this size is a time of our days.

    Seconds until the year 5138; milliseconds, microseconds and nanoseconds from 1973 on.

    Examples
    --------
    >>> [unit_by_size(size) for size in (30, 1.7e9, 1.7e12, 1.7e15, 1.7e18)]
    ['s', 's', 'ms', 'us', 'ns']
    """
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def looks_like_times(column: pa.Array) -> bool:
    """Tell whether a column without a telling name holds times: dates, or rising numbers of our days."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return True
    cells = [text for text in column.slice(0, 1000).to_pylist() if text is not None]
    if not cells or isinstance(cells[0], bool):
        return False
    if isinstance(cells[0], str):
        if not all(map(_is_number, cells)):
            return sum(map(_is_date, cells)) > len(cells) / 2
        cells = list(map(float, cells))
    if not all(isinstance(cell, int | float) for cell in cells) or any(a > b for a, b in pairwise(cells)):
        return False
    seconds = float(cells[0]) * NANOSECONDS[unit_by_size(abs(float(cells[0])))] / 10**9
    return PLAUSIBLE[0] <= seconds <= PLAUSIBLE[1]


def holds_times(column: pa.Array) -> bool:
    """Tell whether a column that is called a time can be one: it has numbers or dates."""
    cells = [text for text in column.slice(0, 1000).to_pylist() if text is not None]
    texts = [text for text in cells if isinstance(text, str)]
    if len(texts) < len(cells):
        return isinstance(cells[0], int | float | Decimal | date) and not isinstance(cells[0], bool)
    return bool(texts) and sum(_is_number(text) or _is_date(text) for text in texts) > len(texts) / 2


def _is_date(text: str) -> bool:
    """Tell whether a text is a date, the day or the month first."""
    return any(parse_date(text, month_first) is not None for month_first in (True, False))


def parse_date(text: str, month_first: bool | None = None) -> int | None:
    """Return a date of ISO 8601 or its neighbours as nanoseconds since 1970, None if it is none.

    Without a zone it is UTC. ``10/04/2014`` is only read where it is known which of the two is the month.

    Examples
    --------
    >>> parse_date("1970-01-01T00:00:01.5Z"), parse_date("1970-01-01 02:00+01:00") == 3600 * 10**9
    (1500000000, True)
    """
    text = _YEAR_FIRST.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", text.strip(), count=1)
    if month_first is not None:
        mm, dd = (1, 2) if month_first else (2, 1)
        text = _YEAR_LAST.sub(lambda found: f"{found[3]}-{found[mm]:0>2}-{found[dd]:0>2}", text, count=1)
    found = _ISO.fullmatch(text)
    if not found or re.fullmatch(r"\d+", text):
        return None
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1) * 10**9 + int((found[7] or "").ljust(9, "0")) - _offset(found[8])


def why_no_time(cell: object) -> str:
    """Return what to say of a cell that is no time.

    Examples
    --------
    >>> why_no_time("01/02/2024")
    'may mean two days: write dates as 2024-02-01'
    """
    if isinstance(cell, str) and parse_date(cell, True) is not None:
        return "may mean two days: write dates as 2024-02-01"
    return "is no time"


def to_nanoseconds(text: str) -> int:
    """Return a moment that a user gives, a date or a number of seconds, as nanoseconds.

    Raises
    ------
    InvalidRequestError
        If it is neither.

    Examples
    --------
    >>> to_nanoseconds("3600"), to_nanoseconds("1970-01-02")
    (3600000000000, 86400000000000)
    """
    moment = round(Decimal(text) * 10**9) if re.fullmatch(r"-?\d{1,12}(\.\d*)?", text) else parse_date(text)
    if moment is None:
        raise InvalidRequestError(f"{text!r} is no time: give a date as 2026-11-20T12:00:00Z, or seconds")
    return moment


def _offset(zone: str | None) -> int:
    if not zone or zone[0] not in "+-":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[3:].strip(":") or 0)
    return (minutes if zone[0] == "+" else -minutes) * 60 * 10**9


def _is_number(text: str) -> bool:
    return bool(NUMBER.fullmatch(text)) and text.lower().strip("+-")[0] not in "ni"


def _share(column: pa.Array, holds: Callable[[str], bool]) -> float:
    texts = [text for text in column.slice(0, 1000).to_pylist() if text]
    return sum(map(holds, texts)) / max(1, len(texts))


def _month_comes_first(texts: list[str | None]) -> bool | None:
    """Tell month from day in dates such as 10/25/2014: one of them exceeds 12 somewhere. None if neither does."""
    pairs = [(int(found[1]), int(found[2])) for text in texts if text and (found := _YEAR_LAST.match(text))]
    month_first, day_first = any(second > 12 for _, second in pairs), any(first > 12 for first, _ in pairs)
    return None if month_first == day_first else month_first


def _of_integers(column: pa.Array, unit: str | None) -> Times:
    unit = unit or column.type.unit
    present = column.is_valid().to_numpy(zero_copy_only=False)
    column = column.cast(pa.int64())
    return Times((column.fill_null(0) if column.null_count else column).to_numpy(), unit, present)


def _of_decimals(column: pa.Array, digits: int) -> Times:
    """Read decimals exactly, as nanoseconds."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    filled = compute.fill_null(column, "0").cast(pa.decimal128(38, digits))
    words = np.frombuffer(filled.buffers()[1], "<i8")[2 * filled.offset :][: 2 * len(filled)]
    low, high = words[::2], words[1::2]
    if np.any(high != low >> 63):
        raise pa.ArrowInvalid("out of range")
    return Times(low.astype(np.int64), "ns", present)


def _one_by_one(column: pa.Array, convert: Callable[[str], int | None]) -> Times:
    """Read texts of which some are no times, or of a kind that Arrow does not know."""
    moments = [convert(text) if text else None for text in column.to_pylist()]
    usable = [moment is not None and -_LARGEST <= moment <= _LARGEST for moment in moments]
    timestamps = [moment if fits else 0 for moment, fits in zip(moments, usable, strict=True)]
    return Times(np.array(timestamps, np.int64), "ns", np.array(usable, np.bool_))
