"""Writing columns of blocks in one call."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs._frame import LONGEST_HEADER, seed_of
from squeezelab.codecs._frames import FLOAT64_TAG, INT64_TAG, frame_payload
from squeezelab.codecs.tally.blocks import AS_THEY_ARE
from squeezelab.codecs.tally.plain import write_plain
from squeezelab.codecs.tally.static_streams import moved_down
from squeezelab.codecs.tally.tried import write_tried
from squeezelab.codecs.tally.workspace import BLOCK, STATE
from squeezelab.codecs.tally.written import with_size
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, borrowed, store_little
from squeezelab.kernels.xxh3 import ROOM

NAME, VERSION = "tally", 2
SEED = U(seed_of(NAME))
MOST_BLOCK_BYTES = 20 * (9 * BLOCK + 4096)
"""More than any block, and what it is compared with, takes while it is written."""


@kernel
def write_columns(words, is_double, offsets, first, level, framed, work, buffer, places):
    """Write columns as blocks, with their sizes before them, or as frames, until the buffer is full.

    Parameters
    ----------
    words : uint64[n]
        The columns' bits, one after another.
    is_double : bool
        Whether they are doubles.
    offsets : int64[columns + 1]
        Where each begins; none is empty.
    first : int64
        Which value to begin with: the first of a block, or of a column that is to be framed.
    level : int64
        1, 2 or 3.
    framed : bool
        Whether each column becomes a frame; then none has more than a block.
    work : uint64[ROWS, BLOCK]
        A part of `make_works`.
    buffer : uint8[...]
        Filled from the beginning; `MOST_BLOCK_BYTES` are left unused at its end.
    places : int64[2, columns]
        Filled with where the frame of each column that was written begins; to what follows, its bytes are added.

    Returns
    -------
    done, at : int64, uint64
        Up to which value blocks were written, and the byte after them.
    """
    words, offsets, work, buffer = borrowed(words), borrowed(offsets), borrowed(work), borrowed(buffer)
    at, column, room = U(0), 0, U(LONGEST_HEADER + 1 if framed else 0)
    while column < offsets.size - 1 and offsets[column + 1] <= first:
        column += 1
    while column < offsets.size - 1:
        while first < offsets[column + 1]:
            if U(buffer.size) - at < U(MOST_BLOCK_BYTES):
                return first, at
            last, begin = min(first + BLOCK, offsets[column + 1]), at + room
            end = write_block(words[first:last], is_double, U(level), work, buffer, begin + U(3))
            at = with_size(buffer, begin, end)
            if framed:
                begin -= U(1)
                buffer[begin] = VERSION
                tag = U(FLOAT64_TAG) if is_double else U(INT64_TAG)
                begin, at = frame_payload(buffer, begin, at - begin, tag, U(last - first), SEED, work[STATE][:ROOM])
            places[0, column] = np.int64(begin)
            places[1, column] += np.int64(at - begin)
            first = last
        column += 1
    return first, at


@kernel(inner=True)
def write_block(words, is_double, level, work, buffer, at):
    """Write a block; return the byte after it.

    At level 3 it is the smaller one of what level 2 writes and of what all arithmetics and models give.
    """
    begin, size = at, U(words.size) << U(3)
    at = write_plain(words, is_double, min(level, U(2)), work, buffer, begin)
    if at == begin:
        at = write_tried(words, is_double, min(level, U(2)), work, buffer, begin)
    if level > U(2):
        after = write_tried(words, is_double, level, work, buffer, at)
        at = moved_down(buffer, at, after, begin) if after - at < at - begin else at
    if at - begin <= size:
        return at
    buffer[begin] = AS_THEY_ARE
    at = begin + U(1)
    for i in range(U(words.size)):
        store_little(buffer, at, words[i])
        at += U(8)
    return at
