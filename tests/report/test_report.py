"""Reports: written from results alone, complete, and true to them."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from squeezelab import CorruptDataError, MetricDataset
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.plan import DEFAULT_CODECS, DEFAULT_FORMATS
from squeezelab.experiment.run import measure_dataset
from squeezelab.formats import get_format
from squeezelab.registry import bare_names
from squeezelab.report import write_report
from squeezelab.report.answer import FILES, best
from squeezelab.report.charts import CHARTS, COLOURS
from squeezelab.report.cost import cost_table
from squeezelab.report.labels import KINDS
from squeezelab.report.markdown import ratios_markdown
from squeezelab.report.published import compare_published
from squeezelab.report.table import Table
from squeezelab.report.tables import (
    access_table,
    column_table,
    family_table,
    ladder_table,
    memory_table,
    to_csv,
)
from squeezelab.report.winners import family_winners
from squeezelab.results import NOISY_WIDTH, Measurement, Results, relative_width

ALL_FILES = {"results.json", "report.html", "ratios.md", "ratios.csv"} | {
    f"{name}.{kind}" for name in CHARTS.keys() - {"engines"} for kind in ("png", "svg")
}


@pytest.fixture(scope="module")
def results(small: MetricDataset) -> Results:
    return measure_dataset(small, generator="synthetic", size="small", provenance={"version": "1"}, rounds=2, budget=0)


def test_everything_is_written_and_named(results: Results, tmp_path: Path) -> None:
    paths = write_report(results, tmp_path / "deep" / "folder")
    assert {path.name for path in paths} == ALL_FILES
    assert {path.name for path in (tmp_path / "deep" / "folder").iterdir()} == ALL_FILES
    assert all(path.stat().st_size > 100 for path in paths)


@pytest.mark.parametrize("made", ["page.report_html", "markdown.ratios_markdown"])
def test_a_text_that_cannot_be_made_costs_a_line(
    made: str,
    results: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = {"page.report_html": "report.html", "markdown.ratios_markdown": "ratios.md"}[made]

    def fail(*_: object) -> str:
        raise ZeroDivisionError("division\nby zero")

    (tmp_path / name).write_text("of an earlier run")
    monkeypatch.setattr(f"squeezelab.report.{made}", fail)
    written = {path.name for path in write_report(results, tmp_path)}
    texts = {"results.json", "report.html", "ratios.md", "ratios.csv"}
    assert written >= texts - {name}
    assert texts - {path.name for path in tmp_path.iterdir()} == texts - written == {name}
    assert [one.getMessage() for one in caplog.records] == [f"{name} is left out: ZeroDivisionError: division by zero"]


def test_results_come_back_as_they_were(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_results_json_is_strict_json_even_where_an_error_is_infinite(results: Results, tmp_path: Path) -> None:
    endless = replace(results.measurements[0], bit_exact=False, lossy=True, largest_error=math.inf)
    told = replace(results, measurements=[endless, *results.measurements[1:]])
    told.write(tmp_path / "results.json")

    def reject(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=reject)
    assert content["measurements"][0]["largest_error"] is None
    assert Results.read(tmp_path / "results.json") == told


def test_results_json_has_the_names_that_others_rely_on(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema"] == 4
    run = {"started", "python", "platform", "cpu", "cores", "versions", "seconds", "peak_rss_mb"}
    assert run <= content["run"].keys()
    dataset = {"generator", "size", "seed", "series", "samples", "fingerprint", "zero_dod_share", "ndjson_bytes"}
    assert dataset <= content["dataset"].keys()
    measurement = {"subject", "metric", "codec", "raw_bytes", "encoded_bytes", "ratio", "bits_per_item"}
    measurement |= {"encode_mb_s", "decode_mb_s", "bit_exact", "lossy"}
    assert all(measurement <= one.keys() for one in content["measurements"])
    assert {one["subject"] for one in content["measurements"]} == {"timestamps", "values", "dataset"}
    lossy = {(one["subject"], one["codec"].partition(":")[0]) for one in content["measurements"] if one["lossy"]}
    assert lossy == {("values", "victoria"), ("dataset", "downsampled")}
    assert all(one["bit_exact"] for one in content["measurements"] if not one["lossy"])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": 5}', '{"schema": 1, "run": []}'])
def test_what_is_no_results_file_is_rejected(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(CorruptDataError):
        Results.read(tmp_path / "results.json")


def test_fields_of_later_versions_are_passed_over(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    content["run"]["moon"] = "full"
    content["measurements"][0]["joules"] = 5
    content["access"][0]["seeks"] = 7
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert Results.read(tmp_path / "results.json") == results


def test_results_of_earlier_versions_are_read(results: Results, tmp_path: Path) -> None:
    """Before there were intervals, memory and access, files had none of these."""
    results.write(tmp_path / "results.json")
    content = json.loads((tmp_path / "results.json").read_text())
    for name in ("memcpy_ci", "access"):
        del content[name]
    for name in ("governor", "commit", "settings"):
        del content["run"][name]
    added = ("encode_ci", "decode_ci", "rounds", "timed_seconds", "noisy", "encode_peak_mb", "decode_peak_mb")
    for one in content["measurements"]:
        for name in added:
            del one[name]
    (tmp_path / "results.json").write_text(json.dumps(content))
    read = Results.read(tmp_path / "results.json")
    assert read.access == []
    assert read.get("values", "xor").encode_ci is None
    assert read.get("values", "xor").encode_mb_s == results.get("values", "xor").encode_mb_s
    assert {path.name for path in write_report(read, tmp_path / "again")} == ALL_FILES


def test_results_say_how_sure_they_are_and_what_was_chosen(results: Results) -> None:
    assert results.run.settings["formats"] == list(DEFAULT_FORMATS)
    assert results.run.settings["codecs"] == list(DEFAULT_CODECS)
    for one in results.measurements:
        if one.metric is None:
            assert one.encode_ci[0] <= one.encode_mb_s <= one.encode_ci[1]
            assert one.decode_ci[0] <= one.decode_mb_s <= one.decode_ci[1]
            assert one.rounds >= 2
            assert one.timed_seconds > 0
            widths = [
                relative_width(speed, interval)
                for speed, interval in ((one.encode_mb_s, one.encode_ci), (one.decode_mb_s, one.decode_ci))
            ]
            assert one.noisy == (max(widths) > NOISY_WIDTH)
    for subject in ("timestamps", "values", "dataset"):
        low, high = results.memcpy_ci[subject]
        assert low <= results.memcpy_mb_s[subject] <= high
    assert any("timed for less than 0.2 s" in note and "--budget " in note for note in results.run.notes)


def test_noisy_speeds_are_marked(results: Results) -> None:
    speeds = {"encode_mb_s": 1000.0, "decode_mb_s": 500.0, "encode_ci": (990.0, 1010.0), "decode_ci": (450.0, 550.0)}
    marked = [replace(one, **speeds) if one.codec == "xor" else one for one in results.measurements]
    table = column_table(replace(results, measurements=marked, memcpy_ci={"values": (1.0, 1.0)}), "values")
    row = next(row for row in table.rows if row[0] == "xor")
    assert row[3:5] == ["1,000 (990 to 1,010)", "~500 (450 to 550)"]
    assert "noisy" in table.note


def test_access_and_memory_have_tables(results: Results, tmp_path: Path) -> None:
    rows = {row[0]: row for row in access_table(results).rows}
    untimed = {one.codec for one in results.find("dataset") if get_format(one.codec).untimed_access}
    assert set(rows) == {one.codec for one in results.find("dataset")} - untimed
    for name in bare_names(untimed):
        assert sum(f"Random access to {name} is not timed" in note for note in results.run.notes) == 1
    columnar = next(one for one in results.access if one.codec == "columnar")
    assert rows["columnar"][1] == f"{columnar.file_bytes:,}"
    lossy = {one.codec for one in results.find("dataset") if one.lossy}
    assert {name for name, row in rows.items() if row[-1] != "yes"} == lossy
    memory = memory_table(results)
    assert len(memory.rows) == sum(one.encode_peak_mb is not None for one in results.find("dataset"))
    text = ratios_markdown(results, [])
    assert "## Random access" in text
    assert ("## Peak memory" in text) == bool(memory.rows)


def test_the_csv_has_the_ends_of_intervals_in_columns_of_their_own(results: Results) -> None:
    rows = list(csv.DictReader(to_csv(Measurement, results.measurements).splitlines()))
    for row, one in zip(rows, results.measurements, strict=True):
        low, high = one.encode_ci or ("", "")
        assert (row["encode_ci_low"], row["encode_ci_high"]) == (str(low), str(high))


def test_the_csv_has_a_row_a_measurement(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    rows = list(csv.DictReader((tmp_path / "ratios.csv").read_text().splitlines()))
    assert len(rows) == len(results.measurements)
    assert [int(row["encoded_bytes"]) for row in rows] == [one.encoded_bytes for one in results.measurements]


def test_the_markdown_names_data_method_and_machine(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    text = (tmp_path / "ratios.md").read_text()
    for expected in (
        results.dataset.fingerprint,
        results.run.cpu,
        "bit by bit",
        "43.75x",
        "94.6 %",
        "![ladder](ladder.png)",
    ):
        assert expected in text
    pictures = [line.partition("(")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert pictures
    assert all((tmp_path / picture).exists() for picture in pictures)


def test_tables_show_what_was_measured(results: Results) -> None:
    xor = results.get("values", "xor")
    row = next(row for row in column_table(results, "values").rows if row[0] == "xor")
    assert row[1:3] == [f"{xor.ratio:.2f}x", f"{xor.bits_per_item:.3f}"]
    assert row[-1] == "yes"
    ndjson = next(row for row in ladder_table(results).rows if row[0] == "ndjson")
    assert ndjson[0] == "ndjson"
    assert ndjson[1] == f"{results.dataset.ndjson_bytes:,}"
    assert "1.00x" in ndjson
    assert len(family_table(results).rows) == 10


@pytest.mark.parametrize(("ends", "noisy"), [((50.0, 200.0), True), ((99.0, 101.0), False)])
def test_the_answer_says_where_a_speed_is_noisy(results: Results, ends: tuple[float, float], noisy: bool) -> None:
    files = [replace(one, decode_mb_s=100.0, decode_ci=ends) for one in results.find("dataset")]
    assert {choice.noisy for choice in best(replace(results, measurements=files), FILES)} == {noisy}


def test_a_lossy_codec_is_shown_as_lossy(results: Results) -> None:
    lossy = [
        replace(one, bit_exact=False, lossy=True, largest_error=0.25) if one.codec == "xor" else one
        for one in results.measurements
    ]
    told = replace(results, measurements=lossy)
    shown = {row[0]: row[-1] for row in column_table(told, "values").rows}
    assert set(list(shown)[-2:]) == {"xor (lossy)", "victoria (lossy)"}, "out of the ranking"
    assert shown["xor (lossy)"] == "lossy (by up to 0.25)"
    assert set(list(shown.values())[:-2]) == {"yes"}


def test_the_fewest_bits_in_bold_are_never_lossy_ones(results: Results) -> None:
    lossy = [
        replace(one, lossy=True, bits_per_item=0.1) if one.codec == "zstd" else one for one in results.measurements
    ]
    table = family_table(replace(results, measurements=lossy))
    column, always = (list(table.headers).index(f"{codec} (lossy)") for codec in ("zstd", "victoria"))
    assert all(row[column] == "0.10" for row in table.rows)
    assert not any(row[always].startswith("**") for row in table.rows)
    assert all(any(cell.startswith("**") for cell in row) for row in table.rows)


def test_charts_of_an_earlier_run_do_not_stay(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    few = [one for one in results.measurements if one.subject == "dataset"]
    write_report(replace(results, measurements=few), tmp_path)
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert names == {path.stem for path in tmp_path.glob("*.svg")} == {"ladder", "delta_of_delta"}


def test_a_part_is_marked_as_one(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.experiment.files.COMMON_SAMPLES", 10_000)
    part = measure_dataset(small, codecs=[], formats=["ndjson", "ndjson+zstd"], budget=0, proof_budget=0)
    table = ladder_table(part)
    assert [row[0] for row in table.rows] == ["ndjson+zstd *", "ndjson *"]
    assert "10,000 of 50,000" in table.note


@pytest.mark.parametrize(("generator", "figures"), [("synthetic", 4), ("random", 1), ("real", 1), ("mine", 0)])
def test_published_figures_stand_beside_the_data_they_are_for(results: Results, generator: str, figures: int) -> None:
    asked = replace(results, dataset=replace(results.dataset, generator=generator))
    assert len(compare_published(asked)) == figures


def test_the_published_figures_are_reached_without_zstd(results: Results) -> None:
    figures = {one.figure: one for one in compare_published(results)}
    assert results.get("timestamps", "delta_of_delta").ratio >= 43.75
    assert results.dataset.ndjson_bytes / results.overall_bytes("delta_of_delta", "xor") >= 30.59
    assert figures["timestamps"].measured == f"{results.get('timestamps', 'delta_of_delta').ratio:.2f}x"


def test_an_empty_data_set_cannot_be_measured() -> None:
    with pytest.raises(InvalidRequestError, match="no samples"):
        measure_dataset(MetricDataset.from_series([]), generator="synthetic", size="none")


def test_markdown_survives_a_bar_in_a_name() -> None:
    assert (
        Table("t", ["a|b"], [["x|y"]]).to_markdown().count("|") - Table("t", ["a"], [["x"]]).to_markdown().count("|")
        == 2
    )
    assert r"a\|b" in Table("t", ["a|b"], [["x"]]).to_markdown()


def test_every_kind_of_codec_has_its_colour(results: Results) -> None:
    kinds = {one.codec: one.kind for one in results.measurements}
    assert kinds["pcodec"] == kinds["parquet"] == "peers"
    assert kinds["brotli"] == kinds["columnar+zstd"] == kinds["ndjson"] == "general"
    assert kinds["xor"] == kinds["xor+zstd"] == kinds["delta_of_delta+xor"] == "papers"
    assert set(kinds.values()) <= set(COLOURS)
    assert set(COLOURS) == set(KINDS)


def test_times_of_whole_databases_are_told_as_such(results: Results) -> None:
    marked = [replace(one, whole_file=one.codec == "columnar") for one in results.measurements]
    assert (
        "Of columnar they are those of the whole write and read"
        in ladder_table(replace(results, measurements=marked)).note
    )
    unmarked = [replace(one, whole_file=False) for one in results.measurements]
    assert "whole write" not in ladder_table(replace(results, measurements=unmarked)).note


def test_what_is_not_installed_is_named(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "squeezelab.experiment.run.missing_codecs", lambda: {"openzl": "openzl", "vortex": "vortex-data"}
    )
    monkeypatch.setattr("squeezelab.experiment.run.missing_formats", lambda: {"vortex": "vortex-data"})
    told = measure_dataset(small, generator="", size="", codecs=[], formats=[], rounds=0)
    sentence = "Not installed: openzl, vortex (pip install 'squeezelab[peers]')."
    assert told.run.notes == [sentence]
    assert f"- {sentence}" in ratios_markdown(told, [])


def test_winners_and_costs_are_told_in_the_markdown(results: Results) -> None:
    text = ratios_markdown(results, [])
    table = family_winners(results)
    assert table.to_markdown() in text
    assert cost_table(results).to_markdown() in text
    rows = {row[0]: row for row in table.rows}
    assert set(rows) == {row[0] for row in family_table(results).rows}
    fewest = min(
        (one for one in results.find("values", "disk_io_bytes_total") if not one.lossy and one.samples == 5_000),
        key=lambda one: one.bits_per_item,
    )
    row = rows["disk_io_bytes_total"]
    assert row[2] == f"{fewest.codec}, {fewest.bits_per_item:.2f}"
    assert "multiples of 4,096" in row[4]
    assert "never fall" in row[4]


def test_charts_are_drawn_here_where_another_process_cannot(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.report.charts.sys.executable", "/bin/false")
    assert {path.name for path in write_report(results, tmp_path) if path.suffix == ".svg"} == {
        f"{name}.svg" for name in CHARTS.keys() - {"engines"}
    }
