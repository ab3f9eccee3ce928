"""Damaged files of users, and how they are read: data or one line of what is wrong, whatever the reader."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
import zstandard

from fuzz.forging import Subject, dataset, mutate
from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats.tally.export import export
from squeezelab.programs import find_program
from squeezelab.readers import load

INFLUX = "".join(f'cpu,host=a\\ b usage={i}.5,up=t,note="x" {1_700_000_000 + i}000000000\n' for i in range(60))
ANNOTATED = (
    "#group,false,false,false,false,true,true\n#datatype,string,long,dateTime:RFC3339,double,string,string\n"
    "#default,_result,,,,,\n,result,table,_time,_value,_field,_measurement\n"
    + "".join(f",,0,2024-01-01T00:00:{i:02}Z,{i}.5,usage,cpu\n" for i in range(60))
)
EXPORTED = {"csv": "csv", "ndjson": "ndjson", "prometheus": "openmetrics", "parquet": "parquet", "arrow": "arrow"}
BLOCK_FILES = ("index", "chunks/000001", "meta.json")


def reader_subjects() -> list[Subject]:
    """Return all readers, packed files, and where promtool is here a Prometheus data folder."""
    contents: dict[str, Callable[[], bytes]] = {name: partial(exported, form) for name, form in EXPORTED.items()}
    contents |= {
        "json": lambda: json.dumps(
            [{"time": 1_700_000_000 + i, "host": "a", "cpu": i / 2} for i in range(60)]
        ).encode(),
        "json-answer": answer,
        "influx": INFLUX.encode,
        "influx-csv": ANNOTATED.encode,
        "tally": lambda: get_format("tally").encode(dataset()),
        "csv-utf16": lambda: exported("csv").decode().encode("utf-16"),
        "csv-gzip": lambda: gzip.compress(exported("csv"), mtime=0),
        "csv-zstd": lambda: zstandard.compress(exported("csv")),
    }
    found = [Subject(f"readers/{name}", read_file, partial(forge_file, made)) for name, made in contents.items()]
    return found + [Subject("readers/tsdb", read_block, forge_block)] * bool(find_program("promtool"))


def exported(form: str) -> bytes:
    """Return a data set in one of the forms that tally files are unpacked to."""
    file = BytesIO()
    export(dataset(), "s", file, form)
    return file.getvalue()


def answer() -> bytes:
    """Return what Prometheus answers to a range query."""
    series = [
        {"metric": {"__name__": "up", "job": name}, "values": [[1_700_000_000 + i, str(i)] for i in range(60)]}
        for name in "ab"
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}}).encode()


def read_file(data: bytes | np.ndarray) -> None:
    """Load bytes as a file; what they are has to be found out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(bytes(data))
        read(path)


def read(path: Path) -> None:
    """Load a path; errors that are made for users are what damage may end in, if they are a line."""
    try:
        load(path)
    except (DataSourceError, InvalidRequestError) as error:
        if "\n" in str(error):
            raise AssertionError("more than a line") from error


def forge_file(made: Callable[[], bytes]) -> Callable[[random.Random], bytes]:
    """Return what damages a file."""
    whole = made()
    read_file(whole)
    return partial(mutate, whole)


@cache
def block() -> dict[str, bytes]:
    """Return the files of a block that promtool has made."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.om").write_bytes(exported("openmetrics"))
        command = [str(find_program("promtool")), "tsdb", "create-blocks-from", "openmetrics", "x.om", "data"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (meta,) = Path(folder).glob("data/*/meta.json")
        return {name: (meta.parent / name).read_bytes() for name in BLOCK_FILES}


def read_block(data: bytes | np.ndarray) -> None:
    """Load a block of which one file is damaged: the first byte says which, the others are its content."""
    place, *content = bytes(data)
    with tempfile.TemporaryDirectory() as folder:
        for name, whole in (block() | {BLOCK_FILES[place % len(BLOCK_FILES)]: bytes(content)}).items():
            path = Path(folder) / "block" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole)
        read(Path(folder))


def forge_block() -> Callable[[random.Random], bytes]:
    """Return what damages one file of a block."""
    files = block()

    def make(rng: random.Random) -> bytes:
        place = rng.randrange(len(BLOCK_FILES))
        return bytes([place]) + mutate(files[BLOCK_FILES[place]], rng)

    return make
