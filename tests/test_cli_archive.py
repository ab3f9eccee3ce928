"""`squeezelab pack`, `unpack`, `info`, `verify`, `cat`, `append` and `compact`, as a user types them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from conftest import Run
from fsspec.implementations.memory import MemoryFileSystem

from columns import SPECIAL_WORDS
from squeezelab import MetricDataset, Series, SeriesKey, TallyFile
from squeezelab.formats.tally import pack_series
from squeezelab.formats.tally.export import FORMS, export
from squeezelab.readers import load

SUFFIX = {"csv": "csv", "ndjson": "ndjson", "openmetrics": "om", "parquet": "parquet", "arrow": "arrow"}


def metrics(unit: str) -> MetricDataset:
    """Return series whose names, labels, times and values are the odd ones that every form can hold."""
    size = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = 1_700_000_000 * size + 15 * size * np.arange(400) + (np.arange(400) % 7 if size > 1 else 0)
    rng = np.random.default_rng(3)
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1.7976931348623157e308, 0.1 + 0.2, 1e22, 2.0**60])
    series = [
        Series(
            SeriesKey("cpu_user", {"host": "a", "path": 'C:\\ "x", {y}=z'}), times, np.round(rng.normal(size=400), 2)
        ),
        Series(SeriesKey("cpu_user", {"host": "b", "timestamp": "7"}), times, rng.normal(size=400)),
        Series(SeriesKey("load 1m/avg", {"value": "v", "ünï": "\N{SNOWMAN}"}), times[:10] + 3, odd),
    ]
    return MetricDataset.from_series(series, time_unit=unit)


def same(a: MetricDataset, b: MetricDataset) -> None:
    assert a.time_unit == b.time_unit
    assert list(a.keys) == list(b.keys)
    assert np.array_equal(a.timestamps, b.timestamps)
    assert np.array_equal(a.values.view(np.uint64), b.values.view(np.uint64))


PAIRS = [(before, after, "ms") for before in FORMS for after in FORMS]
UNITS = [(form, form, unit) for form in FORMS for unit in ("s", "us", "ns")]


@pytest.mark.parametrize(("before", "after", "unit"), PAIRS + UNITS)
def test_what_goes_in_comes_out(run: Run, tmp_path: Path, before: str, after: str, unit: str) -> None:
    dataset = metrics(unit)
    given, packed, out = tmp_path / f"in.{SUFFIX[before]}", tmp_path / "m.tally", tmp_path / f"out.{SUFFIX[after]}"
    with given.open("wb") as file:
        export(dataset, unit, file, before)
    run("pack", given, "--to", packed)
    same(TallyFile.open(packed).read_all(), dataset)
    run("unpack", packed, "--to", out)
    same(load(out).dataset, dataset)


def test_a_wide_table_and_influx_lines_come_out(run: Run, tmp_path: Path) -> None:
    table, lines = tmp_path / "load.csv", tmp_path / "m.lp"
    table.write_text("time,load,free memory\n2024-01-01 00:00:00,0.25,7\n2024-01-01 00:00:15,NaN,\n")
    lines.write_text("cpu,host=a usage=0.5,idle=3i 1700000000000000000\ncpu,host=a usage=0.25 1700000015000000001\n")
    for given in (table, lines):
        expected = load(given).dataset
        run("pack", given, "--to", tmp_path / "m.tally")
        same(TallyFile.open(tmp_path / "m.tally").read_all(), expected)
        run("unpack", tmp_path / "m.tally", "--to", tmp_path / "m.parquet")
        same(load(tmp_path / "m.parquet").dataset, expected)


@pytest.mark.parametrize("form", FORMS)
def test_bits_that_a_form_cannot_hold_are_counted(run: Run, tmp_path: Path, form: str) -> None:
    words = np.array(SPECIAL_WORDS, np.uint64)
    odd = int(np.count_nonzero(np.isnan(words.view(float)) & (words != np.array([np.nan]).view(np.uint64)[0])))
    times = 1_700_000_000 + np.arange(words.size)
    pack_series([Series(SeriesKey("m", {}), times, words.view(float))], tmp_path / "m.tally")
    told = run("unpack", tmp_path / "m.tally", "--to", tmp_path / "out", "--format", form)
    found = load(tmp_path / "out", kind={"openmetrics": "prometheus"}.get(form, form)).dataset.values.view(np.uint64)
    if form in ("csv", "openmetrics"):
        assert f"plain NaN: {odd}" in told
        expected = np.where(np.isnan(words.view(float)), np.array([np.nan]).view(np.uint64)[0], words)
        assert np.array_equal(found, expected)
    else:
        assert "plain NaN" not in told
        assert np.array_equal(found, words)


def noise(samples: int = 20_000) -> list[Series]:
    """Return a series whose values take 8 bytes each."""
    values = np.random.default_rng(5).normal(size=samples)
    return [Series(SeriesKey("noise", {}), np.arange(samples), values)]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    pack_series(metrics("s"), tmp_path / "m.tally")
    return tmp_path / "m.tally"


def test_some_series_and_times_are_unpacked(run: Run, packed: Path, tmp_path: Path) -> None:
    start = 1_700_000_000
    for end in (["--to", start + 60], ["--until", "2023-11-14T22:14:20Z"]):
        run("unpack", packed, "--to", tmp_path / "o.csv", "--series", "host=a", "--from", start + 15, *end)
        dataset = load(tmp_path / "o.csv").dataset
        assert [key.labels["host"] for key in dataset.keys] == ["a"]
        assert dataset.timestamps.tolist() == [start + 15, start + 30, start + 45]


def test_cat_prints_csv_and_ndjson(run: Run, packed: Path) -> None:
    span = ("--series", "host=b", "--from", 1_700_000_000, "--to", 1_700_000_001)
    header, line = run("cat", packed, *span).splitlines()
    assert header == '"metric_name","labels","timestamp","value"'
    assert '{""host"": ""b""' in line
    record = json.loads(run("cat", packed, "--format", "ndjson", *span))
    assert (record["metric_name"], record["timestamp"]) == ("cpu_user", 1_700_000_000)


def test_info_tells_what_is_in_a_file(run: Run, packed: Path) -> None:
    told = run("info", packed)
    assert "3 series, 810 samples, in s" in told
    assert "2023-11-14T22:13:20Z to 2023-11-14T23:53:05Z" in told
    described = json.loads(run("info", packed, "--json"))
    assert described["bytes"] == packed.stat().st_size
    families = sum(one["bytes"] for one in described["families"])
    assert families + described["parts"][0]["timestamp_bytes"] + described["index_bytes"] == described["bytes"]
    assert described["ratio"] == pytest.approx(16 * 810 / described["bytes"])


def test_verify_finds_every_damaged_byte(run: Run, packed: Path) -> None:
    assert "all whole" in run("verify", packed)
    whole = packed.read_bytes()
    for place in range(0, len(whole), 97):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert "damaged" in run("verify", packed, code=1)
    packed.write_bytes(whole[:-1])
    run("verify", packed, code=1)


def damaged_at(place: int, path: Path) -> bytes:
    """Damage a byte of a file, and return what stands in it then."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    return bytes(data)


@pytest.fixture
def elsewhere(packed: Path) -> str:
    """Return the URL of a file that is read by ranges."""
    fsspec.filesystem("memory").pipe("/m.tally", packed.read_bytes())
    return "memory://m.tally"


@pytest.mark.parametrize("place", [3, 25, 33])
def test_verify_checks_the_first_bytes_of_a_file_that_is_read_by_ranges(
    run: Run, packed: Path, elsewhere: str, place: int
) -> None:
    assert "all whole" in run("verify", elsewhere)
    fsspec.filesystem("memory").pipe("/m.tally", damaged_at(place, packed))
    told = run("verify", elsewhere, code=1)
    assert "first bytes are damaged" in told
    assert "damaged\n" in told


class Whole(MemoryFileSystem):
    """Files of a server that gives no ranges: who asks for one is sent everything."""

    protocol = "whole"
    knows_sizes = True

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("whole://").strip("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found = super().info(path, **options)
        return found if self.knows_sizes else found | {"size": None}

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        return super().cat_file(path, **options)


@pytest.mark.parametrize("command", ["cat", "info", "verify", "unpack"])
@pytest.mark.parametrize(("knows_sizes", "message"), [(True, "gives no ranges"), (False, "does not say how large")])
def test_a_server_without_ranges_is_no_damage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, knows_sizes: bool, message: str
) -> None:
    fsspec.register_implementation("whole", Whole, clobber=True)
    monkeypatch.setattr(Whole, "knows_sizes", knows_sizes)
    pack_series(noise(), tmp_path / "large.tally")
    fsspec.filesystem("whole").pipe("/large.tally", (tmp_path / "large.tally").read_bytes())
    where = ("--to", tmp_path / "o.csv") if command == "unpack" else ()
    told = run(command, "whole://large.tally", *where, code=2)
    assert told.startswith("error: whole://large.tally: its server")
    assert message in told
    assert "download" in told
    assert told.count("\n") == 1


def test_append_and_compact(run: Run, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text('metric_name,labels,timestamp,value\nnew,"{""host"": ""c""}",1700000000,5\n')
    run("append", packed, tmp_path / "more.csv")
    assert len(TallyFile.open(packed).parts) == 2
    assert json.loads(run("info", packed, "--json"))["series"] == 4
    run("compact", packed)
    assert len(TallyFile.open(packed).parts) == 1
    assert str(TallyFile.open(packed).keys[-1]) == 'new{host="c"}'


def test_values_of_another_dtype_are_appended_as_doubles_where_that_is_what_the_file_has(
    run: Run, tmp_path: Path
) -> None:
    integers, doubles = (Series(SeriesKey("m", {}), np.arange(3), np.arange(3).astype(one)) for one in (int, float))
    for name, series in (("integers", integers), ("doubles", doubles)):
        pack_series([series], tmp_path / f"{name}.tally")
        shutil.copy(tmp_path / f"{name}.tally", tmp_path / f"more_{name}.tally")
    told = run("append", tmp_path / "doubles.tally", tmp_path / "more_integers.tally", code=2)
    assert "take it for doubles (--doubles), or pack it into another file" in told
    run("append", tmp_path / "doubles.tally", tmp_path / "more_integers.tally", "--doubles")
    told = run("append", tmp_path / "integers.tally", tmp_path / "more_doubles.tally", code=2)
    assert "--doubles" not in told
    assert "pack it into another file" in told


@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("command", ["pack", "unpack", "append", "compact"])
def test_what_is_read_is_not_overwritten(run: Run, packed: Path, command: str, link: Any) -> None:
    target = packed
    if link:
        target = packed.with_name("link.csv")
        link(target, packed)
    before = packed.read_bytes()
    files = (target, packed) if command == "append" else (packed, "--to", target)
    told = run(command, *files, *(("--format", "csv") if command == "unpack" else ()), code=2)
    assert f"{target} is among the files to read: name another to write" in told
    assert told.count("\n") == 1
    assert packed.read_bytes() == before


def test_a_new_file_may_lie_in_the_folder_that_is_read(run: Run, packed: Path) -> None:
    new = packed.with_name("new.tally")
    run("pack", packed.parent, "--to", new)
    assert "is among the files to read" in run("pack", packed.parent, "--to", new, code=2)
    assert "is among the files to read" in run("unpack", packed.as_uri(), "--to", packed, "--format", "csv", code=2)


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("target", ["m.tally", "o.tally", "o.csv", "o.parquet"])
def test_a_full_disk_leaves_what_was_there_and_is_told_with_the_file(
    run: Run, packed: Path, tmp_path: Path, target: str
) -> None:
    pack_series(noise(), tmp_path / "noise.tally")
    size = packed.stat().st_size
    words = {
        "m.tally": ("append", packed, tmp_path / "noise.tally"),
        "o.tally": ("pack", tmp_path / "noise.tally", "--to", tmp_path / "o.tally"),
    }.get(target, ("unpack", tmp_path / "noise.tally", "--to", tmp_path / target))
    with disk_with_room_for(100_000):
        told = run(*words, code=2)
    assert told.splitlines()[-1].startswith("error: OSError")
    assert str(tmp_path / target) in told.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tally", "noise.tally"]
    assert packed.stat().st_size == size
    run(*words)


def test_series_without_samples_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    empty = Series(SeriesKey("empty", {}), np.empty(0, np.int64), np.empty(0))
    pack_series([empty, *noise(10)], tmp_path / "m.tally")
    told = run("unpack", tmp_path / "m.tally", "--to", tmp_path / "o.parquet")
    assert "series without samples, left out: 1" in told
    assert "10 samples in 1 series" in told
    told = run("unpack", tmp_path / "m.tally", "--to", tmp_path / "o.csv", "--from", "1000")
    assert "left out: 2" in told
    assert "0 samples in 0 series" in told
    assert "left out" not in run("unpack", tmp_path / "m.tally", "--to", tmp_path / "o.csv", "--series", "noise")


def test_names_that_no_text_can_hold_are_shown_escaped(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.tally"
    pack_series([Series(SeriesKey("up\ud800", {"host": "\udfff"}), np.arange(3), np.arange(3.0))], path)
    assert r"up\ud800" in run("info", path)
    assert "all whole" in run("verify", path)
    assert r"rename 'up\ud800'" in run("cat", path, code=2)
    assert r"there are up\ud800" in run("cat", path, "--series", "down", code=2)
    damaged_at(int(TallyFile.open(path).parts[0].series.begins[0]), path)
    assert r'up\ud800{host="\udfff"}: samples 0 to 2' in run("verify", path, code=1)


def test_help_tells_of_every_level(run: Run) -> None:
    for command in ("pack", "append", "compact"):
        assert "1, fast, 2, small, or 3, smallest" in " ".join(run(command, "--help").split())


def test_salvage_gives_the_rest(run: Run, packed: Path, tmp_path: Path) -> None:
    part = TallyFile.open(packed).parts[0]
    damaged_at(int(part.series.begins[0]), packed)
    assert "cpu_user" in run("unpack", packed, "--to", tmp_path / "o.csv", code=2)
    assert not (tmp_path / "o.csv").exists()
    assert "are lost" in run("unpack", packed, "--to", tmp_path / "o.csv", "--salvage")
    assert len(load(tmp_path / "o.csv").dataset.keys) >= 1


@pytest.mark.parametrize("place", [3, 25])
def test_where_the_first_bytes_alone_are_damaged_salvage_gives_everything(run: Run, packed: Path, place: int) -> None:
    expected = run("cat", packed)
    damaged_at(place, packed)
    assert "first bytes are damaged" in run("cat", packed, code=2)
    assert run("cat", packed, "--salvage") == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unpack", "{}", "--to", "x.unknown"), "give --format"),
        (("unpack", "{}", "--to", "x.csv", "--series", "nothing*"), "no series fits"),
        (("unpack", "{}", "--to", "x.csv", "--to", "y.csv"), "names one file"),
        (("unpack", "{}", "--to", "x.csv", "--to", "2026-11-02", "--to", "2026-11-03"), "names one file"),
        (("pack", "{}", "--to", "x.tally", "--from", "2026-11-02", "--to", "2026-11-03"), "names one file"),
        (("compact", "{}", "--to", "x.tally", "--to", "y.tally"), "names one file"),
        (("cat", "{}", "--format", "parquet"), "unpack writes other forms"),
        (("info", "nowhere.tally"), "cannot be read"),
        (("info", "memory://nowhere.tally"), "memory://nowhere.tally cannot be read"),
        (("append", "nowhere.tally", "{}"), "make it with pack"),
        (("pack", "nowhere.csv", "--to", "x.tally"), "does not exist"),
    ],
)
def test_errors_are_one_line(run: Run, packed: Path, arguments: tuple[str, ...], message: str) -> None:
    told = run(*(argument.format(packed) for argument in arguments), code=2)
    assert message in told
    assert told.count("\n") == 1
