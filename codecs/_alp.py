"""What both schemes of ALP share: vectors and row-groups, sampling them, exceptions, and vectors kept as they are."""

from __future__ import annotations

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs._packing import pack_bits, unpack_bits
from squeezelab.codecs.base import KernelCodec
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, load_word, store_word

VECTOR = U(1024)
"""Values that share one header."""

ROW_GROUP = U(100) * VECTOR
"""Values that share what first-level sampling finds."""

SAMPLED_VECTORS = U(8)
SAMPLED_VALUES = U(32)
"""First-level sampling takes so many vectors of a row-group, and values of each."""

AS_IT_IS = U(0xFFFF)
"""In place of a number of exceptions: the vector's words follow as they are."""

DICTIONARY_SIZE = U(8)

SAMPLES, INDICES, PARTS, POSITIONS, DICTIONARY, TIMES = range(6)
"""The rows of the workspace, each as long as a vector."""

ROWS = 6, int(VECTOR)


class RowGroupCodec(KernelCodec):
    """Base of codecs that write one row-group after the other."""

    dtypes = (FLOAT64,)

    def worst_case_bytes(self, count: int) -> int:
        """Headers of row-groups and vectors, and all values as they are."""
        return 8 * count + 13 * (count // int(VECTOR) + 1) + 18 * (count // int(ROW_GROUP) + 1)


@kernel(forceinline=True)
def put_16(buffer, at, number):
    """Write a number of 16 bits; the six bytes after it are set to zero."""
    store_word(buffer, at, number << U(48))


@kernel(forceinline=True)
def take_16(data, at):
    """Return the number of 16 bits that begins at a byte."""
    return load_word(data, at) >> U(48)


@kernel(forceinline=True)
def divide_up(number, by):
    """Return how many times it takes to cover a number."""
    return (number + by - U(1)) // by


@kernel(forceinline=True)
def step_between_vectors(size):
    """Return the values from one sampled vector to the next, of a row-group of a size."""
    return VECTOR * divide_up(divide_up(size, VECTOR), SAMPLED_VECTORS)


@kernel
def sample_vector(words, samples, taken):
    """Append up to 32 equidistant values of a vector to the samples that are taken; return how many they are now."""
    for i in range(U(0), U(words.size), divide_up(U(words.size), SAMPLED_VALUES)):
        samples[taken] = words[i]
        taken += U(1)
    return taken


@kernel
def sort_words(words, count):
    """Sort the first ``count`` words: they are few."""
    for i in range(U(1), count):
        word, j = words[i], U(i)
        while j > U(0) and words[j - U(1)] > word:
            words[j] = words[j - U(1)]
            j -= U(1)
        words[j] = word


@kernel
def most_frequent(words, count, right, work):
    """Fill the dictionary with up to 8 of what is left of ``right`` bits of sorted words, the most frequent first.

    Returns
    -------
    entries, covered
        How many they are, and for how many words they stand.
    """
    dictionary, times = work[DICTIONARY], work[TIMES]
    entries, covered, i = U(0), U(0), U(0)
    while i < count:
        left, begin = words[i] >> right, i
        while i < count and words[i] >> right == left:
            i += U(1)
        run = i - begin
        if entries == DICTIONARY_SIZE and times[entries - U(1)] < run:
            entries -= U(1)
            covered -= times[entries]
        if entries == DICTIONARY_SIZE:
            continue
        place = entries
        while place > U(0) and times[place - U(1)] < run:
            dictionary[place], times[place] = dictionary[place - U(1)], times[place - U(1)]
            place -= U(1)
        dictionary[place], times[place] = left, run
        entries += U(1)
        covered += run
    return entries, covered


@kernel
def put_exceptions(words, positions, exceptions, right, size, buffer, at):
    """Write positions, 16 bits each, then what is left of ``right`` bits of the words there, ``size`` bits each."""
    at = pack_bits(positions, exceptions, U(16), buffer, at)
    for k in range(exceptions):
        store_word(buffer, at, (words[positions[k]] >> right) << (U(64) - size))
        at += size >> U(3)
    return at


@kernel
def put_as_it_is(words, buffer, at):
    """Write a vector that would grow; return the byte after it."""
    put_16(buffer, at, AS_IT_IS)
    return pack_bits(words, U(words.size), U(64), buffer, at + U(2))


@kernel
def take_as_it_is(data, at, stop, words):
    """Read such a vector from after its mark; return the byte after it, 0 if the data end before that."""
    after = at + U(8) * U(words.size)
    if after > stop:
        return U(0)
    unpack_bits(data, at, U(words.size), U(64), words)
    return after
