"""Prometheus's XOR2 chunks against some that it wrote, its documentation, and a slow encoder that reads like it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bit_strings import signed, to_bytes, uvarint, varint
from columns import at_the_end_of_memory, float64_columns, forge, int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs import prometheus_xor
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.codecs._prometheus import SAMPLES_PER_CHUNK
from squeezelab.codecs.prometheus_xor import MOST_SAMPLES
from squeezelab.codecs.prometheus_xor2 import (
    PrometheusXor2,
    decode_chunk,
    encode_chunk,
    read_chunk,
    worst_chunk_bytes,
)
from squeezelab.errors import InvalidRequestError
from squeezelab.kernels.bits import READ_SLACK, U

STALE_WORD = 0x7FF0000000000002
STALE, NAN = np.array([STALE_WORD, 0x7FF8000000000001], np.uint64).view(np.float64)
BEGIN = 1_700_000_000_000

SAMPLES = (
    BEGIN + np.array([0, 15000, 30000, 45000, 60000, 75500, 90500, 105500, 706000, 1306500, 2**40]),
    np.array([1.0, 1.0, 1.0, 0.1, NAN, NAN, STALE, -np.inf, STALE, 1e300, 1e300]),
)
REGULAR = BEGIN + 15000 * np.arange(130), np.full(130, 45.3)

# Made by the code of Prometheus 3.14.0, tsdb/chunkenc, through the appender of an XOR2 chunk.
WRITTEN_BY_PROMETHEUS = [
    (
        SAMPLES,
        "000b0080a0abfef9623ff000000000000098752a769333333333333687f808333333333333783e8d"
        "e0cf4004004000000000000f8000000000023bc73c81c7e43c8800759cf0000007ffff173640",
    ),
    (
        REGULAR,
        "00827f80a0abfef9624046a66666666666987500000000000000000000000000000001fc000317a0047da0f83a987c1d4c00",
    ),
]
WITH_START_TIMESTAMPS = [
    (4, "00048080a0abfef9623ff0000000000000d00f9875c12fffd60300"),  # the same for all
    (5, "00058280a0abfef9623ff0000000000000d00f9875c12fffd603fbec787c1d4c5585fc1d4c00"),  # another from the third on
]


def code_of_change(change: int) -> str:
    """Return the code of a delta of delta other than zero."""
    if -(2**12) <= change < 2**12:
        return "110" + f"{change % 2**13:013b}"
    if -(2**19) <= change < 2**19:
        return "1110" + f"{change % 2**20:020b}"
    return "11110" + f"{change % 2**64:064b}"


def code_of_start(change: int) -> str:
    """Return the code of a change of the distance from a start timestamp."""
    if change == 0:
        return "0"
    for ones, width in enumerate((3, 6, 9, 12, 18, 25, 56), start=1):
        if -(2 ** (width - 1)) < change <= 2 ** (width - 1):
            return "1" * ones + "0" + f"{change % 2**width:0{width}b}"
    return "11111111" + f"{change % 2**64:064b}"


class SlowValues:
    """Codes of values, one after the other; the first one has none."""

    def __init__(self, first: int) -> None:
        self.last, self.window = 0 if first == STALE_WORD else first, None

    def code(self, word: int, steady: bool) -> str:
        if word == STALE_WORD:
            return "11111" if steady else "111"
        xor = f"{word ^ self.last:064b}"
        self.last = word
        if "1" not in xor:
            return "0"
        leading, trailing = min(xor.index("1"), 31), 63 - xor.rindex("1")
        if self.window and leading >= self.window[0] and trailing >= self.window[1]:
            return ("100" if steady else "10") + xor[self.window[0] : 64 - self.window[1]]
        self.window = leading, trailing
        width = 64 - leading - trailing
        return ("101" if steady else "110") + f"{leading:05b}{width % 64:06b}" + xor[leading : 64 - trailing]


def slow_chunk(timestamps: np.ndarray, values: np.ndarray) -> bytes:
    times, words, count = timestamps.tolist(), values.view(np.uint64).tolist(), len(timestamps)
    if not count:
        return bytes(3)
    bits, slow = varint(times[0]) + f"{words[0]:064b}", SlowValues(words[0])
    for i in range(1, count):
        step = times[i] - times[i - 1]
        change = signed(step - (times[i - 1] - times[i - 2])) if i > 1 else None
        bits += uvarint(step % 2**64) if change is None else code_of_change(change) if change else ""
        bits += slow.code(words[i], steady=change == 0)
        if i >= 127:
            bits += code_of_start(signed(times[i - 1] - (times[i - 2] if i > 127 else 0)))
    return count.to_bytes(2, "big") + (b"\x7f" if count > 127 else b"\0") + to_bytes(bits)


def slow_column(column: np.ndarray) -> bytes:
    payload = b""
    for first in range(0, len(column), SAMPLES_PER_CHUNK):
        items = column[first : first + SAMPLES_PER_CHUNK].view(np.uint64).tolist()
        if column.dtype == FLOAT64:
            slow = SlowValues(items[0])
            codes = [f"{items[0]:064b}", *(slow.code(word, i > 0) for i, word in enumerate(items[1:]))]
        else:
            steps = [(after - before) % 2**64 for before, after in pairwise(items)]
            codes = [varint(signed(items[0])), *(uvarint(step) for step in steps[:1])]
            for before, after in pairwise(steps):
                codes.append("0" if before == after else code_of_change(signed(after - before)))
        payload += to_bytes("".join(codes))
    return payload


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    timestamps, values = draw(int64_columns()), draw(with_stale_markers())
    count = min(len(timestamps), len(values))
    return timestamps[:count], values[:count]


@st.composite
def with_stale_markers(draw: st.DrawFn) -> np.ndarray:
    values = draw(float64_columns()).copy()
    stale = draw(st.lists(st.integers(0, max(len(values) - 1, 0)), max_size=9 * bool(len(values))))
    values[stale] = STALE
    return values


@pytest.mark.parametrize(("written", "chunk"), WRITTEN_BY_PROMETHEUS)
def test_chunks_that_prometheus_wrote(written: tuple[np.ndarray, np.ndarray], chunk: str) -> None:
    assert encode_chunk(*written).hex() == chunk
    timestamps, values = decode_chunk(bytes.fromhex(chunk))
    assert same_bits(timestamps, written[0])
    assert same_bits(values, written[1])


@pytest.mark.parametrize(("count", "chunk"), WITH_START_TIMESTAMPS)
def test_start_timestamps_are_passed_over(count: int, chunk: str) -> None:
    timestamps, values = decode_chunk(bytes.fromhex(chunk))
    assert same_bits(timestamps, BEGIN + 15000 * np.arange(count))
    assert same_bits(values, np.array([1.0, 2.0, 3.0, 3.0, 4.0])[:count])


@given(samples())
def test_every_chunk_is_written_bit_by_bit_as_documented(series: tuple[np.ndarray, np.ndarray]) -> None:
    assert encode_chunk(*series) == slow_chunk(*series)


@given(samples())
def test_every_bit_comes_back(series: tuple[np.ndarray, np.ndarray]) -> None:
    timestamps, values = decode_chunk(encode_chunk(*series))
    assert same_bits(timestamps, series[0])
    assert same_bits(values, series[1])


@given(int64_columns() | with_stale_markers())
def test_a_column_is_its_half_of_the_chunks(column: np.ndarray) -> None:
    assert bytes(PrometheusXor2().pack(column)) == slow_column(column)
    assert same_bits(PrometheusXor2().decode(PrometheusXor2().encode(column)), column)


@pytest.mark.parametrize("limit", [2**12, 2**19])
def test_ranges_reach_one_further_below_zero_than_above(limit: int) -> None:
    sizes = []
    for change in (-limit - 1, -limit, limit - 1, limit):
        timestamps = np.cumsum([1000, 15000, 15000 + change, 15000 + 2 * change])
        chunk = encode_chunk(timestamps, np.zeros(4))
        assert chunk == slow_chunk(timestamps, np.zeros(4))
        assert same_bits(decode_chunk(chunk)[0], timestamps)
        sizes.append(len(chunk))
    assert sizes[0] == sizes[3] > sizes[1] == sizes[2]


@pytest.mark.parametrize("width", [3, 6, 9, 12, 18, 25, 56, 64])
def test_intervals_behind_the_127th_sample_take_as_many_bits_as_their_range(width: int) -> None:
    limit = 2 ** (width - 1)
    for interval in (-limit, -limit + 1, limit, limit + 1):
        timestamps = np.cumsum(np.full(140, signed(interval), np.int64))
        chunk = encode_chunk(timestamps, np.zeros(140))
        assert chunk == slow_chunk(timestamps, np.zeros(140))
        assert same_bits(decode_chunk(chunk)[0], timestamps)


def test_a_stale_first_value_is_no_base_for_the_next() -> None:
    words = np.array([STALE_WORD, 5, STALE_WORD, 5], np.uint64)
    chunk = encode_chunk(np.arange(4), words.view(np.float64))
    assert chunk == slow_chunk(np.arange(4), words.view(np.float64))
    assert same_bits(decode_chunk(chunk)[1], words.view(np.float64))


def test_an_xor_that_makes_the_stale_marker_is_a_marker() -> None:
    words = np.array([STALE_WORD ^ 1, STALE_WORD, STALE_WORD ^ 3], np.uint64)
    assert same_bits(decode_chunk(encode_chunk(np.arange(3), words.view(np.float64)))[1], words.view(np.float64))


def test_regular_repeats_take_one_bit_a_sample_where_xor_takes_two() -> None:
    timestamps, values = REGULAR[0][:120], REGULAR[1][:120]
    assert len(encode_chunk(timestamps, values)) == 3 + 6 + 8 + 2 + (1 + 118 + 7) // 8
    assert len(prometheus_xor.encode_chunk(timestamps, values)) == 2 + 6 + 8 + 2 + (1 + 2 * 118 + 7) // 8


def test_no_chunk_takes_more_than_the_worst() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 50, 500):
        timestamps = rng.integers(0, 2**64, count, np.uint64).view(np.int64)
        words = rng.integers(0, 2**64, count, np.uint64) >> rng.integers(0, 40, count, np.uint64)
        assert len(encode_chunk(timestamps, words.view(np.float64))) <= worst_chunk_bytes(count)


@pytest.mark.parametrize("count", [0, 1, 127, 128, MOST_SAMPLES])
def test_chunks_of_every_size(count: int) -> None:
    timestamps, values = decode_chunk(encode_chunk(np.arange(count), np.ones(count)))
    assert same_bits(timestamps, np.arange(count))
    assert same_bits(values, np.ones(count))


def test_what_makes_no_chunk_is_rejected_in_one_line() -> None:
    with pytest.raises(InvalidRequestError, match="at most 65535"):
        encode_chunk(np.arange(MOST_SAMPLES + 1), np.ones(MOST_SAMPLES + 1))
    with pytest.raises(InvalidRequestError, match="a value for each timestamp"):
        encode_chunk([1], [1.0, 2.0])


@pytest.mark.parametrize("chunk", [chunk for _, chunk in WRITTEN_BY_PROMETHEUS + WITH_START_TIMESTAMPS])
def test_cut_and_lengthened_chunks_are_noticed(chunk: str) -> None:
    whole = bytes.fromhex(chunk)
    for size in range(len(whole)):
        with pytest.raises(CorruptDataError, match="not one whole"):
            decode_chunk(whole[:size])
    with pytest.raises(CorruptDataError):
        decode_chunk(whole + b"\0")


@pytest.mark.parametrize(
    "code",
    [
        "10",  # a window that was never opened
        "0" + "100",  # nor here, at a steady interval
        "110" + "11111" + "101000" + "1" * 40,  # 31 leading zeros and 40 meaningful bits are more than 64
        "110" + "00000" + "000000" + "1" * 40,  # 64 meaningful bits, of which 40 are there
        "0" + "11110" + "0" * 40,  # 64 bits of a delta of delta, of which 40 are there
    ],
)
def test_a_code_that_nobody_writes_is_noticed(code: str) -> None:
    count = 3 if code.startswith("0") else 2
    with pytest.raises(CorruptDataError):
        decode_chunk(bytes([0, count, 0]) + to_bytes(varint(1000) + f"{0:064b}" + uvarint(15) + code))


@given(st.binary(max_size=100), st.integers(0, 200), st.integers(0, 255))
def test_random_bytes_never_crash(noise: bytes, count: int, header: int) -> None:
    try:
        timestamps, values = decode_chunk(count.to_bytes(2, "big") + bytes([header]) + noise)
    except CorruptDataError:
        return
    assert len(timestamps) == len(values) == count


@pytest.mark.parametrize("code", ["110", "1110", "11110"])
def test_nothing_is_read_behind_a_code_cut_short(code: str) -> None:
    chunk = b"\0\3\0" + to_bytes(varint(1000) + f"{0:064b}" + uvarint(15) + "0" + code)
    data = at_the_end_of_memory(chunk + bytes(READ_SLACK))
    timestamps, values = np.empty((2, 3), np.uint64)
    assert not read_chunk(data, U(0), U(len(chunk)), timestamps, values)


OPENS = "110" + "11111" + "000001" + "1"  # a window of one bit


@pytest.mark.parametrize(
    ("dtype", "payload", "count"),
    [
        (FLOAT64, b"\0" * 8 + b"\x80" * 8, 3),  # a window that was never opened
        (FLOAT64, b"\0" * 8 + to_bytes(OPENS + "110" + "1"), 3),  # a delta of delta among values
        (FLOAT64, b"\0" * 8 + to_bytes(OPENS + "11110"), 3),  # another
        (FLOAT64, b"\0" * 23, 121),  # the second chunk lacks its first value
        (FLOAT64, b"\0" * 24, 3),  # more than three values need
        (INT64, b"\x80" * 20, 3),  # numbers that do not end
        (INT64, b"\0\0" + to_bytes("10"), 3),  # a changed value among timestamps
        (INT64, b"\0\0" + to_bytes("11111"), 3),  # a stale one
        (INT64, b"\0\0\xf0", 3),  # a code cut short
        (INT64, b"\0\0\0\0", 3),  # more than three timestamps need
    ],
)
def test_a_payload_that_holds_something_else_is_corrupt(dtype: np.dtype, payload: bytes, count: int) -> None:
    with pytest.raises(CorruptDataError, match="promises"):
        PrometheusXor2().decode(forge("prometheus_xor2", dtype, payload, count))
