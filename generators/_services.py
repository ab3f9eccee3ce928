"""The table of services and scenarios, read from TOML and laid out for kernels."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.errors import InvalidRequestError

DEFAULT_TABLE = Path(__file__).with_name("services.toml")
CHOICES = 2**16
"""Numbers that a choice or a place under the bell curve is drawn from."""

FIXED_POINT = 2**12
"""What one standard deviation is in tables of the bell curve."""

HUNDREDTHS = 100
"""Latencies and amounts are counted in hundredths."""

LARGEST = 10**7
"""Hundredths that a latency or amount may reach."""

MOST = 200
"""Services, scenarios, or names among which one is chosen."""


@dataclass(frozen=True)
class Bell:
    """A Gaussian kept within a range, in hundredths."""

    mean: int
    deviation: int
    low: int
    high: int


@dataclass(frozen=True)
class Variant:
    """A kind of document that a service writes; an anomaly if it comes from a scenario."""

    service: str
    status: int
    message: str
    latency: Bell
    weight: float
    anomaly: bool


@dataclass(frozen=True)
class Transaction:
    """A type and outcome that a transaction may have."""

    type: str
    status: str
    weight: float


@dataclass(frozen=True)
class Services:
    """The whole table.

    Attributes
    ----------
    names : tuple of str
        The services, in the order in which they write each second.
    variants : tuple of tuple of Variant
        For each service what it may write; weights add up to 1.
    transactions : tuple of tuple of Transaction
        For each service the transactions it may write; none for most.
    amounts : tuple of Bell or None
        For each service the amounts of its transactions.
    """

    names: tuple[str, ...]
    variants: tuple[tuple[Variant, ...], ...]
    transactions: tuple[tuple[Transaction, ...], ...]
    amounts: tuple[Bell | None, ...]


def read_services(path: str | Path = DEFAULT_TABLE) -> Services:
    """Read a table of services and scenarios.

    Parameters
    ----------
    path : path-like
        A TOML file of the form of ``generators/services.toml``.

    Raises
    ------
    InvalidRequestError
        If the file cannot be read, or is not of this form; the message says where.

    Examples
    --------
    >>> read_services().names
    ('gateway', 'auth', 'inventory', 'payment')
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"cannot read the scenarios in {path}: {error}") from error
    try:
        return _to_services(content)
    except KeyError as error:
        raise InvalidRequestError(f"{path}: {error} is missing: compare it with {DEFAULT_TABLE}") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidRequestError(f"{path}: {error}: compare it with {DEFAULT_TABLE}") from error


def _to_services(content: dict[str, Any]) -> Services:
    share = float(content["anomaly_share"])
    if not 0 <= share <= 1:
        raise ValueError(f"anomaly_share {share} is no share")
    services = content["service"]
    names = tuple(_to_text(service["name"]) for service in services)
    if not names or len(set(names)) != len(names) or len(names) > MOST:
        raise ValueError(f"services must be 1 to {MOST}, and no two of one name")
    if len(content.get("scenario", [])) > MOST:
        raise ValueError(f"there are more than {MOST} scenarios")
    if strangers := {scenario["service"] for scenario in content.get("scenario", [])} - set(names):
        raise ValueError(f"there are scenarios of unknown services: {', '.join(sorted(map(str, strangers)))}")
    scenarios = {name: [one for one in content.get("scenario", []) if one["service"] == name] for name in names}
    return Services(
        names,
        tuple(_to_variants(service, scenarios[service["name"]], share) for service in services),
        tuple(_to_transactions(service.get("transaction")) for service in services),
        tuple(_to_bell(service["transaction"]["amount"]) if "transaction" in service else None for service in services),
    )


def _to_variants(service: dict[str, Any], scenarios: list[dict[str, Any]], share: float) -> tuple[Variant, ...]:
    name, latency = service["name"], _to_bell(service["latency_ms"])
    share = share if scenarios else 0.0
    normal = [
        Variant(name, _to_status(status), _to_text(service["message"][status]), latency, (1 - share) * weight, False)
        for status, weight in _to_weights(service["status"]).items()
    ]
    anomalies = [
        Variant(
            name,
            _to_status(scenario["status"]),
            _to_text(scenario["message"]),
            _to_bell(scenario["latency_ms"]),
            share / len(scenarios),
            True,
        )
        for scenario in scenarios
    ]
    return (*normal, *anomalies)


def _to_transactions(content: dict[str, Any] | None) -> tuple[Transaction, ...]:
    if content is None:
        return ()
    return tuple(
        Transaction(kind, status, share * outcome)
        for kind, share in _to_weights(content["type"]).items()
        for status, outcome in _to_weights(content["status"]).items()
    )


def _to_text(content: Any) -> str:
    if not isinstance(content, str):
        raise ValueError(f"{content!r} is no text: put it between quotes")
    return content


def _to_weights(content: dict[str, Any]) -> dict[str, float]:
    weights = {str(name): float(weight) for name, weight in content.items()}
    if not all(0 <= weight < 1e12 for weight in weights.values()) or sum(weights.values()) <= 0 or len(weights) > MOST:
        raise ValueError(f"{content} are no weights")
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def _to_status(status: str | int) -> int:
    if not 100 <= int(status) <= 999:
        raise ValueError(f"{status} is no HTTP status")
    return int(status)


def _to_bell(content: dict[str, Any]) -> Bell:
    bell = Bell(*(round(HUNDREDTHS * float(content[name])) for name in ("mean", "deviation", "low", "high")))
    if not 0 <= bell.low <= bell.mean <= bell.high <= LARGEST or not 0 <= bell.deviation <= LARGEST:
        raise ValueError(f"{content} is no bell curve: low, mean and high must rise from 0 to {LARGEST // HUNDREDTHS}")
    return bell


class Layout(NamedTuple):
    """The table as arrays: all variants of all services one after another, likewise all transactions.

    ``texts`` holds every constant piece of a line; piece ``i`` is ``texts[starts[i]:starts[i] + lengths[i]]``. Variant
    ``v`` has pieces ``2 v`` (before the latency) and ``2 v + 1`` (before the trace); transaction ``t`` the pieces
    ``2 variants + 2 t`` (before the amount) and the one after it; the last piece ends a line without transaction.
    """

    variant_of: npt.NDArray[np.uint16]  # [services, CHOICES]
    transaction_of: npt.NDArray[np.int32]  # [services, CHOICES], -1 where there is none
    latency: npt.NDArray[np.int64]  # [variants, 4]: mean, deviation, low, high
    amount: npt.NDArray[np.int64]  # [services, 4]
    bell: npt.NDArray[np.int16]  # [CHOICES]: quantiles of the bell curve in fixed point
    texts: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    status: npt.NDArray[np.int64]  # [variants]
    anomaly: npt.NDArray[np.bool_]  # [variants]


def lay_out(services: Services) -> Layout:
    """Turn the table into arrays for kernels."""
    variants = [variant for group in services.variants for variant in group]
    transactions = [transaction for group in services.transactions for transaction in group]
    pieces = []
    for variant in variants:
        pieces += [
            f'","service.name":{json.dumps(variant.service)},"http.status_code":{variant.status},"latency_ms":',
            f',"log.message":{json.dumps(variant.message)},"trace.id":"',
        ]
    for transaction in transactions:
        pieces += [
            f'","transaction":{{"type":{json.dumps(transaction.type)},"amount":',
            f',"status":{json.dumps(transaction.status)}}}}}\n',
        ]
    encoded = [piece.encode() for piece in [*pieces, '"}\n']]
    lengths = np.array([len(piece) for piece in encoded], np.int64)
    return Layout(
        _choices([[variant.weight for variant in group] for group in services.variants]).astype(np.uint16),
        _choices([[transaction.weight for transaction in group] for group in services.transactions]),
        np.array([_row(variant.latency) for variant in variants], np.int64),
        np.array([_row(amount or Bell(0, 0, 0, 0)) for amount in services.amounts], np.int64),
        _bell_quantiles(),
        # Pieces are copied in whole words: the last one may be read a little past its end.
        np.frombuffer(b"".join(encoded) + bytes(16), np.uint8).copy(),
        np.cumsum(lengths) - lengths,
        lengths,
        np.array([variant.status for variant in variants], np.int64),
        np.array([variant.anomaly for variant in variants], np.bool_),
    )


def _row(bell: Bell) -> list[int]:
    return [bell.mean, bell.deviation, bell.low, bell.high]


def _choices(groups: list[list[float]]) -> npt.NDArray[np.int32]:
    """Return for each group what each of `CHOICES` equally likely numbers stands for, numbered through all groups."""
    table = np.full((len(groups), CHOICES), -1, np.int32)
    first = 0
    for row, weights in zip(table, groups, strict=True):
        if weights:
            ends = np.rint(np.cumsum(weights) * CHOICES).astype(np.int64)
            row[:] = first + np.searchsorted(ends[:-1], np.arange(CHOICES), side="right")
        first += len(weights)
    return table


@cache
def _bell_quantiles() -> npt.NDArray[np.int16]:
    quantile = NormalDist().inv_cdf
    upper = [round(FIXED_POINT * quantile((i + 0.5) / CHOICES)) for i in range(CHOICES // 2, CHOICES)]
    return np.array([-number for number in reversed(upper)] + upper, np.int16)
