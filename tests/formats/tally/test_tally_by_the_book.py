"""docs/format.md is enough to read a tally file: the slow reader made from it alone finds what was written."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import tally_by_the_book as book
from columns import SPECIAL_WORDS, float64_columns, int64_columns
from squeezelab import MetricDataset, Series, SeriesKey, TallyFile, generate_metric_data
from squeezelab.dataset import VALUE_DTYPES, to_words
from squeezelab.formats.tally.format import Tally

SLICES = Path(__file__).parents[2] / "data/westermo_slices"
LEVELS = pytest.mark.parametrize("level", [1, 2])


def assert_read_by_the_book(dataset: MetricDataset, level: int) -> None:
    unit, series = book.read(Tally(level).encode(dataset))
    expected = [
        book.Series(key.metric_name, dict(key.labels), timestamps.tolist(), to_words(values).tolist())
        for key, timestamps, values in dataset
    ]
    assert unit == dataset.time_unit
    assert series == expected


def of_columns(
    *columns: np.ndarray, timestamps: np.ndarray | None = None, time_unit: str = "s", typed: bool = False
) -> MetricDataset:
    """Make a data set of columns; those of the same length share timestamps and labels."""
    series = []
    for i, column in enumerate(columns):
        times = 1_700_000_000 + 15 * np.arange(column.size) if timestamps is None else timestamps
        kept = column if column.dtype in VALUE_DTYPES and typed else np.asarray(column, float)
        series.append(Series(SeriesKey(f"metric_{i}", {"host": "a"}), times, kept))
    return MetricDataset.from_series(series, time_unit=time_unit)


@LEVELS
@pytest.mark.parametrize("generator", ["synthetic", "random"])
def test_generated_data(generator: str, level: int) -> None:
    part = [
        Series(key, timestamps[:100], values[:100])
        for key, timestamps, values in list(generate_metric_data(generator, "small"))[:12]
    ]
    assert_read_by_the_book(MetricDataset.from_series(part), level)


@LEVELS
@pytest.mark.parametrize("system", ["system-2", "system-14"])
def test_real_data(system: str, level: int) -> None:
    header, *rows = csv.reader((SLICES / f"{system}.csv").read_text(encoding="utf-8").splitlines())
    series = []
    for place, name in enumerate(header[1:], 1):
        held = [(int(row[0]), float(row[place])) for row in rows if row[place]]
        times, values = zip(*held, strict=True)
        series.append(Series(SeriesKey(name, {"server": system}), np.array(times), np.array(values)))
    assert_read_by_the_book(MetricDataset.from_series(series), level)


def by_hand() -> Iterator[tuple[str, MetricDataset]]:
    rng = np.random.default_rng(3)
    special = np.array(SPECIAL_WORDS, np.uint64).view(np.float64)
    walk = np.cumsum(rng.normal(size=300))
    yield "no_series", MetricDataset.from_series([])
    yield "no_samples", of_columns(np.empty(0), np.empty(0))
    yield "one_sample", of_columns(np.array([3.5]), np.array([-0.0]))
    yield "constant", of_columns(np.full(300, 7.25), np.full(300, -0.0))
    yield "special_values", of_columns(special, special[::-1].copy())
    yield "special_values_again_and_again", of_columns(rng.choice(special, 300))
    yield "counter", of_columns(np.cumsum(rng.integers(0, 1000, 300)))
    yield "whole", of_columns(rng.integers(-50, 50, 300))
    yield "decimals", of_columns(np.round(walk, 2))
    exceptions = np.round(walk, 2)
    exceptions[[3, 77, 78]] = [np.nan, 1e300, -0.0]
    yield "decimals_with_exceptions", of_columns(exceptions)
    yield "counts_by_a_window", of_columns(rng.integers(0, 900, 300) / 15)
    yield "counts_times_a_step", of_columns(rng.integers(0, 900, 300) * (1 / 20))
    counter = np.cumsum(rng.integers(0, 1000, 301)) / 100 + 1e6
    rates = np.diff(counter) / 30
    yield "differences_of_a_counter", of_columns(rates)
    yield "cut_to_16_decimals", of_columns(np.array([float(f"{rate:.16f}") for rate in rates]))
    yield "noise", of_columns(rng.normal(size=200))
    yield "any_bits", of_columns(rng.integers(0, 2**64, 200, np.uint64).view(np.float64))
    yield "few_distinct", of_columns(rng.choice(rng.normal(size=4), 300))
    free, cache = np.cumsum(rng.integers(-99, 100, (2, 300)), axis=1) * 4096
    yield "columns_that_add_up", of_columns(free, cache, free + cache + rng.integers(0, 2, 300))
    large = 2**53 + np.cumsum(rng.integers(0, 1000, 300))
    singles = np.round(walk, 2).astype(np.float32)
    words = rng.integers(0, 2**32, 300, np.uint32).view(np.float32)
    yield "int64", of_columns(large, -large, np.array([-(2**63), 2**63 - 1]), typed=True)
    yield "float32", of_columns(singles, rng.normal(size=300).astype(np.float32), words, typed=True)
    yield "several_dtypes", of_columns(walk, large, singles, walk + 1, np.empty(0, np.int64), typed=True)
    yield "no_times_alike", of_columns(walk, timestamps=rng.integers(-(2**63), 2**63, 300))
    yield "extreme_times", of_columns(walk[:100], timestamps=np.array([-(2**63), 2**63 - 1] * 50), time_unit="ns")
    yield (
        "strange_names",
        MetricDataset.from_series(
            [Series(SeriesKey("\ud800", {"": "\N{SNOWMAN}" * 300, "b": ""}), np.array([5]), np.array([1.0]))],
            time_unit="us",
        ),
    )


@LEVELS
@pytest.mark.parametrize("dataset", [pytest.param(dataset, id=name) for name, dataset in by_hand()])
def test_what_is_made_by_hand(dataset: MetricDataset, level: int) -> None:
    assert_read_by_the_book(dataset, level)


@LEVELS
def test_several_blocks_one_predicted_from_the_other(level: int) -> None:
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.integers(-1, 2, 8193) * (rng.random(8193) < 0.05))
    assert_read_by_the_book(of_columns(walk, 2 * walk + (np.arange(8193) % 1000 == 0)), level)


@LEVELS
@settings(max_examples=30)
@given(times=int64_columns(), values=int64_columns())
def test_any_integers(level: int, times: np.ndarray, values: np.ndarray) -> None:
    count = min(times.size, values.size)
    assert_read_by_the_book(of_columns(values[:count], timestamps=times[:count], typed=True), level)


@LEVELS
@settings(max_examples=30)
@given(times=int64_columns(), values=float64_columns())
def test_any_columns(level: int, times: np.ndarray, values: np.ndarray) -> None:
    count = min(times.size, values.size)
    assert_read_by_the_book(of_columns(values[:count], timestamps=times[:count]), level)


def test_the_example_of_the_page_is_a_file() -> None:
    page = (Path(__file__).parents[3] / "docs/format.md").read_text(encoding="utf-8")
    example = page.partition("<!-- example -->\n")[2].partition("\n\n")[0]
    file = bytes.fromhex("".join(line.partition("#")[0] for line in example.splitlines()))
    times = [1_700_000_000 + 15 * i for i in range(4)]
    values = np.array([1, 0.5, 0.25, 2]).view(np.uint64).tolist()
    assert book.read(file) == ("s", [book.Series("up", {"host": "a"}, times, values)])
    assert TallyFile(file).read(0).timestamps.tolist() == times
