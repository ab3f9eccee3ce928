"""Maps as pictures: a cell's colour is its winner, the size of the full square in it the margin over the second."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from squeezelab.atlas.measure import Atlas, Sheet
from squeezelab.report.charts import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, save_figure

PALETTE = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, "#56B4E9", "#F0E442", "#000000")
"""Okabe and Ito's; what wins in fewer cells than these has the last colour but one, grey."""
NOBODY = "#FFFFFF"
FULL = 0.25
"""The margin from which on a cell is full."""
LEAST, PALE = 0.35, 0.35
"""Side of the square where there is no margin, and how much of its colour the cell around it has."""
NEAR = (0.95, 0.45)
"""Dots that are nearer to each other, in cells across and up, are drawn as one, as their numbers would overlap."""


class Style(NamedTuple):
    """The colour of each winner, and what legends call it."""

    colours: dict[str, str]
    others: str

    def colour(self, name: str) -> str:
        """Return a codec's colour."""
        return self.colours.get(name, GREY)


def style(atlas: Atlas) -> Style:
    """Return one colour for each codec that wins, the same on all maps."""
    named = atlas.winners[: len(PALETTE)]
    rest = atlas.winners[len(PALETTE) :]
    return Style(dict(zip(named, PALETTE, strict=False)), ", ".join(rest))


def draw_atlas(atlas: Atlas, folder: Path) -> list[Path]:
    """Draw all maps on one picture, ``atlas``, and each as two, ``<name>-size`` and ``<name>-speed``; PNG and SVG."""
    looks = style(atlas)
    paths = save_figure(partial(_overview, atlas, looks), folder / "atlas")
    for sheet in atlas.sheets:
        for name, at_least in kinds(atlas):
            draw = partial(_single, atlas, sheet, looks, at_least)
            paths += save_figure(draw, folder / f"{sheet.map.name}-{name}")
    return paths


def kinds(atlas: Atlas) -> list[tuple[str, float]]:
    """Return what maps are drawn for: the smallest, and the smallest at a speed."""
    return [("size", 0.0), *([("speed", atlas.at_least)] if atlas.at_least else [])]


def criterion(at_least: float) -> str:
    """Return in words what a winner must do."""
    return f"smallest that decodes {at_least:,.0f} MB/s" if at_least else "smallest"


def _overview(atlas: Atlas, looks: Style) -> Figure:
    """Draw the maps side by side: a row for size, and one for size at a speed."""
    rows = kinds(atlas)
    figure = Figure(figsize=(4.6 * len(atlas.sheets), 4.9 * len(rows) + 1.2), dpi=90, layout="constrained")
    panels = figure.subplots(len(rows) + 1, len(atlas.sheets), squeeze=False, height_ratios=[4.9] * len(rows) + [0.9])
    for (_, at_least), row in zip(rows, panels, strict=False):
        for axes, sheet in zip(row, atlas.sheets, strict=True):
            _draw(axes, sheet, looks, at_least)
            title = sheet.map.title.partition(":")[0]
            axes.set_title(f"{title}: {at_least:,.0f} MB/s" if at_least else title, fontsize=15)
    for axes in panels[-1]:
        axes.axis("off")
    handles = _handles(looks, set(atlas.winners))
    figure.legend(handles=handles, loc="lower center", ncols=min(9, len(handles)), frameon=False, fontsize=16)
    title = "Which lossless codec is smallest, and by how much"
    if atlas.at_least:
        title += f"; below, of those that decode {atlas.at_least:,.0f} MB/s"
    figure.suptitle(title, fontsize=22, weight="bold")
    return figure


def _single(atlas: Atlas, sheet: Sheet, looks: Style, at_least: float) -> Figure:
    figure = Figure(figsize=(6.4, 7.4), dpi=110, layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=[3.4, 1])
    _draw(axes, sheet, looks, at_least)
    axes.set_title(f"{sheet.map.title}\n{criterion(at_least)}", fontsize=14)
    below.axis("off")
    used = {win.name for cell in sheet.cells if (win := cell.win(at_least))}
    _legend(below, looks, used, bool(sheet.dots))
    return figure


def _draw(axes: Axes, sheet: Sheet, looks: Style, at_least: float) -> None:
    """Draw cells, borders between winners, axes, and dots."""
    wide, high = len(sheet.xs), len(sheet.ys)
    wins = [cell.win(at_least) for cell in sheet.cells]
    pale, full = [], []
    for number, win in enumerate(wins):
        y, x = divmod(number, wide)
        colour = looks.colour(win.name) if win else NOBODY
        side = LEAST + (1 - LEAST) * min(1.0, win.margin / FULL) if win else 0.0
        pale.append(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=_faded(colour)))
        full.append(Rectangle((x - side / 2, y - side / 2), side, side, facecolor=colour))
    for patches in (pale, full):
        axes.add_collection(PatchCollection(patches, match_original=True, linewidth=0))
    _draw_borders(axes, np.array([win.name if win else "" for win in wins], dtype=object).reshape(high, wide))
    axes.set(xlim=(-0.5, wide - 0.5), ylim=(-0.5, high - 0.5), xlabel=sheet.map.x.name, ylabel=sheet.map.y.name)
    for axis, values in ((axes.xaxis, sheet.xs), (axes.yaxis, sheet.ys)):
        stride = 1 + (len(values) - 1) // 8
        axis.set_ticks(range(0, len(values), stride), [_number(one) for one in values[::stride]], fontsize=10)
        axis.label.set_fontsize(12)
    for across, up, text in _dots(sheet):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "black", "linewidth": 0.8}
        axes.text(across, up, text, ha="center", va="center", fontsize=7, bbox=box)


def _draw_borders(axes: Axes, names: np.ndarray[tuple[int, int], np.dtype[np.object_]]) -> None:
    """Draw a line wherever one winner ends and another begins."""
    high, wide = names.shape
    lines = []
    for y in range(high):
        for x in range(wide):
            if x + 1 < wide and names[y, x] != names[y, x + 1]:
                lines.append([(x + 0.5, y - 0.5), (x + 0.5, y + 0.5)])
            if y + 1 < high and names[y, x] != names[y + 1, x]:
                lines.append([(x - 0.5, y + 0.5), (x + 0.5, y + 0.5)])
    axes.add_collection(LineCollection(lines, colors="black", linewidths=1.2))


def _dots(sheet: Sheet) -> list[tuple[float, float, str]]:
    """Return the places of dots with their numbers; where some meet, one stands for all, with how many there are."""
    groups: list[tuple[float, float, list[int]]] = []
    for dot in sheet.dots:
        x, y = sheet.place(dot)
        for other_x, other_y, numbers in groups:
            if abs(x - other_x) < NEAR[0] and abs(y - other_y) < NEAR[1]:
                numbers.append(dot.number)
                break
        else:
            groups.append((x, y, [dot.number]))
    return [(x, y, f"{one[0]}" if len(one) == 1 else f"{one[0]} +{len(one) - 1}") for x, y, one in groups]


def _handles(looks: Style, used: set[str]) -> list[Patch]:
    """Return what a legend shows of the winners."""
    handles = [Patch(color=colour, label=name) for name, colour in looks.colours.items() if name in used]
    if rest := [name for name in looks.others.split(", ") if name in used]:
        handles.append(Patch(color=GREY, label="others: " + ", ".join(rest)))
    return handles


def _legend(axes: Axes, looks: Style, used: set[str], dots: bool) -> None:
    axes.legend(handles=_handles(looks, used), loc="upper center", ncols=3, frameon=False, fontsize=11)
    words = f"A full square: {FULL:.0%} or more smaller than the next codec; a small one: as small."
    if dots:
        words += "\nNumbers: your series; 3 +2: three in one place, number 3 first."
    axes.text(0.5, 0.0, words, ha="center", fontsize=10)


def _faded(colour: str) -> tuple[float, ...]:
    """Return a colour mixed with white."""
    return tuple(1 - PALE * (1 - part) for part in to_rgb(colour))


def _number(value: float) -> str:
    """Return a knob's value, short."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.2g}" if value < 1 else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
