"""Files of columns: the series dictionary, then a frame of timestamps and one of values for each series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xxhash

from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import CHECKSUM_BYTES, FLOAT64, INT64, Bytes, Frame, parse_frame, read_varint, varint
from squeezelab.codecs.base import ColumnCodec, as_bytes
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary import decode_keys, encode_keys
from squeezelab.formats.base import Buffer, Format


class Columnar(Format):
    """Arrays as they lie in memory, beside a dictionary of the series: the plain columnar baseline.

    Notes
    -----
    ::

        line        "squeezelab <format name> 1", ended by a newline
        varint      bytes of the dictionary
    dictionary  as `squeezelab.formats._dictionary` draws it
        frames      for each series its timestamps, then its values (`squeezelab.codecs._frame`)
        8 bytes     XXH3-64 of all before, big-endian

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Columnar().encode(dataset)
    >>> Columnar().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "columnar"
    timestamp_codec: str = "raw"
    value_codec: str = "raw"

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the head, the two frames of each series, and the checksum."""
        timestamp_codec, value_codec = get_codec(self.timestamp_codec), get_codec(self.value_codec)
        digest = xxhash.xxh3_64()
        dictionary = encode_keys(dataset.keys)
        head = self._first_line + varint(len(dictionary)) + dictionary
        digest.update(head)
        yield head
        for _, timestamps, values in dataset:
            for frame in (timestamp_codec.encode(timestamps), value_codec.encode(values)):
                digest.update(frame)
                yield frame
        yield digest.digest()

    def decode(self, data: Buffer) -> MetricDataset:
        """Read the frames into the arrays of a new data set."""
        view = as_bytes(data)
        if view[: len(self._first_line)].tobytes() != self._first_line:
            raise CorruptDataError(f"this is no {self.name} file: its first line differs")
        if xxhash.xxh3_64_digest(view[:-CHECKSUM_BYTES]) != view[-CHECKSUM_BYTES:].tobytes():
            raise CorruptDataError(f"the checksum differs: the {self.name} file is damaged or cut short")
        body = view[:-CHECKSUM_BYTES]
        at = len(self._first_line)
        size, behind = read_varint(body[at : at + 10].tobytes(), 0)
        keys = decode_keys(body[at + behind : at + behind + size].tobytes())
        at += behind + size
        columns = ((get_codec(self.timestamp_codec), INT64), (get_codec(self.value_codec), FLOAT64))
        frames = _find_frames(body, at, columns * len(keys))
        counts = [frame.size for _, frame in frames[::2]]
        if counts != [frame.size for _, frame in frames[1::2]]:
            raise CorruptDataError("a series has not as many values as timestamps: the file is damaged")
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        timestamps, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.float64)
        for i in range(len(keys)):
            for (codec, _), column, (start, frame) in zip(
                columns, (timestamps, values), frames[2 * i : 2 * i + 2], strict=True
            ):
                codec.decode(body[start : start + frame.length], out=column[offsets[i] : offsets[i + 1]])
        try:
            return MetricDataset(keys, offsets, timestamps, values)
        except ValueError as error:
            raise CorruptDataError(f"the file holds no valid data set: {error}") from error

    @property
    def _first_line(self) -> bytes:
        return f"squeezelab {self.name} 1\n".encode()


class DeltaOfDeltaXor(Columnar):
    """The lab's own file: timestamps as delta of delta, values as XOR, both after Gorilla.

    Laid out as `Columnar`, with frames of these codecs in place of raw ones.
    """

    name = "delta_of_delta+xor"
    timestamp_codec = "delta_of_delta"
    value_codec = "xor"


def _find_frames(
    body: Bytes, at: int, columns: tuple[tuple[ColumnCodec, np.dtype[Any]], ...]
) -> list[tuple[int, Frame]]:
    """Return where each frame begins, and its header; refuse what a codec or column cannot hold."""
    frames = []
    for codec, dtype in columns:
        frame = parse_frame(body[at:])
        codec.check_plausible(frame)
        if frame.dtype != dtype:
            raise CorruptDataError(f"a column of {frame.dtype} where {dtype} belongs: the file is damaged")
        frames.append((at, frame))
        at += frame.length
    if at != len(body):
        raise CorruptDataError(f"{len(body) - at} bytes follow the last series: the file is damaged")
    return frames
