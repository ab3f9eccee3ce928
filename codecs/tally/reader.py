"""Reading columns from frames, payloads or blocks by one kernel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frames import FLOAT64_TAG, find_payload
from squeezelab.codecs.tally import blocks
from squeezelab.codecs.tally.blocks import (
    AS_THEY_ARE,
    DISTANT,
    KIND,
    OWN,
    OWN_DISTANCES,
    OWN_GAPS,
    OWN_NOISE,
    OWN_RANKS,
    RANKED,
    ROOM_ROWS,
    BlockWorkspace,
    add_exceptions,
    may_be,
    take_ranks,
)
from squeezelab.codecs.tally.lanes import are_alike, lanes_of
from squeezelab.codecs.tally.modes import BITS, CUT, DIVIDE, GRID, KernelMode, restore
from squeezelab.codecs.tally.nibbles import MODELS
from squeezelab.codecs.tally.static import Static, no_static, read_both_static, read_static
from squeezelab.codecs.tally.static_streams import open_lanes, read_stream
from squeezelab.codecs.tally.workspace import (
    BLOCK,
    EXCEPTIONS,
    GAPS,
    INVERSES,
    MOST_REFERENCES,
    NOISE,
    NUMBERS,
    OTHER_LEVELS,
    RESULT,
    SHARES,
    STATE,
    WEIGHTS,
    Target,
)
from squeezelab.codecs.tally.writer import SEED, VERSION
from squeezelab.codecs.tally.written import ADAPTIVE
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    MOST_DIVISOR,
    U,
    borrowed,
    double_of,
    float_of,
    load_little,
    quotient_of,
    take_varint,
    word_of,
)
from squeezelab.kernels.xxh3 import ROOM

COUNT, BEGIN, END, CODER, FIRST_BLOCK, WORDS_AT, LEVELS_AT, REFERENCES = range(8)
FIELDS = REFERENCES + MOST_REFERENCES
"""A row of a table of columns: see `read_columns`."""
LOCATED, SIZED, PAYLOADS, FRAMES = range(4)
"""What columns are read from: blocks at any place; blocks with their sizes before them; payloads; frames."""


def table_of(columns: int) -> npt.NDArray[np.int64]:
    """Return a table of columns that are predicted from nothing, of which no levels are kept."""
    table = np.zeros((columns, FIELDS), np.int64)
    table[:, LEVELS_AT:] = -1
    return table


@kernel
def read_columns(data, table, located, form, is_double, levels, words, works):
    """Fill the words of columns.

    Parameters
    ----------
    data : uint8[...]
        Where they are read from; `READ_SLACK` bytes after each block must be readable.
    table : int64[columns, FIELDS]
        Of each column how many values it has; where in ``data`` it begins and ends; of which version its blocks are;
        which of ``located`` is the first; where its words go, and its levels, -1 if they need not be kept; from which
        other columns, before it, it is predicted, -1 for none.
    located : uint64[2, blocks of all]
        Where each block begins and ends, if they are `LOCATED`.
    form : int
        `LOCATED`, `SIZED`, `PAYLOADS` or `FRAMES`. Payloads tell their version themselves, frames also their dtype.
    is_double : bool
        Whether the columns hold doubles.
    levels, words : uint64[...], uint64[values of all]
        Filled.
    works : uint64[2, ROWS, BLOCK]
        `make_works`.

    Returns
    -------
    after : int64
        The byte after the last block, which `SIZED` ones may leave before the end of the column; -1 if any does not
        hold exactly as many values as it should.
    """
    data, table, located, levels = borrowed(data), borrowed(table), borrowed(located), borrowed(levels)
    words, works, at, turn = borrowed(words), borrowed(works), U(0), U(0)
    none = no_static()
    held = Held(Block(U(0), U(0), False, U(0), U(0)), none, False)
    for i in range(table.shape[0]):
        work = works[turn]
        at, stop, coder = U(table[i, BEGIN]), U(table[i, END]), table[i, CODER]
        if form == FRAMES:
            if at >= stop:
                return np.int64(-1)
            is_double = data[at] == FLOAT64_TAG
            at, stop = find_payload(data, at, stop, SEED, U(table[i, COUNT]), work[STATE][:ROOM])
            if stop == U(0):
                return np.int64(-1)
        if form >= PAYLOADS:
            coder = np.int64(1)
            if at < stop and data[at] == VERSION and table[i, COUNT]:
                coder, at = np.int64(VERSION), at + U(1)
        for first in range(0, table[i, COUNT], BLOCK):
            if form == LOCATED:
                place = table[i, FIRST_BLOCK] + first // BLOCK
                at, end = located[0, place], located[1, place]
            else:
                length, at = take_varint(data, at, stop)
                if at > stop or length > stop - at:
                    return np.int64(-1)
                end = at + length
            work, size = works[turn], min(table[i, COUNT] - first, BLOCK)
            known = _take_others(table, i, first, size, levels, work)
            kept, begin = table[i, LEVELS_AT] >= 0, U(table[i, WORDS_AT] + first)
            if coder == 1 or kept or known:
                own = work[INVERSES][:size]
                if kept:
                    own = levels[table[i, LEVELS_AT] + first : table[i, LEVELS_AT] + first + size]
                target = Target(is_double, kept, own, words[begin : begin + U(size)])
                # Nothing was read ahead; said by a literal, this would be compiled twice.
                whole = _read_either(data, at, end, coder, known, target, none.whole, work)
            else:
                block = Block(at, end, is_double, begin, U(size))
                whole, held, turn = _read_next(data, held, block, turn, words, works)
            if not whole:
                return np.int64(-1)
            at = end
        if form >= PAYLOADS and at != stop:
            return np.int64(-1)
    if held.static.whole and not _read_alone(data, held, words, works[U(1) - turn]):
        return np.int64(-1)
    return np.int64(at)


@kernel(inner=True)
def _take_others(table, i, first, size, levels, work):
    """Fill the levels of the columns that a block is predicted from; return how many these are."""
    known = U(0)
    while known < U(MOST_REFERENCES) and table[i, U(REFERENCES) + known] >= 0:
        place = table[table[i, U(REFERENCES) + known], LEVELS_AT] + first
        own = work[U(OTHER_LEVELS) + known]
        for k in range(size):
            own[k] = levels[place + k]
        known += U(1)
    return known


class Block(NamedTuple):
    """A block that is to be read.

    Attributes
    ----------
    at, stop : uint64
        It is ``data[at:stop]``.
    is_double : bool
        Whether its numbers are doubles.
    place, size : uint64
        Where its words go, and how many these are.
    """

    at: np.uint64
    stop: np.uint64
    is_double: bool
    place: np.uint64
    size: np.uint64


class Held(NamedTuple):
    """A block that is held back, if any is.

    Attributes
    ----------
    block : Block
    static : Static
        The residuals of its levels, ready to be read in two lanes; not so if none is held back.
    ranked : bool
        Whether these levels are ranks.
    """

    block: Block
    static: Static
    ranked: bool


@kernel(inline="always", inner=True)
def _read_next(data, held, block, turn, words, works):
    """Decode a block, or hold it back until another one comes whose lanes can be read beside its own.

    Returns
    -------
    whole : bool
        Whether what was decoded is.
    held : Held
    turn : uint64
        The workspace for the next block; one that is held back has the other.
    """
    work, other = works[turn], works[U(1) - turn]
    own = _hold(data, block, work)
    if not own.static.whole:
        return _read_held(data, own, words, work), held, turn
    if not held.static.whole:
        return True, own, U(1) - turn
    if not are_alike(held.static.lanes, own.static.lanes):
        return _read_alone(data, held, words, other), own, U(1) - turn
    levels, own_levels = _levels_of(held, words, other), _levels_of(own, words, work)
    whole = read_both_static(data, held.static, own.static, other, work, levels, own_levels)
    whole = whole and _read_held(data, held, words, other) and _read_held(data, own, words, work)
    return whole, Held(block, no_static(), False), turn


@kernel(inline="always", inner=True)
def _read_alone(data, held, words, work):
    """Decode a block that was held back; return whether it is whole."""
    whole = read_static(data, held.static, work, _levels_of(held, words, work))
    return whole and _read_held(data, held, words, work)


@kernel(inline="always", inner=True)
def _hold(data, block, work):
    """Return a block as it is held back, if its levels are in two lanes."""
    at, stop, nothing = block.at, block.stop, Held(block, no_static(), False)
    if at >= stop or lanes_of(block.size) != U(2) or data[at] == ADAPTIVE or data[at] == AS_THEY_ARE:
        return nothing
    whole, head, at = _take_head(data, at, stop, block.size, block.is_double)
    if not whole:
        return nothing
    # They are in the first stream, or in the last one if they are ranks; all but the last one have a size.
    for _ in range(_streams_beside(head)):
        size, at = take_varint(data, at, stop)
        if at > stop or size > stop - at:
            return nothing
        if not head.ranked:
            stop = at + size
            break
        at += size
    return Held(block, open_lanes(data, at, stop, block.size, work), head.ranked)


@kernel(forceinline=True, inner=True)
def _levels_of(held, words, work):
    """Return where the levels of a block go."""
    place, size = held.block.place, held.block.size
    return work[NUMBERS][:size] if held.ranked else words[place : place + size]


@kernel(inline="always", inner=True)
def _read_held(data, held, words, work):
    """Decode a block, whose levels' residuals were read ahead if they stood ready; return whether it is whole."""
    at, stop, is_double, place, size = held.block
    target = Target(is_double, False, work[INVERSES][:size], words[place : place + size])
    return _read_either(data, at, stop, np.int64(VERSION), U(0), target, held.static.whole, work)


@kernel(inline="always", inner=True)
def _read_either(data, at, stop, coder, known, target, ahead, work):
    """Decode a block of either version."""
    others = work[OTHER_LEVELS : OTHER_LEVELS + MOST_REFERENCES]
    if coder == 1 or (at < stop and data[at] == ADAPTIVE):
        # It works in rows that the other version leaves alone meanwhile.
        models, ages = work[WEIGHTS].view(np.uint16)[: MODELS * 16], work[SHARES].view(np.uint8)[:MODELS]
        room = BlockWorkspace(models, ages, work[:ROOM_ROWS], work[STATE][:5], work[STATE][5:10])
        whole = blocks.read_block(data, at + U(coder != 1), stop, others, known, room, target)
    else:
        whole = read_block(data, at, stop, known, target, ahead, work)
    return whole


class Head(NamedTuple):
    """What a block says before its streams.

    Attributes
    ----------
    mode : KernelMode
    ranked, noisy : bool
        Whether there are ranks, and a stream of ``e``.
    distinct, exceptions : uint64
        How many numbers the mode makes, and how many it missed.
    """

    mode: KernelMode
    ranked: bool
    noisy: bool
    distinct: np.uint64
    exceptions: np.uint64


STREAM_ROWS = (RESULT, NOISE, GAPS, EXCEPTIONS, NUMBERS)


@kernel(inner=True)
def read_block(data, at, stop, known, target, ahead, work):
    """Decode a block of version 2, but `ADAPTIVE`, into a column of up to `BLOCK` values.

    Parameters
    ----------
    data, at, stop : uint8[...], uint64, uint64
        The block is ``data[at:stop]``; `READ_SLACK` bytes after it must be readable.
    known : uint64
        From how many other columns this one may be predicted; the rows `OTHER_LEVELS` have their levels.
    target : Target
    ahead : bool
        Whether the residuals of its levels were read already, which `_hold` made ready.
    work
        A part of `make_works`.

    Returns
    -------
    whole : bool
        Whether the block holds exactly n values.
    """
    words, count = target.words, U(target.words.size)
    if at >= stop or count > U(BLOCK):
        return False
    if data[at] == AS_THEY_ARE:
        return _read_as_they_are(data, at + U(1), stop, target)
    whole, head, at = _take_head(data, at, stop, count, target.is_double)
    if not whole:
        return False
    # What fills the column bit by bit, between steps of the decoder, does not wait for memory at the end.
    numbers = work[RESULT][: head.distinct] if head.ranked else words
    whole, base, factor = _read_streams(data, at, stop, head, known, target, ahead, numbers, work)
    if not whole:
        return False
    made = work[RESULT + 1][: head.distinct] if head.ranked else words
    if head.mode.kind == U(DIVIDE):
        _divide_by(numbers.view(np.float64), base, factor, np.float64(head.mode.divisor))
        made = numbers
    else:
        for i in range(head.distinct):
            numbers[i] = base + factor * numbers[i]
        if target.is_double:
            restore(head.mode, numbers, work[NOISE][: head.distinct], made)
        else:
            made = numbers
    if not add_exceptions(work[GAPS], work[EXCEPTIONS], head.exceptions, made):
        return False
    return not head.ranked or take_ranks(work[NUMBERS], made, words)


@kernel(inner=True)
def _read_as_they_are(data, at, stop, target):
    """Decode numbers as they are."""
    count = U(target.words.size)
    if stop - at != count << U(3):
        return False
    for i in range(count):
        target.words[i] = load_little(data, at + (i << U(3)))
        if target.kept:
            target.levels[i] = target.words[i]
    return True


@kernel(inner=True)
def _take_head(data, at, stop, count, is_double):
    """Return whether a block's head makes sense, what it says, and the byte after it."""
    flags = U(data[at])
    at += U(1)
    kind, ranked, distant = flags & U(KIND), flags & U(RANKED) != U(0), flags & U(DISTANT) != U(0)
    noisy = kind == U(GRID) or kind == U(CUT)
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
    head = Head(KernelMode(kind, divisor, window, precision), ranked, noisy, distinct, exceptions)
    if at > stop or distinct == U(0) or distinct > count or exceptions > distinct or (distant and exceptions == U(0)):
        return False, head, at
    return flags >> U(5) == U(0) and may_be(head.mode, is_double), head, at


@kernel(forceinline=True, inner=True)
def _streams_beside(head):
    """Return how many streams a block has beside its first one: of e, gaps and distances of exceptions, and ranks."""
    return U(head.noisy) + U(2) * U(head.exceptions > U(0)) + U(head.ranked)


@kernel(inline="always", inner=True)
def _read_streams(data, at, stop, head, known, target, ahead, numbers, work):
    """Read the streams of a block into their rows, the first one into ``numbers``, whose base and divisor are left."""
    left, base, factor = U(1) + _streams_beside(head), U(0), U(1)
    for stream in range(5):
        of_exceptions = stream in (OWN_GAPS, OWN_DISTANCES)
        if (of_exceptions and head.exceptions == U(0)) or (stream == OWN_NOISE and not head.noisy):
            continue
        if stream == OWN_RANKS and not head.ranked:
            continue
        left -= U(1)
        end = stop
        if left:
            size, at = take_varint(data, at, stop)
            if at > stop or size > stop - at:
                return False, base, factor
            end = at + size
        size = head.exceptions if of_exceptions else head.distinct
        if stream == OWN_RANKS:
            size = U(target.words.size)
        predicted = stream == (OWN_RANKS if head.ranked else OWN)
        own = numbers if stream == OWN else work[STREAM_ROWS[stream]][:size]
        others = known if predicted else U(0)
        whole, first, step = read_stream(data, at, end, others, ahead and predicted, work, own)
        if not whole:
            return False, base, factor
        at = end
        if predicted and target.kept:
            for i in range(size):
                target.levels[i] = own[i]
        if stream == OWN:
            base, factor = first, step
        else:
            for i in range(size):
                own[i] = first + step * own[i]
    return True, base, factor


@kernel(inner=True)
def _divide_by(doubles, base, factor, divisor):
    """Turn levels, held in the bits of doubles, into integers over a divisor."""
    every = U(0)
    if factor != U(1):
        for i in range(U(doubles.size)):
            doubles[i] = float_of(factor * word_of(doubles[i]))
    for i in range(U(doubles.size)):
        every |= base + word_of(doubles[i]) + U(1 << 51)
    if every >> U(52) or divisor > float(MOST_DIVISOR):
        for i in range(U(doubles.size)):
            doubles[i] = np.float64(np.int64(base + word_of(doubles[i]))) / divisor
        return
    if divisor == 1.0:
        for i in range(U(doubles.size)):
            doubles[i] = double_of(base + word_of(doubles[i]))
    else:
        inverse = 1.0 / divisor
        for i in range(U(doubles.size)):
            doubles[i] = quotient_of(double_of(base + word_of(doubles[i])), divisor, inverse)
