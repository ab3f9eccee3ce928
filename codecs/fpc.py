"""FPC: two predictors that learn, and the leading zero bytes of what they got wrong."""

from __future__ import annotations

from typing import Any

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.errors import InvalidRequestError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_word, store_word, trailing_zeros, workspace

LEAST, MOST = 4, 20
"""Binary logarithms of the entries of a table."""


class Fpc(KernelCodec):
    """FPC for any float64 column.

    A finite context method looks up what followed the last values, a differential one what difference followed the last
    differences; the better of the two is XORed with the value. Choose it for data that repeat themselves in sequence;
    decimals of a random walk it cannot foresee.

    Parameters
    ----------
    table : int
        Binary logarithm of the entries of each table, 4 to 20; larger ones remember more and start slower.

    Notes
    -----
    Payload: one byte holds the table's size; then for every two values one byte, four bits each (one bit for the
    predictor, three for the leading zero bytes: 0, 1, 2, 3, 5, 6, 7, 8), and their remaining bytes, big-endian.

    References
    ----------
    M. Burtscher, P. Ratanaworabhan, "FPC: A High-Speed Compressor for Double-Precision Floating-Point Data", IEEE
    Transactions on Computers 58(1), 2009, section 3. Four zero bytes, seldom seen, are stored as three.

    Examples
    --------
    >>> import numpy as np
    >>> codec = Fpc()
    >>> codec.decode(codec.encode(np.array([45.3, 45.4, 45.3, -0.0])))
    array([45.3, 45.4, 45.3, -0. ])
    """

    name = "fpc"
    dtypes = (FLOAT64,)
    max_expansion = 16

    def __init__(self, table: int = 10) -> None:
        if not LEAST <= table <= MOST:
            raise InvalidRequestError(f"fpc has no table of 2**{table} entries: choose from {LEAST} to {MOST}")
        self.table = table

    def worst_case_bytes(self, count: int) -> int:
        """Return bytes: the table's size, then at most half a byte of code and 8 bytes a value."""
        return 1 + (count + 1) // 2 + 8 * count

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_fpc, (workspace(2, 1 << self.table),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_fpc, (workspace(2, 1 << MOST),)


@kernel(forceinline=True)
def _cleared(work, entries):
    """Return the two tables, zero at first."""
    for table in range(2):
        for i in range(entries):
            work[table, i] = U(0)
    return work[0], work[1]


@kernel(forceinline=True)
def _learn(tables, mask, hashes, before, value):
    """Let both predictors see a value; return the hashes under which they look up the next one."""
    tables[0][hashes[0]] = value
    tables[1][hashes[1]] = value - before
    context = ((hashes[0] << U(6)) ^ (value >> U(48))) & mask
    differences = ((hashes[1] << U(2)) ^ ((value - before) >> U(40))) & mask
    return context, differences


@kernel
def encode_fpc(words, work, buffer):
    """Write the payload of uint64 words into a buffer, with tables of a workspace's size; return its bytes."""
    at, mask = U(0), U(work.shape[1] - 1)
    if words.size == 0:
        return at
    tables, hashes, before = _cleared(work, mask + U(1)), (U(0), U(0)), U(0)
    buffer[at] = trailing_zeros(mask + U(1))
    at += U(1)
    head = at
    for i in range(words.size):
        value = words[i]
        by_context = value ^ tables[0][hashes[0]]
        by_difference = value ^ (tables[1][hashes[1]] + before)
        xor = min(by_context, by_difference)
        zeros = leading_zeros(xor) >> U(3)
        zeros -= U(zeros == U(4))
        code = (U(by_difference < by_context) << U(3)) | (zeros - U(zeros > U(4)))
        if i & 1:
            buffer[head] = U(buffer[head]) | code
        else:
            head = at
            buffer[head] = code << U(4)
            at += U(1)
        if zeros < U(8):
            store_word(buffer, at, xor << (zeros << U(3)))
        at += U(8) - zeros
        hashes = _learn(tables, mask, hashes, before, value)
        before = value
    return at


@kernel
def decode_fpc(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    if start == stop or not LEAST <= data[start] <= MOST:
        return False
    mask = (U(1) << U(data[start])) - U(1)
    tables, hashes, before = _cleared(work, mask + U(1)), (U(0), U(0)), U(0)
    at, pair = start + U(1), U(0)
    for i in range(words.size):
        if i & 1:
            code = pair & U(15)
        else:
            if at >= stop:
                return False
            pair = U(data[at])
            at += U(1)
            code = pair >> U(4)
        zeros = code & U(7)
        zeros += U(zeros > U(3))
        count = U(8) - zeros
        if at + count > stop:
            return False
        xor = load_word(data, at) >> (zeros << U(3)) if count else U(0)
        at += count
        value = xor ^ (tables[1][hashes[1]] + before if code >> U(3) else tables[0][hashes[0]])
        words[i] = value
        hashes = _learn(tables, mask, hashes, before, value)
        before = value
    return at == stop
