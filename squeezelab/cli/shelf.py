"""`squeezelab codecs`: what there is to choose from."""

from __future__ import annotations

from squeezelab.cli.app import Debug, app
from squeezelab.console import stdout


@app.command("codecs")
def list_codecs(
    debug: Debug = False,
) -> None:
    """List all codecs and file formats with what they accept."""
    from squeezelab.shelf import describe_codecs, describe_formats

    for line in (*describe_codecs(), *describe_formats()):
        stdout.print(line, soft_wrap=True)
