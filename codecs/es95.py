"""Elasticsearch's codec for double gauges: ALP, delta, offset and greatest common divisor in blocks of 128."""

from __future__ import annotations

from typing import Any

import numpy as np

from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs._packing import bit_width
from squeezelab.codecs.base import DType, KernelCodec, Workspace
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import (
    U,
    float_of,
    load_little,
    put_varint,
    shift_down,
    store_little,
    take_varint,
    trailing_zeros,
    unzigzag,
    word_of,
    workspace,
    zigzag,
)

BLOCK = U(128)
SIGN = U(1 << 63)
ALP, DELTA, OFFSET, GCD, PACKED = U(1), U(2), U(4), U(8), U(16)
"""Bits of the byte that says which stages a block went through; packed it always is."""

POWERS = U(19)
UP = np.array([float(f"1e{power}") for power in range(19)])
DOWN = np.array([float(f"1e-{power}") for power in range(19)])
PAIRS = [(e, f) for e in range(19) for f in range(e + 1)]
PAIR_E = np.array([e for e, _ in PAIRS], np.uint64)
PAIR_F = np.array([f for _, f in PAIRS], np.uint64)

ROUNDING = 2.0**52 + 2.0**51
EXACT_ROUNDING = 2.0**52
LARGEST = 2.0**63
WHOLE = 1e-9
"""A scaled fraction this near to a whole number counts as one."""

SAMPLED = U(64)
CANDIDATES = U(5)
PATIENCE = U(2)
NARROW = U(16)
"""Differences that differ by no more than this are left to the delta stage."""
EXCEPTION_BITS = U(160)
"""Twice what an exception takes: it must be clearly worth it."""
FRESH = U(6)
"""Exceptions up to which a block keeps the powers of the one before: 5 in 100."""

MASKS = np.array(
    [[sum((1 << ones) - 1 << at for at in range(0, 64, lane)) % 2**64 for ones in range(25)] for lane in (8, 16, 32)],
    np.uint64,
)
"""For lanes of 8, 16 and 32 bits: so many low ones in each lane of a word."""

VALUES, PLACES, EXCEPTIONS, LONGS, COUNTS = range(5)
"""The rows of the workspace."""
ROWS = 5, 190


class Es95(KernelCodec):
    """Elasticsearch's ES95 codec for float64 columns, as it keeps gauges of time-series data streams.

    Each block of 128 values passes through stages, each of which looks at the block and may decline: ALP makes whole
    numbers of decimals, numbers that only rise or only fall become differences, the smallest number and the greatest
    common divisor are taken away, and what is left is packed in one width. Choose it to see what metrics take in
    Elasticsearch. Blocks are short and packed simply, so that any value is read fast; real doubles are not compressed.

    Notes
    -----
    Values are taken as integers of the same order: the bits of a double, all but the sign turned where it is set. The
    last block is filled up with zeros. Payload, for each block::

        1 byte     which stages it went through: 1 ALP, 2 delta, 4 offset, 8 divisor; and 16, always
        varint     width: 0 to 24, 32, 40, 48, 56 or 64 bits
        packed     128 numbers; up to 24 bits in lanes of 8, 16 or 32 bits, most significant bits first, in
                   little-endian words; 32 bits as two in a word; more as so many little-endian bytes each
        varint     the divisor, less 2
        varint     the smallest number, zigzag
        varint     the first number, less the first difference, zigzag
        2 bytes    powers of ten e and f: a number d is d * (10^f * 10^-e)
        varint     how many exceptions; for each the place, a varint, and the integer, 8 bytes little-endian

    ALP differs from its paper's (see `alp`): the powers are multiplied with each other first, which brings fewer
    decimals back; a block takes over those of the one before where at most 6 values are exceptions; else up to five
    pairs that are best for every other value are tried. It is declined where the differences of the integers are nearly
    the same, and where exceptions cost more than half of what it saves.

    What Elasticsearch keeps elsewhere is left out: where each block begins, and which documents have a value. It takes
    no NaN and no infinity; here their bits come back like all others.

    References
    ----------
    elastic/elasticsearch, server/src/main/java/org/elasticsearch/index/codec/tsdb: pipeline/numeric/stages/
    AlpDoubleTransformStage.java (commit 1217705407f4) and AlpDoubleUtils.java, as of the same week; Delta-, Offset-,
    Gcd- and BitPackCodecStage.java; pipeline/StaticPipelineConfigResolver.java (commit 1070c29a2512), which names these
    stages for double gauges. Every block is, byte for byte, what a copy of that Java makes of it, run apart from the
    rest of Elasticsearch: compared on the columns of ALP's paper, the Westermo data and random bits.

    Examples
    --------
    >>> codec = Es95()
    >>> codec.decode(codec.encode(np.array([22.5, 22.7, -0.0, 22.6])))
    array([22.5, 22.7, -0. , 22.6])
    """

    name = "es95"
    dtypes = (FLOAT64,)
    # A block of zeros takes two bytes.
    max_expansion = 512

    def worst_case_bytes(self, count: int) -> int:
        """At most a block as it is, and what its stages can add."""
        return (count // int(BLOCK) + 1) * (2 + 1024 + 3 * 10 + 4 + 9 * int(BLOCK))

    def encoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return encode_es95, (workspace(*ROWS),)

    def decoder(self, dtype: DType) -> tuple[Any, Workspace]:
        """Return the kernel, and what it works in."""
        return decode_es95, (workspace(*ROWS),)


@kernel(forceinline=True)
def _sortable(word):
    """Return a double's bits as an integer in the order of doubles, and such an integer as bits."""
    return word ^ (shift_down(word, U(63)) & ~SIGN)


@kernel(forceinline=True)
def _less(a, b):
    """Compare two integers in two's complement."""
    return a ^ SIGN < b ^ SIGN


@kernel(forceinline=True)
def _size(number):
    """Return how large an integer is, regardless of its sign."""
    return U(0) - number if number & SIGN else number


@kernel(forceinline=True)
def _round(x):
    """Return the integer nearest to a float64 as Java does it: saturated, and 0 for NaN."""
    if abs(x) < EXACT_ROUNDING:
        rounded = U(abs(x) + ROUNDING) - U(ROUNDING)
        return rounded if x >= 0.0 else U(0) - rounded
    if x >= LARGEST:
        return ~SIGN
    if x <= -LARGEST:
        return SIGN
    return U(np.int64(x)) if x == x else U(0)


@kernel(forceinline=True)
def _float(number):
    return np.float64(np.int64(number))


@kernel(forceinline=True)
def _key(e, f):
    return (e * (e + U(1)) >> U(1)) + f


@kernel
def _estimate_places(value):
    """Return how many decimal places a number seems to have, 18 if no fewer."""
    magnitude = abs(value)
    fraction = magnitude - np.floor(magnitude)
    if fraction == 0.0:
        return U(0)
    for places in range(U(1), POWERS):
        scaled = fraction * UP[places]
        if abs(scaled - _float(_round(scaled))) < WHOLE:
            return U(places)
    return POWERS - U(1)


@kernel
def _best_pair(word):
    """Return the key of the smallest powers that bring a double back; 0 if there are none."""
    value = float_of(word)
    if value == 0.0 or not np.isfinite(value):
        return U(0)
    least = _estimate_places(value)
    for e in range(least, POWERS):
        if word_of(_float(_round(value * UP[e])) * DOWN[e]) == word:
            return _key(U(e), U(0))
    for e in range(max(least, U(1)), POWERS):
        for f in range(U(1), e + U(1)):
            if word_of(_float(_round(value * (UP[e] * DOWN[f]))) * UP[f] * DOWN[e]) == word:
                return _key(U(e), U(f))
    return U(0)


@kernel
def _cost(values, e, f):
    """Return the bits that a block takes with a pair of powers, and its exceptions."""
    up, down = UP[e] * DOWN[f], UP[f] * DOWN[e]
    least, most, exceptions = ~SIGN, SIGN, U(0)
    for i in range(BLOCK):
        word = _sortable(values[i])
        number = _round(float_of(word) * up)
        if word_of(_float(number) * down) == word:
            least = number if _less(number, least) else least
            most = number if _less(most, number) else most
        else:
            exceptions += U(1)
    span = most - least
    width = U(1) if span == U(0) or span & SIGN else bit_width(span)
    # A place below 128 takes one byte.
    return width * (BLOCK - exceptions) + U(72) * exceptions, exceptions


@kernel
def _find_pair(values, counts):
    """Return the powers that are best for a block, and its exceptions."""
    counts[:] = U(0)
    for i in range(U(0), BLOCK, BLOCK // SAMPLED):
        counts[_best_pair(_sortable(values[i]))] += U(1)
    none = counts[U(0)] == U(0)
    best, fewest, exceptions, worse = U(0), ~U(0), BLOCK, U(0)
    for _ in range(CANDIDATES):
        key, most = U(0), U(0)
        for i in range(U(counts.size)):
            if counts[i] > most:
                key, most = U(i), counts[i]
        if most == U(0):
            break
        counts[key] = U(0)
        none |= key == U(0)
        bits, others = _cost(values, PAIR_E[key], PAIR_F[key])
        if bits < fewest:
            best, fewest, exceptions, worse = key, bits, others, U(0)
        else:
            worse += U(1)
            if worse == PATIENCE:
                break
    bits, others = _cost(values, U(0), U(0))
    if bits < fewest:
        best, exceptions = U(0), others
    return PAIR_E[best], PAIR_F[best], exceptions


@kernel
def _count_exceptions(values, e, f):
    return _cost(values, e, f)[1]


@kernel
def _bits_saved(values, e, f):
    """Return by how many bits the widest number shrinks; 0 where it grows."""
    up, before, after = UP[e] * DOWN[f], U(0), U(0)
    for i in range(BLOCK):
        number = _round(float_of(_sortable(values[i])) * up)
        before |= values[i] ^ shift_down(values[i], U(63))
        after |= number ^ shift_down(number, U(63))
    return bit_width(before) - min(bit_width(before), bit_width(after))


@kernel
def _has_even_steps(values):
    """Return whether a block's differences are nearly the same, but for a block of one value."""
    first = values[U(1)] - values[U(0)]
    least, most = first, first
    for i in range(U(2), BLOCK):
        step = values[i] - values[i - U(1)]
        least = step if _less(step, least) else least
        most = step if _less(most, step) else most
    return first != U(0) and most - least <= NARROW


@kernel
def _choose_pair(values, counts, e, f, allowed):
    """Return whether ALP applies, its powers, and the exceptions to allow; the last block's are given."""
    if _has_even_steps(values):
        return False, e, f, allowed
    if e < POWERS and _count_exceptions(values, e, f) <= min(FRESH, allowed):
        return True, e, f, allowed
    new_e, new_f, exceptions = _find_pair(values, counts)
    saved = _bits_saved(values, new_e, new_f)
    most = saved * BLOCK // EXCEPTION_BITS
    if saved == U(0) or exceptions > most:
        return False, e, f, allowed
    return True, new_e, new_f, most


@kernel
def _apply_alp(values, e, f, places, exceptions):
    """Make integers of a block, and return how many are exceptions."""
    up, down, found = UP[e] * DOWN[f], UP[f] * DOWN[e], U(0)
    for i in range(BLOCK):
        word = _sortable(values[i])
        number = _round(float_of(word) * up)
        if word_of(_float(number) * down) == word:
            values[i] = number
        else:
            places[found], exceptions[found] = i, values[i]
            found += U(1)
            values[i] = values[i - U(1)] if i else U(0)
    return found


@kernel
def _is_monotonic(values):
    rises, falls = U(0), U(0)
    for i in range(U(1), BLOCK):
        rises += U(_less(values[i - U(1)], values[i]))
        falls += U(_less(values[i], values[i - U(1)]))
    return (rises >= U(2) and falls == U(0)) or (falls >= U(2) and rises == U(0))


@kernel
def _smallest(values):
    """Return the smallest number where taking it away helps, else 0."""
    least, most = values[U(0)], values[U(0)]
    for i in range(BLOCK):
        least = values[i] if _less(values[i], least) else least
        most = values[i] if _less(most, values[i]) else most
    return U(0) if (most - least) & SIGN or _size(least) < _size(most) >> U(2) else least


@kernel
def _divisor(values):
    """Return the greatest common divisor, 0 if all numbers are."""
    divisor = U(0)
    for i in range(BLOCK):
        rest = _size(values[i])
        while rest:
            divisor, rest = rest, divisor % rest
        if divisor == U(1):
            break
    return divisor


@kernel
def _divide(values, divisor):
    shift = trailing_zeros(divisor)
    for i in range(BLOCK):
        number = values[i]
        if divisor & (divisor - U(1)) == U(0):
            values[i] = shift_down(number, shift)
        else:
            values[i] = U(0) - _size(number) // divisor if number & SIGN else number // divisor


@kernel(forceinline=True)
def _lane(width):
    """Return the bits of a lane, and its row of masks."""
    return (U(8), U(0)) if width <= U(8) else (U(16), U(1)) if width <= U(16) else (U(32), U(2))


@kernel
def _pack_lanes(values, width, longs, buffer, at):
    """Write 128 numbers of 1 to 24 bits; return the byte after them."""
    lane, kind = _lane(width)
    rows, words, masks = U(2) * lane, U(2) * width, MASKS[kind]
    for i in range(rows):
        longs[i] = U(0)
        for k in range(U(64) // lane):
            longs[i] |= values[k * rows + i] << (U(64) - lane - k * lane)
    shift, i = lane - width, words
    for k in range(words):
        store_little(buffer, at + U(8) * k, longs[k] << shift)
    while shift >= width:
        shift -= width
        for k in range(words):
            place = at + U(8) * k
            store_little(buffer, place, load_little(buffer, place) | longs[i + k] << shift)
        i += words
    # What is left of each lane takes the other numbers, in pieces.
    room, place, free, left = shift, at, shift, width
    while i < rows:
        piece = min(free, left)
        left -= piece
        free -= piece
        bits = (longs[i] >> left & masks[piece]) << free
        store_little(buffer, place, load_little(buffer, place) | bits)
        if left == U(0):
            i, left = i + U(1), width
        if free == U(0):
            place, free = place + U(8), room
    return at + U(8) * words


@kernel
def _unpack_lanes(data, at, width, longs, values):
    """Read 128 numbers of 1 to 24 bits."""
    lane, kind = _lane(width)
    rows, words, masks = U(2) * lane, U(2) * width, MASKS[kind]
    shift, i = lane, U(0)
    while shift >= width:
        shift -= width
        for k in range(words):
            longs[i + k] = load_little(data, at + U(8) * k) >> shift & masks[width]
        i += words
    room, place, free, left = shift, at, shift, width
    if i < rows:
        longs[i] = U(0)
    while i < rows:
        piece = min(free, left)
        left -= piece
        free -= piece
        longs[i] |= (load_little(data, place) >> free & masks[piece]) << left
        if left == U(0):
            i, left = i + U(1), width
            if i < rows:
                longs[i] = U(0)
        if free == U(0):
            place, free = place + U(8), room
    ones = (U(1) << lane) - U(1)
    for row in range(rows):
        for k in range(U(64) // lane):
            values[k * rows + row] = longs[row] >> (U(64) - lane - k * lane) & ones


@kernel
def _pack(values, longs, buffer, at):
    """Write a block's width and numbers; return the byte after them."""
    every = U(0)
    for i in range(BLOCK):
        every |= values[i]
    width = bit_width(every)
    width = width if width <= U(24) else (width + U(7)) & ~U(7)
    buffer[at] = width
    at += U(1)
    if width == U(0):
        return at
    if width <= U(24):
        return _pack_lanes(values, width, longs, buffer, at)
    if width == U(32):
        for i in range(U(64)):
            store_little(buffer, at + U(8) * i, values[i] << U(32) | values[i + U(64)])
    else:
        for i in range(BLOCK):
            store_little(buffer, at + i * (width >> U(3)), values[i])
    return at + U(16) * width


@kernel
def _unpack(data, at, stop, longs, values):
    """Read a block's width and numbers; return the byte after them, 0 if they are damaged."""
    width = U(data[at])
    past = at + U(1) + U(16) * width
    if width > U(64) or (width > U(24) and (width & U(7) or width == U(0))) or past > stop:
        return U(0)
    at += U(1)
    if width == U(0):
        values[:BLOCK] = U(0)
    elif width <= U(24):
        _unpack_lanes(data, at, width, longs, values)
    elif width == U(32):
        for i in range(U(64)):
            word = load_little(data, at + U(8) * i)
            values[i], values[i + U(64)] = word >> U(32), word & U(0xFFFFFFFF)
    else:
        for i in range(BLOCK):
            values[i] = load_little(data, at + i * (width >> U(3))) & ~U(0) >> (U(64) - width)
    return past


@kernel
def encode_es95(words, work, buffer):
    """Write the payload of uint64 words into a buffer; return its bytes."""
    values, places, exceptions, at = work[VALUES], work[PLACES], work[EXCEPTIONS], U(0)
    e, f, allowed = POWERS, U(0), U(0)
    for start in range(U(0), U(words.size), BLOCK):
        count = min(BLOCK, U(words.size) - start)
        for i in range(BLOCK):
            values[i] = _sortable(words[start + i]) if i < count else U(0)
        alp, e, f, allowed = _choose_pair(values, work[COUNTS], e, f, allowed)
        found, first = U(0), U(0)
        if alp:
            found = _apply_alp(values, e, f, places, exceptions)
        delta = _is_monotonic(values)
        if delta:
            for k in range(U(1), BLOCK):
                values[BLOCK - k] -= values[BLOCK - k - U(1)]
            first = values[U(0)] - values[U(1)]
            values[U(0)] = values[U(1)]
        smallest = _smallest(values)
        for i in range(BLOCK):
            values[i] -= smallest
        divisor = _divisor(values)
        if divisor > U(1):
            _divide(values, divisor)
        stages = U(alp) * ALP | U(delta) * DELTA | U(smallest != U(0)) * OFFSET | U(divisor > U(1)) * GCD
        buffer[at] = stages | PACKED
        at = _pack(values, work[LONGS], buffer, at + U(1))
        if divisor > U(1):
            at = put_varint(buffer, at, divisor - U(2))
        if smallest:
            at = put_varint(buffer, at, zigzag(smallest))
        if delta:
            at = put_varint(buffer, at, zigzag(first))
        if alp:
            buffer[at], buffer[at + U(1)] = e, f
            at = put_varint(buffer, at + U(2), found)
            for k in range(found):
                buffer[at] = places[k]
                store_little(buffer, at + U(1), exceptions[k])
                at += U(9)
    return at


@kernel
def _undo_alp(data, at, stop, values):
    """Make doubles of a block's integers; return the byte after what that takes, 0 if it is damaged."""
    if at + U(3) > stop:
        return U(0)
    e, f, found = U(data[at]), U(data[at + U(1)]), U(data[at + U(2)])
    at += U(3)
    # Of 128 exceptions ALP would be declined.
    if e >= POWERS or f > e or found >= BLOCK or at + U(9) * found > stop:
        return U(0)
    down = UP[f] * DOWN[e]
    for i in range(BLOCK):
        values[i] = _sortable(word_of(_float(values[i]) * down))
    for _ in range(found):
        if U(data[at]) >= BLOCK:
            return U(0)
        values[U(data[at])] = load_little(data, at + U(1))
        at += U(9)
    return at


@kernel
def decode_es95(data, start, stop, work, words):
    """Fill uint64 words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    `READ_SLACK` bytes after ``stop`` must be readable.
    """
    values, at = work[VALUES], start
    for begin in range(U(0), U(words.size), BLOCK):
        if at + U(2) > stop:
            return False
        stages = U(data[at])
        at = _unpack(data, at + U(1), stop, work[LONGS], values)
        if stages & ~U(15) != PACKED or at == U(0):
            return False
        factor, smallest, first = U(1), U(0), U(0)
        if stages & GCD:
            factor, at = take_varint(data, at, stop)
            factor += U(2)
        if stages & OFFSET:
            smallest, at = take_varint(data, at, stop)
        if stages & DELTA:
            first, at = take_varint(data, at, stop)
        if at > stop:
            return False
        smallest, total = unzigzag(smallest), unzigzag(first)
        for i in range(BLOCK):
            number = values[i] * factor + smallest
            total += number
            values[i] = total if stages & DELTA else number
        if stages & ALP:
            at = _undo_alp(data, at, stop, values)
            if at == U(0):
                return False
        count = min(BLOCK, U(words.size) - begin)
        for i in range(BLOCK):
            if i < count:
                words[begin + i] = _sortable(values[i])
            elif values[i]:
                return False
    return at == stop
