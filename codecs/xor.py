"""Gorilla's compression of values: each XORed with the one before."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, peek_57, peek_64, put_top, trailing_zeros

MANY = U(24)
"""How often repeats must have come, less what came between them, for `_decode_mixed` to pay."""


class Xor(KernelCodec):
    """Gorilla's value compression for any float64 column.

    Neighbouring readings share sign, exponent and the top of the mantissa, so their XOR has few meaningful bits between
    many leading and trailing zeros; only these are stored. Choose it for slowly changing or often repeated values
    that must be read fast; decimals such as 45.3 fill the whole mantissa and gain little.

    Notes
    -----
    Payload, bits most significant first::

        64 bits                   the first value
        0                         the value before, once more
        10  <meaningful bits>     XOR, its meaningful bits lie within the last window
        11  <leading zeros: 5> <width: 6> <meaningful bits>    XOR, opens a new window

    A width of 64 is stored as 0; more than 31 leading zeros count as 31. NaNs with payloads, infinities, -0.0 and
    subnormals are bits like all others.

    How fast it decodes depends on the data: where repeated and changed values alternate without order, guessing which
    comes next fails often, and not guessing means to wait for each code; either takes twice the time of equal codes.

    References
    ----------
    T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", PVLDB 8(12), 2015, section 4.1.2.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Xor()
    >>> frame = codec.encode(np.array([12.0, 24.0, 24.0, -0.0]))
    >>> codec.decode(frame)
    array([12., 24., 24., -0.])
    """

    name = "xor"
    dtypes = (FLOAT64,)
    max_expansion = 64

    def worst_case_bytes(self, count: int) -> int:
        """64 bits for the first value, then at most 2 + 64 or 13 + 64 a value."""
        return 8 + (count * 77 + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_xor, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_xor, ()


@kernel
def encode_xor(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at, pending, fill = U(0), U(0), U(0)
    if words.size == 0:
        return at
    previous = words[0]
    at, pending, fill = put_top(buffer, at, pending, fill, previous, U(0), U(64))
    outside, leading, width = ~U(0), U(0), U(0)
    for i in range(1, words.size):
        xor = words[i] ^ previous
        previous = words[i]
        at, pending, fill, outside, leading, width = put_xor(buffer, at, pending, fill, xor, outside, leading, width)
    return at + ((fill + U(7)) >> U(3))


@kernel(forceinline=True)
def put_xor(buffer, at, pending, fill, xor, outside, leading, width):
    """Append the code of one XOR; ``outside`` are the bits beyond the last window: all, before there is one.

    Returns
    -------
    at, pending, fill, outside, leading, width
        The writer's state and the window after it.
    """
    within, opens = U(0b10), U(0b11)
    return put_coded_xor(buffer, at, pending, fill, xor, within, U(2), opens, U(2), outside, leading, width)


@kernel(forceinline=True)
def put_coded_xor(buffer, at, pending, fill, xor, within, within_size, opens, opens_size, outside, leading, width):
    """Do as `put_xor`, with other codes before an XOR within the last window and one that opens a new window.

    Of a code its bits are given, and how many they are; an XOR of zero takes one bit all the same.
    """
    if xor & outside == U(0):
        # Zero lies within any window: choosing its code without a branch keeps noisy columns fast.
        control = within << (U(64) - within_size) if xor != U(0) else U(0)
        size = within_size + width if xor != U(0) else U(1)
        top = xor << leading
        high, low = control | (top >> within_size), top << (U(64) - within_size)
        at, pending, fill = put_top(buffer, at, pending, fill, high, low, size)
    else:
        leading = min(leading_zeros(xor), U(31))
        trailing = trailing_zeros(xor)
        width = U(64) - leading - trailing
        outside = ~((~U(0) >> (leading + trailing)) << trailing)
        before = opens_size + U(11)
        control = ((opens << U(11)) | (leading << U(6)) | (width & U(63))) << (U(64) - before)
        top = xor << leading
        high, low = control | (top >> before), top << (U(64) - before)
        at, pending, fill = put_top(buffer, at, pending, fill, high, low, before + width)
    return at, pending, fill, outside, leading, width


@kernel
def decode_xor(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    return (read_xor(data, start << U(3), stop << U(3), words) + U(7)) >> U(3) == stop


@kernel
def read_xor(data, position, end, words):
    """Fill uint64 words from a position on; return the one after, beyond ``end`` where not all of them lie before it.

    ``end`` is a byte's; `READ_SLACK` bytes after it must be readable.
    """
    count = U(words.size)
    beyond = end + U(8)
    if position + U(64) > end:
        return beyond
    value = peek_64(data, position)
    words[U(0)] = value
    position += U(64)
    width, trailing = U(0), U(0)
    i = U(1)
    while i < count:
        if position >= end:
            return beyond
        code = peek_57(data, position)
        if code >> U(62) == U(0b11):
            leading = (code >> U(57)) & U(31)
            width = (((code >> U(51)) - U(1)) & U(63)) + U(1)
            position += U(13)
            if leading + width > U(64) or position + width > end:
                return beyond
            trailing = U(64) - leading - width
            value ^= (peek_64(data, position) >> (U(64) - width)) << trailing
            words[i] = value
            i += U(1)
            position += width
        elif code >> U(63) == U(0):
            run = min(leading_zeros(code | U(127)), count - i)
            for _ in range(run):
                words[i] = value
                i += U(1)
            position += run
        elif width == U(0) or position + U(2) + width > end:
            return beyond
        else:
            i, position, value, repeats = _decode_window(data, position, end, words, i, value, width, trailing)
            if repeats > MANY:
                i, position, value = _decode_mixed(data, position, end, words, i, value, width, trailing)
    return position


@kernel(forceinline=True)
def _decode_window(data, position, end, words, i, value, width, trailing):
    """Decode codes ``10`` while repeats between them are rare: a tight loop in which the window is constant."""
    count = U(words.size)
    unused = U(64) - width
    last = end - U(2) - width
    repeats, since = U(0), i
    while i < count and position <= last and repeats <= MANY:
        code = peek_57(data, position)
        if code >> U(62) == U(0b10):
            bits = code << U(2) if width <= U(55) else peek_64(data, position + U(2))
            value ^= (bits >> unused) << trailing
            words[i] = value
            i += U(1)
            position += U(2) + width
        elif code >> U(63) == U(0):
            repeats = U(8) + repeats - min(repeats, i - since)
            since = i
            run = min(leading_zeros(code | U(127)), count - i)
            for _ in range(run):
                words[i] = value
                i += U(1)
            position += run
        else:
            break
    return i, position, value, repeats


@kernel(forceinline=True)
def _decode_mixed(data, position, end, words, i, value, width, trailing):
    """Decode codes ``0`` and ``10`` while they alternate: a run of the first and one of the second at a time.

    Which of the two comes next is no branch here: a mispredicted one costs more than the values it leads to.
    """
    count = U(words.size)
    unused = U(64) - width
    repeats = MANY
    while i + U(64) <= count and position + U(64) + width <= end and repeats > U(0):
        code = peek_57(data, position)
        # Of the 57 bits that are there, two must be left for the code after the run.
        run = leading_zeros(code | U(511))
        for ahead in range(U(4)):
            words[i + ahead] = value
        for ahead in range(U(4), run):
            words[i + ahead] = value
        i += run
        position += run
        if (code << run) >> U(62) != U(0b10):
            break
        value ^= (peek_64(data, position + U(2)) >> unused) << trailing
        words[i] = value
        i += U(1)
        position += U(2) + width
        repeats = min(repeats + (run << U(3)), MANY << U(1)) - U(1)
    return i, position, value
