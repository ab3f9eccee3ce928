"""Streams of static blocks: integers predicted, turned into tokens, and coded with tables that stand before them.

What is decided is decided by integers, or by floating-point sums in a fixed order, so that all machines write the same
bytes. ``docs/format.md`` draws the layout; in short::

    byte        bits 0-1 coder: 0 all residuals are 0, 1 lanes, 2 packed, 3 side by side; bits 2-4 predictor;
                bit 5 a divisor follows; bit 6 residuals are zigzag (packed ones)
    base        zigzag; integers are base + divisor * level
    divisor     if bit 5 says so
    fields      of the predictor
    residuals   as the coder writes them, up to the end of the stream
"""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.lanes import LANE_SLACK, MOST_RAW, begin_of, read_lanes, token_of, write_lanes
from squeezelab.codecs.tally.shapes import (
    CELLS,
    FAMILIES,
    FIRST_SCALE,
    FRACTION,
    HALF_POWERS,
    LOG2,
    NLOGN,
    SCALES,
    SIDE,
)
from squeezelab.codecs.tally.side import pack_side_by_side, unpack_side_by_side
from squeezelab.codecs.tally.streams import pack_integers, unpack_integers
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    load_little,
    put_varint,
    shift_down,
    store_little,
    take_varint,
    trailing_zeros,
    unzigzag,
    zigzag,
)

BLOCK = 8192
ZERO, LANES, PACKED, SIDE_BY_SIDE = range(4)
PLAIN, DELTA, DELTA_OF_DELTA, TAPS, OTHERS = range(5)
DIVIDED, ZIGZAG = 32, 64
EXPLICIT, SHAPE, SEGMENTS = range(3)
PATCHED, WIDE, SPARSE = 16, 32, 64
FEWEST_FOR_LANES, FEWEST_FOR_FOUR, FEWEST_FOR_EPOCHS, FEWEST_SIDE_BY_SIDE = 100, 1536, 1024, 512
FEWEST_TO_TRY, SMALL_STREAM = 16, 32
"""Of so many values up to `FEWEST_FOR_LANES` lanes are tried if they take more than so many bytes packed."""
MANTISSAS = (3, 1, 6)
"""Mantissa bits of tokens, by the number that a stream's header has."""
TOKENS = 1024
FULL = 512
"""The cell of token 0 where tokens of three mantissa bits of any integer are counted."""
HIGHEST_LEVEL = 24
ONE = 1 << FRACTION
LOG2_E = 5909

# Rows of 8192 words that a thread works in.
LEVELS, RESIDUALS, OTHER_RESIDUALS, THIRD, COUNTS, COSTS, CHOSEN, SHARES, BOUNDS, INVERSES, WEIGHTS, STATE = range(12)
TABLE, WORDS, NUMBERS, NOISE, DISTANCES, GAPS, RESULT, ROWS = 12, 14, 18, 19, 20, 21, 22, 24


@kernel(forceinline=True)
def lanes_of(count):
    """Return how many lanes so many values have."""
    return U(4) if count >= U(FEWEST_FOR_FOUR) else U(2)


@kernel(forceinline=True)
def epochs_of(count):
    """Return in how many spans a lane's table may change."""
    return U(4) if count >= U(FEWEST_FOR_EPOCHS) else U(1)


# Predicting


@kernel
def subtract_plan(levels, order, slope, residuals):
    """Fill residuals of levels: less a constant, the delta before, or the change of deltas."""
    count = U(levels.size)
    if order == U(PLAIN):
        for i in range(count):
            residuals[i] = levels[i] - slope
        return
    residuals[0] = U(0)
    if order == U(DELTA):
        for i in range(U(1), count):
            residuals[i] = levels[i] - levels[i - U(1)] - slope
        return
    if count > U(1):
        residuals[1] = levels[1] - levels[0] - slope
    for i in range(U(2), count):
        residuals[i] = levels[i] - (levels[i - U(1)] << U(1)) + levels[i - U(2)]


@kernel
def estimate(residuals, cells):
    """Return about how many bits residuals take, in units of 2^-12: of a part of them where they are many."""
    for i in range(TOKENS):
        cells[i] = 0
    count = residuals.size
    step = 64 if count > 1024 else count
    raw, seen, begin = U(0), 0, 0
    while begin < count:
        for i in range(U(begin), U(min(begin + step, count))):
            token, bits = token_of(residuals[i], U(3))
            cells[(token + U(FULL)) & U(TOKENS - 1)] += np.uint32(1)
            raw += bits
        seen += min(begin + step, count) - begin
        begin += step if step == count else 512
    bits, used = NLOGN[seen] + (np.int64(raw) << FRACTION), 0
    for i in range(TOKENS):
        if cells[i]:
            bits -= NLOGN[cells[i]]
            used += 1
    return bits * count // seen + used * (5 * ONE // 2)


@kernel
def median_of(numbers, first, room):
    """Return the median of up to 31 numbers, signed, evenly spread from the first one on."""
    size = numbers.size - first
    count = min(31, size)
    for i in range(count):
        number = np.int64(numbers[first + i * size // count])
        j = i
        while j > 0 and room[j - 1] > number:
            room[j] = room[j - 1]
            j -= 1
        room[j] = number
    return np.uint64(room[count // 2])


@kernel
def fit_taps(levels, middle):
    """Return least-squares weights: of the last change, the one before, and the distance from the middle.

    The sums are in the order of the values, and none is fused: all machines find the same.
    """
    a11, a12, a13, a22, a23, a33, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    step = 1 if levels.size <= 1024 else 3
    for i in range(U(3), U(levels.size), U(step)):
        now, one = float(np.int64(levels[i])), float(np.int64(levels[i - U(1)]))
        two, three = float(np.int64(levels[i - U(2)])), float(np.int64(levels[i - U(3)]))
        change, last, before, away = now - one, one - two, two - three, one - middle
        a11 += last * last
        a12 += last * before
        a13 += last * away
        a22 += before * before
        a23 += before * away
        a33 += away * away
        b1 += change * last
        b2 += change * before
        b3 += change * away
    little = 1e-9 * (a11 + 1.0)
    a11, a22, a33 = a11 + little, a22 + little, a33 + 1e-9 * (a33 + 1.0) + little
    f, g = a12 / a11, a13 / a11
    c22, c23, c33 = a22 - f * a12, a23 - f * a13, a33 - g * a13
    d2, d3 = b2 - f * b1, b3 - g * b1
    h = c23 / c22 if c22 > 0.0 else 0.0
    e33, e3 = c33 - h * c23, d3 - h * d2
    w3 = e3 / e33 if e33 > 1e-9 * a33 else 0.0
    w2 = (d2 - c23 * w3) / c22 if c22 > 0.0 else 0.0
    return (b1 - a12 * w2 - a13 * w3) / a11, w2, w3


@kernel(forceinline=True)
def tap_weights(a, b, c):
    """Return the weights, in 2^-16, of the three levels before; a and b are 2^-6, c is 2^-8."""
    return U(1 << 16) + (a << U(10)) + (c << U(8)), (b - a) << U(10), U(0) - (b << U(10))


@kernel(forceinline=True)
def _tap(one, two, three, w1, w2, w3, constant):
    return shift_down(w1 * one + w2 * two + w3 * three + constant, U(16))


@kernel
def subtract_taps(levels, w1, w2, w3, residuals):
    """Fill residuals of levels predicted from three before; the first three are 0."""
    for i in range(min(U(3), U(levels.size))):
        residuals[i] = U(0)
    for i in range(U(3), U(levels.size)):
        residuals[i] = levels[i] - _tap(levels[i - U(1)], levels[i - U(2)], levels[i - U(3)], w1, w2, w3, U(32768))


@kernel
def _add_taps_in_two(row, begin, other, size, w1, w2, w3, constant):
    """Turn residuals into levels in two lanes; the first three of each are levels."""
    a3, a2, a1 = row[begin], row[begin + U(1)], row[begin + U(2)]
    b3, b2, b1 = row[other], row[other + U(1)], row[other + U(2)]
    for i in range(U(3), size):
        a = row[begin + i] + _tap(a1, a2, a3, w1, w2, w3, constant)
        b = row[other + i] + _tap(b1, b2, b3, w1, w2, w3, constant)
        row[begin + i], row[other + i] = a, b
        a3, a2, a1, b3, b2, b1 = a2, a1, a, b2, b1, b


@kernel
def _add_taps_in_four(row, begins, size, w1, w2, w3, constant):
    """Turn residuals into levels in four lanes."""
    o, p, q, r = begins[0], begins[1], begins[2], begins[3]
    a3, a2, a1 = row[o], row[o + U(1)], row[o + U(2)]
    b3, b2, b1 = row[p], row[p + U(1)], row[p + U(2)]
    c3, c2, c1 = row[q], row[q + U(1)], row[q + U(2)]
    d3, d2, d1 = row[r], row[r + U(1)], row[r + U(2)]
    for i in range(U(3), size):
        a = row[o + i] + _tap(a1, a2, a3, w1, w2, w3, constant)
        b = row[p + i] + _tap(b1, b2, b3, w1, w2, w3, constant)
        c = row[q + i] + _tap(c1, c2, c3, w1, w2, w3, constant)
        d = row[r + i] + _tap(d1, d2, d3, w1, w2, w3, constant)
        row[o + i], row[p + i], row[q + i], row[r + i] = a, b, c, d
        a3, a2, a1, b3, b2, b1 = a2, a1, a, b2, b1, b
        c3, c2, c1, d3, d2, d1 = c2, c1, c, d2, d1, d


@kernel
def add_taps(row, w1, w2, w3, constant):
    """Turn residuals into levels, each lane by itself; the first three of each lane are levels."""
    count = U(row.size)
    lanes = lanes_of(count)
    per = count // lanes
    begins = (U(0), begin_of(U(1), count, lanes), begin_of(U(2), count, lanes), begin_of(U(3), count, lanes))
    if lanes == U(4):
        _add_taps_in_four(row, begins, per, w1, w2, w3, constant)
    else:
        _add_taps_in_two(row, begins[0], begins[1], per, w1, w2, w3, constant)
    for lane in range(count - per * lanes):
        i = begins[lane] + per
        row[i] += _tap(row[i - U(1)], row[i - U(2)], row[i - U(3)], w1, w2, w3, constant)


# Bits of tables, lowest first


@kernel(forceinline=True)
def put_bits(buffer, position, number, size):
    """Append up to 32 bits; what follows in the last byte becomes 0."""
    at, shift = position >> U(3), position & U(7)
    store_little(buffer, at, (U(buffer[at]) & ((U(1) << shift) - U(1))) | (number << shift))
    return position + size


@kernel(forceinline=True)
def take_bits(data, position, size):
    """Return up to 32 bits, and the position after them."""
    return (load_little(data, position >> U(3)) >> (position & U(7))) & ((U(1) << size) - U(1)), position + size


@kernel(forceinline=True)
def put_gamma(buffer, position, number):
    """Append a number from 0 on in Elias' gamma code of the one after it."""
    size = U(63) - leading_zeros(number + U(1))
    position = put_bits(buffer, position, U(1) << size, size + U(1))
    return put_bits(buffer, position, (number + U(1)) & ((U(1) << size) - U(1)), size)


@kernel(forceinline=True)
def take_gamma(data, position):
    """Return the number that `put_gamma` wrote, of at most 20 bits, and the position after it."""
    word = load_little(data, position >> U(3)) >> (position & U(7))
    size = min(trailing_zeros(word), U(20))
    number = (U(1) << size) | ((word >> (size + U(1))) & ((U(1) << size) - U(1)))
    return number - U(1), position + (size << U(1)) + U(1)


@kernel(forceinline=True)
def gamma_bits(number):
    """Return the length of a gamma code."""
    return 2 * (63 - np.int64(leading_zeros(np.uint64(number + 1)))) + 1


# Tables


@kernel
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


@kernel
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
        entry = share | ((raw - high) << U(24)) | ((shift + high) << U(32)) | (shift_down(lowest, high) << U(38))
        for place in range(share):
            table[at + place] = entry + (place << U(12))
        at += share


@kernel
def symbol_of_step(step, sparse):
    """Return the number that a step between levels has, other than a run of zeros."""
    folded = np.int64(zigzag(np.uint64(step)))
    if sparse:
        return folded + 1
    return folded if folded < 3 else folded + 1


@kernel
def explicit_levels(cells, tokens, count, log, sparse, levels, back):
    """Choose the level of each token's frequency; return about how many bits table and tokens take, in 2^-12.

    Levels are found by dynamic programming over the nearest one, the one below and the one above (Viterbi, 1967).
    """
    top = 2 * np.int64(log) + 1
    cost = np.int64(0)
    run = np.int64(0)
    shrink = np.int64(log)
    c0, c1, c2, l0, first = np.int64(0), np.int64(0), np.int64(0), np.int64(0), True
    for i in range(tokens):
        seen = np.int64(cells[i])
        if seen == 0:
            run += 1
            continue
        if run:
            cost += (gamma_bits(0 if sparse else 3) + gamma_bits(run - 1)) << FRACTION
            run = np.int64(0)
        nearest = (2 * (LOG2[seen] + (shrink << FRACTION) - LOG2[count]) + (ONE >> 1) * 2 // 2 + (ONE >> 1)) // ONE + 1
        nearest = min(max(nearest, 2), top - 1)
        n0, n1, n2 = np.int64(0), np.int64(0), np.int64(0)
        for j in range(3):
            level = nearest + j - 1
            own = seen * ((shrink << FRACTION) - ((level - 1) << (FRACTION - 1)))
            own += count * np.int64(HALF_POWERS[level - 1]) * LOG2_E >> (8 + shrink)
            best, came = np.int64(1) << np.int64(60), 0
            for k in range(3):
                if first and k:
                    break
                earlier = c0 if k == 0 else (c1 if k == 1 else c2)
                step = level - (l0 + k) if not first else level
                total = earlier + (gamma_bits(symbol_of_step(step, sparse)) << FRACTION)
                if total < best:
                    best, came = total, k
            back[i * U(3) + U(j)] = came
            if j == 0:
                n0 = best + own
            elif j == 1:
                n1 = best + own
            else:
                n2 = best + own
        c0, c1, c2, l0, first = n0, n1, n2, nearest - 1, False
        levels[i] = nearest
    if run:
        cost += (gamma_bits(0 if sparse else 3) + gamma_bits(run - 1)) << FRACTION
    best, came = c0, 0
    if c1 < best:
        best, came = c1, 1
    if c2 < best:
        best, came = c2, 2
    for j in range(tokens):
        i = tokens - U(1) - j
        if cells[i]:
            levels[i] += U(came) - U(1)
            came = int(back[i * U(3) + U(came)])
        else:
            levels[i] = U(0)
    return cost + best - count * LOG2_E


@kernel
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


@kernel
def take_levels(data, position, stop, tokens, sparse, weights):
    """Fill weights from an explicit table; return the position after it, and whether it makes sense."""
    level, i, some = U(0), U(0), False
    marker = U(0) if sparse else U(3)
    while i < tokens:
        symbol, position = take_gamma(data, position)
        if position > stop:
            return position, False
        if symbol == marker:
            run, position = take_gamma(data, position)
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


@kernel(fastmath=True)
def _dot(counts, lengths):
    """Return the sum of products of whole numbers that stays below 2^24, whatever the order of additions."""
    total = np.float32(0)
    for i in range(U(counts.size)):
        total += counts[i] * lengths[i]
    return total


@kernel
def _cost_of(bank, shape, counts, low, high):
    return np.int64(_dot(counts[low:high], bank[U(1), shape].view(np.float32)[low:high])) << (FRACTION - 7)


@kernel
def best_shape(bank, cells, low, high, count, counts):
    """Return the shape that codes counted tokens, in the cells low to high, with the fewest bits, and these."""
    half, below, middle = count >> 1, np.int64(0), np.int64(16)
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
    for i in range(U(low), U(high)):
        counts[i] = np.float32(np.int32(cells[i]))
    best, shape = np.int64(1) << 60, 0
    for family in range(FAMILIES):
        scale = start
        bits = _cost_of(bank, U(family * SCALES + scale), counts, U(low), U(high))
        if best < bits * 3 // 4:
            continue
        first = bits
        while scale + 1 < SCALES:
            more = _cost_of(bank, U(family * SCALES + scale + 1), counts, U(low), U(high))
            if more >= bits:
                break
            bits, scale = more, scale + 1
        while bits == first and scale > 0:
            more = _cost_of(bank, U(family * SCALES + scale - 1), counts, U(low), U(high))
            if more >= bits:
                break
            bits, first, scale = more, more, scale - 1
        if bits < best:
            best, shape = bits, family * SCALES + scale
    return shape, best


@kernel
def cells_at(full, shift, mantissa, middle, cells):
    """Fill counts of tokens of shifted integers from those of all integers by three bits; return the raw bits left.

    ``middle`` is the cell of token 0. What has more mantissa bits than three cannot be told apart.
    """
    for i in range(cells.size):
        cells[i] = 0
    raw = np.int64(0)
    for i in range(TOKENS):
        if full[i] == 0:
            continue
        token = U(i) - U(FULL)
        sign = U(0) - (token >> U(63))
        size = token ^ sign
        octave = size >> U(3)
        bits = octave - U(1) if octave > U(1) else U(0)
        number = ((size - (bits << U(3))) << bits) >> shift
        small, left = token_of(number, mantissa)
        cells[(small ^ sign) + middle] += full[i]
        raw += np.int64(full[i]) * np.int64(left + shift)
    return raw


# Residuals


@kernel
def _cut_outliers(full, count):
    """Return the tokens, as cells, outside of which integers are exceptions: those so rare that the table is dearer."""
    low, high = 0, TOKENS - 1
    while full[low] == 0:
        low += 1
    while full[high] == 0:
        high -= 1
    step = 3 * count * ONE // 2048
    for side in range(2):
        rare, gain, best, cut = np.int64(0), np.int64(0), np.int64(0), -1
        i = low if side == 0 else high
        while i != FULL and rare <= count // 32:
            if full[i]:
                rare += np.int64(full[i])
                bits = abs(i - FULL) >> 3
                gain -= np.int64(full[i]) * (12 + bits) * ONE
            gain += step
            if gain > best:
                best, cut = gain, i
            i += 1 if side == 0 else -1
        if cut >= 0:
            if side == 0:
                low = cut + 1
            else:
                high = cut - 1
    while low < FULL and full[low] == 0:
        low += 1
    while high > FULL and full[high] == 0:
        high -= 1
    return min(low, FULL), max(high, FULL)


@kernel
def write_residuals(residuals, bank, work, buffer, at):
    """Write residuals as lanes of tokens if any is not 0.

    Returns
    -------
    coder, at, gain : uint64, uint64, int64
        The byte after them, and about how many bits contexts would save, in 2^-12.
    """
    count = U(residuals.size)
    every = U(0)
    for i in range(count):
        every |= residuals[i]
    if every == U(0):
        return U(ZERO), at, np.int64(0)
    at, gain = write_static(residuals, bank, work, buffer, at)
    return U(LANES), at, gain


@kernel
def write_packed(numbers, work, buffer, at):
    """Write unsigned numbers packed."""
    if U(numbers.size) >= U(FEWEST_SIDE_BY_SIDE):
        return U(SIDE_BY_SIDE), pack_side_by_side(numbers, work[WORDS : WORDS + 2].reshape(-1), buffer, at)
    return U(PACKED), at + pack_integers(numbers, buffer[at:])


@kernel
def context_gain(residuals, cells):
    """Return how many bits the sizes of residuals would save if the size before were known, in 2^-12."""
    for i in range(16 * 17):
        cells[i] = 0
    before = U(0)
    for i in range(U(residuals.size)):
        size = min(U(64) - leading_zeros(zigzag(residuals[i])), U(15))
        cells[(before << U(4)) + size] += np.uint32(1)
        cells[U(256) + size] += np.uint32(1)
        before = size
    bits, used = NLOGN[residuals.size], 0
    for i in range(16):
        total = np.int64(0)
        for j in range(16):
            seen = np.int64(cells[16 * i + j])
            total += seen
            bits += NLOGN[seen]
            used += int(seen > 0)
        bits -= NLOGN[total] + NLOGN[cells[256 + i]]
    return bits - 3 * used * ONE


@kernel
def write_static(residuals, bank, work, buffer, at):
    """Write residuals as lanes of tokens; they are changed where they are exceptions."""
    count = U(residuals.size)
    lanes, epochs = lanes_of(count), epochs_of(count)
    segments = lanes * epochs
    counts = work[COUNTS].view(np.uint32)
    full, single, six = counts[:1024], counts[1024:2048], counts[2048:4096]
    by_segment = counts[4096 : 4096 + 34 * 256]
    for i in range(1024):
        full[i] = 0
    for i in range(count):
        token, _ = token_of(residuals[i], U(3))
        full[token + U(FULL)] += np.uint32(1)
    low, high = _cut_outliers(full, np.int64(count))
    patches = _take_exceptions(residuals, U(low), U(high), full, work)
    # The shift leaves the tokens of a shape: as many bits as its cells tell apart, and the median among its scales.
    widest = max(high - FULL, FULL - 1 - low)
    shift = U(max(0, (widest - SIDE + 8) >> 3))
    gain = context_gain(residuals, single)
    raw = cells_at(full, shift, U(3), U(SIDE), single[:CELLS])
    first, last = _span(single[:CELLS])
    shape, cost = best_shape(bank, single, first, last, np.int64(count), work[WEIGHTS].view(np.float32))
    kind, mantissa, best = U(SHAPE), U(0), cost + (raw + 9) * ONE
    tokens, lowest, sparse, log = U(last - first), U(SIDE - first), False, U(11)
    if count < U(2048) and tokens <= U(100):
        log = U(10)
    # Explicit tables of three, one and six bits of mantissa.
    for choice in range(3):
        bits = U(MANTISSAS[choice])
        if choice == 2:
            if widest >= 8 * 8:
                continue
            left = _count_six(residuals, six)
            cells, middle, part = six, U(1024), U(0)
        else:
            cells, middle, part = counts[14000:15024], U(512), shift if choice == 0 else U(0)
            if choice == 1:
                part = U(0)
            left = cells_at(full, part, bits, middle, cells)
        begin, end = _span(cells)
        size = U(end - begin)
        if size > U(800):
            continue
        floor = NLOGN[count] + left * ONE
        for i in range(begin, end):
            floor -= NLOGN[cells[i]]
        used = 0
        for i in range(begin, end):
            used += cells[i] > 0
        if floor + used * (3 * ONE // 2) >= best:
            continue
        own = U(11)
        if count < U(2048) and size <= U(100):
            own = U(10)
        # Runs of tokens that there are none of are worth a shorter code where they are many.
        sparsely = 3 * used < 2 * (end - begin)
        for thin in range(2):
            if (thin == 1) != sparsely:
                continue
            bits_taken = explicit_levels(
                cells[begin:end], size, np.int64(count), own, thin == 1,
                work[CHOSEN][U(2048) * U(thin) :], work[CHOSEN][4096:].view(np.int64),
            ) + left * ONE  # fmt: skip
            if bits_taken < best:
                kind, mantissa, best, sparse = U(EXPLICIT), U(choice), bits_taken, thin == 1
                tokens, lowest, log = size, middle - U(begin), own
                for i in range(size):
                    work[SHARES][i] = work[CHOSEN][U(2048) * U(thin) + i]
    tables = U(1)
    owner = work[STATE][64:96]
    for i in range(segments):
        owner[i] = U(0)
    chosen = work[STATE][96:128]
    chosen[0] = U(shape)
    if segments > U(2) and epochs > U(1):
        groups, total = _by_segments(
            residuals, shift, lanes, epochs, bank, by_segment, work, owner, chosen, best - raw * ONE, first, last
        )
        if groups > 1 and total + raw * ONE < best:
            kind, mantissa, tables, best, log = U(SEGMENTS), U(0), U(groups), total + raw * ONE, U(10)
            tokens, lowest = U(last - first), U(SIDE - first)
        else:
            for i in range(segments):
                owner[i] = U(0)
    if kind == U(EXPLICIT) and mantissa != U(0):
        shift = U(0)
    # The header.
    wide = _is_wide(lowest, tokens, shift, U(MANTISSAS[np.int64(mantissa)]))
    buffer[at] = (
        kind
        | (mantissa << U(2))
        | (U(PATCHED) if patches else U(0))
        | (U(WIDE) if wide else U(0))
        | (U(SPARSE) if sparse else U(0))
    )
    buffer[at + U(1)] = log | ((tables - U(1)) << U(4))
    at = put_varint(buffer, at + U(2), lowest)
    at = put_varint(buffer, at, tokens)
    if wide:
        buffer[at] = shift
        at += U(1)
    position = at << U(3)
    buffer[at] = 0
    weights, shares, slots = work[WEIGHTS], work[SHARES], work[BOUNDS]
    inverses = work[INVERSES].view(np.float64)
    if kind == U(EXPLICIT):
        position = put_levels(shares, tokens, sparse, buffer, position)
        for i in range(tokens):
            weights[i] = HALF_POWERS[shares[i] - U(1)] if shares[i] else U(0)
        frequencies_of(weights, tokens, log, shares)
    else:
        for table in range(tables):
            position = put_bits(buffer, position, chosen[table], U(9))
            for i in range(tokens):
                weights[i] = U(bank[U(0), chosen[table], U(SIDE) - lowest + i])
            frequencies_of(weights, tokens, log, shares[table * tokens :])
        if kind == U(SEGMENTS):
            for i in range(U(1), segments):
                position = put_bits(buffer, position, owner[i] - owner[i - U(1)], U(1))
    for table in range(tables):
        slot = U(0)
        for i in range(table * tokens, (table + U(1)) * tokens):
            slots[i] = slot
            slot += shares[i]
            inverses[i] = 1.0 / np.float64(np.int64(max(shares[i], U(1))))
    for i in range(segments):
        owner[i] *= tokens
    states = work[STATE][:4]
    bits = U(MANTISSAS[np.int64(mantissa)])
    room = work[WORDS : WORDS + 2].reshape(-1).view(np.uint8)
    begin = write_lanes(
        residuals, lowest, shift, bits, log, lanes, epochs, owner, slots, shares, inverses, states, room, U(room.size)
    )
    for lane in range(lanes):
        size = U(63) - leading_zeros(states[lane])
        position = put_bits(buffer, position, size - U(23), U(5))
        part = states[lane] & ((U(1) << size) - U(1))
        position = put_bits(buffer, position, part & U(0xFFFFFF), min(size, U(24)))
        if size > U(24):
            position = put_bits(buffer, position, part >> U(24), size - U(24))
    at = (position + U(7)) >> U(3)
    if patches:
        at = _put_exceptions(work, patches, buffer, at)
    if wide:
        at = _put_planes(residuals, shift, bits, lanes, buffer, at, work)
    for i in range(begin, U(room.size), U(8)):
        store_little(buffer, at + (i - begin), load_little(room, i) if i + U(8) <= U(room.size) else _last(room, i))
    return at + U(room.size) - begin, gain


@kernel
def _last(room, at):
    """Return the four bytes at the end of a room."""
    return U(room[at]) | (U(room[at + U(1)]) << U(8)) | (U(room[at + U(2)]) << U(16)) | (U(room[at + U(3)]) << U(24))


@kernel
def _span(cells):
    """Return the first counted cell and the one after the last."""
    low, high = 0, cells.size
    while cells[low] == 0:
        low += 1
    while cells[high - 1] == 0:
        high -= 1
    return low, high


@kernel
def _is_wide(lowest, tokens, shift, mantissa):
    """Return whether any token has bits in a plane."""
    if shift:
        return True
    largest = max(lowest, tokens - lowest) if tokens > lowest else lowest
    octave = (largest - U(1)) >> mantissa if largest else U(0)
    return octave > MOST_RAW + U(1)


@kernel
def _count_six(residuals, cells):
    """Count tokens of six bits of mantissa, token 0 in cell 1024; return the raw bits."""
    for i in range(cells.size):
        cells[i] = 0
    raw = U(0)
    for i in range(U(residuals.size)):
        token, bits = token_of(residuals[i], U(6))
        cells[token + U(1024)] += np.uint32(1)
        raw += bits
    return np.int64(raw)


@kernel
def _take_exceptions(residuals, low, high, full, work):
    """Keep apart the residuals whose tokens are not in the cells low to high, leave 0 for each, and return how many."""
    listed, patches = work[DISTANCES + 1], U(0)
    outside = False
    for i in range(U(TOKENS)):
        if full[i] and (i < low or i > high):
            outside = True
    if not outside:
        return patches
    for i in range(U(residuals.size)):
        token, _ = token_of(residuals[i], U(3))
        cell = token + U(FULL)
        if cell < low or cell > high:
            full[cell] -= np.uint32(1)
            full[FULL] += np.uint32(1)
            listed[patches] = i
            listed[patches + U(1)] = residuals[i]
            patches += U(2)
            residuals[i] = U(0)
    return patches >> U(1)


@kernel
def _put_exceptions(work, patches, buffer, at):
    listed, before = work[DISTANCES + 1], U(0)
    at = put_varint(buffer, at, patches)
    for i in range(U(0), patches << U(1), U(2)):
        at = put_varint(buffer, at, listed[i] - before)
        at = put_varint(buffer, at, zigzag(listed[i + U(1)]))
        before = listed[i]
    return at


@kernel
def _put_planes(residuals, shift, mantissa, lanes, buffer, at, work):
    """Write the lanes' planes, one after another, and before them how many bits each has but the last byte's rest."""
    count = U(residuals.size)
    for lane in range(lanes):
        total = U(0)
        for i in range(begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)):
            _, raw = token_of(shift_down(residuals[i], shift), mantissa)
            total += shift + (raw - MOST_RAW if raw > MOST_RAW else U(0))
        at = put_varint(buffer, at, total)
    for lane in range(lanes):
        pending, fill = U(0), U(0)
        for i in range(begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)):
            _, raw = token_of(shift_down(residuals[i], shift), mantissa)
            size = shift + (raw - MOST_RAW if raw > MOST_RAW else U(0))
            part = residuals[i] & ((U(1) << size) - U(1))
            pending |= part << fill
            fill += size
            if fill >= U(64):
                store_little(buffer, at, pending)
                at += U(8)
                fill -= U(64)
                pending = part >> (size - fill) if fill else U(0)
        store_little(buffer, at, pending)
        at += (fill + U(7)) >> U(3)
    return at


@kernel
def _by_segments(residuals, shift, lanes, epochs, bank, cells, work, owner, chosen, best, low, high):
    """Give each lane and epoch a shape, neighbours one while that saves bits; return how many, and the bits."""
    count = U(residuals.size)
    per = count // lanes
    segments = np.int64(lanes * epochs)
    costs, gains, sizes = (
        work[COSTS].view(np.int64)[:32],
        work[COSTS].view(np.int64)[32:64],
        work[COSTS].view(np.int64)[64:96],
    )
    members, joint = work[COSTS].view(np.int64)[96:128], work[COSTS].view(np.int64)[128:160]
    room = work[WEIGHTS].view(np.float32)
    total = np.int64(15 * ONE)
    for lane in range(lanes):
        begin, end = begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)
        for epoch in range(epochs):
            segment = np.int64(lane * epochs + epoch)
            own = cells[256 * segment : 256 * segment + 256]
            for i in range(CELLS):
                own[i] = 0
            last = begin + (epoch + U(1)) * per // epochs if epoch + U(1) < epochs else end
            first = begin + epoch * per // epochs
            for i in range(first, last):
                token, _ = token_of(shift_down(residuals[i], shift), U(3))
                own[token + U(SIDE)] += np.uint32(1)
            sizes[segment] = np.int64(last - first)
            shape, costs[segment] = best_shape(bank, own, low, high, sizes[segment], room)
            chosen[segment], members[segment] = U(shape), segment
            owner[segment] = U(segment)
            total += costs[segment]
    groups = segments
    if total - 4 * ONE >= best:
        return 0, total
    for j in range(groups - 1):
        gains[j] = -2
    while groups > 1:
        most, at = np.int64(0), -1
        for j in range(groups - 1):
            if gains[j] == -2:
                both = cells[256 * 32 : 256 * 32 + 256]
                one, two = cells[256 * members[j] :], cells[256 * members[j + 1] :]
                for i in range(U(CELLS)):
                    both[i] = one[i] + two[i]
                shape, cost = best_shape(bank, both, low, high, sizes[j] + sizes[j + 1], room)
                gains[j], joint[j] = costs[j] + costs[j + 1] + 9 * ONE + ONE // 2 - cost, shape
                if gains[j] < 0:
                    gains[j] = -1
            if gains[j] > most:
                most, at = gains[j], j
        if at < 0:
            break
        one, two = cells[256 * members[at] :], cells[256 * members[at + 1] :]
        for i in range(U(CELLS)):
            one[i] += two[i]
        costs[at] += costs[at + 1] + 9 * ONE + ONE // 2 - most
        chosen[at] = U(joint[at])
        sizes[at] += sizes[at + 1]
        for j in range(at + 1, groups - 1):
            costs[j], chosen[j], members[j], sizes[j] = costs[j + 1], chosen[j + 1], members[j + 1], sizes[j + 1]
        for j in range(at, groups - 2):
            gains[j], joint[j] = gains[j + 1], joint[j + 1]
        groups -= 1
        if at > 0:
            gains[at - 1] = -2
        if at < groups - 1:
            gains[at] = -2
        for i in range(segments):
            if owner[i] > U(at):
                owner[i] -= U(1)
    total = np.int64(segments + 1) * ONE
    for j in range(groups):
        total += costs[j] + 9 * ONE
    return groups, total


# Streams


@kernel
def write_stream(integers, level, bank, work, buffer, at):
    """Write a stream of integers, in two's complement.

    Parameters
    ----------
    integers : uint64[n]
        At most 8192.
    level : uint64
        1 to pack, 2 for lanes.
    bank : uint32[2, shapes, cells]
        `squeezelab.codecs.tally.shapes.BANK`.
    work : uint64[ROWS, 8192]
        Room to work in.
    buffer, at : uint8[...], uint64
        Where the stream goes.

    Returns
    -------
    at : uint64
        The byte after it.
    gain : int64
        About how many bits contexts would save, in 2^-12.
    """
    count, begin = U(integers.size), at
    least, most = integers[0], integers[0]
    for i in range(count):
        if np.int64(integers[i]) < np.int64(least):
            least = integers[i]
        if np.int64(integers[i]) > np.int64(most):
            most = integers[i]
    if least == most:
        buffer[at] = ZERO | (PLAIN << 2)
        return put_varint(buffer, at + U(1), zigzag(least)), np.int64(0)
    divisor = common_divisor(integers, least)
    levels = work[LEVELS][:count]
    if divisor == U(1):
        for i in range(count):
            levels[i] = integers[i] - least
    else:
        for i in range(count):
            levels[i] = (integers[i] - least) // divisor
    flags = U(DIVIDED) if divisor > U(1) else U(0)
    if level > U(1) and count >= U(FEWEST_FOR_LANES):
        return _write_stream_coded(integers[0], levels, least, most, divisor, flags, bank, work, buffer, at)
    at = _write_stream_packed(integers[0], levels, least, divisor, flags, work, buffer, at)
    if level > U(1) and count >= U(FEWEST_TO_TRY) and at - begin > U(SMALL_STREAM):
        after, _ = _write_stream_coded(integers[0], levels, least, most, divisor, flags, bank, work, buffer, at)
        if after - at < at - begin:
            for i in range(after - at):
                buffer[begin + i] = buffer[at + i]
            at = begin + (after - at)
    return at, np.int64(0)


@kernel
def _write_stream_coded(first, levels, least, most, divisor, flags, bank, work, buffer, at):
    """Write levels predicted in the way that promises the fewest bits, as lanes of tokens."""
    count, begin = U(levels.size), at
    order, slope, a, b, c = choose_predictor(levels, (most - least) // divisor, work)
    residuals = work[RESIDUALS][:count]
    base = least + divisor * slope if order == U(PLAIN) else first
    at = _put_head(base, divisor, at + U(1), buffer)
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        at = put_varint(buffer, at, zigzag(slope))
    elif order == U(TAPS):
        # Levels of this predictor count from the first one.
        start = levels[0]
        for i in range(count):
            levels[i] -= start
        at = _put_taps(levels, a, b, c, residuals, work, buffer, at)
    coder, at, gain = write_residuals(residuals, bank, work, buffer, at)
    buffer[begin] = coder | (order << U(2)) | flags
    return at, gain


@kernel
def common_divisor(integers, least):
    """Return the largest divisor of all distances to the least integer; it is found in a few and checked in all."""
    divisor, count = U(0), U(integers.size)
    for pace in (max(count // U(32), U(1)), U(1)):
        for i in range(U(0), count, pace):
            one = integers[i] - least
            if divisor and pace == U(1) and one % divisor == U(0):
                continue
            while one:
                divisor, one = one, (divisor % one if divisor else U(0))
            if divisor == U(1):
                return divisor
    return divisor


@kernel
def _put_head(base, divisor, at, buffer):
    at = put_varint(buffer, at, zigzag(base))
    return put_varint(buffer, at, divisor) if divisor > U(1) else at


@kernel
def choose_predictor(levels, span, work):
    """Return the predictor of levels, its slope or constant and its taps, and leave its residuals in their row."""
    count = levels.size
    cells, room = work[COUNTS].view(np.uint32), work[COSTS].view(np.int64)
    best, order, slope = np.int64(1) << 60, U(PLAIN), U(0)
    zero = U(0)
    for candidate in range(3):
        row = work[RESIDUALS + candidate][: levels.size]
        subtract_plan(levels, U(candidate), zero, row)
        middle = zero
        if candidate == 0:
            middle = median_of(row, 0, room)
        elif candidate == 1 and count > 2:
            middle = median_of(row, 1, room)
        elif candidate == 2:
            middle = levels[1] - levels[0]
        if middle:
            subtract_plan(levels, U(candidate), middle, row)
        bits = estimate(row, cells) + candidate * 8 * ONE
        if candidate == 2:
            bits += bits // 128
        if bits < best:
            best, order, slope = bits, U(candidate), middle
    if order:
        chosen, own = work[RESIDUALS + np.int64(order)], work[RESIDUALS]
        for i in range(U(count)):
            own[i] = chosen[i]
    a, b, c = zero, zero, zero
    if count > 64 and span < U(1) << U(40) and best > count * ONE // 4:
        large = span > U(1) << U(20)
        f1, f2, f3 = fit_taps(levels, 0.5 * float(np.int64(span)))
        n1 = np.int64(np.rint(min(max(f1, -1.9), 1.9) * 64.0))
        n2 = np.int64(np.rint(min(max(f2, -1.9), 1.9) * 64.0))
        n3 = np.int64(0) if large else np.int64(np.rint(min(max(f3, -0.99), 0.49) * 256.0))
        if n1 or n2 or n3:
            row = work[OTHER_RESIDUALS][:count]
            w1, w2, w3 = tap_weights(np.uint64(n1), np.uint64(n2), np.uint64(n3))
            subtract_taps(levels, w1, w2, w3, row)
            bits = estimate(row, cells) + 110 * ONE
            if bits < best - best // 50:
                order, a, b, c = U(TAPS), np.uint64(n1), np.uint64(n2), np.uint64(n3)
    return order, slope, a, b, c


@kernel
def _put_taps(levels, a, b, c, residuals, work, buffer, at):
    """Write the taps, a constant and how each lane begins; fill the residuals."""
    count = U(levels.size)
    w1, w2, w3 = tap_weights(a, b, c)
    subtract_taps(levels, w1, w2, w3, residuals)
    constant = median_of(residuals, 3, work[COSTS].view(np.int64))
    lanes = lanes_of(count)
    total = (constant << U(16)) + U(32768)
    for i in range(U(3), count):
        residuals[i] = levels[i] - _tap(levels[i - U(1)], levels[i - U(2)], levels[i - U(3)], w1, w2, w3, total)
    at = put_varint(buffer, at, zigzag(a))
    at = put_varint(buffer, at, zigzag(b))
    at = put_varint(buffer, at, zigzag(c))
    at = put_varint(buffer, at, zigzag(constant))
    before = U(0)
    for lane in range(lanes):
        begin = begin_of(lane, count, lanes)
        for i in range(begin, begin + U(3)):
            residuals[i] = U(0)
            if i:
                at = put_varint(buffer, at, zigzag(levels[i] - before))
            before = levels[i]
    return at


@kernel
def _write_stream_packed(first, levels, least, divisor, flags, work, buffer, at):
    """Write levels in the smallest of five ways to pack them: as they are, and signed or not by delta and its delta."""
    count, begin = U(levels.size), at
    best, order, slope, signed = np.int64(1) << 60, U(PLAIN), U(0), False
    row = work[RESIDUALS][:count]
    for candidate in range(4):
        middle = U(0)
        if candidate == 1 or candidate == 2:
            subtract_plan(levels, U(DELTA), U(0), row)
            if candidate == 1:
                middle = _least_from(row, U(1))
        subtract_plan(levels, U(candidate if candidate < 2 else candidate - 1), middle, row)
        if candidate == 1:
            row[0] = U(0)
        if candidate > 1:
            for i in range(count):
                row[i] = zigzag(row[i])
        bits = packed_size(row) + (1 if candidate else 0)
        if bits < best:
            best, order, slope, signed = bits, U(candidate if candidate < 2 else candidate - 1), middle, candidate > 1
    subtract_plan(levels, order, slope, row)
    if signed:
        flags |= U(ZIGZAG)
        for i in range(count):
            row[i] = zigzag(row[i])
    at = _put_head(least if order == U(PLAIN) else first, divisor, at + U(1), buffer)
    if order:
        at = put_varint(buffer, at, zigzag(slope))
    every = U(0)
    for i in range(count):
        every |= row[i]
    coder = U(ZERO)
    if every:
        coder, at = write_packed(row, work, buffer, at)
    buffer[begin] = coder | (order << U(2)) | flags
    return at


@kernel
def _least_from(numbers, first):
    least = numbers[first] if U(numbers.size) > first else U(0)
    for i in range(first, U(numbers.size)):
        if np.int64(numbers[i]) < np.int64(least):
            least = numbers[i]
    return least


@kernel
def packed_size(numbers):
    """Return about how many bytes numbers take packed."""
    group = U(256) if U(numbers.size) >= U(FEWEST_SIDE_BY_SIDE) else U(128)
    total, count = U(0), U(numbers.size)
    for first in range(U(0), count, group):
        every, last = U(0), min(first + group, count)
        for i in range(first, last):
            every |= numbers[i]
        total += U(8) + (U(64) - leading_zeros(every)) * (last - first)
    return np.int64(total >> U(3))


@kernel
def read_stream(data, at, stop, others, known, bank, work, levels):
    """Read a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The stream is ``data[at:stop]``; `READ_SLACK` bytes after it are readable.
    others, known : uint64[..., n or more], uint64
        Levels of other columns, and from how many of them this one may be predicted: the first ones.
    bank, work
        As `write_stream` has them.
    levels : uint64[n]
        Filled: the first part of a row of ``work``.

    Returns
    -------
    whole : bool
    base, divisor : uint64
        Integers are base plus divisor times level.
    """
    count = U(levels.size)
    if at >= stop:
        return False, U(0), U(1)
    flags = U(data[at])
    coder, order = flags & U(3), (flags >> U(2)) & U(7)
    base, at = take_varint(data, at + U(1), stop)
    base, divisor = unzigzag(base), U(1)
    if flags & U(DIVIDED):
        divisor, at = take_varint(data, at, stop)
    slope, a, b, c, constant, fields = U(0), U(0), U(0), U(0), U(0), at
    starts = work[STATE][128:144]
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        slope, at = take_varint(data, at, stop)
        slope = unzigzag(slope)
    elif order == U(TAPS):
        a, at = take_varint(data, at, stop)
        b, at = take_varint(data, at, stop)
        c, at = take_varint(data, at, stop)
        constant, at = take_varint(data, at, stop)
        starts[0] = U(0)
        for i in range(U(1), U(3) * lanes_of(count)):
            step, at = take_varint(data, at, stop)
            starts[i] = starts[i - U(1)] + unzigzag(step)
        if count < U(16):
            return False, base, divisor
    elif order == U(OTHERS):
        for _ in range(U(2) * known + U(2)):
            _, at = take_varint(data, at, stop)
    if at > stop or order > U(OTHERS) or flags >> U(7) or (flags & U(ZIGZAG) and coder < U(PACKED)):
        return False, base, divisor
    summed = order == U(DELTA)
    if coder == U(ZERO):
        for i in range(count):
            levels[i] = U(0)
        whole, summed = at == stop, False
    elif coder == U(LANES):
        whole, summed = read_static(data, at, stop, summed, bank, work, levels)
    else:
        summed = False
        if coder == U(PACKED):
            whole = unpack_integers(data, at, stop, levels) == stop
        elif count < U(FEWEST_SIDE_BY_SIDE):
            whole = False
        else:
            whole = unpack_side_by_side(data, at, stop, work[WORDS : WORDS + 2].reshape(-1), levels) == stop
        if flags & U(ZIGZAG):
            for i in range(count):
                levels[i] = unzigzag(levels[i])
    if not whole:
        return False, base, divisor
    if order == U(DELTA):
        _add_deltas(levels, slope, summed)
    elif order == U(DELTA_OF_DELTA):
        level, delta = U(0), slope
        levels[0] = U(0)
        for i in range(U(1), count):
            delta += levels[i]
            level += delta
            levels[i] = level
    elif order == U(TAPS):
        lanes = lanes_of(count)
        for lane in range(lanes):
            for i in range(U(3)):
                levels[begin_of(lane, count, lanes) + i] = starts[U(3) * lane + i]
        w1, w2, w3 = tap_weights(unzigzag(a), unzigzag(b), unzigzag(c))
        add_taps(levels, w1, w2, w3, (unzigzag(constant) << U(16)) + U(32768))
    elif order == U(OTHERS):
        _add_others(data, fields, stop, others, known, work, levels)
    return True, base, divisor


@kernel
def _add_deltas(levels, slope, summed):
    """Turn residuals into levels; ``summed`` if each lane has been summed up by itself."""
    count = U(levels.size)
    if not summed:
        level = U(0)
        levels[0] = U(0)
        for i in range(U(1), count):
            level += levels[i] + slope
            levels[i] = level
        return
    lanes = lanes_of(count)
    before = U(0)
    for lane in range(lanes):
        begin, end = begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)
        own = levels[begin:end]
        if slope == U(0):
            if before:
                for i in range(U(own.size)):
                    own[i] += before
        else:
            first = before + slope * begin
            if lane:
                first = before + slope
            for i in range(U(own.size)):
                own[i] += first + slope * i
        before = levels[end - U(1)]


@kernel
def _add_others(data, at, stop, others, known, work, levels):
    """Turn residuals into levels, with those of other columns at the same place and at the one before."""
    sums, count = work[OTHER_RESIDUALS], U(levels.size)
    own, at = take_varint(data, at, stop)
    constant, at = take_varint(data, at, stop)
    for i in range(count):
        sums[i] = unzigzag(constant)
    for row in range(known):
        same, at = take_varint(data, at, stop)
        before, at = take_varint(data, at, stop)
        same, before = unzigzag(same), unzigzag(before)
        for i in range(U(1), count):
            sums[i] += same * others[row, i] + before * others[row, i - U(1)]
    own, level = unzigzag(own), U(0)
    levels[0] = U(0)
    for i in range(U(1), count):
        level = levels[i] + shift_down(sums[i] + own * level, U(16))
        levels[i] = level


@kernel
def read_static(data, at, stop, summed, bank, work, out):
    """Read lanes of tokens; return whether they are whole, and whether each lane was summed up."""
    count = U(out.size)
    if stop - at < U(8) or count < U(8):
        return False, False
    if U(data.size) - stop < U(LANE_SLACK):
        room = work[WORDS : WORDS + 4].reshape(-1).view(np.uint8)
        size = stop - at
        if size + U(LANE_SLACK) > U(room.size):
            return False, False
        for i in range(U(0), size, U(8)):
            store_little(room, i, load_little(data, at + i))
        return _read_static(room, U(0), size, summed, bank, work, out)
    return _read_static(data, at, stop, summed, bank, work, out)


@kernel
def _read_static(data, at, stop, summed, bank, work, out):
    count = U(out.size)
    lanes, epochs = lanes_of(count), epochs_of(count)
    segments = lanes * epochs
    flags, second = U(data[at]), U(data[at + U(1)])
    kind, choice, sparse = flags & U(3), (flags >> U(2)) & U(3), flags & U(SPARSE) != U(0)
    log, tables = second & U(15), (second >> U(4)) + U(1)
    lowest, at = take_varint(data, at + U(2), stop)
    tokens, at = take_varint(data, at, stop)
    shift, wide = U(0), flags & U(WIDE) != U(0)
    if wide and at < stop:
        shift = U(data[at])
        at += U(1)
    if kind > U(SEGMENTS) or choice > U(2) or at >= stop or log < U(10) or log > U(11) or flags >> U(7):
        return False, False
    if tokens == U(0) or tokens > U(800) or lowest > tokens or shift > U(53):
        return False, False
    if (kind != U(SEGMENTS) and tables > U(1)) or tables > segments or (tables > U(1) and log > U(10)):
        return False, False
    mantissa = U(MANTISSAS[np.int64(choice)])
    largest = max(lowest, tokens - lowest) - U(1)
    octave = largest >> mantissa
    raw = octave - U(1) if octave > U(1) else U(0)
    if shift + raw > U(63) or (not wide and raw > MOST_RAW):
        return False, False
    if kind != U(EXPLICIT) and (choice or lowest > U(SIDE) or tokens - lowest > U(SIDE)):
        return False, False
    weights, shares = work[WEIGHTS], work[SHARES]
    table = work[TABLE : TABLE + 2].reshape(-1)
    state = work[STATE][:20].reshape(5, 4)
    owner, ends = work[STATE][64:96], work[STATE][96:100]
    position, limit = at << U(3), stop << U(3)
    for i in range(tables):
        if kind == U(EXPLICIT):
            position, good = take_levels(data, position, limit, tokens, sparse, weights)
            if not good:
                return False, False
        else:
            shape, position = take_bits(data, position, U(9))
            for j in range(tokens):
                weights[j] = U(bank[U(0), shape, U(SIDE) - lowest + j])
        frequencies_of(weights, tokens, log, shares)
        fill_table(shares, tokens, lowest, shift, mantissa, table, i << log)
    for i in range(segments):
        owner[i] = U(0)
    if kind == U(SEGMENTS):
        for i in range(U(1), segments):
            bit, position = take_bits(data, position, U(1))
            owner[i] = owner[i - U(1)] + (bit << log)
            if owner[i] >= tables << log:
                return False, False
    for lane in range(lanes):
        size, position = take_bits(data, position, U(5))
        size += U(23)
        part, position = take_bits(data, position, min(size, U(24)))
        state[0, lane] = part | (U(1) << size)
        if size > U(24):
            part, position = take_bits(data, position, min(size - U(24), U(31)))
            state[0, lane] |= part << U(24)
        state[1, lane], state[3, lane], state[4, lane] = U(0), begin_of(lane, count, lanes), U(0)
    at = (position + U(7)) >> U(3)
    patched, patches, patches_at = flags & U(PATCHED) != U(0), U(0), U(0)
    if patched and at < stop:
        patches, at = take_varint(data, at, stop)
        patches_at = at
        if patches > count:
            return False, False
        place = U(0)
        for _ in range(patches):
            gap, at = take_varint(data, at, stop)
            _, at = take_varint(data, at, stop)
            if at > stop or gap >= count - place:
                return False, False
            place += gap
    if at > stop:
        return False, False
    if wide:
        for lane in range(lanes):
            ends[lane], at = take_varint(data, at, stop)
            if at > stop or ends[lane] > (stop - at) << U(3):
                return False, False
        for lane in range(lanes):
            state[4, lane] = at << U(3)
            at += (ends[lane] + U(7)) >> U(3)
            ends[lane] += state[4, lane]
        if at > stop:
            return False, False
    summed = summed and not patched
    keep = ~U(0) if summed else U(0)
    whole = read_lanes(data, at, stop, ends, wide, table, log, lanes, epochs, owner, state, keep, out)
    place = U(0)
    for _ in range(patches):
        gap, patches_at = take_varint(data, patches_at, stop)
        number, patches_at = take_varint(data, patches_at, stop)
        place += gap
        out[place] = unzigzag(number)
    return whole, summed
