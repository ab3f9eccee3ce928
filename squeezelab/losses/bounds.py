"""How far a value may be off, and the check of every sample that says whether it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezelab.errors import InvalidRequestError
from squeezelab.registry import check_choice

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

KINDS = {
    "absolute": "in the values' own unit",
    "range": "a share of the column's range, its largest less its smallest value",
    "value": "a share of each value",
}
"""The kinds of bound that there are."""
SIGN = np.uint64(2**63)


@dataclass(frozen=True)
class Bound:
    """How far each value may be off.

    Parameters
    ----------
    kind : {"absolute", "range", "value"}
        What the size is of.
    size : float
        Above 0; for shares below 1.

    Raises
    ------
    InvalidRequestError
        If there is no such kind, or the size is out of range.

    Examples
    --------
    >>> Bound("range", 0.01).allowed(np.array([0.0, 50.0, 100.0]))
    array([1., 1., 1.])
    >>> Bound("value", 0.01).allowed(np.array([0.0, 50.0, -100.0]))
    array([0. , 0.5, 1. ])
    >>> print(Bound("range", 0.001), Bound("value", 0.05), Bound("absolute", 0.5), sep=", ")
    0.1 % of the range, 5 % of the value, 0.5 absolute
    """

    kind: str
    size: float

    def __post_init__(self) -> None:
        check_choice("losses", "kind of bound", self.kind, KINDS)
        most = np.inf if self.kind == "absolute" else 1.0
        if not 0 < self.size < most:
            words = "above 0" if most == np.inf else "above 0 and below 1, as 0.01 or 1%"
            raise InvalidRequestError(f"a bound of {self.size:g} is none: give a number {words}")

    def __str__(self) -> str:
        return f"{self.size:g} absolute" if self.kind == "absolute" else f"{100 * self.size:g} % of the {self.kind}"

    def allowed(self, values: Floats) -> Floats:
        """Return how far each value of a column may be off; NaN and infinities count for no range.

        Parameters
        ----------
        values : float64[n]

        Returns
        -------
        float64[n]
            Zero or more, and finite; zero for what is not finite.
        """
        finite = np.isfinite(values)
        allowed = np.where(finite, self.size, 0.0)
        if self.kind == "value":
            allowed[finite] *= np.abs(values[finite])
        elif self.kind == "range" and finite.any():
            # Shares first: the range itself may be beyond the largest double.
            shares = self.size * values[finite]
            with np.errstate(over="ignore"):
                allowed[finite] = min(shares.max() - shares.min(), np.finfo(np.float64).max)
        return allowed


@dataclass(frozen=True)
class Verdict:
    """What the check of a column found.

    Attributes
    ----------
    broken : int
        Samples that are further off than allowed, or not finite though they were.
    specials_changed : int
        NaNs, infinities and -0.0 that did not come back bit by bit.
    largest : float
        The largest error as a share of what was allowed; 0 where nothing is off.
    """

    broken: int
    specials_changed: int
    largest: float

    @property
    def kept(self) -> bool:
        """Whether nothing is broken and nothing special changed."""
        return not self.broken and not self.specials_changed


def verdict(values: Floats, restored: Floats, allowed: Floats) -> Verdict:
    """Check every sample of a column.

    Parameters
    ----------
    values, restored : float64[n]
        What there was, and what came back.
    allowed : float64[n]
        How far each may be off.

    Notes
    -----
    A decimal and its rounding are both doubles, and each is off by up to half of the distance to the next: 0.35 and 0.4
    differ by a little more than 0.05. So one such distance, of the larger of the two, is allowed on top.

    Examples
    --------
    >>> verdict(np.array([0.35, 1.0, np.nan]), np.array([0.4, 1.5, np.nan]), np.array([0.05, 0.25, 0.0]))
    Verdict(broken=1, specials_changed=0, largest=2.0)
    """
    special = is_special(values)
    changed = special & (values.view(np.uint64) != restored.view(np.uint64))
    with np.errstate(all="ignore"):
        errors = np.where(special, 0.0, np.abs(restored - values))
        errors = np.where(np.isnan(errors), np.inf, errors)
        rounding = np.spacing(np.maximum(np.abs(values), np.abs(restored)))
        broken = ~special & ~(errors <= allowed + rounding)
        shares = errors[errors > 0] / allowed[errors > 0]
    return Verdict(int(np.count_nonzero(broken)), int(np.count_nonzero(changed)), float(shares.max(initial=0.0)))


def is_special(values: Floats) -> Flags:
    """Tell which values no bound is about: NaN, infinities, and -0.0, whose sign an error of zero would lose.

    Examples
    --------
    >>> is_special(np.array([1.0, np.nan, -np.inf, -0.0, 0.0]))
    array([False,  True,  True,  True, False])
    """
    special: Flags = ~np.isfinite(values) | (values.view(np.uint64) == SIGN)
    return special
