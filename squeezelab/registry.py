"""Finding the codecs or formats that a package's modules define, and making one from what a user types."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Generic, TypeVar

from squeezelab.errors import InvalidRequestError

PEERS_EXTRA = "pip install 'squeezelab[peers]'"


T = TypeVar("T")


class Registry(Generic[T]):
    """The classes of one kind, by name.

    Parameters
    ----------
    kind : str
        What messages call them: ``codec`` or ``format``.
    package : str
        Every module of this package but ``base`` is searched for classes that have a name of their own.
    base : type
        What such a class derives from. It says its ``name``, the ``package`` that it needs, and its ``showcase``.
    """

    def __init__(self, kind: str, package: str, base: type[Any]) -> None:
        self.kind = kind
        self.package = package
        self.base = base

    @cached_property
    def classes(self) -> Mapping[str, type[Any]]:
        """All classes by name, sorted; also those whose package is not installed."""
        found: dict[str, Any] = {}
        for module in pkgutil.iter_modules(import_module(self.package).__path__):
            if module.name == "base":  # what all are made of
                continue
            for member in vars(import_module(f"{self.package}.{module.name}")).values():
                if inspect.isclass(member) and issubclass(member, self.base) and "name" in vars(member):
                    found[vars(member)["name"]] = member
        return dict(sorted(found.items()))

    def available(self) -> list[str]:
        """Return the names of all that run here, sorted."""
        return [name for name, one in self.classes.items() if is_installed(one.package)]

    def missing(self) -> dict[str, str]:
        """Return the names of all that do not run here, with the package that each lacks."""
        return {
            name: one.package for name, one in self.classes.items() if one.package and not is_installed(one.package)
        }

    def showcase(self) -> list[str]:
        """Return what a default run shows: all that run here, at each of their `showcase` settings."""
        return [
            f"{name}:{settings}" if settings else name
            for name in self.available()
            for settings in self.classes[name].showcase
        ]

    def make(self, spec: str) -> T:
        """Return what ``name`` or ``name:key=value,key=value`` stands for.

        Raises
        ------
        InvalidRequestError
            If the name or a parameter is unknown, a value does not fit, or the package is not installed.
        """
        name, colon, settings = spec.strip().partition(":")
        if name not in self.classes:
            raise InvalidRequestError(f"unknown {self.kind} {name!r}: choose from {', '.join(self.available())}")
        found = self.classes[name]
        if found.package and not is_installed(found.package):
            raise InvalidRequestError(f"{self.kind} {name!r} needs the package {found.package}: {PEERS_EXTRA}")
        accepted = inspect.signature(found).parameters
        parameters: dict[str, Any] = {}
        for setting in settings.split(",") if colon else ():
            key, equals, _ = setting.partition("=")
            if key not in accepted or not equals:
                takes = f"give {', '.join(f'{one}=...' for one in accepted)}" if accepted else "it takes none"
                raise InvalidRequestError(f"{self.kind} {name!r} has no parameter {setting!r}: {takes}")
            parameters[key] = self._to_parameter(name, setting, accepted[key].annotation)
        made: T = found(**parameters)
        return made

    def _to_parameter(self, name: str, setting: str, annotation: Any) -> int | str:
        """Return the value of ``key=value`` as its annotation, a text or the type itself, wants it."""
        value = setting.partition("=")[2]
        if annotation not in ("int", int):
            return value
        if not re.fullmatch("-?[0-9]{1,9}", value):
            raise InvalidRequestError(f"{self.kind} {name!r} does not take {setting!r}: give a number")
        return int(value)


@cache
def is_installed(package: str | None) -> bool:
    """Return whether a package of PyPI is installed; None, for no package at all, always is."""
    try:
        return package is None or bool(version(package))
    except PackageNotFoundError:
        return False


def check_choice(owner: str, key: str, value: str, choices: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices.

    Raises
    ------
    InvalidRequestError
        Which names them.
    """
    if value not in choices:
        raise InvalidRequestError(f"{owner} has no {key} {value!r}: choose from {', '.join(choices)}")


def check_range(owner: str, key: str, value: int, low: int, high: int) -> None:
    """Refuse a number out of its range, both ends of which belong to it.

    Raises
    ------
    InvalidRequestError
        Which names the range.
    """
    if not low <= value <= high:
        raise InvalidRequestError(f"{owner} has no {key} {value}: choose from {low} to {high}")


def non_default_settings(kind: type[Any], config: Mapping[str, Any]) -> str:
    """Return ``:key=value,...`` for what differs from the defaults of a class, nothing where nothing does."""
    defaults = inspect.signature(kind).parameters
    changed = [f"{key}={value}" for key, value in config.items() if key in defaults and value != defaults[key].default]
    return ":" + ",".join(changed) if changed else ""
