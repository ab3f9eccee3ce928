"""Prometheus text, OpenMetrics, TSDB blocks, Influx line protocol, and NDJSON of the lab's own records."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.errors import DataSourceError
from squeezelab.formats import get_format
from squeezelab.programs import find_program
from squeezelab.readers import Loaded, load
from squeezelab.readers._sources import Source
from squeezelab.readers.influx import parse_key
from squeezelab.readers.prometheus import parse_series
from squeezelab.readers.tsdb import Tsdb

T = 1_700_000_000


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded]:
    def write_and_load(content: str, name: str = "metrics", **options: object) -> Loaded:
        (tmp_path / name).write_text(content)
        return load(tmp_path / name, **options)  # type: ignore[arg-type]

    return write_and_load


def as_dict(loaded: Loaded) -> dict[str, list[tuple[int, float]]]:
    return {str(key): list(zip(t.tolist(), v.tolist(), strict=True)) for key, t, v in loaded.dataset}


# Prometheus


PROMETHEUS = f"""# HELP up Whether it answers.
# TYPE up gauge
up{{host="a",path="C:\\\\x\\"y z"}} 1 {T}000
up 2 {T}000
  http_requests_total {{ code = "200", }}\t1e+06   {T}015
up{{host="b"}} +Inf {T}015 # {{trace="x"}} 0.5
up 3

rubbish here
up x {T}000
"""


def test_prometheus_text(read: Callable[..., Loaded]) -> None:
    loaded = read(PROMETHEUS)
    assert loaded.files[0].format == "prometheus"
    assert loaded.unit == "ms"
    assert as_dict(loaded) == {
        'up{host="a",path="C:\\x"y z"}': [(T * 1000, 1)],
        "up{}": [(T * 1000, 2)],
        'http_requests_total{code="200"}': [(T * 1000 + 15, 1e6)],
        'up{host="b"}': [(T * 1000 + 15, float("inf"))],
    }
    assert loaded.files[0].rejections == [
        (7, "it has no timestamp"),
        (9, "'rubbish here' is no sample"),
        (10, "'x' is no number"),
    ]
    assert (loaded.files[0].rows, loaded.rejected) == (7, 3)


def test_openmetrics_counts_seconds_with_a_fraction(read: Callable[..., Loaded]) -> None:
    text = f'# TYPE a gauge\na{{x="1"}} 0.1 {T}.123\na{{x="1"}} NaN {T + 15}\n# EOF\n'
    loaded = read(text)
    assert loaded.unit == "ms"
    assert loaded.dataset.timestamps.tolist() == [T * 1000 + 123, (T + 15) * 1000]
    assert loaded.dataset.values[0] == 0.1
    assert np.isnan(loaded.dataset.values[1])


def test_a_page_without_timestamps_says_what_else_is_needed(read: Callable[..., Loaded]) -> None:
    with pytest.raises(DataSourceError, match=r"no timestamps: a page of /metrics is one sample a series.*query_range"):
        read('# TYPE up gauge\nup{a="b"} 1\nup 2\n')


def test_pages_one_after_another_have_an_interval(read: Callable[..., Loaded]) -> None:
    loaded = read('up 1\nx{a="b"} 2\n\nup 3\nx{a="b"} 4\n', interval="15s")
    assert as_dict(loaded) == {"up{}": [(0, 1), (15, 3)], 'x{a="b"}': [(0, 2), (15, 4)]}


def test_native_histograms_are_counted(read: Callable[..., Loaded]) -> None:
    """As promtool dumps them; see String of Prometheus' histograms."""
    histogram = f'{{__name__="lag"}} {{count:5, sum:18.4, [-0.001,0.001]:2, (0.5,1]:3}} {T}000\n'
    loaded = read(f'{{__name__="up"}} 1 {T}000\n' + 3 * histogram)
    assert as_dict(loaded) == {"up{}": [(T, 1)]}
    assert loaded.files[0].words == ["native histograms: 3 samples were left out, for only numbers are measured"]
    assert (loaded.files[0].rows, loaded.rejected) == (4, 0)


LABEL_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x85\u2028\u2029"), max_size=8)


@given(
    name=st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]*", fullmatch=True),
    labels=st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True), LABEL_TEXT, max_size=3),
)
def test_any_label_comes_back(name: str, labels: dict[str, str]) -> None:
    labels.pop("__name__", None)

    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') + '"'

    inside = [f"{label}={quote(text)}" for label, text in labels.items()]
    expected = SeriesKey(name, labels)
    assert parse_series(f"{name}{{{','.join(inside)}}}") == expected
    assert parse_series("{" + ", ".join([f'__name__="{name}"', *inside]) + "}") == expected
    assert parse_series("{" + ",".join([f'"{name}"', *inside]) + "}") == expected


needs_promtool = pytest.mark.skipif(not find_program("promtool"), reason="promtool is not installed")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A folder of two TSDB blocks."""
    lines = (f'load{{host="h{i % 2}"}} {0.1 * i!r} {T + 15 * i}.5\n' for i in range(1000))
    (tmp_path / "x.om").write_text("# TYPE load gauge\n" + "".join(lines) + "# EOF\n")
    command = [str(find_program("promtool")), "tsdb", "create-blocks-from", "openmetrics", "x.om", "data"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "data"


@needs_promtool
def test_tsdb_blocks(database: Path) -> None:
    before = sorted(database.rglob("*"))
    loaded = load(database)
    text = load(database.parent / "x.om")
    assert loaded.files[0].format == "tsdb"
    assert loaded.unit == "ms"
    assert loaded.dataset.fingerprint == text.dataset.fingerprint
    assert len(loaded.dataset) == 1000
    assert sorted(database.rglob("*")) == before, "nothing is written beside the user's data"
    block = next(path for path in database.iterdir() if (path / "meta.json").exists())
    assert 0 < len(load(block).dataset) < 1000


@needs_promtool
def test_samples_that_promtool_does_not_print_are_counted(database: Path) -> None:
    """Before version 3 it passes over native histograms; blocks count them among their samples."""
    meta = next(database.rglob("meta.json"))
    told = json.loads(meta.read_text())
    told["stats"]["numSamples"] += 5
    meta.write_text(json.dumps(told))
    unprinted = "samples of the blocks that promtool did not print, as native histograms before its version 3: 5"
    assert unprinted in load(database).files[0].words
    assert not any("did not print" in word for word in load(database, start=T + 15).files[0].words)


@needs_promtool
def test_blocks_say_what_they_are(database: Path) -> None:
    loaded = load(database)
    assert sum(one.samples for one in loaded.files[0].blocks) == 1000
    assert loaded.described["blocks"] == loaded.files[0].blocks
    assert all(one.samples_bytes > 0 and one.index_bytes > 0 and one.start < one.stop for one in loaded.files[0].blocks)


@needs_promtool
def test_a_span_of_tsdb_blocks(database: Path) -> None:
    loaded = load(database, start=T + 15, stop=T + 46)
    assert loaded.dataset.timestamps.tolist() == [(T + 30) * 1000 + 500, (T + 15) * 1000 + 500, (T + 45) * 1000 + 500]
    assert len(load(database, limit=10).dataset) == 10


def test_the_folder_of_a_young_server_has_only_a_log(tmp_path: Path) -> None:
    (tmp_path / "wal").mkdir()
    assert Tsdb().recognises(Source(tmp_path))
    assert not Tsdb().recognises(Source(tmp_path / "wal"))


def test_a_tsdb_without_promtool_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("index", "chunks"):
        (tmp_path / name).mkdir()
    (tmp_path / "meta.json").write_text('{"ulid": "01M7W76Z7APSBN9644E65FS03E"}')
    monkeypatch.setattr("squeezelab.readers.tsdb.find_program", lambda name: None)
    with pytest.raises(
        DataSourceError, match=r"promtool, which is not there: install .* squeezelab engines get prometheus$"
    ):
        load(tmp_path)


@needs_promtool
def test_a_damaged_tsdb_is_an_error(database: Path) -> None:
    for index in database.rglob("index"):
        index.write_bytes(index.read_bytes()[:20])
    with pytest.raises(DataSourceError, match="promtool cannot read it"):
        load(database)


# Influx


INFLUX = f"""# a word
cpu,host=a,region=eu\\ west user=1.5,n=2i,up=t,msg="a,b=c \\" d" {T}000000000
cpu,host=a,region=eu\\ west user=2.5 {T + 15}000000000
mem value=3u {T}000000000
plain,host=b x=1,y=2 {T}000000000
bad line
cpu,host=a user=1
cpu,host=a user=1x {T}000000000
"""


def test_influx_line_protocol(read: Callable[..., Loaded]) -> None:
    loaded = read(INFLUX)
    assert loaded.files[0].format == "influx"
    assert loaded.unit == "s", "all of the nanoseconds are whole seconds"
    assert as_dict(loaded) == {
        'cpu_user{host="a",region="eu west"}': [(T, 1.5), (T + 15, 2.5)],
        'cpu_n{host="a",region="eu west"}': [(T, 2)],
        'cpu_up{host="a",region="eu west"}': [(T, 1)],
        "mem{}": [(T, 3)],
        'plain_x{host="b"}': [(T, 1)],
        'plain_y{host="b"}': [(T, 2)],
    }
    assert loaded.files[0].rejections == [
        (6, "'bad line' is no point"),
        (7, "it has no timestamp"),
        (8, "'1x' in 'cpu_user' is no number"),
    ]
    assert loaded.files[0].words == ["field 'msg' was left out: it holds text, such as 'a,b=c \\\\\" d'"]


def test_influx_precision(read: Callable[..., Loaded]) -> None:
    assert read(f"a b=1 {T}000000001\n").unit == "ns"
    assert read(f"a b=1 {T}001\n").unit == "ms"
    assert read("a b=1 5\n", time_unit="ns").unit == "ns"


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\\\n\r"), min_size=1, max_size=8)


@given(measurement=NAME, field=NAME.filter(lambda name: name != "value"), tags=st.dictionaries(NAME, NAME, max_size=3))
def test_any_tag_comes_back(measurement: str, field: str, tags: dict[str, str]) -> None:
    def escape(text: str, special: str) -> str:
        return "".join("\\" + letter if letter in special else letter for letter in text)

    pairs = (f",{escape(name, ',= ')}={escape(value, ',= ')}" for name, value in tags.items())
    key = parse_key(escape(measurement, ", ") + "".join(pairs), escape(field, ",= "))
    assert key == SeriesKey(f"{measurement}_{field}", tags)


# NDJSON


def test_the_labs_own_records(read: Callable[..., Loaded], small: MetricDataset, tmp_path: Path) -> None:
    get_format("ndjson").write(small, tmp_path / "x")
    loaded = load(tmp_path / "x")
    assert loaded.dataset.fingerprint == small.fingerprint
    assert (loaded.files[0].format, loaded.unit, loaded.files[0].rows) == ("ndjson", "s", len(small))
    get_format("ndjson+zstd").write(small, tmp_path / "y")
    assert load(tmp_path / "y").dataset.fingerprint == small.fingerprint


def test_bad_records_are_named_by_line(read: Callable[..., Loaded]) -> None:
    good = '{"metric_name": "a", "labels": {"h": "1"}, "timestamp": %d, "value": 1.5}'
    lines = [good % T, "xx", good % (T + 15), "", '{"metric_name": "a", "labels": {}, "value": 2}', good % (T + 30)]
    loaded = read("\n".join(lines) + "\n")
    assert as_dict(loaded) == {'a{h="1"}': [(T, 1.5), (T + 15, 1.5), (T + 30, 1.5)]}
    assert [row for row, _ in loaded.files[0].rejections] == [2, 5]
    assert (loaded.files[0].rows, loaded.rejected) == (5, 2)


def test_any_flat_records(read: Callable[..., Loaded]) -> None:
    lines = [f'{{"time": "2023-11-14T22:13:{20 + i}Z", "cpu": {i}.5, "mem": {{"free": {i}}}}}' for i in range(3)]
    assert as_dict(read("\n".join(lines))) == {
        "cpu{}": [(T + i, i + 0.5) for i in range(3)],
        "mem.free{}": [(T + i, i) for i in range(3)],
    }


def test_nans_of_the_labs_own_records_keep_their_bits(read: Callable[..., Loaded]) -> None:
    line = '{"metric_name": "a", "labels": {}, "timestamp": %d, "value": NaN, "value_bits": "fff8000000000001"}\n'
    assert read(line % T).dataset.values.view(np.uint64)[0] == 0xFFF8000000000001


@pytest.mark.parametrize(
    "odd",
    ["", '{"time": 9, "labels": {"new": "x"}, "cpu": 1}', '{"time": 9, "cpu": "1"}', '{"time": 9, "cpu": 1.5}', "x"],
)
def test_records_are_read_alike_at_once_and_one_by_one(
    read: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    lines = [f'{{"time": {T + i}, "labels": {{"h": "{i % 3}"}}, "cpu": {i}.5, "up": true, "n": {i}}}' for i in range(9)]
    text = "\n".join([*lines[:5], odd, *lines[5:], ""])
    at_once = read(text)
    monkeypatch.setattr("squeezelab.readers._json_lines.Shape.read", lambda self, text, count: None)
    one_by_one = read(text)
    assert as_dict(at_once) == as_dict(one_by_one)
    assert at_once.files == one_by_one.files


def test_integers_of_records_that_no_double_holds_are_counted(read: Callable[..., Loaded]) -> None:
    loaded = read(f'{{"time": {T}, "a": 0.5}}\n{{"time": {T + 1}, "a": {2**53 + 1}}}\n')
    assert "column 'a': integers beyond 2^53, each became the nearest double: 1" in loaded.files[0].words


def test_lines_as_victoriametrics_exports_them(read: Callable[..., Loaded]) -> None:
    line = '{"metric":{"__name__":"up","job":"x"},"values":[1,0.5],"timestamps":[' + f"{T}000,{T + 15}000]}}\n"
    assert as_dict(read(line)) == {'up{job="x"}': [(T, 1), (T + 15, 0.5)]}


def test_a_json_array_of_records(read: Callable[..., Loaded]) -> None:
    loaded = read(f'[{{"time": {T}, "cpu": 1}},\n {{"time": {T + 15}, "cpu": 2}}, 5]')
    assert (loaded.files[0].format, as_dict(loaded)) == ("json", {"cpu{}": [(T, 1), (T + 15, 2)]})
    assert loaded.files[0].rejections == [(3, "it is no object")]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_prometheus_answer(read: Callable[..., Loaded], indent: int | None) -> None:
    up = {"__name__": "up", "job": "x"}
    series = [
        {"metric": up, "values": [[T, "1"], [T + 15.5, "NaN"]]},
        {"metric": {}, "values": [[T, "2"]], "histograms": [[T, {"count": "5"}]] * 3},
    ]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    loaded = read(json.dumps(answer, indent=indent))
    assert loaded.unit == "ms"
    assert [str(key) for key in loaded.dataset.keys] == ['up{job="x"}', "value{}"]
    assert loaded.dataset.timestamps.tolist() == [1000 * T, 1000 * T + 15500, 1000 * T]
    assert "native histograms: 3 samples were left out, for only numbers are measured" in loaded.files[0].words
    vector = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": up, "value": [T, "1"]}]}}
    assert as_dict(read(json.dumps(vector))) == {'up{job="x"}': [(T, 1)]}


def test_an_answer_that_is_an_error(read: Callable[..., Loaded]) -> None:
    with pytest.raises(DataSourceError, match="an answer without data: parse error"):
        read('{"status":"error","errorType":"bad_data","error":"parse error", "data": null}')


# Numbers of all


@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_values_come_back_bit_for_bit(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lines")
    moments = np.arange(len(values)) * 15 + T
    expected = MetricDataset.from_series([Series(SeriesKey("a_b", {"h": "1"}), moments, np.array(values))])
    pairs = list(zip(values, moments.tolist(), strict=True))
    (folder / "p").write_text("".join(f'a_b{{h="1"}} {value!r} {moment}000\n' for value, moment in pairs))
    assert load(folder / "p").dataset.fingerprint == expected.fingerprint
    finite = all(np.isfinite(values))
    if finite:  # line protocol has no infinities
        (folder / "i").write_text("".join(f"a,h=1 b={value!r} {moment}000000000\n" for value, moment in pairs))
        assert load(folder / "i").dataset.fingerprint == expected.fingerprint
