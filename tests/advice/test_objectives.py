"""What an objective chooses of settings whose bytes and times are known, and that a budget is kept."""

import math
from pathlib import Path

import pytest
import toy_system as toy

from squeezelab import MetricDataset, bench
from squeezelab.advice import advise_all, available_systems, get_system
from squeezelab.advice.advised import with_advice
from squeezelab.advice.base import System
from squeezelab.advice.parts import part_of
from squeezelab.advice.proof import BALANCED_LIMIT, READ_LIMIT, advise_one


@pytest.mark.parametrize(
    ("system", "objective", "wanted", "why"),
    [
        (toy.Toy(), "size", "small", "the fewest bytes"),
        (toy.Toy(), "read", "quick", "the quickest of up to twice as many bytes: huge takes more"),
        (toy.Toy(), "balanced", "middling", "the quickest of up to a tenth more bytes: quick takes more"),
        (toy.Loaded(), "read", "b", "ingest does not count"),
        (toy.Loaded(), "balanced", "a", "ingest counts"),
        (toy.Alike(), "size", "a", "the fewest bytes, however few fewer"),
        (toy.Alike(), "read", "", "nothing is better by enough to change it"),
    ],
)
def test_an_objective_chooses_by_its_own_rule(
    system: System, objective: str, wanted: str, why: str, small: MetricDataset
) -> None:
    advice = advise_one(system, small.select([0]), objective=objective, budget=30)
    assert advice.statements["toy.txt"] == wanted, why
    best = advice.get("advised")
    known = system.workshop.figures[wanted]
    assert best.encoded_bytes == known.size
    assert [1000 * one for one in (best.ingest_s, best.hour_s, best.whole_s)] == pytest.approx(known[1:])


def test_a_layout_that_looks_larger_on_a_part_is_tried_on_all_and_with_all_options(small: MetricDataset) -> None:
    """On a part the wide table takes 1.4 times the narrow, on all 1.01 times, and less with what helps large data."""
    advice = advise_one(toy.Scaled(), small, budget=30)
    assert advice.statements["toy.txt"] == "wide yes"


@pytest.mark.parametrize("objective", ["read", "balanced"])
def test_what_is_advised_is_the_quickest_as_measured_of_those_that_an_objective_allows(
    objective: str, small: MetricDataset
) -> None:
    if "parquet_polars" not in available_systems():
        pytest.skip("polars is not installed")
    advice = advise_one(get_system("parquet_polars"), part_of(small, 4_000), objective=objective)
    limit = {"read": READ_LIMIT, "balanced": BALANCED_LIMIT}[objective]
    least = min(one.encoded_bytes for one in advice.settings)
    allowed = [one for one in advice.settings if one.encoded_bytes <= limit * least]
    assert len(allowed) > 1
    scores = {
        one.description: one.hour_s * one.whole_s * (one.ingest_s if objective == "balanced" else 1) for one in allowed
    }
    best = advice.get("advised")
    assert best in allowed
    assert best.hour_s > 0
    if best.encoded_bytes < 0.99 * advice.get("default").encoded_bytes:
        assert scores[best.description] == min(scores.values())
    assert math.isfinite(min(scores.values()))


def test_a_budget_ends_the_search_and_leaves_time_for_proofs(
    small: MetricDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(toy.RUNS, str(tmp_path / "runs"))
    advice = advise_one(toy.Slow(), small.select([0]), budget=4)
    runs = (tmp_path / "runs").read_text().splitlines()
    assert len(runs) <= 16, "each takes a quarter of a second: no more than 16 fit into the budget"
    assert {one.role for one in advice.settings} >= {"default", "advised"}
    assert "the budget of 4 s ended the search before everything was tried" in advice.notes[0]


def test_a_system_whose_advice_breaks_costs_the_others_a_line(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy.Alike, "describe", lambda *_: 1 // 0)
    given, failed = advise_all([toy.Alike(), toy.Toy()], small.select([0]), budget=5)
    assert [one.statements["toy.txt"] for one in given] == ["small"]
    assert failed == ["toy failed: ZeroDivisionError: integer division or modulo by zero"]


def test_a_run_takes_advice_and_says_what_failed(
    small: MetricDataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(toy.Alike, "describe", lambda *_: 1 // 0)
    data = small.select([0])
    with caplog.at_level("INFO", "squeezelab"):
        results = with_advice(bench(data, "none", "none", budget=0).results, data, [toy.Alike(), toy.Toy()], ["a word"])
    assert [one.system for one in results.advice] == ["toy"]
    words = ["a word", "toy failed: ZeroDivisionError: integer division or modulo by zero"]
    assert results.run.notes[-2:] == words
    assert caplog.messages[-2:] == words


def test_a_budget_that_is_too_short_for_anything_proves_the_default_and_the_best_so_far(
    small: MetricDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(toy.RUNS, str(tmp_path / "runs"))
    advice = advise_one(toy.Slow(), small.select([0]), budget=0.01)
    assert {one.role for one in advice.settings} >= {"default", "advised"}
    assert len((tmp_path / "runs").read_text().splitlines()) <= 5
