"""Tally: its blocks against the slow reader, what each part of them is for, and blocks that nobody should make."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tally_by_the_book as book
from columns import SPECIAL_WORDS, WORDS, at_the_end_of_memory, float64_columns, forge, int64_columns, same_bits
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, INT64, varint
from squeezelab.codecs.tally import BLOCK, Tally
from squeezelab.codecs.tally.blocks import (
    BITS,
    DISTANT,
    RANKED,
    STATES,
    BlockWorkspace,
    Candidate,
    plan_block,
    read_block,
    write_block,
)
from squeezelab.codecs.tally.modes import CUT, DIVIDE, GRID, STEPS
from squeezelab.codecs.tally.streams import (
    DELTA,
    DELTA_OF_DELTA,
    DIVIDED,
    LINEAR,
    NIBBLES,
    PACKED,
    PLAIN,
    PLANS,
    SIGNED,
    ZERO,
    Plan,
    Stream,
    signed_varint,
    subtract_prediction,
)
from squeezelab.codecs.tally.workspace import Target
from squeezelab.errors import InvalidRequestError

U = np.uint64
LEVELS = pytest.mark.parametrize("level", [1, 2])


def read(block: bytes, count: int, is_double: bool, others: np.ndarray | None = None) -> np.ndarray | None:
    """Return the words of a block, or None if it is not whole."""
    data = np.frombuffer(block + bytes(8), np.uint8)
    levels, words = np.empty(count, np.uint64), np.empty(count, np.uint64)
    others = np.empty((0, count), np.uint64) if others is None else others
    room = BlockWorkspace.of(count)
    target = Target(is_double, True, levels, words)
    whole = read_block(data, U(0), U(len(block)), others, U(len(others)), room, target)
    return words if whole else None


def pack_version_1(column: np.ndarray, level: int) -> bytes:
    """Return the payload that frames of version 1 have: blocks with their sizes before them."""
    parts = [column[first : first + BLOCK] for first in range(0, column.size, BLOCK)]
    found = [write_block(plan_block(part, packed=level == 1), part) for part in parts]
    return b"".join(varint(len(block)) + block for block in found)


def first_stream(block: bytes) -> tuple[int, book.Bytes]:
    """Return the first byte of a block's head, and what follows up to the header of its first stream."""
    source = book.Bytes(block)
    source.varint()
    source.varint()
    flags = source.byte()
    for _ in range(2 * (flags >> 5 & 1) + (flags >> 3 & 1) + (0, 1, 1, 1, 3, 3)[flags & 7]):
        source.varint()
    return flags, source


@LEVELS
@given(data=st.data())
def test_the_payload_is_blocks_with_their_sizes(level: int, data: st.DataObject) -> None:
    column = data.draw(int64_columns() | float64_columns())
    payload = book.Bytes(pack_version_1(column, level))
    if column.size:
        numbers = book.decode_block(payload.take(payload.varint()), column.size, column.dtype == FLOAT64, []).numbers
        assert numbers == column.view(np.uint64).tolist()
    assert payload.ended()


@LEVELS
@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_block_has_8192_values(level: int, count: int) -> None:
    column = np.arange(count) * 7
    payload = book.Bytes(pack_version_1(column, level))
    found = [payload.take(payload.varint()) for _ in range(-(-count // 8192))]
    assert payload.ended()
    assert read(found[-1], (count - 1) % 8192 + 1, False).tolist() == column[(count - 1) // 8192 * 8192 :].tolist()
    assert same_bits(Tally().decode(forge("tally", INT64, pack_version_1(column, level), count)), column)
    assert same_bits(Tally().decode(Tally(level).encode(column)), column)


@LEVELS
@pytest.mark.parametrize("dtype", [INT64, FLOAT64])
def test_what_cannot_be_compressed_hardly_grows(level: int, dtype: np.dtype) -> None:
    column = np.random.default_rng(1).integers(0, 2**64, 3000, np.uint64).view(dtype)
    frame = Tally(level).encode(column)
    assert len(frame) < 1.01 * column.nbytes
    assert same_bits(Tally().decode(frame), column)


@pytest.mark.parametrize("level", [0, 4, -1, 9])
def test_other_levels_are_rejected_in_one_line(level: int) -> None:
    for make in (lambda: Tally(level), lambda: get_codec(f"tally:level={level}")):
        with pytest.raises(InvalidRequestError, match="choose 1, fast, 2, small, or 3, smallest") as caught:
            make()
        assert "\n" not in str(caught.value)


def test_level_1_holds_no_words() -> None:
    column = np.round(np.cumsum(np.random.default_rng(2).normal(size=500)), 1)
    payload = book.Bytes(pack_version_1(column, 1))
    payload.varint()
    payload.varint()
    assert payload.varint() == 0


# Ranks


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("distinct", [2, 3, 9])
def test_few_distinct_values_are_numbered(distinct: int, packed: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2**64, distinct, np.uint64).view(np.float64)
    column = rng.choice(values, 2000)
    block = plan_block(column, packed=packed).block
    # Two values are multiples of their difference: that will do.
    assert bool(first_stream(block)[0] & RANKED) == (distinct > 2)
    assert len(block) < (2000 * (np.ceil(np.log2(distinct)) if packed else np.log2(distinct)) / 8 + 9 * distinct + 80)
    assert same_bits(read(block, 2000, True).view(np.float64), column)


def test_many_distinct_values_are_not() -> None:
    column = np.random.default_rng(4).normal(size=1000)
    assert not first_stream(plan_block(column).block)[0] & RANKED


@given(st.lists(WORDS | st.sampled_from(SPECIAL_WORDS), min_size=1, max_size=5, unique=True), st.integers(0, 2**32))
def test_any_few_doubles_are_numbered_exactly(distinct: list[int], seed: int) -> None:
    words = np.random.default_rng(seed).choice(np.array(distinct, np.uint64), 200)
    for packed in (False, True):
        assert read(plan_block(words.view(np.float64), packed=packed).block, 200, True).tolist() == words.tolist()
        assert read(plan_block(words.view(np.int64), packed=packed).block, 200, False).tolist() == words.tolist()


# Streams


def sloped(noise: int) -> np.ndarray:
    return np.cumsum(1000 + np.random.default_rng(5).integers(0, noise, 500))


CHOSEN = {
    "a constant": (np.full(500, 7), PLAIN, ZERO, 1),
    "small integers": (np.random.default_rng(6).integers(0, 9, 500), PLAIN, NIBBLES, 1),
    "a ramp": (np.arange(500), DELTA, ZERO, 1),
    "a ramp of steps": (np.arange(500) * 15, DELTA, ZERO, 15),
    "a counter": (sloped(8), DELTA, NIBBLES, 1),
    "a square": (np.arange(500) ** 2 + 3, DELTA_OF_DELTA, NIBBLES, 1),
    "pages": (4096 * np.random.default_rng(7).integers(0, 30, 500), PLAIN, NIBBLES, 4096),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_stream_is_predicted_by_what_fits_it(name: str) -> None:
    column, order, coder, divisor = CHOSEN[name]
    for packed in (False, True):
        block = plan_block(column, packed=packed).block
        _, header = first_stream(block)
        kind = header.byte()
        base = header.zigzag()
        assert base == column.min()
        assert kind >> 2 & 3 == order
        assert kind & 3 == (PACKED if packed and coder == NIBBLES else coder)
        assert bool(kind & DIVIDED) == (divisor > 1)
        assert (header.varint() if kind & DIVIDED else 1) == divisor
        assert read(block, column.size, False).tolist() == column.tolist()


@pytest.mark.parametrize("packed", [False, True])
@given(levels=arrays(np.uint64, st.integers(1, 200), elements=WORDS | st.integers(0, 9)), data=st.data())
def test_every_way_to_predict_any_stream_wraps_around(packed: bool, levels: np.ndarray, data: st.DataObject) -> None:
    order, signed = data.draw(st.sampled_from(PLANS))
    base, divisor = data.draw(st.integers(-(2**63), 2**63 - 1)), data.draw(st.integers(1, 2**64 - 1))
    start, slope = data.draw(WORDS), data.draw(st.integers(-(2**63), 2**63 - 1))
    if order != PLAIN:
        start = int(levels[0])
    elif not signed:
        start = 0
    residuals = np.empty_like(levels)
    subtract_prediction(levels, U(order), signed, U(start), U(slope % 2**64), residuals)
    way = (Plan(order, signed, start, slope), residuals)
    head = signed_varint(base) + (varint(divisor) if divisor > 1 else b"")
    stream = Stream(levels, DIVIDED * (divisor > 1), head, (way,), 0.0)
    block = Candidate(BITS, b"", ((b"", stream),), packed).block
    expected = [(base + divisor * level) % 2**64 for level in levels.tolist()]
    assert read(block, levels.size, False).tolist() == expected
    assert book.decode_block(block, levels.size, False, []).numbers == expected


EXTREMES = [-(2**63), -(2**63) + 1, -(2**62), -1, 0, 1, 2**62, 2**63 - 2, 2**63 - 1]


@LEVELS
@given(column=st.lists(st.sampled_from(EXTREMES), min_size=1, max_size=100))
def test_the_ends_of_int64(level: int, column: list[int]) -> None:
    assert Tally().decode(Tally(level).encode(np.array(column))).tolist() == column


# From other streams


def memory(count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return free, cached and available pages, each of which looks like a random walk."""
    rng = np.random.default_rng(8)
    free, cache = 10**6 + np.cumsum(rng.integers(-2000, 2001, (2, count)), axis=1)
    return free, cache, free + cache + rng.integers(0, 4, count)


def test_what_adds_up_is_stored_as_its_noise() -> None:
    free, cache, available = (plan_block(column * 4096.0) for column in memory())
    predicted = available.predicted_from([free.levels, cache.levels])
    assert len(predicted.block) < 0.3 * len(available.block)
    assert predicted.bits == pytest.approx(8 * len(predicted.block), rel=0.1)
    _, header = first_stream(predicted.block)
    assert header.byte() >> 2 & 3 == LINEAR
    others = np.stack([free.levels, cache.levels])
    assert read(predicted.block, 2000, True, others).view(np.float64).tolist() == (memory()[2] * 4096.0).tolist()
    assert book.decode_block(predicted.block, 2000, True, others.tolist()).levels == available.levels.tolist()


@given(
    columns=st.integers(1, 60).flatmap(lambda count: arrays(np.int64, (4, count), elements=st.sampled_from(EXTREMES)))
)
def test_any_stream_may_be_predicted_from_any_others(columns: np.ndarray) -> None:
    own, *others = (plan_block(column) for column in columns.copy())
    levels = np.stack([other.levels for other in others])
    for packed in (False, True):
        block = Candidate(own.kind, own.fields, own.streams, packed).predicted_from(list(levels)).block
        assert read(block, columns.shape[1], False, levels).view(np.int64).tolist() == columns[0].tolist()
        numbers = book.decode_block(block, columns.shape[1], False, levels.tolist()).numbers
        assert numbers == columns[0].view(np.uint64).tolist()


# Blocks that nobody should make


def a_block(head: bytes, words: bytes = b"", raw: bytes = b"", head_size: int = -1, words_size: int = -1) -> bytes:
    sizes = varint(len(head) if head_size < 0 else head_size) + varint(len(words) if words_size < 0 else words_size)
    return sizes + head + words + raw


def zeros(base: int = 0) -> bytes:
    """Return the header of a stream of one number again and again."""
    return bytes([ZERO]) + signed_varint(base)


SIXTY_FOUR = b"\x40" + bytes(80)
FORGED: dict[str, tuple[np.dtype, bytes]] = {
    "nothing": (INT64, b""),
    "no head": (INT64, a_block(b"")),
    "a head beyond the block": (INT64, a_block(bytes([BITS]) + zeros(), head_size=2**64 - 1)),
    "words beyond the block": (INT64, a_block(bytes([BITS]) + zeros(), words_size=2**64 - 4)),
    "sizes that add up to nothing": (INT64, a_block(bytes([BITS]) + zeros(), head_size=5, words_size=2**64 - 5)),
    "flags of the future": (INT64, a_block(bytes([64 | BITS]) + zeros())),
    "a kind of the future": (FLOAT64, a_block(bytes([6]) + varint(1) + zeros())),
    "numbers as they are, one too many": (INT64, a_block(b"\7", raw=bytes(88))),
    "numbers as they are, one too few": (INT64, a_block(b"\7", raw=bytes(72))),
    "numbers as they are, and words": (INT64, a_block(b"\7", words=bytes(4), raw=bytes(80))),
    "a mode of timestamps": (INT64, a_block(bytes([DIVIDE]) + varint(10) + zeros())),
    "divisor 0": (FLOAT64, a_block(bytes([DIVIDE]) + varint(0) + zeros())),
    "23 digits": (FLOAT64, a_block(bytes([STEPS]) + varint(23) + zeros())),
    "window 0": (FLOAT64, a_block(bytes([GRID]) + varint(1) + varint(0) + varint(30) + zeros() + zeros())),
    "a grid of 2^-61": (FLOAT64, a_block(bytes([CUT]) + varint(1) + varint(1) + varint(61) + zeros() + zeros())),
    "a grid of 2^-2^64": (FLOAT64, a_block(bytes([CUT]) + varint(1) + varint(1) + b"\xff" * 9 + b"\1" + zeros() * 2)),
    "no noise": (FLOAT64, a_block(bytes([GRID]) + varint(1) + varint(1) + varint(30) + zeros())),
    "no distinct values": (INT64, a_block(bytes([RANKED]) + varint(0) + zeros() + zeros())),
    "more distinct values than values": (INT64, a_block(bytes([RANKED]) + varint(11) + zeros() + zeros())),
    "2^64 - 1 distinct values": (INT64, a_block(bytes([RANKED]) + varint(2**64 - 1) + zeros() + zeros())),
    "a rank beyond the distinct values": (INT64, a_block(bytes([RANKED]) + varint(3) + zeros() + zeros(3))),
    "a negative rank": (INT64, a_block(bytes([RANKED]) + varint(3) + zeros() + zeros(-1))),
    "no ranks": (INT64, a_block(bytes([RANKED]) + varint(3) + zeros())),
    "no exceptions": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(0) + zeros() + zeros())),
    "too many exceptions": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(11) + zeros() + zeros())),
    "2^64 - 1 exceptions": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(2**64 - 1) + zeros() + zeros())),
    "a gap beyond the end": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(1) + zeros(10) + zeros())),
    "gaps beyond the end": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(3) + zeros(4) + zeros())),
    "a gap back": (FLOAT64, a_block(bytes([DISTANT]) + zeros() + varint(2) + zeros(-2) + zeros())),
    "a stream coded by 3": (INT64, a_block(bytes([BITS, 3]) + varint(0))),
    "a stream of the future": (INT64, a_block(bytes([BITS, 64]) + varint(0))),
    "linear without zigzag": (INT64, a_block(bytes([BITS, LINEAR << 2]) + bytes(4))),
    "no stream": (INT64, a_block(bytes([BITS]))),
    "a stream without base": (INT64, a_block(bytes([BITS, ZERO]))),
    "a base that does not end": (INT64, a_block(bytes([BITS, ZERO, 0x80]))),
    "a base beyond 64 bits": (INT64, a_block(bytes([BITS, ZERO]) + b"\xff" * 9 + b"\2")),
    "a stream without divisor": (INT64, a_block(bytes([BITS, DIVIDED]) + varint(0))),
    "a stream without start": (INT64, a_block(bytes([BITS, DELTA << 2]) + varint(0))),
    "a stream without slope": (INT64, a_block(bytes([BITS, DELTA << 2]) + varint(0) + varint(5))),
    "a stream without weights": (INT64, a_block(bytes([BITS, LINEAR << 2 | SIGNED]) + bytes(3))),
    "a stream without shift": (INT64, a_block(bytes([BITS, NIBBLES]) + varint(0))),
    "shift 64": (INT64, a_block(bytes([BITS, NIBBLES]) + varint(0) + b"\x40", raw=bytes(100))),
    "shift 255": (INT64, a_block(bytes([BITS, NIBBLES]) + varint(0) + b"\xff", raw=bytes(400))),
    "packed into 65 bits": (INT64, a_block(bytes([BITS, PACKED]) + varint(0), raw=b"\x41" + bytes(100))),
    "packed into 255 bits": (INT64, a_block(bytes([BITS, PACKED]) + varint(0), raw=b"\xff" + bytes(400))),
    "nothing packed": (INT64, a_block(bytes([BITS, PACKED]) + varint(0))),
    "packed and cut short": (INT64, a_block(bytes([BITS, PACKED]) + varint(0), raw=SIXTY_FOUR[:-1])),
    "packed, and a byte after": (INT64, a_block(bytes([BITS, PACKED]) + varint(0), raw=SIXTY_FOUR + b"\0")),
    "words left over": (INT64, a_block(bytes([BITS]) + zeros(), words=bytes(4))),
    "head left over": (INT64, a_block(bytes([BITS]) + zeros() + b"\0")),
    "states that do not come to rest": (INT64, a_block(bytes([STATES | BITS, 1, 0]) + zeros())),
    "states beyond 64 bits": (INT64, a_block(bytes([STATES | BITS]) + (b"\xff" * 9 + b"\1") * 2 + zeros())),
    "states cut short": (INT64, a_block(bytes([STATES | BITS, 0x80]))),
    "no words": (INT64, a_block(bytes([STATES | BITS, 0, 0, NIBBLES, 0, 0]))),
}


@pytest.mark.bounds
@pytest.mark.parametrize("name", FORGED)
def test_a_block_that_checks_out_but_makes_no_sense_is_corrupt(name: str) -> None:
    dtype, block = FORGED[name]
    frame = forge("tally", dtype, varint(len(block)) + block, 10)
    with pytest.raises(CorruptDataError):
        Tally().decode(at_the_end_of_memory(frame))


def test_what_is_forged_is_but_for_one_thing_good() -> None:
    for head, raw in (
        (bytes([BITS]) + zeros(5), b""),
        (bytes([STATES | BITS, 0, 0]) + zeros(5), b""),
        (bytes([BITS, PACKED]) + varint(10), SIXTY_FOUR),
        (bytes([RANKED | BITS]) + varint(3) + zeros(5) + zeros(2), b""),
        (bytes([BITS, LINEAR << 2 | SIGNED]) + varint(10) + bytes(3), b""),
    ):
        assert read(a_block(head, raw=raw), 10, False).tolist() == [5] * 10
    distant = bytes([DISTANT | DIVIDE]) + varint(4) + zeros(5) + varint(2) + zeros(4) + zeros(1)
    up = np.nextafter(1.25, 2)
    found = read(a_block(distant), 10, True).view(np.float64)
    assert found.tolist() == [1.25] * 4 + [up] + [1.25] * 4 + [up]


@pytest.mark.parametrize("claimed", [0, 1, 50, 150, 8192, 10**6])
def test_a_block_of_another_count_is_corrupt(claimed: int) -> None:
    rng = np.random.default_rng(9)
    for column in (rng.normal(size=100), np.cumsum(rng.integers(0, 9, 100)), rng.choice([1.5, 2.0, 7.25], 100)):
        for level in (1, 2):
            with pytest.raises(CorruptDataError):
                Tally().decode(forge("tally", column.dtype, pack_version_1(column, level), claimed))


@pytest.mark.bounds
def test_words_are_not_read_beyond_the_frame() -> None:
    # The class, its excess and its four bits take in a word each, and there is none.
    rng = np.random.default_rng(10)
    for _ in range(500):
        states = [int(rng.integers(0, 2**20)) - 2**20 for _ in range(2)]
        head = bytes([STATES | BITS]) + b"".join(varint(state % 2**64) for state in states) + bytes([NIBBLES, 0, 0])
        block = a_block(head)
        with pytest.raises(CorruptDataError):
            Tally().decode(at_the_end_of_memory(forge("tally", INT64, varint(len(block)) + block, 3)))


@pytest.mark.bounds
def test_damage_behind_good_checksums_never_crashes() -> None:
    rng = np.random.default_rng(11)
    walk = np.cumsum(rng.integers(-5, 9, 150))
    columns = [
        walk,
        rng.integers(-(2**63), 2**63, 150),
        np.round(walk * 0.37, 2),
        rng.normal(size=150),
        rng.choice(rng.normal(size=4), 150),
        np.diff(np.cumsum(rng.integers(0, 1000, 151)) / 100 + 1e6) / 30,
        np.where(rng.random(150) < 0.1, np.nan, walk / 10),
    ]
    payloads = [(column, pack_version_1(column, level)) for column in columns for level in (1, 2)]
    extremes = [varint(number) for number in (0, 1, 127, 8192, 2**32, 2**63, 2**64 - 1)]
    for _ in range(3000):
        column, payload = payloads[rng.integers(len(payloads))]
        source = book.Bytes(payload)
        block = bytearray(source.take(source.varint()))
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(min(len(block), rng.choice([12, 40, 4000]))))
            length = int(rng.integers(0, 3))
            replacement = extremes[rng.integers(len(extremes))] if rng.random() < 0.3 else rng.bytes(length or 1)
            block[at : at + length] = replacement
        frame = forge("tally", column.dtype, varint(len(block)) + bytes(block), column.size)
        with contextlib.suppress(CorruptDataError):
            assert Tally().decode(at_the_end_of_memory(frame)).size == column.size
