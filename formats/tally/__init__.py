"""The tally file."""

from squeezelab.formats.tally.format import Tally, TallyReader

__all__ = ["Tally", "TallyReader"]
