"""PostgreSQL: the tables and indexes that metrics are kept in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from squeezelab.advice.base import Setting, Workshop
from squeezelab.advice.engine import EngineSystem, EngineWorkshop
from squeezelab.advice.layout import Layout
from squeezelab.dataset import VALUE_DTYPES, MetricDataset
from squeezelab.engines.postgresql import TYPES, PostgreSQL

PACKING = """
-- Rows go in here, as they come, and wait until CALL pack().
CREATE TABLE incoming (series integer NOT NULL, ts {ts} NOT NULL, value {value} NOT NULL);

CREATE PROCEDURE pack() LANGUAGE sql AS $$
    WITH packed AS (DELETE FROM incoming RETURNING series, {start} AS start, ts, value)
    INSERT INTO samples
    SELECT series, start, array_agg(ts ORDER BY ts), array_agg(value ORDER BY ts)
    FROM packed GROUP BY series, start ORDER BY series, start;
$$;

-- Rows as they were.
CREATE VIEW unpacked AS
SELECT series, one.ts, one.value FROM samples, unnest(times, readings) AS one (ts, value);
"""
"""What arrays need besides their table: a row is an hour or a day of a series."""
VALUE = r"\bvalue {} NOT NULL"
"""How a text tells the type of values."""
NANOSECONDS = {"hour": 3600 * 10**9, "day": 24 * 3600 * 10**9}


class AdvisedPostgreSQL(EngineSystem):
    """PostgreSQL: CREATE TABLE and CREATE INDEX; for arrays the procedure that packs, and the view that unpacks.

    Notes
    -----
    Rows with a btree index are the default; a BRIN index of time is small, and reads more to find a series; arrays of
    an hour or a day of a series are compressed (TOAST), at the price of packing them.
    Sources: https://www.postgresql.org/docs/current/brin.html, https://www.postgresql.org/docs/current/storage-toast.html
    """

    name = "postgresql"
    title = "PostgreSQL"
    engine = PostgreSQL
    dtypes = VALUE_DTYPES
    several = False  # its table has a column of values
    file = "postgresql.sql"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "samples as": (
            "",
            "arrays of a day",
            "arrays of an hour",
            "rows with BRIN",
            "arrays of a day with lz4",
            "arrays of an hour with lz4",
        ),
    }

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return PostgreSQLWorkshop

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the statements that make tables and indexes."""
        chosen = setting.options["samples as"]
        shape = {"": "btree", "rows with BRIN": "brin"}.get(chosen, "arrays")
        compression = "lz4" if chosen.endswith("lz4") else "pglz"
        server = PostgreSQL(shape, compression)
        (readings,) = layout.tables[-1].of_kind("value")
        server.dtype = layout.tables[-1].dtype(readings.name)
        statements = server.statements(layout.time_unit)
        text = "".join(f"{one};\n" for one in statements)
        if shape != "arrays":
            return text
        fine, span = layout.time_unit == "ns", "day" if "day" in chosen else "hour"
        count = NANOSECONDS[span]
        start = f"ts - (ts % {count} + {count}) % {count}" if fine else f"date_trunc('{span}', ts, 'UTC')"
        value, _ = TYPES[server.dtype.str[1:]]
        return text + PACKING.format(ts="bigint" if fine else "timestamptz", value=value, start=start)


class PostgreSQLWorkshop(EngineWorkshop):
    """A server that makes its tables by the text."""

    def make(self, text: str) -> PostgreSQL:
        """Return a server for tables of the shape that the text gives them."""
        shape = "brin" if "USING brin" in text else "arrays" if "[]" in text else "btree"
        return _Pasted(text, shape, 24 if "'day'" in text or str(NANOSECONDS["day"]) in text else 1)


class _Pasted(PostgreSQL):
    """A server that executes a text instead of its own statements."""

    def __init__(self, text: str, layout: str, hours: int) -> None:
        super().__init__(layout, hours=hours)
        self.text = text

    def statements(self, time_unit: str) -> list[str]:
        """Return the text."""
        return [self.text]

    def start(self, folder: Path, time_unit: str) -> None:
        """Start the server, and execute the text, which tells the type of values."""
        told = (code for code, (name, _) in TYPES.items() if re.search(VALUE.format(name), self.text))
        self.dtype = np.dtype(next(told, "f8"))
        super().start(folder, time_unit)

    def ingest(self, dataset: MetricDataset) -> None:
        """Copy rows in as they come; of arrays, into the text's table, and have its procedure pack them."""
        if self.layout != "arrays":
            return super().ingest(dataset)
        numbers = self.copy_series(dataset)
        self.copy("incoming", self.rows(dataset, numbers))
        self.connection.execute("CALL pack()")
        self.connection.execute("VACUUM FULL incoming")
