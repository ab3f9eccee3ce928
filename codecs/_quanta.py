r"""Doubles as the integers they were made from: decimals, multiples of a step, differences of counters.

A monitored double is seldom any double. It was a count, a count over a window, or text of a few digits; the arithmetic
between that and the double is the same for a whole column. A quantum says which arithmetic: it makes a double of an integer
``m``, and what it misses is kept as a distance ``f`` in units of the last place, nearly always 0:

======  ==========================================================================================================
BITS    ``x`` has the bits of ``m``, in the order of the reals; there is no ``f``
DIVIDE  ``x = m / q``: a decimal read correctly (q a power of ten), or a count over a whole number
TIMES   ``x = m * (1 / q)``: a count times the double next to 0.05, say, which rounds otherwise
STEPS   ``x = m / 10 / 100 / 10000...``, one division for each bit of the number of digits: text read by the fast number
        parser that pandas had by default before version 1.2
GRID    ``x`` is the difference of two readings of a counter of 1/q seconds, over a window of w seconds. Readings are rounded
        to a multiple of 2^-k, so ``x = (round(m 2^k / q) + e) 2^-k / w`` with a small ``e``
CUT     like GRID, and then cut to 16 decimals, or rounded up to the next: which of them, the lowest bit of ``e`` says
======  ==========================================================================================================

All are exact: ``f`` is taken between the bits that the quantum gives and those that shall be, so NaNs, infinities and -0.0
come out as well as any odd value.
"""

from __future__ import annotations

from itertools import product
from math import gcd, prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._bits import U
from squeezelab.kernels import kernel

Words = npt.NDArray[np.uint64]
Doubles = npt.NDArray[np.float64]

BITS, DIVIDE, TIMES, STEPS, GRID, CUT = range(6)

DECIMALS = 1e16
MOST_WHOLE = 2.0**52
MOST_NOISE = 2.0**12

SAMPLE = 64
MOST = 0.8
"""The share of a column that a quantum must have made: the rest are exceptions."""
CLOSE = 4
"""How many units in the last place arithmetic may have left between a double and the decimal that it was."""
DIVISORS = (1, 3, 6, 7, 9, 10, 12, 15, 30, 60, 100, 300, 900, 1000, 3600, *(10**digits for digits in range(4, 16)))
MOST_PLAIN_DIVISOR = 10**8
"""Doubles of more decimals than these may come from a counter."""
WINDOWS = (1, 5, 10, 15, 20, 30, 60, 300)
COUNTER_DIVISORS = (1, 100, 1000, 10**6)
NEAR = 1e-4
MOST_COUNTS = 2.0**30
MOST_GRIDS = 4
FEW = 0.6
LEAST_BITS, MOST_BITS = 30, 52


class Quantum(NamedTuple):
    """The arithmetic that made a column's doubles; ``window`` and ``bits`` (w and k above) belong to GRID and CUT."""

    kind: int
    divisor: int = 1
    window: int = 1
    bits: int = 0


@kernel(forceinline=True)
def ordered(word):
    """Return the bits of a double as a number that grows with it, in two's complement; its own inverse."""
    return word ^ ((U(0) - (word >> U(63))) >> U(1))


@kernel(forceinline=True)
def _decimal_steps(number, digits):
    """Divide by 10 to the power of ``digits`` as pandas' fast parser did, digit 0 at the end left out as in the text."""
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


@kernel(forceinline=True)
def _power_of_two(exponent):
    """Return 2 to the power of -1023 < exponent < 1024."""
    power, base = 1.0, 2.0
    for _ in range(exponent):
        power *= base
    return power


@kernel
def restore(kind, divisor, window, bits, numbers, noise, words, doubles):
    """Fill doubles with what a quantum makes of integers.

    Parameters
    ----------
    kind, divisor, window, bits : uint64
        The quantum.
    numbers, noise : uint64[n]
        ``m`` and ``e``, in two's complement; ``noise`` is read for GRID and CUT alone.
    words, doubles : uint64[n], float64[n]
        One column, viewed as both.
    """
    count = U(numbers.size)
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
        _restore_grid(kind == U(CUT), float(divisor), float(window), bits, numbers, noise, doubles)


@kernel(forceinline=True)
def _restore_grid(cut, divisor, window, bits, numbers, noise, doubles):
    scale = _power_of_two(bits)
    inverse = 1.0 / scale
    for i in range(U(numbers.size)):
        number, error = np.float64(np.int64(numbers[i])), np.int64(noise[i])
        up = 0.0
        if cut:
            up = np.float64(error & 1)
            error >>= 1
        double = (np.rint(number * scale / divisor) + np.float64(error)) * inverse / window
        if cut:
            # What has 16 decimals already is left; the product may have been rounded up past the next one.
            tenths = np.rint(double * DECIMALS)
            near = tenths / DECIMALS
            if near != double:
                double = ((tenths - 1.0 if near > double else tenths) + up) / DECIMALS
        doubles[i] = double


def split(doubles: Doubles, quantum: Quantum) -> tuple[Words, Words, Words]:
    """Take doubles apart into what `restore` makes them of.

    Returns
    -------
    numbers, noise, distances : uint64[n]
        ``m``, ``e`` and ``f``, in two's complement.
    """
    words = doubles.view(np.uint64)
    noise = np.zeros(doubles.size, np.uint64)
    if quantum.kind == BITS:
        return order(words), noise, noise
    numbers = _nearest(doubles, quantum)
    if quantum.kind in (GRID, CUT):
        noise = _noise(doubles, numbers, quantum)
    distances = order(words) - order(make(quantum, numbers, noise).view(np.uint64))
    return numbers, noise, distances


def make(quantum: Quantum, numbers: Words, noise: Words) -> Doubles:
    """Return the doubles that a quantum makes of integers."""
    doubles = np.empty(numbers.size)
    parameters = (U(field) for field in quantum)
    restore(*parameters, numbers, noise, doubles.view(np.uint64), doubles)
    return doubles


def order(words: Words) -> Words:
    """Return the bits of doubles as numbers that grow with them, in two's complement; its own inverse."""
    ordered_words = np.empty_like(words)
    order_words(words, ordered_words)
    return ordered_words


@kernel
def order_words(words, ordered_words):
    """Fill what `order` returns."""
    for i in range(U(words.size)):
        ordered_words[i] = ordered(words[i])


def _nearest(doubles: Doubles, quantum: Quantum) -> Words:
    """Return the integers next to what the quantum would have made these doubles of; odd doubles repeat the one before."""
    scale = 10.0**quantum.divisor if quantum.kind == STEPS else float(quantum.divisor * quantum.window)
    with np.errstate(all="ignore"):
        scaled = doubles * scale
        fits = np.abs(scaled) < MOST_WHOLE
    numbers = np.rint(np.where(fits, scaled, 0.0)).astype(np.int64)
    if not fits.all():
        numbers = numbers[np.maximum.accumulate(np.where(fits, np.arange(doubles.size), 0))]
    return numbers.view(np.uint64)


def _noise(doubles: Doubles, numbers: Words, quantum: Quantum) -> Words:
    """Return ``e``, 0 where a double is off the grid."""
    scale = 2.0**quantum.bits
    expected = np.rint(numbers.view(np.int64) * scale / quantum.divisor)
    with np.errstate(all="ignore"):
        noise = np.rint(doubles * quantum.window * scale) - expected
    noise = np.where(np.abs(noise) <= MOST_NOISE, noise, 0.0).astype(np.int64)
    if quantum.kind == GRID:
        return noise.view(np.uint64)
    cut, raised = (noise << 1).view(np.uint64), (noise << 1 | 1).view(np.uint64)
    return np.where((make(quantum, numbers, cut) != doubles) & (make(quantum, numbers, raised) == doubles), raised, cut)


def find_quanta(doubles: Doubles) -> list[Quantum]:
    """Return the quanta that may have made a column, likeliest first; none where its doubles look like any."""
    sample = _sample(doubles)
    if not sample.size:
        return []
    divisor = _find_divisor(sample)
    quanta = [_best_rounding(doubles, sample, divisor)] if divisor else []
    if divisor is None or divisor > MOST_PLAIN_DIVISOR:
        quanta += _find_grids(sample)
    return quanta


def _sample(doubles: Doubles) -> Doubles:
    """Return some distinct doubles, evenly spread, without zeros and what is not finite."""
    part = doubles[:: max(1, doubles.size // SAMPLE)]
    return np.unique(part[np.isfinite(part) & (part != 0.0)])


def _find_divisor(sample: Doubles) -> int | None:
    """Return the least divisor for which most doubles are multiples of its inverse, but for roundings."""
    for divisor in DIVISORS:
        with np.errstate(all="ignore"):
            numbers = np.rint(sample * divisor)
            close = np.abs(numbers / divisor - sample) <= CLOSE * np.spacing(np.abs(sample))
        if np.mean(close & (np.abs(numbers) < MOST_WHOLE / 8)) >= MOST:
            return divisor
    return None


def _best_rounding(doubles: Doubles, sample: Doubles, divisor: int) -> Quantum:
    """Return the quantum that rounds as most doubles were rounded."""
    quanta = [Quantum(DIVIDE, divisor)]
    common = int(np.gcd.reduce(np.rint(sample * divisor).astype(np.int64)))
    if divisor > 1:
        quanta.append(Quantum(TIMES, divisor // gcd(divisor, common)))
    digits = len(str(divisor)) - 1
    if digits > 1 and divisor == 10**digits:
        quanta.append(Quantum(STEPS, digits))
    return min(quanta, key=lambda quantum: np.count_nonzero(split(doubles, quantum)[2]))


def _find_grids(sample: Doubles) -> list[Quantum]:
    """Return grids that differences of counters lie on: of the windows that most fit, the coarsest and two finer ones."""
    found: list[Quantum] = []
    for window, divisor in sorted(product(WINDOWS, COUNTER_DIVISORS), key=prod):
        with np.errstate(all="ignore"):
            scaled = sample * float(window * divisor)
            near = np.abs(scaled - np.rint(scaled)) < NEAR
        if np.mean(near & (np.abs(scaled) < MOST_COUNTS)) >= MOST:
            for kind in (GRID, CUT):
                found += _coarse_grids(sample, Quantum(kind, divisor, window))
        if len(found) >= MOST_GRIDS:
            break
    return found[:MOST_GRIDS]


def _coarse_grids(sample: Doubles, quantum: Quantum) -> list[Quantum]:
    """Return the coarsest grid that many of the sample lie on, and the finer ones on which lie far more."""
    found, missing = [], 1 - FEW
    for bits in range(LEAST_BITS, MOST_BITS):
        finer = quantum._replace(bits=bits)
        off = float(np.mean(split(sample, finer)[2] != 0))
        if off < missing:
            found.append(finer)
            missing = off / 2
    return found
