"""Patas, as DuckDB wrote it: Chimp128 with bytes in place of bits, made to decode fast."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.codecs.chimp128 import LOW_BITS
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, byte_swap, leading_zeros, load_word, store_word, trailing_zeros, workspace

GROUP = U(1024)
"""Values that are read by themselves: references never reach beyond."""
FARTHEST = U(127)
"""How far back a reference can be, in seven bits."""


class Patas(KernelCodec):
    """DuckDB's Patas for any float64 column.

    Like `chimp128` it XORs with one of the last values, but every XOR is stored the same way: two bytes that say
    which value, how many trailing zeros, and how many bytes follow, then these bytes. There is no branch on the kind of
    code, so decoding is fast whatever the data; each value takes two bytes at least.

    Notes
    -----
    Payload, for each value two bytes, little-endian, and the bytes of its XOR, little-endian::

        7 bits        how far back its reference is, 1 to 127; 0 for the first of each 1024 values
        3 bits        bytes that follow; 0 for eight of them where there are fewer than 8 trailing zeros
        6 bits        trailing zeros; 63 for an XOR of zero
        0 to 8 bytes  the XOR without its trailing zeros; the first of each 1024 values as it is

    The reference is the last value with the same 14 low bits, or the one before where that is too far back. These are
    DuckDB's bytes, in another order: DuckDB keeps the two bytes of each 1024 values apart from their XORs, and 4 bytes
    that say where the latter are; for each of its blocks another 4. Later versions than 0.9.2,
    with which these bytes were compared, came to read Patas and no longer write it.

    Frames of an earlier layout, never released, took up to 5 % more; their checksums do not fit, so they are rejected.

    References
    ----------
    DuckDB, src/include/duckdb/storage/compression/patas (pull request 5044, 2022), after Chimp128: P. Liakos et al.,
    PVLDB 15(11), 2022.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Patas()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 45.3, -0.0])))
    array([45.3, 45.4, 45.3, -0. ])
    """

    name = "patas"
    dtypes = (FLOAT64,)
    max_expansion = 4

    def worst_case_bytes(self, count: int) -> int:
        """At most 2 + 8 bytes a value."""
        return 10 * count

    @property
    def frame_name(self) -> str:
        """Another name than that of the earlier layout, whose frames would decode to other numbers."""
        return "patas_2"

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_patas, (workspace(1, 1 << int(LOW_BITS)),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_patas, ()


@kernel
def encode_patas(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes.

    The workspace has a place for all values of `LOW_BITS` bits: where in its group a value with such low bits was last.
    A group finds what the one before left there, as DuckDB's does.
    """
    latest = work[0]
    latest[:] = 0
    low, at = (U(1) << LOW_BITS) - U(1), U(0)
    for i in range(U(words.size)):
        value, place = words[i], i % GROUP
        reference = latest[value & low]
        latest[value & low] = place
        back, xor = U(0), value
        if place:
            # A place that is yet to come is one of the group before.
            back = place - reference if reference < place and place - reference <= FARTHEST else U(1)
            xor ^= words[i - back]
        trailing = min(trailing_zeros(xor), U(63)) if place else U(0)
        count = (U(71) - leading_zeros(xor >> trailing)) >> U(3) if place else U(8)
        head = back << U(9) | (count & U(7)) << U(6) | trailing
        buffer[at] = head
        buffer[at + U(1)] = head >> U(8)
        store_word(buffer, at + U(2), byte_swap(xor >> trailing))
        at += U(2) + count
    return at


@kernel
def decode_patas(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for i in range(U(words.size)):
        if at + U(2) > stop:
            return False
        head = U(data[at]) | U(data[at + U(1)]) << U(8)
        back, count, trailing = head >> U(9), (head >> U(6)) & U(7), head & U(63)
        count += U(8) if count == U(0) and trailing < U(8) else U(0)
        at += U(2)
        # None reaches beyond its group, and only a group's first has none.
        if back > i % GROUP or (back == U(0) and i % GROUP != U(0)) or at + count > stop:
            return False
        bits = byte_swap(load_word(data, at)) & (~U(0) >> ((U(64) - (count << U(3))) & U(63))) if count else U(0)
        words[i] = bits << trailing ^ (words[i - back] if back else U(0))
        at += count
    return at == stop
