"""ClickHouse's MergeTree tables, through chdb: a codec for each column, the order of rows, and the blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from squeezelab.advice.base import Choices, Order, Place, Setting, Stored, System, Workshop
from squeezelab.advice.layout import Column, Hour, Layout, Table
from squeezelab.results import Segment

GENERIC = ("LZ4", "LZ4HC(12)", *(f"ZSTD({level})" for level in (1, 3, 6, 9, 12, 19, 22)), "NONE")
PREPARING: Mapping[str, tuple[str, ...]] = {
    "label": (),
    "id": ("Delta", "DoubleDelta", "T64"),
    "time": ("Delta", "DoubleDelta", "GCD", "T64", "T64('bit')", "Delta, T64"),
    "value": ("Delta", "DoubleDelta", "Gorilla", "FPC", "ALP"),
}
READINGS = {"f8": "Float64", "i8": "Int64", "f4": "Float32"}
COMPRESSING = ("DoubleDelta", "Gorilla", "FPC", "ALP", "T64")
"""Of these, those that need no generic codec after them."""
EFFORT = {"LZ4": 0, "NONE": 0, "ZSTD(1)": 1, "ZSTD(3)": 1, "ZSTD(6)": 2, "ZSTD(9)": 2}
TIME_TYPES = {"s": "DateTime64(0, 'UTC')", "ms": "DateTime64(3, 'UTC')", "us": "DateTime64(6, 'UTC')"}
TIME_TYPES["ns"] = "DateTime64(9, 'UTC')"
FROM_UNIX = {"ms": "fromUnixTimestamp64Milli", "us": "fromUnixTimestamp64Micro", "ns": "fromUnixTimestamp64Nano"}
MOST_PROBED = 80
"""Columns of a table that sizes choices: with more, marks would be set by bytes, not by rows."""
ONE_PART = "max_threads = 1, max_insert_threads = 1, min_insert_block_size_rows = 1000000000, "
ONE_PART += "min_insert_block_size_bytes = 0, max_insert_block_size = 1000000000"


class ClickHouse(System):
    r"""ClickHouse: CREATE TABLE with a codec for each column.

    Notes
    -----
    Rows are put in by INSERT, and parts merged by OPTIMIZE FINAL; bytes are what ``system.parts`` says of a table's
    parts on disk, marks and index included. Source: https://clickhouse.com/docs/sql-reference/statements/create/table

    Examples
    --------
    >>> quote_name("odd`name"), quote_text("it's")
    ('`odd\\`name`', "'it\\'s'")
    """

    name = "clickhouse"
    title = "ClickHouse MergeTree"
    package = "chdb"
    file = "clickhouse.sql"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "compress_block_size": ("", "262144", "1048576", "8388608"),
        "index_granularity": ("", "65536"),
        "min_bytes_for_wide_part": ("", "0"),
    }
    begin: ClassVar[Mapping[str, str]] = {"index_granularity": "65536"}

    def version(self) -> str:
        """Return the version of ClickHouse within chdb."""
        from importlib.metadata import version

        return f"ClickHouse {version('chdb-core')} (chdb {version('chdb')})"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return codecs as they stand in CODEC(...), none named first."""
        whole = column.kind == "value" and _readings(column, layout) == "Int64"
        preparing = PREPARING["time" if whole else column.kind]
        prepared = [f"{one}, {after}" for one in preparing for after in GENERIC if after != "NONE"]
        alone = [one for one in preparing if one in COMPRESSING]
        return ["", *GENERIC[1:], *alone, *prepared]

    def effort(self, choice: str) -> int:
        """Return how much a codec costs; levels of ZSTD and LZ4HC decide."""
        last = choice.rpartition(", ")[2]
        return 0 if last in ("", *COMPRESSING) else EFFORT.get(last, 3)

    def family(self, choice: str) -> str:
        """Return what prepares the column for ZSTD and the like."""
        first, _, last = choice.rpartition(", ")
        return last if last in COMPRESSING else first

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the statements that make the tables."""
        order = self.orders(layout)[setting.order]
        texts = [_create(layout, table, setting.columns, order[table.name], setting.options) for table in layout.tables]
        beta = any(re.search(r"\bALP\b", one) for one in setting.columns.values())
        return "\n".join((["SET enable_alp_codec = 1;\n"] if beta else []) + texts)

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return ClickHouseWorkshop


class ClickHouseWorkshop(Workshop):
    """A chdb session; a process can have one."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[tuple[str, str], pa.Table] = {}
        from chdb import session

        self.session = session.Session(str(Path("clickhouse").absolute()))
        self.query("SET output_format_arrow_string_as_string = 1")
        self.query("SET output_format_arrow_low_cardinality_as_dictionary = 0")

    def query(self, text: str, form: str = "TSVRaw") -> Any:
        """Return what ClickHouse answers."""
        return self.session.query(text, form)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return an answer's rows; names may hold any characters."""
        return list(zip(*(column.to_pylist() for column in self._select(text).columns), strict=True))

    def take(self, layout: Layout) -> None:
        """Keep the rows; a label that lacks is an empty text, but where a column has empty texts as well."""
        super().take(layout)
        self.given |= {(layout.name, one.name): _without_nulls(one.rows) for one in layout.tables}

    def run(self, layout: str, text: str) -> Stored:
        """Execute the statements in a database of their own, insert, and merge the parts."""
        self.query("DROP DATABASE IF EXISTS lab SYNC")
        self.query("CREATE DATABASE lab")
        self.query("USE lab")
        self.query(text)
        for table in self.layouts[layout].tables:
            self._insert(layout, table.name)
        size = self.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'lab' AND active")
        return Stored(size[0][0], self._parts(self.layouts[layout], size[0][0]))

    def _insert(self, layout: str, table: str) -> None:
        given = self.given[layout, table]  # noqa: F841 -- chdb finds a table by the name of a variable
        self.query(f"INSERT INTO {quote_name(table)} SELECT * FROM Python(given)")
        self.query(f"OPTIMIZE TABLE {quote_name(table)} FINAL")

    def _parts(self, layout: Layout, size: int) -> dict[str, int]:
        kinds = {(one.table, one.name): one.kind for one in layout.columns}
        parts = {"labels": 0, "timestamps": 0, "values": 0}
        names = {"label": "labels", "id": "labels", "time": "timestamps", "value": "values"}
        for table, column, taken in self._column_bytes():
            parts[names[kinds[table, column]]] += taken
        parts["rest"] = size - sum(parts.values())
        return {name: taken for name, taken in parts.items() if taken}

    def _column_bytes(self) -> list[tuple[str, str, int]]:
        return self.rows(
            "SELECT table, column, sum(column_data_compressed_bytes) FROM system.parts_columns "
            "WHERE database = 'lab' AND active GROUP BY table, column"
        )

    def probe(
        self, layout: str, order: Order, options: Mapping[str, str], choices: Choices
    ) -> dict[Place, dict[str, int]]:
        """Size each choice for each column, in the order that rows would have.

        The bytes of a column in a wide part do not depend on others, so that many copies of it, each in another codec,
        can stand in one table.
        """
        self.query("DROP DATABASE IF EXISTS probe SYNC")
        self.query("CREATE DATABASE probe")
        self.query("SET enable_alp_codec = 1")
        sizes: dict[Place, dict[str, int]] = {place: {} for place in choices}
        for table in self.layouts[layout].tables:
            wanted = [(one, text) for one in table.columns for text in choices.get((table.name, one.name), ())]
            for first in range(0, len(wanted), MOST_PROBED):
                block = wanted[first : first + MOST_PROBED]
                taken = self._probe(self.layouts[layout], table, order, options, block)
                for (column, text), size in zip(block, taken, strict=True):
                    sizes[table.name, column.name][text] = size
        return sizes

    def _probe(
        self, layout: Layout, table: Table, order: Order, options: Mapping[str, str], block: list[tuple[Column, str]]
    ) -> list[int]:
        given = self.given[layout.name, table.name]  # noqa: F841 -- as in `_insert`
        columns = ", ".join(f"c{i} {_type(one, layout)} {_codec(text)}" for i, (one, text) in enumerate(block))
        wide = {**options, "min_bytes_for_wide_part": "0", "index_granularity_bytes": "1073741824"}
        self.query("DROP TABLE IF EXISTS probe.t SYNC")
        self.query(f"CREATE TABLE probe.t ({columns}) ENGINE = MergeTree ORDER BY tuple() {_settings(wide, {})}")
        names = ", ".join(quote_name(one.name) for one, _ in block)
        keys = ", ".join(quote_name(one) for one in order[table.name])
        self.query(
            f"INSERT INTO probe.t SELECT {names} FROM (SELECT * FROM Python(given) ORDER BY {keys}) SETTINGS {ONE_PART}"
        )
        answer = self.rows(
            "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns "
            "WHERE database = 'probe' AND active GROUP BY column"
        )
        taken = dict(answer)
        return [taken[f"c{i}"] for i in range(len(block))]

    def read(self, layout: str) -> dict[str, pa.Table]:
        """Select all rows; an empty text is a label that lacks again."""
        laid = self.layouts[layout]
        return {
            one.name: _with_nulls(rows, laid, one) for one, rows in zip(laid.tables, self._whole(layout), strict=True)
        }

    def _whole(self, layout: str) -> list[pa.Table]:
        return [self._select(f"SELECT * FROM {quote_name(one.name)}") for one in self.layouts[layout].tables]

    def _select(self, text: str) -> pa.Table:
        data = self.query(text, "ArrowStream").bytes()
        return pa.ipc.open_stream(data).read_all()

    def read_all(self, layout: str) -> int:
        """Select all rows, and take them as Arrow."""
        return sum(len(table) for table in self._whole(layout))

    def read_hour(self, layout: str, hour: Hour) -> int:
        """Select moments and values of a series between two moments."""
        return len(self._select(hour_query(self.layouts[layout], hour)))

    def segments(self, layout: str) -> list[Segment]:
        """Return what parts_columns tells: how each column is serialized, and the codec of those without one."""
        answer = self.rows(
            "SELECT c.table, c.column, p.default_compression_codec, c.serialization_kind, count(), "
            "sum(c.column_data_compressed_bytes) FROM system.parts_columns AS c JOIN system.parts AS p "
            "ON p.database = c.database AND p.name = c.name AND p.table = c.table "
            "WHERE c.database = 'lab' AND c.active AND p.active GROUP BY ALL ORDER BY c.table, min(c.column_position)"
        )
        return [
            Segment(
                table,
                column,
                codec if kind == "Default" else f"{codec}, {kind.lower()}",
                count,
                taken or None,
            )
            for table, column, codec, kind, count, taken in answer
        ]


def quote_name(name: str) -> str:
    """Return an identifier of any characters."""
    return "`" + _escaped(name).replace("`", "\\`") + "`"


def quote_text(text: str) -> str:
    """Return a text of any characters."""
    return "'" + _escaped(text).replace("'", "\\'") + "'"


def _escaped(text: str) -> str:
    for plain, escape in (("\\", "\\\\"), ("\0", "\\0"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escape)
    return text


def hour_query(layout: Layout, hour: Hour) -> str:
    """Return the query for an hour of one series."""
    table = next(one for one in layout.tables if one.name == hour.table)
    time = table.of_kind("time")[0]
    nullable = {(one.table, one.name) for one in layout.columns if one.kind == "label" and _ambiguous(layout, one)}
    owner = table.name if table.of_kind("label") or not table.of_kind("id") else layout.tables[0].name

    def is_label(name: str, text: str | None) -> str:
        if text is None and (owner, name) in nullable:
            return f"{quote_name(name)} IS NULL"
        return f"{quote_name(name)} = {quote_text(text or '')}"

    conditions = [is_label(name, text) for name, text in hour.labels]
    if owner != table.name:
        ident = quote_name(layout.tables[0].of_kind("id")[0].name)
        found = f"SELECT {ident} FROM {quote_name(owner)} WHERE {' AND '.join(conditions)}"
        conditions = [f"{quote_name(table.of_kind('id')[0].name)} IN ({found})"]
    conditions.append(f"{quote_name(time.name)} >= {_moment(time, layout, hour.start)}")
    conditions.append(f"{quote_name(time.name)} < {_moment(time, layout, hour.stop)}")
    if any(one.nullable for one in table.columns if one.name == hour.value):
        conditions.append(f"{quote_name(hour.value)} IS NOT NULL")
    names = f"{quote_name(time.name)}, {quote_name(hour.value)}"
    return f"SELECT {names} FROM {quote_name(table.name)} WHERE {' AND '.join(conditions)}"


def _moment(time: Column, layout: Layout, moment: int) -> str:
    kind = _type(time, layout)
    if kind == "Int64":
        return str(moment)
    if kind == "DateTime('UTC')":
        return f"toDateTime({moment}, 'UTC')"
    return (
        f"toDateTime64({moment}, 0, 'UTC')"
        if layout.time_unit == "s"
        else f"{FROM_UNIX[layout.time_unit]}({moment}, 'UTC')"
    )


def _type(column: Column, layout: Layout) -> str:
    if column.kind == "value":
        kind = _readings(column, layout)
        return f"Nullable({kind})" if column.nullable else kind
    if column.kind == "id":
        return "UInt32"
    if column.kind == "label":
        return "LowCardinality(Nullable(String))" if _ambiguous(layout, column) else "LowCardinality(String)"
    table = next(one for one in layout.tables if one.name == column.table)
    times = table.rows[column.name]
    if not pa.types.is_timestamp(times.type):
        return "Int64"
    span = pc.min_max(times.cast(pa.int64())).as_py()
    if layout.time_unit == "s" and span["min"] is not None and span["min"] >= 0 and span["max"] < 2**32:
        return "DateTime('UTC')"
    return TIME_TYPES[layout.time_unit]


def _readings(column: Column, layout: Layout) -> str:
    """Return the type of a column of readings."""
    table = next(one for one in layout.tables if one.name == column.table)
    return READINGS[table.dtype(column.name).str[1:]]


def _ambiguous(layout: Layout, column: Column) -> bool:
    """Return whether some rows lack a label that others have with an empty text."""
    if not column.nullable:
        return False
    rows = next(one.rows for one in layout.tables if one.name == column.table)[column.name]
    return "" in pc.unique(rows).to_pylist()


def _without_nulls(table: pa.Table) -> pa.Table:
    for place, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type) and column.null_count and "" not in pc.unique(column).to_pylist():
            table = table.set_column(place, name, pc.fill_null(column, ""))
    return table


def _with_nulls(rows: pa.Table, layout: Layout, table: Table) -> pa.Table:
    for column in table.of_kind("label"):
        if column.nullable and not _ambiguous(layout, column):
            place = rows.column_names.index(column.name)
            texts = rows[column.name].cast(pa.string())
            rows = rows.set_column(place, column.name, pc.if_else(pc.equal(texts, ""), None, texts))
    return rows


def _codec(choice: str) -> str:
    return f"CODEC({choice})" if choice else ""


def _settings(options: Mapping[str, str], more: Mapping[str, str]) -> str:
    given = {name: value for name, value in {**options, **more}.items() if value}
    if block := given.pop("compress_block_size", ""):
        given |= {"min_compress_block_size": block, "max_compress_block_size": block}
    return "SETTINGS " + ", ".join(f"{name} = {value}" for name, value in given.items()) if given else ""


def _create(
    layout: Layout, table: Table, codecs: Mapping[Place, str], order: Sequence[str], options: Mapping[str, str]
) -> str:
    lines = [
        f"    {quote_name(one.name)} {_type(one, layout)} {_codec(codecs.get((table.name, one.name), ''))}".rstrip()
        for one in table.columns
    ]
    keys = ", ".join(quote_name(one) for one in order)
    nullable = any(_ambiguous(layout, one) for one in table.columns if one.kind == "label" and one.name in order)
    settings = _settings(options, {"allow_nullable_key": "1"} if nullable else {})
    ends = [f"ENGINE = MergeTree\nORDER BY ({keys})", *([settings] if settings else [])]
    return f"CREATE TABLE {quote_name(table.name)}\n(\n" + ",\n".join(lines) + "\n)\n" + "\n".join(ends) + ";\n"
