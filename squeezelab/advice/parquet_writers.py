"""Parquet files as DuckDB and Polars write them: they choose encodings by themselves, the rest can be set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import ClassVar

import pyarrow as pa

from squeezelab.advice.base import Order, Setting, System, Workshop
from squeezelab.advice.duckdb import quote_name
from squeezelab.advice.layout import Column, Layout
from squeezelab.advice.parquet import FileWorkshop

COMPRESSIONS = ("", "zstd 1", "zstd 3", "zstd 9", "zstd 15", "zstd 19", "zstd 22", "gzip", "brotli", "lz4_raw")


class _Writer(System):
    """A program that writes Parquet files, of whose columns nothing is set one by one."""

    default_order = "as given"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return nothing to choose from."""
        return [""]

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return the orders that rows are sorted in, that of the data without a word first."""
        return {"as given": {one.name: () for one in layout.tables}, **super().orders(layout)}


def _given(setting: Setting, compression: str) -> tuple[dict[str, str], str, str]:
    """Return the options that are given, and apart from them the compression and its level."""
    given = {name: value for name, value in setting.options.items() if value}
    method, _, level = given.pop(compression, "").partition(" ")
    return given, method, level


class ParquetDuckDB(_Writer):
    """Parquet: the options of DuckDB's ``COPY ... TO``.

    Notes
    -----
    Version 2 of Parquet is what lets DuckDB write byte stream splits and deltas.
    Source: https://duckdb.org/docs/stable/data/parquet/overview
    """

    name = "parquet_duckdb"
    title = "Parquet through DuckDB"
    package = "duckdb"
    file = "parquet_duckdb.sql"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "PARQUET_VERSION": ("", "V2"),
        "COMPRESSION": COMPRESSIONS,
        "ROW_GROUP_SIZE": ("", "30720", "1048576"),
    }

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return DuckDBWriter

    def version(self) -> str:
        """Return the version of DuckDB."""
        return f"DuckDB {version('duckdb')}"

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return a COPY a table."""
        order = self.orders(layout)[setting.order]
        given, compression, level = _given(setting, "COMPRESSION")
        given |= {"COMPRESSION": compression} if compression else {}
        given |= {"COMPRESSION_LEVEL": level} if level else {}
        options = ", ".join(["FORMAT parquet", *(f"{name} {value}" for name, value in given.items())])
        lines = []
        for table in layout.tables:
            names = ", ".join(quote_name(one.name) for one in table.columns)
            sort = f" ORDER BY {', '.join(map(quote_name, order[table.name]))}" if order[table.name] else ""
            lines += [f"-- {table.name}: your rows, as a table or a view"]
            lines += [f"COPY (SELECT {names} FROM {quote_name(table.name)}{sort})"]
            lines += [f"TO '{table.name}.parquet' ({options});", ""]
        return "\n".join(lines)


class ParquetPolars(_Writer):
    """Parquet: the arguments of Polars' ``write_parquet``.

    Notes
    -----
    Source: https://docs.pola.rs/api/python/stable/reference/api/polars.DataFrame.write_parquet.html
    """

    name = "parquet_polars"
    title = "Parquet through Polars"
    package = "polars"
    file = "parquet_polars.py"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "compression": ("", *(one for one in COMPRESSIONS if one and one != "lz4_raw"), "lz4"),
        "row_group_size": ("", "16384", "131072"),
        "data_page_size": ("", "65536", "8388608"),
    }

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return PolarsWriter

    def version(self) -> str:
        """Return the version of Polars."""
        return f"Polars {version('polars')}"

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return Python that writes the tables."""
        order = self.orders(layout)[setting.order]
        given, compression, level = _given(setting, "compression")
        given = ({"compression": f'"{compression}"'} if compression else {}) | given
        given |= {"compression_level": level} if level else {}
        arguments = "".join(f", {name}={value}" for name, value in given.items())
        lines = []
        for table in layout.tables:
            sort = f".sort([{', '.join(map(ascii, order[table.name]))}])" if order[table.name] else ""
            columns = ", ".join(ascii(one.name) for one in table.columns)
            lines += [f"# {table.name}: a polars.DataFrame with the columns {columns}"]
            lines += [f'{table.name}{sort}.write_parquet("{table.name}.parquet"{arguments})', ""]
        return "\n".join(lines)


class DuckDBWriter(FileWorkshop):
    """Executes SQL in DuckDB, with the tables as views of their names."""

    def execute(self, text: str, tables: dict[str, pa.Table]) -> None:
        """Execute SQL with some views given."""
        import duckdb

        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, rows in tables.items():
                connection.register(name, rows)
            connection.execute(text)


class PolarsWriter(FileWorkshop):
    """Executes Python, with the tables as frames of Polars."""

    def execute(self, text: str, tables: dict[str, pa.Table]) -> None:
        """Execute Python with some frames given."""
        import polars as pl

        super().execute(text, {name: pl.from_arrow(rows) for name, rows in tables.items()})
