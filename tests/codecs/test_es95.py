"""Es95 against a slow decoder that reads like its layout, and against what a copy of Elasticsearch's Java wrote."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import SPECIAL_WORDS, float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64, read_varint
from squeezelab.codecs.es95 import Es95

DATA = Path(__file__).parents[1] / "data" / "alp"


def unpacked(data: bytes, width: int) -> list[int]:
    """Return the 128 numbers of a block."""
    if width == 0:
        return [0] * 128
    if width > 32:
        return [int.from_bytes(data[i : i + width // 8], "little") for i in range(0, len(data), width // 8)]
    words = np.frombuffer(data, "<u8").tolist()
    lane = 32 if width > 16 else 16 if width > 8 else 8
    numbers = []
    for first in range(64 - lane, -1, -lane):
        lanes = [f"{word >> first & 2**lane - 1:0{lane}b}" for word in words]
        whole = lane // width
        numbers += [int(one[k * width : k * width + width], 2) for k in range(whole) for one in lanes]
        rest = "".join(one[whole * width :] for one in lanes)
        numbers += [int(rest[i : i + width], 2) for i in range(0, len(rest), width)]
    return numbers


def signed(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def sortable(number: int) -> int:
    return number if number >= 0 else number ^ 2**63 - 1


def slow_decode(payload: bytes) -> np.ndarray:
    at, values = 0, []
    while at < len(payload):
        stages, width = payload[at : at + 2]
        block = [signed(number) for number in unpacked(payload[at + 2 : at + 2 + 16 * width], width)]
        at += 2 + 16 * width
        divisor, least, first = 1, 0, None
        if stages & 8:
            divisor, at = read_varint(payload, at)
            divisor += 2
        if stages & 4:
            least, at = read_varint(payload, at)
            least = least >> 1 ^ -(least & 1)
        if stages & 2:
            first, at = read_varint(payload, at)
            first = first >> 1 ^ -(first & 1)
        block = [signed(number * divisor + least) for number in block]
        if first is not None:
            for i in range(128):
                block[i] = first = signed(block[i] + first)
        if stages & 1:
            e, f, exceptions = payload[at : at + 3]
            at += 3
            step = float(f"1e{f}") * float(f"1e-{e}")
            block = [sortable(int(np.float64(number * step).view(np.int64))) for number in map(float, block)]
            for _ in range(exceptions):
                block[payload[at]] = int.from_bytes(payload[at + 1 : at + 9], "little", signed=True)
                at += 9
        assert stages & 0xF0 == 0x10
        values += map(sortable, block)
    return np.array(values, np.int64).view(np.float64)


def is_laid_out_as_described(values: np.ndarray) -> bool:
    filled = np.concatenate([values, np.zeros(-values.size % 128)])
    same = same_bits(Es95().decode(Es95().encode(values)), values)
    return same and same_bits(slow_decode(Es95().pack(values).tobytes()), filled)


@given(float64_columns())
def test_every_column_is_laid_out_as_described(values: np.ndarray) -> None:
    assert not values.size or is_laid_out_as_described(values)


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=300), st.integers(0, 9), st.booleans())
def test_decimals_and_counters_are(numbers: list[int], places: int, rising: bool) -> None:
    numbers = sorted(numbers) if rising else numbers
    assert is_laid_out_as_described(np.array([float(f"{number}e-{places}") for number in numbers]))


@pytest.mark.parametrize("width", [*range(1, 26), 31, 32, 33, 39, 40, 41, 48, 49, 52])
def test_every_width_is(width: int) -> None:
    numbers = np.random.default_rng(width).integers(0, 2**width, 256)
    numbers[[3, 200]] = 2**width - 1
    assert is_laid_out_as_described(numbers.astype(np.float64))
    assert is_laid_out_as_described((numbers + (0x4010 << 48)).view(np.float64))


def test_special_values_are() -> None:
    assert is_laid_out_as_described(np.array(SPECIAL_WORDS * 30, np.uint64).view(np.float64))
    assert is_laid_out_as_described(np.array([0.0, -0.0] * 70))


def test_elasticsearch_writes_these_bytes() -> None:
    decimals = 22.5 + np.arange(128) % 3 / 10
    sums = np.cumsum(np.arange(128) * 10.0)
    almost_constant = np.full(128, 0.25)
    almost_constant[5] = np.pi
    for values, expected in ((decimals, DECIMALS), (sums, SUMS), (almost_constant, ALMOST_CONSTANT)):
        assert Es95().pack(values).tobytes().hex() == expected


DECIMALS = "1d026118866118866118866118866118866118866118866118866118866118866118089423020000"
SUMS = (
    "1b07e1c1a18160402002e3c3a28263432202e5c4a58465442504e7c7a78767472707e9c9a98969492909ebcbab8b6b4b2b0b"
    "ecccac8c6c4c2c0cefcfaf8f6e4e2e0ef1d1b09071513010f3d2b39273523312f5d5b59575553515f7d7b79777573717f9d9"
    "b99979593919fbdbbb9b7b5b3b1b0813000000"
)
ALMOST_CONSTANT = "15003202000105182d4454fb210940"


@pytest.mark.parametrize(
    ("name", "size", "digest"),
    [
        ("city_temperature_f", 3294, "f57b629fae2828dc"),
        ("poi_lon", 8208, "63bbd98b6f76533c"),
        ("stocks_usa_c", 1882, "8839fa9bba0c3239"),
        ("gov40", 249, "3cc15176f5e839e5"),
        ("food_prices", 2413, "bc4becfbac405e4f"),
        ("neon_pm10_dust", 1915, "ae332a0543aa503e"),
    ],
)
def test_elasticsearch_makes_this_of_the_columns_of_alp(name: str, size: int, digest: str) -> None:
    payload = Es95().pack(np.loadtxt(DATA / f"{name}.csv")).tobytes()
    assert (len(payload), hashlib.sha256(payload).hexdigest()[:16]) == (size, digest)


def test_powers_that_served_the_last_block_are_kept() -> None:
    """Whole numbers alone need none; after decimals they get theirs, for all of them come back."""
    decimals, whole = 22.5 + np.arange(128) % 3 / 10, np.arange(128) % 7 * 1.0
    alone, before = Es95().pack(whole).tobytes(), Es95().pack(decimals).tobytes()
    after = Es95().pack(np.concatenate([decimals, whole])).tobytes()
    assert (alone[-3:], before[-3:], after[-3:]) == (bytes([0, 0, 0]), bytes([2, 0, 0]), bytes([2, 0, 0]))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x10",  # no width
        b"\x00\x00",  # not packed
        b"\x30\x00",  # a stage that there is not
        b"\x10\x1c" + bytes(448),  # a width that is not rounded
        b"\x10\x48" + bytes(1152),  # one beyond 64 bits
        b"\x10\x08" + bytes(127),  # numbers cut short
        b"\x10\x00\x00",  # a byte too many
        b"\x18\x00",  # no divisor
        b"\x14\x00\x80",  # half a varint
        b"\x11\x00\x00\x00",  # no count of exceptions
        b"\x11\x00\x13\x00\x00",  # a power too large
        b"\x11\x00\x01\x02\x00",  # f beyond e
        b"\x11\x00\x00\x00\x01\x80" + bytes(8),  # an exception beyond the block
        b"\x11\x00\x00\x00\x02\x00" + bytes(8),  # a missing exception
        b"\x14\x00\x02",  # something after the last value
    ],
)
def test_damage_is_rejected(payload: bytes) -> None:
    with pytest.raises(CorruptDataError, match=r"promises|claims"):
        Es95().decode(forge("es95", FLOAT64, payload, 100))
