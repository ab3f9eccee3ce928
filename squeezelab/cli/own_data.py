"""`squeezelab bench` and `squeezelab explain`: the lab on data of your own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezelab.cli.app import (
    Advise,
    Budget,
    By,
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
from squeezelab.cli.reading import Paths, read, reads_files, report_folder
from squeezelab.console import stdout

if TYPE_CHECKING:
    from squeezelab.readers import ReadOptions


@app.command()
@reads_files
def bench(
    paths: Paths,
    options: ReadOptions,
    codecs: Codecs = None,
    formats: Formats = None,
    engines: Engines = None,
    advise: Advise = None,
    budget: Budget = None,
    whole: Whole = False,
    by: By = None,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
    reports: Reports = Path("reports"),
    debug: Debug = False,
) -> None:
    """Run the lab on your own data.

    CSV, Parquet, Arrow, JSON, NDJSON, Prometheus text, OpenMetrics, a Prometheus TSDB, Influx line protocol, or tally.
    """
    from squeezelab.advice import choose_systems
    from squeezelab.advice.advised import AdviceReport, with_advice
    from squeezelab.experiment.run import measure_planned
    from squeezelab.experiment.stopwatch import Stopwatch

    systems, words = choose_systems(advise) if advise else ([], [])
    plan = plan_from(codecs, formats, engines, budget, whole, by)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
    stopwatch = Stopwatch()
    with stopwatch.stage("data"):
        loaded = read(paths, options)
    folder = report_folder(reports, loaded, options)
    announce_compilation(list(plan.codecs), list(plan.formats))
    results = replace(measure_planned(loaded.dataset, plan, stopwatch, **loaded.described), cost=cost)
    if systems:
        with stopwatch.stage("advice"):
            results = with_advice(results, loaded.dataset, systems, words)
        AdviceReport.of(results).write(folder)
    conclude(results, folder, stopwatch)
    if systems:
        stdout.print(f"Advice: {folder / 'advice.md'}, and each text as a file beside it", soft_wrap=True)


@app.command()
@reads_files
def explain(
    paths: Paths,
    options: ReadOptions,
    codecs: Codecs = None,
    reports: Annotated[Path, typer.Option(help="Where pictures are written, in a folder 'explain'.")] = Path("reports"),
    debug: Debug = False,
) -> None:
    """Explain which codec is smallest on a series of your own, and why, with a picture."""
    from squeezelab.api import study_each
    from squeezelab.experiment.plan import Plan

    chosen_codecs = list(Plan.of(codecs or None, "none").codecs)
    loaded = read(paths, options)
    announce_compilation()
    for study in study_each(loaded.dataset, chosen_codecs, name=loaded.name):
        for table in study.tables:
            stdout.print(table)
        for sentence in study.sentences:
            stdout.print(f"- {sentence}", soft_wrap=True)
        picture, drawing = study.draw(reports / "explain")
        stdout.print(f"\nPicture: {picture}, {drawing}", soft_wrap=True)
