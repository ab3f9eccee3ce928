"""OpenZL, through its own package."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from squeezelab.codecs._frame import Bytes, Frame
from squeezelab.codecs.base import Column, ColumnCodec, reading
from squeezelab.errors import CorruptDataError
from squeezelab.registry import check_choice, check_range

GRAPHS = ("generic", "field_lz", "delta", "best")
BEST = 22
_contexts = threading.local()


class OpenZL(ColumnCodec):
    """OpenZL: numbers through a graph of transforms, entropy coders and LZ.

    Parameters
    ----------
    graph : {"generic", "field_lz", "delta", "best"}
        ``generic``, which OpenZL's manual uses for an array of numbers, chooses among its own; ``field_lz`` matches
        whole numbers; ``delta`` is differences, then that; ``best`` compresses with each of six and keeps the smallest.
    level : int
        From 1 (fast) to 22 (small); 6 as OpenZL itself.

    Notes
    -----
    The six of ``best``: the graphs above, differences to the smallest number in as few bytes as it takes, distinct
    numbers sorted and their indices, and zstd over the bytes. Graphs trained on samples, as OpenZL's command line makes
    them, are not to be had from its Python package. Source: Y Collet et al.: OpenZL: A Graph-Based Model for
    Compression, 2025; https://openzl.org

    Examples
    --------
    >>> import numpy as np
    >>> from squeezelab.codecs import available_codecs
    >>> if "openzl" in available_codecs():
    ...     codec = OpenZL()
    ...     assert (codec.decode(codec.encode(np.arange(5))) == np.arange(5)).all()
    """

    name = "openzl"
    kind = "peers"
    package = "openzl"
    showcase = ("", "graph=best,level=22")
    # A constant column is one number and how often it comes.
    max_expansion = 2**26

    def __init__(self, graph: str = "generic", level: int = 6) -> None:
        check_choice("openzl", "graph", graph, GRAPHS)
        check_range("openzl", "level", level, 1, BEST)
        self.graph = graph
        self.level = level

    def pack(self, column: Column) -> bytes:
        """Compress into one OpenZL frame."""
        import openzl.ext as zl

        frame: bytes = self._compressor().compress([zl.Input(zl.Type.Numeric, column.view(np.uint64))])
        return frame

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decompress one OpenZL frame."""
        import openzl.ext as zl

        payload = data[frame.start : frame.stop].tobytes()
        with reading("OpenZL"):
            info = zl.FrameInfo(payload)
            if info.num_outputs != 1 or info.output_content_size(0) != column.nbytes:
                raise CorruptDataError("the OpenZL frame is of another size than promised: it is damaged")
            if not hasattr(_contexts, "decompressor"):
                _contexts.decompressor = zl.DCtx()
            (output,) = _contexts.decompressor.decompress(payload)
            column.view(np.uint64)[:] = output.content.as_nparray()

    def _compressor(self) -> Any:
        """Return this thread's context for graph and level."""
        import openzl.ext as zl

        contexts = _contexts.__dict__.setdefault("compressors", {})
        key = self.graph, self.level
        if key not in contexts:
            compressor = zl.Compressor()
            compressor.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
            compressor.set_parameter(zl.CParam.CompressionLevel, self.level)
            compressor.select_starting_graph(_build(self.graph, compressor))
            context = zl.CCtx()
            context.set_parameter(zl.CParam.StickyParameters, 1)
            context.ref_compressor(compressor)
            contexts[key] = context, compressor  # which the context does not keep alive by itself
        return contexts[key][0]


def _build(graph: str, compressor: Any) -> Any:
    """Return the number under which the compressor knows a graph."""
    from openzl.ext import graphs, nodes

    def field_lz() -> Any:
        return graphs.FieldLz()(compressor)

    def delta() -> Any:
        return nodes.DeltaInt()(compressor, field_lz())

    match graph:
        case "generic":
            return graphs.Compress()(compressor)
        case "field_lz":
            return field_lz()
        case "delta":
            return delta()
    candidates = [
        graphs.Compress()(compressor),
        field_lz(),
        delta(),
        nodes.RangePack()(compressor, field_lz()),
        nodes.TokenizeNumeric(sort=True)(compressor, delta(), field_lz()),
        nodes.ConvertNumToSerialLE()(compressor, graphs.Zstd()(compressor)),
    ]
    return graphs.BruteForce(candidates)(compressor)
