"""Every lossless codec on every column of a map: sizes over threads, then decoding speeds on one."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from squeezelab.atlas.columns import MAPS, Column, Map, Place
from squeezelab.codecs import ColumnCodec, codec_spec, get_codec
from squeezelab.codecs._frame import FLOAT64
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, Series
from squeezelab.doubles import doubled
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.plan import DEFAULT_CODECS
from squeezelab.experiment.timing import CALL_VALUES, LEAST_BULK
from squeezelab.store.files import replacing

logger = logging.getLogger(__name__)

CELLS, FEWEST_CELLS, MOST_CELLS = 8, 2, 64
"""Cells along each side of a map."""
VALUES = 4096
"""Values a column, where that is no knob; of longer series of the user's the first so many are measured."""
TURNS = 5
AT_LEAST = 500.0
MOST_SERIES = 200
"""Of a data set with more series, so many are taken, evenly spread."""
SCHEMA = 1

Codecs = Mapping[str, ColumnCodec]


@dataclass(frozen=True)
class Win:
    """Who is smallest on a column.

    Attributes
    ----------
    codec : str
        With its setting.
    bits : float
        Bits a value it takes.
    second : str or None
        The smallest of other codecs; other settings of the winner do not count.
    margin : float
        By how much that one is larger, as a share of the winner.
    """

    codec: str
    bits: float
    second: str | None
    margin: float

    @property
    def name(self) -> str:
        """The codec without its setting."""
        return bare(self.codec)


@dataclass(frozen=True)
class Cell:
    """A column and what came of it.

    Attributes
    ----------
    x, y : float
        Its knobs.
    bits : dict of str to float
        Bits a value, heads and checksums included, of every codec that gave back each bit.
    decode_mb_s : dict of str to float
        Decoding speed: 10^6 raw bytes a second on one core, the best of five turns, without what a call costs.
    failed : dict of str to str
        What is wrong with codecs that raised or lost a bit.
    """

    x: float
    y: float
    bits: Mapping[str, float]
    decode_mb_s: Mapping[str, float]
    failed: Mapping[str, str] = field(default_factory=dict)

    def win(self, at_least: float = 0.0) -> Win | None:
        """Return who is smallest of those that decode at least so fast; None where none does.

        Examples
        --------
        >>> cell = Cell(0, 0, {"xor": 8.0, "zstd": 4.0, "zstd:level=22": 4.0}, {"xor": 900.0, "zstd": 600.0})
        >>> cell.win().codec, cell.win().second, cell.win().margin
        ('zstd', 'xor', 1.0)
        >>> cell.win(at_least=700).codec
        'xor'
        """
        fast = [one for one in self.bits if not at_least or self.decode_mb_s.get(one, 0.0) >= at_least]
        if not fast:
            return None
        best = min(fast, key=lambda one: self.bits[one])
        others = [one for one in fast if bare(one) != bare(best)]
        second = min(others, key=lambda one: self.bits[one], default=None)
        return Win(best, self.bits[best], second, 0.0 if second is None else self.bits[second] / self.bits[best] - 1)


@dataclass(frozen=True)
class Dot:
    """A series of the user's on a map.

    Attributes
    ----------
    number : int
        Of the series, from 1 on.
    x, y : float
        Its knobs, as estimated.
    measured : Cell
        What came of the series itself.
    """

    number: int
    x: float
    y: float
    measured: Cell


@dataclass(frozen=True)
class Sheet:
    """A map that has been measured: cells row after row, the lowest row first."""

    map: Map
    xs: Sequence[float]
    ys: Sequence[float]
    cells: Sequence[Cell]
    dots: Sequence[Dot] = ()

    def place(self, dot: Dot) -> tuple[float, float]:
        """Return where a dot is, in cells."""
        return (
            self.map.x.position(dot.x, np.asarray(self.xs)),
            self.map.y.position(dot.y, np.asarray(self.ys)),
        )

    def nearest(self, dot: Dot) -> Cell:
        """Return the cell that a dot is in."""
        x, y = (round(one) for one in self.place(dot))
        return self.cells[y * len(self.xs) + x]


@dataclass(frozen=True)
class Atlas:
    """All maps.

    Attributes
    ----------
    sheets : sequence of Sheet
        A map each.
    seed, cells, values : int
        What the columns were made from, cells along a side, and values a column.
    at_least : float
        The decoding speed, MB/s, of the second map of each.
    series : sequence of str
        The user's, in the order of their numbers.
    data : str
        Where these came from.
    seconds : float
        How long it took.
    notes : sequence of str
        What became of values of these that are no doubles.
    """

    sheets: Sequence[Sheet]
    seed: int
    cells: int
    values: int
    at_least: float
    series: Sequence[str] = ()
    data: str = ""
    seconds: float = 0.0
    notes: Sequence[str] = ()

    @property
    def winners(self) -> list[str]:
        """Codecs, without settings, that win a cell on any of the maps, most cells first."""
        counts: dict[str, int] = {}
        for sheet in self.sheets:
            for cell in sheet.cells:
                for win in (cell.win(), cell.win(self.at_least)):
                    if win:
                        counts[win.name] = counts.get(win.name, 0) + 1
        return sorted(counts, key=lambda one: (-counts[one], one))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        told = {name: value for name, value in vars(self).items() if name != "sheets"}
        return {
            "schema": SCHEMA,
            **told,
            "series": list(self.series),
            "maps": [self._sheet(one) for one in self.sheets],
        }

    def _sheet(self, sheet: Sheet) -> dict[str, Any]:
        def told(cell: Cell) -> dict[str, Any]:
            wins = {"win": cell.win(), "win_at_speed": cell.win(self.at_least)}
            return asdict(cell) | {name: asdict(win) if win else None for name, win in wins.items()}

        return {
            "name": sheet.map.name,
            "title": sheet.map.title,
            "subject": sheet.map.subject,
            "x": {"name": sheet.map.x.name, "values": list(sheet.xs)},
            "y": {"name": sheet.map.y.name, "values": list(sheet.ys)},
            "cells": [told(cell) for cell in sheet.cells],
            "series": [asdict(dot) | {"measured": told(dot.measured)} for dot in sheet.dots],
        }


def bare(spec: str) -> str:
    """Return a codec's name without its settings.

    Examples
    --------
    >>> bare("delta_of_delta:widths=gorilla+zstd:level=19")
    'delta_of_delta+zstd'
    """
    return re.sub(r":[^+]*", "", spec)


def measure_atlas(
    *,
    codecs: Sequence[str] = DEFAULT_CODECS,
    cells: int = CELLS,
    at_least: float = AT_LEAST,
    seed: int = 0,
    values: int = VALUES,
    maps: Sequence[Map] = MAPS,
    dataset: MetricDataset | None = None,
    data: str = "",
) -> Atlas:
    """Make all columns of all maps, and run every lossless codec on each.

    Parameters
    ----------
    codecs : sequence of str
        Those that run, on the columns whose dtype they take; by default those of a run of the lab.
    cells : int
        Along each side of a map, 2 to 64.
    at_least : float
        Decoding speed in MB/s that the second map of each asks for.
    seed : int
        What the columns are made from.
    values : int
        Values a column.
    maps : sequence of Map
        Which.
    dataset : MetricDataset, optional
        Series to put on the maps, and what to call them.
    data : str
        What to call them.

    Returns
    -------
    Atlas

    Raises
    ------
    InvalidRequestError
        If there is no such codec, or a number is out of range.

    Examples
    --------
    >>> atlas = measure_atlas(codecs=["raw", "xor"], cells=2, values=64, maps=MAPS[:1])
    >>> [cell.win().codec for cell in atlas.sheets[0].cells]
    ['xor', 'xor', 'xor', 'xor']
    """
    if not FEWEST_CELLS <= cells <= MOST_CELLS:
        raise InvalidRequestError(f"{cells} cells a side are no map: choose from {FEWEST_CELLS} to {MOST_CELLS}")
    if not 0 <= at_least < np.inf:
        raise InvalidRequestError(f"a decoding speed of {at_least} MB/s is none: give 0 or more")
    made = {codec_spec(one): one for one in map(get_codec, codecs)}
    started = perf_counter()
    dataset, notes = (None, []) if dataset is None else doubled(dataset, "Each codec on the maps")
    series = _chosen(dataset)
    grids = [(one, one.x.values(cells).tolist(), one.y.values(cells).tolist()) for one in maps]
    total = sum(len(xs) * len(ys) for _, xs, ys in grids) + len(series) * len(maps)
    sheets = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar() as progress:
        task = progress.add_task("Measuring", total=total, unit="columns")
        for one, xs, ys in grids:
            places = [(x, y) for y in ys for x in xs]
            found = [one.estimate(each) for each in series]
            dots = [(number, place) for number, place in enumerate(found, 1) if place is not None]

            own = [_column_of(series[number - 1], one.subject)[:values] for number, _ in dots]

            def column(number: int, one: Map = one, places: list[Place] = places, own: list[Column] = own) -> Column:
                if number >= len(places):
                    return own[number - len(places)]
                x, y = places[number]
                return one.column(x, y, values, seed)

            all_places = places + [place for _, place in dots]
            measured = _measure(all_places, column, made, pool, lambda: progress.advance(task))
            of_series = [
                Dot(number, *place, cell) for (number, place), cell in zip(dots, measured[len(places) :], strict=True)
            ]
            sheets.append(Sheet(one, xs, ys, measured[: len(places)], of_series))
    failed = {spec: why for sheet in sheets for cell in sheet.cells for spec, why in cell.failed.items()}
    for spec, why in failed.items():
        logger.warning("%s is not on every cell: %s", spec, why)
    names = [str(one.key) for one in series]
    return Atlas(sheets, seed, cells, values, at_least, names, data, perf_counter() - started, notes)


def _chosen(dataset: MetricDataset | None) -> list[Series]:
    """Return the series to put on maps."""
    if dataset is None:
        return []
    every = list(dataset)
    if len(every) <= MOST_SERIES:
        return every
    logger.warning("Of %s series %s are on the maps, evenly spread.", f"{len(every):,}", MOST_SERIES)
    return [every[i] for i in np.linspace(0, len(every) - 1, MOST_SERIES).astype(int)]


def _column_of(series: Series, subject: str) -> Column:
    return series.timestamps if subject == "timestamps" else series.values


def _measure(
    places: Sequence[tuple[float, float]],
    column: Callable[[int], Column],
    codecs: Codecs,
    pool: ThreadPoolExecutor,
    done: Callable[[], None],
) -> list[Cell]:
    """Return a cell for each place: sizes from all threads; then, while these rest, speeds."""

    def encode(number: int) -> tuple[Column, dict[str, bytes], dict[str, str]]:
        made = column(number)
        frames, failed = encode_all(made, codecs)
        return made, frames, failed

    measured = list(pool.map(encode, range(len(places))))
    calls = _time_calls(measured[0][0], codecs) if measured else {}
    cells = []
    for place, (made, frames, failed) in zip(places, measured, strict=True):
        seconds = time_decoding(frames, codecs)
        bits = {spec: 8 * len(frame) / made.size for spec, frame in frames.items()}
        speeds = {
            spec: made.nbytes / max(one - calls.get(spec, 0.0), LEAST_BULK * one) / 1e6 for spec, one in seconds.items()
        }
        cells.append(Cell(*place, bits, speeds, failed))
        done()
    return cells


def _time_calls(column: Column, codecs: Codecs) -> dict[str, float]:
    """Return the seconds that a call takes which has next to nothing to decode."""
    frames, _ = encode_all(column[:CALL_VALUES], codecs)
    return time_decoding(frames, codecs)


def encode_all(column: Column, codecs: Codecs) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the frames of all codecs that take a column and give back each bit; and what is wrong with others.

    Examples
    --------
    >>> frames, failed = encode_all(np.array([1.0, 2.0]), {"raw": get_codec("raw"), "simple8b": get_codec("simple8b")})
    >>> list(frames), failed
    (['raw'], {})
    """
    frames, failed = {}, {}
    for spec, codec in codecs.items():
        # Codecs that lose do so with values only.
        if column.dtype not in codec.dtypes or (codec.lossy and column.dtype == FLOAT64) or not column.size:
            continue
        try:
            frame = codec.encode(column)
            if codec.decode(frame).tobytes() != column.tobytes():
                raise ValueError("it lost bits")
            frames[spec] = frame
        except Exception as error:  # one codec costs a line, not the atlas
            failed[spec] = f"{type(error).__name__}: {error}"
    return frames, failed


def time_decoding(frames: Mapping[str, bytes], codecs: Codecs) -> dict[str, float]:
    """Return the least seconds of decoding; codecs take turns, so that a slow moment hits one turn of each."""
    turns: dict[str, list[float]] = {spec: [] for spec in frames}
    for _ in range(TURNS):
        for spec, frame in frames.items():
            start = perf_counter()
            codecs[spec].decode(frame)
            turns[spec].append(perf_counter() - start)
    return {spec: min(one) for spec, one in turns.items()}


def write_json(atlas: Atlas, path: Path) -> Path:
    """Write atlas.json."""
    import json

    with replacing(path) as file:
        file.write(json.dumps(atlas.to_dict(), indent=1).encode())
    return path
