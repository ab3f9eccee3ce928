"""What is printed for servers, pasted by hand: by psycopg as psql would, by HTTP, on a command line."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest

from running import need
from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.advice import get_system
from squeezelab.advice.shapes import layouts
from squeezelab.dataset import UNITS_PER_SECOND
from squeezelab.engines._processes import Server, free_port
from squeezelab.engines._remote import HEADERS, write_requests
from squeezelab.engines.influxdb import CONFIGURATION, InfluxDB
from squeezelab.engines.postgresql import PostgreSQL
from squeezelab.programs import find_program

START = 1_699_999_200  # a full hour in UTC, and none in India
VALUES = np.array([0.1, -0.0, np.inf, -np.inf, 5e-324, 1e308, 0.1 + 0.2, 3.0])
SINGLES = np.array([0.1, -0.0, np.inf, 1e-45, 3.0], np.float32)
WHOLE = np.array([2**53 + 1, -(2**63), 2**63 - 1, 0])


@pytest.fixture(scope="module")
def hours() -> MetricDataset:
    """Two series of some hours, and one sample."""
    times = START + 900 * np.arange(24)
    keys = [SeriesKey("cpu", {"host": "a'b"}), SeriesKey("cpu", {"host": 'c"d'})]
    series = [Series(key, times + i, np.tile(VALUES, 3)) for i, key in enumerate(keys)]
    return MetricDataset.from_series([*series, Series(SeriesKey("up", {}), times[:1], VALUES[:1])])


def text_of(name: str, dataset: MetricDataset, **options: str) -> str:
    """Return what is printed where these options are advised."""
    system = get_system(name)
    layout = next(one for one in layouts(dataset) if one.name == system.default_layout)
    default = system.default(layout)
    chosen = default.options | options
    return system.text(layout, type(default)(default.layout, default.order, default.columns, chosen))


def in_unit(dataset: MetricDataset, unit: str) -> MetricDataset:
    step = UNITS_PER_SECOND[unit]
    return MetricDataset(dataset.keys, dataset.offsets, dataset.timestamps * step, dataset.values, unit)


# ---- PostgreSQL ----


class Bare(PostgreSQL):
    """A server without tables."""

    def statements(self, time_unit: str) -> list[str]:
        return []


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    need("postgresql")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server may be another user's
        server = Bare()
        server.start(Path(folder), "s")
        try:
            yield server.connection
        finally:
            server.stop()


@pytest.mark.parametrize(("unit", "kind"), [("s", "float8"), ("ns", "float8"), ("s", "bigint"), ("s", "float4")])
@pytest.mark.parametrize("shape", ["", "rows with BRIN", "arrays of an hour", "arrays of a day"])
def test_postgresqls_text_as_psql_would_execute_it(
    shape: str, unit: str, kind: str, hours: MetricDataset, connection: Any
) -> None:
    values = {"float8": VALUES, "bigint": WHOLE, "float4": SINGLES}[kind]
    series = [one._replace(values=np.resize(values, one.values.size)) for one in hours]
    hours = MetricDataset.from_series(series)
    connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET TimeZone = 'Asia/Kolkata'")
    text = text_of("postgresql", in_unit(hours, unit), **{"samples as": shape})
    assert f" {kind}" in text
    connection.execute(text)
    packed = shape.startswith("arrays")
    to_ts = "to_timestamp({})" if unit == "s" else "{}::bigint * 1000000000"
    with connection.cursor() as cursor:
        for number, (key, times, values) in enumerate(hours):
            cursor.execute(
                "INSERT INTO series VALUES (%s, %s, %s)", (number, key.metric_name, json.dumps(dict(key.labels)))
            )
            rows = [(number, time, value) for time, value in zip(times.tolist(), values.tolist(), strict=True)]
            for part in (rows[1:], rows[:1]):  # the first sample comes late, into an hour that is packed already
                table = "incoming" if packed else "samples"
                cursor.executemany(f"INSERT INTO {table} VALUES (%s, {to_ts.format('%s')}, %s)", part)
                if packed:
                    cursor.execute("CALL pack()")
        ts = "extract(epoch FROM ts)::bigint" if unit == "s" else "ts / 1000000000"
        source = "unpacked" if packed else "samples"
        found = cursor.execute(f"SELECT series, {ts}, value FROM {source} ORDER BY series, ts").fetchall()
        numbers, times, values = zip(*found, strict=True)
        assert np.array_equal(np.bincount(numbers), np.diff(hours.offsets))
        assert np.array_equal(times, hours.timestamps)
        assert np.array(values, hours.values.dtype).tobytes() == hours.values.tobytes()
        if packed:
            start = "extract(epoch FROM start)::bigint" if unit == "s" else "start / 1000000000"
            starts = cursor.execute(f"SELECT {start} FROM samples ORDER BY 1").fetchall()
            span, rows_of_two = (86400, 2) if shape.endswith("day") else (3600, 6)
            assert {time % span for (time,) in starts} == {0}, "hours are those of UTC wherever the client is"
            assert len(starts) == 2 * (rows_of_two + 1) + 1, "those of late samples are rows of their own"
            assert cursor.execute("SELECT count(*) FROM incoming").fetchone() == (0,)


# ---- Servers ----


def ask(port: int, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    with urlopen(Request(f"http://127.0.0.1:{port}{path}", body, headers or {}), timeout=30) as answer:
        return bytes(answer.read())


def is_ready(port: int, path: str) -> bool:
    try:
        ask(port, path)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("duration", ["7d", "52w"])
def test_influxdbs_text_sent_as_a_query(duration: str, hours: MetricDataset, tmp_path: Path) -> None:
    need("influxdb")
    text = text_of("influxdb", hours, **{"SHARD DURATION": duration})
    server = InfluxDB()
    server.launch(tmp_path, "run", "-config", "{configuration}", configuration=CONFIGURATION)
    try:
        port = server.http.port
        answer = json.loads(ask(port, "/query", urlencode({"q": text}).encode()))
        assert answer == {"results": [{"statement_id": 0}]}
        (_, times, values) = next(iter(hours))
        finite = np.isfinite(values)
        lines = [
            f"cpu value={value!r} {time}" for time, value in zip(times[finite], values[finite].tolist(), strict=True)
        ]
        ask(port, "/write?db=lab&precision=s", "\n".join(lines).encode())
        query = urlencode({"q": "SELECT value FROM cpu; SHOW RETENTION POLICIES", "db": "lab", "epoch": "s"})
        first, second = json.loads(ask(port, f"/query?{query}"))["results"]
        assert first["series"][0]["values"] == [
            [time, value] for time, value in zip(times[finite], values[finite], strict=True)
        ]
        kept = dict(zip(second["series"][0]["columns"], second["series"][0]["values"][0], strict=True))
        assert kept["shardGroupDuration"] == {"7d": "168h0m0s", "52w": "8736h0m0s"}[duration]
        assert len(second["series"][0]["values"]) == 1
    finally:
        server.stop()


def flags_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def started(name: str, text: str, folder: Path, *own: str, ready: str) -> tuple[Server, int]:
    """Start a server with the lines of a text as its flags, as xargs would, and those that say where it works."""
    assert flags_of(text)
    port = free_port()
    server = Server([str(find_program(name)), *flags_of(text), *(one.format(port=port) for one in own)], folder)
    server.await_ready(lambda: is_ready(port, ready))
    return server, port


def test_prometheus_flags_on_its_command_line(hours: MetricDataset, tmp_path: Path) -> None:
    need("prometheus")
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    own = ("--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data", "--config.file=prometheus.yml")
    text = text_of("prometheus", hours)
    server, port = started("prometheus", text, tmp_path, *own, ready="/-/ready")
    try:
        known = json.loads(ask(port, "/api/v1/status/flags"))["data"]
        for line in flags_of(text):
            name, _, value = line.removeprefix("--").partition("=")
            assert known[name] == (value or "true")
        for batch in write_requests(hours.select([0]), 10**12):
            ask(port, "/api/v1/write", batch.body, dict(HEADERS))
        query = urlencode({"query": "cpu[10h]", "time": str(int(hours.timestamps.max()))})
        (found,) = json.loads(ask(port, f"/api/v1/query?{query}"))["data"]["result"]
        _, times, values = next(iter(hours))
        assert [(time, float(value)) for time, value in found["values"]] == list(zip(times, values, strict=True))
    finally:
        server.stop()


def test_victoriametrics_flags_on_its_command_line(hours: MetricDataset, tmp_path: Path) -> None:
    need("victoriametrics")
    own = ("-httpListenAddr=127.0.0.1:{port}", "-storageDataPath=data")
    text = text_of("victoriametrics", hours)
    server, port = started("victoria-metrics", text, tmp_path, *own, ready="/health")
    try:
        known = ask(port, "/flags").decode()
        for line in flags_of(text):
            name, _, value = line.partition("=")
            assert f'{name}="{value}"' in known
        ask(port, "/api/v1/import/prometheus", f"cpu 1.5 {START}000\n".encode())
        ask(port, "/internal/force_flush")
        found = json.loads(ask(port, "/api/v1/export?match[]=cpu&start=0"))
        assert (found["values"], found["timestamps"]) == ([1.5], [START * 1000])
    finally:
        server.stop()
