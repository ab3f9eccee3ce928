"""Lanes of static blocks: exceptions where lanes begin and end, and planes whose numbers are of very unlike widths."""

import numpy as np
import pytest

from squeezelab.codecs import get_codec

COUNTS = pytest.mark.parametrize("count", [999, 1000, 1023, 1024, 1535, 1537, 5003, 8192])


def lane_of(count: int) -> int:
    """Return how many values each lane has at least."""
    return count // (4 if count >= 1536 else 2)


@pytest.mark.bounds
@COUNTS
@pytest.mark.parametrize("slope", [0, 1000])
def test_exceptions_among_sums(count: int, slope: int) -> None:
    steps = slope + np.random.default_rng(count).normal(0, 3, count).round().astype(np.int64)
    per = lane_of(count)
    for place in (1, 2, per - 1, per, per + 1, per + 2, 2 * per, count - 1):
        steps[min(place, count - 1)] += 10**9 + place
    column = np.cumsum(steps)
    codec = get_codec("tally")
    frame = codec.encode(column)
    assert len(frame) < 2 * count
    assert np.array_equal(codec.decode(frame), column)
    assert np.array_equal(codec.decode_many([frame, frame])[1], column)


@pytest.mark.bounds
@COUNTS
@pytest.mark.parametrize("summed", [False, True])
def test_planes_of_unlike_widths(count: int, summed: bool) -> None:
    rng = np.random.default_rng(count)
    column = (2.0 ** rng.uniform(0, 45, count)).astype(np.int64) * rng.choice([-1, 1], count)
    if summed:
        column = np.cumsum(column)
    codec = get_codec("tally")
    assert np.array_equal(codec.decode(codec.encode(column)), column)
