"""The tables of a report, and all measurements as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from squeezelab.report.columns import Column, best_first, columns_of
from squeezelab.report.labels import coverage, label
from squeezelab.report.published import TIMESTAMP_CODEC, VALUE_CODEC, compare_published
from squeezelab.report.table import Table
from squeezelab.results import NOISY_WIDTH, Measurement, Results


def ladder_table(results: Results, *, brief: bool = False) -> Table:
    """Return the formats, the smallest first; a brief table has no intervals."""
    facts, group = results.dataset, results.find("dataset")
    whole = sorted({one.codec.partition(":")[0] for one in group if one.whole_file})
    notes = [
        f"Encode, decode: MB/s of raw bytes, in memory. {_sureness(group, brief)}",
        f"Of {', '.join(whole)} they are those of the whole write and read, a database opened anew." if whole else "",
        "Further: bytes of each further sample, without what a file takes however little it holds."
        if any(one.further_bytes is not None for one in group)
        else "",
        "Lossy: root mean square error as a share of a series' range; the largest is in ratios.csv."
        if any(one.lossy for one in group)
        else "",
        *(coverage(one, facts.samples) for one in group),
    ]
    return _listed(results, "dataset", "file format", "The ladder of file formats", notes, brief)


def column_table(results: Results, subject: str, *, brief: bool = False) -> Table:
    """Return the codecs of timestamps or values, the smallest first, lossy ones apart; brief without intervals."""
    group = results.find(subject)
    item = subject.removesuffix("s")
    singles = ", 4 where that is a float32" if subject == "values" and "float32" in results.dataset.dtypes else ""
    notes = [
        f"Ratio to 8 bytes a {item}{singles}; encode, decode: MB/s of raw bytes.",
        _sureness(group, brief),
        *(coverage(one, results.dataset.samples) for one in group),
    ]
    return _listed(results, subject, "codec", f"Codecs of {subject}", notes, brief)


def calls_table(results: Results) -> Table:
    """Return what a call of each codec costs, and how fast it is without."""
    rows = [
        [one.codec, one.subject, *(column.cell(one).line for column in columns_of(results, one.subject) if column.wide)]
        for subject in ("timestamps", "values")
        for one in results.find(subject)
        if one.encode_call_us is not None
    ]
    headers = ["codec", "of"]
    if rows:
        headers += [column.header for column in columns_of(results, rows[0][1]) if column.wide]
    note = (
        "Calls: microseconds of a call that has next to nothing to do, which short series pay for each; without calls: "
        "MB/s of raw bytes as they would be of one long column, where calls are not nearly all of the time; in one "
        "call: MB/s where a call takes many short series. Peers have no such call, so no chart shows it."
    )
    return Table("Calls, and speed without them", headers, rows, note, names=2)


def _listed(results: Results, subject: str, name: str, title: str, notes: Sequence[str], brief: bool) -> Table:
    """Return the measurements of a subject as a table, in the columns and the order that all have."""
    columns = [column for column in columns_of(results, subject) if not column.wide and not (brief and column.extra)]

    def text(column: Column, one: Measurement) -> str:
        cell = column.cell(one)
        return cell.text or "-" if brief else cell.line

    rows = [
        [label(one, results.dataset.samples), *(text(column, one) for column in columns)]
        for one in best_first(results.find(subject))
    ]
    return Table(title, [name, *(column.header for column in columns)], rows, " ".join(filter(None, notes)))


def access_table(results: Results) -> Table:
    """Return how long each format takes for a little of a file, quickest first."""
    order = sorted(results.access, key=lambda one: one.one_series_s)
    rows = [
        [
            one.codec,
            f"{one.file_bytes:,}",
            *(_duration(seconds) for seconds in (one.one_sample_s, one.one_series_s, one.one_hour_s)),
            "yes" if one.decodes_all else "no",
            "yes" if one.bit_exact else "no",
        ]
        for one in order
    ]
    samples = order[0].samples if order else 0
    note = (
        f"From a file of {samples:,} samples in memory that is open: each is read as its users do. The hour is out of "
        "one series. Where a format has no other way than to decode all, this is what it takes."
    )
    headers = ["file format", "bytes", "one sample", "one series", "one hour", "decodes all", "exact"]
    return Table("Random access", headers, rows, note)


def _duration(seconds: float) -> str:
    """Return seconds in the unit that suits them.

    Examples
    --------
    >>> _duration(0.0000123), _duration(0.5)
    ('12.3 µs', '500 ms')
    """
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms")) if seconds * f >= 1), (1e6, "µs"))
    return f"{seconds * factor:.3g} {unit}"


def memory_table(results: Results) -> Table:
    """Return the peak memory of each format, least for decoding first."""
    rows = [
        [
            one.codec,
            f"{one.proven_samples:,}",
            f"{16 * one.proven_samples / 1e6:,.1f}",
            f"{one.encode_peak_mb:,.1f}",
            f"{one.decode_peak_mb:,.1f}",
        ]
        for one in sorted(results.find("dataset"), key=lambda one: one.decode_peak_mb or 0)
        if one.encode_peak_mb is not None and one.decode_peak_mb is not None
    ]
    note = (
        "Megabytes of resident memory at its highest (Linux, VmHWM), beyond what was there before; what is made, the "
        "file or the data set, is part of it."
    )
    return Table("Peak memory", ["file format", "samples", "raw MB", "encode", "decode"], rows, note)


def family_table(results: Results) -> Table:
    """Return bits per value, a row a metric family and a column a codec."""
    wholes = results.anywhere("values")
    families = dict.fromkeys(one.metric for one in results.measurements if one.metric)
    found = {(one.metric, one.codec): one for one in results.measurements if one.subject == "values"}
    rows = []
    for family in families:
        cells = [found.get((family, one.codec)) for one in wholes]
        most = max((cell.samples for cell in cells if cell), default=0)
        whole = [cell for cell in cells if cell and not cell.lossy and cell.samples == most]
        fewest = min((cell.bits_per_item for cell in whole), default=0.0)
        marked = [_mark(cell, cell in whole and cell.bits_per_item == fewest) if cell else "-" for cell in cells]
        rows.append([str(family), *marked])
    headers = ["metric family", *(label(one, results.dataset.samples) for one in wholes)]
    note = "Fewest in bold, of the codecs that ran on all of the family."
    return Table("Bits per value, by metric family", headers, rows, note)


def _mark(one: Measurement, bold: bool) -> str:
    return f"**{one.bits_per_item:.2f}**" if bold else f"{one.bits_per_item:.2f}"


def published_table(results: Results) -> Table:
    """Return the published figures beside those measured."""
    rows = [list(one) for one in compare_published(results)]
    note = f"Measured: {TIMESTAMP_CODEC} and {VALUE_CODEC}, a frame a series, without zstd. Published: "
    note += "github.com/flash1293/squeezed-signals (ratios)."
    return Table("Published and measured", ["figure", "published", "measured", "why they differ"], rows, note, names=4)


def origin(results: Results) -> str:
    """Return how much data there is and where it comes from."""
    facts = results.dataset
    provenance = ", ".join(f"{name} {value}" for name, value in facts.provenance.items())
    amount = f"{facts.samples:,} samples in {facts.series:,} series"
    seed = "" if facts.generator in ("file", "python") else f"seed {facts.seed}"  # data of a user's own have none
    kinds = ", ".join(f"{name} in {count:,} series" for name, count in facts.dtypes.items())
    values = f"values {kinds}" if set(facts.dtypes) - {"float64"} else ""
    return "; ".join(filter(None, (amount, values, seed, provenance)))


def machine(results: Results) -> str:
    """Return when and on what the run was made."""
    run = results.run
    rss = f", peak memory {run.peak_rss_mb:,.0f} MB" if run.peak_rss_mb else ""
    return (
        f"Run {run.started} on {run.cpu}, {run.cores} cores, "
        + (f"governor {run.governor}, " if run.governor else "")
        + f"{run.platform}, Python {run.python}; "
        + (f"commit {run.commit}; " if run.commit else "")
        + ", ".join(f"{package} {number}" for package, number in run.versions.items())
        + f"; {run.seconds:.1f} s{rss}."
    )


def method(results: Results) -> list[str]:
    """Return, sentence by sentence, what was counted and how it was timed."""
    facts = results.dataset
    timed: dict[str, int] = {}
    for one in results.measurements:
        if one.timed_samples:
            timed[one.subject] = max(timed.get(one.subject, 0), one.timed_samples)
    lines = [
        "Raw is 16 bytes a sample: 8 of timestamp, 8 of value"
        + (", 4 where that is a float32" if "float32" in facts.dtypes else "")
        + ". NDJSON is a line a sample, as `json.dumps` writes it.",
        "A codec makes one frame a series; header and checksum of each frame are counted.",
        f"Overall is NDJSON ({facts.ndjson_bytes:,} bytes) by timestamp frames, value frames and series dictionary "
        f"({facts.dictionary_bytes:,} bytes).",
        "Every frame and file that is counted was decoded and compared bit by bit, except where a star says otherwise; "
        "what is timed was proven first.",
    ]
    if timed:
        amounts = ", ".join(f"{subject} on {samples:,} samples" for subject, samples in timed.items())
        lines.append(
            f"Speeds are raw megabytes (10^6 bytes) a second, one thread, the median of {results.run.rounds} rounds or "
            f"more in which all take turns: up to {amounts}, fewer where a codec is slow. Series are encoded one by "
            "one: what a call costs is part of it. Intervals are bootstrapped, 95 %."
        )
    return [*lines, *results.run.notes]


def to_csv(kind: type[Any], rows: Iterable[Any]) -> str:
    """Return dataclass instances as CSV, a column a field."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(column for one in fields(kind) for column in _columns(one.name))
    for row in rows:
        cells: list[Any] = []
        for name, value in asdict(row).items():
            cells += (value or (None, None)) if len(_columns(name)) == 2 else [value]
        writer.writerow(cells)
    return file.getvalue()


def _columns(name: str) -> list[str]:
    """Return the columns of a field: an interval has two, its ends."""
    return [f"{name}_low", f"{name}_high"] if name.endswith("_ci") else [name]


def _sureness(measurements: Sequence[Measurement], brief: bool) -> str:
    """Say what stands beside speeds, where anything does."""
    if not any(one.encode_ci for one in measurements):
        return ""
    brackets = "" if brief else "In brackets: the 95 % interval within this process. "
    return f"{brackets}~: this interval is wider than {NOISY_WIDTH:.0%}, noisy."
