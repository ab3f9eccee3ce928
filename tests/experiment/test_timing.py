"""Timing: turns, budgets and intervals, on made-up clocks; no test here looks at a real one."""

import gc
import sys
from collections.abc import Callable
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelab import MetricDataset
from squeezelab.codecs.base import LONG, ColumnCodec
from squeezelab.experiment.timing import Cell, Memcpy, Timing, bootstrap_interval, time_cells, time_coders

SECONDS = st.floats(1e-9, 1e6)


class Clock:
    """A clock on which only work that says so takes time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """Return work that takes these seconds, one after another and over again."""
        calls = iter(range(10**9))

        def run() -> None:
            self.log.append(name)
            self.now += seconds[next(calls) % len(seconds)]

        return run


# The interval


@pytest.mark.parametrize(("count", "rank"), [(2, 0), (3, 0), (5, 0), (7, 1), (21, 6), (101, 40)])
def test_the_ends_are_turns_as_far_from_both_ends(count: int, rank: int) -> None:
    turns = [float(i) for i in range(count)]
    assert bootstrap_interval(turns) == (turns[rank], turns[-1 - rank])


def test_one_turn_tells_nothing_of_how_sure_it_is() -> None:
    assert bootstrap_interval([1.0]) is None
    assert bootstrap_interval([]) is None


@pytest.mark.parametrize("count", [3, 5, 9, 25, 75])
def test_the_ends_are_those_of_drawing_at_random(count: int) -> None:
    """Of all resamples' medians, just no more than 2.5 % lie below the lower end, and as many above the upper one."""
    random = np.random.default_rng(count)
    turns = random.lognormal(sigma=0.3, size=count)
    medians = np.median(random.choice(turns, (40_000, count)), axis=1)
    low, high = bootstrap_interval(turns.tolist())
    assert np.mean(medians < low) < 0.028
    assert np.mean(medians <= low) > 0.022
    assert np.mean(medians > high) < 0.028
    assert np.mean(medians >= high) > 0.022


@pytest.mark.parametrize("count", [9, 20, 60])
def test_the_interval_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    random = np.random.default_rng(5)
    held = 0
    for turns in random.lognormal(sigma=0.5, size=(1000, count)):
        low, high = bootstrap_interval(turns.tolist())
        held += low <= 1 <= high
    assert 0.92 < held / 1000 < 0.995


@given(turns=st.lists(SECONDS, min_size=2, max_size=60), seed=st.randoms())
def test_the_median_is_in_its_interval_whatever_the_order(turns: list[float], seed) -> None:
    low, high = bootstrap_interval(turns)
    assert low <= median(turns) <= high
    assert {low, high} <= set(turns)
    seed.shuffle(turns)
    assert bootstrap_interval(turns) == (low, high)


def test_many_turns_are_no_trouble() -> None:
    low, high = bootstrap_interval([float(i) for i in range(20_001)])
    assert low == pytest.approx(10_000 - 1.96 * 20_001**0.5 / 2, abs=2)
    assert high == 20_000 - low


# Turns and budgets


def test_every_cell_takes_its_turn_and_warming_up_does_not_count() -> None:
    clock = Clock()
    cells = {"a": clock.work("a", 9, 1), "b": clock.work("b", 9, 2, 2, 2)}
    timed = time_cells(cells, 0, rounds=3, clock=clock)
    assert clock.log == ["a", "b"] + ["a", "b"] * 3
    assert timed["a"] == Cell(1, (1, 9), 3, 11)
    assert timed["b"] == Cell(2, (2, 2), 3, 6)


def test_all_get_their_rounds_even_beyond_the_budget() -> None:
    clock = Clock()
    timed = time_cells({name: clock.work(name, 10) for name in "abc"}, 1, rounds=5, clock=clock)
    assert [cell.rounds for cell in timed.values()] == [5, 5, 5]


def test_quick_work_is_done_many_times_a_turn() -> None:
    clock = Clock()
    timed = time_cells({"quick": clock.work("quick", 1e-5)}, 0, rounds=5, clock=clock)
    assert clock.log == ["quick"] * (1 + 5 * 100)
    assert timed["quick"].rounds == 5
    assert timed["quick"].seconds == pytest.approx(1e-5)
    assert timed["quick"].timed_seconds == pytest.approx(5e-3)


def test_calm_cells_stop_once_they_were_timed_for_long_enough() -> None:
    clock = Clock()
    timed = time_cells({"a": clock.work("a", 0.01), "b": clock.work("b", 0.1)}, 1000, clock=clock)
    assert timed["b"].rounds == 5
    assert timed["a"].rounds == pytest.approx(20, abs=1)
    assert timed["a"].timed_seconds >= 0.2
    assert clock.now < 102


def test_noisy_cells_go_on_until_they_are_calm() -> None:
    clock = Clock()
    cells = {"calm": clock.work("calm", 0.1), "noisy": clock.work("noisy", 0.1, 0.15, 0.1, 0.1)}
    timed = time_cells(cells, 1000, clock=clock)
    assert timed["calm"].rounds == 5
    assert timed["noisy"].rounds > 5
    assert not timed["noisy"].noisy


def test_what_never_gets_calm_ends_with_the_budget() -> None:
    clock = Clock()
    timed = time_cells({"wild": clock.work("wild", 0.1, 0.2)}, 3, clock=clock)
    assert timed["wild"].noisy
    assert 103 <= clock.now < 103.3


def test_what_is_noisy_does_not_eat_up_what_all_have_a_right_to() -> None:
    clock = Clock()
    cells = {"wild": clock.work("wild", 0.001, 0.1), "calm": clock.work("calm", 0.001)}
    timed = time_cells(cells, 10, clock=clock)
    assert timed["wild"].noisy
    assert clock.now >= 110
    assert timed["calm"].timed_seconds >= 0.2


def test_where_time_is_short_the_noisy_ones_have_it() -> None:
    clock = Clock()
    cells = {f"calm {i}": clock.work("calm", 0.001) for i in range(100)}
    timed = time_cells(cells | {"wild": clock.work("wild", 0.001, 0.002)}, 1, clock=clock)
    assert {cell.rounds for name, cell in timed.items() if name != "wild"} == {5}
    assert timed["wild"].rounds > 100


def test_the_widest_goes_first_and_none_twice_before_the_others() -> None:
    clock = Clock()
    cells = {"wide": clock.work("wide", 0.1, 0.3), "wider": clock.work("wider", 0.1, 0.9)}
    time_cells(cells, 10, rounds=4, clock=clock)
    more = clock.log[2 + 2 * 4 :]
    assert more[:4] == ["wider", "wide", "wider", "wide"]


def test_turns_are_told_of() -> None:
    clock, told = Clock(), []
    time_cells(
        {"a": clock.work("a", 1), "b": clock.work("b", 1)}, 0, rounds=2, clock=clock, on_turn=lambda: told.append(1)
    )
    assert len(told) == 4


# Coders


class Racer:
    """A coder that takes so many seconds an item, in either direction."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    def encode(self, subject: str) -> bytes:
        self.clock.now += self.seconds * len(subject)
        return subject.encode()

    def decode(self, encoded: bytes) -> str:
        self.clock.now += self.seconds * len(encoded) / 2
        return encoded.decode()


def cut(share: float) -> list[str]:
    return ["x" * max(10, int(100 * share))]


def test_both_directions_are_timed_and_the_samples_are_said() -> None:
    clock = Clock()
    timed = time_coders({"a": Racer(clock, 1e-6)}, cut, 1, clock=clock)["a"]
    assert timed.samples == 100
    assert timed.encode.seconds == pytest.approx(1e-4)
    assert timed.decode.seconds == pytest.approx(5e-5)
    assert timed.encode.timed_seconds == pytest.approx(0.2, abs=0.002)


def test_slow_coders_get_a_smaller_part_but_never_nothing() -> None:
    clock = Clock()
    racers = {"quick": Racer(clock, 1e-6), "slow": Racer(clock, 1e-3), "slowest": Racer(clock, 10)}
    timed = time_coders(racers, cut, 1, clock=clock)
    assert timed["quick"].samples == 100
    assert 10 <= timed["slow"].samples < 100
    assert timed["slowest"].samples == 10
    assert timed["slow"].encode.seconds / timed["slow"].samples == pytest.approx(1e-3)
    assert all(timing.encode.rounds >= 5 and timing.decode.rounds >= 5 for timing in timed.values())


def test_a_larger_budget_lets_slow_coders_have_more() -> None:
    samples = []
    for budget in (0.1, 1, 100):
        clock = Clock()
        samples.append(time_coders({"slow": Racer(clock, 1e-3)}, cut, budget, clock=clock)["slow"].samples)
    assert samples == sorted(samples)
    assert samples[0] < samples[-1]


def test_memcpy_copies_columns_and_data_sets(small: MetricDataset) -> None:
    column = np.arange(5)
    copied = Memcpy().encode(column)
    assert copied is not column
    assert np.array_equal(Memcpy().decode(copied), column)
    timestamps, values = Memcpy().decode(Memcpy().encode(small))
    assert np.array_equal(timestamps, small.timestamps)
    assert np.array_equal(values, small.values)


def test_what_calls_cost_is_told_apart_from_the_speed_without_them() -> None:
    class Slow:
        """Takes a second a call and a thousandth more for each value."""

        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def encode(self, column: np.ndarray) -> np.ndarray:
            self.clock.now += 1 + len(column) / 1000
            return column

        decode = encode

    clock = Clock()
    columns = [np.zeros(3000)] * 4
    timing = time_coders({"slow": Slow(clock)}, lambda share: columns, 1, clock=clock, time_calls=True)["slow"]
    assert timing.calls == 4
    assert timing.encode_call == timing.decode_call == pytest.approx(1 + 16 / 1000)
    assert timing.bulk("encode", 8 * 12_000) == pytest.approx(8 * 12_000 / (16 - 4 * 1.016) / 1e6)
    without = time_coders({"slow": Slow(clock)}, lambda share: columns, 1, clock=clock)["slow"]
    assert without.encode_call is None
    assert without.bulk("encode", 8 * 12_000) is None


def test_calls_for_many_short_columns_are_timed_of_codecs_that_have_them() -> None:
    class Many(ColumnCodec):
        """Takes a second a call, of one column or of many, and refuses long ones in one of many."""

        name, takes_many = "many", True

        def pack(self, column: np.ndarray) -> bytes:
            raise NotImplementedError

        unpack = pack

        def encode(self, column: np.ndarray) -> np.ndarray:
            clock.now += 1
            return column

        decode = encode

        def encode_many(self, columns: list[np.ndarray]) -> list[np.ndarray]:
            assert all(column.size <= LONG for column in columns)
            clock.now += 1
            return columns

        decode_many = encode_many

    class One(Many):
        takes_many = False

    clock = Clock()

    def timed(columns: list[np.ndarray]) -> dict[str, Timing]:
        return time_coders({"many": Many(), "one": One()}, lambda _: columns, 1, clock=clock, time_calls=True)

    short = timed([np.zeros(1000), np.zeros(LONG + 1), np.zeros(1000)])
    assert short["many"].encode_many == short["many"].decode_many == pytest.approx(2 * 8000 / 1e6)
    assert short["many"].encode.seconds == 3
    assert short["one"].encode_many is None
    assert timed([np.zeros(LONG + 1)] * 3)["many"].encode_many is None


# Quiet


def test_nothing_disturbs_a_race_and_all_is_as_before_afterwards() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import numcodecs.blosc

    assert "numcodecs.blosc" in sys.modules
    before = pyarrow.cpu_count(), numcodecs.blosc.get_nthreads(), gc.isenabled()
    pyarrow.set_cpu_count(3)
    numcodecs.blosc.set_nthreads(2)
    seen = []

    def look() -> None:
        seen.append((pyarrow.cpu_count(), numcodecs.blosc.get_nthreads(), gc.isenabled()))

    try:
        time_cells({"look": look}, 0, rounds=1, clock=Clock())
        assert set(seen) == {(1, 1, False)}
        assert (pyarrow.cpu_count(), numcodecs.blosc.get_nthreads(), gc.isenabled()) == (3, 2, True)
        with pytest.raises(ZeroDivisionError):
            time_cells({"fail": lambda: 1 / 0}, 0, rounds=1)
        assert (pyarrow.cpu_count(), numcodecs.blosc.get_nthreads(), gc.isenabled()) == (3, 2, True)
    finally:
        pyarrow.set_cpu_count(before[0])
        numcodecs.blosc.set_nthreads(before[1])
