"""Delta of delta against the Gorilla paper (section 4.1.1) and against a slow encoder that reads like it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import int64_columns
from squeezelab.codecs.delta_of_delta import DeltaOfDelta, fit_widths
from squeezelab.errors import InvalidRequestError

GORILLA = (7, 9, 12, 32)
BEFORE = "d10619c0707c06b2fc813c000007ffffff176fc00000fffffff192000ebc7c8632f5a192"


def to_bits(payload: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in payload)


def wrapped(number: int) -> int:
    """Take a number modulo 2**64, from -2**63 to 2**63 - 1."""
    return (number + 2**63) % 2**64 - 2**63


def zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def codes(column: list[int], widths: tuple[int, ...], *, escape: bool = False) -> str:
    """Write the codes of all deltas of deltas, a character a bit."""
    deltas = [wrapped(b - a) for a, b in itertools.pairwise(column)]
    bits = ""
    for before, delta in itertools.pairwise(deltas):
        change = wrapped(delta - before)
        if change == 0:
            bits += "0"
            continue
        rank = zigzag(change) - 1
        if escape and rank >= 2 ** widths[3] - 1:
            bits += "1111" + "1" * widths[3] + f"{rank:064b}"
            continue
        prefix, width = next(
            (prefix, width)
            for prefix, width in zip(("10", "110", "1110", "1111"), widths, strict=True)
            if rank < 2**width
        )
        bits += prefix + f"{rank:0{width}b}"
    return bits


def test_the_papers_example() -> None:
    # Figure 2: 02:01:02 after 02:00:00, then 60 s, then 60 s: deltas of deltas -2 in 9 bits and 0 in one.
    column = np.array([7200, 7262, 7322, 7382])
    payload = bytes(DeltaOfDelta("gorilla").pack(column))
    assert payload[:3] == b"\xc0\x70" + bytes([124])  # 7200 and 62, zigzag
    assert to_bits(payload[6:]) == "10" + "0000010" + "0" + "000000"


@pytest.mark.parametrize(("change", "bits"), [(0, 1), (1, 9), (-64, 9), (64, 9), (65, 12), (-256, 12), (257, 16)])
def test_code_lengths_are_those_of_the_paper(change: int, bits: int) -> None:
    assert len(codes([0, 10, 20 + change], GORILLA)) == bits
    payload = DeltaOfDelta("gorilla").pack(np.array([0, 10, 20 + change]))
    assert len(payload) == 1 + 1 + 3 + -(-bits // 8)


@given(int64_columns(), st.sampled_from(["gorilla", "fit", "3-9-40-63", "1-2-3-4", "4-10-20-64"]))
def test_every_column_is_encoded_as_the_paper_words_it(column: np.ndarray, widths: str) -> None:
    if column.size < 3:
        return
    fixed = GORILLA if widths == "gorilla" else tuple(int(width) for width in widths.split("-") if width != "fit")
    used = fixed or tuple(fit_widths(column.view(np.uint64)).tolist())
    expected = codes(column.tolist(), used, escape=used[3] < 64 if fixed else False)
    packed = to_bits(bytes(DeltaOfDelta(widths).pack(column)))
    assert packed.endswith(expected + "0" * (-len(expected) % 8))
    assert np.array_equal(DeltaOfDelta(widths).decode(DeltaOfDelta(widths).encode(column)), column)


@given(int64_columns())
def test_fitted_widths_are_the_best_there_are(column: np.ndarray) -> None:
    fitted = tuple(fit_widths(column.view(np.uint64)).tolist())
    assert list(fitted) == sorted(fitted)
    deltas = [wrapped(b - a) for a, b in itertools.pairwise(column.tolist())]
    changes = [wrapped(b - a) for a, b in itertools.pairwise(deltas)]
    needed = sorted({max(1, (zigzag(change) - 1).bit_length()) for change in changes if change})
    if not needed:
        return
    shortest = min(
        len(codes(column.tolist(), (*three, needed[-1])))
        for three in itertools.islice(itertools.combinations_with_replacement(needed, 3), 40)
    )
    assert len(codes(column.tolist(), fitted)) <= shortest


def test_perfectly_regular_timestamps_take_one_bit_each() -> None:
    assert len(DeltaOfDelta().pack(1_700_000_000 + 15 * np.arange(8002))) == 5 + 1 + 3 + 1000


def test_what_32_bits_cannot_hold_escapes() -> None:
    """The last class of the paper has 36 bits in all; what is beyond takes 64 more."""
    for change, bits in ((2**31 - 1, 36), (-(2**31) + 1, 36), (2**31, 100), (-(2**31), 36), (-(2**31) - 1, 100)):
        column = np.array([0, 10, 20 + change])
        assert len(DeltaOfDelta("gorilla").pack(column)) == 1 + 1 + 3 + -(-bits // 8)
        assert np.array_equal(DeltaOfDelta("gorilla").decode(DeltaOfDelta("gorilla").encode(column)), column)


def test_frames_from_before_there_was_an_escape_are_read() -> None:
    """Written with widths=gorilla when its last class had 64 bits, and with fitted widths that end at 32."""
    assert DeltaOfDelta().decode(bytes.fromhex(BEFORE)).tolist() == [7200, 7262, 7322, 7382, 2**40, 5]
    fitted = np.cumsum([0, 0, 1, 100, 70_000, 2**31, -(2**31) + 1, 5])
    fitted = np.concatenate([fitted, fitted[::-1]])
    assert np.array_equal(DeltaOfDelta().decode(DeltaOfDelta().encode(fitted)), fitted)


def test_differences_that_overflow_take_no_more_than_the_worst_case() -> None:
    column = np.array([-(2**63), 2**63 - 1] * 50)
    for codec in (DeltaOfDelta(), DeltaOfDelta("gorilla"), DeltaOfDelta("61-62-63-64"), DeltaOfDelta("1-2-3-63")):
        assert len(codec.pack(column)) <= codec.worst_case_bytes(100)
        assert np.array_equal(codec.decode(codec.encode(column)), column)


@pytest.mark.parametrize("widths", ["", "7-9-12", "7-9-12-65", "9-7-12-64", "0-1-2-64", "7-7-8-64", "a-b-c-d", "7"])
def test_widths_that_cannot_hold_every_delta_are_rejected(widths: str) -> None:
    with pytest.raises(InvalidRequestError, match="widths"):
        DeltaOfDelta(widths)
