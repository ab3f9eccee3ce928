"""What runs on a data set: every codec on every series, every format on the whole, proven first and timed then."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from squeezelab.codecs import ColumnCodec, codec_spec, get_codec, missing_codecs, showcase_codecs
from squeezelab.codecs.base import Column
from squeezelab.console import progress_bar, working
from squeezelab.dataset import RAW_BYTES_PER_SAMPLE, MetricDataset, SeriesKey, combine_digests
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import Format, get_format, missing_formats, showcase_formats
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats.downsampled import STEPS
from squeezelab.formats.ndjson import ndjson_bytes
from squeezelab.measure import Coder, Memcpy, Proof, Timing, prove, prove_all, race, spread
from squeezelab.registry import PEERS_EXTRA, is_installed
from squeezelab.results import DatasetFacts, Measurement, Results, Run

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
)
"""The ladder, rung by rung, then files of others: tables and charts keep this order."""
ROUNDS = 5
TIMED_COLUMN_SAMPLES = 500_000
"""Codecs are timed on whole series, evenly spread over the data set, of about so many samples."""
TIMED_DATASET_SAMPLES = 100_000
"""Likewise formats, whose text is far larger."""
TIMED_SLOW_SHARE = 0.1
"""Slow codecs are timed on this share of the series that others are, of each metric family one at least."""
MOST_SLOW_SAMPLES = 1_000_000
"""Slow codecs run on whole series, evenly spread, of about so many samples where a data set has more."""
MOST_PEER_SAMPLES = 5_000_000
"""Likewise files of other engines, which make a table in memory of what they write."""
MOST_TEXT_BYTES = 100 * 10**6
"""Text larger than this is counted, not made: costly formats run on whole series, evenly spread, of about this size."""
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


@dataclass(frozen=True)
class Trial:
    """What came of codecs on the timestamps or the values of a data set, or of a partition of one.

    Attributes
    ----------
    proofs : dict of str to dict of int to Proof
        For each codec its proofs, by the number of the series and in that order.
    timings : dict of str to Timing
        For each codec that was timed, and memcpy among them.
    timed_samples : dict of str to int
        For each of these how many samples it was timed on.
    """

    proofs: dict[str, dict[int, Proof]]
    timings: dict[str, Timing]
    timed_samples: dict[str, int]


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
        Timed turns of each codec; 0 times nothing.
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
    slow, timed = (
        spread_series(dataset.keys, most / len(dataset)) for most in (MOST_SLOW_SAMPLES, TIMED_COLUMN_SAMPLES)
    )
    trials = try_codecs(dataset, coders, slow=slow, timed=timed, rounds=rounds, stopwatch=stopwatch)
    measurements = summarize(dataset.keys, np.diff(dataset.offsets), trials)
    with stopwatch.stage("formats"):
        measurements += measure_formats(dataset, facts, files, rounds)
    return Results(describe_run(stopwatch, rounds, name_missing()), facts, measurements, memcpy_speeds(trials))


def try_codecs(
    dataset: MetricDataset,
    codecs: Sequence[ColumnCodec],
    *,
    slow: Sequence[int],
    timed: Sequence[int],
    rounds: int,
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
    slow, timed : sequence of int
        Numbers of the series that slow codecs run on, and that all are timed on.
    rounds : int
        Timed turns of each codec; 0 times nothing.
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
    few = [timed[i] for i in spread_series([dataset.keys[i] for i in timed], TIMED_SLOW_SHARE)]
    with progress_bar() as progress:
        for subject, column in (("timestamps", dataset.timestamps), ("values", dataset.values)):
            columns = [column[a:b] for a, b in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)]
            fitting = {codec_spec(codec): codec for codec in codecs if column.dtype in codec.dtypes}
            with stopwatch.stage("proof"):
                proofs = _prove_columns(subject, fitting, columns, slow, threads, progress)
            with stopwatch.stage("timing"):
                timings: dict[str, Timing] = {}
                timed_samples: dict[str, int] = {}
                for slowly, chosen in ((False, timed), (True, few)):
                    racers = {spec: codec for spec, codec in fitting.items() if codec.slow == slowly}
                    raced = _time_columns(subject, racers, [columns[i] for i in chosen], rounds, progress)
                    # memcpy takes its turn among both; it is the others' that counts.
                    timings = raced | timings
                    samples = int(np.diff(dataset.offsets)[chosen].sum())
                    timed_samples = dict.fromkeys(raced, samples) | timed_samples
            trials[subject] = Trial(proofs, timings, timed_samples)
    return trials


def _prove_columns(
    subject: str,
    codecs: dict[str, ColumnCodec],
    columns: list[Column],
    part: Sequence[int],
    threads: int | None,
    progress: Progress,
) -> dict[str, dict[int, Proof]]:
    """Return for each codec the proofs of all series by their numbers, only of a part if the codec is slow."""
    task = progress.add_task(f"Proving round trips of {subject}", total=len(codecs), unit="codecs")
    proofs = {}
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for spec, codec in codecs.items():
            chosen = part if codec.slow else range(len(columns))
            proven = prove_all(codec, [columns[i] for i in chosen], pool)
            proofs[spec] = dict(zip(chosen, proven, strict=True))
            progress.advance(task)
    return proofs


def _time_columns(
    subject: str, codecs: dict[str, ColumnCodec], columns: list[Column], rounds: int, progress: Progress
) -> dict[str, Timing]:
    """Return timings by codec, memcpy among them."""
    if not rounds or not columns or not codecs:
        return {}
    racers: dict[str, Coder] = {"memcpy": Memcpy(), **codecs}
    task = progress.add_task(f"Timing {subject}", total=len(racers) * rounds, unit="turns")
    return race(racers, columns, rounds, lambda: progress.advance(task))


def spread_series(keys: Sequence[SeriesKey], share: float) -> list[int]:
    """Return the numbers of about this share of all series, evenly spread over every metric family."""
    return spread([key.metric_name for key in keys], share)


def summarize(keys: Sequence[SeriesKey], lengths: npt.NDArray[np.int64], trials: dict[str, Trial]) -> list[Measurement]:
    """Sum up trials: for each codec a measurement of each metric family, then one of all of them."""
    measurements = []
    for subject, trial in trials.items():
        for spec, proofs in trial.proofs.items():
            families: dict[str | None, list[int]] = {}
            for i in proofs:
                families.setdefault(keys[i].metric_name, []).append(i)
            for family, numbers in families.items():
                measurements.append(_summary(subject, spec, family, lengths[numbers], [proofs[i] for i in numbers]))
            every, timing = list(proofs), trial.timings.get(spec)
            measurements.append(
                _summary(
                    subject,
                    spec,
                    None,
                    lengths[every],
                    list(proofs.values()),
                    timing,
                    trial.timed_samples.get(spec, 0),
                )
            )
    return measurements


def memcpy_speeds(trials: dict[str, Trial]) -> dict[str, float]:
    """Return the megabytes a second at which columns were copied, by subject."""
    return {
        subject: 8 * trial.timed_samples["memcpy"] / trial.timings["memcpy"].decode_seconds / 1e6
        for subject, trial in trials.items()
        if "memcpy" in trial.timings
    }


def _summary(
    subject: str,
    spec: str,
    metric: str | None,
    lengths: npt.NDArray[np.int64],
    proofs: list[Proof],
    timing: Timing | None = None,
    timed: int = 0,
) -> Measurement:
    """Sum up the proofs of some series, and the timing where there is one."""
    samples, encoded = int(lengths.sum()), sum(proof.encoded_bytes for proof in proofs)
    coder = get_format(spec) if subject == "dataset" else get_codec(spec)
    exact = all(proof.bit_exact for proof in proofs)
    # What may lose bits is not ranked among what cannot, even on data where it happened to lose none.
    lossy = not exact or (subject == "values" and get_codec(spec).lossy)
    item = 16 if subject == "dataset" else 8
    return Measurement(
        subject=subject,
        metric=metric,
        codec=spec,
        samples=samples,
        raw_bytes=item * samples,
        encoded_bytes=encoded,
        ratio=item * samples / encoded if encoded else 0.0,
        bits_per_item=8 * encoded / samples if samples else 0.0,
        encode_mb_s=item * timed / timing.encode_seconds / 1e6 if timing else None,
        decode_mb_s=item * timed / timing.decode_seconds / 1e6 if timing else None,
        timed_samples=timed if timing else 0,
        bit_exact=exact,
        proven_samples=samples,
        lossy=lossy,
        largest_error=max(proof.largest_error for proof in proofs) if lossy else None,
        relative_error=max((p.relative_error for p in proofs if p.relative_error is not None), default=None),
        frames_digest=combine_digests(proof.digest for proof in proofs),
        kind=coder.kind,
        whole_file=isinstance(coder, Format) and coder.whole_file,
    )


def measure_formats(
    dataset: MetricDataset, facts: DatasetFacts, files: dict[str, Format], rounds: int
) -> Iterator[Measurement]:
    """Prove every format on what is here, or on a part of it if it is costly and the text is large; time it on a part.

    Parameters
    ----------
    dataset : MetricDataset
        The whole data set, or the part of it that the formats shall run on.
    facts : DatasetFacts
        What the whole is.
    files : dict of str to Format
        What runs, by name.
    rounds : int
        Timed turns of each format; 0 times nothing.

    Yields
    ------
    Measurement
    """
    most_text = facts.samples * MOST_TEXT_BYTES // facts.ndjson_bytes
    proofs = {}
    timings: dict[str, Timing] = {}
    with progress_bar() as progress:
        task = progress.add_task("Proving file formats", total=len(files), unit="formats")
        for name, file in files.items():
            proven = _part(
                dataset,
                min(
                    most_text if file.costly else len(dataset),
                    MOST_PEER_SAMPLES if file.kind == "peers" else len(dataset),
                ),
            )
            proofs[name] = (proven, prove(file, proven))
            progress.advance(task)
        task = progress.add_task("Timing file formats", total=len(files) * rounds, unit="turns")
        parts = {False: _part(dataset, TIMED_DATASET_SAMPLES)}
        parts[True] = _part(parts[False], int(len(parts[False]) * TIMED_SLOW_SHARE))
        for costly, part in parts.items() if rounds else ():
            racers: dict[str, Coder] = {name: file for name, file in files.items() if file.costly == costly}
            timings |= race(racers, [part], rounds, lambda: progress.advance(task))
    for name, (proven, proof) in proofs.items():
        lengths = np.diff(proven.offsets)
        timed = len(parts[files[name].costly])
        measured = _summary("dataset", name, None, lengths, [proof], timings.get(name), timed)
        yield _counted(measured, facts) if name == "ndjson" and len(proven) < facts.samples else measured


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


def _part(dataset: MetricDataset, samples: int) -> MetricDataset:
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


def describe_run(stopwatch: Stopwatch, rounds: int, notes: Sequence[str] = ()) -> Run:
    """Collect what a report says of a run on this machine."""
    return Run(
        started=stopwatch.started.isoformat(timespec="seconds"),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        versions=package_versions(),
        seconds=stopwatch.seconds,
        peak_rss_mb=_peak_rss_mb(),
        stages=dict(stopwatch.stages),
        rounds=rounds,
        notes=list(notes),
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what is measured, of the peers those that are installed."""
    return {package: version(package) for package in (*PACKAGES, *filter(is_installed, PEER_PACKAGES))}


def name_missing() -> list[str]:
    """Return a sentence on the codecs and formats that do not run here, none where all do."""
    missing = missing_codecs() | missing_formats()
    return [f"Not installed: {', '.join(sorted(missing))} ({PEERS_EXTRA})."] if missing else []


def cpu_model() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_rss_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
