"""Codecs and formats of other packages run in the lab: by name, by entry point, and as objects."""

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from conftest import PROJECT

from squeezelab import CorruptDataError, MetricDataset, bench
from squeezelab.codecs import available_codecs, codec_spec, get_codec
from squeezelab.codecs.foreign import known_codecs
from squeezelab.codecs.xor import Xor
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import Format, available_formats
from squeezelab.registry import Registry
from squeezelab.testing import check_codec

VALUES = np.round(np.cumsum(np.random.default_rng(0).normal(size=1000)), 1)


class Halves:
    """No codec of numcodecs at all: two verbs, and no ``out=``."""

    def encode(self, column: np.ndarray) -> np.ndarray:
        if column.dtype != np.float64:
            raise TypeError("doubles only")
        return column.view(np.uint32)

    def decode(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data, np.float64).copy()


class Loses(numcodecs.abc.Codec):
    codec_id = "loses"

    def encode(self, buf: Any) -> bytes:
        return np.asarray(buf, np.float64).astype(np.float32).tobytes()

    def decode(self, buf: Any, out: Any = None) -> np.ndarray:
        return np.frombuffer(buf, np.float32).astype(np.float64)


class Forgets(Halves):
    def decode(self, data: bytes) -> np.ndarray:
        return super().decode(data)[1:]


@pytest.mark.parametrize(
    "spec",
    [
        "numcodecs.zlib:level=9",
        "numcodecs.blosc:cname=zstd,shuffle=2",
        "numcodecs.delta:dtype=i8",
        "numcodecs.pcodec:level=12",
        "numcodecs.shuffle:elementsize=8+zstd",
        "xor+numcodecs.bz2:level=9",
    ],
)
def test_numcodecs_codecs_conform_as_ours_do(spec: str) -> None:
    codec = get_codec(spec)
    check_codec(codec, dtypes=[dtype for dtype in codec.dtypes if dtype.itemsize == 8 and dtype.kind in "if"])
    assert codec_spec(codec) == spec
    assert get_codec(spec).encode(VALUES) == codec.encode(VALUES)


def test_the_payload_is_what_the_codec_makes() -> None:
    assert bytes(get_codec("numcodecs.zlib:level=9").pack(VALUES)) == numcodecs.Zlib(9).encode(VALUES)
    assert bytes(get_codec("numcodecs.blosc:shuffle=2").pack(VALUES)) == numcodecs.Blosc(shuffle=2).encode(VALUES)


def test_objects_are_codecs() -> None:
    named = {codec_spec(get_codec(one)): get_codec(one) for one in (numcodecs.Zlib(9), Halves(), Loses(), Xor())}
    assert list(named) == ["numcodecs.zlib:level=9", "halves", "loses", "xor"]
    assert get_codec({"id": "zlib", "level": 9}).codec == numcodecs.Zlib(9)
    assert get_codec({"id": "squeezelab.xor"}).name == "xor"


def test_what_it_takes_and_loses_is_found_by_trying() -> None:
    zlib, halves, loses = map(get_codec, (numcodecs.Zlib(), Halves(), Loses()))
    assert (zlib.kind, zlib.lossy, len(zlib.dtypes), zlib.package) == ("general", False, 11, "numcodecs")
    assert (halves.kind, halves.lossy, [str(one) for one in halves.dtypes]) == ("peers", False, ["float64"])
    assert loses.lossy
    assert np.isinf(loses.tolerance(VALUES)).all()


def test_a_codec_that_loses_values_is_damage() -> None:
    with pytest.raises(InvalidRequestError, match="takes no column of numbers"):
        get_codec(Forgets())
    codec = get_codec(Halves())
    codec.codec = Forgets()
    with pytest.raises(CorruptDataError, match="2 values"):
        codec.decode(codec.encode(VALUES[:3]))


def test_it_comes_back_from_pickle_and_configuration() -> None:
    codec = get_codec("xor+numcodecs.zlib:level=9")
    frame = codec.encode(VALUES)
    assert pickle.loads(pickle.dumps(codec)).encode(VALUES) == frame
    assert numcodecs.get_codec(json.loads(json.dumps(codec.get_config()))).encode(VALUES) == frame


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("numcodecs.nothing", "unknown codec 'numcodecs.nothing'"),
        ("numcodecs.delta", "needs dtype=..."),
        ("numcodecs.blosc:cname=gzip", "bad compressor"),
        ("numcodecs.blosc:clevel=high", "does not take 'clevel=high': give a number"),
        ("numcodecs.zlib:speed=1", "no parameter 'speed=1': give level=..."),
        ("numcodecs.vlen-utf8", "takes no column of numbers: "),
        ("xor+numcodecs.pcodec", "a chain is"),
        (3, "not int"),
        (numcodecs.Zlib, "not ABCMeta|not type"),
    ],
)
def test_mistakes_are_one_line(spec: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        get_codec(spec)
    assert "\n" not in str(caught.value)


def test_parameters_get_the_type_of_their_default() -> None:
    codec = get_codec("numcodecs.fixedscaleoffset:offset=0.5,scale=10,dtype=f8,astype=i8").codec
    assert (codec.offset, codec.scale, codec.dtype, codec.astype) == (0.5, 10, np.dtype("f8"), np.dtype("i8"))


def test_all_that_numcodecs_knows_are_listed() -> None:
    assert {"numcodecs.zlib", "numcodecs.blosc", "numcodecs.pcodec"} <= set(known_codecs())
    assert not set(known_codecs()) & set(available_codecs())


def test_they_run_beside_ours(small: MetricDataset) -> None:
    codecs = ["xor", "numcodecs.zlib:level=9", numcodecs.LZMA(), Loses(), Halves()]
    frame = bench(small.select(range(3)), codecs=codecs, formats=[], rounds=0).to_frame()
    values = frame[(frame.subject == "values") & frame.metric.isna()].set_index("codec")
    assert set(values.index) == {"xor", "numcodecs.zlib:level=9", "numcodecs.lzma", "loses", "halves"}
    assert values.bit_exact.drop("loses").all()
    assert values.lossy["loses"]
    assert bool(values.largest_error["loses"] > 0)
    assert "halves" not in set(frame[frame.subject == "timestamps"].codec)


def install(folder: Path, group: str, *entries: str) -> None:
    """Make a package with entry points, as pip would leave it."""
    info = folder / "others-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(entries) + "\n")


def test_a_format_of_another_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "squeezelab.formats", "theirs = others:Theirs", "broken = others:Missing", "wrong = json:dumps")
    (tmp_path / "others.py").write_text(
        "from squeezelab.formats.columnar import Columnar\nclass Theirs(Columnar):\n    name = 'theirs'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry[Format]("format", "squeezelab.formats", Format)
    with pytest.warns(UserWarning, match="format '(broken|wrong)' of .* is left out"):
        assert set(registry.available()) - set(available_formats()) == {"theirs"}
    assert registry.make("theirs").name == "theirs"
    sys.modules.pop("others")


def test_the_page_runs() -> None:
    page = (PROJECT / "docs" / "other-packages.md").read_text(encoding="utf-8")
    pytest.importorskip("fpzip")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
