"""What VictoriaMetrics stores: decimal integers, their differences as varints, and zstd."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from squeezelab.codecs._decimal import decimals_to_floats, floats_to_decimals
from squeezelab.codecs._frame import FLOAT64, INT64, Bytes, Frame, read_varint, signed_varint, varint
from squeezelab.codecs.base import Column, ColumnCodec, Words
from squeezelab.codecs.zstd import Zstd, content_size
from squeezelab.errors import CorruptDataError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import READ_SLACK, U, put_varint, take_varint_at_once, unzigzag, zigzag

BLOCK = 8192
LEAST_SQUEEZED = 128
"""Fewer bytes are not given to zstd."""
WORTH_SQUEEZING = 0.9
LONGEST_VARINT = 10
LEAST_SCALE, MOST_SCALE = -400, 308
"""No float needs a power of ten beyond these."""

ZSTD_DELTA2, DELTA_CONST, CONST, ZSTD_DELTA, DELTA2, DELTA = range(1, 7)


class Victoria(ColumnCodec):
    """VictoriaMetrics's storage of timestamps and values: lossy for values, lossless for timestamps.

    A block's values become integers times one power of ten: 45.3 and 7.25 are 4530 and 725 times 0.01. What follows is
    lossless: a constant and a constant step are stored as such; of other integers the differences, of those that only
    grow (counters, timestamps) the differences of differences; as zigzag varints, squeezed by zstd. Choose it to know
    what VictoriaMetrics would need, and for metrics of few decimal digits where the last of a dozen does not matter.

    What is lost of float64 values:

    - digits beyond the first 12 or more: a value may come back changed by a 10**-12th of itself, 10**-15th where it is
      above a million; integers up to 2**55 are kept, and decimals of fewer digits nearly always;
    - digits more than 17 places below the first digit of the largest value of the block;
    - numbers nearer to zero than 10**-290, which may come back as zero;
    - the sign of -0.0;
    - NaNs: each comes back as Prometheus's stale marker. (VictoriaMetrics itself stores no other NaN.)

    Infinities and stale markers are kept.

    Notes
    -----
    Payload, for each block of 8192 values, the last may be shorter::

        byte      VictoriaMetrics's type, 1 to 6
        varint    power of ten, zigzag; float64 columns only
        varint    the first integer, zigzag
        varint    bytes of data
        data      3 (constant): none. 2 (constant difference): the difference
                  6: each difference; 5: the first difference, then each difference of differences
                  4 and 1: the same as 6 and 5 in a zstd frame, where they take 128 bytes or more and zstd a tenth less

    Differences are zigzag varints. zstd's level is 1 to 5, by the number of values, as VictoriaMetrics sets it. What
    stands before the data here it keeps in a header of fixed width. Its default of 64 precision bits is implied.

    How fast it is read depends on the differences: those of a byte each at 2 GB/s, longer ones at about 1 GB/s, because
    one must be read to know where the next begins; those of ten bytes, of 64-bit noise, and what zstd made of digits
    at random, more slowly.

    References
    ----------
    VictoriaMetrics, ``lib/decimal`` and ``lib/encoding``. A. Valialkin, "VictoriaMetrics: achieving better compression
    than Gorilla for time series data", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Victoria()
    >>> codec.decode(codec.encode(np.array([45.3, 7.25, -0.0, np.inf])))
    array([45.3 ,  7.25,  0.  ,   inf])
    >>> float(codec.decode(codec.encode(np.array([1 / 3])))[0])
    0.333333333333
    """

    name = "victoria"
    lossy = True
    # Two bytes for a block that is constant.
    max_expansion = 8 * BLOCK // 2

    def tolerance(self, column: Column) -> Column:
        """Return a 10**-12th of each value, and what 18 digits below the largest of its block are worth."""
        if column.dtype == INT64:
            return super().tolerance(column)
        magnitude = np.where(np.isfinite(column), np.abs(column), 0.0)
        largest = np.maximum.reduceat(magnitude, np.arange(0, column.size, BLOCK)) if column.size else magnitude
        tolerance: Column = 1.001e-12 * magnitude + np.repeat(2e-18 * largest, BLOCK)[: column.size] + 1e-290
        return tolerance

    def pack(self, column: Column) -> bytes:
        """Encode block after block."""
        words = column.view(np.uint64)
        numbers, exponents = np.empty(min(BLOCK, words.size), np.uint64), np.empty(min(BLOCK, words.size), np.int64)
        payload = []
        for block in _blocks(words):
            scale = b""
            integers = block
            if column.dtype == FLOAT64:
                integers = numbers[: block.size]
                scale = signed_varint(floats_to_decimals(block, integers, exponents))
            kind, data = _pack_integers(integers)
            payload += [bytes([kind]), scale, signed_varint(int(integers.view(np.int64)[0])), varint(len(data)), data]
        return b"".join(payload)

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode block after block."""
        words, at = column.view(np.uint64), frame.start
        for block in _blocks(words):
            head, after = data[at : min(at + 1 + 3 * LONGEST_VARINT, frame.stop)].tobytes(), 1
            scale = 0
            if column.dtype == FLOAT64:
                number, after = read_varint(head, after)
                scale = _unzigzag(number)
            first, after = read_varint(head, after)
            size, after = read_varint(head, after)
            at += after + size
            if at > frame.stop or not LEAST_SCALE <= scale <= MOST_SCALE:
                raise _damaged()
            _unpack_integers(head[0], _unzigzag(first), data, at - size, at, block)
            if column.dtype == FLOAT64:
                decimals_to_floats(block, scale, block)
        if at != frame.stop:
            raise _damaged()


def _damaged() -> CorruptDataError:
    return CorruptDataError("the victoria payload does not hold the values it promises: it is damaged")


def _unzigzag(number: int) -> int:
    return number >> 1 if number % 2 == 0 else -(number >> 1) - 1


def _blocks(words: Words) -> Iterator[Words]:
    return (words[first : first + BLOCK] for first in range(0, words.size, BLOCK))


def zstd_level(count: int) -> int:
    """Return the level that VictoriaMetrics squeezes a block of so many values at.

    >>> [zstd_level(count) for count in (64, 65, 1024, 8192)]
    [1, 2, 3, 5]
    """
    return next((level for level, most in enumerate((64, 256, 1024, 4096), 1) if count <= most), 5)


def _pack_integers(numbers: Words) -> tuple[int, bytes]:
    """Return a block's type and data."""
    kind = int(_kind_of(numbers))
    if kind == CONST:
        return kind, b""
    written = numbers[:2] if kind == DELTA_CONST else numbers
    buffer = np.empty(LONGEST_VARINT * written.size, np.uint8)
    plain = buffer[: int(_put_differences(written, kind == ZSTD_DELTA2, buffer))].tobytes()
    if kind == DELTA_CONST:
        return kind, plain
    if len(plain) >= LEAST_SQUEEZED:
        squeezed = Zstd(zstd_level(numbers.size)).squeeze(plain)
        if len(squeezed) <= WORTH_SQUEEZING * len(plain):
            return kind, bytes(squeezed)
    return DELTA2 if kind == ZSTD_DELTA2 else DELTA, plain


def _unpack_integers(kind: int, first: int, data: Bytes, start: int, stop: int, numbers: Words) -> None:
    """Fill a block from its type, its first integer and its ``data[start:stop]``."""
    if kind in (ZSTD_DELTA, ZSTD_DELTA2):
        squeezed = data[start:stop]
        start, stop = 0, content_size(squeezed)
        if not 0 < stop <= LONGEST_VARINT * numbers.size:
            raise _damaged()
        data = np.zeros(stop + READ_SLACK, np.uint8)
        Zstd().expand(squeezed, data[:stop])
        kind = DELTA2 if kind == ZSTD_DELTA2 else DELTA
    if not _take_differences(data, U(start), U(stop), U(first % 2**64), U(kind), numbers):
        raise _damaged()


@kernel
def _kind_of(numbers):
    """Return the type of a block of integers: constant, of constant difference, a gauge or a counter."""
    step = numbers[1] - numbers[0] if numbers.size > 1 else U(0)
    steady = True
    for i in range(1, numbers.size):
        steady = steady and numbers[i] - numbers[i - 1] == step
    if steady:
        return DELTA_CONST if step != U(0) else CONST
    return ZSTD_DELTA if _is_gauge(numbers.view(np.int64)) else ZSTD_DELTA2


@kernel
def _is_gauge(numbers):
    """Return whether integers fall otherwise than a counter that starts anew now and then."""
    resets = 0
    if numbers[0] < 0:
        return True
    for i in range(1, numbers.size):
        if numbers[i] < numbers[i - 1]:
            if numbers[i] < 0 or numbers[i] > numbers[i - 1] >> 3:
                return True
            resets += 1
    return resets > 2 and resets > numbers.size >> 3


@kernel
def _put_differences(numbers, twice, buffer):
    """Write the differences of integers, or those of their differences, into a buffer; return their bytes."""
    at, step = U(0), U(0)
    for i in range(1, numbers.size):
        difference = numbers[i] - numbers[i - 1]
        at = put_varint(buffer, at, zigzag(difference - step))
        if twice:
            step = difference
    return at


@kernel
def _take_differences(data, at, stop, first, kind, numbers):
    """Fill integers from the first and ``data[at:stop]`` of a type without zstd; return whether they are just as many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    number, step = first, U(0)
    if kind == U(CONST):
        numbers[:] = first
        return at == stop
    if kind != U(DELTA_CONST) and kind != U(DELTA) and kind != U(DELTA2):
        return False
    numbers[0] = number
    for i in range(1, numbers.size):
        if kind != U(DELTA_CONST) or i == 1:
            if at >= stop:
                return False
            code = U(data[at])
            if code < U(0x80):
                at += U(1)
            else:
                code, at = take_varint_at_once(data, at, stop)
            difference = unzigzag(code)
            step = step + difference if kind == U(DELTA2) else difference
        number += step
        numbers[i] = number
    return at == stop
