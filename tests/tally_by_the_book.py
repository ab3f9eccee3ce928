"""A slow reader of .tally files, written from docs/format.md alone: the proof that the page is enough.

It shares no line with the package and reads like the page: plain Python numbers, no arrays.
"""

import itertools
import math
import struct
from collections.abc import Callable
from typing import NamedTuple

import xxhash
import zstandard

FIRST_LINES = b"squeezelab tally 1\n", b"squeezelab tally 2\n"
LAST_LINE = b"tally 2\n"
TOP = 2**63
WORD = 2**64
BLOCK = 8192
UNITS = ("s", "ms", "us", "ns")


class Series(NamedTuple):
    """One series of a file; values are the bits of doubles, so that NaNs can be compared."""

    name: str
    labels: dict[str, str]
    timestamps: list[int]
    values: list[int]


def signed(number: int) -> int:
    return (number + TOP) % WORD - TOP


def unfolded(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2


def to_float(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def to_bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def order(bits: int) -> int:
    return bits ^ (TOP - 1) if bits & TOP else bits


class Bytes:
    """Bytes that are read one behind the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        assert self.at + count <= len(self.data), "cut short"
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        number = 0
        for shift in itertools.count(0, 7):
            byte = self.byte()
            number |= byte % 128 << shift
            if byte < 128:
                assert number < WORD
                return number

    def zigzag(self) -> int:
        return unfolded(self.varint())

    def ended(self) -> bool:
        return self.at == len(self.data)


class Bits:
    """Bits that are read from the most significant one of each byte on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> int:
        assert self.at + count <= 8 * len(self.data), "cut short"
        number = 0
        for at in range(self.at, self.at + count):
            number = number << 1 | self.data[at // 8] >> 7 - at % 8 & 1
        self.at += count
        return number

    def fill_up(self) -> None:
        assert self.take(-self.at % 8) == 0

    def ended(self) -> bool:
        return self.at == 8 * len(self.data)


# The file and its index


def read(file: bytes) -> tuple[str, list[Series]]:
    """Read a whole file: the unit of its timestamps, and its series."""
    return read_1(file) if file[:19] == FIRST_LINES[0] else read_2(file)


def read_2(file: bytes) -> tuple[str, list[Series]]:
    """Read a file of version 2, all parts of which have the same unit."""
    assert file[:19] == FIRST_LINES[1]
    ends = int.from_bytes(file[19:27], "big")
    assert ends in (0, len(file))
    assert file[27:35] == (xxhash.xxh3_64_digest(file[:27]) if ends else bytes(8))
    assert file[-8:] == LAST_LINE
    size = int.from_bytes(file[-24:-16], "big")
    area = file[len(file) - 24 - size : -24]
    assert xxhash.xxh3_64_digest(file[:19] + area + file[-24:-16]) == file[-16:-8]
    unit = "s"
    joined: dict[tuple[object, ...], Series] = {}
    entries = Bytes(area)
    while not entries.ended():
        index = entries.take(int.from_bytes(entries.take(8), "big"))
        assert entries.take(8) == xxhash.xxh3_64_digest(index)
        unit, series = read_part(file, Bytes(index))
        for one in series:
            before = joined.setdefault((one.name, *one.labels.items()), one)
            if before is not one:
                before.timestamps.extend(one.timestamps)
                before.values.extend(one.values)
    return unit, list(joined.values())


def read_part(file: bytes, index: Bytes) -> tuple[str, list[Series]]:
    coder, unit, statistics = index.byte(), UNITS[index.byte()], index.byte()
    assert coder == 1
    assert statistics in (0, 2, 4)
    blocks = Bytes(file)
    blocks.take(index.varint())
    prefixes, rests, text = (signed_column(index) for _ in range(3))
    names, label_counts, label_names, label_values = (signed_column(index) for _ in range(4))
    clock_counts, clock_coders, clock_sizes, firsts, spans = (signed_column(index) for _ in range(5))
    clock_of, coders, reference_counts, distances, sizes = (signed_column(index) for _ in range(5))
    told = [[to_float(bits) for bits in read_column(index, True)] for _ in range(statistics)]
    assert not any(index.take(len(index.data) - index.at))
    assert set(clock_coders + coders) <= {1}

    strings, before, letters = [], b"", Bytes(bytes(text))
    for prefix, rest in zip(prefixes, rests, strict=True):
        before = before[:prefix] + letters.take(rest)
        strings.append(before.decode("utf-8", "surrogatepass"))
    labels: list[dict[str, str]] = [{} for _ in names]
    pairs = zip(label_names, label_values, strict=True)
    for place in range(max(label_counts, default=0)):
        for one, count in zip(labels, label_counts, strict=True):
            if place < count:
                name, value = next(pairs)
                one[strings[name]] = strings[value]
    assert not list(pairs)

    times: dict[int, list[int]] = {}
    clock_blocks = zip(clock_sizes, firsts, spans, strict=True)
    value_sizes, backs = iter(sizes), iter(distances)
    cut: list[list[bytes]] = []
    references: list[list[int]] = []
    last = 0
    for clock, count in zip(clock_of, reference_counts, strict=True):
        if clock not in times:
            assert clock == len(times)
            times[clock] = []
            for n in block_sizes(clock_counts[clock]):
                size, step, span = next(clock_blocks)
                decoded = decode_block(checked_block(blocks, size), n, False, []).numbers
                first = signed(last + step)
                last = signed(first + span)
                assert (signed(decoded[0]), signed(decoded[-1])) == (first, last)
                times[clock] += map(signed, decoded)
        references.append([next(backs) for _ in range(count)])
        cut.append([checked_block(blocks, next(value_sizes)) for _ in block_sizes(len(times[clock]))])
    series, block = [], 0
    for number, (name, clock) in enumerate(zip(names, clock_of, strict=True)):
        values: list[int] = []
        for i, count in enumerate(block_sizes(len(times[clock]))):
            others = [decode_block(cut[number - back][i], count, True, []).levels for back in references[number]]
            numbers = decode_block(cut[number][i], count, True, others).numbers
            check_statistics([one[block] for one in told], [to_float(bits) for bits in numbers])
            values += numbers
            block += 1
        series.append(Series(strings[name], labels[number], list(times[clock]), values))
    return unit, series


def read_column(index: Bytes, are_values: bool = False) -> list[int]:
    """Read a column of the index: its count, and blocks with their sizes before them."""
    numbers: list[int] = []
    for n in block_sizes(index.varint()):
        numbers += decode_block(index.take(index.varint()), n, are_values, []).numbers
    return numbers


def signed_column(index: Bytes) -> list[int]:
    return [signed(number) for number in read_column(index)]


def check_statistics(told: list[float], values: list[float]) -> None:
    """Check what the index tells of a block: minimum and maximum, and perhaps the first and last value."""
    some = [value for value in values if not math.isnan(value)]
    expected = [min(some), max(some)] if some else [math.nan, math.nan]
    for one, other in zip(told, [*expected, values[0], values[-1]], strict=False):
        assert one == other or (math.isnan(one) and math.isnan(other))


def read_1(file: bytes) -> tuple[str, list[Series]]:
    """Read a file of version 1."""
    assert file[:19] == FIRST_LINES[0]
    size = int.from_bytes(file[-16:-8], "big")
    index, trailer = file[len(file) - 16 - size : -16], file[-16:]
    assert xxhash.xxh3_64_digest(file[:19] + index + trailer[:8]) == trailer[8:]
    contents = Bytes(zstandard.ZstdDecompressor().decompress(index))
    blocks = Bytes(file[: len(file) - 16 - size])
    blocks.take(19)

    unit = UNITS[contents.byte()]
    keys = read_dictionary(Bytes(contents.take(contents.varint())))
    clocks = []
    for _ in range(contents.varint()):
        clocks.append(read_clock(contents))
    columns = []
    for _ in keys:
        clock = contents.varint()
        references = [contents.varint() for _ in range(contents.varint())]
        columns.append((clock, references, [contents.varint() for _ in block_sizes(clocks[clock][0])]))
    assert contents.ended()

    times = [decode_clock(blocks, *clock) for clock in clocks]
    cut = [[checked_block(blocks, size) for size in sizes] for _, _, sizes in columns]
    assert blocks.ended()
    series = []
    for number, ((name, labels), (clock, references, _)) in enumerate(zip(keys, columns, strict=True)):
        values: list[int] = []
        for i, count in enumerate(block_sizes(len(times[clock]))):
            others = [decode_block(cut[number - back][i], count, True, []).levels for back in references]
            values += decode_block(cut[number][i], count, True, others).numbers
        series.append(Series(name, labels, times[clock], values))
    return unit, series


def block_sizes(count: int) -> list[int]:
    return [min(BLOCK, count - begin) for begin in range(0, count, BLOCK)]


def checked_block(blocks: Bytes, size: int) -> bytes:
    block = blocks.take(size)
    assert xxhash.xxh3_64_digest(block)[4:] == blocks.take(4)
    return block


def read_dictionary(source: Bytes) -> list[tuple[str, dict[str, str]]]:
    strings = [source.take(source.varint()).decode("utf-8", "surrogatepass") for _ in range(source.varint())]
    keys = []
    for _ in range(source.varint()):
        name = strings[source.varint()]
        keys.append((name, {strings[source.varint()]: strings[source.varint()] for _ in range(source.varint())}))
    assert source.ended()
    return keys


def read_clock(source: Bytes) -> tuple[int, list[tuple[int, int, int]]]:
    """Read how many timestamps a clock has, and the size, first and last timestamp of each block."""
    count, before, blocks = source.varint(), 0, []
    for _ in block_sizes(count):
        size = source.varint()
        first = signed(before + source.zigzag())
        last = signed(first + source.zigzag())
        before = last
        blocks.append((size, first, last))
    return count, blocks


def decode_clock(blocks: Bytes, count: int, listed: list[tuple[int, int, int]]) -> list[int]:
    timestamps: list[int] = []
    for (size, first, last), n in zip(listed, block_sizes(count), strict=True):
        block = [signed(number) for number in decode_block(checked_block(blocks, size), n, False, []).numbers]
        assert (block[0], block[-1]) == (first, last)
        timestamps += block
    return timestamps


# A block


class Block(NamedTuple):
    numbers: list[int]
    levels: list[int]


def decode_block(data: bytes, n: int, are_values: bool, others: list[list[int]]) -> Block:
    source = Bytes(data)
    head_size, words_size = source.varint(), source.varint()
    head = Bytes(source.take(head_size))
    words = Bytes(source.take(words_size))
    raw = source.take(len(data) - source.at)

    flags = head.byte()
    kind, ranked, distant, states = flags & 7, flags >> 3 & 1, flags >> 4 & 1, flags >> 5 & 1
    if kind == 7:
        assert (head_size, words_size, len(raw)) == (1, 0, 8 * n)
        numbers = list(struct.unpack(f"<{n}Q", raw))
        return Block(numbers, numbers)
    coder = Coder(words, Bits(raw))
    if states:
        coder.states = [2**20 + head.varint(), 2**20 + head.varint()]
    distinct = head.varint() if ranked else n
    assert flags < 64
    assert 1 <= distinct <= n
    parameters = [head.varint() for _ in range(0 if kind == 0 else 1 if kind <= 3 else 3)]
    m, levels = read_stream(head, coder, distinct, [] if ranked else others)
    e = read_stream(head, coder, distinct, [])[0] if kind in (4, 5) else [0] * distinct
    numbers = [number(kind, parameters, *pair, are_values) for pair in zip(m, e, strict=True)]
    if distant:
        c = head.varint()
        assert 1 <= c <= distinct
        gaps, distances = (read_stream(head, coder, c, [])[0] for _ in range(2))
        i = -1
        for gap, distance in zip(gaps, distances, strict=True):
            i += gap + 1
            numbers[i] = order((order(numbers[i]) + distance) % WORD)
    if ranked:
        ranks, levels = read_stream(head, coder, n, others)
        numbers = [numbers[rank] for rank in ranks]
    assert coder.states == [2**20, 2**20]
    assert head.ended()
    assert words.ended()
    assert coder.raw.ended()
    return Block(numbers, levels)


# Quanta


def number(kind: int, parameters: list[int], m: int, e: int, is_value: bool) -> int:
    if kind == 0:
        return order(m) if is_value else m
    assert is_value
    assert 1 <= parameters[0] <= (22 if kind == 3 else WORD)
    return to_bits(QUANTA[kind](*parameters, signed(m), signed(e)))


def quotient(q: int, m: int, e: int) -> float:
    return float(m) / float(q)


def product(q: int, m: int, e: int) -> float:
    return float(m) * (1.0 / float(q))


def decimal(q: int, m: int, e: int) -> float:
    sign, m = m < 0, abs(m)
    while q > 0 and m % 10 == 0:
        m, q = m // 10, q - 1
    value = float(m)
    for i in range(q.bit_length()):
        if q >> i & 1:
            value /= float(10**2**i)
    return -value if sign else value


def rate(q: int, w: int, k: int, m: int, e: int) -> float:
    assert w >= 1
    assert k <= 60
    grid = 2.0**k
    return (float(round(float(m) * grid / float(q))) + float(e)) / grid / float(w)


def cut_rate(q: int, w: int, k: int, m: int, e: int) -> float:
    y = rate(q, w, k, m, e >> 1)
    t = float(round(y * 1e16))
    z = t / 1e16
    if z == y:
        return y
    return ((t - 1 if z > y else t) + (e & 1)) / 1e16


QUANTA: dict[int, Callable[..., float]] = {1: quotient, 2: product, 3: decimal, 4: rate, 5: cut_rate}


# Streams


class Coder:
    """What all streams of a block take from: words with two states, and raw bits."""

    def __init__(self, words: Bytes, raw: Bits) -> None:
        self.words, self.raw = words, raw
        self.states = [2**20, 2**20]

    def symbol(self, state: int, *models: "Model") -> int:
        bounds = [sum(pair) // len(models) for pair in zip(*(model.bounds for model in models), strict=True)]
        x = self.states[state]
        v = x % 32768
        symbol = max(s for s in range(16) if bounds[s] <= v)
        share = [*bounds, 32768][symbol + 1] - bounds[symbol]
        x = share * (x // 32768) + v - bounds[symbol]
        if x < 2**20:
            x = x << 32 | int.from_bytes(self.words.take(4), "big")
        self.states[state] = x
        for model in models:
            model.learn(symbol)
        return symbol


class Model:
    def __init__(self, bounds: list[int], slowest: int, fastest: int = 0) -> None:
        self.bounds, self.slowest, self.fastest, self.moved = bounds, slowest, fastest, 0

    def learn(self, symbol: int) -> None:
        p = max(min((self.moved + 1).bit_length(), self.slowest), self.fastest)
        self.moved = min(self.moved + 1, 255)
        for i in range(16):
            target = 4 * i if i <= symbol else 32768 - 4 * (16 - i)
            self.bounds[i] += target - self.bounds[i] >> p


def even() -> list[int]:
    return [2048 * i for i in range(16)]


def mantissa_bounds(size: int) -> list[int]:
    if size not in (2, 3, 4):
        return even()
    return [min(i * (32704 // 2 ** (size - 1)), 32768 - 4 * (16 - i)) for i in range(16)]


def read_nibbles(coder: Coder, count: int, shift: int) -> list[int]:
    a = [Model(even(), 5) for _ in range(16)]
    b = [Model(even(), 7) for _ in range(16)]
    x = Model(even(), 5)
    m = [Model(mantissa_bounds(size), 7, 4) for size in range(16)]
    one, two = 0, 0
    residuals = []
    for _ in range(count):
        kind = coder.symbol(0, a[one], b[two])
        one, two = kind, one
        size = kind
        if kind == 15:
            extra = coder.symbol(0, x)
            size = 15 + (extra if extra < 15 else coder.raw.take(6))
        top = min(size, 1)
        below = max(size - 1, 0)
        if size >= 2:
            top = 1 << min(below, 4) | coder.symbol(1, m[kind])
            below -= min(below, 4)
        residuals.append(top << below + shift | coder.raw.take(below + shift))
    coder.raw.fill_up()
    return residuals


def read_packed(coder: Coder, count: int) -> list[int]:
    residuals = []
    for begin in range(0, count, 128):
        b = coder.raw.take(8)
        residuals += [coder.raw.take(b) for _ in range(min(128, count - begin))]
        coder.raw.fill_up()
    return residuals


def read_stream(head: Bytes, coder: Coder, count: int, others: list[list[int]]) -> tuple[list[int], list[int]]:
    """Read a stream's integers and its levels."""
    how = head.byte()
    coding, prediction, zigzags, divides = how & 3, how >> 2 & 3, how >> 4 & 1, how >> 5 & 1
    assert coding < 3
    assert how < 64
    assert zigzags or prediction != 3
    base = head.zigzag()
    divisor = head.varint() if divides else 1
    start = head.varint() if prediction or zigzags else 0
    slope = head.zigzag() if prediction in (1, 2) else 0
    weights = [head.zigzag() for _ in range(2 + 2 * len(others) if prediction == 3 else 0)]
    if coding == 0:
        r = [0] * count
    elif coding == 1:
        r = read_nibbles(coder, count, head.byte())
    else:
        r = read_packed(coder, count)
    if zigzags:
        r = [unfolded(one) for one in r]

    if prediction == 0:
        levels = [(start + one) % WORD for one in r]
    else:
        levels = [start] * min(count, 1)
        for i in range(1, count):
            if prediction == 1:
                level = levels[-1] + slope + r[i]
            elif prediction == 2:
                slope += r[i]
                level = levels[-1] + slope
            else:
                own, constant, *pairs = weights
                s = constant + own * levels[-1]
                for other, same, before in zip(others, pairs[::2], pairs[1::2], strict=True):
                    s += same * other[i] + before * other[i - 1]
                level = r[i] + (signed(s) >> 16)
            levels.append(level % WORD)
    return [(base + divisor * level) % WORD for level in levels], levels
