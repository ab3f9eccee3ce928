"""`squeezelab atlas`: maps of where which codec wins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezelab.cli.app import Codecs, Debug, Reports, announce_compilation, app
from squeezelab.cli.reading import read, reads_files
from squeezelab.console import stdout, working

if TYPE_CHECKING:
    from squeezelab.readers import ReadOptions


@app.command()
@reads_files
def atlas(
    options: ReadOptions,
    data: Annotated[list[Path] | None, typer.Option(help="Your own series, as dots; may be given again.")] = None,
    at_least: Annotated[float, typer.Option(help="Decoding speed for the second map of each, MB/s; 0: none.")] = 500,
    cells: Annotated[int, typer.Option(help="Cells along each side of a map: time grows with the square.")] = 8,
    values: Annotated[int, typer.Option(help="Values a column.")] = 4096,
    codecs: Codecs = None,
    seed: Annotated[int, typer.Option(help="Same seed, same columns.")] = 0,
    reports: Reports = Path("reports"),
    debug: Debug = False,
) -> None:
    """Map where which codec wins: columns over two knobs at a time, every lossless codec on each."""
    from squeezelab.atlas import measure_atlas
    from squeezelab.atlas.page import write_atlas
    from squeezelab.errors import InvalidRequestError
    from squeezelab.experiment.plan import Plan

    chosen = list(Plan.of(codecs or None, "none").codecs)
    if not chosen:
        raise InvalidRequestError("an atlas of no codecs is empty: name some with --codecs")
    if values < 2:
        raise InvalidRequestError(f"columns of {values} values show nothing: give --values 2 or more")
    loaded = read(data, options) if data else None
    announce_compilation(chosen)
    measured = measure_atlas(
        codecs=chosen,
        cells=cells,
        at_least=at_least,
        seed=seed,
        values=values,
        dataset=loaded.dataset if loaded else None,
        data=loaded.name if loaded else "",
    )
    with working("Drawing maps"):
        page, *_ = write_atlas(measured, reports / "atlas")
    for sheet in measured.sheets:
        won: dict[str, int] = {}
        for cell in sheet.cells:
            if win := cell.win():
                won[win.name] = won.get(win.name, 0) + 1
        told = ", ".join(f"{name} {count}" for name, count in sorted(won.items(), key=lambda one: -one[1]))
        stdout.print(f"{sheet.map.title}: of {len(sheet.cells)} cells {told}", soft_wrap=True)
    for note in measured.notes:
        stdout.print(f"- {note}", soft_wrap=True)
    stdout.print(f"\nAtlas: {page}, {page.with_suffix('.png')}  ({measured.seconds:.1f} s)", soft_wrap=True)
