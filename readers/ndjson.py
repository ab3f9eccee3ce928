"""NDJSON: a line of JSON for each record, or for each series as VictoriaMetrics exports them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from squeezelab.readers._records import read_records, series_of, series_samples
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions


class Ndjson(Reader):
    """An object a line: the lab's own records, any other flat ones, or series with their values.

    Notes
    -----
    Records are a table, see `squeezelab.readers.csv.Csv`: wide, or long with ``metric_name``, ``labels``, ``timestamp``
    and ``value``. The fields of the first some megabytes of lines are the columns.
    """

    name = "ndjson"
    suffixes = (".ndjson", ".jsonl")

    def recognises(self, source: Source) -> bool:
        """Tell by the first line, whether it is an object."""
        lines = source.first_lines(1)
        return source.is_text and bool(lines) and isinstance(_parse(lines[0]), dict)

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        first = source.first_lines(1)
        if first and series_of(_parse(first[0])) is not None:
            clock = Clock.of(options)
            for records, rows in _parts(source, facts):
                yield from series_samples(records, rows, clock, facts)
            return
        yield from read_records(_parts(source, facts), source, options, facts)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _parts(source: Source, facts: FileFacts) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
    for piece in source.pieces():
        yield _objects(piece, facts)


def _objects(piece: Piece, facts: FileFacts) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the objects of lines and the numbers of these; what is none is refused."""
    records, rows = [], []
    for number, line in enumerate(text_lines(piece, facts.refuse), piece.line):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            facts.rows += 1
            facts.refuse(number, f"{clip(line)} is no JSON object: {error}")
            continue
        records.append(record)
        rows.append(number)
    return records, rows
