"""JSON documents: records, tables, and what the APIs of Prometheus, InfluxDB and Graphite answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from squeezelab.errors import DataSourceError
from squeezelab.readers._records import columns_of, read_columns, series_of, series_samples
from squeezelab.readers._sources import Source
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.influx import series_name
from squeezelab.readers.options import ReadOptions

_OBJECT = re.compile(r'\{\s*(?:\}|"(?:[^"\\]|\\.)*+(?:"\s*:|\Z))')
"""How an object begins, of which the end may be cut off; OpenMetrics may begin with ``{"`` as well."""


class Json(Reader):
    """One document: an array of records or of rows, columns, or the answer of a server to a query.

    References
    ----------
    Prometheus, HTTP API: range queries, instant queries. InfluxDB 1, HTTP API: query. Graphite, render API: json.
    """

    name = "json"
    suffixes = (".json",)

    def recognises(self, source: Source) -> bool:
        """Tell by the first character, and that the first line is no object of its own, or an answer."""
        text = source.head_text.lstrip()
        if not source.is_text or text[:1] not in ("[", "{"):
            return False
        if text[0] == "[":
            return text[1:].lstrip()[:1] in ("{", "[", "")
        if '"status"' in text[:200] and '"data"' in text[:1000]:
            return True
        try:
            first = json.loads(text.partition("\n")[0])
        except (ValueError, RecursionError):
            return bool(_OBJECT.match(text))
        return _rows_of(first) is not None or (isinstance(first, dict) and _is_items(first.get("results")))

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples of the document."""
        facts.place = "record"
        with source.open() as file:
            try:
                items = _find_items(json.loads(file.read().decode("utf-8-sig")), facts.name)
            except (ValueError, RecursionError) as error:
                raise DataSourceError(f"{facts.name} is no whole JSON document: {error}") from error
        rows = range(1, len(items) + 1)
        if items and series_of(items[0]) is not None:
            yield from series_samples(items, rows, Clock.of(options), facts)
            return
        records = [(item, row) for item, row in zip(items, rows, strict=True) if isinstance(item, dict)]
        for item, row in zip(items, rows, strict=True):
            if not isinstance(item, dict):
                facts.reject(row, "it is no object")
        columns = columns_of([item for item, _ in records], [row for _, row in records], facts)
        yield from read_columns([columns], source, options, facts)


def _find_items(content: Any, name: str) -> list[Any]:
    """Return the list in a document that holds its records or series."""
    if isinstance(content, dict) and content.get("status") == "error":
        raise DataSourceError(f"{name} is an answer without data: {content.get('error', 'it does not say why')}")
    if isinstance(content, dict) and _is_influx(content.get("results")):
        return list(_influx_records(content["results"], name))
    if (rows := _rows_of(content)) is not None:
        return rows
    for key in ("data", "result", "results"):
        content = content.get(key, content) if isinstance(content, dict) else content
    if isinstance(content, dict):
        content = next((value for value in content.values() if _is_items(value)), [content])
    if not isinstance(content, list):
        raise DataSourceError(f"{name} holds no list of records: give an array of objects, or a Prometheus answer")
    return content


def _is_influx(results: object) -> bool:
    """Tell whether these are the results of statements, as InfluxDB 1 gives them, and no records."""
    own = {"statement_id", "series", "messages", "partial", "error"}
    return isinstance(results, list) and all(isinstance(one, dict) and set(one) <= own for one in results)


def _is_items(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _rows_of(content: Any) -> list[dict[str, Any]] | None:
    """Return the records of a table: names and rows, rows of which the first has the names, or a list a column.

    Examples
    --------
    >>> _rows_of({"columns": ["time", "a"], "data": [[0, 1.5]]}), _rows_of([["time", "a"], [0, 1.5]])
    ([{'time': 0, 'a': 1.5}], [{'time': 0, 'a': 1.5}])
    >>> _rows_of({"time": [0, 15], "a": [1.5, 2]})
    [{'time': 0, 'a': 1.5}, {'time': 15, 'a': 2}]
    """
    if isinstance(content, dict) and isinstance(names := content.get("columns"), list):
        rows = content.get("data", content.get("values"))
    elif isinstance(content, dict) and content and all(isinstance(column, list) for column in content.values()):
        names, columns = list(content), list(content.values())
        same = len(set(map(len, columns))) == 1 and not any(isinstance(cell, dict | list) for cell in chain(*columns))
        rows = list(map(list, zip(*columns, strict=True))) if same else None
    elif isinstance(content, list) and content and isinstance(content[0], list):
        names, *rows = content
    else:
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        return None
    return [dict(zip(map(str, names), row, strict=True)) for row in rows]


def _influx_records(results: list[Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield the records of what InfluxDB 1 answers: fields are called after their measurement, tags are labels."""
    for result in results:
        if isinstance(result, dict) and "error" in result:
            raise DataSourceError(f"{name} is an answer without data: {result['error']}")
        for one in result.get("series", []) if isinstance(result, dict) else []:
            for record in _rows_of(one) or []:
                times = {"time": record.pop("time", None)}
                tags = dict(one.get("tags") or {})
                yield (
                    times
                    | tags
                    | {series_name(str(one.get("name", "")), field): cell for field, cell in record.items()}
                )
