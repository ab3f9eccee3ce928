"""The binary table: the strings once, then a row of fixed width for each sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from squeezelab.codecs._frame import Bytes
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary_file import DictionaryFile
from squeezelab.formats.base import Buffer

ROW = np.dtype([("series", "<u4"), ("timestamp", "<i8"), ("value", "<f8")])
"""20 bytes, little-endian, nothing between the fields."""

_CHUNK_ROWS = 2**17


class Table(DictionaryFile):
    """A row of 20 bytes for each sample, as a database would keep it without columns.

    Notes
    -----
    After head and dictionary (`squeezelab.formats._dictionary_file`) come the rows: the number of the series in the
    dictionary, from 0 on, as uint32, the timestamp as int64 and the value as float64, series after series.

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

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the rows, some megabytes at a time."""
        for first in range(0, len(dataset), _CHUNK_ROWS):
            span = slice(first, min(first + _CHUNK_ROWS, len(dataset)))
            rows = np.empty(span.stop - span.start, ROW)
            rows["series"] = np.searchsorted(dataset.offsets, np.arange(span.start, span.stop), side="right") - 1
            rows["timestamp"], rows["value"] = dataset.timestamps[span], dataset.values[span]
            yield rows.view(np.uint8).data

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Take the rows apart."""
        if len(body) % ROW.itemsize:
            raise CorruptDataError("the table ends inside a row: it is damaged")
        rows = body.view(ROW)
        series = rows["series"].astype(np.int64)
        if series.size and (np.any(series[1:] < series[:-1]) or series[-1] >= len(keys)):
            raise CorruptDataError("the table's rows are out of order, or of a series that it lacks: it is damaged")
        offsets = np.searchsorted(series, np.arange(len(keys) + 1))
        return MetricDataset(keys, offsets, rows["timestamp"].astype(np.int64), rows["value"].astype(np.float64))
