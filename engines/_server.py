"""What engines have in common that are servers of Debian, spoken with by HTTP on a port of loopback."""

from __future__ import annotations

import gzip
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import ClassVar

from squeezelab.engines import _processes
from squeezelab.engines._http import Http
from squeezelab.engines._processes import Server, told_version
from squeezelab.engines.base import Engine
from squeezelab.errors import EngineError
from squeezelab.programs import FOLDERS, find_program

TRIES = 3
"""Another program may take a port between the moment that it is found free and the moment that the server takes it."""


class HttpServer(Engine):
    """A server that is one program.

    Attributes
    ----------
    program : str
        Its file's name.
    told : str
        A pattern of what it says of its version.
    asked : str
        What makes it say that.
    """

    program: ClassVar[str]
    told: ClassVar[str]
    asked: ClassVar[str] = "--version"
    ready: ClassVar[str]

    @classmethod
    def version(cls) -> str | None:
        """Return what the server says of itself, or else its package's list of changes."""
        found = find_program(cls.program)
        return _version(found, cls.asked, cls.told) if found else None

    @classmethod
    def how_to_get(cls) -> str:
        """Return what to do where it is not there."""
        return f"squeezelab engines get {cls.name}, or name its folder in {FOLDERS}"

    def launch(self, folder: Path, *arguments: str, configuration: str = "") -> None:
        """Start the server, and wait until it is ready.

        Parameters
        ----------
        folder : path
            Where it works.
        arguments : str
            Of its command line: ``{port}`` becomes a free port, ``{configuration}`` the path of the file.
        configuration : str
            What that file holds: ``{port}`` and ``{other port}`` become free ports.
        """
        program = find_program(self.program)
        if program is None:
            raise EngineError(f"it is not installed: {self.how_to_get()}")
        file = folder / "configuration"
        for left in reversed(range(TRIES)):
            port = _processes.free_port()
            known = {"{port}": str(port), "{other port}": str(_processes.free_port()), "{configuration}": str(file)}
            file.write_text(_fill(configuration, known))
            self.server = Server([str(program), *(_fill(one, known) for one in arguments)], folder)
            self.http = Http(self.server, port)
            try:
                return self.server.await_ready(lambda: self.http.is_ready(self.ready))
            except EngineError as error:
                self.server.stop()
                if not left or "address already in use" not in str(error):
                    raise

    def stop(self) -> None:
        """Have it stop in its own way."""
        with suppress(AttributeError):
            self.http.connection.close()
        with suppress(AttributeError):
            self.server.stop()


def _fill(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(name, value)
    return text


@cache
def _version(program: Path, asked: str, told: str) -> str | None:
    found = re.search(told, told_version(program, asked))
    if found:
        return found[1]
    with suppress(OSError):  # Debian's own builds do not all know their version
        for notes in (program.parents[1] / "share/doc" / program.name).glob("changelog.Debian*.gz"):
            with gzip.open(notes, "rt", errors="replace") as file:
                if listed := re.match(r"\S+ \((?:\d+:)?([0-9.]+)", file.readline()):
                    return listed[1]
    return None
