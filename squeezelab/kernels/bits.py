"""Reading and writing single bits, most significant first: the one place where kernels touch packed bytes.

A kernel that writes keeps three numbers: ``at``, the byte where the next whole byte goes; ``pending``, the bits not yet
written, at the top of a word; ``fill``, how many they are, 0 to 7. One that reads keeps its position in bits.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from squeezelab.kernels.cache import kernel

U = np.uint64

WRITE_SLACK = 16
"""Bytes that a buffer must have beyond the last byte that is written."""

READ_SLACK = 8
"""Bytes that a buffer must have after the last byte that holds bits; a frame's checksum is these bytes."""

SHIFTED = 1.5 * 2.0**52
"""What whole numbers below 2^51 are added to: the bits of the sum, less its own, are the number, in two's complement.

Not all processors convert several numbers at once, but all add.
"""

KEPT_SCRATCH_BYTES = 64 * 2**20

_kept = threading.local()


def scratch(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return a buffer to encode into, at least ``size`` bytes, good until this thread asks for the next one.

    Memory fresh from the operating system costs a fifth of the time that encoding takes, so a buffer is kept for each
    thread, as large as the largest column it has encoded, up to 64 MiB.
    """
    if size > KEPT_SCRATCH_BYTES:
        return np.empty(size, np.uint8)
    buffer: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = getattr(_kept, "buffer", None)
    if buffer is None or buffer.size < size:
        buffer = _kept.buffer = np.empty(size, np.uint8)
    return buffer


def workspace(rows: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Return rows of words to work in, which hold anything; those of a shape are this thread's until its next call."""
    kept: dict[tuple[int, int], np.ndarray[tuple[int, int], np.dtype[np.uint64]]]
    kept = _kept.__dict__.setdefault("rows", {})
    if (rows, size) not in kept:
        kept[rows, size] = np.empty((rows, size), np.uint64)
    return kept[rows, size]


def _pointer(context: Any, builder: Any, signature: Any, args: Any, bits: int) -> Any:
    """Return where so many bits lie in the array that is the first argument; the second is their first byte.

    As for an index, whether they lie in the array is checked where numba was told to check bounds, and nowhere else.
    """
    array, at = context.make_array(signature.args[0])(context, builder, args[0]), args[1]
    if context.enable_boundscheck:
        for byte in (at, builder.add(at, at.type(bits // 8 - 1))):
            cgutils.do_boundscheck(context, builder, byte, array.nitems)
    return builder.bitcast(builder.gep(array.data, [at]), ir.IntType(bits).as_pointer())


@intrinsic
def load_word(typingctx: Any, buffer: Any, at: Any) -> Any:
    """Return 8 bytes of a uint8 array, from any byte on, as a big-endian word."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(builder.load(_pointer(context, builder, signature, args, 64), align=1))

    return types.uint64(buffer, types.uint64), codegen


@intrinsic
def store_word(typingctx: Any, buffer: Any, at: Any, word: Any) -> Any:
    """Put a word, big-endian, into 8 bytes of a uint8 array, from any byte on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(builder.bswap(args[2]), _pointer(context, builder, signature, args, 64), align=1)
        return context.get_dummy_value()

    return types.void(buffer, types.uint64, types.uint64), codegen


def _little(bits: int) -> Any:
    """Return the intrinsic that loads so many bits, little-endian, from any byte of a uint8 array on."""

    @intrinsic
    def load(typingctx: Any, buffer: Any, at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            loaded = builder.load(_pointer(context, builder, signature, args, bits), align=1)
            return builder.zext(loaded, ir.IntType(64)) if bits < 64 else loaded

        return types.uint64(buffer, types.uint64), codegen

    return load


def _little_store(bits: int) -> Any:
    """Return the intrinsic that stores a word's low bits, little-endian, at any byte of a uint8 array."""

    @intrinsic
    def store(typingctx: Any, buffer: Any, at: Any, word: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            stored = builder.trunc(args[2], ir.IntType(bits)) if bits < 64 else args[2]
            builder.store(stored, _pointer(context, builder, signature, args, bits), align=1)
            return context.get_dummy_value()

        return types.void(buffer, types.uint64, types.uint64), codegen

    return store


load_little, load_half = _little(64), _little(32)
store_little, store_half = _little_store(64), _little_store(32)


@intrinsic
def borrowed(typingctx: Any, array: Any) -> Any:
    """Return an array whose references are not counted, as are none of its parts.

    For what a kernel was called with: that lives until the kernel returns. To count takes an atomic operation for each
    view that is made or handed on, which is much where columns are short.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        view.meminfo = view.parent = cgutils.get_null_value(view.meminfo.type)
        return view._getvalue()

    return array(array), codegen


@intrinsic
def shift_down(typingctx: Any, word: Any, count: Any) -> Any:
    """Return a word in two's complement divided by a power of two, towards minus infinity."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ashr(args[0], args[1])

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def byte_swap(typingctx: Any, word: Any) -> Any:
    """Return a word with its bytes in the other order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(args[0])

    return types.uint64(types.uint64), codegen


@intrinsic
def leading_zeros(typingctx: Any, word: Any) -> Any:
    """Count the zero bits above the highest one bit; 64 for zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Count the zero bits below the lowest one bit; 64 for zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), codegen


@intrinsic
def high_product(typingctx: Any, one: Any, two: Any) -> Any:
    """Return the high half of the product of two words."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def count_ones(typingctx: Any, word: Any) -> Any:
    """Count the one bits of a word."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@intrinsic
def choose(typingctx: Any, condition: Any, one: Any, other: Any) -> Any:
    """Return one word or another without a branch, for conditions that are as hard to guess as the data."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chosen = builder.select(*args)
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return types.uint64(types.boolean, types.uint64, types.uint64), codegen


@intrinsic
def float_of(typingctx: Any, word: Any) -> Any:
    """Return the float64 whose bits a word holds."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), codegen


@intrinsic
def word_of(typingctx: Any, number: Any) -> Any:
    """Return the bits of a float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


@kernel(forceinline=True, inner=True)
def double_of(word):
    """Return a whole number, in two's complement, as a double: one of at least -2^51 and below 2^51."""
    return float_of(word_of(SHIFTED) + word) - SHIFTED


MOST_DIVISOR = 2**50
"""Quotients of larger divisors are left to division."""


@intrinsic
def quotient_of(typingctx: Any, whole: Any, divisor: Any, inverse: Any) -> Any:
    """Return a whole number over a divisor, by its inverse: the double that division gives, in a fraction of its time.

    The product with the inverse is at most two units in the last place off, what it leaves is exact in a fused
    multiplication, and one correction by that rounds as division does (P. Markstein, "Computation of elementary
    functions on the IBM RISC System/6000 processor", IBM J. Res. Dev. 34, 1990): a quotient of whole numbers, from
    -2^53 to 2^53 and from 1 to `MOST_DIVISOR`, is further from the middle between two doubles than the correction is
    off. Processors without fused multiplication divide.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, by, times = args
        triple, _, features = context.codegen().magic_tuple()
        if "+fma" not in features.split(",") and not triple.startswith(("aarch64", "arm64")):
            return builder.fdiv(number, by)
        double = ir.DoubleType()
        fuse = cgutils.get_or_insert_function(builder.module, ir.FunctionType(double, [double] * 3), "llvm.fma.f64")
        quotient = builder.fmul(number, times)
        left = builder.call(fuse, [builder.fneg(quotient), by, number])
        return builder.call(fuse, [left, times, quotient])

    return types.float64(types.float64, types.float64, types.float64), codegen


@kernel(forceinline=True, inner=True)
def exponent_of(word):
    """Return the place of the highest bit of a number from 1 on and below 2^51.

    As a double's exponent: few processors count leading zeros of several words at once.
    """
    return (word_of(double_of(word)) >> U(52)) - U(1023)


@kernel(forceinline=True)
def put_top(buffer, at, pending, fill, high, low, size):
    """Append the top ``size`` bits (at most 120) of the 128 in ``high`` and ``low``, whose other bits are zero.

    Returns
    -------
    at, pending, fill
        The writer's state after them.
    """
    first = pending | (high >> fill)
    second = ((high << U(1)) << (U(63) - fill)) | (low >> fill)
    store_word(buffer, at, first)
    store_word(buffer, at + U(8), second)
    whole_bytes = (fill + size) >> U(3)
    rest = first if whole_bytes < U(8) else second
    return at + whole_bytes, rest << ((whole_bytes & U(7)) << U(3)), (fill + size) & U(7)


@kernel(forceinline=True)
def peek_57(buffer, position):
    """Return at least 57 bits from a position on, at the top of a word."""
    return load_word(buffer, position >> U(3)) << (position & U(7))


@kernel(forceinline=True)
def peek_64(buffer, position):
    """Return the 64 bits from a position on."""
    at = position >> U(3)
    shift = position & U(7)
    return (load_word(buffer, at) << shift) | (U(buffer[at + U(8)]) >> (U(8) - shift))


@kernel(forceinline=True)
def zigzag(number):
    """Return a signed number as an unsigned one: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return (number << U(1)) ^ (U(0) - (number >> U(63)))


@kernel(forceinline=True)
def unzigzag(number):
    """Return the signed number that `zigzag` was given."""
    return (number >> U(1)) ^ (U(0) - (number & U(1)))


@kernel
def put_varint(buffer, at, number):
    """Write a number as LEB128, low seven bits first; return the byte after it."""
    while number > U(0x7F):
        buffer[at] = (number & U(0x7F)) | U(0x80)
        at += U(1)
        number >>= U(7)
    buffer[at] = number
    return at + U(1)


@kernel
def take_varint(data, at, stop):
    """Return a LEB128 number and the byte after it; beyond ``stop`` if no whole one of 64 bits ends before it."""
    number = U(0)
    for shift in range(0, 64, 7):
        if at >= stop:
            break
        byte = U(data[at])
        at += U(1)
        number |= (byte & U(0x7F)) << U(shift)
        if byte < U(0x80):
            return number, at if shift < 63 or byte <= U(1) else stop + U(1)
    return number, stop + U(1)


@kernel
def take_varints(data, at, numbers):
    """Fill numbers from all LEB128 from a byte on; return how many, more than there is room for if one is not whole."""
    stop, count = U(data.size), U(0)
    while at < stop and count < U(numbers.size):
        numbers[count], at = take_varint(data, at, stop)
        count += U(1)
    return count if at == stop else U(numbers.size) + U(1)


@kernel(forceinline=True)
def take_varint_at_once(data, at, stop):
    """Return what `take_varint` does, in the same time for 1 to 8 bytes: for many numbers of unlike lengths.

    `READ_SLACK` bytes after ``stop`` must be readable, and ``at`` be before it.
    """
    word = byte_swap(load_word(data, at))
    ends = ~word & U(0x8080808080808080)
    if ends == U(0):
        return take_varint(data, at, stop)
    # The bits up to the first end, then seven of each eight, moved together by pairs, fours and eights.
    word &= (ends ^ (ends - U(1))) & U(0x7F7F7F7F7F7F7F7F)
    word = (word & U(0x007F007F007F007F)) | ((word & U(0x7F007F007F007F00)) >> U(1))
    word = (word & U(0x00003FFF00003FFF)) | ((word & U(0x3FFF00003FFF0000)) >> U(2))
    word = (word & U(0x000000000FFFFFFF)) | ((word & U(0x0FFFFFFF00000000)) >> U(4))
    return word, at + (trailing_zeros(ends) >> U(3)) + U(1)
