"""JSON values to samples: records as a table, and series as Prometheus and VictoriaMetrics answer with them."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.readers._json_lines import BITS
from squeezelab.readers._numbers import ROUNDED, mixed_column, to_numbers
from squeezelab.readers._sources import Source
from squeezelab.readers._table import LABEL_TEXT_NAMES, Batch, read_table
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Samples
from squeezelab.readers.options import ReadOptions
from squeezelab.readers.prometheus import HISTOGRAMS

LATE_FIELDS = "fields that the first records lack were left out: {} times"

VALUE = "value"
"""The field in which NaNs have bits of their own, and integers stand beside doubles: no time, which is text there."""
_BITS = re.compile(r"[0-9a-fA-F]{16}")


class Columns(NamedTuple):
    """Some records as columns, and the number of each record as a user counts them."""

    names: list[str]
    columns: list[pa.Array]
    rows: npt.NDArray[np.int64]


def columns_of(records: Sequence[dict[str, Any]], rows: Sequence[int], facts: FileFacts) -> Columns:
    """Return flat records, or records with objects in them, whose fields become ``outer.inner``, as columns."""
    flat = list(map(_flat, records))
    names = list(dict.fromkeys(name for record in flat for name in record))
    columns = [_column(name, [record.get(name) for record in flat], facts) for name in names]
    return Columns(names, columns, np.array(rows, np.int64))


def read_columns(parts: Iterable[Columns], source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of records; the fields of the first part are the columns."""
    parts = iter(parts)
    first = next((part for part in parts if len(part.rows)), Columns([], [], np.empty(0, np.int64)))

    def batches() -> Iterator[Batch]:
        for names, columns, rows in chain([first], parts):
            found = dict(zip(names, columns, strict=True))
            late = (found[name] for name in found.keys() - set(first.names))
            facts.count(LATE_FIELDS, sum(len(column) - column.null_count for column in late))
            yield Batch([found.get(name, pa.nulls(len(rows))) for name in first.names], rows)

    yield from read_table(first.names, batches(), source, options, facts)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without objects in it: labels become text, what else is nested becomes ``outer.inner``."""
    if not any(isinstance(value, dict) for value in record.values()) and BITS not in record:
        return record
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if not isinstance(value, dict):
            flat[name] = value
        elif name.lower() in LABEL_TEXT_NAMES:
            flat[name] = json.dumps(value) if value else None
        else:
            flat |= {f"{name}.{inner}": each for inner, each in value.items()}
    if isinstance(flat.get(BITS), str) and _BITS.fullmatch(flat[BITS]):
        flat[VALUE] = struct.unpack(">d", bytes.fromhex(flat.pop(BITS)))[0]
    return flat


def _column(name: str, cells: list[Any], facts: FileFacts) -> pa.Array:
    """Return a column of the type that its cells share; text if they share none."""
    kinds = {type(cell) for cell in cells} - {type(None)}
    if kinds & {list, dict}:
        facts.say(f"field {name!r} was left out where it holds lists or objects")
        cells = [None if isinstance(cell, list | dict) else cell for cell in cells]
        kinds -= {list, dict}
    if kinds <= {int, float} and float in kinds:
        whole = [cell for cell in cells if isinstance(cell, int)]
        if all(-(2**53) <= cell <= 2**53 for cell in whole):
            return pa.array(cells, pa.float64())
        if name == VALUE and all(-(2**63) <= cell < 2**63 for cell in whole):
            return mixed_column(cells)
    if len(kinds) == 1 and not (
        kinds == {int} and any(cell is not None and not -(2**63) <= cell < 2**63 for cell in cells)
    ):
        return pa.array([_sound(cell) if kinds == {str} else cell for cell in cells])
    if not kinds:
        return pa.nulls(len(cells))
    return pa.array([cell if cell is None else _sound(str(cell)) for cell in cells], pa.string())


def _sound(text: str | None) -> str | None:
    """Return a text without halves of surrogate pairs, which JSON has but UTF-8 has not."""
    return text if text is None or text.isascii() else text.encode("utf-8", "replace").decode()


def series_of(item: object) -> tuple[SeriesKey, list[Any], list[Any], int] | None:
    """Return a series as servers write it: its key, times, values, and how many native histograms it has.

    Examples
    --------
    >>> series_of({"metric": {"__name__": "up", "job": "x"}, "values": [[1700000000, "1"]]})[1:]
    ([1700000000], ['1'], 0)
    >>> series_of({"metric": {"__name__": "up"}, "values": [1, 2], "timestamps": [1700000000000, 1700000015000]})[1:]
    ([1700000000000, 1700000015000], [1, 2], 0)
    """
    if isinstance(item, dict) and isinstance(item.get("datapoints"), list):
        return _graphite_series(item)
    if not isinstance(item, dict) or not isinstance(item.get("metric"), dict):
        return None
    labels = {name: str(value) for name, value in item["metric"].items()}
    key = SeriesKey(labels.pop("__name__", "value"), labels)
    histograms = item.get("histograms", item.get("histogram"))
    count = 0 if histograms is None else len(histograms) if "histograms" in item else 1
    values, times = item.get("values", []), item.get("timestamps")
    if isinstance(times, list) and isinstance(values, list) and len(times) == len(values):
        return key, times, values, count
    pairs = [item["value"]] if "value" in item else values
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return None
    return key, [pair[0] for pair in pairs], [pair[1] for pair in pairs], count


def _graphite_series(item: dict[str, Any]) -> tuple[SeriesKey, list[Any], list[Any], int] | None:
    """Return a series as Graphite answers with it, value before time."""
    points, tags = item["datapoints"], item.get("tags")
    if not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    labels = {name: str(value) for name, value in tags.items() if name != "name"} if isinstance(tags, dict) else {}
    key = SeriesKey(str(item.get("target", "value")), labels)
    return key, [point[1] for point in points], [point[0] for point in points], 0


def series_samples(items: Sequence[object], rows: Sequence[int], clock: Clock, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of series as servers write them, and reject what is none."""
    for item, row in zip(items, rows, strict=True):
        found = series_of(item)
        if found is None:
            facts.rows += 1
            facts.reject(row, "it is no series with a metric and its values")
            continue
        key, moments, texts, histograms = found
        facts.count(HISTOGRAMS, histograms)
        facts.rows += len(moments)
        if not moments:
            continue
        times = clock.read(_column("time", moments, facts))
        facts.time = clock.form
        numbers = to_numbers(_column(str(key), texts, facts))
        facts.count(ROUNDED, numbers.rounded)
        for _ in np.flatnonzero(numbers.bad | ~times.present).tolist():
            facts.reject(row, f"a sample of {key} is no number at a time")
        kept = np.flatnonzero(numbers.present & times.present)
        yield Samples(
            [key],
            np.zeros(len(kept), np.int64),
            times.timestamps[kept],
            times.unit,
            numbers.values[kept],
            np.full(len(kept), row),
        )
