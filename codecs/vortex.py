"""Vortex, through its own package."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from squeezelab.codecs._frame import Bytes, Frame, read_varint, varint
from squeezelab.codecs.base import Column, ColumnCodec, reading
from squeezelab.errors import CorruptDataError


class Vortex(ColumnCodec):
    """Vortex: a cascade of light encodings (ALP, FastLanes bit packing, run ends, dictionaries), chosen on a sample.

    Notes
    -----
    Payload: number of buffers, and the size of each, as varints (those of the array, then those of its type), then the
    buffers that Vortex makes to send an array to another process. They say all there is to know of an array of their
    own, which for 1,000 values is a good part of them; files of whole data sets, where that is shared, are a format.
    Source: https://vortex.dev; the cascade is after M Kuschewski et al.: BtrBlocks, SIGMOD 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from squeezelab.codecs import available_codecs
    >>> if "vortex" in available_codecs():
    ...     assert (Vortex().decode(Vortex().encode(np.arange(5))) == np.arange(5)).all()
    """

    name = "vortex"
    kind = "peers"
    package = "vortex-data"
    # A constant array is one number and how often it comes.
    max_expansion = 2**26

    def pack(self, column: Column) -> bytes:
        """Compress, and serialize what came of it."""
        import vortex
        from vortex.serde import encode_ipc_array_buffers

        parts = encode_ipc_array_buffers(vortex.compress(vortex.array(pa.array(column))))
        sizes = b"".join(varint(len(part)) + b"".join(varint(len(buffer)) for buffer in part) for part in parts)
        return b"".join((sizes, *parts[0], *parts[1]))

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Deserialize, and decompress into the column."""
        from vortex.serde import decode_ipc_array_buffers

        payload = data[frame.start : frame.stop].tobytes()
        with reading("Vortex"):
            array = decode_ipc_array_buffers(*_split(payload))
            if len(array) != column.size:
                raise CorruptDataError("the Vortex array is of another length than promised: it is damaged")
            values = array.to_numpy()
            if values.dtype != column.dtype:
                raise CorruptDataError("the Vortex array is of another type than promised: it is damaged")
            column[:] = values


def _split(payload: bytes) -> list[list[bytes]]:
    """Return the buffers of the array, and those of its type."""
    at = 0
    sizes: list[list[int]] = []
    for _ in range(2):
        count, at = read_varint(payload, at)
        if count > len(payload):
            raise CorruptDataError("the payload cannot hold as many buffers as it promises: it is damaged")
        sizes.append([])
        for _ in range(count):
            size, at = read_varint(payload, at)
            sizes[-1].append(size)
    if at + sum(sum(part) for part in sizes) != len(payload):
        raise CorruptDataError("the payload is of another size than its buffers: it is damaged")
    parts: list[list[Any]] = []
    for part in sizes:
        parts.append([])
        for size in part:
            parts[-1].append(payload[at : at + size])
            at += size
    return parts
