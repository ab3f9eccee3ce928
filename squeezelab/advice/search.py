"""The search for the best setting: on a part first, the best few on all, each proven by running its text."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from rich.progress import Progress

from squeezelab.advice.base import Choices, Place, Setting, Stored, System
from squeezelab.advice.layout import Hour, Layout
from squeezelab.advice.parts import part_of
from squeezelab.advice.shapes import layouts
from squeezelab.advice.worker import SystemFailedError, Worker
from squeezelab.dataset import MetricDataset, to_words
from squeezelab.errors import CorruptDataError
from squeezelab.results import Segment

FINALISTS = 2
"""Orders of each layout that are tried with all choices, and of all of these, those that are tried with all options."""
KEPT = 2
"""Choices of a column that are sized again where something else changes, and as many of other families."""
QUICK_EFFORT = 1
"""What a choice may cost to be tried in every layout and order."""
ALLOWANCE = 1.5
"""Ways to prepare a column whose quick choices take up to this many times the least are tried with all levels."""
SEARCH_SHARE = 0.6
"""Of the budget, what the search may take at most."""
RUNS_AFTER_SURVEY, RUNS_AFTER_CHOICE, RUNS_TO_PROVE = 8, 6, 3
"""Runs on all of the data that time is kept for: while a part is searched, while the best few are sized on all, and
where the search was on all."""
NEAR, NEAR_OF_LAYOUT = 1.15, 1.5
"""Finalists up to this many times the smallest are sized again on all of the data; the first of each layout up to the
second of these, and before all others, because what tables have in common weighs more on a part."""
TUNED = 1.05
"""Of these, those up to this many times the smallest are tried with all options."""
Sizes = Mapping[Place, dict[str, int]]
"""Bytes by column and choice, the smallest first."""
Found = tuple[int, Setting, Sizes]
"""Bytes of a setting, the setting, and what was probed on the way to it."""


Turns = dict[str, list[float]]
"""Seconds of every turn: to ingest, to read an hour of one series, and to read the whole."""


@dataclass(frozen=True, eq=False)
class Proven:
    """A setting whose text was run on all of the data, and read back: the first of its turns."""

    setting: Setting
    text: str
    stored: Stored
    lost: str
    turns: Turns = field(default_factory=dict)


@dataclass
class Search:
    """A search in one system: its child process, the layouts it was given, and what it has found.

    Attributes
    ----------
    seconds : float
        The budget.
    tried : int
        How many choices and settings were sized.
    slowest : float
        Seconds of the slowest run so far, as it would be on all of the data.
    notes : list of str
        What did not work, and what there was no time for.
    """

    system: System
    worker: Worker
    started: float
    seconds: float
    bar: Progress
    tried: int = 0
    cut: bool = False
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self.notes: list[str] = []
        self.taken: dict[str, Layout] = {}
        self._hours: dict[str, list[Hour]] = {}
        self._scale, self._runs_to_come = 1.0, RUNS_TO_PROVE
        self._task = self.bar.add_task(f"{self.system.name}: searching", total=self.seconds, unit="s")

    def left(self, share: float = 1.0) -> float:
        """Return the seconds that are left of the budget, or of a share of it."""
        return self.started + share * self.seconds - time.monotonic()

    def affords(self, runs: float) -> bool:
        """Tell whether there is time left for so many runs on all of the data, of the slowest so far."""
        return self.left() > runs * self.slowest

    @property
    def late(self) -> bool:
        """Whether the time for searching is over: the rest is for proofs."""
        if self.left(SEARCH_SHARE) > 0 and self.affords(self._runs_to_come):
            return False
        self.cut = True
        return True

    def take(self, dataset: MetricDataset) -> None:
        """Lay a data set out, and give it to the child."""
        self.taken = {one.name: one for one in layouts(dataset) if one.name in self.system.layouts}
        self._hours = {name: layout.hours(dataset) for name, layout in self.taken.items()}
        for layout in self.taken.values():
            self.worker.call("take", layout)

    def told(self, stage: str) -> None:
        """Show what is done, and how much of the budget is gone."""
        gone = min(self.seconds - self.left(), self.seconds) - self.bar.tasks[self._task].completed
        self.bar.update(self._task, description=f"{self.system.name}: {stage}")
        self.bar.advance(self._task, max(gone, 0.0))

    def size(self, setting: Setting) -> int | None:
        """Run a setting's text, and return its bytes; None where the system rejects it."""
        self.tried += 1
        try:
            return self._run(setting.layout, self.text(setting))[1].size
        except SystemFailedError as error:
            self.notes.append(f"{self.describe(setting)}: {error}")
            return None

    def _run(self, layout: str, text: str) -> tuple[float, Stored]:
        seconds, stored = self.worker.call("clock", "run", layout, text)
        self.slowest = max(self.slowest, seconds * self._scale)
        return seconds, stored

    def text(self, setting: Setting) -> str:
        """Return the text of a setting."""
        return self.system.text(self.taken[setting.layout], setting)

    def describe(self, setting: Setting) -> str:
        """Return a setting in few words."""
        return self.system.describe(self.taken[setting.layout], setting)

    def choices(self, layout: Layout) -> dict[Place, Sequence[str]]:
        """Return all choices of all columns."""
        return {(one.table, one.name): self.system.choices(one, layout) for one in layout.columns}

    def probe(self, base: Setting, choices: Choices) -> Sizes:
        """Return bytes by column and choice, the smallest first, in a layout and order and with options as given."""
        several = {place: some for place, some in choices.items() if len(some) > 1}
        self.tried += sum(len(some) for some in several.values())
        if not several:
            return {}
        order = self.system.orders(self.taken[base.layout])[base.order]
        if self.system.additive:
            sizes = self.worker.call("probe", base.layout, order, dict(base.options), several)
        else:
            sizes = {place: self._vary(base, place, some) for place, some in several.items()}
        return self._sorted(sizes)

    def _vary(self, base: Setting, place: Place, some: Sequence[str]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for choice in some:
            if self.late and sizes:
                break
            size = self.size(replace(base, columns={**base.columns, place: choice}))
            if size is not None:
                sizes[choice] = size
        return sizes

    def _sorted(self, sizes: Sizes) -> Sizes:
        effort = self.system.effort
        return {
            place: dict(sorted(found.items(), key=lambda one: (one[1], effort(one[0]))))
            for place, found in sizes.items()
            if found
        }

    def quick(self, layout: Layout) -> Choices:
        """Return for each column the choices that cost little."""
        return {
            place: [one for one in some if self.system.effort(one) <= QUICK_EFFORT]
            for place, some in self.choices(layout).items()
        }

    def survey(self) -> list[Found]:
        """Try quick choices in every layout and order, then all of them and all options on the best few."""
        found: list[Found] = []
        for layout in self.taken.values():
            for order in self.system.orders(layout):
                if found and self.late:
                    break
                self.told(f"{layout.name} table by {order}")
                default = self.system.default(layout)
                start = replace(default, order=order, options={**default.options, **self.system.begin})
                found += self.refine(start, self.quick(layout))
        found.sort(key=lambda one: one[0])
        best = [self.deepen(*one) for before, one in _numbered(found) if before < FINALISTS]
        best.sort(key=lambda one: one[0])
        best[:FINALISTS] = [self.tune(*one) for one in best[:FINALISTS]]
        return sorted(best, key=lambda one: one[0])

    def refine(self, base: Setting, choices: Choices) -> list[Found]:
        """Return the setting with the best choice for each column, with what was probed; nothing if that fails."""
        try:
            sizes = self.probe(base, choices)
        except SystemFailedError as error:
            self.notes.append(f"{self.describe(base)}: {error}")
            return []
        best = {place: next(iter(found)) for place, found in sizes.items()}
        setting = replace(base, columns={**base.columns, **best})
        size = self.size(setting)
        return [] if size is None else [(size, setting, sizes)]

    def deepen(self, size: int, setting: Setting, sizes: Sizes) -> Found:
        """Try what costs more, of those ways to prepare a column that came near to its best."""
        if self.late or not sizes:
            return size, setting, sizes
        self.told(f"{setting.layout} table by {setting.order}, all levels")
        every, deeper = self.choices(self.taken[setting.layout]), {}
        for place, found in sizes.items():
            allowed = ALLOWANCE * next(iter(found.values()))
            near = {self.system.family(one) for one, taken in found.items() if taken <= allowed}
            more = [one for one in every[place] if one not in found and self.system.family(one) in near]
            deeper[place] = [*more, setting.columns[place]]
        for _, found_setting, more_sizes in self.refine(setting, deeper):
            merged = {place: {**found, **more_sizes.get(place, {})} for place, found in sizes.items()}
            sizes, setting = self._sorted(merged), found_setting
            size = self.size(setting) or size
        return size, setting, sizes

    def tune(self, size: int, setting: Setting, sizes: Sizes) -> Found:
        """Descend along the options one by one, then size the best choices of each column again with these."""
        given = setting.options
        for name, values in self.system.options.items():
            for value in values:
                if value == setting.options[name] or self.late:
                    continue
                self.told(f"{setting.layout} table, {name} {value}")
                other = replace(setting, options={**setting.options, name: value})
                smaller = self.size(other)
                if smaller is not None and smaller < size:
                    size, setting = smaller, other
        if setting.options != given and not self.late:
            for smaller, better, others in self.refine(setting, shortlist(sizes, KEPT)):
                if smaller < size:
                    size, setting, sizes = smaller, better, {**sizes, **others}
        return size, setting, sizes

    def on_all(self, dataset: MetricDataset) -> Iterator[Found]:
        """Search on a part, then size the best few again on all of the data; yield them, the smallest first."""
        part = part_of(dataset, self.system.part_samples)
        self.take(part)
        if part is dataset:
            yield from self.survey()
            return
        self._scale, self._runs_to_come = len(dataset) / len(part), RUNS_AFTER_SURVEY
        found = self.survey()
        # What a run on all takes is better known from the first of them: on a part, much is spent on other things.
        self._scale, self._runs_to_come, self.slowest = 1.0, RUNS_AFTER_CHOICE, 0.0
        self.take(dataset)
        again: list[Found] = []
        for before, (size, setting, sizes) in sorted(_numbered(found), key=lambda one: one[0]):
            far = size > (NEAR if before else NEAR_OF_LAYOUT) * found[0][0]
            if setting.layout not in self.taken or (again and (far or self.late)):
                continue
            self.told(f"{setting.layout} table by {setting.order}, on all")
            for whole, better, probed in self.refine(setting, {} if self.late else shortlist(sizes, KEPT)):
                again.append((whole, better, {**sizes, **probed}))
        again.sort(key=lambda one: one[0])
        tuned = [self.tune(*one) if one[0] <= TUNED * again[0][0] else one for one in again]
        yield from sorted(tuned, key=lambda one: one[0])

    def quicker(self, setting: Setting, sizes: Sizes, *, vary: bool) -> Iterator[Setting]:
        """Yield settings like this one that cost less: each column at its smallest up to some effort.

        With ``vary``, those of usual effort once more for each option.
        """
        default = {name: values[0] for name, values in self.system.options.items()}
        for effort in (2, 1, 0):
            within = {
                place: next((one for one in found if self.system.effort(one) <= effort), setting.columns[place])
                for place, found in sizes.items()
            }
            like = replace(setting, columns={**setting.columns, **within})
            yield from (like, replace(like, options=default))
            if vary and effort == 1:
                for name, values in self.system.options.items():
                    yield from (replace(like, options={**like.options, name: value}) for value in values)

    def prove(self, wanted: MetricDataset, setting: Setting) -> Proven | None:
        """Run a setting's text on the data, read all back, and compare every bit with what is wanted."""
        self.told(f"proving {self.describe(setting)}")
        text, layout = self.text(setting), self.taken[setting.layout]
        try:
            seconds, stored = self._run(setting.layout, text)
            back = layout.restore(self.worker.call("read", setting.layout))
            lost = "" if back.fingerprint == wanted.fingerprint else difference(wanted, back)
            proven = Proven(setting, text, stored, lost)
            if len(back):  # else there is nothing to read
                self._read(proven, seconds)
        except CorruptDataError as error:
            return Proven(setting, text, stored, str(error))
        except SystemFailedError as error:
            self.notes.append(f"{self.describe(setting)}: {error}")
            return None
        return proven

    def time(self, one: Proven) -> None:
        """Run a proven text once more, and add a turn."""
        self._read(one, self._run(one.setting.layout, one.text)[0])

    def _read(self, one: Proven, ingest: float) -> None:
        """Add a turn: what putting in took, and what reading takes of what ran last."""
        layout = one.setting.layout
        hours = [self.worker.call("clock", "read_hour", layout, hour)[0] for hour in self._hours[layout]]
        whole = self.worker.call("clock", "read_all", layout)[0]
        for name, seconds in (("ingest", ingest), ("hour", median(hours)), ("whole", whole)):
            one.turns.setdefault(name, []).append(seconds)

    def segments(self, default: Setting, found: Sequence[Found]) -> list[Segment]:
        """Return what the system chose by itself for the default, which ran last, beside the least it can write."""
        told: list[Segment] = self.worker.call("segments", default.layout)
        probed = next((sizes for _, setting, sizes in found if setting.layout == default.layout), None)
        choices = shortlist(probed, 1) if probed else self.quick(self.taken[default.layout])
        choices = {place: list(dict.fromkeys([default.columns[place], *some])) for place, some in choices.items()}
        try:
            sizes = self.probe(default, choices) if told and self.affords(RUNS_TO_PROVE) else {}
        except SystemFailedError:
            return told
        segments = []
        for one in told:
            place = (one.table, one.column)
            of_column = sizes.get(place, {})
            alone = sum(other.column == one.column and other.table == one.table for other in told) == 1
            own = one.encoded_bytes or (of_column.get(default.columns[place]) if alone else None)
            best = next(iter(of_column.items()), None) if alone else None
            segments.append(replace(one, encoded_bytes=own, best=best[0] if best else "", best_bytes=best and best[1]))
        return segments


def _numbered(found: Sequence[Found]) -> Iterator[tuple[int, Found]]:
    """Yield settings in their order, each with how many of its layout came before."""
    seen: Counter[str] = Counter()
    for one in found:
        yield seen[one[1].layout], one
        seen[one[1].layout] += 1


def shortlist(sizes: Sizes, keep: int) -> dict[Place, list[str]]:
    """Return the best choices of each column, and the best of those that differ in more than a level."""
    short = {}
    for place, found in sizes.items():
        families: dict[str, str] = {}
        for choice in found:
            families.setdefault(choice.partition("(")[0], choice)
        short[place] = list(dict.fromkeys([*list(found)[:keep], *list(families.values())[:keep]]))
    return short


def difference(dataset: MetricDataset, back: MetricDataset) -> str:
    """Return in words what of a data set did not come back; both in canonical order."""
    if len(back) != len(dataset):
        return f"{len(dataset) - len(back):,} of {len(dataset):,} samples did not come back"
    moved = int((dataset.timestamps != back.timestamps).sum())
    if moved:
        return f"{moved:,} moments changed"
    if dataset.dtypes != back.dtypes:
        return "values are of other types"
    changed = int((to_words(dataset.values) != to_words(back.values)).sum())
    return f"{changed:,} values changed" if changed else "series changed"
