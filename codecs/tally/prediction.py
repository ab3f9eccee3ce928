"""Prediction in static blocks: from the levels before, from a few of them by taps, from other columns.

What is decided is decided by integers, or by floating-point sums in a fixed order: all machines write the same bytes.
"""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.contexts import context_gain
from squeezelab.codecs.tally.lanes import FULL, TOKENS, begin_of, count_cells, fill_cells, lanes_of
from squeezelab.codecs.tally.shapes import FRACTION, NLOGN, ONE
from squeezelab.codecs.tally.workspace import COSTS, COUNTS, OTHER_LEVELS, OTHER_RESIDUALS, PREPARED, RESIDUALS
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    double_of,
    leading_zeros,
    put_varint,
    shift_down,
    take_varint,
    trailing_zeros,
    unzigzag,
    zigzag,
)

PLAIN, DELTA, DELTA_OF_DELTA, TAPS, OTHERS = range(5)
FEWEST_FOR_TAPS = 16
NONE_COMMON = ~U(0)
"""In place of the most common level, where that is not known."""
MOST_EXACT = 1 << 19
"""Of a block's levels up to this, sums of products are exact."""
LEAST_EXPLAINED = 0.08
"""Taps that explain less of the changes' squares save less than a tenth of a bit a value: they are not tried."""


# Choosing


@kernel(forceinline=True)
def extremes(integers):
    """Return the least and the largest of integers in two's complement, of which there is one at least."""
    least, most = integers[0], integers[0]
    for i in range(U(integers.size)):
        if np.int64(integers[i]) < np.int64(least):
            least = integers[i]
        if np.int64(integers[i]) > np.int64(most):
            most = integers[i]
    return least, most


@kernel
def common_divisor(integers, least):
    """Return the largest divisor of all distances to the least integer; it is found in a few and checked in all."""
    divisor, count = U(0), U(integers.size)
    for i in range(U(0), count, max(count // U(32), U(1))):
        divisor = greatest_common(divisor, integers[i] - least)
        if divisor == U(1):
            return divisor
    zeros, inverse, most = exact_inverse(divisor)
    for i in range(count):
        one = integers[i] - least
        quotient = (one >> zeros) * inverse
        if quotient > most or quotient * divisor != one:
            divisor = greatest_common(divisor, one)
            if divisor == U(1):
                return divisor
            zeros, inverse, most = exact_inverse(divisor)
    return divisor


@kernel(forceinline=True, inner=True)
def greatest_common(one, two):
    """Return the greatest common divisor of two numbers."""
    while two:
        one, two = two, (one % two if one else U(0))
    return one


@kernel(forceinline=True, inner=True)
def exact_inverse(divisor):
    """Return how many zero bits a divisor ends with; the inverse, modulo 2^64, of what is above them; their quotient.

    A multiple of the divisor, without these bits, times the inverse is its quotient: no division takes so little time.
    Of what is no multiple it is larger than the largest quotient there is, or has another product.
    """
    zeros = trailing_zeros(divisor | (U(1) << U(63)))
    odd = divisor >> zeros
    inverse = (U(3) * odd) ^ U(2)
    for _ in range(4):
        # Each time twice as many low bits are right, of 5 to begin with.
        inverse *= U(2) - odd * inverse
    return zeros, inverse, ~U(0) // max(odd, U(1))


@kernel(forceinline=True, inner=True)
def fill_levels(integers, least, divisor, levels):
    """Fill levels: the distances to the least integer over a divisor of all, 0 if all are 0."""
    if divisor <= U(1):
        for i in range(U(levels.size)):
            levels[i] = integers[i] - least
    else:
        zeros, inverse, _ = exact_inverse(divisor)
        for i in range(U(levels.size)):
            levels[i] = ((integers[i] - least) >> zeros) * inverse


@kernel(inner=True)
def choose_predictor(levels, span, common, work):
    """Return the predictor of levels, its slope or constant and its taps, and leave its residuals in their row.

    Those of taps are left to `put_taps`. The most common level may be known, or `NONE_COMMON`.
    """
    order, slope, bits = _choose_difference(levels, common, work)
    a, b, c = _choose_taps(levels, span, bits, work)
    if a or b or c:
        return U(TAPS), slope, a, b, c
    subtract_plan(levels, order, slope, work[RESIDUALS][: levels.size])
    return order, slope, a, b, c


@kernel(inner=True)
def _choose_difference(levels, common, work):
    """Return which difference of levels promises the fewest bits, its slope or constant, and these bits, in 2^-12."""
    room, order = work[COSTS].view(np.int64), U(PLAIN)
    slope = median_of(levels, False, room)
    best = _bits_of(levels, order, slope, work)
    if common != NONE_COMMON:
        # Tokens tell most apart where most levels are, which need not be in the middle.
        bits = _bits_of(levels, order, common, work)
        if bits < best:
            best, slope = bits, common
    median = median_of(levels, True, room) if levels.size > 2 else U(0)
    of_deltas = _bits_of(levels, U(DELTA), median, work) + 8 * ONE
    if of_deltas < best:
        best, order, slope = of_deltas, U(DELTA), median
    if not _change_more(work[OTHER_RESIDUALS], levels.size):
        first = levels[1] - levels[0]
        bits = _bits_of(levels, U(DELTA_OF_DELTA), first, work) + 16 * ONE
        bits += bits // 128
        if bits < best:
            best, order, slope = bits, U(DELTA_OF_DELTA), first
            if _tell_more(levels, median, of_deltas - bits + of_deltas // 32, work):
                order, slope = U(DELTA), median
    return order, slope, best


@kernel(inner=True)
def _bits_of(levels, order, slope, work):
    """Return about how many bits a difference of levels takes, in 2^-12: by a part of them where they are many."""
    count, row, seen = levels.size, work[OTHER_RESIDUALS], 0
    step, pace = _sampled(count)
    for begin in range(0, count, pace):
        end = min(begin + step, count)
        _subtract_part(levels, order, slope, U(begin), U(end), row[seen:])
        seen += end - begin
    return _bits_of_sample(row[:seen], count, work)


@kernel(inner=True)
def _choose_taps(levels, span, best, work):
    """Return the taps that save a fiftieth of so many bits, in 2^-12, or zeros."""
    count, row, seen, none = levels.size, work[OTHER_RESIDUALS], 0, U(0)
    if count <= 64 or span >= U(1) << U(40) or best <= count * ONE // 4:
        return none, none, none
    large = span > U(1) << U(20)
    f1, f2, f3, explained = fit_taps(levels, span)
    n1 = np.int64(np.rint(min(max(f1, -1.9), 1.9) * 64.0))
    n2 = np.int64(np.rint(min(max(f2, -1.9), 1.9) * 64.0))
    n3 = np.int64(0) if large else np.int64(np.rint(min(max(f3, -0.99), 0.49) * 256.0))
    if explained <= LEAST_EXPLAINED or not (n1 or n2 or n3):
        return none, none, none
    a, b, c = np.uint64(n1), np.uint64(n2), np.uint64(n3)
    w1, w2, w3 = tap_weights(a, b, c)
    step, pace = _sampled(count)
    for begin in range(0, count, pace):
        end = min(begin + step, count)
        _subtract_taps(levels, w1, w2, w3, U(begin), U(end), row[seen:])
        seen += end - begin
    bits = _bits_of_sample(row[:seen], count, work) + 110 * ONE
    return (a, b, c) if bits < best - best // 50 else (none, none, none)


@kernel(inner=True)
def _tell_more(levels, slope, saved, work):
    """Return whether contexts tell more of deltas than of their changes, by more than these save."""
    row, room, cells = work[OTHER_RESIDUALS][: levels.size], work[PREPARED], work[COUNTS].view(np.uint32)
    subtract_plan(levels, U(DELTA_OF_DELTA), levels[1] - levels[0], row)
    of_changes = context_gain(row, U(TOKENS), room, cells)
    subtract_plan(levels, U(DELTA), slope, row)
    return context_gain(row, U(TOKENS), room, cells) - max(of_changes, np.int64(0)) > saved


@kernel(inner=True)
def _change_more(deltas, count):
    """Return whether changes of deltas have an eighth of a bit a value more than these: then they take more bits.

    Of so many levels there are the deltas of a part, as `_bits_of` leaves them.
    """
    bits = np.int64(0)
    step, pace = _sampled(count)
    seen = count // pace * step + min(step, count % pace)
    for i in range(U(1), U(seen)):
        bits += _growth(deltas, i)
    for i in range(step, seen, step):
        # What is first in its row has none before it.
        bits -= _growth(deltas, U(i))
    return bits > count * step // pace >> 3


@kernel(forceinline=True, inner=True)
def _growth(deltas, i):
    """Return how many bits more a change of deltas has than the second of them."""
    return np.int64(_size_of(deltas[i] - deltas[i - U(1)])) - np.int64(_size_of(deltas[i]))


@kernel(forceinline=True, inner=True)
def _size_of(number):
    """Return how many bits a number in two's complement has besides its sign."""
    return U(64) - leading_zeros(number ^ (U(0) - (number >> U(63))))


@kernel(inner=True)
def subtract_plan(levels, order, slope, residuals):
    """Fill residuals of levels: less a constant, the delta before, or the change of deltas."""
    _subtract_part(levels, order, slope, U(0), U(levels.size), residuals)


@kernel(forceinline=True, inner=True)
def _subtract_part(levels, order, slope, begin, end, residuals):
    """Fill the residuals of a place and of those after it, up to another, as `subtract_plan` does."""
    if order == U(PLAIN):
        now, out = levels[begin:end], residuals[: end - begin]
        for i in range(U(now.size)):
            out[i] = now[i] - slope
        return
    if begin == U(0):
        residuals[0] = U(0)
        if end > U(1):
            residuals[1] = levels[1] - levels[0] - slope
    # From here on there are as many levels before as the order is.
    first = min(max(begin, order), end)
    now, before, out = levels[first:end], levels[first - U(1) : end], residuals[first - begin :]
    if order == U(DELTA):
        for i in range(U(now.size)):
            out[i] = now[i] - before[i] - slope
        return
    earlier = levels[max(first, order) - order : end]
    for i in range(U(now.size)):
        out[i] = now[i] - (before[i] << U(1)) + earlier[i]


@kernel(forceinline=True, inner=True)
def _sampled(count):
    """Return of how many residuals in a row, and of which distance of such rows, bits are estimated."""
    if count > 1024:
        return 64, 512
    return (64, 128) if count > 512 else (count, count)


@kernel(inner=True)
def estimate(residuals, work):
    """Return about how many bits residuals take, in units of 2^-12: of a part of them where they are many.

    They must not lie in the row `OTHER_RESIDUALS`, where that part goes.
    """
    count, row, seen = residuals.size, work[OTHER_RESIDUALS], 0
    step, pace = _sampled(count)
    for begin in range(0, count, pace):
        for i in range(U(begin), U(min(begin + step, count))):
            row[seen] = residuals[i]
            seen += 1
    return _bits_of_sample(row[:seen], count, work)


@kernel(inner=True)
def _bits_of_sample(residuals, count, work):
    """Return about how many bits so many residuals take, of which there is a part, in units of 2^-12."""
    row, cells = work[PREPARED][: residuals.size], work[COUNTS].view(np.uint32)
    low, high = fill_cells(residuals, row)
    count_cells(row, low, high, cells)
    bits, raw, used = NLOGN[residuals.size], np.int64(0), 0
    for i in range(np.int64(low), np.int64(high) + 1):
        octave = (i - FULL if i >= FULL else FULL - 1 - i) >> 3
        raw += np.int64(cells[i]) * max(octave - 1, 0)
        bits -= NLOGN[cells[i]]
        used += int(cells[i] > 0)
    return (bits + (raw << FRACTION)) * count // residuals.size + used * (5 * ONE // 2)


@kernel(inner=True)
def median_of(numbers, changes, room):
    """Return the median of up to 31 signed numbers, or of their changes, evenly spread."""
    first = 1 if changes else 0
    size = numbers.size - first
    count = min(31, size)
    for i in range(count):
        place = first + i * size // count
        number = np.int64(numbers[place])
        if changes:
            number = np.int64(numbers[place] - numbers[place - 1])
        j = i
        while j > 0 and room[j - 1] > number:
            room[j] = room[j - 1]
            j -= 1
        room[j] = number
    return np.uint64(room[count // 2])


@kernel(inner=True)
def fit_taps(levels, span):
    """Return least-squares weights: of the last change, the one before, and the distance from the middle.

    And which share of the changes' squares they explain. A third of the values tells. No two levels, of which the most
    is the span, may be further apart than 2^51.
    """
    middle = 0.5 * float(np.int64(span))
    sums = _sums_in_any_order(levels, middle) if span <= U(MOST_EXACT) else _sums_in_order(levels, middle)
    every, a11, a12, a13, a22, a23, a33, b1, b2, b3 = sums
    little = 1e-9 * (a11 + 1.0)
    a11, a22, a33 = a11 + little, a22 + little, a33 + 1e-9 * (a33 + 1.0) + little
    f, g = a12 / a11, a13 / a11
    c22, c23, c33 = a22 - f * a12, a23 - f * a13, a33 - g * a13
    d2, d3 = b2 - f * b1, b3 - g * b1
    h = c23 / c22 if c22 > 0.0 else 0.0
    e33, e3 = c33 - h * c23, d3 - h * d2
    w3 = e3 / e33 if e33 > 1e-9 * a33 else 0.0
    w2 = (d2 - c23 * w3) / c22 if c22 > 0.0 else 0.0
    w1 = (b1 - a12 * w2 - a13 * w3) / a11
    return w1, w2, w3, (w1 * b1 + w2 * b2 + w3 * b3) / max(every, 1.0)


@kernel(inline="always", inner=True)
def _sums(levels, middle):
    """Return the sum of squares of changes, and the sums of products that `fit_taps` takes."""
    every, a11, a12, a13, a22, a23, a33, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(U(3), U(levels.size), U(3)):
        now, one, two, three = levels[i], levels[i - U(1)], levels[i - U(2)], levels[i - U(3)]
        change, last, before = double_of(now - one), double_of(one - two), double_of(two - three)
        away = double_of(one) - middle
        every += change * change
        a11 += last * last
        a12 += last * before
        a13 += last * away
        a22 += before * before
        a23 += before * away
        a33 += away * away
        b1 += change * last
        b2 += change * before
        b3 += change * away
    return every, a11, a12, a13, a22, a23, a33, b1, b2, b3


@kernel(inner=True)
def _sums_in_order(levels, middle):
    """Return sums in the order of the values, of which none is fused: all machines find the same."""
    return _sums(levels, middle)


@kernel(fastmath=True, inner=True)
def _sums_in_any_order(levels, middle):
    """Return sums of small numbers: all are multiples of a quarter below 2^51, exact in any order."""
    return _sums(levels, middle)


# Taps, deltas, other columns


@kernel(forceinline=True, inner=True)
def tap_weights(a, b, c):
    """Return the weights, in 2^-16, of the three levels before; a and b are 2^-6, c is 2^-8."""
    return U(1 << 16) + (a << U(10)) + (c << U(8)), (b - a) << U(10), U(0) - (b << U(10))


@kernel(forceinline=True, inner=True)
def _tap(one, two, three, w1, w2, w3, constant):
    return shift_down(w1 * one + w2 * two + w3 * three + constant, U(16))


@kernel(inner=True)
def _subtract_taps(levels, w1, w2, w3, begin, end, residuals):
    """Fill the residuals of a place and of those after it, up to another, by three levels before; the first are 0."""
    for i in range(begin, min(U(3), end)):
        residuals[i - begin] = U(0)
    for i in range(max(begin, U(3)), end):
        made = _tap(levels[i - U(1)], levels[i - U(2)], levels[i - U(3)], w1, w2, w3, U(32768))
        residuals[i - begin] = levels[i] - made


@kernel(inner=True)
def put_taps(levels, a, b, c, residuals, work, buffer, at):
    """Write the taps, a constant and how each lane begins; fill the residuals."""
    count = U(levels.size)
    w1, w2, w3 = tap_weights(a, b, c)
    _subtract_taps(levels, w1, w2, w3, U(0), count, residuals)
    constant = median_of(residuals[U(3) :], False, work[COSTS].view(np.int64))
    lanes = lanes_of(count)
    for i in range(U(3), count):
        residuals[i] -= constant
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


@kernel(inner=True)
def _add_taps_in_two(row, begin, other, size, w1, w2, w3, constant):
    """Turn residuals into levels in two lanes; the first three of each are levels."""
    a3, a2, a1 = row[begin], row[begin + U(1)], row[begin + U(2)]
    b3, b2, b1 = row[other], row[other + U(1)], row[other + U(2)]
    for i in range(U(3), size):
        a = row[begin + i] + _tap(a1, a2, a3, w1, w2, w3, constant)
        b = row[other + i] + _tap(b1, b2, b3, w1, w2, w3, constant)
        row[begin + i], row[other + i] = a, b
        a3, a2, a1, b3, b2, b1 = a2, a1, a, b2, b1, b


@kernel(inner=True)
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


@kernel(inner=True)
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


@kernel(inner=True)
def add_deltas(levels, slope, summed):
    """Turn residuals into levels; ``summed`` if each lane has been summed up by itself."""
    count = U(levels.size)
    if not summed:
        _sum_up(levels, slope)
        return
    lanes = lanes_of(count)
    # The first level is 0, whatever a residual there says.
    before = U(0) - levels[0]
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


@kernel(inner=True)
def _sum_up(levels, slope):
    """Turn residuals into levels by adding up, four at a time: only their sum waits for the level before."""
    levels[0] = U(0) - slope
    level, fours = U(0), U(levels.size) & ~U(3)
    for i in range(U(0), fours, U(4)):
        one, two = levels[i] + slope, levels[i + U(2)] + slope
        first, second = one + (levels[i + U(1)] + slope), two + (levels[i + U(3)] + slope)
        levels[i], levels[i + U(1)] = level + one, level + first
        levels[i + U(2)], levels[i + U(3)] = level + (first + two), level + (first + second)
        level += first + second
    for i in range(fours, U(levels.size)):
        level += levels[i] + slope
        levels[i] = level


@kernel(inner=True)
def add_others(data, at, stop, known, work, levels):
    """Turn residuals into levels, with those of other columns at the same place and at the one before."""
    sums, others, count = work[OTHER_RESIDUALS], work[OTHER_LEVELS:], U(levels.size)
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
