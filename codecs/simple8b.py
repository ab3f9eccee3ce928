"""Simple-8b: as many small integers as fit into each 64-bit word."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import INT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_word, store_word, unzigzag, zigzag

WIDTHS = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 60], np.uint64)
COUNTS = np.array([240, 120, 60, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1], np.uint64)
"""The paper's selectors: how many integers a word holds, and how many bits each has."""

ESCAPE = U(1)
"""The paper's 120 zeros, hardly missed. Here it says that an integer of over 60 bits is in the next word."""


class Simple8b(KernelCodec):
    """Simple-8b over zigzag deltas, for any int64 column.

    Each word holds a selector of four bits and as many integers as fit into the other sixty: 60 of one bit, 7 of eight
    bits, one of sixty. Choose it for timestamps and counters that grow in small, uneven steps and must be read fast;
    for even steps `delta_of_delta` is smaller.

    Notes
    -----
    Payload, a sequence of big-endian words. What is packed is the zigzag of each value's difference to the one before,
    to 0 for the first. Selectors are those of the paper, from 240 zeros to one integer of 60 bits, except the second:
    it announces an integer of more than 60 bits in the next word, which the paper does not have.

    References
    ----------
    V. N. Anh, A. Moffat, "Index compression using 64-bit words", Software: Practice and Experience 40(2), 2010.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Simple8b()
    >>> codec.decode(codec.encode(np.array([100, 101, 103, -7])))
    array([100, 101, 103,  -7])
    """

    name = "simple8b"
    dtypes = (INT64,)
    max_expansion = 240

    def worst_case_bytes(self, count: int) -> int:
        """At most an escape and a word a value."""
        return 16 * count

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_simple8b, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_simple8b, ()


@kernel(forceinline=True)
def _zigzag_delta(words, i):
    return zigzag(words[i] - (words[i - U(1)] if i else U(0)))


@kernel(forceinline=True)
def _fits(words, first, selector):
    """Return whether the integers from a position on fill a word of this selector."""
    count, width = COUNTS[selector], WIDTHS[selector]
    i, end = first, first + count
    while i < end and end <= U(words.size) and not _zigzag_delta(words, i) >> width:
        i += U(1)
    return i == end


@kernel
def encode_simple8b(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at, i = U(0), U(0)
    while i < U(words.size):
        number = _zigzag_delta(words, i)
        if number >> U(60):
            store_word(buffer, at, ESCAPE << U(60))
            store_word(buffer, at + U(8), number)
            at += U(16)
            i += U(1)
            continue
        # No selector narrower than the first integer can hold it.
        need = U(64) - leading_zeros(number)
        selector = U(0)
        while selector == ESCAPE or WIDTHS[selector] < need or not _fits(words, i, selector):
            selector += U(1)
        count, width = COUNTS[selector], WIDTHS[selector]
        word = U(0)
        for j in range(i, i + count):
            word = (word << width) | _zigzag_delta(words, j)
        store_word(buffer, at, (selector << U(60)) | (word << (U(60) - count * width) if width else U(0)))
        at += U(8)
        i += count
    return at


@kernel
def decode_simple8b(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many."""
    at, i, value = start, U(0), U(0)
    size = U(words.size)
    while i < size:
        if at + U(8) > stop:
            return False
        word = load_word(data, at)
        at += U(8)
        selector = word >> U(60)
        if selector == ESCAPE:
            if at + U(8) > stop:
                return False
            number = load_word(data, at)
            at += U(8)
            value += unzigzag(number)
            words[i] = value
            i += U(1)
            continue
        count, width = COUNTS[selector], WIDTHS[selector]
        if i + count > size:
            return False
        bits, unused = word << U(4), U(64) - width
        for _ in range(count):
            number = bits >> unused if width else U(0)
            bits <<= width
            value += unzigzag(number)
            words[i] = value
            i += U(1)
    return at == stop
