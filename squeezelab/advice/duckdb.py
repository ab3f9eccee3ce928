"""DuckDB files: the compression of each column, the type of moments, the order of rows, blocks and row groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from squeezelab.advice.base import Choices, Order, Place, Setting, Stored, System, Workshop
from squeezelab.advice.layout import Column, Hour, Layout, Table
from squeezelab.results import Segment

FILE = "metrics.duckdb"
COMPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "label": ("", "uncompressed", "zstd", "dict_fsst"),
    "id": ("", "uncompressed", "rle", "bitpacking"),
    "time": ("", "uncompressed", "rle", "bitpacking"),
    "value": ("", "uncompressed", "rle", "alp", "alprd"),
    "whole": ("", "uncompressed", "rle", "bitpacking"),
}
READINGS = {"f8": "DOUBLE", "i8": "BIGINT", "f4": "FLOAT"}
PLAIN_TIMES = {"s": "TIMESTAMP_S", "ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}
PROBED_BLOCK = "32768"
"""Blocks that columns are sized in alone: with larger ones small columns would all be alike."""


class DuckDB(System):
    """DuckDB: CREATE TABLE with a compression for each column, and the INSERT that sorts.

    Notes
    -----
    Bytes are those of the file after CHECKPOINT. DuckDB chooses for each segment of a column what is smallest of what
    it samples; a compression that is named is taken where it can be. BitPacking needs blocks of more than 16 KiB.
    Sources: https://duckdb.org/docs/stable/internals/storage, https://duckdb.org/docs/stable/sql/statements/attach

    Examples
    --------
    >>> quote_name('odd"name'), quote_text("it's")
    ('"odd""name"', "'it''s'")
    """

    name = "duckdb"
    title = "DuckDB"
    package = "duckdb"
    file = "duckdb.sql"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "BLOCK_SIZE": ("", "131072", "65536", "32768", "16384"),
        "ROW_GROUP_SIZE": ("", "1048576", "30720"),
    }
    begin: ClassVar[Mapping[str, str]] = {"BLOCK_SIZE": "32768"}
    default_order = "as given"
    part_samples: ClassVar[int] = 200_000

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return DuckDBWorkshop

    def version(self) -> str:
        """Return the version of DuckDB."""
        return f"DuckDB {version('duckdb')}"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return type and compression, as they stand after the column's name; what DuckDB does by itself first."""
        return [
            f"{kind} USING COMPRESSION {one}" if one else kind
            for kind in _types(column, layout)
            for one in COMPRESSIONS["whole" if kind == "BIGINT" else column.kind]
        ]

    def effort(self, choice: str) -> int:
        """Return less for what DuckDB chooses by itself, which is taken where nothing is smaller."""
        return 1 if "USING" in choice else 0

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return the orders that rows are sorted in, that of the data without a word first."""
        return {"as given": {one.name: () for one in layout.tables}, **super().orders(layout)}

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the statements that make the file, its tables, and sort the rows into them."""
        order = self.orders(layout)[setting.order]
        lines = [attach(FILE, "kept", setting.options), ""]
        for table in layout.tables:
            name, columns = quote_name(table.name), []
            columns = [f"    {quote_name(one.name)} {setting.columns[table.name, one.name]}" for one in table.columns]
            lines += [f"CREATE TABLE kept.{name}\n(", ",\n".join(columns), ");"]
            lines.append(f"-- {table.name}: your rows, as a table, a view, or a file such as '{table.name}.parquet'")
            sort = f"\nORDER BY {', '.join(map(quote_name, order[table.name]))}" if order[table.name] else ""
            names = ", ".join(quote_name(one.name) for one in table.columns)
            lines += [f"INSERT INTO kept.{name}\nSELECT {names} FROM {name}{sort};", ""]
        return "\n".join([*lines, "CHECKPOINT kept;", ""])


def attach(file: str, name: str, options: Mapping[str, str]) -> str:
    """Return the statement that opens a file."""
    given = ", ".join(f"{key} {value}" for key, value in options.items() if value)
    return f"ATTACH '{file}' AS {name}{f' ({given})' if given else ''};"


def quote_name(name: str) -> str:
    """Return an identifier of any characters."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return a text of any characters."""
    return "'" + text.replace("'", "''") + "'"


def _types(column: Column, layout: Layout) -> tuple[str, ...]:
    """Return the types that hold a column, that which people take first."""
    table = next(one for one in layout.tables if one.name == column.table)
    if column.kind == "value":
        return (READINGS[table.dtype(column.name).str[1:]],)
    if column.kind != "time":
        return ({"label": "VARCHAR", "id": "UINTEGER"}[column.kind],)
    if not pa.types.is_timestamp(table.rows[column.name].type):
        return ("BIGINT",)
    plain = PLAIN_TIMES[layout.time_unit]
    return (plain,) if layout.time_unit == "ns" else ("TIMESTAMPTZ", plain)


class DuckDBWorkshop(Workshop):
    """A connection in memory, to which the tables belong; the text attaches the file."""

    def __init__(self) -> None:
        super().__init__()
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")

    def run(self, layout: str, text: str) -> Stored:
        """Execute the statements, with the tables as views of their names."""
        self._forget("kept", FILE)
        tables = self.layouts[layout].tables
        for one in tables:
            self.connection.register(one.name, one.rows)
        try:
            self.connection.execute(text)
        finally:
            for one in tables:
                self.connection.unregister(one.name)
        return Stored(Path(FILE).stat().st_size, self._parts(self.layouts[layout]))

    def _forget(self, name: str, file: str) -> None:
        self.connection.execute(f"DETACH DATABASE IF EXISTS {name}")
        for path in (file, f"{file}.wal"):
            Path(path).unlink(missing_ok=True)

    def _parts(self, layout: Layout) -> dict[str, int]:
        """Return the bytes of the file; blocks that columns share are shared out by their segments."""
        parts = {"labels": 0, "timestamps": 0, "values": 0}
        names = {"label": "labels", "id": "labels", "time": "timestamps", "value": "values"}
        for table in layout.tables:
            found = self.connection.execute(
                f"""
                WITH segments AS (
                    SELECT column_name, unnest(list_prepend(block_id, coalesce(additional_block_ids, []))) AS block
                    FROM pragma_storage_info({_stored(table)}) WHERE persistent AND block_id >= 0)
                SELECT column_name, sum(share)::BIGINT FROM (
                    SELECT column_name, (SELECT block_size FROM pragma_database_size() WHERE database_name = 'kept')
                        / count(*) OVER (PARTITION BY block) AS share FROM segments)
                GROUP BY column_name"""
            ).fetchall()
            taken = dict(found)
            for one in table.columns:
                parts[names[one.kind]] += taken.get(one.name, 0)
        return parts | {"rest": Path(FILE).stat().st_size - sum(parts.values())}

    def probe(
        self, layout: str, order: Order, options: Mapping[str, str], choices: Choices
    ) -> dict[Place, dict[str, int]]:
        """Write each column alone into a file, once for each choice."""
        sizes: dict[Place, dict[str, int]] = {place: {} for place in choices}
        for table in self.layouts[layout].tables:
            rows = table.rows
            if order[table.name]:
                rows = rows.sort_by([(pc.field(one), "ascending") for one in order[table.name]])
            for column in table.columns:
                self.connection.register("given", pa.table({"c": rows[column.name]}))
                for choice in choices.get((table.name, column.name), ()):
                    sizes[table.name, column.name][choice] = self._probe(choice, options)
                self.connection.unregister("given")
        return sizes

    def _probe(self, choice: str, options: Mapping[str, str]) -> int:
        self._forget("probed", "probe.duckdb")
        self.connection.execute(attach("probe.duckdb", "probed", {**options, "BLOCK_SIZE": PROBED_BLOCK}))
        self.connection.execute(f"CREATE TABLE probed.t (c {choice})")
        self.connection.execute("INSERT INTO probed.t SELECT c FROM given")
        self.connection.execute("CHECKPOINT probed")
        return Path("probe.duckdb").stat().st_size

    def read(self, layout: str) -> dict[str, pa.Table]:
        """Select all rows."""
        return {
            one.name: self.connection.execute(f"SELECT * FROM kept.{quote_name(one.name)}").to_arrow_table()
            for one in self.layouts[layout].tables
        }

    def read_all(self, layout: str) -> int:
        """Select all rows, and take them as Arrow."""
        return sum(len(table) for table in self.read(layout).values())

    def read_hour(self, layout: str, hour: Hour) -> int:
        """Select moments and values of a series between two moments."""
        laid = self.layouts[layout]
        table = next(one for one in laid.tables if one.name == hour.table)
        time = table.of_kind("time")[0]
        conditions = [_is(name, text) for name, text in hour.labels]
        if table.of_kind("id"):
            ident = quote_name(table.of_kind("id")[0].name)
            series = laid.tables[0]
            listed = f"SELECT {quote_name(series.of_kind('id')[0].name)} FROM kept.{quote_name(series.name)}"
            conditions = [f"{ident} IN ({listed} WHERE {' AND '.join(conditions)})"]
        name = quote_name(time.name)
        low, high = (_moment(one, time, laid) for one in (hour.start, hour.stop))
        conditions += [f"{name} >= {low}", f"{name} < {high}", f"{quote_name(hour.value)} IS NOT NULL"]
        query = f"SELECT {name}, {quote_name(hour.value)} FROM kept.{quote_name(table.name)}"
        return len(self.connection.execute(f"{query} WHERE {' AND '.join(conditions)}").to_arrow_table())

    def segments(self, layout: str) -> list[Segment]:
        """Return what storage_info tells: the compression of each column's segments."""
        found: list[Segment] = []
        for table in self.layouts[layout].tables:
            rows: list[Any] = self.connection.execute(
                "SELECT column_name, compression, count(*), min(column_id) AS place FROM "
                f"pragma_storage_info({_stored(table)}) WHERE segment_type <> 'VALIDITY' GROUP BY ALL ORDER BY place, 2"
            ).fetchall()
            found += [Segment(table.name, column, chosen, count) for column, chosen, count, _ in rows]
        return found


def _stored(table: Table) -> str:
    """Return a table of the file as the text that functions of DuckDB take."""
    return quote_text(f"kept.{quote_name(table.name)}")


def _is(name: str, text: str | None) -> str:
    return f"{quote_name(name)} IS NULL" if text is None else f"{quote_name(name)} = {quote_text(text)}"


def _moment(moment: int, time: Column, layout: Layout) -> str:
    kind = _types(time, layout)[0]
    if kind == "BIGINT":
        return str(moment)
    written = str(np.array(moment, f"M8[{layout.time_unit}]"))
    return f"TIMESTAMPTZ '{written}+00'" if kind == "TIMESTAMPTZ" else f"{kind} '{written}'"
