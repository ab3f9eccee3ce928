"""Lanes of static blocks: exceptions where lanes begin and end, and planes whose numbers are of very unlike widths."""

import numpy as np
import pytest

import tally_by_the_book as book
from squeezelab.codecs import get_codec
from squeezelab.codecs.tally.lanes import FULL, fill_cells, prepare, token_of
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U

COUNTS = pytest.mark.parametrize("count", [999, 1000, 1023, 1024, 1535, 1537, 5003, 8192])
POWERS = [0, 1, 2, 3, 5, 6, 7, 11, 40, 50, 51, 52, 53, 62, 63]


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


@pytest.mark.parametrize(
    ("frame", "seventh"),
    [
        ("d1101a021800050000000a040990fe73dad5e89dbc563eb41abd93d7023244cf73b833067a", 7),
        ("d1101e021c00050000100a040990fe73dad5e89dbc563eb41abd93d7020107c801347a5e82e8e8d23b", 106),
        ("d1101e021c00050000100a040990fe73dad5e89dbc563eb41abd93d7020100c801b9d97d20f46b3239", 7),
    ],
    ids=["no exception", "one at place 7", "one at place 0"],
)
def test_the_first_level_is_0_whatever_a_residual_there_says(frame: str, seventh: int) -> None:
    # Deltas of 1 in two lanes, and 3 at place 0, as our writer never leaves it.
    decoded = get_codec("tally").decode(bytes.fromhex(frame))
    assert decoded.tobytes() == book.read_frame(bytes.fromhex(frame))
    assert decoded[:8].tolist() == [*range(7), seventh]


@kernel
def prepared(numbers, mantissa, row):
    """Do as `prepare` does, which kernels alone call."""
    return prepare(numbers, mantissa, row)


@kernel
def counted(numbers, row):
    """Do as `fill_cells` does."""
    return fill_cells(numbers, row)


@kernel
def token_and_raw(number, mantissa):
    """Do as `token_of` does."""
    return token_of(number, mantissa)


# Tokens of six bits are for integers of a few bits.
@pytest.mark.parametrize(("power", "mantissa"), [(p, m) for p in POWERS for m in (1, 3, 6) if m < 6 or p < 12])
def test_tokens_of_a_row_are_those_of_each_integer(power: int, mantissa: int) -> None:
    around = [sign * (2**power + more) for sign in (-1, 1) for more in (-2, -1, 0, 1)]
    numbers = np.array([number % 2**64 for number in [*around, 0, 5]], np.uint64)
    row = np.empty_like(numbers)
    total, least, most = prepared(numbers, U(mantissa), row)
    tokens, raws = zip(*(token_and_raw(number, U(mantissa)) for number in numbers), strict=True)
    cells = (np.array(tokens, np.uint64) + U(FULL)).tolist()
    assert (row & U(0xFFFF)).tolist() == cells
    assert ((row >> U(16)) & U(0xFF)).tolist() == list(raws)
    extremes = min([*cells, FULL]), max([*cells, FULL])
    assert (int(total), int(least), int(most)) == (sum(map(int, raws)), *extremes)
    if mantissa == 3:
        assert tuple(map(int, counted(numbers, row))) == extremes
        assert (row & U(0xFFFF)).tolist() == cells
