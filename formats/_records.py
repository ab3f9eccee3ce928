"""Files of records: a record a sample, whose beginning is the same for all samples of a series."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from squeezelab.dataset import MetricDataset, SeriesKey
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
