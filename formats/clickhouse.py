"""ClickHouse's table parts, through chdb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from squeezelab.formats._folder import pack_folder, unpack_folder
from squeezelab.formats._table import SCHEMA, TableFormat, rises
from squeezelab.registry import check_choice, check_range, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

TIMESTAMP_CODECS = ("DoubleDelta", "Delta", "T64", "GCD", "NONE")
VALUE_CODECS = ("Gorilla", "FPC", "ALP", "Delta", "NONE")


class ClickHouse(TableFormat):
    """The part that ClickHouse's MergeTree keeps of a table, ordered by series and timestamp.

    Parameters
    ----------
    timestamps : {"DoubleDelta", "Delta", "T64", "GCD", "NONE"}
        The codec that prepares timestamps.
    values : {"Gorilla", "FPC", "ALP", "Delta", "NONE"}
        The codec that prepares values. ALP is in beta: it is there from ClickHouse 26 on.
    zstd : int
        The level of ZSTD behind both, 1 as ClickHouse itself; 0 is LZ4.

    Notes
    -----
    The table's file is whether its order holds the timestamp (a byte), and every file of its only part after OPTIMIZE
    FINAL, as `squeezelab.formats._folder` puts them one after another. They add up to what
    ClickHouse's ``system.parts`` has as ``bytes_on_disk``, marks, primary key and checksums included. One thread reads
    and writes. Source: https://clickhouse.com/docs/reference/statements/create/table/codec

    A process can have one chdb session at a time: this opens one, and closes it.
    """

    name = "clickhouse"
    package = "chdb"
    showcase = ("", "timestamps=T64,values=FPC", "values=ALP", "timestamps=Delta,values=NONE,zstd=22")

    def __init__(self, timestamps: str = "DoubleDelta", values: str = "Gorilla", zstd: int = 1) -> None:
        check_choice("clickhouse", "timestamps", timestamps, TIMESTAMP_CODECS)
        check_choice("clickhouse", "values", values, VALUE_CODECS)
        check_range("clickhouse", "zstd", zstd, 0, 22)
        self.timestamps = timestamps
        self.values = values
        self.zstd = zstd
        self.costly = zstd >= 10
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Insert all rows, merge what came of it into one part, and take that part's files."""
        ordered = rises(table)
        if not table.num_rows:
            return b""
        with _session() as (session, _):
            if self.values == "ALP":
                session.query("SET enable_alp_codec = 1")
            _create(session, ordered, *map(self._codec, ("NONE", self.timestamps, self.values)))
            given = table  # noqa: F841 -- chdb finds a table by the name of a variable
            session.query("INSERT INTO samples SELECT * FROM Python(given)")
            session.query("OPTIMIZE TABLE samples FINAL")
            folder = Path(_ask(session, "SELECT path FROM system.parts WHERE table = 'samples' AND active"))
            return bytes([ordered]) + pack_folder(folder)

    def load(self, data: bytes) -> pa.Table:
        """Attach the part to a table, and read all rows."""
        if not data:
            return SCHEMA.empty_table()
        with _session() as (session, _):
            _create(session, bool(data[0]))
            folder = Path(_ask(session, "SELECT data_paths[1] FROM system.tables WHERE name = 'samples'"))
            unpack_folder(data[1:], folder / "detached" / "all_1_1_1")
            session.query("ALTER TABLE samples ATTACH PART 'all_1_1_1'")
            rows = session.query("SELECT * FROM samples", "ArrowStream").bytes()
        return pa.ipc.open_stream(rows).read_all()

    def _codec(self, first: str) -> str:
        behind = f"ZSTD({self.zstd})" if self.zstd else "LZ4"
        return f"CODEC({behind})" if first == "NONE" else f"CODEC({first}, {behind})"


@contextmanager
def _session() -> Iterator[tuple[Any, Path]]:
    """Open a session of its own, which works on one thread, in a folder that goes with it."""
    from chdb import session as chdb_session

    with workplace(MEMORY) as folder:
        session = chdb_session.Session(str(folder))
        try:
            for setting in ("max_threads = 1", "max_insert_threads = 1"):
                session.query(f"SET {setting}")
            session.query("CREATE DATABASE lab")
            session.query("USE lab")
            yield session, folder
        finally:
            session.close()


def _create(session: Any, ordered: bool, series: str = "", timestamp: str = "", value: str = "") -> None:
    """Make the table; where timestamps do not rise, its order is that of the rows within a series."""
    order = "series, timestamp" if ordered else "series"
    session.query(
        f"CREATE TABLE samples (series UInt32 {series}, timestamp Int64 {timestamp}, value Float64 {value}) "
        f"ENGINE = MergeTree ORDER BY ({order})"
    )


def _ask(session: Any, query: str) -> str:
    """Return the only answer to a query."""
    answer: str = session.query(query, "TSVRaw").data()
    return answer.strip()
