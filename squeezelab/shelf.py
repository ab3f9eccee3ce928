"""What there is to choose from: codecs and formats with all that they accept."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from squeezelab.codecs import ByteCodec, available_codecs, get_codec, missing_codecs
from squeezelab.codecs.foreign import known_codecs
from squeezelab.formats import available_formats, get_format, missing_formats
from squeezelab.registry import PEERS_EXTRA

_PARAMETER = re.compile(r"^(\w+(?:, \w+)*) : (.+)\n((?:    .*\n?|\n)+)", re.MULTILINE)


def split_specs(specs: str | Sequence[str]) -> list[str]:
    """Return the specifications that a text names, parted by blanks or commas.

    A comma before ``key=`` does not part: it stands between the parameters of one codec.

    Examples
    --------
    >>> split_specs("xor,zstd:level=19 delta_of_delta:widths=gorilla,other=1,raw")
    ['xor', 'zstd:level=19', 'delta_of_delta:widths=gorilla,other=1', 'raw']
    """
    if not isinstance(specs, str):
        return list(specs) if isinstance(specs, Iterable) else [specs]
    return [spec for spec in re.split(r"\s+|,(?!\w+=)", specs) if spec]


def describe_codecs() -> Iterator[str]:
    """Yield lines that say of every codec what it takes and what it is.

    Examples
    --------
    >>> [line for line in describe_codecs() if line.startswith("xor")]
    ["xor (float64 values): Gorilla's value compression for any float64 column."]
    """
    yield ""
    byte_codecs = ", ".join(name for name in available_codecs() if isinstance(get_codec(name), ByteCodec))
    yield f"Codecs, as name:key=value,...; these may also follow another one, as in xor+zstd: {byte_codecs}"
    for name in available_codecs():
        codec = get_codec(name)
        subjects = {"int64": "int64 timestamps", "float64": "float64 values"}
        takes = ", ".join(subjects.get(str(dtype), str(dtype)) for dtype in codec.dtypes)
        yield from _describe(f"{name} ({takes})", type(codec))
    yield from _describe_missing(missing_codecs())
    yield f"Of other packages, with their own parameters: {', '.join(known_codecs())}"


def describe_formats() -> Iterator[str]:
    """Yield lines that say of every format what it is, and which values it takes where these are not doubles alone."""
    yield ""
    yield "Formats; +zstd or +zstd:level=... after one compresses the whole file"
    for name in available_formats():
        if not name.endswith("+zstd"):
            file = get_format(name)
            takes = f" (values of {', '.join(map(str, file.dtypes))})" if len(file.dtypes) > 1 else ""
            yield from _describe(f"{name}{takes}", type(file))
    yield from _describe_missing(missing_formats())


def _describe_missing(missing: Mapping[str, str]) -> Iterator[str]:
    """Yield what each lacks that does not run here."""
    for name, package in missing.items():
        yield f"{name}: not installed; it needs the package {package}: {PEERS_EXTRA}"


def summary_line(kind: type[Any]) -> str:
    """Return what a class says of itself first.

    Examples
    --------
    >>> summary_line(type(get_codec("xor")))
    "Gorilla's value compression for any float64 column."
    """
    return _one_line(inspect.cleandoc(kind.__doc__ or "").partition(chr(10) * 2)[0])


def _describe(title: str, kind: type[Any]) -> Iterator[str]:
    """Yield what a class is, and each parameter with its default and what the class says of it."""
    text = inspect.cleandoc(kind.__doc__ or "")
    yield f"{title}: {summary_line(kind)}"
    told: dict[str, str] = {}
    for names, _, words in _PARAMETER.findall(text + "\n"):
        told |= dict.fromkeys(names.split(", "), _one_line(words))
    for parameter in inspect.signature(kind).parameters.values():
        default = "" if parameter.default is parameter.empty else f"={parameter.default}"
        yield f"  {parameter.name}{default}: {told.get(parameter.name, 'see its documentation')}"


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "").split())
