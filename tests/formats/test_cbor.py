"""CBOR against cbor2: the bytes it makes, and the records of others that it takes."""

import struct
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, SqueezelabError
from squeezelab.formats import cbor
from squeezelab.formats.cbor import Cbor

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
EDGES = [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1]
INTEGERS = st.sampled_from([edge * sign - (sign < 0) for edge in EDGES for sign in (1, -1)]) | st.integers(
    -(2**63), 2**63 - 1
)


@st.composite
def datasets(draw: st.DrawFn, values: st.SearchStrategy[float]) -> MetricDataset:
    keys = draw(
        st.lists(st.builds(SeriesKey, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=4)), max_size=4, unique=True)
    )
    series = []
    for key in keys:
        samples = draw(st.lists(st.tuples(INTEGERS, values), min_size=1, max_size=20))
        timestamps, numbers = zip(*samples, strict=True)
        series.append(Series(key, np.array(timestamps, np.int64), np.array(numbers, np.float64)))
    return MetricDataset.from_series(series)


def record(timestamp: Any = 1, value: Any = 1.5, name: Any = "a", **labels: Any) -> dict[str, Any]:
    return {"metric_name": name, "labels": labels, "timestamp": timestamp, "value": value}


def samples(dataset: MetricDataset) -> list[tuple[str, dict[str, str], list[tuple[int, float]]]]:
    return [
        (key.metric_name, dict(key.labels), list(zip(timestamps.tolist(), values.tolist(), strict=True)))
        for key, timestamps, values in dataset
    ]


@given(datasets(st.floats(allow_nan=False, allow_infinity=False)))
def test_the_file_is_what_cbor2_makes_of_the_records(dataset: MetricDataset) -> None:
    assert Cbor().encode(dataset) == b"".join(map(cbor2.dumps, dataset.records()))


@given(datasets(INTEGERS))
def test_integers_are_what_cbor2_makes_of_them(doubles: MetricDataset) -> None:
    dataset = MetricDataset(doubles.keys, doubles.offsets, doubles.timestamps, doubles.timestamps[::-1].copy())
    file = Cbor().encode(dataset)
    assert file == b"".join(map(cbor2.dumps, dataset.records()))
    assert Cbor().decode(file).fingerprint == dataset.fingerprint


def test_float32_has_four_bytes() -> None:
    words = np.array([0x3FC00000, 0x7FC00123, 0x7F800001, 0x80000000], np.uint32)
    dataset = MetricDataset([SeriesKey("a", {})], np.array([0, 4]), np.arange(4), words.view(np.float32))
    file = Cbor().encode(dataset)
    for word in words.tolist():
        assert b"evalue\xfa" + struct.pack(">I", word) in file
    assert cbor2.loads(file)["value"] == 1.5
    assert Cbor().decode(file).fingerprint == dataset.fingerprint


def test_a_series_of_numbers_of_several_kinds_is_of_doubles() -> None:
    single = cbor2.dumps(record(2, 0.0))[:-9] + b"\xfa" + struct.pack(">f", 0.5)
    for spelled, expected in (
        ([cbor2.dumps(record(1, 2**60 + 1)), cbor2.dumps(record(2, 0.5))], [2.0**60, 0.5]),
        ([cbor2.dumps(record(1, 3)), single], [3.0, 0.5]),
        ([single, cbor2.dumps(record(3, 0.1)), single], [0.5, 0.1, 0.5]),
        ([cbor2.dumps(record(1, 2**63)), cbor2.dumps(record(2, 1))], [2.0**63, 1.0]),
    ):
        (found,) = Cbor().decode(b"".join(spelled))
        assert (found.values.dtype, found.values.tolist()) == (np.float64, expected)


@given(datasets(st.floats()))
def test_cbor2_reads_the_records(dataset: MetricDataset) -> None:
    data = memoryview(Cbor().encode(dataset))
    for expected in dataset.records():
        found = cbor2.loads(bytes(data))
        assert repr(found) == repr(expected)
        data = data[len(cbor2.dumps(expected | {"value": 1.5})) :]
    assert not data


def test_special_values_have_eight_bytes_and_keep_their_bits() -> None:
    words = np.array([0x7FF8000000000123, 0xFFF0000000000000, 0x7FF0000000000001], np.uint64)
    dataset = MetricDataset([SeriesKey("a", {})], np.array([0, 3]), np.arange(3), words.view(np.float64))
    file = Cbor().encode(dataset)
    for word in words.tolist():
        assert b"evalue\xfb" + struct.pack(">Q", word) in file
    assert Cbor().decode(file).fingerprint == dataset.fingerprint


def test_chunks_stay_small(small: MetricDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Cbor().encode(small)
    monkeypatch.setattr("squeezelab.formats._records.CHUNK_BYTES", 100_000)
    monkeypatch.setattr(cbor, "_MOST_ROWS", 300)
    chunks = [bytes(chunk) for chunk in Cbor().chunks(small)]
    assert max(map(len, chunks)) <= 100_000
    assert b"".join(chunks) == whole
    assert Cbor().decode(whole).fingerprint == small.fingerprint


def reordered(one: dict[str, Any]) -> bytes:
    return cbor2.dumps(dict(reversed(one.items())))


FOREIGN = {
    "reordered": reordered,
    "canonical": lambda one: cbor2.dumps(one, canonical=True),
    "indefinite": lambda one: (
        b"\xbf" + b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in one.items()) + b"\xff"
    ),
    "whole": lambda one: cbor2.dumps(one | {"value": int(one["value"])}),
    "wide": lambda one: cbor2.dumps(one).replace(
        b"itimestamp" + cbor2.dumps(one["timestamp"]), b"itimestamp\x1b" + bytes(7) + b"\5"
    ),
    "null": lambda one: cbor2.dumps(one | {"labels": one["labels"] | {"zone": None}}),
}


@pytest.mark.parametrize("spell", FOREIGN.values(), ids=FOREIGN)
def test_other_programs_spell_differently(spell: Any) -> None:
    ours = cbor2.dumps(record(4, 2.5, host="h"))
    data = ours + spell(record(5, 3.0, host="h")) * 2 + ours
    assert samples(Cbor().decode(data)) == [("a", {"host": "h"}, [(4, 2.5), (5, 3.0), (5, 3.0), (4, 2.5)])]


@pytest.mark.parametrize("value", [1.5, 65504.0, 1e300, float("inf")])
@pytest.mark.parametrize("code", ["e", "f", "d"])
def test_floats_of_any_width_are_read(value: float, code: str) -> None:
    try:
        number = struct.pack(f">{code}", value)
    except OverflowError:
        return
    spelled = cbor2.dumps(record(1, 0.0))[:-9] + {"e": b"\xf9", "f": b"\xfa", "d": b"\xfb"}[code] + number
    found = Cbor().decode(spelled)
    assert samples(found) == [("a", {}, [(1, value)])]
    assert found.values.dtype == (np.float32 if code == "f" else np.float64)


def test_interleaved_series_are_sorted_out() -> None:
    data = b"".join(cbor2.dumps(record(i, i / 4, host=f"h{i * i % 7}")) for i in range(200))
    found = Cbor().decode(data)
    assert len(found.keys) == 4
    for _, timestamps, values in found:
        assert np.all(np.diff(timestamps) > 0)
        assert np.array_equal(values, timestamps / 4)


GOOD = cbor2.dumps(record(1, 1.0, host="a"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD[:-1], "premature end"),
        (b"\xff", "break"),
        (cbor2.dumps([1, 2]), "a record must be a map of labels, metric_name, timestamp, value"),
        (cbor2.dumps({}), "a record must be"),
        (cbor2.dumps(record() | {"unit": "m"}), "a record must be"),
        (cbor2.dumps(record(name=5)), "metric_name must be text"),
        (cbor2.dumps(record(host=5)), "labels must be"),
        (cbor2.dumps(record() | {"labels": {1: "a"}}), "labels must be"),
        (cbor2.dumps(record(timestamp=2**63)), "timestamp must be"),
        (cbor2.dumps(record(timestamp=-(2**63) - 1)), "timestamp must be"),
        (cbor2.dumps(record(timestamp=True)), "timestamp must be"),
        (cbor2.dumps(record(timestamp=1.0)), "timestamp must be"),
        (cbor2.dumps(record(value="1")), "value must be"),
        (cbor2.dumps(record(value=None)), "value must be"),
        (cbor2.dumps(record(value=True)), "value must be"),
        (cbor2.dumps(record(value=10**400)), "value is an integer beyond all floats"),
        (b"\x81" * 100_000 + b"\0", "nesting"),
        (b"\x9b" + b"\x0f" * 8, "premature end"),
        (GOOD.replace(b"ahost"[1:] + b"aa", b"host" + b"a\xff"), "text string"),
    ],
)
def test_what_is_no_record_is_named(bad: bytes, reason: str) -> None:
    with pytest.raises(CorruptDataError, match=f"^byte {len(GOOD)}: .*{reason}") as caught:
        Cbor().decode(GOOD + bad)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_rejected() -> None:
    with pytest.raises(CorruptDataError):
        Cbor().decode(b"\xa4" + cbor2.dumps("value") + b"\1" + cbor2.dumps(record())[1:])


def test_a_cut_is_noticed_everywhere_but_behind_a_record() -> None:
    for size in range(2 * len(GOOD)):
        if size % len(GOOD) == 0:
            assert len(Cbor().decode((GOOD * 2)[:size])) == size // len(GOOD)
        else:
            with pytest.raises(CorruptDataError, match=f"^byte {size // len(GOOD) * len(GOOD)}: "):
                Cbor().decode((GOOD * 2)[:size])


@pytest.mark.parametrize("key", [SeriesKey("\ud800", {}), SeriesKey("a", {"\udc00": "b"})])
def test_half_a_surrogate_pair_is_rejected_in_one_line(key: SeriesKey) -> None:
    dataset = MetricDataset.from_series([Series(key, np.array([1]), np.array([1.0]))])
    with pytest.raises(SqueezelabError, match=r"surrogate pair: rename .*ud[8c]") as caught:
        Cbor().encode(dataset)
    assert "\n" not in str(caught.value)
