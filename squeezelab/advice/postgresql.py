"""PostgreSQL: the tables and indexes that metrics are kept in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from squeezelab.advice.base import Setting, Workshop
from squeezelab.advice.engine import EngineSystem, EngineWorkshop
from squeezelab.advice.layout import Layout
from squeezelab.engines.postgresql import PostgreSQL

PACKING = """-- A row is an hour of a series: pack rows of your own with
--   INSERT INTO samples SELECT series, date_trunc('hour', ts), array_agg(ts ORDER BY ts), array_agg(value ORDER BY ts)
--   FROM your_rows GROUP BY 1, 2;
-- and read them with
--   SELECT series, one.ts, one.value FROM samples, unnest(times, readings) AS one (ts, value);
"""


class AdvisedPostgreSQL(EngineSystem):
    """PostgreSQL: CREATE TABLE and CREATE INDEX.

    Notes
    -----
    Rows with a btree index are the default; a BRIN index of time is small, and reads more to find a series; arrays of
    an hour of a series are compressed (TOAST), at the price of a statement that packs and one that unpacks.
    Sources: https://www.postgresql.org/docs/current/brin.html, https://www.postgresql.org/docs/current/storage-toast.html
    """

    name = "postgresql"
    title = "PostgreSQL"
    engine = PostgreSQL
    file = "postgresql.sql"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "samples as": ("", "rows with BRIN", "arrays", "arrays lz4"),
    }

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return PostgreSQLWorkshop

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the statements that make tables and indexes."""
        shape = {"": "btree", "rows with BRIN": "brin"}.get(setting.options["samples as"], "arrays")
        compression = "lz4" if setting.options["samples as"].endswith("lz4") else "pglz"
        statements = PostgreSQL(shape, compression).statements(layout.time_unit)
        return "".join(f"{one};\n" for one in statements) + (PACKING if shape == "arrays" else "")


class PostgreSQLWorkshop(EngineWorkshop):
    """A server that makes its tables by the text."""

    def make(self, text: str) -> PostgreSQL:
        """Return a server for tables of the shape that the text gives them."""
        shape = "brin" if "USING brin" in text else "arrays" if "[]" in text else "btree"
        return _Pasted(text, shape)


class _Pasted(PostgreSQL):
    """A server that executes a text instead of its own statements."""

    def __init__(self, text: str, layout: str) -> None:
        super().__init__(layout)
        self.text = text

    def statements(self, time_unit: str) -> list[str]:
        """Return the text."""
        return [self.text]
