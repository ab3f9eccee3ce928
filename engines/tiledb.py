"""TileDB, through its own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.engines._tables import SeriesNumbers, from_rows, labels_json, name_of, name_text, nothing, rows
from squeezelab.engines.base import Engine, folder_bytes
from squeezelab.errors import EngineError
from squeezelab.filters import filters
from squeezelab.registry import check_choice, check_range, non_default_settings

TIMESTAMPS = ("default", "double_delta", "delta", "none")
VALUES = ("default", "none", "byte_shuffle", "bit_shuffle", "xor")
CAPACITY = 1 << 16
"""Cells of a data tile: TileDB compresses these together."""
FARTHEST = 1 << 62
FILES = {"a0.tdb": "values", "d1.tdb": "timestamps", "d0.tdb": "index", "__fragment_metadata.tdb": "index"}


class TileDB(Engine):
    """A sparse TileDB array whose dimensions are the number of a series and the time.

    Parameters
    ----------
    timestamps, values : str
        The filter before zstd; ``default`` leaves the choice to TileDB.
    level : int
        Of zstd, 1 to 22; 0 is its own default.

    Notes
    -----
    The bare name leaves all filters to TileDB. Compaction is its consolidation and vacuum. A second array names the
    series. Source: https://docs.tiledb.com/main/background/key-concepts-and-data-format
    """

    name = "tiledb"
    title = "TileDB"
    package = "tiledb"
    showcase = (
        "",
        "timestamps=double_delta,values=none,level=19",
        "timestamps=double_delta,values=bit_shuffle,level=19",
    )
    samples_a_second = 8e4

    def __init__(self, timestamps: str = "default", values: str = "default", level: int = 0) -> None:
        check_choice("tiledb", "timestamps", timestamps, TIMESTAMPS)
        check_choice("tiledb", "values", values, VALUES)
        check_range("tiledb", "level", level, 0, 22)
        self.timestamps, self.values, self.level = timestamps, values, level
        self.name += non_default_settings(type(self), vars(self))

    def start(self, folder: Path, time_unit: str) -> None:
        """Make the array of samples; that of series is made with the first of them."""
        import tiledb

        self.time_unit, self.numbers = time_unit, SeriesNumbers()
        self.samples, self.series = folder / "samples", folder / "series"
        limits = {"series": (0, (1 << 31) - 1), "ts": (-FARTHEST, FARTHEST)}
        tiles = {"series": 1, "ts": 1 << 40}
        chosen = {"series": "delta" if self.timestamps != "default" else "default", "ts": self.timestamps}
        dimensions = [
            tiledb.Dim(name, domain=limits[name], tile=tiles[name], dtype=np.int64, filters=self._filters(chosen[name]))
            for name in limits
        ]
        attribute = tiledb.Attr("value", dtype=np.float64, filters=self._filters(self.values))
        schema = tiledb.ArraySchema(
            tiledb.Domain(*dimensions), attrs=[attribute], sparse=True, allows_duplicates=True, capacity=CAPACITY
        )
        tiledb.Array.create(str(self.samples), schema)

    def _filters(self, name: str) -> Any:
        """Return a filter and zstd after it; None leaves it to TileDB."""
        return None if name == "default" else filters(name, self.level)

    def ingest(self, dataset: MetricDataset) -> None:
        """Write all cells as a fragment, and the names of series that are new as another."""
        import tiledb

        numbers, new = self.numbers.add(dataset.keys)
        if new:
            ids, names, labels = (np.array(column, object) for column in zip(*new, strict=True))
            if not self.series.exists():
                number = tiledb.Dim("id", domain=(0, (1 << 31) - 1), tile=1 << 16, dtype=np.int64)
                texts = [tiledb.Attr(name, dtype=np.dtype("S"), var=True) for name in ("metric_name", "labels")]
                schema = tiledb.ArraySchema(tiledb.Domain(number), attrs=texts, sparse=True)
                tiledb.Array.create(str(self.series), schema)
            with tiledb.open(str(self.series), "w") as array:
                array[ids.astype(np.int64)] = {
                    "metric_name": _encoded(map(name_text, names)),
                    "labels": _encoded(labels),
                }
        series, timestamps, values = rows(dataset, numbers)
        if np.abs(timestamps.astype(np.float64)).max(initial=0) > FARTHEST:
            raise EngineError("its dimension cannot hold these times")
        with tiledb.open(str(self.samples), "w") as array:
            array[series, timestamps] = {"value": values}

    def compact(self) -> None:
        """Consolidate fragments, and remove what was consolidated."""
        import tiledb

        for path in (self.samples, self.series):
            for mode in ("fragments", "commits"):
                config = tiledb.Config({"sm.consolidation.mode": mode, "sm.vacuum.mode": mode})
                tiledb.consolidate(str(path), config=config)
                tiledb.vacuum(str(path), config=config)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the files of each attribute and dimension, and of what finds them."""
        whole, parts = folder_bytes(self.samples), dict.fromkeys(("values", "timestamps", "index"), 0)
        for file, part in FILES.items():
            parts[part] += folder_bytes(self.samples, file)
        rest = whole - sum(parts.values())
        return parts | {"rest": rest, "index": parts["index"] + folder_bytes(self.series)}

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels."""
        wanted = (key.metric_name, labels_json(key))
        return self._read([one for one in self._named() if one[1:] == wanted], start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._read([one for one in self._named() if one[1] == metric_name], start, stop)

    def read_all(self) -> MetricDataset:
        """Query all cells."""
        return self._read(self._named(), -FARTHEST, FARTHEST + 1)

    def _named(self) -> list[tuple[int, str, str]]:
        import tiledb

        with tiledb.open(str(self.series)) as array:
            found = array[:]
        names, labels = ([text.decode() for text in found[name]] for name in ("metric_name", "labels"))
        return sorted(zip(found["id"].tolist(), map(name_of, names), labels, strict=True))

    def _read(self, series: list[tuple[int, str, str]], start: int, stop: int) -> MetricDataset:
        import tiledb

        if not series:  # which to TileDB would mean all of them
            return nothing(self.time_unit)
        numbers = [number for number, _, _ in series]
        consecutive = numbers[-1] - numbers[0] == len(numbers) - 1
        wanted = slice(numbers[0], numbers[-1]) if consecutive else numbers
        with tiledb.open(str(self.samples)) as array:
            found = array.query(attrs=["value"]).multi_index[wanted, start : stop - 1]
        order = np.lexsort((found["ts"], found["series"]))
        return from_rows(series, found["series"][order], found["ts"][order], found["value"][order], self.time_unit)

    def stop(self) -> None:
        """Do nothing: arrays are open only while they are used."""


def _encoded(texts: Any) -> Any:
    return np.array([text.encode() for text in texts], dtype=object)
