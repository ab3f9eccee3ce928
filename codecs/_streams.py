"""Streams of integers: predicted, and what is left coded with adaptive models or packed into bits.

A stream's header, all numbers but the first LEB128::

    byte        bits 0-1 how the residuals are coded: 0 all are zero, 1 nibbles, 2 packed; bits 2-3 how they are predicted:
                0 not at all, 1 delta, 2 delta of delta, 3 from other streams; bit 4 residuals are zigzag; bit 5 a divisor
                follows
    base        zigzag; the least integer
    divisor     if bit 5 says so; what is predicted are levels: (integer - base) / divisor
    start       for all but 0 without zigzag: the first level; for 0, the one that residuals are distances to
    slope       zigzag, for 1 and 2: what is added to each delta, and the first delta
    weights     for 3: number of other streams; zigzag weight of the level before, and constant; for each other stream how
                far back it stands, and zigzag weights of its level at the same place and at the one before; in 2^-16
    shift       for nibbles: how many low bits of each residual are raw

Residuals of nibbles are in the block's words and raw bits (`squeezelab.codecs._nibbles`), packed ones in its raw bits: for each
128 of them a byte, their width, and as many bits for each; raw bits of each stream begin at a whole byte.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._bits import WRITE_SLACK, U, leading_zeros, peek_57, peek_64, put_top, take_varint
from squeezelab.codecs._frame import Bytes, varint
from squeezelab.codecs._nibbles import FRESH, MODELS, TARGETS, model_integers, read_integers
from squeezelab.kernels import kernel

Words = npt.NDArray[np.uint64]

ZERO, NIBBLES, PACKED = range(3)
PLAIN, DELTA, DELTA_OF_DELTA, LINEAR = range(4)
SIGNED, DIVIDED = 16, 32
MINIBLOCK = 128
WEIGHT_BITS = 16
MOST_REFERENCES = 4
MOST_TRIALS = 3

NO_OPERATIONS = np.empty(0, np.uint32)


class Stream(NamedTuple):
    """An encoded stream, and the levels that others may be predicted from."""

    header: bytes
    operations: npt.NDArray[np.uint32]
    raw: bytes
    levels: Words

    @property
    def bits(self) -> float:
        """Its size, before the block puts all operations into one state."""
        shares = (self.operations >> 16).astype(np.float64)
        return 8.0 * (len(self.header) + len(self.raw)) + 15 * len(shares) - float(np.log2(shares).sum())


class Plan(NamedTuple):
    """A way to predict levels: the header's fields after the divisor; weights are rows of distance, weight, weight."""

    order: int
    signed: bool = False
    start: int = 0
    slope: int = 0
    own: int = 0
    constant: int = 0
    weights: tuple[tuple[int, int, int], ...] = ()

    @property
    def fields(self) -> bytes:
        """The fields as the header has them."""
        numbers = [self.start] if self.order or self.signed else []
        if self.order in (DELTA, DELTA_OF_DELTA):
            numbers.append(zigzag(self.slope))
        if self.order == LINEAR:
            numbers += [len(self.weights), zigzag(self.own), zigzag(self.constant)]
            for distance, same, before in self.weights:
                numbers += [distance, zigzag(same), zigzag(before)]
        return b"".join(map(varint, numbers))


def zigzag(number: int) -> int:
    """Return signed numbers as unsigned ones, small ones as small ones."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def encode_stream(integers: Words, *, packed: bool = False) -> Stream:
    """Encode integers, in two's complement, the way that takes the fewest bits.

    Parameters
    ----------
    integers : uint64[n]
        At least one.
    packed : bool
        Pack residuals into bits: larger, and faster to read.
    """
    least, divisor = (int(number) for number in least_and_divisor(integers))
    levels = (integers - U(least)) // U(max(divisor, 1))
    head = varint(zigzag(least - (least >> 63 << 64))) + (varint(divisor) if divisor > 1 else b"")
    if not divisor:
        return Stream(bytes([ZERO]) + head, NO_OPERATIONS, b"", levels)
    residuals = {plan: _residuals(levels, plan) for plan in _plans(levels)}
    plans = sorted(residuals, key=lambda plan: sum_of_sizes(residuals[plan]))[: 1 if packed else MOST_TRIALS]
    flags = DIVIDED if divisor > 1 else 0
    tried = (_encode_residuals(residuals[plan], plan, flags, head, levels, packed) for plan in plans)
    return min(tried, key=lambda stream: stream.bits)


def _plans(levels: Words) -> list[Plan]:
    deltas = np.diff(levels).view(np.int64)
    first = int(levels[0])
    return [
        Plan(PLAIN),
        Plan(PLAIN, True, int(np.partition(levels, levels.size // 2)[levels.size // 2])),
        Plan(DELTA, True, first),
        Plan(DELTA, False, first, int(deltas.min())),
        Plan(DELTA_OF_DELTA, True, first, int(deltas[0])),
    ]


def _residuals(levels: Words, plan: Plan) -> Words:
    residuals = np.empty_like(levels)
    slope = U(plan.slope % 2**64)
    subtract_prediction(levels, U(plan.order), plan.signed, U(plan.start), slope, residuals)
    return residuals


def _encode_residuals(
    residuals: Words, plan: Plan, flags: int, head: bytes, levels: Words, packed: bool
) -> Stream:
    if not residuals.any():
        coder, shift, operations, raw = ZERO, b"", NO_OPERATIONS, b""
    elif packed:
        coder, shift, operations, raw = PACKED, b"", NO_OPERATIONS, _pack(residuals)
    else:
        coder = NIBBLES
        shift, operations, raw = min(
            ((bytes([shift]), *_model(residuals, shift)) for shift in _shifts(residuals)),
            key=lambda one: 8 * len(one[2]) + 15 * len(one[1]) - np.log2(one[1] >> 16).sum(),
        )
    kind = coder | plan.order << 2 | SIGNED * plan.signed | flags
    return Stream(bytes([kind]) + head + plan.fields + shift, operations, raw, levels)


def _shifts(residuals: Words) -> tuple[int, ...]:
    """Return the numbers of raw low bits worth trying: more than none where most residuals are long."""
    size = int(np.partition(residuals, residuals.size // 2)[residuals.size // 2]).bit_length()
    return (0, size - 8) if size > 11 else (0,)


def _model(residuals: Words, shift: int) -> tuple[npt.NDArray[np.uint32], bytes]:
    operations = np.empty(3 * residuals.size + 1, np.uint32)
    raw = np.empty(9 * residuals.size + WRITE_SLACK, np.uint8)
    models, ages = FRESH.copy(), np.zeros(MODELS, np.uint8)
    zero = U(0)
    done, at, _, fill = model_integers(
        residuals, U(shift), models, ages, TARGETS, operations, zero, raw, zero, zero, zero
    )
    return operations[: int(done)], raw[: int(at) + (int(fill) + 7) // 8].tobytes()


def _pack(residuals: Words) -> bytes:
    raw = np.empty(9 * residuals.size + WRITE_SLACK, np.uint8)
    return raw[: int(pack_integers(residuals, raw))].tobytes()


@kernel
def least_and_divisor(integers):
    """Return the least integer, and the largest divisor of all distances to it, 0 where there is none."""
    least = integers[0]
    for integer in integers:
        if np.int64(integer) < np.int64(least):
            least = integer
    divisor = U(0)
    for integer in integers:
        if divisor == U(1):
            break
        one, other = integer - least, divisor
        while one:
            other, one = one, (other % one if other else U(0))
        divisor = other
    return least, divisor


@kernel
def sum_of_sizes(numbers):
    """Return how many bits all numbers have together, each at least one."""
    total = U(0)
    for number in numbers:
        total += U(64) - leading_zeros(number | U(1))
    return total


@kernel(forceinline=True)
def _zigzag(word):
    return (word << U(1)) ^ (U(0) - (word >> U(63)))


@kernel(forceinline=True)
def _unzigzag(word):
    return (word >> U(1)) ^ (U(0) - (word & U(1)))


@kernel
def subtract_prediction(levels, order, signed, start, slope, residuals):
    """Fill residuals: levels less what is predicted, unsigned or zigzag."""
    before, delta = start, slope
    for i in range(U(levels.size)):
        level = levels[i]
        residual = level
        if order != U(PLAIN):
            residual = level - before - delta if i else U(0)
            if order == U(DELTA_OF_DELTA) and i:
                delta = level - before
            before = level
        elif signed:
            residual = level - start
        residuals[i] = _zigzag(residual) if signed else residual


@kernel
def add_prediction(residuals, order, signed, start, slope, levels):
    """Fill levels; the inverse of `subtract_prediction`. The two arrays may be one."""
    if order == U(PLAIN):
        for i in range(U(levels.size)):
            levels[i] = start + _unzigzag(residuals[i]) if signed else residuals[i]
        return
    level, delta = start, slope
    levels[U(0)] = level
    for i in range(U(1), U(levels.size)):
        residual = _unzigzag(residuals[i]) if signed else residuals[i]
        if order == U(DELTA_OF_DELTA):
            delta += residual
            level += delta
        else:
            level += delta + residual
        levels[i] = level


@kernel
def pack_integers(numbers, raw):
    """Write numbers in miniblocks: a byte that says how many bits each takes, then their bits; return the bytes."""
    at, count = U(0), U(numbers.size)
    for first in range(U(0), count, U(MINIBLOCK)):
        last = min(first + U(MINIBLOCK), count)
        every = U(0)
        for i in range(first, last):
            every |= numbers[i]
        width = U(64) - leading_zeros(every)
        raw[at] = width
        at += U(1)
        if width:
            pending, fill = U(0), U(0)
            for i in range(first, last):
                at, pending, fill = put_top(raw, at, pending, fill, numbers[i] << (U(64) - width), U(0), width)
            at += U(fill > U(0))
    return at


@kernel
def unpack_integers(data, at, stop, numbers):
    """Fill numbers from the miniblocks that begin at a byte; return the byte behind them, beyond ``stop`` if cut short."""
    count = U(numbers.size)
    for first in range(U(0), count, U(MINIBLOCK)):
        last = min(first + U(MINIBLOCK), count)
        if at >= stop:
            return stop + U(1)
        width = U(data[at])
        at += U(1)
        if width > U(64) or at + ((width * (last - first) + U(7)) >> U(3)) > stop:
            return stop + U(1)
        position, unused = at << U(3), U(64) - width
        if width == U(0):
            for i in range(first, last):
                numbers[i] = U(0)
        elif width <= U(57):
            for i in range(first, last):
                numbers[i] = peek_57(data, position) >> unused
                position += width
        else:
            for i in range(first, last):
                numbers[i] = peek_64(data, position) >> unused
                position += width
        at += (width * (last - first) + U(7)) >> U(3)
    return at


@kernel
def read_stream(data, at, stop, state, words, words_stop, raw, raw_stop, others, models, ages, sums, levels):
    """Decode one stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The stream's header begins at a byte; all headers end before ``stop``.
    state, words, words_stop, raw, raw_stop : uint64
        The rANS state, and the bytes of words and raw bits that are still to be read.
    others : uint64[streams before, n]
        Levels of other streams that this one may be predicted from.
    models, ages, sums : uint16[MODELS * 16], uint8[MODELS], uint64[n]
        Room to work in.
    levels : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether the data sufficed and made sense.
    at, state, words, raw : uint64
        Where the next stream goes on.
    base, divisor : uint64
        Integers are base plus divisor times levels.
    """
    failed = (False, at, state, words, raw, U(0), U(1))
    if at >= stop:
        return failed
    kind = U(data[at])
    coder, order, signed = kind & U(3), (kind >> U(2)) & U(3), kind & U(SIGNED) != U(0)
    base, at = take_varint(data, at + U(1), stop)
    base, divisor = _unzigzag(base), U(1)
    if kind & U(DIVIDED):
        divisor, at = take_varint(data, at, stop)
    start, slope = U(0), U(0)
    if order or signed:
        start, at = take_varint(data, at, stop)
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        slope, at = take_varint(data, at, stop)
        slope = _unzigzag(slope)
    weights = at
    if order == U(LINEAR):
        at = _skip_weights(data, at, stop, U(others.shape[0]))
    if at > stop or kind >> U(6) or coder > U(PACKED):
        return failed
    if coder == U(ZERO):
        levels[:] = U(0)
    elif coder == U(PACKED):
        raw = unpack_integers(data, raw, raw_stop, levels)
        if raw > raw_stop:
            return failed
    else:
        if at >= stop:
            return failed
        shift = U(data[at])
        at += U(1)
        models[:] = FRESH
        ages[:] = 0
        whole, state, words, position = read_integers(
            data, state, words, words_stop, raw << U(3), raw_stop << U(3), shift, models, ages, TARGETS, levels
        )
        if not whole:
            return failed
        raw = (position + U(7)) >> U(3)
    if order == U(LINEAR):
        _add_linear(data, weights, stop, start, others, sums, levels)
    elif order or signed:
        add_prediction(levels, order, signed, start, slope, levels)
    return True, at, state, words, raw, base, divisor


@kernel
def _skip_weights(data, at, stop, available):
    """Return the byte behind the weights that begin at a byte, beyond ``stop`` where they make no sense."""
    count, at = take_varint(data, at, stop)
    if count > U(MOST_REFERENCES):
        return stop + U(1)
    _, at = take_varint(data, at, stop)
    _, at = take_varint(data, at, stop)
    for _ in range(count):
        distance, at = take_varint(data, at, stop)
        if distance == U(0) or distance > available:
            return stop + U(1)
        _, at = take_varint(data, at, stop)
        _, at = take_varint(data, at, stop)
    return at


@kernel
def _add_linear(data, at, stop, start, others, sums, levels):
    """Fill levels from the residuals they hold, and from other streams' levels by the weights at a byte."""
    count, at = take_varint(data, at, stop)
    own, at = take_varint(data, at, stop)
    constant, at = take_varint(data, at, stop)
    own = _unzigzag(own)
    sums[:] = _unzigzag(constant)
    for _ in range(count):
        distance, at = take_varint(data, at, stop)
        same, at = take_varint(data, at, stop)
        before, at = take_varint(data, at, stop)
        add_weighted(others[U(others.shape[0]) - distance], _unzigzag(same), _unzigzag(before), sums)
    level = start
    levels[U(0)] = level
    for i in range(U(1), U(levels.size)):
        level = _unzigzag(levels[i]) + _down(sums[i] + own * level)
        levels[i] = level


@kernel(forceinline=True)
def _down(total):
    """Return a weighted sum as a level: the weights' 2^-16 taken off, towards minus infinity."""
    return np.uint64(np.int64(total) >> np.int64(WEIGHT_BITS))


@kernel
def add_weighted(other, same, before, sums):
    """Add to each sum but the first another stream's level at the same place, and at the one before, times weights."""
    for i in range(U(1), U(sums.size)):
        sums[i] += same * other[i] + before * other[i - U(1)]


@kernel
def subtract_linear(levels, own, sums, residuals):
    """Fill residuals, zigzag: levels less what weighted sums and the level before predict."""
    residuals[U(0)] = U(0)
    for i in range(U(1), U(levels.size)):
        residuals[i] = _zigzag(levels[i] - _down(sums[i] + own * levels[i - U(1)]))
