"""Tables to samples: which column is the time, which are metrics and which are labels, and the samples they hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.errors import DataSourceError
from squeezelab.formats.ndjson import group_rows
from squeezelab.readers._numbers import Numbers, parse_number, rounds_integers, tidy, to_numbers
from squeezelab.readers._sources import Source
from squeezelab.readers._times import Clock, Times, holds_times, looks_like_times, why_no_time
from squeezelab.readers.base import FileFacts, Samples, Wishes, clip, file_stem

TIME_NAME = re.compile(
    r"[@_]?(unix|epoch)?[_ ]?(time|timestamp|time[_ ]stamp|datetime|date[_ ]time|date|ts|epoch|t|ds)"
    r"([_ ](s|sec|ms|us|ns|utc))?",
    re.IGNORECASE,
)
NAME_NAMES = ("metric_name", "__name__", "metric", "name", "series", "variable", "measurement", "_field", "field")
VALUE_NAMES = ("value", "_value", "val", "reading", "metric_value")
LABEL_TEXT_NAMES = ("labels", "tags")
LABEL_NAMES = re.compile(
    r"host(name)?|instance|server|node|machine|device|sensor|station|region|zone|az|dc|datacenter|cluster|namespace|pod|"
    r"container|job|service|app|env(ironment)?|rack|core|cpu_?id|interface|disk|mount(point)?",
    re.IGNORECASE,
)
_SIGHT = 1000
"""How many rows decide what a column holds."""


class Batch(NamedTuple):
    """Some rows of a table: its columns, and the number of each row as a user counts them."""

    columns: list[pa.Array]
    rows: npt.NDArray[np.int64]


@dataclass
class Layout:
    """What the columns of a table are, by their position."""

    time: int
    metrics: dict[int, str] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    name: int | None = None
    label_text: int | None = None

    @property
    def is_long(self) -> bool:
        """Whether a column says the metric's name."""
        return self.name is not None


def read_table(
    names: Sequence[str], batches: Iterable[Batch], source: Source, wishes: Wishes, facts: FileFacts
) -> Iterator[Samples]:
    """Yield the samples of a table.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    batches : iterable of Batch
        Its rows; all batches have the same columns. The first one decides what the columns are.
    source, wishes, facts
        As `Reader.read` takes them.

    Raises
    ------
    DataSourceError
        If no column holds the time, or none holds a metric.
    """
    layout: Layout | None = None
    clock = Clock(wishes.time_unit)
    for batch in batches:
        facts.rows += len(batch.rows)
        if not len(batch.rows):
            continue
        if layout is None:
            layout = _find_layout(names, batch, source, wishes, facts)
            facts.shape = "long" if layout.is_long else "wide"
        times = clock.read(tidy(batch.columns[layout.time]))
        facts.time = f"column {names[layout.time]!r}, {clock.form}"
        _refuse_timeless(names, batch, layout, times, facts)
        yield _melt(batch, layout, times, wishes, facts)
    if clock.rounded:
        facts.say(f"times finer than a nanosecond, rounded: {clock.rounded:,}")


# What the columns are


def _find_layout(names: Sequence[str], batch: Batch, source: Source, wishes: Wishes, facts: FileFacts) -> Layout:
    kinds = [_kind(column) for column in batch.columns]
    layout = Layout(_find_time(names, batch.columns, wishes.time_column, source))
    lower = [name.strip().lower() for name in names]
    layout.name = next((lower.index(one) for one in NAME_NAMES if one in lower), None)
    value = next((lower.index(one) for one in VALUE_NAMES if one in lower), None)
    others = [i for i in range(len(names)) if i != layout.time]
    if layout.name in others and value in others and kinds[layout.name] == "text" and kinds[value] != "text":
        layout.metrics = {value: names[value]}
        layout.label_text = next((lower.index(one) for one in LABEL_TEXT_NAMES if one in lower), None)
        _find_long_labels(names, batch, kinds, [i for i in others if i not in (layout.name, value)], layout, facts)
        return layout
    layout.name = None
    _find_metrics(names, kinds, others, layout, source, facts)
    _find_wide_labels(names, batch, [i for i in others if kinds[i] == "text"], layout, facts)
    if not layout.metrics:
        reasons = "; ".join(("", *facts.words[:2]))
        raise DataSourceError(f"{facts.name}: no column holds numbers beside the time {names[layout.time]!r}{reasons}")
    return layout


def _kind(column: pa.Array) -> str:
    """Return what a column holds: ``number``, ``text``, ``empty``, or ``other``."""
    kind = column.type
    if pa.types.is_null(kind):
        return "empty"
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    ):
        return "number"
    if not pa.types.is_string(kind):
        return "other"
    cells = tidy(column.slice(0, 10 * _SIGHT)).drop_null().slice(0, _SIGHT).to_pylist()
    if not cells:
        return "empty"
    return "number" if 2 * sum(parse_number(cell) is not None for cell in cells) > len(cells) else "text"


def _find_time(names: Sequence[str], columns: list[pa.Array], wanted: str | None, source: Source) -> int:
    """Return the column of the time: the one that was named, or is called so, or looks like it."""
    listed = ", ".join(repr(name) for name in names[:12]) + (", ..." if len(names) > 12 else "")
    if wanted is not None:
        if wanted not in names:
            raise DataSourceError(f"{source.path} has no column {wanted!r}: it has {listed}")
        return names.index(wanted)
    called = [i for i, name in enumerate(names) if TIME_NAME.fullmatch(name.strip())]
    found = next((i for i in called if holds_times(tidy(columns[i]))), None)
    if found is None:
        found = next((i for i, column in enumerate(columns) if looks_like_times(tidy(column))), None)
    if found is None:
        raise DataSourceError(f"{source.path}: no time column was found: give --time-column, one of {listed}")
    return found


def _find_metrics(
    names: Sequence[str], kinds: list[str], others: list[int], layout: Layout, source: Source, facts: FileFacts
) -> None:
    """Find the metrics of a wide table; one that is called just ``value`` is named after the file."""
    for i in others:
        name = names[i].strip()
        if kinds[i] == "other":
            facts.say(f"column {name!r} was left out: it holds no numbers")
        elif kinds[i] != "text":
            metric = file_stem(source.path) if name.lower() == "value" else name or f"column {i + 1}"
            if metric in layout.metrics.values():
                facts.say(f"column {i + 1} was left out: another one is called {name!r}")
            else:
                layout.metrics[i] = metric


def _find_wide_labels(names: Sequence[str], batch: Batch, texts: list[int], layout: Layout, facts: FileFacts) -> None:
    """Take those text columns for labels that are called so, or tell rows apart which else share their moments."""
    moments = Clock().read(tidy(batch.columns[layout.time])).timestamps if texts else np.empty(0, np.int64)
    groups, chosen = 1, list[int]()
    disorder = _disorder(np.zeros(len(moments), np.int64), moments)
    for i in texts:
        numbers, firsts = group_rows([batch.columns[one] for one in (*chosen, i)], len(moments))
        left = _disorder(numbers, moments)
        helps = left <= 0.9 * disorder and len(firsts) <= max(1, len(moments) / 2)
        if LABEL_NAMES.fullmatch(names[i].strip()) or len(firsts) == groups or (disorder and helps):
            chosen.append(i)
            groups, disorder = len(firsts), left
            layout.labels[i] = names[i].strip()
        else:
            facts.say(f"column {names[i]!r} was left out: it holds text, such as {_example(batch.columns[i])}")


def _find_long_labels(
    names: Sequence[str], batch: Batch, kinds: list[str], others: list[int], layout: Layout, facts: FileFacts
) -> None:
    """Take all other columns of a long table for labels, but for measurements and those that hardly ever repeat."""
    for i in others:
        if i == layout.label_text or kinds[i] == "empty":
            continue
        column = batch.columns[i]
        measures = pa.types.is_floating(column.type) or (
            kinds[i] == "number" and any("." in str(cell) for cell in column.slice(0, _SIGHT).to_pylist())
        )
        rare = len(column) > 10 and 2 * len(column.unique()) > len(column)
        if kinds[i] == "other" or measures or rare:
            facts.say(f"column {names[i]!r} was left out: it is no label, such as {_example(column)}")
        else:
            layout.labels[i] = names[i].strip()


def _disorder(groups: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]) -> int:
    """Count the rows whose moment is not after that of the row before in their group."""
    order = np.argsort(groups, kind="stable")
    groups, moments = groups[order], moments[order]
    return int(np.count_nonzero((groups[1:] == groups[:-1]) & (moments[1:] <= moments[:-1])))


def _example(column: pa.Array) -> str:
    return clip(str(next((cell for cell in column.to_pylist() if cell is not None), "nothing")))


# What the rows hold


def _refuse_timeless(names: Sequence[str], batch: Batch, layout: Layout, times: Times, facts: FileFacts) -> None:
    timeless = np.flatnonzero(~times.present).tolist()
    cells = tidy(batch.columns[layout.time]).take(pa.array(timeless, pa.int64())).to_pylist()
    for i, cell in zip(timeless, cells, strict=True):
        if all(not column[i].is_valid for column in batch.columns):
            facts.rows -= 1  # a blank line
            continue
        named = f"{clip(str(cell))} in {names[layout.time]!r} {why_no_time(cell)}"
        facts.refuse(int(batch.rows[i]), "it has no time" if cell is None else named)


def _melt(batch: Batch, layout: Layout, times: Times, wishes: Wishes, facts: FileFacts) -> Samples:
    """Return a sample for each cell of a metric that has a value."""
    groups, firsts, keys = _name_groups(batch, layout, wishes)
    parts = []
    for m, (i, metric) in enumerate(layout.metrics.items()):
        column = batch.columns[i]
        numbers = to_numbers(column)
        if rounds_integers(column):
            facts.say(f"column {metric!r} has integers beyond 2^53: each became the nearest double")
        _refuse_bad(column, numbers, metric, times, batch.rows, facts)
        kept = np.flatnonzero(times.present & numbers.present)
        parts.append((groups[kept] + m * len(firsts), times.timestamps[kept], numbers.values[kept], batch.rows[kept]))
    series, timestamps, values, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Samples(keys, series, timestamps, times.unit, values, rows)


def _refuse_bad(
    column: pa.Array,
    numbers: Numbers,
    metric: str,
    times: Times,
    rows: npt.NDArray[np.int64],
    facts: FileFacts,
) -> None:
    for i in np.flatnonzero(numbers.bad & times.present).tolist():
        facts.refuse(int(rows[i]), f"{clip(column[i].as_py())} in {metric!r} is no number")


def _name_groups(
    batch: Batch, layout: Layout, wishes: Wishes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[SeriesKey]]:
    """Return for each row the number of its group, the first rows of groups, and the keys: of all groups, by metric."""
    roles = [i for i in (layout.name, layout.label_text) if i is not None]
    columns = [tidy(batch.columns[i]) for i in (*roles, *layout.labels)]
    groups, firsts = group_rows(columns, len(batch.rows))
    told = (column.take(pa.array(firsts)).to_pylist() for column in columns)
    cells = dict(zip((*roles, *layout.labels), told, strict=True))
    labels: list[dict[str, str]] = []
    for at in range(len(firsts)):
        found = {"file": wishes.file_label} if wishes.file_label is not None and not layout.is_long else {}
        if layout.label_text is not None:
            found |= parse_labels(cells[layout.label_text][at])
        found |= {name: str(cells[i][at]) for i, name in layout.labels.items() if cells[i][at] is not None}
        labels.append(found)
    if layout.name is not None:
        names = cells[layout.name]
        return groups, firsts, [SeriesKey(name or "", found) for name, found in zip(names, labels, strict=True)]
    return groups, firsts, [SeriesKey(metric, found) for metric in layout.metrics.values() for found in labels]


def parse_labels(text: str | None) -> dict[str, str]:
    """Return the labels that a cell tells, as JSON or as ``a=b,c=d`` with or without quotes and braces.

    Examples
    --------
    >>> parse_labels('{"host": "a", "core": 1}'), parse_labels('{host="a",core="1"}'), parse_labels("host=a;core=1")
    ({'host': 'a', 'core': '1'}, {'host': 'a', 'core': '1'}, {'host': 'a', 'core': '1'})
    """
    if not text:
        return {}
    try:
        content = json.loads(text)
    except ValueError:
        pairs = re.findall(r'([^\s,;={}"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,;}]*))', text)
        return {name: quoted or bare.strip() for name, quoted, bare in pairs} or {"labels": text}
    if not isinstance(content, dict):
        return {"labels": text}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in content.items()
        if value is not None
    }
