"""The data set: its invariants and its views."""

import pickle

import numpy as np
import pytest

from squeezelab import MetricDataset, Series, SeriesKey

KEY = SeriesKey("up", {"host": "a", "az": "1"})
OTHER = SeriesKey("up", {"host": "b"})


def two_series() -> MetricDataset:
    return MetricDataset([KEY, OTHER], np.array([0, 2, 3]), np.array([10, 25, 11]), np.array([1.0, np.nan, -0.0]))


def test_iterating_gives_views_of_each_series() -> None:
    dataset = two_series()
    first, second = dataset
    assert (first.key, second.key) == (KEY, OTHER)
    assert first.timestamps.tolist() == [10, 25]
    assert np.shares_memory(first.values, dataset.values)
    assert len(dataset) == 3


def test_nothing_in_it_can_be_changed() -> None:
    dataset = two_series()
    with pytest.raises(ValueError, match="read-only"):
        dataset.values[0] = 2
    with pytest.raises(AttributeError):
        dataset.values = np.zeros(3)  # type: ignore[misc]
    with pytest.raises(TypeError):
        KEY.labels["host"] = "c"  # type: ignore[index]


def test_the_callers_arrays_stay_writable() -> None:
    values = np.array([1.0, 2.0, 3.0])
    MetricDataset([KEY], np.array([0, 3]), np.arange(3), values)
    values[0] = 5


def test_records_are_what_ndjson_holds() -> None:
    records = list(two_series().records())
    assert records[0] == {"metric_name": "up", "labels": {"az": "1", "host": "a"}, "timestamp": 10, "value": 1.0}
    assert [record["timestamp"] for record in records] == [10, 25, 11]


def test_keys_with_equal_labels_are_equal_whatever_their_order() -> None:
    same = SeriesKey("up", {"az": "1", "host": "a"})
    assert same == KEY
    assert hash(same) == hash(KEY)
    assert OTHER != KEY
    assert pickle.loads(pickle.dumps(KEY)) == KEY


def test_the_frame_has_a_row_a_sample_and_a_column_a_label() -> None:
    frame = two_series().to_frame()
    assert list(frame.columns) == ["metric_name", "az", "host", "timestamp", "value"]
    assert frame["host"].tolist() == ["a", "a", "b"]
    assert frame["az"].isna().tolist() == [False, False, True]
    assert frame["timestamp"].tolist() == [10, 25, 11]


def test_labels_named_like_columns_keep_out_of_their_way() -> None:
    dataset = MetricDataset([SeriesKey("m", {"value": "x"})], np.array([0, 1]), np.array([1]), np.array([2.0]))
    assert list(dataset.to_frame().columns) == ["metric_name", "label_value", "timestamp", "value"]


def test_the_fingerprint_tells_every_difference() -> None:
    base = two_series()
    assert base.fingerprint == two_series().fingerprint
    nan_payload = base.values.copy()
    nan_payload.view(np.uint64)[1] += 1
    others = [
        MetricDataset([KEY, OTHER], base.offsets, base.timestamps, nan_payload),
        MetricDataset([KEY, OTHER], base.offsets, base.timestamps + 1, base.values),
        MetricDataset([KEY, OTHER], np.array([0, 1, 3]), base.timestamps, base.values),
        MetricDataset([OTHER, KEY], base.offsets, base.timestamps, base.values),
        MetricDataset([KEY, SeriesKey("up", {})], base.offsets, base.timestamps, base.values),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_select_takes_series_in_the_order_asked_for() -> None:
    picked = two_series().select([1, 0])
    assert picked.keys == (OTHER, KEY)
    assert picked.timestamps.tolist() == [11, 10, 25]


@pytest.mark.parametrize(
    ("keys", "offsets", "timestamps", "values", "message"),
    [
        ([KEY], [0, 2], [1, 2], [1.0], "as long as"),
        ([KEY], [0, 1], [1, 2], [1.0, 2.0], "as long as"),
        ([KEY], [1, 2], [1, 2], [1.0, 2.0], "begin with 0"),
        ([KEY, OTHER], [0, 2, 1], [1], [1.0], "never fall"),
        ([KEY], [0], [], [], "one more entry"),
        ([KEY, KEY], [0, 1, 2], [1, 2], [1.0, 2.0], "no two series"),
        ([KEY], [0, 1], [1.5], [1.0], "timestamps must be"),
        ([KEY], [0, 1], [1], [True], "values must be"),
    ],
)
def test_parts_that_do_not_fit_are_rejected(keys, offsets, timestamps, values, message) -> None:
    with pytest.raises(ValueError, match=message):
        MetricDataset(
            keys, np.array(offsets), np.array(timestamps, dtype=None if timestamps else np.int64), np.array(values)
        )


def test_a_data_set_of_no_series_is_one() -> None:
    assert len(MetricDataset.from_series([])) == 0
    assert list(MetricDataset.from_series([Series(KEY, np.empty(0, np.int64), np.empty(0))]).records()) == []
