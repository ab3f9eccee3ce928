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
from squeezelab.results import Measurement, Results


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
        "Encode, decode: MB/s of raw bytes, in memory.",
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
        note += f" Share: decode by memcpy ({memcpy:,.0f} MB/s)."
    notes = [note, *(coverage(one, samples) for one in order)]
    return Table(f"Codecs of {subject}", [*headers, "exact"], rows, " ".join(filter(None, notes)))


def family_table(results: Results) -> Table:
    """Return bits per value, a row a metric family and a column a codec."""
    wholes = results.find("values")
    families = dict.fromkeys(one.metric for one in results.measurements if one.metric)
    found = {(one.metric, one.codec): one for one in results.measurements if one.subject == "values"}
    rows = []
    for family in families:
        cells = [found.get((family, whole.codec)) for whole in wholes]
        fewest = min((cell.bits_per_item for cell in cells if cell and not cell.lossy), default=0.0)
        marked = [_mark(cell, fewest) if cell else "-" for cell in cells]
        rows.append([str(family), *marked])
    headers = ["metric family", *(label(whole, results.dataset.samples) for whole in wholes)]
    return Table("Bits per value, by metric family", headers, rows, "Fewest in bold.")


def _mark(one: Measurement, fewest: float) -> str:
    bold = one.bits_per_item == fewest and not one.lossy
    return f"**{one.bits_per_item:.2f}**" if bold else f"{one.bits_per_item:.2f}"


def published_table(results: Results) -> Table:
    """Return the published figures beside those measured."""
    rows = [list(one) for one in compare_published(results)]
    note = f"Measured: {TIMESTAMP_CODEC} and {VALUE_CODEC}, a frame a series, without zstd."
    return Table("Published and measured", ["figure", "published", "measured", "why they differ"], rows, note, names=4)


def ratios_markdown(results: Results, charts: Sequence[Path]) -> str:
    """Return ratios.md: data, all tables, charts, method and machine."""
    facts = results.dataset
    tables = [ladder_table(results), column_table(results, "timestamps"), column_table(results, "values")]
    tables += [family_table(results), published_table(results)]
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
    amount = f"{facts.samples:,} samples in {facts.series:,} series; seed {facts.seed}"
    return f"{amount}; {provenance}" if provenance else amount


def machine(results: Results) -> str:
    """Return when and on what the run was made."""
    run = results.run
    rss = f", peak memory {run.peak_rss_mb:,.0f} MB" if run.peak_rss_mb else ""
    return (
        f"Run {run.started} on {run.cpu}, {run.cores} cores, {run.platform}, Python {run.python}; "
        + ", ".join(f"{package} {number}" for package, number in run.versions.items())
        + f"; {run.seconds:.1f} s{rss}."
    )


def method(results: Results) -> list[str]:
    """Return, sentence by sentence, what was counted and how it was timed."""
    facts = results.dataset
    timed = []
    for subject in ("timestamps", "values", "dataset"):
        if counts := {one.timed_samples for one in results.find(subject)} - {0}:
            slow = f" ({min(counts):,} where slow)" if len(counts) > 1 else ""
            timed.append(f"{subject} on {max(counts):,} samples{slow}")
    lines = [
        "Raw is 16 bytes a sample: 8 of timestamp, 8 of value. NDJSON is a line a sample, as `json.dumps` writes it.",
        "A codec makes one frame a series; header and checksum of each frame are counted.",
        f"Overall is NDJSON ({facts.ndjson_bytes:,} bytes) by timestamp frames, value frames and series dictionary "
        f"({facts.dictionary_bytes:,} bytes).",
        "Every frame and file that is counted was decoded and compared bit by bit, except where a star says otherwise; "
        "what is timed was proven first.",
    ]
    if timed:
        lines.append(
            f"Speeds are raw megabytes (10^6 bytes) a second, one thread, the median of {results.run.rounds} rounds in "
            f"which all take turns: {', '.join(timed)}. Series are encoded one by one: what a call costs is part of it."
        )
    return [*lines, *results.run.notes]


def to_csv(kind: type[Any], rows: Iterable[Any]) -> str:
    """Return dataclass instances as CSV, a column a field."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [one.name for one in fields(kind)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue()


def _speeds(one: Measurement, memcpy: float | None) -> list[str]:
    cells = [f"{speed:,.0f}" if speed else "-" for speed in (one.encode_mb_s, one.decode_mb_s)]
    if memcpy:
        cells.append(f"{one.decode_mb_s / memcpy:.3f}" if one.decode_mb_s else "-")
    return cells


def _exact(one: Measurement) -> str:
    if not one.lossy:
        return "yes"
    if one.relative_error is not None:
        return f"{100 * one.relative_error:.1f} %"
    return f"lossy, by up to {one.largest_error:g}"
