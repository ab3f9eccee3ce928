"""The process that an engine works in: it calls the engine's methods as the lab asks, and dies with the lab."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from squeezelab.engines._child import connect, serve
from squeezelab.engines._processes import descendants


class _Meter:
    """The peak memory of the engine's servers, or of this process where the engine is a library in it."""

    def __init__(self) -> None:
        self.before: float | None = None

    def reset(self) -> None:
        """Count from here on."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self.before = _memory(os.getpid())["VmHWM"]
        except (OSError, KeyError):
            self.before = None

    def memory_mb(self) -> float | None:
        """Return the peak: what several processes share counts once."""
        if self.before is None:
            return None
        found = []
        for process in descendants(os.getpid()):
            with suppress(OSError):
                found.append(_memory(process))
        if not found:
            return max(0.0, _memory(os.getpid())["VmHWM"] - self.before) / 1e6
        shared = ("RssFile", "RssShmem")
        own = sum(one["VmHWM"] - sum(one[name] for name in shared) for one in found)
        return (own + sum(max(one[name] for one in found) for name in shared)) / 1e6


def _memory(process: int) -> dict[str, float]:
    """Return what the kernel says of a process's memory, in bytes."""
    lines = [line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines()]
    return {words[0][:-1]: 1024.0 * int(words[1]) for words in lines if words and words[-1] == "kB"}


def work(connection: Connection) -> None:
    """Call an engine's methods as they are asked for, and stop it when nobody asks any more."""
    engine, meter = connection.recv(), _Meter()

    def call(method: str, arguments: Sequence[Any]) -> Any:
        if method == "start":
            engine.prepare()
            meter.reset()
        return getattr(meter if method == "memory_mb" else engine, method)(*arguments)

    serve(connection, call)
    engine.stop()


if __name__ == "__main__":
    work(connect())
