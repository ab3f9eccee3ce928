"""`squeezelab bench` and `squeezelab explain`: the lab on data of your own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from squeezelab.cli.app import (
    INPUT_HELP,
    Budget,
    Codecs,
    Debug,
    Engines,
    Formats,
    Price,
    Reports,
    Retention,
    SamplesPerSecond,
    Whole,
    announce_compilation,
    app,
    conclude,
    cost_of,
    plan_from,
)
from squeezelab.console import stdout


@app.command()
def bench(
    paths: Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")],
    codecs: Codecs = None,
    formats: Formats = None,
    engines: Engines = None,
    input_format: Annotated[str | None, typer.Option(help=INPUT_HELP)] = None,
    time_column: Annotated[str | None, typer.Option(help="The column that holds the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    series: Annotated[
        list[str] | None, typer.Option(help="Series to read, as 'cpu_*' or 'host=a*'; may be given again.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="The moment to stop before.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most samples to read.")] = None,
    budget: Budget = None,
    whole: Whole = False,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
    reports: Reports = Path("reports"),
    debug: Debug = False,
) -> None:
    """Run the lab on your own data.

    CSV, Parquet, Arrow, Prometheus text, OpenMetrics, a Prometheus TSDB folder, Influx line protocol, or NDJSON.
    """
    from squeezelab.experiment.run import measure_planned
    from squeezelab.experiment.stopwatch import Stopwatch
    from squeezelab.readers import load

    plan = plan_from(codecs, formats, engines, budget, whole)
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
    announce_compilation(list(plan.codecs), list(plan.formats))
    described = {"generator": "file", "size": loaded.name, "seed": 0, "provenance": loaded.provenance}
    results = measure_planned(loaded.dataset, plan, stopwatch, **described)
    conclude(replace(results, cost=cost), reports / loaded.name, stopwatch)


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")],
    series: Annotated[
        list[str] | None, typer.Option(help="Series to explain, as 'cpu_user' or 'host=a*'; may be given again.")
    ] = None,
    codecs: Codecs = None,
    input_format: Annotated[str | None, typer.Option(help=INPUT_HELP)] = None,
    time_column: Annotated[str | None, typer.Option(help="The column that holds the time.")] = None,
    time_unit: Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="The moment to stop before.")] = None,
    limit: Annotated[int | None, typer.Option(help="The most samples to read.")] = None,
    reports: Annotated[Path, typer.Option(help="Where pictures are written, in a folder 'explain'.")] = Path("reports"),
    debug: Debug = False,
) -> None:
    """Explain which codec is smallest on a series of your own, and why, with a picture."""
    from squeezelab.api import study_each
    from squeezelab.experiment.plan import Plan
    from squeezelab.readers import load

    chosen_codecs = list(Plan.of(codecs or None, "none").codecs)
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
