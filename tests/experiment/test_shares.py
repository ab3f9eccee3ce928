"""`--by metric`: every byte is some metric name's, block's or a head's, and blocks hold their own samples."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from squeezelab import MetricDataset, Series, SeriesKey, bench
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.run import measure_dataset
from squeezelab.formats import get_format
from squeezelab.report import write_report
from squeezelab.report.shares import MOST_ROWS, blocks_table, shares_table
from squeezelab.results import Block, Measurement, Results

XOR, XOR2 = "prometheus", "prometheus:chunks=xor2"


def two_metrics(hours: int = 6) -> MetricDataset:
    times = 15 * np.arange(hours * 240)
    keys = [SeriesKey("cpu", {"host": host}) for host in "ab"] + [SeriesKey("up", {})]
    values = np.sin(times), np.round(np.sin(times), 1), np.ones(len(times))
    return MetricDataset.from_series([Series(key, times, one) for key, one in zip(keys, values, strict=True)])


def block(name: str, start: int, stop: int) -> Block:
    """Of these hours."""
    return Block(name, start * 3_600_000, stop * 3_600_000, 3 * 240 * (stop - start), None, 12345, 678)


def measured(dataset: MetricDataset, **options: object) -> Results:
    return measure_dataset(dataset, codecs=[], formats=[], rounds=0, by="metric", **options)


def sizes(results: Results, codec: str = XOR) -> dict[tuple[str, str | None, str | None], int]:
    return {(one.subject, one.metric, one.block): one.encoded_bytes for one in results.shares if one.codec == codec}


def test_nothing_is_told_apart_unless_it_is_asked_for() -> None:
    assert measure_dataset(two_metrics(), codecs=[], formats=[], rounds=0).shares == []
    with pytest.raises(InvalidRequestError, match="--by label is not known: give metric"):
        measure_dataset(two_metrics(), codecs=[], formats=[], rounds=0, by="label")


@pytest.mark.parametrize("codec", [XOR, XOR2])
def test_data_of_any_origin_are_one_block(codec: str) -> None:
    dataset = two_metrics()
    results = measured(dataset)
    told = get_format(codec).series_bytes(dataset)
    assert told is not None
    assert sizes(results, codec) == {
        ("samples", "cpu", None): told.samples[:2].sum(),
        ("index", "cpu", None): round(told.index[:2].sum()),
        ("samples", "up", None): told.samples[2],
        ("index", "up", None): round(told.index[2]),
        ("samples", None, None): told.samples.sum() + told.samples_head,
        ("index", None, None): round(told.index.sum() + told.index_head),
    }
    assert all(one.bit_exact for one in results.shares)


def test_blocks_hold_the_samples_of_their_span_and_what_is_left_is_in_none() -> None:
    dataset = two_metrics()
    results = measured(dataset, blocks=[block("B", 2, 4), block("A", 0, 2)])
    found = sizes(results)
    for name, first, last in (("A", 0, 2), ("B", 2, 4), ("", 4, 6)):
        within = [
            Series(key, t[(t >= first * 3600) & (t < last * 3600)], v[(t >= first * 3600) & (t < last * 3600)])
            for key, t, v in dataset
        ]
        told = get_format(XOR).series_bytes(MetricDataset.from_series(within))
        assert told is not None
        assert found["samples", None, name] == told.samples.sum() + told.samples_head
        assert found["index", None, name] == round(told.index.sum() + told.index_head)
    assert found["samples", None, None] == sum(found["samples", None, name] for name in ("A", "B", ""))
    heads = 3 * 8
    assert found["samples", None, None] == found["samples", "cpu", None] + found["samples", "up", None] + heads


def test_blocks_that_overlap_count_each_sample_once() -> None:
    results = measured(two_metrics(), blocks=[block("A", 0, 4), block("B", 2, 6)])
    samples = {one.block: one.samples for one in results.shares if one.subject == "samples" and one.metric is None}
    assert samples == {"A": 3 * 480, "B": 3 * 960, None: 3 * 1440}
    assert any("overlap" in note for note in results.run.notes)


def test_a_block_within_another_leaves_it_the_rest() -> None:
    results = measured(two_metrics(), blocks=[block("LONG", 0, 6), block("SHORT", 1, 2)])
    held = {one.block: one.samples for one in results.shares if one.block is not None}
    assert held == {"LONG": 3 * 5 * 240, "SHORT": 3 * 240}


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_blocks_count_milliseconds_whatever_timestamps_count(unit: str) -> None:
    dataset = two_metrics()
    factor = {"ms": 1000, "us": 10**6}[unit]
    finer = MetricDataset(dataset.keys, dataset.offsets, dataset.timestamps * factor, dataset.values, unit)
    blocks = [block("A", 0, 2), block("B", 2, 6)]
    amounts = [{one.block: one.samples for one in measured(each, blocks=blocks).shares} for each in (dataset, finer)]
    assert amounts[0] == amounts[1]


def test_a_format_that_fails_costs_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, dataset: MetricDataset) -> None:
        raise ValueError("no room")

    monkeypatch.setattr("squeezelab.formats.prometheus.Prometheus.series_bytes", fail)
    results = measured(two_metrics())
    assert results.shares == []
    assert "prometheus failed by metric name and is left out: ValueError: no room." in results.run.notes


# The report


def test_every_part_of_the_report_has_them(tmp_path: Path) -> None:
    results = measured(two_metrics(), blocks=[block("A", 0, 2), block("B", 2, 6)])
    write_report(results, tmp_path)
    whole = f"{sizes(results)['samples', None, None]:,}"
    for name in ("report.html", "ratios.md"):
        text = (tmp_path / name).read_text()
        assert "What each metric name takes" in text
        assert "What each block takes" in text
        assert whole in text
        assert "12,345" in text
    assert json.loads((tmp_path / "results.json").read_text())["schema"] == 4
    assert Results.read(tmp_path / "results.json").shares == results.shares
    assert Results.read(tmp_path / "results.json").dataset.blocks == results.dataset.blocks
    rows = [
        line for line in (tmp_path / "ratios.csv").read_text().splitlines() if line.startswith(("samples,", "index,"))
    ]
    assert len(rows) == len(results.shares)


def test_the_largest_come_first_and_a_terminal_names_a_few(results_of_many: Results) -> None:
    table, brief = shares_table(results_of_many), shares_table(results_of_many, brief=True)
    assert [row[0] for row in table.rows] == [f"m{i:02}" for i in reversed(range(30))] + ["all"]
    assert [row[0] for row in brief.rows[-2:]] == ["and 10 more", "all"]
    assert len(brief.rows) == MOST_ROWS + 2


@pytest.fixture
def results_of_many() -> Results:
    results = measured(two_metrics(1))
    some = results.shares[0]

    def share(metric: str | None, size: int) -> Measurement:
        return replace(some, metric=metric, encoded_bytes=size)

    return replace(results, shares=[share(f"m{i:02}", 1 + i) for i in range(30)] + [share(None, 500)])


def test_a_block_of_which_a_part_was_read_is_marked() -> None:
    results = measured(two_metrics(4), blocks=[block("A", 0, 2), block("B", 2, 5)])
    assert [row[0] for row in blocks_table(results).rows] == ["A", "B *"]
    assert "Not all of the block's samples were read" in blocks_table(results).note


def test_from_python() -> None:
    result = bench(two_metrics(), codecs=[], formats=[], rounds=0, by="metric")
    assert [table.title for table in result.tables] == ["What each metric name takes"]
