"""Files of other engines: what they write, their own readers open, and a checksum where they look for nothing.

::

    file        as the engine writes it
    10 bytes    "squeezelab", at a place of the file that no offset in it leads to
    8 bytes     XXH3-64 of all the rest, these 18 bytes left out, big-endian

Most formats notice some damage, few all of it, and some of the libraries do not survive it: the checksum is looked at
before they see the file.
"""

from __future__ import annotations

import io
import json
import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import ClassVar
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import xxhash

from squeezelab.codecs.base import as_bytes, reading
from squeezelab.dataset import DOUBLE, MetricDataset, Series, SeriesKey
from squeezelab.errors import CorruptDataError, SqueezelabError
from squeezelab.formats.base import Buffer, Format, Reader, check_number
from squeezelab.store.files import replacing_folder
from squeezelab.store.workplace import MEMORY, workplace

MARK = b"squeezelab"
SEAL_BYTES = len(MARK) + 8
FOLDER_SEAL = "squeezelab.xxh3"


class EngineReader(Reader):
    """A file of another engine that is open; a subclass reads. It is only asked for series that there are.

    Attributes
    ----------
    keys : list of SeriesKey
        The series.
    """

    keys: list[SeriesKey]

    @abstractmethod
    def read_all(self) -> MetricDataset:
        """Read the whole data set."""


class EngineFile(Format):
    """Base of formats whose file is another engine's own; a subclass gives `store`, `reader` and `room`.

    Attributes
    ----------
    suffix : str
        What the names of such files end with.
    """

    kind = "peers"
    whole_file = True
    compressible = False
    suffix: ClassVar[str]

    @abstractmethod
    def store(self, dataset: MetricDataset, path: Path) -> None:
        """Have the engine write its file to a path where nothing is."""

    @abstractmethod
    def reader(self, path: Path) -> EngineReader:
        """Open a file of the engine; both may raise whatever the engine raises where the file is damaged."""

    def room(self, data: memoryview) -> int:
        """Return the place in an engine's file where bytes may be put without the engine taking notice: its end."""
        return len(data)

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield the engine's file, with the checksum in it."""
        with workplace(MEMORY) as folder, writing(self.name):
            path = folder / f"samples{self.suffix}"
            self.store(dataset, path)
            data = memoryview(path.read_bytes())
        at = self.room(data)
        yield data[:at]
        yield MARK + xxhash.xxh3_64_digest(data)
        yield data[at:]

    def decode(self, data: Buffer) -> MetricDataset:
        """Check the whole file, and have the engine read it."""
        with self.open(data) as reader:
            return reader.read_all()

    def read(self, path: str | os.PathLike[str]) -> MetricDataset:
        """Read a file that `write` has made, from where it is."""
        with self.open(path) as reader:
            return reader.read_all()

    def open(self, source: Buffer | str | os.PathLike[str]) -> OpenFile:
        """Check the whole file, and open it."""
        with ExitStack() as stack:
            if isinstance(source, str | os.PathLike):
                path = Path(source)
                self.check(path.read_bytes())
            else:
                self.check(source)
                path = stack.enter_context(workplace(MEMORY)) / f"samples{self.suffix}"
                path.write_bytes(source)
            with reading(self.name):
                reader = stack.enter_context(self.reader(path))
            return OpenFile(self.name, reader, stack.pop_all())

    def check(self, data: Buffer) -> None:
        """Check that a file is whole.

        Raises
        ------
        CorruptDataError
            If it is not, or none that was written here.
        """
        view = as_bytes(data).data
        with reading(self.name):
            at = self.room(view) - SEAL_BYTES
        if at < 0 or view[at : at + len(MARK)] != MARK:
            raise CorruptDataError(f"this is no whole {self.name} file that squeezelab wrote")
        digest = xxhash.xxh3_64(view[:at])
        digest.update(view[at + SEAL_BYTES :])
        if digest.digest() != view[at + len(MARK) : at + SEAL_BYTES]:
            raise CorruptDataError(f"the checksum differs: the {self.name} file is damaged, or was changed")


class EngineFolder(EngineFile):
    """Base of formats for which an engine has a folder of files; as bytes it is a ZIP of them, not compressed.

    What is counted is what the files of the folder take. The comment of the ZIP is the checksum of all before; files of
    a folder are checked as the engine does it, and `digest_of` is to be kept among them.

    Attributes
    ----------
    sealed : bool
        Whether a file `FOLDER_SEAL` beside the engine's own has their checksum, which is looked at before the engine
        sees them: for one that does not come back from some damage.
    """

    sealed: ClassVar[bool] = False

    def chunks(self, dataset: MetricDataset) -> Iterator[Buffer]:
        """Yield all files as a ZIP."""
        with workplace(MEMORY) as folder, writing(self.name):
            self._store_sealed(dataset, folder)
            packed = io.BytesIO()
            with ZipFile(packed, "w") as archive:
                for path in files_in(folder):
                    archive.writestr(ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes())
                archive.comment = MARK + bytes(8)
        data = packed.getbuffer()[:-SEAL_BYTES]
        yield data
        yield MARK + xxhash.xxh3_64_digest(data)

    def write(self, dataset: MetricDataset, path: str | os.PathLike[str]) -> int:
        """Write the folder, whole or not at all, and return the bytes that its files take."""
        self.check_dtypes(dataset)
        with replacing_folder(path) as folder, writing(self.name):
            self._store_sealed(dataset, folder)
            return sum(one.stat().st_size for one in files_in(folder))

    def stored_bytes(self, encoded: Buffer) -> int:
        """Return the bytes that the files of a ZIP take in their folder."""
        with ZipFile(io.BytesIO(encoded)) as archive:
            return sum(one.file_size for one in archive.infolist())

    def open(self, source: Buffer | str | os.PathLike[str]) -> OpenFile:
        """Open a folder where it is, or unpack the files of a ZIP that is whole."""
        with ExitStack() as stack:
            if isinstance(source, str | os.PathLike) and Path(source).is_dir():
                path = Path(source)
                self._check_files(path)
            else:
                data = Path(source).read_bytes() if isinstance(source, str | os.PathLike) else source
                self.check(data)
                path = stack.enter_context(workplace(MEMORY))
                with reading(self.name):
                    _unpack(data, path)
            with reading(self.name):
                reader = stack.enter_context(self.reader(path))
            return OpenFile(self.name, reader, stack.pop_all())

    def _store_sealed(self, dataset: MetricDataset, folder: Path) -> None:
        self.store(dataset, folder)
        if self.sealed:
            (folder / FOLDER_SEAL).write_text(_digest_of_files(folder))

    def _check_files(self, folder: Path) -> None:
        """Check the files of a folder; one from before there was a seal has none.

        Raises
        ------
        CorruptDataError
            If one of them is damaged, missing, or another.
        """
        seal = folder / FOLDER_SEAL
        if self.sealed and seal.is_file() and seal.read_bytes() != _digest_of_files(folder).encode():
            raise CorruptDataError(f"the checksum differs: a file of the {self.name} folder is damaged, or was changed")


def _digest_of_files(folder: Path) -> str:
    """Return XXH3-64 of the names, sizes and bytes of all files but the seal, in hex."""
    digest = xxhash.xxh3_64()
    for path in files_in(folder):
        name = path.relative_to(folder).as_posix()
        if name != FOLDER_SEAL:
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _unpack(data: Buffer, folder: Path) -> None:
    """Write the files of a ZIP where they belong in a folder, after all of them were checked."""
    with ZipFile(io.BytesIO(data)) as archive:
        if any(one.compress_type != ZIP_STORED for one in archive.infolist()):
            raise CorruptDataError("a file of the ZIP is compressed, which none that squeezelab wrote is")
        files = {one.filename: archive.read(one) for one in archive.infolist()}
    for name, content in files.items():
        place = PurePosixPath(name)
        if not place.parts or place.is_absolute() or ".." in place.parts or place.as_posix() != name:
            raise CorruptDataError("a file of the ZIP has a name that leads elsewhere: it is damaged")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_in(folder: Path) -> list[Path]:
    """Return all files under a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(dataset: MetricDataset) -> str:
    """Return XXH3-64 of a data set's names, labels, lengths, samples, and dtypes that are no float64, in hex."""
    keys = [[key.metric_name, dict(key.labels)] for key in dataset.keys]
    kinds = [dtype.name for dtype in dataset.dtypes or ()] if set(dataset.value_dtypes) - {DOUBLE} else []
    digest = xxhash.xxh3_64(json.dumps([*keys, *kinds]).encode())
    for array in (dataset.offsets, dataset.timestamps, dataset.values):
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def checked(dataset: MetricDataset, digest: str) -> MetricDataset:
    """Return a data set that was read.

    Raises
    ------
    CorruptDataError
        If its digest is another than when it was written.
    """
    if digest_of(dataset) != digest:
        raise CorruptDataError("the checksum of the samples differs: a file of the folder is damaged, or was changed")
    return dataset


def rises(dataset: MetricDataset) -> bool:
    """Return whether the timestamps of each series rise, never falling or standing still."""
    falls = dataset.timestamps[1:] <= dataset.timestamps[:-1]
    begins = dataset.offsets[(dataset.offsets > 0) & (dataset.offsets < len(dataset))]
    falls[begins - 1] = False
    return not falls.any()


class OpenFile(Reader):
    """An engine's reader, and what has to be let go of with it; whatever it raises is told as damage."""

    def __init__(self, name: str, reader: EngineReader, stack: ExitStack) -> None:
        self._name = name
        self._reader = reader
        self._stack = stack

    def read_all(self) -> MetricDataset:
        """Have the engine read the whole data set."""
        with reading(self._name):
            return self._reader.read_all()

    def read_series(self, number: int) -> Series:
        """Have the engine read one series."""
        check_number(number, len(self._reader.keys))
        with reading(self._name):
            return self._reader.read_series(number)

    def read_between(self, number: int, start: int, end: int) -> Series:
        """Have the engine read the samples of one series from one time up to, and without, another."""
        check_number(number, len(self._reader.keys))
        with reading(self._name):
            return self._reader.read_between(number, start, end)

    def close(self) -> None:
        """Close the file, and remove what was put somewhere to be opened."""
        self._stack.close()


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Tell of a text that no engine can hold in one line.

    Raises
    ------
    SqueezelabError
        If a name or label has half a surrogate pair.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise SqueezelabError(f"{name} cannot hold half a surrogate pair: rename {error.object[:40]!a}") from error
