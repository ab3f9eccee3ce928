"""The process that an engine works in: it calls the engine's methods as the lab asks, and dies with the lab."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from squeezelab.engines._processes import descendants, die_with_parent
from squeezelab.errors import EngineError


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


def serve(connection: Connection) -> None:
    """Call an engine's methods as they are asked for, until nobody asks any more."""
    sys.path[:] = connection.recv()
    engine, meter = connection.recv(), _Meter()
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            engine.stop()
            return
        try:
            if method == "start":
                engine.prepare()
                meter.reset()
            begin = time.perf_counter()
            value = getattr(meter if method == "memory_mb" else engine, method)(*arguments)
            answer = ("", value, time.perf_counter() - begin)
        except Exception as error:
            words = " ".join(str(error).split())
            known = isinstance(error, EngineError)
            answer = (words[:600] if known else f"{type(error).__name__}: {words[:600]}", None, 0.0)
        connection.send(answer)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))
