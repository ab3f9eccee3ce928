"""What came back, told exactly: what is lost, what has moved, what has changed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.experiment.returned import compare_returned
from squeezelab.results import Returned


def dataset(*series: tuple[str, list[int], list[float]], time_unit: str = "s") -> MetricDataset:
    made = [Series(SeriesKey(name, {}), np.array(t, np.int64), np.array(v, np.float64)) for name, t, v in series]
    return MetricDataset.from_series(made, time_unit=time_unit)


def bits(*words: int) -> list[float]:
    return np.array(words, np.uint64).view(np.float64).tolist()


GIVEN = dataset(("a", [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0]))


def test_the_same_is_exact_in_whatever_order() -> None:
    assert compare_returned(GIVEN, GIVEN).exact
    turned = dataset(("b", [20, 10], [6.0, 5.0]), ("a", [10, 40, 30, 20], [1.0, 4.0, 3.0, 2.0]))
    assert compare_returned(GIVEN, turned).exact
    assert compare_returned(turned, GIVEN).exact


def test_series_without_samples_do_not_count() -> None:
    empty = dataset(("a", [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0]), ("c", [], []))
    assert compare_returned(GIVEN, empty).exact
    assert compare_returned(empty, GIVEN).exact


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([("a", [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0])], Returned(series_lost=1, samples_lost=2)),
        (
            [("a", [10, 20, 30, 40], [1.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0]), ("c", [7], [1.0])],
            Returned(series_added=1, samples_added=1),
        ),
        ([("a", [10, 20, 40], [1.0, 2.0, 4.0]), ("b", [10, 20], [5.0, 6.0])], Returned(samples_lost=1)),
        (
            [("a", [10, 20, 20, 30, 40], [1.0, 2.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0])],
            Returned(samples_added=1),
        ),
        (
            [("a", [10, 20, 30, 40], [1.0, 2.5, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0])],
            Returned(values_changed=1, largest_relative_change=0.25),
        ),
        (
            [("a", [10, 21, 30, 45], [1.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0])],
            Returned(times_moved=2, largest_move_s=5.0),
        ),
        # One that is moved among fewer, or by the length of an interval, changes no value.
        (
            [("a", [10, 31, 40], [1.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0])],
            Returned(samples_lost=1, times_moved=1, largest_move_s=11.0, values_changed=1, largest_relative_change=0.5),
        ),
        (
            [("a", [20, 30, 40, 50], [1.0, 2.0, 3.0, 4.0]), ("b", [10, 20], [5.0, 6.0])],
            Returned(times_moved=4, largest_move_s=10.0),
        ),
    ],
)
def test_each_fault_is_told_as_what_it_is(found: list, told: Returned) -> None:
    compared = compare_returned(GIVEN, dataset(*found))
    assert compared == told
    assert not compared.exact


def test_moves_are_told_in_seconds() -> None:
    given_ms = dataset(("a", [1000, 2000], [1.0, 2.0]), time_unit="ms")
    found = dataset(("a", [1000, 2500], [1.0, 2.0]), time_unit="ms")
    assert compare_returned(given_ms, found).largest_move_s == 0.5


def test_nan_infinity_and_the_sign_of_zero_are_counted_apart() -> None:
    words = (0x7FF8000000000001, 0x7FF0000000000000, 0xFFF0000000000000, 0x8000000000000000, 0x3FF0000000000000)
    times = [1, 2, 3, 4, 5]
    given = dataset(("a", times, bits(*words)))
    found = dataset(("a", times, bits(0x7FF8000000000000, 0x7FF8000000000000, 0, 0, 0x3FF0000000000000)))
    assert compare_returned(given, found) == Returned(nans_changed=1, infinities_changed=2, zeros_changed=1)
    lost = dataset(("a", [4, 5], bits(*words[3:])))
    assert compare_returned(given, lost) == Returned(samples_lost=3, special_lost=3)


def test_a_number_that_became_none_has_changed_endlessly() -> None:
    given, found = dataset(("a", [1, 2], [1.0, 2.0])), dataset(("a", [1, 2], [1.0, np.nan]))
    assert compare_returned(given, found).largest_relative_change == np.inf
    zero = dataset(("a", [1], [0.0]))
    assert compare_returned(zero, dataset(("a", [1], [1e-300]))).largest_relative_change == np.inf
    huge = dataset(("a", [1], [1.7e308]))
    assert compare_returned(huge, dataset(("a", [1], [-1.7e308]))).values_changed == 1


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**64 - 1)), min_size=1, max_size=40),
    st.data(),
)
def test_any_bits_at_any_times_are_exact_in_any_order_and_one_flipped_bit_is_not(
    samples: list, data: st.DataObject
) -> None:
    times, words = (list(column) for column in zip(*samples, strict=True))
    given = dataset(("a", times, bits(*words)))
    order = data.draw(st.permutations(range(len(samples))))
    found = dataset(("a", [times[i] for i in order], bits(*(words[i] for i in order))))
    assert compare_returned(given, found).exact
    values = found.values.view(np.uint64).copy()
    values[data.draw(st.integers(0, len(samples) - 1))] ^= np.uint64(1 << data.draw(st.integers(0, 63)))
    assert not compare_returned(given, replace(found, values=values.view(np.float64))).exact
