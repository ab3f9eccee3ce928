"""How a data set is laid out in tables, and how rows that come back become a data set again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import UNITS_PER_SECOND, MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError

Kind = Literal["label", "id", "time", "value"]

MOST_TABLES = 32
"""A wide layout of more tables than this is none that anybody would keep."""
MOST_COLUMNS = 500
EARLIEST, LATEST = -2_208_988_800, 9_214_646_400
"""The seconds from 1900 up to 2262: moments in here are dates in every system, also in nanoseconds."""
TIME_UNITS = {"s": "s", "ms": "ms", "us": "us", "ns": "ns"}


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    table, name : str
        Both are free to hold any characters.
    kind : {"label", "id", "time", "value"}
        What it holds: text of few distinct values, the number of a series, moments, or readings.
    nullable : bool
        Whether a row can lack it.
    """

    table: str
    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """One table: its columns, and its rows in the order of the data set.

    Attributes
    ----------
    name : str
        A plain identifier.
    columns : tuple of Column
        In their order.
    rows : pyarrow.Table
        With the same columns: text, ``uint32``, a timestamp in UTC (``int64`` where moments are no dates), ``float64``.
    metrics : mapping of str to str
        For each column of values the metric that it holds, where it is one.
    """

    name: str
    columns: tuple[Column, ...]
    rows: pa.Table
    metrics: Mapping[str, str]

    def of_kind(self, *kinds: Kind) -> list[Column]:
        """Return the columns of these kinds."""
        return [one for one in self.columns if one.kind in kinds]


class Hour(NamedTuple):
    """A little that people ask for: an hour of one series.

    Attributes
    ----------
    labels : tuple of (column name, text or None)
        What its rows have in the columns of labels, of ``table`` or, in a layout of two tables, of the table of series.
    table, value : str
        Where its values are.
    start, stop : int
        The first moment, and the first that is not of it, in the unit of the data set.
    samples : int
        How many there are.
    """

    labels: tuple[tuple[str, str | None], ...]
    table: str
    value: str
    start: int
    stop: int
    samples: int


@dataclass(frozen=True, eq=False)
class Layout:
    """A data set as tables.

    Attributes
    ----------
    name : {"narrow", "series", "wide"}
        A row a sample with the text of its labels, a row a sample with the number of its series and a table of series
        beside it, or a row a label set and moment with a column a metric.
    tables : tuple of Table
        One, two, or one for each set of metrics that label sets have.
    labels : mapping of str to str
        For each column of labels the label, ``None`` for the name of the metric.
    time_unit : {"s", "ms", "us", "ns"}
        What moments count.
    """

    name: str
    tables: tuple[Table, ...]
    labels: Mapping[str, str | None]
    time_unit: str
    keys: tuple[SeriesKey, ...]

    @property
    def columns(self) -> list[Column]:
        """All columns of all tables."""
        return [column for table in self.tables for column in table.columns]

    def restore(self, tables: Mapping[str, pa.Table]) -> MetricDataset:
        """Return the data set of tables that a system gave back, in canonical order.

        Raises
        ------
        CorruptDataError
            If their rows are of no series that was put in, or a moment is between two.
        """
        known = {key: number for number, key in enumerate(self.keys)}
        parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
        for table in self.tables:
            rows = tables[table.name]
            if not (values := table.of_kind("value")):
                continue
            moments = _to_moments(rows[table.of_kind("time")[0].name], self.time_unit)
            for column in values:
                metric = table.metrics.get(column.name)
                numbers = self._numbers(table, rows, tables, metric, known)
                filled = rows[column.name].combine_chunks()
                present = np.flatnonzero(np.asarray(filled.is_valid()))
                values64 = filled.drop_null().to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
                parts.append((numbers[present], moments[present], values64))
        numbers, moments64, readings = (np.concatenate(column) for column in zip(*parts, strict=True))
        return canonical(self.keys, numbers, moments64, readings, self.time_unit)

    def _numbers(
        self,
        table: Table,
        rows: pa.Table,
        tables: Mapping[str, pa.Table],
        metric: str | None,
        known: Mapping[SeriesKey, int],
    ) -> npt.NDArray[np.int64]:
        """Return for each row the number of its series."""
        if not (ids := table.of_kind("id")):
            return self._by_labels(table, rows, metric, known)
        directory = next(one for one in self.tables if one.name != table.name)
        names = tables[directory.name]
        listed = names[directory.of_kind("id")[0].name].to_numpy().astype(np.int64)
        places = np.full(int(listed.max(initial=-1)) + 1, -1, np.int64)
        places[listed] = self._by_labels(directory, names, None, known)
        numbers: npt.NDArray[np.int64] = places[rows[ids[0].name].to_numpy().astype(np.int64)]
        if np.any(numbers < 0):
            raise CorruptDataError("a sample came back that is of no series")
        return numbers

    def _by_labels(
        self, table: Table, rows: pa.Table, metric: str | None, known: Mapping[SeriesKey, int]
    ) -> npt.NDArray[np.int64]:
        columns = [one.name for one in table.of_kind("label")]
        encoded = [rows[name].combine_chunks().cast(pa.string()).dictionary_encode() for name in columns]
        texts = [[*one.dictionary.to_pylist(), None] for one in encoded]
        codes = [one.indices.fill_null(len(one.dictionary)).to_numpy().astype(np.int64) for one in encoded]
        changes = np.ones(len(rows), np.bool_)
        if codes and len(rows):
            changes[1:] = np.any([one[1:] != one[:-1] for one in codes], axis=0)
        elif len(rows):
            changes[1:] = False
        starts = np.flatnonzero(changes)
        found: dict[tuple[int, ...], int] = {}
        numbers = np.empty(len(starts), np.int64)
        for place, entries in enumerate(zip(*(one[starts].tolist() for one in codes), strict=True) if codes else [()]):
            if entries not in found:
                pairs = [(self.labels[name], text[i]) for name, text, i in zip(columns, texts, entries, strict=True)]
                found[entries] = _find(pairs, metric, known)
            numbers[place] = found[entries]
        counts = np.diff(np.append(starts, len(rows)))
        return np.repeat(numbers, counts).astype(np.int64, copy=False)

    def hours(self, dataset: MetricDataset, most: int = 5) -> list[Hour]:
        """Return an hour from the middle of some series, evenly spread."""
        every = list(dataset)
        chosen = sorted({len(every) * (2 * i + 1) // (2 * most) for i in range(most)})
        return [self._hour(every[number], dataset.second) for number in chosen if number < len(every)]

    def _hour(self, series: Series, second: int) -> Hour:
        key, timestamps, _ = series
        start = int(timestamps[len(timestamps) // 2])
        stop = start + 3600 * second
        within = int(np.count_nonzero((timestamps >= start) & (timestamps < stop)))
        table = next(one for one in self.tables if one.of_kind("value") and (not one.metrics or self._holds(one, key)))
        value = next(
            one.name
            for one in table.of_kind("value")
            if table.metrics.get(one.name, key.metric_name) == key.metric_name
        )
        labelled = table if table.of_kind("label") or not table.of_kind("id") else self.tables[0]
        wanted = tuple(
            (one.name, key.metric_name if self.labels[one.name] is None else key.labels.get(str(self.labels[one.name])))
            for one in labelled.of_kind("label")
        )
        return Hour(wanted, table.name, value, start, stop, within)

    def _holds(self, table: Table, key: SeriesKey) -> bool:
        """Return whether a wide table holds a series: no two of them hold a label set."""
        if key.metric_name not in table.metrics.values():
            return False
        names = {self.labels[one.name] for one in table.of_kind("label")}
        return set(key.labels) <= names and any(
            dict(key.labels) == {k: v for k, v in row.items() if v is not None} for row in self._label_sets(table)
        )

    def _label_sets(self, table: Table) -> Iterator[dict[str | None, str | None]]:
        columns = [one.name for one in table.of_kind("label")]
        seen = table.rows.select(columns).group_by(columns).aggregate([]) if columns else None
        for row in seen.to_pylist() if seen is not None else [{}]:
            yield {self.labels[name]: text for name, text in row.items()}


def _find(pairs: Sequence[tuple[str | None, str | None]], metric: str | None, known: Mapping[SeriesKey, int]) -> int:
    """Return the number of the series with these labels."""
    name = metric if metric is not None else next((text for label, text in pairs if label is None), None)
    labels = {label: text for label, text in pairs if label is not None and text is not None}
    key = SeriesKey(name or "", labels)
    if key not in known:
        raise CorruptDataError(f"a series came back that was never put in: {key}")
    return known[key]


def _to_moments(column: pa.ChunkedArray, unit: str) -> npt.NDArray[np.int64]:
    """Return moments in a unit, from timestamps of any other or from integers."""
    given = column.combine_chunks()
    if not pa.types.is_timestamp(given.type):
        return np.asarray(given, np.int64)
    numbers = np.asarray(given.cast(pa.int64()), np.int64)
    theirs, ours = UNITS_PER_SECOND[given.type.unit], UNITS_PER_SECOND[unit]
    if theirs <= ours:
        return numbers * (ours // theirs)
    whole, rest = np.divmod(numbers, theirs // ours)
    if np.any(rest):
        raise CorruptDataError("a moment came back that lies between two of the data's unit")
    return np.asarray(whole, np.int64)


def canonical(
    keys: Sequence[SeriesKey],
    numbers: npt.NDArray[np.int64],
    timestamps: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    time_unit: str,
) -> MetricDataset:
    """Return samples in an order that no table decides: by series, moment, and the bits of the value.

    Series are sorted by name and labels; those without samples are left out. Two samples of one series and moment have
    no order in a table, so they have none here.
    """
    ranks = np.empty(len(keys), np.int64)
    order = sorted(range(len(keys)), key=lambda i: (keys[i].metric_name, tuple(keys[i].labels.items())))
    ranks[order] = np.arange(len(keys))
    values = np.ascontiguousarray(values, np.float64)
    by = np.lexsort((values.view(np.uint64), timestamps, ranks[numbers]))
    counts = np.bincount(ranks[numbers], minlength=len(keys))
    kept = [keys[i] for rank, i in enumerate(order) if counts[rank]]
    offsets = np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64)
    return MetricDataset(kept, offsets, timestamps[by], values[by], time_unit)


def in_canonical_order(dataset: MetricDataset) -> MetricDataset:
    """Return a data set as `Layout.restore` gives it back, to compare the two by their fingerprints.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> len(in_canonical_order(dataset)) == len(dataset)
    True
    """
    numbers = np.repeat(np.arange(len(dataset.keys)), np.diff(dataset.offsets))
    return canonical(dataset.keys, numbers, dataset.timestamps, dataset.values, dataset.time_unit)


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
    return pa.array(timestamps, pa.timestamp(TIME_UNITS[dataset.time_unit], "UTC"))


def _texts(entries: Sequence[str | None], repeats: npt.NDArray[np.int64]) -> pa.Array:
    """Return text for each row, of one entry a series."""
    return pa.array(entries, pa.string()).take(pa.array(np.repeat(np.arange(len(entries)), repeats)))


def _narrow(dataset: MetricDataset) -> Layout:
    keys, rows = dataset.keys, np.diff(dataset.offsets)
    labels = _label_names(keys)
    names = unique_names(["timestamp", "value", "metric", *labels])
    time, value, metric, *label_columns = names
    columns = [Column("metrics", metric, "label")]
    arrays = [_texts([key.metric_name for key in keys], rows)]
    for label, name in zip(labels, label_columns, strict=True):
        entries = [key.labels.get(label) for key in keys]
        columns.append(Column("metrics", name, "label", None in entries))
        arrays.append(_texts(entries, rows))
    columns += [Column("metrics", time, "time"), Column("metrics", value, "value")]
    data = pa.table([*arrays, _times(dataset), dataset.values], names=[one.name for one in columns])
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
    kinds: list[tuple[str, Kind]] = [("id", "id"), ("timestamp", "time"), ("value", "value")]
    samples = Table(
        "samples",
        tuple(Column("samples", name, kind) for name, kind in kinds),
        pa.table([np.repeat(numbers, rows), _times(dataset), dataset.values], names=[name for name, _ in kinds]),
        {},
    )
    meaning = {metric: None, **dict(zip(label_columns, labels, strict=True))}
    return Layout("series", (series, samples), meaning, dataset.time_unit, tuple(keys))


def _wide(dataset: MetricDataset) -> Layout | None:
    """Return a table for each set of metrics that label sets have; None if a moment comes twice, or they are many."""
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
            values, mask = np.zeros(len(union)), np.ones(len(union), np.bool_)
            at = np.searchsorted(union, series[place].timestamps)
            values[at], mask[at] = series[place].values, False
            held.append(values)
            filled.append(mask)
        mask = np.concatenate(filled)
        columns.append(Column(name, column, "value", bool(mask.any())))
        arrays.append(pa.array(np.concatenate(held), mask=mask if mask.any() else None))
    data = pa.table(arrays, names=[one.name for one in columns])
    return Table(name, tuple(columns), data, dict(zip(value_columns, metrics, strict=True)))


def part_of(dataset: MetricDataset, samples: int) -> MetricDataset:
    """Return a part that represents a data set: label sets evenly spread, windows of time that are the same for all.

    Every metric family is in it, and series of one label set stay together, as a wide table needs it.

    Parameters
    ----------
    dataset : MetricDataset
    samples : int
        About how many; all that there are where these are not more.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data("synthetic", "small")
    >>> part = part_of(dataset, 10_000)
    >>> 5_000 < len(part) < 20_000, {key.metric_name for key in part.keys} == {key.metric_name for key in dataset.keys}
    (True, True)
    """
    if len(dataset) <= samples:
        return dataset
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for number, key in enumerate(dataset.keys):
        groups.setdefault(tuple(key.labels.items()), []).append(number)
    members, lengths = list(groups.values()), np.diff(dataset.offsets)
    # A van der Corput order: whatever number of them is taken from its beginning lies evenly spread.
    bits = max(1, (len(members) - 1).bit_length())
    spread = sorted(range(len(members)), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    chosen: list[int] = []
    families = {key.metric_name for key in dataset.keys}
    for i in spread:
        mine = {dataset.keys[number].metric_name for number in members[i]}
        if lengths[chosen].sum() < samples or mine & families:
            chosen += members[i]
            families -= mine
    part = dataset.select(sorted(chosen))
    share = samples / len(part)
    if share > 0.8:
        return part
    low, high = (np.quantile(part.timestamps, q, method="nearest") for q in (0.5 - share / 2, 0.5 + share / 2))
    windows = []
    for series in part:
        inside = slice(*np.searchsorted(series.timestamps, [low, high]))
        if inside.start < inside.stop:
            windows.append(Series(series.key, series.timestamps[inside], series.values[inside]))
    return MetricDataset.from_series(windows, time_unit=dataset.time_unit)


def first_half(dataset: MetricDataset) -> MetricDataset:
    """Return the earlier half of the samples of each series: with it, what each further sample takes can be told."""
    halves = [
        Series(key, timestamps[: -(-len(timestamps) // 2)], values[: -(-len(values) // 2)])
        for key, timestamps, values in dataset
    ]
    return MetricDataset.from_series(halves, time_unit=dataset.time_unit)
