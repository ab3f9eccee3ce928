"""Tally's file: columns in blocks, and an index behind them, so that one series or hour is read without the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash
import zstandard

from squeezelab.codecs._frame import Bytes, read_varint, read_varints, signed_varint, varint
from squeezelab.codecs._integers import unzigzag
from squeezelab.codecs.base import as_bytes
from squeezelab.codecs.tally.blocks import Draft, Room, plan_block, read_block, smallest, write_block
from squeezelab.codecs.tally.codec import BLOCK, FAST, SMALL, checked_level
from squeezelab.codecs.tally.streams import Words
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary import decode_keys, encode_keys
from squeezelab.formats.base import Buffer, Format
from squeezelab.formats.compressed import expand, padding_for
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U
from squeezelab.registry import non_default_settings

FIRST_LINE = b"squeezelab tally 1\n"
BLOCK_CHECKSUM_BYTES = 4
FOOTER_BYTES = 16
INDEX_LEVEL = 19
TIME_UNITS = ("s", "ms", "us", "ns")
MOST_REFERENCES = 3
LEAST_SHARE = 0.04
"""Of the unexplained variance of a column's changes, that another column must explain to be tried."""
WORTH_A_REFERENCE = 0.98
WORTH_A_TRIAL, FEWEST_BITS = 0.01, 16
TINY = 1e-12

Column = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Tally(Format):
    """Tally's file: what `squeezelab.codecs.tally` does to a column, and what columns of one host say of each other.

    Series that were scraped together share their timestamps, which are stored once. A series may be predicted from up
    to three others of the same labels, those that explain it best: available memory from what is free and cached.

    Parameters
    ----------
    level : int
        1, fast: bits packed, no prediction from others; or 2, small.

    Notes
    -----
    ``docs/format.md`` describes the file for readers in other languages. In short::

        line        "squeezelab tally 1", ended by a newline
        blocks      of the clocks, then of the series; behind each the low four bytes of its XXH3-64
        index       a zstd frame: series, and for each column the sizes of its blocks
        footer      8 bytes, the bytes of the index; XXH3-64 of line, index and these 8

    A clock is a column of timestamps, of which each block but the last has 8192; so have the columns of values. What a
    series is predicted from is itself predicted from none: to read one block of a series is to read at most four.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Tally().encode(dataset)
    >>> key, timestamps, values = Tally().read_range(file, 3, 100, 102)
    >>> bool((values == dataset.values[dataset.offsets[3] + 100 : dataset.offsets[3] + 102]).all())
    True
    """

    name = "tally"
    kind = "ours"
    showcase = ("", "level=1")

    def __init__(self, level: int = SMALL) -> None:
        self.level = checked_level(level)
        self.name += non_default_settings(type(self), vars(self))

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the blocks, and the index when all of them are known."""
        clocks, clock_of = _clocks(dataset)
        packed = self.level == FAST
        written = [_encode_column(dataset.timestamps[span], packed) for span in clocks]
        references, blocks = _encode_values(dataset, clock_of, packed)
        yield FIRST_LINE
        for column in (*written, *blocks):
            for block in column:
                yield block + _block_checksum(block)
        dictionary = encode_keys(dataset.keys)
        index = bytearray([TIME_UNITS.index(dataset.time_unit)]) + varint(len(dictionary)) + dictionary
        index += varint(len(clocks))
        for span, column in zip(clocks, written, strict=True):
            index += varint(span.stop - span.start) + _index_clock(dataset.timestamps[span], column)
        for clock, others, column in zip(clock_of, references, blocks, strict=True):
            numbers = [clock, len(others), *others, *map(len, column)]
            index += b"".join(map(varint, numbers))
        packed_index = zstandard.ZstdCompressor(level=INDEX_LEVEL).compress(bytes(index))
        packed_index += padding_for(len(index), len(packed_index))
        size = len(packed_index).to_bytes(8, "big")
        yield packed_index + size + xxhash.xxh3_64_digest(FIRST_LINE + packed_index + size)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read the whole file."""
        return TallyReader(data).read_all()

    def read_series(self, data: Buffer, number: int) -> Series:
        """Read one series, and of the others only what it is predicted from."""
        reader = TallyReader(data)
        return reader.read_range(number, 0, reader.length(number))

    def read_range(self, data: Buffer, number: int, start: int, stop: int) -> Series:
        """Read the samples ``start`` to ``stop`` of one series, and only the blocks that hold them."""
        return TallyReader(data).read_range(number, start, stop)


def _clocks(dataset: MetricDataset) -> tuple[list[slice], list[int]]:
    """Return where each distinct column of timestamps lies, and for each series which of them is its own."""
    numbers: dict[bytes, int] = {}
    spans: list[slice] = []
    clock_of: list[int] = []
    for first, last in zip(dataset.offsets[:-1].tolist(), dataset.offsets[1:].tolist(), strict=True):
        digest = xxhash.xxh3_128_digest(dataset.timestamps[first:last])
        if digest not in numbers:
            numbers[digest] = len(spans)
            spans.append(slice(first, last))
        clock_of.append(numbers[digest])
    return spans, clock_of


def _index_clock(timestamps: npt.NDArray[np.int64], blocks: Sequence[bytes]) -> bytes:
    """Return what the index says of a clock's blocks."""
    lasts = np.minimum(np.arange(1, len(blocks) + 1) * BLOCK, timestamps.size) - 1
    bounds = np.stack([timestamps[::BLOCK], timestamps[lasts]], axis=1)
    steps = np.diff(bounds.reshape(-1), prepend=0).reshape(-1, 2).tolist()  # modulo 2^64
    entries = zip(blocks, steps, strict=True)
    return b"".join(varint(len(block)) + b"".join(map(signed_varint, step)) for block, step in entries)


def _block_checksum(block: Buffer | Bytes) -> bytes:
    return xxhash.xxh3_64_digest(block)[-BLOCK_CHECKSUM_BYTES:]


def _encode_column(column: Column, packed: bool) -> list[bytes]:
    return [write_block(plan_block(part, packed=packed), part) for part in _parts(column)]


def _parts(column: Column) -> list[Column]:
    return [column[first : first + BLOCK] for first in range(0, column.size, BLOCK)]


def _encode_values(
    dataset: MetricDataset, clock_of: Sequence[int], packed: bool
) -> tuple[list[list[int]], list[list[bytes]]]:
    """Return for each series how far back those it is predicted from stand, and its blocks."""
    references: list[list[int]] = [[] for _ in dataset.keys]
    blocks: list[list[bytes]] = [[] for _ in dataset.keys]
    for group in _groups(dataset.keys, clock_of):
        columns = [dataset.values[dataset.offsets[i] : dataset.offsets[i + 1]] for i in group]
        chosen: list[list[int]] | None = None
        for parts in zip(*map(_parts, columns), strict=True):
            drafts = [plan_block(part, packed=packed) for part in parts]
            if not packed:
                if chosen is None:
                    chosen = choose_references(drafts)
                drafts = [
                    smallest([draft, draft.predicted_from([drafts[j].levels for j in others])]) if others else draft
                    for draft, others in zip(drafts, chosen, strict=True)
                ]
            for i, draft, part in zip(group, drafts, parts, strict=True):
                blocks[i].append(write_block(draft, part))
        for place, others in enumerate(chosen or ()):
            references[group[place]] = [group[place] - group[other] for other in others]
    return references, blocks


def _groups(keys: Sequence[SeriesKey], clock_of: Sequence[int]) -> list[list[int]]:
    """Return the series that share labels and timestamps, group by group."""
    groups: dict[Any, list[int]] = {}
    for i, (key, clock) in enumerate(zip(keys, clock_of, strict=True)):
        groups.setdefault((clock, tuple(sorted(key.labels.items()))), []).append(i)
    return list(groups.values())


def choose_references(drafts: Sequence[Draft]) -> list[list[int]]:
    """Return for each column of a group which ones before it, themselves predicted from none, explain it best.

    Each is the one whose changes go best with what those chosen before it leave unexplained (orthogonal matching
    pursuit: Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad, Asilomar 1993). Whether it pays is then a matter of bits.
    """
    changes = np.array([_changes(draft.levels) for draft in drafts])
    likeness = changes @ changes.T
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
            inner = likeness[np.ix_(tried, tried)] + TINY * np.eye(len(tried))
            weights = np.linalg.solve(inner, likeness[i, tried])
            unexplained = likeness[i, :i] - weights @ likeness[tried, :i]
            left = max(float(likeness[i, i] - weights @ likeness[i, tried]), TINY)
            # Half the logarithm of what is left of the variance is about what each value may save.
            if -0.5 * np.log2(left) * draft.levels.size < max(WORTH_A_TRIAL * draft.bits, FEWEST_BITS):
                continue
            predicted = draft.predicted_from([drafts[j].levels for j in tried])
            if predicted.bits < least:
                chosen[i], least = list(tried), WORTH_A_REFERENCE * predicted.bits
    return chosen


def _changes(levels: Words) -> Doubles:
    """Return the changes of levels, of mean 0 and length 1, or all 0."""
    changes = (levels[1:] - levels[:-1]).view(np.int64).astype(np.float64)
    changes -= changes.mean() if changes.size else 0.0
    return changes / (float(np.linalg.norm(changes)) or 1.0)


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
    """

    counts: Integers
    blocks: Integers
    begins: Words
    ends: Words
    references: Integers

    def part(self, columns: Sequence[int], references: Integers, first: int, last: int) -> Columns:
        """Return some of the columns, and of these the blocks from one up to, and without, another."""
        chosen = np.array(columns, np.int64)
        counts = np.clip(self.counts[chosen], first * BLOCK, last * BLOCK) - first * BLOCK
        places = np.concatenate([np.arange(self.blocks[i] + first, self.blocks[i] + last) for i in columns])
        bounds = np.arange(len(columns) + 1) * (last - first)
        return Columns(counts, bounds, self.begins[places], self.ends[places], references)


class TallyReader:
    """A tally file that is open: its index is read, its blocks are when they are asked for.

    Parameters
    ----------
    data : bytes-like
        The whole file; a ``mmap`` will do.

    Attributes
    ----------
    time_unit : {"s", "ms", "us", "ns"}
        Unit of the timestamps.
    keys : list of SeriesKey
        The series.

    Raises
    ------
    CorruptDataError
        If the index is not whole; by the methods, if what they read is not.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = as_bytes(data)
        self.time_unit, self.keys, numbers = _read_index(self._data)
        self._clocks, self._bounds, self._clock_of, self._series = _read_columns(
            numbers, len(self.keys), self._data.size
        )

    def length(self, number: int) -> int:
        """Return how many samples a series has.

        Raises
        ------
        IndexError
            If there is no such series.
        """
        if not 0 <= number < len(self.keys):
            raise IndexError(f"there is no series {number}: the file has {len(self.keys)}")
        return int(self._series.counts[number])

    def read_range(self, number: int, start: int, stop: int) -> Series:
        """Read the samples ``start`` to ``stop`` of one series, as a slice takes them."""
        start, stop, _ = slice(start, stop).indices(self.length(number))
        first, last = start // BLOCK, -(-max(stop, start) // BLOCK)
        others = [int(i) for i in self._series.references[number] if i >= 0]
        references = np.full((len(others) + 1, MOST_REFERENCES), -1, np.int64)
        references[-1, : len(others)] = range(len(others))
        values = self._read(self._series.part([*others, number], references, first, last), True)
        ticks = self._read(self._clocks.part([self._clock_of[number]], references[:1], first, last), False)
        part = slice(start - first * BLOCK, max(stop, start) - first * BLOCK)
        own = values[values.size - ticks.size :]
        return Series(self.keys[number], ticks.view(np.int64)[part], own.view(np.float64)[part])

    def read_between(self, number: int, begin: int, end: int) -> Series:
        """Read the samples of one series from one time up to, and without, another, in the file's unit of time.

        The index has the first and last timestamp of each block: if a series is not in the order of time, samples may
        be missing whose block begins and ends elsewhere.
        """
        self.length(number)
        clock = self._clock_of[number]
        bounds = self._bounds[2 * self._clocks.blocks[clock] : 2 * self._clocks.blocks[clock + 1]].reshape(-1, 2)
        held = np.flatnonzero((bounds.max(axis=1) >= begin) & (bounds.min(axis=1) < end))
        first, last = (int(held[0]), int(held[-1]) + 1) if held.size else (0, 0)
        key, timestamps, values = self.read_range(number, first * BLOCK, last * BLOCK)
        part = (timestamps >= begin) & (timestamps < end)
        return Series(key, timestamps[part], values[part])

    def read_all(self) -> MetricDataset:
        """Read all series."""
        offsets = _begins_of(self._series.counts)
        timestamps = np.empty(offsets[-1], np.uint64)
        ticks, ticks_at = self._read(self._clocks, False), _begins_of(self._clocks.counts)
        spread_clocks(ticks, ticks_at[self._clock_of], self._series.counts, offsets, timestamps)
        values = self._read(self._series, True)
        try:
            return MetricDataset(self.keys, offsets, timestamps.view(np.int64), values.view(np.float64), self.time_unit)
        except ValueError as error:
            raise CorruptDataError(f"the file holds no valid data set: {error}") from error

    def _read(self, columns: Columns, is_double: bool) -> Words:
        """Decode columns, one behind the other."""
        view = memoryview(self._data)
        for begin, end in zip(columns.begins.tolist(), columns.ends.tolist(), strict=True):
            if _block_checksum(view[begin:end]) != view[end : end + BLOCK_CHECKSUM_BYTES]:
                raise CorruptDataError("a block's checksum differs: the tally file is damaged")
        referred = np.zeros(columns.counts.size, bool)
        referred[columns.references[columns.references >= 0]] = True
        # The levels of what others are predicted from are kept; all else shares the first block.
        levels_at = np.where(referred, BLOCK + _begins_of(columns.counts * referred)[:-1], -1)
        levels = np.empty(BLOCK + int((columns.counts * referred).sum()), np.uint64)
        words = np.empty(int(columns.counts.sum()), np.uint64)
        others = np.empty((MOST_REFERENCES, BLOCK), np.uint64)
        offsets = _begins_of(columns.counts)
        if not read_columns(
            self._data, *columns, is_double, *Room.of(BLOCK), offsets, levels_at, others, levels, words
        ):
            raise CorruptDataError("a block does not hold the values it promises: the tally file is damaged")
        return words


def _begins_of(counts: Integers) -> Integers:
    """Return where each of so many values begin, and where all end."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _read_index(data: Bytes) -> tuple[str, list[SeriesKey], list[int]]:
    """Return the unit of time, the series, and the index's numbers behind them."""
    size = data.size
    if data[: len(FIRST_LINE)].tobytes() != FIRST_LINE or size < len(FIRST_LINE) + FOOTER_BYTES:
        raise CorruptDataError("this is no tally file: its first line differs")
    footer = data[-FOOTER_BYTES:].tobytes()
    length = int.from_bytes(footer[:8], "big")
    if length > size - len(FIRST_LINE) - FOOTER_BYTES:
        raise CorruptDataError("the index is larger than the file: it is damaged or cut short")
    packed = data[size - FOOTER_BYTES - length : size - FOOTER_BYTES].tobytes()
    if xxhash.xxh3_64_digest(FIRST_LINE + packed + footer[:8]) != footer[8:]:
        raise CorruptDataError("the index's checksum differs: the tally file is damaged or cut short")
    index = bytes(expand(memoryview(packed)))
    if not index or index[0] >= len(TIME_UNITS):
        raise CorruptDataError("the index names no unit of time: it is damaged")
    length, at = read_varint(index, 1)
    keys = decode_keys(index[at : at + length])
    return TIME_UNITS[index[0]], keys, read_varints(index, at + length)


def _read_columns(
    numbers: list[int], series: int, size: int
) -> tuple[Columns, Integers, npt.NDArray[np.intp], Columns]:
    """Return clocks, the first and last timestamps of their blocks, the clock of each series, and series."""
    at = 0

    def take(count: int) -> list[int]:
        nonlocal at
        if count > len(numbers) - at:
            raise CorruptDataError("the index ends too early: it is damaged")
        at += count
        return numbers[at - count : at]

    counts: list[int] = []
    sizes: list[list[int]] = []
    bounds: list[Words] = []
    for _ in range(take(1)[0]):
        counts += take(1)
        entries = take(3 * -(-counts[-1] // BLOCK))
        sizes.append(entries[::3])
        steps = np.array(entries, np.uint64).reshape(-1, 3)[:, 1:].reshape(-1)
        bounds.append(np.cumsum(unzigzag(steps).view(np.uint64), dtype=np.uint64))
    clocks, end = _locate(counts, sizes, [()] * len(counts), len(FIRST_LINE), size)
    clock_of: list[int] = []
    references: list[list[int]] = []
    sizes = []
    for i in range(series):
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
    every = np.concatenate(bounds).view(np.int64) if bounds else np.empty(0, np.int64)
    return clocks, every, np.array(clock_of, np.intp), columns


def _locate(
    counts: list[int], sizes: list[list[int]], references: Sequence[Sequence[int]], begin: int, size: int
) -> tuple[Columns, int]:
    """Return columns whose blocks, of these sizes, lie one behind the other, and the byte behind them."""
    flat = list(chain.from_iterable(sizes))
    end = begin + sum(flat) + BLOCK_CHECKSUM_BYTES * len(flat)
    if end > size:
        raise CorruptDataError("the index tells of blocks beyond the file: it is damaged")
    lengths = np.array(flat, np.int64)
    begins = (begin + _begins_of(lengths + BLOCK_CHECKSUM_BYTES)[:-1]).astype(np.uint64)
    blocks = _begins_of(np.array([len(column) for column in sizes], np.int64))
    table = np.full((len(counts), MOST_REFERENCES), -1, np.int64)
    for row, others in zip(table, references, strict=True):
        row[: len(others)] = others
    return Columns(np.array(counts, np.int64), blocks, begins, begins + lengths.astype(np.uint64), table), end


@kernel
def spread_clocks(ticks, ticks_at, counts, offsets, timestamps):
    """Fill the timestamps of all series from those of their clocks."""
    for i in range(counts.size):
        own, clock = timestamps[offsets[i] :], ticks[ticks_at[i] :]
        for j in range(U(counts[i])):
            own[j] = clock[j]


@kernel
def read_columns(
    data, counts, blocks, begins, ends, references, is_double, models, ages, rows, cursor, stops, offsets, levels_at,
    others, levels, words,
):  # fmt: skip
    """Fill the words of columns; return whether their blocks hold exactly these many.

    Parameters
    ----------
    data : uint8[...]
        The file.
    counts, blocks, begins, ends, references
        `Columns`.
    is_double : bool
        Whether they hold doubles.
    models, ages, rows, cursor, stops
        `Room` for a block.
    offsets, levels_at : int64[columns]
        Where each column's words begin, and where its levels are kept; -1 if they need not be.
    others, levels : uint64[MOST_REFERENCES, BLOCK], uint64[...]
        Room to work in.
    words : uint64[values of all]
        Filled.
    """
    for i in range(counts.size):
        known = U(0)
        while known < U(MOST_REFERENCES) and references[i, known] >= 0:
            known += U(1)
        for block in range(blocks[i], blocks[i + 1]):
            first = (block - blocks[i]) * BLOCK
            size = min(counts[i] - first, BLOCK)
            for j in range(known):
                at = levels_at[references[i, j]] + first
                for k in range(size):
                    others[j, k] = levels[at + k]
            own = max(levels_at[i], 0) + (first if levels_at[i] >= 0 else 0)
            if not read_block(
                data, begins[block], ends[block], is_double, others, known, models, ages, rows, cursor,
                stops, levels[own : own + size], words[offsets[i] + first : offsets[i] + first + size],
            ):  # fmt: skip
                return False
    return True
