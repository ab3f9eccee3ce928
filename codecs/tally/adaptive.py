"""A block of version 1 written by one kernel: for integers over a divisor, with models that learn as they go.

`squeezelab.codecs.tally.blocks` plans such blocks with more care, and slowly. This one takes the prediction that
promises the fewest bits, so that a block of version 2 can be compared with it at the speed of a kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.blocks import DISTANT, RANKED, STATES
from squeezelab.codecs.tally.modes import BITS
from squeezelab.codecs.tally.nibbles import FRESH, LOWEST_STATE, MODELS, TARGETS, model_integers, write_operations
from squeezelab.codecs.tally.shapes import FRACTION, LOG2, MOST_COUNT, ONE
from squeezelab.codecs.tally.streams import (
    CELLS,
    DELTA,
    DELTA_OF_DELTA,
    DIVIDED,
    NEAR_TIE,
    NIBBLES,
    PLANS,
    SIGNED,
    ZERO,
    raw_low_bits,
    survey_plans,
)
from squeezelab.codecs.tally.workspace import (
    CHOSEN,
    DISTINCT,
    LEVELS,
    NUMBERS,
    RESIDUALS,
    SHARES,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_little, put_varint, store_little, zigzag

HEAD_AT = 1024
"""Where in its row, in bytes, the head is gathered."""


class Division(NamedTuple):
    """A block as integers over a divisor, in the row `NUMBERS`, and in the two rows after it what that missed.

    Attributes
    ----------
    kind, divisor : uint64
        `BITS`, without a divisor, `DIVIDE`, `TIMES` or `STEPS`.
    values, missed : uint64
        How many integers there are, and how many gaps and distances.
    """

    kind: np.uint64
    divisor: np.uint64
    values: np.uint64
    missed: np.uint64


class Limits(NamedTuple):
    """Beyond which a block is given up.

    Attributes
    ----------
    size : uint64
        The most bytes.
    promised : float64
        The most bits that a plan may promise for its residuals, were their sizes told by nothing but how often they
        come.
    """

    size: np.uint64
    promised: float


@kernel(inner=True)
def write_adaptive(division, distinct, choice, limits, work, buffer, at, after):
    """Write a block in place of a larger one.

    Parameters
    ----------
    division : Division
    distinct : uint64
        How many integers the row `DISTINCT` has, which those in the row `RANKS` are ranks of; 0 to code them as they
        are.
    choice : int
        0 to predict a value for each by the best plan, 1 by the second, if that promises nearly as few bits.
    limits : Limits
    work : uint64[ROWS, BLOCK]
        `make_rows`.
    buffer, at, after : uint8[...], uint64, uint64
        The block goes to ``at`` if it is small enough; from ``after`` on is room.

    Returns
    -------
    at : uint64
        The byte after the block; 0 if it is too large, or there is no second plan.
    """
    kind, divisor, count, missed = division
    head, place = work[STATE].view(np.uint8), U(HEAD_AT)
    operations, done, raw_at = work[WORDS : WORDS + 4].reshape(-1).view(np.uint32), U(0), after
    if distinct:
        place = put_varint(head, place, distinct)
    if kind != U(BITS):
        place = put_varint(head, place, divisor)
    for stream in range(U(2) if distinct else (U(3) if missed else U(1))):
        if stream == U(1) and missed:
            place = put_varint(head, place, missed)
        integers = work[U(NUMBERS) + stream][: missed if stream else count]
        if distinct:
            integers = work[U(DISTINCT) - stream][: count if stream else distinct]
        its_choice, most = (choice, limits.promised) if integers.size == count else (np.int64(0), np.inf)
        place, shift, row = _write_head(integers, its_choice, most, work, head, place)
        if place == U(0):
            return place
        if row:
            more, raw = _model(work[row][: integers.size], shift, work, operations[done:], buffer[raw_at:])
            done += more
            raw_at += raw
    raw_size, words_size, states, begin = raw_at - after, U(0), U(0), U(0)
    room, flags = work[TABLE : TABLE + 2].reshape(-1).view(np.uint8), kind | (U(DISTANT) if missed else U(0))
    flags |= U(RANKED) if distinct else U(0)
    if _least_words(operations[:done]) + raw_size > limits.size:
        return U(0)
    if done:
        classes, bits, begin = write_operations(operations[:done], room[: U(2) * done + U(8)])
        words_size = U(2) * done + U(8) - begin
        flags |= U(STATES)
        # The states stand before the rest of the head.
        states = put_varint(head, U(0), classes - LOWEST_STATE)
        states = put_varint(head, states, bits - LOWEST_STATE)
    head_size = U(1) + states + (place - U(HEAD_AT))
    if head_size + words_size + raw_size + U(4) > limits.size:
        return U(0)
    at = put_varint(buffer, at, head_size)
    at = put_varint(buffer, at, words_size)
    buffer[at] = flags
    at = _put_bytes(head, U(0), states, buffer, at + U(1))
    at = _put_bytes(head, U(HEAD_AT), place - U(HEAD_AT), buffer, at)
    at = _put_bytes(room, begin, words_size, buffer, at)
    # What is moved down lies after where it goes: the block is smaller than the one in whose place it is.
    for i in range(U(0), raw_size, U(8)):
        store_little(buffer, at + i, load_little(buffer, after + i))
    return at + raw_size


@kernel(inner=True)
def _least_words(operations):
    """Return about how many bytes of words operations take at least: what two states hold is not in these."""
    bits = np.int64(0)
    for i in range(U(operations.size)):
        share = (U(operations[i]) >> U(16)) & U(0x7FFF)
        bits += 15 * ONE - (LOG2[share] if share < U(MOST_COUNT) else LOG2[share >> U(2)] + 2 * ONE)
    return U(max((bits >> (FRACTION + 3)) - 10, np.int64(0)))


@kernel(inner=True)
def _put_bytes(source, begin, size, buffer, at):
    """Copy bytes; return the byte after them."""
    for i in range(size):
        buffer[at + i] = source[begin + i]
    return at + size


@kernel(inner=True)
def _model(residuals, shift, work, operations, raw):
    """Turn residuals into operations and raw bits, by fresh models; return as `model_integers` does."""
    models, ages = work[WEIGHTS].view(np.uint16)[: MODELS * 16], work[SHARES].view(np.uint8)[:MODELS]
    for i in range(U(models.size)):
        models[i] = FRESH[i]
    for i in range(U(ages.size)):
        ages[i] = 0
    return model_integers(residuals, shift, models, ages, TARGETS, operations, raw)


@kernel(inner=True)
def _write_head(integers, choice, most, work, head, place):
    """Write a stream's header by the plan that promises the fewest bits, or the second one.

    Returns
    -------
    place, shift, row : uint64
        The byte after it, how many low bits of residuals are raw, and the row of these; 0 if all are 0. The byte is 0
        if the second plan promises many more bits, or the plan more than the most.
    """
    levels, room = work[LEVELS][: integers.size], work[CHOSEN]
    counts, starts, slopes, bits = room[: 2 * CELLS].view(np.int64), room[192:200], room[200:208], room[208:216]
    least, divisor = survey_plans(
        integers, False, levels, work[RESIDUALS : RESIDUALS + 5], starts, slopes, bits.view(np.float64), counts
    )
    begin, place = place, put_varint(head, place + U(1), zigzag(least))
    if divisor == U(0):
        head[begin] = ZERO
        return place, U(0), U(0)
    if divisor > U(1):
        place = put_varint(head, place, divisor)
    promised, best = bits.view(np.float64), 0
    for i in range(1, len(PLANS)):
        if promised[i] < promised[best]:
            best = i
    if choice:
        second = 0 if best else 1
        for i in range(len(PLANS)):
            if i != best and promised[i] < promised[second]:
                second = i
        if promised[second] > NEAR_TIE * promised[best]:
            return U(0), U(0), U(0)
        best = second
    if promised[best] > most:
        return U(0), U(0), U(0)
    order, signed = PLANS[best]
    if order or signed:
        place = put_varint(head, place, starts[best])
    if order in (DELTA, DELTA_OF_DELTA):
        place = put_varint(head, place, zigzag(slopes[best]))
    residuals, every = work[RESIDUALS + best][: integers.size], U(0)
    for i in range(U(integers.size)):
        every |= residuals[i]
    coder, shift, row = U(ZERO), U(0), U(0)
    if every:
        coder, shift, row = U(NIBBLES), raw_low_bits(residuals), U(RESIDUALS + best)
        head[place] = shift
        place += U(1)
    divided = U(DIVIDED) if divisor > U(1) else U(0)
    head[begin] = coder | (U(order) << U(2)) | (U(SIGNED) if signed else U(0)) | divided
    return place, shift, row
