"""Version 2 of tally's blocks: a quantum, and streams that `squeezelab.codecs.tally.static` codes.

A block::

    byte        bits 0-2 the quantum's kind, 6 for a block of version 1 that follows, 7 for numbers as they are;
                bit 3 ranks, bit 4 distances
    distinct    if bit 3 says so: how many numbers are distinct; they alone follow, in rising order
    quantum     divisor, for GRID and CUT window and bits too (`squeezelab.codecs.tally.quanta`)
    streams     m; for GRID and CUT e; if bit 4 says so a count of distances, their gaps, and the distances;
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

from squeezelab.codecs._frame import FLOAT64, Bytes, signed_varint, varint
from squeezelab.codecs.tally import blocks
from squeezelab.codecs.tally.blocks import Room, plan_block, write_block
from squeezelab.codecs.tally.quanta import (
    _DIVISORS,
    _SPREAD,
    BITS,
    CUT,
    DIVIDE,
    GRID,
    STEPS,
    Quantum,
    find_quanta,
    least_divisor,
    order,
    ordered,
    restore,
    split,
)
from squeezelab.codecs.tally.shapes import BANK
from squeezelab.codecs.tally.static import (
    BLOCK,
    DISTANCES,
    GAPS,
    LANES,
    NOISE,
    NUMBERS,
    ONE,
    OTHERS,
    RESULT,
    ROWS,
    WEIGHTS,
    read_stream,
    write_residuals,
    write_stream,
)
from squeezelab.codecs.tally.streams import as_constant, fit_linear
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_little, put_varint, store_little, take_varint, word_of

Column = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]

VERSION = 2
FAST, SMALL, SMALLEST = 1, 2, 3
KIND, RANKED, DISTANT = 7, 8, 16
ADAPTIVE, AS_THEY_ARE = 6, 7
MOST_BLOCK_BYTES = 9 * BLOCK + 4096
"""More than any block takes while it is written."""
WORTH_ADAPTING = 0.97
FEWEST_TO_ADAPT = 100
MUCH = 24
NO_OTHERS = np.empty((0, 1), np.uint64)

_kept = threading.local()


class Workspace(NamedTuple):
    """What kernels work in: rows of words, and a buffer for what is written."""

    rows: Words
    buffer: Bytes
    levels: Words
    room: Room

    @classmethod
    def of_thread(cls) -> Workspace:
        """Return this thread's workspace."""
        space: Workspace | None = getattr(_kept, "space", None)
        if space is None:
            rows, buffer = np.zeros((ROWS, BLOCK), np.uint64), np.empty(2 * MOST_BLOCK_BYTES, np.uint8)
            space = _kept.space = cls(rows, buffer, np.empty(BLOCK, np.uint64), Room.of(BLOCK))
        return space


class Block(NamedTuple):
    """A block that is written, and from what integers other columns may be predicted."""

    data: bytes
    levels: Words


# Writing


@kernel
def write_columns(words, doubles, is_double, offsets, first, level, divisors, spread, bank, work, buffer, sizes):
    """Write columns as blocks, with their sizes before them, until one needs a closer look.

    Parameters
    ----------
    words, doubles : uint64[n], float64[n]
        The columns, one after another, viewed as both.
    is_double : bool
        Whether they are doubles.
    offsets : int64[columns + 1]
        Where each begins.
    first : int64
        Which value to begin with: the first of a block.
    level : uint64
        1, 2 or 3.
    divisors, spread, bank, work
        Constants, and room to work in.
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
    divisor = 0.0
    while column < offsets.size - 1:
        while first < offsets[column + 1]:
            if U(buffer.size) - at < U(MOST_BLOCK_BYTES):
                return first, at, False
            last = min(first + BLOCK, offsets[column + 1])
            end, divisor = write_easy(
                words[first:last], doubles[first:last], is_double, level, divisor, divisors, spread, bank, work,
                buffer, at + U(3),
            )  # fmt: skip
            if end == U(0):
                return first, at, True
            begin = at
            at = put_varint(buffer, at, end - at - U(3))
            source = begin + U(3)
            if at < source:
                for i in range(U(0), end - source, U(8)):
                    store_little(buffer, at + i, load_little(buffer, source + i))
            at += end - source
            sizes[column] += np.int64(at - begin)
            first = last
        column += 1
        divisor = 0.0
    return first, at, False


@kernel
def write_easy(words, doubles, is_double, level, last_divisor, divisors, spread, bank, work, buffer, at):
    """Write a block whose numbers are whole, or multiples of the inverse of a divisor but for roundings.

    Returns
    -------
    at, divisor : uint64, float64
        The byte after the block, 0 if it needs a closer look, and the divisor for the next block to try first.
    """
    count = U(words.size)
    numbers = work[NUMBERS][:count]
    begin, divisor = at, 0.0
    if is_double:
        divisor = _divisor_of(words, doubles, last_divisor, divisors, spread, work)
        if divisor == 0.0 or not _divide(words, doubles, divisor, numbers):
            return U(0), 0.0
        buffer[at] = DIVIDE
        at = put_varint(buffer, at + U(1), np.uint64(divisor))
    else:
        buffer[at] = BITS
        at += U(1)
        for i in range(count):
            numbers[i] = words[i]
    after, gain = write_stream(numbers, level, bank, work, buffer, at)
    bits = np.int64(after - begin) << 3
    if bits > np.int64(count) and _few_distinct(numbers):
        return U(0), 0.0
    if level > U(1) and buffer[at] & 3 == LANES:
        least = bits * 3 // 100 if level == U(2) else np.int64(0)
        if gain > least * ONE:
            return U(0), 0.0
    if after - begin > (count << U(3)):
        buffer[begin] = AS_THEY_ARE
        at = begin + U(1)
        for i in range(count):
            store_little(buffer, at, words[i])
            at += U(8)
        return at, divisor
    return after, divisor


@kernel
def _divisor_of(words, doubles, last, divisors, spread, work):
    """Return the least divisor that made most of a sample; the last block's, if it fits and no smaller one may."""
    sample, count = work[WEIGHTS].view(np.float64), 0
    for i in range(spread.size):
        double = doubles[np.int64(spread[i] * words.size)]
        if double != 0.0 and abs(double) < 1e300:
            sample[count] = double
            count += 1
    if count == 0:
        return 1.0
    few = min(count, 8)
    found = least_divisor(sample[:few], sample[:few].view(np.uint64), divisors)
    if found == 0.0 or found > last:
        return least_divisor(sample[:count], sample[:count].view(np.uint64), divisors)
    if found == last:
        return least_divisor(sample[:count], sample[:count].view(np.uint64), divisors)
    return least_divisor(sample[:count], sample[:count].view(np.uint64), divisors)


@kernel
def _divide(words, doubles, divisor, numbers):
    """Fill whole numbers; return whether all doubles are these over the divisor."""
    missed = U(0)
    for i in range(U(words.size)):
        scaled = np.rint(doubles[i] * divisor)
        number = np.int64(scaled) if abs(scaled) < 4503599627370496.0 else np.int64(0)
        numbers[i] = np.uint64(number)
        missed |= word_of(np.float64(number) / divisor) ^ words[i]
    return missed == U(0)


@kernel
def _few_distinct(numbers):
    """Return whether numbers are far apart, but often the same: by 128 of them, spread evenly."""
    count = U(numbers.size)
    least, most = np.int64(numbers[0]), np.int64(numbers[0])
    for i in range(count):
        least, most = min(least, np.int64(numbers[i])), max(most, np.int64(numbers[i]))
    if np.uint64(most - least) < U(4) * count or count < U(64):
        return False
    step = max(count // U(128), U(1))
    seen = 0
    slots0, slots1 = U(0), U(0)
    total = 0
    for i in range(U(0), count, step):
        slot = (numbers[i] * U(0x9E3779B97F4A7C15)) >> U(57)
        total += 1
        if slot < U(64):
            seen += not (slots0 >> slot) & U(1)
            slots0 |= U(1) << slot
        else:
            seen += not (slots1 >> (slot - U(64))) & U(1)
            slots1 |= U(1) << (slot - U(64))
    return 2 * seen < total


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
    sizes = np.zeros(offsets.size - 1, np.int64)
    parts, done = [], 0
    words, space = column.view(np.uint64), Workspace.of_thread()
    doubles = words.view(np.float64)
    buffer = space.buffer
    if column.size > BLOCK:
        buffer = np.empty(min(9 * column.size, 1 << 22) + 2 * MOST_BLOCK_BYTES, np.uint8)
    while done < column.size:
        begin = done
        done, at, hard = write_columns(
            words, doubles, column.dtype == FLOAT64, offsets, begin, U(level), _DIVISORS, _SPREAD, BANK, space.rows,
            buffer, sizes,
        )  # fmt: skip
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


def encode_block(column: Column, level: int = SMALL, others: Sequence[Words] = ()) -> Block:
    """Return the block of a column of up to `BLOCK` values.

    Parameters
    ----------
    column : int64[n] or float64[n]
    level : int
        1, fast; 2, small; 3, smallest.
    others : sequence of uint64[n]
        Levels of other columns that this one may be predicted from.
    """
    offsets = np.array([0, column.size], np.int64)
    framed = encode_columns(as_constant(np.ascontiguousarray(column)), offsets, level)[0]
    size = 0
    while framed[size] & 0x80:
        size += 1
    block = framed[size + 1 :]
    if others and level > FAST:
        block = min(block, *_predicted_blocks(column, others), key=len)
    return Block(block, levels_of(block, column, others))


def levels_of(block: bytes, column: Column, others: Sequence[Words]) -> Words:
    """Return what a reader of a block holds as its levels."""
    data = np.frombuffer(block + bytes(8), np.uint8)
    space = Workspace.of_thread()
    known = np.stack(others) if others else NO_OTHERS
    words, levels = np.empty(column.size, np.uint64), np.empty(column.size, np.uint64)
    read_block(data, U(0), U(len(block)), column.dtype == FLOAT64, known, U(len(others)), BANK, space.rows,
               *space.room, levels, words)  # fmt: skip
    return levels


def _stream(integers: Words, level: int) -> bytes:
    space = Workspace.of_thread()
    at, _ = write_stream(as_constant(integers), U(level), BANK, space.rows, space.buffer, U(0))
    return space.buffer[: int(at)].tobytes()


def _stream_from(integers: Words, others: Sequence[Words], level: int) -> bytes:
    """Return a stream predicted from other columns' levels."""
    space, first = Workspace.of_thread(), int(integers[0])
    plan, residuals = fit_linear(integers - integers[0], others)
    signed = (residuals >> U(1)) ^ (U(0) - (residuals & U(1)))
    head = signed_varint(first - (first >> 63 << 64)) + b"".join(map(signed_varint, plan.weights))
    coder, at, _ = write_residuals(signed, U(level), BANK, space.rows, space.buffer, U(0))
    return bytes([int(coder) | OTHERS << 2]) + head + space.buffer[: int(at)].tobytes()


def _predicted_blocks(column: Column, others: Sequence[Words]) -> list[bytes]:
    """Return the blocks of a column predicted from others, in each arithmetic that may have made it."""
    if column.size < FEWEST_TO_ADAPT:
        return []
    found = []
    for quantum in _quanta(column):
        parts = split(column, quantum) if column.dtype == FLOAT64 else None
        numbers = parts.numbers if parts else column.view(np.uint64)
        found.append(_assemble(quantum, _stream_from(numbers, others, SMALL), parts, SMALL))
    return found


def _quanta(column: Column) -> list[Quantum]:
    return (find_quanta(as_constant(column)) if column.dtype == FLOAT64 else []) or [Quantum(BITS)]


def _join(streams: Sequence[bytes]) -> bytes:
    """Return streams with their sizes before them, but for the last one."""
    return b"".join(varint(len(stream)) + stream for stream in streams[:-1]) + streams[-1]


def _assemble(quantum: Quantum, own: bytes, parts: Any, level: int, ranks: bytes = b"", distinct: int = 0) -> bytes:
    """Return a block of a quantum, the stream of its integers, and what else it needs."""
    kind, fields, streams = quantum.kind, varint(distinct) if distinct else b"", [own]
    if quantum.kind != BITS:
        fields += varint(quantum.divisor)
    if quantum.kind in (GRID, CUT):
        fields += varint(quantum.window) + varint(quantum.bits)
        streams.append(_stream(parts.noise, level))
    if parts is not None and parts.missed:
        kind |= DISTANT
        places = np.flatnonzero(parts.distances)
        gaps = places.view(np.uint64).copy()
        gaps[1:] -= gaps[:-1] + U(1)
        fields += varint(parts.missed)
        streams += [_stream(gaps, level), _stream(parts.distances[places], level)]
    if distinct:
        kind |= RANKED
        streams.append(ranks)
    return bytes([kind]) + fields + _join(streams)


def _encode_hard(column: Column, level: int) -> bytes:
    """Return the smallest block of a column, after trying everything."""
    found = _candidates(column, level)
    best = min(found, key=len)
    if 8 * len(best) > column.size:
        best = min([best, *_ranked(column, level)], key=len)
    if level > FAST and column.size >= FEWEST_TO_ADAPT:
        adaptive = bytes([ADAPTIVE]) + write_block(plan_block(column), column)
        if len(adaptive) < len(best) * (WORTH_ADAPTING if level == SMALL else 1):
            best = adaptive
    whole = bytes([AS_THEY_ARE]) + column.tobytes()
    return min(best, whole, key=len)


def _candidates(column: Column, level: int) -> list[bytes]:
    found = []
    quanta = _quanta(column)
    for quantum in quanta:
        parts = split(column, quantum) if column.dtype == FLOAT64 else None
        numbers = parts.numbers if parts else column.view(np.uint64)
        found.append(_assemble(quantum, _stream(numbers, level), parts, level))
    if quanta[0].kind != BITS and 8 * min(map(len, found)) > MUCH * column.size:
        parts = split(column, Quantum(BITS))
        found.append(_assemble(Quantum(BITS), _stream(parts.numbers, level), parts, level))
    return found


def _ranked(column: Column, level: int) -> list[bytes]:
    """Return the block that numbers the distinct values, if at most half of them are."""
    is_double, words = column.dtype == FLOAT64, column.view(np.uint64)
    distinct, ranks = np.unique((order(words) if is_double else words).view(np.int64), return_inverse=True)
    if 2 * distinct.size > column.size:
        return []
    values = (order(distinct.view(np.uint64)) if is_double else distinct).view(column.dtype)
    ranked = _stream(ranks.astype(np.uint64), level)
    found = []
    for quantum in _quanta(values):
        parts = split(values, quantum) if is_double else None
        numbers = parts.numbers if parts else values.view(np.uint64)
        found.append(_assemble(quantum, _stream(numbers, level), parts, level, ranked, distinct.size))
    return found


# Reading


@kernel
def read_block(data, at, stop, is_double, others, known, bank, work, models, ages, rows, cursor, stops, levels, words):
    """Decode a block of version 2 into a column of up to `BLOCK` values.

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
    models, ages, rows, cursor, stops
        `Room`, for blocks of version 1.
    levels, words : uint64[n]
        Filled with what other columns may be predicted from, and with the column's bits. ``levels`` may be empty.

    Returns
    -------
    whole : bool
        Whether the block holds exactly n values.
    """
    if at >= stop or words.size > BLOCK:
        return False
    flags = U(data[at])
    at += U(1)
    if flags == U(ADAPTIVE):
        own = levels if levels.size else work[NUMBERS][: words.size]
        return blocks.read_block(
            data, at, stop, is_double, others, known, models, ages, rows, cursor, stops, own, words
        )
    count = U(words.size)
    if flags == U(AS_THEY_ARE):
        if stop - at != count << U(3):
            return False
        for i in range(count):
            words[i] = load_little(data, at + (i << U(3)))
        for i in range(U(levels.size)):
            levels[i] = words[i]
        return True
    kind, ranked, distant = flags & U(KIND), flags & U(RANKED) != U(0), flags & U(DISTANT) != U(0)
    if kind > U(CUT) or flags >> U(5) or (kind != U(BITS) and not is_double):
        return False
    distinct, divisor, window, precision, distances = count, U(1), U(1), U(0), U(0)
    if ranked:
        distinct, at = take_varint(data, at, stop)
    if kind != U(BITS):
        divisor, at = take_varint(data, at, stop)
    if kind == U(GRID) or kind == U(CUT):
        window, at = take_varint(data, at, stop)
        precision, at = take_varint(data, at, stop)
    if distant:
        distances, at = take_varint(data, at, stop)
    if at > stop or distinct == U(0) or distinct > count or distances > distinct or (distant and distances == U(0)):
        return False
    if divisor == U(0) or window == U(0) or precision > U(60) or (kind == U(STEPS) and divisor > U(22)):
        return False
    noisy = kind == U(GRID) or kind == U(CUT)
    own = work[RESULT][:distinct]
    end, more = _end_of_stream(data, at, stop, noisy or distant or ranked)
    whole, base, factor = read_stream(data, more, end, others, U(0) if ranked else known, bank, work, own)
    if not whole:
        return False
    at = end
    target = work[RESULT + 1][:distinct] if ranked else words
    if not ranked:
        for i in range(U(levels.size)):
            levels[i] = own[i]
    noise = work[NOISE][:distinct]
    if noisy:
        numbers = work[NUMBERS][:distinct]
        for i in range(distinct):
            numbers[i] = base + factor * own[i]
        end, more = _end_of_stream(data, at, stop, distant or ranked)
        whole, base, factor = read_stream(data, more, end, others, U(0), bank, work, noise)
        if not whole:
            return False
        at = end
        for i in range(distinct):
            noise[i] = base + factor * noise[i]
        restore(kind, divisor, window, precision, numbers, noise, target, target.view(np.float64))
    elif not is_double:
        for i in range(distinct):
            target[i] = base + factor * own[i]
    elif kind == U(DIVIDE):
        _quotients(own, base, factor, np.float64(divisor), target.view(np.float64))
    else:
        for i in range(distinct):
            own[i] = base + factor * own[i]
        restore(kind, divisor, window, precision, own, noise, target, target.view(np.float64))
    if distant:
        gaps, far = work[GAPS][:distances], work[DISTANCES][:distances]
        end, more = _end_of_stream(data, at, stop, True)
        whole, first, step = read_stream(data, more, end, others, U(0), bank, work, gaps)
        if not whole:
            return False
        at = end
        end, more = _end_of_stream(data, at, stop, ranked)
        whole, base, factor = read_stream(data, more, end, others, U(0), bank, work, far)
        if not whole:
            return False
        at = end
        place = ~U(0)
        for i in range(distances):
            gap = first + step * gaps[i]
            if gap >= distinct - U(1) - place:
                return False
            place += gap + U(1)
            target[place] = ordered(ordered(target[place]) + base + factor * far[i])
    if ranked:
        own = work[RESULT][:count]
        whole, base, factor = read_stream(data, at, stop, others, known, bank, work, own)
        if not whole:
            return False
        for i in range(U(levels.size)):
            levels[i] = own[i]
        for i in range(count):
            rank = base + factor * own[i]
            if rank >= distinct:
                return False
            words[i] = target[rank]
        at = stop
    return at == stop


@kernel(forceinline=True)
def _end_of_stream(data, at, stop, sized):
    """Return the end of a stream, and where it begins: after its size, if more follows it."""
    if not sized:
        return stop, at
    size, at = take_varint(data, at, stop)
    if at > stop or size > stop - at:
        return U(0), U(1)
    return at + size, at


@kernel
def _quotients(levels, base, factor, divisor, doubles):
    """Fill doubles with integers over a divisor."""
    if factor == U(1):
        for i in range(U(levels.size)):
            doubles[i] = np.float64(np.int64(levels[i] + base)) / divisor
    else:
        for i in range(U(levels.size)):
            doubles[i] = np.float64(np.int64(base + factor * levels[i])) / divisor


@kernel
def read_columns(
    data, begins, ends, offsets, is_double, others, bank, work, models, ages, rows, cursor, stops, levels, words
):
    """Decode columns from their blocks, which have their sizes before them; return whether they are whole.

    Column i has the blocks ``data[begins[i]:ends[i]]`` and the words ``offsets[i]`` to ``offsets[i + 1]``.
    """
    for column in range(begins.size):
        at, stop = U(begins[column]), U(ends[column])
        for first in range(offsets[column], offsets[column + 1], BLOCK):
            last = min(first + BLOCK, offsets[column + 1])
            size, at = take_varint(data, at, stop)
            if at > stop or size > stop - at:
                return False
            if not read_block(
                data, at, at + size, is_double, others, U(0), bank, work, models, ages, rows, cursor, stops, levels,
                words[first:last],
            ):  # fmt: skip
                return False
            at += size
        if at != stop:
            return False
    return True
