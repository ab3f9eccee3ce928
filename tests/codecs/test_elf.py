"""Elf against a slow encoder that reads like the paper and finds decimal places by writing numbers out."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import SPECIAL_WORDS, float64_columns, forge
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.elf import Elf

ROUNDED = (0, 8, 12, 16, 18, 20, 22, 24)


def payload_bits(values: np.ndarray) -> str:
    return "".join(f"{byte:08b}" for byte in Elf().pack(values).tolist())


def word_of(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


def float_of(word: int) -> float:
    return float(np.uint64(word).view(np.float64))


def start_position(value: float) -> int:
    """The paper's SP: floor(log10(|v|)), exactly; negative powers of ten as their floats."""
    sp = Decimal(abs(value)).adjusted()
    return sp + 1 if abs(value) >= float(f"1e{sp + 1}") else sp


def restored(erased: float, digits: int) -> float:
    sp = start_position(erased)
    if digits == 0:
        return math.copysign(float(f"1e{sp + 1}"), erased)
    scale = 10.0 ** (digits - sp - 1)
    return math.copysign(math.ceil(abs(erased) * scale) / scale, erased)


def erase(word: int) -> tuple[str, int]:
    """Return the flag with its digits, and the word with its last bits erased."""
    keep, value = ("0", word), float_of(word)
    if not math.isfinite(value) or value == 0:
        return keep
    _, figures, exponent = Decimal(repr(abs(value))).normalize().as_tuple()
    places, digits, sp = -exponent, len(figures), start_position(value)
    if not 0 < places <= 22 or digits > 15:
        return keep
    bits = 52 - (math.ceil(places * math.log2(10)) + (word >> 52) % 2048 - 1023)
    erased = word >> bits << bits if bits > 4 else word
    code = 0 if abs(value) == float(f"1e{sp}") and sp < 0 else digits
    if erased == word or word_of(restored(float_of(erased), code)) != word:
        return keep
    return f"1{code:04b}", erased


def trailing_zeros(word: int) -> int:
    return (word & -word).bit_length() - 1 if word else 64


def paper_elf(values: np.ndarray) -> str:
    bits, previous, window = "", 0, None
    for i, original in enumerate(values.view(np.uint64).tolist()):
        flag, word = erase(original)
        bits += flag
        xor, previous = previous ^ word, word
        trailing = trailing_zeros(xor)
        if i == 0:
            bits += f"{trailing:07b}" + f"{word:064b}"[: max(63 - trailing, 0)]
            continue
        leading = max(zeros for zeros in ROUNDED if zeros <= 64 - xor.bit_length())
        if xor == 0:
            bits += "01"
        elif window and leading == window[0] and trailing >= window[1]:
            bits += "00" + f"{xor:064b}"[leading : 64 - window[1]]
        else:
            window, width = (leading, trailing), 64 - leading - trailing
            head = f"10{ROUNDED.index(leading):03b}{width % 16:04b}" if width <= 16 else ""
            head = head or f"11{ROUNDED.index(leading):03b}{width % 64:06b}"
            bits += head + f"{xor:064b}"[leading : 63 - trailing]
    return bits + "0" * (-len(bits) % 8)


def decimals(places: int, digits: int) -> st.SearchStrategy[float]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda number: float(f"{number}e-{places}"))


@given(float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(values: np.ndarray) -> None:
    assert payload_bits(values) == paper_elf(values)


@given(st.data())
def test_decimals_of_any_size_are(data: st.DataObject) -> None:
    kinds = st.builds(decimals, st.integers(0, 24), st.integers(1, 17)).flatmap(lambda kind: kind)
    values = np.array(data.draw(st.lists(kinds, max_size=40)), np.float64)
    assert payload_bits(values) == paper_elf(values)
    decoded = Elf().decode(Elf().encode(values))
    assert np.array_equal(decoded.view(np.uint64), values.view(np.uint64))


def test_powers_of_ten_and_their_neighbours_are() -> None:
    powers = np.array([float(f"1e{i}") for i in range(-26, 26)])
    values = np.concatenate([powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf), -powers])
    assert payload_bits(values) == paper_elf(values)


def test_special_values_are_never_erased() -> None:
    values = np.array(SPECIAL_WORDS * 3, np.uint64).view(np.float64)
    assert payload_bits(values) == paper_elf(values)
    assert all(erase(word)[0] == "0" for word in SPECIAL_WORDS[:-1])


def test_what_is_erased_comes_back_from_its_digits() -> None:
    """A number of one place, as in the paper's running example 3.17: erased bits weigh less than the last place."""
    flag, erased = erase(word_of(3.17))
    assert flag == "10011", "three significant digits"
    assert trailing_zeros(erased) >= 52 - math.ceil(2 * math.log2(10)) - 1
    assert 0 < Fraction(3.17) - Fraction(float_of(erased)) < Fraction(1, 100)
    assert restored(float_of(erased), 3) == 3.17


def test_a_repeated_whole_number_takes_three_bits_and_a_repeated_decimal_seven() -> None:
    assert len(payload_bits(np.full(801, 12.0))) == -(-(1 + 7 + 63 - trailing_zeros(word_of(12.0)) + 3 * 800) // 8) * 8
    assert len(Elf().pack(np.full(8001, 0.3))) == pytest.approx(7 * 8000 / 8, abs=9)


def test_decimals_take_less_than_half_of_what_chimp_needs() -> None:
    values = np.round(20 + np.cumsum(np.random.default_rng(0).normal(size=2000)), 1)
    assert len(get_codec("elf").encode(values)) < 0.5 * len(get_codec("chimp").encode(values))


def test_digits_that_no_number_can_have_are_refused() -> None:
    """An erased NaN, and an erased 1e-22 of 15 digits, are nothing that the encoder makes."""
    for value in (math.nan, math.inf, 0.0, 1e-22):
        bits = "11111" + f"{trailing_zeros(word_of(value)):07b}" + f"{word_of(value):064b}"
        bits = bits[: 12 + max(63 - trailing_zeros(word_of(value)), 0)]
        bits += "0" * (-len(bits) % 8)
        payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
        with pytest.raises(CorruptDataError, match="promises"):
            Elf().decode(forge("elf", FLOAT64, payload, 1))


def test_a_window_before_any_was_opened_is_refused() -> None:
    payload = int("0" + "1000000" + "000" + "0" * 69, 2).to_bytes(10, "big")
    with pytest.raises(CorruptDataError, match="promises"):
        Elf().decode(forge("elf", FLOAT64, payload, 2))
