"""Databases in a run: what each is measured by, and what is told of those that spoil or fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fake_engines as fake
from squeezelab import MetricDataset, SeriesKey, bench
from squeezelab.dataset import Series
from squeezelab.engines import Engine, engine_classes
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.engines import measure_engine
from squeezelab.experiment.plan import Plan
from squeezelab.report.engines import engine_table, tell_losses
from squeezelab.results import EngineMeasurement, Results, Returned


@pytest.fixture(scope="module")
def data() -> MetricDataset:
    """Three series of two families, two hours each."""
    times = 1_700_000_000 + 15 * np.arange(480)
    keys = [SeriesKey("cpu", {"host": "a"}), SeriesKey("cpu", {"host": "b"}), SeriesKey("up", {})]
    return MetricDataset.from_series([Series(key, times, 1.5 + np.arange(480.0)) for key in keys])


def measured(engine: Engine, data: MetricDataset) -> EngineMeasurement:
    measurement, notes = measure_engine(engine, data, timed=False)
    assert notes == []
    return measurement


def run(data: MetricDataset, *engines: object) -> Results:
    return bench(data, "none", "none", engines=engines, budget=0).results


def test_bytes_are_told_in_parts_and_the_fixed_ones_apart_from_those_of_further_samples(data: MetricDataset) -> None:
    one = measured(fake.Keeping(), data)
    assert (one.series, one.samples, one.version) == (3, 1440, "1.0")
    assert one.parts == {"values": 8 * 1440, "timestamps": 8 * 1440, "rest": 100, "log": 10**9}
    assert one.bytes_on_disk == 16 * 1440 + 100, "a log is given back"
    assert (one.fixed_bytes, one.further_bytes) == (100, 16)
    assert one.exact
    assert one.family_series == 2


def test_queries_are_timed_with_intervals(data: MetricDataset) -> None:
    one, _ = measure_engine(fake.Keeping(), data)
    for ms, interval in (
        (one.hour_ms, one.hour_ci),
        (one.family_hour_ms, one.family_hour_ci),
        (one.everything_ms, one.everything_ci),
    ):
        assert interval[0] <= ms <= interval[1]
    assert one.ingest_samples_s > 0


def test_changed_values_are_counted_with_their_largest_relative_change(data: MetricDataset) -> None:
    one = measured(fake.Rounding(), data)
    assert one.returned == Returned(values_changed=7, largest_relative_change=2**-40)
    assert one.queries_agree, "they gave what reading everything gave"


def test_moved_times_are_counted(data: MetricDataset) -> None:
    assert measured(fake.Shifting(), data).returned == Returned(times_moved=3, largest_move_s=2.0)


def test_lost_series_and_samples_are_counted(data: MetricDataset) -> None:
    assert measured(fake.Forgetful(), data).returned == Returned(series_lost=1, samples_lost=480 + 2)


def test_nan_bits_infinities_and_signs_of_zero_are_counted(data: MetricDataset) -> None:
    words = np.array([0x7FF8000000000007, 0x7FF8000000000000, 0x7FF0000000000000, 1 << 63, 0], np.uint64)
    special = MetricDataset.from_series([Series(SeriesKey("a", {}), np.arange(5), words.view(np.float64))])
    returned = measured(fake.Tidy(), special).returned
    assert returned == Returned(nans_changed=1, infinities_changed=1, zeros_changed=1)


def test_what_gives_back_everything_but_contradicts_itself_is_not_exact(data: MetricDataset) -> None:
    one = measured(fake.Contradicting(), data)
    assert one.returned.exact
    assert not one.queries_agree
    assert not one.exact


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (fake.Refusing(), "rejecting is left out: it takes none of this."),
        (fake.Broken(), "broken is left out: ZeroDivisionError: no such number."),
        (fake.Crashing(), "crashing is left out: its process ended in compact by SIGKILL: so long."),
    ],
)
def test_what_fails_costs_a_line_and_the_others_run(
    engine: Engine, told: str, data: MetricDataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "squeezelab"):
        results = run(data, engine, fake.Keeping())
    assert told in caplog.messages, "it is said at once, not in the report alone"
    assert [one.engine for one in results.engines] == ["keeping"]
    assert [note for note in results.run.notes if "left out" in note] == [told]


def test_what_gives_back_no_data_set_costs_a_line(data: MetricDataset) -> None:
    (note,) = [note for note in run(data, fake.Babbling()).run.notes if "babbling" in note]
    assert note.startswith("babbling is left out: ")
    assert "\n" not in note


def test_what_takes_too_long_is_ended(data: MetricDataset) -> None:
    with pytest.raises(Exception, match=r"compact took more than .* and was ended"):
        measure_engine(fake.Hanging(), data, timed=False, seconds=2)


def test_a_query_that_fails_costs_a_line_and_the_word_exact(data: MetricDataset) -> None:
    one, notes = measure_engine(fake.Deaf(), data)
    assert notes == ["A query failed: deaf: no such family."]
    assert one.family_hour_ms is None
    assert one.hour_ms is not None
    assert not one.exact


def test_what_cannot_be_filled_again_is_measured_all_the_same(
    data: MetricDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIRED", str(tmp_path / "mark"))
    one, notes = measure_engine(fake.Tired(), data, timed=False)
    assert one.exact
    assert one.further_bytes is None
    assert notes == ["What a further sample takes in tired is not known: not again."]


def test_a_slow_one_is_given_a_part_and_that_is_said(data: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.experiment.engines.USED_SECONDS", 50.0)
    results = run(data, fake.Slow(), fake.Keeping())
    samples = {one.engine: one.samples for one in results.engines}
    assert samples["keeping"] == 1440
    assert 0 < samples["slow"] <= 1000


def test_those_that_are_not_installed_are_named_with_what_to_do(
    data: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.experiment.plan.missing_engines", lambda: {"absent": "get it somewhere"})
    results = run(data, "absent:key=value", fake.Keeping())
    assert [one.engine for one in results.engines] == ["keeping"]
    assert "absent is not installed and is left out: get it somewhere." in results.run.notes


def test_all_are_those_that_run_here_at_each_of_their_settings() -> None:
    plan = Plan.of("none", "none", engines="all")
    assert "sqlite" in plan.engines
    for name, one in engine_classes().items():
        shown = [f"{name}:{setting}" if setting else name for setting in one.showcase]
        assert [spec for spec in shown if spec in plan.engines] == (shown if one.version() else [])
        assert (name in plan.absent) == (one.version() is None)
    assert plan.recorded["engines"] == list(plan.engines)


@pytest.mark.parametrize("engines", ["nonesuch", "sqlite:nonesuch=1", ["sqlite", "nonesuch"]])
def test_what_does_not_exist_is_rejected(engines: object) -> None:
    with pytest.raises(InvalidRequestError):
        Plan.of("none", "none", engines=engines)


def test_none_run_unasked(data: MetricDataset) -> None:
    assert not Plan.of().engines
    assert bench(data, "none", "none", budget=0).results.engines == []


def test_results_keep_all_of_it(data: MetricDataset, tmp_path: Path) -> None:
    results = run(data, fake.Keeping(), fake.Rounding(), fake.Forgetful())
    assert results.about["keeping"] == "Keeps everything, at 100 bytes and 16 a sample."
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json").engines == results.engines


def test_what_is_lost_is_told_in_plain_words(data: MetricDataset) -> None:
    assert tell_losses(run(data, fake.Keeping(), fake.Rounding(), fake.Forgetful(), fake.Contradicting())) == [
        "Every bit of every sample came back from keeping.",
        "rounding: 7 values changed, by up to 9.1e-13 times the value (of 1,440 samples in 3 series).",
        "forgetful: 1 series lost; 482 samples lost (of 1,440 samples in 3 series).",
        "contradicting: a query of an hour failed, or gave other samples than reading everything "
        "(of 1,440 samples in 3 series).",
    ]


def test_what_runs_out_of_time_keeps_what_was_measured(data: MetricDataset, tmp_path: Path) -> None:
    one, notes = measure_engine(fake.Endless(), data, seconds=6)
    assert (one.samples, one.bytes_on_disk) == (1440, 16 * 1440 + 100)
    assert one.returned is None
    assert not one.exact, "what did not come back is not called exact"
    assert notes[0].startswith("What comes back from endless is not known: read_all took more than ")
    results = replace(run(data, fake.Keeping()), engines=[one])
    assert tell_losses(results) == ["endless: what came back is not known, for its time was over."]
    assert engine_table(results).rows[0][0] == "endless"
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json").engines == [one]


def test_a_read_that_is_ended_when_it_is_timed_was_exact_all_the_same(
    data: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.experiment.engines.QUERY_SECONDS", 0.05)
    one, notes = measure_engine(fake.Tiring(), data, seconds=6)
    assert one.exact
    assert one.hour_ms is not None
    assert one.everything_ms is None
    assert notes[0].startswith("A query failed: tiring: read_all took more than ")
