"""Parts of a data set: contiguous windows of its series, evenly spread over all samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, Series

SHORTEST_WINDOW = 1_000
"""Windows are shorter only where their series are: what a frame costs beside its values would count too much."""
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it are spread evenly modulo 1, and fall in with no period of the data."""

Lengths = npt.NDArray[np.int64]


class Window(NamedTuple):
    """The samples ``start`` up to, and without, ``stop`` of a series."""

    series: int
    start: int
    stop: int


def choose_windows(lengths: Lengths, samples: int) -> list[Window]:
    """Choose about so many samples: a window each of as many series as there is room for.

    Parameters
    ----------
    lengths : int64[series]
        Samples of each series.
    samples : int
        How many are wanted; where there are not more, every series is taken whole.

    Returns
    -------
    list of Window
        By number of series, none twice. A series is the likelier to be among them the longer it is.

    Examples
    --------
    >>> choose_windows(np.array([5000, 5000]), 2000)
    [Window(series=0, start=0, stop=1000), Window(series=1, start=2472, stop=3472)]
    >>> choose_windows(np.array([3, 0, 4]), 100)
    [Window(series=0, start=0, stop=3), Window(series=1, start=0, stop=0), Window(series=2, start=0, stop=4)]
    """
    total = int(lengths.sum())
    if total <= samples:
        return [Window(i, 0, length) for i, length in enumerate(lengths.tolist())]
    count = max(1, min(len(lengths), samples // SHORTEST_WINDOW))
    places = (np.arange(count) + np.arange(count) * GOLDEN % 1) / count * total
    chosen = np.unique(np.searchsorted(np.cumsum(lengths), places.astype(np.int64), side="right"))
    sizes = np.minimum(lengths[chosen], _longest(lengths[chosen], samples))
    starts = ((lengths[chosen] - sizes) * (np.arange(len(chosen)) * GOLDEN % 1)).astype(np.int64)
    return [Window(*one) for one in zip(chosen.tolist(), starts.tolist(), (starts + sizes).tolist(), strict=True)]


def _longest(lengths: Lengths, samples: int) -> int:
    """Return how long a window may be so that there are about so many samples in all."""
    longest = max(1, samples // len(lengths))
    while int(np.minimum(lengths, 2 * longest).sum()) <= samples and longest < int(lengths.max()):
        longest *= 2
    left = samples - int(np.minimum(lengths, longest).sum())
    longer = int((lengths > longest).sum())
    return longest + (max(0, left) // longer if longer else 0)


def take(dataset: MetricDataset, windows: Sequence[Window]) -> MetricDataset:
    """Return the windows as a data set; the data set itself where they are all of it."""
    if sum(window.stop - window.start for window in windows) == len(dataset) and len(windows) == len(dataset.keys):
        return dataset
    return MetricDataset.from_series(take_series(dataset, windows), time_unit=dataset.time_unit)


def take_series(dataset: MetricDataset, windows: Sequence[Window], first: int = 0) -> list[Series]:
    """Return the windows as series; their numbers are counted from the number of the data set's first series."""
    taken = []
    for number, start, stop in windows:
        key, timestamps, values = dataset.series(number - first)
        taken.append(Series(key, timestamps[start:stop], values[start:stop]))
    return taken


def halve(dataset: MetricDataset) -> MetricDataset:
    """Return the first half of each series, one sample at least; a series that has none is left out."""
    lengths = np.diff(dataset.offsets).tolist()
    return take(dataset, [Window(i, 0, (length + 1) // 2) for i, length in enumerate(lengths) if length])


def line_through(few: tuple[int, float], more: tuple[int, float]) -> tuple[float, float] | None:
    """Return the bytes that something takes however little it holds, and those of each further sample.

    They are those of the line through two points, samples and bytes each; None where it did not grow from one to the
    other: files of databases do so by blocks, and what is less than one tells nothing.

    Examples
    --------
    >>> line_through((100, 1300), (200, 1500))
    (1100.0, 2.0)
    >>> line_through((100, 8192), (200, 8192))
    """
    slope = (more[1] - few[1]) / (more[0] - few[0])
    return (more[1] - slope * more[0], slope) if slope > 0 else None
