"""Codecs: one column of numbers to bytes and back, one module a codec.

A codec is named as on the command line: ``xor``, ``zstd:level=10``, ``delta_of_delta+zstd:level=19``, and of other
packages ``numcodecs.blosc:cname=zstd``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from numcodecs.registry import register_codec

from squeezelab.codecs._frame import split_frames
from squeezelab.codecs.base import ByteCodec, Chain, ColumnCodec
from squeezelab.codecs.foreign import Foreign, find_foreign, is_codec
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.registry import Registry, non_default_settings

__all__ = [
    "ByteCodec",
    "Chain",
    "ColumnCodec",
    "CorruptDataError",
    "Foreign",
    "available_codecs",
    "codec_spec",
    "get_codec",
    "missing_codecs",
    "showcase_codecs",
    "split_frames",
]


MOST_STAGES = 8


@cache
def _registry() -> Registry[ColumnCodec]:
    """Find all codecs, and make them known to numcodecs."""
    registry = Registry[ColumnCodec]("codec", __name__, ColumnCodec)
    for codec in (*registry.classes.values(), Chain, Foreign):
        register_codec(codec)
    return registry


def available_codecs() -> list[str]:
    """Return the names of all codecs that run here, sorted.

    Examples
    --------
    >>> "delta_of_delta" in available_codecs()
    True
    """
    return _registry().available()


def missing_codecs() -> dict[str, str]:
    """Return the names of the codecs that do not run here, with the package that each lacks.

    Examples
    --------
    >>> set(missing_codecs()).isdisjoint(available_codecs())
    True
    """
    return _registry().missing()


def showcase_codecs() -> list[str]:
    """Return all codecs that run here, at the setting their authors recommend and at their strongest.

    Examples
    --------
    >>> {"pcodec", "pcodec:level=12"} <= set(showcase_codecs())
    True
    """
    return _registry().showcase()


def get_codec(spec: Any) -> ColumnCodec:
    """Return the codec that a specification names, or wrap one of another package.

    Parameters
    ----------
    spec : str, numcodecs.abc.Codec or mapping
        A name; parameters after a colon, ``name:key=value,key=value``; byte codecs that follow it after a plus sign.
        ``numcodecs.blosc:cname=zstd`` and the ids that other packages register are numcodecs' own. Or a codec, any
        object with its two verbs, or a configuration as numcodecs keeps it.

    Raises
    ------
    InvalidRequestError
        If a name or parameter is unknown, a value does not fit, or a codec's package is not installed.

    Examples
    --------
    >>> get_codec("zstd:level=10").get_config()
    {'id': 'squeezelab.zstd', 'level': 10}
    >>> import numcodecs
    >>> get_codec(numcodecs.Blosc(cname="zstd")).name
    'numcodecs.blosc'
    """
    if isinstance(spec, ColumnCodec):
        return spec
    if isinstance(spec, Mapping) or (is_codec(spec) and not isinstance(spec, str)):
        codec = Foreign(spec)
        return codec.codec if isinstance(codec.codec, ColumnCodec) else codec
    if not isinstance(spec, str):
        raise InvalidRequestError(f"a codec is named, or an object with encode and decode, not {type(spec).__name__}")
    stages = [_make(part) for part in spec.split("+", MOST_STAGES)]
    return stages[0] if len(stages) == 1 else Chain(stages)


def _make(spec: str) -> ColumnCodec:
    """Return one of the lab's own, else one that numcodecs knows."""
    registry = _registry()
    if spec.strip().partition(":")[0] in registry.classes:
        return registry.make(spec)
    return find_foreign(spec) or registry.make(spec)


def codec_spec(codec: ColumnCodec) -> str:
    """Return the shortest specification that `get_codec` makes this codec from.

    Examples
    --------
    >>> codec_spec(get_codec("xor+zstd:level=3"))
    'xor+zstd'
    """
    if isinstance(codec, Chain):
        return "+".join(codec_spec(stage) for stage in codec.stages)
    if isinstance(codec, Foreign):
        return codec.spec
    return codec.name + non_default_settings(type(codec), codec.get_config())
