"""Proving and summing up: what is lossy shows, and sizes add up."""

import numpy as np
import pytest

from squeezelab import MetricDataset
from squeezelab.codecs import get_codec
from squeezelab.codecs.raw import Raw
from squeezelab.experiment.proof import prove, spread
from squeezelab.experiment.run import _choose_fitting, _cut_columns, measure_dataset
from squeezelab.experiment.timing import Cell, Timing
from squeezelab.experiment.trial import Proven, prove_codecs


class Halved:
    """A codec that loses bits."""

    def encode(self, column: np.ndarray) -> bytes:
        return column.astype(np.float32).tobytes()

    def decode(self, encoded: bytes) -> np.ndarray:
        return np.frombuffer(encoded, np.float32).astype(np.float64)


class Forgetful(Halved):
    """A codec that loses the last value."""

    def decode(self, encoded: bytes) -> np.ndarray:
        return super().decode(encoded)[:-1]


def test_an_exact_codec_is_proven() -> None:
    proof = prove(get_codec("xor"), np.array([np.nan, -0.0, 0.1]))
    assert proof.bit_exact
    assert proof.largest_error == 0


def test_a_lossy_codec_shows_its_largest_error() -> None:
    proof = prove(Halved(), np.array([0.5, 0.1, 1 / 3]))
    assert not proof.bit_exact
    assert proof.largest_error == abs(1 / 3 - np.float64(np.float32(1 / 3)))


def test_a_lost_sign_of_zero_or_nan_payload_is_not_bit_exact() -> None:
    class Tidy(Halved):
        def encode(self, column: np.ndarray) -> bytes:
            return (column + 0.0).tobytes()

        def decode(self, encoded: bytes) -> np.ndarray:
            decoded = np.frombuffer(encoded).copy()
            decoded[np.isnan(decoded)] = np.nan
            return decoded

    assert not prove(Tidy(), np.array([-0.0])).bit_exact
    payload = np.array([0x7FF8000000000123], np.uint64).view(np.float64)
    assert not prove(Tidy(), payload).bit_exact
    assert prove(Tidy(), np.array([0.0, np.nan])).bit_exact


def test_lost_values_are_an_infinite_error() -> None:
    assert prove(Forgetful(), np.array([0.5, 0.25])).largest_error == np.inf


def test_infinities_and_nans_that_came_back_are_no_error() -> None:
    proof = prove(Halved(), np.array([np.inf, -np.inf, np.nan, 0.1]))
    assert proof.largest_error == abs(0.1 - np.float64(np.float32(0.1)))


def test_a_codec_that_may_lose_bits_is_lossy_even_where_it_lost_none(small: MetricDataset) -> None:
    whole = MetricDataset(small.keys, small.offsets, small.timestamps, np.round(small.values))
    results = measure_dataset(whole, generator="synthetic", size="small", codecs=["victoria"], formats=[], rounds=0)
    values, timestamps = results.get("values", "victoria"), results.get("timestamps", "victoria")
    assert (values.bit_exact, values.lossy, values.largest_error) == (True, True, 0.0)
    assert (timestamps.bit_exact, timestamps.lossy, timestamps.largest_error) == (True, False, None)


def test_files_stand_in_the_order_they_were_chosen_in_whichever_is_ready_first(small: MetricDataset) -> None:
    chosen = ["zstd_dictionary:level=19", "ndjson+zstd", "columnar", "table"]
    results = measure_dataset(small.select(range(5)), codecs=["raw"], formats=chosen, budget=0)
    assert [one.codec for one in results.find("dataset")] == chosen


def test_a_lossy_format_is_noticed(small: MetricDataset) -> None:
    class Shifting:
        def encode(self, dataset: MetricDataset) -> bytes:
            self.kept = dataset
            return b"x"

        def decode(self, encoded: bytes) -> MetricDataset:
            one = self.kept
            return MetricDataset(one.keys, one.offsets, one.timestamps, one.values + 0.25)

    proof = prove(Shifting(), small)
    assert not proof.bit_exact
    assert proof.largest_error == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("groups", "share", "chosen"),
    [
        ("ab" * 10, 0.2, [0, 1, 10, 11]),
        ("aaab", 0.1, [0, 3]),
        ("abc", 5, [0, 1, 2]),
        ("", 1, []),
        ("aaaa", 0.5, [0, 2]),
    ],
)
def test_a_part_has_its_share_of_every_group(groups: str, share: float, chosen: list[int]) -> None:
    assert spread(groups, share) == chosen


def test_sizes_are_the_sums_of_frames_and_families_add_up(small: MetricDataset) -> None:
    results = measure_dataset(
        small, generator="synthetic", size="small", codecs=["xor", "delta_of_delta"], formats=[], rounds=0
    )
    values = results.get("values", "xor")
    assert values.encoded_bytes == sum(len(get_codec("xor").encode(series.values)) for series in small)
    assert values.raw_bytes == 8 * len(small)
    assert values.ratio == values.raw_bytes / values.encoded_bytes
    assert values.bits_per_item == 8 * values.encoded_bytes / len(small)
    assert values.encode_mb_s is None
    families = [one for one in results.measurements if one.subject == "values" and one.metric]
    assert len(families) == 10
    assert sum(one.encoded_bytes for one in families) == values.encoded_bytes
    assert results.get("timestamps", "xor") is None
    assert results.overall_bytes("delta_of_delta", "xor") == (
        results.get("timestamps", "delta_of_delta").encoded_bytes
        + values.encoded_bytes
        + results.dataset.dictionary_bytes
    )


def test_what_does_not_fit_the_budget_runs_on_a_part_and_all_are_ranked_on_it(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.COMMON_SAMPLES", 10_000)
    codecs = ["xor", "brotli", "zstd"]
    whole = measure_dataset(small, codecs=codecs, formats=[], rounds=0, proof_budget=np.inf)
    assert [one.samples for one in whole.find("values")] == [50_000] * 3
    assert [one.samples for one in whole.common("values")] == [10_000] * 3
    none = measure_dataset(small, codecs=codecs, formats=[], rounds=0, proof_budget=0)
    assert [one.samples for one in none.find("values")] == [10_000] * 3
    everything = measure_dataset(small, codecs=codecs, formats=[], rounds=0, proof_budget=0, whole=True)
    assert [one.samples for one in everything.find("values")] == [50_000] * 3
    sizes = {one.codec: one.encoded_bytes for one in none.find("values")}
    assert {one.codec: one.encoded_bytes for one in whole.common("values")} == sizes


def test_the_quickest_are_proven_on_everything_first() -> None:
    proven = Proven(seconds={("values", "slow"): 2.0, ("values", "quick"): 0.1, ("timestamps", "quick"): 0.2})
    codecs = {"values": {"slow": "a", "quick": "b"}, "timestamps": {"quick": "c"}}

    def fitting(budget: float) -> dict:
        return _choose_fitting(proven, codecs, times=10, budget=budget)

    assert fitting(0.8) == {"values": {}, "timestamps": {}}
    assert fitting(1.2) == {"values": {"quick": "b"}, "timestamps": {}}
    assert fitting(4) == {"values": {"quick": "b"}, "timestamps": {"quick": "c"}}
    assert fitting(24) == codecs
    assert fitting(np.inf) == codecs


def test_a_codec_that_fails_costs_a_line(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, count: int) -> int:
        raise ZeroDivisionError("integer division\nby zero")

    monkeypatch.setattr("squeezelab.codecs.xor.Xor.worst_case_bytes", fail)
    results = measure_dataset(small, codecs=["xor", "raw"], formats=["delta_of_delta+xor", "columnar"], budget=0.1)
    assert [one.codec for one in results.find("values")] == ["raw"]
    assert [one.codec for one in results.find("dataset")] == ["columnar"]
    assert results.run.notes[:2] == [
        "xor failed on values and is left out: ZeroDivisionError: integer division by zero.",
        "delta_of_delta+xor failed as a file and is left out: ZeroDivisionError: integer division by zero.",
    ]


def test_a_file_that_does_not_fit_the_budget_is_made_of_a_part(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.experiment.files.COMMON_SAMPLES", 10_000)
    monkeypatch.setattr("squeezelab.experiment.files.MOST_FILE_BYTES", 1_000_000)
    monkeypatch.setattr("squeezelab.experiment.files.MOST_PEER_SAMPLES", 20_000)
    formats = ["ndjson", "table", "columnar", "parquet"]
    results = measure_dataset(small, codecs=[], formats=formats, rounds=0, proof_budget=np.inf)
    covered = {one.codec: one.proven_samples for one in results.find("dataset")}
    assert covered == {"ndjson": 10_000, "table": 10_000, "columnar": 50_000, "parquet": 10_000}
    text = results.get("dataset", "ndjson")
    assert (text.samples, text.encoded_bytes) == (50_000, results.dataset.ndjson_bytes), "the text is counted whole"
    assert [one.samples for one in results.common("dataset")] == [10_000] * 4
    whole = measure_dataset(small, codecs=[], formats=formats, rounds=0, whole=True)
    assert [one.proven_samples for one in whole.find("dataset")] == [50_000] * 4


def test_the_delta_of_delta_histogram_counts_everything(small: MetricDataset) -> None:
    facts = measure_dataset(small, generator="", size="", codecs=[], formats=[], rounds=0).dataset
    assert sum(facts.delta_of_delta_counts) == 50 * 998
    assert facts.delta_of_delta_counts[31] / (50 * 998) == facts.zero_dod_share
    assert facts.zero_dod_share == pytest.approx(0.946, abs=0.005)


def test_slow_codecs_are_timed_on_a_smaller_part(small: MetricDataset) -> None:
    def cut(share: float) -> int:
        return sum(map(len, _cut_columns(small, "values", share)))

    assert [cut(share) for share in (1, 0.5, 1 / 8, 0)] == [50_000, 25_000, 6_000, 1_000]
    assert len(_cut_columns(small, "values", 0.5)) == 25, "whole series"


def test_more_rounds_than_the_fewest_need_budget(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def time_coders(coders: dict, cut: object, budget: float, *, rounds: int, **_: object) -> dict[str, Timing]:
        asked.append((set(coders), round(budget, 1), rounds))
        cell = Cell(1e-3, (0.9e-3, 1.3e-3), rounds, 0.1)
        return {name: Timing(1000, cell, cell) for name in coders}

    monkeypatch.setattr("squeezelab.experiment.timing.time_coders", time_coders)
    results = measure_dataset(
        small, generator="", size="", codecs=["raw", "xor"], formats=["columnar"], rounds=7, budget=70
    )
    assert [names for names, _, _ in asked] == [{"memcpy", "raw"}, {"memcpy", "raw", "xor"}, {"memcpy", "columnar"}]
    assert [rounds for _, _, rounds in asked] == [7, 7, 7]
    assert asked[0][1] == 20.0, "of 7 that take part 2"
    assert asked[1][1] == pytest.approx(50, abs=0.5), "what the first one leaves goes to the next"
    assert asked[2][1] == pytest.approx(70, abs=0.5)
    xor = results.get("values", "xor")
    assert (xor.encode_mb_s, xor.encode_ci) == (8.0, (pytest.approx(8 / 1.3), pytest.approx(8 / 0.9)))
    assert (xor.rounds, xor.timed_seconds, xor.timed_samples, xor.noisy) == (7, 0.1, 1000, True)
    assert (
        "Noisy speeds (95 % interval wider than 10%): 14 of 14; timed for less than 0.2 s: 14. "
        "More time makes them surer: --budget 140."
    ) in results.run.notes


def test_what_a_further_sample_takes_is_told_apart_from_what_a_file_takes_anyway(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: object, dataset: MetricDataset) -> bytes:
        return bytes(250_000 + 3 * len(dataset))

    monkeypatch.setattr("squeezelab.formats.table.Table.encode", encode)
    monkeypatch.setattr("squeezelab.formats.table.Table.decode", lambda self, data: small)
    (one,) = measure_dataset(small, codecs=[], formats=["table"], budget=0).find("dataset")
    assert one.encoded_bytes == 400_000
    assert one.fixed_bytes == pytest.approx(250_000)
    assert one.further_bytes == pytest.approx(3)


def test_the_ratio_to_ndjson_of_a_part_is_that_of_its_own_text(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dividing the text of the whole by the file of a part would make it several times as good."""
    from squeezelab.report.tables import ladder_table

    monkeypatch.setattr("squeezelab.experiment.files.COMMON_SAMPLES", 10_000)
    results = measure_dataset(small, codecs=[], formats=["columnar"], budget=0, proof_budget=0)
    one = results.get("dataset", "columnar")
    assert one.samples == 10_000
    expected = results.dataset.ndjson_bytes / 50_000 / (one.encoded_bytes / 10_000)
    (row,) = ladder_table(results).rows
    assert f"{expected:.2f}x" in row


def test_names_and_labels_are_counted(small: MetricDataset) -> None:
    results = measure_dataset(small, codecs=["xor", "delta_of_delta"], formats=[], budget=0)
    assert results.dataset.dictionary_bytes > 100
    columns = sum(results.get(*one).encoded_bytes for one in (("timestamps", "delta_of_delta"), ("values", "xor")))
    assert results.overall_bytes("delta_of_delta", "xor") == columns + results.dataset.dictionary_bytes


def test_another_dtype_is_not_what_was_given() -> None:
    class Reinterpreting(Halved):
        def encode(self, column: np.ndarray) -> bytes:
            return column.tobytes()

        def decode(self, encoded: bytes) -> np.ndarray:
            return np.frombuffer(encoded, np.int64)

    assert not prove(Reinterpreting(), np.array([0.0, 1.0])).bit_exact


def test_what_a_codec_loads_the_first_time_is_not_taken_for_its_time(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []

    class Loading(Raw):
        def encode(self, buf: object) -> bytes:
            calls.append(1 if calls else 100)
            return super().encode(buf)

    monkeypatch.setattr("squeezelab.experiment.trial.perf_counter", lambda: sum(calls))
    proven = prove_codecs(small.select([0, 1]), 0, {"values": {"loading": Loading()}})
    assert proven.seconds["values", "loading"] == 2


def test_of_a_file_that_grows_by_blocks_no_further_bytes_are_told(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be 0, and to keep metrics in it would cost nothing."""
    monkeypatch.setattr("squeezelab.formats.table.Table.encode", lambda self, dataset: bytes(8192))
    monkeypatch.setattr("squeezelab.formats.table.Table.decode", lambda self, data: small)
    (one,) = measure_dataset(small, codecs=[], formats=["table"], budget=0).find("dataset")
    assert (one.fixed_bytes, one.further_bytes) == (None, None)
