"""A data set as one long table, a row a sample: name, a column a label, timestamp and value.

Values are of their own type. Where series have several, ``value`` has the doubles, ``value_int64`` and
``value_float32`` the others: null where a series is not of that. Columns of values stand after that of the time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, count
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import DOUBLE, WORD, MetricDataset, Series, SeriesKey, to_words

NAME, LABELS, TIME, VALUE = "metric_name", "labels", "timestamp", "value"
TYPED: dict[np.dtype[Any], str] = {
    DOUBLE: VALUE,
    np.dtype(np.int64): "value_int64",
    np.dtype(np.float32): "value_float32",
}
"""Columns of values where series have several dtypes; ``value`` has all where they have one."""


def value_titles(dtypes: Sequence[np.dtype[Any]]) -> dict[str, np.dtype[Any]]:
    """Return what the columns of values of these dtypes are called.

    Examples
    --------
    >>> list(value_titles([DOUBLE, np.dtype(np.int64)])), list(value_titles([np.dtype(np.int64)]))
    (['value', 'value_int64'], ['value'])
    """
    return {TYPED[dtype]: dtype for dtype in dtypes} if len(dtypes) > 1 else {VALUE: next(iter(dtypes), DOUBLE)}


def value_columns(series: Sequence[Series], dtypes: Sequence[np.dtype[Any]]) -> dict[str, pa.Array]:
    """Return the columns of series' values, one after the other; null in those of other dtypes than a series has."""
    rows = np.repeat([one.values.dtype for one in series], [one.values.size for one in series])
    columns = {}
    for title, dtype in value_titles(dtypes).items():
        mine = rows == dtype
        values = np.zeros(rows.size, dtype)
        values[mine] = np.concatenate([np.empty(0, dtype), *(o.values for o in series if o.values.dtype == dtype)])
        columns[title] = pa.array(values, mask=None if mine.all() else ~mine, from_pandas=False)
    return columns


def values_after_time(names: Sequence[str]) -> list[str]:
    """Return which of a table's columns are of values: all after that of the time."""
    return list(names[list(names).index(TIME) + 1 :])


def read_values(
    table: pa.Table, offsets: npt.NDArray[np.int64], told: Mapping[str, Any]
) -> tuple[npt.NDArray[Any], list[np.dtype[Any]] | None]:
    """Return values and dtypes as `MetricDataset` takes them, of what `value_columns` returned.

    Parameters
    ----------
    table : pyarrow.Table
        The columns of values, and no others.
    offsets : int64[series + 1]
        Where the rows of each series begin.
    told : mapping
        What `about` told, read.
    """
    if table.num_columns == 1:
        return table.column(0).fill_null(0).to_numpy(), None
    dtypes = _empty_dtypes(told)
    words = np.zeros(table.num_rows, WORD)
    some = np.flatnonzero(np.diff(offsets))
    for title, dtype in value_titles(list(TYPED)).items():
        if title in table.column_names:
            held = table[title].is_valid().to_numpy()
            words[held] = to_words(table[title].drop_null().to_numpy())
            dtypes |= dict.fromkeys(some[held[offsets[some]]].tolist(), dtype)
    return words, [dtypes[i] for i in range(len(offsets) - 1)]


def values_of_one(table: pa.Table, number: int, told: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the values of one series, all of whose rows these are; which it is tells its dtype where it has none."""
    whole = [column for column in table.columns if not column.null_count]
    # A file of old has a null beside the time of a series without samples.
    values: npt.NDArray[Any] = (whole or [table.column(0).fill_null(0)])[0].to_numpy()
    return values.astype(_empty_dtypes(told).get(number, values.dtype), copy=False)


def no_values(number: int, told: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return the values of a series without samples, of which there is no row."""
    return np.empty(0, _empty_dtypes(told).get(number, DOUBLE))


def _empty_dtypes(told: Mapping[str, Any]) -> dict[int, np.dtype[Any]]:
    """Return the dtypes of series without samples, by their numbers."""
    names = told.get("empty_dtypes", [])
    return {place: np.dtype(name) for (place, *_), name in zip(told.get("empty", ()), names, strict=False)}


def titles_of(
    keys: Iterable[SeriesKey],
    fits: str = ".*",
    fold: Callable[[str], str] = str,
    values: Iterable[str] = (VALUE,),
) -> dict[str, str]:
    """Return for each label what its column is called: as the label, wherever that can be.

    Parameters
    ----------
    keys : iterable of SeriesKey
    fits : str
        A regular expression of the names that columns can have.
    fold : callable
        Makes alike the names that the file does not tell apart.
    values : iterable of str
        What columns of values are called.

    Examples
    --------
    >>> titles_of([SeriesKey("up", {"host": "a", "Host": "b", "value": "c", "": "d"})], ".+", str.lower)
    {'Host': 'Host', '': 'label_0', 'host': 'label_host', 'value': 'label_value'}
    """
    labels = sorted({name for key in keys for name in key.labels})
    used = {NAME, TIME, *values}
    titles: dict[str, str] = {}

    def take(label: str, title: str) -> bool:
        if not re.fullmatch(fits, title, re.DOTALL) or fold(title) in used:
            return False
        used.add(fold(title))
        titles[label] = title
        return True

    others = [label for label in labels if not take(label, label)]
    for label in others:
        next(filter(partial(take, label), (f"label_{end}" for end in chain([label] if label else [], count()))))
    return titles


def labels_as_json(keys: Iterable[SeriesKey]) -> list[SeriesKey]:
    """Return series whose only label, ``labels``, is the JSON of what they had, for files where each column costs much.

    Examples
    --------
    >>> str(labels_as_json([SeriesKey("up", {"host": "a"})])[0])
    'up{labels="{"host": "a"}"}'
    """
    return [SeriesKey(key.metric_name, {LABELS: json.dumps(dict(key.labels), ensure_ascii=False)}) for key in keys]


def labels_from_json(keys: Iterable[SeriesKey]) -> list[SeriesKey]:
    """Return the series that `labels_as_json` took."""
    return [SeriesKey(key.metric_name, json.loads(key.labels[LABELS])) for key in keys]


def key_columns(
    keys: Sequence[SeriesKey], counts: npt.NDArray[np.int64], titles: Mapping[str, str]
) -> dict[str, pa.DictionaryArray]:
    """Return the columns of name and labels, each key as often as it has rows; null where a series lacks a label."""
    texts: dict[str, list[str | None]] = {NAME: [key.metric_name for key in keys]}
    texts |= {title: [key.labels.get(name) for key in keys] for name, title in titles.items()}
    rows = pa.array(np.repeat(np.arange(len(keys), dtype=np.int32), counts))
    columns = {}
    for title, every in texts.items():
        cells = pa.array(every, pa.string()).dictionary_encode()
        columns[title] = pa.DictionaryArray.from_arrays(cells.indices.take(rows), cells.dictionary)
    return columns


def about(dataset: MetricDataset, titles: Mapping[str, str]) -> str:
    """Return what the columns do not tell, for `find_series`, as JSON.

    It is the unit of time, labels by their columns where these are called otherwise, and of series without samples,
    which have no rows, the place, name and labels.
    """
    empty = np.flatnonzero(np.diff(dataset.offsets) == 0).tolist()
    return json.dumps(
        {
            "time_unit": dataset.time_unit,
            "labels": {title: name for name, title in titles.items() if title != name},
            "empty": [[i, dataset.keys[i].metric_name, dict(dataset.keys[i].labels)] for i in empty],
            **told_dtypes(dataset, empty),
        },
        ensure_ascii=False,
    )


def told_dtypes(dataset: MetricDataset, empty: Sequence[int]) -> dict[str, Any]:
    """Return the dtypes of series without samples, which no column tells, where not all values are doubles."""
    if dataset.value_dtypes == (DOUBLE,):
        return {}
    return {"empty_dtypes": [dataset.series(i).values.dtype.name for i in empty]}


def find_series(table: pa.Table, told: Mapping[str, Any]) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
    """Return the series of a long table, whose rows are those of one after another.

    Parameters
    ----------
    table : pyarrow.Table
        The columns of name and labels, texts or dictionaries of them.
    told : mapping
        What `about` told, read.

    Returns
    -------
    keys : list of SeriesKey
    offsets : int64[series + 1]
        Where the rows of each begin.
    """
    changes = np.arange(table.num_rows) == 0
    columns = {title: _dictionary(table[title]) for title in table.column_names}
    for column in columns.values():
        codes = column.indices.fill_null(0).to_numpy(), column.is_valid().to_numpy(zero_copy_only=False)
        for one in codes:
            changes[1:] |= one[1:] != one[:-1]
    firsts = np.flatnonzero(changes)
    cells = {title: column.take(pa.array(firsts)).to_pylist() for title, column in columns.items()}
    keys = []
    for metric_name, *texts in zip(cells.pop(NAME), *cells.values(), strict=True):
        pairs = zip((told["labels"].get(title, title) for title in cells), texts, strict=True)
        keys.append(SeriesKey(metric_name, {name: text for name, text in pairs if text is not None}))
    offsets = [*firsts.tolist(), table.num_rows]
    for place, metric_name, labels in told["empty"]:
        keys.insert(place, SeriesKey(metric_name, labels))
        offsets.insert(place, offsets[place])
    return keys, np.array(offsets, np.int64)


def _dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    encoded = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    return encoded.unify_dictionaries().combine_chunks()
