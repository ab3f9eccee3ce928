"""The command line: what a user types, and errors of one line."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from squeezelab import __version__
from squeezelab.console import speak_through_logging, stderr, stdout, working
from squeezelab.errors import InvalidRequestError, SqueezelabError
from squeezelab.generators import DEFAULT_SIZE, DEFAULT_SOURCE, SIZES, SOURCES

# typer exports one of its usage errors; its parent is what all of them have in common.
UsageError: Any = typer.BadParameter.__mro__[1]
INTERRUPTED = 130

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    size: Annotated[str, typer.Option(envvar="DATASET_SIZE", help=f"One of {', '.join(SIZES)}.")] = DEFAULT_SIZE,
    generator: Annotated[
        str, typer.Option(envvar="DATA_GENERATOR", help=f"Where the data come from: one of {', '.join(SOURCES)}.")
    ] = DEFAULT_SOURCE,
    seed: Annotated[int, typer.Option(help="Another seed makes other data.")] = 0,
    codecs: Annotated[
        str, typer.Option(help="Codecs to run, separated by blanks: 'xor zstd:level=19 delta_of_delta+zlib'.")
    ] = "",
    formats: Annotated[str, typer.Option(help="File formats to run, separated by blanks.")] = "",
    reports: Annotated[Path, typer.Option(help="Where reports are written, a folder each.")] = Path("reports"),
    output: Annotated[Path, typer.Option(help="Where the data set is cached.")] = Path("output"),
    scheduler: Annotated[
        str, typer.Option(help="Run on a Dask cluster: tcp://host:8786, or 'local' to start one here.")
    ] = "",
    store: Annotated[
        str, typer.Option(help="Where a cluster keeps its data, if not in the output folder: any fsspec URL.")
    ] = "",
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Measure what codecs and file formats make of time-series metrics, and write a report."""
    if context.invoked_subcommand:
        sources = {name: context.get_parameter_source(name) for name in context.params if name != "debug"}
        if misplaced := [f"--{name}" for name, source in sources.items() if source and source.name == "COMMANDLINE"]:
            raise InvalidRequestError(
                f"{' '.join(misplaced)} stands before {context.invoked_subcommand}: put it behind"
            )
        return
    if version:
        stdout.print(f"squeezelab {__version__}")
        return
    # Heavy imports wait until it is clear that there is work to do: --help answers at once.
    from squeezelab.cache import load_or_generate
    from squeezelab.codecs import get_codec
    from squeezelab.experiment import DEFAULT_CODECS, DEFAULT_FORMATS, Stopwatch, measure_dataset, name_missing
    from squeezelab.formats import get_format
    from squeezelab.report import write_report
    from squeezelab.report.tables import column_table, ladder_table, published_table

    chosen_codecs = codecs.split() or DEFAULT_CODECS
    chosen_formats = formats.split() or DEFAULT_FORMATS
    for spec in chosen_codecs:
        get_codec(spec)
    for name in chosen_formats:
        get_format(name)
    if store and not scheduler:
        raise InvalidRequestError("--store is for clusters: give --scheduler as well")
    announce_compilation()
    stopwatch = Stopwatch()
    chosen: dict[str, Any] = {
        "generator": generator,
        "size": size,
        "seed": seed,
        "codecs": chosen_codecs,
        "formats": chosen_formats,
        "stopwatch": stopwatch,
    }
    if scheduler:
        from squeezelab.cluster import measure_on_cluster

        results = measure_on_cluster(scheduler, store=store or f"{output}/partitions", cache=output, **chosen)
    else:
        with stopwatch.stage("data"):
            dataset, provenance = load_or_generate(generator, size, seed=seed, folder=output)
        results = measure_dataset(dataset, provenance=provenance, **chosen)
    folder = reports / f"{size}-{generator}"
    with stopwatch.stage("report"), working("Drawing charts"):
        write_report(results, folder)
    for table in (ladder_table(results), column_table(results, "timestamps"), column_table(results, "values")):
        if table.rows:
            stdout.print(table.to_rich())
    published = published_table(results)
    for figure, theirs, ours, _ in published.rows:
        stdout.print(f"{figure}: {ours}, published {theirs}")
    for note in name_missing() if not (codecs and formats) else ():
        stdout.print(note, soft_wrap=True)
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stopwatch.stages.items())
    stdout.print(
        f"\nReport: {folder / 'report.html'}, as text {folder / 'ratios.md'}  ({stopwatch.seconds:.1f} s: {stages})",
        soft_wrap=True,
    )


@app.command()
def documents(
    days: Annotated[float, typer.Option(help="Length of the stream; a service writes a document a second.")] = 7,
    output: Annotated[Path, typer.Option(help="The NDJSON file to make.")] = Path("output/documents.ndjson"),
    end: Annotated[str, typer.Option(help="The last second, as 2026-11-20T12:00:00Z; now if not given.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed and end give the same bytes.", min=0, max=2**64 - 1)] = 0,
    workers: Annotated[int | None, typer.Option(help="Threads; one a processor if not given.")] = None,
    scenarios: Annotated[Path | None, typer.Option(help="A TOML file in place of the built-in table.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Make a slice the plain way too, and report.")] = False,
    reports: Annotated[Path, typer.Option(help="Where the comparison is written.")] = Path("reports"),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make days of service documents as NDJSON, as fast as a disk takes them."""
    from squeezelab.comparison import compare_ways, quality_table, ways_table, write_comparison
    from squeezelab.documents import DAY, make_documents
    from squeezelab.generators._services import DEFAULT_TABLE, read_services

    if not 0 < days < 10**7:
        raise InvalidRequestError(f"{days} days are out of range: give a number above 0")
    announce_compilation()
    services = read_services(scenarios or DEFAULT_TABLE)
    span: dict[str, Any] = {
        "end": parse_time(end),
        "seconds": max(1, round(days * DAY)),
        "seed": seed,
        "workers": workers,
    }
    if compare:
        made, comparison = compare_ways(output, services, **span)
        for table in (ways_table(comparison), quality_table(comparison)):
            stdout.print(table.to_rich())
        paths = write_comparison(comparison, reports / "documents")
        stdout.print(f"Report: {paths[0]}", soft_wrap=True)
    else:
        made = make_documents(output, services, **span)
    stdout.print(
        f"{output}: {made.documents:,} documents, {made.bytes / 1e6:,.1f} MB in {made.seconds:.2f} s, "
        f"{made.rate:,.0f} documents/s; joining 0 s: chunks were written in their order",
        soft_wrap=True,
    )


def parse_time(text: str) -> int:
    """Return a time of ISO 8601 as Unix seconds; UTC if it names no zone, and now if it is empty.

    Examples
    --------
    >>> parse_time("2024-01-01T00:00:00Z"), parse_time("2024-01-01")
    (1704067200, 1704067200)
    """
    if not text:
        return round(time.time())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is no time: give it as 2026-11-20T12:00:00Z") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def announce_compilation() -> None:
    """Say so when numba has to compile a kernel, which a first run does and later ones do not."""
    from numba.core import event

    class Announcer(event.Listener):  # type: ignore[misc]
        told = False

        def on_start(self, event: Any) -> None:
            if not Announcer.told:
                stderr.print("Compiling kernels: this first run takes some seconds longer.")
                Announcer.told = True

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", Announcer())


def main() -> None:
    """Run the command line; every error a user can cause is one line and exit code 2."""
    speak_through_logging()
    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        # One is enough: another would only disturb the tidying up.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    # Whoever ends a run politely gets the same tidying up as with Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        status = app(standalone_mode=False) or 0
    except UsageError as error:
        status = _fail(f"{error.format_message()} (see --help)")
    # An interrupt can come out as another error: numba and Arrow make their own of it.
    except (Exception, KeyboardInterrupt) as error:
        expected = isinstance(error, SqueezelabError | OSError | MemoryError)
        if not interrupted and (not expected or "--debug" in sys.argv):
            raise
        status = INTERRUPTED if interrupted else _fail(_describe(error))
    if status == INTERRUPTED:
        _fail("interrupted")
    sys.exit(status)


def _describe(error: BaseException) -> str:
    return str(error) if isinstance(error, SqueezelabError) else f"{type(error).__name__}: {error}"


def _fail(message: str) -> int:
    stderr.print(f"error: {' '.join(message.split())}", soft_wrap=True)
    return 2
