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

from itertools import product
from math import gcd, isfinite, prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, word_of

Words = npt.NDArray[np.uint64]
Doubles = npt.NDArray[np.float64]

BITS, DIVIDE, TIMES, STEPS, GRID, CUT = range(6)

DECIMALS = 1e16
MOST_WHOLE = 2.0**52
MOST_NOISE = 2.0**12

SAMPLE = 64
MOST = 0.8
"""The share of a column that a mode must have made: the rest are exceptions."""
EXCEPTION_BITS = 20
"""About what an exception costs."""
CLOSE = 4
"""How many units in the last place arithmetic may have left between a double and the decimal that it was."""
DIVISORS = (1, 3, 6, 7, 9, 10, 12, 15, 30, 60, 100, 300, 900, 1000, 3600, *(10**digits for digits in range(4, 16)))
MOST_PLAIN_DIVISOR = 10**8
"""Doubles of more decimals than these may come from a counter."""
WINDOWS = (1, 5, 10, 15, 20, 30, 60, 300)
COUNTER_DIVISORS = (1, 100, 1000, 10**6)
NEAR = 1e-4
MOST_COUNTS = 2.0**30
MOST_GRIDS, MOST_SCALES = 4, 2
FEW = 0.6
LEAST_BITS, MOST_BITS = 30, 52


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
def _power_of_two(exponent):
    """Return 2 to the power of 0 <= exponent < 1024."""
    power, base = 1.0, 2.0
    for _ in range(exponent):
        power *= base
    return power


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
        scale = _power_of_two(bits)
        for i in range(count):
            doubles[i] = _grid_double(kind, float(divisor), float(window), scale, numbers[i], noise[i])


@kernel(forceinline=True, inner=True)
def _grid_double(kind, divisor, window, scale, number, noise):
    number, error, up = np.float64(np.int64(number)), np.int64(noise), 0.0
    if kind == U(CUT):
        up = np.float64(error & 1)
        error >>= 1
    double = (np.rint(number * scale / divisor) + np.float64(error)) / scale / window
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
    scale = _power_of_two(bits)
    if kind == U(GRID) or kind == U(CUT):
        for i in range(count):
            expected = np.rint(np.float64(np.int64(numbers[i])) * scale / float(divisor))
            error = np.rint(doubles[i] * float(window) * scale) - expected
            whole = np.int64(error) if abs(error) <= MOST_NOISE else np.int64(0)
            noise[i] = np.uint64(whole << np.int64(kind == U(CUT)))
    restore(mode, numbers, noise, exceptions)
    missed = U(0)
    for i in range(count):
        if kind == U(CUT) and exceptions[i] != words[i]:
            raised = _grid_double(kind, float(divisor), float(window), scale, numbers[i], noise[i] | U(1))
            if word_of(raised) == words[i]:
                noise[i] |= U(1)
                exceptions[i] = words[i]
        exceptions[i] = ordered(words[i]) - ordered(exceptions[i])
        missed += U(exceptions[i] != U(0))
    return missed


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


def find_modes(doubles: Doubles) -> list[Mode]:
    """Return the modes that may have made a column; none where its doubles look like any."""
    part = dict.fromkeys(doubles[(_SPREAD * doubles.size).astype(np.intp)].tolist())
    sample = np.array([double for double in part if isfinite(double) and double])
    if not sample.size:
        return []
    divisor = int(least_divisor(sample, sample.view(np.uint64), _DIVISORS))
    modes = [_best_rounding(doubles, sample, divisor)] if divisor else []
    if not divisor or divisor > MOST_PLAIN_DIVISOR:
        modes += _find_grids(sample)
    return modes


_DIVISORS = np.array(DIVISORS, np.float64)
# At even distances a counter would show multiples of its step times the distance, and a divisor too small.
_SPREAD = np.arange(1, SAMPLE + 1) * ((5**0.5 - 1) / 2) % 1


@kernel
def least_divisor(sample, sample_words, divisors):
    """Return the least divisor of which most doubles are multiples of its inverse, but for roundings; 0 for none.

    A larger one that misses fewer is taken if these would cost more than its further bits of all.
    """
    best, most, count = 0.0, 0, sample.size
    for divisor in divisors:
        fitting = 0
        for i in range(U(count)):
            number = np.rint(sample[i] * divisor)
            if abs(number) < MOST_WHOLE / 8:
                distance = word_of(number / divisor) - sample_words[i]
                fitting += int(min(distance, U(0) - distance) <= U(CLOSE))
        if float(fitting) < MOST * count:
            continue
        ratio, bits = divisor / best if best > 0.0 else 1.0, 0
        while ratio > 1.0:
            ratio, bits = ratio / 2.0, bits + 1
        if best == 0.0 or (fitting - most) * EXCEPTION_BITS > count * bits:
            best, most = divisor, fitting
        if most == count:
            break
    return best


def _best_rounding(doubles: Doubles, sample: Doubles, divisor: int) -> Mode:
    """Return the mode that rounds as most doubles were rounded."""
    modes = [Mode(DIVIDE, divisor)]
    if not split(doubles, modes[0]).missed:
        return modes[0]
    near = sample[np.abs(sample) < MOST_WHOLE / divisor]
    whole = np.rint(near * divisor)
    fitting = whole[np.abs(whole / divisor - near) <= CLOSE * np.spacing(np.abs(near))]
    common = int(np.gcd.reduce(fitting.astype(np.int64)))
    if divisor > 1:
        modes.append(Mode(TIMES, divisor // gcd(divisor, common)))
    digits = len(str(divisor)) - 1
    if digits > 1 and divisor == 10**digits:
        modes.append(Mode(STEPS, digits))
    return min(modes, key=lambda mode: split(doubles, mode).missed)


def _find_grids(sample: Doubles) -> list[Mode]:
    """Return the coarsest grids that differences of counters lie on, and finer ones that more of them lie on."""
    missed = np.empty((MOST_SCALES, 2, MOST_BITS), np.uint64)
    scales = np.empty(MOST_SCALES, np.int64)
    room = np.empty((3, sample.size), np.uint64)
    count = survey_grids(sample, _SCALES[:, 0], _SCALES[:, 1], *room, scales, missed)
    found: list[Mode] = []
    for i in range(count):
        window, divisor = _SCALES[scales[i]].tolist()
        off = missed[i].tolist()
        for kind in (GRID, CUT):
            least = (1 - FEW) * sample.size
            for bits in range(LEAST_BITS, MOST_BITS):
                # A finer grid has to bring in half of what is off the coarser one.
                if off[kind - GRID][bits] < least:
                    found.append(Mode(kind, divisor, window, bits))
                    least = off[kind - GRID][bits] / 2
    return found[:MOST_GRIDS]


_SCALES = np.array(sorted(product(WINDOWS, COUNTER_DIVISORS), key=prod), np.uint64)


@kernel
def near_whole(doubles, scale):
    """Return how many doubles, times a scale, are nearly whole and no larger than counts are."""
    near = 0
    for double in doubles:
        scaled = double * scale
        near += abs(scaled - np.rint(scaled)) < NEAR and abs(scaled) < MOST_COUNTS
    return near


@kernel
def survey_grids(doubles, windows, divisors, numbers, noise, exceptions, scales, missed):
    """Find the first windows and counters that most doubles fit, and count what is off each grid.

    Returns
    -------
    count : int
        How many of ``scales`` are filled with the place of a window and divisor, and of ``missed`` with the doubles
        that are off, for GRID and CUT and each number of bits from `LEAST_BITS` on.
    """
    count = 0
    for i in range(windows.size):
        near = near_whole(doubles, float(windows[i] * divisors[i]))
        if near >= MOST * doubles.size and count < scales.size:
            scales[count] = i
            for kind in range(2):
                for bits in range(LEAST_BITS, MOST_BITS):
                    mode = KernelMode(U(GRID + kind), divisors[i], windows[i], U(bits))
                    missed[count, kind, bits] = take_apart(mode, doubles.view(np.uint64), numbers, noise, exceptions)
            count += 1
    return count
