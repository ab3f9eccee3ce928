r"""Doubles as the integers they were made from: decimals, multiples of a step, differences of counters.

A monitored double is seldom any double. It was a count, a count over a window, or text of a few digits; the arithmetic
between that and the double is the same for a whole column. A mode says which arithmetic: it makes a double of an
integer ``m``. What it misses is an exception, kept as a distance ``f`` in units of the last place; nearly all are 0:

======  ==============================================================================================================
BITS    ``x`` has the bits of ``m``, in the order of the reals; there is no ``f``
DIVIDE  ``x = m / q``: a decimal read correctly (q a power of ten), or a count over a whole number
TIMES   ``x = m * (1 / q)``: a count times the double next to 0.05, say, which rounds otherwise
STEPS   ``x = m / 10 / 100 / 10000...``, one division for each bit of the number of digits: text read by the fast
        number parser that was pandas' default before version 1.2
GRID    ``x`` is the difference of two readings of a counter of 1/q seconds, over a window of w seconds. Readings are
        rounded to a multiple of 2^-k, so ``x = (round(m 2^k / q) + e) 2^-k / w`` with a small ``e``
CUT     like GRID, and then cut to 16 decimals, or raised to the next: which of them, the lowest bit of ``e`` says
======  ==============================================================================================================

All are exact: ``f`` is taken between the bits that the mode gives and those that shall be, so NaNs, infinities and
-0.0 come out as well as any odd value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, float_of, word_of

Words = npt.NDArray[np.uint64]
Doubles = npt.NDArray[np.float64]

BITS, DIVIDE, TIMES, STEPS, GRID, CUT = range(6)

DECIMALS = 1e16
MOST_WHOLE = 2.0**52
MOST_NOISE = 2.0**12


class Mode(NamedTuple):
    """The arithmetic that made a column's doubles; ``window`` and ``bits`` (w and k above) belong to GRID and CUT."""

    kind: int
    divisor: int = 1
    window: int = 1
    bits: int = 0

    @property
    def words(self) -> KernelMode:
        """The mode as kernels take it."""
        return KernelMode(*map(U, self))


class KernelMode(NamedTuple):
    """A mode in kernels."""

    kind: np.uint64
    divisor: np.uint64
    window: np.uint64
    bits: np.uint64


class Parts(NamedTuple):
    """A column taken apart: ``m``, ``e`` and ``f`` in two's complement, and how many ``f`` are not 0."""

    numbers: Words
    noise: Words
    exceptions: Words
    missed: int


@kernel(forceinline=True)
def ordered(word):
    """Return the bits of a double as a number that grows with it, in two's complement; its own inverse."""
    return word ^ ((U(0) - (word >> U(63))) >> U(1))


@kernel(forceinline=True, inner=True)
def _decimal_steps(number, digits):
    """Divide by 10 to the power of ``digits`` as pandas' fast parser did; zeros at the end are not in the text."""
    while digits and number % U(10) == U(0):
        number //= U(10)
        digits -= U(1)
    double, power = float(number), 10.0
    while digits:
        if digits & U(1):
            double /= power
        power *= power
        digits >>= U(1)
    return double


@kernel(forceinline=True, inner=True)
def power_of_two(exponent):
    """Return 2 to the power of 0 <= exponent < 1024."""
    return float_of((U(1023) + exponent) << U(52))


@kernel
def restore(mode, numbers, noise, words):
    """Fill the bits of doubles with what a mode makes of integers.

    Parameters
    ----------
    mode : KernelMode
    numbers, noise : uint64[n]
        ``m`` and ``e``, in two's complement; ``noise`` is read for GRID and CUT alone.
    words : uint64[n]
        Filled.
    """
    kind, divisor, window, bits = mode
    count, doubles = U(numbers.size), words.view(np.float64)
    if kind == U(BITS):
        for i in range(count):
            words[i] = ordered(numbers[i])
    elif kind == U(DIVIDE):
        whole = float(divisor)
        for i in range(count):
            doubles[i] = np.float64(np.int64(numbers[i])) / whole
    elif kind == U(TIMES):
        step = 1.0 / float(divisor)
        for i in range(count):
            doubles[i] = np.float64(np.int64(numbers[i])) * step
    elif kind == U(STEPS):
        for i in range(count):
            negative = numbers[i] >> U(63)
            double = _decimal_steps((numbers[i] ^ (U(0) - negative)) + negative, divisor)
            doubles[i] = -double if negative else double
    else:
        scale = power_of_two(bits)
        for i in range(count):
            doubles[i] = _grid_double(kind, float(divisor), float(window), scale, numbers[i], noise[i])


@kernel(forceinline=True, inner=True)
def _grid_double(kind, divisor, window, scale, number, noise):
    number, error, up = np.float64(np.int64(number)), np.int64(noise), 0.0
    if kind == U(CUT):
        up = np.float64(error & 1)
        error >>= 1
    # A power of two divides as its inverse multiplies.
    double = (np.rint(number * scale / divisor) + np.float64(error)) * (1.0 / scale) / window
    if kind == U(CUT):
        # What has 16 decimals already is left; the product may have been rounded up past the next one.
        tenths = np.rint(double * DECIMALS)
        near = tenths / DECIMALS
        if near != double:
            double = ((tenths - 1.0 if near > double else tenths) + up) / DECIMALS
    return double


@kernel
def take_apart(mode, words, numbers, noise, exceptions):
    """Fill what `restore` makes doubles of, and the exceptions that it misses; return how many are not 0.

    Parameters
    ----------
    mode : KernelMode
    words : uint64[n]
        The bits of doubles.
    numbers, noise, exceptions : uint64[n]
        Filled.
    """
    kind, divisor, window, bits = mode
    count, doubles = U(words.size), words.view(np.float64)
    if kind == U(BITS):
        for i in range(count):
            numbers[i], exceptions[i] = ordered(words[i]), U(0)
        return U(0)
    factor = float(divisor) * float(window)
    if kind == U(STEPS):
        factor = 1.0
        for _ in range(divisor):
            factor *= 10.0
    # What is no number, or too large a one, repeats the integer before, which costs least.
    number = np.int64(0)
    for i in range(count):
        scaled = doubles[i] * factor
        if abs(scaled) < MOST_WHOLE:
            number = np.int64(np.rint(scaled))
        numbers[i] = np.uint64(number)
    if kind == U(GRID) or kind == U(CUT):
        scale = power_of_two(bits)
        for i in range(count):
            noise[i], exceptions[i] = noise_on_grid(
                kind, float(divisor), float(window), scale, doubles[i], np.int64(numbers[i])
            )
    else:
        restore(mode, numbers, noise, exceptions)
    missed = U(0)
    for i in range(count):
        exceptions[i] = ordered(words[i]) - ordered(exceptions[i])
        missed += U(exceptions[i] != U(0))
    return missed


@kernel(inner=True)
def noise_on_grid(kind, divisor, window, scale, double, number):
    """Return ``e`` of a difference of so many counts, and the bits that GRID or CUT makes of both."""
    error = np.rint(double * window * scale) - np.rint(np.float64(number) * scale / divisor)
    whole = np.int64(error) if abs(error) <= MOST_NOISE else np.int64(0)
    noise = np.uint64(whole << np.int64(kind == U(CUT)))
    made = word_of(_grid_double(kind, divisor, window, scale, np.uint64(number), noise))
    if kind == U(CUT) and made != word_of(double):
        raised = word_of(_grid_double(kind, divisor, window, scale, np.uint64(number), noise | U(1)))
        if raised == word_of(double):
            return noise | U(1), raised
    return noise, made


def split(doubles: Doubles, mode: Mode) -> Parts:
    """Take doubles apart into what `restore` makes them of.

    Examples
    --------
    >>> parts = split(np.array([0.1, 0.25, 0.30000000000000004]), Mode(DIVIDE, 100))
    >>> parts.numbers.tolist(), parts.exceptions.tolist()
    ([10, 25, 30], [0, 0, 1])
    """
    numbers, exceptions = np.empty(doubles.size, np.uint64), np.empty(doubles.size, np.uint64)
    noise = np.zeros(doubles.size, np.uint64)
    missed = take_apart(mode.words, doubles.view(np.uint64), numbers, noise, exceptions)
    return Parts(numbers, noise, exceptions, int(missed))


def order(words: Words) -> Words:
    """Return the bits of doubles as numbers that grow with them, in two's complement; its own inverse."""
    return words ^ ((U(0) - (words >> U(63))) >> U(1))
