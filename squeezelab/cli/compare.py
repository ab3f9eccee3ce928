"""`squeezelab compare`: two runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from squeezelab.cli.app import Debug, app
from squeezelab.console import stderr, stdout

EXCEEDED = 1


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder of a report, or its results.json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    fail_on: Annotated[
        str, typer.Option(help="Exit with 1 where something is larger or slower by more: size=1%,speed=10%.")
    ] = "",
    output: Annotated[Path | None, typer.Option(help="Write the comparison to this file as well.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare runs on different data all the same.")] = False,
    debug: Debug = False,
) -> int:
    """Compare two runs, and print as Markdown which sizes differ, and which speeds differ for sure."""
    from squeezelab.report.compare import compare_runs, comparison_markdown, find_exceeded, parse_limits, read_run
    from squeezelab.store.files import replacing

    limits = parse_limits(fail_on) if fail_on else None
    comparison = compare_runs(read_run(old), read_run(new), force=force)
    text = comparison_markdown(comparison, limits)
    if output:
        with replacing(output) as file:
            file.write(text.encode())
        stderr.print(f"Comparison: {output}", soft_wrap=True)
    stdout.out(text, end="")
    return EXCEEDED if limits is not None and find_exceeded(comparison, limits) else 0
