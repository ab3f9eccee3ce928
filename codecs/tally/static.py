"""Residuals as lanes of tokens, with the tables that these need before them, exceptions and planes."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.lanes import (
    MOST_RAW,
    begin_of,
    epochs_of,
    lanes_of,
    prepare_token,
    read_lanes,
    token_of,
    write_lanes,
)
from squeezelab.codecs.tally.shapes import CELLS, HALF_POWERS, NLOGN, ONE, SIDE
from squeezelab.codecs.tally.tables import (
    FULL,
    MANTISSAS,
    best_shape,
    cells_at,
    explicit_levels,
    fill_table,
    frequencies_of,
    put_bits,
    put_levels,
    shapes_of_segments,
    span_of,
    take_bits,
    take_levels,
)
from squeezelab.codecs.tally.workspace import (
    BOUNDS,
    CHOSEN,
    COUNTS,
    INVERSES,
    PATCHES,
    RESIDUALS,
    SHARES,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
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


# Writing


@kernel(inline="always")
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
    least, most = U(FULL), U(FULL)
    for i in range(count):
        token, _ = token_of(residuals[i], U(3))
        full[token + U(FULL)] += np.uint32(1)
        least, most = min(least, token + U(FULL)), max(most, token + U(FULL))
    low, high = _cut_outliers(full, np.int64(least), np.int64(most), np.int64(count))
    patches = U(0)
    if U(low) > least or U(high) < most:
        patches = _take_exceptions(residuals, U(low), U(high), full, work)
    # The shift leaves the tokens of a shape: as many bits as its cells tell apart, and the median among its scales.
    widest = max(high - FULL, FULL - 1 - low)
    shift = U(max(0, (widest - SIDE + 8) >> 3))
    gain = context_gain(residuals, counts[1024:4096])
    raw = cells_at(full, low, high, shift, U(3), U(SIDE), single[:CELLS])
    first, last = span_of(single[:CELLS])
    shape, cost = best_shape(bank, single, first, last, np.int64(count), work[WEIGHTS].view(np.float32))
    kind, mantissa, best = U(SHAPE), U(0), cost + (raw + 9) * ONE
    tokens, lowest, sparse, log = U(last - first), U(SIDE - first), False, U(11)
    if count < U(2048) and tokens <= U(100):
        log = U(10)
    # Explicit tables of three, one and six bits of mantissa.
    for choice in range(3):
        bits = U(MANTISSAS[choice])
        if (choice == 2 and not 16 <= widest < 64) or (choice == 1 and widest < 8):
            # As many tokens as by three bits, or too many.
            continue
        if choice == 2:
            left = _count_six(residuals, six)
            cells, middle, part = six, U(1024), U(0)
        else:
            cells, middle, part = counts[14000:15024], U(512), shift if choice == 0 else U(0)
            if choice == 1:
                part = U(0)
            left = cells_at(full, low, high, part, bits, middle, cells)
        begin, end = span_of(cells)
        size = U(end - begin)
        if size > U(MOST_TOKENS):
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
        groups, total = shapes_of_segments(
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
    weights, shares, slots, inverses = work[WEIGHTS], work[SHARES], work[BOUNDS], work[INVERSES]
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
            slots[i], inverses[i] = prepare_token(shares[i], slot, log)
            slot += shares[i]
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
def context_gain(residuals, cells):
    """Return how many bits the sizes of residuals would save if the size before were known, in 2^-12."""
    for i in range(SIZES * (SIZES + 1)):
        cells[i] = 0
    before = U(0)
    for i in range(U(residuals.size)):
        size = min(U(64) - leading_zeros(zigzag(residuals[i])), U(SIZES - 1))
        cells[before * U(SIZES) + size] += np.uint32(1)
        cells[U(SIZES * SIZES) + size] += np.uint32(1)
        before = size
    bits, used = NLOGN[residuals.size], 0
    for i in range(SIZES):
        total = np.int64(0)
        if cells[SIZES * SIZES + i] == 0:
            continue
        for j in range(SIZES):
            seen = np.int64(cells[SIZES * i + j])
            total += seen
            bits += NLOGN[seen]
            used += int(seen > 0)
        bits -= NLOGN[total] + NLOGN[cells[SIZES * SIZES + i]]
    return bits - 3 * used * ONE


@kernel
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


@kernel
def _take_exceptions(residuals, low, high, full, work):
    """Keep apart the residuals whose tokens are not in the cells low to high, leave 0 for each, and return how many."""
    listed, patches = work[PATCHES], U(0)
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
    listed, before = work[PATCHES], U(0)
    at = put_varint(buffer, at, patches)
    for i in range(U(0), patches << U(1), U(2)):
        at = put_varint(buffer, at, listed[i] - before)
        at = put_varint(buffer, at, zigzag(listed[i + U(1)]))
        before = listed[i]
    return at


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
def _is_wide(lowest, tokens, shift, mantissa):
    """Return whether any token has bits in a plane."""
    if shift:
        return True
    largest = max(lowest, tokens - lowest) if tokens > lowest else lowest
    octave = (largest - U(1)) >> mantissa if largest else U(0)
    return octave > MOST_RAW + U(1)


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
def _last(room, at):
    """Return the four bytes at the end of a room."""
    return U(room[at]) | (U(room[at + U(1)]) << U(8)) | (U(room[at + U(2)]) << U(16)) | (U(room[at + U(3)]) << U(24))


# Reading


@kernel
def read_static(data, at, stop, summed, bank, work, out):
    """Read lanes of tokens; return whether they are whole, and whether each lane was summed up."""
    count = U(out.size)
    if stop - at < U(8) or count < U(8):
        return False, False
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
    if tokens == U(0) or tokens > U(MOST_TOKENS) or lowest > tokens or shift > U(MOST_SHIFT):
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
            shape, position = take_bits(data, position, limit, U(9))
            for j in range(tokens):
                weights[j] = U(bank[U(0), shape, U(SIDE) - lowest + j])
        frequencies_of(weights, tokens, log, shares)
        fill_table(shares, tokens, lowest, shift, mantissa, table, i << log)
    for i in range(segments):
        owner[i] = U(0)
    if kind == U(SEGMENTS):
        for i in range(U(1), segments):
            bit, position = take_bits(data, position, limit, U(1))
            owner[i] = owner[i - U(1)] + (bit << log)
            if owner[i] >= tables << log:
                return False, False
    for lane in range(lanes):
        size, position = take_bits(data, position, limit, U(5))
        size += U(23)
        part, position = take_bits(data, position, limit, min(size, U(24)))
        state[0, lane] = part | (U(1) << size)
        if size > U(24):
            part, position = take_bits(data, position, limit, min(size - U(24), U(31)))
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
    mixed = work[RESIDUALS]
    whole = read_lanes(data, at, stop, ends, wide, table, log, lanes, epochs, owner, state, summed, mixed, out)
    place = U(0)
    for _ in range(patches):
        gap, patches_at = take_varint(data, patches_at, stop)
        number, patches_at = take_varint(data, patches_at, stop)
        place += gap
        out[place] = unzigzag(number)
    return whole, summed
