"""Every method within every bound on every series: bytes, errors, and what becomes of answers."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from squeezelab.codecs import get_codec
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, Series
from squeezelab.doubles import doubled
from squeezelab.errors import InvalidRequestError
from squeezelab.losses.bounds import KINDS, Bound, Floats, Verdict, is_special
from squeezelab.losses.methods import LOSSLESS, METHODS, Method, lose
from squeezelab.losses.questions import Answers, Moves, answer, asks_for_rates, compare_answers
from squeezelab.losses.results import WINDOW, Effect, Losses, Row
from squeezelab.losses.windows import CODEC, WINDOWS, keep_windows
from squeezelab.registry import extra_command, is_installed

logger = logging.getLogger(__name__)

SIZES: Mapping[str, tuple[float, ...]] = {
    "range": (0.0001, 0.001, 0.01, 0.05),
    "value": (0.0001, 0.001, 0.01, 0.05),
    "absolute": (0.01, 0.1, 1.0),
}
"""The bounds of a default run."""
DEFAULT_BOUNDS = tuple(Bound(kind, size) for kind, sizes in SIZES.items() for size in sizes)
TIMESTAMP_CODEC = "tally"


@dataclass(frozen=True)
class Outcome:
    """What came of one series by one method; sums, so that those of all series can be added up."""

    sizes: Mapping[str, int]
    squares: float
    verdict: Verdict
    exact: bool
    moves: Moves | None


@dataclass
class OneSeries:
    """A series, and what came of it by every row's key; with errors in words."""

    counter: bool
    lossless: Mapping[str, int]
    timestamps: int
    outcomes: dict[tuple[str, str, float], Outcome] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure_losses(
    dataset: MetricDataset,
    *,
    bounds: Sequence[Bound] = DEFAULT_BOUNDS,
    methods: Sequence[str] | None = None,
    threshold: float | None = None,
    counters: Sequence[str] = (),
    data: str = "",
) -> Losses:
    """Take every series through every method within every bound.

    Parameters
    ----------
    dataset : MetricDataset
        The series; empty ones are left out.
    bounds : sequence of Bound
        Which.
    methods : sequence of str, optional
        Names in `METHODS`; all if not given. Those whose package is not installed are left out with a word.
    threshold : float, optional
        For the first crossing, the same for all series; else each has its own.
    counters : sequence of str
        Patterns of names that are counters besides those which OpenMetrics calls so.
    data : str
        What the series are called.

    Returns
    -------
    Losses

    Raises
    ------
    InvalidRequestError
        If there is no such method, or no sample.

    Examples
    --------
    >>> from squeezelab import SeriesKey
    >>> walk = Series(SeriesKey("walk", {}), 15 * np.arange(500), np.cumsum(np.sin(np.arange(500.0))))
    >>> losses = measure_losses(MetricDataset.from_series([walk]), bounds=[Bound("range", 0.01)], methods=["pmc"])
    >>> [(row.title, row.label, row.broken) for row in losses.rows][:2]
    [('PMC-mean', '1 % of the range', 0), ('down-sampling', 'windows of 1m', 0)]
    """
    started = perf_counter()
    chosen, left_out = choose_methods(methods)
    dataset, notes = doubled(dataset, "Every method")
    every = [one for one in dataset if one.values.size]
    if not every:
        raise InvalidRequestError("there is no sample to lose anything of")
    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar() as progress:
        task = progress.add_task("Measuring", total=len(every), unit="series")

        def measure(one: Series) -> OneSeries:
            counter = asks_for_rates(one.key.metric_name, counters)
            asked = Asked(one.timestamps, one.values, dataset.second, counter, threshold)
            found = _measure_series(asked, chosen, bounds)
            progress.advance(task)
            return found

        measured = list(pool.map(measure, every))
    failed = {name: f"{METHODS[name].title}: {why}" for one in measured for name, why in one.failed.items()}
    for why in failed.values():
        logger.warning("left out: %s", why)
    samples = sum(one.values.size for one in every)
    keys = [
        (name, bound.kind, bound.size)
        for kind in KINDS
        for name in chosen
        for bound in bounds
        if bound.kind == kind and kind in METHODS[name].bounds and name not in failed
    ]
    keys += [(name, WINDOW, float(seconds)) for name, seconds in WINDOWS.items()]
    return Losses(
        rows=[_sum_up(key, measured, samples) for key in keys],
        lossless={codec: 8 * sum(one.lossless[codec] for one in measured) / samples for codec in LOSSLESS},
        timestamp_bits=8 * sum(one.timestamps for one in measured) / samples,
        left_out=[*left_out, *failed.values()],
        notes=notes,
        data=data,
        series=len(every),
        samples=samples,
        counters=sum(one.counter for one in measured),
        specials=sum(int(np.count_nonzero(is_special(one.values))) for one in every),
        threshold=threshold,
        seconds=perf_counter() - started,
    )


def choose_methods(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the methods to run, and a word on each that is left out because its package is missing.

    Raises
    ------
    InvalidRequestError
        If there is no such method.
    """
    for name in names or ():
        if name not in METHODS:
            raise InvalidRequestError(f"unknown method {name!r}: choose from {', '.join(METHODS)}")
    chosen = [name for name in METHODS if names is None or name in names]
    missing = [name for name in chosen if not is_installed(METHODS[name].package)]
    words = [
        f"{METHODS[name].title} needs the package {METHODS[name].package}: {extra_command('losses')}"
        for name in missing
    ]
    return [name for name in chosen if name not in missing], words


def _measure_series(asked: Asked, methods: Sequence[str], bounds: Sequence[Bound]) -> OneSeries:
    """Take one series through everything."""
    lossless = {codec: len(get_codec(codec).encode(asked.values)) for codec in LOSSLESS}
    found = OneSeries(asked.counter, lossless, len(get_codec(TIMESTAMP_CODEC).encode(asked.timestamps)))
    for name in methods:
        try:
            for bound in bounds:
                if bound.kind in METHODS[name].bounds:
                    found.outcomes[name, bound.kind, bound.size] = _within_bound(METHODS[name], asked, bound)
        except Exception as error:  # a method costs a line, not the run
            found.failed[name] = f"{type(error).__name__}: {error}"
    for name, seconds in WINDOWS.items():
        found.outcomes[name, WINDOW, float(seconds)] = _in_windows(asked, seconds * asked.second)
    return found


class Asked:
    """A series whose questions have been answered once, to be compared with what comes back of it."""

    def __init__(self, timestamps: Any, values: Floats, second: int, counter: bool, threshold: float | None) -> None:
        self.timestamps, self.values = timestamps, values
        self.second, self.counter, self.threshold = second, counter, threshold
        self.finite = np.isfinite(values)
        self.answers = self.ask(values)
        with np.errstate(over="ignore"):
            self.spread = float(np.ptp(values[self.finite])) if self.finite.any() else 0.0

    def ask(self, values: Floats) -> Answers:
        """Answer the questions on other values of the same moments."""
        return answer(self.timestamps[self.finite], values[self.finite], self.second, self.counter)

    def moves(self, answers: Answers) -> Moves | None:
        """Return how far answers are from those of the series."""
        return compare_answers(self.answers, answers, self.second, self.counter, self.threshold)

    def squares(self, restored: Floats, truth: Floats) -> float:
        """Return the sum of squares of errors, as shares of the range."""
        if not 0 < self.spread < math.inf:
            return 0.0
        return float(np.sum(np.square((restored[self.finite] - truth[self.finite]) / self.spread)))


def _within_bound(method: Method, asked: Asked, bound: Bound) -> Outcome:
    loss = lose(method, asked.timestamps, asked.values, bound)
    usable = bool(np.isfinite(loss.restored[asked.finite]).all())
    moves = asked.moves(asked.ask(loss.restored)) if usable else None
    squares = asked.squares(loss.restored, asked.values) if usable else math.inf
    return Outcome(loss.sizes, squares, loss.verdict, loss.exact, moves)


def _in_windows(asked: Asked, step: int) -> Outcome:
    kept = keep_windows(asked.timestamps, asked.values, step, asked.counter)
    answers = asked.ask(kept.restored)
    if not asked.counter:  # a dashboard asks the maxima for the maximum
        answers = replace(answers, maximum=kept.maximum)
    errors = np.abs(kept.restored - kept.truth)[asked.finite]
    share = float(errors.max(initial=0.0)) / asked.spread if asked.spread else 0.0
    squares = asked.squares(kept.restored, kept.truth)
    return Outcome({CODEC: kept.size}, squares, Verdict(0, 0, share), False, asked.moves(answers))


def _sum_up(key: tuple[str, str, float], measured: Sequence[OneSeries], samples: int) -> Row:
    """Add up what came of all series."""
    name, kind, size = key
    outcomes = [one.outcomes[key] for one in measured]
    moves: dict[bool, list[Moves]] = {True: [], False: []}
    for one, outcome in zip(measured, outcomes, strict=True):
        if outcome.moves is not None:
            moves[one.counter].append(outcome.moves)
    verdicts = [one.verdict for one in outcomes]
    stores = outcomes[0].sizes
    return Row(
        method=f"downsampled:step={name}" if kind == WINDOW else name,
        title="down-sampling" if kind == WINDOW else METHODS[name].title,
        kind=kind,
        size=size,
        bits={store: 8 * sum(one.sizes[store] for one in outcomes) / samples for store in stores},
        error=math.sqrt(sum(one.squares for one in outcomes) / samples),
        largest=max(one.largest for one in verdicts),
        broken=sum(one.broken for one in verdicts),
        broken_series=sum(not one.kept for one in verdicts),
        specials_changed=sum(one.specials_changed for one in verdicts),
        exact=sum(one.exact for one in outcomes),
        gauges=Effect.of(moves[False]),
        counters=Effect.of(moves[True]),
    )
