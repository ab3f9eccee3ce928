"""Data that every engine is given: a fleet of servers, shaped as Westermo's, and doubles at the edges."""

import numpy as np
import pytest

from squeezelab import MetricDataset, SeriesKey
from squeezelab.dataset import Series
from squeezelab.testing.edges import SPECIAL_WORDS

START = 1_700_000_000
METRICS = {
    "cpu_user": lambda rng, n: np.round(rng.gamma(2, 0.02, n), 4),
    "load_15m": lambda rng, n: np.round(9 + 0.01 * np.cumsum(rng.normal(size=n)), 2),
    "sys_mem_free": lambda rng, n: 4096 * np.floor(1e5 + np.cumsum(rng.normal(size=n) * 40)),
    "sys_interrupt_rate": lambda rng, n: np.cumsum(rng.integers(0, 90, n)) / 30,
    "disk_io_time": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.random(n)),
    "sys_fork_rate": lambda rng, n: np.repeat(rng.integers(0, 5, n // 50 + 1), 50)[:n] / 10,
}


@pytest.fixture(scope="session")
def small_fleet() -> MetricDataset:
    """Westermo's shape: systems with the same metrics at the same times, every 30 seconds, with gaps and jitter."""
    rng = np.random.default_rng(10)
    series = []
    for system in range(3):
        steps = 30 + (rng.random(600) < 0.02) * rng.integers(1, 40, 600)
        times = START + 3 * system + np.cumsum(steps)
        for name, draw in METRICS.items():
            series.append(Series(SeriesKey(name, {"system": f"system-{system}"}), times, draw(rng, len(times))))
    return MetricDataset.from_series(series)


@pytest.fixture(scope="session")
def edge_doubles() -> MetricDataset:
    """One series of NaN payloads, infinities, -0.0, extremes and random bits."""
    rng = np.random.default_rng(7)
    words = np.concatenate([np.array(SPECIAL_WORDS, np.uint64), rng.integers(0, 2**64, 200, np.uint64)])
    times = START + 15 * np.arange(len(words))
    return MetricDataset([SeriesKey("edge", {})], np.array([0, len(words)]), times, words.view(np.float64))


@pytest.fixture(scope="session")
def odd_names() -> MetricDataset:
    """Names and labels of any characters, each in every place."""
    texts = [" ", "a", "A", "\0", "\n", '"', "\\", "'", ",", "=", "#", "{}", "$1", "null", "time", "value", "__name__"]
    texts += [
        "U__a",
        "U__",
        "_",
        "a_b",
        "12",
        "2020-01-01",
        "\u00e4",
        "\u2028",
        "\U0001f600",
        "'; DROP TABLE series; --",
    ]
    keys = [SeriesKey(one, {other: one}) for one in texts for other in texts]
    keys += [SeriesKey("", {"a": "b"}), SeriesKey("", {}), SeriesKey("no labels", {}), SeriesKey("a", {"": "no name"})]
    keys += [SeriesKey("n" * 200, {"l" * 200: "v" * 3000}), SeriesKey("many", {f"l{i}": f"v{i}" for i in range(25)})]
    count = len(keys)
    return MetricDataset(keys, np.arange(count + 1), np.full(count, START + 600), np.arange(float(count)))
