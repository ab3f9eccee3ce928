"""Delta and bit packing: blocks of differences, each difference as wide as the block's range needs."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import INT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    load_word,
    peek_64,
    put_top,
    put_varint,
    take_varint,
    unzigzag,
    zigzag,
)

BLOCK = 128
BIAS = U(1 << 63)
"""Added to both, it makes unsigned integers compare like signed ones."""


class DeltaBitpack(KernelCodec):
    """Delta, zigzag and bit packing in blocks of 128, for any int64 column.

    A block stores its smallest difference and, with equally many bits for each, how far the others are above it.
    Equal steps take no bits at all. Choose it for timestamps and integers that must be read fastest, and whose steps
    stay within a range; one far step widens its whole block, where `delta_of_delta` and `simple8b` pay for it alone.

    Notes
    -----
    Payload, a number and then blocks of 128 differences, the last of which may be shorter::

        varint    the first value, zigzag

        varint    the smallest difference of a value to the one before, zigzag
        byte      width: 0 to 64
        bits      each difference less the smallest, in so many bits, most significant first, up to a whole byte

    The idea is that of Parquet's DELTA_BINARY_PACKED, which gives every 32 differences a width of their own, low bits
    first. Differences wrap around at 64 bits.

    References
    ----------
    D. Lemire, L. Boytsov, "Decoding billions of integers per second through vectorization", Software: Practice and
    Experience 45(1), 2015, for blocks of 128 of one width. "Parquet encoding definitions", delta encoding.

    Examples
    --------
    >>> import numpy as np
    >>> codec = DeltaBitpack()
    >>> codec.decode(codec.encode(np.array([100, 115, 130, -7])))
    array([100, 115, 130,  -7])
    """

    name = "delta_bitpack"
    dtypes = (INT64,)
    # Two bytes for a block of equal steps.
    max_expansion = 8 * BLOCK // 2

    def worst_case_bytes(self, count: int) -> int:
        """For the first value 10, for each block 10 and a width, for each value 8."""
        return 10 + 11 * (count // BLOCK + 1) + 8 * count

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_delta_bitpack, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_delta_bitpack, ()


@kernel
def encode_delta_bitpack(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    if words.size == 0:
        return U(0)
    before = words[0]
    at = put_varint(buffer, U(0), zigzag(before))
    for first in range(1, words.size, BLOCK):
        block = words[first : first + BLOCK]
        least, most = ~U(0), U(0)
        previous = before
        for i in range(block.size):
            biased = block[i] - previous + BIAS
            least, most = min(least, biased), max(most, biased)
            previous = block[i]
        width = U(64) - leading_zeros(most - least)
        least -= BIAS
        at = put_varint(buffer, at, zigzag(least))
        buffer[at] = width
        at += U(1)
        if width:
            at = _pack(block, before, least, width, buffer, at)
        before = previous
    return at


@kernel
def _pack(block, before, least, width, buffer, at):
    """Write a block's differences above the least; return the byte after them."""
    pending, fill = U(0), U(0)
    for i in range(block.size):
        above = block[i] - before - least
        before = block[i]
        at, pending, fill = put_top(buffer, at, pending, fill, above << (U(64) - width), U(0), width)
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_delta_bitpack(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    number, at = take_varint(data, start, stop)
    value = unzigzag(number)
    words[0] = value
    for first in range(1, words.size, BLOCK):
        block = words[first : first + BLOCK]
        number, at = take_varint(data, at, stop)
        if at >= stop:
            return False
        least, width = unzigzag(number), U(data[at])
        at += U(1)
        after = at + ((U(block.size) * width + U(7)) >> U(3))
        if width > U(64) or after > stop:
            return False
        if width == U(0):
            for i in range(block.size):
                block[i] = value + U(i + 1) * least
        else:
            _unpack(data, at, width, value, least, block)
        value = block[block.size - 1]
        at = after
    return at == stop


@kernel(forceinline=True)
def _unpack(data, at, width, value, least, block):
    """Fill a block from differences above the least."""
    position, unused = at << U(3), U(64) - width
    if width <= U(57):
        for i in range(block.size):
            value += ((load_word(data, position >> U(3)) << (position & U(7))) >> unused) + least
            block[i] = value
            position += width
    else:
        for i in range(block.size):
            value += (peek_64(data, position) >> unused) + least
            block[i] = value
            position += width
