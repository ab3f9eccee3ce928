"""What every reader is: a file of a user's, as samples, with all that could not be read counted and named."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import SeriesKey
from squeezelab.readers._sources import Source
from squeezelab.readers.options import ReadOptions
from squeezelab.results import Block

NAMED_REJECTIONS = 5
"""How many rejections of a file are told one by one; the others are counted."""


class Samples(NamedTuple):
    """Some samples of a file: each has a series, a time, a value and the row that it stands in.

    Values are float64, int64 or float32.
    """

    keys: list[SeriesKey]
    series: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    unit: str
    values: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]


@dataclass
class FileFacts:
    """What was understood of one file.

    Attributes
    ----------
    name, format : str
        The path as it was given, and the name of the reader.
    size : int
        Bytes on disk.
    label : str or None
        What tells this file's series from those of other files, where the file itself does not.
    rows, samples : int
        Rows that were read, rejected ones among them; samples that are in the data set.
    place : str
        What rows are called: ``line`` or ``row``.
    shape : str
        How samples lie in it, ``wide`` for instance; empty where a format has only one.
    time : str
        What its times are, and where they stand.
    rejected : int
        Rows or cells that could not be read.
    rejections : list of (int, str)
        The first of them: the number of the line or row, and the reason.
    words : list of str
        What else a user wants to know: columns left out, times that were rounded.
    cut : bool
        Whether reading stopped at a limit.
    counts : dict of str to int
        What was counted while reading, by the words that tell of it; ``{}`` stands for the number.
    blocks : list of Block
        What a TSDB lies in.
    """

    name: str
    format: str
    size: int
    label: str | None = None
    rows: int = 0
    samples: int = 0
    place: str = "line"
    shape: str = ""
    time: str = ""
    rejected: int = 0
    rejections: list[tuple[int, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    cut: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def reject(self, row: int, reason: str) -> None:
        """Count what could not be read, and keep the reason if it is one of the first."""
        self.rejected += 1
        insort(self.rejections, (row, reason))
        del self.rejections[NAMED_REJECTIONS:]

    def say(self, word: str) -> None:
        """Keep a word, once."""
        if word not in self.words:
            self.words.append(word)

    def count(self, word: str, number: int) -> None:
        """Count what happens again and again; `finish` makes a word of it."""
        if number:
            self.counts[word] = self.counts.get(word, 0) + number

    def finish(self) -> None:
        """Make words of what was counted."""
        for word, number in self.counts.items():
            self.say(word.replace("{}", f"{number:,}"))
        self.counts.clear()


class Reader(ABC):
    """A way to read metrics from a file.

    A subclass names itself and gives `recognises` and `read`; limits, order and units are handled elsewhere.

    Attributes
    ----------
    name : str
        As in ``--input-format``.
    suffixes : tuple of str
        What its files' names usually end with.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def recognises(self, source: Source) -> bool:
        """Tell by its content whether this is a file of this format."""

    @abstractmethod
    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples in the order of their rows, and tell what was understood and rejected.

        Raises
        ------
        DataSourceError
            If nothing of the file can be used.
        """


def clip(text: str, most: int = 40) -> str:
    """Return a text as a message can show it: quoted and short.

    Examples
    --------
    >>> print(clip("12.5 degrees"))
    '12.5 degrees'
    """
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def file_stem(path: Path) -> str:
    """Return a file's name without the suffixes of compression and format.

    Examples
    --------
    >>> file_stem(Path("data/system-2.csv.gz")), file_stem(Path("load.1m.csv"))
    ('system-2', 'load.1m')
    """
    name = path.name
    for suffix in (".gz", ".zst"):
        name = name.removesuffix(suffix)
    stem = Path(name).stem if Path(name).suffix and not Path(name).suffix[1:].isdigit() else name
    return stem or name
