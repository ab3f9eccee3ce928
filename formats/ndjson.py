"""NDJSON: a line of JSON for each sample, the text that every ratio compares with."""

from __future__ import annotations

import io
import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from squeezelab.dataset import DOUBLE, MetricDataset, SeriesKey, to_doubles
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.formats._digits import (
    LONGEST_TAIL,
    integer_tails_length,
    tails_length,
    write_integer_lines,
    write_lines,
)
from squeezelab.formats._records import RecordFormat, Records, join_records
from squeezelab.formats.base import Buffer
from squeezelab.store.rows import group_rows

_PIECE_BYTES = 2**20
_REQUIRED = ("metric_name", "labels", "timestamp", "value")
_INTEGER = re.compile(rb'"value"\s*:\s*(0|-?[1-9]\d{0,18})\s*[,}]')
"""A value that is an integer, which no string holds: quotes within strings are escaped."""
_LABELS = re.compile(rb'"labels"\s*:\s*(\{[^{}\n]*\})')
_UNREADABLE = (ValueError, OverflowError, pa.ArrowException)


class Ndjson(RecordFormat):
    r"""A line for each sample, ``json.dumps`` of its record: what metrics look like on their way between programs.

    Notes
    -----
    Every sample comes back bit for bit, but three things do not fit: the unit of time, which is seconds when a file is
    read; a series without samples, which has no line and is gone; and a name or label with half a surrogate pair, which
    no UTF-8 holds and which is rejected. JSON knows a single NaN, so any other than the default one has its bits after
    it, ``"value": NaN, "value_bits": "fff8000000000001"``.

    Numbers are read with pyarrow, which rounds them exactly. Values of int64 are written as ``3``, and a series all of
    whose values are written so is read as int64; float32 JSON does not know. Other programs' files may order and space
    the keys as they like, have their series interleaved, and write ``null`` for an absent label.

    Nothing in the file checks it: damage is only seen where it leaves no valid record. A file cut at the end of a line
    and a digit that has changed both go unnoticed.

    References
    ----------
    RFC 8259, JSON; NaN and the infinities, which it lacks, as Python and JavaScript name them.

    Examples
    --------
    >>> key = SeriesKey("up", {"host": "a"})
    >>> dataset = MetricDataset([key], np.array([0, 2]), np.array([100, 115]), np.array([1.0, 0.25]))
    >>> file = Ndjson().encode(dataset)
    >>> print(file.decode(), end="")
    {"metric_name": "up", "labels": {"host": "a"}, "timestamp": 100, "value": 1.0}
    {"metric_name": "up", "labels": {"host": "a"}, "timestamp": 115, "value": 0.25}
    >>> Ndjson().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "ndjson"
    dtypes = (DOUBLE, np.dtype(np.int64))
    longest_tail = LONGEST_TAIL

    def prefix(self, key: SeriesKey) -> Any:
        """Return the bytes that all records of a series begin with."""
        return _prefix(key)

    def write_into(self, buffer: Any, at: Any, prefix: Any, timestamps: Any, values: Any) -> Any:
        """Write the records."""
        write = write_integer_lines if values.dtype.kind == "i" else write_lines
        return write(buffer, at, prefix, timestamps, values)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read lines; series come in the order of their first one, samples in the order of their lines.

        Raises
        ------
        CorruptDataError
            If a line is not a record; the message says which line is the first.
        """
        keys: dict[SeriesKey, int] = {}
        label_names: set[str] = set()
        parts: list[Records] = []
        file, line = io.BytesIO(data), 1
        # Pieces keep memory low: a row takes far more of it while its strings are not yet a number of a series.
        for piece in iter(lambda: file.read(_PIECE_BYTES) + file.readline(), b""):
            rows = _read(piece, label_names, line)
            numbers = np.array([keys.setdefault(key, len(keys)) for key in rows.keys], np.int64)
            parts += _by_type(rows, numbers)
            line += piece.count(b"\n")
        return join_records(list(keys), parts)


def ndjson_bytes(dataset: MetricDataset) -> int:
    """Return the exact size of a data set's NDJSON file without writing it.

    Raises
    ------
    SqueezelabError
        If a name or label holds half a surrogate pair.

    Examples
    --------
    >>> key = SeriesKey("up", {"host": "a"})
    >>> dataset = MetricDataset([key], np.array([0, 2]), np.array([100, 115]), np.array([1.0, 0.25]))
    >>> ndjson_bytes(dataset), len(Ndjson().encode(dataset))
    (159, 159)
    """
    prefixes = np.array([len(_prefix(key)) for key in dataset.keys], np.int64)
    heads = int(np.diff(dataset.offsets) @ prefixes)
    if dataset.value_dtypes == (DOUBLE,):
        return heads + int(tails_length(dataset.timestamps, dataset.values))
    return heads + sum(
        int(integer_tails_length(timestamps, values))
        if values.dtype.kind == "i"
        else int(tails_length(timestamps, to_doubles(values)))
        for _, timestamps, values in dataset
    )


def _prefix(key: SeriesKey) -> npt.NDArray[np.uint8]:
    """Return what every line of a series begins with: all before the digits of the timestamp."""
    try:
        "".join((key.metric_name, *key.labels, *key.labels.values())).encode()
    except UnicodeEncodeError as error:
        raise SqueezelabError(f"NDJSON cannot hold half a surrogate pair: rename {str(key)!a}") from error
    head = json.dumps({"metric_name": key.metric_name, "labels": dict(key.labels)})
    return np.frombuffer(f'{head[:-1]}, "timestamp": '.encode(), np.uint8)


class _Rows(NamedTuple):
    """Lines that have been read: their series' keys, and a number of one of these for each row.

    ``whole`` tells which values are written as integers, and ``integers`` what these are, 0 elsewhere.
    """

    keys: list[SeriesKey]
    series: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    whole: npt.NDArray[np.bool_]
    integers: npt.NDArray[np.int64]


def _by_type(rows: _Rows, numbers: npt.NDArray[np.int64]) -> Iterator[Records]:
    """Yield the rows of series all of whose values here are integers, and all others as doubles."""
    broken = np.zeros(len(rows.keys), np.bool_)
    broken[rows.series[~rows.whole]] = True
    for values, chosen in ((rows.values, broken[rows.series]), (rows.integers, ~broken[rows.series])):
        if chosen.any():
            yield Records(numbers[rows.series[chosen]], rows.timestamps[chosen], values[chosen])


def _read(piece: bytes, label_names: set[str], first_line: int) -> _Rows:
    """Read whole lines, and add to the known label names those that turn up."""
    label_names |= _find_label_names(piece.partition(b"\n")[0])
    with suppress(*_UNREADABLE):
        return _parse(piece, label_names)
    # Lines by the thousand have the same labels: what looks like labels is quicker to find and read than all of them.
    label_names |= _find_label_names(b"\n".join(b'{"labels":%b}' % labels for labels in set(_LABELS.findall(piece))))
    with suppress(*_UNREADABLE):
        return _parse(piece, label_names)
    label_names |= _find_label_names(piece)
    try:
        return _parse(piece, label_names)
    except _UNREADABLE as error:
        raise _complaint(piece, label_names, first_line, error) from error


def _find_label_names(piece: bytes) -> set[str]:
    """Return the label names of the lines that are records, line by line.

    pyarrow could find them itself, but then it takes strings that look like dates for dates, and dies of a value that
    nests some thousand levels deep.
    """
    names: set[str] = set()
    for line in piece.split(b"\n"):
        with suppress(ValueError, LookupError, TypeError, RecursionError):
            labels = json.loads(str(line, "utf-8"))["labels"]
            "".join(labels).encode()
            names.update(labels)
    return names


def _parse(piece: bytes, label_names: set[str]) -> _Rows:
    """Read whole lines whose label names are all known; raise one of `_UNREADABLE` if anything is wrong with them."""
    # pyarrow dies of a null where the first object belongs, and skips a byte order mark, which JSON does not have.
    if not re.match(rb"\s*(\{|\Z)", piece):
        raise ValueError("a record must be an object")
    labels = pa.struct([(name, pa.string()) for name in sorted(label_names)])
    columns = {"metric_name": pa.string(), "labels": labels, "timestamp": pa.int64(), "value": pa.float64()}
    table = pyarrow.json.read_json(
        pa.BufferReader(piece),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(piece) + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=pa.schema(columns | {"value_bits": pa.string()}), unexpected_field_behavior="error"
        ),
    )
    if table.num_rows != piece.count(b"\n") and table.num_rows != sum(map(bool, map(bytes.strip, piece.split(b"\n")))):
        raise ValueError("there is not one object on each line")
    for name in _REQUIRED:
        if table.column(name).null_count:
            raise ValueError(f"{name} is missing or null")
    keys, series = _group(table)
    values = table.column("value").to_numpy()
    if table.column("value_bits").null_count < table.num_rows:
        values = _with_bits(values, table.column("value_bits"))
    return _Rows(keys, series, table.column("timestamp").to_numpy(), values, *_find_integers(piece, values))


def _find_integers(
    piece: bytes, values: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return which values of lines are written as integers of 64 bits, and these."""
    whole, integers = np.zeros(values.size, np.bool_), np.zeros(values.size, np.int64)
    if _INTEGER.search(piece):
        rows = np.cumsum([bool(line.strip()) for line in piece.split(b"\n")]) - 1
        ends = np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
        for found in _INTEGER.finditer(piece):
            number = int(found[1])
            if -(2**63) <= number < 2**63:
                row = rows[np.searchsorted(ends, found.start())]
                whole[row], integers[row] = True, number
    return whole, integers


def _group(table: pa.Table) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
    """Return the keys in the order of their first rows, and for each row the number of its key."""
    labels = table.column("labels").combine_chunks()
    columns = [table.column("metric_name").combine_chunks(), *labels.flatten()]
    series, firsts = group_rows(columns, table.num_rows)
    rows = zip(*(column.take(firsts).to_pylist() for column in columns), strict=True)
    names = [field.name for field in labels.type]
    keys = [
        SeriesKey(metric_name, {name: value for name, value in zip(names, values, strict=True) if value is not None})
        for metric_name, *values in rows
    ]
    return keys, series


def _with_bits(values: npt.NDArray[np.float64], column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return the values with the bits of NaNs that have been told put into place."""
    told = column.drop_null().to_pylist()
    if not all(re.fullmatch("[0-9a-fA-F]{16}", text) for text in told):
        raise ValueError("value_bits are not 16 hexadecimal digits")
    bits = np.array([int(text, 16) for text in told], np.uint64)
    rows = np.flatnonzero(column.is_valid())
    if not np.isnan(values[rows]).all() or not np.isnan(bits.view(np.float64)).all():
        raise ValueError("value_bits tell of no NaN")
    values = values.copy()
    values.view(np.uint64)[rows] = bits
    return values


def _complaint(piece: bytes, label_names: set[str], first_line: int, error: Exception) -> CorruptDataError:
    """Find the first of the lines that cannot be read, and say why."""
    lines = piece.split(b"\n")
    reasons = {len(lines): error}

    def fails(count: int) -> bool:
        try:
            _parse(b"\n".join(lines[:count]) + b"\n", label_names)
        except _UNREADABLE as error:
            reasons[count] = error
            return True
        return False

    count = bisect_left(range(len(lines)), True, lo=1, key=fails)
    reason = " ".join(_reason(lines[count - 1], reasons[count]).split())
    return CorruptDataError(f"line {first_line + count - 1}: {reason[:200]}")


def _reason(line: bytes, error: Exception) -> str:
    """Say what is wrong with a line, more closely than pyarrow does."""
    try:
        record = json.loads(str(line, "utf-8"))
    except json.JSONDecodeError as closer:
        return f"{closer.msg} (column {closer.colno})"
    except (ValueError, RecursionError) as closer:
        return str(closer)
    unknown = sorted(record.keys() - {*_REQUIRED, "value_bits"}) if isinstance(record, dict) else []
    return f"unknown key {unknown[0]!r}" if unknown else re.sub(r" in row \d+$", "", str(error))
