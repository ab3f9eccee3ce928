"""A data set in Prometheus's own chunks: what its timestamps and values take there, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import read_varint, varint
from squeezelab.codecs._prometheus import SAMPLES_PER_CHUNK
from squeezelab.codecs.base import as_bytes
from squeezelab.codecs.prometheus_xor import (
    read_chunk,
    write_chunk,
)
from squeezelab.codecs.prometheus_xor2 import read_chunk as read_xor2_chunk
from squeezelab.codecs.prometheus_xor2 import worst_chunk_bytes
from squeezelab.codecs.prometheus_xor2 import write_chunk as write_xor2_chunk
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats._crc32c import crc32c
from squeezelab.formats._prometheus_block import Chunk, block_bytes
from squeezelab.formats._sealed import seal, unseal
from squeezelab.formats.base import Buffer, Format, SeriesBytes
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import WRITE_SLACK, U, put_varint, scratch, take_varint
from squeezelab.registry import check_choice, non_default_settings

CHUNK_RANGE = 2 * 60 * 60 * 1000
"""Milliseconds of a block; no chunk reaches across their multiples."""

MOST_BYTES = U(1024 - 19)
"""A chunk that has more gets no further sample: the largest takes 19 bytes, and a chunk shall have at most 1024."""

KINDS = {"xor": 1, "xor2": 4}
"""The kinds of chunks, with the numbers by which Prometheus knows them."""

_XOR, _XOR2 = KINDS.values()

_CRC_BYTES = 4
_MOST_FRAMING_BYTES = 3 + 1 + _CRC_BYTES
_FEWEST_SAMPLE_BITS = 1


class Prometheus(Format):
    """The chunks that a Prometheus server writes to a block, beside the lab's own dictionary of the series.

    Choose it to see what timestamps and values together take in a Prometheus. What a block has besides is not counted:
    its index, which lists the labels as the dictionary does, and also where every chunk lies and what to find it by.
    `series_bytes` says what a whole block takes, chunks and index, and ``bench --by metric`` shows it.

    Parameters
    ----------
    chunks : {"xor", "xor2"}
        The kind of chunks, as ``storage.tsdb.chunk_encoding.floats`` in a server's configuration, since 3.13; by a
        feature flag, ``xor2`` has been there since 3.11. Either kind is read, whatever is set.

    Notes
    -----
    ::

        varint      what timestamps were multiplied by: 1000 where they are seconds and 64 bits suffice, else 1
        varints     number of samples of each series
        chunks      series after series, each in order

    Around them lies what `squeezelab.formats._sealed` draws. A chunk is, as in Prometheus's chunks files::

        varint      bytes of data
        1 byte      timestamps and values as is drawn in: 1 `squeezelab.codecs.prometheus_xor`, 4 `prometheus_xor2`
        data
        4 bytes     CRC-32C of the two before, big-endian

    Chunks are cut where a server cuts them that receives sample after sample: at every two hours, and so that the rest
    of them makes equal chunks of 120 samples or a few more, judged by how long the first 30 took; and before 1024
    bytes are full. Timestamps that do not rise, which Prometheus rejects, are kept all the same. No sample has a start
    timestamp: what a server without ``--enable-feature=st-storage`` writes.

    XOR2 must write a start timestamp all the same from the 128th sample of a chunk on, three bytes or so a sample.
    Where cuts make such chunks, as of 144 samples at an interval of 25 seconds, it may be larger than XOR.

    References
    ----------
    Prometheus, tsdb/docs/format/chunks.md, and for the cuts tsdb/head_append.go; compared with 3.14.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Prometheus().encode(dataset)
    >>> Prometheus().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "prometheus"
    compressible = False
    showcase = ("", "chunks=xor2")

    def __init__(self, chunks: str = "xor") -> None:
        check_choice("prometheus", "chunks", chunks, KINDS)
        self._kind = chunks
        self.name += non_default_settings(type(self), {"chunks": chunks})

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the head, the chunks of each series, and the checksum."""
        yield from seal(Prometheus.name, dataset.keys, self._body(dataset))

    def series_bytes(self, dataset: MetricDataset) -> SeriesBytes:
        """Say which bytes of a server's block of all these samples are of which series."""
        unit = _factor(dataset)
        chunks = [
            [*list_chunks(encoded, timestamps * unit)]
            for encoded, (_, timestamps, _) in zip(self._series(dataset), dataset, strict=True)
        ]
        return block_bytes(dataset.keys, chunks)

    def _body(self, dataset: MetricDataset) -> Iterator[bytes]:
        yield b"".join(map(varint, [_factor(dataset), *np.diff(dataset.offsets).tolist()]))
        yield from self._series(dataset)

    def _series(self, dataset: MetricDataset) -> Iterator[bytes]:
        unit = _factor(dataset)
        # Units finer than Prometheus's own are written as they are.
        chunk_range = CHUNK_RANGE * max(1, dataset.second // 1000)
        for _, timestamps, values in dataset:
            yield encode_series(timestamps * unit, values, chunk_range=chunk_range, kind=self._kind)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read the chunks into the arrays of a new data set."""
        keys, body, at = unseal(Prometheus.name, data)
        head = body[at : at + 10 * (1 + len(keys))].tobytes()
        numbers, after = [], 0
        for _ in range(1 + len(keys)):
            number, after = read_varint(head, after)
            numbers.append(number)
        unit, *counts = numbers
        at += after
        if unit not in (1, 1000) or sum(counts) * _FEWEST_SAMPLE_BITS > 8 * (len(body) - at):
            raise CorruptDataError("the file claims what its bytes cannot hold: it is damaged")
        offsets = np.array([0, *accumulate(counts)], np.int64)
        timestamps, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.float64)
        words = timestamps.view(np.uint64), values.view(np.uint64)
        # The whole file: its checksum is what may be read after the last chunk.
        if not read_chunks(as_bytes(data), U(at), U(len(body)), offsets.view(np.uint64), *words):
            raise CorruptDataError("the chunks do not hold the samples that the file promises: it is damaged")
        if unit != 1:
            seconds = timestamps // unit
            if not np.array_equal(seconds * unit, timestamps):
                raise CorruptDataError("a timestamp is no whole second: the file is damaged")
            timestamps = seconds
        try:
            return MetricDataset(keys, offsets, timestamps, values)
        except ValueError as error:
            raise CorruptDataError(f"the file holds no valid data set: {error}") from error


def _factor(dataset: MetricDataset) -> int:
    """Return what timestamps are multiplied by to count milliseconds."""
    return 1000 if dataset.time_unit == "s" and _fits_milliseconds(dataset.timestamps) else 1


def _fits_milliseconds(timestamps: npt.NDArray[np.int64]) -> bool:
    most = (2**63 - 1) // 1000
    return not timestamps.size or bool(timestamps.min() >= -most and timestamps.max() <= most)


def encode_series(
    timestamps: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    *,
    chunk_range: int = CHUNK_RANGE,
    spare_byte: bool = False,
    kind: str = "xor",
) -> bytes:
    """Return the chunks of a series as they lie in one of Prometheus's chunks files, byte for byte.

    So does version 3; 2.42 did not yet limit chunks to 1024 bytes, and before 3.0 some end with a spare zero byte.

    Parameters
    ----------
    timestamps : int64[n]
        In milliseconds, rising.
    values : float64[n]
        The readings.
    chunk_range : int
        Milliseconds at whose multiples chunks end: two hours in a server; four in `promtool`, which fills
        blocks of two hours all the same.
    spare_byte : bool
        As in `squeezelab.codecs.prometheus_xor.encode_chunk`: whether to do as versions before 3.0 did.
    kind : {"xor", "xor2"}
        Of the chunks.

    Returns
    -------
    bytes
        Chunk after chunk, each with its length, its kind and its CRC.

    Examples
    --------
    >>> encode_series(np.array([1000, 2000]), np.array([1.0, 1.0])).hex()
    '0f010002d00f3ff0000000000000e807008c409360'
    """
    buffer = scratch((worst_chunk_bytes(1) + _MOST_FRAMING_BYTES) * timestamps.size + WRITE_SLACK)
    words = timestamps.view(np.uint64), values.view(np.uint64)
    return buffer[: int(write_chunks(*words, chunk_range, spare_byte, U(KINDS[kind]), buffer))].tobytes()


def list_chunks(encoded: bytes, timestamps: npt.NDArray[np.int64]) -> Iterator[Chunk]:
    """Yield the chunks that `encode_series` made of these timestamps.

    Examples
    --------
    >>> timestamps = np.array([1000, 2000])
    >>> list(list_chunks(encode_series(timestamps, np.array([1.0, 1.0])), timestamps))
    [Chunk(first=1000, last=2000, size=21)]
    """
    at = first = 0
    while at < len(encoded):
        size, after = read_varint(encoded, at)
        stop = after + 1 + size + _CRC_BYTES
        end = first + int.from_bytes(encoded[after + 1 : after + 3], "big")
        yield Chunk(int(timestamps[first]), int(timestamps[end - 1]), stop - at)
        at, first = stop, end


@kernel
def end_of_chunk(timestamps, first, chunk_range):
    """Return the sample before which Prometheus ends a chunk, if bytes do not end it sooner.

    Parameters
    ----------
    timestamps : int64[n]
        In milliseconds.
    first : int
        Where the chunk begins.
    chunk_range : int
        Milliseconds at whose multiples chunks end.
    """
    start = timestamps[first]
    # As Go divides: towards zero.
    whole = start // chunk_range if start >= 0 else -(-start // chunk_range)
    limit = whole * chunk_range + chunk_range
    i, most = first + 1, min(len(timestamps), first + 2 * SAMPLES_PER_CHUNK)
    while i < most:
        if i == first + SAMPLES_PER_CHUNK // 4:
            took = timestamps[i - 1] - start + 1
            chunks_left = (limit - start) // (4 * took) if 0 < took < 2**60 else 1
            if chunks_left > 1:
                limit = start + (limit - start) // chunks_left
        if timestamps[i] >= limit:
            break
        i += 1
    return i


@kernel
def write_chunks(timestamps, values, chunk_range, spare_byte, kind, buffer):
    """Write all chunks of a series, its samples given as uint64 words, into a buffer; return their bytes."""
    at, first = U(0), np.int64(0)
    while first < len(timestamps):
        end = end_of_chunk(timestamps.view(np.int64), first, chunk_range)
        # Where the data begin depends on how many bytes their length takes, which is two most often.
        begin = at + U(3)
        if kind == U(_XOR2):
            stop, count = write_xor2_chunk(timestamps[first:end], values[first:end], MOST_BYTES, buffer, begin)
        else:
            stop, count = write_chunk(timestamps[first:end], values[first:end], MOST_BYTES, spare_byte, buffer, begin)
        first += np.int64(count)
        head = put_varint(buffer, at, stop - begin)
        buffer[head] = kind
        if head + U(1) != begin:
            for i in range(stop - begin):
                buffer[head + U(1) + i] = buffer[begin + i]
            stop = head + U(1) + (stop - begin)
        crc = crc32c(buffer, head, stop)
        for i in range(U(4)):
            buffer[stop + i] = crc >> (U(24) - (i << U(3)))
        at = stop + U(4)
    return at


@kernel
def read_chunks(data, at, stop, offsets, timestamps, values):
    """Fill uint64 words from the chunks ``data[at:stop]``; return whether they hold exactly these many for each series.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    for series in range(offsets.size - 1):
        first = offsets[series]
        while first < offsets[series + 1]:
            size, kind = take_varint(data, at, stop)
            if kind > stop or size > stop - kind or kind + U(1) + size + U(4) > stop:
                return False
            at = kind + U(1) + size
            crc = U(0)
            for i in range(U(4)):
                crc = crc << U(8) | U(data[at + i])
            count = U(data[kind + U(1)]) << U(8) | U(data[kind + U(2)])
            end = first + count
            if count == U(0) or end > offsets[series + 1] or crc != crc32c(data, kind, at):
                return False
            times, readings = timestamps[first:end], values[first:end]
            if data[kind] == _XOR:
                whole = read_chunk(data, kind + U(1), at, times, readings)
            else:
                whole = data[kind] == _XOR2 and read_xor2_chunk(data, kind + U(1), at, times, readings)
            if not whole:
                return False
            at += U(4)
            first = end
    return at == stop
