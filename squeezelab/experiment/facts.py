"""Facts of a series that a person can check, and that decide how small it gets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from statistics import median
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from squeezelab.codecs.tally.widths import widen
from squeezelab.dataset import VALUE_DTYPES, WORD, to_doubles, to_words
from squeezelab.errors import InvalidRequestError
from squeezelab.results import ENOUGH, MOST_DECIMALS, UNITS_IN_LAST_PLACE, Entropy, Explanation

TELLING = 1e14
"""Integers up to here lie so far apart that a double does not come near one of them by chance."""
ROUND_TRIP = 1e15
"""Decimals of so many digits at most come back from the double nearest to them."""
NEAR, NEARLY_ZERO, MOST_NEAR_DECIMALS, MOST_NEAR = 1e-3, 1e-9, 9, 1e12
GROUP = 8
MOST_GROUPS = 512

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T")


def explain_series(timestamps: npt.ArrayLike, values: npt.ArrayLike, time_unit: str = "s") -> Explanation:
    """Return what decides how small a series gets.

    Parameters
    ----------
    timestamps : int64[samples]
        In any unit.
    values : float64[samples], int64[samples] or float32[samples]
        The readings. Decimals of float32 are those of the doubles that round to them.
    time_unit : {"s", "ms", "us", "ns"}
        What timestamps count.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidRequestError
        If they are not as many.

    Notes
    -----
    Deltas of values that are exact decimals are taken between the decimals: 0.3 - 0.2 and 0.2 - 0.1 are one symbol.

    Examples
    --------
    >>> facts = explain_series([0, 15, 30, 45, 61], [0.5, 0.75, 0.75, 1.25, 1.5])
    >>> facts.zero_dod_share, facts.decimals, facts.step, facts.distinct, facts.monotone
    (0.6666666666666666, 2, 0.25, 4, True)
    >>> facts.deltas_entropy.bits, facts.deltas_entropy.symbols
    (1.5, 3)
    """
    timestamps, own = np.asarray(timestamps, np.int64), np.ascontiguousarray(values)
    own = own if own.dtype in VALUE_DTYPES else to_doubles(own)
    values = _as_doubles(own)
    if timestamps.ndim != 1 or timestamps.shape != values.shape:
        raise InvalidRequestError(f"{timestamps.shape} timestamps and {values.shape} values are no series")
    words, intervals = to_words(own), np.diff(timestamps)
    repeats = words[1:] == words[:-1]
    finite = values[np.isfinite(values)]
    numbers, counts = np.unique(finite[finite != 0], return_counts=True)
    decimals = _count_decimals(numbers, counts)
    exact = _is_decimal(values, decimals)
    interval, interval_share = _most_common(intervals)
    return Explanation(
        series=1,
        samples=values.size,
        time_unit=time_unit,
        interval=interval,
        interval_share=interval_share,
        zero_dod_share=_share(np.diff(intervals) == 0),
        distinct=np.unique(words).size,
        repeat_share=_share(repeats),
        mean_run=values.size / (1 + _count(~repeats)) if values.size else 0.0,
        decimals=decimals,
        exact_share=None if decimals is None or not finite.size else _count(exact) / finite.size,
        near_decimals=_count_near_decimals(numbers, counts) if decimals is None else None,
        step=None if decimals is None else _find_step(*_integers_of(own, numbers, counts, decimals), decimals),
        nans=_count(np.isnan(values)),
        infinities=_count(np.isinf(values)),
        monotone=_never_falls(own if own.dtype.kind == "i" else finite),
        intervals_entropy=entropy(np.diff(intervals)),
        values_entropy=entropy(words),
        deltas_entropy=entropy(np.diff(own) if own.dtype.kind == "i" else _deltas(values, exact, decimals).view(WORD)),
        xors_entropy=entropy(words[1:] ^ words[:-1]),
    )


def _as_doubles(values: npt.NDArray[Any]) -> Floats:
    """Return doubles that tell what values are like: of float32 those that it was rounded from, as tally finds them."""
    if values.dtype != np.float32:
        return to_doubles(values)
    (_, found), *_ = widen(values)
    return found if found.dtype == np.float64 else to_doubles(values)


def entropy(symbols: npt.NDArray[Any]) -> Entropy:
    """Return the zeroth-order entropy of integers.

    Miller's and Madow's correction adds (distinct symbols - 1) / (2 ln 2 samples): G. A. Miller, Note on the bias of
    information estimates, 1955.

    Examples
    --------
    >>> one = entropy(np.array([1, 1, 2, 3]))
    >>> one.bits, round(one.corrected, 3), one.symbols
    (1.5, 1.861, 3)
    """
    counts = np.unique(symbols, return_counts=True)[1]
    if counts.size < 2:
        return Entropy(0.0, 0.0, counts.size)
    shares = counts / symbols.size
    bits = -float(np.sum(shares * np.log2(shares)))
    return Entropy(bits, bits + (counts.size - 1) / (2 * log(2) * symbols.size), counts.size)


def _count(holds: Mask) -> int:
    return int(np.count_nonzero(holds))


def _share(holds: Mask) -> float | None:
    return _count(holds) / holds.size if holds.size else None


def _most_common(integers: Integers) -> tuple[int | None, float | None]:
    if not integers.size:
        return None, None
    numbers, counts = np.unique(integers, return_counts=True)
    most = int(np.argmax(counts))
    return int(numbers[most]), float(counts[most] / integers.size)


def _nearest(values: Floats, digits: int) -> tuple[Floats, Floats]:
    """Return the integers that values come closest to when their point is moved, and the doubles of these decimals."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * 10.0**digits)
        return whole, whole / 10.0**digits


def _is_decimal(values: Floats, digits: int | None) -> Mask:
    """Tell which values are the doubles nearest to decimals of so many digits after the point."""
    if digits is None:
        return np.zeros(values.shape, np.bool_)
    whole, decimal = _nearest(values, digits)
    # Doubles are whole from 2**52 on, whatever they were made from.
    exact: Mask = (decimal == values) & (np.abs(whole) < (2.0**63 if digits == 0 else ROUND_TRIP))
    return exact


def _count_decimals(numbers: Floats, counts: Integers) -> int | None:
    """Return the fewest digits with which enough of the numbers are written, 0 if there are none."""
    for digits in range(MOST_DECIMALS + 1):
        whole, decimal = _nearest(numbers, digits)
        with np.errstate(over="ignore", invalid="ignore"):
            close = np.abs(decimal - numbers) <= UNITS_IN_LAST_PLACE * np.spacing(np.abs(numbers))
        written = _is_decimal(numbers, digits) | (close & (np.abs(whole) < TELLING))
        if np.sum(counts[written]) >= ENOUGH * np.sum(counts):
            return digits
    return None


def _count_near_decimals(numbers: Floats, counts: Integers) -> int | None:
    """Return the fewest digits that enough of the numbers come near to, or what is nothing beside the largest."""
    nearly_zero = np.abs(numbers) <= NEARLY_ZERO * np.max(np.abs(numbers), initial=0.0)
    for digits in range(MOST_NEAR_DECIMALS + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            moved = numbers * 10.0**digits
            whole = np.rint(moved)
            near = np.where(whole == 0, nearly_zero, np.abs(moved - whole) <= NEAR)
        if np.sum(counts[near & (np.abs(whole) < MOST_NEAR)]) >= ENOUGH * np.sum(counts):
            return digits
    return None


def _never_falls(values: npt.NDArray[Any]) -> bool:
    return bool(values.size and np.all(values[1:] >= values[:-1]) and values[-1] > values[0])


def _integers_of(
    own: npt.NDArray[Any], numbers: Floats, counts: Integers, decimals: int
) -> tuple[Integers, Integers, int]:
    """Return what decimals are multiples of their last digit by, how often each occurs, and how many there are.

    Of a column of integers these are its own: as doubles large ones are multiples of a power of two.
    """
    if own.dtype.kind == "i":
        numbers, counts = np.unique(own[(own != 0) & (own != np.iinfo(np.int64).min)], return_counts=True)
        return np.abs(numbers), counts, int(np.sum(counts))
    whole, _ = _nearest(numbers, decimals)
    fits = (np.abs(whole) < 2.0**63) & (whole != 0)
    return np.abs(whole[fits]).astype(np.int64), counts[fits], int(np.sum(counts))


def _find_step(integers: Integers, counts: Integers, total: int, decimals: int) -> float | None:
    """Return the largest common divisor of enough integers, as far as common ones and groups of them show it."""
    if not integers.size:
        return None
    commonest_first = integers[np.argsort(-counts, kind="stable")]
    starts = np.arange(0, integers.size, max(GROUP, integers.size // MOST_GROUPS))
    groups = [np.gcd.reduce(commonest_first[start : start + GROUP]) for start in starts]
    candidates = np.unique(np.concatenate([np.gcd.accumulate(commonest_first), groups]))
    for candidate in candidates[::-1]:
        if np.sum(counts[integers % candidate == 0]) >= ENOUGH * total:
            return float(candidate) / 10.0**decimals
    return None


def _deltas(values: Floats, exact: Mask, decimals: int | None) -> Floats:
    """Return the deltas of values; between exact decimals those of the decimals, without what doubles add."""
    with np.errstate(over="ignore", invalid="ignore"):
        deltas = np.diff(values)
    if decimals is not None:
        both = exact[1:] & exact[:-1]
        deltas[both] = np.round(deltas[both], decimals)
    deltas[np.isnan(deltas)] = np.nan
    return deltas + 0.0  # no negative zeros


def combine(facts: Sequence[Explanation]) -> Explanation:
    """Return the facts of several series as one: shares and means over all samples, else what holds for almost all.

    Examples
    --------
    >>> one, other = explain_series([0, 1, 2], [0.5, 0.5, 1.5]), explain_series([0, 5], [3.0, 4.0])
    >>> both = combine([one, other])
    >>> both.series, both.samples, both.interval, both.repeat_share, both.monotone
    (2, 5, 1, 0.3, True)
    """
    weights = [one.samples for one in facts]

    def mean(numbers: Iterable[float | None]) -> float | None:
        known = [(number, weight) for number, weight in zip(numbers, weights, strict=True) if number is not None]
        total = sum(weight for _, weight in known)
        return sum(number * weight for number, weight in known) / total if total else None

    def commonest(items: Iterable[T]) -> T:
        tally: dict[T, int] = {}
        for item, weight in zip(items, weights, strict=True):
            tally[item] = tally.get(item, 0) + weight
        return max(tally, key=lambda item: tally[item])

    def enough_for(digits: Sequence[int | None]) -> int | None:
        """Return what suffices for series with enough of the samples."""
        for most in sorted({one for one in digits if one is not None}):
            fitting = (w for one, w in zip(digits, weights, strict=True) if one is not None and one <= most)
            if sum(fitting) >= ENOUGH * sum(weights):
                return most
        return None

    def mean_entropy(entropies: Sequence[Entropy]) -> Entropy:
        bits, corrected = (
            mean(column) or 0.0 for column in zip(*((e.bits, e.corrected) for e in entropies), strict=True)
        )
        return Entropy(bits, corrected, round(sum(one.symbols for one in entropies) / len(entropies)))

    runs = sum(one.samples / one.mean_run for one in facts if one.mean_run)
    decimals = enough_for([one.decimals for one in facts])
    near = [one.decimals if one.near_decimals is None else one.near_decimals for one in facts]
    exact = mean(0.0 if one.decimals is None else one.exact_share for one in facts)
    return Explanation(
        series=sum(one.series for one in facts),
        samples=sum(weights),
        time_unit=facts[0].time_unit,
        interval=commonest(one.interval for one in facts),
        interval_share=mean(one.interval_share for one in facts),
        zero_dod_share=mean(one.zero_dod_share for one in facts),
        distinct=round(median(one.distinct for one in facts)),
        repeat_share=mean(one.repeat_share for one in facts),
        mean_run=sum(weights) / runs if runs else 0.0,
        decimals=decimals,
        exact_share=None if decimals is None else exact,
        near_decimals=None if decimals is not None else enough_for(near),
        step=None if decimals is None else _common_step([one.step for one in facts], weights, decimals),
        nans=sum(one.nans for one in facts),
        infinities=sum(one.infinities for one in facts),
        monotone=any(one.monotone for one in facts) and all(one.monotone or one.distinct < 2 for one in facts),
        intervals_entropy=mean_entropy([one.intervals_entropy for one in facts]),
        values_entropy=mean_entropy([one.values_entropy for one in facts]),
        deltas_entropy=mean_entropy([one.deltas_entropy for one in facts]),
        xors_entropy=mean_entropy([one.xors_entropy for one in facts]),
    )


def _common_step(steps: Sequence[float | None], weights: Sequence[int], decimals: int) -> float | None:
    """Return the least step if those of series with enough of the samples are multiples of it, else the last digit."""
    known = [(step, weight) for step, weight in zip(steps, weights, strict=True) if step is not None]
    if not known:
        return None
    least = min(step for step, _ in known)
    fitting = sum(weight for step, weight in known if abs(step / least - round(step / least)) < NEAR)
    return least if fitting >= ENOUGH * sum(weight for _, weight in known) else 10.0**-decimals
