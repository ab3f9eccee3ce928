"""HDF5 files with Blosc2, through h5py and hdf5plugin."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa

from squeezelab.formats._table import SCHEMA, TableFormat
from squeezelab.registry import check_choice, check_range, non_default_settings

CODECS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
SHUFFLES = ("none", "shuffle", "bitshuffle")
CHUNK = 1 << 16


class Hdf5(TableFormat):
    """An HDF5 file of three data sets, series, timestamps and values, compressed by Blosc2.

    Parameters
    ----------
    codec : {"blosclz", "lz4", "lz4hc", "zlib", "zstd"}
        What compresses; blosclz is the plugin's own default.
    shuffle : {"none", "shuffle", "bitshuffle"}
        Whether bytes or bits of equal weight are brought together first; bytes by the plugin's own default.
    level : int
        From 1 to 9; 5 as the plugin itself.

    Notes
    -----
    Chunks hold 65,536 values, or all there are. Source: https://docs.hdfgroup.org, https://hdf5plugin.readthedocs.io
    """

    name = "hdf5"
    package = "hdf5plugin"
    showcase = ("codec=zstd", "codec=zstd,shuffle=bitshuffle,level=9", "codec=zstd,shuffle=none,level=9")

    def __init__(self, codec: str = "blosclz", shuffle: str = "shuffle", level: int = 5) -> None:
        check_choice("hdf5", "codec", codec, CODECS)
        check_choice("hdf5", "shuffle", shuffle, SHUFFLES)
        check_range("hdf5", "level", level, 1, 9)
        self.codec = codec
        self.shuffle = shuffle
        self.level = level
        self.costly = codec in ("zstd", "zlib") and level >= 6
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the data sets."""
        import h5py

        stream = io.BytesIO()
        with h5py.File(stream, "w", libver="latest") as file:
            for name in SCHEMA.names:
                column = table[name].to_numpy()
                options = {"chunks": (min(CHUNK, column.size),), **self._filter()} if column.size else {}
                file.create_dataset(name, data=column, track_times=False, **options)
        return stream.getvalue()

    def load(self, data: bytes) -> pa.Table:
        """Read the data sets."""
        import h5py
        import hdf5plugin  # noqa: F401 -- makes the filter known

        with h5py.File(io.BytesIO(data), "r") as file:
            return pa.table([file[name][:] for name in SCHEMA.names], schema=SCHEMA)

    def _filter(self) -> Any:
        import hdf5plugin

        shuffles = {
            "none": hdf5plugin.Blosc2.NOFILTER,
            "shuffle": hdf5plugin.Blosc2.SHUFFLE,
            "bitshuffle": hdf5plugin.Blosc2.BITSHUFFLE,
        }
        return hdf5plugin.Blosc2(cname=self.codec, clevel=self.level, filters=shuffles[self.shuffle])
