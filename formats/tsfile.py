"""TsFile, Apache IoTDB's file, through TsFile's own package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from squeezelab.dataset import DOUBLE, VALUE_DTYPES, WORD, MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._engine import EngineFile, EngineReader, rises
from squeezelab.formats._long import (
    VALUE,
    no_values,
    read_values,
    told_dtypes,
    value_columns,
    value_titles,
    values_of_one,
)
from squeezelab.formats._ragged import names_and_labels
from squeezelab.formats.base import between
from squeezelab.registry import check_choice, non_default_settings

ENCODINGS = ("gorilla", "ts_2diff", "chimp", "sprintz", "plain")
COMPRESSIONS = ("lz4", "zstd", "lzma2", "gzip", "snappy", "uncompressed")
TYPES = {"float64": "DOUBLE", "int64": "INT64", "float32": "FLOAT"}
ROWS_A_BLOCK = 65536
MEMORY_THRESHOLD = 128 * 2**20
"""Bytes after which TsFile flushes, as its own table writer has it."""
ALL_TIMES = (-(2**63), 2**63 - 1)


class TsFile(EngineFile):
    """A TsFile of two tables: ``samples``, of which the series is a tag, and ``series``.

    Parameters
    ----------
    encoding : {"gorilla", "ts_2diff", "chimp", "sprintz", "plain"}
        Of values that are floats; ``gorilla`` as TsFile itself. Timestamps and integers are encoded as ``ts_2diff``,
        which is its own choice.
        ``ts_2diff`` and ``sprintz`` lose bits of some doubles, and are shown as lossy where they do.
    compression : {"lz4", "zstd", "lzma2", "gzip", "snappy", "uncompressed"}
        What compresses the pages; ``lz4`` as TsFile itself.

    Notes
    -----
    ``samples`` has the number of the series, time and value; ``series`` has the number in place of a time, metric name
    and labels (JSON): TsFile takes names of columns for the same that differ in case alone. Times are in the data set's
    unit, which stands with the file's properties. Values are DOUBLE, INT64 or FLOAT, in a field each where series have
    several, null in the others. TsFile wants timestamps that rise. Where those of a series do not, rows are numbered in
    place of it, and timestamps become another field. TsFile's library may never come back from a damaged file: the
    file's checksum keeps these from it, but for those whose checksum was forged.

    Source: X Zhao et al.: Apache TsFile: An IoT-native Time Series File Format, VLDB 2024.
    """

    name = "tsfile"
    suffix = ".tsfile"
    package = "tsfile"
    dtypes = VALUE_DTYPES
    repeatable = False  # small files came out at two sizes, from one write to the next
    showcase = ("", "encoding=plain,compression=lzma2")

    def __init__(self, encoding: str = "gorilla", compression: str = "lz4") -> None:
        check_choice("tsfile", "encoding", encoding, ENCODINGS)
        check_choice("tsfile", "compression", compression, COMPRESSIONS)
        self.encoding = encoding
        self.compression = compression
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the file: the series, and all samples in one batch."""
        import tsfile
        from tsfile import ColumnCategory, ColumnSchema, TSDataType

        names, labels = names_and_labels(dataset.keys)
        rising = rises(dataset)
        values = value_columns(list(dataset), dataset.value_dtypes)
        empty = np.flatnonzero(np.diff(dataset.offsets) == 0).tolist()
        told = {
            "time_unit": dataset.time_unit,
            "rising": rising,
            "names": {place: name for place, name in enumerate(names) if not name or "\0" in name},
        }
        if dataset.value_dtypes != (DOUBLE,):
            told |= {"values": list(values), "empty": [[i] for i in empty], **told_dtypes(dataset, empty)}
        numbers = np.arange(len(names))
        series: dict[str, Any] = {
            "time": numbers,
            "metric_name": [name.replace("\0", "") or "-" for name in names],
            "labels": labels,
        }
        samples: dict[str, Any] = {
            "time": dataset.timestamps if rising else np.arange(len(dataset)),
            "series": pa.array(_tags(len(names))).take(pa.array(np.repeat(numbers, np.diff(dataset.offsets)))),
            **values,
        }
        columns = [ColumnSchema("series", TSDataType.STRING, ColumnCategory.TAG)]
        columns += [
            ColumnSchema(title, getattr(TSDataType, TYPES[dtype.name]), ColumnCategory.FIELD)
            for title, dtype in value_titles(dataset.value_dtypes).items()
        ]
        if not rising:
            samples["timestamp"] = dataset.timestamps
            columns.append(ColumnSchema("timestamp", TSDataType.INT64, ColumnCategory.FIELD))
        texts = [ColumnSchema(name, TSDataType.STRING, ColumnCategory.FIELD) for name in ("metric_name", "labels")]
        writer = tsfile.TsFileWriter(str(path), MEMORY_THRESHOLD)
        self._configure()
        try:
            for name, schema, rows in (("series", texts, series), ("samples", columns, samples)):
                if len(rows["time"]):
                    writer.register_table(tsfile.TableSchema(name, schema))
                    (batch,) = pa.table(rows).combine_chunks().to_batches()
                    writer.write_arrow_batch(name, batch, 0)
            writer.add_tsfile_property("squeezelab", json.dumps(told).encode())
        finally:
            writer.close()

    def _configure(self) -> None:
        """Tell the library how to write, once there is a writer: the first of a process sets all to defaults."""
        import tsfile

        compressor = getattr(tsfile.Compressor, self.compression.upper())
        tsfile.set_tsfile_config(
            {
                "double_encoding_type_": getattr(tsfile.TSEncoding, self.encoding.upper()),
                "time_encoding_type_": tsfile.TSEncoding.TS_2DIFF,
                "float_encoding_type_": getattr(tsfile.TSEncoding, self.encoding.upper()),
                "int64_encoding_type_": tsfile.TSEncoding.TS_2DIFF,
                "default_compression_type_": compressor,
                "time_compress_type_": compressor,
            }
        )

    def reader(self, path: Path) -> EngineReader:
        """Open the file."""
        return TsFileReader(path)

    def room(self, data: memoryview) -> int:
        """Return where the file's metadata begin, which are found from its end."""
        return len(data) - 10 - int.from_bytes(data[-10:-6], "big")


class TsFileReader(EngineReader):
    """A TsFile that is open; samples are queried by the tag of their series, and by time."""

    def __init__(self, path: Path) -> None:
        import tsfile

        self._file = tsfile.TsFileReader(str(path))
        self._told = json.loads(self._file.get_tsfile_properties()["squeezelab"])
        rows = self._query("series", ["metric_name", "labels"])
        names = [] if rows is None else rows["metric_name"].to_pylist()
        for place, name in self._told["names"].items():
            names[int(place)] = name
        labels = [] if rows is None else map(json.loads, rows["labels"].to_pylist())
        self.keys = [SeriesKey(name, dict(one)) for name, one in zip(names, labels, strict=True)]
        self._values = self._told.get("values", [VALUE])
        self._fields = self._values if self._told["rising"] else [*self._values, "timestamp"]

    def read_all(self) -> MetricDataset:
        """Query all samples, which come in the order of their series' tags."""
        rows = self._query("samples", ["series", *self._fields])
        if rows is None:
            offsets, nothing = np.zeros(len(self.keys) + 1, np.int64), np.empty(0, np.int64)
            names = self._told.get("empty_dtypes", ["float64"] * len(self.keys))
            every = list(map(np.dtype, names))
            return MetricDataset(self.keys, offsets, nothing, nothing.view(WORD), self._told["time_unit"], every)
        numbers = pc.cast(rows["series"], pa.int64()).to_numpy()
        if np.any(numbers[1:] < numbers[:-1]):
            raise CorruptDataError("samples are not in the order of their series: the file is damaged")
        offsets = np.searchsorted(numbers, np.arange(len(self.keys) + 1))
        values, dtypes = read_values(rows.select(self._values), offsets, self._told)
        return MetricDataset(self.keys, offsets, self._times(rows), values, self._told["time_unit"], dtypes)

    def read_series(self, number: int) -> Series:
        """Query the samples of a series."""
        return self._read(number, *ALL_TIMES)

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Query the samples of a series from one time up to another."""
        if not self._told["rising"]:
            return super().read_between(number, start, end)
        first, last = max(start, ALL_TIMES[0]), min(end - 1, ALL_TIMES[1])
        found = self._read(number, first, last) if first <= last else None
        # No row tells the type.
        return found if found and found.values.size else between(self.read_series(number), start, end)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, number: int, first: int, last: int) -> Series:
        from tsfile import tag_eq

        key, tag = self.keys[number], tag_eq("series", _tags(len(self.keys))[number])
        rows = self._query("samples", self._fields, first, last, tag)
        if rows is None:
            return Series(key, np.empty(0, np.int64), no_values(number, self._told))
        return Series(key, self._times(rows), values_of_one(rows.select(self._values), number, self._told))

    def _query(
        self, table: str, fields: list[str], first: int = ALL_TIMES[0], last: int = ALL_TIMES[1], tag: Any = None
    ) -> pa.Table | None:
        """Return the rows from one time to another, of one tag; None if there are none."""
        if table not in self._file.get_all_table_schemas():
            return None
        rows = self._file.query_table(table, fields, first, last, tag_filter=tag, batch_size=ROWS_A_BLOCK)
        try:
            batches = list(iter(rows.read_arrow_batch, None))
        finally:
            rows.close()
        return pa.concat_tables(batches) if batches else None

    def _times(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        times: npt.NDArray[np.int64] = rows["time" if self._told["rising"] else "timestamp"].cast(pa.int64()).to_numpy()
        return times


def _tags(count: int) -> list[str]:
    """Return the numbers of series as strings that sort as they do: TsFile sorts devices by name."""
    return [f"{number:0{len(str(count))}}" for number in range(count)]
