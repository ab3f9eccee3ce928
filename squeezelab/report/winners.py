"""Which codec wins on which metric family and series, and what of the data explains it."""

from __future__ import annotations

from collections.abc import Iterable

from squeezelab.report.sentences import explain_text, percent, why
from squeezelab.report.table import Table
from squeezelab.results import Explained, Results, Winner

MOST_FAMILIES = 20
"""Of data sets with more, charts and heat maps show those of most bytes; the table of winners has all."""
NOTE = (
    "The smallest lossless codec of those that ran on all of a family; with bits an item, header and checksum "
    "included. Why: what the values are like; distinct ones are those of one series. Floor: the least zeroth-order "
    "entropy of values, their deltas, or the XORs of their bits, without the list of symbols. A codec that sees "
    "more than one symbol at a time may go below it. In brackets: symbols occur less than twice on average, and "
    "tell how many samples there are, not what they need."
)


def family_winners(results: Results) -> Table:
    """Return who wins on each metric family, why, and how far from the floor."""
    families = [one for one in results.explanations if one.series is None]
    rows = [
        [
            one.metric,
            _winner(one.timestamps),
            _winner(one.values),
            runner_up_of(one.values),
            why(one.facts),
            "-" if one.facts.zero_dod_share is None else percent(one.facts.zero_dod_share),
            floor_of(one),
            _distance(one),
        ]
        for one in families
    ]
    headers = ["metric family", "timestamps", "values", "next on values", "why", "same interval", "floor", "above"]
    looked, samples = sum(one.facts.samples for one in families), sum(one.samples for one in families)
    part = f" Looked at for why: {looked:,} of {samples:,} samples, whole series." if looked < samples else ""
    return Table("Which codec for which metric family", headers, rows, NOTE + part, names=5)


def explained_in_words(results: Results) -> dict[str, list[str]]:
    """Return sentences on each metric family."""
    return {
        one.metric: explain_text(one.facts, one.timestamps, one.values)
        for one in results.explanations
        if one.series is None
    }


def largest_families(results: Results, families: Iterable[str]) -> list[str]:
    """Return the families of most bytes, in their order: more of them beside each other help no one."""
    shares, every = family_shares(results), list(families)
    most = sorted(every, key=lambda family: -shares.get(family, 0.0))[:MOST_FAMILIES]
    return [family for family in every if family in most]


def family_shares(results: Results) -> dict[str, float]:
    """Return which share of the bytes each metric family has, its timestamps and values as the winners store them."""
    sizes = {
        one.metric: one.samples * sum(winner.bits for winner in (one.timestamps, one.values) if winner)
        for one in results.explanations
        if one.series is None
    }
    total = sum(sizes.values())
    return {family: size / total for family, size in sizes.items()} if total else {}


def _winner(winner: Winner | None) -> str:
    return f"{winner.codec}, {_bits(winner.bits)}" if winner else "-"


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
