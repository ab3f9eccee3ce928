"""Files of other engines: what they hold, and what of it is counted."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from columns import SPECIAL_WORDS
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey
from squeezelab.codecs._frame import varint
from squeezelab.formats import available_formats, get_format
from squeezelab.formats._dictionary import encode_keys
from squeezelab.formats._folder import pack_folder, unpack_files
from squeezelab.formats._table import SCHEMA, rises

ENVELOPED = ["clickhouse"]
ENGINES = ["clickhouse", "duckdb", "hdf5", "lance", "parquet", "tiledb", "tsfile", "vortex", "zarr"]


def needs(engine: str) -> str:
    if engine not in available_formats():
        pytest.skip(f"{engine} is not installed: pip install 'squeezelab[peers]'")
    return engine


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return needs(request.param)


def a_data_set(*timestamps: list[int]) -> MetricDataset:
    words = np.array(SPECIAL_WORDS, np.uint64).view(np.float64)
    series = [
        Series(SeriesKey("up", {"n": str(i)}), np.array(times, np.int64), np.resize(words, len(times)))
        for i, times in enumerate(timestamps)
    ]
    return MetricDataset.from_series(series)


@pytest.mark.parametrize(
    "timestamps",
    [
        [[10, 20, 30], [10, 20, 30]],
        [[30, 20, 20, 10], [5]],
        [[-(2**63), -1, 2**63 - 1]],
        [[], [7, 8], []],
        [[]],
        [list(range(i, i + 11)) for i in range(120)],
    ],
    ids=["rising", "falling and standing", "extreme", "with empty series", "without samples", "many"],
)
def test_every_order_of_timestamps_comes_back(engine: str, timestamps: list[list[int]]) -> None:
    dataset = a_data_set(*timestamps)
    decoded = get_format(engine).decode(get_format(engine).encode(dataset))
    assert decoded.fingerprint == dataset.fingerprint


@pytest.mark.parametrize("engine", ENVELOPED)
def test_the_file_is_an_envelope_around_the_engines_own(engine: str) -> None:
    needs(engine)
    dataset = a_data_set([1, 2, 3], [4, 5])
    file = get_format(engine).encode(dataset)
    dictionary = encode_keys(dataset.keys)
    head = f"squeezelab {engine} 1\n".encode() + varint(len(dictionary)) + dictionary
    assert file.startswith(head)
    assert xxhash.xxh3_64_digest(file[:-8]) == file[-8:]
    table = get_format(engine).load(file[len(head) : -8]).select(SCHEMA.names)
    assert table["series"].to_pylist() == [0, 0, 0, 1, 1]
    assert table["timestamp"].to_pylist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("engine", ENVELOPED)
def test_an_engines_file_that_is_none_is_damage(engine: str) -> None:
    needs(engine)
    dictionary = encode_keys(a_data_set([1, 2]).keys)
    for noise in (b"\0", b"PAR1", b"\1\1\4name\5bytes", bytes(range(256)) * 8):
        body = f"squeezelab {engine} 1\n".encode() + varint(len(dictionary)) + dictionary + noise
        with pytest.raises(CorruptDataError):
            get_format(engine).decode(body + xxhash.xxh3_64_digest(body))


def test_timestamps_rise_within_their_series() -> None:
    def table(series: list[int], timestamps: list[int]) -> pa.Table:
        return pa.table([series, timestamps, [0.0] * len(series)], schema=SCHEMA)

    assert rises(table([], []))
    assert rises(table([0, 0, 1, 1], [5, 6, 1, 2]))
    assert not rises(table([0, 0], [5, 5]))
    assert not rises(table([0, 1, 1], [5, 2, 1]))


def test_clickhouse_counts_what_it_has_on_disk(small: MetricDataset) -> None:
    file = get_format(needs("clickhouse"))
    table = pa.table([np.repeat(np.arange(50, dtype=np.uint32), 1000), small.timestamps, small.values], schema=SCHEMA)
    stored = file.store(table)
    files = unpack_files(stored[1:])
    assert {"data.bin", "checksums.txt", "columns.txt", "primary.cidx"} <= files.keys()
    assert stored[0] == 1, "ordered by series and timestamp"
    assert sum(map(len, files.values())) < len(stored) < sum(map(len, files.values())) + 400


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//b", "..", ".", ""])
def test_a_folders_file_cannot_be_written_beside_it(name: str) -> None:
    data = varint(1) + varint(len(name)) + name.encode() + varint(1) + b"x"
    with pytest.raises(CorruptDataError, match="leads elsewhere"):
        unpack_files(data)


def test_a_folder_is_its_files(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "last").write_bytes(b"12")
    (tmp_path / "a").write_bytes(b"")
    packed = pack_folder(tmp_path)
    assert unpack_files(packed) == {"a": b"", "b/c/last": b"12"}
    for damaged in (packed[:-1], packed + b"0"):
        with pytest.raises(CorruptDataError, match="another size"):
            unpack_files(damaged)


def tables(dataset: MetricDataset) -> pa.Table:
    numbers = np.repeat(np.arange(len(dataset.keys), dtype=np.uint32), np.diff(dataset.offsets))
    return pa.table([numbers, dataset.timestamps, dataset.values], schema=SCHEMA)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("zarr:compression=blosc", "zarr"),
        ("zarr:compression=blosc,level=9,timestamps=delta", "zarr:compression=blosc,level=9"),
        ("hdf5:codec=zstd,shuffle=bitshuffle,level=9", "hdf5:codec=zstd"),
        ("lance:compression=zstd", "lance"),
        ("tiledb:level=22", "tiledb:timestamps=none,level=22"),
        ("tiledb:values=bit_shuffle,level=22", "tiledb:level=22"),
    ],
)
def test_settings_reach_the_engines(better: str, worse: str, small: MetricDataset) -> None:
    needs(better.partition(":")[0])
    sizes = [get_format(name).stored_bytes(get_format(name).encode(small)) for name in (better, worse)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("timestamps", ["DoubleDelta", "Delta", "T64", "GCD", "NONE"])
@pytest.mark.parametrize("values", ["Gorilla", "FPC", "ALP", "Delta", "NONE"])
def test_every_pair_of_clickhouse_codecs_comes_back(timestamps: str, values: str) -> None:
    dataset = a_data_set(list(range(0, 1500, 15)), [5])
    file = get_format(f"{needs('clickhouse')}:timestamps={timestamps},values={values},zstd=0")
    assert file.decode(file.encode(dataset)).fingerprint == dataset.fingerprint


def test_duckdb_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("duckdb")
    monkeypatch.setattr("squeezelab.formats._engine.MEMORY", tmp_path)
    dataset = a_data_set([1, 2])
    assert get_format("duckdb").decode(get_format("duckdb").encode(dataset)).fingerprint == dataset.fingerprint
    assert not list(tmp_path.iterdir())
