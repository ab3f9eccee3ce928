"""TileDB arrays, through TileDB's own package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from squeezelab.formats._folder import pack_folder, unpack_folder
from squeezelab.formats._table import SCHEMA, TableFormat
from squeezelab.registry import check_choice, check_range, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

TIMESTAMPS = ("double_delta", "delta", "none")
VALUES = ("none", "byte_shuffle", "bit_shuffle", "xor")
TILE = 1 << 16


class TileDB(TableFormat):
    """A dense TileDB array of one dimension, a cell a sample, with series, timestamp and value as attributes.

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
    All files of the array's folder count, schema and commits included, one after another as
    `squeezelab.formats._folder` puts them. Tiles hold 65,536 cells, or all there are. TileDB's double delta takes no
    differences beyond 63 bits: where timestamps have such, there is none before zstd. Source: S. Papadopoulos et al.:
    The TileDB Array Data Storage Manager, PVLDB 10(4), 2016; https://github.com/TileDB-Inc/TileDB/tree/main/format_spec
    """

    name = "tiledb"
    package = "tiledb"
    showcase = ("", "level=22", "values=bit_shuffle,level=22")
    repeatable = False  # its fragments have names drawn by lot, and the time

    def __init__(self, timestamps: str = "double_delta", values: str = "none", level: int = 0) -> None:
        check_choice("tiledb", "timestamps", timestamps, TIMESTAMPS)
        check_choice("tiledb", "values", values, VALUES)
        check_range("tiledb", "level", level, 0, 22)
        self.timestamps = timestamps
        self.values = values
        self.level = level
        self.costly = level >= 10
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the array."""
        import tiledb

        if not table.num_rows:
            return b""
        columns = {name: table[name].to_numpy() for name in SCHEMA.names}
        with workplace(MEMORY) as folder:
            path, context = folder / "samples", _context()
            rows = tiledb.Dim(
                "row", domain=(0, table.num_rows - 1), tile=min(TILE, table.num_rows), dtype=np.uint64, ctx=context
            )
            attributes = [
                tiledb.Attr(name, dtype=column.dtype, filters=self._filters(name, column), ctx=context)
                for name, column in columns.items()
            ]
            domain = tiledb.Domain(rows, ctx=context)
            tiledb.Array.create(str(path), tiledb.ArraySchema(domain, attrs=attributes, ctx=context), ctx=context)
            with tiledb.open(str(path), "w", ctx=context) as array:
                array[:] = columns
            return pack_folder(path)

    def load(self, data: bytes) -> pa.Table:
        """Read the array."""
        import tiledb

        if not data:
            return SCHEMA.empty_table()
        with workplace(MEMORY) as folder:
            path = folder / "samples"
            unpack_folder(data, path)
            with tiledb.open(str(path), ctx=_context()) as array:
                columns = array[:]
            return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def _filters(self, name: str, column: Any) -> Any:
        import tiledb

        before = {
            "double_delta": tiledb.DoubleDeltaFilter,
            "delta": tiledb.DeltaFilter,
            "byte_shuffle": tiledb.ByteShuffleFilter,
            "bit_shuffle": tiledb.BitShuffleFilter,
            "xor": tiledb.XORFilter,
        }
        chosen = {"series": "double_delta", "timestamp": self.timestamps, "value": self.values}[name]
        if chosen == "double_delta" and not _differences_fit(column):
            chosen = "none"
        zstd = tiledb.ZstdFilter(level=self.level or -1)
        return tiledb.FilterList([before[chosen](), zstd] if chosen != "none" else [zstd])


def _differences_fit(column: Any) -> bool:
    """Return whether differences of differences have 63 bits at most."""
    return bool(np.all(np.abs(column.astype(np.float64)) < 2.0**60))


def _context() -> Any:
    """Return a context that works on one thread."""
    import tiledb

    return tiledb.Ctx({"sm.compute_concurrency_level": "1", "sm.io_concurrency_level": "1"})
