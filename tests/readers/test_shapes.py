"""Files as people have them: tables under a title, dates with months, blanks between cells, JSON of other servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from squeezelab.errors import DataSourceError
from squeezelab.readers import Loaded, load

T = 1_704_067_200
SAMPLES = {"cpu{}": [(T, 0.5), (T + 60, 1.5)]}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded]:
    def write_and_load(content: str, name: str = "metrics.csv", **options: object) -> Loaded:
        (tmp_path / name).write_text(content)
        return load(tmp_path / name, **options)  # type: ignore[arg-type]

    return write_and_load


def as_dict(loaded: Loaded) -> dict[str, list[tuple[int, float]]]:
    return {str(key): list(zip(t.tolist(), v.tolist(), strict=True)) for key, t, v in loaded.dataset}


@pytest.mark.parametrize(
    "cells",
    [
        ("01.01.2024 00:00", "01.01.2024 00:01"),
        ("1.1.2024 00:00:00", "1.1.2024 00:01:00"),
        ("01-Jan-2024 00:00", "01-Jan-2024 00:01"),
        ("01/Jan/2024:00:00:00 +0000", "01/Jan/2024:00:01:00 +0000"),
        ('"Mon, 01 Jan 2024 00:00:00 GMT"', '"Mon, 01 Jan 2024 00:01:00 GMT"'),
        ('"January 1, 2024 12:00 AM"', '"January 1, 2024 12:01 AM"'),
        ("Mon Jan  1 00:00:00 2024", "Mon Jan  1 00:01:00 UTC 2024"),
        ("2024/1/1 0:00", "2024/1/1 0:01"),
    ],
)
def test_dates_as_programs_write_them(read: Callable[..., Loaded], cells: tuple[str, str]) -> None:
    assert as_dict(read(f"when,cpu\n{cells[0]},0.5\n{cells[1]},1.5\n")) == SAMPLES


def test_days_of_excel_with_few_decimals_are_whole_seconds(read: Callable[..., Loaded]) -> None:
    days = [45292 + i / 96 for i in range(97)]
    for digits in (5, 6, 9):
        loaded = read("Date,power\n" + "".join(f"{day:.{digits}f},{i}\n" for i, day in enumerate(days)))
        assert (loaded.unit, loaded.dataset.timestamps.tolist()) == ("s", [T + 900 * i for i in range(97)])


def test_lines_before_the_table_are_passed_over(read: Callable[..., Loaded]) -> None:
    rows = "Time;cpu;mem\n2024-01-01 00:00;0,5;1\n2024-01-01 00:01;1,5;2\n"
    loaded = read(f"Usage of all hosts\nMade by: a tool, version 3\n\n{rows}")
    assert as_dict(loaded)["cpu{}"] == SAMPLES["cpu{}"]
    assert "lines before the table were passed over: 2" in str(loaded)
    assert "passed over" not in str(read(rows))


@pytest.mark.parametrize(
    "content",
    [
        f"time cpu\n{T} 0.5\n{T + 60} 1.5\n",
        f"# time   cpu\n  {T}   0.5\n  {T + 60}   1.5\n",
        "time      clock     cpu\n2024-01-01 00:00:00  0.5\n2024-01-01 00:01:00  1.5\n",
    ],
)
def test_cells_may_stand_between_blanks(read: Callable[..., Loaded], content: str) -> None:
    assert as_dict(read(content)) == SAMPLES


@pytest.mark.parametrize(
    "content",
    [
        f"time,cpu\n1,{T},0.5\n2,{T + 60},1.5\n",  # numbers of rows, as R writes them
        f"time,cpu\n{T},0.5,\n{T + 60},1.5,\n",  # rows end with a comma
    ],
)
def test_a_header_may_lack_a_cell(read: Callable[..., Loaded], content: str) -> None:
    assert as_dict(read(content)) == SAMPLES


def test_labels_of_grafana_may_have_no_quotes(read: Callable[..., Loaded]) -> None:
    assert as_dict(read(f'Series;Time;Value\n"cpu{{host=a, core=""1""}}";{T};0.5\n')) == {
        'cpu{core="1",host="a"}': [(T, 0.5)]
    }


ROWS = [[T, 0.5], [T + 60, 1.5]]
INFLUX = {
    "name": "cpu",
    "tags": {"host": "a"},
    "columns": ["time", "usage", "value"],
    "values": [[T, 1, 0.5], [T + 60, 2, None]],
}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ([["time", "cpu"], *ROWS], SAMPLES),
        ({"columns": ["time", "cpu"], "index": [0, 1], "data": ROWS}, SAMPLES),
        ({"time": [row[0] for row in ROWS], "cpu": [row[1] for row in ROWS]}, SAMPLES),
        (
            {"results": [{"statement_id": 0, "series": [INFLUX]}]},
            {'cpu_usage{host="a"}': [(T, 1), (T + 60, 2)], 'cpu{host="a"}': [(T, 0.5)]},
        ),
        (
            [
                {"target": "a.b", "datapoints": [[0.5, T], [None, T + 60]]},
                {"target": "c", "tags": {"name": "c", "x": "y"}, "datapoints": [[1, T]]},
            ],
            {"a.b{}": [(T, 0.5)], 'c{x="y"}': [(T, 1)]},
        ),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_documents_of_other_shapes(
    read: Callable[..., Loaded], document: Any, found: dict[str, Any], indent: int | None
) -> None:
    assert as_dict(read(json.dumps(document, indent=indent), "answer.json")) == found


def test_an_answer_of_influxdb_that_is_an_error(read: Callable[..., Loaded]) -> None:
    with pytest.raises(DataSourceError, match="is an answer without data: database not found"):
        read('{"results": [{"statement_id": 0, "error": "database not found"}]}', "answer.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(99), "is a ZIP archive, as Excel's workbooks are: save a sheet as CSV"),
        (b"SQLite format 3\0" + bytes(99), "is an SQLite database: export its table as CSV"),
        (b"BZh91AY&SY" + bytes(99), "is compressed with bzip2: unpack it first"),
        (b'time,"cpu\nload",note\n1704067200,1,x\n1704067260,2,y\n', "a name in its header has a line break"),
    ],
)
def test_files_of_other_kinds_say_what_to_do(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataSourceError, match=message):
        load(tmp_path / "x.csv")


def test_a_zone_that_is_not_understood_is_no_utc(read: Callable[..., Loaded]) -> None:
    """EST is Eastern time in America, and Australia's: taken for UTC, all would be hours off."""
    with pytest.raises(DataSourceError, match="no time column"):
        read("time,cpu\nMon Jul  1 12:00:00 EDT 2024,1\nMon Jul  1 12:00:15 EDT 2024,2\n")


@pytest.mark.parametrize("cell", ["a\nb", "a\n\nb", "a\r\nb"])
def test_a_cell_may_hold_line_breaks(read: Callable[..., Loaded], cell: str) -> None:
    rows = "".join(f'{T + 60 * i},"{cell}",{i + 0.5}\n' for i in range(2))
    (series,) = read(f"time,host,cpu\n{rows}").dataset
    assert series.key.labels["host"].replace("\r", "") == cell.replace("\r", "")
    assert series.values.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("title", ["CPU report\n", "CPU report\nof 2024\n"])
def test_a_title_above_two_columns_is_no_header(read: Callable[..., Loaded], title: str) -> None:
    rows = "".join(f"{T + 60 * i},{i + 0.5}\n" for i in range(2))
    assert as_dict(read(f"{title}time,cpu\n{rows}")) == SAMPLES


def test_results_of_a_page_are_records(read: Callable[..., Loaded]) -> None:
    content = {"results": [{"time": T + 60 * i, "cpu": i + 0.5} for i in range(2)], "next": None}
    assert as_dict(read(json.dumps(content, indent=1), "page.json")) == SAMPLES
