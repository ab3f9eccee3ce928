"""Parquet, Arrow and Feather: tables whose columns know their types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import feather, ipc, parquet

from squeezelab.errors import DataSourceError
from squeezelab.readers._sources import Source
from squeezelab.readers._table import Batch, read_table
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.options import ReadOptions

BATCH_ROWS = 2**18


class Parquet(Reader):
    """Apache Parquet, read group by group."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def recognises(self, source: Source) -> bool:
        """Tell by the magic number."""
        return source.head.startswith(b"PAR1")

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, row group after row group."""
        with _seekable(source) as file, _explaining(facts, "Parquet"):
            table = parquet.ParquetFile(file)
            batches = table.iter_batches(batch_size=BATCH_ROWS)
            yield from _read(table.schema_arrow, batches, file, source, options, facts)


class Arrow(Reader):
    """Arrow's own files and streams; Feather is the same."""

    name = "arrow"
    suffixes = (".arrow", ".arrows", ".feather", ".ipc")

    def recognises(self, source: Source) -> bool:
        """Tell by the magic number of a file, or the first message of a stream."""
        return source.head.startswith((b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, record batch after record batch."""
        with _seekable(source) as file, _explaining(facts, "Arrow"):
            schema, batches = _open_arrow(source, file)
            yield from _read(schema, batches, file, source, options, facts)


def _open_arrow(source: Source, file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if source.head.startswith(b"FEA1"):
        table = feather.read_table(file)
        return table.schema, iter(table.to_batches())
    if source.head.startswith(b"ARROW1"):
        reader = ipc.open_file(file)
        return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
    stream = ipc.open_stream(file)
    return stream.schema, iter(stream)


@contextmanager
def _seekable(source: Source) -> Iterator[Any]:
    """Open a file that can be read from anywhere; a compressed one is unpacked in memory."""
    if source.packed:
        with source.open() as file:
            yield pa.BufferReader(file.read())
    else:
        with pa.OSFile(str(source.path)) as file:
            yield file


@contextmanager
def _explaining(facts: FileFacts, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataSourceError(f"{facts.name} is no whole {kind} file: {str(error).splitlines()[0]}") from error


def _read(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    file: Any,
    source: Source,
    options: ReadOptions,
    facts: FileFacts,
) -> Iterator[Samples]:
    facts.place = "row"
    names = [name for field in schema for name, _ in _plain(field.name, pa.array([], field.type))]

    def numbered() -> Iterator[Batch]:
        row = 1
        for batch in batches:
            columns = [
                column for name, raw in zip(schema.names, batch.columns, strict=True) for _, column in _plain(name, raw)
            ]
            yield Batch(columns, np.arange(row, row + batch.num_rows))
            row += batch.num_rows
            if not source.packed:
                source.on_bytes(file.tell())

    yield from read_table(names, numbered(), source, options, facts)


def _plain(name: str, column: Any) -> Iterator[tuple[str, pa.Array]]:
    """Yield a column as plain ones: dictionaries as what they stand for, the fields of a struct one by one."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _plain(name, column.dictionary_decode())
    elif pa.types.is_struct(kind):
        for field, child in zip(kind, column.flatten(), strict=True):
            yield from _plain(field.name, child)
    elif pa.types.is_map(kind):
        rows = (None if row is None else json.dumps(dict(row)) for row in column.to_pylist())
        yield name, pa.array(rows, pa.string())
    elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield name, column.cast(pa.string())
    else:
        yield name, column
