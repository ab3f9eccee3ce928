"""A tally file that is open: its index is read, its blocks are when they are asked for."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.codecs.tally import BLOCK
from squeezelab.dataset import UNITS_PER_SECOND, VALUE_DTYPES, MetricDataset, Series, SeriesKey, to_doubles
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.formats.base import Buffer
from squeezelab.formats.tally import version1
from squeezelab.formats.tally.columns import (
    BLOCK_CHECKSUM_BYTES,
    Columns,
    Span,
    block_checksum,
    blocks_of,
    decode_spans,
    with_references,
)
from squeezelab.formats.tally.part import TIME_UNITS, Part, read_part
from squeezelab.formats.tally.source import MemorySource, Source, open_source
from squeezelab.formats.tally.values import are_doubles, values_of
from squeezelab.formats.tally.writing import FIRST_LINE, FOOTER_BYTES, HEADER_BYTES, LAST_LINE, header

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

logger = logging.getLogger(__name__)

TAIL_BYTES = 64 * 1024
"""Bytes that are read first: the index of a small file is among them."""
WINDOW = 2**22
"""Samples that are read at once when many are asked for; a writer's window is as large."""
BATCH_ROWS = 2**16
Moment = int | str | datetime
Samples = tuple[npt.NDArray[np.int64], npt.NDArray[Any]]
"""Timestamps and values."""


class Summary(NamedTuple):
    """What there is to say of a series without its samples; minimum and maximum are of what is not NaN."""

    key: SeriesKey
    samples: int
    minimum: float
    maximum: float
    first: float
    last: float


class Piece(NamedTuple):
    """A run of blocks of one series in one part."""

    series: int
    part: int
    span: Span


class TallyFile:
    """A tally file that is open, or a choice of its series and samples.

    Parameters
    ----------
    data : bytes-like
        The whole file; a ``mmap`` will do. `open` takes a path or URL.
    salvage : bool
        Read what is whole, and keep in `lost` what is not, instead of raising an error.

    Attributes
    ----------
    keys : list of SeriesKey
        The series, in the order of the file.
    time_unit : {"s", "ms", "us", "ns"}
        Unit of the timestamps: the finest of the file's parts.
    version : int
        Of the file.
    parts : list of Part
        One, and one more for each time that something was appended.
    lost : list of str
        What was damaged among all that has been read so far, if ``salvage`` is set.

    Raises
    ------
    CorruptDataError
        If the index is not whole; by the methods, if what they read is not.

    Notes
    -----
    `select`, `between` and `where` read nothing: they return a choice, which reads what it needs and no more. Who
    iterates, or takes the batches of `to_arrow`, holds a few million samples at a time.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.formats import get_format
    >>> dataset = generate_metric_data()
    >>> file = TallyFile(get_format("tally").encode(dataset))
    >>> cpu = file.select(name="cpu*", region="eu*").between("2024-01-01", "2024-01-01T01:00")
    >>> all(series.key.metric_name.startswith("cpu") for series in cpu)
    True
    >>> next(iter(file)).values.size == int(dataset.offsets[1])
    True
    """

    def __init__(self, data: Buffer, *, salvage: bool = False) -> None:
        self._open(MemorySource(data), salvage)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, salvage: bool = False, options: Mapping[str, Any] | None = None
    ) -> TallyFile:
        """Open a path, or any URL that fsspec knows: ``s3://bucket/metrics.tally``, ``https://...``.

        Parameters
        ----------
        path : path-like
            Of a file here, which is mapped, or elsewhere, of which the end and then only what is needed is read.
        salvage : bool
            As of `TallyFile`.
        options : mapping, optional
            What fsspec's file system takes: credentials, an endpoint.

        Raises
        ------
        DataSourceError
            If it cannot be reached.
        CorruptDataError
            If its index is not whole.
        """
        file = cls.__new__(cls)
        file._open(open_source(path, options), salvage)
        return file

    def _open(self, source: Source, salvage: bool) -> None:
        self._source, self._salvage = source, salvage
        self.lost: list[str] = []
        with self._losing() as lost:
            self.version, self.end, self.indexes, self.parts = _read_end(source, lost)
        self.time_unit = max((part.unit for part in self.parts), key=TIME_UNITS.index, default="s")
        places: dict[SeriesKey, list[tuple[int, int]]] = {}
        for number, part in enumerate(self.parts):
            for i, key in enumerate(part.keys):
                places.setdefault(key, []).append((number, i))
        self.keys: list[SeriesKey] = list(places)
        self._places = list(places.values())
        self._begin: int | None = None
        self._end: int | None = None
        self._above: float | None = None
        self._below: float | None = None

    # What is chosen

    def select(self, name: str = "*", **labels: str) -> TallyFile:
        """Choose series by patterns of a shell, of their name and labels; a label that lacks fits none.

        Examples
        --------
        >>> from squeezelab import generate_metric_data
        >>> from squeezelab.formats import get_format
        >>> file = TallyFile(get_format("tally").encode(generate_metric_data()))
        >>> len(file.select(name="cpu*").keys) < len(file.keys), file.select(host="no such").keys
        (True, [])
        """
        return self.choose(
            [
                i
                for i, key in enumerate(self.keys)
                if fnmatchcase(key.metric_name, name)
                and all(label in key.labels and fnmatchcase(key.labels[label], it) for label, it in labels.items())
            ]
        )

    def choose(self, numbers: Sequence[int]) -> TallyFile:
        """Choose series by their numbers, counted from 0."""
        chosen = copy.copy(self)
        for number in numbers:
            self._check(number)
        chosen.keys = [self.keys[i] for i in numbers]
        chosen._places = [self._places[i] for i in numbers]
        return chosen

    def between(self, begin: Moment | None = None, end: Moment | None = None) -> TallyFile:
        """Choose samples from one time up to, and without, another: numbers in the file's unit, dates, or datetimes.

        Files of version 1, and those of version 2 from before release 0.1.0, have the first and last timestamp of each
        block in place of the earliest and latest: of a series that is not in the order of time, samples may be missing
        there.
        """
        chosen = copy.copy(self)
        chosen._begin = self._begin if begin is None else self._moment(begin)
        chosen._end = self._end if end is None else self._moment(end)
        return chosen

    def where(self, *, above: float | None = None, below: float | None = None) -> TallyFile:
        """Choose samples by their value; blocks whose minimum or maximum rules it out are not read."""
        chosen = copy.copy(self)
        chosen._above = self._above if above is None else above
        chosen._below = self._below if below is None else below
        return chosen

    def _moment(self, moment: Moment) -> int:
        if isinstance(moment, int | np.integer):
            return int(moment)
        try:
            date = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        except ValueError as error:
            raise InvalidRequestError(f"{moment!r} is no time: give it as 2026-11-20T12:00:00Z, or a number") from error
        since = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
        micros = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
        return -(-micros * UNITS_PER_SECOND[self.time_unit] // 10**6)

    # What the index tells

    def __repr__(self) -> str:
        return f"<TallyFile: {len(self.keys):,} series, version {self.version}>"

    def _check(self, number: int) -> None:
        if not 0 <= number < len(self.keys):
            raise IndexError(f"there is no series {number}: the file has {len(self.keys)}")

    def length(self, number: int) -> int:
        """Return how many samples a series has in the file, whatever was chosen of them.

        Raises
        ------
        IndexError
            If there is no such series.
        """
        self._check(number)
        return sum(int(self.parts[part].series.counts[i]) for part, i in self._places[number])

    def dtype(self, number: int) -> np.dtype[Any]:
        """Return the dtype of a series' values: float64, int64 or float32."""
        self._check(number)
        part, i = self._places[number][0]
        return self.parts[part].dtype(i)

    @property
    def value_dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The dtypes of all that is chosen, each once, float64 first."""
        held = {self.dtype(number) for number in range(len(self.keys))}
        return tuple(dtype for dtype in VALUE_DTYPES if dtype in held)

    def summaries(self) -> Iterator[Summary]:
        """Yield count, minimum, maximum, first and last value of each series; from the index, where it has them.

        All are doubles. Of integers of 2^53 or more, in size, the minimum and maximum of the index are bounds, the next
        doubles below and above; to have the nearest ones, take them of ``read(number).values``.
        """
        for number, places in enumerate(self._places):
            parts = [(self.parts[part], i) for part, i in places]
            ordered = len(parts) == 1 and all(len(part.statistics) == 4 for part, _ in parts)
            if self._untouched and ordered and self.length(number):
                part, i = parts[0]
                blocks = slice(part.series.blocks[i], part.series.blocks[i + 1])
                least, most, first, last = (part.statistics[name][blocks] for name in part.statistics)
                few = np.fmin.reduce(least), np.fmax.reduce(most), first[0], last[-1]
                yield Summary(self.keys[number], self.length(number), *map(float, few))
                continue
            values = self.read(number).values
            few = (
                (np.fmin.reduce(values), np.fmax.reduce(values), values[0], values[-1])
                if values.size
                else (np.nan,) * 4
            )
            yield Summary(self.keys[number], values.size, *map(float, few))

    # Samples

    def __iter__(self) -> Iterator[Series]:
        numbers = range(len(self.keys))
        for window in _windows([self.length(number) for number in numbers]):
            yield from self._read(numbers[window])

    def read(self, number: int) -> Series:
        """Read what is chosen of one series."""
        self._check(number)
        return self._read([number])[0]

    def read_range(self, number: int, start: int, stop: int) -> Series:
        """Read the samples ``start`` to ``stop`` of one series, as a slice takes them; whatever times were chosen."""
        start, stop, _ = slice(start, stop).indices(self.length(number))
        part, i = self._places[number][0]
        if len(self._places[number]) > 1 or self._salvage:  # places in the file need not be places in the series
            key, timestamps, values = self.choose([number])._read([0], whole=True)[0]
            return Series(key, timestamps[start:stop], values[start:stop])
        first, last = start // BLOCK, -(-max(stop, start) // BLOCK)
        _, timestamps, values = self._join(number, self._decode([Piece(number, part, Span(i, first, last))])[0])
        within = slice(start - first * BLOCK, max(stop, start) - first * BLOCK)
        return Series(self.keys[number], timestamps[within], values[within])

    def read_between(self, number: int, begin: Moment, end: Moment) -> Series:
        """Read the samples of one series from one time up to, and without, another."""
        return self.between(begin, end).read(number)

    def read_all(self) -> MetricDataset:
        """Read all that is chosen."""
        try:
            return MetricDataset.from_series(list(self), time_unit=self.time_unit)
        except ValueError as error:
            raise CorruptDataError(f"the file holds no valid data set: {error}") from error

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame, a row a sample; columns as `MetricDataset.to_frame` has them."""
        return self.read_all().to_frame()

    def to_arrow(self) -> pa.RecordBatchReader:
        """Return record batches, which DuckDB, Polars and pandas read; each is made when it is asked for.

        Returns
        -------
        pyarrow.RecordBatchReader
            Columns ``metric_name`` and one for each label name (null where a series lacks the label), ``timestamp``
            (UTC) and ``value``. A label whose name is taken by one of these columns is called ``label_<name>``.

        Examples
        --------
        >>> from squeezelab import generate_metric_data
        >>> from squeezelab.formats import get_format
        >>> file = TallyFile(get_format("tally").encode(generate_metric_data()))
        >>> file.select(name="cpu*").to_arrow().schema.names[-2:]
        ['timestamp', 'value']
        """
        from squeezelab.formats.tally.tables import record_batches

        return record_batches(self)

    def verify(self) -> int:
        """Read and decode every block, and check the file's first bytes; return how many blocks there are.

        Raises
        ------
        CorruptDataError
            If something is damaged, unless ``salvage`` is set: what is then stands in `lost`.
        """
        if self.version == 2:
            with self._losing() as lost:
                _check_header(self._source, lost)
        whole = self.between()
        whole._begin = whole._end = whole._above = whole._below = None
        for _ in whole:
            pass
        return sum(part.series.begins.size + part.clocks.begins.size for part in self.parts)

    # How they are read

    def _read(self, numbers: Sequence[int], *, whole: bool = False) -> list[Series]:
        """Read what is chosen of some series at once."""
        pieces = [piece for number in numbers for piece in self._pieces(number, whole)]
        found: dict[int, list[Samples]] = {number: [] for number in numbers}
        for piece, samples in zip(pieces, self._decode(pieces), strict=True):
            found[piece.series] += samples
        return [self._cut(self._join(number, found[number]), whole) for number in numbers]

    def _pieces(self, number: int, whole: bool) -> Iterator[Piece]:
        """Yield the blocks that may hold what is chosen of a series, in runs."""
        for place, i in self._places[number]:
            part = self.parts[place]
            if whole or self._untouched:
                yield Piece(number, place, Span(i, 0, int(part.series.blocks[i + 1] - part.series.blocks[i])))
                continue
            bounds = part.bounds_of(i)
            held = np.ones(len(bounds), np.bool_)
            factor = self._factor(part)
            if self._begin is not None:
                held &= _at_least(bounds.max(axis=1), -(-self._begin // factor))
            if self._end is not None:
                held &= ~_at_least(bounds.min(axis=1), -(-self._end // factor))
            blocks = slice(part.series.blocks[i], part.series.blocks[i + 1])
            if "maximum" in part.statistics:
                if self._above is not None:
                    held &= part.statistics["maximum"][blocks] > self._above
                if self._below is not None:
                    held &= part.statistics["minimum"][blocks] < self._below
            for first, last in _runs(held):
                yield Piece(number, place, Span(i, first, last))

    @property
    def _untouched(self) -> bool:
        return self._begin is self._end is None and self._above is self._below is None

    def _factor(self, part: Part) -> int:
        return UNITS_PER_SECOND[self.time_unit] // UNITS_PER_SECOND[part.unit]

    def _join(self, number: int, pieces: Sequence[Samples]) -> Series:
        """Return a series of its pieces; those of several parts in the order of time."""
        if len(pieces) == 1 and len(self._places[number]) == 1:
            return Series(self.keys[number], *pieces[0])
        timestamps = np.concatenate([one for one, _ in pieces]) if pieces else np.empty(0, np.int64)
        values = np.concatenate([one for _, one in pieces]) if pieces else np.empty(0, self.dtype(number))
        if len(self._places[number]) > 1 and (timestamps[1:] < timestamps[:-1]).any():
            order = np.argsort(timestamps, kind="stable")
            timestamps, values = timestamps[order], values[order]
        return Series(self.keys[number], timestamps, values)

    def _cut(self, series: Series, whole: bool) -> Series:
        """Return what is chosen of a series' samples."""
        key, timestamps, values = series
        if whole or self._untouched:
            return series
        held = np.ones(values.size, np.bool_)
        compared = to_doubles(values) if values.dtype == np.float32 else values  # NumPy would round the bound
        if self._begin is not None:
            held &= _at_least(timestamps, self._begin)
        if self._end is not None:
            held &= ~_at_least(timestamps, self._end)
        if self._above is not None:
            held &= compared > _whole_bound(values, self._above, floor)
        if self._below is not None:
            held &= compared < _whole_bound(values, self._below, ceil)
        return series if held.all() else Series(key, timestamps[held], values[held])

    def _decode(self, pieces: Sequence[Piece]) -> list[list[Samples]]:
        """Return timestamps and values of pieces, each as one run; of what is damaged several, or none."""
        decoded: dict[Piece, list[Samples]] = {}
        for place in dict.fromkeys(piece.part for piece in pieces):
            mine = [piece for piece in pieces if piece.part == place]
            decoded |= zip(mine, self._decode_part(self.parts[place], [piece.span for piece in mine]), strict=True)
        return [decoded[piece] for piece in pieces]

    def _decode_part(self, part: Part, spans: list[Span]) -> list[list[Samples]]:
        wanted = blocks_of(part.series, with_references(part.series, spans))
        ticking = blocks_of(part.clocks, [_clock_span(part, span) for span in spans])
        begins = np.concatenate([part.series.begins[wanted], part.clocks.begins[ticking]])
        ends = np.concatenate([part.series.ends[wanted], part.clocks.ends[ticking]])
        data, places = self._source.fetch(begins, ends + np.uint64(BLOCK_CHECKSUM_BYTES))
        bad = _damaged(data, places, ends - begins)
        series = _moved(part.series, wanted, places[: wanted.size])
        clocks = _moved(part.clocks, ticking, places[wanted.size :])
        if not bad.any():
            runs = [[span] for span in spans]
        elif not self._salvage:
            raise CorruptDataError(
                f"the tally file is damaged: {self._name_lost(part, spans, wanted, ticking, bad)[0]}"
            )
        else:
            runs = [_whole_runs(part, span, wanted, ticking, bad) for span in spans]
            self._lose(self._name_lost(part, spans, wanted, ticking, bad))
        every = [span for run in runs for span in run]
        doubles = are_doubles(part.coders)
        values = decode_spans(data, series, [span for span in every if doubles[span.column]], True)
        values |= decode_spans(data, series, [span for span in every if not doubles[span.column]], False)
        ticks = decode_spans(data, clocks, [_clock_span(part, span) for span in every], False)
        return [
            [self._samples(part, span.column, ticks[_clock_span(part, span)], values[span]) for span in run]
            for run in runs
        ]

    def _samples(
        self, part: Part, column: int, ticks: npt.NDArray[np.uint64], words: npt.NDArray[np.uint64]
    ) -> Samples:
        timestamps, factor = ticks.view(np.int64), self._factor(part)
        if factor > 1:
            if timestamps.size and np.abs(timestamps.astype(np.float64)).max() * factor >= 2.0**63:
                raise CorruptDataError(f"a timestamp does not fit 64 bits in {self.time_unit}: the file is damaged")
            timestamps = timestamps * factor
        return timestamps, values_of(int(part.coders[column]), words)

    def _name_lost(
        self, part: Part, spans: list[Span], wanted: npt.NDArray[np.int64], ticking: npt.NDArray[np.int64], bad: Any
    ) -> list[str]:
        """Return what is damaged, in words: series, samples and times."""
        words = []
        for span in spans:
            whole = {i for run in _whole_runs(part, span, wanted, ticking, bad) for i in range(run.first, run.last)}
            for i in sorted(set(range(span.first, span.last)) - whole):
                begin, end = part.bounds_of(span.column)[i].tolist()
                samples = f"samples {i * BLOCK} to {min((i + 1) * BLOCK, int(part.series.counts[span.column])) - 1}"
                words.append(f"{part.keys[span.column]}: {samples}, times {begin} to {end} {part.unit}, are lost")
        return words

    @contextmanager
    def _losing(self) -> Iterator[list[str] | None]:
        """Give a list for what is lost, or none where nothing may be."""
        words: list[str] = []
        yield words if self._salvage else None
        self._lose(words)

    def _lose(self, words: list[str]) -> None:
        for word in words:
            if word not in self.lost:
                self.lost.append(word)
                logger.warning("%s", word)


def _whole_bound(values: npt.NDArray[Any], bound: float, rounded: Callable[[float], int]) -> float | int:
    """Return what values are compared with: integers with an integer, since as doubles large ones are rounded."""
    return rounded(bound) if values.dtype.kind == "i" and isfinite(bound) else bound


def _clock_span(part: Part, span: Span) -> Span:
    return span._replace(column=int(part.clock_of[span.column]))


def _moved(columns: Columns, blocks: npt.NDArray[np.int64], places: npt.NDArray[np.uint64]) -> Columns:
    """Return columns some of whose blocks lie elsewhere."""
    begins, ends = columns.begins.copy(), columns.ends.copy()
    begins[blocks], ends[blocks] = places, places + (columns.ends - columns.begins)[blocks]
    return columns._replace(begins=begins, ends=ends)


def _damaged(data: npt.NDArray[np.uint8], begins: npt.NDArray[np.uint64], sizes: npt.NDArray[np.uint64]) -> Any:
    """Return which blocks have another checksum than stands after them."""
    view = memoryview(data)
    places = zip(begins.tolist(), (begins + sizes).tolist(), strict=True)
    return np.array(
        [block_checksum(view[begin:end]) != view[end : end + BLOCK_CHECKSUM_BYTES] for begin, end in places], np.bool_
    )


def _whole_runs(
    part: Part, span: Span, wanted: npt.NDArray[np.int64], ticking: npt.NDArray[np.int64], bad: Any
) -> list[Span]:
    """Return the runs of a span's blocks that can be read."""
    held = np.ones(span.last - span.first, np.bool_)
    values = set(wanted[bad[: wanted.size]].tolist())
    clocks = set(ticking[bad[wanted.size :]].tolist())
    needed = [(part.series, one, values) for one in with_references(part.series, [span])]
    for columns, one, damaged in (*needed, (part.clocks, _clock_span(part, span), clocks)):
        first = int(columns.blocks[one.column])
        held &= np.array([first + i not in damaged for i in range(one.first, one.last)], np.bool_)
    return [Span(span.column, span.first + first, span.first + last) for first, last in _runs(held)]


def _runs(held: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where runs of true begin and end."""
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _at_least(numbers: npt.NDArray[np.int64], bound: int) -> npt.NDArray[np.bool_]:
    """Return which numbers are at least a bound, which need not fit 64 bits."""
    if bound < -(2**63) or bound >= 2**63:
        return np.full(numbers.shape, bound < 0)
    return numbers >= bound


def _windows(lengths: Sequence[int]) -> Iterator[slice]:
    """Yield runs of series, each with about `WINDOW` samples or a single series: as a writer has grouped them."""
    first = samples = 0
    for i, length in enumerate(lengths):
        samples += length
        if samples >= WINDOW:
            yield slice(first, i + 1)
            first, samples = i + 1, 0
    if first < len(lengths):
        yield slice(first, len(lengths))


# The end of a file


def _read_end(source: Source, lost: list[str] | None) -> tuple[int, int, list[bytes], list[Part]]:
    """Return a file's version, where it ends, and the indexes of its parts, as they stand and as understood."""
    tail = source.read(max(0, source.size - TAIL_BYTES), source.size)
    if tail[-len(LAST_LINE) :] != LAST_LINE:
        start = source.read(0, min(HEADER_BYTES, source.size))
        if start.startswith(version1.FIRST_LINE):
            return _read_version1(source, tail)
        return _read_unfinished(source, start, lost)
    if not source.is_remote:
        _check_header(source, lost)
    try:
        return (2, source.size, *_read_parts(source, tail, source.size, None))
    except CorruptDataError:
        if lost is None:
            raise
        return _salvage_end(source, source.size, lost)


def _check_header(source: Source, lost: list[str] | None) -> None:
    """Check a file's first bytes, without which its index still tells where all is."""
    start = source.read(0, min(HEADER_BYTES, source.size))
    stated = int.from_bytes(start[len(FIRST_LINE) : len(FIRST_LINE) + 8], "big")
    if start == header(stated) and stated <= source.size:
        return
    word = "the file's first bytes are damaged, or its end is missing: salvage goes by its index"
    if lost is None:
        raise CorruptDataError(word)
    lost.append(word)


def _read_version1(source: Source, tail: bytes) -> tuple[int, int, list[bytes], list[Part]]:
    footer = tail[-version1.FOOTER_BYTES :]
    size = version1.index_size(footer, source.size)
    packed = _before(source, tail, source.size, version1.FOOTER_BYTES, size)
    return 1, source.size, [], [version1.read_index(packed, footer, source.size)]


def _read_unfinished(source: Source, start: bytes, lost: list[str] | None) -> tuple[int, int, list[bytes], list[Part]]:
    """Read a file whose end is none: what stood in it before, if something was being appended."""
    if not start.startswith(FIRST_LINE):
        raise CorruptDataError("this is no tally file, or one of a newer version: its first line differs")
    end = int.from_bytes(start[len(FIRST_LINE) :][:8], "big")
    if start == header(end) and HEADER_BYTES < end < source.size:
        logger.warning("the last append did not finish: what stood in the file before is read")
        tail = source.read(max(0, end - TAIL_BYTES), end)
        return (2, end, *_read_parts(source, tail, end, None))
    if lost is None:
        raise CorruptDataError("the file's end is missing or damaged: it is cut short (salvage reads what it can)")
    return _salvage_end(source, source.size, lost)


def _salvage_end(source: Source, size: int, lost: list[str]) -> tuple[int, int, list[bytes], list[Part]]:
    """Read the last end in a file that is one: what was appended later is lost."""
    data = source.read(0, size)
    end = size
    while (end := data.rfind(LAST_LINE, 0, end)) >= 0:
        try:
            found = _read_parts(source, data[: end + len(LAST_LINE)], end + len(LAST_LINE), lost)
        except CorruptDataError:
            continue
        if end + len(LAST_LINE) < size:
            lost.append(f"what follows byte {end + len(LAST_LINE)} is lost: it has no whole index")
        return (2, end + len(LAST_LINE), *found)
    raise CorruptDataError("nothing can be salvaged: no index of the file is whole")


def _before(source: Source, tail: bytes, end: int, after: int, size: int) -> bytes:
    """Return so many bytes that stand so many before the end; from the tail, or with one more request."""
    if size + after <= len(tail):
        return tail[len(tail) - after - size : len(tail) - after]
    known = tail[: len(tail) - after]
    return source.read(end - after - size, end - len(tail)) + known


def _read_parts(source: Source, tail: bytes, end: int, lost: list[str] | None) -> tuple[list[bytes], list[Part]]:
    """Return the indexes that stand before the end; of damaged ones, if some may be lost, those that are whole."""
    footer = tail[-FOOTER_BYTES:]
    size = int.from_bytes(footer[:8], "big")
    if len(footer) < FOOTER_BYTES or size > end - HEADER_BYTES - FOOTER_BYTES:
        raise CorruptDataError("the index is larger than the file: it is damaged or cut short")
    area = _before(source, tail, end, FOOTER_BYTES, size)
    whole = xxhash.xxh3_64_digest(FIRST_LINE + area + footer[:8]) == footer[8:16]
    if not whole and lost is None:
        raise CorruptDataError("the index's checksum differs: the tally file is damaged or cut short")
    indexes, parts, at = [], [], 0
    while at < size:
        length = int.from_bytes(area[at : at + 8], "big")
        index, checksum = area[at + 8 : at + 8 + length], area[at + 8 + length : at + 16 + length]
        at += 16 + length
        if at > size:
            raise CorruptDataError("the index ends too early: it is damaged")
        if xxhash.xxh3_64_digest(index) == checksum:
            indexes.append(index)
            parts.append(read_part(index, end))
        elif lost is None:
            raise CorruptDataError("the index's checksum differs: the tally file is damaged")
        else:
            lost.append("a part of the file is lost: its index is damaged")
    if not whole and not parts:
        raise CorruptDataError("no index of the file is whole")
    return indexes, parts
