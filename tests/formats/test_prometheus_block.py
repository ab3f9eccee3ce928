"""What a block takes on disk: against blocks that promtool makes, a block by hand, and the sums."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.formats import get_format
from squeezelab.formats._prometheus_block import Chunk, block_bytes
from squeezelab.formats.prometheus import encode_series, list_chunks
from squeezelab.programs import find_program

HOUR = 3_600_000
BEGIN = 1_700_000_000_000 // (4 * HOUR) * 4 * HOUR


def test_a_block_of_one_series_by_hand() -> None:
    """Each number as tsdb/docs/format/index.md draws it; the series stands at 48, a multiple of 16."""
    sizes = block_bytes([SeriesKey("up", {"host": "a"})], [[Chunk(0, 15_000, 24), Chunk(30_000, 45_000, 24)]])
    texts = (1 + 8) + (1 + 4) + (1 + 1) + (1 + 2)
    symbols = 5 + 4 + 4 + 1 + texts + 4
    padding = 48 - symbols
    entry = 1 + (1 + 4) + 1 + (1 + 2 + 1) + (2 + 2 + 1) + 4
    lists = 3 * 4 + 2 * 12
    table = (1 + 9 + 3 + 1) + (1 + 5 + 2 + 1)
    assert sizes.samples.tolist() == [48]
    assert sizes.samples_head == 8
    assert sizes.index.tolist() == [texts + padding + entry + lists + table]
    rest = -(48 + entry) % 4
    assert sizes.index_head == 5 + 12 + 1 + rest + 12 + (12 + 1 + 1 + 1 + 1) + 52


def test_what_is_shared_is_divided_and_what_is_not_is_not() -> None:
    one = [Chunk(0, 1000, 20)]
    keys = [SeriesKey("a", {"host": "x" * 100}), SeriesKey("b", {"host": "x" * 100}), SeriesKey("c" * 100, {})]
    shared, alike, alone = block_bytes(keys, [one] * 3).index.tolist()
    assert shared == pytest.approx(alike, abs=16)
    assert alone - shared == pytest.approx(2 * 100 - 2 * 100 / 2, abs=40)


def test_a_series_without_samples_is_in_no_block() -> None:
    sizes = block_bytes([SeriesKey("a", {}), SeriesKey("b", {})], [[], [Chunk(0, 0, 20)]])
    alone = block_bytes([SeriesKey("b", {})], [[Chunk(0, 0, 20)]])
    assert sizes.index.tolist() == [0, *alone.index]
    assert (sizes.samples_head, sizes.index_head) == (alone.samples_head, alone.index_head)
    assert block_bytes([], []).samples_head == 0


def test_labels_without_a_value_are_none() -> None:
    one = [[Chunk(0, 1000, 20)]]
    empty, none = (block_bytes([SeriesKey("a", labels)], one) for labels in ({"host": ""}, {}))
    assert empty.index.tolist() == none.index.tolist()


def test_files_of_chunks_are_cut_at_512_megabytes() -> None:
    large = [Chunk(i, i, 300 * 2**20) for i in range(3)]
    assert block_bytes([SeriesKey("a", {})], [large]).samples_head == 3 * 8


@given(st.lists(st.integers(0, 500), min_size=1, max_size=5), st.sampled_from(["prometheus", "prometheus:chunks=xor2"]))
def test_samples_are_the_chunks_of_the_file(lengths: list[int], name: str) -> None:
    series = [
        Series(SeriesKey("up", {"i": str(i)}), 15 * np.arange(length), np.arange(length) / 7.0)
        for i, length in enumerate(lengths)
    ]
    sizes = get_format(name).series_bytes(MetricDataset.from_series(series))
    assert sizes is not None
    kind = "xor2" if "xor2" in name else "xor"
    assert sizes.samples.tolist() == [len(encode_series(t * 1000, v, kind=kind)) for _, t, v in series]


@pytest.mark.skipif(not find_program("promtool"), reason="promtool is not installed (Debian: prometheus or promtool)")
def test_blocks_that_promtool_makes_have_these_sizes(tmp_path: Path) -> None:
    version = subprocess.run([str(find_program("promtool")), "--version"], check=True, capture_output=True, text=True)
    major, minor = (int(one) for one in (version.stdout + version.stderr).split("version ")[1].split(".")[:2])
    rng = np.random.default_rng(0)
    series = [
        Series(
            SeriesKey(
                f"m{i % 3}", {"host": "h" * (1 + 4 * i), "i": str(i), **({"e": "ü"} if i % 2 else {})} if i else {}
            ),
            BEGIN + np.cumsum(rng.integers(10_000, 20_000, 700)) + i,
            np.cumsum(rng.integers(-9, 10, 700)) / 8,  # 2.42 lets chunks of more than 1024 bytes be
        )
        for i in range(40)
    ]
    lines = (
        f"# TYPE m{i} gauge\n" + "".join(_lines(one) for one in series if one.key.metric_name == f"m{i}")
        for i in range(3)
    )
    (tmp_path / "in.txt").write_text("".join(lines) + "# EOF\n")
    command = [str(find_program("promtool")), "tsdb", "create-blocks-from", "openmetrics", "in.txt", "out"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    folders = [path.parent for path in (tmp_path / "out").glob("*/meta.json")]
    assert len(folders) > 1
    for folder in folders:
        span = json.loads((folder / "meta.json").read_text())
        chunks = []
        for _, timestamps, values in series:
            within = (timestamps >= span["minTime"]) & (timestamps < span["maxTime"])
            times = timestamps[within]
            encoded = encode_series(times, values[within], chunk_range=4 * HOUR, spare_byte=major < 3)
            chunks.append(list(list_chunks(encoded, times)))
        sizes = block_bytes([one.key for one in series], chunks, label_indices=(major, minor) < (3, 6))
        assert sum(path.stat().st_size for path in folder.glob("chunks/*")) == sizes.samples.sum() + sizes.samples_head
        assert (folder / "index").stat().st_size == round(sizes.index.sum() + sizes.index_head)


def _lines(series: Series) -> str:
    pairs = zip(series.timestamps.tolist(), series.values.tolist(), strict=True)
    return "".join(f"{series.key} {value!r} {time // 1000}.{time % 1000:03d}\n" for time, value in pairs)
