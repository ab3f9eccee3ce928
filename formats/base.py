"""What every format is: a data set as the chunks of one file, and back."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import DOUBLE, MetricDataset, Series
from squeezelab.errors import InvalidRequestError
from squeezelab.store.files import replacing

Buffer = bytes | bytearray | memoryview


class Loss(NamedTuple):
    """By how much samples changed.

    Attributes
    ----------
    largest : float
        The largest difference of a sample, in the sample's own unit.
    relative : float
        The root mean square of all differences, each as a share of its series' range.
    """

    largest: float
    relative: float


@dataclass(frozen=True, eq=False)
class SeriesBytes:
    """Which bytes of a file are of which series.

    Attributes
    ----------
    samples : int64[series]
        Bytes that hold the samples of each.
    index : float64[series]
        Bytes of what each is found by: names, labels, and where its samples lie. What several series share is divided
        among them, so that this need not be whole.
    samples_head, index_head : int
        Bytes of both that are of no series: heads of files, and tables of contents.
    """

    samples: npt.NDArray[np.int64]
    index: npt.NDArray[np.float64]
    samples_head: int
    index_head: int


class Format(ABC):
    """A way to keep a whole data set in one file.

    A subclass names itself and gives `chunks` and `decode`; files larger than memory can be written because a file is
    made chunk by chunk.

    Attributes
    ----------
    name : str
        As in ``get_format(name)``.
    kind : {"papers", "general", "peers", "ours"}
        Where it comes from, as of a codec (`squeezelab.codecs.base.ColumnCodec`).
    package : str or None
        The package of PyPI that it needs beyond those which squeezelab always has.
    showcase : tuple of str
        The settings that a default run shows: what its authors recommend, and its strongest where that is another.
    whole_file : bool
        Whether its times are those of a database that is opened, filled and closed, more than those of encoding.
    compressible : bool
        Whether a run shows it with zstd after as well.
    checked : bool
        Whether damage is always noticed when a file is read.
    repeatable : bool
        Whether the same data set gives the same bytes every time.
    holds_empty_series : bool
        Whether a series without samples comes back.
    untimed_access : str
        Why a run does not time reading a little of a file, where it does not.
    dtypes : tuple of numpy.dtype
        What the values of series may be: float64 alone unless it says more.
    lossy : bool
        Whether samples do not come back as they were; such a format says by how much in `loss`.
    """

    name: str
    kind: str = "papers"
    package: ClassVar[str | None] = None
    showcase: ClassVar[tuple[str, ...]] = ("",)
    whole_file: ClassVar[bool] = False
    compressible: ClassVar[bool] = True
    untimed_access: ClassVar[str] = ""
    checked: bool = True
    repeatable: bool = True
    holds_empty_series: bool = True
    dtypes: tuple[np.dtype[Any], ...] = (DOUBLE,)
    lossy: bool = False

    @abstractmethod
    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the file's bytes, piece by piece; a piece may be overwritten once the next one is asked for."""

    @abstractmethod
    def decode(self, data: Buffer) -> MetricDataset:
        """Read a whole file's bytes.

        Raises
        ------
        CorruptDataError
            If they are not a whole file of this format.
        """

    def encode(self, dataset: MetricDataset) -> bytes:
        """Return the whole file as bytes.

        Raises
        ------
        InvalidRequestError
            If the format does not take what values are.
        """
        self.check_dtypes(dataset)
        whole = io.BytesIO()
        for chunk in self.chunks(dataset):
            whole.write(chunk)
        return whole.getvalue()

    def write(self, dataset: MetricDataset, path: str | os.PathLike[str]) -> int:
        """Write the file, whole or not at all, and return its size in bytes."""
        self.check_dtypes(dataset)
        with replacing(path) as file:
            return sum(file.write(chunk) for chunk in self.chunks(dataset))

    def takes(self, dataset: MetricDataset) -> bool:
        """Whether values of all series are of a dtype that it takes."""
        return set(dataset.value_dtypes) <= set(self.dtypes)

    def check_dtypes(self, dataset: MetricDataset) -> None:
        """Raise an InvalidRequestError if values are of a dtype that the format does not take."""
        if not self.takes(dataset):
            held = " and ".join(map(str, dataset.value_dtypes))
            wanted = " or ".join(map(str, self.dtypes))
            raise InvalidRequestError(f"{self.name} takes values of {wanted}, not {held}: as_doubles() makes doubles")

    def stored_bytes(self, encoded: Buffer) -> int:
        """Return the bytes that count of what `encode` returned: all, unless it is a folder's files packed up."""
        return len(encoded)

    def read(self, path: str | os.PathLike[str]) -> MetricDataset:
        """Read a file that `write` has made."""
        return self.decode(Path(path).read_bytes())

    def loss(self, original: MetricDataset, decoded: MetricDataset) -> Loss:
        """Say how far a lossy format's data set is from the original; a lossless one loses nothing."""
        if self.lossy:
            raise NotImplementedError(f"format {self.name!r} is lossy and must say what it loses")
        return Loss(0.0, 0.0)

    def series_bytes(self, dataset: MetricDataset) -> SeriesBytes | None:
        """Say which bytes are of which series, samples and index apart; None where a format does not tell.

        Examples
        --------
        >>> from squeezelab import generate_metric_data
        >>> from squeezelab.formats import get_format
        >>> int(get_format("prometheus").series_bytes(generate_metric_data()).samples.sum())
        205611
        """
        return None

    def open(self, source: Buffer | str | os.PathLike[str]) -> Reader:
        """Open a file to read a little of it; a format that need not decode all for that overrides this.

        Parameters
        ----------
        source : bytes-like or path-like
            What `encode` returned, a ``mmap`` will do; or what `write` has made.

        Raises
        ------
        CorruptDataError
            If what has to be read for that is not whole.

        Examples
        --------
        >>> from squeezelab import generate_metric_data
        >>> from squeezelab.formats import get_format
        >>> dataset = generate_metric_data()
        >>> with get_format("tally").open(get_format("tally").encode(dataset)) as file:
        ...     key, timestamps, values = file.read_series(3)
        >>> bool(len(values) == dataset.offsets[4] - dataset.offsets[3])
        True
        """
        data = Path(source).read_bytes() if isinstance(source, str | os.PathLike) else source
        return DecodingReader(self, data)

    @property
    def knows_series(self) -> bool:
        """Whether `series_bytes` tells which bytes are of which series."""
        return type(self).series_bytes is not Format.series_bytes

    @property
    def decodes_all(self) -> bool:
        """Whether reading one series means to decode the whole file."""
        return type(self).open is Format.open


class Reader(ABC):
    """A file that is open, of which a little can be read; to be closed, or used in a ``with``."""

    @abstractmethod
    def read_series(self, number: int) -> Series:
        """Read one series.

        Parameters
        ----------
        number : int
            Place of the series in the data set, from 0.

        Raises
        ------
        CorruptDataError
            If what is read is not whole.
        IndexError
            If there is no such series.
        """

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Read the samples of one series from one time up to, and without, another.

        Parameters
        ----------
        number : int
            As `read_series` takes it.
        start, end : int
            Timestamps, in the unit of the data set.

        Raises
        ------
        CorruptDataError, IndexError
            As `read_series` does.
        """
        return between(self.read_series(number), start, end)

    def close(self) -> None:  # noqa: B027 -- a file in memory needs none
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DecodingReader(Reader):
    """Reads a little of a file by decoding all of it, each time."""

    def __init__(self, format: Format, data: Buffer) -> None:
        self._format = format
        self._data = data

    def read_series(self, number: int) -> Series:
        """Decode the file, and take one series of it."""
        dataset = self._format.decode(self._data)
        check_number(number, len(dataset.keys))
        return dataset.series(number)


def between(series: Series, start: int, end: int) -> Series:
    """Return the samples of a series from one time up to, and without, another, in any order they may have."""
    key, timestamps, values = series
    within = (timestamps >= start) & (timestamps < end)
    return Series(key, timestamps[within], values[within])


def check_number(number: int, count: int) -> None:
    """Raise an IndexError if there is no series of this number."""
    if not 0 <= number < count:
        raise IndexError(f"there is no series {number}: the file has {count}")
