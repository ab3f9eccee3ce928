"""What each metric name takes in a file, samples and index apart: in one block of everything, or in those of a TSDB."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from squeezelab.console import progress_bar
from squeezelab.dataset import RAW_BYTES_PER_SAMPLE, MetricDataset
from squeezelab.doubles import doubled
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.proof import prove, reason_of
from squeezelab.experiment.stopwatch import Stopwatch
from squeezelab.experiment.summary import sized
from squeezelab.formats import Format
from squeezelab.formats.base import SeriesBytes
from squeezelab.results import Block, Measurement


@dataclass
class Shares:
    """What came of telling bytes apart, and sentences on what was not as usual."""

    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """A block's samples in a format: its name, how many samples each series has, their bytes, and whether all is back.

    The name is None of everything in one.
    """

    block: str | None
    lengths: npt.NDArray[np.int64]
    sizes: SeriesBytes
    exact: bool


def tell_shares(dataset: MetricDataset, blocks: Sequence[Block], plan: Plan, stopwatch: Stopwatch) -> Shares:
    """Tell what each metric name takes in the formats of the plan that know it, in these blocks or as one.

    Parameters
    ----------
    dataset : MetricDataset
        All that is here of the data set.
    blocks : sequence of Block
        What it lay in; of none, everything is one block.
    plan : Plan
        What runs: nothing where it says not to tell bytes apart.
    stopwatch : Stopwatch
        Counts the stage ``shares``.
    """
    told = Shares()
    if not plan.shared:
        return told
    dataset, told.notes = doubled(dataset, "Prometheus, by metric name,")
    with stopwatch.stage("shares"):
        parts = list(_cut(dataset, blocks)) if blocks else [(None, dataset)]
        if any(a.stop > b.start for a, b in pairwise(_in_time(blocks))):
            told.notes.append("Blocks overlap: each sample is counted in the latest of those that span its time.")
        with progress_bar() as progress:
            task = progress.add_task("Telling bytes apart", total=len(plan.shared), unit="formats")
            for name, format in plan.shared.items():
                try:
                    measured = list(_measure(name, format, dataset, parts))
                except Exception as error:
                    told.notes.append(f"{name} failed by metric name and is left out: {reason_of(error)}.")
                else:
                    told.measurements += measured
                progress.advance(task)
    return told


def _in_time(blocks: Sequence[Block]) -> list[Block]:
    return sorted(blocks, key=lambda one: (one.start, one.stop))


def _cut(dataset: MetricDataset, blocks: Sequence[Block]) -> Iterator[tuple[str, MetricDataset]]:
    """Yield the samples of each block, and last those that are in none yet; parts without samples are left out."""
    order = _in_time(blocks)
    milliseconds = dataset.timestamps // (dataset.second // 1000) if dataset.second > 1 else dataset.timestamps * 1000
    found = np.searchsorted([one.start for one in order], milliseconds, side="right") - 1
    stops = np.array([one.stop for one in order], np.int64)
    beyond = np.flatnonzero((found < 0) | (milliseconds >= stops[found]))
    found[beyond] = len(order)
    for i, one in enumerate(order):  # a longer block may have begun before
        found[beyond[(milliseconds[beyond] >= one.start) & (milliseconds[beyond] < one.stop)]] = i
    series = np.repeat(np.arange(len(dataset.keys)), np.diff(dataset.offsets))
    by_block = np.argsort(found, kind="stable")
    ends = np.cumsum(np.bincount(found, minlength=len(order) + 1))
    for name, begin, end in zip([*(one.name for one in order), ""], [0, *ends], ends, strict=False):
        chosen = by_block[begin:end]
        if chosen.size:
            offsets = np.zeros(len(dataset.keys) + 1, np.int64)
            np.cumsum(np.bincount(series[chosen], minlength=len(dataset.keys)), out=offsets[1:])
            arrays = dataset.timestamps[chosen], dataset.values[chosen]
            yield name, MetricDataset(dataset.keys, offsets, *arrays, dataset.time_unit)


def _measure(
    name: str, format: Format, dataset: MetricDataset, parts: Sequence[tuple[str | None, MetricDataset]]
) -> Iterator[Measurement]:
    """Yield what metric names, blocks and all of them take in a format."""

    def take_apart(part: tuple[str | None, MetricDataset]) -> _Part:
        block, samples = part
        sizes = format.series_bytes(samples)
        if sizes is None:
            raise ValueError("it does not tell which bytes are of which series")
        return _Part(block, np.diff(samples.offsets), sizes, prove(format, samples).bit_exact)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        taken = list(pool.map(take_apart, parts))
    exact = all(part.exact for part in taken)
    lengths = np.diff(dataset.offsets)
    series = {
        "samples": np.sum([part.sizes.samples for part in taken], axis=0),
        "index": np.sum([part.sizes.index for part in taken], axis=0),
    }
    families: dict[str, list[int]] = {}
    for number, key in enumerate(dataset.keys):
        families.setdefault(key.metric_name, []).append(number)
    for family, numbers in families.items():
        sizes = {subject: float(np.sum(each[numbers])) for subject, each in series.items()}
        yield from _pair(name, format.kind, int(lengths[numbers].sum()), sizes, exact, metric=family)
    for part in taken:
        if part.block is not None:
            samples = int(part.lengths.sum())
            yield from _pair(name, format.kind, samples, _whole(part.sizes), part.exact, block=part.block)
    wholes = [_whole(part.sizes) for part in taken]
    total = {subject: sum(one[subject] for one in wholes) for subject in series}
    yield from _pair(name, format.kind, len(dataset), total, exact)


def _whole(sizes: SeriesBytes) -> dict[str, float]:
    return {
        "samples": int(sizes.samples.sum()) + sizes.samples_head,
        "index": float(sizes.index.sum()) + sizes.index_head,
    }


def _pair(
    name: str,
    kind: str,
    samples: int,
    sizes: Mapping[str, float],
    exact: bool,
    *,
    metric: str | None = None,
    block: str | None = None,
) -> Iterator[Measurement]:
    raw = RAW_BYTES_PER_SAMPLE * samples
    for subject, size in sizes.items():
        one = sized(subject, name, metric, samples, raw, round(size), exact, kind)
        yield replace(one, block=block)
