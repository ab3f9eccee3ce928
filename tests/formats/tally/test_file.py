"""A tally file that is open: choosing, ranges over a network, appending, statistics, salvage, Arrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from columns import same_bits
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, TallyFile
from squeezelab.codecs.tally import BLOCK
from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.formats import get_format
from squeezelab.formats.tally import append_series, compact, pack_series
from squeezelab.formats.tally import format as tally_format
from squeezelab.formats.tally import writing as tally_writing

START = 1_700_000_000
SPAN = 8192


def fleet(count: int, samples: int, start: int = START) -> Iterator[Series]:
    """Yield series of hosts, all scraped at once."""
    times = start + 15 * np.arange(samples)
    rng = np.random.default_rng(1)
    for i in range(count):
        labels = {"host": f"host-{i // 2:05}", "zone": "ab"[i // 2 % 2]}
        values = np.round(50 + np.cumsum(rng.normal(size=samples)), 1)
        yield Series(SeriesKey(f"metric_{i % 2}", labels), times, values)


def as_one(dataset: MetricDataset) -> list[tuple[SeriesKey, list[int], list[int]]]:
    return [(key, timestamps.tolist(), values.view(np.int64).tolist()) for key, timestamps, values in dataset]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pack_series(fleet(6, 2 * SPAN + 100), tmp_path / "fleet.tally")
    return tmp_path / "fleet.tally"


# Choosing


def test_series_are_chosen_by_name_and_labels(path: Path) -> None:
    file = TallyFile.open(path)
    assert len(file.keys) == 6
    chosen = file.select(name="metric_1", host="host-0000[02]")
    assert [str(key) for key in chosen.keys] == [
        'metric_1{host="host-00000",zone="a"}',
        'metric_1{host="host-00002",zone="a"}',
    ]
    assert [one.key for one in chosen] == chosen.keys
    assert file.select(pod="*").keys == []


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (START + 150, START + 300),
        ("2023-11-14T22:15:50", "2023-11-14T22:18:20Z"),
        (np.int64(START + 150), np.int64(START + 300)),
    ],
)
def test_times_are_numbers_or_dates(path: Path, begin: Any, end: Any) -> None:
    series = next(iter(TallyFile.open(path).between(begin, end)))
    assert series.timestamps.tolist() == list(range(START + 150, START + 300, 15))


def test_times_choose_samples_of_a_series_that_is_not_in_their_order(tmp_path: Path) -> None:
    timestamps = np.random.default_rng(4).permutation(3 * BLOCK).astype(np.int64)
    pack_series([Series(SeriesKey("a", {}), timestamps, timestamps / 4)], tmp_path / "a.tally")
    found = TallyFile.open(tmp_path / "a.tally").between(1000, 1010).read(0)
    assert sorted(found.timestamps.tolist()) == list(range(1000, 1010))
    assert found.timestamps.tolist() == [t for t in timestamps.tolist() if 1000 <= t < 1010]
    assert np.array_equal(found.values, found.timestamps / 4)


def test_samples_of_one_part_of_several_are_in_the_order_of_time(tmp_path: Path) -> None:
    key, path = SeriesKey("a", {}), tmp_path / "a.tally"
    for write, begin in ((pack_series, 0), (append_series, 100)):
        timestamps = begin + np.array([3, 1, 2])
        write([Series(key, timestamps, timestamps / 4)], path)
    assert TallyFile.open(path).read(0).timestamps.tolist() == [1, 2, 3, 101, 102, 103]
    assert TallyFile.open(path).between(0, 10).read(0).timestamps.tolist() == [1, 2, 3]


def test_a_time_that_is_none_is_rejected(path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no time"):
        TallyFile.open(path).between("yesterday")


def test_values_are_chosen_and_blocks_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TallyFile.open(path)
    whole = file.read_all()
    least, most = float(np.quantile(whole.values, 0.2)), float(np.quantile(whole.values, 0.8))
    for chosen, expected in (
        (file.where(above=most), whole.values > most),
        (file.where(below=least), whole.values < least),
    ):
        found = chosen.read_all()
        assert same_bits(found.values, whole.values[expected])
        assert same_bits(found.timestamps, whole.timestamps[expected])
    monkeypatch.setattr(TallyFile, "_decode_part", lambda *args: pytest.fail("a block was read"))
    assert not len(file.where(above=whole.values.max()).read_all())


def test_summaries_are_those_of_the_samples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TallyFile.open(path)
    expected = [(key, v.size, v.min(), v.max(), v[0], v[-1]) for key, _, v in file]
    monkeypatch.setattr(TallyFile, "_decode_part", lambda *args: pytest.fail("a block was read"))
    assert [tuple(one) for one in file.summaries()] == expected


def test_statistics_pass_over_nan_and_cost_little(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(size=3 * SPAN)
    values[5] = values[SPAN:][:SPAN] = np.nan
    path = tmp_path / "a.tally"
    pack_series([Series(SeriesKey("m", {}), np.arange(values.size), values)], path)
    statistics = TallyFile.open(path).parts[0].statistics
    assert np.isnan(statistics["minimum"]).tolist() == [False, True, False]
    assert statistics["maximum"][0] == np.nanmax(values[:SPAN])
    assert TallyFile.open(path).where(above=-9.0).read(0).values.size == np.count_nonzero(values > -9)


# Ranges over a network


class Counting(MemoryFileSystem):
    """A file system in memory that counts what is asked of it."""

    protocol = "counting"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    asked: list[tuple[int, int]] = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("counting://").strip("/")

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        self.asked.append((start, end))
        return super().cat_file(path, start=start, end=end, **options)


@pytest.fixture(scope="module")
def remote() -> str:
    fsspec.register_implementation("counting", Counting, clobber=True)
    path = Path("/tmp") / "unused"
    chunks = tally_format._chunks(fleet(10_000, 480), "s", 1)
    filesystem = fsspec.filesystem("counting")
    filesystem.pipe(f"/{path.name}.tally", b"".join(chunks))
    return f"counting://{path.name}.tally"


def test_an_hour_of_one_series_of_ten_thousand_costs_three_requests(remote: str) -> None:
    Counting.asked.clear()
    file = TallyFile.open(remote)
    assert len(Counting.asked) <= 2
    size = fsspec.filesystem("counting").size("/unused.tally")
    assert sum(end - start for start, end in Counting.asked) < 0.1 * size
    Counting.asked.clear()
    series = next(iter(file.select(name="metric_1", host="host-04321").between(START + 3600, START + 7200)))
    assert series.values.size == 240
    expected = list(fleet(10_000, 480))[2 * 4321 + 1]
    assert same_bits(series.values, expected.values[240:])
    assert len(Counting.asked) <= 2  # its timestamps stand with the first series, its values elsewhere
    assert sum(end - start for start, end in Counting.asked) < 10_000


def test_a_url_that_leads_nowhere_is_one_line() -> None:
    fsspec.register_implementation("counting", Counting, clobber=True)
    for url in ("counting://nothing.tally", "nosuch://a/b.tally", "/no/such/file.tally"):
        with pytest.raises(DataSourceError, match="cannot be read"):
            TallyFile.open(url)


# Parts


def test_what_is_appended_goes_on(path: Path) -> None:
    before = TallyFile.open(path).read_all()
    later = list(fleet(8, 500, START + 15 * (2 * SPAN + 100)))
    append_series(later, path)
    file = TallyFile.open(path)
    assert len(file.parts) == 2
    assert len(file.keys) == 8
    for number, (old, new) in enumerate(zip(before, later, strict=False)):
        key, timestamps, values = file.read(number)
        assert key == old.key
        assert same_bits(timestamps, np.concatenate([old.timestamps, new.timestamps]))
        assert same_bits(values, np.concatenate([old.values, new.values]))
    whole = file.read_all()
    assert as_one(file.between(START, START + 100).read_all())[0][1] == list(range(START, START + 100, 15))
    before_bytes, after_bytes = compact(path)
    assert after_bytes < before_bytes
    assert len(TallyFile.open(path).parts) == 1
    assert TallyFile.open(path).read_all().fingerprint == whole.fingerprint
    assert [one.name for one in path.parent.iterdir()] == ["fleet.tally"]


def test_parts_of_several_units_and_times_that_overlap(tmp_path: Path) -> None:
    path, key = tmp_path / "a.tally", SeriesKey("up", {})
    pack_series([Series(key, np.array([10, 20]), np.array([1.0, 2.0]))], path)
    append_series([Series(key, np.array([15_500, 30_001]), np.array([1.5, 3.0]))], path, time_unit="ms")
    file = TallyFile.open(path)
    assert file.time_unit == "ms"
    assert file.read(0).timestamps.tolist() == [10_000, 15_500, 20_000, 30_001]
    assert file.read(0).values.tolist() == [1.0, 1.5, 2.0, 3.0]
    assert file.read_between(0, 15_000, 20_000).values.tolist() == [1.5]
    assert file.read_range(0, 1, 3).values.tolist() == [1.5, 2.0]
    append_series([Series(key, np.array([2**60]), np.array([0.0]))], path)
    with pytest.raises(CorruptDataError, match="64 bits"):
        TallyFile.open(path).read(0)


@pytest.mark.parametrize("torn", [1, 30, 500, -1])
def test_an_append_that_dies_leaves_what_was_there(path: Path, torn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before, expected = path.read_bytes(), TallyFile.open(path).read_all().fingerprint
    append_series(fleet(2, 100), path)
    grown = path.read_bytes()[len(before) :]
    # As a machine leaves it whose power failed: the end is told of, and some of the part is there.
    path.write_bytes(tally_writing.header(len(before)) + before[tally_writing.HEADER_BYTES :] + grown[:torn])
    assert TallyFile.open(path).read_all().fingerprint == expected
    append_series(fleet(2, 100), path)
    assert len(TallyFile.open(path).parts) == 2
    assert path.stat().st_size == len(before) + len(grown)


def test_an_append_that_fails_leaves_no_byte(path: Path) -> None:
    size = path.stat().st_size

    def broken() -> Iterator[Series]:
        yield from fleet(2, 100)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        append_series(broken(), path)
    assert path.stat().st_size == size
    assert len(TallyFile.open(path).read_all()) == 6 * (2 * SPAN + 100)


def test_a_file_whose_end_was_cut_off_after_an_append_is_damaged(path: Path) -> None:
    append_series(fleet(2, 100), path)
    whole = path.read_bytes()
    for cut in (1, 100):
        path.write_bytes(whole[:-cut])
        with pytest.raises(CorruptDataError):
            TallyFile.open(path)
        assert len(TallyFile.open(path, salvage=True).read_all()) == 6 * (2 * SPAN + 100)


def test_memory_is_bounded_while_packing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_writing, "WINDOW", 1000)
    held: list[int] = []
    write = tally_writing._write_window

    def watched(window: list[Series], *rest: Any) -> Any:
        held.append(len(window))
        return write(window, *rest)

    monkeypatch.setattr(tally_writing, "_write_window", watched)
    pack_series(fleet(40, 300), tmp_path / "a.tally")
    assert max(held) == 4
    found = TallyFile.open(tmp_path / "a.tally").read_all()
    assert found.fingerprint == MetricDataset.from_series(list(fleet(40, 300))).fingerprint
    assert TallyFile.open(tmp_path / "a.tally").parts[0].clocks.counts.tolist() == [300]  # shared across windows


def test_a_file_of_version_1_becomes_one_of_version_2(tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "fixtures/tally_file/version1_level2_memory_60.tally"
    path = tmp_path / "a.tally"
    path.write_bytes(old.read_bytes())
    with pytest.raises(InvalidRequestError, match="compact"):
        append_series(fleet(1, 1), path)
    compact(path)
    assert TallyFile.open(path).version == 2
    assert TallyFile.open(path).read_all().fingerprint == TallyFile.open(old).read_all().fingerprint


# Salvage


def test_what_is_lost_is_named_and_the_rest_is_read(path: Path) -> None:
    file = TallyFile.open(path)
    expected, part = file.read_all(), file.parts[0]
    damaged = bytearray(path.read_bytes())
    damaged[int(part.series.begins[part.series.blocks[2] + 1]) + 9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptDataError, match=r'metric_0\{host="host-00001",zone="b"\}: samples 8192 to 16383'):
        TallyFile.open(path).read_all()
    salvaged = TallyFile.open(path, salvage=True)
    found = list(salvaged)
    for one, old in zip(found, expected, strict=True):
        lost = slice(SPAN, 2 * SPAN if one.values.size < old.values.size else SPAN)
        kept = np.delete(np.arange(old.values.size), lost)
        assert same_bits(one.values, old.values[kept])
        assert same_bits(one.timestamps, old.timestamps[kept])
    assert 1 <= len(salvaged.lost) <= 2  # what is predicted from it goes with it
    assert salvaged.lost[0].startswith("metric_0{")


def test_damage_beside_a_series_without_samples_is_damage(tmp_path: Path) -> None:
    """A series without samples has no blocks that could be whole or not."""
    full = Series(SeriesKey("full", {}), np.arange(3 * BLOCK) * 7, np.sqrt(np.arange(3.0 * BLOCK)))
    empty = Series(SeriesKey("empty", {}), np.empty(0, np.int64), np.empty(0))
    path = tmp_path / "metrics.tally"
    get_format("tally").write(MetricDataset.from_series([empty, full]), path)
    (part,) = TallyFile.open(path).parts
    damaged = bytearray(path.read_bytes())
    damaged[int(part.series.begins[-1]) + 9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptDataError, match="full"):
        TallyFile.open(path).read_all()
    left_over, rest = TallyFile.open(path, salvage=True)
    assert (left_over.values.size, rest.values.size) == (0, 2 * BLOCK)


def test_nothing_can_be_salvaged_of_nothing() -> None:
    for data in (b"", b"squeezelab tally 2\n", bytes(100), b"squeezelab tally 2\n" + bytes(200)):
        with pytest.raises(CorruptDataError):
            TallyFile(data, salvage=True)


# Arrow


def test_batches_have_all_samples_and_their_labels(path: Path) -> None:
    dataset = TallyFile.open(path).read_all()
    table = TallyFile.open(path).to_arrow().read_all()
    assert table.schema.names == ["metric_name", "host", "zone", "timestamp", "value"]
    assert same_bits(table["value"].to_numpy(), dataset.values)
    assert same_bits(table["timestamp"].cast("int64").to_numpy(), dataset.timestamps)
    assert table["host"].to_pylist()[:1] == ["host-00000"]
    assert TallyFile.open(path).to_frame().equals(dataset.to_frame())


def test_duckdb_queries_the_batches(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    samples = TallyFile.open(path).select(zone="a").to_arrow()
    counts = duckdb.sql("select host, count(*) from samples group by host order by host").fetchall()
    assert samples is not None
    assert counts == [("host-00000", 2 * (2 * SPAN + 100)), ("host-00002", 2 * (2 * SPAN + 100))]
