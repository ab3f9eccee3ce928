"""What a tally file's index tells of it: series, samples, span, and which metric families take how many bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from squeezelab.dataset import RAW_BYTES_PER_SAMPLE, UNITS_PER_SECOND
from squeezelab.formats.tally.columns import BLOCK_CHECKSUM_BYTES, Columns

if TYPE_CHECKING:
    from squeezelab.formats.tally.file import TallyFile
    from squeezelab.formats.tally.part import Part


def describe(file: TallyFile) -> dict[str, Any]:
    """Return what there is to tell, as JSON has it; timestamps in the file's unit of time."""
    sizes, samples, series = Counter[str](), Counter[str](), Counter[str]()
    for part in file.parts:
        for key, count, size in zip(part.keys, part.series.counts.tolist(), _sizes(part.series), strict=True):
            sizes[key.metric_name] += size
            samples[key.metric_name] += count
    for key in file.keys:
        series[key.metric_name] += 1
    parts = [
        _describe_part(part, UNITS_PER_SECOND[file.time_unit] // UNITS_PER_SECOND[part.unit]) for part in file.parts
    ]
    total = sum(samples.values())
    return {
        "version": file.version,
        "bytes": file.end,
        "series": len(file.keys),
        "samples": total,
        "time_unit": file.time_unit,
        "first": min((one["first"] for one in parts if one["first"] is not None), default=None),
        "last": max((one["last"] for one in parts if one["last"] is not None), default=None),
        "raw_bytes": RAW_BYTES_PER_SAMPLE * total,
        "ratio": RAW_BYTES_PER_SAMPLE * total / file.end,
        "bytes_per_sample": file.end / total if total else None,
        "families": [
            {"name": name, "series": series[name], "samples": samples[name], "bytes": size}
            for name, size in sizes.most_common()
        ],
        "parts": parts,
        "index_bytes": file.end - sum(one["value_bytes"] + one["timestamp_bytes"] for one in parts),
    }


def _sizes(columns: Columns) -> list[int]:
    """Return the bytes of each column's blocks with their checksums."""
    lengths = (columns.ends - columns.begins).astype(np.int64) + BLOCK_CHECKSUM_BYTES
    sums = np.concatenate([[0], np.cumsum(lengths)])
    return np.diff(sums[columns.blocks]).tolist()  # type: ignore[no-any-return]


def _describe_part(part: Part, factor: int) -> dict[str, Any]:
    bounds = part.bounds
    return {
        "series": len(part.keys),
        "samples": part.samples,
        "time_unit": part.unit,
        "first": int(bounds.min()) * factor if bounds.size else None,
        "last": int(bounds.max()) * factor if bounds.size else None,
        "value_bytes": sum(_sizes(part.series)),
        "timestamp_bytes": sum(_sizes(part.clocks)),
        "statistics": list(part.statistics),
    }


def information_tables(name: str, described: dict[str, Any]) -> Iterator[Table | str]:
    """Yield what was described, for a person to read."""
    unit = described["time_unit"]
    yield f"{name}: version {described['version']}, {described['bytes']:,} bytes"
    yield f"{described['series']:,} series, {described['samples']:,} samples, in {unit}"
    if described["samples"]:
        yield f"{_moment(described['first'], unit)} to {_moment(described['last'], unit)}"
        each = f"{described['bytes_per_sample']:.3f} bytes a sample"
        yield f"{each}, {described['ratio']:.1f} times smaller than 16 bytes a sample"
    families = Table("metric", *_numbers("series", "samples", "bytes", "bytes a sample"), box=None)
    for one in described["families"]:
        share = f"{one['bytes'] / one['samples']:.3f}" if one["samples"] else ""
        families.add_row(one["name"], f"{one['series']:,}", f"{one['samples']:,}", f"{one['bytes']:,}", share)
    yield families
    parts = Table(*_numbers("part", "series", "samples", "of values", "of timestamps"), "from", "to", box=None)
    for number, one in enumerate(described["parts"], 1):
        columns = [number, one["series"], one["samples"], one["value_bytes"], one["timestamp_bytes"]]
        span = [_moment(one[end], one["time_unit"] if one[end] is None else unit) for end in ("first", "last")]
        parts.add_row(*(f"{column:,}" for column in columns), *span)
    yield parts
    yield f"index and the rest: {described['index_bytes']:,} bytes"


def _numbers(*titles: str) -> list[Any]:
    from rich.table import Column

    return [Column(title, justify="right") for title in titles]


def _moment(timestamp: int | None, unit: str) -> str:
    if timestamp is None:
        return ""
    seconds = timestamp // UNITS_PER_SECOND[unit]
    return f"{np.datetime64(seconds, 's')}Z" if abs(seconds) < 10**11 else f"{timestamp} {unit}"
