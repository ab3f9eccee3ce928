"""Readers: metrics that a user has, in the formats of the field, as a data set; one module a format."""

from __future__ import annotations

import inspect
import os
import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress

from squeezelab.console import progress_bar
from squeezelab.errors import CorruptDataError, DataSourceError, InvalidRequestError, SqueezelabError
from squeezelab.readers._collect import Collector
from squeezelab.readers._loaded import Loaded, moment_text
from squeezelab.readers._sources import Source
from squeezelab.readers.base import FileFacts, Reader, file_stem
from squeezelab.readers.options import ReadOptions

__all__ = ["FileFacts", "Loaded", "ReadOptions", "Reader", "available_readers", "load"]

ORDER = ("tsdb", "tally", "parquet", "arrow", "json", "ndjson", "prometheus", "influx", "influx-csv", "csv")
"""Which reader is asked first whether it recognises a file: those that cannot be mistaken."""

OTHERS = {
    b"PK\x03\x04": "a ZIP archive, as Excel's workbooks are: save a sheet as CSV, or unpack it and name the folder",
    b"SQLite format 3\0": "an SQLite database: export its table as CSV",
    b"\xd0\xcf\x11\xe0": "an old workbook of Excel: save a sheet as CSV",
    b"BZh": "compressed with bzip2: unpack it first",
    b"\xfd7zXZ\0": "compressed with xz: unpack it first",
}
"""What else people have, by how it begins."""


class _Choice(NamedTuple):
    """What is to be read, its reader, and whether the user named it or it was found in a folder."""

    source: Source
    reader: Reader
    named: bool


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
    ['tsdb', 'tally', 'parquet', 'arrow', 'json', 'ndjson', 'prometheus', 'influx', 'influx-csv', 'csv']
    """
    return list(_registry())


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    options: ReadOptions | None = None,
    **choices: Any,
) -> Loaded:
    r"""Read files and folders of metrics.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, plain or compressed with gzip or zstd, and folders, of which every file that is recognised is read. The
        folder of a Prometheus TSDB, or of one block, is read with promtool.
    options : ReadOptions, optional
        What is known of the files.
    **choices
        The fields of `ReadOptions`, in its place or to change some of them.

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
    options = replace(options or ReadOptions(), **choices)
    if options.kind is not None and options.kind not in _registry():
        raise InvalidRequestError(f"unknown input format {options.kind!r}: choose one of {', '.join(_registry())}")
    given = [Path(one) for one in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    given = list(dict.fromkeys(given))
    words: list[str] = []
    chosen = _choose(given, options.kind, words)
    collector = Collector(options.series, options.start_nanoseconds, options.stop_nanoseconds)
    with progress_bar() as bar:
        files = list(_read_all(chosen, options, collector, bar, words))
        digests = {facts.name: one.source.digest() for facts, one in zip(files, chosen, strict=True)}
    collected = collector.finish()
    if options.doubles:
        collected = collected.as_doubles()
    if not len(collected.dataset):
        raise _nothing_left(files, collector, options.series, words)
    words += collected.words
    folder = given[0].resolve().parent.name or "root"
    return Loaded(collected.dataset, files, words, options.name or _name(given), folder, digests)


# Which files


def _choose(given: list[Path], kind: str | None, words: list[str]) -> list[_Choice]:
    """Return what is to be read of the paths that were given."""
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
                chosen.append(_Choice(source, reader, named))
            elif named:
                raise DataSourceError(f"{source.path} is {_what_else(source)}")
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


def _what_else(source: Source) -> str:
    """Return what a file is that no reader knows, and what to do."""
    found = (told for magic, told in OTHERS.items() if source.head.startswith(magic))
    return next(found, f"of no known format: {_advice()}")


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
    chosen: list[_Choice], options: ReadOptions, collector: Collector, bar: Progress, words: list[str]
) -> Iterator[FileFacts]:
    """Read file after file; each may take its share of what the limit leaves."""
    sizes = [one.source.size for one in chosen]
    labels = _file_labels([one.source.path for one in chosen])
    task = bar.add_task("Reading", total=sum(sizes) / 1e6, unit="MB")
    for i, (source, reader, named) in enumerate(chosen):
        facts = FileFacts(str(source.path), reader.name, source.size, labels[i])
        before = sum(sizes[:i])
        source.on_bytes = lambda done, before=before: bar.update(task, completed=(before + done) / 1e6)  # type: ignore[misc]
        room = None if options.limit is None else -(-(options.limit - len(collector)) // (len(chosen) - i))
        try:
            with _explaining(source, reader):
                _read_one(source, reader, options, facts, collector, room)
        except DataSourceError as error:
            if named:
                raise
            words.append(f"{source.path} was not read{' to its end' * bool(facts.samples)}: {error}")
        facts.finish()
        yield facts


@contextmanager
def _explaining(source: Source, reader: Reader) -> Iterator[None]:
    """Make one line of what libraries raise when they read a damaged file."""
    try:
        yield
    except CorruptDataError as error:
        raise DataSourceError(f"{source.path}: {error}") from error
    except SqueezelabError:
        raise
    except (ArithmeticError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or "no reason is given"
        raise DataSourceError(
            f"{source.path} cannot be read as {reader.name}, it may be damaged: {type(error).__name__}: {reason}"
        ) from error


def _read_one(
    source: Source, reader: Reader, options: ReadOptions, facts: FileFacts, collector: Collector, room: int | None
) -> None:
    if source.encoding != "utf-8":
        facts.say(f"its text was read as {source.encoding}")
    with closing(source), closing(reader.read(source, options, facts)) as parts:  # type: ignore[type-var]
        for samples in parts:
            facts.samples += collector.add(samples, None if room is None else room - facts.samples)
            if room is not None and facts.samples >= room:
                facts.cut = True
                return


def _nothing_left(
    files: list[FileFacts], collector: Collector, patterns: Sequence[str], words: list[str]
) -> DataSourceError | InvalidRequestError:
    if collector.seen:
        if patterns and not collector.fitting:
            some = ", ".join(str(key) for key in collector.passed_over[:5])
            return InvalidRequestError(f"no series fits {' or '.join(patterns)}: there are {some}, ...")
        first, last = (moment_text(moment, "ns") for moment in collector.span)
        return InvalidRequestError(f"no sample lies between --from and --to: they go from {first} to {last}")
    rejected = sum(one.rejected for one in files)
    named = [(one.name, one.place, *one.rejections[0]) for one in files if one.rejections]
    reasons = [f"{name}, {place} {row}: {reason}" for name, place, row, reason in named] or words
    reasons = reasons or [word for one in files for word in one.words]
    told = (
        f": {rejected:,} rows rejected, the first: {reasons[0]}"
        if rejected
        else "".join(f": {one}" for one in reasons[:1])
    )
    return DataSourceError(f"nothing could be read of {', '.join(one.name for one in files[:3])}{told}")
