"""Parquet, Arrow and Feather: tables whose columns know their types."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from squeezelab.errors import DataSourceError
from squeezelab.readers import _arrow_child
from squeezelab.readers._numbers import TYPED
from squeezelab.readers._sources import Source
from squeezelab.readers._table import Batch, read_table
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.options import ReadOptions

# -P: the folder of the script has modules that are called as Python's own.
COMMAND = [sys.executable, "-P", str(Path(_arrow_child.__file__))]


class Parquet(Reader):
    """Apache Parquet, read group by group."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def recognises(self, source: Source) -> bool:
        """Tell by the magic number."""
        return source.head.startswith(b"PAR1")

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, row group after row group."""
        yield from _read("Parquet", source, options, facts)


class Arrow(Reader):
    """Arrow's own files and streams; Feather is the same."""

    name = "arrow"
    suffixes = (".arrow", ".arrows", ".feather", ".ipc")

    def recognises(self, source: Source) -> bool:
        """Tell by the magic number of a file, or the first message of a stream."""
        return source.head.startswith((b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, record batch after record batch."""
        yield from _read("Arrow", source, options, facts)


def _read(kind: str, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
    facts.place = "row"
    batches = _batches(kind, source, facts)
    schema = next(batches)
    names = json.loads(schema.metadata[b"names"])

    def numbered() -> Iterator[Batch]:
        row = 1
        for batch in batches:
            yield Batch(batch.columns, np.arange(row, row + batch.num_rows))
            row += batch.num_rows

    yield from read_table(names, numbered(), source, options, facts, keep=TYPED)


# The child process


class _Child:
    """A process that reads files, as many as there are, one after the other."""

    idle: list[_Child] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout

    @classmethod
    def take(cls) -> _Child:
        """Return one that waits, or a new one."""
        while cls.idle:
            child = cls.idle.pop()
            if child.owner == os.getpid() and child.process.poll() is None:
                return child
        return cls()

    def close(self) -> None:
        """End the process."""
        if self.owner == os.getpid():
            self.process.kill()
            for stream in (self.requests, self.answers):
                with suppress(OSError):
                    stream.close()
            self.process.wait()

    def receive(self, count: int) -> bytes:
        """Return so many bytes of an answer."""
        data = self.answers.read(count)
        if len(data) < count:
            raise EOFError
        return data


@atexit.register
def _close_all() -> None:
    while _Child.idle:
        _Child.idle.pop().close()


def _batches(kind: str, source: Source, facts: FileFacts) -> Iterator[pa.Schema | pa.RecordBatch]:
    """Yield the schema and the record batches of a file, which a child process has read and checked in full."""
    child, finished = _Child.take(), False
    request = {"path": str(source.path.resolve()), "kind": kind.lower(), "packed": source.packed}
    schema: pa.Schema | None = None
    try:
        child.requests.write(json.dumps(request).encode() + b"\n")
        child.requests.flush()
        while True:
            what, length, position = _arrow_child.HEAD.unpack(child.receive(_arrow_child.HEAD.size))
            data = child.receive(length)
            if what in b"ZE":
                finished = True
            if what == b"E":
                raise DataSourceError(f"{facts.name} is no whole {kind} file: {data.decode(errors='replace')}")
            if what == b"Z":
                return
            source.on_bytes(position)
            message = pa.py_buffer(data)
            if schema is None:
                schema = ipc.read_schema(message)
                yield schema
            else:
                yield ipc.read_record_batch(message, schema)
    except (EOFError, BrokenPipeError) as error:
        status = child.process.wait()
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        raise DataSourceError(f"{facts.name} is damaged: Arrow crashed on it with {how}") from error
    finally:
        if finished:
            _Child.idle.append(child)
        else:
            child.close()
