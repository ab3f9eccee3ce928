"""The tally file."""

from squeezelab.formats.tally.file import Summary, TallyFile
from squeezelab.formats.tally.format import Tally, append_series, compact, pack_series

TallyReader = TallyFile
"""Its name before version 2."""

__all__ = ["Summary", "Tally", "TallyFile", "TallyReader", "append_series", "compact", "pack_series"]
