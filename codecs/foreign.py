"""Codecs of other packages: anything that numcodecs knows or that has its two verbs, as a codec of the lab."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numcodecs.registry
import numpy as np
from numcodecs.registry import get_codec as get_numcodec

from squeezelab.codecs._frame import FLOAT64, NUMBERS, Bytes, Frame
from squeezelab.codecs.base import ByteCodec, Column, ColumnCodec, as_bytes, reading
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.registry import non_default_settings, read_settings

PREFIX = "numcodecs."
PROBE = np.concatenate(
    [np.round(20 + np.cumsum(np.random.default_rng(7).normal(size=50)), 1), np.random.default_rng(8).normal(size=50)]
)
"""Decimals and full doubles."""


class Foreign(ByteCodec):
    """A codec of another package, in the lab's frame: by the same proofs, sizes and timings as ours.

    Parameters
    ----------
    codec : numcodecs.abc.Codec, mapping, or any object with ``encode(array)`` and ``decode(bytes)``
        What is wrapped, or its configuration as numcodecs keeps it.
    settings : str, optional
        How its parameters were typed; told from its configuration if not given.

    Attributes
    ----------
    spec : str
        What `get_codec` makes it from, if numcodecs knows it.

    Notes
    -----
    The payload is what the codec made. Which dtypes it takes, whether it loses bits, whether it fills ``out=`` and
    whether it squeezes any bytes, and so may follow other codecs in a chain, is found by trying it.

    Examples
    --------
    >>> import numcodecs
    >>> codec = Foreign(numcodecs.Blosc(cname="zstd", shuffle=2))
    >>> codec.name, codec.kind, codec.lossy
    ('numcodecs.blosc', 'general', False)
    >>> codec.decode(codec.encode(np.array([0.5, -0.0])))
    array([ 0.5, -0. ])
    """

    codec_id = "squeezelab.foreign"
    # What others make of constant columns is not known: as much as the most that ours do.
    max_expansion = 2**26

    def __init__(self, codec: Any, settings: str | None = None) -> None:
        self.codec = get_numcodec(dict(codec)) if isinstance(codec, Mapping) else codec
        self.package = type(self.codec).__module__.partition(".")[0]
        found = str(getattr(self.codec, "codec_id", None) or type(self.codec).__name__.lower())
        self.name = PREFIX + found if self.package == "numcodecs" else found  # type: ignore[misc]
        config = self.codec.get_config() if hasattr(self.codec, "get_config") and settings is None else {}
        simple = {key: value for key, value in config.items() if isinstance(value, int | float | str | None)}
        self.spec = self.name + (settings or non_default_settings(type(self.codec), simple))
        self._fills_out = True
        self._probe()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.codec!r})"

    def _probe(self) -> None:
        """Find out what the codec takes and loses."""
        taken, reason = {}, ""
        for dtype in NUMBERS:
            column = PROBE.astype(dtype) if dtype.kind != "u" else np.abs(PROBE).astype(dtype)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    taken[dtype] = self._comes_back(column)
            except BaseException as error:  # a panic in Rust is no Exception
                if isinstance(error, KeyboardInterrupt):
                    raise
                reason = reason or " ".join(str(error).split())[:120] or type(error).__name__
        self.dtypes = tuple(taken)
        if not taken:
            raise InvalidRequestError(f"codec {self.name!r} takes no column of numbers: {reason}")
        self.lossy = not all(exact for dtype, exact in taken.items() if dtype.kind == "f")
        self.kind = "general" if taken.get(np.dtype(np.uint8)) and taken.get(FLOAT64) else "peers"

    def _comes_back(self, column: Column) -> bool:
        """Return whether the bits of a column come back; find out on the way whether ``out=`` is filled."""
        payload = bytes(as_bytes(self.codec.encode(column)))
        back = np.full_like(column, 1)
        try:
            self.codec.decode(payload, out=back)
            exact = back.tobytes() == column.tobytes()
        except Exception:
            exact = False
        if not exact:
            self._fills_out = False
            self._fill(payload, back)
        return back.tobytes() == column.tobytes()

    def _fill(self, payload: bytes, column: Column) -> None:
        """Decode into a column."""
        if self._fills_out:
            self.codec.decode(payload, out=column)
            return
        decoded = self.codec.decode(payload)
        flat = decoded.reshape(-1) if isinstance(decoded, np.ndarray) else as_bytes(decoded)
        if flat.dtype != column.dtype and flat.itemsize == 1:
            flat = flat.view(np.uint8).view(column.dtype)
        if flat.shape != column.shape or flat.dtype != column.dtype:
            raise CorruptDataError(f"{flat.size} values of {flat.dtype} come back from {self.name!r}, not the column")
        column[:] = flat

    def get_config(self) -> dict[str, Any]:
        """Return the configuration as numcodecs keeps it."""
        return {"id": self.codec_id, "codec": self.codec.get_config()}

    def tolerance(self, column: Column) -> Column:
        """Return infinities for a codec that loses bits: how many is its own affair."""
        return np.full(column.shape, np.inf if self.lossy and column.dtype.kind == "f" else 0.0)

    def pack(self, column: Column) -> Bytes:
        """Encode the column."""
        return as_bytes(self.codec.encode(column))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode into the column."""
        with reading(self.name):
            self._fill(data[frame.start : frame.stop].tobytes(), column)

    def squeeze(self, data: bytes | Bytes) -> Bytes:
        """Encode bytes."""
        return as_bytes(self.codec.encode(as_bytes(data)))

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Decode bytes."""
        with reading(self.name):
            self._fill(data.tobytes(), out)


def known_codecs() -> list[str]:
    """Return the names of all codecs that numcodecs knows, from whichever package, without the lab's own; sorted.

    Examples
    --------
    >>> "numcodecs.blosc" in known_codecs()
    True
    """
    return sorted(name for name, codec_id in _known().items() if not codec_id.startswith("squeezelab."))


def _known() -> dict[str, str]:
    """Return the ids that numcodecs knows, by name: the prefix is for codecs that are its own."""
    entries, loaded = numcodecs.registry.entries, numcodecs.registry.codec_registry
    modules = {one: entry.value for one, entry in entries.items()} | {
        one: kind.__module__ for one, kind in loaded.items()
    }
    return {(PREFIX if module.startswith("numcodecs.") else "") + one: one for one, module in modules.items()}


def find_foreign(spec: str) -> ColumnCodec | None:
    """Return the codec that ``id:key=value`` or ``numcodecs.id:key=value`` names, None if numcodecs knows no such id.

    Raises
    ------
    InvalidRequestError
        If a parameter is unknown or missing, does not fit, or the codec cannot be loaded.

    Examples
    --------
    >>> find_foreign("numcodecs.blosc:cname=zstd,shuffle=2").codec
    Blosc(cname='zstd', clevel=5, shuffle=BITSHUFFLE, blocksize=0)
    """
    name, colon, settings = spec.strip().partition(":")
    found = _known().get(name)
    if found is None:
        return None
    try:
        kind = numcodecs.registry.codec_registry.get(found) or numcodecs.registry.entries[found].load()
        parameters = read_settings("codec", name, kind, settings if colon else None)
        codec = get_numcodec({"id": found, **parameters})
    except InvalidRequestError:
        raise
    except Exception as error:
        raise InvalidRequestError(f"codec {name!r} cannot be made: {' '.join(str(error).split())}") from error
    return codec if isinstance(codec, ColumnCodec) else Foreign(codec, colon + settings)


def is_codec(given: Any) -> bool:
    """Return whether an object has a codec's two verbs."""
    return not inspect.isclass(given) and callable(getattr(given, "encode", None)) and hasattr(given, "decode")
