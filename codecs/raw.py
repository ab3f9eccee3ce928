"""The column as it lies in memory: the baseline that every ratio is measured against."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs._frame import Bytes
from squeezelab.codecs.base import ByteCodec
from squeezelab.errors import CorruptDataError


class Raw(ByteCodec):
    """Values as they lie in memory, little-endian, one after another.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Raw()
    >>> len(codec.encode(np.arange(1000)))
    8013
    """

    name = "raw"
    max_expansion = 1

    def squeeze(self, data: bytes | Bytes) -> bytes | Bytes:
        """Return the bytes as they are."""
        return data

    def expand(self, data: Bytes, out: Bytes) -> None:
        """Copy the bytes."""
        if data.size != out.size:
            raise CorruptDataError(f"{data.size} bytes where {out.size} were promised: the frame is damaged")
        np.copyto(out, data)
