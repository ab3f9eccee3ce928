"""Random access: how long each file format takes for one sample, one series, or an hour of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from squeezelab.dataset import MetricDataset, Series
from squeezelab.experiment.proof import spread
from squeezelab.experiment.timing import race
from squeezelab.formats import Format
from squeezelab.results import Access

ROUNDS = 3
HOUR = 3600
"""In seconds."""


class Reads:
    """Reading some parts of a file, and what must come back; what came back last is kept to be compared."""

    def __init__(self) -> None:
        self.reads: list[Callable[[], Series]] = []
        self.wanted: list[Series] = []
        self.found: list[Series] = []

    def add(self, read: Callable[[], Series], wanted: Series) -> None:
        """Have one more part read."""
        self.reads.append(read)
        self.wanted.append(wanted)

    def __call__(self) -> None:
        """Read all of them."""
        self.found = [read() for read in self.reads]

    @property
    def exact(self) -> bool:
        """Whether what was read last is what was wanted."""
        return [part.digest() for part in self.found] == [part.digest() for part in self.wanted]


def time_access(dataset: MetricDataset, files: Mapping[str, Format]) -> Iterator[Access]:
    """Time reading a little of each format's file of a data set; formats take turns.

    Parameters
    ----------
    dataset : MetricDataset
        What the files hold, in memory.
    files : mapping of str to Format
        By name.

    Yields
    ------
    Access
        In the order of the formats. A format that can only decode all is timed once for all three.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.formats import get_format
    >>> (access,) = time_access(generate_metric_data(), {"columnar": get_format("columnar")})
    >>> access.bit_exact
    True
    """
    dataset = dataset.select(np.flatnonzero(np.diff(dataset.offsets)))  # NDJSON knows of no others
    contents = {name: file.encode(dataset) for name, file in files.items()}
    reads = {name: _wanted_parts(dataset, file, contents[name]) for name, file in files.items()}
    cells = {(name, what): parts for name, kinds in reads.items() for what, parts in kinds.items()}
    timed = race(cells, 0, rounds=ROUNDS)
    for name, file in files.items():
        seconds = {what: timed[name, what].seconds / len(parts.reads) for what, parts in reads[name].items()}
        yield Access(
            name,
            seconds.get("sample", seconds["series"]),
            seconds["series"],
            seconds.get("hour", seconds["series"]),
            samples=len(dataset),
            file_bytes=len(contents[name]),
            decodes_all=file.decodes_all,
            bit_exact=all(parts.exact for parts in reads[name].values()),
        )


def _wanted_parts(dataset: MetricDataset, file: Format, data: bytes) -> dict[str, Reads]:
    """Return what is read of one series of each metric family; only of one where each means to decode all.

    A sample is the one in the middle, and the hour begins with it.
    """
    parts = {"series": Reads()} if file.decodes_all else {"sample": Reads(), "series": Reads(), "hour": Reads()}
    every = list(dataset)
    for number in spread([key.metric_name for key in dataset.keys], 0):
        key, timestamps, values = every[number]
        parts["series"].add(partial(file.read_series, data, number), every[number])
        if file.decodes_all:
            break
        middle = len(timestamps) // 2
        later = np.flatnonzero(timestamps[middle + 1 :] - timestamps[middle] >= HOUR * dataset.second)
        behind = middle + 1 + int(later[0]) if later.size else len(timestamps)
        for what, stop in (("sample", middle + 1), ("hour", behind)):
            part = Series(key, timestamps[middle:stop], values[middle:stop])
            parts[what].add(partial(file.read_range, data, number, middle, stop), part)
    return parts
