"""Noise: digits that arithmetic left are named, with what rounding costs; counters and decimals are left alone."""

import numpy as np
import pytest
from conftest import PROJECT

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.advice.advised import advise
from squeezelab.advice.noise import find_noise, rounded
from squeezelab.readers import load


def of(values: np.ndarray) -> MetricDataset:
    return MetricDataset.from_series([Series(SeriesKey("load", {}), np.arange(len(values)), values)])


def test_sums_of_decimals_are_named_with_their_digits_and_largest_error() -> None:
    values = np.cumsum(np.tile([0.1, 0.2, -0.3, 0.7, -0.7], 100))
    (noise,) = find_noise(of(values))
    assert (noise.metric, noise.decimals) == ("load", 1)
    assert 0 < noise.largest_error < 1e-12
    assert noise.largest_error == np.max(np.abs(np.round(values, 1) - values))


def test_decimals_counters_and_what_is_constant_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    assert not list(find_noise(of(np.round(rng.normal(size=500), 2))))
    assert not list(find_noise(of(np.cumsum(rng.random(500)))))
    assert not list(find_noise(of(np.full(500, 0.1 + 0.2))))


def test_bits_that_tell_nothing_of_the_next_value_are_false_precision() -> None:
    rng = np.random.default_rng(2)
    slow = 1000 + np.cumsum(rng.normal(size=20_000))
    (noise,) = find_noise(of(slow + rng.normal(scale=1e-3, size=20_000)))
    assert noise.decimals <= 4
    assert noise.largest_error <= 0.5 * 10.0**-noise.decimals * (1 + 1e-9)


def test_rounding_keeps_nan_infinities_and_other_families() -> None:
    values = np.array([0.1 + 0.2, np.nan, np.inf, -np.inf, 1.05, -0.0])
    dataset = MetricDataset.from_series(
        [Series(SeriesKey(name, {}), np.arange(6), values) for name in ("load", "other")]
    )
    (noise,) = find_noise(of(np.cumsum(np.tile([0.1, 0.2, -0.3], 100))))
    back = rounded(dataset, noise)
    assert back.values[0] == 0.3
    assert np.isnan(back.values[1])
    assert back.values[2:4].tolist() == [np.inf, -np.inf]
    assert (back.values[6:].view("u8") == values.view("u8")).all()


@pytest.fixture(scope="module")
def westermo() -> MetricDataset:
    """Real readings: loads of two decimals, memory in whole pages, shares of a CPU that were subtracted."""
    return load([PROJECT / "tests/data/westermo_slices"]).dataset


def test_real_shares_of_a_cpu_are_named_and_loads_and_memory_are_not(westermo: MetricDataset) -> None:
    found = {one.metric: one for one in find_noise(westermo)}
    assert found["cpu-user"].decimals == 4
    assert not {"load-1m", "load-15m", "sys-mem-free", "sys-mem-total"} & set(found)
    for metric, one in found.items():
        values = np.concatenate([series.values for series in westermo if series.key.metric_name == metric])
        assert one.largest_error == np.max(np.abs(np.round(values, one.decimals) - values))


def test_real_noise_is_told_with_what_it_would_save_and_nothing_is_rounded(westermo: MetricDataset) -> None:
    advice = advise(westermo, "parquet_duckdb").advice
    saved = {one.metric: one.saved_bytes for one in advice.noise if one.saved_bytes}
    assert saved["cpu-user"] > 100
    assert all(one.bit_exact for one in advice.settings)
    assert "round" not in "".join(advice.statements.values()).lower()
