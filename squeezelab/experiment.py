"""What runs on a data set: every codec on every series, every format on the whole, proven first and timed then."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from squeezelab.codecs import ColumnCodec, codec_spec, get_codec
from squeezelab.codecs.base import Column
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats.ndjson import ndjson_bytes
from squeezelab.measure import Coder, Memcpy, Proof, Timing, prove, prove_all, race, spread
from squeezelab.results import DatasetFacts, Measurement, Results, Run

DEFAULT_CODECS = (
    "raw",
    "lz4",
    "zlib",
    "zstd",
    "delta_of_delta:widths=gorilla",
    "delta_of_delta",
    "delta_of_delta+zstd",
    "xor",
    "xor+zstd",
)
DEFAULT_FORMATS = (
    "ndjson",
    "ndjson+zstd",
    "columnar",
    "columnar+zstd",
    "delta_of_delta+xor",
    "delta_of_delta+xor+zstd",
)
ROUNDS = 5
TIMED_COLUMN_SAMPLES = 500_000
"""Codecs are timed on whole series, evenly spread over the data set, of about so many samples."""
TIMED_DATASET_SAMPLES = 100_000
"""Likewise formats, whose text is far larger."""
MOST_SLOW_SAMPLES = 10_000_000
"""Slow codecs run on whole series, evenly spread, of about so many samples where a data set has more."""
MOST_TEXT_BYTES = 500 * 10**6
"""Text larger than this is counted, not made: its formats run on whole series, evenly spread, of about this size."""
WIDEST_COUNTED_DELTA = 30
PACKAGES = ("squeezelab", "numpy", "numba", "numcodecs", "zstandard", "pyarrow", "xxhash")


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
    with stopwatch.stage("facts"):
        facts = describe(dataset, generator, size, seed, provenance or {})
    slow_part, timed_part = (_spread_series(dataset, most) for most in (MOST_SLOW_SAMPLES, TIMED_COLUMN_SAMPLES))
    measurements: list[Measurement] = []
    memcpy: dict[str, float] = {}
    with progress_bar() as progress:
        for subject, column in (("timestamps", dataset.timestamps), ("values", dataset.values)):
            columns = [column[a:b] for a, b in zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)]
            fitting = {codec_spec(codec): codec for codec in coders if column.dtype in codec.dtypes}
            with stopwatch.stage("proof"):
                proofs = _prove_columns(subject, fitting, columns, slow_part, progress)
            with stopwatch.stage("timing"):
                timings, timed = _time_columns(subject, fitting, columns, timed_part, rounds, progress)
            if "memcpy" in timings:
                memcpy[subject] = 8 * timed / timings["memcpy"].decode_seconds / 1e6
            for spec, proven in proofs.items():
                measurements += _by_family(subject, spec, dataset, proven)
                lengths = np.diff(dataset.offsets)[list(proven)]
                measurements.append(
                    _summary(subject, spec, None, lengths, list(proven.values()), timings.get(spec), timed)
                )
        with stopwatch.stage("formats"):
            measurements += _measure_formats(dataset, facts, files, rounds, progress)
    return Results(_describe_run(stopwatch), facts, measurements, memcpy)


def _prove_columns(
    subject: str, codecs: dict[str, ColumnCodec], columns: list[Column], part: list[int], progress: Progress
) -> dict[str, dict[int, Proof]]:
    """Return for each codec the proofs of all series by their numbers, only of a part if the codec is slow."""
    task = progress.add_task(f"Proving round trips of {subject}", total=len(codecs), unit="codecs")
    proofs = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for spec, codec in codecs.items():
            chosen = part if codec.slow else range(len(columns))
            proven = prove_all(codec, [columns[i] for i in chosen], pool)
            proofs[spec] = dict(zip(chosen, proven, strict=True))
            progress.advance(task)
    return proofs


def _time_columns(
    subject: str,
    codecs: dict[str, ColumnCodec],
    columns: list[Column],
    part: list[int],
    rounds: int,
    progress: Progress,
) -> tuple[dict[str, Timing], int]:
    """Return timings by codec, memcpy among them, and the number of samples they were measured on."""
    if not rounds:
        return {}, 0
    chosen = [columns[i] for i in part]
    racers: dict[str, Coder] = {"memcpy": Memcpy(), **codecs}
    task = progress.add_task(f"Timing {subject}", total=len(racers) * rounds, unit="turns")
    return race(racers, chosen, rounds, lambda: progress.advance(task)), sum(map(len, chosen))


def _spread_series(dataset: MetricDataset, samples: int) -> list[int]:
    """Return the numbers of series of about so many samples, evenly spread over every metric family."""
    return spread([key.metric_name for key in dataset.keys], samples / len(dataset))


def _by_family(subject: str, spec: str, dataset: MetricDataset, proofs: dict[int, Proof]) -> Iterator[Measurement]:
    families: dict[str, list[int]] = {}
    for i in proofs:
        families.setdefault(dataset.keys[i].metric_name, []).append(i)
    for family, numbers in families.items():
        lengths = np.diff(dataset.offsets)[numbers]
        yield _summary(subject, spec, family, lengths, [proofs[i] for i in numbers], None, 0)


def _summary(
    subject: str,
    spec: str,
    metric: str | None,
    lengths: npt.NDArray[np.int64],
    proofs: list[Proof],
    timing: Timing | None,
    timed: int,
) -> Measurement:
    """Sum up the proofs of some series, and the timing where there is one."""
    samples, encoded = int(lengths.sum()), sum(proof.encoded_bytes for proof in proofs)
    exact = all(proof.bit_exact for proof in proofs)
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
        lossy=not exact,
        largest_error=None if exact else max(proof.largest_error for proof in proofs),
    )


def _measure_formats(
    dataset: MetricDataset, facts: DatasetFacts, files: dict[str, Any], rounds: int, progress: Progress
) -> Iterator[Measurement]:
    """Prove every format on the whole data set, or a part where its text would be too large; time it on a part."""
    part = _part(dataset, TIMED_DATASET_SAMPLES)
    text_part = _part(dataset, len(dataset) * MOST_TEXT_BYTES // facts.ndjson_bytes)
    task = progress.add_task("Proving file formats", total=len(files), unit="formats")
    proofs = {}
    for name, file in files.items():
        whole = text_part if name.startswith("ndjson") else dataset
        proofs[name] = (whole, prove(file, whole))
        progress.advance(task)
    task = progress.add_task("Timing file formats", total=len(files) * rounds, unit="turns")
    timings = race(files, [part], rounds, lambda: progress.advance(task)) if rounds else {}
    for name, (whole, proof) in proofs.items():
        lengths = np.diff(whole.offsets)
        measured = _summary("dataset", name, None, lengths, [proof], timings.get(name), len(part))
        yield _counted(measured, dataset, facts) if name == "ndjson" and whole is not dataset else measured


def _counted(part: Measurement, dataset: MetricDataset, facts: DatasetFacts) -> Measurement:
    """Return the measurement of a part of the text with the exact size of the whole text in its place."""
    return replace(
        part,
        samples=len(dataset),
        raw_bytes=dataset.raw_bytes,
        encoded_bytes=facts.ndjson_bytes,
        ratio=dataset.raw_bytes / facts.ndjson_bytes,
        bits_per_item=8 * facts.ndjson_bytes / len(dataset),
    )


def _part(dataset: MetricDataset, samples: int) -> MetricDataset:
    """Return whole series, evenly spread, of about so many samples; the data set itself if it has no more."""
    if len(dataset) <= samples:
        return dataset
    return dataset.select(_spread_series(dataset, samples))


def describe(dataset: MetricDataset, generator: str, size: str, seed: int, provenance: dict[str, str]) -> DatasetFacts:
    """Collect what a report says of a data set: its counts, its deltas of deltas, the sizes of the baselines."""
    counts = np.zeros(2 * WIDEST_COUNTED_DELTA + 3, np.int64)
    for series in dataset:
        deltas = np.diff(series.timestamps, 2)
        limit = WIDEST_COUNTED_DELTA + 1
        counts += np.bincount(np.clip(deltas, -limit, limit) + limit, minlength=counts.size)
    total = int(counts.sum())
    return DatasetFacts(
        generator=generator,
        size=size,
        seed=seed,
        provenance=provenance,
        series=len(dataset.keys),
        samples=len(dataset),
        fingerprint=dataset.fingerprint,
        zero_dod_share=int(counts[counts.size // 2]) / total if total else None,
        delta_of_delta_counts=counts.tolist(),
        raw_bytes=dataset.raw_bytes,
        ndjson_bytes=ndjson_bytes(dataset),
        dictionary_bytes=len(encode_keys(dataset.keys)),
    )


def _describe_run(stopwatch: Stopwatch) -> Run:
    return Run(
        started=stopwatch.started.isoformat(timespec="seconds"),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        versions={package: version(package) for package in PACKAGES},
        seconds=stopwatch.seconds,
        peak_rss_mb=_peak_rss_mb(),
        stages=dict(stopwatch.stages),
    )


def _cpu_model() -> str:
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
