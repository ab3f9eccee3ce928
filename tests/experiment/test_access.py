"""Random access: the right samples come back, and a format that can read a little is asked for no more."""

import numpy as np
import pytest

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.experiment.access import time_access
from squeezelab.formats import Format, available_formats, get_format
from squeezelab.formats.base import Buffer


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

    def read_series(self, data: Buffer, number: int) -> Series:
        assert data == b"file"
        self.log.add((number,))
        return self.kept[number]

    def read_range(self, data: Buffer, number: int, start: int, stop: int) -> Series:
        self.log.add((number, start, stop))
        key, timestamps, values = self.kept[number]
        return Series(key, timestamps[start:stop], values[start:stop] + self.wrong)


def days() -> MetricDataset:
    """Two series of a day, a sample every half minute, and one that has none."""
    times = 1_700_000_000 + 30 * np.arange(2880)
    return MetricDataset.from_series(
        [
            Series(SeriesKey("none", {}), times[:0], np.empty(0)),
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


@pytest.mark.parametrize("name", [name for name in available_formats() if not get_format(name).lossy])
def test_every_format_reads_one_series_and_a_range(name: str) -> None:
    dataset, file = days().select([1, 2, 3]), get_format(name)
    data = memoryview(file.encode(dataset))
    for number, (key, timestamps, values) in enumerate(dataset):
        assert file.read_series(data, number).digest() == Series(key, timestamps, values).digest()
        for start, stop in ((0, 1), (5, 9), (2879, 2880), (2000, 9999), (7, 7), (0, 0)):
            part = Series(key, timestamps[start:stop], values[start:stop])
            assert file.read_range(data, number, start, stop).digest() == part.digest()
    for number in (-1, 3):
        with pytest.raises(IndexError):
            file.read_series(data, number)
        with pytest.raises(IndexError):
            file.read_range(data, number, 0, 1)
