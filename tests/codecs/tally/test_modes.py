"""Modes: the arithmetic that made a column's doubles is found, pays, and gives every bit back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tally_by_the_book as book
from columns import SPECIAL_WORDS, WORDS, same_bits
from squeezelab.codecs import get_codec
from squeezelab.codecs.tally.blocks import plan_block
from squeezelab.codecs.tally.modes import (
    BITS,
    CUT,
    DIVIDE,
    GRID,
    STEPS,
    TIMES,
    KernelMode,
    Mode,
    noise_on_grid,
    order,
    power_of_two,
    restore,
    split,
)
from squeezelab.codecs.tally.search import _off_grid, find_modes
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import word_of

COUNT = 2000


def walk(seed: int = 0, step: int = 100) -> np.ndarray:
    """Return integers whose differences take log2(2 * step + 1) bits."""
    return 10_000 + np.cumsum(np.random.default_rng(seed).integers(-step, step + 1, COUNT))


def texts(integers: np.ndarray, digits: int) -> np.ndarray:
    """Return what a correct parser makes of decimals."""
    return np.array([float(f"{integer}e-{digits}") for integer in integers.tolist()])


def old_pandas(integers: np.ndarray, digits: int) -> np.ndarray:
    """Return what pandas' old default parser made of decimals: it divided by 10, 100, 10000 and so on in turn."""
    return np.array([book.decimal(digits, integer, 0) for integer in integers.tolist()])


def readings(counts: np.ndarray, start: float, bits: int, per_second: int = 100) -> np.ndarray:
    """Return readings of a counter that rises by so many of its smallest units, kept to 2^-bits."""
    return np.rint((start + np.cumsum(counts) / per_second) * 2.0**bits) / 2.0**bits


def rates(start: float, bits: int, window: int, per_second: int = 100) -> np.ndarray:
    counts = np.random.default_rng(1).integers(0, 1000, COUNT + 1)
    return np.diff(readings(counts, start, bits, per_second)) / window


def cut(doubles: np.ndarray) -> np.ndarray:
    """Return doubles cut to 16 decimals, as they are written in text."""
    return np.array([float(f"{double:.16f}") for double in doubles.tolist()])


def bits_each(column: np.ndarray, level: int = 2) -> float:
    frame = get_codec(f"tally:level={level}").encode(column)
    assert same_bits(get_codec("tally").decode(frame), column)
    return 8 * len(frame) / column.size


STEPPED = old_pandas(walk(), 6)
MADE = {
    "whole": (walk().astype(float), {Mode(DIVIDE, 1)}, 7.7),
    "one_decimal": (texts(walk(), 1), {Mode(DIVIDE, 10)}, 7.7),
    "three_decimals": (texts(walk(), 3), {Mode(DIVIDE, 1000)}, 7.7),
    "nine_decimals": (texts(walk(), 9), {Mode(DIVIDE, 10**9)}, 7.7),
    "negative": (texts(-walk(), 2), {Mode(DIVIDE, 100)}, 7.7),
    "a_count_in_15_s": (walk() / 15, {Mode(DIVIDE, 15)}, 7.7),
    "a_count_in_7_days": (walk() / 7, {Mode(DIVIDE, 7)}, 7.7),
    "a_count_times_0.05": (walk() * (1 / 20), {Mode(TIMES, 20)}, 7.7),
    "a_count_times_0.01": (walk() * (1 / 100), {Mode(TIMES, 100)}, 7.7),
    "old_pandas": (STEPPED, {Mode(STEPS, 6)}, 7.7),
}


@pytest.mark.parametrize(("column", "modes", "bits"), MADE.values(), ids=MADE)
def test_the_arithmetic_is_recognised_and_takes_what_its_integers_take(
    column: np.ndarray, modes: set[Mode], bits: float
) -> None:
    assert modes <= set(find_modes(column))
    (mode,) = modes
    assert split(column, mode).missed == 0
    assert plan_block(column).kind & 7 == mode.kind
    assert bits_each(column) < bits + 0.5
    assert bits_each(column, level=1) < 8 + 0.8


def test_old_pandas_is_not_the_nearest_double() -> None:
    assert split(STEPPED, Mode(DIVIDE, 10**6)).missed > COUNT / 20


@pytest.mark.parametrize("window", [1, 5, 15, 20, 30, 60])
@pytest.mark.parametrize("bits", [34, 38, 42])
def test_differences_of_a_counter_are_recognised_by_their_grid(window: int, bits: int) -> None:
    column = rates(1e6, bits, window)
    block = plan_block(column)
    assert block.kind & 7 == GRID
    # A count below 1000, and a rounding of three values; as doubles they are noise from the 20th bit on.
    assert bits_each(column) < 10 + 1.6 + 1.2


@pytest.mark.parametrize("window", [15, 20, 30])
def test_differences_that_were_cut_are_recognised_too(window: int) -> None:
    column = cut(rates(1e6, 38, window))
    assert plan_block(column).kind & 7 == CUT
    assert bits_each(column) < 10 + 1.6 + 1.6


@kernel
def count_off(mode, doubles, made):
    """Return how many doubles a grid does not make by the search, and by taking each apart."""
    kind, divisor, window, bits = mode
    off, scale = 0, power_of_two(bits)
    for double in doubles:
        number = np.int64(np.rint(double * (float(divisor) * float(window))))
        _, made[0] = noise_on_grid(kind, float(divisor), float(window), scale, double, number)
        off += int(made[0] != word_of(double))
    return _off_grid(mode, doubles, np.inf), off


@pytest.mark.parametrize("kind", [GRID, CUT])
@pytest.mark.parametrize("window", [1, 5, 15, 60, 300])
def test_what_is_far_from_a_grid_is_not_looked_at_closely(kind: int, window: int) -> None:
    rng = np.random.default_rng(window)
    for bits in (*range(30, 52), 60):
        steps = np.rint(2.0 ** rng.uniform(0, bits + 8, 200))
        grid = steps / 2.0**bits / window
        near = np.nextafter(grid, np.inf)
        digits = np.array([float(f"{double:.16f}") for double in grid.tolist()])
        doubles = np.concatenate([grid, near, digits, digits + 1e-16, rng.uniform(0, 9, 200)])
        doubles = doubles[doubles > 0.0]
        mode = KernelMode(*map(np.uint64, (kind, 100, window, bits)))
        found, expected = count_off(mode, doubles, np.empty(1, np.uint64))
        assert found == expected


def test_random_doubles_have_no_quantum() -> None:
    noise = np.random.default_rng(4).normal(size=COUNT)
    assert find_modes(noise) == []
    assert plan_block(noise).kind & 7 == BITS


ODD = np.array(SPECIAL_WORDS, np.uint64).view(np.float64)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("share", [0.001, 0.02, 0.1])
def test_exceptions_cost_their_bits_and_no_more(name: str, share: float) -> None:
    column, _, bits = MADE[name]
    rng = np.random.default_rng(5)
    mixed = column.copy()
    places = rng.random(COUNT) < share
    mixed[places] = rng.choice(ODD, places.sum())
    assert bits_each(mixed) < bits + 0.5 + 90 * places.mean()


@pytest.mark.parametrize("share", [0.001, 0.02])
def test_a_rate_over_another_window_is_an_exception(share: float) -> None:
    rng = np.random.default_rng(6)
    column = rates(1e6, 38, 20)
    places = rng.random(COUNT) < share
    column[places] *= 20 / 19.995
    assert plan_block(column).kind & 7 == GRID
    assert bits_each(column) < 12.8 + 90 * places.mean()


MODES = st.one_of(
    st.just(Mode(BITS)),
    st.builds(Mode, st.sampled_from([DIVIDE, TIMES]), st.integers(1, 10**15), st.just(1), st.just(0)),
    st.builds(Mode, st.just(STEPS), st.integers(1, 22), st.just(1), st.just(0)),
    st.builds(
        Mode,
        st.sampled_from([GRID, CUT]),
        st.sampled_from([1, 100, 1000, 10**6]),
        st.integers(1, 300),
        st.integers(0, 60),
    ),
)
INTEGERS = st.integers(-(2**20), 2**20) | st.integers(-(2**63), 2**63 - 1)


def restored(mode: Mode, numbers: np.ndarray, noise: np.ndarray) -> np.ndarray:
    doubles = np.empty(numbers.size)
    restore(mode.words, numbers, noise, doubles.view(np.uint64))
    return doubles


@given(MODES, st.lists(st.tuples(INTEGERS, INTEGERS), min_size=1, max_size=50))
def test_a_slow_reader_makes_the_same_doubles(mode: Mode, pairs: list[tuple[int, int]]) -> None:
    numbers, noise = np.array(pairs, np.int64).view(np.uint64).T.copy()
    kind, *parameters = mode
    count = 0 if kind == BITS else 1 if kind <= STEPS else 3
    expected = [book.number(kind, parameters[:count], m % 2**64, e % 2**64, True) for m, e in pairs]
    assert restored(mode, numbers, noise).view(np.uint64).tolist() == expected


@given(MODES, arrays(np.uint64, st.integers(1, 50), elements=WORDS | st.sampled_from(SPECIAL_WORDS)))
def test_every_double_is_an_integer_and_a_distance(mode: Mode, words: np.ndarray) -> None:
    parts = split(words.view(np.float64), mode)
    found = order(restored(mode, parts.numbers, parts.noise).view(np.uint64))
    assert order(found + parts.exceptions).tolist() == words.tolist()
    assert parts.missed == np.count_nonzero(parts.exceptions)


RATES = [rates(1e6, 38, 20)[:200], rates(1e9, 30, 1)[:200], cut(rates(1e6, 38, 20)[:200])]
TAME = st.sampled_from([column[:200] for column, _, _ in MADE.values()] + RATES)


def test_a_negative_zero_among_rates_keeps_its_sign() -> None:
    for column in RATES:
        mixed = column.copy()
        mixed[[5, 100]] = -0.0
        bits_each(mixed, level=1)
        bits_each(mixed, level=2)


@given(TAME, st.dictionaries(st.integers(0, 199), WORDS | st.sampled_from(SPECIAL_WORDS), max_size=60))
def test_every_bit_of_a_mixed_column_comes_back(column: np.ndarray, odd: dict[int, int]) -> None:
    words = column.copy().view(np.uint64)
    words[list(odd)] = np.array(list(odd.values()), np.uint64)
    for level in (1, 2):
        frame = get_codec(f"tally:level={level}").encode(words.view(np.float64))
        assert same_bits(get_codec("tally").decode(frame), words.view(np.float64))


@given(arrays(np.uint64, st.integers(0, 50), elements=WORDS))
def test_order_is_that_of_the_reals_and_its_own_inverse(words: np.ndarray) -> None:
    assert order(order(words)).tolist() == words.tolist()
    assert order(words).tolist() == [book.order(word) for word in words.tolist()]
    doubles = np.unique(words.view(np.float64)[np.isfinite(words.view(np.float64))])
    rising = order(doubles[doubles != 0].view(np.uint64)).view(np.int64)
    assert (rising[1:] > rising[:-1]).all()
