"""Digits that say nothing: what arithmetic leaves behind, and precision that no instrument has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import DOUBLE, MetricDataset, Series
from squeezelab.experiment.facts import combine, explain_series
from squeezelab.results import NoisyDigits

INFORMATION = 0.99
"""The share of the information that neighbours have of each other which the bits to keep hold."""
FEWEST = 200
"""Samples below which nothing can be said of bits."""
MOST_DECIMALS = 12
MANTISSA = 52
SMALL = 1e-6
"""An error up to this share of a family's median size is arithmetic's; a larger one is a decision."""


def find_noise(dataset: MetricDataset) -> Iterator[NoisyDigits]:
    """Yield metric families of doubles that a rounding would rid of noise; counters are left alone.

    Notes
    -----
    Values that come within a thousandth of a digit of short decimals, or within units in the last place of them, hold
    what arithmetic has left. Of others, each bit of the mantissa is asked how much it tells of the same bit of the next
    value: M. Klöwer et al., Compressing atmospheric data into its real information content, Nature Computational
    Science 1, 2021. Bits beyond those that hold 99 % of this information are false precision.

    Examples
    --------
    >>> import numpy as np
    >>> from squeezelab import MetricDataset, SeriesKey
    >>> sums = np.cumsum(np.tile([0.1, 0.2, -0.3], 100))
    >>> dataset = MetricDataset([SeriesKey("load", {})], np.array([0, 300]), np.arange(300), sums)
    >>> (noise,) = find_noise(dataset)
    >>> noise.metric, noise.decimals, noise.largest_error < 1e-12
    ('load', 1, True)
    """
    families: dict[str, list[Series]] = {}
    for series in (one for one in dataset if one.values.dtype == DOUBLE):
        families.setdefault(series.key.metric_name, []).append(series)
    for metric, members in families.items():
        facts = combine([explain_series(one.timestamps, one.values) for one in members])
        if facts.monotone or facts.is_constant:
            continue
        if facts.decimals is not None:
            decimals = facts.decimals if facts.exact_share is not None and facts.exact_share < 1 else None
            reason = "what arithmetic left in the last places"
        elif facts.near_decimals is not None:
            decimals, reason = facts.near_decimals, "what arithmetic left, less than a thousandth of a digit"
        else:
            decimals = _telling_decimals(members)
            reason = "bits beyond tell nothing of the next value"
        if decimals is None:
            continue
        error = max(float(np.max(_errors(one.values, decimals), initial=0.0)) for one in members)
        if error > SMALL * np.nanmedian(np.abs(np.concatenate([one.values for one in members]))):
            reason = "false precision" if facts.decimals is None else "few values have more digits: rounding cuts these"
        if error:
            yield NoisyDigits(metric, decimals, reason, error)


def rounded(dataset: MetricDataset, noise: NoisyDigits) -> MetricDataset:
    """Return a data set with the values of one family rounded."""
    series = [
        one._replace(values=_round(one.values, noise.decimals)) if one.key.metric_name == noise.metric else one
        for one in dataset
    ]
    return MetricDataset.from_series(series, time_unit=dataset.time_unit)


def _round(values: npt.NDArray[np.float64], decimals: int) -> npt.NDArray[np.float64]:
    with np.errstate(all="ignore"):
        near = np.round(values, decimals)
    return np.where(np.isfinite(near), near, values)


def _errors(values: npt.NDArray[np.float64], decimals: int) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs(_round(values, decimals) - values), nan=0.0)


def _telling_decimals(members: list[Series]) -> int | None:
    """Return how many digits hold what the bits of neighbours tell of each other; None where all of them do."""
    pairs = [(one.values[:-1], one.values[1:]) for one in members if len(one.values) > 1]
    if sum(len(first) for first, _ in pairs) < FEWEST:
        return None
    before, after = (np.concatenate(side) for side in zip(*pairs, strict=True))
    alike = np.isfinite(before) & np.isfinite(after) & (before != 0) & (after != 0)
    before, after = before[alike], after[alike]
    if len(before) < FEWEST:
        return None
    told = np.array([_mutual_information(before, after, bit) for bit in range(MANTISSA - 1, -1, -1)])
    if not told.sum():
        return None
    keep = int(np.searchsorted(np.cumsum(told), INFORMATION * told.sum())) + 1
    # The last bit that is kept is worth this much in a value of the usual size.
    exponent = np.median(np.frexp(np.abs(before))[1])
    worth = 2.0 ** (exponent - 1 - keep)
    decimals = int(np.ceil(-np.log10(worth)))
    return decimals if keep < MANTISSA - 8 and 0 <= decimals <= MOST_DECIMALS else None


def _mutual_information(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], bit: int) -> float:
    """Return the bits of information that a bit of one value has of the same bit of the next; 0 where chance does."""
    first, second = ((side.view(np.uint64) >> np.uint64(bit)) & np.uint64(1) for side in (before, after))
    counts = np.bincount((2 * first + second).astype(np.int64), minlength=4).reshape(2, 2) / len(before)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True)
    there = counts > 0
    told = float(np.sum(counts[there] * np.log2(counts[there] / expected[there])))
    # Of independent bits this is distributed as chi-squared / (2 n ln 2): 10.8 is exceeded once in a thousand times.
    return told if told > 10.8 / (2 * len(before) * np.log(2)) else 0.0
