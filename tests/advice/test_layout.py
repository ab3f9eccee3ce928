"""Layouts: metrics as tables and back; what cannot be wide is not; a part represents the whole."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.advice import get_system
from squeezelab.advice.layout import in_canonical_order
from squeezelab.advice.parts import first_half, part_of
from squeezelab.advice.shapes import MOST_TABLES, layouts, unique_names
from squeezelab.dataset import VALUE_DTYPES, from_words

TEXTS = st.text(max_size=4)
KEYS = st.builds(SeriesKey, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))
COLUMNS = st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**64 - 1)), min_size=1, max_size=5)


@st.composite
def datasets(draw: st.DrawFn) -> MetricDataset:
    series = []
    for key in draw(st.lists(KEYS, min_size=1, max_size=5, unique=True)):
        rows = sorted(draw(COLUMNS))
        moments, bits = zip(*rows, strict=True)
        values = from_words(np.array(bits, np.uint64), draw(st.sampled_from(VALUE_DTYPES)))
        series.append(Series(key, np.array(moments, np.int64), values))
    return MetricDataset.from_series(series, time_unit=draw(st.sampled_from(["s", "ms"])))


@given(datasets())
def test_every_layout_gives_back_every_bit_of_any_names_moments_and_values(dataset: MetricDataset) -> None:
    wanted = in_canonical_order(dataset).fingerprint
    for layout in layouts(dataset):
        assert layout.restore({one.name: one.rows for one in layout.tables}).fingerprint == wanted, layout.name
        for hour in layout.hours(dataset):
            assert hour.samples >= 1


def test_readings_have_a_column_of_their_type(small: MetricDataset) -> None:
    counter, single, double = (small.series(i) for i in (0, 1, 2))
    counter = counter._replace(values=2**60 + np.arange(counter.values.size))
    single = single._replace(values=single.values.astype(np.float32))
    (alone, *_) = layouts(MetricDataset.from_series([counter]))
    assert [(one.name, one.nullable) for one in alone.columns if one.kind == "value"] == [("value", False)]
    mixed = MetricDataset.from_series([counter, single, double])
    for layout in layouts(mixed)[:2]:
        table = layout.tables[-1]
        readings = table.of_kind("value")
        assert {one.name: table.dtype(one.name) for one in readings} == {
            "value": np.float64,
            "value_int64": np.int64,
            "value_float32": np.float32,
        }
        assert all(one.nullable for one in readings)
        assert {hour.value for hour in layout.hours(mixed)} == {one.name for one in readings}


def test_a_metric_of_several_types_is_not_wide() -> None:
    columns = [np.arange(3), np.arange(3.0)]
    series = [Series(SeriesKey("m", {"n": f"{i}"}), np.arange(3), one) for i, one in enumerate(columns)]
    assert [one.name for one in layouts(MetricDataset.from_series(series))] == ["narrow", "series"]


def test_nothing_set_is_said_where_nothing_is(small: MetricDataset) -> None:
    system, layout = get_system("zarr"), layouts(small)[1]
    default = system.default(layout)
    assert system.describe(layout, default).endswith("nothing set")
    (time,) = [(one.table, one.name) for one in layout.columns if one.kind == "time"]
    other = replace(default, columns={**default.columns, time: "zstd 19"})
    assert system.describe(layout, other).endswith("values as they are")


def test_what_has_a_moment_twice_or_too_many_sets_of_metrics_is_not_wide() -> None:
    twice = MetricDataset.from_series([Series(SeriesKey("up", {}), np.array([1, 1]), np.ones(2))])
    assert [one.name for one in layouts(twice)] == ["narrow", "series"]
    many = [Series(SeriesKey(f"m{i}", {"host": f"{i}"}), np.arange(2), np.ones(2)) for i in range(MOST_TABLES + 1)]
    assert "wide" not in [one.name for one in layouts(MetricDataset.from_series(many))]
    assert "wide" in [one.name for one in layouts(MetricDataset.from_series(many[:-1]))]


@given(st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=3))
def test_names_of_columns_are_unique_whatever_case_a_system_folds(wanted: list[str], taken: list[str]) -> None:
    names = unique_names(wanted, taken)
    folded = [one.casefold() for one in names]
    assert len(set(folded)) == len(wanted)
    assert "" not in names
    assert not set(folded) & {one.casefold() for one in taken}


def test_a_part_has_every_family_and_whole_label_sets(small: MetricDataset) -> None:
    part = part_of(small, 5_000)
    assert 1_000 < len(part) < 15_000
    assert {key.metric_name for key in part.keys} == {key.metric_name for key in small.keys}
    assert part_of(small, len(small)) is small


def test_the_first_half_of_one_sample_is_that_sample() -> None:
    once = MetricDataset.from_series([Series(SeriesKey("up", {}), np.array([5]), np.ones(1))])
    assert len(first_half(once)) == 1
