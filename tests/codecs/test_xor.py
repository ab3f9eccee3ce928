"""XOR against the Gorilla paper (section 4.1.2) and against a slow encoder that reads like it."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from columns import float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.xor import Xor


def payload_bits(values: list[float] | np.ndarray) -> str:
    payload = Xor().pack(np.array(values, np.float64))
    return "".join(f"{byte:08b}" for byte in payload.tolist())


def paper_bits(values: np.ndarray) -> str:
    """Encode as the paper words it, a character a bit."""
    words = values.view(np.uint64).tolist()
    bits, window = f"{words[0]:064b}" if words else "", None
    for previous, word in itertools.pairwise(words):
        xor = f"{previous ^ word:064b}"
        if "1" not in xor:
            bits += "0"
            continue
        leading, trailing = min(xor.index("1"), 31), 63 - xor.rindex("1")
        if window and leading >= window[0] and trailing >= window[1]:
            bits += "10" + xor[window[0] : 64 - window[1]]
        else:
            window = leading, trailing
            meaningful = xor[leading : 64 - trailing]
            bits += f"11{leading:05b}{len(meaningful) % 64:06b}" + meaningful
    return bits + "0" * (-len(bits) % 8)


def test_the_papers_example() -> None:
    # Figure 2: 12.0, then 24.0 (11 leading zeros, one meaningful bit), then 24.0 once more: 64 + 14 + 1 bits.
    twelve = "0100000000101000" + "0" * 48
    assert payload_bits([12.0, 24.0, 24.0]) == twelve + "11" + "01011" + "000001" + "1" + "0" + "0"


def test_the_papers_xors() -> None:
    # Figure 4: the XORs of 12, 24, 15, 12, 35 with the value before.
    values = np.array([12.0, 24.0, 15.0, 12.0, 35.0])
    xors = np.bitwise_xor(values.view(np.uint64)[1:], values.view(np.uint64)[:-1])
    assert [f"{xor:016x}" for xor in xors.tolist()] == [
        "0010000000000000",
        "0016000000000000",
        "0006000000000000",
        "0069800000000000",
    ]
    assert payload_bits(values) == paper_bits(values)


@given(float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(values: np.ndarray) -> None:
    assert payload_bits(values) == paper_bits(values)


def test_a_window_of_64_bits_and_more_than_31_leading_zeros() -> None:
    words = np.array([0, 2**63 + 1, 2**63 + 1, 2**63, 2**63 + 2**20], np.uint64)
    assert payload_bits(words.view(np.float64)) == paper_bits(words.view(np.float64))
    words = np.array([0, 1, 0, 3, 1, 0], np.uint64)
    assert payload_bits(words.view(np.float64)) == paper_bits(words.view(np.float64))


def test_a_repeated_value_takes_one_bit() -> None:
    assert len(payload_bits(np.full(8001, 45.3))) == 64 + 8000


@pytest.mark.parametrize("run", [1, 3, 4, 5, *range(50, 70), 200])
@pytest.mark.parametrize("shift", range(8))
def test_a_run_of_repeats_before_a_new_window(run: int, shift: int) -> None:
    # Changes within one window, each value twice: the decoder comes to expect repeats. Then the run, at every shift
    # within a byte, and a change that fits no window.
    toggled = np.repeat(np.arange(60) % 2 * 0x3FF, 2)
    words = np.concatenate([toggled, np.full(shift + run, toggled[-1]), (1 << 60) + toggled, toggled])
    values = words.astype(np.uint64).view(np.float64)
    assert same_bits(Xor().decode(Xor().encode(values)), values)


def test_the_worst_case_is_never_exceeded() -> None:
    # Every value opens a window of its own: the outer bits in turn, growing inwards.
    rng = np.random.default_rng(0)
    for _ in range(200):
        words = rng.integers(0, 2**64, 50, np.uint64) >> rng.integers(0, 40, 50, np.uint64)
        assert len(payload_bits(words.view(np.float64))) // 8 <= Xor().worst_case_bytes(50)


def test_a_window_that_was_never_opened_is_corrupt() -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        Xor().decode(forge("xor", FLOAT64, b"\0" * 8 + b"\x80" * 8, 3))
