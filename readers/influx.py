"""InfluxDB's line protocol."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.readers._numbers import LARGE, ROUNDED, to_numbers
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions

LINE = re.compile(
    r"[ \t]*(?P<series>(?:\\.|[^\\ #])(?:\\.|[^\\ ])*)[ ]+"
    r'(?P<fields>(?:\\.|[^\\ ="])+=(?:"(?:\\.|[^"\\])*"|\\.|[^\\" ])+)'
    r"(?:[ ]+(?P<time>-?[0-9]+))?[ \t]*"
)
FIELD = re.compile(r'((?:\\.|[^\\=,])+)=("(?:\\.|[^"\\])*"|[^,]*)')
_TRUTH = {
    "t": "1",
    "T": "1",
    "true": "1",
    "True": "1",
    "TRUE": "1",
    "f": "0",
    "F": "0",
    "false": "0",
    "False": "0",
    "FALSE": "0",
}


class Influx(Reader):
    r"""Lines of ``measurement,tag=a field=1.5,other=2i 1465839830100400200``.

    Notes
    -----
    A field's series is called ``measurement_field``, or ``measurement`` alone where the field is ``value``, as Telegraf
    hands it to Prometheus. Texts are left out; booleans are 0 and 1. Times are nanoseconds unless their size tells
    otherwise; lines without one are rejected.

    References
    ----------
    InfluxData, Line protocol reference.
    """

    name = "influx"
    suffixes = (".lp", ".influx", ".line")

    def recognises(self, source: Source) -> bool:
        """Tell whether most of the first lines are points."""
        lines = [line for line in source.first_lines() if not line.startswith("#")]
        fitting = sum(bool(LINE.fullmatch(line)) for line in lines)
        return source.is_text and 2 * fitting > len(lines)

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        clock = Clock.of(options)
        known: dict[tuple[str, str], int] = {}
        keys: list[SeriesKey] = []
        for piece in source.pieces():
            points = _split(piece, known, facts)
            keys += (parse_key(*one) for one in islice(known, len(keys), None))
            if points.rows:
                yield _convert(piece, points, keys, clock, facts)


class _Points(NamedTuple):
    """Lines: their places in the piece and times; and their fields: numbers of line and series, and values."""

    rows: list[int]
    times: list[str]
    owners: list[int]
    series: list[int]
    values: list[str]


def _split(piece: Piece, known: dict[tuple[str, str], int], facts: FileFacts) -> _Points:
    """Take lines apart; those without quotes and escapes are three texts between blanks."""
    points = _Points([], [], [], [], [])
    for row, line in enumerate(text_lines(piece, facts.reject)):
        texts: Sequence[str | None] = line.split(" ")
        fields: Iterable[tuple[str, str]]
        if len(texts) == 3 and texts[0] and '"' not in line and "\\" not in line and line[0] != "#":
            fields = [(name, value) for name, _, value in (one.partition("=") for one in line.split(" ")[1].split(","))]
        else:
            found = LINE.fullmatch(line)
            if not found and (not line.strip() or line.lstrip().startswith("#")):
                continue
            texts = found.group("series", "fields", "time") if found else (None, None, None)
            fields = FIELD.findall(texts[1]) if texts[1] else []
        facts.rows += 1
        series, _, time = texts
        if not series or not time:
            facts.reject(piece.line + row, "it has no timestamp" if series else f"{clip(line)} is no point")
            continue
        for name, value in fields:
            if value.startswith('"'):
                facts.say(f"field {name!r} was left out: it holds text, such as {clip(value[1:-1])}")
                continue
            points.owners.append(len(points.rows))
            points.series.append(known.setdefault((series, name), len(known)))
            points.values.append(_TRUTH.get(value) or (value[:-1] if value[-1:] in ("i", "u") else value))
        points.rows.append(row)
        points.times.append(time)
    return points


def _convert(piece: Piece, points: _Points, keys: list[SeriesKey], clock: Clock, facts: FileFacts) -> Samples:
    lines = piece.line + np.array(points.rows, np.int64)
    times = clock.read(pa.array(points.times, pa.string()))
    facts.time = clock.form
    for i in np.flatnonzero(~times.present).tolist():
        facts.reject(int(lines[i]), f"{clip(points.times[i])} is no time")
    owners, series = np.array(points.owners, np.int64), np.array(points.series, np.int64)
    numbers = to_numbers(pa.array(points.values, pa.string()), keep=LARGE)
    if numbers.rounded:
        facts.count(ROUNDED, numbers.rounded)
    for i in np.flatnonzero(~numbers.present).tolist():
        metric = keys[series[i]].metric_name
        facts.reject(int(lines[owners[i]]), f"{clip(points.values[i])} in {metric!r} is no number")
    kept = np.flatnonzero(numbers.present & times.present[owners])
    rows = owners[kept]
    return Samples(keys, series[kept], times.timestamps[rows], times.unit, numbers.values[kept], lines[rows])


def parse_key(series: str, field: str) -> SeriesKey:
    r"""Return the key of a field: measurement and field make the name, tags are labels.

    Examples
    --------
    >>> print(parse_key(r"cpu,host=a\ b", "usage_idle"), parse_key("temperature", "value"))
    cpu_usage_idle{host="a b"} temperature{}
    """
    measurement, *tags = re.findall(r"(?:\\.|[^\\,])+", series)
    labels = {}
    for tag in tags:
        found = re.fullmatch(r"((?:\\.|[^\\=])+)=(.*)", tag)
        if found:
            labels[_unescape(found[1])] = _unescape(found[2])
    return SeriesKey(series_name(_unescape(measurement), _unescape(field)), labels)


def series_name(measurement: str, field: str) -> str:
    """Return what a field's series is called."""
    return measurement if measurement and field == "value" else f"{measurement}_{field}" if measurement else field


def _unescape(text: str) -> str:
    return re.sub(r"\\([,= \\])", r"\1", text)
