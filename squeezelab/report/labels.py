"""How measurements are ranked, called and told apart, the same in tables and charts."""

from __future__ import annotations

from collections.abc import Iterable

from squeezelab.results import Measurement

KINDS = {
    "ours": "this lab's own",
    "papers": "from papers on time series",
    "general": "general purpose",
    "peers": "other projects",
}
"""Where a codec or format comes from, in the order of legends."""


def frontier(measurements: Iterable[Measurement], speed: str = "decode_mb_s") -> list[Measurement]:
    """Return what no other lossless one beats in both ratio and speed, the smallest first.

    Parameters
    ----------
    measurements : iterable of Measurement
        Of one subject.
    speed : {"decode_mb_s", "encode_mb_s", "decode_bulk_mb_s", "encode_bulk_mb_s"}
        Which speed counts; what was not timed is left out.
    """
    timed = [one for one in measurements if getattr(one, speed) and not one.lossy]
    best: list[Measurement] = []
    for one in sorted(timed, key=lambda one: (-one.ratio, -getattr(one, speed))):
        if not best or getattr(one, speed) > getattr(best[-1], speed):
            best.append(one)
    return best


def label(one: Measurement, samples: int) -> str:
    """Return the codec's name, marked where it is lossy or was not measured on all of these samples."""
    return one.codec + (" (lossy)" if one.lossy else "") + (" *" if coverage(one, samples) else "")


def coverage(one: Measurement, samples: int) -> str:
    """Return a sentence on what was measured where that is not everything, else nothing."""
    if one.samples == one.proven_samples == samples:
        return ""
    what = "sized and proven" if one.samples < samples else "counted whole, proven"
    return f"* {one.codec} was {what} on {one.proven_samples:,} of {samples:,} samples."
