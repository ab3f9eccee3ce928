"""Tally on integers of other widths, and on float32."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from columns import forge
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs.tally.widths import AS_BITS, AS_DOUBLES, widen

RNG = np.random.default_rng(3)
WALK = np.round(50 + np.cumsum(RNG.normal(size=5000)), 1)
COUNTS = np.cumsum(RNG.integers(0, 9, 5000))


def size(column: np.ndarray) -> int:
    return len(get_codec("tally").encode(column))


@pytest.mark.parametrize("dtype", ["int32", "int16", "uint64", "uint32", "uint16"])
def test_integers_take_what_they_take_as_int64(dtype: str) -> None:
    assert size(COUNTS.astype(dtype)) == size(COUNTS)


def test_decimals_of_float32_take_what_they_take_as_doubles() -> None:
    assert size(WALK.astype(np.float32)) == size(WALK) + 1


def test_float32_noise_takes_little_more_than_its_bits() -> None:
    noise = RNG.normal(size=5000).astype(np.float32)
    assert size(noise) < 1.01 * noise.nbytes
    assert {way[0] for way, _ in widen(noise)} == {AS_DOUBLES, AS_BITS}


@given(arrays(np.uint32, st.integers(0, 300), elements=st.integers(0, 2**32 - 1)))
def test_every_bit_of_float32_comes_back(words: np.ndarray) -> None:
    for level in (1, 2):
        codec = get_codec(f"tally:level={level}")
        assert np.array_equal(codec.decode(codec.encode(words.view(np.float32))).view(np.uint32), words)


def test_nans_that_arithmetic_would_change_are_kept_as_bits() -> None:
    signalling = np.array([0x7F800001], np.uint32).view(np.float32)
    assert [way for way, _ in widen(signalling)] == [bytes([AS_BITS])]


def payload(column: np.ndarray) -> bytes:
    return bytes(get_codec("tally").pack(column))


def test_integers_that_do_not_fit_are_damage() -> None:
    for dtype, number in (("int8", 128), ("uint8", -1), ("uint32", 2**32), ("int16", -(2**15) - 1)):
        with pytest.raises(CorruptDataError, match=f"beyond {dtype}"):
            get_codec("tally").decode(forge("tally", np.dtype(dtype), payload(np.array([number])), 1))
    bits = bytes([AS_BITS]) + payload(np.array([2**31]))
    with pytest.raises(CorruptDataError, match="beyond int32"):
        get_codec("tally").decode(forge("tally", np.dtype("float32"), bits, 1))


def test_an_unknown_way_is_damage() -> None:
    data = b"\x02" + payload(np.array([0.5]))
    with pytest.raises(CorruptDataError, match="in no way that there is"):
        get_codec("tally").decode(forge("tally", np.dtype("float32"), data, 1))


@pytest.mark.parametrize("dtype", [INT64, FLOAT64])
def test_columns_of_eight_bytes_are_coded_as_before(dtype: np.dtype) -> None:
    column = WALK.astype(dtype)
    ((way, same),) = widen(column)
    assert way == b""
    assert same is column
