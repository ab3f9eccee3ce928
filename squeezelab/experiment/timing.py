"""Timing: many cells take turns within a budget, and each median comes with the interval it can be trusted in.

A cell is one coder in one direction. All cells take a turn before any takes the next, so that a slow minute of the
machine hits them all; then those turns go on whose medians are not yet sure.
"""

from __future__ import annotations

import gc
import sys
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from math import exp, lgamma, log
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from squeezelab.dataset import MetricDataset
from squeezelab.experiment.proof import Coder
from squeezelab.results import NOISY_WIDTH

ROUNDS = 5
"""Turns that every cell takes, whatever the budget."""
CELL_SECONDS = 0.2
"""What a cell is timed for in all, where the budget allows."""
TURN_SECONDS = 0.001
"""A turn is as many passes as take about so long, one at least: shorter ones would time the clock."""
FIRST_SHARE = 0.5
"""The share of a budget that the first turns of all may take; what is slow gets a smaller part of the subjects."""
QUICK_SECONDS = 0.01
"""A coder that takes longer than this is tried out once only: how long it takes while warming up is near enough."""
CONFIDENCE = 0.95

Name = TypeVar("Name", bound=Hashable)
Pass = Callable[[], object]


class Memcpy:
    """Copying the bytes and nothing else: what every speed is compared with."""

    def encode(self, subject: Any, /) -> Any:
        """Copy a column, or the samples of a data set."""
        if isinstance(subject, MetricDataset):
            return subject.timestamps.copy(), subject.values.copy()
        return subject.copy()

    def decode(self, copied: Any, /) -> Any:
        """Copy once more."""
        return [one.copy() for one in copied] if isinstance(copied, tuple) else copied.copy()


@dataclass(frozen=True)
class Cell:
    """What came of one cell.

    Attributes
    ----------
    seconds : float
        Of one pass: the median of all turns.
    interval : tuple of two floats, or None
        Where this median lies with 95 % confidence; None where there were too few turns to tell.
    rounds : int
        How many turns it took.
    timed_seconds : float
        What all turns took together.
    """

    seconds: float
    interval: tuple[float, float] | None
    rounds: int
    timed_seconds: float

    @property
    def width(self) -> float:
        """Width of the interval as a share of the median."""
        if self.interval is None:
            return float("inf")
        return (self.interval[1] - self.interval[0]) / self.seconds if self.seconds else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the interval is too wide, or not known."""
        return self.width > NOISY_WIDTH


@dataclass(frozen=True)
class Timing:
    """One coder, there and back; ``samples`` are those of one pass."""

    samples: int
    encode: Cell
    decode: Cell


def bootstrap_interval(turns: Sequence[float]) -> tuple[float, float] | None:
    """Return the bootstrap 95 % interval of the median; None for fewer than two turns.

    Parameters
    ----------
    turns : sequence of float
        In any order.

    Notes
    -----
    No random numbers are drawn: how often the median of a resample is at most the k-th smallest turn is a binomial
    probability, so the ends are two of the turns (Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of
    Statistics 7, 1979, section 3). For an even number of turns these are the ends for the lower and upper one of the
    two that are in the middle.

    Examples
    --------
    >>> bootstrap_interval([1.0, 1.1, 1.2, 1.3, 9.0])
    (1.0, 9.0)
    >>> bootstrap_interval([1.0] * 10 + [9.0])
    (1.0, 1.0)
    """
    if len(turns) < 2:
        return None
    ordered, rank = sorted(turns), _lower_rank(len(turns))
    return ordered[rank], ordered[-1 - rank]


@cache
def _lower_rank(count: int) -> int:
    """Return the place of the interval's lower end among so many turns in their order."""
    half = (count + 1) // 2

    def at_most(rank: int) -> float:
        """How likely the lower median of a resample is at most the turn of this rank, counted from 0."""
        share = (rank + 1) / count
        if share >= 1:
            return 1.0
        whole = lgamma(count + 1)
        return sum(
            exp(whole - lgamma(j + 1) - lgamma(count - j + 1) + j * log(share) + (count - j) * log(1 - share))
            for j in range(half, count + 1)
        )

    return bisect_right(range(count), (1 - CONFIDENCE) / 2, key=at_most)


def race(
    cells: Mapping[Name, Pass],
    budget: float,
    *,
    rounds: int = ROUNDS,
    warm: Mapping[Name, float] | None = None,
    clock: Callable[[], float] = perf_counter,
    on_turn: Callable[[], None] = lambda: None,
) -> dict[Name, Cell]:
    """Time cells in turns: some rounds for all, then more for those that are not calm until the budget is out.

    Parameters
    ----------
    cells : mapping of names to callables
        Each does one pass. It is called once to warm up, which is not timed.
    budget : float
        Seconds for everything. What all cells have a right to, they get even where it is not enough.
    rounds : int
        The turns that every cell takes.
    warm : mapping of names to float, optional
        Cells that need no warming up, and about how many seconds a pass of theirs takes.
    clock : callable
        Tells seconds.
    on_turn : callable
        Called after every turn.

    Returns
    -------
    dict of names to Cell

    Notes
    -----
    Where the time suffices for all, those go on first that were timed for less than `CELL_SECONDS`, and where it does
    not, they come last. Else it is those that are noisy. The widest go first, and none twice before the others.
    """
    end = clock() + budget
    turns: dict[Name, list[float]] = {name: [] for name in cells}
    with undisturbed():
        known = dict(warm or {})
        passes = {
            name: max(1, round(TURN_SECONDS / max(known[name] if name in known else _clocked(run, clock), 1e-6)))
            for name, run in cells.items()
        }

        def take_turn(name: Name) -> None:
            run, count = cells[name], passes[name]
            started = clock()
            for _ in range(count):
                run()
            turns[name].append((clock() - started) / count)
            on_turn()

        for _ in range(rounds):
            for name in cells:
                take_turn(name)
        while clock() < end and (waiting := _unfinished(turns, passes, end - clock())):
            for name in waiting:
                if clock() >= end:
                    break
                take_turn(name)
    return {name: _summarize(turns[name], passes[name]) for name in cells}


def _clocked(run: Pass, clock: Callable[[], float]) -> float:
    """Return the seconds of one pass."""
    started = clock()
    run()
    return clock() - started


def _summarize(turns: Sequence[float], passes: int) -> Cell:
    return Cell(median(turns), bootstrap_interval(turns), len(turns), sum(turns) * passes)


def _unfinished(turns: Mapping[Name, list[float]], passes: Mapping[Name, int], left: float) -> list[Name]:
    """Return the cells that go on, widest first: those timed for too short a while, or those that are noisy."""
    cells = {name: _summarize(taken, passes[name]) for name, taken in turns.items()}
    widest_first = sorted(cells, key=lambda name: -cells[name].width)
    noisy = [name for name in widest_first if cells[name].noisy]
    short = [name for name in widest_first if cells[name].timed_seconds < CELL_SECONDS]
    lacking = sum(CELL_SECONDS - cells[name].timed_seconds for name in short)
    return short if short and lacking <= left else noisy or short


def time_coders(
    coders: Mapping[str, Coder],
    cut: Callable[[float], Sequence[Any]],
    budget: float,
    *,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = perf_counter,
    on_turn: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Time coders on one thread, each in both directions.

    Parameters
    ----------
    coders : mapping of str to coder
        Who takes part.
    cut : callable
        Returns about this share of what is to be encoded, from 0 to 1, and never nothing. Slow coders get less than
        all, so that a turn of theirs does not eat up what others wait for.
    budget, rounds, clock, on_turn
        As `race` takes them.

    Returns
    -------
    dict of str to Timing
    """
    end = clock() + budget
    parts: dict[float, Sequence[Any]] = {}
    taken: dict[str, Sequence[Any]] = {}
    cells: dict[tuple[str, str], Pass] = {}
    warm: dict[tuple[str, str], float] = {}
    turn = min(FIRST_SHARE * budget / max(1, 2 * len(coders) * rounds), CELL_SECONDS / rounds)
    with undisturbed():
        whole, probe = cut(1), cut(0)
        for name, coder in coders.items():
            seconds, encoded = _try_out(coder, probe, clock)
            expected = seconds / max(1, _count(probe)) * _count(whole)
            share = 1.0
            while share * expected > 2 * turn and share > 2**-20:
                share /= 2
            part = taken[name] = parts[share] if share in parts else parts.setdefault(share, cut(share))
            cells[name, "encode"] = partial(_do_each, coder.encode, part)
            if _count(part) != _count(probe):
                started = clock()
                encoded = [coder.encode(subject) for subject in part]
                seconds = clock() - started
            if seconds > QUICK_SECONDS:
                warm[name, "encode"] = seconds
            cells[name, "decode"] = partial(_do_each, coder.decode, encoded)
    timed = race(cells, end - clock(), rounds=rounds, warm=warm, clock=clock, on_turn=on_turn)
    return {name: Timing(_count(taken[name]), timed[name, "encode"], timed[name, "decode"]) for name in coders}


def _do_each(verb: Callable[[Any], object], subjects: Sequence[Any]) -> None:
    for subject in subjects:
        verb(subject)


def _count(subjects: Sequence[Any]) -> int:
    return sum(map(len, subjects))


def _try_out(coder: Coder, subjects: Sequence[Any], clock: Callable[[], float]) -> tuple[float, list[Any]]:
    """Return about how long a coder takes for the way there and back, once it is warm, and what it made."""
    for _ in range(2):
        started = clock()
        encoded = [coder.encode(subject) for subject in subjects]
        _do_each(coder.decode, encoded)
        seconds = clock() - started
        if seconds > QUICK_SECONDS:
            break
    return seconds, encoded


def join_timings(timings: Sequence[Timing]) -> Timing:
    """Return what timings of several parts of the same subject make together: seconds and ends of intervals add up.

    Such an interval is rather too wide than too narrow.
    """

    def join(cells: Sequence[Cell]) -> Cell:
        intervals = [cell.interval for cell in cells if cell.interval]
        low, high = (sum(interval[i] for interval in intervals) for i in (0, 1))
        return Cell(
            sum(cell.seconds for cell in cells),
            (low, high) if len(intervals) == len(cells) else None,
            min(cell.rounds for cell in cells),
            sum(cell.timed_seconds for cell in cells),
        )

    return Timing(
        sum(timing.samples for timing in timings),
        join([timing.encode for timing in timings]),
        join([timing.decode for timing in timings]),
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep garbage collection and the threads of libraries from what is timed."""
    with ExitStack() as stack:
        for restore in _pin_threads():
            stack.callback(restore)
        if gc.isenabled():
            stack.callback(gc.enable)
            gc.collect()
            gc.disable()
        yield


def _pin_threads() -> Iterable[Callable[[], None]]:
    """Let every library that is loaded and has threads of its own work on one; yield what restores it."""
    for module, getter, setter in (
        ("pyarrow", "cpu_count", "set_cpu_count"),
        ("numcodecs.blosc", "get_nthreads", "set_nthreads"),
        ("blosc2", "get_nthreads", "set_nthreads"),
    ):
        library: Any = sys.modules.get(module)
        if not hasattr(library, setter):
            continue
        change = getattr(library, setter)
        # Blosc's setters return what was set before, and not all its versions have a getter.
        before = getattr(library, getter)() if hasattr(library, getter) else None
        returned = change(1)
        yield partial(change, before or returned or 1)
