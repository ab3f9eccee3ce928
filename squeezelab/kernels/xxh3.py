"""XXH3-64 for kernels that check many short frames in one call: what the library `xxhash` gives, of bytes in an array.

Source: Y. Collet, xxHash, specification 0.2.0 of XXH3: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from squeezelab.kernels.bits import U, byte_swap, load_half, load_little
from squeezelab.kernels.cache import kernel

SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
        "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
        + "0000000000000000"
    ),
    np.uint8,
)
"""The default secret of 192 bytes, and room to read words."""
ROOM = 32
"""Words that a long text takes: 8 sums, and the secret of a seed."""

HALF_1, HALF_2, HALF_3 = U(0x9E3779B1), U(0x85EBCA77), U(0xC2B2AE3D)
WORD_1, WORD_2, WORD_3 = U(0x9E3779B185EBCA87), U(0xC2B2AE3D27D4EB4F), U(0x165667B19E3779F9)
WORD_4, WORD_5 = U(0x85EBCA77C2B2AE63), U(0x27D4EB2F165667C5)
MIX_1, MIX_2 = U(0x165667919E3779F9), U(0x9FB21C651E98DF25)
STRIPE, STRIPES = U(64), U(16)
"""Bytes of a stripe, and stripes until sums are scrambled."""
LAST, SCRAMBLED, MERGED = U(121), U(128), U(11)
"""Where in the secret what the last stripe, the scrambling and the merging take begins."""


@intrinsic
def _folded(typingctx: Any, one: Any, two: Any) -> Any:
    """Return the low half of a product xor the high one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@kernel(forceinline=True)
def _rotated(word, count):
    return (word << count) | (word >> (U(64) - count))


@kernel(forceinline=True)
def _avalanche(word):
    word = (word ^ (word >> U(37))) * MIX_1
    return word ^ (word >> U(32))


@kernel(forceinline=True)
def _mixed(data, at, secret, seed):
    """Return 16 bytes mixed with as many of the secret."""
    one, two = load_little(SECRET, secret) + seed, load_little(SECRET, secret + U(8)) - seed
    return _folded(load_little(data, at) ^ one, load_little(data, at + U(8)) ^ two)


@kernel
def _of_few(data, at, size, seed):
    """Return the hash of up to 16 bytes."""
    if size > U(8):
        one = (load_little(SECRET, U(24)) ^ load_little(SECRET, U(32))) + seed
        two = (load_little(SECRET, U(40)) ^ load_little(SECRET, U(48))) - seed
        low, high = load_little(data, at) ^ one, load_little(data, at + size - U(8)) ^ two
        return _avalanche(size + byte_swap(low) + high + _folded(low, high))
    if size >= U(4):
        seed ^= (byte_swap(seed & U(0xFFFFFFFF)) >> U(32)) << U(32)
        flip = (load_little(SECRET, U(8)) ^ load_little(SECRET, U(16))) - seed
        word = (load_half(data, at + size - U(4)) + (load_half(data, at) << U(32))) ^ flip
        word = (word ^ _rotated(word, U(49)) ^ _rotated(word, U(24))) * MIX_2
        word = (word ^ ((word >> U(35)) + size)) * MIX_2
        return word ^ (word >> U(28))
    word = seed ^ load_little(SECRET, U(56)) ^ load_little(SECRET, U(64))
    if size:
        bytes_ = U(data[at + size - U(1)]) | (size << U(8))
        bytes_ |= (U(data[at]) << U(16)) | (U(data[at + (size >> U(1))]) << U(24))
        word = bytes_ ^ ((load_half(SECRET, U(0)) ^ load_half(SECRET, U(4))) + seed)
    word = (word ^ (word >> U(33))) * WORD_2
    word = (word ^ (word >> U(29))) * WORD_3
    return word ^ (word >> U(32))


@kernel
def _of_some(data, at, size, seed):
    """Return the hash of 17 to 240 bytes."""
    total = size * WORD_1
    if size <= U(128):
        for i in range((size - U(1)) >> U(5), -1, -1):
            place = U(i) << U(4)
            total += _mixed(data, at + place, place << U(1), seed)
            total += _mixed(data, at + size - U(16) - place, (place << U(1)) + U(16), seed)
        return _avalanche(total)
    for i in range(size >> U(4)):
        place = U(i) << U(4)
        total += _mixed(data, at + place, place if i < 8 else place - U(125), seed)
        if i == 7:
            total = _avalanche(total)
    return _avalanche(total + _mixed(data, at + size - U(16), U(119), seed))


def _eight(context: Any, builder: Any, array: Any, place: Any, bits: int) -> Any:
    """Return a pointer to the eight words that begin at a place of an array, whose items have so many bits."""
    view = context.make_array(array[0])(context, builder, array[1])
    if context.enable_boundscheck:
        for one in (place, builder.add(place, place.type(8 * 64 // bits - 1))):
            cgutils.do_boundscheck(context, builder, one, view.nitems)
    return builder.bitcast(builder.gep(view.data, [place]), ir.VectorType(ir.IntType(64), 8).as_pointer())


@intrinsic
def _add_stripes(typingctx: Any, data: Any, at: Any, count: Any, sums: Any, secret: Any, place: Any) -> Any:
    """Add stripes to the eight sums, all at once: each mixed with the secret, which begins a word later for the next.

    A loop over words is not made one over vectors by itself, and sums in memory make each stripe wait for it.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (data, at, count, sums, secret, place), kinds = args, signature.args
        words, i32 = ir.VectorType(ir.IntType(64), 8), ir.IntType(32)
        low, high = ir.Constant(words, [0xFFFFFFFF] * 8), ir.Constant(words, [32] * 8)
        neighbours = ir.Constant(ir.VectorType(i32, 8), [i ^ 1 for i in range(8)])
        total = _eight(context, builder, (kinds[3], sums), at.type(0), 64)
        kept = cgutils.alloca_once_value(builder, builder.load(total, align=8))
        with cgutils.for_range(builder, count) as loop:
            begin, word = builder.mul(loop.index, at.type(64)), builder.mul(loop.index, at.type(8))
            text = builder.load(_eight(context, builder, (kinds[0], data), builder.add(at, begin), 8), align=1)
            own = builder.load(_eight(context, builder, (kinds[4], secret), builder.add(place, word), 8), align=1)
            key = builder.xor(text, own)
            product = builder.mul(builder.and_(key, low), builder.lshr(key, high))
            swapped = builder.shuffle_vector(text, ir.Constant(words, ir.Undefined), neighbours)
            builder.store(builder.add(builder.load(kept), builder.add(swapped, product)), kept)
        builder.store(builder.load(kept), total, align=8)
        return context.get_dummy_value()

    return types.void(data, types.uint64, types.uint64, sums, secret, types.uint64), codegen


@kernel
def _of_many(data, at, size, seed, room):
    """Return the hash of more than 240 bytes."""
    sums, secret = room[:8], room[8:32].view(np.uint8)
    for i in range(U(12)):
        room[U(8) + U(2) * i] = load_little(SECRET, i << U(4)) + seed
        room[U(9) + U(2) * i] = load_little(SECRET, (i << U(4)) + U(8)) - seed
    sums[0], sums[1], sums[2], sums[3] = HALF_3, WORD_1, WORD_2, WORD_3
    sums[4], sums[5], sums[6], sums[7] = WORD_4, HALF_2, WORD_5, HALF_1
    stripes, last = (size - U(1)) // STRIPE, at + size - STRIPE
    for first in range(U(0), stripes, STRIPES):
        count = min(stripes - first, STRIPES)
        _add_stripes(data, at + first * STRIPE, count, sums, secret, U(0))
        if count == STRIPES:
            for i in range(U(8)):
                word = sums[i] ^ (sums[i] >> U(47)) ^ load_little(secret, SCRAMBLED + (i << U(3)))
                sums[i] = word * HALF_1
    _add_stripes(data, last, U(1), sums, secret, LAST)
    total = size * WORD_1
    for i in range(U(0), U(8), U(2)):
        place = MERGED + (i << U(3))
        one, two = sums[i] ^ load_little(secret, place), sums[i + U(1)] ^ load_little(secret, place + U(8))
        total += _folded(one, two)
    return _avalanche(total)


@kernel
def hash_bytes(data, at, size, seed, room):
    """Return the XXH3-64 of bytes.

    Parameters
    ----------
    data, at, size : uint8[...], uint64, uint64
        The bytes are ``data[at:at + size]``.
    seed : uint64
    room : uint64[ROOM]
        Workspace.

    Returns
    -------
    hash : uint64

    Examples
    --------
    >>> import xxhash
    >>> text = b"a column of numbers"
    >>> found = hash_bytes(np.frombuffer(text, np.uint8), U(0), U(len(text)), U(7), np.empty(ROOM, np.uint64))
    >>> int(found) == xxhash.xxh3_64_intdigest(text, seed=7)
    True
    """
    if size <= U(16):
        return _of_few(data, at, size, seed)
    if size <= U(240):
        return _of_some(data, at, size, seed)
    return _of_many(data, at, size, seed, room)
