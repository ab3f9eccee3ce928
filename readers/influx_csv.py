"""InfluxDB's annotated CSV: what ``influx query --raw`` and the API of version 2 answer with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import LARGE, ROUNDED, to_numbers
from squeezelab.readers._sources import Piece, Source
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.csv import cells_of, parse_rows
from squeezelab.readers.influx import series_name
from squeezelab.readers.options import ReadOptions
from squeezelab.store.rows import group_rows

ANNOTATIONS = ("#datatype", "#group", "#default")
TIME, VALUE, FIELD, MEASUREMENT = "_time", "_value", "_field", "_measurement"
OWN = ("", "result", "table", "_start", "_stop", TIME, VALUE, FIELD, MEASUREMENT)
"""Columns that are no labels."""
NUMERIC = ("double", "long", "unsignedLong", "boolean")
_BETWEEN = re.compile(rb"^(?:#[^\n]*|[,\r]*)\n", re.MULTILINE)
"""A line between rows: an annotation, or a blank one, which ends a table."""


class InfluxCsv(Reader):
    """Tables with a header each, and before it annotations: the types of the columns, and which of them are labels.

    Notes
    -----
    Series are called as in line protocol, see `squeezelab.readers.influx.Influx`. After ``pivot()`` each column of
    numbers is a field. Texts are left out; so are tables without ``_time``, which have one value a series.

    References
    ----------
    InfluxData, Annotated CSV.
    """

    name = "influx-csv"
    suffixes = ()

    def recognises(self, source: Source) -> bool:
        """Tell by an annotation, or a header that begins with the columns of a result."""
        begins = [*ANNOTATIONS, ",result,table", "error,reference"]
        return source.is_text and any(line.startswith(tuple(begins)) for line in source.first_lines(4))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        clock, table = Clock.of(options), _Table()
        for piece in source.pieces():
            for part in _parts(piece):
                if part.text[:1] in (b"#", b"\r", b"\n") or not part.text.strip(b",\r\n"):
                    table = table.after(part.text.decode(errors="replace").strip())
                    continue
                rows = part if table.names else table.begin(part)
                if rows.text:
                    yield from _samples(table, rows, clock, facts)


@dataclass
class _Table:
    """What annotations and the header tell; empty before them."""

    notes: dict[str, list[str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def after(self, line: str) -> _Table:
        """Return what a line between rows makes of it: the next table, if this one has a header."""
        table = _Table() if self.names else self
        if line.startswith("#"):
            name, *cells = cells_of(line, ",")
            table.notes[name] = cells
        return table

    def begin(self, piece: Piece) -> Piece:
        """Take the header, and return the rows after it."""
        header, _, rest = piece.text.partition(b"\n")
        self.names = cells_of(header.decode(errors="replace").strip(), ",")
        return Piece(piece.line + 1, rest)

    def note(self, annotation: str, column: str) -> str:
        """Return what an annotation says of a column, nothing where it lacks."""
        cells = self.notes.get(annotation, [])
        place = self.names.index(column) - 1  # the first column has the annotation's own name
        return cells[place] if 0 <= place < len(cells) else ""

    @property
    def labels(self) -> list[str]:
        """Columns that tell series apart."""
        others = [name for name in dict.fromkeys(self.names) if name not in OWN]
        if "#group" in self.notes:
            return [name for name in others if self.note("#group", name) == "true"]
        return [name for name in others if self.note("#datatype", name) in ("", "string")]

    @property
    def values(self) -> list[str]:
        """Columns of numbers: the one that is called so, or after ``pivot()`` any."""
        if VALUE in self.names:
            return [VALUE]
        labels = self.labels
        return [name for name in self.names if name not in (*OWN, *labels) and self._is_number(name)]

    def _is_number(self, name: str) -> bool:
        return self.note("#datatype", name) in NUMERIC


def _parts(piece: Piece) -> Iterator[Piece]:
    """Yield lines between rows one by one, and runs of rows whole."""
    at, line = 0, piece.line
    for found in _BETWEEN.finditer(piece.text):
        for stop in (found.start(), found.end()):
            if stop > at:
                yield Piece(line, piece.text[at:stop])
                line += piece.text.count(b"\n", at, stop)
                at = stop
    if at < len(piece.text):
        yield Piece(line, piece.text[at:])


def _samples(table: _Table, piece: Piece, clock: Clock, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of some rows, a column of values after the other."""
    batch = parse_rows(piece, len(table.names), ",", facts)
    facts.rows += len(batch.rows)
    columns = {
        name: _filled(column, table.note("#default", name))
        for name, column in zip(table.names, batch.columns, strict=True)
    }
    if "error" in columns and TIME not in columns:
        reason = next((cell for cell in columns["error"].to_pylist() if cell), "it does not say why")
        raise DataSourceError(f"{facts.name} is an answer without data: {reason}")
    if TIME not in columns:
        facts.count(f"rows without {TIME} were left out, such as aggregate() gives: {{}}", len(batch.rows))
        return
    times = clock.read(columns[TIME])
    facts.time = f"column {TIME!r}, {clock.form}"
    for i in np.flatnonzero(~times.present).tolist():
        facts.reject(int(batch.rows[i]), f"{clip(str(columns[TIME][i].as_py()))} in {TIME!r} is no time")
    told = [name for name in (MEASUREMENT, FIELD, *table.labels) if name in columns]
    series, firsts = group_rows([columns[name] for name in told], len(batch.rows))
    groups = list(zip(*(columns[name].take(pa.array(firsts)).to_pylist() for name in told), strict=True)) or [()] * len(
        firsts
    )
    for name in table.values:
        if table.note("#datatype", name) == "string":
            some = next(iter(columns[name].to_pylist()), "")
            facts.say(f"texts in {name!r} were left out, such as {clip(str(some))}")
            continue
        numbers = to_numbers(columns[name], keep=LARGE)
        if numbers.rounded:
            facts.count(ROUNDED, numbers.rounded)
        for i in np.flatnonzero(numbers.bad & times.present).tolist():
            facts.reject(int(batch.rows[i]), f"{clip(columns[name][i].as_py())} in {name!r} is no number")
        keys = [_key(dict(zip(told, cells, strict=True)), name) for cells in groups]
        kept = np.flatnonzero(times.present & numbers.present)
        yield Samples(keys, series[kept], times.timestamps[kept], times.unit, numbers.values[kept], batch.rows[kept])


def _filled(column: pa.Array, default: str) -> pa.Array:
    return column.fill_null(default) if default else column


def _key(cells: dict[str, str | None], column: str) -> SeriesKey:
    """Return the key of a series: a pivoted column is a field."""
    measurement = cells.pop(MEASUREMENT, None) or ""
    named = cells.pop(FIELD, None) or "value"
    labels = {name: cell for name, cell in cells.items() if cell is not None}
    return SeriesKey(series_name(measurement, named if column == VALUE else column), labels)
