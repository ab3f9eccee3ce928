"""`squeezelab advise`: what to set in the systems that keep metrics, proven on data of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from squeezelab.cli.app import INPUT_HELP, Debug, Price, Retention, SamplesPerSecond, app, cost_of
from squeezelab.console import stderr, stdout


@app.command()
def advise(
    paths: Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")],
    systems: Annotated[str, typer.Option("--for", help="Systems, as clickhouse,parquet; or all.")] = "all",
    objective: Annotated[str, typer.Option(help="What counts: size, read or balanced.")] = "size",
    budget: Annotated[float, typer.Option(help="Seconds for each system.")] = 120,
    input_format: Annotated[str | None, typer.Option(help=INPUT_HELP)] = None,
    time_column: Annotated[str | None, typer.Option(help="The column that holds the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    series: Annotated[
        list[str] | None, typer.Option(help="Series to read, as 'cpu_*' or 'host=a*'; may be given again.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="The moment to stop before.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most samples to read.")] = None,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
    reports: Annotated[Path, typer.Option(help="Where advice is written, a folder each.")] = Path("reports"),
    debug: Debug = False,
) -> None:
    """Find the settings that keep your metrics smallest in a system, prove them there, and print what to paste."""
    from squeezelab.advice import advise_all, choose_systems
    from squeezelab.advice.advised import AdviceReport
    from squeezelab.advice.worker import SystemFailedError
    from squeezelab.readers import load
    from squeezelab.report.advice import advice_tables

    chosen, words = choose_systems(systems)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
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
    given, failed = advise_all(chosen, loaded.dataset, objective=objective, budget=budget)
    for word in (*words, *failed):
        stderr.print(word, soft_wrap=True)
    if not given:
        raise SystemFailedError("; ".join(failed))
    folder = reports / f"{loaded.name}-advice"
    AdviceReport(loaded.name, given, [*words, *failed], cost, loaded.provenance).write(folder)
    for one in given:
        stdout.print(f"\n{one.title} ({one.version}): paste this\n", soft_wrap=True)
        for text in one.statements.values():
            stdout.out(text, highlight=False)
        for note in one.notes:
            stdout.print(f"- {note}", soft_wrap=True)
    for table in advice_tables(given, cost):
        stdout.print(table.to_rich())
    stdout.print(f"\nAdvice: {folder / 'advice.md'}, and each text as a file beside it", soft_wrap=True)
