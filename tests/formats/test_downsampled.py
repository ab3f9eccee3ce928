"""Down-sampled files against pandas, and the error that they show."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.proof import prove
from squeezelab.experiment.run import measure_dataset
from squeezelab.formats import Loss, get_format
from squeezelab.formats.downsampled import STEPS, Downsampled, downsample, window_starts
from squeezelab.report.charts import draw_ladder
from squeezelab.report.tables import ladder_table

KEY = SeriesKey("up", {})
READINGS = st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, np.nan])


def one_series(timestamps: list[int], values: list[float]) -> MetricDataset:
    return MetricDataset.from_series([Series(KEY, np.array(timestamps, np.int64), np.array(values, np.float64))])


@given(st.data(), st.sampled_from(sorted(STEPS)))
def test_windows_are_those_of_pandas(data: st.DataObject, name: str) -> None:
    count = data.draw(st.integers(1, 60))
    timestamps = data.draw(arrays(np.int64, count, elements=st.integers(-8000, 8000)))
    values = data.draw(arrays(np.float64, count, elements=READINGS))
    frame = pd.DataFrame({"window": timestamps // STEPS[name] * STEPS[name], "value": values, "at": timestamps})
    groups = frame.sort_values("at", kind="stable").groupby("window")["value"]
    expected = groups.agg(["count", "min", "max", "last", "mean"])
    starts, counts, minima, maxima, means, lasts = downsample(timestamps, values, STEPS[name])
    assert starts.tolist() == expected.index.tolist()
    assert counts.tolist() == expected["count"].tolist()
    for found, column in ((minima, "min"), (maxima, "max"), (lasts, "last")):
        np.testing.assert_array_equal(found, expected[column])
    np.testing.assert_allclose(means, expected["mean"], rtol=1e-9, atol=1e-6)


def test_all_five_numbers_are_in_the_file() -> None:
    dataset = one_series([0, 15, 30, 300, 301], [4.0, 1.0, 2.0, np.nan, 7.0])
    for reader in (Downsampled("5m"), Downsampled("1h")):  # the file says its step itself
        windows = reader.windows(Downsampled("5m").encode(dataset))
        assert windows.step == 300
        assert windows.keys == [KEY]
        columns = [column.tolist() for column in windows[2:]]
        assert columns == [[0, 2], [0, 300], [3, 1], [1.0, 7.0], [4.0, 7.0], [7 / 3, 7.0], [2.0, 7.0]]


@pytest.mark.parametrize(("unit", "second"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_windows_are_as_long_whatever_timestamps_count(unit: str, second: int) -> None:
    times, values = np.array([0, 15, 30, 61, 3599, 3600]), np.arange(6.0)
    coarse = MetricDataset.from_series([Series(KEY, times, values)])
    fine = MetricDataset.from_series([Series(KEY, times * second, values)], time_unit=unit)
    for step, seconds in STEPS.items():
        reader = Downsampled(step)
        expected, found = (reader.windows(reader.encode(dataset)) for dataset in (coarse, fine))
        assert found.step == seconds * second
        assert found.starts.tolist() == [start * second for start in expected.starts.tolist()]
        assert found.counts.tolist() == expected.counts.tolist()
        assert reader.loss(fine, reader.decode(reader.encode(fine))) == reader.loss(
            coarse, reader.decode(reader.encode(coarse))
        )


def test_what_is_read_back_are_starts_and_means() -> None:
    found = Downsampled().decode(Downsampled().encode(one_series([61, 75, 130], [1.0, 2.0, 5.0])))
    assert found.timestamps.tolist() == [60, 120]
    assert found.values.tolist() == [1.5, 5.0]


def test_windows_without_samples_are_not_kept() -> None:
    assert len(Downsampled().decode(Downsampled().encode(one_series([0, 10**9], [1.0, 2.0])))) == 2


def test_nan_counts_nowhere_but_keeps_its_window() -> None:
    windows = Downsampled().windows(Downsampled().encode(one_series([0, 60], [np.nan, 1.0])))
    assert windows.counts.tolist() == [0, 1]
    assert np.isnan([windows.minima[0], windows.maxima[0], windows.means[0], windows.lasts[0]]).all()


def test_the_mean_of_huge_numbers_is_finite() -> None:
    assert Downsampled().decode(Downsampled().encode(one_series([0, 1], [1.5e308, 1.7e308]))).values == [1.6e308]
    assert Downsampled().decode(Downsampled().encode(one_series([0, 1], [np.inf, 1.0]))).values == [np.inf]


def test_windows_at_the_ends_of_time() -> None:
    ends = np.array([-(2**63), -(2**63) + 1, 2**63 - 1])
    for step in STEPS.values():
        starts = window_starts(ends, step)
        assert starts[0] == starts[1] == -(2**63)
        assert starts[2] == (2**63 - 1) // step * step


def test_the_loss_is_the_distance_from_the_mean() -> None:
    dataset = MetricDataset.from_series(
        [
            Series(KEY, np.array([0, 1, 60]), np.array([0.0, 4.0, 10.0])),  # mean 2: distances 2, 2, 0 of a range of 10
            Series(SeriesKey("flat", {}), np.arange(3), np.full(3, 1e9)),
            Series(SeriesKey("gaps", {}), np.arange(2), np.array([np.nan, np.nan])),
            Series(SeriesKey("none", {}), np.empty(0, np.int64), np.empty(0)),
        ]
    )
    loss = Downsampled().loss(dataset, Downsampled().decode(Downsampled().encode(dataset)))
    assert loss == Loss(2.0, pytest.approx(np.sqrt(2 * 0.2**2 / 6)))
    assert get_format("downsampled+zstd").loss(dataset, Downsampled().decode(Downsampled().encode(dataset))) == loss


def test_longer_windows_are_smaller_and_lose_more(small: MetricDataset) -> None:
    proofs = [prove(get_format(f"downsampled:step={step}"), small) for step in STEPS]
    assert [one.encoded_bytes for one in proofs] == sorted((one.encoded_bytes for one in proofs), reverse=True)
    errors = [one.relative_error for one in proofs]
    assert errors == sorted(errors)
    assert 0 < errors[0] < errors[-1] < 0.5


def test_what_comes_back_by_chance_is_lossy_all_the_same() -> None:
    dataset = one_series([0, 60], [1.0, 2.0])
    assert Downsampled().decode(Downsampled().encode(dataset)).fingerprint == dataset.fingerprint
    assert not prove(Downsampled(), dataset).bit_exact


def test_lossy_rungs_come_last_and_show_their_error(small: MetricDataset) -> None:
    formats = ["downsampled:step=1h+zstd", "columnar", "table", "ndjson"]
    results = measure_dataset(small, generator="synthetic", size="small", codecs=[], formats=formats, rounds=0)
    lossy = results.get("dataset", "downsampled:step=1h+zstd")
    assert lossy.lossy
    assert not lossy.bit_exact
    assert lossy.largest_error > 0
    table = ladder_table(results)
    assert [row[0] for row in table.rows] == ["columnar", "table", "ndjson", "downsampled:step=1h+zstd (lossy)"]
    assert [row[-1] for row in table.rows] == ["yes"] * 3 + [f"lossy ({100 * lossy.relative_error:.1f} % of the range)"]
    assert "root mean square" in table.note
    labels = [text.get_text() for text in draw_ladder(results).axes[0].get_yticklabels()]
    assert labels == [row[0] for row in table.rows]


def test_other_steps_are_rejected() -> None:
    with pytest.raises(InvalidRequestError, match="no step '2m': choose from 1m, 5m, 15m, 1h"):
        get_format("downsampled:step=2m")
