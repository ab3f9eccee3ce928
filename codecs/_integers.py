"""Integers packed into as few bits as each 64 of them need: what codecs keep their small numbers in.

::

    byte        0: offsets from the smallest integer; 1: zigzag deltas, the first one 0
    varint      the smallest or the first integer, zigzag
    then for each 64 numbers, fewer at the end:
    byte        their width, 0 to 64
    bits        each number in so many bits, most significant first, up to a whole byte
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import Bytes, read_varint
from squeezelab.errors import CorruptDataError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import WRITE_SLACK, U, leading_zeros, peek_64, put_top, put_varint, zigzag

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

OFFSETS, DELTAS = 0, 1


def unzigzag(words: Words) -> Integers:
    """Return 0, -1, 1, -2 for 0, 1, 2, 3."""
    return (words >> U(1)).view(np.int64) ^ -(words & U(1)).view(np.int64)


class Reader:
    """Reads a payload piece by piece, and rejects one that ends too early.

    Parameters
    ----------
    data : uint8[]
        Must have `READ_SLACK` after ``stop``.
    at, stop : int
        Where the payload begins, and the byte after it.
    """

    def __init__(self, data: Bytes, at: int, stop: int) -> None:
        self.data, self.at, self.stop = data, at, stop

    def bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        if count > self.stop - self.at:
            raise CorruptDataError("the payload ends inside a block: it is damaged")
        self.at += count
        return self.data[self.at - count : self.at].tobytes()

    def varint(self) -> int:
        """Return the next varint."""
        head = self.data[self.at : min(self.at + 10, self.stop)].tobytes()
        number, size = read_varint(head, 0)
        self.at += size
        return number

    def signed_varint(self) -> int:
        """Return the next zigzag varint."""
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def integers(self, count: int) -> Integers:
        """Return so many integers that `pack_integers` has packed."""
        kind, first = self.bytes(1)[0], self.signed_varint()
        if kind not in (OFFSETS, DELTAS):
            raise CorruptDataError(f"integers cannot be packed in way {kind}: the payload is damaged")
        words = np.empty(count, np.uint64)
        at = int(unpack_words(self.data, U(self.at), U(self.stop), words))
        if at > self.stop:
            raise CorruptDataError("the payload ends inside packed integers: it is damaged")
        self.at = at
        base = np.int64(first)
        return np.cumsum(unzigzag(words)) + base if kind == DELTAS else words.view(np.int64) + base


def pack_integers(numbers: Integers) -> bytes:
    """Return integers packed as offsets or as deltas, whichever is smaller.

    Parameters
    ----------
    numbers : int64[n]
        Any integers; differences may overflow.

    Examples
    --------
    >>> pack_integers(np.array([7, 8, 7, 10])).hex()
    '000e0213'
    """
    buffer = np.empty(8 * numbers.size + numbers.size // 64 + 12 + WRITE_SLACK, np.uint8)
    return buffer[: int(write_integers(numbers.view(np.uint64), buffer))].tobytes()


@kernel(forceinline=True)
def _number(words, i, kind, first):
    """Return what is packed for an integer."""
    if kind == OFFSETS:
        return words[i] - first
    return zigzag(words[i] - words[i - U(1)]) if i else U(0)


@kernel(forceinline=True)
def _width(words, begin, end, kind, first):
    every = U(0)
    for i in range(begin, end):
        every |= _number(words, i, kind, first)
    return U(64) - leading_zeros(every)


@kernel(forceinline=True)
def _packed_bytes(words, kind, first):
    total, begin, count = U(0), U(0), U(words.size)
    while begin < count:
        end = min(begin + U(64), count)
        total += U(1) + (((end - begin) * _width(words, begin, end, kind, first) + U(7)) >> U(3))
        begin = end
    return total


@kernel
def write_integers(words, buffer):
    """Write integers, given by their bits, in the smaller way; return their bytes."""
    count, least = U(words.size), U(0)
    for i in range(count):
        # With the sign bit turned, bits have the order of the integers.
        if not i or words[i] ^ U(2**63) < least ^ U(2**63):
            least = words[i]
    kind, first = U(OFFSETS), least
    if count and _packed_bytes(words, U(DELTAS), words[0]) < _packed_bytes(words, U(OFFSETS), least):
        kind, first = U(DELTAS), words[0]
    buffer[0] = kind
    at, begin = put_varint(buffer, U(1), zigzag(first)), U(0)
    while begin < count:
        end = min(begin + U(64), count)
        width = _width(words, begin, end, kind, first)
        buffer[at] = width
        at += U(1)
        pending, fill = U(0), U(0)
        if width:
            for i in range(begin, end):
                number = _number(words, i, kind, first) << (U(64) - width)
                at, pending, fill = put_top(buffer, at, pending, fill, number, U(0), width)
        if fill:
            buffer[at] = pending >> U(56)
            at += U(1)
        begin = end
    return at


@kernel
def unpack_words(data, at, stop, words):
    """Fill words from what `write_integers` packed at a byte; return the byte after, ``stop + 1`` if too few.

    `READ_SLACK` bytes after ``stop`` may be read.
    """
    first, count = U(0), U(words.size)
    while first < count:
        end = min(first + U(64), count)
        if at >= stop:
            return stop + U(1)
        width = U(data[at])
        at += U(1)
        size = ((end - first) * width + U(7)) >> U(3)
        if width > U(64) or at + size > stop:
            return stop + U(1)
        position = at << U(3)
        for i in range(first, end):
            words[i] = peek_64(data, position) >> (U(64) - width) if width else U(0)
            position += width
        at += size
        first = end
    return at
