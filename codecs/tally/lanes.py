"""The inner loops of static blocks: 64-bit rANS by lanes, with raw bits in the state and planes beside it.

A lane is a run of consecutive values with a state of its own, so that a decoder has 2 or 4 independent chains of
operations under way, while all lanes share one sequence of 32-bit words. A table's entry holds all that a step needs::

    bits 0-11   frequency of the token
    bits 12-23  the slot's place among those of the token
    bits 24-27  raw bits that follow in the state, 0 to 10
    bits 32-37  bits that follow in the lane's plane, 0 to 54
    bits 38-63  the token's lowest integer without these bits, signed

Sources: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013; F. Giesen, "Interleaved entropy coders",
arXiv:1402.3392, 2014; that raw bits go through the state is known from J. Duda's and Y. Collet's FSE.
"""

from __future__ import annotations

import numpy as np

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_half, load_little, shift_down, store_half

LOWEST = U(1) << U(23)
"""A state below this takes in 32 bits."""
MOST_RAW = U(10)
"""Raw bits in a state: one step with 11 bits of table and these leaves enough for one word to fill it again."""
FEWEST_FOR_FOUR, FEWEST_FOR_EPOCHS = 1536, 1024


@kernel(forceinline=True)
def token_of(number, mantissa):
    """Return the signed token of an integer, and how many of its bits are raw.

    With a the integer, inverted if negative, and r the bits of a below its highest ``mantissa + 1``, the token is
    ``r * 2^mantissa + (a >> r)``, inverted if the integer is negative.
    """
    sign = U(0) - (number >> U(63))
    size = number ^ sign
    raw = (U(63) - mantissa) - leading_zeros(size | (U(1) << mantissa))
    return ((raw << mantissa) + (size >> raw)) ^ sign, raw


@kernel(forceinline=True)
def lanes_of(count):
    """Return how many lanes so many values have."""
    return U(4) if count >= U(FEWEST_FOR_FOUR) else U(2)


@kernel(forceinline=True)
def epochs_of(count):
    """Return in how many spans a lane's table may change."""
    return U(4) if count >= U(FEWEST_FOR_EPOCHS) else U(1)


@kernel(forceinline=True)
def begin_of(lane, count, lanes):
    """Return the place of a lane's first value: the first lanes have one more where they cannot all have as many."""
    per = count // lanes
    return lane * per + min(lane, count - per * lanes)


@kernel(forceinline=True)
def _step(data, at, stop, table, offset, log, mask, state):
    """Return an integer of a lane, the lane's state after it, and where the next word is.

    Of damaged data that place may come to lie after ``stop``: nothing is read there.
    """
    entry = table[offset + (state & mask)]
    raw = (entry >> U(24)) & U(15)
    left = (entry & U(0xFFF)) * (state >> log) + ((entry >> U(12)) & U(0xFFF))
    number = shift_down(entry, U(38)) + (left & ((U(1) << raw) - U(1)))
    left >>= raw
    low = left < LOWEST
    return number, (left << U(32)) | load_half(data, min(at, stop)) if low else left, at + (U(low) << U(2)), entry


@kernel(forceinline=True)
def _plane(data, stop, entry, number, position):
    """Return an integer with its bits of the plane, and the position after these."""
    width = (entry >> U(32)) & U(63)
    low = (load_little(data, min(position >> U(3), stop)) >> (position & U(7))) & ((U(1) << width) - U(1))
    return (number << width) | low, position + width


@kernel
def read_four(data, at, stop, table, log, states, sums, offsets, begins, keep, first, last, out):
    """Decode rounds ``first`` to ``last`` of four lanes; ``keep`` is all ones to add each integer to the one before."""
    mask = (U(1) << log) - U(1)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    a0, a1, a2, a3 = sums[0], sums[1], sums[2], sums[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    b0, b1, b2, b3 = begins[0], begins[1], begins[2], begins[3]
    for i in range(first, last):
        v0, s0, at, _ = _step(data, at, stop, table, o0, log, mask, s0)
        v1, s1, at, _ = _step(data, at, stop, table, o1, log, mask, s1)
        v2, s2, at, _ = _step(data, at, stop, table, o2, log, mask, s2)
        v3, s3, at, _ = _step(data, at, stop, table, o3, log, mask, s3)
        a0, a1, a2, a3 = (a0 & keep) + v0, (a1 & keep) + v1, (a2 & keep) + v2, (a3 & keep) + v3
        out[b0 + i], out[b1 + i], out[b2 + i], out[b3 + i] = a0, a1, a2, a3
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    sums[0], sums[1], sums[2], sums[3] = a0, a1, a2, a3
    return at


@kernel
def read_two(data, at, stop, table, log, states, sums, offsets, begins, keep, first, last, out):
    """Decode rounds of two lanes, as `read_four` does."""
    mask = (U(1) << log) - U(1)
    s0, s1, a0, a1 = states[0], states[1], sums[0], sums[1]
    o0, o1, b0, b1 = offsets[0], offsets[1], begins[0], begins[1]
    for i in range(first, last):
        v0, s0, at, _ = _step(data, at, stop, table, o0, log, mask, s0)
        v1, s1, at, _ = _step(data, at, stop, table, o1, log, mask, s1)
        a0, a1 = (a0 & keep) + v0, (a1 & keep) + v1
        out[b0 + i], out[b1 + i] = a0, a1
    states[0], states[1], sums[0], sums[1] = s0, s1, a0, a1
    return at


@kernel
def read_four_planes(data, at, stop, table, log, states, sums, offsets, begins, positions, keep, first, last, out):
    """Decode rounds of four lanes that have planes as well."""
    mask = (U(1) << log) - U(1)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    a0, a1, a2, a3 = sums[0], sums[1], sums[2], sums[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    b0, b1, b2, b3 = begins[0], begins[1], begins[2], begins[3]
    p0, p1, p2, p3 = positions[0], positions[1], positions[2], positions[3]
    for i in range(first, last):
        v0, s0, at, e0 = _step(data, at, stop, table, o0, log, mask, s0)
        v1, s1, at, e1 = _step(data, at, stop, table, o1, log, mask, s1)
        v2, s2, at, e2 = _step(data, at, stop, table, o2, log, mask, s2)
        v3, s3, at, e3 = _step(data, at, stop, table, o3, log, mask, s3)
        v0, p0 = _plane(data, stop, e0, v0, p0)
        v1, p1 = _plane(data, stop, e1, v1, p1)
        v2, p2 = _plane(data, stop, e2, v2, p2)
        v3, p3 = _plane(data, stop, e3, v3, p3)
        a0, a1, a2, a3 = (a0 & keep) + v0, (a1 & keep) + v1, (a2 & keep) + v2, (a3 & keep) + v3
        out[b0 + i], out[b1 + i], out[b2 + i], out[b3 + i] = a0, a1, a2, a3
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    sums[0], sums[1], sums[2], sums[3] = a0, a1, a2, a3
    positions[0], positions[1], positions[2], positions[3] = p0, p1, p2, p3
    return at


@kernel
def read_two_planes(data, at, stop, table, log, states, sums, offsets, begins, positions, keep, first, last, out):
    """Decode rounds of two lanes that have planes as well."""
    mask = (U(1) << log) - U(1)
    s0, s1, a0, a1 = states[0], states[1], sums[0], sums[1]
    o0, o1, b0, b1, p0, p1 = offsets[0], offsets[1], begins[0], begins[1], positions[0], positions[1]
    for i in range(first, last):
        v0, s0, at, e0 = _step(data, at, stop, table, o0, log, mask, s0)
        v1, s1, at, e1 = _step(data, at, stop, table, o1, log, mask, s1)
        v0, p0 = _plane(data, stop, e0, v0, p0)
        v1, p1 = _plane(data, stop, e1, v1, p1)
        a0, a1 = (a0 & keep) + v0, (a1 & keep) + v1
        out[b0 + i], out[b1 + i] = a0, a1
    states[0], states[1], sums[0], sums[1] = s0, s1, a0, a1
    positions[0], positions[1] = p0, p1
    return at


@kernel
def read_rest(data, at, stop, table, log, states, sums, offsets, begins, positions, keep, per, lanes, out):
    """Decode the last round, which only the first lanes have."""
    mask = (U(1) << log) - U(1)
    for lane in range(lanes):
        number, states[lane], at, entry = _step(data, at, stop, table, offsets[lane], log, mask, states[lane])
        number, positions[lane] = _plane(data, stop, entry, number, positions[lane])
        sums[lane] = (sums[lane] & keep) + number
        out[begins[lane] + per] = sums[lane]
    return at


@kernel
def read_lanes(data, at, stop, ends, wide, table, log, lanes, epochs, segments, state, keep, out):
    """Decode all values of a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The words are ``data[at:stop]``; `READ_SLACK` bytes after them are readable.
    ends : uint64[lanes]
        The position, in bits, where each lane's plane must end.
    wide : bool
        Whether there are planes.
    table, log : uint64[...], uint64
        Decoding tables of 2^log entries, one after another.
    segments : uint64[lanes * epochs]
        Where in ``table`` that of each lane and epoch begins.
    state : uint64[5, 4]
        Of each lane the state, a 0, room, where it begins, and the position of its plane.
    out : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether all bits were used, and the states came to rest.
    """
    count = U(out.size)
    per = count // lanes
    states, sums, offsets, begins, positions = state[0], state[1], state[2], state[3], state[4]
    for epoch in range(epochs):
        for lane in range(lanes):
            offsets[lane] = segments[lane * epochs + epoch]
        first, last = epoch * per // epochs, (epoch + U(1)) * per // epochs
        if wide:
            if lanes == U(4):
                at = read_four_planes(
                    data, at, stop, table, log, states, sums, offsets, begins, positions, keep, first, last, out
                )
            else:
                at = read_two_planes(
                    data, at, stop, table, log, states, sums, offsets, begins, positions, keep, first, last, out
                )
        elif lanes == U(4):
            at = read_four(data, at, stop, table, log, states, sums, offsets, begins, keep, first, last, out)
        else:
            at = read_two(data, at, stop, table, log, states, sums, offsets, begins, keep, first, last, out)
    at = read_rest(
        data, at, stop, table, log, states, sums, offsets, begins, positions, keep, per, count - per * lanes, out
    )
    for lane in range(lanes):
        if states[lane] != LOWEST or (wide and positions[lane] != ends[lane]):
            return False
    return at == stop


@kernel(forceinline=True)
def _put(number, shift, mantissa, log, offset, bounds, shares, inverses, state, buffer, at):
    """Encode an integer; return where the words begin now, and the lane's state."""
    token, raw = token_of(shift_down(number, shift), mantissa)
    high = raw - MOST_RAW if raw > MOST_RAW else U(0)
    raw -= high
    cell = offset + token
    share = shares[cell]
    store_half(buffer, at - U(4), state)
    full = state >= share << (U(55) - log - raw)
    at -= U(full) << U(2)
    state = state >> U(32) if full else state
    state = (state << raw) | ((number >> (shift + high)) & ((U(1) << raw) - U(1)))
    # The quotient by way of a double is off by one at most.
    quotient = np.uint64(np.int64(np.float64(np.int64(state)) * inverses[cell]))
    remainder = state - quotient * share
    if remainder >> U(63):
        quotient, remainder = quotient - U(1), remainder + share
    elif remainder >= share:
        quotient, remainder = quotient + U(1), remainder - share
    return at, (quotient << log) + remainder + bounds[cell]


@kernel
def write_lanes(
    numbers, low, shift, mantissa, log, lanes, epochs, segments, bounds, shares, inverses, states, buffer, end
):
    """Encode all values of a stream, last one first, into the end of a buffer.

    Parameters
    ----------
    numbers : uint64[n]
        In two's complement; all have tokens.
    low, shift, mantissa, log : uint64
        Minus the lowest token; bits that are raw in any case; mantissa bits; logarithm of the tables' size.
    segments : uint64[lanes * epochs]
        Where the table of each lane and epoch begins in the three arrays that follow.
    bounds, shares, inverses : uint64[...], uint64[...], float64[...]
        Of each token the first slot, how many slots, and 1 over that.
    states : uint64[4]
        Filled with the states that a decoder begins with.

    Returns
    -------
    begin : uint64
        Where in the buffer the words begin.
    """
    count = U(numbers.size)
    per = count // lanes
    at = end
    for lane in range(lanes):
        states[lane] = LOWEST
    for other in range(count - per * lanes):
        lane = count - per * lanes - U(1) - other
        place = begin_of(lane, count, lanes) + per
        offset = segments[lane * epochs + epochs - U(1)] + low
        at, states[lane] = _put(
            numbers[place], shift, mantissa, log, offset, bounds, shares, inverses, states[lane], buffer, at
        )
    for back in range(epochs):
        epoch = epochs - U(1) - back
        first, last = epoch * per // epochs, (epoch + U(1)) * per // epochs
        o0, o1 = segments[epoch] + low, segments[epochs + epoch] + low
        b0, b1 = begin_of(U(0), count, lanes), begin_of(U(1), count, lanes)
        if lanes == U(2):
            s0, s1 = states[0], states[1]
            for j in range(last - first):
                i = last - U(1) - j
                at, s1 = _put(numbers[b1 + i], shift, mantissa, log, o1, bounds, shares, inverses, s1, buffer, at)
                at, s0 = _put(numbers[b0 + i], shift, mantissa, log, o0, bounds, shares, inverses, s0, buffer, at)
            states[0], states[1] = s0, s1
        else:
            o2, o3 = segments[U(2) * epochs + epoch] + low, segments[U(3) * epochs + epoch] + low
            b2, b3 = begin_of(U(2), count, lanes), begin_of(U(3), count, lanes)
            s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
            for j in range(last - first):
                i = last - U(1) - j
                at, s3 = _put(numbers[b3 + i], shift, mantissa, log, o3, bounds, shares, inverses, s3, buffer, at)
                at, s2 = _put(numbers[b2 + i], shift, mantissa, log, o2, bounds, shares, inverses, s2, buffer, at)
                at, s1 = _put(numbers[b1 + i], shift, mantissa, log, o1, bounds, shares, inverses, s1, buffer, at)
                at, s0 = _put(numbers[b0 + i], shift, mantissa, log, o0, bounds, shares, inverses, s0, buffer, at)
            states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return at
