"""Victoria: decimals against a slow reading of VictoriaMetrics's, then each type of block, then what is lost."""

import math
from fractions import Fraction

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from columns import WORDS, float64_columns, forge, int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._decimal import power_of_ten
from squeezelab.codecs._frame import FLOAT64, INT64, read_varint, varint
from squeezelab.codecs.victoria import BLOCK, Victoria, zstd_level

STALE_NAN = 0x7FF0000000000002
SPECIAL = {math.inf: 2**63 - 1, -math.inf: -(2**63)}
STALE = 2**63 - 2


def zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def unzigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2


def wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def slow_decimal(value: float) -> tuple[int, int]:
    """Return the integer and the exponent of one float."""
    if math.isnan(value) or value in SPECIAL:
        return SPECIAL.get(value, STALE), 0
    if value < 0:
        number, exponent = slow_decimal(-value)
        return -number, exponent
    exponent, precision = 0, 1e12
    if value < 2**64 and value == int(value):
        number = int(value)
        while number >= 2**55:
            number, exponent = number // 10, exponent + 1
        while number and number % 10 == 0:
            number, exponent = number // 10, exponent + 1
        return number, exponent
    if value > 1e6 or value < 1e-6:
        precision = 1e15 if value > 1e6 else precision
        exponent = int(max(-1022, min(math.frexp(value)[1], 1023)) * (math.log(2) / math.log(10)))
        value *= power_of_ten(-exponent)
    while value < precision:
        fraction, whole = math.modf(value)
        if fraction * precision < whole or (1 - fraction) * precision < whole:
            value = whole if fraction * precision < whole else whole + 1
            break
        value, exponent = value * 100, exponent - 2
    number = int(value)
    return (number // 10, exponent + 1) if number % 10 == 0 else (number, exponent)


def slow_block(values: list[float]) -> tuple[list[int], int]:
    """Return a block's integers and the exponent they share."""
    pairs = [slow_decimal(value) for value in values]
    plain = [(number, exponent) for number, exponent in pairs if number not in (*SPECIAL.values(), STALE)]
    if not plain:
        return [number for number, _ in pairs], 0
    scale = min(exponent for _, exponent in plain)
    room = [(e, max(k for k in range(19) if abs(n) <= (2**63 - 1) // 10**k)) for n, e in plain if n]
    scale += max([0, *(exponent - scale - up for exponent, up in room)])
    scaled = {
        pair: int(math.copysign(1, pair[0])) * int(abs(pair[0]) * Fraction(10) ** (pair[1] - scale)) for pair in plain
    }
    return [scaled.get(pair, pair[0]) for pair in pairs], scale


def slow_blocks(payload: bytes, count: int, floats: bool) -> list[tuple[int, int, list[int]]]:
    """Read a payload as its layout is written down: type, exponent and integers of each block."""
    at, blocks = 0, []
    while count:
        size, kind, at, scale = min(count, BLOCK), payload[at], at + 1, 0
        if floats:
            scale, at = read_varint(payload, at)
        first, at = read_varint(payload, at)
        length, at = read_varint(payload, at)
        data, at, count = payload[at : at + length], at + length, count - size
        if kind in (1, 4):
            data = zstandard.ZstdDecompressor().decompress(data)
        steps, after = [], 0
        while after < len(data):
            step, after = read_varint(data, after)
            steps.append(unzigzag(step))
        if kind == 2:
            steps *= size - 1
        if kind in (1, 5):
            steps = np.cumsum(np.array(steps, np.int64)).tolist()
        numbers = np.cumsum(np.array([unzigzag(first), *(steps if kind != 3 else [0] * (size - 1))], np.int64)).tolist()
        assert len(numbers) == size
        blocks.append((kind, unzigzag(scale), numbers))
    assert at == len(payload)
    return blocks


def kinds(column: np.ndarray) -> list[int]:
    return [kind for kind, _, _ in slow_blocks(Victoria().pack(column), column.size, column.dtype == FLOAT64)]


@given(float64_columns() | st.lists(st.floats(), max_size=30).map(lambda values: np.array(values, np.float64)))
def test_values_become_the_decimals_of_victoriametrics(values: np.ndarray) -> None:
    blocks = slow_blocks(Victoria().pack(values), values.size, True)
    if values.size:
        assert (blocks[0][2], blocks[0][1]) == slow_block(values.tolist())


@pytest.mark.parametrize(
    ("values", "numbers", "scale"),
    [
        ([0.0, 0.0], [0, 0], 0),
        ([45.3, 7.25], [4530, 725], -2),
        ([-1.234], [-1234], -3),
        ([1200.0, 30.0], [120, 3], 1),
        ([1e6, 0.001], [10**9, 1], -3),
        ([1e20, 1.0, 0.5], [10**18, 0, 0], 2),
        ([math.inf, 0.5, -math.inf, math.nan], [2**63 - 1, 5, -(2**63), STALE], -1),
        ([2.0**54 + 4], [2**54 + 4], 0),
        ([1 / 3], [333333333333], -12),
    ],
)
def test_examples_of_decimals(values: list[float], numbers: list[int], scale: int) -> None:
    assert slow_blocks(Victoria().pack(np.array(values)), len(values), True) == [
        (kinds(np.array(values))[0], scale, numbers)
    ]


@pytest.mark.parametrize(
    ("value", "number", "scale"),
    [
        (1234567890123456789, 12345678901234567, 2),
        (2**54, 18014398509481984, 0),
        (2**55, 3602879701896396, 1),
        (2**63, 9223372036854775, 3),
        (2**67, 1475739525896764, 5),
        (1234567890123.4568, 12345678901234568, -4),
        (12345.67890123456789, 1234567890123, -8),
        (12.34567890123456789, 12345678901234, -12),
        (0.000874957, 874957, -9),
        (2.964393875e-100, 2964393875, -109),
        (2.964393875e-315, 2964393875047, -327),
        (5e-324, 494065645841, -335),
        (1.797393875e308, 1797393875, 299),
    ],
)
def test_decimals_are_those_that_victoriametrics_tests_for(value: float, number: int, scale: int) -> None:
    """Figures of its lib/decimal."""
    assert slow_blocks(Victoria().pack(np.array([value], np.float64)), 1, True) == [(3, scale, [number])]


@given(int64_columns())
def test_integers_are_read_by_the_layout_and_come_back(column: np.ndarray) -> None:
    blocks = slow_blocks(Victoria().pack(column), column.size, False)
    assert [number for _, _, numbers in blocks for number in numbers] == column.tolist()
    assert same_bits(Victoria().decode(Victoria().encode(column)), column)


@pytest.mark.parametrize("bits", range(64))
def test_differences_of_every_length_come_back(bits: int) -> None:
    steps = np.random.default_rng(bits).integers(0, 2**bits, 300, np.uint64)
    steps[::3] = 2**bits - 1
    steps[1::7] >>= np.uint64(bits // 2)
    for column in (np.cumsum(steps).view(np.int64), np.cumsum(np.cumsum(steps)).view(np.int64)):
        assert same_bits(Victoria().decode(Victoria().encode(column)), column)


@pytest.mark.bounds
def test_a_difference_without_an_end_is_rejected() -> None:
    for size in range(1, 12):
        payload = bytes([6]) + varint(0) + varint(size) + b"\xff" * size
        with pytest.raises(CorruptDataError, match="promises"):
            Victoria().decode(forge("victoria", INT64, payload, 2))


def test_every_type_of_block_is_chosen_for_what_it_holds() -> None:
    rng = np.random.default_rng(0)
    wild = rng.integers(0, 2**60, 100)
    gauge, counter = rng.integers(0, 50, 1000), np.cumsum(rng.integers(0, 50, 1000))
    assert kinds(np.full(9, 7)) == kinds(np.array([7])) == [3]
    assert kinds(np.arange(0, 90, 15)) == [2]
    assert kinds(gauge) == [4]
    assert kinds(counter) == [1]
    assert kinds(gauge[:100]) == [6], "too short for zstd"
    assert kinds(counter[:50]) == [5]
    assert kinds(wild) == [6], "zstd does not help"
    assert kinds(np.sort(wild)) == [5]
    assert kinds(-counter) == [4], "no counter is below zero"


def test_a_counter_may_start_anew_now_and_then() -> None:
    one = np.cumsum(np.random.default_rng(1).integers(1, 50, 100))
    assert kinds(np.concatenate([one, one, one])) == [1]
    assert kinds(np.concatenate([one, one - one[-1] // 2 + one[-1], one])) == [4], "no fall to less than an eighth"
    assert kinds(np.tile([1, 100, 3], 100)) == [4], "too often"


def test_a_block_has_8192_values_and_a_scale_of_its_own() -> None:
    values = np.concatenate([np.arange(BLOCK) / 10, np.full(BLOCK, 1e9), np.arange(5.0)])
    blocks = slow_blocks(Victoria().pack(values), values.size, True)
    assert [(kind, scale, len(numbers)) for kind, scale, numbers in blocks] == [
        (2, -1, BLOCK),
        (3, 9, BLOCK),
        (2, 0, 5),
    ]


def test_zstd_is_set_as_victoriametrics_sets_it() -> None:
    assert [zstd_level(count) for count in (1, 64, 65, 256, 257, 1024, 1025, 4096, 4097, 8192)] == [
        1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip


def test_decimals_of_few_digits_and_whole_numbers_come_back_to_the_bit() -> None:
    rng = np.random.default_rng(2)
    for places in range(7):
        values = np.round(rng.normal(0, 100, 5000), places) + 0.0
        assert same_bits(Victoria().decode(Victoria().encode(values)), values)
    whole = rng.integers(0, 2**53, 5000).astype(np.float64)
    assert same_bits(Victoria().decode(Victoria().encode(whole)), whole)


@given(st.lists(st.floats(allow_nan=False) | st.floats(-1e3, 1e3), min_size=1, max_size=20))
def test_what_is_lost_is_bounded_however_often_it_is_encoded(values: list[float]) -> None:
    """VictoriaMetrics's conversion does not settle: what it made of a number of many digits may lose once more."""
    original = np.array(values)
    for _ in range(3):
        decoded = Victoria().decode(Victoria().encode(original))
        finite = np.isfinite(original)
        assert np.array_equal(decoded[~finite], original[~finite])
        assert np.all(np.abs(decoded[finite] - original[finite]) <= Victoria().tolerance(original)[finite])
        original = decoded


@given(st.lists(WORDS, min_size=1, max_size=50))
def test_every_nan_comes_back_as_the_stale_marker_and_minus_zero_as_zero(words: list[int]) -> None:
    values = np.array([*words, STALE_NAN, 0x7FF8000000000123, 1 << 63], np.uint64).view(np.float64)
    decoded = Victoria().decode(Victoria().encode(values))
    assert set(decoded[np.isnan(values)].view(np.uint64).tolist()) == {STALE_NAN}
    assert not np.any(np.isnan(decoded[~np.isnan(values)]))
    assert set(decoded[values == 0].view(np.uint64).tolist()) == {0}


def test_a_full_precision_number_loses_its_last_digits() -> None:
    pi = Victoria().decode(Victoria().encode(np.array([math.pi])))[0]
    assert pi != math.pi
    assert abs(pi - math.pi) <= 1e-12 * math.pi


def test_it_is_lossy_and_so_is_a_chain_that_begins_with_it() -> None:
    assert Victoria().lossy
    assert get_codec("victoria+zstd").lossy
    assert not get_codec("xor+zstd").lossy


@pytest.mark.bounds
@pytest.mark.parametrize(
    ("dtype", "payload"),
    [
        (INT64, bytes([0]) + varint(0) + varint(1) + b"\0"),  # no type 0
        (INT64, bytes([7]) + varint(0) + varint(1) + b"\0"),  # nor 7
        (INT64, bytes([3]) + varint(0) + varint(1) + b"\0"),  # a constant has no data
        (INT64, bytes([6]) + varint(0) + varint(2) + b"\0\0"),  # too many differences
        (INT64, bytes([6]) + varint(0) + varint(0)),  # too few
        (INT64, bytes([6]) + varint(0) + varint(9) + b"\0"),  # data beyond the end
        (INT64, bytes([4]) + varint(0) + varint(4) + b"zstd"),  # no zstd frame
        (FLOAT64, bytes([6]) + varint(2 * 309) + varint(0) + varint(1) + b"\0"),  # no float is 10**309
        (FLOAT64, bytes([6]) + varint(2 * 401) + varint(0) + varint(1) + b"\0"),
    ],
)
def test_blocks_that_make_no_sense_are_rejected(dtype: np.dtype, payload: bytes) -> None:
    with pytest.raises(CorruptDataError):
        Victoria().decode(forge("victoria", dtype, payload, 2))


def test_a_zstd_frame_that_claims_too_much_is_rejected_before_memory_is_asked_for() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(10**6))
    payload = bytes([4]) + varint(0) + varint(len(bomb)) + bomb
    with pytest.raises(CorruptDataError, match="promises"):
        Victoria().decode(forge("victoria", INT64, payload, 100))
