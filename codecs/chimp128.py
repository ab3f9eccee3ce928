"""Chimp128: Chimp against the best of the last 128 values."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.codecs.chimp import NO_LEADING, leading_at, leading_place
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, peek_57, peek_64, put_top, trailing_zeros, workspace

WINDOW = U(128)
LOW_BITS = U(14)
"""Values are looked up by their last 14 bits: those of the threshold below, and one."""

FEW_TRAILING = U(13)
"""A reference must save more trailing zeros than the 7 bits of its place, and Chimp's 6, cost."""


class Chimp128(KernelCodec):
    """Chimp128 for any float64 column.

    Decimals come back: not the value before, but one of the last 128 often shares the low bits of a reading, and the
    XOR with that one ends in a long run of zeros. A table from low bits to positions finds it. Choose it for noisy
    readings of few distinct values, where `chimp` and `xor` store most of every mantissa.

    Notes
    -----
    Payload, bits most significant first; places are positions modulo 128::

        64 bits                                                the first value
        00 <place: 7>                                          the value at a place, once more
        01 <place: 7> <leading: 3> <width: 6> <meaningful>     XOR with the value at a place, over 13 trailing zeros
        10 <64 - leading bits>                                 XOR with the value before, leading zeros as last time
        11 <leading: 3> <64 - leading bits>                    any other XOR with the value before

    Leading zeros are rounded as in `chimp`.

    References
    ----------
    P. Liakos, K. Papakonstantinopoulou, Y. Kotidis, "Chimp: Efficient Lossless Floating Point Compression for Time
    Series Databases", PVLDB 15(11), 2022, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Chimp128()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 45.3, -0.0])))
    array([45.3, 45.4, 45.3, -0. ])
    """

    name = "chimp128"
    dtypes = (FLOAT64,)
    max_expansion = 8

    def worst_case_bytes(self, count: int) -> int:
        """64 bits for the first value, at most 18 + 64 for each other."""
        return 8 + (count * 82 + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_chimp128, (workspace(1, 1 << int(LOW_BITS)),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_chimp128, ()


@kernel
def encode_chimp128(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes.

    The workspace has a place for all values of `LOW_BITS` bits: where a value with such low bits was last.
    """
    at, pending, fill = U(0), U(0), U(0)
    if words.size == 0:
        return at
    latest = work[0]
    latest[:] = 0
    low = (U(1) << LOW_BITS) - U(1)
    at, pending, fill = put_top(buffer, at, pending, fill, words[0], U(0), U(64))
    latest[words[0] & low] = U(0)
    last_leading = NO_LEADING
    for i in range(U(1), U(words.size)):
        value = words[i]
        candidate = latest[value & low]
        latest[value & low] = i
        reference = i - U(1)
        xor, trailing = value ^ words[reference], U(0)
        # Low bits that never came before lead to position 0, which is as good a candidate as any.
        if i - candidate <= WINDOW:
            other = value ^ words[candidate]
            if trailing_zeros(other) > FEW_TRAILING:
                reference, xor, trailing = candidate, other, trailing_zeros(other)
        place = reference & (WINDOW - U(1))
        if xor == U(0):
            last_leading = NO_LEADING
            at, pending, fill = put_top(buffer, at, pending, fill, place << U(55), U(0), U(9))
            continue
        leading = leading_at(leading_place(xor))
        top = xor << leading
        if trailing > FEW_TRAILING:
            width = U(64) - leading - trailing
            last_leading = NO_LEADING
            head = ((((U(0b01) << U(7)) | place) << U(3) | leading_place(xor)) << U(6)) | width
            size, bits = U(18), width
        elif leading == last_leading:
            head, size, bits = U(0b10), U(2), U(64) - leading
        else:
            last_leading = leading
            head, size, bits = (U(0b11) << U(3)) | leading_place(xor), U(5), U(64) - leading
        high = (head << (U(64) - size)) | (top >> size)
        at, pending, fill = put_top(buffer, at, pending, fill, high, top << (U(64) - size), size + bits)
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_chimp128(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    position, end = start << U(3), stop << U(3)
    if position + U(64) > end:
        return False
    words[U(0)] = peek_64(data, position)
    position += U(64)
    last_leading = NO_LEADING
    for i in range(U(1), U(words.size)):
        if position + U(2) > end:
            return False
        code = peek_57(data, position)
        flag = code >> U(62)
        if flag <= U(0b01):
            # The position before this one that has the place: 1 to 128 back.
            back = ((i - U(1) - (code >> U(55))) & (WINDOW - U(1))) + U(1)
            if back > i:
                return False
            xor = U(0)
            position += U(9)
            if flag == U(0b01):
                leading, width = leading_at((code >> U(52)) & U(7)), (code >> U(46)) & U(63)
                position += U(9)
                if width == U(0) or leading + width > U(64) or position + width > end:
                    return False
                xor = (peek_64(data, position) >> (U(64) - width)) << (U(64) - leading - width)
                position += width
            last_leading = NO_LEADING
            words[i] = words[i - back] ^ xor
            continue
        if flag == U(0b11):
            last_leading = leading_at((code >> U(59)) & U(7))
            position += U(3)
        position += U(2)
        if last_leading == NO_LEADING or position + U(64) - last_leading > end:
            return False
        words[i] = words[i - U(1)] ^ (peek_64(data, position) >> last_leading)
        position += U(64) - last_leading
    return position <= end and (position + U(7)) >> U(3) == stop
