"""Which arithmetic may have made a block's doubles: found in a sample, by trying those that monitoring uses."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from squeezelab.codecs.tally.modes import (
    CUT,
    DECIMALS,
    DIVIDE,
    GRID,
    MOST_WHOLE,
    STEPS,
    TIMES,
    Doubles,
    KernelMode,
    Mode,
    noise_on_grid,
    power_of_two,
    take_apart,
)
from squeezelab.codecs.tally.prediction import greatest_common
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, float_of, word_of

SAMPLE, PROBE = 64, 256
"""Values of which an arithmetic is found, and by which its rounding, or its grid, is chosen."""
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
NEAR_WHOLE = 1e-4
FURTHEST = 2.0**-49
"""By which share of itself a double is off its grid at most."""
MOST_COUNTS = 2.0**30
MOST_GRIDS, MOST_SCALES = 4, 2
MOST_MODES = 1 + MOST_GRIDS
FEW = 0.6
"""The share of a sample that the coarsest grid must have made."""
LEAST_BITS, MOST_BITS = 30, 52
LARGEST = 1e300
"""Doubles beyond this are left out of samples."""

_DIVISORS = np.array(DIVISORS, np.float64)
_SCALES = np.array(sorted(product(WINDOWS, COUNTER_DIVISORS), key=prod), np.uint64)
# At even distances a counter would show multiples of its step times the distance, and a divisor too small.
SPREAD = np.arange(1, SAMPLE + 1) * ((5**0.5 - 1) / 2) % 1


def find_modes(doubles: Doubles) -> list[Mode]:
    """Return the modes that may have made a column, at most `MOST_MODES`; none where its doubles look like any.

    Examples
    --------
    >>> find_modes(np.array([0.17, 0.25, 0.5]))
    [Mode(kind=1, divisor=100, window=1, bits=0)]
    """
    modes = np.empty((MOST_MODES, len(Mode._fields)), np.uint64)
    found = search_modes(doubles.view(np.uint64), np.empty((4, PROBE), np.uint64), modes)
    return [Mode(*mode) for mode in modes[:found].tolist()]


@kernel
def search_modes(words, rows, modes):
    """Find the modes that may have made doubles: one that rounds, and grids where these have many decimals.

    Parameters
    ----------
    words : uint64[n]
        Their bits.
    rows : uint64[4, PROBE or more]
        Workspace.
    modes : uint64[MOST_MODES, 4]
        Filled.

    Returns
    -------
    found : int
        How many there are.
    """
    count, found = fill_sample(words, True, rows[0]), 0
    if count == 0:
        return found
    sample = rows[0][:count]
    divisor = np.uint64(least_divisor(sample))
    if divisor:
        _put_mode(_best_rounding(words, divisor, sample, rows[1:]), modes[found])
        found += 1
    if divisor == U(0) or divisor > U(MOST_PLAIN_DIVISOR):
        found = _search_grids(sample, modes, found)
    return found


@kernel(inner=True)
def _put_mode(mode, row):
    row[0], row[1], row[2], row[3] = mode


@kernel(inner=True)
def fill_sample(words, distinct, sample):
    """Fill the bits of up to `SAMPLE` doubles, well spread: without zeros and what is no number; return how many."""
    count = 0
    for place in SPREAD:
        word = words[np.int64(place * words.size)]
        double, is_new = abs(float_of(word)), True
        if distinct:
            for i in range(count):
                is_new &= sample[i] != word
        if is_new and 0.0 < double < LARGEST:
            sample[count] = word
            count += 1
    return count


@kernel(inner=True)
def fill_part(words, row):
    """Fill up to `PROBE` words, evenly spread; return them."""
    part = row[: min(words.size, PROBE)]
    for i in range(part.size):
        part[i] = words[i * words.size // part.size]
    return part


@kernel(inner=True)
def least_divisor(sample):
    """Return the least divisor of which most doubles are multiples of its inverse, but for roundings; 0 for none.

    A larger one that misses fewer is taken if these would cost more than its further bits of all.
    """
    best, most, count, half = 0.0, 0, sample.size, sample.size >> 1
    for divisor in _DIVISORS:
        # Half of a sample shows of most divisors that they are too small.
        fitting = _count_fitting(sample[:half], divisor)
        if float(fitting + count - half) < MOST * count:
            continue
        fitting += _count_fitting(sample[half:], divisor)
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


@kernel(inner=True)
def _count_fitting(sample, divisor):
    """Return how many doubles are multiples of a divisor's inverse, but for roundings."""
    doubles, fitting = sample.view(np.float64), 0
    for i in range(U(sample.size)):
        number = np.rint(doubles[i] * divisor)
        if abs(number) < MOST_WHOLE / 8:
            distance = word_of(number / divisor) - sample[i]
            fitting += int(min(distance, U(0) - distance) <= U(CLOSE))
    return fitting


@kernel(inner=True)
def _best_rounding(words, divisor, sample, rows):
    """Return the mode that rounds as most doubles were rounded, of a part of them."""
    part, common, digits, power = fill_part(words, rows[0]), U(0), U(0), U(1)
    for double in sample.view(np.float64):
        whole = np.rint(double * np.float64(divisor))
        distance = word_of(whole / np.float64(divisor)) - word_of(double)
        if abs(whole) < MOST_WHOLE and min(distance, U(0) - distance) <= U(CLOSE):
            common = greatest_common(common, U(np.int64(abs(whole))))
    while power < divisor:
        power, digits = power * U(10), digits + U(1)
    best, fewest = KernelMode(U(DIVIDE), divisor, U(1), U(0)), ~U(0)
    for kind in (DIVIDE, TIMES, STEPS):
        number = divisor
        if kind == TIMES:
            number //= greatest_common(divisor, common)
        elif kind == STEPS:
            number = digits
        if (kind == DIVIDE or divisor > U(1)) and (kind != STEPS or (digits > U(1) and power == divisor)):
            mode = KernelMode(U(kind), number, U(1), U(0))
            missed = take_apart(mode, part, rows[1][: part.size], rows[1][: part.size], rows[2][: part.size])
            if missed < fewest:
                best, fewest = mode, missed
        if fewest == U(0):
            break
    return best


@kernel(inner=True)
def _is_near_whole(doubles, scale):
    """Return whether most doubles, times a scale, are nearly whole and no larger than counts are."""
    near = 0
    for double in doubles:
        scaled = double * scale
        near += abs(scaled - np.rint(scaled)) < NEAR_WHOLE and abs(scaled) < MOST_COUNTS
    return near >= MOST * doubles.size


@kernel(inner=True)
def _search_grids(sample, modes, found):
    """Fill the coarsest grids that differences of counters lie on, and finer ones that more of them lie on.

    The first windows and counters that most of a sample fit are tried. Returns how many modes there are then.
    """
    doubles, scales, most = sample.view(np.float64), 0, found + MOST_GRIDS
    for i in range(_SCALES.shape[0]):
        window, divisor = _SCALES[i, 0], _SCALES[i, 1]
        if scales == MOST_SCALES or not _is_near_whole(doubles, np.float64(window * divisor)):
            continue
        scales += 1
        for kind in (GRID, CUT):
            # A finer grid has to bring in half of what is off the coarser one.
            least = (1.0 - FEW) * doubles.size
            for bits in range(LEAST_BITS, MOST_BITS):
                if least == 0.0 or found == most:
                    break
                mode = KernelMode(U(kind), divisor, window, U(bits))
                off = _off_grid(mode, doubles, least)
                if off < least:
                    _put_mode(mode, modes[found])
                    found, least = found + 1, off / 2.0
    return found


@kernel(inner=True)
def _off_grid(mode, doubles, limit):
    """Return how many doubles a grid does not make; those after a limit are not looked at."""
    kind, divisor, window, bits = mode
    factor, scale, number, off = float(divisor) * float(window), power_of_two(bits), np.int64(0), 0.0
    cut = 4.0 * float(window) * scale / DECIMALS if kind == U(CUT) else 0.0
    for double in doubles:
        scaled, steps = double * factor, double * float(window) * scale
        if abs(scaled) < MOST_WHOLE:
            number = np.int64(np.rint(scaled))
        if abs(steps - np.rint(steps)) > abs(steps) * FURTHEST + cut:
            # Roundings and cuts leave what is on a grid closer to it.
            off += 1.0
        else:
            _, made = noise_on_grid(kind, float(divisor), float(window), scale, double, number)
            off += 1.0 if made != word_of(double) else 0.0
        if off >= limit:
            break
    return off
