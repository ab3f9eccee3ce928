"""`squeezelab`, without a command: the lab on data that it makes or loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from squeezelab import __version__
from squeezelab.cli.app import (
    BUDGET_HELP,
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
    debug: Debug = False,
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
    from squeezelab.api import choose
    from squeezelab.experiment.run import Stopwatch, measure_dataset
    from squeezelab.store.cache import load_or_generate

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
        from squeezelab.experiment.cluster import measure_on_cluster

        results = measure_on_cluster(scheduler, store=store or f"{output}/partitions", cache=output, **chosen)
    else:
        with stopwatch.stage("data"):
            dataset, provenance = load_or_generate(generator, size, seed=seed, folder=output)
        results = measure_dataset(dataset, provenance=provenance, **chosen)
    conclude(replace(results, cost=cost), reports / f"{size}-{generator}", stopwatch)
