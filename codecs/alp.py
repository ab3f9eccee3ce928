"""ALP: doubles that began as decimals, kept as small integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._alp import (
    AS_IT_IS,
    DICTIONARY,
    INDICES,
    PARTS,
    POSITIONS,
    ROW_GROUP,
    ROWS,
    SAMPLED_VALUES,
    SAMPLES,
    VECTOR,
    RowGroupCodec,
    most_frequent,
    put_16,
    put_as_it_is,
    put_exceptions,
    sample_vector,
    sort_words,
    step_between_vectors,
    take_16,
    take_as_it_is,
)
from squeezelab.codecs._packing import bit_width, pack_bits, packed_bytes, unpack_bits
from squeezelab.codecs.alp_rd import read_rd_group, write_rd_group
from squeezelab.codecs.base import DType, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_word, store_word, workspace

EXPONENTS = U(19)
UP = np.array([float(f"1e{power}") for power in range(19)])
DOWN = np.array([float(f"1e-{power}") for power in range(19)])
"""Powers of ten, each the double nearest to it."""

ROUNDING = 2.0**52 + 2.0**51
"""Adding it and taking it away again rounds to an integer, halves to the even one."""

LARGEST = 2.0**63 - 2.0**13
"""Rounding stays within 64-bit integers up to here."""

SIGN = U(1 << 63)

EXCEPTION_BITS = U(64 + 16)

MOST_COMBINATIONS = U(5)

PATIENCE = U(2)
"""Second-level sampling ends when so many combinations, one after the other, are no better."""

MANY_EXCEPTIONS = U(8)
"""Sampling has missed something where one value of so many is an exception."""

REAL_DOUBLES = U(48)
"""A row-group whose values take so many bits each is left to the scheme for real doubles."""


class Alp(RowGroupCodec):
    """ALP for any float64 column, made for decimals.

    A double that began as a decimal is an integer times a power of ten: 8.3495 is 83495 * 10^-4. Each vector of 1024
    values finds the powers with which most of its values are integers, and keeps these as differences to the smallest,
    all of one width; what does not come back exactly is an exception, kept bit for bit. No value depends on the one
    before it, so it decodes about three times as fast as codecs that XOR. Row-groups that are no decimals are left to
    `alp_rd`.

    Notes
    -----
    With exponent e and factor f, an integer d stands for the double d * 10^f * 10^-e, multiplied in this order, in
    double arithmetic; d is v * 10^e * 10^-f, rounded. A value is an exception if other bits come back, as with NaNs,
    infinities and -0.0, or if v * 10^e is no 64-bit integer.

    Payload, in row-groups of 100 vectors of 1024 values, the last ones shorter; all big-endian. A row-group is one of
    `alp_rd`, or a zero byte and vectors of this kind::

        2 bytes       number of exceptions; or 0xFFFF: the values follow as they are, 8 bytes each
        1 byte        exponent e, 0 to 18
        1 byte        factor f, 0 to e
        1 byte        bits of each integer, 0 to 64
        8 bytes       the smallest integer
        2 bytes each  positions of exceptions
        8 bytes each  exceptions
        packed        integers, less the smallest; 0 for exceptions

    Sampling is the paper's, on two levels: up to five combinations of e and f are found for a row-group, from 32 values
    of each of 8 vectors, and each vector takes the one that is best for 32 of its own. Beyond the paper, a vector of
    which more than an eighth are exceptions tries all combinations on its first 32 values, which helps where values
    alternate, and a vector that would grow is kept as it is.

    References
    ----------
    A. Afroozeh, L. X. Kuffo, P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Alp()
    >>> codec.decode(codec.encode(np.array([8.3495, 8.56067, -0.0, 7.86233])))
    array([ 8.3495 ,  8.56067, -0.     ,  7.86233])
    """

    name = "alp"
    # A vector of equal decimals takes 13 bytes.
    max_expansion = 8192 // 13 + 1

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_alp, (workspace(*ROWS),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_alp, (workspace(*ROWS),)


@kernel
def encode_alp(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at = U(0)
    for first in range(U(0), U(words.size), ROW_GROUP):
        at = write_alp_group(words[first : first + ROW_GROUP], work, buffer, at)
    return at


@kernel
def decode_alp(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for first in range(U(0), U(words.size), ROW_GROUP):
        at = read_alp_group(data, at, stop, work, words[first : first + ROW_GROUP])
        if at == U(0):
            return False
    return at == stop


@kernel(forceinline=True)
def to_integer(word, up, down):
    """Return a double's bits as an integer, in two's complement; any integer if it is none.

    ``up`` is 10^e, ``down`` is 10^-f.
    """
    scaled = np.uint64(word).view(np.float64) * up
    return U(np.int64((scaled if abs(scaled) <= LARGEST else 0.0) * down + ROUNDING - ROUNDING))


@kernel(forceinline=True)
def to_word(integer, up, down):
    """Return the bits of the double that an integer stands for; ``up`` is 10^f, ``down`` is 10^-e."""
    return np.float64(np.float64(np.int64(integer)) * up * down).view(np.uint64)


@kernel
def to_integers(words, count, combination, integers):
    """Fill the first ``count`` integers from words.

    Returns
    -------
    exceptions, smallest, largest
        How many do not come back, and the range of those that do; of nothing but exceptions, 0.
    """
    exponent, factor = combination // EXPONENTS, combination % EXPONENTS
    exceptions, smallest, largest = U(0), ~U(0), U(0)
    # Without a branch, and unsigned: LLVM makes eight at once of it.
    for i in range(count):
        integer = to_integer(words[i], UP[exponent], DOWN[factor])
        integers[i] = integer
        differs = U(0) - U(to_word(integer, UP[factor], DOWN[exponent]) != words[i])
        ordered = integer ^ SIGN
        smallest = min(smallest, ordered | differs)
        largest = max(largest, ordered & ~differs)
        exceptions -= differs
    if exceptions == count:
        return exceptions, U(0), U(0)
    return exceptions, smallest ^ SIGN, largest ^ SIGN


@kernel(forceinline=True)
def bits_of(count, exceptions, smallest, largest):
    """Return the bits of so many integers, exceptions among them, with their positions and values."""
    return count * bit_width(largest - smallest) + exceptions * EXCEPTION_BITS


@kernel
def estimated_bits(samples, count, combination, integers):
    """Return the bits that samples take with a combination."""
    exceptions, smallest, largest = to_integers(samples, count, combination, integers)
    return bits_of(count, exceptions, smallest, largest)


@kernel
def best_combination(samples, count, integers):
    """Return the combination with which samples take the fewest bits, of equal ones the largest, and these bits.

    A combination of exponent and factor is one number: ``exponent * EXPONENTS + factor``.
    """
    best, fewest = U(0), ~U(0)
    for exponent in range(EXPONENTS):
        for factor in range(exponent + U(1)):
            combination = exponent * EXPONENTS + factor
            bits = estimated_bits(samples, count, combination, integers)
            if bits <= fewest:
                best, fewest = combination, bits
    return best, fewest


@kernel
def choose_combinations(words, work):
    """Put up to five combinations for a row-group into the dictionary; return their number, 0 for real doubles.

    They are those that were best for most of the sampled vectors; of equally many, the larger ones first.
    """
    samples, bests, found, decimals = work[SAMPLES], work[INDICES], U(0), False
    for first in range(U(0), U(words.size), step_between_vectors(U(words.size))):
        taken = sample_vector(words[first : first + VECTOR], samples, U(0))
        combination, bits = best_combination(samples, taken, work[PARTS])
        # Of equally frequent words the smallest comes first, hence the complement.
        bests[found] = ~combination
        found += U(1)
        decimals |= bits < REAL_DOUBLES * taken
    if not decimals:
        return U(0)
    sort_words(bests, found)
    entries, _ = most_frequent(bests, found, U(0), work)
    for k in range(entries):
        work[DICTIONARY][k] = ~work[DICTIONARY][k]
    return min(entries, MOST_COMBINATIONS)


@kernel
def choose_combination(words, combinations, work):
    """Return which of the first combinations in the dictionary is best for a sample of a vector."""
    best, fewest, worse = work[DICTIONARY][0], ~U(0), U(0)
    if combinations == U(1):
        return best
    taken = sample_vector(words, work[SAMPLES], U(0))
    for k in range(combinations):
        bits = estimated_bits(work[SAMPLES], taken, work[DICTIONARY][k], work[PARTS])
        if bits < fewest:
            best, fewest, worse = work[DICTIONARY][k], bits, U(0)
        else:
            worse += U(1)
        if worse == PATIENCE:
            break
    return best


@kernel
def write_alp_vector(words, combination, work, buffer, at):
    """Write one vector; return the byte after it."""
    integers, positions, count = work[PARTS], work[POSITIONS], U(words.size)
    exceptions, smallest, largest = to_integers(words, count, combination, integers)
    bits = bits_of(count, exceptions, smallest, largest)
    if exceptions * MANY_EXCEPTIONS > count:
        # Equidistant samples miss what repeats at their distance: neighbours may not.
        taken = sample_vector(words[:SAMPLED_VALUES], work[SAMPLES], U(0))
        other, _ = best_combination(work[SAMPLES], taken, integers)
        combination = other if bits_of(count, *to_integers(words, count, other, integers)) < bits else combination
        exceptions, smallest, largest = to_integers(words, count, combination, integers)
        bits = bits_of(count, exceptions, smallest, largest)
    if bits > count * U(64):
        return put_as_it_is(words, buffer, at)
    width = bit_width(largest - smallest)
    exponent, factor = combination // EXPONENTS, combination % EXPONENTS
    if exceptions:
        found = U(0)
        for i in range(count):
            exact = to_word(integers[i], UP[factor], DOWN[exponent]) == words[i]
            integers[i] = integers[i] if exact else smallest
            positions[found] = i
            found += U(not exact)
    for i in range(count):
        integers[i] -= smallest
    put_16(buffer, at, exceptions)
    buffer[at + U(2)], buffer[at + U(3)], buffer[at + U(4)] = exponent, factor, width
    store_word(buffer, at + U(5), smallest)
    at = put_exceptions(words, positions, exceptions, U(0), U(64), buffer, at + U(13))
    return pack_bits(integers, count, width, buffer, at)


@kernel
def read_alp_vector(data, at, stop, words):
    """Read one vector; return the byte after it, 0 if it is damaged."""
    if at + U(2) > stop:
        return U(0)
    count, exceptions = U(words.size), take_16(data, at)
    if exceptions == AS_IT_IS:
        return take_as_it_is(data, at + U(2), stop, words)
    if at + U(13) > stop:
        return U(0)
    exponent, factor, width = U(data[at + U(2)]), U(data[at + U(3)]), U(data[at + U(4)])
    smallest = load_word(data, at + U(5))
    at += U(13)
    values = at + U(2) * exceptions
    packed = values + U(8) * exceptions
    after = packed + packed_bytes(count, width)
    if exponent >= EXPONENTS or factor > exponent or width > U(64) or after > stop:
        return U(0)
    unpack_bits(data, packed, count, width, words)
    for i in range(count):
        words[i] = to_word(words[i] + smallest, UP[factor], DOWN[exponent])
    for k in range(exceptions):
        position = take_16(data, at + U(2) * k)
        if position >= count:
            return U(0)
        words[position] = load_word(data, values + U(8) * k)
    return after


@kernel
def write_alp_group(words, work, buffer, at):
    """Write one row-group, by the scheme that suits it; return the byte after it."""
    combinations = choose_combinations(words, work)
    if combinations == U(0):
        return write_rd_group(words, work, buffer, at)
    buffer[at] = U(0)
    at += U(1)
    for first in range(U(0), U(words.size), VECTOR):
        vector = words[first : first + VECTOR]
        at = write_alp_vector(vector, choose_combination(vector, combinations, work), work, buffer, at)
    return at


@kernel
def read_alp_group(data, at, stop, work, words):
    """Read one row-group of either scheme; return the byte after it, 0 if it is damaged."""
    if at >= stop:
        return U(0)
    if data[at]:
        return read_rd_group(data, at, stop, work, words)
    at += U(1)
    for first in range(U(0), U(words.size), VECTOR):
        at = read_alp_vector(data, at, stop, words[first : first + VECTOR])
        if at == U(0):
            break
    return at
