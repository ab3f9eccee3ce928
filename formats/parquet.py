"""Parquet files, through pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from squeezelab.codecs.parquet import DELTA, ENCODINGS, LEVELS
from squeezelab.dataset import VALUE_DTYPES, MetricDataset, Series
from squeezelab.formats._engine import EngineFile, EngineReader
from squeezelab.formats._long import (
    TIME,
    about,
    find_series,
    key_columns,
    read_values,
    titles_of,
    value_columns,
    values_after_time,
    values_of_one,
)
from squeezelab.registry import check_choice, check_range, non_default_settings

ABOUT = b"squeezelab"
BATCH_ROWS = 4096
"""After so many, statistics are updated and sizes looked at: with pyarrow's own 1,024 writing takes a fifth longer."""


class Parquet(EngineFile):
    """A Parquet file of all samples: metric name, a column a label, timestamp and value.

    Parameters
    ----------
    timestamps, values : {"dictionary", "plain", "byte_stream_split", "delta"}
        Encodings of the two columns; ``delta`` is DELTA_BINARY_PACKED, for timestamps only.
    compression : {"zstd", "brotli", "gzip", "snappy", "lz4", "none"}
        What compresses the pages; snappy is pyarrow's own default.
    level : int
        Of the compression; 0 is its own default.

    Notes
    -----
    A series lacks a label where that is null; a label that is called as another column has ``label_`` before its name.
    Rows stand series after series. Parquet's timestamps are milliseconds at the coarsest: so are those of seconds,
    unless one does not fit, and all of the file are plain integers. The file's metadata tell the unit, what labels are
    called, and series without samples, as JSON under ``squeezelab``. Values are of their own type; where series have
    several, ``value`` has the doubles, ``value_int64`` and ``value_float32`` the others: null where a series is not of
    that. Pages have their own checksums beside that of the file.

    Source: https://parquet.apache.org/docs/file-format

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Parquet(timestamps="delta", values="byte_stream_split")
    >>> file.decode(file.encode(dataset)).fingerprint == dataset.fingerprint
    True
    """

    name = "parquet"
    suffix = ".parquet"
    dtypes = VALUE_DTYPES
    whole_file = False
    showcase = (
        "",
        "timestamps=delta,values=byte_stream_split",
        "timestamps=delta,values=plain,level=22",
        "timestamps=delta,values=plain,compression=brotli,level=11",
    )

    def __init__(
        self, timestamps: str = "dictionary", values: str = "dictionary", compression: str = "zstd", level: int = 0
    ) -> None:
        check_choice("parquet", "timestamps", timestamps, ENCODINGS | DELTA)
        check_choice("parquet", "values", values, ENCODINGS)
        check_choice("parquet", "compression", compression, LEVELS)
        check_range(f"{compression} in parquet", "level", level, 0, LEVELS[compression])
        self.timestamps = timestamps
        self.values = values
        self.compression = compression
        self.level = level
        self.name += non_default_settings(type(self), vars(self))
        self._options: dict[str, Any] = {
            "compression": compression,
            "compression_level": level or None,
            "store_schema": False,
            "write_page_checksum": True,
            "write_batch_size": BATCH_ROWS,
        }

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the table."""
        values = value_columns(list(dataset), dataset.value_dtypes)
        titles = titles_of(dataset.keys, values=values)
        keys = key_columns(dataset.keys, np.diff(dataset.offsets), titles)
        table = pa.table(keys | {TIME: _times(dataset)} | values)
        options = self._options_for(list(values))
        options |= {"use_dictionary": [*keys, *options["use_dictionary"]]}
        with pq.ParquetWriter(path, table.schema, **options) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({ABOUT: about(dataset, titles)})

    def _options_for(self, values: Sequence[str]) -> dict[str, Any]:
        """Return the options of the writer, with columns of values called so."""
        chosen = {TIME: self.timestamps} | dict.fromkeys(values, self.values)
        return self._options | {
            "use_dictionary": [name for name, encoding in chosen.items() if encoding == "dictionary"],
            "column_encoding": {
                name: (ENCODINGS | DELTA)[encoding] for name, encoding in chosen.items() if encoding != "dictionary"
            },
        }

    def reader(self, path: Path) -> EngineReader:
        """Open the file."""
        return ParquetReader(path)

    def room(self, data: memoryview) -> int:
        """Return where the footer begins, which is found from the file's end."""
        return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def _times(dataset: MetricDataset) -> pa.Array:
    """Return timestamps as Parquet has them: seconds as milliseconds, or as integers where these do not fit."""
    times = pa.array(dataset.timestamps).cast(pa.timestamp(dataset.time_unit, "UTC"))
    if dataset.time_unit != "s":
        return times
    try:
        return times.cast(pa.timestamp("ms", "UTC"))
    except pa.ArrowInvalid:
        return pa.array(dataset.timestamps)


class ParquetReader(EngineReader):
    """A Parquet file that is open: of one series the row groups that have rows of it are read, time and value alone.

    Which rows are whose is read from the columns of name and labels when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        names = pq.read_schema(path).names
        self._values = values_after_time(names)
        titles = names[: names.index(TIME)]
        self._file = pq.ParquetFile(path, read_dictionary=titles, page_checksum_verification=True)
        self._told = told = json.loads(self._file.metadata.metadata[ABOUT])
        self._unit = told["time_unit"]
        self.keys, self._offsets = find_series(self._file.read(titles, use_threads=False), told)
        groups = [self._file.metadata.row_group(i) for i in range(self._file.num_row_groups)]
        self._groups = np.cumsum([0, *(group.num_rows for group in groups)])

    def read_all(self) -> MetricDataset:
        """Read all row groups."""
        times, table = self._samples(0, self._offsets[-1])
        values, dtypes = read_values(table, self._offsets, self._told)
        return MetricDataset(self.keys, self._offsets, times, values, self._unit, dtypes)

    def read_series(self, number: int) -> Series:
        """Read the row groups that have rows of a series."""
        times, table = self._samples(*self._offsets[number : number + 2])
        return Series(self.keys[number], times, values_of_one(table, number, self._told))

    def _samples(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], pa.Table]:
        """Return timestamps of some rows, and the columns of their values."""
        first = int(np.searchsorted(self._groups, start, side="right")) - 1
        last = int(np.searchsorted(self._groups, stop))
        table = self._file.read_row_groups(list(range(first, last)), [TIME, *self._values], use_threads=False)
        table = table.slice(start - self._groups[first], stop - start)
        times = table[TIME]
        if pa.types.is_timestamp(times.type):
            times = times.cast(pa.timestamp(self._unit, "UTC"), safe=True).cast(pa.int64())
        return times.to_numpy(), table.select(self._values)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
