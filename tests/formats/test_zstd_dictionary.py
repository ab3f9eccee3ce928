"""A file with a trained dictionary: what it is trained on, what counts, and what becomes of damage to it."""

import numpy as np
import pytest
import zstandard

from squeezelab import CorruptDataError, MetricDataset, SeriesKey
from squeezelab.codecs._frame import parse_frame, read_varint, varint
from squeezelab.formats import get_format
from squeezelab.formats._sealed import seal
from squeezelab.formats.zstd_dictionary import ZstdDictionary, train

TIMES = 1_700_000_000 + np.cumsum(np.random.default_rng(5).integers(1, 10**6, 500))


def alike(count: int) -> MetricDataset:
    """Series whose timestamps, each unlike the one before, are those of all others."""
    keys = [SeriesKey("cpu", {"host": str(i)}) for i in range(count)]
    values = np.random.default_rng(2).integers(0, 9, 500 * count) / 10
    return MetricDataset(keys, np.arange(count + 1) * 500, np.tile(TIMES, count), values)


def body_of(file: bytes) -> bytes:
    fmt = ZstdDictionary()
    return bytes(fmt.unsealed(file)[1])


def test_what_all_series_share_is_in_the_dictionary_and_not_in_each() -> None:
    body = body_of(ZstdDictionary().encode(alike(64)))
    size, at = read_varint(body, 0)
    dictionary, frames = body[at : at + size], np.frombuffer(body[at + size :], np.uint8)
    timestamps = parse_frame(frames)
    payload = frames[timestamps.start : timestamps.stop].tobytes()
    alone = zstandard.ZstdCompressor(level=9).compress(TIMES.tobytes())
    assert len(payload) < len(alone) / 3
    given = zstandard.ZstdCompressionDict(dictionary)
    assert zstandard.ZstdDecompressor(dict_data=given).decompress(payload) == TIMES.tobytes()


def test_seven_in_eight_are_not_trained_on() -> None:
    data = alike(16)
    values = data.values.copy()
    values[np.arange(values.size) // 500 % 8 != 0] = np.pi
    other = MetricDataset(data.keys, data.offsets, data.timestamps, values)
    assert train(data, 9) == train(other, 9) != b""


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_series_have_none_and_come_back(count: int) -> None:
    data = (
        alike(9).select(range(count)) if count else MetricDataset([], np.zeros(1, np.int64), TIMES[:0], TIMES[:0] / 1)
    )
    if count:
        data = MetricDataset(data.keys, np.array([0, 3]), data.timestamps[:3], data.values[:3])
    file = ZstdDictionary().encode(data)
    assert body_of(file)[0] == 0
    assert ZstdDictionary().decode(file).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "start", [b"\x80", varint(10**9), varint(200_000) + bytes(200_000), varint(3) + b"\x01\x02\x03"]
)
def test_a_dictionary_that_is_none_is_rejected(start: bytes) -> None:
    body = body_of(ZstdDictionary().encode(alike(9)))
    size, at = read_varint(body, 0)
    file = b"".join(seal("zstd_dictionary", alike(9).keys, [start + body[at + size :]]))
    with pytest.raises(CorruptDataError):
        ZstdDictionary().decode(file)


def test_levels_are_as_zstd_has_them() -> None:
    assert get_format("zstd_dictionary:level=19").level == 19
