"""HDF5 files with Blosc2, through h5py and hdf5plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from squeezelab.dataset import VALUE_DTYPES, MetricDataset
from squeezelab.formats._engine import EngineFile, EngineReader
from squeezelab.formats._long import TYPED
from squeezelab.formats._ragged import SINCE, RaggedReader, names_and_labels, value_arrays, value_types
from squeezelab.registry import check_choice, check_range, non_default_settings

CODECS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
SHUFFLES = ("none", "shuffle", "bitshuffle")
CHUNK = 1 << 16


class Hdf5(EngineFile):
    """An HDF5 file, laid out as a ragged array of the CF conventions, compressed by Blosc2.

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
    The data sets are ``metric_name``, ``labels`` (JSON) and ``row_size`` of each series, ``timestamp`` and ``value`` of
    each sample, series after series; where these have values of several types, ``value_type`` of each series, and
    ``value_int64`` and ``value_float32`` beside ``value``. Chunks hold 65,536 values, or all there are. Source: https://cfconventions.org
    (discrete sampling geometries), https://docs.hdfgroup.org, https://hdf5plugin.readthedocs.io
    """

    name = "hdf5"
    suffix = ".h5"
    package = "hdf5plugin"
    showcase = ("codec=zstd", "codec=zstd,shuffle=bitshuffle,level=9", "codec=zstd,shuffle=none,level=9")
    dtypes = VALUE_DTYPES

    def __init__(self, codec: str = "blosclz", shuffle: str = "shuffle", level: int = 5) -> None:
        check_choice("hdf5", "codec", codec, CODECS)
        check_choice("hdf5", "shuffle", shuffle, SHUFFLES)
        check_range("hdf5", "level", level, 1, 9)
        self.codec = codec
        self.shuffle = shuffle
        self.level = level
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the data sets."""
        import h5py

        names, labels = names_and_labels(dataset.keys)
        columns = {"row_size": np.diff(dataset.offsets), "timestamp": dataset.timestamps, **value_arrays(dataset)}
        texts = {"metric_name": names, "labels": labels}
        if types := value_types(dataset):
            texts["value_type"] = types
        with h5py.File(path, "w", libver="latest") as file:
            for name, some in texts.items():
                self._add_texts(file, name, [text.replace("\0", "").encode() for text in some])
            for name, column in columns.items():
                file.create_dataset(name, data=column, **self._options(column.size, self.shuffle))
            _describe(file["row_size"], "sample_dimension", "sample")
            _describe(file["timestamp"], "units", SINCE[dataset.time_unit])
            if odd := {place: name for place, name in enumerate(names) if "\0" in name}:
                file["metric_name"].attrs["with_nul"] = json.dumps(odd)

    def _add_texts(self, file: Any, name: str, texts: list[bytes]) -> None:
        """Add texts of one width, which are compressed; of any width, which are not, where one is much the longest."""
        import h5py

        longest = max(map(len, texts), default=1) or 1
        wasteful = longest * len(texts) > 2**20 + 4 * sum(map(len, texts))
        kind = h5py.string_dtype("utf-8", None if wasteful else longest)
        file.create_dataset(name, data=np.array(texts, kind), dtype=kind, **self._options(len(texts), "none"))

    def reader(self, path: Path) -> EngineReader:
        """Open the file."""
        import h5py
        import hdf5plugin  # noqa: F401 -- makes the filter known

        return Hdf5Reader(h5py.File(path, "r"))

    def _options(self, size: int, shuffle: str) -> dict[str, Any]:
        import hdf5plugin

        shuffles = {
            "none": hdf5plugin.Blosc2.NOFILTER,
            "shuffle": hdf5plugin.Blosc2.SHUFFLE,
            "bitshuffle": hdf5plugin.Blosc2.BITSHUFFLE,
        }
        blosc = hdf5plugin.Blosc2(cname=self.codec, clevel=self.level, filters=shuffles[shuffle])
        return {"track_times": False, **({"chunks": (min(CHUNK, size),), **blosc} if size else {})}


def _describe(column: Any, name: str, text: str) -> None:
    """Add an attribute of a fixed width, for which the file needs no heap."""
    import h5py

    column.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", len(text)))


class Hdf5Reader(RaggedReader):
    """An HDF5 file that is open."""

    def __init__(self, file: Any) -> None:
        self._file = file
        names, labels = (file[name].asstr()[:].tolist() for name in ("metric_name", "labels"))
        for place, name in json.loads(file["metric_name"].attrs.get("with_nul", "{}")).items():
            names[int(place)] = name
        since = file["timestamp"].attrs["units"].decode()
        values = {title: file[title] for title in TYPED.values() if title in file}
        types = file["value_type"].asstr()[:].tolist() if "value_type" in file else ()
        super().__init__(names, labels, file["row_size"][:], file["timestamp"], values, since, types=types)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
