"""Simple-8b against a slow encoder that reads like the paper."""

import numpy as np
import pytest
from hypothesis import given

from columns import int64_columns
from squeezelab.codecs.simple8b import Simple8b

SELECTORS = [(240, 0), (120, 0), (60, 1), (30, 2), (20, 3), (15, 4), (12, 5), (10, 6), (8, 7), (7, 8), (6, 10), (5, 12)]
SELECTORS += [(4, 15), (3, 20), (2, 30), (1, 60)]


def zigzag_deltas(column: list[int]) -> list[int]:
    deltas = [b - a for a, b in zip([0, *column], column, strict=False)]
    wrapped = [(delta + 2**63) % 2**64 - 2**63 for delta in deltas]
    return [2 * delta if delta >= 0 else -2 * delta - 1 for delta in wrapped]


def paper_words(column: np.ndarray) -> bytes:
    """Fill each word with the most integers that it can hold."""
    numbers, payload = zigzag_deltas(column.tolist()), b""
    while numbers:
        if numbers[0] >= 2**60:
            payload += (1 << 60).to_bytes(8, "big") + numbers.pop(0).to_bytes(8, "big")
            continue
        selector, (count, width) = next(
            (selector, (count, width))
            for selector, (count, width) in enumerate(SELECTORS)
            if selector != 1 and len(numbers) >= count and max(numbers[:count]) < 2**width
        )
        bits = "".join(f"{number:0{width}b}" for number in numbers[:count]) if width else ""
        payload += int(f"{selector:04b}{bits:0<60}", 2).to_bytes(8, "big")
        numbers = numbers[count:]
    return payload


@given(int64_columns())
def test_every_column_is_packed_as_the_paper_words_it(column: np.ndarray) -> None:
    assert bytes(Simple8b().pack(column)) == paper_words(column)


@pytest.mark.parametrize("bits", range(1, 64))
def test_steps_of_every_size_are(bits: int) -> None:
    steps = np.random.default_rng(bits).integers(0, 2**bits, 500, np.uint64) >> np.uint64(1)
    column = np.cumsum(steps).view(np.int64)
    assert bytes(Simple8b().pack(column)) == paper_words(column)


def test_nothing_but_zeros_takes_a_word_for_240_values() -> None:
    assert len(Simple8b().pack(np.zeros(2400, np.int64))) == 8 * 10
