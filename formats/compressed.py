"""Any format's file, compressed whole with zstd."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import zstandard

from squeezelab.codecs import codec_spec
from squeezelab.codecs.zstd import Zstd
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats.base import Buffer, Format, Loss

MOST_EXPANSION = 1000
SPARED_BYTES = 64 * 2**20
"""A file may expand to so many bytes, and to `MOST_EXPANSION` times its own size beyond them."""
_PIECE_BYTES = 4096
_PADDING_MAGIC = 0x184D2A50


class Compressed(Format):
    """Another format's file as one zstd frame with a checksum; ``zstd -d`` unpacks it.

    A forged file of a megabyte could expand to 32 GB. So one that expands to more than 64 MiB and a thousand times its
    size is rejected. What does so by nature, a hundred million equal samples, is written with a skippable frame of
    zeros after it that makes it large enough.

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
        self.holds_empty_series = inner.holds_empty_series
        self.lossy = inner.lossy
        self.dtypes = inner.dtypes
        self.kind = inner.kind
        self.name = f"{inner.name}+{codec_spec(zstd)}"

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the compressed file as the compressor lets go of it."""
        compressor = zstandard.ZstdCompressor(level=self.zstd.level, write_checksum=True).compressobj()
        expanded = size = 0
        for chunk in self.inner.chunks(dataset):
            expanded += len(chunk)
            if compressed := compressor.compress(chunk):
                size += len(compressed)
                yield compressed
        last = compressor.flush()
        yield last
        if padding := padding_for(expanded, size + len(last)):
            yield padding

    def loss(self, original: MetricDataset, decoded: MetricDataset) -> Loss:
        """Say what the inner format loses."""
        return self.inner.loss(original, decoded)

    def decode(self, data: Buffer) -> MetricDataset:
        """Expand the whole file and hand it to the inner format."""
        try:
            return self.inner.decode(expand(memoryview(data)))
        except MemoryError as error:
            raise CorruptDataError("the file expands to more than memory holds") from error


def expand(data: memoryview) -> memoryview:
    """Return what one zstd frame, and padding after it if there is any, expands to.

    Raises
    ------
    CorruptDataError
        If that is more than `padding_for` allows, or they are anything else.
    """
    limit = SPARED_BYTES + MOST_EXPANSION * len(data)
    decompressor, expanded, at = zstandard.ZstdDecompressor().decompressobj(), io.BytesIO(), 0
    # A piece expands to 128 MiB at most: so much may be made before it is counted.
    while at < len(data) and not decompressor.eof:
        try:
            expanded.write(decompressor.decompress(data[at : at + _PIECE_BYTES]))
        except zstandard.ZstdError as error:
            raise CorruptDataError(f"zstd cannot read the file: {error}") from error
        at += _PIECE_BYTES
        if expanded.tell() > limit:
            raise CorruptDataError(f"the file expands to more than {limit:,} bytes: it is none of squeezelab's")
    rest = decompressor.unused_data + bytes(data[at:])
    if not decompressor.eof or rest != _padding(len(rest) - 8):
        raise CorruptDataError("this is not one whole zstd frame: the file is cut short, or something follows it")
    return expanded.getbuffer()


def padding_for(expanded: int, size: int) -> bytes:
    """Return the padding after a frame of a size that makes it large enough for what it expands to."""
    return _padding(-(-(expanded - SPARED_BYTES) // MOST_EXPANSION) - size)


def _padding(size: int) -> bytes:
    """Return a skippable frame of so many zeros; nothing if that is not a number of zeros."""
    return struct.pack("<II", _PADDING_MAGIC, size) + bytes(size) if size > 0 else b""
