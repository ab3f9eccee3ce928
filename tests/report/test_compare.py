"""Comparing two runs: sizes to the byte, speeds only where they differ for sure, and exit codes for pull requests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from squeezelab.errors import InvalidRequestError
from squeezelab.report.compare import compare_runs, comparison_markdown, find_exceeded, parse_limits, read_run
from squeezelab.results import Access, DatasetFacts, EngineMeasurement, Measurement, Results, Returned, Run

RUN = Run(
    started="2026-01-01T00:00:00+00:00",
    python="3.12",
    platform="Linux",
    cpu="a processor",
    cores=2,
    versions={"squeezelab": "1"},
    seconds=9.0,
    peak_rss_mb=None,
    stages={},
    commit="0123456789abcdef",
)
FACTS = DatasetFacts(
    generator="synthetic",
    size="small",
    seed=0,
    provenance={},
    series=2,
    samples=1000,
    fingerprint="f" * 32,
    zero_dod_share=1.0,
    delta_of_delta_counts=[],
    raw_bytes=16_000,
    ndjson_bytes=100_000,
    dictionary_bytes=50,
)


def measured(subject: str, codec: str, encoded: int, metric: str | None = None, **changed: Any) -> Measurement:
    item, samples = (16 if subject == "dataset" else 8), changed.pop("samples", 1000)
    given = {
        "samples": samples,
        "raw_bytes": item * samples,
        "encoded_bytes": encoded,
        "ratio": item * samples / encoded,
        "bits_per_item": 8 * encoded / samples,
        "encode_mb_s": 500.0,
        "decode_mb_s": 1000.0,
        "encode_ci": (490.0, 510.0),
        "decode_ci": (990.0, 1010.0),
        "timed_samples": samples,
        "bit_exact": True,
        "proven_samples": samples,
        "lossy": False,
        "frames_digest": f"{encoded}",
    }
    return Measurement(subject=subject, metric=metric, codec=codec, **(given | changed))


def run_of(*measurements: Measurement, facts: DatasetFacts = FACTS, memcpy: float = 10_000.0) -> Results:
    subjects = ("timestamps", "values", "dataset")
    return Results(
        RUN,
        facts,
        list(measurements),
        dict.fromkeys(subjects, memcpy),
        dict.fromkeys(subjects, (0.99 * memcpy, 1.01 * memcpy)),
        [Access("columnar", 1.0, 1.0, 1.0)],
    )


def changed(**fields: Any) -> Results:
    """Return a run in which something about xor is as given."""
    return run_of(measured("values", "xor", fields.pop("encoded", 2000), **fields))


BASE = run_of(measured("values", "xor", 2000))


def test_a_run_is_like_itself() -> None:
    comparison = compare_runs(BASE, BASE)
    assert comparison.sizes == comparison.speeds == comparison.inexact == comparison.only_old == []
    assert (comparison.compared_sizes, comparison.compared_speeds) == (1, 2)
    assert find_exceeded(comparison, {"size": 0, "speed": 0}) == []
    text = comparison_markdown(comparison)
    assert "Of 1 sizes 0 are larger and 0 smaller" in text
    assert "commit 0123456789ab;" in text


def test_a_byte_more_is_seen() -> None:
    (size,) = compare_runs(BASE, changed(encoded=2001)).sizes
    assert size.change == pytest.approx(0.0005)
    assert "| xor (values) | 2,000 | 2,001 | +0.05 % |" in comparison_markdown(
        compare_runs(BASE, changed(encoded=2001))
    )


def test_a_tiny_change_never_looks_like_none() -> None:
    old, new = run_of(measured("values", "xor", 10**9)), run_of(measured("values", "xor", 10**9 + 1))
    assert "+1e-07 %" in comparison_markdown(compare_runs(old, new))


def test_families_that_make_up_for_each_other_are_seen() -> None:
    def families(cpu: int, disk: int) -> Results:
        parts = [
            measured("values", "xor", cpu, "cpu", samples=500),
            measured("values", "xor", disk, "disk", samples=500),
        ]
        return run_of(*parts, measured("values", "xor", 2000))

    (size,) = compare_runs(families(1000, 1000), families(900, 1100)).sizes
    assert size.change == 0
    assert size.family in ("cpu -10.00 %", "disk +10.00 %")


def test_other_bytes_of_the_same_size_are_told() -> None:
    comparison = compare_runs(BASE, changed(frames_digest="other"))
    assert comparison.sizes == []
    assert comparison.other_bytes == ["xor (values)"]
    assert "made of other bytes:** xor (values)" in comparison_markdown(comparison)


@pytest.mark.parametrize(
    ("speeds", "differ"),
    [
        ({"decode_mb_s": 700.0, "decode_ci": (690.0, 710.0)}, ["decode"]),
        ({"decode_mb_s": 1300.0, "decode_ci": (1200.0, 1400.0)}, ["decode"]),
        # No farther than the same code may be off from one run to the next.
        ({"decode_mb_s": 900.0, "decode_ci": (890.0, 910.0)}, []),
        # Wide, so that it may be as it was.
        ({"decode_mb_s": 500.0, "decode_ci": (200.0, 1000.0)}, []),
        # Apart by themselves, but not with what is unsure about memcpy.
        ({"decode_mb_s": 975.0, "decode_ci": (970.0, 980.0)}, []),
        ({"encode_mb_s": 100.0, "encode_ci": (90.0, 110.0), "decode_mb_s": 1.0, "decode_ci": (1.0, 1.0)}, None),
        ({"encode_ci": None, "decode_ci": None, "decode_mb_s": 1.0}, []),
    ],
)
def test_speeds_differ_only_where_intervals_part(speeds: dict, differ: list[str] | None) -> None:
    found = [one.direction for one in compare_runs(BASE, changed(**speeds)).speeds]
    assert found == (["decode", "encode"] if differ is None else differ), "slowest first"


def run_of_many(seed: int, spread: float, **moved: float) -> Results:
    """Return a run of 30 codecs whose speeds are off by chance, and some of them moved."""
    rng = np.random.default_rng(seed)
    many = []
    for i in range(30):
        factors = np.exp(spread * rng.standard_t(6, 2)) * moved.get(f"c{i}", 1.0)
        encode, decode = 500 * factors[0], 1000 * factors[1]
        intervals = {"encode_ci": (0.999 * encode, 1.001 * encode), "decode_ci": (0.999 * decode, 1.001 * decode)}
        many.append(measured("values", f"c{i}", 2000, encode_mb_s=encode, decode_mb_s=decode, **intervals))
    return run_of(*many)


@pytest.mark.parametrize("spread", [0.002, 0.02, 0.1])
def test_of_runs_of_the_same_code_95_of_100_have_no_speed_that_differs_for_sure(spread: float) -> None:
    pairs = [compare_runs(run_of_many(2 * i, spread), run_of_many(2 * i + 1, spread)) for i in range(100)]
    assert sum(bool(pair.speeds) for pair in pairs) <= 5


def test_a_codec_that_became_slower_stands_out_among_the_others() -> None:
    found = compare_runs(run_of_many(1, 0.02), run_of_many(2, 0.02, c3=0.7)).speeds
    assert {(one.codec, one.direction) for one in found} == {("c3", "encode"), ("c3", "decode")}


def test_what_all_speeds_have_in_common_is_told_and_counts_for_none_of_them() -> None:
    slower = dict.fromkeys((f"c{i}" for i in range(30)), 0.8)
    comparison = compare_runs(run_of_many(1, 0.01), run_of_many(2, 0.01, **slower))
    assert comparison.speeds == []
    assert "All have moved by -2" in comparison_markdown(comparison)


def test_a_machine_half_as_fast_is_no_difference() -> None:
    halved = {"encode_mb_s": 250.0, "decode_mb_s": 500.0, "encode_ci": (245.0, 255.0), "decode_ci": (495.0, 505.0)}
    other = run_of(measured("values", "xor", 2000, **halved), memcpy=5_000.0)
    comparison = compare_runs(BASE, other)
    assert comparison.speeds == []
    assert comparison.compared_speeds == 2


def test_runs_without_intervals_say_so() -> None:
    comparison = compare_runs(changed(encode_ci=None, decode_ci=None), BASE)
    assert comparison.compared_speeds == 0
    assert "run the older one again" in comparison_markdown(comparison)


def test_what_is_in_one_run_only_is_listed() -> None:
    new = run_of(measured("values", "chimp", 2000), measured("dataset", "columnar", 20_000))
    comparison = compare_runs(BASE, new)
    assert comparison.only_old == ["xor (values)"]
    assert comparison.only_new == ["chimp (values)", "columnar (file)"]
    text = comparison_markdown(comparison)
    assert "**Only in the old run:** xor (values)." in text
    assert "**Only in the new run:** chimp (values), columnar (file)." in text


def database(size: int, changed: int = 0, name: str = "sqlite") -> EngineMeasurement:
    return EngineMeasurement(name, "SQLite", "3", 2, 1000, {"rest": size}, size, Returned(values_changed=changed))


def test_databases_are_compared_by_bytes_and_bits() -> None:
    old = replace(run_of(), engines=[database(9000), database(9000, name="duckdb"), database(500, name="prometheus")])
    new = replace(run_of(), engines=[database(9900), database(9000, changed=1, name="duckdb")])
    comparison = compare_runs(old, new)
    (size,) = comparison.sizes
    assert (size.subject, size.codec, size.change) == ("engine", "sqlite", pytest.approx(0.1))
    assert comparison.inexact == ["duckdb (database)"]
    assert comparison.only_old == ["prometheus (database)"]
    assert len(find_exceeded(comparison, {"size": 5})) == 3
    assert find_exceeded(compare_runs(old, old), {"size": 5}) == []
    assert "| sqlite (database) | 9,000 | 9,900 | +10.00 % |" in comparison_markdown(comparison)


def test_sizes_of_different_parts_are_not_compared() -> None:
    comparison = compare_runs(BASE, changed(samples=500))
    assert comparison.compared_sizes == 0
    assert comparison.unlike_parts == ["xor (values)"]


def test_other_data_are_rejected_unless_forced() -> None:
    other = run_of(
        measured("values", "xor", 1000, samples=500), facts=replace(FACTS, fingerprint="e" * 32, seed=1, samples=500)
    )
    with pytest.raises(InvalidRequestError, match="--force") as rejected:
        compare_runs(BASE, other)
    assert "\n" not in str(rejected.value)
    comparison = compare_runs(BASE, other, force=True)
    assert comparison.sizes == [], "both take 16 bits a value"
    assert "**The data differ**" in comparison_markdown(comparison)


def test_limits_are_for_the_worse_only() -> None:
    worse = changed(encoded=2030, decode_mb_s=700.0, decode_ci=(690.0, 710.0))
    comparison = compare_runs(BASE, worse)
    assert find_exceeded(comparison, {"size": 1.0, "speed": 10.0}) == [
        "xor (values) +1.50 % bytes",
        "xor (values) decode -30.00 % speed",
    ]
    assert find_exceeded(comparison, {"size": 2.0}) == []
    assert find_exceeded(comparison, {"speed": 35.0}) == []
    assert find_exceeded(compare_runs(worse, BASE), {"size": 0.0, "speed": 0.0}) == []


def test_no_speed_is_sure_where_a_machine_was_busy() -> None:
    slower = changed(decode_mb_s=500.0, decode_ci=(490.0, 510.0))
    busy = replace(slower, run=replace(slower.run, busy=1.2))
    comparison = compare_runs(BASE, busy)
    assert comparison.speeds == []
    assert find_exceeded(comparison, {"speed": 10.0}) == []
    assert "Other processes were running in the new run" in comparison_markdown(comparison)
    assert len(compare_runs(BASE, slower).speeds) == 1


def test_what_was_timed_on_another_part_must_differ_by_twice_as_much() -> None:
    """How many columns a codec is timed on goes by a first try, and changes its speed."""
    half = {"decode_mb_s": 600.0, "decode_ci": (590.0, 610.0)}
    part = BASE.get("values", "xor").timed_samples // 2
    assert [one.direction for one in compare_runs(BASE, changed(**half)).speeds] == ["decode"]
    assert compare_runs(BASE, changed(**half, timed_samples=part)).speeds == []
    third = {"decode_mb_s": 300.0, "decode_ci": (290.0, 310.0)}
    assert len(compare_runs(BASE, changed(**third, timed_samples=part)).speeds) == 1


def test_a_lost_bit_exceeds_every_limit() -> None:
    comparison = compare_runs(BASE, changed(bit_exact=False, lossy=True))
    assert find_exceeded(comparison, {"speed": 99.0}) == ["xor (values) is no longer bit for bit"]
    assert "**No longer bit for bit:** xor (values)." in comparison_markdown(comparison)


def test_a_limit_with_nothing_to_hold_against_it_is_exceeded() -> None:
    """A run whose codecs are gone, or that timed nothing, has not passed."""
    nothing = replace(BASE, measurements=[])
    assert find_exceeded(compare_runs(BASE, nothing), {"size": 1.0, "speed": 10.0}) == [
        "no size could be compared",
        "no speed could be compared",
        "xor (values) is missing",
    ]
    untimed = changed(encode_ci=None, decode_ci=None)
    assert find_exceeded(compare_runs(BASE, untimed), {"size": 1.0, "speed": 10.0}) == ["no speed could be compared"]
    assert find_exceeded(compare_runs(BASE, untimed), {"size": 1.0}) == []


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("size=1%,speed=10%", {"size": 1.0, "speed": 10.0}),
        ("speed=2.5", {"speed": 2.5}),
        (" size = 1%", None),
        ("size=1 %, speed=0%", {"size": 1.0, "speed": 0.0}),
        ("", None),
        ("size", None),
        ("size=-1%", None),
        ("size=1%,size=2%", None),
        ("memory=1%", None),
    ],
)
def test_limits_are_read_or_rejected(text: str, limits: dict[str, float] | None) -> None:
    if limits is None:
        with pytest.raises(InvalidRequestError, match="size=1%,speed=10%"):
            parse_limits(text)
    else:
        assert parse_limits(text) == limits


# As a user types it


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    BASE.write(tmp_path / "old" / "results.json")
    changed(encoded=2030).write(tmp_path / "larger" / "results.json")
    replace(BASE, dataset=replace(FACTS, fingerprint="e" * 32)).write(tmp_path / "other" / "results.json")
    (tmp_path / "broken.json").write_text("{}")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, PROJECT / "main.py", "compare", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"COLUMNS": "40"}, capture_output=True, text=True, check=False
        )

    return run


def test_the_command_prints_markdown_and_writes_the_same(compare: Callable, tmp_path: Path) -> None:
    done = compare("old", "larger/results.json", "--output", "deep/pull.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout == comparison_markdown(compare_runs(read_run(tmp_path / "old"), read_run(tmp_path / "larger")))
    assert (tmp_path / "deep" / "pull.md").read_text() == done.stdout
    assert done.stderr == "Comparison: deep/pull.md\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["old", "larger", "--fail-on", "size=1%"], 1, "xor (values) +1.50 % bytes"),
        (["old", "larger", "--fail-on", "size=2%,speed=10%"], 0, "nothing"),
        (["larger", "old", "--fail-on", "size=0%"], 0, "nothing"),
        (["old", "other", "--force", "--fail-on", "size=0%"], 0, "The data differ"),
    ],
)
def test_the_exit_code_says_whether_a_limit_was_exceeded(
    arguments: list[str], status: int, said: str, compare: Callable
) -> None:
    done = compare(*arguments)
    assert done.returncode == status, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["old", "other"], "--force"),
        (["old", "nowhere"], "there is no nowhere"),
        (["old", "broken.json"], "broken.json is no results file"),
        (["old", "larger", "--fail-on", "bytes=1%"], "size=1%,speed=10%"),
        (["old"], "NEW"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments: list[str], said: str, compare: Callable) -> None:
    done = compare(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_run_kept_in_the_gallery_can_be_read() -> None:
    for file in (PROJECT / "reports" / "gallery").glob("*/results.json"):
        results = read_run(file.parent)
        assert json.loads(file.read_text())["dataset"]["fingerprint"] == results.dataset.fingerprint
        assert not compare_runs(results, results).sizes
