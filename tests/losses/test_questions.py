"""Questions asked of metrics, and how far their answers move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab.kernels.rates import prometheus_rate
from squeezelab.losses.questions import (
    answer,
    asks_for_rates,
    compare_answers,
    first_crossing,
    hourly_quantiles,
    rate_signal,
    threshold_above,
)
from squeezelab.losses.windows import keep_windows


def rate(times: list[int], values: list[float], moment: int, span: int) -> float:
    found = np.empty(1)
    prometheus_rate(np.array(times), np.array(values), np.array([moment]), span, found)
    return float(found[0])


def test_a_rate_is_growth_by_time() -> None:
    assert rate([0, 15, 30, 45, 60], [0, 30, 60, 90, 120], 60, 61) == pytest.approx(2.0, rel=0.02)


def test_rates_are_those_of_prometheus() -> None:
    """What promtool 2.42 answers to ``rate(c_total[1m])``, with holes and a reset."""
    column = [5, 9, 14, None, 25, 31, None, None, None, None, 60, 66, 2, 8, 13, 19, 26]
    times = [15 * i for i, value in enumerate(column) if value is not None]
    values = [float(value) for value in column if value is not None]
    answers = {
        37: 0.2225,
        67: 0.35555555555555,
        97: 0.2,
        187: 0.19777777777778,
        217: 0.28888888888889,
        247: 0.4,
    }
    for moment, expected in answers.items():
        assert rate(times, values, moment, 60) == pytest.approx(expected, rel=1e-12)
    assert np.isnan(rate(times, values, 127, 60)), "of one sample there is no rate"


def test_a_reset_counts_from_zero() -> None:
    # 100 to 110, then anew from 0: 5, 15. Growth is 10 + 5 + 10.
    times, values = [0, 10, 20, 30], [100.0, 110.0, 5.0, 15.0]
    assert rate(times, values, 30, 31) == pytest.approx(25 * (31 / 30) / 31)


def test_extrapolation_stops_half_an_interval_beyond_the_samples() -> None:
    # Samples fill only the first half of the range: Prometheus adds 5 s at the end, not 40.
    times, values = [10, 20, 30, 40, 50], [100.0, 110.0, 120.0, 130.0, 140.0]
    assert rate(times, values, 100, 100) == pytest.approx(40 * (40 + 10 + 5) / 40 / 100)


def test_extrapolation_does_not_lead_below_zero() -> None:
    # The counter is 2 at its first sample and grows 1 a second: it was 0 two seconds before, not ten.
    assert rate([10, 20, 30], [2.0, 12.0, 22.0], 30, 30) == pytest.approx(20 * (20 + 2) / 20 / 30)


def test_the_range_is_open_at_its_beginning() -> None:
    assert np.isnan(rate([0, 60], [0.0, 60.0], 60, 60)), "the sample at 0 is not in (0, 60]"


def test_a_tiny_fall_is_a_reset_of_the_whole_counter() -> None:
    """Why bounds are not enough for counters: what a method takes off one sample makes rate() add all of it."""
    times = np.arange(0, 1200, 15)
    values = 1e6 + times * 1.0
    moments, rates = rate_signal(times, values, 1)
    nudged = values.copy()
    nudged[40] -= 16  # 0.0016 %
    _, now = rate_signal(times, nudged, 1)
    assert rates.max() == pytest.approx(1.0)
    assert now.max() > 3000
    original, restored = answer(times, values, 1, True), answer(times, nudged, 1, True)
    assert restored.falls.tolist() == [times[40]]
    assert moments.tolist() == original.moments.tolist()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.integers(1, 2000))
def test_quantiles_of_hours_are_numpys(values: list[float], interval: int) -> None:
    times, column = interval * np.arange(len(values)), np.array(values)
    found = hourly_quantiles(times, column, 3600)
    groups = [column[times // 3600 == hour] for hour in np.unique(times // 3600)]
    for share, got in zip((0.5, 0.99), found, strict=True):
        np.testing.assert_allclose(got, [np.quantile(one, share) for one in groups], atol=1e-6)


def test_a_threshold_lies_between_values() -> None:
    assert threshold_above(np.repeat([1.0, 2.0, 3.0], [1, 97, 2])) == 2.5
    assert threshold_above(np.repeat([1.0, 2.0, 3.0], [10, 80, 10])) == 2.5, "nothing is above the 95th percentile"
    assert threshold_above(np.ones(9)) is None
    assert threshold_above(np.array([])) is None


def test_first_crossings() -> None:
    times = np.array([0, 10, 20, 30, 40])
    assert first_crossing(times, np.array([0, 0, 5, 5, 0.0]), 1) == (20, 20)
    assert first_crossing(times, np.array([0, 0, 5, 5, 5.0]), 1) == (20, 20), "up to the end"
    assert first_crossing(times, np.zeros(5), 1) is None


@pytest.mark.parametrize(
    ("came", "crossing", "first", "lasting"),
    [
        ([0, 0, 9, 9, 0, 1], "same", 0, 0),
        ([0, 9, 9, 9, 0, 1], "moved", 10, 10),
        ([0, 0, 9, 0, 0, 1], "moved", 0, 10),
        ([0, 0, 4, 4, 0, 1], "lost", 0, 0),
    ],
)
def test_what_became_of_the_first_crossing(came: list[float], crossing: str, first: float, lasting: float) -> None:
    times = 10 * np.arange(6)
    original = answer(times, np.array([0, 0, 9, 9, 0, 1.0]), 1, False)
    restored = answer(times, np.array(came, np.float64), 1, False)
    moves = compare_answers(original, restored, 1, False, threshold=5.0)
    assert moves is not None
    assert (moves.crossing, moves.first_seconds, moves.lasting_seconds) == (crossing, first, lasting)


def test_nothing_moves_where_nothing_changed() -> None:
    times, values = 15 * np.arange(500), np.cumsum(np.random.default_rng(1).integers(0, 9, 500)).astype(float)
    values[250:] -= values[250]  # a reset
    for counter in (True, False):
        one = answer(times, values, 1, counter)
        moves = compare_answers(one, answer(times, values, 1, counter), 1, counter, None)
        assert moves is not None
        assert (moves.p50, moves.p99, moves.maximum, moves.false_resets, moves.crossing) == (0, 0, 0, 0, "same")
        assert moves.rate == (0.0 if counter else None)


def test_series_that_do_not_move_are_not_asked() -> None:
    one = answer(np.arange(9), np.ones(9), 1, False)
    assert compare_answers(one, one, 1, False, None) is None


@pytest.mark.parametrize("unit", [1, 1000])
def test_rates_are_by_the_second_whatever_timestamps_count(unit: int) -> None:
    times = 15 * np.arange(100) * unit
    _, rates = rate_signal(times, np.arange(100) * 30.0, unit)
    np.testing.assert_allclose(rates, 2.0)


def test_counters_are_told_by_name() -> None:
    assert asks_for_rates("http_requests_total")
    assert asks_for_rates("latency_seconds_bucket")
    assert not asks_for_rates("node_memory_free")
    assert asks_for_rates("ifInOctets", ["if*Octets"])


# ---- Down-sampling ----


def test_windows_of_a_gauge_are_their_means_and_keep_the_maximum() -> None:
    times, values = np.array([0, 30, 60, 90]), np.array([1.0, 3.0, 10.0, 2.0])
    kept = keep_windows(times, values, 60, counter=False)
    assert kept.restored.tolist() == [2.0, 2.0, 6.0, 6.0]
    assert kept.maximum == 10.0
    assert kept.truth.tolist() == values.tolist()


def test_the_total_of_a_counter_knows_no_resets() -> None:
    times, values = 30 * np.arange(6), np.array([5.0, 9.0, 2.0, 4.0, 1.0, 3.0])
    kept = keep_windows(times, values, 60, counter=True)
    assert kept.truth.tolist() == [5.0, 9.0, 11.0, 13.0, 14.0, 16.0]
    assert kept.restored[0] == 5.0
    assert kept.restored[-1] == 16.0
    assert np.all(np.diff(kept.restored) >= 0)


def test_rates_of_totals_are_those_of_the_counter_where_it_grows_evenly() -> None:
    times = 15 * np.arange(400)
    values = 7.0 * np.arange(400)
    values[200:] -= values[200]
    values[200:] += 7
    kept = keep_windows(times, values, 300, counter=True)
    _, original = rate_signal(times, values, 1)
    _, restored = rate_signal(times, kept.restored, 1)
    assert np.abs(original[5:-5] - restored[5:-5]).max() < 0.1


def test_nan_counts_nowhere_in_windows() -> None:
    kept = keep_windows(np.arange(4), np.array([1.0, np.nan, 3.0, np.inf]), 60, counter=False)
    assert kept.restored[[0, 2]].tolist() == [2.0, 2.0]
    assert np.isnan(kept.restored[[1, 3]]).all()
    nothing = keep_windows(np.arange(2), np.array([np.nan, np.nan]), 60, counter=True)
    assert np.isnan(nothing.restored).all()
