"""Version 2 of tally's blocks: a mode, and streams that `squeezelab.codecs.tally.static` codes.

A block::

    byte        bits 0-2 the mode's kind, 6 for a block of version 1 that follows, 7 for numbers as they are;
                bit 3 ranks, bit 4 exceptions
    distinct    if bit 3 says so: how many numbers are distinct; they alone follow, in rising order
    mode     divisor, for GRID and CUT window and bits too (`squeezelab.codecs.tally.modes`)
    streams     m; for GRID and CUT e; if bit 4 says so a count of exceptions, their gaps, and the exceptions;
                if bit 3 says so the ranks. Before each but the last of all stands a varint, its bytes

Most blocks are of one stream, by a divisor that is found at once: one call writes a whole column of them. What is left
(other arithmetic, few distinct values, contexts that pay) is tried in Python, block by block.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT64, Bytes, read_varint, seed_of, signed_varint, varint
from squeezelab.codecs._frames import FLOAT64_TAG, find_payload, survey_frames
from squeezelab.codecs.tally import blocks
from squeezelab.codecs.tally.adaptive import write_adaptive
from squeezelab.codecs.tally.blocks import BlockWorkspace, plan_block, write_block
from squeezelab.codecs.tally.modes import (
    _DIVISORS,
    _SPREAD,
    BITS,
    CUT,
    DIVIDE,
    GRID,
    STEPS,
    Mode,
    Parts,
    find_modes,
    least_divisor,
    order,
    ordered,
    restore,
    split,
)
from squeezelab.codecs.tally.nibbles import MODELS
from squeezelab.codecs.tally.prediction import OTHERS, common_divisor, extremes
from squeezelab.codecs.tally.shapes import BANK, LOG2, MOST_COUNT, ONE
from squeezelab.codecs.tally.static_streams import DIVIDED, LANES, read_stream, write_stream
from squeezelab.codecs.tally.streams import as_constant, fit_linear
from squeezelab.codecs.tally.workspace import (
    BLOCK,
    EXCEPTIONS,
    GAPS,
    INVERSES,
    NOISE,
    NUMBERS,
    RESULT,
    ROWS,
    SHARES,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    count_ones,
    load_little,
    put_varint,
    store_little,
    take_varint,
    trailing_zeros,
    word_of,
)
from squeezelab.kernels.xxh3 import ROOM

Column = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]

NAME, VERSION = "tally", 2
SEED = np.uint64(seed_of(NAME))
FAST, SMALL, SMALLEST = 1, 2, 3
KIND, RANKED, DISTANT = 7, 8, 16
ADAPTIVE, AS_THEY_ARE = 6, 7
MOST_BLOCK_BYTES = 4 * (9 * BLOCK + 4096)
"""More than any block, and what it is compared with, takes while it is written."""
MOST_REFERENCES = 3
"""From how many other columns one may be predicted."""
FEW_MISSED, NEAR = 32, 64
"""A divisor that missed more than one in so many, or one by so few units in the last place, is doubted."""
WORTH_ADAPTING = 0.97
FEWEST_TO_ADAPT, FEWEST_TO_PREDICT, FEWEST_TO_RETRY = 100, 16, 1024
MUCH = 24
RANKS, DISTINCT = RESULT, RESULT + 1
"""Rows of a writer, which has no use for results."""
MOST_PLACES = 1 << 21
"""Integers of a wider span are not numbered by a kernel."""

_kept = threading.local()


class Workspace(NamedTuple):
    """What kernels work in: rows of words, a buffer for what is written, and what reading takes.

    Attributes
    ----------
    single : Single
    bounds : int64[2, 2]
        For a single payload: where it lies among its bytes, and its values among those of its column.
    """

    rows: Words
    buffer: Bytes
    levels: Words
    others: Words
    room: BlockWorkspace
    single: Single
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of_thread(cls) -> Workspace:
        """Return this thread's workspace."""
        space: Workspace | None = getattr(_kept, "space", None)
        if space is None:
            rows, buffer = np.zeros((ROWS, BLOCK), np.uint64), np.empty(2 * MOST_BLOCK_BYTES, np.uint8)
            others = np.zeros((MOST_REFERENCES, BLOCK), np.uint64)
            levels = np.empty(BLOCK, np.uint64)
            bounds = np.zeros((2, 2), np.int64)
            space = _kept.space = cls(rows, buffer, levels, others, BlockWorkspace.of(BLOCK), Single.make(), bounds)
        return space


# Writing


@kernel
def write_columns(words, is_double, offsets, first, level, bank, work, buffer, sizes):
    """Write columns as blocks, with their sizes before them, until one needs a closer look.

    Parameters
    ----------
    words : uint64[n]
        The columns' bits, one after another.
    is_double : bool
        Whether they are doubles.
    offsets : int64[columns + 1]
        Where each begins.
    first : int64
        Which value to begin with: the first of a block.
    level : uint64
        1, 2 or 3.
    bank, work
        `BANK`, and `Workspace.rows`.
    buffer : uint8[...]
        Filled from the beginning; `MOST_BLOCK_BYTES` are left unused at its end.
    sizes : int64[columns]
        To those of the columns that were written, their bytes are added.

    Returns
    -------
    done, at, hard : int64, uint64, bool
        Up to which value blocks were written, the byte after them, and whether the next block needs a closer look;
        else the columns are done or the buffer is full.
    """
    at, column = U(0), np.searchsorted(offsets, first, "right") - 1
    while column < offsets.size - 1:
        while first < offsets[column + 1]:
            if U(buffer.size) - at < U(MOST_BLOCK_BYTES):
                return first, at, False
            last = min(first + BLOCK, offsets[column + 1])
            end = write_easy(words[first:last], is_double, level, bank, work, buffer, at + U(3))
            if end == U(0):
                return first, at, True
            begin = at
            at = _with_size(buffer, at, end)
            sizes[column] += np.int64(at - begin)
            first = last
        column += 1
    return first, at, False


@kernel
def _with_size(buffer, at, end):
    """Put the size of what stands three bytes after a place before it; return the byte after it."""
    source = at + U(3)
    at = put_varint(buffer, at, end - source)
    return _moved_down(buffer, source, end, at) if at < source else end


@kernel(inline="always")
def write_easy(words, is_double, level, bank, work, buffer, at):
    """Write a block whose numbers are whole, or multiples of the inverse of a divisor but for roundings and a few.

    Returns
    -------
    at : uint64
        The byte after the block; 0 if it needs a closer look.
    """
    count, begin, doubles = U(words.size), at, words.view(np.float64)
    numbers = work[NUMBERS][:count]
    divisor, missed, kind = 0.0, U(0), U(BITS)
    if is_double:
        kind = U(DIVIDE)
        divisor = _divisor_of(doubles, work)
        missed = count
        if divisor != 0.0:
            missed = _divide(words, doubles, divisor, numbers, work[NOISE], work[EXCEPTIONS])
        if missed > count // U(FEW_MISSED):
            return U(0)
        at = put_varint(buffer, at + U(1), np.uint64(divisor))
        if missed:
            at = put_varint(buffer, at, missed)
        buffer[begin] = U(DIVIDE) | (U(DISTANT) if missed else U(0))
    else:
        buffer[at] = BITS
        at += U(1)
        for i in range(count):
            numbers[i] = words[i]
    streams, own, gain = U(3) if missed else U(1), U(0), np.int64(0)
    for stream in range(streams):
        integers = work[U(NUMBERS) + stream][: missed if stream else count]
        is_last = stream + U(1) == streams
        place = at if is_last else at + U(3)
        after, saved = write_stream(integers, level, False, bank, work, buffer, place)
        if stream == U(0):
            own, gain = U(buffer[place]) & U(3), saved
        at = after if is_last else _with_size(buffer, at, after)
    size = at - begin
    if (size << U(3)) > count and _are_sparse(numbers, work):
        if count >= U(FEWEST_TO_RETRY):
            return U(0)
        distinct, promised = rank(numbers, work)
        if promised * U(100) > size * U(8 * 3) and (missed or distinct == U(0)):
            return U(0)
        if promised * U(100) > size * U(8 * 3):
            after, saved = _write_ranked(kind, divisor, count, distinct, level, bank, work, buffer, at)
            if after - at < size:
                # Python would take more time than it saves bytes: a block is short here.
                if level > U(2) and saved > _least_saved(after - at, level):
                    return U(0)
                return _moved_down(buffer, at, after, begin)
    if level > U(1) and own == U(LANES) and gain > _least_saved(size, level):
        limit = size * U(97) // U(100) if level == U(2) else size - U(1)
        models, ages = work[WEIGHTS].view(np.uint16)[: MODELS * 16], work[SHARES].view(np.uint8)[:MODELS]
        after = write_adaptive(
            kind, np.uint64(divisor), count, missed, work, models, ages, limit, buffer, begin + U(1), at
        )
        if after:
            buffer[begin] = ADAPTIVE
            return after
    if size > (count << U(3)):
        buffer[begin] = AS_THEY_ARE
        at = begin + U(1)
        for i in range(count):
            store_little(buffer, at, words[i])
            at += U(8)
    return at


@kernel
def _least_saved(size, level):
    """Return how many bits, in 2^-12, contexts must promise to save of so many bytes for models that learn."""
    return np.int64(size) * ONE * 8 * 3 // 100 if level == U(2) else np.int64(0)


@kernel
def _moved_down(buffer, source, stop, at):
    """Move bytes to where they begin earlier; return the byte after them."""
    size = stop - source
    for i in range(U(0), size, U(8)):
        store_little(buffer, at + i, load_little(buffer, source + i))
    return at + size


@kernel
def _write_ranked(kind, divisor, count, distinct, level, bank, work, buffer, at):
    """Write the block that numbers the distinct integers, which `rank` has found; return as `write_stream` does."""
    buffer[at] = kind | U(RANKED)
    at = put_varint(buffer, at + U(1), distinct)
    if kind != U(BITS):
        at = put_varint(buffer, at, np.uint64(divisor))
    after, _ = write_stream(work[DISTINCT][:distinct], level, False, bank, work, buffer, at + U(3))
    at = _with_size(buffer, at, after)
    return write_stream(work[RANKS][:count], level, False, bank, work, buffer, at)


@kernel
def rank(numbers, work):
    """Fill the rows `RANKS` and `DISTINCT`: integers numbered by their order, and which there are.

    Returns
    -------
    distinct : uint64
        How many there are; 0 if they are too far apart to be numbered here.
    promised : uint64
        About how many bits ranks save: each the distance to the integer before, which a list of them costs once.
    """
    count = U(numbers.size)
    least, most = extremes(numbers)
    step = max(common_divisor(numbers, least), U(1))
    places = (most - least) // step + U(1)
    if places > U(MOST_PLACES) or places == U(0):
        return U(0), ~U(0) >> U(32)
    seen, before = work[WORDS : WORDS + 4].reshape(-1), work[TABLE : TABLE + 2].reshape(-1).view(np.uint32)
    ranks, found, often = work[RANKS], work[DISTINCT], work[GAPS]
    rows = (places + U(63)) >> U(6)
    for i in range(rows):
        seen[i] = U(0)
    for i in range(count):
        place = (numbers[i] - least) // step
        ranks[i] = place
        seen[place >> U(6)] |= U(1) << (place & U(63))
    distinct = U(0)
    for i in range(rows):
        before[i] = distinct
        word = seen[i]
        while word:
            found[distinct], often[distinct] = (i << U(6)) | trailing_zeros(word), U(0)
            word &= word - U(1)
            distinct += U(1)
    for i in range(count):
        place = ranks[i]
        below = seen[place >> U(6)] & ((U(1) << (place & U(63))) - U(1))
        ranks[i] = U(before[place >> U(6)]) + count_ones(below)
        often[ranks[i]] += U(1)
    saved = np.int64(0)
    for i in range(U(1), distinct):
        far = LOG2[min(found[i] - found[i - U(1)], U(MOST_COUNT))]
        saved += np.int64(often[i]) * far - far - 2 * ONE
    for i in range(distinct):
        found[i] = least + step * found[i]
    return distinct, U(max(saved, np.int64(0)) // ONE)


@kernel
def _divisor_of(doubles, work):
    """Return the least divisor that made most of a sample; 0 for none."""
    sample, count = work[WEIGHTS].view(np.float64), 0
    for place in _SPREAD:
        double = doubles[np.int64(place * doubles.size)]
        if double != 0.0 and abs(double) < 1e300:
            sample[count] = double
            count += 1
    return least_divisor(sample[:count], sample[:count].view(np.uint64), _DIVISORS) if count else 1.0


@kernel
def _divide(words, doubles, divisor, numbers, gaps, exceptions):
    """Fill whole numbers, and the gaps and exceptions of those doubles that are not these over the divisor.

    Returns
    -------
    missed : uint64
        How many; all, where one is missed that a rounding may have made: another arithmetic may miss none.
    """
    every, count = U(0), U(words.size)
    for i in range(count):
        scaled = np.rint(doubles[i] * divisor)
        number = np.int64(scaled) if abs(scaled) < 4503599627370496.0 else np.int64(0)
        numbers[i] = np.uint64(number)
        every |= word_of(np.float64(number) / divisor) ^ words[i]
    if every == U(0):
        return U(0)
    missed, next_one = U(0), U(0)
    for i in range(count):
        scaled = np.rint(doubles[i] * divisor)
        if not abs(scaled) < 4503599627370496.0:
            # What is no number, or too large a one, repeats the integer before, which costs least.
            numbers[i] = numbers[i - U(1)] if i else U(0)
        distance = ordered(words[i]) - ordered(word_of(np.float64(np.int64(numbers[i])) / divisor))
        if distance:
            if min(distance, U(0) - distance) <= U(NEAR) or missed > count // U(FEW_MISSED):
                return count
            gaps[missed], exceptions[missed] = i - next_one, distance
            missed, next_one = missed + U(1), i + U(1)
    return missed


@kernel
def _are_sparse(numbers, work):
    """Return whether few numbers are distinct of those that lie between the least and the largest, and come again."""
    count, distinct = U(numbers.size), U(0)
    if count < U(64):
        return False
    least, most = np.int64(numbers[0]), np.int64(numbers[0])
    for i in range(count):
        least, most = min(least, np.int64(numbers[i])), max(most, np.int64(numbers[i]))
    seen = work[WEIGHTS][:1024]
    for i in range(U(1024)):
        seen[i] = U(0)
    for i in range(count):
        slot = (numbers[i] * U(0x9E3779B97F4A7C15)) >> U(48)
        distinct += ~(seen[slot >> U(6)] >> (slot & U(63))) & U(1)
        seen[slot >> U(6)] |= U(1) << (slot & U(63))
    span = np.uint64(most - least)
    if U(2) * distinct > count or span < U(4) * distinct:
        return False
    return span // max(common_divisor(numbers, np.uint64(least)), U(1)) >= U(4) * distinct


def encode_columns(column: Column, offsets: npt.NDArray[np.int64], level: int) -> list[bytes]:
    """Return the blocks of columns that stand one after another, with their sizes before them.

    Parameters
    ----------
    column : int64[n] or float64[n]
    offsets : int64[columns + 1]
        Where each column begins; 0 first, n last.
    level : int

    Returns
    -------
    list of bytes
        For each column its blocks.
    """
    parts, done, space = [], 0, Workspace.of_thread()
    words, sizes, buffer = as_constant(column.view(np.uint64)), np.zeros(offsets.size - 1, np.int64), space.buffer
    if column.size > BLOCK:
        buffer = np.empty(min(9 * column.size, 1 << 22) + 2 * MOST_BLOCK_BYTES, np.uint8)
    while done < column.size:
        begin = done
        done, at, hard = write_columns(
            words, column.dtype == FLOAT64, offsets, begin, U(level), BANK, space.rows, buffer, sizes
        )
        if at:
            parts.append(buffer[: int(at)].tobytes())
        if hard:
            owner = int(np.searchsorted(offsets, done, "right")) - 1
            last = min(done + BLOCK, int(offsets[owner + 1]))
            block = _encode_hard(column[done:last], level)
            parts.append(varint(len(block)) + block)
            sizes[owner] += len(parts[-1])
            done = last
    whole = b"".join(parts)
    if offsets.size == 2:
        return [whole]
    ends = np.cumsum(sizes).tolist()
    return [whole[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def blocks_within(framed: bytes) -> list[bytes]:
    r"""Return blocks that have their sizes before them.

    >>> blocks_within(bytes([2, 7, 7, 1, 9]))
    [b'\x07\x07', b'\t']
    """
    blocks, at = [], 0
    while at < len(framed):
        size, at = read_varint(framed, at)
        blocks.append(framed[at : at + size])
        at += size
    return blocks


def levels_of(block: bytes, column: Column) -> Words:
    """Return what a reader of a block, predicted from nothing, holds as its levels."""
    levels = np.empty(column.size, np.uint64)
    decode_column(np.frombuffer(block + bytes(8), np.uint8), 0, len(block), VERSION, np.empty_like(column), levels)
    return levels


def _stream(integers: Words, level: int) -> bytes:
    space = Workspace.of_thread()
    at, _ = write_stream(as_constant(integers), U(level), False, BANK, space.rows, space.buffer, U(0))
    return space.buffer[: int(at)].tobytes()


class Split(NamedTuple):
    """A column as integers, and the mode that makes it of them; parts has what else that takes."""

    mode: Mode
    numbers: Words
    parts: Parts | None


def _splits(column: Column) -> list[Split]:
    """Return a column in each arithmetic that may have made it."""
    if column.dtype != FLOAT64:
        return [Split(Mode(BITS), column.view(np.uint64), None)]
    modes = find_modes(as_constant(column)) or [Mode(BITS)]
    return [_split(column, mode) for mode in modes]


def _split(column: Column, mode: Mode) -> Split:
    parts = split(column, mode)
    return Split(mode, parts.numbers, parts)


def split_best(column: Column) -> Split:
    """Return a column in the arithmetic that gives the smallest block."""
    splits = _splits(column)
    return (
        min(splits, key=lambda one: len(_assemble(one, _stream(one.numbers, SMALL), SMALL)))
        if splits[1:]
        else splits[0]
    )


def predicted_block(column: Column, way: Split, others: Sequence[Words], level: int | None = None) -> bytes:
    """Return the block of a column that is predicted from others.

    Parameters
    ----------
    column : int64[n] or float64[n]
        `FEWEST_TO_PREDICT` to `BLOCK` values.
    way : Split
        Of `split_best`.
    others : sequence of uint64[n]
        Levels of other columns.
    level : int, optional
        2 or 3 to take models that learn where they are smaller.
    """
    stream, gain = _stream_from(way.numbers, others)
    block = _assemble(way, stream, SMALL)
    if level is None or column.size < FEWEST_TO_ADAPT or gain <= (0 if level > SMALL else _least_gain(len(stream))):
        return block
    candidate = plan_block(column).predicted_from(others)
    return _smaller(block, bytes([ADAPTIVE]) + write_block(candidate, column), level)


def _stream_from(integers: Words, others: Sequence[Words]) -> tuple[bytes, int]:
    """Return a stream predicted from other columns' levels, and about how many bits contexts would save, in 2^-12."""
    space, integers = Workspace.of_thread(), as_constant(integers)
    first, least = int(integers.view(np.int64)[0]), U(int(integers.view(np.int64).min()) % 2**64)
    divisor = max(common_divisor(integers, least), U(1))
    levels = (integers - least) // divisor
    plan, residuals = fit_linear(levels - levels[0], others)
    signed = (residuals >> U(1)) ^ (U(0) - (residuals & U(1)))
    divided = varint(int(divisor)) if divisor > U(1) else b""
    head = signed_varint(first) + divided + b"".join(map(signed_varint, plan.weights))
    at, gain = write_stream(as_constant(signed), U(SMALL), True, BANK, space.rows, space.buffer, U(0))
    kind = int(space.buffer[0]) | OTHERS << 2 | DIVIDED * bool(divided)
    return bytes([kind]) + head + space.buffer[1 : int(at)].tobytes(), int(gain)


def _least_gain(size: int) -> int:
    """Return how many bits, in 2^-12, contexts must promise to save of so many bytes to be tried at level 2."""
    return 8 * size * ONE * 3 // 100


def _smaller(block: bytes, adaptive: bytes, level: int) -> bytes:
    """Return the one of models that learn if it is enough smaller."""
    return adaptive if len(adaptive) < len(block) * (WORTH_ADAPTING if level == SMALL else 1) else block


def _join(streams: Sequence[bytes]) -> bytes:
    """Return streams with their sizes before them, but for the last one."""
    return b"".join(varint(len(stream)) + stream for stream in streams[:-1]) + streams[-1]


def _assemble(way: Split, own: bytes, level: int, ranks: bytes = b"", distinct: int = 0) -> bytes:
    """Return a block of a mode, the stream of its integers, and what else it needs."""
    mode, parts = way.mode, way.parts
    kind, fields, streams = mode.kind, varint(distinct) if distinct else b"", [own]
    if mode.kind != BITS:
        fields += varint(mode.divisor)
    if parts is not None and mode.kind in (GRID, CUT):
        fields += varint(mode.window) + varint(mode.bits)
        streams.append(_stream(parts.noise, level))
    if parts is not None and parts.missed:
        kind |= DISTANT
        places = np.flatnonzero(parts.exceptions)
        gaps = places.view(np.uint64).copy()
        gaps[1:] -= gaps[:-1] + U(1)
        fields += varint(parts.missed)
        streams += [_stream(gaps, level), _stream(parts.exceptions[places], level)]
    if distinct:
        kind |= RANKED
        streams.append(ranks)
    return bytes([kind]) + fields + _join(streams)


def _encode_hard(column: Column, level: int) -> bytes:
    """Return the smallest block of a column, after trying everything."""
    best = min(_candidates(column, level), key=len)
    if 8 * len(best) > column.size:
        best = min([best, *_ranked(column, level)], key=len)
    if level > FAST and column.size >= FEWEST_TO_ADAPT:
        best = _smaller(best, bytes([ADAPTIVE]) + write_block(plan_block(column), column), level)
    whole = bytes([AS_THEY_ARE]) + column.tobytes()
    return min(best, whole, key=len)


def _candidates(column: Column, level: int) -> list[bytes]:
    splits = _splits(column)
    found = [_assemble(one, _stream(one.numbers, level), level) for one in splits]
    if splits[0].mode.kind != BITS and 8 * min(map(len, found)) > MUCH * column.size:
        as_bits = _split(column, Mode(BITS))
        found.append(_assemble(as_bits, _stream(as_bits.numbers, level), level))
    return found


def _ranked(column: Column, level: int) -> list[bytes]:
    """Return the block that numbers the distinct values, if at most half of them are."""
    is_double, words = column.dtype == FLOAT64, column.view(np.uint64)
    distinct, ranks = np.unique((order(words) if is_double else words).view(np.int64), return_inverse=True)
    if 2 * distinct.size > column.size:
        return []
    values = (order(distinct.view(np.uint64)) if is_double else distinct).view(column.dtype)
    ranked = _stream(ranks.astype(np.uint64), level)
    return [_assemble(one, _stream(one.numbers, level), level, ranked, distinct.size) for one in _splits(values)]


# Reading


class Single(NamedTuple):
    """The arrays that `read_columns` takes, of a single column."""

    counts: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    begins: Words
    ends: Words
    references: npt.NDArray[np.int64]
    coders: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    levels_at: npt.NDArray[np.int64]

    @classmethod
    def make(cls) -> Single:
        """Return arrays for any column that is predicted from nothing."""
        none, zero = np.full((1, MOST_REFERENCES), -1, np.int64), np.zeros(1, np.int64)
        begins, ends = np.zeros(1, np.uint64), np.zeros(1, np.uint64)
        return cls(zero.copy(), np.zeros(2, np.int64), begins, ends, none, zero.copy(), zero.copy(), none[0, :1].copy())


def decode_column(data: Bytes, begin: int, end: int, coder: int, column: Column, levels: Words | None = None) -> int:
    """Fill a column from its blocks.

    Parameters
    ----------
    data : uint8[...]
        `READ_SLACK` bytes after ``end`` must be readable.
    begin, end : int
        Where the blocks lie, each with its size before it; with ``levels`` one block, without its size.
    coder : int
        The blocks' version.
    column : int64[n] or float64[n]
    levels : uint64[n], optional
        Filled with what other columns may be predicted from.

    Returns
    -------
    after : int
        The byte after the last block; -1 if they do not hold exactly n values.
    """
    space = Workspace.of_thread()
    one = space.single
    one.counts[0], one.blocks[1] = column.size, -(-column.size // BLOCK)
    one.begins[0], one.ends[0], one.coders[0] = begin, end, coder
    one.levels_at[0] = -1 if levels is None else 0
    after: int = read_columns(
        data, *one, levels is None, column.dtype == FLOAT64, BANK, space.rows, space.others,
        space.levels if levels is None else levels, column.view(np.uint64),
    )  # fmt: skip
    return after


def decode_payload(data: Bytes, begin: int, end: int, column: Column) -> bool:
    """Fill a column from its payload, ``data[begin:end]``; return whether that holds exactly n values."""
    space = Workspace.of_thread()
    space.bounds[0], space.bounds[1, 1] = (begin, end), column.size
    return bool(_read_one(data, False, column, space))


def decode_frame(frame: bytes, column: Column) -> bool:
    """Fill a column from its frame, whose tag and size are the column's; return whether that is whole."""
    space = Workspace.of_thread()
    space.bounds[0], space.bounds[1, 1] = (0, len(frame)), column.size
    return bool(_read_one(np.frombuffer(frame, np.uint8), True, column, space))


def _read_one(data: Bytes, framed: bool, column: Column, space: Workspace) -> Any:
    return read_payloads(
        data, space.bounds[0], framed, SEED, column.dtype == FLOAT64, space.bounds[1], BANK, space.rows,
        column.view(np.uint64),
    )  # fmt: skip


def decode_frames(frames: Sequence[bytes], expansion: int) -> list[Column] | None:
    """Return the columns of frames of int64 and float64; None if any is not whole, of another dtype, or implausible.

    Parameters
    ----------
    frames : sequence of bytes
    expansion : int
        The most bytes that a byte of payload can stand for.
    """
    data = np.frombuffer(b"".join(frames) or b"\0", np.uint8)
    begins, places = np.zeros(len(frames) + 1, np.int64), np.zeros(len(frames) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, frames), np.int64, len(frames)), out=begins[1:])
    tags = np.empty(len(frames), np.uint8)
    if not survey_frames(data, begins, expansion, tags, places):
        return None
    words = np.empty(places[-1], np.uint64)
    space = Workspace.of_thread()
    if read_payloads(data, begins, True, SEED, False, places, BANK, space.rows, words) < len(frames):
        return None
    kinds, bounds = (words.view(np.int64), words.view(np.float64)), places.tolist()
    return [
        kinds[kind][i:j] for kind, i, j in zip((tags == FLOAT64_TAG).tolist(), bounds[:-1], bounds[1:], strict=True)
    ]


@kernel
def read_payloads(data, begins, framed, seed, is_double, places, bank, work, words):
    """Fill the words of columns from payloads, or from frames.

    Parameters
    ----------
    data : uint8[...]
        Where they lie; `READ_SLACK` bytes after each payload must be readable.
    begins, places : int64[columns + 1]
        Where each begins and ends, and where its column's words do.
    framed, seed : bool, uint64
        Whether they are frames, with their checksums, and what these are seeded with.
    is_double : bool
        Whether the columns hold doubles. Frames tell that themselves.
    bank, work
        `BANK`, and `Workspace.rows`.
    words : uint64[values of all]
        Filled.

    Returns
    -------
    done : int
        How many columns are whole: all, or those before the first that is not.
    """
    for i in range(begins.size - 1):
        at, stop, own = U(begins[i]), U(begins[i + 1]), words[places[i] : places[i + 1]]
        if framed:
            if at >= stop:
                return i
            is_double = data[at] == FLOAT64_TAG
            at, stop = find_payload(data, at, stop, U(seed), U(own.size), work[STATE][:ROOM])
            if stop == U(0):
                return i
        coder = 1
        if at < stop and data[at] == VERSION:
            coder, at = VERSION, at + U(1)
        for first in range(0, own.size, BLOCK):
            filled = own[first : min(first + BLOCK, own.size)]
            length, at = take_varint(data, at, stop)
            if at > stop or length > stop - at:
                return i
            levels, at = work[INVERSES][: filled.size], at + length
            if not _read_either(
                data, at - length, at, coder, is_double, work[:3], U(0), bank, work, False, levels, filled
            ):
                return i
        if at != stop:
            return i
    return begins.size - 1


@kernel
def _read_either(data, at, stop, coder, is_double, others, known, bank, work, kept, levels, words):
    """Decode a block of either version; parameters are those of `read_block`."""
    if coder == 1 or (at < stop and data[at] == ADAPTIVE):
        # It works in rows that the other version leaves alone meanwhile.
        return blocks.read_block(
            data, at + U(coder != 1), stop, is_double, others, known, work[WEIGHTS].view(np.uint16)[: MODELS * 16],
            work[SHARES].view(np.uint8)[:MODELS], work[:5], work[STATE][:5], work[STATE][5:10], levels, words,
        )  # fmt: skip
    return read_block(data, at, stop, is_double, others, known, bank, work, kept, levels, words)


@kernel
def read_columns(
    data, counts, blocks_at, begins, ends, references, coders, offsets, levels_at, sized, is_double, bank, work, others,
    levels, words,
):  # fmt: skip
    """Fill the words of columns from their blocks.

    Parameters
    ----------
    data : uint8[...]
        Where all blocks are; `READ_SLACK` bytes after each must be readable.
    counts : int64[columns]
        How many values each has.
    blocks_at : int64[columns + 1]
        Column i has the blocks ``blocks_at[i]:blocks_at[i + 1]``.
    begins, ends : uint64[blocks of all]
        Where each lies. If they are ``sized``, of each column: where its blocks, with their sizes before them, begin
        and end; those of the last one may end earlier.
    references : int64[columns, MOST_REFERENCES]
        Which columns each is predicted from; -1 for none.
    coders : int64[columns]
        Of which version the blocks of each are.
    offsets, levels_at : int64[columns]
        Where each column's words begin, and where its levels are kept; -1 if they need not be.
    sized, is_double : bool
        Whether sizes stand before the blocks; whether the columns hold doubles.
    bank, work
        `BANK`, and `Workspace.rows`.
    others, levels : uint64[MOST_REFERENCES, BLOCK], uint64[BLOCK or more]
        Workspace, and where levels are kept.
    words : uint64[values of all]
        Filled.

    Returns
    -------
    after : int64
        The byte after the last block, -1 if any does not hold exactly as many values as it should.
    """
    after = U(0)
    for i in range(counts.size):
        known = U(0)
        while known < U(references.shape[1]) and references[i, known] >= 0:
            known += U(1)
        kept = levels_at[i] >= 0
        if sized:
            if i and after != ends[i - 1]:
                return -1
            after = begins[i]
        for block in range(blocks_at[i], blocks_at[i + 1]):
            first = (block - blocks_at[i]) * BLOCK
            size = min(counts[i] - first, BLOCK)
            for j in range(known):
                place = levels_at[references[i, j]] + first
                for k in range(size):
                    others[j, k] = levels[place + k]
            if sized:
                length, at = take_varint(data, after, ends[i])
                if at > ends[i] or length > ends[i] - at:
                    return -1
                after = at + length
            else:
                at, after = begins[block], ends[block]
            own = levels_at[i] + first if kept else 0
            mine, filled = levels[own : own + size], words[offsets[i] + first : offsets[i] + first + size]
            if not _read_either(data, at, after, coders[i], is_double, others, known, bank, work, kept, mine, filled):
                return -1
    return np.int64(after)


OWN, OWN_NOISE, OWN_GAPS, OWN_DISTANCES, OWN_RANKS = range(5)
STREAM_ROWS = (RESULT, NOISE, GAPS, EXCEPTIONS, NUMBERS)


@kernel
def read_block(data, at, stop, is_double, others, known, bank, work, kept, levels, words):
    """Decode a block of version 2, but `ADAPTIVE`, into a column of up to `BLOCK` values.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The block is ``data[at:stop]``; `READ_SLACK` bytes after it must be readable.
    is_double : bool
        Whether the column holds doubles.
    others, known : uint64[..., n or more], uint64
        Levels of other columns, and from how many of them this one may be predicted: the first ones.
    bank, work
        `BANK`, and `Workspace.rows`.
    kept : bool
        Whether levels are filled.
    levels, words : uint64[n]
        Filled with what other columns may be predicted from, and with the column's bits.

    Returns
    -------
    whole : bool
        Whether the block holds exactly n values.
    """
    if at >= stop or words.size > BLOCK:
        return False
    flags, count = U(data[at]), U(words.size)
    at += U(1)
    if flags == U(AS_THEY_ARE):
        if stop - at != count << U(3):
            return False
        for i in range(count):
            words[i] = load_little(data, at + (i << U(3)))
            if kept:
                levels[i] = words[i]
        return True
    kind, ranked, distant = flags & U(KIND), flags & U(RANKED) != U(0), flags & U(DISTANT) != U(0)
    noisy = kind == U(GRID) or kind == U(CUT)
    if kind > U(CUT) or flags >> U(5) or (kind != U(BITS) and not is_double):
        return False
    distinct, divisor, window, precision, exceptions = count, U(1), U(1), U(0), U(0)
    if ranked:
        distinct, at = take_varint(data, at, stop)
    if kind != U(BITS):
        divisor, at = take_varint(data, at, stop)
    if noisy:
        window, at = take_varint(data, at, stop)
        precision, at = take_varint(data, at, stop)
    if distant:
        exceptions, at = take_varint(data, at, stop)
    if at > stop or distinct == U(0) or distinct > count or exceptions > distinct or (distant and exceptions == U(0)):
        return False
    if divisor == U(0) or window == U(0) or precision > U(60) or (kind == U(STEPS) and divisor > U(22)):
        return False
    left = 1 + noisy + 2 * distant + ranked
    base, factor = U(0), U(1)
    # What fills the column bit by bit, between steps of the decoder, does not wait for memory at the end.
    numbers = work[RESULT][:distinct] if ranked else words
    for stream in range(5):
        of_distances = stream in (OWN_GAPS, OWN_DISTANCES)
        if (
            (stream == OWN_NOISE and not noisy)
            or (stream == OWN_RANKS and not ranked)
            or (of_distances and not distant)
        ):
            continue
        left -= 1
        end = stop
        if left:
            size, at = take_varint(data, at, stop)
            if at > stop or size > stop - at:
                return False
            end = at + size
        size = distinct
        if of_distances:
            size = exceptions
        elif stream == OWN_RANKS:
            size = count
        predicted = stream == (OWN_RANKS if ranked else OWN)
        own = numbers if stream == OWN else work[STREAM_ROWS[stream]][:size]
        whole, first, step = read_stream(data, at, end, others, known if predicted else U(0), bank, work, own)
        if not whole:
            return False
        at = end
        if predicted and kept:
            for i in range(count):
                levels[i] = own[i]
        if stream == OWN:
            base, factor = first, step
        else:
            for i in range(size):
                own[i] = first + step * own[i]
    target = work[RESULT + 1][:distinct] if ranked else words
    if kind == U(DIVIDE):
        _divide_by(numbers.view(np.float64), base, factor, np.float64(divisor))
    else:
        for i in range(distinct):
            numbers[i] = base + factor * numbers[i]
    if is_double and kind != U(DIVIDE):
        noise = work[NOISE][:distinct]
        restore(kind, divisor, window, precision, numbers, noise, target, target.view(np.float64))
    elif ranked:
        target = numbers
    place = ~U(0)
    for i in range(exceptions):
        gap = work[GAPS][i]
        if gap >= distinct - U(1) - place:
            return False
        place += gap + U(1)
        target[place] = ordered(ordered(target[place]) + work[EXCEPTIONS][i])
    if ranked:
        for i in range(count):
            rank = work[NUMBERS][i]
            if rank >= distinct:
                return False
            words[i] = target[rank]
    return at == stop


@kernel
def _divide_by(doubles, base, factor, divisor):
    """Turn levels, held in the bits of doubles, into integers over a divisor."""
    if factor == U(1):
        for i in range(U(doubles.size)):
            doubles[i] = np.float64(np.int64(word_of(doubles[i]) + base)) / divisor
    else:
        for i in range(U(doubles.size)):
            doubles[i] = np.float64(np.int64(base + factor * word_of(doubles[i]))) / divisor
