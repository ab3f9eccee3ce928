"""Zarr arrays in a folder, through zarr-python."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa

from squeezelab.formats._folder import pack_folder, unpack_folder
from squeezelab.formats._table import SCHEMA, TableFormat
from squeezelab.registry import check_choice, check_range, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

COMPRESSIONS = ("zstd", "blosc")
SHUFFLES = ("bitshuffle", "shuffle", "noshuffle")
FILTERS = ("none", "delta")


class Zarr(TableFormat):
    """A group of Zarr arrays, format 3: one array each of series, timestamps and values.

    Parameters
    ----------
    compression : {"zstd", "blosc"}
        ``zstd`` is Zarr's own default; ``blosc`` is zstd within Blosc, after a shuffle.
    shuffle : {"bitshuffle", "shuffle", "noshuffle"}
        Of Blosc alone.
    level : int
        Of zstd: 0, its default, to 22, or 1 to 9 within Blosc, 0 for 5 there.
    timestamps : {"none", "delta"}
        What comes before: differences are numcodecs' filter.

    Notes
    -----
    All files of the group's folder count, as `squeezelab.formats._folder` puts them one after another; chunks are as
    large as Zarr chooses. Source: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
    """

    name = "zarr"
    package = "zarr"
    showcase = ("", "compression=blosc", "compression=blosc,level=9,timestamps=delta", "level=22,timestamps=delta")

    def __init__(
        self, compression: str = "zstd", shuffle: str = "bitshuffle", level: int = 0, timestamps: str = "none"
    ) -> None:
        check_choice("zarr", "compression", compression, COMPRESSIONS)
        check_choice("zarr", "shuffle", shuffle, SHUFFLES)
        check_range(f"{compression} in zarr", "level", level, 0, 22 if compression == "zstd" else 9)
        check_choice("zarr", "timestamps", timestamps, FILTERS)
        self.compression = compression
        self.shuffle = shuffle
        self.level = level
        self.timestamps = timestamps
        self.costly = level >= (10 if compression == "zstd" else 6)
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the arrays."""
        import zarr

        if not table.num_rows:
            return b""
        with workplace(MEMORY) as folder, _quiet():
            group = zarr.create_group(folder)
            for name in SCHEMA.names:
                filters = [{"name": "numcodecs.delta", "configuration": {"dtype": "<i8"}}]
                group.create_array(
                    name,
                    data=table[name].to_numpy(),
                    compressors=[self._compressor()],
                    filters=filters if name == "timestamp" and self.timestamps == "delta" else None,
                )
            return pack_folder(folder)

    def load(self, data: bytes) -> pa.Table:
        """Read the arrays."""
        import zarr

        if not data:
            return SCHEMA.empty_table()
        with workplace(MEMORY) as folder, _quiet():
            unpack_folder(data, folder)
            group = zarr.open_group(Path(folder), mode="r")
            return pa.table([group[name][:] for name in SCHEMA.names], schema=SCHEMA)

    def _compressor(self) -> Any:
        from zarr.codecs import BloscCodec, ZstdCodec

        if self.compression == "zstd":
            return ZstdCodec(level=self.level)
        return BloscCodec(cname="zstd", clevel=self.level or 5, shuffle=self.shuffle)


class _quiet(warnings.catch_warnings):
    """Zarr warns that other implementations may not know numcodecs' filters: that is not news here."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered
