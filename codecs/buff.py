"""BUFF: decimals as fixed-point numbers, a byte of each after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs._packing import bit_width
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    load_half,
    load_little,
    put_varint,
    store_half,
    store_little,
    take_varint,
    word_of,
)

BITS_OF_PLACES = np.array([0, 5, 8, 11, 15, 18, 21, 25, 28, 31, 35, 38], np.uint64)
"""How many bits after the point tell decimals of 0 to 11 places apart."""
LEAST_EXPONENTS = np.array([int(np.floor(np.log2(0.49 / 10**places))) for places in range(12)], np.int64)
"""What is smaller counts as zero: half of the last place, nearly."""
SCALE = np.array([float(f"1e{places}") for places in range(12)])
HEADER = U(20)
BLOCK = 2**16
"""Values that share one header: equal ones take no bits, so a header must not stand for any number of them."""
EXCEPTION_BITS = U(80)
NOTHING = np.int64(-(2**63))
"""In place of a fixed-point number where there is none."""


class Buff(KernelCodec):
    """BUFF for float64 columns of decimals, made to be queried as it lies.

    Few bits after the point tell decimals of a precision apart: 5 for one place, 8 for two. Each number is cut off
    there and becomes an integer above the smallest one, all of one width; and of these all first bytes are stored, then
    all second bytes. A filter often decides by the first alone. Choose it to see what that costs: one width is for
    all numbers, and nothing is made of neighbours being alike.

    Notes
    -----
    Payload, for each 65,536 values what the authors' program writes for all, little-endian::

        8 bytes     the smallest integer
        4 bytes     number of values
        4 bytes     bits before the point, modulo 2^32
        4 bytes     bits after the point
        planes      the integers' first 8 bits, then the next 8 of each, and so on
        bits        their last bits, fewer than 8, least significant first

    and what it has not: a varint, how many exceptions, and for each a varint, how far after the last one it is, and 8
    bytes. A number comes back as the decimal next to its integer; what does not is an exception, as NaNs, infinities,
    -0.0 and numbers of many digits are. The paper's codec is told its precision and is exact up to that. Here it is the
    one of up to 11 places with which a column takes the fewest bytes; whole numbers take no bits after the point,
    where the authors' table begins with one place.

    The authors' program finds no largest number where the first is not below another, and takes one bit too few where
    the range is a power of two. Elsewhere its bytes are these, compared on the columns of ALP's paper and the Westermo
    data at the precision that is chosen here.

    References
    ----------
    C. Liu, H. Jiang, J. Paparrizos, A. J. Elmore, "Decomposed Bounded Floats for Fast Compression and Queries",
    PVLDB 14(11), 2021, sections 3 and 4; Tranway1/buff, database/src/compress/split_double.rs, byte_fixed_encode
    (commit d6550b2). Of its variants for outliers there is none here.

    Examples
    --------
    >>> codec = Buff()
    >>> codec.decode(codec.encode(np.array([45.3, 45.1, -0.0, 1 / 3])))
    array([45.3       , 45.1       , -0.        ,  0.33333333])
    """

    name = "buff"
    dtypes = (FLOAT64,)
    max_expansion = 8 * BLOCK // 21 + 1

    def worst_case_bytes(self, count: int) -> int:
        """At most 8 bytes a value and as much for exceptions, with their places."""
        return 26 * count + 40 * (count // BLOCK + 1)

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_buff, ()

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_buff, ()


@kernel(forceinline=True)
def _to_fixed(word, places):
    """Return a number cut off after so many places' bits, `NOTHING` if it is too large."""
    exponent, bits = np.int64(word >> U(52) & U(0x7FF)) - 1023, np.int64(BITS_OF_PLACES[places])
    if exponent < LEAST_EXPONENTS[places]:
        return np.int64(0)
    if exponent + bits > 61:
        return NOTHING
    fixed = np.int64((word << U(11) | U(1) << U(63)) >> U(63 - exponent - bits))
    return -fixed if word >> U(63) else fixed


@kernel(forceinline=True)
def _from_fixed(fixed, places):
    """Return the decimal next to a fixed-point number, as bits."""
    step = np.float64(U(1) << BITS_OF_PLACES[places])
    return word_of(np.rint(np.float64(fixed) / step * SCALE[places]) / SCALE[places])


@kernel(forceinline=True)
def _exact(word, places):
    """Return a number's integer, `NOTHING` if it does not come back from it."""
    fixed = _to_fixed(word, places)
    return fixed if fixed != NOTHING and _from_fixed(fixed, places) == word else NOTHING


@kernel
def _range(words, places):
    """Return the smallest integer of a column, how far the largest is from it, and how many numbers have none."""
    least, most, exceptions = np.int64(2**62), np.int64(-(2**62)), U(0)
    for word in words:
        fixed = _exact(word, places)
        if fixed == NOTHING:
            exceptions += U(1)
        else:
            least, most = min(least, fixed), max(most, fixed)
    if exceptions == U(words.size):
        return np.int64(0), U(0), exceptions
    return least, U(most - least), exceptions


@kernel
def _choose_places(words):
    """Return the precision with which a column takes the fewest bits; of equal ones the first."""
    best, fewest = U(0), ~U(0)
    for places in range(U(12)):
        _, span, exceptions = _range(words, places)
        bits = bit_width(span) * U(words.size) + EXCEPTION_BITS * exceptions
        if bits < fewest:
            best, fewest = U(places), bits
        if exceptions == U(0):
            break
    return best


@kernel
def encode_buff(words, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    at = U(0)
    for first in range(0, words.size, BLOCK):
        at = _write_block(words[first : first + BLOCK], buffer, at)
    return at


@kernel
def _write_block(words, buffer, at):
    """Write the block of uint64 words from a byte on; return the byte after it."""
    count, places = U(words.size), _choose_places(words)
    least, span, exceptions = _range(words, places)
    width = bit_width(span)
    store_little(buffer, at, U(least))
    store_half(buffer, at + U(8), count)
    store_half(buffer, at + U(12), width - BITS_OF_PLACES[places])
    store_half(buffer, at + U(16), BITS_OF_PLACES[places])
    at, rest = at + HEADER, width & U(7)
    pending, fill = U(0), U(0)
    for i in range(count):
        fixed = _exact(words[i], places)
        offset = U(fixed - least) if fixed != NOTHING else U(0)
        for plane in range(width >> U(3)):
            buffer[at + plane * count + i] = offset >> (width - U(8) - U(8) * plane)
        pending |= (offset & ((U(1) << rest) - U(1))) << fill
        fill += rest
        if fill >= U(8):
            buffer[at + (width >> U(3)) * count + (i * rest >> U(3))] = pending
            pending >>= U(8)
            fill -= U(8)
    at += (width >> U(3)) * count + (count * rest >> U(3))
    if fill:
        buffer[at] = pending
        at += U(1)
    at, last = put_varint(buffer, at, exceptions), U(0)
    for i in range(count):
        if exceptions and _exact(words[i], places) == NOTHING:
            at = put_varint(buffer, at, i - last)
            store_little(buffer, at, words[i])
            at, last = at + U(8), U(i)
    return at


@kernel(forceinline=True)
def _places_of(bits):
    """Return the precision that has so many bits after the point, 12 if there is none."""
    for places in range(U(12)):
        if BITS_OF_PLACES[places] == bits:
            return U(places)
    return U(12)


@kernel
def decode_buff(data, start, stop, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    at = start
    for first in range(0, words.size, BLOCK):
        at = _read_block(data, at, stop, words[first : first + BLOCK])
        if at == U(0):
            return False
    return at == stop


@kernel
def _read_block(data, start, stop, words):
    """Fill uint64 words from the block that begins at a byte; return the byte after it, 0 if it is damaged.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    count = U(words.size)
    if start + HEADER > stop or load_half(data, start + U(8)) != count:
        return U(0)
    least, after = np.int64(load_little(data, start)), load_half(data, start + U(16))
    places, width = _places_of(after), (load_half(data, start + U(12)) + after) & U(0xFFFFFFFF)
    if places == U(12) or width > U(63):
        return U(0)
    whole, rest, at = width >> U(3), width & U(7), start + HEADER
    tail = at + whole * count
    end = tail + ((count * rest + U(7)) >> U(3))
    if end > stop:
        return U(0)
    for i in range(count):
        offset = U(0)
        for plane in range(whole):
            offset = offset << U(8) | U(data[at + plane * count + i])
        if rest:
            # Fewer than 8 bits lie in two bytes at most; the second may be after the last one.
            place = i * rest
            pair = U(data[tail + (place >> U(3))]) | U(data[tail + (place >> U(3)) + U(1)]) << U(8)
            offset = offset << rest | (pair >> (place & U(7)) & ((U(1) << rest) - U(1)))
        words[i] = _from_fixed(least + np.int64(offset), places)
    exceptions, at = take_varint(data, end, stop)
    if at > stop or exceptions > count:
        return U(0)
    place = U(0)
    for _ in range(exceptions):
        step, at = take_varint(data, at, stop)
        if at + U(8) > stop or step >= count - place:
            return U(0)
        place += step
        words[place] = load_little(data, at)
        at += U(8)
    return at
