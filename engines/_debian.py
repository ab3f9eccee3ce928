"""Bringing a server of Debian without root: its package is downloaded and unpacked, nothing is installed or started."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from squeezelab.errors import EngineError
from squeezelab.programs import FOLDERS, brought_folder

SECONDS = 600.0
UNKNOWN = "Unable to locate package"


def bring(package: str) -> Path:
    """Download a package with ``apt-get download``, unpack it into the user data folder, and return its folder.

    Raises
    ------
    EngineError
        If there is no apt, or it cannot be had.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise EngineError(f"no {tool} here: install {package} yourself, or name its folder in {FOLDERS}")
    into = brought_folder() / package
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".") as workplace:
        folder = Path(workplace)
        _download(package, folder)
        (file,) = folder.glob("*.deb")
        whole = folder / "whole"
        _run(["dpkg-deb", "-x", str(file), str(whole)], folder)
        shutil.rmtree(into, ignore_errors=True)
        whole.rename(into)
    return into


def _download(package: str, folder: Path) -> None:
    """Download, with lists of packages of our own where the system has none of it."""
    try:
        _run(["apt-get", "download", package], folder)
    except EngineError as error:
        if UNKNOWN not in str(error):
            raise
        (folder / "lists" / "partial").mkdir(parents=True)
        (folder / "cache" / "archives" / "partial").mkdir(parents=True)
        ours = [f"-oDir::State::lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}"]
        _run(["apt-get", *ours, "update"], folder)
        _run(["apt-get", *ours, "download", package], folder)


def _run(command: list[str], folder: Path) -> None:
    unsandboxed = ["-oAPT::Sandbox::User=root"] if command[0] == "apt-get" else []
    words = [command[0], *unsandboxed, *command[1:]]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{command[0]} took more than {SECONDS:g} seconds") from error
    if done.returncode:
        raise EngineError(f"{' '.join([command[0], *command[-2:]])} failed: {' '.join(done.stderr.split())[-400:]}")
