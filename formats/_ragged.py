"""A data set as arrays: those of all samples one series after another, and beside them how many each series has.

It is what the CF conventions call a contiguous ragged array: ``metric_name``, ``labels`` (JSON) and ``row_size`` for
each series, ``timestamp`` and ``value`` for each sample.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.formats._engine import EngineReader, checked

SINCE = {
    unit: f"{word} since 1970-01-01"
    for unit, word in (("s", "seconds"), ("ms", "milliseconds"), ("us", "microseconds"), ("ns", "nanoseconds"))
}
"""What timestamps count, as the CF conventions say it."""


def names_and_labels(keys: Sequence[SeriesKey]) -> tuple[list[str], list[str]]:
    """Return metric names, and labels as JSON."""
    for key in keys:
        str(key).encode()  # half a surrogate pair is rejected, whether or not JSON could hold it
    return [key.metric_name for key in keys], [json.dumps(dict(key.labels)) for key in keys]


class RaggedReader(EngineReader):
    """Arrays that are open: of a series those chunks are read that hold some of it.

    Parameters
    ----------
    names, labels : sequence of str
        As `names_and_labels` returned them.
    row_size : int64[series]
        How many samples each series has.
    timestamps, values : array-like
        Sliced when they are read.
    since : str
        One of `SINCE`.
    digest : str, optional
        What `squeezelab.formats._engine.digest_of` said of the data set, if something else does not check it.
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: Sequence[str],
        row_size: npt.NDArray[np.int64],
        timestamps: Any,
        values: Any,
        since: str,
        digest: str | None = None,
    ) -> None:
        self.keys = [SeriesKey(name, json.loads(text)) for name, text in zip(names, labels, strict=True)]
        self._offsets = np.append(0, np.cumsum(row_size)).astype(np.int64)
        self._timestamps, self._values = timestamps, values
        self._unit = next(unit for unit, text in SINCE.items() if text == since)
        self._digest = digest

    def read_all(self) -> MetricDataset:
        """Read all chunks."""
        dataset = MetricDataset(self.keys, self._offsets, self._timestamps[:], self._values[:], self._unit)
        return dataset if self._digest is None else checked(dataset, self._digest)

    def read_series(self, number: int) -> Series:
        """Read the chunks that hold a series."""
        start, stop = self._offsets[number : number + 2].tolist()
        return Series(self.keys[number], self._timestamps[start:stop], self._values[start:stop])

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Read the timestamps of a series, and of the values those chunks that hold what lies between."""
        first, stop = self._offsets[number : number + 2].tolist()
        timestamps = self._timestamps[first:stop]
        places = np.flatnonzero((timestamps >= start) & (timestamps < end))
        if not places.size:
            return Series(self.keys[number], timestamps[:0], np.empty(0))
        least, most = int(places[0]), int(places[-1]) + 1
        values = self._values[first + least : first + most]
        return Series(self.keys[number], timestamps[places], values[places - least])
