"""Files of columns: the series dictionary, then a frame of timestamps and one of values for each series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, INT64, Bytes, Frame, parse_frame
from squeezelab.codecs.base import ColumnCodec
from squeezelab.dataset import MetricDataset
from squeezelab.errors import CorruptDataError
from squeezelab.formats._sealed import seal, unseal
from squeezelab.formats.base import Buffer, Format


class Columnar(Format):
    """Arrays as they lie in memory, beside a dictionary of the series: the plain columnar baseline.

    Notes
    -----
    ::

        frames      for each series its timestamps, then its values (`squeezelab.codecs._frame`)

    Around them lies what `squeezelab.formats._sealed` draws.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data()
    >>> file = Columnar().encode(dataset)
    >>> Columnar().decode(file).fingerprint == dataset.fingerprint
    True
    """

    name = "columnar"
    kind = "general"
    timestamp_codec: str = "raw"
    value_codec: str = "raw"

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the head, the two frames of each series, and the checksum."""
        yield from seal(self.name, dataset.keys, self._frames(dataset))

    def _frames(self, dataset: MetricDataset) -> Iterator[bytes]:
        timestamp_codec, value_codec = get_codec(self.timestamp_codec), get_codec(self.value_codec)
        for _, timestamps, values in dataset:
            yield timestamp_codec.encode(timestamps)
            yield value_codec.encode(values)

    def decode(self, data: Buffer) -> MetricDataset:
        """Read the frames into the arrays of a new data set."""
        keys, body, at = unseal(self.name, data)
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


class DeltaOfDeltaXor(Columnar):
    """The lab's own file: timestamps as delta of delta, values as XOR, both after Gorilla.

    Laid out as `Columnar`, with frames of these codecs in place of raw ones.
    """

    name = "delta_of_delta+xor"
    kind = "papers"
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
