"""A data set in partitions, and work that is done on each: on threads of this machine, or as `cluster` does it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from squeezelab.console import progress_bar
from squeezelab.dataset import TIMESTAMP_BYTES, MetricDataset, SeriesKey
from squeezelab.store.partitions import cut

Result = TypeVar("Result")
Work = Callable[..., Result]
"""Takes a partition, the number of its first series in the data set, and what else it is given."""

PARTITION_SAMPLES = 500_000
FEWEST_PARTITIONS = 16
"""Cut finer than there are threads: what is slow at the end keeps few waiting."""


class Partitions(ABC):
    """A data set in partitions, each a run of its series.

    Attributes
    ----------
    described : dict
        What it is: generator, size, seed, and provenance.
    keys : sequence of SeriesKey
        All series.
    lengths : int64[series]
        Samples of each.
    time_unit : str
        What timestamps count.
    value_bytes : int64[series] or None
        Of a value of each, where they are not 8.
    parts : list of range
        The series of each partition.
    whole : MetricDataset or None
        All of it, where it is in one piece on this machine.
    notes : list of str
        Sentences on where the work is done, for the report.
    """

    described: dict[str, Any]
    keys: Sequence[SeriesKey]
    lengths: npt.NDArray[np.int64]
    time_unit: str = "s"
    value_bytes: npt.NDArray[np.int64] | None = None
    parts: list[range]
    whole: MetricDataset | None = None
    notes: Sequence[str] = ()

    @abstractmethod
    def map(self, work: Work[Result], given: Any, task: str) -> list[Result]:
        """Do work on every partition, and return what came of each, in order.

        Parameters
        ----------
        work : callable
            A function of a module: it may be sent elsewhere.
        given : object
            What it takes besides the partition and the number of its first series.
        task : str
            What is shown beside the progress.
        """

    @property
    def samples(self) -> int:
        """How many there are."""
        return int(self.lengths.sum())


class LocalPartitions(Partitions):
    """A data set in memory: its partitions are views, and threads work on them.

    Parameters
    ----------
    dataset : MetricDataset
        All of it.
    **described
        What it is.
    """

    def __init__(self, dataset: MetricDataset, **described: Any) -> None:
        self.described = described
        self.keys = dataset.keys
        self.lengths = np.diff(dataset.offsets)
        self.time_unit = dataset.time_unit
        self.value_bytes = dataset.sample_bytes - TIMESTAMP_BYTES
        self.whole: MetricDataset = dataset
        self.threads = os.cpu_count() or 1
        self.parts = cut(self.lengths, PARTITION_SAMPLES, FEWEST_PARTITIONS)

    def map(self, work: Work[Result], given: Any, task: str) -> list[Result]:
        """Do work on every partition, on threads."""
        with progress_bar() as progress, ThreadPoolExecutor(self.threads) as pool:
            bar = progress.add_task(task, total=self.samples, unit="samples")
            waiting = {pool.submit(work, self._view(part), part.start, given): part for part in self.parts}
            try:
                for future in as_completed(waiting):
                    future.result()
                    part = waiting[future]
                    progress.advance(bar, int(self.lengths[part.start : part.stop].sum()))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [future.result() for future in waiting]

    def _view(self, part: range) -> MetricDataset:
        return self.whole.part(part.start, part.stop)
