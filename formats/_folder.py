"""What engines keep in a folder, as the bytes of one file.

::

    varint      number of files
    for each    varint, bytes of its path; the path, UTF-8, with slashes; varint, its bytes
    files       one after another, in the order of their paths
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from squeezelab.codecs._frame import read_varint, varint
from squeezelab.errors import CorruptDataError


def pack_folder(folder: Path) -> bytes:
    """Return all files under a folder."""
    paths = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    files = {name: path.read_bytes() for name, path in paths}
    names = b"".join(
        varint(len(name.encode())) + name.encode() + varint(len(content)) for name, content in files.items()
    )
    return b"".join((varint(len(files)), names, *files.values()))


def unpack_files(data: bytes) -> dict[str, bytes]:
    """Return the files of a folder by their paths.

    Raises
    ------
    CorruptDataError
        If the bytes are no whole folder, or a path leads out of it.
    """
    count, at = read_varint(data, 0)
    sizes = {}
    for _ in range(count):
        length, at = read_varint(data, at)
        name = data[at : at + length].decode()
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or path.as_posix() != name or name == ".":
            raise CorruptDataError("a file of the folder has a name that leads elsewhere: it is damaged")
        sizes[name], at = read_varint(data, at + length)
    if at + sum(sizes.values()) != len(data):
        raise CorruptDataError("the folder is of another size than its files: it is damaged")
    files = {}
    for name, size in sizes.items():
        files[name] = data[at : at + size]
        at += size
    return files


def unpack_folder(data: bytes, folder: Path) -> None:
    """Write the files of a folder where they belong under another.

    Raises
    ------
    CorruptDataError
        As `unpack_files` does, before anything is written.
    """
    for name, content in unpack_files(data).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
