"""Version 2 of tally's blocks: a mode, and streams that `squeezelab.codecs.tally.static` codes.

A block::

    byte        bits 0-2 the mode's kind, 6 for a block of version 1 that follows, 7 for numbers as they are;
                bit 3 ranks, bit 4 exceptions
    distinct    if bit 3 says so: how many numbers are distinct; they alone follow, in rising order
    mode     divisor, for GRID and CUT window and bits too (`squeezelab.codecs.tally.modes`)
    streams     m; for GRID and CUT e; if bit 4 says so a count of exceptions, their gaps, and the exceptions;
                if bit 3 says so the ranks. Before each but the last of all stands a varint, its bytes

One call of a kernel writes a whole column of them (`squeezelab.codecs.tally.writer`). Blocks that are predicted from
other columns, of which files have some, are planned in Python, block by block.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT64, INT64, Bytes, read_varint, signed_varint, varint
from squeezelab.codecs._frames import FLOAT64_TAG, INT64_TAG, survey_frames
from squeezelab.codecs.tally import reader
from squeezelab.codecs.tally.blocks import DISTANT, plan_block, write_block
from squeezelab.codecs.tally.modes import BITS, CUT, GRID, Mode, Parts, split
from squeezelab.codecs.tally.prediction import NONE_COMMON, OTHERS, common_divisor, extremes
from squeezelab.codecs.tally.reader import BEGIN, CODER, COUNT, END, LEVELS_AT, WORDS_AT
from squeezelab.codecs.tally.search import find_modes
from squeezelab.codecs.tally.shapes import ONE
from squeezelab.codecs.tally.static_streams import DIVIDED, write_stream
from squeezelab.codecs.tally.streams import as_constant, fit_linear
from squeezelab.codecs.tally.workspace import BLOCK, make_works
from squeezelab.codecs.tally.workspace import MOST_REFERENCES as MOST_REFERENCES
from squeezelab.codecs.tally.writer import MOST_BLOCK_BYTES, write_columns
from squeezelab.codecs.tally.writer import NAME as NAME
from squeezelab.codecs.tally.writer import VERSION as VERSION
from squeezelab.codecs.tally.written import ADAPTIVE as ADAPTIVE
from squeezelab.codecs.tally.written import FEWEST_TO_ADAPT
from squeezelab.kernels.bits import U, scratch

Column = npt.NDArray[Any]
Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

FAST, SMALL, SMALLEST = 1, 2, 3
WORTH_ADAPTING = 0.97
FEWEST_TO_PREDICT = 16
BYTE: np.dtype[Any] = np.dtype(np.uint8)
WORD: np.dtype[Any] = np.dtype(np.uint64)
MARK = bytes([VERSION])
"""Begins a payload. Those of version 1 begin with the size of a block, which is 5 or more."""
NO_LEVELS, NOT_LOCATED = np.empty(0, np.uint64), np.empty((2, 0), np.uint64)

_kept = threading.local()


class Workspace(NamedTuple):
    """What kernels work in.

    Attributes
    ----------
    works : uint64[2, ROWS, BLOCK]
        For what is read.
    rows : uint64[ROWS, BLOCK]
        The first of these, for what is written.
    buffer : uint8[...]
        For what is written.
    table : int64[1, FIELDS]
        Of a column that is read by itself.
    fields : memoryview
        The same numbers: they are set faster one by one than those of an array.
    offsets, places : int64[2], int64[2, 1]
        Of a column that is written by itself.
    """

    works: Words
    rows: Words
    buffer: Bytes
    table: Integers
    fields: memoryview
    offsets: Integers
    places: Integers

    @classmethod
    def of_thread(cls) -> Workspace:
        """Return this thread's workspace."""
        space: Workspace | None = getattr(_kept, "space", None)
        if space is None:
            works, buffer = make_works(), np.empty(2 * MOST_BLOCK_BYTES, np.uint8)
            table, offsets, places = reader.table_of(1), np.zeros(2, np.int64), np.zeros((2, 1), np.int64)
            space = _kept.space = cls(works, works[0], buffer, table, memoryview(table[0]), offsets, places)
        return space


# Writing


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
    words, buffer = as_constant(column.view(WORD)), space.buffer
    places = np.zeros((2, offsets.size - 1), np.int64)
    if column.size > BLOCK:
        buffer = np.empty(min(9 * column.size, 1 << 22) + 2 * MOST_BLOCK_BYTES, np.uint8)
    while done < column.size:
        done, at = write_columns(
            words, column.dtype == FLOAT64, offsets, done, level, False, space.rows, buffer, places
        )
        parts.append(buffer[: int(at)].tobytes())
    whole = b"".join(parts)
    if offsets.size == 2:
        return [whole]
    ends = np.cumsum(places[1]).tolist()
    return [whole[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def encode_frames(columns: Sequence[Column], level: int) -> list[bytes]:
    """Return the frames of columns of one dtype, int64 or float64, each of at most a block; none is empty."""
    space, dtype, first = Workspace.of_thread(), columns[0].dtype, 0
    frames: list[bytes] = []
    offsets, places = np.zeros(len(columns) + 1, np.int64), np.zeros((2, len(columns)), np.int64)
    offsets[1:] = list(accumulate(map(len, columns)))
    room = scratch(8 * int(offsets[-1]))[: 8 * int(offsets[-1])].view(dtype)
    words = as_constant(np.concatenate(columns, out=room).view(WORD))
    while len(frames) < len(columns):
        first, end = write_columns(
            words, dtype == FLOAT64, offsets, first, level, True, space.rows, space.buffer, places
        )
        done, written = int(np.searchsorted(offsets, first)), space.buffer[:end].tobytes()
        begins, sizes = places[:, len(frames) : done].tolist()
        frames += [written[begin : begin + size] for begin, size in zip(begins, sizes, strict=True)]
    return frames


def encode_frame(column: Column, level: int) -> bytes:
    """Return the frame of a column of int64 or float64, of at most a block; it is not empty."""
    space = Workspace.of_thread()
    offsets, places = space.offsets, space.places
    offsets[1] = column.size
    places[1, 0] = 0
    _, end = write_columns(
        as_constant(column.view(WORD)),
        column.dtype == FLOAT64,
        offsets,
        0,
        level,
        True,
        space.rows,
        space.buffer,
        places,
    )
    return space.buffer[places[0, 0] : end].tobytes()


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


def _stream(integers: Words) -> bytes:
    space = Workspace.of_thread()
    at, _ = write_stream(as_constant(integers), NONE_COMMON, U(SMALL), False, space.rows, space.buffer, U(0))
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
    taken = [(mode, split(column, mode)) for mode in modes]
    return [Split(mode, parts.numbers, parts) for mode, parts in taken]


def split_best(column: Column) -> Split:
    """Return a column in the arithmetic that gives the smallest block."""
    splits = _splits(column)
    return min(splits, key=lambda one: len(_assemble(one, _stream(one.numbers)))) if splits[1:] else splits[0]


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
    block = _assemble(way, stream)
    if level is None or column.size < FEWEST_TO_ADAPT or gain <= (0 if level > SMALL else _least_gain(len(stream))):
        return block
    candidate = plan_block(column).predicted_from(others)
    return _smaller(block, bytes([ADAPTIVE]) + write_block(candidate, column), level)


def _stream_from(integers: Words, others: Sequence[Words]) -> tuple[bytes, int]:
    """Return a stream predicted from other columns' levels, and about how many bits models that learn would save."""
    space, integers = Workspace.of_thread(), as_constant(integers)
    first, least = int(integers.view(np.int64)[0]), U(extremes(integers)[0])
    divisor = max(U(common_divisor(integers, least)), U(1))
    levels = (integers - least) // divisor
    plan, residuals = fit_linear(levels - levels[0], others)
    signed = (residuals >> U(1)) ^ (U(0) - (residuals & U(1)))
    divided = varint(int(divisor)) if divisor > U(1) else b""
    head = signed_varint(first) + divided + b"".join(map(signed_varint, plan.weights))
    at, gain = write_stream(as_constant(signed), NONE_COMMON, U(SMALL), True, space.rows, space.buffer, U(0))
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


def _assemble(way: Split, own: bytes) -> bytes:
    """Return a block of a mode, the stream of its integers, and what else it needs."""
    mode, parts = way.mode, way.parts
    kind, fields, streams = mode.kind, b"", [own]
    if mode.kind != BITS:
        fields += varint(mode.divisor)
    if parts is not None and mode.kind in (GRID, CUT):
        fields += varint(mode.window) + varint(mode.bits)
        streams.append(_stream(parts.noise))
    if parts is not None and parts.missed:
        kind |= DISTANT
        places = np.flatnonzero(parts.exceptions)
        gaps = places.view(np.uint64).copy()
        gaps[1:] -= gaps[:-1] + U(1)
        fields += varint(parts.missed)
        streams += [_stream(gaps), _stream(parts.exceptions[places])]
    return bytes([kind]) + fields + _join(streams)


# Reading


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
    table = reader.table_of(1)
    table[0, [COUNT, BEGIN, END, CODER]] = column.size, begin, end, coder
    if levels is None:
        return _read(data, table, NOT_LOCATED, reader.SIZED, column)
    table[0, LEVELS_AT] = 0
    return _read(data, table, np.array([[begin], [end]], np.uint64), reader.LOCATED, column, levels)


def _read(data: Bytes, table: Integers, located: Words, form: int, column: Column, levels: Words = NO_LEVELS) -> int:
    after: int = reader.read_columns(
        data, table, located, form, column.dtype == FLOAT64, levels, column.view(np.uint64), Workspace.of_thread().works
    )
    return after


def decode_payload(data: Bytes, begin: int, end: int, column: Column) -> bool:
    """Fill a column from its payload, ``data[begin:end]``; return whether that holds exactly n values."""
    return _read_one(data, begin, end, reader.PAYLOADS, column)


def decode_frame(frame: bytes, column: Column) -> bool:
    """Fill a column from its frame, whose tag and size are the column's; return whether that is whole."""
    return _read_one(np.frombuffer(frame, BYTE), 0, len(frame), reader.FRAMES, column)


def _read_one(data: Bytes, begin: int, end: int, form: int, column: Column) -> bool:
    works, _, _, table, fields, *_ = Workspace.of_thread()
    fields[COUNT], fields[BEGIN], fields[END] = column.size, begin, end
    is_double, words = column.dtype == FLOAT64, column.view(WORD)
    after: int = reader.read_columns(data, table, NOT_LOCATED, form, is_double, NO_LEVELS, words, works)
    return after >= 0


def decode_frames(frames: Sequence[bytes], expansion: int) -> list[Column] | None:
    """Return the columns of frames of int64 and float64; None if any is not whole, of another dtype, or implausible.

    Parameters
    ----------
    frames : sequence of bytes
    expansion : int
        The most bytes that a byte of payload can stand for.
    """
    data, tags = np.frombuffer(b"".join(frames) or b"\0", BYTE), np.empty(len(frames), BYTE)
    begins = np.fromiter(accumulate(map(len, frames), initial=0), np.int64, len(frames) + 1)
    places = np.empty(len(frames) + 1, np.int64)
    if not survey_frames(data, begins, expansion, tags, places):
        return None
    table = reader.table_of(len(frames))
    sizes = places[1:] - places[:-1]
    table[:, COUNT], table[:, WORDS_AT] = sizes, places[:-1]
    table[:, BEGIN], table[:, END] = begins[:-1], begins[1:]
    words = np.empty(places[-1], np.uint64)
    if _read(data, table, NOT_LOCATED, reader.FRAMES, words) < 0:
        return None
    kinds, every = {INT64_TAG: words.view(INT64), FLOAT64_TAG: words.view(FLOAT64)}, tags.tobytes()
    if every and every == every[:1] * len(every) and sizes.tobytes() == sizes[:1].tobytes() * len(every):
        return list(kinds[every[0]].reshape(len(every), int(sizes[0])))  # quicker than slices, one by one
    bounds = places.tolist()
    return [kinds[tag][i:j] for tag, i, j in zip(every, bounds[:-1], bounds[1:], strict=True)]
