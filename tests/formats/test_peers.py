"""Files of other engines: samples in any order come back, settings arrive, and what is counted is what there is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xxhash

from columns import SPECIAL_WORDS
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, SqueezelabError
from squeezelab.formats import available_formats, get_format
from squeezelab.formats._engine import MARK, SEAL_BYTES, EngineFolder, rises

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


def test_an_engines_file_that_is_none_is_damage(engine: str) -> None:
    file = get_format(engine)
    if isinstance(file, EngineFolder) or engine == "tsfile":
        pytest.skip("a ZIP has no checksum to be forged; TsFile's library may never come back from such a file")
    whole = file.encode(a_data_set([1, 2]))
    at = whole.rindex(MARK)
    theirs = bytearray(whole[:at] + whole[at + SEAL_BYTES :])
    rng = np.random.default_rng(5)
    for place in rng.integers(0, at, 40).tolist():
        damaged = bytearray(theirs)
        damaged[place] ^= 0xFF
        forged = damaged[:at] + MARK + xxhash.xxh3_64_digest(bytes(damaged)) + damaged[at:]
        try:
            file.decode(forged)
        except CorruptDataError:
            continue


def test_timestamps_rise_within_their_series() -> None:
    assert rises(a_data_set())
    assert rises(a_data_set([5, 6], [1, 2], []))
    assert rises(a_data_set([], [], [5, 6], [], [1]))
    assert not rises(a_data_set([5, 5]))
    assert not rises(a_data_set([5], [2, 1]))
    assert not rises(a_data_set([5], [], [2, 1], []))


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


@pytest.mark.parametrize("timestamps", ["DoubleDelta", "default", "Delta", "T64", "GCD", "NONE"])
@pytest.mark.parametrize("values", ["Gorilla", "default", "FPC", "ALP", "Delta", "NONE"])
def test_every_pair_of_clickhouse_codecs_comes_back(timestamps: str, values: str) -> None:
    dataset = a_data_set(list(range(0, 1500, 15)), [5])
    file = get_format(f"{needs('clickhouse')}:timestamps={timestamps},values={values},zstd=0")
    assert file.decode(file.encode(dataset)).fingerprint == dataset.fingerprint


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_duckdb_rejects_nans_whose_bits_it_would_lose(dtype: type) -> None:
    file = get_format(needs("duckdb"))
    plain = np.full(3, np.nan, dtype)

    def of(values: np.ndarray) -> MetricDataset:
        return MetricDataset.from_series([Series(SeriesKey("up", {}), np.arange(values.size), values)])

    for values in (plain, np.append(-plain, dtype(1))):
        assert file.decode(file.encode(of(values))).fingerprint == of(values).fingerprint
    with pytest.raises(SqueezelabError, match="does not keep the bits of NaNs"):
        file.encode(of(-plain))


def test_duckdb_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("duckdb")
    monkeypatch.setattr("squeezelab.formats._engine.MEMORY", tmp_path)
    dataset = a_data_set([1, 2])
    assert get_format("duckdb").decode(get_format("duckdb").encode(dataset)).fingerprint == dataset.fingerprint
    assert not list(tmp_path.iterdir())


def test_clickhouse_compresses_by_lz4_where_no_codec_is_named(small: MetricDataset) -> None:
    spec = f"{needs('clickhouse')}:timestamps={{0}},values={{0}},zstd=0"
    default, lz4 = (get_format(spec.format(one)) for one in ("default", "NONE"))
    size = default.stored_bytes(default.encode(small))
    assert size == pytest.approx(lz4.stored_bytes(lz4.encode(small)), rel=0.01)


def test_threads_wait_for_the_one_session_of_clickhouse() -> None:
    needs("clickhouse")
    dataset = a_data_set([1, 2])
    files = [get_format(spec) for spec in ("clickhouse", "clickhouse:values=NONE", "clickhouse:values=FPC")]
    with ThreadPoolExecutor(len(files)) as pool:
        read = list(pool.map(lambda file: file.decode(file.encode(dataset)), files))
    assert {one.fingerprint for one in read} == {dataset.fingerprint}


def test_clickhouse_counts_what_it_has_on_disk(small: MetricDataset, tmp_path: Path) -> None:
    size = get_format(needs("clickhouse")).write(small, tmp_path / "x")
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file()]
    definitions = sum(path.stat().st_size for path in files if path.suffix == ".sql" or path.stem == "format_version")
    from chdb import session as chdb_session

    session = chdb_session.Session(str(tmp_path / "x"))
    try:
        query = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'lab' AND active"
        counted = int(session.query(query, "TSVRaw").data()) + definitions
        assert counted <= size < counted + 1500, "bytes_on_disk leaves out two small files of each part"
        assert definitions < 1000
    finally:
        session.close()
