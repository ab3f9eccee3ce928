"""Version 1 of the tally file: files of 2026 that stay readable to the bit, their damage, and forged indexes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from columns import at_the_end_of_memory
from squeezelab import CorruptDataError, SeriesKey, TallyFile
from squeezelab.codecs._frame import read_varint, read_varints, varint
from squeezelab.formats import compressed
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats.tally import Tally
from squeezelab.formats.tally.version1 import FIRST_LINE

FIXTURES = Path(__file__).parents[2] / "fixtures/tally_file"
LEVELS = pytest.mark.parametrize("level", [1, 2])
SPAN = 8192


def fixture(level: int, name: str) -> bytes:
    return (FIXTURES / f"version1_level{level}_{name}.tally").read_bytes()


SMALL = {level: fixture(level, "memory_60") for level in (1, 2)}
FILES = {level: fixture(level, "memory_two_blocks") for level in (1, 2)}

FINGERPRINTS = {
    "memory_60": "0d3f6cefba6f0f902fb88e255e344cc3",
    "memory_two_blocks": "2774d6aa4dfb2e0ec61386d40edbe32e",
    "special_values": "ff6dadc4d69761802ca4ecbea53d1b65",
    "decimals_with_exceptions": "57897ecc46e408e967b698315f80d2e7",
    "counts_times_a_step": "3e0946bc1917221d519c3805c7df507e",
    "differences_of_a_counter": "c4b35c07f4524aaeb7f25240d8f64019",
    "cut_to_16_decimals": "a51ed869e43258f048046fe40640399a",
    "noise": "81b4ff093bc98069255f819f513dab66",
    "few_distinct": "e6f1f1e9d37f7d09149da932791a12f1",
    "columns_that_add_up": "3137fae105510396aa8b3b507ee6a193",
    "extreme_times": "6136197879d53d539a0fc4287312e00a",
    "strange_names": "aeabfa783d56198f9d5fbfb1c374842d",
}


@LEVELS
@pytest.mark.parametrize("name", FINGERPRINTS)
@pytest.mark.parametrize("written", ["version1", "version2_coder1", "version2_coder2"])
def test_what_was_written_is_read_for_ever(written: str, name: str, level: int) -> None:
    file = TallyFile.open(FIXTURES / f"{written}_level{level}_{name}.tally")
    assert file.version == int(written[7])
    assert all(np.all(part.series.coders == int(written[-1])) for part in file.parts)
    assert file.read_all().fingerprint == FINGERPRINTS[name]


@LEVELS
@pytest.mark.parametrize("name", FINGERPRINTS)
def test_the_slow_reader_finds_the_same(name: str, level: int) -> None:
    dataset = TallyFile(fixture(level, name)).read_all()
    unit, series = book.read(fixture(level, name))
    assert unit == dataset.time_unit
    assert [(one.name, one.labels) for one in series] == [(key.metric_name, dict(key.labels)) for key in dataset.keys]
    assert [one.timestamps for one in series] == [timestamps.tolist() for _, timestamps, _ in dataset]
    assert [one.values for one in series] == [values.view(np.uint64).tolist() for _, _, values in dataset]


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
    assert Tally().decode(Apart.of(FILES[2]).together()).fingerprint == FINGERPRINTS["memory_two_blocks"]


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


def test_an_index_that_expands_without_bound_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "SPARED_BYTES", 10**6)
    with pytest.raises(CorruptDataError, match="expands to more than"):
        Tally().decode(sealed(bytes(10**8)))


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
        lambda: TallyFile(guarded).read_range(number, start, start + 20),
        lambda: TallyFile(guarded).read_between(number, 1_700_000_000 + 15 * start, 1_700_000_000 + 15 * start + 300),
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
    files = [Apart.of(file) for file in SMALL.values()]
    for _ in range(200):
        apart = files[rng.integers(2)]
        i = int(rng.integers(len(apart.blocks)))
        block = bytearray(apart.blocks[i])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(min(len(block), rng.choice([12, 40, 4000]))))
            extreme = varint(int(rng.choice([0, 1, 127, 8192, 2**32, 2**63 - 1])))
            block[at : at + int(rng.integers(0, 3))] = extreme if rng.random() < 0.3 else rng.bytes(1)
        read_all_ways(apart.with_block(i, bytes(block)).together(), int(rng.integers(4)), int(rng.integers(60)))
        read_all_ways(apart.with_block(i, b"").together(), 0, 0)


@pytest.mark.bounds
def test_damaged_indices_behind_good_checksums_never_crash() -> None:
    rng = np.random.default_rng(5)
    files = [Apart.of(file) for file in (*SMALL.values(), *FILES.values())]
    for turn in range(200):
        apart = files[turn % 4 if turn < 100 else turn % 2]
        numbers = list(apart.numbers)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(numbers)))
            new = [int(rng.choice([0, 1, 2, 3, 60, 8192, 8193, 2**32, 2**63 - 1]))]
            numbers[at : at + int(rng.integers(0, 3))] = new if rng.random() < 0.8 else []
            if not numbers:
                break
        read_all_ways(apart.with_numbers(numbers).together(), int(rng.integers(4)), int(rng.integers(60)))


@pytest.mark.bounds
@given(index=st.binary(max_size=60), blocks=st.binary(max_size=60))
def test_random_bytes_behind_good_checksums_never_crash(index: bytes, blocks: bytes) -> None:
    with contextlib.suppress(CorruptDataError):
        Tally().decode(sealed(index, blocks))
    with contextlib.suppress(CorruptDataError):
        Tally().decode(sealed(an_index(ONE_KEY) + index, blocks))
