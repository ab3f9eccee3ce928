"""Finding the codecs or formats that a package's modules define, and making one from what a user types."""

from __future__ import annotations

import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Generic, TypeVar

from squeezelab.errors import InvalidRequestError


def extra_command(extra: str) -> str:
    """Return the command that installs an extra of squeezelab."""
    return f"pip install 'squeezelab[{extra}]'"


PEERS_EXTRA = extra_command("peers")


T = TypeVar("T")


class Registry(Generic[T]):
    """The classes of one kind, by name.

    Parameters
    ----------
    kind : str
        What messages call them: ``codec``, ``format`` or ``engine``.
    package : str
        Every module of this package but ``base`` is searched for classes that have a name of their own; other packages
        bring theirs by entry points in the group ``squeezelab.codecs``, ``squeezelab.formats`` or
        ``squeezelab.engines``.
    base : type
        What such a class derives from. It says its ``name``, the ``package`` that it needs, and its ``showcase``.
    extra : str
        The extra of squeezelab that brings the packages they need.
    """

    def __init__(self, kind: str, package: str, base: type[Any], *, extra: str = "peers") -> None:
        self.kind = kind
        self.package = package
        self.base = base
        self.extra = extra

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
        return dict(sorted((self._others() | found).items()))

    def _others(self) -> dict[str, type[Any]]:
        """Return the classes of other packages; one that cannot be loaded costs a warning."""
        found: dict[str, type[Any]] = {}
        for entry in entry_points(group=f"squeezelab.{self.kind}s"):
            try:
                loaded: Any = entry.load()
                if not (inspect.isclass(loaded) and issubclass(loaded, self.base)):
                    raise TypeError(f"it is no {self.base.__name__}")
                found[str(vars(loaded)["name"])] = loaded
            except Exception as error:
                warnings.warn(f"{self.kind} {entry.name!r} of {entry.value} is left out: {error}", stacklevel=2)
        return found

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
            raise InvalidRequestError(
                f"{self.kind} {name!r} needs the package {found.package}: {extra_command(self.extra)}"
            )
        made: T = found(**read_settings(self.kind, name, found, settings if colon else None))
        return made


def bare_names(specs: Iterable[str]) -> list[str]:
    """Return the different names of specifications, without settings, and without zstd after a file.

    Examples
    --------
    >>> bare_names(["xor", "xor+zstd:level=19", "delta_of_delta+xor+zstd", "parquet:level=3", "parquet"])
    ['xor', 'delta_of_delta+xor', 'parquet']
    """
    return list(dict.fromkeys(re.sub(r"\+zstd\b.*|:[^+]*", "", one) for one in specs))


def read_settings(kind: str, name: str, one: type[Any], settings: str | None) -> dict[str, Any]:
    """Return the parameters that ``key=value,key=value`` gives to a class, of the types that its signature asks for.

    Raises
    ------
    InvalidRequestError
        If there is no such parameter, a value does not fit, or one that the class needs is missing.
    """
    accepted = inspect.signature(one).parameters
    parameters: dict[str, Any] = {}
    for setting in settings.split(",") if settings is not None else ():
        key, equals, value = setting.partition("=")
        if key not in accepted or not equals:
            takes = f"give {', '.join(f'{one}=...' for one in accepted)}" if accepted else "it takes none"
            raise InvalidRequestError(f"{kind} {name!r} has no parameter {setting!r}: {takes}")
        try:
            parameters[key] = _to_parameter(value, accepted[key])
        except ValueError as error:
            raise InvalidRequestError(f"{kind} {name!r} does not take {setting!r}: {error}") from error
    plain = [one for one in accepted.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    needed = [one.name for one in plain if one.default is one.empty]
    if missing := [f"{key}=..." for key in needed if key not in parameters]:
        raise InvalidRequestError(f"{kind} {name!r} needs {', '.join(missing)}")
    return parameters


def _to_parameter(value: str, parameter: inspect.Parameter) -> Any:
    """Return a value as its parameter wants it: by annotation or default, else as a number if it is one."""
    if parameter.annotation in ("int", int):
        if not re.fullmatch("-?[0-9]{1,9}", value):
            raise ValueError("give a number")
        return int(value)
    if parameter.annotation in ("str", str) or isinstance(parameter.default, str):
        return value
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    if isinstance(parameter.default, int | float):
        raise ValueError("give a number")
    return value


_WORDS = {"true": True, "false": False, "none": None}


@cache
def is_installed(package: str | None) -> bool:
    """Return whether a package of PyPI is installed; None, for no package at all, always is."""
    try:
        return package is None or bool(version(package))
    except PackageNotFoundError:
        return False


def check_choice(owner: str, key: str, value: str, choices: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Reject a value that is not among the choices.

    Raises
    ------
    InvalidRequestError
        Which names them.
    """
    if value not in choices:
        raise InvalidRequestError(f"{owner} has no {key} {value!r}: choose from {', '.join(choices)}")


def check_range(owner: str, key: str, value: int, low: int, high: int) -> None:
    """Reject a number out of its range, both ends of which belong to it.

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
