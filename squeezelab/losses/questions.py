"""What is asked of metrics: rates, quantiles, the maximum, when a threshold is crossed; and how far each moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from squeezelab.kernels.rates import prometheus_rate
from squeezelab.losses.bounds import Floats

Integers = npt.NDArray[np.int64]

COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
RATE_SECONDS = 300
"""The range of ``rate()``; four intervals where these are longer, as Prometheus's users are told."""
STEP_SECONDS = 60
"""How often a rate is evaluated; every interval where that is longer."""
HOUR_SECONDS = 3600
QUANTILES = {"p50": 0.5, "p99": 0.99}
THRESHOLD = 0.95
"""The quantile of a series that a threshold is put above, where none is given."""


@dataclass(frozen=True)
class Answers:
    """What is asked of one series, answered.

    Attributes
    ----------
    moments, signal : int64[m], float64[m]
        A gauge's samples, or the rates of a counter: what all other questions are about.
    falls : int64[k]
        Samples of a counter that ``rate()`` takes for resets.
    p50, p99 : float64[hours]
        Over each hour of the signal.
    maximum : float
        Of the signal; NaN where it is empty.
    """

    moments: Integers
    signal: Floats
    falls: Integers
    p50: Floats
    p99: Floats
    maximum: float


@dataclass(frozen=True)
class Moves:
    """How far answers moved; shares are of the range of the original signal, the largest less the smallest.

    Attributes
    ----------
    rate : float or None
        Root mean square of the differences of rates; None for gauges.
    false_resets : int
        Falls of a counter that the original does not have: each makes ``rate()`` add what stands after it.
    p50, p99 : float
        The largest difference of any hour.
    maximum : float
    crossing : {"none", "same", "moved", "lost", "new"}
        What became of the first moment above the threshold: there was none and is none; at the same moment and as
        long; at another or not as long; no longer there; there though it was not.
    first_seconds, lasting_seconds : float
        How far that moment moved, and how much longer or shorter the signal stays above; 0 unless it "moved".
    """

    rate: float | None
    false_resets: int
    p50: float
    p99: float
    maximum: float
    crossing: str
    first_seconds: float
    lasting_seconds: float


def answer(timestamps: Integers, values: Floats, second: int, counter: bool) -> Answers:
    """Ask one series.

    Parameters
    ----------
    timestamps : int64[n]
        Rising.
    values : float64[n]
        What is not finite is left out.
    second : int
        How many of the timestamps' units make a second.
    counter : bool
        Whether to ask for its rates.
    """
    finite = np.isfinite(values)
    timestamps, values = timestamps[finite], values[finite]
    falls = np.empty(0, np.int64)
    if counter:
        falls = timestamps[1:][values[1:] < values[:-1]]
        timestamps, values = rate_signal(timestamps, values, second)
    p50, p99 = hourly_quantiles(timestamps, values, HOUR_SECONDS * second)
    return Answers(timestamps, values, falls, p50, p99, float(values.max()) if values.size else np.nan)


def asks_for_rates(name: str, patterns: Sequence[str] = ()) -> bool:
    """Tell whether a metric is a counter: by its name, as OpenMetrics has it, or because a pattern says so.

    Values do not tell: a gauge that has only grown so far is none.

    Examples
    --------
    >>> [asks_for_rates(name, ["net*"]) for name in ("http_requests_total", "net-in", "sys-mem-buffered")]
    [True, True, False]
    """
    return name.endswith(COUNTER_SUFFIXES) or any(fnmatchcase(name, pattern) for pattern in patterns)


def rate_signal(timestamps: Integers, values: Floats, second: int) -> tuple[Integers, Floats]:
    """Return when a dashboard asks for the rate of a counter, and what Prometheus answers; without moments of none.

    Examples
    --------
    >>> moments, rates = rate_signal(np.arange(0, 601, 15), np.arange(41) * 30.0, 1)
    >>> moments.tolist(), rates.tolist()
    ([300, 360, 420, 480, 540, 600], [2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    """
    if timestamps.size < 2:
        return timestamps[:0], values[:0]
    interval = int(np.median(np.diff(timestamps)))
    span = max(RATE_SECONDS * second, 4 * interval)
    step = max(STEP_SECONDS * second, interval)
    moments = np.arange(-(-(timestamps[0] + span) // step) * step, timestamps[-1] + 1, step)
    rates = np.empty(moments.size)
    prometheus_rate(timestamps, values, moments, span, rates)
    some = ~np.isnan(rates)
    return moments[some], rates[some] * second


def hourly_quantiles(timestamps: Integers, values: Floats, hour: int) -> tuple[Floats, Floats]:
    """Return median and 99th percentile of each hour that has samples, between two of them by straight lines.

    Examples
    --------
    >>> hourly_quantiles(np.array([0, 1, 3599, 3600]), np.array([3.0, 1.0, 2.0, 9.0]), 3600)
    (array([2., 9.]), array([2.98, 9.  ]))
    """
    if not values.size:
        return np.empty(0), np.empty(0)
    hours = timestamps // hour
    ordered = values[np.lexsort((values, hours))]
    _, starts, counts = np.unique(hours, return_index=True, return_counts=True)

    def quantile(share: float) -> Floats:
        place = share * (counts - 1)
        low = np.floor(place).astype(np.int64)
        one, other = ordered[starts + low], ordered[starts + np.minimum(low + 1, counts - 1)]
        found: Floats = one + (place - low) * (other - one)
        return found

    p50, p99 = (quantile(share) for share in QUANTILES.values())
    return p50, p99


def threshold_above(signal: Floats) -> float | None:
    """Return a threshold at the signal's upper end: halfway from its 95th percentile to the next value.

    The next larger, or smaller where there is none. None where all are alike.

    Halfway, because a threshold that is one of the values would be crossed or not by errors however small.

    Examples
    --------
    >>> threshold_above(np.arange(101.0)), threshold_above(np.ones(5))
    (95.5, None)
    """
    if not signal.size:
        return None
    high = np.quantile(signal, THRESHOLD, method="lower")
    larger, smaller = signal[signal > high], signal[signal < high]
    if larger.size:
        return float(high / 2 + larger.min() / 2)
    return float(high / 2 + smaller.max() / 2) if smaller.size else None


def first_crossing(moments: Integers, signal: Floats, threshold: float) -> tuple[int, int] | None:
    """Return the first moment above a threshold, and how long from there to the first that is not, or to the end.

    Examples
    --------
    >>> first_crossing(np.array([0, 15, 30, 45]), np.array([1.0, 5.0, 6.0, 1.0]), 4.0)
    (15, 30)
    """
    above = signal > threshold
    if not above.any():
        return None
    first = int(np.argmax(above))
    after = np.flatnonzero(~above[first:])
    end = moments[first + after[0]] if after.size else moments[-1]
    return int(moments[first]), int(end - moments[first])


def compare_answers(
    original: Answers, restored: Answers, second: int, counter: bool, threshold: float | None
) -> Moves | None:
    """Return how far answers moved; None for a series whose signal does not move itself.

    Parameters
    ----------
    original, restored : Answers
        Of the same timestamps.
    second : int
        How many of the timestamps' units make a second.
    counter : bool
        Whether the signal is of rates.
    threshold : float or None
        None takes `threshold_above` of the original.
    """
    with np.errstate(over="ignore"):
        spread = float(np.ptp(original.signal)) if original.signal.size else 0.0
    if not 0 < spread < np.inf:
        return None
    threshold = threshold_above(original.signal) if threshold is None else threshold
    crossing, first, lasting = _compare_crossings(original, restored, threshold)
    shares = {
        name: _largest(getattr(original, name) - getattr(restored, name)) / spread for name in ("p50", "p99", "maximum")
    }
    rate = float(np.sqrt(np.mean(np.square(original.signal - restored.signal)))) / spread if counter else None
    false = np.setdiff1d(restored.falls, original.falls).size
    return Moves(
        rate, false, **shares, crossing=crossing, first_seconds=first / second, lasting_seconds=lasting / second
    )


def _largest(differences: Floats | float) -> float:
    return float(np.max(np.abs(differences)))


def _compare_crossings(original: Answers, restored: Answers, threshold: float | None) -> tuple[str, int, int]:
    """Return what became of the first crossing, and by how much its moment and its length moved."""
    if threshold is None:
        return "none", 0, 0
    was = first_crossing(original.moments, original.signal, threshold)
    now = first_crossing(restored.moments, restored.signal, threshold)
    if was is None or now is None:
        return ("none" if now is was else "lost" if now is None else "new"), 0, 0
    moved = abs(now[0] - was[0]), abs(now[1] - was[1])
    return ("moved" if any(moved) else "same"), *moved
