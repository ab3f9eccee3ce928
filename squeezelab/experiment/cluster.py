"""The same map on a Dask cluster: workers make, look at and prove partitions of a data set where they lie.

A task does one thing to one partition, and can be done again anywhere: it reads the partition from the store, or makes
it and keeps it there. So a worker that dies loses nothing but time. Series do not depend on one another, nor do their
frames: what comes back adds up to the same fingerprint and the same encoded bytes as on one machine.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import CorruptDataError, DataSourceError, InvalidRequestError
from squeezelab.experiment.machine import cpu_model, package_versions
from squeezelab.experiment.partitions import Partitions, Result, Work
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.run import measure
from squeezelab.experiment.source import load_or_generate
from squeezelab.experiment.stopwatch import Stopwatch
from squeezelab.generators import PartedSource, check_request, find_source
from squeezelab.results import Results
from squeezelab.store.partitions import PartitionStore, cut

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

logger = logging.getLogger(__name__)

LOCAL = "local"
PARTITION_SAMPLES = 1_000_000
FEWEST_PARTITIONS = 8
"""Small data are cut finer, so that several workers have something to do."""
PATIENCE = 10
"""Seconds to wait for a scheduler, and for its first worker."""
RETRIES = 2
"""How often a task that failed is done again; deaths of workers do not count among these."""


class Introduction(NamedTuple):
    """Who a worker is."""

    host: str
    cpu: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Task:
    """What is done to one partition, and all that a worker needs to know of it.

    Attributes
    ----------
    store, number, series
        Where it lies, and which series of the data set it holds.
    digests : list of bytes or None
        Those of its series; None if the store does not have it yet.
    make : callable or None
        Makes it; None if only the client can.
    work, given
        What is done, as `Partitions.map` takes it.
    """

    store: PartitionStore
    number: int
    series: range
    digests: list[bytes] | None
    make: Callable[[], MetricDataset] | None
    work: Work[Any]
    given: Any


@dataclass(frozen=True)
class Missing:
    """What came of a partition that the worker neither found whole nor could make."""

    complaint: str


@dataclass(frozen=True)
class Outcome:
    """What came of a partition; ``complaint`` says what was wrong with the one in the store, if anything."""

    complaint: str
    digests: list[bytes]
    result: Any


def measure_on_cluster(
    scheduler: str,
    plan: Plan,
    *,
    generator: str,
    size: str,
    seed: int = 0,
    store: str = "output/partitions",
    cache: str | Path = "output",
    partition_samples: int = PARTITION_SAMPLES,
    stopwatch: Stopwatch | None = None,
) -> Results:
    """Make or load a data set in partitions, and run codecs and formats over it, on the workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str
        Address of a scheduler, ``tcp://host:8786``; ``local`` starts a cluster here, a worker a processor.
    plan : Plan
        What runs.
    generator, size, seed
        As `squeezelab.generate_metric_data` takes them.
    store : str
        Where the data set lies as partitioned Parquet, in a folder of its own: a local folder or any fsspec URL, best
        one that all workers share. A later run reads what it finds there.
    cache : path-like
        Where this machine caches a data set that only it can load.
    partition_samples : int
        About how many samples a partition has.
    stopwatch : Stopwatch, optional
        Counts the stages that came before this call as well.

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
    Everything is timed on this machine. File formats make one file of a whole data set, which is nowhere in one piece
    here: they run on windows of about a million samples.

    A cluster here starts processes: a script that calls this needs ``if __name__ == "__main__":``.
    """
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.stage("data"):
        origin = _find_origin(generator, size, seed, cache)
    with ExitStack() as stack:
        with stopwatch.stage("cluster"):
            client = stack.enter_context(connect(scheduler))
            workers = _meet_workers(client)
        place = PartitionStore(f"{store}/{size}-{generator}-{seed}")
        with stopwatch.stage("store"):
            partitions = DaskPartitions(client, workers, place, origin, partition_samples)
        return measure(partitions, plan, stopwatch)


class Origin(NamedTuple):
    """A data set that may not have been made yet: what it is, its series and their lengths, and who has them.

    Either ``make`` makes any run of its series, on a worker as well as here, or ``whole`` is all of it.
    """

    described: dict[str, Any]
    keys: Sequence[SeriesKey]
    lengths: npt.NDArray[np.int64]
    make: Callable[..., MetricDataset] | None = None
    whole: MetricDataset | None = None


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


class DaskPartitions(Partitions):
    """A data set in a store, on which the workers of a cluster work.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    workers : dict of str to Introduction
        Who the workers are, by address.
    store : PartitionStore
        Where the partitions lie, or shall.
    origin : Origin
        Who can make them.
    partition_samples : int
        About how many samples each has.
    """

    def __init__(
        self,
        client: Client,
        workers: dict[str, Introduction],
        store: PartitionStore,
        origin: Origin,
        partition_samples: int = PARTITION_SAMPLES,
    ) -> None:
        self.described, self.keys, self.lengths = origin.described, origin.keys, origin.lengths
        self.parts = cut(origin.lengths, partition_samples, FEWEST_PARTITIONS)
        self.notes = [_describe_workers(workers)]
        self._client, self._workers, self._store, self._origin = client, workers, store, origin
        self._stored = store.find(origin.described, self.parts)
        self._known = self._stored
        if self._stored is None:
            store.begin()
            if origin.whole is not None:
                self._known = [series.digest() for series in origin.whole]
                for number, part in enumerate(self.parts):
                    store.write(number, origin.whole.select(part))

    def map(self, work: Work[Result], given: Any, task: str) -> list[Result]:
        """Do work on every partition, on the workers.

        The first ones go to one worker of each machine, and the others wait for them: that worker compiles the
        kernels, and all find them compiled.
        """
        tasks = [self._assign(number, part, work, given) for number, part in enumerate(self.parts)]
        pioneers = list({worker.host: address for address, worker in self._workers.items()}.values())
        outcomes: dict[int, Outcome] = {}
        with progress_bar() as progress:
            bar = progress.add_task(task, total=len(tasks), unit="partitions")
            first, rest = tasks[: len(pioneers)], tasks[len(pioneers) :]
            for some, where in ((first, {"workers": pioneers, "allow_other_workers": True}), (rest, {})):
                for one, outcome in self._do(some, where):
                    outcomes[one.number] = outcome
                    progress.advance(bar)
        self._finish([digest for number in sorted(outcomes) for digest in outcomes[number].digests])
        return [outcomes[number].result for number in sorted(outcomes)]

    def _assign(self, number: int, part: range, work: Work[Any], given: Any) -> Task:
        digests = self._known and self._known[part.start : part.stop]
        make = self._origin.make and partial(self._origin.make, series=part)
        return Task(self._store, number, part, digests, make, work, given)

    def _finish(self, digests: list[bytes]) -> None:
        """Write down what is in the store, now that all of it is."""
        if digests != self._stored:
            self._store.finish(self.described, self.parts, self.lengths, digests)
            self._stored = digests
        self._known = digests

    def _do(self, tasks: list[Task], where: dict[str, Any]) -> Iterator[tuple[Task, Outcome]]:
        """Let workers do tasks; partitions that they neither find nor can make are written to the store here."""
        from distributed import as_completed

        submit = partial(self._client.submit, do_task, pure=False, retries=RETRIES, **where)
        futures = {submit(task): task for task in tasks}
        waiting = as_completed(futures, loop=self._client.loop)
        given = set()
        for future in waiting:
            task, outcome = futures.pop(future), future.result()
            if outcome.complaint:
                logger.warning("%s: making it anew.", outcome.complaint)
            if isinstance(outcome, Outcome):
                yield task, outcome
                continue
            whole = self._origin.whole
            if whole is None or task.number in given:
                raise DataSourceError(f"workers do not find what is in {task.store.url}: name a place that all share")
            given.add(task.number)
            task.store.write(task.number, whole.select(task.series))
            again = submit(task)
            futures[again] = task
            waiting.add(again)


def do_task(task: Task) -> Outcome | Missing:
    """Do work on one partition: read it or make it first."""
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
    result = task.work(dataset, task.series.start, task.given)
    return Outcome(complaint, [series.digest() for series in dataset], result)


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
    return f"Codecs were proven on {len(workers)} workers of a cluster ({processors}), and timed on this machine."
