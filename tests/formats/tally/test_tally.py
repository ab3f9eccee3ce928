"""The tally file: reading a part of it, sharing and referring, damage of every byte, and indices nobody should make."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from columns import at_the_end_of_memory, same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.codecs._frame import read_varint, read_varints, varint
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import compressed, get_format
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats.tally.format import FIRST_LINE, Tally, TallyReader

LEVELS = pytest.mark.parametrize("level", [1, 2])
SPAN = 8192
COUNT = 2 * SPAN + 100


def memory(count: int = COUNT) -> MetricDataset:
    """Return free, cached and available memory of one host, and the shorter load of another at other times."""
    rng = np.random.default_rng(1)
    times = 1_700_000_000 + np.cumsum(rng.integers(14, 17, count))
    free, cache = 4096.0 * (10**6 + np.cumsum(rng.integers(-2000, 2001, (2, count)), axis=1))
    available = free + cache + 4096 * rng.integers(0, 4, count)
    series = [
        Series(SeriesKey(name, {"host": "a"}), times, column)
        for name, column in (("free", free), ("cache", cache), ("available", available))
    ]
    load = np.round(np.abs(np.cumsum(rng.normal(size=count // 2))), 2)
    return MetricDataset.from_series([*series, Series(SeriesKey("load", {"host": "b"}), times[: count // 2] + 7, load)])


DATASET = memory()
FILES = {level: Tally(level).encode(DATASET) for level in (1, 2)}
SMALL = {level: Tally(level).encode(memory(60)) for level in (1, 2)}


def same(found: Series, expected: Series) -> bool:
    key, timestamps, values = found
    return key == expected.key and same_bits(timestamps, expected.timestamps) and same_bits(values, expected.values)


class Apart(NamedTuple):
    """A file taken apart: the index up to its numbers, its numbers, and the blocks; `together` makes it whole again."""

    head: bytes
    numbers: list[int]
    blocks: list[bytes]

    @classmethod
    def of(cls, file: bytes) -> "Apart":
        size = int.from_bytes(file[-16:-8], "big")
        index = zstandard.ZstdDecompressor().decompress(file[-16 - size : -16])
        length, at = read_varint(index, 1)
        whole = cls(index[: at + length], read_varints(index, at + length), [])
        at = len(FIRST_LINE)
        for place in whole.sizes():
            whole.blocks.append(file[at : at + whole.numbers[place]])
            at += whole.numbers[place] + 4
        assert at == len(file) - 16 - size
        return whole

    def sizes(self) -> Iterator[int]:
        """Yield where among the numbers the size of each block stands."""
        numbers, at, counts = self.numbers, 1, []
        for _ in range(numbers[0]):
            counts.append(-(-numbers[at] // SPAN))
            yield from range(at + 1, at + 1 + 3 * counts[-1], 3)
            at += 1 + 3 * counts[-1]
        while at < len(numbers):
            first = at + 2 + numbers[at + 1]
            at = first + counts[numbers[at]]
            yield from range(first, at)

    def together(self) -> bytes:
        index = self.head + b"".join(map(varint, self.numbers))
        return sealed(index, b"".join(block + xxhash.xxh3_64_digest(block)[4:] for block in self.blocks))

    def with_block(self, i: int, block: bytes) -> "Apart":
        numbers, blocks = list(self.numbers), list(self.blocks)
        numbers[list(self.sizes())[i]], blocks[i] = len(block), block
        return Apart(self.head, numbers, blocks)

    def with_numbers(self, numbers: list[int]) -> "Apart":
        return self._replace(numbers=numbers)


def sealed(index: bytes, blocks: bytes = b"") -> bytes:
    """Return a file whose checksums are good."""
    packed = zstandard.ZstdCompressor(level=1).compress(index)
    size = len(packed).to_bytes(8, "big")
    return FIRST_LINE + blocks + packed + size + xxhash.xxh3_64_digest(FIRST_LINE + packed + size)


# Reading a part


@LEVELS
def test_a_series_is_what_the_whole_file_has_of_it(level: int) -> None:
    assert Tally().decode(FILES[level]).fingerprint == DATASET.fingerprint
    for number, expected in enumerate(DATASET):
        assert same(Tally().read_series(FILES[level], number), expected)


@LEVELS
@given(
    number=st.integers(0, 3),
    start=st.integers(-100, COUNT + 100) | st.sampled_from([0, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 10**12]),
    length=st.integers(-5, 300) | st.sampled_from([0, 1, SPAN, COUNT, 10**12]),
)
def test_a_range_is_a_slice(level: int, number: int, start: int, length: int) -> None:
    key, timestamps, values = list(DATASET)[number]
    part = slice(start, start + length)
    found = Tally().read_range(FILES[level], number, part.start, part.stop)
    assert same(found, Series(key, timestamps[part], values[part]))


@LEVELS
@given(number=st.integers(0, 3), first=st.integers(-10, COUNT + 10), seconds=st.integers(-5, 300_000))
def test_samples_between_two_times(level: int, number: int, first: int, seconds: int) -> None:
    key, timestamps, values = list(DATASET)[number]
    begin = int(DATASET.timestamps[0]) + 15 * first
    held = (timestamps >= begin) & (timestamps < begin + seconds)
    found = TallyReader(FILES[level]).read_between(number, begin, begin + seconds)
    assert same(found, Series(key, timestamps[held], values[held]))


def test_samples_between_the_ends_of_time() -> None:
    times = np.concatenate([np.full(SPAN, -(2**63)), np.full(SPAN, 2**63 - 1), [0]])
    file = Tally().encode(MetricDataset.from_series([Series(SeriesKey("up", {}), times, np.arange(times.size) * 1.0)]))
    reader = TallyReader(file)
    assert reader.read_between(0, 0, 1).values.tolist() == [2.0 * SPAN]
    assert reader.read_between(0, -(2**63), 0).values.tolist() == list(range(SPAN))
    assert reader.read_between(0, 1, 2**63).values.tolist() == list(range(SPAN, 2 * SPAN))


@pytest.mark.parametrize("number", [-1, 4, 10**6])
def test_there_is_no_such_series(number: int) -> None:
    for read in (
        lambda: Tally().read_series(FILES[2], number),
        lambda: Tally().read_range(FILES[2], number, 0, 1),
        lambda: TallyReader(FILES[2]).read_between(number, 0, 1),
    ):
        with pytest.raises(IndexError, match=f"no series {number}: the file has 4"):
            read()


def test_a_reader_knows_names_lengths_and_unit() -> None:
    dataset = MetricDataset(DATASET.keys, DATASET.offsets, DATASET.timestamps, DATASET.values, "ms")
    reader = TallyReader(Tally().encode(dataset))
    assert reader.time_unit == "ms"
    assert list(reader.keys) == list(DATASET.keys)
    assert [reader.length(number) for number in range(4)] == [COUNT, COUNT, COUNT, COUNT // 2]


BLOCKS_OF = [{0, 1, 2}, {3, 4}, {5, 6, 7}, {8, 9, 10}, {11, 12, 13}, {14, 15}]
"""The blocks of the two clocks, and of the four series."""


@LEVELS
@pytest.mark.parametrize("number", [0, 2, 3])
@pytest.mark.parametrize("place", [0, 1])
def test_a_range_needs_its_own_blocks_alone(level: int, number: int, place: int) -> None:
    apart = Apart.of(FILES[level])
    assert len(apart.blocks) == 16
    columns = [1 if number == 3 else 0, 2 + number]
    if level == 2 and number == 2:
        columns += [2, 3]  # what is available is predicted from what is free and cached
    needed = {sorted(BLOCKS_OF[column])[place] for column in columns}
    expected = Tally().read_range(FILES[level], number, place * SPAN + 5, place * SPAN + 50)
    at = len(FIRST_LINE)
    for i, block in enumerate(apart.blocks):
        damaged = bytearray(FILES[level])
        damaged[at + len(block) // 2] ^= 1
        at += len(block) + 4
        read = lambda: Tally().read_range(damaged, number, place * SPAN + 5, place * SPAN + 50)  # noqa: B023, E731
        if i in needed:
            with pytest.raises(CorruptDataError, match="checksum"):
                read()
        else:
            assert same(read(), expected)


# What is stored


def test_timestamps_that_are_shared_are_stored_once() -> None:
    times = np.random.default_rng(2).integers(0, 2**40, 1000)
    for count in (1, 5):
        names = [SeriesKey(f"m{i}", {"host": str(i)}) for i in range(count)]
        file = Tally().encode(MetricDataset.from_series([Series(key, times, np.ones(1000)) for key in names]))
        assert 5000 < len(file) < 5000 + 300 + 30 * count
        assert Apart.of(file).numbers[:2] == [1, 1000]


def test_series_of_one_host_are_predicted_from_each_other() -> None:
    def size(labels: list[dict[str, str]]) -> int:
        columns = [Series(SeriesKey(one.key.metric_name, labels[i]), *one[1:]) for i, one in enumerate(DATASET)]
        return len(Tally().encode(MetricDataset.from_series(columns)))

    together = size([{"host": "a"}] * 4)
    assert together < size([{"host": str(i)} for i in range(4)]) - COUNT  # a byte a sample less
    assert TallyReader(FILES[1])._series.references.max() == -1


@LEVELS
def test_a_last_block_of_one_sample_may_be_predicted(level: int) -> None:
    dataset = memory(SPAN + 1)
    assert Tally().decode(Tally(level).encode(dataset)).fingerprint == dataset.fingerprint


@LEVELS
def test_what_cannot_be_compressed_hardly_grows(level: int) -> None:
    words = np.random.default_rng(3).integers(0, 2**64, (2, 10_000), np.uint64)
    dataset = MetricDataset.from_series([Series(SeriesKey("noise", {}), words[0].view(np.int64), words[1].view(float))])
    assert len(Tally(level).encode(dataset)) < 1.01 * dataset.raw_bytes


@pytest.mark.parametrize("level", [0, 3, -1])
def test_other_levels_are_refused_in_one_line(level: int) -> None:
    for make in (lambda: Tally(level), lambda: get_format(f"tally:level={level}")):
        with pytest.raises(InvalidRequestError, match="choose") as caught:
            make()
        assert "\n" not in str(caught.value)


# Damage


@LEVELS
def test_every_damaged_byte_is_noticed(level: int) -> None:
    for place in range(len(SMALL[level])):
        for flipped in (0x01, 0x80):
            damaged = bytearray(SMALL[level])
            damaged[place] ^= flipped
            with pytest.raises(CorruptDataError):
                Tally().decode(damaged)


@LEVELS
def test_every_cut_is_noticed(level: int) -> None:
    for size in range(len(SMALL[level])):
        with pytest.raises(CorruptDataError):
            Tally().decode(SMALL[level][:size])
        with pytest.raises(CorruptDataError):
            Tally().read_range(SMALL[level][:size], 0, 0, 1)
    with pytest.raises(CorruptDataError):
        Tally().decode(SMALL[level] + b"\0")


# Indices that nobody should make

NO_KEYS, ONE_KEY = encode_keys([]), encode_keys([SeriesKey("up", {})])


def an_index(dictionary: bytes, *numbers: int, unit: int = 0) -> bytes:
    return bytes([unit]) + varint(len(dictionary)) + dictionary + b"".join(map(varint, numbers))


HUGE = 2**64 - 1
FORGED = {
    "nothing": b"",
    "a unit of the future": an_index(NO_KEYS, 0, unit=4),
    "no dictionary": b"\0",
    "a dictionary beyond the index": b"\0" + varint(50) + NO_KEYS,
    "a dictionary of 2^64 - 1 bytes": b"\0" + varint(HUGE) + NO_KEYS,
    "2^64 - 1 strings": an_index(varint(HUGE) + b"\0", 0),
    "a string beyond the dictionary": an_index(varint(1) + varint(200) + b"up"),
    "a string of 2^64 - 1 bytes": an_index(varint(1) + varint(HUGE) + b"up"),
    "2^64 - 1 series": an_index(varint(0) + varint(HUGE), 0),
    "two series alike": an_index(b"\1\2up\2\0\0\0\0", 1, 0, 0, 0, 0, 0),
    "2^64 - 1 clocks": an_index(NO_KEYS, HUGE),
    "a clock of 2^64 - 1 timestamps": an_index(NO_KEYS, 1, HUGE),
    "a clock of 2^62 timestamps": an_index(NO_KEYS, 1, 2**62, 0, 0, 0),
    "a clock whose blocks are missing": an_index(NO_KEYS, 1, 3),
    "a block beyond the file": an_index(NO_KEYS, 1, 3, 10**6, 0, 0),
    "a block of 2^64 - 1 bytes": an_index(NO_KEYS, 1, 3, HUGE, 0, 0),
    "blocks that add up to nothing": an_index(NO_KEYS, 2, 3, HUGE, 0, 0, 3, 1, 0, 0),
    "a number beyond 64 bits": an_index(NO_KEYS) + b"\xff" * 9 + b"\2",
    "a number that does not end": an_index(NO_KEYS) + b"\x80",
    "no clock": an_index(ONE_KEY, 0, 0, 0),
    "another clock": an_index(ONE_KEY, 1, 0, 1, 0),
    "a clock of the future": an_index(ONE_KEY, 1, 0, HUGE, 0),
    "predicted from itself": an_index(ONE_KEY, 1, 0, 0, 1, 0),
    "predicted from one before the first": an_index(ONE_KEY, 1, 0, 0, 1, 1),
    "predicted from one far before": an_index(ONE_KEY, 1, 0, 0, 1, HUGE),
    "predicted from 2^64 - 1 others": an_index(ONE_KEY, 1, 0, 0, HUGE),
    "numbers left over": an_index(ONE_KEY, 1, 0, 0, 0, 0),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_index_that_checks_out_but_makes_no_sense_is_corrupt(name: str) -> None:
    with pytest.raises(CorruptDataError):
        Tally().decode(sealed(FORGED[name]))


def test_what_is_forged_is_but_for_one_thing_good() -> None:
    assert Tally().decode(sealed(an_index(NO_KEYS, 0))).keys == ()
    assert len(Tally().decode(sealed(an_index(ONE_KEY, 1, 0, 0, 0)))) == 0
    assert all(
        Apart.of(file).together()[: len(FIRST_LINE) + 100] == file[: len(FIRST_LINE) + 100] for file in SMALL.values()
    )
    assert Tally().decode(Apart.of(FILES[2]).together()).fingerprint == DATASET.fingerprint


def references(change: dict[int, list[int]]) -> bytes:
    """Return a file of four series without samples, some of which are predicted from others."""
    keys = encode_keys([SeriesKey(name, {}) for name in "abcd"])
    numbers = [1, 0]
    for number in range(4):
        others = change.get(number, [])
        numbers += [0, len(others), *others]
    return sealed(an_index(keys, *numbers))


def test_who_may_be_predicted_from_whom() -> None:
    assert len(Tally().decode(references({2: [1, 2], 3: [2, 3]})).keys) == 4
    for change in ({1: [2]}, {1: [0]}, {1: [1], 2: [1]}, {3: [1, 2, 3, 1]}):
        with pytest.raises(CorruptDataError, match="predicted"):
            Tally().decode(references(change))


def test_an_index_that_expands_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "SPARED_BYTES", 10**6)
    with pytest.raises(CorruptDataError, match="expands to more than"):
        Tally().decode(sealed(bytes(10**8)))


def test_an_index_that_expands_that_much_by_nature_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "SPARED_BYTES", 10**6)
    dataset = MetricDataset.from_series([Series(SeriesKey("a" * 10**7, {}), np.empty(0, int), np.empty(0))])
    file = Tally().encode(dataset)
    assert len(file) > 9000
    assert Tally().decode(file).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("claimed", [1, 2**20, 2**40, 2**62, 2**64 - 1])
def test_an_index_may_claim_any_size(claimed: int) -> None:
    frame = bytes.fromhex("28b52ffde0") + claimed.to_bytes(8, "little") + bytes([1, 0, 0])
    size = len(frame).to_bytes(8, "big")
    with pytest.raises(CorruptDataError):
        Tally().decode(FIRST_LINE + frame + size + xxhash.xxh3_64_digest(FIRST_LINE + frame + size))


def read_all_ways(file: bytes, number: int, start: int) -> None:
    guarded = at_the_end_of_memory(file)
    reads = (
        lambda: Tally().decode(guarded),
        lambda: Tally().read_range(guarded, number, start, start + 20),
        lambda: TallyReader(guarded).read_between(number, 1_700_000_000 + 15 * start, 1_700_000_000 + 15 * start + 300),
    )
    for read in reads:
        try:
            read()
        except CorruptDataError:
            pass
        except IndexError as error:
            assert str(error).startswith("there is no series")  # noqa: PT017


def test_damaged_blocks_behind_good_checksums_never_crash() -> None:
    rng = np.random.default_rng(4)
    files = [Apart.of(file) for file in SMALL.values()]
    for _ in range(1000):
        apart = files[rng.integers(2)]
        i = int(rng.integers(len(apart.blocks)))
        block = bytearray(apart.blocks[i])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(min(len(block), rng.choice([12, 40, 4000]))))
            extreme = varint(int(rng.choice([0, 1, 127, 8192, 2**32, 2**63 - 1])))
            block[at : at + int(rng.integers(0, 3))] = extreme if rng.random() < 0.3 else rng.bytes(1)
        read_all_ways(apart.with_block(i, bytes(block)).together(), int(rng.integers(4)), int(rng.integers(60)))
        read_all_ways(apart.with_block(i, b"").together(), 0, 0)


def test_damaged_indices_behind_good_checksums_never_crash() -> None:
    rng = np.random.default_rng(5)
    files = [Apart.of(file) for file in (*SMALL.values(), *FILES.values())]
    for turn in range(1000):
        apart = files[turn % 4 if turn < 100 else turn % 2]
        numbers = list(apart.numbers)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(numbers)))
            new = [int(rng.choice([0, 1, 2, 3, 60, 8192, 8193, 2**32, 2**63 - 1]))]
            numbers[at : at + int(rng.integers(0, 3))] = new if rng.random() < 0.8 else []
            if not numbers:
                break
        read_all_ways(apart.with_numbers(numbers).together(), int(rng.integers(4)), int(rng.integers(60)))


@given(index=st.binary(max_size=60), blocks=st.binary(max_size=60))
def test_random_bytes_behind_good_checksums_never_crash(index: bytes, blocks: bytes) -> None:
    with contextlib.suppress(CorruptDataError):
        Tally().decode(sealed(index, blocks))
    with contextlib.suppress(CorruptDataError):
        Tally().decode(sealed(an_index(ONE_KEY) + index, blocks))
