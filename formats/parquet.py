"""Parquet files, through pyarrow."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from squeezelab.codecs.parquet import DELTA, ENCODINGS, LEVELS, is_slow
from squeezelab.formats._table import TableFormat
from squeezelab.formats.base import Buffer
from squeezelab.registry import check_choice, check_range, non_default_settings


class Parquet(TableFormat):
    """A Parquet file of all samples.

    Parameters
    ----------
    timestamps, values : {"dictionary", "plain", "byte_stream_split", "delta"}
        Encodings of the two columns; ``delta`` is DELTA_BINARY_PACKED, for timestamps only.
    compression : {"zstd", "brotli", "gzip", "snappy", "lz4", "none"}
        What compresses the pages; snappy is pyarrow's own default.
    level : int
        Of the compression; 0 is its own default.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Parquet(timestamps="delta", values="byte_stream_split")
    >>> file.decode(file.encode(dataset)).fingerprint == dataset.fingerprint
    True
    """

    name = "parquet"
    whole_file = False
    showcase = (
        "",
        "timestamps=delta,values=byte_stream_split",
        "timestamps=delta,values=plain,level=22",
        "timestamps=delta,values=plain,compression=brotli,level=11",
    )

    def __init__(
        self, timestamps: str = "dictionary", values: str = "dictionary", compression: str = "zstd", level: int = 0
    ) -> None:
        check_choice("parquet", "timestamps", timestamps, ENCODINGS | DELTA)
        check_choice("parquet", "values", values, ENCODINGS)
        check_choice("parquet", "compression", compression, LEVELS)
        check_range(f"{compression} in parquet", "level", level, 0, LEVELS[compression])
        self.timestamps = timestamps
        self.values = values
        self.compression = compression
        self.level = level
        self.costly = is_slow(compression, level)
        self.name += non_default_settings(type(self), vars(self))
        chosen = {"timestamp": timestamps, "value": values}
        self._options: dict[str, Any] = {
            "use_dictionary": ["series", *(name for name, encoding in chosen.items() if encoding == "dictionary")],
            "column_encoding": {
                name: (ENCODINGS | DELTA)[encoding] for name, encoding in chosen.items() if encoding != "dictionary"
            },
            "compression": compression,
            "compression_level": level or None,
            "store_schema": False,
        }

    def store(self, table: pa.Table) -> Buffer:
        """Write the table."""
        file = pa.BufferOutputStream()
        pq.write_table(table, file, **self._options)
        return memoryview(file.getvalue())

    def load(self, data: bytes) -> pa.Table:
        """Read the table, on one thread."""
        return pq.read_table(pa.BufferReader(data), use_threads=False)
