"""Why a codec wins on a series: facts of the series that a person can check, and sentences that tell them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import log, log2
from statistics import median
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.measure import Proof
from squeezelab.results import Entropy, Explained, Explanation, Measurement, Winner

__all__ = ["Entropy", "Explanation", "combine", "entropy", "explain_dataset", "explain_series", "explain_text", "why"]

MOST_SERIES = 200
"""Of data sets with more series than these, families alone are explained."""
ENOUGH = 0.99
MOST_DECIMALS = 15
UNITS_IN_LAST_PLACE = 4
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
    values : float64[samples]
        The readings.
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
    timestamps, values = np.asarray(timestamps, np.int64), np.ascontiguousarray(values, np.float64)
    if timestamps.ndim != 1 or timestamps.shape != values.shape:
        raise InvalidRequestError(f"{timestamps.shape} timestamps and {values.shape} values are no series")
    words, intervals = values.view(np.uint64), np.diff(timestamps)
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
        step=None if decimals is None else _find_step(numbers, counts, decimals),
        nans=_count(np.isnan(values)),
        infinities=_count(np.isinf(values)),
        monotone=bool(finite.size and np.all(finite[1:] >= finite[:-1]) and finite[-1] > finite[0]),
        intervals_entropy=entropy(np.diff(intervals)),
        values_entropy=entropy(words),
        deltas_entropy=entropy(_deltas(values, exact, decimals).view(np.uint64)),
        xors_entropy=entropy(words[1:] ^ words[:-1]),
    )


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


def _find_step(numbers: Floats, counts: Integers, decimals: int) -> float | None:
    """Return the largest common divisor of enough of the numbers, as far as common ones and groups of them show it."""
    whole, _ = _nearest(numbers, decimals)
    fits = (np.abs(whole) < 2.0**63) & (whole != 0)
    integers, total = np.abs(whole[fits]).astype(np.int64), np.sum(counts)
    if not integers.size:
        return None
    commonest_first = integers[np.argsort(-counts[fits], kind="stable")]
    starts = np.arange(0, integers.size, max(GROUP, integers.size // MOST_GROUPS))
    groups = [np.gcd.reduce(commonest_first[start : start + GROUP]) for start in starts]
    candidates = np.unique(np.concatenate([np.gcd.accumulate(commonest_first), groups]))
    for candidate in candidates[::-1]:
        if np.sum(counts[fits][integers % candidate == 0]) >= ENOUGH * total:
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


# ---- Who wins ----


def explain_dataset(
    part: MetricDataset,
    keys: Sequence[SeriesKey],
    lengths: npt.NDArray[np.int64],
    proofs: Mapping[str, Mapping[str, Mapping[int, Proof]]],
    measurements: Sequence[Measurement],
    threads: int | None = None,
) -> list[Explained]:
    """Name and explain the winners on each metric family, and on each of its series where there are not too many.

    Parameters
    ----------
    part : MetricDataset
        The series that are looked at: all, or some of each family.
    keys : sequence of SeriesKey
        Of the whole data set.
    lengths : int64[series]
        Samples of each.
    proofs : mapping
        By subject, by codec, by number of the series in the whole.
    measurements : sequence of Measurement
        Of families and of all together: what is lossy is known from them.
    threads : int, optional
        That look at series; one a processor if not given.

    Returns
    -------
    list of Explained
        Families first. A series that is all of its family is not told twice.
    """
    with ThreadPoolExecutor(threads) as pool:
        facts = list(pool.map(lambda series: explain_series(series.timestamps, series.values, part.time_unit), part))
    samples: dict[str, int] = {}
    for key, length in zip(keys, lengths.tolist(), strict=True):
        samples[key.metric_name] = samples.get(key.metric_name, 0) + length
    families: dict[str, list[Explanation]] = {}
    for key, one in zip(part.keys, facts, strict=True):
        families.setdefault(key.metric_name, []).append(one)
    measured: dict[tuple[str, str | None], list[Measurement]] = {}
    for each in measurements:
        measured.setdefault((each.subject, each.metric), []).append(each)
    explained = [
        Explained(
            family,
            None,
            samples[family],
            combine(ones),
            **{subject: _family_winner(measured.get((subject, family), ()), samples[family]) for subject in proofs},
        )
        for family, ones in families.items()
    ]
    if len(keys) > MOST_SERIES:
        return explained
    lossless = {(one.subject, one.codec) for one in measurements if one.metric is None and not one.lossy}
    numbers = {key: number for number, key in enumerate(keys)}
    return explained + [
        Explained(
            key.metric_name,
            str(key),
            one.samples,
            one,
            **{
                subject: _winner(
                    (codec, 8 * proven[numbers[key]].encoded_bytes / one.samples)
                    for codec, proven in by_codec.items()
                    if (subject, codec) in lossless and numbers[key] in proven
                )
                for subject, by_codec in proofs.items()
            },
        )
        for key, one in zip(part.keys, facts, strict=True)
        if one.samples and len(families[key.metric_name]) > 1
    ]


def _family_winner(measurements: Sequence[Measurement], samples: int) -> Winner | None:
    """Return the winner of those that ran on the whole family: bits of a part are those of other data."""
    return _winner(
        (one.codec, one.bits_per_item) for one in measurements if one.samples == samples and samples and not one.lossy
    )


def _winner(bits: Iterable[tuple[str, float]]) -> Winner | None:
    order = sorted(bits, key=lambda one: one[1])
    return Winner(*order[0], *(order[1] if len(order) > 1 else ())) if order else None


# ---- What it tells ----


def explain_text(facts: Explanation, timestamps: Winner | None = None, values: Winner | None = None) -> list[str]:
    """Return sentences that a person can check.

    Parameters
    ----------
    facts : Explanation
        Of a series or a family.
    timestamps, values : Winner, optional
        The smallest codecs on it.

    Examples
    --------
    >>> for line in explain_text(explain_series([0, 15, 30, 45], [0.5, 0.5, 0.5, 1.0]), values=Winner("xor", 70.0)):
    ...     print(line)
    100.0 % of the intervals repeat the one before: their delta of delta is zero. The most common one is 15 s.
    66.7 % of the values equal the one before; they stand in runs of 2.0 on average.
    Values have 1 digit after the point, and are multiples of 0.5.
    2 distinct values: a number for each of them takes 1 bit.
    They never fall: a counter.
    Entropy in bits: values 0.81 (2 distinct), deltas 0.92 (2), XORs 0.92 (2). The floor is the least, that of values.
    For more of the same, 0.99 is likelier (Miller and Madow).
    xor takes 70.00 bits a value, 69.19 above the floor. A value that equals the one before takes it one bit.
    """
    return [*_tell_timestamps(facts, timestamps), *_tell_values(facts), *_tell_floor(facts, values)]


def why(facts: Explanation) -> str:
    """Return in one line what is most telling of the values.

    Examples
    --------
    >>> why(explain_series([0, 15, 30, 45], [0.05, 0.5, 0.5, 1.0]))
    '2 decimals; multiples of 0.05; 33 % repeats; 3 distinct; never fall'
    """
    if facts.is_constant:
        return "constant"
    told = []
    if facts.decimals is not None:
        told.append("whole numbers" if facts.decimals == 0 else _plural(facts.decimals, "decimal"))
        if facts.exact_share is not None and facts.exact_share < ENOUGH:
            told.append(f"{percent(1 - facts.exact_share, 0)} of them off by a few last bits")
        if _has_step(facts):
            told.append(f"multiples of {plain_number(facts.step)}")
    elif facts.near_decimals is not None:
        told.append(f"nearly {_plural(facts.near_decimals, 'decimal')}, noise below")
    else:
        told.append("doubles without decimals")
    if facts.repeat_share:
        told.append(f"{percent(facts.repeat_share, 0)} repeats")
    told.append(f"{facts.distinct:,} distinct")
    if facts.monotone:
        told.append("never fall")
    told += [_plural(count, name) for count, name in ((facts.nans, "NaN"), (facts.infinities, "infinity")) if count]
    return "; ".join(told)


def _tell_timestamps(facts: Explanation, winner: Winner | None) -> Iterator[str]:
    if facts.zero_dod_share is not None:
        yield (
            f"{percent(facts.zero_dod_share)} of the intervals repeat the one before: their delta of delta is zero. "
            f"The most common one is {facts.interval:,} {facts.time_unit}."
        )
    if winner:
        least = facts.intervals_entropy
        runner_up = _tell_runner_up(winner)
        yield (
            f"{winner.codec} takes {winner.bits:.2f} bits a timestamp{runner_up}; the entropy of the deltas of deltas "
            f"is {least.bits:.2f} ({least.symbols:,} distinct).{_tell_habit(winner, _TIMESTAMP_HABITS)}"
        )


def _tell_values(facts: Explanation) -> Iterator[str]:
    if facts.is_constant:
        yield "All values are the same." if facts.series == 1 else "The values of a series are all the same."
        return
    if facts.repeat_share is not None:
        yield (
            f"{percent(facts.repeat_share)} of the values equal the one before; they stand in runs of "
            f"{facts.mean_run:.1f} on average."
        )
    if facts.decimals is not None:
        digits = f"have {_plural(facts.decimals, 'digit')} after the point" if facts.decimals else "are whole numbers"
        step = f", and are multiples of {plain_number(facts.step)}" if _has_step(facts) else ""
        enough = ENOUGH if facts.series == 1 else ENOUGH**2  # of series with enough of the samples
        if facts.exact_share == 1:
            yield f"Values {digits}{step}."
        else:
            yield (
                f"At least {percent(enough, 0)} of the values {digits}, to within {UNITS_IN_LAST_PLACE} units in the "
                f"last place{step}. {percent(1 - (facts.exact_share or 0))} are not the very double nearest to such a "
                "decimal: arithmetic has left its traces, or they have more digits."
            )
    elif facts.near_decimals is not None:
        yield (
            f"Values come within a thousandth of {_plural(facts.near_decimals, 'digit')} after the point, but are not "
            "written so: what arithmetic left behind fills the bits below."
        )
    else:
        yield f"Values are not decimals of up to {MOST_DECIMALS} digits: their low bits look like noise."
    if facts.distinct:
        bits = log2(facts.distinct)
        where = "" if facts.series == 1 else " in a series, the median"
        yield f"{facts.distinct:,} distinct values{where}: a number for each of them takes {_plural(bits, 'bit')}."
    if facts.monotone:
        yield "They never fall: a counter."
    if facts.nans or facts.infinities:
        yield f"Not finite: {_plural(facts.nans, 'NaN')}, {_plural(facts.infinities, 'infinity')}."


def _tell_floor(facts: Explanation, winner: Winner | None) -> Iterator[str]:
    if facts.is_constant:
        if winner:
            yield (
                f"{winner.codec} takes {winner.bits:.2f} bits a value{_tell_runner_up(winner)}: one value, header and "
                "checksum are all there is to keep."
            )
        return
    least = min(facts.entropies, key=lambda name: facts.entropies[name].bits)
    parts = ", ".join(
        f"{name} {one.bits:.2f} ({one.symbols:,}{' distinct' if name == 'values' else ''})"
        for name, one in facts.entropies.items()
    )
    yield f"Entropy in bits: {parts}. The floor is the least, that of {least}."
    samples = facts.samples / facts.series
    if not facts.floor_is_sure:
        yield (
            f"These symbols occur less than twice on average: among {samples:,.0f} samples an entropy cannot show more "
            f"than {log2(max(samples, 2)):.1f} bits, and the list of symbols, which it leaves out, is most of the work."
        )
    elif facts.entropies[least].corrected - facts.entropies[least].bits > 0.05:
        yield f"For more of the same, {facts.entropies[least].corrected:.2f} is likelier (Miller and Madow)."
    if winner:
        distance = winner.bits - facts.floor
        side = "above" if distance >= 0 else "below"
        told = (
            f"{winner.codec} takes {winner.bits:.2f} bits a value{_tell_runner_up(winner)}, {abs(distance):.2f} {side} "
            "the floor"
        )
        if distance < 0:
            told += ": it sees more than one symbol at a time, which such an entropy does not"
        yield f"{told}.{_tell_habit(winner, _VALUE_HABITS)}"


def _tell_runner_up(winner: Winner) -> str:
    if winner.runner_up is None or winner.runner_up_bits is None:
        return ""
    return f" (next {winner.runner_up}, {winner.runner_up_bits:.2f})"


def _tell_habit(winner: Winner, habits: Mapping[str, str]) -> str:
    """Return what the winning codec does with numbers, for each part of it that is known."""
    parts = [re.split(":", part)[0] for part in winner.codec.split("+")]
    return "".join(f" {habits[part]}" for part in parts if part in habits)


_BYTES = "Stretches of bytes that came before are written as references to them."
_GENERAL = {"zstd": _BYTES, "zlib": _BYTES, "brotli": _BYTES, "lz4": _BYTES, "raw": "Nothing was found to save."}
_PACKED = "Small integers are packed side by side, each in as few bits as the largest near it needs."
_TIMESTAMP_HABITS = _GENERAL | {
    "delta_of_delta": "An interval that repeats takes it one bit.",
    "prometheus_xor": "An interval that repeats takes it one bit.",
    "delta_bitpack": _PACKED,
    "simple8b": _PACKED,
    "tally": "Intervals that repeat take it nothing.",
}
_VALUE_HABITS = _GENERAL | {
    "xor": "A value that equals the one before takes it one bit.",
    "prometheus_xor": "A value that equals the one before takes it one bit.",
    "chimp": "It writes what a value does not share with the bits of the one before.",
    "chimp128": "It writes what a value does not share with the most alike of the 128 before.",
    "patas": "It writes the bytes that a value does not share with one of the 128 before.",
    "fpc": "It writes the bytes that two predictors do not foresee.",
    "elf": "It clears the bits that a short decimal does not need before it XORs.",
    "alp": "It turns decimals into integers and packs these.",
    "alp_rd": "It gives the common upper bits numbers of a dictionary, and writes the lower ones as they are.",
    "delta_bitpack": _PACKED,
    "pattern": "It encodes each block as the pattern it is found to be: constant, steps, decimals.",
    "tally": "It takes values back to the integers they were made from, and codes these with models that learn.",
    "pcodec": "It finds a common step, takes deltas where these are smaller, and writes common ranges in fewer bits.",
}


def _has_step(facts: Explanation) -> bool:
    """Tell whether there is a step that the number of decimals does not say already."""
    return facts.step is not None and facts.decimals is not None and facts.step > 1.5 * 10.0**-facts.decimals


def percent(share: float, digits: int = 1) -> str:
    """Return a share in percent; one that is not whole is never rounded to none or to all.

    >>> percent(1.0), percent(0.99999), percent(0.00001), percent(0.5, 0)
    ('100.0 %', 'over 99.9 %', 'under 0.1 %', '50 %')
    """
    finest = 10.0**-digits
    if 0 < 100 * share < finest / 2:
        return f"under {finest:.{digits}f} %"
    if 100 - finest / 2 <= 100 * share < 100:
        return f"over {100 - finest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def _plural(count: float, name: str) -> str:
    number = f"{count:,}" if isinstance(count, int) else f"{count:.3g}"
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"{number} {name if count == 1 else plural}"


def plain_number(number: float | None) -> str:
    """Return a step as a decimal, without an exponent where it is an everyday one."""
    return "none" if number is None else f"{number:,.0f}" if number >= 1 and number == int(number) else f"{number:.12g}"
