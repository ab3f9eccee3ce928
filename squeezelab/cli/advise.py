"""`squeezelab advise`: what to set in the systems that keep metrics, proven on data of your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezelab.cli.app import Debug, Price, Retention, SamplesPerSecond, app, cost_of
from squeezelab.cli.reading import Paths, read, reads_files
from squeezelab.console import stderr, stdout

if TYPE_CHECKING:
    from squeezelab.readers import ReadOptions


@app.command()
@reads_files
def advise(
    paths: Paths,
    options: ReadOptions,
    systems: Annotated[str, typer.Option("--for", help="Systems, as clickhouse,parquet; or all.")] = "all",
    objective: Annotated[str, typer.Option(help="What counts: size, read or balanced.")] = "size",
    budget: Annotated[float, typer.Option(help="Seconds for each system.")] = 120,
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
    from squeezelab.report.advice import advice_tables

    chosen, words = choose_systems(systems)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
    loaded = read(paths, options)
    given, failed = advise_all(chosen, loaded.dataset, objective=objective, budget=budget)
    for word in (*words, *failed):
        stderr.print(word, soft_wrap=True)
    if not given:
        raise SystemFailedError("; ".join(failed))
    folder = reports / f"{options.name or loaded.name}-advice"
    AdviceReport(loaded.name, given, [*words, *failed], cost, loaded.provenance).write(folder)
    for one in given:
        stdout.print(f"\n{one.title} ({one.version}): paste this\n", soft_wrap=True)
        for file, text in one.statements.items():
            if len(one.statements) > 1:  # the same in several languages, or a step each
                stdout.print(f"{file}:", soft_wrap=True)
            stdout.out(text, highlight=False)
        for note in one.notes:
            stdout.print(f"- {note}", soft_wrap=True)
    for table in advice_tables(given, cost):
        stdout.print(table)
    stdout.print(f"\nAdvice: {folder / 'advice.md'}, and each text as a file beside it", soft_wrap=True)
