"""FPC against a slow encoder that reads like the paper (section 3)."""

import numpy as np
import pytest
from hypothesis import given

from columns import SPECIAL_WORDS, float64_columns, forge, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.fpc import Fpc
from squeezelab.errors import InvalidRequestError

WORD = 2**64


def paper_fpc(values: np.ndarray, table: int) -> bytes:
    """Encode with both predictors as the paper words them."""
    mask = 2**table - 1
    contexts, differences = [0] * 2**table, [0] * 2**table
    context = difference = before = 0
    codes, rests = [], []
    for value in values.view(np.uint64).tolist():
        xors = value ^ contexts[context], value ^ (differences[difference] + before) % WORD
        chosen = int(xors[1] < xors[0])
        zeros = (64 - xors[chosen].bit_length()) // 8
        zeros = 3 if zeros == 4 else zeros
        codes.append(chosen << 3 | (zeros if zeros < 4 else zeros - 1))
        rests.append(xors[chosen].to_bytes(8, "big")[zeros:])
        delta = (value - before) % WORD
        contexts[context], differences[difference] = value, delta
        context, difference = (context << 6 ^ value >> 48) & mask, (difference << 2 ^ delta >> 40) & mask
        before = value
    payload = bytes([table]) if codes else b""
    for i in range(0, len(codes), 2):
        pair = [*codes[i : i + 2], 0][:2]
        payload += bytes([pair[0] << 4 | pair[1]]) + b"".join(rests[i : i + 2])
    return payload


@pytest.mark.parametrize("table", [4, 10])
@given(values=float64_columns())
def test_every_column_is_encoded_as_the_paper_words_it(table: int, values: np.ndarray) -> None:
    assert bytes(Fpc(table).pack(values)) == paper_fpc(values, table)


def test_special_values_too() -> None:
    values = np.array(SPECIAL_WORDS * 20, np.uint64).view(np.float64)
    assert bytes(Fpc().pack(values)) == paper_fpc(values, 10)


def test_a_sequence_that_comes_back_is_foreseen() -> None:
    values = np.tile(np.random.default_rng(0).normal(size=50), 40)
    assert len(Fpc(16).encode(values)) < 0.15 * values.nbytes


def test_tables_of_any_size_are_read_by_any_codec() -> None:
    values = np.round(np.random.default_rng(0).normal(size=500), 2)
    for table in (4, 12, 20):
        assert same_bits(Fpc().decode(Fpc(table).encode(values)), values)


@pytest.mark.parametrize("table", [3, 21, -1])
def test_tables_out_of_range_are_rejected(table: int) -> None:
    with pytest.raises(InvalidRequestError, match="table"):
        Fpc(table)


@pytest.mark.parametrize("table", [0, 3, 21, 63, 255])
def test_a_frame_cannot_ask_for_a_table_out_of_range(table: int) -> None:
    with pytest.raises(CorruptDataError):
        Fpc().decode(forge("fpc", FLOAT64, bytes([table]) + b"\x77", 2))
