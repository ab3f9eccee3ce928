"""TSXor against a slow encoder that reads like its paper, and against the authors' own bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import SPECIAL_WORDS, float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.tsxor import TSXor


def zero_bits(word: int) -> int:
    return 64 - word.bit_length() + (word & -word).bit_length() - 1 if word else 64


def zero_bytes(data: bytes) -> tuple[int, int]:
    """Return how many bytes are zero before, and after, all others."""
    return len(data) - len(data.lstrip(b"\0")), len(data) - len(data.rstrip(b"\0"))


def slow_tsxor(values: np.ndarray) -> bytes:
    first, *rest = values.view(np.uint64).tolist()
    window, made = [first] + [0] * 126, first.to_bytes(8, "big")
    for word in rest:
        if word in window:
            made += bytes([window.index(word)])
        else:
            zeros = [zero_bits(word ^ other) for other in window]
            place = zeros.index(max(zeros))
            xor = (word ^ window[place]).to_bytes(8, "big")
            leading, trailing = zero_bytes(xor)
            if leading + trailing > 1:
                middle = xor[leading : 8 - trailing]
                made += bytes([128 + place, 16 * trailing + len(middle)]) + middle
            else:
                made += b"\xff" + word.to_bytes(8, "big")
        window = [word, *window[:-1]]
    return made


def is_packed_like_the_slow_one(values: np.ndarray) -> bool:
    same = same_bits(TSXor().decode(TSXor().encode(values)), values)
    return same and TSXor().pack(values).tobytes() == slow_tsxor(values)


@given(float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(values: np.ndarray) -> None:
    assert not values.size or is_packed_like_the_slow_one(values)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4), st.data())
def test_values_that_recur_at_any_distance_are(words: list[int], data: st.DataObject) -> None:
    """The last of 127 is within the window, one before it is not."""
    filling = np.arange(data.draw(st.integers(120, 130)), dtype=np.uint64) << np.uint64(40)
    column = np.concatenate([np.array(words, np.uint64), filling, np.array(words, np.uint64)])
    assert is_packed_like_the_slow_one(column.view(np.float64))


def test_special_values_and_the_zeros_that_a_window_begins_with_are() -> None:
    assert is_packed_like_the_slow_one(np.array(SPECIAL_WORDS * 20, np.uint64).view(np.float64))
    assert is_packed_like_the_slow_one(np.array([np.pi, 0.0, 1.0, 1e300, 2.0, 0.0]))


def test_the_authors_program_writes_these_bytes() -> None:
    """CompressorTSXor.cpp, given a column of one value a row."""
    values = np.array([45.3, 45.4, 45.3, 0.0, -0.0, 1 / 3, 45.3, 12.0, 12.5, 1e300])
    assert TSXor().pack(values).tobytes().hex() == AUTHORS


AUTHORS = "4046a6666666666680061555555555550103807180ff3fd55555555555550383624028806101ff7e37e43c8800759c"


@pytest.mark.parametrize(
    "codes",
    [
        "",  # nothing for the second value
        "7f",  # beyond the window
        "ff00",  # half a value
        "fe09" + "01" * 9,  # more bytes than a value has
        "80",  # no count
        "8000",  # no bytes
        "8009" + "00" * 9,  # more bytes than a value has
        "8014000000",  # half an XOR
        "8017" + "01" * 8,  # a byte too many
        "0000",  # a value too many
    ],
)
def test_damage_is_rejected(codes: str) -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        TSXor().decode(forge("tsxor", FLOAT64, bytes(8) + bytes.fromhex(codes), 2))
