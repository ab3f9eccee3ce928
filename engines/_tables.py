"""What tables of series and samples have in common, whichever database they are in."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, SeriesKey

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class SeriesNumbers:
    """A number for each series, as a table of samples refers to a table of series."""

    def __init__(self) -> None:
        self.numbers: dict[SeriesKey, int] = {}

    def add(self, keys: Sequence[SeriesKey]) -> tuple[Ints, list[tuple[int, str, str]]]:
        """Return the number of each key, and for keys that are new: number, metric name and labels as JSON."""
        new = []
        for key in keys:
            if key not in self.numbers:
                self.numbers[key] = len(self.numbers)
                new.append((self.numbers[key], key.metric_name, labels_json(key)))
        return np.array([self.numbers[key] for key in keys], np.int64), new


def labels_json(key: SeriesKey) -> str:
    """Return labels as JSON in ASCII, which every database takes, whatever characters they have."""
    return json.dumps(dict(key.labels), separators=(",", ":"))


def name_text(name: str) -> str:
    r"""Return a metric name without the characters that databases may not keep: NUL, and others, as in JSON.

    Examples
    --------
    >>> name_text("cpu_user"), name_text("\0"), name_of(name_text("\0"))
    ('cpu_user', '\\u0000', '\x00')
    """
    return json.dumps(name, ensure_ascii=False)[1:-1]


def name_of(text: str) -> str:
    """Return the metric name that `name_text` made a text of."""
    return str(json.loads(f'"{text}"'))


def rows(dataset: MetricDataset, numbers: Ints) -> tuple[Ints, Ints, Floats]:
    """Return a data set as three columns, the series of each sample by its number."""
    return np.repeat(numbers, np.diff(dataset.offsets)), dataset.timestamps, dataset.values


def from_rows(
    series: Sequence[tuple[int, str, str]], numbers: Ints, timestamps: Ints, values: Floats, time_unit: str
) -> MetricDataset:
    """Return the data set of rows that stand series after series in the order of numbers.

    Parameters
    ----------
    series : sequence of (int, str, str)
        Number, metric name and labels as JSON of each, in the order of numbers; those without samples are left out.
    numbers, timestamps, values : arrays
        A row a sample.
    """
    names = {number: (metric_name, labels) for number, metric_name, labels in series}
    found, first = np.unique(numbers, return_index=True)
    keys = [SeriesKey(names[number][0], json.loads(names[number][1])) for number in found.tolist()]
    offsets = np.append(first, len(numbers)).astype(np.int64)
    return MetricDataset(keys, offsets, timestamps, values, time_unit)


def nothing(time_unit: str) -> MetricDataset:
    """Return a data set of no series."""
    return MetricDataset.from_series([], time_unit=time_unit)
