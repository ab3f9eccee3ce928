"""What takes doubles alone is given them, with a sentence on what became of other values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import DOUBLE, MetricDataset

MOST_NAMED = 3


def count_inexact(numbers: npt.NDArray[Any]) -> int:
    """Count integers that no double holds exactly; numbers of other kinds are none.

    Examples
    --------
    >>> count_inexact(np.array([2**53, 2**53 + 1, 2**60])), count_inexact(np.array([0.5]))
    (1, 0)
    """
    return int(np.count_nonzero(is_inexact(numbers)))


def is_inexact(numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which numbers are integers that no double holds exactly.

    Examples
    --------
    >>> is_inexact(np.array([2**53, 2**53 + 1]))
    array([False,  True])
    """
    if numbers.dtype.kind not in "iu":
        return np.zeros(numbers.shape, np.bool_)
    sizes = np.where(numbers < 0, -numbers, numbers).astype(np.uint64)
    lowest_bits = np.maximum(sizes & (~sizes + np.uint64(1)), np.uint64(1))
    return np.asarray(sizes // lowest_bits >= np.uint64(2**53))


def rounded_integers(dataset: MetricDataset) -> int:
    """Count the integers of a data set that no double holds exactly."""
    return sum(count_inexact(one.values) for one in dataset)


def told_integers(count: int) -> str:
    """Return so many integers in words.

    Examples
    --------
    >>> told_integers(1), told_integers(2000)
    ('1 integer', '2,000 integers')
    """
    return f"{count:,} integer{'s' * (count != 1)}"


def name_some(names: Iterable[str]) -> str:
    """Return some different names in a line.

    Examples
    --------
    >>> name_some(["a", "b", "a"]), name_some("abcde")
    ('a, b', 'a, b, c, ...')
    """
    different = list(dict.fromkeys(" ".join(name.split()) for name in names))
    return ", ".join([*different[:MOST_NAMED], *(["..."] if len(different) > MOST_NAMED else [])])


def name_typed(dataset: MetricDataset, dtype: np.dtype[Any]) -> str:
    """Return some of the metrics whose values are of a dtype."""
    return name_some(one.key.metric_name for one in dataset if one.values.dtype == dtype)


def doubled(dataset: MetricDataset, who: str) -> tuple[MetricDataset, list[str]]:
    """Return a data set with doubles alone, and a sentence on what became of other values.

    Parameters
    ----------
    dataset : MetricDataset
    who : str
        What takes doubles alone.

    Examples
    --------
    >>> from squeezelab import Series, SeriesKey
    >>> one = Series(SeriesKey("requests_total", {}), np.arange(3), 2**53 + np.arange(3))
    >>> doubled(MetricDataset.from_series([one]), "Prometheus")[1]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['Prometheus was given doubles in place of int64 (requests_total);
    1 integer beyond 2^53 became the nearest double.']
    """
    others = [dtype for dtype in dataset.value_dtypes if dtype != DOUBLE]
    if not others:
        return dataset, []
    kinds = " and ".join(f"{dtype} ({name_typed(dataset, dtype)})" for dtype in others)
    inexact = rounded_integers(dataset)
    lost = f"{told_integers(inexact)} beyond 2^53 became the nearest double"
    lost = lost if inexact else "they hold all of these numbers exactly"
    return dataset.as_doubles(), [f"{who} was given doubles in place of {kinds}; {lost}."]
