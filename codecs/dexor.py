"""DeXOR: a decimal as the digits that it does not share with the one before."""

from __future__ import annotations

from math import ceil, log2
from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, float_of, peek_57, peek_64, put_top, word_of

ZERO = 23
"""Where in the table of powers 10**0 stands."""
POWERS = np.array([float(f"1e{power}") for power in range(-ZERO, 24)])
WHOLE_POWERS = np.array([10**power for power in range(16)], np.int64)
BITS_OF_DIGITS = np.array([ceil(digits * log2(10)) for digits in range(16)], np.uint64)

LEAST_END, MOST_END, END_BIAS = -20, 11, 20
"""Where a number's last digit can stand."""
FEWEST_AS_TEXT = -12
"""With more places than these the last digit is that of the number's shortest text."""
MOST_DIGITS = 15
NEAR_ZERO = 1e-23
NEAR_WHOLE = 1e-6
LARGEST = 2.0**63
EXACT = 2.0**53

SAME, ONLY_DIGITS, BOTH, EXCEPTION = U(0b10), U(0b01), U(0b00), U(0b11)
LONGEST = U(10)
"""The most bits for a difference of exponents."""
PATIENCE = 8
"""After so many differences of a bit less, one after the other, they get a bit less: the paper's rho."""


class DeXor(KernelCodec):
    """DeXOR for float64 columns of decimals.

    What XOR is for bits this is for digits: the digits at the front that a number shares with the one before are left
    out, and so are those after its last one; the rest is a small integer. 45.3 after 45.1 is a 3, in four bits. What
    is no decimal is an exception, its exponent as a difference to that of the exception before. Choose it for decimals
    that move slowly; real doubles take nearly all of their bits.

    Notes
    -----
    With 10^q the place of a number's last digit, and d the fewest digits above it that may differ from those of the
    last number that was no exception, so that both are alike when cut off at 10^(q + d). Payload, bits most significant
    first; for each value one of::

        10                          q and d as before
        01 <d: 4>                   q as before
        00 <q + 20: 5> <d: 4>
        11 <difference: E> <sign: 1> <mantissa: 52>    an exception, near the exponent of the last one
        11 <ones: E> <64 bits>                         an exception as it is

    The first three go on with a bit, 1 for positive, if nothing is left of the number cut off, and with its last d
    digits as an integer in ceil(d log2(10)) bits. A difference of exponents has 2^(E-1) - 1 added. E is 1 at first, one
    more after each exception as it is, 10 at most, and one less when the last 8 differences would have fit that.

    The bits are the authors' in 64 of 99 columns that were compared, all but one of those that their program brings
    back among them. In most columns of ALP's paper it misses last bits: it adds parts of a number as doubles, where
    here the digits are added as an integer and divided once. What still does not come back is an exception here: NaNs,
    infinities, -0.0, and numbers of which their program drops digits beyond the sixth after the last one, so that such
    columns take up to five times theirs. Where a quotient falls short of its whole number, one digit more is taken.
    After a number of more than 12 places they read the next one's off its text, here: the fewest that do.
    Beyond 10^23, and of infinities, their program makes nothing.

    It divides by powers of ten up to a dozen times a value, which is why it is not faster.

    References
    ----------
    "DeXOR: Enabling XOR in Decimal Space for Streaming Lossless Compression of Floating-point Data", 2026;
    SuDIS-ZJU/DeXOR, src/main/java/algorithms/DeXOR (commit fcde9f1), with its default settings.

    Examples
    --------
    >>> codec = DeXor()
    >>> codec.decode(codec.encode(np.array([45.3, 45.1, -0.0, 1 / 3])))
    array([45.3       , 45.1       , -0.        ,  0.33333333])
    """

    name = "dexor"
    dtypes = (FLOAT64,)
    max_expansion = 32

    def worst_case_bytes(self, count: int) -> int:
        """At most 2 + 10 + 64 bits a value."""
        return (76 * count + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_dexor, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_dexor, ()


@kernel(forceinline=True)
def _power(place):
    return POWERS[place + ZERO]


@kernel(forceinline=True)
def _round(x):
    """Return the whole number next to a float64 as Java's long would hold it."""
    if x != x:
        return 0.0
    whole = np.floor(x)
    if x - whole >= 0.5:
        whole += 1.0
    return min(max(whole, -LARGEST), LARGEST)


@kernel(forceinline=True)
def _is_near_whole(x, distance):
    return not abs(x - _round(x)) >= distance


@kernel(forceinline=True)
def _truncate(x):
    """Return a number without what is after its point, or the whole number that it nearly is."""
    if _is_near_whole(x, NEAR_ZERO):
        return _round(x)
    whole = np.floor(x + NEAR_WHOLE) if x > 0.0 else np.ceil(x - NEAR_WHOLE)
    return min(max(whole, -LARGEST), LARGEST)


@kernel(forceinline=True)
def _end(value, end):
    """Return where a number's last digit stands, looked for from a place on; beyond `LEAST_END` if nowhere."""
    if abs(value) < NEAR_ZERO:
        return 0
    if end < FEWEST_AS_TEXT:
        while end > LEAST_END and _round(value / _power(end)) / _power(-end) != value:
            end -= 1
        while end < 0 and _round(value / _power(end + 1)) / _power(-end - 1) == value:
            end += 1
        return end
    if _is_near_whole(value / _power(end), NEAR_WHOLE):
        while end <= MOST_END and _is_near_whole(value / _power(end + 1), NEAR_WHOLE):
            end += 1
        return end
    end -= 1
    while end >= LEAST_END and not _is_near_whole(value / _power(end), NEAR_WHOLE):
        end -= 1
    return end


@kernel(forceinline=True)
def _restore(front, digits, rest, end):
    """Return the number that begins as ``front`` does and has so many further digits."""
    total = np.float64(np.int64(front) * WHOLE_POWERS[digits] + np.int64(rest))
    return total * _power(end) if end >= 0 else total / _power(-end)


@kernel
def _split(value, previous, end):
    """Return whether a number comes back, how many digits may differ, and what stands before these and in them."""
    if end < LEAST_END or end > MOST_END:
        return False, 0, 0.0, 0.0
    for digits in range(min(MOST_DIGITS, ZERO - end) + 1):
        power = _power(end + digits)
        front = _truncate(value / power)
        # A quotient may fall short of its whole number: then a digit more is taken.
        if front == _truncate(previous / power) and abs(front) < EXACT:
            rest = _round((value - front * power) / _power(end))
            fits = abs(rest) < np.float64(WHOLE_POWERS[digits]) and rest * (rest if front == 0.0 else front) >= 0.0
            if fits and word_of(_restore(front, digits, rest, end)) == word_of(value):
                return True, digits, front, rest
    return False, 0, 0.0, 0.0


@kernel(forceinline=True)
def _next_length(length, calm, difference):
    """Return the bits for the next difference, and how many in a row would have fit one less."""
    if length == U(1):
        return length, calm
    least = (np.int64(1) << np.int64(length - U(2))) - 1
    calm = calm + 1 if -least <= difference <= least else 0
    return (length - U(1), 0) if calm == PATIENCE else (length, calm)


@kernel
def encode_dexor(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at, pending, fill = U(0), U(0), U(0)
    previous, last_end, last_digits = 0.0, 0, 0
    exponent, length, calm = U(1023), U(1), 0
    for word in words:
        value = float_of(word)
        end = _end(value, last_end)
        exact, digits, front, rest = _split(value, previous, end)
        if exact:
            head, size = SAME, U(2)
            if end != last_end:
                head = BOTH << U(9) | U(end + END_BIAS) << U(4) | U(digits)
                size = U(11)
            elif digits != last_digits:
                head, size = ONLY_DIGITS << U(4) | U(digits), U(6)
            if front == 0.0:
                head, size = head << U(1) | U(value > 0.0), size + U(1)
            bits = BITS_OF_DIGITS[digits]
            head, size = head << bits | U(np.int64(abs(rest))), size + bits
            at, pending, fill = put_top(buffer, at, pending, fill, head << (U(64) - size), U(0), size)
            previous, last_end, last_digits = value, end, digits
            continue
        new = word >> U(52) & U(0x7FF)
        difference, bias = np.int64(new) - np.int64(exponent), (np.int64(1) << np.int64(length - U(1))) - 1
        head, size = EXCEPTION << length, U(2) + length
        if -bias <= difference <= bias:
            low = word & ~(U(0x7FF) << U(52))
            low = (low >> U(63) << U(52) | low & ~(U(1) << U(63))) << U(11)
            head |= U(difference + bias)
            more = U(53)
            length, calm = _next_length(length, calm, difference)
        else:
            head |= (U(1) << length) - U(1)
            low, more = word, U(64)
            length, calm = min(length + U(1), LONGEST), 0
        high = head << (U(64) - size) | low >> size
        at, pending, fill = put_top(buffer, at, pending, fill, high, low << (U(64) - size), size + more)
        exponent = new
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_dexor(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    position, stop_bit = start << U(3), stop << U(3)
    previous, end, digits = 0.0, np.int64(0), np.int64(0)
    exponent, length, calm = U(1023), U(1), 0
    for i in range(words.size):
        if position >= stop_bit:
            return False
        code = peek_57(data, position)
        kind = code >> U(62)
        if kind == EXCEPTION:
            number = code << U(2) >> (U(64) - length)
            position += U(2) + length
            whole = number == (U(1) << length) - U(1)
            if position + (U(64) if whole else U(53)) > stop_bit:
                return False
            word = peek_64(data, position)
            position += U(64) if whole else U(53)
            if whole:
                length, calm = min(length + U(1), LONGEST), 0
                exponent = word >> U(52) & U(0x7FF)
            else:
                difference = np.int64(number) - ((np.int64(1) << np.int64(length - U(1))) - 1)
                exponent += U(difference)
                if exponent > U(0x7FF):
                    return False
                word = word >> U(63) << U(63) | exponent << U(52) | word << U(1) >> U(12)
                length, calm = _next_length(length, calm, difference)
            words[i] = word
            continue
        position += U(2)
        if kind == BOTH:
            end, digits = np.int64(code >> U(57) & U(31)) - END_BIAS, np.int64(code >> U(53) & U(15))
            position += U(9)
        elif kind == ONLY_DIGITS:
            digits = np.int64(code >> U(58) & U(15))
            position += U(4)
        if end < LEAST_END or end > MOST_END or end + digits > ZERO or position > stop_bit:
            return False
        front = _truncate(previous / _power(end + digits))
        negative = front < 0.0
        if front == 0.0:
            negative = peek_57(data, position) >> U(63) == U(0)
            position += U(1)
        bits = BITS_OF_DIGITS[digits]
        if position + bits > stop_bit or abs(front) >= EXACT:
            return False
        rest = np.float64(np.int64(peek_57(data, position) >> (U(64) - bits))) if bits else 0.0
        position += bits
        previous = _restore(front, digits, -rest if negative else rest, end)
        words[i] = word_of(previous)
    return (position + U(7)) >> U(3) == stop
