"""CRC-32C, the checksum of Prometheus's chunks, in a kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, lowest bit first."""


def _tables() -> npt.NDArray[np.uint64]:
    """Return for each byte what it makes of the checksum once 0 to 7 further zero bytes have followed it."""
    tables = np.empty((8, 256), np.uint64)
    tables[0] = np.arange(256)
    for _ in range(8):
        tables[0] = tables[0] >> U(1) ^ np.where(tables[0] & U(1), U(POLYNOMIAL), U(0))
    for i in range(1, 8):
        tables[i] = tables[i - 1] >> U(8) ^ tables[0][tables[i - 1] & U(255)]
    return tables


_TABLES = _tables()


@kernel
def crc32c(data, start, stop):
    """Return the CRC-32C of ``data[start:stop]``, eight bytes at a time; the positions are uint64.

    References
    ----------
    RFC 3720, section 12.1 and appendix B.4.

    Examples
    --------
    >>> data = np.frombuffer(b"123456789", np.uint8)
    >>> hex(crc32c(data, U(0), U(9)))
    '0xe3069283'
    """
    crc, at = U(0xFFFFFFFF), start
    while at + U(8) <= stop:
        following = U(0)
        for i in range(U(4)):
            following ^= _TABLES[U(7) - i, U(data[at + i]) ^ (crc >> (i << U(3))) & U(255)]
            following ^= _TABLES[U(3) - i, U(data[at + U(4) + i])]
        crc = following
        at += U(8)
    while at < stop:
        crc = crc >> U(8) ^ _TABLES[U(0), (crc ^ U(data[at])) & U(255)]
        at += U(1)
    return crc ^ U(0xFFFFFFFF)
