"""What every file format promises, whichever it is."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columns import float64_columns, int64_columns, same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import available_formats, get_format, showcase_formats

FORMATS = [*dict.fromkeys([*available_formats(), *showcase_formats()]), "delta_of_delta+xor+zstd:level=19"]
CHECKED = [name for name in available_formats() if name != "ndjson"]
every_format = pytest.mark.parametrize("name", FORMATS)
# Opening a database takes longer than all else.
QUICK = [name for name in FORMATS if not get_format(name).whole_file]
WHOLE = [name for name in available_formats() if get_format(name).whole_file]

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def datasets(draw: st.DrawFn) -> MetricDataset:
    """Any names, labels and bits; series may be of any length but 0, which NDJSON cannot tell."""
    keys = draw(
        st.lists(st.builds(SeriesKey, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)), max_size=5, unique=True)
    )
    series = []
    for key in keys:
        timestamps = draw(int64_columns().filter(len))
        values = draw(float64_columns().filter(len))
        count = min(len(timestamps), len(values))
        series.append(Series(key, timestamps[:count], values[:count]))
    return MetricDataset.from_series(series)


def assert_same(found: MetricDataset, expected: MetricDataset) -> None:
    assert list(found.keys) == list(expected.keys)
    assert np.array_equal(found.offsets, expected.offsets)
    assert same_bits(found.timestamps, expected.timestamps)
    assert same_bits(found.values, expected.values)


@pytest.mark.parametrize("name", QUICK)
@given(dataset=datasets())
def test_every_data_set_comes_back_bit_for_bit(name: str, dataset: MetricDataset) -> None:
    assert_same(get_format(name).decode(get_format(name).encode(dataset)), dataset)


@pytest.mark.skipif(not WHOLE, reason="no package of the extra peers is installed")
@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=8)
@given(dataset=datasets())
def test_every_data_set_comes_back_from_a_database(name: str, dataset: MetricDataset) -> None:
    assert_same(get_format(name).decode(get_format(name).encode(dataset)), dataset)


@every_format
def test_a_file_comes_back(name: str, small: MetricDataset, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "data"
    size = get_format(name).write(small, path)
    assert path.stat().st_size == size == len(get_format(name).encode(small))
    assert_same(get_format(name).read(path), small)
    assert [one.name for one in path.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("ndjson")])
def test_empty_series_and_empty_data_sets_come_back(name: str) -> None:
    none = MetricDataset.from_series([])
    assert_same(get_format(name).decode(get_format(name).encode(none)), none)
    empty = Series(SeriesKey("a", {}), np.empty(0, np.int64), np.empty(0))
    one = Series(SeriesKey("b", {}), np.array([5]), np.array([np.nan]))
    dataset = MetricDataset.from_series([empty, one])
    assert_same(get_format(name).decode(get_format(name).encode(dataset)), dataset)


@pytest.mark.parametrize("name", CHECKED)
def test_damage_is_noticed(name: str) -> None:
    dataset = MetricDataset.from_series([Series(SeriesKey("up", {"host": "a"}), np.arange(5), np.arange(5.0))])
    file = get_format(name).encode(dataset)
    step = len(file) // 4000 + 1
    for at in range(0, len(file), step):
        damaged = bytearray(file)
        damaged[at] ^= 0x10
        # Bytes 4 and 5 of a zstd frame say how it is to be read; some changes there make no difference to the content.
        try:
            assert_same(get_format(name).decode(damaged), dataset)
        except CorruptDataError:
            continue
        assert "zstd" in name
        assert at in (4, 5)
    for size in range(0, len(file), step):
        with pytest.raises(CorruptDataError):
            get_format(name).decode(file[:size])
    with pytest.raises(CorruptDataError):
        get_format(name).decode(file + b"\0")


@pytest.mark.parametrize("name", FORMATS)
@given(noise=st.binary(min_size=1, max_size=100))
def test_random_bytes_are_no_file(name: str, noise: bytes) -> None:
    if name == "ndjson" and not noise.strip(b"\r\n\t "):
        return  # no line is no sample
    with pytest.raises(CorruptDataError):
        get_format(name).decode(noise)


def test_one_format_refuses_the_other() -> None:
    dataset = MetricDataset.from_series([])
    with pytest.raises(CorruptDataError, match="no delta_of_delta\\+xor file"):
        get_format("delta_of_delta+xor").decode(get_format("columnar").encode(dataset))


@given(content=st.binary(max_size=200))
def test_a_columnar_file_that_checks_out_but_makes_no_sense_never_crashes(content: bytes) -> None:
    import xxhash

    body = b"squeezelab columnar 1\n" + content
    with contextlib.suppress(CorruptDataError):
        get_format("columnar").decode(body + xxhash.xxh3_64_digest(body))


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
        ("parquet:values=delta", "no values 'delta': choose from dictionary"),
        ("parquet:level=high", "give a number"),
    ],
)
def test_unknown_formats_are_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        get_format(name)
    assert "\n" not in str(caught.value)


def test_ratios_fall_in_the_order_of_the_ladder(small: MetricDataset) -> None:
    sizes = [len(get_format(name).encode(small)) for name in ("ndjson", "columnar", "delta_of_delta+xor")]
    assert sizes[0] > 10 * sizes[1]
    assert sizes[1] > 3.5 * sizes[2]
