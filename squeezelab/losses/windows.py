"""Down-sampling, what a metrics store does in place of a bound: a few numbers a window, and for counters one more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import get_codec
from squeezelab.formats.downsampled import STEPS, downsample, window_starts
from squeezelab.losses.bounds import Floats

Integers = npt.NDArray[np.int64]

CODEC = "tally"
WINDOWS = STEPS
"""Lengths of windows, in seconds."""


@dataclass(frozen=True)
class Windowed:
    """What is left of a series.

    Attributes
    ----------
    restored : float64[n]
        A value for each sample: of a gauge the mean of its window, of a counter its growth so far, by straight lines
        between the ends of windows. NaN where the sample is.
    truth : float64[n]
        What that is to be compared with: the samples, of a counter without its resets.
    maximum : float
        The largest of all windows' maxima.
    size : int
        Bytes of the values' columns, starts and counts among them.
    """

    restored: Floats
    truth: Floats
    maximum: float
    size: int


def keep_windows(timestamps: Integers, values: Floats, step: int, counter: bool) -> Windowed:
    """Down-sample a series: mean, minimum, maximum and count of each window, and of counters the total.

    Parameters
    ----------
    timestamps : int64[n]
        Rising.
    values : float64[n]
    step : int
        Length of a window, in what timestamps count.
    counter : bool
        Whether the total is kept as well.

    Notes
    -----
    The total is that of Thanos (pkg/compact/downsample): the first sample, then all growth up to the last sample of the
    window, where a fall counts as a reset to zero. It is dated at the last moment of its window, the last one at the
    last sample. Samples that are NaN or infinite count nowhere.

    Examples
    --------
    >>> kept = keep_windows(np.arange(0, 150, 30), np.array([1.0, 3.0, 5.0, 1.0, 2.0]), 60, counter=True)
    >>> kept.truth.tolist(), kept.restored.round(1).tolist()
    ([1.0, 3.0, 5.0, 6.0, 7.0], [1.0, 2.0, 3.0, 4.6, 7.0])
    """
    finite = np.isfinite(values)
    moments, numbers = timestamps[finite], values[finite]
    truth, restored = values.copy(), np.full(values.shape, np.nan)
    starts, counts, *kept = downsample(moments, numbers, step)
    minima, maxima, means, _ = kept
    columns: list[npt.NDArray[Any]] = [starts, counts, minima, maxima, means]
    if counter and moments.size:
        growth = np.diff(numbers, prepend=0.0)
        growth = np.where(growth < 0, numbers, growth)
        total = np.cumsum(growth)
        lasts = np.cumsum(counts) - 1
        ends = np.minimum(starts + step - 1, moments[-1])
        truth[finite] = total
        # Thanos keeps the first sample at its own moment, too.
        known, levels = np.append(moments[:1], ends), np.append(total[:1], total[lasts])
        restored[finite] = np.interp(moments, known, levels)
        columns += [levels]
    else:
        restored[finite] = means[np.searchsorted(starts, window_starts(moments, step))]
    codec = get_codec(CODEC)
    size = sum(len(codec.encode(column)) for column in columns)
    return Windowed(restored, truth, float(maxima.max()) if maxima.size else np.nan, size)
