"""Which columns of one host are predicted from which others: those that explain their changes best, where it pays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from squeezelab.codecs.tally.columns import (
    MOST_REFERENCES,
    Column,
    Split,
    Words,
    levels_of,
    predicted_block,
    split_best,
)
from squeezelab.codecs.tally.streams import solve
from squeezelab.formats.tally.part import Doubles
from squeezelab.kernels import kernel

LEAST_SHARE = 0.04
"""Of the unexplained variance of a column's changes, that another column must explain to be tried."""
WORTH_A_REFERENCE = 0.98
WORTH_A_TRIAL, FEWEST_BITS = 0.01, 16
TINY = 1e-12


class Candidate:
    """A block of a column, and what it may become if it is predicted from others.

    Parameters
    ----------
    column : float64[n]
    block : bytes
        Predicted from nothing.
    """

    def __init__(self, column: Column, block: bytes) -> None:
        self.column, self.block = column, block

    @property
    def bits(self) -> int:
        """How many bits the block takes."""
        return 8 * len(self.block)

    @cached_property
    def levels(self) -> Words:
        """What other columns may be predicted from."""
        return levels_of(self.block, self.column)

    @cached_property
    def _split(self) -> Split:
        return split_best(self.column)

    def predicted_from(self, others: Sequence[Candidate], level: int | None = None) -> bytes:
        """Return the block predicted from others; at a level, or as an estimate without models that learn."""
        return predicted_block(self.column, self._split, [other.levels for other in others], level)


def choose_references(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Return for each column of a group which ones before it, themselves predicted from none, explain it best.

    Each is the one whose changes go best with what those chosen before it leave unexplained (orthogonal matching
    pursuit: Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad, Asilomar 1993). Whether it pays is then a matter of bits.
    """
    count = candidates[0].column.size
    likeness = np.empty((len(candidates), len(candidates)))
    compare_changes(
        np.array([candidate.levels for candidate in candidates]), np.empty((len(candidates), count)), likeness
    )
    chosen: list[list[int]] = []
    for i, candidate in enumerate(candidates):
        chosen.append([])
        allowed = np.array([not others for others in chosen[:i]], np.bool_)
        unexplained, left, tried = likeness[i, :i], float(likeness[i, i]), list[int]()
        least = min(WORTH_A_REFERENCE * candidate.bits, candidate.bits - FEWEST_BITS)
        while len(tried) < MOST_REFERENCES and allowed.any():
            best = int(np.argmax(np.abs(unexplained) * allowed))
            if unexplained[best] ** 2 <= LEAST_SHARE * left:
                break
            tried.append(best)
            allowed[best] = False
            unexplained, left = likeness[i, :i].copy(), float(likeness[i, i])
            for j, weight in zip(tried, _weights(likeness, i, tried), strict=True):
                unexplained -= weight * likeness[j, :i]
                left -= weight * float(likeness[i, j])
            left = max(left, TINY)
            # Half the logarithm of what is left of the variance is about what each value may save.
            if -0.5 * math.log2(left) * count < max(WORTH_A_TRIAL * candidate.bits, FEWEST_BITS):
                continue
            bits = 8 * len(candidate.predicted_from([candidates[j] for j in tried]))
            if bits < least:
                chosen[i], least = list(tried), WORTH_A_REFERENCE * bits
    return chosen


def _weights(likeness: Doubles, i: int, tried: list[int]) -> list[float]:
    """Return the weights of those columns that explain another best."""
    return solve([[float(likeness[j, k]) + TINY * (j == k) for k in tried] + [float(likeness[i, j])] for j in tried])


@kernel
def compare_changes(levels, changes, likeness):
    """Fill the correlations of the changes of levels, summed in one order on every machine, which BLAS does not.

    Parameters
    ----------
    levels : uint64[columns, n]
    changes : float64[columns, n or more]
        Workspace.
    likeness : float64[columns, columns]
        Filled.
    """
    count = levels.shape[1] - 1
    for i in range(levels.shape[0]):
        mean = 0.0
        for j in range(count):
            changes[i, j] = np.float64(np.int64(levels[i, j + 1] - levels[i, j]))
            mean += changes[i, j]
        mean /= max(count, 1)
        for j in range(count):
            changes[i, j] -= mean
        likeness[i, i] = _product(changes[i], changes[i], count)
        size = np.sqrt(likeness[i, i])
        for j in range(count):
            changes[i, j] /= size if size > 0.0 else 1.0
    for i in range(levels.shape[0]):
        for j in range(i + 1):
            likeness[i, j] = _product(changes[i], changes[j], count)
            likeness[j, i] = likeness[i, j]


@kernel
def _product(one, other, count):
    """Return the scalar product, summed in four lanes."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for i in range(0, whole, 4):
        a += one[i] * other[i]
        b += one[i + 1] * other[i + 1]
        c += one[i + 2] * other[i + 2]
        d += one[i + 3] * other[i + 3]
    for i in range(whole, count):
        a += one[i] * other[i]
    return (a + b) + (c + d)
