"""Vortex files, through Vortex's own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from squeezelab.dataset import VALUE_DTYPES, MetricDataset, Series
from squeezelab.formats._engine import EngineFile, EngineReader
from squeezelab.formats._long import (
    LABELS,
    NAME,
    TIME,
    find_series,
    key_columns,
    labels_as_json,
    labels_from_json,
    read_values,
    value_columns,
    values_after_time,
    values_of_one,
)
from squeezelab.registry import check_choice, non_default_settings

LAYOUTS = ("default", "compact")
NOTHING: dict[str, Any] = {"labels": {}, "empty": []}
"""What a file tells besides its columns."""


class Vortex(EngineFile):
    """A Vortex file of all samples: metric name, labels, which are JSON, timestamp and value.

    Parameters
    ----------
    layout : {"default", "compact"}
        Light encodings that are fast to read, or small: pcodec and zstd too.

    Notes
    -----
    Timestamps have the data set's unit. Rows stand series after series; a series without samples has one row, whose
    timestamp is null. Where series have values of several types, there is a column of each, null in the others. Source:
    https://docs.vortex.dev/specs/file-format
    """

    name = "vortex"
    suffix = ".vortex"
    package = "vortex-data"
    showcase = ("", "layout=compact")
    dtypes = VALUE_DTYPES

    def __init__(self, layout: str = "default") -> None:
        check_choice("vortex", "layout", layout, LAYOUTS)
        self.layout = layout
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the file."""
        import vortex

        filled = [_with_a_row(one) for one in dataset]
        keys = labels_as_json(dataset.keys)
        texts = key_columns(keys, np.array([one.values.size for one in filled], np.int64), {LABELS: LABELS})
        without = np.repeat(np.diff(dataset.offsets) == 0, [one.values.size for one in filled])
        timestamps = np.concatenate([np.empty(0, np.int64), *(one.timestamps for one in filled)])
        times = pa.array(timestamps, mask=without if without.any() else None)
        columns = {title: column.dictionary_decode() for title, column in texts.items()}
        columns |= {TIME: times.cast(pa.timestamp(dataset.time_unit, "UTC"))}
        columns |= value_columns(filled, dataset.value_dtypes)
        fields = [pa.field(name, column.type, nullable=column.null_count > 0) for name, column in columns.items()]
        table = pa.table(list(columns.values()), schema=pa.schema(fields))
        getattr(vortex.io.VortexWriteOptions, self.layout)().write(table, str(path))

    def reader(self, path: Path) -> EngineReader:
        """Open the file."""
        return VortexReader(path)

    def room(self, data: memoryview) -> int:
        """Return where the postscript begins, which is found from the file's end."""
        return len(data) - 8 - int.from_bytes(data[-6:-4], "little")


class VortexReader(EngineReader):
    """A Vortex file that is open; of one series the rows are read that are its own, time and value alone.

    Which rows are whose is read from the columns of name and labels when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        import vortex

        file = vortex.open(str(path))
        texts = file.scan([NAME, LABELS]).read_all().to_arrow_table()
        keys, self._rows = find_series(texts, NOTHING)
        self.keys = labels_from_json(keys)
        self._values = values_after_time(file.dtype.to_arrow_schema().names)
        self._scan = file.to_repeated_scan([TIME, *self._values])

    def read_all(self) -> MetricDataset:
        """Scan all rows."""
        table = self._scan.execute().read_all().to_arrow_table()
        times = table[TIME].cast(pa.int64())
        present = times.is_valid().to_numpy()
        offsets = np.append(0, np.cumsum(present))[self._rows]
        values, dtypes = read_values(table.select(self._values), self._rows, NOTHING)
        unit = table.schema.field(TIME).type.unit
        return MetricDataset(self.keys, offsets, times.drop_null().to_numpy(), values[present], unit, dtypes)

    def read_series(self, number: int) -> Series:
        """Scan the rows of a series."""
        rows = tuple(self._rows[number : number + 2].tolist())
        table = self._scan.execute(row_range=rows).read_all().to_arrow_table()
        times = table[TIME].cast(pa.int64())
        values = values_of_one(table.select(self._values), number, NOTHING)
        return Series(self.keys[number], times.drop_null().to_numpy(), values[times.is_valid().to_numpy()])


def _with_a_row(series: Series) -> Series:
    """Return a series with a row, which tells name, labels and type of values where it has no samples."""
    if series.values.size:
        return series
    return Series(series.key, np.zeros(1, np.int64), np.zeros(1, series.values.dtype))
