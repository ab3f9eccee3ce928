"""Files of columns that are each a zstd frame of its own, with one dictionary that was trained on some of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import zstandard

from squeezelab.codecs._frame import INT64, Bytes, read_varint, varint
from squeezelab.codecs.zstd import Zstd, expand_with
from squeezelab.dataset import VALUE_DTYPES, MetricDataset, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary_file import DictionaryFile, decode_columns
from squeezelab.formats.base import Buffer
from squeezelab.registry import check_range, non_default_settings

ONE_OF = 8
"""One series of so many is trained on."""
PIECE_BYTES = 1024
"""Columns are cut into samples of this size: what is shared is shorter than a column."""
MOST_SAMPLED = 16 * 2**20
MOST_DICTIONARY = 112_640
"""As zstd's own program trains."""
SHARE = 8
"""The dictionary is one byte for so many of the samples."""


class ZstdDictionary(DictionaryFile):
    """Each column a zstd frame that is read alone, with a dictionary of what columns have in common.

    Parameters
    ----------
    level : int
        From 1 (fast) to 22 (small, slow).

    Notes
    -----
    The dictionary is trained on the raw bytes of every eighth series and used for all; of seven in eight it has seen
    nothing. It lies in the file, and all of its bytes count. After head and names (`squeezelab.formats._sealed`)::

        varint        bytes of the dictionary; 0 where there was too little to train on
        dictionary    as zstd trains it (RFC 8878, section 5)
        frames        of each series' timestamps, then of its values (`squeezelab.codecs._frame`), payloads by zstd

    A dictionary brings codes of its own for literals: at low levels these fit less well than those that a column of
    some kilobytes finds for itself.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data().select(range(16))
    >>> file = ZstdDictionary().encode(dataset)
    >>> ZstdDictionary().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "zstd_dictionary"
    kind = "general"
    dtypes = VALUE_DTYPES
    compressible = False
    showcase = ("", "level=19")

    def __init__(self, level: int = 9) -> None:
        check_range("zstd_dictionary", "level", level, 1, zstandard.MAX_COMPRESSION_LEVEL)
        self.level = level
        self.name = type(self).name + non_default_settings(type(self), {"level": level})

    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the dictionary, and the two frames of each series."""
        dictionary = train(dataset, self.level)
        yield varint(len(dictionary)) + dictionary
        codec = _Zstd(self.level, dictionary)
        for _, timestamps, values in dataset:
            yield codec.encode(timestamps)
            yield codec.encode(values)

    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Read the frames into the arrays of a new data set."""
        size, at = read_varint(body[:10].tobytes(), 0)
        if size > min(MOST_DICTIONARY, len(body) - at):
            raise CorruptDataError("the dictionary is longer than the file, or than any: it is damaged")
        codec = _Zstd(self.level, body[at : at + size].tobytes())
        columns = [(codec, (INT64,)), (codec, VALUE_DTYPES)]
        offsets, (timestamps, values) = decode_columns(body[at + size :], len(keys), columns)
        return MetricDataset(keys, offsets, timestamps.values, values.values, dtypes=values.dtypes)


def train(dataset: MetricDataset, level: int) -> bytes:
    """Return a dictionary of what every eighth series has in common; empty where they are too few or too short.

    Parameters
    ----------
    dataset : MetricDataset
        Of its series every eighth is read, the first among them, up to 16 MiB.
    level : int
        That the dictionary is for.
    """
    samples: list[Any] = []
    for _, timestamps, values in islice(dataset, 0, None, ONE_OF):
        for column in (timestamps, values):
            data = np.ascontiguousarray(column).tobytes()
            samples += [data[i : i + PIECE_BYTES] for i in range(0, len(data), PIECE_BYTES)]
        if len(samples) * PIECE_BYTES > MOST_SAMPLED:
            break
    size = min(MOST_DICTIONARY, sum(map(len, samples)) // SHARE)
    try:
        return bytes(zstandard.train_dictionary(size, samples, level=level).as_bytes())
    except (zstandard.ZstdError, ValueError):
        return b""


class _Zstd(Zstd):
    """Zstd with a dictionary, for one file."""

    def __init__(self, level: int, dictionary: bytes) -> None:
        super().__init__(level)
        given = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self.compressor: Any = zstandard.ZstdCompressor(level=level, dict_data=given)
        self.decompressor: Any = zstandard.ZstdDecompressor(dict_data=given)

    @property
    def frame_name(self) -> str:
        """Without the dictionary its frames cannot be read."""
        return "zstd_dictionary"

    def squeeze(self, data: bytes | Bytes) -> bytes:
        compressed: bytes = self.compressor.compress(data)
        return compressed

    def expand(self, data: Bytes, out: Bytes) -> None:
        expand_with(self.decompressor, data, out)
