"""What was measured of losses, and its files: losses.json and losses.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from squeezelab.losses.bounds import Bound
from squeezelab.losses.questions import Moves
from squeezelab.losses.windows import WINDOWS
from squeezelab.store.files import replacing

WINDOW = "window"
"""The kind of rows that have windows in place of a bound."""
SCHEMA = 1
SHARES = ("rate", "p50", "p99", "maximum")
"""The moves that are shares of a signal's range."""
CROSSINGS = ("none", "same", "moved", "lost", "new")


@dataclass(frozen=True)
class Spread:
    """The median over series, and the worst of them."""

    median: float
    worst: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread | None:
        """Return it; None of nothing.

        Examples
        --------
        >>> Spread.of([1.0, 2.0, 9.0])
        Spread(median=2.0, worst=9.0)
        """
        return cls(float(np.median(numbers)), float(max(numbers))) if numbers else None


@dataclass(frozen=True)
class Effect:
    """What becomes of the answers about one kind of series, all gauges or all counters.

    Attributes
    ----------
    series : int
        How many were asked.
    rate, p50, p99, maximum : Spread or None
        See `Moves`; None where there is nothing to ask.
    false_resets : int
        Of all series.
    crossings : dict of str to int
        How many series have their first crossing as `Moves` calls it.
    first_seconds, lasting_seconds : Spread or None
        Of those that moved.
    """

    series: int
    rate: Spread | None
    p50: Spread | None
    p99: Spread | None
    maximum: Spread | None
    false_resets: int
    crossings: Mapping[str, int]
    first_seconds: Spread | None
    lasting_seconds: Spread | None

    @classmethod
    def of(cls, moves: Sequence[Moves]) -> Effect | None:
        """Sum up the moves of series; None where there are none."""
        if not moves:
            return None
        shares = {
            name: Spread.of([share for one in moves if (share := getattr(one, name)) is not None]) for name in SHARES
        }
        moved = [one for one in moves if one.crossing == "moved"]
        return cls(
            series=len(moves),
            **shares,
            false_resets=sum(one.false_resets for one in moves),
            crossings={name: sum(one.crossing == name for one in moves) for name in CROSSINGS},
            first_seconds=Spread.of([one.first_seconds for one in moved]),
            lasting_seconds=Spread.of([one.lasting_seconds for one in moved]),
        )


@dataclass(frozen=True)
class Row:
    """One method within one bound on all series, or windows of one length.

    Attributes
    ----------
    method, title : str
        Its name, and what charts call it.
    kind, size : str, float
        Of the bound; ``window`` and seconds for down-sampling.
    bits : dict of str to float
        Bits a sample of the values, by how they are stored.
    error : float
        Root mean square of all samples' errors, each as a share of its series' range.
    largest : float
        The largest error as a share of what was allowed; of its series' range for windows, which promise nothing.
    broken, broken_series, specials_changed : int
        Samples beyond the bound, series that have some, and NaN, infinities or -0.0 that did not come back.
    exact : int
        Series stored without loss, because the bound allowed none that helps.
    gauges, counters : Effect or None
        What becomes of answers.
    """

    method: str
    title: str
    kind: str
    size: float
    bits: Mapping[str, float]
    error: float
    largest: float
    broken: int
    broken_series: int
    specials_changed: int
    exact: int
    gauges: Effect | None
    counters: Effect | None

    @property
    def store(self) -> str:
        """How it is stored where it is smallest."""
        return min(self.bits, key=lambda one: self.bits[one])

    @property
    def smallest(self) -> float:
        """Bits a sample, so stored."""
        return self.bits[self.store]

    @property
    def label(self) -> str:
        """The bound or the window in words."""
        if self.kind != WINDOW:
            return str(Bound(self.kind, self.size))
        return f"windows of {next(name for name, seconds in WINDOWS.items() if seconds == self.size)}"


@dataclass(frozen=True)
class Losses:
    """All that was measured.

    Attributes
    ----------
    rows : sequence of Row
        Kind of bound by kind, then method by method; windows last.
    lossless : dict of str to float
        Bits a sample of the values by the lossless codecs that rounded values are given to.
    timestamp_bits : float
        Bits a timestamp, which every method needs and none loses; windows have theirs among the values.
    left_out : sequence of str
        What did not run, and why.
    data : str
        Where the series came from.
    series, samples, counters, specials : int
        Series, their samples, counters among the series; and NaN, infinities and -0.0 among the samples.
    threshold : float or None
        What was given in place of each series' own.
    seconds : float
        How long it took.
    notes : sequence of str
        What became of values that are no doubles.
    """

    rows: Sequence[Row]
    lossless: Mapping[str, float]
    timestamp_bits: float
    left_out: Sequence[str]
    data: str
    series: int
    samples: int
    counters: int
    specials: int
    threshold: float | None
    seconds: float
    notes: Sequence[str] = ()

    @property
    def best_lossless(self) -> str:
        """The lossless codec that is smallest."""
        return min(self.lossless, key=lambda one: self.lossless[one])

    def of_kind(self, kind: str) -> list[Row]:
        """Return the rows of one kind of bound, or the windows."""
        return [row for row in self.rows if row.kind == kind]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it: what is no finite number is null."""
        told = asdict(self)
        told["rows"] = [asdict(row) | {"store": row.store, "label": row.label} for row in self.rows]
        finite: dict[str, Any] = _finite({"schema": SCHEMA, **told})
        return finite


def _finite(told: Any) -> Any:
    if isinstance(told, Mapping):
        return {key: _finite(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_finite(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told


def write_json(losses: Losses, path: Path) -> Path:
    """Write losses.json."""
    with replacing(path) as file:
        file.write(json.dumps(losses.to_dict(), indent=1).encode())
    return path


def write_csv(losses: Losses, path: Path) -> Path:
    """Write losses.csv: a line a row, effects in columns of their own."""
    lines = [_flat(row) for row in losses.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with replacing(path) as file:
        file.write(text.getvalue().encode())
    return path


def _flat(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {
        name: value for name, value in vars(row).items() if name not in ("bits", "gauges", "counters")
    }
    told |= {"store": row.store, "bits": row.smallest}
    for group in ("gauges", "counters"):
        effect: Effect | None = getattr(row, group)
        for name, value in vars(effect).items() if effect else ():
            if isinstance(value, Spread):
                told |= {f"{group}_{name}_{which}": number for which, number in vars(value).items()}
            elif isinstance(value, Mapping):
                told |= {f"{group}_crossing_{which}": count for which, count in value.items()}
            else:
                told[f"{group}_{name}"] = value
    return told
