"""Tally: the arithmetic between integers and doubles, and coders of the integers: lanes of rANS, models that learn."""

from squeezelab.codecs.tally.codec import Tally, checked_level
from squeezelab.codecs.tally.columns import FAST, SMALL, SMALLEST, VERSION
from squeezelab.codecs.tally.workspace import BLOCK

__all__ = ["BLOCK", "FAST", "SMALL", "SMALLEST", "VERSION", "Tally", "checked_level"]
