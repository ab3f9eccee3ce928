"""Naming codecs."""

from importlib.metadata import entry_points

import numcodecs
import pytest

from squeezelab.codecs import Chain, available_codecs, codec_spec, get_codec
from squeezelab.errors import InvalidRequestError


def test_all_codecs_of_the_package_are_found() -> None:
    assert {"delta_of_delta", "lz4", "raw", "xor", "zlib", "zstd"} <= set(available_codecs())


def test_numcodecs_finds_them_without_squeezelab_being_imported() -> None:
    declared = {
        entry.name: entry.load()
        for entry in entry_points(group="numcodecs.codecs")
        if entry.name.startswith("squeezelab.")
    }
    ours = {f"squeezelab.{name}" for name in available_codecs()} | {Chain.codec_id}
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
        ("lz4:acceleration=0", "no acceleration 0"),
        ("xor:level=3", "it takes none"),
        ("zstd:level=--5", "give a number"),
        ("zstd:level=\u00b2", "give a number"),
        ("delta_of_delta:widths=7", "no widths '7'"),
        ("delta_of_delta:widths=-64", "no widths"),
        ("delta_of_delta:widths=\u00b2-3-4-64", "no widths"),
        ("delta_of_delta:widths=5-foo-7-9-64", "no widths"),
        ("xor" + "+zstd" * 50, "unknown codec"),
        ("zstd+xor", "a chain is"),
        ("xor+delta_of_delta", "a chain is"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message.replace("+", r"\+")) as caught:
        get_codec(spec)
    assert "\n" not in str(caught.value)


def test_a_chain_may_be_configured_through_numcodecs() -> None:
    config = {"id": "squeezelab.chain", "stages": [{"id": "squeezelab.xor"}, {"id": "squeezelab.zstd", "level": 5}]}
    assert codec_spec(numcodecs.get_codec(config)) == "xor+zstd:level=5"
