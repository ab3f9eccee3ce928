"""Parts: of about as many samples as are wanted, contiguous, and of all that there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset
from squeezelab.experiment.parts import choose_windows, take


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=60), st.integers(1, 100_000))
def test_windows_lie_in_their_series_and_are_about_as_many_samples_as_wanted(lengths: list[int], samples: int) -> None:
    windows = choose_windows(np.array(lengths), samples)
    assert all(0 <= start <= stop <= lengths[series] for series, start, stop in windows)
    assert [one.series for one in windows] == sorted({one.series for one in windows}), "none twice"
    taken = sum(one.stop - one.start for one in windows)
    if sum(lengths) <= samples:
        assert taken == sum(lengths)
    else:
        assert 1 <= taken <= samples


@pytest.mark.parametrize("lengths", [[200_000] * 20, [4_000_000], [1_000] * 4_000, [100_000, *[10] * 100_000]])
def test_the_same_numbers_give_as_large_a_part_however_they_are_shared_among_series(lengths: list[int]) -> None:
    windows = choose_windows(np.array(lengths), 50_000)
    assert sum(one.stop - one.start for one in windows) == pytest.approx(50_000, rel=0.05)


def test_a_wide_table_has_a_window_of_every_column_and_not_of_the_same_place() -> None:
    windows = choose_windows(np.array([200_000] * 20), 50_000)
    assert [one.series for one in windows] == list(range(20))
    assert len({one.start for one in windows}) == 20


def test_no_family_is_missed_because_series_repeat_in_its_rhythm() -> None:
    windows = choose_windows(np.array([1_000] * 5_000), 500_000)
    for period in (2, 5, 10, 50):
        assert len({one.series % period for one in windows}) == period


def test_windows_are_views_of_the_data_set(small: MetricDataset) -> None:
    part = take(small, choose_windows(np.diff(small.offsets), 10_000))
    assert len(part) == 10_000
    assert set(part.keys) < set(small.keys)
    assert take(small, choose_windows(np.diff(small.offsets), 10**9)) is small
