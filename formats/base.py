"""What every format is: a data set as the chunks of one file, and back."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from squeezelab.dataset import MetricDataset, Series
from squeezelab.files import replacing

Buffer = bytes | bytearray | memoryview


class Format(ABC):
    """A way to keep a whole data set in one file.

    A subclass names itself and gives `chunks` and `decode`; files larger than memory can be written because a file is
    made chunk by chunk.
    """

    name: str

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
        """Return the whole file as bytes."""
        whole = io.BytesIO()
        for chunk in self.chunks(dataset):
            whole.write(chunk)
        return whole.getvalue()

    def write(self, dataset: MetricDataset, path: str | os.PathLike[str]) -> int:
        """Write the file, whole or not at all, and return its size in bytes."""
        with replacing(path) as file:
            return sum(file.write(chunk) for chunk in self.chunks(dataset))

    def read(self, path: str | os.PathLike[str]) -> MetricDataset:
        """Read a file that `write` has made."""
        return self.decode(Path(path).read_bytes())

    def read_series(self, data: Buffer, number: int) -> Series:
        """Read one series of a file; a format with an index overrides this.

        Parameters
        ----------
        data : bytes-like
            The whole file; a ``mmap`` will do.
        number : int
            Place of the series in the data set, from 0.

        Raises
        ------
        CorruptDataError
            If what is read is not whole.
        IndexError
            If there is no such series.
        """
        dataset = self.decode(data)
        if not 0 <= number < len(dataset.keys):
            raise IndexError(f"there is no series {number}: the file has {len(dataset.keys)}")
        span = slice(dataset.offsets[number], dataset.offsets[number + 1])
        return Series(dataset.keys[number], dataset.timestamps[span], dataset.values[span])

    def read_range(self, data: Buffer, number: int, start: int, stop: int) -> Series:
        """Read the samples from ``start`` up to, and without, ``stop`` of one series.

        Parameters
        ----------
        data, number
            As `read_series` takes them.
        start, stop : int
            Places of samples in the series, from 0; what lies behind its end is passed over, as in a slice.

        Raises
        ------
        CorruptDataError
            If what is read is not whole.
        IndexError
            If there is no such series.
        """
        key, timestamps, values = self.read_series(data, number)
        return Series(key, timestamps[start:stop], values[start:stop])

    @property
    def decodes_all(self) -> bool:
        """Whether reading one series means to decode the whole file."""
        return type(self).read_series is Format.read_series
