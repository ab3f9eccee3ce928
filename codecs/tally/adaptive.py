"""A block of version 1 written by one kernel, with models that learn as they go.

`squeezelab.codecs.tally.blocks` plans such blocks with more care, and slowly. This one takes the prediction that
promises the fewest bits, so that a block of version 2 can be compared with it at the speed of a kernel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.blocks import OWN, OWN_GAPS, OWN_RANKS, STATES
from squeezelab.codecs.tally.nibbles import FRESH, LOWEST_STATE, MODELS, TARGETS, model_integers, write_operations
from squeezelab.codecs.tally.parts import STREAMS, flags_of, integers_of, put_fields
from squeezelab.codecs.tally.shapes import FRACTION, LOG2, MOST_COUNT, ONE
from squeezelab.codecs.tally.streams import (
    CELLS,
    DELTA,
    DELTA_OF_DELTA,
    DIVIDED,
    NEAR_TIE,
    NIBBLES,
    PLAIN,
    PLANS,
    SIGNED,
    ZERO,
    estimate_bits,
    fill_plans,
    raw_low_bits,
    subtract_prediction,
)
from squeezelab.codecs.tally.workspace import (
    CHOSEN,
    LEVELS,
    OTHER_RESIDUALS,
    RESIDUALS,
    SHARES,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_little, put_varint, store_little, zigzag

LONG = 2048
"""Of so many integers plans are compared by a part, and models that learn tried only where contexts promise it."""
HEAD_AT = 1024
"""Where in its row, in bytes, the head is gathered."""


class Limits(NamedTuple):
    """Beyond which a block is given up.

    Attributes
    ----------
    size : uint64
        The most bytes.
    promised : float64
        The most bits that a plan may promise for its residuals, were their sizes told by nothing but how often they
        come.
    sampled : bool
        Whether plans of many integers are compared by a part of them.
    """

    size: np.uint64
    promised: float
    sampled: bool


@kernel(inner=True)
def write_adaptive(apart, choice, limits, work, buffer, at, after):
    """Write a block in place of a larger one.

    Parameters
    ----------
    apart : Apart
    choice : int
        0 to predict a value for each by the best plan, 1 by the second, if that promises nearly as few bits.
    limits : Limits
    work : uint64[ROWS, BLOCK]
        A part of `make_works`.
    buffer, at, after : uint8[...], uint64, uint64
        The block goes to ``at`` if it is small enough; from ``after`` on is room.

    Returns
    -------
    at : uint64
        The byte after the block; 0 if it is too large, or would be, or there is no second plan.
    """
    head, place = work[STATE].view(np.uint8), put_fields(apart, work[STATE].view(np.uint8), U(HEAD_AT))
    operations, done, raw_at = work[WORDS : WORDS + 4].reshape(-1).view(np.uint32), U(0), after
    for stream in range(STREAMS):
        integers = integers_of(stream, apart, work)
        if integers.size == 0:
            continue
        if stream == OWN_GAPS:
            place = put_varint(head, place, apart.missed)
        if stream == (OWN_RANKS if apart.distinct else OWN):
            place, shift, row = _write_head(integers, choice, limits, work, head, place)
        elif stream == OWN:
            any_size = Limits(limits.size, np.inf, limits.sampled)
            place, shift, row = _write_head(integers, np.int64(0), any_size, work, head, place)
        else:
            place, shift, row = _write_plain_head(integers, work, head, place)
        if place == U(0):
            return place
        if row:
            # A number takes up to three.
            if U(operations.size) - done < U(3) * U(integers.size):
                return U(0)
            more, raw = _model(work[row][: integers.size], shift, work, operations[done:], buffer[raw_at:])
            done += more
            raw_at += raw
    raw_size, words_size, states, begin = raw_at - after, U(0), U(0), U(0)
    room, flags = work[TABLE : TABLE + 2].reshape(-1).view(np.uint8), flags_of(apart)
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
    if _varint_size(head_size) + _varint_size(words_size) + head_size + words_size + raw_size > limits.size:
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


@kernel(forceinline=True, inner=True)
def _varint_size(number):
    """Return how many bytes a number below 2^21 takes."""
    return U(1) + U(number >= U(1 << 7)) + U(number >= U(1 << 14))


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
def _write_plain_head(integers, work, head, place):
    """Write the header of integers that are small or rare, signed as they are; return as `_write_head` does."""
    residuals, every, begin = work[RESIDUALS][: integers.size], U(0), place
    for i in range(U(integers.size)):
        residuals[i] = zigzag(integers[i])
        every |= residuals[i]
    place = put_varint(head, put_varint(head, place + U(1), U(0)), U(0))
    if every == U(0):
        head[begin] = ZERO | (PLAIN << 2) | SIGNED
        return place, U(0), U(0)
    shift = raw_low_bits(residuals)
    head[begin], head[place] = NIBBLES | (PLAIN << 2) | SIGNED, shift
    return place + U(1), shift, U(RESIDUALS)


@kernel(inner=True)
def _write_head(integers, choice, limits, work, head, place):
    """Write a stream's header by the plan that promises the fewest bits, or the second one.

    Returns
    -------
    place, shift, row : uint64
        The byte after it, how many low bits of residuals are raw, and the row of these; 0 if all are 0. The byte is 0
        if the second plan promises many more bits, or the plan more than the limit.
    """
    levels, room = work[LEVELS][: integers.size], work[CHOSEN]
    starts, slopes, promised = room[192:200], room[200:208], room[208:216].view(np.float64)
    least, divisor = fill_plans(integers, levels, starts, slopes)
    begin, place = place, put_varint(head, place + U(1), zigzag(least))
    if divisor == U(0):
        head[begin] = ZERO
        return place, U(0), U(0)
    if divisor > U(1):
        place = put_varint(head, place, divisor)
    best, second = _two_least_promised(levels, starts, slopes, limits.sampled, promised, work)
    if choice:
        if promised[second] > NEAR_TIE * promised[best]:
            return U(0), U(0), U(0)
        best = second
    if promised[best] > limits.promised:
        return U(0), U(0), U(0)
    order, signed = PLANS[best]
    if order or signed:
        place = put_varint(head, place, starts[best])
    if order in (DELTA, DELTA_OF_DELTA):
        place = put_varint(head, place, zigzag(slopes[best]))
    residuals, every = work[RESIDUALS][: integers.size], U(0)
    subtract_prediction(levels, U(order), signed, starts[best], slopes[best], residuals)
    for i in range(U(integers.size)):
        every |= residuals[i]
    coder, shift, row = U(ZERO), U(0), U(0)
    if every:
        coder, shift, row = U(NIBBLES), raw_low_bits(residuals), U(RESIDUALS)
        head[place] = shift
        place += U(1)
    divided = U(DIVIDED) if divisor > U(1) else U(0)
    head[begin] = coder | (U(order) << U(2)) | (U(SIGNED) if signed else U(0)) | divided
    return place, shift, row


@kernel(inner=True)
def _promised_by(levels, order, signed, start, slope, sampled, work):
    """Return about how many bits the residuals of a plan take; ``sampled``: by a part of them where they are many."""
    count, row, seen = U(levels.size), work[RESIDUALS], U(0)
    step, pace = (U(64), U(256)) if sampled and count >= U(LONG) else (count, count)
    for begin in range(U(0), count, pace):
        # Deltas need the two levels before.
        before = U(2) if begin else U(0)
        piece = levels[begin - before : min(begin + step, count)]
        residuals = work[OTHER_RESIDUALS][: piece.size]
        subtract_prediction(piece, U(order), signed, start, slope, residuals)
        for i in range(before, U(piece.size)):
            row[seen] = residuals[i]
            seen += U(1)
    bits = estimate_bits(row[:seen], work[CHOSEN][: 2 * CELLS].view(np.int64))
    return bits * float(count) / float(seen)


@kernel(inner=True)
def _two_least_promised(levels, starts, slopes, sampled, promised, work):
    """Fill about how many bits each plan takes; return the best one, the first of several, and the next."""
    best, second = 0, 1
    for i, (order, signed) in enumerate(PLANS):
        promised[i] = _promised_by(levels, order, signed, starts[i], slopes[i], sampled, work)
        if i and promised[i] < promised[best]:
            best, second = i, best
        elif i > 1 and promised[i] < promised[second]:
            second = i
    return best, second


@kernel(inner=True)
def least_promised(integers, work):
    """Return about how many bits integers take by the best plan."""
    levels, room = work[LEVELS][: integers.size], work[CHOSEN]
    starts, slopes, promised = room[192:200], room[200:208], room[208:216].view(np.float64)
    if fill_plans(integers, levels, starts, slopes)[1] == U(0):
        return 0.0
    return promised[_two_least_promised(levels, starts, slopes, True, promised, work)[0]]
