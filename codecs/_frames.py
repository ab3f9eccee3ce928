"""Many frames in one call: kernels that write and read whole frames, and call those of a codec for their payloads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from squeezelab.codecs._frame import FLOAT64, INT64, LONGEST_HEADER, tag_of
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_word, put_varint, store_word, take_varint
from squeezelab.kernels.callee import Callee, callee
from squeezelab.kernels.xxh3 import hash_bytes

INT64_TAG, FLOAT64_TAG = tag_of(INT64), tag_of(FLOAT64)
ROOM_OF_FRAME = LONGEST_HEADER + 8
"""The most bytes that a frame takes beside its payload."""

_WORDS, _TABLES, _BYTES = types.uint64[::1], types.uint64[:, ::1], types.uint8[::1]
_READ_WORDS, _READ_BYTES = (types.Array(kind, 1, "C", readonly=True) for kind in (types.uint64, types.uint8))


def as_writer(function: Any, work: tuple[Any, ...]) -> Callee:
    """Return an encoding kernel, which takes such a workspace, as `write_frames` calls it."""
    return callee(function, types.uint64(_READ_WORDS, *(_TABLES for _ in work), _BYTES))


def as_reader(function: Any, work: tuple[Any, ...]) -> Callee:
    """Return a decoding kernel, which takes such a workspace, as `read_frames` calls it."""
    return callee(function, types.boolean(_READ_BYTES, types.uint64, types.uint64, *(_TABLES for _ in work), _WORDS))


@kernel
def write_frames(write, work, words, offsets, tag, seed, room, buffer, bounds):
    """Write a frame for each column.

    Parameters
    ----------
    write, work : function, tuple of uint64[:, :]
        What writes a payload, and what it works in.
    words : uint64[n]
        The columns' bits, one after another.
    offsets : int64[columns + 1]
        Where each begins; none is empty.
    tag, seed : uint64
        What their frames begin with, and what their checksums are seeded with.
    room : uint64[ROOM]
        Workspace of the checksums.
    buffer : uint8[...]
        Filled; it holds the longest payloads, `ROOM_OF_FRAME` bytes for each, and `WRITE_SLACK` more.
    bounds : int64[2, columns]
        Filled with where each frame begins, and ends. Between them may be bytes that are of none.
    """
    at = np.int64(0)
    for i in range(offsets.size - 1):
        own, start = words[offsets[i] : offsets[i + 1]], at + LONGEST_HEADER
        size = write(own, *work, buffer[start:])
        begin, end = frame_payload(buffer, U(start), size, tag, U(own.size), seed, room)
        at = np.int64(end)
        bounds[0, i], bounds[1, i] = np.int64(begin), at


@kernel
def frame_payload(buffer, start, size, tag, count, seed, room):
    """Make a frame of a payload, which has room for a header before it; return where it begins, and the byte after."""
    # The payload's size is known after it: the header is written twice, the second time right before the payload.
    early = start - U(LONGEST_HEADER)
    begin = start - (_put_header(buffer, early, tag, count, size) - early)
    _put_header(buffer, begin, tag, count, size)
    checksum = hash_bytes(buffer, begin, start - begin, seed, room)
    store_word(buffer, start + size, hash_bytes(buffer, start, size, checksum, room))
    return begin, start + size + U(8)


@kernel
def _put_header(buffer, at, tag, count, size):
    """Write a frame's header; return the byte after it."""
    buffer[at] = tag
    return put_varint(buffer, put_varint(buffer, at + U(1), count), size)


@kernel
def survey_frames(data, begins, expansion, tags, places):
    """Read headers alone.

    Parameters
    ----------
    data, begins : uint8[...], int64[frames + 1]
        The frames, and where each begins and ends.
    expansion : int64
        The most bytes that a byte of payload can stand for.
    tags : uint8[frames]
        Filled with what each holds.
    places : int64[frames + 1]
        Filled with where each column begins, one after another.

    Returns
    -------
    plausible : bool
        Whether all are of int64 or float64, and claim no more values than their bytes can hold.
    """
    places[0] = 0
    for i in range(tags.size):
        at, stop = U(begins[i]), U(begins[i + 1])
        if at >= stop or (data[at] != INT64_TAG and data[at] != FLOAT64_TAG):
            return False
        tags[i] = data[at]
        size, at = take_varint(data, at + U(1), stop)
        length, at = take_varint(data, at, stop)
        if at > stop or length > stop - at or size > length * U(expansion) >> U(3):
            return False
        places[i + 1] = places[i] + np.int64(size)
    return True


@kernel
def find_payload(data, at, end, seed, count, room):
    """Return where the payload of a frame lies; two zeros if it is not a whole one of so many values."""
    size, start = take_varint(data, at + U(1), end)
    length, start = take_varint(data, start, end)
    if start > end or end - start < U(8) or length != end - start - U(8) or size != count:
        return U(0), U(0)
    checksum = hash_bytes(data, start, length, hash_bytes(data, at, start - at, seed, room), room)
    return (start, start + length) if load_word(data, start + length) == checksum else (U(0), U(0))


@kernel
def read_frames(read, work, data, begins, places, seed, room, words):
    """Fill the words of columns from their frames, which `survey_frames` found plausible.

    Parameters
    ----------
    read, work : function, tuple of uint64[:, :]
        What reads a payload, and what it works in.
    data, begins : uint8[...], int64[frames + 1]
        The frames, and where each begins and ends.
    places : int64[frames + 1]
        Where each column's words begin and end.
    seed : uint64
        What their checksums are seeded with.
    room : uint64[ROOM]
        Workspace of the checksums.
    words : uint64[values of all]
        Filled.

    Returns
    -------
    whole : bool
        Whether each is a whole, undamaged frame.
    """
    for i in range(begins.size - 1):
        own = words[places[i] : places[i + 1]]
        start, stop = find_payload(data, U(begins[i]), U(begins[i + 1]), seed, U(own.size), room)
        if stop == U(0) or (own.size == 0 and start != stop):
            return False
        if own.size and not read(data, start, stop, *work, own):
            return False
    return True
