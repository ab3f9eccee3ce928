"""Tables by contexts: what the token before tells, in its lane, of the next one.

A context is the size of the token before; neighbours share a table where that takes fewer bits. Metrics have such
contexts where quiet spells and busy ones alternate, or a counter stands still at times. A reader is led to the next
table by the entry it has read: it takes hardly longer than with one table.
"""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.head import CONTEXTS, FIRST_LEVEL, Choice, alphabet_of, contexts_of
from squeezelab.codecs.tally.lanes import (
    FULL,
    MOST_CONTEXTS,
    TOKENS,
    Tokens,
    begin_of,
    context_of,
    prepare,
    prepare_wide,
)
from squeezelab.codecs.tally.segments import (
    EITHER_WAY,
    EXPLICITLY,
    begin_group,
    choose_table,
    chosen_of,
    join_segments,
    segments_of,
)
from squeezelab.codecs.tally.shapes import FRACTION, NLOGN, ONE, SHAPES, SIDE
from squeezelab.codecs.tally.tables import MANTISSAS, cells_at, explicit_levels, gamma_bits, shift_of_shapes
from squeezelab.codecs.tally.workspace import (
    CHOSEN,
    CODES,
    COSTS,
    COUNTS,
    OTHER_RESIDUALS,
    PREPARED,
    SHARES,
    STATE,
    owner_of,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, exponent_of, zigzag

LOG = 10
"""Of the size of a table."""
MIDDLES = (SIDE, 128)
"""The cell of token 0, by place in `MANTISSAS`."""
LEAST_IN_SHORT, LEAST_BY_CONTEXTS = 14, 512
"""Contexts that promise to save less than one in so many bits are not tried in short blocks, and in long ones."""
CONTEXTS_AT = 1024
"""Where in its row is told which context each token is."""
FEW = 32
"""Contexts of fewer values have no table of their own, nor those of fewer than one in 64."""


@kernel(inner=True)
def context_gain(residuals, widest, row, cells):
    """Return how many bits the sizes of residuals would save if the size before were known, in 2^-12.

    The widest token, by three bits, tells up to which size there are any. In a row there is room for all sizes, in
    cells for twice as many counts as there are pairs, and a few more.
    """
    count, sizes, pairs = U(residuals.size), U(min((widest >> 3) + 5, MOST_CONTEXTS)), MOST_CONTEXTS * MOST_CONTEXTS
    even, odd, every = cells[:pairs], cells[pairs:], cells[2 * pairs :]
    for i in range(count):
        # The size of a number is the exponent of twice that and one.
        number = min(zigzag(residuals[i]), U(1) << U(MOST_CONTEXTS))
        row[i] = min(exponent_of(number << U(1) | U(1)), U(MOST_CONTEXTS - 1))
    for i in range(U(MOST_CONTEXTS)):
        every[i] = 0
    for i in range(U(MOST_CONTEXTS) * sizes):
        even[i] = odd[i] = 0
    even[row[0]] += np.uint32(1)
    before = row[0] * U(MOST_CONTEXTS)
    for i in range(U(1), count - U(1), U(2)):
        one, two = row[i], row[i + U(1)]
        odd[before + one] += np.uint32(1)
        even[one * U(MOST_CONTEXTS) + two] += np.uint32(1)
        before = two * U(MOST_CONTEXTS)
    if count & U(1) == U(0):
        odd[before + row[count - U(1)]] += np.uint32(1)
    for i in range(sizes):
        for j in range(U(MOST_CONTEXTS)):
            even[U(MOST_CONTEXTS) * i + j] += odd[U(MOST_CONTEXTS) * i + j]
            every[j] += even[U(MOST_CONTEXTS) * i + j]
    bits, used = NLOGN[count], 0
    for i in range(sizes):
        if every[i] == 0:
            continue
        total = np.int64(0)
        for j in range(sizes):
            seen = np.int64(even[U(MOST_CONTEXTS) * i + j])
            total += seen
            bits += NLOGN[seen]
            used += int(seen > 0)
        bits -= NLOGN[total] + NLOGN[every[i]]
    return bits - 3 * used * ONE


@kernel(inner=True)
def choose_contexts(residuals, layout, low, high, choice, bits, work):
    """Return the choice, or one of tables by contexts that takes fewer bits; these; and how many tokens there are.

    The cells low to high have the counts of all tokens of three mantissa bits. What tables need is left in the row
    `SHARES`, one after another: levels, or the range of a shape.
    """
    limit, widest, kept = bits - bits // LEAST_BY_CONTEXTS, max(high - FULL, FULL - 1 - low), choice.tokens
    for place in range(2 if widest >= 8 else 1):
        tried, raw, letters = _choose_tokens(low, high, widest, place, work)
        groups, total = _choose_tables(residuals, layout, tried, letters, work)
        total += raw * ONE
        if total >= limit:
            continue
        limit, bits, kept = total, total, letters if tried.sparse else tried.tokens
        choice = Choice(
            tried.kind, tried.mantissa, tried.sparse, tried.log, U(groups), tried.lowest, tried.tokens, tried.shift
        )
        for i in range(choice.tables * choice.tokens):
            work[SHARES][i] = work[CODES][i]
        for i in range(letters):
            alphabet_of(work)[i] = _tried_alphabet(work)[i]
        owner, chosen = _tried_tables(work)
        for i in range(U(MOST_CONTEXTS)):
            owner_of(work)[i], chosen_of(work)[i] = owner[i], chosen[i]
    return choice, bits, kept


@kernel(forceinline=True, inner=True)
def _tried_alphabet(work):
    return work[COSTS][2048:]


@kernel(forceinline=True, inner=True)
def _tried_tables(work):
    """Return which table each context has, and what each table is, until a choice is better than the one before."""
    return work[STATE][128:160], work[STATE][160:192]


@kernel(inner=True)
def _choose_tokens(low, high, widest, place, work):
    """Return a choice of contexts with tokens of so many mantissa bits, the raw bits, and how many tokens there are."""
    cells, shift = work[COUNTS].view(np.uint32), U(0) if place else shift_of_shapes(widest)
    own, alphabet, letters = cells[TOKENS : TOKENS + 256], _tried_alphabet(work), U(0)
    raw, first, last = cells_at(cells, low, high, shift, U(MANTISSAS[place]), U(MIDDLES[place]), own)
    for i in range(first, last):
        if own[i]:
            alphabet[letters] = U(i - first)
            letters += U(1)
    tokens = U(last - first)
    sparse = bool(place == 1 or U(3) * letters < U(2) * tokens)
    return Choice(U(CONTEXTS), U(place), sparse, U(LOG), U(1), U(MIDDLES[place] - first), tokens, shift), raw, letters


@kernel(inner=True)
def _choose_tables(residuals, layout, choice, letters, work):
    """Give each context a table, neighbours one while that saves bits.

    Returns
    -------
    groups, bits : int64
        How many tables, and how many bits they and their tokens take, in 2^-12. What tables need is left in the row
        `CODES`.
    """
    segments = segments_of(work, *_tried_tables(work))
    contexts, first = np.int64(contexts_of(choice)), MIDDLES[np.int64(choice.mantissa)] - np.int64(choice.lowest)
    last, ways = first + np.int64(choice.tokens), EITHER_WAY
    _count_by_context(residuals, layout, choice, segments.cells, work)
    if choice.sparse:
        _keep_letters(segments.cells, contexts, first, letters, _tried_alphabet(work))
        first, last, ways = np.int64(0), np.int64(letters), EXPLICITLY
    groups = _group_contexts(segments, contexts, first, last, min(layout.values >> U(6), U(FEW)))
    for group in range(groups):
        choose_table(segments, group, first, last, ways, work)
    groups = join_segments(segments, contexts, groups, first, last, ways, work)
    total = np.int64(contexts + groups) * ONE
    if choice.sparse:
        total += _alphabet_bits(_tried_alphabet(work), letters)
    for group in range(groups):
        total += _finish_table(segments, group, first, last, choice, work)
    return groups, total


@kernel(inner=True)
def _group_contexts(segments, contexts, first, last, few):
    """Begin groups of contexts, one for each, but that one of few values goes with its neighbour; return how many."""
    groups = np.int64(0)
    for context in range(contexts):
        own, size = segments.cells[256 * context : 256 * (context + 1)], np.int64(0)
        for i in range(U(first), U(last)):
            size += np.int64(own[i])
        last_one = groups - 1
        if groups and min(size, segments.sizes[last_one]) < np.int64(few):
            joined = segments.cells[256 * segments.members[last_one] :]
            for i in range(U(first), U(last)):
                joined[i] += own[i]
            segments.sizes[last_one] += size
            segments.owner[context] = U(last_one)
        else:
            begin_group(segments, groups, context, size)
            groups += 1
    return groups


@kernel(inner=True)
def _finish_table(segments, group, first, last, choice, work):
    """Choose an explicit table or a shape for good, leave what it needs, and return the bits it takes."""
    begin, tokens = 256 * segments.members[group], np.int64(choice.tokens)
    own, size = segments.cells[begin + first : begin + last], segments.sizes[group]
    levels, tried = work[CODES][group * tokens : (group + 1) * tokens], work[CODES][4096:]
    back, letters, start = work[CHOSEN][4096:].view(np.int64), U(own.size), np.int64(FIRST_LEVEL)
    best, table = np.int64(1) << np.int64(60), U(SHAPES)
    for sparse in (False, True):
        cost = explicit_levels(own, letters, size, choice.log, sparse, start, tried, back)
        if cost < best:
            best, table = cost, U(SHAPES) + U(sparse)
            for i in range(letters):
                levels[i] = tried[i]
    if segments.chosen[group] >= U(SHAPES) or best < segments.costs[group]:
        segments.chosen[group] = table
        return best
    least, most = 0, own.size - 1
    while own[least] == 0:
        least += 1
    while own[most] == 0:
        most -= 1
    levels[0] = U(least) | (U(most) << U(8))
    return segments.costs[group]


@kernel(inner=True)
def _count_by_context(residuals, layout, choice, cells, work):
    """Count tokens apart for each token before, 256 cells for one."""
    mantissa, row = U(MANTISSAS[np.int64(choice.mantissa)]), work[OTHER_RESIDUALS][: residuals.size]
    if choice.shift:
        prepare_wide(residuals, Tokens(U(0), choice.shift, mantissa, U(0)), row)
    elif choice.mantissa:
        prepare(residuals, mantissa, row)
    else:
        # These have been prepared to be counted.
        row = work[PREPARED][: residuals.size]
    following, before = _contexts_by_cell(choice, work), U(FULL) - U(MIDDLES[np.int64(choice.mantissa)])
    for i in range(contexts_of(choice) << U(8)):
        cells[i] = 0
    for lane in range(layout.lanes):
        context = U(0)
        begin, end = begin_of(lane, layout.values, layout.lanes), begin_of(lane + U(1), layout.values, layout.lanes)
        for i in range(begin, end):
            cell = row[i] & U(0xFFFF)
            cells[(context << U(8)) + cell - before] += np.uint32(1)
            context = following[cell]


@kernel(inner=True)
def _contexts_by_cell(choice, work):
    """Return which context each token of a choice is for the next one, by its cell when it is prepared."""
    room, mantissa = work[STATE][CONTEXTS_AT : CONTEXTS_AT + TOKENS], U(MANTISSAS[np.int64(choice.mantissa)])
    for i in range(choice.tokens):
        token = i - choice.lowest
        room[token + U(FULL)] = context_of(token, mantissa)
    return room


@kernel(inner=True)
def _keep_letters(cells, contexts, first, letters, alphabet):
    """Move the counts of tokens that there are to the first cells of each context; the others are none."""
    for context in range(U(contexts)):
        own = cells[context << U(8) : (context + U(1)) << U(8)]
        for i in range(letters):
            own[i] = own[U(first) + alphabet[i]]
        for i in range(letters, U(own.size)):
            own[i] = 0


@kernel(inner=True)
def _alphabet_bits(alphabet, letters):
    """Return how many bits it takes to tell which tokens there are, in 2^-12."""
    bits, begin = np.int64(0), U(0)
    for i in range(U(1), letters):
        if alphabet[i] != alphabet[i - U(1)] + U(1):
            bits += gamma_bits(i - begin - U(1)) + gamma_bits(alphabet[i] - alphabet[i - U(1)] - U(2))
            begin = U(i)
    return (bits + gamma_bits(letters - begin - U(1))) << FRACTION


@kernel(inner=True)
def fill_offsets(row, choice, layout, offsets, work):
    """Fill where the table of each prepared integer begins."""
    first, owner = _contexts_by_cell(choice, work), owner_of(work)
    for i in range(U(FULL) - choice.lowest, U(FULL) - choice.lowest + choice.tokens):
        first[i] = owner[first[i]]
    for lane in range(layout.lanes):
        begin, end = begin_of(lane, layout.values, layout.lanes), begin_of(lane + U(1), layout.values, layout.lanes)
        offsets[begin] = owner[0]
        for i in range(begin + U(1), end):
            offsets[i] = first[row[i - U(1)] & U(0xFFFF)]
