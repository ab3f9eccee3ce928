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

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
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

Words = npt.NDArray[np.uint64]

LOWEST = U(1) << U(23)
"""A state below this takes in 32 bits."""
MOST_RAW = U(10)
"""Raw bits in a state: one step with 11 bits of table and these leaves enough for one word to fill it again."""
TOKENS, FULL = 1024, 512
"""Cells where tokens of three mantissa bits of any integer are counted, and the one of token 0."""
FEWEST_FOR_FOUR, FEWEST_FOR_EPOCHS = 1536, 1024


class Layout(NamedTuple):
    """How values lie: how many there are, in how many lanes, and in how many spans a lane's table may change."""

    values: np.uint64
    lanes: np.uint64
    epochs: np.uint64


class Tokens(NamedTuple):
    """How integers become tokens: minus the lowest token; raw bits, bits of mantissa; logarithm of a table's size."""

    low: np.uint64
    shift: np.uint64
    mantissa: np.uint64
    log: np.uint64


class Codes(NamedTuple):
    """What tokens are encoded with.

    Attributes
    ----------
    owner : uint64[lanes * epochs]
        Which token is the first of the table of each lane and epoch.
    entries : uint64[4 * tokens of all]
        Of each token what `put_code` fills.
    """

    owner: Words
    entries: Words


class Tables(NamedTuple):
    """What tokens are decoded with.

    Attributes
    ----------
    entries, log : uint64[...], uint64
        Decoding tables of 2^log entries, one after another.
    wide : bool
        Whether there are bits in planes.
    owner : uint64[lanes * epochs]
        Where the table of each lane and epoch begins.
    """

    entries: Words
    log: np.uint64
    wide: bool
    owner: Words


class Cursors(NamedTuple):
    """Where lanes are while they are read, each uint64[4].

    Attributes
    ----------
    states, sums, offsets
        The state, the sum of what was read, and where the table of the present epoch begins.
    begins, planes, ends
        The place of the lane's first value, the position in its plane, and the one where that must end.
    mixed : uint64[BLOCK]
        Room for integers of lanes in turn.
    """

    states: Words
    sums: Words
    offsets: Words
    begins: Words
    planes: Words
    ends: Words
    mixed: Words


class Stretch(NamedTuple):
    """Integers in turn: of how many lanes and rounds, how many of the lanes go on, and their first place in a lane."""

    lanes: np.uint64
    few: np.uint64
    rounds: np.uint64
    first: np.uint64


@kernel(forceinline=True, inner=True)
def token_of(number, mantissa):
    """Return the signed token of an integer, and how many of its bits are raw.

    With a the integer, inverted if negative, and r the bits of a below its highest ``mantissa + 1``, the token is
    ``r * 2^mantissa + (a >> r)``, inverted if the integer is negative.
    """
    sign = U(0) - (number >> U(63))
    size = number ^ sign
    raw = (U(63) - mantissa) - leading_zeros(size | (U(1) << mantissa))
    return ((raw << mantissa) + (size >> raw)) ^ sign, raw


@kernel(forceinline=True, inner=True)
def lanes_of(count):
    """Return how many lanes so many values have."""
    return U(4) if count >= U(FEWEST_FOR_FOUR) else U(2)


@kernel(forceinline=True, inner=True)
def epochs_of(count):
    """Return in how many spans a lane's table may change."""
    return U(4) if count >= U(FEWEST_FOR_EPOCHS) else U(1)


@kernel(forceinline=True, inner=True)
def layout_of(count):
    """Return how so many values lie."""
    return Layout(count, lanes_of(count), epochs_of(count))


@kernel(forceinline=True, inner=True)
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


@kernel(forceinline=True, inner=True)
def entry_of(share, raw, width, lowest):
    """Return the first entry of a token; that of its slot i has i in bits 16 to 31 besides."""
    return share | (raw << U(32)) | (width << U(40)) | (lowest << U(46))


@kernel(forceinline=True, inner=True)
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


@kernel(inner=True)
def _read_four(data, at, limit, tables, cursors, count):
    """Decode integers of four lanes in turn, while words begin up to a limit; return how many, and the next place."""
    entries, log, states, offsets, mixed = tables.entries, tables.log, cursors.states, cursors.offsets, cursors.mixed
    mask, i = (U(1) << log) - U(1), U(0)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    while i < count and at <= limit:
        mixed[i], s0, at = _step(data, at, entries, o0, log, mask, s0)
        mixed[i + U(1)], s1, at = _step(data, at, entries, o1, log, mask, s1)
        mixed[i + U(2)], s2, at = _step(data, at, entries, o2, log, mask, s2)
        mixed[i + U(3)], s3, at = _step(data, at, entries, o3, log, mask, s3)
        i += U(4)
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return i, at


@kernel(inner=True)
def _read_two(data, at, limit, tables, cursors, count):
    """Decode integers of two lanes, as `_read_four` does."""
    entries, log, states, offsets, mixed = tables.entries, tables.log, cursors.states, cursors.offsets, cursors.mixed
    mask, i = (U(1) << log) - U(1), U(0)
    s0, s1, o0, o1 = states[0], states[1], offsets[0], offsets[1]
    while i < count and at <= limit:
        mixed[i], s0, at = _step(data, at, entries, o0, log, mask, s0)
        mixed[i + U(1)], s1, at = _step(data, at, entries, o1, log, mask, s1)
        i += U(2)
    states[0], states[1] = s0, s1
    return i, at


@kernel(inner=True)
def _read_last(data, at, stop, tables, cursors, lanes, first, count):
    """Decode integers of lanes in turn where the words may end; what damaged data lack is not read."""
    mask, states = (U(1) << tables.log) - U(1), cursors.states
    for i in range(first, count):
        lane, place = i & (lanes - U(1)), min(at, stop)
        cursors.mixed[i], states[lane], after = _step(
            data, place, tables.entries, cursors.offsets[lane], tables.log, mask, states[lane]
        )
        at += after - place
    return at


@kernel(inner=True)
def _spread(cursors, stretch, summed, out):
    """Put integers of lanes in turn where they belong, or their sums."""
    lanes, _, rounds, first = stretch
    mixed, sums, begins = cursors.mixed, cursors.sums, cursors.begins
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


@kernel(inner=True)
def _spread_with_planes(data, stop, cursors, stretch, summed, out):
    """Put integers of the first few of some lanes where they belong, with the bits of their planes."""
    lanes, few, rounds, first = stretch
    keep = ~U(0) if summed else U(0)
    for lane in range(few):
        total, begin, position = cursors.sums[lane], cursors.begins[lane] + first, cursors.planes[lane]
        for i in range(rounds):
            number = cursors.mixed[lanes * i + lane]
            width = number & U(63)
            word = load_little(data, min(position >> U(3), stop)) >> (position & U(7))
            number = (shift_down(number, U(6)) << width) | (word & ((U(1) << width) - U(1)))
            position += width
            total = (total & keep) + number
            out[begin + i] = total
        cursors.sums[lane], cursors.planes[lane] = total, position


@kernel(inner=True)
def read_lanes(data, at, stop, layout, tables, cursors, summed, out):
    """Decode all values of a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The words are ``data[at:stop]``; 8 bytes or more are before ``stop``, and `READ_SLACK` after it are readable.
    layout, tables : Layout, Tables
    cursors : Cursors
        Of each lane the state, a sum of 0, where it begins, and where its plane does and must end.
    summed : bool
        Whether each integer is added to the one before in its lane.
    out : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether all bits were used, and the states came to rest.
    """
    count, lanes, epochs = layout
    per = count // lanes
    # A round of four lanes takes in up to 16 bytes.
    limit = stop - U(8) if lanes == U(4) else stop
    for epoch in range(epochs):
        for lane in range(lanes):
            cursors.offsets[lane] = tables.owner[lane * epochs + epoch]
        first = epoch * per // epochs
        rounds = (epoch + U(1)) * per // epochs - first
        if lanes == U(4):
            done, at = _read_four(data, at, limit, tables, cursors, rounds * lanes)
        else:
            done, at = _read_two(data, at, limit, tables, cursors, rounds * lanes)
        if done < rounds * lanes:
            at = _read_last(data, at, stop, tables, cursors, lanes, done, rounds * lanes)
        stretch = Stretch(lanes, lanes, rounds, first)
        if tables.wide:
            _spread_with_planes(data, stop, cursors, stretch, summed, out)
        else:
            _spread(cursors, stretch, summed, out)
    # What the first lanes have beyond the others has a round of its own.
    few = count - per * lanes
    at = _read_last(data, at, stop, tables, cursors, lanes, U(0), few)
    _spread_with_planes(data, stop, cursors, Stretch(lanes, few, U(1), per), summed, out)
    for lane in range(lanes):
        if cursors.states[lane] != LOWEST or (tables.wide and cursors.planes[lane] != cursors.ends[lane]):
            return False
    return at == stop


@kernel(inner=True)
def prepare(numbers, mantissa, row):
    """Fill what lanes are written from: the cells of tokens, from bit 16 on how many bits are raw, from 24 on these.

    In a loop of its own this takes vector instructions.

    Parameters
    ----------
    numbers, mantissa : uint64[n], uint64
    row : uint64[...]
        Filled; token 0 is in the cell `FULL`.

    Returns
    -------
    raw, least, most : uint64
        How many bits are raw, and the extreme cells.
    """
    total, least, most = U(0), U(FULL), U(FULL)
    for i in range(U(numbers.size)):
        token, raw = token_of(numbers[i], mantissa)
        cell = token + U(FULL)
        row[i] = cell | (raw << U(16)) | ((numbers[i] & ((U(1) << raw) - U(1))) << U(24))
        total += raw
        least, most = min(least, cell), max(most, cell)
    return total, least, most


@kernel(inner=True)
def prepare_wide(numbers, tokens, row):
    """Fill what lanes are written from where some bits are in planes, as `prepare` does."""
    for i in range(U(numbers.size)):
        token, raw = token_of(shift_down(numbers[i], tokens.shift), tokens.mantissa)
        high = raw - MOST_RAW if raw > MOST_RAW else U(0)
        raw -= high
        bits = (numbers[i] >> (tokens.shift + high)) & ((U(1) << raw) - U(1))
        row[i] = (token + U(FULL)) | (raw << U(16)) | (bits << U(24))


@kernel(inner=True)
def count_cells(row, least, most, cells):
    """Count the cells of prepared integers, which are between two; there is room for four times as many."""
    # In two or four parts: to add to a cell right after it was added to takes several cycles.
    count, are_few, one, two = U(row.size), most - least < U(24), cells[:TOKENS], cells[TOKENS:]
    three, four = (cells[2 * TOKENS :], cells[3 * TOKENS :]) if are_few else (one, two)
    for i in range(least, most + U(1)):
        one[i] = two[i] = 0
        if are_few:
            three[i] = four[i] = 0
    for i in range(U(0), count & ~U(3), U(4)):
        one[row[i] & U(0xFFFF)] += np.uint32(1)
        two[row[i + U(1)] & U(0xFFFF)] += np.uint32(1)
        three[row[i + U(2)] & U(0xFFFF)] += np.uint32(1)
        four[row[i + U(3)] & U(0xFFFF)] += np.uint32(1)
    for i in range(count & ~U(3), count):
        one[row[i] & U(0xFFFF)] += np.uint32(1)
    for i in range(least, most + U(1)):
        one[i] += two[i]
        if are_few:
            one[i] += three[i] + four[i]


@kernel(forceinline=True, inner=True)
def put_code(entries, place, share, inverse, slot, log):
    """Fill what a token is encoded with: states from here on are too large for 0 raw bits; the inverse; slot and shift.

    Last what the quotient is multiplied by. With f the share and s the bits of f - 1, the quotient of a state below
    2^63 by f is the high half of its product with the inverse, ceil(2^(s + 63) / f), shifted right by s - 1
    (R. Alverson, "Integer division using reciprocals", 1991).
    """
    entries[U(4) * place] = share << (U(55) - log)
    entries[U(4) * place + U(1)] = inverse
    if share < U(2):
        # The quotient comes out as one less than the state, by an inverse of all ones: what is missing is in the slot.
        entries[U(4) * place + U(2)] = slot + (U(1) << log) - U(1)
    else:
        entries[U(4) * place + U(2)] = slot | ((U(63) - leading_zeros(share - U(1))) << U(32))
    entries[U(4) * place + U(3)] = (U(1) << log) - share


@kernel(forceinline=True, inner=True)
def _put(prepared, entries, offset, state, buffer, at):
    """Encode a prepared integer by the table at an offset; return where the words begin now, and the lane's state."""
    place, raw = ((prepared & U(0xFFFF)) + offset) << U(2), (prepared >> U(16)) & U(0xFF)
    slot = entries[place + U(2)]
    store_half(buffer, at - U(4), state)
    full = state >= entries[place] >> raw
    at -= U(full) << U(2)
    state = choose(full, state >> U(32), state)
    state = (state << raw) | (prepared >> U(24))
    quotient = high_product(state, entries[place + U(1)]) >> (slot >> U(32))
    return at, state + (slot & U(0xFFFFFFFF)) + quotient * entries[place + U(3)]


@kernel(inner=True)
def write_lanes(row, low, layout, codes, states, buffer, end):
    """Encode all values of a stream, last one first, into the end of a buffer.

    Parameters
    ----------
    row : uint64[n]
        Prepared integers; all have tokens.
    low : uint64
        Minus the lowest token.
    layout, codes : Layout, Codes
    states : uint64[4]
        Filled with the states that a decoder begins with.
    buffer, end : uint8[...], uint64

    Returns
    -------
    begin : uint64
        Where in the buffer the words begin.
    """
    count, lanes, epochs = layout
    per, owner, entries, low, at = count // lanes, codes.owner, codes.entries, low - U(FULL), end
    for lane in range(lanes):
        states[lane] = LOWEST
    for other in range(count - per * lanes):
        lane = count - per * lanes - U(1) - other
        offset = owner[lane * epochs + epochs - U(1)] + low
        at, states[lane] = _put(row[begin_of(lane, count, lanes) + per], entries, offset, states[lane], buffer, at)
    b0, b1 = begin_of(U(0), count, lanes), begin_of(U(1), count, lanes)
    b2, b3 = begin_of(U(2), count, lanes), begin_of(U(3), count, lanes)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    for back in range(epochs):
        epoch = epochs - U(1) - back
        first, last = epoch * per // epochs, (epoch + U(1)) * per // epochs
        o0, o1 = owner[epoch] + low, owner[epochs + epoch] + low
        if lanes == U(2):
            for j in range(last - first):
                i = last - U(1) - j
                at, s1 = _put(row[b1 + i], entries, o1, s1, buffer, at)
                at, s0 = _put(row[b0 + i], entries, o0, s0, buffer, at)
        else:
            o2, o3 = owner[U(2) * epochs + epoch] + low, owner[U(3) * epochs + epoch] + low
            for j in range(last - first):
                i = last - U(1) - j
                at, s3 = _put(row[b3 + i], entries, o3, s3, buffer, at)
                at, s2 = _put(row[b2 + i], entries, o2, s2, buffer, at)
                at, s1 = _put(row[b1 + i], entries, o1, s1, buffer, at)
                at, s0 = _put(row[b0 + i], entries, o0, s0, buffer, at)
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return at
