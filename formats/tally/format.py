"""Tally's file as one of the lab's formats, and what is done to such a file: packing series, appending, compacting."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from squeezelab.codecs.tally import SMALL, checked_level
from squeezelab.dataset import DOUBLE, VALUE_DTYPES, MetricDataset, Series, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.base import Buffer, Format, Reader
from squeezelab.formats.tally.file import TallyFile
from squeezelab.formats.tally.part import PartTable
from squeezelab.formats.tally.writing import FIRST_LINE, HEADER_BYTES, header, seal, write_blocks
from squeezelab.registry import non_default_settings
from squeezelab.store.files import locked, naming, replaceable, replacing


class Tally(Format):
    """Tally's file: what `squeezelab.codecs.tally` does to a column, and what columns of one host say of each other.

    Series that were scraped together share their timestamps, which are stored once. A series may be predicted from up
    to three others of the same labels, those that explain it best: available memory from what is free and cached.

    Parameters
    ----------
    level : int
        1, fast: bits packed, no prediction from others; 2, small; or 3, smallest.

    Notes
    -----
    ``docs/format.md`` describes the file for readers in other languages. In short::

        line        "squeezelab tally 2", ended by a newline; 16 bytes for appending
        blocks      series after series, before the first series of a clock that clock's; a checksum after each
        indexes     one a part: series, and for each column the sizes of its blocks
        footer      24 bytes: the bytes of the indexes, a checksum, a last line

    A clock is a column of timestamps, of which each block but the last has 8192; so have the columns of values. What a
    series is predicted from is itself predicted from none: to read one block of a series is to read at most four.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Tally().encode(dataset)
    >>> times = dataset.timestamps[dataset.offsets[3] :]
    >>> key, timestamps, values = Tally().open(file).read_between(3, times[100], times[102])
    >>> bool((values == dataset.values[dataset.offsets[3] + 100 : dataset.offsets[3] + 102]).all())
    True
    """

    name = "tally"
    kind = "ours"
    dtypes = VALUE_DTYPES
    showcase = ("", "level=1")

    def __init__(self, level: int = SMALL) -> None:
        self.level = checked_level(level)
        self.name += non_default_settings(type(self), vars(self))

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the blocks, and the index when all of them are known."""
        return _chunks(dataset, dataset.time_unit, self.level)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read the whole file."""
        return TallyFile(data).read_all()

    def open(self, source: Buffer | str | os.PathLike[str]) -> Reader:
        """Open a file: its index is read, and of a series only the blocks that are asked for."""
        return TallyReader(TallyFile.open(source) if isinstance(source, str | os.PathLike) else TallyFile(source))


class TallyReader(Reader):
    """A tally file as one of the lab's readers; of other series it reads what the one is predicted from."""

    def __init__(self, file: TallyFile) -> None:
        self._file = file

    def read_series(self, number: int) -> Series:
        """Read all blocks of a series."""
        return self._file.read(number)

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Read the blocks of a series that hold any sample between these times."""
        return self._file.read_between(number, start, end)


def _chunks(series: Iterable[Series], time_unit: str, level: int) -> Iterator[bytes]:
    table = PartTable(time_unit, HEADER_BYTES)
    yield header()
    yield from write_blocks(series, table, level)
    yield seal([table.encode()])


def pack_series(
    series: Iterable[Series], path: str | os.PathLike[str], *, time_unit: str = "s", level: int = SMALL
) -> int:
    """Write series to a tally file, whole or not at all, and return its size in bytes.

    Parameters
    ----------
    series : iterable of Series
        A few million samples of them are held at a time. No two may share a key.
    path : path-like
    time_unit : {"s", "ms", "us", "ns"}
        What their timestamps count.
    level : {1, 2, 3}
        As `Tally` takes it.

    Examples
    --------
    >>> import tempfile
    >>> from squeezelab import generate_metric_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = pack_series(iter(generate_metric_data()), f"{folder}/metrics.tally")
    """
    with replacing(path) as file:
        return sum(file.write(chunk) for chunk in _chunks(series, time_unit, checked_level(level)))


def append_series(
    series: Iterable[Series], path: str | os.PathLike[str], *, time_unit: str = "s", level: int = SMALL
) -> int:
    """Append series to a tally file as a new part, whole or not at all, and return the file's size in bytes.

    Series that the file has go on; the rest are new. What stood in the file stays where it is: whoever reads it
    meanwhile finds the old samples, and so does the next one to open it if this is interrupted. The file grows by the
    new part and by the indexes of all: `compact` makes one part of many.

    Parameters
    ----------
    series, time_unit, level
        As `pack_series` takes them.
    path : path-like
        A tally file of version 2.

    Raises
    ------
    InvalidRequestError
        If it is of version 1, which has no parts, or has values of another dtype in one of the series.
    CorruptDataError
        If its index is damaged.
    """
    target = replaceable(path)
    with _alone(target):
        opened = TallyFile.open(target)
        if opened.version == 1:
            raise InvalidRequestError(f"{path} is of version 1, which cannot grow: compact makes it one of version 2")
        end, indexes = opened.end, opened.indexes
        table = PartTable(time_unit, end)
        known = {key: opened.dtype(i) for i, key in enumerate(opened.keys)}
        del opened
        chunks = write_blocks(_of_the_same(series, known), table, checked_level(level))
        with naming(path), _growing(target, end) as file:
            for chunk in chunks:
                file.write(chunk)
            file.write(seal([*indexes, table.encode()]))
    return target.stat().st_size


@contextmanager
def _growing(target: Path, end: int) -> Iterator[BinaryIO]:
    """Open a file at its end for what is appended, all of which is gone where that fails."""
    try:
        with target.open("r+b") as file:
            _commit(file, end)
            file.truncate(end)
            file.seek(end)
            yield file
            _synced(file)
    except BaseException:
        os.truncate(target, end)  # not before it is closed, which writes what is left
        raise
    with target.open("r+b") as file:
        _commit(file, target.stat().st_size)


def _of_the_same(series: Iterable[Series], known: Mapping[SeriesKey, np.dtype[Any]]) -> Iterator[Series]:
    """Yield series, as long as their values are of the dtype that the file has already."""
    for one in series:
        if known.get(one.key, one.values.dtype) != one.values.dtype:
            way = "take it for doubles (--doubles), or " * (known[one.key] == DOUBLE)
            raise InvalidRequestError(
                f"{one.key} has values of {known[one.key]} in the file, and what is appended {one.values.dtype}: "
                f"{way}pack it into another file"
            )
        yield one


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep others on this machine from changing a file meanwhile; the lock's own file stays, out of sight."""
    name = xxhash.xxh3_64_hexdigest(os.fsencode(target))
    with locked(Path(tempfile.gettempdir()) / f"squeezelab-{name}.lock"):
        yield


def _commit(file: BinaryIO, end: int) -> None:
    """Write into a file's header where it ends for good: what follows is not there as long as it is not whole."""
    file.seek(len(FIRST_LINE))
    file.write(header(end)[len(FIRST_LINE) :])
    _synced(file)


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def compact(
    path: str | os.PathLike[str], target: str | os.PathLike[str] | None = None, *, level: int = SMALL
) -> tuple[int, int]:
    """Join the parts of a tally file into one, whole or not at all; a file of version 1 becomes one of version 2.

    Parameters
    ----------
    path : path-like
    target : path-like, optional
        Where to; in place of the file itself if not given.
    level : {1, 2, 3}
        As `Tally` takes it.

    Returns
    -------
    before, after : int
        Bytes.
    """
    with _alone(replaceable(path)):
        file = TallyFile.open(path)
        return Path(path).stat().st_size, pack_series(file, target or path, time_unit=file.time_unit, level=level)
