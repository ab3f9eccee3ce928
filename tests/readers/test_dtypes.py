"""Types of a user's numbers: which are kept, what nulls are, and that nothing is rounded without a word."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.formats.tally import TallyFile, pack_series
from squeezelab.formats.tally.export import export
from squeezelab.readers import Loaded, load

LARGE = 2**53 + 1


def values(loaded: Loaded) -> dict[str, np.ndarray]:
    return {series.key.metric_name: series.values for series in loaded.dataset}


def csv(folder: Path, text: str) -> Loaded:
    (folder / "x.csv").write_text(text)
    return load(folder / "x.csv")


def test_a_csv_column_of_integers_that_no_double_holds_is_int64(tmp_path: Path) -> None:
    loaded = csv(tmp_path, f"time,a,b,c\n0,{LARGE},1,{LARGE}\n15,-5,2,0.5\n30,,3,1\n")
    found = values(loaded)
    assert found["a"].dtype == np.int64
    assert found["a"].tolist() == [LARGE, -5]
    assert found["b"].dtype == np.float64, "others stay doubles, as before"
    assert found["c"].dtype == np.float64
    assert loaded.files[0].words == ["column 'c': integers beyond 2^53, each became the nearest double: 1"]


def test_integers_beyond_64_bits_are_doubles(tmp_path: Path) -> None:
    assert values(csv(tmp_path, f"time,a\n0,{2**64 + 1}\n15,1\n"))["a"].dtype == np.float64


def typed_table() -> pa.Table:
    columns = {
        "time": pa.array([0, 15, 30, 45], pa.timestamp("s")),
        "counter": pa.array([LARGE, None, 3, 4]),
        "small": pa.array([1, 2, 3, None], pa.uint8()),
        "huge": pa.array([1, 2, 3, 2**63], pa.uint64()),
        "single": pa.array([0.1, None, float("nan"), 0.4], pa.float32()),
        "gauge": pa.array([0.1, float("nan"), None, 0.4]),
        "up": pa.array([True, False, None, True]),
    }
    return pa.table(columns)


@pytest.fixture(params=["parquet", "arrow"])
def typed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"x.{request.param}"
    if request.param == "parquet":
        pq.write_table(typed_table(), path)
    else:
        feather.write_feather(typed_table(), path)
    return path


def test_typed_columns_keep_their_type_and_a_null_is_no_sample(typed: Path) -> None:
    loaded = load(typed)
    found = values(loaded)
    assert {name: one.dtype.name for name, one in found.items()} == {
        "counter": "int64",
        "small": "int64",
        "huge": "float64",
        "single": "float32",
        "gauge": "float64",
        "up": "float64",
    }
    assert found["counter"].tolist() == [LARGE, 3, 4]
    assert found["single"].tobytes() == np.array([0.1, np.nan, 0.4], np.float32).tobytes()
    assert np.isnan(found["gauge"][1]), "NaN is a value"
    counter = next(series for series in loaded.dataset if series.key.metric_name == "counter")
    assert counter.timestamps.tolist() == [0, 30, 45]
    nulls = [word for word in loaded.files[0].words if word.endswith("taken for none: 1")]
    assert len(nulls) == 5


def test_series_stay_in_the_order_of_the_columns(typed: Path) -> None:
    assert list(values(load(typed))) == typed_table().column_names[1:]


def test_doubles_on_request(typed: Path) -> None:
    loaded = load(typed, doubles=True)
    assert loaded.dataset.value_dtypes == (np.float64,)
    assert any("became the nearest double: 1" in word for word in loaded.words)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_unpacking_gives_what_was_packed(typed: Path, form: str, tmp_path: Path) -> None:
    loaded = load(typed)
    pack_series(loaded.dataset, tmp_path / "x.tally", time_unit=loaded.unit)
    file = TallyFile.open(tmp_path / "x.tally")
    assert file.read_all().fingerprint == loaded.dataset.fingerprint
    assert load(tmp_path / "x.tally").dataset.fingerprint == loaded.dataset.fingerprint
    with (tmp_path / f"y.{form}").open("wb") as output:
        export(file, file.time_unit, output, form, file.value_dtypes)
    assert load(tmp_path / f"y.{form}").dataset.fingerprint == loaded.dataset.fingerprint, "in the same order, too"


def test_a_series_of_doubles_and_integers_is_of_integers_only_if_all_are(tmp_path: Path) -> None:
    for name, numbers in (("a", pa.array([LARGE, 2])), ("b", pa.array([1.0, 3.0])), ("c", pa.array([0.5]))):
        times = pa.array([15 * i for i in range(len(numbers))], pa.timestamp("s"))
        named = pa.array(["m"] * len(numbers))
        pq.write_table(pa.table({"metric_name": named, "time": times, "value": numbers}), tmp_path / f"{name}.parquet")
    whole = load([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert whole.dataset.value_dtypes == (np.int64,)
    assert sorted(whole.dataset.values.tolist()) == [1, 2, 3, LARGE]
    mixed = load([tmp_path / "a.parquet", tmp_path / "c.parquet"])
    assert mixed.dataset.value_dtypes == (np.float64,)
    assert any("each became the nearest double: 1" in word for word in mixed.words)


ODD_NAN = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
TIMES = np.arange(3)


def mixed() -> MetricDataset:
    """Return a counter that no double holds between gauges: one with an odd NaN, one of whole numbers."""
    values = [np.array([0.5, ODD_NAN, -0.0]), np.array([LARGE, 1, 2]), np.array([1.0, 2.0, 3.0])]
    keys = [SeriesKey(name, {"host": "a"}) for name in ("load", "requests", "users")]
    return MetricDataset.from_series([Series(key, TIMES, some) for key, some in zip(keys, values, strict=True)])


def test_ndjson_keeps_a_counter_beside_gauges(tmp_path: Path) -> None:
    with (tmp_path / "x.ndjson").open("wb") as file:
        export(mixed(), "s", file, "ndjson")
    loaded = load(tmp_path / "x.ndjson")
    assert loaded.dataset.fingerprint == mixed().fingerprint, "in the same order, and NaNs with their bits"
    assert not loaded.files[0].words


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_series_is_of_integers_if_it_is_nothing_else_and_needs_it(form: str, tmp_path: Path) -> None:
    samples = [("a", LARGE), ("b", 0.5), ("a", 2), ("b", LARGE), ("c", 7), ("a", 3.0)]
    rows = [{"metric_name": name, "timestamp": time, "value": value} for time, (name, value) in enumerate(samples)]
    lines = map(json.dumps, rows)
    if form == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / f"x.{form}").write_text("\n".join(lines) + "\n")
    loaded = load(tmp_path / f"x.{form}")
    found = values(loaded)
    assert {name: (one.dtype.name, one.tolist()) for name, one in found.items()} == {
        "a": ("int64", [LARGE, 2, 3]),
        "b": ("float64", [0.5, 2.0**53]),
        "c": ("float64", [7.0]),
    }
    assert loaded.files[0].words == ["column 'value': integers beyond 2^53, each became the nearest double: 1"]
