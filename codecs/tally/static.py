"""Residuals as lanes of tokens, with the tables that these need before them, exceptions and planes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.contexts import (
    LEAST_BY_CONTEXTS,
    LEAST_IN_SHORT,
    choose_contexts,
    context_gain,
    fill_offsets,
)
from squeezelab.codecs.tally.head import (
    CONTEXTS,
    EXPLICIT,
    MOST_TOKENS,
    PATCHED,
    SEGMENTS,
    SHAPE,
    WIDE,
    Choice,
    put_header,
    put_tables,
    take_header,
    take_tables,
    widest,
)
from squeezelab.codecs.tally.lanes import (
    FULL,
    MOST_RAW,
    TOKENS,
    Codes,
    Lanes,
    Layout,
    Tokens,
    begin_of,
    count_cells,
    cursors_of,
    layout_of,
    prepare,
    prepare_wide,
    read_both,
    read_lanes,
    token_of,
    write_lanes,
    write_lanes_in_chain,
)
from squeezelab.codecs.tally.segments import chosen_of, shapes_of_segments
from squeezelab.codecs.tally.shapes import CELLS, NLOGN, ONE, SIDE
from squeezelab.codecs.tally.tables import (
    EVERY_FAMILY,
    MANTISSAS,
    best_shape,
    cells_at,
    explicit_levels,
    put_bits,
    shift_of_shapes,
    span_of,
    take_bits,
)
from squeezelab.codecs.tally.workspace import (
    BLOCK,
    CHOSEN,
    CODES,
    COUNTS,
    LEVELS,
    OTHER_RESIDUALS,
    PATCHES,
    PREPARED,
    SHARES,
    STATE,
    WORDS,
    owner_of,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    load_little,
    put_varint,
    shift_down,
    store_little,
    take_varint,
    unzigzag,
    zigzag,
)

# Writing


@kernel(inline="always", inner=True)
def write_static(residuals, work, buffer, at):
    """Write residuals as lanes of tokens; they are changed where they are exceptions.

    Returns
    -------
    at : uint64
        The byte after them.
    gain : int64
        About how many bits models that learn would save, in 2^-12.
    """
    layout, cells = layout_of(U(residuals.size)), work[COUNTS].view(np.uint32)
    low, high, patches = _count_tokens(residuals, work)
    gain = context_gain(residuals, max(high - FULL, FULL - 1 - low), work[OTHER_RESIDUALS], cells[TOKENS : 4 * TOKENS])
    choice, bits, raw = _choose_shape(cells, low, high, layout, work)
    first, last, shift = U(SIDE) - choice.lowest, U(SIDE) - choice.lowest + choice.tokens, choice.shift
    choice, bits = _choose_explicit(residuals, low, high, choice, bits, raw, work)
    of_all, single = chosen_of(work)[0], bits
    if layout.epochs > U(1):
        groups, total = shapes_of_segments(
            residuals, shift, layout, np.int64(first), np.int64(last), bits - raw * ONE, work
        )
        if groups > 1 and total + raw * ONE < bits:
            bits = total + raw * ONE
            choice = Choice(U(SEGMENTS), U(0), choice.sparse, U(10), U(groups), U(SIDE) - first, last - first, shift)
        else:
            chosen_of(work)[0] = of_all
    letters, promised = choice.tokens, gain + bits - _learnt_bits(cells, low, high, np.int64(layout.values))
    if gain > single - bits + bits // (LEAST_BY_CONTEXTS if layout.epochs > U(1) else LEAST_IN_SHORT):
        before = bits
        choice, bits, letters = choose_contexts(residuals, layout, low, high, choice, bits, work)
        if layout.epochs == U(1):
            # Models that learn take long for a short block: they have to promise more than this has saved.
            gain, promised = gain + bits - before, promised + bits - before
    wide = widest(choice) > U(0)
    position = put_header(choice, wide, patches, buffer, at) << U(3)
    position = put_tables(choice, layout, letters, work, buffer, position)
    tokens = Tokens(choice.lowest, choice.shift, U(MANTISSAS[np.int64(choice.mantissa)]), choice.log)
    row = _prepared_again(residuals, tokens, wide, work)
    codes, states = Codes(owner_of(work), work[CODES : CODES + 2].reshape(-1)), work[STATE][:4]
    room, end = work[WORDS : WORDS + 4].reshape(-1).view(np.uint8), U(2 * 8 * BLOCK)
    if choice.kind == U(CONTEXTS):
        offsets = work[OTHER_RESIDUALS]
        fill_offsets(row, choice, layout, offsets, work)
        begin = write_lanes_in_chain(row, offsets, choice.lowest, layout, codes, states, room, end)
    else:
        begin = write_lanes(row, choice.lowest, layout, codes, states, room, end)
    at = (_put_states(states, layout.lanes, buffer, position) + U(7)) >> U(3)
    if patches:
        at = _put_exceptions(work, patches, buffer, at)
    if wide:
        at = _put_planes(residuals, tokens, layout, buffer, at)
    return _put_words(room, begin, end, buffer, at), max(gain, promised)


@kernel(inner=True)
def _count_tokens(residuals, work):
    """Count tokens of three bits of mantissa, and take exceptions out; return the cells in use, and how many these."""
    row, cells = work[PREPARED][: residuals.size], work[COUNTS].view(np.uint32)
    full = cells[:TOKENS]
    _, least, most = prepare(residuals, U(3), row)
    count_cells(row, least, most, cells)
    low, high = _cut_outliers(full, np.int64(least), np.int64(most), np.int64(residuals.size))
    patches = U(0)
    if U(low) > least or U(high) < most:
        patches = _take_exceptions(residuals, row, U(low), U(high), full, work)
    return low, high, patches


@kernel(inner=True)
def _choose_shape(cells, low, high, layout, work):
    """Return the best shape for all residuals, how many bits it takes, in 2^-12, and how many of them are raw."""
    widest, single = max(high - FULL, FULL - 1 - low), cells[TOKENS : TOKENS + CELLS]
    shift = shift_of_shapes(widest)
    for i in range(CELLS):
        single[i] = 0
    raw, first, last = cells_at(cells, low, high, shift, U(3), U(SIDE), single)
    shape, cost = best_shape(work, single, first, last, np.int64(layout.values), EVERY_FAMILY)
    chosen_of(work)[0] = U(shape)
    log = _log_of(layout.values, U(last - first))
    choice = Choice(U(SHAPE), U(0), False, log, U(1), U(SIDE - first), U(last - first), shift)
    return choice, cost + (raw + 9) * ONE, raw


@kernel(forceinline=True, inner=True)
def _log_of(count, tokens):
    """Return the logarithm of a table's size."""
    return U(10) if count < U(2048) and tokens <= U(100) else U(11)


@kernel(inner=True)
def _choose_explicit(residuals, low, high, shape, bits, shape_raw, work):
    """Return a shape's choice, or an explicit table of three, one or six bits of mantissa that takes fewer bits.

    And these bits. The levels of such a table are left in the row `SHARES`, and residuals prepared by six bits in the
    row `LEVELS`: levels are not needed any more.
    """
    cells, widest, choice = work[COUNTS].view(np.uint32), max(high - FULL, FULL - 1 - low), shape
    spare = work[LEVELS][: residuals.size]
    for place in range(3):
        if (place == 2 and not 16 <= widest < 64) or (place == 1 and widest < 8):
            # As many tokens as by three bits, or too many.
            continue
        # Tokens of three bits have been counted for shapes.
        own, raw, part, middle = cells[TOKENS : TOKENS + CELLS], shape_raw, shape.shift, SIDE
        first, last = SIDE - np.int64(shape.lowest), SIDE - np.int64(shape.lowest) + np.int64(shape.tokens)
        if place:
            own, part, middle = cells[2 * TOKENS :], U(0), FULL
        if place == 1:
            raw, first, last = cells_at(cells, low, high, part, U(MANTISSAS[place]), U(FULL), own)
        elif place == 2:
            total_raw, least, most = prepare(residuals, U(6), spare)
            count_cells(spare, least, most, own)
            begin, end = span_of(own[least : most + U(1)])
            raw, first, last = np.int64(total_raw), np.int64(least) + begin, np.int64(least) + end
        if last - first > MOST_TOKENS:
            continue
        total, sparse = _try_explicit(own[first:last], np.int64(residuals.size), bits - raw * ONE, work)
        if total + raw * ONE < bits:
            tokens = U(last - first)
            log = _log_of(U(residuals.size), tokens)
            choice = Choice(U(EXPLICIT), U(place), sparse, log, U(1), U(middle) - U(first), tokens, part)
            bits = total + raw * ONE
            for i in range(tokens):
                work[SHARES][i] = work[CHOSEN][i]
    return choice, bits


@kernel(inner=True)
def _try_explicit(cells, count, limit, work):
    """Fill levels, in the row `CHOSEN`, unless even what they leave takes too many bits; return the bits and how."""
    floor, used = NLOGN[count], 0
    for i in range(cells.size):
        floor -= NLOGN[cells[i]]
        used += cells[i] > 0
    if floor + used * (5 * ONE // 2) >= limit:
        return limit, False
    # Runs of tokens that there are none of are worth a shorter code where they are many.
    tokens, sparse = U(cells.size), 3 * used < 2 * cells.size
    levels, back = work[CHOSEN], work[CHOSEN][4096:].view(np.int64)
    return explicit_levels(cells, tokens, count, _log_of(U(count), tokens), sparse, np.int64(0), levels, back), sparse


@kernel(forceinline=True, inner=True)
def _prepared_again(residuals, tokens, wide, work):
    """Return residuals prepared for lanes, which most are already: all but those with bits in planes were counted."""
    row = work[PREPARED][: residuals.size]
    if wide:
        prepare_wide(residuals, tokens, row)
    elif tokens.mantissa == U(6):
        return work[LEVELS][: residuals.size]
    elif tokens.mantissa != U(3):
        prepare(residuals, tokens.mantissa, row)
    return row


@kernel(inner=True)
def _put_states(states, lanes, buffer, position):
    """Write the states that lanes begin with; return the position after them."""
    for lane in range(lanes):
        size = U(63) - leading_zeros(states[lane])
        position = put_bits(buffer, position, size - U(23), U(5))
        part = states[lane] & ((U(1) << size) - U(1))
        position = put_bits(buffer, position, part & U(0xFFFFFF), min(size, U(24)))
        if size > U(24):
            position = put_bits(buffer, position, part >> U(24), size - U(24))
    return position


@kernel(inner=True)
def _put_words(room, begin, end, buffer, at):
    """Move words from their room to a byte; return the byte after them."""
    for i in range(U(0), end - begin, U(8)):
        store_little(buffer, at + i, load_little(room, begin + i))
    return at + (end - begin)


@kernel(inner=True)
def _learnt_bits(full, low, high, count):
    """Return about how many bits counted tokens would take with models that learn as they go, in 2^-12."""
    bits = NLOGN[count]
    for i in range(low, high + 1):
        if full[i]:
            octave = (i - FULL if i >= FULL else FULL - 1 - i) >> 3
            bits += np.int64(full[i]) * max(octave - 1, 0) * ONE + 3 * ONE // 2 - NLOGN[full[i]]
    return bits


@kernel(inner=True)
def _cut_outliers(full, low, high, count):
    """Return the tokens, as cells, outside of which integers are exceptions: those so rare that the table is dearer."""
    step = 3 * count * ONE // 2048
    for side in range(2):
        rare, gain, best, cut = np.int64(0), np.int64(0), np.int64(0), -1
        i = low if side == 0 else high
        while i != FULL and rare <= count // 32:
            if full[i]:
                rare += np.int64(full[i])
                bits = abs(i - FULL) >> 3
                gain -= np.int64(full[i]) * (16 + bits) * ONE
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


@kernel(inner=True)
def _take_exceptions(residuals, row, low, high, full, work):
    """Keep apart the residuals whose tokens are not in the cells low to high, leave 0 for each, and return how many."""
    listed, patches = work[PATCHES], U(0)
    for i in range(U(residuals.size)):
        cell = row[i] & U(0xFFFF)
        if cell < low or cell > high:
            full[cell] -= np.uint32(1)
            full[FULL] += np.uint32(1)
            listed[patches] = i
            listed[patches + U(1)] = residuals[i]
            patches += U(2)
            residuals[i], row[i] = U(0), U(FULL)
    return patches >> U(1)


@kernel(inner=True)
def _put_exceptions(work, patches, buffer, at):
    listed, before = work[PATCHES], U(0)
    at = put_varint(buffer, at, patches)
    for i in range(U(0), patches << U(1), U(2)):
        at = put_varint(buffer, at, listed[i] - before)
        at = put_varint(buffer, at, zigzag(listed[i + U(1)]))
        before = listed[i]
    return at


@kernel(inner=True)
def _put_planes(residuals, tokens, layout, buffer, at):
    """Write the lanes' planes, one after another, and before them how many bits each has but the last byte's rest."""
    count, lanes, _ = layout
    shift, mantissa = tokens.shift, tokens.mantissa
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


# Reading


class Static(NamedTuple):
    """Residuals whose lanes are about to be read.

    Attributes
    ----------
    whole : bool
        Whether what stands before the lanes makes sense.
    lanes : Lanes
    patches, patches_at : uint64
        How many exceptions there are, and where the first is.
    """

    whole: bool
    lanes: Lanes
    patches: np.uint64
    patches_at: np.uint64


@kernel(inner=True)
def no_static():
    """Return residuals that cannot be read."""
    return Static(False, Lanes(U(0), U(0), layout_of(U(0)), U(0), U(0), False, False), U(0), U(0))


@kernel(inner=True)
def open_static(data, at, stop, count, summed, work):
    """Read what stands before lanes of tokens, and make their tables.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        Residuals are ``data[at:stop]``.
    count : uint64
        How many there are.
    summed : bool
        Whether each one is to be added to the one before in its lane.
    work : uint64[ROWS, BLOCK]
        A part of `squeezelab.codecs.tally.workspace.make_works`: tables and states stay there until lanes are read.

    Returns
    -------
    static : Static
    """
    layout, cursors = layout_of(count), cursors_of(work)
    if at > stop or stop - at < U(8) or count < U(8):
        return no_static()
    whole, flags, choice, at = take_header(data, at, stop, layout)
    if not whole:
        return no_static()
    if choice.kind == U(CONTEXTS):
        layout = Layout(count, layout.lanes, U(1))
    whole, position = take_tables(data, at << U(3), stop << U(3), choice, layout, work)
    if not whole:
        return no_static()
    at = (_take_states(data, position, stop << U(3), layout, cursors) + U(7)) >> U(3)
    patches, patches_at = U(0), at
    if flags & U(PATCHED):
        patches, patches_at, at = _survey_exceptions(data, at, stop, count)
    if at <= stop and flags & U(WIDE):
        at = _take_planes(data, at, stop, layout.lanes, cursors)
    lanes = Lanes(at, stop, layout, choice.log, widest(choice), choice.kind == U(CONTEXTS), summed)
    return Static(at <= stop, lanes, patches, patches_at)


@kernel(inline="always", inner=True)
def read_static(data, static, work, out):
    """Decode residuals by what `open_static` left; return whether they are whole."""
    whole = static.whole and read_lanes(data, static.lanes, work, out)
    if whole:
        _patch(data, static, out)
    return whole


@kernel(inline="always", inner=True)
def read_both_static(data, one, two, work, two_work, out, two_out):
    """Decode residuals of two streams that `are_alike`, side by side; return whether both are whole."""
    whole = read_both(data, one.lanes, two.lanes, work, two_work, out, two_out)
    if whole:
        _patch(data, one, out)
        _patch(data, two, two_out)
    return whole


@kernel(inner=True)
def _patch(data, static, out):
    """Put exceptions where they belong."""
    lanes = static.lanes
    if lanes.summed and static.patches:
        _add_exceptions_to_sums(data, static.patches_at, lanes.stop, static.patches, lanes.layout, out)
    else:
        _add_exceptions(data, static.patches_at, lanes.stop, static.patches, out)


@kernel(inner=True)
def _take_states(data, position, limit, layout, cursors):
    """Let lanes begin, with their states; return the position after these."""
    for lane in range(layout.lanes):
        size, position = take_bits(data, position, limit, U(5))
        size += U(23)
        part, position = take_bits(data, position, limit, min(size, U(24)))
        state = part | (U(1) << size)
        if size > U(24):
            part, position = take_bits(data, position, limit, min(size - U(24), U(31)))
            state |= part << U(24)
        cursors.states[lane], cursors.sums[lane] = state, U(0)
        cursors.planes[lane], cursors.ends[lane] = U(0), U(0)
        cursors.begins[lane] = begin_of(lane, layout.values, layout.lanes)
    return position


@kernel(inner=True)
def _survey_exceptions(data, at, stop, count):
    """Return how many exceptions there are, where the first is, and the byte after all; beyond ``stop`` if too many."""
    patches, at = take_varint(data, at, stop)
    begin, place = at, U(0)
    if patches > count:
        return U(0), begin, stop + U(1)
    for _ in range(patches):
        gap, at = take_varint(data, at, stop)
        _, at = take_varint(data, at, stop)
        if at > stop or gap >= count - place:
            return U(0), begin, stop + U(1)
        place += gap
    return patches, begin, at


@kernel(inner=True)
def _add_exceptions(data, at, stop, patches, out):
    """Put exceptions where they belong."""
    place = U(0)
    for _ in range(patches):
        gap, at = take_varint(data, at, stop)
        number, at = take_varint(data, at, stop)
        place += gap
        out[place] = unzigzag(number)


@kernel(inner=True)
def _add_exceptions_to_sums(data, at, stop, patches, layout, out):
    """Put exceptions where they belong in integers that are summed up lane by lane: the sums after them change."""
    count, lanes, _ = layout
    done, lane, place, more = U(0), U(0), U(0), U(0)
    for i in range(patches + U(1)):
        gap, number = count - place, U(0)
        if i < patches:
            gap, at = take_varint(data, at, stop)
            number, at = take_varint(data, at, stop)
        place += gap
        while done < place:
            end = begin_of(lane + U(1), count, lanes)
            part = out[done : min(end, place)]
            for k in range(U(part.size)):
                part[k] += more
            done += U(part.size)
            if done == end:
                lane, more = lane + U(1), U(0)
        if place < count:
            before = out[place - U(1)] if place > begin_of(lane, count, lanes) else U(0)
            more = before + unzigzag(number) - out[place]


@kernel(inner=True)
def _take_planes(data, at, stop, lanes, cursors):
    """Find where the lanes' planes begin and end; return the byte after them, beyond ``stop`` if that is too early."""
    for lane in range(lanes):
        cursors.ends[lane], at = take_varint(data, at, stop)
        if at > stop or cursors.ends[lane] > (stop - at) << U(3):
            return stop + U(1)
    for lane in range(lanes):
        cursors.planes[lane] = at << U(3)
        at += (cursors.ends[lane] + U(7)) >> U(3)
        cursors.ends[lane] += cursors.planes[lane]
    return at
