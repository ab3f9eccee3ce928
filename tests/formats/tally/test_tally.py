"""The tally file: reading a part of it, sharing and referring, damage of every byte, and indexes nobody should make."""

import contextlib
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import at_the_end_of_memory, same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.codecs._frame import varint
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats.tally import Tally, TallyFile
from squeezelab.formats.tally import part as tally_part
from squeezelab.formats.tally.columns import block_checksum
from squeezelab.formats.tally.part import _Columns, _pack
from squeezelab.formats.tally.writing import HEADER_BYTES, header, seal

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
    """A file of one part taken apart: its blocks, and its index; `together` makes it whole again."""

    blocks: bytes
    index: bytes

    @classmethod
    def of(cls, file: bytes) -> "Apart":
        size = int.from_bytes(file[-24:-16], "big")
        end = len(file) - 24 - size
        return cls(file[HEADER_BYTES:end], file[end + 8 : end + size - 8])

    def together(self) -> bytes:
        return header() + self.blocks + seal([self.index])

    def columns(self) -> tuple[bytes, list[np.ndarray]]:
        """Return what stands before the columns of the index, and these."""
        source = _Columns(self.index, 4)
        kinds = [np.int64] * 17 + [np.float64] * self.index[2]
        return self.index[:4], [source.take(kind) for kind in kinds]

    def with_columns(self, head: bytes, columns: list[np.ndarray]) -> "Apart":
        return self._replace(index=head + b"".join(map(_pack, columns)))


STRINGS = ("prefixes", "rests", "text")
KEYS = ("names", "labels", "label_names", "label_values")
CLOCKS = ("clock_counts", "clock_coders", "clock_sizes", "firsts", "spans")
COLUMNS = (*STRINGS, *KEYS, *CLOCKS, "clock_of", "coders", "references", "distances", "sizes")


def forged(**changes: list[int]) -> bytes:
    """Return a file of three series without samples, in whose index some columns are others."""
    keys = [Series(SeriesKey(name, {"host": "a"}), np.empty(0, int), np.empty(0)) for name in ("ab", "ac", "d")]
    apart = Apart.of(Tally().encode(MetricDataset.from_series(keys)))
    head, columns = apart.columns()
    for name, column in changes.items():
        columns[COLUMNS.index(name)] = np.array(column, np.int64)
    return apart.with_columns(head, columns).together()


# Reading a part


@LEVELS
def test_a_series_is_what_the_whole_file_has_of_it(level: int) -> None:
    assert Tally().decode(FILES[level]).fingerprint == DATASET.fingerprint
    for number, expected in enumerate(DATASET):
        assert same(TallyFile(FILES[level]).read(number), expected)


@LEVELS
@given(
    number=st.integers(0, 3),
    start=st.integers(-100, COUNT + 100) | st.sampled_from([0, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 10**12]),
    length=st.integers(-5, 300) | st.sampled_from([0, 1, SPAN, COUNT, 10**12]),
)
def test_a_range_is_a_slice(level: int, number: int, start: int, length: int) -> None:
    key, timestamps, values = list(DATASET)[number]
    part = slice(start, start + length)
    found = TallyFile(FILES[level]).read_range(number, part.start, part.stop)
    assert same(found, Series(key, timestamps[part], values[part]))


@LEVELS
@given(number=st.integers(0, 3), first=st.integers(-10, COUNT + 10), seconds=st.integers(-5, 300_000))
def test_samples_between_two_times(level: int, number: int, first: int, seconds: int) -> None:
    key, timestamps, values = list(DATASET)[number]
    begin = int(DATASET.timestamps[0]) + 15 * first
    held = (timestamps >= begin) & (timestamps < begin + seconds)
    found = TallyFile(FILES[level]).read_between(number, begin, begin + seconds)
    assert same(found, Series(key, timestamps[held], values[held]))


def test_samples_between_the_ends_of_time() -> None:
    times = np.concatenate([np.full(SPAN, -(2**63)), np.full(SPAN, 2**63 - 1), [0]])
    file = Tally().encode(MetricDataset.from_series([Series(SeriesKey("up", {}), times, np.arange(times.size) * 1.0)]))
    reader = TallyFile(file)
    assert reader.read_between(0, 0, 1).values.tolist() == [2.0 * SPAN]
    assert reader.read_between(0, -(2**63), 0).values.tolist() == list(range(SPAN))
    assert reader.read_between(0, 1, 2**63).values.tolist() == list(range(SPAN, 2 * SPAN))


@pytest.mark.parametrize("number", [-1, 4, 10**6])
def test_there_is_no_such_series(number: int) -> None:
    for read in (
        lambda: TallyFile(FILES[2]).read(number),
        lambda: TallyFile(FILES[2]).read_range(number, 0, 1),
        lambda: TallyFile(FILES[2]).read_between(number, 0, 1),
    ):
        with pytest.raises(IndexError, match=f"no series {number}: the file has 4"):
            read()


def test_a_reader_knows_names_lengths_and_unit() -> None:
    dataset = MetricDataset(DATASET.keys, DATASET.offsets, DATASET.timestamps, DATASET.values, "ms")
    reader = TallyFile(Tally().encode(dataset))
    assert reader.time_unit == "ms"
    assert list(reader.keys) == list(DATASET.keys)
    assert [reader.length(number) for number in range(4)] == [COUNT, COUNT, COUNT, COUNT // 2]


@LEVELS
@pytest.mark.parametrize("number", [0, 2, 3])
@pytest.mark.parametrize("place", [0, 1])
def test_a_range_needs_its_own_blocks_alone(level: int, number: int, place: int) -> None:
    part = TallyFile(FILES[level]).parts[0]
    expected = TallyFile(FILES[level]).read_range(number, place * SPAN + 5, place * SPAN + 50)
    others = {0, 1} if level == 2 and number == 2 else set()  # available is predicted from free and cached
    for columns, needed in ((part.series, {number} | others), (part.clocks, {int(number == 3)})):
        for column in range(columns.counts.size):
            for block in range(columns.blocks[column], columns.blocks[column + 1]):
                damaged = bytearray(FILES[level])
                damaged[(int(columns.begins[block]) + int(columns.ends[block])) // 2] ^= 1
                read = lambda: TallyFile(damaged).read_range(number, place * SPAN + 5, place * SPAN + 50)  # noqa: B023, E731
                if column in needed and block - columns.blocks[column] == place:
                    with pytest.raises(CorruptDataError, match=f"samples {place * SPAN} to"):
                        read()
                else:
                    assert same(read(), expected)


# What is stored


def test_timestamps_that_are_shared_are_stored_once() -> None:
    times = np.random.default_rng(2).integers(0, 2**40, 1000)
    for count in (1, 5):
        names = [SeriesKey(f"m{i}", {"host": str(i)}) for i in range(count)]
        file = Tally().encode(MetricDataset.from_series([Series(key, times, np.ones(1000)) for key in names]))
        assert 5000 < len(file) < 5000 + 400 + 30 * count
        assert TallyFile(file).parts[0].clocks.counts.tolist() == [1000]


def test_series_of_one_host_are_predicted_from_each_other() -> None:
    def size(labels: list[dict[str, str]]) -> int:
        columns = [Series(SeriesKey(one.key.metric_name, labels[i]), *one[1:]) for i, one in enumerate(DATASET)]
        return len(Tally().encode(MetricDataset.from_series(columns)))

    together = size([{"host": "a"}] * 4)
    assert together < size([{"host": str(i)} for i in range(4)]) - COUNT  # a byte a sample less
    assert TallyFile(FILES[1]).parts[0].series.references.max() == -1


@LEVELS
def test_a_last_block_of_one_sample_may_be_predicted(level: int) -> None:
    dataset = memory(SPAN + 1)
    assert Tally().decode(Tally(level).encode(dataset)).fingerprint == dataset.fingerprint


@LEVELS
def test_what_cannot_be_compressed_hardly_grows(level: int) -> None:
    words = np.random.default_rng(3).integers(0, 2**64, (2, 10_000), np.uint64)
    dataset = MetricDataset.from_series([Series(SeriesKey("noise", {}), words[0].view(np.int64), words[1].view(float))])
    assert len(Tally(level).encode(dataset)) < 1.01 * dataset.raw_bytes


@pytest.mark.parametrize("level", [0, 4, -1])
def test_other_levels_are_rejected_in_one_line(level: int) -> None:
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
            TallyFile(SMALL[level][:size]).read_range(0, 0, 1)
    with pytest.raises(CorruptDataError):
        Tally().decode(SMALL[level] + b"\0")


# Indexes that nobody should make

HUGE = 2**63 - 1
FORGED = {
    "a string longer than its text": {"rests": [2, 1, 1, 4, 2]},
    "a string of 2^63 bytes": {"rests": [HUGE, 1, 1, 4, 1]},
    "more in common than there is": {"prefixes": [0, 3, 0, 0, 0]},
    "a text of no letters": {"text": [300, 98, 99, 100, 104, 111, 115, 116]},
    "no UTF-8": {"text": [255, 255, 99, 100, 104, 111, 115, 116, 97]},
    "a name of the future": {"names": [0, 1, 9]},
    "a name before the first": {"names": [0, 1, -1]},
    "two series alike": {"names": [0, 1, 1]},
    "labels that lack": {"labels": [1, 1, 2]},
    "2^63 labels": {"labels": [1, 1, HUGE]},
    "minus one label": {"labels": [3, 1, -1]},
    "a clock of 2^63 timestamps": {"clock_counts": [HUGE]},
    "a clock of -1 timestamps": {"clock_counts": [-1]},
    "a clock whose blocks lack": {"clock_counts": [5]},
    "blocks too many": {"sizes": [1]},
    "a coder of the future": {"coders": [1, 1, 7]},
    "a coder of timestamps of the future": {"clock_coders": [7]},
    "another clock": {"clock_of": [0, 0, 1]},
    "a clock before the first": {"clock_of": [0, 0, -1]},
    "a clock of no series": {"clock_counts": [0, 0], "clock_coders": [1, 1]},
    "predicted from itself": {"references": [0, 0, 1], "distances": [0]},
    "predicted from one before the first": {"references": [0, 0, 1], "distances": [3]},
    "predicted from one after": {"references": [0, 1, 0], "distances": [-1]},
    "predicted from what is predicted": {"references": [0, 1, 1], "distances": [1, 1]},
    "predicted from 2^63 others": {"references": [0, 0, HUGE]},
    "distances left over": {"distances": [1]},
}


@pytest.mark.parametrize("name", FORGED)
def test_an_index_that_checks_out_but_makes_no_sense_is_corrupt(name: str) -> None:
    with pytest.raises(CorruptDataError):
        TallyFile(forged(**FORGED[name]))


def test_what_is_forged_is_but_for_one_thing_good() -> None:
    assert len(TallyFile(forged()).keys) == 3
    assert len(TallyFile(forged(references=[0, 1, 1], distances=[1, 2])).keys) == 3
    assert all(Apart.of(file).together() == file for file in (*FILES.values(), *SMALL.values()))


def test_two_indexes_may_stand_in_a_file_but_nothing_else() -> None:
    apart = Apart.of(SMALL[2])
    for end in (seal([b""]), seal([apart.index + b"1"]), seal([])[:-24] + seal([])[1:]):
        with pytest.raises(CorruptDataError):
            TallyFile(header() + apart.blocks + end)
    assert TallyFile(header() + apart.blocks + seal([apart.index + b"\0"])).read_all()  # padding
    assert TallyFile(header() + seal([])).keys == []


def test_an_index_that_expands_without_bound_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_part, "SPARED_NUMBERS", 10**5)
    head, columns = Apart.of(forged()).columns()
    columns[COLUMNS.index("text")] = np.zeros(10**7, np.int64)
    file = Apart(b"", head + b"".join(map(_pack, columns))).together()
    assert len(file) < 10**5 / 2
    with pytest.raises(CorruptDataError, match="more or fewer numbers"):
        TallyFile(file)


def test_an_index_that_expands_that_much_by_nature_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_part, "SPARED_NUMBERS", 10**5)
    dataset = MetricDataset.from_series([Series(SeriesKey("a" * 10**7, {}), np.empty(0, int), np.empty(0))])
    file = Tally().encode(dataset)
    assert len(file) > 9000
    assert Tally().decode(file).fingerprint == dataset.fingerprint


def read_all_ways(file: bytes, number: int, start: int) -> None:
    guarded = at_the_end_of_memory(file)
    begin = 1_700_000_000 + 15 * start
    reads = (
        lambda: Tally().decode(guarded),
        lambda: TallyFile(guarded).read_range(number, start, start + 20),
        lambda: TallyFile(guarded).read_between(number, begin, begin + 300),
        lambda: TallyFile(guarded, salvage=True).where(above=1.0).read_all(),
        lambda: list(TallyFile(guarded).summaries()),
    )
    for read in reads:
        try:
            read()
        except CorruptDataError:
            pass
        except IndexError as error:
            assert str(error).startswith("there is no series")  # noqa: PT017


@pytest.mark.bounds
def test_damaged_blocks_behind_good_checksums_never_crash() -> None:
    rng = np.random.default_rng(4)
    for turn in range(300):
        file = SMALL[1 + turn % 2]
        part, damaged = TallyFile(file).parts[0], bytearray(file)
        columns = (part.series, part.clocks)[rng.integers(2)]
        i = int(rng.integers(columns.begins.size))
        begin, end = int(columns.begins[i]), int(columns.ends[i])
        for _ in range(rng.integers(1, 4)):
            at = begin + int(rng.integers(min(end - begin, rng.choice([12, 40, 4000]))))
            extreme = varint(int(rng.choice([0, 1, 127, 8192, 2**32, 2**63 - 1])))[: end - at]
            new = extreme if rng.random() < 0.3 else rng.bytes(1)
            damaged[at : at + len(new)] = new
        damaged[end : end + 4] = block_checksum(damaged[begin:end])
        read_all_ways(bytes(damaged), int(rng.integers(4)), int(rng.integers(60)))


@pytest.mark.bounds
def test_damaged_indexes_behind_good_checksums_never_crash() -> None:
    rng = np.random.default_rng(5)
    files = [Apart.of(file) for file in (*SMALL.values(), *FILES.values())]
    for turn in range(200):
        apart = files[turn % 4 if turn < 60 else turn % 2]
        head, columns = apart.columns()
        for _ in range(rng.integers(1, 3)):
            i = int(rng.integers(len(columns)))
            column = columns[i].view(np.int64).tolist()
            at = int(rng.integers(len(column) + 1))
            new = [int(rng.choice([-1, 0, 1, 2, 3, 60, 8192, 8193, 2**32, 2**63 - 1]))]
            column[at : at + int(rng.integers(0, 3))] = new if rng.random() < 0.8 else []
            columns[i] = np.array(column, np.int64)
        read_all_ways(apart.with_columns(head, columns).together(), int(rng.integers(4)), int(rng.integers(60)))


@pytest.mark.bounds
@given(index=st.binary(max_size=60), blocks=st.binary(max_size=60))
def test_random_bytes_behind_good_checksums_never_crash(index: bytes, blocks: bytes) -> None:
    for start in (b"", bytes([1, 0, 0, 35])):
        with contextlib.suppress(CorruptDataError):
            Tally().decode(Apart(blocks, start + index).together())
