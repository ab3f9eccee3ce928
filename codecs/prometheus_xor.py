"""Prometheus's XOR chunks: timestamps and values in one stream of bits, and each of the two as a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._prometheus import XOR, HalfOfChunks, put_delta_of_delta, take_delta_of_delta
from squeezelab.codecs.base import as_bytes
from squeezelab.codecs.xor import put_xor
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    READ_SLACK,
    WRITE_SLACK,
    U,
    peek_57,
    peek_64,
    put_varint,
    scratch,
    store_word,
    take_varint,
    unzigzag,
    zigzag,
)

MOST_SAMPLES = 2**16 - 1
"""How many a chunk's two bytes can count."""

NO_LIMIT = U(2**62)


class PrometheusXor(HalfOfChunks):
    """Half of Prometheus's chunks: their timestamps for an int64 column, their values for a float64 one.

    Prometheus compresses as Gorilla does, with wider codes for timestamps, which it counts in milliseconds, and begins
    anew in every chunk of about 120 samples. Choose it to see what that comes to: the first value of each chunk takes
    64 bits, but no window of meaningful bits, once opened too wide, outlives its chunk. `encode_chunk` makes whole
    chunks; the format `prometheus` keeps a data set in them.

    Notes
    -----
    Payload: for each 120 items, from a byte's beginning on, bits most significant first. Timestamps::

        varint                 the first one, zigzag
        varint                 the delta of the second one, modulo 2**64
        0                      a delta as the one before
        10   <14 bits>         delta of delta from -8191 to 8192
        110  <17 bits>         from -65535 to 65536
        1110 <20 bits>         from -524287 to 524288
        1111 <64 bits>         any other

    Values, as `xor` draws them::

        64 bits                the first one
        0                      the value before, once more
        10 <meaningful bits>   XOR within the last window
        11 <leading zeros: 5> <width: 6> <meaningful bits>    XOR, opens a new window

    In a chunk the code of each value follows that of its timestamp, in one stream. What belongs to neither is left out:
    two bytes that count a chunk's samples, and in Prometheus's files its length, its kind and its CRC. A column knows
    nothing of time, so all chunks have 120 samples; Prometheus cuts them so as to end with its two hours.

    References
    ----------
    Prometheus, tsdb/chunkenc/xor.go and tsdb/docs/format/chunks.md.

    T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", PVLDB 8(12), 2015, section 4.1.

    Examples
    --------
    >>> codec = PrometheusXor()
    >>> codec.decode(codec.encode(np.array([1_700_000_000_000, 1_700_000_015_000, 1_700_000_030_001])))
    array([1700000000000, 1700000015000, 1700000030001])
    >>> codec.decode(codec.encode(np.array([12.0, 24.0, 24.0, -0.0])))
    array([12., 24., 24., -0.])
    """

    name = "prometheus_xor"

    version = XOR


def encode_chunk(timestamps: npt.ArrayLike, values: npt.ArrayLike, *, spare_byte: bool = False) -> bytes:
    """Return the data of one chunk, byte for byte as Prometheus writes them.

    Parameters
    ----------
    timestamps : int64[n]
        In milliseconds; at most 65,535.
    values : float64[n]
        The readings; Prometheus marks a stale series by the NaN ``0x7ff0000000000002``.
    spare_byte : bool
        Whether to do as versions before 3.0 did: after a last value whose meaningful bits were whole bytes, in place,
        they left a zero byte that they had made ready for more.

    Raises
    ------
    InvalidRequestError
        If there are too many samples, or not as many values as timestamps.

    Notes
    -----
    Two bytes count the samples. Then come the first timestamp and value, and for each further sample a code of either,
    as `PrometheusXor` draws them.

    Examples
    --------
    >>> encode_chunk([1000, 2000], [1.0, 1.0]).hex()
    '0002d00f3ff0000000000000e80700'
    """
    times, readings = as_samples(timestamps, values)
    if not times.size:
        return bytes(2)
    buffer = scratch(worst_chunk_bytes(times.size) + WRITE_SLACK)
    after, _ = write_chunk(times.view(np.uint64), readings.view(np.uint64), NO_LIMIT, spare_byte, buffer, U(0))
    return buffer[: int(after)].tobytes()


def decode_chunk(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the samples of one chunk.

    Parameters
    ----------
    data : bytes-like
        What `encode_chunk` returns, or Prometheus writes.

    Returns
    -------
    timestamps : int64[n]
        In milliseconds.
    values : float64[n]

    Raises
    ------
    CorruptDataError
        If the bytes are not one whole chunk. A chunk has no checksum: not all damage shows.

    Examples
    --------
    >>> decode_chunk(bytes.fromhex("0002d00f3ff0000000000000e80700"))
    (array([1000, 2000]), array([1., 1.]))
    """
    return decode_with(read_chunk, data)


def as_samples(
    timestamps: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the samples of one chunk as arrays.

    Raises
    ------
    InvalidRequestError
        If there are too many samples, or not as many values as timestamps.
    """
    times, readings = np.ascontiguousarray(timestamps, np.int64), np.ascontiguousarray(values, np.float64)
    if times.ndim != 1 or times.shape != readings.shape:
        raise InvalidRequestError(f"a chunk needs a value for each timestamp, not {times.shape} and {readings.shape}")
    if times.size > MOST_SAMPLES:
        raise InvalidRequestError(f"a chunk holds at most {MOST_SAMPLES} samples, not {times.size}: make several")
    return times, readings


def decode_with(read: Any, data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the samples of one chunk, read by the kernel of its kind.

    Raises
    ------
    CorruptDataError
        If the bytes are not one whole chunk.
    """
    chunk = as_bytes(data)
    padded = np.concatenate([chunk, np.zeros(READ_SLACK, np.uint8)])
    count = int.from_bytes(padded[:2].tobytes(), "big")
    timestamps, values = np.empty(count, np.int64), np.empty(count, np.float64)
    if not read(padded, U(0), U(chunk.size), timestamps.view(np.uint64), values.view(np.uint64)):
        raise CorruptDataError("these bytes are not one whole Prometheus chunk: they are damaged or of another kind")
    return timestamps, values


def worst_chunk_bytes(count: int) -> int:
    """Return the most bytes that chunks of so many samples can take if each has one sample or more."""
    return 21 * count


@kernel
def write_chunk(timestamps, values, most_bytes, spare_byte, buffer, at):
    """Write a chunk from byte ``at`` on, of all samples or as many as begin within ``most_bytes``; at least one.

    Returns
    -------
    at, count
        The byte after the chunk, and how many samples are in it.
    """
    start, count = at, U(timestamps.size)
    at = put_varint(buffer, at + U(2), zigzag(timestamps[U(0)]))
    store_word(buffer, at, values[U(0)])
    at += U(8)
    delta, xor = U(0), U(0)
    pending, fill = U(0), U(0)
    outside, leading, width = ~U(0), U(0), U(0)
    i = U(1)
    while i < count and at + U(fill > U(0)) <= start + most_bytes:
        step = timestamps[i] - timestamps[i - U(1)]
        if i == U(1):
            at = put_varint(buffer, at, step)
        else:
            at, pending, fill = put_delta_of_delta(buffer, at, pending, fill, step - delta)
        delta = step
        xor = values[i] ^ values[i - U(1)]
        at, pending, fill, outside, leading, width = put_xor(buffer, at, pending, fill, xor, outside, leading, width)
        i += U(1)
    buffer[start] = i >> U(8)
    buffer[start + U(1)] = i
    if fill > U(0):
        at += U(1)
    elif spare_byte and (i == U(1) or (xor != U(0) and width & U(7) == U(0))):
        buffer[at] = 0
        at += U(1)
    return at, i


@kernel
def read_chunk(data, start, stop, timestamps, values):
    """Fill uint64 words from the chunk ``data[start:stop]``; return whether it holds exactly these many samples.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    count = U(timestamps.size)
    if start + U(2) > stop or (U(data[start]) << U(8) | U(data[start + U(1)])) != count:
        return False
    at = start + U(2)
    if count == U(0):
        return at == stop
    number, at = take_varint(data, at, stop)
    if at + U(8) > stop:
        return False
    timestamp, value = unzigzag(number), peek_64(data, at << U(3))
    timestamps[U(0)], values[U(0)] = timestamp, value
    at += U(8)
    delta, width, trailing = U(0), U(0), U(0)
    if count > U(1):
        delta, at = take_varint(data, at, stop)
    position, end = at << U(3), stop << U(3)
    i = U(1)
    while i < count:
        if position >= end:
            return False
        code = peek_57(data, position)
        if i > U(1):
            if code >> U(63) == U(0):
                position += U(1)
                code <<= U(1)
            else:
                change, position = take_delta_of_delta(data, position, end, code)
                if position >= end:
                    return False
                delta += change
                code = peek_57(data, position)
        timestamp += delta
        timestamps[i] = timestamp
        # Of the code, 56 bits are there.
        if code >> U(63) == U(0):
            position += U(1)
        else:
            position += U(2)
            if code >> U(62) == U(0b11):
                leading = (code >> U(57)) & U(31)
                width = (((code >> U(51)) - U(1)) & U(63)) + U(1)
                position += U(11)
                if leading + width > U(64):
                    return False
                trailing = U(64) - leading - width
            if width == U(0) or position + width > end:
                return False
            value ^= (peek_64(data, position) >> (U(64) - width)) << trailing
            position += width
        values[i] = value
        i += U(1)
    after = (position + U(7)) >> U(3)
    return after == stop or (after + U(1) == stop and data[after] == 0)
