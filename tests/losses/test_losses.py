"""Methods within bounds: each keeps its bound on every sample, whatever the column; and is as its source has it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from squeezelab.errors import InvalidRequestError
from squeezelab.kernels.segments import merge_slopes, pmc_mean, sim_pieces, swing
from squeezelab.losses import KINDS, METHODS, Bound, lose, verdict
from squeezelab.losses.methods import (
    AS_IT_IS,
    DOUBLE,
    LOSSLESS,
    SINGLE,
    SQUEEZED,
    pack_sim_pieces,
    round_decimals,
    strictly_rising,
    take_out,
    unpack_sim_pieces,
)
from squeezelab.registry import is_installed

HERE = [name for name, one in METHODS.items() if is_installed(one.package)]
OURS = [name for name in HERE if METHODS[name].package is None]
STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
SPECIALS = [np.nan, STALE, np.inf, -np.inf, -0.0]
READINGS = st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0, 100.0, 0.1, *SPECIALS])
COLUMNS = st.integers(1, 50).flatmap(lambda count: arrays(np.float64, count, elements=READINGS))
BOUNDS = st.builds(Bound, st.sampled_from(sorted(KINDS)), st.sampled_from([1e-4, 0.01, 0.2]))


def need(name: str) -> None:
    if not is_installed(METHODS[name].package):
        pytest.skip(f"{METHODS[name].package} is not installed: pip install 'squeezelab[losses]'")


def gauge(size: int = 2000, seed: int = 1) -> np.ndarray:
    return np.round(50 + np.cumsum(np.random.default_rng(seed).normal(size=size)), 2)


# ---- Bounds and the check ----


def test_the_check_sees_one_sample_a_hair_beyond() -> None:
    values = gauge(100)
    restored = values + 0.5
    assert verdict(values, restored, np.full(100, 0.5)).kept
    restored[37] += 1e-9
    assert verdict(values, restored, np.full(100, 0.5)).broken == 1


@pytest.mark.parametrize("came", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_afterwards_is_broken(came: float) -> None:
    found = verdict(np.array([1.0]), np.array([came]), np.array([1e300]))
    assert (found.broken, found.largest) == (1, np.inf)


@pytest.mark.parametrize("special", SPECIALS)
def test_a_special_value_must_keep_each_bit(special: float) -> None:
    there = np.array([special])
    assert verdict(there, there.copy(), np.zeros(1)).kept
    for other in (1.0, 0.0, np.nan, STALE, np.inf, -np.inf):
        came = np.array([other])
        if came.tobytes() != there.tobytes():
            assert verdict(there, came, np.array([1e300])).specials_changed == 1


def test_zero_may_not_be_off_where_the_bound_is_a_share_of_the_value() -> None:
    assert verdict(np.zeros(1), np.array([1e-300]), Bound("value", 0.5).allowed(np.zeros(1))).broken == 1


def test_the_range_is_of_finite_values() -> None:
    assert Bound("range", 0.1).allowed(np.array([1.0, np.inf, np.nan, 11.0])).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert np.isfinite(Bound("range", 0.9).allowed(np.array([-1e308, 1.7e308]))).all()


@pytest.mark.parametrize(("kind", "size"), [("range", 0), ("value", 1), ("absolute", np.inf), ("range", np.nan)])
def test_bounds_that_are_none_are_rejected(kind: str, size: float) -> None:
    with pytest.raises(InvalidRequestError):
        Bound(kind, size)
    with pytest.raises(InvalidRequestError, match="choose from"):
        Bound("relative", 0.1)


# ---- Every method ----


@pytest.mark.parametrize("name", list(METHODS))
@given(COLUMNS, BOUNDS)
def test_every_bound_is_kept_on_every_sample_and_specials_survive(name: str, values: np.ndarray, bound: Bound) -> None:
    need(name)
    loss = lose(METHODS[name], 15 * np.arange(values.size), values, bound)
    assert loss.verdict.kept
    assert loss.restored.size == values.size


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("name", list(METHODS))
def test_a_gauge_gets_smaller_and_is_not_exact(name: str, kind: str) -> None:
    need(name)
    values = gauge()
    bound = Bound(kind, 1.0 if kind == "absolute" else 0.02)
    loss = lose(METHODS[name], np.arange(values.size), values, bound)
    assert loss.verdict.kept
    assert not loss.exact
    assert loss.verdict.largest > 0.2, "the bound is used"
    assert min(loss.sizes.values()) < 3 * values.size


@pytest.mark.parametrize("name", ["simpiece", "sz3", "zfp"])
def test_zeros_and_signs_do_not_make_methods_on_logarithms_give_up(name: str) -> None:
    need(name)
    values = gauge() - 50
    values[::9] = 0.0
    loss = lose(METHODS[name], np.arange(values.size), values, Bound("value", 0.02))
    assert loss.verdict.kept
    assert not loss.exact
    assert np.array_equal(loss.restored == 0, values == 0)


@pytest.mark.parametrize("name", list(METHODS))
def test_uneven_time_does_not_break_bounds(name: str) -> None:
    need(name)
    rng = np.random.default_rng(2)
    timestamps = np.cumsum(rng.choice([1, 15, 15, 15, 86_400], 1000))
    for clock in (timestamps, timestamps // 20, timestamps[::-1].copy()):
        assert lose(METHODS[name], clock, gauge(1000), Bound("range", 0.01)).verdict.kept


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "values", [[7.5], [7.5] * 9, [np.nan] * 5, [-0.0, -0.0], [1e-310, 5e-324, 0.0], [1e308, -1e308]]
)
def test_odd_columns_come_back(name: str, values: list[float]) -> None:
    column = np.array(values)
    for bound in (Bound("range", 0.01), Bound("value", 0.01), Bound("absolute", 1e-300)):
        loss = lose(METHODS[name], np.arange(column.size), column, bound)
        assert loss.verdict.kept, bound


def test_a_method_that_breaks_its_bound_is_shown_as_broken() -> None:
    class Careless(type(METHODS["pmc"])):  # type: ignore[misc]
        def attempts(self, clock, values, bound, allowed):
            for packed in super().attempts(clock, values, bound, allowed):
                yield type(packed)(packed.restored + np.where(np.arange(values.size) == 5, 9.0, 0.0), packed.sizes)

    loss = lose(Careless(), np.arange(100), gauge(100), Bound("absolute", 0.1))
    assert loss.verdict.broken == 1
    assert not loss.verdict.kept


@pytest.mark.parametrize("name", ["decimal", "pmc"])
def test_exceptions_are_paid_for(name: str) -> None:
    values = gauge(1000)
    values[::7] = np.nan
    filled, exceptions = take_out(values, np.isnan(values))
    assert np.isfinite(filled).all()
    holes, whole = (lose(METHODS[name], np.arange(1000), one, Bound("absolute", 0.5)) for one in (values, filled))
    assert holes.sizes == {store: size + len(exceptions) for store, size in whole.sizes.items()}
    assert len(exceptions) > 20
    assert set(holes.sizes) == set(LOSSLESS if name == "decimal" else (AS_IT_IS, SQUEEZED))


# ---- Rounding ----


def test_decimals_are_the_nearest_doubles() -> None:
    values = np.array([0.125, 2.675, -1.15, 123456.789])
    expected = [float(f"{round(x, 1):.1f}") for x in (0.125, 2.675, -1.15, 123456.789)]
    found = round_decimals(values, np.ones(4))
    assert np.abs(found - values).max() <= 0.05 + 1e-11
    assert found.tolist()[:2] == expected[:2]
    assert round_decimals(np.array([-0.04]), np.ones(1)).tobytes() == np.zeros(1).tobytes(), "no sign is invented"
    assert round_decimals(np.array([1234.0, 1e300]), np.array([-2.0, -30.0])).tolist() == [1200.0, 1e300]


def test_no_digit_is_kept_that_the_bound_does_not_ask_for() -> None:
    values = gauge()
    loss = lose(METHODS["decimal"], np.arange(values.size), values, Bound("absolute", 0.05))
    assert np.array_equal(loss.restored, np.rint(loss.restored * 10) / 10)
    share = lose(METHODS["decimal"], np.arange(values.size), values, Bound("value", 0.05))
    assert all(float(f"{x:.1e}") == x for x in share.restored.tolist()), "two digits are enough for 5 %"


def test_bits_are_as_few_as_the_bound_allows() -> None:
    values = np.abs(np.random.default_rng(1).normal(size=500)) + 1
    loss = lose(METHODS["bitround"], np.arange(500), values, Bound("value", 2.0**-8))
    assert np.all(loss.restored.view(np.uint64) % 2**45 == 0), "7 bits of 52 stay"


# ---- Pieces ----


def cut(values: np.ndarray, bound: float) -> list[tuple[int, float]]:
    """PMC-mean by the book: a new piece where a sample would be further than the bound from the mean."""
    pieces: list[tuple[int, float]] = []
    first = 0
    for i in range(len(values)):
        piece = values[first : i + 1]
        if piece.max() - piece.mean() > bound or piece.mean() - piece.min() > bound:
            pieces.append((first, values[first:i].mean()))
            first = i
    return [*pieces, (first, values[first:].mean())]


@pytest.mark.parametrize("seed", range(5))
def test_pmc_mean_cuts_where_the_paper_does(seed: int) -> None:
    values = gauge(500, seed)
    starts, means = np.empty(500, np.uint32), np.empty(500)
    count = pmc_mean(values, values - 1.5003, values + 1.5003, starts, means)
    assert list(zip(starts[:count].tolist(), means[:count].round(9).tolist(), strict=True)) == [
        (start, round(mean, 9)) for start, mean in cut(values, 1.5003)
    ]


def test_swing_is_one_line_where_one_is_enough() -> None:
    clock = np.arange(100.0)
    values = 3 + 0.25 * clock + 0.4 * np.sin(clock)
    ends, levels = np.empty(101, np.uint32), np.empty(101)
    assert swing(clock, values, values - 1, values + 1, False, ends, levels) == 2
    assert ends[:2].tolist() == [0, 99]
    slope = (levels[1] - levels[0]) / 99
    least_squares = np.sum((values - values[0]) * clock) / np.sum(clock * clock)
    assert slope == pytest.approx(least_squares)


def test_swing_and_sim_piece_are_as_long_as_their_authors_have_them() -> None:
    """Bytes that the program of Sim-Piece's authors (github.com/xkitsios/Sim-Piece, 682932f) makes of the same column.

    Its swing filter has the slope in the middle and 4 bytes more, for the count of segments; its Sim-Piece has a bound
    of 4 bytes and the last timestamp, 2 bytes, where ours has a bound of 8.
    """
    values = gauge(1000)
    clock = np.arange(1000.0)
    ends, levels = np.empty(1001, np.uint32), np.empty(1001)
    assert 8 * swing(clock, values, values - 1.0003, values + 1.0003, True, ends, levels) + 4 == 1868
    ours = len(pack_sim_pieces(clock, values, 1.0003, SINGLE)) - 8 + 4 + 2
    assert ours == pytest.approx(1015, rel=0.005)


def test_swing_begins_a_line_where_the_last_one_ended() -> None:
    clock, values = np.arange(6.0), np.array([0.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    ends, levels = np.empty(7, np.uint32), np.empty(7)
    count = swing(clock, values, values - 0.1, values + 0.1, True, ends, levels)
    assert ends[:count].tolist() == [0, 2, 5]
    assert levels[:count] == pytest.approx([0.0, 2.0, 2.0], abs=0.11)


def test_sim_pieces_begin_at_multiples_and_share_slopes() -> None:
    """Ten humps of one shape: of their lines one begins at 0, nine at 5 and ten at 95 steps, all up or all down."""
    hump = np.concatenate([np.arange(0, 10, 0.5), np.arange(10, 0, -0.5)])
    values = np.tile(hump, 10)
    clock = np.arange(values.size, dtype=np.float64)
    starts = np.empty(values.size, np.int64)
    steps, least, most, slopes = np.empty((4, values.size))
    count = sim_pieces(clock, values, 0.1, 0.1, starts, steps, least, most)
    assert count == 20
    order = np.lexsort((least[:count], steps[:count]))
    groups = np.empty(count, np.int64)
    assert merge_slopes(steps[order], least[order], most[order], groups, slopes) == 3
    assert slopes[:3] == pytest.approx([0.5, 0.5, -0.5], abs=0.02)
    assert groups.tolist() == [0] + 9 * [1] + 10 * [2]


def fewest(intervals: list[tuple[float, float]]) -> int:
    """The fewest points that stab all intervals, by trying all ends."""
    left, count = sorted(intervals, key=lambda one: one[1]), 0
    while left:
        point = left[0][1]
        left, count = [one for one in left if one[0] > point], count + 1
    return count


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 9)), min_size=1, max_size=30))
def test_there_are_as_few_slopes_as_can_be(pieces: list[tuple[int, int, int]]) -> None:
    steps, least, width = np.array(pieces, dtype=np.float64).T
    most = least + width
    order = np.lexsort((least, steps))
    groups, slopes = np.empty(len(pieces), np.int64), np.empty(len(pieces))
    count = merge_slopes(steps[order], least[order], most[order], groups, slopes)
    wanted = sum(fewest([(a, b) for s, a, b in zip(steps, least, most, strict=True) if s == one]) for one in set(steps))
    assert count == wanted
    within = (slopes[groups] >= least[order]) & (slopes[groups] <= most[order])
    assert within.all()


@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.3, 5.0]), st.sampled_from([SINGLE, DOUBLE]))
def test_sim_piece_bytes_hold_every_line(seed: int, bound: float, dtype: np.dtype) -> None:
    values = gauge(200, seed) * (-1 if seed % 2 else 1)
    clock = strictly_rising(30 * np.arange(200))
    restored = unpack_sim_pieces(np.frombuffer(pack_sim_pieces(clock, values, bound, dtype), np.uint8), clock, dtype)
    assert np.abs(restored - values).max() <= bound * 1.01


def test_pieces_take_the_bytes_of_their_papers() -> None:
    values = np.repeat([1.0, 5.0, 9.0], 100)
    sizes = lose(METHODS["pmc"], np.arange(300), values, Bound("absolute", 0.5)).sizes
    frame = len(METHODS["pmc"].name) * 0 + 12  # dtype, count in two bytes, a checksum of eight, and one to spare
    assert 3 * 8 < sizes[AS_IT_IS] <= 3 * 8 + frame
