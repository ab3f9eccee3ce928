"""What a child process does: read Parquet and Arrow files, check them in full, and hand on plain record batches.

It is run as a script, so that it imports pyarrow and no more. A file whose damage crashes Arrow ends this process only.
"""

import json
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyarrow import feather, ipc, parquet

BATCH_ROWS = 2**18
HEAD = struct.Struct("<cqq")
"""What stands before each answer: its kind, its length, and the position in the file.

S: a schema; B: a record batch; E: an error, in one line; Z: the end.
"""


def main() -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        try:
            for kind, data, position in _read(**json.loads(line)):
                out.write(HEAD.pack(kind, len(data), position))
                out.write(data)
            out.write(HEAD.pack(b"Z", 0, 0))
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].encode("utf-8", "replace")
            out.write(HEAD.pack(b"E", len(reason), 0) + reason)
        out.flush()


def _read(path: str, kind: str, packed: str) -> Iterator[tuple[bytes, Any, int]]:
    """Yield the schema and the batches of a file, without dictionaries, structs and maps."""
    with _seekable(path, packed) as file:
        schema, batches = _open_parquet(file) if kind == "parquet" else _open_arrow(file)
        names = [name for field in schema for name, _ in _plain(field.name, pa.array([], field.type))]
        kinds = [column.type for field in schema for _, column in _plain(field.name, pa.array([], field.type))]
        plain = pa.schema([pa.field(str(i), one) for i, one in enumerate(kinds)], {"names": json.dumps(names)})
        yield b"S", plain.serialize(), 0
        for batch in batches:
            batch.validate(full=True)
            pairs = zip(schema.names, batch.columns, strict=True)
            columns = [column for name, raw in pairs for _, column in _plain(name, raw)]
            yield b"B", pa.record_batch(columns, plain).serialize(), 0 if packed else file.tell()


@contextmanager
def _seekable(path: str, packed: str) -> Iterator[Any]:
    """Open a file that can be read from anywhere; a compressed one is unpacked in memory."""
    if packed:
        with pa.input_stream(path, compression=packed) as file:
            yield pa.BufferReader(file.read())
    else:
        with pa.OSFile(path) as file:
            yield file


def _open_parquet(file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    table = parquet.ParquetFile(file)
    return table.schema_arrow, table.iter_batches(batch_size=BATCH_ROWS)


def _open_arrow(file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"FEA1"):
        table = feather.read_table(file)
        return table.schema, iter(table.to_batches())
    if head.startswith(b"ARROW1"):
        reader = ipc.open_file(file)
        return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))
    stream = ipc.open_stream(file)
    return stream.schema, iter(stream)


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


if __name__ == "__main__":
    main()
