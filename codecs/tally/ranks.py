"""Few distinct integers: how many there are, and each by its rank among them."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.prediction import common_divisor, extremes
from squeezelab.codecs.tally.shapes import LOG2, MOST_COUNT, ONE
from squeezelab.codecs.tally.workspace import (
    CODES,
    COSTS,
    DISTINCT,
    INVERSES,
    LEVELS,
    OTHER_RESIDUALS,
    PREPARED,
    RANKS,
    RESIDUALS,
    TABLE,
    WEIGHTS,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros

FEWEST_TO_RANK = 64
MOST_DISTINCT = 7 / 8
"""Of more integers than this share, ranks hardly save what the list takes."""
GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: what it multiplies is spread over the upper bits (D. Knuth, TAOCP 3, 6.4)."""


@kernel(inner=True)
def rank(numbers, work):
    """Fill the rows `RANKS` and `DISTINCT`: integers numbered by their order, and which there are.

    Returns
    -------
    distinct : uint64
        How many there are; 0 if they are more than `MOST_DISTINCT` of all.
    common : uint64
        The rank of the one that comes most often.
    """
    distinct = list_distinct(numbers, work)
    return distinct, fill_ranks(U(numbers.size), distinct, work)


@kernel(inner=True)
def list_distinct(numbers, work):
    """Fill the row `DISTINCT`, and `COSTS` with how often each comes; return as `rank` does."""
    found, often = work[DISTINCT], work[RESIDUALS]
    distinct = _number(numbers, work[RANKS][: numbers.size], found, often, work)
    if distinct:
        _sort(found[:distinct], often, work[COSTS][:distinct], work[INVERSES][:distinct], work)
    return distinct


@kernel(inner=True)
def fill_ranks(count, distinct, work):
    """Turn what `list_distinct` has left into ranks; return the most common one."""
    ranks, places, counts, common = work[RANKS][:count], work[INVERSES], work[COSTS], U(0)
    if distinct:
        for i in range(count):
            ranks[i] = places[ranks[i]]
    for i in range(U(1), distinct):
        if counts[i] > counts[common]:
            common = U(i)
    return common


@kernel(inner=True)
def count_changes(ranks, distinct, work):
    """Count for `saved_by_ranks` only numbers that differ from the one before: others are deltas of 0."""
    counts = work[COSTS]
    for i in range(distinct):
        counts[i] = U(0)
    counts[ranks[0]] = U(1)
    for i in range(U(1), U(ranks.size)):
        counts[ranks[i]] += U(ranks[i] != ranks[i - U(1)])


@kernel(inner=True)
def saved_by_ranks(distinct, work):
    """Return about how many bits ranks save: each the distance to the integer before, which a list of them costs once.

    What the least one saves is not counted: most often that is 0, which takes next to nothing in any case.

    The row `DISTINCT` has what integers `rank` has found, or others that are made of them in the same order.
    """
    found, counts, saved = work[DISTINCT][:distinct], work[COSTS], np.int64(0)
    if distinct == U(0):
        return distinct
    step = max(common_divisor(found, found[0]), U(1))
    for i in range(U(1), distinct):
        far = LOG2[min((found[i] - found[i - U(1)]) // step, U(MOST_COUNT))]
        saved += np.int64(counts[i]) * far - far - 2 * ONE
    return U(max(saved, np.int64(0)) // ONE)


@kernel(inner=True)
def _number(numbers, ranks, found, often, work):
    """Give integers numbers as they come; return how many are distinct, 0 if these are too many."""
    count, distinct, most = U(numbers.size), U(0), U(MOST_DISTINCT * numbers.size)
    bits, owners = U(64) - leading_zeros(count), work[TABLE : TABLE + 2].reshape(-1).view(np.uint16)
    shift, last = U(64) - bits, (U(1) << bits) - U(1)
    for i in range(last + U(1)):
        owners[i] = 0
    for i in range(count):
        number = numbers[i]
        # Twice: there are steps whose multiples stay side by side if they are spread but once.
        once = number * U(GOLDEN)
        slot = ((once ^ (once >> U(32))) * U(GOLDEN)) >> shift
        own = U(owners[slot])
        while own and found[own - U(1)] != number:
            slot = (slot + U(1)) & last
            own = U(owners[slot])
        if own == U(0):
            if distinct == most:
                return U(0)
            found[distinct], often[distinct] = number, U(0)
            distinct += U(1)
            owners[slot] = own = distinct
        ranks[i] = own - U(1)
        often[own - U(1)] += U(1)
    return distinct


@kernel(inner=True)
def _sort(numbers, often, counts, places, work):
    """Sort integers in two's complement, digit by digit, and how often they come; fill the place that each gets."""
    count, keys, other_keys = U(numbers.size), work[LEVELS], work[OTHER_RESIDUALS]
    owners, other_owners, digits, every = work[PREPARED], work[CODES], work[WEIGHTS], U(0)
    for i in range(count):
        keys[i], owners[i] = numbers[i] ^ (U(1) << U(63)), U(i)
        every |= numbers[i] ^ numbers[0]
    bits = U(11) if count > U(1024) else U(8)
    last = (U(1) << bits) - U(1)
    for shift in range(U(0), U(64), bits):
        if (every >> shift) & last:
            for i in range(last + U(1)):
                digits[i] = U(0)
            for i in range(count):
                digits[(keys[i] >> shift) & last] += U(1)
            before = U(0)
            for i in range(last + U(1)):
                before, digits[i] = before + digits[i], before
            for i in range(count):
                digit = (keys[i] >> shift) & last
                place = digits[digit]
                digits[digit] = place + U(1)
                other_keys[place], other_owners[place] = keys[i], owners[i]
            keys, other_keys, owners, other_owners = other_keys, keys, other_owners, owners
    for i in range(count):
        numbers[i], counts[i], places[owners[i]] = keys[i] ^ (U(1) << U(63)), often[owners[i]], U(i)


@kernel(inner=True)
def are_sparse(numbers, work):
    """Return whether few numbers are distinct of those that lie between the least and the largest, and come again."""
    count = U(numbers.size)
    if count < U(FEWEST_TO_RANK):
        return False
    least, most = extremes(numbers)
    span = most - least
    limit = min(count >> U(1), span >> U(2))
    distinct = _distinct_of(numbers, limit, work)
    if distinct > limit:
        return False
    return span // max(common_divisor(numbers, least), U(1)) >= U(4) * distinct


@kernel(inner=True)
def changes_of(numbers):
    """Return how many numbers differ from the one before."""
    changes = U(0)
    for i in range(U(1), U(numbers.size)):
        changes += U(numbers[i] != numbers[i - U(1)])
    return changes


@kernel(inner=True)
def _distinct_of(numbers, limit, work):
    """Return about how many numbers are distinct, or one more than a limit."""
    seen, distinct = work[WEIGHTS][:1024], U(0)
    for i in range(U(1024)):
        seen[i] = U(0)
    for i in range(U(numbers.size)):
        slot = (numbers[i] * U(GOLDEN)) >> U(48)
        distinct += ~(seen[slot >> U(6)] >> (slot & U(63))) & U(1)
        seen[slot >> U(6)] |= U(1) << (slot & U(63))
        if distinct > limit:
            break
    return distinct
