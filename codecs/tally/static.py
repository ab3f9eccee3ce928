"""Residuals as lanes of tokens, with the tables that these need before them, exceptions and planes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.lanes import (
    FULL,
    MOST_RAW,
    TOKENS,
    Codes,
    Cursors,
    Tables,
    Tokens,
    begin_of,
    count_cells,
    layout_of,
    prepare,
    prepare_wide,
    put_code,
    read_lanes,
    token_of,
    write_lanes,
)
from squeezelab.codecs.tally.shapes import CELLS, HALF_POWERS, NLOGN, ONE, SIDE
from squeezelab.codecs.tally.tables import (
    MANTISSAS,
    best_shape,
    cells_at,
    chosen_of,
    explicit_levels,
    fill_table,
    frequencies_of,
    owner_of,
    put_bits,
    put_levels,
    shapes_of_segments,
    span_of,
    take_bits,
    take_levels,
)
from squeezelab.codecs.tally.workspace import (
    BLOCK,
    CHOSEN,
    CODES,
    COUNTS,
    INVERSES_OF_SHARES,
    OTHER_RESIDUALS,
    PATCHES,
    PREPARED,
    RESIDUALS,
    SHARES,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
    weights_of_shape,
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

EXPLICIT, SHAPE, SEGMENTS = range(3)
PATCHED, WIDE, SPARSE = 16, 32, 64
MOST_TOKENS, MOST_SHIFT = 800, 53
SIZES = 32
"""Sizes of residuals that are told apart to see whether contexts pay."""


class Choice(NamedTuple):
    """How residuals are coded: what a stream's header says.

    Attributes
    ----------
    kind : uint64
        `EXPLICIT`, `SHAPE` or `SEGMENTS`.
    mantissa : uint64
        Place in `MANTISSAS`.
    sparse : bool
        Whether runs of tokens that there are none of have the shortest code.
    log, tables : uint64
        Logarithm of a table's size, and how many tables there are.
    lowest, tokens, shift : uint64
        Minus the lowest token, how many tokens there are, and how many bits are raw in any case.
    """

    kind: np.uint64
    mantissa: np.uint64
    sparse: bool
    log: np.uint64
    tables: np.uint64
    lowest: np.uint64
    tokens: np.uint64
    shift: np.uint64


# Writing


@kernel(inline="always", inner=True)
def write_static(residuals, work, buffer, at):
    """Write residuals as lanes of tokens; they are changed where they are exceptions.

    Returns
    -------
    at : uint64
        The byte after them.
    gain : int64
        About how many bits contexts would save, in 2^-12.
    """
    layout, cells = layout_of(U(residuals.size)), work[COUNTS].view(np.uint32)
    low, high, patches = _count_tokens(residuals, work)
    gain = context_gain(residuals, max(high - FULL, FULL - 1 - low), work[OTHER_RESIDUALS], cells[TOKENS : 4 * TOKENS])
    choice, bits, raw = _choose_shape(cells, low, high, layout, work)
    first, last, shift = U(SIDE) - choice.lowest, U(SIDE) - choice.lowest + choice.tokens, choice.shift
    choice, bits = _choose_explicit(residuals, low, high, choice, bits, work)
    if layout.epochs > U(1):
        groups, total = shapes_of_segments(
            residuals, shift, layout, np.int64(first), np.int64(last), bits - raw * ONE, work
        )
        if groups > 1 and total + raw * ONE < bits:
            choice = Choice(U(SEGMENTS), U(0), choice.sparse, U(10), U(groups), U(SIDE) - first, last - first, shift)
        # Else a table by shape now has that of the first group: that of all residuals takes no fewer bytes in all.
    wide = _is_wide(choice)
    position = _put_header(choice, wide, patches, buffer, at) << U(3)
    position = _put_tables(choice, layout, work, buffer, position)
    tokens = Tokens(choice.lowest, choice.shift, U(MANTISSAS[np.int64(choice.mantissa)]), choice.log)
    row = _prepared_again(residuals, tokens, wide, work)
    codes, states = Codes(owner_of(work), work[CODES : CODES + 2].reshape(-1)), work[STATE][:4]
    room, end = work[WORDS : WORDS + 4].reshape(-1).view(np.uint8), U(2 * 8 * BLOCK)
    begin = write_lanes(row, choice.lowest, layout, codes, states, room, end)
    at = (_put_states(states, layout.lanes, buffer, position) + U(7)) >> U(3)
    if patches:
        at = _put_exceptions(work, patches, buffer, at)
    if wide:
        at = _put_planes(residuals, tokens, layout, buffer, at)
    return _put_words(room, begin, end, buffer, at), gain


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
    # The shift leaves the tokens of a shape: as many bits as its cells tell apart, and the median among its scales.
    widest, single = max(high - FULL, FULL - 1 - low), cells[TOKENS : TOKENS + CELLS]
    shift = U(max(0, (widest - SIDE + 8) >> 3))
    for i in range(CELLS):
        single[i] = 0
    raw, first, last = cells_at(cells, low, high, shift, U(3), U(SIDE), single)
    shape, cost = best_shape(work, single, first, last, np.int64(layout.values))
    chosen_of(work)[0] = U(shape)
    log = _log_of(layout.values, U(last - first))
    choice = Choice(U(SHAPE), U(0), False, log, U(1), U(SIDE - first), U(last - first), shift)
    return choice, cost + (raw + 9) * ONE, raw


@kernel(forceinline=True, inner=True)
def _log_of(count, tokens):
    """Return the logarithm of a table's size."""
    return U(10) if count < U(2048) and tokens <= U(100) else U(11)


@kernel(inner=True)
def _choose_explicit(residuals, low, high, choice, bits, work):
    """Return the choice, or an explicit table of three, one or six bits of mantissa that takes fewer bits; and these.

    The levels of such a table are left in the row `SHARES`.
    """
    cells, shift, widest = work[COUNTS].view(np.uint32), choice.shift, max(high - FULL, FULL - 1 - low)
    spare = work[OTHER_RESIDUALS][: residuals.size]
    for place in range(3):
        if (place == 2 and not 16 <= widest < 64) or (place == 1 and widest < 8):
            # As many tokens as by three bits, or too many.
            continue
        part = shift if place == 0 else U(0)
        if place == 2:
            own = cells[2 * TOKENS :]
            total_raw, least, most = prepare(residuals, U(6), spare)
            count_cells(spare, least, most, own)
            begin, end = span_of(own[least : most + U(1)])
            raw, first, last = np.int64(total_raw), np.int64(least) + begin, np.int64(least) + end
        else:
            own = cells[14000 : 14000 + TOKENS]
            raw, first, last = cells_at(cells, low, high, part, U(MANTISSAS[place]), U(FULL), own)
        if last - first > MOST_TOKENS:
            continue
        total, sparse = _try_explicit(own[first:last], np.int64(residuals.size), bits - raw * ONE, work)
        if total + raw * ONE < bits:
            tokens = U(last - first)
            log = _log_of(U(residuals.size), tokens)
            choice = Choice(U(EXPLICIT), U(place), sparse, log, U(1), U(FULL) - U(first), tokens, part)
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
    return explicit_levels(cells, tokens, count, _log_of(U(count), tokens), sparse, levels, back), sparse


@kernel(inner=True)
def _put_header(choice, wide, patches, buffer, at):
    """Write what stands before the tables; return the byte after it."""
    buffer[at] = (
        choice.kind
        | (choice.mantissa << U(2))
        | (U(PATCHED) if patches else U(0))
        | (U(WIDE) if wide else U(0))
        | (U(SPARSE) if choice.sparse else U(0))
    )
    buffer[at + U(1)] = choice.log | ((choice.tables - U(1)) << U(4))
    at = put_varint(buffer, at + U(2), choice.lowest)
    at = put_varint(buffer, at, choice.tokens)
    if wide:
        buffer[at] = choice.shift
        at += U(1)
    return at


@kernel(inner=True)
def _put_tables(choice, layout, work, buffer, position):
    """Write the tables, and whose they are; fill what tokens are encoded with. Return the position after them."""
    shares, entries, weights = work[SHARES], work[CODES : CODES + 2].reshape(-1), work[WEIGHTS]
    owner, segments, tokens = owner_of(work), layout.lanes * layout.epochs, choice.tokens
    buffer[position >> U(3)] = 0
    if choice.kind == U(EXPLICIT):
        position = put_levels(shares, tokens, choice.sparse, buffer, position)
    for table in range(choice.tables):
        if choice.kind == U(EXPLICIT):
            for i in range(tokens):
                weights[i] = HALF_POWERS[shares[i] - U(1)] if shares[i] else U(0)
        else:
            shape = chosen_of(work)[table]
            position = put_bits(buffer, position, shape, U(9))
            _fill_weights(shape, choice.lowest, tokens, work)
        own, slot = shares[table * tokens :], U(0)
        frequencies_of(weights, tokens, choice.log, own)
        for i in range(tokens):
            put_code(entries, table * tokens + i, own[i], work[INVERSES_OF_SHARES, own[i]], slot, choice.log)
            slot += own[i]
    if choice.kind != U(SEGMENTS):
        for i in range(segments):
            owner[i] = U(0)
        return position
    for i in range(U(1), segments):
        position = put_bits(buffer, position, owner[i] - owner[i - U(1)], U(1))
    for i in range(segments):
        owner[i] *= tokens
    return position


@kernel(forceinline=True, inner=True)
def _fill_weights(shape, lowest, tokens, work):
    """Fill the weights of tokens in a shape."""
    weights = weights_of_shape(work, shape)
    for i in range(tokens):
        work[WEIGHTS][i] = U(weights[U(SIDE) - lowest + i])


@kernel(forceinline=True, inner=True)
def _prepared_again(residuals, tokens, wide, work):
    """Return residuals prepared for lanes, which they are already where tokens have three bits and none in planes."""
    row = work[PREPARED][: residuals.size]
    if wide:
        prepare_wide(residuals, tokens, row)
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
def context_gain(residuals, widest, row, cells):
    """Return how many bits the sizes of residuals would save if the size before were known, in 2^-12.

    The widest token, by three bits, tells up to which size there are any. In a row there is room for all sizes, in
    cells for twice as many counts as there are pairs, and a few more.
    """
    count, sizes, even = U(residuals.size), U(min((widest >> 3) + 5, SIZES)), cells[: SIZES * SIZES]
    odd, every = cells[SIZES * SIZES :], cells[2 * SIZES * SIZES :]
    for i in range(count):
        row[i] = min(U(64) - leading_zeros(zigzag(residuals[i])), U(SIZES - 1))
    for i in range(sizes):
        every[i] = 0
        for j in range(sizes):
            even[U(SIZES) * i + j] = odd[U(SIZES) * i + j] = 0
    even[row[0]] += np.uint32(1)
    for i in range(U(1), count - U(1), U(2)):
        odd[row[i - U(1)] * U(SIZES) + row[i]] += np.uint32(1)
        even[row[i] * U(SIZES) + row[i + U(1)]] += np.uint32(1)
    if count & U(1) == U(0):
        odd[row[count - U(2)] * U(SIZES) + row[count - U(1)]] += np.uint32(1)
    for i in range(sizes):
        for j in range(sizes):
            even[U(SIZES) * i + j] += odd[U(SIZES) * i + j]
            every[j] += even[U(SIZES) * i + j]
    bits, used = NLOGN[count], 0
    for i in range(sizes):
        if every[i] == 0:
            continue
        total = np.int64(0)
        for j in range(sizes):
            seen = np.int64(even[U(SIZES) * i + j])
            total += seen
            bits += NLOGN[seen]
            used += int(seen > 0)
        bits -= NLOGN[total] + NLOGN[every[i]]
    return bits - 3 * used * ONE


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


@kernel(forceinline=True, inner=True)
def _most_raw(choice):
    """Return how many raw bits the widest token has."""
    largest = max(choice.lowest, choice.tokens - choice.lowest)
    octave = (largest - U(1)) >> U(MANTISSAS[np.int64(choice.mantissa)])
    return octave - U(1) if octave > U(1) else U(0)


@kernel(forceinline=True, inner=True)
def _is_wide(choice):
    """Return whether any token has bits in a plane."""
    return choice.shift > U(0) or _most_raw(choice) > MOST_RAW


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


@kernel(inline="always", inner=True)
def read_static(data, at, stop, summed, work, out):
    """Read lanes of tokens; return whether they are whole, and whether each lane was summed up."""
    count = U(out.size)
    if stop - at < U(8) or count < U(8):
        return False, False
    layout = layout_of(count)
    whole, flags, choice, at = _take_header(data, at, stop, layout)
    if not whole:
        return False, False
    whole, position = _take_tables(data, at << U(3), stop << U(3), choice, layout, work)
    if not whole:
        return False, False
    state = work[STATE]
    cursors = Cursors(state[:4], state[4:8], state[8:12], state[12:16], state[16:20], state[20:24], work[RESIDUALS])
    at = (_take_states(data, position, stop << U(3), layout, cursors) + U(7)) >> U(3)
    patches, patches_at = U(0), at
    if flags & U(PATCHED) and at < stop:
        patches, patches_at, at = _survey_exceptions(data, at, stop, count)
    if at > stop:
        return False, False
    if flags & U(WIDE):
        at = _take_planes(data, at, stop, layout.lanes, cursors)
        if at > stop:
            return False, False
    summed = summed and flags & U(PATCHED) == U(0)
    table = work[TABLE : TABLE + 2].reshape(-1)
    tables = Tables(table, choice.log, flags & U(WIDE) != U(0), owner_of(work))
    whole = read_lanes(data, at, stop, layout, tables, cursors, summed, out)
    _add_exceptions(data, patches_at, stop, patches, out)
    return whole, summed


@kernel(inner=True)
def _take_header(data, at, stop, layout):
    """Return whether what stands before the tables makes sense, the first byte, the choice, and the byte after it."""
    flags, second = U(data[at]), U(data[at + U(1)])
    kind, mantissa, sparse = flags & U(3), (flags >> U(2)) & U(3), flags & U(SPARSE) != U(0)
    log, tables, wide = second & U(15), (second >> U(4)) + U(1), flags & U(WIDE) != U(0)
    lowest, at = take_varint(data, at + U(2), stop)
    tokens, at = take_varint(data, at, stop)
    shift = U(0)
    if wide and at < stop:
        shift = U(data[at])
        at += U(1)
    choice = Choice(kind, min(mantissa, U(2)), sparse, log, tables, lowest, tokens, shift)
    if kind > U(SEGMENTS) or mantissa > U(2) or at >= stop or log < U(10) or log > U(11) or flags >> U(7):
        return False, flags, choice, at
    if tokens == U(0) or tokens > U(MOST_TOKENS) or lowest > tokens or shift > U(MOST_SHIFT):
        return False, flags, choice, at
    if tables > U(1) and (kind != U(SEGMENTS) or tables > layout.lanes * layout.epochs or log > U(10)):
        return False, flags, choice, at
    raw = _most_raw(choice)
    if shift + raw > U(63) or (not wide and raw > MOST_RAW):
        return False, flags, choice, at
    fits = kind == U(EXPLICIT) or not (mantissa or lowest > U(SIDE) or tokens - lowest > U(SIDE))
    return fits, flags, choice, at


@kernel(inner=True)
def _take_tables(data, position, limit, choice, layout, work):
    """Fill decoding tables, and whose they are; return whether they make sense, and the position after them."""
    weights, shares, table = work[WEIGHTS], work[SHARES], work[TABLE : TABLE + 2].reshape(-1)
    owner, tokens, log = owner_of(work), choice.tokens, choice.log
    for i in range(choice.tables):
        if choice.kind == U(EXPLICIT):
            position, whole = take_levels(data, position, limit, tokens, choice.sparse, weights)
            if not whole:
                return False, position
        else:
            shape, position = take_bits(data, position, limit, U(9))
            _fill_weights(shape, choice.lowest, tokens, work)
        frequencies_of(weights, tokens, log, shares)
        mantissa = U(MANTISSAS[np.int64(choice.mantissa)])
        fill_table(shares, tokens, choice.lowest, choice.shift, mantissa, table, i << log)
    owner[0] = U(0)
    for i in range(U(1), layout.lanes * layout.epochs):
        bit = U(0)
        if choice.kind == U(SEGMENTS):
            bit, position = take_bits(data, position, limit, U(1))
        owner[i] = owner[i - U(1)] + (bit << log)
        if owner[i] >= choice.tables << log:
            return False, position
    return True, position


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
        cursors.states[lane], cursors.sums[lane], cursors.planes[lane] = state, U(0), U(0)
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
