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

from typing import NamedTuple

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
    estimate,
    extremes,
    fill_levels,
    put_taps,
    subtract_plan,
    tap_weights,
)
from squeezelab.codecs.tally.shapes import ONE
from squeezelab.codecs.tally.side import pack_side_by_side, unpack_side_by_side
from squeezelab.codecs.tally.static import no_static, open_static, read_static, write_static
from squeezelab.codecs.tally.streams import pack_integers, unpack_integers
from squeezelab.codecs.tally.workspace import LEVELS, RESIDUALS, STATE, WORDS
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    load_little,
    put_varint,
    store_little,
    take_varint,
    unzigzag,
    zigzag,
)

ZERO, LANES, PACKED, SIDE_BY_SIDE = range(4)
DIVIDED, ZIGZAG = 32, 64
FEWEST_FOR_LANES, FEWEST_SIDE_BY_SIDE = 100, 512
MUCH_LESS = 0.55
"""Of packed bytes lanes may take so many at level 1: they are read two or three times as slowly."""
FEWEST_TO_TRY, SMALL_STREAM = 16, 32
"""Of so many values up to `FEWEST_FOR_LANES` lanes are tried if they take more than so many bytes packed."""


# Writing


@kernel(inline="always")
def write_stream(integers, common, level, given, work, buffer, at):
    """Write a stream of integers, in two's complement.

    Parameters
    ----------
    integers : uint64[n]
        At most 8192.
    common : uint64
        The most common of ranks, or `NONE_COMMON`.
    level : uint64
        1 to pack but where lanes take much less, 2 for lanes.
    given : bool
        Whether the integers are residuals: what is written is the coder, in the first byte, and then these by lanes.
    work : uint64[ROWS, 8192]
        A part of `squeezelab.codecs.tally.workspace.make_works`.
    buffer, at : uint8[...], uint64
        Where the stream goes.

    Returns
    -------
    at : uint64
        The byte after it.
    gain : int64
        About how many bits models that learn would save, in 2^-12.
    """
    count, begin, start, head, share = U(integers.size), at, at, U(0), MUCH_LESS if level == U(1) else 1.0
    residuals, levels = work[RESIDUALS][:count], work[LEVELS][:count]
    if given:
        for i in range(count):
            residuals[i] = integers[i]
        at += U(1)
    else:
        least, most = extremes(integers)
        if least == most:
            buffer[at] = ZERO | (PLAIN << 2)
            return put_varint(buffer, at + U(1), zigzag(least)), np.int64(0)
        divisor = common_divisor(integers, least)
        fill_levels(integers, least, divisor, levels)
        if level == U(1) or count < U(FEWEST_FOR_LANES):
            start = _write_stream_packed(integers[0], levels, least, divisor, work, buffer, at)
            if count < U(FEWEST_TO_TRY) or start - begin <= U(SMALL_STREAM):
                return start, np.int64(0)
            if level == U(1) and (count < U(FEWEST_FOR_LANES) or not _may_be_much_less(residuals, start - begin, work)):
                return start, np.int64(0)
        head, at = _write_prediction(integers[0], least, most, divisor, common, levels, work, buffer, start)
    coder, gain = U(ZERO), np.int64(0)
    if _every(residuals):
        coder = U(LANES)
        at, gain = write_static(residuals, work, buffer, at)
    buffer[start] = coder | head
    if start == begin:
        return at, gain
    # There is a packed stream before this one: the smaller one stays, or the one that is read faster.
    if float(at - start) < share * float(start - begin):
        return moved_down(buffer, start, at, begin), np.int64(0)
    return start, np.int64(0)


@kernel(inner=True)
def _may_be_much_less(residuals, size, work):
    """Return whether tokens of residuals promise to take much less than so many bytes, in which they are packed."""
    bits = estimate(residuals, work)
    return float(bits) < MUCH_LESS * float(size) * float(8 * ONE)


@kernel(forceinline=True, inner=True)
def _every(numbers):
    """Return all numbers or'ed together."""
    every = U(0)
    for i in range(U(numbers.size)):
        every |= numbers[i]
    return every


@kernel(inner=True)
def moved_down(buffer, source, stop, at):
    """Move bytes to where they begin earlier; return the byte after them."""
    size = stop - source
    for i in range(U(0), size, U(8)):
        store_little(buffer, at + i, load_little(buffer, source + i))
    return at + size


@kernel(inner=True)
def _write_prediction(first, least, most, divisor, common, levels, work, buffer, at):
    """Choose how levels are predicted, leave the residuals, and write the header; return its flags, and its end."""
    order, slope, a, b, c = choose_predictor(levels, (most - least) // divisor, common, work)
    base = least + divisor * slope if order == U(PLAIN) else first
    at = _put_head(base, divisor, at + U(1), buffer)
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        at = put_varint(buffer, at, zigzag(slope))
    elif order == U(TAPS):
        # Levels of this predictor count from the first one.
        shift = levels[0]
        for i in range(U(levels.size)):
            levels[i] -= shift
        at = put_taps(levels, a, b, c, work[RESIDUALS][: levels.size], work, buffer, at)
    return (order << U(2)) | (U(DIVIDED) if divisor > U(1) else U(0)), at


@kernel(inner=True)
def _put_head(base, divisor, at, buffer):
    at = put_varint(buffer, at, zigzag(base))
    return put_varint(buffer, at, divisor) if divisor > U(1) else at


@kernel(inner=True)
def _write_stream_packed(first, levels, least, divisor, work, buffer, at):
    """Write levels in the smallest of five ways to pack them: as they are, and signed or not by delta and its delta."""
    count, begin = U(levels.size), at
    best, order, slope, signed = np.int64(1) << 60, U(PLAIN), U(0), False
    row = work[RESIDUALS][:count]
    for candidate in range(4):
        middle = U(0)
        if candidate == 1 or candidate == 2:
            subtract_plan(levels, U(DELTA), U(0), row)
            if candidate == 1:
                middle, _ = extremes(row[U(1) :])
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
    flags = (order << U(2)) | (U(DIVIDED) if divisor > U(1) else U(0))
    if signed:
        flags |= U(ZIGZAG)
        for i in range(count):
            row[i] = zigzag(row[i])
    at = _put_head(least if order == U(PLAIN) else first, divisor, at + U(1), buffer)
    if order:
        at = put_varint(buffer, at, zigzag(slope))
    coder = U(ZERO)
    if _every(row):
        coder, at = write_packed(row, work, buffer, at)
    buffer[begin] = coder | flags
    return at


@kernel(inner=True)
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


@kernel(inner=True)
def write_packed(numbers, work, buffer, at):
    """Write unsigned numbers packed."""
    if U(numbers.size) >= U(FEWEST_SIDE_BY_SIDE):
        return U(SIDE_BY_SIDE), pack_side_by_side(numbers, work[WORDS : WORDS + 2].reshape(-1), buffer, at)
    return U(PACKED), at + pack_integers(numbers, buffer[at:])


# Reading


class Prediction(NamedTuple):
    """What a stream's header says: coder, predictor, signs, base and divisor, and the predictor's fields.

    Attributes
    ----------
    coder, order : uint64
    signed : bool
        Whether residuals are zigzag.
    base, divisor, slope : uint64
    a, b, c, constant : uint64
        Of `TAPS`, signed.
    fields : uint64
        The byte where the predictor's fields begin.
    """

    coder: np.uint64
    order: np.uint64
    signed: bool
    base: np.uint64
    divisor: np.uint64
    slope: np.uint64
    a: np.uint64
    b: np.uint64
    c: np.uint64
    constant: np.uint64
    fields: np.uint64


@kernel(inline="always", inner=True)
def read_stream(data, at, stop, known, ahead, work, levels):
    """Read a stream.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The stream is ``data[at:stop]``; `READ_SLACK` bytes after it are readable.
    known : uint64
        From how many other columns this one may be predicted; the rows `OTHER_LEVELS` have their levels.
    ahead : bool
        Whether the residuals were read already, into ``levels``: see `open_lanes`.
    work
        As `write_stream` has it.
    levels : uint64[n]
        Filled: the first part of a row of ``work``.

    Returns
    -------
    whole : bool
    base, divisor : uint64
        Integers are base plus divisor times level.
    """
    if at >= stop:
        return False, U(0), U(1)
    whole, how, at = _take_prediction(data, at, stop, known, _starts_of(work), U(levels.size))
    if not whole:
        return False, how.base, how.divisor
    whole, summed = True, how.order == U(DELTA)
    if not ahead:
        whole, summed = _read_residuals(data, at, stop, how, work, levels)
    if not whole:
        return False, how.base, how.divisor
    if how.order == U(DELTA):
        add_deltas(levels, how.slope, summed)
    elif how.order == U(DELTA_OF_DELTA):
        _add_deltas_of_deltas(levels, how.slope)
    elif how.order == U(TAPS):
        _start_lanes(levels, _starts_of(work))
        w1, w2, w3 = tap_weights(how.a, how.b, how.c)
        add_taps(levels, w1, w2, w3, (how.constant << U(16)) + U(32768))
    elif how.order == U(OTHERS):
        add_others(data, how.fields, stop, known, work, levels)
    return True, how.base, how.divisor


@kernel(forceinline=True, inner=True)
def _starts_of(work):
    """Return where the first three levels of each lane are kept, for taps."""
    return work[STATE][128:144]


@kernel(inner=True)
def open_lanes(data, at, stop, count, work):
    """Return the residuals of a stream, so many, ready to be read; not so if they are not in two lanes."""
    if at >= stop or U(data[at]) & U(3) != U(LANES) or lanes_of(count) != U(2):
        return no_static()
    whole, how, at = _take_prediction(data, at, stop, U(0), _starts_of(work), count)
    if not whole or how.order == U(OTHERS):
        return no_static()
    return open_static(data, at, stop, count, how.order == U(DELTA), work)


@kernel(inner=True)
def _take_prediction(data, at, stop, known, starts, count):
    """Return whether a stream's header makes sense, what it says, and the byte after it; fill how lanes start."""
    flags = U(data[at])
    coder, order = flags & U(3), (flags >> U(2)) & U(7)
    base, at = take_varint(data, at + U(1), stop)
    divisor, slope, a, b, c, constant = U(1), U(0), U(0), U(0), U(0), U(0)
    if flags & U(DIVIDED):
        divisor, at = take_varint(data, at, stop)
    fields = at
    if order == U(DELTA) or order == U(DELTA_OF_DELTA):
        slope, at = take_varint(data, at, stop)
    elif order == U(TAPS):
        a, at = take_varint(data, at, stop)
        b, at = take_varint(data, at, stop)
        c, at = take_varint(data, at, stop)
        constant, at = take_varint(data, at, stop)
        starts[0] = U(0)
        for i in range(U(1), U(3) * lanes_of(count)):
            step, at = take_varint(data, at, stop)
            starts[i] = starts[i - U(1)] + unzigzag(step)
    elif order == U(OTHERS):
        for _ in range(U(2) * known + U(2)):
            _, at = take_varint(data, at, stop)
    signed = flags & U(ZIGZAG) != U(0)
    how = Prediction(
        coder, order, signed, unzigzag(base), divisor, unzigzag(slope), unzigzag(a), unzigzag(b), unzigzag(c),
        unzigzag(constant), fields,
    )  # fmt: skip
    bad = at > stop or order > U(OTHERS) or flags >> U(7) or (signed and coder < U(PACKED))
    return not (bad or (order == U(TAPS) and count < U(FEWEST_FOR_TAPS))), how, at


@kernel(inline="always", inner=True)
def _read_residuals(data, at, stop, how, work, levels):
    """Read residuals; return whether they are whole, and whether each lane was summed up by itself."""
    count, summed, room = U(levels.size), False, work[WORDS : WORDS + 2].reshape(-1)
    if how.coder == U(LANES):
        summed = how.order == U(DELTA)
        return read_static(data, open_static(data, at, stop, count, summed, work), work, levels), summed
    if how.coder == U(ZERO):
        for i in range(count):
            levels[i] = U(0)
        return at == stop, summed
    if how.coder == U(PACKED):
        at = unpack_integers(data, at, stop, levels)
    elif count < U(FEWEST_SIDE_BY_SIDE):
        return False, summed
    else:
        at = unpack_side_by_side(data, at, stop, room, levels)
    if how.signed:
        for i in range(count):
            levels[i] = unzigzag(levels[i])
    return at == stop, summed


@kernel(inner=True)
def _add_deltas_of_deltas(levels, slope):
    """Turn residuals into levels: each is the change of a delta, the first of which is the slope."""
    level, delta = U(0), slope
    levels[0] = U(0)
    for i in range(U(1), U(levels.size)):
        delta += levels[i]
        level += delta
        levels[i] = level


@kernel(inner=True)
def _start_lanes(levels, starts):
    """Put the first three levels of each lane where they belong."""
    count = U(levels.size)
    lanes = lanes_of(count)
    for lane in range(lanes):
        for i in range(U(3)):
            levels[begin_of(lane, count, lanes) + i] = starts[U(3) * lane + i]
