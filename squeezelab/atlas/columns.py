"""Columns over two knobs, and the estimators that find the knobs of columns again.

Every maker takes its two knobs, how many values to make, and a generator of random numbers. Every estimator takes a
series and returns the two knobs, or None where the series is not what the map is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.dataset import Series
from squeezelab.experiment.facts import explain_series

Column = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Random = np.random.Generator
Place = tuple[float, float]

LEVEL = 100.0
"""What values are near to; a series of another size is seen as if it had been scaled to it."""
FINEST = 14
"""Digits after the point that a double near `LEVEL` can hold."""
START = 1_700_000_000_000
MOSTLY = 0.9
COARSE = 3
"""Steps over so many last digits are hardly touched by rounding."""


@dataclass(frozen=True)
class Knob:
    """One axis of a map.

    Parameters
    ----------
    name : str
        As its axis says.
    low, high : float
        The ends of the axis.
    scale : {"linear", "log", "zero"}
        How it is divided: evenly, in equal ratios, or so but with zero before the lowest.
    whole : bool
        Whether only whole numbers are on it.

    Examples
    --------
    >>> Knob("noise", 0.01, 1, "zero").values(4).tolist()
    [0.0, 0.01, 0.1, 1.0]
    """

    name: str
    low: float
    high: float
    scale: str = "linear"
    whole: bool = False

    def values(self, cells: int) -> Floats:
        """Return the knob's value in each of so many cells; fewer where whole numbers do not suffice."""
        if self.scale == "linear":
            grid = np.linspace(self.low, self.high, cells)
        else:
            zeros = int(self.scale == "zero")
            grid = np.concatenate([np.zeros(zeros), np.geomspace(self.low, self.high, cells - zeros)])
        return np.unique(np.round(grid) if self.whole else grid)

    def position(self, value: float, grid: Floats) -> float:
        """Return where a value lies among the cells, 0 the middle of the first; what is off the map is at its edge.

        Examples
        --------
        >>> knob = Knob("noise", 0.01, 1, "log")
        >>> [round(knob.position(x, knob.values(3)), 2) for x in (0.0001, 0.1, 0.5)]
        [0.0, 1.0, 1.7]
        """
        cells = np.arange(grid.size, dtype=np.float64)
        if self.scale == "linear":
            return float(np.interp(value, grid, cells))
        if value < grid[-1] and grid[0] == 0 and value < grid[1]:
            return value / float(grid[1])
        rising = slice(int(grid[0] == 0), None)
        return float(np.interp(np.log(max(value, 1e-300)), np.log(grid[rising]), cells[rising]))


@dataclass(frozen=True)
class Map:
    """Two knobs, and how to make and to recognise columns by them.

    Attributes
    ----------
    name, title, about : str
        To call files by, to head it, and what its columns are.
    x, y : Knob
        Across and up.
    subject : {"timestamps", "values"}
        Which column of a series it is about.
    make : callable
        ``make(x, y, size, rng)`` returns a column: int64 timestamps or float64 values.
    estimate : callable
        ``estimate(series)`` returns the knobs of a series, or None.
    """

    name: str
    title: str
    about: str
    x: Knob
    y: Knob
    subject: str
    make: Callable[[float, float, int, Random], Column]
    estimate: Callable[[Series], Place | None]

    def column(self, x: float, y: float, size: int, seed: int) -> Column:
        """Return the column of two knobs: the same bytes for the same seed, whatever else is on the map.

        Examples
        --------
        >>> MAPS[0].column(1, 0.01, 3, seed=0).tolist() == MAPS[0].column(1, 0.01, 3, seed=0).tolist()
        True
        """
        own = xxhash.xxh3_64_intdigest(f"{self.name} {x!r} {y!r}".encode())
        return self.make(x, y, size, np.random.default_rng([seed, own]))


# ---- Gauges: decimals against noise ----


def make_gauge(decimals: float, noise: float, size: int, rng: Random) -> Floats:
    """Return a random walk between 50 and 150, rounded.

    Parameters
    ----------
    decimals : float
        Digits after the point, 0 to 14; the last is what a double near 100 can hold.
    noise : float
        Standard deviation of a step, as a share of `LEVEL`.
    size : int
        Values to make.
    rng : numpy.random.Generator
        Where chance comes from.

    Examples
    --------
    >>> make_gauge(1, 0.01, 4, np.random.default_rng(1))
    array([100.3, 101.2, 101.5, 100.2])
    """
    walk = LEVEL * (1 + np.cumsum(noise * rng.standard_normal(size)))
    # Folded at both ends, as a ball between two walls.
    folded = LEVEL / 2 + np.abs((walk - LEVEL / 2 + LEVEL) % (2 * LEVEL) - LEVEL)
    gauge: Floats = np.round(folded, int(decimals))
    return gauge


def estimate_gauge(series: Series) -> Place | None:
    """Return decimals and noise of a gauge, both as if it were near 100; None for counters and what does not change.

    Notes
    -----
    The level is the median size. Decimals: how often the last step (the greatest common divisor of the values, as
    `squeezelab.explain` finds it) goes into the level, as a power of ten; 14 where values have no such step. Noise: a
    random walk's differences over k samples have the variance k noise² + step²/6, the second part from rounding; k is
    the first power of two at which they are not mostly rounding.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> walk = make_gauge(2, 0.001, 5000, np.random.default_rng(3))
    >>> decimals, noise = estimate_gauge(Series(SeriesKey("walk", {}), np.arange(5000), walk))
    >>> round(decimals, 1), round(noise, 4)
    (2.0, 0.001)
    """
    finite = series.values[np.isfinite(series.values)]
    level = float(np.median(np.abs(finite))) if finite.size else 0.0
    if is_counter(series.values) or not level or np.ptp(finite) == 0 or not np.isfinite(np.ptp(finite)):
        return None
    step = explain_series(series.timestamps, series.values).step
    decimals = FINEST if step is None else float(np.clip(np.log10(level / LEVEL / step), 0, FINEST))
    rounding = (step or 0.0) ** 2 / 6
    lag = 1
    while True:
        variance = float(np.mean(np.square(finite[lag:] - finite[:-lag])))
        if variance > COARSE**2 * rounding or 8 * lag > finite.size:
            return decimals, sqrt(max(variance - rounding, 0.0) / lag) / level
        lag *= 2


# ---- Runs: share of repeats against length of runs ----


def make_runs(share: float, length: float, size: int, rng: Random) -> Floats:
    """Return values of one decimal of which a share stands in runs of equal ones; no two others in a row are equal.

    Parameters
    ----------
    share : float
        Of the values, 0 to 1, those that have an equal neighbour.
    length : float
        Mean length of a run, 2 or more; lengths are 2 and a geometric number.
    size : int
        Values to make.
    rng : numpy.random.Generator
        Where chance comes from.

    Examples
    --------
    >>> make_runs(1.0, 3, 6, np.random.default_rng(1))
    array([498.3, 498.3, 498.3, 498.3, 497.6, 497.6])
    """
    # A run counts for `length` values and another value for one: so often a draw must be a run.
    often = share / (share + (1 - share) * length)
    lengths = np.where(rng.random(size) < often, 1 + rng.geometric(1 / (length - 1), size), 1)
    steps = rng.integers(1, 21, size) * rng.choice([-1, 1], size)
    numbers = np.repeat(np.cumsum(steps), lengths)[:size]
    runs: Floats = (5000 + numbers) / 10
    return runs


def estimate_runs(series: Series) -> Place | None:
    """Return the share of values that have an equal neighbour, and the mean length of such runs; 2 without any.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> estimate_runs(Series(SeriesKey("up", {}), np.arange(6), np.array([1.0, 1, 1, 2, 3, 4])))
    (0.5, 3.0)
    """
    words = series.values.view(np.uint64)
    if words.size < 2:
        return None
    edges = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1], [True]]))
    lengths = np.diff(edges)
    runs = lengths[lengths > 1]
    return float(runs.sum() / words.size), float(runs.mean()) if runs.size else 2.0


# ---- Timestamps: jitter against interval ----


def make_timestamps(jitter: float, interval: float, size: int, rng: Random) -> Integers:
    """Return moments of a clock that ticks evenly, each late or early by itself.

    Parameters
    ----------
    jitter : float
        Standard deviation of what each is off, as a share of the interval.
    interval : float
        Between two ticks, in what timestamps count: 15,000 where that is ms and samples come every 15 s.
    size : int
        Timestamps to make; none is before the one before it.
    rng : numpy.random.Generator
        Where chance comes from.

    Examples
    --------
    >>> np.diff(make_timestamps(0.01, 1000, 5, np.random.default_rng(1)))
    array([1005,  995,  984, 1022])
    """
    off = np.rint(jitter * interval * rng.standard_normal(size)).astype(np.int64)
    return np.maximum.accumulate(START + np.rint(interval).astype(np.int64) * np.arange(size) + off)


def estimate_timestamps(series: Series) -> Place | None:
    """Return jitter and interval.

    Notes
    -----
    The interval is the median of the differences. These have twice the variance of the jitter, and 1/6 more from
    rounding where jitter is larger than that; differences over twice the interval are gaps, and left out.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> clock = make_timestamps(0.01, 15_000, 5000, np.random.default_rng(3))
    >>> jitter, interval = estimate_timestamps(Series(SeriesKey("up", {}), clock, np.ones(5000)))
    >>> round(jitter, 3), round(interval, -2)
    (0.01, 15000.0)
    """
    intervals = np.diff(series.timestamps).astype(np.float64)
    interval = float(np.median(intervals)) if intervals.size else 0.0
    if interval <= 0:
        return None
    near = intervals[(intervals >= 0) & (intervals <= 2 * interval)]
    variance = float(np.var(near)) / 2
    return sqrt(variance - 1 / 12 if variance > 1 / 4 else variance) / interval, interval


# ---- Counters: growth against resets ----


def make_counter(growth: float, resets: float, size: int, rng: Random) -> Floats:
    """Return a counter of events that starts anew now and then.

    Parameters
    ----------
    growth : float
        Events a sample, on average; they come as a Poisson process.
    resets : float
        Of a thousand samples, those before which the counter starts at zero again.
    size : int
        Values to make.
    rng : numpy.random.Generator
        Where chance comes from.

    Examples
    --------
    >>> make_counter(5, 0, 4, np.random.default_rng(1))
    array([ 7., 10., 14., 18.])
    """
    counts = rng.poisson(growth, size).astype(np.float64)
    totals = np.cumsum(counts)
    restart = rng.random(size) < resets / 1000
    restart[0] = False
    # What was there before the latest restart is taken away again.
    before = np.maximum.accumulate(np.where(restart, totals - counts, 0.0))
    counter: Floats = totals - before
    return counter


def estimate_counter(series: Series) -> Place | None:
    """Return growth a sample and resets in a thousand samples; None for what is no counter.

    A fall is a reset, and what is there after it has grown since, as Prometheus's ``increase()`` has it.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> estimate_counter(Series(SeriesKey("requests_total", {}), np.arange(5), np.array([10.0, 14, 18, 1, 5])))
    (3.25, 250.0)
    """
    if not is_counter(series.values):
        return None
    steps, falls = np.diff(series.values), series.values[1:] < series.values[:-1]
    grown = np.where(falls, series.values[1:], steps)
    return float(grown.mean()), 1000 * float(falls.mean())


def is_counter(values: Floats) -> bool:
    """Tell whether values are never negative and only grow, but for resets: nearly all falls are to less than half.

    A counter that starts anew twice in a row may fall by less.

    Examples
    --------
    >>> is_counter(np.array([1.0, 5.0, 9.0, 0.0, 3.0])), is_counter(np.array([3.0, 2.9, 3.1]))
    (True, False)
    """
    if values.size < 2 or not np.all(np.isfinite(values)) or values.min() < 0 or values.min() == values.max():
        return False
    falls = values[1:] < values[:-1]
    deep = 2 * values[1:] < values[:-1]
    count = np.count_nonzero(falls)
    return bool(np.count_nonzero(deep & falls) >= MOSTLY * count and 2 * count < values.size)


# ---- Lengths: values a column against noise ----


def make_short(count: float, noise: float, size: int, rng: Random) -> Floats:
    """Return so many values of a gauge of two decimals, whatever ``size`` other maps have.

    Examples
    --------
    >>> make_short(3, 0.01, 1000, np.random.default_rng(1)).size
    3
    """
    return make_gauge(2, noise, int(count), rng)


def estimate_short(series: Series) -> Place | None:
    """Return the number of values and the noise of a gauge.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> estimate_short(Series(SeriesKey("walk", {}), np.arange(4), np.array([1.0, 2.0, 3.0, 2.0])))[0]
    4.0
    """
    place = estimate_gauge(series)
    return None if place is None else (float(series.values.size), place[1])


NOISE = Knob("noise: a step's deviation, share of the level", 1e-6, 0.1, "log")
MAPS = (
    Map(
        "decimals",
        "Gauges: decimals and noise",
        "A random walk near 100, rounded. Series of other sizes are seen as if they were scaled to 100.",
        Knob("digits after the point, of values near 100", 0, FINEST, whole=True),
        NOISE,
        "values",
        make_gauge,
        estimate_gauge,
    ),
    Map(
        "repeats",
        "Repeats: how many, in how long runs",
        "Values of one decimal; some stand in runs of equal ones.",
        Knob("share of values in runs", 0, 1),
        Knob("mean length of a run", 2, 512, "log"),
        "values",
        make_runs,
        estimate_runs,
    ),
    Map(
        "counters",
        "Counters: growth and resets",
        "A counter of events, which come as a Poisson process, and start from zero at a reset.",
        Knob("growth a sample", 0.1, 1e6, "log"),
        Knob("resets in 1,000 samples", 0.3, 100, "zero"),
        "values",
        make_counter,
        estimate_counter,
    ),
    Map(
        "timestamps",
        "Timestamps: jitter and interval",
        "Ticks of an even clock, each off by itself; counted in units of the timestamps (15 s are 15,000 in ms).",
        Knob("jitter, share of the interval", 1e-5, 0.3, "zero"),
        Knob("interval, in units", 1, 1e7, "log", whole=True),
        "timestamps",
        make_timestamps,
        estimate_timestamps,
    ),
    Map(
        "lengths",
        "Short columns: values a column and noise",
        "A gauge of two decimals; frames' heads and checksums, some 20 bytes, weigh on what is short.",
        Knob("values a column", 16, 16_384, "log", whole=True),
        NOISE,
        "values",
        make_short,
        estimate_short,
    ),
)
