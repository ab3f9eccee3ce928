"""The same work on a Dask cluster: workers make, encode, prove and time partitions of a data set where they lie.

A task does one partition from beginning to end, and can be done again anywhere: it reads the partition from the store,
or makes it and keeps it there. So a worker that dies loses nothing but time. Series do not depend on one another, nor
do their frames: what comes back adds up to the same fingerprint and the same encoded bytes as on one machine.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from squeezelab.codecs import get_codec
from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, Series, SeriesKey, combine_digests
from squeezelab.errors import CorruptDataError, DataSourceError, InvalidRequestError
from squeezelab.experiment.machine import cpu_model
from squeezelab.experiment.run import (
    BUDGET,
    DEFAULT_CODECS,
    DEFAULT_FORMATS,
    ChosenSeries,
    Stopwatch,
    Trial,
    choose_series,
    collect,
    count_deltas_of_deltas,
    describe,
    describe_run,
    describe_settings,
    explain,
    name_missing,
    package_versions,
    share_of_codecs,
    spread_series,
    summarize,
    try_codecs,
    try_formats,
)
from squeezelab.experiment.timing import ROUNDS, join_timings
from squeezelab.formats import get_format
from squeezelab.formats.ndjson import ndjson_bytes
from squeezelab.generators import PartedSource, check_request, find_source
from squeezelab.results import Results
from squeezelab.store.cache import load_or_generate
from squeezelab.store.partitions import PartitionStore, cut

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

logger = logging.getLogger(__name__)

LOCAL = "local"
PARTITION_SAMPLES = 1_000_000
FEWEST_PARTITIONS = 8
"""Small data are cut finer, so that several workers have something to do."""
MOST_FORMAT_SAMPLES = 1_000_000
"""File formats run here, on whole series, evenly spread, of about so many samples."""
PATIENCE = 10
"""Seconds to wait for a scheduler, and for its first worker."""
RETRIES = 2
"""How often a task that failed is done again; deaths of workers do not count among these."""


class Origin(NamedTuple):
    """A data set that may not have been made yet: what it is, its series and their lengths, and who has them.

    Either ``make`` makes any run of its series, on a worker as well as here, or ``whole`` is all of it.
    """

    described: dict[str, Any]
    keys: Sequence[SeriesKey]
    lengths: npt.NDArray[np.int64]
    make: Callable[..., MetricDataset] | None = None
    whole: MetricDataset | None = None


class Introduction(NamedTuple):
    """Who a worker is."""

    host: str
    cpu: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Task:
    """One partition, and all that a worker needs to know of it.

    Attributes
    ----------
    store, number, series
        Where it lies, and which series of the data set it holds.
    digests : list of bytes or None
        Those of its series; None if the store does not have it yet.
    make : callable or None
        Makes it; None if only the client can.
    codecs, rounds, budget
        What runs on it, as `squeezelab.experiment.run.measure_dataset` takes them; the budget is this partition's.
    kept : list of int
        Which of its series, counted within it, formats want to have.
    chosen : ChosenSeries
        Likewise what not all codecs run on.
    """

    store: PartitionStore
    number: int
    series: range
    digests: list[bytes] | None
    make: Callable[[], MetricDataset] | None
    codecs: Sequence[str]
    rounds: int
    budget: float
    kept: list[int]
    chosen: ChosenSeries


@dataclass(frozen=True)
class Missing:
    """What came of a partition that the worker neither found whole nor could make."""

    complaint: str


@dataclass(frozen=True)
class Outcome:
    """What came of a partition; ``complaint`` says what was wrong with the one in the store, if anything."""

    complaint: str
    digests: list[bytes]
    deltas_of_deltas: npt.NDArray[np.int64]
    ndjson_bytes: int
    trials: dict[str, Trial]
    kept: list[Series]


def measure_on_cluster(
    scheduler: str,
    *,
    generator: str,
    size: str,
    seed: int = 0,
    store: str = "output/partitions",
    cache: str | Path = "output",
    codecs: Sequence[str] = DEFAULT_CODECS,
    formats: Sequence[str] = DEFAULT_FORMATS,
    rounds: int = ROUNDS,
    budget: float = BUDGET,
    settings: dict[str, Any] | None = None,
    partition_samples: int = PARTITION_SAMPLES,
    stopwatch: Stopwatch | None = None,
) -> Results:
    """Make or load a data set in partitions, and run codecs and formats over it, on the workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str
        Address of a scheduler, ``tcp://host:8786``; ``local`` starts a cluster here, a worker a processor.
    generator, size, seed
        As `squeezelab.generate_metric_data` takes them.
    store : str
        Where the data set lies as partitioned Parquet, in a folder of its own: a local folder or any fsspec URL, best
        one that all workers share. A later run reads what it finds there.
    cache : path-like
        Where this machine caches a data set that only it can load.
    codecs, formats, rounds, budget, settings, stopwatch
        As `squeezelab.experiment.run.measure_dataset` takes them.
    partition_samples : int
        About how many samples a partition has.

    Returns
    -------
    Results
        The same sizes, proofs and digests of frames as on one machine.

    Raises
    ------
    InvalidRequestError
        If a name or number is none, or Dask is not installed.
    DataSourceError
        If the scheduler cannot be reached or has no workers that can do the work, or the store cannot be written.

    Notes
    -----
    Speeds are timed on the workers, beside what others do there, and summed up: bytes of all partitions by their
    median seconds. Partitions have equal parts of the budget. File formats make one file of a whole data set, which is
    nowhere in one piece here: they run on this machine, on whole series, evenly spread, of about a million samples.

    A cluster here starts processes: a script that calls this needs ``if __name__ == "__main__":``.
    """
    stopwatch = stopwatch or Stopwatch()
    coders = [get_codec(spec) for spec in codecs]
    files = {name: get_format(name) for name in formats}
    with stopwatch.stage("data"):
        origin = _find_origin(generator, size, seed, cache)
    parts = cut(origin.lengths, partition_samples, FEWEST_PARTITIONS)
    with ExitStack() as stack:
        with stopwatch.stage("cluster"):
            client = stack.enter_context(connect(scheduler))
            workers = _meet_workers(client)
        place = PartitionStore(f"{store}/{size}-{generator}-{seed}")
        with stopwatch.stage("store"):
            stored = place.find(origin.described, parts)
            if stored is None:
                _begin(place, origin, parts)
        with stopwatch.stage("partitions"):
            for_codecs = budget * share_of_codecs(coders, files)
            tasks = _assign(origin, place, parts, stored, codecs, rounds, for_codecs)
            outcomes = _do_all(client, workers, tasks, origin.whole)
        digests = [digest for outcome in outcomes for digest in outcome.digests]
        if digests != stored:
            place.finish(origin.described, parts, origin.lengths, digests)
    facts = describe(
        origin.keys,
        int(origin.lengths.sum()),
        combine_digests(digests),
        np.sum([outcome.deltas_of_deltas for outcome in outcomes], axis=0),
        sum(outcome.ndjson_bytes for outcome in outcomes),
        **origin.described,
    )
    trials = {subject: _join(parts, [one.trials[subject] for one in outcomes]) for subject in outcomes[0].trials}
    measurements = summarize(origin.keys, origin.lengths, trials)
    kept = MetricDataset.from_series([series for outcome in outcomes for series in outcome.kept])
    with stopwatch.stage("explanations"):
        explanations = explain(kept, origin.keys, origin.lengths, trials, measurements)
    left = budget - for_codecs
    trial = try_formats(kept, facts, files, rounds=rounds, budget=left, stopwatch=stopwatch)
    chosen = describe_settings(codecs, formats, rounds, budget, **(settings or {}))
    run = describe_run(stopwatch, rounds, chosen, [_describe_workers(workers), *name_missing()])
    return replace(collect(run, facts, measurements, trials, trial), explanations=explanations)


def _find_origin(generator: str, size: str, seed: int, cache: str | Path) -> Origin:
    """Find out what the data set is, and load it if only this machine can."""
    check_request(size, seed)
    source = find_source(generator)
    described = {"generator": generator, "size": size, "seed": seed}
    if hasattr(source, "outline"):
        parted = cast(PartedSource, source)
        make = partial(parted.generate, size, seed, workers=1)
        return Origin(described | {"provenance": parted.provenance()}, *parted.outline(size), make=make)
    whole, provenance = load_or_generate(generator, size, seed=seed, folder=cache)
    return Origin(described | {"provenance": provenance}, whole.keys, np.diff(whole.offsets), whole=whole)


@contextmanager
def connect(scheduler: str) -> Iterator[Client]:
    """Connect to a scheduler, or start a cluster here; whatever Dask complains of inside the block is one line.

    Raises
    ------
    InvalidRequestError
        If Dask is not installed.
    DataSourceError
        If the scheduler cannot be reached, is lost, or gives up on a task.
    """
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError as error:
        raise InvalidRequestError(f'a cluster needs Dask ({error}): pip install "squeezelab[dask]"') from error
    with ExitStack() as stack:
        # What Dask's client logs is raised as well, and told in one line.
        client_log = logging.getLogger("distributed.client")
        stack.callback(client_log.setLevel, client_log.level)
        client_log.setLevel(logging.CRITICAL)
        address = scheduler
        if scheduler == LOCAL:
            address = stack.enter_context(_start_cluster()).scheduler_address
        elif not re.fullmatch(r"(tcp|tls|wss?)://[^\s/]+:[0-9]{1,5}", scheduler):
            raise InvalidRequestError(
                f"{scheduler!r} is no scheduler: give tcp://host:8786, or local to start one here"
            )
        try:
            _knock(address)
            client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
        except (OSError, ValueError, CommClosedError) as error:
            raise DataSourceError(
                f"cannot reach a Dask scheduler at {scheduler}: start one there with `dask scheduler`, or give "
                "--scheduler local"
            ) from error
        try:
            yield client
        except KilledWorker as error:
            raise DataSourceError(
                "a partition took down several workers in turn, likely for want of memory: see their logs"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise DataSourceError(f"the Dask scheduler at {scheduler} was lost: start it anew and try again") from error
        except ImportError as error:
            raise DataSourceError(
                f"a worker cannot do the work ({error}): install squeezelab on all of them"
            ) from error


def _knock(address: str) -> None:
    """Make sure that a Dask scheduler answers: a client would wait without end for what listens but is none."""
    from distributed.comm import connect

    async def knock() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=PATIENCE), PATIENCE)
        comm.abort()

    asyncio.run(knock())


def _start_cluster() -> LocalCluster:
    """Start a cluster here: a worker process a processor, with one thread each."""
    from distributed import LocalCluster

    try:
        return LocalCluster(
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port: another cluster may run here
            silence_logs=logging.CRITICAL,
            # A terminal interrupts every process; the one that speaks to its user closes the others.
            preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
        )
    except RuntimeError as error:
        raise DataSourceError(f"cannot start a cluster here: {error}") from error


def _meet_workers(client: Client) -> dict[str, Introduction]:
    """Make sure that workers are there and can do the work; return who they are, by address."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        address = client.scheduler.address
        raise DataSourceError(f"{address} has no workers: start some with `dask worker {address}`") from error
    workers = client.run(introduce, on_error="return")
    own = package_versions()
    for address, worker in workers.items():
        if isinstance(worker, Exception):
            raise DataSourceError(f"worker {address} cannot do the work ({worker}): install squeezelab there")
        others = {name: number for name, number in worker.versions.items() if number != own[name]}
        if "squeezelab" in others:
            raise DataSourceError(
                f"worker {address} has squeezelab {others['squeezelab']}, this machine {own['squeezelab']}: "
                "install the same"
            )
        if others:
            logger.warning("Worker %s has %s, this machine has not: encoded bytes may differ.", address, others)
    return dict(workers)


def introduce() -> Introduction:
    """Tell who this worker is."""
    return Introduction(platform.node(), cpu_model(), package_versions())


def _describe_workers(workers: dict[str, Introduction]) -> str:
    processors = ", ".join(sorted({worker.cpu for worker in workers.values()}))
    return (
        f"Codecs ran on {len(workers)} workers of a cluster ({processors}), each beside the work of the others: "
        "speeds are sums over all partitions, and may be lower than on an idle machine."
    )


def _begin(place: PartitionStore, origin: Origin, parts: Sequence[range]) -> None:
    """Clear the store for new partitions, and fill it if only this machine can."""
    place.begin()
    if origin.whole is not None:
        for number, part in enumerate(parts):
            place.write(number, origin.whole.select(part))


def _assign(
    origin: Origin,
    place: PartitionStore,
    parts: Sequence[range],
    stored: list[bytes] | None,
    codecs: Sequence[str],
    rounds: int,
    budget: float,
) -> list[Task]:
    """Return a task for each partition; together they choose the same series as one machine would."""
    known = [series.digest() for series in origin.whole] if origin.whole is not None else stored
    samples = int(origin.lengths.sum())
    kept = spread_series(origin.keys, MOST_FORMAT_SAMPLES / samples)
    chosen = choose_series(origin.keys, samples)

    def within(part: range, numbers: Sequence[int]) -> list[int]:
        return [i - part.start for i in numbers if i in part]

    return [
        Task(
            place,
            number,
            part,
            known and known[part.start : part.stop],
            origin.make and partial(origin.make, series=part),
            codecs,
            rounds,
            budget / len(parts),
            within(part, kept),
            ChosenSeries(*(within(part, numbers) for numbers in chosen)),
        )
        for number, part in enumerate(parts)
    ]


def _do_all(
    client: Client, workers: dict[str, Introduction], tasks: list[Task], whole: MetricDataset | None
) -> list[Outcome]:
    """Let workers do all tasks.

    The first ones go to one worker of each machine, and the others wait for them: that worker compiles the kernels, and
    all find them compiled. numba's cache stands no crowd.
    """
    pioneers = list({worker.host: address for address, worker in workers.items()}.values())
    first, rest = tasks[: len(pioneers)], tasks[len(pioneers) :]
    outcomes: dict[int, Outcome] = {}
    with progress_bar() as progress:
        bar = progress.add_task("Measuring partitions", total=len(tasks), unit="partitions")
        for some, where in ((first, {"workers": pioneers, "allow_other_workers": True}), (rest, {})):
            for task, outcome in _do(client, some, whole, where):
                outcomes[task.number] = outcome
                progress.advance(bar)
    return [outcomes[task.number] for task in tasks]


def _do(
    client: Client, tasks: list[Task], whole: MetricDataset | None, where: dict[str, Any]
) -> Iterator[tuple[Task, Outcome]]:
    """Let workers do tasks; partitions that they neither find nor can make are written to the store here."""
    from distributed import as_completed

    submit = partial(client.submit, do_task, pure=False, retries=RETRIES, **where)
    futures = {submit(task): task for task in tasks}
    waiting = as_completed(futures, loop=client.loop)
    given = set()
    for future in waiting:
        task, outcome = futures.pop(future), future.result()
        if outcome.complaint:
            logger.warning("%s: making it anew.", outcome.complaint)
        if isinstance(outcome, Outcome):
            yield task, outcome
            continue
        if whole is None or task.number in given:
            raise DataSourceError(f"workers do not find what is in {task.store.url}: name a place that all share")
        given.add(task.number)
        task.store.write(task.number, whole.select(task.series))
        again = submit(task)
        futures[again] = task
        waiting.add(again)


def do_task(task: Task) -> Outcome | Missing:
    """Do one partition: read it or make it, and run codecs over it, on one thread."""
    dataset, complaint = None, ""
    if task.digests is not None:
        try:
            dataset = task.store.read(task.number, task.digests)
        except CorruptDataError as error:
            complaint = str(error)
    if dataset is None:
        if task.make is None:
            return Missing(complaint)
        dataset = task.make()
        task.store.write(task.number, dataset)
    trials = try_codecs(
        dataset,
        [get_codec(spec) for spec in task.codecs],
        task.chosen,
        rounds=task.rounds,
        budget=task.budget,
        threads=1,
        stopwatch=Stopwatch(),
    )
    return Outcome(
        complaint,
        [series.digest() for series in dataset],
        count_deltas_of_deltas(dataset),
        ndjson_bytes(dataset),
        trials,
        list(dataset.select(task.kept)),
    )


def _join(parts: Sequence[range], trials: Sequence[Trial]) -> Trial:
    """Return the trial of all series: their numbers are those of the data set, and seconds add up."""
    proofs = {
        spec: {
            part.start + i: proof
            for part, one in zip(parts, trials, strict=True)
            for i, proof in one.proofs[spec].items()
        }
        for spec in trials[0].proofs
    }
    timed = [one.timings for one in trials if one.timings]
    timings = {name: join_timings([one[name] for one in timed]) for name in (timed[0] if timed else ())}
    return Trial(proofs, timings)
