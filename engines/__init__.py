"""Engines: real databases, run as their users run them, one module an engine."""

from __future__ import annotations

from functools import cache

from squeezelab.engines.base import PARTS, Engine
from squeezelab.engines.session import Session
from squeezelab.registry import Registry

__all__ = [
    "PARTS",
    "Engine",
    "Session",
    "available_engines",
    "engine_classes",
    "get_engine",
    "missing_engines",
    "showcase_engines",
]


@cache
def _registry() -> Registry[Engine]:
    return Registry("engine", __name__, Engine, extra="engines")


def engine_classes() -> dict[str, type[Engine]]:
    """Return the classes of all engines by name, also of those that are not installed.

    Examples
    --------
    >>> "sqlite" in engine_classes()
    True
    """
    return dict(_registry().classes)


def available_engines() -> list[str]:
    """Return the names of all engines that run here, sorted.

    Examples
    --------
    >>> "sqlite" in available_engines()
    True
    """
    return [name for name, one in engine_classes().items() if one.version() is not None]


def missing_engines() -> dict[str, str]:
    """Return the names of the engines that do not run here, with what to do about each.

    Examples
    --------
    >>> set(missing_engines()).isdisjoint(available_engines())
    True
    """
    return {name: one.how_to_get() for name, one in engine_classes().items() if one.version() is None}


def showcase_engines() -> list[str]:
    """Return what ``--engines all`` runs: every engine that runs here, at each of its showcase settings.

    Examples
    --------
    >>> "sqlite" in showcase_engines()
    True
    """
    return [
        f"{name}:{settings}" if settings else name
        for name in available_engines()
        for settings in engine_classes()[name].showcase
    ]


def get_engine(spec: str) -> Engine:
    """Return the engine that a specification names; nothing is started.

    Parameters
    ----------
    spec : str
        A name; settings after a colon, ``name:key=value,key=value``.

    Raises
    ------
    InvalidRequestError
        If a name or setting is unknown, a value does not fit, or an engine's package is not installed.

    Examples
    --------
    >>> get_engine("sqlite").name
    'sqlite'
    """
    return _registry().make(spec)
