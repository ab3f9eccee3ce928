"""ALP for real doubles: the few first bits that repeat through a dictionary, all others as they are."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._alp import (
    AS_IT_IS,
    DICTIONARY,
    DICTIONARY_SIZE,
    INDICES,
    PARTS,
    POSITIONS,
    ROW_GROUP,
    ROWS,
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
from squeezelab.codecs.base import DType, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, workspace

MOST_LEFT_BITS = U(16)
EXCEPTION_BITS = U(16 + 16)


class AlpRd(RowGroupCodec):
    """ALP's scheme for real doubles, for float64 columns of full precision.

    Sign, exponent and the first bits of the fraction repeat even where no two values are alike. Each value is cut in
    two: the left part goes through a dictionary of up to 8 entries, the right part is kept bit for bit. That saves some
    bits of almost any measured quantity, and next to nothing is lost where it does not. `alp` chooses it by itself
    where decimals do not help.

    Notes
    -----
    Payload, in row-groups of 100 vectors of 1024 values, the last ones shorter; all big-endian. Row-group::

        1 byte        bits of the right parts, 48 to 63
        1 byte        entries of the dictionary, 1 to 8
        2 bytes each  its left parts, the most frequent first
        its vectors

    Vector::

        2 bytes       number of exceptions; or 0xFFFF: the values follow as they are, 8 bytes each
        2 bytes each  positions of exceptions: values whose left part is not in the dictionary
        2 bytes each  their left parts
        packed        indices into the dictionary, of 0 to 3 bits each; 0 for exceptions
        packed        right parts

    The cut is the one that makes a sample smallest: 32 values of each of 8 vectors, all equidistant. Beyond the paper,
    indices into a dictionary of one entry take no bits, and a vector that would grow is kept as it is.

    References
    ----------
    A. Afroozeh, L. X. Kuffo, P. Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024, section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> codec = AlpRd()
    >>> codec.decode(codec.encode(np.array([0.1, 2 / 3, -0.0])))
    array([ 0.1       ,  0.66666667, -0.        ])
    """

    name = "alp_rd"
    max_expansion = 2

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_alp_rd, (workspace(*ROWS),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_alp_rd, (workspace(*ROWS),)


@kernel
def encode_alp_rd(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at = U(0)
    for first in range(U(0), U(words.size), ROW_GROUP):
        at = write_rd_group(words[first : first + ROW_GROUP], work, buffer, at)
    return at


@kernel
def decode_alp_rd(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for first in range(U(0), U(words.size), ROW_GROUP):
        at = read_rd_group(data, at, stop, work, words[first : first + ROW_GROUP])
        if at == U(0):
            return False
    return at == stop


@kernel
def best_cut(samples, count, work):
    """Return the bits of the right parts with which sorted samples take the fewest bits."""
    best, fewest = U(0), ~U(0)
    for left_bits in range(U(1), MOST_LEFT_BITS + U(1)):
        right = U(64) - left_bits
        entries, covered = most_frequent(samples, count, right, work)
        bits = count * (right + bit_width(entries - U(1))) + (count - covered) * EXCEPTION_BITS
        if bits < fewest:
            best, fewest = right, bits
    return best


@kernel
def write_rd_vector(words, right, entries, work, buffer, at):
    """Write one vector; return the byte after it."""
    dictionary, indices, parts, positions = work[DICTIONARY], work[INDICES], work[PARTS], work[POSITIONS]
    count, exceptions = U(words.size), U(0)
    for i in range(count):
        indices[i] = entries
        parts[i] = words[i] & ((U(1) << right) - U(1))
    for j in range(entries):
        left = dictionary[j]
        for i in range(count):
            indices[i] = j if words[i] >> right == left else indices[i]
    for i in range(count):
        positions[exceptions] = i
        exceptions += U(indices[i] == entries)
        indices[i] = indices[i] if indices[i] < entries else U(0)
    index_bits = bit_width(entries - U(1))
    if count * (index_bits + right) + exceptions * EXCEPTION_BITS > count * U(64):
        return put_as_it_is(words, buffer, at)
    put_16(buffer, at, exceptions)
    at = put_exceptions(words, positions, exceptions, right, U(16), buffer, at + U(2))
    at = pack_bits(indices, count, index_bits, buffer, at)
    return pack_bits(parts, count, right, buffer, at)


@kernel
def read_rd_vector(data, at, stop, right, entries, work, words):
    """Read one vector; return the byte after it, 0 if it is damaged."""
    if at + U(2) > stop:
        return U(0)
    count, exceptions = U(words.size), take_16(data, at)
    at += U(2)
    if exceptions == AS_IT_IS:
        return take_as_it_is(data, at, stop, words)
    index_bits = bit_width(entries - U(1))
    lefts = at + U(2) * exceptions
    packed = lefts + U(2) * exceptions
    rights = packed + packed_bytes(count, index_bits)
    after = rights + packed_bytes(count, right)
    if after > stop:
        return U(0)
    dictionary, indices, parts = work[DICTIONARY], work[INDICES], work[PARTS]
    unpack_bits(data, packed, count, index_bits, indices)
    unpack_bits(data, rights, count, right, parts)
    largest = U(0)
    for i in range(count):
        largest = max(largest, indices[i])
        words[i] = (dictionary[indices[i]] << right) | parts[i]
    if largest >= entries:
        return U(0)
    for k in range(exceptions):
        position = take_16(data, at + U(2) * k)
        if position >= count:
            return U(0)
        words[position] = (take_16(data, lefts + U(2) * k) << right) | parts[position]
    return after


@kernel
def write_rd_group(words, work, buffer, at):
    """Write one row-group; return the byte after it."""
    samples, taken, size = work[SAMPLES], U(0), U(words.size)
    for first in range(U(0), size, step_between_vectors(size)):
        taken = sample_vector(words[first : first + VECTOR], samples, taken)
    sort_words(samples, taken)
    right = best_cut(samples, taken, work)
    entries, _ = most_frequent(samples, taken, right, work)
    buffer[at], buffer[at + U(1)] = right, entries
    at = pack_bits(work[DICTIONARY], entries, U(16), buffer, at + U(2))
    for first in range(U(0), size, VECTOR):
        at = write_rd_vector(words[first : first + VECTOR], right, entries, work, buffer, at)
    return at


@kernel
def read_rd_group(data, at, stop, work, words):
    """Read one row-group; return the byte after it, 0 if it is damaged."""
    if at + U(2) > stop:
        return U(0)
    right, entries = U(data[at]), U(data[at + U(1)])
    at += U(2)
    if not (U(48) <= right < U(64) and U(1) <= entries <= DICTIONARY_SIZE and at + U(2) * entries <= stop):
        return U(0)
    unpack_bits(data, at, entries, U(16), work[DICTIONARY])
    at += U(2) * entries
    for first in range(U(0), U(words.size), VECTOR):
        at = read_rd_vector(data, at, stop, right, entries, work, words[first : first + VECTOR])
        if at == U(0):
            break
    return at
