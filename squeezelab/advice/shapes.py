"""The shapes of tables of metrics: a row a sample, a table of series beside the samples, or a column a metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.advice.layout import Column, Layout, Table
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.formats._long import value_columns

MOST_TABLES = 32
"""A wide layout of more tables than this is none that anybody would keep."""
MOST_COLUMNS = 500
EARLIEST, LATEST = -2_208_988_800, 9_214_646_400
"""The seconds from 1900 up to 2262: moments in here are dates in every system, also in nanoseconds."""


def layouts(dataset: MetricDataset) -> list[Layout]:
    """Return the ways to lay a data set out; the wide one only where it can be.

    Parameters
    ----------
    dataset : MetricDataset
        Every series of it has a sample.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> from squeezelab.advice.layout import in_canonical_order
    >>> wanted = in_canonical_order(dataset).fingerprint
    >>> for one in layouts(dataset):
    ...     tables = {table.name: table.rows for table in one.tables}
    ...     print(one.name, list(tables), one.restore(tables).fingerprint == wanted)
    narrow ['metrics'] True
    series ['series', 'samples'] True
    wide ['metrics_1', 'metrics_2', 'metrics_3', 'metrics_4'] True
    """
    return [make for make in (_narrow(dataset), _by_series(dataset), _wide(dataset)) if make is not None]


def unique_names(wanted: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return names of columns: never empty, and no two alike, whatever case a system folds.

    Examples
    --------
    >>> unique_names(["CPU", "cpu", "", "host"], taken=["host"])
    ['CPU', 'cpu_2', '_', 'host_2']
    """
    used, names = {one.casefold() for one in taken}, []
    for name in wanted:
        stem = name or "_"
        candidate, count = stem, 1
        while candidate.casefold() in used:
            count += 1
            candidate = f"{stem}_{count}"
        used.add(candidate.casefold())
        names.append(candidate)
    return names


def _label_names(keys: Sequence[SeriesKey]) -> list[str]:
    return sorted({name for key in keys for name in key.labels})


def _times(dataset: MetricDataset) -> pa.Array:
    """Return moments as timestamps, as integers where they are no dates."""
    low, high = EARLIEST * dataset.second, LATEST * dataset.second
    timestamps = dataset.timestamps
    if len(timestamps) and (timestamps.min() < low or timestamps.max() >= high):
        return pa.array(timestamps)
    return pa.array(timestamps, pa.timestamp(dataset.time_unit, "UTC"))


def _texts(entries: Sequence[str | None], repeats: npt.NDArray[np.int64]) -> pa.Array:
    """Return text for each row, of one entry a series."""
    return pa.array(entries, pa.string()).take(pa.array(np.repeat(np.arange(len(entries)), repeats)))


def _readings(table: str, names: Sequence[str]) -> list[Column]:
    """Return columns of readings, a type each; where these are several, a row lacks all but one."""
    return [Column(table, name, "value", len(names) > 1) for name in names]


def _narrow(dataset: MetricDataset) -> Layout:
    keys, rows = dataset.keys, np.diff(dataset.offsets)
    labels = _label_names(keys)
    values = value_columns(list(dataset), dataset.value_dtypes)
    time, metric, *others = unique_names(["timestamp", "metric", *values, *labels])
    readings, label_columns = others[: len(values)], others[len(values) :]
    columns = [Column("metrics", metric, "label")]
    arrays = [_texts([key.metric_name for key in keys], rows)]
    for label, name in zip(labels, label_columns, strict=True):
        entries = [key.labels.get(label) for key in keys]
        columns.append(Column("metrics", name, "label", None in entries))
        arrays.append(_texts(entries, rows))
    columns += [Column("metrics", time, "time"), *_readings("metrics", readings)]
    data = pa.table([*arrays, _times(dataset), *values.values()], names=[one.name for one in columns])
    meaning = {metric: None, **dict(zip(label_columns, labels, strict=True))}
    return Layout("narrow", (Table("metrics", tuple(columns), data, {}),), meaning, dataset.time_unit, tuple(keys))


def _by_series(dataset: MetricDataset) -> Layout:
    keys, rows = dataset.keys, np.diff(dataset.offsets)
    labels = _label_names(keys)
    ident, metric, *label_columns = unique_names(["id", "metric", *labels])
    numbers = np.arange(len(keys), dtype=np.uint32)
    columns = [Column("series", ident, "id"), Column("series", metric, "label")]
    arrays = [pa.array(numbers), pa.array([key.metric_name for key in keys], pa.string())]
    for label, name in zip(labels, label_columns, strict=True):
        entries = [key.labels.get(label) for key in keys]
        columns.append(Column("series", name, "label", None in entries))
        arrays.append(pa.array(entries, pa.string()))
    series = Table("series", tuple(columns), pa.table(arrays, names=[one.name for one in columns]), {})
    values = value_columns(list(dataset), dataset.value_dtypes)
    columns = [Column("samples", "id", "id"), Column("samples", "timestamp", "time")]
    columns += _readings("samples", list(values))
    arrays = [pa.array(np.repeat(numbers, rows)), _times(dataset), *values.values()]
    samples = Table("samples", tuple(columns), pa.table(arrays, names=[one.name for one in columns]), {})
    meaning = {metric: None, **dict(zip(label_columns, labels, strict=True))}
    return Layout("series", (series, samples), meaning, dataset.time_unit, tuple(keys))


def _wide(dataset: MetricDataset) -> Layout | None:
    """Return a table for each set of metrics that label sets have.

    None if a moment comes twice, tables or columns are many, or a metric has values of several types.
    """
    of_labels: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    for number, key in enumerate(dataset.keys):
        of_labels.setdefault(tuple(key.labels.items()), {})[key.metric_name] = number
    groups: dict[tuple[str, ...], list[dict[str, int]]] = {}
    for held in of_labels.values():
        groups.setdefault(tuple(sorted(held)), []).append(held)
    steps = np.diff(dataset.timestamps)
    ends = dataset.offsets[1:-1] - 1
    if len(groups) > MOST_TABLES or np.any(np.delete(steps, ends[(ends >= 0) & (ends < len(steps))]) <= 0):
        return None
    if max(len(metrics) for metrics in groups) > MOST_COLUMNS:
        return None
    kinds = {(one.key.metric_name, one.values.dtype) for one in dataset}
    if len(kinds) > len({metric for metric, _ in kinds}):
        return None
    every, times = list(dataset), _times(dataset).type
    labels = _label_names(dataset.keys)
    time, *label_columns = unique_names(["timestamp", *labels])
    columns_of = dict(zip(labels, label_columns, strict=True))
    tables = []
    for count, (metrics, members) in enumerate(groups.items(), 1):
        name = "metrics" if len(groups) == 1 else f"metrics_{count}"
        series = [[every[m[one]] for one in metrics] for m in members]
        tables.append(_wide_table(name, metrics, series, time, times, columns_of))
    meaning: dict[str, str | None] = dict(zip(label_columns, labels, strict=True))
    return Layout("wide", tuple(tables), meaning, dataset.time_unit, tuple(dataset.keys))


def _wide_table(
    name: str,
    metrics: Sequence[str],
    members: list[list[Series]],
    time: str,
    times: pa.DataType,
    columns_of: Mapping[str, str],
) -> Table:
    """Return the table of label sets that have the same metrics, given the columns of moments and of labels."""
    moments = [np.unique(np.concatenate([one.timestamps for one in series])) for series in members]
    rows = np.array([len(one) for one in moments])
    labels = sorted({label for series in members for label in series[0].key.labels})
    value_columns = unique_names(metrics, [time, *columns_of.values()])
    columns, arrays = [], []
    for label in labels:
        column = columns_of[label]
        entries = [series[0].key.labels.get(label) for series in members]
        columns.append(Column(name, column, "label", None in entries))
        arrays.append(_texts(entries, rows))
    columns.append(Column(name, time, "time"))
    arrays.append(pa.array(np.concatenate(moments)).cast(times))
    for place, column in enumerate(value_columns):
        held, filled = [], []
        for series, union in zip(members, moments, strict=True):
            values = np.zeros(len(union), series[place].values.dtype)
            mask = np.ones(len(union), np.bool_)
            at = np.searchsorted(union, series[place].timestamps)
            values[at], mask[at] = series[place].values, False
            held.append(values)
            filled.append(mask)
        mask = np.concatenate(filled)
        columns.append(Column(name, column, "value", bool(mask.any())))
        arrays.append(pa.array(np.concatenate(held), mask=mask if mask.any() else None))
    data = pa.table(arrays, names=[one.name for one in columns])
    return Table(name, tuple(columns), data, dict(zip(value_columns, metrics, strict=True)))
