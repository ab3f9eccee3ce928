"""Several tables in a stream: of segments, and of contexts, neighbours among which share one while that saves bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs.tally.lanes import FULL, Tokens, begin_of, prepare_wide
from squeezelab.codecs.tally.shapes import FRACTION, LOG2, NLOGN, ONE, SCALES, SHAPES, SIDE
from squeezelab.codecs.tally.tables import EVERY_FAMILY, best_shape, gamma_bits, symbol_of_step
from squeezelab.codecs.tally.workspace import COSTS, COUNTS, PREPARED, STATE, owner_of
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U

MOST_TABLES = 8
"""Of contexts: more of them hardly save bits, and leave the fastest cache."""
RANGED_SHAPE = 25 * ONE
"""What a shape with its range takes."""
UNKNOWN = -(1 << 60)
BY_SHAPE, EITHER_WAY, EXPLICITLY = map(np.int64, range(3))
"""How tables of groups may be written; of one type, so that kernels are compiled once."""


class Segments(NamedTuple):
    """Lanes and epochs, or contexts, or groups of neighbours among them, each with a table.

    Attributes
    ----------
    cells : uint32[33 * 256]
        Counts of the tokens of each segment, 256 cells for one, and room for a further one.
    members : int64[32]
        Whose cells those of a group are in.
    costs, sizes : int64[32]
        Of a group the bits with its table, in 2^-12, and how many values.
    gains, joint : int64[32]
        What it saves to join a group with the next, `UNKNOWN` at first, and the table of both.
    owner, chosen : uint64[32]
        The group of each segment, and the table of each group: its shape, or `SHAPES` if it is explicit.
    """

    cells: npt.NDArray[np.uint32]
    members: npt.NDArray[np.int64]
    costs: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    gains: npt.NDArray[np.int64]
    joint: npt.NDArray[np.int64]
    owner: npt.NDArray[np.uint64]
    chosen: npt.NDArray[np.uint64]


@kernel(forceinline=True, inner=True)
def segments_of(work, owner, chosen):
    """Return room for segments, with that for their tables."""
    cells, room = work[COUNTS].view(np.uint32)[4096 : 4096 + 33 * 256], work[COSTS].view(np.int64)
    return Segments(cells, room[:32], room[32:64], room[64:96], room[96:128], room[128:160], owner, chosen)


@kernel(forceinline=True, inner=True)
def chosen_of(work):
    """Return where is told which shape each table has; to a reader, which table follows a token of each context."""
    return work[STATE][96:128]


@kernel(inner=True)
def shapes_of_segments(residuals, shift, layout, low, high, best, work):
    """Give each lane and epoch a shape, neighbours one while that saves bits; return how many, and the bits.

    How many is 0 where not even shapes for all of them take fewer bits than ``best``, but for a few.
    """
    segments = segments_of(work, owner_of(work), chosen_of(work))
    if shift:
        prepare_wide(residuals, Tokens(U(0), shift, U(3), U(0)), work[PREPARED])
    total = _count_segments(work[PREPARED], layout, low, high, segments, work)
    if total - 4 * ONE >= best:
        return np.int64(0), total
    count = np.int64(layout.lanes * layout.epochs)
    groups = join_segments(segments, count, count, low, high, BY_SHAPE, work)
    total = np.int64(count + 1) * ONE
    for j in range(groups):
        total += segments.costs[j]
    return groups, total


@kernel(inner=True)
def _count_segments(row, layout, low, high, segments, work):
    """Count the tokens of each lane and epoch, prepared in a row, and choose their shapes; return the bits of all."""
    count, lanes, epochs = layout
    per, total = count // lanes, np.int64(15 * ONE)
    for lane in range(lanes):
        begin, end = begin_of(lane, count, lanes), begin_of(lane + U(1), count, lanes)
        for epoch in range(epochs):
            segment = np.int64(lane * epochs + epoch)
            own = segments.cells[256 * segment : 256 * segment + 256]
            for i in range(256):
                own[i] = 0
            last = begin + (epoch + U(1)) * per // epochs if epoch + U(1) < epochs else end
            first = begin + epoch * per // epochs
            for i in range(first, last):
                own[(row[i] & U(0xFFFF)) - U(FULL - SIDE)] += np.uint32(1)
            size = np.int64(last - first)
            begin_group(segments, segment, segment, size)
            choose_table(segments, segment, low, high, BY_SHAPE, work)
            total += segments.costs[segment] - 9 * ONE
    return total


@kernel(inner=True)
def begin_group(segments, group, segment, size):
    """Begin a group with a segment of so many values."""
    segments.sizes[group], segments.members[group], segments.owner[segment] = size, segment, U(group)


@kernel(inner=True)
def choose_table(segments, group, low, high, ways, work):
    """Fill which table a group has, and what that takes."""
    own = segments.cells[256 * segments.members[group] :]
    chosen, cost = _best_table(work, own, low, high, segments.sizes[group], ways, EVERY_FAMILY)
    segments.costs[group], segments.chosen[group], segments.gains[group] = cost, U(chosen), UNKNOWN


@kernel(inner=True)
def _best_table(work, cells, low, high, count, ways, families):
    """Return the shape that codes counted tokens with the fewest bits, and these with its number's nine.

    Or, if such tables may be, `SHAPES` for an explicit one, and about how many bits that takes.
    """
    if ways == BY_SHAPE:
        shape, bits = best_shape(work, cells, low, high, count, families)
        return shape, bits + 9 * ONE
    own = _explicit_bits(cells, low, high, count)
    if ways == EXPLICITLY:
        return SHAPES, own
    shape, bits = best_shape(work, cells, low, high, count, families)
    return (shape, bits + RANGED_SHAPE) if bits + RANGED_SHAPE < own else (SHAPES, own)


@kernel(inner=True)
def _explicit_bits(cells, low, high, count):
    """Return about how many bits counted tokens take with an explicit table, by the nearest level of each."""
    bits, before, run = NLOGN[count] + count * (ONE // 160), np.int64(6), np.int64(0)
    for i in range(U(low), U(high)):
        seen = np.int64(cells[i])
        if seen == 0:
            run += 1
            continue
        if run:
            bits += (1 + gamma_bits(run - 1)) << FRACTION
        level = (2 * (LOG2[seen] + 10 * ONE - LOG2[count]) + ONE) // ONE + 1
        bits += (gamma_bits(symbol_of_step(level - before, True)) << FRACTION) - NLOGN[seen]
        before, run = level, np.int64(0)
    return bits


@kernel(inner=True)
def join_segments(segments, count, groups, low, high, ways, work):
    """Join the two neighbours that save most, while any do; return how many groups are left.

    Explicit tables may be in contexts alone, of which `MOST_TABLES` groups are left.
    """
    while groups > 1:
        most, at = np.int64(0), np.int64(-1)
        for j in range(groups - 1):
            if segments.gains[j] == UNKNOWN:
                _try_to_join(segments, j, low, high, ways, work)
            if segments.gains[j] > most or (at < 0 and ways != BY_SHAPE and groups > MOST_TABLES):
                most, at = segments.gains[j], np.int64(j)
        if at < 0:
            break
        groups -= 1
        _join(segments, at, groups)
        for i in range(count):
            if segments.owner[i] > U(at):
                segments.owner[i] -= U(1)
    return groups


@kernel(inner=True)
def _try_to_join(segments, j, low, high, ways, work):
    """Fill what it saves to join a group with the next."""
    cells, members, costs = segments.cells, segments.members, segments.costs
    both = cells[256 * 32 : 256 * 33]
    one, two = cells[256 * members[j] :], cells[256 * members[j + 1] :]
    for i in range(U(256)):
        both[i] = one[i] + two[i]
    families, size = EVERY_FAMILY, segments.sizes[j] + segments.sizes[j + 1]
    if ways == EITHER_WAY and max(segments.chosen[j], segments.chosen[j + 1]) < U(SHAPES):
        # Where there are many contexts, what is joined has the family of one of both.
        families = (U(1) << segments.chosen[j] // U(SCALES)) | (U(1) << segments.chosen[j + 1] // U(SCALES))
    chosen, cost = _best_table(work, both, low, high, size, ways, families)
    segments.gains[j] = costs[j] + costs[j + 1] + ONE // 2 - cost
    segments.joint[j] = chosen


@kernel(inner=True)
def _join(segments, at, left):
    """Join a group with the next, so that ``left`` are left."""
    cells, members, costs, sizes, gains, joint, _, chosen = segments
    one, two = cells[256 * members[at] :], cells[256 * members[at + 1] :]
    for i in range(U(256)):
        one[i] += two[i]
    costs[at] += costs[at + 1] + ONE // 2 - gains[at]
    chosen[at] = U(joint[at])
    sizes[at] += sizes[at + 1]
    for j in range(at + 1, left):
        costs[j], chosen[j], members[j], sizes[j] = costs[j + 1], chosen[j + 1], members[j + 1], sizes[j + 1]
    for j in range(at, left - 1):
        gains[j], joint[j] = gains[j + 1], joint[j + 1]
    if at > 0:
        gains[at - 1] = UNKNOWN
    if at < left - 1:
        gains[at] = UNKNOWN
