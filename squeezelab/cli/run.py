"""`squeezelab`, without a command: the lab on data that it makes or loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from squeezelab import __version__
from squeezelab.cli.app import (
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
from squeezelab.console import stdout
from squeezelab.errors import InvalidRequestError
from squeezelab.generators import DEFAULT_SIZE, DEFAULT_SOURCE, SIZES, SOURCES


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    size: Annotated[str, typer.Option(envvar="DATASET_SIZE", help=f"One of {', '.join(SIZES)}.")] = DEFAULT_SIZE,
    generator: Annotated[
        str, typer.Option(envvar="DATA_GENERATOR", help=f"Where the data come from: one of {', '.join(SOURCES)}.")
    ] = DEFAULT_SOURCE,
    seed: Annotated[int, typer.Option(help="Another seed makes other data.")] = 0,
    codecs: Codecs = None,
    formats: Formats = None,
    engines: Engines = None,
    budget: Budget = None,
    whole: Whole = False,
    by: By = None,
    samples_per_second: SamplesPerSecond = None,
    retention: Retention = None,
    price_per_gb_month: Price = None,
    reports: Reports = Path("reports"),
    output: Annotated[Path, typer.Option(help="Where the data set is cached.")] = Path("output"),
    scheduler: Annotated[
        str, typer.Option(help="Run on a Dask cluster: tcp://host:8786, or 'local' to start one here.")
    ] = "",
    store: Annotated[
        str, typer.Option(help="Where a cluster keeps its data, if not in the output folder: any fsspec URL.")
    ] = "",
    debug: Debug = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Measure what codecs and file formats make of time-series metrics, and write a report."""
    if context.invoked_subcommand:
        sources = {name: context.get_parameter_source(name) for name in context.params if name != "debug"}
        if misplaced := [f"--{name}" for name, source in sources.items() if source and source.name == "COMMANDLINE"]:
            raise InvalidRequestError(f"{' '.join(misplaced)} stands before {context.invoked_subcommand}: put it after")
        return
    if version:
        stdout.print(f"squeezelab {__version__}")
        return
    # Heavy imports wait until it is clear that there is work to do: --help answers at once.
    from squeezelab.experiment.run import measure_planned
    from squeezelab.experiment.stopwatch import Stopwatch

    if store and not scheduler:
        raise InvalidRequestError("--store is for clusters: give --scheduler as well")
    cluster = {"scheduler": scheduler, "store": store} if scheduler else {}
    plan = plan_from(codecs, formats, engines, budget, whole, by, **cluster)
    cost = cost_of(samples_per_second, retention, price_per_gb_month)
    announce_compilation(list(plan.codecs), list(plan.formats))
    stopwatch = Stopwatch()
    if scheduler:
        from squeezelab.experiment.cluster import measure_on_cluster

        place = store or f"{output}/partitions"
        results = measure_on_cluster(
            scheduler, plan, generator=generator, size=size, seed=seed, store=place, cache=output, stopwatch=stopwatch
        )
    else:
        from squeezelab.experiment.source import load_or_generate

        with stopwatch.stage("data"):
            dataset, provenance = load_or_generate(generator, size, seed=seed, folder=output)
        described = {"generator": generator, "size": size, "seed": seed, "provenance": provenance}
        results = measure_planned(dataset, plan, stopwatch, **described)
    conclude(replace(results, cost=cost), reports / f"{size}-{generator}", stopwatch)
