"""Version 1 of the tally file, which is read for ever: blocks of all clocks, then of all series, and one zstd index."""

from __future__ import annotations

from itertools import chain

import numpy as np
import xxhash

from squeezelab.codecs._frame import read_varint, read_varints
from squeezelab.codecs._integers import unzigzag
from squeezelab.codecs.tally import BLOCK
from squeezelab.codecs.tally.columns import MOST_REFERENCES
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary import decode_keys
from squeezelab.formats.compressed import expand
from squeezelab.formats.tally.columns import BLOCK_CHECKSUM_BYTES, Columns, begins_of, locate
from squeezelab.formats.tally.part import TIME_UNITS, Part

FIRST_LINE = b"squeezelab tally 1\n"
FOOTER_BYTES = 16


def index_size(footer: bytes, size: int) -> int:
    """Return how many bytes of a file of this size its index takes, by its last bytes."""
    length = int.from_bytes(footer[:8], "big")
    if len(footer) < FOOTER_BYTES or length > size - len(FIRST_LINE) - FOOTER_BYTES:
        raise CorruptDataError("the index is larger than the file: it is damaged or cut short")
    return length


def read_index(packed: bytes, footer: bytes, size: int) -> Part:
    """Return what the index of a file of this size tells.

    Raises
    ------
    CorruptDataError
        If its checksum differs, or it makes no sense.
    """
    if xxhash.xxh3_64_digest(FIRST_LINE + packed + footer[:8]) != footer[8:]:
        raise CorruptDataError("the index's checksum differs: the tally file is damaged or cut short")
    index = bytes(expand(memoryview(packed)))
    if not index or index[0] >= len(TIME_UNITS):
        raise CorruptDataError("the index names no unit of time: it is damaged")
    length, at = read_varint(index, 1)
    keys = decode_keys(index[at : at + length])
    if len(set(keys)) != len(keys):
        raise CorruptDataError("two series share a name and labels: the index is damaged")
    numbers = read_varints(index, at + length)
    at = 0

    def take(count: int) -> list[int]:
        nonlocal at
        if count > len(numbers) - at:
            raise CorruptDataError("the index ends too early: it is damaged")
        at += count
        return numbers[at - count : at]

    counts: list[int] = []
    sizes: list[list[int]] = []
    bounds = [np.empty(0, np.uint64)]
    for _ in range(take(1)[0]):
        counts += take(1)
        entries = take(3 * -(-counts[-1] // BLOCK))
        sizes.append(entries[::3])
        steps = np.array(entries, np.uint64).reshape(-1, 3)[:, 1:].reshape(-1)
        bounds.append(np.cumsum(unzigzag(steps).view(np.uint64), dtype=np.uint64))
    clocks, end = _locate(counts, sizes, [], len(FIRST_LINE), size)
    clock_of: list[int] = []
    references: list[list[int]] = []
    sizes = []
    for i in range(len(keys)):
        clock, others = take(2)
        if clock >= len(counts):
            raise CorruptDataError("a series has no timestamps: the index is damaged")
        before = [i - distance for distance in take(others)]
        if others > MOST_REFERENCES or not all(
            0 <= j < i and not references[j] and counts[clock_of[j]] == counts[clock] for j in before
        ):
            raise CorruptDataError("a series is predicted from what it cannot be: the index is damaged")
        clock_of.append(clock)
        references.append(before)
        sizes.append(take(-(-counts[clock] // BLOCK)))
    columns, end = _locate([counts[clock] for clock in clock_of], sizes, references, end, size)
    if at != len(numbers):
        raise CorruptDataError("the index says more than the series need: it is damaged")
    every = np.concatenate(bounds).view(np.int64).reshape(-1, 2)
    return Part(TIME_UNITS[index[0]], keys, clocks, every, np.array(clock_of, np.int64), columns, coders=columns.coders)


def _locate(
    counts: list[int], sizes: list[list[int]], references: list[list[int]], begin: int, size: int
) -> tuple[Columns, int]:
    """Return columns whose blocks, of these sizes, lie one after the other, and the byte after them."""
    flat = list(chain.from_iterable(sizes))
    end = begin + sum(flat) + BLOCK_CHECKSUM_BYTES * len(flat)
    if end > size:
        raise CorruptDataError("the index tells of blocks beyond the file: it is damaged")
    lengths = np.array(flat, np.int64)
    begins = begin + begins_of(lengths + BLOCK_CHECKSUM_BYTES)[:-1]
    coders = np.ones(len(counts), np.int64)
    return locate(np.array(counts, np.int64), lengths, begins.view(np.uint64), coders, references), end
