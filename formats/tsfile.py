"""TsFile, Apache IoTDB's file, through TsFile's own package."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from squeezelab.formats._table import SCHEMA, TableFormat, rises
from squeezelab.registry import check_choice, non_default_settings
from squeezelab.store.workplace import MEMORY, workplace

ENCODINGS = ("gorilla", "ts_2diff", "chimp", "sprintz", "plain")
COMPRESSIONS = ("lz4", "zstd", "lzma2", "gzip", "snappy", "uncompressed")
ROWS_A_BLOCK = 65536


class TsFile(TableFormat):
    """A TsFile of one table: the series is a tag, timestamps are its time, and the value is a field.

    Parameters
    ----------
    encoding : {"gorilla", "ts_2diff", "chimp", "sprintz", "plain"}
        Of the values; ``gorilla`` as TsFile itself. Timestamps are encoded as ``ts_2diff``, which is its own choice.
        ``ts_2diff`` and ``sprintz`` lose bits of some doubles, and are shown as lossy where they do.
    compression : {"lz4", "zstd", "lzma2", "gzip", "snappy", "uncompressed"}
        What compresses the pages; ``lz4`` as TsFile itself.

    Notes
    -----
    TsFile wants timestamps that rise. Where those of a series do not, rows are numbered in place of it, and timestamps
    become another field. Source: X Zhao et al.: Apache TsFile: An IoT-native Time Series File Format, VLDB 2024.
    """

    name = "tsfile"
    package = "tsfile"
    repeatable = False  # small files came out at two sizes, from one write to the next
    showcase = ("", "encoding=plain,compression=lzma2")

    def __init__(self, encoding: str = "gorilla", compression: str = "lz4") -> None:
        check_choice("tsfile", "encoding", encoding, ENCODINGS)
        check_choice("tsfile", "compression", compression, COMPRESSIONS)
        self.encoding = encoding
        self.compression = compression
        self.costly = compression == "lzma2"
        self.name += non_default_settings(type(self), vars(self))

    def store(self, table: pa.Table) -> bytes:
        """Write the file, all rows in one batch."""
        import tsfile
        from tsfile import ColumnCategory, ColumnSchema, TSDataType

        if not table.num_rows:
            return b""
        compressor = getattr(tsfile.Compressor, self.compression.upper())
        tsfile.set_tsfile_config(
            {
                "double_encoding_type_": getattr(tsfile.TSEncoding, self.encoding.upper()),
                "time_encoding_type_": tsfile.TSEncoding.TS_2DIFF,
                "int64_encoding_type_": tsfile.TSEncoding.TS_2DIFF,
                "default_compression_type_": compressor,
                "time_compress_type_": compressor,
            }
        )
        columns = [
            ColumnSchema("series", TSDataType.STRING, ColumnCategory.TAG),
            ColumnSchema("value", TSDataType.DOUBLE, ColumnCategory.FIELD),
        ]
        time = table["timestamp"]
        arrays = {"series": _as_tags(table["series"]), "value": table["value"]}
        if not rises(table):
            columns.append(ColumnSchema("timestamp", TSDataType.INT64, ColumnCategory.FIELD))
            arrays["timestamp"] = time
            time = pa.array(np.arange(table.num_rows))
        with workplace(MEMORY) as folder:
            path = folder / "samples.tsfile"
            writer = tsfile.TsFileTableWriter(str(path), tsfile.TableSchema("samples", columns))
            (batch,) = pa.table({"time": time, **arrays}).combine_chunks().to_batches()
            writer.write_arrow_batch(batch)
            writer.writer.close()
            return path.read_bytes()

    def load(self, data: bytes) -> pa.Table:
        """Query all rows."""
        import tsfile

        if not data:
            return SCHEMA.empty_table()
        with workplace(MEMORY) as folder:
            path = folder / "samples.tsfile"
            path.write_bytes(data)
            reader = tsfile.TsFileReader(str(path))
            try:
                fields = [one.get_column_name() for one in reader.get_table_schema("samples").get_columns()]
                rows = reader.query_table("samples", fields, -(2**63), 2**63 - 1, batch_size=ROWS_A_BLOCK)
                table = pa.concat_tables(iter(rows.read_arrow_batch, None))
                rows.close()
            finally:
                reader.close()
        time = "timestamp" if "timestamp" in table.column_names else "time"
        return pa.table([pc.cast(table["series"], pa.uint32()), table[time], table["value"]], schema=SCHEMA)


def _as_tags(series: pa.ChunkedArray) -> pa.Array:
    """Return numbers as strings that sort as they do: TsFile sorts devices by name."""
    numbers = series.to_numpy()
    names = np.char.zfill(np.arange(int(numbers[-1]) + 1).astype(str), len(str(numbers[-1])))
    return pa.array(names[numbers])
