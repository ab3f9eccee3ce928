"""What every codec is: one column of numbers in, one checked frame of bytes out, and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec
from numcodecs.registry import get_codec as get_numcodec

from squeezelab.codecs._frame import (
    FLOAT64,
    INT64,
    NUMBERS,
    Bytes,
    Frame,
    open_frame,
    pack_frame,
    read_varint,
    seed_of,
    tag_of,
    varint,
)
from squeezelab.codecs._frames import (
    FLOAT64_TAG,
    ROOM_OF_FRAME,
    as_reader,
    as_writer,
    read_frames,
    survey_frames,
    write_frames,
)
from squeezelab.errors import CorruptDataError, InvalidRequestError
from squeezelab.kernels.bits import READ_SLACK, WRITE_SLACK, U, scratch
from squeezelab.kernels.xxh3 import ROOM

Column = npt.NDArray[Any]
DType = np.dtype[Any]
Words = npt.NDArray[np.uint64]
Workspace = tuple[()] | tuple[Words]
"""What a kernel works in: nothing, or an array of two dimensions."""

LONG, GROUP = 2**15, 2**17
"""Columns of more values gain nothing from one call for many; about so many values go into a call."""


class ColumnCodec(Codec):  # type: ignore[misc]
    """Base of all codecs here; a numcodecs codec.

    A subclass names itself, says which columns it takes, and gives `pack` and `unpack`; frames, checks, ``out=`` and
    odd inputs are handled here.

    Attributes
    ----------
    name : str
        As in ``get_codec(name)``; numcodecs knows it as ``squeezelab.<name>``.
    dtypes : tuple of numpy.dtype
        The columns it takes, in native byte order: int64 and float64 unless it says more or less.
    lossy : bool
        Whether values may come back changed, by `tolerance` at most; int64 columns never do.
    max_expansion : int
        The most raw bytes that one byte of payload can stand for: a header that claims more is rejected before memory
        is asked for.
    kind : {"papers", "general", "peers", "ours"}
        Where it comes from: papers on time series, written anew here; a general codec; another project that is about
        numbers; or this lab. A chain is of the kind of its first codec.
    package : str or None
        The package of PyPI that it needs beyond those which squeezelab always has.
    showcase : tuple of str
        The settings that a default run shows: what its authors recommend, and its strongest where that is another.
    takes_many : bool
        Whether `encode_many` and `decode_many` take less than one call a column.
    earlier_names : tuple of str
        What frames of earlier layouts are bound to that are still read; `unpack` finds which one in ``frame.name``.
    """

    name: ClassVar[str]
    codec_id: ClassVar[str]
    kind: str = "papers"
    package: str | None = None
    showcase: ClassVar[tuple[str, ...]] = ("",)
    dtypes: tuple[np.dtype[Any], ...] = (INT64, FLOAT64)
    lossy: bool = False
    takes_many: bool = False
    earlier_names: tuple[str, ...] = ()
    max_expansion: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            cls.codec_id = f"squeezelab.{cls.name}"

    @abstractmethod
    def pack(self, column: Column) -> bytes | Bytes:
        """Return the payload for a native, contiguous, read-only column of one value or more.

        It is good until the next call in this thread.
        """

    @abstractmethod
    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Fill a column from ``data[frame.start:frame.stop]``.

        Raises
        ------
        CorruptDataError
            If the payload does not hold exactly as many values as the column has.
        """

    def tolerance(self, column: Column) -> Column:
        """Return how far each value may be off when it comes back: zeros, unless the codec is lossy.

        Infinities come back as they are, and NaNs as some NaN.
        """
        return np.zeros(column.shape)

    @property
    def frame_name(self) -> str:
        """The name that a frame's checksum is bound to: frames of other codecs do not check out."""
        return self.name

    def encode(self, buf: Any) -> bytes:
        """Return one frame for a column.

        Parameters
        ----------
        buf : array_like or bytes-like
            Numbers of one of `dtypes`, in any byte order and shape; datetime64 and timedelta64 are int64, bytes uint8.
            Like numcodecs' own codecs this takes an array as it lies in memory: in Fortran's order where that is how
            it is contiguous, in C order else.

        Returns
        -------
        bytes

        Raises
        ------
        TypeError
            If the column is of another dtype.
        """
        column, dtype = self._as_column(buf)
        return pack_frame(self.frame_name, dtype, column.size, self.pack(column) if column.size else b"")

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the column of one frame: same bits, same length, same byte order.

        Parameters
        ----------
        buf : bytes-like
            One whole frame.
        out : writable buffer, optional
            Contiguous in C's or Fortran's order, of exactly the column's bytes; filled as it lies in memory, and
            returned in place of a new array.

        Returns
        -------
        array[n] of the dtype that was encoded, or ``out``

        Raises
        ------
        CorruptDataError
            If the bytes are anything but one whole, undamaged frame of this codec.
        ValueError
            If ``out`` is read-only, not contiguous or of another size or dtype.
        """
        data = as_bytes(buf)
        frame = open_frame(self.frame_name, data, self.earlier_names)
        self.check_plausible(frame)
        if out is None and frame.dtype.isnative:
            column = result = allocate(frame.size, frame.dtype)
        else:
            result = allocate(frame.size, frame.dtype) if out is None else out
            column = _as_output(result, frame, data)
        if not frame.size:
            if frame.stop != frame.start:
                raise CorruptDataError("the frame claims no values but has a payload: it is damaged")
        elif frame.dtype.isnative:
            self.unpack(data, frame, column)
        else:
            self.unpack(data, frame._replace(dtype=column.dtype), column)
            column.byteswap(inplace=True)
        return result

    def encode_many(self, columns: Sequence[Any]) -> list[bytes]:
        """Return the frame of each column; for many short ones faster than one call each, where a codec can.

        Examples
        --------
        >>> import numpy as np
        >>> from squeezelab.codecs import get_codec
        >>> codec = get_codec("tally")
        >>> columns = [np.arange(5), np.array([0.5, 0.25])]
        >>> codec.encode_many(columns) == [codec.encode(column) for column in columns]
        True
        >>> [column.tolist() for column in codec.decode_many(codec.encode_many(columns))]
        [[0, 1, 2, 3, 4], [0.5, 0.25]]
        """
        return [self.encode(column) for column in columns]

    def decode_many(self, frames: Sequence[Any]) -> list[Column]:
        """Return the column of each frame.

        Raises
        ------
        CorruptDataError
            If any is not one whole, undamaged frame of this codec.
        """
        return [self.decode(frame) for frame in frames]

    def check_plausible(self, frame: Frame) -> None:
        """Reject a frame of a kind or length that no frame of this codec can have, before memory is asked for.

        Raises
        ------
        CorruptDataError
            If the header claims it.
        """
        native = frame.dtype if frame.dtype.isnative else frame.dtype.newbyteorder("=")
        if native not in self.dtypes:
            raise CorruptDataError(f"codec {self.frame_name!r} makes no frames of {frame.dtype}: it is damaged")
        if frame.size * frame.dtype.itemsize > (frame.stop - frame.start) * self.max_expansion:
            raise CorruptDataError(f"the frame claims {frame.size} values, more than its bytes can hold: it is damaged")

    def _as_column(self, buf: Any) -> tuple[Column, np.dtype[Any]]:
        """Return the numbers in native byte order, as they lie in memory, and the dtype that they had."""
        array = np.asarray(memoryview(buf) if isinstance(buf, bytes) else buf)
        if array.dtype.kind in "mM":
            array = array.view(array.dtype.str[0] + "i8")
        native = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
        if native not in self.dtypes:
            wanted = " or ".join(str(dtype) for dtype in self.dtypes)
            raise TypeError(f"codec {self.name!r} takes {wanted}, not {array.dtype}: convert with .astype() first")
        column = array.reshape(-1, order="A")
        if array.dtype != native:
            column = column.byteswap().view(native)
        elif not (column.flags.c_contiguous and column.flags.aligned):
            column = column.copy()
        column = column.view()
        column.flags.writeable = False
        return column, array.dtype


@contextmanager
def reading(library: str) -> Iterator[None]:
    """Tell all that a library raises over a payload as damage; a panic in Rust, which is no Exception, too.

    Raises
    ------
    CorruptDataError
        In place of what was raised.
    """
    try:
        yield
    except CorruptDataError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CorruptDataError(f"{library} cannot read the payload: {reason}") from error


def as_bytes(buf: Any) -> Bytes:
    """Return a read-only byte view of anything that offers a buffer; copies only what is not contiguous."""
    if type(buf) is bytes and buf:
        return np.frombuffer(buf, np.uint8)
    if isinstance(buf, np.ndarray):
        buf = np.ascontiguousarray(buf).reshape(-1).view(np.uint8)
    elif isinstance(buf, memoryview) and not buf.c_contiguous:
        buf = buf.tobytes()
    data = np.frombuffer(buf, np.uint8) if len(buf) else np.empty(0, np.uint8)
    data.flags.writeable = False
    return data


def allocate(size: int, dtype: np.dtype[Any]) -> Column:
    """Return room for a column.

    Raises
    ------
    CorruptDataError
        If memory does not hold it: the frame that claims it is damaged.
    """
    try:
        return np.empty(size, dtype)
    except MemoryError as error:
        raise CorruptDataError(f"the frame claims {size} values, more than memory holds: it is damaged") from error


def _as_output(out: Any, frame: Frame, data: Bytes) -> Column:
    """View ``out`` as the column that a frame holds."""
    array = out if isinstance(out, np.ndarray) else np.frombuffer(out, np.uint8)
    if not array.flags.forc or not array.flags.writeable:
        raise ValueError("out must be contiguous and writable")
    if np.may_share_memory(array, data):
        raise ValueError("out and the frame must not overlap")
    if array.nbytes != frame.size * frame.dtype.itemsize:
        raise ValueError(f"out has {array.nbytes} bytes, the column needs {frame.size * frame.dtype.itemsize}")
    numbers = array.dtype.newbyteorder("=") in NUMBERS and min(array.itemsize, frame.dtype.itemsize) > 1
    if numbers and array.dtype != frame.dtype:  # what has one byte stands for anything
        raise ValueError(f"out is {array.dtype}, the column is {frame.dtype}")
    column: Column = array.reshape(-1, order="A").view(np.uint8).view(frame.dtype.newbyteorder("="))
    if not column.flags.aligned:
        raise ValueError(f"out must be aligned to {frame.dtype.itemsize} bytes")
    return column


class KernelCodec(ColumnCodec):
    """Base of codecs that are two kernels over a column's bits, taken as uint64 words.

    A subclass gives `encoder`, `decoder` and `worst_case_bytes`, and no more.
    """

    takes_many = True

    @abstractmethod
    def worst_case_bytes(self, count: int) -> int:
        """Return the most bytes that the payload of so many values can take."""

    @abstractmethod
    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel that encodes columns of a dtype, and what it works in: nothing, or one array.

        ``kernel(words, *workspace, buffer)`` writes the payload of read-only words into a buffer, which has
        `WRITE_SLACK` to spare, and returns its bytes. A workspace holds anything before a call.
        """

    @abstractmethod
    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel that decodes columns of a dtype, and what it works in.

        ``kernel(data, start, stop, *workspace, words)`` fills the words from ``data[start:stop]``, and returns whether
        it holds exactly these many. The positions are uint64; `READ_SLACK` bytes after ``stop`` may be read.
        """

    def pack(self, column: Column) -> Bytes:
        """Encode the column's bits."""
        encode, work = self.encoder(column.dtype)
        buffer = scratch(self.worst_case_bytes(column.size) + WRITE_SLACK)
        return buffer[: int(encode(column.view(np.uint64), *work, buffer))]

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode the payload into the column's bits."""
        decode, work = self.decoder(column.dtype)
        if not decode(data, U(frame.start), U(frame.stop), *work, column.view(np.uint64)):
            raise CorruptDataError(f"the {self.name} payload does not hold the values it promises: it is damaged")

    def encode_many(self, columns: Sequence[Any]) -> list[bytes]:
        """Encode many short columns in one call; long ones, and what is not one plain array, one by one."""
        frames: list[bytes | None] = [None] * len(columns)
        for dtype in self.dtypes:
            for group in _groups(columns, dtype):
                for i, frame in zip(group, self._encode_group([columns[i] for i in group], dtype), strict=True):
                    frames[i] = frame
        return [self.encode(one) if frame is None else frame for frame, one in zip(frames, columns, strict=True)]

    def decode_many(self, frames: Sequence[Any]) -> list[Column]:
        """Decode all frames in one call; one by one, where not all are whole ones of native columns."""
        every = [frame if type(frame) is bytes else bytes(as_bytes(frame)) for frame in frames]
        columns = self._decode_group(every)
        return [self.decode(frame) for frame in every] if columns is None else columns

    def _encode_group(self, columns: Sequence[Column], dtype: DType) -> list[bytes]:
        sizes = [column.size for column in columns]
        offsets, bounds = np.zeros(len(sizes) + 1, np.int64), np.empty((2, len(sizes)), np.int64)
        np.cumsum(sizes, out=offsets[1:])
        words = np.concatenate(columns).view(np.uint64)
        words.flags.writeable = False
        buffer = scratch(sum(map(self.worst_case_bytes, sizes)) + len(sizes) * ROOM_OF_FRAME + WRITE_SLACK)
        encode, work = self.encoder(dtype)
        seed, room = U(seed_of(self.frame_name)), np.empty(ROOM, np.uint64)
        write_frames(as_writer(encode, work), work, words, offsets, U(tag_of(dtype)), seed, room, buffer, bounds)
        begins, ends = bounds.tolist()
        return [buffer[i:j].tobytes() for i, j in zip(begins, ends, strict=True)]

    def _decode_group(self, frames: Sequence[bytes]) -> list[Column] | None:
        """Return the columns of frames; None if any is not whole, or not of a plain column of this codec."""
        data = np.frombuffer(b"".join(frames) or b"\0", np.uint8)
        begins, places = np.zeros(len(frames) + 1, np.int64), np.empty(len(frames) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, frames), np.int64, len(frames)), out=begins[1:])
        tags = np.empty(len(frames), np.uint8)
        if not survey_frames(data, begins, self.max_expansion, tags, places):
            return None
        dtype = FLOAT64 if FLOAT64_TAG in tags else INT64
        if dtype not in self.dtypes or (tags != tag_of(dtype)).any():
            return None
        column = allocate(places[-1], dtype)
        decode, work = self.decoder(dtype)
        seed, room = U(seed_of(self.frame_name)), np.empty(ROOM, np.uint64)
        if not read_frames(as_reader(decode, work), work, data, begins, places, seed, room, column.view(np.uint64)):
            return None
        bounds = places.tolist()
        return [column[i:j] for i, j in pairwise(bounds)]


def _groups(columns: Sequence[Any], dtype: DType) -> Iterator[list[int]]:
    """Yield the positions of short, plain columns of a dtype, as many at a time as a processor keeps near itself."""
    group, values = [], 0
    for i, column in enumerate(columns):
        if type(column) is np.ndarray and column.dtype == dtype and column.ndim == 1 and 0 < column.size <= LONG:
            group.append(i)
            values += column.size
        if values > GROUP:
            yield group
            group, values = [], 0
    if group:
        yield group


class ByteCodec(ColumnCodec):
    """Base of codecs that squeeze any bytes; they take every kind of column, and follow other codecs in a `Chain`."""

    kind = "general"
    dtypes = NUMBERS

    @abstractmethod
    def squeeze(self, data: bytes | Bytes) -> bytes | Bytes:
        """Compress bytes."""

    @abstractmethod
    def expand(self, data: Bytes, out: Bytes) -> None:
        """Fill ``out`` with what was compressed.

        Raises
        ------
        CorruptDataError
            If the data do not expand to exactly its size.
        """

    def pack(self, column: Column) -> bytes | Bytes:
        """Compress the column's bytes, little-endian."""
        return self.squeeze(column.view(np.uint8))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Expand the payload straight into the column."""
        self.expand(data[frame.start : frame.stop], column.view(np.uint8))


class Chain(ColumnCodec):
    """A column codec, and byte codecs that squeeze what it made.

    Parameters
    ----------
    stages : sequence of ColumnCodec or of their configurations
        The first takes the column, all others are a `ByteCodec`.

    Notes
    -----
    Payload: for each byte codec a varint, the size of what it squeezed, last one first; then the last one's output. The
    stages are not framed apart: there is one header and one checksum.

    Examples
    --------
    >>> import numpy as np
    >>> from squeezelab.codecs import get_codec
    >>> codec = get_codec("delta_of_delta+zstd:level=19")
    >>> codec.decode(codec.encode(np.arange(4)))
    array([0, 1, 2, 3])
    """

    name = "chain"

    def __init__(self, stages: Sequence[ColumnCodec | dict[str, Any]]) -> None:
        self.stages = tuple(get_numcodec(stage) if isinstance(stage, dict) else stage for stage in stages)
        squeezing = all(isinstance(one, ByteCodec) and np.dtype(np.uint8) in one.dtypes for one in self.stages[1:])
        if len(self.stages) < 2 or not squeezing:
            raise InvalidRequestError(
                "a chain is a codec and one or more of those that squeeze bytes: brotli, lz4, zlib, zstd"
            )
        self.dtypes = self.stages[0].dtypes
        self.lossy = self.stages[0].lossy
        self.kind = self.stages[0].kind
        self.earlier_names = tuple(self._name(first) for first in self.stages[0].earlier_names)
        self.max_expansion = prod(stage.max_expansion for stage in self.stages)

    @property
    def frame_name(self) -> str:
        """The stages' names, joined by a plus sign."""
        return self._name(self.stages[0].frame_name)

    def _name(self, first: str) -> str:
        return "+".join((first, *(stage.frame_name for stage in self.stages[1:])))

    def get_config(self) -> dict[str, Any]:
        """Return the configuration as numcodecs keeps it."""
        return {"id": self.codec_id, "stages": [stage.get_config() for stage in self.stages]}

    def tolerance(self, column: Column) -> Column:
        """Return the first stage's; the others lose nothing."""
        return self.stages[0].tolerance(column)

    def pack(self, column: Column) -> bytes:
        """Run the column through all stages."""
        payload, sizes = self.stages[0].pack(column), b""
        for stage in self.stages[1:]:
            sizes = varint(len(payload)) + sizes
            payload = stage.squeeze(payload)
        return b"".join((sizes, payload))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Run the payload through all stages, last one first."""
        head, at, sizes = data[frame.start : frame.stop][: 10 * len(self.stages)].tobytes(), 0, []
        for _ in self.stages[1:]:
            size, at = read_varint(head, at)
            sizes.append(size)
        payload = data[frame.start + at : frame.stop]
        for stage, size in zip(self.stages[:0:-1], sizes, strict=True):
            if size > payload.size * stage.max_expansion:
                raise CorruptDataError(f"{payload.size} bytes cannot expand to {size}: the frame is damaged")
            # The first stage may read whole words up to its payload's end.
            expanded = allocate(size + READ_SLACK, np.dtype(np.uint8))
            expanded[size:] = 0
            stage.expand(payload, expanded[:size])
            payload = expanded[:size]
        expanded.flags.writeable = False
        first = frame.name.partition("+")[0]
        self.stages[0].unpack(expanded, frame._replace(start=0, stop=payload.size, name=first), column)
