"""Blocks of integers, and of doubles that are integers over a divisor but for a few: written at once, or left alone."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs.tally.adaptive import Limits
from squeezelab.codecs.tally.lanes import MOST_CONTEXTS
from squeezelab.codecs.tally.modes import DIVIDE, MOST_WHOLE, KernelMode, ordered
from squeezelab.codecs.tally.parts import Apart, apart_by
from squeezelab.codecs.tally.prediction import NONE_COMMON, common_divisor
from squeezelab.codecs.tally.ranks import are_sparse, changes_of, fill_ranks, list_distinct, rank, saved_by_ranks
from squeezelab.codecs.tally.search import EXCEPTION_BITS, MOST_PLAIN_DIVISOR, fill_sample, least_divisor
from squeezelab.codecs.tally.shapes import LOG2, ONE
from squeezelab.codecs.tally.static_streams import LANES
from squeezelab.codecs.tally.workspace import DISTINCT, EXCEPTIONS, NUMBERS, SKIPPED, WEIGHTS
from squeezelab.codecs.tally.written import (
    FEWEST_TO_RETRY,
    WORTH_ADAPTING,
    Written,
    as_bits,
    moved,
    not_yet,
    write_models,
    write_streams,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import SHIFTED, U, quotient_of, word_of

PACKED_BELOW = 128
"""So many numbers are mostly packed: ranks of them are tried whatever they promise."""
FAR_APART = 1 << 21
"""Few integers over so many steps are looked at more closely."""
FEW_MISSED, NEAR = 32, 64
"""A divisor that missed more than one in so many, or one by so few units in the last place, is doubted."""
MOST_DIGITS_MORE = 3
"""A divisor that misses some is tried with so many further zeros."""


@kernel(inner=True)
def write_plain(words, is_double, level, work, buffer, begin):
    """Write a block of integers, or of doubles whose divisor is found at once and misses few.

    Returns
    -------
    at : uint64
        The byte after it; where it begins, if it needs a closer look.
    """
    whole, apart = _take_apart(words, is_double, work)
    count, block = apart.values, not_yet(apart, begin)
    is_long = count >= U(FEWEST_TO_RETRY)
    if is_long:
        block = _write_ranks(words, block, level, work, buffer)
    if block.at == begin:
        if not whole:
            return begin
        block = write_streams(apart, NONE_COMMON, level, work, buffer, begin)
        if (block.at - begin) << U(3) > count and are_sparse(work[NUMBERS][:count], work):
            block = _try_ranks(words, block, level, work, buffer, begin)
            if block.at == U(0):
                return begin
    promises = block.coder == U(LANES) and block.gain > _least_saved(block, begin)
    if level > U(1) and promises and (is_long or block.apart.distinct == U(0)):
        after = write_models(block, _limits_of(block, begin), work, buffer, begin)
        if after:
            return after
    return block.at


@kernel(inner=True)
def _take_apart(words, is_double, work):
    """Fill the integers of a block, and gaps and exceptions, by the divisor that a sample tells.

    Returns
    -------
    whole : bool
        Whether this is how a block may be written.
    apart : Apart
    """
    count = U(words.size)
    if not is_double:
        return True, apart_by(as_bits(), words, is_double, U(0), work)
    sampled = fill_sample(words, False, work[WEIGHTS])
    divisor, missed = np.uint64(least_divisor(work[WEIGHTS][:sampled]) if sampled else 1.0), count
    if divisor:
        missed = _divide(words, divisor, work)
    return missed <= count // U(FEW_MISSED), _divided(divisor, count, missed)


@kernel(forceinline=True, inner=True)
def _divided(divisor, count, missed):
    """Return what parts a division has."""
    return Apart(KernelMode(U(DIVIDE), divisor, U(1), U(0)), count, U(0), missed)


@kernel(inner=True)
def _write_ranks(words, none, level, work, buffer):
    """Write a block by ranks at once where these surely are smaller; else return what there is: none.

    Most numbers differ from the one before, and ranks promise more than a bit a value.
    """
    apart, numbers = none.apart, work[NUMBERS][: words.size]
    finer = _finer(words, apart, work) if apart.missed else apart
    if finer.missed:
        return none
    if changes_of(numbers) > U(numbers.size) >> U(1) and are_sparse(numbers, work):
        distinct, common = rank(numbers, work)
        promised = saved_by_ranks(distinct, work)
        # Of few, the size of one may tell the next, which ranks have lost.
        if distinct >= U(2 * MOST_CONTEXTS) and promised > apart.values and _is_fine(distinct, apart, finer, work):
            return write_streams(_ranked(finer, distinct), common, level, work, buffer, none.at)
    if apart.missed:
        _divide(words, apart.mode.divisor, work)
    return none


@kernel(forceinline=True, inner=True)
def _ranked(apart, distinct):
    """Return what parts a block has by the ranks of so many distinct integers."""
    return Apart(apart.mode, apart.values, distinct, apart.missed)


@kernel(inner=True)
def _try_ranks(words, plain, level, work, buffer, begin):
    """Write a block by ranks in place of a plain one, if it is smaller; return the one that is left."""
    apart, bits, is_long = plain.apart, (plain.at - begin) << U(3), plain.apart.values >= U(FEWEST_TO_RETRY)
    hard = Written(U(0), apart, plain.own, plain.coder, plain.gain)
    # Ranks are of numbers that miss nothing.
    finer = _finer(words, apart, work) if apart.missed else apart
    if is_long and finer.missed:
        return hard
    distinct = list_distinct(work[NUMBERS][: apart.values], work)
    if _are_far_apart(work[DISTINCT][:distinct]):
        return hard
    promises = saved_by_ranks(distinct, work) * U(100) > bits * U(3)
    if promises and (finer.missed or distinct == U(0) or not _is_fine(distinct, apart, finer, work)):
        return hard
    # Where blocks are long there is time to try what promises nothing, and where they are short packing is all.
    if distinct and not finer.missed and (promises or is_long or apart.values < U(PACKED_BELOW)):
        common = fill_ranks(apart.values, distinct, work)
        ranked = write_streams(_ranked(finer, distinct), common, level, work, buffer, plain.at)
        if ranked.at - plain.at < plain.at - begin:
            return moved(ranked, plain.at, begin, buffer)
    if apart.missed and not finer.missed:
        _divide(words, apart.mode.divisor, work)
    return plain


@kernel(inner=True)
def _are_far_apart(found):
    """Return whether rising integers are so far apart that they tell little of what ranks save."""
    if found.size == 0:
        return False
    step = max(common_divisor(found, found[0]), U(1))
    return (found[found.size - 1] - found[0]) // step >= U(FAR_APART)


@kernel(inner=True)
def _is_fine(distinct, apart, finer, work):
    """Return whether the finer divisor takes fewer bits for distinct numbers than a list of exceptions would."""
    if finer.mode.divisor == apart.mode.divisor:
        return True
    ratio, odd = finer.mode.divisor // apart.mode.divisor, 0
    for i in range(distinct):
        odd += int(np.int64(work[DISTINCT][i]) % np.int64(ratio) != 0)
    # In a list an exception takes a gap, and most of a double.
    return odd * 3 * EXCEPTION_BITS * ONE > np.int64(distinct) * LOG2[ratio]


@kernel(inner=True)
def _finer(words, apart, work):
    """Fill the integers of a block by a finer divisor that misses none, if there is one; return how it was done."""
    if apart.mode.kind != U(DIVIDE) or apart.mode.divisor == U(0):
        return apart
    divisor = apart.mode.divisor * U(10)
    for _ in range(MOST_DIGITS_MORE):
        if divisor <= U(MOST_PLAIN_DIVISOR) and _divide(words, divisor, work) == U(0):
            return _divided(divisor, apart.values, U(0))
        divisor *= U(10)
    _divide(words, apart.mode.divisor, work)
    return apart


@kernel(inner=True)
def _divide(words, divisor, work):
    """Fill whole numbers, and the gaps and exceptions of those doubles that are not these over the divisor.

    Returns
    -------
    missed : uint64
        How many; all, where one is missed that a rounding may have made: another arithmetic may miss none.
    """
    doubles, divisor, every, far, count = words.view(np.float64), float(divisor), U(0), U(0), U(words.size)
    numbers, gaps, exceptions = work[NUMBERS][: words.size], work[SKIPPED], work[EXCEPTIONS]
    inverse = 1.0 / divisor
    for i in range(count):
        # The sum is rounded to a whole number, which its bits have as they are.
        shifted = doubles[i] * divisor + SHIFTED
        numbers[i] = word_of(shifted) - word_of(SHIFTED)
        far |= numbers[i] + U(1 << 51)
        every |= word_of(quotient_of(shifted - SHIFTED, divisor, inverse)) ^ words[i]
    if every == U(0) and far >> U(52) == U(0):
        return U(0)
    missed, next_one, number = U(0), U(0), U(0)
    for i in range(count):
        scaled = np.rint(doubles[i] * divisor)
        if abs(scaled) < MOST_WHOLE:
            number = np.uint64(np.int64(scaled))
        # What is no number, or too large a one, repeats the integer before, which costs least.
        numbers[i] = number
        distance = ordered(words[i]) - ordered(word_of(np.float64(np.int64(numbers[i])) / divisor))
        if distance:
            if min(distance, U(0) - distance) <= U(NEAR) or missed > count // U(FEW_MISSED):
                return count
            gaps[missed], exceptions[missed] = i - next_one, distance
            missed, next_one = missed + U(1), i + U(1)
    return missed


@kernel(inner=True)
def _least_saved(block, begin):
    """Return how many bits, in 2^-12, contexts must promise to save of a block for models that learn.

    Less than a twelfth of a bit a value, of the first thousand, is what these take until they have learned. Of ranks
    they save more than is promised.
    """
    size, count = np.int64(block.at - begin), np.int64(block.apart.values)
    return max(size * ONE * 8 * (2 if block.apart.distinct else 3) // 100, min(count, np.int64(1024)) * ONE // 12)


@kernel(inner=True)
def _limits_of(block, begin):
    """Return beyond what models that learn are given up in place of a block, by what contexts promise to save.

    They save about as much again by the size two before and by learning. Where that makes less than a twentieth of a
    long block, they are not tried: most such blocks would not be smaller by enough.
    """
    size = block.at - begin
    limit = size * U(WORTH_ADAPTING) // U(100)
    if block.apart.values < U(FEWEST_TO_RETRY):
        return Limits(limit, np.inf, True)
    return Limits(limit, float(8 * ONE * np.int64(size) * 95 // 100 + 2 * block.gain) / float(ONE), True)
