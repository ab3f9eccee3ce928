"""Packing side by side: sixteen sequences of bits at once, which a decoder takes apart by vectors of sixteen words.

Number i is in sequence i mod 16; each 256 numbers have a width. A sequence is filled from the low bits of 64-bit words
on, and takes as many bits as the others, so that one shift serves all sixteen. See docs/format.md for the layout.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import U, leading_zeros, load_little, store_little

ACROSS = 16
GROUP = 256

_VECTOR = ir.VectorType(ir.IntType(64), ACROSS)


def _splat(builder: Any, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), ACROSS), [0] * ACROSS)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), lanes)


@intrinsic
def unpack_row(typingctx: Any, words: Any, at: Any, shift: Any, mask: Any, out: Any, to: Any) -> Any:
    """Fill 16 numbers from the words at ``at`` and the 16 after them, shifted and masked alike."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def row(number: int, array: Any, at: Any) -> Any:
            data = context.make_array(signature.args[number])(context, builder, array).data
            return builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())

        word = ir.IntType(64)
        low = builder.load(row(0, args[0], args[1]), align=8)
        high = builder.load(row(0, args[0], builder.add(args[1], ir.Constant(word, ACROSS))), align=8)
        ones = _splat(builder, ir.Constant(word, 1))
        rest = _splat(builder, builder.sub(ir.Constant(word, 63), args[2]))
        number = builder.or_(builder.lshr(low, _splat(builder, args[2])), builder.shl(builder.shl(high, ones), rest))
        builder.store(builder.and_(number, _splat(builder, args[3])), row(4, args[4], args[5]), align=8)
        return context.get_dummy_value()

    return types.void(words, types.uint64, types.uint64, types.uint64, out, types.uint64), codegen


@kernel(forceinline=True, inner=True)
def _mask(width):
    return (U(1) << width) - U(1) if width < U(64) else ~U(0)


@kernel(inner=True)
def pack_side_by_side(numbers, words, buffer, at):
    """Write numbers from a byte on, by way of words, with room for 32 more; return the byte after."""
    count = U(numbers.size)
    groups = (count + U(GROUP) - U(1)) // U(GROUP)
    for i in range(count + U(2 * ACROSS)):
        words[i] = U(0)
    position = U(0)
    for group in range(groups):
        first, last = group * U(GROUP), min(group * U(GROUP) + U(GROUP), count)
        every = U(0)
        for i in range(first, last):
            every |= numbers[i]
        width = U(64) - leading_zeros(every)
        buffer[at + group] = width
        for i in range(first, last):
            place = position + ((i - first) >> U(4)) * width
            word, shift = ((place >> U(6)) << U(4)) + (i & U(15)), place & U(63)
            words[word] |= numbers[i] << shift
            if shift + width > U(64):
                words[word + U(ACROSS)] |= numbers[i] >> (U(64) - shift)
        position += ((last - first + U(15)) >> U(4)) * width
    at += groups
    whole = (position >> U(6)) << U(4)
    for i in range(whole):
        store_little(buffer, at, words[i])
        at += U(8)
    size = ((position & U(63)) + U(7)) >> U(3)
    for i in range(U(ACROSS) if size else U(0)):
        store_little(buffer, at, words[whole + i])
        at += size
    return at


@kernel(inner=True)
def unpack_side_by_side(data, at, stop, words, numbers):
    """Fill numbers from a byte on; return the byte after, beyond ``stop`` if there are too few.

    ``words`` is room for as many, and 32 more. `READ_SLACK` bytes after ``stop`` must be readable.
    """
    count = U(numbers.size)
    groups = (count + U(GROUP) - U(1)) // U(GROUP)
    if groups > stop - at:
        return stop + U(1)
    bits = U(0)
    for group in range(groups):
        if U(data[at + group]) > U(64):
            return stop + U(1)
        bits += U(data[at + group]) * ((min(U(GROUP), count - group * U(GROUP)) + U(15)) >> U(4))
    widths, at = at, at + groups
    whole, size = (bits >> U(6)) << U(4), ((bits & U(63)) + U(7)) >> U(3)
    if (whole << U(3)) + U(ACROSS) * size > stop - at:
        return stop + U(1)
    for i in range(whole):
        words[i] = load_little(data, at + (i << U(3)))
    at += whole << U(3)
    for i in range(whole, whole + U(2 * ACROSS)):
        words[i] = U(0)
    for i in range(U(ACROSS) if size else U(0)):
        words[whole + i] = load_little(data, at) & _mask(size << U(3))
        at += size
    position, whole_rows = U(0), count & ~U(ACROSS - 1)
    for group in range(groups):
        width = U(data[widths + group])
        mask = _mask(width)
        for i in range(group * U(GROUP), min((group + U(1)) * U(GROUP), whole_rows), U(ACROSS)):
            unpack_row(words, (position >> U(6)) << U(4), position & U(63), mask, numbers, i)
            position += width
    if whole_rows < count:
        mask = _mask(U(data[widths + groups - U(1)]))
        unpack_row(words, (position >> U(6)) << U(4), position & U(63), mask, words, U(0))
        for i in range(whole_rows, count):
            numbers[i] = words[i - whole_rows]
    return at
