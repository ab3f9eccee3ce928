"""SQLite, through Python's own library."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.engines._tables import Floats, Ints, SeriesNumbers, from_rows, labels_json, rows
from squeezelab.engines.base import Engine

SERIES = "SELECT id, metric_name, labels FROM series"
SAMPLES = "SELECT series, timestamp, value FROM samples"
ORDER = "ORDER BY series, timestamp"
BATCH = 10_000
"""Rows that are fetched at once."""


class SQLite(Engine):
    """A SQLite file: samples in a table WITHOUT ROWID, whose primary key is series and timestamp.

    Notes
    -----
    Settings as SQLite recommends them for one writer: a write-ahead log, ``synchronous=NORMAL``. Compaction is VACUUM
    and a checkpoint. It has no NaN: one comes back as NULL, which is counted as a NaN of other bits; -0.0 comes back as
    0. A second sample at the same time is refused (``INSERT OR IGNORE``). Source: https://sqlite.org/withoutrowid.html
    """

    name = "sqlite"
    title = "SQLite"
    samples_a_second = 1.5e5

    @classmethod
    def version(cls) -> str:
        """Return the version of the library in Python."""
        return sqlite3.sqlite_version

    def start(self, folder: Path, time_unit: str) -> None:
        """Make the file and its two tables."""
        self.path, self.time_unit, self.numbers = folder / "lab.sqlite", time_unit, SeriesNumbers()
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE series (id INTEGER PRIMARY KEY, metric_name TEXT NOT NULL, labels TEXT NOT NULL)",
            "CREATE INDEX series_by_name ON series (metric_name)",
            "CREATE TABLE samples (series INTEGER NOT NULL, timestamp INTEGER NOT NULL, value REAL, "
            "PRIMARY KEY (series, timestamp)) WITHOUT ROWID",
        ):
            self.connection.execute(statement)

    def ingest(self, dataset: MetricDataset) -> None:
        """Insert row by row in one transaction."""
        numbers, new = self.numbers.add(dataset.keys)
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT INTO series VALUES (?, ?, ?)", new)
        columns = (column.tolist() for column in rows(dataset, numbers))
        self.connection.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", zip(*columns, strict=True))
        self.connection.execute("COMMIT")

    def compact(self) -> None:
        """Write the file anew, and empty its log."""
        self.connection.execute("VACUUM")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the table, of the series, and of the log; which library can tell them apart says so."""
        whole = self.path.stat().st_size
        try:
            counted = dict(self.connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
        except sqlite3.OperationalError:
            counted = {"samples": whole}
        index = sum(size for name, size in counted.items() if name.startswith("series"))
        samples = counted["samples"]
        return {"samples": samples, "index": index, "rest": whole - samples - index, "log": self._log_bytes()}

    def _log_bytes(self) -> int:
        log = self.path.with_name(self.path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels."""
        chosen = f"{SERIES} WHERE metric_name = ? AND labels = ?"
        return self._read(chosen, (key.metric_name, labels_json(key)), start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._read(f"{SERIES} WHERE metric_name = ?", (metric_name,), start, stop)

    def _read(self, chosen: str, of: tuple[Any, ...], start: int, stop: int) -> MetricDataset:
        series = self.connection.execute(chosen, of).fetchall()
        marks = ",".join(str(number) for number, _, _ in series)
        within = f"WHERE series IN ({marks}) AND timestamp >= ? AND timestamp < ?"
        return self._to_dataset(series, self.connection.execute(f"{SAMPLES} {within} {ORDER}", (start, stop)))

    def read_all(self) -> MetricDataset:
        """Query all rows."""
        series = self.connection.execute(f"{SERIES} ORDER BY id").fetchall()
        return self._to_dataset(series, self.connection.execute(f"{SAMPLES} {ORDER}"))

    def _to_dataset(self, series: list[Any], found: sqlite3.Cursor) -> MetricDataset:
        """Take rows in batches: many at once would be walked again and again by Python's collector of cycles."""
        parts = [_columns([])]
        while batch := found.fetchmany(BATCH):
            parts.append(_columns(batch))
        numbers, timestamps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        return from_rows(series, numbers, timestamps, values, self.time_unit)

    def stop(self) -> None:
        """Close the file."""
        with suppress(AttributeError):
            self.connection.close()


def _columns(rows_of_it: list[Any]) -> tuple[Ints, Ints, Floats]:
    numbers, timestamps, values = zip(*rows_of_it, strict=True) if rows_of_it else ((), (), ())
    return np.array(numbers, np.int64), np.array(timestamps, np.int64), np.array(values, np.float64)  # None becomes NaN
