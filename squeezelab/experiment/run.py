"""The one road of every run: partitions are looked at, codecs and files proven, then timed, and all becomes Results."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil, inf
from time import perf_counter
from typing import Any

import numpy as np

from squeezelab.codecs import missing_codecs
from squeezelab.console import working
from squeezelab.dataset import DOUBLE, TIMESTAMP_BYTES, MetricDataset, combine_digests
from squeezelab.doubles import name_typed
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.engines import try_engines
from squeezelab.experiment.files import FileTrial, try_files
from squeezelab.experiment.machine import (
    cpu_governor,
    cpu_model,
    name_unfit,
    other_processes,
    package_versions,
    source_commit,
)
from squeezelab.experiment.memory import peak_rss_mb
from squeezelab.experiment.partitions import LocalPartitions, Partitions
from squeezelab.experiment.parts import Window, choose_windows, take
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.shares import tell_shares
from squeezelab.experiment.stopwatch import Stopwatch
from squeezelab.experiment.summary import speed_interval, summarize, timed_bytes
from squeezelab.experiment.timing import CELL_SECONDS, Timing, time_named
from squeezelab.experiment.trial import SUBJECTS, Codecs, Proven, Survey, fitting_codecs, prove_codecs, survey
from squeezelab.experiment.winners import explain_dataset
from squeezelab.formats import missing_formats
from squeezelab.formats._dictionary import encode_keys
from squeezelab.registry import PEERS_EXTRA, bare_names
from squeezelab.results import COMMON, NOISY_WIDTH, Block, DatasetFacts, Explained, Measurement, Results, Run
from squeezelab.shelf import summary_line

COMMON_SAMPLES = 50_000
"""What every codec runs on, however slow, and what is ranked where some run on nothing else."""
TIMED_SAMPLES, FEWEST_TIMED_SAMPLES = 500_000, 25_000
"""Codecs are timed on half of the samples, but on 25,000 to 500,000."""
EXPLAINED_SAMPLES = 2_000_000
"""Winners are explained by about so many samples where a data set has more."""
FILE_SAMPLES = 1_000_000
"""Files of a data set that is nowhere in one piece are made here, of about so many samples."""
SHORTEST_TIMED = 1_000
CODECS_SHARE = 0.6
"""Of the budget for proving; files have the rest."""


def measure_dataset(
    dataset: MetricDataset,
    *,
    generator: str = "python",
    size: str = "data",
    seed: int = 0,
    provenance: Mapping[str, str] | None = None,
    blocks: Sequence[Block] = (),
    stopwatch: Stopwatch | None = None,
    **options: Any,
) -> Results:
    """Run codecs and formats over a data set in memory: prove every round trip, then time it.

    Parameters
    ----------
    dataset : MetricDataset
        What is measured.
    generator, size, seed, provenance, blocks
        Where it comes from, for the record.
    stopwatch : Stopwatch, optional
        Counts the stages that came before this call as well.
    **options
        What runs, as `Plan.of` takes it.

    Returns
    -------
    Results

    Raises
    ------
    InvalidRequestError
        If the data set has no samples, or an option is out of range.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> results = measure_dataset(generate_metric_data(), codecs=["xor"], formats=[], rounds=0)
    >>> results.get("values", "xor").bit_exact
    True
    """
    described = {"generator": generator, "size": size, "seed": seed, "provenance": dict(provenance or {})}
    described |= {"blocks": list(blocks)}
    return measure_planned(dataset, Plan.of(**options), stopwatch or Stopwatch(), **described)


def measure_planned(dataset: MetricDataset, plan: Plan, stopwatch: Stopwatch, **described: Any) -> Results:
    """Carry out a plan on a data set in memory; see `measure`."""
    return measure(LocalPartitions(dataset, **described), plan, stopwatch)


def measure(partitions: Partitions, plan: Plan, stopwatch: Stopwatch) -> Results:
    """Carry out a plan on a data set, wherever its partitions are.

    Raises
    ------
    InvalidRequestError
        If the data set has no samples.

    Notes
    -----
    Every codec is proven on a common part, which tells how long the whole would take; those that fit the budget for
    proving are then proven on everything. What is ranked is of the same samples: the common part, where some did not
    fit. All is timed here, on one core, while nothing else is done.
    """
    if not partitions.samples:
        raise InvalidRequestError("the data set has no samples: there is nothing to measure")
    with stopwatch.stage("facts"):
        windows = _choose_parts(partitions)
        surveys = partitions.map(survey, windows, "Describing the data set")
        kept = {name: _keep(partitions, surveys, name) for name in windows}
        facts = _describe(partitions, surveys)
    common = kept["common"]
    codecs = fitting_codecs(plan.codecs, common)
    with stopwatch.stage("proof"):
        proven, whole = _prove(partitions, common, codecs, plan)
    with stopwatch.stage("timing"):
        timings = _time_columns(kept["timed"], codecs, proven, plan)
    measurements = _join_scopes(partitions, codecs, common, proven, whole, timings)
    with stopwatch.stage("explanations"), working("Explaining the winners"):
        explanations = _explain(partitions, kept["explained"], whole or proven, measurements)
    here = kept["files"] if partitions.whole is None else partitions.whole
    trial = try_files(here, facts, plan, _left(plan, stopwatch), stopwatch)
    shares = tell_shares(here, facts.blocks, plan, stopwatch)
    databases = try_engines(here, plan, stopwatch)
    notes = [
        *partitions.notes,
        *tell_untaken(here, facts.dtypes, plan),
        *_tell_failures(proven, whole),
        *trial.notes,
        *shares.notes,
        *databases.notes,
        *name_missing(),
    ]
    run = describe_run(stopwatch, plan, notes)
    results = _collect(run, facts, measurements, timings, trial, explanations)
    return replace(results, about=about(plan), engines=databases.measurements, shares=shares.measurements)


def _choose_parts(partitions: Partitions) -> dict[str, list[Window]]:
    """Choose the windows that the run goes on with here."""
    samples = partitions.samples
    wanted = {
        "common": COMMON_SAMPLES,
        "timed": min(max(samples // 2, FEWEST_TIMED_SAMPLES), TIMED_SAMPLES),
        "explained": EXPLAINED_SAMPLES,
    }
    if partitions.whole is None:
        wanted["files"] = FILE_SAMPLES
    return {name: choose_windows(partitions.lengths, count) for name, count in wanted.items()}


def _keep(partitions: Partitions, surveys: Sequence[Survey], name: str) -> MetricDataset:
    series = [one for each in surveys for one in each.kept[name]]
    return MetricDataset.from_series(series, time_unit=partitions.time_unit)


def _describe(partitions: Partitions, surveys: Sequence[Survey]) -> DatasetFacts:
    """Collect what a report says of a data set: its counts, its deltas of deltas, the sizes of the baselines."""
    counts = np.sum([one.deltas_of_deltas for one in surveys], axis=0)
    total = int(counts.sum())
    return DatasetFacts(
        **partitions.described,
        series=len(partitions.keys),
        samples=partitions.samples,
        fingerprint=combine_digests(digest for one in surveys for digest in one.digests),
        zero_dod_share=int(counts[counts.size // 2]) / total if total else None,
        delta_of_delta_counts=counts.tolist(),
        raw_bytes=sum(one.raw_bytes for one in surveys),
        ndjson_bytes=sum(one.ndjson_bytes for one in surveys),
        dictionary_bytes=len(encode_keys(partitions.keys)),
        dtypes=dict(sum((one.dtypes for one in surveys), Counter())),
    )


# ---- Codecs ----


def _prove(partitions: Partitions, common: MetricDataset, codecs: Codecs, plan: Plan) -> tuple[Proven, Proven | None]:
    """Prove all codecs on the common part, and those on everything that fit the budget; None where these are one."""
    here = LocalPartitions(common)
    proven = Proven.join(here.map(prove_codecs, codecs, "Proving codecs"))
    if len(common) == partitions.samples:
        return proven, None
    budget = plan.proof_seconds(partitions.samples) * CODECS_SHARE * here.threads
    times = partitions.samples / len(common)
    fitting = _choose_fitting(proven, codecs, times, inf if plan.whole else budget)
    return proven, Proven.join(partitions.map(prove_codecs, fitting, "Proving codecs on everything"))


def _choose_fitting(proven: Proven, codecs: Codecs, times: float, budget: float) -> Codecs:
    """Choose the codecs that can be proven on so many times as much: the quickest first, as far as the budget goes."""
    fitting: set[tuple[str, str]] = set()
    for cell, seconds in sorted(proven.seconds.items(), key=lambda one: one[1]):
        budget -= times * seconds
        if budget >= 0:
            fitting.add(cell)
    return {
        subject: {name: codec for name, codec in by_name.items() if (subject, name) in fitting}
        for subject, by_name in codecs.items()
    }


def _time_columns(timed: MetricDataset, codecs: Codecs, proven: Proven, plan: Plan) -> dict[str, dict[str, Timing]]:
    """Time codecs on the timestamps, then on the values."""
    # What takes some series alone has no speed that could stand beside those of the others.
    running = {
        subject: {name: codec for name, codec in by_name.items() if all(proven.proofs[subject].get(name, [None]))}
        for subject, by_name in codecs.items()
    }
    columns = sum(1 + len(by_name) for by_name in running.values())
    budget = plan.budget * columns / (columns + 1 + len(plan.formats)) if plan.formats else plan.budget
    end = perf_counter() + budget
    timings = {}
    for subject, by_name in running.items():
        left = columns
        columns -= 1 + len(by_name)
        share = (end - perf_counter()) * (left - columns) / left
        cut = partial(_cut_columns, timed, subject)
        timings[subject] = time_named(subject, by_name, cut, plan.rounds, share, time_calls=True)
    return timings


def _cut_columns(timed: MetricDataset, subject: str, share: float) -> list[Any]:
    """Return about this share of the columns: of fewer series, or of shorter windows."""
    samples = max(SHORTEST_TIMED, int(share * len(timed)))
    part = take(timed, choose_windows(np.diff(timed.offsets), samples))
    return [column for series in part if (column := getattr(series, subject)).size]


def _join_scopes(
    partitions: Partitions,
    codecs: Codecs,
    common: MetricDataset,
    proven: Proven,
    whole: Proven | None,
    timings: Mapping[str, Mapping[str, Timing]],
) -> list[Measurement]:
    """Sum up what came of the codecs: each on as much as it ran on, and all on the common part where these differ."""
    widths = common.sample_bytes - TIMESTAMP_BYTES
    small = list(summarize(common.keys, np.diff(common.offsets), codecs, proven, timings, value_bytes=widths))
    if whole is None:
        return small
    widths_of_all = partitions.value_bytes
    large = list(summarize(partitions.keys, partitions.lengths, codecs, whole, timings, value_bytes=widths_of_all))
    ran = {(one.subject, one.codec) for one in large}
    slow = [one for one in small if (one.subject, one.codec) not in ran]
    order = {name: place for place, name in enumerate((s, c) for s in SUBJECTS for c in codecs[s])}
    both = sorted(large + slow, key=lambda one: order[one.subject, one.codec])
    return both + [replace(one, scope=COMMON) for one in small if one.metric is None]


def _explain(
    partitions: Partitions, part: MetricDataset, proven: Proven, measurements: Sequence[Measurement]
) -> list[Explained]:
    """Name and explain the winners on what was proven whole."""
    proofs = {
        subject: {name: {i: one for i, one in enumerate(ones) if one} for name, ones in by_name.items()}
        for subject, by_name in proven.proofs.items()
    }
    return explain_dataset(part, partitions.keys, partitions.lengths, proofs, measurements, os.cpu_count())


def _left(plan: Plan, stopwatch: Stopwatch) -> float:
    """Return the seconds for timing that codecs have left."""
    return max(0.0, plan.budget - stopwatch.stages["timing"])


# ---- The record ----


def _collect(
    run: Run,
    facts: DatasetFacts,
    measurements: list[Measurement],
    timings: Mapping[str, Mapping[str, Timing]],
    files: FileTrial,
    explanations: list[Explained],
) -> Results:
    """Put together what a run has measured, and note how sure its speeds are."""
    every = {**timings, "dataset": files.timings}
    copies = {subject: timed["memcpy"] for subject, timed in every.items() if "memcpy" in timed}
    raw = {subject: timed_bytes(subject, timing) for subject, timing in copies.items()}
    return Results(
        replace(run, notes=[*run.notes, *_describe_sureness(every, run)]),
        facts,
        measurements + files.measurements,
        {subject: raw[subject] / timing.decode.seconds / 1e6 for subject, timing in copies.items()},
        {
            subject: interval
            for subject, timing in copies.items()
            if (interval := speed_interval(raw[subject], timing.decode))
        },
        files.access,
        explanations,
    )


def about(plan: Plan) -> dict[str, str]:
    """Return what each codec, format and database is, in the first sentence of its own words."""
    every = (*plan.codecs.items(), *plan.formats.items(), *plan.engines.items())
    return {name: summary_line(type(coder)) for name, coder in every}


def _describe_sureness(timings: Mapping[str, Mapping[str, Timing]], run: Run) -> Iterator[str]:
    """Say how many speeds are noisy or were timed for a short while only, and what helps."""
    cells = [cell for timed in timings.values() for timing in timed.values() for cell in (timing.encode, timing.decode)]
    noisy, short = sum(cell.noisy for cell in cells), sum(cell.timed_seconds < CELL_SECONDS for cell in cells)
    if noisy or short:
        wanted = 10 * ceil(max(1.5 * CELL_SECONDS * len(cells), 2 * run.settings["budget"]) / 10)
        yield (
            f"Noisy speeds (95 % interval wider than {NOISY_WIDTH:.0%}): {noisy} of {len(cells)}; timed for less than "
            f"{CELL_SECONDS:g} s: {short}. More time makes them surer: --budget {wanted}."
        )
    if cells:
        yield from name_unfit(run.busy)


def _tell_failures(*proven: Proven | None) -> Iterator[str]:
    """Yield a sentence on each codec that was given up."""
    for (subject, name), reason in {key: why for one in proven if one for key, why in one.failures.items()}.items():
        yield f"{name} failed on {subject} and is left out: {reason}."


def tell_untaken(dataset: MetricDataset, dtypes: Mapping[str, int], plan: Plan) -> Iterator[str]:
    """Yield a sentence on each dtype of values that not all codecs and formats take.

    Parameters
    ----------
    dataset : MetricDataset
        Some of what runs, for names.
    dtypes : mapping of str to int
        How many series have values of each.
    plan : Plan
        What runs.

    Examples
    --------
    >>> from squeezelab import Series, SeriesKey
    >>> counter = Series(SeriesKey("requests", {}), np.arange(3), np.arange(3))
    >>> dataset = MetricDataset.from_series([counter])
    >>> list(tell_untaken(dataset, {"float64": 2, "int64": 1}, Plan.of("xor,zstd", "prometheus,tally")))
    ... # doctest: +NORMALIZE_WHITESPACE
    ['Values of 1 series are int64 (requests). What does not take these ran on the other series (xor) or not at all
    (prometheus); with --doubles it takes all.']
    """
    for name, count in dtypes.items():
        dtype = np.dtype(name)
        codecs = [spec for spec, codec in plan.codecs.items() if DOUBLE in codec.dtypes and dtype not in codec.dtypes]
        files = [spec for spec, file in plan.formats.items() if dtype not in file.dtypes]
        if len(dtypes) == 1:
            codecs, files = [], codecs + files
        told = [f"ran on the other series ({', '.join(bare_names(codecs))})"] if codecs else []
        told += [f"{'not at all' if told else 'did not run on them'} ({', '.join(bare_names(files))})"] if files else []
        if told:
            which = f"Values of {count:,} series are {name} ({name_typed(dataset, dtype)})."
            yield f"{which} What does not take these {' or '.join(told)}; with --doubles it takes all."


def describe_run(stopwatch: Stopwatch, plan: Plan, notes: Sequence[str] = ()) -> Run:
    """Collect what a report says of a run on this machine."""
    return Run(
        started=stopwatch.started.isoformat(timespec="seconds"),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        versions=package_versions(),
        seconds=stopwatch.seconds,
        peak_rss_mb=peak_rss_mb(),
        stages=dict(stopwatch.stages),
        rounds=plan.rounds,
        notes=list(notes),
        governor=cpu_governor(),
        busy=other_processes(),
        commit=source_commit(),
        settings=plan.recorded,
    )


def name_missing() -> list[str]:
    """Return a sentence on the codecs and formats that do not run here, none where all do."""
    missing = missing_codecs() | missing_formats()
    return [f"Not installed: {', '.join(sorted(missing))} ({PEERS_EXTRA})."] if missing else []
