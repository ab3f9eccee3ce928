"""What `write` leaves is a file of the world: its own readers open it, and find the samples, names and labels."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.errors import SqueezelabError
from squeezelab.formats import available_formats, get_format
from squeezelab.formats._engine import MARK, SEAL_BYTES, EngineFile

FILES = [name for name in available_formats() if isinstance(get_format(name), EngineFile)]
START = 1_700_000_000
Row = tuple[str, dict[str, str], int, float]


def fleet(unit: str = "s", second: int = 1) -> MetricDataset:
    """Return series of other lengths and labels, which stand in no order of theirs."""
    times = (START + 15 * np.arange(6)) * second
    return MetricDataset.from_series(
        [
            Series(SeriesKey("cpu", {"host": "b", "zone": "eu"}), times, np.array([0.5, 0.25, -0.0, 1e300, 7, 5])),
            Series(SeriesKey("cpu", {"host": "a"}), times[:4] + second, np.array([1.5, np.inf, 2, 2])),
            Series(SeriesKey("up", {}), times[2:], np.ones(4)),
            Series(SeriesKey("temp °C", {"value": "ü", "service.name": "x y"}), times[:1], np.array([21.5])),
        ],
        time_unit=unit,
    )


def rows_of(dataset: MetricDataset) -> list[Row]:
    return [(one["metric_name"], one["labels"], one["timestamp"], one["value"]) for one in dataset.records()]


def long_rows(records: Iterator[dict]) -> list[Row]:
    """Return the rows of a long table, as a user sees them: dates, and nulls for labels that a series lacks."""
    rows = []
    for record in records:
        name, time, value = (record.pop(column) for column in ("metric_name", "timestamp", "value"))
        labels = {("value" if title == "label_value" else title): text for title, text in record.items() if text}
        rows.append((name, labels, round(time if isinstance(time, float) else time.timestamp()), value))
    return rows


def with_json(records: list[dict]) -> list[Row]:
    """Return the rows of a long table whose labels are JSON."""
    return [
        (one["metric_name"], json.loads(one["labels"]), round(one["timestamp"].timestamp()), one["value"])
        for one in records
    ]


# Parquet


def test_pyarrow_opens_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    get_format("parquet").write(fleet(), tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet", page_checksum_verification=True)
    assert long_rows(iter(table.to_pylist())) == rows_of(fleet())
    assert table.schema.field("timestamp").type == pa.timestamp("ms", "UTC")
    assert table["host"].null_count == 5
    told = json.loads(pq.read_metadata(tmp_path / "x.parquet").metadata[b"squeezelab"])
    assert told == {"time_unit": "s", "labels": {"label_value": "value"}, "empty": []}
    cpu = pq.read_table(tmp_path / "x.parquet", filters=[("host", "=", "a")])
    assert cpu["value"].to_pylist() == [1.5, np.inf, 2, 2]


def test_duckdb_opens_parquet(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    get_format("parquet").write(fleet(), tmp_path / "x.parquet")
    found = duckdb.sql(f"select host, count(*), sum(value) from '{tmp_path}/x.parquet' where value < 10 group by host")
    assert sorted(found.fetchall(), key=str) == [("a", 3, 5.5), ("b", 5, 12.75), (None, 4, 4.0)]


def test_polars_opens_parquet(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    get_format("parquet").write(fleet(), tmp_path / "x.parquet")
    assert long_rows(polars.read_parquet(tmp_path / "x.parquet").iter_rows(named=True)) == rows_of(fleet())


def test_the_lab_reads_parquet_as_a_users_table(tmp_path: Path) -> None:
    from squeezelab.readers import load

    get_format("parquet").write(fleet(), tmp_path / "x.parquet")
    read = load(tmp_path / "x.parquet").dataset
    names = {(key.metric_name, key.labels.get("host")) for key in read.keys}
    assert names >= {("cpu", "a"), ("cpu", "b"), ("up", None)}
    assert len(read) == len(fleet())


def test_parquet_has_the_encodings_that_were_asked_for(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    spec = "parquet:timestamps=delta,values=byte_stream_split,level=22"
    get_format(spec).write(fleet(), tmp_path / "x.parquet")
    group = pq.read_metadata(tmp_path / "x.parquet").row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert "RLE_DICTIONARY" in columns["host"].encodings
    assert "DELTA_BINARY_PACKED" in columns["timestamp"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["value"].encodings
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_seconds_that_are_no_milliseconds_are_integers(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    far = MetricDataset.from_series([Series(SeriesKey("a", {}), np.array([-(2**63), 2**62]), np.zeros(2))])
    get_format("parquet").write(far, tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet")["timestamp"].to_pylist() == [-(2**63), 2**62]
    assert get_format("parquet").read(tmp_path / "x.parquet").fingerprint == far.fingerprint


# DuckDB


def test_duckdb_opens_its_database(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    get_format("duckdb").write(fleet(), tmp_path / "x.duckdb")
    with duckdb.connect(tmp_path / "x.duckdb", read_only=True) as connection:
        rows = connection.sql("SELECT * REPLACE (epoch(timestamp) AS timestamp) FROM samples").to_arrow_table()
        assert long_rows(iter(rows.to_pylist())) == rows_of(fleet())
        query = "SELECT sum(value) FROM samples WHERE host = 'b' AND timestamp < '2023-11-14 22:13:50'"
        assert connection.sql(query).fetchall() == [(0.75,)]
        assert connection.sql("SELECT typeof(timestamp) FROM samples LIMIT 1").fetchall() == [("TIMESTAMP_S",)]


def test_a_database_may_be_written_to(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "x.duckdb"
    get_format("duckdb").write(fleet(), path)
    with duckdb.connect(path) as connection:
        connection.execute("INSERT INTO samples (metric_name, timestamp, value) VALUES ('up', '2024-01-01', 2)")
    with duckdb.connect(path) as connection:
        assert connection.sql("SELECT count(*) FROM samples").fetchall() == [(16,)]
    with pytest.raises(CorruptDataError, match=r"damaged, or was changed|no whole"):
        get_format("duckdb").read(path)


# Vortex


def test_vortex_opens_its_file(tmp_path: Path) -> None:
    vortex = pytest.importorskip("vortex")
    get_format("vortex").write(fleet("ms", 1000), tmp_path / "x.vortex")
    table = vortex.open(str(tmp_path / "x.vortex")).to_arrow().read_all()
    assert with_json(table.to_pylist()) == rows_of(fleet())
    assert table.schema.field("timestamp").type.unit == "ms"
    up = vortex.open(str(tmp_path / "x.vortex")).scan(["value"], expr=vortex.expr.column("metric_name") == "up")
    assert up.read_all().to_arrow_table()["value"].to_pylist() == [1, 1, 1, 1]


# All of them


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("unit", "second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_what_is_read_is_what_was_written(name: str, unit: str, second: int, tmp_path: Path) -> None:
    dataset = fleet(unit, second)
    get_format(name).write(dataset, tmp_path / "it")
    read = get_format(name).read(tmp_path / "it")
    assert read.fingerprint == dataset.fingerprint
    assert read.time_unit == unit


@pytest.mark.parametrize("name", FILES)
def test_labels_may_be_called_as_other_columns(name: str) -> None:
    labels = ("metric_name", "timestamp", "value", "label_value", "label_label_value", "label_app", "series", "Value")
    keys = [SeriesKey("a", {label: "1"}) for label in labels] + [SeriesKey("a", dict.fromkeys(labels, "2"))]
    dataset = MetricDataset.from_series([Series(key, np.array([1]), np.array([0.5])) for key in keys])
    assert get_format(name).decode(get_format(name).encode(dataset)).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "key", [SeriesKey("\ud800", {}), SeriesKey("a", {"\udc00": "b"}), SeriesKey("a", {"b": "\ud800"})]
)
def test_half_a_surrogate_pair_is_refused_in_one_line(name: str, key: SeriesKey, tmp_path: Path) -> None:
    dataset = MetricDataset.from_series([Series(key, np.array([1]), np.array([1.0]))])
    with pytest.raises(SqueezelabError, match="surrogate pair: rename") as caught:
        get_format(name).write(dataset, tmp_path / "it")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_the_labs_is_refused(name: str) -> None:
    whole = get_format(name).encode(fleet())
    at = whole.index(MARK)
    theirs = whole[:at] + whole[at + SEAL_BYTES :]
    with pytest.raises(CorruptDataError, match="this is no whole"):
        get_format(name).decode(theirs)
