"""Patterns: each is found, and encoded for what it is; packed integers by a slow reader."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import read_varint
from squeezelab.codecs._integers import Reader, pack_integers
from squeezelab.codecs.pattern import BLOCK, Pattern, find_period

RNG = np.random.default_rng(5)
N = 2000
SIGNAL = np.round(50 + 40 * np.sin(np.arange(288) / 288 * 2 * np.pi) + RNG.normal(size=288), 6)


def with_odd_ones(column: np.ndarray, *odd: float) -> np.ndarray:
    """Return the column with some values in other places."""
    column = column.copy()
    column[RNG.choice(column.size, len(odd), replace=False)] = odd
    return column


NOISY = np.diff(np.cumsum(RNG.integers(0, 4000, N + 1)) / 100) / 20

CASES = {
    # what it is found to be, the column, and the most bits a value may take
    "constant": ("constant", np.full(N, 0.1), 0.1),
    "constant NaN": ("constant", np.full(N, np.nan), 0.1),
    "powers of two": ("power of two", -(2.0 ** RNG.integers(-500, 500, N)), 10.4),
    "whole": ("whole", RNG.integers(-500, 500, N).astype(float), 10.4),
    "mostly whole": ("whole", with_odd_ones(RNG.integers(0, 1000, N) * 1.0, np.nan, -0.0, np.inf, 1 / 3), 12),
    "pages": ("whole", 4096.0 * RNG.integers(10**6, 10**6 + 1000, N), 10.4),
    "decimals": ("decimal", RNG.integers(0, 10**5, N) / 100, 17.4),
    "mostly decimals": ("decimal", with_odd_ones(RNG.integers(0, 10**5, N) / 100, np.nan, 0.001, 1e300), 21),
    "a decimal step": ("decimal", 5 * RNG.integers(0, 2000, N) / 100, 11.4),
    "products of a step": ("multiple", 0.05 * RNG.integers(0, 2000, N), 11.4),
    "noisy decimals": ("decimal", NOISY, 60),
    "a period": ("periodic", np.tile(SIGNAL, 7), 8),
    "a period that changes": ("periodic", with_odd_ones(np.tile(SIGNAL, 7), 0.1, 0.2, 0.3), 9),
    "few values": ("few", RNG.choice(RNG.normal(size=30), N), 6.3),
    "random": ("other", RNG.normal(size=N), 67),
    "even timestamps": ("regular", 1_700_000_000 + 15 * np.arange(N), 0.2),
    "late timestamps": ("regular", 1_700_000_000 + 15 * np.arange(N) + (RNG.random(N) < 0.03), 0.5),
    "equal timestamps": ("constant", np.full(N, -5), 0.1),
    "drifting timestamps": ("other", np.cumsum(15 + np.repeat([0, 1, 0, 2, 1], N // 5)), 1.5),
    "repeated ids": ("few", RNG.choice(RNG.integers(0, 2**62, 20), N), 6),
}


@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, 2 * BLOCK, 10**6])
@pytest.mark.parametrize("step", [0, 1, -7])
def test_whole_blocks_of_next_to_no_bytes_are_believed(count: int, step: int) -> None:
    column = step * np.arange(count)
    assert same_bits(Pattern().decode(Pattern().encode(column)), column)


@pytest.mark.parametrize(("kind", "column", "bits"), CASES.values(), ids=CASES)
def test_each_pattern_is_found_and_pays(kind: str, column: np.ndarray, bits: float) -> None:
    assert Pattern().find(column) == [kind]
    frame = Pattern().encode(column)
    assert same_bits(Pattern().decode(frame), column)
    assert 8 * len(frame) / column.size < bits


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_larger_than_its_fallback(name: str) -> None:
    column = CASES[name][1]
    fallback = "xor" if column.dtype == np.float64 else "delta_of_delta"
    assert len(Pattern().encode(column)) <= len(get_codec(fallback).encode(column)) + 5


def test_noise_takes_its_own_bits_only() -> None:
    # 22 bits of decimal and of noise, where XOR takes more than 50.
    assert len(Pattern().encode(NOISY)) < 0.75 * len(get_codec("xor").encode(NOISY))


def test_each_block_has_its_own_pattern() -> None:
    column = np.concatenate([np.full(BLOCK, 7.0), np.arange(BLOCK) * 1.0, RNG.normal(size=5)])
    assert Pattern().find(column) == ["constant", "whole", "other"]
    assert same_bits(Pattern().decode(Pattern().encode(column)), column)


def test_a_constant_column_of_any_length_can_be_read() -> None:
    column = np.full(20 * BLOCK + 1, 0.25)
    frame = Pattern().encode(column)
    assert len(frame) < 260
    assert same_bits(Pattern().decode(frame), column)


def test_the_layout_of_blocks() -> None:
    def payload(column: np.ndarray) -> str:
        return Pattern().pack(column).hex(" ")

    assert payload(np.full(3, 2)) == "01 08 02 00 00 00 00 00 00 00"
    # Start 100 and step 15 as zigzag, no exception.
    assert payload(100 + 15 * np.arange(99)) == "02 04 c8 01 1e 00"
    # Divisor 4; offsets from 2, of one bit each; no exception.
    assert payload(np.array([8.0, 12.0, 8.0, 8.0])) == "04 06 04 00 04 01 40 00"
    # One digit, divisor 1; offsets from 3 of two bits each; no exception.
    assert payload(np.array([0.3, 0.5, 0.4, 0.6])) == "05 07 01 01 00 06 02 27 00"


@pytest.mark.parametrize("period", [2, 3, 96, 1000])
def test_periods_are_found(period: int) -> None:
    words = np.tile(RNG.integers(0, 2**63, period).astype(np.uint64), 2 * N // period + 2)
    assert find_period(words, np.arange(period, words.size, 97).astype(np.uint64)) == period


def test_spikes_that_come_every_hour_are_a_period() -> None:
    column = np.zeros(10_000)
    column[5::240] = RNG.normal() * np.pi
    column[6::240] = RNG.normal()
    frame = Pattern().encode(column)
    assert len(frame) < 400
    assert same_bits(Pattern().decode(frame), column)


def unpacked(data: bytes, count: int) -> list[int]:
    """Read packed integers the slow way."""
    kind = data[0]
    first, at = read_varint(data, 1)
    first = (first >> 1) ^ -(first & 1)
    packed = []
    while len(packed) < count:
        width, block = data[at], min(64, count - len(packed))
        size = (width * block + 7) // 8
        bits = int.from_bytes(data[at + 1 : at + 1 + size], "big") >> (8 * size - width * block)
        packed += [bits >> width * (block - 1 - i) & ((1 << width) - 1) for i in range(block)]
        at += 1 + size
    assert at == len(data)
    if kind == 0:
        numbers = [first + one for one in packed]
    else:
        numbers = []
        for one in packed:
            first += (one >> 1) ^ -(one & 1)
            numbers.append(first)
    return [(one + 2**63) % 2**64 - 2**63 for one in numbers]


@given(int64_columns())
def test_packed_integers_are_read_by_a_slow_reader_and_a_fast_one(column: np.ndarray) -> None:
    data = pack_integers(column)
    assert unpacked(data, column.size) == column.tolist()
    buffer = np.frombuffer(data + bytes(8), np.uint8)
    reader = Reader(buffer, 0, len(data))
    assert same_bits(reader.integers(column.size), column)
    assert reader.at == len(data)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_packed_integers_that_are_none_are_corrupt(data: bytes, count: int) -> None:
    reader = Reader(np.frombuffer(data + bytes(8), np.uint8), 0, len(data))
    try:
        assert reader.integers(count).size == count
    except CorruptDataError:
        return
    assert reader.at <= len(data)
