"""The atlas: columns by their knobs, knobs by their columns, winners, and what is written."""

import json
from pathlib import Path

import numpy as np
import pytest

from squeezelab import MetricDataset, SeriesKey
from squeezelab.atlas import MAPS, Cell, Map, measure_atlas
from squeezelab.atlas.columns import is_counter
from squeezelab.atlas.measure import encode_all
from squeezelab.atlas.page import write_atlas
from squeezelab.codecs import get_codec
from squeezelab.dataset import Series
from squeezelab.errors import InvalidRequestError

BY_NAME = {one.name: one for one in MAPS}


def estimated(sheet: Map, x: float, y: float, size: int = 20_000) -> tuple[float, float] | None:
    column = sheet.column(x, y, size, seed=5)
    plain = np.arange(column.size)
    timestamps, values = (column, plain * 1.0) if sheet.subject == "timestamps" else (plain, column)
    return sheet.estimate(Series(SeriesKey("one", {}), timestamps, values))


@pytest.mark.parametrize("decimals", [0, 2, 5, 9])
@pytest.mark.parametrize("noise", [1e-5, 1e-3, 0.05])
def test_decimals_and_noise_are_found_again(decimals: int, noise: float) -> None:
    if noise * 100 * 10**decimals * 20_000**0.5 < 20:
        pytest.skip("a walk that stays within a few last digits")
    found = estimated(BY_NAME["decimals"], decimals, noise)
    assert found == (pytest.approx(decimals, abs=0.3), pytest.approx(noise, rel=0.25))


def test_full_doubles_have_all_decimals_there_are() -> None:
    found = estimated(BY_NAME["decimals"], 14, 0.01)
    assert found is not None
    assert found[0] >= 13.5


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_a_gauge_is_seen_as_if_it_were_near_100(scale: float) -> None:
    walk = BY_NAME["decimals"].column(3, 0.002, 5000, seed=1)
    steps = np.rint(walk * 1000)
    scaled = steps * scale if scale >= 1 else steps / round(1 / scale)
    found = BY_NAME["decimals"].estimate(Series(SeriesKey("one", {}), np.arange(5000), scaled))
    assert found == (pytest.approx(3, abs=0.3), pytest.approx(0.002, rel=0.25))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("length", [2, 5, 60])
def test_share_and_length_of_runs_are_found_again(share: float, length: float) -> None:
    found = estimated(BY_NAME["repeats"], share, length, 100_000)
    assert found == (pytest.approx(share, abs=0.05), pytest.approx(length, rel=0.15))


def test_without_runs_there_are_no_equal_neighbours() -> None:
    assert estimated(BY_NAME["repeats"], 0.0, 7) == (0.0, 2.0)


@pytest.mark.parametrize("jitter", [0.0, 1e-4, 0.02, 0.2])
@pytest.mark.parametrize("interval", [10, 15_000, 10**7])
def test_jitter_and_interval_are_found_again(jitter: float, interval: float) -> None:
    found = estimated(BY_NAME["timestamps"], jitter, interval)
    assert found is not None
    # Less than half a unit is rounded away, from the timestamps themselves.
    assert found[0] == pytest.approx(jitter, rel=0.1, abs=0.5 / interval)
    assert found[1] == pytest.approx(interval, rel=0.02)


def test_gaps_are_no_jitter() -> None:
    clock = 15_000 * np.concatenate([np.arange(100), np.arange(5000, 5100)])
    one = Series(SeriesKey("one", {}), clock, np.ones(200))
    assert BY_NAME["timestamps"].estimate(one) == (0.0, 15_000.0)


@pytest.mark.parametrize("growth", [1, 100, 1e5])
@pytest.mark.parametrize("resets", [0, 3, 30])
def test_growth_and_resets_are_found_again(growth: float, resets: float) -> None:
    found = estimated(BY_NAME["counters"], growth, resets, 50_000)
    assert found == (pytest.approx(growth, rel=0.05), pytest.approx(resets, rel=0.25))


def test_only_counters_are_counters() -> None:
    assert not is_counter(np.array([5.0, 5.0, 5.0])), "it does not grow"
    assert not is_counter(np.array([-1.0, 5.0])), "counters are not negative"
    assert not is_counter(np.array([1.0, np.nan])), "of NaN nothing is known"
    assert is_counter(np.array([9.0, 10.0, 4.0, 5.0]))
    assert BY_NAME["counters"].estimate(Series(SeriesKey("g", {}), np.arange(3), np.array([3.0, 2.5, 3.0]))) is None


@pytest.mark.parametrize("sheet", MAPS, ids=lambda one: one.name)
def test_same_seed_same_bytes_and_every_corner_can_be_made(sheet: Map) -> None:
    for x in sheet.x.values(3).tolist():
        for y in sheet.y.values(3).tolist():
            one, again = (sheet.column(x, y, 300, seed=3) for _ in range(2))
            assert one.tobytes() == again.tobytes()
            assert one.dtype == (np.int64 if sheet.subject == "timestamps" else np.float64)
            assert np.all(np.isfinite(one))
    assert sheet.column(x, y, 300, seed=4).tobytes() != one.tobytes()


@pytest.mark.parametrize("sheet", MAPS, ids=lambda one: one.name)
def test_knobs_lie_where_their_cells_are(sheet: Map) -> None:
    for knob in (sheet.x, sheet.y):
        grid = knob.values(7)
        assert [knob.position(one, grid) for one in grid.tolist()] == pytest.approx(range(grid.size))
        assert knob.position(-1e9 if knob.scale == "linear" else 0, grid) == 0
        assert knob.position(1e300, grid) == grid.size - 1


def test_other_settings_of_the_winner_are_not_its_rivals() -> None:
    cell = Cell(
        0, 0, {"zstd": 4.4, "zstd:level=22": 4.0, "xor": 5.0}, {"zstd": 900.0, "zstd:level=22": 9.0, "xor": 900.0}
    )
    best = cell.win()
    assert best is not None
    assert (best.codec, best.second, best.margin) == ("zstd:level=22", "xor", 0.25)
    fast = cell.win(at_least=500)
    assert fast is not None
    assert (fast.codec, fast.second) == ("zstd", "xor")
    assert cell.win(at_least=1000) is None


def test_a_codec_that_loses_bits_or_raises_is_told_and_not_ranked() -> None:
    class Liar(type(get_codec("raw"))):  # type: ignore[misc]
        def decode(self, data, out=None):
            return super().decode(data) + 1

    class Broken(type(get_codec("raw"))):  # type: ignore[misc]
        def encode(self, buf):
            raise RuntimeError("no")

    frames, failed = encode_all(np.ones(3), {"raw": get_codec("raw"), "liar": Liar(), "broken": Broken()})
    assert list(frames) == ["raw"]
    assert failed == {"liar": "ValueError: it lost bits", "broken": "RuntimeError: no"}


def test_lossy_codecs_are_on_no_map_of_values() -> None:
    frames, _ = encode_all(np.ones(3), {"victoria": get_codec("victoria")})
    assert not frames


def test_what_is_written_says_every_codec_on_every_cell(tmp_path: Path) -> None:
    values = BY_NAME["decimals"].column(1, 0.01, 200, seed=0)
    dataset = MetricDataset([SeriesKey("mine<b>", {})], np.array([0, 200]), 15 * np.arange(200), values)
    codecs = ["raw", "xor", "delta_of_delta", "pcodec"]
    maps = [BY_NAME["decimals"], BY_NAME["timestamps"]]
    atlas = measure_atlas(
        codecs=codecs, cells=2, values=200, maps=maps, dataset=dataset, data="metrics.csv", at_least=1
    )
    page, *written = write_atlas(atlas, tmp_path)
    content = json.loads((tmp_path / "atlas.json").read_text())
    assert [one["name"] for one in content["maps"]] == ["decimals", "timestamps"]
    for one in content["maps"]:
        expected = {"raw", "delta_of_delta", "pcodec"} if one["subject"] == "timestamps" else {"raw", "xor", "pcodec"}
        assert len(one["cells"]) == len(one["x"]["values"]) * len(one["y"]["values"])
        for cell in one["cells"]:
            assert cell["bits"].keys() == cell["decode_mb_s"].keys() == expected
            assert cell["win"]["bits"] == min(cell["bits"].values())
    gauge = content["maps"][0]["series"][0]
    assert (gauge["number"], round(gauge["x"])) == (1, 1)
    text = page.read_text()
    assert "<script" not in text
    assert "mine&lt;b&gt;" in text
    assert all(path.exists() for path in written)
    assert {"atlas.png", "atlas.svg", "decimals-size.png", "timestamps-speed.svg"} <= {one.name for one in written}


def test_numbers_out_of_range_are_rejected() -> None:
    with pytest.raises(InvalidRequestError, match="cells"):
        measure_atlas(codecs=["raw"], cells=1)
    with pytest.raises(InvalidRequestError, match="speed"):
        measure_atlas(codecs=["raw"], cells=2, at_least=-1)
