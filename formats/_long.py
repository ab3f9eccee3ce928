"""A data set as one long table, a row a sample: name, a column a label, timestamp and value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import MetricDataset, SeriesKey

NAME, TIME, VALUE = "metric_name", "timestamp", "value"
_TAKEN = re.compile(f"(label_)*({NAME}|{TIME}|{VALUE})")


def title_of(label: str) -> str:
    """Return what the column of a label is called: as the label, or ``label_...`` if that is taken.

    Examples
    --------
    >>> title_of("host"), title_of("value"), title_of("label_value"), title_of("label_app")
    ('host', 'label_value', 'label_label_value', 'label_app')
    """
    return f"label_{label}" if _TAKEN.fullmatch(label) else label


def label_of(title: str) -> str:
    """Return the label whose column is called so: the inverse of `title_of`."""
    return title.removeprefix("label_") if _TAKEN.fullmatch(title) else title


def key_columns(keys: Sequence[SeriesKey], counts: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    """Return the columns of name and labels, each key as often as it has rows; null where a series lacks a label."""
    labels = sorted({name for key in keys for name in key.labels})
    texts: dict[str, list[str | None]] = {NAME: [key.metric_name for key in keys]}
    texts |= {title_of(name): [key.labels.get(name) for key in keys] for name in labels}
    rows = pa.array(np.repeat(np.arange(len(keys), dtype=np.int32), counts))
    columns = {}
    for title, every in texts.items():
        cells = pa.array(every, pa.string()).dictionary_encode()
        columns[title] = pa.DictionaryArray.from_arrays(cells.indices.take(rows), cells.dictionary)
    return columns


def find_series(table: pa.Table) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
    """Return the series of a long table, whose rows are those of one after another.

    Parameters
    ----------
    table : pyarrow.Table
        The columns of name and labels, dictionaries of texts.

    Returns
    -------
    keys : list of SeriesKey
    offsets : int64[series + 1]
        Where the rows of each begin.
    """
    changes = np.arange(table.num_rows) == 0
    whole = {title: table[title].unify_dictionaries().combine_chunks() for title in table.column_names}
    for column in whole.values():
        codes = column.indices.fill_null(-1).to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    firsts = np.flatnonzero(changes)
    cells = {title: column.take(pa.array(firsts)).to_pylist() for title, column in whole.items()}
    keys = []
    for metric_name, *texts in zip(cells.pop(NAME), *cells.values(), strict=True):
        pairs = zip(map(label_of, cells), texts, strict=True)
        keys.append(SeriesKey(metric_name, {name: text for name, text in pairs if text is not None}))
    return keys, np.append(firsts, table.num_rows)


def empty_series(dataset: MetricDataset) -> list[Any]:
    """Return the series without samples, which have no rows, for `with_empty_series`: place, name and labels."""
    places = np.flatnonzero(np.diff(dataset.offsets) == 0).tolist()
    return [[place, dataset.keys[place].metric_name, dict(dataset.keys[place].labels)] for place in places]


def with_empty_series(
    keys: list[SeriesKey], offsets: npt.NDArray[np.int64], empty: list[Any]
) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
    """Put series without samples back among those that have some."""
    every, starts = list(keys), offsets.tolist()
    for place, metric_name, labels in empty:
        every.insert(place, SeriesKey(metric_name, labels))
        starts.insert(place, starts[place])
    return every, np.array(starts, np.int64)
