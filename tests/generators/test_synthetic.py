"""What the synthetic source promises of its data."""

import collections
import itertools

import numpy as np
import pytest

from squeezelab import MetricDataset, generate_metric_data
from squeezelab.errors import InvalidRequestError
from squeezelab.generators import synthetic
from squeezelab.generators._catalog import FAMILIES, SHAPES, build_catalog

COUNTERS = ("http_requests_total", "disk_io_bytes_total", "network_bytes_total")


@pytest.fixture(scope="module")
def big() -> MetricDataset:
    return generate_metric_data("synthetic", "big")


def by_family(dataset: MetricDataset) -> dict[str, list[np.ndarray]]:
    families = collections.defaultdict(list)
    for series in dataset:
        families[series.key.metric_name].append(series.values)
    return families


@pytest.mark.parametrize(("size", "series", "samples"), [("small", 50, 50_000), ("big", 500, 500_000)])
def test_counts_are_exact(size: str, series: int, samples: int) -> None:
    dataset = generate_metric_data("synthetic", size)
    assert (len(dataset.keys), len(dataset)) == (series, samples)
    assert set(np.diff(dataset.offsets)) == {1000}


def test_huge_is_ten_thousand_series_of_ten_thousand() -> None:
    assert SHAPES["huge"] == (10_000, 10_000)


@pytest.mark.parametrize("series", [50, 500, 10_000])
def test_every_series_has_a_name_and_labels_of_its_own(series: int) -> None:
    keys = build_catalog(series).keys
    assert len(set(keys)) == len(keys) == series
    assert {key.metric_name for key in keys} == {family.metric_name for family in FAMILIES}
    assert len({key.labels["region"] for key in keys}) == 4
    assert len({key.labels["environment"] for key in keys}) == 3
    assert len({key.labels["host"] for key in keys}) == (5 if series <= 500 else 84)
    assert all("status_code" in key.labels for key in keys if key.metric_name.startswith("http_"))
    assert all("method" in key.labels for key in keys if key.metric_name.startswith("http_"))
    assert all("device" in key.labels for key in keys if key.metric_name.endswith("_bytes_total"))


@pytest.mark.parametrize("size", ["small", "big"])
@pytest.mark.parametrize("seed", range(5))
def test_nine_of_ten_deltas_of_deltas_are_zero(size: str, seed: int) -> None:
    dataset = synthetic.generate(size, seed)
    intervals = np.concatenate([np.diff(series.timestamps) for series in dataset])
    changes = np.concatenate([np.diff(series.timestamps, 2) for series in dataset])
    assert (changes == 0).mean() == pytest.approx(0.946, abs=0.005)
    assert (intervals == 15).mean() >= 0.8
    assert set(intervals) == {14, 15, 16}


@pytest.mark.parametrize("regularity", [0.25, 0.5, 0.8, 0.99])
def test_regularity_is_a_parameter(regularity: float) -> None:
    dataset = synthetic.generate("big", 3, regularity=regularity)
    changes = np.concatenate([np.diff(series.timestamps, 2) for series in dataset])
    assert (changes == 0).mean() == pytest.approx(regularity, abs=0.02)


def test_full_regularity_is_a_perfect_clock() -> None:
    dataset = synthetic.generate("small", 0, regularity=1)
    assert set(np.concatenate([np.diff(series.timestamps) for series in dataset])) == {15}


@pytest.mark.parametrize("regularity", [0.2, 1.1, -1])
def test_impossible_regularity_is_rejected(regularity: float) -> None:
    with pytest.raises(InvalidRequestError, match="regularity"):
        synthetic.generate("small", 0, regularity=regularity)


def test_series_of_one_target_are_scraped_together(small: MetricDataset) -> None:
    scrapes = collections.defaultdict(set)
    for series in small:
        target = tuple(series.key.labels[name] for name in ("host", "region", "environment"))
        scrapes[target].add(series.timestamps.tobytes())
    assert len(scrapes) == 5
    assert all(len(one) == 1 for one in scrapes.values())
    assert len(set.union(*scrapes.values())) == 5


def decimals(values: np.ndarray, most: int) -> bool:
    return bool(np.all(values == np.round(values, most)))


def test_values_are_rounded_by_kind(big: MetricDataset) -> None:
    for name, columns in by_family(big).items():
        values = np.concatenate(columns)
        if name.endswith("percent"):
            assert decimals(values, 1)
            assert values.min() >= 0
            assert values.max() <= 100
        elif name.endswith("_ms"):
            assert decimals(values[values < 10], 2)
            assert decimals(values[(values >= 10) & (values < 100)], 1)
            assert decimals(values[values >= 100], 0)
            assert not decimals(values[values < 10], 1) or not (values < 10).any()
        else:
            assert decimals(values, 0)
            assert values.min() >= 0


def test_counters_never_fall(big: MetricDataset) -> None:
    families = by_family(big)
    for name in COUNTERS:
        assert all(np.diff(values).min() >= 0 for values in families[name])
        assert all(values[-1] > values[0] for values in families[name])


def test_values_stay_whole_numbers_that_doubles_can_hold(big: MetricDataset) -> None:
    assert big.values.max() < 2**53


def test_gauges_of_one_host_and_region_move_together_and_others_do_not(big: MetricDataset) -> None:
    gauges: dict[tuple[str, str], dict[str, np.ndarray]] = collections.defaultdict(dict)
    for series in big:
        if series.key.metric_name not in COUNTERS:
            pair = series.key.labels["host"], series.key.labels["region"]
            gauges[pair][series.key.metric_name] = series.values
    assert len(gauges) == 20
    for one, other in itertools.combinations(gauges[next(iter(gauges))], 2):
        together = [np.corrcoef(gauge[one], gauge[other])[0, 1] for gauge in gauges.values()]
        apart = [np.corrcoef(gauges[a][one], gauges[b][other])[0, 1] for a, b in itertools.permutations(gauges, 2)]
        assert min(together) > 0.35, (one, other)
        assert np.mean(together) > 0.8, (one, other)
        assert abs(np.mean(apart)) < 0.1, (one, other)
        assert np.mean(np.abs(apart)) < 0.3, (one, other)


def test_load_follows_a_day() -> None:
    # 10,000 samples are 41 hours: a daily wave shows as likeness with itself a day later.
    from squeezelab.generators._random_bits import U

    alike = []
    for pair in range(20):
        load = np.empty(10_000)
        synthetic._fill_load(U(0), U(pair), load)
        a_day = 86_400 // 15
        alike.append(np.corrcoef(load[:-a_day], load[a_day:])[0, 1])
    assert np.mean(alike) > 0.2


def test_stable_pairs_are_quieter() -> None:
    from squeezelab.generators._random_bits import U

    restless = [synthetic._fill_load(U(0), U(pair), np.empty(1)) for pair in range(200)]
    assert min(restless) < 0.05
    assert max(restless) > 0.8


@pytest.mark.parametrize("source", ["synthetic", "random"])
def test_the_same_seed_gives_the_same_bits_whatever_the_workers(source: str) -> None:
    from squeezelab.generators import find_source

    module = find_source(source)
    alone = module.generate("big", 11, workers=1)
    assert alone.fingerprint == module.generate("big", 11, workers=2).fingerprint
    assert alone.fingerprint == module.generate("big", 11, workers=7).fingerprint
    assert alone.fingerprint != module.generate("big", 12, workers=1).fingerprint


@pytest.mark.parametrize(
    ("source", "fingerprint"),
    [("synthetic", "78dc93aff32519f6a3c031277cd5b504"), ("random", "ce3f753f484c5af8bcbbe006b18b925d")],
)
def test_seed_0_is_recorded_for_good(source: str, fingerprint: str) -> None:
    # The data are the same on every machine; whoever changes them on purpose raises VERSION and records them anew.
    assert generate_metric_data(source, "small").fingerprint == fingerprint


def test_random_has_the_same_series_and_none_of_the_patterns(small: MetricDataset) -> None:
    random = generate_metric_data("random", "small")
    assert random.keys == small.keys
    changes = np.concatenate([np.diff(series.timestamps, 2) for series in random])
    assert (changes == 0).mean() < 0.1
    assert all(np.diff(series.timestamps).min() > 0 for series in random)
    families = by_family(random)
    for name in COUNTERS:
        assert all(np.diff(values).min() >= 0 for values in families[name])
    gauges = np.concatenate(
        [values for name, columns in families.items() if name not in COUNTERS for values in columns]
    )
    assert len(np.unique(gauges)) > 0.999 * len(gauges)
    assert not decimals(gauges, 6)
    cpu = families["cpu_usage_percent"]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.15 for a, b in itertools.combinations(cpu, 2))
