"""Columns of a tally file: where their blocks are, and their decoding by several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.tally import BLOCK, reader
from squeezelab.codecs.tally.columns import MOST_REFERENCES, Workspace
from squeezelab.codecs.tally.streams import Words
from squeezelab.errors import CorruptDataError
from squeezelab.formats.base import Buffer

BLOCK_CHECKSUM_BYTES = 4
TASKS_A_THREAD = 4
"""Into how many tasks work is cut for each thread, so that none waits long for the others."""
BLOCKS_A_TASK = 32
"""More blocks of one column are read by several threads."""

Integers = npt.NDArray[np.int64]
T = TypeVar("T")
S = TypeVar("S")


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="tally")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a child has none of its parent's threads


def in_threads(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return what some work makes of items, in their order; a single one stays in the caller's thread."""
    every = list(items)
    return list(_threads().map(work, every)) if len(every) > 1 else [work(item) for item in every]


def block_checksum(block: Buffer | Bytes) -> bytes:
    """Return what stands after a block: the low four bytes of its XXH3-64."""
    return xxhash.xxh3_64_digest(block)[-BLOCK_CHECKSUM_BYTES:]


def begins_of(counts: Integers) -> Integers:
    """Return where each of so many values begin, and where all end."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def block_counts(counts: Integers) -> Integers:
    """Return how many blocks columns of so many values have."""
    return -(-counts // BLOCK)


class Columns(NamedTuple):
    """Columns of a file, and where their blocks are.

    Attributes
    ----------
    counts : int64[columns]
        How many values each has.
    blocks : int64[columns + 1]
        Column i has the blocks ``blocks[i]:blocks[i + 1]``.
    begins, ends : uint64[blocks of all]
        Where in the file each lies; its checksum follows.
    references : int64[columns, MOST_REFERENCES]
        Which columns each is predicted from; -1 for none.
    coders : int64[columns]
        Of which version the blocks of each are.
    """

    counts: Integers
    blocks: Integers
    begins: Words
    ends: Words
    references: Integers
    coders: Integers

    def part(self, columns: Sequence[int], references: Integers, first: int, last: int) -> Columns:
        """Return some of the columns, and of these the blocks from one up to, and without, another."""
        chosen = np.array(columns, np.int64)
        counts = np.clip(self.counts[chosen], first * BLOCK, last * BLOCK) - first * BLOCK
        places = np.concatenate([np.arange(self.blocks[i] + first, self.blocks[i] + last) for i in columns])
        bounds = np.arange(len(columns) + 1) * (last - first)
        return Columns(counts, bounds, self.begins[places], self.ends[places], references, self.coders[chosen])


def locate(
    counts: Integers,
    sizes: Integers,
    begins: Words,
    coders: Integers,
    references: Sequence[Sequence[int]] | None = None,
) -> Columns:
    """Return columns of so many values, whose blocks have these sizes and begin at these bytes."""
    table = np.full((counts.size, MOST_REFERENCES), -1, np.int64)
    for row, others in zip(table, references or (), strict=False):
        row[: len(others)] = others
    return Columns(counts, begins_of(block_counts(counts)), begins, begins + sizes.view(np.uint64), table, coders)


class Span(NamedTuple):
    """The blocks ``first`` up to, and without, ``last`` of a column."""

    column: int
    first: int
    last: int


def with_references(columns: Columns, spans: Iterable[Span]) -> list[Span]:
    """Return all spans that are read to read some, each once."""
    needed = dict.fromkeys(spans)
    for span in list(needed):
        needed |= {span._replace(column=i): None for i in columns.references[span.column].tolist() if i >= 0}
    return list(needed)


def blocks_of(columns: Columns, spans: Iterable[Span]) -> Integers:
    """Return the numbers of all blocks of spans, each once, in rising order."""
    chosen = np.fromiter(chain.from_iterable(dict.fromkeys(spans)), np.int64).reshape(-1, 3)
    counts = chosen[:, 2] - chosen[:, 1]
    # Within each span, from its first block on.
    begins = np.repeat(columns.blocks[chosen[:, 0]] + chosen[:, 1] - begins_of(counts)[:-1], counts)
    return np.unique(begins + np.arange(begins.size))


def decode_spans(data: Bytes, columns: Columns, spans: Sequence[Span], is_double: bool) -> dict[Span, Words]:
    """Decode spans of columns, by several threads.

    Raises
    ------
    CorruptDataError
        If a block does not hold what it promises.
    """
    pieces = {span: _cut(span) for span in spans}
    groups = _by_place(list(chain.from_iterable(pieces.values())))
    tasks = list(chain.from_iterable(_tasks(columns, group) for group in groups))
    decoded: dict[Span, Words] = {}
    for part in in_threads(lambda task: _decode_task(data, columns, task, is_double), tasks):
        decoded |= part
    return {
        span: decoded[cut[0]] if len(cut) == 1 else np.concatenate([decoded[piece] for piece in cut])
        for span, cut in pieces.items()
    }


def _cut(span: Span) -> list[Span]:
    """Cut a span that is long enough for several threads."""
    firsts = range(span.first, span.last, BLOCKS_A_TASK)
    return [span._replace(first=one, last=min(one + BLOCKS_A_TASK, span.last)) for one in firsts] or [span]


def _by_place(spans: Sequence[Span]) -> list[list[Span]]:
    """Return spans in groups of the same blocks."""
    groups: dict[tuple[int, int], list[Span]] = {}
    for span in dict.fromkeys(spans):
        groups.setdefault((span.first, span.last), []).append(span)
    return list(groups.values())


def _tasks(columns: Columns, spans: list[Span]) -> list[list[Span]]:
    """Cut spans of the same blocks into tasks that are alike; those with the same references stay together."""
    families: dict[int, list[Span]] = {}
    root: dict[int, int] = {}
    for span in sorted(spans):
        members = [i for i in columns.references[span.column].tolist() if i >= 0]
        first = min((root.get(i, i) for i in (*members, span.column)), default=span.column)
        root |= dict.fromkeys((*members, span.column), first)
        families.setdefault(first, []).append(span)
    blocks = sum(span.last - span.first for span in spans)
    most = max(1, blocks // (TASKS_A_THREAD * (os.cpu_count() or 1)))
    tasks: list[list[Span]] = []
    room = 0
    for family in families.values():
        if room <= 0:
            tasks.append([])
            room = most
        tasks[-1] += family
        room -= sum(span.last - span.first for span in family)
    return tasks


def _decode_task(data: Bytes, columns: Columns, spans: list[Span], is_double: bool) -> dict[Span, Words]:
    """Decode spans of the same blocks, one after the other."""
    _, first, last = spans[0]
    numbers = sorted(span.column for span in with_references(columns, spans))
    place = {number: i for i, number in enumerate(numbers)}
    place[-1] = -1
    references = np.array([[place[i] for i in row] for row in columns.references[numbers].tolist()], np.int64)
    words = _decode(data, columns.part(numbers, references, first, last), is_double)
    bounds = begins_of(np.clip(columns.counts[numbers] - first * BLOCK, 0, (last - first) * BLOCK))
    return {span: words[bounds[place[span.column]] : bounds[place[span.column] + 1]] for span in spans}


def _decode(data: Bytes, columns: Columns, is_double: bool) -> Words:
    """Decode columns, one after the other."""
    referred = np.zeros(columns.counts.size, bool)
    referred[columns.references[columns.references >= 0]] = True
    # The levels of what others are predicted from are kept; all else shares the first block.
    levels_at = np.where(referred, BLOCK + begins_of(columns.counts * referred)[:-1], -1)
    levels = np.empty(BLOCK + int((columns.counts * referred).sum()), np.uint64)
    words = np.empty(int(columns.counts.sum()), np.uint64)
    table = reader.table_of(columns.counts.size)
    table[:, reader.COUNT], table[:, reader.CODER] = columns.counts, columns.coders
    table[:, reader.FIRST_BLOCK], table[:, reader.WORDS_AT] = columns.blocks[:-1], begins_of(columns.counts)[:-1]
    table[:, reader.LEVELS_AT], table[:, reader.REFERENCES :] = levels_at, columns.references
    located, works = np.stack((columns.begins, columns.ends)), Workspace.of_thread().works
    after = reader.read_columns(data, table, located, reader.LOCATED, is_double, levels, words, works)
    if after < 0:
        raise CorruptDataError("a block does not hold the values it promises: the tally file is damaged")
    return words
