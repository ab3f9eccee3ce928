"""`squeezelab bench` and `squeezelab explain`: the lab on data of your own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from squeezelab.cli.app import (
    BUDGET_HELP,
    INPUT_HELP,
    Debug,
    Price,
    Retention,
    SamplesPerSecond,
    announce_compilation,
    app,
    conclude,
    cost_of,
    timing_of,
)
from squeezelab.console import stdout


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
    debug: Debug = False,
) -> None:
    """Run the lab on your own data.

    CSV, Parquet, Arrow, Prometheus text, OpenMetrics, a Prometheus TSDB folder, Influx line protocol, or NDJSON.
    """
    from squeezelab.api import choose
    from squeezelab.experiment.run import Stopwatch, measure_dataset
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
    debug: Debug = False,
) -> None:
    """Explain which codec is smallest on a series of your own, and why, with a picture."""
    from squeezelab.api import choose
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
