"""FPC: two predictors that learn, and the leading zero bytes of what they got wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64, Bytes
from squeezelab.codecs.base import KernelCodec, Words
from squeezelab.errors import InvalidRequestError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_word, store_word


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
        if not 4 <= table <= 20:
            raise InvalidRequestError(f"fpc has no table of 2**{table} entries: choose from 4 to 20")
        self.table = table

    def worst_case_bytes(self, count: int) -> int:
        """Return bytes: the table's size, then at most half a byte of code and 8 bytes a value."""
        return 1 + (count + 1) // 2 + 8 * count

    def write(self, words: Words, buffer: Bytes) -> Any:
        """Encode."""
        if not words.size:
            return 0
        buffer[0] = self.table
        return encode_fpc(words, np.zeros((2, 1 << self.table), np.uint64), buffer)

    def read(self, data: Bytes, start: Any, stop: Any, words: Words) -> Any:
        """Decode."""
        if start == stop or not 4 <= (table := int(data[start])) <= 20:
            return False
        return decode_fpc(data, start + U(1), stop, np.zeros((2, 1 << table), np.uint64), words)


@kernel(forceinline=True)
def _learn(tables, hashes, before, value):
    """Let both predictors see a value; return the hashes under which they look up the next one."""
    mask = U(tables.shape[1] - 1)
    tables[0, hashes[0]] = value
    tables[1, hashes[1]] = value - before
    context = ((hashes[0] << U(6)) ^ (value >> U(48))) & mask
    differences = ((hashes[1] << U(2)) ^ ((value - before) >> U(40))) & mask
    return context, differences


@kernel
def encode_fpc(words, tables, buffer):
    """Write the payload of uint64 words into a buffer from byte 1 on; return its bytes."""
    hashes, before = (U(0), U(0)), U(0)
    at = U(1)
    head = at
    for i in range(words.size):
        value = words[i]
        by_context = value ^ tables[0, hashes[0]]
        by_difference = value ^ (tables[1, hashes[1]] + before)
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
        hashes = _learn(tables, hashes, before, value)
        before = value
    return at


@kernel
def decode_fpc(data, start, stop, tables, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    hashes, before = (U(0), U(0)), U(0)
    at, pair = start, U(0)
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
        value = xor ^ (tables[1, hashes[1]] + before if code >> U(3) else tables[0, hashes[0]])
        words[i] = value
        hashes = _learn(tables, hashes, before, value)
        before = value
    return at == stop
