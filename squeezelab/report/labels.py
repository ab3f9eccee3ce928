"""How measurements are ranked and called, the same in tables and charts."""

from __future__ import annotations

from collections.abc import Iterable

from squeezelab.results import Measurement


def ranked(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Return measurements by their ratio, lowest first; what loses bits comes last, out of the ranking."""
    return sorted(measurements, key=lambda one: (one.lossy, one.ratio))


def rungs(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Return formats as the ladder has them, in the order they ran; what loses bits comes last."""
    return sorted(measurements, key=lambda one: one.lossy)


def label(one: Measurement, samples: int) -> str:
    """Return the codec's name, marked where it is lossy or was not measured on all of these samples."""
    return one.codec + (" (lossy)" if one.lossy else "") + (" *" if coverage(one, samples) else "")


def coverage(one: Measurement, samples: int) -> str:
    """Return a sentence on what was measured where that is not everything, else nothing."""
    if one.samples == one.proven_samples == samples:
        return ""
    what = "sized and proven" if one.samples < samples else "counted whole, proven"
    return f"* {one.codec} was {what} on {one.proven_samples:,} of {samples:,} samples."
