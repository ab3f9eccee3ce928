"""Gorilla's compression of timestamps: the change of the interval between neighbours."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezelab.codecs._frame import INT64
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.errors import InvalidRequestError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    peek_57,
    peek_64,
    put_top,
    put_varint,
    take_varint,
    unzigzag,
    workspace,
    zigzag,
)

GORILLA_WIDTHS = (7, 9, 12, 32)
"""The paper's classes."""

Widths = npt.NDArray[np.uint64]


class DeltaOfDelta(KernelCodec):
    """Gorilla's timestamp compression for any int64 column.

    Samples come at steady intervals, so the difference of neighbouring differences is mostly zero, and zero takes one
    bit. Choose it for timestamps, and for counters that grow evenly. Any column survives, also unsorted or negative
    ones and those whose differences overflow: all arithmetic wraps at 64 bits.

    Parameters
    ----------
    widths : str
        ``"fit"``: the four widths that make this column smallest are found and stored. ``"gorilla"``: those of the
        paper, 7, 9, 12 and 32. Or four rising widths such as ``"4-10-20-64"``. Where the last of fixed widths is less
        than 64, it has an escape for what does not fit.

    Notes
    -----
    Payload::

        varint                    the first value, zigzag (0, -1, 1, -2 as 0, 1, 2, 3)
        varint                    the first delta, zigzag; absent for one value
        3 bytes                   four widths less one, 6 bits each; absent for one or two values, as all that follows
        0                         delta of delta zero
        10 <first width>          other deltas of deltas by their zigzag less one: zero has a code of its own
        110 <second width>
        1110 <third width>
        1111 <fourth width>
        1111 <all ones> <64 bits>   what the fourth width cannot hold, where it has an escape

    The paper's first width holds -63 to 64, this layout's -64 to 64, at the same 9 bits. Its last class holds 32 bits
    and no more: a column of int64 needs the escape, which takes one of the 2**32 codes and 100 bits. Widths that have
    an escape are stored in falling order, all others in rising: frames written before there was one read as ever.

    References
    ----------
    T. Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", PVLDB 8(12), 2015, section 4.1.1.
    The fitted widths are an addition: seconds that jitter by one or two need 2 bits where the paper spends 7.

    Examples
    --------
    >>> import numpy as np
    >>> codec = DeltaOfDelta()
    >>> timestamps = 1_700_000_000 + 15 * np.arange(1000)
    >>> len(codec.encode(timestamps))
    147
    >>> bool((codec.decode(codec.encode(timestamps)) == timestamps).all())
    True
    """

    name = "delta_of_delta"
    showcase = ("", "widths=gorilla")
    dtypes = (INT64,)
    max_expansion = 64

    def __init__(self, widths: str = "fit") -> None:
        self.widths = widths
        self._fixed = None if widths == "fit" else _parse_widths(widths)

    def worst_case_bytes(self, count: int) -> int:
        """Two varints, the widths, then at most 4 + 64 bits a value, and those of the fourth width before an escape."""
        escape = int(self._fixed[0, 0]) if self._fixed is not None and self._fixed[0, 0] < 64 else 0
        return 10 + 10 + 3 + (count * (68 + escape) + 7) // 8

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return (encode_fitted, (workspace(2, 65),)) if self._fixed is None else (encode_deltas, (self._fixed,))

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_deltas, ()


def _parse_widths(text: str) -> Widths:
    widths = GORILLA_WIDTHS if text == "gorilla" else tuple(map(int, re.findall("[0-9]{1,9}", text)))
    rising = len(widths) == 4 and 1 <= widths[0] < widths[1] < widths[2] < widths[3] <= 64
    if not rising or not re.fullmatch("gorilla|[0-9]+(-[0-9]+){3}", text):
        raise InvalidRequestError(f'no widths {text!r}: give "fit", "gorilla" or four rising ones like 4-10-20-64')
    return np.array([widths if widths[3] == 64 else widths[::-1]], np.uint64)


def fit_widths(words: Widths) -> Widths:
    """Return the four widths with which a column takes the fewest bits.

    Parameters
    ----------
    words : uint64[n]
        The column's bits.

    Returns
    -------
    uint64[4]
        From 1 to 64, rising; where fewer than four widths occur the last ones are repeated.

    Examples
    --------
    >>> fit_widths(np.array([0, 15, 30, 46, 60, 75], np.uint64))
    array([1, 2, 2, 2], dtype=uint64)
    """
    work = workspace(2, 65)
    choose_widths(words, work)
    return work[0, :4].copy()


@kernel(forceinline=True)
def _rank(delta_of_delta):
    """Return the rank of a delta of delta other than zero: 0, 1, 2, 3 for -1, 1, -2, 2."""
    return zigzag(delta_of_delta) - U(1)


@kernel(forceinline=True)
def _width(rank):
    return U(64) - leading_zeros(rank | U(1))


@kernel
def choose_widths(words, work):
    """Count the widths that deltas of deltas need, and begin row 0 with the four that take the fewest bits."""
    best, histogram = work[0], work[1]
    for i in range(4):
        best[i] = U(1)
    for i in range(65):
        histogram[i] = U(0)
    for i in range(2, words.size):
        delta, step = words[i - 1] - words[i - 2], words[i] - words[i - 1]
        if step != delta:
            histogram[_width(_rank(step - delta))] += U(1)
    top = U(64)
    while top > U(1) and histogram[top] == U(0):
        top -= U(1)
    least = ~U(0)
    for a in range(U(1), top + U(1)):
        if not histogram[a]:
            continue
        for b in range(a, top + U(1)):
            if not histogram[b]:
                continue
            for c in range(b, top + U(1)):
                if histogram[c]:
                    bits = _total_bits(histogram, a, b, c, top)
                    if bits < least:
                        least = bits
                        best[0], best[1], best[2], best[3] = a, b, c, top


@kernel
def _total_bits(histogram, width_1, width_2, width_3, width_4):
    bits = U(0)
    for need in range(U(1), width_4 + U(1)):
        if need <= width_1:
            size = U(2) + width_1
        elif need <= width_2:
            size = U(3) + width_2
        elif need <= width_3:
            size = U(4) + width_3
        else:
            size = U(4) + width_4
        bits += histogram[need] * size
    return bits


@kernel(forceinline=True)
def _put_zeros(buffer, at, pending, fill, count):
    while count > U(0):
        run = min(count, U(64))
        at, pending, fill = put_top(buffer, at, pending, fill, U(0), U(0), run)
        count -= run
    return at, pending, fill


@kernel(forceinline=True)
def _in_order(width_1, width_2, width_3, width_4):
    """Return stored widths in rising order, and the code of the last class that is an escape; no rank is 2**64 - 1."""
    if width_1 > width_4:
        return width_4, width_3, width_2, width_1, ~U(0) >> (U(64) - width_1)
    return width_1, width_2, width_3, width_4, ~U(0)


@kernel
def encode_fitted(words, work, buffer):
    """Write the payload of uint64 words into a buffer, with the widths that suit them; return its bytes."""
    choose_widths(words, work)
    return encode_deltas(words, work, buffer)


@kernel
def encode_deltas(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes.

    The widths begin row 0 of ``work``; falling ones have an escape.
    """
    widths = work[0]
    at = U(0)
    if words.size > 0:
        at = put_varint(buffer, at, zigzag(words[0]))
    if words.size > 1:
        at = put_varint(buffer, at, zigzag(words[1] - words[0]))
    if words.size < 3:
        return at
    width_1, width_2, width_3, width_4 = widths[0], widths[1], widths[2], widths[3]
    packed = (width_1 - U(1)) | (width_2 - U(1)) << U(6) | (width_3 - U(1)) << U(12) | (width_4 - U(1)) << U(18)
    for i in range(3):
        buffer[at] = packed >> U(8 * i)
        at += U(1)
    width_1, width_2, width_3, width_4, escape = _in_order(width_1, width_2, width_3, width_4)
    pending, fill = U(0), U(0)
    delta = words[1] - words[0]
    zeros = U(0)
    for i in range(2, words.size):
        step = words[i] - words[i - 1]
        if step == delta:
            zeros += U(1)
            continue
        at, pending, fill = _put_zeros(buffer, at, pending, fill, zeros)
        zeros = U(0)
        rank = _rank(step - delta)
        delta = step
        need = _width(rank)
        if need <= width_1:
            prefix, prefix_size, width = U(0b10) << U(62), U(2), width_1
        elif need <= width_2:
            prefix, prefix_size, width = U(0b110) << U(61), U(3), width_2
        elif need <= width_3:
            prefix, prefix_size, width = U(0b1110) << U(60), U(4), width_3
        else:
            prefix, prefix_size, width = U(0b1111) << U(60), U(4), width_4
            if rank >= escape:
                top = escape << (U(64) - width)
                at, pending, fill = put_top(buffer, at, pending, fill, prefix | top >> U(4), top << U(60), U(4) + width)
                at, pending, fill = put_top(buffer, at, pending, fill, rank, U(0), U(64))
                continue
        top = rank << (U(64) - width)
        at, pending, fill = put_top(
            buffer, at, pending, fill, prefix | (top >> prefix_size), top << (U(64) - prefix_size), prefix_size + width
        )
    at, pending, fill = _put_zeros(buffer, at, pending, fill, zeros)
    return at + ((fill + U(7)) >> U(3))


@kernel
def decode_deltas(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    count = U(words.size)
    number, at = take_varint(data, start, stop)
    value, delta = unzigzag(number), U(0)
    words[U(0)] = value
    if count > U(1):
        number, at = take_varint(data, at, stop)
        delta = unzigzag(number)
        value += delta
        words[U(1)] = value
    if count < U(3) or at + U(3) > stop:
        return count < U(3) and at == stop
    width_1 = (U(data[at]) & U(63)) + U(1)
    width_2 = ((U(data[at]) >> U(6)) | (U(data[at + U(1)]) & U(15)) << U(2)) + U(1)
    width_3 = ((U(data[at + U(1)]) >> U(4)) | (U(data[at + U(2)]) & U(3)) << U(4)) + U(1)
    width_4 = (U(data[at + U(2)]) >> U(2)) + U(1)
    width_1, width_2, width_3, width_4, escape = _in_order(width_1, width_2, width_3, width_4)
    position, end = (at + U(3)) << U(3), stop << U(3)
    i = U(2)
    while i < count:
        if position >= end:
            return False
        code = peek_57(data, position)
        if code >> U(63) == U(0):
            run = min(leading_zeros(code | U(127)), count - i)
            for _ in range(run):
                value += delta
                words[i] = value
                i += U(1)
            position += run
            continue
        ones = min(leading_zeros(~code), U(4))
        position += min(ones + U(1), U(4))
        width = width_1 if ones == U(1) else width_2 if ones == U(2) else width_3 if ones == U(3) else width_4
        if position + width > end:
            return False
        rank = peek_64(data, position) >> (U(64) - width)
        position += width
        if rank == escape:
            if position + U(64) > end:
                return False
            rank = peek_64(data, position)
            position += U(64)
        delta += unzigzag(rank + U(1))
        value += delta
        words[i] = value
        i += U(1)
    return position <= end and (position + U(7)) >> U(3) == stop
