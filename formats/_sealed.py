r"""What the lab's own files have in common: a first line, the series dictionary, and a checksum of everything.

::

    line        "squeezelab <format name> <version>", ended by a newline; the version is 1 unless the format says more
    varint      bytes of the dictionary
    dictionary  as `squeezelab.formats._dictionary` draws it
    body        as the format draws it
    8 bytes     XXH3-64 of all before, big-endian
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import xxhash

from squeezelab.codecs._frame import CHECKSUM_BYTES, Bytes, read_varint, varint
from squeezelab.codecs.base import as_bytes
from squeezelab.dataset import SeriesKey
from squeezelab.errors import CorruptDataError
from squeezelab.formats._dictionary import decode_keys, encode_keys
from squeezelab.formats.base import Buffer


def seal(name: str, keys: Sequence[SeriesKey], body: Iterable[Buffer], version: int = 1) -> Iterator[Buffer]:
    """Yield the head, the body piece by piece, and the checksum of a file of this format."""
    digest = xxhash.xxh3_64()
    dictionary = encode_keys(keys)
    head = first_line(name, version) + varint(len(dictionary)) + dictionary
    digest.update(head)
    yield head
    for piece in body:
        digest.update(piece)
        yield piece
    yield digest.digest()


def unseal(name: str, data: Buffer, version: int = 1) -> tuple[list[SeriesKey], Bytes, int]:
    """Return the series of a file, its bytes without the checksum, and where its body begins.

    Raises
    ------
    CorruptDataError
        If this is no whole, undamaged file of this format.
    """
    view, line = as_bytes(data), first_line(name, version)
    if view[: len(line)].tobytes() != line:
        raise CorruptDataError(f"this is no {name} file: its first line differs")
    if xxhash.xxh3_64_digest(view[:-CHECKSUM_BYTES]) != view[-CHECKSUM_BYTES:].tobytes():
        raise CorruptDataError(f"the checksum differs: the {name} file is damaged or cut short")
    body = view[:-CHECKSUM_BYTES]
    at = len(line)
    size, after = read_varint(body[at : at + 10].tobytes(), 0)
    at += after + size
    return decode_keys(body[at - size : at].tobytes()), body, at


def first_line(name: str, version: int = 1) -> bytes:
    """Return what a file of a format and version begins with."""
    return f"squeezelab {name} {version}\n".encode()
