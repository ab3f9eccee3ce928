"""Bytes a sample as gigabytes held and money a month."""

from dataclasses import replace

import pytest

from squeezelab import MetricDataset
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.run import measure_dataset
from squeezelab.report.cost import cost_basis, cost_table, gigabytes_held, parse_span
from squeezelab.results import CostBasis, Results

CODECS = ("xor", "delta_of_delta:widths=gorilla", "zstd", "alp")


@pytest.fixture(scope="module")
def results(small: MetricDataset) -> Results:
    return measure_dataset(
        small, generator="synthetic", size="small", codecs=CODECS, formats=["columnar", "ndjson+zstd"], rounds=0
    )


def test_by_hand() -> None:
    # A million samples a second of 1.5 bytes for a day: 1.5e6 * 86,400 bytes.
    assert gigabytes_held(1.5, CostBasis(1e6, 86_400)) == pytest.approx(129.6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("395d", 395 * 86_400), ("1y30d", 395 * 86_400), ("12h", 43_200), ("90m", 5400), ("2w", 1_209_600), ("30s", 30)],
)
def test_spans_as_prometheus_writes_them(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "395", "d", "-1d", "1.5d", "1 d", "1month", "0d", "1d\n", "٣d"])
def test_what_is_no_span_is_rejected(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="--retention"):
        parse_span(text)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_more_than_nothing(rate: float) -> None:
    with pytest.raises(InvalidRequestError, match="--samples-per-second"):
        cost_basis(rate, None, None)


@pytest.mark.parametrize("price", [-0.01, float("nan"), float("inf")])
def test_a_price_is_not_negative(price: float) -> None:
    with pytest.raises(InvalidRequestError, match="--price-per-gb-month"):
        cost_basis(None, None, price)


def test_nothing_given_is_an_example_without_a_price(results: Results) -> None:
    assert cost_basis(None, None, None) is None
    table = cost_table(results)
    assert table.headers[-1] == "GB held"
    assert "1,000,000 samples a second, kept for 365 days (an example)" in table.note


def test_the_best_gorilla_and_files_stand_there_with_their_money(results: Results) -> None:
    table = cost_table(replace(results, cost=cost_basis(2e6, "10d", 0.023)))
    assert "example" not in table.note
    assert "2,000,000 samples a second, kept for 10 days" in table.note
    rows = {row[0]: row for row in table.rows}
    assert {"Smallest codecs", "Smallest file", "Gorilla", "zstd", "NDJSON and zstd"} <= rows.keys()
    size = results.overall_bytes("delta_of_delta:widths=gorilla", "xor") / results.dataset.samples
    held = size * 2e6 * 864_000 / 1e9
    assert rows["Gorilla"][1:] == [
        "delta_of_delta:widths=gorilla and xor",
        f"{size:.3f}",
        f"{held:,.0f}",
        f"{held * 0.023:,.2f}",
    ]


def test_what_was_not_given_is_named(results: Results) -> None:
    note = cost_table(replace(results, cost=cost_basis(5.0, None, 1.0))).note
    assert "an example as to --retention" in note
    note = cost_table(replace(results, cost=cost_basis(5.0, "36h", None))).note
    assert "36 hours; " in note
    assert "--price-per-gb-month" in note


def test_one_column_alone_is_no_sample(small: MetricDataset) -> None:
    few = measure_dataset(small, generator="", size="", codecs=["xor"], formats=[], rounds=0)
    assert not cost_table(few).rows


def test_results_keep_what_was_given(results: Results, tmp_path) -> None:
    told = replace(results, cost=cost_basis(5.0, None, None))
    told.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == told


def test_no_row_stands_twice(small: MetricDataset) -> None:
    """Where the smallest is the fastest as well, its money is told once."""
    alone = measure_dataset(small, codecs=["pattern"], formats=["columnar+zstd"], budget=0.05)
    assert [row[1] for row in cost_table(alone).rows] == ["pattern", "columnar+zstd"]
