"""What is done to one partition of a data set: looked at, and codecs proven on it, on whatever thread or machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import ColumnCodec
from squeezelab.dataset import MetricDataset, Series
from squeezelab.experiment.parts import Window, take_series
from squeezelab.experiment.proof import Proof, prove, reason_of
from squeezelab.formats.ndjson import ndjson_bytes

SUBJECTS = ("timestamps", "values")
WIDEST_COUNTED_DELTA = 30


@dataclass(frozen=True)
class Survey:
    """What a partition is, and the windows of it that the run goes on with.

    Attributes
    ----------
    digests : list of bytes
        Of its series.
    deltas_of_deltas : int64[]
        How many there are from -30 to 30, all beyond in the first and last entry.
    ndjson_bytes, raw_bytes : int
        Of its text, and of its samples.
    dtypes : Counter of str
        How many series have values of each.
    kept : dict of str to list of Series
        The windows of each part.
    """

    digests: list[bytes]
    deltas_of_deltas: npt.NDArray[np.int64]
    ndjson_bytes: int
    raw_bytes: int
    dtypes: Counter[str]
    kept: dict[str, list[Series]]


def survey(dataset: MetricDataset, first: int, parts: Mapping[str, Sequence[Window]]) -> Survey:
    """Look at a partition whose first series has this number in the data set, and keep windows of it."""
    last = first + len(dataset.keys)
    return Survey(
        [series.digest() for series in dataset],
        count_deltas_of_deltas(dataset),
        ndjson_bytes(dataset),
        dataset.raw_bytes,
        Counter(dtype.name for dtype in dataset.dtypes or ()),
        {
            name: take_series(dataset, [one for one in windows if first <= one.series < last], first)
            for name, windows in parts.items()
        },
    )


def count_deltas_of_deltas(dataset: MetricDataset) -> npt.NDArray[np.int64]:
    """Count the deltas of deltas of all series from -30 to 30, all beyond in the first and last entry."""
    counts = np.zeros(2 * WIDEST_COUNTED_DELTA + 3, np.int64)
    for series in dataset:
        deltas = np.diff(series.timestamps, 2)
        limit = WIDEST_COUNTED_DELTA + 1
        counts += np.bincount(np.clip(deltas, -limit, limit) + limit, minlength=counts.size)
    return counts


WARMING = 1_000
"""Values that each codec is called with before it is timed."""
Codecs = Mapping[str, Mapping[str, ColumnCodec]]
"""By subject, by name."""


@dataclass
class Proven:
    """What came of codecs on the series of a partition, in their order.

    Attributes
    ----------
    proofs : dict of str to dict of str to list of Proof or None
        By subject, by codec; None for a series whose dtype a codec does not take.
    seconds : dict of (str, str) to float
        What each took for all of them, there and back.
    failures : dict of (str, str) to str
        Why a codec was given up; it has no proofs then.
    """

    proofs: dict[str, dict[str, list[Proof | None]]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: Sequence[Proven]) -> Proven:
        """Put partitions together; a codec that failed on one of them has failed."""
        joined = cls()
        for part in parts:
            joined.failures |= part.failures
        for subject, by_codec in parts[0].proofs.items():
            names = [name for name in by_codec if (subject, name) not in joined.failures]
            joined.proofs[subject] = {
                name: [proof for part in parts for proof in part.proofs[subject][name]] for name in names
            }
            joined.seconds |= {(subject, n): sum(part.seconds[subject, n] for part in parts) for n in names}
        return joined


def prove_codecs(dataset: MetricDataset, first: int, codecs: Codecs) -> Proven:
    """Prove every codec on every series of a partition.

    One that raises is given up on this partition, with a word on what it raised: others go on.
    """
    proven = Proven()
    for subject, by_name in codecs.items():
        columns = [getattr(series, subject) for series in dataset]
        proofs = proven.proofs[subject] = {}
        for name, codec in by_name.items():
            taken = [one if one.dtype in tuple(codec.dtypes) else None for one in columns]
            started = perf_counter()
            try:
                _load(codec, [one for one in taken if one is not None])
                started = perf_counter()
                proofs[name] = [None if one is None else prove(codec, one) for one in taken]
            except Exception as error:
                proven.failures[subject, name] = reason_of(error)
                proofs[name] = []
            proven.seconds[subject, name] = perf_counter() - started
    return proven


def _load(codec: ColumnCodec, columns: Sequence[npt.NDArray[Any]]) -> None:
    """Call a codec once: how long its kernels take to load says nothing of how long all columns take."""
    for column in columns[:1]:
        codec.decode(codec.encode(column[:WARMING]))


def fitting_codecs(codecs: Mapping[str, ColumnCodec], dataset: MetricDataset) -> Codecs:
    """Return which codecs take columns of each subject: of values, those of any series."""
    held = {"timestamps": (dataset.timestamps.dtype,), "values": dataset.value_dtypes}
    return {
        subject: {name: codec for name, codec in codecs.items() if set(held[subject]) & set(codec.dtypes)}
        for subject in SUBJECTS
    }
