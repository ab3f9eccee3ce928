"""Which codec wins on which metric family and series, and what of the data explains it."""

from __future__ import annotations

from squeezelab.explain import explain_text, why
from squeezelab.report.tables import Table
from squeezelab.results import Explained, Results, Winner

NOTE = (
    "The smallest lossless codec of those that ran on all of a family; bits an item, header and checksum included. "
    "Why: what the values are like; distinct ones are those of one series. Floor: the least zeroth-order entropy of "
    "values, their deltas, or the XORs of their bits, without the list of symbols. A codec that sees more than one "
    "symbol at a time may go below it. In brackets: symbols occur less than twice on average, and tell how many "
    "samples there are, not what they need."
)


def family_winners(results: Results) -> Table:
    """Return who wins on each metric family, why, and how far from the floor."""
    families = [one for one in results.explanations if one.series is None]
    rows = [
        [
            one.metric,
            codec_of(one.timestamps),
            codec_of(one.values),
            runner_up_of(one.values),
            why(one.facts),
            _share(one.facts.zero_dod_share),
            _bits(one.timestamps and one.timestamps.bits),
            _bits(one.values and one.values.bits),
            floor_of(one),
            _distance(one),
        ]
        for one in families
    ]
    headers = [
        "metric family",
        "timestamps",
        "values",
        "next",
        "why",
        "same interval",
        "bits a timestamp",
        "bits a value",
    ]
    looked, samples = sum(one.facts.samples for one in families), sum(one.samples for one in families)
    part = f" Looked at for why: {looked:,} of {samples:,} samples, whole series." if looked < samples else ""
    return Table("Which codec for which metric family", [*headers, "floor", "above"], rows, NOTE + part, names=5)


def explained_in_words(results: Results) -> dict[str, list[str]]:
    """Return sentences on each metric family."""
    return {
        one.metric: explain_text(one.facts, one.timestamps, one.values)
        for one in results.explanations
        if one.series is None
    }


def codec_of(winner: Winner | None) -> str:
    """Return the winner's name."""
    return winner.codec if winner else "-"


def runner_up_of(winner: Winner | None) -> str:
    """Return who is next, and with how many bits."""
    if winner is None or winner.runner_up is None:
        return "-"
    return f"{winner.runner_up}, {_bits(winner.runner_up_bits)}"


def distance_of(one: Explained) -> float | None:
    """Return how many bits the winner on the values takes above the floor."""
    return one.values.bits - one.facts.floor if one.values else None


def floor_of(one: Explained) -> str:
    """Return the floor, in brackets where it says little."""
    return _bits(one.facts.floor) if one.facts.floor_is_sure else f"({_bits(one.facts.floor)})"


def _distance(one: Explained) -> str:
    distance = distance_of(one)
    if distance is None:
        return "-"
    return f"{distance:.2f}" if one.facts.floor_is_sure else f"({distance:.2f})"


def _bits(bits: float | None) -> str:
    return "-" if bits is None else f"{bits:.2f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
