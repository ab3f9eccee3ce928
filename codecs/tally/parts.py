"""A block's numbers taken apart, in rows of a workspace: which streams it has, and what stands before them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.blocks import DISTANT, OWN, OWN_GAPS, OWN_NOISE, OWN_RANKS, RANKED
from squeezelab.codecs.tally.modes import BITS, GRID, KernelMode, ordered, take_apart
from squeezelab.codecs.tally.workspace import DISTINCT, EXCEPTIONS, LISTED, NOISE, NUMBERS, RANKS, SKIPPED
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, put_varint

STREAMS = 5
"""`OWN`, `OWN_NOISE`, `OWN_GAPS`, `OWN_DISTANCES` and `OWN_RANKS`, of which a block has one at least."""


class Apart(NamedTuple):
    """A block taken apart.

    Attributes
    ----------
    mode : KernelMode
        What makes numbers of the integers in the row `NUMBERS`, or `DISTINCT`; their noise is in the row `NOISE`.
    values : uint64
        How many numbers there are.
    distinct : uint64
        How many of them are distinct, if these alone are made of integers; those in the row `RANKS` number them. Or 0.
    missed : uint64
        How many the mode misses; the rows `SKIPPED` and `EXCEPTIONS` have the gaps before them, and the distances.
    """

    mode: KernelMode
    values: np.uint64
    distinct: np.uint64
    missed: np.uint64


@kernel(forceinline=True, inner=True)
def flags_of(apart):
    """Return the kind of a mode, and whether there are ranks and exceptions, as a block has them."""
    return apart.mode.kind | (U(RANKED) if apart.distinct else U(0)) | (U(DISTANT) if apart.missed else U(0))


@kernel(inner=True)
def put_fields(apart, head, at):
    """Write how many numbers are distinct, and the fields of the mode; return the byte after them."""
    kind, divisor, window, bits = apart.mode
    if apart.distinct:
        at = put_varint(head, at, apart.distinct)
    if kind != U(BITS):
        at = put_varint(head, at, divisor)
    if kind >= U(GRID):
        at = put_varint(head, at, window)
        at = put_varint(head, at, bits)
    return at


@kernel(inner=True)
def streams_of(apart):
    """Return how many streams a block has."""
    return 1 + int(apart.mode.kind >= U(GRID)) + 2 * int(apart.missed > U(0)) + int(apart.distinct > U(0))


@kernel(inner=True)
def integers_of(stream, apart, work):
    """Return the integers of a stream; none if a block does not have it."""
    made, row = apart.distinct if apart.distinct else apart.values, U(NUMBERS)
    if stream == OWN:
        row = U(DISTINCT) if apart.distinct else row
    elif stream == OWN_NOISE:
        row, made = U(NOISE), made if apart.mode.kind >= U(GRID) else U(0)
    elif stream == OWN_RANKS:
        row, made = U(RANKS), apart.values if apart.distinct else U(0)
    else:
        row, made = U(SKIPPED) if stream == OWN_GAPS else U(EXCEPTIONS), apart.missed
    return work[row][:made]


@kernel(inner=True)
def apart_by(mode, words, is_double, distinct, work):
    """Fill the rows of a block's parts but for ranks: of its words, or of so many distinct ones in the row `LISTED`.

    Returns
    -------
    apart : Apart
    """
    source, numbers = words, work[NUMBERS][: words.size]
    if distinct:
        source, numbers = work[LISTED][:distinct], work[DISTINCT][:distinct]
    if not is_double:
        for i in range(U(source.size)):
            numbers[i] = source[i]
        return Apart(mode, U(words.size), distinct, U(0))
    exceptions, gaps = work[EXCEPTIONS][: source.size], work[SKIPPED]
    missed = take_apart(mode, source, numbers, work[NOISE][: source.size], exceptions)
    place, next_one = U(0), U(0)
    if missed:
        for i in range(U(source.size)):
            distance = exceptions[i]
            if distance:
                gaps[place], exceptions[place] = U(i) - next_one, distance
                place, next_one = place + U(1), U(i) + U(1)
    return Apart(mode, U(words.size), distinct, missed)


@kernel(inner=True)
def order_words(words, is_double, ordering):
    """Fill integers in two's complement that grow with what words hold; it is its own inverse."""
    for i in range(U(words.size)):
        ordering[i] = ordered(words[i]) if is_double else words[i]
