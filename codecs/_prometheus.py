"""What Prometheus's XOR and XOR2 chunks share: codes of timestamps and values, and either of them as a column."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.base import DType, KernelCodec, Words, Workspace
from squeezelab.codecs.xor import encode_xor, put_coded_xor, read_xor
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    leading_zeros,
    peek_57,
    peek_64,
    put_top,
    put_varint,
    store_word,
    take_varint,
    unzigzag,
    zigzag,
)

SAMPLES_PER_CHUNK = 120
"""How many samples Prometheus wants in a chunk."""
STALE = U(0x7FF0000000000002)
"""The NaN by which Prometheus says that a series has ended."""
XOR, XOR2 = np.zeros((1, 1), np.uint64), np.ones((1, 1), np.uint64)
"""Which of the two a kernel writes or reads."""


class HalfOfChunks(KernelCodec):
    """Base of the two codecs, which differ by their ``version``: `XOR` or `XOR2`."""

    max_expansion = 64
    version: Words

    def worst_case_bytes(self, count: int) -> int:
        """At most 10 bytes an item, and 20 more where a chunk begins."""
        return 10 * count + 20 * -(-count // SAMPLES_PER_CHUNK)

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and which chunks it writes."""
        return (encode_values if dtype == FLOAT64 else encode_timestamps), (self.version,)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and which chunks it reads."""
        return (decode_values if dtype == FLOAT64 else decode_timestamps), (self.version,)


@kernel
def encode_values(words, work, buffer):
    """Write the values' half of all chunks, of `XOR` or `XOR2`, into a buffer; return its bytes."""
    at = U(0)
    for first in range(0, words.size, SAMPLES_PER_CHUNK):
        chunk = words[first : first + SAMPLES_PER_CHUNK]
        at = _write_values(chunk, buffer, at) if work[0, 0] else at + encode_xor(chunk, buffer[np.int64(at) :])
    return at


@kernel
def decode_values(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for first in range(0, words.size, SAMPLES_PER_CHUNK):
        chunk = words[first : first + SAMPLES_PER_CHUNK]
        if work[0, 0]:
            at = _read_values(data, at, stop, chunk)
        else:
            at = (read_xor(data, at << U(3), stop << U(3), chunk) + U(7)) >> U(3)
        if at > stop:
            return False
    return at == stop


@kernel
def encode_timestamps(words, work, buffer):
    """Write the timestamps' half of all chunks, of `XOR` or `XOR2`, into a buffer; return its bytes."""
    at = U(0)
    for first in range(0, words.size, SAMPLES_PER_CHUNK):
        at = _write_timestamps(words[first : first + SAMPLES_PER_CHUNK], work[0, 0], buffer, at)
    return at


@kernel
def decode_timestamps(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for first in range(0, words.size, SAMPLES_PER_CHUNK):
        at = _read_timestamps(data, at, stop, work[0, 0], words[first : first + SAMPLES_PER_CHUNK])
        if at > stop:
            return False
    return at == stop


@kernel
def _write_timestamps(words, version, buffer, at):
    at = put_varint(buffer, at, zigzag(words[0]))
    if words.size == 1:
        return at
    delta = words[1] - words[0]
    at = put_varint(buffer, at, delta)
    pending, fill = U(0), U(0)
    for i in range(2, words.size):
        step = words[i] - words[i - 1]
        if step == delta:
            at, pending, fill = put_top(buffer, at, pending, fill, U(0), U(0), U(1))
        elif version:
            at, pending, fill = put_change(buffer, at, pending, fill, step - delta)
        else:
            at, pending, fill = put_delta_of_delta(buffer, at, pending, fill, step - delta)
        delta = step
    return at + U(fill > U(0))


@kernel
def _read_timestamps(data, at, stop, version, words):
    """Fill words from a byte on; return the one after, beyond ``stop`` where not all of them lie before it."""
    count, beyond = U(words.size), stop + U(1)
    number, at = take_varint(data, at, stop)
    timestamp, delta = unzigzag(number), U(0)
    words[U(0)] = timestamp
    if count > U(1):
        delta, at = take_varint(data, at, stop)
        timestamp += delta
        words[U(1)] = timestamp
    position, end = at << U(3), stop << U(3)
    i = U(2)
    while i < count:
        if position >= end:
            return beyond
        code = peek_57(data, position)
        run = min(leading_zeros(code | U(127)), count - i)
        position += run
        if run == U(0):
            if version:
                change, after = take_change(data, position, end)
            else:
                change, after = take_delta_of_delta(data, position, end, code)
            if after == position or after > end:
                return beyond
            delta += change
            position, run = after, U(1)
        for _ in range(run):
            timestamp += delta
            words[i] = timestamp
            i += U(1)
    return (position + U(7)) >> U(3)


@kernel
def _write_values(words, buffer, at):
    store_word(buffer, at, words[0])
    at += U(8)
    last = U(0) if words[0] == STALE else words[0]
    pending, fill = U(0), U(0)
    outside, leading, width = ~U(0), U(0), U(0)
    for i in range(1, words.size):
        at, pending, fill, last, outside, leading, width = put_value(
            buffer, at, pending, fill, words[i], i > 1, last, outside, leading, width
        )
    return at + U(fill > U(0))


@kernel
def _read_values(data, at, stop, words):
    """Fill words from a byte on; return the one after, beyond ``stop`` where not all of them lie before it."""
    count, beyond = U(words.size), stop + U(1)
    if at + U(8) > stop:
        return beyond
    words[U(0)] = peek_64(data, at << U(3))
    last = U(0) if words[U(0)] == STALE else words[U(0)]
    width, trailing = U(0), U(0)
    position, end = (at + U(8)) << U(3), stop << U(3)
    i = U(1)
    while i < count:
        if position >= end:
            return beyond
        run = min(leading_zeros(peek_57(data, position) | U(127)), count - i)
        if run > U(0):
            for _ in range(run):
                words[i] = last
                i += U(1)
            position += run
        else:
            words[i], last, position, width, trailing = take_value(data, position, end, i > U(1), last, width, trailing)
            i += U(1)
    return (position + U(7)) >> U(3)


@kernel(forceinline=True)
def put_delta_of_delta(buffer, at, pending, fill, change):
    if change == U(0):
        return put_top(buffer, at, pending, fill, U(0), U(0), U(1))
    if change + U(2**13 - 1) < U(2**14):
        code = U(0b10) << U(62) | (change & U(2**14 - 1)) << U(48)
        return put_top(buffer, at, pending, fill, code, U(0), U(16))
    if change + U(2**16 - 1) < U(2**17):
        code = U(0b110) << U(61) | (change & U(2**17 - 1)) << U(44)
        return put_top(buffer, at, pending, fill, code, U(0), U(20))
    if change + U(2**19 - 1) < U(2**20):
        code = U(0b1110) << U(60) | (change & U(2**20 - 1)) << U(40)
        return put_top(buffer, at, pending, fill, code, U(0), U(24))
    return put_top(buffer, at, pending, fill, U(0b1111) << U(60) | change >> U(4), change << U(60), U(68))


@kernel(forceinline=True)
def take_delta_of_delta(data, position, end, code):
    """Return a delta of delta other than zero, whose code is given, and the position after it; it may lie beyond."""
    ones = min(leading_zeros(~code), U(4))
    if ones == U(4):
        position += U(68)
        return peek_64(data, position - U(64)) if position <= end else U(0), position
    width = U(14) if ones == U(1) else U(17) if ones == U(2) else U(20)
    bits = code << (ones + U(1)) >> (U(64) - width)
    # One more above zero than below: the top bit alone is no sign.
    negative = bits > U(1) << (width - U(1))
    return bits - (U(1) << width if negative else U(0)), position + ones + U(1) + width


@kernel(forceinline=True)
def put_change(buffer, at, pending, fill, change):
    """Append the code of a delta of delta other than zero."""
    if change + U(2**12) < U(2**13):
        code = U(0b110) << U(61) | (change & U(2**13 - 1)) << U(48)
        return put_top(buffer, at, pending, fill, code, U(0), U(16))
    if change + U(2**19) < U(2**20):
        code = U(0b1110) << U(60) | (change & U(2**20 - 1)) << U(40)
        return put_top(buffer, at, pending, fill, code, U(0), U(24))
    return put_top(buffer, at, pending, fill, U(0b11110) << U(59) | change >> U(5), change << U(59), U(69))


@kernel(forceinline=True)
def take_change(data, position, end):
    """Return a delta of delta and the position after its code, or 0 and the same position where there is none.

    The position may lie beyond ``end``.
    """
    code = peek_57(data, position)
    ones = leading_zeros(~code)
    if ones < U(2) or ones > U(4):
        return U(0), position
    if ones == U(4):
        position += U(69)
        return peek_64(data, position - U(64)) if position <= end else U(0), position
    size = U(16) if ones == U(2) else U(24)
    width = size - ones - U(1)
    bits = code << (ones + U(1)) >> (U(64) - width)
    negative = bits >> (width - U(1)) == U(1)
    return bits - (U(1) << width if negative else U(0)), position + size


@kernel(forceinline=True)
def put_value(buffer, at, pending, fill, value, steady, last, outside, leading, width):
    """Append the code of a value; ``last`` is the last one that was not stale, ``steady`` whether no change precedes.

    Returns
    -------
    at, pending, fill, last, outside, leading, width
        The writer's state, the value that the next XOR is with, and the window.
    """
    if value == STALE:
        at, pending, fill = put_top(
            buffer,
            at,
            pending,
            fill,
            U(0b11111) << U(59) if steady else U(0b111) << U(61),
            U(0),
            U(5) if steady else U(3),
        )
        return at, pending, fill, last, outside, leading, width
    within, size = (U(0b100), U(3)) if steady else (U(0b10), U(2))
    opens = U(0b101) if steady else U(0b110)
    at, pending, fill, outside, leading, width = put_coded_xor(
        buffer, at, pending, fill, value ^ last, within, size, opens, U(3), outside, leading, width
    )
    return at, pending, fill, value, outside, leading, width


@kernel(forceinline=True)
def take_value(data, position, end, steady, last, width, trailing):
    """Return a value, the last one that was not stale, the position after its code, and the window.

    The position lies beyond ``end`` where no code begins, or a code is cut short.
    """
    code = peek_57(data, position)
    kind = code >> U(61)
    if kind < U(0b100):
        return last, last, position + U(1), width, trailing
    if code >> U(59) == U(0b11111) or (kind == U(0b111) and not steady):
        return STALE, last, position + (U(5) if steady else U(3)), width, trailing
    if kind == (U(0b101) if steady else U(0b110)):
        leading = (code >> U(56)) & U(31)
        width = (((code >> U(50)) - U(1)) & U(63)) + U(1)
        position += U(14)
        if leading + width > U(64):
            return last, last, end + U(1), U(0), U(0)
        trailing = U(64) - leading - width
    elif steady and kind > U(0b101):
        return last, last, end + U(1), U(0), U(0)
    else:
        position += U(3) if steady else U(2)
    if width == U(0) or position + width > end:
        return last, last, end + U(1), U(0), U(0)
    last ^= (peek_64(data, position) >> (U(64) - width)) << trailing
    return last, last, position + width, width, trailing
