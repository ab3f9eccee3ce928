"""The inner loops of static blocks: 64-bit rANS by lanes, with raw bits in the state and planes beside it.

A lane is a run of consecutive values with a state of its own, so that a decoder has 2 or 4 independent chains of
operations under way, while all lanes share one sequence of 32-bit words. A table's entry holds all that a step needs,
in fields that are loaded one by one::

    bits 0-15   frequency of the token
    bits 16-31  the slot's place among those of the token
    bits 32-35  raw bits that follow in the state, 0 to 10
    bits 36-39  the table of the lane's next token, where that is told by this one
    bits 40-45  bits that follow in the lane's plane, 0 to 54
    bits 46-63  the token's lowest integer without these bits, signed

A decoder must not branch on whether a state takes in a word: that is as hard to guess as the data. With four lanes,
or two of each of two blocks, bits in planes have a pass of their own, as all at once would take more registers than
there are: it finds integers where they belong, each above the width of its bits, as an entry has both.

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

from squeezelab.codecs.tally.workspace import RESIDUALS, STATE, TABLE, owner_of
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    choose,
    double_of,
    exponent_of,
    high_product,
    leading_zeros,
    load_half,
    load_little,
    shift_down,
    store_half,
    word_of,
)

Words = npt.NDArray[np.uint64]

LOWEST = U(1) << U(23)
"""A state below this takes in 32 bits."""
MOST_RAW = U(10)
"""Raw bits in a state: one step with 11 bits of table and these leaves enough for one word to fill it again."""
TOKENS, FULL = 1024, 512
"""Cells where tokens of three mantissa bits of any integer are counted, and the one of token 0."""
FEWEST_FOR_FOUR, FEWEST_FOR_EPOCHS = 1536, 1024
MOST_FOR_TWO = 28
"""Twice so many bits and 7 are in one word."""
MOST_CONTEXTS = 32


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
        Which token is the first of the table of each lane and epoch, or of each context.
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
    widest : uint64
        The most bits that an integer has in a plane.
    chained : bool
        Whether each token tells the table of the next one in its lane.
    owner : uint64[lanes * epochs]
        Where the table of each lane and epoch begins.
    """

    entries: Words
    log: np.uint64
    widest: np.uint64
    chained: bool
    owner: Words


class Cursors(NamedTuple):
    """Where lanes are while they are read, each uint64[4].

    Attributes
    ----------
    states, sums, offsets
        The state, the sum of what was read, and where the table of the present epoch begins.
    begins, planes, ends
        The place of the lane's first value, the position in its plane, and the one where that must end, in the data.
    room : uint64[BLOCK]
        For bits of planes.
    """

    states: Words
    sums: Words
    offsets: Words
    begins: Words
    planes: Words
    ends: Words
    room: Words


class Lanes(NamedTuple):
    """Lanes that are about to be read; their tables and states are in a workspace.

    Attributes
    ----------
    at, stop : uint64
        The words are ``data[at:stop]``; 8 bytes or more are before ``stop``.
    layout : Layout
    log, widest, chained
        As `Tables` has them.
    summed : bool
        Whether each integer is added to the one before in its lane.
    """

    at: np.uint64
    stop: np.uint64
    layout: Layout
    log: np.uint64
    widest: np.uint64
    chained: bool
    summed: bool


class Stretch(NamedTuple):
    """Rounds of lanes.

    Attributes
    ----------
    rounds, first : uint64
        How many, and their first place in a lane.
    wide : bool
        Whether there are planes.
    keep : uint64
        Which bits of sums are kept.
    chained : bool
        Whether tokens tell tables.
    """

    rounds: np.uint64
    first: np.uint64
    wide: bool
    keep: np.uint64
    chained: bool


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
def context_of(token, mantissa):
    """Return the context that a token is for the next one: 0 for 0, else one more than the bits of its integer.

    Those of a negative integer are counted when it is inverted.
    """
    size = token ^ (U(0) - (token >> U(63)))
    octave = size >> mantissa
    bits = choose(octave != U(0), mantissa + octave, U(64) - leading_zeros(size))
    return choose(token != U(0), min(bits + U(1), U(MOST_CONTEXTS - 1)), U(0))


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
def entry_of(share, raw, following, width, lowest):
    """Return the first entry of a token; that of its slot i has i in bits 16 to 31 besides."""
    return share | (raw << U(32)) | (following << U(36)) | (width << U(40)) | (lowest << U(46))


@kernel(forceinline=True, inner=True)
def _take(tables, first, log, mask, state, chained):
    """Return what a state is without a token and its raw bits, what the token's entry says of these, and the bits."""
    entry = state & mask
    rest = _rest_at(tables, first, entry)
    raw = rest & (U(15) if chained else U(255))
    full = _share_at(tables, first, entry) * (state >> log) + _place_at(tables, first, entry)
    return full >> raw, rest, full & ((U(1) << raw) - U(1))


@kernel(forceinline=True, inner=True)
def _following(rest, log):
    """Return where the table of the lane's next token begins, by what an entry says."""
    return ((rest >> U(4)) & U(15)) << log


@kernel(forceinline=True, inner=True)
def _filled(left, low, word):
    """Return a state with a word below it if it is low; the rotation is a shift, as what is low has half a word."""
    return choose(low, (left << U(32)) | (left >> U(32)) | word, left)


@kernel(forceinline=True, inner=True)
def _width(rest):
    """Return how many bits an integer has in its plane."""
    return (rest >> U(8)) & U(63)


@kernel(forceinline=True, inner=True)
def _in_plane(data, position):
    """Return at least 57 bits from a position on, the lowest ones first."""
    return load_little(data, position >> U(3)) >> (position & U(7))


@kernel(forceinline=True, inner=True)
def _with_plane(data, position, wide, rest, bits):
    """Return an integer with its bits in a plane, if any are, and the position after these."""
    number, width = shift_down(rest, U(14)) + bits, _width(rest)
    if not wide:
        return number, position
    return (number << width) | (_in_plane(data, position) & ((U(1) << width) - U(1))), position + width


@kernel(forceinline=True, inner=True)
def _number(wide, rest, bits):
    """Return an integer, or where it has bits in a plane what `_add_planes` takes."""
    return rest + (bits << U(14)) if wide else shift_down(rest, U(14)) + bits


@kernel(forceinline=True, inner=True)
def _read_pair(data, at, n, tables, log, mask, chained, lanes):
    """Decode a token of two lanes: their states and tables; return the states, what was read, and the words taken.

    Both words that the second lane may take in are loaded before it is known which.
    """
    s0, s1, o0, o1 = lanes
    left0, rest0, bits0 = _take(tables, o0, log, mask, s0, chained)
    left1, rest1, bits1 = _take(tables, o1, log, mask, s1, chained)
    low0, low1 = left0 < LOWEST, left1 < LOWEST
    one, two = load_half(data, at + (n << U(2))), load_half(data, at + (n << U(2)) + U(4))
    s0, s1 = _filled(left0, low0, one), _filled(left1, low1, choose(low0, two, one))
    return s0, s1, rest0, bits0, rest1, bits1, n + U(low0) + U(low1)


@kernel(forceinline=True, inner=True)
def _read_four(data, at, limit, tables, cursors, stretch, out):
    """Decode integers of four lanes while words begin up to a limit; return how many of each, and the next place.

    What has bits in planes is left to `_add_planes`.
    """
    rounds, first, wide, keep, chained = stretch
    entries, log, states, offsets = tables.entries, tables.log, cursors.states, cursors.offsets
    mask, i, n = (U(1) << log) - U(1), U(0), U(0)
    if at > limit:
        return i, at
    most = (limit - at) >> U(2)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    o0, o1, o2, o3 = offsets[0], offsets[1], offsets[2], offsets[3]
    sums, begins = cursors.sums, cursors.begins
    a0, a1, a2, a3 = sums[0], sums[1], sums[2], sums[3]
    b0, b1, b2, b3 = begins[0] + first, begins[1] + first, begins[2] + first, begins[3] + first
    while i < rounds and n <= most:
        s0, s1, r0, t0, r1, t1, n = _read_pair(data, at, n, entries, log, mask, chained, (s0, s1, o0, o1))
        a0, a1 = (a0 & keep) + _number(wide, r0, t0), (a1 & keep) + _number(wide, r1, t1)
        out[b0 + i], out[b1 + i] = a0, a1
        s2, s3, r2, t2, r3, t3, n = _read_pair(data, at, n, entries, log, mask, chained, (s2, s3, o2, o3))
        a2, a3 = (a2 & keep) + _number(wide, r2, t2), (a3 & keep) + _number(wide, r3, t3)
        out[b2 + i], out[b3 + i] = a2, a3
        if chained:
            o0, o1, o2, o3 = _following(r0, log), _following(r1, log), _following(r2, log), _following(r3, log)
        i += U(1)
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    offsets[0], offsets[1], offsets[2], offsets[3] = o0, o1, o2, o3
    if not wide:
        sums[0], sums[1], sums[2], sums[3] = a0, a1, a2, a3
    return i, at + (n << U(2))


@kernel(forceinline=True, inner=True)
def _read_one(data, at, n, tables, stretch, lane):
    """Decode an integer of a lane: its state, table, sum and place in the plane; return these, and the words taken."""
    state, offset, total, position = lane
    left, rest, bits = _take(tables.entries, offset, tables.log, (U(1) << tables.log) - U(1), state, stretch.chained)
    state = _filled(left, left < LOWEST, load_half(data, at + (n << U(2))))
    number, position = _with_plane(data, position, stretch.wide, rest, bits)
    offset = _following(rest, tables.log) if stretch.chained else offset
    return (state, offset, (total & stretch.keep) + number, position), n + U(left < LOWEST)


@kernel(forceinline=True, inner=True)
def _read_two(data, at, limit, tables, cursors, stretch, out):
    """Decode integers of two lanes, as `_read_four` does, but with the bits of planes, so many as surely are there."""
    rounds, first, sums, planes = stretch.rounds, stretch.first, cursors.sums, cursors.planes
    states, offsets, i, n = cursors.states, cursors.offsets, U(0), U(0)
    if at > limit:
        return i, at
    if stretch.wide:
        stop = limit << U(3)
        rounds = min(rounds, (stop - min(max(planes[0], planes[1]), stop)) // tables.widest)
    most = (limit - at) >> U(2)
    lane0, lane1 = (states[0], offsets[0], sums[0], planes[0]), (states[1], offsets[1], sums[1], planes[1])
    b0, b1 = cursors.begins[0] + first, cursors.begins[1] + first
    while i < rounds and n <= most:
        lane0, n = _read_one(data, at, n, tables, stretch, lane0)
        out[b0 + i] = lane0[2]
        lane1, n = _read_one(data, at, n, tables, stretch, lane1)
        out[b1 + i] = lane1[2]
        i += U(1)
    states[0], offsets[0], sums[0], planes[0] = lane0
    states[1], offsets[1], sums[1], planes[1] = lane1
    return i, at + (n << U(2))


@kernel(inner=True)
def _read_plane(data, position, widths, most, room):
    """Fill room with bits of a plane, and above those what follows them; no number has more bits than ``most``."""
    i, count = U(0), U(widths.size)
    if most <= U(MOST_FOR_TWO):
        while i + U(1) < count:
            word, width = _in_plane(data, position), _width(widths[i])
            room[i], room[i + U(1)] = word, word >> width
            position += width + _width(widths[i + U(1)])
            i += U(2)
    while i < count:
        room[i] = _in_plane(data, position)
        position += _width(widths[i])
        i += U(1)


@kernel(inner=True)
def _add_planes(data, lane, cursors, stretch, out):
    """Make integers of what was read of a lane, with the bits of its plane, or their sums."""
    rounds, first, _, keep, _ = stretch
    begin, room, total = cursors.begins[lane] + first, cursors.room, cursors.sums[lane]
    own, span, most = out[begin : begin + rounds], U(0), U(0)
    for i in range(rounds):
        span, most = span + _width(own[i]), max(most, _width(own[i]))
    position = cursors.planes[lane]
    cursors.planes[lane] += span
    if cursors.planes[lane] > cursors.ends[lane]:
        return
    _read_plane(data, position, own, most, room)
    for i in range(rounds):
        width = _width(own[i])
        own[i] = (shift_down(own[i], U(14)) << width) | (room[i] & ((U(1) << width) - U(1)))
    if keep:
        for i in range(rounds):
            total += own[i]
            own[i] = total
        cursors.sums[lane] = total


@kernel(inner=True)
def _read_last(data, at, stop, tables, cursors, lanes, stretch, out):
    """Decode integers of the first few lanes where the words may end; what damaged data lack is not read."""
    rounds, first, _, keep, chained = stretch
    log, mask = tables.log, (U(1) << tables.log) - U(1)
    for i in range(first, first + rounds):
        for lane in range(lanes):
            left, rest, bits = _take(tables.entries, cursors.offsets[lane], log, mask, cursors.states[lane], chained)
            if chained:
                cursors.offsets[lane] = _following(rest, log)
            cursors.states[lane] = _filled(left, left < LOWEST, load_half(data, min(at, stop)))
            at += U(left < LOWEST) << U(2)
            number, _ = _with_plane(data, min(cursors.planes[lane], stop << U(3)), True, rest, bits)
            cursors.planes[lane] += _width(rest)
            cursors.sums[lane] = (cursors.sums[lane] & keep) + number
            out[cursors.begins[lane] + i] = cursors.sums[lane]
    return at


@kernel(inner=True)
def _read_some(data, at, stop, lanes, tables, cursors, stretch, out):
    """Decode rounds of a stretch while there surely is enough to read; return how many, and the next place."""
    rounds, first, wide, keep, chained = stretch
    # A round of four lanes takes in up to 16 bytes. What is constant makes a loop of its own.
    limit, straight = stop - U(8) if lanes == U(4) else stop, U(0) if wide else keep
    if lanes == U(4):
        if chained:
            own = Stretch(rounds, first, wide, straight, True)
            done, at = _read_four(data, at, limit, tables, cursors, own, out)
        elif wide:
            done, at = _read_four(data, at, limit, tables, cursors, Stretch(rounds, first, True, U(0), False), out)
        else:
            done, at = _read_four(data, at, limit, tables, cursors, Stretch(rounds, first, False, keep, False), out)
        for lane in range(lanes if wide else U(0)):
            _add_planes(data, lane, cursors, Stretch(done, first, wide, keep, chained), out)
    elif chained:
        done, at = _read_two(data, at, limit, tables, cursors, Stretch(rounds, first, wide, keep, True), out)
    elif wide and keep:
        done, at = _read_two(data, at, limit, tables, cursors, Stretch(rounds, first, True, ~U(0), False), out)
    elif wide:
        done, at = _read_two(data, at, limit, tables, cursors, Stretch(rounds, first, True, U(0), False), out)
    else:
        done, at = _read_two(data, at, limit, tables, cursors, Stretch(rounds, first, False, keep, False), out)
    return done, at


@kernel(inner=True)
def _read_stretch(data, at, stop, lanes, tables, cursors, stretch, out):
    """Decode so many integers of each lane; return the next place."""
    rounds, first, wide, keep, chained = stretch
    some = rounds
    while some and rounds:
        left = Stretch(rounds, first, wide, keep, chained)
        some, at = _read_some(data, at, stop, lanes, tables, cursors, left, out)
        rounds, first = rounds - some, first + some
    return _read_last(data, at, stop, tables, cursors, lanes, Stretch(rounds, first, wide, keep, chained), out)


@kernel(forceinline=True, inner=True)
def cursors_of(work):
    """Return where lanes are, in a workspace."""
    state = work[STATE]
    return Cursors(state[:4], state[4:8], state[8:12], state[12:16], state[16:20], state[20:24], work[RESIDUALS])


@kernel(forceinline=True, inner=True)
def _tables_of(lanes, work):
    return Tables(work[TABLE : TABLE + 2].reshape(-1), lanes.log, lanes.widest, lanes.chained, owner_of(work))


@kernel(forceinline=True, inner=True)
def _begin_epoch(lanes, epoch, tables, cursors):
    """Let an epoch's tables begin, and return its stretch."""
    count, many, epochs = lanes.layout
    for lane in range(many):
        cursors.offsets[lane] = tables.owner[lane * epochs + epoch]
    per, keep = count // many, U(0) - U(lanes.summed)
    first = epoch * per // epochs
    rounds = (epoch + U(1)) * per // epochs - first
    return Stretch(rounds, first, lanes.widest > U(0), keep, lanes.chained)


@kernel(forceinline=True, inner=True)
def _end_lanes(data, at, lanes, tables, cursors, out):
    """Decode what the first lanes have beyond the others; return whether all bits were used, and states are at rest."""
    count, many, _ = lanes.layout
    per, keep = count // many, U(0) - U(lanes.summed)
    last = Stretch(U(1), per, lanes.widest > U(0), keep, lanes.chained)
    at = _read_last(data, at, lanes.stop, tables, cursors, count - per * many, last, out)
    for lane in range(many):
        if cursors.states[lane] != LOWEST or cursors.planes[lane] != cursors.ends[lane]:
            return False
    return at == lanes.stop


@kernel(inner=True)
def read_lanes(data, lanes, work, out):
    """Decode all values of a stream.

    Parameters
    ----------
    data : uint8[...]
        `READ_SLACK` after ``lanes.stop`` is readable.
    lanes : Lanes
    work : uint64[ROWS, BLOCK]
        It holds the tables, and of each lane the state, a sum of 0, where it begins, and where its plane does and must
        end.
    out : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether all bits were used, and the states came to rest.
    """
    at, tables, cursors = lanes.at, _tables_of(lanes, work), cursors_of(work)
    for epoch in range(lanes.layout.epochs):
        stretch = _begin_epoch(lanes, epoch, tables, cursors)
        at = _read_stretch(data, at, lanes.stop, lanes.layout.lanes, tables, cursors, stretch, out)
    return _end_lanes(data, at, lanes, tables, cursors, out)


@kernel(inner=True)
def are_alike(one, two):
    """Return whether two streams can be read side by side: as long, of two lanes, in which tokens tell no tables."""
    same = one.layout.values == two.layout.values and one.layout.epochs == two.layout.epochs
    return same and one.layout.lanes == U(2) and not (one.chained or two.chained)


@kernel(inner=True)
def read_both(data, one, two, work, two_work, out, two_out):
    """Decode all values of two streams that `are_alike`, as `read_lanes` does each; return whether both are whole.

    A step of a lane waits for the one before: what two lanes leave idle meanwhile, two others take.
    """
    tables, two_tables = _tables_of(one, work), _tables_of(two, two_work)
    cursors, two_cursors, at, two_at = cursors_of(work), cursors_of(two_work), one.at, two.at
    stops, wide = (one.stop, two.stop), one.widest + two.widest > U(0)
    for epoch in range(one.layout.epochs):
        own = _begin_epoch(one, epoch, tables, cursors)
        two_own = _begin_epoch(two, epoch, two_tables, two_cursors)
        streams = (tables, cursors, own, out), (two_tables, two_cursors, two_own, two_out)
        if wide:
            done, at, two_at = _read_pairs(data, (at, two_at), stops, True, streams[0], streams[1])
        else:
            done, at, two_at = _read_pairs(data, (at, two_at), stops, False, streams[0], streams[1])
        at = _go_on(data, at, one.stop, done, wide, streams[0])
        two_at = _go_on(data, two_at, two.stop, done, wide, streams[1])
    whole = _end_lanes(data, at, one, tables, cursors, out)
    return _end_lanes(data, two_at, two, two_tables, two_cursors, two_out) and whole


@kernel(forceinline=True, inner=True)
def _read_pairs(data, places, stops, wide, one, two):
    """Decode integers of two streams while there surely are words; return how many of each, and the next places.

    What has bits in planes is left to `_add_planes`.
    """
    (tables, cursors, stretch, out), (two_tables, two_cursors, two_stretch, two_out) = one, two
    at, two_at, i, n, m, first = places[0], places[1], U(0), U(0), U(0), stretch.first
    if at > stops[0] or two_at > stops[1]:
        return i, at, two_at
    most, two_most, rounds = (stops[0] - at) >> U(2), (stops[1] - two_at) >> U(2), stretch.rounds
    keep, two_keep = (U(0), U(0)) if wide else (stretch.keep, two_stretch.keep)
    entries, log, mask = tables.entries, tables.log, (U(1) << tables.log) - U(1)
    two_entries, two_log, two_mask = two_tables.entries, two_tables.log, (U(1) << two_tables.log) - U(1)
    s0, s1, s2, s3 = cursors.states[0], cursors.states[1], two_cursors.states[0], two_cursors.states[1]
    a0, a1, a2, a3 = cursors.sums[0], cursors.sums[1], two_cursors.sums[0], two_cursors.sums[1]
    o0, o1, o2, o3 = cursors.offsets[0], cursors.offsets[1], two_cursors.offsets[0], two_cursors.offsets[1]
    b0, b1 = cursors.begins[0] + first, cursors.begins[1] + first
    while i < rounds and n <= most and m <= two_most:
        lanes, two_lanes = (s0, s1, o0, o1), (s2, s3, o2, o3)
        s0, s1, r0, t0, r1, t1, n = _read_pair(data, at, n, entries, log, mask, False, lanes)
        a0, a1 = (a0 & keep) + _number(wide, r0, t0), (a1 & keep) + _number(wide, r1, t1)
        out[b0 + i], out[b1 + i] = a0, a1
        s2, s3, r2, t2, r3, t3, m = _read_pair(data, two_at, m, two_entries, two_log, two_mask, False, two_lanes)
        a2, a3 = (a2 & two_keep) + _number(wide, r2, t2), (a3 & two_keep) + _number(wide, r3, t3)
        two_out[b0 + i], two_out[b1 + i] = a2, a3
        i += U(1)
    cursors.states[0], cursors.states[1], two_cursors.states[0], two_cursors.states[1] = s0, s1, s2, s3
    if not wide:
        cursors.sums[0], cursors.sums[1], two_cursors.sums[0], two_cursors.sums[1] = a0, a1, a2, a3
    return i, at + (n << U(2)), two_at + (m << U(2))


@kernel(forceinline=True, inner=True)
def _go_on(data, at, stop, done, wide, stream):
    """Add the planes of what was read of a stretch of two lanes, and decode what is left; return the next place."""
    tables, cursors, (rounds, first, own, keep, chained), out = stream
    for lane in range(U(2) if wide else U(0)):
        _add_planes(data, lane, cursors, Stretch(done, first, wide, keep, chained), out)
    left = Stretch(rounds - done, first + done, own, keep, chained)
    return _read_stretch(data, at, stop, U(2), tables, cursors, left, out)


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
    total, every, least, most, implicit = U(0), U(0), np.int64(FULL), np.int64(FULL), U(1) << mantissa
    for i in range(U(numbers.size)):
        sign = U(0) - (numbers[i] >> U(63))
        size = numbers[i] ^ sign
        every |= size
        # As `token_of`, but without counting zeros; what is too large is done again.
        raw = (exponent_of(size | implicit) - mantissa) & U(63)
        cell = (_top_of(size, mantissa) ^ sign) + U(FULL)
        row[i] = cell | (raw << U(16)) | ((numbers[i] & ((U(1) << raw) - U(1))) << U(24))
        total += raw
        least, most = min(least, np.int64(cell)), max(most, np.int64(cell))
    if every >> U(51):
        return _prepare_large(numbers, mantissa, row)
    return total, U(least), U(most)


@kernel(forceinline=True, inner=True)
def _top_of(size, mantissa):
    """Return the token of an integer from 0 on and below 2^51: what is not small has it in the top bits of a double."""
    implicit = U(1) << mantissa
    top = (word_of(double_of(size)) >> (U(52) - mantissa)) - (((U(1023) + mantissa) << mantissa) - implicit)
    return size if size < implicit else top


@kernel(inner=True)
def fill_cells(numbers, row):
    """Fill the cells of tokens of three bits alone, as they are counted; return the extreme ones."""
    every, least, most = U(0), np.int64(FULL), np.int64(FULL)
    for i in range(U(numbers.size)):
        sign = U(0) - (numbers[i] >> U(63))
        size = numbers[i] ^ sign
        every |= size
        row[i] = (_top_of(size, U(3)) ^ sign) + U(FULL)
        least, most = min(least, np.int64(row[i])), max(most, np.int64(row[i]))
    if every >> U(51):
        _, low, high = _prepare_large(numbers, U(3), row)
        return low, high
    return U(least), U(most)


@kernel(inner=True)
def _prepare_large(numbers, mantissa, row):
    """Do as `prepare` does for any integers."""
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


@kernel(inner=True)
def write_lanes_in_chain(row, offsets, low, layout, codes, states, buffer, end):
    """Encode all values of a stream as `write_lanes` does, each by the table at an offset of its own."""
    count, lanes, _ = layout
    per, entries, low, at = count // lanes, codes.entries, low - U(FULL), end
    for lane in range(lanes):
        states[lane] = LOWEST
    for other in range(count - per * lanes):
        lane = count - per * lanes - U(1) - other
        i = begin_of(lane, count, lanes) + per
        at, states[lane] = _put(row[i], entries, offsets[i] + low, states[lane], buffer, at)
    b0, b1 = begin_of(U(0), count, lanes), begin_of(U(1), count, lanes)
    b2, b3 = begin_of(U(2), count, lanes), begin_of(U(3), count, lanes)
    s0, s1, s2, s3 = states[0], states[1], states[2], states[3]
    for back in range(U(1), per + U(1)):
        i = per - back
        if lanes == U(4):
            at, s3 = _put(row[b3 + i], entries, offsets[b3 + i] + low, s3, buffer, at)
            at, s2 = _put(row[b2 + i], entries, offsets[b2 + i] + low, s2, buffer, at)
        at, s1 = _put(row[b1 + i], entries, offsets[b1 + i] + low, s1, buffer, at)
        at, s0 = _put(row[b0 + i], entries, offsets[b0 + i] + low, s0, buffer, at)
    states[0], states[1], states[2], states[3] = s0, s1, s2, s3
    return at
