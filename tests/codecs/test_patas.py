"""Patas against a slow encoder of its layout, and against DuckDB's own bytes."""

import numpy as np
import pytest
from hypothesis import given

from columns import SPECIAL_WORDS, float64_columns, forge
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.patas import Patas


def trailing_zeros(word: int) -> int:
    return (word & -word).bit_length() - 1 if word else 63


def slow_patas(values: np.ndarray) -> list[tuple[bytes, bytes]]:
    """Return the two bytes and the XOR of each value."""
    words, latest, parts = values.view(np.uint64).tolist(), {}, []
    for i, word in enumerate(words):
        place, reference = i % 1024, latest.get(word % 2**14, 0)
        latest[word % 2**14] = place
        if place == 0:
            parts.append((b"\0\0", word.to_bytes(8, "little")))
            continue
        if reference >= place or place - reference >= 128:
            reference = place - 1
        xor = word ^ words[i - place + reference]
        zeros = trailing_zeros(xor)
        size = -(-(xor >> zeros).bit_length() // 8)
        head = (place - reference) << 9 | size % 8 << 6 | zeros
        parts.append((head.to_bytes(2, "little"), (xor >> zeros).to_bytes(size, "little")))
    return parts


def packs_like_the_slow_one(values: np.ndarray) -> bool:
    same = np.array_equal(Patas().decode(Patas().encode(values)).view(np.uint64), values.view(np.uint64))
    return same and bytes(Patas().pack(values)) == b"".join(head + xor for head, xor in slow_patas(values))


@given(float64_columns())
def test_every_column_is_laid_out_as_described(values: np.ndarray) -> None:
    assert not values.size or packs_like_the_slow_one(values)


@pytest.mark.parametrize("bits", [1, 8, 55, 56, 57, 64])
def test_xors_of_every_size_are(bits: int) -> None:
    rng = np.random.default_rng(bits)
    words = rng.integers(0, 2**64, 300, np.uint64) >> np.uint64(64 - bits)
    for shift in range(0, 64 - bits + 1, 3):
        assert packs_like_the_slow_one((words << np.uint64(shift)).view(np.float64))


def test_special_and_recurring_values_are_over_several_groups() -> None:
    assert packs_like_the_slow_one(np.array(SPECIAL_WORDS * 300, np.uint64).view(np.float64))
    assert packs_like_the_slow_one(np.random.default_rng(0).integers(200, 230, 5000) / 10)


def test_duckdb_writes_the_same_bytes_in_another_order() -> None:
    """Version 0.9.2 made of these what it keeps apart: the XORs, and after the place of the first the heads."""
    values = np.array([45.3, 45.4, 45.3, -0.0, 1e300, 0.1, 1.0, 0.1 + 2**-52 * 3, 0.1, 45.3])
    heads, xors = (b"".join(column) for column in zip(*slow_patas(values), strict=True))
    assert xors.hex() == (
        "6666666666a646405555555555153333333333532360fd0933772da1381fffffffffffcfff1fff0bebffffffffcfff1f"
    )
    assert heads.hex() == "000080033f0401060108020ab406020e3f063f0e"
    assert packs_like_the_slow_one(values)


@pytest.mark.parametrize("head", [1 << 9, 127 << 9 | 63])
def test_a_reference_before_the_group_is_rejected(head: int) -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        Patas().decode(forge(Patas().frame_name, FLOAT64, head.to_bytes(2, "little") + bytes(8), 1))


def test_frames_of_the_layout_before_are_rejected_not_misread() -> None:
    with pytest.raises(CorruptDataError, match="checksum"):
        Patas().decode(forge("patas", FLOAT64, Patas().pack(np.ones(1)).tobytes(), 1))
