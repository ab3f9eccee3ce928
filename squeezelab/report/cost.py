"""Bytes a sample as storage held and money a month."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite

from squeezelab.errors import InvalidRequestError
from squeezelab.report import answer
from squeezelab.report.table import Table
from squeezelab.results import CostBasis, Results

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
"""Seconds of each unit, as Prometheus counts them."""
EXAMPLE = CostBasis(1e6, UNITS["y"], None, ("--samples-per-second", "--retention"))
"""What is told where nobody gave figures: a price is never made up."""


def cost_basis(samples_per_second: float | None, retention: str | None, price: float | None) -> CostBasis | None:
    """Return what a cost is reckoned from; None if nothing was given.

    Parameters
    ----------
    samples_per_second, retention, price
        As given: a number above 0, a text as ``395d``, and what 10**9 bytes cost a month, 0 or more.

    Raises
    ------
    InvalidRequestError
        If one is out of range.

    Examples
    --------
    >>> cost_basis(2e6, "395d", None)
    CostBasis(samples_per_second=2000000.0, retention_seconds=34128000, price_per_gb_month=None, assumed=())
    """
    if samples_per_second is None and retention is None and price is None:
        return None
    if samples_per_second is not None and not (isfinite(samples_per_second) and samples_per_second > 0):
        raise InvalidRequestError(f"--samples-per-second {samples_per_second:g} is out of range: give more than 0")
    if price is not None and not (isfinite(price) and price >= 0):
        raise InvalidRequestError(f"--price-per-gb-month {price:g} is out of range: give 0 or more")
    given = {"--samples-per-second": samples_per_second, "--retention": retention}
    return CostBasis(
        EXAMPLE.samples_per_second if samples_per_second is None else samples_per_second,
        EXAMPLE.retention_seconds if retention is None else parse_span(retention),
        price,
        tuple(option for option, value in given.items() if value is None),
    )


def parse_span(text: str) -> int:
    """Return a span of time in seconds.

    Examples
    --------
    >>> parse_span("395d") == 395 * 86400, parse_span("1y30d") == 395 * 86400, parse_span("90m")
    (True, True, 5400)
    """
    if not re.fullmatch(r"(\d{1,9}[smhdwy])+", text, re.ASCII):
        raise InvalidRequestError(f"--retention {text!r} is no span of time: give it as 395d, 1y30d or 12h")
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(\w)", text))
    if not seconds:
        raise InvalidRequestError(f"--retention {text!r} keeps nothing: give a longer one, as 395d")
    return seconds


def gigabytes_held(bytes_per_sample: float, basis: CostBasis) -> float:
    """Return the 10**9 bytes that are held once as much falls out of retention as comes in.

    Examples
    --------
    >>> gigabytes_held(1.5, CostBasis(1e6, 86_400))
    129.6
    """
    return bytes_per_sample * basis.samples_per_second * basis.retention_seconds / 1e9


def tell_gigabytes(held: float) -> str:
    """Return gigabytes as a table shows them.

    Examples
    --------
    >>> tell_gigabytes(12.345), tell_gigabytes(1234.5)
    ('12.3', '1,234')
    """
    return f"{held:,.0f}" if held >= 100 else f"{held:,.3g}"


def cost_table(results: Results) -> Table:
    """Return what the best, and what others use, would hold and cost."""
    basis = results.cost or EXAMPLE
    headers = ["", "measured as", "bytes a further sample", "GB held"]
    if basis.price_per_gb_month is not None:
        headers.append("a month")
    rows = []
    for role, choice in _choices(results):
        further = choice.bytes_per_sample if choice.further_bytes is None else choice.further_bytes
        held = gigabytes_held(further, basis)
        row = [role, " and ".join(dict.fromkeys(choice.names)), f"{further:.3f}", tell_gigabytes(held)]
        if basis.price_per_gb_month is not None:
            row.append(f"{held * basis.price_per_gb_month:,.2f}")
        rows.append(row)
    return Table("What it costs to keep", headers, rows, _note(basis), names=2)


def _choices(results: Results) -> Iterator[tuple[str, answer.Choice]]:
    """Yield roles and choices of which the bytes of a whole sample are known."""
    for subjects, what in ((answer.COLUMNS, "codecs"), (answer.FILES, "file")):
        if all(results.find(subject) for subject in subjects):
            best = answer.best(results, subjects)
            for i, choice in enumerate(best):
                if choice.names not in [other.names for other in best[:i]]:
                    yield f"{choice.role} {what}", choice
            for choice in answer.used_in_the_field(results, subjects):
                yield choice.role, choice
    for choice in answer.best_databases(results)[:1]:
        yield f"{choice.role} database", choice


def _note(basis: CostBasis) -> str:
    if len(basis.assumed) == len(EXAMPLE.assumed):
        example = " (an example)"
    else:
        example = f" (an example as to {basis.assumed[0]})" if basis.assumed else ""
    told = (
        f"At {basis.samples_per_second:,.12g} samples a second, kept for {_span(basis.retention_seconds)}{example}; "
        "GB: 10^9 bytes, one copy, compressed as this data was. What a file takes however little it holds is left out, "
        "as far as it was measured."
    )
    if basis.price_per_gb_month is not None:
        told += f" A month: at {basis.price_per_gb_month:g} for a GB and month, in its currency."
        return told if not basis.assumed else f"{told} Yours: {', '.join(basis.assumed)}."
    return f"{told} Yours: {', '.join((*basis.assumed, '--price-per-gb-month'))}."


def _span(seconds: float) -> str:
    unit, name = next(
        (UNITS[unit], name)
        for unit, name in (("d", "days"), ("h", "hours"), ("m", "minutes"), ("s", "seconds"))
        if seconds % UNITS[unit] == 0 or unit == "s"
    )
    return f"{seconds / unit:,.12g} {name}"
