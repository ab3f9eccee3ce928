"""ClickHouse, in the process that works for the lab (chdb)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.engines._tables import SeriesNumbers, rows
from squeezelab.engines.base import Engine
from squeezelab.errors import EngineError
from squeezelab.registry import check_choice, check_range, non_default_settings

TABLES = ("labels", "ids", "timeseries")
TIMESTAMP_CODECS = ("default", "DoubleDelta", "Delta", "T64", "GCD", "NONE")
VALUE_CODECS = ("default", "Gorilla", "FPC", "ALP", "Delta", "NONE")
ROWS = 1_000_000
"""Of one INSERT: ClickHouse wants few large ones."""
DIGITS = {"s": 3, "ms": 3, "us": 6, "ns": 9}
"""Of DateTime64: seconds are kept in milliseconds, as Prometheus and ClickHouse's own table for metrics do."""
NAME = "__name__"
"""The label in which the TimeSeries engine repeats the metric name, as Prometheus does."""
JOINED = {
    "ids": ("series", "samples", "series", "labels"),
    "timeseries": ("id", "timeSeriesSamples(metrics)", "timeSeriesTags(metrics)", "tags"),
}
"""A column of samples, their table, the table of series, and its column of labels."""
COLUMNS = {"value": "values", "ts": "timestamps", "timestamp": "timestamps"}
NAMES = pa.schema([("id", pa.int64()), ("metric", pa.string()), ("labels", pa.map_(pa.string(), pa.string()))])


class ClickHouse(Engine):
    """ClickHouse tables: labels beside each sample, or numbers of series, or its own TimeSeries engine.

    Parameters
    ----------
    table : {"labels", "ids", "timeseries"}
        Metric name and a Map of labels in each row, in the order of these and of time; or a number in each row, and a
        table of series; or ClickHouse's TimeSeries engine, which names codecs itself.
    timestamps, values : str
        What prepares a column for compression; ``default`` names no codec at all, ``NONE`` has ZSTD alone. ALP is in
        beta.
    zstd : int
        The level of ZSTD after both, 0 for LZ4.

    Notes
    -----
    The bare name is what a user gets who names no codec: LZ4. Compaction is OPTIMIZE FINAL. Parts are wide whatever
    their size, as those of real tables are, and only so does ClickHouse tell the bytes of each column. What the
    TimeSeries engine keeps twice for four days counts as its log. Inserted are Arrow tables of up to a million rows.
    Sources: https://clickhouse.com/docs/sql-reference/statements/create/table#column_compression_codec,
    https://clickhouse.com/docs/engines/table-engines/special/time_series
    """

    name = "clickhouse"
    title = "ClickHouse"
    package = "chdb"
    showcase = (
        "",
        "timestamps=DoubleDelta,values=Gorilla",
        "timestamps=DoubleDelta,values=NONE,zstd=3",
        "table=ids",
        "table=ids,timestamps=DoubleDelta,values=Gorilla",
        "table=ids,timestamps=DoubleDelta,values=NONE,zstd=3",
        "table=timeseries",
    )
    samples_a_second = 3e5

    @classmethod
    def version(cls) -> str | None:
        """Return the version of ClickHouse itself, which has a package of its own."""
        try:
            return version("chdb-core") if super().version() else None
        except PackageNotFoundError:
            return super().version()

    def __init__(
        self, table: str = "labels", timestamps: str = "default", values: str = "default", zstd: int = 1
    ) -> None:
        check_choice("clickhouse", "table", table, TABLES)
        check_choice("clickhouse", "timestamps", timestamps, TIMESTAMP_CODECS)
        check_choice("clickhouse", "values", values, VALUE_CODECS)
        check_range("clickhouse", "zstd", zstd, 0, 22)
        self.table, self.timestamps, self.values, self.zstd = table, timestamps, values, zstd
        self.name += non_default_settings(type(self), vars(self))

    def start(self, folder: Path, time_unit: str) -> None:
        """Open a database in the folder, and make its tables."""
        from chdb import session as chdb_session

        self.time_unit, self.numbers = time_unit, SeriesNumbers()
        self.scale = 1000 if time_unit == "s" else 1
        self.session = chdb_session.Session(str(folder))
        for statement in self._statements():
            self.session.query(statement)

    def _statements(self) -> Iterator[str]:
        """Yield what makes the tables, as users write it."""
        yield "CREATE DATABASE lab"
        yield "USE lab"
        yield "SET max_query_size = 1000000000"  # a query names a series, whatever long its labels are
        digits = DIGITS[self.time_unit]
        if self.table == "timeseries":
            yield "SET allow_experimental_time_series_table = 1"
            yield "SET max_partitions_per_insert_block = 0"  # it keeps recent samples apart for every five hours
            yield f"CREATE TABLE metrics (samples Array(Tuple(DateTime64({digits}), Float64))) ENGINE = TimeSeries"
            (table,) = self._ask("SELECT name FROM system.tables WHERE startsWith(name, '.inner_id.samples')")[0]
            yield f"ALTER TABLE `{table}` MODIFY SETTING min_bytes_for_wide_part = 0"
            return
        if self.values == "ALP":
            yield "SET enable_alp_codec = 1"
        names = "metric LowCardinality(String), labels Map(LowCardinality(String), LowCardinality(String))"
        who, order = (names, "metric, labels, ts") if self.table == "labels" else ("series UInt32", "series, ts")
        timestamps, values = self._codec(self.timestamps), self._codec(self.values)
        yield (
            f"CREATE TABLE samples ({who}, ts DateTime64({digits}, 'UTC'){timestamps}, value Float64{values}) "
            f"ENGINE = MergeTree ORDER BY ({order}) SETTINGS min_bytes_for_wide_part = 0"
        )
        if self.table == "ids":
            yield f"CREATE TABLE series (id UInt32, {names}) ENGINE = MergeTree ORDER BY (metric, labels)"

    def _codec(self, name: str) -> str:
        if name == "default":
            return ""
        after = f"ZSTD({self.zstd})" if self.zstd else "LZ4"
        return f" CODEC({after})" if name == "NONE" else f" CODEC({name}, {after})"

    def ingest(self, dataset: MetricDataset) -> None:
        """Insert from Arrow tables, which ClickHouse reads where they are."""
        numbers, new = self.numbers.add(dataset.keys)
        keys = zip(numbers.tolist(), dataset.keys, strict=True)
        wanted = [(number, key.metric_name, list(key.labels.items())) for number, key in keys]
        names = pa.table(
            [pa.array(column, kind) for column, kind in zip(_columns(wanted), NAMES.types, strict=True)], NAMES
        )
        if self.table == "ids" and new:
            added = names.slice(len(names) - len(new))
            self._insert("INSERT INTO series SELECT id, metric, labels FROM Python(given)", added)
        series, timestamps, values = rows(dataset, numbers)
        times = self._scaled(timestamps)
        for i in range(0, len(values), ROWS):
            part = slice(i, i + ROWS)
            table = pa.table({"series": series[part], "ts": times[part], "value": values[part]})
            self._insert(self._insertion(), table, names)

    def _scaled(self, timestamps: Any) -> Any:
        if self.scale > 1 and np.abs(timestamps.astype(np.float64)).max(initial=0) * self.scale >= 2.0**63:
            raise EngineError("its DateTime64(3) cannot hold these times")
        return timestamps * self.scale

    def _insertion(self) -> str:
        digits = DIGITS[self.time_unit]
        ts = f"reinterpret(g.ts, 'DateTime64({digits})')"
        if self.table == "ids":
            return f"INSERT INTO samples SELECT series, {ts}, value FROM Python(given) AS g"
        named = "FROM Python(given) AS g JOIN Python(names) AS s ON g.series = s.id"
        if self.table == "labels":
            return f"INSERT INTO samples SELECT s.metric, s.labels, {ts}, g.value {named}"
        return (
            "INSERT INTO metrics (metric_name, tags, samples) "
            f"SELECT any(s.metric), any(s.labels), groupArray(({ts}, g.value)) {named} GROUP BY g.series"
        )

    def _insert(self, statement: str, given: pa.Table, names: pa.Table | None = None) -> None:
        """Run a statement; chdb finds tables by the names of variables here."""
        self.session.query(statement)

    def compact(self) -> None:
        """Merge each table into one part."""
        for (table,) in self._ask("SELECT name FROM system.tables WHERE database = 'lab' AND engine LIKE '%MergeTree'"):
            self.session.query(f"OPTIMIZE TABLE `{table}` FINAL")

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the columns of samples, of what tells series apart, and the rest of the parts."""
        parts = dict.fromkeys(("values", "timestamps", "index", "rest", "log"), 0)
        whole = "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE database = 'lab' AND active GROUP BY table"
        columns = (
            "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns WHERE database = 'lab' AND active "
            "AND table = {} GROUP BY column"
        )
        for table, size in self._ask(whole):
            if table != "samples" and not table.startswith(".inner_id.samples"):
                parts["log" if "recentsamples" in table else "index"] += size
                continue
            of_columns = self._ask(columns.format(_text(table)))
            for column, bytes_of_it in of_columns:
                parts[COLUMNS.get(column, "index")] += bytes_of_it
            parts["rest"] += size - sum(bytes_of_it for _, bytes_of_it in of_columns)
        return parts

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels."""
        labels = dict(key.labels)
        if self.table == "timeseries":
            labels |= {NAME: key.metric_name}
        pairs = ", ".join(_text(text) for pair in labels.items() for text in pair)
        kind = "String" if self.table == "timeseries" else "LowCardinality(String)"
        wanted = f"CAST(map({pairs}), 'Map(LowCardinality(String), {kind})')"
        same = f"mapSort(tags) = mapSort({wanted})" if self.table == "timeseries" else f"labels = {wanted}"
        return self._select(f"{self._metric} = {_text(key.metric_name)} AND {same}", start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._select(f"{self._metric} = {_text(metric_name)}", start, stop)

    def read_all(self) -> MetricDataset:
        """Query all rows."""
        return self._select("1", None, None)

    @property
    def _metric(self) -> str:
        return "metric_name" if self.table == "timeseries" else "metric"

    def _select(self, who: str, start: int | None, stop: int | None) -> MetricDataset:
        """Return the samples of series within a span of time; the database gathers them, a row a series."""
        time = "timestamp" if self.table == "timeseries" else "ts"
        within = f"{time} >= {self._moment(start)} AND {time} < {self._moment(stop)}" if start is not None else "1"
        arrays = f"groupArray(reinterpretAsInt64({time})) AS times, groupArray(value) AS readings"
        if self.table == "labels":
            query = f"SELECT metric, labels, {arrays} FROM samples WHERE {who} AND {within} GROUP BY metric, labels"
        else:
            number, samples, series, labels = JOINED[self.table]
            query = (
                f"SELECT s.{self._metric}, s.{labels}, times, readings FROM (SELECT {number} AS number, {arrays} "
                f"FROM {samples} WHERE {number} IN (SELECT id FROM {series} WHERE {who}) AND {within} "
                f"GROUP BY {number}) AS g JOIN (SELECT * FROM {series} WHERE {who}) AS s ON g.number = s.id"
            )
        return self._to_dataset(pa.ipc.open_stream(self.session.query(query, "ArrowStream").bytes()).read_all())

    def _moment(self, time: int | None) -> str:
        return f"reinterpret({(time or 0) * self.scale}::Int64, 'DateTime64({DIGITS[self.time_unit]})')"

    def _to_dataset(self, table: pa.Table) -> MetricDataset:
        series = []
        for batch in table.to_batches():
            metrics, labels, times, readings = batch.columns
            ends = times.offsets.to_numpy()
            every, values = times.values.to_numpy() // self.scale, readings.values.to_numpy()
            for i, (metric, pairs) in enumerate(zip(metrics.to_pylist(), labels.to_pylist(), strict=True)):
                span = slice(ends[i], ends[i + 1])
                labels_of_it = dict(pairs)
                if self.table == "timeseries":
                    del labels_of_it[NAME]
                series.append(_in_order(SeriesKey(metric, labels_of_it), every[span], values[span]))
        return MetricDataset.from_series(series, time_unit=self.time_unit)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        table = pa.ipc.open_stream(self.session.query(query, "ArrowStream").bytes()).read_all()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def stop(self) -> None:
        """Close the database."""
        with suppress(AttributeError):
            self.session.close()


def _columns(rows_: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows_, strict=True)] if rows_ else [[], [], []]


def _text(text: str) -> str:
    """Return a text as SQL, whatever characters it has."""
    return f"unhex('{text.encode().hex()}')"


def _in_order(key: SeriesKey, timestamps: Any, values: Any) -> Series:
    """Sort samples by time: threads gather them as they come."""
    if (timestamps[1:] < timestamps[:-1]).any():
        order = np.argsort(timestamps, kind="stable")
        timestamps, values = timestamps[order], values[order]
    return Series(key, timestamps, values)
