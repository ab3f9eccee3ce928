"""NDJSON: a line of JSON for each record, or for each series as VictoriaMetrics exports them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.readers._json_lines import Shape
from squeezelab.readers._records import Columns, columns_of, read_columns, series_of, series_samples
from squeezelab.readers._sources import NEWLINE, Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions

_BLANK = tuple(b"\n" + blank for blank in (b"\n", b"\r", b" ", b"\t"))


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
            for piece in source.pieces():
                yield from series_samples(*_objects(piece, facts), clock, facts)
            return
        shape = Shape()
        yield from read_columns((_columns(piece, shape, facts) for piece in source.pieces()), source, options, facts)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _columns(piece: Piece, shape: Shape, facts: FileFacts) -> Columns:
    """Return the columns of lines, at once where they have the shape of those before them."""
    lines = _rows(piece)
    if not shape.kinds:
        shape.learn_from(piece.text)
    found = shape.read(piece.text, len(lines))
    if found is None:
        shape.learn_from(piece.text, labels=True)
        found = shape.read(piece.text, len(lines))
    if found is not None:
        return Columns(*found, lines)
    records, rows = _objects(piece, facts)
    shape.learn(records)
    return columns_of(records, rows, facts)


def _rows(piece: Piece) -> npt.NDArray[np.int64]:
    """Return the numbers of the lines that are not blank."""
    text = piece.text
    if text[:1].strip() and not any(blank in text for blank in _BLANK):
        return np.arange(piece.line, piece.line + text.count(NEWLINE) + (not text.endswith(NEWLINE)))
    return piece.line + np.flatnonzero(np.array([bool(line.strip()) for line in text.split(NEWLINE)]))


def _objects(piece: Piece, facts: FileFacts) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the objects of lines and the numbers of these; what is none is rejected."""
    records, rows = [], []
    for number, line in enumerate(text_lines(piece, facts.reject), piece.line):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            facts.rows += 1
            facts.reject(number, f"{clip(line)} is no JSON object: {error}")
            continue
        records.append(record)
        rows.append(number)
    return records, rows
