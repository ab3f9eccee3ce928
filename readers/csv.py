"""CSV and its relatives: wide tables of a time and metrics, or long ones of a sample a row."""

from __future__ import annotations

import csv as standard_csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import csv

from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import ABSENT, parse_number
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._table import Batch, read_table
from squeezelab.readers._times import is_moment, parse_date
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions

DELIMITERS, BLANK = ",;\t|", " "
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line that tells the delimiter, as Excel and Grafana write it."""
MOST_LINES_OF_A_ROW = 20
_QUOTED = rb'"(?:[^"]++|"")*+"'


class Csv(Reader):
    """Text of rows and columns, split by commas, semicolons, tabs, bars or, where there are none of these, blanks.

    Notes
    -----
    Lines before the table, which have another number of cells than most, are passed over. Of the others the first is
    the header if it holds no number or date, or a word above a column of numbers or times: headers may be numbers,
    ``time,50,90,99``. Or the header is the last line of those that begin with ``#``; without one, columns are called
    ``column 1`` and so on. Other lines that begin with ``#`` are passed over. Line breaks
    within quotes belong to their cell, but not in the header.
    """

    name = "csv"
    suffixes = (".csv", ".tsv", ".txt", ".tab")

    def recognises(self, source: Source) -> bool:
        """Tell whether most of the first lines have the same delimiter equally often."""
        sheet = _look_at(source.first_lines())
        if not source.is_text or sheet is None:
            return False
        even = sum(len(row) == len(sheet.rows[0]) for row in sheet.rows)
        named_so = any(suffix in source.path.suffixes for suffix in self.suffixes)
        return named_so or (len(sheet.rows[0]) > 1 and len(sheet.rows) > 1 and 5 * even >= 4 * len(sheet.rows))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, and reject lines that have another number of cells than the first."""
        sheet = _look_at(source.first_lines())
        if sheet is None:
            raise DataSourceError(f"{facts.name} holds no rows")
        if sheet.broken:
            raise DataSourceError(f"{facts.name}: a name in its header has a line break: write it in one line")
        facts.shape = "wide"
        if sheet.preamble:
            facts.say(f"lines before the table were passed over: {sheet.preamble}")
        batches = self._batches(source, sheet, facts)
        # Where commas split the cells, none of them separates decimals, but within quotes.
        likely = "." if sheet.delimiter == "," else None
        yield from read_table(sheet.names, batches, source, options, facts, decimal=likely)

    def _batches(self, source: Source, sheet: Sheet, facts: FileFacts) -> Iterator[Batch]:
        before = sheet.before
        for piece in source.pieces():
            if before is not None:
                piece = _after(piece, before)
                before = None
            if sheet.padded:
                piece = piece._replace(text=_without_padding(piece.text, sheet.delimiter))
            if sheet.delimiter == BLANK:
                piece = piece._replace(text=b"\n".join(b" ".join(line.split()) for line in piece.text.split(b"\n")))
            yield parse_rows(piece, len(sheet.names), sheet.delimiter, facts)


class Sheet(NamedTuple):
    """What the first lines tell.

    Attributes
    ----------
    delimiter : str
    rows : list of list of str
        Their cells.
    names : list of str
        Of the columns.
    before : str or None
        The last line before the rows.
    padded : bool
        Whether blanks stand around delimiters: they are no part of the cells, but within quotes.
    preamble : int
        How many lines stand before the table, its header not among them.
    broken : bool
        Whether the first line ends within quotes.
    """

    delimiter: str
    rows: list[list[str]]
    names: list[str]
    before: str | None
    padded: bool
    preamble: int
    broken: bool


def _look_at(first: list[str]) -> Sheet | None:
    """Return what the first lines of a text tell; None if these are none."""
    told = _SEPARATOR.fullmatch(first[0].strip()) if first else None
    before = first[0] if told else None
    lines = [line for line in first[1 if told else 0 :] if not line.startswith("#")]
    if not lines:
        return None
    delimiter = told[1] if told else _delimiter(lines)
    broken = lines[0].count('"') % 2 == 1 and cells_of(lines[0], delimiter)[-1] in lines[0].rpartition('"')[2]
    lines = _whole_rows(lines, delimiter)
    plain = [str(_without_padding(line.encode(), delimiter), "utf-8") for line in lines]
    padded = delimiter not in "\t " and plain != lines
    rows = [cells_of(line, delimiter) for line in (plain if padded else lines)]
    width = _width(rows)
    preamble = next((i for i, row in enumerate(rows) if len(row) == width), 0)
    short = _short_header(rows, preamble)
    if short is not None:
        names, before, preamble = short, lines[preamble - 1], preamble - 1
        rows = rows[preamble + 1 :]
    elif _is_header(rows[preamble:]):
        names, before, rows = _names(rows[preamble], lines[preamble]), lines[preamble], rows[preamble:]
    else:
        before = lines[preamble - 1] if preamble else before
        names, rows = _commented_header(first, delimiter, width), rows[preamble:]
    return Sheet(delimiter, rows, names, before, padded, preamble, broken)


def _whole_rows(lines: list[str], delimiter: str) -> list[str]:
    """Return lines joined where quotes hold their breaks; as they are where a quote seems to stand alone."""
    rows = standard_csv.reader([f"{line}\n" for line in lines], delimiter="," if delimiter == BLANK else delimiter)
    joined, at = [], 0
    try:
        for _ in rows:
            joined.append("\n".join(lines[at : rows.line_num]))
            if rows.line_num - at > MOST_LINES_OF_A_ROW:
                return lines
            at = rows.line_num
    except standard_csv.Error:
        return lines
    return joined


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many cells most rows have."""
    return Counter(map(len, rows)).most_common(1)[0][0]


def _short_header(rows: Sequence[Sequence[str]], at: int) -> list[str] | None:
    """Return the names of a header that has a cell less than the rows from ``at`` on, None if there is none.

    It lacks one above the numbers of rows, as R writes them, or above nothing, where rows end with a delimiter.
    """
    below = [row for row in rows[at:] if len(row) == len(rows[at])]
    if not at or len(rows[at - 1]) != len(rows[at]) - 1 or any(map(_is_data, rows[at - 1])):
        return None
    if not any(map(_is_data, rows[at])):  # it is the header, and the line before it a title
        return None
    names = [cell.strip() for cell in rows[at - 1]]
    return [*names, ""] if all(not row[-1].strip() for row in below) else ["", *names]


def _without_padding(text: bytes, delimiter: str) -> bytes:
    r"""Return lines without the blanks around cells; those within quotes stay.

    Examples
    --------
    >>> _without_padding(b'a , " b, ""c"" " ,d\n', ",")
    b'a," b, ""c"" ",d\n'
    """
    split = re.escape(delimiter.encode())
    blanks, end = rb"(?<![ \t])[ \t]*", rb"\r?$"
    quoted = rb"(?:(%b)(?=[ \t]*(?:%b|%b)))?" % (_QUOTED, split, end)
    return re.sub(rb"%b(?:(^|%b)[ \t]*%b|(?=%b))" % (blanks, split, quoted, end), rb"\1\2", text, flags=re.MULTILINE)


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names columns, by the rows below it."""
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not any(map(_is_data, first)):
        return True
    if any(map(is_moment, first)):
        return False
    columns = list(zip(*below, strict=True))
    for cell, column in zip(first, columns, strict=False):
        cells = [one for one in column if one.strip() not in ABSENT]
        # Nothing stands above the index that pandas writes.
        holds = _is_data if cell.strip() not in ABSENT else is_moment
        if not _is_data(cell) and cells and 2 * sum(map(holds, cells)) > len(cells):
            return True
    return False


def _names(cells: list[str], line: str) -> list[str]:
    """Return the names that a header gives: blanks around them count where quotes hold them."""
    return [cell if f'"{cell}"' in line else cell.strip() for cell in cells]


def _commented_header(lines: list[str], delimiter: str, width: int) -> list[str]:
    """Return the names of columns whose header, if there is one, is the last comment before the first row."""
    comments = list(takewhile(lambda line: line.startswith("#"), lines))
    names = _names(cells_of(comments[-1].lstrip("# "), delimiter), comments[-1]) if comments else []
    return names if len(names) == width else [f"column {i + 1}" for i in range(width)]


def _delimiter(lines: list[str]) -> str:
    """Return what splits most lines into equally many cells, into as many as possible; blanks if nothing else does."""

    def score(delimiter: str) -> tuple[int, int]:
        width, count = Counter(len(cells_of(line, delimiter)) for line in lines).most_common(1)[0]
        return (count, width) if width > 1 else (0, 0)

    best = max(DELIMITERS, key=score)
    return best if score(best)[0] else BLANK


def cells_of(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line."""
    if delimiter == BLANK:
        line = " ".join(line.split())
    try:
        return next(standard_csv.reader([line.replace("\r", " ")], delimiter=delimiter), [])
    except (standard_csv.Error, TypeError, ValueError):  # a cell of more than 128 kB, or no delimiter
        return [line]


def _is_data(cell: str) -> bool:
    return parse_number(cell) is not None or parse_date(cell) is not None


def _after(piece: Piece, before: str) -> Piece:
    """Return what follows a line."""
    raw = before.encode()
    start = piece.text.index(raw) + len(raw) if raw in piece.text else 0
    stop = piece.text.find(b"\n", start) + 1 or len(piece.text)
    return Piece(piece.line + piece.text.count(b"\n", 0, stop), piece.text[stop:])


def parse_rows(piece: Piece, width: int, delimiter: str, facts: FileFacts) -> Batch:
    """Read the cells of some lines, all as text."""
    skipped: list[int] = []

    def reject(row: csv.InvalidRow) -> str:
        skipped.append(row.number)
        if row.text.strip() and not row.text.startswith("#"):
            facts.rows += 1
            reason = f"{row.actual_columns} cells in place of {row.expected_columns}: {clip(row.text)}"
            facts.reject(piece.line + row.number - 1, reason)
        return "skip"

    text = piece.text
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        text = "\n".join(text_lines(piece, facts.reject)).encode()
    if not text:
        return Batch([pa.array([], pa.string())] * width, np.empty(0, np.int64))
    try:
        table = text_table(text, width, delimiter, ignore_empty_lines=False, invalid_row_handler=reject)
    except pa.ArrowInvalid as error:
        raise DataSourceError(f"{facts.name}, from line {piece.line}: {error}") from error
    numbers = np.arange(1, table.num_rows + len(skipped) + 1)
    rows = piece.line - 1 + np.delete(numbers, np.array(skipped, np.int64) - 1)
    return Batch([column.combine_chunks() for column in table.columns], rows)


def text_table(
    text: bytes, width: int, delimiter: str = ",", absent: Sequence[str] = ("",), **parsing: Any
) -> pa.Table:
    """Return the cells of whole lines, all as text, in columns that are called by their place.

    Parameters
    ----------
    text : bytes
        Lines without a header.
    width : int
        How many columns there are.
    delimiter : str
        What splits cells.
    absent : sequence of str
        What cells hold that are null.
    **parsing
        Of `pyarrow.csv.ParseOptions`.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a line has another number of cells, unless an ``invalid_row_handler`` says otherwise.
    """
    names = [str(i) for i in range(width)]  # their own may occur twice
    return csv.read_csv(
        pa.BufferReader(text),
        csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
        csv.ParseOptions(delimiter=delimiter, **parsing),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=list(absent),
            check_utf8=False,
        ),
    )
