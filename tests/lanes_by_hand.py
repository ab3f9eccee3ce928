"""A slow writer of lanes of tokens with tables of contexts, from docs/format.md: of all that a reader must take."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import NamedTuple

import tally_by_the_book as book
from squeezelab.codecs._frame import varint

KIND, PATCHED, WIDE, SPARSE = 3, 16, 32, 64


def low_bits(number: int, size: int) -> str:
    """Return the bits of a number, the lowest first."""
    return f"{number:0{size}b}"[::-1] if size else ""


def gamma(number: int) -> str:
    k = (number + 1).bit_length() - 1
    return "0" * k + "1" + low_bits(number + 1 - 2**k, k)


def to_bytes(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


class Explicit(NamedTuple):
    """A table of levels, 0 where a token has none."""

    levels: list[int]
    sparse: bool = False

    def bits(self, shapes: bool) -> str:
        marker, level, bits = 0 if self.sparse else 3, 6, "1" * shapes + str(int(self.sparse))
        for some, group in groupby(self.levels, bool):
            run = list(group)
            if not some:
                bits += gamma(marker) + gamma(len(run) - 1)
                continue
            for before, after in pairwise([level, *run]):
                folded = int(2 * abs(after - before) - (after < before))
                bits += gamma(folded + (folded >= marker))
            level = run[-1]
        return bits

    def weights(self, head: Head) -> list[int]:
        found = dict(zip(head.alphabet or range(head.count), self.levels, strict=True))
        return [book.math.isqrt(2 ** (15 + found[i])) if found.get(i) else 0 for i in range(head.count)]


class Shape(NamedTuple):
    """A shape, and the first and the last token that have a weight in it."""

    number: int
    first: int
    last: int

    def bits(self, shapes: bool) -> str:
        return "0" * shapes + low_bits(self.number, 9) + low_bits(self.first, 8) + low_bits(self.last, 8)

    def weights(self, head: Head) -> list[int]:
        of = book.shape_weights(self.number)
        return [of[i - head.low] if self.first <= i <= self.last else 0 for i in range(head.count)]


class Head(NamedTuple):
    """What stands before the lanes' states.

    Attributes
    ----------
    owner
        Of each context its table.
    alphabet
        The tokens that there are, counted from the lowest; None if the stream is not sparse.
    code
        Stands for the alphabet's bits, if it is given.
    """

    low: int
    count: int
    owner: list[int]
    tables: list[Explicit | Shape]
    alphabet: list[int] | None = None
    code: str = ""
    mantissa: int = 3
    shift: int = 0
    wide: bool = False
    g: int = 10

    def to_bytes(self, patched: bool, states: str) -> bytes:
        sparse = self.alphabet is not None
        first = KIND | (3, 1, 6).index(self.mantissa) << 2 | PATCHED * patched | WIDE * self.wide | SPARSE * sparse
        numbers = bytes([first, self.g | len(self.tables) - 1 << 4]) + varint(self.low) + varint(self.count)
        bits = "".join(str(after - before) for before, after in pairwise(self.owner))
        bits += self.code or alphabet_bits(self.alphabet or [])
        bits += "".join(table.bits(not sparse) for table in self.tables)
        return numbers + bytes([self.shift] * self.wide) + to_bytes(bits + states)


def alphabet_bits(alphabet: list[int]) -> str:
    bits, before = "", -1
    for _, group in groupby(enumerate(alphabet), lambda pair: pair[1] - pair[0]):
        run = [token for _, token in group]
        bits += (gamma(run[0] - before - 2) if before >= 0 else "") + gamma(len(run) - 1)
        before = run[-1]
    return bits


class Step(NamedTuple):
    """What a residual is: a token in a context, raw bits in the state, and others in the plane."""

    lane: int
    context: int
    token: int
    size: int
    raw: int
    plane: str


def step_of(residual: int, lane: int, context: int, head: Head) -> Step:
    number = residual >> head.shift
    z = number if number >= 0 else -1 - number
    bits = max(z.bit_length() - head.mantissa - 1, 0)
    token = (bits << head.mantissa) + (z >> bits)
    token = token if number >= 0 else -1 - token
    _, lowest = book.token_range(token, head.mantissa)
    below = max(bits - 10, 0)
    plane = low_bits(residual & 2 ** (below + head.shift) - 1, below + head.shift)
    return Step(lane, context, token, bits - below, number - lowest >> below, plane)


def steps_of(residuals: list[int], head: Head) -> list[Step]:
    """Return all steps, in the order in which a reader takes them."""
    lanes, steps = book.lanes_of(len(residuals)), []
    contexts = [0] * len(lanes)
    for i in range(len(lanes[0])):
        for lane, places in enumerate(lanes):
            if i < len(places):
                steps.append(step_of(residuals[places[i]], lane, contexts[lane], head))
                contexts[lane] = book.context_after(steps[-1].token, head.mantissa)
    return steps


def write_lanes(residuals: list[int], head: Head, patches: Iterable[tuple[int, int]] = ()) -> bytes:
    """Return residuals with what stands before them; patches are places, each with the residual that belongs there."""
    patched = sorted(patches)
    steps, lanes = steps_of(residuals, head), len(book.lanes_of(len(residuals)))
    slots: dict[int, list[book.Slot]] = {}
    states, words = [2**23] * lanes, b""
    for step in reversed(steps):
        table = head.owner[step.context]
        if table not in slots:
            slots[table] = book.slots_of(head.tables[table].weights(head), head.low, head.g)
        f = next(slot.slots for slot in slots[table] if slot.token == step.token)
        u = next(v for v, slot in enumerate(slots[table]) if slot.token == step.token)
        x = states[step.lane]
        if x >= f << 55 - head.g - step.size:
            words, x = (x % 2**32).to_bytes(4, "little") + words, x >> 32
        x = (x << step.size) + step.raw
        states[step.lane] = (x // f << head.g) + x % f + u
    sizes = [x.bit_length() - 1 for x in states]
    bits = [low_bits(size - 23, 5) + low_bits(x - 2**size, size) for x, size in zip(states, sizes, strict=True)]
    listed = varint(len(patched)) if patched else b""
    for (before, _), (place, residual) in pairwise([(0, 0), *patched]):
        listed += varint(place - before) + varint(2 * residual if residual >= 0 else -2 * residual - 1)
    planes = ["".join(step.plane for step in steps if step.lane == lane) for lane in range(lanes) if head.wide]
    listed += b"".join(varint(len(plane)) for plane in planes) + b"".join(map(to_bytes, planes))
    return head.to_bytes(bool(patched), "".join(bits)) + listed + words


def block_of(lanes: bytes) -> bytes:
    """Return a block of integers that are these residuals, not predicted."""
    return b"\0\1\0" + lanes


def payload_of(lanes: bytes) -> bytes:
    """Return a frame's payload of this one block."""
    block = block_of(lanes)
    return b"\2" + varint(len(block)) + block
