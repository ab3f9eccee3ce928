"""Prediction by taps: sums of small levels are exact, whatever their order."""

import numpy as np
import pytest

from squeezelab.codecs.tally import prediction
from squeezelab.kernels import kernel


@kernel
def both_sums(levels, middle):
    """Return the sums in order, and in any."""
    return prediction._sums_in_order(levels, middle), prediction._sums_in_any_order(levels, middle)


@pytest.mark.parametrize("count", [4, 65, 1000, 8191, 8192])
@pytest.mark.parametrize("seed", range(4))
def test_sums_of_small_levels_are_the_same_in_any_order(count: int, seed: int) -> None:
    rng, most = np.random.default_rng(seed), prediction.MOST_EXACT
    levels = rng.integers(0, most, count, endpoint=True)
    if seed % 2:
        levels = rng.choice([0, most], count)
    ordered, others = both_sums(levels.astype(np.uint64), 0.5 * (most - seed // 2))
    assert ordered == others
    assert ordered[0] == sum(int(step) ** 2 for step in np.diff(levels)[2::3])
