"""DuckDB database files, through DuckDB's own package."""

from __future__ import annotations

import pyarrow as pa

from squeezelab.formats._table import TableFormat, workplace
from squeezelab.registry import check_choice, non_default_settings

COMPRESSIONS = ("auto", "uncompressed", "rle", "bitpacking", "dictionary", "alp", "alprd", "zstd")
BLOCKS = ("16384", "262144")


class DuckDB(TableFormat):
    """A DuckDB database file of one table.

    Parameters
    ----------
    compression : {"auto", "uncompressed", "rle", "bitpacking", "dictionary", "alp", "alprd", "zstd"}
        ``auto`` chooses for each column segment by its size, as DuckDB itself; another is forced where it fits the
        column's type. (Chimp and Patas, which older releases wrote, are no longer written.)
    block_size : {"16384", "262144"}
        The bytes that a file grows by; 262144 as DuckDB itself.

    Notes
    -----
    A file grows by whole blocks: below a million samples or so they count for more than the compression does. DuckDB
    runs on one thread. Source: https://duckdb.org/docs/stable/internals/storage; A Afroozeh et al.: ALP: Adaptive
    Lossless floating-Point Compression, SIGMOD 2024.
    """

    name = "duckdb"
    package = "duckdb"
    showcase = ("", "block_size=16384")
    repeatable = False  # each database has a number of its own

    def __init__(self, compression: str = "auto", block_size: str = BLOCKS[-1]) -> None:
        check_choice("duckdb", "compression", compression, COMPRESSIONS)
        check_choice("duckdb", "block_size", block_size, BLOCKS)
        self.compression = compression
        self.block_size = block_size
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Make a database file, and write the table into it."""
        import duckdb

        with workplace() as folder:
            path = folder / "samples.duckdb"
            with duckdb.connect(config={"threads": 1}) as connection:
                connection.execute(f"ATTACH '{path}' AS lab (BLOCK_SIZE {self.block_size})")
                connection.execute(f"SET force_compression = '{self.compression}'")
                connection.register("given", table)
                connection.execute("CREATE TABLE lab.samples AS SELECT * FROM given")
                connection.execute("CHECKPOINT lab")
                connection.execute("DETACH lab")
            return path.read_bytes()

    def load(self, data: bytes) -> pa.Table:
        """Open the database file, and read the table."""
        import duckdb

        with workplace() as folder:
            path = folder / "samples.duckdb"
            path.write_bytes(data)
            with duckdb.connect(config={"threads": 1}) as connection:
                connection.execute(f"ATTACH '{path}' AS lab (READ_ONLY)")
                return connection.sql("SELECT * FROM lab.samples").to_arrow_table()
