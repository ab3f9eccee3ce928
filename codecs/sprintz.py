"""Sprintz: blocks of eight integers, predicted, and packed in as few bits as the largest error needs."""

from __future__ import annotations

import numpy as np

from squeezelab.codecs._frame import INTEGERS, Bytes, Frame
from squeezelab.codecs._packing import bit_width
from squeezelab.codecs.base import Column, ColumnCodec
from squeezelab.errors import CorruptDataError
from squeezelab.kernels import kernel
from squeezelab.kernels.bits import WRITE_SLACK, U, load_little, scratch, shift_down, store_little
from squeezelab.registry import check_choice

PREDICTORS = ("delta", "fire")
BLOCK = U(8)
GROUP = U(16)
"""Two blocks share a header."""
FEWEST = U(128)
"""Shorter columns are kept as they are."""
LONGEST_RUN = U(0x7FFF)
HEADER = U(8)
LEARNING_SHIFT = U(1)
WIDEST_FOR_FIRE = 2
EARLIER_FIRE = "sprintz_fire"
"""What earlier frames of FIRE are bound to, whose payload does not tell it."""


class Sprintz(ColumnCodec):
    """Sprintz for integer columns, one variable at a time.

    Each value is predicted from the one before, or from the two before by FIRE, which learns online how much of the
    last difference to expect again. Of eight errors each takes the bits of the largest, and blocks without errors
    become a count. Choose it where memory is scarce, as on a sensor, and for short integers: there it is from.

    Parameters
    ----------
    predictor : {"delta", "fire"}
        Fire takes integers of 8 and 16 bits alone, as in the paper: its coefficient learns at a rate that is relative
        to the range of all numbers, and of 64 bits no metric moves it.

    Notes
    -----
    Payload, little-endian, as the authors' program writes it::

        4 bytes    number of groups
        2 bytes    values after the last group
        2 bytes    1, the number of variables; with the top bit set for FIRE, an addition by which a frame tells it
        groups
        values     after the last group, or all of fewer than 128, as they are

        header     of each of two blocks the bits of an error, in 3, 4, 5 or 6 bits for integers of 8 to 64 bits, the
                   first one in the lowest bits: one byte, or two; one less than all bits stands for all bits
        a block    8 errors, zigzag, least significant bit first; where it has no bits, a count of blocks without
                   errors: 7 bits, and 8 more of it where the top bit is set

    The authors' program takes integers of 8 and 16 bits; those of 32 and 64 are laid out alike, which the paper leaves
    open. Its entropy coder, Huffman's, comes after and apart there: here a byte codec can, `sprintz+zstd`.

    References
    ----------
    D. Blalock, S. Madden, J. Guttag, "Sprintz: Time Series Compression for the Internet of Things", IMWUT 2(3), 2018;
    dblalock/sprintz, cpp/Compress/sprintz_delta_lowdim.cpp and sprintz_xff_lowdim.cpp (commit a056cdb), which wrote the
    same bytes of integers of 8 and 16 bits, but for the bit of FIRE.

    Examples
    --------
    >>> codec = Sprintz()
    >>> codec.decode(codec.encode(np.array([1_700_000_000, 1_700_000_015, 1_700_000_031])))
    array([1700000000, 1700000015, 1700000031])
    """

    name = "sprintz"
    dtypes = INTEGERS
    # Two runs of 2^15 blocks of integers of 64 bits take 6 bytes.
    max_expansion = 2 * 8 * 8 * 2**15 // 6 + 1
    earlier_names = (EARLIER_FIRE,)

    def __init__(self, predictor: str = "delta") -> None:
        check_choice("sprintz", "predictor", predictor, PREDICTORS)
        self.predictor = predictor
        if predictor == "fire":
            self.dtypes = tuple(dtype for dtype in INTEGERS if dtype.itemsize <= WIDEST_FOR_FIRE)

    def pack(self, column: Column) -> Bytes:
        """Encode the integers, as words of their low bits."""
        size = column.dtype.itemsize
        words = column.view(f"u{size}").astype(np.uint64)
        # A block without a gain takes its bytes, and half a header.
        buffer = scratch(int(HEADER) + (size + 1) * words.size + 64 + WRITE_SLACK)
        fire = U(self.predictor == "fire")
        return buffer[: int(encode_sprintz(words, U(8 * size), fire, np.zeros(8, np.uint64), buffer))]

    def unpack(self, data: Bytes, frame: Frame, column: Column) -> None:
        """Decode the integers."""
        size = column.dtype.itemsize
        words = np.empty(column.size, np.uint64)
        fire = U(frame.name == EARLIER_FIRE)
        if not decode_sprintz(data, U(frame.start), U(frame.stop), U(8 * size), fire, words):
            raise CorruptDataError("the sprintz payload does not hold the values it promises: it is damaged")
        column.view(f"u{size}")[:] = words


@kernel(forceinline=True)
def _signed(word, bits):
    """Return the integer of the low bits of a word, in two's complement of 64 bits."""
    return shift_down(word << (U(64) - bits), U(64) - bits)


@kernel(forceinline=True)
def _predict(delta, counter, bits, fire):
    """Return the difference to expect after one: none, or its learned part."""
    if not fire:
        return U(0)
    coefficient = shift_down(counter, LEARNING_SHIFT)
    # The counter has twice the bits, and so has the product.
    return shift_down(_signed(delta * coefficient, U(2) * bits), bits)


@kernel(forceinline=True)
def _learn(counter, gradient, bits):
    """Return the counter, moved by the mean of the errors that were sampled."""
    return _signed(counter + shift_down(_signed(gradient, bits), U(2)), U(2) * bits)


@kernel(forceinline=True)
def _along(delta, error):
    """Return a difference, turned where the error is negative; none where there is no error."""
    return U(0) if error == U(0) else U(0) - delta if error >> U(63) else delta


@kernel(forceinline=True)
def _code_bits(bits):
    """Return how many bits say a width."""
    return U(3) if bits == U(8) else U(4) if bits == U(16) else U(5) if bits == U(32) else U(6)


@kernel
def _read_block(words, i, bits, fire, state, errors):
    """Fill the errors of the eight values from one on, zigzag, and return how many bits they take.

    The state is the value before, the difference before, and the counter.
    """
    previous, delta, counter, gradient, every = state[0], state[1], state[2], U(0), U(0)
    for k in range(BLOCK):
        value = words[i + k]
        step = _signed(value - previous, bits)
        error = _signed(step - _predict(delta, counter, bits, fire), bits)
        if k & U(1):
            gradient += _along(delta, error)
        errors[k] = ((error << U(1)) ^ shift_down(error, U(63))) & (~U(0) >> (U(64) - bits))
        every |= errors[k]
        previous, delta = value, step
    state[0], state[1], state[2] = previous, delta, _learn(counter, gradient, bits)
    width = bit_width(every)
    return width + U(width == bits - U(1))


@kernel
def _put_run(buffer, at, run):
    """Write how many blocks a run has; return the byte after it."""
    buffer[at] = run & U(0x7F)
    if run > U(0x7F):
        buffer[at] |= 0x80
        buffer[at + U(1)] = run >> U(7)
        return at + U(2)
    return at + U(1)


@kernel
def _put_errors(errors, width, buffer, at):
    """Write eight errors, of a width each, least significant bit first; return the byte after them."""
    pending, fill, place = U(0), U(0), at
    for k in range(BLOCK):
        pending |= errors[k] << fill
        fill += width
        if fill >= U(64):
            store_little(buffer, place, pending)
            place += U(8)
            fill -= U(64)
            pending = errors[k] >> (width - fill) if fill else U(0)
    store_little(buffer, place, pending)
    return at + width


@kernel
def _put_plain(words, i, size, buffer, at):
    """Write the values from one on as they are; return the byte after them."""
    for k in range(i, U(words.size)):
        store_little(buffer, at, words[k])
        at += size
    return at


@kernel
def encode_sprintz(words, bits, fire, errors, buffer):
    """Write the payload of integers of so many bits, as the low bits of words; return its bytes."""
    count, code, state = U(words.size), _code_bits(bits), np.zeros(3, np.uint64)
    at, i, groups, run, block, width = HEADER, U(0), U(0), U(0), U(2), U(0)
    head, header, ended = U(0), U(0), bool(count < FEWEST)
    while not ended and (block < U(2) or i + GROUP <= count):
        width = _read_block(words, i, bits, fire, state, errors)
        placed = False
        while not placed and not ended:
            if block == U(2):
                # A group that is begun is finished.
                groups, head, header, block = groups + U(1), at, U(0), U(0)
                at += (U(2) * code + U(7)) >> U(3)
            if width == U(0) and run < LONGEST_RUN:
                run, i, placed = run + U(1), i + BLOCK, True
                if i + GROUP >= count:
                    at = _put_run(buffer, at, run)
                    if block == U(0):
                        buffer[at] = 0
                        at += U(1)
                    ended = True
            elif run:
                at = _put_run(buffer, at, run)
                run = U(0)
                block += U(1)
            else:
                header |= (width - U(width == bits)) << (code * block)
                at = _put_errors(errors, width, buffer, at)
                i, block, placed = i + BLOCK, block + U(1), True
            if block == U(2) or ended:
                buffer[head] = header
                if code > U(4):
                    buffer[head + U(1)] = header >> U(8)
    store_little(buffer, U(0), groups | (count - i) << U(32) | U(1) << U(48) | fire << U(63))
    return _put_plain(words, i, bits >> U(3), buffer, at)


@kernel
def _follow(words, i, error, bits, fire, state):
    """Set the value that has an error."""
    state[1] = _signed(error + _predict(state[1], state[2], bits, fire), bits)
    state[0] = (state[0] + state[1]) & (~U(0) >> (U(64) - bits))
    words[i] = state[0]


@kernel
def _take_block(data, at, width, bits, fire, state, words, i):
    """Set eight values from their errors."""
    mask, gradient, counter = ~U(0) >> (U(64) - width), U(0), state[2]
    for k in range(BLOCK):
        place = k * width
        word = load_little(data, at + (place >> U(3))) >> (place & U(7))
        if (place & U(7)) + width > U(64):
            word |= U(data[at + (place >> U(3)) + U(8)]) << (U(64) - (place & U(7)))
        word &= mask
        error = (word >> U(1)) ^ (U(0) - (word & U(1)))
        if k & U(1):
            gradient += _along(state[1], error)
        _follow(words, i + k, error, bits, fire, state)
    state[2] = _learn(counter, gradient, bits)


@kernel
def decode_sprintz(data, start, stop, bits, fire, words):
    """Fill words from the payload ``data[start:stop]``; return whether it holds exactly these many.

    It is FIRE's where the payload says so, or ``fire`` is 1. `READ_SLACK` bytes after ``stop`` must be readable.
    """
    if start + HEADER > stop:
        return False
    count, code, state, size = U(words.size), _code_bits(bits), np.zeros(3, np.uint64), bits >> U(3)
    head = load_little(data, start)
    groups, rest, at, i = head & U(0xFFFFFFFF), head >> U(32) & U(0xFFFF), start + HEADER, U(0)
    fire |= head >> U(63)
    if head >> U(48) & U(0x7FFF) != U(1) or (fire and size > U(WIDEST_FOR_FIRE)):
        return False
    for _ in range(groups):
        if at >= stop:
            return False
        header = load_little(data, at)
        at += (U(2) * code + U(7)) >> U(3)
        for block in range(U(2)):
            width = header >> (code * block) & ((U(1) << code) - U(1))
            width += U(width == bits - U(1))
            if at >= stop:
                return False
            if width == U(0):
                run = U(data[at])
                at += U(1)
                if run & U(0x80):
                    run = run & U(0x7F) | U(data[at]) << U(7)
                    at += U(1)
                if BLOCK * run > count - i:
                    return False
                for _ in range(BLOCK * run):
                    _follow(words, i, U(0), bits, fire, state)
                    i += U(1)
            else:
                if at + width > stop or count - i < BLOCK:
                    return False
                _take_block(data, at, width, bits, fire, state, words, i)
                at += width
                i += BLOCK
    if rest != count - i or at + rest * size != stop:
        return False
    for k in range(i, count):
        words[k] = load_little(data, at) & (~U(0) >> (U(64) - bits))
        at += size
    return True
