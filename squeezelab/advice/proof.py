"""From a search to advice: the best settings are timed beside today's default, ranked, and written down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from squeezelab.advice.base import Stored, System
from squeezelab.advice.layout import in_canonical_order
from squeezelab.advice.noise import find_noise, rounded
from squeezelab.advice.parts import first_half, part_of
from squeezelab.advice.search import Proven, Search
from squeezelab.advice.worker import SystemFailedError, Worker
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset
from squeezelab.doubles import doubled, rounded_integers, told_integers
from squeezelab.errors import SqueezelabError
from squeezelab.experiment.timing import bootstrap_interval
from squeezelab.results import Advice, NoisyDigits, ProvenSetting, Segment
from squeezelab.store.workplace import workplace

OBJECTIVES = ("size", "read", "balanced")
READ_LIMIT, BALANCED_LIMIT = 2.0, 1.1
"""Sizes that the objectives read and balanced allow, as multiples of the smallest."""
SAME_SIZE, SAME_TIME = 0.99, 0.8
"""Shares of the default's bytes, and of its product of times, above which there is no reason to change it."""
PROVING_SHARE, ENOUGH = 0.75, 3
"""The share of the budget that is gone when no more settings are proven than so many."""
TIMED = ("ingest", "hour", "whole")
MOST_TURNS = 9
"""Turns after which a time is sure enough."""


def advise_one(system: System, dataset: MetricDataset, *, objective: str = "size", budget: float = 120.0) -> Advice:
    """Search a system's settings on a data set, prove the best, time them, and say what was found.

    Raises
    ------
    SystemFailedError
        If the system cannot be run, or nothing that it made came back bit by bit.
    """
    started, samples = time.monotonic(), len(dataset)
    told: list[str] = []
    rounded = 0
    if not system.takes(dataset):
        rounded = rounded_integers(dataset)
        dataset, told = doubled(dataset, system.title)
    dataset = part_of(dataset, system.most_samples)
    with workshop(system) as worker, progress_bar() as bar:
        search = Search(system, worker, started, budget, bar)
        proven, default, segments = _prove(search, dataset, objective)
        kept = (one for one in proven if one.turns and (system.lossy or not one.lost))
        exact = sorted(kept, key=lambda one: one.stored.size)
        if not exact:
            raise SystemFailedError(f"nothing came back bit by bit: {proven[0].lost}")
        eligible = _eligible(exact, objective)
        _time(search, list(dict.fromkeys([default, *(eligible[:2] if objective == "size" else eligible)])))
        advised, *others = _rank(eligible, objective, default)
        roles = [("default", default), ("advised", advised), *(("second", one) for one in others[:1])]
        roles += [("other", one) for one in exact if one not in [known for _, known in roles]]
        further = {one: _further(search, dataset, one) for one in dict.fromkeys(one for _, one in roles[:3])}
        noise = list(_noise(search, dataset, advised))
        search.take(dataset)
        more = system.more(search.taken[advised.setting.layout], advised.setting)
        statements = {system.file: advised.text, **more}
        settings = [_measured(search, role, one, len(dataset), further.get(one)) for role, one in roles]
        if rounded:  # what came back is what was put in, which is not what was given
            lost = f"{told_integers(rounded)} rounded to doubles"
            settings = [
                replace(one, bit_exact=False, lost=f"{lost}, {one.lost}" if one.lost else lost) for one in settings
            ]
    if search.cut:
        search.notes.insert(0, f"the budget of {budget:g} s ended the search before everything was tried: give more")
    if len(dataset) < samples:
        search.notes.insert(0, f"all figures are of a part: {len(dataset):,} of {samples:,} samples")
    return Advice(
        system.name,
        system.title,
        system.version(),
        objective,
        settings,
        statements,
        None if default.lost else default.stored.size / exact[0].stored.size - 1,
        segments,
        noise,
        search.tried,
        time.monotonic() - started,
        [*told, *([system.note] if system.note else []), *_few(search.notes)],
    )


@contextmanager
def workshop(system: System) -> Iterator[Worker]:
    """Run a system's workshop in an empty folder, which goes with it."""
    with workplace() as folder, Worker(system.workshop, folder) as worker:
        yield worker


def _prove(search: Search, dataset: MetricDataset, objective: str) -> tuple[list[Proven], Proven, list[Segment]]:
    """Return all settings whose text was run on all of the data, the default, and what the system chose for that."""
    found = list(search.on_all(dataset))
    if not found:
        raise SystemFailedError(search.notes[0] if search.notes else "no setting could be run")
    wanted = in_canonical_order(dataset)
    start = search.system.default(search.taken[search.system.default_layout])
    default = search.prove(wanted, start)
    if default is None:
        raise SystemFailedError(search.notes[-1])
    segments = search.segments(start, found)
    settings = [one[1] for one in found]
    for _, setting, sizes in found[:1] if objective == "size" else found:
        settings += search.quicker(setting, sizes, vary=objective != "size")
    different = {one.key(): one for one in settings if one.key() != start.key()}
    proven = [default]
    for setting in different.values():
        exact = sum(search.system.lossy or not one.lost for one in proven)
        if (exact >= ENOUGH and search.left(PROVING_SHARE) < 0) or (exact > 1 and not search.affords(2)):
            break
        if one := search.prove(wanted, setting):
            proven.append(one)
            if one.lost:
                search.notes.append(f"{search.describe(setting)}: not bit for bit: {one.lost}")
    return proven, default, segments


def _few(notes: Sequence[str], most: int = 5) -> list[str]:
    """Return notes without what a system says twice, and not more than somebody reads."""
    different = list(dict.fromkeys(one[:300] for one in notes))
    more = len(different) - most
    return [*different[:most], *([f"{more} more like these"] if more > 0 else [])]


def _eligible(exact: list[Proven], objective: str) -> list[Proven]:
    """Return what an objective may choose from, given the smallest first."""
    if objective == "size":
        return exact
    limit = {"read": READ_LIMIT, "balanced": BALANCED_LIMIT}[objective]
    return [one for one in exact if one.stored.size <= limit * exact[0].stored.size]


def _rank(eligible: list[Proven], objective: str, default: Proven) -> list[Proven]:
    """Return the best first; the default, where nothing is a little better than it in bytes or in times."""
    if objective == "size":
        return eligible
    counted = TIMED if objective == "balanced" else ("hour", "whole")
    scores = {one: math.prod(median(one.turns[name]) for name in counted) for one in eligible}
    ranked = sorted(eligible, key=lambda one: scores[one])
    best = ranked[0]
    if (
        default in scores
        and best.stored.size > SAME_SIZE * default.stored.size
        and scores[best] > SAME_TIME * scores[default]
    ):
        ranked.sort(key=lambda one: one is not default)
    return ranked


def _time(search: Search, settings: list[Proven]) -> None:
    """Time settings while there is time; they take turns, so that a slow minute hits them all."""
    for turn in range(2, MOST_TURNS + 1):
        if not search.affords(len(settings) + 1):
            break
        search.told(f"timing, turn {turn}")
        for one in settings:
            search.time(one)


def _further(search: Search, dataset: MetricDataset, one: Proven) -> float | None:
    """Return the bytes of each further sample: those that the later half of each series adds."""
    half = first_half(dataset)
    if len(half) == len(dataset):
        return None
    search.take(half)
    try:
        less: Stored = search.worker.call("run", one.setting.layout, one.text)
    except (SystemFailedError, KeyError):
        return None
    more = one.stored.size - less.size
    return more / (len(dataset) - len(half)) if more > 0 else None  # too little for its blocks, chunks or files


def _noise(search: Search, dataset: MetricDataset, advised: Proven) -> Iterator[NoisyDigits]:
    """Yield families whose last digits are noise, with what the advised text saves where each is rounded."""
    for noisy in find_noise(dataset):
        if not search.affords(1):
            yield noisy
            continue
        search.told(f"rounding {noisy.metric}")
        try:
            search.take(rounded(dataset, noisy))
            stored: Stored = search.worker.call("run", advised.setting.layout, advised.text)
        except SqueezelabError:
            yield noisy
            continue
        if stored.size < advised.stored.size:
            yield replace(noisy, saved_bytes=advised.stored.size - stored.size)


def _measured(search: Search, role: str, one: Proven, samples: int, further: float | None) -> ProvenSetting:
    times: dict[str, Any] = {}
    for name, seconds in one.turns.items():
        times |= {f"{name}_s": median(seconds), f"{name}_ci": bootstrap_interval(seconds)}
    return ProvenSetting(
        role,
        search.describe(one.setting),
        one.text,
        samples,
        one.stored.size,
        one.stored.parts,
        not one.lost,
        one.lost,
        further,
        rounds=min(map(len, one.turns.values()), default=0),
        **times,
    )
