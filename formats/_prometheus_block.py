"""A block of Prometheus: which bytes of its chunks and its index are of which series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from squeezelab.dataset import SeriesKey
from squeezelab.formats.base import SeriesBytes

_SEGMENT_HEAD, _SEGMENT_BYTES = 8, 512 * 2**20
_INDEX_HEAD, _CONTENTS, _CRC, _LENGTH, _COUNT, _REFERENCE = 5, 6 * 8 + 4, 4, 4, 4, 4
_SERIES_ALIGNMENT, _LIST_ALIGNMENT = 16, 4
_NAME = b"__name__"

Labels = tuple[tuple[bytes, bytes], ...]


class Chunk(NamedTuple):
    """A chunk as the index knows it: times of its first and last sample in milliseconds, and its bytes on disk."""

    first: int
    last: int
    size: int


def block_bytes(
    keys: Sequence[SeriesKey], chunks: Sequence[Sequence[Chunk]], *, label_indices: bool = False
) -> SeriesBytes:
    """Say what a block of these series takes on disk: the files of chunks, and the index, to the byte.

    Parameters
    ----------
    keys : sequence of SeriesKey
        The series; labels without a value are none to Prometheus.
    chunks : sequence of sequences of Chunk
        Of each; a series without chunks is not in the block.
    label_indices : bool
        Whether the index has the sections of label values that nothing reads, as it had until Prometheus' pull request
        16968 of 2025.

    Returns
    -------
    SeriesBytes
        What several series share, their labels' texts and the heads of lists, is divided evenly among these.

    References
    ----------
    Prometheus, tsdb/docs/format/index.md and chunks.md; compared with blocks of 2.42.

    Examples
    --------
    >>> sizes = block_bytes([SeriesKey("up", {"host": "a"})], [[Chunk(0, 15_000, 24)]])
    >>> sizes.samples.tolist(), sizes.index.tolist(), sizes.samples_head, sizes.index_head
    ([24], [104.0], 8, 99)
    """
    index = _Index(len(keys), label_indices)
    texts = [_labels_of(key) for key in keys]
    order = sorted((i for i in range(len(keys)) if chunks[i]), key=texts.__getitem__)
    samples = np.array([sum(chunk.size for chunk in one) for one in chunks], np.int64)
    heads = index.write([(i, texts[i], chunks[i]) for i in order])
    return SeriesBytes(samples, index.bytes, heads, index.head)


class _Index:
    """Walks through an index file as it is written, and books its bytes."""

    def __init__(self, series: int, label_indices: bool) -> None:
        self.bytes = np.zeros(series)
        self.head = 0
        self._label_indices = label_indices

    def write(self, series: Sequence[tuple[int, Labels, Sequence[Chunk]]]) -> int:
        """Book all sections, and return the bytes of the heads of the files of chunks."""
        users: dict[tuple[bytes, bytes], list[int]] = {}
        symbols: dict[bytes, list[int]] = {b"": []}
        for i, labels, _ in series:
            for pair in labels:
                users.setdefault(pair, []).append(i)
            for text in {text for pair in labels for text in pair}:
                symbols.setdefault(text, []).append(i)
        self.head += _INDEX_HEAD + _LENGTH + _COUNT + _CRC + _CONTENTS
        numbers = {}
        for number, text in enumerate(sorted(symbols)):
            numbers[text] = number
            self._divide(_text_bytes(text), symbols[text])
        at = _INDEX_HEAD + _LENGTH + _COUNT + sum(map(_text_bytes, symbols)) + _CRC
        at, segments = self._series(series, numbers, at)
        names: dict[bytes, list[int]] = {}
        values: dict[bytes, int] = {}
        for (name, _), some in users.items():
            names[name] = sorted({*names.get(name, ()), *some})
            values[name] = values.get(name, 0) + 1
        if self._label_indices:
            at = self._label_values(names, values, at)
        padded = _align(at, _LIST_ALIGNMENT)
        self.head += padded - at
        self._postings(users, [i for i, _, _ in series], padded)
        return segments * _SEGMENT_HEAD

    def _series(
        self, series: Sequence[tuple[int, Labels, Sequence[Chunk]]], numbers: dict[bytes, int], at: int
    ) -> tuple[int, int]:
        """Book an entry for each series, with the padding before it; return where they end, and the segments."""
        segments, offset = 0, _SEGMENT_BYTES
        for i, labels, chunks in series:
            references = []
            for chunk in chunks:
                if offset + chunk.size > _SEGMENT_BYTES:
                    segments, offset = segments + 1, _SEGMENT_HEAD
                references.append((segments - 1) << 32 | offset)
                offset += chunk.size
            size = sum(_entry_bytes(labels, numbers, chunks, references))
            end = _align(at, _SERIES_ALIGNMENT) + _varint_bytes(size) + size + _CRC
            self.bytes[i] += end - at
            at = end
        return at, segments

    def _label_values(self, names: dict[bytes, list[int]], values: dict[bytes, int], at: int) -> int:
        """Book the lists of each label's values, and the table of where they are."""
        self.head += _LENGTH + _COUNT + _CRC
        for name in sorted(names):
            begin = _align(at, _LIST_ALIGNMENT)
            end = begin + _LENGTH + 2 * _COUNT + _REFERENCE * values[name] + _CRC
            self._divide(end - at + 1 + _text_bytes(name) + _varint_bytes(begin), names[name])
            at = end
        return at

    def _postings(self, users: dict[tuple[bytes, bytes], list[int]], every: list[int], at: int) -> None:
        """Book the list of series of each label, the list of all, and the table of where lists are."""
        self.head += _LENGTH + _COUNT + _CRC
        for pair, some in [((b"", b""), every), *sorted(users.items())]:
            entry = 1 + sum(map(_text_bytes, pair)) + _varint_bytes(at)
            head = _LENGTH + _COUNT + _CRC
            self.bytes[some] += _REFERENCE
            self._divide(head + entry, some if pair[0] else [])
            at += head + _REFERENCE * len(some)

    def _divide(self, size: int, series: list[int]) -> None:
        """Book bytes on those who use them in equal parts; what nobody uses is everybody's."""
        if series:
            self.bytes[series] += size / len(series)
        else:
            self.head += size


def _labels_of(key: SeriesKey) -> Labels:
    named = {name.encode("utf-8", "surrogatepass"): value for name, value in key.labels.items()}
    every = named | {_NAME: key.metric_name}
    return tuple((name, every[name].encode("utf-8", "surrogatepass")) for name in sorted(every) if every[name])


def _entry_bytes(
    labels: Labels, numbers: dict[bytes, int], chunks: Sequence[Chunk], references: Sequence[int]
) -> Iterator[int]:
    """Yield the bytes of each number in a series' entry."""
    yield _varint_bytes(len(labels))
    for pair in labels:
        yield from (_varint_bytes(numbers[text]) for text in pair)
    yield _varint_bytes(len(chunks))
    yield _varint_bytes(_zigzag(chunks[0].first)) + _varint_bytes(references[0])
    yield from (_varint_bytes(_unsigned(chunk.last - chunk.first)) for chunk in chunks)
    yield from (_varint_bytes(_unsigned(b.first - a.last)) for a, b in pairwise(chunks))
    yield from (_varint_bytes(_zigzag(b - a)) for a, b in pairwise(references))


def _align(at: int, to: int) -> int:
    return -(-at // to) * to


def _text_bytes(text: bytes) -> int:
    return _varint_bytes(len(text)) + len(text)


def _varint_bytes(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))


def _zigzag(number: int) -> int:
    return _unsigned(number << 1 ^ number >> 63)


def _unsigned(number: int) -> int:
    return number % 2**64
