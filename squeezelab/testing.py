"""What every codec and every format promises, checked: for the lab's own, and for those of other packages.

Neither pytest nor hypothesis is needed: call `check_codec` or `check_format` from a test of your own. Inputs are the
same in every run. The first promise that does not hold raises an AssertionError that says which one, and on which
input.

A codec promises, whatever its package:

- every bit of a column comes back, in its dtype and length: NaN payloads, -0.0, infinities, subnormals, extremes;
  lengths around powers of two; constant, empty and random columns;
- encoding leaves its input alone, and gives the same bytes every time, also for strided, read-only and unaligned input;
- decoding reads any buffer, and fills and returns ``out=``, whatever was in it;
- what encode and decode return is the caller's: no later call changes it, and frames are read in any order;
- damage, in any bit, by cutting or by lengthening, is refused or makes no difference: it never gives other numbers, and
  ends in an ordinary exception, not in one of memory or recursion;
- it comes back from its configuration, and from pickle: the same settings, the same bytes.

A lossy codec (``lossy`` is true) promises, in place of the first and for floats: the dtype and length come back, and
values within ``codec.tolerance(column)``, an array; if it has no such method, what was decoded once stays as it is when
it is encoded and decoded again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.registry import get_codec as get_numcodec

from squeezelab.codecs import ColumnCodec, split_frames
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats import Format

__all__ = ["check_codec", "check_format", "edge_columns", "edge_datasets"]

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

_NEVER = (MemoryError, RecursionError, SystemError)


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
        yield f"{length} tame values", _tame(dtype, length)
    for length in LENGTHS:
        yield f"{length} times the same", np.repeat(_tame(dtype, 9)[-1:], length)
    # What squeezes best, and longer than most blocks: a codec must not doubt the few bytes that it made of it itself.
    yield "a hundred thousand zeros", np.zeros(100_000, dtype)
    yield "special bits", bits(SPECIAL_WORDS)
    yield "special bits, over and over", bits(SPECIAL_WORDS * 30)
    yield "special bits, each many times", bits(np.repeat(np.array(SPECIAL_WORDS, np.uint64), 30))
    for word in SPECIAL_WORDS:
        yield f"{word:#018x} alone", bits([word])
        yield f"{word:#018x} among tame values", np.concatenate([_tame(dtype, 40), bits([word]), _tame(dtype, 40)])
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


def _tame(dtype: np.dtype[Any], length: int) -> Column:
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


def _promise(holds: object, promise: str, on: str) -> None:
    if not holds:
        raise AssertionError(f"{promise}: broken on {on}")


def _same_bits(a: Column, b: Column) -> bool:
    return a.size == b.size and a.tobytes() == b.tobytes()


def _is_near(decoded: Column, column: Column, tolerance: Column) -> bool:
    """Return whether finite values are within a tolerance, infinities as they were, and NaNs some NaN."""
    finite, nan = np.isfinite(column), np.isnan(column)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.all(np.abs(decoded[finite] - column[finite]) <= tolerance[finite])
    infinite = ~finite & ~nan
    return bool(near and np.array_equal(np.isnan(decoded), nan) and _same_bits(decoded[infinite], column[infinite]))


class _Subject:
    """A codec and a dtype under test; decoding brings every kind of answer to a column."""

    def __init__(self, codec: Any, dtype: np.dtype[Any]) -> None:
        self.codec, self.dtype = codec, dtype
        self.lossy = bool(getattr(codec, "lossy", False)) and dtype.kind == "f"

    def describe(self, name: str) -> str:
        return f"{self.codec!r}, {self.dtype} column of {name}"

    def encode(self, column: Column, name: str) -> Any:
        try:
            return self.codec.encode(column)
        except Exception as error:
            raise AssertionError(f"every column can be encoded: broken on {self.describe(name)}: {error!r}") from error

    def decode(self, encoded: Any, name: str) -> Column:
        try:
            decoded = self.codec.decode(encoded)
        except Exception as error:
            raise AssertionError(f"what was encoded is decoded: broken on {self.describe(name)}: {error!r}") from error
        return self.as_column(decoded, name)

    def as_column(self, decoded: Any, name: str) -> Column:
        """Return what was decoded as a flat column; bytes and arrays of bytes stand for any dtype."""
        if not isinstance(decoded, np.ndarray):
            decoded = np.frombuffer(decoded, np.uint8) if len(memoryview(decoded)) else np.empty(0, np.uint8)
        flat = np.ascontiguousarray(decoded).reshape(-1)
        if flat.dtype == np.uint8 and self.dtype != np.uint8:
            _promise(flat.size % self.dtype.itemsize == 0, "a column comes back whole", self.describe(name))
            flat = flat.view(self.dtype)
        _promise(flat.dtype == self.dtype, f"the dtype comes back (not {flat.dtype})", self.describe(name))
        return flat


def check_codec(
    codec: Any, *, dtypes: Sequence[npt.DTypeLike] | None = None, damage: bool = True, empty: bool = True
) -> None:
    """Check that a codec keeps the promises of this module.

    Parameters
    ----------
    codec : numcodecs.abc.Codec
        Anything with ``encode(array)`` and ``decode(buffer, out=None)``.
    dtypes : sequence of dtype, optional
        The columns it takes; those that the codec names in ``dtypes``, or int64 and float64.
    damage : bool
        Whether it claims to notice damage; False for a codec without a checksum.
    empty : bool
        Whether it claims to take columns without values.

    Raises
    ------
    AssertionError
        If a promise does not hold: which one, and on which input.

    Examples
    --------
    >>> import numcodecs
    >>> check_codec(numcodecs.Zlib(), damage=False)
    >>> check_codec(numcodecs.AsType("f4", "f8"), dtypes=["float64"], damage=False)
    Traceback (most recent call last):
    ...
    AssertionError: every bit comes back: broken on AsType(encode_dtype='<f4', decode_dtype='<f8'), float64 column of
    2 tame values
    """
    if dtypes is None:
        dtypes = getattr(codec, "dtypes", (INT64, FLOAT64))
    for dtype in dtypes:
        subject = _Subject(codec, np.dtype(dtype))
        for name, column in edge_columns(dtype):
            if column.size or empty:
                _check_round_trip(subject, name, column)
        _check_input(subject)
        _check_buffers(subject)
        _check_out(subject)
        _check_results_last(subject)
        if damage:
            _check_codec_damage(subject, (20, 0) if empty else (20,))
        if isinstance(codec, ColumnCodec):
            _check_concatenation(subject)
        _check_restored(subject)


def _check_round_trip(subject: _Subject, name: str, column: Column) -> None:
    on, before = subject.describe(name), column.tobytes()
    encoded = subject.encode(column, name)
    frame = bytes(memoryview(encoded))
    _promise(column.tobytes() == before, "encoding leaves its input alone", on)
    _promise(
        bytes(memoryview(subject.encode(column.copy(), name))) == frame, "encoding gives the same bytes every time", on
    )
    decoded = subject.decode(frame, name)
    _promise(decoded.size == column.size, f"the length comes back (not {decoded.size})", on)
    if subject.lossy and hasattr(subject.codec, "tolerance"):
        _promise(_is_near(decoded, column, subject.codec.tolerance(column)), "values come back within tolerance", on)
    elif subject.lossy:
        again = subject.decode(subject.encode(decoded, name), name)
        _promise(_same_bits(again, decoded), "what was decoded once stays as it is", on)
    else:
        _promise(_same_bits(decoded, column), "every bit comes back", on)


def _check_input(subject: _Subject) -> None:
    """Check that only the numbers of a column decide its bytes, not where they lie."""
    column = _tame(subject.dtype, 200)
    frame = bytes(memoryview(subject.encode(column, "200 tame values")))
    read_only = column.copy()
    read_only.flags.writeable = False
    unaligned = np.empty(column.nbytes + 1, np.uint8)[1:].view(subject.dtype)
    unaligned[:] = column
    ways = {"read-only values": read_only, "unaligned values": unaligned}
    if isinstance(subject.codec, ColumnCodec):  # a promise of ours: others want arrays without gaps
        ways |= {
            "strided values": np.repeat(column, 3)[::3],
            "big-endian values": column.astype(subject.dtype.newbyteorder(">")),
            "values in rows": column.reshape(20, 10),
        }
    for name, same in ways.items():
        encoded = bytes(memoryview(subject.encode(same, name)))
        _promise(encoded == frame, "equal columns have equal bytes", subject.describe(name))


def _check_buffers(subject: _Subject) -> None:
    column = _tame(subject.dtype, 200)
    frame = bytes(memoryview(subject.encode(column, "200 tame values")))
    expected = subject.decode(frame, "200 tame values")
    unaligned = bytearray(b"\0" + frame)
    for name, buffer in {
        "a bytearray": bytearray(frame),
        "a memoryview": memoryview(frame),
        "an array": np.frombuffer(frame, np.uint8),
        "an unaligned memoryview": memoryview(unaligned)[1:],
    }.items():
        before = bytes(buffer)
        found = subject.decode(buffer, f"200 tame values, read from {name}")
        _promise(_same_bits(found, expected), f"decoding reads {name}", subject.describe("200 tame values"))
        _promise(bytes(buffer) == before, "decoding leaves its input alone", subject.describe("200 tame values"))


def _check_out(subject: _Subject) -> None:
    column = _tame(subject.dtype, 200)
    on = subject.describe("200 tame values")
    frame = bytes(memoryview(subject.encode(column, on)))
    expected = subject.decode(frame, on)
    out = np.full(column.nbytes, 0xA5, np.uint8).view(subject.dtype)
    returned = subject.codec.decode(frame, out=out)
    _promise(returned is out or np.may_share_memory(np.asarray(returned), out), "out= is returned", on)
    _promise(_same_bits(out, expected), "out= is filled", on)


def _check_results_last(subject: _Subject) -> None:
    """Check that a result does not change, and a frame is not forgotten, when the codec has gone on to others."""
    on = subject.describe("200 tame values, others of 300 behind them")
    first, other = _tame(subject.dtype, 200), np.zeros(300, subject.dtype)
    encoded = subject.encode(first, on)
    frame = bytes(memoryview(encoded))
    other_frame = bytes(memoryview(subject.encode(other, on)))
    _promise(bytes(memoryview(encoded)) == frame, "encoded bytes stay as they are", on)
    decoded = subject.decode(frame, on)
    expected = decoded.copy()
    subject.decode(other_frame, on)
    _promise(_same_bits(decoded, expected), "a decoded column stays as it is", on)
    _promise(_same_bits(subject.decode(frame, on), expected), "frames are read in any order", on)
    _promise(subject.lossy or _same_bits(expected, first), "frames are read in any order", on)


def _check_codec_damage(subject: _Subject, lengths: Sequence[int]) -> None:
    for length in lengths:
        name = f"{length} tame values"
        frame = bytes(memoryview(subject.encode(_tame(subject.dtype, length), name)))
        expected = subject.decode(frame, name)

        def harmless(damaged: bytes, expected: Column = expected, name: str = name) -> bool:
            return _same_bits(subject.as_column(subject.codec.decode(damaged), name), expected)

        _check_damage(frame, harmless, _expected_error(subject.codec, ColumnCodec), subject.describe(name))


def _expected_error(subject: Any, ours: type[Any]) -> type[Exception]:
    return CorruptDataError if isinstance(subject, ours) else Exception


def _check_damage(
    whole: bytes, harmless: Callable[[bytes], bool], refusal: type[Exception], on: str, must: bool = True
) -> None:
    """Check damage of every kind to a frame or file.

    Parameters
    ----------
    whole : bytes
        What is damaged.
    harmless : callable
        Decodes; returns whether the right numbers came back.
    refusal : type of Exception
        What is raised otherwise.
    on : str
        What the input is.
    must : bool
        Whether damage has to be noticed, or only has to end well.
    """
    for name, damaged in _damages(whole, most=4000 if must else 200):
        try:
            fine = harmless(damaged)
        except _NEVER as error:
            raise AssertionError(f"damage ends in an ordinary exception: broken on {on}, {name}: {error!r}") from error
        except AssertionError:
            fine = False
        except refusal:
            continue
        except Exception as error:
            raise AssertionError(f"damage raises {refusal.__name__}: broken on {on}, {name}: {error!r}") from error
        _promise(fine or not must, "damage never gives other numbers", f"{on}, {name}")


def _damages(whole: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies: with every bit turned if they are not more than ``most``, else with as many, and others."""
    rng = np.random.default_rng(11)
    for bit in range(0, 8 * len(whole), max(1, 8 * len(whole) // most)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} turned", bytes(damaged)
    for size in range(0, len(whole), max(1, 8 * len(whole) // most)):
        yield f"cut after {size} of {len(whole)} bytes", whole[:size]
    yield "a zero behind it", whole + b"\0"
    yield "a zero before it", b"\0" + whole
    yield "itself behind it", whole + whole
    for place in sorted(set(rng.integers(0, len(whole), 20).tolist())):
        yield f"zeros from byte {place} on", whole[:place] + bytes(len(whole) - place)
        yield f"bytes {place} to {place + 7} drawn by lot", whole[:place] + rng.bytes(8) + whole[place + 8 :]
        yield f"bytes {place} to {place + 3} lost", whole[:place] + whole[place + 4 :]
    for size in (1, 2, 8, 21, 100, 1000):
        yield f"{size} random bytes in its place", rng.bytes(size)
    # Not eight: the CRC-32 of four bytes of ones is four bytes of ones.
    for size in (1, 2, 21, 100, 1000):
        yield f"{size} bytes of ones in its place", b"\xff" * size


def _check_concatenation(subject: _Subject) -> None:
    """Check that frames can be told apart when they stand one behind another, and are not taken for one."""
    columns = [_tame(subject.dtype, length) for length in (0, 1, 100, 0, 1000)]
    frames = [subject.encode(column, "tame values") for column in columns]
    on = subject.describe("tame values")
    split = list(split_frames(b"".join(frames)))
    _promise([bytes(one) for one in split] == frames, "frames one behind another are told apart", on)
    for frame, one in zip(frames, split, strict=True):
        _promise(
            _same_bits(subject.decode(one, on), subject.decode(frame, on)), "each frame decodes where it stands", on
        )


def _check_restored(subject: _Subject) -> None:
    """Check that copies have the settings of a codec, and do as it does."""
    codec = subject.codec
    ways: dict[str, Callable[[], Any]] = {"pickle": lambda: pickle.loads(pickle.dumps(codec))}
    if hasattr(codec, "get_config"):
        ways["its configuration"] = lambda: get_numcodec(dict(codec.get_config()))
    column = _tame(subject.dtype, 200)
    frame = bytes(memoryview(codec.encode(column)))
    expected = subject.decode(frame, "200 tame values")
    for way, restore in ways.items():
        promise, on = f"a codec comes back from {way}", subject.describe("200 tame values")
        try:
            copy = restore()
            config = copy.get_config() if hasattr(codec, "get_config") else None
            encoded, decoded = bytes(memoryview(copy.encode(column))), _Subject(copy, subject.dtype).decode(frame, on)
        except Exception as error:
            raise AssertionError(f"{promise}: broken on {on}: {error!r}") from error
        if config is not None:
            _promise(config == codec.get_config(), f"{promise} (not {config})", on)
        _promise(encoded == frame and _same_bits(decoded, expected), promise, on)


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
        return Series(SeriesKey(name, labels), _tame(INT64, length), _tame(FLOAT64, length))

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


def check_format(format: Format) -> None:
    """Check that a format keeps its promises.

    Every data set comes back bit for bit, the order of its series and samples included, from bytes and from a file; the
    same data set gives the same bytes; damage is refused, or makes no difference. What a format does not claim, by its
    attributes `checked`, `repeatable`, `holds_empty_series` and `lossy`, is not asked of it: without a checksum damage
    has to end in data or in CorruptDataError; a lossy one keeps the series, and what was decoded once stays as it is.

    Parameters
    ----------
    format : Format

    Raises
    ------
    AssertionError
        If a promise does not hold: which one, and on which input.

    Examples
    --------
    >>> from squeezelab.formats import get_format
    >>> check_format(get_format("columnar"))
    """
    for name, dataset in edge_datasets(format.holds_empty_series):
        _check_file(format, f"{format.name} file of {name}", dataset)
    few = [_series_of(5, {"host": "a"}), _series_of(1, {})]
    dataset = MetricDataset.from_series(few)
    _check_path(format, dataset)
    whole = format.encode(dataset)
    expected = format.decode(whole)
    _check_damage(
        whole,
        lambda damaged: _same_dataset(format.decode(damaged), expected),
        _expected_error(format, Format),
        f"{format.name} file of two series",
        must=format.checked,
    )


def _series_of(length: int, labels: dict[str, str]) -> Series:
    return Series(SeriesKey("up", labels), _tame(INT64, length), _tame(FLOAT64, length))


def _same_dataset(a: MetricDataset, b: MetricDataset) -> bool:
    return (
        list(a.keys) == list(b.keys)
        and np.array_equal(a.offsets, b.offsets)
        and _same_bits(a.timestamps, b.timestamps)
        and _same_bits(a.values, b.values)
    )


def _check_file(format: Format, on: str, dataset: MetricDataset) -> None:
    try:
        whole = format.encode(dataset)
        decoded = format.decode(whole)
    except Exception as error:
        raise AssertionError(f"every data set can be written and read: broken on {on}: {error!r}") from error
    _promise(isinstance(whole, bytes), "a file is bytes", on)
    _promise(not format.repeatable or format.encode(dataset) == whole, "the same data set gives the same bytes", on)
    chunks = b"".join(bytes(chunk) for chunk in format.chunks(dataset))
    _promise(not format.repeatable or chunks == whole, "chunks make up the file", on)
    for kind in (bytearray, memoryview):
        _promise(_same_dataset(format.decode(kind(whole)), decoded), f"a file is read from a {kind.__name__}", on)
    if format.lossy:
        _promise(list(decoded.keys) == list(dataset.keys), "series come back", on)
        again = format.decode(format.encode(decoded))
        _promise(_same_dataset(again, decoded), "what was decoded once stays as it is", on)
        _promise(format.loss(decoded, decoded).largest == 0, "what was decoded once loses nothing more", on)
    else:
        _promise(_same_dataset(decoded, dataset), "every data set comes back bit for bit", on)


def _check_path(format: Format, dataset: MetricDataset) -> None:
    """Check files on disk: whole, and nothing else beside them."""
    whole = format.encode(dataset)
    on = f"{format.name} file of two series"
    with TemporaryDirectory() as folder:
        path = Path(folder, "new", "data")
        size = format.write(dataset, path)
        written = path.read_bytes()
        same = written == whole or not format.repeatable
        _promise(same and size == len(written), "a file on disk has the bytes and the size", on)
        _promise([one.name for one in path.parent.iterdir()] == ["data"], "nothing lies beside the file", on)
        _promise(_same_dataset(format.read(path), format.decode(whole)), "a file on disk is read", on)
