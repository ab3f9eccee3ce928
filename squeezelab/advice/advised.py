"""Advice as notebooks and the command line have it: shows itself, and writes its files."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from squeezelab.advice import BUDGET, advise_all, get_system
from squeezelab.advice.base import System
from squeezelab.advice.worker import SystemFailedError
from squeezelab.dataset import MetricDataset
from squeezelab.report.advice import advice_markdown, advice_tables
from squeezelab.results import Advice, CostBasis, Results
from squeezelab.store.files import replaceable

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Advised:
    """What is advised for one system.

    Attributes
    ----------
    advice : Advice
        All of it.
    """

    advice: Advice

    @property
    def statement(self) -> str:
        """The text to paste: it was executed as it is."""
        return next(iter(self.advice.statements.values()))

    @property
    def savings(self) -> float | None:
        """Share of the default's bytes that the advised setting saves; None where there is no default."""
        default, advised = self.advice.get("default"), self.advice.get("advised")
        return None if default is None or advised is None else 1 - advised.encoded_bytes / default.encoded_bytes

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame, a row a proven setting."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.advice.settings])

    def __str__(self) -> str:
        return advice_markdown([self.advice], self.advice.title, [], None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = "".join(table.to_html() for table in advice_tables([self.advice]))
        return f"<pre>{escape(self.statement)}</pre>{tables}"


def advise(
    dataset: MetricDataset, system: str = "clickhouse", *, objective: str = "size", budget: float = BUDGET
) -> Advised:
    """Find out what to set in a system for a data set, and prove it by running the text that is advised.

    Parameters
    ----------
    dataset : MetricDataset
    system : str
        One of ``squeezelab.advice.available_systems()``.
    objective : {"size", "read", "balanced"}
        As `squeezelab.advice.advise_all` says.
    budget : float
        Seconds.

    Returns
    -------
    Advised

    Raises
    ------
    InvalidRequestError
        If there is no such system or objective, or no samples.
    SystemFailedError
        If the system could not be run.
    """
    given, failed = advise_all([get_system(system)], dataset, objective=objective, budget=budget)
    if not given:
        raise SystemFailedError(failed[0])
    return Advised(given[0])


def with_advice(
    results: Results, dataset: MetricDataset, systems: Sequence[System], words: Sequence[str] = ()
) -> Results:
    """Return the results of a run with advice for some systems, each at its usual budget; one that fails is a note.

    Parameters
    ----------
    results : Results
    dataset : MetricDataset
        What they are of.
    systems, words
        What `squeezelab.advice.choose_systems` returns.
    """
    given, failed = advise_all(systems, dataset)
    for word in (*words, *failed):
        logger.info(word)
    notes = [*results.run.notes, *words, *failed]
    return replace(results, run=replace(results.run, notes=notes), advice=given)


@dataclass(frozen=True)
class AdviceReport:
    """Advice for several systems, with what else is to be said, as files of one folder."""

    name: str
    advice: Sequence[Advice]
    words: Sequence[str] = ()
    cost: CostBasis | None = None
    provenance: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Results) -> AdviceReport:
        """Return the advice that stands in the results of a run."""
        facts = results.dataset
        return cls(facts.size, results.advice, results.run.notes, results.cost, facts.provenance)

    def write(self, folder: Path) -> list[Path]:
        """Write advice.md, advice.json and the texts; the folder's files appear when all of them are made."""
        texts = {name: text for one in self.advice for name, text in one.statements.items()}
        content = {"schema": 1, "name": self.name, "provenance": self.provenance, "words": list(self.words)}
        content |= {"advice": [asdict(one) for one in self.advice], "cost": self.cost and asdict(self.cost)}
        texts["advice.md"] = advice_markdown(self.advice, self.name, self.words, self.cost)
        texts["advice.json"] = json.dumps(content, indent=1, allow_nan=False) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".squeezelab-", dir=folder))
        try:
            for name, text in texts.items():
                (made / name).write_text(text, encoding="utf-8")
            targets = {name: replaceable(folder / name) for name in texts}
            for name, target in targets.items():
                (made / name).replace(target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return list(targets.values())
