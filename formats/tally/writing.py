"""Writing tally files: series are gathered until a window is full, encoded by threads, and written; and their end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.codecs.tally import BLOCK, FAST
from squeezelab.codecs.tally.columns import FEWEST_TO_PREDICT, blocks_within, encode_columns
from squeezelab.dataset import Series, to_doubles
from squeezelab.formats.tally.columns import TASKS_A_THREAD, begins_of, block_checksum, in_threads
from squeezelab.formats.tally.part import Doubles, PartTable
from squeezelab.formats.tally.references import Candidate, choose_references
from squeezelab.formats.tally.values import columns_for

FIRST_LINE = b"squeezelab tally 2\n"
COMMIT_BYTES = 16
HEADER_BYTES = len(FIRST_LINE) + COMMIT_BYTES
LAST_LINE = b"tally 2\n"
FOOTER_BYTES = 16 + len(LAST_LINE)
WINDOW = 2**22
"""Samples that are gathered before they are encoded: series can be predicted from each other within a window."""
FEWEST_A_TASK = 2**15
"""Samples that are worth a task of their own."""

Column = npt.NDArray[Any]


def header(end: int = 0) -> bytes:
    """Return the first bytes of a file: its line, and where what was last appended ends; 0 if nothing was."""
    stated = end.to_bytes(8, "big")
    return FIRST_LINE + stated + (xxhash.xxh3_64_digest(FIRST_LINE + stated) if end else bytes(8))


def seal(indexes: Sequence[bytes]) -> bytes:
    """Return the end of a file: the indexes of its parts, and the footer."""
    entries = [len(index).to_bytes(8, "big") + index + xxhash.xxh3_64_digest(index) for index in indexes]
    area = b"".join(entries)
    size = len(area).to_bytes(8, "big")
    return area + size + xxhash.xxh3_64_digest(FIRST_LINE + area + size) + LAST_LINE


def write_blocks(series: Iterable[Series], table: PartTable, level: int) -> Iterator[bytes]:
    """Yield the blocks of a part, and fill the table that its index is made of.

    Parameters
    ----------
    series : iterable of Series
        They are held a window at a time; timestamps in the table's unit.
    table : PartTable
    level : {1, 2, 3}
    """
    clocks: dict[bytes, int] = {}
    window: list[Series] = []
    samples = 0
    for one in series:
        window.append(one)
        samples += one.values.size
        if samples >= WINDOW:
            yield from _write_window(window, clocks, table, level)
            window, samples = [], 0
    yield from _write_window(window, clocks, table, level)


def _write_window(window: list[Series], clocks: dict[bytes, int], table: PartTable, level: int) -> Iterator[bytes]:
    new: dict[int, npt.NDArray[np.int64]] = {}
    groups: dict[Any, list[int]] = {}
    clock_of = []
    for i, (key, timestamps, values) in enumerate(window):
        digest = xxhash.xxh3_128_digest(np.ascontiguousarray(timestamps))
        if digest not in clocks:
            clocks[digest] = len(clocks)
            new[i] = timestamps
        clock_of.append(clocks[digest])
        if values.dtype == np.float64:
            groups.setdefault((clock_of[-1], tuple(key.labels.items())), []).append(i)
    ticks = dict(zip(new, encode_blocks(list(new.values()), level), strict=True))
    coders, blocks = _encode_values([one.values for one in window], level)
    references: list[list[int]] = [[] for _ in window]
    if level > FAST:
        many = [group for group in groups.values() if len(group) > 1]
        related = [group for group in many if window[group[0]].values.size >= FEWEST_TO_PREDICT]
        in_threads(lambda group: _refer([window[i].values for i in group], group, blocks, references, level), related)
    for i, one in enumerate(window):
        for block in ticks.get(i, ()):
            yield block + block_checksum(block)
        if i in ticks:
            table.clock_counts.append(one.timestamps.size)
            table.clock_sizes += map(len, ticks[i])
            table.bounds.append(_bounds(one.timestamps))
        for block in blocks[i]:
            yield block + block_checksum(block)
        table.keys.append(one.key)
        table.clock_of.append(clock_of[i])
        table.references.append(references[i])
        table.sizes += map(len, blocks[i])
        table.coders.append(coders[i])
        table.statistics.append(_statistics(one.values))


def _encode_values(columns: Sequence[Column], level: int) -> tuple[list[int], list[list[bytes]]]:
    """Return for each column of values the coder that says what its blocks hold, and these: the smallest there are."""
    ways = [(i, coder, column) for i, one in enumerate(columns) for coder, column in columns_for(one)]
    coders, blocks = [0] * len(columns), [list[bytes]() for _ in columns]
    for dtype in dict.fromkeys(column.dtype for _, _, column in ways):
        mine = [way for way in ways if way[2].dtype == dtype]
        encoded = encode_blocks([column for _, _, column in mine], level)
        for (i, coder, _), found in zip(mine, encoded, strict=True):
            if not coders[i] or sum(map(len, found)) < sum(map(len, blocks[i])):
                coders[i], blocks[i] = coder, found
    return coders, blocks


def _bounds(timestamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the earliest and the latest timestamp of each block, one after the other."""
    begins = np.arange(0, timestamps.size, BLOCK)
    if not begins.size:
        return np.empty(0, np.int64)
    ends = np.minimum.reduceat(timestamps, begins), np.maximum.reduceat(timestamps, begins)
    return np.stack(ends, axis=1).reshape(-1)


def _statistics(values: Column) -> Doubles:
    """Return the minimum, maximum, first and last value of each block, as doubles; bounds of large integers hold."""
    begins = np.arange(0, values.size, BLOCK)
    if not begins.size:
        return np.empty((4, 0))
    # fmin and fmax pass over NaN.
    least, most = np.fmin.reduceat(values, begins), np.fmax.reduceat(values, begins)
    ends = values[begins], values[np.minimum(begins + BLOCK, values.size) - 1]
    if values.dtype.kind == "i":
        least, most = _beyond(least, -np.inf), _beyond(most, np.inf)
    return np.stack([to_doubles(one) for one in (least, most, *ends)])


def _beyond(integers: Column, towards: float) -> Doubles:
    """Return doubles that are no nearer than integers which no double may hold."""
    doubles = integers.astype(np.float64)
    return np.where(np.abs(doubles) >= 2.0**53, np.nextafter(doubles, towards), doubles)


def encode_blocks(columns: Sequence[Column], level: int) -> list[list[bytes]]:
    """Return the blocks of each column, encoded by threads: short columns many at once, long ones in runs of blocks."""
    samples = sum(column.size for column in columns)
    most = max(FEWEST_A_TASK, samples // (TASKS_A_THREAD * (os.cpu_count() or 1)))
    most = -(-most // BLOCK) * BLOCK
    tasks: list[list[Column]] = [[]]
    owners: list[list[int]] = [[]]
    room = most
    for i, column in enumerate(columns):
        for first in range(0, column.size, most):
            if room <= 0:
                tasks.append([])
                owners.append([])
                room = most
            tasks[-1].append(column[first : first + most])
            owners[-1].append(i)
            room -= tasks[-1][-1].size
    blocks: list[list[bytes]] = [[] for _ in columns]
    for some, encoded in zip(owners, in_threads(lambda task: _encode(task, level), tasks), strict=True):
        for i, framed in zip(some, encoded, strict=True):
            blocks[i] += blocks_within(framed)
    return blocks


def _encode(columns: Sequence[Column], level: int) -> list[bytes]:
    """Encode columns in one call."""
    if not columns:
        return []
    joined = np.concatenate(columns) if len(columns) > 1 else np.ascontiguousarray(columns[0])
    return encode_columns(joined, begins_of(np.array([column.size for column in columns], np.int64)), level)


def _refer(
    columns: Sequence[Doubles],
    group: Sequence[int],
    blocks: list[list[bytes]],
    references: list[list[int]],
    level: int,
) -> None:
    """Predict columns of one host from each other: replace blocks by smaller ones, and note from which they are."""
    chosen: list[list[int]] | None = None
    for place in range(len(blocks[group[0]])):
        parts = [np.ascontiguousarray(column[place * BLOCK : (place + 1) * BLOCK]) for column in columns]
        candidates = [Candidate(part, blocks[i][place]) for i, part in zip(group, parts, strict=True)]
        if chosen is None:
            chosen = choose_references(candidates)
        for i, candidate, others in zip(group, candidates, chosen, strict=True):
            if others and candidate.column.size >= FEWEST_TO_PREDICT:
                blocks[i][place] = min(
                    candidate.block, candidate.predicted_from([candidates[j] for j in others], level), key=len
                )
    for i, others in zip(group, chosen or (), strict=False):
        references[i] = [i - group[other] for other in others]
