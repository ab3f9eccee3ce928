"""CBOR: the records of NDJSON in binary, one after another."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import as_bytes
from squeezelab.dataset import DOUBLE, VALUE_DTYPES, WORD, MetricDataset, SeriesKey, from_words, to_words
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.formats._records import RecordFormat, Records, join_records
from squeezelab.formats.base import Buffer
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_word, store_word

_MOST_ROWS = 2**16
_KEYS = {"metric_name", "labels", "timestamp", "value"}
_VALUE_KEY = np.frombuffer(cbor2.dumps("value"), np.uint8)
_DOUBLE, _SINGLE, _INTEGER, _UNKNOWN = U(0xFB), U(0xFA), U(0), U(0x100)
"""The first bytes of floats of 64 and 32 bits; and what stands for the many of integers, and for any."""
_HEADS: dict[np.dtype[Any], Any] = {DOUBLE: _DOUBLE, np.dtype(np.float32): _SINGLE, np.dtype(np.int64): _INTEGER}

LONGEST_TAIL = 9 + _VALUE_KEY.size + 9
"""No record is longer than its prefix and this: a timestamp and a value at their longest."""


class Cbor(RecordFormat):
    """A record a sample, as `Ndjson`, in CBOR: a sequence of maps.

    Notes
    -----
    Each record is what ``cbor2.dumps`` makes of the dict with keys ``metric_name``, ``labels``, ``timestamp`` and
    ``value``: integers in as few bytes as hold them, floats always in eight, or in four where a series is of float32.
    NaN and the infinities have as many bytes, which keeps every payload of a NaN; cbor2 cuts them to two.

    As with NDJSON, nothing in the file checks it or tells the unit of time, a series without samples has no record and
    is gone, and half a surrogate pair is rejected. Other programs' records may have their keys in any order; series may
    be interleaved. A series is of int64 if all its values are integers, of float32 if all have four bytes, and else of
    float64. Records written here are read by a kernel, others by cbor2.

    References
    ----------
    RFC 8949, CBOR; RFC 8742, CBOR sequences.

    Examples
    --------
    >>> dataset = MetricDataset([SeriesKey("up", {"host": "a"})], np.array([0, 1]), np.array([100]), np.array([1.0]))
    >>> cbor2.loads(Cbor().encode(dataset))
    {'metric_name': 'up', 'labels': {'host': 'a'}, 'timestamp': 100, 'value': 1.0}
    >>> Cbor().decode(Cbor().encode(dataset)).fingerprint == dataset.fingerprint
    True
    """

    name = "cbor"
    dtypes = VALUE_DTYPES
    longest_tail = LONGEST_TAIL

    def prefix(self, key: SeriesKey) -> Any:
        """Return the bytes that all records of a series begin with."""
        return _prefix(key)

    def write_into(self, buffer: Any, at: Any, prefix: Any, timestamps: Any, values: Any) -> Any:
        """Write the records."""
        return write_records(buffer, at, prefix, timestamps, to_words(values), _HEADS[values.dtype])

    def decode(self, data: Buffer) -> MetricDataset:
        """Read records; series come in the order of their first one, samples in the order of their records.

        Raises
        ------
        CorruptDataError
            If anything is not a record; the message says at which byte it begins.
        """
        view, file = as_bytes(data), io.BytesIO(data)
        keys: dict[SeriesKey, int] = {}
        parts: list[Records] = []
        at = 0
        while at < len(view):
            key, timestamp, value, after_one = _read_one(file, at)
            after, timestamps, values = _read_many(view, at, _prefix(key))
            if not len(values):  # spelled in another way
                after, timestamps, values = after_one, np.array([timestamp], np.int64), np.array([value])
            number = keys.setdefault(key, len(keys))
            parts.append(Records(np.full(len(values), number), timestamps, values))
            at = after
        return join_records(list(keys), _joined(parts))


def _prefix(key: SeriesKey) -> Bytes:
    """Return what every record of a series begins with: all before the timestamp."""
    try:
        head = cbor2.dumps({"metric_name": key.metric_name, "labels": dict(key.labels)})
    except UnicodeEncodeError as error:
        raise SqueezelabError(f"CBOR cannot hold half a surrogate pair: rename {str(key)!a}") from error
    return np.frombuffer(b"\xa4" + head[1:] + cbor2.dumps("timestamp"), np.uint8)


def _joined(parts: Sequence[Records]) -> list[Records]:
    """Join runs of records whose values are of one type."""
    return [
        Records(*(np.concatenate(column) for column in zip(*run, strict=True)))
        for _, run in groupby(parts, key=lambda part: part.values.dtype)
    ]


def _read_one(file: io.BytesIO, at: int) -> tuple[SeriesKey, int, float | int, int]:
    """Read the record that begins at a byte with cbor2; return its key, timestamp and value, and the byte after it."""
    file.seek(at)
    try:
        # A byte more than was asked for would be lost: the next record is read from where this one ends.
        record = cbor2.CBORDecoder(file, read_size=1, allow_duplicate_keys=False).decode()
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise CorruptDataError(f"byte {at}: {' '.join(str(error).split())[:200]}") from error
    if reason := _objection(record):
        raise CorruptDataError(f"byte {at}: {reason}")
    labels = {name: value for name, value in record["labels"].items() if value is not None}
    try:
        value = record["value"] if -(2**63) <= record["value"] < 2**63 else float(record["value"])
    except OverflowError as error:
        raise CorruptDataError(f"byte {at}: value is an integer beyond all floats") from error
    return SeriesKey(record["metric_name"], labels), record["timestamp"], value, file.tell()


def _objection(record: Any) -> str:
    """Say why something is no record; nothing if it is one."""
    if not isinstance(record, dict) or record.keys() != _KEYS:
        return f"a record must be a map of {', '.join(sorted(_KEYS))}"
    if not isinstance(record["metric_name"], str):
        return "metric_name must be text"
    labels = record["labels"]
    if not isinstance(labels, dict) or not all(
        isinstance(name, str) and isinstance(value, str | None) for name, value in labels.items()
    ):
        return "labels must be a map of text to text"
    # A bool is an int in Python, and no number here.
    if type(record["timestamp"]) is not int or not -(2**63) <= record["timestamp"] < 2**63:
        return "timestamp must be an integer of 64 bits"
    return "" if type(record["value"]) in (int, float) else "value must be a number"


def _read_many(view: Bytes, at: int, prefix: Bytes) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Read the records from a byte on that begin with a prefix, are spelled as here, and have values of one type.

    The byte after them, timestamps and values are returned.
    """
    parts = [(np.empty(0, np.int64), np.empty(0, WORD))]
    room, head = _MOST_ROWS, _UNKNOWN
    while room == _MOST_ROWS:
        timestamps, words = np.empty(room, np.int64), np.empty(room, WORD)
        stop = read_records(view, U(at), prefix, timestamps, words, head)
        at, room, head = int(stop[0]), int(stop[1]), U(stop[2])
        parts.append((timestamps[:room], words[:room]))
    timestamps, words = (np.concatenate(column) for column in zip(*parts, strict=True))
    dtype = next((one for one, known in _HEADS.items() if known == head), DOUBLE)
    return at, timestamps, from_words(words, dtype)


@kernel(forceinline=True)
def _write_integer(buffer, at, number):
    """Write an int64 in as few bytes as hold it."""
    bits = np.int64(number).view(np.uint64)
    kind = U(0x20) if bits >> U(63) else U(0)
    magnitude = bits ^ (U(0) - (bits >> U(63)))
    if magnitude < U(24):
        buffer[at] = kind | magnitude
        return at + U(1)
    power = U(magnitude > U(0xFF)) + U(magnitude > U(0xFFFF)) + U(magnitude > U(0xFFFFFFFF))
    size = U(1) << power
    buffer[at] = kind | (U(24) + power)
    store_word(buffer, at + U(1), magnitude << (U(64) - (size << U(3))))
    return at + U(1) + size


@kernel
def write_records(buffer, at, prefix, timestamps, words, head):
    """Write a record for each sample of a series.

    Parameters
    ----------
    buffer : uint8[]
        Must have room for each record at its longest, ``prefix.size + LONGEST_TAIL`` bytes.
    at : uint64
        The byte where the first record begins.
    prefix : uint8[]
        The record up to its timestamp.
    timestamps : int64[n]
    words : uint64[n]
        The bits of the values.
    head : uint64
        The first byte of all values; 0 for integers, which have each its own.

    Returns
    -------
    uint64
        The byte after the last record.
    """
    for i in range(words.size):
        for j in range(U(prefix.size)):
            buffer[at + j] = prefix[j]
        at = _write_integer(buffer, at + U(prefix.size), timestamps[i])
        for j in range(U(_VALUE_KEY.size)):
            buffer[at + j] = _VALUE_KEY[j]
        at += U(_VALUE_KEY.size)
        if head == _INTEGER:
            at = _write_integer(buffer, at, words[i])
        else:
            buffer[at] = head
            store_word(buffer, at + U(1), words[i] if head == _DOUBLE else words[i] << U(32))
            at += U(9) if head == _DOUBLE else U(5)
    return at


@kernel(forceinline=True)
def _begins(data, at, text):
    """Return whether a text stands at a byte; ``data`` must be long enough."""
    j, size = U(0), U(text.size)
    while j < size and data[at + j] == text[j]:
        j += U(1)
    return j == size


@kernel(forceinline=True)
def _read_bytes(data, at, size):
    """Return the number that up to 8 bytes make, all of which must be there."""
    if size == U(0):
        return U(0)
    if at + U(8) <= U(data.size):
        return load_word(data, at) >> (U(64) - (size << U(3)))
    number = U(0)
    for j in range(size):
        number = (number << U(8)) | U(data[at + j])
    return number


@kernel(forceinline=True)
def _read_integer(data, at):
    """Read an integer; return its bits, the byte after it, and whether it is one of 64 bits that ends with the data."""
    end = U(data.size)
    if at >= end:
        return U(0), at, False
    head = U(data[at])
    kind, short = head >> U(5), head & U(31)
    at += U(1)
    if kind > U(1) or short > U(27):
        return U(0), at, False
    size = U(0) if short < U(24) else U(1) << (short - U(24))
    if at + size > end:
        return U(0), at, False
    magnitude = _read_bytes(data, at, size) if size else short
    return magnitude ^ (U(0) - kind), at + size, magnitude >> U(63) == U(0)


@kernel
def read_records(data, at, prefix, timestamps, words, head):
    """Read records that begin with a prefix, until one does not, its value is of another type, or columns are full.

    Parameters
    ----------
    data : uint8[]
    at : uint64
        Where the first record begins.
    prefix : uint8[]
    timestamps : int64[n]
    words : uint64[n]
        Filled with the bits of the values.
    head : uint64
        The first byte of all values, as `write_records` takes it; one beyond all bytes where the first value tells.

    Returns
    -------
    at, count, head : uint64
        The byte after the last record that was read, how many they are, and the type of their values.
    """
    end, rows = U(data.size), U(0)
    while rows < U(words.size):
        # What is cut is left for cbor2 to complain about.
        if at + U(prefix.size) > end or not _begins(data, at, prefix):
            break
        timestamp, place, good = _read_integer(data, at + U(prefix.size))
        if not good or place + U(_VALUE_KEY.size) + U(1) > end or not _begins(data, place, _VALUE_KEY):
            break
        place += U(_VALUE_KEY.size)
        first = U(data[place])
        kind = first if (first | U(1)) == _DOUBLE else _INTEGER
        if head != kind and head != _UNKNOWN:
            break
        if kind == _INTEGER:
            word, place, good = _read_integer(data, place)
        else:
            width = U(8) if kind == _DOUBLE else U(4)
            good = place + U(1) + width <= end
            word = _read_bytes(data, place + U(1), width if good else U(0))
            place += U(1) + width
        if not good:
            break
        timestamps[rows] = np.int64(timestamp)
        words[rows] = word
        at, head = place, kind
        rows += U(1)
    return at, rows, head
