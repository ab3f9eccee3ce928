"""Annotated CSV, as InfluxDB's documents show it, and what else its tools answer with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from squeezelab.errors import DataSourceError
from squeezelab.readers import Loaded, _sources, load

T = 1_704_067_200
ANNOTATIONS = """\
#group,false,false,true,true,false,false,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,{kind},string,string,string
#default,{default},,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,{label}
"""
SPAN = "2024-01-01T00:00:00Z,2024-01-02T00:00:00Z"
ROW = f",,{{table}},{SPAN},2024-01-01T00:00:{{second:02}}Z,{{value}},{{field}},{{measurement}},{{cell}}\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded]:
    def write_and_load(content: str, **options: object) -> Loaded:
        (tmp_path / "answer.csv").write_text(content)
        return load(tmp_path / "answer.csv", **options)  # type: ignore[arg-type]

    return write_and_load


def as_dict(loaded: Loaded) -> dict[str, list[tuple[int, float]]]:
    return {str(key): list(zip(t.tolist(), v.tolist(), strict=True)) for key, t, v in loaded.dataset}


def table(kind: str, label: str, *rows: tuple[int, int, object, str, str, str], default: str = "_result") -> str:
    names = ("table", "second", "value", "field", "measurement", "cell")
    text = "".join(ROW.format(**dict(zip(names, row, strict=True))) for row in rows)
    return ANNOTATIONS.format(kind=kind, label=label, default=default) + text


TWO_TABLES = "\n".join(
    [
        table(
            "double",
            "host",
            (0, 0, 0.5, "usage", "cpu", "a"),
            (0, 15, 0.25, "usage", "cpu", "a"),
            (1, 0, 7.0, "value", "load", "b c"),
        ),
        table("long", "disk", (2, 0, 12, "free", "disk", "sda")),
    ]
)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_with_labels_of_their_own(read: Callable[..., Loaded], newline: str) -> None:
    loaded = read(TWO_TABLES.replace("\n", newline))
    assert loaded.files[0].format == "influx-csv"
    assert (loaded.files[0].rows, loaded.rejected) == (4, 0)
    assert as_dict(loaded) == {
        'cpu_usage{host="a"}': [(T, 0.5), (T + 15, 0.25)],
        'load{host="b c"}': [(T, 7)],
        'disk_free{disk="sda"}': [(T, 12)],
    }


def test_pieces_may_end_anywhere(read: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = as_dict(read(TWO_TABLES))
    for size in range(1, 700, 23):
        monkeypatch.setattr(_sources, "PIECE_BYTES", size)
        assert as_dict(read(TWO_TABLES)) == whole


def test_a_table_without_annotations(read: Callable[..., Loaded]) -> None:
    bare = "\n".join(line for line in TWO_TABLES.split("\n") if not line.startswith("#"))
    assert as_dict(read(bare)) == as_dict(read(TWO_TABLES))


def test_defaults_stand_for_empty_cells(read: Callable[..., Loaded]) -> None:
    lines = table("double", "host", (0, 0, 1.5, "usage", "cpu", "")).splitlines()
    lines[2] = "#default,_result,,,,,,,,elsewhere"
    assert as_dict(read("\n".join(lines))) == {'cpu_usage{host="elsewhere"}': [(T, 1.5)]}


def test_pivoted_fields_are_columns(read: Callable[..., Loaded]) -> None:
    content = (
        "#group,false,false,false,true,true,false,false,false\n"
        "#datatype,string,long,dateTime:RFC3339,string,string,double,long,string\n#default,_result,,,,,,,\n"
        ",result,table,_time,_measurement,host,usage,count,note\n"
        ",,0,2024-01-01T00:00:00.5Z,cpu,a,0.5,3,fine\n,,0,2024-01-01T00:00:01Z,cpu,a,,4,fine\n"
    )
    assert as_dict(read(content)) == {
        'cpu_usage{host="a"}': [(1000 * T + 500, 0.5)],
        'cpu_count{host="a"}': [(1000 * T + 500, 3), (1000 * T + 1000, 4)],
    }


def test_texts_and_truths(read: Callable[..., Loaded]) -> None:
    texts = table("string", "host", (0, 0, "fine", "state", "cpu", "a"))
    truths = table("boolean", "host", (1, 0, "true", "up", "cpu", "a"), (1, 1, "false", "up", "cpu", "a"))
    loaded = read(texts + "\n" + truths)
    assert as_dict(loaded) == {'cpu_up{host="a"}': [(T, 1), (T + 1, 0)]}
    assert "texts in '_value' were left out, such as 'fine'" in str(loaded)


def test_bad_cells_are_named_by_line(read: Callable[..., Loaded]) -> None:
    loaded = read(TWO_TABLES.replace("0.25", "much").replace("00:00:00Z,12", "soon,12"))
    assert loaded.files[0].rejections == [
        (6, "'much' in '_value' is no number"),
        (13, "'2024-01-01Tsoon' in '_time' is no time"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("error,reference\nbucket not found,897\n", "is an answer without data: bucket not found"),
        (TWO_TABLES.replace("_time", "_stamp"), "nothing could be read of .* rows without _time were left out"),
        (ANNOTATIONS.format(kind="double", label="host", default=""), "nothing could be read"),
    ],
)
def test_answers_without_samples(read: Callable[..., Loaded], content: str, message: str) -> None:
    with pytest.raises(DataSourceError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_many_rows_come_back(read: Callable[..., Loaded]) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    content = table(
        "double", "host", *((0, i, repr(float(value)), "usage", "cpu", "a") for i, value in enumerate(values))
    )
    assert read(content).dataset.values.tolist() == values.tolist()


def test_a_field_may_be_called_error(read: Callable[..., Loaded]) -> None:
    loaded = read(
        "#datatype,string,long,dateTime:RFC3339,string,double\n#group,false,false,false,true,false\n"
        "#default,_result,,,,\n,result,table,_time,_measurement,error\n,,0,2024-01-01T00:00:00Z,m,1.5\n"
    )
    assert as_dict(loaded) == {"m_error{}": [(T, 1.5)]}


def test_integers_that_no_double_holds_are_kept(read: Callable[..., Loaded]) -> None:
    (series,) = read(table("long", "host", (0, 0, 2**53 + 1, "free", "disk", "a"))).dataset
    assert series.values.tolist() == [2**53 + 1]
