"""The options of all commands that read a user's files: one place, one object."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from squeezelab.cli.app import INPUT_HELP
from squeezelab.console import stdout

if TYPE_CHECKING:
    from squeezelab.readers import Loaded, ReadOptions

Paths = Annotated[list[Path], typer.Argument(help="Files, plain or gz or zst, and folders of them.")]

OPTIONS: dict[str, Any] = {
    "kind": Annotated[str | None, typer.Option("--input-format", help=INPUT_HELP)],
    "time_column": Annotated[str | None, typer.Option(help="The column that holds the time.")],
    "time_unit": Annotated[str | None, typer.Option(help="Unit of times that are numbers: s, ms, us or ns.")],
    "series": Annotated[
        list[str] | None, typer.Option(help="Series to read, as 'cpu_*' or 'host=a*'; may be given again.")
    ],
    "start": Annotated[str | None, typer.Option("--from", help="The first moment: a date, or seconds.")],
    "stop": Annotated[str | None, typer.Option("--to", "--until", help="The moment to stop before.")],
    "limit": Annotated[int | None, typer.Option(help="The most samples to read.")],
    "interval": Annotated[str | None, typer.Option(help="Rows without a time column: their interval, as 15s.")],
    "decimal": Annotated[str | None, typer.Option(help="Decimal separator, '.' or ',', if not recognised.")],
    "date_format": Annotated[str | None, typer.Option(help="As '%d.%m.%Y %H:%M', or excel, day-first, month-first.")],
    "timezone": Annotated[str | None, typer.Option(help="Zone of dates that name none, as Europe/Berlin.")],
    "doubles": Annotated[bool, typer.Option("--doubles", help="Take integers and float32 for doubles.")],
    "name": Annotated[str | None, typer.Option(help="What to call the data and the folder of its report.")],
}
"""The fields of `ReadOptions`, as the command line takes them."""

PACKING = {name: hint for name, hint in OPTIONS.items() if name != "name"}
PACKING["stop"] = Annotated[str | None, typer.Option("--until", help="The moment to stop before.")]
"""Those of commands that make no report, and whose ``--to`` is the file to make."""


def reads_files(command: Callable[..., None], options: Mapping[str, Any] = OPTIONS) -> Callable[..., None]:
    """Give a command the reader's options in place of its parameter ``options``, a `ReadOptions`.

    Examples
    --------
    >>> @reads_files
    ... def show(paths: Paths, options: "ReadOptions", debug: bool = False) -> None: ...
    >>> list(inspect.signature(show).parameters)[:3], "options" in inspect.signature(show).parameters
    (['paths', 'kind', 'time_column'], False)
    """
    # Types for checkers only: the readers are imported when a command runs.
    hints = inspect.get_annotations(command, eval_str=True, locals={"ReadOptions": object})

    @functools.wraps(command)
    def run(**given: Any) -> None:
        from squeezelab.readers import ReadOptions

        chosen = ReadOptions(**{name: given.pop(name) for name in options})
        command(**given, options=chosen)

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == "options":
            parameters += [parameter.replace(name=one, default=None, annotation=hint) for one, hint in options.items()]
        else:
            parameters.append(parameter.replace(annotation=hints[name]))
    ordered = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    run.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in ordered}
    return run


def read(paths: list[Path], options: ReadOptions) -> Loaded:
    """Read files, and say what was understood of them."""
    from squeezelab.readers import load

    loaded = load(paths, options)
    stdout.print(str(loaded), soft_wrap=True)
    return loaded


def report_folder(reports: Path, loaded: Loaded, options: ReadOptions) -> Path:
    """Return where the report of these files belongs: in the place of an older one of the same files only.

    Where a report of other files has the name already, the folder of the files stands before it, and then a number.
    """
    if options.name is not None:
        return reports / options.name
    names = [loaded.name, f"{loaded.folder}-{loaded.name}"]
    names += [f"{names[-1]}-{number}" for number in range(2, 1000)]
    return next(folder for folder in (reports / name for name in names) if _may_be_replaced(folder, loaded))


def _may_be_replaced(folder: Path, loaded: Loaded) -> bool:
    """Tell whether there is no report yet, or one of files with the same paths."""
    try:
        origin = json.loads((folder / "results.json").read_bytes())["dataset"]["provenance"]
        return set(origin) == set(loaded.provenance)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, LookupError, TypeError):
        return False
