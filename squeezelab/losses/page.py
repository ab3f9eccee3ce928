"""Losses as a page, as Markdown, and all that is written of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from squeezelab.losses.bounds import KINDS
from squeezelab.losses.charts import TITLES, draw_losses, total_bits
from squeezelab.losses.methods import METHODS
from squeezelab.losses.results import WINDOW, Effect, Losses, Row, Spread, write_csv, write_json
from squeezelab.report.chapter import PictureFile, Section, chapter_html, chapter_markdown
from squeezelab.report.table import Table
from squeezelab.store.files import replacing

TITLE = "Losses with bounds"


def write_losses(losses: Losses, folder: Path) -> list[Path]:
    """Write losses.json, losses.csv, charts as PNG and SVG, losses.md and losses.html; return these, the page first."""
    written = [write_json(losses, folder / "losses.json"), write_csv(losses, folder / "losses.csv")]
    charts = draw_losses(losses, folder)
    parts = sections(losses, charts)
    for name, render in (("losses.md", chapter_markdown), ("losses.html", chapter_html)):
        with replacing(folder / name) as file:
            file.write(render(TITLE, origin(losses), parts).encode())
        written.insert(0, folder / name)
    return [*written, *charts.values()]


def origin(losses: Losses) -> str:
    """Return in a sentence what was measured."""
    return (
        f"{losses.data}: {losses.samples:,} samples in {losses.series:,} series, {losses.counters:,} of them counters; "
        f"{losses.seconds:,.0f} s. None of this is lossless, and none of it stands in the lossless report."
    )


def sections(losses: Losses, charts: Mapping[str, Path]) -> list[Section]:
    """Return the page's parts: the answer, each kind of bound, down-sampling, how to read it."""
    found = [Section("answer", "The answer", answers(losses), tables=[smallest_table(losses)])]
    for kind in ("range", "value", "absolute"):
        rows = losses.of_kind(kind)
        if rows:
            alt = f"Bits a sample against error and against moves of answers. {TITLES[kind]}."
            pictures = [PictureFile(charts[kind], alt)] if kind in charts else []
            words = [f"The bound is {KINDS[kind]}."]
            tables = [sizes_table(losses, rows), *effect_tables(losses, rows)]
            found.append(Section(kind, TITLES[kind], words, pictures, tables))
    windows = losses.of_kind(WINDOW)
    words = [
        "No bound holds: of each window its mean, minimum, maximum and count are kept, of counters the total as well. "
        "Quantiles and crossings are asked of the means, the maximum of the maxima, rates of the total."
    ]
    tables = [sizes_table(losses, windows), *effect_tables(losses, windows)]
    found.append(Section("windows", TITLES[WINDOW], words, tables=tables))
    found.append(Section("reading", "How to read it", reading(losses), tables=[methods_table(losses)]))
    return found


def answers(losses: Losses) -> list[str]:
    """Return in sentences what was found."""
    bounded = [row for row in losses.rows if row.kind != WINDOW]
    best = losses.lossless[losses.best_lossless]
    words = [
        f"Without loss, `{losses.best_lossless}` needs {best:.2f} bits a value and `tally` {losses.timestamp_bits:.2f} "
        "bits a timestamp."
    ]
    broken = [row for row in bounded if row.broken or row.specials_changed]
    if not bounded:
        return words
    checked = f"Every sample was checked against its bound, {len(bounded) * losses.samples:,} checks in all: "
    words.append(checked + (broken_words(broken) if broken else "none is broken."))
    words += windows_words(losses)
    if losses.specials:
        words.append(f"{losses.specials:,} samples are NaN, infinite or -0.0: these come back bit by bit.")
    if losses.counters:
        words.append(reset_words(bounded))
    return words


def windows_words(losses: Losses) -> list[str]:
    """Compare the longest windows that a method with a bound is as small as with that method, by p99 of gauges."""
    bounded = [row for row in losses.rows if row.kind != WINDOW and not row.broken and row.gauges and row.gauges.p99]
    for window in reversed(losses.of_kind(WINDOW)):
        smaller = [row for row in bounded if total_bits(row, losses) <= total_bits(window, losses)]
        if smaller and window.gauges and window.gauges.p99:
            best = min(smaller, key=_p99)
            return [
                f"Down-sampling to {window.label} takes {total_bits(window, losses):.2f} bits a sample, and moves the "
                f"p99 of the median gauge by {_share(_p99(window))} of its range; {best.title} within {best.label} "
                f"takes {total_bits(best, losses):.2f}, and moves it by {_share(_p99(best))}."
            ]
    return []


def _p99(row: Row) -> float:
    return row.gauges.p99.median if row.gauges and row.gauges.p99 else 0.0


def broken_words(rows: Sequence[Row]) -> str:
    """Return which methods break which bounds."""
    told = [f"{row.title} breaks {row.label} at {row.broken:,} samples of {row.broken_series:,} series" for row in rows]
    return "; ".join(told) + "."


def reset_words(rows: Sequence[Row]) -> str:
    """Return what becomes of counters."""
    asked = [row for row in rows if row.counters]
    wrong = [row for row in asked if row.counters and row.counters.false_resets]
    if not wrong:
        return "No counter falls where it did not fall before, so `rate()` sees no reset that there was not."
    worst = max(wrong, key=lambda row: _worst(row.counters.rate if row.counters else None))
    rate = worst.counters.rate if worst.counters else None
    return (
        f"In {len(wrong)} of {len(asked)} cases a counter falls where it did not fall before, though by no more than "
        "the bound allows. `rate()` takes it for a reset and adds all of the counter: "
        f"{worst.title} within {worst.label} moves rates by up to {_worst(rate):,.0f} times their range."
    )


def _worst(spread: Spread | None) -> float:
    return spread.worst if spread else 0.0


def smallest_table(losses: Losses) -> Table:
    """Return who is smallest within each bound."""
    rows = []
    for kind in ("range", "value", "absolute"):
        sizes = sorted({row.size for row in losses.of_kind(kind)})
        for size in sizes:
            kept = [row for row in losses.of_kind(kind) if row.size == size and not row.broken]
            if kept:
                best = min(kept, key=lambda row: row.smallest)
                title, label, *rest = _size_cells(losses, best)
                _, p99, _, kept_crossings, _ = _effect_cells(best.gauges)
                rows.append([label, title, *rest, p99, kept_crossings])
    headers = ["bound", "method", "stored", *SIZE_HEADERS, "p99, 1 h", "crossing kept"]
    note = "p99: how far that of an hour moves, the median gauge and in brackets the worst, as a share of its range."
    return Table("The smallest within each bound", headers, rows, note, names=3)


SIZE_HEADERS = ("bits a value", "of lossless")
EFFECT_HEADERS = ("p50, 1 h", "p99, 1 h", "maximum", "crossing kept", "moved by, s")
EFFECT_NOTE = (
    "Of {}: how far each answer moves, as a share of the series' range, for the median series and in brackets for the "
    "worst. Crossing kept: series that first exceed their threshold at the same moment and for as long; moved by: "
    "how far that moment moves where it does, median and worst."
)


def sizes_table(losses: Losses, rows: Sequence[Row]) -> Table:
    """Return sizes and errors of rows."""
    headers = ["method", "bound", "stored", *SIZE_HEADERS, "error, rms", "largest", "broken", "exact series"]
    cells = [
        [
            *_size_cells(losses, row),
            _share(row.error),
            f"{row.largest:.3f}",
            f"{row.broken:,}" if row.kind != WINDOW else "-",
            f"{row.exact:,}",
        ]
        for row in rows
    ]
    note = (
        "Stored: what is smallest of how it can be stored. Error: of all samples, as a share of their series' range. "
        "Largest: the largest error as a share of what is allowed, of windows of the range. Exact series: those that "
        "lost nothing, because the bound allows nothing that helps."
    )
    return Table("Sizes and errors", headers, cells, note, names=3)


def effect_tables(losses: Losses, rows: Sequence[Row]) -> list[Table]:
    """Return what becomes of gauges, and of counters."""
    gauges = [[row.title, row.label, *_effect_cells(row.gauges)] for row in rows if row.gauges]
    counters = [
        [row.title, row.label, _pair(row.counters.rate), f"{row.counters.false_resets:,}", *_effect_cells(row.counters)]
        for row in rows
        if row.counters
    ]
    headers = ["method", "bound"]
    return [
        Table("Gauges", [*headers, *EFFECT_HEADERS], gauges, EFFECT_NOTE.format("gauges"), names=2),
        Table(
            "Counters",
            [*headers, "rate()", "false resets", *EFFECT_HEADERS],
            counters,
            EFFECT_NOTE.format("the rates of counters") + " rate(): root mean square of all moves.",
            names=2,
        ),
    ]


def _size_cells(losses: Losses, row: Row) -> list[str]:
    lossless = losses.lossless[losses.best_lossless] + losses.timestamp_bits
    share = f"{100 * total_bits(row, losses) / lossless:,.0f} %"
    return [row.title, row.label, row.store, f"{row.smallest:.3f}", share]


def _effect_cells(effect: Effect | None) -> list[str]:
    if effect is None:
        return ["-"] * len(EFFECT_HEADERS)
    asked = effect.series - effect.crossings["none"]
    moved = effect.first_seconds
    return [
        _pair(effect.p50),
        _pair(effect.p99),
        _pair(effect.maximum),
        f"{effect.crossings['same']} of {asked}",
        f"{moved.median:,.0f} ({moved.worst:,.0f})" if moved else "-",
    ]


def _pair(spread: Spread | None) -> str:
    return f"{_share(spread.median)} ({_share(spread.worst)})" if spread else "-"


def _share(share: float) -> str:
    """Return a share in percent, short.

    Examples
    --------
    >>> [_share(one) for one in (0, 1e-9, 0.00012, 0.0567, 3.0, 4567.0)]
    ['0 %', '<0.001 %', '0.012 %', '5.7 %', '300 %', '456,700 %']
    """
    percent = 100 * share
    if not 0 < percent < 0.001:
        return f"{percent:,.0f} %" if percent >= 100 or not percent else f"{percent:.2g} %"
    return "<0.001 %"


def methods_table(losses: Losses) -> Table:
    """Return the methods that ran, how they keep each kind of bound, and where they come from."""
    used = {row.method for row in losses.rows}
    rows = [
        [one.title, *(one.bounds.get(kind, "left out") for kind in KINDS), one.source]
        for name, one in METHODS.items()
        if name in used
    ]
    return Table("Methods", ["method", *KINDS, "source"], rows, names=len(KINDS) + 2)


def reading(losses: Losses) -> list[str]:
    """Return how figures come about, and what was left out."""
    threshold = "its own: halfway from its 95th percentile to the next value"
    if losses.threshold is not None:
        threshold = f"{losses.threshold:g}, as given"
    words = [
        "Sizes are of each series' values by themselves, in the lab's frame with its checksum. Rounded values go "
        "to lossless codecs; constants and lines are stored as their papers store them, and squeezed by zstd.",
        "What is asked: of gauges the samples, of counters `rate()` over 5 minutes (or four intervals), every minute, "
        "as Prometheus 3 has it, extrapolation included. p50 and p99 are of each hour; the one that moves most counts. "
        f"The threshold of each series is {threshold}.",
        "NaN, infinities and -0.0 are stored apart, bit by bit. A column of one value is stored as that, whatever the "
        "method. A bound counts as kept if it is exceeded by no more than the distance between neighbouring doubles.",
    ]
    words += [*losses.notes, *(f"Left out: {one}" for one in losses.left_out)]
    return words
