"""Databases on a data set: filled, compacted, weighed, queried, and what came back compared bit by bit."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.doubles import doubled
from squeezelab.engines import Engine, Session
from squeezelab.errors import EngineError, OutOfTimeError
from squeezelab.experiment.access import HOUR
from squeezelab.experiment.memory import settled
from squeezelab.experiment.parts import choose_windows, halve, line_through, take
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.proof import spread
from squeezelab.experiment.returned import compare_returned
from squeezelab.experiment.stopwatch import Stopwatch
from squeezelab.experiment.timing import bootstrap_interval
from squeezelab.registry import bare_names
from squeezelab.results import EngineMeasurement

logger = logging.getLogger(__name__)
SECONDS = 300.0
"""What one setting of a database may take, all told; then it is ended."""
USED_SECONDS = 150.0
"""What it is meant to take at most: it is given as many samples as it works off in that time."""
MOST_SAMPLES = 10_000_000
QUERIED_SERIES = 4
"""An hour is queried of so many series, of different metric families where there are."""
QUERY_SECONDS = 1.0
"""Each kind of query is repeated for about so long, after once that is not timed."""
MOST_TURNS = 100


@dataclass
class EngineTrial:
    """What came of databases, and sentences on those that did not run."""

    measurements: list[EngineMeasurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, words: str) -> None:
        """Keep a sentence, and say it at once."""
        self.notes.append(words)
        logger.info(words)


class Timed(NamedTuple):
    """How long a kind of query takes, the ends between which that lies, and whether it gave what was to be given."""

    ms: float | None
    interval: tuple[float, float] | None
    agrees: bool


def try_engines(dataset: MetricDataset, plan: Plan, stopwatch: Stopwatch) -> EngineTrial:
    """Run every database of a plan, one after another; one that fails costs a sentence.

    Parameters
    ----------
    dataset : MetricDataset
        What they are given; those that would take too long for it are given a part.
    plan : Plan
        Which run, and whether anything is timed.
    stopwatch : Stopwatch
        Counts the stage ``engines``.
    """
    trial = EngineTrial()
    for name, how in plan.absent.items():
        trial.note(f"{name} is not installed and is left out: {how}.")
    if not plan.engines:
        return trial
    dataset, told = doubled(dataset, f"Each database ({', '.join(bare_names(plan.engines))})")
    for words in told:
        trial.note(words)
    dataset = dataset.select(np.flatnonzero(np.diff(dataset.offsets)))  # databases know of no series without samples
    with stopwatch.stage("engines"), settled(), progress_bar() as progress:
        task = progress.add_task("Databases", total=len(plan.engines), unit="settings")
        for name, engine in plan.engines.items():
            progress.update(task, description=f"Running {name}")
            try:
                measurement, told = measure_engine(engine, dataset, timed=plan.rounds > 0)
                trial.measurements.append(measurement)
                for words in told:
                    trial.note(words)
            except Exception as error:
                trial.note(f"{name} is left out: {_reason(error, name)}.")
            progress.advance(task)
    return trial


def measure_engine(
    engine: Engine, dataset: MetricDataset, *, timed: bool = True, seconds: float = SECONDS
) -> tuple[EngineMeasurement, list[str]]:
    """Run one database at one setting.

    Parameters
    ----------
    engine : Engine
        What `squeezelab.engines.get_engine` returns.
    dataset : MetricDataset
        Without series that have no samples.
    timed : bool
        Whether queries are repeated and timed; they are made once in any case, and what they give is compared.
    seconds : float
        What it may take, all told.

    Returns
    -------
    measurement : EngineMeasurement
    notes : list of str
        Sentences on what was not to be had.

    Raises
    ------
    EngineError
        If it fails before it is known what came back, or has no time left before it is known what it takes.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.engines import get_engine
    >>> one, notes = measure_engine(get_engine("sqlite"), generate_metric_data().select([0, 1]), timed=False)
    >>> one.samples, one.exact
    (2000, True)
    """
    dataset = _affordable(engine, dataset)
    deadline = monotonic() + seconds
    notes: list[str] = []
    with _Running(engine, deadline) as running:
        measurement = running.fill(dataset)
        try:
            measurement = _with_queries(running, measurement, dataset, notes, timed)
        except OutOfTimeError as error:
            measurement = replace(measurement, returned=None)
            notes.append(f"What comes back from {engine.name} is not known: {_reason(error, engine.name)}.")
    try:
        return _with_further(measurement, engine, dataset, deadline), notes
    except EngineError as error:
        name = measurement.engine
        return measurement, [*notes, f"What a further sample takes in {name} is not known: {_reason(error, name)}."]


def _with_queries(
    running: _Running, filled: EngineMeasurement, dataset: MetricDataset, notes: list[str], timed: bool
) -> EngineMeasurement:
    """Add what came back, and how long queries take."""
    found = running.call("read_all").value
    returned = compare_returned(dataset, found)
    expected = dataset if returned.exact else found
    family = _largest_family(dataset)
    queries = _queries(running, dataset, expected, family)
    timings = {name: _time(each, notes, timed) for name, each in queries.items()}
    return replace(
        filled,
        returned=returned,
        queries_agree=all(one.agrees for one in timings.values()),
        family_series=sum(key.metric_name == family for key in dataset.keys),
        memory_mb=running.memory_mb(),
        hour_ms=timings["hour"].ms,
        hour_ci=timings["hour"].interval,
        family_hour_ms=timings["family_hour"].ms,
        family_hour_ci=timings["family_hour"].interval,
        everything_ms=timings["everything"].ms,
        everything_ci=timings["everything"].interval,
    )


def _affordable(engine: Engine, dataset: MetricDataset) -> MetricDataset:
    """Return as much of a data set as the database works off in the time that it has."""
    most = min(MOST_SAMPLES, int(engine.samples_a_second * USED_SECONDS))
    return take(dataset, choose_windows(np.diff(dataset.offsets), most))


def _reason(error: Exception, name: str) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    return words.removeprefix(f"{name}: ") if isinstance(error, EngineError) else f"{type(error).__name__}: {words}"


class _Running:
    """A database that runs until a deadline."""

    def __init__(self, engine: Engine, deadline: float) -> None:
        self.engine, self.deadline = engine, deadline
        self.session = Session(engine)

    def __enter__(self) -> _Running:
        self.session.limit = self._left()
        self.session.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.session.__exit__(*error)

    def _left(self) -> float:
        return max(1.0, self.deadline - monotonic())

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the engine, in the time that is left."""
        return self.session.call(method, *arguments, limit=self._left())

    def memory_mb(self) -> float | None:
        """Return the peak memory; None where the engine was ended, for its time was over."""
        try:
            return self.session.memory_mb()
        except EngineError:
            return None

    def fill(self, dataset: MetricDataset) -> EngineMeasurement:
        """Start it, fill it, compact it and weigh it."""
        start = self.session.start(dataset.time_unit).seconds
        ingest = self.call("ingest", dataset).seconds
        compact = self.call("compact").seconds
        parts = {name: size for name, size in self.call("sizes").value.items() if size}
        return EngineMeasurement(
            engine=self.engine.name,
            title=self.engine.title,
            version=self.engine.version() or "",
            series=len(dataset.keys),
            samples=len(dataset),
            parts=parts,
            bytes_on_disk=sum(size for name, size in parts.items() if name != "log"),
            start_s=start,
            compact_s=compact,
            ingest_samples_s=len(dataset) / max(ingest, 1e-9),
        )


# ---- Further samples ----


def _with_further(
    whole: EngineMeasurement, engine: Engine, dataset: MetricDataset, deadline: float
) -> EngineMeasurement:
    """Add the bytes that it takes however little it holds, and those of each further sample."""
    half = halve(dataset)
    if len(half) == len(dataset):
        return whole
    with _Running(engine, deadline) as running:
        less = running.fill(half).bytes_on_disk
    line = line_through((len(half), less), (len(dataset), whole.bytes_on_disk))
    if line is None:
        return whole
    fixed, further = line
    return replace(whole, further_bytes=further, fixed_bytes=max(0.0, fixed))


# ---- Queries ----


Query = Callable[[], Any]


def _queries(
    running: _Running, dataset: MetricDataset, expected: MetricDataset, family: str
) -> dict[str, list[tuple[Query, MetricDataset | None]]]:
    """Return the queries of each kind, each with what it is to give."""
    hour = HOUR * dataset.second
    every, held = list(dataset), {one.key: one for one in expected}
    numbers = spread([key.metric_name for key in dataset.keys], 0)
    chosen = [every[numbers[i * len(numbers) // QUERIED_SERIES]] for i in range(min(len(numbers), QUERIED_SERIES))]
    hours: list[tuple[Query, MetricDataset | None]] = []
    for one in chosen:
        start = _middle(one)
        hours.append((partial(running.call, "read", one.key, start, start + hour), _cut(held, [one.key], start, hour)))
    members = [one.key for one in every if one.key.metric_name == family]
    start = _middle(next(one for one in every if one.key.metric_name == family))
    of_all = partial(running.call, "read_family", family, start, start + hour)
    return {
        "hour": hours,
        "family_hour": [(of_all, _cut(held, members, start, hour))],
        "everything": [(partial(running.call, "read_all"), None)],
    }


def _middle(series: Series) -> int:
    return int(series.timestamps[len(series.timestamps) // 2])


def _largest_family(dataset: MetricDataset) -> str:
    """Return the metric family of most series, the first of those."""
    return Counter(key.metric_name for key in dataset.keys).most_common(1)[0][0]


def _cut(held: dict[SeriesKey, Series], keys: Sequence[SeriesKey], start: int, span: int) -> MetricDataset:
    """Return what is held of some series from a time on."""
    parts = []
    for key in keys:
        if key in held:
            _, timestamps, values = held[key]
            within = (timestamps >= start) & (timestamps < start + span)
            parts.append(Series(key, timestamps[within], values[within]))
    return MetricDataset.from_series([one for one in parts if len(one.timestamps)])


def _time(queries: Sequence[tuple[Query, MetricDataset | None]], notes: list[str], timed: bool) -> Timed:
    """Make each query once and compare what comes, then time all of them for a while; a failure costs a sentence.

    A query without what it is to give was made and compared before.
    """
    agrees, turns = False, list[float]()
    try:
        agrees = all(wanted is None or compare_returned(wanted, query().value).exact for query, wanted in queries)
        end = monotonic() + QUERY_SECONDS
        while timed and len(turns) < MOST_TURNS and (not turns or monotonic() < end):
            turns.append(1000 * sum(query().seconds for query, _ in queries) / len(queries))
    except EngineError as error:
        notes.append(f"A query failed: {error}.")
    return Timed(median(turns) if turns else None, bootstrap_interval(turns), agrees)
