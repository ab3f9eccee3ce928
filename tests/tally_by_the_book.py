"""A slow reader of .tally files and of tally's frames, written from docs/format.md alone: the page is enough.

It shares no line with the package and reads like the page: plain Python numbers, no arrays.
"""

import functools
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
    """One series of a file; values are the bits of doubles, int64 or float32, so that NaNs can be compared."""

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
    """Bytes that are read one after the other."""

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
    assert coder in (1, 2)
    assert statistics in (0, 2, 4)
    blocks = Bytes(file)
    blocks.take(index.varint())
    prefixes, rests, text = (signed_column(index, coder) for _ in range(3))
    names, label_counts, label_names, label_values = (signed_column(index, coder) for _ in range(4))
    clock_counts, clock_coders, clock_sizes, firsts, spans = (signed_column(index, coder) for _ in range(5))
    clock_of, coders, reference_counts, distances, sizes = (signed_column(index, coder) for _ in range(5))
    told = [[to_float(bits) for bits in read_column(index, coder, True)] for _ in range(statistics)]
    assert not any(index.take(len(index.data) - index.at))
    assert set(clock_coders) <= {1, 2}
    assert set(coders) <= set(KINDS)

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
                decoded = DECODERS[clock_coders[clock]](checked_block(blocks, size), n, False, []).numbers
                first = signed(last + step)
                last = signed(first + span)
                times[clock] += map(signed, decoded)
                assert (min(times[clock][-n:]), max(times[clock][-n:])) == (first, last)
        references.append([next(backs) for _ in range(count)])
        cut.append([checked_block(blocks, next(value_sizes)) for _ in block_sizes(len(times[clock]))])
    series, block = [], 0
    for number, (name, clock) in enumerate(zip(names, clock_of, strict=True)):
        values: list[int] = []
        for i, count in enumerate(block_sizes(len(times[clock]))):
            earlier = [number - back for back in references[number]]
            others = [DECODERS[coders[one]](cut[one][i], count, True, []).levels for one in earlier]
            assert not earlier or {coders[one] for one in (*earlier, number)} <= {1, 2}
            kind = KINDS[coders[number]]
            numbers = kind.read(DECODERS[kind.coder](cut[number][i], count, kind.are_values, others).numbers)
            check_statistics([one[block] for one in told], [kind.number(one) for one in numbers])
            values += numbers
            block += 1
        series.append(Series(strings[name], labels[number], list(times[clock]), values))
    return unit, series


class Kind(NamedTuple):
    """What the values of a series are: the coder of its blocks, and how values come of the numbers in these."""

    coder: int
    are_values: bool
    read: Callable[[list[int]], list[int]]
    number: Callable[[int], float]


def rounded(bits: int) -> int:
    """Return the bits of the float32 nearest to a double."""
    try:
        return int.from_bytes(struct.pack(">f", to_float(bits)), "big")
    except OverflowError:
        return 0xFF800000 if bits >> 63 else 0x7F800000


def float32_bits(number: int) -> int:
    assert -(2**31) <= signed(number) < 2**31
    return signed(number) % 2**32


def float32(bits: int) -> float:
    return float(struct.unpack(">f", bits.to_bytes(4, "big"))[0])


KINDS = {
    1: Kind(1, True, list, lambda bits: to_float(bits)),
    2: Kind(2, True, list, lambda bits: to_float(bits)),
    3: Kind(2, False, list, lambda number: signed(number)),
    4: Kind(2, True, lambda numbers: [rounded(one) for one in numbers], float32),
    5: Kind(2, False, lambda numbers: [float32_bits(one) for one in numbers], float32),
}


def read_column(index: Bytes, coder: int, are_values: bool = False) -> list[int]:
    """Read a column of the index: its count, and blocks with their sizes before them."""
    numbers: list[int] = []
    for n in block_sizes(index.varint()):
        numbers += DECODERS[coder](index.take(index.varint()), n, are_values, []).numbers
    return numbers


def signed_column(index: Bytes, coder: int) -> list[int]:
    return [signed(number) for number in read_column(index, coder)]


def beyond(value: float, towards: float) -> float:
    """Return a bound: a large integer may be no double."""
    large = isinstance(value, int) and abs(float(value)) >= 2**53
    return math.nextafter(float(value), towards) if large else value


def check_statistics(told: list[float], values: list[float]) -> None:
    """Check what the index tells of a block: minimum and maximum, and perhaps the first and last value."""
    some = [value for value in values if not math.isnan(value)]
    expected = [beyond(min(some), -math.inf), beyond(max(some), math.inf)] if some else [math.nan, math.nan]
    for one, other in zip(told, [*expected, float(values[0]), float(values[-1])], strict=False):
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


# A block of coder 1


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


# Modes


def number(kind: int, parameters: list[int], m: int, e: int, is_value: bool) -> int:
    if kind == 0:
        return order(m) if is_value else m
    assert is_value
    assert 1 <= parameters[0] <= (22 if kind == 3 else WORD)
    return to_bits(MODES[kind](*parameters, signed(m), signed(e)))


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


MODES: dict[int, Callable[..., float]] = {1: quotient, 2: product, 3: decimal, 4: rate, 5: cut_rate}


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


# A block of coder 2


def decode_block_2(data: bytes, n: int, are_values: bool, others: list[list[int]]) -> Block:
    source = Bytes(data)
    flags = source.byte()
    if flags == 7:
        numbers = list(struct.unpack(f"<{n}Q", data[1:]))
        return Block(numbers, numbers)
    if flags == 6:
        return decode_block(data[1:], n, are_values, others)
    kind, ranked, distant = flags & 7, flags >> 3 & 1, flags >> 4 & 1
    assert flags < 32
    assert kind <= 5
    distinct = source.varint() if ranked else n
    assert 1 <= distinct <= n
    parameters = [source.varint() for _ in range(0 if kind == 0 else 1 if kind <= 3 else 3)]
    c = source.varint() if distant else 0
    assert c <= distinct
    assert c or not distant
    left = 1 + (kind in (4, 5)) + 2 * distant + ranked

    def stream(count: int, others: list[list[int]]) -> tuple[list[int], list[int]]:
        nonlocal left
        left -= 1
        return read_stream_2(Bytes(source.take(source.varint() if left else len(data) - source.at)), count, others)

    m, levels = stream(distinct, [] if ranked else others)
    e = stream(distinct, [])[0] if kind in (4, 5) else [0] * distinct
    numbers = [number(kind, parameters, *pair, are_values) for pair in zip(m, e, strict=True)]
    if distant:
        gaps, distances = (stream(c, [])[0] for _ in range(2))
        i = -1
        for gap, distance in zip(gaps, distances, strict=True):
            i += gap + 1
            numbers[i] = order((order(numbers[i]) + distance) % WORD)
    if ranked:
        ranks, levels = stream(n, others)
        numbers = [numbers[rank] for rank in ranks]
    assert source.ended()
    return Block(numbers, levels)


DECODERS: dict[int, Callable[[bytes, int, bool, list[list[int]]], Block]] = {1: decode_block, 2: decode_block_2}


def read_stream_2(source: Bytes, count: int, others: list[list[int]]) -> tuple[list[int], list[int]]:
    how = source.byte()
    coding, prediction, divides, zigzags = how & 3, how >> 2 & 7, how >> 5 & 1, how >> 6 & 1
    assert how < 128
    assert coding >= 2 or not zigzags
    base = source.zigzag()
    divisor = source.varint() if divides else 1
    fields = [source.zigzag() for _ in range((0, 1, 1, 4, 2 + 2 * len(others))[prediction])]
    lanes = lanes_of(count)
    starts = [0]
    for _ in range(3 * len(lanes) - 1 if prediction == 3 else 0):
        starts.append(starts[-1] + source.zigzag())
    r = (read_zeros, read_lanes, read_packed_2, read_side_by_side)[coding](source, count)
    assert source.ended()
    if zigzags:
        r = [unfolded(one) for one in r]
    levels = predicted(prediction, fields, r, others, lanes, starts)
    return [(base + divisor * level) % WORD for level in levels], levels


def predicted(
    prediction: int, fields: list[int], r: list[int], others: list[list[int]], lanes: list[range], starts: list[int]
) -> list[int]:
    if prediction == 0:
        return [one % WORD for one in r]
    if prediction == 3:
        assert len(r) >= 16
        a, b, c, constant = fields
        weights = (2**16 + 2**10 * a + 2**8 * c, 2**10 * (b - a), -(2**10) * b)
        levels = [0] * len(r)
        for place, lane in enumerate(lanes):
            for i in lane:
                if i < lane.start + 3:
                    levels[i] = starts[3 * place + i - lane.start] % WORD
                else:
                    s = sum(w * levels[i - 1 - back] for back, w in enumerate(weights)) + constant * 2**16 + 2**15
                    levels[i] = (r[i] + (signed(s) >> 16)) % WORD
        return levels
    levels = [0]
    slope = fields[0]
    for i in range(1, len(r)):
        if prediction == 1:
            level = levels[-1] + slope + r[i]
        elif prediction == 2:
            slope += r[i]
            level = levels[-1] + slope
        else:
            own, constant, *pairs = fields
            s = constant + own * levels[-1]
            for other, same, before in zip(others, pairs[::2], pairs[1::2], strict=True):
                s += same * other[i] + before * other[i - 1]
            level = r[i] + (signed(s) >> 16)
        levels.append(level % WORD)
    return levels


def lanes_of(n: int) -> list[range]:
    """Return where each lane's numbers stand."""
    count = 4 if n >= 1536 else 2
    p = n // count
    ends = list(itertools.accumulate(p + (lane < n - p * count) for lane in range(count)))
    return [range(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def read_zeros(source: Bytes, n: int) -> list[int]:
    return [0] * n


def read_packed_2(source: Bytes, n: int) -> list[int]:
    coder = Coder(Bytes(b""), Bits(source.take(len(source.data) - source.at)))
    numbers = read_packed(coder, n)
    assert coder.raw.ended()
    return numbers


def read_side_by_side(source: Bytes, n: int) -> list[int]:
    assert n >= 512
    groups = [min(256, n - begin) for begin in range(0, n, 256)]
    widths = [source.byte() for _ in groups]
    assert max(widths) <= 64
    total = sum(b * -(-g // 16) for b, g in zip(widths, groups, strict=True))
    sequences = [0] * 16
    for word in range(total // 64):
        for j in range(16):
            sequences[j] |= int.from_bytes(source.take(8), "little") << 64 * word
    for j in range(16):
        left = total % 64
        sequences[j] |= int.from_bytes(source.take(-(-left // 8)), "little") % 2**left << total - left
    numbers, at = [], 0
    for b, g in zip(widths, groups, strict=True):
        for i in range(g):
            numbers.append(sequences[i % 16] >> at + b * (i // 16) & 2**b - 1)
        at += b * -(-g // 16)
    return numbers


# Lanes of tokens


class LowBits:
    """Bits that are read from the lowest of each byte on; numbers have their lowest bit first."""

    def __init__(self, source: Bytes) -> None:
        self.source, self.number, self.held = source, 0, 0

    def take(self, count: int) -> int:
        while self.held < count:
            self.number |= self.source.byte() << self.held
            self.held += 8
        taken = self.number & 2**count - 1
        self.number >>= count
        self.held -= count
        return taken

    def gamma(self) -> int:
        k = 0
        while not self.take(1):
            k += 1
        assert k <= 20
        return (1 << k | self.take(k)) - 1


class Slot(NamedTuple):
    """What a step of a lane needs: the token, how many slots it has, and which of these this one is."""

    token: int
    slots: int
    place: int


class Head(NamedTuple):
    """What a stream says of its tables before them: how they are given, M, and so on, as the page names it."""

    kind: int
    mantissa: int
    sparse: int
    g: int
    low: int
    count: int


def read_lanes(source: Bytes, n: int) -> list[int]:
    first, second = source.byte(), source.byte()
    kind, mantissa = first & 3, (3, 1, 6, 0)[first >> 2 & 3]
    patched, wide, sparse = first >> 4 & 1, first >> 5 & 1, first >> 6 & 1
    assert first < 128
    assert mantissa
    g, tables = second & 15, 1 + (second >> 4)
    assert g in (10, 11)
    assert tables == 1 or (kind >= 2 and g == 10)
    low, count = source.varint(), source.varint()
    assert 1 <= count <= 800
    assert low <= count
    shift = source.byte() if wide else 0
    assert shift <= 53
    widest = max(token_range(token, mantissa)[0] for token in (-low, count - low - 1))
    assert widest <= (63 - shift if wide else 10)

    lanes, p = lanes_of(n), n // len(lanes_of(n))
    epochs = 4 if n >= 1024 else 1
    bits = LowBits(source)
    head = Head(kind, mantissa, sparse, g, low, count)
    made, owner = read_tables(bits, head, tables, len(lanes) * epochs)
    states = []
    for _ in lanes:
        size = bits.take(5) + 23
        states.append(2**size + bits.take(size))
    patches = []
    place = 0
    for _ in range(source.varint() if patched else 0):
        place += source.varint()
        patches.append((place, source.zigzag()))
    plane_bits = [source.varint() if wide else 0 for _ in lanes]
    planes = [LowBits(Bytes(source.take(-(-size // 8)))) for size in plane_bits]
    used = [0] * len(lanes)

    out, contexts = [0] * n, [0] * len(lanes)
    for i in range(len(lanes[0])):
        for lane, places in enumerate(lanes):
            if i == len(places):
                continue
            epoch = next(e for e in range(epochs) if i < (e + 1) * p // epochs or e + 1 == epochs)
            x = states[lane]
            slot = made[owner[contexts[lane] if kind == 3 else lane * epochs + epoch]][x % 2**g]
            contexts[lane] = context_after(slot.token, mantissa)
            x = slot.slots * (x // 2**g) + slot.place
            raw, lowest = token_range(slot.token, mantissa)
            in_state, below = min(raw, 10), max(raw - 10, 0)
            top, x = x % 2**in_state, x >> in_state
            if x < 2**23:
                x = x << 32 | int.from_bytes(source.take(4), "little")
            states[lane] = x
            used[lane] += below + shift
            out[places[i]] = ((lowest + (top << below)) << shift) + planes[lane].take(below + shift)
    assert states == [2**23] * len(lanes)
    assert used == plane_bits
    for place, residual in patches:
        out[place] = residual
    return out


def read_tables(bits: LowBits, head: Head, tables: int, segments: int) -> tuple[list[list[Slot]], list[int]]:
    """Read tables, and which of them each segment or context has."""
    kind, mantissa, sparse, g, low, count = head
    owner = owners(bits, contexts_of(low, count, mantissa), tables) if kind == 3 else [0] * segments
    alphabet = read_alphabet(bits, count) if kind == 3 and sparse else list(range(count))
    assert kind != 2 or tables <= segments
    made = []
    for _ in range(tables):
        if kind == 0:
            weights = explicit_weights(bits, count, 0 if sparse else 3)
        elif kind == 3 and (sparse or bits.take(1)):
            marker = 0 if bits.take(1) else 3
            found = dict(zip(alphabet, explicit_weights(bits, len(alphabet), marker, 6), strict=True))
            weights = [found.get(i, 0) for i in range(count)]
        else:
            assert (mantissa, low <= 120, count - low <= 120) == (3, True, True)
            shape = shape_weights(bits.take(9))
            a, b = (bits.take(8), bits.take(8)) if kind == 3 else (0, count - 1)
            assert a <= b < count
            weights = [shape[i - low] if a <= i <= b else 0 for i in range(count)]
        made.append(slots_of(weights, low, g))
    return made, owners(bits, segments, tables) if kind == 2 else owner


def owners(bits: LowBits, count: int, tables: int) -> list[int]:
    """Read which table each segment or context has."""
    owner = list(itertools.accumulate((bits.take(1) for _ in range(count - 1)), initial=0))
    assert owner[-1] < tables
    return owner


def context_after(token: int, mantissa: int) -> int:
    z = token if token >= 0 else -1 - token
    raw = max(z // 2**mantissa - 1, 0)
    h = (z - raw * 2**mantissa) * 2**raw
    return min(1 + h.bit_length(), 31) if token else 0


def contexts_of(low: int, count: int, mantissa: int) -> int:
    return max(context_after(token, mantissa) for token in (-low, count - low - 1)) + 1


def read_alphabet(bits: LowBits, count: int) -> list[int]:
    """Read which tokens there are, counted from the lowest."""
    alphabet = list(range(bits.gamma() + 1))
    end = len(alphabet)
    while end < count:
        begin = end + bits.gamma() + 1
        end = begin + bits.gamma() + 1
        alphabet += range(begin, end)
    assert end == count
    return alphabet


def token_range(token: int, mantissa: int) -> tuple[int, int]:
    """Return how many raw bits a token has, and its lowest residual."""
    z = token if token >= 0 else -1 - token
    raw = max(z // 2**mantissa - 1, 0)
    h = (z - raw * 2**mantissa) * 2**raw
    return raw, h if token >= 0 else -h - 2**raw


def slots_of(weights: list[int], low: int, g: int) -> list[Slot]:
    z = 2 ** (g + 24) // sum(weights)
    slots = [max(w * z // 2**24, min(w, 1)) for w in weights]
    m = weights.index(max(weights))
    d = 2**g - sum(slots)
    while d < 0:
        given = min(-d, max(slots[m] // 2, int(slots[m] > 1)))
        slots[m] -= given
        d += given
        if d < 0:
            for i, one in enumerate(slots):
                if one > slots[m]:
                    m = i
    slots[m] += d
    return [Slot(i - low, one, place) for i, one in enumerate(slots) for place in range(one)]


def explicit_weights(bits: LowBits, count: int, marker: int, level: int = 0) -> list[int]:
    weights: list[int] = []
    while len(weights) < count:
        number = bits.gamma()
        if number == marker:
            weights += [0] * (bits.gamma() + 1)
        else:
            level += unfolded(number - (number > marker))
            assert 1 <= level <= 24
            weights.append(math.isqrt(2 ** (15 + level)))
    assert len(weights) == count
    assert any(weights)
    return weights


def log2(a: int) -> int:
    w = a.bit_length() - 1
    y, logarithm = a << 31 - w, w
    for _ in range(16):
        y = y * y >> 31
        logarithm *= 2
        if y >= 2**32:
            y //= 2
            logarithm += 1
    return logarithm


def exp2(a: int) -> int:
    y, root = 2**31, 2**31
    for i in range(1, 17):
        root = math.isqrt(root << 31) if i > 1 else math.isqrt(2**61)
        if a >> 16 - i & 1:
            y = y * root >> 31
    return y >> min(a >> 16, 63)


def raise_two(a: int) -> int:
    w = min(max((a >> 16) + 1, -40), 8)
    y = exp2(min(max((w << 16) - a, 0), 2**16))
    return y << w >> 15 if w >= 0 else y >> 15 - w


@functools.cache
def shape_weights(number: int) -> dict[int, int]:
    """Return the weight of each token in a shape."""
    family, scale = divmod(number, 64)
    offset = (-10, -5, 0, 2, 3, 4, 2, 5)[family]
    power = (8, 11, 16, 22, 32, 64, 20, 32)[family]
    sizes = {}
    for token in range(-120, 120):
        z = token if token >= 0 else -1 - token
        raw = max(z // 8 - 1, 0)
        h = (z - raw * 8) * 2**raw
        twice = 2 * h + 2**raw + (-1 if token >= 0 else 1)
        d = log2(max(twice, 1)) - 2**16 - 2**14 * (scale - 8 + offset)
        if family < 6:
            e = raise_two(d * power // 16)
        else:
            y = log2(raise_two(2 * d) + 2**16) - 2**20 if d < 2**18 else 2 * d
            e = y * power // 16
        sizes[token] = exp2(e if twice else 0) * 2**raw
    unit = max(sum(sizes.values()) >> 15, 1)
    return {token: max(size // unit, 1) for token, size in sizes.items()}


# The codec's frame

TYPES = (("q", 8), ("d", 8), ("i", 4), ("h", 2), ("b", 1), ("Q", 8), ("I", 4), ("H", 2), ("B", 1), ("f", 4))


def read_frame(frame: bytes) -> bytes:
    """Return the bytes of a frame's column, as they lie in memory."""
    source = Bytes(frame)
    tag = source.byte()
    kind, width = TYPES[tag % 16 - 1]
    n = source.varint()
    size = source.varint()
    header = frame[: source.at]
    payload = source.take(size)
    seed = xxhash.xxh3_64_intdigest(header, seed=xxhash.xxh3_64_intdigest(b"tally"))
    assert source.take(8) == xxhash.xxh3_64_digest(payload, seed=seed)
    assert source.ended()
    assert tag // 16 in (0xD, 0xE)
    blocks = Bytes(payload)
    as_bits = kind == "f" and n > 0 and blocks.byte() == 1
    are_values = kind in "df" and not as_bits
    coder = 2 if payload[blocks.at : blocks.at + 1] == b"\2" else 1
    if n and coder == 2:
        blocks.take(1)
    words: list[int] = []
    for count in block_sizes(n):
        words += DECODERS[coder](blocks.take(blocks.varint()), count, are_values, []).numbers
    assert blocks.ended()
    order = "<" if tag // 16 == 0xD else ">"
    if kind == "f" and not as_bits:
        return struct.pack(f"{order}{n}f", *map(to_float, words))
    return b"".join((word % 2 ** (8 * width)).to_bytes(width, "little" if order == "<" else "big") for word in words)
