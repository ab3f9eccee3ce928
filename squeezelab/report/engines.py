"""Databases in a report: their table, what can be saved by setting them, and what they lost in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from squeezelab.report.columns import Cell, number
from squeezelab.report.table import Table
from squeezelab.results import EngineMeasurement, Measurement, Results, Returned

TITLE = "Databases"
PARTS = ("values", "timestamps", "samples", "index", "rest")
"""What bytes on disk are of, in the order of bars; a log is given back, and is in none."""
NOTE = (
    "Each was run as its users run it, compacted, weighed, and read back through its own queries; bytes are without "
    "the log that it gives back. Further: bytes of each further sample, between half of the samples and all. Hours: a "
    "query of one hour of one series, and of all series of the largest metric family; medians, as the client measures "
    "them, with what was read before in memory. Memory: the most that the server had, a library's beyond its process."
)


def ranked(results: Results) -> list[EngineMeasurement]:
    """Return databases by the bytes of each further sample; what is not exact, or ran on a part, comes last."""
    most = max((one.samples for one in results.engines), default=0)
    return sorted(results.engines, key=lambda one: (not one.exact, one.samples < most, one.bytes_per_sample))


def engine_row(one: EngineMeasurement) -> Measurement:
    """Return a database as a row beside codecs and files: its bytes, and whether every bit came back."""
    raw_bytes = 16 * one.samples
    return Measurement(
        subject="engine",
        metric=None,
        codec=one.engine,
        samples=one.samples,
        raw_bytes=raw_bytes,
        encoded_bytes=one.bytes_on_disk,
        ratio=raw_bytes / max(1, one.bytes_on_disk),
        bits_per_item=8 * one.bytes_on_disk / max(1, one.samples),
        encode_mb_s=None,
        decode_mb_s=None,
        timed_samples=0,
        bit_exact=one.exact,
        proven_samples=one.samples if one.returned else 0,
        lossy=one.returned is not None and not one.exact,
        kind="peers",
        whole_file=True,
        fixed_bytes=one.fixed_bytes,
        further_bytes=one.further_bytes,
    )


def engine_table(results: Results, *, brief: bool = False) -> Table:
    """Return all databases at all settings, the smallest exact one first; a brief table has fewer columns."""
    order = ranked(results)
    rows = [[engine_label(one, results), *(cell.text for _, cell in _cells(one, brief))] for one in order]
    headers = [header for header, _ in _cells(order[0], brief)] if order else []
    note = " ".join([NOTE if not brief else "", *_coverage(order, results)]).strip()
    return Table(TITLE, ["database", *headers], rows, note)


def engine_cells(results: Results) -> tuple[list[str], list[tuple[EngineMeasurement, list[Cell]]]]:
    """Return the headers and the rows of the table that can be sorted."""
    order = ranked(results)
    headers = ["database", *(header for header, _ in _cells(order[0]))] if order else []
    return headers, [(one, [Cell(engine_label(one, results)), *(cell for _, cell in _cells(one))]) for one in order]


def _cells(one: EngineMeasurement, brief: bool = False) -> list[tuple[str, Cell]]:
    every = [
        ("B/sample", number(one.bytes_on_disk / one.samples, ".3f"), True),
        ("further", number(one.further_bytes, ".3f"), True),
        ("fixed bytes", number(one.fixed_bytes, ",.0f"), False),
        ("log bytes", number(one.parts.get("log"), ","), False),
        ("samples/s in", number(one.ingest_samples_s, ",.0f"), True),
        ("hour ms", _milliseconds(one.hour_ms, one.hour_ci), True),
        ("family hour ms", _milliseconds(one.family_hour_ms, one.family_hour_ci), True),
        ("everything ms", _milliseconds(one.everything_ms, one.everything_ci), False),
        ("memory MB", number(one.memory_mb, ",.0f"), True),
        ("start s", number(one.start_s, ".2f"), False),
        ("compact s", number(one.compact_s, ".2f"), False),
        ("exact", Cell("not read" if one.returned is None else "yes" if one.exact else "no", not one.exact), True),
        ("version", Cell(one.version), False),
    ]
    return [(header, cell) for header, cell, short in every if short or not brief]


def _milliseconds(ms: float | None, interval: tuple[float, float] | None) -> Cell:
    remark = f"{interval[0]:,.3g} to {interval[1]:,.3g}" if interval else ""
    return Cell("") if ms is None else Cell(f"{ms:,.3g}" if ms < 1000 else f"{ms:,.0f}", ms, remark)


def engine_label(one: EngineMeasurement, results: Results) -> str:
    """Return the engine and its setting, marked where it is lossy or was not measured on all samples."""
    mark = "" if one.exact or one.returned is None else " (lossy)"
    return one.engine + mark + (" *" if one.samples < results.dataset.samples else "")


def _coverage(order: Iterable[EngineMeasurement], results: Results) -> Iterator[str]:
    fewer = [one for one in order if one.samples < results.dataset.samples]
    for samples in sorted({one.samples for one in fewer}):
        names = ", ".join(one.engine for one in fewer if one.samples == samples)
        yield f"* {names}: on {samples:,} of {results.dataset.samples:,} samples."


def savings_table(results: Results) -> Table:
    """Return for each database that has several settings how it comes, and the best of its settings."""
    by_name: dict[str, list[EngineMeasurement]] = {}
    for one in ranked(results):
        by_name.setdefault(one.name, []).append(one)
    rows = []
    for name, settings in by_name.items():
        best = settings[0]
        default = next((one for one in settings if one.engine == name and one.exact), None)
        if default is None or len(settings) == 1 or best.samples != default.samples:
            continue
        less = 1 - best.bytes_per_sample / default.bytes_per_sample
        row = [default.title, best.engine, f"{default.bytes_per_sample:.3f}", f"{best.bytes_per_sample:.3f}"]
        rows.append([*row, f"{less:.1%}", *(_milliseconds(one.hour_ms, None).text or "-" for one in (default, best))])
    headers = ["database", "best setting", "bytes as it comes", "bytes at best", "less", "hour ms", "at best"]
    note = "Bytes of each further sample, of the settings that gave back every bit."
    return Table("What setting a database saves", headers, rows, note, names=2)


# ---- What was lost ----


def tell_losses(results: Results) -> list[str]:
    """Return sentences on what came back of each database.

    Examples
    --------
    >>> list(_lost(Returned(samples_lost=3, special_lost=2, times_moved=1, largest_move_s=0.5)))
    ['3 samples lost, 2 of them NaN or infinite', '1 time moved, by up to 0.5 s']
    """
    exact = [one.engine for one in results.engines if one.exact]
    told = [f"Every bit of every sample came back from {', '.join(exact)}."] if exact else []
    for one in results.engines:
        if one.returned is None:
            told.append(f"{one.engine}: what came back is not known, for its time was over.")
        elif not one.exact:
            lost = list(_lost(one.returned))
            if not one.queries_agree:
                lost.append("a query of an hour failed, or gave other samples than reading everything")
            told.append(f"{one.engine}: {'; '.join(lost)} (of {one.samples:,} samples in {one.series:,} series).")
    return told


def _lost(one: Returned) -> Iterator[str]:
    if one.series_lost:
        yield f"{_count(one.series_lost, 'series', 'series')} lost"
    if one.samples_lost:
        special = f", {one.special_lost:,} of them NaN or infinite" if one.special_lost else ""
        yield f"{_count(one.samples_lost, 'sample')} lost{special}"
    if one.series_added:
        yield f"{_count(one.series_added, 'series', 'series')} that nobody gave"
    if one.samples_added:
        yield f"{_count(one.samples_added, 'sample')} that nobody gave"
    if one.times_moved:
        yield f"{_count(one.times_moved, 'time')} moved, by up to {one.largest_move_s:g} s"
    if one.values_changed:
        change = one.largest_relative_change
        yield f"{_count(one.values_changed, 'value')} changed, by up to {change:.2g} times the value"
    if one.nans_changed:
        yield f"{_count(one.nans_changed, 'NaN')} with other bits"
    if one.infinities_changed:
        yield f"{_count(one.infinities_changed, 'infinity', 'infinities')} changed"
    if one.zeros_changed:
        yield f"{one.zeros_changed:,} of -0.0 changed"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def engine_points(results: Results) -> list[dict[str, Any]]:
    """Return what the page's chart draws."""
    return [
        {
            "name": engine_label(one, results),
            "exact": one.exact,
            "parts": {part: one.parts.get(part, 0) / one.samples for part in PARTS},
            "bytes": one.bytes_on_disk / one.samples,
            "further": one.further_bytes,
        }
        for one in ranked(results)
    ]


def best_engines(results: Results) -> Sequence[tuple[str, EngineMeasurement]]:
    """Return the smallest database that gave back every bit, and the quickest to query; with what each is."""
    order = ranked(results)
    exact = [one for one in order if one.exact and one.samples == order[0].samples]
    if not exact:
        return []
    timed = [one for one in exact if one.hour_ms is not None]
    quickest = min(timed, key=lambda one: one.hour_ms or 0.0, default=exact[0])
    return [("Smallest", exact[0])] + ([("Quickest to query", quickest)] if quickest is not exact[0] else [])
