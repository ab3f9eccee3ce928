"""SQLite and DuckDB: what each keeps and loses, as its specification."""

import resource
from collections.abc import Iterator

import numpy as np
import pytest

from squeezelab import MetricDataset, SeriesKey
from squeezelab.engines import Session, get_engine
from squeezelab.errors import EngineError
from squeezelab.testing import edge_datasets

EDGES = dict(edge_datasets(empty_series=False))


@pytest.fixture(scope="module", params=["sqlite", "duckdb"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def filled(name: str, small_fleet: MetricDataset) -> Iterator[Session]:
    with Session(get_engine(name)) as session:
        session.start(small_fleet.time_unit)
        session.call("ingest", small_fleet)
        session.call("compact")
        yield session


def test_every_bit_of_a_fleet_comes_back(filled: Session, small_fleet: MetricDataset) -> None:
    assert filled.call("read_all").value.fingerprint == small_fleet.fingerprint


def test_an_hour_of_a_series_comes_back(filled: Session, small_fleet: MetricDataset) -> None:
    key, timestamps, values = list(small_fleet)[3]
    start = int(timestamps[100])
    within = (timestamps >= start) & (timestamps < start + 3600)
    (found,) = filled.call("read", key, start, start + 3600).value
    assert found.key == key
    assert np.array_equal(found.timestamps, timestamps[within])
    assert np.array_equal(found.values, values[within])


def test_an_hour_of_a_family_comes_back(filled: Session, small_fleet: MetricDataset) -> None:
    name, start = small_fleet.keys[0].metric_name, int(small_fleet.timestamps[0])
    found = filled.call("read_family", name, start, start + 3600).value
    assert set(found.keys) == {key for key in small_fleet.keys if key.metric_name == name}
    assert ((found.timestamps >= start) & (found.timestamps < start + 3600)).all()


def test_what_is_not_there_is_nothing(filled: Session) -> None:
    assert len(filled.call("read", SeriesKey("none", {}), 0, 1).value) == 0
    assert len(filled.call("read_family", "none", 0, 1).value) == 0


def test_sizes_are_in_parts_that_there_are(filled: Session, small_fleet: MetricDataset) -> None:
    sizes = filled.call("sizes").value
    assert all(size >= 0 for size in sizes.values())
    assert sum(size for part, size in sizes.items() if part != "log") > len(small_fleet)


@pytest.mark.parametrize("edges", ["odd names", "long names", "many labels"])
def test_names_of_any_characters_survive(name: str, edges: str) -> None:
    with Session(get_engine(name)) as session:
        session.start("s")
        session.call("ingest", EDGES[edges])
        session.call("compact")
        found = session.call("read_all").value
        assert found.fingerprint == EDGES[edges].fingerprint
        for key in found.keys[:: max(1, len(found.keys) // 20)]:
            assert session.call("read", key, 0, 2**40).value.keys == (key,)


def test_edge_doubles(name: str, edge_doubles: MetricDataset) -> None:
    with Session(get_engine(name)) as session:
        session.start("s")
        session.call("ingest", edge_doubles)
        session.call("compact")
        (found,) = session.call("read_all").value
    assert np.array_equal(found.timestamps, edge_doubles.timestamps)
    given = edge_doubles.values.view(np.uint64)
    wanted = given.copy()
    if name == "sqlite":
        wanted[np.isnan(edge_doubles.values)] = 0x7FF8 << 48  # NaN is NULL
        wanted[given == 1 << 63] = 0  # -0.0 is 0
    assert np.array_equal(found.values.view(np.uint64), wanted)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_every_unit_come_back(name: str, unit: str) -> None:
    second = MetricDataset.from_series([], time_unit=unit).second
    times = 1_700_000_000 * second + np.array([0, 1, 2, 15 * second, 15 * second + 1])
    given = MetricDataset([SeriesKey("up", {})], np.array([0, 5]), times, np.arange(5.0), unit)
    with Session(get_engine(name)) as session:
        session.start(unit)
        session.call("ingest", given)
        session.call("compact")
        assert session.call("read_all").value.fingerprint == given.fingerprint
        (part,) = session.call("read", given.keys[0], int(times[1]), int(times[4])).value
        assert np.array_equal(part.timestamps, times[1:4])


def test_later_samples_join_their_series(name: str, small_fleet: MetricDataset) -> None:
    middle = int(np.median(small_fleet.timestamps))
    with Session(get_engine(name)) as session:
        session.start("s")
        for chosen in (small_fleet.timestamps < middle, small_fleet.timestamps >= middle):
            session.call("ingest", cut(small_fleet, chosen))
        session.call("compact")
        assert session.call("read_all").value.fingerprint == small_fleet.fingerprint


def fill(session: Session, dataset: MetricDataset) -> None:
    session.call("ingest", dataset)
    session.call("compact")


def cut(dataset: MetricDataset, chosen: np.ndarray) -> MetricDataset:
    counts = np.add.reduceat(chosen, dataset.offsets[:-1])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return MetricDataset(dataset.keys, offsets, dataset.timestamps[chosen], dataset.values[chosen], dataset.time_unit)


def test_a_full_disk_is_one_line(name: str, small_fleet: MetricDataset) -> None:
    with Session(get_engine(name)) as session:
        session.start("s")
        assert session._process is not None
        resource.prlimit(session._process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(EngineError) as caught:
            fill(session, small_fleet)
        assert str(caught.value).startswith(f"{name}: ")
        assert "\n" not in str(caught.value)
