"""Patterns: each block of a column is looked at, and encoded as what it is found to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT64, INT64, Bytes, Frame, signed_varint, varint
from squeezelab.codecs._integers import Integers, Reader, Words, pack_integers
from squeezelab.codecs.base import Column, ColumnCodec
from squeezelab.codecs.delta_of_delta import DeltaOfDelta
from squeezelab.codecs.xor import Xor
from squeezelab.errors import CorruptDataError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U

BLOCK = 2**16
"""Values a block; each has a pattern of its own."""

MOST_DIGITS = 9
"""Decimals are looked for with up to so many digits after the point."""

_SAMPLE = 128
_FRACTION = U(2**52 - 1)

_FALLBACKS: dict[np.dtype[Any], ColumnCodec] = {INT64: DeltaOfDelta(), FLOAT64: Xor()}


class Kind(IntEnum):
    """What a block can be found to be; the number is its tag."""

    OTHER = 0
    CONSTANT = 1
    REGULAR = 2
    POWER_OF_TWO = 3
    WHOLE = 4
    DECIMAL = 5
    MULTIPLE = 6
    PERIODIC = 7
    FEW = 8


class Pattern(ColumnCodec):
    """Constants, powers of two, whole numbers, quantized and periodic columns, each encoded for what it is.

    A column is cut into blocks of 65,536 values. All patterns that a block shows are tried, and the smallest encoding
    is kept; every bit comes back. Choose it for gauges with few decimals, sizes in pages, flags, and whatever repeats;
    where nothing is found, it is `xor` or, for integers, `delta_of_delta`.

    Notes
    -----
    Payload, for each block: a byte, its `Kind`; a varint, the bytes that follow; and these::

        constant        8 bytes: the value's bits
        regular         zigzag varints: start and step of an even grid; exceptions          (int64)
        power of two    packed: sign and exponent of each value, whose fraction is zero     (float64)
        whole           varint: greatest common divisor; packed: value / divisor; exceptions (float64)
        decimal         byte: digits after the point; then as whole, of value * 10**digits (float64)
        multiple        as decimal; the value is the rounded product of a packed integer and the step,
                        divisor / 10**digits, as 0.05 * 97 is 4.8500000000000005            (float64)
        periodic        varint: the period; its first run as a block of its own; exceptions to "as a period ago"
        few             varint: how many distinct values; these, sorted by their bits, as a block of their own; packed:
                        the place among them of each value
        other           the payload of `delta_of_delta` or `xor`

    Packed integers are those of `squeezelab.codecs._integers`. Exceptions are a varint, their number, and if it is
    not 0 how many values before each are none, and by how much the bits differ from the pattern's, both packed. So a
    decimal that came out of a subtraction with noise in its last bits takes the bits of the noise, a NaN among decimals
    a few bytes.

    Looking takes most of the time: encoding passes over a block several times, and a series of a thousand values is
    dominated by what each numpy call costs.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Pattern()
    >>> pages = 4096.0 * np.array([5, 6, 6, 9, 7, 5, 4, 4])
    >>> len(codec.encode(pages)), codec.find(pages)
    (22, ['whole'])
    >>> codec.decode(codec.encode(pages)) / 4096
    array([5., 6., 6., 9., 7., 5., 4., 4.])
    """

    name = "pattern"
    kind = "ours"
    # The smallest block is an even grid: a byte each for its tag, its size, start, step and number of exceptions.
    max_expansion = 8 * BLOCK // 5 + 1

    def pack(self, column: Column) -> bytes:
        """Encode block by block."""
        return b"".join(bytes([kind]) + varint(len(body)) + body for kind, body in map(_encode_block, _blocks(column)))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode block by block."""
        reader = Reader(data, frame.start, frame.stop)
        with np.errstate(all="ignore"):
            for block in _blocks(column):
                _decode_block(reader, block)
        if reader.at != frame.stop:
            raise CorruptDataError("bytes follow the last block: the frame is damaged")

    def find(self, column: Any) -> list[str]:
        """Return what each block of a column is found to be: ``"constant"``, ``"power of two"``, ..."""
        return [_encode_block(block)[0].name.lower().replace("_", " ") for block in _blocks(self._as_column(column)[0])]


def _blocks(column: Column) -> Iterator[Column]:
    return (column[first : first + BLOCK] for first in range(0, len(column), BLOCK))


def _encode_block(block: Column, nested: bool = False) -> tuple[Kind, bytes]:
    """Return the pattern that takes the fewest bytes, and these."""
    words = block.view(np.uint64)
    if (words == words[0]).all():
        return Kind.CONSTANT, words[:1].astype("<u8").tobytes()
    found = [(Kind.OTHER, bytes(_FALLBACKS[block.dtype].pack(block)))]
    if block.dtype == INT64:
        found.append((Kind.REGULAR, _encode_regular(block)))
    else:
        with np.errstate(all="ignore"):
            found += _encode_quantized(block)
        if not (words & _FRACTION).any():
            found.append((Kind.POWER_OF_TWO, pack_integers((words >> U(52)).view(np.int64))))
    # What takes less than half a bit a value is not looked at any further.
    if not nested and 16 * min(len(body) for _, body in found) > block.size:
        found += _encode_few(block)
        if period := int(find_period(words, _changes(words))):
            found.append((Kind.PERIODIC, _encode_periodic(block, period)))
    return min(found, key=lambda one: len(one[1]))


def _decode_block(reader: Reader, block: Column, nested: bool = False) -> None:
    kind, size = reader.bytes(1)[0], reader.varint()
    if size > reader.stop - reader.at or kind not in _DECODERS:
        raise CorruptDataError("a block has no known pattern, or more bytes than there are: the payload is damaged")
    if kind not in _FITTING[block.dtype] or (nested and kind in (Kind.PERIODIC, Kind.FEW)):
        raise CorruptDataError(f"a block of {block.dtype} cannot be {Kind(kind).name.lower()}: the payload is damaged")
    inner = Reader(reader.data, reader.at, reader.at + size)
    _DECODERS[Kind(kind)](inner, block)
    if inner.at != inner.stop:
        raise CorruptDataError("bytes follow a block's values: the payload is damaged")
    reader.at += size


def _decode_other(reader: Reader, block: Column) -> None:
    frame = Frame(block.dtype, block.size, reader.at, reader.stop, 0)
    _FALLBACKS[block.dtype].unpack(reader.data, frame, block)
    reader.at = reader.stop


def _decode_constant(reader: Reader, block: Column) -> None:
    block.view(np.uint64)[:] = int.from_bytes(reader.bytes(8), "little")


def _encode_exceptions(differences: Integers) -> bytes:
    """Encode the differences from a pattern that are not zero."""
    positions = np.flatnonzero(differences).astype(np.int64)
    if not positions.size:
        return varint(0)
    skipped = positions - np.arange(positions.size)
    return varint(positions.size) + pack_integers(skipped) + pack_integers(differences[positions])


def _decode_exceptions(reader: Reader, size: int) -> Integers:
    """Return the differences from a pattern, most of them zero."""
    differences, count = np.zeros(size, np.int64), reader.varint()
    if count > size:
        raise CorruptDataError(f"{count} exceptions in a block of {size}: the payload is damaged")
    if count:
        positions = reader.integers(count) + np.arange(count)
        if positions.min() < 0 or positions.max() >= size:
            raise CorruptDataError("an exception lies outside its block: the payload is damaged")
        differences[positions] = reader.integers(count)
    return differences


def _sampled(block: Column) -> Column:
    """Return up to some 128 values, evenly spread."""
    return block[:: -(-block.size // _SAMPLE)]


def _usual(numbers: Integers) -> np.int64:
    """Return the median of a sample: the number that most of them are, if most are the same."""
    sample = np.sort(_sampled(numbers))
    usual: np.int64 = sample[sample.size // 2]
    return usual


def _encode_regular(block: Integers) -> bytes:
    """Encode integers as an even grid: its step is the usual delta, its start fits most of them."""
    step = _usual(block[1:] - block[:-1])
    offsets = block - step * np.arange(block.size)
    start = _usual(offsets)
    return signed_varint(int(start)) + signed_varint(int(step)) + _encode_exceptions(offsets - start)


def _decode_regular(reader: Reader, block: Integers) -> None:
    start, step = np.int64(reader.signed_varint()), np.int64(reader.signed_varint())
    block[:] = start + step * np.arange(block.size) + _decode_exceptions(reader, block.size)


def _decode_power_of_two(reader: Reader, block: Column) -> None:
    block.view(np.uint64)[:] = reader.integers(block.size).view(np.uint64) << U(52)


def _nearest(values: npt.NDArray[np.float64], digits: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the nearest whole numbers to values times a power of ten, and which of them are not near by chance."""
    scaled = values * 10.0**digits
    whole = np.rint(scaled)
    near = np.abs(scaled - whole) <= 2.0**-10
    # From here on doubles lie so close to multiples of 2**-10 that all are near one.
    return whole, near & (np.abs(scaled) < (2.0**53 if digits == 0 else 2.0**41))


def _encode_quantized(block: npt.NDArray[np.float64]) -> Iterator[tuple[Kind, bytes]]:
    """Encode whole numbers, decimals, or multiples of a decimal step, if at least half of a sample is any of these."""
    sample = _sampled(block)
    hits = np.zeros(MOST_DIGITS + 1, np.int64)
    count_decimals(sample, hits)
    digits = int(np.argmax(hits))
    if 2 * hits[digits] < sample.size:
        return
    whole, near = _nearest(block, digits)
    if not near.any():
        return
    # What is no decimal takes the number of the one before it: a delta of zero.
    last = np.maximum.accumulate(np.where(near, np.arange(block.size), np.argmax(near)))
    numbers = whole[last].astype(np.int64)
    divisor = int(np.gcd.reduce(numbers)) or 1
    numbers //= divisor
    for kind in (Kind.DECIMAL, Kind.MULTIPLE) if digits else (Kind.WHOLE,):
        head = varint(divisor) if kind == Kind.WHOLE else bytes([digits]) + varint(divisor)
        pattern = _quantized(kind, numbers, divisor, digits)
        differences = (block.view(np.uint64) - pattern.view(np.uint64)).view(np.int64)
        yield kind, head + pack_integers(numbers) + _encode_exceptions(differences)


@kernel
def count_decimals(values, hits):
    """Count for each number of digits how many values are near a decimal of so many."""
    power = 1.0
    for digits in range(hits.size):
        limit = 2.0**53 if digits == 0 else 2.0**41
        for value in values:
            scaled = value * power
            hits[digits] += abs(scaled) < limit and abs(scaled - np.rint(scaled)) <= 2.0**-10
        power *= 10.0


def _quantized(kind: Kind, numbers: Integers, divisor: int, digits: int) -> npt.NDArray[np.float64]:
    """Return the values that integers stand for."""
    if kind == Kind.MULTIPLE:
        return numbers.astype(np.float64) * (divisor / 10.0**digits)
    return (numbers * np.int64(divisor)).astype(np.float64) / 10.0**digits


def _decode_quantized(kind: Kind) -> Callable[[Reader, Column], None]:
    def decode(reader: Reader, block: Column) -> None:
        digits = reader.bytes(1)[0] if kind != Kind.WHOLE else 0
        divisor = reader.varint()
        if digits > MOST_DIGITS or divisor >= 2**63:
            raise CorruptDataError("a block has a step that none can have: the payload is damaged")
        pattern = _quantized(kind, reader.integers(block.size), divisor, digits)
        block.view(np.int64)[:] = pattern.view(np.int64) + _decode_exceptions(reader, block.size)

    return decode


def _encode_nested(block: Column) -> bytes:
    kind, body = _encode_block(block, nested=True)
    return bytes([kind]) + varint(len(body)) + body


def _encode_few(block: Column) -> Iterator[tuple[Kind, bytes]]:
    """Encode the distinct values apart, if each occurs twice or more on average."""
    distinct, places = np.unique(block.view(np.uint64), return_inverse=True)
    if 2 * distinct.size <= block.size:
        table = varint(distinct.size) + _encode_nested(distinct.view(block.dtype))
        yield Kind.FEW, table + pack_integers(places.reshape(-1).astype(np.int64, copy=False))


def _decode_few(reader: Reader, block: Column) -> None:
    count = reader.varint()
    if not 0 < 2 * count <= block.size:
        raise CorruptDataError(f"{count} distinct values in a block of {block.size}: the payload is damaged")
    distinct = np.empty(count, block.dtype)
    _decode_block(reader, distinct, nested=True)
    places = reader.integers(block.size)
    if places.min() < 0 or places.max() >= count:
        raise CorruptDataError("a place lies outside the distinct values: the payload is damaged")
    block[:] = distinct[places]


def _changes(words: Words) -> npt.NDArray[np.uint64]:
    """Return up to 64 positions, evenly spread, whose value is not that before: where a period can be told."""
    changes = np.flatnonzero(words[1:] != words[:-1]) + 1
    return changes[:: -(-changes.size // 64)].astype(np.uint64)


@kernel
def find_period(words, changes):
    """Return after how many values a column repeats itself best, 0 if it hardly does.

    A longer period has fewer values that differ from a period ago, but more of its own: of these four count as one.
    Only periods that three of four changes confirm are looked at closely, and no more than 16 of these.
    """
    count = U(words.size)
    best, least, tried = U(0), U(words.size), 0
    for period in range(U(2), (count >> U(1)) + U(1)):
        agree, differ = 0, 0
        for i in changes:
            if i > period:
                same = words[i] == words[i - period] and words[i - U(1)] == words[i - U(1) - period]
                agree += same
                differ += not same
                if 4 * differ > changes.size:
                    break
        if 3 * differ > agree or agree == 0:
            continue
        cost = U(period)
        for i in range(period, count):
            cost += U(4) * U(words[i] != words[i - period])
            if cost >= least:
                break
        if cost < least:
            best, least = U(period), cost
        tried += 1
        if best == least or tried == 16:
            break
    return best


def _encode_periodic(block: Column, period: int) -> bytes:
    """Encode the first period, and what differs from a period ago."""
    words = block.view(np.uint64)
    differences = (words[period:] - words[:-period]).view(np.int64)
    return varint(period) + _encode_nested(block[:period]) + _encode_exceptions(differences)


def _decode_periodic(reader: Reader, block: Column) -> None:
    period = reader.varint()
    if not 0 < period < block.size:
        raise CorruptDataError(f"a block of {block.size} cannot have period {period}: the payload is damaged")
    rows = -(-block.size // period)
    steps = np.zeros((rows, period), np.uint64)
    _decode_block(reader, steps[0].view(block.dtype), nested=True)
    flat = steps.reshape(-1)
    flat[period : block.size] = _decode_exceptions(reader, block.size - period).view(np.uint64)
    block.view(np.uint64)[:] = np.cumsum(steps, axis=0).reshape(-1)[: block.size]


_DECODERS: dict[int, Callable[[Reader, Column], None]] = {
    Kind.OTHER: _decode_other,
    Kind.CONSTANT: _decode_constant,
    Kind.REGULAR: _decode_regular,
    Kind.POWER_OF_TWO: _decode_power_of_two,
    Kind.WHOLE: _decode_quantized(Kind.WHOLE),
    Kind.DECIMAL: _decode_quantized(Kind.DECIMAL),
    Kind.MULTIPLE: _decode_quantized(Kind.MULTIPLE),
    Kind.PERIODIC: _decode_periodic,
    Kind.FEW: _decode_few,
}
_FITTING = {
    INT64: {Kind.OTHER, Kind.CONSTANT, Kind.REGULAR, Kind.PERIODIC, Kind.FEW},
    FLOAT64: set(Kind) - {Kind.REGULAR},
}
