"""The units in which times are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
TIME_UNITS = tuple(UNITS_PER_SECOND)


def unit_by_size(size: float) -> str:
    """Return the unit in which a number of this size is a time of our days.

    Seconds until the year 5138; milliseconds, microseconds and nanoseconds from 1973 on.

    Examples
    --------
    >>> [unit_by_size(size) for size in (30, 1.7e9, 1.7e12, 1.7e15, 1.7e18)]
    ['s', 's', 'ms', 'us', 'ns']
    """
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def from_dates(dates: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], str]:
    """Return datetime64 as numbers, and the unit that they count.

    Raises
    ------
    ValueError
        If one of them is NaT.

    Examples
    --------
    >>> from_dates(np.array(["1970-01-01T00:01"], "datetime64[m]"))
    (array([60]), 's')
    """
    if np.isnat(dates).any():
        raise ValueError("timestamps must not hold NaT: leave such samples out")
    unit, step = np.datetime_data(dates.dtype)
    if unit not in UNITS_PER_SECOND or step != 1:
        unit = "s" if unit in ("Y", "M", "W", "D", "h", "m") else "ns"
    return dates.astype(f"datetime64[{unit}]").astype(np.int64), unit
