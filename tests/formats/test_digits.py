"""How numbers print, compared with ``json.dumps`` byte for byte."""

import json
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from squeezelab.formats import _digits

START = np.uint64(0)
GUARD = 0xAA


def printed(number: float, write: object = _digits.write_value) -> bytes:
    buffer = np.full(48, GUARD, np.uint8)
    stop = int(write(buffer, np.uint64(8), number))  # type: ignore[operator]
    assert set(buffer[:8].tolist()) | set(buffer[stop:].tolist()) == {GUARD}
    return buffer[8:stop].tobytes()


def assert_prints_like_json(values: npt.NDArray[np.float64]) -> None:
    """Compare a whole column, its text and its length."""
    prefix = np.frombuffer(b"[", np.uint8)
    timestamps = np.arange(len(values)) - 3
    expected = [
        f'[{timestamp}, "value": {json.dumps(value)}}}\n'
        for timestamp, value in zip(timestamps.tolist(), values.tolist(), strict=True)
    ]
    buffer = np.empty(len(values) * (1 + _digits.LONGEST_TAIL), np.uint8)
    stop = int(_digits.write_lines(buffer, START, prefix, timestamps, values))
    found = buffer[:stop].tobytes().decode().splitlines(keepends=True)
    assert [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []
    assert int(_digits.tails_length(timestamps, values)) + len(values) == stop


def with_neighbours(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values = np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, 0)])
    return np.concatenate([values, -values])


@given(st.integers(0, 2**64 - 1).map(lambda bits: float(np.uint64(bits).view(np.float64))) | st.floats())
@example(0.0)
@example(-0.0)
@example(float("nan"))
@example(float("inf"))
@example(float("-inf"))
@example(5e-324)
@example(2.2250738585072014e-308)
@example(1.7976931348623157e308)
@example(-2.2250738585072014e-308)
@example(9007199254740993.0)
@example(1e23)
@example(9.5367431640625e-07)
@example(1e12)
@example(999999999999.9999)
def test_a_float_prints_as_json_prints_it(value: float) -> None:
    assert printed(value) == json.dumps(value).encode()
    assert int(_digits.value_length(value)) == len(json.dumps(value))


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 18).flatmap(lambda n: st.integers(10**n - 2, 10**n + 2)))
@example(0)
@example(-(2**63))
@example(2**63 - 1)
def test_an_integer_prints_as_json_prints_it(number: int) -> None:
    assert printed(number, _digits.write_integer) == json.dumps(number).encode()
    assert int(_digits.integer_length(number)) == len(json.dumps(number))


def test_random_bits() -> None:
    bits = np.random.default_rng(1).integers(0, 2**64, 200_000, dtype=np.uint64)
    assert_prints_like_json(bits.view(np.float64)[np.isfinite(bits.view(np.float64))])


def test_around_every_power_of_two() -> None:
    # Here the neighbour below is nearer than the one above, and every binary exponent occurs.
    assert_prints_like_json(with_neighbours(2.0 ** np.arange(-1074, 1024)))


def test_around_every_power_of_ten() -> None:
    # Here the notation changes, and the number of digits.
    assert_prints_like_json(with_neighbours(np.array([float(f"1e{n}") for n in range(-323, 309)])))


def smallest_remainders(a: int, b: int, largest: int) -> tuple[int, int]:
    """Return the smallest ``m * a % b`` and ``-m * a % b`` of all ``m`` from 1 to ``largest``, which is below ``b``."""
    below, rest_below, above, rest_above = 1, a % b, 1, -a % b
    while True:
        steps = min((rest_below - 1) // rest_above, (largest - below) // above)
        below, rest_below = below + steps * above, rest_below - steps * rest_above
        further = min((rest_above - 1) // rest_below, (largest - above) // below)
        above, rest_above = above + further * below, rest_above - further * rest_below
        if not steps and not further:
            return rest_below, rest_above


def test_the_table_of_powers_is_precise_enough() -> None:
    # In quarters of a unit, a double and the ends of its interval are m * 2**(q + 1) / 10**k. Cut at 2**-64, none may
    # lose a fraction that is not zero; too large by up to 2**-64, none may reach the next whole number. (Doubles whose
    # interval is uneven are the powers of two: few enough to try them all.)
    largest, lost = 2**54 + 1, []
    for q in range(-1074, 972):
        k = len(str(2**q)) - 1 if q >= 0 else -len(str(2**-q))
        ratio = Fraction(2) ** (q + 1) / Fraction(10) ** k
        if ratio.denominator > largest:
            below, above = smallest_remainders(ratio.numerator, ratio.denominator, largest)
            assert above << 64 > ratio.denominator
            if below << 64 < ratio.denominator:
                lost.append(q)
    # A single double loses its fraction, and still prints right.
    assert lost == [664]
    assert_prints_like_json(np.array([8887055249355788 * 2.0**664]))


@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 4, 6])
def test_every_small_decimal(decimals: int) -> None:
    assert_prints_like_json(np.arange(10_000) / 10**decimals)
    assert_prints_like_json((10**15 - 5000 + np.arange(10_000)) / 10**decimals)


@pytest.mark.parametrize("digits", [2, 9, 15, 16, 17])
def test_random_decimals(digits: int) -> None:
    rng = np.random.default_rng(digits)
    wholes, powers = rng.integers(0, 10**digits, 10_000).tolist(), rng.integers(-40, 25, 10_000).tolist()
    assert_prints_like_json(np.array([float(f"{w}e{p}") for w, p in zip(wholes, powers, strict=True)]))


@pytest.mark.parametrize("power", [48, 49, 50, 51, 52])
def test_decimals_halfway_between_two_shortest_ones(power: int) -> None:
    # 2**50 + 0.25 is as near to ...624.2 as to ...624.3: the even digit wins.
    assert_prints_like_json(2.0**power + np.arange(2000) * 2.0 ** (power - 52))


def test_whole_numbers_about_where_doubles_cease_to_hold_all_of_them() -> None:
    around = np.arange(-3000.0, 3000.0)
    assert_prints_like_json(np.concatenate([2.0**53 + around, 2.0**54 + 4 * around, 1e16 + 2 * around]))


@pytest.mark.parametrize("bits", [0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001, 0xFFFFFFFFFFFFFABC])
def test_a_nan_that_the_text_does_not_tell_has_its_bits_behind_it(bits: int) -> None:
    values = np.array([bits, 0x7FF8000000000000], np.uint64).view(np.float64)
    timestamps = np.array([-(2**63), 7])
    buffer = np.empty(200, np.uint8)
    stop = int(_digits.write_lines(buffer, START, np.empty(0, np.uint8), timestamps, values))
    lines = [f'{-(2**63)}, "value": NaN, "value_bits": "{bits:016x}"}}', '7, "value": NaN}', ""]
    assert buffer[:stop].tobytes().decode() == "\n".join(lines)
    assert int(_digits.tails_length(timestamps, values)) == stop


def test_no_line_is_longer_than_promised() -> None:
    hidden = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    values = np.array([-2.2250738585072014e-308, hidden, -np.inf])
    for value in values:
        one = values[values.view(np.uint64) == value.view(np.uint64)]
        assert int(_digits.tails_length(np.array([-(2**63)]), one)) <= _digits.LONGEST_TAIL
