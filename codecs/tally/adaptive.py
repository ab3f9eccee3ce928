"""A block of version 1 written by one kernel: for integers over a divisor, with models that learn as they go.

`squeezelab.codecs.tally.blocks` plans such blocks with more care, and slowly. This one takes the prediction that
promises the fewest bits, so that a block of version 2 can be compared with it at the speed of a kernel.
"""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.blocks import DISTANT, STATES
from squeezelab.codecs.tally.modes import BITS
from squeezelab.codecs.tally.nibbles import FRESH, LOWEST_STATE, TARGETS, model_integers, write_operations
from squeezelab.codecs.tally.prediction import common_divisor
from squeezelab.codecs.tally.streams import (
    CELLS,
    DELTA,
    DELTA_OF_DELTA,
    DIVIDED,
    MOST_MEAN,
    NIBBLES,
    PLAIN,
    PLANS,
    SIGNED,
    ZERO,
    estimate_bits,
    raw_low_bits,
    subtract_prediction,
)
from squeezelab.codecs.tally.workspace import COSTS, LEVELS, NUMBERS, RESIDUALS, STATE, TABLE, WORDS
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_little, put_varint, store_little, zigzag

HEAD_AT = 1024
"""Where in its row, in bytes, the head is gathered."""


@kernel
def write_adaptive(kind, divisor, count, missed, work, models, ages, limit, buffer, at, after):
    """Write a block in place of a larger one.

    Parameters
    ----------
    kind, divisor : uint64
        `BITS`, without a divisor, or `DIVIDE`.
    count, missed : uint64
        How many integers are in the row `NUMBERS`; how many gaps and distances in the two rows after it.
    work : uint64[ROWS, BLOCK]
    models, ages : uint16[MODELS * 16], uint8[MODELS]
        Workspace.
    limit : uint64
        What is larger than so many bytes is not written.
    buffer, at, after : uint8[...], uint64, uint64
        The block goes to ``at`` if it is small enough; from ``after`` on is room.

    Returns
    -------
    at : uint64
        The byte after the block; 0 if it is too large.
    """
    head, place = work[STATE].view(np.uint8), U(HEAD_AT)
    operations, done, raw_at = work[WORDS : WORDS + 4].reshape(-1).view(np.uint32), U(0), after
    if kind != U(BITS):
        place = put_varint(head, place, divisor)
    for stream in range(U(1) if missed == U(0) else U(3)):
        if stream == U(1):
            place = put_varint(head, place, missed)
        size = count if stream == U(0) else missed
        place, shift, coded = _write_head(work[U(NUMBERS) + stream][:size], work, head, place)
        if coded:
            for i in range(U(models.size)):
                models[i] = FRESH[i]
            for i in range(U(ages.size)):
                ages[i] = 0
            more, raw = model_integers(
                work[RESIDUALS][:size], shift, models, ages, TARGETS, operations[done:], buffer[raw_at:]
            )
            done += more
            raw_at += raw
    raw_size, words_size, begin = raw_at - after, U(0), U(0)
    room = work[TABLE : TABLE + 2].reshape(-1).view(np.uint8)
    flags, states = kind | (U(DISTANT) if missed else U(0)), U(0)
    classes, bits = U(0), U(0)
    if done:
        classes, bits, begin = write_operations(operations[:done], room[: U(2) * done + U(8)])
        words_size = U(2) * done + U(8) - begin
        flags |= U(STATES)
        # The states stand before the rest of the head.
        states = put_varint(head, U(0), classes - LOWEST_STATE)
        states = put_varint(head, states, bits - LOWEST_STATE)
    head_size = U(1) + states + (place - U(HEAD_AT))
    if head_size + words_size + raw_size + U(4) > limit:
        return U(0)
    at = put_varint(buffer, at, head_size)
    at = put_varint(buffer, at, words_size)
    buffer[at] = flags
    at += U(1)
    for i in range(states):
        buffer[at + i] = head[i]
    at += states
    for i in range(place - U(HEAD_AT)):
        buffer[at + i] = head[U(HEAD_AT) + i]
    at += place - U(HEAD_AT)
    for i in range(words_size):
        buffer[at + i] = room[begin + i]
    at += words_size
    # What is moved down lies after where it goes: the block is smaller than the one in whose place it is.
    for i in range(U(0), raw_size, U(8)):
        store_little(buffer, at + i, load_little(buffer, after + i))
    return at + raw_size


@kernel
def _write_head(integers, work, head, place):
    """Write a stream's header, and fill its residuals.

    Returns
    -------
    place, shift, some : uint64, uint64, bool
        The byte after it, how many low bits of residuals are raw, and whether any residual is not 0.
    """
    count = U(integers.size)
    levels, residuals = work[LEVELS][:count], work[RESIDUALS][:count]
    least = integers[0]
    for i in range(count):
        if np.int64(integers[i]) < np.int64(least):
            least = integers[i]
    divisor = common_divisor(integers, least)
    begin = place
    place = put_varint(head, place + U(1), zigzag(least))
    if divisor == U(0):
        head[begin] = ZERO
        return place, U(0), False
    for i in range(count):
        levels[i] = integers[i] - least if divisor == U(1) else (integers[i] - least) // divisor
    flags = U(0)
    if divisor > U(1):
        flags = U(DIVIDED)
        place = put_varint(head, place, divisor)
    total, lowest = 0.0, levels[1] - levels[0]
    for i in range(U(1), count):
        total += float(levels[i])
        if np.int64(levels[i] - levels[i - U(1)]) < np.int64(lowest):
            lowest = levels[i] - levels[i - U(1)]
    best, order, signed, start, slope = np.inf, U(PLAIN), False, U(0), U(0)
    for candidate in range(len(PLANS)):
        own_order, own_signed = PLANS[candidate]
        own_start, own_slope = levels[0], U(0)
        if own_order == PLAIN:
            own_start = np.uint64(min(total / count, MOST_MEAN)) if own_signed else U(0)
        elif own_order == DELTA_OF_DELTA:
            own_slope = levels[1] - levels[0]
        elif not own_signed:
            own_slope = lowest
        subtract_prediction(levels, U(own_order), own_signed, own_start, own_slope, residuals)
        bits = estimate_bits(residuals, work[COSTS].view(np.int64)[:CELLS])
        if bits < best:
            best, order, signed, start, slope = bits, U(own_order), own_signed, own_start, own_slope
    subtract_prediction(levels, order, signed, start, slope, residuals)
    if order or signed:
        place = put_varint(head, place, start)
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        place = put_varint(head, place, zigzag(slope))
    every = U(0)
    for i in range(count):
        every |= residuals[i]
    coder, shift = U(ZERO), U(0)
    if every:
        coder, shift = U(NIBBLES), raw_low_bits(residuals)
        head[place] = shift
        place += U(1)
    head[begin] = coder | (order << U(2)) | (U(SIGNED) if signed else U(0)) | flags
    return place, shift, every != U(0)
