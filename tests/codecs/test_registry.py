"""Naming codecs."""

from importlib.metadata import entry_points, requires

import numcodecs
import pytest

from squeezelab import registry
from squeezelab.codecs import (
    Chain,
    ColumnCodec,
    Foreign,
    available_codecs,
    codec_spec,
    get_codec,
    missing_codecs,
    showcase_codecs,
)
from squeezelab.codecs.zstd import Zstd
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import Format, available_formats, get_format, missing_formats, showcase_formats


def test_all_codecs_of_the_package_are_found() -> None:
    assert {"delta_of_delta", "lz4", "raw", "xor", "zlib", "zstd"} <= set(available_codecs())


def test_numcodecs_finds_them_without_squeezelab_being_imported() -> None:
    declared = {
        entry.name: entry.load()
        for entry in entry_points(group="numcodecs.codecs")
        if entry.name.startswith("squeezelab.")
    }
    ours = {f"squeezelab.{name}" for name in [*available_codecs(), *missing_codecs()]} | {
        Chain.codec_id,
        Foreign.codec_id,
    }
    assert set(declared) == ours, "pyproject.toml lists every codec under numcodecs.codecs"
    assert all(codec.codec_id == name for name, codec in declared.items())


def test_parameters_are_set() -> None:
    assert get_codec("zstd:level=7").level == 7
    assert get_codec("delta_of_delta:widths=4-10-20-64").widths == "4-10-20-64"
    assert [codec_spec(stage) for stage in get_codec("xor+lz4:acceleration=9+zstd:level=1").stages] == [
        "xor",
        "lz4:acceleration=9",
        "zstd:level=1",
    ]


def test_defaults_are_left_out_of_the_specification() -> None:
    assert codec_spec(get_codec("xor+zstd:level=3")) == "xor+zstd"
    assert codec_spec(get_codec("xor+zstd:level=4")) == "xor+zstd:level=4"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gzip", "unknown codec 'gzip': choose from .*delta_of_delta, .*lz4"),
        ("", "unknown codec ''"),
        ("xor+", "unknown codec ''"),
        ("zstd:speed=3", "no parameter 'speed=3': give level="),
        ("zstd:level", "no parameter 'level'"),
        ("zstd:level=23", "no level 23"),
        ("zstd:level=0", "no level 0"),
        ("zstd:level=high", "does not take 'level=high'"),
        ("zlib:level=10", "no level 10"),
        ("zstd:", "no parameter ''"),
        ("pcodec:level=13", "no level 13: choose from 0 to 12"),
        ("brotli:quality=12", "no quality 12"),
        ("blosc2:shuffle=bits", "no shuffle 'bits': choose from shuffle, bitshuffle, none"),
        ("blosc2:codec=gzip", "no codec 'gzip'"),
        ("blosc2:level=0", "no level 0"),
        ("parquet:encoding=rle", "no encoding 'rle': choose from dictionary, plain"),
        ("parquet:compression=snappy,level=1", "snappy in parquet has no level 1"),
        ("lz4:acceleration=0", "no acceleration 0"),
        ("lz4:hc=2", "hc from 3 to 12"),
        ("lz4:hc=9,acceleration=2", "no acceleration with it"),
        ("xor:level=3", "it takes none"),
        ("zstd:level=--5", "give a number"),
        ("zstd:level=\u00b2", "give a number"),
        ("delta_of_delta:widths=7", "no widths '7'"),
        ("delta_of_delta:widths=-64", "no widths"),
        ("delta_of_delta:widths=\u00b2-3-4-64", "no widths"),
        ("delta_of_delta:widths=5-foo-7-9-64", "no widths"),
        ("delta_of_delta:widths=1-2-3-" + "9" * 5000, "no widths"),
        ("xor" + "+zstd" * 50, "unknown codec"),
        ("zstd+xor", "a chain is"),
        ("xor+delta_of_delta", "a chain is"),
    ],
)
def test_what_cannot_be_made_is_rejected_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message.replace("+", r"\+")) as caught:
        get_codec(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("annotation", [int, "int"], ids=repr)
def test_numbers_arrive_as_numbers_however_a_module_writes_its_annotations(
    annotation: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Zstd.__init__.__annotations__, "level", annotation)
    assert get_codec("zstd:level=5").get_config()["level"] == 5


def test_a_chain_may_be_configured_through_numcodecs() -> None:
    config = {"id": "squeezelab.chain", "stages": [{"id": "squeezelab.xor"}, {"id": "squeezelab.zstd", "level": 5}]}
    assert codec_spec(numcodecs.get_codec(config)) == "xor+zstd:level=5"


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no package of the extra ``peers`` were there."""
    monkeypatch.setattr(registry, "is_installed", lambda package: package is None)


@pytest.mark.usefixtures("nothing_installed")
def test_a_codec_without_its_package_is_named_with_it_and_not_run() -> None:
    assert missing_codecs() == {"openzl": "openzl", "vortex": "vortex-data"}
    assert not {"openzl", "vortex"} & {spec.partition(":")[0] for spec in [*available_codecs(), *showcase_codecs()]}
    for name, package in missing_codecs().items():
        with pytest.raises(InvalidRequestError) as caught:
            get_codec(f"xor+{name}" if name == "vortex" else name)
        assert str(caught.value) == f"codec '{name}' needs the package {package}: pip install 'squeezelab[peers]'"


@pytest.mark.usefixtures("nothing_installed")
def test_a_format_without_its_package_is_named_with_it_and_not_run() -> None:
    packages = {"clickhouse": "chdb", "duckdb": "duckdb", "hdf5": "hdf5plugin", "lance": "pylance"}
    packages |= {"tiledb": "tiledb", "tsfile": "tsfile", "vortex": "vortex-data", "zarr": "zarr"}
    assert missing_formats() == packages
    assert not packages.keys() & {spec.partition(":")[0] for spec in [*available_formats(), *showcase_formats()]}
    for name, package in packages.items():
        with pytest.raises(InvalidRequestError, match=f"format '{name}' needs the package {package}: pip install"):
            get_format(f"{name}+zstd")


def test_packages_that_codecs_and_formats_name_are_those_of_the_extra() -> None:
    declared = {line.partition(">")[0] for line in requires("squeezelab") or () if line.endswith('extra == "peers"')}
    every = [*registry.Registry("codec", "squeezelab.codecs", ColumnCodec).classes.values()]
    every += registry.Registry("format", "squeezelab.formats", Format).classes.values()
    assert {one.package for one in every if one.package} == declared


@pytest.mark.parametrize("spec", showcase_codecs())
def test_what_is_shown_is_told_apart(spec: str) -> None:
    assert codec_spec(get_codec(spec)) == spec


def test_a_chain_is_of_the_kind_of_its_first_codec() -> None:
    kinds = {spec: get_codec(spec).kind for spec in ("zstd", "xor", "pcodec", "xor+zstd", "pcodec+zstd", "zstd+lz4")}
    assert kinds == {
        "zstd": "general",
        "xor": "papers",
        "pcodec": "peers",
        "xor+zstd": "papers",
        "pcodec+zstd": "peers",
        "zstd+lz4": "general",
    }
