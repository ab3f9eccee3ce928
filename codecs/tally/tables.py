"""Tables of tokens: frequencies by shapes or explicit levels, and which of them take the fewest bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs.tally.lanes import FULL, MOST_RAW, Tokens, begin_of, entry_of, prepare_wide, token_of
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
from squeezelab.codecs.tally.workspace import COSTS, COUNTS, PREPARED, STATE, WEIGHTS, lengths_of_shapes
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

MANTISSAS = (3, 1, 6)
"""Mantissa bits of tokens, by the number that a stream's header has."""
HIGHEST_LEVEL = 24
LOG2_E = 5909


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
            for i in range(tokens):
                if shares[i] > shares[largest]:
                    largest = U(i)
    shares[largest] += left


@kernel(inner=True)
def fill_table(shares, tokens, low, shift, mantissa, table, offset):
    """Fill a decoding table: see `squeezelab.codecs.tally.lanes` for its entries."""
    at = offset
    for i in range(tokens):
        token, share = i - low, shares[i]
        sign = U(0) - (token >> U(63))
        size = token ^ sign
        octave = size >> mantissa
        raw = octave - U(1) if octave > U(1) else U(0)
        lowest = (size - (raw << mantissa)) << raw
        lowest = U(0) - (lowest + (U(1) << raw)) if sign else lowest
        high = raw - MOST_RAW if raw > MOST_RAW else U(0)
        entry = entry_of(share, raw - high, shift + high, shift_down(lowest, high))
        for place in range(share):
            table[at + place] = entry + (place << U(16))
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
def explicit_levels(cells, tokens, count, log, sparse, levels, back):
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
    c0, c1, c2, lowest = np.int64(0), far, far, np.int64(0)
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
def put_levels(levels, tokens, sparse, buffer, position):
    """Append an explicit table: steps between levels, and runs of tokens that there are none of."""
    last, i = U(0), U(0)
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
def take_levels(data, position, stop, tokens, sparse, weights):
    """Fill weights from an explicit table; return the position after it, and whether it makes sense."""
    level, i, some = U(0), U(0), False
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


@kernel(inner=True)
def best_shape(work, cells, low, high, count):
    """Return the shape that codes counted tokens, in the cells low to high, with the fewest bits, and these."""
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


class Segments(NamedTuple):
    """Lanes and epochs, or groups of neighbours among them, each with a shape.

    Attributes
    ----------
    cells : uint32[33 * 256]
        Counts of the tokens of each segment, 256 cells for one, and room for a further one.
    members : int64[32]
        Whose cells those of a group are in.
    costs, sizes : int64[32]
        Of a group the bits, in 2^-12, and how many values.
    gains, joint : int64[32]
        What it saves to join a group with the next, -2 where that is not known, and the shape of both.
    owner, chosen : uint64[32]
        The group of each segment, and the shape of each group.
    """

    cells: npt.NDArray[np.uint32]
    members: npt.NDArray[np.int64]
    costs: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    gains: npt.NDArray[np.int64]
    joint: npt.NDArray[np.int64]
    owner: npt.NDArray[np.uint64]
    chosen: npt.NDArray[np.uint64]


@kernel(forceinline=True, inner=True)
def owner_of(work):
    """Return where is told which table each lane and epoch has."""
    return work[STATE][64:96]


@kernel(forceinline=True, inner=True)
def chosen_of(work):
    """Return where is told which shape each table has."""
    return work[STATE][96:128]


@kernel(inner=True)
def shapes_of_segments(residuals, shift, layout, low, high, best, work):
    """Give each lane and epoch a shape, neighbours one while that saves bits; return how many, and the bits.

    How many is 0 where not even shapes for all of them take fewer bits than ``best``, but for a few.
    """
    if shift:
        prepare_wide(residuals, Tokens(U(0), shift, U(3), U(0)), work[PREPARED])
    room = work[COSTS].view(np.int64)
    segments = Segments(
        work[COUNTS].view(np.uint32)[4096 : 4096 + 33 * 256], room[:32], room[32:64], room[64:96], room[96:128],
        room[128:160], owner_of(work), chosen_of(work),
    )  # fmt: skip
    total = _count_segments(work[PREPARED], layout, low, high, segments, work)
    if total - 4 * ONE >= best:
        return np.int64(0), total
    count = np.int64(layout.lanes * layout.epochs)
    groups = _join_segments(segments, count, low, high, work)
    total = np.int64(count + 1) * ONE
    for j in range(groups):
        total += segments.costs[j] + 9 * ONE
    return groups, total


@kernel(inner=True)
def _count_segments(row, layout, low, high, segments, work):
    """Count the tokens of each lane and epoch, prepared in a row, and choose their shapes; return the bits of all."""
    count, lanes, epochs = layout
    per, total = count // lanes, np.int64(15 * ONE)
    for lane in range(lanes):
        begin, end = begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)
        for epoch in range(epochs):
            segment = np.int64(lane * epochs + epoch)
            own = segments.cells[256 * segment : 256 * segment + 256]
            for i in range(CELLS):
                own[i] = 0
            last = begin + (epoch + U(1)) * per // epochs if epoch + U(1) < epochs else end
            first = begin + epoch * per // epochs
            for i in range(first, last):
                own[(row[i] & U(0xFFFF)) - U(FULL - SIDE)] += np.uint32(1)
            size = np.int64(last - first)
            shape, cost = best_shape(work, own, low, high, size)
            segments.sizes[segment], segments.costs[segment], segments.chosen[segment] = size, cost, U(shape)
            segments.members[segment], segments.owner[segment] = segment, U(segment)
            segments.gains[segment] = -2
            total += cost
    return total


@kernel(inner=True)
def _join_segments(segments, count, low, high, work):
    """Join the two neighbours that save most, while any do; return how many groups are left."""
    groups = count
    while groups > 1:
        most, at = np.int64(0), -1
        for j in range(groups - 1):
            if segments.gains[j] == -2:
                _try_to_join(segments, j, low, high, work)
            if segments.gains[j] > most:
                most, at = segments.gains[j], j
        if at < 0:
            break
        groups -= 1
        _join(segments, at, groups)
        for i in range(count):
            if segments.owner[i] > U(at):
                segments.owner[i] -= U(1)
    return groups


@kernel(inner=True)
def _try_to_join(segments, j, low, high, work):
    """Fill what it saves to join a group with the next."""
    cells, members, costs = segments.cells, segments.members, segments.costs
    both = cells[256 * 32 : 256 * 33]
    one, two = cells[256 * members[j] :], cells[256 * members[j + 1] :]
    for i in range(U(CELLS)):
        both[i] = one[i] + two[i]
    shape, cost = best_shape(work, both, low, high, segments.sizes[j] + segments.sizes[j + 1])
    segments.gains[j] = max(costs[j] + costs[j + 1] + 9 * ONE + ONE // 2 - cost, np.int64(-1))
    segments.joint[j] = shape


@kernel(inner=True)
def _join(segments, at, left):
    """Join a group with the next, so that ``left`` are left."""
    cells, members, costs, sizes, gains, joint, _, chosen = segments
    one, two = cells[256 * members[at] :], cells[256 * members[at + 1] :]
    for i in range(U(CELLS)):
        one[i] += two[i]
    costs[at] += costs[at + 1] + 9 * ONE + ONE // 2 - gains[at]
    chosen[at] = U(joint[at])
    sizes[at] += sizes[at + 1]
    for j in range(at + 1, left):
        costs[j], chosen[j], members[j], sizes[j] = costs[j + 1], chosen[j + 1], members[j + 1], sizes[j + 1]
    for j in range(at, left - 1):
        gains[j], joint[j] = gains[j + 1], joint[j + 1]
    if at > 0:
        gains[at - 1] = -2
    if at < left - 1:
        gains[at] = -2
