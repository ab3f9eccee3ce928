"""Prometheus's chunks files: against the blocks that promtool makes, a slow CRC, and the rules for cutting chunks."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.codecs import prometheus_xor2
from squeezelab.codecs._frame import read_varint, varint
from squeezelab.codecs.prometheus_xor import decode_chunk, encode_chunk
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats._crc32c import POLYNOMIAL, crc32c
from squeezelab.formats._sealed import seal, unseal
from squeezelab.formats.prometheus import CHUNK_RANGE, encode_series, end_of_chunk
from squeezelab.kernels.bits import U
from squeezelab.programs import find_program

HOUR = 3_600_000
BEGIN = 1_700_000_000_000 // (4 * HOUR) * 4 * HOUR

RECORDED = bytes.fromhex(
    "85bd40dd01000000"
    "3c01000580a0abfef9623ff00000000000009875d3b4999999999999b03e987f"
    "80833333333333377831800800800000000000181f4a071f90f22001d670cfefc19f"
    "11010001c0c9b2fef962800000000000000000" + "2ddc4165"
)
"""The chunks file of a block of two series that promtool 2.42 made of OpenMetrics."""


def taken_apart(chunks: bytes) -> Iterator[tuple[np.ndarray, np.ndarray, bytes]]:
    """Yield the samples of each chunk, and its data; check all around them."""
    at = 0
    while at < len(chunks):
        size, begin = read_varint(chunks, at)
        data = chunks[begin + 1 : begin + 1 + size]
        at = begin + 1 + size + 4
        assert chunks[begin] == 1
        assert int.from_bytes(chunks[at - 4 : at], "big") == slow_crc(chunks[begin : at - 4])
        yield *decode_chunk(data), data


def slow_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@given(st.binary(max_size=60), st.integers(0, 9))
def test_crc32c(data: bytes, start: int) -> None:
    start = min(start, len(data))
    assert crc32c(np.frombuffer(data + b"x", np.uint8), U(start), U(len(data))) == slow_crc(data[start:])


def test_a_chunks_file_that_prometheus_wrote() -> None:
    nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    timestamps = np.array([1700000000000, 1700000015000, 1700000030500, 1700000045000, 1700000060000])
    first = encode_series(timestamps, np.array([1.0, 0.1, nan, -np.inf, 1e300]), spare_byte=True)
    second = encode_series(timestamps[4:], np.array([-0.0]), spare_byte=True)
    assert bytes.fromhex("85bd40dd01000000") + first + second == RECORDED


def test_regular_series_are_cut_into_chunks_of_120() -> None:
    for cadence in (1, 15_000):
        timestamps = BEGIN + cadence * np.arange(960)
        counts = [len(times) for times, _, _ in taken_apart(encode_series(timestamps, np.ones(960)))]
        assert counts == [120] * 8


def test_no_chunk_reaches_across_two_hours() -> None:
    timestamps = BEGIN + 2 * HOUR - 60_000 + 15_000 * np.arange(10)
    assert [len(times) for times, _, _ in taken_apart(encode_series(timestamps, np.ones(10)))] == [4, 6]


def test_no_chunk_has_more_than_240_samples() -> None:
    timestamps = BEGIN + np.concatenate([60_000 * np.arange(31), 31 * 60_000 + np.arange(400)])
    assert max(len(times) for times, _, _ in taken_apart(encode_series(timestamps, np.ones(431)))) == 240


def test_no_chunk_has_more_than_1024_bytes() -> None:
    rng = np.random.default_rng(0)
    timestamps, values = BEGIN + np.cumsum(rng.integers(1, 2**22, 5000)), rng.normal(size=5000)
    *chunks, _ = taken_apart(encode_series(timestamps, values, chunk_range=2**50))
    for times, readings, data in chunks:
        assert len(encode_chunk(times[:-1], readings[:-1])) <= 1024 - 19 < len(data) <= 1024


def test_times_before_1970_are_cut_as_go_divides() -> None:
    timestamps = np.arange(-3, 3) * HOUR
    ends = [int(end_of_chunk(timestamps, first, CHUNK_RANGE)) for first in range(6)]
    assert ends == [3, 3, 5, 5, 5, 6]


def test_timestamps_in_any_order_are_kept() -> None:
    timestamps = np.array([5, 3, 2**62, -(2**63), 2**63 - 1, 3] * 20)
    found = list(taken_apart(encode_series(timestamps, np.arange(120.0))))
    assert same_bits(np.concatenate([times for times, _, _ in found]), timestamps)
    assert same_bits(np.concatenate([values for _, values, _ in found]), np.arange(120.0))


def test_seconds_become_milliseconds_where_they_fit() -> None:
    for timestamps, unit in (([1, 2], 1000), ([2**63 // 1000], 1000), ([2**63 // 1000 + 1], 1), ([-(2**63)], 1)):
        series = Series(SeriesKey("up", {}), np.array(timestamps), np.ones(len(timestamps)))
        file = get_format("prometheus").encode(MetricDataset.from_series([series]))
        _, body, at = unseal("prometheus", file)
        assert bytes(body[at:]) == varint(unit) + varint(len(timestamps)) + encode_series(series[1] * unit, series[2])
        assert same_bits(get_format("prometheus").decode(file).timestamps, series.timestamps)


def a_chunk(data: bytes, kind: int = 1) -> bytes:
    rest = bytes([kind]) + data
    return varint(len(data)) + rest + slow_crc(rest).to_bytes(4, "big")


GOOD = encode_chunk([1000, 2000], [1.0, 2.0])


@pytest.mark.bounds
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (varint(7) + varint(2) + a_chunk(GOOD), "claims"),
        (varint(1000) + varint(2**60) + a_chunk(GOOD), "claims"),
        (varint(1000) + varint(3) + a_chunk(GOOD), "promises"),
        (varint(1000) + varint(1) + a_chunk(GOOD), "promises"),
        (varint(1000) + varint(2) + a_chunk(GOOD, kind=2), "promises"),
        (varint(1000) + varint(2) + a_chunk(GOOD)[:-1] + b"\0", "promises"),
        (varint(1000) + varint(2) + a_chunk(GOOD)[:-1], "promises"),
        (varint(1000) + varint(2) + a_chunk(GOOD) + b"\0", "promises"),
        (varint(1000) + varint(2) + a_chunk(bytes(2)) + a_chunk(GOOD), "promises"),
        (varint(1000) + varint(2) + varint(2**64 - 3) + a_chunk(GOOD)[1:], "promises"),
        (varint(1000) + varint(2) + a_chunk(encode_chunk([1000, 2001], [1.0, 2.0])), "whole second"),
        (b"", "cut short"),
    ],
)
def test_a_file_that_checks_out_but_makes_no_sense_is_corrupt(body: bytes, reason: str) -> None:
    with pytest.raises(CorruptDataError, match=reason):
        get_format("prometheus").decode(b"".join(seal("prometheus", [SeriesKey("up", {})], [body])))


def test_xor2_chunks_differ_in_their_kind_and_data_and_are_cut_alike() -> None:
    timestamps, values = BEGIN + 15_000 * np.arange(960), np.full(960, 45.3)
    one = b"".join(
        a_chunk(prometheus_xor2.encode_chunk(timestamps[i : i + 120], values[i : i + 120]), kind=4)
        for i in range(0, 960, 120)
    )
    assert encode_series(timestamps, values, kind="xor2") == one


def test_xor2_chunks_have_no_more_than_1024_bytes_either() -> None:
    rng = np.random.default_rng(0)
    timestamps, values = BEGIN + 15_000 * np.arange(2000), rng.normal(size=2000)
    chunks, at = encode_series(timestamps, values, chunk_range=2**50, kind="xor2"), 0
    while at < len(chunks):
        size, begin = read_varint(chunks, at)
        assert size <= 1024
        at = begin + 1 + size + 4
    assert at == len(chunks)


def test_either_kind_of_chunk_is_read_whatever_is_set() -> None:
    values = np.array([45.3] * 70 + [1.0, 2.0, np.inf])
    dataset = MetricDataset.from_series([Series(SeriesKey("up", {}), 1_700_000_000 + 15 * np.arange(73), values)])
    xor, xor2 = get_format("prometheus"), get_format("prometheus:chunks=xor2")
    assert len(xor2.encode(dataset)) < len(xor.encode(dataset))
    for file in (xor.encode(dataset), xor2.encode(dataset)):
        assert xor.decode(file).fingerprint == xor2.decode(file).fingerprint == dataset.fingerprint


def test_another_kind_of_chunk_is_rejected_in_one_line() -> None:
    with pytest.raises(InvalidRequestError, match="choose from xor, xor2"):
        get_format("prometheus:chunks=xor3")


@pytest.mark.bounds
@given(st.binary(max_size=100))
def test_a_file_of_random_bytes_never_crashes(content: bytes) -> None:
    body = varint(1000) + varint(1 + len(content) % 9) + content
    with pytest.raises(CorruptDataError):
        get_format("prometheus").decode(b"".join(seal("prometheus", [SeriesKey("up", {})], [body])))


def all_kinds(full_chunks: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return series of every cadence and kind of value; such as fill a chunk's 1024 bytes only on demand."""
    rng = np.random.default_rng(1)
    series, count = [], 500
    for cadence in (
        np.full(count, 15_000),
        np.full(count, 777),
        30_000 + rng.integers(-40, 40, count),
        rng.choice([1, 10, 1000, 15_000, 3_000_000], count),
    ):
        timestamps = BEGIN + int(rng.integers(0, 4 * HOUR)) + np.cumsum(cadence)
        decimals = [np.round(np.cumsum(rng.normal(size=count)), 1), rng.normal(size=count)]
        for values in (
            np.cumsum(rng.integers(-9, 10, count)) / 8,
            np.where(rng.random(count) < 0.02, np.inf, 45.3),
            np.cumsum(rng.integers(0, 100, count)).astype(float),
            rng.integers(0, 256, count) / 1.0,
            *(decimals if full_chunks else ()),
        ):
            series.append((timestamps, values))
    series.append((np.array([BEGIN]), np.array([-0.0])))
    return series


def open_metrics(series: list[tuple[np.ndarray, np.ndarray]]) -> str:
    lines = ["# TYPE m gauge"]
    for i, (timestamps, values) in enumerate(series):
        for time, value in zip(timestamps.tolist(), values.tolist(), strict=True):
            lines.append(f'm{{i="{i:03d}"}} {value!r} {time // 1000}.{time % 1000:03d}'.replace(" inf", " +Inf"))
    return "\n".join([*lines, "# EOF\n"])


@pytest.mark.skipif(not find_program("promtool"), reason="promtool is not installed (Debian: prometheus or promtool)")
def test_promtool_writes_the_same_bytes(tmp_path: Path) -> None:
    version = subprocess.run([str(find_program("promtool")), "--version"], check=True, capture_output=True, text=True)
    old = int((version.stdout + version.stderr).split("version ")[1].split(".")[0]) < 3
    series = all_kinds(full_chunks=not old)  # that limit came with one of the versions 2
    (tmp_path / "in.txt").write_text(open_metrics(series))
    command = [str(find_program("promtool")), "tsdb", "create-blocks-from", "openmetrics", "in.txt", "out"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    ours = []
    for begin in range(BEGIN, int(max(times[-1] for times, _ in series)) + 1, 2 * HOUR):
        block = b""
        for timestamps, values in series:
            part = (begin <= timestamps) & (timestamps < begin + 2 * HOUR)
            block += encode_series(timestamps[part], values[part], chunk_range=4 * HOUR, spare_byte=old)
        if block:
            ours.append(RECORDED[:8] + block)
    theirs = [path.read_bytes() for path in (tmp_path / "out").glob("*/chunks/*")]
    assert len(theirs) > 20
    assert sorted(theirs) == sorted(ours)


@pytest.mark.parametrize(("unit", "factor"), [("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_chunks_span_two_hours_whatever_timestamps_count(unit: str, factor: int) -> None:
    seconds = 1_700_000_000 + 60 * np.arange(1000)
    key, values = SeriesKey("a", {}), np.zeros(1000)
    whole = MetricDataset.from_series([Series(key, seconds, values)])
    finer = MetricDataset.from_series([Series(key, seconds * factor, values)], time_unit=unit)
    encoded = get_format("prometheus").encode(finer)
    assert get_format("prometheus").decode(encoded).fingerprint == finer.fingerprint
    # Chunks of another span would be far more; these differ in the factor and their first two timestamps.
    more = len(encoded) - len(get_format("prometheus").encode(whole))
    assert more == -1 if unit == "ms" else 0 < more < 150
