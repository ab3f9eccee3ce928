"""Plan: what runs, for how long, and what is recorded; made from options once, checked once, and handed on whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from squeezelab.codecs import ColumnCodec, codec_spec, get_codec, showcase_codecs
from squeezelab.engines import Engine, get_engine, missing_engines, showcase_engines
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.timing import ROUNDS
from squeezelab.formats import Format, get_format, showcase_formats
from squeezelab.formats.downsampled import STEPS
from squeezelab.shelf import split_specs

DEFAULT_CODECS = (*showcase_codecs(), "delta_of_delta+zstd", "xor+zstd")
"""Every codec that runs here, as its authors recommend it and at its strongest, and Gorilla's with zstd after it."""
DEFAULT_FORMATS = (
    "ndjson",
    "ndjson+zstd",
    "cbor",
    "cbor+zstd",
    "table",
    "table+zstd",
    "columnar",
    "columnar+zstd",
    "zstd_dictionary",
    "zstd_dictionary:level=19",
    "prometheus",
    "prometheus:chunks=xor2",
    "delta_of_delta+xor",
    "delta_of_delta+xor+zstd",
    "pattern",
    "pattern+zstd",
    *(spec for spec in showcase_formats() if get_format(spec).kind == "peers"),
    *(f"downsampled:step={step}+zstd" for step in STEPS),
    "tally:level=1",
    "tally",
)
"""The ladder, then files of others: tables and charts keep this order."""
BUDGET = 3.0
"""Seconds for timing: as much as lets a run of the small data set end within seconds."""
PROOF_SECONDS, PROOF_SAMPLES_A_SECOND = 2.0, 4_000_000
"""So many seconds for proving, and one more for so many samples; what would take longer is proven on a part."""
NONE, ALL = "none", "all"
METRIC = "metric"
SHARED_FORMATS = ("prometheus", "prometheus:chunks=xor2")
"""Whose bytes are told by metric name, whatever else runs."""


@dataclass(frozen=True)
class Plan:
    """What runs on a data set.

    Attributes
    ----------
    codecs, formats : dict of str to codec or format
        By name, in the order of tables. A codec runs on the columns whose dtype it takes.
    engines : dict of str to Engine
        Databases that run as their users run them, by name and setting.
    absent : dict of str to str
        Those that were asked for and are not installed, with what to do about each.
    rounds : int
        Timed turns of each, at least; 0 times nothing.
    budget : float
        Seconds for timing.
    proof_budget : float or None
        Seconds for proving; None for as many as `proof_seconds` gives.
    whole : bool
        Whether everything is proven on everything, however long that takes.
    by : {"", "metric"}
        What the bytes of formats are told apart by, of those that know which bytes are of which series.
    settings : dict
        What else was chosen, for the record.
    """

    codecs: Mapping[str, ColumnCodec]
    formats: Mapping[str, Format]
    engines: Mapping[str, Engine] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    rounds: int = ROUNDS
    budget: float = BUDGET
    proof_budget: float | None = None
    whole: bool = False
    by: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        codecs: Any = None,
        formats: str | Sequence[str] | None = None,
        *,
        engines: Any = None,
        rounds: int | None = None,
        budget: float | None = None,
        proof_budget: float | None = None,
        whole: bool = False,
        by: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Plan:
        """Make a plan from options, and check them.

        Parameters
        ----------
        codecs, formats, engines : str or sequence of str, optional
            ``"xor,zstd:level=19"`` or a list; ``"none"`` or an empty list for none. Codecs and formats that are not
            given are the default ones, engines are none; ``"all"`` are all engines that run here, at each of their
            settings. A codec may be any `numcodecs.abc.Codec` object, an engine any `squeezelab.engines.Engine`.
        rounds, budget, proof_budget, whole, by, settings
            As the attributes; a budget of 0 times nothing.

        Raises
        ------
        InvalidRequestError
            If there is no such codec, format or engine, or a number is out of range.

        Examples
        --------
        >>> plan = Plan.of("xor,zstd:level=19", "none")
        >>> list(plan.codecs), list(plan.formats)
        (['xor', 'zstd:level=19'], [])
        """
        seconds = BUDGET if budget is None else budget
        if not 0 <= seconds < inf:
            raise InvalidRequestError(f"--budget {seconds:g} is out of range: give seconds, 0 or more")
        if by not in (None, "", METRIC):
            raise InvalidRequestError(f"--by {by} is not known: give {METRIC}")
        made = [get_codec(spec) for spec in _listed(codecs, DEFAULT_CODECS)]
        running, absent = choose_engines(_listed(engines, ()))
        return cls(
            codecs={codec_spec(codec): codec for codec in made},
            formats={name: get_format(name) for name in _listed(formats, DEFAULT_FORMATS)},
            engines={one.name: one for one in running},
            absent=absent,
            rounds=(ROUNDS if seconds else 0) if rounds is None else rounds,
            budget=seconds,
            proof_budget=proof_budget,
            whole=whole,
            by=by or "",
            settings=dict(settings or {}),
        )

    def proof_seconds(self, samples: int) -> float:
        """Return the seconds for proving codecs and files on so many samples.

        Examples
        --------
        >>> Plan.of("xor", "none").proof_seconds(1_000_000)
        2.25
        """
        if self.proof_budget is None:
            return PROOF_SECONDS + samples / PROOF_SAMPLES_A_SECOND
        return self.proof_budget

    @property
    def shared(self) -> dict[str, Format]:
        """The formats whose bytes are told apart, by name."""
        if not self.by:
            return {}
        running = {name: one for name, one in self.formats.items() if one.knows_series}
        return {name: get_format(name) for name in SHARED_FORMATS} | running

    @property
    def recorded(self) -> dict[str, Any]:
        """What results keep of it."""
        return {
            "codecs": list(self.codecs),
            "formats": list(self.formats),
            "engines": list(self.engines),
            "rounds": self.rounds,
            "budget": self.budget,
            "proof_budget": self.proof_budget,
            "whole": self.whole,
            "by": self.by,
            **self.settings,
        }


def _listed(given: Any, default: Sequence[str]) -> Sequence[Any]:
    """Return what was listed; what is not given and what is none are different things."""
    if given is None:
        return default
    listed = split_specs(given)
    return [] if listed == [NONE] else listed


def choose_engines(specs: Sequence[str | Engine]) -> tuple[list[Engine], dict[str, str]]:
    """Return the engines that are to run, and of those that are not installed what to do about each.

    Raises
    ------
    InvalidRequestError
        If there is no such engine or setting.

    Examples
    --------
    >>> [one.name for one in choose_engines(["sqlite"])[0]]
    ['sqlite']
    """
    if not specs:  # asking servers for their versions takes time that a run without them need not spend
        return [], {}
    missing = missing_engines()
    if list(specs) == [ALL]:
        return [get_engine(spec) for spec in showcase_engines()], missing
    engines: list[Engine] = []
    absent = {}
    for spec in specs:
        name = spec.strip().partition(":")[0] if isinstance(spec, str) else ""
        if name in missing:
            absent[name] = missing[name]
        else:
            engines.append(get_engine(spec) if isinstance(spec, str) else spec)
    return engines, absent
