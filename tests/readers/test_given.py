"""What a user may give: frames, paths, tally files, arrays of dates; and what helps where it is none of them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
from conftest import PROJECT

from squeezelab import MetricDataset, Series, SeriesKey, bench
from squeezelab.api import as_dataset
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats.tally import pack_series
from squeezelab.formats.tally.export import export
from squeezelab.readers import load

T = 1_700_000_000
ODD = ("NA", " a b ", "null", "99", "-", "nan", "")


def as_dict(dataset: MetricDataset) -> dict[str, list[tuple[int, float]]]:
    return {str(key): list(zip(t.tolist(), v.tolist(), strict=True)) for key, t, v in dataset}


def test_from_frame_is_the_inverse_of_to_frame(small: MetricDataset) -> None:
    assert MetricDataset.from_frame(small.to_frame()).fingerprint == small.fingerprint
    shuffled = small.to_frame().sample(frac=1, random_state=0)
    assert as_dict(MetricDataset.from_frame(shuffled)) == as_dict(small)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_frame_keeps_units_odd_labels_and_the_bits_of_nan(unit: str) -> None:
    nan = np.array([0xFFF8000000000001], np.uint64).view(np.float64)
    series = [
        Series(SeriesKey(name, {"timestamp": name, "value": "x", "host": name}), np.array([0]), nan) for name in ODD
    ]
    dataset = MetricDataset.from_series(series, time_unit=unit)
    found = MetricDataset.from_frame(dataset.to_frame())
    assert (found.fingerprint, found.time_unit) == (dataset.fingerprint, unit)


def test_a_wide_frame_of_an_index_of_dates() -> None:
    index = pd.date_range("2023-11-14 23:13:20", periods=3, freq="15s", tz="Europe/Berlin")
    frame = pd.DataFrame({"cpu": [1.0, np.nan, 3.0], "n": [1, 2, 3], "host": ["a", "a", "b"]}, index=index)
    dataset = MetricDataset.from_frame(frame)
    assert as_dict(dataset) == {
        'cpu{host="a"}': [(T, 1)],
        'cpu{host="b"}': [(T + 30, 3)],
        'n{host="a"}': [(T, 1), (T + 15, 2)],
        'n{host="b"}': [(T + 30, 3)],
    }
    assert dataset.time_unit == "s"


def test_frames_of_polars_and_texts_of_dates() -> None:
    frame = polars.DataFrame({"time": ["2023-11-14 22:13:20", "2023-11-14 22:13:20.5"], "a": [1, 2]})
    dataset = MetricDataset.from_frame(frame)
    assert (as_dict(dataset), dataset.time_unit) == ({"a{}": [(1000 * T, 1), (1000 * T + 500, 2)]}, "ms")


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        ([1, 2], TypeError, "a frame of pandas, Polars or Arrow is needed, not list"),
        (pd.DataFrame({"a": [1.0]}), InvalidRequestError, "no column of the frame holds the time"),
        (pd.DataFrame({"time": [1], "a": ["x"]}), InvalidRequestError, "no column of the frame holds numbers"),
        (pd.DataFrame({"time": [1, None], "a": [1, 2]}), InvalidRequestError, "row 1 of the frame has no time"),
    ],
)
def test_frames_of_nothing(frame: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        MetricDataset.from_frame(frame)


def test_datetime64_is_taken_for_what_it_is() -> None:
    dates = np.array(["2023-11-14T22:13:20", "2023-11-14T22:13:35"], "datetime64[ms]")
    dataset = MetricDataset.from_series([Series(SeriesKey("a", {}), dates, np.array([1.0, 2.0]))])
    assert (dataset.timestamps.tolist(), dataset.time_unit) == ([1000 * T, 1000 * T + 15000], "ms")
    with pytest.raises(ValueError, match="NaT"):
        MetricDataset([SeriesKey("a", {})], np.array([0, 1]), np.array(["NaT"], "datetime64[s]"), np.array([1.0]))


def test_bench_takes_frames_and_paths(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("time,a\n" + "".join(f"{T + i},{i}\n" for i in range(50)))
    quick = {"codecs": "xor", "formats": "none", "budget": 0}
    of_file = bench(tmp_path / "metrics.csv", **quick).results.dataset
    of_frame = bench(load(tmp_path / "metrics.csv").dataset.to_frame(), **quick).results.dataset
    assert of_file.fingerprint == of_frame.fingerprint
    assert (of_file.generator, of_file.size, of_frame.size) == ("file", "metrics", "data")
    with pytest.raises(TypeError, match="a MetricDataset, a frame or paths of files are needed, not ndarray"):
        as_dataset(np.zeros(5))


def test_tally_files_are_read(small: MetricDataset, tmp_path: Path) -> None:
    get_format("tally").write(small, tmp_path / "x.tally")
    loaded = load(tmp_path / "x.tally")
    assert (loaded.dataset.fingerprint, loaded.files[0].format) == (small.fingerprint, "tally")
    quick = ("--codecs", "xor", "--formats", "none", "--budget", "0")
    done = subprocess.run(
        [sys.executable, PROJECT / "main.py", "bench", "x.tally", *quick], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, (tmp_path / "reports" / "x" / "results.json").exists()) == (0, True), done.stderr


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "ndjson"])
@pytest.mark.parametrize("names", [ODD, ("NA",), ("99",), (" ",)])
def test_odd_names_come_through(form: str, names: tuple[str, ...], tmp_path: Path) -> None:
    series = [Series(SeriesKey(name, {"host": name}), np.arange(T, T + 3), np.arange(3.0)) for name in names]
    dataset = MetricDataset.from_series(series)
    pack_series(dataset, tmp_path / "x.tally", time_unit="s", level=2)
    with (tmp_path / f"x.{form}").open("wb") as file:
        export(load(tmp_path / "x.tally").dataset, "s", file, form)
    assert load(tmp_path / f"x.{form}").dataset.keys == dataset.keys


def test_blanks_after_delimiters_are_no_part_of_cells(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"time, name, value\n{T}, cpu, 1\n{T}, mem, 2\n")
    assert as_dict(load(tmp_path / "x.csv").dataset) == {"cpu{}": [(T, 1)], "mem{}": [(T, 2)]}


def test_blanks_within_quotes_are_part_of_cells_even_there(tmp_path: Path) -> None:
    lines = ['"time" , "name", "labels" , "value"', f'{T}, " cpu, all", "{{""host"": ""a""}}", 1', f"{T} ,cpu , ,2"]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    assert as_dict(load(tmp_path / "x.csv").dataset) == {' cpu, all{host="a"}': [(T, 1)], "cpu{}": [(T, 2)]}


@pytest.mark.parametrize("labels", [{}, {"host": "v"}, {"host": "v", "l": "w"}, {"a , b": ' , "c" , '}])
@pytest.mark.parametrize("form", ["csv", "ndjson", "openmetrics"])
def test_names_that_differ_by_blanks_stay_apart(form: str, labels: dict[str, str], tmp_path: Path) -> None:
    names = (" a", "a", "a ", "\ta")
    series = [Series(SeriesKey(name, labels), np.array([T]), np.array([i / 2])) for i, name in enumerate(names)]
    dataset = MetricDataset.from_series(series)
    with (tmp_path / "x").open("wb") as file:
        export(dataset, "s", file, form)
    assert load(tmp_path / "x").dataset.fingerprint == dataset.fingerprint


@pytest.mark.parametrize("name", ["load 1m", "9cpu", 'a":b', "a\nb", "\N{SNOWMAN}"])
def test_openmetrics_may_begin_with_a_quoted_name(name: str, tmp_path: Path) -> None:
    dataset = MetricDataset.from_series([Series(SeriesKey(name, {"host": "a"}), np.array([T]), np.array([0.5]))])
    with (tmp_path / "x").open("wb") as file:
        export(dataset, "s", file, "openmetrics")
    loaded = load(tmp_path / "x")
    assert (loaded.files[0].format, loaded.dataset.fingerprint) == ("prometheus", dataset.fingerprint)
