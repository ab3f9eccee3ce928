"""Tally files of int64 and float32 values: cut, appended to, searched by value, rejected where they make no sense."""

from pathlib import Path

import numpy as np
import pytest

import tally_by_the_book as book
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, TallyFile
from squeezelab.dataset import to_words
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.tally import append_series, compact, pack_series
from squeezelab.formats.tally.part import PartTable
from squeezelab.formats.tally.values import CODERS, FLOATS_AS_BITS, FLOATS_AS_DOUBLES, values_of
from squeezelab.formats.tally.writing import HEADER_BYTES, _statistics, header, seal, write_blocks

KEY = SeriesKey("requests_total", {"host": "a"})


def series(values: np.ndarray, first: int = 0) -> Series:
    return Series(KEY, 15 * (first + np.arange(values.size)), values)


COUNTER = 2**60 + np.cumsum(np.arange(20_000) % 7)


def test_parts_of_a_counter_are_one_series(tmp_path: Path) -> None:
    path = tmp_path / "a.tally"
    pack_series([series(COUNTER[:9000])], path)
    append_series([series(COUNTER[9000:], 9000)], path)
    assert TallyFile.open(path).read(0).values.tolist() == COUNTER.tolist()
    compact(path)
    file = TallyFile.open(path)
    assert file.value_dtypes == (np.int64,)
    assert file.read(0).digest() == series(COUNTER).digest()
    assert file.read_range(0, 8190, 8195).values.tolist() == COUNTER[8190:8195].tolist()


def test_what_is_appended_has_the_dtype_of_the_series(tmp_path: Path) -> None:
    path = tmp_path / "a.tally"
    pack_series([series(COUNTER[:10])], path)
    before = path.read_bytes()
    with pytest.raises(
        InvalidRequestError, match=r"has values of int64 in the file, and what is appended float64: pack"
    ):
        append_series([series(np.arange(10.0), 10)], path)
    assert TallyFile.open(path).read(0).values.tolist() == COUNTER[:10].tolist()
    assert path.stat().st_size == len(before)


def test_statistics_are_bounds_of_integers_that_no_double_holds() -> None:
    values = np.array([-(2**53) - 1, 2**53 + 1, 7])
    (least,), (most,), (first,), (last,) = _statistics(values)
    assert least < -(2**53) - 1
    assert most > 2**53 + 1
    assert (first, last) == (-(2.0**53), 7.0)
    assert _statistics(np.array([5, -3])).ravel().tolist() == [-3, 5, 5, -3]


def test_a_search_by_value_compares_integers_exactly(tmp_path: Path) -> None:
    values = np.append(np.zeros(1000, np.int64), [2**53 + 1] * 10)
    pack_series([series(values)], tmp_path / "a.tally")
    file = TallyFile.open(tmp_path / "a.tally")
    assert file.where(above=2.0**53).read(0).values.tolist() == [2**53 + 1] * 10
    assert file.where(above=2.0**53 + 2).read(0).values.tolist() == []
    assert file.where(below=0.5, above=-0.5).read(0).values.size == 1000
    assert file.where(below=float("inf"), above=float("-inf")).read(0).values.size == values.size


def test_float32_takes_the_smaller_of_two_ways() -> None:
    rng = np.random.default_rng(0)
    decimals = np.round(rng.normal(size=3000), 1).astype(np.float32)
    words = rng.integers(0, 2**32, 3000, np.uint32).view(np.float32)
    for values, coder in ((decimals, FLOATS_AS_DOUBLES), (words, FLOATS_AS_BITS)):
        table = PartTable("s", HEADER_BYTES)
        blocks = list(write_blocks([series(values)], table, 2))
        assert table.coders == [coder]
        file = TallyFile(header() + b"".join(blocks) + seal([table.encode()]))
        assert file.read(0).values.tobytes() == values.tobytes()


def test_doubles_are_written_as_they_were_before_there_were_others() -> None:
    table = PartTable("s", HEADER_BYTES)
    list(write_blocks([series(np.arange(10.0))], table, 2))
    assert table.coders == [2]


@pytest.mark.bounds
@pytest.mark.parametrize("coder", [0, -1, len(CODERS) + 1, 2**62])
def test_a_coder_of_the_future_is_rejected(coder: int) -> None:
    table = PartTable("s", HEADER_BYTES)
    blocks = list(write_blocks([series(np.arange(10.0))], table, 2))
    table.coders = [coder]
    with pytest.raises(CorruptDataError, match="of a newer version of the format: update squeezelab"):
        TallyFile(header() + b"".join(blocks) + seal([table.encode()]))


def test_bits_beyond_those_of_float32_are_damage() -> None:
    with pytest.raises(CorruptDataError, match="bits beyond those of float32"):
        values_of(FLOATS_AS_BITS, np.array([2**31], np.uint64))


@pytest.mark.bounds
@pytest.mark.parametrize("coder", CODERS[2:])
def test_others_are_predicted_from_doubles_alone(coder: int) -> None:
    rng = np.random.default_rng(1)
    walk = np.cumsum(rng.integers(-99, 100, 300)).astype(float)
    some = [Series(SeriesKey(f"m{i}", {}), 15 * np.arange(300), walk * (i + 1)) for i in range(2)]
    table = PartTable("s", HEADER_BYTES)
    blocks = list(write_blocks(some, table, 2))
    table.references = [[], [1]]
    table.coders = [2, coder]
    with pytest.raises(CorruptDataError, match="predicted from what it cannot be"):
        TallyFile(header() + b"".join(blocks) + seal([table.encode()]))


def test_arrow_has_a_column_for_each_dtype(tmp_path: Path) -> None:
    dataset = MetricDataset.from_series([series(COUNTER[:3]), Series(SeriesKey("b", {}), np.arange(2), np.ones(2))])
    pack_series(dataset, tmp_path / "a.tally")
    table = TallyFile.open(tmp_path / "a.tally").to_arrow().read_all()
    assert table["value_int64"].to_pylist() == [*COUNTER[:3].tolist(), None, None]
    assert table["value"].to_pylist() == [None, None, None, 1.0, 1.0]
    alone = TallyFile.open(tmp_path / "a.tally").select(host="a").to_arrow().read_all()
    assert alone["value"].to_pylist() == COUNTER[:3].tolist()


FIXTURES = Path(__file__).parents[2] / "fixtures/tally_file"


@pytest.mark.bounds
@pytest.mark.parametrize("level", [1, 2])
def test_files_that_were_written_stay_readable(level: int) -> None:
    whole = (FIXTURES / f"version2_dtypes_level{level}.tally").read_bytes()
    file = TallyFile(whole)
    assert file.parts[0].coders.tolist() == [3, 3, 4, 5, 2, 3]
    dataset = file.read_all()
    assert dataset.fingerprint == "d8fdf62238fed8a65e9aa6cd77735b7f"
    _, found = book.read(whole)
    assert [one.values for one in found] == [to_words(one.values).tolist() for one in dataset]


def test_a_bound_is_not_rounded_to_float32(tmp_path: Path) -> None:
    values = np.array([9.9, 0.1, 1e30, np.inf], np.float32)
    pack_series([Series(SeriesKey("a", {}), np.arange(4), values)], tmp_path / "a.tally")
    file = TallyFile.open(tmp_path / "a.tally")
    assert file.where(below=9.9).read(0).values.tolist() == values[[0, 1]].tolist()
    assert file.where(above=0.1).read(0).values.tolist() == values.tolist()
    assert file.where(above=1e300).read(0).values.tolist() == [np.inf]
