"""`squeezelab losses`: what becomes of metrics where some error is allowed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezelab.cli.app import Debug, Reports, announce_compilation, app
from squeezelab.cli.reading import read, reads_files
from squeezelab.console import stdout, working

if TYPE_CHECKING:
    from squeezelab.losses import Bound
    from squeezelab.readers import ReadOptions

BOUNDS_HELP = "Bounds that are a share of {}, as 0.1%,1%; none for none."


@app.command()
@reads_files
def losses(
    options: ReadOptions,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders; synthetic metrics if none.")] = None,
    of_range: Annotated[str | None, typer.Option("--range", help=BOUNDS_HELP.format("a column's range"))] = None,
    of_value: Annotated[str | None, typer.Option("--value", help=BOUNDS_HELP.format("each value"))] = None,
    absolute: Annotated[str | None, typer.Option(help="Bounds in the values' unit, as 0.5,2; none for none.")] = None,
    methods: Annotated[str | None, typer.Option(help="Methods to run, as pmc,sz3; all if not given.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="For the first crossing; each series' own if not given.")
    ] = None,
    counters: Annotated[
        list[str] | None, typer.Option(help="Names of counters besides *_total, as 'if*Octets'; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of synthetic metrics: another seed makes others.")] = 0,
    reports: Reports = Path("reports"),
    debug: Debug = False,
) -> None:
    """Show how small values get where some error is allowed, and how far rates, quantiles and crossings move."""
    from squeezelab.errors import InvalidRequestError
    from squeezelab.losses import measure_losses
    from squeezelab.losses.measure import choose_methods
    from squeezelab.losses.methods import LOSSLESS
    from squeezelab.losses.page import answers, smallest_table, write_losses

    bounds = bounds_from({"range": of_range, "value": of_value, "absolute": absolute})
    named = methods.split(",") if methods else None
    choose_methods(named)
    if threshold is not None and not math.isfinite(threshold):
        raise InvalidRequestError(f"a threshold of {threshold} is never crossed: give a number")
    if paths:
        loaded = read(paths, options)
        dataset, data = loaded.dataset, loaded.name
    else:
        from squeezelab.generators import generate_metric_data

        dataset, data = generate_metric_data(seed=seed), options.name or "synthetic"
    announce_compilation(LOSSLESS)
    measured = measure_losses(
        dataset,
        bounds=bounds,
        methods=named,
        threshold=threshold,
        counters=counters or (),
        data=data,
    )
    with working("Drawing charts"):
        page, text, *_ = write_losses(measured, reports / "losses" / data)
    table = smallest_table(measured)
    if table.rows:
        stdout.print(table)
    for sentence in answers(measured):
        stdout.print(f"- {sentence}", soft_wrap=True)
    for word in (*measured.notes, *(f"Left out: {one}" for one in measured.left_out)):
        stdout.print(f"- {word}", soft_wrap=True)
    stdout.print(f"\nLosses: {page}, as text {text}  ({measured.seconds:.1f} s)", soft_wrap=True)


def bounds_from(given: dict[str, str | None]) -> list[Bound]:
    """Return the bounds that options ask for, by kind; the default's where nothing is given.

    Raises
    ------
    InvalidRequestError
        If one is no number, or out of range.

    Examples
    --------
    >>> [str(one) for one in bounds_from({"range": "0.1%,0.02", "value": "none", "absolute": "3"})]
    ['0.1 % of the range', '2 % of the range', '3 absolute']
    """
    from squeezelab.errors import InvalidRequestError
    from squeezelab.losses.bounds import Bound
    from squeezelab.losses.measure import SIZES

    bounds = []
    for kind, text in given.items():
        if text is None:
            bounds += [Bound(kind, size) for size in SIZES[kind]]
            continue
        for part in text.split(",") if text != "none" else ():
            number, percent, _ = part.strip().partition("%")
            try:
                bounds.append(Bound(kind, float(number) / (100 if percent else 1)))
            except ValueError as error:
                if isinstance(error, InvalidRequestError):
                    raise
                raise InvalidRequestError(f"{part!r} is no bound: give numbers as 0.1%,0.02") from error
    return bounds
