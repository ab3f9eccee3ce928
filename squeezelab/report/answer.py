"""What a report says first: the best codecs and files for this data, beside what the field uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

from squeezelab.report.engines import best_engines
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
    further_bytes : float or None
        Of a file: bytes of each further sample, without those that it takes however little it holds.
    told : str
        What else is to be known of it.
    """

    role: str
    names: list[str]
    bytes_per_sample: float
    encode_mb_s: float | None
    decode_mb_s: float | None
    noisy: bool
    further_bytes: float | None = None
    told: str = ""


Pick = Callable[[Sequence[Measurement]], Measurement | None]


def best(results: Results, subjects: Sequence[str]) -> list[Choice]:
    """Return the smallest and the fastest to read, of codecs for columns or of whole files."""
    groups = [group for subject in subjects if (group := [m for m in results.common(subject) if not m.lossy])]
    if not groups:
        return []
    least = [min(group, key=lambda one: one.bits_per_item) for group in groups]
    choices = [_choice(results, "Smallest", least)]
    if fastest := _fastest_to_read(groups, least):
        choices.append(_choice(results, "Fastest to read", fastest))
    return choices


def _fastest_to_read(groups: Sequence[Sequence[Measurement]], least: Sequence[Measurement]) -> list[Measurement] | None:
    """Return the codecs that are read fastest together, of those that save bytes and are about as small together."""
    candidates = [[one for one in group if one.decode_mb_s and one.ratio > 1] for group in groups]
    most = WITHIN * sum(one.bits_per_item for one in least)
    near = [each for each in product(*candidates) if sum(one.bits_per_item for one in each) <= most]

    def speed(each: Iterable[Measurement]) -> float:
        return _one_after_the_other([one.decode_mb_s for one in each]) or 0.0

    return list(max(near, key=speed)) if near else None


def best_databases(results: Results) -> list[Choice]:
    """Return the smallest database that gave back every bit, and the one that answers quickest, at their settings."""
    return [
        Choice(
            role,
            [one.engine],
            one.bytes_per_sample,
            None,
            None,
            noisy=False,
            further_bytes=one.further_bytes,
            told=f"an hour of a series in {one.hour_ms:.2g} ms" if one.hour_ms is not None else "",
        )
        for role, one in best_engines(results)
    ]


def used_in_the_field(results: Results, subjects: Sequence[str]) -> list[Choice]:
    """Return what others use, as far as it was measured."""
    field = FIELD_FILES if subjects == FILES else FIELD
    return _choices(
        results, subjects, {role: [partial(_named, pattern) for pattern in names] for role, names in field.items()}
    )


def smallest(measurements: Sequence[Measurement]) -> Measurement | None:
    """Return the lossless one of fewest bits."""
    return min((one for one in measurements if not one.lossy), key=lambda one: one.bits_per_item, default=None)


def in_a_sentence(results: Results) -> str:
    """Say what is smallest, what of it can be used in what people already run, and how far zstd and Parquet are.

    Empty where no lossless file and no database was measured.
    """
    return " ".join(filter(None, (_files_in_a_sentence(results), _databases_in_a_sentence(results))))


def _databases_in_a_sentence(results: Results) -> str:
    """Name the best setting of a database that ran here."""
    databases = best_databases(results)
    if not databases:
        return ""
    least = databases[0]
    told = f"; {least.told}" if least.told else ""
    return (
        f"Of the databases that ran, {least.names[0]} is the smallest that gave back every bit: "
        f"{least.bytes_per_sample:.2f} bytes a further sample{told}."
    )


def _files_in_a_sentence(results: Results) -> str:
    files = best(results, FILES)
    if not files:
        return ""
    least = files[0]
    told = (
        f"Smallest as a file is {least.names[0]}: {least.bytes_per_sample:.2f} bytes a sample, "
        f"{16 / least.bytes_per_sample:.1f} times less than raw."
    )
    field = {choice.role: choice for choice in used_in_the_field(results, FILES)}
    if usable := min(field.values(), key=lambda choice: choice.bytes_per_sample, default=None):
        told += f" Of what you may already run, {usable.role} is smallest, with {usable.bytes_per_sample:.2f}."
    far = [
        f"{role} {choice.bytes_per_sample / least.bytes_per_sample:.1f}"
        for role in ("Parquet", "NDJSON and zstd")
        if (choice := field.get(role)) and choice.names != least.names
    ]
    return told + (f" Times as large as the smallest: {', '.join(far)}." if far else "")


def _named(pattern: str, measurements: Sequence[Measurement]) -> Measurement | None:
    return smallest([one for one in measurements if re.fullmatch(pattern, one.codec)])


def _choices(results: Results, subjects: Sequence[str], roles: dict[str, Sequence[Pick]]) -> list[Choice]:
    """Let each role pick from the subjects that were measured; leave out the role that finds one lacking."""
    groups = [results.common(subject) for subject in subjects]
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
    size = sum(one.bits_per_item / 8 for one in parts)
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
        parts[0].further_bytes if len(parts) == 1 else None,
    )


def _one_after_the_other(speeds: Sequence[float | None]) -> float | None:
    """Return the speed of parts of the same size that are worked on in turn."""
    if not all(speeds):
        return None
    return len(speeds) / sum(1 / (speed or 1) for speed in speeds)
