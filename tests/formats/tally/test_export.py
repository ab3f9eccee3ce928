"""Tally files as texts of others: what comes back, what does not and is said, and what is refused."""

import io
from pathlib import Path

import numpy as np
import pytest

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.tally.export import TEXTS, export
from squeezelab.readers import Loaded, load

T = 1_700_000_000
LARGE = 2**53 + 1
SINGLE = np.float32([0.1, 1e-45, 3.4028235e38])
COUNTER = np.array([LARGE, 1, 2])
SMALL = np.array([1, 2, 3])
ODD_NAN = np.array([0xFFF8000000000001], np.uint64).view(np.float64)


def dataset(*values: np.ndarray, first: int = T, unit: str = "s") -> MetricDataset:
    series = [Series(SeriesKey(f"m{i}", {}), first + np.arange(one.size), one) for i, one in enumerate(values)]
    return MetricDataset.from_series(series, time_unit=unit)


def write(some: MetricDataset, form: str, path: Path) -> list[str]:
    with path.open("wb") as file:
        return export(some, some.time_unit, file, form, some.value_dtypes).words


def there_and_back(some: MetricDataset, form: str, folder: Path) -> tuple[list[str], Loaded]:
    words = write(some, form, folder / f"x.{form}")
    return words, load(folder / f"x.{form}")


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("others", [(), (COUNTER,), (np.array([0.5]),)])
def test_float32_comes_back_as_the_doubles_that_it_is(
    form: str, others: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    words, loaded = there_and_back(dataset(SINGLE, *others), form, tmp_path)
    assert next(iter(loaded.dataset)).values.tolist() == SINGLE.astype(float).tolist()
    assert "series of float32 that are read as doubles: 1" in words[0]


@pytest.mark.parametrize("form", TEXTS)
def test_what_a_text_does_not_keep_is_said_in_a_line(form: str, tmp_path: Path) -> None:
    words, loaded = there_and_back(dataset(SINGLE, COUNTER, SMALL, ODD_NAN), form, tmp_path)
    kinds = [dtype.name for dtype in loaded.dataset.dtypes]
    wholes, counter = (2, "float64") if form == "openmetrics" else (1, "int64")
    assert kinds == ["float64", counter, "float64", "float64"]
    losses = ["series of float32 that are read as doubles: 1", f"series of integers that are read as doubles: {wholes}"]
    losses += ["integers beyond 2^53 that are read as the nearest double: 1"] * (form == "openmetrics")
    losses += ["NaN with bits of their own, written as plain NaN: 1"] * (form != "ndjson")
    assert words == [f"{form} does not keep all: {'; '.join(losses)}"]


@pytest.mark.parametrize("form", TEXTS)
def test_doubles_come_back_without_a_word(form: str, tmp_path: Path) -> None:
    some = dataset(np.array([0.1, -0.0, np.inf, 2.0**60]), SMALL.astype(float))
    words, loaded = there_and_back(some, form, tmp_path)
    assert (words, loaded.dataset.fingerprint) == ([], some.fingerprint)


def test_reading_openmetrics_counts_the_integers_that_it_rounds(tmp_path: Path) -> None:
    _, loaded = there_and_back(dataset(COUNTER), "openmetrics", tmp_path)
    assert loaded.files[0].words == ["integers beyond 2^53, each became the nearest double: 1"]


@pytest.mark.parametrize("key", [SeriesKey("a\0b", {}), SeriesKey("a", {"\0": "b"}), SeriesKey("a", {"b": "\0"})])
def test_nul_is_refused_where_it_would_not_come_back(key: SeriesKey, tmp_path: Path) -> None:
    some = MetricDataset.from_series([Series(key, np.array([T]), np.array([0.5]))])
    for form in ("csv", "openmetrics"):
        with pytest.raises(InvalidRequestError, match=f"{form} cannot hold NUL, .*: use arrow, parquet or ndjson"):
            export(some, "s", io.BytesIO(), form)
    for form in ("arrow", "parquet", "ndjson"):
        assert there_and_back(some, form, tmp_path)[1].dataset.fingerprint == some.fingerprint


@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("first", "unit"), [(1, "ms"), (1, "us"), (1, "ns"), (T, "ms"), (10**12, "s"), (45_292, "s"), (20_240_131, "s")]
)
def test_times_that_look_like_others_are_hinted_at(form: str, first: int, unit: str, tmp_path: Path) -> None:
    some = dataset(np.arange(5.0), first=first, unit=unit)
    words = write(some, form, tmp_path / f"x.{form}")
    assert words == [f"{form} does not say what its times count: read it with --time-unit {unit}"]
    found = load(tmp_path / f"x.{form}", time_unit=unit).dataset
    assert (found.time_unit, found.timestamps.tolist()) == (unit, some.timestamps.tolist())


@pytest.mark.parametrize(
    ("form", "first", "unit"),
    [("csv", 1, "s"), ("csv", T, "s"), ("ndjson", 1000 * T + 1, "ms"), ("openmetrics", 1, "ms"), ("parquet", 1, "ms")],
)
def test_other_times_need_no_hint(form: str, first: int, unit: str, tmp_path: Path) -> None:
    some = dataset(np.arange(5.0), first=first, unit=unit)
    words, loaded = there_and_back(some, form, tmp_path)
    assert (words, loaded.unit, loaded.dataset.timestamps.tolist()) == ([], unit, some.timestamps.tolist())
