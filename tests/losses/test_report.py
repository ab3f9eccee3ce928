"""All methods on a data set: what is measured, written and told, and the command line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.errors import InvalidRequestError
from squeezelab.losses import METHODS, Bound, measure_losses
from squeezelab.losses import measure as measuring
from squeezelab.losses.methods import Packed
from squeezelab.losses.page import answers, write_losses
from squeezelab.losses.results import Losses

BOUNDS = [Bound("range", 0.01), Bound("value", 0.01)]


@pytest.fixture(scope="module")
def dataset() -> MetricDataset:
    """Return a gauge with holes, a counter with a reset, a constant, and a series of nothing but NaN."""
    rng = np.random.default_rng(1)
    times = 15 * np.arange(1000)
    gauge = np.round(50 + np.cumsum(rng.normal(size=1000)), 2)
    gauge[100:110] = np.nan
    counter = np.cumsum(rng.poisson(100, 1000)).astype(float)
    counter[500:] -= counter[499]
    columns = {"gauge<b>": gauge, "requests_total": counter, "up": np.ones(1000), "nothing": np.full(1000, np.nan)}
    return MetricDataset.from_series([Series(SeriesKey(name, {}), times, column) for name, column in columns.items()])


@pytest.fixture(scope="module")
def losses(dataset: MetricDataset) -> Losses:
    return measure_losses(dataset, bounds=BOUNDS, data="metrics.csv")


def test_every_method_within_every_bound_has_a_row(losses: Losses) -> None:
    chosen, left_out = measuring.choose_methods(None)
    assert len(left_out) == len(METHODS) - len(chosen)
    keys = [(row.method, row.kind) for row in losses.rows if row.kind != "window"]
    assert sorted(keys) == sorted((name, bound.kind) for name in chosen for bound in BOUNDS)
    assert [row.label for row in losses.of_kind("window")] == [f"windows of {one}" for one in ("1m", "5m", "15m", "1h")]
    assert losses.counters == 1
    assert losses.specials == 1010
    for row in losses.rows:
        assert not row.broken
        assert not row.specials_changed
        assert row.gauges is not None
        assert row.counters is not None
        assert row.gauges.series == row.counters.series == 1, "what does not move is not asked"


def test_down_sampling_keeps_the_maximum_and_loses_the_p99(losses: Losses) -> None:
    for row in losses.of_kind("window"):
        assert row.gauges is not None
        assert row.counters is not None
        assert row.gauges.maximum is not None
        assert row.gauges.maximum.worst == 0
        assert row.counters.false_resets == 0
    moved = [row.gauges.p99.median for row in losses.of_kind("window") if row.gauges and row.gauges.p99]
    assert moved == sorted(moved)


def test_what_is_written_says_all_of_it(losses: Losses, tmp_path: Path) -> None:
    page, text, *written = write_losses(losses, tmp_path)
    assert {one.name for one in written} >= {"losses.json", "losses.csv", "losses-range.png", "losses-value.png"}
    assert {"losses-range.svg", "losses-value.svg"} <= {one.name for one in tmp_path.iterdir()}
    html = page.read_text()
    assert "<script" not in html
    assert "none is broken" in html
    assert "![" in text.read_text()
    content = json.loads((tmp_path / "losses.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert [row["method"] for row in content["rows"]] == [row.method for row in losses.rows]
    with (tmp_path / "losses.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["bits"]) for line in lines] == [row.smallest for row in losses.rows]


def test_a_broken_bound_is_said_first(dataset: MetricDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Careless(type(METHODS["pmc"])):  # type: ignore[misc]
        def attempts(self, clock, values, bound, allowed):
            yield Packed(values + 2 * allowed, {"as it is": 9, "zstd:level=19": 8})

    monkeypatch.setitem(measuring.METHODS, "pmc", Careless())  # type: ignore[arg-type]
    losses = measure_losses(dataset, bounds=BOUNDS[:1], methods=["pmc"])
    (row,) = losses.of_kind("range")
    assert (row.broken, row.broken_series) == (990 + 1000, 2)
    assert "PMC-mean breaks 1 % of the range at 1,990 samples of 2 series" in " ".join(answers(losses))
    write_losses(losses, tmp_path)


def test_what_is_no_number_afterwards_is_broken_and_null(
    dataset: MetricDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Losing(type(METHODS["pmc"])):  # type: ignore[misc]
        def attempts(self, clock, values, bound, allowed):
            yield Packed(np.full(values.shape, np.nan), {"as it is": 9, "zstd:level=19": 8})

    monkeypatch.setitem(measuring.METHODS, "pmc", Losing())  # type: ignore[arg-type]
    losses = measure_losses(dataset, bounds=BOUNDS[:1], methods=["pmc"])
    write_losses(losses, tmp_path)
    row = json.loads((tmp_path / "losses.json").read_text(), parse_constant=lambda name: pytest.fail(name))["rows"][0]
    assert (row["broken"], row["error"], row["largest"], row["gauges"]) == (1990, None, None, None)


def test_a_method_that_raises_costs_a_line(dataset: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(type(METHODS["pmc"])):  # type: ignore[misc]
        def attempts(self, clock, values, bound, allowed):
            raise RuntimeError("no")

    monkeypatch.setitem(measuring.METHODS, "pmc", Failing())  # type: ignore[arg-type]
    losses = measure_losses(dataset, bounds=BOUNDS, methods=["pmc", "decimal"])
    assert {row.method for row in losses.rows if row.kind != "window"} == {"decimal"}
    assert losses.left_out == ["PMC-mean: RuntimeError: no"]


def test_missing_packages_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "is_installed", lambda package: package is None)
    chosen, left_out = measuring.choose_methods(None)
    assert not {"sz3", "zfp"} & set(chosen)
    assert left_out == [
        "SZ3 needs the package pysz: pip install 'squeezelab[losses]'",
        "ZFP needs the package zfpy: pip install 'squeezelab[losses]'",
    ]


def test_what_cannot_be_is_rejected(dataset: MetricDataset) -> None:
    with pytest.raises(InvalidRequestError, match="choose from bitround"):
        measure_losses(dataset, methods=["jpeg"])
    with pytest.raises(InvalidRequestError, match="no sample"):
        measure_losses(MetricDataset.from_series([]))


# ---- The command line ----


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROJECT / "main.py", "losses", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_own_data_have_a_folder_of_their_own(tmp_path: Path) -> None:
    rows = [f"{1_700_000_000 + 15 * i},{i % 17 + 0.25 * (i % 3)}" for i in range(400)]
    (tmp_path / "metrics.csv").write_text("\n".join(["time,cpu", *rows]) + "\n")
    quick = ("--range", "1%", "--value", "none", "--absolute", "0.5", "--methods", "decimal,simpiece")
    done = run("metrics.csv", *quick, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "none is broken" in done.stdout
    content = json.loads((tmp_path / "reports" / "losses" / "metrics" / "losses.json").read_text())
    labels = {row["label"] for row in content["rows"] if row["kind"] != "window"}
    assert labels == {"1 % of the range", "0.5 absolute"}
    named = run("metrics.csv", *quick, "--name", "mine", folder=tmp_path)
    assert named.returncode == 0, named.stderr
    assert (tmp_path / "reports" / "losses" / "mine" / "losses.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--range", "wide"), "is no bound"),
        (("--value", "200%"), "above 0 and below 1"),
        (("--methods", "jpeg"), "choose from"),
        (("missing.csv",), "missing.csv"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
