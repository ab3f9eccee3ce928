"""Size against error and against moves of answers: one picture for each kind of bound, down-sampling on each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from squeezelab.losses.methods import METHODS
from squeezelab.losses.results import WINDOW, Effect, Losses, Row, Spread
from squeezelab.report.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, draw_chart

TITLES = {
    "range": "Bounds relative to the range",
    "value": "Bounds relative to the value",
    "absolute": "Absolute bounds",
    WINDOW: "Down-sampling",
}
"""What each kind of bound is called, in the order of pages."""
LOOKS = dict(
    zip(
        METHODS,
        ((BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (ORANGE, "v"), (PURPLE, "D"), ("#56B4E9", "P"), ("#000000", "X")),
        strict=True,
    )
)
"""Colour and marker of each method; down-sampling is grey and dashed."""
LEAST = 1e-6
"""Moves are drawn as no less than this share; there are many that are next to nothing."""


class Panel(NamedTuple):
    """One of the pictures side by side: its title, what its axis says, and a row's place on it."""

    title: str
    axis: str
    place: Callable[[Row], float | None]


def _median(effect: Effect | None, name: str) -> float | None:
    spread: Spread | None = getattr(effect, name, None)
    return spread.median if spread else None


PANELS = (
    Panel(
        "Size and error",
        "error, root mean square,\n% of each series' range",
        lambda row: row.error if math.isfinite(row.error) else None,
    ),
    Panel(
        "Size and p99 of gauges",
        "how far the p99 of an hour moves, worst hour,\nmedian series, % of its range",
        lambda row: _median(row.gauges, "p99"),
    ),
    Panel(
        "Size and rate() of counters",
        "how far rates move, root mean square,\nmedian series, % of their range",
        lambda row: _median(row.counters, "rate"),
    ),
)


def draw_losses(losses: Losses, folder: Path) -> dict[str, Path]:
    """Draw a picture for each kind of bound that was measured, as PNG and SVG; return the PNGs by kind."""
    drawn: dict[str, Path] = {}
    for kind in TITLES:
        drawing = partial(_draw_kind, losses, kind, losses.of_kind(kind))
        if kind != WINDOW and (paths := draw_chart(drawing, folder / f"losses-{kind}")):
            drawn[kind] = paths[0]
    return drawn


def _draw_kind(losses: Losses, kind: str, rows: Sequence[Row]) -> Figure | None:
    """Draw the panels that there is something to show on; None where there is none."""
    windows = losses.of_kind(WINDOW)
    panels = [panel for panel in PANELS if any(panel.place(row) is not None for row in rows)]
    if not panels:
        return None
    figure = Figure(figsize=(6.2 * len(panels), 7), dpi=110, layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, panel, losses, rows, windows)
        axes.set_title(panel.title)
        axes.set_xlabel(panel.axis)
    figure.axes[0].set_ylabel("bits a sample, with its timestamp")
    figure.legend(handles=_handles(rows), loc="outside lower center", ncols=4, frameon=False, fontsize=13)
    figure.suptitle(f"{TITLES[kind]}: {losses.data}, {losses.samples:,} samples", fontsize=18, weight="bold")
    return figure


def _draw_panel(axes: Axes, panel: Panel, losses: Losses, rows: Sequence[Row], windows: Sequence[Row]) -> None:
    """Draw a line a method from its tightest bound to its widest, down-sampling, and what is lossless."""
    least = math.inf
    for name, (colour, marker) in LOOKS.items():
        points = _points(panel, losses, [row for row in rows if row.method == name])
        if not points:
            continue
        across, up, _ = zip(*points, strict=True)
        least = min(least, *across)
        axes.plot(across, up, color=colour, linewidth=1.8, zorder=2)
        for x, y, wrong in points:
            face = "white" if wrong else colour
            axes.plot(x, y, marker=marker, color=colour, markerfacecolor=face, markersize=9, zorder=3)
    if points := _points(panel, losses, windows):
        across, up, _ = zip(*points, strict=True)
        axes.plot(across, up, color=GREY, linestyle="--", marker="o", markersize=8, zorder=1)
        for x, y, row in zip(across, up, windows, strict=False):
            name = row.method.rpartition("=")[2]
            axes.annotate(name, (x, y), xytext=(7, 5), textcoords="offset points", color="#555555", fontsize=11)
    _draw_lossless(axes, losses)
    _scale(axes, least <= LEAST)


def _draw_lossless(axes: Axes, losses: Losses) -> None:
    level = losses.lossless[losses.best_lossless] + losses.timestamp_bits
    axes.axhline(level, color="black", linestyle=":", linewidth=1.5)
    axes.text(
        0.02,
        level,
        f"lossless, {losses.best_lossless}",
        va="center",
        fontsize=11,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        transform=axes.get_yaxis_transform(),
    )


def _scale(axes: Axes, clipped: bool) -> None:
    """Make both axes logarithmic, with plain numbers; say where the least stands for all that is less."""
    axes.set(xscale="log", yscale="log")
    axes.grid(alpha=0.3)
    axes.margins(x=0.08, y=0.1)
    low, high = axes.xaxis.get_view_interval()
    subs = (1,) if high > 30 * low else (1, 2, 5) if high > 4 * low else range(1, 10)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(partial(_percent, clipped)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda bits, _: f"{bits:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _points(panel: Panel, losses: Losses, rows: Sequence[Row]) -> list[tuple[float, float, bool]]:
    """Return where rows are: across, up, and whether the bound is broken."""
    placed = [(row, panel.place(row)) for row in sorted(rows, key=lambda row: row.size)]
    return [
        (max(place, LEAST), total_bits(row, losses), bool(row.broken)) for row, place in placed if place is not None
    ]


def total_bits(row: Row, losses: Losses) -> float:
    """Return bits a sample with its timestamp; windows have theirs among their columns."""
    return row.smallest + (0.0 if row.kind == WINDOW else losses.timestamp_bits)


def _percent(clipped: bool, share: float, _: object) -> str:
    """Return a tick in percent, as 0.01 or 10k."""
    percent = 100 * share
    if percent >= 10_000:
        return f"{percent / 1000:,.0f}k" if percent < 1e6 else f"{percent / 1e6:,.0f}M"
    return ("≤ " if clipped and share < 1.5 * LEAST else "") + f"{percent:g}"


def _handles(rows: Sequence[Row]) -> list[Line2D]:
    """Return what the legend shows."""
    used = {row.method for row in rows}
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=9, label=METHODS[name].title)
        for name, (colour, marker) in LOOKS.items()
        if name in used
    ]
    handles.append(Line2D([], [], color=GREY, linestyle="--", marker="o", label="down-sampling"))
    if any(row.broken for row in rows):
        handles.append(Line2D([], [], color="black", marker="o", markerfacecolor="white", label="bound broken"))
    return handles
