"""Programs of other projects: databases, and what reads their files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from platformdirs import user_data_path

FOLDERS = "SQUEEZELAB_ENGINES"
"""The environment variable that names further folders of programs, as PATH does."""


def find_program(name: str) -> Path | None:
    """Return a program: of SQUEEZELAB_ENGINES' folders, else as ``engines get`` brought it, else of the system."""
    folders: list[Path] = [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]
    if brought_folder().is_dir():
        folders += brought_folder().iterdir()
    for folder in folders:
        for inner in (".", "bin", "usr/bin", "usr/sbin"):
            found = folder / inner / name
            if found.is_file() and os.access(found, os.X_OK):
                return found
    found_in = shutil.which(name) or shutil.which(name, path="/usr/local/bin:/usr/sbin:/usr/local/sbin")
    return Path(found_in) if found_in else None


def brought_folder() -> Path:
    """Return the folder that ``engines get`` puts servers in, one below it each."""
    return Path(user_data_path("squeezelab")) / "engines"
