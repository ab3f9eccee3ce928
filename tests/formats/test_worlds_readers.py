"""What `write` leaves is a file of the world: its own readers open it, and find the samples, names and labels."""

import contextlib
import io
import json
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.errors import SqueezelabError
from squeezelab.formats import available_formats, get_format
from squeezelab.formats._engine import MARK, SEAL_BYTES, EngineFile, EngineFolder

FILES = [name for name in available_formats() if isinstance(get_format(name), EngineFile)]
FOLDERS = [name for name in FILES if isinstance(get_format(name), EngineFolder)]
needs_tiledb = pytest.mark.skipif("tiledb" not in FOLDERS, reason="tiledb is not installed")
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


# NDJSON and CBOR


def test_json_and_polars_read_ndjson(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    finite = MetricDataset.from_series([one for one in fleet() if np.isfinite(one.values).all()])
    get_format("ndjson").write(finite, tmp_path / "x.ndjson")
    lines = (tmp_path / "x.ndjson").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(one["metric_name"], one["labels"], one["timestamp"], one["value"]) for one in records] == rows_of(finite)
    assert polars.read_ndjson(tmp_path / "x.ndjson")["value"].to_list() == finite.values.tolist()


def test_zstd_unpacks_ndjson(tmp_path: Path) -> None:
    import zstandard

    get_format("ndjson+zstd").write(fleet(), tmp_path / "x.ndjson.zst")
    with zstandard.open(tmp_path / "x.ndjson.zst", "rb") as file:
        assert file.read() == get_format("ndjson").encode(fleet())


def test_cbor2_reads_cbor(tmp_path: Path) -> None:
    import cbor2

    get_format("cbor").write(fleet(), tmp_path / "x.cbor")
    with (tmp_path / "x.cbor").open("rb") as file:
        records = [cbor2.load(file) for _ in range(len(fleet()))]
        assert not file.read()
    assert [(one["metric_name"], one["labels"], one["timestamp"], one["value"]) for one in records] == rows_of(fleet())


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


# TsFile


def test_tsfile_takes_its_settings_from_the_first_file_of_a_process_on() -> None:
    pytest.importorskip("tsfile")
    program = """
from squeezelab import generate_metric_data
from squeezelab.formats import get_format
dataset = generate_metric_data("synthetic", "small")
print(*(len(get_format("tsfile:encoding=plain,compression=lzma2").encode(dataset)) for _ in range(2)))
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert abs(int(told[0]) - int(told[1])) < int(told[1]) // 100


def test_tsfile_opens_its_file(tmp_path: Path) -> None:
    tsfile = pytest.importorskip("tsfile")
    get_format("tsfile").write(fleet(), tmp_path / "x.tsfile")
    reader = tsfile.TsFileReader(str(tmp_path / "x.tsfile"))

    def table(name: str, fields: list[str], **options: Any) -> list[dict]:
        rows = reader.query_table(name, fields, 0, 2**62, batch_size=100, **options)
        records = [record for batch in iter(rows.read_arrow_batch, None) for record in batch.to_pylist()]
        rows.close()
        return records

    series = {one["time"]: (one["metric_name"], one["labels"]) for one in table("series", ["metric_name", "labels"])}
    rows = [
        (series[int(one["series"])][0], json.loads(series[int(one["series"])][1]), one["time"], one["value"])
        for one in table("samples", ["series", "value"])
    ]
    assert rows == rows_of(fleet())
    up = table("samples", ["value"], tag_filter=tsfile.tag_eq("series", "2"))
    assert [one["value"] for one in up] == [1, 1, 1, 1]
    reader.close()


# Arrays: HDF5, Zarr, TileDB


def ragged(arrays: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a ragged array, as a user takes it apart."""
    rows, at = [], 0
    columns = (arrays[name] for name in ("metric_name", "labels", "row_size"))
    for name, labels, size in zip(*columns, strict=True):
        span = slice(at, at + int(size))
        at += int(size)
        samples = zip(arrays["timestamp"][span].tolist(), arrays["value"][span].tolist(), strict=True)
        rows += [(str(name), json.loads(labels), time, value) for time, value in samples]
    return rows


def test_h5py_opens_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("hdf5plugin")
    get_format("hdf5:codec=zstd,shuffle=bitshuffle").write(fleet(), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        arrays = {name: column.asstr()[:] if column.dtype.kind == "S" else column[:] for name, column in file.items()}
        assert ragged(arrays) == rows_of(fleet())
        assert file["timestamp"].attrs["units"] == b"seconds since 1970-01-01"
        assert list(file["value"]._filters) == ["32026"], "Blosc2, and nothing else"


def test_zarr_opens_its_folder_and_its_zip(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    get_format("zarr").write(fleet(), tmp_path / "x.zarr")
    (tmp_path / "x.zip").write_bytes(get_format("zarr").encode(fleet()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for store in (tmp_path / "x.zarr", zarr.storage.ZipStore(tmp_path / "x.zip", mode="r")):
            group = zarr.open_group(store, mode="r")
            assert ragged({name: array[:] for name, array in group.arrays()}) == rows_of(fleet())
            assert group["timestamp"].attrs["units"] == "seconds since 1970-01-01"
            assert group["value"].metadata.dimension_names == ("sample",)


def test_tiledb_opens_its_array(tmp_path: Path) -> None:
    tiledb = pytest.importorskip("tiledb")
    get_format("tiledb").write(fleet(), tmp_path / "x.tiledb")
    with tiledb.open(str(tmp_path / "x.tiledb")) as array:
        told = {name: json.loads(array.meta[name]) for name in ("metric_name", "labels", "row_size")}
        told["labels"] = [json.dumps(one) for one in told["labels"]]
        assert ragged(told | array[:]) == rows_of(fleet())


# Lance


def test_lance_opens_its_folder(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance")
    get_format("lance").write(fleet(), tmp_path / "x.lance")
    dataset = lance.dataset(str(tmp_path / "x.lance"))
    assert with_json(dataset.to_table().to_pylist()) == rows_of(fleet())
    assert dataset.to_table(["value"], filter="metric_name = 'up'")["value"].to_pylist() == [1, 1, 1, 1]


# ClickHouse


def test_chdb_opens_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("chdb")
    from chdb import session as chdb_session

    get_format("clickhouse").write(fleet(), tmp_path / "x")
    session = chdb_session.Session(str(tmp_path / "x"))
    try:
        joined = "lab.samples JOIN lab.series USING (series)"
        query = f"SELECT metric_name, labels, toUnixTimestamp(timestamp) AS time, value FROM {joined}"
        found = [json.loads(line) for line in session.query(query, "JSONEachRow").data().splitlines()]
        rows = [(one["metric_name"], one["labels"], one["time"], one["value"] or np.inf) for one in found]
        assert sorted(rows, key=str) == sorted([(*row[:3], row[3] or np.inf) for row in rows_of(fleet())], key=str)
        query = f"SELECT sum(value) FROM {joined} WHERE labels['host'] = 'b' AND timestamp < '2023-11-14 22:13:50'"
        assert session.query(query, "TSVRaw").data().strip() == "0.75"
    finally:
        session.close()


# Folders


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_counts_as_its_files_and_leaves_nothing_beside_it(name: str, tmp_path: Path) -> None:
    for dataset in (fleet(), fleet("ms", 1000)):  # the second takes the place of the first
        size = get_format(name).write(dataset, tmp_path / "x")
        assert size == sum(path.stat().st_size for path in (tmp_path / "x").rglob("*") if path.is_file())
        assert get_format(name).read(tmp_path / "x").time_unit == dataset.time_unit
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
    whole = get_format(name).encode(fleet())
    assert get_format(name).stored_bytes(whole) < len(whole)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_takes_no_files_place(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"precious")
    with pytest.raises(SqueezelabError, match="name another"):
        get_format(name).write(fleet(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"precious"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_whose_samples_changed_is_noticed(name: str, tmp_path: Path) -> None:
    get_format(name).write(fleet(), tmp_path / "x")
    whole = {path: path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    rng = np.random.default_rng(7)
    count = 1 if name == "clickhouse" else 8  # opening a session takes long
    for path, content in whole.items():
        for place in rng.integers(0, len(content), count).tolist() if content else []:
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
            )
            with contextlib.suppress(CorruptDataError):
                assert get_format(name).read(tmp_path / "x").fingerprint == fleet().fingerprint
        path.write_bytes(content[: len(content) // 2])
        with contextlib.suppress(CorruptDataError):
            assert get_format(name).read(tmp_path / "x").fingerprint == fleet().fingerprint
        path.write_bytes(content)
    assert get_format(name).read(tmp_path / "x").fingerprint == fleet().fingerprint


@needs_tiledb
def test_a_damaged_folder_is_kept_from_a_library_that_would_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiledb = get_format("tiledb")
    tiledb.write(fleet(), tmp_path / "x")
    monkeypatch.setattr(type(tiledb), "reader", lambda *_: pytest.fail("the library sees it"))
    for path in [path for path in (tmp_path / "x").rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        for content in (whole + b"\0", None, whole[:-1] + bytes([whole[-1] ^ 1]) if whole else b"x"):
            path.unlink() if content is None else path.write_bytes(content)
            if content is not None or path.name != "squeezelab.xxh3":
                with pytest.raises(CorruptDataError, match="the checksum differs"):
                    tiledb.read(tmp_path / "x")
        path.write_bytes(whole)


@needs_tiledb
def test_a_folder_from_before_there_was_a_seal_is_read(tmp_path: Path) -> None:
    tiledb = get_format("tiledb")
    tiledb.write(fleet(), tmp_path / "x")
    (tmp_path / "x" / "squeezelab.xxh3").unlink()
    assert tiledb.read(tmp_path / "x").fingerprint == fleet().fingerprint


@pytest.mark.parametrize("place", ["../x", "a/../../x", "/x", "a//b", "..", "."])
def test_a_folders_file_cannot_be_written_beside_it(place: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(place), b"x")
        archive.comment = MARK + bytes(8)
    data = packed.getvalue()[:-SEAL_BYTES]
    with pytest.raises(CorruptDataError, match="leads elsewhere"):
        get_format(FOLDERS[0]).decode(data + MARK + xxhash.xxh3_64_digest(data))


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
def test_half_a_surrogate_pair_is_rejected_in_one_line(name: str, key: SeriesKey, tmp_path: Path) -> None:
    dataset = MetricDataset.from_series([Series(key, np.array([1]), np.array([1.0]))])
    with pytest.raises(SqueezelabError, match="surrogate pair: rename") as caught:
        get_format(name).write(dataset, tmp_path / "it")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_the_labs_is_rejected(name: str) -> None:
    whole = get_format(name).encode(fleet())
    at = whole.rindex(MARK)
    theirs = whole[:at] + whole[at + SEAL_BYTES :]
    with pytest.raises(CorruptDataError, match="this is no whole"):
        get_format(name).decode(theirs)
