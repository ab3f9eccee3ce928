"""Chimp and Chimp128 against slow encoders that read like the paper (sections 4 and 5)."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from columns import SPECIAL_WORDS, float64_columns
from squeezelab.codecs import get_codec

ROUNDED = (0, 8, 12, 16, 18, 20, 22, 24)


def payload_bits(codec: str, values: np.ndarray) -> str:
    return "".join(f"{byte:08b}" for byte in get_codec(codec).pack(values).tolist())


def padded(bits: str) -> str:
    return bits + "0" * (-len(bits) % 8)


def leading_zeros(word: int) -> int:
    return 64 - word.bit_length()


def trailing_zeros(word: int) -> int:
    return (word & -word).bit_length() - 1


def place(word: int) -> int:
    return max(i for i, zeros in enumerate(ROUNDED) if zeros <= leading_zeros(word))


def meaningful(xor: int) -> str:
    """Return head and bits of an XOR whose trailing zeros are left out."""
    leading = ROUNDED[place(xor)]
    width = 64 - leading - trailing_zeros(xor)
    return f"{place(xor):03b}{width:06b}{xor >> trailing_zeros(xor):0{width}b}"


def to_the_last_bit(xor: int, last_leading: int | None) -> str:
    leading = ROUNDED[place(xor)]
    head = "10" if leading == last_leading else f"11{place(xor):03b}"
    return head + f"{xor:0{64 - leading}b}"


def paper_chimp(values: np.ndarray) -> str:
    words = values.view(np.uint64).tolist()
    bits, last_leading = f"{words[0]:064b}" if words else "", None
    for before, word in itertools.pairwise(words):
        xor = before ^ word
        if xor == 0:
            bits, last_leading = bits + "00", None
        elif trailing_zeros(xor) > 6:
            bits, last_leading = bits + "01" + meaningful(xor), None
        else:
            bits, last_leading = bits + to_the_last_bit(xor, last_leading), ROUNDED[place(xor)]
    return padded(bits)


def paper_chimp128(values: np.ndarray) -> str:
    words = values.view(np.uint64).tolist()
    bits, last_leading, latest = f"{words[0]:064b}" if words else "", None, {}
    for i, word in enumerate(words):
        candidate = latest.get(word % 2**14, 0)
        latest[word % 2**14] = i
        if i == 0:
            continue
        reference = i - 1
        other = word ^ words[candidate]
        if i - candidate <= 128 and (other == 0 or trailing_zeros(other) > 13):
            reference = candidate
        xor = word ^ words[reference]
        if xor == 0:
            bits, last_leading = bits + f"00{reference % 128:07b}", None
        elif reference == candidate and trailing_zeros(other) > 13:
            bits, last_leading = bits + f"01{reference % 128:07b}" + meaningful(xor), None
        else:
            bits, last_leading = bits + to_the_last_bit(xor, last_leading), ROUNDED[place(xor)]
    return padded(bits)


@given(float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(values: np.ndarray) -> None:
    assert payload_bits("chimp", values) == paper_chimp(values)
    assert payload_bits("chimp128", values) == paper_chimp128(values)


@pytest.mark.parametrize("distinct", [3, 200, 5000])
def test_long_columns_too(distinct: int) -> None:
    values = np.round(np.random.default_rng(distinct).integers(0, distinct, 3000) / 10 + 20, 1)
    assert payload_bits("chimp", values) == paper_chimp(values)
    assert payload_bits("chimp128", values) == paper_chimp128(values)


def test_special_values_too() -> None:
    values = np.array(SPECIAL_WORDS * 30, np.uint64).view(np.float64)
    assert payload_bits("chimp", values) == paper_chimp(values)
    assert payload_bits("chimp128", values) == paper_chimp128(values)


def test_a_repeated_value_takes_two_bits_and_nine() -> None:
    same = np.full(801, 0.1)
    assert len(payload_bits("chimp", same)) == 64 + 2 * 800
    assert len(payload_bits("chimp128", same)) == 64 + 9 * 800


def test_recurring_decimals_are_found_again() -> None:
    values = np.random.default_rng(0).integers(200, 230, 2000) / 10
    sizes = {name: len(get_codec(name).encode(values)) for name in ("xor", "chimp", "chimp128")}
    assert sizes["chimp128"] < sizes["chimp"] < sizes["xor"]
    assert sizes["chimp128"] < 0.5 * sizes["xor"]
