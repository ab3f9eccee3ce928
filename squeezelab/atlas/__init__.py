"""An atlas of codecs: synthetic columns over two knobs at a time, every lossless codec on each, and who wins where."""

from squeezelab.atlas.columns import MAPS, Knob, Map
from squeezelab.atlas.measure import Atlas, Cell, Sheet, Win, measure_atlas

__all__ = ["MAPS", "Atlas", "Cell", "Knob", "Map", "Sheet", "Win", "measure_atlas"]
