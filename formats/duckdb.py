"""DuckDB database files, through DuckDB's own package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import UNITS_PER_SECOND, VALUE_DTYPES, MetricDataset, Series, to_words
from squeezelab.errors import SqueezelabError
from squeezelab.formats._engine import EngineFile, EngineReader
from squeezelab.formats._long import (
    NAME,
    TIME,
    about,
    find_series,
    key_columns,
    read_values,
    titles_of,
    value_columns,
    values_after_time,
    values_of_one,
)
from squeezelab.registry import check_choice, non_default_settings

COMPRESSIONS = ("auto", "uncompressed", "rle", "bitpacking", "dictionary", "alp", "alprd", "zstd")
BLOCKS = ("16384", "262144")


TYPES = {"s": "TIMESTAMP_S", "ms": "TIMESTAMP_MS", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}
ROW_GROUP = 122_880
"""Rows that DuckDB compresses at a time."""
LAST_DATE = 9_000_000_000
"""In seconds; for times before 1970 or after this there is no literal that all units have."""
FITTING = r"[^\0]+"


class DuckDB(EngineFile):
    """A DuckDB database file of one table, ``samples``: metric name, a column a label, timestamp and value.

    Parameters
    ----------
    compression : {"auto", "uncompressed", "rle", "bitpacking", "dictionary", "alp", "alprd", "zstd"}
        ``auto`` chooses for each column segment by its size, as DuckDB itself; another is forced where it fits the
        column's type. (Chimp and Patas, which older releases wrote, are no longer written.)
    block_size : {"16384", "262144"}
        The bytes that a file grows by; 262144 as DuckDB itself.

    Notes
    -----
    Name and labels are ENUMs, null where a series lacks a label; labels that DuckDB cannot tell from another column
    have ``label_`` before their names. Timestamps have the data set's unit, and rows stand series after series. Values
    are DOUBLE, BIGINT or FLOAT, in a column each where series have several, null in the others. There is no index:
    DuckDB finds a series by runs of equal names, and by the least and largest of each row group. The table's comment
    tells the unit, what labels are called, and series without samples, as JSON. Blocks have DuckDB's own checksums
    beside that of the file, which is no longer right once something is changed in the database.

    A file grows by whole blocks: below a million samples or so they count for more than the compression does. DuckDB
    runs on one thread. Source: https://duckdb.org/docs/stable/internals/storage; A Afroozeh et al.: ALP: Adaptive
    Lossless floating-Point Compression, SIGMOD 2024.
    """

    name = "duckdb"
    suffix = ".duckdb"
    package = "duckdb"
    showcase = ("", "block_size=16384")
    dtypes = VALUE_DTYPES
    repeatable = False  # each database has a number of its own

    def __init__(self, compression: str = "auto", block_size: str = BLOCKS[-1]) -> None:
        check_choice("duckdb", "compression", compression, COMPRESSIONS)
        check_choice("duckdb", "block_size", block_size, BLOCKS)
        self.compression = compression
        self.block_size = block_size
        self.name += non_default_settings(type(self), vars(self))

    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Make a database file, and write the table into it."""
        import duckdb

        values = value_columns(list(dataset), dataset.value_dtypes)
        for column in values.values():
            _check_nans(column)
        titles = titles_of(dataset.keys, FITTING, str.casefold, values)
        columns = key_columns(dataset.keys, np.diff(dataset.offsets), titles)
        times = pa.array(dataset.timestamps).cast(pa.timestamp(dataset.time_unit))
        given = pa.table(columns | {TIME: times} | values)  # noqa: F841 -- DuckDB finds it by its name
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute(f"ATTACH '{path}' AS lab (BLOCK_SIZE {self.block_size})")
            connection.execute("USE lab")
            connection.execute(f"SET force_compression = '{self.compression}'")
            texts = {title: column.dictionary for title, column in columns.items() if len(column.dictionary)}
            for title, words in texts.items():
                words = pa.table({"word": words})
                connection.execute(f"CREATE TYPE {quoted(f'enum_{title}')} AS ENUM (SELECT word FROM words)")
            kinds = {title: quoted(f"enum_{title}") if title in texts else "VARCHAR" for title in columns}
            selected = [f"{quoted(title)}::{kind} AS {quoted(title)}" for title, kind in kinds.items()]
            connection.execute(f"CREATE TABLE samples AS SELECT {', '.join([*selected, TIME, *values])} FROM given")
            connection.execute(f"COMMENT ON TABLE samples IS {literal(about(dataset, titles))}")
            connection.execute("CHECKPOINT lab")
            connection.execute("USE memory")
            connection.execute("DETACH lab")

    def reader(self, path: Path) -> EngineReader:
        """Open the database file, to be read."""
        return DuckDBReader(path)


def _check_nans(column: pa.Array) -> None:
    """Reject NaNs whose bits would not come back: DuckDB keeps but one NaN of a row group that has nothing else.

    Raises
    ------
    SqueezelabError
        If there are such.
    """
    for first in range(0, len(column) if pa.types.is_floating(column.type) else 0, ROW_GROUP):
        values = column.slice(first, ROW_GROUP).drop_null().to_numpy()
        if np.isnan(values).all() and np.any(to_words(values) != to_words(np.full(1, np.nan, values.dtype))):
            raise SqueezelabError("DuckDB does not keep the bits of NaNs where nothing else is near: leave it out")


class DuckDBReader(EngineReader):
    """A database file that is open; samples are queried by their series' name and labels, and by time.

    Which series there are is asked when it is opened.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        self._connection = duckdb.connect(path, read_only=True, config={"threads": 1})
        comment = "SELECT comment FROM duckdb_tables() WHERE table_name = 'samples'"
        self._told = json.loads(self._connection.sql(comment).fetchall()[0][0])
        names = self._connection.sql("FROM samples").columns
        self._values = values_after_time(names)
        self._titles = names[: names.index(TIME)]
        keys = self._connection.sql(f"SELECT {', '.join(map(quoted, self._titles))} FROM samples").to_arrow_table()
        self.keys, self._offsets = find_series(keys, self._told)

    def read_all(self) -> MetricDataset:
        """Query all samples, in the order in which they were stored."""
        times, table = self._query()
        values, dtypes = read_values(table, self._offsets, self._told)
        return MetricDataset(self.keys, self._offsets, times, values, self._told["time_unit"], dtypes)

    def read_series(self, number: int) -> Series:
        """Query the samples of a series."""
        return self._read(number)

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Query the samples of a series from one time up to another."""
        unit = self._told["time_unit"]
        if not 0 <= start <= end < LAST_DATE * UNITS_PER_SECOND[unit]:
            return super().read_between(number, start, end)
        first, last = (f"CAST('{np.datetime64(moment, unit)}' AS {TYPES[unit]})" for moment in (start, end))
        found = self._read(number, f"{TIME} >= {first}", f"{TIME} < {last}")
        return found if found.values.size else super().read_between(number, start, end)  # no row tells the type

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _read(self, number: int, *conditions: str) -> Series:
        key = self.keys[number]
        labels = {self._told["labels"].get(title, title): title for title in self._titles[1:]}
        wanted = {NAME: key.metric_name} | {title: key.labels.get(name) for name, title in labels.items()}
        conditions += tuple(
            f"{quoted(title)} " + ("IS NULL" if text is None else f"= {literal(text)}")
            for title, text in wanted.items()
        )
        times, table = self._query(f"WHERE {' AND '.join(conditions)}")
        return Series(key, times, values_of_one(table, number, self._told))

    def _query(self, where: str = "") -> tuple[npt.NDArray[np.int64], pa.Table]:
        """Return timestamps of some rows, and the columns of their values."""
        query = f"SELECT {', '.join([TIME, *self._values])} FROM samples {where}"
        table = self._connection.sql(query).to_arrow_table()
        return table[TIME].cast(pa.int64()).to_numpy(), table.select(self._values)


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
