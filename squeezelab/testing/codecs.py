"""What every codec promises, checked."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs.registry import get_codec as get_numcodec

from squeezelab.codecs import ColumnCodec, split_frames
from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.testing.edges import Column, edge_columns, tame
from squeezelab.testing.promises import check_damage, expected_error, promise, same_bits


def _is_near(decoded: Column, column: Column, tolerance: Column) -> bool:
    """Return whether finite values are within a tolerance, infinities as they were, and NaNs some NaN."""
    finite, nan = np.isfinite(column), np.isnan(column)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.all(np.abs(decoded[finite] - column[finite]) <= tolerance[finite])
    infinite = ~finite & ~nan
    return bool(near and np.array_equal(np.isnan(decoded), nan) and same_bits(decoded[infinite], column[infinite]))


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
            whole = isinstance(decoded, bytes | bytearray | memoryview)
            promise(whole, f"an array or bytes come back (not {type(decoded).__name__})", self.describe(name))
            decoded = np.frombuffer(decoded, np.uint8) if len(memoryview(decoded)) else np.empty(0, np.uint8)
        flat = np.ascontiguousarray(decoded).reshape(-1)
        if flat.dtype == np.uint8 and self.dtype != np.uint8:
            promise(flat.size % self.dtype.itemsize == 0, "a column comes back whole", self.describe(name))
            flat = flat.view(self.dtype)
        promise(flat.dtype == self.dtype, f"the dtype comes back (not {flat.dtype})", self.describe(name))
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
    >>> check_codec(numcodecs.PCodec(), damage=False, empty=False)
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
        _check_memory_order(subject)
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
    promise(column.tobytes() == before, "encoding leaves its input alone", on)
    promise(
        bytes(memoryview(subject.encode(column.copy(), name))) == frame, "encoding gives the same bytes every time", on
    )
    decoded = subject.decode(frame, name)
    promise(decoded.size == column.size, f"the length comes back (not {decoded.size})", on)
    if subject.lossy and hasattr(subject.codec, "tolerance"):
        promise(_is_near(decoded, column, subject.codec.tolerance(column)), "values come back within tolerance", on)
    elif subject.lossy:
        again = subject.decode(subject.encode(decoded, name), name)
        promise(same_bits(again, decoded), "what was decoded once stays as it is", on)
    else:
        promise(same_bits(decoded, column), "every bit comes back", on)


def _check_input(subject: _Subject) -> None:
    """Check that only the numbers of a column decide its bytes, not where they lie."""
    column = tame(subject.dtype, 200)
    frame = bytes(memoryview(subject.encode(column, "200 tame values")))
    read_only = column.copy()
    read_only.flags.writeable = False
    ways = {"read-only values": read_only}
    if isinstance(subject.codec, ColumnCodec):  # a promise of ours: others want arrays without gaps
        ways |= {
            "strided values": np.repeat(column, 3)[::3],
            "unaligned values": _unaligned(column),
            "values in rows": column.reshape(20, 10),
        }
    for name, same in ways.items():
        encoded = bytes(memoryview(subject.encode(same, name)))
        promise(encoded == frame, "equal columns have equal bytes", subject.describe(name))


def _unaligned(column: Column) -> Column:
    unaligned = np.empty(column.nbytes + 1, np.uint8)[1:].view(column.dtype)
    unaligned[:] = column
    return unaligned


def _check_memory_order(subject: _Subject) -> None:
    """Check that arrays come back as they lie in memory, which is how Zarr's format 2 takes them, or are rejected."""
    column = tame(subject.dtype, 200)
    swapped = column.astype(subject.dtype.newbyteorder(">"))
    fortran = np.asfortranarray(column.reshape(20, 10))
    claim = "an array comes back as it lies in memory, or is rejected"
    ways = {"big-endian values": swapped, "values in Fortran's order": fortran, "unaligned values": _unaligned(column)}
    for name, array in ways.items():
        on, memory, out = subject.describe(name), array.tobytes("A"), np.empty_like(array)
        try:
            encoded = subject.codec.encode(array)
        except (TypeError, ValueError):
            continue
        decoded = subject.codec.decode(encoded)
        subject.codec.decode(encoded, out=out)
        if not subject.lossy:
            promise(bytes(memoryview(decoded).cast("B")) == memory, claim, on)
            promise(out.tobytes("A") == memory, f"{claim}, in out= as well", on)


def _check_buffers(subject: _Subject) -> None:
    column = tame(subject.dtype, 200)
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
        promise(same_bits(found, expected), f"decoding reads {name}", subject.describe("200 tame values"))
        promise(bytes(buffer) == before, "decoding leaves its input alone", subject.describe("200 tame values"))


def _check_out(subject: _Subject) -> None:
    column = tame(subject.dtype, 200)
    on = subject.describe("200 tame values")
    frame = bytes(memoryview(subject.encode(column, on)))
    expected = subject.decode(frame, on)
    out = np.full(column.nbytes, 0xA5, np.uint8).view(subject.dtype)
    returned = subject.codec.decode(frame, out=out)
    promise(returned is out or np.may_share_memory(np.asarray(returned), out), "out= is returned", on)
    promise(same_bits(out, expected), "out= is filled", on)


def _check_results_last(subject: _Subject) -> None:
    """Check that a result does not change, and a frame is not forgotten, when the codec has gone on to others."""
    on = subject.describe("200 tame values, others of 300 after them")
    first, other = tame(subject.dtype, 200), np.zeros(300, subject.dtype)
    encoded = subject.encode(first, on)
    frame = bytes(memoryview(encoded))
    other_frame = bytes(memoryview(subject.encode(other, on)))
    promise(bytes(memoryview(encoded)) == frame, "encoded bytes stay as they are", on)
    decoded = subject.decode(frame, on)
    expected = decoded.copy()
    subject.decode(other_frame, on)
    promise(same_bits(decoded, expected), "a decoded column stays as it is", on)
    promise(same_bits(subject.decode(frame, on), expected), "frames are read in any order", on)
    promise(subject.lossy or same_bits(expected, first), "frames are read in any order", on)


def _check_codec_damage(subject: _Subject, lengths: Sequence[int]) -> None:
    for length in lengths:
        name = f"{length} tame values"
        frame = bytes(memoryview(subject.encode(tame(subject.dtype, length), name)))
        expected = subject.decode(frame, name)

        def harmless(damaged: bytes, expected: Column = expected, name: str = name) -> bool:
            return same_bits(subject.as_column(subject.codec.decode(damaged), name), expected)

        check_damage(frame, harmless, expected_error(subject.codec, ColumnCodec), subject.describe(name))


def _check_concatenation(subject: _Subject) -> None:
    """Check that frames can be told apart when they stand one after another, and are not taken for one."""
    columns = [tame(subject.dtype, length) for length in (0, 1, 100, 0, 1000)]
    frames = [subject.encode(column, "tame values") for column in columns]
    on = subject.describe("tame values")
    split = list(split_frames(b"".join(frames)))
    promise([bytes(one) for one in split] == frames, "frames one after another are told apart", on)
    for frame, one in zip(frames, split, strict=True):
        promise(same_bits(subject.decode(one, on), subject.decode(frame, on)), "each frame decodes where it stands", on)


def _check_restored(subject: _Subject) -> None:
    """Check that copies have the settings of a codec, and do as it does."""
    codec = subject.codec
    ways: dict[str, Callable[[], Any]] = {"pickle": lambda: pickle.loads(pickle.dumps(codec))}
    if hasattr(codec, "get_config"):
        ways["its configuration"] = lambda: get_numcodec(dict(codec.get_config()))
    column = tame(subject.dtype, 200)
    frame = bytes(memoryview(codec.encode(column)))
    expected = subject.decode(frame, "200 tame values")
    for way, restore in ways.items():
        claim, on = f"a codec comes back from {way}", subject.describe("200 tame values")
        try:
            copy = restore()
            config = copy.get_config() if hasattr(codec, "get_config") else None
            encoded, decoded = bytes(memoryview(copy.encode(column))), _Subject(copy, subject.dtype).decode(frame, on)
        except Exception as error:
            raise AssertionError(f"{claim}: broken on {on}: {error!r}") from error
        if config is not None:
            promise(config == codec.get_config(), f"{claim} (not {config})", on)
        promise(encoded == frame and same_bits(decoded, expected), claim, on)
