"""The command line, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("DATA_GENERATOR", "DATASET_SIZE")}
    return subprocess.run(
        [sys.executable, PROJECT / "main.py", *arguments],
        cwd=folder,
        env=clean | {"COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the default run has been made."""
    folder = tmp_path_factory.mktemp("workplace")
    first = run("--size", "small", folder=folder)
    assert first.returncode == 0, first.stderr
    (folder / "first.txt").write_text(first.stdout)
    return folder


def test_the_default_run_leaves_a_report_and_says_where(workplace: Path) -> None:
    report = workplace / "reports" / "small-synthetic"
    assert "Report: reports/small-synthetic/report.html" in (workplace / "first.txt").read_text()
    assert "delta_of_delta+xor+zstd" in (workplace / "first.txt").read_text()
    names = {path.name for path in report.iterdir()}
    assert {"results.json", "ratios.md", "ratios.csv", "ladder.png", "ladder.svg"} <= names
    assert (workplace / "output" / "raw_dataset.pkl").exists()
    content = json.loads((report / "results.json").read_text())
    assert content["dataset"]["samples"] == 50_000
    assert content["run"]["stages"].keys() >= {"data", "proof", "timing", "formats"}


def test_options_win_over_the_environment(workplace: Path) -> None:
    quick = ("--codecs", "xor", "--formats", "columnar", "--budget", "0")
    done = run("--generator", "random", *quick, folder=workplace, DATA_GENERATOR="real", DATASET_SIZE="small")
    assert done.returncode == 0, done.stderr
    assert "reports/small-random" in done.stdout
    content = json.loads((workplace / "reports" / "small-random" / "results.json").read_text())
    assert all(one["encode_mb_s"] is None for one in content["measurements"]), "a budget of 0 times nothing"
    by_environment = run(*quick, folder=workplace, DATA_GENERATOR="random")
    assert "reports/small-random" in by_environment.stdout


def test_databases_run_where_they_are_asked_for(workplace: Path) -> None:
    quick = ("--codecs", "none", "--formats", "none", "--budget", "0", "--reports", "databases")
    done = run("--engines", "sqlite", *quick, folder=workplace)
    assert done.returncode == 0, done.stderr
    assert "Databases" in done.stdout
    (one,) = json.loads((workplace / "databases" / "small-synthetic" / "results.json").read_text())["engines"]
    assert (one["engine"], one["samples"], one["returned"]["values_changed"]) == ("sqlite", 50_000, 0)
    unknown = run("--engines", "oracle", folder=workplace)
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: unknown engine 'oracle': choose from ")


def test_only_what_was_chosen_is_run(workplace: Path) -> None:
    done = run(
        "--codecs", "xor+zstd:level=1 raw", "--formats", "columnar", "--seed", "5", "--budget", "0.1", folder=workplace
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((workplace / "reports" / "small-synthetic" / "results.json").read_text())
    assert {one["codec"] for one in content["measurements"]} == {"xor+zstd:level=1", "raw", "columnar"}
    assert content["dataset"]["seed"] == 5
    assert content["run"]["settings"]["codecs"] == ["xor+zstd:level=1", "raw"]
    assert content["run"]["settings"]["budget"] == 0.1
    assert content["measurements"][-1]["encode_mb_s"] > 0


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--size", "tiny"], {}, "unknown size 'tiny': choose one of small, big, huge"),
        (["--generator", "foo"], {}, "unknown generator 'foo': choose one of synthetic, random, real, documents"),
        ([], {"DATA_GENERATOR": "foo"}, "unknown generator 'foo'"),
        ([], {"DATASET_SIZE": "foo"}, "unknown size 'foo'"),
        (["--codecs", "gzip"], {}, "unknown codec 'gzip'"),
        (["--codecs", "zstd:level=99"], {}, "zstd has no level 99"),
        (["--formats", "xml"], {}, "unknown format 'xml'"),
        (["--seed", "-1"], {}, "seed -1 is out of range"),
        (["--seed", "x"], {}, "valid integer"),
        (["--budget", "-1"], {}, "--budget -1 is out of range"),
        (["--budget", "nan"], {}, "--budget nan is out of range"),
        (["--siez", "small"], {}, "--siez"),
        (["nonsense"], {}, "nonsense"),
        (["--size"], {}, "--size"),
        (["--generator", "real"], {"WESTERMO_REPO_URL": "file:///nowhere/at/all"}, "WESTERMO_REPO_URL"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    done = run(*arguments, folder=tmp_path, XDG_DATA_HOME=str(tmp_path / "home"), **environment)
    assert done.returncode == 2
    assert message in done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("error: ")
    assert len([line for line in lines if not line.startswith("cloning ")]) == 1
    assert not (tmp_path / "reports").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("--debug", "--size", "tiny", folder=tmp_path)
    assert "Traceback" in done.stderr


def test_help_and_version_answer(tmp_path: Path) -> None:
    from squeezelab import __version__

    assert run("--version", folder=tmp_path).stdout.strip() == f"squeezelab {__version__}"
    done = run("--help", folder=tmp_path)
    assert done.returncode == 0
    for word in ("--size", "--generator", "DATA_GENERATOR", "--seed", "--codecs", "small, big, huge"):
        assert word in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_report_folder_that_cannot_be_written_is_one_line(workplace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(
        "--reports",
        str(tmp_path / "file" / "x"),
        "--codecs",
        "raw",
        "--formats",
        "columnar",
        "--budget",
        "0",
        folder=workplace,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "file" in done.stderr
