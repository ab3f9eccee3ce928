"""TSXor: a value as its place among the last 127, or as the bytes that it does not share with one of them."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_word, store_word, trailing_zeros

WINDOW = U(127)
"""How many values before a reference can be chosen from; where there are fewer, the others are zeros."""
AS_IT_IS = U(255)
WITH_XOR = U(128)


class TSXor(KernelCodec):
    """TSXor for any float64 column.

    A value that is one of the last 127 takes a byte. Any other is XORed with the one of them that leaves the most zeros
    at both ends, and the bytes between are kept: whole bytes are fast to read, and cost up to 14 bits a value. Choose
    it where values recur, and are read more often than written: each one is compared with 127 others.

    Notes
    -----
    Payload: the first value as it is, 8 bytes; then for each value one of::

        0 to 126                                         the value that many places before the last one
        128 + place, 16 * zeros + count, count bytes     XOR with the value there, less zero bytes at its end
        255, 8 bytes                                     as it is: fewer than two bytes of its best XOR are zero

    All bytes most significant first. Of equally good references the nearest is chosen. The paper's codec keeps rows of
    several columns, each with a window of its own, and timestamps beside them as Gorilla does; this is a column.

    References
    ----------
    A. Bruno, F. M. Nardini, G. E. Pibiri, R. Trani, R. Venturini, "TSXor: A Simple Time Series Compression Algorithm",
    SPIRE 2021; andybbruno/TSXor, core/CompressorTSXor.cpp (commit bdb1902), whose bytes of values these are, compared
    on the columns of ALP's paper, the Westermo data and random bits.

    Examples
    --------
    >>> import numpy as np
    >>> codec = TSXor()
    >>> codec.pack(np.array([45.25, 45.5, 45.25])).tobytes().hex()
    '4046a0000000000080516001'
    >>> codec.decode(codec.encode(np.array([45.25, 45.5, 45.25, -0.0])))
    array([45.25, 45.5 , 45.25, -0.  ])
    """

    name = "tsxor"
    dtypes = (FLOAT64,)
    max_expansion = 8

    def worst_case_bytes(self, count: int) -> int:
        """At most 9 bytes a value."""
        return 9 * count

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_tsxor, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_tsxor, ()


@kernel(forceinline=True)
def _zeros(xor):
    """Return the zero bits at both ends; for none but zeros as the paper's code has it."""
    return leading_zeros(xor) + trailing_zeros(xor) if xor else U(64)


@kernel
def _reference(words, i):
    """Return how far back a value was last, or else the best reference, and the XOR with it."""
    value, count = words[i], min(i, WINDOW)
    for back in range(U(1), count + U(1)):
        if words[i - back] == value:
            return back, U(0)
    if value == U(0) and count < WINDOW:
        return count + U(1), U(0)
    best, most = U(1), U(0)
    for back in range(U(1), count + U(1)):
        zeros = _zeros(value ^ words[i - back])
        if zeros > most:
            best, most = U(back), zeros
    # The zeros that the window begins with.
    if count < WINDOW and _zeros(value) > most:
        return count + U(1), value
    return best, value ^ words[i - best]


@kernel
def encode_tsxor(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    store_word(buffer, U(0), words[0])
    at = U(8)
    for i in range(U(1), U(words.size)):
        back, xor = _reference(words, i)
        if xor == U(0):
            buffer[at] = back - U(1)
            at += U(1)
            continue
        leading, trailing = leading_zeros(xor) >> U(3), trailing_zeros(xor) >> U(3)
        if leading + trailing < U(2):
            buffer[at] = AS_IT_IS
            store_word(buffer, at + U(1), words[i])
            at += U(9)
            continue
        buffer[at] = WITH_XOR | (back - U(1))
        buffer[at + U(1)] = trailing << U(4) | (U(8) - leading - trailing)
        store_word(buffer, at + U(2), xor << (leading << U(3)))
        at += U(10) - leading - trailing
    return at


@kernel
def decode_tsxor(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    if start + U(8) > stop:
        return False
    words[0] = load_word(data, start)
    at = start + U(8)
    for i in range(U(1), U(words.size)):
        if at >= stop:
            return False
        head = U(data[at])
        at += U(1)
        if head == AS_IT_IS:
            if at + U(8) > stop:
                return False
            words[i] = load_word(data, at)
            at += U(8)
            continue
        back = (head & ~WITH_XOR) + U(1)
        if back > WINDOW:
            return False
        words[i] = words[i - back] if back <= i else U(0)
        if head & WITH_XOR:
            if at >= stop:
                return False
            trailing, count = U(data[at]) >> U(4), U(data[at]) & U(15)
            at += U(1)
            if count == U(0) or trailing + count > U(8) or at + count > stop:
                return False
            words[i] ^= load_word(data, at) >> (U(64) - (count << U(3))) << (trailing << U(3))
            at += count
    return at == stop
