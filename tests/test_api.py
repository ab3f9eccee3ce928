"""The lab from Python, and on data of a user's own as typed on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_cli import run

import squeezelab
from squeezelab import MetricDataset
from squeezelab.api import Bench
from squeezelab.codecs import available_codecs
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import available_formats
from squeezelab.shelf import describe_codecs, describe_formats, split_specs

T = 1_700_000_000
QUICK = ("--codecs", "xor,zstd:level=1,delta_of_delta", "--formats", "columnar,ndjson+zstd")


@pytest.fixture(scope="module")
def result(small: MetricDataset) -> Bench:
    return squeezelab.bench(small, "xor,zstd:level=1", ["columnar"], name="mine", rounds=1)


def test_a_result_prints_as_tables(result: Bench) -> None:
    for text in (str(result), repr(result)):
        assert all(word in text for word in ("columnar", "xor", "zstd:level=1", "Codecs of values"))
    html = result._repr_html_()
    assert html.startswith("<table>")
    assert all(f"<td>{name}</td>" in html for name in ("columnar", "xor", "zstd:level=1"))


def test_a_result_is_a_frame(result: Bench) -> None:
    frame = result.to_frame()
    values = frame[(frame.subject == "values") & frame.metric.isna()]
    assert values.codec.tolist() == ["xor", "zstd:level=1"]
    assert values.bit_exact.all()
    assert (values.raw_bytes == 8 * 50_000).all()
    assert result.results.dataset.size == "mine"


def test_a_result_plots(result: Bench, small: MetricDataset, tmp_path: Path) -> None:
    figure = result.plot()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "x.png")
    untimed = squeezelab.bench(small.select([0]), "xor", [], rounds=0)
    assert isinstance(untimed.plot(), Figure)
    with pytest.raises(ValueError, match="nothing was measured"):
        squeezelab.bench(small.select([0]), [], []).plot()


def test_bench_rejects_what_does_not_exist(small: MetricDataset) -> None:
    with pytest.raises(InvalidRequestError, match="unknown codec 'gzip'"):
        squeezelab.bench(small, "gzip")
    with pytest.raises(InvalidRequestError, match="no samples"):
        squeezelab.bench(small.select([]), "xor", [])
    with pytest.raises(AttributeError, match="nonsense"):
        squeezelab.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("xor,zstd:level=19", ["xor", "zstd:level=19"]),
        ("xor zstd", ["xor", "zstd"]),
        ("a:x=1,y=2,b+zstd:level=3,c", ["a:x=1,y=2", "b+zstd:level=3", "c"]),
        (" xor,, zstd ", ["xor", "zstd"]),
        ("", []),
    ],
)
def test_commas_part_codecs_and_parameters(text: str, specs: list[str]) -> None:
    assert split_specs(text) == specs


def test_the_shelf_tells_of_everything() -> None:
    codecs, formats = "\n".join(describe_codecs()), "\n".join(describe_formats())
    assert all(f"\n{name} (" in codecs for name in available_codecs())
    assert "\ntally (values of float64, int64, float32): " in formats
    assert all(
        f"\n{name}: " in formats or f"\n{name} (" in formats
        for name in available_formats()
        if not name.endswith("+zstd")
    )
    assert "\n  level=3: From 1 (fast) to 22 (small, slow); 3 as zstd itself." in codecs
    assert "see its documentation" not in codecs + formats, "every parameter is told in its class's docstring"


# As a user types it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    rows = "".join(f"{T + 15 * i},{i % 7 / 10},{i % 3}\n" for i in range(300))
    (folder / "metrics.csv").write_text("time,load,procs\n" + rows + "oops,1,2\n")
    return folder


def test_what_is_not_installed_is_listed_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.registry.is_installed", lambda package: package is None)
    codecs, formats = list(describe_codecs()), list(describe_formats())
    assert "vortex: not installed; it needs the package vortex-data: pip install 'squeezelab[peers]'" in codecs
    assert "duckdb: not installed; it needs the package duckdb: pip install 'squeezelab[peers]'" in formats


def test_bench_shows_what_it_understood_and_writes_a_report(folder: Path) -> None:
    done = run("bench", "metrics.csv", *QUICK, folder=folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "metrics.csv: wide csv, 0.01 MB, 301 rows, 1 rejected, time: column 'time', seconds since"
    )
    assert lines[1] == "  rejected line 302: 'oops' in 'time' is no time"
    assert lines[2].startswith("600 samples in 2 series, 2023-11-14T22:13:20Z to ")
    assert lines[3] == "interval: 15 s (100.0 % of steps)"
    assert "reports/metrics/ratios.md" in done.stdout
    content = json.loads((folder / "reports" / "metrics" / "results.json").read_text())
    facts = content["dataset"]
    assert (facts["generator"], facts["size"], facts["samples"]) == ("file", "metrics", 600)
    assert facts["provenance"].keys() == {"metrics.csv", "timestamps in"}
    assert {one["codec"] for one in content["measurements"]} == {
        *("xor", "zstd:level=1", "delta_of_delta"),
        *("columnar", "ndjson+zstd"),
    }
    assert all(one["bit_exact"] for one in content["measurements"])
    assert facts["provenance"]["metrics.csv"] in (folder / "reports" / "metrics" / "ratios.md").read_text()


def test_bench_takes_every_choice(folder: Path) -> None:
    choices = ("--input-format", "csv", "--time-column", "time", "--time-unit", "s", "--series", "lo*", "--series", "x")
    span = ("--from", str(T + 15), "--to", "2030-01-01", "--limit", "50", "--reports", "elsewhere")
    done = run("bench", "metrics.csv", *choices, *span, *QUICK, folder=folder)
    assert done.returncode == 0, done.stderr
    facts = json.loads((folder / "elsewhere" / "metrics" / "results.json").read_text())["dataset"]
    assert (facts["series"], facts["samples"]) == (1, 50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "nowhere.csv does not exist"),
        ([], "Missing argument"),
        (["metrics.csv", "--codecs", "gzip"], "unknown codec 'gzip'"),
        (["metrics.csv", "--series", "cpu*"], "no series fits cpu*"),
        (["junk"], "junk is of no known format"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "metrics.csv").write_text((folder / "metrics.csv").read_text())
    (tmp_path / "junk").write_bytes(bytes(np.random.default_rng(1).integers(0, 256, 1000, np.uint8)))
    done = run("bench", *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (tmp_path / "reports").exists()


def test_codecs_lists_the_shelf(tmp_path: Path) -> None:
    done = run("codecs", folder=tmp_path)
    assert done.returncode == 0
    assert "xor (float64 values): Gorilla's value compression" in done.stdout
    assert "columnar (values of float64, int64, float32): " in done.stdout
    assert not list(tmp_path.iterdir())
