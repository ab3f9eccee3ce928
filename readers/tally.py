"""The lab's own file, tally."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from squeezelab.dataset import Series
from squeezelab.errors import CorruptDataError, DataSourceError
from squeezelab.readers._sources import Source
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.options import ReadOptions

SAMPLES = 2**20
_MAGIC = b"squeezelab tally"


class Tally(Reader):
    """What ``squeezelab pack`` made, series after series."""

    name = "tally"
    suffixes = (".tally",)

    def recognises(self, source: Source) -> bool:
        """Tell by the magic number."""
        return source.head.startswith(_MAGIC)

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield the samples, some series at a time."""
        try:
            yield from self._read(source, facts)
        except CorruptDataError as error:
            raise DataSourceError(f"{facts.name} cannot be read as tally: {error}") from error

    def _read(self, source: Source, facts: FileFacts) -> Iterator[Samples]:
        from squeezelab.formats.tally import TallyFile

        facts.place = "series"
        if source.packed:
            with source.open(as_it_is=True) as unpacked:
                file = TallyFile(unpacked.read())
        else:
            file = TallyFile.open(source.path)
        facts.time = "as they were packed"
        waiting: list[Series] = []
        for number, one in enumerate(file, 1):
            if waiting and waiting[-1].values.dtype != one.values.dtype:
                yield _join(waiting, file.time_unit, number - 1)
                waiting = []
            waiting.append(one)
            facts.rows += one.values.size
            if sum(each.values.size for each in waiting) >= SAMPLES:
                yield _join(waiting, file.time_unit, number)
                waiting = []
        if waiting:
            yield _join(waiting, file.time_unit, len(file.keys))


def _join(series: list[Series], unit: str, last: int) -> Samples:
    numbers = np.repeat(np.arange(len(series)), [one.values.size for one in series])
    return Samples(
        [one.key for one in series],
        numbers,
        np.concatenate([one.timestamps for one in series]),
        unit,
        np.concatenate([one.values for one in series]),
        numbers + last - len(series) + 1,
    )
