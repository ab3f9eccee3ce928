"""Samples of any number of files to one data set: chosen, in the order of time, in one unit."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import VALUE_DTYPES, MetricDataset, SeriesKey, to_doubles, to_words
from squeezelab.doubles import count_inexact
from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import is_whole
from squeezelab.readers._times import NANOSECONDS
from squeezelab.readers.base import Samples

_FOREVER = 2**127
INTEGER = np.dtype(np.int64)
_INT64 = np.iinfo(np.int64)


class Collected(NamedTuple):
    """A data set, and what had to be put in order.

    Attributes
    ----------
    misplaced : int
        Samples that came before an earlier one of their series had come.
    doubled : int
        Samples that have the time of another of their series.
    rounded : int
        Integers that no double holds, in series that have other numbers besides.
    """

    dataset: MetricDataset
    misplaced: int
    doubled: int
    rounded: int = 0

    def as_doubles(self) -> Collected:
        """Return it with doubles alone; integers that become others are counted."""
        inexact = sum(count_inexact(series.values) for series in self.dataset)
        return self._replace(dataset=self.dataset.as_doubles(), rounded=self.rounded + inexact)

    @property
    def words(self) -> list[str]:
        """What to tell of it."""
        told = []
        if self.misplaced:
            told.append(f"series were sorted by time; samples that came too late: {self.misplaced:,}")
        if self.doubled:
            told.append(f"samples with the time of another one of their series: {self.doubled:,}, all kept")
        if self.rounded:
            told.append(
                "integers beyond 2^53, in series that are of other numbers as well or with --doubles, each became the "
                f"nearest double: {self.rounded:,}"
            )
        return told


class Collector:
    """Gathers samples.

    Parameters
    ----------
    series : sequence of str
        Patterns as of a shell; a series is wanted if one of them fits its name, the whole of it with labels, or a
        single ``label=value``. All are wanted if there is none.
    start, stop : int or None
        The first nanosecond that is wanted, and the first that is not.
    """

    def __init__(self, series: Sequence[str] = (), start: int | None = None, stop: int | None = None) -> None:
        self._patterns = series
        self._start, self._stop = start, stop
        self._numbers: dict[SeriesKey, int] = {}
        self._wanted: dict[SeriesKey, bool] = {}
        self._parts: list[Samples] = []
        self.seen = 0
        """Samples that came, wanted or not."""
        self.span = _FOREVER, -_FOREVER
        """First and last nanosecond of them."""

    def __len__(self) -> int:
        return sum(len(part.values) for part in self._parts)

    @property
    def passed_over(self) -> list[SeriesKey]:
        """Series that no pattern fits."""
        return [key for key, wanted in self._wanted.items() if not wanted]

    @property
    def fitting(self) -> bool:
        """Whether a pattern fits any series."""
        return any(self._wanted.values())

    def add(self, samples: Samples, room: int | None = None) -> int:
        """Take those that are wanted, at most as many as there is room for, and return how many these are."""
        self.seen += len(samples.values)
        wanted = np.array([self._wants(key) for key in samples.keys], np.bool_)[samples.series]
        size = NANOSECONDS[samples.unit]
        if len(samples.timestamps):
            first, last = int(samples.timestamps.min()) * size, int(samples.timestamps.max()) * size
            self.span = min(first, self.span[0]), max(last, self.span[1])
        if self._start is not None:
            wanted &= samples.timestamps >= _clamp(-(-self._start // size))
        if self._stop is not None:
            wanted &= samples.timestamps < _clamp(-(-self._stop // size))
        chosen = np.flatnonzero(wanted)
        if room is not None and len(chosen) > room:
            by_row = np.argsort(samples.rows[chosen], kind="stable")[:room]
            chosen = np.sort(chosen[by_row])
        if len(chosen):
            # Also of those whose samples come later: a table of several dtypes comes a dtype at a time.
            numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in samples.keys], np.int64)
            series, timestamps, values, rows = samples.series, samples.timestamps, samples.values, samples.rows
            if len(chosen) < len(values):
                series, timestamps, values = series[chosen], timestamps[chosen], values[chosen]
            self._parts.append(Samples([], numbers[series], timestamps, samples.unit, values, rows[:0]))
        return len(chosen)

    def _wants(self, key: SeriesKey) -> bool:
        if not self._patterns:
            return True
        if key not in self._wanted:
            faces = [key.metric_name, str(key), *(f"{name}={value}" for name, value in key.labels.items())]
            self._wanted[key] = any(fnmatchcase(face, pattern) for face in faces for pattern in self._patterns)
        return self._wanted[key]

    def finish(self) -> Collected:
        """Lay the samples series after series, each in the order of time, in the coarsest unit that holds all times.

        Samples of equal time stay in the order in which they came, and are all kept.

        Raises
        ------
        DataSourceError
            If the times span more than 64 bits hold in the unit they need.
        """
        unit = max((_unit_needed(part) for part in self._parts), key=list(NANOSECONDS).index, default="s")
        timestamps = _join([_convert(part.timestamps, part.unit, unit) for part in self._parts], np.int64)
        values, dtypes, rounded = _join_values(self._parts, len(self._numbers))
        series = _join([part.series for part in self._parts], np.int64)
        self._parts.clear()
        held = np.flatnonzero(np.bincount(series, minlength=len(self._numbers)))
        keys = list(self._numbers)
        if len(held) < len(keys):
            series = np.searchsorted(held, series)
            keys, dtypes = [keys[i] for i in held], dtypes and [dtypes[i] for i in held]
        if np.any(series[1:] < series[:-1]):
            order = np.argsort(series, kind="stable")
            series, timestamps, values = series[order], timestamps[order], values[order]
        same = series[1:] == series[:-1]
        misplaced = int(np.count_nonzero(same & (timestamps[1:] < timestamps[:-1])))
        if misplaced:
            order = np.lexsort((timestamps, series))
            timestamps, values = timestamps[order], values[order]
        doubled = int(np.count_nonzero(same & (timestamps[1:] == timestamps[:-1])))
        offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum(np.bincount(series, minlength=len(keys)), out=offsets[1:])
        dataset = MetricDataset(keys, offsets, timestamps, values, unit, dtypes)
        return Collected(dataset, misplaced, doubled, rounded)


def _clamp(number: int) -> int:
    return max(_INT64.min, min(_INT64.max, number))


def _join(arrays: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def _join_values(parts: list[Samples], series: int) -> tuple[npt.NDArray[Any], list[np.dtype[Any]] | None, int]:
    """Return all values, the dtypes of series where these are several, and how many integers became doubles.

    A series that comes with several dtypes is of int64 if all its numbers are integers which doubles hold or int64,
    else of float64.
    """
    if len({part.values.dtype for part in parts}) < 2:
        return _join([part.values for part in parts], np.float64), None, 0
    held = np.zeros((len(VALUE_DTYPES), series), np.bool_)
    whole = np.ones(series, np.bool_)
    for part in parts:
        held[VALUE_DTYPES.index(part.values.dtype), part.series] = True
        if part.values.dtype.kind == "f":
            whole[part.series[~is_whole(part.values)]] = False
    integers = VALUE_DTYPES.index(INTEGER)
    chosen = np.where(held.sum(axis=0) == 1, held.argmax(axis=0), 0)
    chosen[held[integers] & whole] = integers
    words, rounded = [], 0
    for part in parts:
        own, wanted = VALUE_DTYPES.index(part.values.dtype), chosen[part.series]
        word = to_words(part.values).copy()
        doubles, wholes = (wanted == 0) & (own != 0), (wanted == integers) & (own != integers)
        word[doubles] = to_words(to_doubles(part.values[doubles]))
        word[wholes] = to_words(part.values[wholes].astype(INTEGER))
        rounded += count_inexact(part.values[doubles])
        words.append(word)
    return np.concatenate(words), [VALUE_DTYPES[i] for i in chosen.tolist()], rounded


def _unit_needed(part: Samples) -> str:
    """Return the coarsest unit in which every time is whole."""
    for unit in NANOSECONDS:
        if unit == part.unit or not np.any(part.timestamps % (NANOSECONDS[unit] // NANOSECONDS[part.unit])):
            return unit
    return part.unit


def _convert(timestamps: npt.NDArray[np.int64], unit: str, wanted: str) -> npt.NDArray[np.int64]:
    mine, theirs = NANOSECONDS[unit], NANOSECONDS[wanted]
    if mine <= theirs:
        return timestamps // (theirs // mine)
    factor = mine // theirs
    if len(timestamps) and max(int(timestamps.max()), -int(timestamps.min())) > _INT64.max // factor:
        raise DataSourceError(
            f"times such as {int(timestamps.max())} {unit} do not fit 64 bits in {wanted}: --from, --to"
        )
    return timestamps * factor
