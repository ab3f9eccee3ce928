"""The same series without any pattern: what codecs make of metrics that have nothing to offer."""

from __future__ import annotations

from functools import partial

import numpy as np

from squeezelab.dataset import MetricDataset
from squeezelab.generators._catalog import COUNTER, FAMILIES, SHAPES, build_catalog
from squeezelab.generators._catalog import outline as outline
from squeezelab.generators._random_bits import U, bits, stream_key, uniform
from squeezelab.generators.synthetic import INTERVAL, START, fill_catalog
from squeezelab.kernels import kernel

VERSION = "1"
"""Goes up whenever a change here changes the data."""

JITTER = 7
"""Most seconds that a timestamp is early or late: short of half the interval, so that time never runs backwards."""

_JITTER, _VALUE = U(100), U(101)


def provenance() -> dict[str, str]:
    """Tell what besides size and seed decides the content."""
    return {"version": VERSION}


def generate(size: str, seed: int, *, series: range | None = None, workers: int | None = None) -> MetricDataset:
    """Make a random data set: the names and labels of the synthetic one, jittered timestamps, full doubles.

    Parameters
    ----------
    size : {"small", "big", "huge"}
        50, 500 or 10,000 series of 1000, 1000 or 10,000 samples.
    seed : int
        The same seed gives the same bits, whatever the number of workers.
    series : range, optional
        Make these series alone, the same as among all others.
    workers : int, optional
        Threads; one a processor if not given.

    Returns
    -------
    MetricDataset

    Notes
    -----
    A gauge reads any double of its family's range, each as likely as the next; a counter grows by any double of its
    own. No two series and no two neighbouring samples have anything to do with each other.

    Examples
    --------
    >>> generate("small", seed=0)
    <MetricDataset: 50 series, 50,000 samples>
    """
    shape = SHAPES[size]
    table = np.array([(family.kind, family.low, family.high) for family in FAMILIES], np.float64)
    fill = partial(fill_series, U(seed), table, shape.samples_per_series)
    return fill_catalog(build_catalog(shape.series, series), shape.samples_per_series, fill, workers)


@kernel
def fill_series(seed, table, samples, family, pair, target, number, timestamps, values):
    """Fill rows of timestamps and values, a row a series; pairs and targets make no difference."""
    for row in range(family.size):
        kind, low, high = table[family[row]]
        jitter_key = stream_key(seed, _JITTER, number[row])
        value_key = stream_key(seed, _VALUE, number[row])
        total = 0.0
        for i in range(samples):
            jitter = np.int64(bits(jitter_key, U(i)) % U(2 * JITTER + 1)) - JITTER
            timestamps[row, i] = START + INTERVAL * (i + 1) + jitter
            reading = low + (high - low) * uniform(value_key, U(i))
            if kind == COUNTER:
                total += INTERVAL * reading
                reading = total
            values[row, i] = reading
