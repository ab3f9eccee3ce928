"""Systems that are engines of the lab: a text says how one is set up, and the engine does the rest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from squeezelab.advice.base import Order, Stored, System, Workshop
from squeezelab.advice.layout import Column, Hour, Layout
from squeezelab.dataset import DOUBLE, MetricDataset, SeriesKey
from squeezelab.engines.base import Engine


class EngineSystem(System):
    """An engine, and the few options that it has for all of its data.

    A subclass names itself and its `engine`, and gives `options`, `text` and `workshop`.

    Attributes
    ----------
    engine : type of Engine
        What runs it.
    """

    engine: ClassVar[type[Engine]]
    dtypes: ClassVar[tuple[np.dtype[Any], ...]] = (DOUBLE,)
    layouts: ClassVar[tuple[str, ...]] = ("series",)
    default_layout = "series"
    default_order = "as given"
    most_samples = 100_000

    @classmethod
    def lacks(cls) -> str:
        """Return what to do to have it here."""
        return "" if cls.engine.version() else cls.engine.how_to_get()

    def version(self) -> str:
        """Return what the engine says of itself."""
        return f"{self.engine.title} {self.engine.version()}"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return nothing to choose from."""
        return [""]

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return one order: engines take samples as they come."""
        return {"as given": {one.name: () for one in layout.tables}}


class EngineWorkshop(Workshop):
    """Starts an engine anew for each text."""

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None
        self.runs = 0

    @abstractmethod
    def make(self, text: str) -> Engine:
        """Return an engine that starts by executing the text."""

    def run(self, layout: str, text: str) -> Stored:
        """Start an engine on an empty folder, put all samples in, and have them compacted."""
        if self.engine is not None:
            self.engine.stop()
        laid = self.layouts[layout]
        dataset = laid.restore({one.name: one.rows for one in laid.tables})
        self.runs += 1
        folder = Path(f"run{self.runs}").absolute()
        folder.mkdir()
        for above in (folder.parent, folder.parent.parent):  # both are the workplace's
            above.chmod(0o755)  # an engine that refuses root is another user
        self.engine = self.make(text)
        self.engine.start(folder, dataset.time_unit)
        self.engine.ingest(dataset)
        self.engine.compact()
        sizes = {name: size for name, size in self.engine.sizes().items() if name != "log"}
        return Stored(sum(sizes.values()), sizes)

    def read(self, layout: str) -> MetricDataset:
        """Query everything."""
        assert self.engine is not None
        return self.engine.read_all()

    def read_all(self, layout: str) -> int:
        """Query everything."""
        return len(self.read(layout))

    def read_hour(self, layout: str, hour: Hour) -> int:
        """Query an hour of one series."""
        assert self.engine is not None
        meaning = self.layouts[layout].labels
        labels = {
            str(meaning[name]): text for name, text in hour.labels if meaning[name] is not None and text is not None
        }
        metric = next(text for name, text in hour.labels if meaning[name] is None)
        return len(self.engine.read(SeriesKey(metric or "", labels), hour.start, hour.stop))

    def close(self) -> None:
        """Stop the engine."""
        if self.engine is not None:
            self.engine.stop()
