"""The typer app, the options that commands share, and what they all do before and after the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from squeezelab.console import stderr, stdout, working

if TYPE_CHECKING:
    from squeezelab.experiment.plan import Plan
    from squeezelab.experiment.stopwatch import Stopwatch
    from squeezelab.results import CostBasis, Results

Codecs = Annotated[
    str | None,
    typer.Option(help="Codecs to run: xor,zstd:level=19; none for none. 'codecs' lists all."),
]
Formats = Annotated[str | None, typer.Option(help="File formats to run: columnar,ndjson+zstd; none for none.")]
Engines = Annotated[
    str | None,
    typer.Option(help="Databases to run: prometheus,clickhouse:table=timeseries; all for all of them."),
]
Advise = Annotated[
    str | None, typer.Option(help="Systems to advise on as well: clickhouse,parquet; all for all of them.")
]
Budget = Annotated[float | None, typer.Option(help="Seconds for timing; 0 times nothing. More make surer speeds.")]
Whole = Annotated[bool, typer.Option("--whole", help="Prove everything on everything, however long it takes.")]
By = Annotated[
    str | None, typer.Option(help="metric: tell what each metric name takes in Prometheus, samples and index apart.")
]
Reports = Annotated[Path, typer.Option(help="Where reports are written, a folder each.")]
INPUT_HELP = "csv, parquet, arrow, ndjson, json, prometheus, tsdb, influx, influx-csv or tally, if not recognised."
SamplesPerSecond = Annotated[float | None, typer.Option(help="For the cost: how many samples come in.")]
Retention = Annotated[str | None, typer.Option(help="For the cost: how long they are kept, as 395d or 1y30d.")]
Price = Annotated[float | None, typer.Option(help="For the cost: what 10^9 bytes cost a month.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def plan_from(
    codecs: str | None,
    formats: str | None,
    engines: str | None,
    budget: float | None,
    whole: bool,
    by: str | None = None,
    **settings: Any,
) -> Plan:
    """Return the plan that options ask for, with what else was chosen for the record."""
    from squeezelab.experiment.plan import Plan

    return Plan.of(
        codecs or None,
        formats or None,
        engines=engines or None,
        budget=budget,
        whole=whole,
        by=by,
        settings=settings,
    )


def cost_of(samples_per_second: float | None, retention: str | None, price: float | None) -> CostBasis | None:
    """Return what a cost is reckoned from; None where nothing was given."""
    from squeezelab.report.cost import cost_basis

    return cost_basis(samples_per_second, retention, price)


def conclude(results: Results, folder: Path, stopwatch: Stopwatch) -> None:
    """Write the report of a run, show its tables, and say where it is."""
    from squeezelab.api import Bench
    from squeezelab.experiment.plan import DEFAULT_CODECS
    from squeezelab.experiment.run import name_missing
    from squeezelab.report import write_report
    from squeezelab.report.advice import advice_tables
    from squeezelab.report.cost import cost_table
    from squeezelab.report.tables import published_table

    with stopwatch.stage("report"), working("Drawing charts"):
        written = [path for path in write_report(results, folder) if path.suffix in (".html", ".md")]
    for table in [*Bench(results).tables, *advice_tables(results.advice, results.cost)]:
        stdout.print(table)
    if results.cost:
        stdout.print(cost_table(results))
    published = published_table(results)
    for figure, theirs, ours, _ in published.rows:
        stdout.print(f"{figure}: {ours}, published {theirs}")
    unasked = [] if results.run.settings["codecs"] == list(DEFAULT_CODECS) else name_missing()
    for note in results.run.notes:
        if note not in unasked:
            stdout.print(f"- {note}", soft_wrap=True)
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stopwatch.stages.items())
    texts = ", as text ".join(map(str, written)) or folder
    stdout.print(f"\nReport: {texts}  ({stopwatch.seconds:.1f} s: {stages})", soft_wrap=True)


def announce_compilation(codecs: Sequence[str] = (), formats: Sequence[str] = ()) -> None:
    """Compile what a first run needs on all cores, and say so when numba has to compile another kernel."""
    from numba.core import event

    warmed = False
    if codecs or formats:
        from squeezelab.experiment.warmup import warm_up

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
