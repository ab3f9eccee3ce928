"""Streams of integers: predicted, and what is left coded with adaptive models or packed into bits.

A stream's header, all numbers but the first LEB128::

    byte        bits 0-1 how residuals are coded: 0 all are zero, 1 nibbles, 2 packed; bits 2-3 how they are predicted:
                0 not at all, 1 delta, 2 delta of delta, 3 from other streams; bit 4 residuals are zigzag; bit 5 a
                divisor follows
    base        zigzag; the least integer
    divisor     if bit 5 says so; what is predicted are levels: (integer - base) / divisor
    start       for all but 0 without zigzag: the first level; for 0, the one that residuals are distances to
    slope       zigzag, for 1 and 2: what is added to each delta, and the first delta
    weights     for 3: zigzag weight of the level before, and constant; for each other stream zigzag weights of its
                level at the same place and at the one before; all in 2^-16
    shift       for nibbles: how many low bits of each residual are raw

Residuals coded as nibbles are in the block's words and raw bits (`squeezelab.codecs.tally.nibbles`), packed
ones in its raw bits: for each 128 of them a byte, their width, and as many bits for each. A stream's raw bits begin
at a whole byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import signed_varint, varint
from squeezelab.codecs.tally.nibbles import (
    AT,
    FRESH,
    MODELS,
    RAW,
    TARGETS,
    model_integers,
    read_integers,
)
from squeezelab.codecs.tally.prediction import common_divisor, extremes, fill_levels
from squeezelab.codecs.tally.shapes import LOG2, NLOGN, ONE
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    WRITE_SLACK,
    U,
    leading_zeros,
    peek_57,
    peek_64,
    put_top,
    take_varint,
    unzigzag,
    zigzag,
)

Words = npt.NDArray[np.uint64]
Array = TypeVar("Array", bound=npt.NDArray[Any])

ZERO, NIBBLES, PACKED = range(3)
PLAIN, DELTA, DELTA_OF_DELTA, LINEAR = range(4)
SIGNED, DIVIDED = 16, 32
MINIBLOCK = 128
WEIGHT_BITS = 16
WEIGHT, MOST_WEIGHT, MOST_CONSTANT = 2.0**WEIGHT_BITS, 2.0**31, 2.0**62
PLANS = ((PLAIN, False), (PLAIN, True), (DELTA, True), (DELTA, False), (DELTA_OF_DELTA, True))
"""The ways to predict a stream from itself: order, and whether residuals are signed."""
MOST_MEAN = 2.0**63
RIDGE, TINY = 1e-9, 1e-9
CELLS = 91
"""What estimates tell apart: 32 small residuals, and the sizes of others, 6 to 64 bits."""
NEAR_TIE = 1.07
"""Ways whose estimates are this close are tried."""

NO_OPERATIONS = np.empty(0, np.uint32)


class Plan(NamedTuple):
    """A way to predict levels: the header's fields after the divisor."""

    order: int
    signed: bool = False
    start: int = 0
    slope: int = 0
    weights: tuple[int, ...] = ()

    @property
    def fields(self) -> bytes:
        """The fields as the header has them."""
        fields = [varint(self.start)] if self.order or self.signed else []
        if self.order in (DELTA, DELTA_OF_DELTA):
            fields.append(signed_varint(self.slope))
        return b"".join((*fields, *map(signed_varint, self.weights)))


class Stream(NamedTuple):
    """A stream that is planned: what is predicted, and the ways that promise the fewest bits, with their residuals."""

    levels: Words
    flags: int
    head: bytes
    ways: tuple[tuple[Plan, Words], ...]
    bits: float


class Coded(NamedTuple):
    """A stream that is coded: its header, its operations for rANS, and its raw bits."""

    header: bytes
    operations: npt.NDArray[np.uint32]
    raw: bytes

    @property
    def bits(self) -> float:
        """How many bits it will take."""
        shares = (self.operations >> 16) & 0x7FFF
        return 8 * (len(self.header) + len(self.raw)) + 15 * shares.size - float(np.log2(shares).sum())


def plan_stream(integers: Words, *, packed: bool = False) -> Stream:
    """Find how integers are best predicted.

    Parameters
    ----------
    integers : uint64[n]
        In two's complement; at least one.
    packed : bool
        Whether residuals will be packed into bits: larger, and faster to read.
    """
    integers = as_constant(integers)
    size = integers.size
    levels, residuals = np.empty(size, np.uint64), np.empty((len(PLANS), size), np.uint64)
    starts, slopes, bits = np.empty(len(PLANS), np.uint64), np.empty(len(PLANS), np.uint64), np.empty(len(PLANS))
    found = survey_plans(integers, packed, levels, residuals, starts, slopes, bits, np.empty(2 * CELLS, np.int64))
    least, divisor = int(found[0]), int(found[1])
    head = signed_varint(_signed(least)) + (varint(divisor) if divisor > 1 else b"")
    if not divisor:
        return Stream(levels, 0, head, ((Plan(PLAIN), levels),), 8.0 * (1 + len(head)))
    best, second = np.argsort(bits)[:2].tolist()
    near = (best, second) if not packed and bits[second] <= NEAR_TIE * bits[best] else (best,)
    ways = [(Plan(*PLANS[i], int(starts[i]), _signed(int(slopes[i]))), residuals[i]) for i in near]
    return Stream(levels, DIVIDED * (divisor > 1), head, tuple(ways), float(bits[best]) + 8 * (4 + len(head)))


def predict_stream(stream: Stream, others: Sequence[Words], *, packed: bool = False) -> Stream:
    """Return the stream predicted from the levels of others, uint64[n] each, be it worth it or not."""
    plan, residuals = fit_linear(stream.levels, others)
    bits = _estimate(residuals, packed) + 8 * (len(stream.head) + len(plan.fields))
    return stream._replace(ways=((plan, residuals),), bits=bits)


def plain_stream(integers: Words, *, packed: bool = False) -> Stream:
    """Return a stream of signed integers that are small or rare, as they are."""
    residuals = (integers << U(1)) ^ (U(0) - (integers >> U(63)))
    bits = _estimate(residuals, packed) + 24
    return Stream(integers, 0, signed_varint(0), ((Plan(PLAIN, True), residuals),), bits)


def rising_stream(integers: Words, *, packed: bool = False) -> Stream:
    """Return a stream of integers each of which is above the one before."""
    first, deltas = int(integers[0]), integers[1:] - integers[:-1]
    least = int(deltas.min()) if deltas.size else 0
    residuals = np.concatenate([np.zeros(1, np.uint64), deltas - U(least)])
    plan = Plan(DELTA, False, 0, _signed(least))
    return Stream(integers, 0, signed_varint(_signed(first)), ((plan, residuals),), _estimate(residuals, packed) + 64)


def as_constant(array: Array) -> Array:
    """Return a read-only view: kernels are compiled anew for arrays that may be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def _estimate(residuals: Words, packed: bool) -> float:
    return float(packed_bits(residuals) if packed else estimate_bits(residuals, np.empty(2 * CELLS, np.int64)))


def _signed(word: int) -> int:
    """Return the number that a word is in two's complement."""
    return word - (word >> 63 << 64)


def code_stream(stream: Stream, *, packed: bool = False) -> Coded:
    """Code a stream in the way that turns out smallest."""
    coded = [_code(stream, plan, residuals, packed) for plan, residuals in stream.ways]
    return min(coded, key=lambda one: one.bits) if len(coded) > 1 else coded[0]


def _code(stream: Stream, plan: Plan, residuals: Words, packed: bool) -> Coded:
    kind = stream.flags | plan.order << 2 | SIGNED * plan.signed
    head = stream.head + plan.fields
    if not residuals.any():
        return Coded(bytes([kind | ZERO]) + head, NO_OPERATIONS, b"")
    if packed:
        raw = np.empty(9 * residuals.size + WRITE_SLACK, np.uint8)
        return Coded(bytes([kind | PACKED]) + head, NO_OPERATIONS, raw[: int(pack_integers(residuals, raw))].tobytes())
    shift = int(raw_low_bits(residuals))
    operations, raw = np.empty(3 * residuals.size, np.uint32), np.empty(9 * residuals.size + WRITE_SLACK, np.uint8)
    models, ages = FRESH.copy(), np.zeros(MODELS, np.uint8)
    done, size = model_integers(residuals, U(shift), models, ages, TARGETS, operations, raw)
    return Coded(bytes([kind | NIBBLES]) + head + bytes([shift]), operations[: int(done)], raw[: int(size)].tobytes())


def fit_linear(levels: Words, others: Sequence[Words]) -> tuple[Plan, Words]:
    """Return the least-squares prediction of levels from the level before and from other streams.

    Returns
    -------
    plan : Plan
    residuals : uint64[n]
    """
    terms = np.empty((2 * len(others) + 2, levels.size - 1))
    own = levels.view(np.int64)
    terms[0], terms[-1] = own[:-1], own[1:]
    for i, other in enumerate(others):
        signed = other.view(np.int64)
        terms[2 * i + 1], terms[2 * i + 2] = signed[1:], signed[:-1]
    means, gram = np.empty(len(terms)), np.empty((len(terms), len(terms)))
    fill_products(terms, means, gram)
    # A little is added so that columns that say the same do not make weights of any size.
    rows = [[float(cell) for cell in row] for row in gram[:-1]]
    for place, row in enumerate(rows):
        row[place] += RIDGE * row[place] + TINY
    weights = [min(max(float(round(one * WEIGHT)), -MOST_WEIGHT), MOST_WEIGHT) for one in solve(rows)]
    explained = 0.0
    for weight, mean in zip(weights, means[:-1].tolist(), strict=True):
        explained += weight * mean
    constant = (float(means[-1]) + 0.5) * WEIGHT - explained
    constant = min(max(constant, -MOST_CONSTANT), MOST_CONSTANT)
    before_it, *pairs = (int(weight) for weight in weights)
    plan = Plan(LINEAR, True, int(levels[0]), 0, (before_it, int(constant), *pairs))
    sums, residuals = np.full(levels.size, int(constant) % 2**64, np.uint64), np.empty_like(levels)
    for other, same, before in zip(others, pairs[::2], pairs[1::2], strict=True):
        add_weighted(other, U(same % 2**64), U(before % 2**64), sums)
    subtract_linear(levels, U(before_it % 2**64), sums, residuals)
    return plan, residuals


def solve(rows: list[list[float]]) -> list[float]:
    """Return what solves linear equations, the right side last in each row: by Gauss, as their matrix is positive."""
    for place, pivot in enumerate(rows):
        for other in rows:
            if other is not pivot:
                factor = other[place] / pivot[place]
                other[:] = [one - factor * two for one, two in zip(other, pivot, strict=True)]
    return [row[-1] / row[place] for place, row in enumerate(rows)]


@kernel
def fill_products(terms, means, gram):
    """Fill the means of terms, and their products less the means.

    They are summed in one order on every machine, which BLAS does not: other weights would make other bytes.

    Parameters
    ----------
    terms : float64[terms, n]
        The means are taken off.
    means, gram : float64[terms], float64[terms, terms]
        Filled.
    """
    count = terms.shape[1]
    for i in range(terms.shape[0]):
        total = 0.0
        for k in range(count):
            total += terms[i, k]
        means[i] = total / max(1, count)
        for k in range(count):
            terms[i, k] -= means[i]
        for j in range(i + 1):
            total = 0.0
            for k in range(count):
                total += terms[i, k] * terms[j, k]
            gram[i, j] = gram[j, i] = total


@kernel
def survey_plans(integers, packed, levels, residuals, starts, slopes, bits, counts):
    """Fill levels, and for each of `PLANS` residuals, start, slope and about how many bits the residuals take.

    Returns
    -------
    least, divisor : uint64
        The least integer, and the largest divisor of all distances to it: 0 if there are none, and nothing else is
        filled but levels.
    """
    least, divisor = fill_plans(integers, levels, starts, slopes)
    if divisor == U(0):
        return least, divisor
    for i, (order, is_signed) in enumerate(PLANS):
        row = residuals[i][: levels.size]
        subtract_prediction(levels, U(order), is_signed, starts[i], slopes[i], row)
        bits[i] = packed_bits(row) if packed else estimate_bits(row, counts)
    return least, divisor


@kernel(inner=True)
def fill_plans(integers, levels, starts, slopes):
    """Fill levels, and for each of `PLANS` start and slope; return as `survey_plans` does."""
    least, _ = extremes(integers)
    divisor = common_divisor(integers, least)
    fill_levels(integers, least, divisor, levels)
    if divisor == U(0):
        return least, divisor
    lowest = levels[1] - levels[0]
    for i in range(U(1), U(levels.size)):
        if np.int64(levels[i] - levels[i - U(1)]) < np.int64(lowest):
            lowest = levels[i] - levels[i - U(1)]
    total = _total(levels[1:])
    for i, (order, is_signed) in enumerate(PLANS):
        starts[i], slopes[i] = levels[0], U(0)
        if order == PLAIN:
            starts[i] = np.uint64(min(total / levels.size, MOST_MEAN)) if is_signed else U(0)
        elif order == DELTA_OF_DELTA:
            slopes[i] = levels[1] - levels[0]
        elif not is_signed:
            slopes[i] = lowest
    return least, divisor


@kernel(inner=True)
def _total(levels):
    """Return the sum of levels as doubles, one after another; of up to 8192 below 2^40 that of integers is the same."""
    whole, every, total = U(0), U(0), 0.0
    for i in range(U(levels.size)):
        whole, every = whole + levels[i], every | levels[i]
    if every >> U(40) == U(0) and levels.size <= 8192:
        return float(whole)
    for level in levels:
        total += float(level)
    return total


@kernel
def estimate_bits(residuals, counts):
    """Return about how many bits residuals take as nibbles: the entropy of small ones and of the sizes of others.

    What models have yet to learn is counted as three bits for each symbol that comes.
    """
    count, even, odd = U(residuals.size), counts[:CELLS], counts[CELLS:]
    for i in range(2 * CELLS):
        counts[i] = 0
    # In two halves: to add to a cell right after it was added to takes several cycles.
    for i in range(U(1), count, U(2)):
        even[_cell_of(residuals[i - U(1)])] += 1
        odd[_cell_of(residuals[i])] += 1
    if count & U(1):
        even[_cell_of(residuals[count - U(1)])] += 1
    for i in range(CELLS):
        even[i] += odd[i]
    # Integers: a logarithm of doubles is not the same on all machines.
    bits = np.int64(0)
    for i in range(CELLS):
        if counts[i]:
            bits += 3 * ONE + counts[i] * (LOG2[residuals.size] + max(i - 27, 0) * ONE) - NLOGN[counts[i]]
    return np.float64(bits) / ONE


@kernel(forceinline=True, inner=True)
def _cell_of(residual):
    """Return where a residual is counted: a small one by itself, others by their sizes."""
    return residual if residual < U(32) else U(64) - leading_zeros(residual) + U(26)


@kernel
def packed_bits(residuals):
    """Return how many bits residuals take if they are packed."""
    total, count = U(0), U(residuals.size)
    for first in range(U(0), count, U(MINIBLOCK)):
        every, last = U(0), min(first + U(MINIBLOCK), count)
        for i in range(first, last):
            every |= residuals[i]
        total += U(8) + (U(64) - leading_zeros(every)) * (last - first)
    return float(total)


@kernel
def raw_low_bits(residuals):
    """Return how many low bits of each residual are not worth a model: those of long ones, where most are long."""
    total = U(0)
    for residual in residuals:
        total += U(64) - leading_zeros(residual)
    mean = total // U(residuals.size)
    return mean - U(8) if mean > U(11) else U(0)


@kernel
def subtract_prediction(levels, order, signed, start, slope, residuals):
    """Fill residuals: levels less what is predicted, unsigned or zigzag."""
    count = U(levels.size)
    if order == U(PLAIN):
        shift = start if signed else U(0)
        for i in range(count):
            residuals[i] = levels[i] - shift
    else:
        residuals[0] = U(0)
        if order == U(DELTA_OF_DELTA) and count > U(1):
            residuals[1] = levels[1] - levels[0] - slope
            for i in range(U(2), count):
                residuals[i] = levels[i] - (levels[i - U(1)] << U(1)) + levels[i - U(2)]
        else:
            for i in range(U(1), count):
                residuals[i] = levels[i] - levels[i - U(1)] - slope
    if signed:
        for i in range(count):
            residuals[i] = zigzag(residuals[i])


@kernel(inner=True)
def add_prediction(residuals, order, signed, start, slope, levels):
    """Fill levels; the inverse of `subtract_prediction`. The two arrays may be one."""
    if order == U(PLAIN):
        for i in range(U(levels.size)):
            levels[i] = start + unzigzag(residuals[i]) if signed else residuals[i]
        return
    level, delta = start, slope
    levels[U(0)] = level
    for i in range(U(1), U(levels.size)):
        residual = unzigzag(residuals[i]) if signed else residuals[i]
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


@kernel(inner=True)
def unpack_integers(data, at, stop, numbers):
    """Fill numbers from the miniblocks at a byte; return the byte after them, beyond ``stop`` if one is cut short."""
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


class Reader(NamedTuple):
    """What streams of a block are read from.

    Attributes
    ----------
    data : uint8[...]
        Where the block is.
    others, known : uint64[..., n or more], uint64
        Levels of other streams, and from how many of them one may be predicted: the first ones.
    models, ages : uint16[MODELS * 16], uint8[MODELS]
        Workspace.
    cursor, stops : uint64[5], uint64[5]
        What is read next, and where that must end: `AT` and so on. The cursor is moved on.
    """

    data: Any
    others: Words
    known: np.uint64
    models: npt.NDArray[np.uint16]
    ages: npt.NDArray[np.uint8]
    cursor: Words
    stops: Words


class Header(NamedTuple):
    """What a stream's header says, in the order of its fields, and where those after the slope begin."""

    coder: np.uint64
    order: np.uint64
    signed: bool
    base: np.uint64
    divisor: np.uint64
    start: np.uint64
    slope: np.uint64
    weights: np.uint64
    shift: np.uint64


@kernel(inline="always", inner=True)
def read_stream(reader, sums, levels):
    """Decode one stream.

    Parameters
    ----------
    reader : Reader
    sums : uint64[n]
        Workspace.
    levels : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether the data sufficed and made sense.
    base, divisor : uint64
        Integers are base plus divisor times levels.
    """
    whole, header = _take_header(reader)
    if not whole or not _read_residuals(reader, header, levels):
        return False, header.base, header.divisor
    if header.order == U(LINEAR):
        _add_linear(reader, header, sums, levels)
    elif header.order or header.signed:
        add_prediction(levels, header.order, header.signed, header.start, header.slope, levels)
    return True, header.base, header.divisor


@kernel(inner=True)
def _take_header(reader):
    """Return whether the header at the cursor makes sense, and what it says."""
    data, at, stop = reader.data, reader.cursor[AT], reader.stops[AT]
    kind = U(data[at]) if at < stop else ~U(0)
    coder, order, signed = kind & U(3), (kind >> U(2)) & U(3), kind & U(SIGNED) != U(0)
    base, at = take_varint(data, at + U(1), stop)
    divisor, start, slope, shift = U(1), U(0), U(0), U(0)
    if kind & U(DIVIDED):
        divisor, at = take_varint(data, at, stop)
    if order or signed:
        start, at = take_varint(data, at, stop)
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        slope, at = take_varint(data, at, stop)
    weights = at
    if order == U(LINEAR):
        for _ in range(U(2) * reader.known + U(2)):
            _, at = take_varint(data, at, stop)
    if coder == U(NIBBLES):
        shift = U(data[at]) if at < stop else U(0)
        at += U(1)
    header = Header(coder, order, signed, unzigzag(base), divisor, start, unzigzag(slope), weights, shift)
    reader.cursor[AT] = at
    return at <= stop and not (kind >> U(6) or coder > U(PACKED) or (order == U(LINEAR) and not signed)), header


@kernel(inner=True)
def _read_residuals(reader, header, levels):
    """Decode residuals; return whether the data sufficed."""
    cursor, stops = reader.cursor, reader.stops
    if header.coder == U(ZERO):
        for i in range(U(levels.size)):
            levels[i] = U(0)
    elif header.coder == U(PACKED):
        cursor[RAW] = unpack_integers(reader.data, cursor[RAW], stops[RAW], levels)
    else:
        for i in range(U(reader.models.size)):
            reader.models[i] = FRESH[i]
        for i in range(U(reader.ages.size)):
            reader.ages[i] = 0
        if not read_integers(reader.data, cursor, stops, header.shift, reader.models, reader.ages, levels):
            return False
    return cursor[RAW] <= stops[RAW]


@kernel(inner=True)
def _add_linear(reader, header, sums, levels):
    """Fill levels from the residuals they hold, and from other streams' levels by the header's weights."""
    data, stop = reader.data, reader.stops[AT]
    own, at = take_varint(data, header.weights, stop)
    constant, at = take_varint(data, at, stop)
    own = unzigzag(own)
    for i in range(U(sums.size)):
        sums[i] = unzigzag(constant)
    for row in range(reader.known):
        same, at = take_varint(data, at, stop)
        before, at = take_varint(data, at, stop)
        add_weighted(reader.others[row], unzigzag(same), unzigzag(before), sums)
    level = header.start
    levels[U(0)] = level
    for i in range(U(1), U(levels.size)):
        level = unzigzag(levels[i]) + _down(sums[i] + own * level)
        levels[i] = level


@kernel(forceinline=True, inner=True)
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
        residuals[i] = zigzag(levels[i] - _down(sums[i] + own * levels[i - U(1)]))
