"""What every system is: a space of settings, each of which is a text to paste, and a workshop that runs such a text."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from squeezelab.advice.layout import Column, Hour, Layout, Table
from squeezelab.dataset import VALUE_DTYPES, MetricDataset
from squeezelab.registry import is_installed
from squeezelab.results import Segment

Place = tuple[str, str]
"""Table and name of a column."""
Choices = Mapping[Place, Sequence[str]]
Order = Mapping[str, tuple[str, ...]]
"""For each table the columns that its rows are sorted by."""


@dataclass(frozen=True)
class Setting:
    """One point of a system's space.

    Attributes
    ----------
    layout : str
        Name of the layout.
    order : str
        Name of the order of its rows.
    columns : mapping of (table, column) to str
        What each column is encoded with.
    options : mapping of str to str
        What is set for all of it.
    """

    layout: str
    order: str
    columns: Mapping[Place, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("columns", "options"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def key(self) -> tuple[Any, ...]:
        """Return what tells settings apart."""
        return (self.layout, self.order, tuple(self.columns.items()), tuple(self.options.items()))


class Stored(NamedTuple):
    """What a text made of the data.

    Attributes
    ----------
    size : int
        Bytes on disk.
    parts : dict of str to int
        The same, by what takes them.
    """

    size: int
    parts: dict[str, int]


class Workshop(ABC):
    """What runs a system in a child process, in an empty folder: takes data, executes texts, sizes, reads.

    A layout's tables are taken once; each `run` starts from nothing but them.
    """

    def __init__(self) -> None:
        self.layouts: dict[str, Layout] = {}

    def take(self, layout: Layout) -> None:
        """Keep a layout and its rows, for the texts that are to come; other calls name it."""
        self.layouts[layout.name] = layout

    @abstractmethod
    def run(self, layout: str, text: str) -> Stored:
        """Execute a text as it is, put the rows of a layout in, and wait until all is as small as it gets."""

    @abstractmethod
    def read(self, layout: str) -> dict[str, pa.Table] | MetricDataset:
        """Return all rows of the tables that the last text made, or the data set that they are."""

    @abstractmethod
    def read_all(self, layout: str) -> int:
        """Read everything, and return the number of rows: what is timed."""

    @abstractmethod
    def read_hour(self, layout: str, hour: Hour) -> int:
        """Read an hour of one series, and return the number of its samples: what is timed."""

    def segments(self, layout: str) -> list[Segment]:
        """Return what the system chose by itself, where it tells."""
        return []

    def close(self) -> None:  # noqa: B027 -- most have nothing to end
        """End what runs."""

    def clock(self, method: str, *arguments: Any) -> tuple[float, Any]:
        """Call a method of this object, and return how many seconds it took as well."""
        started = time.perf_counter()
        answer = getattr(self, method)(*arguments)
        return time.perf_counter() - started, answer


class System(ABC):
    """A database or file format whose settings can be advised on.

    Attributes
    ----------
    name : str
        As in ``--for name``.
    title : str
        Name and way of writing.
    package : str or None
        The package of PyPI that it needs.
    file : str
        What the text to paste is saved as.
    options : mapping of str to tuple of str
        What can be set for all of a store; the first of each is the system's own default, ``""`` says nothing of it.
    begin : mapping of str to str
        Options that the search begins with, where those of the default would hide what columns take.
    additive : bool
        Whether the bytes of a column do not depend on the choices for the others.
    dtypes : tuple of numpy.dtype
        What readings can be; `several` says whether those of one data set can be of several.
    lossy : bool
        Whether what it loses of some data belongs to it, and keeps nothing from being advised: it is said beside it.
    part_samples : int
        About how many samples the search begins with.
    most_samples : int
        Of more than these, a part is taken for all of the data.
    """

    name: str
    title: str
    package: ClassVar[str | None] = None
    showcase: ClassVar[tuple[str, ...]] = ("",)
    file: ClassVar[str]
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    default_layout: ClassVar[str] = "narrow"
    layouts: ClassVar[tuple[str, ...]] = ("narrow", "series", "wide")
    default_order: ClassVar[str] = "series"
    begin: ClassVar[Mapping[str, str]] = {}
    additive: ClassVar[bool] = True
    dtypes: ClassVar[tuple[np.dtype[Any], ...]] = VALUE_DTYPES
    several: ClassVar[bool] = True
    lossy: ClassVar[bool] = False
    part_samples: ClassVar[int] = 60_000
    most_samples: ClassVar[int] = 5_000_000

    @classmethod
    def lacks(cls) -> str:
        """Return what to do to have it here, nothing where it is."""
        return "" if is_installed(cls.package) else f"pip install {cls.package}"

    @property
    @abstractmethod
    def workshop(self) -> type[Workshop]:
        """What runs it."""

    @property
    def note(self) -> str:
        """What to know of its default, or of what cannot be set."""
        return ""

    @abstractmethod
    def version(self) -> str:
        """Return what was found: the version of the library or server."""

    @abstractmethod
    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return what a column can be encoded with, the system's own default first."""

    @abstractmethod
    def text(self, layout: Layout, setting: Setting) -> str:
        """Return a setting as the text to paste."""

    def more(self, layout: Layout, setting: Setting) -> dict[str, str]:
        """Return further files that say the same as the text, by their names."""
        return {}

    def takes(self, dataset: MetricDataset) -> bool:
        """Whether it keeps the values of a data set as what they are; else they are given to it as doubles."""
        held = dataset.value_dtypes
        return set(held) <= set(self.dtypes) and (self.several or len(held) < 2)

    def effort(self, choice: str) -> int:
        """Return how much a choice costs: 0 as quick as can be, 1 usual, 2 more, 3 as slow as it gets."""
        return 1

    def family(self, choice: str) -> str:
        """Return what of a choice is no level and no generic compression: how it prepares a column."""
        return choice

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return the orders of rows that are tried, by name."""
        return row_orders(layout)

    def default(self, layout: Layout) -> Setting:
        """Return what somebody writes who thinks of none of this."""
        columns = {(one.table, one.name): self.choices(one, layout)[0] for one in layout.columns}
        return Setting(layout.name, self.default_order, columns, {name: some[0] for name, some in self.options.items()})

    def describe(self, layout: Layout, setting: Setting) -> str:
        """Return a setting in few words."""
        differing = [f"{name} {value}" for name, value in setting.options.items() if value]
        counts: dict[str, int] = {}
        for place, choice in setting.columns.items():
            if next(one.kind for one in layout.columns if (one.table, one.name) == place) == "value":
                counts[choice] = counts.get(choice, 0) + 1
        values = sorted(counts, key=lambda one: -counts[one])
        told = f"values {values[0] or 'as they are'}" + (f" and {len(values) - 1} more" if len(values) > 1 else "")
        if not any(setting.columns.values()):
            told = "" if differing else "nothing set"
        order = setting.order if setting.order in ("time", "labels", "as given") else "series"
        return ", ".join(filter(None, (f"{setting.layout} table", f"by {order}", told, *differing)))


def row_orders(layout: Layout) -> dict[str, Order]:
    """Return the orders that rows can have: series after series, host after host, or moment after moment."""

    def labels(table: Table) -> list[str]:
        return [one.name for one in table.of_kind("label", "id")]

    def times(table: Table) -> list[str]:
        return [one.name for one in table.of_kind("time")]

    orders: dict[str, Order] = {"series": {one.name: (*labels(one), *times(one)) for one in layout.tables}}
    orders["time"] = {one.name: (*times(one), *labels(one)) for one in layout.tables}
    if layout.name == "narrow" and len(labels(layout.tables[0])) > 1:
        metric, *others = labels(layout.tables[0])
        orders["labels"] = {layout.tables[0].name: (*others, metric, *times(layout.tables[0]))}
    return orders


def folder_bytes(folder: Path) -> dict[str, int]:
    """Return the size of each file in a folder and those below."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
