"""Elf: XOR compression of decimals whose last bits were erased, and can be had back."""

from __future__ import annotations

from math import ceil, floor, log2, log10
from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64, Bytes
from squeezelab.codecs.base import KernelCodec, Words
from squeezelab.codecs.chimp import leading_at, leading_place
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    float_of,
    peek_57,
    peek_64,
    put_top,
    trailing_zeros,
    word_of,
)

MOST_PLACES = U(22)
"""10**22 is the last power of ten that a float64 holds exactly: with more decimal places nothing is erased."""
MOST_DIGITS = U(15)
"""More significant digits have no code of four bits."""
WORTH_ERASING = U(4)
"""Erasing costs four bits, the number of digits: fewer erased bits are not worth it."""
SIGN = U(1 << 63)
CASE_SAME, CASE_WINDOW, CASE_FEW, CASE_MANY = U(0b01), U(0b00), U(0b10), U(0b11)

# Where a number's first digit stands, counted so that ones stand at ONES: floor(log10(v)) + ONES.
ONES = U(24)
LAST_STAND = 39
SCALE = np.array([float(f"1e{i}") for i in range(int(MOST_PLACES) + 1)])
AT_STAND = np.array([float(f"1e{i - int(ONES)}") for i in range(LAST_STAND + 3)])
BITS_OF_PLACES = np.array([ceil(i * log2(10)) for i in range(int(MOST_PLACES) + 1)], np.uint64)


def _least_stands() -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return for each biased exponent where its least number's first digit stands; 0 where nothing is erased."""
    stands = [floor((exponent - 1023) * log10(2)) + int(ONES) for exponent in range(2048)]
    return np.array([stand if 0 < stand <= LAST_STAND else 0 for stand in stands], np.uint64)


LEAST_STAND = _least_stands()


class Elf(KernelCodec):
    """Elf for float64 columns of decimals.

    45.3 fills all 52 bits of a mantissa, yet few of them tell it from 45.2 and 45.4. Elf erases the others and stores
    how many significant digits the number had: rounding up to so many brings it back. What is left has many trailing
    zeros, and so has its XOR with the value before. Choose it for decimals of few digits that change from sample to
    sample; whole numbers and full-precision numbers gain nothing and cost a bit each.

    Notes
    -----
    Payload, bits most significant first; each value has two parts, whether it was erased, and the XOR of what is left::

        0                                             nothing was erased
        1 <digits: 4>                                 erased; 0 digits: it was a negative power of ten

        <trailing zeros: 7> <bits above the last 1>   the first value
        01                                            the value before, once more
        00 <meaningful bits>                          the XOR lies within the last window, with as many leading zeros
        10 <leading: 3> <width: 4> <width - 1 bits>   at most 16 meaningful bits, opens a new window
        11 <leading: 3> <width: 6> <width - 1 bits>   more, opens a new window

    The last of the meaningful bits is 1 and left out. A width of 16 or 64 is stored as 0. Leading zeros are rounded as
    in `chimp`.

    The encoder restores what it erased, and where a bit differs erases nothing: NaN payloads, infinities, -0.0 and
    subnormals are bits like all others. Only numbers of at most 15 significant digits and 22 decimal places are
    erased. Their places are found without writing them out: those of the value before are tried first, then the most
    that 15 digits allow, less the zeros at the end.

    Decimals decode at a little under 1 GB/s: where a code begins is known only when the one before has been read, the
    kinds of codes alternate without order, and a multiplication, a rounding and a division restore each value.

    References
    ----------
    R. Li, Z. Li, Y. Wu, C. Chen, Y. Zheng, "Elf: Erasing-based Lossless Floating-Point Compression", PVLDB 16(7), 2023,
    sections 3 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Elf()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 0.01, -0.0])))
    array([ 4.53e+01,  4.54e+01,  1.00e-02, -0.00e+00])
    """

    name = "elf"
    dtypes = (FLOAT64,)
    max_expansion = 22

    def worst_case_bytes(self, count: int) -> int:
        """At most 5 + 11 + 63 bits a value."""
        return (count * 79 + 7) // 8

    def write(self, words: Words, buffer: Bytes) -> Any:
        """Encode."""
        return encode_elf(words, buffer)

    def read(self, data: Bytes, start: Any, stop: Any, words: Words) -> Any:
        """Decode."""
        return decode_elf(data, start, stop, words)


@kernel(forceinline=True)
def _stand(magnitude):
    """Return where the first digit stands, 0 where the number is too small or too large to be erased."""
    stand = LEAST_STAND[word_of(magnitude) >> U(52)]
    return stand + U(magnitude >= AT_STAND[stand + U(1)]) if stand else U(0)


@kernel(forceinline=True)
def _restore(erased, digits):
    """Return the number that had so many significant digits, 0 where none can have."""
    magnitude = float_of(erased & ~SIGN)
    stand = _stand(magnitude)
    if stand == U(0):
        return U(0)
    if digits == U(0):
        return word_of(AT_STAND[stand + U(1)]) | (erased & SIGN)
    places = digits + ONES - U(1) - stand
    if places > MOST_PLACES:
        return U(0)
    return word_of(np.ceil(magnitude * SCALE[places]) / SCALE[places]) | (erased & SIGN)


@kernel(forceinline=True)
def _decimal_places(magnitude, stand, guess):
    """Return how many decimal places a number has, 0 if none or more than can be erased."""
    most = min(MOST_DIGITS + ONES - U(1) - stand, MOST_PLACES)
    places = min(guess, most)
    number = np.rint(magnitude * SCALE[places])
    if number / SCALE[places] != magnitude:
        places = most
        number = np.rint(magnitude * SCALE[places])
        if number / SCALE[places] != magnitude:
            return U(0)
    rest = U(number)
    while places > U(0) and rest % U(10) == U(0):
        rest //= U(10)
        places -= U(1)
    return places


@kernel(forceinline=True)
def _erase(word, guess):
    """Return a word with its last bits erased, the head that says so with its size, and the next guess at places."""
    keep = word, U(0), U(1)
    magnitude = float_of(word & ~SIGN)
    stand = _stand(magnitude)
    if stand == U(0) or stand > MOST_DIGITS + ONES - U(2):
        return keep, guess
    places = _decimal_places(magnitude, stand, guess)
    # One number of fewer places does not mean that the next has no more.
    guess = max(places, guess - U(1), U(1))
    if places == U(0):
        return keep, guess
    bits = U(52) + U(1023) - (word >> U(52) & U(0x7FF)) - BITS_OF_PLACES[places]
    if bits <= WORTH_ERASING or bits > U(52):
        return keep, guess
    erased = (word >> bits) << bits
    power_of_ten = stand < ONES and magnitude == AT_STAND[stand]
    digits = U(0) if power_of_ten else places + stand + U(1) - ONES
    if erased == word or _restore(erased, digits) != word:
        return keep, guess
    return (erased, U(0x10) | digits, U(5)), guess


@kernel
def encode_elf(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at, pending, fill = U(0), U(0), U(0)
    previous, window_leading, window_trailing, guess = U(0), U(64), U(64), U(1)
    for i in range(words.size):
        (value, head, size), guess = _erase(words[i], guess)
        xor = value ^ previous
        previous = value
        trailing = trailing_zeros(xor)
        if i == 0:
            head, size = (head << U(7)) | trailing, size + U(7)
            top, bits = xor & (xor - U(1)), U(63) - min(trailing, U(63))
        elif xor == U(0):
            head, size, top, bits = (head << U(2)) | CASE_SAME, size + U(2), U(0), U(0)
        else:
            place = leading_place(xor)
            leading = leading_at(place)
            if leading == window_leading and trailing >= window_trailing:
                head, size = (head << U(2)) | CASE_WINDOW, size + U(2)
                top, bits = xor << leading, U(64) - leading - window_trailing
            else:
                window_leading, window_trailing = leading, trailing
                width = U(64) - leading - trailing
                top, bits = (xor & (xor - U(1))) << leading, width - U(1)
                if width <= U(16):
                    code, more = (CASE_FEW << U(7)) | (place << U(4)) | (width & U(15)), U(9)
                else:
                    code, more = (CASE_MANY << U(9)) | (place << U(6)) | (width & U(63)), U(11)
                head, size = (head << more) | code, size + more
        high = (head << (U(64) - size)) | (top >> size)
        at, pending, fill = put_top(buffer, at, pending, fill, high, top << (U(64) - size), size + bits)
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_elf(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes behind ``stop`` must be readable.
    """
    position, end = start << U(3), stop << U(3)
    value, leading, trailing = U(0), U(0), U(64)
    for i in range(words.size):
        if position >= end:
            return False
        code = peek_57(data, position)
        erased, digits = code >> U(63), code >> U(59) & U(15)
        code <<= U(1) + (erased << U(2))
        position += U(1) + (erased << U(2))
        case = code >> U(62)
        if i == 0:
            trailing = code >> U(57)
            position += U(7)
            width = U(64) - min(trailing, U(64))
            if trailing > U(64) or position + width > end + U(1):
                return False
            if width:
                value = (((peek_64(data, position - U(1)) << U(1)) >> trailing) | U(1)) << trailing
                position += width - U(1)
            trailing = U(64)
        elif case == CASE_SAME:
            position += U(2)
        elif case == CASE_WINDOW:
            position += U(2)
            width = U(64) - leading - trailing
            if trailing == U(64) or position + width > end:
                return False
            value ^= (peek_64(data, position) >> (U(64) - width)) << trailing
            position += width
        else:
            leading = leading_at(code >> U(59) & U(7))
            few = case == CASE_FEW
            width = ((code >> U(55)) - U(1) & U(15)) + U(1) if few else ((code >> U(53)) - U(1) & U(63)) + U(1)
            position += U(9) if few else U(11)
            if leading + width > U(64) or position + width > end + U(1):
                return False
            trailing = U(64) - leading - width
            # From the bit before on, as there may be none to read.
            value ^= (((peek_64(data, position - U(1)) << U(1)) >> (U(64) - width)) | U(1)) << trailing
            position += width - U(1)
        if erased:
            restored = _restore(value, digits)
            if restored == U(0):
                return False
            words[i] = restored
        else:
            words[i] = value
    return position <= end and (position + U(7)) >> U(3) == stop
