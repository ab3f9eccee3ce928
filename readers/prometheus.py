"""Prometheus' text format and OpenMetrics, where samples have their timestamps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from squeezelab.dataset import SeriesKey
from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import ROUNDED, to_numbers
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, clip
from squeezelab.readers.options import ReadOptions

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SERIES = rf"(?:[a-zA-Z_:][a-zA-Z0-9_:]*[ \t]*(?:\{{(?:[^\"}}]|{_QUOTED})*\}})?|\{{(?:[^\"}}]|{_QUOTED})*\}})"
SERIES = re.compile(_SERIES)
LINE = re.compile(
    rf"[ \t]*(?P<series>{_SERIES})[ \t]+(?P<value>[-+]?(?:[0-9.][0-9.eE+-]*|inf(?:inity)?|nan))"
    r"(?:[ \t]+(?P<time>[-+]?[0-9][0-9.eE+-]*))?[ \t]*(?:#.*)?",
    re.IGNORECASE,
)
_HISTOGRAM = re.compile(rf"[ \t]*{_SERIES}[ \t]+\{{count:[^}}]*\}}[ \t]+[-+0-9.eE]+[ \t]*")
"""A native histogram, as promtool dumps it."""
HISTOGRAMS = "native histograms: {} samples were left out, for only numbers are measured"
TIMELESS = "it has no timestamp"
_LABEL = re.compile(
    rf"(?:(?P<name>[^\s,{{}}=\"]+)|(?P<quoted>{_QUOTED}))\s*(?:=\s*(?:(?P<value>{_QUOTED})|(?P<bare>[^,}}\"]*)))?\s*,?"
)
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


class Prometheus(Reader):
    r"""Lines of ``name{label="value"} value timestamp``.

    Notes
    -----
    Prometheus counts milliseconds, OpenMetrics seconds with a fraction: which of them a file has is told by the size of
    its numbers. Comments and exemplars are passed over. Lines without a timestamp are rejected, unless an interval is
    given: the file is then one page after another, and each sample of a series that much later than the one before it.
    Native histograms are counted and left out.

    References
    ----------
    Prometheus, Exposition formats; OpenMetrics 1.0.

    Examples
    --------
    >>> print(parse_series('up{host="a",path="C:\\\\"}'))
    up{host="a",path="C:\"}
    """

    name = "prometheus"
    suffixes = (".prom", ".om", ".openmetrics", ".metrics")

    def recognises(self, source: Source) -> bool:
        """Tell whether most of the first lines are samples."""
        lines = [line for line in source.first_lines() if not line.startswith("#")]
        fitting = sum(bool(LINE.fullmatch(line) or _HISTOGRAM.fullmatch(line)) for line in lines)
        return source.is_text and 2 * fitting > len(lines)

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        yield from read_pieces(source.pieces(), options, facts)


def read_pieces(pieces: Iterable[Piece], options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of lines as Prometheus writes them."""
    clock = Clock.of(options) if options.interval is None else Clock("ns")
    known: dict[str, int] = {}
    keys: list[SeriesKey] = []
    seen: Counter[int] = Counter()
    timeless = 0
    for piece in pieces:
        parts, without = _split(piece, known, facts, untimed=options.interval is not None)
        timeless += without
        if options.interval_nanoseconds is not None:
            for i, series in enumerate(parts.series):
                parts.times[i] = str(seen[series] * options.interval_nanoseconds)
                seen[series] += 1
        keys += map(parse_series, islice(known, len(keys), None))
        if parts.rows:
            yield _convert(piece, parts, keys, clock, facts)
    if options.interval is not None:
        facts.time = f"none: pages every {options.interval}"
    if timeless and not keys:
        raise DataSourceError(
            f"{facts.name} has no timestamps: a page of /metrics is one sample a series, and series are needed. Give a "
            "Prometheus data folder, an answer of /api/v1/query_range or OpenMetrics with times; or many pages one "
            "after another with --interval 15s"
        )
    for word in clock.words:
        facts.say(word)


class _Parts(NamedTuple):
    """What lines are made of: their places in the piece, the numbers of their series, and two texts of each."""

    rows: list[int]
    series: list[int]
    values: list[str]
    times: list[str]


def _split(piece: Piece, known: dict[str, int], facts: FileFacts, *, untimed: bool) -> tuple[_Parts, int]:
    """Take lines apart, and count those without a time that need one.

    Most are three texts between blanks, of which the first one has been seen before.
    """
    timeless = 0
    parts = _Parts([], [], [], [])
    for row, line in enumerate(text_lines(piece, facts.reject)):
        texts: Sequence[str] = line.rsplit(" ", 2)
        if len(texts) != 3 or (texts[0] not in known and not SERIES.fullmatch(texts[0])):
            found = LINE.fullmatch(line)
            if not found and (not line.strip() or line.lstrip().startswith("#")):
                continue
            if not found or not (found["time"] or untimed):
                facts.rows += 1
                if _HISTOGRAM.fullmatch(line):
                    facts.count(HISTOGRAMS, 1)
                else:
                    timeless += found is not None
                    facts.reject(piece.line + row, TIMELESS if found else f"{clip(line)} is no sample")
                continue
            texts = found["series"].strip(), found["value"], found["time"] or ""
        parts.rows.append(row)
        parts.series.append(known.setdefault(texts[0], len(known)))
        parts.values.append(texts[1])
        parts.times.append(texts[2])
    facts.rows += len(parts.rows)
    return parts, timeless


def _convert(piece: Piece, parts: _Parts, keys: list[SeriesKey], clock: Clock, facts: FileFacts) -> Samples:
    numbers = to_numbers(pa.array(parts.values, pa.string()))
    facts.count(ROUNDED, numbers.rounded)
    times = clock.read(pa.array(parts.times, pa.string()))
    facts.time = clock.form
    for i in np.flatnonzero(~(numbers.present & times.present)).tolist():
        text = parts.values[i] if times.present[i] else parts.times[i]
        facts.reject(piece.line + parts.rows[i], f"{clip(text)} is no {'number' if times.present[i] else 'time'}")
    kept = np.flatnonzero(numbers.present & times.present)
    rows = piece.line + np.array(parts.rows, np.int64)[kept]
    series = np.array(parts.series, np.int64)[kept]
    return Samples(keys, series, times.timestamps[kept], times.unit, numbers.values[kept], rows)


def parse_series(text: str) -> SeriesKey:
    """Return the key that ``name{label="value"}`` stands for; the name may also stand within the braces."""
    name, _, inside = text.partition("{")
    name = name.strip()
    labels: dict[str, str] = {}
    for found in _LABEL.finditer(inside.rstrip().removesuffix("}")):
        label = found["name"] or _unquote(found["quoted"])
        if found["bare"] is not None:
            labels[label] = found["bare"].strip()
        elif found["value"] is None:
            name = label
        elif label == "__name__":
            name = _unquote(found["value"])
        else:
            labels[label] = _unquote(found["value"])
    return SeriesKey(name, labels)


def _unquote(text: str) -> str:
    return re.sub(r'\\[n"\\]', lambda found: _ESCAPES[found[0]], text[1:-1])
