"""Zarr, both formats, with the lab's codecs: what is written is read, in any order of memory and bytes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT

from squeezelab.codecs import ByteCodec, available_codecs, get_codec
from squeezelab.errors import InvalidRequestError

zarr = pytest.importorskip("zarr", reason="pip install 'squeezelab[zarr]'")
checks = pytest.importorskip("numcodecs.tests.common", reason="numcodecs without its tests")

from squeezelab.zarr import Compressor, Serializer  # noqa: E402

SPECS = {"<f8": ["tally", "xor", "zstd", "alp+zstd"], "<i8": ["tally", "delta_of_delta", "blosc2", "lz4"]}
CASES = [(spec, kind.replace("<", ends)) for kind, specs in SPECS.items() for spec in specs for ends in ("<", ">")] + [
    (spec, dtype) for spec in ("tally", "pcodec") for dtype in ("<f4", ">f4", "<i4", ">u2", "|i1", "<u8")
]
every_case = pytest.mark.parametrize(("spec", "dtype"), CASES)
orders = pytest.mark.parametrize("order", ["C", "F"])


def numbers(dtype: str) -> np.ndarray:
    """Return an array that chunks of 3 x 4 do not divide."""
    return (np.arange(77) * np.arange(77) % 120).reshape(7, 11).astype(dtype)


def same(found: Any, array: np.ndarray) -> bool:
    return np.asarray(found).astype(array.dtype).tobytes() == array.tobytes()


@every_case
@orders
@pytest.mark.parametrize("as_filter", [False, True], ids=["compressor", "filter"])
def test_format_2_returns_what_was_written(spec: str, dtype: str, order: str, as_filter: bool) -> None:
    array, store = numbers(dtype), {}
    codec = {"filters": [get_codec(spec)]} if as_filter else {"compressors": get_codec(spec)}
    written = zarr.create_array(
        store, shape=array.shape, chunks=(3, 4), dtype=dtype, order=order, zarr_format=2, fill_value=7, **codec
    )
    written[:5] = array[:5]
    found = zarr.open_array(store, mode="r")
    assert found.dtype == array.dtype
    assert same(found[:5], array[:5])
    assert np.all(found[6:] == 7)


@every_case
@orders
@pytest.mark.parametrize("shards", [None, (6, 8)], ids=["chunks", "shards"])
def test_format_3_returns_what_was_written(spec: str, dtype: str, order: str, shards: Any) -> None:
    array, store = numbers(dtype), {}
    kind = (
        {"compressors": Compressor(spec)}
        if isinstance(get_codec(spec), ByteCodec)
        else {"serializer": Serializer(spec)}
    )
    written = zarr.create_array(
        store,
        shape=array.shape,
        chunks=(3, 4),
        shards=shards,
        dtype=dtype,
        fill_value=7,
        config={"order": order},
        **kind,
    )
    written[:5] = np.asarray(array, order=order)[:5]
    found = zarr.open_array(store, mode="r")
    assert same(found[:5], array[:5])
    assert np.all(found[6:] == 7)


def test_format_3_transposes_before_it_encodes() -> None:
    array = numbers("<f8")
    transpose = zarr.codecs.TransposeCodec(order=(1, 0))
    written = zarr.create_array(
        {},
        shape=(7, 11),
        chunks=(3, 4),
        dtype="<f8",
        filters=[transpose],
        serializer=Serializer("xor"),
        compressors=None,
    )
    written[:] = array
    assert same(written[:], array)


@pytest.mark.parametrize("format", [2, 3])
@pytest.mark.filterwarnings("ignore:The data type")
def test_moments_are_kept(format: int) -> None:
    moments = np.datetime64("2026-11-01", "s") + np.arange(100) * np.timedelta64(15, "s")
    codec = {"serializer": Serializer("delta_of_delta"), "compressors": None}
    if format == 2:
        codec = {"compressors": get_codec("delta_of_delta")}
    written = zarr.create_array({}, shape=(100,), chunks=(30,), dtype=moments.dtype, zarr_format=format, **codec)
    written[:] = moments
    assert np.array_equal(written[:], moments)


def test_a_serializer_takes_the_bytes_of_its_frames_and_no_more() -> None:
    column, store = np.round(np.cumsum(np.random.default_rng(0).normal(size=5000)), 1), {}
    zarr.create_array(store, data=column, chunks=(5000,), serializer=Serializer("tally"), compressors=None)
    assert store["c/0"].to_bytes() == get_codec("tally").encode(column)


def test_zarr_finds_them_where_squeezelab_was_not_imported(tmp_path: Path) -> None:
    named = {"name": "squeezelab.tally", "configuration": {"level": 1}}
    zarr.create_array(tmp_path / "a", data=numbers("<f8"), serializer=named, compressors=None)
    script = f"import zarr; print(zarr.open_array({str(tmp_path / 'a')!r})[:].sum())"
    read = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(read.stdout) == numbers("<f8").sum()


@pytest.mark.parametrize("name", [*available_codecs(), "chain"])
def test_every_codec_is_known_to_zarr(name: str) -> None:
    codec = get_codec("xor+zstd" if name == "chain" else name)
    kind = Compressor if isinstance(codec, ByteCodec) else Serializer
    assert zarr.registry.get_codec_class(f"squeezelab.{name}") is kind, (
        "pyproject.toml lists every codec under zarr.codecs"
    )
    assert kind.from_dict(kind(codec).to_dict()) == kind(codec)


def test_a_dtype_that_does_not_fit_is_rejected_before_anything_is_written() -> None:
    store: dict[str, Any] = {}
    with pytest.raises(TypeError, match="takes float64, not int32"):
        zarr.create_array(store, shape=(5,), dtype="int32", serializer=Serializer("xor"))
    assert not store


def test_a_codec_of_numbers_is_no_compressor() -> None:
    with pytest.raises(InvalidRequestError, match=r"serializer=Serializer"):
        Compressor("xor")


def test_they_say_what_they_are() -> None:
    assert repr(Serializer("xor+zstd:level=19")) == "Serializer('xor+zstd:level=19')"


ARRAYS = [
    np.arange(1000, dtype="i8"),
    np.linspace(1000, 1001, 1000).reshape(100, 10),
    np.random.default_rng(1).normal(1000, 1, (100, 10)).copy(order="F"),
    np.random.default_rng(2).integers(-(2**60), 2**60, (10, 10, 10)).copy(order="F"),
    np.linspace(0, 1, 100).astype(">f8"),
    np.arange(100).astype(">i8").reshape(10, 10, order="F"),
]


@pytest.mark.parametrize("name", available_codecs())
def test_numcodecs_own_checks_of_array_codecs(name: str) -> None:
    codec = get_codec(name)
    for array in ARRAYS:
        if array.dtype.newbyteorder("=") in codec.dtypes and not codec.lossy:
            checks.check_encode_decode_array(array, codec)
    checks.check_config(codec)
    checks.check_err_encode_object_buffer(codec)


@pytest.mark.parametrize("name", ["raw", "zstd", "zlib", "lz4", "brotli"])
def test_numcodecs_own_checks_of_compressors(name: str) -> None:
    for array in (*ARRAYS, np.arange(100).astype("f4"), np.arange(99).astype("u1").reshape(9, 11, order="F")):
        checks.check_encode_decode(array, get_codec(name))


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (PROJECT / "docs" / "zarr.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
