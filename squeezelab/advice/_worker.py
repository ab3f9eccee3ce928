"""The process that a system works in: it calls the system's methods as the lab asks, and dies with the lab."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from squeezelab.engines._child import connect, serve


def work(connection: Connection) -> None:
    """Make the system that the first call names, and call its methods until nobody asks any more."""
    made: list[Any] = []

    def call(method: str, arguments: Sequence[Any]) -> Any:
        if made:
            return getattr(made[0], method)(*arguments)
        module, name = arguments
        made.append(getattr(import_module(module), name)())
        return None

    serve(connection, call)
    with suppress(Exception):
        made[0].close()
    # Databases that run in threads of this process may not let it end by itself.
    os._exit(0)


if __name__ == "__main__":
    work(connect())
