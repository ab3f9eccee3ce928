"""TileDB arrays, through TileDB's own package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import VALUE_DTYPES, MetricDataset
from squeezelab.filters import filters
from squeezelab.formats._engine import EngineFolder, EngineReader, digest_of
from squeezelab.formats._long import TYPED
from squeezelab.formats._ragged import SINCE, RaggedReader, names_and_labels, value_arrays, value_types
from squeezelab.registry import check_choice, check_range, non_default_settings

TIMESTAMPS = ("double_delta", "delta", "none")
VALUES = ("none", "byte_shuffle", "bit_shuffle", "xor")
TILE = 1 << 16


class TileDB(EngineFolder):
    """A dense TileDB array of one dimension, a cell a sample, with timestamp and value as attributes.

    Parameters
    ----------
    timestamps : {"double_delta", "delta", "none"}
        The filter before zstd.
    values : {"none", "byte_shuffle", "bit_shuffle", "xor"}
        The filter before zstd.
    level : int
        Of zstd, 1 to 22; 0 is its own default.

    Notes
    -----
    `write` leaves a folder, `encode` returns a ZIP of it; what counts is all its files, schema and commits included.
    The array's metadata have ``metric_name``, ``labels`` and ``row_size`` of each series, as JSON, whose cells stand
    one after another, and a checksum of all samples; where these have values of several types, ``value_type`` too, and
    ``value_int64`` and ``value_float32`` are attributes beside ``value``. Tiles hold 65,536 cells, or all there are.
    TileDB's double delta takes no differences beyond 63 bits: where timestamps have such, there is none before zstd.
    TileDB's library may take for ever over a damaged folder: a checksum of all files, in one beside them, is looked at
    first.

    Source: S. Papadopoulos et al.: The TileDB Array Data Storage Manager, PVLDB 10(4), 2016;
    https://github.com/TileDB-Inc/TileDB/tree/main/format_spec
    """

    name = "tiledb"
    suffix = ".tiledb"
    package = "tiledb"
    showcase = ("", "level=22", "values=bit_shuffle,level=22")
    dtypes = VALUE_DTYPES
    sealed = True
    repeatable = False  # its fragments have names drawn by lot, and the time

    def __init__(self, timestamps: str = "double_delta", values: str = "none", level: int = 0) -> None:
        check_choice("tiledb", "timestamps", timestamps, TIMESTAMPS)
        check_choice("tiledb", "values", values, VALUES)
        check_range("tiledb", "level", level, 0, 22)
        self.timestamps = timestamps
        self.values = values
        self.level = level
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the array."""
        import tiledb

        rows, context = len(dataset), _context()
        columns = {"timestamp": dataset.timestamps, **value_arrays(dataset)}
        names, labels = names_and_labels(dataset.keys)
        row = tiledb.Dim(
            "row", domain=(0, max(rows, 1) - 1), tile=max(1, min(TILE, rows)), dtype=np.uint64, ctx=context
        )
        attributes = [
            tiledb.Attr(name, dtype=column.dtype, filters=self._filters(name, column), ctx=context)
            for name, column in columns.items()
        ]
        schema = tiledb.ArraySchema(tiledb.Domain(row, ctx=context), attrs=attributes, ctx=context)
        tiledb.Array.create(str(path), schema, ctx=context)
        with tiledb.open(str(path), "w", ctx=context) as array:
            if rows:
                array[:] = columns
            array.meta["metric_name"] = json.dumps(names)
            array.meta["labels"] = f"[{', '.join(labels)}]"
            array.meta["row_size"] = json.dumps(np.diff(dataset.offsets).tolist())
            if types := value_types(dataset):
                array.meta["value_type"] = json.dumps(types)
            array.meta["units"] = SINCE[dataset.time_unit]
            array.meta["xxh3_64"] = digest_of(dataset)

    def reader(self, path: Path) -> EngineReader:
        """Open the array."""
        import tiledb

        return TileDBReader(tiledb.open(str(path), ctx=_context()))

    def _filters(self, name: str, column: Any) -> Any:
        chosen = self.timestamps if name == "timestamp" else self.values
        return filters("none" if chosen == "double_delta" and not _differences_fit(column) else chosen, self.level)


class TileDBReader(RaggedReader):
    """A TileDB array that is open."""

    def __init__(self, array: Any) -> None:
        self._array = array
        names, labels, row_size = (json.loads(array.meta[name]) for name in ("metric_name", "labels", "row_size"))
        super().__init__(
            names,
            [json.dumps(one) for one in labels],
            np.array(row_size, np.int64),
            _Attribute(array, "timestamp", sum(row_size)),
            {name: _Attribute(array, name, sum(row_size)) for name in TYPED.values() if array.schema.has_attr(name)},
            array.meta["units"],
            array.meta["xxh3_64"],
            json.loads(array.meta["value_type"]) if "value_type" in array.meta else (),
        )

    def close(self) -> None:
        """Close the array."""
        self._array.close()


class _Attribute:
    """One attribute of an array, to be sliced; TileDB knows no slice of no cells."""

    def __init__(self, array: Any, name: str, rows: int) -> None:
        self._name, self._rows = name, rows
        self._query = array.query(attrs=[name])
        self._dtype = array.attr(name).dtype

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(self._rows)
        if start >= stop:
            return np.empty(0, self._dtype)
        cells: npt.NDArray[Any] = self._query[start:stop][self._name]
        return cells


def _differences_fit(column: Any) -> bool:
    """Return whether differences of differences have 63 bits at most."""
    return bool(np.all(np.abs(column.astype(np.float64)) < 2.0**60))


def _context() -> Any:
    """Return a context that works on one thread."""
    import tiledb

    return tiledb.Ctx({"sm.compute_concurrency_level": "1", "sm.io_concurrency_level": "1"})
