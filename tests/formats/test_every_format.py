"""What every file format promises: the conformance suite, and what goes beyond it."""

import contextlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from columns import COLUMNS, int64_columns, same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.codecs._frame import varint
from squeezelab.errors import InvalidRequestError, SqueezelabError
from squeezelab.experiment.plan import DEFAULT_FORMATS
from squeezelab.formats import available_formats, get_format, showcase_formats
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats._dictionary_file import DictionaryFile
from squeezelab.testing import check_format

FORMATS = [
    *dict.fromkeys([*available_formats(), *showcase_formats()]),
    "delta_of_delta+xor+zstd:level=19",
    "downsampled:step=5m",
    "downsampled:step=15m+zstd:level=1",
    "downsampled:step=1h",
]
LOSSLESS = [name for name in FORMATS if not get_format(name).lossy]
# Opening a database takes longer than all else.
QUICK = [name for name in LOSSLESS if not get_format(name).whole_file]
WHOLE = [name for name in available_formats() if get_format(name).whole_file]
DICTIONARY_FILES = [name for name in FORMATS if isinstance(get_format(name), DictionaryFile)]

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def datasets(draw: st.DrawFn, dtypes: Sequence[np.dtype]) -> MetricDataset:
    """Any names, labels and bits; series may be of any length but 0, which NDJSON cannot tell."""
    keys = draw(
        st.lists(st.builds(SeriesKey, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)), max_size=5, unique=True)
    )
    series = []
    for key in keys:
        timestamps = draw(int64_columns().filter(len))
        values = draw(COLUMNS[draw(st.sampled_from(dtypes))].filter(len))
        count = min(len(timestamps), len(values))
        series.append(Series(key, timestamps[:count], values[:count]))
    return MetricDataset.from_series(series)


def comes_back(name: str, dataset: MetricDataset) -> None:
    try:
        file = get_format(name).encode(dataset)
    except SqueezelabError:
        assume(not name.startswith("duckdb"))  # it may reject NaNs, see its own tests
        raise
    found = get_format(name).decode(file)
    assert list(found.keys) == list(dataset.keys)
    assert np.array_equal(found.offsets, dataset.offsets)
    assert same_bits(found.timestamps, dataset.timestamps)
    assert found.dtypes == dataset.dtypes
    assert same_bits(found.values, dataset.values)


@pytest.mark.parametrize("name", FORMATS)
def test_it_conforms(name: str) -> None:
    check_format(get_format(name))


@pytest.mark.parametrize("name", QUICK)
@given(data=st.data())
def test_every_data_set_comes_back_bit_for_bit(name: str, data: st.DataObject) -> None:
    comes_back(name, data.draw(datasets(get_format(name).dtypes)))


@pytest.mark.skipif(not WHOLE, reason="no package of the extra peers is installed")
@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=8)
@given(data=st.data())
def test_every_data_set_comes_back_from_a_database(name: str, data: st.DataObject) -> None:
    comes_back(name, data.draw(datasets(get_format(name).dtypes)))


def test_formats_say_which_types_of_values_they_take() -> None:
    """What takes doubles alone does so by its nature, not for want of work."""
    taken = {name.partition(":")[0]: get_format(name).dtypes for name in FORMATS if "+zstd" not in name}
    doubles, integers = np.dtype(np.float64), np.dtype(np.int64)
    alone = {name for name, dtypes in taken.items() if dtypes == (doubles,)}
    assert alone <= {"delta_of_delta+xor", "downsampled", "prometheus"}
    assert {name for name, dtypes in taken.items() if set(dtypes) == {doubles, integers}} == {"ndjson", "pattern"}
    assert all(get_format(f"{name}+zstd").dtypes == taken[name] for name in ("ndjson", "table"))


@pytest.mark.parametrize("name", FORMATS)
@given(noise=st.binary(min_size=1, max_size=100))
def test_random_bytes_are_no_file(name: str, noise: bytes) -> None:
    assume(name != "ndjson" or noise.strip(b"\r\n\t "))  # no line is no sample
    with pytest.raises(CorruptDataError):
        get_format(name).decode(noise)


def test_one_format_rejects_the_other() -> None:
    dataset = MetricDataset.from_series([])
    with pytest.raises(CorruptDataError, match="no delta_of_delta\\+xor file"):
        get_format("delta_of_delta+xor").decode(get_format("columnar").encode(dataset))


@pytest.mark.bounds
@pytest.mark.parametrize("name", DICTIONARY_FILES)
@given(content=st.binary(max_size=200), named=st.booleans())
def test_a_file_that_checks_out_but_makes_no_sense_never_crashes(name: str, content: bytes, named: bool) -> None:
    import xxhash

    first_line = f"squeezelab {name.partition(':')[0]} 1\n".encode()
    dictionary = encode_keys([SeriesKey("up", {})])
    body = first_line + (varint(len(dictionary)) + dictionary if named else b"") + content
    with contextlib.suppress(CorruptDataError):
        get_format(name).decode(body + xxhash.xxh3_64_digest(body))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xml", "unknown format 'xml': choose from .*columnar"),
        ("", "choose"),
        ("+zstd", "choose"),
        ("ndjson+", "choose"),
        ("ndjson+gzip", "choose"),
        ("ndjson+zstd:level=99", "zstd has no level 99: choose from 1 to 22"),
        ("ndjson+zstd:", "no parameter ''"),
        ("ndjson:level=3", "it takes none"),
        ("downsampled:step=7m", "choose"),
        ("parquet:values=delta", "no values 'delta': choose from dictionary"),
        ("parquet:level=high", "give a number"),
    ],
)
def test_unknown_formats_are_rejected_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        get_format(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndjson:step=5m", "format 'ndjson' has no parameter 'step=5m': it takes none"),
        ("downsampled:level=3", "format 'downsampled' has no parameter 'level=3': give step="),
        ("downsampled:step", "no parameter 'step'"),
    ],
)
def test_unknown_parameters_are_rejected_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        get_format(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_knows_its_name(name: str) -> None:
    assert get_format(get_format(name).name).name == get_format(name).name
    assert get_format(name).name == name.removesuffix(":step=1m")


def test_files_shrink_in_the_order_of_the_ladder(small: MetricDataset) -> None:
    names = ["ndjson", "cbor", "table", "columnar", "delta_of_delta+xor", "pattern"]
    for suffix in ("", "+zstd"):
        sizes = [len(get_format(name + suffix).encode(small)) for name in names]
        assert sizes == sorted(sizes, reverse=True)


def test_the_ladder_is_complete_and_in_order() -> None:
    names = [name for name in DEFAULT_FORMATS if name.endswith("+zstd")]
    steps = [f"downsampled:step={step}+zstd" for step in ("1m", "5m", "15m", "1h")]
    lossless = ["ndjson", "cbor", "table", "columnar", "delta_of_delta+xor", "pattern"]
    assert names == [f"{name}+zstd" for name in lossless] + steps
