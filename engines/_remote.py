"""Prometheus's remote write and remote read: protobuf messages in snappy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.codecs._frame import varint
from squeezelab.dataset import UNITS_PER_SECOND, MetricDataset, SeriesKey
from squeezelab.engines._names import escape, unescape
from squeezelab.errors import EngineError

Ints = npt.NDArray[np.int64]
NAME = "__name__"
LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
BATCH = 20_000
"""Samples a request."""
SAMPLE = 22
"""Bytes of the longest message of a sample, with its tag and length."""
STREAMED = 1
"""The type of answer that holds chunks as they are stored: it has all their bits."""
HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def to_milliseconds(timestamps: Ints, time_unit: str) -> Ints:
    """Return times in milliseconds, those of finer units cut down to them.

    Raises
    ------
    EngineError
        If they do not fit 64 bits.
    """
    per_second = UNITS_PER_SECOND[time_unit]
    if per_second >= 1000:
        return timestamps // (per_second // 1000)
    if np.abs(timestamps.astype(np.float64)).max(initial=0) * 1000 >= 2.0**63:
        raise EngineError("milliseconds in 64 bits cannot hold these times")
    return timestamps * 1000


def from_milliseconds(timestamps: Ints, time_unit: str) -> Ints:
    """Return milliseconds in a unit."""
    per_second = UNITS_PER_SECOND[time_unit]
    return timestamps * (per_second // 1000) if per_second >= 1000 else timestamps // 1000


def span_in_milliseconds(start: int, stop: int, time_unit: str) -> tuple[int, int]:
    """Return the first and the last millisecond of a span, to which its end does not belong.

    Examples
    --------
    >>> span_in_milliseconds(10, 20, "s"), span_in_milliseconds(1_500_000, 1_500_001, "ns")
    ((10000, 19999), (1, 1))
    """
    per_second = UNITS_PER_SECOND[time_unit]
    if per_second >= 1000:
        return start // (per_second // 1000), (stop - 1) // (per_second // 1000)
    return start * 1000, stop * 1000 - 1


def plain_labels(key: SeriesKey) -> dict[str, str]:
    """Return name and labels as Prometheus's rules want them, by name; a label without a value is none."""
    labels = {NAME: escape(key.metric_name)}
    for name, value in key.labels.items():
        if value:
            labels[escape(name, f"(?!{NAME}$){LABEL}")] = value
    return dict(sorted(labels.items()))


def to_key(labels: Mapping[str, str]) -> SeriesKey:
    """Return the key that `plain_labels` made labels of.

    Examples
    --------
    >>> key = SeriesKey("a b", {"__name__": "c", "d": "e"})
    >>> to_key(plain_labels(key)) == key
    True
    """
    rest = {unescape(name): value for name, value in labels.items() if name != NAME}
    return SeriesKey(unescape(labels.get(NAME, "")), rest)


class Batch(NamedTuple):
    """A part of a request: what to send, and the messages of each of its series by themselves."""

    series: list[bytes]

    @property
    def body(self) -> bytes:
        """The request."""
        return compress(b"".join(self.series))


def write_requests(dataset: MetricDataset, span: int) -> Iterator[Batch]:
    """Yield all samples in the order of time, in batches that span no more milliseconds than told."""
    times = to_milliseconds(dataset.timestamps, dataset.time_unit)
    owners = np.repeat(np.arange(len(dataset.keys)), np.diff(dataset.offsets))
    heads = [_message_of_labels(plain_labels(key)) for key in dataset.keys]
    order = np.argsort(times, kind="stable")
    sorted_times = times[order]
    start = 0
    while start < len(order):
        within = int(np.searchsorted(sorted_times, sorted_times[start] + np.int64(span)))
        stop = max(start + 1, min(start + BATCH, within))
        chosen = order[start:stop]
        chosen = chosen[np.argsort(owners[chosen], kind="stable")]
        yield Batch(_messages(heads, owners[chosen], times[chosen], dataset.values[chosen]))
        start = stop


def _messages(heads: list[bytes], owners: Ints, times: Ints, values: npt.NDArray[np.float64]) -> list[bytes]:
    """Return WriteRequest's ``timeseries`` of samples that stand series after series."""
    samples, ends = encode_samples(times, values)
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    starts = np.append(0, ends)[first].tolist()
    found = []
    for owner, a, b in zip(owners[first].tolist(), starts, [*starts[1:], len(samples)], strict=True):
        head = heads[owner]
        found.append(b"\x0a" + varint(len(head) + b - a) + head + samples[a:b])
    return found


def encode_samples(times: Ints, values: npt.NDArray[np.float64]) -> tuple[bytes, Ints]:
    """Return TimeSeries' ``samples`` one after another, and where each ends.

    Examples
    --------
    >>> encode_samples(np.array([300]), np.array([1.0]))[0].hex(" ")
    '12 0c 09 00 00 00 00 00 00 f0 3f 10 ac 02'
    """
    rows = np.zeros((len(times), SAMPLE), np.uint8)
    rows[:, 0], rows[:, 2], rows[:, 11] = 0x12, 0x09, 0x10
    rows[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    left, length = times.view(np.uint64).copy(), np.zeros(len(times), np.int64)
    for i in range(10):
        more = left >> np.uint64(7)
        present = (left > 0) | (i == 0)
        length += present
        rows[:, 12 + i] = (left & np.uint64(127)) | (np.uint64(128) * (more > 0))
        left = more
    rows[:, 1] = 10 + length
    return rows[np.arange(SAMPLE) < (12 + length)[:, None]].tobytes(), np.cumsum(12 + length)


def _message_of_labels(labels: Mapping[str, str]) -> bytes:
    found = b""
    for pair in sorted((name.encode(), value.encode()) for name, value in labels.items()):
        found += field(1, b"".join(field(number, text) for number, text in enumerate(pair, 1)))
    return found


def read_request(matchers: Mapping[str, str], first: int, last: int) -> bytes:
    """Return a ReadRequest for series that have these labels, between two times in milliseconds, both included.

    A name that every series has stands for all of them: ``{"__name__": ""}`` is sent as "not empty".
    """
    wanted = b"".join(
        field(3, (b"" if value else b"\x08\x01") + field(2, name.encode()) + field(3, value.encode()))
        for name, value in matchers.items()
    )
    query = b"\x08" + varint(first % 2**64) + b"\x10" + varint(last % 2**64) + wanted
    return compress(field(1, query) + b"\x10" + varint(STREAMED))


def read_frames(answer: bytes) -> Iterator[tuple[dict[str, str], list[bytes]]]:
    """Yield labels and chunks of the series in a streamed answer; one of many chunks comes in several pieces.

    Raises
    ------
    EngineError
        If a chunk is of a kind that is not XOR.
    """
    at = 0
    while at < len(answer):
        size, at = take_varint(answer, at)
        at += 4  # the CRC-32C of what follows, which came through loopback
        for number, series in fields(answer[at : at + size]):
            if number == 1:
                yield _to_series(series)
        at += size


def _to_series(message: bytes) -> tuple[dict[str, str], list[bytes]]:
    labels, chunks = {}, []
    for number, part in fields(message):
        if number == 1:
            pair = dict(fields(part))
            labels[bytes(pair.get(1, b"")).decode()] = bytes(pair.get(2, b"")).decode()
        elif number == 2:
            chunk = dict(fields(part))
            if chunk.get(3) != 1:
                raise EngineError(f"it answered with a chunk of kind {chunk.get(3)}, which is not XOR")
            chunks.append(chunk[4])
    return labels, chunks


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield numbers and values of a message's fields; what is a number in it is one here."""
    at = 0
    while at < len(message):
        tag, at = take_varint(message, at)
        if tag & 7 == 2:
            size, at = take_varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        else:
            value, at = take_varint(message, at)
            yield tag >> 3, value


def take_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def compress(message: bytes) -> bytes:
    """Return a message in snappy's raw form."""
    return bytes(pa.compress(message, "snappy", asbytes=True))
