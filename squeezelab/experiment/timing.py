"""Timing: many cells take turns within a budget, and each median comes with the interval it can be trusted in.

A cell is one coder in one direction. All cells take a turn before any takes the next, so that a slow minute of the
machine hits them all; then those turns go on whose medians are not yet sure.
"""

from __future__ import annotations

import gc
import os
import sys
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from math import exp, lgamma, log
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from squeezelab.codecs.base import GROUP, LONG, ColumnCodec
from squeezelab.console import progress_bar
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
CALLS, CALL_VALUES = 20, 16
"""What a call costs is timed on so many columns of so many values."""
SECONDS_BETWEEN_DRAWINGS = 0.1
LEAST_BULK = 0.1
"""The share of the time that must be left beside calls for the speed without them to be told."""

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
    """One coder, there and back.

    Attributes
    ----------
    samples, calls : int
        Of one pass.
    encode, decode : Cell
        What came of either direction.
    encode_call, decode_call : float or None
        Seconds that a call takes which has next to nothing to do; None where that was not timed.
    raw_bytes : int
        Of what a pass works on; 0 where that is 8 an item of a column, 16 a sample.
    encode_many, decode_many : float or None
        Megabytes a second where one call takes many short columns; None of coders that gain nothing by it, where that
        was not timed, and where columns are long.
    """

    samples: int
    encode: Cell
    decode: Cell
    calls: int = 1
    encode_call: float | None = None
    decode_call: float | None = None
    raw_bytes: int = 0
    encode_many: float | None = None
    decode_many: float | None = None

    def bulk(self, verb: str, raw_bytes: int) -> float | None:
        """Return the speed without what calls cost, in megabytes a second; None where calls are nearly all there is.

        Examples
        --------
        >>> cell = Cell(2e-3, None, 5, 0.2)
        >>> Timing(1000, cell, cell, calls=10, encode_call=1e-4).bulk("encode", 8000)
        8.0
        """
        call, seconds = getattr(self, f"{verb}_call"), getattr(self, verb).seconds
        left = seconds - self.calls * call if call is not None else 0.0
        return raw_bytes / left / 1e6 if left > LEAST_BULK * seconds else None


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


def time_cells(
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
    time_calls: bool = False,
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
        As `time_cells` takes them.
    time_calls : bool
        Whether to time what a call costs as well, on columns, and calls for many of them.

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
    timed = time_cells(cells, end - clock(), rounds=rounds, warm=warm, clock=clock, on_turn=on_turn)
    calls = _time_calls(coders, whole, rounds, clock) if time_calls else {}
    many = _time_many(coders, whole, rounds, clock) if time_calls else {}
    return {
        name: Timing(
            _count(taken[name]),
            timed[name, "encode"],
            timed[name, "decode"],
            len(taken[name]),
            calls.get((name, "encode")),
            calls.get((name, "decode")),
            _raw_bytes(taken[name]),
            many.get((name, "encode")),
            many.get((name, "decode")),
        )
        for name in coders
    }


def _time_calls(
    coders: Mapping[str, Coder], columns: Sequence[Any], rounds: int, clock: Callable[[], float]
) -> dict[tuple[str, str], float]:
    """Return the seconds of a call, in either direction, on columns of next to nothing."""
    heads = [column[:CALL_VALUES] for column in columns[:CALLS]]
    cells: dict[tuple[str, str], Pass] = {}
    for name, coder in coders.items():
        encoded = [coder.encode(head) for head in heads]
        cells[name, "encode"] = partial(_do_each, coder.encode, heads)
        cells[name, "decode"] = partial(_do_each, coder.decode, encoded)
    return {cell: one.seconds / len(heads) for cell, one in time_cells(cells, 0, rounds=rounds, clock=clock).items()}


def _time_many(
    coders: Mapping[str, Coder], columns: Sequence[Any], rounds: int, clock: Callable[[], float]
) -> dict[tuple[str, str], float]:
    """Return the speeds, in either direction, where one call takes as many short columns as it is made for."""
    short = [column for column in columns if column.size <= LONG]
    group = short[: bisect_right(list(accumulate(column.size for column in short)), GROUP)]
    if len(group) < 2:
        return {}
    cells: dict[tuple[str, str], Pass] = {}
    for name, coder in coders.items():
        if isinstance(coder, ColumnCodec) and coder.takes_many:
            cells[name, "encode"] = partial(coder.encode_many, group)
            cells[name, "decode"] = partial(coder.decode_many, coder.encode_many(group))
    timed = time_cells(cells, 0, rounds=rounds, clock=clock)
    return {cell: _raw_bytes(group) / one.seconds / 1e6 for cell, one in timed.items() if one.seconds}


def _do_each(verb: Callable[[Any], object], subjects: Sequence[Any]) -> None:
    for subject in subjects:
        verb(subject)


def _count(subjects: Sequence[Any]) -> int:
    return sum(map(len, subjects))


def _raw_bytes(subjects: Sequence[Any]) -> int:
    return sum(one.raw_bytes if isinstance(one, MetricDataset) else getattr(one, "nbytes", 0) for one in subjects)


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


def time_named(
    subject: str,
    coders: Mapping[str, Coder],
    cut: Callable[[float], Sequence[Any]],
    rounds: int,
    budget: float,
    *,
    time_calls: bool = False,
) -> dict[str, Timing]:
    """Return timings by coder, memcpy among them; none where there is nothing to time."""
    if not rounds or not coders or not sum(map(len, cut(1))):
        return {}
    contestants: dict[str, Coder] = {"memcpy": Memcpy(), **coders}
    # Drawn between turns only: a thread that draws would take turns with what is timed.
    with progress_bar(quiet=True) as progress:
        task = progress.add_task(f"Timing {subject}", total=max(budget, 0.1), unit="seconds")
        started = drawn = perf_counter()

        def on_turn() -> None:
            nonlocal drawn
            if (now := perf_counter()) > drawn + SECONDS_BETWEEN_DRAWINGS:
                progress.update(task, completed=min(now - started, budget))
                progress.refresh()
                drawn = now

        return time_coders(contestants, cut, budget, rounds=rounds, on_turn=on_turn, time_calls=time_calls)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep garbage collection, the threads of libraries, and moves to another core from what is timed."""
    with ExitStack() as stack:
        stack.callback(_pin_to_a_core())
        for restore in _pin_threads():
            stack.callback(restore)
        if gc.isenabled():
            stack.callback(gc.enable)
            gc.collect()
            gc.disable()
        yield


def _pin_to_a_core() -> Callable[[], None]:
    """Keep this thread on one core, where the system allows it; return what sets it free."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(before)})  # the first core serves interrupts on many machines
    except OSError:
        return lambda: None
    return partial(os.sched_setaffinity, 0, before)


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
