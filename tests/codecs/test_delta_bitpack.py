"""Delta and bit packing against a slow reader of its layout, and what blocks and widths cost."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import forge, int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import INT64, read_varint, varint
from squeezelab.codecs.delta_bitpack import DeltaBitpack

BLOCK = 128


def wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def unzigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2


def slow_payload(column: list[int]) -> bytes:
    payload = varint(zigzag(column[0])) if column else b""
    deltas = [wrapped(b - a) for a, b in itertools.pairwise(column)]
    for first in range(0, len(deltas), BLOCK):
        block = deltas[first : first + BLOCK]
        least = min(block)
        width = (max(block) - least).bit_length()
        bits = "".join(f"{delta - least:0{width}b}" for delta in block) if width else ""
        bits += "0" * (-len(bits) % 8)
        payload += varint(zigzag(least)) + bytes([width]) + int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
    return payload


def slow_column(payload: bytes, count: int) -> list[int]:
    first, at = read_varint(payload, 0)
    column = [unzigzag(first)]
    while len(column) < count:
        size = min(BLOCK, count - len(column))
        least, at = read_varint(payload, at)
        width, at = payload[at], at + 1
        after = at + -(-size * width // 8)
        bits = "".join(f"{byte:08b}" for byte in payload[at:after])
        at = after
        for i in range(size):
            above = int(bits[i * width : (i + 1) * width] or "0", 2)
            column.append(wrapped(column[-1] + unzigzag(least) + above))
    assert at == len(payload)
    return column


@given(int64_columns())
def test_every_column_is_packed_by_the_layout(column: np.ndarray) -> None:
    payload = bytes(DeltaBitpack().pack(column))
    assert payload == slow_payload(column.tolist())
    assert not column.size or slow_column(payload, column.size) == column.tolist()


@pytest.mark.parametrize("width", range(65))
def test_every_width_is_packed_and_unpacked(width: int) -> None:
    rng = np.random.default_rng(width)
    above = (
        rng.integers(0, 2**width, 300, np.uint64, endpoint=width == 0)
        if width < 64
        else rng.integers(0, 2**64 - 1, 300, np.uint64, endpoint=True)
    )
    above[[0, 130, 260]], above[[1, 131, 261]] = 0, 2**width - 1
    column = np.cumsum(above).view(np.int64)
    payload = bytes(DeltaBitpack().pack(column))
    assert payload == slow_payload(column.tolist())
    assert same_bits(DeltaBitpack().decode(DeltaBitpack().encode(column)), column)


def test_equal_steps_take_two_bytes_for_128_values() -> None:
    assert len(DeltaBitpack().pack(np.arange(0, 15 * 1281, 15))) == 1 + 2 * 10


def test_a_far_first_value_does_not_widen_its_block() -> None:
    column = 1_700_000_000 + np.cumsum(15 + np.arange(129) % 2)
    assert len(DeltaBitpack().pack(column)) == 5 + 1 + 1 + 128 // 8


def test_one_far_step_widens_its_block_alone() -> None:
    steps = np.tile([15, 16], 192)
    even = len(DeltaBitpack().pack(np.cumsum(steps)))
    steps[200] += 2**20
    assert len(DeltaBitpack().pack(np.cumsum(steps))) == even + 128 * 20 // 8


@given(st.integers(65, 255))
def test_a_width_beyond_64_is_rejected(width: int) -> None:
    payload = varint(2) + varint(0) + bytes([width]) + bytes(8 * 300)
    with pytest.raises(CorruptDataError, match="promises"):
        DeltaBitpack().decode(forge("delta_bitpack", INT64, payload, 9))


def test_bits_that_are_missing_or_left_are_rejected() -> None:
    payload = bytes(DeltaBitpack().pack(np.cumsum(np.arange(300))))
    for damaged in (payload[:-1], payload + b"\0"):
        with pytest.raises(CorruptDataError, match="promises"):
            DeltaBitpack().decode(forge("delta_bitpack", INT64, damaged, 300))
