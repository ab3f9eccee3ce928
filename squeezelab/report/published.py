"""The figures published for the system this lab follows, beside those of a run, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from squeezelab.results import Results

TIMESTAMP_CODEC = "delta_of_delta"
VALUE_CODEC = "xor"


class Comparison(NamedTuple):
    """One published figure, what the run has in its place, and a sentence on the difference."""

    figure: str
    published: str
    measured: str
    why: str


def compare_published(results: Results) -> list[Comparison]:
    """Return the published figures that exist for this run's kind of data, each beside its own.

    Only ``delta_of_delta`` and ``xor`` without zstd stand for the published codecs.
    """
    match results.dataset.generator:
        case "synthetic":
            return [*_regularity(results), *_timestamps(results), *_values(results), *_overall(results, "30.59x")]
        case "random":
            return list(_overall(results, "14.42x"))
        case "real":
            return list(_overall(results, "about 20x"))
        case _:
            return []


def _regularity(results: Results) -> Iterator[Comparison]:
    share = results.dataset.zero_dod_share
    if share is not None:
        why = "The generator aims at 94.6 %; late scrapes that meet by chance make up the difference."
        yield Comparison("zero deltas of deltas", "94.6 %", f"{100 * share:.2f} %", why)


def _timestamps(results: Results) -> Iterator[Comparison]:
    ours = results.get("timestamps", TIMESTAMP_CODEC)
    if ours is None:
        return
    why = "Code widths are fitted to each series' jitter"
    if gorilla := results.get("timestamps", f"{TIMESTAMP_CODEC}:widths=gorilla"):
        why += f"; with the widths of the Gorilla paper it is {gorilla.ratio:.2f}x, frame header and checksum included"
    yield Comparison("timestamps", "43.75x", f"{ours.ratio:.2f}x", why + ".")


def _values(results: Results) -> Iterator[Comparison]:
    ours = results.get("values", VALUE_CODEC)
    if ours is not None:
        yield Comparison("values", "1.71x", f"{ours.ratio:.2f}x", _mix(results) + " The published mix is not known.")


def _mix(results: Results) -> str:
    """Say what the metric families make of the ratio."""
    families = [one for one in results.measurements if one.codec == VALUE_CODEC and one.metric]
    if not families:
        return ""
    low, high = (pick(families, key=lambda one: one.bits_per_item) for pick in (min, max))
    cheap = sum(one.bits_per_item < 24 for one in families)
    return (
        f"The mix decides: {cheap} of {len(families)} families take under 24 bits a value; they go from "
        f"{low.bits_per_item:.1f} ({low.metric}) to {high.bits_per_item:.1f} ({high.metric})."
    )


def _overall(results: Results, published: str) -> Iterator[Comparison]:
    encoded = results.overall_bytes(TIMESTAMP_CODEC, VALUE_CODEC)
    if not encoded:
        return
    facts = results.dataset
    text, ratio = facts.ndjson_bytes / facts.samples, facts.ndjson_bytes / encoded
    implied = text / float(published.removeprefix("about ").removesuffix("x"))
    why = (
        f"A line of {text:.0f} bytes becomes {encoded / facts.samples:.2f}; the published ratio would leave "
        f"{implied:.2f}. {_mix(results)} Names and labels, half the line or more, are not known of the published run."
    )
    yield Comparison("overall, against NDJSON", published, f"{ratio:.2f}x", why)
