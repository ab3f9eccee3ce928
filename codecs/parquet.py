"""Parquet's encodings, through pyarrow: one column a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from squeezelab.codecs._frame import FLOAT32, FLOAT64, INT64, Bytes, Frame
from squeezelab.codecs.base import Column, ColumnCodec, as_bytes, reading
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_choice, check_range

ENCODINGS = {"dictionary": None, "plain": "PLAIN", "byte_stream_split": "BYTE_STREAM_SPLIT"}
DELTA = {"delta": "DELTA_BINARY_PACKED"}
SCALED = {"scaled_delta": "DELTA_BINARY_PACKED"}
MOST_PLACES = 15
PLACES = [str(places) for places in range(MOST_PLACES + 1)]
EXACT = 2.0**53
LEVELS = {"zstd": 22, "brotli": 11, "gzip": 9, "snappy": 0, "lz4": 0, "none": 0}
"""The strongest level of each compression; 0 where there are none to choose from."""


class Parquet(ColumnCodec):
    """Parquet: an encoding of a column's numbers, then a general codec.

    Parameters
    ----------
    encoding : {"dictionary", "plain", "byte_stream_split", "delta", "scaled_delta"}
        ``dictionary`` falls back to plain where it grows too large, as Parquet writers do by default; ``delta`` is
        DELTA_BINARY_PACKED, for integers only; ``scaled_delta`` is that of decimals times a power of ten, which the
        column's name tells, where all come back, and else plain numbers.
    compression : {"zstd", "brotli", "gzip", "snappy", "lz4", "none"}
        What compresses the pages.
    level : int
        Of the compression; 0 is its own default.

    Notes
    -----
    The payload is a whole Parquet file of one column, without statistics and the schema of Arrow, which it does not
    need: for a column of 1,000 values its footer still weighs. ALP, which Parquet is about to have, neither pyarrow 26
    nor DuckDB 2.0 writes. `squeezelab.formats` has Parquet for whole data sets. Source:
    https://parquet.apache.org/docs/file-format/data-pages/encodings/

    Examples
    --------
    >>> import numpy as np
    >>> codec = Parquet(encoding="delta")
    >>> codec.decode(codec.encode(np.arange(5)))
    array([0, 1, 2, 3, 4])
    """

    name = "parquet"
    kind = "peers"
    showcase = ("", "encoding=delta", "encoding=byte_stream_split", "encoding=scaled_delta", "encoding=plain,level=22")
    # Runs of one dictionary entry take a few bytes, whatever their length, and pages are compressed after that.
    max_expansion = 2**26

    def __init__(self, encoding: str = "dictionary", compression: str = "zstd", level: int = 0) -> None:
        check_choice("parquet", "encoding", encoding, ENCODINGS | DELTA | SCALED)
        check_choice("parquet", "compression", compression, LEVELS)
        check_range(f"{compression} in parquet", "level", level, 0, LEVELS[compression])
        self.encoding = encoding
        self.compression = compression
        self.level = level
        self.dtypes = (INT64,) if encoding in DELTA else (INT64, FLOAT64, FLOAT32)
        self._options: dict[str, Any] = {
            "use_dictionary": encoding == "dictionary",
            "column_encoding": (ENCODINGS | DELTA | SCALED)[encoding],
            "compression": compression,
            "compression_level": level or None,
            "write_statistics": False,
            "store_schema": False,
        }

    def get_config(self) -> dict[str, Any]:
        """Return the configuration as numcodecs keeps it."""
        return {
            "id": self.codec_id,
            "encoding": self.encoding,
            "compression": self.compression,
            "level": self.level,
        }

    def pack(self, column: Column) -> Bytes:
        """Write a file of one column."""
        file, options, places = pa.BufferOutputStream(), self._options, None
        if self.encoding in SCALED and column.dtype.kind == "f":
            places = _decimal_places(column)
            if places is None:
                options = options | {"column_encoding": "PLAIN"}
            else:
                column = _to_integers(column, places).astype(np.int64)
        pq.write_table(pa.table({"" if places is None else str(places): column}), file, **options)
        return as_bytes(file.getvalue())

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Read the file's only column."""
        with reading("Parquet"):
            file = pq.ParquetFile(pa.BufferReader(data[frame.start : frame.stop]))
            kinds, (name, *others) = file.schema_arrow.types, file.schema_arrow.names
            scaled = column.dtype.kind == "f" and name in PLACES
            kind = pa.int64() if scaled else pa.from_numpy_dtype(column.dtype)
            if file.metadata.num_rows != column.size or others or kinds != [kind]:
                raise CorruptDataError("the Parquet file holds another column than promised: it is damaged")
            (values,) = file.read(use_threads=False).columns
            if values.null_count:
                raise CorruptDataError("the Parquet file lacks values: it is damaged")
            column[:] = values.to_numpy() / 10.0 ** int(name) if scaled else values.to_numpy()


def _to_integers(column: Column, places: int) -> Column:
    """Return the nearest integers to decimals times a power of ten, as doubles."""
    integers: Column = np.rint(column.astype(FLOAT64, copy=False) * 10.0**places)
    return integers


def _decimal_places(column: Column) -> int | None:
    """Return the fewest decimal places with which all values come back from integers, None if there are none."""
    with np.errstate(all="ignore"):
        for places in range(MOST_PLACES + 1):
            numbers = _to_integers(column, places)
            if not np.all(np.abs(numbers) < EXACT):
                return None
            if (numbers.astype(np.int64) / 10.0**places).astype(column.dtype).tobytes() == column.tobytes():
                return places
    return None
