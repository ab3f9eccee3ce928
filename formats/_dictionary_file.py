"""Base of the lab's own files whose body is read in one go, and the columns that most of them consist of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import Bytes, Frame, parse_frame
from squeezelab.codecs.base import GROUP, Column, ColumnCodec
from squeezelab.dataset import WORD, MetricDataset, SeriesKey, to_words
from squeezelab.errors import CorruptDataError
from squeezelab.formats._sealed import seal, unseal
from squeezelab.formats.base import Buffer, Format


class DictionaryFile(Format):
    """Base of files that name their series once.

    A subclass gives `body` and `parse`; around the body lies what `squeezelab.formats._sealed` draws.
    """

    @abstractmethod
    def body(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield what comes between dictionary and checksum."""

    @abstractmethod
    def parse(self, keys: list[SeriesKey], body: Bytes) -> MetricDataset:
        """Read the body of a file of these series; `CHECKSUM_BYTES` after it may be read.

        Raises
        ------
        CorruptDataError
            If it is none.
        """

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield head, body and checksum."""
        yield from seal(type(self).name, dataset.keys, self.body(dataset))

    def decode(self, data: Buffer) -> MetricDataset:
        """Check the whole file and read its body."""
        keys, body = self.unsealed(data)
        return self.parsed(self.parse, keys, body)

    def parsed(
        self, parse: Callable[[list[SeriesKey], Bytes], MetricDataset], keys: list[SeriesKey], body: Bytes
    ) -> MetricDataset:
        """Parse a body; whatever makes no data set of it is damage."""
        try:
            return parse(keys, body)
        except ValueError as error:
            if isinstance(error, CorruptDataError):
                raise
            raise CorruptDataError(f"the file holds no valid data set: {error}") from error

    def unsealed(self, data: Buffer, version: int = 1) -> tuple[list[SeriesKey], Bytes]:
        """Check the whole file, which is of a version; return its series and its body.

        Raises
        ------
        CorruptDataError
            If the bytes are not one whole, undamaged file of this format.
        """
        keys, file, at = unseal(type(self).name, data, version)
        return keys, file[at:]


class Decoded(NamedTuple):
    """One column of all series: its values, or words that stand for them where they are of several dtypes."""

    values: npt.NDArray[Any]
    dtypes: list[np.dtype[Any]]


def encode_columns(series: Iterable[Sequence[Column]], codecs: Sequence[ColumnCodec]) -> Iterator[bytes]:
    """Yield the frames of each series' columns, one after another; many short series are encoded at once.

    Parameters
    ----------
    series : iterable of sequences of arrays
        As many columns of each as there are codecs.
    codecs : sequence of ColumnCodec
        Which encodes which.
    """
    batch: list[Sequence[Column]] = []
    values = 0
    for one in series:
        batch.append(one)
        values += one[0].size
        if values > GROUP:
            yield from _encode_batch(batch, codecs)
            batch, values = [], 0
    if batch:
        yield from _encode_batch(batch, codecs)


def _encode_batch(batch: Sequence[Sequence[Column]], codecs: Sequence[ColumnCodec]) -> Iterator[bytes]:
    columns = zip(*batch, strict=True)
    frames = [codec.encode_many(each) for codec, each in zip(codecs, columns, strict=True)]
    return chain.from_iterable(zip(*frames, strict=True))


def decode_columns(
    body: Bytes, series: int, codecs: Sequence[tuple[ColumnCodec, Sequence[np.dtype[Any]]]]
) -> tuple[npt.NDArray[np.int64], list[Decoded]]:
    """Read the frames of all series, each as many as there are codecs, into one array a codec.

    Parameters
    ----------
    body : uint8[]
        All frames, and nothing else.
    series : int
        How many series there are.
    codecs : sequence of (ColumnCodec, dtypes)
        What a series' columns are, in their order, and of which dtypes each may be.

    Returns
    -------
    offsets : int64[series + 1]
    columns : list of Decoded
        The samples of all series, for each codec.

    Raises
    ------
    CorruptDataError
        If a frame is damaged or of another kind, or a series' columns differ in length.
    """
    width = len(codecs)
    frames = _find_frames(body, [*codecs] * series)
    counts = [frame.size for _, frame in frames[::width]]
    for place in range(1, width):
        if counts != [frame.size for _, frame in frames[place::width]]:
            raise CorruptDataError("a series' columns differ in length: the file is damaged")
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    columns = [
        _decode(body, frames[place::width], offsets, codec, dtypes[0]) for place, (codec, dtypes) in enumerate(codecs)
    ]
    return offsets, columns


def _decode(
    body: Bytes,
    frames: Sequence[tuple[int, Frame]],
    offsets: npt.NDArray[np.int64],
    codec: ColumnCodec,
    usual: np.dtype[Any],
) -> Decoded:
    """Read the frames of one column, into place where that is as wide as its numbers."""
    dtypes = [frame.dtype for _, frame in frames]
    kinds = set(dtypes) or {usual}
    column = np.empty(offsets[-1], WORD if len(kinds) > 1 else kinds.pop())
    together = codec.takes_many and len(set(dtypes)) == 1
    for run in _runs([frame.size for _, frame in frames], GROUP if together else 0):
        data = [body[start : start + frame.length] for start, frame in frames[run]]
        place, dtype = column[offsets[run.start] : offsets[run.stop]], dtypes[run.start]
        if len(data) > 1:
            np.concatenate(codec.decode_many(data), out=place)
        elif dtype.itemsize == column.dtype.itemsize:
            codec.decode(data[0], out=place.view(dtype))
        else:
            place[:] = to_words(codec.decode(data[0]))
    return Decoded(column, dtypes)


def _runs(counts: Sequence[int], enough: int) -> Iterator[slice]:
    """Yield runs of series whose values are enough, or that are the last; each alone where none need be."""
    first = values = 0
    for i, count in enumerate(counts):
        values += count
        if values >= enough or i + 1 == len(counts):
            yield slice(first, i + 1)
            first, values = i + 1, 0


def _find_frames(
    body: Bytes, columns: Sequence[tuple[ColumnCodec, Sequence[np.dtype[Any]]]]
) -> list[tuple[int, Frame]]:
    """Return where each frame begins, and its header; reject what a codec or column cannot hold."""
    frames, at = [], 0
    for codec, dtypes in columns:
        frame = parse_frame(body[at:])
        codec.check_plausible(frame)
        if frame.dtype not in dtypes:
            wanted = " or ".join(map(str, dtypes))
            raise CorruptDataError(f"a column of {frame.dtype} where {wanted} belongs: the file is damaged")
        frames.append((at, frame))
        at += frame.length
    if at != len(body):
        raise CorruptDataError(f"{len(body) - at} bytes follow the last series: the file is damaged")
    return frames
