"""Prometheus' text format and OpenMetrics, where samples have their timestamps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyarrow import compute

from squeezelab.dataset import SeriesKey
from squeezelab.formats.ndjson import group_rows
from squeezelab.readers._numbers import to_numbers
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, Wishes, clip

_QUOTED = r'"(?:[^"\\]|\\.)*"'
LINE = (
    rf"^[ \t]*(?P<series>[a-zA-Z_:][a-zA-Z0-9_:]*[ \t]*(?:\{{(?:[^\"}}]|{_QUOTED})*\}})?|\{{(?:[^\"}}]|{_QUOTED})*\}})"
    r"[ \t]+(?P<value>[-+]?(?:[0-9.][0-9.eE+-]*|[iI]nf|[iI]nfinity|[nN]a[nN]))"
    r"(?:[ \t]+(?P<time>[-+]?[0-9][0-9.eE+-]*))?[ \t]*(?:#.*)?\r?$"
)
_LABEL = re.compile(rf"(?:(?P<name>[^\s,{{}}=\"]+)|(?P<quoted>{_QUOTED}))\s*(?:=\s*(?P<value>{_QUOTED}))?\s*,?")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


class Prometheus(Reader):
    r"""Lines of ``name{label="value"} value timestamp``.

    Notes
    -----
    Prometheus counts milliseconds, OpenMetrics seconds with a fraction: which of them a file has is told by the size of
    its numbers. Comments and exemplars are passed over; lines without a timestamp are refused.

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
        fitting = sum(bool(re.match(LINE, line)) for line in lines)
        return source.is_text and 2 * fitting > len(lines)

    def read(self, source: Source, wishes: Wishes, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        yield from read_pieces(source.pieces(), wishes, facts)


def read_pieces(pieces: Iterable[Piece], wishes: Wishes, facts: FileFacts) -> Iterator[Samples]:
    """Yield the samples of lines as Prometheus writes them."""
    clock = Clock(wishes.time_unit)
    for piece in pieces:
        yield _read_piece(piece, clock, facts)
    if clock.rounded:
        facts.say(f"times finer than a nanosecond, rounded: {clock.rounded:,}")


def _read_piece(piece: Piece, clock: Clock, facts: FileFacts) -> Samples:
    lines = pa.array(text_lines(piece, facts.refuse), pa.string())
    parts = compute.extract_regex(lines, LINE)
    series, value, time = parts.flatten()
    time = compute.if_else(compute.equal(time, ""), pa.scalar(None, pa.string()), time)
    matched = parts.is_valid()
    blank = compute.match_substring_regex(lines, r"^\s*(#.*)?$")
    facts.rows += len(lines) - int(compute.sum(blank).as_py() or 0)
    for i in np.flatnonzero(~compute.or_(matched, blank).to_numpy(zero_copy_only=False)).tolist():
        facts.refuse(piece.line + i, f"{clip(lines[i].as_py())} is no sample")
    timed = np.flatnonzero(time.is_valid().to_numpy(zero_copy_only=False))
    for i in np.flatnonzero(compute.and_(matched, time.is_null()).to_numpy(zero_copy_only=False)).tolist():
        facts.refuse(piece.line + i, "it has no timestamp")
    chosen = pa.array(timed)
    series, value, time = (column.take(chosen) for column in (series, value, time))
    numbers = to_numbers(value)
    times = clock.read(time) if len(timed) else None
    facts.time = clock.form
    groups, firsts = group_rows([series], len(timed))
    keys = [parse_series(text) for text in series.take(pa.array(firsts)).to_pylist()]
    present = numbers.present & times.present if times else np.zeros(0, np.bool_)
    for i in np.flatnonzero(~present).tolist():
        row = int(timed[i])
        facts.refuse(piece.line + row, f"{clip(lines[row].as_py())} has no number in its place")
    kept = np.flatnonzero(present)
    timestamps, unit = (times.timestamps, times.unit) if times else (np.empty(0, np.int64), "s")
    return Samples(keys, groups[kept], timestamps[kept], unit, numbers.values[kept], piece.line + timed[kept])


def parse_series(text: str) -> SeriesKey:
    """Return the key that ``name{label="value"}`` stands for; the name may also stand within the braces."""
    name, _, inside = text.partition("{")
    name = name.strip()
    labels: dict[str, str] = {}
    for found in _LABEL.finditer(inside.rstrip().removesuffix("}")):
        label = found["name"] or _unquote(found["quoted"])
        if found["value"] is None:
            name = label
        elif label == "__name__":
            name = _unquote(found["value"])
        else:
            labels[label] = _unquote(found["value"])
    return SeriesKey(name, labels)


def _unquote(text: str) -> str:
    return re.sub(r'\\[n"\\]', lambda found: _ESCAPES[found[0]], text[1:-1])
