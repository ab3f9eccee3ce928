"""How tally encodes: whole frames in one call, exact division, and what the kernel tries of long blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from squeezelab.codecs._frame import FLOAT64, INT64, pack_frame, read_varint
from squeezelab.codecs.tally import BLOCK, Tally
from squeezelab.codecs.tally.blocks import RANKED
from squeezelab.codecs.tally.columns import NAME
from squeezelab.codecs.tally.prediction import common_divisor
from squeezelab.codecs.tally.writer import ADAPTIVE
from squeezelab.kernels.bits import U


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
