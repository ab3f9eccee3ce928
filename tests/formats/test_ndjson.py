"""NDJSON against the standard library's ``json``: the text it makes, and the text that it takes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columns import float64_columns, int64_columns
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, SqueezelabError
from squeezelab.formats import ndjson
from squeezelab.formats.ndjson import Ndjson, ndjson_bytes

DEFAULT_NAN = 0x7FF8000000000000
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    [
        "",
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "12",
        "1.5",
        "null",
        "true",
        '"',
        "\n",
        "\0",
        "\\",
        "\U0001f600",
        "value",
    ]
)
KEYS = st.builds(SeriesKey, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3))


@st.composite
def series(draw: st.DrawFn, key: SeriesKey) -> Series:
    timestamps, values = draw(int64_columns().filter(len)), draw(float64_columns().filter(len))
    count = min(len(timestamps), len(values))
    return Series(key, timestamps[:count], values[:count])


def datasets() -> st.SearchStrategy[MetricDataset]:
    all_series = st.lists(KEYS, max_size=4, unique=True).flatmap(lambda keys: st.tuples(*map(series, keys)))
    return all_series.map(MetricDataset.from_series)


def text(dataset: MetricDataset) -> str:
    """Write the file the slow way."""
    lines = []
    for record, bits in zip(dataset.records(), dataset.values.view(np.uint64).tolist(), strict=True):
        hidden = np.isnan(record["value"]) and bits != DEFAULT_NAN
        lines.append(json.dumps(record | {"value_bits": f"{bits:016x}"} if hidden else record) + "\n")
    return "".join(lines)


def samples(dataset: MetricDataset) -> list[tuple[str, dict[str, str], list[tuple[int, float]]]]:
    """Return a data set as plain objects that can be compared."""
    return [
        (key.metric_name, dict(key.labels), list(zip(timestamps.tolist(), values.tolist(), strict=True)))
        for key, timestamps, values in dataset
    ]


def line(timestamp: int = 1, value: object = 1.5, name: str = "a", **labels: object) -> bytes:
    record = {"metric_name": name, "labels": labels, "timestamp": timestamp, "value": value}
    return json.dumps(record).encode() + b"\n"


@pytest.fixture(params=[(2**22, 2**20), (300, 200), (1, 1)], ids=["whole", "pieces", "single lines"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.formats._records.CHUNK_BYTES", request.param[0])
    monkeypatch.setattr(ndjson, "_PIECE_BYTES", request.param[1])


MIXED = MetricDataset.from_series(
    [
        Series(
            SeriesKey('a"\n\U0001f600', {"host": "2020-01-01", "x": ""}), np.arange(4), np.array([0.1, -0.0, 1e22, 3])
        ),
        Series(SeriesKey("b", {}), np.array([2**63 - 1, -(2**63)]), np.array([np.nan, -np.inf])),
        Series(SeriesKey("c", {"host": "12", "zone\\": "null"}), np.arange(9), np.arange(9) / 8),
    ]
)


@given(datasets())
def test_the_file_is_what_json_makes_of_the_records(dataset: MetricDataset) -> None:
    assert Ndjson().encode(dataset).decode() == text(dataset)
    assert ndjson_bytes(dataset) == len(text(dataset))


@given(datasets())
def test_every_bit_comes_back(dataset: MetricDataset) -> None:
    assert Ndjson().decode(Ndjson().encode(dataset)).fingerprint == dataset.fingerprint


@given(
    st.lists(st.tuples(KEYS, int64_columns().filter(len)), max_size=4, unique_by=lambda one: one[0]),
)
def test_integers_are_what_json_makes_of_them(columns: list[tuple[SeriesKey, np.ndarray]]) -> None:
    dataset = MetricDataset.from_series([Series(key, column[::-1].copy(), column) for key, column in columns])
    expected = "".join(json.dumps(record) + "\n" for record in dataset.records())
    assert Ndjson().encode(dataset).decode() == expected
    assert ndjson_bytes(dataset) == len(expected)
    assert Ndjson().decode(expected.encode()).fingerprint == dataset.fingerprint


@pytest.mark.usefixtures("_pieces")
def test_integers_beside_doubles_stay_integers() -> None:
    large = np.array([2**53 + 1, -(2**63), 2**63 - 1, 0])
    dataset = MetricDataset.from_series([*MIXED, Series(SeriesKey("n", {"value": "5"}), np.arange(4), large)])
    lines = Ndjson().encode(dataset).splitlines(keepends=True)
    mixed = np.random.default_rng(0).permutation(len(lines)).tolist()
    for order in (range(len(lines)), sorted(mixed, key=lambda i: mixed[i] % 5)):
        found = {one.key: one for one in Ndjson().decode(b"\n".join(lines[i] for i in order))}
        for one in dataset:
            assert found[one.key].values.dtype == one.values.dtype
            assert sorted(found[one.key].values.tobytes()) == sorted(one.values.tobytes())


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (["1", "2.0"], np.array([1, 2.0])),
        (["9007199254740993", "1e0"], np.array([2.0**53, 1])),
        (["9223372036854775808", "1"], np.array([2.0**63, 1])),
        (["-0", "1"], np.array([-0.0, 1])),
        (["-1", "10"], np.array([-1, 10])),
    ],
)
def test_a_series_is_of_integers_if_all_its_values_are(spelled: list[str], expected: np.ndarray) -> None:
    lines = [line(i).replace(b"1.5", value.encode()) for i, value in enumerate(spelled)]
    (found,) = Ndjson().decode(b"".join(lines))
    assert found.values.dtype == expected.dtype
    assert found.values.tobytes() == expected.tobytes()


@pytest.mark.usefixtures("_pieces")
def test_files_are_written_and_read_piece_by_piece() -> None:
    assert b"".join(map(bytes, Ndjson().chunks(MIXED))).decode() == text(MIXED)
    assert Ndjson().decode(text(MIXED).encode()).fingerprint == MIXED.fingerprint


def test_chunks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.formats._records.CHUNK_BYTES", 1000)
    assert max(map(len, Ndjson().chunks(MIXED))) <= 1000


def test_a_series_without_samples_is_gone() -> None:
    empty = Series(SeriesKey("empty", {}), np.empty(0, np.int64), np.empty(0))
    one = Series(SeriesKey("one", {}), np.array([1]), np.array([2.0]))
    assert samples(Ndjson().decode(Ndjson().encode(MetricDataset.from_series([empty, one])))) == [
        ("one", {}, [(1, 2.0)])
    ]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\n"])
def test_no_lines_are_an_empty_data_set(data: bytes) -> None:
    assert samples(Ndjson().decode(data)) == []


@pytest.mark.parametrize(
    "key", [SeriesKey("\ud800", {}), SeriesKey("a", {"\udc00": "b"}), SeriesKey("a", {"b": "\ud83d\ude00"})]
)
def test_half_a_surrogate_pair_is_rejected_in_one_line(key: SeriesKey) -> None:
    dataset = MetricDataset.from_series([Series(key, np.array([1]), np.array([1.0]))])
    for reject in (Ndjson().encode, ndjson_bytes):
        with pytest.raises(SqueezelabError, match=r"surrogate pair: rename .*ud[8c]") as caught:
            reject(dataset)
        assert "\n" not in str(caught.value)
        str(caught.value).encode()


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"metric_name":"a","labels":{"x":"1"},"timestamp":1,"value":1.5}',
        b'{ "value" : 1.5 , "timestamp" : 1 ,\t"labels" : { "x" : "1" } , "metric_name" : "a" } \r\n',
        b'\n{"metric_name":"\\u0061","labels":{"\\u0078":"\\u0031"},"timestamp":1,"value":15e-1}\n\n',
        b'{"metric_name":"a","labels":{"x":"1","y":null},"timestamp":1,"value":1.50,"value_bits":null}\n',
    ],
    ids=["tight", "loose", "escaped", "null"],
)
def test_other_programs_spell_differently(foreign: bytes) -> None:
    assert samples(Ndjson().decode(foreign)) == [("a", {"x": "1"}, [(1, 1.5)])]


@pytest.mark.usefixtures("_pieces")
def test_interleaved_series_are_sorted_out() -> None:
    lines = [
        line(9, 1.0, host="h"),
        line(5, 2),
        line(3, 3.0, host="h"),
        line(4, 4.0, host="g"),
        line(2, 5.0),
        line(1, 6, host="h"),
    ]
    assert samples(Ndjson().decode(b"".join(lines))) == [
        ("a", {"host": "h"}, [(9, 1.0), (3, 3.0), (1, 6.0)]),
        ("a", {}, [(5, 2.0), (2, 5.0)]),
        ("a", {"host": "g"}, [(4, 4.0)]),
    ]


def test_many_interleaved_samples_keep_their_order() -> None:
    records = [line(i, i / 4, host=f"h{i * i % 7}") for i in range(3000)]
    for _, timestamps, values in Ndjson().decode(b"".join(records)):
        assert np.all(np.diff(timestamps) > 0)
        assert np.array_equal(values, timestamps / 4)


def test_an_empty_label_is_not_an_absent_one() -> None:
    data = line(1, 1.0, x="") + line(2, 2.0) + line(3, 3.0, x=None) + line(4, 4.0, x="", y="")
    assert samples(Ndjson().decode(data)) == [
        ("a", {"x": ""}, [(1, 1.0)]),
        ("a", {}, [(2, 2.0), (3, 3.0)]),
        ("a", {"x": "", "y": ""}, [(4, 4.0)]),
    ]


def test_keys_are_not_confused_when_their_strings_join_up_alike() -> None:
    lines = [line(1, 1.0, "a", x="b", y="c"), line(2, 2.0, "a", x="c", y="b"), line(3, 3.0, "b", x="b", y="b")]
    assert len(Ndjson().decode(b"".join(lines) * 2).keys) == 3


def test_labels_that_turn_up_late_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "_PIECE_BYTES", 500)
    dataset = MetricDataset.from_series(
        [Series(SeriesKey("a", {f"label_{i}": "2020-01-01"}), np.arange(7), np.full(7, i / 4)) for i in range(20)]
    )
    assert Ndjson().decode(Ndjson().encode(dataset)).fingerprint == dataset.fingerprint


def test_a_line_may_be_longer_than_any_block() -> None:
    long = "x" * 3_000_000
    assert samples(Ndjson().decode(line(1, 1.0, host=long) + line(2, 2.0))) == [
        ("a", {"host": long}, [(1, 1.0)]),
        ("a", {}, [(2, 2.0)]),
    ]
    dataset = MetricDataset.from_series([Series(SeriesKey(long * 2, {}), np.arange(3), np.arange(3.0))])
    assert Ndjson().decode(Ndjson().encode(dataset)).fingerprint == dataset.fingerprint


def test_decimals_are_rounded_exactly() -> None:
    rng = np.random.default_rng(3)
    hard = [
        "9007199254740993",
        "9007199254740992.99999999999",
        "1e23",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
    ]
    hard += [
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "1e-400",
        "123456789012345678901234567890",
        "-0",
        "-0.0",
    ]
    hard += [
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203126",
    ]
    hard += [f"{rng.integers(2**62)}{rng.integers(2**62)}e{rng.integers(-340, 260)}" for _ in range(2000)]
    data = "".join(f'{{"metric_name": "a", "labels": {{}}, "timestamp": 1, "value": {number}}}\n' for number in hard)
    expected = np.array([float(number) for number in hard])
    assert Ndjson().decode(data.encode()).values.view(np.uint64).tolist() == expected.view(np.uint64).tolist()


GOOD = line(1, 1.0, host="a") + line(2, 2.0, host="a")


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line()[:-10], "line 3: .* \\(column"),
        (b"garbage\n", "line 3: Expecting value \\(column 1\\)$"),
        (b"[1, 2]\n", "line 3: "),
        (b"\xef\xbb\xbf" + line(), "line 3: Unexpected UTF-8 BOM"),
        (b"null\n", "line 3: (metric_name is missing|a record must be an object)"),
        (b"{}\n", "line 3: metric_name is missing"),
        (line(value=None), "line 3: value is missing or null"),
        (line(value="1.5"), "line 3: .*value.* to string"),
        (line(value=True), "line 3: .*value.* to boolean"),
        (line(value=1.5).replace(b"1.5", b"1e999"), "line 3: .*too big"),
        (line(timestamp=2**63), "line 3: .*int64"),
        (line(timestamp=1.5), "line 3: .*int64"),
        (line(name=5), "line 3: .*metric_name.* to number"),
        (line(host=5), "line 3: .*labels/host.* to number$"),
        (line(new=[]), "line 3: .*labels/new.* to array"),
        (line(**{"\n": 5}), "line 3: .*labels/.* to number"),
        (line(host="\ud800"), "line 3: .*surrogate"),
        (line(**{"\ud800": "a"}), "line 3: "),
        (line().replace(b"}, ", b'}, "labels": {}, ', 1), "line 3: .*twice"),
        (line(host="a").replace(b'"a"}', b'"a", "host": "b"}'), "line 3: .*twice"),
        (line().replace(b'"labels": {}, ', b""), "line 3: labels is missing"),
        (line().replace(b'"value"', b'"unit": "m", "value"'), "line 3: unknown key 'unit'"),
        (line(name="~").replace(b"~", b"\xff"), "line 3: 'utf-8' codec"),
        (line(host="~").replace(b"~", b"\xed\xa0\x80"), "line 3: 'utf-8' codec"),
        (line().replace(b"\n", b"\0\n"), "line 3: Extra data"),
        (line() + b"\0", "line 4: "),
        (line().replace(b"\n", b" ") + line(), "line 3: Extra data"),
        (line().replace(b", ", b",\n"), "line 3"),
        (line().replace(b"}\n", b', "value_bits": "7ff8000000000001"}\n'), "line 3: value_bits tell of no NaN"),
        (
            line(value=float("nan")).replace(b"}\n", b', "value_bits": "7ff0000000000000"}\n'),
            "line 3: value_bits tell of",
        ),
        (line(value=float("nan")).replace(b"}\n", b', "value_bits": "7ff800000000000g"}\n'), "line 3: .*hexadecimal"),
        (b'{"' + b"k" * 1000 + b'": 1}\n', "line 3: unknown key 'k"),
        (line(name=[[[]]]), "line 3: .*metric_name.* to array"),
        (b"[" * 100_000 + b"\n", "line 3"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "line 3"),
        (b'{"labels": {"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}\n", "line 3"),
    ],
)
def test_a_line_that_is_no_record_is_named(bad: bytes, reason: str) -> None:
    with pytest.raises(CorruptDataError, match=f"^{reason}") as caught:
        Ndjson().decode(GOOD + bad + (GOOD if bad.endswith(b"\n") else b""))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_cut_is_noticed_everywhere_but_at_the_end_of_a_line() -> None:
    file = Ndjson().encode(MIXED)[:350]
    for size in range(len(file)):
        if size == 0 or b"\n" in file[size - 1 : size + 1]:
            assert len(Ndjson().decode(file[:size])) == len(file[:size].splitlines())
        else:
            with pytest.raises(CorruptDataError, match=f"^line {file[:size].count(10) + 1}: "):
                Ndjson().decode(file[:size])


def test_damage_is_read_as_json_reads_it_or_rejected() -> None:
    rng = np.random.default_rng(5)
    file = Ndjson().encode(MIXED)
    for _ in range(400):
        damaged = bytearray(file)
        damaged[rng.integers(len(file))] = rng.choice(np.frombuffer(b'{}[]",:.09eE+-\\ n\x00\xff\x80', np.uint8))
        try:
            found = Ndjson().decode(damaged)
        except CorruptDataError:
            continue
        records = [json.loads(one) for one in damaged.decode().split("\n") if one]
        assert sorted(map(repr, found.records())) == sorted(
            repr({**record, "labels": dict(sorted(record["labels"].items())), "value": float(record["value"])})
            for record in records
        )
