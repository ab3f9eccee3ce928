"""Blocks of which several are tried: each arithmetic, ranks of many distinct numbers, what level 1 packs, and room."""

import numpy as np
import pytest

import tally_by_the_book as book
from squeezelab.codecs._frame import read_varint
from squeezelab.codecs.tally import BLOCK, Tally
from squeezelab.codecs.tally.blocks import DISTANT, KIND, RANKED
from squeezelab.codecs.tally.modes import BITS, CUT, DIVIDE, GRID, STEPS, TIMES
from squeezelab.codecs.tally.search import SPREAD
from squeezelab.codecs.tally.static_streams import LANES, SIDE_BY_SIDE
from squeezelab.codecs.tally.written import ADAPTIVE


def walk(count: int, step: int = 100) -> np.ndarray:
    return 10_000 + np.cumsum(np.random.default_rng(count).integers(-step, step + 1, count))


def parsed_in_steps(integers: np.ndarray) -> np.ndarray:
    """Return decimals as a parser makes them that divides by 10, by 100 and so on."""
    return np.array([book.decimal(3, integer, 0) for integer in integers.tolist()])


def rates(count: int, window: int) -> np.ndarray:
    """Return what a counter of hundredths of a second, kept to 2^-38, rises by over a window."""
    counts = np.random.default_rng(1).integers(0, 1000, count + 1)
    return np.diff(np.rint((1e6 + np.cumsum(counts) / 100) * 2.0**38) / 2.0**38) / window


def cut(doubles: np.ndarray) -> np.ndarray:
    return np.array([float(f"{double:.16f}") for double in doubles.tolist()])


MADE = {
    DIVIDE: lambda count: walk(count) / 60,
    TIMES: lambda count: walk(count) * (1 / 20),
    STEPS: lambda count: parsed_in_steps(walk(count)),
    GRID: lambda count: rates(count, 20),
    CUT: lambda count: cut(rates(count, 30)),
}


def block_of(column: np.ndarray, level: int = 2) -> bytes:
    payload = Tally(level).pack(column)
    size, at = read_varint(payload, 1)
    return payload[at : at + size]


def flags_of(block: bytes) -> int:
    """Return the flags of a block, those of version 1 if it is one."""
    if block[0] != ADAPTIVE:
        return block[0]
    _, at = read_varint(block, 1)
    return block[read_varint(block, at)[1]]


def read_back(column: np.ndarray, level: int) -> bool:
    """Return whether our reader and the page's find the column in its frame."""
    frame = Tally(level).encode(column)
    return Tally().decode(frame).tobytes() == column.tobytes() == book.read_frame(frame)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("count", [150, 1000, 3000])
@pytest.mark.parametrize("kind", MADE)
def test_numbers_are_written_in_the_arithmetic_that_made_them(kind: int, count: int, level: int) -> None:
    column = MADE[kind](count)
    column[:: count // 12] += 0.123456789
    flags = flags_of(block_of(column, level))
    assert flags & KIND == kind
    assert flags & DISTANT
    assert read_back(column, level)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("kind", MADE)
def test_few_numbers_of_any_arithmetic_are_ranked(kind: int, level: int) -> None:
    some = MADE[kind](300)
    some[:3] = 0.1234, np.inf, np.nan
    column = some[np.random.default_rng(0).integers(0, 300, 5000)]
    assert flags_of(block_of(column, level)) & (KIND | RANKED | DISTANT) == kind | RANKED | DISTANT
    assert read_back(column, level)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize(("distinct", "ranked"), [(0.6, True), (0.8, True), (0.95, False)])
def test_doubles_of_any_bits_are_ranked_while_some_come_again(distinct: float, ranked: bool, level: int) -> None:
    rng = np.random.default_rng(7)
    some = rng.normal(size=round(distinct * 4000))
    column = rng.permutation(np.concatenate([some, rng.choice(some, 4000 - some.size)]))
    block = block_of(column, level)
    assert bool(flags_of(block) & RANKED) == ranked
    assert read_back(column, level)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_ranks_are_in_the_order_of_numbers_of_either_sign_and_any_size(dtype: type) -> None:
    rng = np.random.default_rng(2)
    some = np.unique(rng.integers(-(2**62), 2**62, 2000) >> rng.integers(0, 60, 2000)).astype(dtype)
    column = some[np.clip(np.cumsum(rng.integers(-3, 4, 6000)) % some.size, 0, some.size - 1)]
    column[::2] = column[1::2]
    for level in (1, 2, 3):
        assert read_back(column, level)


def own_coder(block: bytes) -> int:
    """Return the coder of the stream of a block that divides, without ranks or exceptions."""
    assert block[0] == DIVIDE
    return block[read_varint(block, 1)[1]] & 3


def test_level_1_packs_but_where_lanes_take_much_less() -> None:
    rng = np.random.default_rng(0)
    dense = np.cumsum(rng.integers(-9, 10, 4000)) / 10
    sparse = np.where(rng.random(4000) < 0.04, rng.integers(1, 2000, 4000), 0) / 10
    assert own_coder(block_of(dense, level=1)) == SIDE_BY_SIDE
    assert own_coder(block_of(sparse, level=1)) == LANES
    assert read_back(sparse, level=1)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_level_1_writes_lists_of_distinct_numbers_by_lanes(level: int) -> None:
    rng = np.random.default_rng(0)
    some = np.sort(rng.gamma(2, 100, 1000))
    block = block_of(some[rng.integers(0, 1000, 4000)], level)
    assert block[0] == BITS | RANKED
    _, at = read_varint(block, read_varint(block, 1)[1])
    assert block[at] & 3 == LANES


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("kind", [GRID, CUT, TIMES])
def test_where_a_mode_misses_most_numbers_there_is_room_for_all_exceptions(kind: int, level: int) -> None:
    """What a sample has is of the mode; between them lies much that is not."""
    rng = np.random.default_rng(3)
    column = MADE[kind](BLOCK)
    others = rng.random(BLOCK) < 0.45
    others[(SPREAD * BLOCK).astype(int)] = False
    column[others] = rng.normal(size=others.sum()) * 10.0 ** rng.integers(-200, 200, others.sum())
    assert read_back(column, level)
    assert read_back(np.concatenate([column, column[::-1]]), level)


@pytest.mark.parametrize("kind", MADE)
def test_the_smallest_level_is_never_larger_than_the_small_one(kind: int) -> None:
    rng = np.random.default_rng(4)
    for count in (99, 400, 2500):
        for share in (0, 0.05, 0.3):
            column = MADE[kind](count)
            odd = rng.random(count) < share
            column[odd] = rng.choice(rng.random(9), odd.sum())
            assert len(Tally(3).encode(column)) <= len(Tally(2).encode(column))


@pytest.mark.parametrize("level", [2, 3])
def test_numbers_with_more_symbols_than_there_is_room_for_have_no_models_that_learn(level: int) -> None:
    """Their counts, noise and exceptions take two or three symbols each; what a sample has is on the grid."""
    rng, segments = np.random.default_rng(level), np.arange(BLOCK) // 625
    large = rng.random(BLOCK) < 0.64

    def large_or_small(small: int) -> np.ndarray:
        high = 2**14 + (rng.integers(0, 256, segments[-1] + 1) << 6)
        return np.where(large, high[segments] + rng.integers(0, 64, BLOCK), rng.integers(small, small + 2, BLOCK))

    counts, noise, off = large_or_small(4), rng.integers(-8, 8, BLOCK), large_or_small(2) * rng.choice([-1, 1], BLOCK)
    counts[::1000] = 2
    noise[(SPREAD * BLOCK).astype(int)] = off[(SPREAD * BLOCK).astype(int)] = 0
    column = (np.rint(counts * 2.0**33 / 10**6) + noise) / 2.0**33
    assert read_back((column.view(np.int64) + off).view(np.float64), level)


def some_zero(doubles: np.ndarray, share: float) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(doubles.size) < share, 0.0, doubles)


def some_odd(doubles: np.ndarray, share: float) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.where(rng.random(doubles.size) < share, rng.normal(size=doubles.size), doubles)


SINGLES = np.random.default_rng(3).gamma(2, 10, 4000).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    "column",
    [
        some_zero(np.random.default_rng(0).integers(0, 40, 4000) * (1 / 20), 0.9),
        some_zero(SINGLES, 0.5),
        some_zero(rates(4096, 20), 0.7),
        some_odd(walk(BLOCK) / 13, 0.2),
        some_odd(rates(2048, 20), 0.4),
        some_odd(np.random.default_rng(0).integers(0, 40, 1000) / 10, 0.03),
    ],
    ids=["few_times_a_step", "singles_and_zeros", "rates_and_zeros", "quotients", "rates", "few_decimals"],
)
def test_zeros_and_exceptions_hide_neither_ranks_nor_the_arithmetic(column: np.ndarray) -> None:
    """Of zeros a sample has nothing to tell; of distinct numbers most are exceptions where few others are distinct."""
    small, smallest = len(Tally(2).encode(column)), len(Tally(3).encode(column))
    assert smallest <= small <= 1.05 * smallest


def test_level_1_ranks_what_is_held() -> None:
    rng = np.random.default_rng(0)
    held = np.maximum.accumulate(np.where(rng.random(BLOCK) < 0.03, np.arange(BLOCK), 0))
    column = rng.lognormal(size=BLOCK)[held]
    assert len(Tally(1).encode(column)) < 2 * BLOCK


def test_level_1_ranks_few_far_numbers_of_a_short_column() -> None:
    rng = np.random.default_rng(1)
    column = np.where(rng.random(90) < 0.9, 0, rng.integers(0, 2**40, 90))
    assert len(Tally(1).encode(column)) < 200


@pytest.mark.parametrize("step", [1, 832_040, 102_334_155])
def test_ranks_are_the_same_whatever_the_step_between_numbers(step: int) -> None:
    """Steps of which multiples lie side by side in a table by multiplication, among them."""
    assert read_back(np.random.default_rng(0).permutation(BLOCK) * step, 2)
    column = np.random.default_rng(0).integers(0, 3000, BLOCK) ** 2 * step
    assert len(Tally().encode(column)) - len(Tally().encode(column // step)) in range(-2, 6)
    assert read_back(column, 2)
