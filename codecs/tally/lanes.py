"""The inner loops of static blocks: 64-bit rANS by lanes, with raw bits in the state and planes beside it.

A lane is a run of consecutive values with a state of its own, so that a decoder has 2 or 4 independent chains of
operations under way, while all lanes share one sequence of 32-bit words. A table's entry holds all that a step needs,
in fields that are loaded one by one::

    bits 0-15   frequency of the token
    bits 16-31  the slot's place among those of the token
    bits 32-39  raw bits that follow in the state, 0 to 10
    bits 40-45  bits that follow in the lane's plane, 0 to 54
    bits 46-63  the token's lowest integer without these bits, signed

A decoder must not branch on whether a state takes in a word: that is as hard to guess as the data. It leaves the
integers round by round, each above the width of its bits in the plane, and a second pass takes these and puts the
integers where they belong: all at once would take more registers than there are.

Sources: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013; F. Giesen, "Interleaved entropy coders",
arXiv:1402.3392, 2014; that raw bits go through the state is known from J. Duda's and Y. Collet's FSE.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    choose,
    high_product,
    leading_zeros,
    load_half,
    load_little,
    shift_down,
    store_half,
)

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


def _field(bits: int, place: int, *, signed: bool) -> Any:
    """Return the intrinsic that loads a field of so many bits, at a place counted in its size, of a table's entry.

    It takes where the table begins apart from the entry, so that their sum is no step of the chain.
    """

    @intrinsic
    def load(typingctx: Any, tables: Any, first: Any, entry: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            if context.enable_boundscheck:
                cgutils.do_boundscheck(context, builder, builder.add(args[1], args[2]), array.nitems)
            pointer = builder.gep(builder.gep(array.data, [args[1]]), [args[2]])
            pointer = builder.bitcast(pointer, ir.IntType(bits).as_pointer())
            loaded = builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), place)]), align=bits // 8)
            return (builder.sext if signed else builder.zext)(loaded, ir.IntType(64))

        return types.uint64(tables, types.uint64, types.uint64), codegen

    return load


_share_at, _place_at, _rest_at = _field(16, 0, signed=False), _field(16, 1, signed=False), _field(32, 1, signed=True)


@kernel(forceinline=True)
def entry_of(share, raw, width, lowest):
    """Return the first entry of a token; that of its slot i has i in bits 16 to 31 besides."""
    return share | (raw << U(32)) | (width << U(40)) | (lowest << U(46))


@kernel(forceinline=True)
def _step(data, at, tables, first, log, mask, state):
    """Return an integer above the width of its bits in the plane, the lane's state, and where the next word is."""
    entry = state & mask
    rest = _rest_at(tables, first, entry)
    raw = rest & U(255)
    full = _share_at(tables, first, entry) * (state >> log) + _place_at(tables, first, entry)
    left = full >> raw
    low = left < LOWEST
    state = choose(low, (left << U(32)) | load_half(data, at), left)
    return shift_down(rest, U(8)) + ((full & ((U(1) << raw) - U(1))) << U(6)), state, at + (U(low) << U(2))


@kernel
def _read_four(data, at, limit, tables, log, states, offsets, count, mixed):
    """Decode integers of four lanes in turn, while words begin up to a limit; return how many, and the next place."""
    mask, i = (U(1) << log) - U(1), U(0)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    while i < count and at <= limit:
        mixed[i], s0, at = _step(data, at, tables, o0, log, mask, s0)
        mixed[i + U(1)], s1, at = _step(data, at, tables, o1, log, mask, s1)
        mixed[i + U(2)], s2, at = _step(data, at, tables, o2, log, mask, s2)
        mixed[i + U(3)], s3, at = _step(data, at, tables, o3, log, mask, s3)
        i += U(4)
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return i, at


@kernel
def _read_two(data, at, limit, tables, log, states, offsets, count, mixed):
    """Decode integers of two lanes, as `_read_four` does."""
    mask, i = (U(1) << log) - U(1), U(0)
    s0, s1, o0, o1 = states[0], states[1], offsets[0], offsets[1]
    while i < count and at <= limit:
        mixed[i], s0, at = _step(data, at, tables, o0, log, mask, s0)
        mixed[i + U(1)], s1, at = _step(data, at, tables, o1, log, mask, s1)
        i += U(2)
    states[0], states[1] = s0, s1
    return i, at


@kernel
def _read_last(data, at, stop, tables, log, states, offsets, lanes, first, count, mixed):
    """Decode integers of lanes in turn where the words may end; what damaged data lack is not read."""
    mask = (U(1) << log) - U(1)
    for i in range(first, count):
        lane, place = i & (lanes - U(1)), min(at, stop)
        mixed[i], states[lane], after = _step(data, place, tables, offsets[lane], log, mask, states[lane])
        at += after - place
    return at


@kernel
def _spread(mixed, lanes, rounds, begins, first, sums, summed, out):
    """Put integers of lanes in turn where they belong, or their sums."""
    if not summed:
        for lane in range(lanes):
            begin = begins[lane] + first
            for i in range(rounds):
                out[begin + i] = shift_down(mixed[lanes * i + lane], U(6))
        return
    a0, a1, a2, a3 = sums[0], sums[1], sums[2], sums[3]
    b0, b1, b2, b3 = begins[0] + first, begins[1] + first, begins[2] + first, begins[3] + first
    if lanes == U(4):
        for i in range(rounds):
            a0, a1 = a0 + shift_down(mixed[U(4) * i], U(6)), a1 + shift_down(mixed[U(4) * i + U(1)], U(6))
            a2, a3 = a2 + shift_down(mixed[U(4) * i + U(2)], U(6)), a3 + shift_down(mixed[U(4) * i + U(3)], U(6))
            out[b0 + i], out[b1 + i], out[b2 + i], out[b3 + i] = a0, a1, a2, a3
    else:
        for i in range(rounds):
            a0, a1 = a0 + shift_down(mixed[U(2) * i], U(6)), a1 + shift_down(mixed[U(2) * i + U(1)], U(6))
            out[b0 + i], out[b1 + i] = a0, a1
    sums[0], sums[1], sums[2], sums[3] = a0, a1, a2, a3


@kernel
def _spread_with_planes(data, stop, mixed, lanes, few, rounds, state, first, summed, out):
    """Put integers of the first few of some lanes where they belong, with the bits of their planes."""
    keep = ~U(0) if summed else U(0)
    for lane in range(few):
        total, begin, position = state[1, lane], state[3, lane] + first, state[4, lane]
        for i in range(rounds):
            number = mixed[lanes * i + lane]
            width = number & U(63)
            word = load_little(data, min(position >> U(3), stop)) >> (position & U(7))
            number = (shift_down(number, U(6)) << width) | (word & ((U(1) << width) - U(1)))
            position += width
            total = (total & keep) + number
            out[begin + i] = total
        state[1, lane], state[4, lane] = total, position


@kernel
def read_lanes(data, at, stop, ends, wide, tables, log, lanes, epochs, segments, state, summed, mixed, out):
    """Decode all values of a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The words are ``data[at:stop]``; 8 bytes or more are before ``stop``, and `READ_SLACK` after it are readable.
    ends : uint64[lanes]
        The position, in bits, where each lane's plane must end.
    wide : bool
        Whether there are planes.
    tables, log : uint64[...], uint64
        Decoding tables of 2^log entries, one after another.
    segments : uint64[lanes * epochs]
        Where in ``tables`` that of each lane and epoch begins.
    state : uint64[5, 4]
        Of each lane the state, a 0, room, where it begins, and the position of its plane.
    summed : bool
        Whether each integer is added to the one before in its lane.
    mixed : uint64[BLOCK]
        Workspace.
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
    # A round of four lanes takes in up to 16 bytes.
    limit = stop - U(8) if lanes == U(4) else stop
    for epoch in range(epochs + U(1)):
        first, size = per, count - per * lanes
        if epoch < epochs:
            for lane in range(lanes):
                offsets[lane] = segments[lane * epochs + epoch]
            first = epoch * per // epochs
            size = ((epoch + U(1)) * per // epochs - first) * lanes
        done, few = U(0), lanes if epoch < epochs else size
        if epoch < epochs and lanes == U(4):
            done, at = _read_four(data, at, limit, tables, log, states, offsets, size, mixed)
        elif epoch < epochs:
            done, at = _read_two(data, at, limit, tables, log, states, offsets, size, mixed)
        if done < size:
            at = _read_last(data, at, stop, tables, log, states, offsets, lanes, done, size, mixed)
        if wide or epoch == epochs:
            # What the first lanes have beyond the others has a round of its own.
            rounds = size // lanes if epoch < epochs else U(1)
            _spread_with_planes(data, stop, mixed, lanes, few, rounds, state, first, summed, out)
        else:
            _spread(mixed, lanes, size // lanes, begins, first, sums, summed, out)
    for lane in range(lanes):
        if states[lane] != LOWEST or (wide and positions[lane] != ends[lane]):
            return False
    return at == stop


@kernel
def prepare_token(share, slot, log):
    """Return what `_put` needs of a token: its first slot with a shift above it, and the inverse of its share.

    With f the share and s the bits of f - 1, the quotient of a state below 2^63 by f is the high half of its product
    with the inverse, ceil(2^(s + 63) / f), shifted right by s - 1 (R. Alverson, "Integer division using reciprocals",
    1991).
    """
    if share < U(2):
        # The quotient comes out as one less than the state: what is missing is in the slot.
        return slot + (U(1) << log) - U(1), ~U(0)
    shift = U(64) - leading_zeros(share - U(1))
    top = U(1) << (shift + U(31))
    inverse = ((share - U(1) + ((top % share) << U(32))) // share) + ((top // share) << U(32))
    return slot | ((shift - U(1)) << U(32)), inverse


@kernel(forceinline=True)
def _put(number, shift, mantissa, log, offset, slots, shares, inverses, state, buffer, at):
    """Encode an integer; return where the words begin now, and the lane's state."""
    token, raw = token_of(shift_down(number, shift), mantissa)
    high = raw - MOST_RAW if raw > MOST_RAW else U(0)
    raw -= high
    cell = offset + token
    share, slot = shares[cell], slots[cell]
    store_half(buffer, at - U(4), state)
    full = state >= share << (U(55) - log - raw)
    at -= U(full) << U(2)
    state = choose(full, state >> U(32), state)
    state = (state << raw) | ((number >> (shift + high)) & ((U(1) << raw) - U(1)))
    quotient = high_product(state, inverses[cell]) >> (slot >> U(32))
    return at, state + (slot & U(0xFFFFFFFF)) + quotient * ((U(1) << log) - share)


@kernel
def write_lanes(
    numbers, low, shift, mantissa, log, lanes, epochs, segments, slots, shares, inverses, states, buffer, end
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
    slots, shares, inverses : uint64[...]
        Of each token how many slots, and what `prepare_token` gives.
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
            numbers[place], shift, mantissa, log, offset, slots, shares, inverses, states[lane], buffer, at
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
                at, s1 = _put(numbers[b1 + i], shift, mantissa, log, o1, slots, shares, inverses, s1, buffer, at)
                at, s0 = _put(numbers[b0 + i], shift, mantissa, log, o0, slots, shares, inverses, s0, buffer, at)
            states[0], states[1] = s0, s1
        else:
            o2, o3 = segments[U(2) * epochs + epoch] + low, segments[U(3) * epochs + epoch] + low
            b2, b3 = begin_of(U(2), count, lanes), begin_of(U(3), count, lanes)
            s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
            for j in range(last - first):
                i = last - U(1) - j
                at, s3 = _put(numbers[b3 + i], shift, mantissa, log, o3, slots, shares, inverses, s3, buffer, at)
                at, s2 = _put(numbers[b2 + i], shift, mantissa, log, o2, slots, shares, inverses, s2, buffer, at)
                at, s1 = _put(numbers[b1 + i], shift, mantissa, log, o1, slots, shares, inverses, s1, buffer, at)
                at, s0 = _put(numbers[b0 + i], shift, mantissa, log, o0, slots, shares, inverses, s0, buffer, at)
            states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return at
