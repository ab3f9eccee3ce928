"""Prometheus's chunks against one that it wrote, its documentation, and a slow encoder that reads like it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bit_strings import signed, to_bytes, uvarint, varint
from columns import float64_columns, forge, int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs._prometheus import SAMPLES_PER_CHUNK
from squeezelab.codecs.prometheus_xor import (
    MOST_SAMPLES,
    PrometheusXor,
    decode_chunk,
    encode_chunk,
    worst_chunk_bytes,
)
from squeezelab.errors import InvalidRequestError

STALE = np.array([0x7FF0000000000002], np.uint64).view(np.float64)[0]
NAN = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]

WRITTEN_BY_PROMETHEUS = bytes.fromhex(
    "000580a0abfef9623ff00000000000009875d3b4999999999999b03e987f"
    "80833333333333377831800800800000000000181f4a071f90f22001d670"
)
"""Made from OpenMetrics by promtool 2.42, and the same by 3.5.3: `SAMPLES`."""
SAMPLES = (
    np.array([1700000000000, 1700000015000, 1700000030500, 1700000045000, 1700000060000]),
    np.array([1.0, 0.1, NAN, -np.inf, 1e300]),
)


def bits_of_timestamps(timestamps: list[int]) -> list[str]:
    """Return a code for each timestamp."""
    codes, delta = [varint(timestamps[0])], 0
    for i in range(1, len(timestamps)):
        step = timestamps[i] - timestamps[i - 1]
        change = signed(step - delta)
        delta = step
        if i == 1:
            codes.append(uvarint(step % 2**64))
        elif change == 0:
            codes.append("0")
        elif -(2**13) + 1 <= change <= 2**13:
            codes.append("10" + f"{change % 2**14:014b}")
        elif -(2**16) + 1 <= change <= 2**16:
            codes.append("110" + f"{change % 2**17:017b}")
        elif -(2**19) + 1 <= change <= 2**19:
            codes.append("1110" + f"{change % 2**20:020b}")
        else:
            codes.append("1111" + f"{change % 2**64:064b}")
    return codes


def bits_of_values(values: np.ndarray) -> list[str]:
    """Return a code for each value."""
    words = values.view(np.uint64).tolist()
    codes, window = [f"{words[0]:064b}"], None
    for i in range(1, len(words)):
        xor = f"{words[i] ^ words[i - 1]:064b}"
        if "1" not in xor:
            codes.append("0")
            continue
        leading, trailing = min(xor.index("1"), 31), 63 - xor.rindex("1")
        if window and leading >= window[0] and trailing >= window[1]:
            codes.append("10" + xor[window[0] : 64 - window[1]])
        else:
            window = leading, trailing
            codes.append(f"11{leading:05b}{(64 - leading - trailing) % 64:06b}" + xor[leading : 64 - trailing])
    return codes


def slow_chunk(timestamps: np.ndarray, values: np.ndarray) -> bytes:
    if not len(timestamps):
        return bytes(2)
    codes = zip(bits_of_timestamps(timestamps.tolist()), bits_of_values(values), strict=True)
    return len(timestamps).to_bytes(2, "big") + to_bytes("".join(time + value for time, value in codes))


def slow_column(column: np.ndarray) -> bytes:
    payload = b""
    for first in range(0, len(column), SAMPLES_PER_CHUNK):
        chunk = column[first : first + SAMPLES_PER_CHUNK]
        codes = bits_of_values(chunk) if chunk.dtype == FLOAT64 else bits_of_timestamps(chunk.tolist())
        payload += to_bytes("".join(codes))
    return payload


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    timestamps, values = draw(int64_columns()), draw(float64_columns())
    count = min(len(timestamps), len(values))
    return timestamps[:count], values[:count]


def test_a_chunk_that_prometheus_wrote() -> None:
    assert encode_chunk(*SAMPLES) == WRITTEN_BY_PROMETHEUS
    timestamps, values = decode_chunk(WRITTEN_BY_PROMETHEUS)
    assert same_bits(timestamps, SAMPLES[0])
    assert same_bits(values, SAMPLES[1])


@given(samples())
def test_every_chunk_is_written_bit_by_bit_as_documented(series: tuple[np.ndarray, np.ndarray]) -> None:
    assert encode_chunk(*series) == slow_chunk(*series)


@given(samples(), st.booleans())
def test_every_bit_comes_back(series: tuple[np.ndarray, np.ndarray], spare_byte: bool) -> None:
    timestamps, values = decode_chunk(encode_chunk(*series, spare_byte=spare_byte))
    assert same_bits(timestamps, series[0])
    assert same_bits(values, series[1])


@given(int64_columns() | float64_columns())
def test_a_column_is_its_half_of_the_chunks(column: np.ndarray) -> None:
    payload = PrometheusXor().pack(column)
    assert bytes(payload) == slow_column(column)


@pytest.mark.parametrize("limit", [2**13, 2**16, 2**19])
def test_ranges_reach_one_further_above_zero_than_below(limit: int) -> None:
    sizes = []
    for change in (-limit, -limit + 1, limit, limit + 1):
        timestamps = np.cumsum([1000, 15000, 15000 + change, 15000 + 2 * change])
        chunk = encode_chunk(timestamps, np.zeros(4))
        assert chunk == slow_chunk(timestamps, np.zeros(4))
        assert same_bits(decode_chunk(chunk)[0], timestamps)
        sizes.append(len(chunk))
    assert sizes[0] == sizes[3] > sizes[1] == sizes[2]


def test_a_full_window_and_more_than_31_leading_zeros() -> None:
    words = np.array([0, 2**63 + 1, 2**63 + 1, 2**63, 2**63 + 2**20, 2**63 + 2**20 + 1], np.uint64)
    timestamps = np.arange(words.size)
    assert encode_chunk(timestamps, words.view(np.float64)) == slow_chunk(timestamps, words.view(np.float64))


def test_stale_markers_and_other_nans_keep_their_payload() -> None:
    values = np.array([1.0, STALE, NAN, np.nan, STALE])
    assert same_bits(decode_chunk(encode_chunk(np.arange(5), values))[1], values)


def test_regular_repeats_take_two_bits_a_sample() -> None:
    timestamps = 1_700_000_000_000 + 15_000 * np.arange(120)
    assert len(encode_chunk(timestamps, np.full(120, 45.3))) == 2 + 6 + 8 + 2 + (1 + 118 * 2 + 7) // 8


@pytest.mark.parametrize(
    ("changes", "spare"),
    [
        ([], True),  # the first value's 64 bits
        ([0xFF], False),  # 13 + 8 bits
        ([0xFF, 0xFF], True),  # 11 more are 32 in all, the last 8 of them a byte in its place
        ([0xFF, 0xFF, 0xFF], False),
        ([0xFF, 0xFF, 0, 0, 0, 0], False),  # 8 more bits, but they are no meaningful ones
        ([0xFF] * 9, False),
        ([0xFF] * 10, True),  # 13 + 8 + 9 * 11 bits are a multiple of 8 once more
        ([0x7], False),  # 13 + 3 bits are one as well, but the last 3 are no whole bytes
    ],
)
def test_old_versions_leave_a_byte_behind_whole_bytes_in_place(changes: list[int], spare: bool) -> None:
    words = np.bitwise_xor.accumulate(np.array([0x3FF << 52, *(change << 40 for change in changes)], np.uint64))
    timestamps, values = np.arange(len(words)), words.view(np.float64)
    chunk = slow_chunk(timestamps, values)
    assert encode_chunk(timestamps, values) == chunk
    assert encode_chunk(timestamps, values, spare_byte=True) == chunk + b"\0" * spare


def test_no_chunk_takes_more_than_the_worst() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 50):
        timestamps = rng.integers(0, 2**64, count, np.uint64).view(np.int64)
        words = rng.integers(0, 2**64, count, np.uint64) >> rng.integers(0, 40, count, np.uint64)
        chunk = encode_chunk(timestamps, words.view(np.float64), spare_byte=True)
        assert len(chunk) <= worst_chunk_bytes(count)


@pytest.mark.parametrize("count", [0, 1, MOST_SAMPLES])
def test_chunks_of_every_size(count: int) -> None:
    timestamps, values = decode_chunk(encode_chunk(np.arange(count), np.ones(count)))
    assert same_bits(timestamps, np.arange(count))
    assert same_bits(values, np.ones(count))


def test_what_makes_no_chunk_is_rejected_in_one_line() -> None:
    with pytest.raises(InvalidRequestError, match="at most 65535"):
        encode_chunk(np.arange(MOST_SAMPLES + 1), np.ones(MOST_SAMPLES + 1))
    for timestamps, values in (([1], [1.0, 2.0]), ([[1]], [[1.0]])):
        with pytest.raises(InvalidRequestError, match="a value for each timestamp"):
            encode_chunk(timestamps, values)


@pytest.mark.bounds
def test_cut_and_lengthened_chunks_are_noticed() -> None:
    for size in range(len(WRITTEN_BY_PROMETHEUS)):
        with pytest.raises(CorruptDataError, match="not one whole"):
            decode_chunk(WRITTEN_BY_PROMETHEUS[:size])
    for after in (b"\1", b"\0\0"):
        with pytest.raises(CorruptDataError):
            decode_chunk(WRITTEN_BY_PROMETHEUS + after)


@pytest.mark.bounds
@pytest.mark.parametrize(
    "code",
    [
        "10",  # a window that was never opened
        "11" + "11111" + "101000" + "1" * 40,  # 31 leading zeros and 40 meaningful bits are more than 64
        "11" + "00000" + "000000" + "1" * 40,  # 64 meaningful bits, of which 40 are there
    ],
)
def test_a_code_that_nobody_writes_is_noticed(code: str) -> None:
    with pytest.raises(CorruptDataError):
        decode_chunk(b"\0\2" + to_bytes(varint(1000) + f"{0:064b}" + uvarint(15) + code))


@pytest.mark.bounds
@given(st.binary(max_size=100), st.integers(0, 200))
def test_random_bytes_never_crash(noise: bytes, count: int) -> None:
    try:
        timestamps, values = decode_chunk(count.to_bytes(2, "big") + noise)
    except CorruptDataError:
        return
    assert len(timestamps) == len(values) == count


@pytest.mark.bounds
@pytest.mark.parametrize(
    ("dtype", "payload", "count"),
    [
        (FLOAT64, b"\0" * 8 + b"\x80" * 8, 3),  # a window that was never opened
        (FLOAT64, b"\0" * 23, 121),  # the second chunk lacks its first value
        (FLOAT64, b"\0" * 24, 3),  # more than three values need
        (INT64, b"\x80" * 20, 3),  # numbers that do not end
        (INT64, b"\0\0\xf0", 3),  # a code cut short
        (INT64, b"\0\0\0\0", 3),  # more than three timestamps need
    ],
)
def test_a_payload_that_holds_something_else_is_corrupt(dtype: np.dtype, payload: bytes, count: int) -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        PrometheusXor().decode(forge("prometheus_xor", dtype, payload, count))
