"""A compression laboratory for time-series metrics.

Make or load a data set, run codecs over it, prove every round trip, measure size and speed::

    from squeezelab import generate_metric_data
    from squeezelab.codecs import get_codec

    dataset = generate_metric_data("synthetic", "small")
    frame = get_codec("xor").encode(dataset.values)

or let the lab do it, on data of your own as well::

    from squeezelab import bench

    print(bench("metrics.csv", codecs="xor,zstd:level=19"))
"""

from typing import TYPE_CHECKING, Any

from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.generators import generate_metric_data

if TYPE_CHECKING:
    from squeezelab.advice.advised import advise
    from squeezelab.api import bench
    from squeezelab.formats.tally import TallyFile

__version__ = "0.1.0"

__all__ = [
    "CorruptDataError",
    "MetricDataset",
    "Series",
    "SeriesKey",
    "SqueezelabError",
    "TallyFile",
    "__version__",
    "advise",
    "bench",
    "generate_metric_data",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import what is asked for later: `bench` brings in everything, charts too."""
    if name == "TallyFile":
        from squeezelab.formats.tally import TallyFile

        return TallyFile
    if name == "advise":
        from squeezelab.advice.advised import advise

        return advise
    if name != "bench":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from squeezelab.api import bench

    return bench
