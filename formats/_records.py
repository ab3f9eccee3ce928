"""Files of records: a record a sample, whose beginning is the same for all samples of a series."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import DOUBLE, MetricDataset, SeriesKey, to_doubles, to_words
from squeezelab.formats.base import Buffer, Format
from squeezelab.kernels.bits import U

CHUNK_BYTES = 4 * 2**20


class RecordFormat(Format):
    """Base of formats that write a record a sample: a prefix for each series, and after it timestamp and value.

    Attributes
    ----------
    longest_tail : int
        The most bytes of a record after its prefix.
    """

    kind = "general"
    checked = False
    holds_empty_series = False
    longest_tail: int

    @abstractmethod
    def prefix(self, key: SeriesKey) -> Any:
        """Return the bytes, uint8[...], that all records of a series begin with."""

    @abstractmethod
    def write_into(self, buffer: Any, at: Any, prefix: Any, timestamps: Any, values: Any) -> Any:
        """Write a record for each sample into a buffer, from a byte on; return the byte after them."""

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the records, some megabytes at a time, all in one buffer.

        Raises
        ------
        SqueezelabError
            If a name or label holds half a surrogate pair.
        """
        buffer, at = np.empty(CHUNK_BYTES, np.uint8), 0
        for key, timestamps, values in dataset:
            prefix = self.prefix(key)
            longest = len(prefix) + self.longest_tail
            start = 0
            while start < len(values):
                stop = start + (len(buffer) - at) // longest
                if stop == start:
                    yield buffer.data[:at]
                    buffer, at = buffer if longest <= len(buffer) else np.empty(longest, np.uint8), 0
                at = int(self.write_into(buffer, U(at), prefix, timestamps[start:stop], values[start:stop]))
                start = stop
        yield buffer.data[:at]


class Records(NamedTuple):
    """Records that were read, whose values are all written as numbers of one type.

    Attributes
    ----------
    series : int64[n]
        For each record the number of its series.
    timestamps : int64[n]
    values : int64[n], float32[n] or float64[n]
    """

    series: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[Any]


def join_records(keys: Sequence[SeriesKey], parts: Sequence[Records]) -> MetricDataset:
    """Return a data set of records in any order; those of a series keep theirs.

    Values of a series are int64 or float32 if all of its records have them so, and else float64: numbers of other
    programs may be spelled as they like.

    Parameters
    ----------
    keys : sequence of SeriesKey
        The series.
    parts : sequence of Records
    """
    found = [set[np.dtype[Any]]() for _ in keys]
    for part in parts:
        for number in np.unique(part.series).tolist():
            found[number].add(part.values.dtype)
    dtypes = [kinds.pop() if len(kinds) == 1 else DOUBLE for kinds in found]
    series = np.concatenate([np.empty(0, np.int64), *(part.series for part in parts)])
    timestamps = np.concatenate([np.empty(0, np.int64), *(part.timestamps for part in parts)])
    words = np.concatenate([np.empty(0, np.uint64), *(_words(part, dtypes) for part in parts)])
    if np.any(series[1:] < series[:-1]):
        order = np.argsort(series, kind="stable")
        timestamps, words = timestamps[order], words[order]
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(np.bincount(series, minlength=len(keys)), out=offsets[1:])
    return MetricDataset(keys, offsets, timestamps, words, dtypes=dtypes)


def _words(part: Records, dtypes: Sequence[np.dtype[Any]]) -> npt.NDArray[np.uint64]:
    """Return the bits of values, doubles in place of those whose series is of doubles."""
    words = to_words(part.values)
    if part.values.dtype != DOUBLE:
        doubles = np.array([dtype == DOUBLE for dtype in dtypes])[part.series]
        words = np.where(doubles, to_words(to_doubles(part.values)), words)
    return words
