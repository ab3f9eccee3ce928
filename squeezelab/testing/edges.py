"""Inputs at the edges of what codecs and formats meet; the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.dataset import MetricDataset, Series, SeriesKey

Column = npt.NDArray[Any]

SPECIAL_WORDS = (
    0x0000000000000000,  # 0.0
    0x8000000000000000,  # -0.0
    0x7FF0000000000000,  # infinity
    0xFFF0000000000000,  # -infinity
    0x7FF8000000000000,  # NaN
    0xFFF8000000000001,  # a NaN with sign and payload
    0x7FF0000000000001,  # a signalling NaN
    0x7FFFFFFFFFFFFFFF,  # the NaN with the largest payload
    0x0000000000000001,  # the smallest subnormal
    0x000FFFFFFFFFFFFF,  # the largest subnormal
    0x0010000000000000,  # the smallest normal number
    0x7FEFFFFFFFFFFFFF,  # the largest number
    0x400921FB54442D18,  # pi
    0xFFFFFFFFFFFFFFFF,  # every bit
)
"""Bits at the edges of what a float64 can be; as int64 they are edges as well."""

LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 1023, 1024, 1025)
"""Where blocks of codecs begin and end."""


def edge_columns(dtype: npt.DTypeLike) -> Iterator[tuple[str, Column]]:
    """Yield columns at the edges of what a codec meets, each with its name.

    Parameters
    ----------
    dtype : dtype
        Any that is a number of fixed width. int64 and float64 get timestamps and readings; of any dtype there are
        special and random bits.

    Examples
    --------
    >>> dict(edge_columns("int64"))["extremes"]
    array([                   0,  9223372036854775807, -9223372036854775808,
                             -1,  9223372036854775807,  9223372036854775807,
                              0])
    """
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(20150831)

    def bits(words: npt.ArrayLike) -> Column:
        return np.asarray(words, np.uint64).view(np.uint8).view(dtype).copy()

    for length in LENGTHS:
        yield f"{length} tame values", tame(dtype, length)
    for length in LENGTHS:
        yield f"{length} times the same", np.repeat(tame(dtype, 9)[-1:], length)
    # What squeezes best, and longer than most blocks: a codec must not doubt the few bytes that it made of it itself.
    yield "a hundred thousand zeros", np.zeros(100_000, dtype)
    yield "special bits", bits(SPECIAL_WORDS)
    yield "special bits, over and over", bits(SPECIAL_WORDS * 30)
    yield "special bits, each many times", bits(np.repeat(np.array(SPECIAL_WORDS, np.uint64), 30))
    for word in SPECIAL_WORDS:
        yield f"{word:#018x} alone", bits([word])
        yield f"{word:#018x} among tame values", np.concatenate([tame(dtype, 40), bits([word]), tame(dtype, 40)])
    yield "extremes", bits([0, 2**63 - 1, 2**63, 2**64 - 1, 2**63 - 1, 2**63 - 1, 0])
    yield "every power of two", bits([1 << i for i in range(64)])
    yield "every count of leading ones", bits([2**64 - (1 << i) for i in range(64)])
    yield "one bit turned at a time", bits(np.bitwise_xor.accumulate(np.array([1 << i for i in range(64)], np.uint64)))
    for size in (1, 2, 100, 1000, 5000):
        yield f"{size} random words", bits(rng.integers(0, 2**64, size, np.uint64))
    for width in (1, 3, 8, 13, 21, 33, 52, 60):
        yield f"random words of {width} bits", bits(rng.integers(0, 2**width, 300, np.uint64))
        yield (
            f"random words of {width} leading bits",
            bits(rng.integers(0, 2**width, 300, np.uint64) << np.uint64(64 - width)),
        )
    if dtype == INT64:
        yield from _timestamps(rng)
    if dtype == FLOAT64:
        yield from _readings(rng)


def tame(dtype: np.dtype[Any], length: int) -> Column:
    """Return what columns mostly are: timestamps with some jitter, readings with one decimal."""
    rng = np.random.default_rng(7)
    if dtype.kind == "f":
        return np.round(20 + np.cumsum(rng.normal(size=length)), 1).astype(dtype)
    start = 1_700_000_000 if dtype.itemsize == 8 else 3
    return (start + np.cumsum(15 * (dtype.itemsize > 2) + (rng.random(length) < 0.1))).astype(dtype)


def _timestamps(rng: np.random.Generator) -> Iterator[tuple[str, Column]]:
    even = 1_700_000_000 + 15 * np.arange(2000)
    yield "even timestamps", even
    yield "65,536 even timestamps", 1_700_000_000 + 15 * np.arange(2**16)
    yield "timestamps in milliseconds that jitter", 1000 * even + rng.integers(-40, 40, even.size)
    yield "timestamps with gaps", even + 3600 * np.cumsum(rng.random(even.size) < 0.01)
    yield "timestamps backwards", even[::-1].copy()
    yield "timestamps in disorder", rng.permutation(even)
    yield "integers that overflow when added", np.array([2**62, -(2**62)] * 50)
    yield "deltas that overflow", np.array([-(2**63), 2**63 - 1] * 50)


def _readings(rng: np.random.Generator) -> Iterator[tuple[str, Column]]:
    walk = np.cumsum(rng.normal(size=2000))
    for digits in (0, 1, 2, 5, 15):
        yield f"readings of {digits} decimals", np.round(100 + walk, digits)
    yield "full doubles", walk
    yield "float32 readings", walk.astype(np.float32).astype(np.float64)
    yield "a counter", np.cumsum(rng.integers(0, 5000, 2000)).astype(np.float64)
    yield "products of a step", 0.05 * rng.integers(0, 300, 2000)
    yield "differences with noise in their last bits", np.diff(np.cumsum(rng.integers(0, 90, 2000)) / 100)
    yield "a period", np.tile(np.round(50 + 40 * np.sin(np.arange(96) / 96 * 2 * np.pi), 3), 20)
    yield "flags", (rng.random(2000) < 0.05).astype(np.float64)
    yield "powers of two", 2.0 ** rng.integers(-20, 20, 500)
    yield "readings with gaps of NaN", np.where(rng.random(2000) < 0.03, np.nan, np.round(walk, 2))
    yield "large whole numbers", 2.0**53 + np.arange(-50.0, 50.0)
    yield "from subnormal to huge", np.concatenate([10.0 ** np.arange(-323, 308), -(10.0 ** np.arange(-323, 308))])


def edge_datasets(empty_series: bool = True) -> Iterator[tuple[str, MetricDataset]]:
    """Yield data sets at the edges of what a format meets, each with its name.

    Parameters
    ----------
    empty_series : bool
        Whether series without samples are among them.

    Examples
    --------
    >>> dict(edge_datasets())["one sample"]
    <MetricDataset: 1 series, 1 samples>
    """
    rng = np.random.default_rng(3)

    def series(name: str, labels: dict[str, str], length: int) -> Series:
        return Series(SeriesKey(name, labels), tame(INT64, length), tame(FLOAT64, length))

    if empty_series:
        yield "nothing", MetricDataset.from_series([])
        yield "one series without samples", MetricDataset.from_series([series("a", {}, 0)])
        lengths = (0, 3, 0, 0, 5, 0)
        yield (
            "series with and without samples",
            MetricDataset.from_series([series("a", {"n": str(i)}, length) for i, length in enumerate(lengths)]),
        )
    yield "one sample", MetricDataset.from_series([series("a", {}, 1)])
    yield "series of many lengths", MetricDataset.from_series([series(f"m{n}", {}, n) for n in LENGTHS if n])
    yield (
        "a thousand series",
        MetricDataset.from_series([series("m", {"host": f"h{i}"}, 1 + i % 3) for i in range(1000)]),
    )
    texts = ["", " ", "a", "A", "\0", "\n", '"', "\\", "'", ",", "null", "12", "2020-01-01", "\u00e4", "\U0001f600"]
    named = [Series(SeriesKey(one, {other: one}), np.array([1]), np.array([1.0])) for one in texts for other in texts]
    yield "odd names", MetricDataset.from_series(named)
    yield "long names", MetricDataset.from_series([series("n" * 70_000, {"l" * 300: "v" * 70_000}, 2)])
    labels = {f"label_{i}": f"value_{i}" for i in range(300)}
    yield "many labels", MetricDataset.from_series([series("a", labels, 2), series("a", {}, 2), series("b", labels, 2)])
    special = np.array(SPECIAL_WORDS, np.uint64)
    yield (
        "special bits",
        MetricDataset.from_series([Series(SeriesKey("a", {}), special.view(np.int64), special.view(np.float64))]),
    )
    words = rng.integers(0, 2**64, (2, 3000), np.uint64)
    yield (
        "random bits",
        MetricDataset.from_series([Series(SeriesKey("a", {}), words[0].view(np.int64), words[1].view(np.float64))]),
    )
    for (name, timestamps), (other, values) in zip(_timestamps(rng), _readings(rng), strict=False):
        count = min(len(timestamps), len(values))
        one = Series(SeriesKey("a", {}), timestamps[:count], values[:count])
        yield f"{name}, {other}", MetricDataset.from_series([one])


SPECIAL_SINGLES = (
    *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001),
    *(0x7FFFFFFF, 0x00000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0x40490FDB, 0xFFFFFFFF),
)
"""Bits at the edges of what a float32 can be, as `SPECIAL_WORDS` of a float64."""


def typed_datasets(empty_series: bool = True) -> Iterator[tuple[str, MetricDataset]]:
    """Yield data sets whose values are not all float64, each with what it is.

    Parameters
    ----------
    empty_series : bool
        Whether series without samples are among them.

    Examples
    --------
    >>> [dataset.value_dtypes for _, dataset in typed_datasets()][0]
    (dtype('int64'),)
    """
    columns: dict[str, Column] = {
        "int64": np.append(2**53 + np.arange(26), np.array(SPECIAL_WORDS, np.uint64).view(np.int64)),
        "float32": np.append(
            (0.1 * np.arange(26)).astype(np.float32), np.array(SPECIAL_SINGLES, np.uint32).view(np.float32)
        ),
        "float64": np.append(0.1 * np.arange(26), np.array(SPECIAL_WORDS, np.uint64).view(np.float64)),
    }
    series = [Series(SeriesKey("m", {"of": name}), 15 * np.arange(40), column) for name, column in columns.items()]
    yield "int64 values", MetricDataset.from_series(series[:1])
    yield "float32 values", MetricDataset.from_series(series[1:2])
    yield "values of float64 and int64", MetricDataset.from_series([series[2], series[0]])
    yield "values of three dtypes", MetricDataset.from_series(series)
    if empty_series:
        without = [Series(SeriesKey("none", key.labels), times[:0], values[:0]) for key, times, values in series]
        for name, some in (
            ("int64 values, and a series without", [without[0], series[0]]),
            ("series of three dtypes, with and without samples", [*without, *series, *without[::-1]][:-3]),
            ("series of three dtypes without samples", without),
        ):
            yield name, MetricDataset.from_series(some)
