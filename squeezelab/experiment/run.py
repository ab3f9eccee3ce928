"""What runs on a data set: every codec on every series, every format on the whole, proven first and timed then."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from math import ceil
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import ColumnCodec, codec_spec, get_codec, missing_codecs, showcase_codecs
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs.base import Column
from squeezelab.console import progress_bar, working
from squeezelab.dataset import RAW_BYTES_PER_SAMPLE, MetricDataset, SeriesKey, combine_digests
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.access import time_access
from squeezelab.experiment.machine import cpu_governor, cpu_model, source_commit
from squeezelab.experiment.memory import Metered, peak_rss_mb, settled
from squeezelab.experiment.proof import Coder, Proof, prove, prove_all, spread
from squeezelab.experiment.timing import CELL_SECONDS, ROUNDS, Cell, Memcpy, Timing, time_coders
from squeezelab.experiment.winners import explain_dataset
from squeezelab.formats import Format, get_format, missing_formats, showcase_formats
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats.downsampled import STEPS
from squeezelab.formats.ndjson import ndjson_bytes
from squeezelab.registry import PEERS_EXTRA, is_installed
from squeezelab.results import NOISY_WIDTH, Access, DatasetFacts, Explained, Measurement, Results, Run

DEFAULT_CODECS = (*showcase_codecs(), "delta_of_delta+zstd", "xor+zstd")
"""Every codec that runs here, as its authors recommend it and at its strongest, and Gorilla's with zstd behind."""
DEFAULT_FORMATS = (
    "ndjson",
    "ndjson+zstd",
    "cbor",
    "cbor+zstd",
    "table",
    "table+zstd",
    "columnar",
    "columnar+zstd",
    "prometheus",
    "delta_of_delta+xor",
    "delta_of_delta+xor+zstd",
    "pattern",
    "pattern+zstd",
    *(spec for spec in showcase_formats() if get_format(spec).kind == "peers"),
    *(f"downsampled:step={step}+zstd" for step in STEPS),
    "tally:level=1",
    "tally",
)
"""The ladder, rung by rung, then files of others: tables and charts keep this order."""
BUDGET = 3.0
"""Seconds for timing: as much as lets a run of the small data set end within 12 seconds."""
TIMED_COLUMN_SAMPLES, FEWEST_TIMED_SAMPLES = 500_000, 25_000
"""Codecs are timed on whole series, evenly spread over the data set: half of it, but 25,000 to 500,000 samples."""
TIMED_DATASET_SAMPLES = 100_000
"""Likewise formats, whose text is far larger, on at most these."""
SHORTEST_TIMED_SERIES = 1_000
"""Slow codecs are timed on fewer series, one of each metric family at least, and on their first samples, these many."""
SECONDS_BETWEEN_DRAWINGS = 0.1
MOST_SLOW_SAMPLES = 1_000_000
"""Slow codecs run on whole series, evenly spread, of about so many samples where a data set has more."""
SLOWEST_SHARE = 0.01
FEWEST_SLOWEST_SAMPLES = 50_000
"""The slowest codecs run on this share of a data set, or about so many samples where that is less than these."""
MOST_PEER_SAMPLES = 5_000_000
"""Likewise files of other engines, which make a table in memory of what they write."""
MOST_TEXT_BYTES = 100 * 10**6
"""Text larger than this is counted, not made: costly formats run on whole series, evenly spread, of about this size."""
MOST_EXPLAINED_SAMPLES = 2_000_000
"""Winners are explained by whole series, evenly spread, of about so many samples where a data set has more."""
WIDEST_COUNTED_DELTA = 30
PACKAGES = ("squeezelab", "numpy", "numba", "numcodecs", "zstandard", "pyarrow", "xxhash")
PEER_PACKAGES = ("pcodec", "brotli", "blosc2", "openzl", "vortex-data", "duckdb", "chdb", "tsfile")


class Stopwatch:
    """Seconds that each stage of a run took, in order."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self.stages: dict[str, float] = {}
        self._begin = perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        begin = perf_counter()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + perf_counter() - begin

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return perf_counter() - self._begin


class ChosenSeries(NamedTuple):
    """Numbers of the series that slow codecs run on, that the slowest do, and that all are timed on; evenly spread."""

    slow: Sequence[int]
    slowest: Sequence[int]
    timed: Sequence[int]


@dataclass(frozen=True)
class Trial:
    """What came of codecs on the timestamps or the values of a data set, or of a partition of one.

    Attributes
    ----------
    proofs : dict of str to dict of int to Proof
        For each codec its proofs, by the number of the series and in that order.
    timings : dict of str to Timing
        For each codec that was timed, and memcpy among them.
    """

    proofs: dict[str, dict[int, Proof]]
    timings: dict[str, Timing]


@dataclass(frozen=True)
class FormatTrial:
    """What came of file formats on a data set, or on a part of it; memcpy is among the timings."""

    measurements: list[Measurement]
    timings: dict[str, Timing]
    access: list[Access]


def measure_dataset(
    dataset: MetricDataset,
    *,
    generator: str,
    size: str,
    seed: int = 0,
    provenance: dict[str, str] | None = None,
    codecs: Sequence[str] = DEFAULT_CODECS,
    formats: Sequence[str] = DEFAULT_FORMATS,
    rounds: int = ROUNDS,
    budget: float = BUDGET,
    settings: Mapping[str, Any] | None = None,
    stopwatch: Stopwatch | None = None,
) -> Results:
    """Run codecs and formats over a data set: prove every round trip, then time them in turns.

    Parameters
    ----------
    dataset : MetricDataset
        What is measured.
    generator, size, seed, provenance
        Where it comes from, for the record.
    codecs, formats : sequence of str
        Specifications, as `get_codec` and `get_format` take them. A codec runs on the columns whose dtype it takes.
    rounds : int
        Timed turns of each codec, at least; 0 times nothing.
    budget : float
        Seconds for timing; what is left after these turns goes to speeds that are not yet sure.
    settings : mapping, optional
        What else was chosen, for the record.
    stopwatch : Stopwatch, optional
        Counts the stages that came before this call as well.

    Returns
    -------
    Results

    Raises
    ------
    InvalidRequestError
        If the data set has no samples, or a specification is none.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> results = measure_dataset(
    ...     generate_metric_data(), generator="synthetic", size="small", codecs=["xor"], formats=[], rounds=0
    ... )
    >>> results.get("values", "xor").bit_exact
    True
    """
    if not len(dataset):
        raise InvalidRequestError("the data set has no samples: there is nothing to measure")
    stopwatch = stopwatch or Stopwatch()
    coders = [get_codec(spec) for spec in codecs]
    files = {name: get_format(name) for name in formats}
    with stopwatch.stage("facts"), working("Describing the data set"):
        facts = describe(
            dataset.keys,
            len(dataset),
            dataset.fingerprint,
            count_deltas_of_deltas(dataset),
            ndjson_bytes(dataset),
            generator=generator,
            size=size,
            seed=seed,
            provenance=provenance or {},
        )
    chosen = choose_series(dataset.keys, len(dataset))
    for_codecs = budget * share_of_codecs(coders, files)
    trials = try_codecs(dataset, coders, chosen, rounds=rounds, budget=for_codecs, stopwatch=stopwatch)
    measurements = summarize(dataset.keys, np.diff(dataset.offsets), trials)
    with stopwatch.stage("explanations"), working("Explaining the winners"):
        part = _part(dataset, MOST_EXPLAINED_SAMPLES)
        explanations = explain(part, dataset.keys, np.diff(dataset.offsets), trials, measurements)
    left = budget - min(for_codecs, stopwatch.stages["timing"])
    trial = try_formats(dataset, facts, files, rounds=rounds, budget=left, stopwatch=stopwatch)
    run = describe_run(
        stopwatch, rounds, describe_settings(codecs, formats, rounds, budget, **(settings or {})), name_missing()
    )
    return replace(collect(run, facts, measurements, trials, trial), explanations=explanations)


def describe_settings(
    codecs: Sequence[str], formats: Sequence[str], rounds: int, budget: float, **others: Any
) -> dict[str, Any]:
    """Return what was chosen for a run, as results keep it."""
    return {"codecs": list(codecs), "formats": list(formats), "rounds": rounds, "budget": budget, **others}


def share_of_codecs(codecs: Sequence[ColumnCodec], formats: Sequence[str] | Mapping[str, Format]) -> float:
    """Return which share of a budget for timing belongs to codecs: every one has a right to as much on each column."""
    columns = sum(1 + sum(dtype in codec.dtypes for codec in codecs) for dtype in (INT64, FLOAT64))
    return columns / (columns + 1 + len(formats)) if formats else 1.0


def collect(
    run: Run,
    facts: DatasetFacts,
    measurements: list[Measurement],
    trials: Mapping[str, Trial],
    formats: FormatTrial,
) -> Results:
    """Put together what a run has measured, and note how sure its speeds are."""
    measurements = measurements + formats.measurements
    timings = {subject: trial.timings for subject, trial in trials.items()} | {"dataset": formats.timings}
    copies = {subject: timed["memcpy"] for subject, timed in timings.items() if "memcpy" in timed}
    raw = {subject: _item_bytes(subject) * timing.samples for subject, timing in copies.items()}
    return Results(
        replace(run, notes=[*run.notes, *_describe_sureness(timings, run.settings["budget"])]),
        facts,
        measurements,
        {subject: raw[subject] / timing.decode.seconds / 1e6 for subject, timing in copies.items()},
        {
            subject: interval
            for subject, timing in copies.items()
            if (interval := _speed_interval(raw[subject], timing.decode))
        },
        formats.access,
    )


def _describe_sureness(timings: Mapping[str, Mapping[str, Timing]], budget: float) -> Iterator[str]:
    """Say how many speeds are noisy or were timed for a short while only, and what helps."""
    cells = [cell for timed in timings.values() for timing in timed.values() for cell in (timing.encode, timing.decode)]
    noisy, short = sum(cell.noisy for cell in cells), sum(cell.timed_seconds < CELL_SECONDS for cell in cells)
    if noisy or short:
        wanted = 10 * ceil(max(1.5 * CELL_SECONDS * len(cells), 2 * budget) / 10)
        yield (
            f"Noisy speeds (95 % interval wider than {NOISY_WIDTH:.0%}): {noisy} of {len(cells)}; timed for less than "
            f"{CELL_SECONDS:g} s: {short}. More time makes them surer: --budget {wanted}."
        )


def try_codecs(
    dataset: MetricDataset,
    codecs: Sequence[ColumnCodec],
    chosen: ChosenSeries,
    *,
    rounds: int,
    budget: float,
    threads: int | None = None,
    stopwatch: Stopwatch,
) -> dict[str, Trial]:
    """Prove and time codecs on the columns of a data set, or of a partition of one.

    Parameters
    ----------
    dataset : MetricDataset
        What they encode, series by series.
    codecs : sequence of ColumnCodec
        Each runs on the columns whose dtype it takes.
    chosen : ChosenSeries
        What not all run on.
    rounds, budget
        As `measure_dataset` takes them; the budget is for both columns.
    threads : int, optional
        Threads that prove; one a processor if not given.
    stopwatch : Stopwatch
        Counts the stages ``proof`` and ``timing``.

    Returns
    -------
    dict of str to Trial
        One for ``timestamps`` and one for ``values``.
    """
    trials = {}
    named = {codec_spec(codec): codec for codec in codecs}
    subjects = {"timestamps": dataset.timestamps, "values": dataset.values}
    fitting = {
        subject: {spec: codec for spec, codec in named.items() if column.dtype in codec.dtypes}
        for subject, column in subjects.items()
    }
    families = [dataset.keys[i].metric_name for i in chosen.timed]
    spare = 0.0
    for subject, column in subjects.items():
        columns = [column[a:b] for a, b in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)]
        with stopwatch.stage("proof"):
            proofs = _prove_columns(subject, fitting[subject], columns, chosen, threads)
        share = spare + budget * (1 + len(fitting[subject])) / sum(1 + len(some) for some in fitting.values())
        started = perf_counter()
        with stopwatch.stage("timing"):
            cut = partial(_cut_columns, [columns[i] for i in chosen.timed], families)
            timings = _time_coders(subject, fitting[subject], cut, rounds, share)
        spare = max(0.0, share - (perf_counter() - started))
        trials[subject] = Trial(proofs, timings)
    return trials


def _prove_columns(
    subject: str,
    codecs: dict[str, ColumnCodec],
    columns: list[Column],
    chosen: ChosenSeries,
    threads: int | None,
) -> dict[str, dict[int, Proof]]:
    """Return for each codec the proofs of all series by their numbers, only of a part if the codec is slow."""
    proofs = {}
    with progress_bar() as progress, ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        task = progress.add_task(f"Proving round trips of {subject}", total=len(codecs), unit="codecs")
        for spec, codec in codecs.items():
            part = chosen.slowest if codec.slowest else chosen.slow if codec.slow else range(len(columns))
            proven = prove_all(codec, [columns[i] for i in part], pool)
            proofs[spec] = dict(zip(part, proven, strict=True))
            progress.advance(task)
    return proofs


def _time_coders(
    subject: str, coders: Mapping[str, Coder], cut: Callable[[float], Sequence[Any]], rounds: int, budget: float
) -> dict[str, Timing]:
    """Return timings by coder, memcpy among them; none where there is nothing to time."""
    if not rounds or not coders or not sum(map(len, cut(1))):
        return {}
    racers: dict[str, Coder] = {"memcpy": Memcpy(), **coders}
    # Drawn between turns only: a thread that draws would take turns with what is timed.
    with progress_bar(quiet=True) as progress:
        task = progress.add_task(f"Timing {subject}", total=max(budget, 0.1), unit="seconds")
        started = drawn = perf_counter()

        def on_turn() -> None:
            nonlocal drawn
            if (now := perf_counter()) > drawn + SECONDS_BETWEEN_DRAWINGS:
                progress.update(task, completed=min(now - started, budget))
                progress.refresh()
                drawn = now

        return time_coders(racers, cut, budget, rounds=rounds, on_turn=on_turn)


def _cut_columns(columns: Sequence[Column], families: Sequence[str], share: float) -> list[Column]:
    """Return about this share of columns: whole ones, evenly spread, or the beginning of one of each family."""
    samples = sum(map(len, columns))
    chosen = [columns[i] for i in spread(families, share)]
    if len(chosen) > len(set(families)) or sum(map(len, chosen)) <= share * samples:
        return chosen
    longest = max(SHORTEST_TIMED_SERIES, int(share * samples / len(chosen)))
    return [column[:longest] for column in chosen]


def choose_series(keys: Sequence[SeriesKey], samples: int) -> ChosenSeries:
    """Choose the series of a data set of so many samples that slow codecs run on, and that all are timed on."""
    slowest = min(max(SLOWEST_SHARE * samples, FEWEST_SLOWEST_SAMPLES), MOST_SLOW_SAMPLES)
    amounts = MOST_SLOW_SAMPLES, slowest, _timed_samples(samples, TIMED_COLUMN_SAMPLES)
    return ChosenSeries(*(spread_series(keys, amount / samples) for amount in amounts))


def _timed_samples(samples: int, most: int) -> int:
    """Return on about how many of so many samples something is timed."""
    return min(max(samples // 2, FEWEST_TIMED_SAMPLES), most)


def spread_series(keys: Sequence[SeriesKey], share: float) -> list[int]:
    """Return the numbers of about this share of all series, evenly spread over every metric family."""
    return spread([key.metric_name for key in keys], share)


def summarize(keys: Sequence[SeriesKey], lengths: npt.NDArray[np.int64], trials: dict[str, Trial]) -> list[Measurement]:
    """Sum up trials: for each codec a measurement of each metric family, then one of all of them."""
    measurements = []
    for subject, trial in trials.items():
        for spec, proofs in trial.proofs.items():
            codec = get_codec(spec)
            families: dict[str | None, list[int]] = {}
            for i in proofs:
                families.setdefault(keys[i].metric_name, []).append(i)
            for family, numbers in families.items():
                some = [proofs[i] for i in numbers]
                measurements.append(_summary(subject, spec, codec, family, lengths[numbers], some))
            every, timing = list(proofs), trial.timings.get(spec)
            measurements.append(_summary(subject, spec, codec, None, lengths[every], list(proofs.values()), timing))
    return measurements


def explain(
    part: MetricDataset,
    keys: Sequence[SeriesKey],
    lengths: npt.NDArray[np.int64],
    trials: dict[str, Trial],
    measurements: Sequence[Measurement],
) -> list[Explained]:
    """Name and explain the winners of trials on a data set with these series, a part of which is looked at."""
    proofs = {subject: trial.proofs for subject, trial in trials.items()}
    return explain_dataset(part, keys, lengths, proofs, measurements, os.cpu_count())


def _item_bytes(subject: str) -> int:
    """Return the raw bytes of an item of a column, or of a sample of a data set."""
    return RAW_BYTES_PER_SAMPLE if subject == "dataset" else 8


def _speed_interval(raw_bytes: int, cell: Cell) -> tuple[float, float] | None:
    """Return the ends between which a speed lies, in megabytes a second."""
    if cell.interval is None:
        return None
    fastest, slowest = cell.interval
    return raw_bytes / slowest / 1e6, raw_bytes / fastest / 1e6


def _summary(
    subject: str,
    spec: str,
    coder: ColumnCodec | Format,
    metric: str | None,
    lengths: npt.NDArray[np.int64],
    proofs: list[Proof],
    timing: Timing | None = None,
) -> Measurement:
    """Sum up the proofs of some series, and the timing where there is one."""
    samples, encoded = int(lengths.sum()), sum(proof.encoded_bytes for proof in proofs)
    exact = all(proof.bit_exact for proof in proofs)
    # What may lose bits is not ranked among what cannot, even on data where it happened to lose none.
    lossy = not exact or (subject == "values" and coder.lossy)
    item = _item_bytes(subject)
    measurement = Measurement(
        subject=subject,
        metric=metric,
        codec=spec,
        samples=samples,
        raw_bytes=item * samples,
        encoded_bytes=encoded,
        ratio=item * samples / encoded if encoded else 0.0,
        bits_per_item=8 * encoded / samples if samples else 0.0,
        encode_mb_s=None,
        decode_mb_s=None,
        timed_samples=0,
        bit_exact=exact,
        proven_samples=samples,
        lossy=lossy,
        largest_error=max(proof.largest_error for proof in proofs) if lossy else None,
        relative_error=max((p.relative_error for p in proofs if p.relative_error is not None), default=None),
        frames_digest=combine_digests(proof.digest for proof in proofs),
        kind=coder.kind,
        whole_file=isinstance(coder, Format) and coder.whole_file,
    )
    return _with_speeds(measurement, timing) if timing else measurement


def _with_speeds(measurement: Measurement, timing: Timing) -> Measurement:
    raw_bytes = _item_bytes(measurement.subject) * timing.samples
    cells = timing.encode, timing.decode
    return replace(
        measurement,
        encode_mb_s=raw_bytes / timing.encode.seconds / 1e6,
        decode_mb_s=raw_bytes / timing.decode.seconds / 1e6,
        encode_ci=_speed_interval(raw_bytes, timing.encode),
        decode_ci=_speed_interval(raw_bytes, timing.decode),
        rounds=min(cell.rounds for cell in cells),
        timed_seconds=min(cell.timed_seconds for cell in cells),
        noisy=any(cell.noisy for cell in cells),
        timed_samples=timing.samples,
    )


def try_formats(
    dataset: MetricDataset,
    facts: DatasetFacts,
    files: Mapping[str, Format],
    *,
    rounds: int,
    budget: float,
    stopwatch: Stopwatch,
) -> FormatTrial:
    """Prove every format on what is here, or on a part of it if it is costly and the text is large; time it on a part.

    Parameters
    ----------
    dataset : MetricDataset
        The whole data set, or the part of it that the formats shall run on.
    facts : DatasetFacts
        What the whole is.
    files : mapping of str to Format
        What runs, by name.
    rounds, budget
        As `measure_dataset` takes them; the budget is for formats alone.
    stopwatch : Stopwatch
        Counts the stages ``formats``, ``timing`` and ``access``.
    """
    part = _part(dataset, _timed_samples(len(dataset), TIMED_DATASET_SAMPLES))
    with stopwatch.stage("formats"):
        proofs = _prove_formats(dataset, facts, files)
    with stopwatch.stage("timing"):
        timings = _time_coders("file formats", files, lambda share: [_part(part, share * len(part))], rounds, budget)
    with stopwatch.stage("access"):
        access = list(time_access(part, files)) if timings else []
    measurements = []
    for name, (proven, proof, meter) in proofs.items():
        measured = replace(
            _summary("dataset", name, files[name], None, np.diff(proven.offsets), [proof], timings.get(name)),
            encode_peak_mb=meter.encode_peak_mb,
            decode_peak_mb=meter.decode_peak_mb,
        )
        counted = name == "ndjson" and len(proven) < facts.samples
        measurements.append(_counted(measured, facts) if counted else measured)
    return FormatTrial(measurements, timings, access)


def _prove_formats(
    dataset: MetricDataset, facts: DatasetFacts, files: Mapping[str, Format]
) -> dict[str, tuple[MetricDataset, Proof, Metered]]:
    """Return for each format what it was proven on, the proof, and how much memory that took."""
    few = _part(dataset, 1)
    proofs = {}
    with settled(), progress_bar() as progress:
        task = progress.add_task("Proving file formats", total=len(files), unit="formats")
        for name, file in files.items():
            proven = _part(dataset, _most_samples(file, facts))
            # What is imported and compiled at a first use is no part of what a format needs.
            file.decode(file.encode(few))
            meter = Metered(file)
            proofs[name] = (proven, prove(meter, proven), meter)
            progress.advance(task)
    return proofs


def _most_samples(file: Format, facts: DatasetFacts) -> int:
    """Return on how many samples a format runs at most: less than all of large data where it is costly."""
    most = facts.samples * MOST_TEXT_BYTES // facts.ndjson_bytes if file.costly else facts.samples
    return min(most, MOST_PEER_SAMPLES) if file.kind == "peers" else most


def _counted(part: Measurement, facts: DatasetFacts) -> Measurement:
    """Return the measurement of a part of the text with the exact size of the whole text in its place."""
    return replace(
        part,
        samples=facts.samples,
        raw_bytes=facts.raw_bytes,
        encoded_bytes=facts.ndjson_bytes,
        ratio=facts.raw_bytes / facts.ndjson_bytes,
        bits_per_item=8 * facts.ndjson_bytes / facts.samples,
    )


def _part(dataset: MetricDataset, samples: float) -> MetricDataset:
    """Return whole series, evenly spread, of about so many samples; the data set itself if it has no more."""
    if len(dataset) <= samples:
        return dataset
    return dataset.select(spread_series(dataset.keys, samples / len(dataset)))


def count_deltas_of_deltas(dataset: MetricDataset) -> npt.NDArray[np.int64]:
    """Count the deltas of deltas of all series from -30 to 30, all beyond in the first and last entry."""
    counts = np.zeros(2 * WIDEST_COUNTED_DELTA + 3, np.int64)
    for series in dataset:
        deltas = np.diff(series.timestamps, 2)
        limit = WIDEST_COUNTED_DELTA + 1
        counts += np.bincount(np.clip(deltas, -limit, limit) + limit, minlength=counts.size)
    return counts


def describe(
    keys: Sequence[SeriesKey],
    samples: int,
    fingerprint: str,
    deltas_of_deltas: npt.NDArray[np.int64],
    text_bytes: int,
    **origin: Any,
) -> DatasetFacts:
    """Collect what a report says of a data set: its counts, its deltas of deltas, the sizes of the baselines."""
    total = int(deltas_of_deltas.sum())
    return DatasetFacts(
        **origin,
        series=len(keys),
        samples=samples,
        fingerprint=fingerprint,
        zero_dod_share=int(deltas_of_deltas[deltas_of_deltas.size // 2]) / total if total else None,
        delta_of_delta_counts=deltas_of_deltas.tolist(),
        raw_bytes=RAW_BYTES_PER_SAMPLE * samples,
        ndjson_bytes=text_bytes,
        dictionary_bytes=len(encode_keys(keys)),
    )


def describe_run(stopwatch: Stopwatch, rounds: int, settings: Mapping[str, Any], notes: Sequence[str] = ()) -> Run:
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
        rounds=rounds,
        notes=list(notes),
        governor=cpu_governor(),
        commit=source_commit(),
        settings=dict(settings),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what is measured, of the peers those that are installed."""
    return {package: version(package) for package in (*PACKAGES, *filter(is_installed, PEER_PACKAGES))}


def name_missing() -> list[str]:
    """Return a sentence on the codecs and formats that do not run here, none where all do."""
    missing = missing_codecs() | missing_formats()
    return [f"Not installed: {', '.join(sorted(missing))} ({PEERS_EXTRA})."] if missing else []
