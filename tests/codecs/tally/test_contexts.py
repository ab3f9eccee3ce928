"""Tables of contexts: that data with spells get them and come back, and what a reader takes and rejects of them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
import xxhash
from fixtures.make import contexts
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from columns import at_the_end_of_memory, forge
from fuzz.forging import columns as fuzzed_columns
from lanes_by_hand import DAMAGED, SMALL, WHOLE, any_head, any_residuals, block_of, payload_of, write_lanes
from squeezelab import CorruptDataError, TallyFile
from squeezelab.codecs._frame import INT64
from squeezelab.codecs.tally import Tally
from squeezelab.dataset import to_words

FIXTURES = Path(__file__).parents[2] / "fixtures"
CONTEXTS = contexts()


class Seen(NamedTuple):
    """What a stream of lanes has: how its tables are given, and its count."""

    kind: int
    mantissa: int
    patched: bool
    wide: bool
    sparse: bool
    lanes: int
    tables: str


def seen_in(frame: bytes) -> list[Seen]:
    """Return what streams of lanes a frame has; of their tables a letter each: explicit or shape."""
    found: list[Seen] = []
    letters: list[str] = []
    read_lanes, explicit, shape = book.read_lanes, book.explicit_weights, book.shape_weights

    def watched(letter: str, weights: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object) -> object:
            letters.append(letter)
            return weights(*args)

        return called

    def read(source: book.Bytes, n: int) -> list[int]:
        letters.clear()
        first, residuals = source.data[source.at], read_lanes(source, n)
        flags = (bool(first & bit) for bit in (16, 32, 64))
        found.append(Seen(first & 3, (3, 1, 6)[first >> 2 & 3], *flags, len(book.lanes_of(n)), "".join(letters)))
        return residuals

    with (
        mock.patch.object(book, "read_lanes", read),
        mock.patch.object(book, "explicit_weights", watched("e", explicit)),
        mock.patch.object(book, "shape_weights", watched("s", shape)),
    ):
        book.read_frame(frame)
    return found


def with_contexts(frame: bytes) -> list[Seen]:
    return [one for one in seen_in(frame) if one.kind == 3]


def spells(seed: int, count: int, quiet: float, busy: float, change: float) -> np.ndarray:
    """Return integers that are small in spells and large in others."""
    rng = np.random.default_rng(seed)
    scales = np.where(np.cumsum(rng.random(count) < change) % 2, busy, quiet)
    return (rng.normal(size=count) * scales).round().astype(np.int64)


# Writing


@pytest.mark.parametrize("name", CONTEXTS)
def test_data_with_spells_get_tables_of_contexts(name: str) -> None:
    frame = Tally().encode(CONTEXTS[name])
    # Of two of the short ones contexts promise too little by now: they stay for the frames that have them.
    assert with_contexts(frame) or name in ("shifted", "still_counter")
    assert Tally().decode(frame).tobytes() == CONTEXTS[name].tobytes()
    assert book.read_frame(frame) == CONTEXTS[name].tobytes()


def test_fixtures_have_them_in_all_forms() -> None:
    frames = [FIXTURES / "tally_frame" / f"version2_level2_contexts_{name}.frame" for name in CONTEXTS]
    found = [one for frame in frames for one in with_contexts(frame.read_bytes())]
    assert {(one.mantissa, one.sparse) for one in found} == {(3, False), (3, True), (1, True)}
    assert {(one.lanes, one.wide) for one in found} == {(2, False), (4, False), (2, True), (4, True)}
    assert {frozenset(one.tables) for one in found} == {frozenset("e"), frozenset("s"), frozenset("es")}
    assert {one.patched for one in found} == {False, True}
    assert max(len(one.tables) for one in found) > 4


@pytest.mark.parametrize(
    "count", [100, 101, 333, 1023, 1024, 1535, 1536, 1537, 1538, 1539, 4097, 8191, 8192, 8193, 9001]
)
def test_columns_of_any_length_come_back(count: int) -> None:
    column = spells(6, count, 0.4, 600, 0.03)
    frame = Tally().encode(column)
    if count > 101:  # shorter ones promise too little
        assert with_contexts(frame)[0].lanes == (4 if count >= 1536 else 2)
    assert np.array_equal(Tally().decode(frame), column)
    assert book.read_frame(frame) == column.tobytes()


SCALES = st.sampled_from([0.0, 0.4, 1, 3, 30, 10.0**4, 10.0**9, 10.0**15])


@given(
    st.integers(0, 2**32), st.integers(8, 1700), SCALES, SCALES, st.sampled_from([0.005, 0.03, 0.2]), st.integers(0, 2)
)
def test_any_spells_come_back(seed: int, count: int, quiet: float, busy: float, change: float, sums: int) -> None:
    column = spells(seed, count, quiet, busy, change)
    for _ in range(sums):
        column = np.cumsum(column)
    frame = Tally().encode(column)
    assert np.array_equal(Tally().decode(frame), column)
    assert book.read_frame(frame) == column.tobytes()


def test_a_token_that_is_known_from_the_one_before_takes_next_to_nothing() -> None:
    column = np.tile([0, 1000, 3, -40], 2000)
    assert len(Tally().encode(column)) < 150


def test_columns_that_are_fuzzed_have_contexts() -> None:
    found = [one for column in fuzzed_columns() for one in with_contexts(Tally().encode(column))]
    assert {one.lanes for one in found} == {2, 4}
    assert {one.sparse for one in found} == {False, True}
    assert set("".join(one.tables for one in found)) == {"e", "s"}


# What was written

DIGESTS = {
    "walk": "dbc4e7a47871c988",
    "walk_in_four_lanes": "06c9cdc1c73e0be7",
    "decimals": "3b7bbf472ed45eac",
    "scales": "6d1eec0c374ea94e",
    "scales_in_four_lanes": "259e5e8600073486",
    "shifted": "a52e9c9c0107eae3",
    "planes_in_four_lanes": "3d65354e59ece7a1",
    "still_counter": "5a7270caf8e0449d",
    "sparse": "a3fa4a2b06dbd645",
    "ranks": "64a60af9be12fff7",
    "exceptions": "b39e71d4cbe111ac",
}


@pytest.mark.bounds
@pytest.mark.parametrize("name", DIGESTS)
def test_a_frame_that_was_written_is_read(name: str) -> None:
    frame = (FIXTURES / f"tally_frame/version2_level2_contexts_{name}.frame").read_bytes()
    assert with_contexts(frame)
    assert xxhash.xxh3_64_hexdigest(Tally().decode(frame).tobytes()) == DIGESTS[name]
    assert xxhash.xxh3_64_hexdigest(book.read_frame(frame)) == DIGESTS[name]


@pytest.mark.bounds
def test_a_file_that_was_written_is_read() -> None:
    path = FIXTURES / "tally_file/version2_coder2_contexts.tally"
    dataset = TallyFile.open(path).read_all()
    assert dataset.fingerprint == "b12bb49633b0ae45aa49e50b2ede210c"
    _, found = book.read(path.read_bytes())
    assert [one.values for one in found] == [to_words(one.values).tolist() for one in dataset]


# Reading what is written by hand


def decode(lanes: bytes, count: int) -> np.ndarray:
    return Tally().decode(at_the_end_of_memory(forge(Tally().frame_name, INT64, payload_of(lanes), count)))


def decode_by_the_book(lanes: bytes, count: int) -> list[int]:
    return [book.signed(one) for one in book.decode_block_2(block_of(lanes), count, False, []).numbers]


@pytest.mark.bounds
@pytest.mark.parametrize("seed", range(120))
def test_all_that_the_page_allows_is_read(seed: int) -> None:
    rng = random.Random(seed)
    head, count = any_head(rng), rng.choice([8, 61, 300, 1023, 1535, 1537, 1539])
    residuals = any_residuals(rng, head, count)
    patches = {place: rng.randrange(-(2**63), 2**63) for place in rng.choices(range(count), k=rng.choice([0, 0, 3]))}
    lanes = write_lanes(residuals, head, patches.items())
    for place, residual in patches.items():
        residuals[place] = residual
    assert decode_by_the_book(lanes, count) == residuals
    assert decode(lanes, count).tolist() == residuals


@pytest.mark.bounds
@pytest.mark.parametrize("name", WHOLE)
def test_heads_that_are_damaged_below_are_read(name: str) -> None:
    lanes = write_lanes(SMALL, WHOLE[name])
    assert decode(lanes, len(SMALL)).tolist() == SMALL
    assert decode_by_the_book(lanes, len(SMALL)) == SMALL


@pytest.mark.bounds
@pytest.mark.parametrize("name", DAMAGED)
def test_tables_that_must_not_be_are_damage(name: str) -> None:
    lanes = write_lanes(SMALL, DAMAGED[name])
    with pytest.raises(CorruptDataError):
        decode(lanes, len(SMALL))
    with pytest.raises(AssertionError):
        decode_by_the_book(lanes, len(SMALL))


@pytest.mark.bounds
@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_that_is_cut_is_damage(name: str) -> None:
    lanes = write_lanes(SMALL, WHOLE[name])
    for size in range(len(lanes)):
        with pytest.raises(CorruptDataError):
            decode(lanes[:size], len(SMALL))


@pytest.mark.bounds
@pytest.mark.parametrize("name", WHOLE)
def test_with_any_bit_flipped_a_stream_is_what_the_page_says(name: str) -> None:
    lanes = write_lanes(SMALL, WHOLE[name])
    for place in range(8 * min(len(lanes), 90)):
        damaged = bytearray(lanes)
        damaged[place // 8] ^= 1 << place % 8
        try:
            expected = decode_by_the_book(bytes(damaged), len(SMALL))
        except AssertionError:
            with pytest.raises(CorruptDataError):
                decode(bytes(damaged), len(SMALL))
        else:
            assert decode(bytes(damaged), len(SMALL)).tolist() == expected
