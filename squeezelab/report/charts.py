"""The charts of a report, made to be shown: labelled, readable at half size, told apart by the colour-blind."""

from __future__ import annotations

import io
import itertools
import logging
import math
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from squeezelab.report.columns import best_first
from squeezelab.report.engines import PARTS, engine_label, ranked
from squeezelab.report.labels import KINDS, coverage, frontier, label
from squeezelab.report.published import TIMESTAMP_CODEC, VALUE_CODEC
from squeezelab.report.winners import largest_families
from squeezelab.results import Measurement, Results
from squeezelab.store.files import replacing

logger = logging.getLogger(__name__)

Numbers = npt.NDArray[np.float64]
# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, GREY, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#8C8C8C", "#D55E00", "#CC79A7"
COLOURS = {"ours": VERMILION, "papers": BLUE, "general": GREY, "peers": GREEN}
PART_COLOURS = dict(zip(PARTS, (BLUE, ORANGE, GREEN, PURPLE, GREY), strict=True))
LONGEST_BAR = 20.0
"""Bytes a sample at which bars of databases are cut, so that short ones stay readable: more than uncompressed."""
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
    """Draw every chart that the results have data for, as PNG and SVG, on two cores where there are two.

    Parameters
    ----------
    results : Results
        What a run measured.
    folder : Path
        Where charts are written; results.json is there already.

    Returns
    -------
    list of Path
        The files, PNG before SVG.
    """
    if (os.cpu_count() or 1) < 2:
        return _draw(CHARTS, results, folder)
    # A process: Matplotlib holds the interpreter's lock, and a fork would take over locks of threads that it has not.
    try:
        other = subprocess.Popen([sys.executable, "-P", "-m", __name__, folder], stdin=subprocess.DEVNULL)
    except OSError:  # no interpreter of its own, as where Python is embedded
        return _draw(CHARTS, results, folder)
    with other:
        paths = _draw([name for name in CHARTS if name not in DRAWN_ELSEWHERE], results, folder)
    if other.returncode:
        paths += _draw(DRAWN_ELSEWHERE, results, folder)
    else:
        paths += [path for name in DRAWN_ELSEWHERE for path in _paths(folder / name) if path.exists()]
    return sorted(paths, key=lambda path: list(CHARTS).index(path.stem))


def _draw(names: Iterable[str], results: Results, folder: Path) -> list[Path]:
    """Draw these charts; return their files."""
    return [path for name in names for path in draw_chart(partial(CHARTS[name], results), folder / name)]


def draw_chart(draw: Callable[[], Figure | None], path: Path) -> list[Path]:
    """Draw one of the charts of a report, which costs a line if it fails; what an earlier run drew does not stay."""
    try:
        drawn = save_figure(draw, path)
    except OSError:  # a folder that cannot be written is the end of the report
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        logger.warning("The chart %s cannot be drawn (%s): going on without.", path.name, reason)
        drawn = []
    if not drawn:
        for old in _paths(path):
            old.unlink(missing_ok=True)
    return drawn


def _paths(path: Path) -> list[Path]:
    return [path.with_suffix(".png"), path.with_suffix(".svg")]


def save_figure(draw: Callable[[], Figure | None], path: Path) -> list[Path]:
    """Draw in the style of all charts, and save what was drawn as PNG and SVG; return the files."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # Names can be in any script: what the font lacks becomes a box, which needs no line each on the terminal.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        figure = draw()
        if figure is None:
            return []
        # Laid out once: with an engine each file would do so anew, and draw everything twice.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
        for suffix, metadata in ((".png", None), (".svg", {"Date": None})):
            with replacing(path.with_suffix(suffix)) as file:
                figure.savefig(file, format=suffix[1:], metadata=metadata)
    return _paths(path)


class Picture(Figure):
    """A figure that shows itself in a notebook, whatever backend that has."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", bbox_inches="tight")
        return file.getvalue()


def new_figure(height: float, panels: int = 1, *, stacked: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as a slide, and its panels, side by side or one above the other."""
    figure = Picture(figsize=(12, height), dpi=120, layout="constrained")
    rows, columns = (panels, 1) if stacked else (1, panels)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _add_legend(figure: Figure, shown: Iterable[Measurement]) -> None:
    used = {one.kind for one in shown}
    handles = [Patch(color=COLOURS[name], label=title) for name, title in KINDS.items() if name in used]
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
    axes: Axes,
    labels: Sequence[str],
    numbers: Sequence[float],
    colours: Sequence[str],
    pattern: str,
    longest: float = math.inf,
) -> None:
    """Draw horizontal bars, first one on top, with their numbers at the end; what is longer is cut and dashed."""
    bars = axes.barh(labels, np.minimum(numbers, longest), color=colours)
    for bar, number, colour in zip(bars, numbers, colours, strict=True):
        if number > longest:
            bar.set(facecolor="none", edgecolor=colour, linestyle="--", linewidth=1.5)
    axes.bar_label(bars, [pattern.format(number) for number in numbers], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.16, y=0.02)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)


def subtitle(results: Results) -> str:
    """Return what was measured, as it stands under every chart."""
    facts = results.dataset
    starred = any(coverage(one, facts.samples) for one in results.measurements if one.metric is None)
    star = "; * measured on a part" if starred else ""
    return f"{facts.generator}, {facts.size}: {facts.samples:,} samples in {facts.series:,} series{star}"


def draw_ladder(results: Results) -> Figure | None:
    """Draw how much smaller than NDJSON each format is."""
    order = best_first(results.common("dataset"))
    if not order:
        return None
    ndjson = results.dataset.ndjson_bytes / results.dataset.samples
    figure, (axes,) = new_figure(1.6 + 0.62 * len(order))
    ratios = [ndjson * one.samples / one.encoded_bytes for one in order]
    draw_bars(
        axes,
        [label(one, results.dataset.samples) for one in order],
        ratios,
        [COLOURS[one.kind] for one in order],
        "{:,.1f}x",
        # What loses bits may be any number of times smaller, and would leave the others no length.
        max((ratio for ratio, one in zip(ratios, order, strict=True) if not one.lossy), default=math.inf),
    )
    axes.set_title("How much smaller than NDJSON a file gets")
    axes.set_xlabel(f"NDJSON bytes / file bytes; NDJSON = {ndjson:.0f} bytes a sample\n{subtitle(results)}")
    _add_legend(figure, order)
    return figure


def draw_bits(results: Results) -> Figure | None:
    """Draw bits per timestamp and per value, codec by codec."""
    groups = {subject: results.common(subject) for subject in ("timestamps", "values")}
    groups = {subject: group for subject, group in groups.items() if group}
    if not groups:
        return None
    figure, panels = new_figure(1.7 + 0.6 * max(map(len, groups.values())), len(groups))
    for axes, (subject, group) in zip(panels, groups.items(), strict=True):
        group = best_first(group)
        numbers = [one.bits_per_item for one in group]
        draw_bars(
            axes,
            [_short(label(one, results.dataset.samples)) for one in group],
            numbers,
            [COLOURS[one.kind] for one in group],
            "{:.2f}",
        )
        axes.axvline(64, color="black", linestyle=":", linewidth=1.5)
        axes.set_title(f"Bits per {subject.removesuffix('s')}")
        axes.set_xlabel("bits; dotted: 64, uncompressed")
    figure.supxlabel(subtitle(results), fontsize=13)
    _add_legend(figure, [one for group in groups.values() for one in group])
    return figure


def _short(codec: str) -> str:
    return codec.replace("delta_of_delta", "delta of delta").replace("+", "\n+ ").replace(":", "\n").replace(",", "\n")


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
    names = sorted(largest_families(results, parts), key=lambda name: -sum(parts[name]))
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
    fewer = f", the {len(names)} of most bytes out of {len(parts)}" if len(names) < len(parts) else ""
    axes.set_title(f"Bytes per sample, by metric family{fewer}")
    axes.set_xlabel(f"bytes; uncompressed: 16\n{subtitle(results)}")
    return figure


def draw_engines(results: Results) -> Figure | None:
    """Draw bytes a sample of each database in parts; what is longer than raw samples is cut, its number is not."""
    order = ranked(results)
    if not order:
        return None
    figure, (axes,) = new_figure(2.2 + 0.62 * len(order))
    labels = [_short(engine_label(one, results)) for one in order]
    sizes = [one.bytes_on_disk / one.samples for one in order]
    longest = min(LONGEST_BAR, max(sizes))
    left = np.zeros(len(order))
    for part, colour in PART_COLOURS.items():
        width = np.array([one.parts.get(part, 0) / one.samples for one in order])
        width = np.clip(width, 0, longest - left)
        bars = axes.barh(labels, width, left=left, color=colour)
        left += width
    axes.bar_label(bars, [_engine_size(size, longest) for size in sizes], padding=6)
    shown = [i for i, one in enumerate(order) if one.further_bytes is not None and one.further_bytes <= longest]
    marks = [order[i].bytes_per_sample for i in shown]
    axes.scatter(marks, shown, marker="|", s=260, color="black", linewidth=2.5, zorder=4)
    if longest >= 16:
        axes.axvline(16, color="black", linestyle=":", linewidth=1.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * longest)
    axes.margins(y=0.02)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Databases: bytes a sample on disk")
    further = "; black: each further sample" if shown else ""
    axes.set_xlabel(f"bytes{further}; dotted: 16, uncompressed\n{subtitle(results)}")
    used = [part for part in PART_COLOURS if any(one.parts.get(part) for one in order)]
    handles = [Patch(color=PART_COLOURS[part], label=part) for part in used]
    figure.legend(handles=handles, loc="outside upper right", ncols=5, frameon=False, fontsize=12)
    return figure


def _engine_size(size: float, longest: float) -> str:
    return f"{size:.2f}" + ("" if size <= longest else ", cut")


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
    axes.set_xlabel(f"delta of delta in seconds{beyond}\n{subtitle(results)}")
    return figure


def draw_frontier(results: Results) -> Figure | None:
    """Draw ratio against decoding speed; what finds no room for its name is listed beneath."""
    groups = {s: [one for one in results.common(s) if one.decode_mb_s] for s in ("timestamps", "values")}
    groups = {subject: group for subject, group in groups.items() if group}
    if not groups:
        return None
    height = 6.5 * len(groups)
    figure, panels = new_figure(height, len(groups), stacked=True)
    # Names are placed in the order of their points: those of the frontier, which matter most, come first.
    groups = {s: (edge := frontier(group)) + [one for one in group if one not in edge] for s, group in groups.items()}
    for axes, (subject, group) in zip(panels, groups.items(), strict=True):
        _draw_points(results, axes, subject, group)
    caption = figure.supxlabel(subtitle(results), fontsize=13)
    _add_legend(figure, [one for group in groups.values() for one in group])
    figure.draw_without_rendering()
    crowded = []
    for axes, (subject, group) in zip(panels, groups.items(), strict=True):
        names = [_short(label(one, results.dataset.samples)).replace("\n", " ") for one in group]
        points = [(one.decode_mb_s or 0.0, one.ratio) for one in group]
        if nameless := _place_labels(figure, axes, names, points):
            listed = ", ".join(f"{names[i]} ({points[i][1]:.3g}x, {points[i][0]:,.0f} MB/s)" for i in nameless)
            crowded += textwrap.wrap(f"{subject.capitalize()}, without room for a name: {listed}.", 150)
    if crowded:
        caption.set(text="\n".join([*crowded, subtitle(results)]), fontsize=11)
        figure.set_size_inches(12, height + 0.2 * len(crowded))
    return figure


def _draw_points(results: Results, axes: Axes, subject: str, group: Sequence[Measurement]) -> None:
    """Draw a point a codec, the stairs of the frontier, and how fast memcpy is."""
    edge = frontier(group)
    speeds, ratios = [one.decode_mb_s or 0.0 for one in group], [one.ratio for one in group]
    axes.step([one.decode_mb_s or 0.0 for one in edge], [one.ratio for one in edge], where="pre", color=GREY, alpha=0.6)
    axes.scatter(speeds, ratios, s=90, c=[COLOURS[one.kind] for one in group], zorder=3)
    if memcpy := results.memcpy_mb_s.get(subject):
        axes.axvline(memcpy, color="black", linestyle=":", linewidth=1.5)
        axes.text(memcpy, 0.99, "memcpy ", ha="right", va="top", fontsize=12, transform=axes.get_xaxis_transform())
    axes.margins(x=0.1, y=0.12)
    _scale_by_decades(axes, "x")
    _scale_by_decades(axes, "y")
    axes.grid(alpha=0.3)
    axes.set_title(f"{subject.capitalize()}: size and speed")
    axes.set_xlabel("decoding, MB/s of raw bytes (right is faster)")
    axes.set_ylabel("ratio to 8 bytes (up is smaller)")


def _place_labels(figure: Figure, axes: Axes, names: Sequence[str], points: Sequence[tuple[float, float]]) -> list[int]:
    """Put each name beside its point, at the nearest place where it covers neither a point nor another name.

    One that stands far away, or nearer to another point, has a line to its own. The library
    adjustText, given 38 names, let many of them overlap.

    Returns
    -------
    list of int
        Which names found no such place, and were left out.
    """
    spots = axes.transData.transform(points)
    points_and_names = [_box(spot, np.array((18, 18))) for spot in spots]
    window = np.array(axes.get_window_extent().extents)
    pixels = figure.dpi / 72
    nameless = []
    for i, (name, point, spot) in enumerate(zip(names, points, spots, strict=True)):
        text = axes.annotate(name, point, xytext=(0, 0), **NAME)
        size = np.array(text.get_window_extent().size)
        text.remove()
        places = _box(spot, size) + pixels * np.tile(OFFSETS, 2)
        free = (places[:, 0] >= window[0]) & (places[:, 2] <= window[2])
        free &= ~_overlaps(places[:, None], np.array(points_and_names)[None]).any(1)
        led = (DISTANCES > NEAR) | (_gaps(places, spots).argmin(1) != i)
        found = np.flatnonzero(free)
        if not len(found):
            nameless.append(i)
            continue
        place = found[0]
        line = {"arrowstyle": "-", "color": GREY, "shrinkB": 5} if led[place] else None
        axes.annotate(name, point, xytext=OFFSETS[place], arrowprops=line, **NAME)
        points_and_names.append(places[place])
    return nameless


def _box(centre: Numbers, size: Numbers) -> Numbers:
    """Return left, bottom, right and top."""
    return np.concatenate([centre - size / 2, centre + size / 2])


def _overlaps(one: Numbers, other: Numbers) -> npt.NDArray[np.bool_]:
    """Return which boxes have a place in common."""
    return np.asarray(np.all((one[..., :2] < other[..., 2:]) & (other[..., :2] < one[..., 2:]), axis=-1))


def _gaps(boxes: Numbers, spots: Numbers) -> Numbers:
    """Return how far each point, a column, is from the edge of each box, a row."""
    beyond = np.maximum(0, np.maximum(boxes[:, None, :2] - spots, spots - boxes[:, None, 2:]))
    return np.asarray(np.hypot(beyond[..., 0], beyond[..., 1]))


NAME: dict[str, Any] = {
    "textcoords": "offset points",
    "ha": "center",
    "va": "center",
    "fontsize": 12,
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
}
NEAR = 60
"""How far a name may be from its point, in points, and still need no line to it."""


def _distance(offset: tuple[int, int]) -> float:
    return float(np.hypot(offset[0], 2 * offset[1]))


OFFSETS = sorted(itertools.product(range(-160, 161, 10), range(-72, 73, 6)), key=_distance)
"""Where a name may go, in points from its own; nearest first, and rather beside it than far above or below."""
DISTANCES = np.array([_distance(offset) for offset in OFFSETS])


CHARTS: dict[str, Callable[[Results], Figure | None]] = {
    "ladder": draw_ladder,
    "bits": draw_bits,
    "families": draw_families,
    "delta_of_delta": draw_deltas,
    "frontier": draw_frontier,
    "engines": draw_engines,
}
DRAWN_ELSEWHERE = ("families", "frontier")
"""About half of the work."""

if __name__ == "__main__":
    _draw(DRAWN_ELSEWHERE, Results.read(Path(sys.argv[1]) / "results.json"), Path(sys.argv[1]))
