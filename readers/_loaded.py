"""What reading gives: a data set, and what was understood, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from squeezelab.dataset import MetricDataset, combine_digests
from squeezelab.readers._times import NANOSECONDS, PLAUSIBLE, UNIT_NAMES
from squeezelab.readers.base import FileFacts

MOST_FILES_TOLD = 20
"""Of more files than these, the digest of all is kept in place of one for each."""


@dataclass(frozen=True)
class Loaded:
    """A data set made of files, and what was understood of them.

    Attributes
    ----------
    dataset : MetricDataset
        Its ``time_unit`` is the coarsest that holds all timestamps exactly.
    files : list of FileFacts
        What was understood of each file.
    words : list of str
        What concerns them all: files passed over, samples put in order.
    name : str
        What to call it, after the files.
    folder : str
        The name of the folder that the files are in.
    digests : dict of str to str
        XXH3-128 of each file.
    """

    dataset: MetricDataset
    files: list[FileFacts]
    words: list[str]
    name: str
    folder: str
    digests: dict[str, str] = field(repr=False)

    @property
    def unit(self) -> str:
        """What timestamps count: s, ms, us or ns."""
        return self.dataset.time_unit

    @property
    def rejected(self) -> int:
        """Rows and cells that could not be read."""
        return sum(one.rejected for one in self.files)

    @cached_property
    def interval(self) -> tuple[int, float] | None:
        """The most common step between samples of a series in `unit`, and its share; None if there is none."""
        steps = np.diff(self.dataset.timestamps)
        ends = self.dataset.offsets[1:-1] - 1
        steps = np.delete(steps, ends[(ends >= 0) & (ends < len(steps))])
        if not len(steps):
            return None
        values, counts = np.unique(steps, return_counts=True)
        most = int(np.argmax(counts))
        return int(values[most]), float(counts[most] / len(steps))

    @property
    def provenance(self) -> dict[str, str]:
        """What a report says of the origin: files with their digests, and the unit of timestamps."""
        unit = {"timestamps in": UNIT_NAMES[self.unit]}
        if len(self.digests) <= MOST_FILES_TOLD:
            return self.digests | unit
        whole = combine_digests(bytes.fromhex(digest) for digest in self.digests.values())
        return {f"{len(self.digests)} files": whole} | unit

    @property
    def described(self) -> dict[str, Any]:
        """What a run keeps of it beside the samples."""
        blocks = [block for one in self.files for block in one.blocks]
        return {"generator": "file", "size": self.name, "seed": 0, "provenance": self.provenance, "blocks": blocks}

    def __str__(self) -> str:
        return "\n".join(_tell(self))


# What to tell of it


def _tell(loaded: Loaded) -> Iterator[str]:
    """Yield lines that say what was understood."""
    dataset = loaded.dataset
    told = loaded.files[:MOST_FILES_TOLD] + [one for one in loaded.files[MOST_FILES_TOLD:] if one.rejected or one.words]
    for one in told:
        shape = f"{one.shape} " if one.shape else ""
        rejected = f", {one.rejected:,} rejected" if one.rejected else ""
        cut = ", cut at the limit" if one.cut else ""
        time = f", time: {one.time}" if one.time else ""
        yield f"{one.name}: {shape}{one.format}, {one.size / 1e6:,.2f} MB, {one.rows:,} rows{rejected}{cut}{time}"
        yield from (f"  {word}" for word in one.words)
        yield from (f"  rejected {one.place} {row}: {reason}" for row, reason in one.rejections)
        if one.rejected > len(one.rejections):
            yield f"  rejected {one.rejected - len(one.rejections):,} more"
    if len(told) < len(loaded.files):
        yield f"and {len(loaded.files) - len(told)} more files, in which nothing was rejected"
    yield from loaded.words
    first, last = int(dataset.timestamps.min()), int(dataset.timestamps.max())
    span = f"{moment_text(first, loaded.unit)} to {moment_text(last, loaded.unit)}"
    yield f"{len(dataset):,} samples in {len(dataset.keys):,} series, {span}, kept in {UNIT_NAMES[loaded.unit]}"
    if any(first * NANOSECONDS[loaded.unit] < bound * 10**9 < last * NANOSECONDS[loaded.unit] for bound in PLAUSIBLE):
        yield "not all of these are times of our days: some may be wrong or in another unit; --from and --to cut"
    if loaded.interval:
        step, share = loaded.interval
        yield f"interval: {step:,} {loaded.unit} ({100 * share:.1f} % of steps)"


def moment_text(timestamp: int, unit: str) -> str:
    """Return a time as a date, or as its number where that is no date of our days."""
    seconds, rest = divmod(timestamp * NANOSECONDS[unit], 10**9)
    if not PLAUSIBLE[0] <= seconds <= PLAUSIBLE[1]:
        return f"{timestamp} {unit}"
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{np.datetime64(seconds, 's')}{fraction}Z"
