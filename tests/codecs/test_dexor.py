"""DeXOR against a slow decoder that reads like its layout, and against the authors' own bytes."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import SPECIAL_WORDS, float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.dexor import DeXor

DATA = Path(__file__).parents[1] / "data" / "alp"


def cut_off(number: float, place: int) -> int:
    quotient = number / float(f"1e{place}")
    if quotient == int(quotient):
        return int(quotient)
    return math.floor(quotient + 1e-6) if quotient > 0 else math.ceil(quotient - 1e-6)


class Bits:
    def __init__(self, payload: bytes) -> None:
        self.bits, self.at = "".join(f"{byte:08b}" for byte in payload), 0

    def take(self, count: int) -> int:
        self.at += count
        assert self.at <= len(self.bits)
        return int("0" + self.bits[self.at - count : self.at], 2)


def slow_decode(payload: bytes, count: int) -> np.ndarray:
    bits, values = Bits(payload), np.empty(count)
    last, end, digits, exponent, length, calm = 0.0, 0, 0, 1023, 1, 0
    for i in range(count):
        kind = bits.take(2)
        if kind == 3:
            number = bits.take(length)
            if number == 2**length - 1:
                word, length, calm = bits.take(64), min(length + 1, 10), 0
                exponent = word >> 52 & 2047
            else:
                difference = number - 2 ** (length - 1) + 1
                exponent += difference
                word = bits.take(1) << 63 | exponent << 52 | bits.take(52)
                if length > 1:
                    calm = calm + 1 if abs(difference) < 2 ** (length - 2) else 0
                if calm == 8:
                    length, calm = length - 1, 0
            values[i] = np.uint64(word).view(np.float64)
            continue
        end = bits.take(5) - 20 if kind == 0 else end
        digits = digits if kind == 2 else bits.take(4)
        front = cut_off(last, end + digits)
        positive = bits.take(1) if front == 0 else front > 0
        total = front * 10**digits + (1 if positive else -1) * bits.take(math.ceil(digits * math.log2(10)))
        last = values[i] = float(total) * 10.0**end if end >= 0 else float(total) / 10.0**-end
    assert len(bits.bits) - bits.at < 8
    return values


def is_laid_out_as_described(values: np.ndarray) -> bool:
    same = same_bits(DeXor().decode(DeXor().encode(values)), values)
    return same and same_bits(slow_decode(DeXor().pack(values).tobytes(), values.size), values)


@given(float64_columns())
def test_every_column_is_laid_out_as_described(values: np.ndarray) -> None:
    assert is_laid_out_as_described(values)


@given(st.lists(st.integers(-(10**15), 10**15), max_size=100), st.integers(-10, 18))
def test_decimals_of_any_size_are(numbers: list[int], places: int) -> None:
    assert is_laid_out_as_described(np.array([float(f"{number}e{-places}") for number in numbers], np.float64))


def test_special_values_and_exponents_far_apart_and_near_are() -> None:
    assert is_laid_out_as_described(np.array(SPECIAL_WORDS * 9, np.uint64).view(np.float64))
    rng = np.random.default_rng(0)
    assert is_laid_out_as_described(np.concatenate([rng.random(50) * 2.0 ** rng.integers(-9, 9, 50), rng.random(99)]))


def test_the_authors_program_writes_these_bytes() -> None:
    """DoubleDeXOREncoder with its default settings."""
    values = np.array([45.3, 45.1, 45.1, 0.01, -7.25, 12.0, 1200.0, 1 / 3, 2 / 3, 0.0])
    expected = "26771511409240014d6a9428c2c519cff555555555555578aaaaaaaaaaaaa5100000"
    assert DeXor().pack(values).tobytes().hex() == expected


@pytest.mark.parametrize(
    ("name", "size", "digest"),
    [
        ("basel_wind_f", 3775, "8c259de2223bf07a"),
        ("bird_migration_f", 1936, "d9c8010c57d453a6"),
        ("city_temperature_f", 1596, "746813f271985017"),
        ("food_prices", 1319, "acfb56a37d9fc2fe"),
        ("ssd_hdd_benchmarks_f", 2115, "31d950871494e972"),
        ("stocks_usa_c", 778, "da58225465a0230c"),
    ],
)
def test_the_authors_program_makes_this_of_the_columns_of_alp(name: str, size: int, digest: str) -> None:
    payload = DeXor().pack(np.loadtxt(DATA / f"{name}.csv")).tobytes()
    assert (len(payload), hashlib.sha256(payload).hexdigest()[:16]) == (size, digest)


def test_digits_behind_others_that_are_only_noise_come_back() -> None:
    """The authors' program takes these for 0.0635 and 0.1425."""
    assert is_laid_out_as_described(np.array([0.0635000000000218, 0.1425000000001091, 0.0585000000000945]))


@pytest.mark.parametrize(
    "bits",
    [
        "",  # nothing
        "00" + "11111" + "1111" + "1" * 56,  # digits beyond the table of powers
        "00" + "00000" + "1111" + "1" + "0" * 20,  # cut short
        "11" + "1" + "0" * 60,  # half an exception
        "11" + "0" + "0" * 40,  # half another
        "01" + "0001" + "1" + "0001" + "0" * 13,  # a byte too many
    ],
)
def test_damage_is_rejected(bits: str) -> None:
    bits += "0" * (-len(bits) % 8)
    payload = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    with pytest.raises(CorruptDataError):
        DeXor().decode(forge("dexor", FLOAT64, payload, 1))


def test_an_exponent_beyond_all_is_rejected() -> None:
    """Ten as they are make ten bits for a difference; four of +511 are too many."""
    bits = "".join("11" + "1" * length + f"{1023 << 52:064b}" for length in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
    bits += ("11" + "1111111110" + "0" * 53) * 3
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    with pytest.raises(CorruptDataError, match="promises"):
        DeXor().decode(forge("dexor", FLOAT64, payload, 13))
