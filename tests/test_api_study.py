"""Explaining series of files, as a user types it; and the picture."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from test_cli import run

from squeezelab import MetricDataset, SeriesKey
from squeezelab.api import _file_names, study_each
from squeezelab.dataset import Series
from squeezelab.errors import InvalidRequestError
from squeezelab.report.study import _edges, _envelope

CODECS = ["xor", "alp", "zstd", "victoria", "delta_of_delta"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ["timestamp,load,pages,up"]
    lines += [f"{1_700_000_000 + 15 * i},{0.05 * (i * i % 37):.2f},{4096 * (i // 3)},1" for i in range(300)]
    (tmp_path / "host.csv").write_text("\n".join(lines) + "\n")
    wide = [f"m{i}" for i in range(9)]
    (tmp_path / "wide.csv").write_text("timestamp," + ",".join(wide) + "\n0" + ",1" * 9 + "\n15" + ",2" * 9 + "\n")
    return tmp_path


def test_a_series_is_told_and_drawn(folder: Path) -> None:
    done = run("explain", "host.csv", "--series", "load", "--codecs", ",".join(CODECS), folder=folder)
    assert done.returncode == 0, done.stderr
    for words in (
        "host.csv: wide csv",
        "multiples of 0.05",
        "19 distinct values",
        "The most common one is 15 s.",
        "victoria (lossy)",
        "Picture: reports/explain/host-load.png, reports/explain/host-load.svg",
    ):
        assert words in done.stdout
    assert "pages" not in done.stdout
    assert {path.name for path in (folder / "reports" / "explain").iterdir()} == {"host-load.png", "host-load.svg"}


def test_several_series_are_told_one_after_another(folder: Path) -> None:
    done = run("explain", "host.csv", "--codecs", "xor", "--reports", "there", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "multiples of 4,096" in done.stdout
    assert "All values are the same." in done.stdout
    assert len(list((folder / "there" / "explain").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wide.csv"], "9 series are more than the 8 that can be explained at once: choose some with --series, of m0"),
        (["host.csv", "--series", "nonsense"], "no series fits nonsense"),
        (["host.csv", "--codecs", "gzip"], "unknown codec 'gzip'"),
        (["none.csv"], "none.csv does not exist"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, folder: Path) -> None:
    done = run("explain", *arguments, folder=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "reports").exists()


def test_a_cost_is_told_where_it_is_asked_for(folder: Path) -> None:
    options = ["--codecs", "xor,delta_of_delta", "--formats", "columnar", "--budget", "0"]
    cost = ["--samples-per-second", "1e6", "--retention", "395d", "--price-per-gb-month", "0.023"]
    done = run("bench", "host.csv", *options, *cost, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "What it costs to keep" in done.stdout
    assert "kept for 395 days" in " ".join(done.stdout.split())
    report = (folder / "reports" / "host" / "ratios.md").read_text()
    assert "At 1,000,000 samples a second, kept for 395 days; " in report
    assert "Which codec for which metric family" in report
    assert "What it costs to keep" not in run("bench", "host.csv", *options, folder=folder).stdout
    for wrong in (["--retention", "395"], ["--samples-per-second", "0"], ["--price-per-gb-month", "-1"]):
        for command in (["bench", "host.csv"], []):
            rejected = run(*command, *wrong, folder=folder)
            assert (rejected.returncode, rejected.stderr.count("\n")) == (2, 1)
            assert wrong[0] in rejected.stderr


# ---- From Python ----


def alone(values, timestamps=None, unit: str = "s", name: str = "m") -> MetricDataset:
    values = np.asarray(values, np.float64)
    timestamps = np.arange(values.size) if timestamps is None else np.asarray(timestamps, np.int64)
    return MetricDataset.from_series([Series(SeriesKey(name, {}), timestamps, values)], time_unit=unit)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize(
    "dataset",
    [
        alone([1.5]),
        alone([np.nan, np.nan, np.inf]),
        alone([0.0] * 10),
        alone([1e308, -1e308, 1e308, 5e-324]),
        alone(np.random.default_rng(0).normal(size=10_000), name="</svg> $x$ " + 200 * "long"),
        alone([1.0, 2.0, 4.0], [-(2**62), 0, 2**62], "ns"),
        alone([1.0, 2.0], [1_700_000_000_000, 1_700_000_000_500], "ms"),
        alone([1.0, np.nan] * 3000),
        alone(4096.0 * np.random.default_rng(0).integers(0, 10**6, 500)),
        alone(np.random.default_rng(0).random(500) * 1e300),
    ],
)
def test_every_series_can_be_drawn(dataset: MetricDataset, tmp_path: Path) -> None:
    (one,) = study_each(dataset, CODECS)
    assert one.sentences
    for path in one.draw(tmp_path):
        assert path.stat().st_size > 5000
    assert all(table.to_markdown() for table in one.tables)


def test_only_codecs_of_timestamps_were_chosen(tmp_path: Path) -> None:
    (one,) = study_each(alone([1.0, 2.0]), ["delta_of_delta"])
    assert len(one.draw(tmp_path)) == 2
    assert len(one.tables) == 2


def test_what_is_told_is_in_the_datasets_unit() -> None:
    (one,) = study_each(alone([1.0, 2.0], [0, 500], "ms"), ["xor"])
    assert "The most common one is 500 ms." in " ".join(
        study.sentences[0] for study in study_each(alone([1.0, 2.0, 3.0], [0, 500, 1000], "ms"), ["xor"])
    )
    assert one.explained.facts.interval == 500


def test_too_many_series_are_rejected(small: MetricDataset) -> None:
    with pytest.raises(InvalidRequestError, match="50 series are more than"):
        next(study_each(small, ["xor"]))


def test_names_of_files_are_plain_short_and_all_different() -> None:
    names = _file_names("data", ['up{host="a/b.c"}', 'UP{host="A/B.C"}', "x" * 500, "x" * 501, "data"])
    assert names[0] == "data-up_host_a_b_c"
    assert len({name.lower() for name in names}) == 5
    assert max(map(len, names)) <= 80
    assert names[-1] == "data"


def test_thinning_keeps_every_peak() -> None:
    values = np.zeros(100_000)
    values[[17, 54_321]] = [9.0, -9.0]
    values[99_999] = np.nan
    chosen = _envelope(values)
    assert chosen.size <= 2000
    assert {17, 54_321} <= set(chosen.tolist())


def test_ranges_of_deltas_hold_equally_many_steps() -> None:
    deltas = 0.01 * np.random.default_rng(0).integers(-500, 500, 10_000)
    edges = _edges(deltas, 0.01)
    width = np.diff(edges) / 0.01
    assert np.allclose(width, np.round(width[0]))
    assert np.allclose(np.abs(edges / 0.01) % 1, 0.5)
    assert np.all(np.diff(_edges(np.array([0.0] * 500 + [1.0]), None)) > 0)


def test_the_floor_stands_beside_the_bars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[Figure] = []
    monkeypatch.setitem(mpl.rcParams, "axes.titlelocation", "left")
    monkeypatch.setattr("squeezelab.report.study.save_figure", lambda draw, path: drawn.append(draw()) or [path])
    (one,) = study_each(alone([0.5, 0.75, 0.5, 1.0] * 20), CODECS)
    one.draw(tmp_path)
    bars = next(axes for axes in drawn[0].axes if axes.get_title(loc="left") == "Bits a value")
    floors = [line.get_xdata()[0] for axes in drawn[0].axes for line in axes.lines if line.get_linestyle() == "--"]
    assert floors == [one.explained.facts.floor]
    lossless = [each for each in one.results.find("values") if not each.lossy]
    assert len(bars.patches) == len(lossless)
