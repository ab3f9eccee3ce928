"""Times of every kind become whole numbers, and lose nothing."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab.errors import InvalidRequestError
from squeezelab.readers._times import (
    NANOSECONDS,
    Clock,
    holds_times,
    looks_like_times,
    parse_date,
    to_nanoseconds,
)
from squeezelab.times import unit_by_size

NOW = 1_700_000_000
ZONES = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1680, 1, 1), datetime(2260, 1, 1), timezones=ZONES)


def nanoseconds(column: pa.Array, unit: str | None = None) -> list[int | None]:
    times = Clock(unit).read(column)
    return [
        int(time) * NANOSECONDS[times.unit] if there else None
        for time, there in zip(times.timestamps, times.present, strict=True)
    ]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("as_text", [False, True])
def test_the_size_of_numbers_tells_their_unit(unit: str, scale: int, as_text: bool) -> None:
    moments = [NOW * scale + 1, (NOW + 15) * scale]
    times = Clock().read(pa.array(list(map(str, moments)) if as_text else moments))
    assert times.unit == unit
    assert times.timestamps.tolist() == moments


@given(size=st.integers(10**8, 4 * 10**9), unit=st.sampled_from(list(NANOSECONDS)))
def test_every_second_of_our_days_is_recognised_in_every_unit(size: int, unit: str) -> None:
    assert unit_by_size(size * 10**9 // NANOSECONDS[unit]) == unit


def test_a_given_unit_wins() -> None:
    clock = Clock("ms")
    assert clock.read(pa.array([0, 30_000])).unit == "ms"
    assert clock.form == "milliseconds since a beginning of their own, as said"


def test_the_unit_of_the_first_numbers_holds_for_all() -> None:
    clock = Clock()
    assert clock.read(pa.array([0, 30])).unit == "s"
    assert clock.read(pa.array([10**12])).unit == "s"


@given(seconds=st.integers(-(2**32), 2**32), fraction=st.integers(0, 10**9 - 1))
def test_fractions_are_exact_to_the_nanosecond(seconds: int, fraction: int) -> None:
    found = nanoseconds(pa.array([f"{seconds}.{fraction:09}", None]), "s")
    exact = seconds * 10**9 + (-fraction if seconds < 0 else fraction)
    if seconds:
        assert found == [exact, None]


@given(milliseconds=st.integers(0, 2**42))
def test_doubles_mean_the_shortest_text_that_names_them(milliseconds: int) -> None:
    assert nanoseconds(pa.array([milliseconds / 1000]), "s") == [milliseconds * 10**6]


def test_what_is_finer_than_a_nanosecond_is_rounded_and_counted() -> None:
    clock = Clock()
    times = clock.read(pa.array(["0.1", "0.2", "0.30000000000000004"]))
    assert times.timestamps.tolist() == [10**8, 2 * 10**8, 3 * 10**8]
    assert clock.rounded == 1


@given(moment=MOMENTS, separator=st.sampled_from("T "))
def test_dates_mean_what_python_takes_them_for(moment: datetime, separator: str) -> None:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    exact = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    text = moment.isoformat(separator)
    assert parse_date(text) == exact
    assert nanoseconds(pa.array([text])) == [exact]
    assert nanoseconds(pa.array([text, "no date", None])) == [exact, None, None]


@pytest.mark.parametrize(
    "text",
    [
        "2014-04-10 00:04:00",
        "2014-04-10T00:04:00Z",
        "2014-04-10 00:04",
        "2014-04-10T02:04:00+02:00",
        "2014-04-10T02:04:00+0200",
        "2014-04-10 00:04:00 UTC",
        "20140410T000400",
        "2014/04/10 00:04:00",
        "2014/4/10 00:04:00",
        "2014.04.10 00:04:00",
        "2014-04-10 00:04:00.000000000",
        "2014-04-10 00:04:00,000",
    ],
)
def test_spellings_of_one_moment(text: str) -> None:
    moment = int(datetime(2014, 4, 10, 0, 4, tzinfo=UTC).timestamp()) * 10**9
    assert parse_date(text) == moment
    assert nanoseconds(pa.array([text])) == [moment]


@pytest.mark.parametrize(
    "text", ["2014-13-10", "2014-02-30 00:00:00", "00:04:00", "20140410", "yesterday", "", "10/04/2014"]
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_day_and_month_are_told_apart_by_one_above_12() -> None:
    assert nanoseconds(pa.array(["01/02/2024", "01/13/2024"])) == [parse_date("2024-01-02"), parse_date("2024-01-13")]
    assert nanoseconds(pa.array(["01/02/2024", "13/02/2024"])) == [parse_date("2024-02-01"), parse_date("2024-02-13")]
    assert nanoseconds(pa.array(["01/02/2024", "01/03/2024"])) == [None, None]


@pytest.mark.parametrize("unit", list(NANOSECONDS))
def test_typed_columns_keep_their_unit(unit: str) -> None:
    times = Clock().read(pa.array([5, None], pa.timestamp(unit, "UTC")))
    assert times.unit == unit
    assert times.present.tolist() == [True, False]
    assert times.timestamps[0] == 5
    assert nanoseconds(pa.array([1, 2], pa.date32())) == [86400 * 10**9, 2 * 86400 * 10**9]


def test_typed_columns_that_are_no_times() -> None:
    assert nanoseconds(pa.array([2**64 - 1, NOW], pa.uint64()), "s") == [None, NOW * 10**9]
    assert nanoseconds(pa.array([NOW + 0.5, float("nan"), float("inf"), None])) == [
        NOW * 10**9 + 5 * 10**8,
        None,
        None,
        None,
    ]
    for column in (pa.array([True]), pa.array([[1]]), pa.array([b"x"]), pa.array([1], pa.time64("us"))):
        assert not holds_times(column)
        with pytest.raises(InvalidRequestError, match=r"a time column of .* cannot be read"):
            Clock().read(column)


def test_years_far_away_stay_whole_seconds() -> None:
    times = Clock().read(pa.array(["0001-01-01 00:00:00", "9999-12-31 23:59:59"]))
    assert times.unit == "s"
    assert times.timestamps.tolist() == [-62135596800, 253402300799]


def test_which_columns_look_like_times() -> None:
    assert looks_like_times(pa.array([NOW, NOW + 15]))
    assert looks_like_times(pa.array(["2024-01-01", "2024-01-02"]))
    assert not looks_like_times(pa.array([1.5, 2.5]))
    assert not looks_like_times(pa.array([NOW + 15, NOW]))
    assert not looks_like_times(pa.array(["a", "b"]))
    assert not looks_like_times(pa.array([True, False]))


def test_moments_that_a_user_gives() -> None:
    assert to_nanoseconds("2024-01-01T00:00:00.5Z") == 1_704_067_200_500_000_000
    assert to_nanoseconds("30") == 30 * 10**9
    assert to_nanoseconds("-1.5") == -15 * 10**8
    with pytest.raises(InvalidRequestError, match="'soon' is no time"):
        to_nanoseconds("soon")


def test_numpy_dates_agree() -> None:
    assert parse_date("2024-02-29T12:34:56.789012345") == int(
        np.datetime64("2024-02-29T12:34:56.789012345").astype(int)
    )
