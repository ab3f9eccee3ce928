"""Blocks of which several are tried: in the arithmetics that may have made their numbers, by ranks, by models.

What was differences of a counter, times a step, rounded by an old parser, has many exceptions or any bits comes here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs.tally.adaptive import LONG, Limits, least_promised
from squeezelab.codecs.tally.modes import BITS, GRID, KernelMode, take_apart
from squeezelab.codecs.tally.parts import STREAMS, Apart, apart_by, integers_of, order_words
from squeezelab.codecs.tally.prediction import NONE_COMMON
from squeezelab.codecs.tally.ranks import count_changes, rank, saved_by_ranks
from squeezelab.codecs.tally.search import EXCEPTION_BITS, MOST_MODES, fill_part, search_modes
from squeezelab.codecs.tally.shapes import ONE
from squeezelab.codecs.tally.static_streams import moved_down
from squeezelab.codecs.tally.streams import CELLS, estimate_bits
from squeezelab.codecs.tally.workspace import (
    COSTS,
    COUNTS,
    DISTINCT,
    EXCEPTIONS,
    LEVELS,
    LISTED,
    NOISE,
    ORDERED,
    RANKS,
    RESIDUALS,
    SKIPPED,
    STATE,
)
from squeezelab.codecs.tally.written import (
    FEWEST_TO_ADAPT,
    WORTH_ADAPTING,
    Written,
    as_bits,
    not_yet,
    write_models,
    write_streams,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, zigzag

SURE = 1.03
"""Long blocks are written in one of two ways if it promises to be smaller by more than this."""
MODES_AT = 4096
"""Where in its row modes are listed."""


class Ways(NamedTuple):
    """How a block may be written: the parts of its words and of its distinct ones, and whether either is tried.

    Attributes
    ----------
    plain, ranked : Apart
    is_plain, is_ranked : bool
    """

    plain: Apart
    ranked: Apart
    is_plain: bool
    is_ranked: bool


@kernel(inner=True)
def write_tried(words, is_double, level, work, buffer, begin):
    """Write a block in the way, of all that are tried, that makes it smallest.

    Returns
    -------
    at : uint64
        The byte after it.
    """
    ordering = work[ORDERED][: words.size]
    order_words(words, is_double, ordering)
    distinct, common = rank(ordering, work)
    ways = _choose_ways(words, is_double, distinct, level, work)
    plain = not_yet(ways.plain, begin)
    if ways.is_plain:
        plain = write_streams(ways.plain, NONE_COMMON, level, work, buffer, begin)
    ranked = not_yet(ways.ranked, plain.at)
    if ways.is_ranked:
        if ways.is_plain:
            apart_by(ways.ranked.mode, words, is_double, distinct, work)
        ranked = write_streams(ways.ranked, common, level, work, buffer, plain.at)
    of_words, of_ranks = plain.at - begin, ranked.at - plain.at
    least, end = of_words, plain.at
    if ways.is_ranked and (of_ranks < of_words or not ways.is_plain):
        least, end = of_ranks, moved_down(buffer, plain.at, ranked.at, begin)
    if level > U(1) and U(words.size) >= U(FEWEST_TO_ADAPT):
        room = begin + max(least, of_words)
        if ways.is_ranked:
            end = _try_models(words, is_double, ranked, of_ranks, least, end, room, level, work, buffer, begin)
        if ways.is_plain:
            end = _try_models(words, is_double, plain, of_words, least, end, room, level, work, buffer, begin)
    return end


@kernel(inner=True)
def _choose_ways(words, is_double, distinct, level, work):
    """Return how a block is written, and leave the parts of its words, or of distinct ones if these are not tried."""
    none, count = Apart(as_bits(), U(words.size), U(0), U(0)), U(words.size)
    found = _search(words, is_double, U(0), work)
    if distinct == U(0):
        return Ways(_take_apart(words, is_double, distinct, found, work), none, True, False)
    count_changes(work[RANKS][: words.size], distinct, work)
    order_words(work[DISTINCT][:distinct], is_double, work[LISTED])
    found_ranked = _search(words, is_double, distinct, work)
    ranked = _take_apart(words, is_double, distinct, found_ranked, work)
    is_certain = _listed_mode(found, U(0), work) == ranked.mode and ranked.missed <= distinct >> U(3)
    if level < U(3) and is_certain and _saved_by_ranks(ranked, work) > _sure_from(count, level):
        return Ways(none, ranked, False, True)
    is_compared = level < U(3) and count >= U(LONG)
    of_ranks = _promised(ranked, work) if is_compared else 0.0
    plain = _take_apart(words, is_double, U(0), found, work)
    of_words = _promised(plain, work) if is_compared else 0.0
    if of_words > SURE * of_ranks:
        apart_by(ranked.mode, words, is_double, distinct, work)
        return Ways(plain, ranked, False, True)
    # What promises little as deltas may be as wide as any where it is packed; ranks are not.
    return Ways(plain, ranked, True, level == U(1) or of_ranks <= SURE * of_words)


@kernel(inner=True)
def _sure_from(count, level):
    """Return from how many bits on that ranks save of so many numbers no other way is tried."""
    if level == U(1):
        return count
    return count << U(2) if count < U(LONG) else count >> U(2)


@kernel(inner=True)
def _search(words, is_double, distinct, work):
    """List the modes that may have made words, or so many distinct ones; return how many there are."""
    source = work[LISTED][:distinct] if distinct else words
    return search_modes(source, work[LEVELS : LEVELS + 4], _listed_modes(distinct, work)) if is_double else 0


@kernel(inner=True)
def _listed_mode(found, distinct, work):
    """Return the first mode of those listed, that of words as they are if there are none."""
    return _mode_of(_listed_modes(distinct, work)[0]) if found else as_bits()


@kernel(inner=True)
def _take_apart(words, is_double, distinct, found, work):
    """Take words apart, or so many distinct ones, by the listed mode that promises the fewest bits."""
    source, modes = work[LISTED][:distinct] if distinct else words, _listed_modes(distinct, work)
    mode, rival = _listed_mode(found, distinct, work), as_bits()
    if mode.kind >= U(GRID):
        mode = _best_grid(source, modes[:found], work)
    elif found > 1:
        rival = _best_grid(source, modes[1:found], work)
    best = apart_by(mode, words, is_double, distinct, work)
    if rival.kind == U(BITS) and best.missed <= U(source.size) >> U(3):
        return best
    bits, other = _promised(best, work), apart_by(rival, words, is_double, distinct, work)
    return other if _promised(other, work) < bits else apart_by(mode, words, is_double, distinct, work)


@kernel(inner=True)
def _promised(apart, work):
    """Return about how many bits a block of parts takes."""
    bits = 0.0
    for stream in range(STREAMS):
        integers = integers_of(stream, apart, work)
        if integers.size:
            bits += least_promised(integers, work)
    return bits


@kernel(inner=True)
def _saved_by_ranks(apart, work):
    """Return about how many bits ranks of distinct words save at least, of numbers and of exceptions."""
    saved, place, counts = saved_by_ranks(apart.distinct, work), ~U(0), work[COSTS]
    for i in range(apart.missed):
        place += work[SKIPPED][i] + U(1)
        saved += (counts[place] - U(1)) * _bits_of_exception(work[EXCEPTIONS][i])
    return saved


@kernel(forceinline=True, inner=True)
def _bits_of_exception(distance):
    """Return about how many bits an exception takes, with the gap before it."""
    return U(EXCEPTION_BITS // 2 + 64) - leading_zeros(zigzag(distance))


@kernel(forceinline=True, inner=True)
def _listed_modes(distinct, work):
    """Return where modes of words are listed, or of distinct ones, uint64[MOST_MODES, 4]."""
    at = MODES_AT + (4 * MOST_MODES if distinct else 0)
    return work[STATE][at : at + 4 * MOST_MODES].reshape(MOST_MODES, 4)


@kernel(forceinline=True, inner=True)
def _mode_of(row):
    return KernelMode(row[0], row[1], row[2], row[3])


@kernel(inner=True)
def _best_grid(words, modes, work):
    """Return the grid whose noise and exceptions promise the fewest bits, of a part of the numbers."""
    best, fewest = _mode_of(modes[0]), np.inf
    if len(modes) == 1:
        return best
    part = fill_part(words, work[LEVELS])
    for row in modes:
        mode, noise, exceptions = _mode_of(row), work[NOISE][: part.size], work[EXCEPTIONS][: part.size]
        bits = 0.0
        if take_apart(mode, part, work[RESIDUALS][: part.size], noise, exceptions):
            for i in range(U(part.size)):
                if exceptions[i]:
                    bits += float(_bits_of_exception(exceptions[i]))
        for i in range(U(part.size)):
            noise[i] = zigzag(noise[i])
        bits += estimate_bits(noise, work[COUNTS].view(np.int64)[: 2 * CELLS])
        if bits < fewest:
            best, fewest = mode, bits
    return best


@kernel(inner=True)
def _try_models(words, is_double, block, size, least, end, room, level, work, buffer, begin):
    """Write a block with models that learn in place of the smallest one, if these promise to save enough.

    Returns
    -------
    end : uint64
        The byte after the smallest block.
    """
    limit = least * U(WORTH_ADAPTING) // U(100) if level == U(2) else least - U(1)
    most, is_long = np.inf, block.apart.values >= U(LONG)
    if level == U(2) and is_long and size > least:
        return end
    if level == U(2) and (is_long or size > least):
        # The numbers alone must take less by as much. What contexts tell is saved about twice, by the two sizes before.
        most = float(8 * ONE * (np.int64(limit) - np.int64(size - block.own)) + 2 * block.gain) / float(ONE)
    apart = apart_by(block.apart.mode, words, is_double, block.apart.distinct, work)
    limits = Limits(min(limit, end - begin - U(1)), most, level == U(2))
    after = write_models(Written(room, apart, block.own, block.coder, block.gain), limits, work, buffer, begin)
    return after if after else end
