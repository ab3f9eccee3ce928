"""Times as files tell them: numbers since an epoch, in a unit to be found, and dates; all become whole numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.readers._numbers import NUMBER
from squeezelab.times import unit_by_size

if TYPE_CHECKING:
    from squeezelab.readers.options import ReadOptions

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_DECIMALS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
PLAUSIBLE = (10**8, 41 * 10**8)
"""Seconds from 1973 to 2099: what numbers must be to pass for times where no name says that they are."""

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ]\s*(\d\d?):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE,
)
_DAY = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_DAY_DIGITS = r"^([12][0-9]{3})([01][0-9])([0-3][0-9])$"
_ZONE_AT_END = re.compile(r":\d\d.*(Z|UTC|GMT|[-+]\d\d(:?\d\d)?)$", re.IGNORECASE)
_HALF_OF_DAY = re.compile(r"(.*[T ])(\d{1,2})((?::\d\d){1,2}(?:[.,]\d+)?)\s*([AP])\.?M\.?", re.IGNORECASE)
TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?\s*([AP]\.?M\.?)?", re.IGNORECASE)
_EXCEL_DAYS = (36_526, 65_000)
"""2000 to 2077: what numbers must be to pass for days of Excel."""
_EXCEL_EPOCH = 25_569
"""The number of 1970-01-01."""
_SIGHT = 1000
_FEW = 20
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?!\d)")
_DOTTED = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}(?!\d)")
"""Where dates have dots, the day comes first."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*"
_WITH_MONTH = (
    re.compile(
        rf"(?:[a-z]{{3,9}},? )?(?P<day>\d{{1,2}})[ /-]{_MONTH}[ /-](?P<year>\d{{4}})(?P<rest>$|[ :T].*)", re.IGNORECASE
    ),
    re.compile(
        rf"(?:[a-z]{{3,9}},? )?{_MONTH} +(?P<day>\d{{1,2}}), (?P<year>\d{{4}})(?P<rest>$|[ ,].*)", re.IGNORECASE
    ),
    re.compile(
        rf"(?:[a-z]{{3,9}},? )?{_MONTH} +(?P<day>\d{{1,2}})(?P<rest> [\d:.]+)(?: (?:UTC|GMT))? (?P<year>\d{{4}})",
        re.IGNORECASE,
    ),
)
"""Dates with an English month: 01-Jan-2024 and Mon, 01 Jan 2024; Jan 1, 2024; Mon Jan  1 00:00:00 2024."""


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
    zone : ZoneInfo, optional
        Time zone of dates that name none; UTC if not given.
    date_format : str, optional
        As in `ReadOptions`.

    Attributes
    ----------
    form : str
        What the times turned out to be, in words.
    table : str
        The name of the table, if the times are of one: numbers may then be Excel's days.
    dated : bool
        Whether the column's name says that it holds dates.
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
    >>> clock = Clock(zone=ZoneInfo("Europe/Berlin"))
    >>> clock.read(pa.array(["2024-10-27 02:30", "2024-10-27 02:00"])).timestamps.tolist()
    [1729989000, 1729990800]
    """

    def __init__(self, unit: str | None = None, zone: ZoneInfo | None = None, date_format: str | None = None) -> None:
        self._unit = unit
        self._zone = zone
        self._numbers: bool | None = None
        self._excel = date_format == "excel"
        self._month_first = {"month-first": True, "day-first": False}.get(date_format or "")
        self._format = date_format if date_format and "%" in date_format else None
        self._last: int | None = None
        self._falls = [0, 0]
        self.form = ""
        self.table = ""
        self.dated = False
        self.rounded = 0
        self.ambiguous = 0
        self.skipped = 0

    @classmethod
    def of(cls, options: ReadOptions) -> Clock:
        """Return the clock for files of which the user says this."""
        return cls(options.time_unit, options.zone, options.date_format)

    @property
    def words(self) -> list[str]:
        """What to tell of the times."""
        told = []
        if self.rounded:
            told.append(f"times finer than a nanosecond, rounded: {self.rounded:,}")
        if self.ambiguous:
            told.append(f"times of the hour that comes twice, told apart by their order: {self.ambiguous:,}")
        if self.skipped:
            told.append(f"times of the hour that summer time leaves out, rejected: {self.skipped:,}")
        if 0 < self._falls[0] == self._falls[1] <= _FEW and self._zone is None:
            told.append("dates fall back by an hour: if they are local times, give --timezone, as Europe/Berlin")
        return told

    def read(self, column: pa.Array) -> Times:
        """Read a column of dates, numbers or texts of either."""
        kind = column.type
        if pa.types.is_date(kind):
            self.form = "dates" if self._zone is None else f"dates, {self._zone}"
            days = column.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
            return self._in_zone(_of_integers(days, None))
        if pa.types.is_timestamp(kind):
            return self._read_stamps(column)
        if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
            return self._read_integers(column.cast(pa.int64()))
        if pa.types.is_uint64(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            self._numbers = True
            column = column.cast(pa.float64() if pa.types.is_float16(kind) else kind).cast(pa.string())
        if not pa.types.is_string(column.type):
            raise InvalidRequestError(f"a time column of {kind} cannot be read: give --time-column")
        return self._read_texts(column)

    def _read_stamps(self, column: pa.Array) -> Times:
        kind = column.type
        zone = kind.tz or (str(self._zone) if self._zone else "taken for UTC")
        self.form = f"time stamps of {UNIT_NAMES[kind.unit]}, {zone}"
        times = _of_integers(column, kind.unit)
        return times if kind.tz else self._in_zone(times)

    def _read_integers(self, column: pa.Array) -> Times:
        whole = column.drop_null()
        if len(whole):
            sizes = whole.slice(0, _SIGHT).to_numpy()
            if self._unit is None and not self._excel and not self.form and _are_days(sizes):
                self._numbers = False
                return self._read_texts(column.cast(pa.string()))
            if self._are_excel(sizes.astype(np.float64)):
                return self._read_excel(column.cast(pa.float64(), safe=False))
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

    def _are_excel(self, sizes: npt.NDArray[np.float64]) -> bool:
        """Tell, by the first numbers, whether they are Excel's days since 1899-12-30.

        Raises
        ------
        DataSourceError
            If they may as well be seconds.
        """
        if self._excel or self.form or not self.table or self._unit is not None or not len(sizes):
            return self._excel
        if not np.all((sizes >= _EXCEL_DAYS[0]) & (sizes < _EXCEL_DAYS[1])):
            return False
        split = bool(np.any(sizes != np.floor(sizes))) and bool(np.all(np.abs(np.diff(sizes)) <= 1))
        if not self.dated and not split:
            raise DataSourceError(
                f"{self.table}: times such as {sizes[0]:g} may be Excel's days or seconds: "
                "give --date-format excel or --time-unit s"
            )
        self._excel = True
        return True

    def _read_excel(self, column: pa.Array) -> Times:
        self.form = "Excel's days since 1899-12-30" + (f", {self._zone}" if self._zone else ", UTC")
        days = column.fill_null(0.0).to_numpy(zero_copy_only=False)
        present = column.is_valid().to_numpy(zero_copy_only=False) & (np.abs(days) < 3e6)
        days = np.where(present, days, float(_EXCEL_EPOCH))
        # Of six decimals or fewer, whole seconds are all they can tell; else milliseconds: Excel has nothing finer.
        millionths = 1e6 * days
        unit = "s" if np.all(np.abs(millionths - np.rint(millionths)) < 1e-3) else "ms"
        moments = np.rint((days - _EXCEL_EPOCH) * (86_400 if unit == "s" else 86_400_000)).astype(np.int64)
        return self._in_zone(Times(moments, unit, present))

    def _read_texts(self, column: pa.Array) -> Times:
        if self._numbers is None:
            self._numbers = self._format is None and _share(column, _is_number) > 0.5
            if self._numbers and self._unit is None and not self._excel:
                self._numbers = not _are_days_as_text(column)
        if not self._numbers:
            days = compute.replace_substring_regex(column, _DAY_DIGITS, r"\1-\2-\3")
            return self._read_dates(column if self._format else days)
        try:
            return self._read_integers(column.cast(pa.int64()))
        except pa.ArrowInvalid:
            return self._read_decimals(column)

    def _read_decimals(self, column: pa.Array) -> Times:
        sizes = [float(text) for text in column.slice(0, _SIGHT).to_pylist() if text and _is_number(text)]
        if self._are_excel(np.array(sizes)):
            cells = [float(text) if text and _is_number(text) else None for text in column.to_pylist()]
            return self._read_excel(pa.array(cells, pa.float64()))
        self._understand(float(np.median(np.abs(sizes))) if sizes else 0.0)
        unit = self._unit or "s"
        try:
            return _of_decimals(column, _DECIMALS[unit])
        except pa.ArrowInvalid:
            return _one_by_one(column, lambda text: self._exact(text, unit))

    def _exact(self, text: str, unit: str) -> int | None:
        try:
            exact = Decimal(text) * NANOSECONDS[unit]
            if exact and exact.adjusted() > 20:  # far beyond 64 bits: some exponents would take all memory
                return None
            nearest = round(exact)
        except (ArithmeticError, ValueError):
            return None
        self.rounded += nearest != exact
        return nearest

    def _read_dates(self, column: pa.Array) -> Times:
        first = next((text for text in column.to_pylist() if text), "").strip()
        zone = "UTC" if re.search(r":\d\d.*(Z|UTC|GMT|[-+]\d\d:?\d\d)$", first) else None
        self.form = "dates with a time zone" if zone else f"dates, {self._zone or 'UTC'}"
        if self._format is not None:
            times = _by_format(column, self._format)
            return times if "%z" in self._format else self._in_zone(times)
        for unit in NANOSECONDS:
            try:
                times = _of_integers(column.cast(pa.timestamp(unit, zone)), unit)
                return times if zone else self._in_zone(times)
            except pa.ArrowInvalid:
                continue
        if self._month_first is None and _YEAR_LAST.match(first):
            self._month_first = _month_comes_first(column.to_pylist())
        times = _one_by_one(column, lambda text: parse_date(text, self._month_first))
        named = [text is not None and bool(_ZONE_AT_END.search(text)) for text in column.to_pylist()]
        return self._in_zone(times, ~np.array(named, np.bool_))

    def _in_zone(self, times: Times, local: npt.NDArray[np.bool_] | None = None) -> Times:
        """Return times in UTC where they are local ones; the hour that comes twice is told by the order of rows."""
        local = times.present if local is None else times.present & local
        if self._zone is None:
            self._watch(times, local)
            return times
        naive = pa.array(times.timestamps, pa.timestamp(times.unit))
        ends = [
            compute.assume_timezone(naive, str(self._zone), ambiguous=end, nonexistent=end)
            for end in ("earliest", "latest")
        ]
        early, late = (end.cast(pa.int64()).to_numpy() for end in ends)
        back = compute.local_timestamp(ends[0]).cast(pa.int64()).to_numpy()
        missing = local & (early != late) & (back != times.timestamps)
        chosen = early.copy()
        last = self._last
        twice = np.flatnonzero(local & (early != late) & ~missing).tolist()
        for i in twice:
            before = chosen[i - 1] * NANOSECONDS[times.unit] if i else last
            if before is not None and early[i] * NANOSECONDS[times.unit] < before:
                chosen[i] = late[i]
        self.ambiguous += len(twice)
        self.skipped += int(np.count_nonzero(missing))
        if len(chosen):
            self._last = int(chosen[-1]) * NANOSECONDS[times.unit]
        return Times(np.where(local, chosen, times.timestamps), times.unit, times.present & ~missing)

    def _watch(self, times: Times, local: npt.NDArray[np.bool_]) -> None:
        """Count the times that fall back, and those that do by an hour or so, as clocks do in autumn."""
        second = 10**9 // NANOSECONDS[times.unit]
        moments = times.timestamps[local]
        steps = (moments[1:] - moments[:-1])[moments[1:] < moments[:-1]]
        self._falls[0] += int(np.count_nonzero((steps >= -3600 * second) & (steps <= -1800 * second)))
        self._falls[1] += len(steps)


def with_point(column: pa.Array) -> pa.Array:
    """Return a column; of text, with a point in numbers such as ``45292,5``."""
    if not pa.types.is_string(column.type):
        return column
    return compute.replace_substring_regex(column, r"^([-+]?[0-9]+),([0-9]+)$", r"\1.\2")


def _are_days(numbers: npt.NDArray[np.int64]) -> bool:
    """Tell whether numbers are dates of eight digits, 20240131."""
    return bool(len(numbers)) and all(_DAY.fullmatch(str(number)) for number in numbers.tolist())


def _are_days_as_text(column: pa.Array) -> bool:
    texts = [text for text in column.slice(0, _SIGHT).to_pylist() if text]
    return bool(texts) and all(map(_DAY.fullmatch, texts))


def _by_format(column: pa.Array, form: str) -> Times:
    """Read dates that are written as the user says."""
    import pandas as pd

    moments = pd.to_datetime(pd.Series(column.to_pylist(), dtype="str"), format=form, errors="coerce", utc="%z" in form)
    present = moments.notna().to_numpy()
    numbers = moments.dt.tz_localize(None) if "%z" in form else moments
    stamps = numbers.to_numpy().astype("datetime64[ns]").astype(np.int64)
    return Times(np.where(present, stamps, 0), "ns", present)


def looks_like_times(column: pa.Array) -> bool:
    """Tell whether a column without a telling name holds times: dates, or rising numbers of our days."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return True
    if not _has_cells(column):
        return False
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
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return bool(column.null_count < len(column))
    if not _has_cells(column):
        return False
    cells = [text for text in column.slice(0, 1000).to_pylist() if text is not None]
    texts = [text for text in cells if isinstance(text, str)]
    if len(texts) < len(cells):
        return isinstance(cells[0], int | float | Decimal) and not isinstance(cells[0], bool)
    return bool(texts) and sum(_is_number(text) or _is_date(text) for text in texts) > len(texts) / 2


def _has_cells(column: pa.Array) -> bool:
    """Tell whether a column has cells that can be looked at: Arrow's own types of time may hold what Python has not."""
    kind = column.type
    return bool(pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_decimal(kind)) and not (
        pa.types.is_temporal(kind)
    )


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
    half = _HALF_OF_DAY.fullmatch(text.strip())
    if half and 1 <= int(half[2]) <= 12:
        text = f"{half[1]}{int(half[2]) % 12 + 12 * (half[4] in 'pP'):02}{half[3]}"
    text = _with_number(text)
    text = _YEAR_FIRST.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", text.strip(), count=1)
    if _DOTTED.match(text):
        month_first = False
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


def _with_number(text: str) -> str:
    """Return a date with a number for its English month, the year first; other texts as they are."""
    for form in _WITH_MONTH if re.search("[a-z]{3}", text, re.IGNORECASE) else ():
        if found := form.fullmatch(text):
            rest = found["rest"].lstrip(" ,:T")
            return (
                f"{found['year']}-{_MONTHS.index(found['month'][:3].lower()) + 1:02}-{found['day']:0>2} {rest}".strip()
            )
    return text


def is_moment(cell: str) -> bool:
    """Tell whether a text is a date, or a number that is a time of our days.

    Examples
    --------
    >>> [is_moment(cell) for cell in ("2024-01-31", "1706659200", "1706659200000", "99", "time")]
    [True, True, True, False, False]
    """
    cell = cell.strip()
    if not _is_number(cell):
        return _is_date(cell)
    size = float(cell)
    return PLAUSIBLE[0] <= size * NANOSECONDS[unit_by_size(abs(size))] / 10**9 <= PLAUSIBLE[1]


def why_no_time(cell: object) -> str:
    """Return what to say of a cell that is no time.

    Examples
    --------
    >>> why_no_time("01/02/2024")
    'may mean two days: give --date-format day-first or month-first'
    """
    if isinstance(cell, str) and parse_date(cell, True) is not None:
        return "may mean two days: give --date-format day-first or month-first"
    return "is no time"


def to_nanoseconds(text: str, zone: ZoneInfo | None = None) -> int:
    """Return a moment that a user gives, a date or a number of seconds, as nanoseconds.

    A date that names no zone is of the given one, or UTC.

    Raises
    ------
    InvalidRequestError
        If it is neither.

    Examples
    --------
    >>> to_nanoseconds("3600"), to_nanoseconds("1970-01-02")
    (3600000000000, 86400000000000)
    """
    if re.fullmatch(r"-?\d{1,12}(\.\d*)?", text):
        return round(Decimal(text) * 10**9)
    moment = parse_date(text)
    if moment is None:
        raise InvalidRequestError(f"{text!r} is no time: give a date as 2026-11-20T12:00:00Z, or seconds")
    if zone is None or _ZONE_AT_END.search(text):
        return moment
    local = _EPOCH.replace(tzinfo=None) + timedelta(seconds=moment // 10**9)
    offset = local.replace(tzinfo=zone).utcoffset() or timedelta()
    return moment - offset // timedelta(seconds=1) * 10**9


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
