r"""The frame around every codec's payload: what it holds, how long it is, and whether it is whole.

::

    byte 0      what the column holds: 0xD0 and the number of its type, 0xE0 where it is big-endian
    varint      number of values
    varint      number of payload bytes
    payload     as the codec packs it
    8 bytes     XXH3-64 of payload and header, seeded by the codec's name, big-endian

The types are, from 1 on: int64, float64, int32, int16, int8, uint64, uint32, uint16, uint8, float32, float16. Payloads
of big-endian columns are those of the same numbers in little-endian order: the tag says how they lie in memory.

A varint is LEB128: seven bits a byte, low ones first, the top bit set on all bytes but the last. Because the name goes
into the checksum, the frame of another codec is rejected like a damaged one. The checksum comes last and is 8 bytes
long so that a kernel may read whole words up to the payload's very end (`READ_SLACK`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.errors import CorruptDataError
from squeezelab.kernels.bits import take_varints

Bytes = npt.NDArray[np.uint8]

INT64: np.dtype[Any] = np.dtype(np.int64)
FLOAT64: np.dtype[Any] = np.dtype(np.float64)
FLOAT32: np.dtype[Any] = np.dtype(np.float32)
INTEGERS: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(name) for name in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
)
NUMBERS = (INT64, FLOAT64, *INTEGERS[1:], FLOAT32, np.dtype(np.float16))
"""Every dtype that a frame can hold, int64 and float64 first; their order is that of the tags."""
_TAGS = {dtype.newbyteorder("<"): 0xD1 + i for i, dtype in enumerate(NUMBERS)}
_TAGS |= {dtype.newbyteorder(">"): 0xE1 + i for i, dtype in enumerate(NUMBERS) if dtype.itemsize > 1}
_DTYPES = {tag: dtype for dtype, tag in _TAGS.items()}
CHECKSUM_BYTES = 8
LONGEST_HEADER = 1 + 10 + 10


class Frame(NamedTuple):
    """A frame taken apart: ``size`` values, payload ``data[start:stop]``, ``length`` bytes in all.

    ``name`` is the one that its checksum is bound to, where that was checked.
    """

    dtype: np.dtype[Any]
    size: int
    start: int
    stop: int
    length: int
    name: str = ""


def varint(number: int) -> bytes:
    r"""Return a number from 0 on as LEB128.

    >>> varint(300)
    b'\xac\x02'
    """
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def signed_varint(number: int) -> bytes:
    """Return an int64 as zigzag and LEB128."""
    return varint((number << 1) ^ (number >> 63))


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and the byte after it.

    Raises
    ------
    CorruptDataError
        If the data end first, or the number does not fit 64 bits.
    """
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise CorruptDataError("the data end inside a number: they are cut short")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64:
                break
            return number, at
    raise CorruptDataError("a number does not fit 64 bits: the data are damaged")


def read_varints(data: bytes, at: int) -> list[int]:
    """Return all numbers from a byte to the end.

    Raises
    ------
    CorruptDataError
        If there is no such byte, the last one is cut short, or one does not fit 64 bits.
    """
    size = len(data) - at
    if size < 0:
        raise CorruptDataError("the data end before their numbers begin: they are cut short")
    numbers = np.empty(size, np.uint64)
    count = int(take_varints(np.frombuffer(data, np.uint8), np.uint64(at), numbers))
    if count > size:
        raise CorruptDataError("the data end inside a number, or one does not fit 64 bits: they are damaged")
    every: list[int] = numbers[:count].tolist()
    return every


def tag_of(dtype: np.dtype[Any]) -> int:
    """Return the first byte of a frame of a dtype."""
    return _TAGS[dtype]


@cache
def seed_of(codec_name: str) -> int:
    """Return what the checksums of a codec's frames are seeded with."""
    return xxhash.xxh3_64_intdigest(codec_name.encode())


def _checksum(codec_name: str, header: bytes | memoryview, payload: bytes | memoryview | Bytes) -> bytes:
    return xxhash.xxh3_64_digest(payload, seed=xxhash.xxh3_64_intdigest(header, seed=seed_of(codec_name)))


def pack_frame(codec_name: str, dtype: np.dtype[Any], size: int, payload: bytes | Bytes) -> bytes:
    """Return the frame of a payload that stands for so many values of a dtype."""
    header = bytes([_TAGS[dtype]]) + varint(size) + varint(len(payload))
    return b"".join((header, payload, _checksum(codec_name, header, payload)))


def parse_frame(data: Bytes, at: int = 0) -> Frame:
    """Read the header of the frame that begins at a byte, and nothing else.

    Raises
    ------
    CorruptDataError
        If no frame begins there, or the data end before it does.
    """
    head = data[at : at + LONGEST_HEADER].tobytes()
    dtype = _DTYPES.get(head[0]) if head else None
    if dtype is None:
        raise CorruptDataError("no frame begins here: the data are damaged or of another kind")
    count, after = read_varint(head, 1)
    size, after = read_varint(head, after)
    length = after + size + CHECKSUM_BYTES
    if at + length > data.size:
        raise CorruptDataError(f"the frame needs {length} bytes, {data.size - at} are there: it is cut short")
    return Frame(dtype, count, at + after, at + after + size, length)


def open_frame(codec_name: str, data: Bytes, earlier: tuple[str, ...] = ()) -> Frame:
    """Read and check a whole frame, of a codec of this name or of one that it had earlier.

    Raises
    ------
    CorruptDataError
        If the data are anything but one whole, undamaged frame of this codec.
    """
    frame = parse_frame(data)
    if frame.length != data.size:
        raise CorruptDataError(f"{data.size - frame.length} bytes follow the frame: decode one frame at a time")
    view = memoryview(data)
    header, payload = view[: frame.start], view[frame.start : frame.stop]
    for name in (codec_name, *earlier):
        if _checksum(name, header, payload) == view[frame.stop :]:
            return frame._replace(name=name)
    raise CorruptDataError(f"the checksum differs: the frame is damaged, or not one of codec {codec_name!r}")


def split_frames(data: bytes | bytearray | memoryview | Bytes) -> Iterator[memoryview]:
    """Yield the frames that stand one after another, each as its codec's ``decode`` takes it.

    Only headers are read: a frame's checksum is for its codec to check, whichever that is.

    Parameters
    ----------
    data : bytes-like
        Whole frames, of any codecs, and nothing else.

    Yields
    ------
    memoryview
        The bytes of one frame; nothing is copied.

    Raises
    ------
    CorruptDataError
        When it comes to a place where no whole frame begins.

    Examples
    --------
    >>> from squeezelab.codecs import get_codec
    >>> codec = get_codec("xor")
    >>> data = codec.encode(np.array([1.0, 2.0])) + codec.encode(np.array([3.0]))
    >>> [codec.decode(frame).tolist() for frame in split_frames(data)]
    [[1.0, 2.0], [3.0]]
    """
    view = memoryview(data).cast("B").toreadonly()
    every = np.frombuffer(view, np.uint8) if len(view) else np.empty(0, np.uint8)
    at = 0
    while at < len(every):
        length = parse_frame(every, at).length
        yield view[at : at + length]
        at += length
