"""The frame: header, checksum, one after another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec, split_frames
from squeezelab.codecs._frame import read_varint, varint


@given(st.integers(0, 2**64 - 1), st.binary())
def test_varints_come_back_and_say_where_they_end(number: int, after: bytes) -> None:
    assert read_varint(varint(number) + after, 0) == (number, len(varint(number)))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 9 + b"\x02", b"\xff" * 20])
def test_varints_that_are_cut_or_too_large_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptDataError):
        read_varint(data, 0)


def test_the_layout_of_a_frame() -> None:
    frame = get_codec("raw").encode(np.arange(300))
    assert frame[:5] == b"\xd1" + b"\xac\x02" + b"\xe0\x12"  # int64, 300 values, 2400 bytes
    assert frame[5:-8] == np.arange(300).tobytes()
    assert get_codec("raw").encode(np.zeros(0))[:-8] == b"\xd2\x00\x00"


def test_frames_can_be_read_one_after_another() -> None:
    columns = {"xor": np.array([1.5]), "delta_of_delta": np.arange(1000), "raw": np.zeros(0)}
    data = b"".join(get_codec(spec).encode(column) for spec, column in columns.items())
    for buffer in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        frames = list(split_frames(buffer))
        for frame, (spec, column) in zip(frames, columns.items(), strict=True):
            assert np.array_equal(get_codec(spec).decode(frame), column)
    assert list(split_frames(b"")) == []


def test_frames_behind_which_none_begins_are_corrupt() -> None:
    frame = get_codec("xor").encode(np.arange(9.0))
    for after in (b"\0", b"\xd1", frame[:-1], frame[1:]):
        frames = split_frames(frame + after)
        assert next(frames) == frame
        with pytest.raises(CorruptDataError):
            next(frames)


@pytest.mark.parametrize(
    ("spec", "column", "frame"),
    [
        ("raw", np.array([1, 2, 3]), "d10318010000000000000002000000000000000300000000000000c2367b9def544e98"),
        ("delta_of_delta", np.array([1000, 1015, 1030, 1046, 1060, 1075]), "d10608d00f1e4010045d50523fab57ca4044aa"),
        ("xor", np.array([12.0, 24.0, 24.0, -0.0, np.inf]), "d2050f4028000000000000d60d80dc03dffe25f34188d492d29e"),
    ],
)
def test_frames_stay_readable_for_good(spec: str, column: np.ndarray, frame: str) -> None:
    # Recorded when the layout was made: a change here breaks every frame ever written.
    assert get_codec(spec).encode(column).hex() == frame
