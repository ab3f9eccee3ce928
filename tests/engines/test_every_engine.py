"""What every engine that is here keeps and loses, as its specification; one of each is started for most of it."""

import resource
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from running import need
from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.engines import PARTS, Session, engine_classes, get_engine
from squeezelab.errors import EngineError

START = 1_700_000_000
SPECS = [*sorted(engine_classes()), "prometheus:block=31d"]
BITS = npt.NDArray[np.uint64]
NAN, MINUS_ZERO = 0x7FF8 << 48, 1 << 63


class Filled(NamedTuple):
    """An engine that holds all data."""

    spec: str
    session: Session
    found: MetricDataset

    @property
    def name(self) -> str:
        return self.spec.partition(":")[0]

    def of(self, given: MetricDataset) -> MetricDataset:
        """Return what came back of a data set, in its order; series that did not come back are left out."""
        places = {key: i for i, key in enumerate(self.found.keys)}
        return self.found.select([places[key] for key in given.keys if key in places])


@pytest.fixture(scope="module", params=SPECS)
def filled(
    request: pytest.FixtureRequest, small_fleet: MetricDataset, edge_doubles: MetricDataset, odd_names: MetricDataset
) -> Iterator[Filled]:
    spec = need(request.param)
    everything = MetricDataset.from_series([*small_fleet, *edge_doubles, *odd_names])
    with Session(get_engine(spec), limit=120) as session:
        session.start("s")
        session.call("ingest", everything)
        session.call("compact")
        yield Filled(spec, session, session.call("read_all").value)


def test_every_bit_of_a_fleet_comes_back(filled: Filled, small_fleet: MetricDataset) -> None:
    found = filled.of(small_fleet)
    if filled.name == "victoriametrics":  # values of 16 digits and more lose their last ones
        assert np.array_equal(found.timestamps, small_fleet.timestamps)
        exact = [key.metric_name not in ("sys_interrupt_rate", "disk_io_time") for key in small_fleet.keys]
        chosen = np.flatnonzero(exact)
        assert found.select(chosen).fingerprint == small_fleet.select(chosen).fingerprint
        assert np.allclose(found.values, small_fleet.values, rtol=1e-12, atol=0)
    else:
        assert found.fingerprint == small_fleet.fingerprint


def test_nothing_comes_back_that_was_not_given(
    filled: Filled, small_fleet: MetricDataset, edge_doubles: MetricDataset, odd_names: MetricDataset
) -> None:
    assert set(filled.found.keys) <= {*small_fleet.keys, *edge_doubles.keys, *odd_names.keys}


def test_names_of_any_characters_survive(filled: Filled, odd_names: MetricDataset) -> None:
    assert filled.of(odd_names).fingerprint == odd_names.fingerprint
    for key, timestamps, values in list(odd_names)[::25]:
        (found,) = filled.session.call("read", key, START, START + 3600).value
        assert found.key == key
        assert found.timestamps.tolist() == timestamps.tolist()
        assert found.values.tolist() == values.tolist()


def test_an_hour_of_a_series_comes_back(filled: Filled, small_fleet: MetricDataset) -> None:
    key, timestamps, values = list(small_fleet)[3]
    start = int(timestamps[100])
    within = (timestamps >= start) & (timestamps < start + 3600)
    (found,) = filled.session.call("read", key, start, start + 3600).value
    assert found.key == key
    assert np.array_equal(found.timestamps, timestamps[within])
    assert np.allclose(found.values, values[within], rtol=1e-12, atol=0)


def test_an_hour_of_a_family_comes_back(filled: Filled, small_fleet: MetricDataset) -> None:
    name, start = small_fleet.keys[0].metric_name, int(small_fleet.timestamps[0])
    found = filled.session.call("read_family", name, start, start + 3600).value
    wanted = {one.key: ((one.timestamps >= start) & (one.timestamps < start + 3600)).sum() for one in small_fleet}
    assert {one.key: len(one.timestamps) for one in found} == {
        key: count for key, count in wanted.items() if key.metric_name == name
    }
    assert ((found.timestamps >= start) & (found.timestamps < start + 3600)).all()


def test_what_is_not_there_is_nothing(filled: Filled) -> None:
    assert len(filled.session.call("read", SeriesKey("none", {"a": "b"}), START, START + 1).value) == 0
    assert len(filled.session.call("read_family", "none", START, START + 1).value) == 0


def test_sizes_are_in_parts_that_there_are(filled: Filled) -> None:
    sizes = filled.session.call("sizes").value
    assert set(sizes) <= set(PARTS)
    assert all(size >= 0 for size in sizes.values())
    assert sum(size for part, size in sizes.items() if part != "log") > len(filled.found)


def test_memory_of_the_server_is_told(filled: Filled) -> None:
    memory = filled.session.memory_mb()
    assert memory is None or memory >= 0


def test_what_becomes_of_edge_doubles(filled: Filled, edge_doubles: MetricDataset) -> None:
    (given,), (found,) = edge_doubles, filled.of(edge_doubles)
    bits = given.values.view(np.uint64)
    if filled.name == "sqlite":  # NaN is NULL, -0.0 is 0
        wanted = np.where(np.isnan(given.values), np.uint64(NAN), np.where(bits == MINUS_ZERO, np.uint64(0), bits))
        assert np.array_equal(found.values.view(np.uint64), wanted)
    elif filled.name == "influxdb":  # NaN and infinities are refused, sample by sample
        kept = np.isfinite(given.values)
        assert np.array_equal(found.timestamps, given.timestamps[kept])
        assert np.array_equal(found.values.view(np.uint64), bits[kept])
    elif filled.name == "victoriametrics":
        check_victoriametrics(given, found)
    else:
        assert np.array_equal(found.values.view(np.uint64), bits)
        assert np.array_equal(found.timestamps, given.timestamps)


def check_victoriametrics(given: Series, found: Series) -> None:
    """NaN is not told, infinities are kept, and what is far smaller than the largest of its block is 0."""
    kept = ~np.isnan(given.values)
    assert np.array_equal(found.timestamps, given.timestamps[kept])
    values = given.values[kept]
    infinite = np.isinf(values)
    assert np.array_equal(found.values[infinite], values[infinite])
    small = np.abs(values) < 1e250
    assert (found.values[small] == 0).all()


@pytest.mark.parametrize("unit", ["ms", "ns"])
@pytest.mark.parametrize("name", sorted(engine_classes()))
def test_times_of_finer_units(name: str, unit: str) -> None:
    per_second = MetricDataset.from_series([], time_unit=unit).second
    times = START * per_second + np.array([0, 1, 2, 15 * per_second, 15 * per_second + 1])
    given = MetricDataset([SeriesKey("up", {})], np.array([0, 5]), times, np.arange(5.0), unit)
    with Session(get_engine(need(name)), limit=60) as session:
        session.start(unit)
        session.call("ingest", given)
        session.call("compact")
        (found,) = session.call("read_all").value
        (part,) = session.call("read", given.keys[0], int(times[3]), int(times[4]) + 1).value
    if unit == "ns" and name in ("prometheus", "victoriametrics"):  # they count milliseconds
        cut = times // 10**6 * 10**6
        assert set(found.timestamps.tolist()) == set(cut.tolist())
        assert set(part.timestamps.tolist()) == set(cut[3:].tolist())
    else:
        assert found.timestamps.tolist() == times.tolist()
        assert part.timestamps.tolist() == times[3:].tolist()


def test_times_that_influxdbs_nanoseconds_cannot_hold_are_rejected_in_a_line() -> None:
    later = MetricDataset([SeriesKey("up", {})], np.array([0, 1]), np.array([40 * 10**9]), np.ones(1))
    with Session(get_engine(need("influxdb")), limit=60) as session:
        session.start("s")
        with pytest.raises(EngineError, match="cannot hold these times"):
            session.call("ingest", later)


@pytest.mark.parametrize("name", sorted(engine_classes()))
def test_later_samples_join_their_series(name: str, small_fleet: MetricDataset) -> None:
    middle = int(np.median(small_fleet.timestamps))
    steady = small_fleet.select([i for i, key in enumerate(small_fleet.keys) if key.metric_name == "cpu_user"])
    with Session(get_engine(need(name)), limit=60) as session:
        session.start("s")
        for before in (True, False):
            fill(session, cut(steady, (steady.timestamps < middle) == before))
        found = session.call("read_all").value
    assert found.select([found.keys.index(key) for key in steady.keys]).fingerprint == steady.fingerprint


def fill(session: Session, dataset: MetricDataset) -> None:
    session.call("ingest", dataset)
    session.call("compact")


def cut(dataset: MetricDataset, chosen: npt.NDArray[np.bool_]) -> MetricDataset:
    counts = np.add.reduceat(chosen.astype(np.int64), dataset.offsets[:-1])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return MetricDataset(dataset.keys, offsets, dataset.timestamps[chosen], dataset.values[chosen], dataset.time_unit)


@pytest.mark.parametrize("name", sorted(engine_classes()))
def test_a_full_disk_is_one_line(name: str, small_fleet: MetricDataset) -> None:
    with Session(get_engine(need(name)), limit=30) as session:
        assert session._child is not None
        if name in ("sqlite", "duckdb"):
            session.start("s")
        resource.prlimit(session._child.process.pid, resource.RLIMIT_FSIZE, (4_000, 4_000))
        with pytest.raises(EngineError) as caught:
            start_and_fill(session, small_fleet, started=name in ("sqlite", "duckdb"))
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def start_and_fill(session: Session, dataset: MetricDataset, started: bool) -> None:
    if not started:
        session.start("s")
    fill(session, dataset)
    found = session.call("read_all").value
    raise AssertionError(f"{session.engine.name} kept {found} on a full disk")
