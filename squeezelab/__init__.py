"""A compression laboratory for time-series metrics.

Make or load a data set, run codecs over it, prove every round trip, measure size and speed::

    from squeezelab import generate_metric_data
    from squeezelab.codecs import get_codec

    dataset = generate_metric_data("synthetic", "small")
    frame = get_codec("xor").encode(dataset.values)
"""

from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.generators import generate_metric_data

__version__ = "0.1.0"

__all__ = [
    "CorruptDataError",
    "MetricDataset",
    "Series",
    "SeriesKey",
    "SqueezelabError",
    "__version__",
    "generate_metric_data",
]
