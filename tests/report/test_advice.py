"""Advice in a report: what to paste stands there as it is, whatever characters it holds, beside what it saves."""

import html
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from squeezelab import MetricDataset
from squeezelab.experiment.run import measure_dataset
from squeezelab.report import write_report
from squeezelab.report.advice import advice_markdown, advice_tables, settings_table, times_table
from squeezelab.report.markdown import ratios_markdown
from squeezelab.report.page import report_html
from squeezelab.report.table import Table
from squeezelab.results import Advice, CostBasis, NoisyDigits, ProvenSetting, Results, Segment

TEXT = "CREATE TABLE `m` (\n    `a</script>'\"\\\\` Float64 CODEC(ZSTD(3))\n);\n-- ```\n"


def advice(system: str = "alpha", bytes_of_it: int = 2000) -> Advice:
    """Advice that halves what the default takes."""
    settings = [
        ProvenSetting("default", "nothing set", "CREATE", 1000, 2 * bytes_of_it, {}, True, further_bytes=4.0),
        ProvenSetting("advised", "by series | wide", TEXT, 1000, bytes_of_it, {}, True, further_bytes=2.0, hour_s=0.01),
    ]
    return Advice(
        system,
        system.title(),
        "1.2",
        "size",
        settings,
        {f"{system}.sql": TEXT},
        1.0,
        [Segment("m", "line\nbreak", "LZ4", 1, 100, "ZSTD(3)", 50)],
        [NoisyDigits("load | <b>", 2, "what arithmetic left", 1e-9, 70)],
        notes=["a word on `it` <b>"],
    )


@pytest.fixture(scope="module")
def bare(small: MetricDataset) -> Results:
    return measure_dataset(small.select([0]), size="small", codecs=["xor"], formats=[], budget=0)


@pytest.fixture(scope="module")
def results(bare: Results) -> Results:
    return replace(bare, advice=[advice(), advice("beta", 1000)], cost=CostBasis(1e6, 1e6, 0.5))


def test_the_page_shows_the_text_as_it_is_to_be_pasted(results: Results) -> None:
    page = report_html(results)
    assert html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[0]) == TEXT
    assert 'href="#advice-section"' in page
    assert "<b>" not in page.partition('id="advice-section"')[2].partition("</section>")[0].replace("<b>", "", 0)


def test_markdown_shows_the_text_in_a_fence_that_it_cannot_end(results: Results) -> None:
    fences = re.findall(r"^(`{3,})sql\n(.*?)\n\1$", ratios_markdown(results, []), re.DOTALL | re.MULTILINE)
    assert fences == [("````", TEXT.rstrip())] * 2
    assert ratios_markdown(results, []).count("````") == 4


def test_rows_stay_rows_whatever_names_they_hold(results: Results) -> None:
    lines = ratios_markdown(results, []).splitlines()
    for words in ("line break", "load \\| <b>", "by series \\| wide"):
        (first, *_) = [line for line in lines if words in line]
        assert first.startswith("|")
        assert first.endswith("|")


def test_systems_stand_beside_each_other_with_what_is_paid(results: Results) -> None:
    text = advice_markdown(results.advice, "mine", ["beta is odd"], results.cost)
    assert "| Alpha | yes | 4.000 | 2.000 | 50.0% |" in text
    assert "| alpha | advised | 2,000 | 1,000.00 |" in text, "2 bytes, a million a second, a million seconds, 0.50 a GB"
    assert text.endswith("- beta is odd\n")


def test_results_keep_advice(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    assert Results.read(tmp_path / "results.json").advice == results.advice


def test_reports_without_advice_have_no_such_section(bare: Results) -> None:
    assert "advice-section" not in report_html(bare)
    assert "paste this" not in ratios_markdown(bare, [])


def test_a_setting_with_two_roles_stands_once_and_others_are_numbered() -> None:
    """The second best may be the default; times are in a table of their own, by the same names."""
    given = advice()
    (default, advised) = given.settings
    others = [replace(default, role="other", statement=f"CREATE {i}", hour_s=i) for i in (1, 2)]
    given = replace(given, settings=[default, advised, replace(default, role="second"), *others])
    names = ["today's default and second best", "advised", "also proven 1", "also proven 2"]
    assert [row[0] for row in settings_table(given).rows] == names
    assert [(row[0], row[2]) for row in times_table(given).rows] == list(
        zip(names, ["-", "10", "1,000", "2,000"], strict=True)
    )


def drawn(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_folds_words_not_letters(width: int) -> None:
    given = advice()
    given = replace(
        given, settings=[replace(one, description="narrow table, by series, values ZSTD(22)") for one in given.settings]
    )
    text = drawn(settings_table(given), width)
    assert "narrow" in text
    assert len(text.splitlines()) < 20


def test_numbers_are_whole_at_80_characters() -> None:
    """Whatever words stand beside them: a number that is cut is another number."""
    given = advice("a system of a very long name, with its writer")
    timed = {"hour_s": 0.01234, "hour_ci": (0.0121, 0.0139), "ingest_s": 1.234, "ingest_ci": (1.2, 1.31)}
    lossy = [replace(one, bit_exact=False, lost="1,482 integers rounded to doubles", **timed) for one in given.settings]
    given = replace(given, settings=lossy, segments=[Segment("a" * 30, "b" * 30, "c" * 40, 1, 65321, "d" * 30, 54321)])
    for table in advice_tables([given, given], CostBasis(1e6, 1e6, 0.5)):
        text = drawn(table, 80)
        for row in table.rows:
            for number in row[table.names :]:
                assert number in text, table.title
