"""Blocks: one column of numbers as the mode that made them, and streams of integers.

A block, all numbers LEB128::

    sizes       bytes of the head, bytes of the words
    head        byte: bits 0-2 the mode's kind, 7 for numbers as they are; bit 3 ranks, bit 4 exceptions, bit 5 states
                states      the decoder's first ones for classes and for bits less 2^20, if bit 5 says so
                distinct    if bit 3 says so: how many numbers are distinct; they alone follow, in rising order
                mode     divisor, for GRID and CUT window and bits too (`squeezelab.codecs.tally.modes`)
                streams     m; for GRID and CUT e; if bit 4 says so: how many exceptions are not 0, a stream of the gaps
                            before them, and a stream of the exceptions (`squeezelab.codecs.tally.streams`)
                ranks       if bit 3 says so: a stream of the rank of each number among the distinct ones
    words       those of all streams, one after the other
    raw bits    likewise
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import varint
from squeezelab.codecs.tally.modes import (
    BITS,
    CUT,
    GRID,
    STEPS,
    KernelMode,
    Mode,
    Parts,
    order,
    ordered,
    restore,
    split,
)
from squeezelab.codecs.tally.nibbles import (
    AT,
    CLASSES,
    FOUR_BITS,
    LOWEST_STATE,
    MODELS,
    PLACE,
    RAW,
    write_operations,
)
from squeezelab.codecs.tally.search import find_modes
from squeezelab.codecs.tally.streams import (
    NEAR_TIE,
    Reader,
    Stream,
    Words,
    as_constant,
    code_stream,
    plain_stream,
    plan_stream,
    predict_stream,
    read_stream,
    rising_stream,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, byte_swap, load_word, take_varint

KIND, RANKED, DISTANT, STATES = 7, 8, 16, 32
AS_THEY_ARE = 7
MOST_BITS, MOST_DIGITS = 60, 22
MUCH = 24
"""Bits a value from which on a mode is doubted."""
ROOM_ROWS = 7
NO_OTHERS = np.empty((0, 1), np.uint64)


_kept = threading.local()


class BlockWorkspace(NamedTuple):
    """What `read_block` works in: for blocks of up to n values."""

    models: npt.NDArray[np.uint16]
    ages: npt.NDArray[np.uint8]
    rows: Words
    cursor: Words
    stops: Words

    @classmethod
    def of(cls, count: int) -> BlockWorkspace:
        """Return room for blocks of up to so many values, good until this thread asks for the next one."""
        room: BlockWorkspace | None = getattr(_kept, "room", None)
        if room is None or room.rows.shape[1] < count:
            models, ages, rows = np.empty(MODELS * 16, np.uint16), np.empty(MODELS, np.uint8), (ROOM_ROWS, count)
            cursor, stops = np.empty(5, np.uint64), np.empty(5, np.uint64)
            room = _kept.room = cls(models, ages, np.empty(rows, np.uint64), cursor, stops)
        return room


@dataclass(frozen=True)
class Candidate:
    """A block that is planned: its kind, what follows it in the head, and its streams, with what stands before each."""

    kind: int
    fields: bytes
    streams: tuple[tuple[bytes, Stream], ...]
    packed: bool

    @cached_property
    def bits(self) -> float:
        """About how many bits the block will take."""
        return 8 * len(self.fields) + sum(8 * len(before) + stream.bits for before, stream in self.streams)

    @property
    def own(self) -> int:
        """Which of the streams has an integer for each value: the ranks, or ``m``."""
        return len(self.streams) - 1 if self.kind & RANKED else 0

    @property
    def levels(self) -> Words:
        """What other columns may be predicted from."""
        return self.streams[self.own][1].levels

    def predicted_from(self, others: Sequence[Words]) -> Candidate:
        """Return the candidate with its own stream predicted from the levels of other columns."""
        before, stream = self.streams[self.own]
        predicted = (before, predict_stream(stream, others, packed=self.packed))
        return replace(self, streams=(*self.streams[: self.own], predicted, *self.streams[self.own + 1 :]))

    @cached_property
    def block(self) -> bytes:
        """The block."""
        coded = [(before, code_stream(stream, packed=self.packed)) for before, stream in self.streams]
        head = self.fields + b"".join(before + stream.header for before, stream in coded)
        operations = np.concatenate([stream.operations for _, stream in coded])
        kind, words = self.kind, b""
        if operations.size:
            buffer = np.empty(2 * operations.size + 8, np.uint8)
            classes, bits, begin = write_operations(operations, buffer)
            kind |= STATES
            head = varint(int(classes - LOWEST_STATE)) + varint(int(bits - LOWEST_STATE)) + head
            words = buffer[int(begin) :].tobytes()
        raw = b"".join(stream.raw for _, stream in coded)
        return b"".join((varint(1 + len(head)), varint(len(words)), bytes([kind]), head, words, raw))


def as_it_is(column: npt.NDArray[Any]) -> bytes:
    """Return the block that holds a column's bytes, little-endian."""
    return b"".join((varint(1), varint(0), bytes([AS_THEY_ARE]), column.tobytes()))


def write_block(candidate: Candidate, column: npt.NDArray[Any]) -> bytes:
    """Return a candidate's block, or the one that holds the column as it is where that is shorter."""
    return min(candidate.block, as_it_is(column), key=len)


def plan_block(column: npt.NDArray[Any], *, packed: bool = False) -> Candidate:
    """Find the block that takes the fewest bits for a column.

    Parameters
    ----------
    column : int64[n] or float64[n]
        At least one value.
    packed : bool
        Pack numbers into bits: larger, and faster to read.
    """
    candidates = _candidates(column, packed)
    if min(candidate.bits for candidate in candidates) > column.size and not _mostly_distinct(column.view(np.uint64)):
        candidates += _ranked(column, packed)
    return smallest(candidates)


def smallest(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate of the shortest block: of the two that promise the shortest, if the second is near."""
    best, *others = sorted(candidates, key=lambda candidate: candidate.bits)
    if not others or others[0].bits > NEAR_TIE * best.bits:
        return best
    return min(best, others[0], key=lambda candidate: len(candidate.block))


def _ranked(column: npt.NDArray[Any], packed: bool) -> list[Candidate]:
    """Return the candidate that numbers the distinct values, if at most half of them are."""
    is_double, words = column.dtype == np.float64, column.view(np.uint64)
    distinct, ranks = np.unique((order(words) if is_double else words).view(np.int64), return_inverse=True)
    if 2 * distinct.size > column.size:
        return []
    values = (order(distinct.view(np.uint64)) if is_double else distinct).view(column.dtype)
    dictionary = min(_candidates(values, packed, rising_stream), key=lambda candidate: candidate.bits)
    fields = varint(distinct.size) + dictionary.fields
    streams = (*dictionary.streams, (b"", plan_stream(ranks.astype(np.uint64), packed=packed)))
    return [Candidate(dictionary.kind | RANKED, fields, streams, packed)]


def _mostly_distinct(words: Words) -> bool:
    """Return whether a few hundred values, evenly spread, hardly ever repeat."""
    part = words[:: max(1, words.size // 256)]
    return len(set(part.tolist())) > 0.9 * part.size > 16


def _candidates(column: npt.NDArray[Any], packed: bool, plan: Callable[..., Stream] = plan_stream) -> list[Candidate]:
    """Return candidates of all values, by the modes that may have made them."""
    if column.dtype == np.int64:
        return [Candidate(BITS, b"", ((b"", plan(column.view(np.uint64), packed=packed)),), packed)]
    candidates: list[Candidate] = []
    planned: dict[int, Stream] = {}
    column = as_constant(column)
    for mode in find_modes(column):
        parts = split(column, mode)
        # The grids of one window and counter differ in their noise alone.
        scale = mode.kind << 32 | mode.divisor if mode.kind < GRID else -mode.divisor * mode.window
        if scale not in planned:
            planned[scale] = plan(parts.numbers, packed=packed)
        candidates.append(_candidate(mode, planned[scale], parts, packed))
    if not candidates or min(candidate.bits for candidate in candidates) > MUCH * column.size:
        parts = split(column, Mode(BITS))
        candidates.append(_candidate(Mode(BITS), plan(parts.numbers, packed=packed), parts, packed))
    return candidates


def _candidate(mode: Mode, own: Stream, parts: Parts, packed: bool) -> Candidate:
    kind, fields = mode.kind, b""
    streams = [(b"", own)]
    if kind != BITS:
        fields = varint(mode.divisor)
    if kind in (GRID, CUT):
        fields += varint(mode.window) + varint(mode.bits)
        streams.append((b"", plain_stream(parts.noise, packed=packed)))
    if parts.missed:
        kind |= DISTANT
        places = np.flatnonzero(parts.exceptions)
        gaps = places.view(np.uint64).copy()
        gaps[1:] -= gaps[:-1] + U(1)
        streams.append((varint(parts.missed), plain_stream(gaps, packed=packed)))
        streams.append((b"", plain_stream(parts.exceptions[places], packed=packed)))
    return Candidate(kind, fields, tuple(streams), packed)


@kernel
def read_block(data, at, stop, others, known, room, target):
    """Decode a block into a column.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The block is ``data[at:stop]``; `READ_SLACK` bytes after it must be readable.
    others, known : uint64[..., n or more], uint64
        Levels of other columns' streams, and from how many of them this one may be predicted: the first ones.
    room : BlockWorkspace
        For at least n values.
    target : Target
        Filled, with levels in any case.

    Returns
    -------
    whole : bool
        Whether the block holds exactly n values.
    """
    cursor, stops, count = room.cursor, room.stops, U(target.words.size)
    head_size, at = take_varint(data, at, stop)
    words_size, at = take_varint(data, at, stop)
    if at > stop or head_size == U(0) or head_size > stop - at or words_size > stop - at - head_size:
        return False
    stops[AT], stops[PLACE], stops[RAW] = at + head_size, at + head_size + words_size, stop
    flags = U(data[at])
    at += U(1)
    if flags & U(KIND) == U(AS_THEY_ARE):
        return at == stops[PLACE] and _read_as_they_are(data, at, stop, target)
    classes, bits, distinct = U(0), U(0), count
    if flags & U(STATES):
        classes, at = take_varint(data, at, stops[AT])
        bits, at = take_varint(data, at, stops[AT])
    if flags & U(RANKED):
        distinct, at = take_varint(data, at, stops[AT])
    if flags >> U(6) or at > stops[AT] or distinct == U(0) or distinct > count:
        return False
    cursor[AT], cursor[CLASSES], cursor[FOUR_BITS] = at, classes + LOWEST_STATE, bits + LOWEST_STATE
    cursor[PLACE], cursor[RAW] = stops[AT], stops[PLACE]
    reader = Reader(data, others, known, room.models, room.ages, cursor, stops)
    if not _read_streams(reader, flags, distinct, room.rows, target):
        return False
    ended = cursor[AT] == stops[AT] and cursor[PLACE] == stops[PLACE] and cursor[RAW] == stops[RAW]
    return ended and cursor[CLASSES] == LOWEST_STATE and cursor[FOUR_BITS] == LOWEST_STATE


@kernel(inner=True)
def _read_as_they_are(data, at, stop, target):
    if stop - at != U(target.words.size) << U(3):
        return False
    for i in range(U(target.words.size)):
        target.words[i] = target.levels[i] = byte_swap(load_word(data, at))
        at += U(8)
    return True


OWN, OWN_NOISE, OWN_GAPS, OWN_DISTANCES, OWN_RANKS = range(5)
LEVEL_ROWS, INTEGER_ROWS = (0, 3, 5, 6, 0), (2, 3, 5, 6, 0)
SUMS, NUMBERS, NOISE, DISTINCT = 1, 2, 3, 4


@kernel(inline="always", inner=True)
def _read_streams(reader, flags, distinct, rows, target):
    """Decode a mode and the streams of a block into a column; return whether they make sense."""
    cursor, stops, count = reader.cursor, reader.stops, U(target.words.size)
    ranked, distant = flags & U(RANKED) != U(0), flags & U(DISTANT) != U(0)
    whole, mode = _take_mode(reader, flags & U(KIND), target.is_double)
    if not whole:
        return False
    noisy, exceptions = mode.kind == U(GRID) or mode.kind == U(CUT), U(0)
    for stream in range(5):
        of_exceptions = stream in (OWN_GAPS, OWN_DISTANCES)
        if (of_exceptions and not distant) or (stream == OWN_NOISE and not noisy):
            continue
        if stream == OWN_RANKS and not ranked:
            continue
        if stream == OWN_GAPS:
            exceptions, cursor[AT] = take_varint(reader.data, cursor[AT], stops[AT])
            if cursor[AT] > stops[AT] or exceptions == U(0) or exceptions > distinct:
                return False
        size = exceptions if of_exceptions else distinct
        if stream == OWN_RANKS:
            size = count
        levels = rows[LEVEL_ROWS[stream]][:size]
        if stream == (OWN_RANKS if ranked else OWN):
            levels = target.levels
        whole, base, factor = read_stream(reader, rows[SUMS][:size], levels)
        if not whole:
            return False
        integers = rows[INTEGER_ROWS[stream]]
        for i in range(size):
            integers[i] = base + factor * levels[i]
    made = rows[DISTINCT][:distinct] if ranked else target.words
    if target.is_double:
        restore(mode, rows[NUMBERS][:distinct], rows[NOISE][:distinct], made)
    else:
        for i in range(distinct):
            made[i] = rows[NUMBERS, i]
    if not add_exceptions(rows[INTEGER_ROWS[OWN_GAPS]], rows[INTEGER_ROWS[OWN_DISTANCES]], exceptions, made):
        return False
    return not ranked or take_ranks(rows[INTEGER_ROWS[OWN_RANKS]], made, target.words)


@kernel(inner=True)
def _take_mode(reader, kind, is_double):
    """Return whether the mode at the cursor makes sense, and the mode."""
    data, at, stop = reader.data, reader.cursor[AT], reader.stops[AT]
    divisor, window, precision = U(1), U(1), U(0)
    if kind != U(BITS):
        divisor, at = take_varint(data, at, stop)
    if kind == U(GRID) or kind == U(CUT):
        window, at = take_varint(data, at, stop)
        precision, at = take_varint(data, at, stop)
    reader.cursor[AT] = at
    mode = KernelMode(kind, divisor, window, precision)
    return at <= stop and may_be(mode, is_double), mode


@kernel(inner=True)
def may_be(mode, is_double):
    """Return whether a mode that was read is one of numbers."""
    if mode.kind > U(CUT) or (mode.kind != U(BITS) and not is_double) or mode.divisor == U(0) or mode.window == U(0):
        return False
    return mode.bits <= U(MOST_BITS) and (mode.kind != U(STEPS) or mode.divisor <= U(MOST_DIGITS))


@kernel(inner=True)
def add_exceptions(gaps, exceptions, count, made):
    """Move numbers that the mode missed to where they belong; return whether all have a place."""
    place = ~U(0)
    for i in range(count):
        if gaps[i] >= U(made.size) - U(1) - place:
            return False
        place += gaps[i] + U(1)
        made[place] = ordered(ordered(made[place]) + exceptions[i])
    return True


@kernel(inner=True)
def take_ranks(ranks, made, words):
    """Fill words with the numbers of their ranks; return whether there are such."""
    for i in range(U(words.size)):
        if ranks[i] >= U(made.size):
            return False
        words[i] = made[ranks[i]]
    return True
