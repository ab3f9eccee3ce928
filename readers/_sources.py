"""Where bytes come from: files and folders, plain, gzip or zstd, with their digest and the progress of reading."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

import xxhash
import zstandard

from squeezelab.errors import DataSourceError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
NEWLINE, BYTE_ORDER_MARK = b"\n", b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WINDOWS_SIGNS = re.compile(rb"[\x80\x85\x91-\x97\x99\xa0-\xfd]+")
"""Bytes beyond ASCII that texts in Windows' Western code page have: signs of their own and letters."""
HEAD_BYTES = 64 * 1024
PIECE_BYTES = 8 * 2**20
LONGEST_LINE = 64 * 2**20
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


class Piece(NamedTuple):
    """Some whole lines of a text; ``line`` is the number of the first, from 1."""

    line: int
    text: bytes


class Source:
    """A file or folder to read.

    Parameters
    ----------
    path : Path
        It must exist.
    on_bytes : callable, optional
        Called with the number of bytes on disk that have been read so far.
    """

    def __init__(self, path: Path, on_bytes: Callable[[int], None] = lambda done: None) -> None:
        self.path = path
        self.on_bytes = on_bytes
        self._file: IO[bytes] | None = None

    @cached_property
    def files(self) -> list[Path]:
        """All files it is made of; a folder has many."""
        if not self.path.is_dir():
            return [self.path]
        return sorted(path for path in self.path.rglob("*") if path.is_file())

    @cached_property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.files)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked; none of a folder."""
        if self.path.is_dir():
            return b""
        with self.open() as file:
            return file.read(HEAD_BYTES)

    @cached_property
    def encoding(self) -> str:
        """How its text is encoded, ``utf-8``, ``utf-16`` or ``cp1252``; of other files, ``utf-8``."""
        if self.path.is_dir():
            return "utf-8"
        with self.open(as_it_is=True) as file:
            return _find_encoding(file.read(HEAD_BYTES))

    @cached_property
    def packed(self) -> str:
        """``gzip`` or ``zstd`` if it is compressed, else nothing."""
        with self.path.open("rb") as file:
            magic = file.read(4)
        return "gzip" if magic.startswith(GZIP) else "zstd" if magic == ZSTD else ""

    @property
    def head_text(self) -> str:
        """The first bytes as text, without a byte order mark."""
        return str(self.head.removeprefix(BYTE_ORDER_MARK), "utf-8", "replace")

    @property
    def is_text(self) -> bool:
        """Whether it begins like a text: hardly anything is no UTF-8, or a control character."""
        text = str(self.head[:4096], "utf-8", "replace")
        odd = sum((letter < " " and letter not in "\t\n\r\f") or letter == "\ufffd" for letter in text)
        return "\0" not in text and 20 * odd <= len(text)

    def first_lines(self, count: int = 50) -> list[str]:
        """Return the first whole lines that are not blank."""
        text = self.head.removeprefix(BYTE_ORDER_MARK)
        whole = text.rpartition(b"\n")[0] if len(text) == HEAD_BYTES else text
        lines = (line.rstrip("\r") for line in str(whole, "utf-8", "replace").split("\n"))
        return [line for line in lines if line.strip()][:count]

    @contextmanager
    def open(self, *, as_it_is: bool = False) -> Iterator[IO[bytes]]:
        """Open the file, unpacked, and its text in UTF-8 unless it is wanted as it is.

        Raises
        ------
        DataSourceError
            If it is damaged or cut short.
        """
        with self.path.open("rb") as file:
            self._file = file
            stream: Any = file
            if self.packed == "gzip":
                stream = gzip.GzipFile(fileobj=file)
            elif self.packed == "zstd":
                stream = io.BufferedReader(_ZstdStream(file))
            try:
                if not as_it_is and self.encoding != "utf-8":
                    stream = io.BufferedReader(_Recoded(stream, self.encoding))
                yield stream
            except _DAMAGED as error:
                raise DataSourceError(f"{self.path} is no whole {self.packed} file: {error}") from error

    def close(self) -> None:
        """Close the file at once, even if a reader was stopped half-way and its error is still looked at."""
        if self._file:
            self._file.close()

    def pieces(self) -> Iterator[Piece]:
        """Yield the text, some megabytes of whole lines at a time.

        Raises
        ------
        DataSourceError
            If it is damaged, or a line is too long to be one.
        """
        with self.open() as file:
            for piece in split_pieces(file, str(self.path)):
                yield piece
                self.on_bytes(self._file.tell() if self._file else 0)

    def digest(self) -> str:
        """Return XXH3-128 of the bytes on disk, in hex; of a folder, of its files in the order of their names."""
        digest = xxhash.xxh3_128()
        for path in self.files:
            with path.open("rb") as file:
                while block := file.read(PIECE_BYTES):
                    digest.update(block)
        return digest.hexdigest()


class _ZstdStream(io.RawIOBase):
    """Unpacks any number of frames, and complains where the last one is not whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: Any = None
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting:
            block = self._rest() or self._file.read(2**17)
            if not block:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("it is cut short")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = zstandard.ZstdDecompressor(max_window_size=2**31).decompressobj()
            self._waiting = self._frame.decompress(block)
        count = min(len(buffer), len(self._waiting))
        buffer[:count] = self._waiting[:count]
        self._waiting = self._waiting[count:]
        return count

    def _rest(self) -> bytes:
        return bytes(self._frame.unused_data) if self._frame is not None and self._frame.eof else b""


class _Recoded(io.RawIOBase):
    """A text of another encoding as UTF-8."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = b" "
        while not self._waiting and block:
            block = self._file.read(2**20)
            self._waiting = self._decoder.decode(block, final=not block).encode("utf-8", "replace")
        count = min(len(buffer), len(self._waiting))
        buffer[:count] = self._waiting[:count]
        self._waiting = self._waiting[count:]
        return count


def _find_encoding(head: bytes) -> str:
    """Tell the encoding of a text by its first bytes; UTF-16 by its mark, Windows' by letters that are no UTF-8."""
    if head.startswith(UTF16_MARKS) and not head.startswith(b"\xff\xff\xff\xff"):
        return "utf-16"
    if len(head) == HEAD_BYTES:
        head = head.rpartition(NEWLINE)[0]
    beyond = re.findall(rb"[\x80-\xff]+", head)
    # A text of UTF-8 in which a few bytes are damaged has others that are right.
    if b"\0" in head or not beyond or any(map(_is_utf8, beyond)):
        return "utf-8"
    return "cp1252" if all(map(_WINDOWS_SIGNS.fullmatch, beyond)) else "utf-8"


def _is_utf8(data: bytes) -> bool:
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def split_pieces(file: IO[bytes], name: str) -> Iterator[Piece]:
    """Yield a text, some megabytes of whole lines at a time, without the byte order mark that may begin it.

    Raises
    ------
    DataSourceError
        If a line is too long to be one.
    """
    line = 1
    while text := file.read(PIECE_BYTES):
        tail = file.readline(LONGEST_LINE)
        if len(tail) == LONGEST_LINE:
            raise DataSourceError(f"{name}: line {line + text.count(NEWLINE)} is too long to be one")
        text += tail
        if line == 1:
            text = text.removeprefix(BYTE_ORDER_MARK)
        yield Piece(line, text)
        line += text.count(NEWLINE)


def text_lines(piece: Piece, reject: Callable[[int, str], None]) -> list[str]:
    """Return the lines of a piece; those that are no UTF-8 are rejected, and empty in their place."""
    try:
        lines = str(piece.text, "utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        lines = []
        for number, line in enumerate(piece.text.split(NEWLINE), piece.line):
            try:
                lines.append(str(line, "utf-8").removesuffix("\r"))
            except UnicodeDecodeError as error:
                reject(number, f"no UTF-8: {error.reason} at byte {error.start}")
                lines.append("")
    return lines[:-1] if piece.text.endswith(NEWLINE) else lines
