"""Tally's frames: what was written stays readable, and the slow reader made from docs/format.md reads it, too."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import tally_by_the_book as book
from columns import float64_columns, int64_columns
from squeezelab.codecs import get_codec
from squeezelab.codecs.tally import Tally
from squeezelab.codecs.tally.shapes import BANK

TOP = Path(__file__).parents[3]
FRAMES = TOP / "tests/fixtures/tally_frame"
OLD_FRAMES = sorted((TOP / "tests/fixtures/codecs").glob("tally*/*.frame"))
DIGESTS = {
    "walk_of_decimals": "8b7d63106f826514",
    "decimals_with_exceptions": "d0a955029309720b",
    "short": "c24a424cc625c016",
    "tiny": "e19397eac62b289f",
    "counter": "d12645e39eb265f9",
    "outliers": "7752d0b3ee671d3f",
    "sparse": "85ad8a4d9852abca",
    "changing_scale": "12cbce0835abbf85",
    "wide": "86a2625ca73367fc",
    "smooth": "c3e2775c7a3cc597",
    "regular": "19820e55c7b0dd5d",
    "curved": "0342d799f95f188e",
    "any_bits": "340c35c9feaa2220",
    "few_distinct": "8277304d64db90e3",
    "rates": "c7fe439bb65322e1",
    "float32": "d5de674b0be953d1",
    "bits_of_float32": "416d911c5d7cabd6",
    "big_endian": "e9cb63c41949e1fc",
    "uint8": "af7ed73c79d6357e",
}
LEVELS = pytest.mark.parametrize("level", [1, 2, 3])


@LEVELS
@pytest.mark.parametrize("name", DIGESTS)
def test_a_frame_of_version_2_that_was_written_is_read(name: str, level: int) -> None:
    frame = (FRAMES / f"version2_level{level}_{name}.frame").read_bytes()
    assert xxhash.xxh3_64_hexdigest(Tally().decode(frame).tobytes()) == DIGESTS[name]
    assert xxhash.xxh3_64_hexdigest(book.read_frame(frame)) == DIGESTS[name]


@pytest.mark.parametrize("path", OLD_FRAMES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_frame_of_version_1_is_read_by_the_book(path: Path) -> None:
    frame = path.read_bytes()
    assert book.read_frame(frame) == get_codec(path.parent.name.replace("@", ":")).decode(frame).tobytes()


def by_hand() -> Iterator[tuple[str, np.ndarray]]:
    """Yield columns that make use of each way there is to code a stream."""
    rng = np.random.default_rng(15)
    walk = np.cumsum(rng.normal(0, 5, 9000).round()) / 10
    for count in (0, 1, 2, 15, 16, 99, 100, 511, 512, 1023, 1024, 1535, 1536, 1539, 9000):
        yield f"walk_of_{count}", walk[:count]
    yield "exceptions", np.where(rng.random(2000) < 0.01, rng.integers(-(10**12), 10**12, 2000), np.arange(2000) % 7)
    yield "sparse", rng.choice([0, 1, 7, 100, 4000], 1200, p=[0.5, 0.2, 0.2, 0.05, 0.05])
    yield "segments", np.concatenate([rng.integers(-(10**k), 10**k, 600) for k in range(1, 5)])
    yield "planes", np.cumsum(rng.integers(0, 2**34, 1000))
    yield "planes_of_all_bits", rng.normal(0, 2.0**60, 2000).astype(np.int64)
    yield "taps", np.round(10**4 * np.sin(np.arange(2001) / 30) + rng.normal(0, 3, 2001)).astype(int)
    yield "taps_in_two_lanes", np.round(10**4 * np.sin(np.arange(301) / 30) + rng.normal(0, 3, 301)).astype(int)
    yield "regular", 1_700_000_000 + 15 * np.arange(500)
    yield "curved", np.arange(500) ** 2 + rng.integers(0, 3, 500)
    yield "divided", 4096 * rng.integers(0, 900, 700)
    yield "ranks", rng.choice(rng.normal(size=20), 600)
    yield "rates", np.diff(np.cumsum(rng.integers(0, 1000, 401)) / 100 + 1e6) / 30
    for dtype in ("<f4", ">f4", ">i8", "<i4", ">i2", "<u8", "<u4", ">u2", "<i1", "<u1", ">f8"):
        yield f"of_{dtype}", (walk[:300] - walk[:300].min()).astype(dtype)
    yield "bits_of_float32", rng.integers(0, 2**32, 200, np.uint32).view(np.float32)


@LEVELS
@pytest.mark.parametrize("column", [pytest.param(column, id=name) for name, column in by_hand()])
def test_what_is_written_is_read_by_the_book(column: np.ndarray, level: int) -> None:
    assert book.read_frame(Tally(level).encode(column)) == column.tobytes()


@LEVELS
@given(data=st.data())
def test_any_column_is_read_by_the_book(level: int, data: st.DataObject) -> None:
    column = data.draw(int64_columns() | float64_columns())
    assert book.read_frame(Tally(level).encode(column)) == column.tobytes()


@pytest.mark.parametrize("number", range(0, 512, 13))
def test_shapes_are_those_of_the_page(number: int) -> None:
    weights = book.shape_weights(number)
    assert [weights[token] for token in range(-120, 120)] == BANK[0, number].tolist()


def test_the_frame_of_the_page_is_one() -> None:
    page = (TOP / "docs/format.md").read_text(encoding="utf-8")
    example = page.partition("<!-- example of a frame -->\n")[2].partition("\n\n")[0]
    frame = bytes.fromhex("".join(line.partition("#")[0] for line in example.splitlines()))
    words = page.partition("the frame of 32 integers: ")[2].partition(".\n")[0]
    column = np.array([int(word) for word in words.split(",")])
    assert book.read_frame(frame) == column.tobytes()
    assert Tally().decode(frame).tolist() == column.tolist()


def test_a_header_may_claim_no_more_than_what_the_shortest_frames_hold() -> None:
    column = np.ones(2**22)
    expansion = column.nbytes / len(Tally().encode(column))
    assert Tally.max_expansion / 2 < expansion < Tally.max_expansion
