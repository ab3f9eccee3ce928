"""Any format's file, compressed whole with zstd."""

from __future__ import annotations

from collections.abc import Iterator

import zstandard

from squeezelab.codecs import codec_spec
from squeezelab.codecs.zstd import Zstd
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats.base import Buffer, Format


class Compressed(Format):
    """Another format's file as one zstd frame with a checksum; ``zstd -d`` unpacks it.

    Parameters
    ----------
    inner : Format
        What is compressed.
    zstd : Zstd
        The codec, which has the level.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.formats import get_format
    >>> dataset = generate_metric_data()
    >>> len(get_format("columnar+zstd").encode(dataset)) < len(get_format("columnar").encode(dataset))
    True
    """

    def __init__(self, inner: Format, zstd: Zstd) -> None:
        self.inner = inner
        self.zstd = zstd
        self.name = f"{inner.name}+{codec_spec(zstd)}"
        self.kind = inner.kind

    @property
    def slow(self) -> bool:
        """Where zstd is, or what it is behind of."""
        return self.zstd.slow or self.inner.slow

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the compressed file as the compressor lets go of it."""
        compressor = zstandard.ZstdCompressor(level=self.zstd.level, write_checksum=True).compressobj()
        for chunk in self.inner.chunks(dataset):
            if compressed := compressor.compress(chunk):
                yield compressed
        yield compressor.flush()

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
