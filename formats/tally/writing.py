"""Writing tally files: series are gathered until a window is full, encoded by threads, and written; and their end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.codecs.tally import BLOCK, FAST
from squeezelab.codecs.tally.blocks import Draft, plan_block, smallest, write_block
from squeezelab.dataset import Series
from squeezelab.formats.tally.columns import MOST_REFERENCES, block_checksum, in_threads
from squeezelab.formats.tally.part import Doubles, PartTable
from squeezelab.kernels import kernel

FIRST_LINE = b"squeezelab tally 2\n"
COMMIT_BYTES = 16
HEADER_BYTES = len(FIRST_LINE) + COMMIT_BYTES
LAST_LINE = b"tally 2\n"
FOOTER_BYTES = 16 + len(LAST_LINE)
WINDOW = 2**22
"""Samples that are gathered before they are encoded: series can be predicted from each other within a window."""
LEAST_SHARE = 0.04
"""Of the unexplained variance of a column's changes, that another column must explain to be tried."""
WORTH_A_REFERENCE = 0.98
WORTH_A_TRIAL, FEWEST_BITS = 0.01, 16
TINY = 1e-12

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
    level : {1, 2}
    """
    clocks: dict[bytes, int] = {}
    window: list[Series] = []
    samples = 0
    for one in series:
        window.append(one)
        samples += one.values.size
        if samples >= WINDOW:
            yield from _write_window(window, clocks, table, level == FAST)
            window, samples = [], 0
    yield from _write_window(window, clocks, table, level == FAST)


def _write_window(window: list[Series], clocks: dict[bytes, int], table: PartTable, packed: bool) -> Iterator[bytes]:
    new: dict[int, npt.NDArray[np.int64]] = {}
    groups: dict[Any, list[int]] = {}
    clock_of = []
    for i, (key, timestamps, _) in enumerate(window):
        digest = xxhash.xxh3_128_digest(np.ascontiguousarray(timestamps))
        if digest not in clocks:
            clocks[digest] = len(clocks)
            new[i] = timestamps
        clock_of.append(clocks[digest])
        groups.setdefault((clock_of[-1], tuple(key.labels.items())), []).append(i)
    ticks = dict(zip(new, in_threads(lambda column: _encode_column(column, packed), new.values()), strict=True))
    values: dict[int, tuple[list[int], list[bytes]]] = {}
    columns = [[window[i].values for i in group] for group in groups.values()]
    for group, encoded in zip(
        groups.values(), in_threads(lambda group: _encode_group(group, packed), columns), strict=True
    ):
        for i, (others, blocks) in zip(group, encoded, strict=True):
            values[i] = [i - group[other] for other in others], blocks
    for i, one in enumerate(window):
        for block in ticks.get(i, ()):
            yield block + block_checksum(block)
        if i in ticks:
            table.clock_counts.append(one.timestamps.size)
            table.clock_sizes += map(len, ticks[i])
            table.bounds.append(_bounds(one.timestamps))
        references, blocks = values[i]
        for block in blocks:
            yield block + block_checksum(block)
        table.keys.append(one.key)
        table.clock_of.append(clock_of[i])
        table.references.append(references)
        table.sizes += map(len, blocks)
        table.statistics.append(_statistics(one.values))


def _bounds(timestamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first and last timestamp of each block, one after the other."""
    lasts = np.append(timestamps[BLOCK - 1 :: BLOCK], timestamps[-1:] if timestamps.size % BLOCK else [])
    return np.stack([timestamps[::BLOCK], lasts.astype(np.int64)], axis=1).reshape(-1)


def _statistics(values: Doubles) -> Doubles:
    """Return the minimum, maximum, first and last value of each block."""
    begins = np.arange(0, values.size, BLOCK)
    if not begins.size:
        return np.empty((4, 0))
    # fmin and fmax pass over NaN.
    least, most = np.fmin.reduceat(values, begins), np.fmax.reduceat(values, begins)
    return np.stack([least, most, values[begins], values[np.minimum(begins + BLOCK, values.size) - 1]])


def _encode_column(column: Column, packed: bool) -> list[bytes]:
    return [write_block(plan_block(part, packed=packed), part) for part in _parts(column)]


def _parts(column: Column) -> list[Column]:
    return [np.ascontiguousarray(column[first : first + BLOCK]) for first in range(0, column.size, BLOCK)]


def _encode_group(columns: Sequence[Doubles], packed: bool) -> list[tuple[list[int], list[bytes]]]:
    """Return for each column of one host which of the others it is predicted from, and its blocks."""
    blocks: list[list[bytes]] = [[] for _ in columns]
    chosen: list[list[int]] | None = None
    for parts in zip(*map(_parts, columns), strict=True):
        drafts = [plan_block(part, packed=packed) for part in parts]
        if not packed and len(columns) > 1:
            if chosen is None:
                chosen = choose_references(drafts)
            drafts = [
                smallest([draft, draft.predicted_from([drafts[j].levels for j in others])]) if others else draft
                for draft, others in zip(drafts, chosen, strict=True)
            ]
        for own, draft, part in zip(blocks, drafts, parts, strict=True):
            own.append(write_block(draft, part))
    return list(zip(chosen or [[] for _ in columns], blocks, strict=True))


def choose_references(drafts: Sequence[Draft]) -> list[list[int]]:
    """Return for each column of a group which ones before it, themselves predicted from none, explain it best.

    Each is the one whose changes go best with what those chosen before it leave unexplained (orthogonal matching
    pursuit: Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad, Asilomar 1993). Whether it pays is then a matter of bits.
    """
    likeness = np.empty((len(drafts), len(drafts)))
    compare_changes(np.array([draft.levels for draft in drafts]), np.empty((len(drafts), BLOCK)), likeness)
    chosen: list[list[int]] = []
    for i, draft in enumerate(drafts):
        chosen.append([])
        allowed = np.array([not others for others in chosen[:i]], np.bool_)
        unexplained, left, tried = likeness[i, :i], float(likeness[i, i]), list[int]()
        least = min(WORTH_A_REFERENCE * draft.bits, draft.bits - FEWEST_BITS)
        while len(tried) < MOST_REFERENCES and allowed.any():
            best = int(np.argmax(np.abs(unexplained) * allowed))
            if unexplained[best] ** 2 <= LEAST_SHARE * left:
                break
            tried.append(best)
            allowed[best] = False
            unexplained, left = likeness[i, :i].copy(), float(likeness[i, i])
            for j, weight in zip(tried, _weights(likeness, i, tried), strict=True):
                unexplained -= weight * likeness[j, :i]
                left -= weight * float(likeness[i, j])
            left = max(left, TINY)
            # Half the logarithm of what is left of the variance is about what each value may save.
            if -0.5 * math.log2(left) * draft.levels.size < max(WORTH_A_TRIAL * draft.bits, FEWEST_BITS):
                continue
            predicted = draft.predicted_from([drafts[j].levels for j in tried])
            if predicted.bits < least:
                chosen[i], least = list(tried), WORTH_A_REFERENCE * predicted.bits
    return chosen


def _weights(likeness: Doubles, i: int, tried: list[int]) -> list[float]:
    """Return the weights of those columns that explain another best: by Gauss, as their matrix is positive."""
    rows = [[float(likeness[j, k]) + TINY * (j == k) for k in tried] + [float(likeness[i, j])] for j in tried]
    for place, pivot in enumerate(rows):
        for other in rows:
            if other is not pivot:
                factor = other[place] / pivot[place]
                other[:] = [a - factor * b for a, b in zip(other, pivot, strict=True)]
    return [row[-1] / row[place] for place, row in enumerate(rows)]


@kernel
def compare_changes(levels, changes, likeness):
    """Fill the correlations of the changes of levels, summed in one order on every machine, which BLAS does not.

    Parameters
    ----------
    levels : uint64[columns, n]
    changes : float64[columns, n or more]
        Room to work in.
    likeness : float64[columns, columns]
        Filled.
    """
    count = levels.shape[1] - 1
    for i in range(levels.shape[0]):
        mean = 0.0
        for j in range(count):
            changes[i, j] = np.float64(np.int64(levels[i, j + 1] - levels[i, j]))
            mean += changes[i, j]
        mean /= max(count, 1)
        for j in range(count):
            changes[i, j] -= mean
        likeness[i, i] = _product(changes[i], changes[i], count)
        size = np.sqrt(likeness[i, i])
        for j in range(count):
            changes[i, j] /= size if size > 0.0 else 1.0
    for i in range(levels.shape[0]):
        for j in range(i + 1):
            likeness[i, j] = _product(changes[i], changes[j], count)
            likeness[j, i] = likeness[i, j]


@kernel
def _product(one, other, count):
    """Return the scalar product, summed in four lanes."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = count - count % 4
    for i in range(0, whole, 4):
        a += one[i] * other[i]
        b += one[i + 1] * other[i + 1]
        c += one[i + 2] * other[i + 2]
        d += one[i + 3] * other[i + 3]
    for i in range(whole, count):
        a += one[i] * other[i]
    return (a + b) + (c + d)
