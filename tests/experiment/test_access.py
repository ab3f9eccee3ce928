"""Random access: the right samples come back, and a format that can read a little is asked for no more."""

from pathlib import Path

import numpy as np
import pytest

from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.experiment.access import time_access
from squeezelab.formats import Format, available_formats, get_format
from squeezelab.formats.base import Buffer, Reader, between


class Indexed(Format):
    """Keeps the data set and notes what is read of it."""

    name = "indexed"
    wrong = False

    def __init__(self) -> None:
        self.log: set[tuple[int, ...]] = set()

    def chunks(self, dataset: MetricDataset):
        self.kept = list(dataset)
        yield b"file"

    def decode(self, data: Buffer) -> MetricDataset:
        raise AssertionError("there is an index")

    def open(self, source) -> Reader:
        assert source.read_bytes() == b"file"
        return IndexedReader(self)


class IndexedReader(Reader):
    def __init__(self, format: Indexed) -> None:
        self.format = format

    def read_series(self, number: int) -> Series:
        self.format.log.add((number,))
        return self.format.kept[number]

    def read_between(self, number: int, start: int, end: int) -> Series:
        key, timestamps, values = self.format.kept[number]
        first, last = np.searchsorted(timestamps, (start, end)).tolist()
        self.format.log.add((number, first, last))
        return Series(key, timestamps[first:last], values[first:last] + self.format.wrong)


def days() -> MetricDataset:
    """Two series of a day, a sample every half minute, and one of a single sample."""
    times = 1_700_000_000 + 30 * np.arange(2880)
    return MetricDataset.from_series(
        [
            Series(SeriesKey("a", {"host": "1"}), times, np.arange(2880.0)),
            Series(SeriesKey("b", {}), times + 7, np.arange(2880.0) / 3),
            Series(SeriesKey("short", {}), times[:1], np.ones(1)),
        ]
    )


def test_a_sample_a_series_and_an_hour_are_asked_for() -> None:
    indexed = Indexed()
    (access,) = time_access(days(), {"indexed": indexed})
    hour = {(0, 1440, 1560), (1, 1440, 1560), (2, 0, 1)}
    assert indexed.log == {(0,), (1,), (2,)} | {(0, 1440, 1441), (1, 1440, 1441), (2, 0, 1)} | hour
    assert access.bit_exact
    assert not access.decodes_all
    assert (access.samples, access.file_bytes) == (5761, 4)
    assert min(access.one_sample_s, access.one_series_s, access.one_hour_s) >= 0


def test_an_hour_is_one_whatever_timestamps_count() -> None:
    hours = []
    for factor, unit in ((1, "s"), (1000, "ms"), (10**9, "ns")):
        every = [Series(key, times * factor, values) for key, times, values in days()]
        list(time_access(MetricDataset.from_series(every, time_unit=unit), {"indexed": (indexed := Indexed())}))
        hours.append(indexed.log)
    assert hours[0] == hours[1] == hours[2]


def test_wrong_samples_are_noticed() -> None:
    indexed = Indexed()
    indexed.wrong = True
    (access,) = time_access(days(), {"indexed": indexed})
    assert not access.bit_exact


def test_what_decodes_all_is_timed_once_for_all_three() -> None:
    (access,) = time_access(days(), {"ndjson": get_format("ndjson")})
    assert access.decodes_all
    assert access.bit_exact
    assert access.one_sample_s == access.one_series_s == access.one_hour_s > 0


def test_a_format_that_cannot_be_timed_says_why() -> None:
    class Alone(Indexed):
        untimed_access = "there is one session"

    notes: list[str] = []
    assert not list(time_access(days(), {"alone": Alone()}, notes=notes))
    assert notes == ["Random access to alone is not timed: there is one session."]


def test_a_format_that_fails_costs_a_line() -> None:
    class Broken(Indexed):
        def open(self, source) -> Reader:
            raise CorruptDataError("not today")

    notes: list[str] = []
    found = list(time_access(days(), {"broken": Broken(), "columnar": get_format("columnar")}, notes=notes))
    assert [access.codec for access in found] == ["columnar"]
    assert notes == ["broken failed at reading a little of its file: CorruptDataError: not today."]


@pytest.mark.parametrize("name", [name for name in available_formats() if not get_format(name).lossy])
def test_every_format_reads_one_series_and_a_range(name: str, tmp_path: Path) -> None:
    dataset, file = days(), get_format(name)
    file.write(dataset, tmp_path / "it")
    for source in (tmp_path / "it", file.encode(dataset)):
        with file.open(source) as reader:
            for number, series in enumerate(dataset):
                assert reader.read_series(number).digest() == series.digest()
                first, last = map(int, series.timestamps[[0, -1]])
                for start, end in ((first, first + 1), (first + 5, first + 95), (last, last + 1), (0, 2**40), (9, 9)):
                    found = reader.read_between(number, start, end)
                    assert found.digest() == between(series, start, end).digest()
            for number in (-1, 3):
                with pytest.raises(IndexError):
                    reader.read_series(number)
                with pytest.raises(IndexError):
                    reader.read_between(number, 0, 1)


@pytest.mark.parametrize("name", [name for name in available_formats() if not get_format(name).decodes_all])
def test_times_may_stand_in_any_order(name: str) -> None:
    if name.startswith("tally"):
        pytest.skip("its index has the first and last time of a block, and says so")
    times = np.array([5, 3, 3, 9, 3, -7, 2**63 - 1, -(2**63)])
    series = Series(SeriesKey("a", {}), times, np.arange(8.0))
    file = get_format(name)
    with file.open(file.encode(MetricDataset.from_series([series]))) as reader:
        for start, end in ((3, 4), (-(2**63), 3), (4, 2**63 - 1), (10, 10)):
            assert reader.read_between(0, start, end).digest() == between(series, start, end).digest()
