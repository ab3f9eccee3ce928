"""NDJSON of the lab's own records, a line a sample."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError, DataSourceError
from squeezelab.formats.ndjson import Ndjson as NdjsonFormat
from squeezelab.readers._sources import NEWLINE, Piece, Source
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, Wishes

KEYS = ("metric_name", "labels", "timestamp", "value")


class Ndjson(Reader):
    """Records of ``metric_name``, ``labels``, ``timestamp`` and ``value``, as the lab's own format writes them."""

    name = "ndjson"
    suffixes = (".ndjson", ".jsonl")

    def recognises(self, source: Source) -> bool:
        """Tell by the first line, whether it is an object."""
        lines = source.first_lines(1)
        return source.is_text and bool(lines) and lines[0].lstrip().startswith("{") and _is_object(lines[0])

    def read(self, source: Source, wishes: Wishes, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        first = json.loads(source.first_lines(1)[0]) if self.recognises(source) else {}
        if missing := [key for key in KEYS if key not in first]:
            raise DataSourceError(
                f"{facts.name}: its first record lacks {', '.join(missing)}: records must have {', '.join(KEYS)}"
            )
        clock = Clock(wishes.time_unit)
        for piece in source.pieces():
            dataset, rows = _decode(piece, facts)
            facts.rows += len(rows)
            if not len(rows):
                continue
            times = clock.read(pa.array(dataset.timestamps))
            facts.time = clock.form
            series = np.repeat(np.arange(len(dataset.keys)), np.diff(dataset.offsets))
            yield Samples(list(dataset.keys), series, times.timestamps, times.unit, dataset.values, rows)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _decode(piece: Piece, facts: FileFacts) -> tuple[MetricDataset, npt.NDArray[np.int64]]:
    """Decode lines, and refuse those that are no records."""
    lines = {number: line for number, line in enumerate(piece.text.split(NEWLINE), piece.line) if line.strip()}
    try:
        dataset = NdjsonFormat().decode(NEWLINE.join(lines.values()))
    except CorruptDataError:
        good = [line for number, line in lines.items() if _is_record(number, line, facts)]
        dataset = NdjsonFormat().decode(NEWLINE.join(good))
    # Samples come series by series; which line each stood in only matters where reading stops half-way.
    return dataset, np.arange(piece.line, piece.line + len(dataset))


def _is_record(number: int, line: bytes, facts: FileFacts) -> bool:
    """Tell whether the lab's format takes a line; refuse it if not."""
    try:
        NdjsonFormat().decode(line)
    except CorruptDataError as error:
        facts.rows += 1
        facts.refuse(number, str(error).removeprefix("line 1: "))
        return False
    return True
