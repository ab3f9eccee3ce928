"""Packed integers against a string of bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from squeezelab.codecs._packing import bit_width, pack_bits, packed_bytes, unpack_bits
from squeezelab.kernels.bits import READ_SLACK, WRITE_SLACK, U


@given(
    width=st.integers(0, 64),
    count=st.integers(0, 70),
    at=st.integers(0, 9),
    seed=st.integers(0, 2**32),
)
def test_integers_of_any_width_are_packed_without_gaps_from_any_byte_on(
    width: int, count: int, at: int, seed: int
) -> None:
    numbers = [int(word) >> (64 - width) for word in np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)]
    words = np.array(numbers, np.uint64)
    bits = "".join(f"{number:0{width}b}" for number in numbers) if width else ""
    bits += "0" * (-len(bits) % 8)
    expected = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))

    buffer = np.full(at + 8 * count + WRITE_SLACK, 0xAA, np.uint8)
    end = pack_bits(words, U(count), U(width), buffer, U(at))
    assert end == at + len(expected) == at + packed_bytes(U(count), U(width))
    assert bytes(buffer[:end]) == b"\xaa" * at + expected

    unpacked = np.full(count + 1, 7, np.uint64)
    buffer[end : end + READ_SLACK] = 0xFF
    unpack_bits(buffer, U(at), U(count), U(width), unpacked)
    assert unpacked.tolist() == [*numbers, 7]


@given(number=st.integers(0, 2**64 - 1))
def test_bit_width_is_that_of_the_number(number: int) -> None:
    assert bit_width(U(number)) == number.bit_length()
