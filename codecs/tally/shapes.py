"""Shapes of distributions that tables of static blocks are named by, and logarithms: integers, the same everywhere.

A shape gives every token a weight: the width of the token times the density at its middle. There are eight families of
densities by 64 scales, a quarter of an octave apart: ``2^-(x^b)`` with six exponents, from heavier tails than Laplace's
to flatter tops than Gauss', and ``(1 + x^2)^-p`` with two, Student's. All of it is integer arithmetic that
``docs/format.md`` spells out: a floating-point ``exp`` differs in its last bit from one library to the next, and a
table that differs by one decodes nothing.
"""

from __future__ import annotations

from math import isqrt

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

MANTISSA = 3
"""Mantissa bits of the tokens that shapes are of."""
SIDE = 120
"""Tokens of each sign: integers of up to 17 bits."""
CELLS = 2 * SIDE
SCALES = 64
POWERS = (8, 11, 16, 22, 32, 64)
"""Exponents b of ``2^-(x^b)``, in sixteenths."""
STUDENTS = (20, 32)
"""Exponents p of ``(1 + x^2)^-p``, in sixteenths."""
OFFSETS = (-10, -5, 0, 2, 3, 4, 2, 5)
"""By how many quarter octaves a family's scale is larger than its median, about."""
FAMILIES = len(POWERS) + len(STUDENTS)
SHAPES = FAMILIES * SCALES
FIRST_SCALE = 8
"""The scale of number 8 is 1."""

FRACTION = 12
"""Costs in bits are counted in units of 2^-12."""
ONE = 1 << FRACTION
LENGTH_UNITS = 128.0
"""A shape's code lengths have units of 1/128 bit: a block's sums of them are below 2^24, exact in float32."""
LONGEST_LENGTH = 11 * 128
MOST_COUNT, MOST_SHARE = 8192, 2048


def log2_fixed(numbers: Words) -> Words:
    """Return the logarithms of integers, 1 to 2^32 - 1, in units of 2^-16, rounded down.

    >>> log2_fixed(np.array([1, 2, 3], np.uint64)).tolist()
    [0, 65536, 103872]
    """
    whole = np.zeros(numbers.shape, np.uint64)
    for step in (16, 8, 4, 2, 1):
        whole += np.where(numbers >> (whole + np.uint64(step)) > 0, np.uint64(step), np.uint64(0))
    mantissa, logarithm = numbers << (np.uint64(31) - whole), whole
    for _ in range(16):
        mantissa = mantissa * mantissa >> np.uint64(31)
        carry = mantissa >> np.uint64(32)
        mantissa >>= carry
        logarithm = logarithm << np.uint64(1) | carry
    return logarithm


def _roots() -> list[int]:
    """Return 2^31 times 2^-(1/2), 2^-(1/4), and so on."""
    roots = [isqrt(1 << 61)]
    while len(roots) < 16:
        roots.append(isqrt(roots[-1] << 31))
    return roots


def exp2_fixed(exponents: Words) -> Words:
    """Return 2^31 times 2 to the power of minus so many units of 2^-16.

    >>> exp2_fixed(np.array([0, 65536, 32768], np.uint64)).tolist()
    [2147483648, 1073741824, 1518500249]
    """
    power = np.full(exponents.shape, 1 << 31, np.uint64)
    for place, root in enumerate(_roots()):
        has = exponents >> np.uint64(15 - place) & np.uint64(1)
        power = np.where(has, power * np.uint64(root) >> np.uint64(31), power)
    return np.asarray(power >> np.minimum(exponents >> np.uint64(16), np.uint64(63)), np.uint64)


def _raised(logarithms: npt.NDArray[np.int64]) -> Words:
    """Return 2 to the power of signed logarithms, in and out in units of 2^-16; what is 2^8 or more counts as that."""
    whole = np.clip((logarithms >> 16) + 1, -40, 8)
    part = exp2_fixed(np.clip((whole << 16) - logarithms, 0, 1 << 16).astype(np.uint64))
    up, down = np.maximum(whole, 0).astype(np.uint64), np.maximum(-whole, 0).astype(np.uint64)
    raised: Words = part << up >> (np.uint64(15) + down)
    return raised


def _weights() -> Words:
    """Return the weight of each token, from the lowest on, in each shape."""
    index = np.arange(SIDE, dtype=np.int64)
    raw = np.maximum((index >> MANTISSA) - 1, 0)
    base = (index - (raw << MANTISSA)) << raw
    width = np.int64(1) << raw
    # Twice the distance of each token's middle from 0; a negative token's integers are those of its mirror, less one.
    middles = np.concatenate([(2 * base + width + 1)[::-1], 2 * base + width - 1])
    widths = np.concatenate([width[::-1], width]).astype(np.uint64)
    logarithms = log2_fixed(np.maximum(middles, 1).astype(np.uint64)).astype(np.int64) - (1 << 16)
    weights = np.empty((FAMILIES, SCALES, CELLS), np.uint64)
    scales = np.arange(SCALES, dtype=np.int64)[:, None] - FIRST_SCALE
    for family, offset in enumerate(OFFSETS):
        distance = logarithms - ((scales + offset) << 14)
        if family < len(POWERS):
            exponent = _raised(distance * POWERS[family] >> 4)
        else:
            near = log2_fixed(_raised(2 * distance) + np.uint64(1 << 16)).astype(np.int64) - (16 << 16)
            power = STUDENTS[family - len(POWERS)]
            exponent = (np.where(distance < 4 << 16, near, 2 * distance) * power >> 4).astype(np.uint64)
        shapes = exp2_fixed(np.where(middles == 0, np.uint64(0), exponent)) * widths
        weights[family] = np.maximum(shapes // np.maximum(shapes.sum(axis=1)[:, None] >> np.uint64(15), 1), 1)
    return weights.reshape(SHAPES, CELLS)


def _bank() -> npt.NDArray[np.uint32]:
    """Return the weights of all shapes, and then the lengths of their codes as float32, each shape's in a row."""
    weights = _weights()
    totals = log2_fixed(weights.sum(axis=1))[:, None]
    lengths = np.minimum((totals - log2_fixed(weights)) >> np.uint64(9), np.uint64(LONGEST_LENGTH)).astype(np.float32)
    return np.stack([weights.astype(np.uint32), lengths.view(np.uint32)])


def _inverses() -> Words:
    """Return the inverse of each frequency: ceil(2^(s + 63) / f), with s the bits of f - 1; all ones for 0 and 1."""
    inverses = [-(-(1 << ((share - 1).bit_length() + 63)) // share) for share in range(2, MOST_SHARE + 1)]
    return np.array([2**64 - 1, 2**64 - 1, *inverses], np.uint64)


BANK, SHARE_INVERSES = _bank(), _inverses()
LOG2 = np.zeros(MOST_COUNT + 1, np.int64)
"""Logarithms of counts in units of 2^-12; 0 for 0."""
LOG2[1:] = (log2_fixed(np.arange(1, MOST_COUNT + 1, dtype=np.uint64)) >> np.uint64(16 - FRACTION)).astype(np.int64)
NLOGN = np.zeros(MOST_COUNT + 1, np.int64)
"""n times its logarithm, in the same units."""
NLOGN[1:] = (
    np.arange(1, MOST_COUNT + 1, dtype=np.uint64) * log2_fixed(np.arange(1, MOST_COUNT + 1, dtype=np.uint64))
    >> np.uint64(16 - FRACTION)
).astype(np.int64)
HALF_POWERS = np.array([isqrt(1 << (16 + level)) for level in range(28)], np.uint64)
"""2^8 times the powers of the root of 2, rounded down: the weights that explicit tables have."""
for _array in (BANK, SHARE_INVERSES, LOG2, NLOGN, HALF_POWERS):
    _array.flags.writeable = False
