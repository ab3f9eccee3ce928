"""Patas: Chimp128 with bytes in place of bits, made to decode fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64, Bytes
from squeezelab.codecs.base import KernelCodec, Words
from squeezelab.codecs.chimp128 import FEW_TRAILING, LOW_BITS, WINDOW
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_word, store_word, trailing_zeros


class Patas(KernelCodec):
    """Patas for any float64 column.

    Like `chimp128` it XORs with one of the last 128 values, but every XOR is stored the same way: two bytes that say
    which value, how many trailing zeros, and how many bytes follow, then these bytes. There is no branch on the kind of
    code, so decoding is fast whatever the data; each value takes two bytes at least.

    Notes
    -----
    Payload, all big-endian: the first value in 8 bytes, then for each other value::

        7 bits        how far back its reference is, less one
        3 bits        bytes that follow
        6 bits        trailing zeros
        0 to 8 bytes  the XOR without its trailing zeros

    Seven bytes and no trailing zeros stand for eight bytes.

    References
    ----------
    DuckDB's Patas compression (duckdb/duckdb, pull request 5044, 2022), after Chimp128: P. Liakos et al., PVLDB 15(11),
    2022. The layout here is of its kind, not DuckDB's own, which keeps the two bytes of all values apart from the XORs.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Patas()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 45.3, -0.0])))
    array([45.3, 45.4, 45.3, -0. ])
    """

    name = "patas"
    dtypes = (FLOAT64,)
    max_expansion = 4

    def worst_case_bytes(self, count: int) -> int:
        """Eight bytes for the first value, at most 2 + 8 for each other."""
        return 8 + 10 * count

    def write(self, words: Words, buffer: Bytes) -> Any:
        """Encode."""
        return encode_patas(words, np.zeros(1 << int(LOW_BITS), np.uint64), buffer)

    def read(self, data: Bytes, start: Any, stop: Any, words: Words) -> Any:
        """Decode."""
        return decode_patas(data, start, stop, words)


@kernel
def encode_patas(words, latest, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes.

    ``latest`` has a place for all values of `LOW_BITS` bits, zero at first: where a value with such low bits was last.
    """
    if words.size == 0:
        return U(0)
    low = (U(1) << LOW_BITS) - U(1)
    store_word(buffer, U(0), words[0])
    latest[words[0] & low] = U(0)
    at = U(8)
    for i in range(U(1), U(words.size)):
        value = words[i]
        reference = latest[value & low]
        latest[value & low] = i
        # A value with other low bits, or one too far back, is no better than the one before.
        if i - reference > WINDOW or trailing_zeros(value ^ words[reference]) <= FEW_TRAILING:
            reference = i - U(1)
        xor = value ^ words[reference]
        trailing = trailing_zeros(xor) & U(63)
        count = (U(71) - leading_zeros(xor >> trailing)) >> U(3)
        if count >= U(7):
            # Seven and eight bytes share a number: trailing zeros tell them apart.
            trailing = U(0) if count == U(8) or trailing == U(0) else trailing
            count = U(8) if trailing == U(0) else U(7)
        head = ((i - reference - U(1)) << U(9)) | (min(count, U(7)) << U(6)) | trailing
        buffer[at] = head >> U(8)
        buffer[at + U(1)] = head
        store_word(buffer, at + U(2), (xor >> trailing) << ((U(64) - (count << U(3))) & U(63)))
        at += U(2) + count
    return at


@kernel
def decode_patas(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes behind ``stop`` must be readable.
    """
    if start + U(8) > stop:
        return False
    words[U(0)] = load_word(data, start)
    at = start + U(8)
    for i in range(U(1), U(words.size)):
        if at + U(2) > stop:
            return False
        head = (U(data[at]) << U(8)) | U(data[at + U(1)])
        back, count, trailing = (head >> U(9)) + U(1), (head >> U(6)) & U(7), head & U(63)
        count += U(1) if count == U(7) and trailing == U(0) else U(0)
        at += U(2)
        if back > i or at + count > stop:
            return False
        bits = load_word(data, at) >> ((U(64) - (count << U(3))) & U(63)) if count else U(0)
        words[i] = words[i - back] ^ (bits << trailing)
        at += count
    return at == stop
