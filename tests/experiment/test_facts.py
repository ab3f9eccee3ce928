"""What explains a winner: figures worked out by hand, properties, and sentences."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.facts import combine, entropy, explain_series
from squeezelab.experiment.run import measure_dataset
from squeezelab.report.sentences import explain_text, percent, why
from squeezelab.results import Results, Winner

DOUBLES = st.lists(st.floats(width=64), min_size=1, max_size=60)
DECIMALS = st.lists(st.decimals(-10_000, 10_000, places=3, allow_nan=False), min_size=2, max_size=60)


def facts(values, timestamps=None):
    return explain_series(range(len(values)) if timestamps is None else timestamps, values)


# ---- Timestamps ----


def test_intervals_by_hand() -> None:
    one = facts([1.0] * 6, [0, 10, 20, 31, 41, 51])  # intervals 10 10 11 10 10, their deltas 0 1 -1 0
    assert (one.interval, one.interval_share, one.zero_dod_share) == (10, 0.8, 0.5)
    assert one.intervals_entropy.bits == 1.5  # a half and two quarters
    assert one.intervals_entropy.symbols == 3


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_too_few_samples_say_nothing_rather_than_something_wrong(samples: int) -> None:
    one = facts([0.5] * samples)
    assert one.zero_dod_share is None
    assert one.floor == 0
    assert explain_text(one, Winner("raw", 64.0), Winner("raw", 64.0))
    assert why(one)


# ---- Values ----


@pytest.mark.parametrize(
    ("values", "decimals", "step"),
    [
        ([0.05, 0.15, 0.35], 2, 0.05),
        ([4096.0, 12288.0, 409600.0], 0, 4096.0),
        ([204.8, 409.6, 1024.0], 1, 204.8),
        ([1.0, 2.0, 5.0], 0, 1.0),
        ([0.001, -0.002], 3, 0.001),
        ([0.0, -0.0], 0, None),
        ([7.5, 7.5], 1, 7.5),
        ([1e-9, 2.5e-9], 10, 5e-10),
        ([1.7e18, 1.7e18 + 1024], 0, 1024.0),
        ([math.pi, math.e, math.sqrt(2)], None, None),
        ([0.1 + 0.2, 0.3, 0.7 - 0.1], 1, 0.3),  # within some units in the last place
        ([math.nan, math.inf, 0.25, 0.5], 2, 0.25),
        ([1e300, 1.5e-300], None, None),
    ],
)
def test_decimals_and_steps_by_hand(values: list[float], decimals: int | None, step: float | None) -> None:
    one = facts(values)
    assert one.decimals == decimals
    assert one.step == pytest.approx(step, rel=1e-12) if step else one.step is None


def test_one_value_of_a_hundred_may_be_otherwise_and_two_may_not() -> None:
    assert facts([0.25] * 30 + [0.5] * 69 + [math.pi]).decimals == 2
    assert facts([0.25] * 30 + [0.5] * 69 + [math.pi]).step == 0.25
    assert facts([0.25] * 30 + [0.5] * 68 + [math.pi] * 2).decimals is None
    assert facts([1024.0] * 30 + [2048.0] * 69 + [7.0]).step == 1024


def test_zeros_do_not_make_decimals_of_the_rest() -> None:
    assert facts([0.0] * 1000 + [math.pi, math.e]).decimals is None


def test_what_arithmetic_leaves_behind_is_told_from_decimals() -> None:
    left = [(100_000.0 + i * 0.01) - 100_000.0 for i in range(1, 300)]
    one = facts(left)
    assert (one.decimals, one.near_decimals) == (None, 2)
    assert "nearly 2 decimals" in why(one)
    off = facts([3 * 0.1 * i for i in range(1, 100)])  # a unit or so in the last place
    assert off.decimals == 1
    assert 0 < off.exact_share < 1


def test_random_doubles_are_no_decimals() -> None:
    rng = np.random.default_rng(1)
    for scale in (1e-8, 1.0, 13.0, 1e6):
        one = facts(rng.random(500) * scale)
        assert (one.decimals, one.near_decimals, one.step) == (None, None, None)


def test_runs_and_repeats_by_hand() -> None:
    one = facts([1.0, 1.0, 1.0, 2.0, 2.0, 3.0])
    assert (one.distinct, one.repeat_share, one.mean_run) == (3, 0.6, 2.0)


def test_bits_tell_values_apart_not_numbers() -> None:
    assert facts([0.0, -0.0]).distinct == 2
    assert facts([math.nan, math.nan]).repeat_share == 1
    one = facts([math.nan, math.inf, -math.inf, 1.0])
    assert (one.nans, one.infinities) == (1, 2)


@pytest.mark.parametrize(
    ("values", "monotone"),
    [([1, 1, 2], True), ([1, 1], False), ([1, 2, 1], False), ([1, math.nan, 2], True), ([math.nan], False)],
)
def test_a_counter_never_falls_and_rises_once(values: list[float], monotone: bool) -> None:
    assert facts(values).monotone is monotone


def test_entropies_by_hand() -> None:
    one = facts([0.1, 0.2, 0.3, 0.4, 0.5])
    assert one.values_entropy.bits == pytest.approx(math.log2(5))
    assert one.deltas_entropy.symbols == 1, "all deltas are 0.1, whatever doubles make of it"
    assert one.floor == 0
    two = facts([1.0, 2.0, 4.0, 5.0])  # deltas 1 2 1
    assert two.deltas_entropy.bits == pytest.approx(-(2 * math.log2(2 / 3) + math.log2(1 / 3)) / 3)


def test_noise_in_the_last_bits_is_part_of_the_deltas() -> None:
    assert facts([0.1, 0.2, 0.1 + 0.2, 0.4]).deltas_entropy.symbols == 3


def test_the_correction_is_millers_and_madows() -> None:
    one = entropy(np.array([1, 2, 3, 3]))
    assert one.corrected - one.bits == pytest.approx(2 / (2 * 4 * math.log(2)))


# ---- Properties ----


@given(DOUBLES)
def test_no_entropy_is_more_than_its_symbols_allow(values: list[float]) -> None:
    one = facts(values)
    assert one.values_entropy.symbols == one.distinct
    for each in (*one.entropies.values(), one.intervals_entropy):
        assert 0 <= each.bits <= math.log2(max(each.symbols, 1)) + 1e-9
        assert each.bits <= each.corrected
    assert one.floor == min(each.bits for each in one.entropies.values())
    assert 1 <= one.mean_run <= len(values)
    assert all(explain_text(one, values=Winner("xor", 1.0)))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=80))
def test_entropy_is_that_of_a_slow_count(symbols: list[int]) -> None:
    shares = [count / len(symbols) for count in Counter(symbols).values()]
    assert entropy(np.array(symbols)).bits == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-12)


@given(DECIMALS)
def test_decimals_are_found_and_every_value_is_a_multiple_of_the_step(decimals: list) -> None:
    values = [float(one) for one in decimals]
    one = facts(values)
    # What is rarer than one of a hundred may be otherwise: here, nothing is so rare.
    needed = max(-(one.normalize().as_tuple().exponent) if one else 0 for one in decimals)
    assert one.decimals == max(needed, 0)
    assert one.exact_share == 1
    if any(values):
        step = Fraction(round(one.step * 1000), 1000)
        assert all((Fraction(each) / step).denominator == 1 for each in decimals)
        larger = math.gcd(*(round(1000 * Fraction(each)) for each in decimals))
        assert step == Fraction(larger, 1000)


@given(DOUBLES, st.integers(-(2**62), 2**62), st.integers(-(2**40), 2**40))
def test_a_regular_series_needs_nothing_for_its_timestamps(values: list[float], first: int, step: int) -> None:
    one = facts(values, [(first + i * step) for i in range(len(values))])
    assert one.intervals_entropy.bits == 0
    assert one.zero_dod_share in (None, 1.0)


def test_what_is_no_series_is_rejected() -> None:
    with pytest.raises(InvalidRequestError, match="no series"):
        explain_series([1, 2], [1.0])


# ---- Several series ----


def test_families_are_shares_and_means_of_all_samples() -> None:
    one, other = facts([1.0, 1.0, 1.0, 2.0]), facts([0.5, 0.75])
    both = combine([one, other])
    assert (both.series, both.samples) == (2, 6)
    assert both.repeat_share == pytest.approx((4 * 2 / 3 + 2 * 0) / 6)
    assert both.mean_run == 6 / 4
    assert (both.decimals, both.step) == (2, 0.25), "what does for both"
    assert both.values_entropy.bits == pytest.approx((4 * one.values_entropy.bits + 2 * 1) / 6)


def test_a_family_claims_nothing_that_many_of_its_samples_do_not_keep() -> None:
    pages, large, odd = facts([4096.0, 8192.0] * 9), facts([8192.0, 24576.0] * 9), facts([3.0, 5.0] * 9)
    assert combine([pages, large]).step == 4096
    assert combine([pages, large, odd]).step == 1
    noise = facts([math.pi, math.e] * 9)
    assert combine([pages, noise]).decimals is None
    assert combine([pages] * 99 + [noise]).decimals == 0
    still, rising, falling = facts([2.0, 2.0]), facts([2.0, 3.0]), facts([3.0, 2.0])
    assert combine([still, rising]).monotone
    assert not combine([rising, falling]).monotone
    assert not combine([still, still]).monotone
    mostly = combine([still, still, rising])
    assert mostly.distinct == 1
    assert why(mostly) != "constant"
    assert why(combine([still, still])) == "constant"


@given(DOUBLES)
def test_a_family_of_one_series_is_this_series(values: list[float]) -> None:
    one = facts(values)
    both = combine([one])
    assert why(both) == why(one)
    assert both.floor == pytest.approx(one.floor)


# ---- Winners ----


def _series(name: str, host: str, values) -> Series:
    return Series(SeriesKey(name, {"host": host}), 15 * np.arange(len(values)), np.asarray(values, np.float64))


@pytest.fixture(scope="module")
def results() -> Results:
    rng = np.random.default_rng(0)
    dataset = MetricDataset.from_series(
        [
            _series("constant", "a", [3.5] * 500),
            _series("mixed", "a", [0.0] * 500),
            _series("mixed", "b", rng.random(500)),
            _series("walk", "a", np.round(50 + np.cumsum(rng.normal(size=500)), 1)),
        ]
    )
    codecs = ["raw", "xor", "alp", "victoria", "zstd", "delta_of_delta"]
    return measure_dataset(dataset, generator="x", size="y", codecs=codecs, formats=[], rounds=0)


def test_families_come_first_and_a_lone_series_is_not_told_twice(results: Results) -> None:
    assert [(one.metric, one.series) for one in results.explanations] == [
        ("constant", None),
        ("mixed", None),
        ("walk", None),
        ("mixed", 'mixed{host="a"}'),
        ("mixed", 'mixed{host="b"}'),
    ]


def test_the_winner_is_the_smallest_lossless_one_and_the_next_stands_beside(results: Results) -> None:
    for one in results.explanations[:3]:
        for subject, winner in (("timestamps", one.timestamps), ("values", one.values)):
            order = sorted(
                (each.bits_per_item, each.codec) for each in results.find(subject, one.metric) if not each.lossy
            )
            assert (winner.bits, winner.runner_up_bits) == (order[0][0], order[1][0])
    assert "victoria" not in {one.values.codec for one in results.explanations}
    zeros, noise = results.explanations[3:]
    assert zeros.values.bits < 2
    assert noise.values.bits > 50
    mixed = results.explanations[1]
    assert mixed.values.bits >= (zeros.values.bits + noise.values.bits) / 2 - 1e-9


def test_a_codec_that_ran_on_a_part_wins_no_family(monkeypatch: pytest.MonkeyPatch, small: MetricDataset) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.COMMON_SAMPLES", 10_000)
    monkeypatch.setattr("squeezelab.experiment.run._choose_fitting", lambda proven, codecs, *_: only(codecs, "xor"))
    told = measure_dataset(small, codecs=["xor", "zstd:level=19"], formats=[], rounds=0)
    assert told.get("values", "zstd:level=19").samples == 10_000
    assert {one.values.codec for one in told.explanations} == {"xor"}
    assert {one.values.runner_up for one in told.explanations} == {None}


def only(codecs: dict, name: str) -> dict:
    return {subject: {one: codec for one, codec in some.items() if one == name} for subject, some in codecs.items()}


def test_large_data_are_explained_by_a_part(monkeypatch: pytest.MonkeyPatch, small: MetricDataset) -> None:
    from squeezelab.report.winners import family_winners

    monkeypatch.setattr("squeezelab.experiment.run.EXPLAINED_SAMPLES", 10_000)
    monkeypatch.setattr("squeezelab.experiment.winners.MOST_SERIES", 10)
    told = measure_dataset(small, generator="", size="", codecs=["xor"], formats=[], rounds=0)
    assert all(one.series is None for one in told.explanations)
    assert sum(one.facts.samples for one in told.explanations) == 10_000
    assert "10,000 of 50,000 samples" in family_winners(told).note


def test_results_keep_their_explanations(results: Results, tmp_path) -> None:
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_no_codec_of_a_column_means_no_winner(small: MetricDataset) -> None:
    told = measure_dataset(small, generator="", size="", codecs=["xor"], formats=[], rounds=0)
    assert {one.timestamps for one in told.explanations} == {None}
    assert {one.values.runner_up for one in told.explanations} == {None}


# ---- Sentences ----


def test_sentences_say_what_was_counted() -> None:
    timestamps = [0, 10, 20, 31, 41, 51]
    text = "\n".join(
        explain_text(facts([1, 1, 1, 2, 2, 3], timestamps), Winner("delta_of_delta", 9.5), Winner("xor", 8))
    )
    assert "50.0 % of the intervals repeat the one before" in text
    assert "The most common one is 10 s." in text
    assert "60.0 % of the values equal the one before; they stand in runs of 2.0" in text
    assert "delta_of_delta takes 9.50 bits a timestamp; the entropy of the deltas of deltas is 1.50" in text
    assert "whole numbers" in text
    assert "a counter" in text


def test_going_below_the_floor_is_admitted() -> None:
    text = explain_text(facts([1.0, 2.0, 4.0, 1.0] * 50), values=Winner("zstd", 0.5))[-1]
    assert "below the floor: it sees more than one symbol at a time" in text


def test_a_floor_that_says_little_is_called_so() -> None:
    one = facts(np.random.default_rng(3).random(100))
    assert not one.floor_is_sure
    assert any("less than twice on average" in line for line in explain_text(one))
    assert facts([1.0, 2.0, 3.0, 1.0] * 10).floor_is_sure


def test_a_share_is_not_rounded_to_none_or_all() -> None:
    assert percent(0.9999) == "over 99.9 %"
    assert percent(0.0001) == "under 0.1 %"
    assert percent(0.0) == "0.0 %"


@pytest.mark.parametrize(("series", "told"), [(200, True), (201, False)])
def test_each_series_is_explained_up_to_two_hundred_of_them(series: int, told: bool) -> None:
    many = MetricDataset.from_series(
        [Series(SeriesKey("m", {"n": str(i)}), np.arange(3), np.arange(3.0) + i) for i in range(series)]
    )
    explained = measure_dataset(many, codecs=["raw"], formats=[], budget=0).explanations
    assert any(one.series for one in explained) == told


def test_integers_are_looked_at_as_they_are() -> None:
    """As doubles these are all multiples of 256, and never fall."""
    values = 2**60 + 3 * np.array([1, 2, 4, 3, 7, 5])
    facts = explain_series(15 * np.arange(6), values)
    assert facts.step == np.gcd.reduce(values)
    assert not facts.monotone
