"""The adaptive models and rANS: against a slow decoder, at the edges of classes, and on damaged words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from squeezelab.codecs.tally.nibbles import (
    FLOOR,
    FRESH,
    LOWEST_STATE,
    MODELS,
    SCALE,
    TARGETS,
    bounds_of,
    learn,
    model_integers,
    read_integers,
    write_operations,
)
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import READ_SLACK, WRITE_SLACK, U

MARGIN = 16
"""Bytes before and after what a decoder is given, so that it may read whole words."""


def coded(numbers: np.ndarray, shift: int = 0) -> tuple[int, int, bytes, bytes]:
    """Return the decoder's first states, its words and its raw bits."""
    operations, raw = np.empty(3 * numbers.size, np.uint32), np.empty(9 * numbers.size + WRITE_SLACK, np.uint8)
    ages = np.zeros(MODELS, np.uint8)
    done, size = model_integers(numbers, U(shift), FRESH.copy(), ages, TARGETS, operations, raw)
    buffer = np.empty(2 * int(done) * 4 + 8, np.uint8)
    classes, bits, begin = write_operations(operations[: int(done)], buffer)
    return int(classes), int(bits), buffer[int(begin) :].tobytes(), raw[: int(size)].tobytes()


def decoded(
    count: int, classes: int, bits: int, words: bytes, raw: bytes, shift: int = 0
) -> tuple[bool, np.ndarray, bool]:
    """Return whether the data sufficed, the numbers, and whether all was used up and both states came to rest."""
    data = np.frombuffer(bytes(MARGIN) + words + raw + bytes(READ_SLACK), np.uint8)
    place, end = MARGIN, MARGIN + len(words)
    numbers = np.zeros(count, np.uint64)
    cursor, stops = (
        np.array([0, classes, bits, place, end], np.uint64),
        np.array([0, 0, 0, end, end + len(raw)], np.uint64),
    )
    whole = read_integers(data, cursor, stops, U(shift), FRESH.copy(), np.zeros(MODELS, np.uint8), numbers)
    rested = cursor[1:].tolist() == [LOWEST_STATE, LOWEST_STATE, end, end + len(raw)]
    return bool(whole), numbers, rested


@st.composite
def integers(draw: st.DrawFn) -> np.ndarray:
    """Integers of any size, most of them alike."""
    sizes = draw(st.lists(st.integers(0, 64), min_size=1, max_size=3))
    drawn = draw(st.lists(st.tuples(st.sampled_from(sizes), st.integers(0, 2**64 - 1)), min_size=1, max_size=120))
    return np.array([number >> (64 - size) if size else 0 for size, number in drawn], np.uint64)


@given(integers(), st.integers(0, 55))
def test_a_slow_decoder_reads_the_same(numbers: np.ndarray, shift: int) -> None:
    classes, bits, words, raw = coded(numbers, shift)
    coder = book.Coder(book.Bytes(words), book.Bits(raw))
    coder.states = [classes, bits]
    assert book.read_nibbles(coder, numbers.size, shift) == numbers.tolist()
    assert coder.states == [2**20, 2**20]
    assert coder.words.ended()
    assert coder.raw.ended()
    whole, found, rested = decoded(numbers.size, classes, bits, words, raw, shift)
    assert whole
    assert rested
    assert found.tolist() == numbers.tolist()


@pytest.mark.parametrize("shift", [0, 1, 7, 50])
def test_every_size_comes_back(shift: int) -> None:
    edges = [0, *(2**size - 1 for size in range(1, 65)), *(2**size for size in range(64))]
    numbers = np.array(edges * 2, np.uint64)
    whole, found, rested = decoded(numbers.size, *coded(numbers, shift), shift)
    assert whole
    assert rested
    assert found.tolist() == numbers.tolist()


def bits_each(numbers: np.ndarray, shift: int = 0) -> float:
    _, _, words, raw = coded(numbers.astype(np.uint64), shift)
    return 8 * (len(words) + len(raw)) / numbers.size


def test_what_repeats_costs_next_to_nothing() -> None:
    assert bits_each(np.zeros(8192)) < 0.02
    assert bits_each(np.full(8192, 5)) < 0.04


def test_what_follows_a_pattern_is_learnt_from_the_class_before() -> None:
    assert bits_each(np.tile([0, 1], 4096)) < 0.05
    assert bits_each(np.tile([0, 0, 1], 2731)) < 0.7 < np.log2(3) - 2 / 3


def test_noise_costs_about_its_entropy() -> None:
    rng = np.random.default_rng(1)
    for width in (1, 4, 5, 12):
        assert bits_each(rng.integers(0, 2**width, 8192)) < width + 0.15
    assert bits_each(rng.integers(0, 2**40, 8192), shift=30) < 40.15


@kernel
def taught(models, symbols, shares):
    for i in range(symbols.size):
        learn(models, U(0), TARGETS, symbols[i], shares[i])


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 7)), min_size=1, max_size=200))
def test_no_symbol_ever_loses_its_share(lessons: list[tuple[int, int]]) -> None:
    models = FRESH[:32].copy()
    taught(models, *np.array(lessons, np.uint64).T.copy())
    slow = book.Model(book.even(), 0)
    for symbol, slow.fastest in lessons:
        slow.learn(symbol)
    assert models[:16].tolist() == slow.bounds
    for other in (U(0), U(1)):
        bounds = [tuple(map(int, bounds_of(models, U(0), other, U(symbol)))) for symbol in range(16)]
        assert bounds[0][0] == 0
        assert all(share >= FLOOR for _, share in bounds)
        assert [low + share for low, share in bounds] == [*(low for low, _ in bounds[1:]), SCALE]


def test_what_is_cut_short_is_noticed() -> None:
    rng = np.random.default_rng(2)
    numbers = rng.integers(0, 2**63, 30, np.uint64) >> rng.integers(0, 63, 30, np.uint64)
    classes, bits, words, raw = coded(numbers)
    for cut in range(4, len(words) + 1, 4):
        whole, _, rested = decoded(numbers.size, classes, bits, words[:-cut], raw)
        assert not (whole and rested)
    for cut in range(1, len(raw) + 1):
        assert not decoded(numbers.size, classes, bits, words, raw[:-cut])[0]


@given(
    classes=st.integers(0, 2**64 - 1),
    bits=st.integers(0, 2**64 - 1),
    words=st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4]),
    raw=st.binary(max_size=40),
    shift=st.integers(0, 255),
    count=st.integers(1, 200),
)
def test_any_states_and_words_come_to_an_end(
    classes: int, bits: int, words: bytes, raw: bytes, shift: int, count: int
) -> None:
    whole, numbers, rested = decoded(count, classes, bits, words, raw, shift)
    if whole and rested:
        assert coded(numbers, shift) == (classes, bits, words, raw)


@pytest.mark.bounds
@given(st.lists(st.tuples(st.integers(FLOOR, int(SCALE) - 1), st.booleans()), min_size=1, max_size=200), st.randoms())
def test_operations_are_those_of_rans_whatever_the_shares(drawn: list[tuple[int, bool]], random: Any) -> None:
    lows = [random.randrange(int(SCALE) - share) for share, _ in drawn]
    operations = [low | share << 16 | bits << 31 for low, (share, bits) in zip(lows, drawn, strict=True)]
    states, words = [int(LOWEST_STATE)] * 2, b""
    for low, (share, bits) in reversed(list(zip(lows, drawn, strict=True))):
        state = states[bits]
        if state >= share << 37:
            words, state = (state & 0xFFFFFFFF).to_bytes(4, "big") + words, state >> 32
        states[bits] = state // share * int(SCALE) + state % share + low
    buffer = np.empty(2 * len(operations) + 8, np.uint8)
    *found, begin = write_operations(np.array(operations, np.uint32), buffer)
    assert [*map(int, found)] == states
    assert buffer[int(begin) :].tobytes() == words
