"""Text becomes the double that Python reads, bit for bit."""

import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import same_bits
from squeezelab.readers._numbers import count_rounded, parse_number, to_numbers

DIGITS = st.from_regex(r"[-+]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][-+]?[0-9]{1,3})?", fullmatch=True)


@given(texts=st.lists(st.floats(allow_nan=False).map(repr) | DIGITS, min_size=1))
def test_numbers_are_the_nearest_doubles(texts: list[str]) -> None:
    numbers = to_numbers(pa.array(texts))
    assert same_bits(numbers.values, np.array([float(text) for text in texts]))
    assert numbers.present.all()
    assert not numbers.bad.any()


@given(texts=st.lists(st.floats(allow_nan=False).map(repr) | DIGITS, min_size=1))
def test_one_bad_cell_changes_no_other(texts: list[str]) -> None:
    numbers = to_numbers(pa.array([*texts, "12.5 degrees"]))
    assert same_bits(numbers.values[:-1], np.array([float(text) for text in texts]))
    assert numbers.bad.tolist() == [False] * len(texts) + [True]


@pytest.mark.parametrize(
    "text", ["4.9e-324", "2.4703282292062327e-324", "1.7976931348623157e308", "-0.0", "1e400", "+1.5"]
)
def test_edges_of_the_range(text: str) -> None:
    assert struct.pack("d", to_numbers(pa.array([text])).values[0]) == struct.pack("d", float(text))


@pytest.mark.parametrize("text", ["", "NA", "N/A", "null", "None", "<NA>", "  ", None])
def test_empty_cells_are_no_samples_and_no_mistakes(text: str | None) -> None:
    numbers = to_numbers(pa.array([text, "1"]))
    assert numbers.present.tolist() == [False, True]
    assert not numbers.bad.any()


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-Infinity", " 1.5 "])
def test_nan_and_infinities_are_values(text: str) -> None:
    numbers = to_numbers(pa.array([text]))
    assert numbers.present.all()
    assert np.array_equal(numbers.values, [float(text)], equal_nan=True)


@pytest.mark.parametrize("text", ["1_000", "0x10", "1,5", "1.5.1", "--1", "e5", ".", "infinit", "\u0661"])
def test_what_is_no_number(text: str) -> None:
    assert parse_number(text) is None
    assert to_numbers(pa.array([text])).bad.all()


def test_booleans_are_0_and_1() -> None:
    assert to_numbers(pa.array(["true", "False", "TRUE"])).values.tolist() == [1, 0, 1]
    typed = to_numbers(pa.array([True, None, False]))
    assert typed.values[typed.present].tolist() == [1, 0]


def test_integers_that_no_double_holds_are_counted() -> None:
    assert count_rounded(pa.array([2**53 + 1]))
    assert count_rounded(pa.array([-(2**53) - 1, None]))
    assert count_rounded(pa.array([2**64 - 1], pa.uint64()))
    assert not count_rounded(pa.array([2**53, -5, 2**60, -(2**63), 0, None]))
    assert to_numbers(pa.array([2**53 + 1])).values.tolist() == [float(2**53 + 1)]
