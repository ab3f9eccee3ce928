"""Many columns in one call: the same frames and the same columns, and damage found as it is in one frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import COLUMNS, came_back, forge
from squeezelab import CorruptDataError
from squeezelab.codecs import available_codecs, get_codec, showcase_codecs
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs.base import GROUP, LONG, ColumnCodec

SPECS = [
    spec
    for spec in dict.fromkeys([*available_codecs(), *showcase_codecs(), "fpc:table=4", "fpc:table=12"])
    if get_codec(spec).takes_many
]
CASES = [(spec, dtype) for spec in SPECS for dtype in (INT64, FLOAT64) if dtype in get_codec(spec).dtypes]
every_case = pytest.mark.parametrize(("spec", "dtype"), CASES, ids=lambda one: str(one))


def some(dtype: np.dtype, *sizes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    steps = [rng.integers(14, 17, size) for size in sizes]
    return [np.cumsum(one) if dtype == INT64 else np.round(np.cumsum(one - 15) / 10, 1) for one in steps]


def test_codecs_of_ours_that_are_two_kernels_take_many() -> None:
    assert {"tally", "xor", "delta_of_delta", "chimp128", "alp", "fpc", "elf", "prometheus_xor"} <= set(SPECS)
    assert not {"raw", "zstd", "xor+zstd", "pattern"} & set(SPECS)


@every_case
@given(data=st.data())
def test_frames_and_columns_are_those_of_one_call_each(spec: str, dtype: np.dtype, data: st.DataObject) -> None:
    codec, columns = get_codec(spec), data.draw(st.lists(COLUMNS[dtype], max_size=5))
    frames = codec.encode_many(columns)
    assert frames == [codec.encode(column) for column in columns]
    for column, decoded in zip(columns, codec.decode_many(frames), strict=True):
        assert came_back(codec, decoded, column)


@every_case
def test_short_columns_take_one_call(spec: str, dtype: np.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, columns = get_codec(spec), some(dtype, 1, 2, 3, 1000, 17)

    def alone(*_: object) -> None:
        raise AssertionError("one by one")

    expected = [codec.encode(column) for column in columns]
    monkeypatch.setattr(type(codec), "encode", alone)
    monkeypatch.setattr(type(codec), "decode", alone)
    assert codec.encode_many(columns) == expected
    assert all(map(np.array_equal, codec.decode_many(expected), columns))


@pytest.mark.parametrize("spec", ["xor", "delta_of_delta", "prometheus_xor"])
def test_what_is_no_short_plain_array_is_encoded_all_the_same(spec: str) -> None:
    codec = get_codec(spec)
    dtype = codec.dtypes[0]
    (column,) = some(dtype, 60)
    many = [
        column[:0],
        column.tolist(),
        column[::2],
        column.astype(dtype.newbyteorder(">")),
        np.asfortranarray(column.reshape(6, 10)),
        *some(dtype, LONG + 1, 5),
    ]
    assert codec.encode_many(many) == [codec.encode(one) for one in many]
    for one, decoded in zip(many, codec.decode_many(codec.encode_many(many)), strict=True):
        assert decoded.tobytes() == np.asarray(one).tobytes("A")


def test_more_than_a_group_takes_several_calls() -> None:
    codec, columns = get_codec("xor"), some(FLOAT64, *[LONG - 1] * (GROUP // LONG + 3), 8)
    assert codec.encode_many(columns) == [codec.encode(column) for column in columns]


def test_columns_of_both_kinds_may_be_mixed() -> None:
    codec, columns = get_codec("prometheus_xor"), [*some(INT64, 5, 300), *some(FLOAT64, 7), *some(INT64, 1)]
    frames = codec.encode_many(columns)
    assert frames == [codec.encode(column) for column in columns]
    for column, decoded in zip(columns, codec.decode_many(frames), strict=True):
        assert (decoded.dtype, decoded.tobytes()) == (column.dtype, column.tobytes())


def rejects(codec: ColumnCodec, frames: list[bytes]) -> None:
    with pytest.raises(CorruptDataError):
        codec.decode_many(frames)


@every_case
def test_a_damaged_byte_in_any_frame_is_found(spec: str, dtype: np.dtype) -> None:
    codec = get_codec(spec)
    first, second, third = codec.encode_many(some(dtype, 20, 9, 30))
    for i in range(len(second)):
        rejects(codec, [first, second[:i] + bytes([second[i] ^ 1 << i % 8]) + second[i + 1 :], third])
        rejects(codec, [first, second[:i], third])
    rejects(codec, [first, second + third[:1], third])
    rejects(codec, [first + second])


@pytest.mark.bounds
@every_case
def test_a_forged_frame_is_rejected_or_read_as_it_is_alone(spec: str, dtype: np.dtype) -> None:
    codec, rng = get_codec(spec), np.random.default_rng(3)
    (column,) = some(dtype, 40)
    frame = codec.encode(column)
    payload = frame[3:-8]
    for _ in range(200):
        forged = bytearray(payload[: rng.integers(0, len(payload) + 1)] if rng.random() < 0.5 else payload)
        for _ in range(rng.integers(0, 4)):
            if forged:
                forged[rng.integers(len(forged))] = rng.integers(256)
        count = int(rng.choice([40, 39, 41, 1, 0, 10_000]))
        one = forge(codec.frame_name, dtype, bytes(forged), count)
        try:
            expected = codec.decode(one).tobytes()
        except CorruptDataError:
            rejects(codec, [frame, one, frame])
            continue
        assert [decoded.tobytes() for decoded in codec.decode_many([frame, one])] == [column.tobytes(), expected]


def test_an_empty_column_has_no_payload() -> None:
    """Of tally, not even the byte that tells the version."""
    rejects(get_codec("tally"), [forge("tally", FLOAT64, b"\2", 0)])


def test_a_frame_that_claims_more_than_its_bytes_can_hold_is_rejected_before_memory_is_asked_for() -> None:
    codec = get_codec("xor")
    rejects(codec, [codec.encode(np.zeros(3)), forge("xor", FLOAT64, b"\0" * 50, 2**60)])
