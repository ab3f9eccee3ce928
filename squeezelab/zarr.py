"""Codecs of the lab in Zarr's format 3, by Zarr's own extension point; its format 2 takes them as they are.

Zarr finds them by itself, also where squeezelab was never imported: in metadata a codec's name is its id, as
``squeezelab.tally``, and its configuration are its parameters.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numcodecs
import numpy as np
from zarr.abc.codec import ArrayBytesCodec, BytesBytesCodec

from squeezelab.codecs import ByteCodec, ColumnCodec, codec_spec, get_codec
from squeezelab.errors import InvalidRequestError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["Compressor", "Serializer"]


@dataclass(frozen=True, repr=False)
class _ZarrCodec:
    """What both kinds have in common: a codec of the lab, and its way into metadata and back."""

    codec: ColumnCodec
    is_fixed_size: ClassVar[bool] = False

    def __init__(self, codec: str | ColumnCodec) -> None:
        object.__setattr__(self, "codec", get_codec(codec) if isinstance(codec, str) else codec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({codec_spec(self.codec)!r})"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the codec that metadata name."""
        return cls(numcodecs.get_codec({"id": data["name"], **data.get("configuration", {})}))

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in metadata."""
        config = self.codec.get_config()
        return {"name": config.pop("id"), "configuration": config}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Reject: the size depends on the numbers."""
        raise NotImplementedError

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    def _encode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        raise NotImplementedError

    def _decode_sync(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        raise NotImplementedError


class Serializer(_ZarrCodec, ArrayBytesCodec):  # type: ignore[misc]
    """A codec that turns the numbers of a chunk into bytes, for ``zarr.create_array(serializer=...)``.

    Parameters
    ----------
    codec : str or ColumnCodec
        Any codec of the lab, as `get_codec` names it, also a chain: ``"tally"``, ``"xor+zstd:level=19"``.

    Notes
    -----
    A chunk is coded in C order, its numbers in native byte order: put ``zarr.codecs.TransposeCodec`` before it where
    neighbours in another order are more alike. Set ``compressors=None``, or Zarr compresses its bytes once more.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> array = zarr.create_array(
    ...     {}, shape=(1000,), chunks=(500,), dtype="float64", serializer=Serializer("tally"), compressors=None
    ... )
    >>> array[:] = np.arange(1000) * 0.05
    >>> array[-1], array.metadata.codecs[0].to_dict()
    (array(49.95), {'name': 'squeezelab.tally', 'configuration': {'level': 2}})
    """

    def validate(self, *, dtype: Any, **_: Any) -> None:
        """Reject an array of a dtype that the codec does not take, before anything is written.

        Raises
        ------
        TypeError
        """
        self.codec.encode(np.empty(0, dtype.to_native_dtype()))

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        numbers = np.ascontiguousarray(chunk_data.as_numpy_array())
        native = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
        return chunk_spec.prototype.buffer.from_bytes(self.codec.encode(native))

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        numbers = self.codec.decode(chunk_data.as_numpy_array()).view(dtype.newbyteorder("="))
        chunk = numbers.astype(dtype, copy=False).reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(chunk)


class Compressor(_ZarrCodec, BytesBytesCodec):  # type: ignore[misc]
    """A codec that squeezes the bytes of a chunk, for ``zarr.create_array(compressors=...)``.

    Parameters
    ----------
    codec : str or ByteCodec
        One that takes any bytes: ``"zstd:level=19"``, ``"brotli"``, ``"lz4"``, ``"zlib"``, or ``"raw"``, which adds
        a checksum and no more.

    Raises
    ------
    InvalidRequestError
        If the codec takes numbers: that is a `Serializer`.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> array = zarr.create_array(
    ...     {}, shape=(1000,), chunks=(500,), dtype="int32", compressors=Compressor("zstd:level=19")
    ... )
    >>> array[:] = np.arange(1000)
    >>> array[-1]
    array(999, dtype=int32)
    """

    def __init__(self, codec: str | ColumnCodec) -> None:
        super().__init__(codec)
        if not isinstance(self.codec, ByteCodec):
            raise InvalidRequestError(
                f"{self.codec.name!r} takes numbers, not bytes: give it to Zarr as serializer=Serializer(...)"
            )

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return chunk_spec.prototype.buffer.from_bytes(self.codec.encode(chunk_data.as_numpy_array()))

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return chunk_spec.prototype.buffer.from_bytes(self.codec.decode(chunk_data.as_numpy_array()))
