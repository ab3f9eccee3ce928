"""Blocks: one column of numbers as the quantum that made them, and streams of integers.

A block, all numbers LEB128::

    sizes       bytes of the head, bytes of the words
    head        byte: bits 0-2 the quantum's kind, 7 for numbers as they are; bit 3 ranks, bit 4 distances, bit 5 a state
                state       the decoder's first one, if bit 5 says so
                distinct    if bit 3 says so: how many numbers are distinct; they alone follow, in rising order
                quantum     divisor, for GRID and CUT window and bits too (`squeezelab.codecs._quanta`)
                streams     m; for GRID and CUT e; if bit 4 says so: how many distances are not 0, a stream of the gaps
                            before them, and a stream of the distances (`squeezelab.codecs._streams`)
                ranks       if bit 3 says so: a stream of the rank of each number among the distinct ones
    words       those of all streams, one behind the other
    raw bits    likewise
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._bits import U, byte_swap, load_word, take_varint
from squeezelab.codecs._frame import Bytes, varint
from squeezelab.codecs._nibbles import LOWEST_STATE, MODELS, write_operations
from squeezelab.codecs._quanta import BITS, CUT, GRID, STEPS, Quantum, find_quanta, order, ordered, restore, split
from squeezelab.codecs._streams import NO_OPERATIONS, Stream, Words, encode_stream, read_stream
from squeezelab.kernels import kernel

KIND, RANKED, DISTANT, STATE = 7, 8, 16, 32
AS_THEY_ARE = 7
MOST_BITS, MOST_DIGITS = 60, 22
MUCH = 24
"""Bits a value from which on a quantum is doubted."""
NO_OTHERS = np.empty((0, 1), np.uint64)


class Room(NamedTuple):
    """What `read_block` works in: for blocks of up to n values."""

    models: npt.NDArray[np.uint16]
    ages: npt.NDArray[np.uint8]
    rows: Words

    @classmethod
    def of(cls, count: int) -> Room:
        """Return room for blocks of up to so many values."""
        return cls(np.empty(MODELS * 16, np.uint16), np.empty(MODELS, np.uint8), np.empty((6, count), np.uint64))


class Draft(NamedTuple):
    """A block in parts: which kind, what follows it in the head, and its streams."""

    kind: int
    fields: bytes
    streams: tuple[tuple[bytes, Stream], ...]

    @property
    def bits(self) -> float:
        """About how many bits the block will take."""
        return 8 * len(self.fields) + sum(8 * len(before) + stream.bits for before, stream in self.streams)

    @property
    def levels(self) -> Words:
        """What other columns may be predicted from: the levels of the column's own stream."""
        return self.streams[-1 if self.kind & RANKED else 0][1].levels

    def finish(self) -> bytes:
        """Return the block."""
        head = self.fields + b"".join(before + stream.header for before, stream in self.streams)
        operations = np.concatenate([stream.operations for _, stream in self.streams])
        kind, words = self.kind, b""
        if operations.size:
            buffer = np.empty(2 * operations.size + 8, np.uint8)
            state, begin = write_operations(operations, U(operations.size), buffer)
            kind |= STATE
            head = varint(int(state)) + head
            words = buffer[int(begin) :].tobytes()
        raw = b"".join(stream.raw for _, stream in self.streams)
        return b"".join((varint(1 + len(head)), varint(len(words)), bytes([kind]), head, words, raw))


def encode_block(column: npt.NDArray[Any], *, packed: bool = False) -> Draft:
    """Encode a column the way that takes the fewest bits.

    Parameters
    ----------
    column : int64[n] or float64[n]
        At least one value.
    packed : bool
        Pack numbers into bits: larger, and faster to read.
    """
    words = column.view(np.uint64)
    drafts = _drafts(column, packed)
    drafts.append(Draft(AS_THEY_ARE, b"", ((b"", Stream(b"", NO_OPERATIONS, words.tobytes(), words)),)))
    best = min(drafts, key=lambda draft: draft.bits)
    return min([best, *_ranked(column, best, packed)], key=lambda draft: draft.bits)


def _drafts(column: npt.NDArray[Any], packed: bool) -> list[Draft]:
    if column.dtype == np.int64:
        return [Draft(BITS, b"", ((b"", encode_stream(column.view(np.uint64), packed=packed)),))]
    drafts = [_draft(column, quantum, packed) for quantum in find_quanta(column)]
    if not drafts or min(draft.bits for draft in drafts) > MUCH * column.size:
        drafts.append(_draft(column, Quantum(BITS), packed))
    return drafts


def _draft(doubles: npt.NDArray[np.float64], quantum: Quantum, packed: bool) -> Draft:
    numbers, noise, distances = split(doubles, quantum)
    kind, fields = quantum.kind, b""
    streams = [(b"", encode_stream(numbers, packed=packed))]
    if kind != BITS:
        fields = varint(quantum.divisor)
    if kind in (GRID, CUT):
        fields += varint(quantum.window) + varint(quantum.bits)
        streams.append((b"", encode_stream(noise, packed=packed)))
    if distances.any():
        kind |= DISTANT
        places = np.flatnonzero(distances)
        gaps = np.diff(places, prepend=-1).view(np.uint64) - U(1)
        streams.append((varint(places.size), encode_stream(gaps, packed=packed)))
        streams.append((b"", encode_stream(distances[places], packed=packed)))
    return Draft(kind, fields, tuple(streams))


def _ranked(column: npt.NDArray[Any], best: Draft, packed: bool) -> list[Draft]:
    """Return the draft that numbers the distinct values, where there are few."""
    if best.bits < column.size:
        return []
    is_double, words = column.dtype == np.float64, column.view(np.uint64)
    distinct, ranks = np.unique((order(words) if is_double else words).view(np.int64), return_inverse=True)
    if 2 * distinct.size > column.size:
        return []
    values = (order(distinct.view(np.uint64)) if is_double else distinct).view(column.dtype)
    dictionary = min(_drafts(values, packed), key=lambda draft: draft.bits)
    stream = encode_stream(ranks.astype(np.uint64), packed=packed)
    fields = varint(values.size) + dictionary.fields
    return [Draft(dictionary.kind | RANKED, fields, (*dictionary.streams, (b"", stream)))]


@kernel
def read_block(data, at, stop, is_double, others, models, ages, rows, levels, words):
    """Decode a block into a column.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The block is ``data[at:stop]``; `READ_SLACK` bytes behind it must be readable.
    is_double : bool
        Whether the column holds doubles.
    others : uint64[streams before, n]
        Levels of other columns' streams that this one may be predicted from.
    models, ages, rows
        `Room` for at least n values.
    levels, words : uint64[n]
        Filled with the levels of the column's own stream, and with the column's bits.

    Returns
    -------
    whole : bool
        Whether the block holds exactly n values.
    """
    count = U(words.size)
    head_size, at = take_varint(data, at, stop)
    words_size, at = take_varint(data, at, stop)
    if at > stop or head_size == U(0) or head_size > stop - at or words_size > stop - at - head_size:
        return False
    head_stop = at + head_size
    words_stop = head_stop + words_size
    flags = U(data[at])
    at += U(1)
    if flags & U(KIND) == U(AS_THEY_ARE):
        return _read_as_they_are(data, words_stop, stop, levels, words)
    state, distinct = LOWEST_STATE, count
    if flags & U(STATE):
        state, at = take_varint(data, at, head_stop)
    if flags & U(RANKED):
        distinct, at = take_varint(data, at, head_stop)
    if at > head_stop or distinct == U(0) or distinct > count:
        return False
    ranked = distinct != count or flags & U(RANKED) != U(0)
    dictionary = rows[U(0), :distinct] if ranked else words
    own = rows[U(1), :distinct] if ranked else levels
    place, raw = head_stop, words_stop
    whole, at, state, place, raw = _read_values(
        data, at, head_stop, state, place, words_stop, raw, stop, flags, is_double, others, models, ages, rows,
        own, dictionary,
    )  # fmt: skip
    if whole and ranked:
        whole, at, state, place, raw, base, divisor = read_stream(
            data, at, head_stop, state, place, words_stop, raw, stop, others, models, ages, rows[U(2), :count], levels
        )
        if whole:
            whole = _look_up(levels, base, divisor, dictionary, words)
    return whole and at == head_stop and state == LOWEST_STATE and place == words_stop and raw == stop


@kernel
def _read_as_they_are(data, at, stop, levels, words):
    if stop - at != U(words.size) << U(3):
        return False
    for i in range(U(words.size)):
        words[i] = byte_swap(load_word(data, at))
        levels[i] = words[i]
        at += U(8)
    return True


@kernel
def _look_up(levels, base, divisor, dictionary, words):
    for i in range(U(levels.size)):
        rank = base + divisor * levels[i]
        if rank >= U(dictionary.size):
            return False
        words[i] = dictionary[rank]
    return True


@kernel
def _read_values(
    data, at, stop, state, place, place_stop, raw, raw_stop, flags, is_double, others, models, ages, rows, levels, words
):
    """Decode a quantum and its streams into a column."""
    count = U(words.size)
    kind = flags & U(KIND)
    failed = (False, at, state, place, raw)
    divisor, window, bits = U(1), U(1), U(0)
    if kind != U(BITS):
        divisor, at = take_varint(data, at, stop)
    if kind == U(GRID) or kind == U(CUT):
        window, at = take_varint(data, at, stop)
        bits, at = take_varint(data, at, stop)
    if at > stop or not divisor or not window or bits > U(MOST_BITS) or (kind == U(STEPS) and divisor > U(MOST_DIGITS)):
        return failed
    sums, numbers, noise = rows[U(2), :count], rows[U(3), :count], rows[U(4), :count]
    whole, at, state, place, raw, base, factor = read_stream(
        data, at, stop, state, place, place_stop, raw, raw_stop, others, models, ages, sums, levels
    )
    if not whole:
        return failed
    for i in range(count):
        numbers[i] = base + factor * levels[i]
    if kind == U(GRID) or kind == U(CUT):
        whole, at, state, place, raw, base, factor = read_stream(
            data, at, stop, state, place, place_stop, raw, raw_stop, others, models, ages, sums, noise
        )
        if not whole:
            return failed
        for i in range(count):
            noise[i] = base + factor * noise[i]
    if is_double:
        restore(kind, divisor, window, bits, numbers, noise, words, words.view(np.float64))
    else:
        words[:] = numbers
    if flags & U(DISTANT):
        amount, at = take_varint(data, at, stop)
        if at > stop or amount > count:
            return failed
        gaps, distances = rows[U(3), :amount], rows[U(4), :amount]
        whole, at, state, place, raw, base, factor = read_stream(
            data, at, stop, state, place, place_stop, raw, raw_stop, others, models, ages, sums[:amount], gaps
        )
        if not whole:
            return failed
        first = base
        gap_factor = factor
        whole, at, state, place, raw, base, factor = read_stream(
            data, at, stop, state, place, place_stop, raw, raw_stop, others, models, ages, sums[:amount], distances
        )
        if not whole:
            return failed
        i = ~U(0)
        for j in range(amount):
            gap = first + gap_factor * gaps[j]
            if gap >= count - U(1) - i:
                return failed
            i += gap + U(1)
            words[i] = ordered(ordered(words[i]) + base + factor * distances[j])
    return True, at, state, place, raw
