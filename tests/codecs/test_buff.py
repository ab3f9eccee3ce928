"""BUFF against a slow decoder that reads like its layout, and against the authors' own bytes."""

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import SPECIAL_WORDS, float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64, read_varint
from squeezelab.codecs.buff import Buff

DATA = Path(__file__).parents[1] / "data" / "alp"
BITS = (0, 5, 8, 11, 15, 18, 21, 25, 28, 31, 35, 38)
LIMIT = 2**16


def slow_decode(payload: bytes, count: int) -> np.ndarray:
    least = int.from_bytes(payload[:8], "little", signed=True)
    size, before, after = np.frombuffer(payload[8:20], "<u4").tolist()
    assert size == count
    width, places = (before + after) % 2**32, BITS.index(after)
    tail = 20 + width // 8 * count
    end = tail + -(-(width % 8) * count // 8)
    stream = int.from_bytes(payload[tail:end], "little")
    values = np.empty(count)
    for i in range(count):
        offset = 0
        for plane in range(width // 8):
            offset = offset << 8 | payload[20 + plane * count + i]
        offset = offset << width % 8 | stream >> i * (width % 8) & (1 << width % 8) - 1
        values[i] = float(f"{round(Fraction(least + offset, 2**after) * 10**places)}e-{places}")
    exceptions, at = read_varint(payload, end)
    place = 0
    for _ in range(exceptions):
        step, at = read_varint(payload, at)
        place += step
        values[place] = np.frombuffer(payload[at : at + 8], "<f8")[0]
        at += 8
    assert at == len(payload)
    return values


def is_laid_out_as_described(values: np.ndarray) -> bool:
    same = same_bits(Buff().decode(Buff().encode(values)), values)
    return same and same_bits(slow_decode(Buff().pack(values).tobytes(), values.size), values)


@given(float64_columns())
def test_every_column_is_laid_out_as_described(values: np.ndarray) -> None:
    assert not values.size or is_laid_out_as_described(values)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=100), st.integers(0, 12))
def test_decimals_of_any_precision_are(numbers: list[int], places: int) -> None:
    assert is_laid_out_as_described(np.array([float(f"{number}e-{places}") for number in numbers], np.float64))


def test_special_values_are() -> None:
    assert is_laid_out_as_described(np.array(SPECIAL_WORDS * 9, np.uint64).view(np.float64))


def test_ranges_that_are_powers_of_two_and_falling_numbers_are() -> None:
    """The authors' program takes a bit too few for the first, and finds no largest number of the second."""
    assert is_laid_out_as_described(np.array([0.0, 256.0]))
    assert is_laid_out_as_described(np.array([2.5, 2.0, 0.5]))


def test_equal_numbers_take_a_header() -> None:
    assert len(Buff().pack(np.full(1000, 45.3))) == 21


def test_a_block_ends_after_65536_values() -> None:
    values = np.full(LIMIT + 1, 45.3)
    assert len(Buff().pack(values)) == 42
    assert same_bits(Buff().decode(Buff().encode(values)), values)


def test_the_authors_program_writes_these_bytes() -> None:
    """Function byte_fixed_encode with a scale of 100; no exceptions follow."""
    values = np.array([45.3, 45.1, -7.25, 12.0, 99.99, 0.01])
    expected = "c0f8ffffffffffff06000000070000000800000069680026d60e8c2c00d81302"
    assert Buff().pack(values).tobytes().hex() == expected + "00"


@pytest.mark.parametrize(
    ("name", "size", "digest"),
    [
        ("city_temperature_f", 1684, "732a641ff68f9ce0"),
        ("bird_migration_f", 2324, "441ff60378d1ba5a"),
        ("neon_air_pressure", 2196, "1abedcea6505d6cd"),
        ("arade4", 3348, "d5534c65c02a9fb7"),
    ],
)
def test_the_authors_program_makes_this_of_the_columns_of_alp(name: str, size: int, digest: str) -> None:
    payload = Buff().pack(np.loadtxt(DATA / f"{name}.csv")).tobytes()[:-1]
    assert (len(payload), hashlib.sha256(payload).hexdigest()[:16]) == (size, digest)


def header(count: int, before: int, after: int) -> bytes:
    return bytes(8) + np.array([count, before, after], "<u4").tobytes()


@pytest.mark.parametrize(
    "payload",
    [
        header(2, 8, 0)[:19],  # half a header
        header(3, 8, 0) + bytes(4),  # another number of values
        header(2, 8, 1) + bytes(4),  # a precision that there is not
        header(2, 64, 0) + bytes(17),  # a width too large
        header(2, 8, 0) + bytes(2),  # no count of exceptions
        header(2, 9, 0) + bytes(2),  # the last bits missing
        header(2, 8, 0) + bytes(4),  # a byte too many
        header(2, 0, 0) + b"\3" + bytes(27),  # more exceptions than values
        header(2, 0, 0) + b"\1\2" + bytes(8),  # an exception beyond the block
        header(2, 0, 0) + b"\1\1" + bytes(7),  # half an exception
    ],
)
def test_damage_is_rejected(payload: bytes) -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        Buff().decode(forge("buff", FLOAT64, payload, 2))
