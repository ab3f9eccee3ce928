"""Gorilla's compression of timestamps: the change of the interval between neighbours."""

from __future__ import annotations

import numpy as np
from numba import njit

from squeezelab.codecs._bits import WRITE_SLACK, U, leading_zeros, peek_57, peek_64, put_top, scratch
from squeezelab.codecs._frame import INT64, Bytes, Frame, read_varint, varint
from squeezelab.codecs.base import Column, ColumnCodec
from squeezelab.errors import CorruptDataError, InvalidRequestError

GORILLA_WIDTHS = (7, 9, 12, 64)
"""The paper's classes; its last one has 32 bits, which do not suffice for every int64."""

_WORD = 2**64 - 1


class DeltaOfDelta(ColumnCodec):
    """Gorilla's timestamp compression for any int64 column.

    Samples come at steady intervals, so the difference of neighbouring differences is mostly zero, and zero takes one
    bit. Choose it for timestamps, and for counters that grow evenly. Any column survives, also unsorted or negative
    ones and those whose differences overflow: all arithmetic wraps at 64 bits.

    Parameters
    ----------
    widths : str
        ``"fit"``: the four widths that make this column smallest are found and stored. ``"gorilla"``: those of the
        paper, 7, 9, 12 (and 64). Or four rising widths such as ``"4-10-20-64"``, the last one 64.

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

    The paper's first width holds -63 to 64, this layout's -64 to 64, at the same 9 bits.

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
    146
    >>> bool((codec.decode(codec.encode(timestamps)) == timestamps).all())
    True
    """

    name = "delta_of_delta"
    dtypes = (INT64,)
    max_expansion = 64

    def __init__(self, widths: str = "fit") -> None:
        self.widths = widths
        self._fixed = None if widths == "fit" else _parse_widths(widths)

    def pack(self, column: Column) -> bytes | Bytes:
        """Encode the column."""
        words = column.view(np.uint64)
        if words.size == 0:
            return b""
        head = varint(_zigzag(int(words[0])))
        if words.size > 1:
            head += varint(_zigzag((int(words[1]) - int(words[0])) & _WORD))
        if words.size < 3:
            return head
        widths = self._fixed or fit_widths(words)
        head += sum(width - 1 << 6 * i for i, width in enumerate(widths)).to_bytes(3, "little")
        buffer = scratch(len(head) + (68 * words.size + 7) // 8 + WRITE_SLACK)
        buffer[: len(head)] = np.frombuffer(head, np.uint8)
        return buffer[: int(encode_deltas(words, *map(U, widths), buffer, U(len(head))))]

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode the payload into the column."""
        words = column.view(np.uint64)
        at = frame.start
        first, at = read_varint(data[: frame.stop], at)
        words[0] = _unzigzag(first)
        if words.size > 1:
            delta, at = read_varint(data[: frame.stop], at)
            words[1] = (_unzigzag(first) + _unzigzag(delta)) & _WORD
        if words.size < 3:
            whole = at == frame.stop
        else:
            packed = int.from_bytes(data[at : at + 3].tobytes(), "little")
            widths = ((packed >> 6 * i & 63) + 1 for i in range(4))
            whole = decode_deltas(data, U(at + 3), U(frame.stop), *map(U, widths), words)
        if not whole:
            raise CorruptDataError("the payload does not hold the deltas it promises: the frame is damaged")


def _parse_widths(text: str) -> tuple[int, ...]:
    widths = GORILLA_WIDTHS if text == "gorilla" else tuple(int(part) for part in text.split("-") if part.isdigit())
    if len(widths) != 4 or list(widths) != sorted(set(widths)) or widths[0] < 1 or widths[3] != 64:
        raise InvalidRequestError(f'widths {text!r} are none: give "fit", "gorilla" or four rising ones like 4-10-20-64')
    return widths


def _zigzag(word: int) -> int:
    return (word << 1 ^ -(word >> 63)) & _WORD


def _unzigzag(number: int) -> int:
    return (number >> 1 ^ -(number & 1)) & _WORD


def fit_widths(words: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> tuple[int, ...]:
    """Return the four widths with which a column of at least three values takes the fewest bits.

    Parameters
    ----------
    words : uint64[n]
        The column's bits.

    Returns
    -------
    tuple of int
        Rising, from 1 to 64; where fewer than four widths occur the last ones are repeated.
    """
    histogram = np.zeros(65, np.uint64)
    count_widths(words, histogram)
    best = np.ones(4, np.uint64)
    choose_widths(histogram, best)
    return tuple(best.tolist())


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _rank(delta_of_delta):  # type: ignore[no-untyped-def]
    """Number the deltas of deltas other than zero: -1, 1, -2, 2 as 0, 1, 2, 3."""
    return ((delta_of_delta << U(1)) ^ (U(0) - (delta_of_delta >> U(63)))) - U(1)


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _width(rank):  # type: ignore[no-untyped-def]
    return U(64) - leading_zeros(rank | U(1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_widths(words, histogram):  # type: ignore[no-untyped-def]
    """Count into ``histogram[width]`` how many deltas of deltas other than zero need each width."""
    delta = words[1] - words[0]
    for i in range(2, words.size):
        step = words[i] - words[i - 1]
        if step != delta:
            histogram[_width(_rank(step - delta))] += U(1)
        delta = step


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def choose_widths(histogram, best):  # type: ignore[no-untyped-def]
    """Fill ``best`` with the four widths of least total bits; the last one holds everything that occurs."""
    used = np.ones(65, np.uint64)
    below = np.zeros(66, np.uint64)
    n = 0
    for width in range(1, 65):
        if histogram[width]:
            used[n] = width
            below[n + 1] = below[n] + histogram[width]
            n += 1
    if n == 0:
        return
    top, total = used[n - 1], below[n]
    least = ~U(0)
    for a in range(n):
        for b in range(a, n):
            for c in range(b, n):
                bits = below[a + 1] * (used[a] + U(2)) + (below[b + 1] - below[a + 1]) * (used[b] + U(3))
                bits += (below[c + 1] - below[b + 1]) * (used[c] + U(4)) + (total - below[c + 1]) * (top + U(4))
                if bits < least:
                    least = bits
                    best[0], best[1], best[2], best[3] = used[a], used[b], used[c], top


@njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _put_zeros(buffer, at, pending, fill, count):  # type: ignore[no-untyped-def]
    while count > U(0):
        run = min(count, U(64))
        at, pending, fill = put_top(buffer, at, pending, fill, U(0), U(0), run)
        count -= run
    return at, pending, fill


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def encode_deltas(words, width_1, width_2, width_3, width_4, buffer, at):  # type: ignore[no-untyped-def]
    """Write the codes of all deltas of deltas from byte ``at`` on; return the byte behind them."""
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
        top = rank << (U(64) - width)
        at, pending, fill = put_top(
            buffer, at, pending, fill, prefix | (top >> prefix_size), top << (U(64) - prefix_size), prefix_size + width
        )
    at, pending, fill = _put_zeros(buffer, at, pending, fill, zeros)
    return at + ((fill + U(7)) >> U(3))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def decode_deltas(data, start, stop, width_1, width_2, width_3, width_4, words):  # type: ignore[no-untyped-def]
    """Fill ``words[2:]`` from the codes ``data[start:stop]``; return whether they hold exactly these many.

    `READ_SLACK` bytes behind ``stop`` must be readable.
    """
    count = U(words.size)
    position, end = start << U(3), stop << U(3)
    value = words[1]
    delta = value - words[0]
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
        zigzag = (peek_64(data, position) >> (U(64) - width)) + U(1)
        position += width
        delta += (zigzag >> U(1)) ^ (U(0) - (zigzag & U(1)))
        value += delta
        words[i] = value
        i += U(1)
    return position <= end and (position + U(7)) >> U(3) == stop
