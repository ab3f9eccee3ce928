"""Vortex files, through Vortex's own package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import MetricDataset, Series
from squeezelab.formats._engine import EngineFile, EngineReader
from squeezelab.formats._long import (
    LABELS,
    NAME,
    TIME,
    VALUE,
    find_series,
    key_columns,
    labels_as_json,
    labels_from_json,
)
from squeezelab.registry import check_choice, non_default_settings

LAYOUTS = ("default", "compact")


class Vortex(EngineFile):
    """A Vortex file of all samples: metric name, labels, which are JSON, timestamp and value.

    Parameters
    ----------
    layout : {"default", "compact"}
        Light encodings that are fast to read, or small: pcodec and zstd too.

    Notes
    -----
    Timestamps have the data set's unit. Rows stand series after series; a series without samples has one row, in which
    timestamp and value are null. Source: https://docs.vortex.dev/specs/file-format
    """

    name = "vortex"
    suffix = ".vortex"
    package = "vortex-data"
    showcase = ("", "layout=compact")

    def __init__(self, layout: str = "default") -> None:
        check_choice("vortex", "layout", layout, LAYOUTS)
        self.layout = layout
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the file."""
        import vortex

        counts = np.diff(dataset.offsets)
        keys = labels_as_json(dataset.keys)
        texts = key_columns(keys, np.maximum(counts, 1), {LABELS: LABELS})
        empty = dataset.offsets[:-1][counts == 0]
        without = np.insert(np.zeros(len(dataset), np.bool_), empty, True) if empty.size else None
        times = pa.array(np.insert(dataset.timestamps, empty, 0), mask=without)
        columns = {title: column.dictionary_decode() for title, column in texts.items()} | {
            TIME: times.cast(pa.timestamp(dataset.time_unit, "UTC")),
            VALUE: pa.array(np.insert(dataset.values, empty, 0), mask=without),
        }
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
        keys, self._rows = find_series(texts, {"labels": {}, "empty": []})
        self.keys = labels_from_json(keys)
        self._scan = file.to_repeated_scan([TIME, VALUE])

    def read_all(self) -> MetricDataset:
        """Scan all rows."""
        table = self._scan.execute().read_all().to_arrow_table()
        present = table[TIME].is_valid().to_numpy()
        offsets = np.append(0, np.cumsum(present))[self._rows]
        unit = table.schema.field(TIME).type.unit
        return MetricDataset(self.keys, offsets, *_samples(table), unit)

    def read_series(self, number: int) -> Series:
        """Scan the rows of a series."""
        rows = tuple(self._rows[number : number + 2].tolist())
        return Series(self.keys[number], *_samples(self._scan.execute(row_range=rows).read_all().to_arrow_table()))


def _samples(table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return timestamps and values of the rows that have some."""
    return table[TIME].cast(pa.int64()).drop_null().to_numpy(), table[VALUE].drop_null().to_numpy()
