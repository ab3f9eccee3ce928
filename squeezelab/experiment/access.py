"""Random access: how long each file format takes for one sample, one series, or an hour of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from time import perf_counter

from squeezelab.dataset import MetricDataset, Series
from squeezelab.experiment.proof import spread
from squeezelab.experiment.timing import QUICK_SECONDS, time_cells
from squeezelab.formats import Format
from squeezelab.formats.base import Reader, between
from squeezelab.registry import bare_names
from squeezelab.results import Access
from squeezelab.store.workplace import MEMORY, workplace

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


def time_access(
    dataset: MetricDataset,
    files: Mapping[str, Format],
    encoded: Mapping[str, bytes] | None = None,
    notes: list[str] | None = None,
) -> Iterator[Access]:
    """Time reading a little of each format's file of a data set, which is open; formats take turns.

    Parameters
    ----------
    dataset : MetricDataset
        What the files hold: no series without samples, which NDJSON does not know.
    files : mapping of str to Format
        By name.
    encoded : mapping of str to bytes, optional
        What they have made of the data set; where it lacks, it is made here.
    notes : list of str, optional
        Where a format that is left out is named, with the reason: one that fails, or that cannot be timed.

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
    told = [] if notes is None else notes
    with ExitStack() as stack:
        folder = stack.enter_context(workplace(MEMORY))
        reads: dict[str, dict[str, Reads]] = {}
        sizes, warm = {}, {}
        untimed: dict[str, list[str]] = {}
        for number, (name, file) in enumerate(files.items()):
            if file.untimed_access:
                untimed.setdefault(file.untimed_access, []).append(name)
                continue
            try:
                data = (encoded or {}).get(name) or file.encode(dataset)
                sizes[name] = file.stored_bytes(data)
                (folder / f"{number}").write_bytes(data)
                reader = stack.enter_context(file.open(folder / f"{number}"))
                reads[name] = _wanted_parts(dataset, reader, file.decodes_all)
                for what, parts in reads[name].items():
                    started = perf_counter()
                    parts()
                    if (seconds := perf_counter() - started) > QUICK_SECONDS:
                        warm[name, what] = seconds
            except Exception as error:
                reads.pop(name, None)
                if notes is None:
                    raise
                told.append(f"{name} failed at reading a little of its file: {type(error).__name__}: {error}.")
        for why, names in untimed.items():
            told.append(f"Random access to {', '.join(bare_names(names))} is not timed: {why}.")
        cells = {(name, what): parts for name, kinds in reads.items() for what, parts in kinds.items()}
        timed = time_cells(cells, 0, rounds=ROUNDS, warm=warm)
    for name, kinds in reads.items():
        took = {what: timed[name, what].seconds / len(parts.reads) for what, parts in kinds.items()}
        yield Access(
            name,
            took.get("sample", took["series"]),
            took["series"],
            took.get("hour", took["series"]),
            samples=len(dataset),
            file_bytes=sizes[name],
            decodes_all=files[name].decodes_all,
            bit_exact=all(parts.exact for parts in kinds.values()),
        )


def _wanted_parts(dataset: MetricDataset, reader: Reader, decodes_all: bool) -> dict[str, Reads]:
    """Return what is read of one series of each metric family; only of one where each means to decode all.

    A sample is the one in the middle, and those of the same moment; the hour begins with it.
    """
    parts = {"series": Reads()} if decodes_all else {"sample": Reads(), "series": Reads(), "hour": Reads()}
    every = list(dataset)
    for number in spread([key.metric_name for key in dataset.keys], 0):
        parts["series"].add(partial(reader.read_series, number), every[number])
        if decodes_all:
            break
        middle = int(every[number].timestamps[len(every[number].timestamps) // 2])
        for what, end in (("sample", middle + 1), ("hour", middle + HOUR * dataset.second)):
            parts[what].add(partial(reader.read_between, number, middle, end), between(every[number], middle, end))
    return parts
