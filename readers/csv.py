"""CSV and its relatives: wide tables of a time and metrics, or long ones of a sample a row."""

from __future__ import annotations

import csv as standard_csv
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
import pyarrow as pa
from pyarrow import csv

from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import parse_number
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._table import Batch, read_table
from squeezelab.readers._times import parse_date
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions

DELIMITERS = ",;\t|"


class Csv(Reader):
    """Text of rows and columns, split by commas, semicolons, tabs or bars.

    Notes
    -----
    A first line without a number or date is the header, or the last line of those that begin with ``#``; without one,
    columns are called ``column 1`` and so on. Other lines that begin with ``#`` are passed over. A cell is one line:
    line breaks within quotes are not read.
    """

    name = "csv"
    suffixes = (".csv", ".tsv", ".txt", ".tab")

    def recognises(self, source: Source) -> bool:
        """Tell whether most of the first lines have the same delimiter equally often."""
        lines = _without_comments(source.first_lines())
        if not source.is_text or not lines:
            return False
        delimiter = _delimiter(lines)
        widths = [len(_cells(line, delimiter)) for line in lines]
        even = sum(width == widths[0] for width in widths)
        named_so = any(suffix in source.path.suffixes for suffix in self.suffixes)
        return named_so or (widths[0] > 1 and len(lines) > 1 and 5 * even >= 4 * len(lines))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, and refuse lines that have another number of cells than the first."""
        lines = _without_comments(source.first_lines())
        if not lines:
            raise DataSourceError(f"{facts.name} holds no rows")
        delimiter = _delimiter(lines)
        first = _cells(lines[0], delimiter)
        headed = not any(_is_data(cell) for cell in first)
        names = first if headed else _commented_header(source.first_lines(), delimiter, len(first))
        names = [name.strip() for name in names]
        facts.shape = "wide"
        batches = self._batches(source, lines[0] if headed else None, names, delimiter, facts)
        yield from read_table(names, batches, source, options, facts)

    def _batches(
        self, source: Source, header: str | None, names: list[str], delimiter: str, facts: FileFacts
    ) -> Iterator[Batch]:
        for piece in source.pieces():
            if header is not None:
                piece = _behind(piece, header)
                header = None
            yield _parse(piece, len(names), delimiter, facts)


def _without_comments(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("#")]


def _commented_header(lines: list[str], delimiter: str, width: int) -> list[str]:
    """Return the names of columns whose header, if there is one, is the last comment before the first row."""
    comments = list(takewhile(lambda line: line.startswith("#"), lines))
    names = _cells(comments[-1].lstrip("# "), delimiter) if comments else []
    return names if len(names) == width else [f"column {i + 1}" for i in range(width)]


def _delimiter(lines: list[str]) -> str:
    """Return what splits the first line into most cells, of what splits others likewise."""

    def score(delimiter: str) -> tuple[int, int]:
        widths = [len(_cells(line, delimiter)) for line in lines]
        return sum(width == widths[0] > 1 for width in widths), widths[0]

    return max(DELIMITERS, key=score)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(standard_csv.reader([line.replace("\r", " ")], delimiter=delimiter), [])
    except standard_csv.Error:  # a cell of more than 128 kB
        return [line]


def _is_data(cell: str) -> bool:
    return parse_number(cell) is not None or parse_date(cell) is not None


def _behind(piece: Piece, header: str) -> Piece:
    """Return what follows the header."""
    raw = header.encode()
    start = piece.text.index(raw) + len(raw) if raw in piece.text else 0
    stop = piece.text.find(b"\n", start) + 1 or len(piece.text)
    return Piece(piece.line + piece.text.count(b"\n", 0, stop), piece.text[stop:])


def _parse(piece: Piece, width: int, delimiter: str, facts: FileFacts) -> Batch:
    """Read the cells of some lines, all as text."""
    skipped: list[int] = []

    def refuse(row: csv.InvalidRow) -> str:
        skipped.append(row.number)
        if row.text.strip() and not row.text.startswith("#"):
            facts.rows += 1
            reason = f"{row.actual_columns} cells in place of {row.expected_columns}: {clip(row.text)}"
            facts.refuse(piece.line + row.number - 1, reason)
        return "skip"

    text = piece.text
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        text = "\n".join(text_lines(piece, facts.refuse)).encode()
    if not text:
        return Batch([pa.array([], pa.string())] * width, np.empty(0, np.int64))
    names = [str(i) for i in range(width)]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False, invalid_row_handler=refuse),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataSourceError(f"{facts.name}, from line {piece.line}: {error}") from error
    numbers = np.arange(1, table.num_rows + len(skipped) + 1)
    rows = piece.line - 1 + np.delete(numbers, np.array(skipped, np.int64) - 1)
    return Batch([column.combine_chunks() for column in table.columns], rows)
