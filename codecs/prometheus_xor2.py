"""Prometheus's XOR2 chunks: one code for timestamp and value together, and each of the two as a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._prometheus import STALE, XOR2, HalfOfChunks, put_change, put_value, take_change, take_value
from squeezelab.codecs.prometheus_xor import (
    NO_LIMIT,
    as_samples,
    decode_with,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    WRITE_SLACK,
    U,
    leading_zeros,
    peek_57,
    peek_64,
    put_top,
    put_varint,
    scratch,
    store_word,
    take_varint,
    unzigzag,
    zigzag,
)

FIRST_WITH_START = U(127)
"""The header's seven bits count no further: from this sample on, each tells when its series started."""


class PrometheusXor2(HalfOfChunks):
    """Half of Prometheus's XOR2 chunks: their timestamps for an int64 column, their values for a float64 one.

    XOR2 tells in one code whether an interval and whether a value repeats, which takes one bit for both where XOR takes
    two; jitter of a few seconds takes two whole bytes, and the marker of a stale series 3 or 5 bits in place of a NaN.
    Choose it to see what that comes to. `encode_chunk` makes whole chunks; the format `prometheus:chunks=xor2` keeps a
    data set in them.

    Notes
    -----
    Payload: for each 120 items, from a byte's beginning on, bits most significant first. Timestamps::

        varint                 the first one, zigzag
        varint                 the delta of the second one, modulo 2**64
        0                      a delta as the one before
        110   <13 bits>        delta of delta from -4096 to 4095
        1110  <20 bits>        from -524288 to 524287
        11110 <64 bits>        any other

    Values, the second one of a chunk by the codes on the left, all others by those on the right::

        64 bits                           the first one
        0        0                        the value before, once more
        10       100    <meaningful bits>    XOR within the last window
        110      101    <leading zeros: 5> <width: 6> <meaningful bits>    XOR, opens a new window
        111      11111                    stale: the NaN 0x7ff0000000000002; the next XOR is with the value before it

    In a chunk each sample from the third on has the code of its timestamp, unless it repeats the interval, and after
    it the code of its value: from the left where the timestamp had one, from the right where it had not. So the 0 of
    an interval that repeats is a column's alone, for it must be read without the other. What belongs to neither is left
    out: two bytes that count a chunk's samples and one for start timestamps, and in Prometheus's files its length, its
    kind and its CRC. A column knows nothing of time, so all chunks have 120 samples.

    References
    ----------
    Prometheus 3.14, tsdb/chunkenc/xor2.go and tsdb/docs/format/chunks.md.

    Examples
    --------
    >>> codec = PrometheusXor2()
    >>> codec.decode(codec.encode(np.array([1_700_000_000_000, 1_700_000_015_000, 1_700_000_030_001])))
    array([1700000000000, 1700000015000, 1700000030001])
    >>> codec.decode(codec.encode(np.array([12.0, 24.0, 24.0, -0.0])))
    array([12., 24., 24., -0.])
    """

    name = "prometheus_xor2"

    version = XOR2


def encode_chunk(timestamps: npt.ArrayLike, values: npt.ArrayLike) -> bytes:
    """Return the data of one chunk, byte for byte as Prometheus writes them.

    Parameters
    ----------
    timestamps : int64[n]
        In milliseconds; at most 65,535.
    values : float64[n]
        The readings; Prometheus marks a stale series by the NaN ``0x7ff0000000000002``.

    Raises
    ------
    InvalidRequestError
        If there are too many samples, or not as many values as timestamps.

    Notes
    -----
    Two bytes count the samples, and one says from which on they have start timestamps. Then come the first timestamp
    and value, and for each further sample a code of either, as `PrometheusXor2` draws them.

    Samples here have no start timestamps, which Prometheus writes as 0. That takes no bits up to the 127th sample. From
    the next on it must be written, for the third byte has seven bits to say where it began: first as its distance from
    the timestamp before, then by how much this distance has changed, which is the interval::

        0                      a distance as the one before
        10       <3 bits>      a change from -3 to 4
        110      <6 bits>      from -31 to 32
        1110     <9 bits>      from -255 to 256
        11110    <12 bits>     from -2047 to 2048
        111110   <18 bits>     from -131071 to 131072
        1111110  <25 bits>     from -16777215 to 16777216
        11111110 <56 bits>     from -(2**55 - 1) to 2**55
        11111111 <64 bits>     any other

    Examples
    --------
    >>> encode_chunk([1000, 2000], [1.0, 1.0]).hex()
    '000200d00f3ff0000000000000e80700'
    """
    times, readings = as_samples(timestamps, values)
    if not times.size:
        return bytes(3)
    buffer = scratch(worst_chunk_bytes(times.size) + WRITE_SLACK)
    after, _ = write_chunk(times.view(np.uint64), readings.view(np.uint64), NO_LIMIT, buffer, U(0))
    return buffer[: int(after)].tobytes()


def decode_chunk(data: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the samples of one chunk; start timestamps, where it has any, are passed over.

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
    >>> decode_chunk(bytes.fromhex("000200d00f3ff0000000000000e80700"))
    (array([1000, 2000]), array([1., 1.]))
    """
    return decode_with(read_chunk, data)


def worst_chunk_bytes(count: int) -> int:
    """Return the most bytes that chunks of so many samples can take if each has one sample or more."""
    return 28 * count


@kernel
def _put_start(buffer, at, pending, fill, change):
    """Append by how much the distance to the start has changed."""
    if change == U(0):
        return put_top(buffer, at, pending, fill, U(0), U(0), U(1))
    ones = U(1)
    for width in (U(3), U(6), U(9), U(12), U(18), U(25), U(56)):
        if change + (U(1) << (width - U(1))) - U(1) < U(1) << width:
            # As many ones as there were ranges, a zero, and the bits.
            prefix = ~U(0) << (U(64) - ones)
            code = prefix | (change & ((U(1) << width) - U(1))) << (U(63) - ones - width)
            return put_top(buffer, at, pending, fill, code, U(0), ones + U(1) + width)
        ones += U(1)
    return put_top(buffer, at, pending, fill, U(0xFF) << U(56) | change >> U(8), change << U(56), U(72))


_START_BITS = (1, 5, 9, 13, 17, 24, 32, 64, 72)


@kernel(forceinline=True)
def _skip_start(data, position):
    """Return the position after a start timestamp; it may lie beyond the end."""
    return position + U(_START_BITS[min(leading_zeros(~peek_57(data, position)), U(8))])


@kernel
def write_chunk(timestamps, values, most_bytes, buffer, at):
    """Write a chunk from byte ``at`` on, of all samples or as many as begin within ``most_bytes``; at least one.

    Returns
    -------
    at, count
        The byte after the chunk, and how many samples are in it.
    """
    start, count = at, U(timestamps.size)
    at = put_varint(buffer, at + U(3), zigzag(timestamps[U(0)]))
    store_word(buffer, at, values[U(0)])
    at += U(8)
    last = U(0) if values[U(0)] == STALE else values[U(0)]
    delta, distance = U(0), U(0)
    pending, fill = U(0), U(0)
    outside, leading, width = ~U(0), U(0), U(0)
    i = U(1)
    while i < count and at + U(fill > U(0)) <= start + most_bytes:
        step = timestamps[i] - timestamps[i - U(1)]
        steady = i > U(1) and step == delta
        if i == U(1):
            at = put_varint(buffer, at, step)
        elif not steady:
            at, pending, fill = put_change(buffer, at, pending, fill, step - delta)
        delta = step
        at, pending, fill, last, outside, leading, width = put_value(
            buffer, at, pending, fill, values[i], steady, last, outside, leading, width
        )
        if i >= FIRST_WITH_START:
            at, pending, fill = _put_start(buffer, at, pending, fill, timestamps[i - U(1)] - distance)
            distance = timestamps[i - U(1)]
        i += U(1)
    buffer[start] = i >> U(8)
    buffer[start + U(1)] = i
    buffer[start + U(2)] = FIRST_WITH_START if i > FIRST_WITH_START else U(0)
    return at + U(fill > U(0)), i


@kernel
def read_chunk(data, start, stop, timestamps, values):
    """Fill uint64 words from the chunk ``data[start:stop]``; return whether it holds exactly these many samples.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    count = U(timestamps.size)
    if start + U(3) > stop or (U(data[start]) << U(8) | U(data[start + U(1)])) != count:
        return False
    first_known, first_start = U(data[start + U(2)]) >> U(7), U(data[start + U(2)]) & U(127)
    at = start + U(3)
    if count == U(0):
        return at == stop
    number, at = take_varint(data, at, stop)
    if at + U(8) > stop:
        return False
    timestamp, value = unzigzag(number), peek_64(data, at << U(3))
    timestamps[U(0)], values[U(0)] = timestamp, value
    at += U(8)
    if first_known:
        _, at = take_varint(data, at, stop)
    delta = U(0)
    if count > U(1):
        delta, at = take_varint(data, at, stop)
    last = U(0) if value == STALE else value
    width, trailing = U(0), U(0)
    position, end = at << U(3), stop << U(3)
    i = U(1)
    while i < count:
        if position >= end:
            return False
        steady = False
        if i > U(1):
            change, after = take_change(data, position, end)
            if after >= end:
                return False
            steady = after == position
            delta += change
            position = after
        timestamp += delta
        timestamps[i] = timestamp
        value, last, position, width, trailing = take_value(data, position, end, steady, last, width, trailing)
        values[i] = value
        if U(0) < first_start <= i:
            if position >= end:
                return False
            position = _skip_start(data, position)
        i += U(1)
    return (position + U(7)) >> U(3) == stop
