"""The search for the best setting: on a part first, the best few on all, each proven by running its text."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress

from squeezelab.advice.base import Choices, Place, Setting, Stored, System
from squeezelab.advice.layout import Layout, first_half, in_canonical_order, layouts, part_of
from squeezelab.advice.noise import find_noise, rounded
from squeezelab.advice.worker import SystemFailedError, Worker
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.experiment.timing import Cell, race
from squeezelab.results import Advice, NoisyDigits, ProvenSetting, Segment

logger = logging.getLogger(__name__)

PART_SAMPLES = 60_000
"""About how many samples the search begins with."""
FINALISTS = 3
"""Layouts and orders that are tried on all of the data."""
KEPT = 4
"""Choices of a column that are sized again where something else changes."""
READ_LIMIT, BALANCED_LIMIT = 2.0, 1.1
"""Sizes that the objectives read and balanced allow, as multiples of the smallest."""
OBJECTIVES = ("size", "read", "balanced")
SEARCH_SHARE = 0.6
"""Of the budget, what the search may take; the rest is for times and for what rounding saves."""
TIMED = ("ingest", "hour", "whole")
Found = tuple[int, Setting, dict[Place, dict[str, int]]]
"""Bytes of a setting, the setting, and what was probed: bytes by column and choice, the smallest first."""


@dataclass(frozen=True)
class Proven:
    """A setting whose text was run on all of the data."""

    setting: Setting
    text: str
    stored: Stored
    lost: str


@dataclass
class Search:
    """A search in one system: its child process, the layouts it was given, and what it has found.

    Attributes
    ----------
    tried : int
        How many choices and settings were sized.
    notes : list of str
        What did not work, and what there was no time for.
    """

    system: System
    worker: Worker
    end: float
    bar: Progress
    tried: int = 0
    cut: bool = False

    def __post_init__(self) -> None:
        self.notes: list[str] = []
        self.taken: dict[str, Layout] = {}
        self._task = self.bar.add_task(f"{self.system.name}: searching", total=None, unit="settings")

    @property
    def late(self) -> bool:
        """Whether the time for searching is over."""
        if time.monotonic() < self.end:
            return False
        self.cut = True
        return True

    def take(self, dataset: MetricDataset) -> None:
        """Lay a data set out, and give it to the child."""
        self.taken = {one.name: one for one in layouts(dataset) if one.name in self.system.layouts}
        for layout in self.taken.values():
            self.worker.call("take", layout)

    def told(self, stage: str) -> None:
        """Show what is done."""
        self.bar.update(self._task, description=f"{self.system.name}: {stage}", completed=self.tried)

    def size(self, setting: Setting) -> int | None:
        """Run a setting's text, and return its bytes; None where the system refuses it."""
        self.tried += 1
        try:
            stored: Stored = self.worker.call("run", setting.layout, self.text(setting))
        except SystemFailedError as error:
            self.notes.append(f"{self.describe(setting)}: {error}")
            return None
        return stored.size

    def text(self, setting: Setting) -> str:
        """Return the text of a setting."""
        return self.system.text(self.taken[setting.layout], setting)

    def describe(self, setting: Setting) -> str:
        """Return a setting in few words."""
        return self.system.describe(self.taken[setting.layout], setting)

    def choices(self, layout: Layout) -> dict[Place, Sequence[str]]:
        """Return all choices of all columns."""
        return {(one.table, one.name): self.system.choices(one, layout) for one in layout.columns}

    def probe(self, base: Setting, choices: Choices) -> dict[Place, dict[str, int]]:
        """Return bytes by column and choice, the smallest first, in a layout and order and with options as given."""
        several = {place: some for place, some in choices.items() if len(some) > 1}
        self.tried += sum(len(some) for some in several.values())
        if not several:
            return {}
        layout = self.taken[base.layout]
        order = self.system.orders(layout)[base.order]
        if self.system.additive:
            sizes = self.worker.call("probe", base.layout, order, dict(base.options), several)
        else:
            sizes = {place: self._vary(base, place, some) for place, some in several.items()}
        return {
            place: dict(sorted(found.items(), key=lambda one: (one[1], self.system.effort(one[0]))))
            for place, found in sizes.items()
            if found
        }

    def _vary(self, base: Setting, place: Place, some: Sequence[str]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for choice in some:
            if self.late and sizes:
                break
            size = self.size(replace(base, columns={**base.columns, place: choice}))
            if size is not None:
                sizes[choice] = size
        return sizes

    def refine(self, base: Setting, choices: Choices) -> tuple[Setting, dict[Place, dict[str, int]]]:
        """Return a setting with the best choice for each column, and the sizes of all that were probed."""
        sizes = self.probe(base, choices)
        best = {place: next(iter(found)) for place, found in sizes.items()}
        return replace(base, columns={**base.columns, **best}), sizes

    def survey(self) -> list[Found]:
        """Try all choices in every layout and order, then all options on the best few; the smallest first."""
        found: list[Found] = []
        for layout in self.taken.values():
            default = self.system.default(layout)
            for order in self.system.orders(layout):
                if found and self.late:
                    break
                self.told(f"{layout.name} table by {order}")
                try:
                    setting, sizes = self.refine(replace(default, order=order), self.choices(layout))
                except SystemFailedError as error:
                    self.notes.append(f"{layout.name} table by {order}: {error}")
                    continue
                size = self.size(setting)
                if size is not None:
                    found.append((size, setting, sizes))
        found.sort(key=lambda one: one[0])
        tuned = [self.tune(*one) for one in found[:FINALISTS]]
        return sorted(tuned, key=lambda one: one[0])

    def tune(self, size: int, setting: Setting, sizes: dict[Place, dict[str, int]], keep: int = KEPT) -> Found:
        """Descend along the options one by one, with the best choices of each column sized again."""
        for name, values in self.system.options.items():
            for value in values:
                if value == setting.options[name] or self.late:
                    continue
                self.told(f"{setting.layout} table, {name} {value}")
                other = replace(setting, options={**setting.options, name: value})
                try:
                    other, others = self.refine(other, shortlist(sizes, keep))
                except SystemFailedError as error:
                    self.notes.append(f"{self.describe(other)}: {error}")
                    continue
                smaller = self.size(other)
                if smaller is not None and smaller < size:
                    size, setting, sizes = smaller, other, {**sizes, **others}
        return size, setting, sizes

    def on_all(self, dataset: MetricDataset) -> Iterator[Found]:
        """Search on a part, then size the best few again on all of the data; yield them."""
        part = part_of(dataset, PART_SAMPLES)
        self.take(part)
        found = self.survey()
        if part is dataset:
            yield from found
            return
        self.take(dataset)
        again: list[Found] = []
        for _, setting, sizes in (one for one in found if one[1].layout in self.taken):
            if again and self.late:
                break
            self.told(f"{setting.layout} table by {setting.order}, on all")
            setting, whole = self.refine(setting, shortlist(sizes, KEPT))
            size = self.size(setting)
            if size is not None:
                again.append((size, setting, {**sizes, **whole}))
        again.sort(key=lambda one: one[0])
        for place, one in enumerate(again):
            yield self.tune(*one, keep=2) if place == 0 else one

    def quicker(self, setting: Setting, sizes: Mapping[Place, Mapping[str, int]]) -> list[Setting]:
        """Return settings like this one that cost less: each column at its smallest up to some effort."""
        some = []
        for effort in (2, 1, 0):
            within = {
                place: next((one for one in found if self.system.effort(one) <= effort), setting.columns[place])
                for place, found in sizes.items()
            }
            some.append(replace(setting, columns={**setting.columns, **within}))
            default = {name: values[0] for name, values in self.system.options.items()}
            some.append(replace(some[-1], options=default))
        return some

    def prove(self, dataset: MetricDataset, setting: Setting, fingerprint: str) -> Proven | None:
        """Run a setting's text on the data, read all back, and compare every bit."""
        text, layout = self.text(setting), self.taken[setting.layout]
        try:
            stored = self.worker.call("run", setting.layout, text)
            back = layout.restore(self.worker.call("read", setting.layout))
        except CorruptDataError as error:
            return Proven(setting, text, stored, str(error))
        except SystemFailedError as error:
            self.notes.append(f"{self.describe(setting)}: {error}")
            return None
        return Proven(setting, text, stored, "" if back.fingerprint == fingerprint else _difference(dataset, back))


def shortlist(sizes: Mapping[Place, Mapping[str, int]], keep: int) -> dict[Place, list[str]]:
    """Return the best choices of each column, and the best of those that differ in more than a level."""
    short = {}
    for place, found in sizes.items():
        kept = list(found)[:keep]
        families: dict[str, str] = {}
        for choice in found:
            families.setdefault(choice.partition("(")[0], choice)
        short[place] = list(dict.fromkeys([*kept, *list(families.values())[:keep]]))
    return short


def _difference(dataset: MetricDataset, back: MetricDataset) -> str:
    if len(back) != len(dataset):
        return f"{len(dataset) - len(back):,} of {len(dataset):,} samples did not come back"
    wanted = in_canonical_order(dataset)
    moved = int((wanted.timestamps != back.timestamps).sum())
    if moved:
        return f"{moved:,} moments changed"
    changed = int((wanted.values.view("u8") != back.values.view("u8")).sum())
    return f"{changed:,} values changed" if changed else "series changed"


def advise_one(system: System, dataset: MetricDataset, *, objective: str = "size", budget: float = 120.0) -> Advice:
    """Search a system's settings on a data set, prove the best, time them, and say what was found.

    Raises
    ------
    SystemFailedError
        If the system cannot be run, or nothing that it made came back bit by bit.
    """
    started = time.monotonic()
    with workshop(system) as worker, progress_bar() as bar:
        search = Search(system, worker, started + SEARCH_SHARE * budget, bar)
        found = list(search.on_all(dataset))
        if not found:
            raise SystemFailedError(search.notes[0] if search.notes else "no setting could be run")
        fingerprint = in_canonical_order(dataset).fingerprint
        default = search.prove(dataset, system.default(search.taken[system.default_layout]), fingerprint)
        segments: list[Segment] = worker.call("segments", system.default_layout) if default else []
        wanted = [one[1] for one in found]
        for _, setting, sizes in found[:1] if objective == "size" else found:
            wanted += search.quicker(setting, sizes)
        candidates = []
        for setting in {one.key(): one for one in wanted}.values():
            search.told(f"proving {search.describe(setting)}")
            proven = search.prove(dataset, setting, fingerprint)
            if proven and not proven.lost:
                candidates.append(proven)
            elif proven:
                search.notes.append(f"{search.describe(setting)}: not bit for bit: {proven.lost}")
        if default and not default.lost:
            candidates.append(default)
        if not candidates:
            raise SystemFailedError(f"nothing came back bit by bit: {search.notes[-1] if search.notes else ''}")
        candidates.sort(key=lambda one: one.stored.size)
        eligible = _eligible(candidates, objective)
        timed = _time(search, dataset, default, eligible, objective, started + budget)
        ordered = _rank(eligible, timed, objective)
        advised, second = ordered[0], ordered[1] if len(ordered) > 1 else None
        rest = [one for one in candidates if one not in (advised, second, default)]
        roles = [("default", default), ("advised", advised), ("second", second), *(("other", one) for one in rest)]
        further = {id(one): _further(search, dataset, one) for one in (default, advised, second) if one}
        search.take(dataset)
        noise = list(_noise(search, dataset, advised, started + budget * 1.2))
        settings = [
            _measured(search, role, one, len(dataset), timed.get(one.setting.key(), {}), further.get(id(one)))
            for role, one in roles
            if one
        ]
    if search.cut:
        search.notes.append(f"the budget of {budget:g} s ended the search before everything was tried: give more")
    smallest = candidates[0].stored.size
    return Advice(
        system.name,
        system.title,
        system.version(),
        objective,
        settings,
        {system.file: advised.text},
        default.stored.size / smallest - 1 if default and not default.lost else None,
        segments,
        noise,
        search.tried,
        time.monotonic() - started,
        [*([system.note] if system.note else []), *_few(search.notes)],
    )


@contextmanager
def workshop(system: System) -> Iterator[Worker]:
    """Run a system's workshop in an empty folder, which goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="squeezelab-", ignore_cleanup_errors=True) as folder,
        Worker(system.workshop, Path(folder)) as worker,
    ):
        yield worker


def _few(notes: Sequence[str], most: int = 5) -> list[str]:
    """Return notes without what a system says twice, and not more than somebody reads."""
    different = list(dict.fromkeys(one[:300] for one in notes))
    more = len(different) - most
    return [*different[:most], *([f"{more} more like these"] if more > 0 else [])]


def _eligible(candidates: list[Proven], objective: str) -> list[Proven]:
    """Return what an objective may choose from, given the smallest first."""
    limit = {"size": math.inf, "read": READ_LIMIT, "balanced": BALANCED_LIMIT}[objective]
    return [one for one in candidates if one.stored.size <= limit * candidates[0].stored.size]


def _rank(eligible: list[Proven], timed: Mapping[Any, Mapping[str, Cell]], objective: str) -> list[Proven]:
    """Return the best first; what was not timed comes last, in the order of size."""
    if objective == "size":
        return eligible
    counted = TIMED if objective == "balanced" else ("hour", "whole")

    def score(one: Proven) -> float:
        cells = timed.get(one.setting.key(), {})
        if not all(name in cells for name in counted):
            return math.inf
        return math.prod(cells[name].seconds for name in counted)

    return sorted(eligible, key=score)


def _time(
    search: Search, dataset: MetricDataset, default: Proven | None, eligible: list[Proven], objective: str, end: float
) -> dict[Any, dict[str, Cell]]:
    """Time ingest, an hour and everything of the settings that are compared; they take turns of each kind."""
    chosen = eligible[:2] if objective == "size" else eligible
    settings = {one.setting.key(): one for one in (*([default] if default else []), *chosen)}
    hours = {name: layout.hours(dataset) for name, layout in search.taken.items()}
    timed: dict[Any, dict[str, Cell]] = {key: {} for key in settings}
    for count, (key, one) in enumerate(settings.items()):
        search.told(f"timing {search.describe(one.setting)}")
        name = one.setting.layout
        share = max(0.5, (end - time.monotonic()) / (len(settings) - count) / 2)

        def read_hours(name: str = name) -> None:
            for hour in hours[name]:
                search.worker.call("read_hour", name, hour)

        cells: dict[str, Callable[[], object]] = {
            "ingest": partial(search.worker.call, "run", name, one.text),
            "hour": read_hours,
            "whole": partial(search.worker.call, "read_all", name),
        }
        # Each reads what the ingest of its own turn has made.
        for what, cell in race(cells, share, rounds=3).items():
            parts = len(hours[name]) if what == "hour" else 1
            interval = None if cell.interval is None else (cell.interval[0] / parts, cell.interval[1] / parts)
            timed[key][what] = Cell(cell.seconds / parts, interval, cell.rounds, cell.timed_seconds)
    return timed


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
    return (one.stored.size - less.size) / (len(dataset) - len(half))


def _noise(search: Search, dataset: MetricDataset, advised: Proven, end: float) -> Iterator[NoisyDigits]:
    """Yield families whose last digits are noise, with what the advised text saves where each is rounded."""
    for noisy in find_noise(dataset):
        if time.monotonic() > end:
            yield noisy
            continue
        search.told(f"rounding {noisy.metric}")
        try:
            search.take(rounded(dataset, noisy))
            stored: Stored = search.worker.call("run", advised.setting.layout, advised.text)
        except SqueezelabError:
            yield noisy
            continue
        yield replace(noisy, saved_bytes=advised.stored.size - stored.size)


def _measured(
    search: Search, role: str, one: Proven, samples: int, cells: Mapping[str, Cell], further: float | None
) -> ProvenSetting:
    times: dict[str, Any] = {}
    for name, cell in cells.items():
        times |= {f"{name}_s": cell.seconds, f"{name}_ci": cell.interval}
    rounds = min((cell.rounds for cell in cells.values()), default=0)
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
        rounds=rounds,
        **times,
    )
