"""Many columns in one call: lanes of two blocks are read side by side, whatever comes between them and follows."""

import numpy as np
import pytest

from columns import forge
from squeezelab import CorruptDataError
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64, INT64, read_varint

CODEC = get_codec("tally")


def walk(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.cumsum(rng.normal(0, 5, count).round()) / 10


def wide(rng: np.random.Generator, count: int) -> np.ndarray:
    """Integers with bits in planes."""
    return np.cumsum(2.0 ** rng.uniform(0, 30, count)).round()


def signed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Integers of planes that are not summed up."""
    return ((2.0 ** rng.uniform(0, 40, count)) * rng.choice([-1, 1], count)).astype(np.int64)


def far(rng: np.random.Generator, count: int) -> np.ndarray:
    """Steps some of which are exceptions."""
    steps = rng.normal(0, 3, count).round()
    steps[rng.integers(0, count, 3)] += 1e9
    return np.cumsum(steps)


def few(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers that are ranked."""
    return rng.choice(rng.normal(size=20), count, p=np.arange(1, 21) / 210)


def mixed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers that an arithmetic misses here and there."""
    return np.where(rng.random(count) < 0.02, rng.normal(size=count), rng.normal(0, 40, count).round() / 100)


def parsed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Differences of a counter of nanoseconds: they have noise beside levels."""
    return np.diff(np.cumsum(rng.integers(0, 10**7, count + 1)) / 1e9)


def in_turn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Integers whose tables are told by those before."""
    return np.where(np.arange(count) // 40 % 2, rng.integers(0, 3, count), rng.integers(0, 200, count))


def constant(_: np.random.Generator, count: int) -> np.ndarray:
    return np.full(count, 2.5)


KINDS = (walk, wide, signed, far, few, mixed, parsed, in_turn, constant)


def columns_of(rng: np.random.Generator, counts: list[int]) -> list[np.ndarray]:
    return [KINDS[rng.integers(len(KINDS))](rng, int(rng.choice(counts))) for _ in range(rng.integers(1, 12))]


@pytest.mark.bounds
@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("counts", [[1000], [1439, 1440], [99, 100, 101, 1000], [1535, 1536, 9192]], ids=str)
def test_columns_of_all_kinds_come_back(counts: list[int], level: int) -> None:
    codec, rng = get_codec(f"tally:level={level}"), np.random.default_rng(counts[0] + level)
    for _ in range(12):
        columns = columns_of(rng, counts)
        frames = codec.encode_many(columns)
        for column, decoded in zip(columns, codec.decode_many(frames), strict=True):
            assert (decoded.dtype, decoded.tobytes()) == (column.dtype, column.tobytes())


@pytest.mark.parametrize("one", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("two", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_beside_every_other(one, two) -> None:
    rng = np.random.default_rng(5)
    columns = [one(rng, 1000), two(rng, 1000), one(rng, 1000)]
    for column, decoded in zip(columns, CODEC.decode_many(CODEC.encode_many(columns)), strict=True):
        assert (decoded.dtype, decoded.tobytes()) == (column.dtype, column.tobytes())


def forged(rng: np.random.Generator, column: np.ndarray) -> bytes:
    """Return the frame of a column some of whose bytes are others, or fewer, with a good checksum."""
    frame = CODEC.encode(column)
    start = read_varint(frame, read_varint(frame, 1)[1])[1]
    payload = bytearray(frame[start:-8])
    # The head, the tables and the lanes' states are at the front; most of the bytes are words.
    for _ in range(rng.integers(1, 4)):
        payload[int(rng.integers(min(len(payload), rng.choice([8, 40, 100_000]))))] ^= int(rng.integers(1, 256))
    if rng.random() < 0.1:
        del payload[int(rng.integers(len(payload))) :]
    return forge("tally", {"i": INT64, "f": FLOAT64}[column.dtype.kind], bytes(payload), column.size)


@pytest.mark.bounds
@pytest.mark.parametrize("kind", KINDS[:-1], ids=lambda kind: kind.__name__)
def test_a_forged_frame_beside_another_is_read_as_it_is_alone(kind) -> None:
    rng, read = np.random.default_rng(3), 0
    for _ in range(150):
        count = int(rng.choice([120, 1000, 1200]))
        column, other = kind(rng, count), KINDS[rng.integers(len(KINDS))](rng, count)
        frames, good = [forged(rng, column), CODEC.encode(other)], other.tobytes()
        turn = int(rng.integers(2))
        try:
            expected = CODEC.decode(frames[0]).tobytes()
        except CorruptDataError:
            with pytest.raises(CorruptDataError):
                CODEC.decode_many(frames[:: 1 - 2 * turn])
            continue
        read += 1
        assert [one.tobytes() for one in CODEC.decode_many(frames[:: 1 - 2 * turn])] == [expected, good][
            :: 1 - 2 * turn
        ]
    assert read
