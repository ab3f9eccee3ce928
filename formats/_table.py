"""What files of other engines have in common: all samples as one table, in a small envelope of ours."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash

from squeezelab.codecs._frame import CHECKSUM_BYTES, read_varint, varint
from squeezelab.codecs.base import as_bytes, reading
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary import decode_keys, encode_keys
from squeezelab.formats.base import Buffer, Format

MEMORY = Path("/dev/shm")
SCHEMA = pa.schema([("series", pa.uint32()), ("timestamp", pa.int64()), ("value", pa.float64())])


class TableFormat(Format):
    """Base of formats in which another engine keeps the samples; a subclass gives `store` and `load`.

    Notes
    -----
    ::

        line        "squeezelab <name> 1", ended by a newline
        varint      bytes of the dictionary
        dictionary  as `squeezelab.formats._dictionary` draws it
        table       the engine's own file: a row a sample, of series (its number in the dictionary), timestamp and value
        8 bytes     XXH3-64 of all before, big-endian

    The engine's file is what a user of that engine has, with series as numbers, as a table of samples refers to a
    table of series. The envelope makes every label set come back, and damage be noticed, the same for all engines.
    """

    kind = "peer"
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

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield head, engine's file and checksum."""
        dictionary = encode_keys(dataset.keys)
        head = self._first_line + varint(len(dictionary)) + dictionary
        numbers = np.repeat(np.arange(len(dataset.keys), dtype=np.uint32), np.diff(dataset.offsets))
        stored = self.store(pa.table([numbers, dataset.timestamps, dataset.values], schema=SCHEMA))
        digest = xxhash.xxh3_64(head)
        digest.update(stored)
        yield from (head, stored, digest.digest())

    def decode(self, data: Buffer) -> MetricDataset:
        """Have the engine read its file, and give its rows back to their series."""
        view = as_bytes(data)
        line = len(self._first_line)
        if view[:line].tobytes() != self._first_line:
            raise CorruptDataError(f"this is no {self.name} file: its first line differs")
        if xxhash.xxh3_64_digest(view[:-CHECKSUM_BYTES]) != view[-CHECKSUM_BYTES:].tobytes():
            raise CorruptDataError(f"the checksum differs: the {self.name} file is damaged or cut short")
        body = view[line:-CHECKSUM_BYTES]
        size, at = read_varint(body[:10].tobytes(), 0)
        keys = decode_keys(body[at : at + size].tobytes())
        with reading(self.name):
            table = self.load(body[at + size :].tobytes()).select(SCHEMA.names).cast(SCHEMA)
            numbers, timestamps, values = (column.to_numpy() for column in table.columns)
            counts = np.bincount(numbers, minlength=len(keys))
            if len(counts) != len(keys) or np.any(numbers[1:] < numbers[:-1]):
                raise CorruptDataError("the table's rows are not those of its series: the file is damaged")
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            return MetricDataset(keys, offsets, timestamps, values)

    @property
    def _first_line(self) -> bytes:
        return f"squeezelab {type(self).name} 1\n".encode()


def rises(table: pa.Table) -> bool:
    """Return whether the timestamps of each series rise, never falling or standing still."""
    series, timestamps = table["series"].to_numpy(), table["timestamp"].to_numpy()
    return bool(np.all((timestamps[1:] > timestamps[:-1]) | (series[1:] != series[:-1])))


@contextmanager
def workplace() -> Iterator[Path]:
    """Return a folder for an engine's files, gone when the block ends; in memory where there is one for that."""
    folder = Path(tempfile.mkdtemp(prefix="squeezelab-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
