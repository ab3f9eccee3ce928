"""What the commands that read a user's files take, and what they say of files that are damaged."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Run
from pyarrow import feather, parquet

from squeezelab import TallyFile
from squeezelab.formats import get_format
from squeezelab.programs import find_program

T = 1_704_067_200
QUICK = ("--codecs", "xor", "--formats", "none", "--budget", "0")
OPTIONS = "--input-format --time-column --time-unit --series --from --until --limit --interval --decimal --date-format"
OPTIONS += " --timezone"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.mark.parametrize("command", ["bench", "explain", "advise", "atlas", "pack", "append"])
def test_all_commands_take_the_same_options(run: Run, command: str) -> None:
    told = run(command, "--help")
    for option in OPTIONS.split():
        assert option in told, f"{command} lacks {option}"


@pytest.mark.parametrize(
    ("content", "options", "times", "values"),
    [
        ("when;a\n01/02/2024 00:00;1,500\n", ("--date-format", "day-first", "--decimal", ","), [T + 31 * 86400], [1.5]),
        ("when,a\n02|01|2024,1\n", ("--date-format", "%m|%d|%Y"), [T + 31 * 86400], [1]),
        ("time,a\n2024-07-01 02:00:00,1\n", ("--timezone", "Europe/Berlin"), [T + 182 * 86400], [1]),
        ("a,b\n1,2\n3,4\n", ("--interval", "15s", "--series", "b"), [0, 15], [2, 4]),
        (f"x,time,a\n{T},5,1\n", ("--time-column", "x", "--series", "a"), [T], [1]),
        (f"time,a\n{T},1\n{T + 1},2\n{T + 2},3\n", ("--from", T + 1, "--until", T + 2), [T + 1], [2]),
        (f"time,a\n{T},1\n{T + 1},2\n", ("--limit", 1), [T], [1]),
        ("time,a\n5000,1\n", ("--time-unit", "ms"), [5], [1]),
        (f'{{"time": {T}, "a": 1}}\n', ("--input-format", "ndjson"), [T], [1]),
    ],
)
def test_what_a_user_says_reaches_the_reader(
    run: Run, content: str, options: tuple[object, ...], times: list[int], values: list[float]
) -> None:
    Path("x.csv").write_text(content)
    run("pack", "x.csv", "--to", "x.tally", *options)
    dataset = TallyFile.open("x.tally").read_all()
    assert (dataset.timestamps.tolist(), dataset.values.tolist()) == (times, values)
    run("append", "x.tally", "x.csv", *options)
    assert len(TallyFile.open("x.tally").read_all()) == 2 * len(times)


def test_reports_have_the_name_that_was_given_or_do_not_overwrite_each_other(run: Run) -> None:
    for folder, rows in (("a", 50), ("b", 60)):
        Path(folder).mkdir()
        Path(folder, "load.csv").write_text("time,load\n" + "".join(f"{T + i},{i}\n" for i in range(rows)))
        run("bench", f"{folder}/load.csv", *QUICK)
    run("bench", "a/load.csv", "--name", "of a", *QUICK)
    samples = {
        path.parent.name: json.loads(path.read_bytes())["dataset"]["samples"]
        for path in Path("reports").glob("*/results.json")
    }
    assert samples == {"load": 50, "b-load": 60, "of a": 50}
    assert "cannot be the name of a folder" in run("bench", "a/load.csv", "--name", "../x", *QUICK, code=2)


def table() -> pa.Table:
    return pa.table({"time": np.arange(T, T + 5000), "a": np.arange(5000.0)})


def damaged(kind: str) -> Path:
    """Write a file that is damaged, and return its path."""
    path = Path(f"x.{kind}")
    if kind == "parquet":
        parquet.write_table(table(), path)
    elif kind == "arrow":
        feather.write_feather(table(), path, compression="uncompressed")
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(b"time,a\n" + b"".join(b"%d,%d\n" % (T + i, i * i) for i in range(5000))))
    elif kind == "tally":
        from squeezelab import generate_metric_data

        get_format("tally").write(generate_metric_data(), path)
    elif kind == "tsdb":
        for name in ("index", "chunks/000001", "meta.json"):
            (path / "block" / name).parent.mkdir(parents=True, exist_ok=True)
            (path / "block" / name).write_text('{"ulid": "01HK0000000000000000000000"}')
        return path
    else:
        texts = {"csv": "a,b\nx,y\n", "json": '[{"time": 1704067200, "a": ', "ndjson": '{"time": 1704067200}\n{"a"\n'}
        texts |= {"prom": "up{ 1\nup} 2\n", "lp": "cpu usage=\ncpu =5\n"}
        texts |= {"annotated.csv": "#datatype,string,long,double\n#default\n,result,table,_value\n,,0,x\n"}
        path.write_text(texts[kind])
        return path
    whole = path.read_bytes()
    rest = b"" if kind == "arrow" else whole[len(whole) // 2 + 100 :]  # where numbers were there are others: no damage
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 64 + rest)
    return path


KINDS = ["csv", "csv.gz", "json", "ndjson", "prom", "lp", "annotated.csv", "parquet", "arrow", "tally"]


@pytest.mark.parametrize("kind", KINDS + ["tsdb"] * bool(find_program("promtool")))
def test_a_damaged_file_is_one_line(run: Run, kind: str) -> None:
    path = damaged(kind)
    for arguments in (("bench", path, *QUICK), ("pack", path, "--to", "y.tally"), ("explain", path)):
        told = [line for line in run(*arguments, code=2).splitlines() if not line.startswith("Compiling kernels")]
        assert len(told) == 1
        assert told[0].startswith("error: ")
    assert not Path("reports").exists()
    assert not Path("y.tally").exists()


@pytest.fixture
def typed() -> str:
    """Write a file of a counter beyond 2^53, readings of float32, and doubles with a null."""
    columns = {
        "time": pa.array(range(T, T + 20), pa.timestamp("s")),
        "counter": pa.array([2**60 + i // 2 for i in range(20)]),
        "single": pa.array([0.1 * i for i in range(20)], pa.float32()),
        "gauge": pa.array([None, *(0.1 * i for i in range(19))]),
    }
    parquet.write_table(pa.table(columns), "x.parquet")
    return "x.parquet"


def test_explain_takes_columns_of_several_types(run: Run, typed: str) -> None:
    told = run("explain", typed, "--codecs", "xor,zstd,pattern")
    assert sorted(path.stem for path in Path("reports/explain").glob("*.png")) == ["x-counter", "x-gauge", "x-single"]
    assert "10 distinct values" in told, "as doubles all of them are one"
    assert (
        "- Values of 1 series are float32 (single). What does not take these did not run on them (xor, pattern)" in told
    )
    assert "- Values of 1 series are int64 (counter). What does not take these did not run on them (xor)" in told


def test_what_was_given_doubles_or_nothing_is_in_the_conclusion(run: Run, typed: str) -> None:
    options = ("--codecs", "xor,zstd", "--formats", "prometheus,cbor", "--engines", "sqlite", "--by", "metric")
    told = run("bench", typed, *options, "--budget", "0")
    assert "- Values of 1 series are int64 (counter). What does not take these ran on the other series (xor) or" in told
    doubles = (
        "given doubles in place of int64 (counter) and float32 (single); 18 integers beyond 2^53 became the nearest"
    )
    assert f"- Each database (sqlite) was {doubles}" in told
    assert f"- Prometheus, by metric name, was {doubles}" in told
    for note in (line[2:] for line in told.splitlines() if line.startswith("- ")):
        assert note in Path("reports/x/ratios.md").read_text()
    told = run("losses", typed, "--range", "1%", "--value", "none", "--absolute", "none", "--methods", "decimal")
    assert f"- Every method was {doubles}" in told
    assert doubles in Path("reports/losses/x/losses.md").read_text()
    told = run("atlas", "--data", typed, "--codecs", "xor", "--cells", "2", "--values", "64", "--at-least", "0")
    assert f"- Each codec on the maps was {doubles}" in told
    assert doubles in Path("reports/atlas/atlas.html").read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--threshold", "nan"), "a threshold of nan is never crossed: give a number"),
        (("--threshold", "inf"), "a threshold of inf is never crossed: give a number"),
        (("--methods", "nope"), "unknown method 'nope': choose from"),
        (("--range", "100%"), "a bound of 1 is none: give a number above 0 and below 1"),
    ],
)
def test_options_of_losses_are_looked_at_before_the_data(run: Run, options: tuple[str, str], reason: str) -> None:
    assert run("losses", "nowhere.csv", *options, code=2).startswith(f"error: {reason}")
