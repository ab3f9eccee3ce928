"""Two runs side by side: which sizes differ, and which speeds differ for sure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path
from statistics import NormalDist, median

from squeezelab.errors import InvalidRequestError
from squeezelab.report.engines import engine_row
from squeezelab.report.table import Table
from squeezelab.results import Measurement, Results

SUBJECTS = ("timestamps", "values", "dataset")
CALLED = {"dataset": "file", "engine": "database"}
DIRECTIONS = ("encode", "decode")
CONFIDENCE = 0.95
FEWEST_SPEEDS = 8
"""From so many on, speeds tell how they differ from run to run; of fewer, what is usual is taken."""
NORMAL_MAD = 1.4826
USUAL_SPREAD = 0.05
TAILS = 2.0
"""Speeds stray farther than normal numbers of the same median deviation."""
LEAST_REACH = 0.25
"""As a logarithm. Where calls of small columns are what takes time, one process is faster than the next by up to so
much, as hashes are seeded and memory lies; most speeds differ by far less, and do not tell of it."""
OTHER_PART_REACH = 0.7
"""Likewise where a codec was timed on more columns in one run than in the other, as its first try seemed slow."""


@dataclass(frozen=True)
class SizeChange:
    """One codec or format whose encoded size differs; a change of 0.01 is 1 % more bits an item."""

    subject: str
    codec: str
    old: Measurement
    new: Measurement
    family: str

    @property
    def change(self) -> float:
        """How much larger the new encoding is, as a share of the old one."""
        return self.new.bits_per_item / self.old.bits_per_item - 1


@dataclass(frozen=True)
class SpeedChange:
    """One speed in both runs: shares of memcpy in its own run, with the ends of their intervals.

    ``same_part`` says whether it was timed on as many samples in both.
    """

    subject: str
    codec: str
    direction: str
    old: float
    new: float
    old_ci: tuple[float, float]
    new_ci: tuple[float, float]
    same_part: bool = True

    @property
    def change(self) -> float:
        """How much faster it has become, as a share of the old speed; below 0 where slower."""
        return self.new / self.old - 1

    def is_sure(self, drift: Drift) -> bool:
        """Tell whether it differs by more than its intervals, and than speeds do from run to run of the same code."""
        moved = exp(drift.centre)
        old_low, old_high = self.old_ci[0] * moved, self.old_ci[1] * moved
        apart = self.new_ci[1] < old_low or old_high < self.new_ci[0]
        reach = drift.reach if self.same_part else max(drift.reach, OTHER_PART_REACH)
        return apart and abs(log(self.new / self.old) - drift.centre) > reach


@dataclass(frozen=True)
class Drift:
    """How the speeds of two runs differ where nothing was changed, judged by all of them together.

    Intervals of a run tell how sure that process was. From process to process the same code is faster or slower by
    more than these: as the memory lies, and as busy as the machine is. If most speeds belong to code that did not
    change, their spread is that of two runs of the same code.

    Attributes
    ----------
    centre : float
        The logarithm by which all have moved together: the machine, or what they share.
    reach : float
        How far from there one must be, as a logarithm, to have changed for sure: 95 of 100 pairs of runs of the same
        code shall have none that is as far.
    """

    centre: float
    reach: float

    @classmethod
    def between(cls, speeds: Sequence[SpeedChange]) -> Drift:
        """Judge it by the median and the median absolute deviation (P. J. Huber, "Robust Statistics", 1981)."""
        moved = [log(one.new / one.old) for one in speeds if one.same_part]
        enough = len(moved) >= FEWEST_SPEEDS
        centre = median(moved) if enough else 0.0
        spread = NORMAL_MAD * median(abs(one - centre) for one in moved) if enough else 0.0
        quantile = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(1, len(moved)))
        return cls(centre, max(TAILS * quantile * (spread if enough else USUAL_SPREAD), LEAST_REACH))


@dataclass(frozen=True)
class RunComparison:
    """What differs between two runs.

    Attributes
    ----------
    old, new : Results
        The runs.
    sizes : list of SizeChange
        Where encoded bytes are more or fewer, those that grew most first.
    speeds : list of SpeedChange
        Those that differ for sure, the ones that have become slowest first.
    drift : Drift
        How speeds differ where nothing was changed.
    compared_sizes, compared_speeds : int
        How many there were to compare: all that are in both runs, and those with an interval in both.
    other_bytes : list of str
        What has the same size in both runs, made of other bytes.
    unlike_parts : list of str
        What ran on another part of the data, so that its sizes cannot be compared.
    only_old, only_new : list of str
        Codecs and formats that are in one run alone.
    inexact : list of str
        What came back bit for bit in the old run and does not in the new one.
    """

    old: Results
    new: Results
    sizes: list[SizeChange] = field(default_factory=list)
    speeds: list[SpeedChange] = field(default_factory=list)
    compared_sizes: int = 0
    compared_speeds: int = 0
    drift: Drift = Drift(0.0, 0.0)
    other_bytes: list[str] = field(default_factory=list)
    unlike_parts: list[str] = field(default_factory=list)
    only_old: list[str] = field(default_factory=list)
    only_new: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether one of the runs was disturbed by others on its machine: no speed is sure then."""
        return bool(self.old.run.busy or self.new.run.busy)

    @property
    def same_data(self) -> bool:
        """Whether both runs measured the same data, bit for bit."""
        return self.old.dataset.fingerprint == self.new.dataset.fingerprint


def read_run(path: str | Path) -> Results:
    """Read the results of a run, from its folder or from the file itself.

    Raises
    ------
    InvalidRequestError
        If there is no such file.
    CorruptDataError
        If it is no results file.
    """
    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    if not file.exists():
        raise InvalidRequestError(f"there is no {file}: give the folder of a report, or its results.json")
    return Results.read(file)


def compare_runs(old: Results, new: Results, *, force: bool = False) -> RunComparison:
    """Find out what differs between two runs.

    Parameters
    ----------
    old, new : Results
        Of one machine or of two: speeds are compared as shares of memcpy, which was timed among them.
    force : bool
        Compare runs on different data, by their bits an item.

    Raises
    ------
    InvalidRequestError
        If the runs measured different data and `force` is not given: neither sizes nor speeds would say anything about
        the codecs.
    """
    comparison = RunComparison(old, new)
    if not comparison.same_data and not force:
        raise InvalidRequestError(
            f"the runs measured different data ({_data(old)} and {_data(new)}): give --force to compare all the same"
        )
    before, after = _wholes(old), _wholes(new)
    both = [name for name in before if name in after]
    unlike = [name for name in both if comparison.same_data and before[name].samples != after[name].samples]
    sizes = [_size_change(old, new, before[name], after[name]) for name in both if name not in unlike]
    differing = [one for one in sizes if one.change or one.family]
    speeds = [change for name in both for change in _speed_changes(old, new, before[name], after[name])]
    drift = Drift.between(speeds)
    return RunComparison(
        old,
        new,
        sorted(differing, key=lambda one: -one.change),
        [] if comparison.busy else sorted((one for one in speeds if one.is_sure(drift)), key=lambda one: one.change),
        len(sizes),
        len(speeds),
        drift,
        other_bytes=[
            _call(one.subject, one.codec)
            for one in sizes
            if one not in differing and one.old.frames_digest != one.new.frames_digest
        ],
        unlike_parts=[_call(*name) for name in unlike],
        only_old=[_call(*name) for name in before if name not in after],
        only_new=[_call(*name) for name in after if name not in before],
        inexact=[_call(*name) for name in both if before[name].bit_exact and not after[name].bit_exact],
    )


def _wholes(results: Results) -> dict[tuple[str, str], Measurement]:
    """Return what is compared by subject and name; of databases their bytes are, and whether every bit came back."""
    found = {(subject, one.codec): one for subject in SUBJECTS for one in results.find(subject)}
    return found | {("engine", one.engine): engine_row(one) for one in results.engines}


def _data(results: Results) -> str:
    facts = results.dataset
    return f"{facts.generator} {facts.size}, seed {facts.seed}, {facts.fingerprint[:8]}"


def _call(subject: str, codec: str) -> str:
    return f"{codec} ({CALLED.get(subject, subject)})"


def _size_change(old: Results, new: Results, before: Measurement, after: Measurement) -> SizeChange:
    """Compare sizes, and name the metric family in which they differ most."""
    families = {one.metric: one for one in _families(old, before)}
    changes = {
        str(one.metric): one.bits_per_item / families[one.metric].bits_per_item - 1
        for one in _families(new, after)
        if one.metric in families and families[one.metric].bits_per_item
    }
    worst = max(changes, key=lambda name: abs(changes[name]), default="")
    family = f"{worst} {_percent(changes[worst])}" if worst and changes[worst] else ""
    return SizeChange(before.subject, before.codec, before, after, family)


def _families(results: Results, whole: Measurement) -> list[Measurement]:
    return [
        one for one in results.measurements if one.metric and (one.subject, one.codec) == (whole.subject, whole.codec)
    ]


def _speed_changes(old: Results, new: Results, before: Measurement, after: Measurement) -> Iterator[SpeedChange]:
    """Yield the speeds that both runs have with an interval."""
    for direction in DIRECTIONS:
        shares = _share(old, before, direction), _share(new, after, direction)
        if shares[0] and shares[1]:
            (one, one_ci), (other, other_ci) = shares[0], shares[1]
            same = before.timed_samples == after.timed_samples
            yield SpeedChange(before.subject, before.codec, direction, one, other, one_ci, other_ci, same)


def _share(results: Results, one: Measurement, direction: str) -> tuple[float, tuple[float, float]] | None:
    """Return a speed as a share of memcpy, and the ends of its interval; memcpy's own interval makes it wider."""
    speed, interval = getattr(one, f"{direction}_mb_s"), getattr(one, f"{direction}_ci")
    copied, copies = results.memcpy_mb_s.get(one.subject), results.memcpy_ci.get(one.subject)
    if not speed or not interval or not copied or not copies:
        return None
    return speed / copied, (interval[0] / copies[1], interval[1] / copies[0])


def _percent(change: float) -> str:
    """Return a change in percent, with as many digits as it takes to see that it is one."""
    text = f"{100 * change:+.2f}"
    return f"{text} %" if float(text) else f"{100 * change:+.2g} %"


def comparison_markdown(comparison: RunComparison, limits: Mapping[str, float] | None = None) -> str:
    """Return what differs as Markdown, for a pull request; with limits, what exceeds them as well."""
    old, new = comparison.old, comparison.new
    tables = [_size_table(comparison), _speed_table(comparison)]
    lines = ["# Two runs compared", "", *_describe(comparison), ""]
    lines += [table.to_markdown() for table in tables if table.rows]
    for title, names in (
        ("No longer bit for bit", comparison.inexact),
        ("Of the same size, but made of other bytes", comparison.other_bytes),
        ("Run on another part of the data, sizes not compared", comparison.unlike_parts),
        ("Only in the old run", comparison.only_old),
        ("Only in the new run", comparison.only_new),
    ):
        if names:
            lines += [f"**{title}:** {', '.join(names)}.", ""]
    if limits is not None:
        exceeded = find_exceeded(comparison, limits)
        limits_text = ", ".join(f"{name} {limit:.4g} %" for name, limit in limits.items())
        lines += [f"**Beyond the limits ({limits_text}):** {'; '.join(exceeded) or 'nothing'}.", ""]
    runs = {"old": old, "new": new}
    lines += [f"- {name}: {_describe_run(run)}" for name, run in runs.items()]
    return "\n".join([*lines, ""])


def _describe(comparison: RunComparison) -> Iterator[str]:
    larger = sum(one.change > 0 for one in comparison.sizes)
    smaller = sum(one.change < 0 for one in comparison.sizes)
    faster = sum(one.change > 0 for one in comparison.speeds)
    slower = len(comparison.speeds) - faster
    yield (
        f"Of {comparison.compared_sizes} sizes {larger} are larger and {smaller} smaller. Of "
        f"{comparison.compared_speeds} speeds {slower} are slower and {faster} faster for sure, relative to memcpy."
    )
    if comparison.busy:
        runs = [name for name, run in (("old", comparison.old), ("new", comparison.new)) if run.run.busy]
        yield (
            f"Other processes were running in the {' and in the '.join(runs)} run: what is disturbed may look as "
            "slow as what has become slow, and no speed is called sure. Run again on a quiet machine."
        )
    elif comparison.compared_speeds:
        drift = comparison.drift
        together = f" All have moved by {_percent(exp(drift.centre) - 1)} together." if drift.centre else ""
        yield (
            "From run to run the same code differs, too: a speed has changed for sure where it is more than "
            f"{100 * (exp(drift.reach) - 1):.0f} % off the others.{together}"
        )
    if not comparison.compared_speeds:
        yield ""
        yield "Speeds are compared by their intervals, and these runs have none in common: run the older one again."
    if not comparison.same_data:
        yield ""
        yield (
            f"**The data differ** ({_data(comparison.old)} and {_data(comparison.new)}): what is shown is as much about"
            " the data as about the codecs."
        )


def _describe_run(results: Results) -> str:
    run = results.run
    parts = [run.started, f"{run.cpu}, {run.cores} cores"]
    parts += [f"governor {run.governor}"] if run.governor else []
    parts += [f"commit {run.commit[:12]}{'-dirty' if run.commit.endswith('-dirty') else ''}"] if run.commit else []
    parts += [f"squeezelab {run.versions.get('squeezelab', '?')}, Python {run.python}", f"data {_data(results)}"]
    return "; ".join(parts)


def _size_table(comparison: RunComparison) -> Table:
    rows = [
        [
            _call(one.subject, one.codec),
            f"{one.old.encoded_bytes:,}",
            f"{one.new.encoded_bytes:,}",
            _percent(one.change),
            f"{one.old.ratio:.2f}x",
            f"{one.new.ratio:.2f}x",
            one.family,
        ]
        for one in comparison.sizes
    ]
    headers = ["codec", "old bytes", "new bytes", "change", "old ratio", "new ratio", "most in"]
    return Table("Sizes that differ", headers, rows, "All others are equal to the byte.")


def _speed_table(comparison: RunComparison) -> Table:
    rows = [
        [_call(one.subject, one.codec), one.direction, f"{one.old:.4f}", f"{one.new:.4f}", _percent(one.change)]
        for one in comparison.speeds
    ]
    note = (
        "As shares of memcpy, so that runs of two machines can stand side by side; only where they differ by more than "
        "their intervals and than most speeds do between these two runs."
    )
    return Table("Speeds that differ", ["codec", "direction", "old", "new", "change"], rows, note, names=2)


def parse_limits(text: str) -> dict[str, float]:
    """Return the limits of ``size=1%,speed=10%`` in percent.

    Raises
    ------
    InvalidRequestError
        If it is written otherwise.

    Examples
    --------
    >>> parse_limits("size=1%,speed=10%")
    {'size': 1.0, 'speed': 10.0}
    """
    limits = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(size|speed)=(\d+(?:\.\d+)?)\s*%?\s*", part)
        if not found or found[1] in limits:
            raise InvalidRequestError(f"cannot read the limits {text!r}: give size=1%,speed=10% or one of these")
        limits[found[1]] = float(found[2])
    return limits


def find_exceeded(comparison: RunComparison, limits: Mapping[str, float]) -> list[str]:
    """Return what went further than its limit in the wrong direction: larger, slower, or no longer bit for bit.

    Where a limit has nothing to be held against, this is told as well: a check that sees nothing must not pass.

    Parameters
    ----------
    comparison : RunComparison
        What differs.
    limits : mapping of str to float
        Percent, for ``size``, ``speed`` or both. Whatever they are, a lost bit exceeds them.
    """
    exceeded = [f"{name} is no longer bit for bit" for name in comparison.inexact]
    compared = {"size": comparison.compared_sizes, "speed": comparison.compared_speeds}
    exceeded += [f"no {name} could be compared" for name in limits if not compared[name]]
    exceeded += [f"{name} is missing" for name in comparison.only_old]
    if "size" in limits:
        exceeded += [
            f"{_call(one.subject, one.codec)} {_percent(one.change)} bytes"
            for one in comparison.sizes
            if 100 * one.change > limits["size"]
        ]
    if "speed" in limits:
        exceeded += [
            f"{_call(one.subject, one.codec)} {one.direction} {_percent(one.change)} speed"
            for one in comparison.speeds
            if -100 * one.change > limits["speed"]
        ]
    return exceeded
