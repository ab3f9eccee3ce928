"""Writing blocks whose arithmetic is found at once: one call for columns of them, until one needs a closer look."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from squeezelab.codecs._frame import LONGEST_HEADER, seed_of
from squeezelab.codecs._frames import FLOAT64_TAG, INT64_TAG, frame_payload
from squeezelab.codecs.tally.adaptive import Division, Limits, write_adaptive
from squeezelab.codecs.tally.blocks import AS_THEY_ARE, DISTANT, MUCH, RANKED
from squeezelab.codecs.tally.lanes import MOST_CONTEXTS
from squeezelab.codecs.tally.modes import (
    _DIVISORS,
    _SCALES,
    _SPREAD,
    BITS,
    CLOSE,
    DIVIDE,
    EXCEPTION_BITS,
    MOST,
    MOST_PLAIN_DIVISOR,
    MOST_WHOLE,
    STEPS,
    TIMES,
    KernelMode,
    least_divisor,
    near_whole,
    ordered,
    take_apart,
)
from squeezelab.codecs.tally.prediction import NONE_COMMON, common_divisor, extremes, greatest_common
from squeezelab.codecs.tally.shapes import LOG2, MOST_COUNT, ONE
from squeezelab.codecs.tally.static_streams import LANES, moved_down, write_stream
from squeezelab.codecs.tally.workspace import (
    BLOCK,
    DISTINCT,
    EXCEPTIONS,
    GAPS,
    NOISE,
    NUMBERS,
    RANKS,
    STATE,
    TABLE,
    WEIGHTS,
    WORDS,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    SHIFTED,
    U,
    borrowed,
    count_ones,
    put_varint,
    store_little,
    trailing_zeros,
    word_of,
)
from squeezelab.kernels.xxh3 import ROOM

NAME, VERSION = "tally", 2
SEED = U(seed_of(NAME))
ADAPTIVE = 6
"""The kind of blocks of version 1."""
MOST_BLOCK_BYTES = 4 * (9 * BLOCK + 4096)
"""More than any block, and what it is compared with, takes while it is written."""
FEW_MISSED, NEAR = 32, 64
"""A divisor that missed more than one in so many, or one by so few units in the last place, is doubted."""
FEW_ODD = 16
"""Other arithmetic may miss one in so many."""
FEWEST_TO_RETRY, FEWEST_TO_ADAPT = 1024, 100
MOST_DIGITS_MORE = 3
"""A divisor that misses some is tried with so many further zeros."""
FEWEST_TO_RANK = 64
"""Ranks of fewer integers than these are left to Python."""
MOST_PLACES = 1 << 21
"""Integers of a wider span are not numbered by a kernel."""


class Written(NamedTuple):
    """A block that was written.

    Attributes
    ----------
    at : uint64
        The byte after it; 0 if it needs a closer look.
    division : Division
        What its integers are.
    distinct : uint64
        How many of them are distinct, if it has ranks.
    coder : uint64
        Of the stream that has an integer for each value.
    gain : int64
        About how many bits models that learn would save in that, in 2^-12.
    """

    at: np.uint64
    division: Division
    distinct: np.uint64
    coder: np.uint64
    gain: np.int64


@kernel
def write_columns(words, is_double, offsets, first, level, framed, work, buffer, places):
    """Write columns as blocks, with their sizes before them, or as frames, until a block needs a closer look.

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
        `make_rows`.
    buffer : uint8[...]
        Filled from the beginning; `MOST_BLOCK_BYTES` are left unused at its end.
    places : int64[2, columns]
        Filled with where the frame of each column that was written begins; to what follows, its bytes are added.

    Returns
    -------
    done, at, hard : int64, uint64, bool
        Up to which value blocks were written, the byte after them, and whether the next block needs a closer look;
        else the columns are done or the buffer is full.
    """
    words, offsets, work, buffer = borrowed(words), borrowed(offsets), borrowed(work), borrowed(buffer)
    at, column, room = U(0), 0, U(LONGEST_HEADER + 1 if framed else 0)
    while column < offsets.size - 1 and offsets[column + 1] <= first:
        column += 1
    while column < offsets.size - 1:
        while first < offsets[column + 1]:
            if U(buffer.size) - at < U(MOST_BLOCK_BYTES):
                return first, at, False
            last, begin = min(first + BLOCK, offsets[column + 1]), at + room
            end = write_block(words[first:last], is_double, U(level), work, buffer, begin + U(3))
            if end == U(0):
                return first, at, True
            at = _with_size(buffer, begin, end)
            if framed:
                begin -= U(1)
                buffer[begin] = VERSION
                tag = U(FLOAT64_TAG) if is_double else U(INT64_TAG)
                begin, at = frame_payload(buffer, begin, at - begin, tag, U(last - first), SEED, work[STATE][:ROOM])
            places[0, column] = np.int64(begin)
            places[1, column] += np.int64(at - begin)
            first = last
        column += 1
    return first, at, False


@kernel(inner=True)
def _with_size(buffer, at, end):
    """Put the size of what stands three bytes after a place before it; return the byte after it."""
    source = at + U(3)
    at = put_varint(buffer, at, end - source)
    return moved_down(buffer, source, end, at) if at < source else end


@kernel(inline="always", inner=True)
def write_block(words, is_double, level, work, buffer, at):
    """Write a block whose numbers are whole, or multiples of the inverse of a divisor but for roundings and a few.

    Returns
    -------
    at : uint64
        The byte after the block; 0 if it needs a closer look.
    """
    begin = at
    whole, is_odd, division = _take_apart(words, is_double, level, work)
    count, missed, is_long = division.values, division.missed, division.values >= U(FEWEST_TO_RETRY)
    block = Written(begin, division, U(0), U(0), np.int64(0))
    if is_long and level <= U(2):
        block = _write_ranks(words, block, level, work, buffer)
    if block.at > begin:
        is_odd &= missed == U(0)
    else:
        if not whole or (is_odd and count < U(FEWEST_TO_RANK)):
            return U(0)
        block = _write_streams(division, U(0), NONE_COMMON, level, work, buffer, begin)
        bits, half = (block.at - begin) << U(3), count >> U(1)
        # Numbers as they are, or ranks of them, might need no exceptions.
        if is_odd and missed and bits > count and (bits > count * U(MUCH) or _distinct_of(words, half, work) <= half):
            return U(0)
        if bits > count and _are_sparse(work[NUMBERS][:count], work):
            block = _try_ranks(words, block, is_odd, level, work, buffer, begin)
            if block.at == U(0):
                return block.at
    promises = block.coder == U(LANES) and block.gain > _least_saved(block, begin, level)
    if level > U(1) and (promises or (is_odd and count >= U(FEWEST_TO_ADAPT))):
        if block.distinct and level > U(2):
            return U(0)
        if is_long or is_odd or not block.distinct:
            after = _write_adaptive(block, is_odd, _limits_of(block, begin, level), work, buffer, begin)
            if after:
                return after
    if block.at - begin <= (count << U(3)):
        return block.at
    buffer[begin] = AS_THEY_ARE
    at = begin + U(1)
    for i in range(count):
        store_little(buffer, at, words[i])
        at += U(8)
    return at


@kernel(inner=True)
def _write_ranks(words, none, level, work, buffer):
    """Write a block by ranks at once where these surely are smaller; else return what there is: none.

    Most numbers differ from the one before, and ranks promise more than a bit a value.
    """
    division, numbers = none.division, work[NUMBERS][: words.size]
    finer = _finer(words, division, work) if division.missed else division
    if finer.missed:
        return none
    if _are_restless(numbers) and _are_sparse(numbers, work):
        distinct, common, promised = rank(numbers, work)
        # Of few, the size of one may tell the next, which ranks have lost.
        if (
            distinct >= U(2 * MOST_CONTEXTS)
            and promised > none.division.values
            and _is_fine(distinct, division, finer, work)
        ):
            return _write_streams(finer, distinct, common, level, work, buffer, none.at)
    if division.missed:
        _divide(words, division.divisor, work)
    return none


@kernel(inner=True)
def _is_fine(distinct, division, finer, work):
    """Return whether the finer divisor takes fewer bits for distinct numbers than a list of exceptions would."""
    if finer.divisor == division.divisor:
        return True
    ratio, odd = finer.divisor // division.divisor, 0
    for i in range(distinct):
        odd += int(np.int64(work[DISTINCT][i]) % np.int64(ratio) != 0)
    # In a list an exception takes a gap, and most of a double.
    return odd * 3 * EXCEPTION_BITS * ONE > np.int64(distinct) * LOG2[ratio]


@kernel(inner=True)
def _are_restless(numbers):
    """Return whether most numbers differ from the one before."""
    changes = U(0)
    for i in range(U(1), U(numbers.size)):
        changes += U(numbers[i] != numbers[i - U(1)])
    return changes > U(numbers.size) >> U(1)


@kernel(inner=True)
def _try_ranks(words, plain, is_odd, level, work, buffer, begin):
    """Write a block by ranks in place of a plain one, if it is smaller; return the one that is left."""
    division, bits, is_long = plain.division, (plain.at - begin) << U(3), plain.division.values >= U(FEWEST_TO_RETRY)
    hard = Written(U(0), division, U(0), plain.coder, plain.gain)
    # Ranks are of numbers that miss nothing.
    finer = _finer(words, division, work) if division.missed else division
    if is_long and (finer.missed or level > U(2)):
        return hard
    distinct, common, promised = rank(work[NUMBERS][: division.values], work)
    promises = promised * U(100) > bits * U(3)
    if (promises or is_odd) and (finer.missed or distinct == U(0) or not _is_fine(distinct, division, finer, work)):
        return hard
    # Where blocks are long or odd there is time to try what promises nothing.
    if distinct and not finer.missed and (promises or is_long or is_odd):
        ranked = _write_streams(finer, distinct, common, level, work, buffer, plain.at)
        if ranked.at - plain.at < plain.at - begin:
            at = moved_down(buffer, plain.at, ranked.at, begin)
            return Written(at, finer, distinct, ranked.coder, ranked.gain)
    if division.missed and not finer.missed:
        _divide(words, division.divisor, work)
    return plain


@kernel(inner=True)
def _limits_of(block, begin, level):
    """Return beyond what models that learn are given up in place of a block, by what contexts promise to save.

    They save about as much again by the size two before and by learning. Where that makes less than a twentieth of a
    long block, they are not tried: most such blocks would not be smaller by enough.
    """
    size = block.at - begin
    limit = size * U(97) // U(100) if level == U(2) else size - U(1)
    if level > U(2) or block.division.values < U(FEWEST_TO_RETRY):
        return Limits(limit, np.inf)
    return Limits(limit, float(8 * ONE * np.int64(size) * 95 // 100 + 2 * block.gain) / float(ONE))


@kernel(inner=True)
def _write_adaptive(block, is_odd, limits, work, buffer, begin):
    """Write a block with models that learn in place of a larger one; return the byte after it, 0 if it is larger."""
    at, division, distinct, _, _ = block
    end = write_adaptive(division, distinct, np.int64(0), limits, work, buffer, begin + U(1), at)
    if distinct or is_odd:
        # Contexts may tell more of numbers as they are than of their deltas, and the other way round.
        limits = Limits(end - begin - U(1) if end else limits.size, np.inf)
        other = write_adaptive(division, distinct, np.int64(1), limits, work, buffer, begin + U(1), at)
        end = other if other else end
    if end:
        buffer[begin] = ADAPTIVE
    return end


@kernel(inner=True)
def _take_apart(words, is_double, level, work):
    """Fill the integers of a block, gaps and exceptions.

    Returns
    -------
    whole, is_odd : bool
        Whether this is how a block may be written, and whether its arithmetic is not the plain one.
    division : Division
    """
    count, numbers, doubles = U(words.size), work[NUMBERS][: words.size], words.view(np.float64)
    if not is_double:
        for i in range(count):
            numbers[i] = words[i]
        return True, False, Division(U(BITS), U(1), count, U(0))
    (divisor, sampled), missed = _divisor_of(doubles, work), count
    if divisor != 0.0:
        missed = _divide(words, np.uint64(divisor), work)
    division = Division(U(DIVIDE), np.uint64(divisor), count, missed)
    if missed <= count // U(FEW_MISSED) or level != U(2) or divisor > MOST_PLAIN_DIVISOR:
        return missed <= count // U(FEW_MISSED), False, division
    if divisor != 0.0:
        division = _round_otherwise(words, np.uint64(divisor), work[WEIGHTS][:sampled], work)
        return division.missed <= count // U(FEW_ODD), True, division
    for i in range(count):
        numbers[i] = ordered(words[i])
    return not _may_be_on_grids(work[WEIGHTS][:sampled]), True, Division(U(BITS), U(1), count, U(0))


@kernel(inner=True)
def _finer(words, division, work):
    """Fill the integers of a block by a finer divisor that misses none, if there is one; return how it was done."""
    if division.kind != U(DIVIDE) or division.divisor == U(0):
        return division
    divisor = division.divisor * U(10)
    for _ in range(MOST_DIGITS_MORE):
        if divisor <= U(MOST_PLAIN_DIVISOR) and _divide(words, divisor, work) == U(0):
            return Division(division.kind, divisor, division.values, U(0))
        divisor *= U(10)
    _divide(words, division.divisor, work)
    return division


@kernel(inner=True)
def _may_be_on_grids(sample):
    """Return whether most doubles of a sample may be differences of a counter's readings."""
    for i in range(_SCALES.shape[0]):
        scale = np.float64(_SCALES[i, 0] * _SCALES[i, 1])
        if float(near_whole(sample.view(np.float64), scale)) >= MOST * sample.size:
            return True
    return False


@kernel(inner=True)
def _round_otherwise(words, divisor, sample, work):
    """Fill the integers of a block, gaps and exceptions by the rounding that misses fewest; return how it was done."""
    numbers, noise, exceptions = work[NUMBERS][: words.size], work[NOISE], work[EXCEPTIONS][: words.size]
    common, digits, power = U(0), U(0), U(1)
    for double in sample.view(np.float64):
        whole = np.rint(double * np.float64(divisor))
        distance = word_of(whole / np.float64(divisor)) - word_of(double)
        if abs(whole) < MOST_WHOLE and min(distance, U(0) - distance) <= U(CLOSE):
            common = greatest_common(common, U(np.int64(abs(whole))))
    while power < divisor:
        power, digits = power * U(10), digits + U(1)
    best, missed = KernelMode(U(DIVIDE), divisor, U(1), U(0)), ~U(0)
    for kind in (DIVIDE, TIMES, STEPS):
        number = divisor
        if kind == TIMES:
            number //= greatest_common(divisor, common)
        elif kind == STEPS:
            number = digits
        if (kind == DIVIDE or divisor > U(1)) and (kind != STEPS or (digits > U(1) and power == divisor)):
            mode = KernelMode(U(kind), number, U(1), U(0))
            its_missed = take_apart(mode, words, numbers, noise, exceptions)
            if its_missed < missed:
                best, missed = mode, its_missed
    if best.kind == U(DIVIDE):
        return Division(best.kind, best.divisor, U(words.size), ~U(0))
    take_apart(best, words, numbers, noise, exceptions)
    place, next_one = U(0), U(0)
    for i in range(U(words.size)):
        distance = exceptions[i]
        if distance:
            noise[place], exceptions[place] = i - next_one, distance
            place, next_one = place + U(1), i + U(1)
    return Division(best.kind, best.divisor, U(words.size), missed)


@kernel(inner=True)
def _write_streams(division, distinct, common, level, work, buffer, at):
    """Write a block, ranked if it says how many integers are distinct; `rank` has found these, and a common rank.

    Returns
    -------
    block : Written
    """
    kind, divisor, count, missed = division
    buffer[at] = kind | (U(RANKED) if distinct else U(0)) | (U(DISTANT) if missed else U(0))
    at += U(1)
    if distinct:
        at = put_varint(buffer, at, distinct)
    if kind != U(BITS):
        at = put_varint(buffer, at, divisor)
    if missed:
        at = put_varint(buffer, at, missed)
    coder, gain = U(0), np.int64(0)
    streams, own = (U(2), U(1)) if distinct else (U(3) if missed else U(1), U(0))
    for stream in range(streams):
        row = U(DISTINCT) - stream if distinct else U(NUMBERS) + stream
        size = count
        if stream != own:
            size = distinct if distinct else missed
        is_last = stream + U(1) == streams
        place = at if is_last else at + U(3)
        often = common if stream == own else NONE_COMMON
        after, saved = write_stream(work[row][:size], often, level, False, work, buffer, place)
        if stream == own:
            coder, gain = U(buffer[place]) & U(3), saved
        at = after if is_last else _with_size(buffer, at, after)
    return Written(at, division, distinct, coder, gain)


@kernel(inner=True)
def _least_saved(block, begin, level):
    """Return how many bits, in 2^-12, contexts must promise to save of a block for models that learn.

    Less than a twelfth of a bit a value, of the first thousand, is what these take until they have learned. Of ranks
    they save more than is promised.
    """
    if level > U(2):
        return np.int64(0)
    size, count, percent = np.int64(block.at - begin), np.int64(block.division.values), 2 if block.distinct else 3
    return max(size * ONE * 8 * percent // 100, min(count, np.int64(1024)) * ONE // 12)


@kernel(inner=True)
def rank(numbers, work):
    """Fill the rows `RANKS` and `DISTINCT`: integers numbered by their order, and which there are.

    Returns
    -------
    distinct : uint64
        How many there are; 0 if they are too far apart to be numbered here.
    common : uint64
        The rank of the one that comes most often.
    promised : uint64
        About how many bits ranks save: each the distance to the integer before, which a list of them costs once.
    """
    count = U(numbers.size)
    least, most = extremes(numbers)
    step = max(common_divisor(numbers, least), U(1))
    places = (most - least) // step + U(1)
    if places > U(MOST_PLACES) or places == U(0):
        return U(0), U(0), ~U(0) >> U(32)
    seen, before = work[WORDS : WORDS + 4].reshape(-1), work[TABLE : TABLE + 2].reshape(-1).view(np.uint32)
    ranks, found, often = work[RANKS], work[DISTINCT], work[GAPS]
    rows = (places + U(63)) >> U(6)
    for i in range(rows):
        seen[i] = U(0)
    for i in range(count):
        place = (numbers[i] - least) // step
        ranks[i] = place
        seen[place >> U(6)] |= U(1) << (place & U(63))
    distinct = U(0)
    for i in range(rows):
        before[i] = distinct
        word = seen[i]
        while word:
            found[distinct], often[distinct] = (i << U(6)) | trailing_zeros(word), U(0)
            word &= word - U(1)
            distinct += U(1)
    for i in range(count):
        place = ranks[i]
        below = seen[place >> U(6)] & ((U(1) << (place & U(63))) - U(1))
        ranks[i] = U(before[place >> U(6)]) + count_ones(below)
        often[ranks[i]] += U(1)
    saved, common = np.int64(0), U(0)
    for i in range(U(1), distinct):
        if often[i] > often[common]:
            common = U(i)
        far = LOG2[min(found[i] - found[i - U(1)], U(MOST_COUNT))]
        saved += np.int64(often[i]) * far - far - 2 * ONE
    for i in range(distinct):
        found[i] = least + step * found[i]
    return distinct, common, U(max(saved, np.int64(0)) // ONE)


@kernel(inner=True)
def _divisor_of(doubles, work):
    """Return the least divisor that made most of a sample, 0 for none; leave that, and return how many there are."""
    sample, count = work[WEIGHTS].view(np.float64), 0
    for place in _SPREAD:
        double = doubles[np.int64(place * doubles.size)]
        if double != 0.0 and abs(double) < 1e300:
            sample[count] = double
            count += 1
    return (least_divisor(sample[:count], sample[:count].view(np.uint64), _DIVISORS) if count else 1.0), count


@kernel(inner=True)
def _divide(words, divisor, work):
    """Fill whole numbers, and the gaps and exceptions of those doubles that are not these over the divisor.

    Returns
    -------
    missed : uint64
        How many; all, where one is missed that a rounding may have made: another arithmetic may miss none.
    """
    doubles, divisor, every, far, count = words.view(np.float64), float(divisor), U(0), U(0), U(words.size)
    numbers, gaps, exceptions = work[NUMBERS][: words.size], work[NOISE], work[EXCEPTIONS]
    for i in range(count):
        # The sum is rounded to a whole number, which its bits have as they are.
        shifted = doubles[i] * divisor + SHIFTED
        numbers[i] = word_of(shifted) - word_of(SHIFTED)
        far |= numbers[i] + U(1 << 51)
        every |= word_of((shifted - SHIFTED) / divisor) ^ words[i]
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
def _are_sparse(numbers, work):
    """Return whether few numbers are distinct of those that lie between the least and the largest, and come again."""
    count = U(numbers.size)
    if count < U(FEWEST_TO_RANK):
        return False
    least, most = np.int64(numbers[0]), np.int64(numbers[0])
    for i in range(count):
        least, most = min(least, np.int64(numbers[i])), max(most, np.int64(numbers[i]))
    span = np.uint64(most - least)
    limit = min(count >> U(1), span >> U(2))
    distinct = _distinct_of(numbers, limit, work)
    if distinct > limit:
        return False
    return span // max(common_divisor(numbers, np.uint64(least)), U(1)) >= U(4) * distinct


@kernel(inner=True)
def _distinct_of(numbers, limit, work):
    """Return about how many numbers are distinct, or one more than a limit."""
    seen, distinct = work[WEIGHTS][:1024], U(0)
    for i in range(U(1024)):
        seen[i] = U(0)
    for i in range(U(numbers.size)):
        slot = (numbers[i] * U(0x9E3779B97F4A7C15)) >> U(48)
        distinct += ~(seen[slot >> U(6)] >> (slot & U(63))) & U(1)
        seen[slot >> U(6)] |= U(1) << (slot & U(63))
        if distinct > limit:
            break
    return distinct
