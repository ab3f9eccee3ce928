"""Systems that are none: their bytes and times stand in a table, so that it is known what is to be advised."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from squeezelab.advice.base import Order, Setting, Stored, System, Workshop
from squeezelab.advice.layout import Column, Hour, Layout


class Known(NamedTuple):
    size: int
    ingest: float
    hour: float
    whole: float


FIGURES = {
    "": Known(1000, 2.0, 2.0, 2.0),
    "small": Known(500, 8.0, 4.0, 4.0),
    "middling": Known(540, 1.0, 2.0, 2.0),
    "quick": Known(900, 4.0, 0.5, 0.5),
    "huge": Known(1100, 0.1, 0.1, 0.1),
}
ALIKE = {"": Known(1000, 2.0, 2.0, 2.0), "a": Known(995, 2.0, 1.9, 1.9)}
"""The second is smaller by less than a hundredth, and quicker by less than a fifth."""
LOADED = {"": Known(1000, 2.0, 9.0, 9.0), "a": Known(500, 1.0, 2.0, 2.0), "b": Known(501, 5.0, 1.0, 1.0)}
"""The last is the quickest to read, and the slowest to fill."""
RUNS = "TOY_RUNS"
"""The environment variable that names a file to which each run adds a line."""


class Toy(System):
    name = "toy"
    title = "Toy"
    file = "toy.txt"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"pace": tuple(FIGURES)}
    layouts: ClassVar[tuple[str, ...]] = ("series",)
    default_layout = "series"
    default_order = "as given"

    @property
    def workshop(self) -> type[Workshop]:
        return ToyWorkshop

    def version(self) -> str:
        return "Toy 1"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        return [""]

    def orders(self, layout: Layout) -> dict[str, Order]:
        return {"as given": {one.name: () for one in layout.tables}}

    def text(self, layout: Layout, setting: Setting) -> str:
        return setting.options["pace"]


class ToyWorkshop(Workshop):
    """Keeps rows, and says of its times what the table says."""

    figures: ClassVar[Mapping[str, Known]] = FIGURES

    def run(self, layout: str, text: str) -> Stored:
        self.ran = text
        if RUNS in os.environ:
            with Path(os.environ[RUNS]).open("a") as file:
                file.write(f"{text}\n")
        return Stored(self.figures[text].size, {})

    def read(self, layout: str) -> dict[str, pa.Table]:
        return {one.name: one.rows for one in self.layouts[layout].tables}

    def read_all(self, layout: str) -> int:
        return 1

    def read_hour(self, layout: str, hour: Hour) -> int:
        return 1

    def clock(self, method: str, *arguments: Any) -> tuple[float, Any]:
        answer = getattr(self, method)(*arguments)
        known = self.figures[self.ran]
        return {"run": known.ingest, "read_hour": known.hour, "read_all": known.whole}[method] / 1000, answer


class AlikeWorkshop(ToyWorkshop):
    figures = ALIKE


class Alike(Toy):
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"pace": tuple(ALIKE)}

    @property
    def workshop(self) -> type[Workshop]:
        return AlikeWorkshop


class LoadedWorkshop(ToyWorkshop):
    figures = LOADED


class Loaded(Toy):
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"pace": tuple(LOADED)}

    @property
    def workshop(self) -> type[Workshop]:
        return LoadedWorkshop


class Slow(Toy):
    """Takes its time for each of many settings."""

    name = "slow"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"pace": tuple(FIGURES), "other": tuple(map(str, range(100)))}

    @property
    def workshop(self) -> type[Workshop]:
        return SlowWorkshop


class SlowWorkshop(ToyWorkshop):
    def run(self, layout: str, text: str) -> Stored:
        time.sleep(0.25)
        return super().run(layout, text)

    def clock(self, method: str, *arguments: Any) -> tuple[float, Any]:
        return Workshop.clock(self, method, *arguments)


class Scaled(Toy):
    """Its wide table has much that does not grow with samples, and takes less for each; so has its option."""

    layouts: ClassVar[tuple[str, ...]] = ("narrow", "wide")
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"packed": ("", "yes")}
    default_layout = "narrow"
    part_samples = 5_000

    @property
    def workshop(self) -> type[Workshop]:
        return ScaledWorkshop

    def text(self, layout: Layout, setting: Setting) -> str:
        return f"{setting.layout} {setting.options['packed']}"


class ScaledWorkshop(ToyWorkshop):
    def run(self, layout: str, text: str) -> Stored:
        samples = sum(len(one.rows) for one in self.layouts["narrow"].tables)
        packed = (30_000 - 2.5 * samples) if text.endswith("yes") else 0
        return Stored(int(10 * samples if layout == "narrow" else 20_000 + 9.7 * samples + packed), {})

    def clock(self, method: str, *arguments: Any) -> tuple[float, Any]:
        return 0.001, getattr(self, method)(*arguments)
