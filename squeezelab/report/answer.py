"""What a report says first: the best codecs and files for this data, beside what the field uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from squeezelab.report.labels import label
from squeezelab.results import NOISY_WIDTH, Measurement, Results, relative_width

WITHIN = 2
"""Fastest to read is the fastest of those that take at most so many times the bits of the smallest."""
COLUMNS, FILES = ("timestamps", "values"), ("dataset",)
FIELD = {
    "Gorilla": ("delta_of_delta:widths=gorilla", "xor"),
    "Prometheus": ("prometheus.*", "prometheus.*"),
    "VictoriaMetrics": ("victoria.*", "victoria.*"),
    "zstd": ("zstd(:.*)?", "zstd(:.*)?"),
    "pcodec": ("pcodec(:.*)?", "pcodec(:.*)?"),
}
"""What others store metrics with, and the codecs that stand for it; of several settings the smallest."""
FIELD_FILES = {
    "NDJSON and zstd": ("ndjson[+]zstd.*",),
    "Parquet": ("parquet.*",),
    "ClickHouse": ("clickhouse.*",),
    "DuckDB": ("duckdb.*",),
    "TsFile": ("tsfile.*",),
    "Vortex": ("vortex.*",),
}


class Choice(NamedTuple):
    """A codec for each column, or a file format, and what it makes of a sample.

    Attributes
    ----------
    role : str
        What it was chosen for.
    names : list of str
        Of the timestamps' and the values' codec, or of the format.
    bytes_per_sample : float
        Of the columns or the file; codecs' frames come with the dictionary of series.
    encode_mb_s, decode_mb_s : float or None
        Raw megabytes a second; of two codecs one after the other.
    noisy : bool
        Whether the decoding speed is not sure.
    """

    role: str
    names: list[str]
    bytes_per_sample: float
    encode_mb_s: float | None
    decode_mb_s: float | None
    noisy: bool


Pick = Callable[[Sequence[Measurement]], Measurement | None]


def best(results: Results, subjects: Sequence[str]) -> list[Choice]:
    """Return the smallest and the fastest to read, of codecs for columns or of whole files."""
    return _choices(results, subjects, {"Smallest": [smallest] * 2, "Fastest to read": [fastest_to_read] * 2})


def used_in_the_field(results: Results, subjects: Sequence[str]) -> list[Choice]:
    """Return what others use, as far as it was measured."""
    field = FIELD_FILES if subjects == FILES else FIELD
    return _choices(
        results, subjects, {role: [partial(_named, pattern) for pattern in names] for role, names in field.items()}
    )


def smallest(measurements: Sequence[Measurement]) -> Measurement | None:
    """Return the lossless one of fewest bits."""
    return min((one for one in measurements if not one.lossy), key=lambda one: one.bits_per_item, default=None)


def fastest_to_read(measurements: Sequence[Measurement]) -> Measurement | None:
    """Return the lossless one that decodes fastest of those that save bytes and are about as small as the smallest."""
    least = smallest(measurements)
    near = [
        one
        for one in measurements
        if least and not one.lossy and one.ratio > 1 and one.bits_per_item <= WITHIN * least.bits_per_item
    ]
    return max((one for one in near if one.decode_mb_s), key=lambda one: one.decode_mb_s or 0, default=None)


def _named(pattern: str, measurements: Sequence[Measurement]) -> Measurement | None:
    return smallest([one for one in measurements if re.fullmatch(pattern, one.codec)])


def _choices(results: Results, subjects: Sequence[str], roles: dict[str, Sequence[Pick]]) -> list[Choice]:
    """Let each role pick from the subjects that were measured; leave out the role that finds one lacking."""
    groups = [results.find(subject) for subject in subjects]
    chosen = {
        role: [pick(group) for pick, group in zip(picks, groups, strict=False) if group]
        for role, picks in roles.items()
    }
    return [
        _choice(results, role, [one for one in picked if one])
        for role, picked in chosen.items()
        if picked and None not in picked
    ]


def _choice(results: Results, role: str, parts: list[Measurement]) -> Choice:
    facts = results.dataset
    both = len(parts) == len(COLUMNS)
    size = sum(one.encoded_bytes / one.samples for one in parts)
    return Choice(
        role,
        [label(one, facts.samples) for one in parts],
        size + facts.dictionary_bytes / facts.samples if both else size,
        _one_after_the_other([one.encode_mb_s for one in parts]),
        _one_after_the_other([one.decode_mb_s for one in parts]),
        any(
            relative_width(one.decode_mb_s, one.decode_ci) > NOISY_WIDTH
            for one in parts
            if one.decode_mb_s and one.decode_ci
        ),
    )


def _one_after_the_other(speeds: Sequence[float | None]) -> float | None:
    """Return the speed of parts of the same size that are worked on in turn."""
    if not all(speeds):
        return None
    return len(speeds) / sum(1 / (speed or 1) for speed in speeds)
