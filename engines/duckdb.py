"""DuckDB, through its own package."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.engines._tables import SeriesNumbers, from_rows, labels_json, rows
from squeezelab.engines.base import Engine

ORDER = "ORDER BY series, ts"
TYPES = {"s": "TIMESTAMP_S", "ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}
TIMES = {
    "s": "make_timestamp({}::BIGINT * 1000000)::TIMESTAMP_S",
    "ms": "make_timestamp({}::BIGINT * 1000)::TIMESTAMP_MS",
    "us": "make_timestamp({})",
    "ns": "make_timestamp_ns({})",
}
NAMES = ("id", "metric_name", "labels")
SERIES = f"SELECT {', '.join(NAMES)} FROM series"


class DuckDB(Engine):
    """A DuckDB file: a table of series, and a table of samples that is filled in the order of series and time.

    Notes
    -----
    No index: DuckDB's zone maps find a stretch of a sorted table, and its documentation advises against a primary key
    for loading (https://duckdb.org/docs/stable/guides/performance/indexing). Compaction is a checkpoint; a file grows
    by blocks of 256 KiB, which decide on small data. Timestamps are of the type that fits the data's unit; what each
    segment of a column was compressed with is in ``pragma_storage_info``.
    """

    name = "duckdb"
    title = "DuckDB"
    package = "duckdb"
    samples_a_second = 8e5

    def start(self, folder: Path, time_unit: str) -> None:
        """Make the file and its two tables."""
        import duckdb

        self.path, self.time_unit, self.numbers = folder / "lab.duckdb", time_unit, SeriesNumbers()
        self.connection = duckdb.connect(self.path)
        self.connection.execute("CREATE TABLE series (id INTEGER, metric_name VARCHAR, labels VARCHAR)")
        self.connection.execute(f"CREATE TABLE samples (series INTEGER, ts {TYPES[time_unit]}, value DOUBLE)")

    def ingest(self, dataset: MetricDataset) -> None:
        """Insert from Arrow tables, which DuckDB reads where they are."""
        numbers, new = self.numbers.add(dataset.keys)
        if new:
            self._insert("series", pa.table(dict(zip(NAMES, zip(*new, strict=True), strict=True))))
        series, timestamps, values = rows(dataset, numbers)
        times = pa.array(timestamps).view(pa.timestamp(self.time_unit))
        self._insert("samples", pa.table({"series": series, "ts": times, "value": values}))

    def _insert(self, table: str, rows_of_it: pa.Table) -> None:
        self.connection.register("given", rows_of_it)
        self.connection.execute(f"INSERT INTO {table} SELECT * FROM given")
        self.connection.unregister("given")

    def compact(self) -> None:
        """Write everything to the file."""
        self.connection.execute("CHECKPOINT")

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the file: those of each column's blocks as far as it tells, and the rest of it."""
        whole = self.path.stat().st_size
        log = self.path.with_name(self.path.name + ".wal")
        parts = dict.fromkeys(("values", "timestamps", "index"), 0)
        shares = self._segment_blocks("samples")
        parts |= {"values": shares.get("value", 0), "timestamps": shares.get("ts", 0), "index": shares.get("series", 0)}
        return parts | {"rest": whole - sum(parts.values()), "log": log.stat().st_size if log.exists() else 0}

    def _segment_blocks(self, table: str) -> dict[str, int]:
        """Return for each column the bytes of its blocks; a block that columns share is shared out by its segments."""
        query = f"""
            WITH segments AS (
                SELECT column_name, unnest(list_prepend(block_id, coalesce(additional_block_ids, []))) AS block
                FROM pragma_storage_info('{table}') WHERE persistent AND block_id >= 0)
            SELECT column_name, sum(share)::BIGINT FROM (
                SELECT column_name, (SELECT block_size FROM pragma_database_size() LIMIT 1)
                    / count(*) OVER (PARTITION BY block) AS share FROM segments)
            GROUP BY column_name"""
        return dict(self.connection.execute(query).fetchall())

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels."""
        chosen = f"{SERIES} WHERE metric_name = ? AND labels = ? ORDER BY id"
        return self._read(chosen, [key.metric_name, labels_json(key)], start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._read(f"{SERIES} WHERE metric_name = ? ORDER BY id", [metric_name], start, stop)

    def _read(self, chosen: str, of: list[str], start: int, stop: int) -> MetricDataset:
        series = self.connection.execute(chosen, of).fetchall()
        first, after = (TIMES[self.time_unit].format(time) for time in (start, stop))
        marks = ",".join(str(number) for number, _, _ in series)
        return self._fetch(series, f"WHERE series IN ({marks}) AND ts >= {first} AND ts < {after}")

    def read_all(self) -> MetricDataset:
        """Query all rows."""
        return self._fetch(self.connection.execute(f"{SERIES} ORDER BY id").fetchall(), "")

    def _fetch(self, series: list[Any], within: str) -> MetricDataset:
        found = self.connection.execute(f"SELECT series, ts, value FROM samples {within} {ORDER}").to_arrow_table()
        numbers, times, values = (found[name].combine_chunks() for name in ("series", "ts", "value"))
        return from_rows(
            series,
            numbers.cast(pa.int64()).to_numpy(zero_copy_only=False),
            times.cast(pa.timestamp(self.time_unit)).view(pa.int64()).to_numpy(zero_copy_only=False),
            values.to_numpy(zero_copy_only=False),
            self.time_unit,
        )

    def stop(self) -> None:
        """Close the file."""
        with suppress(AttributeError):
            self.connection.close()
