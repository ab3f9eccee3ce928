"""Any format's file, compressed whole with zstd."""

from __future__ import annotations

from collections.abc import Iterator

import zstandard

from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.formats.base import Buffer, Format, Loss

DEFAULT_LEVEL = 3


class Compressed(Format):
    """Another format's file as one zstd frame with a checksum; ``zstd -d`` unpacks it.

    Parameters
    ----------
    inner : Format
        What is compressed.
    level : int
        From 1 to 22; 3 as zstd itself.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.formats import get_format
    >>> dataset = generate_metric_data()
    >>> len(get_format("columnar+zstd").encode(dataset)) < len(get_format("columnar").encode(dataset))
    True
    """

    def __init__(self, inner: Format, level: int = DEFAULT_LEVEL) -> None:
        if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
            raise InvalidRequestError(f"zstd has no level {level}: choose from 1 to {zstandard.MAX_COMPRESSION_LEVEL}")
        self.inner = inner
        self.level = level
        self.costly = inner.costly
        self.holds_empty_series = inner.holds_empty_series
        self.lossy = inner.lossy
        self.name = f"{inner.name}+zstd" + (f":level={level}" if level != DEFAULT_LEVEL else "")

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the compressed file as the compressor lets go of it."""
        compressor = zstandard.ZstdCompressor(level=self.level, write_checksum=True).compressobj()
        for chunk in self.inner.chunks(dataset):
            if compressed := compressor.compress(chunk):
                yield compressed
        yield compressor.flush()

    def loss(self, original: MetricDataset, decoded: MetricDataset) -> Loss:
        """Say what the inner format loses."""
        return self.inner.loss(original, decoded)

    def decode(self, data: Buffer) -> MetricDataset:
        """Expand the whole file and hand it to the inner format."""
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        try:
            expanded = decompressor.decompress(data)
        except zstandard.ZstdError as error:
            raise CorruptDataError(f"zstd cannot read the file: {error}") from error
        except MemoryError as error:
            raise CorruptDataError("the file expands to more than memory holds") from error
        if not decompressor.eof or decompressor.unused_data:
            raise CorruptDataError("this is not one whole zstd frame: the file is cut short, or something follows it")
        return self.inner.decode(expanded)
