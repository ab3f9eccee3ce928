"""`squeezelab documents`: days of service documents."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from squeezelab.cli.app import Debug, announce_compilation, app
from squeezelab.console import stdout
from squeezelab.errors import InvalidRequestError


@app.command()
def documents(
    days: Annotated[float, typer.Option(help="Length of the stream; a service writes a document a second.")] = 7,
    output: Annotated[Path, typer.Option(help="The NDJSON file to make.")] = Path("output/documents.ndjson"),
    end: Annotated[str, typer.Option(help="The last second, as 2026-11-20T12:00:00Z; now if not given.")] = "",
    seed: Annotated[int, typer.Option(help="The same seed and end give the same bytes.", min=0, max=2**64 - 1)] = 0,
    workers: Annotated[int | None, typer.Option(help="Threads; one a processor if not given.")] = None,
    scenarios: Annotated[Path | None, typer.Option(help="A TOML file in place of the built-in table.")] = None,
    plain: Annotated[bool, typer.Option("--compare", help="Make a slice the plain way too, and report.")] = False,
    reports: Annotated[Path, typer.Option(help="Where the comparison is written.")] = Path("reports"),
    debug: Debug = False,
) -> None:
    """Make days of service documents as NDJSON, as fast as a disk takes them."""
    from squeezelab.documents.comparison import compare_ways, quality_table, ways_table, write_comparison
    from squeezelab.documents.writing import DAY, make_documents
    from squeezelab.generators._services import DEFAULT_TABLE, read_services

    if not 0 < days < 10**7:
        raise InvalidRequestError(f"{days} days are out of range: give a number above 0")
    announce_compilation()
    services = read_services(scenarios or DEFAULT_TABLE)
    span: dict[str, Any] = {
        "end": parse_time(end),
        "seconds": max(1, round(days * DAY)),
        "seed": seed,
        "workers": workers,
    }
    if plain:
        made, comparison = compare_ways(output, services, **span)
        for table in (ways_table(comparison), quality_table(comparison)):
            stdout.print(table)
        paths = write_comparison(comparison, reports / "documents")
        stdout.print(f"Report: {paths[0]}", soft_wrap=True)
    else:
        made = make_documents(output, services, **span)
    stdout.print(
        f"{output}: {made.documents:,} documents, {made.bytes / 1e6:,.1f} MB in {made.seconds:.2f} s, "
        f"{made.rate:,.0f} documents/s; joining 0 s: chunks were written in their order",
        soft_wrap=True,
    )


def parse_time(text: str) -> int:
    """Return a time of ISO 8601 as Unix seconds; UTC if it names no zone, and now if it is empty.

    Examples
    --------
    >>> parse_time("2024-01-01T00:00:00Z"), parse_time("2024-01-01")
    (1704067200, 1704067200)
    """
    if not text:
        return round(time.time())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is no time: give it as 2026-11-20T12:00:00Z") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
