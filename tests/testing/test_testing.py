"""The conformance suite: codecs and formats that break a promise are caught, and those of other packages can run it."""

import random
import zlib
from collections.abc import Iterator
from typing import Any

import numcodecs
import numpy as np
import pytest
from numcodecs.abc import Codec

from squeezelab import CorruptDataError, MetricDataset
from squeezelab.codecs.raw import Raw
from squeezelab.formats import Format, Loss, get_format
from squeezelab.formats.base import Buffer
from squeezelab.testing import check_codec, check_format, edge_columns, edge_datasets


class Sound(Codec):
    """Raw bytes, their dtype and a checksum: keeps every promise, and knows nothing of squeezelab."""

    codec_id = "sound"

    def encode(self, buf: Any) -> bytes:
        column = np.asarray(buf)
        body = column.dtype.str.encode() + column.tobytes("A")
        return body + zlib.crc32(body).to_bytes(4, "little")

    def decode(self, buf: Any, out: Any = None) -> Any:
        data = bytes(buf)
        if len(data) < 7 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ValueError("damaged")
        column = np.frombuffer(data[3:-4], data[:3].decode())
        if out is None:
            return column
        out.reshape(-1, order="A")[:] = column
        return out


numcodecs.register_codec(Sound)


class LosesPayloads(Sound):
    def encode(self, buf: Any) -> bytes:
        column = np.asarray(buf)
        return super().encode(np.where(np.isnan(column), np.array(np.nan, column.dtype), column))


class LosesSigns(Sound):
    def encode(self, buf: Any) -> bytes:
        column = np.asarray(buf)
        return super().encode(np.where(column == 0, np.zeros(1, column.dtype), column))


class LosesTheLast(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(buf, out)[:-1]


class FailsAt256(Sound):
    def encode(self, buf: Any) -> bytes:
        if len(buf) == 256:
            raise OverflowError("a byte holds 255")
        return super().encode(buf)


class ChangesItsInput(Sound):
    def encode(self, buf: Any) -> bytes:
        frame = super().encode(buf)
        if isinstance(buf, np.ndarray) and buf.flags.writeable:
            buf[:1] = 0
        return frame


class DrawsLots(Sound):
    def encode(self, buf: Any) -> bytes:
        return bytes([random.randrange(256)]) + super().encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(bytes(buf)[1:], out)


class TellsAnotherDtype(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(buf, out).astype(np.float32)


class WantsWritable(Sound):
    def encode(self, buf: Any) -> bytes:
        if not buf.flags.writeable:
            raise ValueError("read-only")
        return super().encode(buf)


class ReadsBytesOnly(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        if not isinstance(buf, bytes):
            raise TypeError("bytes wanted")
        return super().decode(buf, out)


class ForgetsOut(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(buf)


class FillsOutAndReturnsAnother(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(buf, out).copy()


class ChecksNothing(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        data = bytes(buf)[:-4]
        return super().decode(data + zlib.crc32(data).to_bytes(4, "little"), out)


class TakesAllMemory(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        try:
            return super().decode(buf, out)
        except ValueError as error:
            raise MemoryError from error


class TransposesSilently(Sound):
    def encode(self, buf: Any) -> bytes:
        return super().encode(np.ascontiguousarray(buf))


class SwapsBytesSilently(Sound):
    def encode(self, buf: Any) -> bytes:
        return super().encode(np.asarray(buf, np.asarray(buf).dtype.newbyteorder("=")))


class FillsOutInRows(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        if out is None:
            return super().decode(buf)
        out.flat[:] = super().decode(buf)
        return out


class RefusesWhatLiesOddly(Sound):
    def encode(self, buf: Any) -> bytes:
        if not (buf.flags.c_contiguous and buf.flags.aligned and buf.dtype.isnative):
            raise ValueError("not as it should lie")
        return super().encode(buf)


class ForgetsItsSettings(Sound):
    codec_id = "forgets"

    def __init__(self, level: int = 1) -> None:
        self.level = level

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, "level": 1 if self.level == 1 else self.level + 1}


numcodecs.register_codec(ForgetsItsSettings)


class KeepsOneColumn(Sound):
    """Decodes into the same memory every time."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        column = super().decode(buf, out)
        if out is not None or column.nbytes > 10_000:
            return column
        self._kept = getattr(self, "_kept", np.empty(10_000, np.uint8))
        kept = self._kept[: column.nbytes].view(column.dtype)
        kept[:] = column
        return kept


class KeepsOneFrame(Sound):
    """Encodes into the same memory every time."""

    def encode(self, buf: Any) -> Any:
        frame = super().encode(buf)
        self._kept = getattr(self, "_kept", bytearray(2**20))
        self._kept[: len(frame)] = frame
        return memoryview(self._kept)[: len(frame)]


class ReadsTheLastOnly(Sound):
    """Decodes with what it remembers of the column that it encoded last."""

    _sign = 1

    def encode(self, buf: Any) -> bytes:
        self._sign = 1 if np.any(buf) else -1
        return super().encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        return self._sign * super().decode(buf, out) if self._sign < 0 else super().decode(buf, out)


class AddsToOut(Sound):
    def decode(self, buf: Any, out: Any = None) -> Any:
        return super().decode(buf) if out is None else np.add(out, super().decode(buf), out=out)


class PicklesHalf(Sound):
    def __init__(self) -> None:
        self._ready = True

    def __getstate__(self) -> dict[str, Any]:
        return {"_ready": False}

    def encode(self, buf: Any) -> bytes:
        return super().encode(buf) if self._ready else b""


class RestoredInVain(Sound):
    codec_id = "restored in vain"

    @classmethod
    def from_config(cls, config: Any) -> Codec:
        codec = cls()
        codec.encode = None
        return codec

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id}


numcodecs.register_codec(RestoredInVain)


class OwnError(Raw):
    """One of ours, whose damage must be a CorruptDataError."""

    name = "raw"

    def decode(self, buf: Any, out: Any = None) -> Any:
        try:
            return super().decode(buf, out)
        except CorruptDataError as error:
            raise KeyError("damaged") from error


class Rounded(Sound):
    """Lossy, and says so."""

    codec_id = "rounded"
    lossy = True

    def encode(self, buf: Any) -> bytes:
        return super().encode(np.asarray(buf, np.float64).astype(np.float32).astype(np.float64))


numcodecs.register_codec(Rounded)


class Shrinking(Rounded):
    """Loses more each time."""

    def encode(self, buf: Any) -> bytes:
        return super().encode(np.asarray(buf) / 2)


def test_a_sound_codec_of_another_package_conforms() -> None:
    check_codec(Sound())


@pytest.mark.parametrize("codec", [numcodecs.Zlib(), numcodecs.BZ2(), numcodecs.Shuffle(8)], ids=repr)
def test_codecs_of_numcodecs_conform(codec: Codec) -> None:
    check_codec(codec, damage=False)


@pytest.mark.parametrize("codec", [numcodecs.Zstd(), numcodecs.LZ4(), numcodecs.Blosc()], ids=repr)
def test_empty_columns_are_not_everyones(codec: Codec) -> None:
    check_codec(codec, damage=False, empty=False)
    with pytest.raises(AssertionError, match="0 tame values"):
        check_codec(codec, damage=False)


def test_a_checksum_is_enough_for_damage() -> None:
    check_codec(numcodecs.CRC32())


def test_dtypes_may_be_any_that_the_codec_takes() -> None:
    check_codec(numcodecs.Delta("i8"), dtypes=["int64"], damage=False, empty=False)
    check_codec(Sound(), dtypes=["int32", "float32", "uint8"])


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        (LosesPayloads(), "^every bit comes back: broken on .*float64 column of special bits"),
        (LosesSigns(), "^every bit comes back: broken on .*float64 column of "),
        (LosesTheLast(), r"^the length comes back \(not 0\): broken on .*int64 column of 1 tame values$"),
        (FailsAt256(), "^every column can be encoded: broken on .*int64 column of 256 tame values: OverflowError"),
        (ChangesItsInput(), "^encoding leaves its input alone: broken on .*int64 column of "),
        (TransposesSilently(), "^an array comes back as it lies in memory, or is rejected: broken on .*Fortran"),
        (SwapsBytesSilently(), "^an array comes back as it lies in memory, or is rejected: broken on .*big-endian"),
        (FillsOutInRows(), "^an array comes back as it lies in memory, or is rejected, in out= as well: .*Fortran"),
        (DrawsLots(), "^encoding gives the same bytes every time: broken on "),
        (TellsAnotherDtype(), r"^the dtype comes back \(not float32\): broken on "),
        (WantsWritable(), "^every column can be encoded: broken on .*read-only values"),
        (ReadsBytesOnly(), "^what was encoded is decoded: broken on .*, read from a bytearray: TypeError"),
        (ForgetsOut(), "^out= is "),
        (FillsOutAndReturnsAnother(), "^out= is returned: broken on "),
        (AddsToOut(), "^out= is filled: broken on "),
        (KeepsOneColumn(), "^a decoded column stays as it is: broken on "),
        (KeepsOneFrame(), "^encoded bytes stay as they are: broken on "),
        (ReadsTheLastOnly(), "^frames are read in any order: broken on "),
        (PicklesHalf(), "^a codec comes back from pickle: broken on "),
        (RestoredInVain(), "^a codec comes back from its configuration: broken on .*TypeError"),
        (ChecksNothing(), "^damage never gives other numbers: broken on .*20 tame values, bit "),
        (TakesAllMemory(), "^damage ends in an ordinary exception: broken on .*MemoryError"),
        (ForgetsItsSettings(3), "^a codec comes back from its configuration"),
        (OwnError(), "^damage raises CorruptDataError: broken on .*KeyError"),
        (Shrinking(), "^what was decoded once stays as it is: broken on "),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_broken_promise_is_named(codec: Codec, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_codec(codec, dtypes=["float64"] if isinstance(codec, LosesPayloads | LosesSigns | Rounded) else None)


def test_a_codec_may_reject_what_does_not_lie_as_it_wants() -> None:
    check_codec(RefusesWhatLiesOddly())


def test_a_codec_that_returns_nothing_for_nothing_says_so() -> None:
    check_codec(numcodecs.PCodec(), damage=False, empty=False)
    with pytest.raises(AssertionError, match=r"^an array or bytes come back \(not NoneType\): .*0 tame values"):
        check_codec(numcodecs.PCodec(), damage=False)


def test_a_codec_without_checksum_says_so() -> None:
    check_codec(ChecksNothing(), damage=False)


def test_a_lossy_codec_conforms_if_it_says_so() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        check_codec(Rounded(), dtypes=["float64"])


def test_edges_are_the_same_every_time_and_all_different() -> None:
    columns = [(name, column.tobytes()) for name, column in edge_columns("float64")]
    assert columns == [(name, column.tobytes()) for name, column in edge_columns("float64")]
    assert len({name for name, _ in columns}) == len(columns)
    datasets = [(name, one.fingerprint) for name, one in edge_datasets()]
    assert datasets == [(name, one.fingerprint) for name, one in edge_datasets()]
    assert len({name for name, _ in datasets}) == len(datasets)


class Wrapped(Format):
    """A columnar file of another name, to be broken."""

    name = "wrapped"
    inner = get_format("columnar")

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        return self.inner.chunks(dataset)

    def decode(self, data: Buffer) -> MetricDataset:
        return self.inner.decode(data)


class SortsSeries(Wrapped):
    def decode(self, data: Buffer) -> MetricDataset:
        found = super().decode(data)
        return found.select(sorted(range(len(found.keys)), key=lambda i: str(found.keys[i])))


class DropsEmptySeries(Wrapped):
    def decode(self, data: Buffer) -> MetricDataset:
        found = super().decode(data)
        return found.select(np.flatnonzero(np.diff(found.offsets)))


class WritesLots(Wrapped):
    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        yield random.randbytes(1)
        yield from super().chunks(dataset)

    def decode(self, data: Buffer) -> MetricDataset:
        return super().decode(bytes(data)[1:])


class IgnoresDamage(Wrapped):
    def decode(self, data: Buffer) -> MetricDataset:
        try:
            return super().decode(data)
        except CorruptDataError:
            return MetricDataset.from_series([])


class Crashes(Wrapped):
    checked = False

    def decode(self, data: Buffer) -> MetricDataset:
        try:
            return super().decode(data)
        except CorruptDataError as error:
            raise IndexError("out of range") from error


class WritesBeside(Wrapped):
    def write(self, dataset: MetricDataset, path: Any) -> int:
        size = super().write(dataset, path)
        path.with_suffix(".tmp").touch()
        return size


class LosesMore(Wrapped):
    lossy = True

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        values = np.nextafter(dataset.values, 0)
        return super().chunks(MetricDataset(dataset.keys, dataset.offsets, dataset.timestamps, values))

    def loss(self, original: MetricDataset, decoded: MetricDataset) -> Loss:
        return Loss(0.0, 0.0)


def test_a_sound_format_conforms() -> None:
    check_format(Wrapped())


@pytest.mark.parametrize(
    ("format", "message"),
    [
        (SortsSeries(), "^every data set comes back bit for bit: broken on wrapped file of "),
        (DropsEmptySeries(), "^every data set comes back bit for bit: broken on .*one series without samples"),
        (WritesLots(), "^the same data set gives the same bytes: broken on "),
        (IgnoresDamage(), "^damage never gives other numbers: broken on wrapped file of two series, "),
        (Crashes(), "^damage raises CorruptDataError: broken on wrapped file of two series, .*IndexError"),
        (WritesBeside(), "^nothing lies beside the file: broken on "),
        (LosesMore(), "^what was decoded once stays as it is: broken on "),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_broken_promise_of_a_format_is_named(format: Format, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_format(format)
