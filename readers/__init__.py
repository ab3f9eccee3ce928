"""Readers: metrics that a user has, in the formats of the field, as a data set; one module a format."""

from __future__ import annotations

import inspect
import os
import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path

import numpy as np
from rich.progress import Progress

from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, combine_digests
from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.readers._collect import Collector
from squeezelab.readers._sources import Source
from squeezelab.readers._times import NANOSECONDS, PLAUSIBLE, UNIT_NAMES, to_nanoseconds
from squeezelab.readers.base import FileFacts, Reader, Wishes, file_stem

__all__ = ["FileFacts", "Loaded", "Reader", "available_readers", "load"]

ORDER = ("tsdb", "parquet", "arrow", "ndjson", "prometheus", "influx", "csv")
"""Which reader is asked first whether it recognises a file: those that cannot be mistaken."""
MOST_FILES_TOLD = 20
"""Of more files than these, the digest of all is kept in place of one for each."""


@cache
def _registry() -> dict[str, Reader]:
    """Find every reader that the modules of this package define, in the order in which they are asked."""
    readers = {}
    for module in pkgutil.iter_modules(__path__):
        for member in vars(import_module(f"{__name__}.{module.name}")).values():
            if inspect.isclass(member) and issubclass(member, Reader) and "name" in vars(member):
                readers[member.name] = member()
    return dict(sorted(readers.items(), key=lambda one: ORDER.index(one[0]) if one[0] in ORDER else len(ORDER)))


def available_readers() -> list[str]:
    """Return the names of all formats that can be read.

    Examples
    --------
    >>> available_readers()
    ['tsdb', 'parquet', 'arrow', 'ndjson', 'prometheus', 'influx', 'csv']
    """
    return list(_registry())


@dataclass(frozen=True)
class Loaded:
    """A data set made of files, and what was understood of them.

    Attributes
    ----------
    dataset : MetricDataset
        Its ``time_unit`` is the coarsest that holds all timestamps exactly.
    files : list of FileFacts
        What was understood of each file.
    words : list of str
        What concerns them all: files passed over, samples put in order.
    name : str
        What to call it, after the files.
    digests : dict of str to str
        XXH3-128 of each file.
    """

    dataset: MetricDataset
    files: list[FileFacts]
    words: list[str]
    name: str
    digests: dict[str, str] = field(repr=False)

    @property
    def unit(self) -> str:
        """What timestamps count: s, ms, us or ns."""
        return self.dataset.time_unit

    @property
    def refused(self) -> int:
        """Rows and cells that could not be read."""
        return sum(one.refused for one in self.files)

    @cached_property
    def interval(self) -> tuple[int, float] | None:
        """The most common step between samples of a series in `unit`, and its share; None if there is none."""
        steps = np.diff(self.dataset.timestamps)
        ends = self.dataset.offsets[1:-1] - 1
        steps = np.delete(steps, ends[(ends >= 0) & (ends < len(steps))])
        if not len(steps):
            return None
        values, counts = np.unique(steps, return_counts=True)
        most = int(np.argmax(counts))
        return int(values[most]), float(counts[most] / len(steps))

    @property
    def provenance(self) -> dict[str, str]:
        """What a report says of the origin: files with their digests, and the unit of timestamps."""
        unit = {"timestamps in": UNIT_NAMES[self.unit]}
        if len(self.digests) <= MOST_FILES_TOLD:
            return self.digests | unit
        whole = combine_digests(bytes.fromhex(digest) for digest in self.digests.values())
        return {f"{len(self.digests)} files": whole} | unit

    def __str__(self) -> str:
        return "\n".join(_tell(self))


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    kind: str | None = None,
    time_column: str | None = None,
    time_unit: str | None = None,
    series: str | Sequence[str] | None = None,
    start: str | float | None = None,
    stop: str | float | None = None,
    limit: int | None = None,
) -> Loaded:
    r"""Read files and folders of metrics.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, plain or compressed with gzip or zstd, and folders, of which every file that is recognised is read. The
        folder of a Prometheus TSDB, or of one block, is read with promtool.
    kind : str, optional
        One of `available_readers`; recognised by content, and then by name, if not given.
    time_column : str, optional
        The column of a table that holds the time; found by its name, and then by its content, if not given.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of times that are numbers; told by their size if not given.
    series : str or sequence of str, optional
        Patterns as of a shell, ``cpu_*`` or ``host=a*``: series are read whose name, ``name{label="value"}`` or single
        ``label=value`` fits one of them.
    start, stop : str or number, optional
        The first moment that is read and the first that is not: a date, UTC if it names no zone, or seconds.
    limit : int, optional
        The most samples to read, from the first on; several files share it.

    Returns
    -------
    Loaded

    Raises
    ------
    InvalidRequestError
        If a path does not exist, an option has no such value, or nothing is left of the data.
    DataSourceError
        If a file cannot be read.

    Notes
    -----
    Series of tables that do not name themselves have the file's name for a label, ``file``, where there are several
    files. Samples are put in the order of time; of those with the same time all are kept.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "load.csv"
    ...     _ = path.write_text("time,load-1m\n2014-04-10 00:04:00,0.25\n2014-04-10 00:09:00,0.5\n")
    ...     loaded = load(path)
    >>> loaded.dataset, loaded.unit, loaded.files[0].time
    (<MetricDataset: 1 series, 2 samples>, 's', "column 'time', dates, UTC")
    """
    if kind is not None and kind not in _registry():
        raise InvalidRequestError(f"unknown input format {kind!r}: choose one of {', '.join(available_readers())}")
    if time_unit is not None and time_unit not in NANOSECONDS:
        raise InvalidRequestError(f"unknown time unit {time_unit!r}: choose one of {', '.join(NANOSECONDS)}")
    if limit is not None and limit < 1:
        raise InvalidRequestError(f"limit {limit} leaves nothing: give a number above 0")
    begin, end = (None if one is None else to_nanoseconds(str(one)) for one in (start, stop))
    given = [Path(one) for one in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    given = list(dict.fromkeys(given))
    words: list[str] = []
    chosen = _choose(given, kind, words)
    labels = _file_labels([source.path for source, _, _ in chosen])
    patterns = [series] if isinstance(series, str) else list(series or ())
    collector = Collector(patterns, begin, end)
    files = []
    with progress_bar() as bar:
        wishes = [Wishes(time_column, time_unit, label, begin, end) for label in labels]
        for facts in _read_all(chosen, wishes, collector, limit, bar, words):
            files.append(facts)
        digests = {facts.name: source.digest() for facts, (source, _, _) in zip(files, chosen, strict=True)}
    collected = collector.finish()
    if not len(collected.dataset):
        raise _nothing_left(files, collector, patterns, words)
    if collected.misplaced:
        words.append(f"series were sorted by time; samples that came too late: {collected.misplaced:,}")
    if collected.doubled:
        words.append(f"samples with the time of another one of their series: {collected.doubled:,}, all kept")
    return Loaded(collected.dataset, files, words, _name(given), digests)


# Which files


def _choose(given: list[Path], kind: str | None, words: list[str]) -> list[tuple[Source, Reader, bool]]:
    """Return what is to be read, its reader, and whether the user named it or it was found in a folder."""
    chosen = []
    for path in given:
        if not path.exists():
            raise InvalidRequestError(f"{path} does not exist: name a file or folder of metrics")
        if not path.is_file() and not path.is_dir():
            raise InvalidRequestError(f"{path} is no file that can be read twice: write it to one first")
        found = [
            (source, True) for source in [Source(path)] if not path.is_dir() or _registry()["tsdb"].recognises(source)
        ]
        found = found or [(Source(one), False) for one in _files_within(path)]
        readers = [(source, _find_reader(source, kind), named) for source, named in found]
        for source, reader, named in readers:
            if reader is not None:
                chosen.append((source, reader, named))
            elif named:
                what = "UTF-16: save it as UTF-8" if source.is_utf16 else f"of no known format: {_advice()}"
                raise DataSourceError(f"{source.path} is {what}")
            else:
                words.append(f"{source.path} was passed over: it is of no known format")
        if not any(reader for _, reader, _ in readers):
            raise DataSourceError(f"{path} holds no file of a known format: {_advice()}")
    return chosen


def _files_within(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and path.stat().st_size and not hidden:
            yield path


def _find_reader(source: Source, kind: str | None) -> Reader | None:
    """Return the reader that was asked for, or recognises the content, or has the suffix."""
    if kind is not None:
        return _registry()[kind]
    suffix = Path(source.path.name.removesuffix(".gz").removesuffix(".zst")).suffix.lower()
    by_content = (one for one in _registry().values() if one.recognises(source))
    by_name = (one for one in _registry().values() if suffix in one.suffixes)
    return next(by_content, None) or next((one for one in by_name if source.is_text), None)


def _advice() -> str:
    return f"give --input-format, one of {', '.join(available_readers())}"


def _file_labels(paths: list[Path]) -> list[str | None]:
    """Return what tells files apart, None for a single one: their stems, or their paths where stems are not enough."""
    if len(paths) == 1:
        return [None]
    stems = [file_stem(path) for path in paths]
    return list(stems) if len(set(stems)) == len(stems) else [path.as_posix() for path in paths]


def _name(given: list[Path]) -> str:
    """Return what to call data: after the file, the folder, or the folder that all files are in."""
    if len(given) == 1:
        return file_stem(given[0]) if given[0].is_file() else given[0].resolve().name or "root"
    folders = {path.resolve().parent for path in given}
    return folders.pop().name or "root" if len(folders) == 1 else f"{file_stem(given[0])}-and-{len(given) - 1}-more"


# What is in them


def _read_all(
    chosen: list[tuple[Source, Reader, bool]],
    wishes: list[Wishes],
    collector: Collector,
    limit: int | None,
    bar: Progress,
    words: list[str],
) -> Iterator[FileFacts]:
    """Read file after file; each may take its share of what the limit leaves."""
    sizes = [source.size for source, _, _ in chosen]
    task = bar.add_task("Reading", total=sum(sizes) / 1e6, unit="MB")
    for i, (source, reader, named) in enumerate(chosen):
        facts = FileFacts(str(source.path), reader.name, source.size)
        before = sum(sizes[:i])
        source.on_bytes = lambda done, before=before: bar.update(task, completed=(before + done) / 1e6)  # type: ignore[misc]
        room = None if limit is None else -(-(limit - len(collector)) // (len(chosen) - i))
        try:
            _read_one(source, reader, wishes[i], facts, collector, room)
        except DataSourceError as error:
            if named:
                raise
            words.append(f"{source.path} was not read{' to its end' * bool(facts.samples)}: {error}")
        yield facts


def _read_one(
    source: Source, reader: Reader, wishes: Wishes, facts: FileFacts, collector: Collector, room: int | None
) -> None:
    with closing(source), closing(reader.read(source, wishes, facts)) as parts:  # type: ignore[type-var]
        for samples in parts:
            facts.samples += collector.add(samples, None if room is None else room - facts.samples)
            if room is not None and facts.samples >= room:
                facts.cut = True
                return


def _nothing_left(
    files: list[FileFacts], collector: Collector, patterns: list[str], words: list[str]
) -> DataSourceError | InvalidRequestError:
    if collector.seen:
        if patterns and not collector.fitting:
            some = ", ".join(str(key) for key in collector.passed_over[:5])
            return InvalidRequestError(f"no series fits {' or '.join(patterns)}: there are {some}, ...")
        first, last = (_moment(moment, "ns") for moment in collector.span)
        return InvalidRequestError(f"no sample lies between --from and --to: they go from {first} to {last}")
    refused = sum(one.refused for one in files)
    named = [(one.name, one.place, *one.refusals[0]) for one in files if one.refusals]
    reasons = [f"{name}, {place} {row}: {reason}" for name, place, row, reason in named] or words
    told = (
        f": {refused:,} rows refused, the first: {reasons[0]}"
        if refused
        else "".join(f": {one}" for one in reasons[:1])
    )
    return DataSourceError(f"nothing could be read of {', '.join(one.name for one in files[:3])}{told}")


# What to tell of it


def _tell(loaded: Loaded) -> Iterator[str]:
    """Yield lines that say what was understood."""
    dataset = loaded.dataset
    told = loaded.files[:MOST_FILES_TOLD] + [one for one in loaded.files[MOST_FILES_TOLD:] if one.refused or one.words]
    for one in told:
        shape = f"{one.shape} " if one.shape else ""
        refused = f", {one.refused:,} refused" if one.refused else ""
        cut = ", cut at the limit" if one.cut else ""
        time = f", time: {one.time}" if one.time else ""
        yield f"{one.name}: {shape}{one.format}, {one.size / 1e6:,.2f} MB, {one.rows:,} rows{refused}{cut}{time}"
        yield from (f"  {word}" for word in one.words)
        yield from (f"  refused {one.place} {row}: {reason}" for row, reason in one.refusals)
        if one.refused > len(one.refusals):
            yield f"  refused {one.refused - len(one.refusals):,} more"
    if len(told) < len(loaded.files):
        yield f"and {len(loaded.files) - len(told)} more files, in which nothing was refused"
    yield from loaded.words
    first, last = int(dataset.timestamps.min()), int(dataset.timestamps.max())
    span = f"{_moment(first, loaded.unit)} to {_moment(last, loaded.unit)}"
    yield f"{len(dataset):,} samples in {len(dataset.keys):,} series, {span}, kept in {UNIT_NAMES[loaded.unit]}"
    if any(first * NANOSECONDS[loaded.unit] < bound * 10**9 < last * NANOSECONDS[loaded.unit] for bound in PLAUSIBLE):
        yield "not all of these are times of our days: some may be wrong or in another unit; --from and --to cut"
    if loaded.interval:
        step, share = loaded.interval
        yield f"interval: {step:,} {loaded.unit} ({100 * share:.1f} % of steps)"


def _moment(timestamp: int, unit: str) -> str:
    """Return a time as a date, or as its number where that is no date of our days."""
    seconds, rest = divmod(timestamp * NANOSECONDS[unit], 10**9)
    if not PLAUSIBLE[0] <= seconds <= PLAUSIBLE[1]:
        return f"{timestamp} {unit}"
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    return f"{np.datetime64(seconds, 's')}{fraction}Z"
