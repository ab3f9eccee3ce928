"""Formats: a whole data set to the bytes of one file and back, one module a format."""

from __future__ import annotations

import inspect
import pkgutil
import re
from functools import cache
from importlib import import_module

from squeezelab.codecs import with_settings
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.base import Format, Loss

__all__ = ["Format", "Loss", "available_formats", "get_format"]


@cache
def _registry() -> dict[str, type[Format]]:
    """Find every format class that the modules of this package define and name."""
    classes = {}
    for module in pkgutil.iter_modules(__path__):
        for member in vars(import_module(f"{__name__}.{module.name}")).values():
            if inspect.isclass(member) and issubclass(member, Format) and "name" in vars(member):
                classes[member.name] = member
    return classes


def available_formats() -> list[str]:
    """Return the names of all formats, each bare and with zstd behind it.

    Examples
    --------
    >>> available_formats()[:4]
    ['cbor', 'cbor+zstd', 'columnar', 'columnar+zstd']
    """
    return [name + suffix for name in sorted(_registry()) for suffix in ("", "+zstd")]


def get_format(name: str) -> Format:
    """Return the format of this name, with parameters behind a colon as codecs have them.

    ``+zstd`` or ``+zstd:level=19`` behind it compresses the whole file.

    Raises
    ------
    InvalidRequestError
        If there is no such format, or it has no such parameter.

    Examples
    --------
    >>> get_format("delta_of_delta+xor+zstd").name
    'delta_of_delta+xor+zstd'
    >>> get_format("downsampled:step=1h+zstd").inner.step
    '1h'
    """
    from squeezelab.formats.compressed import DEFAULT_LEVEL, Compressed

    found = re.fullmatch(r"([^:]*?)(?::(.*?))?(\+zstd(?::level=([0-9]{1,2}))?)?", name, re.DOTALL)
    inner, settings, zstd, level = found.groups() if found else (name, None, None, None)
    if inner not in _registry():
        raise InvalidRequestError(f"unknown format {name!r}: choose from {', '.join(available_formats())}")
    file: Format = with_settings("format", _registry()[inner], settings or "")
    return Compressed(file, int(level or DEFAULT_LEVEL)) if zstd else file
