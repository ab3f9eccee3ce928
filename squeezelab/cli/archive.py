"""`squeezelab pack`, `unpack`, `info`, `verify`, `cat`, `append` and `compact`: metrics kept in tally files."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from squeezelab.cli.app import Debug, announce_compilation, app
from squeezelab.cli.reading import PACKING, Paths, read, reads_files
from squeezelab.console import progress_bar, stderr, stdout
from squeezelab.errors import CorruptDataError, InvalidRequestError

if TYPE_CHECKING:
    from squeezelab.dataset import Series
    from squeezelab.formats.tally import TallyFile
    from squeezelab.readers import ReadOptions

DAMAGED = 1
_MOMENT = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d\d(-\d\d.*)?")

File = Annotated[str, typer.Argument(metavar="FILE", help="A tally file: a path, or a URL as s3://bucket/file.")]
Target = Annotated[Path, typer.Argument(metavar="FILE", help="A tally file.")]
Made = Annotated[list[str], typer.Option("--to", metavar="FILE", help="The tally file to make.")]
Level = Annotated[int, typer.Option(help="1, fast, 2, small, or 3, smallest.")]
Series_ = Annotated[
    list[str] | None, typer.Option("--series", help="Series, as 'cpu_*' or 'host=a*'; may be repeated.")
]
From = Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")]
Until = Annotated[str | None, typer.Option("--until", help="The moment to stop before.")]
Salvage = Annotated[bool, typer.Option("--salvage", help="Pass over what is damaged, and say what is lost.")]


@app.command()
@functools.partial(reads_files, options=PACKING)
def pack(
    paths: Paths,
    options: ReadOptions,
    to: Made,
    level: Level = 2,
    debug: Debug = False,
) -> None:
    """Pack metrics into a tally file: anything that bench reads."""
    from squeezelab.formats.tally import pack_series

    target = _to_make(to, paths)
    loaded = read(paths, options)
    announce_compilation()
    with progress_bar() as bar:
        one_by_one = _shown(iter(loaded.dataset), bar, "Packing", len(loaded.dataset))
        size = pack_series(one_by_one, target, time_unit=loaded.unit, level=level)
    _conclude(target, len(loaded.dataset), size)


@app.command()
@functools.partial(reads_files, options=PACKING)
def append(
    target: Target,
    paths: Paths,
    options: ReadOptions,
    level: Level = 2,
    debug: Debug = False,
) -> None:
    """Append metrics to a tally file as a new part, whole or not at all."""
    from squeezelab.formats.tally import append_series

    _existing(target)
    _check_apart(target, paths)
    loaded = read(paths, options)
    announce_compilation()
    before = target.stat().st_size
    with progress_bar() as bar:
        one_by_one = _shown(iter(loaded.dataset), bar, "Appending", len(loaded.dataset))
        size = append_series(one_by_one, target, time_unit=loaded.unit, level=level)
    _conclude(target, len(loaded.dataset), size - before, "appended ")


@app.command("compact")
def compact_file(
    target: Target,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="FILE", help="Another file to make; else it is replaced.")
    ] = None,
    level: Level = 2,
    debug: Debug = False,
) -> None:
    """Join the parts of a tally file into one, in the order of time."""
    from squeezelab.formats.tally import compact

    _existing(target)
    made = _to_make(to, [target]) if to else target
    announce_compilation()
    before, after = compact(target, made, level=level)
    stdout.print(f"{made}: {after:,} bytes, {before:,} before", soft_wrap=True)


@app.command()
def unpack(
    source: File,
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="FILE", help="The file to make. Given again, with a date or seconds: --until."),
    ],
    form: Annotated[
        str, typer.Option("--format", help="csv, ndjson, openmetrics, parquet or arrow, if not by its name.")
    ] = "",
    series: Series_ = None,
    start: From = None,
    stop: Until = None,
    salvage: Salvage = False,
    debug: Debug = False,
) -> None:
    """Unpack a tally file, or some of it: the same samples, bits and labels, as a file for others."""
    from squeezelab.formats.tally.export import SUFFIXES, export
    from squeezelab.store.files import replacing

    moments = [one for one in to if _MOMENT.fullmatch(one)]
    target = _to_make([one for one in to if one not in moments[:1]], [source])
    form = form or SUFFIXES.get(target.suffix.lower(), "")
    if not form:
        raise InvalidRequestError(
            f"{target} does not say its form: give --format, one of {', '.join(set(SUFFIXES.values()))}"
        )
    announce_compilation()
    file = _chosen(source, series, start, stop or next(iter(moments), None), salvage)
    with progress_bar() as bar, replacing(target) as output:
        total = sum(file.length(number) for number in range(len(file.keys)))
        held = (one for one in _shown(iter(file), bar, "Unpacking", total) if one.values.size)
        exported = export(held, file.time_unit, output, form, file.value_dtypes)
    empty = len(file.keys) - exported.series
    left_out = [f"series without samples, left out: {empty:,}"] * bool(empty)
    for word in (*exported.words, *left_out, *file.lost):
        stdout.print(word, soft_wrap=True)
    stdout.print(
        f"{target}: {exported.samples:,} samples in {exported.series:,} series, {target.stat().st_size:,} bytes, "
        f"timestamps in {file.time_unit}",
        soft_wrap=True,
    )


@app.command()
def cat(
    source: File,
    series: Series_ = None,
    start: From = None,
    stop: Annotated[str | None, typer.Option("--to", "--until", help="The moment to stop before.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or ndjson.")] = "csv",
    salvage: Salvage = False,
    debug: Debug = False,
) -> None:
    """Print samples of a tally file as CSV or NDJSON; of one that is elsewhere, only what is needed is read."""
    from squeezelab.formats.tally.export import export

    if form not in ("csv", "ndjson"):
        raise InvalidRequestError(f"cat prints csv or ndjson, not {form!r}: unpack writes other forms")
    file = _chosen(source, series, start, stop, salvage)
    output = sys.stdout.buffer
    for word in export(file, file.time_unit, output, form, file.value_dtypes).words:
        stderr.print(word, soft_wrap=True)
    output.flush()


@app.command()
def info(
    source: File,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Tell what is in a tally file: series, samples, span, and which take how many bytes; only its index is read."""
    from squeezelab.formats.tally import TallyFile
    from squeezelab.formats.tally.information import describe, information_tables

    described = describe(TallyFile.open(source))
    if as_json:
        stdout.out(json.dumps(described, indent=1))
        return
    for table in information_tables(source, described):
        stdout.print(table)


@app.command()
def verify(
    source: File,
    debug: Debug = False,
) -> int:
    """Read every block of a tally file and check it; exit with 1 if something is damaged, and say what is lost."""
    from squeezelab.formats.tally import TallyFile

    announce_compilation()
    try:
        TallyFile.open(source)
        words = []
    except CorruptDataError as error:
        words = [str(error)]
    blocks = 0
    try:
        file = TallyFile.open(source, salvage=True)
        blocks = file.verify()
        words += file.lost
    except CorruptDataError as error:
        words.append(str(error))
    for word in dict.fromkeys(words):
        stdout.print(word, soft_wrap=True)
    stdout.print(f"{source}: {blocks:,} blocks read, {'damaged' if words else 'all whole'}", soft_wrap=True)
    return DAMAGED if words else 0


def _existing(path: Path) -> None:
    if not path.is_file():
        raise InvalidRequestError(f"{path} does not exist: make it with pack")


def _to_make(named: Sequence[str], inputs: Iterable[str | Path]) -> Path:
    """Return the file that ``--to`` names: one, and none that is read."""
    if len(named) != 1:
        raise InvalidRequestError(
            f"--to names one file to make, not {' and '.join(named) or 'none'}: a span of time is --from and --until"
        )
    _check_apart(target := Path(named[0]), inputs)
    return target


def _check_apart(target: Path, inputs: Iterable[str | Path]) -> None:
    """Reject a file to write that is read as well, or lies in a folder that is."""
    from squeezelab.store.files import replaceable

    found = replaceable(target)
    read = [path for path in (Path(str(one).removeprefix("file://")) for one in inputs) if path.exists()]
    if found.exists() and any(place.samefile(one) for place in (found, *found.parents) for one in read):
        raise InvalidRequestError(f"{target} is among the files to read: name another to write")


def _chosen(source: str, series: list[str] | None, start: str | None, stop: str | None, salvage: bool) -> TallyFile:
    """Open a file and choose of it what the user asks for."""
    from squeezelab.dataset import UNITS_PER_SECOND
    from squeezelab.formats.tally import TallyFile
    from squeezelab.readers._collect import Collector
    from squeezelab.readers._times import to_nanoseconds

    file = TallyFile.open(source, salvage=salvage)
    if series:
        wants = Collector(series)._wants
        numbers = [i for i, key in enumerate(file.keys) if wants(key)]
        if not numbers:
            some = ", ".join(map(str, file.keys[:5]))
            raise InvalidRequestError(f"no series fits {' or '.join(series)}: there are {some}, ...")
        file = file.choose(numbers)
    size = 10**9 // UNITS_PER_SECOND[file.time_unit]
    begin, end = (None if one is None else -(-to_nanoseconds(one) // size) for one in (start, stop))
    return file.between(begin, end)


def _shown(series: Iterator[Series], bar: Any, what: str, total: int) -> Iterator[Series]:
    """Yield series, and show how far they are."""
    task = bar.add_task(what, total=total, unit="samples")
    for one in series:
        yield one
        bar.update(task, advance=one.values.size)


def _conclude(path: Path, samples: int, size: int, how: str = "") -> None:
    each = f", {size / samples:.3f} bytes a sample, {16 * samples / size:.1f} times smaller than raw" if samples else ""
    stdout.print(f"{path}: {how}{size:,} bytes{each}", soft_wrap=True)
