"""Zarr arrays in a folder, through zarr-python."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from squeezelab.dataset import VALUE_DTYPES, MetricDataset
from squeezelab.formats._engine import EngineFolder, EngineReader, digest_of
from squeezelab.formats._long import TYPED
from squeezelab.formats._ragged import SINCE, RaggedReader, names_and_labels, value_arrays, value_types
from squeezelab.registry import check_choice, check_range, non_default_settings

COMPRESSIONS = ("zstd", "blosc")
SHUFFLES = ("bitshuffle", "shuffle", "noshuffle")
FILTERS = ("none", "delta")


class Zarr(EngineFolder):
    """A group of Zarr arrays, format 3, laid out as a ragged array of the CF conventions.

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
    `write` leaves a folder, `encode` returns a ZIP, which ``zarr.storage.ZipStore`` opens; what counts is the group's
    files. The arrays are ``metric_name``, ``labels`` (JSON) and ``row_size`` of each series, ``timestamp`` and
    ``value`` of each sample, series after series; where these have values of several types, ``value_type`` of each
    series, and ``value_int64`` and ``value_float32`` beside ``value``. Chunks are as large as Zarr chooses, and have
    CRC-32C after them; the group has a checksum of all samples.

    Source: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html; https://cfconventions.org (discrete sampling
    geometries)
    """

    name = "zarr"
    suffix = ".zarr"
    package = "zarr"
    showcase = ("", "compression=blosc", "compression=blosc,level=9,timestamps=delta", "level=22,timestamps=delta")
    dtypes = VALUE_DTYPES

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
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the arrays."""
        import zarr
        from zarr.codecs import Crc32cCodec

        names, labels = (np.array(texts, np.dtypes.StringDType()) for texts in names_and_labels(dataset.keys))
        deltas = (
            [{"name": "numcodecs.delta", "configuration": {"dtype": "<i8"}}] if self.timestamps == "delta" else None
        )
        options: dict[str, dict[str, Any]] = {
            "metric_name": {"data": names},
            "labels": {"data": labels},
            "row_size": {"data": np.diff(dataset.offsets), "attributes": {"sample_dimension": "sample"}},
            "timestamp": {
                "data": dataset.timestamps,
                "filters": deltas,
                "attributes": {"units": SINCE[dataset.time_unit]},
            },
            **{title: {"data": values} for title, values in value_arrays(dataset).items()},
        }
        if types := value_types(dataset):
            options["value_type"] = {"data": np.array(types, np.dtypes.StringDType())}
        with _quiet():
            group = zarr.create_group(path, attributes={"xxh3_64": digest_of(dataset)}, overwrite=True)
            for name, more in options.items():
                dimension = "sample" if name in ("timestamp", *TYPED.values()) else "series"
                compressors = [self._compressor(more["data"].dtype.kind == "T"), Crc32cCodec()]
                group.create_array(name, compressors=compressors, dimension_names=[dimension], **more)

    def reader(self, path: Path) -> EngineReader:
        """Open the arrays."""
        import zarr

        with _quiet():
            group = zarr.open_group(path, mode="r")
            names, labels, row_size = (group[name][:] for name in ("metric_name", "labels", "row_size"))
            since = group["timestamp"].attrs["units"]
            digest = group.attrs["xxh3_64"]
            values = {title: group[title] for title in TYPED.values() if title in group}
            types = group["value_type"][:] if "value_type" in group else ()
            return RaggedReader(names, labels, row_size, group["timestamp"], values, since, digest, types)

    def _compressor(self, texts: bool) -> Any:
        """Return what compresses numbers, or texts, which no shuffle makes smaller."""
        from zarr.codecs import BloscCodec, ZstdCodec

        if self.compression == "zstd" or texts:
            return ZstdCodec(level=self.level)
        return BloscCodec(cname="zstd", clevel=self.level or 5, shuffle=self.shuffle)


class _quiet(warnings.catch_warnings):
    """Zarr warns that other implementations may not know numcodecs' filters: that is not news here."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered
