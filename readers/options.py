"""What a user says of the files to read; whatever is not said is found out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from squeezelab.errors import InvalidRequestError
from squeezelab.readers._times import NANOSECONDS, to_nanoseconds

DATE_WORDS = ("excel", "day-first", "month-first")
DECIMALS = (".", ",")
_INTERVAL = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_SPANS = NANOSECONDS | {"m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


@dataclass(frozen=True)
class ReadOptions:
    """The options of `load`, checked when they are made.

    Parameters
    ----------
    kind : str, optional
        One of `available_readers`; recognised by content, and then by name, if not given.
    time_column : str, optional
        The column of a table that holds the time; found by its name, and then by its content, if not given.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of times that are numbers; told by their size if not given.
    series : str or sequence of str
        Patterns as of a shell, ``cpu_*`` or ``host=a*``: series are read whose name, ``name{label="value"}`` or single
        ``label=value`` fits one of them.
    start, stop : str or number, optional
        The first moment that is read and the first that is not: a date, or seconds since 1970.
    limit : int, optional
        The most samples to read, from the first on; several files share it.
    interval : str, optional
        For tables without a time column: the interval of the rows, ``15s`` or ``250ms``; they begin at 0.
    decimal : {".", ","}, optional
        What separates the decimals of numbers that are text; found by the cells if not given.
    date_format : str, optional
        How dates are written: a format of ``strptime``, ``%d.%m.%Y %H:%M``, or ``excel`` (days since 1899-12-30),
        ``day-first`` or ``month-first``.
    timezone : str, optional
        The time zone of dates that name none, ``Europe/Berlin`` for instance; UTC if not given.
    name : str, optional
        What to call the data, and the folder of its report; after the files if not given.
    doubles : bool
        Whether integers and float32 become float64, as Prometheus and others would keep them.

    Raises
    ------
    InvalidRequestError
        If an option has no such value.

    Examples
    --------
    >>> ReadOptions(series="cpu_*", interval="15s").interval_nanoseconds
    15000000000
    """

    kind: str | None = None
    time_column: str | None = None
    time_unit: str | None = None
    series: str | Sequence[str] = ()
    start: str | float | None = None
    stop: str | float | None = None
    limit: int | None = None
    interval: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    timezone: str | None = None
    name: str | None = None
    doubles: bool = False

    def __post_init__(self) -> None:
        patterns = (self.series,) if isinstance(self.series, str) else tuple(self.series or ())
        object.__setattr__(self, "series", patterns)
        if self.time_unit is not None and self.time_unit not in NANOSECONDS:
            raise InvalidRequestError(f"unknown time unit {self.time_unit!r}: choose one of {', '.join(NANOSECONDS)}")
        if self.decimal is not None and self.decimal not in DECIMALS:
            raise InvalidRequestError(f"unknown decimal separator {self.decimal!r}: choose . or ,")
        if self.limit is not None and self.limit < 1:
            raise InvalidRequestError(f"limit {self.limit} leaves nothing: give a number above 0")
        if self.interval is not None and self.time_column is not None:
            raise InvalidRequestError("an interval is for tables without a time column: give one of the two")
        if self.name is not None and not re.fullmatch(r"[^/\\\0]*[^/\\\0.][^/\\\0]*", self.name):
            raise InvalidRequestError(f"{self.name!r} cannot be the name of a folder: leave out / and \\")
        self._check_date_format()
        _ = self.zone, self.start_nanoseconds, self.stop_nanoseconds, self.interval_nanoseconds

    def _check_date_format(self) -> None:
        if self.date_format is None or self.date_format in DATE_WORDS:
            return
        try:
            moment = datetime(2024, 5, 17, 13, 4, 5)
            datetime.strptime(moment.strftime(self.date_format), self.date_format)
            known = "%" in self.date_format
        except ValueError:
            known = False
        if not known:
            words = ", ".join(DATE_WORDS)
            raise InvalidRequestError(f"unknown date format {self.date_format!r}: give %d.%m.%Y %H:%M, or {words}")

    @cached_property
    def zone(self) -> ZoneInfo | None:
        """The time zone of dates that name none; None is UTC."""
        if self.timezone is None:
            return None
        try:
            return ZoneInfo(self.timezone)
        except (ValueError, OSError, LookupError) as error:
            raise InvalidRequestError(
                f"unknown time zone {self.timezone!r}: give one as Europe/Berlin or Etc/GMT-1"
            ) from error

    @cached_property
    def start_nanoseconds(self) -> int | None:
        """First nanosecond that is wanted."""
        return None if self.start is None else to_nanoseconds(str(self.start), self.zone)

    @cached_property
    def stop_nanoseconds(self) -> int | None:
        """First nanosecond that is not wanted."""
        return None if self.stop is None else to_nanoseconds(str(self.stop), self.zone)

    @cached_property
    def interval_nanoseconds(self) -> int | None:
        """Nanoseconds from row to row of a table without times."""
        if self.interval is None:
            return None
        found = _INTERVAL.fullmatch(self.interval.strip())
        length = round(float(found[1]) * _SPANS[found[2]]) if found else 0
        if not 0 < length < 2**62:
            raise InvalidRequestError(f"{self.interval!r} is no interval: give one as 15s, 250ms, 1m or 1h")
        return length
