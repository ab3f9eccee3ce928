"""How tally encodes: whole frames in one call, exact division, and what the kernel tries of long blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from squeezelab.codecs._frame import FLOAT64, INT64, pack_frame, read_varint
from squeezelab.codecs.tally import BLOCK, Tally
from squeezelab.codecs.tally.blocks import DISTANT, RANKED
from squeezelab.codecs.tally.columns import NAME, Workspace
from squeezelab.codecs.tally.modes import DIVIDE
from squeezelab.codecs.tally.prediction import DELTA, PLAIN, common_divisor
from squeezelab.codecs.tally.static_streams import write_stream
from squeezelab.codecs.tally.written import ADAPTIVE
from squeezelab.kernels.bits import U, unzigzag


def hard_column(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return doubles that are any, but few."""
    return rng.choice(rng.random(50), size)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_short_column_has_the_frame_of_its_payload(level: int) -> None:
    rng, codec = np.random.default_rng(level), Tally(level)
    columns = [np.cumsum(rng.integers(-9, 9, size)) / 10 for size in (1, 2, 99, 1000, BLOCK)]
    columns += [hard_column(rng, 1000), rng.integers(0, 5, 700), np.zeros(130)]
    for column in columns:
        assert codec.encode(column) == pack_frame(NAME, column.dtype, column.size, codec.pack(column))


def test_columns_that_fill_the_buffer_more_than_once_and_hard_ones_among_them() -> None:
    rng, codec = np.random.default_rng(3), Tally()
    columns = [rng.integers(-(2**62), 2**62, size) for size in (BLOCK,) * 12]
    columns += [rng.integers(0, 2**63, BLOCK - i).view(FLOAT64) for i in range(12)]
    columns[5:5] = [hard_column(rng, 500), hard_column(rng, 1), np.arange(BLOCK + 1), hard_column(rng, BLOCK)]
    frames = codec.encode_many(columns)
    assert frames == [codec.encode(column) for column in columns]
    assert all(
        decoded.tobytes() == column.tobytes()
        for decoded, column in zip(codec.decode_many(frames), columns, strict=True)
    )


@pytest.mark.parametrize("dtype", [INT64, FLOAT64])
def test_what_is_read_only_or_lies_apart_is_encoded_alike(dtype: np.dtype) -> None:
    codec, column = Tally(), np.arange(2000).astype(dtype)
    apart, locked = np.column_stack((column, column))[:, 1], column.copy()
    locked.flags.writeable = False
    assert codec.encode_many([column, apart, locked]) == [codec.encode(column)] * 3
    assert codec.encode(locked) == codec.encode(apart) == codec.encode(column)
    assert column.flags.writeable


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("size", [3, 99, 1000, 3000])
def test_doubles_of_any_arithmetic_are_read_by_the_book(size: int, level: int) -> None:
    rng = np.random.default_rng(size)
    whole = np.cumsum(rng.integers(-50, 51, size)) + 10**5
    for column in (whole / 10 / 100, whole * (1 / 20), rng.random(size), np.sqrt(whole), hard_column(rng, size)):
        some, far = column.copy(), column.copy()
        some[:: size // 3], far[::7] = np.nan, rng.random(-(-size // 7))
        for odd in (column, some, far):
            frame = Tally(level).encode(odd)
            assert Tally().decode(frame).tobytes() == odd.tobytes() == book.read_frame(frame)


@pytest.mark.parametrize("size", [8, 16, 32, 63])
def test_few_distinct_doubles_are_ranked_however_few_values_there_are(size: int) -> None:
    rng = np.random.default_rng(size)
    column = rng.normal(size=4)[rng.integers(0, 4, size)]
    sizes = [len(Tally(level=level).encode(column)) for level in (1, 2, 3)]
    assert sizes[1] <= sizes[0]
    assert sizes[1] <= 1.1 * sizes[2]


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=80),
    st.integers(0, 40),
    st.integers(1, 2**20),
)
def test_the_common_divisor_is_that_of_euclid(numbers: list[int], zeros: int, factor: int) -> None:
    integers = np.array([(number * factor << zeros) % 2**64 for number in numbers], np.uint64)
    distances = integers - integers[0]
    assert common_divisor(integers, U(integers[0])) == np.gcd.reduce(distances)


def test_long_blocks_of_ranks_may_have_models_that_learn() -> None:
    rng = np.random.default_rng(0)
    distinct = np.unique(rng.integers(0, 10**5, 300)) / 10
    # How far it goes rises and falls slowly: neither one table follows that, nor one for each size of step.
    steps = np.rint(rng.normal(size=BLOCK) * np.exp(3 * np.sin(np.arange(BLOCK) / 300))).astype(np.int64)
    column = distinct[np.abs(np.cumsum(steps)) % distinct.size]
    frame, payload = Tally().encode(column), Tally().pack(column)
    kind_at = read_varint(payload, 1)[1]
    assert payload[kind_at] == ADAPTIVE
    words_at = read_varint(payload, kind_at + 1)[1]
    assert payload[read_varint(payload, words_at)[1]] & RANKED
    assert Tally().decode(frame).tobytes() == column.tobytes() == book.read_frame(frame)


def block_of(column: np.ndarray, level: int = 2) -> bytes:
    """Return the first block of a column."""
    payload = Tally(level).pack(column)
    size, at = read_varint(payload, 1)
    return payload[at : at + size]


def read_back(column: np.ndarray, level: int = 2) -> bool:
    """Return whether our reader and the page's find the column in its frame."""
    frame = Tally(level).encode(column)
    return Tally().decode(frame).tobytes() == column.tobytes() == book.read_frame(frame)


def of_two_precisions(count: int, share: float, fine: np.ndarray) -> np.ndarray:
    """Return numbers of one decimal, a share of them taken from others: the divisor is 10, and misses these."""
    rng = np.random.default_rng(count)
    column = rng.integers(0, 2000, 300)[rng.integers(0, 300, count)] / 10
    places = rng.random(count) < share
    column[places] = rng.choice(fine, places.sum())
    return column


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("share", [0.15, 0.02])
def test_series_of_several_precisions_are_ranked_by_the_finest(share: float, level: int) -> None:
    column = of_two_precisions(BLOCK, share, np.arange(1, 2000, 31) / 100)
    block = block_of(column, level)
    assert block[0] == DIVIDE | RANKED  # without DISTANT: there are no exceptions
    distinct, at = read_varint(block, 1)
    assert distinct == np.unique(column).size
    assert read_varint(block, at)[0] == 100
    assert read_back(column, level)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("count", [1000, BLOCK])
def test_a_few_finer_numbers_are_exceptions_of_the_list(count: int, level: int) -> None:
    column = of_two_precisions(count, 0.04, np.array([0.25, 1.37, 8.01, 19.999]))
    block = block_of(column, level)
    assert block[0] == DIVIDE | RANKED | DISTANT
    assert read_varint(block, read_varint(block, 1)[1])[0] == 10
    assert read_back(column, level)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_what_few_numbers_miss_is_an_exception_where_there_are_no_ranks(level: int) -> None:
    rng = np.random.default_rng(0)
    column = np.round(rng.normal(50, 20, 1000), 1)
    plain = len(Tally(level).encode(column))
    column[::30] = np.round(column[::30] + rng.normal(0, 0.03, column[::30].size), 4)
    assert len(Tally(level).encode(column)) < plain + 10 * column[::30].size
    assert read_back(column, level)


@pytest.mark.parametrize("kind", ["several precisions", "any but few", "steps in runs"])
def test_the_smallest_level_is_never_larger(kind: str) -> None:
    rng = np.random.default_rng(0)
    column = {
        "several precisions": np.where(
            rng.random(2000) < 0.9, np.round(rng.normal(50, 20, 2000), 1), rng.normal(size=2000).round(4)
        ),
        "any but few": hard_column(rng, 2000),
        "steps in runs": np.cumsum(np.repeat(rng.integers(0, 9, 50), 40)) / 10,
    }[kind]
    assert len(Tally(3).encode(column)) <= len(Tally(2).encode(column))


@pytest.mark.parametrize("size", [63, 200])
def test_steps_that_change_once_are_changes(size: int) -> None:
    steps = np.where(np.arange(size) < size // 2, 10**12, 10**12 + 7)
    assert len(Tally().encode(np.cumsum(steps))) < 48
    assert read_back(np.cumsum(steps))


@pytest.mark.parametrize("count", [1475, 6867])
def test_few_numbers_that_come_in_turn_take_next_to_nothing(count: int) -> None:
    # Their steps are of unlike sizes, which tell the next one; those of their ranks do not.
    assert len(Tally().encode(np.array([1.48, 3.0, 4.36])[np.arange(count) % 3])) < 150


def test_a_finer_divisor_takes_nothing_from_numbers_that_are_not_ranked() -> None:
    # Few numbers for their span, so that ranks are tried, by a divisor that misses none; but a list of them costs more.
    rng = np.random.default_rng(0)
    steps = np.rint(rng.normal(size=BLOCK) * np.exp(2 * np.sin(np.arange(BLOCK) / 300))).astype(np.int64)
    walk = np.cumsum(steps) % 400
    walk[BLOCK // 2 :] += 10**5
    walk *= 10
    walk[[5, 1000, 7000]] += 3
    column = walk / 100
    # Models that learn come last: they take the numbers that the plain block was of.
    assert block_of(column)[0] == ADAPTIVE
    assert read_back(column)


@pytest.mark.parametrize("divisor", [1, 10, 1000])
@pytest.mark.parametrize("level", [1, 2])
def test_whole_numbers_as_large_as_doubles_have_them(level: int, divisor: int) -> None:
    edges = [sign * (2**power + more) for sign in (-1, 1) for power in (50, 51, 52, 53) for more in (-1, 0, 1)]
    for edge in edges:
        column = (np.arange(200) + edge).astype(FLOAT64) / divisor
        assert read_back(column, level)
        # Most are small here: a divisor is found, and the large ones are integers over it.
        column[20:] = np.arange(180) / divisor
        assert read_back(column, level)


@pytest.mark.parametrize("count", [101, 1025, 3000])
@pytest.mark.parametrize("power", [50, 51, 52, 62, 63])
def test_residuals_of_any_size(power: int, count: int) -> None:
    rng = np.random.default_rng(power)
    column = rng.integers(-9, 9, count)
    column[:: count // 20] = rng.integers(-(2**power), 2**power, column[:: count // 20].size)
    assert read_back(column)


@pytest.mark.parametrize("count", [*range(1, 10), 1023, 1024, 1025])
def test_deltas_are_added_up_to_the_last(count: int) -> None:
    column = np.cumsum(np.random.default_rng(count).integers(0, 3, count)) + 7 * np.arange(count)
    assert read_back(column, level=1)


def stream_of(levels: np.ndarray, common: int) -> tuple[int, int, int]:
    """Return the predictor of levels, the base, and the size of their stream."""
    space = Workspace.of_thread()
    levels = levels.astype(np.uint64)
    levels.flags.writeable = False
    at, _ = write_stream(levels, U(common), U(2), False, space.rows, space.buffer, U(0))
    base, _ = read_varint(space.buffer[:12].tobytes(), 1)
    return int(space.buffer[0]) >> 2 & 7, int(unzigzag(U(base))), int(at)


def test_ranks_are_predicted_from_the_most_common_one_where_that_saves_bits() -> None:
    # Most ranks are near 900, and as many again are anywhere below: the one in the middle is far from both.
    rng = np.random.default_rng(5)
    ranks = np.where(rng.random(4000) < 0.45, 900 + rng.integers(-2, 3, 4000), rng.integers(0, 880, 4000))
    ranks[:950] = np.arange(950)
    rng.shuffle(ranks)
    order, base, size = stream_of(ranks, 900)
    assert (order, base) == (PLAIN, 900)
    assert size < 0.99 * stream_of(ranks, 2**64 - 1)[2]


def test_where_steps_come_in_runs_levels_are_predicted_by_these_not_their_changes() -> None:
    # Changes of steps are mostly 0; but what a step is, the one before tells just as well, and its size once.
    steps = np.repeat([1, 10, 1, 10, 1, 10], 150)
    steps[::23] *= 2
    assert stream_of(np.cumsum(steps), 2**64 - 1)[0] == DELTA
