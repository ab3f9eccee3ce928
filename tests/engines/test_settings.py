"""ClickHouse, PostgreSQL and TileDB at each of their settings: what is given comes back, to the last bit."""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from running import need
from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.engines import Session, engine_classes, get_engine
from squeezelab.engines._processes import descendants
from squeezelab.errors import EngineError
from squeezelab.experiment.returned import compare_returned
from squeezelab.testing import edge_datasets

NAMES = ("clickhouse", "postgresql", "tiledb")
SPECS = [f"{name}:{one}" if one else name for name in NAMES for one in engine_classes()[name].showcase]
TABLES = [
    "clickhouse",
    "clickhouse:table=timeseries",
    "postgresql",
    "postgresql:layout=arrays",
    "tiledb",
]
EDGES = dict(edge_datasets(empty_series=False))


def running(spec: str) -> Session:
    return Session(get_engine(need(spec)), limit=120)


def fill(session: Session, dataset: MetricDataset) -> None:
    session.start(dataset.time_unit)
    session.call("ingest", dataset)
    session.call("compact")


@pytest.fixture(scope="module", params=SPECS)
def filled(request: pytest.FixtureRequest, small_fleet: MetricDataset) -> Iterator[Session]:
    with running(request.param) as session:
        fill(session, small_fleet)
        yield session


def test_every_bit_of_a_fleet_comes_back(filled: Session, small_fleet: MetricDataset) -> None:
    assert compare_returned(small_fleet, filled.call("read_all").value).exact


def test_an_hour_begins_with_its_first_moment_and_ends_before_its_last(
    filled: Session, small_fleet: MetricDataset
) -> None:
    for key, timestamps, values in list(small_fleet)[::5]:
        start, stop = int(timestamps[100]), int(timestamps[180])
        (found,) = filled.call("read", key, start, stop).value
        assert found.key == key
        assert np.array_equal(found.timestamps, timestamps[100:180])
        assert np.array_equal(found.values, values[100:180])


def test_an_hour_of_a_family_has_all_its_series_and_no_others(filled: Session, small_fleet: MetricDataset) -> None:
    name, start = small_fleet.keys[1].metric_name, int(small_fleet.timestamps[50])
    parts = [
        Series(key, times[within], values[within])
        for key, times, values in small_fleet
        if key.metric_name == name and (within := (times >= start) & (times < start + 3600)).any()
    ]
    found = filled.call("read_family", name, start, start + 3600).value
    assert compare_returned(MetricDataset.from_series(parts), found).exact


def test_what_is_not_there_is_nothing(filled: Session, small_fleet: MetricDataset) -> None:
    key = small_fleet.keys[0]
    for unknown in (SeriesKey("none", {}), SeriesKey(key.metric_name, {}), SeriesKey(key.metric_name, {"a": "b"})):
        assert len(filled.call("read", unknown, 0, 2**40).value) == 0
    assert len(filled.call("read", key, 0, 1).value) == 0
    assert len(filled.call("read_family", "none", 0, 2**40).value) == 0


def test_bytes_are_in_parts_that_add_up_to_less_than_rows_of_text(filled: Session, small_fleet: MetricDataset) -> None:
    sizes = filled.call("sizes").value
    assert all(size >= 0 for size in sizes.values())
    whole = sum(size for part, size in sizes.items() if part != "log")
    assert len(small_fleet) < whole < 120 * len(small_fleet)
    assert sizes.get("samples") or (sizes["values"] and sizes["timestamps"])


@pytest.mark.parametrize("spec", SPECS)
def test_nan_payloads_infinities_and_the_sign_of_zero_survive(spec: str, edge_doubles: MetricDataset) -> None:
    with running(spec) as session:
        fill(session, edge_doubles)
        assert compare_returned(edge_doubles, session.call("read_all").value).exact


@pytest.mark.parametrize("spec", ["clickhouse", "clickhouse:table=ids", "postgresql", "tiledb"])
def test_names_and_labels_of_any_characters_survive(spec: str) -> None:
    dataset = MetricDataset.from_series(
        [one for name in ("odd names", "many labels", "long names") for one in EDGES[name]]
    )
    with running(spec) as session:
        fill(session, dataset)
        assert compare_returned(dataset, session.call("read_all").value).exact
        for key, timestamps, values in list(dataset)[::7]:
            (found,) = session.call("read", key, int(timestamps[0]), int(timestamps[-1]) + 1).value
            assert (found.key, found.values.tolist()) == (key, values.tolist())


@pytest.mark.parametrize("spec", TABLES)
@pytest.mark.parametrize("time_unit", ["ms", "ns"])
def test_finer_times_survive(spec: str, time_unit: str, small_fleet: MetricDataset) -> None:
    some = small_fleet.select([0, 7])
    scale = {"ms": 10**3, "ns": 10**9}[time_unit]
    finer = replace(some, timestamps=some.timestamps * scale + np.arange(len(some)) % 7, time_unit=time_unit)
    with running(spec) as session:
        fill(session, finer)
        found = session.call("read_all").value
        assert compare_returned(finer, found).exact
        assert found.time_unit == time_unit
        key, timestamps, _ = next(iter(finer))
        part = session.call("read", key, int(timestamps[3]), int(timestamps[9])).value
        assert np.array_equal(part.timestamps, timestamps[3:9])


@pytest.mark.parametrize("spec", TABLES)
def test_later_samples_and_new_series_are_added(spec: str, small_fleet: MetricDataset) -> None:
    halves = [
        MetricDataset.from_series([Series(k, t[part], v[part]) for k, t, v in list(small_fleet)[:count]])
        for part, count in ((slice(0, 300), 4), (slice(300, None), 6))
    ]
    with running(spec) as session:
        session.start("s")
        for half in halves:
            session.call("ingest", half)
        session.call("compact")
        found = {one.key: one for one in session.call("read_all").value}
    for i, (key, timestamps, _) in enumerate(list(small_fleet)[:6]):
        assert np.array_equal(found[key].timestamps, timestamps if i < 4 else timestamps[300:])


@pytest.mark.parametrize("spec", TABLES)
def test_samples_out_of_order_and_of_the_same_time_survive(spec: str) -> None:
    times, values = np.array([50, 10, 40, 40, 7300, 20]), np.array([1.0, 2.0, 3.0, 3.5, 4.0, 5.0])
    dataset = MetricDataset.from_series([Series(SeriesKey("a", {"b": "c"}), 1_700_000_000 + times, values)])
    with running(spec) as session:
        fill(session, dataset)
        assert compare_returned(dataset, session.call("read_all").value).exact


@pytest.mark.parametrize("spec", NAMES)
def test_times_beyond_what_it_holds_are_rejected_in_a_line(spec: str) -> None:
    with running(spec) as session, pytest.raises(EngineError, match="cannot hold these times"):
        fill(session, EDGES["random bits"])


# ---- ClickHouse ----


def test_a_month_of_recent_samples_fits_into_clickhouses_own_engine() -> None:
    times = 1_700_000_000 + 3600 * np.arange(31 * 24)
    month = MetricDataset.from_series([Series(SeriesKey("a", {}), times, np.arange(len(times)) / 2)])
    with running("clickhouse:table=timeseries") as session:
        fill(session, month)
        assert compare_returned(month, session.call("read_all").value).exact


def test_codecs_decide_on_the_columns_that_they_are_named_for(small_fleet: MetricDataset) -> None:
    sizes = {}
    for spec in ("clickhouse", "clickhouse:timestamps=DoubleDelta,values=NONE,zstd=3"):
        with running(spec) as session:
            fill(session, small_fleet)
            sizes[spec] = session.call("sizes").value
    plain, best = sizes.values()
    assert best["timestamps"] < plain["timestamps"] / 4
    assert best["values"] < plain["values"]
    assert best["index"] == plain["index"]


def test_clickhouse_gives_the_same_bytes_again(small_fleet: MetricDataset) -> None:
    sizes = []
    for _ in range(2):
        with running("clickhouse:timestamps=DoubleDelta,values=NONE,zstd=3") as session:
            fill(session, small_fleet)
            sizes.append({part: size for part, size in session.call("sizes").value.items() if part != "rest"})
    assert sizes[0] == sizes[1]


# ---- PostgreSQL ----


def test_postgresql_listens_on_its_socket_alone_and_not_as_root(small_fleet: MetricDataset) -> None:
    with running("postgresql") as session:
        fill(session, small_fleet.select([0]))
        servers = descendants(session._child.process.pid)
        assert servers
        for server in servers:
            status = Path(f"/proc/{server}/status").read_text()
            assert not re.search(r"^Uid:\t0\t", status, re.MULTILINE)
        assert ":1538 " not in Path(f"/proc/{servers[0]}/net/tcp").read_text(), "5432 in hex"
    assert not any(Path(f"/proc/{server}").exists() for server in servers)


def test_a_server_that_dies_in_the_middle_is_a_line(small_fleet: MetricDataset) -> None:
    with running("postgresql") as session:
        fill(session, small_fleet.select([0]))
        for server in descendants(session._child.process.pid):
            os.kill(server, signal.SIGKILL)
        with pytest.raises(EngineError, match="postgresql: ") as raised:
            session.call("read_all")
        assert "\n" not in str(raised.value)


def test_brin_takes_less_than_btree_and_arrays_less_than_rows(small_fleet: MetricDataset) -> None:
    taken = {}
    for layout in ("btree", "brin", "arrays"):
        with running(f"postgresql:layout={layout}") as session:
            fill(session, small_fleet)
            sizes = session.call("sizes").value
            taken[layout] = sum(size for part, size in sizes.items() if part != "log")
    assert taken["arrays"] < taken["brin"] < taken["btree"]
