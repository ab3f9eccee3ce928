"""The command line: what a user types, and errors of one line."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from squeezelab import __version__
from squeezelab.console import speak_through_logging, stderr, stdout, working
from squeezelab.errors import InvalidRequestError, SqueezelabError
from squeezelab.generators import DEFAULT_SIZE, DEFAULT_SOURCE, SIZES, SOURCES

if TYPE_CHECKING:
    from squeezelab.experiment import Stopwatch
    from squeezelab.results import CostBasis, Results

# typer exports one of its usage errors; its parent is what all of them have in common.
UsageError: Any = typer.BadParameter.__mro__[1]
EXCEEDED = 1
INTERRUPTED = 130

BUDGET_HELP = "Seconds for timing; 0 times nothing. More make surer speeds."
INPUT_HELP = "csv, parquet, arrow, prometheus, tsdb, influx or ndjson, if not recognised."
SamplesPerSecond = Annotated[float | None, typer.Option(help="For the cost: how many samples come in.")]
Retention = Annotated[str | None, typer.Option(help="For the cost: how long they are kept, as 395d or 1y30d.")]
Price = Annotated[float | None, typer.Option(help="For the cost: what 10^9 bytes cost a month.")]

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
        str, typer.Option(help="Codecs to run: xor,zstd:level=19,delta_of_delta+zlib; 'codecs' lists all.")
    ] = "",
    formats: Annotated[str, typer.Option(help="File formats to run: columnar,ndjson+zstd.")] = "",
    budget: Annotated[float | None, typer.Option(help=BUDGET_HELP)] = None,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
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
    from squeezelab.experiment import Stopwatch, measure_dataset
    from squeezelab.own_data import choose

    chosen_codecs, chosen_formats = choose(codecs or None, formats or None)
    timing = timing_of(budget)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
    if store and not scheduler:
        raise InvalidRequestError("--store is for clusters: give --scheduler as well")
    announce_compilation(chosen_codecs, chosen_formats)
    stopwatch = Stopwatch()
    chosen: dict[str, Any] = {
        "generator": generator,
        "size": size,
        "seed": seed,
        "codecs": chosen_codecs,
        "formats": chosen_formats,
        **timing,
        "settings": {"scheduler": scheduler, "store": store} if scheduler else {},
        "stopwatch": stopwatch,
    }
    if scheduler:
        from squeezelab.cluster import measure_on_cluster

        results = measure_on_cluster(scheduler, store=store or f"{output}/partitions", cache=output, **chosen)
    else:
        with stopwatch.stage("data"):
            dataset, provenance = load_or_generate(generator, size, seed=seed, folder=output)
        results = measure_dataset(dataset, provenance=provenance, **chosen)
    conclude(replace(results, cost=cost), reports / f"{size}-{generator}", stopwatch)


def timing_of(budget: float | None) -> dict[str, Any]:
    """Return how long codecs and formats are timed, as `measure_dataset` takes it."""
    from squeezelab.experiment import BUDGET
    from squeezelab.timing import ROUNDS

    seconds = BUDGET if budget is None else budget
    if not 0 <= seconds < inf:
        raise InvalidRequestError(f"--budget {seconds:g} is out of range: give seconds, 0 or more")
    return {"rounds": ROUNDS if seconds else 0, "budget": seconds}


def cost_of(samples_per_second: float | None, retention: str | None, price: float | None) -> CostBasis | None:
    """Return what a cost is reckoned from; None where nothing was given."""
    from squeezelab.report.cost import cost_basis

    return cost_basis(samples_per_second, retention, price)


def conclude(results: Results, folder: Path, stopwatch: Stopwatch) -> None:
    """Write the report of a run, show its tables, and say where it is."""
    from squeezelab.experiment import DEFAULT_CODECS, name_missing
    from squeezelab.own_data import Bench
    from squeezelab.report import write_report
    from squeezelab.report.cost import cost_table
    from squeezelab.report.tables import published_table

    with stopwatch.stage("report"), working("Drawing charts"):
        write_report(results, folder)
    for table in Bench(results).tables:
        stdout.print(table.to_rich())
    if results.cost:
        stdout.print(cost_table(results).to_rich())
    published = published_table(results)
    for figure, theirs, ours, _ in published.rows:
        stdout.print(f"{figure}: {ours}, published {theirs}")
    for note in name_missing() if results.run.settings["codecs"] == list(DEFAULT_CODECS) else ():
        stdout.print(note, soft_wrap=True)
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stopwatch.stages.items())
    stdout.print(
        f"\nReport: {folder / 'report.html'}, as text {folder / 'ratios.md'}  ({stopwatch.seconds:.1f} s: {stages})",
        soft_wrap=True,
    )


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder of a report, or its results.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    fail_on: Annotated[
        str, typer.Option(help="Exit with 1 where something is larger or slower by more: size=1%,speed=10%.")
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Write the comparison to this file as well.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare runs on different data all the same.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Compare two runs, and print as Markdown which sizes differ, and which speeds differ for sure."""
    from squeezelab.files import replacing
    from squeezelab.report.compare import compare_runs, comparison_markdown, find_exceeded, parse_limits, read_run

    limits = parse_limits(fail_on) if fail_on else None
    comparison = compare_runs(read_run(old), read_run(new), force=force)
    text = comparison_markdown(comparison, limits)
    if output:
        with replacing(output) as file:
            file.write(text.encode())
        stderr.print(f"Comparison: {output}", soft_wrap=True)
    stdout.out(text, end="")
    return EXCEEDED if limits is not None and find_exceeded(comparison, limits) else 0


@app.command()
def bench(
    paths: Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")],
    codecs: Annotated[str, typer.Option(help="Codecs to run: xor,zstd:level=19,delta_of_delta+zlib.")] = "",
    formats: Annotated[str, typer.Option(help="File formats to run: columnar,ndjson+zstd.")] = "",
    input_format: Annotated[str | None, typer.Option(help=INPUT_HELP)] = None,
    time_column: Annotated[str | None, typer.Option(help="The column that holds the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    series: Annotated[
        list[str] | None, typer.Option(help="Series to read, as 'cpu_*' or 'host=a*'; may be given again.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="The moment to stop before.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most samples to read.")] = None,
    budget: Annotated[float | None, typer.Option(help=BUDGET_HELP)] = None,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
    reports: Annotated[Path, typer.Option(help="Where reports are written, a folder each.")] = Path("reports"),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Run the lab on your own data.

    CSV, Parquet, Arrow, Prometheus text, OpenMetrics, a Prometheus TSDB folder, Influx line protocol, or NDJSON.
    """
    from squeezelab.experiment import Stopwatch, measure_dataset
    from squeezelab.own_data import choose
    from squeezelab.readers import load

    chosen_codecs, chosen_formats = choose(codecs or None, formats or None)
    timing = timing_of(budget)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
    stopwatch = Stopwatch()
    with stopwatch.stage("data"):
        loaded = load(
            paths,
            kind=input_format,
            time_column=time_column,
            time_unit=time_unit,
            series=series,
            start=start,
            stop=stop,
            limit=limit,
        )
    stdout.print(str(loaded), soft_wrap=True)
    announce_compilation(chosen_codecs, chosen_formats)
    results = measure_dataset(
        loaded.dataset,
        generator="file",
        size=loaded.name,
        provenance=loaded.provenance,
        codecs=chosen_codecs,
        formats=chosen_formats,
        stopwatch=stopwatch,
        **timing,
    )
    conclude(replace(results, cost=cost), reports / loaded.name, stopwatch)


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")],
    series: Annotated[
        list[str] | None, typer.Option(help="Series to explain, as 'cpu_user' or 'host=a*'; may be given again.")
    ] = None,
    codecs: Annotated[str, typer.Option(help="Codecs to run: xor,zstd:level=19,delta_of_delta+zlib.")] = "",
    input_format: Annotated[str | None, typer.Option(help=INPUT_HELP)] = None,
    time_column: Annotated[str | None, typer.Option(help="The column that holds the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="The moment to stop before.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most samples to read.")] = None,
    reports: Annotated[Path, typer.Option(help="Where pictures are written, in a folder 'explain'.")] = Path("reports"),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Explain which codec is smallest on a series of your own, and why, with a picture."""
    from squeezelab.own_data import choose
    from squeezelab.readers import load
    from squeezelab.study import study_each

    chosen_codecs, _ = choose(codecs or None, [])
    loaded = load(
        paths,
        kind=input_format,
        time_column=time_column,
        time_unit=time_unit,
        series=series,
        start=start,
        stop=stop,
        limit=limit,
    )
    stdout.print(str(loaded), soft_wrap=True)
    announce_compilation()
    for study in study_each(loaded.dataset, chosen_codecs, name=loaded.name):
        for table in study.tables:
            stdout.print(table.to_rich())
        for sentence in study.sentences:
            stdout.print(f"- {sentence}", soft_wrap=True)
        picture, drawing = study.draw(reports / "explain")
        stdout.print(f"\nPicture: {picture}, {drawing}", soft_wrap=True)


@app.command("codecs")
def list_codecs(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List all codecs and file formats with what they accept."""
    from squeezelab.shelf import describe_codecs, describe_formats

    for line in (*describe_codecs(), *describe_formats()):
        stdout.print(line, soft_wrap=True)


@app.command()
def documents(
    days: Annotated[float, typer.Option(help="Length of the stream; a service writes a document a second.")] = 7,
    output: Annotated[Path, typer.Option(help="The NDJSON file to make.")] = Path("output/documents.ndjson"),
    end: Annotated[str, typer.Option(help="The last second, as 2026-11-20T12:00:00Z; now if not given.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed and end give the same bytes.", min=0, max=2**64 - 1)] = 0,
    workers: Annotated[int | None, typer.Option(help="Threads; one a processor if not given.")] = None,
    scenarios: Annotated[Path | None, typer.Option(help="A TOML file in place of the built-in table.")] = None,
    plain: Annotated[bool, typer.Option("--compare", help="Make a slice the plain way too, and report.")] = False,
    reports: Annotated[Path, typer.Option(help="Where the comparison is written.")] = Path("reports"),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make days of service documents as NDJSON, as fast as a disk takes them."""
    from squeezelab.documents import DAY, make_documents
    from squeezelab.documents_comparison import compare_ways, quality_table, ways_table, write_comparison
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
    if plain:
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


def announce_compilation(codecs: Sequence[str] = (), formats: Sequence[str] = ()) -> None:
    """Compile what a first run needs on all cores, and say so when numba has to compile another kernel."""
    from numba.core import event

    warmed = False
    if codecs or formats:
        from squeezelab.warmup import warm_up

        warmed = warm_up(codecs, formats)

    class Announcer(event.Listener):  # type: ignore[misc]
        told = warmed

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
