"""CSV, Parquet, Arrow and Feather: wide and long tables, and what is wrong with some of their rows."""

import contextlib
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from columns import same_bits
from squeezelab.dataset import SeriesKey
from squeezelab.errors import DataSourceError, InvalidRequestError, SqueezelabError
from squeezelab.readers import Loaded, load

T = 1_700_000_000


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded]:
    def write_and_load(content: str | bytes, name: str = "metrics.csv", **options: object) -> Loaded:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load(path, **options)  # type: ignore[arg-type]

    return write_and_load


def as_dict(loaded: Loaded) -> dict[str, list[tuple[int, float]]]:
    return {str(key): list(zip(t.tolist(), v.tolist(), strict=True)) for key, t, v in loaded.dataset}


def test_a_wide_table(read: Callable[..., Loaded]) -> None:
    loaded = read(f"time,load-1m,mem\n{T},0.25,10\n{T + 15},,20\n{T + 30},0.5,30\n")
    assert as_dict(loaded) == {
        "load-1m{}": [(T, 0.25), (T + 30, 0.5)],
        "mem{}": [(T, 10), (T + 15, 20), (T + 30, 30)],
    }
    assert (loaded.files[0].shape, loaded.files[0].format, loaded.files[0].rows) == ("wide", "csv", 3)
    assert loaded.rejected == 0


@pytest.mark.parametrize(
    ("labels", "header"),
    [
        ('"{""host"": ""a""}"', "timestamp,name,labels,value"),
        ('"{host=""a""}"', "ts,metric_name,tags,value"),
        ("host=a", "value_time,metric,labels,value"),
        ("a", "time,name,host,value"),
    ],
)
def test_a_long_table(read: Callable[..., Loaded], labels: str, header: str) -> None:
    loaded = read(f"{header}\n{T},cpu,{labels},1\n{T},mem,{labels},2\n{T + 15},cpu,{labels},3\n")
    assert as_dict(loaded) == {'cpu{host="a"}': [(T, 1), (T + 15, 3)], 'mem{host="a"}': [(T, 2)]}
    assert loaded.files[0].shape == "long"


@given(
    values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=30),
    more=st.lists(st.floats(allow_nan=False), min_size=30, max_size=30),
)
def test_text_comes_back_bit_for_bit(
    values: list[float], more: list[float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    rows = (f"{T + i},{a!r},{b!r}\n" for i, (a, b) in enumerate(zip(values, more, strict=False)))
    path.write_text("time,a,b\n" + "".join(rows))
    first, second = load(path).dataset
    assert same_bits(first.values, np.array(values))
    assert same_bits(second.values, np.array(more[: len(values)]))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiters_and_line_ends(read: Callable[..., Loaded], delimiter: str, newline: str) -> None:
    lines = ["time,a,b", f"{T},1,2", f"{T + 15},3,4", ""]
    loaded = read(newline.join(lines).replace(",", delimiter), "x.txt")
    assert as_dict(loaded) == {"a{}": [(T, 1), (T + 15, 3)], "b{}": [(T, 2), (T + 15, 4)]}


def test_what_stands_around_a_table_is_passed_over(read: Callable[..., Loaded]) -> None:
    loaded = read(f'\ufeff# made by hand, for once\n"time","a"\n\n"{T}","1"\n# a word\n{T + 15},2\n\n')
    assert as_dict(loaded) == {"a{}": [(T, 1), (T + 15, 2)]}
    assert (loaded.files[0].rows, loaded.rejected) == (2, 0)


def test_a_table_without_a_header(read: Callable[..., Loaded]) -> None:
    assert as_dict(read(f"{T},1.5\n{T + 15},2.5\n")) == {"column 2{}": [(T, 1.5), (T + 15, 2.5)]}


@pytest.mark.parametrize("names", [("50", "90", "99"), ("0", "1", "2"), ("nan", "inf", "1e5"), ("0.5", "x", "true")])
@pytest.mark.parametrize("time", ["time", "", "when it was"])
def test_headers_may_be_numbers(read: Callable[..., Loaded], time: str, names: tuple[str, ...]) -> None:
    loaded = read(f"{time},{','.join(names)}\n{T},1,2,3\n{T + 15},4,5,6\n")
    assert as_dict(loaded) == {f"{name}{{}}": [(T, i + 1), (T + 15, i + 4)] for i, name in enumerate(names)}


@pytest.mark.parametrize("cell", ["", "NA", "1", "nan"])
def test_a_first_row_of_a_moment_is_no_header(read: Callable[..., Loaded], cell: str) -> None:
    assert read(f"{T},{cell},2\n{T + 15},3,4\n").files[0].rows == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-8", "utf-8-sig"])
def test_encodings(read: Callable[..., Loaded], encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    loaded = read((mark + f"Zeit;Gerät;°C\n{T};Öfen;1,5\n{T + 15};Öfen;2,5\n").encode(encoding))
    assert as_dict(loaded) == {'°C{Gerät="Öfen"}': [(T, 1.5), (T + 15, 2.5)]}
    name = encoding[:6] if "8" not in encoding else ""
    assert loaded.files[0].words == ([f"its text was read as {name}"] if name else [])


def test_a_text_of_utf16_may_be_packed_and_end_within_a_sign(read: Callable[..., Loaded]) -> None:
    loaded = read(gzip.compress(f"time,a\n{T},1\n{T + 1},2\n{T + 2},3".encode("utf-16")[:-1]), "x.csv.gz")
    assert as_dict(loaded) == {"a{}": [(T, 1), (T + 1, 2)]}
    assert loaded.rejected == 1


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_first_line_may_tell_the_delimiter(read: Callable[..., Loaded], line: str) -> None:
    assert as_dict(read(f"{line}\nZeit;a,b\n{T};1,5\n{T + 15};2,5\n")) == {"a,b{}": [(T, 1.5), (T + 15, 2.5)]}
    assert as_dict(read(f"{line}\n{T};1,5\n{T + 15};2,5\n")) == {"column 2{}": [(T, 1.5), (T + 15, 2.5)]}


def test_a_date_and_a_time_of_day_are_joined(read: Callable[..., Loaded]) -> None:
    loaded = read("Datum;Uhrzeit;a\n14.11.2023;22:13:20;1\n14.11.2023;22:13:35;2\n")
    assert as_dict(loaded) == {"a{}": [(T, 1), (T + 15, 2)]}
    assert loaded.files[0].time == "column 'Datum' and 'Uhrzeit', dates, UTC"
    with pytest.raises(DataSourceError, match="'begin' and 'end' hold times of day"):
        read("date,begin,end,a\n2023-11-14,22:13,22:14,1\n2023-11-15,22:13,22:14,1\n")
    with pytest.raises(DataSourceError, match="'time' has times of day without a date"):
        read("time,a\n22:13:20,1\n22:13:35,2\n")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("Datum;a\n45292,5;1\n45293,75;2\n", {}),
        ("time,a\n45292.5,1\n45293.25,2\n", {}),
        ("day,a\n45292,1\n45293,2\n", {"time_column": "day"}),
        ("time,a\n45292,1\n45293,2\n", {"date_format": "excel"}),
    ],
)
def test_days_of_excel(read: Callable[..., Loaded], content: str, options: dict[str, str]) -> None:
    loaded = read(content, **options)
    assert loaded.dataset.timestamps[0] // 86400 == 1704067200 // 86400
    assert "Excel's days since 1899-12-30" in loaded.files[0].time


def test_seconds_that_are_no_days_of_excel(read: Callable[..., Loaded]) -> None:
    assert read("time,a\n45292,1\n45293,2\n", time_unit="s").dataset.timestamps.tolist() == [45292, 45293]
    assert read("time,a\n0,1\n45293,2\n").dataset.timestamps.tolist() == [0, 45293]


def test_local_times_across_the_change_to_winter_time(read: Callable[..., Loaded]) -> None:
    """The hour from two to three comes twice, and the order of rows tells which is which."""
    clocks = ["02:00", "02:30", "02:00", "02:30", "03:00"]
    content = "time,a\n" + "".join(f"2024-10-27 {clock},{i}\n" for i, clock in enumerate(clocks))
    loaded = read(content, timezone="Europe/Berlin")
    assert np.diff(loaded.dataset.timestamps).tolist() == [1800] * 4
    assert loaded.dataset.timestamps[-1] == 1729994400
    assert "times of the hour that comes twice, told apart by their order: 4" in loaded.files[0].words
    assert "dates fall back by an hour: if they are local times, give --timezone, as Europe/Berlin" in (
        read(content).files[0].words
    )


def test_the_hour_that_summer_time_leaves_out_is_rejected(read: Callable[..., Loaded]) -> None:
    content = "time,a\n2024-03-31 01:30,1\n2024-03-31 02:30,2\n2024-03-31 03:30,3\n"
    loaded = read(content, timezone="Europe/Berlin")
    assert loaded.dataset.timestamps.tolist() == [1711845000, 1711848600]
    assert loaded.rejected == 1
    with pytest.raises(InvalidRequestError, match="unknown time zone 'Mars'"):
        read(content, timezone="Mars")


def test_rows_without_times_have_an_interval(read: Callable[..., Loaded]) -> None:
    loaded = read("host,a\nx,1\ny,2\nx,3\n", interval="15s")
    assert as_dict(loaded) == {'a{host="x"}': [(0, 1), (15, 3)], 'a{host="y"}': [(0, 2)]}
    assert read("5\n7\n6\n", "x.csv", interval="250ms").dataset.timestamps.tolist() == [0, 250, 500]
    with pytest.raises(InvalidRequestError, match="'often' is no interval: give one as 15s"):
        read("a\n1\n", interval="often")


def test_numbers_as_grafana_exports_them(read: Callable[..., Loaded]) -> None:
    rows = [("12.5%", "1.50 KiB", "250 ms", "1.2 K"), ("7%", "2 MiB", "1.50 s", "950"), ("NA", "", "2 mins", "3 Mil")]
    lines = (f"2023-11-14 22:13:{20 + i}," + ",".join(row) for i, row in enumerate(rows))
    loaded = read('"Time","cpu","mem","lag","rate"\n' + "\n".join(lines) + "\n")
    assert {name: [value for _, value in pairs] for name, pairs in as_dict(loaded).items()} == {
        "cpu{}": [12.5, 7],
        "mem{}": [1536, 2 * 2**20],
        "lag{}": [0.25, 1.5, 120],
        "rate{}": [1200, 950, 3e6],
    }
    words = loaded.files[0].words
    assert "column 'cpu': cells of NA, null or the like, taken for none: 1" in words
    assert "column 'mem': cells with a unit, read in its base (bytes, seconds, ...): 2" in words


def test_groups_of_digits(read: Callable[..., Loaded]) -> None:
    assert as_dict(read(f'time,a\n{T},"1,234.5"\n{T + 1},"1,234,567"\n'))["a{}"] == [(T, 1234.5), (T + 1, 1234567)]
    assert as_dict(read(f"time;a\n{T};1.234,5\n{T + 1};1.234.567,25\n"))["a{}"] == [(T, 1234.5), (T + 1, 1234567.25)]
    doubtful = f"time;a\n{T};1,500\n{T + 1};2,250\n"
    assert as_dict(read(doubtful, decimal=","))["a{}"] == [(T, 1.5), (T + 1, 2.25)]
    assert as_dict(read(doubtful, decimal="."))["a{}"] == [(T, 1500), (T + 1, 2250)]


def test_integers_that_no_double_holds_are_counted(read: Callable[..., Loaded]) -> None:
    loaded = read(f"time,a\n{T},{2**53 + 1}\n{T + 1},{2**53}\n{T + 2},{2**60}\n{T + 3},{2**63 + 1}\n")
    assert "column 'a': integers beyond 2^53, each became the nearest double: 2" in loaded.files[0].words


@pytest.mark.parametrize(
    ("form", "cells"),
    [("%d.%m.%Y %H:%M", ("14.11.2023 22:13", "01.12.2023 22:13")), ("day-first", ("01/02/2024",) * 2)],
)
def test_formats_of_dates(read: Callable[..., Loaded], form: str, cells: tuple[str, str]) -> None:
    loaded = read(f"time,a\n{cells[0]},1\n{cells[1]},2\n", date_format=form)
    assert loaded.dataset.timestamps[0] == {"%": 1699999980, "d": 1706745600}[form[0]]
    with pytest.raises(InvalidRequestError, match="unknown date format 'whatever'"):
        read("time,a\n1,1\n", date_format="whatever")


def test_a_header_within_a_comment(read: Callable[..., Loaded]) -> None:
    assert as_dict(read(f"# made by numpy\n# time,a\n{T},1.5\n{T + 15},2.5\n")) == {"a{}": [(T, 1.5), (T + 15, 2.5)]}


def test_a_value_column_has_the_name_of_its_file(read: Callable[..., Loaded]) -> None:
    loaded = read("timestamp,value\n2014-04-10 00:04:00,91.958\n", "ec2_cpu.csv")
    assert as_dict(loaded) == {"ec2_cpu{}": [(1397088240, 91.958)]}


def test_bad_rows_are_counted_and_named_by_line(read: Callable[..., Loaded]) -> None:
    rows = [f"{T},1,2", "bad,1,2", f"{T + 30},x,2", "", f"{T + 60},1", ",1,2", f"{T + 90},5,6"]
    loaded = read("\n".join(["time,a,b", *rows]))
    assert as_dict(loaded) == {"a{}": [(T, 1), (T + 90, 5)], "b{}": [(T, 2), (T + 30, 2), (T + 90, 6)]}
    facts = loaded.files[0]
    assert facts.rejections == [
        (3, "'bad' in 'time' is no time"),
        (4, "'x' in 'a' is no number"),
        (6, f"2 cells in place of 3: '{T + 60},1'"),
        (7, "it has no time"),
    ]
    assert (facts.rows, facts.rejected) == (6, 4)
    assert "rejected line 4: 'x' in 'a' is no number" in str(loaded)


def test_only_the_first_rejections_are_told_one_by_one(read: Callable[..., Loaded]) -> None:
    loaded = read("time,a\n" + "".join(f"{T + i},{'x' if i % 3 == 0 else i}\n" for i in range(60)))
    assert loaded.rejected == 20
    assert [row for row, _ in loaded.files[0].rejections] == [2, 5, 8, 11, 14]
    assert "rejected 15 more" in str(loaded)


def test_lines_keep_their_numbers_beyond_the_first_piece(
    read: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squeezelab.readers._sources.PIECE_BYTES", 100)
    loaded = read("time,a\n" + "".join(f"{T + i},{'x' if i == 50 else i}\n" for i in range(100)))
    assert loaded.files[0].rejections == [(52, "'x' in 'a' is no number")]
    assert len(loaded.dataset) == 99


def test_a_line_that_is_no_utf8_is_rejected(read: Callable[..., Loaded]) -> None:
    loaded = read(b"time,a\n%d,1\n%d,\xff\xfe\n%d,3\n" % (T, T + 15, T + 30))
    assert [row for row, _ in loaded.files[0].rejections] == [3]
    assert len(loaded.dataset) == 2


def test_order_is_made_and_doubled_moments_are_kept(read: Callable[..., Loaded]) -> None:
    loaded = read(f"time,a\n{T + 15},1\n{T},2\n{T + 15},3\n")
    assert as_dict(loaded) == {"a{}": [(T, 2), (T + 15, 1), (T + 15, 3)]}
    assert "series were sorted by time; samples that came too late: 1" in loaded.words
    assert "samples with the time of another one of their series: 1, all kept" in loaded.words


def test_text_columns_are_labels_where_they_tell_rows_apart(read: Callable[..., Loaded]) -> None:
    rows = (f"{T + 15 * i},{who},{i},seen\n" for i in range(6) for who in ("left", "right"))
    loaded = read("time,side,cpu,state\n" + "".join(rows))
    assert [str(key) for key in loaded.dataset.keys] == [
        'cpu{side="left",state="seen"}',
        'cpu{side="right",state="seen"}',
    ]


def test_other_text_columns_are_left_out_with_a_word(read: Callable[..., Loaded]) -> None:
    loaded = read("time,state,cpu\n" + "".join(f"{T + i},{'ok' if i % 2 else 'bad'},{i}\n" for i in range(8)))
    assert [str(key) for key in loaded.dataset.keys] == ["cpu{}"]
    assert loaded.files[0].words == ["column 'state' was left out: it holds text, such as 'bad'"]


def test_a_name_that_two_columns_have_is_taken_once(read: Callable[..., Loaded]) -> None:
    loaded = read(f"time,a,a\n{T},1,2\n")
    assert as_dict(loaded) == {"a{}": [(T, 1)]}
    assert loaded.files[0].words == ["column 3 was left out: another one is called 'a'"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no rows"),
        ("time,a\n", "nothing could be read"),
        ("a,b\n1.5,2\n0.5,3\n", "no time column was found: give --time-column, one of 'a', 'b'"),
        ("time,a\nx,1\ny,2\n", "no time column was found"),
        (f"time,a\n{T},x\n", "no column holds numbers beside the time 'time'"),
        (f"time;a\n{T};1,500\n{T + 1};2,250\n", "'1,500' in 'a' may have decimals or a thousand: give --decimal"),
        ("date,a\n01/02/2024,1\n", "line 2: '01/02/2024' in 'date' may mean two days: give --date-format day-first"),
        (bytes(range(256)) * 4, "of no known format: give --input-format"),
        ("Zeit;a\n45292;1\n45293;2\n", "times such as 45292 may be Excel's days or seconds: give --date-format excel"),
    ],
)
def test_files_that_hold_nothing(read: Callable[..., Loaded], content: str | bytes, message: str) -> None:
    with pytest.raises(DataSourceError, match=message) as caught:
        read(content)
    assert "metrics.csv" in str(caught.value)


@pytest.mark.parametrize("header", ["date", "when it was"])
def test_days_before_months_are_found(read: Callable[..., Loaded], header: str) -> None:
    """Most days of a month are above 12: none of these is a date with the month first."""
    rows = "".join(f"{day}/03/2024 10:00,{day}\n" for day in range(1, 32))
    loaded = read(f"{header},a\n{rows}")
    assert as_dict(loaded)["a{}"][0] == (1709287200, 1.0)
    assert len(loaded.dataset) == 31


@pytest.mark.parametrize("other", [1000 * T, 10**6 * T, 0, -1])
def test_moments_that_cannot_be_of_one_unit_are_told(read: Callable[..., Loaded], other: int) -> None:
    assert "not all of these are times of our days" in str(read(f"time,a\n{T},1\n{other},2\n"))


def test_three_units_are_told_as_well(read: Callable[..., Loaded]) -> None:
    rows = "".join(f"{scale * T + i},1\n" for i in range(10) for scale in (1, 1000, 10**6))
    assert "not all of these are times of our days" in str(read(f"time,a\n{rows}"))


@pytest.mark.parametrize("times", [(T, T + 10**8), (-5, 5)])
def test_moments_of_one_unit_need_no_word(read: Callable[..., Loaded], times: tuple[int, int]) -> None:
    assert "times of our days" not in str(read(f"time,a\n{times[0]},1\n{times[1]},2\n"))


def test_a_time_column_can_be_named(read: Callable[..., Loaded]) -> None:
    content = f"time,other,a\n{T},{T + 1},1\n"
    assert as_dict(read(content, time_column="other"))["a{}"] == [(T + 1, 1)]
    assert as_dict(read("tick,a\n5,1\n6,2\n", time_column="tick"))["a{}"] == [(5, 1), (6, 2)]
    with pytest.raises(DataSourceError, match="has no column 'when': it has 'time', 'other', 'a'"):
        read(content, time_column="when")


TABLE = pa.table(
    {
        "when": pa.array([T * 1000 + 5, T * 1000 + 15005, None], pa.timestamp("ms")),
        "a": [0.1, None, 3.0],
        "up": [True, False, True],
        "host": pa.array(["x", "x", "x"]).dictionary_encode(),
        "list": [[1], [2], [3]],
        "huge": pa.array([2**53 + 1, 1, 2]),
    }
)
TYPED = {
    'a{host="x"}': [(T * 1000 + 5, 0.1)],
    'up{host="x"}': [(T * 1000 + 5, 1), (T * 1000 + 15005, 0)],
    'huge{host="x"}': [(T * 1000 + 5, 2**53 + 1), (T * 1000 + 15005, 1)],
}


def write_stream(table: pa.Table, path: str) -> None:
    with ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.parquet", parquet.write_table),
        ("x.feather", feather.write_feather),
        ("x.feather", lambda table, path: feather.write_feather(table, path, compression="zstd")),
        ("x.arrows", write_stream),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_typed_tables(name: str, write: Callable[[pa.Table, str], None], packed: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(TABLE, str(path))
    if packed:
        pack = gzip.compress if packed == ".gz" else zstandard.compress
        path = path.with_name(name + packed)
        path.write_bytes(pack((tmp_path / name).read_bytes()))
    loaded = load(path)
    assert as_dict(loaded) == TYPED
    assert loaded.unit == "ms"
    facts = loaded.files[0]
    assert facts.rejections == [(3, "it has no time")]
    assert "rejected row 3: it has no time" in str(loaded)
    assert facts.words == [
        "column 'list' was left out: it holds no numbers",
        "column 'a': cells of NA, null or the like, taken for none: 1",
    ]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataSourceError, match="is no whole"):
        load(path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_a_long_typed_table(kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.table(
        {
            "timestamp": [T, T + 15, T],
            "metric_name": pa.array(["cpu", "cpu", "mem"]).cast(kind),
            "labels": [{"host": "a", "core": "0"}] * 3,
            "value": [1.0, 2.0, 3.0],
        }
    )
    parquet.write_table(table, tmp_path / "x")
    loaded = load(tmp_path / "x")
    assert list(loaded.dataset.keys) == [SeriesKey(name, {"host": "a", "core": "0"}) for name in ("cpu", "mem")]
    assert loaded.files[0].shape == "long"


def test_a_pandas_frame_with_a_date_index(tmp_path: Path) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-01", periods=3, freq="15s")
    pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=index).to_parquet(tmp_path / "x.parquet")
    loaded = load(tmp_path / "x.parquet")
    assert as_dict(loaded) == {"a{}": [(1704067200 + 15 * i, i + 1) for i in range(3)]}


def test_a_typed_column_without_any_value(tmp_path: Path) -> None:
    """What pandas writes for a column of None, which has a type of its own."""
    table = pa.table({"time": [1_700_000_000, 1_700_000_015], "a": [1.0, 2.0], "unused": pa.nulls(2)})
    parquet.write_table(table, tmp_path / "x.parquet")
    assert [str(key) for key in load(tmp_path / "x.parquet").dataset.keys] == ["a{}"]


def test_labels_in_a_map_or_json(tmp_path: Path) -> None:
    labels = pa.array([[("host", "a")], [("host", "b")]], pa.map_(pa.string(), pa.string()))
    parquet.write_table(
        pa.table({"time": [T, T], "name": ["x", "x"], "labels": labels, "value": [1, 2]}), tmp_path / "x"
    )
    assert [key.labels["host"] for key in load(tmp_path / "x").dataset.keys] == ["a", "b"]


def test_a_crash_of_the_library_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet.write_table(TABLE, tmp_path / "x.parquet")
    crash = "import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("squeezelab.readers.arrow.COMMAND", [sys.executable, "-c", crash])
    monkeypatch.setattr("squeezelab.readers.arrow._Child.idle", [])
    with pytest.raises(DataSourceError, match=r"x\.parquet is damaged: Arrow crashed on it with SIGSEGV"):
        load(tmp_path / "x.parquet")


def test_offsets_that_lead_outside_are_found(tmp_path: Path) -> None:
    """Arrow checks them only when asked to; what they lead to may be no memory of the process."""
    offsets = pa.py_buffer(np.array([0, 2**30, 2], np.int32))
    hosts = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"ab")])
    batch = pa.record_batch([pa.array([T, T + 1]), pa.array([1.0, 2.0]), hosts], ["time", "a", "host"])
    with ipc.new_file(str(tmp_path / "x.arrow"), batch.schema) as file:
        file.write_batch(batch)
    with pytest.raises(DataSourceError, match="is no whole Arrow file"):
        load(tmp_path / "x.arrow")


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_damage_anywhere_is_one_line(name: str, tmp_path: Path) -> None:
    write = parquet.write_table if name == "x.parquet" else feather.write_feather
    write(TABLE.select(["when", "a", "host"]), str(tmp_path / name))
    whole = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 4).tolist():
            damaged[at] ^= int(rng.integers(1, 256))
        (tmp_path / name).write_bytes(damaged)
        with contextlib.suppress(SqueezelabError):
            str(load(tmp_path / name))


@pytest.mark.parametrize("cell", ["1e999999999999", "1" * 400, "1e99999999 KiB", "1,5e9999999999", "9" * 5000, "\x00"])
@pytest.mark.parametrize("column", ["time", "a"])
def test_numbers_beyond_all_bounds_are_one_line(read: Callable[..., Loaded], cell: str, column: str) -> None:
    row = {"time": str(T), "a": "1"} | {column: cell}
    with contextlib.suppress(SqueezelabError):
        str(read("time;a\n" + f"{row['time']};{row['a']}\n" * 3 + f"{T + 1};2\n"))
