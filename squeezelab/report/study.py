"""A single series as tables and as a picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from squeezelab.dataset import Series, to_doubles
from squeezelab.report.charts import BLUE, COLOURS, GREEN, draw_bars, save_figure
from squeezelab.report.labels import label
from squeezelab.report.sentences import percent, plain_number
from squeezelab.report.table import Table
from squeezelab.results import Entropy, Explained, Measurement, Results

MOST_POINTS = 2000
"""Of longer series, the smallest and the largest value of each stretch is drawn."""
MOST_BARS = 40
MOST_RANGES = 60
MOST_CODECS = 8
DRAWABLE = 1e300
"""Axes of larger numbers overflow."""
PLAUSIBLE_YEARS = np.datetime64("1980"), np.datetime64("2200")
"""Timestamps outside of these are drawn as numbers: they are likely to count from a beginning of their own."""


class Study(Protocol):
    """What is shown here: a series, what its timestamps count, and what came of codecs on it."""

    @property
    def series(self) -> Series:
        """What was looked at."""
        ...

    @property
    def time_unit(self) -> str:
        """What its timestamps count."""
        ...

    @property
    def results(self) -> Results:
        """What was measured."""
        ...

    @property
    def explained(self) -> Explained:
        """Facts and winners."""
        ...


def facts_table(study: Study) -> Table:
    """Return what the series is like, a fact a row."""
    facts = study.explained.facts
    rows = [
        ["samples", f"{facts.samples:,}"],
        ["most common interval", _amount(facts.interval, f"{{:,}} {facts.time_unit}")],
        [
            "intervals that repeat the one before",
            "-" if facts.zero_dod_share is None else percent(facts.zero_dod_share, 2),
        ],
        ["distinct values", f"{facts.distinct:,}"],
        ["values that equal the one before", "-" if facts.repeat_share is None else percent(facts.repeat_share, 2)],
        ["mean run of equal values", f"{facts.mean_run:.2f}"],
        ["digits after the point", _amount(facts.decimals, "{}")],
        ["values exactly such decimals", "-" if facts.exact_share is None else percent(facts.exact_share, 2)],
        ["nearly so many digits", _amount(facts.near_decimals, "{}")],
        ["multiples of", "-" if facts.step is None else plain_number(facts.step)],
        ["never falls", "yes" if facts.monotone else "no"],
        ["NaN, infinite", f"{facts.nans:,}, {facts.infinities:,}"],
        *([f"entropy of {name}", _entropy(one)] for name, one in facts.entropies.items()),
        ["entropy of intervals' deltas", _entropy(facts.intervals_entropy)],
        ["floor, bits a value", f"{facts.floor:.3f}" if facts.floor_is_sure else f"({facts.floor:.3f}), not sure"],
    ]
    told = [row for row in rows if row[1] != "-" or row[0] in ("digits after the point", "multiples of")]
    note = "Entropies: bits, as corrected for what few samples miss, and distinct symbols."
    return Table(str(study.series.key), ["fact", "figure"], told, note)


def sizes_table(study: Study, subject: str) -> Table:
    """Return what each codec makes of the series, the smallest first."""
    facts = study.explained.facts
    floor = facts.floor if subject == "values" else facts.intervals_entropy.bits
    rows = [
        [
            label(one, one.samples),
            f"{one.encoded_bytes:,}",
            f"{one.bits_per_item:.3f}",
            f"{one.bits_per_item - floor:+.3f}",
            "yes" if one.bit_exact else "no",
        ]
        for one in _smallest_first(study, subject)
    ]
    name = "floor" if subject == "values" else "entropy of deltas of deltas"
    note = f"Bits a {subject.removesuffix('s')}, header and checksum included; above: the {name}, {floor:.3f}."
    return Table(f"Codecs of {subject}", ["codec", "bytes", "bits", "above", "exact"], rows, note)


def draw_study(study: Study, path: Path) -> list[Path]:
    """Draw values over time, the distribution of deltas, and bits of the best codecs beside the floor."""

    def draw() -> Figure:
        figure = Figure(figsize=(12, 8.5), layout="constrained")
        panels = figure.subplot_mosaic([["values", "values"], ["deltas", "codecs"]], height_ratios=[1, 1.15])
        _draw_values(panels["values"], study)
        _draw_deltas(panels["deltas"], deltas_of(study.series.values), study.explained.facts.step)
        _draw_codecs(panels["codecs"], study)
        return figure

    return save_figure(draw, path)


def _smallest_first(study: Study, subject: str) -> list[Measurement]:
    return sorted(study.results.find(subject), key=lambda one: (one.lossy, one.encoded_bytes))


def _amount(number: float | None, pattern: str) -> str:
    return "-" if number is None else pattern.format(number)


def _entropy(one: Entropy) -> str:
    return f"{one.bits:.3f}, {one.corrected:.3f}, {one.symbols:,}"


def _draw_values(axes: Axes, study: Study) -> None:
    chosen = _envelope(study.series.values)
    moments = _moments(study.series.timestamps[chosen], study.time_unit)
    values = np.clip(to_doubles(study.series.values[chosen]), -DRAWABLE, DRAWABLE)
    values[np.isinf(study.series.values[chosen])] = np.nan
    axes.plot(moments, values, color=BLUE, linewidth=1.2, marker="." if chosen.size < 100 else "")
    if moments.dtype.kind == "M":
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_title(_shortened(str(study.series.key), 80))
    unit = "" if moments.dtype.kind == "M" else f"timestamps in {study.time_unit}; "
    thinned = ", smallest and largest of each stretch" if chosen.size < study.series.values.size else ""
    axes.set_xlabel(f"{unit}{study.series.values.size:,} samples{thinned}")
    axes.grid(alpha=0.3)


def _envelope(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the positions of the smallest and the largest number of each stretch, all of them where there are few."""
    if values.size <= MOST_POINTS:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, MOST_POINTS // 2 + 1).astype(np.int64)
    low, high = (np.where(np.isfinite(values), values, outside) for outside in (np.inf, -np.inf))
    ends = ((np.argmin, low), (np.argmax, high))
    return np.unique([a + pick(one[a:b]) for a, b in pairwise(edges.tolist()) for pick, one in ends])


def _moments(timestamps: npt.NDArray[np.int64], unit: str) -> npt.NDArray[Any]:
    """Return dates where timestamps are plausible ones."""
    dates = timestamps.astype(f"datetime64[{unit}]")
    first, last = PLAUSIBLE_YEARS
    return dates if dates.size and first <= dates.min() <= dates.max() < last else timestamps


def deltas_of(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the deltas of values: exact, where these are integers that no double holds.

    Examples
    --------
    >>> deltas_of(2**60 + np.arange(3))
    array([1., 1.])
    """
    if values.dtype.kind == "i" and values.size and int(values.max()) - int(values.min()) < 2**63:
        return to_doubles(np.diff(values))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.diff(to_doubles(values))


def _draw_deltas(axes: Axes, deltas: npt.NDArray[np.float64], step: float | None) -> None:
    """Draw how often each delta occurs, or how many lie in each range where there are many."""
    deltas = np.clip(deltas[np.isfinite(deltas)], -DRAWABLE, DRAWABLE)
    axes.set_title("Deltas of values")
    if not deltas.size:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
        return
    # What arithmetic on doubles adds to a decimal shall make no bar of its own.
    numbers, counts = np.unique([float(f"{delta:.9g}") for delta in deltas.tolist()], return_counts=True)
    if numbers.size <= MOST_BARS:
        alone = max(1.0, float(abs(numbers[0])))
        width = 0.8 * float(np.min(np.diff(numbers))) if numbers.size > 1 else 0.1 * alone
        axes.bar(numbers, 100 * counts / deltas.size, width=width, color=GREEN)
        if numbers.size == 1:
            axes.set_xlim(numbers[0] - alone, numbers[0] + alone)
        axes.set_xlabel(f"delta; {_counted(numbers.size)}")
    else:
        edges = _edges(deltas, step)
        shares = np.full(deltas.size, 100 / deltas.size)
        axes.hist(np.clip(deltas, edges[0], edges[-1]), bins=edges.tolist(), weights=shares, color=GREEN)
        axes.set_xlabel(f"delta; {_counted(numbers.size)}; the ends hold what lies beyond")
    axes.set_ylabel("% of deltas")
    axes.ticklabel_format(axis="x", useOffset=False, scilimits=(-4, 5))
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="y", alpha=0.3)


def _edges(deltas: npt.NDArray[np.float64], step: float | None) -> npt.NDArray[np.float64]:
    """Return ends of ranges for almost all deltas; each holds as many multiples of the step, where there is one."""
    low, high = np.percentile(deltas, [0.5, 99.5])
    if not low < high:
        low, high = deltas.min(), deltas.max()
    width = (high - low) / MOST_RANGES
    if step:
        width = step * np.ceil(width / step)
        low = step * (np.round(low / step) - 0.5)
    edges: npt.NDArray[np.float64] = low + width * np.arange(int(np.ceil((high - low) / width)) + 1)
    return edges


def _counted(number: int) -> str:
    return f"{number:,} distinct, of 9 digits" if number > 1 else "all the same"


def _draw_codecs(axes: Axes, study: Study) -> None:
    best = [one for one in _smallest_first(study, "values") if not one.lossy][:MOST_CODECS]
    if not best:
        axes.text(0.5, 0.5, "no lossless codec of values was chosen", ha="center", transform=axes.transAxes)
        return
    names = [_shortened(one.codec, 30) for one in best]
    colours = [COLOURS[one.kind] for one in best]
    draw_bars(axes, names, [one.bits_per_item for one in best], colours, "{:.2f}")
    facts = study.explained.facts
    axes.axvline(facts.floor, color="black", linestyle="--", linewidth=1.5)
    axes.set_title("Bits a value")
    sure = "" if facts.floor_is_sure else ", not sure"
    axes.set_xlabel(f"bits; dashed: floor, {facts.floor:.2f}{sure}")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
