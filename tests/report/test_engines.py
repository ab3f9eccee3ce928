"""Databases in a report: a section with chart, table and losses, and the best setting beside the best file."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from squeezelab import MetricDataset
from squeezelab.experiment.run import measure_dataset
from squeezelab.report import write_report
from squeezelab.report.answer import in_a_sentence
from squeezelab.report.charts import draw_engines
from squeezelab.report.cost import cost_table
from squeezelab.report.engines import best_engines, engine_table, ranked, savings_table, tell_losses
from squeezelab.report.markdown import ratios_markdown
from squeezelab.report.page import report_html
from squeezelab.results import EngineMeasurement, Results, Returned

HOSTILE = "</script><b>"


def engine(name: str, further: float | None, **more: object) -> EngineMeasurement:
    size = int(1000 * (further or 20))
    made = EngineMeasurement(
        engine=name,
        title=name.partition(":")[0].title(),
        version="1.2",
        series=50,
        samples=50_000,
        parts={"values": 40 * size, "index": 10 * size, "log": 7},
        bytes_on_disk=50 * size,
        fixed_bytes=0,
        further_bytes=further,
        ingest_samples_s=1e6,
        hour_ms=2.5,
        hour_ci=(2.4, 2.75),
        memory_mb=123.4,
    )
    return replace(made, **more)


ENGINES = [
    engine("alpha", 8.0),
    engine("alpha:codecs=best", 2.0, hour_ms=5.0),
    engine("beta", 1.0, returned=Returned(values_changed=3, largest_relative_change=1e-12)),
    engine("beta:exact=1", 4.0, hour_ms=0.5, hour_ci=None),
    engine("gamma", 90.0),
    engine("delta", 1.5, samples=1000, bytes_on_disk=1500),
]


@pytest.fixture(scope="module")
def bare(small: MetricDataset) -> Results:
    return measure_dataset(small, size="small", codecs=["xor"], formats=["columnar"], budget=0)


@pytest.fixture(scope="module")
def results(bare: Results) -> Results:
    return replace(bare, engines=ENGINES)


def test_the_smallest_exact_one_is_first_and_what_lost_something_or_ran_on_a_part_comes_last(results: Results) -> None:
    names = [one.engine for one in ranked(results)]
    assert names == ["alpha:codecs=best", "beta:exact=1", "alpha", "gamma", "delta", "beta"]


def test_the_table_shows_what_was_measured(results: Results) -> None:
    table = engine_table(results)
    rows = {row[0]: dict(zip(table.headers, row, strict=True)) for row in table.rows}
    best = rows["alpha:codecs=best"]
    assert (best["further"], best["hour ms"], best["memory MB"], best["exact"]) == ("2.000", "5", "123", "yes")
    assert rows["beta (lossy)"]["exact"] == "no"
    assert rows["beta:exact=1"]["hour ms"] == "0.5"
    assert "* delta: on 1,000 of 50,000 samples." in table.note
    assert "delta *" in rows
    assert len(engine_table(results, brief=True).headers) < len(table.headers)


def test_what_a_setting_saves_is_told_beside_how_the_database_comes(results: Results) -> None:
    assert savings_table(results).rows == [
        ["Alpha", "alpha:codecs=best", "8.000", "2.000", "75.0%", "2.5", "5"],
    ], "beta as it comes lost something: no setting is compared with it"


def test_the_answer_names_the_best_setting_beside_the_best_file(results: Results, bare: Results) -> None:
    assert [(role, one.engine) for role, one in best_engines(results)] == [
        ("Smallest", "alpha:codecs=best"),
        ("Quickest to query", "beta:exact=1"),
    ]
    told = in_a_sentence(results)
    assert told.startswith("Smallest as a file is columnar: ")
    assert told.endswith(
        "Of the databases that ran, alpha:codecs=best is the smallest that gave back every bit: "
        "2.00 bytes a further sample; an hour of a series in 5 ms."
    )
    assert "atabase" not in in_a_sentence(bare)


def test_where_none_gave_back_every_bit_none_is_recommended(results: Results) -> None:
    lossy = replace(results, engines=[one for one in ENGINES if not one.exact])
    assert not best_engines(lossy)
    assert "atabase" not in in_a_sentence(lossy)
    assert "beta: 3 values changed" in tell_losses(lossy)[0]


def test_the_cost_has_the_smallest_database(results: Results) -> None:
    assert ["Smallest database", "alpha:codecs=best", "2.000", "63,072"] in [
        list(row) for row in cost_table(results).rows
    ]


def test_markdown_and_page_have_a_section(results: Results) -> None:
    markdown, page = ratios_markdown(results, []), report_html(results)
    assert "## Databases" in markdown
    assert "## What databases gave back" in markdown
    assert "- beta: 3 values changed, by up to 1e-12 times the value (of 50,000 samples in 50 series)." in markdown
    assert 'id="engines-section"' in page
    assert 'id="engines-chart"' in page
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])
    assert [one["name"] for one in charts["engines"]][:2] == ["alpha:codecs=best", "beta:exact=1"]
    assert charts["engines"][0]["parts"] == {"values": 1.6, "timestamps": 0, "samples": 0, "index": 0.4, "rest": 0}


def test_reports_without_databases_have_no_such_section(bare: Results) -> None:
    assert "atabase" not in ratios_markdown(bare, [])
    assert "engines-section" not in report_html(bare).partition('<script type="application/json"')[0]
    assert draw_engines(bare) is None


def test_the_csv_has_a_row_a_database(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    rows = [
        one for one in csv.DictReader((tmp_path / "ratios.csv").read_text().splitlines()) if one["subject"] == "engine"
    ]
    assert [one["codec"] for one in rows] == [one.engine for one in ENGINES]
    alpha, *_, delta = rows
    figures = [alpha[name] for name in ("encoded_bytes", "ratio", "bits_per_item", "bit_exact")]
    assert figures == ["400000", "2.0", "64.0", "True"]
    assert (delta["samples"], delta["raw_bytes"]) == ("1000", "16000")
    assert [one["codec"] for one in rows if one["lossy"] == "True"] == ["beta"]


def test_names_are_no_markup(results: Results) -> None:
    hostile = replace(results, engines=[engine(HOSTILE, 2.0), engine("beta", 3.0, returned=Returned(series_lost=1))])
    assert HOSTILE not in report_html(hostile)


def test_the_chart_is_drawn_of_parts_and_cuts_what_is_longer_than_raw(results: Results, tmp_path: Path) -> None:
    (axes,) = draw_engines(results).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["2.00", "4.00", "8.00", "90.00, cut", "1.50", "1.00"]
    assert max(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx(20)
    names = {path.name for path in write_report(results, tmp_path)}
    assert {"engines.png", "engines.svg"} <= names
    assert Results.read(tmp_path / "results.json").engines == ENGINES


def test_what_is_not_known_is_left_open(bare: Results) -> None:
    unknown = engine("alpha", None, hour_ms=None, hour_ci=None, memory_mb=None, fixed_bytes=None)
    results = replace(bare, engines=[unknown])
    assert unknown.bytes_per_sample == 20
    (row,) = engine_table(results).rows
    assert row.count("") >= 4
    assert "an hour" not in in_a_sentence(results)
    assert draw_engines(results) is not None
    report_html(results)


def test_a_page_is_made_where_databases_alone_ran(small: MetricDataset) -> None:
    nothing_else = measure_dataset(small.select([0, 1]), codecs=[], formats=[], budget=0)
    page = report_html(replace(nothing_else, engines=ENGINES[:2]))
    assert 'id="engines-section"' in page
    assert ratios_markdown(replace(nothing_else, engines=ENGINES[:2]), [])
