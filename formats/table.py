"""The binary table: the strings once, then a row of fixed width for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from squeezelab.codecs._frame import Bytes
from squeezelab.dataset import DOUBLE, VALUE_DTYPES, WORD, MetricDataset, SeriesKey, to_words
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary_file import DictionaryFile
from squeezelab.formats._sealed import first_line, seal
from squeezelab.formats.base import Buffer

ROW = np.dtype([("series", "<u4"), ("timestamp", "<i8"), ("value", "<u8")])
"""20 bytes, little-endian, nothing between the fields."""

_CHUNK_ROWS = 2**17
_TYPED = 2
"""The version of files that tell the types of values."""


class Table(DictionaryFile):
    """A row of 20 bytes for each sample, as a database would keep it without columns.

    Notes
    -----
    After head and dictionary (`squeezelab.formats._dictionary_file`) come the rows: the number of the series in the
    dictionary, from 0 on, as uint32, the timestamp as int64 and the value as float64, series after series.

    Where values are not all float64, the file is of version 2: before the rows stands a byte a series, 0 for float64, 1
    for int64 and 2 for float32, which is filled up to 8 bytes with zeros.

    Examples
    --------
    >>> dataset = MetricDataset([SeriesKey("up", {})], np.array([0, 1]), np.array([60]), np.array([1.0]))
    >>> Table().encode(dataset)[-28:-8].hex(" ", 4)
    '00000000 3c000000 00000000 00000000 0000f03f'
    >>> Table().decode(Table().encode(dataset)).timestamps
    array([60])
    """

    name = "table"
    kind = "general"
    dtypes = VALUE_DTYPES

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield head, types where these are not all float64, rows and checksum."""
        version = 1 if dataset.value_dtypes == (DOUBLE,) else _TYPED
        yield from seal(self.name, dataset.keys, self.body(dataset), version)

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the rows, some megabytes at a time."""
        if dataset.value_dtypes != (DOUBLE,):
            yield bytes(map(VALUE_DTYPES.index, dataset.dtypes or ()))
        for first in range(0, len(dataset), _CHUNK_ROWS):
            span = slice(first, min(first + _CHUNK_ROWS, len(dataset)))
            rows = np.empty(span.stop - span.start, ROW)
            rows["series"] = np.searchsorted(dataset.offsets, np.arange(span.start, span.stop), side="right") - 1
            rows["timestamp"], rows["value"] = dataset.timestamps[span], to_words(dataset.values[span])
            yield rows.view(np.uint8).data

    def decode(self, data: Buffer) -> MetricDataset:
        """Check the whole file and read its body."""
        line = first_line(self.name, _TYPED)
        if bytes(memoryview(data)[: len(line)]) != line:
            return super().decode(data)
        return self.parsed(self._parse_typed, *self.unsealed(data, _TYPED))

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Take the rows apart."""
        return self._parse_rows(keys, body, [DOUBLE] * len(keys))

    def _parse_typed(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        tags = body[: len(keys)].tolist()
        if len(tags) < len(keys) or any(tag >= len(VALUE_DTYPES) for tag in tags):
            raise CorruptDataError("the table does not tell the types of its values: it is damaged")
        return self._parse_rows(keys, body[len(keys) :], [VALUE_DTYPES[tag] for tag in tags])

    def _parse_rows(self, keys: list[SeriesKey], body: Bytes, dtypes: list[np.dtype[Any]]) -> MetricDataset:
        if len(body) % ROW.itemsize:
            raise CorruptDataError("the table ends inside a row: it is damaged")
        rows = body.view(ROW)
        series = rows["series"].astype(np.int64)
        if series.size and (np.any(series[1:] < series[:-1]) or series[-1] >= len(keys)):
            raise CorruptDataError("the table's rows are out of order, or of a series that it lacks: it is damaged")
        offsets = np.searchsorted(series, np.arange(len(keys) + 1))
        words = rows["value"].astype(WORD)
        return MetricDataset(keys, offsets, rows["timestamp"].astype(np.int64), words, dtypes=dtypes)
