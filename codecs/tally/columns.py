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

from squeezelab.codecs._frame import FLOAT64, Bytes, read_varint, signed_varint, varint
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
    Parts,
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
    DIVIDED,
    GAPS,
    LANES,
    NOISE,
    NUMBERS,
    ONE,
    OTHERS,
    RESULT,
    ROWS,
    WEIGHTS,
    common_divisor,
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
FEWEST_TO_ADAPT, FEWEST_TO_PREDICT = 100, 16
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
    data = np.frombuffer(block + bytes(8), np.uint8)
    space = Workspace.of_thread()
    words, levels = np.empty(column.size, np.uint64), np.empty(column.size, np.uint64)
    read_block(data, U(0), U(len(block)), column.dtype == FLOAT64, NO_OTHERS, U(0), BANK, space.rows, *space.room,
               levels, words)  # fmt: skip
    return levels


def _stream(integers: Words, level: int) -> bytes:
    space = Workspace.of_thread()
    at, _ = write_stream(as_constant(integers), U(level), BANK, space.rows, space.buffer, U(0))
    return space.buffer[: int(at)].tobytes()


class Split(NamedTuple):
    """A column as integers, and the quantum that makes it of them; parts has what else that takes."""

    quantum: Quantum
    numbers: Words
    parts: Parts | None


def _splits(column: Column) -> list[Split]:
    """Return a column in each arithmetic that may have made it."""
    if column.dtype != FLOAT64:
        return [Split(Quantum(BITS), column.view(np.uint64), None)]
    quanta = find_quanta(as_constant(column)) or [Quantum(BITS)]
    return [_split(column, quantum) for quantum in quanta]


def _split(column: Column, quantum: Quantum) -> Split:
    parts = split(column, quantum)
    return Split(quantum, parts.numbers, parts)


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
    draft = plan_block(column).predicted_from(others)
    return _smaller(block, bytes([ADAPTIVE]) + write_block(draft, column), level)


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
    coder, at, gain = write_residuals(signed, BANK, space.rows, space.buffer, U(0))
    kind = int(coder) | OTHERS << 2 | DIVIDED * bool(divided)
    return bytes([kind]) + head + space.buffer[: int(at)].tobytes(), int(gain)


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
    """Return a block of a quantum, the stream of its integers, and what else it needs."""
    quantum, parts = way.quantum, way.parts
    kind, fields, streams = quantum.kind, varint(distinct) if distinct else b"", [own]
    if quantum.kind != BITS:
        fields += varint(quantum.divisor)
    if parts is not None and quantum.kind in (GRID, CUT):
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
    if splits[0].quantum.kind != BITS and 8 * min(map(len, found)) > MUCH * column.size:
        as_bits = _split(column, Quantum(BITS))
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
