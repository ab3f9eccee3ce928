"""The atlas as a page, and all that is written of it."""

from __future__ import annotations

from pathlib import Path

from squeezelab.atlas.charts import criterion, draw_atlas, kinds
from squeezelab.atlas.measure import Atlas, Cell, Sheet, write_json
from squeezelab.report.chapter import PictureFile, Section, chapter_html
from squeezelab.report.table import Table
from squeezelab.store.files import replacing

TITLE = "An atlas of codecs"


def write_atlas(atlas: Atlas, folder: Path) -> list[Path]:
    """Write atlas.json, the maps as PNG and SVG, and atlas.html; return what was written, the page first."""
    pictures = draw_atlas(atlas, folder)
    written = [write_json(atlas, folder / "atlas.json"), *pictures]
    page = folder / "atlas.html"
    with replacing(page) as file:
        file.write(chapter_html(TITLE, origin(atlas), sections(atlas, folder)).encode())
    return [page, *written]


def origin(atlas: Atlas) -> str:
    """Return in a sentence what was measured."""
    columns = sum(len(sheet.cells) for sheet in atlas.sheets)
    codecs = len({spec for sheet in atlas.sheets for cell in sheet.cells for spec in cell.bits})
    return (
        f"{columns:,} synthetic columns of {atlas.values:,} values, seed {atlas.seed}; {codecs} lossless codecs and "
        f"settings, each proven bit by bit; {atlas.seconds:,.0f} s"
    )


def sections(atlas: Atlas, folder: Path) -> list[Section]:
    """Return the page's parts: how to read it, the maps, the user's series."""
    reading = [
        "Each cell is a column made with the two knobs of its axes. Its colour is the codec that makes it smallest, "
        "whatever its setting; the full square in it grows with the margin over the smallest of other codecs. A small "
        "square says: here it hardly matters.",
        "Sizes hold heads and checksums, as everywhere in the lab. Speeds are of one core, the best of five turns, "
        "without what a call costs. White: no codec is so fast there. Ties go to the first in the lab's list.",
    ]
    tables = [_wins_table(atlas, at_least) for _, at_least in kinds(atlas)]
    found = [Section("reading", "How to read it", reading, tables=tables)]
    for sheet in atlas.sheets:
        pictures = [
            PictureFile(folder / f"{sheet.map.name}-{name}.png", f"{sheet.map.title}: {criterion(at_least)}")
            for name, at_least in kinds(atlas)
        ]
        tables = [_cells_table(sheet, at_least) for _, at_least in kinds(atlas)] + [_bits_table(sheet)]
        found.append(Section(sheet.map.name, sheet.map.title, [sheet.map.about], pictures, tables))
    if atlas.series:
        found.append(_series_section(atlas))
    return found


def _wins_table(atlas: Atlas, at_least: float) -> Table:
    """Return how many cells of each map each codec wins."""
    counts = {name: [0] * len(atlas.sheets) for name in atlas.winners}
    for i, sheet in enumerate(atlas.sheets):
        for cell in sheet.cells:
            if win := cell.win(at_least):
                counts[win.name][i] += 1
    rows = [[name, *map(str, row)] for name, row in counts.items() if any(row)]
    title = f"Cells won, {criterion(at_least)}"
    return Table(title, ["codec", *(sheet.map.name for sheet in atlas.sheets)], rows)


def _cells_table(sheet: Sheet, at_least: float) -> Table:
    """Return winner and margin of each cell."""
    rows = [[f"{cell.x:.4g}, {cell.y:.4g}", *_told(cell, at_least)] for cell in sheet.cells]
    headers = ["knobs", "winner", "second", "bits a value", "margin", "decodes, MB/s"]
    note = f"Knobs: {sheet.map.x.name}; {sheet.map.y.name}."
    return Table(f"Winners, {criterion(at_least)}", headers, rows, note, names=3)


def _told(cell: Cell, at_least: float) -> list[str]:
    """Return winner, second, bits, margin and speed as texts."""
    win = cell.win(at_least)
    if not win:
        return ["none is so fast", "-", "-", "-", "-"]
    speed = f"{cell.decode_mb_s[win.codec]:,.0f}"
    return [win.codec, win.second or "-", f"{win.bits:.3f}", f"{100 * win.margin:.1f} %", speed]


def _bits_table(sheet: Sheet) -> Table:
    """Return bits a value of every codec on each cell."""
    codecs = list(dict.fromkeys(spec for cell in sheet.cells for spec in cell.bits))
    rows = [
        [f"{cell.x:.4g}, {cell.y:.4g}", *(f"{cell.bits[one]:.3f}" if one in cell.bits else "-" for one in codecs)]
        for cell in sheet.cells
    ]
    return Table("Bits a value of every codec", ["knobs", *codecs], rows)


def _series_section(atlas: Atlas) -> Section:
    """Return where each series of the user's is, what wins there, and what wins on the series itself."""
    rows = []
    agree = total = 0
    for sheet in atlas.sheets:
        for dot in sheet.dots:
            here, there = dot.measured.win(), sheet.nearest(dot).win()
            if not here or not there:
                continue
            total += 1
            agree += here.name == there.name
            knobs = f"{dot.x:.4g}, {dot.y:.4g}"
            name = atlas.series[dot.number - 1]
            rows.append([f"{dot.number}", name, sheet.map.name, there.name, here.codec, knobs, f"{here.bits:.3f}"])
    words = [
        f"Of {atlas.data}: the knobs of each series, as estimated; the codec that wins the cell it falls in; and the "
        f"codec that wins on the series itself (its first {atlas.values:,} values). They agree in {agree} of {total}. "
        "Where they differ, the series is not like the map's columns in something that the two knobs do not tell.",
        *atlas.notes,
    ]
    headers = ["no", "series", "map", "wins the cell", "wins the series", "knobs", "bits a value"]
    return Section("series", "Your series", words, tables=[Table("Series on the maps", headers, rows, names=5)])
