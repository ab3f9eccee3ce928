"""What every engine is: a database that is started, filled, compacted, sized, read and stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from squeezelab.dataset import MetricDataset, SeriesKey

PARTS = ("values", "timestamps", "samples", "index", "rest", "log")
"""Parts that bytes on disk are counted in: what holds both halves of a sample is ``samples``; a log that the engine
writes ahead and gives back later is no part of the sum."""


class Engine(ABC):
    """A real database, run as its users run it.

    A subclass names itself, and gives the methods below. It works in a process of its own, which `Session` starts,
    times and ends: it can block, crash, and keep what it opens in attributes. All methods but `version` and
    `how_to_get` are called there, in this order: `prepare`, `start`, `ingest` (once or several times, later samples
    after earlier ones), `compact`, `sizes`, `read`, `read_family`, `read_all`, `stop`.

    Attributes
    ----------
    name : str
        As in ``get_engine(name)``.
    title : str
        What people call it.
    package : str or None
        The package of PyPI that it needs beyond those which squeezelab always has.
    debian : str or None
        The package of Debian that brings its server, as `get` fetches it.
    showcase : tuple of str
        The settings that ``--engines all`` runs.
    samples_a_second : float
        About how many samples it takes in and gives back in a second, all told: data that would take longer than the
        time there is are cut.
    """

    name: str
    title: str
    package: ClassVar[str | None] = None
    debian: ClassVar[str | None] = None
    showcase: ClassVar[tuple[str, ...]] = ("",)
    samples_a_second: ClassVar[float] = 1e5

    @classmethod
    def version(cls) -> str | None:
        """Return which version runs here, None where there is none; quick, and nothing is started for long."""
        try:
            return version(cls.package) if cls.package else None
        except PackageNotFoundError:
            return None

    @classmethod
    def how_to_get(cls) -> str:
        """Return what to do where it is not installed."""
        if cls.package:
            return "pip install 'squeezelab[engines]'"
        return f"squeezelab engines get {cls.name}"

    def prepare(self) -> None:  # noqa: B027 (most have nothing to do)
        """Load what is of the lab rather than of the engine, before anything is timed."""

    @abstractmethod
    def start(self, folder: Path, time_unit: str) -> None:
        """Start it on an empty folder, ready to take samples in.

        Parameters
        ----------
        folder : path
            Its own; all that it writes goes there.
        time_unit : {"s", "ms", "us", "ns"}
            What timestamps count, in all that is given and wanted back.
        """

    @abstractmethod
    def ingest(self, dataset: MetricDataset) -> None:
        """Take all samples in, and return when the engine has accepted them."""

    @abstractmethod
    def compact(self) -> None:
        """Have everything written, and merged as it would be in time; return when the engine says that it is."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Return the bytes on disk in parts, of `PARTS`."""

    @abstractmethod
    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query a series from a time up to, and without, another; what comes has one series or none."""

    @abstractmethod
    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query all series of a metric name from a time up to, and without, another."""

    @abstractmethod
    def read_all(self) -> MetricDataset:
        """Query everything that is there."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; also where it did not start."""


def folder_bytes(folder: Path, pattern: str = "*") -> int:
    """Return the bytes of all files below a folder whose name fits; a sparse file counts as what is allocated."""
    total = 0
    for path in folder.rglob(pattern):
        if path.is_file():
            facts = path.stat()
            total += min(facts.st_size, 512 * getattr(facts, "st_blocks", facts.st_size))
    return total
