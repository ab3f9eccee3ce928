"""Streams of static blocks: integers predicted, turned into tokens, and coded with tables that stand before them.

What is decided is decided by integers, or by floating-point sums in a fixed order, so that all machines write the same
bytes. ``docs/format.md`` draws the layout; in short::

    byte        bits 0-1 coder: 0 all residuals are 0, 1 lanes, 2 packed, 3 side by side; bits 2-4 predictor;
                bit 5 a divisor follows; bit 6 residuals are zigzag (packed ones)
    base        zigzag; integers are base + divisor * level
    divisor     if bit 5 says so
    fields      of the predictor
    residuals   as the coder writes them, up to the end of the stream
"""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.lanes import begin_of, lanes_of
from squeezelab.codecs.tally.prediction import (
    DELTA,
    DELTA_OF_DELTA,
    FEWEST_FOR_TAPS,
    OTHERS,
    PLAIN,
    TAPS,
    add_deltas,
    add_others,
    add_taps,
    choose_predictor,
    common_divisor,
    extremes,
    put_taps,
    subtract_plan,
    tap_weights,
)
from squeezelab.codecs.tally.side import pack_side_by_side, unpack_side_by_side
from squeezelab.codecs.tally.static import read_static, write_static
from squeezelab.codecs.tally.streams import pack_integers, unpack_integers
from squeezelab.codecs.tally.workspace import LEVELS, RESIDUALS, STATE, WORDS
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, put_varint, take_varint, unzigzag, zigzag

ZERO, LANES, PACKED, SIDE_BY_SIDE = range(4)
DIVIDED, ZIGZAG = 32, 64
FEWEST_FOR_LANES, FEWEST_SIDE_BY_SIDE = 100, 512
FEWEST_TO_TRY, SMALL_STREAM = 16, 32
"""Of so many values up to `FEWEST_FOR_LANES` lanes are tried if they take more than so many bytes packed."""


@kernel
def write_stream(integers, level, given, bank, work, buffer, at):
    """Write a stream of integers, in two's complement.

    Parameters
    ----------
    integers : uint64[n]
        At most 8192.
    level : uint64
        1 to pack, 2 for lanes.
    given : bool
        Whether the integers are residuals: what is written is the coder, in the first byte, and then these by lanes.
    bank : uint32[2, shapes, cells]
        `squeezelab.codecs.tally.shapes.BANK`.
    work : uint64[ROWS, 8192]
        Workspace.
    buffer, at : uint8[...], uint64
        Where the stream goes.

    Returns
    -------
    at : uint64
        The byte after it.
    gain : int64
        About how many bits contexts would save, in 2^-12.
    """
    count, begin, flags = U(integers.size), at, U(0)
    residuals = work[RESIDUALS][:count]
    if given:
        at += U(1)
        for i in range(count):
            residuals[i] = integers[i]
    else:
        least, most = extremes(integers)
        if least == most:
            buffer[at] = ZERO | (PLAIN << 2)
            return put_varint(buffer, at + U(1), zigzag(least)), np.int64(0)
        divisor = common_divisor(integers, least)
        levels = work[LEVELS][:count]
        if divisor == U(1):
            for i in range(count):
                levels[i] = integers[i] - least
        else:
            for i in range(count):
                levels[i] = (integers[i] - least) // divisor
        flags = U(DIVIDED) if divisor > U(1) else U(0)
        if level == U(1) or count < U(FEWEST_FOR_LANES):
            at = _write_stream_packed(integers[0], levels, least, divisor, flags, work, buffer, at)
            if level == U(1) or count < U(FEWEST_TO_TRY) or at - begin <= U(SMALL_STREAM):
                return at, np.int64(0)
        start = at
        order, slope, a, b, c = choose_predictor(levels, (most - least) // divisor, work)
        base = least + divisor * slope if order == U(PLAIN) else integers[0]
        at = _put_head(base, divisor, at + U(1), buffer)
        flags |= order << U(2)
        if order == U(DELTA) or order == U(DELTA_OF_DELTA):
            at = put_varint(buffer, at, zigzag(slope))
        elif order == U(TAPS):
            # Levels of this predictor count from the first one.
            shift = levels[0]
            for i in range(count):
                levels[i] -= shift
            at = put_taps(levels, a, b, c, residuals, work, buffer, at)
    every = U(0)
    for i in range(count):
        every |= residuals[i]
    coder, gain = U(ZERO), np.int64(0)
    if every:
        coder = U(LANES)
        at, gain = write_static(residuals, bank, work, buffer, at)
    if given:
        buffer[begin] = coder
        return at, gain
    buffer[start] = coder | flags
    if start == begin:
        return at, gain
    # There is a packed stream before this one: the smaller one stays.
    if at - start < start - begin:
        for i in range(at - start):
            buffer[begin + i] = buffer[start + i]
        return begin + (at - start), np.int64(0)
    return start, np.int64(0)


@kernel
def _put_head(base, divisor, at, buffer):
    at = put_varint(buffer, at, zigzag(base))
    return put_varint(buffer, at, divisor) if divisor > U(1) else at


@kernel(inline="always")
def _write_stream_packed(first, levels, least, divisor, flags, work, buffer, at):
    """Write levels in the smallest of five ways to pack them: as they are, and signed or not by delta and its delta."""
    count, begin = U(levels.size), at
    best, order, slope, signed = np.int64(1) << 60, U(PLAIN), U(0), False
    row = work[RESIDUALS][:count]
    for candidate in range(4):
        middle = U(0)
        if candidate == 1 or candidate == 2:
            subtract_plan(levels, U(DELTA), U(0), row)
            if candidate == 1:
                middle = _least_from(row, U(1))
        subtract_plan(levels, U(candidate if candidate < 2 else candidate - 1), middle, row)
        if candidate == 1:
            row[0] = U(0)
        if candidate > 1:
            for i in range(count):
                row[i] = zigzag(row[i])
        bits = packed_size(row) + (1 if candidate else 0)
        if bits < best:
            best, order, slope, signed = bits, U(candidate if candidate < 2 else candidate - 1), middle, candidate > 1
    subtract_plan(levels, order, slope, row)
    if signed:
        flags |= U(ZIGZAG)
        for i in range(count):
            row[i] = zigzag(row[i])
    at = _put_head(least if order == U(PLAIN) else first, divisor, at + U(1), buffer)
    if order:
        at = put_varint(buffer, at, zigzag(slope))
    every = U(0)
    for i in range(count):
        every |= row[i]
    coder = U(ZERO)
    if every:
        coder, at = write_packed(row, work, buffer, at)
    buffer[begin] = coder | (order << U(2)) | flags
    return at


@kernel
def _least_from(numbers, first):
    least = numbers[first] if U(numbers.size) > first else U(0)
    for i in range(first, U(numbers.size)):
        if np.int64(numbers[i]) < np.int64(least):
            least = numbers[i]
    return least


@kernel
def packed_size(numbers):
    """Return about how many bytes numbers take packed."""
    group = U(256) if U(numbers.size) >= U(FEWEST_SIDE_BY_SIDE) else U(128)
    total, count = U(0), U(numbers.size)
    for first in range(U(0), count, group):
        every, last = U(0), min(first + group, count)
        for i in range(first, last):
            every |= numbers[i]
        total += U(8) + (U(64) - leading_zeros(every)) * (last - first)
    return np.int64(total >> U(3))


@kernel
def write_packed(numbers, work, buffer, at):
    """Write unsigned numbers packed."""
    if U(numbers.size) >= U(FEWEST_SIDE_BY_SIDE):
        return U(SIDE_BY_SIDE), pack_side_by_side(numbers, work[WORDS : WORDS + 2].reshape(-1), buffer, at)
    return U(PACKED), at + pack_integers(numbers, buffer[at:])


@kernel(inline="always")
def read_stream(data, at, stop, others, known, bank, work, levels):
    """Read a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The stream is ``data[at:stop]``; `READ_SLACK` bytes after it are readable.
    others, known : uint64[..., n or more], uint64
        Levels of other columns, and from how many of them this one may be predicted: the first ones.
    bank, work
        As `write_stream` has them.
    levels : uint64[n]
        Filled: the first part of a row of ``work``.

    Returns
    -------
    whole : bool
    base, divisor : uint64
        Integers are base plus divisor times level.
    """
    count = U(levels.size)
    if at >= stop:
        return False, U(0), U(1)
    flags = U(data[at])
    coder, order = flags & U(3), (flags >> U(2)) & U(7)
    base, at = take_varint(data, at + U(1), stop)
    base, divisor = unzigzag(base), U(1)
    if flags & U(DIVIDED):
        divisor, at = take_varint(data, at, stop)
    slope, a, b, c, constant, fields = U(0), U(0), U(0), U(0), U(0), at
    starts = work[STATE][128:144]
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        slope, at = take_varint(data, at, stop)
        slope = unzigzag(slope)
    elif order == U(TAPS):
        a, at = take_varint(data, at, stop)
        b, at = take_varint(data, at, stop)
        c, at = take_varint(data, at, stop)
        constant, at = take_varint(data, at, stop)
        starts[0] = U(0)
        for i in range(U(1), U(3) * lanes_of(count)):
            step, at = take_varint(data, at, stop)
            starts[i] = starts[i - U(1)] + unzigzag(step)
        if count < U(FEWEST_FOR_TAPS):
            return False, base, divisor
    elif order == U(OTHERS):
        for _ in range(U(2) * known + U(2)):
            _, at = take_varint(data, at, stop)
    if at > stop or order > U(OTHERS) or flags >> U(7) or (flags & U(ZIGZAG) and coder < U(PACKED)):
        return False, base, divisor
    summed = order == U(DELTA)
    if coder == U(ZERO):
        for i in range(count):
            levels[i] = U(0)
        whole, summed = at == stop, False
    elif coder == U(LANES):
        whole, summed = read_static(data, at, stop, summed, bank, work, levels)
    else:
        summed = False
        if coder == U(PACKED):
            whole = unpack_integers(data, at, stop, levels) == stop
        elif count < U(FEWEST_SIDE_BY_SIDE):
            whole = False
        else:
            whole = unpack_side_by_side(data, at, stop, work[WORDS : WORDS + 2].reshape(-1), levels) == stop
        if flags & U(ZIGZAG):
            for i in range(count):
                levels[i] = unzigzag(levels[i])
    if not whole:
        return False, base, divisor
    if order == U(DELTA):
        add_deltas(levels, slope, summed)
    elif order == U(DELTA_OF_DELTA):
        level, delta = U(0), slope
        levels[0] = U(0)
        for i in range(U(1), count):
            delta += levels[i]
            level += delta
            levels[i] = level
    elif order == U(TAPS):
        lanes = lanes_of(count)
        for lane in range(lanes):
            for i in range(U(3)):
                levels[begin_of(lane, count, lanes) + i] = starts[U(3) * lane + i]
        w1, w2, w3 = tap_weights(unzigzag(a), unzigzag(b), unzigzag(c))
        add_taps(levels, w1, w2, w3, (unzigzag(constant) << U(16)) + U(32768))
    elif order == U(OTHERS):
        add_others(data, fields, stop, others, known, work, levels)
    return True, base, divisor
