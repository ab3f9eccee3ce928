"""JSON values to samples: records as a table, and series as Prometheus and VictoriaMetrics answer with them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.readers._numbers import to_numbers
from squeezelab.readers._sources import Source
from squeezelab.readers._table import LABEL_TEXT_NAMES, Batch, read_table
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Samples
from squeezelab.readers.options import ReadOptions

HISTOGRAMS = "native histograms: {} samples were left out, for only numbers are measured"
LATE_FIELDS = "fields that the first records lack were left out: {} times"

Rows = tuple[list[dict[str, Any]], Sequence[int]]
"""Records, and the number of each as a user counts them."""


def read_records(parts: Iterable[Rows], source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of flat records, or of records with objects in them, whose fields become ``outer.inner``."""
    parts = iter(parts)
    first = next((part for part in parts if part[0]), ([], []))
    names = list(dict.fromkeys(name for record in map(_flat, first[0]) for name in record))

    def batches() -> Iterator[Batch]:
        for records, rows in (first, *((part for part in parts) if first[0] else ())):
            flat = [_flat(record) for record in records]
            facts.count(LATE_FIELDS, sum(len(record.keys() - known) for record in flat))
            columns = [_column(name, [record.get(name) for record in flat], facts) for name in names]
            yield Batch(columns, np.array(rows, np.int64))

    known = set(names)
    yield from read_table(names, batches(), source, options, facts)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without objects in it: labels become text, what else is nested becomes ``outer.inner``."""
    if not any(isinstance(value, dict) for value in record.values()):
        return record
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if not isinstance(value, dict):
            flat[name] = value
        elif name.lower() in LABEL_TEXT_NAMES:
            flat[name] = json.dumps(value) if value else None
        else:
            flat |= {f"{name}.{inner}": each for inner, each in value.items()}
    if flat.get("value_bits") and isinstance(flat["value_bits"], str) and len(flat["value_bits"]) == 16:
        flat["value"] = struct.unpack(">d", bytes.fromhex(flat.pop("value_bits")))[0]
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


def series_samples(items: Sequence[object], rows: Sequence[int], clock: Clock, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of series as servers write them, and refuse what is none."""
    for item, row in zip(items, rows, strict=True):
        found = series_of(item)
        if found is None:
            facts.rows += 1
            facts.refuse(row, "it is no series with a metric and its values")
            continue
        key, moments, texts, histograms = found
        facts.count(HISTOGRAMS, histograms)
        facts.rows += len(moments)
        if not moments:
            continue
        times = clock.read(_column("time", moments, facts))
        facts.time = clock.form
        numbers = to_numbers(_column(str(key), texts, facts))
        for _ in np.flatnonzero(numbers.bad | ~times.present).tolist():
            facts.refuse(row, f"a sample of {key} is no number at a time")
        kept = np.flatnonzero(numbers.present & times.present)
        yield Samples(
            [key],
            np.zeros(len(kept), np.int64),
            times.timestamps[kept],
            times.unit,
            numbers.values[kept],
            np.full(len(kept), row),
        )
