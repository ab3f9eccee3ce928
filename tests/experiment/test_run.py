"""Proving and summing up: what is lossy shows, and sizes add up."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from squeezelab import MetricDataset
from squeezelab.codecs import get_codec
from squeezelab.experiment.proof import prove, prove_all, spread
from squeezelab.experiment.run import _cut_columns, choose_series, measure_dataset, share_of_codecs
from squeezelab.experiment.timing import Cell, Timing


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


def test_all_columns_are_proven_in_their_order() -> None:
    columns = [np.arange(float(n)) for n in range(20)]
    with ThreadPoolExecutor(3) as pool:
        proofs = prove_all(get_codec("raw"), columns, pool)
    sizes = [proof.encoded_bytes for proof in proofs]
    assert sizes == sorted(sizes)
    assert len(sizes) == 20


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


def test_large_text_is_counted_and_measured_on_a_part(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = ["ndjson", "ndjson+zstd", "cbor", "pattern+zstd", "table"]
    whole = measure_dataset(small, generator="", size="", codecs=[], formats=formats, rounds=0)
    monkeypatch.setattr("squeezelab.experiment.run.MOST_TEXT_BYTES", 1_000_000)
    part = measure_dataset(small, generator="", size="", codecs=[], formats=formats, rounds=0)
    text, compressed = part.get("dataset", "ndjson"), part.get("dataset", "ndjson+zstd")
    assert text.encoded_bytes == whole.get("dataset", "ndjson").encoded_bytes == part.dataset.ndjson_bytes
    assert text.samples == 50_000
    assert text.proven_samples == compressed.samples == compressed.proven_samples == 10_000
    assert compressed.raw_bytes == 16 * 10_000
    assert [part.get("dataset", name).samples for name in formats[2:]] == [10_000, 10_000, 50_000]


def test_slow_codecs_run_on_a_part_of_large_data(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.MOST_SLOW_SAMPLES", 10_000)
    codecs = ["zlib", "xor", "xor+zlib", "zstd", "zstd:level=19"]
    results = measure_dataset(small, generator="", size="", codecs=codecs, formats=[], rounds=0)
    covered = {one.codec: one.samples for one in results.find("values")}
    assert covered == {"zlib": 10_000, "xor": 50_000, "xor+zlib": 10_000, "zstd": 50_000, "zstd:level=19": 10_000}
    families = [one for one in results.measurements if one.metric and one.codec == "zlib" and one.subject == "values"]
    assert sum(one.samples for one in families) == 10_000


def test_the_slowest_codecs_run_on_a_part_of_any_data(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.FEWEST_SLOWEST_SAMPLES", 20_000)
    codecs = ["zstd:level=18", "zstd:level=19", "xor+brotli", "zlib"]
    results = measure_dataset(small, generator="", size="", codecs=codecs, formats=[], rounds=0)
    covered = {one.codec: one.samples for one in results.find("values")}
    assert covered == {
        "zstd:level=18": 50_000,
        "zstd:level=19": 20_000,
        "xor+brotli": 20_000,
        "zlib": 50_000,
    }
    assert len(choose_series(small.keys, 50_000).slowest) == 20
    monkeypatch.setattr("squeezelab.experiment.run.FEWEST_SLOWEST_SAMPLES", 100)
    monkeypatch.setattr("squeezelab.experiment.run.SLOWEST_SHARE", 0.6)
    assert len(choose_series(small.keys, 50_000).slowest) == 30
    monkeypatch.setattr("squeezelab.experiment.run.MOST_SLOW_SAMPLES", 10_000)
    assert len(choose_series(small.keys, 50_000).slowest) == 10, "no more than slow ones"


def test_the_delta_of_delta_histogram_counts_everything(small: MetricDataset) -> None:
    facts = measure_dataset(small, generator="", size="", codecs=[], formats=[], rounds=0).dataset
    assert sum(facts.delta_of_delta_counts) == 50 * 998
    assert facts.delta_of_delta_counts[31] / (50 * 998) == facts.zero_dod_share
    assert facts.zero_dod_share == pytest.approx(0.946, abs=0.005)


def test_slow_codecs_are_timed_on_a_smaller_part_of_every_family() -> None:
    families = ["cpu"] * 8 + ["disk"] * 8
    columns = [np.full(10_000, float(i)) for i in range(16)]

    def cut(share: float) -> dict[str, int]:
        """Return the samples of each family that are left."""
        left = {"cpu": 0, "disk": 0}
        for column in _cut_columns(columns, families, share):
            left["cpu" if column[0] < 8 else "disk"] += len(column)
        return left

    assert cut(1) == {"cpu": 80_000, "disk": 80_000}
    assert cut(0.5) == {"cpu": 40_000, "disk": 40_000}
    assert cut(1 / 8) == {"cpu": 10_000, "disk": 10_000}
    assert cut(1 / 32) == {"cpu": 2_500, "disk": 2_500}, "the beginning of one series"
    assert cut(0) == {"cpu": 1_000, "disk": 1_000}


def test_a_budget_is_shared_by_how_many_take_part() -> None:
    codecs = [get_codec(name) for name in ("raw", "xor", "delta_of_delta")]
    assert share_of_codecs(codecs, ["columnar"]) == pytest.approx(6 / 8), "2 and 2 codecs, 1 format, 3 times memcpy"
    assert share_of_codecs(codecs, []) == 1


def test_more_rounds_than_the_fewest_need_budget(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def time_coders(coders: dict, cut: object, budget: float, *, rounds: int, on_turn: object) -> dict[str, Timing]:
        asked.append((set(coders), round(budget, 1), rounds))
        cell = Cell(1e-3, (0.9e-3, 1.3e-3), rounds, 0.1)
        return {name: Timing(1000, cell, cell) for name in coders}

    monkeypatch.setattr("squeezelab.experiment.run.time_coders", time_coders)
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


def test_files_of_other_engines_run_on_a_part_of_large_data(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.MOST_PEER_SAMPLES", 20_000)
    monkeypatch.setattr("squeezelab.experiment.run.MOST_TEXT_BYTES", 1_000_000)
    formats = ["columnar", "parquet", "parquet:level=22"]
    results = measure_dataset(small, generator="", size="", codecs=[], formats=formats, rounds=0)
    covered = {one.codec: one.samples for one in results.find("dataset")}
    assert covered == {"columnar": 50_000, "parquet": 20_000, "parquet:level=22": 10_000}
