"""Down-sampled files: of each window of time five numbers stay, and the samples are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, INT64, Bytes, read_varint, varint
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.formats._dictionary_file import DictionaryFile, decode_columns, encode_columns
from squeezelab.formats.base import Buffer, Loss
from squeezelab.kernels import kernel

STEPS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600}
"""The windows there are, in seconds."""


class Windows(NamedTuple):
    """What is kept of a data set, window after window, series after series.

    A sample that is NaN counts nowhere; a window of nothing else has count 0 and NaN in all other columns.

    Attributes
    ----------
    step : int
        Length of a window, in what timestamps count.
    keys : list of SeriesKey
        The series.
    offsets : int64[series + 1]
        ``offsets[i]:offsets[i + 1]`` are the windows of series ``i``.
    starts : int64[windows]
        Unix time when a window begins: a multiple of its length.
    counts : int64[windows]
        Samples in it.
    minima, maxima, means, lasts : float64[windows]
        The smallest, largest, mean and latest of them.
    """

    step: int
    keys: list[SeriesKey]
    offsets: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    minima: npt.NDArray[np.float64]
    maxima: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    lasts: npt.NDArray[np.float64]


class Downsampled(DictionaryFile):
    """Minimum, maximum, mean, count and last value of each window; lossy.

    Only windows that hold a sample are kept. `decode` gives each window's start and mean as a sample, which is what a
    dashboard draws; `windows` gives all that is in the file.

    Parameters
    ----------
    step : str
        Length of a window: ``1m``, ``5m``, ``15m`` or ``1h``.

    Notes
    -----
    What is lost (`loss`) is how far each sample is from the mean of its window: the largest distance; and the root mean
    square of all distances, each as a share of its series' range (largest less smallest sample), because series of
    bytes and of percents cannot be added up otherwise. Samples that are NaN or infinite are left out of it; a series
    whose samples are all alike loses nothing.

    After head and dictionary (`squeezelab.formats._dictionary_file`) come the step in what timestamps count, a
    varint, and for each series the frames of starts and counts as `delta_of_delta`, and of minima, maxima, means and
    lasts as `xor`.

    Examples
    --------
    >>> key = SeriesKey("up", {})
    >>> dataset = MetricDataset([key], np.array([0, 3]), np.array([60, 75, 120]), np.array([1.0, 3.0, 5.0]))
    >>> file = Downsampled().encode(dataset)
    >>> Downsampled().windows(file).maxima
    array([3., 5.])
    >>> decoded = Downsampled().decode(file)
    >>> decoded.timestamps, decoded.values
    (array([ 60, 120]), array([2., 5.]))
    >>> Downsampled().loss(dataset, decoded).largest
    1.0
    """

    name = "downsampled"
    kind = "ours"
    lossy = True

    def __init__(self, step: str = "1m") -> None:
        if step not in STEPS:
            raise InvalidRequestError(f"no step {step!r}: choose from {', '.join(STEPS)}")
        self.step = step
        self.name = type(self).name + (f":step={step}" if step != "1m" else "")
        self._codecs = [(get_codec("delta_of_delta"), (INT64,))] * 2 + [(get_codec("xor"), (FLOAT64,))] * 4

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the step, and the six frames of each series."""
        step = STEPS[self.step] * dataset.second
        yield varint(step)
        windows = (downsample(timestamps, values, step) for _, timestamps, values in dataset)
        yield from encode_columns(windows, [codec for codec, _ in self._codecs])

    def windows(self, data: Buffer) -> Windows:
        """Return all that a file holds.

        Raises
        ------
        CorruptDataError
            If it is not a whole file of this format.
        """
        keys, body = self.unsealed(data)
        step, after = read_varint(body[:10].tobytes(), 0)
        offsets, columns = decode_columns(body[after:], len(keys), self._codecs)
        return Windows(step, keys, offsets, *(column.values for column in columns))

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Return the windows' starts and means as samples."""
        _, after = read_varint(body[:10].tobytes(), 0)
        offsets, (starts, _, _, _, means, _) = decode_columns(body[after:], len(keys), self._codecs)
        return MetricDataset(keys, offsets, starts.values, means.values)

    def loss(self, original: MetricDataset, decoded: MetricDataset) -> Loss:
        """Compare each sample with the mean of its window."""
        largest, squares, count = 0.0, 0.0, 0
        step = STEPS[self.step] * original.second
        for (_, timestamps, values), (_, starts, means) in zip(original, decoded, strict=True):
            finite = np.isfinite(values)
            numbers = values[finite]
            if not numbers.size:
                continue
            window = np.searchsorted(starts, window_starts(timestamps[finite], step))
            with np.errstate(over="ignore", invalid="ignore"):
                distances = np.abs(numbers - means[window])
                span = np.ptp(numbers)
                shares = distances[distances > 0] / span
            # A sample beside an infinite one in its window has no mean that is a number.
            largest = max(largest, float(np.max(np.where(np.isnan(distances), np.inf, distances))))
            squares += float(np.sum(np.square(shares)))
            count += numbers.size
        return Loss(largest, float(np.sqrt(squares / count)) if count else 0.0)


def window_starts(timestamps: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
    """Return the latest multiple of a step that is not after each timestamp.

    Examples
    --------
    >>> window_starts(np.array([-1, 0, 59, 60]), 60)
    array([-60,   0,   0,  60])
    """
    # The first of all int64 are in a window that begins with them: what lies before does not exist.
    since = (timestamps - np.iinfo(np.int64).min).view(np.uint64)
    return timestamps - np.minimum((timestamps % step).view(np.uint64), since).view(np.int64)


def downsample(
    timestamps: npt.NDArray[np.int64], values: npt.NDArray[np.float64], step: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], *tuple[npt.NDArray[np.float64], ...]]:
    """Return start, count, minimum, maximum, mean and last of each window of a series, in the order of time.

    Parameters
    ----------
    timestamps : int64[n]
        Unix time in any order; of samples of one moment the one that comes last is the later.
    values : float64[n]
    step : int
        Length of a window, in what timestamps count.

    Examples
    --------
    >>> downsample(np.array([0, 30, 60]), np.array([1.0, 2.0, np.nan]), 60)[:3]
    (array([ 0, 60]), array([2, 0]), array([ 1., nan]))
    """
    if np.any(timestamps[1:] < timestamps[:-1]):
        order = np.argsort(timestamps, kind="stable")
        timestamps, values = timestamps[order], values[order]
    starts, firsts = np.unique(window_starts(timestamps, step), return_index=True)
    counts = np.empty(len(starts), np.int64)
    minima, maxima, means, lasts = (np.empty(len(starts)) for _ in range(4))
    aggregate(values, np.append(firsts, len(values)), counts, minima, maxima, means, lasts)
    return starts, counts, minima, maxima, means, lasts


@kernel
def aggregate(values, bounds, counts, minima, maxima, means, lasts):
    """Fill the columns of windows; ``values[bounds[i]:bounds[i + 1]]`` are the samples of window ``i``."""
    for i in range(counts.size):
        count, total = 0, 0.0
        low = high = last = np.nan
        for value in values[bounds[i] : bounds[i + 1]]:
            if not np.isnan(value):
                low = value if not value >= low else low
                high = value if not value <= high else high
                last = value
                total += value
                count += 1
        if np.isinf(total) and not np.isinf(low) and not np.isinf(high):  # each is finite, only their sum is not
            total = 0.0
            for value in values[bounds[i] : bounds[i + 1]]:
                if not np.isnan(value):
                    total += value / count
        elif count:
            total /= count
        counts[i], minima[i], maxima[i], lasts[i] = count, low, high, last
        means[i] = total if count else np.nan
