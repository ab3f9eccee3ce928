"""A database that is none: it keeps what it is given in memory, and fails in every way that it is asked to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from squeezelab import MetricDataset, SeriesKey
from squeezelab.engines import Engine
from squeezelab.errors import EngineError


class Toy(Engine):
    """Does as it is told: ``fails`` in ingest by rejecting, raising, dying or never coming back."""

    name = "toy"
    title = "Toy"

    def __init__(self, fails: str = "", server: str = "false") -> None:
        self.fails, self.server = fails, server

    @classmethod
    def version(cls) -> str:
        return "1"

    def start(self, folder: Path, time_unit: str) -> None:
        self.folder, self.kept = folder, MetricDataset.from_series([], time_unit=time_unit)
        if self.server == "true":  # in a session of its own, as servers are that make daemons of themselves
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            server = subprocess.Popen(command, start_new_session=True)
            (folder / "server.pid").write_text(f"{server.pid}\n{os.getpid()}")

    def ingest(self, dataset: MetricDataset) -> None:
        if self.fails == "rejects":
            raise EngineError("it takes\nno data")
        if self.fails == "raises":
            raise ValueError("a fault of its own")
        if self.fails == "dies":
            print("last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.fails == "hangs":
            time.sleep(600)
        (self.folder / "samples").write_bytes(dataset.values.tobytes())
        self.kept = dataset

    def compact(self) -> None:
        pass

    def sizes(self) -> dict[str, int]:
        return {"values": (self.folder / "samples").stat().st_size}

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        return self.kept.select([i for i, one in enumerate(self.kept.keys) if one == key])

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        return self.kept.select([i for i, one in enumerate(self.kept.keys) if one.metric_name == metric_name])

    def read_all(self) -> MetricDataset:
        return self.kept

    def stop(self) -> None:
        if self.fails == "does not stop":
            time.sleep(600)
