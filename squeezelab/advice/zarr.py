"""Zarr groups of format 3: the codec pipeline of each array, and its chunks."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from squeezelab.advice.base import Choices, Order, Place, Setting, Stored, System, Workshop, folder_bytes
from squeezelab.advice.layout import Column, Hour, Layout
from squeezelab.registry import is_installed
from squeezelab.results import Segment

FOLDER = "metrics.zarr"
SAMPLES = "samples"
NAMES = {"id": "series_id", "time": "timestamp", "value": "value"}
"""What the array of each kind of column is called."""
COMPRESSORS = ("zstd 1", "zstd 3", "zstd 9", "zstd 19", "zstd 22", "gzip 6", "gzip 9", "bz2 9", "lzma 9", "blosc lz4 9")
FILTERS: Mapping[str, tuple[str, ...]] = {
    "id": ("", "shuffle", "delta"),
    "time": ("", "shuffle", "delta", "delta delta"),
    "value": ("", "shuffle", "bitshuffle"),
}
PCODEC = ("pcodec 8", "pcodec 12")
EFFORT = {"zstd 1": 1, "zstd 3": 1, "blosc lz4 9": 0, "zstd 9": 2, "gzip 6": 2, "pcodec 8": 1, "pcodec 12": 2}


class Zarr(System):
    """Zarr, format 3: the codecs of each array as Python and as JSON.

    Notes
    -----
    A group of three arrays, a sample each, series after series: the number of the series, the moment, the value; the
    series' names and labels are attributes of the group. Bytes are those of all files of the folder. The default is an
    array without any argument. Source: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html

    Examples
    --------
    >>> pipeline("delta, zstd 3", "int64")["filters"]
    [{'name': 'numcodecs.delta', 'configuration': {'dtype': '<i8'}}]
    """

    name = "zarr"
    title = "Zarr, format 3"
    package = "zarr"
    file = "zarr.py"
    layouts: ClassVar[tuple[str, ...]] = ("series",)
    default_layout = "series"
    default_order = "as given"
    several = False  # an array has no place for what is not there
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"chunks": ("", "16384", "65536", "262144", "1048576")}

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return ZarrWorkshop

    @property
    def note(self) -> str:
        """Who reads it."""
        return "codecs whose name begins with numcodecs. are not in Zarr's specification: zarr-python reads them"

    def version(self) -> str:
        """Return the versions of zarr and numcodecs."""
        return f"zarr {version('zarr')}, numcodecs {version('numcodecs')}"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return filters and compressors, Zarr's own default first; names and labels are attributes."""
        if column.table != SAMPLES:
            return [""]
        filters = FILTERS["time" if _dtype(layout, column.kind) == "int64" else column.kind]
        some = [f"{one}, {after}" if one else after for one in filters for after in COMPRESSORS]
        some = [one for one in some if not one.startswith("bitshuffle")]
        some += [f"blosc zstd 9 {one}" for one in ("shuffle", "bitshuffle")]
        return ["", *some, *(PCODEC if is_installed("pcodec") else ())]

    def effort(self, choice: str) -> int:
        """Return how much a compressor costs."""
        return 0 if not choice else EFFORT.get(choice.rpartition(", ")[2], 3)

    def family(self, choice: str) -> str:
        """Return what stands before the compressor."""
        return choice.rpartition(", ")[0] or choice.partition(" ")[0].replace("gzip", "zstd").replace("lzma", "zstd")

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return one order: series after series."""
        return {"as given": {one.name: () for one in layout.tables}}

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return Python that writes the group."""
        lines = [
            "import zarr",
            "",
            "# series: for each series a dict of its name and labels",
            f"# {', '.join(NAMES.values())}: NumPy arrays, an entry a sample, series after series; series count from 0",
            f'root = zarr.open_group({FOLDER!r}, mode="w", attributes={{"series": series}})',
        ]
        for kind, name in NAMES.items():
            arguments = [f"{name}={value!r}" for name, value in self._arguments(layout, setting, kind).items()]
            call = [f'"{name}"', f"shape={name}.shape", f'dtype="{_dtype(layout, kind)}"', *arguments]
            lines += ["", "array = root.create_array(", *(f"    {one}," for one in call), ")", f"array[:] = {name}"]
        return "\n".join(lines) + "\n"

    def more(self, layout: Layout, setting: Setting) -> dict[str, str]:
        """Return the pipelines as they stand in the arrays' metadata; what is not set is left to Zarr."""
        told = {}
        for kind in NAMES:
            arguments = self._arguments(layout, setting, kind)
            if "compressors" in arguments:
                bytes_codec = {"name": "bytes", "configuration": {"endian": "little"}}
                serializer = arguments.get("serializer", bytes_codec)
                codecs = [*arguments.get("filters", []), serializer, *arguments["compressors"]]
                told[NAMES[kind]] = {"data_type": _dtype(layout, kind), "codecs": codecs}
        return {"zarr.json": json.dumps(told, indent=2) + "\n"}

    def _arguments(self, layout: Layout, setting: Setting, kind: str) -> dict[str, Any]:
        column = next(one for one in layout.columns if one.table == SAMPLES and one.kind == kind)
        chunks = setting.options["chunks"]
        given = {"chunks": (int(chunks),)} if chunks else {}
        return given | pipeline(setting.columns[SAMPLES, column.name], _dtype(layout, kind))


def _dtype(layout: Layout, kind: str) -> str:
    """Return the type of the array of a kind of column."""
    table = next(one for one in layout.tables if one.name == SAMPLES)
    return {"id": "uint32", "time": "int64"}.get(kind) or table.dtype(table.of_kind("value")[0].name).name


def pipeline(choice: str, dtype: str) -> dict[str, Any]:
    """Return the arguments of ``create_array`` for filters, serializer and compressors as Zarr's metadata have them."""
    if not choice:
        return {}
    size = np.dtype(dtype).itemsize
    first, _, last = choice.rpartition(", ")
    name, *levels = last.split(" ")
    if name == "pcodec":
        serializer = {"name": "numcodecs.pcodec", "configuration": {"level": int(levels[0])}}
        return {"serializer": serializer, "compressors": []}
    delta = {"name": "numcodecs.delta", "configuration": {"dtype": np.dtype(dtype).str}}
    filters = [delta for one in first.split(" ") if one == "delta"]
    shuffle = [{"name": "numcodecs.shuffle", "configuration": {"elementsize": size}}] if first == "shuffle" else []
    return {"filters": filters, "compressors": [*shuffle, _compressor(name, levels, size)]}


def _compressor(name: str, levels: Sequence[str], size: int) -> dict[str, Any]:
    if name == "blosc":
        shuffle = levels[2] if len(levels) > 2 else "noshuffle"
        given = {"typesize": size, "cname": levels[0], "clevel": int(levels[1]), "shuffle": shuffle, "blocksize": 0}
        return {"name": "blosc", "configuration": given}
    level = int(levels[0])
    return {
        "zstd": {"name": "zstd", "configuration": {"level": level, "checksum": False}},
        "gzip": {"name": "gzip", "configuration": {"level": level}},
        "bz2": {"name": "numcodecs.bz2", "configuration": {"level": level}},
        "lzma": {"name": "numcodecs.lzma", "configuration": {"preset": level}},
    }[name]


class ZarrWorkshop(Workshop):
    """Runs Python that writes a group into the working folder."""

    def __init__(self) -> None:
        super().__init__()
        warnings.simplefilter("ignore")  # what is in no specification is said in a note

    def _given(self, layout: str) -> tuple[list[dict[str, str | None]], dict[str, npt.NDArray[Any]]]:
        series, samples = self.layouts[layout].tables
        arrays: dict[str, npt.NDArray[Any]] = {}
        for column in samples.columns:
            rows = samples.rows[column.name].combine_chunks()
            plain = rows.cast(pa.int64()) if column.kind == "time" else rows
            arrays[column.kind] = plain.to_numpy(zero_copy_only=False)
        named = [one.name for one in series.of_kind("label")]
        return series.rows.select(named).to_pylist(), arrays

    def run(self, layout: str, text: str) -> Stored:
        """Execute the text, with names and labels, and the arrays, as variables."""
        series, arrays = self._given(layout)
        exec(
            compile(text, "statement", "exec"), {"series": series, **{NAMES[kind]: one for kind, one in arrays.items()}}
        )
        files = folder_bytes(Path(FOLDER))
        parts = {"timestamps": "time", "values": "value", "labels": "id"}
        sizes = {
            part: sum(size for name, size in files.items() if name.startswith(f"{NAMES[kind]}/"))
            for part, kind in parts.items()
        }
        return Stored(sum(files.values()), sizes | {"rest": sum(files.values()) - sum(sizes.values())})

    def probe(
        self, layout: str, order: Order, options: Mapping[str, str], choices: Choices
    ) -> dict[Place, dict[str, int]]:
        """Write each array into memory, once for each choice."""
        import zarr

        _, arrays = self._given(layout)
        sizes: dict[Place, dict[str, int]] = {}
        chunks = {"chunks": (int(options["chunks"]),)} if options["chunks"] else {}
        for column in self.layouts[layout].columns:
            place = (column.table, column.name)
            for choice in choices.get(place, ()):
                given = arrays[column.kind]
                wanted = pipeline(choice, given.dtype.name)
                store = zarr.storage.MemoryStore()
                array = zarr.create_array(store, shape=given.shape, dtype=given.dtype, **chunks, **wanted)
                array[:] = given
                sizes.setdefault(place, {})[choice] = array.nbytes_stored()
        return sizes

    def read(self, layout: str) -> dict[str, pa.Table]:
        """Read all arrays, and the attributes of the group."""
        import zarr

        root = zarr.open_group(FOLDER, mode="r")
        series, samples = self.layouts[layout].tables
        listed = [dict(one) for one in root.attrs["series"]]
        numbered = [{**one, series.of_kind("id")[0].name: number} for number, one in enumerate(listed)]
        columns = {one.name: pa.array(np.asarray(root[NAMES[one.kind]])) for one in samples.columns}
        return {
            series.name: pa.Table.from_pylist(numbered, schema=series.rows.schema),
            samples.name: pa.table({one.name: columns[one.name] for one in samples.columns}),
        }

    def read_all(self, layout: str) -> int:
        """Read all arrays."""
        import zarr

        root = zarr.open_group(FOLDER, mode="r")
        return max(len(np.asarray(root[name])) for name in NAMES.values())

    def read_hour(self, layout: str, hour: Hour) -> int:
        """Find the samples of a series by its number, then those between two moments."""
        import zarr

        root = zarr.open_group(FOLDER, mode="r")
        wanted = dict(hour.labels)
        number = next(i for i, one in enumerate(root.attrs["series"]) if one == wanted)
        first, after = np.searchsorted(np.asarray(root[NAMES["id"]]), [number, number + 1]).tolist()
        times: Any = root[NAMES["time"]]
        low, high = np.searchsorted(times[first:after], [hour.start, hour.stop]).tolist()
        values: Any = root[NAMES["value"]]
        return len(values[first + low : first + high])

    def segments(self, layout: str) -> list[Segment]:
        """Return the codecs that Zarr takes by itself, and how many chunks have them."""
        import zarr

        root: Any = zarr.open_group(FOLDER, mode="r")
        samples = self.layouts[layout].tables[1]
        return [
            Segment(
                samples.name,
                one.name,
                ", ".join(codec["name"] for codec in root[NAMES[one.kind]].metadata.to_dict()["codecs"]),
                root[NAMES[one.kind]].nchunks,
                root[NAMES[one.kind]].nbytes_stored(),
            )
            for one in samples.columns
        ]
