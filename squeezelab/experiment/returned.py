"""What came back of a data set from a database, bit by bit: what is lost, moved or changed, and how many of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, Series
from squeezelab.results import Returned

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

EXPONENT, SIGN = np.uint64(0x7FF0000000000000), np.uint64(1 << 63)


class _Column(NamedTuple):
    """A series in the order of time, its values as bits."""

    timestamps: Ints
    words: Words


class _Pairs(NamedTuple):
    """Which samples belong together by position, how many of them first at the same time; and what is left over."""

    given: Ints
    found: Ints
    lost: Ints
    added: int


def compare_returned(given: MetricDataset, found: MetricDataset) -> Returned:
    """Compare what a database was given with what came back.

    Parameters
    ----------
    given, found : MetricDataset
        Series in any order, and samples of a series in any order: a database sorts them.

    Returns
    -------
    Returned

    Notes
    -----
    Samples of a series belong together that have the same time. Of those left over on both sides, the first belong
    together as well, and the next: they have moved. Where as many came back as were given, they may also belong
    together one by one: of the two readings that counts which needs fewer faults.

    Examples
    --------
    >>> from squeezelab.dataset import SeriesKey
    >>> key = SeriesKey("up", {})
    >>> given = MetricDataset.from_series([Series(key, np.array([10, 20, 30]), np.array([1.0, 2.0, 3.0]))])
    >>> found = MetricDataset.from_series([Series(key, np.array([10, 30]), np.array([1.0, 3.5]))])
    >>> compared = compare_returned(given, found)
    >>> compared.samples_lost, compared.values_changed
    (1, 1)
    """
    if given.keys == found.keys and given.fingerprint == found.fingerprint:
        return Returned()
    theirs = {one.key: one for one in found if len(one.timestamps)}
    ours = [one for one in given if len(one.timestamps)]
    compared = [_compare(one, theirs.get(one.key), given.second) for one in ours]
    added = theirs.keys() - {one.key for one in ours}
    compared.append(Returned(series_added=len(added), samples_added=sum(len(theirs[key].timestamps) for key in added)))
    return _sum_up(compared)


def _sum_up(compared: list[Returned]) -> Returned:
    largest = ("largest_move_s", "largest_relative_change")
    names = Returned.__dataclass_fields__
    return Returned(**{n: (max if n in largest else sum)(getattr(one, n) for one in compared) for n in names})


def _compare(given: Series, found: Series | None, second: int) -> Returned:
    """Compare one series."""
    ours = _in_order(given)
    if found is None:
        return Returned(series_lost=1, samples_lost=len(ours.words), special_lost=_count_special(ours.words))
    theirs = _in_order(found)
    if len(ours.words) == len(theirs.words):
        every = np.arange(len(ours.words))
        one_by_one = _judge(ours, theirs, _Pairs(every, every, every[:0], 0), second)
        if not one_by_one.times_moved:
            return one_by_one
        return min(one_by_one, _judge(ours, theirs, _pair(ours, theirs), second), key=_faults)
    return _judge(ours, theirs, _pair(ours, theirs), second)


def _in_order(series: Series) -> _Column:
    timestamps, words = series.timestamps, series.values.view(np.uint64)
    if not (timestamps[1:] > timestamps[:-1]).all():
        order = np.lexsort((words, timestamps))
        timestamps, words = timestamps[order], words[order]
    return _Column(timestamps, words)


def _pair(ours: _Column, theirs: _Column) -> _Pairs:
    """Pair samples of the same time, the first of them with the first; then what is left over, in the order of time."""
    count = len(ours.timestamps)
    _, moments = np.unique(np.concatenate([ours.timestamps, theirs.timestamps]), return_inverse=True)
    first, second = _tell_apart(moments[:count]), _tell_apart(moments[count:])
    _, mine, other = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    left = np.setdiff1d(np.arange(count), mine, assume_unique=True)
    over = np.setdiff1d(np.arange(len(theirs.timestamps)), other, assume_unique=True)
    moved = min(len(left), len(over))
    return _Pairs(
        np.concatenate([mine, left[:moved]]),
        np.concatenate([other, over[:moved]]),
        left[moved:],
        len(over) - moved,
    )


def _tell_apart(moments: Ints) -> Ints:
    """Give each sample a number of its own, which is the same for the n-th of the same moment on both sides."""
    repeated = np.arange(len(moments)) - np.searchsorted(moments, moments)
    return moments.astype(np.int64) << 32 | repeated


def _judge(ours: _Column, theirs: _Column, pairs: _Pairs, second: int) -> Returned:
    """Count what differs between samples that belong together."""
    before, after = ours.timestamps[pairs.given], theirs.timestamps[pairs.found]
    moved = before != after
    given, found = ours.words[pairs.given], theirs.words[pairs.found]
    changed = given != found
    given, found = given[changed], found[changed]
    infinite = given & ~SIGN == EXPONENT
    nan = given & ~SIGN > EXPONENT
    zero = given == SIGN
    plain = ~(infinite | nan | zero)
    moves = np.abs(after[moved].astype(np.float64) - before[moved].astype(np.float64))
    lost = ours.words[pairs.lost]
    return Returned(
        samples_lost=len(lost),
        samples_added=pairs.added,
        special_lost=_count_special(lost),
        times_moved=int(moved.sum()),
        largest_move_s=float(moves.max(initial=0)) / second,
        values_changed=int(plain.sum()),
        largest_relative_change=_largest_change(given[plain].view(np.float64), found[plain].view(np.float64)),
        nans_changed=int(nan.sum()),
        infinities_changed=int(infinite.sum()),
        zeros_changed=int(zero.sum()),
    )


def _count_special(words: Words) -> int:
    return int((words & EXPONENT == EXPONENT).sum())


def _largest_change(given: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    with np.errstate(all="ignore"):
        change = np.abs(found - given) / np.abs(given)
    return float(np.where(np.isnan(change), np.inf, change).max(initial=0))


def _faults(one: Returned) -> int:
    changed = one.values_changed + one.nans_changed + one.infinities_changed + one.zeros_changed
    return one.samples_lost + one.samples_added + one.times_moved + changed
