"""Proving: what one codec or format makes of what it encodes, and that every bit comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import xxhash

from squeezelab.codecs.base import Column
from squeezelab.dataset import MetricDataset


class Coder(Protocol):
    """What codecs and formats have in common."""

    def encode(self, subject: Any, /) -> bytes:
        """Return the subject as bytes."""
        ...

    def decode(self, encoded: Any, /) -> Any:
        """Return the subject that the bytes stand for."""
        ...


@dataclass(frozen=True)
class Proof:
    """Size and XXH3-128 of one subject's encoding, and what came back from it; errors as `squeezelab.formats.Loss`."""

    encoded_bytes: int
    digest: bytes
    bit_exact: bool
    largest_error: float
    relative_error: float | None = None


def prove(coder: Coder, subject: Column | MetricDataset) -> Proof:
    """Encode, decode, and compare every bit.

    Examples
    --------
    >>> from squeezelab.codecs import get_codec
    >>> proof = prove(get_codec("xor"), np.array([1.0, -0.0, np.nan]))
    >>> proof.encoded_bytes, proof.bit_exact
    (26, True)
    """
    encoded = coder.encode(subject)
    decoded = coder.decode(encoded)
    digest = xxhash.xxh3_128_digest(encoded)
    size: int = getattr(coder, "stored_bytes", len)(encoded)
    if isinstance(subject, MetricDataset) and getattr(coder, "lossy", False):
        # Lossy by intent: nothing that happens to come back makes it anything else.
        return Proof(size, digest, False, *cast(Any, coder).loss(subject, decoded))
    if isinstance(subject, MetricDataset):
        exact = decoded.fingerprint == subject.fingerprint
        error = 0.0 if exact else _largest_error_of_series(subject, decoded)
    else:
        exact = decoded.dtype == subject.dtype and np.array_equal(_bits(decoded), _bits(subject))
        error = 0.0 if exact else _largest_error(subject, decoded)
    return Proof(size, digest, exact, error)


def _bits(column: Column) -> Column:
    return column.view(f"u{column.itemsize}")


def _largest_error_of_series(original: MetricDataset, decoded: MetricDataset) -> float:
    if len(original.keys) != len(decoded.keys):
        return float("inf")
    pairs = zip(original, decoded, strict=True)
    return max((_largest_error(one.values, other.values) for one, other in pairs), default=0.0)


def _largest_error(original: Column, decoded: Column) -> float:
    if original.shape != decoded.shape:
        return float("inf")
    if original.dtype == decoded.dtype == np.int64:
        larger, smaller = np.maximum(original, decoded), np.minimum(original, decoded)
        return float(np.max(larger.view(np.uint64) - smaller.view(np.uint64), initial=0))
    with np.errstate(invalid="ignore"):
        error = np.abs(original.astype(np.float64) - decoded.astype(np.float64))
    same = (original == decoded) | (np.isnan(original) & np.isnan(decoded))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error)), initial=0.0))


def reason_of(error: Exception) -> str:
    """Return in a line why a codec or format was given up."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def spread(groups: Sequence[str], share: float) -> list[int]:
    """Return the positions of a share of all items: of each group about this share, evenly spread, and at least one.

    Examples
    --------
    >>> spread(["cpu", "queue"] * 4, 0.5)
    [0, 1, 4, 5]
    """
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    chosen = []
    for positions in members.values():
        wanted = min(len(positions), max(1, round(share * len(positions))))
        chosen += [positions[i * len(positions) // wanted] for i in range(wanted)]
    return sorted(chosen)
