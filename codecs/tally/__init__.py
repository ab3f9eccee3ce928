"""Tally: the arithmetic between integers and doubles, adaptive models, and rANS; its parts."""

from squeezelab.codecs.tally.codec import BLOCK, FAST, SMALL, Tally, checked_level

__all__ = ["BLOCK", "FAST", "SMALL", "Tally", "checked_level"]
