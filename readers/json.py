"""JSON documents: arrays of records, and what the HTTP API of Prometheus answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from squeezelab.errors import DataSourceError
from squeezelab.readers._records import columns_of, read_columns, series_of, series_samples
from squeezelab.readers._sources import Source
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.options import ReadOptions


class Json(Reader):
    """One document: an array of records, or the answer to a query, a matrix or a vector.

    References
    ----------
    Prometheus, HTTP API: range queries, instant queries.
    """

    name = "json"
    suffixes = (".json",)

    def recognises(self, source: Source) -> bool:
        """Tell by the first character, and that the first line is no object of its own, or an answer."""
        text = source.head_text.lstrip()
        if not source.is_text or text[:1] not in ("[", "{"):
            return False
        if text[0] == "[":
            return text[1:].lstrip()[:1] in ("{", "")
        if '"status"' in text[:200] and '"data"' in text[:1000]:
            return True
        try:
            json.loads(text.partition("\n")[0])
        except (ValueError, RecursionError):
            return text[1:].lstrip()[:1] in ('"', "}")
        return False

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
                facts.refuse(row, "it is no object")
        columns = columns_of([item for item, _ in records], [row for _, row in records], facts)
        yield from read_columns([columns], source, options, facts)


def _find_items(content: Any, name: str) -> list[Any]:
    """Return the list in a document that holds its records or series."""
    if isinstance(content, dict) and content.get("status") == "error":
        raise DataSourceError(f"{name} is an answer without data: {content.get('error', 'it does not say why')}")
    for key in ("data", "result"):
        content = content.get(key, content) if isinstance(content, dict) else content
    if isinstance(content, dict):
        content = next((value for value in content.values() if _is_items(value)), [content])
    if not isinstance(content, list):
        raise DataSourceError(f"{name} holds no list of records: give an array of objects, or a Prometheus answer")
    return content


def _is_items(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
