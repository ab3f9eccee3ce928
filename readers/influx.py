"""InfluxDB's line protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from squeezelab.dataset import SeriesKey
from squeezelab.formats.ndjson import group_rows
from squeezelab.readers._numbers import to_numbers
from squeezelab.readers._sources import Piece, Source, text_lines
from squeezelab.readers._times import Clock
from squeezelab.readers.base import FileFacts, Reader, Samples, Wishes, clip

LINE = (
    r"^[ \t]*(?P<series>(?:\\.|[^\\ #])(?:\\.|[^\\ ])*)[ ]+"
    r'(?P<fields>(?:\\.|[^\\ ="])+=(?:"(?:\\.|[^"\\])*"|\\.|[^\\" ])+)'
    r"(?:[ ]+(?P<time>-?[0-9]+))?[ \t]*\r?$"
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
    otherwise; lines without one are refused.

    References
    ----------
    InfluxData, Line protocol reference.
    """

    name = "influx"
    suffixes = (".lp", ".influx", ".line")

    def recognises(self, source: Source) -> bool:
        """Tell whether most of the first lines are points."""
        lines = [line for line in source.first_lines() if not line.startswith("#")]
        fitting = sum(bool(re.match(LINE, line)) for line in lines)
        return source.is_text and 2 * fitting > len(lines)

    def read(self, source: Source, wishes: Wishes, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some megabytes of lines at a time."""
        clock = Clock(wishes.time_unit)
        for piece in source.pieces():
            yield _read_piece(piece, clock, facts)


def _read_piece(piece: Piece, clock: Clock, facts: FileFacts) -> Samples:
    lines = pa.array(text_lines(piece, facts.refuse), pa.string())
    parts = compute.extract_regex(lines, LINE)
    series, fields, time = parts.flatten()
    blank = compute.match_substring_regex(lines, r"^\s*(#.*)?$")
    facts.rows += len(lines) - int(compute.sum(blank).as_py() or 0)
    for i in np.flatnonzero(~compute.or_(parts.is_valid(), blank).to_numpy(zero_copy_only=False)).tolist():
        facts.refuse(piece.line + i, f"{clip(lines[i].as_py())} is no point")
    timed = compute.and_(parts.is_valid(), compute.not_equal(compute.fill_null(time, ""), ""))
    for i in np.flatnonzero(compute.and_not(parts.is_valid(), timed).to_numpy(zero_copy_only=False)).tolist():
        facts.refuse(piece.line + i, "it has no timestamp")
    chosen = np.flatnonzero(timed.to_numpy(zero_copy_only=False))
    if not len(chosen):
        return Samples([], np.empty(0, np.int64), np.empty(0, np.int64), "s", np.empty(0), chosen)
    taken = pa.array(chosen)
    times = clock.read(time.take(taken))
    facts.time = clock.form
    for i in np.flatnonzero(~times.present).tolist():
        facts.refuse(piece.line + int(chosen[i]), "its time is out of range")
    owners, names, texts = _split_fields(fields.take(taken).to_pylist(), facts)
    numbers = to_numbers(pa.array(texts, pa.string()))
    for i in np.flatnonzero(numbers.bad).tolist():
        facts.refuse(piece.line + int(chosen[owners[i]]), f"{clip(texts[i])} in {names[i]!r} is no number")
    groups, firsts = group_rows([series.take(taken.take(pa.array(owners))), pa.array(names, pa.string())], len(owners))
    keys = [parse_key(series[int(chosen[owners[i]])].as_py(), names[i]) for i in firsts.tolist()]
    kept = np.flatnonzero(numbers.present & times.present[owners])
    rows = owners[kept]
    return Samples(
        keys, groups[kept], times.timestamps[rows], times.unit, numbers.values[kept], piece.line + chosen[rows]
    )


def _split_fields(rows: list[str], facts: FileFacts) -> tuple[npt.NDArray[np.int64], list[str], list[str]]:
    """Return for each field that is no text the number of its row, its name, and its value as digits."""
    owners: list[int] = []
    names: list[str] = []
    texts: list[str] = []
    for owner, row in enumerate(rows):
        for name, value in FIELD.findall(row):
            if value.startswith('"'):
                facts.say(f"field {name!r} was left out: it holds text, such as {clip(value[1:-1])}")
                continue
            owners.append(owner)
            names.append(name)
            texts.append(_TRUTH.get(value) or (value[:-1] if value[-1:] in ("i", "u") else value))
    return np.array(owners, np.int64), names, texts


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
    name = _unescape(measurement)
    return SeriesKey(name if field == "value" else f"{name}_{_unescape(field)}", labels)


def _unescape(text: str) -> str:
    return re.sub(r"\\([,= \\])", r"\1", text)
