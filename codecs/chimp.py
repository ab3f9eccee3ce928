"""Chimp: XOR of neighbouring values with codes fitted to what real XORs look like."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, peek_57, peek_64, put_top, trailing_zeros

FEW_TRAILING = U(6)
"""An XOR with no more trailing zeros than this is stored to its last bit."""

NO_LEADING = U(65)


class Chimp(KernelCodec):
    """Chimp for any float64 column.

    Most XORs of real readings have either many trailing zeros or hardly any. Chimp stores the second kind down to the
    last bit, for which Gorilla would spend six bits on a width, and rounds leading zeros to one of eight numbers.
    Choose it over `xor` for decimals that change from sample to sample; a repeated value costs it two bits, where
    `xor` needs one.

    Notes
    -----
    Payload, bits most significant first::

        64 bits                                       the first value
        00                                            the value before, once more
        01 <leading: 3> <width: 6> <meaningful bits>  an XOR with more than 6 trailing zeros
        10 <64 - leading bits>                        as many leading zeros as the last code of these two kinds had
        11 <leading: 3> <64 - leading bits>           any other XOR

    Leading zeros are rounded down to 0, 8, 12, 16, 18, 20, 22 or 24, and stored as the number's place.

    References
    ----------
    P. Liakos, K. Papakonstantinopoulou, Y. Kotidis, "Chimp: Efficient Lossless Floating Point Compression for Time
    Series Databases", PVLDB 15(11), 2022, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Chimp()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 45.4, -0.0])))
    array([45.3, 45.4, 45.4, -0. ])
    """

    name = "chimp"
    dtypes = (FLOAT64,)
    max_expansion = 32

    def worst_case_bytes(self, count: int) -> int:
        """64 bits for the first value, at most 5 + 64 for each other."""
        return 8 + (count * 69 + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_chimp, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_chimp, ()


@kernel(forceinline=True)
def leading_place(xor):
    """Return the place of the number that leading zeros are rounded to: 0, 8, 12, 16, 18, 20, 22, 24."""
    leading = leading_zeros(xor)
    if leading >= U(16):
        return min(leading >> U(1), U(12)) - U(5)
    return U(0) if leading < U(8) else U(1) if leading < U(12) else U(2)


@kernel(forceinline=True)
def leading_at(place):
    """Return the rounded number of leading zeros at a place."""
    if place >= U(3):
        return (place + U(5)) << U(1)
    return U(0) if place == U(0) else U(8) if place == U(1) else U(12)


@kernel
def encode_chimp(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at, pending, fill = U(0), U(0), U(0)
    if words.size == 0:
        return at
    at, pending, fill = put_top(buffer, at, pending, fill, words[0], U(0), U(64))
    last_leading = NO_LEADING
    for i in range(1, words.size):
        xor = words[i] ^ words[i - 1]
        if xor == U(0):
            last_leading = NO_LEADING
            at, pending, fill = put_top(buffer, at, pending, fill, U(0), U(0), U(2))
            continue
        place, trailing = leading_place(xor), trailing_zeros(xor)
        leading = leading_at(place)
        top = xor << leading
        if trailing > FEW_TRAILING:
            width = U(64) - leading - trailing
            last_leading = NO_LEADING
            head, size, bits = (U(0b01) << U(9)) | (place << U(6)) | width, U(11), width
        elif leading == last_leading:
            head, size, bits = U(0b10), U(2), U(64) - leading
        else:
            last_leading = leading
            head, size, bits = (U(0b11) << U(3)) | place, U(5), U(64) - leading
        high = (head << (U(64) - size)) | (top >> size)
        at, pending, fill = put_top(buffer, at, pending, fill, high, top << (U(64) - size), size + bits)
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_chimp(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    position, end = start << U(3), stop << U(3)
    if position + U(64) > end:
        return False
    value = peek_64(data, position)
    words[U(0)] = value
    position += U(64)
    leading = NO_LEADING
    for i in range(1, words.size):
        if position + U(2) > end:
            return False
        code = peek_57(data, position)
        flag = code >> U(62)
        if flag == U(0b00):
            leading = NO_LEADING
            position += U(2)
            words[i] = value
            continue
        place = (code >> U(59)) & U(7)
        if flag == U(0b01):
            leading = leading_at(place)
            width = (code >> U(53)) & U(63)
            position += U(11)
            if width == U(0) or leading + width > U(64) or position + width > end:
                return False
            value ^= (peek_64(data, position) >> (U(64) - width)) << (U(64) - leading - width)
            leading = NO_LEADING
        else:
            if flag == U(0b11):
                leading = leading_at(place)
                position += U(5)
            else:
                position += U(2)
            width = U(64) - leading
            if leading == NO_LEADING or position + width > end:
                return False
            value ^= peek_64(data, position) >> leading
        position += width
        words[i] = value
    return position <= end and (position + U(7)) >> U(3) == stop
