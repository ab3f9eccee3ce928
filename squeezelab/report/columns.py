"""What is shown of a measurement, column by column, and in which order: the same wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from squeezelab.results import NOISY_WIDTH, Measurement, Results, relative_width


class Cell(NamedTuple):
    """What a cell shows, what it is sorted by where that is another thing, and a smaller remark."""

    text: str
    sort: float | str | None = None
    remark: str = ""
    heat: float | None = None

    @property
    def line(self) -> str:
        """All of it in a line, for what has no smaller print."""
        return f"{self.text} ({self.remark})" if self.remark else self.text or "-"


class Column(NamedTuple):
    """A column: its header, and how it shows a measurement.

    One that is wide has a place on a page alone, and one that is extra not on a terminal.
    """

    header: str
    cell: Callable[[Measurement], Cell]
    wide: bool = False
    extra: bool = False


def columns_of(results: Results, subject: str) -> list[Column]:
    """Return the columns of codecs or formats of a subject; those that say nothing are left out."""
    memcpy = results.memcpy_mb_s.get(subject)
    ndjson = results.dataset.ndjson_bytes / results.dataset.samples
    item = subject.removesuffix("s")
    sizes = [
        Column("bytes", lambda one: number(one.encoded_bytes, ",")),
        Column("B/sample", lambda one: number(one.encoded_bytes / one.samples, ".3f")),
        Column("further", lambda one: number(one.further_bytes, ".3f")),
        Column("vs NDJSON", lambda one: number(ndjson * one.samples / one.encoded_bytes, ".2f", "x")),
        Column("vs raw", lambda one: number(one.ratio, ".2f", "x"), extra=True),
    ]
    ratios = [
        Column("ratio", lambda one: number(one.ratio, ".2f", "x")),
        Column(f"bits a {item}", lambda one: number(one.bits_per_item, ".3f")),
    ]

    def share(one: Measurement) -> float | None:
        return one.decode_mb_s / memcpy if one.decode_mb_s and memcpy else None

    columns = [
        *(sizes if subject == "dataset" else ratios),
        Column("encode MB/s", lambda one: speed(one, "encode")),
        Column("decode MB/s", lambda one: speed(one, "decode")),
        Column(
            "decode / memcpy",
            lambda one: number(one.decode_mb_s and memcpy and one.decode_mb_s / memcpy, ".3f"),
            extra=True,
        ),
        Column("encode call µs", lambda one: number(one.encode_call_us, ",.1f"), wide=True),
        Column("decode call µs", lambda one: number(one.decode_call_us, ",.1f"), wide=True),
        Column("encode without calls", lambda one: number(one.encode_bulk_mb_s, ",.0f"), wide=True),
        Column("decode without calls", lambda one: number(one.decode_bulk_mb_s, ",.0f"), wide=True),
        Column("encode in one call", lambda one: number(one.encode_many_mb_s, ",.0f"), wide=True),
        Column("decode in one call", lambda one: number(one.decode_many_mb_s, ",.0f"), wide=True),
        Column("encode peak MB", lambda one: number(one.encode_peak_mb, ",.1f"), wide=True),
        Column("decode peak MB", lambda one: number(one.decode_peak_mb, ",.1f"), wide=True),
    ]
    shown = results.find(subject)
    return [*(column for column in columns if any(column.cell(one).text for one in shown)), Column("exact", exact)]


def best_first(group: Iterable[Measurement]) -> list[Measurement]:
    """Return measurements by their ratio, highest first; what loses bits comes last, out of the ranking."""
    return sorted(group, key=lambda one: (one.lossy, -one.ratio))


def number(value: float | None, pattern: str, unit: str = "") -> Cell:
    """Return the cell of a number, empty where there is none."""
    return Cell("") if value is None else Cell(f"{value:{pattern}}{unit}", value)


def speed(one: Measurement, verb: str) -> Cell:
    """Return the cell of a speed: marked where its interval is wide, and with its ends."""
    value, interval = getattr(one, f"{verb}_mb_s"), getattr(one, f"{verb}_ci")
    if not value:
        return Cell("")
    mark = "~" if interval and relative_width(value, interval) > NOISY_WIDTH else ""
    return Cell(f"{mark}{value:,.0f}", value, f"{interval[0]:,.0f} to {interval[1]:,.0f}" if interval else "")


def exact(one: Measurement) -> Cell:
    """Return the cell that says whether every bit came back, and whether it always does."""
    if not one.lossy:
        return Cell("yes", 0)
    if one.relative_error is not None:
        return Cell("lossy", one.relative_error, f"{100 * one.relative_error:.1f} % of the range")
    if one.bit_exact:
        return Cell("lossy", 0, "none lost here")
    error = one.largest_error
    return Cell("lossy", error, f"by up to {error:g}" if error is not None else "")
