"""Tables to samples: which column is the time, which are metrics and which are labels, and the samples they hold."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from squeezelab.dataset import SeriesKey
from squeezelab.doubles import count_inexact
from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import (
    LARGE,
    MIXED,
    NUMBER,
    ROUNDED,
    Numbers,
    find_decimal,
    parse_formatted,
    tidy,
    to_numbers,
)
from squeezelab.readers._sources import Source
from squeezelab.readers._times import (
    TIME_OF_DAY,
    Clock,
    Times,
    holds_times,
    looks_like_times,
    why_no_time,
    with_point,
)
from squeezelab.readers.base import FileFacts, Samples, clip, file_stem
from squeezelab.readers.options import ReadOptions
from squeezelab.readers.prometheus import SERIES, parse_series
from squeezelab.store.rows import group_rows

TIME_NAME = re.compile(
    r"[@_]?(unix|epoch)?[_ ]?"
    r"(time|timestamp|time[_ ]stamp|datetime|date[_ ]time|date|zeit|zeitstempel|datum|fecha|ts|epoch|t|ds)"
    r"([_ ](s|sec|ms|us|ns|utc))?",
    re.IGNORECASE,
)
DATE_NAME = re.compile(r"date|datum|day|fecha|excel|serial", re.IGNORECASE)
NAME_NAMES = ("metric_name", "__name__", "metric", "name", "series", "variable", "measurement", "_field", "field")
TYPED_VALUES = ("value_int64", "value_float32")
VALUE_NAMES = ("value", "_value", "val", "reading", "metric_value")
LABEL_TEXT_NAMES = ("labels", "tags")
LABEL_NAMES = re.compile(
    r"host(name)?|instance|server|node|machine|device|sensor|station|region|zone|az|dc|datacenter|cluster|namespace|pod|"
    r"container|job|service|app|env(ironment)?|rack|core|cpu_?id|interface|disk|mount(point)?",
    re.IGNORECASE,
)
_SIGHT = 1000
"""How many rows decide what a column holds."""


class Groups(NamedTuple):
    """Rows grouped by their labels: for each row its group, the first rows of groups, and keys: of all, by metric."""

    numbers: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    keys: list[SeriesKey]


class Batch(NamedTuple):
    """Some rows of a table: its columns, and the number of each row as a user counts them."""

    columns: list[pa.Array]
    rows: npt.NDArray[np.int64]


@dataclass
class Layout:
    """What the columns of a table are, by their position."""

    time: int | None
    day_time: int | None = None
    decimal: str = "."
    metrics: dict[int, str] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    name: int | None = None
    label_text: int | None = None

    @property
    def is_long(self) -> bool:
        """Whether a column says the metric's name."""
        return self.name is not None


def read_table(
    names: Sequence[str],
    batches: Iterable[Batch],
    source: Source,
    options: ReadOptions,
    facts: FileFacts,
    *,
    decimal: str | None = None,
    keep: str = LARGE,
) -> Iterator[Samples]:
    """Yield the samples of a table.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    batches : iterable of Batch
        Its rows; all batches have the same columns. The first one decides what the columns are.
    source, options, facts
        As `Reader.read` takes them.
    decimal : {".", ","}, optional
        What separates decimals where the cells leave it open.
    keep : {"large", "typed"}
        Which numbers stay what they are, as `to_numbers` takes it.

    Raises
    ------
    DataSourceError
        If no column holds the time, or none holds a metric.
    """
    layout: Layout | None = None
    clock = Clock.of(options)
    clock.table = facts.name
    rows: dict[SeriesKey, int] = {}
    for batch in batches:
        facts.rows += len(batch.rows)
        if not len(batch.rows):
            continue
        if layout is None:
            layout = _find_layout(names, batch, source, options, facts, decimal)
            facts.shape = "long" if layout.is_long else "wide"
            clock.dated = layout.time is not None and bool(DATE_NAME.search(names[layout.time]))
        groups = _name_groups(batch, layout, facts.label)
        if layout.time is None:
            times = _count_rows(groups, options.interval_nanoseconds or 1, rows)
            facts.time = f"none: rows every {options.interval}"
        else:
            times = clock.read(_time_cells(batch, layout))
            joined = f" and {names[layout.day_time]!r}" if layout.day_time is not None else ""
            facts.time = f"column {names[layout.time]!r}{joined}, {clock.form}"
            _reject_timeless(names, batch, layout, times, facts)
        yield from _melt(batch, layout, groups, times, facts, keep)
    for word in clock.words:
        facts.say(word)


def _time_cells(batch: Batch, layout: Layout) -> pa.Array:
    """Return the column of the time; a date and a time of day in two columns are joined."""
    assert layout.time is not None
    cells = with_point(tidy(batch.columns[layout.time]))
    if layout.day_time is None:
        return cells
    both = (cells.cast(pa.string()), tidy(batch.columns[layout.day_time]).cast(pa.string()))
    return compute.binary_join_element_wise(*both, " ")


def _count_rows(groups: Groups, interval: int, rows: dict[SeriesKey, int]) -> Times:
    """Give the rows of each group times from 0 on; ``rows`` counts those that came before."""
    ordinals = np.empty(len(groups.numbers), np.int64)
    for group, key in enumerate(groups.keys[: len(groups.firsts)]):
        own = np.flatnonzero(groups.numbers == group)
        before = rows.get(key, 0)
        ordinals[own] = before + np.arange(len(own))
        rows[key] = before + len(own)
    return Times(ordinals * interval, "ns", np.ones(len(ordinals), np.bool_))


# What the columns are


def _find_layout(
    names: Sequence[str],
    batch: Batch,
    source: Source,
    options: ReadOptions,
    facts: FileFacts,
    decimal: str | None,
) -> Layout:
    layout = Layout(None)
    if options.interval is None:
        layout.time = _find_time(names, batch.columns, options, source)
        layout.day_time = _find_day_time(names, batch.columns, layout.time, source)
    others = [i for i in range(len(names)) if i not in (layout.time, layout.day_time)]
    layout.decimal = options.decimal or _find_decimal(names, batch, others, decimal, facts)
    kinds = [_kind(column, layout.decimal) for column in batch.columns]
    lower = [name.strip().lower() for name in names]
    layout.name = next((lower.index(one) for one in NAME_NAMES if one in lower), None)
    value = next((lower.index(one) for one in VALUE_NAMES if one in lower), None)
    if layout.name in others and value in others and _may_name(lower, kinds, layout.name) and kinds[value] != "text":
        # Series of several dtypes have a column each, as `squeezelab.formats._long` writes them.
        typed = (
            [i for i in others if lower[i] in TYPED_VALUES and kinds[i] == "number"] if lower[value] == "value" else []
        )
        layout.metrics = {i: names[i] for i in (value, *typed)}
        layout.label_text = next((lower.index(one) for one in LABEL_TEXT_NAMES if one in lower), None)
        _find_long_labels(
            names, batch, kinds, [i for i in others if i not in (layout.name, value, *typed)], layout, facts
        )
        return layout
    layout.name = None
    _find_metrics(names, batch, kinds, others, layout, source, facts)
    _find_wide_labels(names, batch, [i for i in others if kinds[i] == "text"], layout, facts)
    if not layout.metrics:
        reasons = "; ".join(("", *facts.words[:2]))
        beside = "" if layout.time is None else f" beside the time {names[layout.time]!r}"
        raise DataSourceError(f"{facts.name}: no column holds numbers{beside}{reasons}")
    return layout


def _may_name(lower: Sequence[str], kinds: Sequence[str], name: int) -> bool:
    """Tell whether a column holds names: texts; those of metrics may look like numbers, or like nothing."""
    return kinds[name] == "text" or (lower[name] in ("metric_name", "__name__") and kinds[name] != "other")


def _find_decimal(names: Sequence[str], batch: Batch, others: list[int], likely: str | None, facts: FileFacts) -> str:
    """Return what separates decimals: the cells tell, or the table's own way does."""
    doubtful = None
    found = set()
    for i in others:
        if pa.types.is_string(batch.columns[i].type):
            cells = _sample(batch.columns[i])
            style = find_decimal(dict.fromkeys(cells))
            found.add(style)
            if style == "?" and doubtful is None:
                doubtful = i
    if "," in found and "." not in found:
        return ","
    if doubtful is not None and "." not in found:
        example = next(cell for cell in _sample(batch.columns[doubtful]) if "," in cell or "." in cell)
        if likely is None:
            raise DataSourceError(
                f"{facts.name}: {clip(example)} in {names[doubtful]!r} may have decimals or a thousand: "
                "give --decimal , or ."
            )
        facts.say(f"commas such as in {clip(example)} were taken for groups of digits: --decimal , says otherwise")
    return "."


def _sample(column: pa.Array) -> list[str]:
    """Return some of the cells of a text column that say something."""
    cells: list[str] = tidy(column.slice(0, 10 * _SIGHT)).drop_null().slice(0, _SIGHT).to_pylist()
    return cells


def _kind(column: pa.Array, decimal: str) -> str:
    """Return what a column holds: ``number``, ``text``, ``empty``, or ``other``."""
    kind = column.type
    if pa.types.is_null(kind):
        return "empty"
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or kind == MIXED
    ):
        return "number"
    if not pa.types.is_string(kind):
        return "other"
    cells = _sample(column)
    if not cells:
        return "empty"
    times = Counter(cells)
    numbers = sum(count for cell, count in times.items() if parse_formatted(cell, decimal) is not None)
    return "number" if 2 * numbers > len(cells) else "text"


def _find_time(names: Sequence[str], columns: list[pa.Array], options: ReadOptions, source: Source) -> int:
    """Return the column of the time: the one that was named, or is called so, or looks like it."""
    listed = ", ".join(repr(name) for name in names[:12]) + (", ..." if len(names) > 12 else "")
    if (wanted := options.time_column) is not None:
        if wanted not in names:
            raise DataSourceError(f"{source.path} has no column {wanted!r}: it has {listed}")
        return names.index(wanted)
    called = [i for i, name in enumerate(names) if TIME_NAME.fullmatch(name.strip())]
    holds = holds_times if options.date_format is None else functools.partial(_fits, options=options)
    tidied = [with_point(tidy(column.slice(0, 10 * _SIGHT))) for column in columns]
    found = next((i for i in called if holds(tidied[i])), None)
    if found is None and options.date_format is not None:
        found = next((i for i, column in enumerate(tidied) if _fits(column, options)), None)
    if found is None:
        found = next((i for i, column in enumerate(tidied) if looks_like_times(column)), None)
    if found is None:
        only = next((names[i] for i, column in enumerate(columns) if _holds_day_times(column)), None)
        why = "was found" if only is None else f"was found, {only!r} has times of day without a date"
        raise DataSourceError(
            f"{source.path}: no time column {why}: give --time-column, one of {listed}, --date-format if dates are not "
            "recognised, or --interval if there is none"
        )
    return found


def _fits(column: pa.Array, options: ReadOptions) -> bool:
    """Tell whether most cells of a column are dates in the format that was given."""
    cells = column.slice(0, _SIGHT).drop_null()
    if options.date_format == "excel" or not pa.types.is_string(column.type):
        return holds_times(column)
    return bool(len(cells)) and 2 * int(Clock.of(options).read(cells).present.sum()) > len(cells)


def _find_day_time(names: Sequence[str], columns: list[pa.Array], time: int, source: Source) -> int | None:
    """Return the column that says the time of day of another one's dates."""
    column = columns[time]
    if pa.types.is_string(column.type):
        cells = _sample(column)
        if any(":" in cell or (NUMBER.fullmatch(cell) and len(cell) != 8) for cell in cells):
            return None
    elif not pa.types.is_date32(column.type):
        return None
    found = [i for i, other in enumerate(columns) if i != time and _holds_day_times(other)]
    if len(found) > 1:
        listed = " and ".join(repr(names[i]) for i in found)
        raise DataSourceError(
            f"{source.path}: {listed} hold times of day, to go with the dates of {names[time]!r}: leave one in the file"
        )
    return found[0] if found else None


def _holds_day_times(column: pa.Array) -> bool:
    if pa.types.is_time(column.type):
        return True
    cells = _sample(column) if pa.types.is_string(column.type) else []
    return bool(cells) and all(TIME_OF_DAY.fullmatch(cell) for cell in cells)


def _find_metrics(
    names: Sequence[str],
    batch: Batch,
    kinds: list[str],
    others: list[int],
    layout: Layout,
    source: Source,
    facts: FileFacts,
) -> None:
    """Find the metrics of a wide table; one that is called just ``value`` is named after the file."""
    for i in others:
        name = names[i]
        if kinds[i] == "other":
            facts.say(f"column {name!r} was left out: it holds no numbers")
        elif kinds[i] == "number" and not name.strip() and _counts_rows(batch.columns[i]):
            facts.say(f"column {i + 1} was left out: it has no name, and counts rows")
        elif kinds[i] != "text":
            metric = file_stem(source.path) if name.strip().lower() == "value" else name or f"column {i + 1}"
            if metric in layout.metrics.values():
                facts.say(f"column {i + 1} was left out: another one is called {name!r}")
            else:
                layout.metrics[i] = metric


def _counts_rows(column: pa.Array) -> bool:
    """Tell whether a column holds the numbers of rows, as pandas and R write them."""
    numbers = to_numbers(column).values
    return bool(numbers[0] in (0, 1) and np.all(np.diff(numbers) == 1))


def _find_wide_labels(names: Sequence[str], batch: Batch, texts: list[int], layout: Layout, facts: FileFacts) -> None:
    """Take those text columns for labels that are called so, or tell rows apart which else share their moments."""
    if not texts:
        return
    moments = np.arange(len(batch.rows))
    if layout.time is not None:
        moments = Clock().read(_time_cells(batch, layout)).timestamps
    groups, chosen = 1, list[int]()
    disorder = _disorder(np.zeros(len(moments), np.int64), moments)
    for i in texts:
        numbers, firsts = group_rows([batch.columns[one] for one in (*chosen, i)], len(moments))
        left = _disorder(numbers, moments)
        helps = left <= 0.9 * disorder and len(firsts) <= max(1, len(moments) / 2)
        if LABEL_NAMES.fullmatch(names[i].strip()) or len(firsts) == groups or (disorder and helps):
            chosen.append(i)
            groups, disorder = len(firsts), left
            layout.labels[i] = names[i]
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
            layout.labels[i] = names[i]


def _disorder(groups: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]) -> int:
    """Count the rows whose moment is not after that of the row before in their group."""
    order = np.argsort(groups, kind="stable")
    groups, moments = groups[order], moments[order]
    return int(np.count_nonzero((groups[1:] == groups[:-1]) & (moments[1:] <= moments[:-1])))


def _example(column: pa.Array) -> str:
    return clip(str(next((cell for cell in column.to_pylist() if cell is not None), "nothing")))


# What the rows hold


def _reject_timeless(names: Sequence[str], batch: Batch, layout: Layout, times: Times, facts: FileFacts) -> None:
    timeless = np.flatnonzero(~times.present).tolist()
    cells = _time_cells(batch, layout).take(pa.array(timeless, pa.int64())).cast(pa.string()).to_pylist()
    for i, cell in zip(timeless, cells, strict=True):
        if all(not column[i].is_valid for column in batch.columns):
            facts.rows -= 1  # a blank line
            continue
        named = f"{clip(str(cell))} in {names[layout.time or 0]!r} {why_no_time(cell)}"
        facts.reject(int(batch.rows[i]), "it has no time" if cell is None else named)


def _melt(batch: Batch, layout: Layout, groups: Groups, times: Times, facts: FileFacts, keep: str) -> Iterator[Samples]:
    """Yield a sample for each cell of a metric that has a value: columns of the same dtype together."""
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for m, (i, metric) in enumerate(layout.metrics.items()):
        column = batch.columns[i]
        numbers = to_numbers(column, layout.decimal, keep)
        for at in np.flatnonzero(numbers.bad & times.present).tolist():
            facts.reject(int(batch.rows[at]), f"{clip(column[at].as_py())} in {metric!r} is no number")
        series = groups.numbers + (0 if layout.is_long else m * len(groups.firsts))
        kept = np.flatnonzero(times.present & numbers.present)
        typed = numbers.by_type(kept, series[kept])
        saved = sum(count_inexact(values) for _, values in typed) if numbers.rounded else 0
        _tell(numbers._replace(rounded=numbers.rounded - saved), metric, facts)
        parts += [(series[at], times.timestamps[at], values, batch.rows[at]) for at, values in typed]
    for _, some in groupby(parts, key=lambda part: part[2].dtype):
        series, timestamps, values, rows = (np.concatenate(part) for part in zip(*some, strict=True))
        yield Samples(groups.keys, series, timestamps, times.unit, values, rows)


def _tell(numbers: Numbers, metric: str, facts: FileFacts) -> None:
    """Count what becomes of a column's cells without being rejected."""
    if numbers.absent:
        facts.count(f"column {metric!r}: cells of NA, null or the like, taken for none: {{}}", numbers.absent)
    if numbers.rounded:
        facts.count(f"column {metric!r}: {ROUNDED}", numbers.rounded)
    if numbers.units:
        facts.count(
            f"column {metric!r}: cells with a unit, read in its base (bytes, seconds, ...): {{}}", numbers.units
        )


def _name_groups(batch: Batch, layout: Layout, label: str | None) -> Groups:
    """Group rows by their name and labels."""
    roles = [i for i in (layout.name, layout.label_text) if i is not None]
    # Names and labels stay as they are: NA and blanks at the edges may be part of them.
    columns = [batch.columns[i] for i in (*roles, *layout.labels)]
    numbers, firsts = group_rows(columns, len(batch.rows))
    told = (column.take(pa.array(firsts)).to_pylist() for column in columns)
    cells = dict(zip((*roles, *layout.labels), told, strict=True))
    labels: list[dict[str, str]] = []
    for at in range(len(firsts)):
        found = {"file": label} if label is not None and not layout.is_long else {}
        if layout.label_text is not None:
            found |= parse_labels(cells[layout.label_text][at])
        found |= {name: str(cells[i][at]) for i, name in layout.labels.items() if cells[i][at] is not None}
        labels.append(found)
    if layout.name is not None:
        names = cells[layout.name]
        keys = [_make_key("" if name is None else str(name), found) for name, found in zip(names, labels, strict=True)]
    else:
        keys = [_make_key(metric, found) for metric in layout.metrics.values() for found in labels]
    return Groups(numbers, firsts, keys)


def _make_key(name: str, labels: dict[str, str]) -> SeriesKey:
    """Return a key; a name with labels in braces, as Grafana writes them, is taken apart."""
    if name.endswith("}") and SERIES.fullmatch(name):
        key = parse_series(name)
        return SeriesKey(key.metric_name or "value", labels | dict(key.labels))
    return SeriesKey(name, labels)


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
