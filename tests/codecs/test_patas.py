"""Patas against a slow encoder of its layout."""

import numpy as np
import pytest
from hypothesis import given

from columns import SPECIAL_WORDS, float64_columns
from squeezelab.codecs.patas import Patas


def trailing_zeros(word: int) -> int:
    return (word & -word).bit_length() - 1 if word else 64


def slow_patas(values: np.ndarray) -> bytes:
    words, latest, payload = values.view(np.uint64).tolist(), {}, b""
    for i, word in enumerate(words):
        reference = latest.get(word % 2**14, 0)
        latest[word % 2**14] = i
        if i == 0:
            payload = word.to_bytes(8, "big")
            continue
        if i - reference > 128 or trailing_zeros(word ^ words[reference]) <= 13:
            reference = i - 1
        xor = word ^ words[reference]
        zeros = trailing_zeros(xor) % 64
        size = -(-(xor >> zeros).bit_length() // 8)
        if size == 8 or (size == 7 and zeros == 0):
            size, zeros = 8, 0
        head = (i - reference - 1) << 9 | min(size, 7) << 6 | zeros
        payload += head.to_bytes(2, "big") + (xor >> zeros).to_bytes(size, "big")
    return payload


@given(float64_columns())
def test_every_column_is_laid_out_as_described(values: np.ndarray) -> None:
    assert bytes(Patas().pack(values)) == slow_patas(values)


@pytest.mark.parametrize("bits", [1, 8, 55, 56, 57, 64])
def test_xors_of_every_size_are(bits: int) -> None:
    rng = np.random.default_rng(bits)
    words = rng.integers(0, 2**64, 300, np.uint64) >> np.uint64(64 - bits)
    for shift in range(0, 64 - bits + 1, 3):
        values = (words << np.uint64(shift)).view(np.float64)
        assert bytes(Patas().pack(values)) == slow_patas(values)


def test_special_and_recurring_values_are() -> None:
    values = np.array(SPECIAL_WORDS * 20, np.uint64).view(np.float64)
    assert bytes(Patas().pack(values)) == slow_patas(values)
    values = np.random.default_rng(0).integers(200, 230, 2000) / 10
    assert bytes(Patas().pack(values)) == slow_patas(values)
