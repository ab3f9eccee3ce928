"""Random access: how long each file format takes for one sample, one series, or an hour of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from squeezelab.dataset import MetricDataset, Series
from squeezelab.formats import Format
from squeezelab.measure import spread
from squeezelab.results import Access
from squeezelab.timing import race

ROUNDS = 3
HOUR = 3600

Reads = list[Callable[[], Series]]


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
    reads: dict[str, dict[str, Reads]] = {}
    exact = {}
    for name, file in files.items():
        wanted = _wanted_parts(dataset, file, contents[name])
        exact[name] = all(read().digest() == part.digest() for parts in wanted.values() for read, part in parts)
        reads[name] = {what: [read for read, _ in parts] for what, parts in wanted.items()}
    cells = {(name, what): partial(_do_all, some) for name, kinds in reads.items() for what, some in kinds.items()}
    timed = race(cells, 0, rounds=ROUNDS)
    for name, file in files.items():
        seconds = {what: timed[name, what].seconds / len(some) for what, some in reads[name].items()}
        yield Access(
            name,
            seconds.get("sample", seconds["series"]),
            seconds["series"],
            seconds.get("hour", seconds["series"]),
            samples=len(dataset),
            file_bytes=len(contents[name]),
            decodes_all=file.decodes_all,
            bit_exact=exact[name],
        )


def _wanted_parts(
    dataset: MetricDataset, file: Format, data: bytes
) -> dict[str, list[tuple[Callable[[], Series], Series]]]:
    """Return what is read of one series of each metric family, and what must come back.

    A sample is the one in the middle, and the hour begins with it.
    """
    parts: dict[str, list[tuple[Callable[[], Series], Series]]] = {"sample": [], "series": [], "hour": []}
    every = list(dataset)
    for number in spread([key.metric_name for key in dataset.keys], 0):
        key, timestamps, values = every[number]
        middle = len(timestamps) // 2
        later = np.flatnonzero(timestamps[middle + 1 :] - timestamps[middle] >= HOUR)
        behind = middle + 1 + int(later[0]) if later.size else len(timestamps)
        parts["series"].append((partial(file.read_series, data, number), every[number]))
        for what, stop in (("sample", middle + 1), ("hour", behind)):
            part = Series(key, timestamps[middle:stop], values[middle:stop])
            parts[what].append((partial(file.read_range, data, number, middle, stop), part))
    return {"series": parts["series"][:1]} if file.decodes_all else parts


def _do_all(reads: Sequence[Callable[[], Series]]) -> None:
    for read in reads:
        read()
