"""Elf and Elf+ against a slow encoder that reads like the paper and finds decimal places by writing numbers out."""

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
from squeezelab.codecs.base import KernelCodec
from squeezelab.codecs.elf import Elf
from squeezelab.codecs.elf_plus import ElfPlus

AUTHORS = {
    "elf": "9ad4046b3a130c28ff8d61fe740a306a86ffe5883f8b73595801f86260c155555554",
    "elf_plus": "cd6a0234a130c28ff8d61fe74268c1aa1bff9620fe2dcd656007e189830555555540",
}
ROUNDED = (0, 8, 12, 16, 18, 20, 22, 24)


both = pytest.mark.parametrize("codec", [Elf(), ElfPlus()], ids=lambda codec: codec.name)


def payload_bits(codec: KernelCodec, values: np.ndarray) -> str:
    return "".join(f"{byte:08b}" for byte in codec.pack(values).tolist())


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


def erase(word: int) -> tuple[int | None, int]:
    """Return the digits, None where nothing is erased, and the word with its last bits erased."""
    keep, value = (None, word), float_of(word)
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
    return code, erased


def trailing_zeros(word: int) -> int:
    return (word & -word).bit_length() - 1 if word else 64


def flag(digits: int | None, latest: int | None, plus: bool) -> str:
    if digits is None:
        return "10" if plus else "0"
    if plus:
        return "0" if digits == latest else f"11{digits:04b}"
    return f"1{digits:04b}"


def paper_elf(codec: KernelCodec, values: np.ndarray) -> str:
    bits, previous, window, latest, plus = "", 0, None, None, codec.name == "elf_plus"
    for i, original in enumerate(values.view(np.uint64).tolist()):
        digits, word = erase(original)
        bits += flag(digits, latest, plus)
        latest = latest if digits is None else digits
        xor, previous = previous ^ word, word
        trailing = trailing_zeros(xor)
        end = 64 - trailing - plus
        if i == 0:
            bits += f"{trailing:07b}" + f"{word:064b}"[: max(end, 0)]
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
            bits += head + f"{xor:064b}"[leading:end]
    return bits + "0" * (-len(bits) % 8)


def decimals(places: int, digits: int) -> st.SearchStrategy[float]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda number: float(f"{number}e-{places}"))


@both
@given(values=float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(codec: KernelCodec, values: np.ndarray) -> None:
    assert payload_bits(codec, values) == paper_elf(codec, values)


@both
@given(data=st.data())
def test_decimals_of_any_size_are(codec: KernelCodec, data: st.DataObject) -> None:
    kinds = st.builds(decimals, st.integers(0, 24), st.integers(1, 17)).flatmap(lambda kind: kind)
    values = np.array(data.draw(st.lists(kinds, max_size=40)), np.float64)
    assert payload_bits(codec, values) == paper_elf(codec, values)
    decoded = codec.decode(codec.encode(values))
    assert np.array_equal(decoded.view(np.uint64), values.view(np.uint64))


@both
def test_powers_of_ten_and_their_neighbours_are(codec: KernelCodec) -> None:
    powers = np.array([float(f"1e{i}") for i in range(-26, 26)])
    values = np.concatenate([powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf), -powers])
    assert payload_bits(codec, values) == paper_elf(codec, values)


@both
def test_special_values_are_never_erased(codec: KernelCodec) -> None:
    values = np.array(SPECIAL_WORDS * 3, np.uint64).view(np.float64)
    assert payload_bits(codec, values) == paper_elf(codec, values)
    assert all(erase(word)[0] is None for word in SPECIAL_WORDS[:-1])


def test_what_is_erased_comes_back_from_its_digits() -> None:
    """A number of one place, as in the paper's running example 3.17: erased bits weigh less than the last place."""
    digits, erased = erase(word_of(3.17))
    assert digits == 3
    assert trailing_zeros(erased) >= 52 - math.ceil(2 * math.log2(10)) - 1
    assert 0 < Fraction(3.17) - Fraction(float_of(erased)) < Fraction(1, 100)
    assert restored(float_of(erased), 3) == 3.17


@both
def test_what_repeats_takes_a_flag_and_two_bits(codec: KernelCodec) -> None:
    whole, decimal = {"elf": (1, 5), "elf_plus": (2, 1)}[codec.name]
    assert len(codec.pack(np.full(8001, 12.0))) == pytest.approx((whole + 2) * 8000 / 8, abs=9)
    assert len(codec.pack(np.full(8001, 0.3))) == pytest.approx((decimal + 2) * 8000 / 8, abs=9)


@both
def test_the_authors_own_program_writes_these_bytes(codec: KernelCodec) -> None:
    """As their branches vldb2023-release and dev did, before their mark of the end."""
    values = np.array([45.3, 45.4, 0.01, 7.25, 7.25, 12.0, -0.5, 1e9, 1 / 3])
    assert codec.pack(values).tobytes().hex() == AUTHORS[codec.name]


def test_decimals_take_less_than_half_of_what_chimp_needs() -> None:
    values = np.round(20 + np.cumsum(np.random.default_rng(0).normal(size=2000)), 1)
    sizes = {name: len(get_codec(name).encode(values)) for name in ("elf_plus", "elf", "chimp")}
    assert sizes["elf_plus"] < 0.85 * sizes["elf"] < 0.45 * sizes["chimp"]


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 1e-22])
def test_digits_that_no_number_can_have_are_rejected(value: float) -> None:
    """An erased NaN, and an erased 1e-22 of 15 digits, are nothing that the encoder makes."""
    trailing = trailing_zeros(word_of(value))
    bits = "11111" + f"{trailing:07b}" + f"{word_of(value):064b}"[: 64 - trailing]
    rejects(Elf(), bits, 1)


def rejects(codec: KernelCodec, bits: str, count: int) -> None:
    bits += "0" * (-len(bits) % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    with pytest.raises(CorruptDataError, match="promises"):
        codec.decode(forge(codec.frame_name, FLOAT64, payload, count))


@both
def test_a_window_before_any_was_opened_is_rejected(codec: KernelCodec) -> None:
    rejects(codec, ("10" if codec.name == "elf_plus" else "0") + "1000000" + "000" + "0" * 69, 2)


def test_as_many_digits_as_before_where_nothing_was_before_is_rejected() -> None:
    trailing = trailing_zeros(word_of(0.3))
    rejects(ElfPlus(), "0" + f"{trailing:07b}" + f"{word_of(0.3):064b}"[: 63 - trailing], 1)


@both
def test_frames_of_the_layout_before_are_rejected_not_misread(codec: KernelCodec) -> None:
    payload = codec.pack(np.array([0.3])).tobytes()
    codec.decode(forge(codec.frame_name, FLOAT64, payload, 1))
    if codec.name == "elf":
        with pytest.raises(CorruptDataError, match="checksum"):
            codec.decode(forge("elf", FLOAT64, payload, 1))
