"""Losses with bounds: how small values get where some error is allowed, and what that does to answers."""

from squeezelab.losses.bounds import KINDS, Bound, Verdict, verdict
from squeezelab.losses.measure import measure_losses
from squeezelab.losses.methods import METHODS, lose
from squeezelab.losses.results import Losses, Row

__all__ = ["KINDS", "METHODS", "Bound", "Losses", "Row", "Verdict", "lose", "measure_losses", "verdict"]
