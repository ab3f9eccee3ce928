"""How a data set is laid out in tables, and how rows that come back become a data set again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import DOUBLE, UNITS_PER_SECOND, MetricDataset, Series, SeriesKey, to_words
from squeezelab.errors import CorruptDataError

Kind = Literal["label", "id", "time", "value"]


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
        With the same columns: text, ``uint32``, a timestamp in UTC (``int64`` where moments are no dates), and readings
        as they are: ``float64``, ``int64`` or ``float32``.
    metrics : mapping of str to str
        For each column of values the metric that it holds, where it is one.
    """

    name: str
    columns: tuple[Column, ...]
    rows: pa.Table
    metrics: Mapping[str, str]

    def dtype(self, column: str) -> np.dtype[Any]:
        """Return what a column of readings holds."""
        dtype: np.dtype[Any] = np.dtype(self.rows.schema.field(column).type.to_pandas_dtype())
        return dtype

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

    def restore(self, tables: Mapping[str, pa.Table] | MetricDataset) -> MetricDataset:
        """Return the data set of tables that a system gave back, or one that it gave back, in canonical order.

        Raises
        ------
        CorruptDataError
            If their rows are of no series that was put in, or a moment is between two.
        """
        if isinstance(tables, MetricDataset):
            return in_canonical_order(tables)
        known = {key: number for number, key in enumerate(self.keys)}
        parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]] = []
        dtypes = [DOUBLE] * len(self.keys)
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
                dtype = table.dtype(column.name)
                readings = filled.drop_null().to_numpy(zero_copy_only=False).astype(dtype, copy=False)
                parts.append((numbers[present], moments[present], to_words(readings)))
                for number in np.unique(numbers[present]).tolist():
                    dtypes[number] = dtype
        numbers, moments64, words = (np.concatenate(column) for column in zip(*parts, strict=True))
        return canonical(self.keys, numbers, moments64, words, dtypes, self.time_unit)

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
        key, timestamps, values = series
        start = int(timestamps[len(timestamps) // 2])
        stop = start + 3600 * second
        within = int(np.count_nonzero((timestamps >= start) & (timestamps < stop)))
        table = next(one for one in self.tables if one.of_kind("value") and (not one.metrics or self._holds(one, key)))
        value = next(
            one.name
            for one in table.of_kind("value")
            if table.metrics.get(one.name, key.metric_name) == key.metric_name and table.dtype(one.name) == values.dtype
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
        if not columns:
            yield {}
            return
        # Arrow takes a dot in a name for a path: columns are grouped by their number.
        numbered = table.rows.select(columns).rename_columns([str(i) for i in range(len(columns))])
        for row in numbered.group_by(numbered.column_names).aggregate([]).to_pylist():
            yield {self.labels[columns[int(number)]]: text for number, text in row.items()}


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
    words: npt.NDArray[np.uint64],
    dtypes: Sequence[np.dtype[Any]],
    time_unit: str,
) -> MetricDataset:
    """Return samples in an order that no table decides: by series, moment, and the bits of the value.

    Series are sorted by name and labels; those without samples are left out. Two samples of one series and moment have
    no order in a table, so they have none here. Values are given as words (`squeezelab.dataset.to_words`), with the
    dtype of each series.
    """
    ranks = np.empty(len(keys), np.int64)
    order = sorted(range(len(keys)), key=lambda i: (keys[i].metric_name, tuple(keys[i].labels.items())))
    ranks[order] = np.arange(len(keys))
    by = np.lexsort((words, timestamps, ranks[numbers]))
    counts = np.bincount(ranks[numbers], minlength=len(keys))
    kept = [i for rank, i in enumerate(order) if counts[rank]]
    offsets = np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64)
    held = [dtypes[i] for i in kept]
    return MetricDataset([keys[i] for i in kept], offsets, timestamps[by], words[by], time_unit, held)


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
    dtypes = dataset.dtypes or ()
    return canonical(dataset.keys, numbers, dataset.timestamps, to_words(dataset.values), dtypes, dataset.time_unit)
