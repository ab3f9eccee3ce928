"""Floats as decimal integers with one power of ten for all of them, the way VictoriaMetrics turns them."""

from __future__ import annotations

from math import inf, log10
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, float_of, word_of

SIGN = U(1 << 63)
INFINITY, NEGATIVE_INFINITY, STALE = U(2**63 - 1), U(2**63), U(2**63 - 2)
"""Integers that stand for what has no decimals; a scale does not apply to them."""

INFINITY_BITS = U(0x7FF0000000000000)
STALE_NAN_BITS = U(0x7FF0000000000002)
"""The NaN by which Prometheus marks that a series has ended."""

PRECISION, PRECISION_OF_LARGE = 1e12, 1e15
LARGE, SMALL = 1e6, 1e-6
LOG10_2 = log10(2)
MOST_UP = 18
"""10**18 is the largest power of ten below 2**63."""
ANY_SCALE = 1 << 15
LEAST_POWER, MOST_POWER = -323, 308

TENS = np.array([10**i for i in range(MOST_UP + 1)], np.uint64)
ROOM = np.array([(2**63 - 1) // 10**i for i in range(MOST_UP + 1)], np.uint64)
"""The largest integer that can be multiplied with each power of ten."""


def power_of_ten(exponent: int) -> float:
    """Return a power of ten as Go's ``math.Pow10`` has it: the product or quotient of two, off by a bit at times.

    >>> power_of_ten(23), power_of_ten(400), power_of_ten(-400)
    (1e+23, inf, 0.0)
    """
    if exponent > MOST_POWER:
        return inf
    if exponent < LEAST_POWER:
        return 0.0
    coarse, fine = abs(exponent) // 32 * 32, abs(exponent) % 32
    if exponent < 0:
        return float(f"1e-{coarse}") / float(f"1e{fine}")
    return float(f"1e{coarse}") * float(f"1e{fine}")


POWERS = np.array([power_of_ten(exponent) for exponent in range(LEAST_POWER, MOST_POWER + 1)])


@kernel(forceinline=True)
def _is_special(number):
    return STALE <= number <= NEGATIVE_INFINITY


@kernel(forceinline=True)
def _magnitude(number):
    return U(0) - number if number >> U(63) else number


@kernel
def _whole_decimal(whole):
    """Return an integer without zeros at its end, nor more digits than a float64 has, and its exponent."""
    exponent = 0
    while whole >> U(55):
        whole //= U(10)
        exponent += 1
    while whole and whole % U(10) == U(0):
        whole //= U(10)
        exponent += 1
    return whole, exponent


@kernel
def _fraction_decimal(number):
    """Return the digits and the exponent of a positive number that is no integer below 2**64."""
    exponent, precision = 0, PRECISION
    if number > LARGE or number < SMALL:
        if number > LARGE:
            precision = PRECISION_OF_LARGE
        exponent = int(np.minimum(np.int64(word_of(number) >> U(52)) - 1022, 1023) * LOG10_2)
        number *= POWERS[-exponent - LEAST_POWER]
    while number < precision:
        whole = np.floor(number)
        fraction = number - whole
        if fraction * precision < whole:
            number = whole
            break
        if (1.0 - fraction) * precision < whole:
            number = whole + 1.0
            break
        number *= 100.0
        exponent -= 2
    digits = U(number)
    if digits % U(10) == U(0):
        return digits // U(10), exponent + 1
    return digits, exponent


@kernel
def _to_decimal(word):
    """Return the integer and the exponent of one float64's bits."""
    bits = word & ~SIGN
    if bits >= INFINITY_BITS:
        return (NEGATIVE_INFINITY if word & SIGN else INFINITY) if bits == INFINITY_BITS else STALE, 0
    number = float_of(bits)
    whole = U(number) if number < 2.0**64 else U(0)
    digits, exponent = _whole_decimal(whole) if float(whole) == number else _fraction_decimal(number)
    return U(0) - digits if word & SIGN else digits, exponent


@kernel(forceinline=True)
def _room_above(magnitude):
    """Return the largest power of ten that an integer can be multiplied with."""
    room = MOST_UP
    while magnitude > ROOM[room]:
        room -= 1
    return room


@kernel
def floats_to_decimals(words, numbers, exponents):
    """Fill a block's integers (int64 as uint64) from its floats' bits; return the power of ten common to all.

    What does not fit is cut off: digits more than 18 places below the first digit of the block's largest number.
    ``exponents`` is memory to work in, int64, as long as the block.
    """
    scale = ANY_SCALE
    for i in range(words.size):
        numbers[i], exponents[i] = _to_decimal(words[i])
        if not _is_special(numbers[i]):
            scale = min(scale, exponents[i])
    if scale == ANY_SCALE:
        return 0
    too_low = 0
    for i in range(words.size):
        if numbers[i] != U(0) and not _is_special(numbers[i]):
            too_low = max(too_low, exponents[i] - scale - _room_above(_magnitude(numbers[i])))
    scale += too_low
    for i in range(words.size):
        if numbers[i] == U(0) or _is_special(numbers[i]):
            continue
        magnitude, up = _magnitude(numbers[i]), exponents[i] - scale
        if up >= 0:
            magnitude *= TENS[up]
        else:
            magnitude = magnitude // TENS[-up] if -up <= MOST_UP else U(0)
        numbers[i] = U(0) - magnitude if numbers[i] >> U(63) else magnitude
    return scale


@kernel
def _scale_numbers(numbers, multiply, divide, words):
    for i in range(words.size):
        number = numbers[i]
        words[i] = word_of(np.int64(number) * multiply / divide)
        if _is_special(number):
            words[i] = STALE_NAN_BITS if number == STALE else INFINITY_BITS | (number & SIGN)


def decimals_to_floats(numbers: npt.NDArray[np.uint64], scale: int, words: npt.NDArray[Any]) -> None:
    """Fill a block's floats' bits from its integers and their common power of ten; both may be the same memory."""
    _scale_numbers(numbers, power_of_ten(max(scale, 0)), power_of_ten(max(-scale, 0)), words)
