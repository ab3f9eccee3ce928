"""report.html: one file that says everything without a network, and by script sorts, filters and shows names."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.experiment.run import measure_dataset
from squeezelab.report.answer import COLUMNS, FILES, best, used_in_the_field
from squeezelab.report.labels import KINDS, frontier
from squeezelab.report.page import family_listing, heat_map, report_html
from squeezelab.report.winners import MOST_FAMILIES
from squeezelab.results import Access, Results

HOSTILE = "a</script><b>&\"'\u2028 é"
CODECS = ("raw", "zstd", "zlib:level=1", "xor", "chimp", "delta_of_delta", "delta_of_delta:widths=gorilla")
FORMATS = ("ndjson", "ndjson+zstd", "columnar", "delta_of_delta+xor")


@pytest.fixture(scope="module")
def results(small: MetricDataset) -> Results:
    return measure_dataset(
        small, generator="synthetic", size="small", codecs=CODECS, formats=FORMATS, rounds=2, budget=0
    )


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return report_html(results)


class Tables(HTMLParser):
    """The texts of a page's tables, by the id of what is around them or else their number."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.others: list[str] = []
        self.embedded: dict[str, str] = {}
        self._inside: list[str] = []
        self._script = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = [*self._inside, tag]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self._script = dict(attrs).get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            del self._inside[len(self._inside) - 1 - self._inside[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.embedded[self._script] = self.embedded.get(self._script, "") + data
        elif {"td", "th"} & set(self._inside):
            self.tables[-1][-1][-1] += data
        else:
            self.others.append(data)


def renamed(results: Results, old: str, **changes: Any) -> Results:
    return replace(
        results, measurements=[replace(one, **changes) if one.codec == old else one for one in results.measurements]
    )


# ---- What it says without a script ----


def test_more_families_than_a_heat_map_has_columns_are_all_in_the_table_of_winners() -> None:
    """As of the Westermo data: 23 families. Those of most samples are shown."""
    rng = np.random.default_rng(1)
    series = [
        Series(SeriesKey(f"metric_{i:02}", {}), np.arange(count), rng.normal(size=count).round(1))
        for i, count in enumerate(range(60, 60 + 2 * (MOST_FAMILIES + 3), 2))
    ]
    options = {"codecs": ["raw", "xor"], "formats": [], "budget": 0}
    results = measure_dataset(MetricDataset.from_series(series), generator="file", size="many", **options)
    heat = heat_map(results, "values")
    assert heat.headers == ["codec", *(one.key.metric_name for one in series[3:])]
    assert len(heat.rows) == 2
    assert len(family_listing(results).rows) == len(series)
    assert "metric_00" in report_html(results)


def test_it_is_one_file_that_fetches_nothing_and_is_light(page: str) -> None:
    assert page.startswith("<!DOCTYPE html>")
    assert len(page.encode()) < 1_500_000
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|script)[^>]*(src|href)=\"(?!data:)", markup)
    assert not re.search(r"url\(|@import", markup)
    assert "default-src 'none'" in markup


def test_the_vendored_library_names_its_licences(page: str) -> None:
    for owner in ("The Apache Software Foundation", "Baidu Inc.", "Mike Bostock", "Microsoft Corporation"):
        assert owner in page


def test_tables_stand_in_the_page_itself(results: Results, page: str) -> None:
    tables = Tables(page).tables
    rows = {row[0].strip(): row for table in tables for row in table}
    ndjson = results.get("dataset", "ndjson")
    assert f"{ndjson.encoded_bytes:,}" in {cell for table in tables for row in table for cell in row}
    for codec in CODECS:
        assert any(row.removesuffix(" frontier") == codec for row in rows), codec
    assert rows["timestamps"][1] == "43.75x", "published beside measured"
    text = "".join(Tables(page).others)
    assert results.run.cpu in text
    assert results.dataset.fingerprint in text


def test_winners_are_named_and_explained(results: Results, page: str) -> None:
    rows = {row[0].strip(): row for table in Tables(page).tables for row in table}
    one = next(one for one in results.explanations if one.metric == "queue_size")
    assert rows["queue_size"][3] == f"{one.values.codec}, {one.values.bits:.2f}"
    lone = next(one for one in results.explanations if one.series)
    assert rows[lone.series][3:5] == [lone.values.codec, f"{lone.values.bits:.2f}"]
    text = "".join(Tables(page).others)
    assert "of the intervals repeat the one before" in text
    assert "(an example)" in text


def test_nothing_explained_is_no_section(results: Results) -> None:
    assert 'id="winners-section"' not in report_html(replace(results, explanations=[]))


def test_all_results_are_embedded_as_json(results: Results, page: str) -> None:
    content = json.loads(Tables(page).embedded["results"])
    assert content["run"]["cpu"] == results.run.cpu
    columns = content["measurements"]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert rows == [json.loads(json.dumps(asdict(one))) for one in results.measurements]


def test_no_name_is_read_as_markup(results: Results) -> None:
    told = renamed(results, "zlib:level=1", codec=HOSTILE)
    told = replace(told, dataset=replace(told.dataset, generator=HOSTILE))
    tables = Tables(report_html(told))
    assert HOSTILE in json.loads(tables.embedded["results"])["measurements"]["codec"]
    assert any(HOSTILE in cell for table in tables.tables for row in table for cell in row)
    assert any(HOSTILE in text for text in tables.others)


def test_an_infinite_error_is_no_number_in_strict_json(results: Results) -> None:
    told = renamed(results, "xor", bit_exact=False, lossy=True, largest_error=float("inf"))
    embedded = Tables(report_html(told)).embedded
    assert "Infinity" not in embedded["results"] + embedded["charts"]


def test_little_was_measured_and_the_page_says_what_there_is(small: MetricDataset) -> None:
    few = measure_dataset(small, generator="mine", size="x", codecs=["xor"], formats=[], rounds=0)
    page = report_html(few)
    assert "bytes a value" in page
    assert 'id="frontier"' not in page, "nothing was timed"
    assert 'id="ladder"' not in page


def test_intervals_noise_memory_and_access_are_shown(results: Results) -> None:
    told = renamed(results, "xor", decode_ci=(900.0, 1100.0), noisy=True, decode_peak_mb=12.25)
    told = replace(told, access=[Access("columnar", 2e-6, 0.0031, 1.5, samples=5, file_bytes=1234)])
    rows = [row for table in Tables(report_html(told)).tables for row in table]
    xor = next(row for row in rows if row[0].startswith("xor") and "noisy" in row[0])
    assert any("900 to 1,100" in cell for cell in xor)
    assert "12.2" in xor
    assert ["columnar", "1,234", "2 µs", "3.1 ms", "1.5 s", "no", "yes"] in rows


# ---- The answer ----


def test_the_smallest_and_the_fastest_are_those_measured(results: Results) -> None:
    smallest, fastest = best(results, COLUMNS)
    lossless = {subject: results.find(subject) for subject in COLUMNS}
    assert smallest.names == [min(lossless[s], key=lambda one: one.encoded_bytes).codec for s in COLUMNS]
    total = results.overall_bytes(*smallest.names)
    assert smallest.bytes_per_sample == pytest.approx(total / results.dataset.samples)
    speeds = [results.get(s, name).decode_mb_s for s, name in zip(COLUMNS, fastest.names, strict=True)]
    assert fastest.decode_mb_s == pytest.approx(2 / (1 / speeds[0] + 1 / speeds[1]))
    assert "raw" not in fastest.names
    assert best(results, FILES)[0].names == [min(results.find("dataset"), key=lambda one: one.encoded_bytes).codec]


def test_what_loses_bits_is_never_the_answer(results: Results) -> None:
    told = renamed(results, "chimp", lossy=True, bits_per_item=0.01, decode_mb_s=1e9)
    assert all("chimp" not in name for choice in best(told, COLUMNS) for name in choice.names)


def test_fast_but_far_larger_is_not_the_answer(results: Results) -> None:
    least = min(results.find("timestamps"), key=lambda one: one.bits_per_item)
    values, timestamps = min(one.bits_per_item for one in results.find("values")), least.bits_per_item
    results = renamed(results, least.codec, decode_mb_s=1e9)
    for times, fits in ((2.01, False), (1.99, True)):
        bits = times * (values + timestamps) - timestamps
        told = renamed(results, "chimp", decode_mb_s=1e9, bits_per_item=bits, ratio=64 / bits)
        assert (best(told, COLUMNS)[1].names[1] == "chimp") == fits, "it is the pair that may be twice as large"


def test_the_fastest_pair_is_chosen_and_not_the_fastest_of_each_column(results: Results) -> None:
    """The one that is fast but large fits as long as the other column's codec is small."""
    pairs = [
        (a, b)
        for a in results.find("timestamps")
        for b in results.find("values")
        if min(a.ratio, b.ratio) > 1
        and a.bits_per_item + b.bits_per_item <= 2 * 8 * best(results, COLUMNS)[0].bytes_per_sample
    ]
    fastest = max(2 / (1 / a.decode_mb_s + 1 / b.decode_mb_s) for a, b in pairs)
    assert best(results, COLUMNS)[1].decode_mb_s >= fastest * 0.999


def test_the_field_is_what_was_measured_of_it_at_its_best(results: Results) -> None:
    field = {choice.role: choice for choice in used_in_the_field(results, COLUMNS)}
    assert field["Gorilla"].names == ["delta_of_delta:widths=gorilla", "xor"]
    assert "pcodec" not in field
    told = renamed(results, "zlib:level=1", codec="zstd:level=19", bits_per_item=0.5)
    field = {choice.role: choice for choice in used_in_the_field(told, COLUMNS)}
    assert field["zstd"].names == ["zstd:level=19"] * 2
    assert [choice.role for choice in used_in_the_field(results, FILES)] == ["NDJSON and zstd"]


def test_the_frontier_is_what_none_beats_in_both(results: Results) -> None:
    group = [*results.find("values"), replace(results.get("values", "xor"), lossy=True, ratio=99.0, decode_mb_s=1e6)]
    edge = frontier(group)
    for one in group:
        beaten = [
            other
            for other in group
            if not other.lossy
            and (other.ratio, other.decode_mb_s) != (one.ratio, one.decode_mb_s)
            and other.ratio >= one.ratio
            and other.decode_mb_s >= one.decode_mb_s
        ]
        assert (one in edge) == (not one.lossy and not beaten)
    assert [one.ratio for one in edge] == sorted((one.ratio for one in edge), reverse=True)


def test_the_frontier_keeps_one_of_equals(results: Results) -> None:
    xor = results.get("values", "xor")
    twin = replace(xor, codec="twin", ratio=99.0, decode_mb_s=1e6)
    assert [one.codec for one in frontier([xor, twin, replace(twin, codec="other")])] == ["twin"]


def test_every_codec_has_a_kind(results: Results) -> None:
    assert {one.kind for one in results.measurements} <= set(KINDS)
    assert set(KINDS) == {"ours", "papers", "general", "peers"}


# ---- What it does by script ----


@pytest.fixture(scope="module")
def browser(page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'squeezelab[test]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver on PATH: Debian's chromium and chromium-driver")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "report.html").write_text(page, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"),
        *("disable-component-update", "disable-sync", "force-prefers-reduced-motion", "window-size=1200,900"),
        f"user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.get((folder / "report.html").as_uri())
        yield chrome
    finally:
        chrome.quit()


def names(browser: Any, listing: str) -> list[str]:
    """Return the codecs that a table shows, in its order."""
    script = """
        const names = document.getElementById(arguments[0]).querySelectorAll("tbody .name");
        return [...names].filter((name) => name.offsetParent).map((name) => name.textContent);
    """
    return list(browser.execute_script(script, listing))


def click_header(browser: Any, listing: str, header: str) -> None:
    buttons = browser.find_elements("css selector", f"#{listing} thead button")
    next(button for button in buttons if button.text.startswith(header)).click()


def test_the_console_stays_silent(browser: Any) -> None:
    for theme in ("Dark", "Light"):
        button = next(one for one in browser.find_elements("css selector", "nav button") if one.text == theme)
        button.click()
    assert browser.get_log("browser") == []


def test_sorting_sorts(browser: Any, results: Results) -> None:
    group = results.find("values")
    click_header(browser, "values", "decode MB/s")
    fastest_first = [one.codec for one in sorted(group, key=lambda one: -one.decode_mb_s)]
    assert names(browser, "values") == fastest_first
    click_header(browser, "values", "decode MB/s")
    assert names(browser, "values") == fastest_first[::-1]
    click_header(browser, "values", "codec")
    assert names(browser, "values") == sorted(one.codec for one in group)


def test_sorting_is_by_number_not_by_text(browser: Any, results: Results) -> None:
    click_header(browser, "dataset", "bytes")
    assert names(browser, "dataset") == [
        one.codec for one in sorted(results.find("dataset"), key=lambda m: m.encoded_bytes)
    ]


def test_a_table_can_be_sorted_from_the_keyboard(browser: Any, results: Results) -> None:
    from selenium.webdriver.common.keys import Keys

    button = browser.find_elements("css selector", "#timestamps thead button")[1]
    header = browser.find_elements("css selector", "#timestamps thead th")[1]
    assert header.get_attribute("aria-sort") == "descending", "as the page has it"
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.ENTER)
    best_first = sorted(results.find("timestamps"), key=lambda one: -one.ratio)
    assert names(browser, "timestamps") == [one.codec for one in best_first]


def test_filtering_filters(browser: Any) -> None:
    field = browser.find_element("css selector", "#timestamps input")
    shown = {}
    for query in ("delta", "delta -gorilla", "GENERAL", "no such codec", ""):
        field.clear()
        field.send_keys(query or " ")
        shown[query] = set(names(browser, "timestamps"))
    assert shown == {
        "delta": {"delta_of_delta", "delta_of_delta:widths=gorilla"},
        "delta -gorilla": {"delta_of_delta"},
        "GENERAL": {"raw", "zstd", "zlib:level=1"},
        "no such codec": set(),
        "": set(CODECS) - {"xor", "chimp"},
    }


def test_hovering_names_the_codec(browser: Any, results: Results) -> None:
    from selenium.webdriver import ActionChains

    chart = browser.find_element("id", "frontier")
    for title, subject in (("Timestamps", "timestamps"), ("Files", "dataset"), ("Values", "values")):
        buttons = browser.find_elements("css selector", "[data-for=frontier] button")
        next(button for button in buttons if button.text == title).click()
        one = frontier(results.find(subject))[0]
        script = """
            arguments[0].scrollIntoView({block: "center", behavior: "instant"});
            const chart = echarts.getInstanceByDom(arguments[0]);
            return chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, [arguments[1], arguments[2]]);
        """
        x, y = browser.execute_script(script, chart, one.decode_mb_s, one.ratio)
        size = chart.size
        moves = ActionChains(browser, duration=0)
        moves.move_to_element_with_offset(chart, round(x - size["width"] / 2), round(y - size["height"] / 2)).perform()
        told = [name.text for name in browser.find_elements("css selector", "#frontier .tip b")]
        assert one.codec in told
        assert len(set(told)) == len(told) < 4, "what lies beneath is told as well, and nothing else"


def test_every_chart_is_drawn(browser: Any) -> None:
    for chart in ("frontier", "ladder", "deltas"):
        assert browser.execute_script(f"return document.querySelectorAll('#{chart} svg path').length") > 3, chart


def test_names_stand_beside_the_frontier(browser: Any, results: Results) -> None:
    ladder = [text.text for text in browser.find_elements("css selector", "#ladder svg text")]
    assert set(FORMATS) <= set(ladder)
    smallest = frontier(results.find("values"))[0]
    script = """
        return [...document.querySelectorAll("#frontier svg text")]
            .filter((text) => getComputedStyle(text).opacity === "1").map((text) => text.textContent);
    """
    assert smallest.codec in browser.execute_script(script)


def test_winners_of_series_can_be_unfolded_and_sorted(browser: Any, results: Results) -> None:
    from selenium.webdriver.common.keys import Keys

    listing = browser.find_element("id", "series-winners")
    assert not listing.is_displayed()
    for summary in browser.find_elements("css selector", "#winners-section summary"):
        summary.send_keys(Keys.ENTER)
    assert listing.is_displayed()
    click_header(browser, "series-winners", "bits a value")
    alone = sorted((one for one in results.explanations if one.series), key=lambda one: one.values.bits)
    bits = [
        row.find_elements("css selector", "td")[3].text for row in listing.find_elements("css selector", "tbody tr")
    ]
    assert bits == [f"{one.values.bits:.2f}" for one in alone]


@pytest.fixture
def phone(browser: Any) -> Iterator[Any]:
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_phone_need_not_scroll_sideways(phone: Any) -> None:
    assert phone.execute_script("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("subject", ["Timestamps", "Values", "Files"])
def test_no_text_of_a_chart_is_cut_on_a_phone(phone: Any, subject: str) -> None:
    script = """
        const buttons = [...document.querySelectorAll("[data-for=frontier] button")];
        buttons.find((button) => button.textContent === arguments[0]).click();
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const cut = [];
            for (const text of document.querySelectorAll(".chart svg text")) {
                const [inner, outer] = [text.getBoundingClientRect(), text.closest(".chart").getBoundingClientRect()];
                if (inner.left < outer.left - 1 || inner.right > outer.right + 1) cut.push(text.textContent);
            }
            done(cut);
        })));
    """
    assert phone.execute_script(script, subject) == []


def test_a_chart_too_full_for_all_names_lists_the_rest(results: Results, tmp_path: Path) -> None:
    from squeezelab.report.charts import draw_frontier

    xor = results.get("values", "xor")
    crowd = [
        replace(xor, codec=f"a_name_of_some_length_{i}", ratio=xor.ratio * (1 + i / 500), decode_mb_s=500.0 + i % 7)
        for i in range(40)
    ]
    figure = draw_frontier(replace(results, measurements=[*results.measurements, *crowd]))
    words = " ".join(" ".join(text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))).split())
    assert "without room for a name" in words
    assert all(one.codec in words for one in crowd)
