"""What stands before lanes of tokens: how integers become tokens, and the tables that these are coded with.

::

    byte        bits 0-1 kind: 0 an explicit table, 1 a shape, 2 shapes of segments, 3 tables by contexts; bits 2-3
                place in `MANTISSAS`; bit 4 exceptions; bit 5 planes; bit 6 runs of tokens that there are none of have
                the shortest code, for contexts: which tokens there are is told once
    byte        bits 0-3 logarithm of a table's size; bits 4-7 how many tables, less one
    lowest      minus the lowest token
    tokens      how many from there on
    shift       a byte, if bit 5 says so: how many bits of each integer are raw in any case
    bits        the tables; for segments after them, for contexts before them, of each but the first whether it has the
                next table
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.lanes import MOST_CONTEXTS, MOST_RAW, context_of, put_code
from squeezelab.codecs.tally.segments import chosen_of
from squeezelab.codecs.tally.shapes import HALF_POWERS, SHAPES, SIDE
from squeezelab.codecs.tally.tables import (
    MANTISSAS,
    entries_of,
    fill_table,
    frequencies_of,
    put_bits,
    put_gamma,
    put_levels,
    take_bits,
    take_gamma,
    take_levels,
)
from squeezelab.codecs.tally.workspace import (
    CHOSEN,
    CODES,
    COSTS,
    INVERSES_OF_SHARES,
    SHARES,
    TABLE,
    WEIGHTS,
    owner_of,
    weights_of_shape,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, put_varint, take_varint

EXPLICIT, SHAPE, SEGMENTS, CONTEXTS = range(4)
PATCHED, WIDE, SPARSE = 16, 32, 64
MOST_TOKENS, MOST_SHIFT = 800, 53
FIRST_LEVEL = 6
"""What the first level of a table by contexts is told from."""


class Choice(NamedTuple):
    """How residuals are coded: what a stream's header says.

    Attributes
    ----------
    kind : uint64
        `EXPLICIT`, `SHAPE`, `SEGMENTS` or `CONTEXTS`.
    mantissa : uint64
        Place in `MANTISSAS`.
    sparse : bool
        Whether runs of tokens that there are none of have the shortest code; of contexts, whether `alphabet_of` tells
        which tokens there are, and all tables are explicit.
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


@kernel(forceinline=True, inner=True)
def contexts_of(choice):
    """Return how many contexts the tokens of a choice are."""
    mantissa = U(MANTISSAS[np.int64(choice.mantissa)])
    least, most = U(0) - choice.lowest, choice.tokens - choice.lowest - U(1)
    return max(context_of(least, mantissa), context_of(most, mantissa)) + U(1)


@kernel(forceinline=True, inner=True)
def alphabet_of(work):
    """Return where is told which tokens there are, counted from the lowest."""
    return work[COSTS][1024:]


@kernel(forceinline=True, inner=True)
def _most_raw(choice):
    """Return how many raw bits the widest token has."""
    largest = max(choice.lowest, choice.tokens - choice.lowest)
    octave = (largest - U(1)) >> U(MANTISSAS[np.int64(choice.mantissa)])
    return octave - U(1) if octave > U(1) else U(0)


@kernel(forceinline=True, inner=True)
def widest(choice):
    """Return how many bits the widest token has in a plane."""
    return choice.shift + max(_most_raw(choice), MOST_RAW) - MOST_RAW


@kernel(forceinline=True, inner=True)
def _has_shapes(choice):
    """Return whether there are shapes of so many tokens."""
    return not (choice.mantissa or choice.lowest > U(SIDE) or choice.tokens - choice.lowest > U(SIDE))


@kernel(forceinline=True, inner=True)
def _fill_weights(shape, lowest, tokens, first, last, work):
    """Fill the weights of tokens in a shape: of the first to the last that there are."""
    weights = weights_of_shape(work, shape)
    for i in range(tokens):
        work[WEIGHTS][i] = U(weights[U(SIDE) - lowest + i]) if first <= i <= last else U(0)


@kernel(inner=True)
def _spread_letters(weights, alphabet, letters, tokens):
    """Move the weights of an alphabet to where its tokens are among all."""
    left = letters
    for back in range(U(1), tokens + U(1)):
        i, weight = tokens - back, U(0)
        if left and alphabet[left - U(1)] == i:
            left -= U(1)
            weight = weights[left]
        weights[i] = weight


# Writing


@kernel(inner=True)
def put_header(choice, wide, patches, buffer, at):
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
def put_tables(choice, layout, letters, work, buffer, position):
    """Write the tables, and whose they are; fill what tokens are encoded with. Return the position after them."""
    shares, entries = work[SHARES], work[CODES : CODES + 2].reshape(-1)
    owner, owners, tokens = owner_of(work), layout.lanes * layout.epochs, choice.tokens
    buffer[position >> U(3)] = 0
    if choice.kind == U(CONTEXTS):
        owners = contexts_of(choice)
        position = _put_owners(owner, owners, buffer, position)
        if choice.sparse:
            position = put_alphabet(alphabet_of(work), letters, buffer, position)
    for table in range(choice.tables):
        own, slot = shares[table * tokens : (table + U(1)) * tokens], U(0)
        position = _put_table(choice, chosen_of(work)[table], own, letters, work, buffer, position)
        frequencies_of(work[WEIGHTS], tokens, choice.log, own)
        for i in range(tokens):
            put_code(entries, table * tokens + i, own[i], work[INVERSES_OF_SHARES, own[i]], slot, choice.log)
            slot += own[i]
    if choice.kind == U(SEGMENTS):
        position = _put_owners(owner, owners, buffer, position)
    for i in range(owners):
        owner[i] = owner[i] * tokens if choice.kind >= U(SEGMENTS) else U(0)
    return position


@kernel(forceinline=True, inner=True)
def _put_owners(owner, owners, buffer, position):
    """Write of each segment or context but the first whether it has the next table."""
    for i in range(U(1), owners):
        position = put_bits(buffer, position, owner[i] - owner[i - U(1)], U(1))
    return position


@kernel(inner=True)
def put_alphabet(alphabet, letters, buffer, position):
    """Write which tokens there are: runs of those, and of others, in turn; the first and the last are there."""
    begin = U(0)
    for i in range(U(1), letters + U(1)):
        if i < letters and alphabet[i] == alphabet[i - U(1)] + U(1):
            continue
        position = put_gamma(buffer, position, i - begin - U(1))
        if i < letters:
            position = put_gamma(buffer, position, alphabet[i] - alphabet[i - U(1)] - U(2))
        begin = U(i)
    return position


@kernel(inner=True)
def _put_table(choice, chosen, levels, letters, work, buffer, position):
    """Write a table, and fill the weights of its tokens."""
    weights, tokens, sparse, first, last = work[WEIGHTS], choice.tokens, choice.sparse, U(0), choice.tokens - U(1)
    explicit = choice.kind == U(EXPLICIT)
    if choice.kind == U(CONTEXTS):
        explicit, sparse = chosen >= U(SHAPES), chosen > U(SHAPES)
        if not choice.sparse:
            position = put_bits(buffer, position, U(explicit), U(1))
        if explicit:
            position = put_bits(buffer, position, U(sparse), U(1))
    if explicit:
        start = U(FIRST_LEVEL) if choice.kind == U(CONTEXTS) else U(0)
        for i in range(letters):
            weights[i] = HALF_POWERS[levels[i] - U(1)] if levels[i] else U(0)
        position = put_levels(levels, letters, sparse, start, buffer, position)
        if letters < tokens:
            _spread_letters(weights, alphabet_of(work), letters, tokens)
        return position
    position = put_bits(buffer, position, chosen, U(9))
    if choice.kind == U(CONTEXTS):
        first, last = levels[0] & U(255), levels[0] >> U(8)
        position = put_bits(buffer, position, levels[0], U(16))
    _fill_weights(chosen, choice.lowest, tokens, first, last, work)
    return position


# Reading


@kernel(inner=True)
def take_header(data, at, stop, layout):
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
    if mantissa > U(2) or at >= stop or log < U(10) or log > U(11) or flags >> U(7):
        return False, flags, choice, at
    if tokens == U(0) or tokens > U(MOST_TOKENS) or lowest > tokens or shift > U(MOST_SHIFT):
        return False, flags, choice, at
    if tables > U(1) and (kind < U(SEGMENTS) or log > U(10)):
        return False, flags, choice, at
    if kind == U(SEGMENTS) and tables > layout.lanes * layout.epochs:
        return False, flags, choice, at
    raw = _most_raw(choice)
    if shift + raw > U(63) or (not wide and raw > MOST_RAW):
        return False, flags, choice, at
    return kind == U(EXPLICIT) or kind == U(CONTEXTS) or _has_shapes(choice), flags, choice, at


@kernel(inner=True)
def take_tables(data, position, limit, choice, layout, work):
    """Fill decoding tables, and whose they are; return whether they make sense, and the position after them."""
    # Tables have two rows; `fill_table` goes beyond them.
    shares, entries, table = work[SHARES], work[CHOSEN], work[TABLE : TABLE + 3].reshape(-1)
    owner, following, log, letters = owner_of(work), chosen_of(work), choice.log, choice.tokens
    chained = choice.kind == U(CONTEXTS)
    if chained:
        for i in range(U(MOST_CONTEXTS)):
            following[i] = U(0)
        position = _take_owners(data, position, limit, following, contexts_of(choice))
        if following[contexts_of(choice) - U(1)] >= choice.tables:
            return False, position
        if choice.sparse:
            letters, position = _take_alphabet(data, position, limit, choice.tokens, alphabet_of(work))
    mantissa = U(MANTISSAS[np.int64(choice.mantissa)])
    entries_of(choice.tokens, choice.lowest, choice.shift, mantissa, chained, following, entries)
    for i in range(choice.tables):
        whole, position = _take_table(data, position, limit, choice, letters, work)
        if not whole:
            return False, position
        frequencies_of(work[WEIGHTS], choice.tokens, log, shares)
        fill_table(shares, entries, choice.tokens, table, i << log)
    owners = layout.lanes * layout.epochs
    if choice.kind == U(SEGMENTS):
        position = _take_owners(data, position, limit, owner, owners)
    for i in range(owners):
        owner[i] = owner[i] << log if choice.kind == U(SEGMENTS) else U(0)
    return owner[owners - U(1)] < choice.tables << log, position


@kernel(forceinline=True, inner=True)
def _take_owners(data, position, limit, owner, owners):
    """Fill the number of the table of each segment or context."""
    owner[0] = U(0)
    for i in range(U(1), owners):
        bit, position = take_bits(data, position, limit, U(1))
        owner[i] = owner[i - U(1)] + bit
    return position


@kernel(inner=True)
def _take_alphabet(data, position, limit, tokens, alphabet):
    """Fill which tokens there are; return how many, 0 if that makes no sense, and the position after it."""
    letters, token = U(0), U(0)
    while token < tokens:
        run, position = take_gamma(data, position, limit)
        if run >= tokens - token:
            return U(0), position
        for _ in range(run + U(1)):
            alphabet[letters] = token
            letters += U(1)
            token += U(1)
        if token < tokens:
            gap, position = take_gamma(data, position, limit)
            if gap + U(1) >= tokens - token:
                return U(0), position
            token += gap + U(1)
    return letters, position


@kernel(inner=True)
def _take_table(data, position, limit, choice, letters, work):
    """Fill the weights of a table; return whether it makes sense, and the position after it."""
    explicit, sparse, first, last = U(choice.kind == U(EXPLICIT)), U(choice.sparse), U(0), choice.tokens - U(1)
    if choice.kind == U(CONTEXTS):
        explicit = U(1)
        if not choice.sparse:
            explicit, position = take_bits(data, position, limit, U(1))
        if explicit:
            sparse, position = take_bits(data, position, limit, U(1))
    if explicit:
        if letters == U(0):
            return False, position
        start = U(FIRST_LEVEL) if choice.kind == U(CONTEXTS) else U(0)
        position, whole = take_levels(data, position, limit, letters, sparse != U(0), start, work[WEIGHTS])
        if letters < choice.tokens:
            _spread_letters(work[WEIGHTS], alphabet_of(work), letters, choice.tokens)
        return whole, position
    shape, position = take_bits(data, position, limit, U(9))
    if choice.kind == U(CONTEXTS):
        first, position = take_bits(data, position, limit, U(8))
        last, position = take_bits(data, position, limit, U(8))
    if not _has_shapes(choice) or first > last or last >= choice.tokens:
        return False, position
    _fill_weights(shape, choice.lowest, choice.tokens, first, last, work)
    return True, position
