"""How long each stage of a run took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter


class Stopwatch:
    """Seconds that each stage of a run took, in order."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self.stages: dict[str, float] = {}
        self._begin = perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        begin = perf_counter()
        yield
        self.stages[name] = self.stages.get(name, 0.0) + perf_counter() - begin

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return perf_counter() - self._begin
