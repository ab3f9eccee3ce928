"""Entropy coding of integers with adaptive models of sixteen symbols, and rANS.

An integer is coded as its class (how many bits it has), the four bits below its highest one, and the rest as they are.
Class and four bits are nibbles, each coded with a model that learns as it goes: no tables are stored, so that columns
of a few hundred values gain as well. A model is sixteen 16-bit numbers, the lower bounds of the symbols on a scale of
2^15; to learn is to move them all a step towards the bounds that the seen symbol would have alone, a few vector
instructions. While a model is young its steps are larger.

The class is coded with the mean of two models, one chosen by the class before and learning fast, one by the class
before that and learning slowly. Classes and bits have a rANS state each, so that a decoder can take the bits of one
integer while it is at the class of the next.

Sources: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013; F. Giesen, "Interleaved entropy coders",
arXiv:1402.3392, 2014. That an integer has a modelled head and a plain rest is known from the distances of LZMA.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    byte_swap,
    choose,
    high_product,
    leading_zeros,
    load_word,
    peek_57,
    peek_64,
    put_top,
    store_half,
)

SCALE_BITS = U(15)
SCALE = U(1) << SCALE_BITS
FLOOR = 4
"""The least share of a symbol, of `SCALE`: what was never seen can still come."""

LOWEST_STATE = U(1) << U(20)
"""The decoder takes in 32 bits when its state falls below this."""

FAST, SLOW = U(5), U(7)
"""By which powers of 1/2 models learn at last."""
FIRST_FOR_BITS = U(4)
"""Models of bits begin to learn at this one: theirs are nearly alike."""

ESCAPE = U(15)
FOR_BITS = U(1) << U(31)
"""Marks operations on the state for bits."""
AT, CLASSES, FOUR_BITS, PLACE, RAW = range(5)
"""Of a reader: the byte of the head, the states for classes and for bits, the bytes of the words and the raw bits."""
MODELS = 16 + 16 + 16 + 1
"""Rows of a stream's models: classes by the class before, classes by the other context, bits by class, long classes."""

_ROWS = 16
_CLASSES, _OTHERS, _BITS, _LONG = U(0), U(16), U(32), U(48)

_VECTOR = ir.VectorType(ir.IntType(16), _ROWS)


def _targets() -> npt.NDArray[np.uint16]:
    """Return for each symbol the bounds that models move towards when it is seen, 16 a row."""
    symbol, bound = np.ogrid[:_ROWS, :_ROWS]
    below = bound * FLOOR
    return np.where(bound <= symbol, below, int(SCALE) - (_ROWS - bound) * FLOOR).astype(np.uint16).reshape(-1)


def _fresh_models() -> npt.NDArray[np.uint16]:
    """Return the bounds that a stream's models begin with: all symbols alike that can come."""
    bounds = np.tile(np.arange(_ROWS) * (int(SCALE) // _ROWS), (MODELS, 1))
    for size in range(2, 5):
        count = 1 << (size - 1)
        row = np.arange(_ROWS) * ((int(SCALE) - _ROWS * FLOOR) // count)
        bounds[int(_BITS) + size] = np.minimum(row, int(SCALE) - (_ROWS - np.arange(_ROWS)) * FLOOR)
    return bounds.astype(np.uint16).reshape(-1)


TARGETS = _targets()
FRESH = _fresh_models()


def _row(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.shl(row, ir.Constant(ir.IntType(64), 4))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


def _splat(builder: Any, word: Any) -> Any:
    number = builder.trunc(word, ir.IntType(16))
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), _ROWS), [0] * _ROWS)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), lanes)


@intrinsic
def find_symbol(typingctx: Any, models: Any, first: Any, second: Any, slot: Any) -> Any:
    """Return the symbol that owns a slot in the mean of two rows of models."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one, two = (builder.load(_row(context, builder, signature.args[0], args[0], row), align=2) for row in args[1:3])
        mean = builder.lshr(builder.add(one, two), ir.Constant(_VECTOR, [1] * _ROWS))
        owned = builder.icmp_signed("<=", mean, _splat(builder, args[3]))
        count = builder.ctpop(builder.bitcast(owned, ir.IntType(16)))
        return builder.sub(builder.zext(count, ir.IntType(64)), ir.Constant(ir.IntType(64), 1))

    return types.uint64(models, types.uint64, types.uint64, types.uint64), codegen


@intrinsic
def learn(typingctx: Any, models: Any, row: Any, targets: Any, symbol: Any, share: Any) -> Any:
    """Move a row of models by 2^-share of the way towards the bounds for a symbol."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _row(context, builder, signature.args[0], args[0], args[1])
        bounds = builder.load(pointer, align=2)
        wanted = builder.load(_row(context, builder, signature.args[2], args[2], args[3]), align=2)
        step = builder.ashr(builder.sub(wanted, bounds), _splat(builder, args[4]))
        builder.store(builder.add(bounds, step), pointer, align=2)
        return context.get_dummy_value()

    return types.void(models, types.uint64, targets, types.uint64, types.uint64), codegen


@kernel(forceinline=True)
def bounds_of(models, first, second, symbol):
    """Return the lower bound of a symbol in the mean of two rows of models, and its share of the scale."""
    one, two = (first << U(4)) + symbol, (second << U(4)) + symbol
    low = (U(models[one]) + U(models[two])) >> U(1)
    if symbol == U(15):
        return low, SCALE - low
    return low, ((U(models[one + U(1)]) + U(models[two + U(1)])) >> U(1)) - low


@kernel(forceinline=True, inner=True)
def _share(ages, row, slowest):
    """Return how fast a row of models learns by now, and let it grow older."""
    age = U(ages[row])
    ages[row] = age + U(age < U(255))
    return min(U(64) - leading_zeros(age + U(1)), slowest)


@kernel
def model_integers(numbers, shift, models, ages, targets, operations, raw):
    """Turn integers into rANS operations and raw bits.

    Parameters
    ----------
    numbers : uint64[n]
        What is coded.
    shift : uint64
        How many low bits of each are raw in any case.
    models, ages : uint16[MODELS * 16], uint8[MODELS]
        Fresh models, which this call wears out.
    targets : uint16[256]
        `TARGETS`.
    operations : uint32[at least 3 n]
        Filled: a symbol's lower bound in the low half, its share in the high one, and the top bit set for bits.
    raw : uint8[at least 9 n + WRITE_SLACK]
        Filled with the raw bits.

    Returns
    -------
    done, at : uint64
        How many operations, and how many bytes of raw bits.
    """
    done, at, pending, fill = U(0), U(0), U(0), U(0)
    before, earlier = U(0), U(0)
    for i in range(U(numbers.size)):
        number = numbers[i] >> shift
        size = U(64) - leading_zeros(number)
        one = min(size, ESCAPE)
        row, other = _CLASSES + before, _OTHERS + earlier
        low, share = bounds_of(models, row, other, one)
        operations[done] = low | (share << U(16))
        done += U(1)
        learn(models, row, targets, one, _share(ages, row, FAST))
        learn(models, other, targets, one, _share(ages, other, SLOW))
        earlier, before = before, one
        rest = shift
        if one == ESCAPE:
            excess = size - ESCAPE
            long = min(excess, ESCAPE)
            low, share = bounds_of(models, _LONG, _LONG, long)
            operations[done] = low | (share << U(16))
            done += U(1)
            learn(models, _LONG, targets, long, _share(ages, _LONG, FAST))
            if long == ESCAPE:
                at, pending, fill = put_top(raw, at, pending, fill, excess << U(58), U(0), U(6))
        if size >= U(2):
            width = min(size - U(1), U(4))
            rest += size - U(1) - width
            bits = (numbers[i] >> rest) & ((U(1) << width) - U(1))
            row = _BITS + one
            low, share = bounds_of(models, row, row, bits)
            operations[done] = low | (share << U(16)) | FOR_BITS
            done += U(1)
            learn(models, row, targets, bits, max(_share(ages, row, SLOW), FIRST_FOR_BITS))
        if rest:
            at, pending, fill = put_top(raw, at, pending, fill, numbers[i] << (U(64) - rest), U(0), rest)
    return done, at + ((fill + U(7)) >> U(3))


@kernel
def write_operations(operations, buffer):
    """Encode operations into the end of a buffer, last one first, as the decoder takes them.

    Parameters
    ----------
    operations : uint32[n]
    buffer : uint8[at least 2 n + 8]

    Returns
    -------
    classes, bits : uint64
        The states that the decoder begins with.
    begin : uint64
        Where in the buffer its words begin: 32 bits each, big-endian.
    """
    classes, bits, begin = LOWEST_STATE, LOWEST_STATE, U(buffer.size)
    for i in range(U(1), U(operations.size) + U(1)):
        operation = U(operations[U(operations.size) - i])
        low, share = operation & U(0xFFFF), (operation >> U(16)) & U(0x7FFF)
        # The division does not wait for the state, and the quotient by its inverse is too small by one at most.
        inverse, further = ~U(0) // share, SCALE - share
        state = bits if operation & FOR_BITS else classes
        full = state >= share << (U(52) - SCALE_BITS)
        store_half(buffer, begin - U(4), byte_swap(state) >> U(32))
        begin -= U(full) << U(2)
        state = choose(full, state >> U(32), state)
        quotient = high_product(state, inverse)
        left = state - quotient * share
        state += low + quotient * further
        state = choose(left >= share, state + further, state)
        if operation & FOR_BITS:
            bits = state
        else:
            classes = state
    return classes, bits, begin


@kernel(forceinline=True, inner=True)
def _load_half(data, at):
    """Return four bytes, big-endian. The four before them are read in place of those after, which may not be there."""
    return load_word(data, at - U(4)) & U(0xFFFFFFFF)


@kernel(forceinline=True, inner=True)
def _without(state, low, share):
    """Return a state without its symbol. Where that is below `LOWEST_STATE`, 32 bits must be taken in."""
    return share * (state >> SCALE_BITS) + (state & (SCALE - U(1))) - low


@kernel(forceinline=True, inner=True)
def _take_word(data, state, place):
    """Return a state that has taken in 32 bits if it was too low, and where the next are."""
    if state < LOWEST_STATE:
        return (state << U(32)) | _load_half(data, place), place + U(4)
    return state, place


@kernel
def read_integers(data, cursor, stops, shift, models, ages, numbers):
    """Decode integers; the inverse of `model_integers` and `write_operations`.

    Four bytes before the words and `READ_SLACK` after either end must be readable.

    Parameters
    ----------
    data : uint8[...]
    cursor, stops : uint64[5], uint64[5]
        What is read next, and where that must end: `CLASSES` and so on. The cursor is moved on.
    shift : uint64
    models, ages : uint16[MODELS * 16], uint8[MODELS]
        Fresh models, which this call wears out.
    numbers : uint64[n]
        Filled.

    Returns
    -------
    whole : bool
        Whether the data sufficed.
    """
    classes, bits, place, place_stop = cursor[CLASSES], cursor[FOUR_BITS], cursor[PLACE], stops[PLACE]
    position, end = cursor[RAW] << U(3), stops[RAW] << U(3)
    before, earlier = U(0), U(0)
    for i in range(U(numbers.size)):
        row, other = _CLASSES + before, _OTHERS + earlier
        one = find_symbol(models, row, other, classes & (SCALE - U(1)))
        low, share = bounds_of(models, row, other, one)
        classes, place = _take_word(data, _without(classes, low, share), place)
        learn(models, row, TARGETS, one, _share(ages, row, FAST))
        learn(models, other, TARGETS, one, _share(ages, other, SLOW))
        earlier, before = before, one
        number, rest = one, shift
        if one >= U(2):
            size = one
            if one == ESCAPE:
                if place > place_stop:
                    return False
                excess = find_symbol(models, _LONG, _LONG, classes & (SCALE - U(1)))
                low, share = bounds_of(models, _LONG, _LONG, excess)
                classes, place = _take_word(data, _without(classes, low, share), place)
                learn(models, _LONG, TARGETS, excess, _share(ages, _LONG, FAST))
                if excess == ESCAPE:
                    if position + U(6) > end:
                        return False
                    excess = peek_57(data, position) >> U(58)
                    position += U(6)
                size += excess
            row = _BITS + one
            four = find_symbol(models, row, row, bits & (SCALE - U(1)))
            low, share = bounds_of(models, row, row, four)
            bits, place = _take_word(data, _without(bits, low, share), place)
            learn(models, row, TARGETS, four, max(_share(ages, row, SLOW), FIRST_FOR_BITS))
            width = min(size - U(1), U(4))
            number = (U(1) << width) | four
            rest += size - U(1) - width
        if rest > U(63) or position + rest > end or place > place_stop:
            return False
        # Without a branch for none: whether there are raw bits is as hard to guess as the class.
        raw = peek_57(data, position) if rest <= U(57) else peek_64(data, position)
        numbers[i] = (number << rest) | ((raw >> U(1)) >> (U(63) - rest))
        position += rest
    cursor[CLASSES], cursor[FOUR_BITS], cursor[PLACE], cursor[RAW] = classes, bits, place, (position + U(7)) >> U(3)
    return True
