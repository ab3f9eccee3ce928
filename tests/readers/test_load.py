"""Files, folders and choices: what is read of them, and what is said."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import zstandard

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.readers import available_readers, load
from squeezelab.readers._collect import Collector
from squeezelab.readers.base import Samples

T = 1_700_000_000
WIDE = "time,cpu_user,cpu_idle,mem\n" + "".join(f"{T + 15 * i},{i},{10 - i},{i * i}\n" for i in range(10))


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    path = tmp_path / "wide.csv"
    path.write_text(WIDE)
    return path


def names(dataset: MetricDataset) -> list[str]:
    return [str(key) for key in dataset.keys]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ("cpu_*", ["cpu_user{}", "cpu_idle{}"]),
        (["mem", "*idle"], ["cpu_idle{}", "mem{}"]),
        ("mem{}", ["mem{}"]),
    ],
)
def test_series_are_chosen_by_patterns(wide: Path, patterns: str | list[str], found: list[str]) -> None:
    assert names(load(wide, series=patterns).dataset) == found


def test_series_are_chosen_by_labels(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    path.write_text("".join(f'up{{host="{host}",zone="z"}} 1 {T}000\n' for host in "abc"))
    assert names(load(path, series="host=[ab]").dataset) == ['up{host="a",zone="z"}', 'up{host="b",zone="z"}']
    assert names(load(path, series='up{host="c"*').dataset) == ['up{host="c",zone="z"}']


def test_spans_begin_with_from_and_stop_before_to(wide: Path) -> None:
    loaded = load(wide, series="mem", start=T + 30, stop=T + 60)
    assert loaded.dataset.timestamps.tolist() == [T + 30, T + 45]
    dated = load(wide, series="mem", start="2023-11-14T22:13:50Z", stop="2023-11-14 22:14:20")
    assert dated.dataset.fingerprint == loaded.dataset.fingerprint


def test_a_limit_takes_the_first_rows(wide: Path) -> None:
    loaded = load(wide, limit=7)
    assert [len(series.values) for series in loaded.dataset] == [3, 2, 2]
    assert loaded.files[0].cut
    assert "cut at the limit" in str(loaded)
    assert len(load(wide, limit=10**6).dataset) == 30


def test_several_files_share_a_limit(tmp_path: Path) -> None:
    for i, rows in enumerate((2, 100, 100)):
        (tmp_path / f"f{i}.csv").write_text("time,a\n" + "".join(f"{T + j},{j}\n" for j in range(rows)))
    loaded = load(tmp_path, limit=100)
    assert [len(series.values) for series in loaded.dataset] == [2, 49, 49]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"series": "disk*"}, r"no series fits disk\*: there are cpu_user{}, cpu_idle{}, mem{}"),
        ({"start": "2030-01-01"}, "no sample lies between --from and --to: they go from 2023-11-14T22:13:20Z to"),
        ({"start": "soon"}, "'soon' is no time"),
        ({"limit": 0}, "limit 0 leaves nothing"),
        ({"kind": "excel"}, "unknown input format 'excel': choose one of tsdb, tally, parquet"),
        ({"time_unit": "h"}, "unknown time unit 'h': choose one of s, ms, us, ns"),
    ],
)
def test_choices_that_leave_nothing_or_do_not_exist(wide: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        load(wide, **options)  # type: ignore[arg-type]


def test_a_format_can_be_given(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_text(f"time\n{T}\n")
    with pytest.raises(DataSourceError, match="no known format"):
        load(path)
    with pytest.raises(DataSourceError, match="no column holds numbers"):
        load(path, kind="csv")
    for kind in available_readers():
        with pytest.raises(DataSourceError, match="odd"):
            load(path, kind=kind)


def test_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"nowhere.csv does not exist"):
        load(tmp_path / "nowhere.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidRequestError, match="no file that can be read twice"):
        load(tmp_path / "pipe")


def test_a_file_given_twice_is_read_once(wide: Path) -> None:
    assert load([wide, wide]).dataset.fingerprint == load(wide).dataset.fingerprint


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zstandard.compress, lambda data: zstandard.compress(data[:50]) + zstandard.compress(data[50:])],
)
def test_compressed_files(wide: Path, pack: object, tmp_path: Path) -> None:
    packed = tmp_path / "packed.csv.gz"  # the content decides, whatever the name
    packed.write_bytes(pack(wide.read_bytes()))  # type: ignore[operator]
    loaded = load(packed)
    assert loaded.dataset.fingerprint == load(wide).dataset.fingerprint
    assert loaded.name == "packed"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_files_that_are_cut_short(pack: object, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    text = "time,a\n" + "".join(f"{T + i},{i * i}\n" for i in range(20_000))
    path.write_bytes(pack(text.encode())[:-100])  # type: ignore[operator]
    with pytest.raises(DataSourceError, match=r"is no whole (gzip|zstd) file"):
        load(path)


def test_a_folder_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.csv").write_text(f"timestamp,value\n{T},1\n")
    (tmp_path / "deep" / "b.csv.gz").write_bytes(gzip.compress(f"timestamp,load\n{T},2\n".encode()))
    (tmp_path / "README.md").write_text("# Metrics\nThese are metrics, and more.\n")
    (tmp_path / "notes.csv").write_text("who,what\nme,this\nyou,that\n")
    (tmp_path / ".hidden.csv").write_text(f"timestamp,value\n{T},1\n")
    (tmp_path / "empty").touch()
    loaded = load(tmp_path)
    assert names(loaded.dataset) == ['a{file="a"}', 'load{file="b"}']
    assert any("README.md was passed over" in word for word in loaded.words)
    assert any("notes.csv was not read" in word and "no time column" in word for word in loaded.words)
    assert not any("hidden" in word or "empty" in word for word in loaded.words)
    assert loaded.name == tmp_path.name
    assert [name for name in loaded.provenance if name.endswith("b.csv.gz")]


def test_a_folder_with_nothing_readable(tmp_path: Path) -> None:
    with pytest.raises(DataSourceError, match="holds no file of a known format"):
        load(tmp_path)
    (tmp_path / "x.bin").write_bytes(bytes(range(256)))
    with pytest.raises(DataSourceError, match="holds no file of a known format"):
        load(tmp_path)


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"time,load\n{T},1\n")
    labels = [key.labels["file"] for key in load(tmp_path).dataset.keys]
    assert labels == [(tmp_path / folder / "a.csv").as_posix() for folder in ("x", "y")]


def test_files_whose_series_name_themselves_are_joined(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"day{i}.prom").write_text(f'up{{host="a"}} {i} {T + 15 * i}000\n')
    loaded = load([tmp_path / "day1.prom", tmp_path / "day0.prom"])
    assert names(loaded.dataset) == ['up{host="a"}']
    assert loaded.dataset.values.tolist() == [0, 1]
    assert loaded.name == tmp_path.name


def test_the_finest_unit_of_all_files_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"time,x\n{T},1\n")
    (tmp_path / "b.csv").write_text(f"time,y\n{T}000001,1\n")
    loaded = load(tmp_path)
    assert loaded.unit == "us"
    assert loaded.dataset.timestamps.tolist() == [T * 10**6, T * 10**6 + 1]


def test_what_was_understood_is_told(wide: Path) -> None:
    loaded = load(wide)
    assert str(loaded).splitlines() == [
        f"{wide}: wide csv, 0.00 MB, 10 rows, time: column 'time', seconds since 1970, by their size",
        "30 samples in 3 series, 2023-11-14T22:13:20Z to 2023-11-14T22:15:35Z, kept in seconds",
        "interval: 15 s (100.0 % of steps)",
    ]
    assert loaded.provenance["timestamps in"] == "seconds"
    assert len(loaded.provenance[str(wide)]) == 32


def test_a_collector_keeps_every_unit_exactly() -> None:
    collector = Collector()
    key = SeriesKey("a", {})
    one = np.zeros(1, np.int64)
    for timestamp, unit in ((T, "s"), (T * 1000 + 1, "ms"), (T * 10**9 + 1, "ns")):
        collector.add(Samples([key], one, np.array([timestamp]), unit, np.ones(1), one))
    dataset = collector.finish().dataset
    assert dataset.time_unit == "ns"
    assert dataset.select([0]).time_unit == "ns"
    assert dataset.timestamps.tolist() == [T * 10**9, T * 10**9 + 1, T * 10**9 + 10**6]


def test_times_that_do_not_fit_are_an_error() -> None:
    collector = Collector()
    zero = np.zeros(2, np.int64)
    collector.add(Samples([SeriesKey("a", {})], zero, np.array([-(10**11), 10**11]), "s", np.ones(2), zero))
    collector.add(Samples([SeriesKey("a", {})], zero[:1], np.array([1]), "ns", np.ones(1), zero[:1]))
    with pytest.raises(DataSourceError, match="do not fit 64 bits in ns"):
        collector.finish()


def test_series_may_come_in_any_order_and_pieces() -> None:
    rng = np.random.default_rng(5)
    keys = [SeriesKey(f"m{i}", {}) for i in range(5)]
    series, moments, values = rng.integers(0, 5, 1000), rng.permutation(1000), rng.random(1000)
    collector = Collector()
    for piece in np.array_split(np.arange(1000), 7):
        collector.add(Samples(keys, series[piece], moments[piece], "s", values[piece], piece))
    dataset = collector.finish().dataset
    expected = []
    for number in range(5):
        of_it = np.flatnonzero(series == number)
        of_it = of_it[np.argsort(moments[of_it])]
        expected.append(Series(keys[number], moments[of_it], values[of_it]))
    found = {one.key: one for one in dataset}
    assert all(found[one.key].digest() == one.digest() for one in expected)
