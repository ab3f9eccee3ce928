"""Pieces of constant and of straight lines that keep within bounds: kernels of PMC-mean, swing filter and Sim-Piece.

Each takes a clock, strictly rising moments as float64, and the lowest and highest value that each sample may become.
They write one entry a piece into columns that have room for one a sample, and return how many pieces there are.
"""

from __future__ import annotations

import numpy as np

from squeezelab.kernels.bits import U, put_varint, take_varint, unzigzag, zigzag
from squeezelab.kernels.cache import kernel


@kernel
def pmc_mean(values, low, high, starts, means):
    """Cut a series where the mean of a piece would leave the bounds of one of its samples; return the pieces.

    References
    ----------
    I. Lazaridis, S. Mehrotra, "Capturing sensor-generated time series with quality guarantees", ICDE 2003: PMC-MEAN.
    """
    count, first = 0, 0
    lowest, highest, total = -np.inf, np.inf, 0.0
    mean = values[0]
    for i in range(values.size):
        # Summed from the piece's first value on: sums of large values would round the mean.
        total += values[i] - values[first]
        wanted = values[first] + total / (i - first + 1)
        lowest, highest = max(lowest, low[i]), min(highest, high[i])
        if lowest <= wanted <= highest:
            mean = wanted
            continue
        if i > first:
            starts[count], means[count] = first, mean
            count += 1
        first, total, mean = i, 0.0, values[i]
        lowest, highest = low[i], high[i]
    starts[count], means[count] = first, mean
    return count + 1


@kernel
def swing(clock, values, low, high, middle, ends, levels):
    """Join lines end to end, each as long as bounds let it be; return the recordings, the first sample's among them.

    A line may have any slope between the steepest that stays below the upper bounds and the flattest that stays above
    the lower ones. Of these it has the one of least squares, or with ``middle`` the one in the middle.

    References
    ----------
    H. Elmeleegy, A. K. Elmagarmid, E. Cecchet, W. G. Aref, W. Zwaenepoel, "Online piece-wise linear approximation of
    numerical streams with precision guarantees", PVLDB 2(1), 2009: the swing filter.
    """
    ends[0], levels[0] = 0, values[0]
    count = 1
    start, level = clock[0], values[0]
    least, most = -np.inf, np.inf
    products = squares = 0.0
    for i in range(1, values.size):
        span = clock[i] - start
        lower, upper = (low[i] - level) / span, (high[i] - level) / span
        if lower > most or upper < least:
            slope = _slope(least, most, products, squares, middle)
            level += slope * (clock[i - 1] - start)
            start = clock[i - 1]
            ends[count], levels[count] = i - 1, level
            count += 1
            span = clock[i] - start
            least, most = (low[i] - level) / span, (high[i] - level) / span
            products = squares = 0.0
        else:
            least, most = max(least, lower), min(most, upper)
        products += (values[i] - level) * span
        squares += span * span
    if values.size > 1:
        ends[count] = values.size - 1
        levels[count] = level + _slope(least, most, products, squares, middle) * (clock[-1] - start)
        count += 1
    return count


@kernel
def _slope(least, most, products, squares, middle):
    if middle:
        return (least + most) / 2
    return min(max(products / squares, least), most)


@kernel
def sim_pieces(clock, values, bound, within, starts, steps, least, most):
    """Cut a series into lines that each begin at a multiple of the bound; return the pieces.

    ``steps`` are these multiples; any slope between ``least`` and ``most`` keeps a piece so near to its samples.

    References
    ----------
    X. Kitsios, P. Liakos, K. Papakonstantinopoulou, Y. Kotidis, "Sim-Piece: highly accurate piecewise linear
    approximation through similar segment merging", PVLDB 16(8), 2023: algorithm 1.
    """
    count, first = 0, 0
    step = np.floor(values[0] / bound + 0.5)
    lowest, highest = -np.inf, np.inf
    for i in range(1, values.size):
        span = clock[i] - clock[first]
        lower = (values[i] - within - step * bound) / span
        upper = (values[i] + within - step * bound) / span
        if lower > highest or upper < lowest:
            starts[count], steps[count], least[count], most[count] = first, step, lowest, highest
            count += 1
            first, step = i, np.floor(values[i] / bound + 0.5)
            lowest, highest = -np.inf, np.inf
        else:
            lowest, highest = max(lowest, lower), min(highest, upper)
    starts[count], steps[count], least[count], most[count] = first, step, lowest, highest
    return count + 1


@kernel
def merge_slopes(steps, least, most, groups, slopes):
    """Give pieces that begin at the same step as few slopes as there can be; return how many groups these are.

    Pieces must be sorted by step, then by their least slope. ``groups`` says the group of each piece, ``slopes`` the
    slope of each group: algorithm 2 of the paper.
    """
    count = 0
    lowest, highest = least[0], most[0]
    for i in range(steps.size):
        if i and (steps[i] != steps[i - 1] or least[i] > highest):
            slopes[count] = _middle(lowest, highest)
            count += 1
            lowest, highest = least[i], most[i]
        lowest, highest = max(lowest, least[i]), min(highest, most[i])
        groups[i] = count
    slopes[count] = _middle(lowest, highest)
    return count + 1


@kernel
def _middle(lowest, highest):
    """Return the slope between two; of a single sample any will do."""
    return 0.0 if np.isinf(lowest) or np.isinf(highest) else lowest / 2 + highest / 2


@kernel
def put_numbers(numbers, signed, buffer, at):
    """Write int64 as LEB128, zigzag where they are signed; return the byte after them."""
    for number in numbers:
        at = put_varint(buffer, at, zigzag(U(number)) if signed else U(number))
    return at


@kernel
def take_numbers(data, at, signed, numbers):
    """Fill int64 that `put_numbers` wrote; return the byte after them, beyond the end where they are cut short."""
    for i in range(numbers.size):
        number, at = take_varint(data, at, U(data.size))
        if at > U(data.size):
            break
        numbers[i] = np.int64(unzigzag(number) if signed else number)
    return at
