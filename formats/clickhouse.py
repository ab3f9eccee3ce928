"""ClickHouse's tables, through chdb."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import UNITS_PER_SECOND, VALUE_DTYPES, MetricDataset, Series, SeriesKey
from squeezelab.formats._engine import EngineFolder, EngineReader, checked, digest_of, files_in, rises
from squeezelab.formats._long import (
    TIME,
    read_values,
    told_dtypes,
    value_columns,
    value_titles,
    values_after_time,
    values_of_one,
)
from squeezelab.registry import check_choice, check_range, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

TIMESTAMP_CODECS = ("DoubleDelta", "default", "Delta", "T64", "GCD", "NONE")
PRECISIONS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
LAST_DATE = 9_000_000_000
"""In seconds; for times before 1970 or after this there is no literal that all units have."""
VALUE_CODECS = ("Gorilla", "default", "FPC", "ALP", "Delta", "NONE")
FOR_FLOATS = ("Gorilla", "FPC", "ALP")
"""Codecs that are not for integers, which have DoubleDelta in their place."""
TYPES = {"float64": "Float64", "int64": "Int64", "float32": "Float32"}

_ONE_SESSION = threading.RLock()
"""Held while there is a session. A thread that asks for a second one gets chdb's own error."""


class ClickHouse(EngineFolder):
    """A ClickHouse database of two tables, ``series`` and ``samples``, the latter ordered by series and timestamp.

    Parameters
    ----------
    timestamps : {"DoubleDelta", "default", "Delta", "T64", "GCD", "NONE"}
        The codec that prepares timestamps; ``default`` names none, which leaves them to LZ4, ``NONE`` has ZSTD alone.
    values : {"Gorilla", "default", "FPC", "ALP", "Delta", "NONE"}
        The codec that prepares values. ALP is in beta: it is there from ClickHouse 26 on.
    zstd : int
        The level of ZSTD after both, 1 as ClickHouse itself; 0 is LZ4.

    Notes
    -----
    The bare name is what users are told to set, DoubleDelta and Gorilla. ClickHouse itself names no codec, and has
    dropped Gorilla from its own tables of metrics (its issue 114790): ZSTD alone was smaller on most data tried here.

    `write` leaves a folder, as ``clickhouse local --path`` and chdb's sessions have it, with a database ``lab``;
    `encode` returns a ZIP of it. Its table ``series`` has number, metric name and labels, which are a map; ``samples``
    has the number of the series, timestamp, in the data set's unit, and value, which is Float64, Int64 or Float32;
    where series have several of these, there is a column of each, Nullable. Gorilla, FPC and ALP are for floats:
    integers have DoubleDelta in their place. What counts is every file: the tables' definitions, and the only part of
    each after OPTIMIZE FINAL, with marks, primary key and checksums; but for two small files of each part that is what
    ``system.parts`` has as ``bytes_on_disk``. The comment of ``samples`` has a checksum of all samples. One thread
    reads and writes.

    A process can have one chdb session at a time: an open file is one, and other threads wait until it is closed.

    Source: https://clickhouse.com/docs/reference/statements/create/table/codec
    """

    name = "clickhouse"
    package = "chdb"
    suffix = ""
    dtypes = VALUE_DTYPES
    repeatable = False  # its tables have numbers drawn by lot
    untimed_access = "a process can have one session of chdb at a time, and --engines times what it is asked"
    showcase = (
        "timestamps=default,values=default",
        "",
        "values=NONE",
        "values=NONE,zstd=3",
        "timestamps=Delta,values=NONE,zstd=22",
        "timestamps=Delta,values=ALP,zstd=22",
    )

    def __init__(self, timestamps: str = "DoubleDelta", values: str = "Gorilla", zstd: int = 1) -> None:
        check_choice("clickhouse", "timestamps", timestamps, TIMESTAMP_CODECS)
        check_choice("clickhouse", "values", values, VALUE_CODECS)
        check_range("clickhouse", "zstd", zstd, 0, 22)
        self.timestamps = timestamps
        self.values = values
        self.zstd = zstd
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Insert all rows, merge what came of it into one part a table, and take these and the tables' definitions."""
        numbers = np.arange(len(dataset.keys), dtype=np.uint32)
        labels = pa.array([list(key.labels.items()) for key in dataset.keys], pa.map_(pa.string(), pa.string()))
        names = pa.array([key.metric_name for key in dataset.keys], pa.string())
        series = pa.table({"series": numbers, "metric_name": names, "labels": labels})  # noqa: F841 -- chdb finds
        samples = pa.table(  # noqa: F841 -- a table by the name of a variable
            {
                "series": np.repeat(numbers, np.diff(dataset.offsets)),
                "timestamp": pa.array(dataset.timestamps).cast(pa.timestamp(dataset.time_unit, "UTC")),
                **value_columns(list(dataset), dataset.value_dtypes),
            }
        )
        with workplace(MEMORY) as folder, _session(folder) as session:
            session.query("CREATE DATABASE lab")
            session.query("USE lab")
            if self.values == "ALP":
                session.query("SET enable_alp_codec = 1")
            for definition in self._definitions(dataset):
                session.query(definition)
            session.query("INSERT INTO series SELECT * FROM Python(series)")
            session.query("INSERT INTO samples SELECT * FROM Python(samples)")
            session.query("OPTIMIZE TABLE samples FINAL")
            active = session.query("SELECT path FROM system.parts WHERE database = 'lab' AND active", "TSVRaw").data()
            _copy_tables(folder, path, [Path(one) for one in active.split("\n") if one])

    def reader(self, path: Path) -> EngineReader:
        """Copy the database, which would be changed by being opened, and open it."""
        return ClickHouseReader(path)

    def _definitions(self, dataset: MetricDataset) -> Iterator[str]:
        """Yield what makes the tables; where timestamps do not rise, order is that of the rows within a series."""
        order = "series, timestamp" if rises(dataset) else "series"
        kind = f"DateTime64({PRECISIONS[dataset.time_unit]}, 'UTC')"
        series, timestamp = map(self._codec, ("NONE", self.timestamps))
        several = len(dataset.value_dtypes) > 1
        values = [
            f"{title} {f'Nullable({TYPES[dtype.name]})' if several else TYPES[dtype.name]} {self._value_codec(dtype)}"
            for title, dtype in value_titles(dataset.value_dtypes).items()
        ]
        empty = np.flatnonzero(np.diff(dataset.offsets) == 0).tolist() if several else []
        told: dict[str, Any] = {"time_unit": dataset.time_unit, "xxh3_64": digest_of(dataset)}
        told |= {"empty": [[i] for i in empty], **told_dtypes(dataset, empty)} if several else {}
        yield (
            "CREATE TABLE series (series UInt32, metric_name String, labels Map(String, String)) "
            "ENGINE = MergeTree ORDER BY series"
        )
        yield (
            f"CREATE TABLE samples (series UInt32 {series}, timestamp {kind} {timestamp}, {', '.join(values)}) "
            f"ENGINE = MergeTree ORDER BY ({order}) COMMENT '{json.dumps(told)}'"
        )

    def _value_codec(self, dtype: np.dtype[Any]) -> str:
        return self._codec("DoubleDelta" if dtype.kind == "i" and self.values in FOR_FLOATS else self.values)

    def _codec(self, first: str) -> str:
        if first == "default":
            return ""
        after = f"ZSTD({self.zstd})" if self.zstd else "LZ4"
        return f"CODEC({after})" if first == "NONE" else f"CODEC({first}, {after})"


class ClickHouseReader(EngineReader):
    """A database that is open; samples are queried by their series' number and time."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(workplace(MEMORY)) / "copy"
            shutil.copytree(path, folder)
            self._session = stack.enter_context(_session(folder))
            self._session.query("USE lab")
            comment = "SELECT comment FROM system.tables WHERE database = 'lab' AND name = 'samples'"
            self._told = json.loads(self._session.query(comment, "TSVRaw").data())
            series = self._table("SELECT metric_name, labels FROM series ORDER BY series")
            names, labels = (column.to_pylist() for column in series.columns)
            self.keys = [SeriesKey(name, dict(pairs)) for name, pairs in zip(names, labels, strict=True)]
            columns = self._session.query("DESCRIBE TABLE samples", "TSVRaw").data().split("\n")
            self._values = values_after_time([one.partition("\t")[0] for one in columns if one])
            self._stack = stack.pop_all()

    def read_all(self) -> MetricDataset:
        """Query all samples, which are in the order of their series."""
        table = self._table("SELECT * FROM samples")
        counts = np.bincount(table["series"].to_numpy(), minlength=len(self.keys))
        offsets = np.append(0, np.cumsum(counts))
        values, dtypes = read_values(table.select(self._values), offsets, self._told)
        dataset = MetricDataset(self.keys, offsets, _times(table), values, self._told["time_unit"], dtypes)
        return checked(dataset, self._told["xxh3_64"])

    def read_series(self, number: int) -> Series:
        """Query the samples of a series."""
        return self._read(number)

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Query the samples of a series from one time up to another."""
        unit = self._told["time_unit"]
        if not 0 <= start <= end < LAST_DATE * UNITS_PER_SECOND[unit]:
            return super().read_between(number, start, end)
        scale = PRECISIONS[unit]
        first, last = (f"toDateTime64('{np.datetime64(time, unit)}', {scale}, 'UTC')" for time in (start, end))
        found = self._read(number, f" AND timestamp >= {first} AND timestamp < {last}")
        return found if found.values.size else super().read_between(number, start, end)  # no row tells the type

    def _read(self, number: int, conditions: str = "") -> Series:
        names = ", ".join([TIME, *self._values])
        table = self._table(f"SELECT {names} FROM samples WHERE series = {number}{conditions}")
        return Series(self.keys[number], _times(table), values_of_one(table.select(self._values), number, self._told))

    def close(self) -> None:
        """Close the session."""
        self._stack.close()

    def _table(self, query: str) -> pa.Table:
        answer = self._session.query(query, "ArrowStream").bytes()
        return pa.ipc.open_stream(answer).read_all()


def _times(table: pa.Table) -> npt.NDArray[np.int64]:
    times: npt.NDArray[np.int64] = table[TIME].cast(pa.int64()).to_numpy()
    return times


@contextmanager
def _session(folder: Path) -> Iterator[Any]:
    """Open a session on a folder, which works on one thread; another thread's waits for its end."""
    from chdb import session as chdb_session

    with _ONE_SESSION:
        session = chdb_session.Session(str(folder))
        try:
            for setting in ("max_threads = 1", "max_insert_threads = 1"):
                session.query(f"SET {setting}")
            yield session
        finally:
            session.close()


def _copy_tables(folder: Path, target: Path, active: list[Path]) -> None:
    """Copy the definitions of the tables, and of their parts those that are active."""
    for path in files_in(folder):
        place = path.relative_to(folder)
        of_part = len(place.parts) > len(("store", "table's first letters", "table", "file"))
        if place.parts[0] in ("metadata", "store") and (not of_part or path.parent in active):
            (target / place.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
