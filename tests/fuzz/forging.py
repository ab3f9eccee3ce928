"""Damaged frames and files whose checksums are right: made from real ones by the project's own writers."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial
from itertools import cycle
from typing import NamedTuple

import numpy as np
from fixtures.make import contexts

from columns import forge
from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.codecs import available_codecs, get_codec, prometheus_xor, prometheus_xor2
from squeezelab.codecs._frame import signed_varint, varint
from squeezelab.codecs.base import Chain, ColumnCodec
from squeezelab.codecs.zstd import Zstd
from squeezelab.formats import get_format
from squeezelab.formats._crc32c import crc32c
from squeezelab.formats._sealed import seal, unseal
from squeezelab.formats.prometheus import KINDS
from squeezelab.formats.tally import TallyFile
from squeezelab.formats.tally import writing as tally_writing
from squeezelab.formats.tally.columns import BLOCK_CHECKSUM_BYTES, Columns, block_checksum

EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
EDGE_NUMBERS = (0, 1, 127, 128, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
CHAINS = ("delta_of_delta+zstd", "xor+lz4", "tally+zstd")
PLAIN_FORMATS = ("cbor", "ndjson")
SETTINGS = ("delta_of_delta:widths=gorilla", "sprintz:predictor=fire", "tally:level=1")
SEALED_FORMATS = (
    "prometheus",
    "prometheus:chunks=xor2",
    "table",
    "columnar",
    "delta_of_delta+xor",
    "pattern",
    "downsampled",
    "zstd_dictionary",
)

Forge = Callable[[random.Random], bytes]


class Subject(NamedTuple):
    """What is fuzzed: `decode` takes bytes or raises CorruptDataError; ``forger()`` returns what makes damaged ones."""

    name: str
    decode: Callable[[bytes], object]
    forger: Callable[[], Forge]


def subjects() -> list[Subject]:
    """Return all codecs and formats whose kernels are this project's, chains of them, and settings that change them."""
    papers_and_ours = [name for name in available_codecs() if get_codec(name).kind in ("papers", "ours")]
    forgers = {f"codecs/{name}": partial(forge_frames, name) for name in (*papers_and_ours, *CHAINS, *SETTINGS)}
    forgers |= {f"formats/{name}": partial(forge_plain, name) for name in PLAIN_FORMATS}
    forgers |= {f"formats/{name}": partial(forge_sealed, name) for name in SEALED_FORMATS}
    forgers["formats/tally"] = forge_tally
    return [Subject(name, decoder(name), forger) for name, forger in forgers.items()]


def decoder(name: str) -> Callable[[bytes], object]:
    """Return what reads a subject's bytes."""
    kind, _, spec = name.partition("/")
    return get_codec(spec).decode if kind == "codecs" else get_format(spec).decode


@cache
def columns() -> list[np.ndarray]:
    """Return columns of each kind, of one block and of several."""
    rng = np.random.default_rng(0)
    walk = np.round(20 + np.cumsum(rng.normal(size=9000)), 1)
    return [
        1_700_000_000 + np.cumsum(rng.integers(14, 17, 300)),
        np.cumsum(rng.integers(0, 10**6, 300)),
        rng.integers(-(2**63), 2**63 - 1, 100),
        np.full(9000, 3),
        rng.integers(-40, 40, 300).astype(np.int16),
        walk[:300],
        walk,
        rng.integers(0, 40, 300).astype(np.uint8),
        walk[:300].astype(np.float32),
        rng.normal(size=200),
        rng.integers(0, 2**64, 100, np.uint64).view(np.float64),
        *(contexts()[name] for name in ("still_counter", "sparse", "ranks", "scales_in_four_lanes")),
    ]


def dataset(*dtypes: np.dtype) -> MetricDataset:
    """Return a few short series, one of a single sample, with values of these types in turn."""
    times, values = columns()[0], columns()[5]
    spans = (slice(0, 300), slice(0, 1), slice(1, 300))
    series = [
        Series(SeriesKey("cpu", {"host": host}), times[span], values[span].astype(dtype, copy=False))
        for host, span, dtype in zip("abc", spans, cycle(dtypes or [values.dtype]), strict=False)
    ]
    return MetricDataset.from_series(series)


def files(name: str) -> list[bytes]:
    """Return whole files of a format: of doubles, and of all types that it takes."""
    whole = [get_format(name).encode(one) for one in (dataset(), dataset(*reversed(get_format(name).dtypes)))]
    for one in whole:
        get_format(name).decode(one)
    return whole


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a few bits, bytes, numbers or stretches, the first bytes, where heads are, most often."""
    changed = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 4)):
        first = rng.randrange(len(changed) if rng.random() < 0.6 else min(len(changed), 24)) if changed else 0
        stop = min(len(changed), first + rng.randint(1, 12))
        kind = rng.randrange(7)
        if kind == 0 and changed:
            changed[first] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[first:stop] = bytes([rng.choice(EDGES)]) * (stop - first)
        elif kind == 2:
            del changed[first:stop]
        elif kind == 3:
            changed[first:first] = rng.randbytes(rng.randint(1, 12))
        elif kind == 4:
            changed[first : first + rng.randint(0, 3)] = varint(rng.choice(EDGE_NUMBERS))
        elif kind == 5:
            changed[first:first] = changed[first:stop]
        else:
            del changed[first:]
    return bytes(changed)


def forge_frames(spec: str) -> Forge:
    """Return what makes frames of a codec; those of a chain are damaged within what its last stage squeezed, too."""
    codec = get_codec(spec)
    inner: ColumnCodec = codec.stages[0] if isinstance(codec, Chain) else codec
    made = [(column, bytes(inner.pack(column))) for column in columns() if column.dtype in codec.dtypes]
    for column, _ in made:
        codec.decode(codec.encode(column))

    def make(rng: random.Random) -> bytes:
        column, payload = rng.choice(made)
        payload = victoria_payload(rng) if spec == "victoria" and rng.random() < 0.5 else mutate(payload, rng)
        if isinstance(codec, Chain):
            sizes = b""
            for stage in codec.stages[1:]:
                sizes = varint(len(payload)) + sizes
                payload = bytes(stage.squeeze(payload))
            payload = mutate(sizes + payload, rng) if rng.random() < 0.2 else sizes + payload
        count = max(0, column.size + rng.choice((0, 0, 0, -1, 1, -100, 50)))
        return forge(codec.frame_name, column.dtype, payload, count)

    return make


def victoria_payload(rng: random.Random) -> bytes:
    """Return one block: any type, and numbers in a zstd frame that is whole."""
    numbers = [rng.choice((rng.randrange(200), rng.choice(EDGE_NUMBERS))) for _ in range(rng.choice((1, 99, 299)))]
    data, kind = mutate(b"".join(map(varint, numbers)), rng), rng.randint(0, 7)
    if kind in (1, 4):
        data = bytes(Zstd(1).squeeze(data))
    scale = signed_varint(rng.choice((-401, -400, -323, -5, 0, 308, 309))) if rng.random() < 0.7 else b""
    return bytes([kind]) + scale + signed_varint(rng.randrange(-(2**63), 2**63)) + varint(len(data)) + data


def forge_plain(name: str) -> Forge:
    """Return what damages files of a format that has no checksum."""
    whole = files(name)
    return lambda rng: mutate(rng.choice(whole), rng)


def forge_sealed(name: str) -> Forge:
    """Return what makes sealed files of a format, damaged between dictionary and checksum."""
    sealed, _, settings = name.partition(":")
    bodies = []
    for file in files(name):
        version = int(file.partition(b"\n")[0].split()[-1])
        keys, body, at = unseal(sealed, file, version)
        bodies.append((keys, body[at:].tobytes(), version))

    def make(rng: random.Random) -> bytes:
        chunks = sealed == "prometheus" and rng.random() < 0.8
        keys, whole, version = rng.choice(bodies)
        damaged = prometheus_body(rng, xor2=bool(settings)) if chunks else mutate(whole, rng)
        return b"".join(seal(sealed, keys, [damaged], version))

    return make


def prometheus_body(rng: random.Random, *, xor2: bool) -> bytes:
    """Return a Prometheus body of one chunk a series, each with its CRC, and most of them damaged."""
    times, values, head, pieces = columns()[0], columns()[5], [1000], []
    encode_chunk = (prometheus_xor2 if xor2 else prometheus_xor).encode_chunk
    kind = bytes([KINDS["xor2" if xor2 else "xor"]])
    for _ in range(3):
        head.append(rng.choice((1, 2, 3, 30, 120)))
        chunk = encode_chunk(1000 * times[: head[-1]], values[: head[-1]])
        data = kind + (chunk if rng.random() < 0.3 else chunk[:2] + mutate(chunk[2:], rng))
        crc = int(crc32c(np.frombuffer(data, np.uint8), np.uint64(0), np.uint64(len(data))))
        pieces.append(varint(len(data) - 1) + data + crc.to_bytes(4, "big"))
    return b"".join([*map(varint, head), *pieces])


def forge_tally(whole: MetricDataset | None = None, indexes: float = 0.4) -> Forge:
    """Return what makes tally files with a damaged block, or index: that often."""
    made = []
    for level in (1, 2):
        file = get_format(f"tally:level={level}").encode(whole or dataset())
        opened = TallyFile(file)
        opened.read_all()
        places = [place for one in opened.parts for columns in (one.clocks, one.series) for place in blocks(columns)]
        made.append((file, opened.end, opened.indexes, places))

    def make(rng: random.Random) -> bytes:
        file, end, parts, places = rng.choice(made)
        if rng.random() < indexes:
            return file[:end] + tally_writing.seal([mutate(index, rng) for index in parts])
        begin, stop = rng.choice(places)
        # Of the same length, so that what tells where blocks begin stays right.
        block = mutate(file[begin:stop], rng)[: stop - begin].ljust(stop - begin, b"\0")
        return file[:begin] + block + block_checksum(block) + file[stop + BLOCK_CHECKSUM_BYTES :]

    return make


def blocks(columns: Columns) -> list[tuple[int, int]]:
    """Return where each block of some columns begins and ends."""
    return list(zip(columns.begins.tolist(), columns.ends.tolist(), strict=True))
