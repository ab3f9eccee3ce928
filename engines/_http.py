"""Speaking HTTP with a server on loopback: one connection, a time limit, and what is refused as one line."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlencode

from squeezelab.engines._processes import LOOPBACK, Server
from squeezelab.errors import EngineError

LIMIT = 600.0
"""Seconds that a server may be silent: a session's own limit is what usually ends a call."""


class Reply(NamedTuple):
    """A status and a body."""

    status: int
    body: bytes

    @property
    def words(self) -> str:
        """The beginning of the body as a line."""
        return " ".join(self.body[:400].decode(errors="replace").split())


class Http:
    """Requests to a server, one after another."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self.connection = HTTPConnection(LOOPBACK, port, timeout=LIMIT)

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return what a server answers: to GET, or to POST where there is a body."""
        method, target = "GET" if body is None else "POST", f"{path}?{urlencode(query)}" if query else path
        for last in (False, True):
            kept = self.connection.sock is not None
            try:
                self.connection.request(method, target, body, headers or {})
                response = self.connection.getresponse()
                return Reply(response.status, response.read())
            except (OSError, HTTPException) as error:
                self.connection.close()
                self.server.check()
                # A connection that was kept may have been closed meanwhile, for having been idle.
                if last or not kept or isinstance(error, TimeoutError):
                    raise EngineError(f"no answer to {method} {path}: {error or type(error).__name__}") from error
        raise AssertionError

    def demand(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the body of an answer; EngineError if it is a refusal."""
        reply = self.ask(path, query, body, headers)
        if reply.status >= 300:
            raise EngineError(f"{path} was answered with {reply.status}: {reply.words}")
        return reply.body

    def is_ready(self, path: str) -> bool:
        """Tell whether the server answers on a path."""
        try:
            return self.server.listens(self.port) and self.ask(path).status < 300
        except EngineError:
            self.server.check()
            return False
