"""A data set as arrays: those of all samples one series after another, and beside them how many each series has.

It is what the CF conventions call a contiguous ragged array: ``metric_name``, ``labels`` (JSON) and ``row_size`` for
each series, ``timestamp`` and ``value`` for each sample. Values are of their own type. Where series have several,
``value_type`` names that of each, ``value`` has the doubles, ``value_int64`` and ``value_float32`` the others: zero
where a series is not of that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import WORD, MetricDataset, Series, SeriesKey, from_words, to_words
from squeezelab.formats._engine import EngineReader, checked
from squeezelab.formats._long import TYPED, VALUE, value_titles

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


def value_arrays(dataset: MetricDataset) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of values, each as long as there are samples, by what they are called."""
    if len(dataset.value_dtypes) < 2:
        return {VALUE: dataset.values}
    types = np.repeat(np.array(dataset.dtypes), np.diff(dataset.offsets))
    arrays = {}
    for title, dtype in value_titles(dataset.value_dtypes).items():
        arrays[title] = np.zeros(len(dataset), dtype)
        arrays[title][types == dtype] = from_words(dataset.values[types == dtype], dtype)
    return arrays


def value_types(dataset: MetricDataset) -> list[str]:
    """Return the name of each series' type of values; nothing where all are of one."""
    return [dtype.name for dtype in dataset.dtypes or ()] if len(dataset.value_dtypes) > 1 else []


class RaggedReader(EngineReader):
    """Arrays that are open: of a series those chunks are read that hold some of it.

    Parameters
    ----------
    names, labels : sequence of str
        As `names_and_labels` returned them.
    row_size : int64[series]
        How many samples each series has.
    timestamps : array-like
        Sliced when they are read.
    values : mapping of str to array-like
        As `value_arrays` returned them, sliced when they are read.
    since : str
        One of `SINCE`.
    digest : str, optional
        What `squeezelab.formats._engine.digest_of` said of the data set, if something else does not check it.
    types : sequence of str
        As `value_types` returned them.
    """

    def __init__(
        self,
        names: Sequence[str],
        labels: Sequence[str],
        row_size: npt.NDArray[np.int64],
        timestamps: Any,
        values: Mapping[str, Any],
        since: str,
        digest: str | None = None,
        types: Sequence[str] = (),
    ) -> None:
        self.keys = [SeriesKey(name, json.loads(text)) for name, text in zip(names, labels, strict=True)]
        self._offsets = np.append(0, np.cumsum(row_size)).astype(np.int64)
        self._timestamps, self._values = timestamps, values
        self._unit = next(unit for unit, text in SINCE.items() if text == since)
        self._digest = digest
        self._dtypes = [np.dtype(name) for name in types] or None
        if self._dtypes and len(self._dtypes) != len(self.keys):
            raise ValueError("not every series has a type of values")

    def read_all(self) -> MetricDataset:
        """Read all chunks."""
        values = self._values[VALUE][:] if self._dtypes is None else self._words(np.array(self._dtypes))
        dataset = MetricDataset(self.keys, self._offsets, self._timestamps[:], values, self._unit, self._dtypes)
        return dataset if self._digest is None else checked(dataset, self._digest)

    def read_series(self, number: int) -> Series:
        """Read the chunks that hold a series."""
        start, stop = self._offsets[number : number + 2].tolist()
        return Series(self.keys[number], self._timestamps[start:stop], self._of(number)[start:stop])

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Read the timestamps of a series, and of the values those chunks that hold what lies between."""
        first, stop = self._offsets[number : number + 2].tolist()
        timestamps = self._timestamps[first:stop]
        places = np.flatnonzero((timestamps >= start) & (timestamps < end))
        least, most = (int(places[0]), int(places[-1]) + 1) if places.size else (0, 0)
        values = self._of(number)[first + least : first + most]
        return Series(self.keys[number], timestamps[places], values[places - least])

    def _of(self, number: int) -> Any:
        """Return the array that has the values of a series."""
        return self._values[VALUE if self._dtypes is None else TYPED[self._dtypes[number]]]

    def _words(self, dtypes: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        words = np.zeros(self._offsets[-1], WORD)
        types = np.repeat(dtypes, np.diff(self._offsets))
        for title, dtype in value_titles(list(TYPED)).items():
            if title in self._values:
                words[types == dtype] = to_words(self._values[title][:][types == dtype])
        return words
