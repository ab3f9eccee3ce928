"""Databases that are none: one that keeps everything in memory, and those that spoil it in one way each."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.engines import Engine
from squeezelab.errors import EngineError


class Keeping(Engine):
    """Keeps everything, at 100 bytes and 16 a sample."""

    name = "keeping"
    title = "Keeping"

    @classmethod
    def version(cls) -> str | None:
        return "1.0"

    def start(self, folder: Path, time_unit: str) -> None:
        self.kept = MetricDataset.from_series([], time_unit=time_unit)

    def ingest(self, dataset: MetricDataset) -> None:
        self.kept = dataset

    def compact(self) -> None:
        pass

    def sizes(self) -> dict[str, int]:
        columns = 8 * len(self.kept)
        return {"values": columns, "timestamps": columns, "rest": 100, "log": 10**9}

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        return self._between([one for one in self.read_all() if one.key == key], start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        return self._between([one for one in self.read_all() if one.key.metric_name == metric_name], start, stop)

    def _between(self, series: list[Series], start: int, stop: int) -> MetricDataset:
        within = [(one, (one.timestamps >= start) & (one.timestamps < stop)) for one in series]
        parts = [Series(one.key, one.timestamps[kept], one.values[kept]) for one, kept in within if kept.any()]
        return MetricDataset.from_series(parts, time_unit=self.kept.time_unit)

    def read_all(self) -> MetricDataset:
        return self.kept

    def stop(self) -> None:
        pass


class Spoiling(Keeping):
    """Gives back other values or times; which is for others to say."""

    def read_all(self) -> MetricDataset:
        return replace(
            self.kept, values=self.spoil(self.kept.values.copy()), timestamps=self.move(self.kept.timestamps)
        )

    def spoil(self, values: Any) -> Any:
        return values

    def move(self, timestamps: Any) -> Any:
        return timestamps


class Rounding(Spoiling):
    name = "rounding"

    def spoil(self, values: Any) -> Any:
        values[:7] *= 1 + 2**-40
        return values


class Shifting(Spoiling):
    name = "shifting"

    def move(self, timestamps: Any) -> Any:
        return timestamps + 2 * (np.arange(len(timestamps)) < 3)


class Tidy(Spoiling):
    """Has one NaN, one zero, and no infinity."""

    name = "tidy"

    def spoil(self, values: Any) -> Any:
        values = values + 0.0
        values[np.isnan(values)] = np.nan
        values[np.isinf(values)] = 0
        return values


class Forgetful(Keeping):
    """Loses its second series, and the first sample of all others."""

    name = "forgetful"

    def read_all(self) -> MetricDataset:
        kept = [one for i, one in enumerate(self.kept) if i != 1]
        shorter = [Series(one.key, one.timestamps[1:], one.values[1:]) for one in kept]
        return MetricDataset.from_series(shorter, time_unit=self.kept.time_unit)


class Contradicting(Keeping):
    """Gives back everything, but for an hour nothing."""

    name = "contradicting"

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        return MetricDataset.from_series([])


class Refusing(Keeping):
    name = "rejecting"

    def ingest(self, dataset: MetricDataset) -> None:
        raise EngineError("it takes\nnone of this")


class Broken(Keeping):
    name = "broken"

    def compact(self) -> None:
        raise ZeroDivisionError("no such number")


class Crashing(Keeping):
    name = "crashing"

    def compact(self) -> None:
        print("so long", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


class Hanging(Keeping):
    name = "hanging"

    def compact(self) -> None:
        time.sleep(60)


class Endless(Keeping):
    """Never gives everything."""

    name = "endless"

    def read_all(self) -> MetricDataset:
        time.sleep(60)
        return self.kept


class Tiring(Keeping):
    """Gives everything once, and never again after an hour was asked for."""

    name = "tiring"
    asked = 0

    def read_all(self) -> MetricDataset:
        self.asked += 1
        time.sleep(60 * (self.asked > 1))
        return self.kept

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        self.asked = 0
        return super().read(key, start, stop)

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        self.asked = 0
        return super().read_family(metric_name, start, stop)


class Babbling(Keeping):
    name = "babbling"

    def read_all(self) -> Any:
        return "everything"


class Deaf(Keeping):
    """Fails in queries alone."""

    name = "deaf"

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        raise EngineError("no such family")


class Tired(Keeping):
    """Can be filled once."""

    name = "tired"

    def start(self, folder: Path, time_unit: str) -> None:
        mark = Path(os.environ["TIRED"])
        if mark.exists():
            raise EngineError("not again")
        mark.touch()
        super().start(folder, time_unit)


class Absent(Keeping):
    name = "absent"
    debian = "absent"

    @classmethod
    def version(cls) -> str | None:
        return None


class Slow(Keeping):
    name = "slow"
    samples_a_second = 20.0
