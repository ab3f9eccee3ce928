"""A part of a tally file: which series it has, and where their blocks are; read from its index, written as one.

An index is columns of integers, coded in blocks like all other columns, so that a reader needs no other code for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import read_varint, varint
from squeezelab.codecs.base import as_bytes
from squeezelab.codecs.tally import BLOCK, SMALL
from squeezelab.codecs.tally.columns import MOST_REFERENCES, decode_column, encode_columns
from squeezelab.dataset import SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats.tally import values
from squeezelab.formats.tally.columns import (
    BLOCK_CHECKSUM_BYTES,
    Columns,
    Integers,
    begins_of,
    block_counts,
    locate,
)
from squeezelab.formats.tally.values import dtype_of
from squeezelab.kernels.bits import READ_SLACK

TIME_UNITS = ("s", "ms", "us", "ns")
CODER = 2
"""The version of blocks that are written."""
CODERS = (1, 2)
"""The versions that are read."""
SPARED_NUMBERS, MOST_EXPANSION = 2**23, 1000
"""An index may hold so many numbers, and this many for each of its bytes beyond them."""
STATISTICS = ("minimum", "maximum", "first", "last")
STATISTICS_SHARE = 0.005
"""The share of a part's blocks that statistics may take to be kept."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """Some series and their blocks.

    Attributes
    ----------
    unit : {"s", "ms", "us", "ns"}
        Unit of the timestamps.
    keys : list of SeriesKey
        The series.
    clocks, series : Columns
        Columns of timestamps, and those of values, one a series.
    bounds : int64[blocks of clocks, 2]
        Earliest and latest timestamp of each; in version 1 the first and the last one.
    clock_of : int64[series]
        Which clock has a series' timestamps.
    statistics : dict of str to float64[blocks of series]
        Those of `STATISTICS` that the index has: minimum and maximum but for NaN, which they are if all is. Of
        integers beyond 2^53 doubles that are not above the minimum, and not below the maximum.
    coders : int64[series]
        What the blocks of each stand for, as `squeezelab.formats.tally.values` has it.
    """

    unit: str
    keys: Sequence[SeriesKey]
    clocks: Columns
    bounds: Integers
    clock_of: Integers
    series: Columns
    statistics: dict[str, Doubles] = field(default_factory=dict)
    coders: Integers = field(default_factory=lambda: np.empty(0, np.int64))

    def dtype(self, number: int) -> np.dtype[Any]:
        """Return the dtype of a series' values."""
        return dtype_of(int(self.coders[number]))

    @property
    def samples(self) -> int:
        """How many samples all series have."""
        return int(self.series.counts.sum())

    def bounds_of(self, number: int) -> Integers:
        """Return int64[blocks, 2], the earliest and latest timestamps of a series' blocks."""
        clock = self.clock_of[number]
        return self.bounds[self.clocks.blocks[clock] : self.clocks.blocks[clock + 1]]


# Writing


@dataclass
class PartTable:
    """What an index tells, gathered while blocks are written; series after series."""

    unit: str
    begin: int
    keys: list[SeriesKey] = field(default_factory=list)
    clock_counts: list[int] = field(default_factory=list)
    clock_sizes: list[int] = field(default_factory=list)
    bounds: list[Integers] = field(default_factory=list)
    clock_of: list[int] = field(default_factory=list)
    references: list[Sequence[int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    coders: list[int] = field(default_factory=list)
    statistics: list[Doubles] = field(default_factory=list)

    def encode(self) -> bytes:
        """Return the index."""
        prefixes, rests, text, keys = _encode_keys(self.keys)
        clocks = len(self.clock_counts)
        bounds = np.concatenate([np.empty(0, np.int64), *self.bounds])
        steps = np.diff(bounds, prepend=0).reshape(-1, 2)  # modulo 2^64
        flat = [distance for others in self.references for distance in others]
        columns: list[Any] = [prefixes, rests, text, *keys, self.clock_counts, [CODER] * clocks, self.clock_sizes]
        columns += [steps[:, 0], steps[:, 1], self.clock_of, self.coders]
        columns += [[len(others) for others in self.references], flat, self.sizes]
        kept, numbers = self._kept_statistics()
        index = bytes([CODER, TIME_UNITS.index(self.unit), kept]) + varint(self.begin)
        index += b"".join(_pack(np.array(column, np.int64)) for column in columns) + numbers
        count = sum(len(column) for column in columns) + 4 * len(self.sizes)
        return index + bytes(max(0, -(-(count - SPARED_NUMBERS) // MOST_EXPANSION) - len(index)))

    def _kept_statistics(self) -> tuple[int, bytes]:
        """Return how many statistics are kept, all or the first two or none, and their columns."""
        most = STATISTICS_SHARE * (sum(self.sizes) + sum(self.clock_sizes))
        every = np.concatenate([np.empty((4, 0)), *self.statistics], axis=1)
        columns = [_pack(column) for column in every]
        for kept in (4, 2):
            if (numbers := b"".join(columns[:kept])) and len(numbers) <= most:
                return kept, numbers
        return 0, b""


def _pack(column: npt.NDArray[Any]) -> bytes:
    """Return a column of the index: how many numbers it has, and its blocks, each with its size before it."""
    whole = np.array([0, column.size], np.int64)
    return varint(column.size) + encode_columns(np.ascontiguousarray(column), whole, SMALL)[0]


def _encode_keys(keys: Sequence[SeriesKey]) -> tuple[list[int], list[int], list[int], list[list[int]]]:
    """Return strings, as what each has in common with the one before and its rest, and series as numbers of them.

    Labels stand place after place: the first one of all series, then the second. Those at one place are mostly alike.
    """
    numbers: dict[str, int] = {}

    def refer(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    labels = [list(key.labels.items()) for key in keys]
    names = [refer(key.metric_name) for key in keys]
    places = range(max(map(len, labels), default=0))
    ordered = [one[place] for place in places for one in labels if place < len(one)]
    label_names = [refer(name) for name, _ in ordered]
    label_values = [refer(value) for _, value in ordered]
    strings = [text.encode("utf-8", "surrogatepass") for text in numbers]
    prefixes = [_common(*pair) for pair in zip([b"", *strings], strings, strict=False)]
    rests = [text[prefix:] for prefix, text in zip(prefixes, strings, strict=True)]
    return (
        prefixes,
        [len(rest) for rest in rests],
        list(b"".join(rests)),
        [names, [len(one) for one in labels], label_names, label_values],
    )


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two strings begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


# Reading


class _Columns:
    """An index, taken apart column by column."""

    def __init__(self, index: bytes, at: int) -> None:
        self._index, self._at, self._coder = index, at, index[0]
        self._data = as_bytes(index + bytes(READ_SLACK))
        self._left = SPARED_NUMBERS + MOST_EXPANSION * len(index)

    def take(self, dtype: Any = np.int64, count: int | None = None) -> npt.NDArray[Any]:
        """Return the next column, which has so many numbers if that is known."""
        size, self._at = read_varint(self._index, self._at)
        if size > self._left or -(-size // BLOCK) > len(self._index) or count not in (None, size):
            raise CorruptDataError("a column of the index has more or fewer numbers than it may: it is damaged")
        self._left -= size
        column = np.empty(size, dtype)
        if size:
            self._at = decode_column(self._data, self._at, len(self._index), self._coder, column)
            if self._at < 0:
                raise CorruptDataError("a column of the index does not hold what it promises: it is damaged")
        return column

    def end(self) -> None:
        """Check that nothing but padding is left."""
        if any(self._index[self._at :]):
            raise CorruptDataError("the index says more than the series need: it is damaged")


def read_part(index: bytes, limit: int) -> Part:
    """Return what an index tells of a part whose blocks end before a byte of the file.

    Raises
    ------
    CorruptDataError
        If it makes no sense, or is of a version that this release does not read.
    """
    if len(index) < 3 or index[0] not in CODERS:
        raise CorruptDataError("the index is damaged, or of a newer version of the format: update squeezelab")
    if index[1] >= len(TIME_UNITS) or index[2] not in (0, 2, 4):
        raise CorruptDataError("the index names no unit of time, or odd statistics: it is damaged")
    begin, at = read_varint(index, 3)
    source = _Columns(index, at)
    keys = _decode_keys(source, len(index))
    clock_counts = source.take()
    clock_coders = _checked_coders(source.take(count=clock_counts.size))
    clock_sizes = source.take(count=_blocks(clock_counts, len(index)))
    firsts, spans = source.take(count=clock_sizes.size), source.take(count=clock_sizes.size)
    bounds = np.cumsum(np.stack([firsts, spans], axis=1).reshape(-1)).reshape(-1, 2)  # modulo 2^64
    clock_of = source.take(count=len(keys))
    if clock_of.size and not (clock_of.min() >= 0 and clock_of.max() < clock_counts.size):
        raise CorruptDataError("a series has no timestamps: the index is damaged")
    coders = _checked_coders(source.take(count=len(keys)), values.CODERS)
    counts = clock_counts[clock_of]
    references = _read_references(source, coders, counts)
    sizes = source.take(count=_blocks(counts, len(index)))
    clock_begins, begins = _place(begin, limit, clock_counts, clock_sizes, clock_of, counts, sizes)
    statistics = {name: source.take(np.float64, sizes.size) for name in STATISTICS[: index[2]]}
    source.end()
    return Part(
        TIME_UNITS[index[1]],
        keys,
        locate(clock_counts, clock_sizes, clock_begins, clock_coders),
        bounds,
        clock_of,
        locate(counts, sizes, begins, np.minimum(coders, CODER), references),
        statistics,
        coders,
    )


def _checked_coders(coders: Integers, known: Sequence[int] = CODERS) -> Integers:
    if coders.size and not np.isin(coders, known).all():
        raise CorruptDataError("blocks are damaged, or of a newer version of the format: update squeezelab")
    return coders


def _blocks(counts: Integers, index_size: int) -> int:
    """Return how many blocks columns have in all."""
    most = BLOCK * (SPARED_NUMBERS + MOST_EXPANSION * index_size)
    if counts.size and not (counts.min() >= 0 and counts.max() <= most):
        raise CorruptDataError("a column has more values than the file can hold: the index is damaged")
    return int(block_counts(counts).sum())


def _read_references(source: _Columns, coders: Integers, counts: Integers) -> list[list[int]]:
    """Return from which series each one is predicted."""
    amounts = source.take(count=counts.size)
    if amounts.size and not (amounts.min() >= 0 and amounts.max() <= MOST_REFERENCES):
        raise CorruptDataError("a series is predicted from too many others: the index is damaged")
    flat = source.take(count=int(amounts.sum())).tolist()
    references: list[list[int]] = []
    lengths, at = counts.tolist(), 0
    plain = (coders <= values.DOUBLES).tolist()
    for i, amount in enumerate(amounts.tolist()):
        before = [i - distance for distance in flat[at : at + amount]]
        at += amount
        if not all(
            0 <= j < i and not references[j] and lengths[j] == lengths[i] and plain[i] and plain[j] for j in before
        ):
            raise CorruptDataError("a series is predicted from what it cannot be: the index is damaged")
        references.append(before)
    return references


def _place(
    begin: int,
    limit: int,
    clock_counts: Integers,
    clock_sizes: Integers,
    clock_of: Integers,
    counts: Integers,
    sizes: Integers,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return where the blocks of clocks and of series begin: a clock's stand before those of its first series."""
    every = np.concatenate([clock_sizes, sizes])
    possible = not every.size or (every.min() >= 0 and every.max() <= limit)
    if not possible or begin + int((every + BLOCK_CHECKSUM_BYTES).sum()) > limit:
        raise CorruptDataError("the index tells of blocks beyond the file: it is damaged")
    used, first_users = np.unique(clock_of, return_index=True)
    if used.size != clock_counts.size:
        raise CorruptDataError("timestamps belong to no series: the index is damaged")
    after = np.repeat(2 * first_users, block_counts(clock_counts))
    turns = np.concatenate([after, np.repeat(2 * np.arange(counts.size) + 1, block_counts(counts))])
    order = np.argsort(turns, kind="stable")
    begins = np.empty(every.size, np.int64)
    begins[order] = begin + begins_of(every[order] + BLOCK_CHECKSUM_BYTES)[:-1]
    words = begins.view(np.uint64)
    return words[: clock_sizes.size], words[clock_sizes.size :]


def _decode_keys(source: _Columns, index_size: int) -> list[SeriesKey]:
    prefixes = source.take()
    rests = source.take(count=prefixes.size)
    text = source.take()
    names = source.take()
    amounts = source.take(count=names.size)
    label_names = source.take()
    label_values = source.take(count=label_names.size)
    strings = _decode_strings(prefixes, rests, text, SPARED_NUMBERS + MOST_EXPANSION * index_size)
    numbers = np.concatenate([names, label_names, label_values])
    if (numbers.size and not (numbers.min() >= 0 and numbers.max() < len(strings))) or (amounts < 0).any():
        raise CorruptDataError("a series refers to a string that the index lacks: it is damaged")
    labels: list[dict[str, str]] = [{} for _ in range(names.size)]
    pairs = zip(label_names.tolist(), label_values.tolist(), strict=True)
    place, holders = 0, np.arange(names.size)
    if sum(amounts.tolist()) != label_names.size:
        raise CorruptDataError("series have more or fewer labels than the index: it is damaged")
    while (holders := holders[amounts[holders] > place]).size:
        for i in holders.tolist():
            name, value = next(pairs)
            labels[i][strings[name]] = strings[value]
        place += 1
    keys = [SeriesKey(strings[name], one) for name, one in zip(names.tolist(), labels, strict=True)]
    if len(set(keys)) != len(keys):
        raise CorruptDataError("two series share a name and labels: the index is damaged")
    return keys


def _decode_strings(prefixes: Integers, rests: Integers, text: Integers, most: int) -> list[str]:
    limits = ((prefixes, most), (rests, most), (text, 255))
    if any(one.size and (one.min() < 0 or one.max() > limit) for one, limit in limits):
        raise CorruptDataError("a string of the index has no length or letters that can be: it is damaged")
    if int(rests.sum()) != text.size or int(prefixes.sum()) + text.size > most:
        raise CorruptDataError("strings of the index are longer or shorter than it says: it is damaged")
    every, strings, at, before = text.astype(np.uint8).tobytes(), [], 0, b""
    for prefix, rest in zip(prefixes.tolist(), rests.tolist(), strict=True):
        if prefix > len(before):
            raise CorruptDataError("a string has more in common with another than that has: the index is damaged")
        before = before[:prefix] + every[at : at + rest]
        at += rest
        try:
            strings.append(before.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            raise CorruptDataError("the index holds a string that is not UTF-8: it is damaged") from error
    return strings
