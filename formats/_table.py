"""What files of other engines have in common: all samples as one table, sealed as the lab's own files are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import reading
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary_file import DictionaryFile
from squeezelab.formats.base import Buffer

SCHEMA = pa.schema([("series", pa.uint32()), ("timestamp", pa.int64()), ("value", pa.float64())])


class TableFormat(DictionaryFile):
    """Base of formats in which another engine keeps the samples; a subclass gives `store` and `load`.

    Notes
    -----
    Within what `squeezelab.formats._sealed` draws, the body is the engine's own file: what a user of that engine has, a
    row a sample, of series, timestamp and value, with series as numbers, as a table of samples refers to a table of
    series. The seal makes every label set come back, and damage be noticed, the same for all engines.
    """

    kind = "peers"
    whole_file = True
    compressible = False

    @abstractmethod
    def store(self, table: pa.Table) -> Buffer:
        """Return the engine's file of a table of this module's `SCHEMA`, rows in the order of the data set."""

    @abstractmethod
    def load(self, data: bytes) -> pa.Table:
        """Return the table of an engine's file, rows in the order in which they were stored.

        It may raise whatever the engine raises where the file is damaged.
        """

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the engine's file."""
        numbers = np.repeat(np.arange(len(dataset.keys), dtype=np.uint32), np.diff(dataset.offsets))
        yield self.store(pa.table([numbers, dataset.timestamps, dataset.values], schema=SCHEMA))

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Have the engine read its file, and give its rows back to their series."""
        with reading(self.name):
            table = self.load(body.tobytes()).select(SCHEMA.names).cast(SCHEMA)
            numbers, timestamps, values = (column.to_numpy() for column in table.columns)
            counts = np.bincount(numbers, minlength=len(keys))
            if len(counts) != len(keys) or np.any(numbers[1:] < numbers[:-1]):
                raise CorruptDataError("the table's rows are not those of its series: the file is damaged")
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            return MetricDataset(keys, offsets, timestamps, values)


def rises(table: pa.Table) -> bool:
    """Return whether the timestamps of each series rise, never falling or standing still."""
    series, timestamps = table["series"].to_numpy(), table["timestamp"].to_numpy()
    return bool(np.all((timestamps[1:] > timestamps[:-1]) | (series[1:] != series[:-1])))
