"""Advice: the text that is printed is the text that was run, and all comes back from it bit by bit."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from markupsafe import escape
from pyarrow import feather

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.advice import advise_all, available_systems, choose_systems, get_system
from squeezelab.advice.advised import AdviceReport, Advised, advise
from squeezelab.advice.layout import in_canonical_order
from squeezelab.advice.parts import part_of
from squeezelab.advice.proof import workshop
from squeezelab.advice.shapes import layouts
from squeezelab.advice.worker import SystemFailedError
from squeezelab.dataset import UNITS_PER_SECOND
from squeezelab.errors import InvalidRequestError
from squeezelab.results import Results

NAMES = ["clickhouse", "duckdb", "parquet", "parquet_duckdb", "parquet_polars", "postgresql", "zarr"]
EDGES = np.array([0x7FF8000000000001, 0x7FF0000000000002, 0x8000000000000000, 0x7FF0000000000000, 1], np.uint64)


def odd() -> MetricDataset:
    """Names that need escaping, a label that some lack, moments that series do not share, edge doubles."""
    keys = [
        SeriesKey("m`e\"t'r\\ic", {'ho"s`t': "a'b\\c", "timestamp": "x"}),
        SeriesKey("up", {'ho"s`t': "a'b\\c", "timestamp": "x"}),
        SeriesKey("up", {"timestamp": "naïve ✓", "id": "--"}),
        SeriesKey("up", {"timestamp": "", "id": "line\nbreak\ttab\r"}),
        SeriesKey("", {"A": "A", "a": "{a}", "a_2": "$1 %s"}),
        SeriesKey("UP", {}),
    ]
    values = EDGES.view(np.float64)
    moments = np.arange(5) * 15 + 1_700_000_000
    series = [Series(key, moments + i, values) for i, key in enumerate(keys)]
    return MetricDataset.from_series(
        [*series, Series(SeriesKey("once", {"": "x", "a;b": "/*", "line\nbreak\ttab": "y"}), moments[:1], values[2:3])]
    )


COUNTER = np.array([2**53 + 1, -(2**63), 2**63 - 1, 0, -1])
SINGLES = np.array([0x80000000, 0x7FC00001, 0x7F800000, 1, 0x3DCCCCCD], np.uint32).view(np.float32)


def typed(*columns: np.ndarray) -> MetricDataset:
    """Odd names, with values of these types in turn."""
    series = [one._replace(values=columns[i % len(columns)][: one.values.size]) for i, one in enumerate(odd())]
    return MetricDataset.from_series(series)


def replace_value(dataset: MetricDataset, old: np.uint64, new: np.uint64) -> MetricDataset:
    bits = dataset.values.view("u8")
    values = np.where(bits == old, new, bits).view("f8")
    return MetricDataset(dataset.keys, dataset.offsets, dataset.timestamps, values, dataset.time_unit)


def in_unit(dataset: MetricDataset, unit: str, shift: int) -> MetricDataset:
    """Return a data set whose moments count another unit, with odd fractions, from another time on."""
    step = UNITS_PER_SECOND[unit]
    moments = (dataset.timestamps - 1_700_000_000) * step + np.arange(len(dataset)) * (step // 3) + shift * step
    return MetricDataset(dataset.keys, dataset.offsets, moments, dataset.values, unit)


def skip_if_missing(name: str) -> None:
    if name not in available_systems():
        pytest.skip(f"{name} is not installed")


KINDS = {
    "odd": odd(),
    "before 1970": in_unit(odd(), "s", -1_000_000),
    "before 1900": in_unit(odd(), "s", -3_000_000_000),
    "after 2106": in_unit(odd(), "s", 5_000_000_000),
    "ms": in_unit(odd(), "ms", -1),
    "us": in_unit(odd(), "us", 1_700_000_000),
    "ns": in_unit(odd(), "ns", 1_700_000_000),
    "one sample": odd().select([6]),
    "int64": typed(COUNTER),
    "float32": typed(SINGLES),
    "several types": typed(COUNTER, SINGLES, EDGES[[2, 3, 4, 2, 0]].view(np.float64)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_layout_and_order_gives_back_every_bit_of_odd_names_moments_and_values(name: str, kind: str) -> None:
    skip_if_missing(name)
    system, dataset = get_system(name), KINDS[kind]
    if not system.takes(dataset):
        pytest.skip(f"{name} has one type for all values")
    if name == "parquet_duckdb" and dataset.value_dtypes == (
        np.float64,
    ):  # of several NaNs its dictionaries keep the first
        dataset = replace_value(dataset, EDGES[1], EDGES[0])
    wanted = in_canonical_order(dataset).fingerprint
    with workshop(system) as worker:
        for layout in (one for one in layouts(dataset) if one.name in system.layouts):
            worker.call("take", layout)
            default = system.default(layout)
            for order in system.orders(layout):
                setting = type(default)(default.layout, order, default.columns, default.options)
                worker.call("run", layout.name, system.text(layout, setting))
                assert layout.restore(worker.call("read", layout.name)).fingerprint == wanted, (layout.name, order)
            for hour in layout.hours(dataset):
                assert worker.call("read_hour", layout.name, hour) == hour.samples


GIVEN = """
import pyarrow as pa, pyarrow.parquet as pq
from pyarrow.feather import read_table, write_feather
from pathlib import Path
text = Path("text").read_text()
given = {{name: read_table(f"given_{{name}}.arrow") for name in {tables}}}
"""
PASTE = {
    "clickhouse": GIVEN
    + """
from chdb import session
session = session.Session(str(Path("ch").absolute()))
session.query("SET output_format_arrow_string_as_string = 1, output_format_arrow_low_cardinality_as_dictionary = 0")
session.query("CREATE DATABASE mine")
session.query("USE mine")
session.query(text)
for name, rows in given.items():
    for place, column in enumerate(rows.column_names):
        if pa.types.is_string(rows[column].type):
            rows = rows.set_column(place, column, rows[column].fill_null(""))
    session.query(f"INSERT INTO {{name}} SELECT * FROM Python(rows)")
    session.query(f"OPTIMIZE TABLE {{name}} FINAL")
    back = pa.ipc.open_stream(session.query(f"SELECT * FROM {{name}}", "ArrowStream").bytes()).read_all()
    for place, column in enumerate(back.column_names):
        if pa.types.is_string(back[column].type):
            empty = pa.compute.equal(back[column], "")
            back = back.set_column(place, column, pa.compute.if_else(empty, None, back[column]))
    write_feather(back, f"back_{{name}}.arrow")
print(session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'mine' AND active", "TSV").data())
""",
    "duckdb": GIVEN
    + """
import duckdb
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for name, rows in given.items():
    connection.register(name, rows)
connection.execute(text)
for name in given:
    connection.unregister(name)
    write_feather(connection.execute(f"SELECT * FROM kept.{{name}}").to_arrow_table(), f"back_{{name}}.arrow")
print(Path("metrics.duckdb").stat().st_size)
""",
    "parquet": GIVEN
    + """
exec(text, dict(given))
for name in given:
    write_feather(pq.read_table(f"{{name}}.parquet"), f"back_{{name}}.arrow")
print(sum(Path(f"{{name}}.parquet").stat().st_size for name in given))
""",
    "parquet_duckdb": GIVEN
    + """
import duckdb
for name, rows in given.items():
    duckdb.register(name, rows)
duckdb.execute(text)
for name in given:
    write_feather(pq.read_table(f"{{name}}.parquet"), f"back_{{name}}.arrow")
print(sum(Path(f"{{name}}.parquet").stat().st_size for name in given))
""",
    "parquet_polars": GIVEN
    + """
import polars
exec(text, {{name: polars.from_arrow(rows) for name, rows in given.items()}})
for name in given:
    write_feather(pq.read_table(f"{{name}}.parquet"), f"back_{{name}}.arrow")
print(sum(Path(f"{{name}}.parquet").stat().st_size for name in given))
""",
    "zarr": GIVEN
    + """
import zarr
series, samples = given["series"], given["samples"]
names = dict(series_id="id", timestamp="timestamp", value="value")
arrays = {{name: samples[column].to_numpy() for name, column in names.items()}}
exec(text, dict(arrays, timestamp=arrays["timestamp"].astype("int64"), series=series.drop_columns(["id"]).to_pylist()))
root = zarr.open_group("metrics.zarr", mode="r")
listed = [dict(one, id=number) for number, one in enumerate(root.attrs["series"])]
write_feather(pa.Table.from_pylist(listed, schema=series.schema), "back_series.arrow")
back = {{column: root[name][:] for name, column in names.items()}}
write_feather(pa.table(back), "back_samples.arrow")
print(sum(path.stat().st_size for path in Path("metrics.zarr").rglob("*") if path.is_file()))
""",
}
"""What a user does with a text, with nothing of the lab: makes rows, pastes, and reads them back."""


def check_pasted(name: str, dataset: MetricDataset, advised: Advised, folder: Path) -> None:
    """Paste what was advised, as a user would, and compare bytes and samples with what was reported."""
    best = advised.advice.get("advised")
    assert best is not None
    assert best.bit_exact
    assert best.statement == advised.statement
    layout = next(one for one in layouts(dataset) if one.name == best.description.split(" ")[0])
    for table in layout.tables:
        feather.write_feather(table.rows, folder / f"given_{table.name}.arrow")
    (folder / "text").write_text(advised.statement)
    code = PASTE[name].format(tables=[one.name for one in layout.tables])
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == best.encoded_bytes
    back = layout.restore({one.name: feather.read_table(folder / f"back_{one.name}.arrow") for one in layout.tables})
    assert back.fingerprint == in_canonical_order(dataset).fingerprint


@pytest.mark.parametrize("name", PASTE)
def test_the_text_pasted_into_the_engine_makes_what_was_reported(
    name: str, small: MetricDataset, tmp_path: Path
) -> None:
    skip_if_missing(name)
    dataset = part_of(small, 4_000)
    advised = advise(dataset, name, budget=8)
    assert advised.savings is not None
    assert advised.savings > 0.1
    check_pasted(name, dataset, advised, tmp_path)
    assert len(advised.to_frame()) == len(advised.advice.settings)
    assert "<table>" in advised._repr_html_()


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("clickhouse", ["Int64", "Float32"]),
        ("duckdb", ["BIGINT", "FLOAT"]),
        ("parquet", []),
        ("parquet_duckdb", []),
        ("zarr", ['dtype="int64"', 'dtype="float32"']),
    ],
)
def test_counters_of_int64_and_gauges_of_float32_stay_what_they_are(
    name: str, types: list[str], tmp_path: Path
) -> None:
    skip_if_missing(name)
    rng = np.random.default_rng(0)
    times = 1_700_000_000 + 15 * np.arange(1000)
    counter = Series(SeriesKey("requests_total", {}), times, 2**60 + np.cumsum(rng.integers(0, 9, 1000)))
    gauge = Series(SeriesKey("load", {}), times, np.round(rng.normal(size=1000), 2).astype(np.float32))
    chosen = [counter, gauge] if name != "zarr" else [counter]
    advised = advise(MetricDataset.from_series(chosen), name, budget=4)
    assert not any("doubles" in note for note in advised.advice.notes)
    assert not advised.advice.noise, "float32 has no digits to spare"
    for kind in types[: len(chosen)]:
        assert kind in advised.statement
    check_pasted(name, MetricDataset.from_series(chosen), advised, tmp_path)


def test_a_system_with_one_type_for_all_is_given_doubles_and_says_so() -> None:
    skip_if_missing("zarr")
    advised = advise(typed(COUNTER, SINGLES), "zarr", budget=1)
    told = "Zarr, format 3 was given doubles in place of int64 ("
    assert any(note.startswith(told) and "integers beyond 2^53" in note for note in advised.advice.notes)
    setting = advised.advice.get("advised")
    assert not setting.bit_exact, "what came back is what was put in, not what was given"
    assert re.fullmatch(r"[\d,]+ integers rounded to doubles", setting.lost)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_characters_are_no_matter_to_advice(name: str, tmp_path: Path) -> None:
    skip_if_missing(name)
    (advice,), failed = advise_all([get_system(name)], replace_value(odd(), EDGES[1], EDGES[0]), budget=1)
    assert not failed
    assert advice.get("advised").bit_exact
    AdviceReport("odd", [advice]).write(tmp_path)
    rows = [line for line in (tmp_path / "advice.md").read_text().splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)
    assert (tmp_path / next(iter(advice.statements))).read_text() == next(iter(advice.statements.values()))


def test_what_a_system_loses_is_said_and_not_advised() -> None:
    skip_if_missing("duckdb")
    stale = MetricDataset.from_series([Series(SeriesKey("up", {}), np.arange(9), np.full(9, EDGES[:1].view("f8")[0]))])
    with pytest.raises(SystemFailedError, match="nothing came back bit by bit: 9 values changed"):
        advise(stale, "duckdb", budget=2)
    mixed = MetricDataset.from_series([Series(SeriesKey("up", {}), np.arange(100), np.tile(EDGES, 20).view("f8"))])
    with pytest.raises(SystemFailedError, match="nothing came back bit by bit: 20 values changed"):
        advise(mixed, "parquet_duckdb", budget=2)


@pytest.mark.parametrize("bits", [EDGES[:2], EDGES[3:4]])
def test_a_server_that_keeps_nothing_of_the_data_is_a_line(bits: np.ndarray) -> None:
    skip_if_missing("influxdb")
    values = np.tile(bits, 10).view("f8")
    times = 1_700_000_000 + np.arange(len(values))
    with pytest.raises(SystemFailedError, match=f"{len(values)} of {len(values)} samples did not come back"):
        advise(MetricDataset.from_series([Series(SeriesKey("up", {}), times, values)]), "influxdb", budget=2)


@pytest.mark.parametrize("name", ["influxdb", "prometheus", "victoriametrics"])
def test_a_server_of_which_little_can_be_set_is_run_and_says_so(name: str, small: MetricDataset) -> None:
    skip_if_missing(name)
    dataset = part_of(small, 2_000)
    advised = advise(dataset, name, budget=5)
    best = advised.advice.get("advised")
    assert best is not None
    assert best.bit_exact, best.lost
    assert best.encoded_bytes > len(dataset)
    assert advised.advice.notes
    assert ("SHARD DURATION" if name == "influxdb" else "there is nothing to set") in advised.statement


def test_timescaledb_is_left_out_with_a_word() -> None:
    with pytest.raises(InvalidRequestError, match="timescaledb is not advised on: its extension"):
        choose_systems("clickhouse,timescaledb")


def test_a_system_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(InvalidRequestError, match="unknown system 'oracle'"):
        advise(odd(), "oracle")


def test_a_run_of_the_lab_puts_advice_into_its_report(tmp_path: Path) -> None:
    rows = "\n".join(f"{1_700_000_000 + 15 * i},{i % 7 / 10}" for i in range(500))
    (tmp_path / "load.csv").write_text(f"time,load\n{rows}\n")
    command = [sys.executable, PROJECT / "main.py", "bench", "load.csv", "--codecs", "none", "--formats", "none"]
    done = subprocess.run(
        [*command, "--advise", "zarr", "--budget", "0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "reports/load"
    text = (folder / "zarr.py").read_text()
    (advice,) = Results.read(folder / "results.json").advice
    assert advice.statements["zarr.py"] == text
    assert text.rstrip() in (folder / "ratios.md").read_text()
    assert escape(text) in (folder / "report.html").read_text()
    assert text.rstrip() in (folder / "advice.md").read_text()
    assert "Advice: reports/load/advice.md, and each text as a file beside it" in done.stdout


def test_the_command_prints_what_it_saves_as_files(tmp_path: Path) -> None:
    rows = "\n".join(f"{1_700_000_000 + 15 * i},{i % 7 / 10}" for i in range(500))
    (tmp_path / "load.csv").write_text(f"time,load\n{rows}\n")
    done = subprocess.run(
        [
            sys.executable,
            PROJECT / "main.py",
            "advise",
            "load.csv",
            "--for",
            "parquet",
            "--budget",
            "5",
            "--retention",
            "1y",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "reports/load-advice/parquet.py").read_text()
    assert text in done.stdout
    content = json.loads((tmp_path / "reports/load-advice/advice.json").read_text())
    assert content["advice"][0]["statements"]["parquet.py"] == text
    assert "today's default" in (tmp_path / "reports/load-advice/advice.md").read_text()
