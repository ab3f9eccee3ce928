"""What every format is: a data set as the chunks of one file, and back."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from squeezelab.dataset import MetricDataset
from squeezelab.files import replacing

Buffer = bytes | bytearray | memoryview


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
        Whether a run shows it with zstd behind as well.
    """

    name: str
    kind: str = "papers"
    package: ClassVar[str | None] = None
    showcase: ClassVar[tuple[str, ...]] = ("",)
    whole_file: ClassVar[bool] = False
    compressible: ClassVar[bool] = True

    @property
    def slow(self) -> bool:
        """Whether it encodes less than about 50 MB/s: the lab then runs it on a part of a huge data set."""
        return False

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
