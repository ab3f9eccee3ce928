"""Packing integers of one width without gaps, and unpacking them fast, for codecs that work in blocks."""

from __future__ import annotations

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, peek_57, peek_64, store_word


@kernel(forceinline=True)
def bit_width(number):
    """Return how many bits a number needs; 0 for zero."""
    return U(64) - leading_zeros(number)


@kernel(forceinline=True)
def packed_bytes(count, width):
    """Return the bytes that so many integers of a width take; the last one's unused bits are zero."""
    return (count * width + U(7)) >> U(3)


@kernel
def pack_bits(words, count, width, buffer, at):
    """Write the low ``width`` bits, 0 to 64, of the first ``count`` words from a byte on; their other bits are zero.

    Returns
    -------
    at
        The byte after them.
    """
    if width == U(0):
        return at
    pending, fill, unused = U(0), U(0), U(64) - width
    for i in range(count):
        top = words[i] << unused
        pending |= top >> fill
        fill += width
        if fill >= U(64):
            store_word(buffer, at, pending)
            at += U(8)
            fill -= U(64)
            pending = top << (width - fill) if fill else U(0)
    store_word(buffer, at, pending)
    return at + ((fill + U(7)) >> U(3))


@kernel
def unpack_bits(data, at, count, width, words):
    """Fill the first ``count`` words with integers of ``width`` bits, 0 to 64, from a byte on.

    `READ_SLACK` bytes after the last one must be readable.
    """
    unused = U(64) - width
    position = at << U(3)
    if width == U(0):
        words[:count] = U(0)
    elif width <= U(57):
        for i in range(count):
            words[i] = peek_57(data, position + i * width) >> unused
    else:
        for i in range(count):
            words[i] = peek_64(data, position + i * width) >> unused
