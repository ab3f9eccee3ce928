"""Advice: what to set in the systems that keep metrics, as text to paste, proven by running that text.

A module a system, which gives its space of settings, the text of each, and a workshop that runs such a text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from squeezelab.advice.base import System
from squeezelab.dataset import MetricDataset
from squeezelab.errors import InvalidRequestError
from squeezelab.registry import Registry
from squeezelab.results import Advice

__all__ = ["BUDGET", "advise_all", "available_systems", "choose_systems", "get_system"]

LEFT_OUT = {"timescaledb": "its extension is on neither PyPI nor Debian, so that no text could be executed"}
"""Systems that people ask for and that are not advised on, with the reason."""
BUDGET = 120.0
"""Seconds for one system, if nothing else is said."""

_registry: Registry[System] = Registry("system", __name__, System)


def available_systems() -> list[str]:
    """Return the names of all systems that can be advised on here."""
    return [name for name, one in _registry.classes.items() if not one.lacks()]


def get_system(name: str) -> System:
    """Return a system by its name.

    Raises
    ------
    InvalidRequestError
        If there is none of this name, or its package is not installed.
    """
    return _registry.make(name)


def choose_systems(wanted: str | Sequence[str]) -> tuple[list[System], list[str]]:
    """Return the systems of ``"clickhouse,parquet"``, a list, or ``"all"``, and a line for each that lacks.

    ``parquet`` is all programs that write it: also ``parquet_duckdb`` and ``parquet_polars``.

    Raises
    ------
    InvalidRequestError
        If there is no system of a name, or none of those that were named can be run.
    """
    names = wanted.replace(",", " ").split() if isinstance(wanted, str) else list(wanted)
    if not names:
        raise InvalidRequestError(f"name a system with --for: {', '.join(_registry.classes)}, or all")
    missing = {name: one.lacks() for name, one in _registry.classes.items() if one.lacks()}
    if "all" in names:
        names = list(_registry.classes)
    for name in names:
        if name in LEFT_OUT:
            raise InvalidRequestError(f"{name} is not advised on: {LEFT_OUT[name]}")
        if name not in _registry.classes:
            raise InvalidRequestError(f"unknown system {name!r}: choose from {', '.join(_registry.classes)}, or all")
    names = [one for name in names for one in _registry.classes if one == name or one.startswith(f"{name}_")]
    words = [f"{name} is left out: {missing[name]}" for name in dict.fromkeys(names) if name in missing]
    chosen = [get_system(name) for name in dict.fromkeys(names) if name not in missing]
    if not chosen:
        raise InvalidRequestError("; ".join(words))
    return chosen, words


def advise_all(
    systems: Sequence[System], dataset: MetricDataset, *, objective: str = "size", budget: float = BUDGET
) -> tuple[list[Advice], list[str]]:
    """Return the advice for each system, and a line for each that failed.

    Parameters
    ----------
    systems : sequence of System
    dataset : MetricDataset
        Series without samples are left out: no table knows of them.
    objective : {"size", "read", "balanced"}
        ``size``: the smallest. ``read``: of all up to twice the smallest, the one with the least product of the times
        to read an hour of one series, and to read everything. ``balanced``: of all up to a tenth larger than the
        smallest, the one with the least product of these times and that to ingest.
    budget : float
        Seconds for each system.

    Raises
    ------
    InvalidRequestError
        If there are no samples, or no such objective.
    """
    from squeezelab.advice.proof import OBJECTIVES, advise_one
    from squeezelab.advice.worker import SystemFailedError

    if objective not in OBJECTIVES:
        raise InvalidRequestError(f"unknown objective {objective!r}: choose from {', '.join(OBJECTIVES)}")
    if not 0 < budget < float("inf"):
        raise InvalidRequestError(f"a budget of {budget:g} s is out of range: give seconds, more than 0")
    if not len(dataset):
        raise InvalidRequestError("there are no samples: nothing can be advised")
    try:
        "".join(map(str, dataset.keys)).encode()
    except UnicodeEncodeError as error:
        wrong = ascii(error.object[max(0, error.start - 10) : error.end + 10])
        raise InvalidRequestError(f"a name or label is not Unicode text: {wrong}") from error
    dataset = dataset.select(np.flatnonzero(np.diff(dataset.offsets)))
    given, failed = [], []
    for system in systems:
        try:
            given.append(advise_one(system, dataset, objective=objective, budget=budget))
        except SystemFailedError as error:
            failed.append(f"{system.name} failed: {error}")
        except Exception as error:  # one system costs the others nothing
            failed.append(f"{system.name} failed: {type(error).__name__}: {' '.join(str(error).split())}")
    return given, failed
