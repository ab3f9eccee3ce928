"""What kernels of static blocks work in: rows of words, each named after what it holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs.tally.shapes import BANK, CELLS, SHAPES, SHARE_INVERSES
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U

BLOCK = 8192
"""Values of a block, and words of a row."""

LEVELS, RESIDUALS, OTHER_RESIDUALS, PREPARED, COUNTS, COSTS, CHOSEN, SHARES, CODES, INVERSES, WEIGHTS, STATE = range(12)
TABLE, WORDS, NUMBERS, NOISE, EXCEPTIONS, GAPS, RESULT, OTHER_LEVELS = 12, 14, 18, 19, 20, 21, 22, 24
INVERSES_OF_SHARES, WEIGHTS_OF_SHAPES = 27, 28
"""What tokens are encoded with takes the rows `CODES` and `INVERSES`."""
PATCHES = GAPS
"""The exceptions of a stream that is written; a reader has gaps there."""
RANKS, DISTINCT, SKIPPED, LISTED, ORDERED = range(RESULT, RESULT + 5)
"""Rows of a writer, which has no use for results and levels of others; `SKIPPED` has the gaps before exceptions."""
MOST_REFERENCES = 3
"""From how many other columns one may be predicted; the rows `OTHER_LEVELS` hold their levels."""
ROWS = WEIGHTS_OF_SHAPES + -(-BANK.nbytes // (8 * BLOCK))


class Target(NamedTuple):
    """What a block is decoded into.

    Attributes
    ----------
    is_double : bool
        Whether the numbers are doubles.
    kept : bool
        Whether levels are filled.
    levels, words : uint64[n]
        What other columns may be predicted from, and the column's bits.
    """

    is_double: bool
    kept: bool
    levels: npt.NDArray[np.uint64]
    words: npt.NDArray[np.uint64]


def make_works() -> npt.NDArray[np.uint64]:
    """Return what kernels of a thread work in, uint64[2, ROWS, BLOCK]: zeros, then inverses of shares, and `BANK`."""
    works = np.zeros((2, ROWS, BLOCK), np.uint64)
    for rows in works:
        rows[INVERSES_OF_SHARES, : SHARE_INVERSES.size] = SHARE_INVERSES
        rows[WEIGHTS_OF_SHAPES:].reshape(-1).view(np.uint32)[: BANK.size] = BANK.reshape(-1)
    return works


@kernel(forceinline=True, inner=True)
def weights_of_shape(work, shape):
    """Return the weights of tokens in a shape, uint32[CELLS]."""
    return work[WEIGHTS_OF_SHAPES:].reshape(-1).view(np.uint32)[shape * U(CELLS) : (shape + U(1)) * U(CELLS)]


@kernel(forceinline=True, inner=True)
def lengths_of_shapes(work):
    """Return the lengths of tokens' codes in all shapes, float32[SHAPES * CELLS]."""
    return work[WEIGHTS_OF_SHAPES:].reshape(-1).view(np.float32)[SHAPES * CELLS : 2 * SHAPES * CELLS]


@kernel(forceinline=True, inner=True)
def owner_of(work):
    """Return where is told which table each lane and epoch, or each context, has."""
    return work[STATE][64:96]
