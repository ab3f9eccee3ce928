"""The charts of a report, made to be shown: labelled, readable at half size, told apart by the colour-blind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox

from squeezelab.files import replacing
from squeezelab.report.labels import coverage, label, ranked, rungs
from squeezelab.report.published import TIMESTAMP_CODEC, VALUE_CODEC
from squeezelab.results import Measurement, Results

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#8C8C8C"
PUBLIC = {"raw", "lz4", "zlib", "zstd", "ndjson", "cbor", "table", "columnar"}
LEGEND = {
    GREY: "general purpose",
    BLUE: "made for time series",
    ORANGE: "made for time series, then general purpose",
    PURPLE: "lossy",
}
STYLE: dict[Any, Any] = {
    "font.size": 14,
    "axes.titlesize": 17,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.hashsalt": "squeezelab",
    "svg.fonttype": "none",
    "text.parse_math": False,
}


def draw_charts(results: Results, folder: Path) -> list[Path]:
    """Draw every chart that the results have data for, as PNG and SVG.

    Returns
    -------
    list of Path
        The files, PNG before SVG.
    """
    paths = []
    for name, draw in CHARTS.items():
        drawn = save_figure(partial(draw, results), folder / name)
        if not drawn:  # what an earlier run drew is not of this one
            for suffix in (".png", ".svg"):
                (folder / name).with_suffix(suffix).unlink(missing_ok=True)
        paths += drawn
    return paths


def save_figure(draw: Callable[[], Figure | None], path: Path) -> list[Path]:
    """Draw in the style of all charts, and save what was drawn as PNG and SVG; return the files."""
    with mpl.rc_context(STYLE):
        figure = draw()
        if figure is None:
            return []
        for suffix, metadata in ((".png", None), (".svg", {"Date": None})):
            with replacing(path.with_suffix(suffix)) as file:
                figure.savefig(file, format=suffix[1:], dpi=120, metadata=metadata)
    return [path.with_suffix(".png"), path.with_suffix(".svg")]


def new_figure(height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as a slide, and its panels side by side."""
    figure = Figure(figsize=(12, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _colour(one: Measurement) -> str:
    """Return the colour that `LEGEND` gives this kind of codec or format."""
    if one.lossy:
        return PURPLE
    stages = [stage.partition(":")[0] for stage in one.codec.split("+")]
    if stages[0] in PUBLIC:
        return GREY
    return ORANGE if stages[-1] in PUBLIC else BLUE


def _add_legend(figure: Figure, measurements: Iterable[Measurement]) -> None:
    used = {_colour(one) for one in measurements}
    handles = [Patch(color=colour, label=label) for colour, label in LEGEND.items() if colour in used]
    figure.legend(handles=handles, loc="outside upper right", ncols=4, frameon=False, fontsize=12)


def _scale_by_decades(axes: Axes, which: str) -> None:
    """Make an axis logarithmic, with plain numbers at each decade, and at 2 and 5 where there are few."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


def draw_bars(
    axes: Axes, labels: Sequence[str], numbers: Sequence[float], colours: Sequence[str], pattern: str
) -> None:
    """Draw horizontal bars, first one on top, with their numbers at the end."""
    bars = axes.barh(labels, numbers, color=colours)
    axes.bar_label(bars, [pattern.format(number) for number in numbers], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.16, y=0.02)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)


def _subtitle(results: Results) -> str:
    facts = results.dataset
    starred = any(coverage(one, facts.samples) for one in results.measurements if one.metric is None)
    star = "; * measured on a part" if starred else ""
    return f"{facts.generator}, {facts.size}: {facts.samples:,} samples in {facts.series:,} series{star}"


def draw_ladder(results: Results) -> Figure | None:
    """Draw how much smaller than NDJSON each format is."""
    order = rungs(results.find("dataset"))
    if not order:
        return None
    ndjson = results.dataset.ndjson_bytes / results.dataset.samples
    figure, (axes,) = new_figure(1.6 + 0.62 * len(order))
    ratios = [ndjson * one.samples / one.encoded_bytes for one in order]
    draw_bars(
        axes,
        [label(one, results.dataset.samples) for one in order],
        ratios,
        [_colour(one) for one in order],
        "{:.1f}x",
    )
    scale = ""
    if max(ratios) > 200:  # linear, the first rungs would be too short to see
        scale = ", logarithmic"
        axes.set_xlim(1, 4 * max(ratios))
        _scale_by_decades(axes, "x")
    axes.set_title("How much smaller than NDJSON a file gets")
    axes.set_xlabel(f"NDJSON bytes / file bytes{scale}; NDJSON = {ndjson:.0f} bytes a sample\n{_subtitle(results)}")
    _add_legend(figure, order)
    return figure


def draw_bits(results: Results) -> Figure | None:
    """Draw bits per timestamp and per value, codec by codec."""
    groups = {subject: results.find(subject) for subject in ("timestamps", "values")}
    groups = {subject: group for subject, group in groups.items() if group}
    if not groups:
        return None
    figure, panels = new_figure(1.7 + 0.6 * max(map(len, groups.values())), len(groups))
    for axes, (subject, group) in zip(panels, groups.items(), strict=True):
        group = ranked(group)
        numbers = [one.bits_per_item for one in group]
        draw_bars(
            axes,
            [_short(label(one, results.dataset.samples)) for one in group],
            numbers,
            [_colour(one) for one in group],
            "{:.2f}",
        )
        axes.axvline(64, color="black", linestyle=":", linewidth=1.5)
        axes.set_title(f"Bits per {subject.removesuffix('s')}")
        axes.set_xlabel("bits; dotted: 64, uncompressed")
    figure.supxlabel(_subtitle(results), fontsize=13)
    _add_legend(figure, [one for group in groups.values() for one in group])
    return figure


def _short(codec: str) -> str:
    return codec.replace("delta_of_delta", "delta of delta").replace("+", "\n+ ").replace(":", "\n")


def draw_families(results: Results) -> Figure | None:
    """Draw bytes per sample of each metric family, timestamps and values stacked."""
    by_family: dict[str, dict[str, Measurement]] = {}
    for one in results.measurements:
        if one.metric and one.codec in (TIMESTAMP_CODEC, VALUE_CODEC):
            by_family.setdefault(one.metric, {})[one.codec] = one
    parts = {
        name: (pair[TIMESTAMP_CODEC].bits_per_item / 8, pair[VALUE_CODEC].bits_per_item / 8)
        for name, pair in by_family.items()
        if len(pair) == 2
    }
    if not parts:
        return None
    names = sorted(parts, key=lambda name: -sum(parts[name]))
    figure, (axes,) = new_figure(2.0 + 0.45 * len(names))
    timestamps, values = [parts[name][0] for name in names], [parts[name][1] for name in names]
    axes.barh(names, timestamps, color=ORANGE, label=f"timestamps, {TIMESTAMP_CODEC}")
    bars = axes.barh(names, values, left=timestamps, color=BLUE, label=f"values, {VALUE_CODEC}")
    axes.bar_label(bars, [f"{sum(parts[name]):.2f}" for name in names], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", frameon=False)
    axes.set_title("Bytes per sample, by metric family")
    axes.set_xlabel(f"bytes; uncompressed: 16\n{_subtitle(results)}")
    return figure


def draw_deltas(results: Results) -> Figure | None:
    """Draw the histogram of deltas of deltas."""
    counts = results.dataset.delta_of_delta_counts
    total = sum(counts)
    if not total:
        return None
    reach = len(counts) // 2
    used = max(abs(i - reach) for i, count in enumerate(counts) if count)
    shown = range(-max(used, 3), max(used, 3) + 1)
    shares = [100 * counts[reach + i] / total if abs(i) <= reach else 0.0 for i in shown]
    figure, (axes,) = new_figure(6)
    bars = axes.bar(list(shown), shares, color=[BLUE if i == 0 else ORANGE for i in shown])
    if len(shown) <= 15:
        axes.bar_label(bars, [f"{share:.3g} %" if share else "" for share in shares], padding=3)
        axes.set_xticks(list(shown))
    axes.set_yscale("log")
    axes.set_ylim(top=300)
    axes.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    axes.set_title(f"{shares[len(shares) // 2]:.1f} % of deltas of deltas are zero")
    axes.set_ylabel("share in %, logarithmic")
    beyond = f"; {reach} and more at the ends" if used == reach else ""
    axes.set_xlabel(f"delta of delta in seconds{beyond}\n{_subtitle(results)}")
    return figure


def draw_frontier(results: Results) -> Figure | None:
    """Draw ratio against decoding speed."""
    groups = {s: [one for one in results.find(s) if one.decode_mb_s] for s in ("timestamps", "values")}
    groups = {subject: group for subject, group in groups.items() if group}
    if not groups:
        return None
    figure, panels = new_figure(7, len(groups))
    labelled = []
    for axes, (subject, group) in zip(panels, groups.items(), strict=True):
        speeds = [one.decode_mb_s or 0.0 for one in group]
        axes.scatter(speeds, [one.ratio for one in group], s=90, c=[_colour(one) for one in group], zorder=3)
        if memcpy := results.memcpy_mb_s.get(subject):
            axes.axvline(memcpy, color="black", linestyle=":", linewidth=1.5)
            axes.text(memcpy, 0.99, "memcpy ", ha="right", va="top", fontsize=12, transform=axes.get_xaxis_transform())
        axes.margins(x=0.25, y=0.15)
        _scale_by_decades(axes, "x")
        _scale_by_decades(axes, "y")
        axes.grid(alpha=0.3)
        axes.set_title(f"{subject.capitalize()}: size and speed")
        axes.set_xlabel("decoding, MB/s of raw bytes (right is faster)")
        axes.set_ylabel("ratio to 8 bytes (up is smaller)")
        names = [_short(label(one, results.dataset.samples)).replace("\n", " ") for one in group]
        labelled.append((axes, names, [(one.decode_mb_s or 0.0, one.ratio) for one in group]))
    figure.supxlabel(_subtitle(results), fontsize=13)
    _add_legend(figure, [one for group in groups.values() for one in group])
    figure.draw_without_rendering()
    for axes, names, points in labelled:
        _place_labels(figure, axes, names, points)
    return figure


def _place_labels(figure: Figure, axes: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> None:
    """Put each name beside its point, at the nearest place where it covers neither a point nor another name."""
    spots = axes.transData.transform(points)
    taken = [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in spots]
    inside = axes.get_window_extent()
    pixels = figure.dpi / 72
    style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center", "fontsize": 12}
    for name, point, spot in zip(names, points, spots, strict=True):
        text = axes.text(0, 0, name, fontsize=style["fontsize"])
        size = text.get_window_extent()
        text.remove()
        centred = Bbox.from_bounds(spot[0] - size.width / 2, spot[1] - size.height / 2, size.width, size.height)
        for offset in OFFSETS:
            box = centred.translated(*(pixels * np.array(offset)))
            if inside.containsx(box.x0) and inside.containsx(box.x1) and not box.count_overlaps(taken):
                line = {"arrowstyle": "-", "color": GREY, "shrinkB": 5} if _distance(offset) > 60 else None
                axes.annotate(name, point, xytext=offset, arrowprops=line, **style)
                taken.append(box)
                break


def _distance(offset: tuple[int, int]) -> float:
    return float(np.hypot(offset[0], 2 * offset[1]))


OFFSETS = sorted(itertools.product(range(-160, 161, 10), range(-72, 73, 6)), key=_distance)
"""Where a name may go, in points from its own; nearest first, and rather beside it than far above or below."""


CHARTS: dict[str, Callable[[Results], Figure | None]] = {
    "ladder": draw_ladder,
    "bits": draw_bits,
    "families": draw_families,
    "delta_of_delta": draw_deltas,
    "frontier": draw_frontier,
}
