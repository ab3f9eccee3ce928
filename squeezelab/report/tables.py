"""The tables of a report, as Markdown for a file, for a terminal, and as CSV for everything else."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table as RichTable

from squeezelab.report.labels import coverage, label, ranked, rungs
from squeezelab.report.published import TIMESTAMP_CODEC, VALUE_CODEC, compare_published
from squeezelab.results import NOISY_WIDTH, Measurement, Results, relative_width


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first ``names`` columns hold words, the others numbers.

    Examples
    --------
    >>> print(Table("Sizes", ["codec", "bytes"], [["xor", "12"]]).to_markdown())
    ## Sizes
    <BLANKLINE>
    | codec | bytes |
    | :--- | ---: |
    | xor | 12 |
    <BLANKLINE>
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    names: int = 1

    def to_markdown(self) -> str:
        """Return the table as GitHub renders it, title and note included."""
        marks = [":---" if i < self.names else "---:" for i in range(len(self.headers))]
        lines = [
            "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
            for cells in (self.headers, marks, *self.rows)
        ]
        return "\n".join([f"## {self.title}", "", *lines, "", *([self.note, ""] if self.note else [])])

    def to_rich(self) -> RichTable:
        """Return the table for a terminal."""
        table = RichTable(
            title=self.title,
            caption=self.note or None,
            box=SIMPLE,
            padding=0,
            title_justify="left",
            caption_justify="left",
        )
        for i, header in enumerate(self.headers):
            named = i < self.names
            table.add_column(header, justify="left" if named else "right", no_wrap=not named, overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table


def ladder_table(results: Results) -> Table:
    """Return the formats, rung by rung."""
    facts = results.dataset
    ndjson = facts.ndjson_bytes / facts.samples
    order = rungs(results.find("dataset"))
    rows = [
        [
            label(one, facts.samples),
            f"{one.encoded_bytes:,}",
            f"{one.encoded_bytes / one.samples:.3f}",
            f"{ndjson * one.samples / one.encoded_bytes:.2f}x",
            f"{one.ratio:.2f}x",
            *_speeds(one, None),
            _exact(one),
        ]
        for one in order
    ]
    headers = ["file format", "bytes", "B/sample", "vs NDJSON", "vs raw", "encode", "decode", "exact"]
    lossy = "Lossy: root mean square error as a share of a series' range; the largest is in ratios.csv."
    whole = sorted({one.codec.partition(":")[0] for one in order if one.whole_file})
    notes = [
        f"Encode, decode: MB/s of raw bytes, in memory. {_sureness(order)}",
        f"Of {', '.join(whole)} they are those of the whole write and read, a database opened anew." if whole else "",
        lossy if any(one.lossy for one in order) else "",
        *(coverage(one, facts.samples) for one in order),
    ]
    return Table("The ladder of file formats", headers, rows, " ".join(filter(None, notes)))


def column_table(results: Results, subject: str) -> Table:
    """Return the codecs of timestamps or values, smallest ratio first, lossy ones apart."""
    memcpy, samples = results.memcpy_mb_s.get(subject), results.dataset.samples
    order = ranked(results.find(subject))
    rows = [
        [label(one, samples), f"{one.ratio:.2f}x", f"{one.bits_per_item:.3f}", *_speeds(one, memcpy), _exact(one)]
        for one in order
    ]
    item = subject.removesuffix("s")
    headers = ["codec", "ratio", "bits", "encode", "decode"]
    note = f"Ratio to 8 bytes a {item}; bits for each {item}; encode, decode: MB/s of raw bytes."
    if memcpy:
        headers += ["share"]
        note += f" Share: decode by memcpy ({_speed(memcpy, results.memcpy_ci.get(subject))} MB/s)."
    notes = [note, _sureness(order), *(coverage(one, samples) for one in order)]
    return Table(f"Codecs of {subject}", [*headers, "exact"], rows, " ".join(filter(None, notes)))


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
        f"From a file of {samples:,} samples in memory; the hour is out of one series. Where a format "
        "has no other way than to decode all, this is what it takes."
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
    wholes = results.find("values")
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
    note = f"Measured: {TIMESTAMP_CODEC} and {VALUE_CODEC}, a frame a series, without zstd."
    return Table("Published and measured", ["figure", "published", "measured", "why they differ"], rows, note, names=4)


def ratios_markdown(results: Results, charts: Sequence[Path]) -> str:
    """Return ratios.md: data, all tables, charts, method and machine."""
    # These two are made of tables themselves.
    from squeezelab.report.cost import cost_table
    from squeezelab.report.winners import family_winners

    facts = results.dataset
    tables = [ladder_table(results), column_table(results, "timestamps"), column_table(results, "values")]
    tables += [access_table(results), memory_table(results), family_table(results), published_table(results)]
    tables += [family_winners(results), cost_table(results)]
    pictures = [f"![{path.stem.replace('_', ' ')}]({path.name})\n" for path in charts if path.suffix == ".png"]
    return "\n".join(
        [
            f"# Compression of {facts.generator} metrics, {facts.size}",
            "",
            f"{origin(results)}; fingerprint `{facts.fingerprint}`.",
            "",
            *(table.to_markdown() for table in tables if table.rows),
            "## Charts",
            "",
            *pictures,
            "## How it was measured",
            "",
            *(f"- {line}" for line in method(results)),
            "",
            machine(results),
            "",
        ]
    )


def origin(results: Results) -> str:
    """Return how much data there is and where it comes from."""
    facts = results.dataset
    provenance = ", ".join(f"{name} {value}" for name, value in facts.provenance.items())
    amount = f"{facts.samples:,} samples in {facts.series:,} series"
    seed = "" if facts.generator in ("file", "python") else f"seed {facts.seed}"  # data of a user's own have none
    return "; ".join(filter(None, (amount, seed, provenance)))


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
        "Raw is 16 bytes a sample: 8 of timestamp, 8 of value. NDJSON is a line a sample, as `json.dumps` writes it.",
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


def _speeds(one: Measurement, memcpy: float | None) -> list[str]:
    cells = [_speed(one.encode_mb_s, one.encode_ci), _speed(one.decode_mb_s, one.decode_ci)]
    if memcpy:
        cells.append(f"{one.decode_mb_s / memcpy:.3f}" if one.decode_mb_s else "-")
    return cells


def _speed(speed: float | None, interval: tuple[float, float] | None) -> str:
    """Return a speed with half its interval in percent, and a mark where that is wide."""
    if not speed:
        return "-"
    if interval is None:
        return f"{speed:,.0f}"
    width = relative_width(speed, interval)
    return f"{'~' if width > NOISY_WIDTH else ''}{speed:,.0f} ±{width / 2:.0%}"


def _sureness(measurements: Sequence[Measurement]) -> str:
    """Say what the marks beside speeds mean, where there are any."""
    if not any(one.encode_ci for one in measurements):
        return ""
    return f"±: half the 95 % interval; ~ where it is wider than {NOISY_WIDTH:.0%}: noisy."


def _exact(one: Measurement) -> str:
    if not one.lossy:
        return "yes"
    if one.relative_error is not None:
        return f"{100 * one.relative_error:.1f} %"
    return f"{one.largest_error:.3g} off"
