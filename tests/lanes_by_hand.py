"""A slow writer of lanes of tokens with tables of contexts, from docs/format.md: of all that a reader must take."""

from __future__ import annotations

import random
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


def file_of(blocks: list[tuple[bytes, int]]) -> bytes:
    """Return a tally file of a series of int64 for each block and its count, m0, m1 and so on, at 0, 1, 2 and so on."""
    names = [f"m{i}".encode() for i in range(len(blocks))]
    clocks = [raw_block(list(range(count))) for _, count in blocks]
    body = b"".join(
        one + book.xxhash.xxh3_64_digest(one)[4:]
        for pair in zip(clocks, blocks, strict=True)
        for one in (pair[0], pair[1][0])
    )
    zeros, many = [0] * len(blocks), list(range(len(blocks)))
    spans = [count - 1 for _, count in blocks]
    columns = [
        *(zeros, [len(name) for name in names], list(b"".join(names)), many, zeros, [], []),
        *([count for _, count in blocks], [2] * len(blocks), [len(one) for one in clocks]),
        *([-span for span in [0, *spans[:-1]]], spans, many, [3] * len(blocks), zeros, []),
        [len(block) for block, _ in blocks],
    ]
    index = bytes([2, 0, 0]) + varint(35)
    for column in columns:
        block = raw_block(column)
        index += varint(len(column)) + (varint(len(block)) + block if column else b"")
    first = book.FIRST_LINES[1]
    size = len(index).to_bytes(8, "big")
    parts = size + index + book.xxhash.xxh3_64_digest(index)
    total = len(parts).to_bytes(8, "big")
    checksum = book.xxhash.xxh3_64_digest(first + parts + total)
    return first + bytes(16) + body + parts + total + checksum + book.LAST_LINE


def raw_block(numbers: list[int]) -> bytes:
    return b"\7" + b"".join((number % 2**64).to_bytes(8, "little") for number in numbers)


# Heads that must be read, and heads that must not


def any_head(rng: random.Random) -> Head:
    """Return any head that a reader must take, with a weight for token 0 in each table."""
    mantissa, wide = rng.choice([3, 3, 1, 6]), rng.random() < 0.4
    side = (120 if mantissa == 3 else 400) if wide else 12 * 2**mantissa
    low = rng.choice([0, rng.randint(1, min(side, 400))])
    count = low + rng.choice([0, rng.randint(1, min(side, 400))])
    count = max(count, 1)
    widest = max(book.token_range(token, mantissa)[0] for token in (-low, count - low - 1))
    shift = rng.randint(0, min(53, 63 - widest)) if wide and widest <= 63 else 0
    if widest > (63 if wide else 10):
        return any_head(rng)
    alphabet = None
    if rng.random() < 0.4:
        inner = rng.sample(range(count), rng.randint(0, count))
        alphabet = sorted({0, count - 1, *inner})
    tables = rng.randint(1, 16)
    steps = [rng.random() < 0.6 for _ in range(book.contexts_of(low, count, mantissa) - 1)]
    owner = [min(sum(steps[:i]), tables - 1) for i in range(len(steps) + 1)]
    made = [any_table(rng, low, count, mantissa, alphabet) for _ in range(tables)]
    return Head(low, count, owner, made, alphabet, "", mantissa, shift, wide, 11 if tables == 1 and wide else 10)


def any_table(rng: random.Random, low: int, count: int, mantissa: int, alphabet: list[int] | None) -> Explicit | Shape:
    if alphabet is None and mantissa == 3 and low <= 120 and count - low <= 120 and rng.random() < 0.5:
        first, last = sorted(rng.choices(range(min(count, 240)), k=2))
        return Shape(rng.randrange(512), first, last)
    size = len(alphabet or range(count))
    levels = [rng.randint(1, 24) if rng.random() < 0.5 else 0 for _ in range(size)]
    levels[rng.randrange(size)] = rng.randint(1, 24)
    return Explicit(levels, rng.random() < 0.5)


def any_residuals(rng: random.Random, head: Head, count: int) -> list[int]:
    """Return residuals whose tokens have a weight where they stand."""
    weights = [table.weights(head) for table in head.tables]
    tokens = [[i - head.low for i, weight in enumerate(one) if weight] for one in weights]
    residuals = []
    for lane in book.lanes_of(count):
        context = 0
        for _ in lane:
            token = rng.choice(tokens[head.owner[context]])
            context = book.context_after(token, head.mantissa)
            raw, lowest = book.token_range(token, head.mantissa)
            number = (lowest + rng.randrange(2**raw) << head.shift) + rng.randrange(2**head.shift)
            residuals.append(book.signed(number))
    return residuals


def head_of(low: int, count: int, tables: list[Explicit | Shape], mantissa: int = 3, **others: object) -> Head:
    """Return a head whose contexts 0 and 1 have the first table, 2 and 3 the second, and those beyond the third."""
    contexts = book.contexts_of(low, count, mantissa)
    owner = [min(context // 2, 2) for context in range(contexts)]
    return Head(low, count, owner, tables, mantissa=mantissa)._replace(**others)


SMALL = [0, 1, 0, -1, 1, 1] * 10
"""No residual of these is read by the third table of `head_of`."""
SHAPE, LEVELS, FIVE = Shape(200, 0, 80), Explicit([9] * 81), Explicit([0, 9, 8, 7, 1], True)
PLAIN = head_of(40, 81, [SHAPE, LEVELS, SHAPE])
LETTERS = head_of(40, 81, [FIVE] * 3, alphabet=[0, 39, 40, 41, 80])
ONE = PLAIN._replace(owner=[0] * len(PLAIN.owner), tables=[LEVELS])
WHOLE = {
    "shapes and levels": PLAIN,
    "an alphabet": LETTERS,
    "one table": ONE,
    "one table of 2^11 slots": ONE._replace(g=11),
    "planes": PLAIN._replace(shift=3, wide=True),
    "one mantissa bit": head_of(16, 33, [Explicit([9] * 33)] * 3, mantissa=1),
    "16 tables": head_of(400, 800, [Explicit([9] * 800)] * 16, owner=[*range(16), *[15] * 16], wide=True, shift=15),
    "a table that no context has": PLAIN._replace(tables=[SHAPE, LEVELS, SHAPE, LEVELS]),
}
DAMAGED = {
    "a context beyond the tables": PLAIN._replace(tables=[SHAPE, LEVELS]),
    "a context beyond 16 tables": WHOLE["16 tables"]._replace(owner=[*range(17), *[16] * 15]),
    "a range that begins after its end": PLAIN._replace(tables=[SHAPE, LEVELS, Shape(200, 41, 40)]),
    "a range beyond the tokens": PLAIN._replace(tables=[SHAPE, LEVELS, Shape(200, 0, 81)]),
    "a range far beyond the tokens": PLAIN._replace(tables=[SHAPE, LEVELS, Shape(200, 255, 255)]),
    "no level at all": PLAIN._replace(tables=[SHAPE, LEVELS, Explicit([0] * 81)]),
    "a level of 25": PLAIN._replace(tables=[SHAPE, LEVELS, Explicit([25] * 81)]),
    "a level below 1": PLAIN._replace(tables=[SHAPE, LEVELS, Explicit([-1] * 81)]),
    "a run of no levels beyond the tokens": PLAIN._replace(tables=[SHAPE, LEVELS, Explicit([9] * 80 + [0] * 2)]),
    "three tables of 2^11 slots": PLAIN._replace(g=11),
    "a table of 2^12 slots": ONE._replace(g=12),
    "a table of 2^9 slots": ONE._replace(g=9),
    "a shape of one mantissa bit": head_of(16, 33, [Explicit([9] * 33)] * 2 + [Shape(200, 0, 32)], mantissa=1),
    "a shape of too many tokens": head_of(121, 200, [Explicit([9] * 200)] * 2 + [Shape(200, 90, 140)], wide=True),
    "an alphabet beyond the tokens": head_of(40, 81, [Explicit([9] * 6)] * 3, alphabet=[0, 39, 40, 41, 80, 81]),
    "an alphabet far beyond the tokens": LETTERS._replace(code=gamma(2**20 - 1)),
    "an alphabet of a gap far beyond the tokens": LETTERS._replace(code=gamma(0) + gamma(2**20 - 1) + gamma(0)),
    "an alphabet without the last token": head_of(
        40, 81, [Explicit([9] * 4)] * 3, alphabet=[0, 39, 40, 41], code=alphabet_bits([0, 39, 40, 41]) + gamma(38)
    ),
    "no level in an alphabet": LETTERS._replace(tables=[FIVE, FIVE, Explicit([0] * 5)]),
    "more levels than tokens in an alphabet": LETTERS._replace(tables=[FIVE, FIVE, Explicit([9] * 4 + [0] * 2)]),
    "a token of 64 raw bits and shift": WHOLE["16 tables"]._replace(shift=16),
    "a token of 11 raw bits without planes": head_of(100, 200, [Explicit([9] * 200)] * 3),
    "54 bits of shift": PLAIN._replace(shift=54, wide=True),
}
