"""Elf, as of its paper: XOR compression of decimals whose last bits were erased, and can be had back."""

from __future__ import annotations

from math import ceil, floor, log2, log10
from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
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
NO_DIGITS = U(16)
"""Before any number was erased."""
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

ELF, ELF_PLUS = np.zeros((1, 1), np.uint64), np.ones((1, 1), np.uint64)
"""Which of the two a kernel writes or reads."""


class Elf(KernelCodec):
    """Elf for float64 columns of decimals, as released with its paper; its authors recommend `elf_plus`.

    45.3 fills all 52 bits of a mantissa, yet few of them tell it from 45.2 and 45.4. Elf erases the others and stores
    how many significant digits the number had: rounding up to so many brings it back. What is left has many trailing
    zeros, and so has its XOR with the value before. Choose it for decimals of few digits that change from sample to
    sample; whole numbers and full-precision numbers gain nothing and cost a bit each.

    Notes
    -----
    Payload, bits most significant first; each value has two parts, whether it was erased, and the XOR of what is left::

        0                                             nothing was erased
        1 <digits: 4>                                 erased; 0 digits: it was a negative power of ten

        <trailing zeros: 7> <bits above them>         the first value
        01                                            the value before, once more
        00 <meaningful bits>                          the XOR lies within the last window, with as many leading zeros
        10 <leading: 3> <width: 4> <meaningful bits>  at most 16 of them, opens a new window
        11 <leading: 3> <width: 6> <meaningful bits>  more, opens a new window

    A width of 16 or 64 is stored as 0. Leading zeros are rounded as in `chimp`.

    The encoder restores what it erased, and where a bit differs erases nothing: NaN payloads, infinities, -0.0 and
    subnormals are bits like all others. Only numbers of at most 15 significant digits and 22 decimal places are
    erased. Their places are found without writing them out: those of the value before are tried first, then the most
    that 15 digits allow, less the zeros at the end.

    Decimals decode at a little under 1 GB/s: where a code begins is known only when the one before has been read, the
    kinds of codes alternate without order, and a multiplication, a rounding and a division restore each value.

    Frames of an earlier layout, never released and a mixture of this one and of `elf_plus`, are rejected: their
    checksums do not fit.

    References
    ----------
    R. Li, Z. Li, Y. Wu, C. Chen, Y. Zheng, "Elf: Erasing-based Lossless Floating-Point Compression", PVLDB 16(7), 2023,
    sections 3 to 5; Spatio-Temporal-Lab/elf, branch vldb2023-release. The layout is the release's, bit for bit. The
    release keeps no NaN but one, ends with a mark in place of a count, and does not find the places of all decimals: it
    takes a number for one of 17 digits if it times a power of ten is not exactly whole. Finding them, as the paper
    words it, makes columns of 3 decimal places or more up to a seventh smaller here.

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
        """At most 5 + 11 + 64 bits a value."""
        return (count * 80 + 7) // 8

    @property
    def frame_name(self) -> str:
        """Another name than that of the earlier layout, whose frames would decode to other numbers."""
        return "elf_vldb"

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_elf, (ELF,)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_elf, (ELF,)


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
    """Return a word with its last bits erased, its digits (`NO_DIGITS`: it is whole), and the next guess at places."""
    keep = word, NO_DIGITS
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
    return (erased, digits), guess


@kernel(forceinline=True)
def _flag(digits, latest, plus):
    """Return the code for how many digits a number has, and its size."""
    if plus:
        if digits == NO_DIGITS:
            return U(0b10), U(2)
        return (U(0), U(1)) if digits == latest else (U(0b11) << U(4) | digits, U(6))
    return (U(0), U(1)) if digits == NO_DIGITS else (U(1) << U(4) | digits, U(5))


@kernel
def encode_elf(words, work, buffer):
    """Write the payload of uint64 words into a buffer, of `ELF` or `ELF_PLUS`; return its bytes."""
    plus = work[0, 0]
    at, pending, fill = U(0), U(0), U(0)
    previous, window_leading, window_trailing, guess, latest = U(0), U(64), U(64), U(1), NO_DIGITS
    for i in range(words.size):
        (value, digits), guess = _erase(words[i], guess)
        head, size = _flag(digits, latest, plus)
        latest = latest if digits == NO_DIGITS else digits
        xor = value ^ previous
        previous = value
        trailing = trailing_zeros(xor)
        if i == 0:
            head, size = (head << U(7)) | trailing, size + U(7)
            top, bits = xor, U(64) - trailing
            if plus and bits:
                top, bits = xor & (xor - U(1)), bits - U(1)
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
                # The last of the meaningful bits is 1: Elf+ leaves it out.
                top, bits = (xor & (xor - plus)) << leading, width - plus
                if width <= U(16):
                    code, more = (CASE_FEW << U(7)) | (place << U(4)) | (width & U(15)), U(9)
                else:
                    code, more = (CASE_MANY << U(9)) | (place << U(6)) | (width & U(63)), U(11)
                head, size = (head << more) | code, size + more
        high = (head << (U(64) - size)) | (top >> size)
        at, pending, fill = put_top(buffer, at, pending, fill, high, top << (U(64) - size), size + bits)
    return at + ((fill + U(7)) >> U(3))


@kernel(forceinline=True)
def _take_bits(data, position, width, plus):
    """Return meaningful bits, 1 to 64; the last one is left out by Elf+."""
    # From the bit before on, as there may be none to read.
    bits = peek_64(data, position - plus) << plus
    return bits >> (U(64) - width) | plus


@kernel
def decode_elf(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``, of `ELF` or `ELF_PLUS`.

    Returns whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    plus = work[0, 0]
    position, end = start << U(3), stop << U(3)
    value, leading, trailing, latest = U(0), U(0), U(64), NO_DIGITS
    for i in range(words.size):
        if position >= end:
            return False
        code = peek_57(data, position)
        if plus:
            erased, new = U(code >> U(62) != U(0b10)), U(code >> U(62) == U(0b11))
            latest = code >> U(58) & U(15) if new else latest
            size = U(1) + (code >> U(63)) + (new << U(2))
        else:
            erased = code >> U(63)
            latest = code >> U(59) & U(15)
            size = U(1) + (erased << U(2))
        code <<= size
        position += size
        case = code >> U(62)
        if i == 0:
            trailing = code >> U(57)
            position += U(7)
            width = U(64) - min(trailing, U(64))
            if trailing > U(64) or position + width > end + plus:
                return False
            if width:
                value = _take_bits(data, position, width, plus) << trailing
                position += width - plus
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
            if leading + width > U(64) or position + width > end + plus:
                return False
            trailing = U(64) - leading - width
            value ^= _take_bits(data, position, width, plus) << trailing
            position += width - plus
        if erased:
            restored = _restore(value, latest)
            if latest == NO_DIGITS or restored == U(0):
                return False
            words[i] = restored
        else:
            words[i] = value
    return position <= end and (position + U(7)) >> U(3) == stop
