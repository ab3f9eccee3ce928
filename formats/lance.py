"""Lance data sets, through Lance's own package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import VALUE_DTYPES, MetricDataset, Series
from squeezelab.formats._engine import EngineFolder, EngineReader, checked, digest_of
from squeezelab.formats._long import (
    LABELS,
    NAME,
    TIME,
    about,
    find_series,
    key_columns,
    labels_as_json,
    labels_from_json,
    read_values,
    value_columns,
    values_after_time,
    values_of_one,
)
from squeezelab.registry import check_choice, check_range, non_default_settings

COMPRESSIONS = ("auto", "zstd", "lz4", "none")
SHUFFLES = ("auto", "on", "off")


class Lance(EngineFolder):
    """A Lance data set of one table, in one version.

    Parameters
    ----------
    compression : {"auto", "zstd", "lz4", "none"}
        ``auto`` chooses by itself, mostly bit packing; the others come after that.
    level : int
        Of zstd, 1 to 22; 0 is its own default.
    bss : {"auto", "on", "off"}
        Whether the bytes of values of equal weight are brought together (byte stream split).

    Notes
    -----
    `write` leaves a folder, `encode` returns a ZIP of it; what counts is all its files, manifest and transaction
    included. Columns are metric name, labels (JSON), timestamp and value; rows stand series after series. Where series
    have values of several types, there is a column of each, null in the others. The schema's metadata tell the unit of
    time and series without samples, and have a checksum of all samples.

    Source: https://lance.org/format/file
    """

    name = "lance"
    suffix = ".lance"
    package = "pylance"
    showcase = ("", "compression=zstd", "compression=zstd,level=22")
    dtypes = VALUE_DTYPES
    repeatable = False  # its files have names drawn by lot

    def __init__(self, compression: str = "auto", level: int = 0, bss: str = "auto") -> None:
        check_choice("lance", "compression", compression, COMPRESSIONS)
        check_range("lance", "level", level, 0, 22)
        check_choice("lance", "bss", bss, SHUFFLES)
        self.compression = compression
        self.level = level
        self.bss = bss
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Write the data set."""
        import lance

        written = replace(dataset, keys=labels_as_json(dataset.keys))
        texts = key_columns(written.keys, np.diff(dataset.offsets), {LABELS: LABELS})
        values = value_columns(list(dataset), dataset.value_dtypes)
        table = pa.table(
            {title: column.dictionary_decode() for title, column in texts.items()}
            | {TIME: pa.array(dataset.timestamps).cast(pa.timestamp(dataset.time_unit, "UTC"))}
            | values
        )
        how = {"lance-encoding:compression": self.compression} if self.compression != "auto" else {}
        if self.level:
            how["lance-encoding:compression-level"] = str(self.level)
        shuffled = how | ({"lance-encoding:bss": self.bss} if self.bss != "auto" else {})
        told = {"squeezelab": about(written, {}), "xxh3_64": digest_of(dataset)}
        fields = [field.with_metadata(shuffled if field.name in values else how) for field in table.schema]
        lance.write_dataset(table.cast(pa.schema(fields, told)), str(path), data_storage_version="stable")

    def reader(self, path: Path) -> EngineReader:
        """Open the data set."""
        return LanceReader(path)


class LanceReader(EngineReader):
    """A Lance data set that is open; of one series the rows are read that are its own, time and value alone.

    Which rows are whose is read from the columns of name and labels when it is opened.
    """

    def __init__(self, path: Path) -> None:
        import lance

        self._dataset = lance.dataset(str(path))
        metadata = self._dataset.schema.metadata
        self._told = told = json.loads(metadata[b"squeezelab"])
        self._digest = metadata[b"xxh3_64"].decode()
        self._values = values_after_time(self._dataset.schema.names)
        keys, self._offsets = find_series(self._dataset.to_table([NAME, LABELS]), told)
        self.keys = labels_from_json(keys)

    def read_all(self) -> MetricDataset:
        """Read all rows."""
        times, table = self._samples()
        values, dtypes = read_values(table, self._offsets, self._told)
        dataset = MetricDataset(self.keys, self._offsets, times, values, self._told["time_unit"], dtypes)
        return checked(dataset, self._digest)

    def read_series(self, number: int) -> Series:
        """Read the rows of a series."""
        start, stop = self._offsets[number : number + 2].tolist()
        # Lance has no limit of no rows.
        times, table = self._samples(offset=start, limit=max(stop - start, 1))
        values = values_of_one(table.slice(0, stop - start), number, self._told)
        return Series(self.keys[number], times[: stop - start], values)

    def _samples(self, **rows: int) -> tuple[npt.NDArray[np.int64], pa.Table]:
        """Return timestamps of some rows, and the columns of their values."""
        table = self._dataset.to_table([TIME, *self._values], **rows)
        return table[TIME].cast(pa.int64()).to_numpy(), table.select(self._values)
