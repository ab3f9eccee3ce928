"""CBOR: the records of NDJSON in binary, one after another."""

from __future__ import annotations

import io
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import as_bytes
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.formats._records import RecordFormat
from squeezelab.formats.base import Buffer, group_samples
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_word, store_word

_MOST_ROWS = 2**16
_KEYS = {"metric_name", "labels", "timestamp", "value"}
_VALUE_KEY = np.frombuffer(cbor2.dumps("value") + b"\xfb", np.uint8)
"""The key of the value, and the first byte of a double."""

LONGEST_TAIL = 9 + _VALUE_KEY.size + 8
"""No record is longer than its prefix and this: a timestamp and a value at their longest."""


class Cbor(RecordFormat):
    """A record a sample, as `Ndjson`, in CBOR: a sequence of maps.

    Notes
    -----
    Each record is what ``cbor2.dumps`` makes of the dict with keys ``metric_name``, ``labels``, ``timestamp`` and
    ``value``: integers in as few bytes as hold them, floats always in eight. NaN and the infinities have eight bytes as
    well, which keeps every payload of a NaN; cbor2 cuts them to two.

    As with NDJSON, nothing in the file checks it or tells the unit of time, a series without samples has no record and
    is gone, and half a surrogate pair is rejected. Other programs' records may have their keys in any order, floats of
    any width and whole numbers for values; series may be interleaved. Records written here are read by a kernel, others
    by cbor2.

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
    longest_tail = LONGEST_TAIL

    def prefix(self, key: SeriesKey) -> Any:
        """Return the bytes that all records of a series begin with."""
        return _prefix(key)

    def write_into(self, buffer: Any, at: Any, prefix: Any, timestamps: Any, values: Any) -> Any:
        """Write the records."""
        return write_records(buffer, at, prefix, timestamps, values)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read records; series come in the order of their first one, samples in the order of their records.

        Raises
        ------
        CorruptDataError
            If anything is not a record; the message says at which byte it begins.
        """
        view, file = as_bytes(data), io.BytesIO(data)
        keys: dict[SeriesKey, int] = {}
        parts: list[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
        at = 0
        while at < len(view):
            key, timestamp, value, after_one = _read_one(file, at)
            after, timestamps, values = _read_many(view, at, _prefix(key))
            if not len(values):  # spelled in another way
                after, timestamps, values = after_one, np.array([timestamp], np.int64), np.array([value])
            parts.append((keys.setdefault(key, len(keys)), timestamps, values))
            at = after
        return group_samples(list(keys), *_columns(parts))


def _prefix(key: SeriesKey) -> Bytes:
    """Return what every record of a series begins with: all before the timestamp."""
    try:
        head = cbor2.dumps({"metric_name": key.metric_name, "labels": dict(key.labels)})
    except UnicodeEncodeError as error:
        raise SqueezelabError(f"CBOR cannot hold half a surrogate pair: rename {str(key)!a}") from error
    return np.frombuffer(b"\xa4" + head[1:] + cbor2.dumps("timestamp"), np.uint8)


def _columns(
    parts: list[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Join runs of samples; return for each sample its series' number, timestamp and value."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    numbers, timestamps, values = zip(*parts, strict=True)
    return np.repeat(numbers, [len(one) for one in values]), np.concatenate(timestamps), np.concatenate(values)


def _read_one(file: io.BytesIO, at: int) -> tuple[SeriesKey, int, float, int]:
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
        value = float(record["value"])
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


def _read_many(view: Bytes, at: int, prefix: Bytes) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Read the records from a byte on that begin with a prefix and are spelled as here; return the byte after them."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.float64))]
    room = _MOST_ROWS
    while room == _MOST_ROWS:
        timestamps, values = np.empty(room, np.int64), np.empty(room, np.float64)
        stop = read_records(view, U(at), prefix, timestamps, values)
        at, room = int(stop[0]), int(stop[1])
        parts.append((timestamps[:room], values[:room]))
    return at, np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])


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
def write_records(buffer, at, prefix, timestamps, values):
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
    values : float64[n]

    Returns
    -------
    uint64
        The byte after the last record.
    """
    for i in range(values.size):
        for j in range(U(prefix.size)):
            buffer[at + j] = prefix[j]
        at = _write_integer(buffer, at + U(prefix.size), timestamps[i])
        for j in range(U(_VALUE_KEY.size)):
            buffer[at + j] = _VALUE_KEY[j]
        at += U(_VALUE_KEY.size)
        store_word(buffer, at, np.float64(values[i]).view(np.uint64))
        at += U(8)
    return at


@kernel(forceinline=True)
def _begins(data, at, text):
    """Return whether a text stands at a byte; ``data`` must be long enough."""
    j, size = U(0), U(text.size)
    while j < size and data[at + j] == text[j]:
        j += U(1)
    return j == size


@kernel
def read_records(data, at, prefix, timestamps, values):
    """Read records that begin with a prefix, until one does not or the columns are full.

    Returns
    -------
    at, count : uint64
        The byte after the last record that was read, and how many they are.
    """
    end, rows = U(data.size), U(0)
    while rows < U(values.size):
        # A timestamp takes a byte at least: what is shorter than this is left for cbor2 to complain about.
        if at + U(prefix.size) + U(1) > end or not _begins(data, at, prefix):
            break
        place = at + U(prefix.size)
        head = U(data[place])
        kind, short = head >> U(5), head & U(31)
        place += U(1)
        if kind > U(1) or short > U(27):
            break
        size = U(0) if short < U(24) else U(1) << (short - U(24))
        # The word that is loaded may reach beyond the timestamp, not beyond the record: the value is longer.
        if place + size + U(_VALUE_KEY.size) + U(8) > end:
            break
        magnitude = short if not size else load_word(data, place) >> (U(64) - (size << U(3)))
        place += size
        if magnitude >> U(63) or not _begins(data, place, _VALUE_KEY):
            break
        place += U(_VALUE_KEY.size)
        timestamps[rows] = np.int64(magnitude ^ (U(0) - kind))
        values[rows] = U(load_word(data, place)).view(np.float64)
        at = place + U(8)
        rows += U(1)
    return at, rows
