"""Formats: a whole data set to the bytes of one file and back, one module a format."""

from __future__ import annotations

from functools import cache
from typing import cast

from squeezelab.codecs import get_codec
from squeezelab.formats.base import Format, Loss
from squeezelab.registry import Registry

__all__ = ["Format", "Loss", "available_formats", "get_format", "missing_formats", "showcase_formats"]


@cache
def _registry() -> Registry[Format]:
    return Registry("format", __name__, Format)


def available_formats() -> list[str]:
    """Return the names of all formats that run here; after those that do not compress by themselves, with zstd.

    Examples
    --------
    >>> [name for name in available_formats() if name.startswith("columnar")]
    ['columnar', 'columnar+zstd']
    """
    return _with_zstd(_registry().available())


def missing_formats() -> dict[str, str]:
    """Return the names of the formats that do not run here, with the package that each lacks.

    Examples
    --------
    >>> set(missing_formats()).isdisjoint(available_formats())
    True
    """
    return _registry().missing()


def showcase_formats() -> list[str]:
    """Return all formats that run here, at the setting their authors recommend and at their strongest.

    Examples
    --------
    >>> {"columnar", "columnar+zstd", "parquet"} <= set(showcase_formats())
    True
    """
    return _with_zstd(_registry().showcase())


def _with_zstd(specs: list[str]) -> list[str]:
    """Put ``+zstd`` after each format that does not compress by itself, after the bare format."""
    classes = _registry().classes
    return [
        spec + suffix
        for spec in specs
        for suffix in (("", "+zstd") if classes[spec.partition(":")[0]].compressible else ("",))
    ]


def get_format(spec: str) -> Format:
    """Return the format that a specification names.

    Parameters
    ----------
    spec : str
        A name; parameters after a colon, ``name:key=value,key=value``; ``+zstd`` or ``+zstd:level=19`` after it
        compresses the whole file.

    Raises
    ------
    InvalidRequestError
        If a name or parameter is unknown, a value does not fit, or a format's package is not installed.

    Examples
    --------
    >>> get_format("delta_of_delta+xor+zstd").name
    'delta_of_delta+xor+zstd'
    >>> get_format("downsampled:step=1h+zstd").inner.step
    '1h'
    """
    from squeezelab.codecs.zstd import Zstd
    from squeezelab.formats.compressed import Compressed

    inner, plus, last = spec.rpartition("+")
    if not plus or last.partition(":")[0] != Zstd.name:
        return _registry().make(spec)
    return Compressed(_registry().make(inner), cast(Zstd, get_codec(last)))
