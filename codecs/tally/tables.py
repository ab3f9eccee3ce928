"""Tables of tokens: frequencies by shapes or explicit levels, and which of them take the fewest bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from squeezelab.codecs.tally.lanes import FULL, MOST_RAW, context_of, entry_of, token_of
from squeezelab.codecs.tally.shapes import (
    CELLS,
    FAMILIES,
    FIRST_SCALE,
    FRACTION,
    HALF_POWERS,
    LOG2,
    ONE,
    SCALES,
    SIDE,
)
from squeezelab.codecs.tally.workspace import WEIGHTS, lengths_of_shapes
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    load_little,
    shift_down,
    store_little,
    trailing_zeros,
    unzigzag,
    zigzag,
)

EVERY_FAMILY = U((1 << FAMILIES) - 1)
MANTISSAS = (3, 1, 6)
"""Mantissa bits of tokens, by the number that a stream's header has."""
HIGHEST_LEVEL = 24
LOG2_E = 5909
RUN = 8
"""Entries of a decoding table that are written at once."""


# Bits of tables, lowest first


@kernel(forceinline=True, inner=True)
def put_bits(buffer, position, number, size):
    """Append up to 32 bits; what follows in the last byte becomes 0."""
    at, shift = position >> U(3), position & U(7)
    store_little(buffer, at, (U(buffer[at]) & ((U(1) << shift) - U(1))) | (number << shift))
    return position + size


@kernel(forceinline=True, inner=True)
def take_bits(data, position, limit, size):
    """Return up to 32 bits, and the position after them, which may lie beyond the limit: nothing is read there."""
    word = load_little(data, min(position, limit) >> U(3)) >> (position & U(7))
    return word & ((U(1) << size) - U(1)), position + size


@kernel(forceinline=True, inner=True)
def put_gamma(buffer, position, number):
    """Append a number from 0 on in Elias' gamma code of the one after it."""
    size = U(63) - leading_zeros(number + U(1))
    position = put_bits(buffer, position, U(1) << size, size + U(1))
    return put_bits(buffer, position, (number + U(1)) & ((U(1) << size) - U(1)), size)


@kernel(forceinline=True, inner=True)
def take_gamma(data, position, limit):
    """Return the number that `put_gamma` wrote, of at most 20 bits, and the position after it, as `take_bits` does."""
    word = load_little(data, min(position, limit) >> U(3)) >> (position & U(7))
    size = min(trailing_zeros(word), U(20))
    number = (U(1) << size) | ((word >> (size + U(1))) & ((U(1) << size) - U(1)))
    return number - U(1), position + (size << U(1)) + U(1)


@kernel(forceinline=True, inner=True)
def gamma_bits(number):
    """Return the length of a gamma code."""
    return 2 * (63 - np.int64(leading_zeros(np.uint64(number + 1)))) + 1


# Tables from weights


@kernel(inner=True)
def frequencies_of(weights, tokens, log, shares):
    """Fill the frequencies, which add up to 2^log, from weights; every token with a weight has one."""
    total, most = U(0), U(0)
    for i in range(tokens):
        total += weights[i]
        most = max(most, weights[i])
    size = U(1) << log
    scale, left = (size << U(24)) // total, size
    for i in range(tokens):
        share = max((weights[i] * scale) >> U(24), U(weights[i] > U(0)))
        shares[i] = share
        left -= share
    largest = U(0)
    while weights[largest] != most:
        largest += U(1)
    while left >> U(63):
        less = min(U(0) - left, max(shares[largest] >> U(1), U(shares[largest] > U(1))))
        shares[largest] -= less
        left += less
        if left >> U(63):
            largest = _largest_of(shares, tokens, largest)
    shares[largest] += left


@kernel(inner=True)
def _largest_of(shares, tokens, largest):
    """Return the place of the first of the largest shares; where it was if that is one of them."""
    most = U(0)
    for i in range(tokens):
        most = max(most, shares[i])
    if shares[largest] != most:
        largest = U(0)
        while shares[largest] != most:
            largest += U(1)
    return largest


@kernel(inner=True)
def entries_of(tokens, low, shift, mantissa, chained, following, entries):
    """Fill the first entry of each token, but for its frequency: see `squeezelab.codecs.tally.lanes`.

    Of each context ``following`` has the number of the next token's table.
    """
    for i in range(tokens):
        token = i - low
        sign = U(0) - (token >> U(63))
        size = token ^ sign
        octave = size >> mantissa
        raw = octave - min(octave, U(1))
        # What is below zero is inverted as a token is, and has its lowest integer where its raw bits are all ones.
        lowest = (((size - (raw << mantissa)) << raw) + (((U(1) << raw) - U(1)) & sign)) ^ sign
        high = max(raw, MOST_RAW) - MOST_RAW
        own = following[context_of(token, mantissa)] if chained else U(0)
        entries[i] = entry_of(U(0), raw - high, own, shift + high, shift_down(lowest, high))


@intrinsic
def _put_run(typingctx: Any, table: Any, at: Any, entry: Any) -> Any:
    """Put the entries of `RUN` slots of a token, from one on, at a place of a table."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        vector, counts = ir.VectorType(args[2].type, RUN), ir.VectorType(ir.IntType(32), RUN)
        if context.enable_boundscheck:
            for place in (args[1], builder.add(args[1], args[1].type(RUN - 1))):
                cgutils.do_boundscheck(context, builder, place, array.nitems)
        nothing, places = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [i << 16 for i in range(RUN)])
        one = builder.insert_element(nothing, args[2], ir.IntType(32)(0))
        run = builder.add(builder.shuffle_vector(one, nothing, ir.Constant(counts, [0] * RUN)), places)
        pointer = builder.bitcast(builder.gep(array.data, [args[1]]), vector.as_pointer())
        builder.store(run, pointer, align=8)
        return context.get_dummy_value()

    return types.void(table, types.uint64, types.uint64), codegen


@kernel(inner=True)
def fill_table(shares, entries, tokens, table, at):
    """Fill a decoding table, and up to `RUN` entries after it, which anything may take.

    Most tokens have few slots: as many as one store holds are written in any case, rather than as many as there are,
    which is hard to guess.
    """
    for i in range(tokens):
        share = shares[i]
        entry = entries[i] | share
        _put_run(table, at, entry)
        for place in range(U(RUN), share, U(RUN)):
            _put_run(table, at + place, entry + (place << U(16)))
        at += share


# Explicit tables


@kernel(inner=True)
def symbol_of_step(step, sparse):
    """Return the number that a step between levels has, other than a run of zeros."""
    folded = np.int64(zigzag(np.uint64(step)))
    if sparse:
        return folded + 1
    return folded if folded < 3 else folded + 1


def _bits_of_steps() -> npt.NDArray[np.int64]:
    """Return the lengths of steps' codes, in 2^-12 bits, in dense tables and sparse ones; step 0 is in the middle."""
    folded = np.array([2 * step if step >= 0 else -2 * step - 1 for step in range(-FAR, FAR)])
    symbols = np.stack([folded + (folded >= 3), folded + 1])
    return np.array([[2 * (symbol + 1).bit_length() - 1 for symbol in row] for row in symbols.tolist()]) << FRACTION


FAR = 32
"""Further than any two levels are apart."""
BITS_OF_STEPS = _bits_of_steps()


@kernel(inner=True)
def explicit_levels(cells, tokens, count, log, sparse, start, levels, back):
    """Choose the level of each token's frequency; return about how many bits table and tokens take, in 2^-12.

    Levels are found by dynamic programming over the nearest one, the one below and the one above (Viterbi, 1967).
    """
    top, shrink, far, bits = (
        2 * np.int64(log) + 1,
        np.int64(log),
        np.int64(1) << np.int64(58),
        BITS_OF_STEPS[int(sparse)],
    )
    base, marker, run, cost = (shrink << FRACTION) - LOG2[count], 0 if sparse else 3, np.int64(0), np.int64(0)
    # What the levels before take at least, by the lowest of the three last ones, and the others; this lowest one.
    c0, c1, c2, lowest = np.int64(0), far, far, start
    for i in range(tokens):
        seen = np.int64(cells[i])
        if seen == 0:
            run += 1
            continue
        if run:
            cost += (gamma_bits(marker) + gamma_bits(run - 1)) << FRACTION
            run = np.int64(0)
        nearest = min(max(((2 * (LOG2[seen] + base) + ONE) >> FRACTION) + 1, 2), top - 1)
        step, lowest = FAR + nearest - 1 - lowest, nearest - 1
        s0, s1, s2, s3, s4 = bits[step - 2], bits[step - 1], bits[step], bits[step + 1], bits[step + 2]
        b0, came0 = _least_of(c0 + s2, c1 + s1, c2 + s0)
        b1, came1 = _least_of(c0 + s3, c1 + s2, c2 + s1)
        b2, came2 = _least_of(c0 + s4, c1 + s3, c2 + s2)
        back[i] = came0 | (came1 << 2) | (came2 << 4)
        levels[i] = lowest
        own = seen * ((shrink << FRACTION) - ((lowest - 1) << (FRACTION - 1)))
        half = seen << (FRACTION - 1)
        c0 = b0 + own + (count * np.int64(HALF_POWERS[lowest - 1]) * LOG2_E >> (8 + shrink))
        c1 = b1 + own - half + (count * np.int64(HALF_POWERS[lowest]) * LOG2_E >> (8 + shrink))
        c2 = b2 + own - 2 * half + (count * np.int64(HALF_POWERS[lowest + 1]) * LOG2_E >> (8 + shrink))
    if run:
        cost += (gamma_bits(marker) + gamma_bits(run - 1)) << FRACTION
    best, came = _least_of(c0, c1, c2)
    for j in range(tokens):
        i = tokens - U(1) - j
        if cells[i]:
            levels[i] += U(came)
            came = (back[i] >> (2 * came)) & 3
        else:
            levels[i] = U(0)
    return cost + best - count * LOG2_E


@kernel(forceinline=True, inner=True)
def _least_of(one, two, three):
    """Return the least of three numbers, and which it is; the first of equal ones."""
    least, place = one, np.int64(0)
    if two < least:
        least, place = two, np.int64(1)
    if three < least:
        least, place = three, np.int64(2)
    return least, place


@kernel(inner=True)
def put_levels(levels, tokens, sparse, start, buffer, position):
    """Append an explicit table: steps between levels, and runs of tokens that there are none of."""
    last, i = start, U(0)
    while i < tokens:
        if levels[i]:
            position = put_gamma(buffer, position, U(symbol_of_step(np.int64(levels[i] - last), sparse)))
            last = levels[i]
            i += U(1)
        else:
            run = U(0)
            while i < tokens and levels[i] == U(0):
                run += U(1)
                i += U(1)
            position = put_gamma(buffer, position, U(0) if sparse else U(3))
            position = put_gamma(buffer, position, run - U(1))
    return position


@kernel(inner=True)
def take_levels(data, position, stop, tokens, sparse, start, weights):
    """Fill weights from an explicit table; return the position after it, and whether it makes sense."""
    level, i, some = start, U(0), False
    marker = U(0) if sparse else U(3)
    while i < tokens:
        symbol, position = take_gamma(data, position, stop)
        if position > stop:
            return position, False
        if symbol == marker:
            run, position = take_gamma(data, position, stop)
            if run >= tokens - i:
                return position, False
            for _ in range(run + U(1)):
                weights[i] = U(0)
                i += U(1)
        else:
            level += unzigzag(symbol - U(symbol > marker))
            if level == U(0) or level > U(HIGHEST_LEVEL):
                return position, False
            weights[i] = HALF_POWERS[level - U(1)]
            some = True
            i += U(1)
    return position, some and position <= stop


# Shapes


@kernel(fastmath=True, inner=True)
def _dot(counts, lengths):
    """Return the sum of products of whole numbers that stays below 2^24, whatever the order of additions."""
    total = np.float32(0)
    for i in range(U(counts.size)):
        total += counts[i] * lengths[i]
    return total


@kernel(inner=True)
def _cost_of(lengths, shape, counts, low, high):
    first = shape * U(CELLS)
    return np.int64(_dot(counts[low:high], lengths[first + low : first + high])) << (FRACTION - 7)


@kernel(forceinline=True, inner=True)
def shift_of_shapes(widest):
    """Return the shift that leaves the tokens of shapes: as many bits as their cells tell apart."""
    return U(max(0, (widest - SIDE + 8) >> 3))


@kernel(inner=True)
def best_shape(work, cells, low, high, count, families):
    """Return the shape that codes counted tokens, in the cells low to high, with the fewest bits, and these.

    It is one of some families: those whose bits are set.
    """
    half, below, middle, counts = count >> 1, np.int64(0), np.int64(16), work[WEIGHTS].view(np.float32)
    for i in range(SIDE):
        here = np.int64(cells[SIDE + i]) + np.int64(cells[SIDE - 1 - i])
        if below + here > half:
            raw = max((i >> 3) - 1, 0)
            base = (i - (raw << 3)) << raw
            middle = max(np.int64(base * 16) + ((half - below) * (16 << raw)) // here, np.int64(4))
            break
        below += here
    size = 63 - np.int64(leading_zeros(np.uint64(middle)))
    quarter = 4 * size + ((middle << 2 >> size) & 3)
    start = int(min(max(int(quarter) - 16 + FIRST_SCALE, 0), SCALES - 1))
    lengths = lengths_of_shapes(work)
    for i in range(U(low), U(high)):
        counts[i] = np.float32(np.int32(cells[i]))
    best, shape = np.int64(1) << 60, 0
    for family in range(FAMILIES):
        if not (families >> U(family)) & U(1):
            continue
        scale = start
        bits = _cost_of(lengths, U(family * SCALES + scale), counts, U(low), U(high))
        if best < bits * 3 // 4:
            continue
        first = bits
        while scale + 1 < SCALES:
            more = _cost_of(lengths, U(family * SCALES + scale + 1), counts, U(low), U(high))
            if more >= bits:
                break
            bits, scale = more, scale + 1
        while bits == first and scale > 0:
            more = _cost_of(lengths, U(family * SCALES + scale - 1), counts, U(low), U(high))
            if more >= bits:
                break
            bits, first, scale = more, more, scale - 1
        if bits < best:
            best, shape = bits, family * SCALES + scale
    return shape, best


@kernel(inner=True)
def cells_at(full, low, high, shift, mantissa, middle, cells):
    """Fill counts of tokens of shifted integers from those of all integers by three bits.

    Those are in the cells low to high, and ``middle`` is the cell of token 0. What has more mantissa bits than three
    cannot be told apart.

    Returns
    -------
    raw : int64
        The raw bits left.
    first, last : int64
        The first counted cell and the one after the last; cells outside of them are left as they are.
    """
    first, _ = _cell_at(low, shift, mantissa, middle)
    last, _ = _cell_at(high, shift, mantissa, middle)
    for i in range(first, last + U(1)):
        cells[i] = 0
    raw = np.int64(0)
    if shift == U(0) and mantissa == U(3):
        for i in range(low, high + 1):
            octave = (i - FULL if i >= FULL else FULL - 1 - i) >> 3
            cells[i - FULL + np.int64(middle)] = full[i]
            raw += np.int64(full[i]) * max(octave - 1, 0)
    else:
        for i in range(low, high + 1):
            if full[i]:
                cell, left = _cell_at(i, shift, mantissa, middle)
                cells[cell] += full[i]
                raw += np.int64(full[i]) * np.int64(left + shift)
    begin, end = span_of(cells[first : last + U(1)])
    return raw, np.int64(first) + begin, np.int64(first) + end


@kernel(forceinline=True, inner=True)
def _cell_at(place, shift, mantissa, middle):
    """Return the cell of shifted integers whose cell by three bits is given, and how many of their bits are raw."""
    token = U(place) - U(FULL)
    sign = U(0) - (token >> U(63))
    size = token ^ sign
    octave = size >> U(3)
    bits = octave - U(1) if octave > U(1) else U(0)
    small, left = token_of(((size - (bits << U(3))) << bits) >> shift, mantissa)
    return (small ^ sign) + middle, left


@kernel(inner=True)
def span_of(cells):
    """Return the first counted cell and the one after the last."""
    low, high = 0, cells.size
    while cells[low] == 0:
        low += 1
    while cells[high - 1] == 0:
        high -= 1
    return low, high
