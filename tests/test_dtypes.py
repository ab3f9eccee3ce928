"""Values of int64 and float32 in a data set: kept as they are, bit by bit, alone and beside doubles."""

import numpy as np
import pandas as pd
import pytest

from squeezelab import MetricDataset, Series, SeriesKey, bench, generate_metric_data
from squeezelab.dataset import from_words, to_words
from squeezelab.doubles import doubled
from squeezelab.report.study import deltas_of

TIMES = 15 * np.arange(4)
COUNTER = 2**53 + 1 + np.arange(4)
SINGLES = np.array([0x7F800001, 0x80000000, 1, 0x3DCCCCCD], np.uint32).view(np.float32)
DOUBLES = np.array([0.5, -0.0, np.nan, 1e300])


def of(*columns: np.ndarray) -> MetricDataset:
    return MetricDataset.from_series(
        [Series(SeriesKey(f"m{i}", {}), TIMES[: len(one)], one) for i, one in enumerate(columns)]
    )


@pytest.mark.parametrize("column", [COUNTER, SINGLES, DOUBLES], ids=str)
def test_values_of_one_dtype_are_of_it(column: np.ndarray) -> None:
    dataset = of(column, column[::-1].copy())
    assert dataset.values.dtype == column.dtype
    assert dataset.value_dtypes == (column.dtype,)
    assert dataset.raw_bytes == 8 * (8 + column.itemsize)
    assert dataset.series(1).values.tobytes() == column[::-1].tobytes()


def test_of_several_dtypes_each_series_has_its_own() -> None:
    dataset = of(COUNTER, SINGLES, DOUBLES)
    assert [series.values.dtype for series in dataset] == [np.int64, np.float32, np.float64]
    assert [series.values.tobytes() for series in dataset] == [one.tobytes() for one in (COUNTER, SINGLES, DOUBLES)]
    assert [one.digest() for one in dataset.select([2, 0])] == [dataset.series(i).digest() for i in (2, 0)]
    assert dataset.select([0]).values.dtype == np.int64
    assert dataset.part(1, 2).values.dtype == np.float32
    assert [one.digest() for one in dataset.part(1, 3)] == [dataset.series(i).digest() for i in (1, 2)]


@pytest.mark.parametrize("columns", [(COUNTER,), (COUNTER, SINGLES, DOUBLES)], ids=len)
def test_a_part_of_no_series_is_empty(columns: tuple[np.ndarray, ...]) -> None:
    for i in range(len(columns) + 1):
        part = of(*columns).part(i, i)
        assert (len(part), list(part), part.dtypes, part.raw_bytes) == (0, [], (), 0)


def test_a_dtype_is_part_of_the_fingerprint_unless_it_is_float64() -> None:
    as_integers, as_doubles = of(DOUBLES.view(np.int64)), of(DOUBLES)
    assert as_integers.fingerprint != as_doubles.fingerprint
    assert generate_metric_data().fingerprint == "78dc93aff32519f6a3c031277cd5b504", "as it was before"


def test_words_hold_every_bit() -> None:
    for column in (COUNTER, SINGLES, DOUBLES):
        assert from_words(to_words(column), column.dtype).tobytes() == column.tobytes()


def test_as_doubles_is_the_data_set_itself_where_it_can_be() -> None:
    assert of(DOUBLES).as_doubles().values.dtype == np.float64
    dataset = of(DOUBLES)
    assert dataset.as_doubles() is dataset
    assert of(np.array([1, 2]), np.array([0.5, 1], np.float32)).as_doubles().values.tolist() == [1, 2, 0.5, 1]


@pytest.mark.parametrize(
    ("values", "dtypes", "reason"),
    [
        (np.arange(4, dtype=np.int32), None, "float64 or int64 or float32, not int32"),
        (np.arange(4, dtype=np.uint64), None, "float64 or int64 or float32, not uint64"),
        (np.arange(4.0), [np.dtype(np.int64)], "int64 or uint64, not float64"),
        (np.arange(4.0), [np.dtype(np.int16)], "dtypes must have float64, int64 or float32 for each series"),
        (np.arange(4.0), [], "dtypes must have float64, int64 or float32 for each series"),
    ],
)
def test_what_does_not_fit_is_an_error(values: np.ndarray, dtypes: list[np.dtype] | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        MetricDataset([SeriesKey("a", {})], np.array([0, 4]), TIMES, values, "s", dtypes)


# Frames


def test_frames_keep_integers_and_float32() -> None:
    wide = pd.DataFrame({"time": TIMES, "c": COUNTER, "f": [*SINGLES[1:4].tolist(), 0.5], "g": [0.5, None, 1, 2]})
    wide["f"] = wide["f"].astype(np.float32)
    wide["n"] = pd.array([2**53 + 1, None, 3, 4], "Int64")
    found = {series.key.metric_name: series.values for series in MetricDataset.from_frame(wide)}
    assert {name: values.dtype for name, values in found.items()} == {
        "c": np.int64,
        "f": np.float32,
        "g": np.float64,
        "n": np.int64,
    }
    assert found["c"].tolist() == COUNTER.tolist()
    assert found["n"].tolist() == [2**53 + 1, 3, 4]


def test_a_frame_of_one_dtype_comes_back() -> None:
    dataset = of(COUNTER, -COUNTER)
    assert MetricDataset.from_frame(dataset.to_frame()).fingerprint == dataset.fingerprint


def test_unsigned_integers_that_do_not_fit_are_doubles() -> None:
    frame = pd.DataFrame({"time": [0, 1], "u": np.array([1, 2**63], np.uint64), "v": np.array([1, 2], np.uint64)})
    assert [series.values.dtype for series in MetricDataset.from_frame(frame)] == [np.float64, np.int64]


# A run


def test_a_run_takes_integers_as_they_are_and_says_what_takes_doubles_alone() -> None:
    result = bench(of(COUNTER), codecs="xor,pcodec,simple8b,tally", formats="cbor,prometheus,tally", rounds=0).results
    assert [one.codec for one in result.find("values")] == ["pcodec", "simple8b", "tally"]
    assert [one.codec for one in result.find("dataset")] == ["cbor", "tally"]
    assert all(one.bit_exact for one in result.measurements)
    assert result.dataset.dtypes == {"int64": 1}
    told = "Values of 1 series are int64 (m0). What does not take these did not run on them (xor, prometheus)"
    assert any(note.startswith(told) for note in result.run.notes)


def test_of_several_dtypes_a_codec_runs_on_the_families_that_it_takes() -> None:
    dataset = of(COUNTER, SINGLES, DOUBLES)
    result = bench(dataset, codecs="xor,zstd,tally", formats="parquet,prometheus", rounds=0).results
    assert [one.codec for one in result.find("values")] == ["zstd", "tally"]
    families = {(one.codec, one.metric) for one in result.measurements if one.subject == "values" and one.metric}
    assert families == {("xor", "m2")} | {(codec, f"m{i}") for codec in ("zstd", "tally") for i in range(3)}
    (zstd, _) = result.find("values")
    assert zstd.raw_bytes == 4 * (8 + 4 + 8)
    assert result.dataset.raw_bytes == 4 * (16 + 12 + 16)
    assert any("ran on the other series (xor) or not at all (prometheus)" in note for note in result.run.notes)
    assert {one.codec for one in result.anywhere("values")} == {"xor", "zstd", "tally"}


def test_integers_are_explained_exactly() -> None:
    large = 2**60 + np.array([0, 1, 1, 2, 3])
    dataset = MetricDataset.from_series([Series(SeriesKey("a", {}), 15 * np.arange(5), large)])
    facts = bench(dataset, codecs="zstd", formats=[], rounds=0).results.explanations[0].facts
    assert facts.distinct == 4, "as doubles they are all alike"
    assert facts.deltas_entropy.symbols == 2
    assert facts.decimals == 0


def test_deltas_of_integers_are_drawn_as_they_are() -> None:
    assert deltas_of(2**60 + np.array([0, 1, 3])).tolist() == [1, 2], "as doubles all are 2^60"
    assert deltas_of(np.array([-(2**63), 2**63 - 1])).tolist() == [2.0**64], "which int64 cannot hold"
    assert deltas_of(np.array([0.1, 0.3], np.float32)).tolist() == [float(np.float32(0.3)) - float(np.float32(0.1))]


def test_by_metric_counts_what_prometheus_makes_of_integers() -> None:
    result = bench(of(COUNTER), codecs=[], formats=[], rounds=0, by="metric").results
    whole = bench(of(COUNTER).as_doubles(), codecs=[], formats=[], rounds=0, by="metric").results
    assert [one.encoded_bytes for one in result.shares] == [one.encoded_bytes for one in whole.shares]
    told = "Prometheus, by metric name, was given doubles in place of int64 (m0); 2 integers beyond 2^53 became"
    assert any(note.startswith(told) for note in result.run.notes)


def test_databases_get_doubles_and_it_is_said() -> None:
    dataset = of(COUNTER, SINGLES[2:], DOUBLES[[0, 3]])
    result = bench(dataset, codecs=[], formats=[], engines="sqlite", rounds=0).results
    assert [one.exact for one in result.engines] == [True]
    told = "Each database (sqlite) was given doubles in place of int64 (m0) and float32 (m1)"
    assert any(note.startswith(told) for note in result.run.notes)


def test_what_loses_nothing_is_said_to_lose_nothing() -> None:
    dataset, (note,) = doubled(of(2**40 + np.arange(4), SINGLES), "It")
    assert dataset.value_dtypes == (np.float64,)
    assert (
        note == "It was given doubles in place of int64 (m0) and float32 (m1); they hold all of these numbers exactly."
    )
    assert doubled(dataset, "It") == (dataset, [])


def test_a_frame_of_several_dtypes_gives_them_back() -> None:
    columns = [np.array([2**60 + 1, 5]), np.array([0.1, 0.5], np.float32), np.array([0.1, np.nan])]
    series = [Series(SeriesKey(f"m{i}", {}), np.arange(2), column) for i, column in enumerate(columns)]
    dataset = MetricDataset.from_series(series)
    assert MetricDataset.from_frame(dataset.to_frame()).fingerprint == dataset.fingerprint
