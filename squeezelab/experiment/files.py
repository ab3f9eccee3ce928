"""File formats on a data set: proven, weighed, timed, and read in parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import numpy as np

from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset
from squeezelab.experiment.access import time_access
from squeezelab.experiment.memory import Metered, settled
from squeezelab.experiment.parts import choose_windows, halve, line_through, take
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.proof import Proof, prove, reason_of
from squeezelab.experiment.stopwatch import Stopwatch
from squeezelab.experiment.summary import counted, summary
from squeezelab.experiment.timing import Timing, time_named
from squeezelab.formats import Format
from squeezelab.results import COMMON, Access, DatasetFacts, Measurement

COMMON_SAMPLES = 100_000
"""What every format runs on; on everything only what fits the budget."""
TIMED_SAMPLES, FEWEST_TIMED_SAMPLES = 100_000, 25_000
"""Formats are timed on half of the samples, but on 25,000 to 100,000: text is many times as large."""
SHORTEST_TIMED = 5_000
"""What is slow is timed on less, but on so many samples at least."""
MOST_FILE_BYTES = 400 * 10**6
"""Larger files are made only where everything is to be proven on everything: they are in memory."""
MOST_PEER_SAMPLES = 5_000_000
"""Likewise files of other engines, which make a table in memory of what they write."""
FILES_SHARE = 0.4
"""Of the budget for proving; codecs have the rest."""


@dataclass
class FileTrial:
    """What came of file formats; memcpy is among the timings."""

    measurements: list[Measurement] = field(default_factory=list)
    timings: dict[str, Timing] = field(default_factory=dict)
    access: list[Access] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Proofs:
    """What came of proving formats on one data set.

    Attributes
    ----------
    proven : MetricDataset
        The data set.
    proofs : dict of str to Proof
        By format.
    seconds : dict of str to float
        How long each took, there and back.
    failures : dict of str to str
        What was raised by those that failed.
    """

    proven: MetricDataset
    proofs: dict[str, Proof] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def try_files(
    dataset: MetricDataset, facts: DatasetFacts, plan: Plan, budget: float, stopwatch: Stopwatch
) -> FileTrial:
    """Prove every format on a part, and on everything where that fits; weigh, time and read it on a smaller part.

    Parameters
    ----------
    dataset : MetricDataset
        All that is here of the data set.
    facts : DatasetFacts
        What the whole is.
    plan : Plan
        What runs.
    budget : float
        Seconds that are left for timing.
    stopwatch : Stopwatch
        Counts the stages ``formats``, ``timing`` and ``access``.
    """
    formats = {name: file for name, file in plan.formats.items() if file.takes(dataset)}
    if not formats:
        return FileTrial()
    common = _part(dataset, COMMON_SAMPLES)
    timed = _part(dataset, min(max(len(dataset) // 2, FEWEST_TIMED_SAMPLES), TIMED_SAMPLES))
    timed = timed.select(np.flatnonzero(np.diff(timed.offsets)))
    with stopwatch.stage("formats"):
        first = _prove(common, formats)
        large = _prove(dataset, _choose_fitting(first, dataset, plan)) if len(common) < len(dataset) else None
        running = {name: plan.formats[name] for name in first.proofs}
        half = halve(common)
        weighed = half if len(half) <= TIMED_SAMPLES else timed
        metered, encoded = _weigh(weighed, running)
        if weighed is half:
            sizes = {name: running[name].stored_bytes(data) for name, data in encoded.items()}
        else:
            sizes = _sizes(half, running)
        further = _weigh_further(first, len(half), sizes)
    with stopwatch.stage("timing"):
        timings = time_named("file formats", running, partial(_cut, timed), plan.rounds, budget)
    notes = [f"{name} failed as a file and is left out: {reason}." for name, reason in first.failures.items()]
    with stopwatch.stage("access"):
        access = list(time_access(weighed, running, encoded, notes)) if timings else []
    summed = partial(_sum_up, plan=plan, timings=timings, metered=metered, further=further)
    return FileTrial(_measurements(first, large, facts, summed), timings, access, notes)


def _part(dataset: MetricDataset, samples: float) -> MetricDataset:
    return take(dataset, choose_windows(np.diff(dataset.offsets), max(1, int(samples))))


def _cut(timed: MetricDataset, share: float) -> list[MetricDataset]:
    return [_part(timed, max(SHORTEST_TIMED, share * len(timed)))]


def _prove(dataset: MetricDataset, formats: Mapping[str, Format]) -> Proofs:
    """Prove formats, on all cores; those that fail are named."""
    found = Proofs(dataset)

    def prove_one(name: str) -> None:
        started = perf_counter()
        try:
            found.proofs[name] = prove(formats[name], dataset)
        except Exception as error:
            found.failures[name] = reason_of(error)
        found.seconds[name] = perf_counter() - started

    with settled(), progress_bar() as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task("Proving file formats", total=len(formats), unit="formats")
        for _ in pool.map(prove_one, formats):
            progress.advance(task)
    # In the order of the plan, whichever was ready first.
    return replace(found, proofs={name: found.proofs[name] for name in formats if name in found.proofs})


def _choose_fitting(first: Proofs, dataset: MetricDataset, plan: Plan) -> dict[str, Format]:
    """Choose the formats that everything can be proven with: the quickest first, as far as the budget goes."""
    times = len(dataset) / len(first.proven)
    left = plan.proof_seconds(len(dataset)) * FILES_SHARE * (os.cpu_count() or 1)
    fitting = set()
    for name in sorted(first.proofs, key=first.seconds.__getitem__):
        large = times * first.proofs[name].encoded_bytes > MOST_FILE_BYTES
        peer = plan.formats[name].kind == "peers" and len(dataset) > MOST_PEER_SAMPLES
        left -= 0 if large or peer else times * first.seconds[name]
        if plan.whole or (left >= 0 and not large and not peer):
            fitting.add(name)
    return {name: file for name, file in plan.formats.items() if name in fitting}


def _weigh(dataset: MetricDataset, formats: Mapping[str, Format]) -> tuple[dict[str, Metered], dict[str, bytes]]:
    """Return how much memory each format takes at its highest, one at a time, and what it made; it is warm by then."""
    metered = {name: Metered(file) for name, file in formats.items()}
    encoded = {}
    with settled(), progress_bar() as progress:
        task = progress.add_task("Weighing file formats", total=len(formats), unit="formats")
        for name, meter in metered.items():
            with suppress(Exception):  # it was proven on more, which is what counts
                encoded[name] = meter.encode(dataset)
                meter.decode(encoded[name])
            progress.advance(task)
    return metered, encoded


def _sizes(dataset: MetricDataset, formats: Mapping[str, Format]) -> dict[str, int]:
    """Return the bytes that each format takes for a data set; one that cannot hold it is left out."""

    def size(name: str) -> int | None:
        try:
            return formats[name].stored_bytes(formats[name].encode(dataset))
        except Exception:  # as when it was weighed
            return None

    with settled(), ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes = dict(zip(formats, pool.map(size, formats), strict=True))
    return {name: size for name, size in sizes.items() if size is not None}


def _weigh_further(first: Proofs, samples: int, sizes: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return the bytes that each file takes however little it holds, and those of each further sample.

    It takes these sizes with so many samples of the same series. Names and labels are in both, and count as fixed.
    """
    whole = {name: first.proofs[name].encoded_bytes for name in sizes}
    most = len(first.proven)
    if samples == most:
        return {}
    lines = {name: line_through((samples, sizes[name]), (most, whole[name])) for name in sizes}
    return {name: line for name, line in lines.items() if line is not None}


def _measurements(
    first: Proofs, large: Proofs | None, facts: DatasetFacts, summed: Callable[[Proofs, str], Measurement]
) -> list[Measurement]:
    """Return what was measured of each format: on as much as it ran on, and on the common part where these differ."""
    measured = []
    for name in first.proofs:
        one = summed(large if large and name in large.proofs else first, name)
        measured.append(counted(one, facts) if name == "ndjson" and one.samples < facts.samples else one)
    if large is not None:
        measured += [replace(summed(first, name), scope=COMMON) for name in first.proofs]
    return measured


def _sum_up(
    source: Proofs,
    name: str,
    *,
    plan: Plan,
    timings: Mapping[str, Timing],
    metered: Mapping[str, Metered],
    further: Mapping[str, tuple[float, float]],
) -> Measurement:
    """Sum up one format on one data set, with what was timed and weighed of it."""
    lengths = np.diff(source.proven.offsets)
    one = summary("dataset", name, plan.formats[name], None, lengths, [source.proofs[name]], timings.get(name))
    fixed, more = further.get(name, (None, None))
    return replace(
        one,
        encode_peak_mb=metered[name].encode_peak_mb,
        decode_peak_mb=metered[name].decode_peak_mb,
        fixed_bytes=fixed,
        further_bytes=more,
    )
