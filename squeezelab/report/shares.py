"""Where bytes go: what each metric name and each block take, samples and index apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from squeezelab.report.columns import Cell, number
from squeezelab.report.table import Table
from squeezelab.results import Block, Measurement, Results

BY_METRIC, BY_BLOCK = "What each metric name takes", "What each block takes"
MOST_ROWS = 20
"""A terminal shows so many metric names, those of most bytes first; a page and a file show all."""
NO_BLOCK = "in no block yet"
PER_SAMPLE, FROM = "B/sample", "from"
"""On a page and in a file; a terminal has no room for them."""
BLOCKS_NOTE = (
    "On disk, and the index beside it: as they were written, by whatever version and with all that the block has. The "
    "other columns: what these samples take as versions since 2025 write them, without label values in the index."
)
PARTIAL = " * Not all of the block's samples were read."

Cells = list[tuple[str, Cell]]


class _Share(NamedTuple):
    """What something takes in each format: samples and index."""

    samples: int
    by_codec: dict[str, tuple[int, int]]


def shares_table(results: Results, *, brief: bool = False) -> Table:
    """Return what each metric name takes, the largest first, and a last row of all; a brief table names a few."""
    table = _table(BY_METRIC, metric_cells(results), shares_note(results), brief)
    if not brief or len(table.rows) <= MOST_ROWS + 2:
        return table
    rest = [f"and {len(table.rows) - 1 - MOST_ROWS:,} more", *[""] * (len(table.headers) - 1)]
    return replace(table, rows=[*table.rows[:MOST_ROWS], rest, table.rows[-1]])


def blocks_table(results: Results, *, brief: bool = False) -> Table:
    """Return what each block of a TSDB takes on disk, and what its samples would take."""
    rows = block_cells(results)
    partial = any("*" in row[0][1].text for row in rows)
    return _table(BY_BLOCK, rows, BLOCKS_NOTE + PARTIAL * partial, brief)


def _table(title: str, rows: Sequence[Cells], note: str, brief: bool) -> Table:
    shown = [[(header, cell) for header, cell in row if not (brief and header in (PER_SAMPLE, FROM))] for row in rows]
    headers = [header for header, _ in shown[0]] if shown else []
    return Table(title, headers, [[cell.line for _, cell in row] for row in shown], note)


def shares_note(results: Results) -> str:
    """Say what was counted, and how blocks were taken."""
    blocks = {one.block for one in results.shares if one.block}
    told = f"Of {len(blocks)} blocks together, each with an index of its own" if blocks else "As one block of all"
    return (
        f"{told}. Samples: chunks with their heads and checksums. Index: names and labels, lists of series, and where "
        "chunks lie; what several series share is divided evenly among them. The last row has heads of files besides."
    )


def metric_cells(results: Results) -> list[Cells]:
    """Return a row a metric name, the largest first, then one of all."""
    every = _gather(one for one in results.shares if one.block is None)
    total = every.pop(None, None)
    if total is None:
        return []
    first = next(iter(total.by_codec))
    whole = sum(total.by_codec[first])
    names = sorted(every, key=lambda name: -sum(every[name].by_codec[first]))
    listed = [(str(name), every[name]) for name in names] + [("all", total)]
    return [
        [
            ("metric name", Cell(name)),
            ("samples", number(share.samples, ",")),
            ("share of bytes", number(100 * sum(share.by_codec[first]) / whole, ".1f", " %")),
            *_sizes(share),
        ]
        for name, share in listed
    ]


def block_cells(results: Results) -> list[Cells]:
    """Return a row a block of a TSDB, then one of what is in no block yet."""
    known = {one.name: one for one in results.dataset.blocks}
    every = _gather((one for one in results.shares if one.block is not None), by="block")
    rows = []
    for name, share in every.items():
        block = known.get(str(name))
        partial = block is not None and share.samples < block.samples
        rows.append(
            [
                ("block", Cell((str(name) or NO_BLOCK) + " *" * partial)),
                (FROM, Cell(_moment(block), block.start if block else None)),
                ("samples", number(share.samples, ",")),
                ("on disk", number(block.samples_bytes if block else None, ",")),
                ("index", number(block.index_bytes if block else None, ",")),
                *_sizes(share),
            ]
        )
    return rows


def _gather(shares: Iterable[Measurement], by: str = "metric") -> dict[str | None, _Share]:
    found: dict[str | None, _Share] = {}
    for one in shares:
        share = found.setdefault(getattr(one, by), _Share(one.samples, {}))
        samples, index = share.by_codec.get(one.codec, (0, 0))
        pair = (one.encoded_bytes, index) if one.subject == "samples" else (samples, one.encoded_bytes)
        share.by_codec[one.codec] = pair
    return found


def _sizes(share: _Share) -> Cells:
    """Return what each format takes: samples, index, bytes a sample, and how much less than the first that is."""
    first = sum(next(iter(share.by_codec.values())))
    cells: Cells = []
    for i, (codec, sizes) in enumerate(share.by_codec.items()):
        each = sum(sizes) / share.samples if share.samples else None
        cells += [(codec, number(sizes[0], ",")), ("index", number(sizes[1], ",")), (PER_SAMPLE, number(each, ".3f"))]
        if i:
            less = round(100 - 100 * sum(sizes) / first, 1) + 0.0 if first else None
            cells.append(("less", number(less, ".1f", " %")))
    return cells


def _moment(block: Block | None) -> str:
    if block is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(block.start / 1000, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return f"{block.start} ms"
