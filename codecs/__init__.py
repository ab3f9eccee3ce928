"""Codecs: one column of numbers to bytes and back, one module a codec.

A codec is named as on the command line: ``xor``, ``zstd:level=10``, ``delta_of_delta+zstd:level=19``.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from functools import cache
from importlib import import_module
from typing import Any

from numcodecs.registry import register_codec

from squeezelab.codecs._frame import split_frames
from squeezelab.codecs.base import ByteCodec, Chain, ColumnCodec
from squeezelab.errors import CorruptDataError, InvalidRequestError

__all__ = [
    "ByteCodec",
    "Chain",
    "ColumnCodec",
    "CorruptDataError",
    "available_codecs",
    "codec_spec",
    "get_codec",
    "split_frames",
]


MOST_STAGES = 8


@cache
def _registry() -> dict[str, type[ColumnCodec]]:
    """Find every codec class that the modules of this package define."""
    classes = {}
    for module in pkgutil.iter_modules(__path__):
        for member in vars(import_module(f"{__name__}.{module.name}")).values():
            if inspect.isclass(member) and issubclass(member, ColumnCodec) and "name" in vars(member):
                classes[member.name] = member
    for codec in classes.values():
        register_codec(codec)
    del classes[Chain.name]
    return dict(sorted(classes.items()))


def available_codecs() -> list[str]:
    """Return the names of all codecs, sorted.

    Examples
    --------
    >>> "delta_of_delta" in available_codecs()
    True
    """
    return list(_registry())


def get_codec(spec: str) -> ColumnCodec:
    """Return the codec that a specification names.

    Parameters
    ----------
    spec : str
        A name; parameters behind a colon, ``name:key=value,key=value``; byte codecs that follow it behind a plus sign.

    Raises
    ------
    InvalidRequestError
        If a name or parameter is unknown, or a value does not fit.

    Examples
    --------
    >>> get_codec("zstd:level=10").get_config()
    {'id': 'squeezelab.zstd', 'level': 10}
    """
    stages = [_one_codec(part) for part in spec.split("+", MOST_STAGES)]
    return stages[0] if len(stages) == 1 else Chain(stages)


def _one_codec(spec: str) -> ColumnCodec:
    name, _, settings = spec.strip().partition(":")
    if name not in _registry():
        raise InvalidRequestError(f"unknown codec {name!r}: choose from {', '.join(available_codecs())}")
    codec: ColumnCodec = with_settings("codec", _registry()[name], settings)
    return codec


def with_settings(kind: str, cls: Any, settings: str) -> Any:
    """Return an instance of a codec or format with parameters as they stand behind the colon of a specification.

    Parameters
    ----------
    kind : str
        What it is called in error messages.
    cls : class
        Has a ``name``; the parameters it takes are annotated as int or str.
    settings : str
        ``key=value,key=value``, or nothing.

    Raises
    ------
    InvalidRequestError
        If a parameter is unknown, or a value does not fit.
    """
    accepted = inspect.signature(cls).parameters
    parameters: dict[str, Any] = {}
    for setting in settings.split(",") if settings else ():
        key, equals, _ = setting.partition("=")
        if key not in accepted or not equals:
            takes = f"give {', '.join(f'{one}=...' for one in accepted)}" if accepted else "it takes none"
            raise InvalidRequestError(f"{kind} {cls.name!r} has no parameter {setting!r}: {takes}")
        parameters[key] = _to_parameter(f"{kind} {cls.name!r}", setting, accepted[key].annotation)
    return cls(**parameters)


def _to_parameter(what: str, setting: str, annotation: str) -> int | str:
    """Return the value of ``key=value`` as its annotation wants it."""
    value = setting.partition("=")[2]
    if annotation != "int":
        return value
    if not re.fullmatch("-?[0-9]{1,9}", value):
        raise InvalidRequestError(f"{what} does not take {setting!r}: give a number")
    return int(value)


def codec_spec(codec: ColumnCodec) -> str:
    """Return the shortest specification that `get_codec` makes this codec from.

    Examples
    --------
    >>> codec_spec(get_codec("xor+zstd:level=3"))
    'xor+zstd'
    """
    if isinstance(codec, Chain):
        return "+".join(codec_spec(stage) for stage in codec.stages)
    defaults = inspect.signature(type(codec)).parameters
    changed = [
        f"{key}={value}"
        for key, value in codec.get_config().items()
        if key in defaults and value != defaults[key].default
    ]
    return codec.name + (":" + ",".join(changed) if changed else "")
