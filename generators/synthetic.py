"""Server metrics as a fleet makes them: regular timestamps, rounded values, hosts and regions that move together."""

from __future__ import annotations

from functools import partial
from math import sqrt

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset
from squeezelab.errors import InvalidRequestError
from squeezelab.generators._blocks import fill_in_blocks
from squeezelab.generators._catalog import COUNT, COUNTER, DURATION, FAMILIES, PERCENT, SHAPES, Catalog, build_catalog
from squeezelab.generators._catalog import outline as outline
from squeezelab.generators._random_bits import U, bell, bits, stream_key, uniform
from squeezelab.kernels import kernel

VERSION = "1"
"""Goes up whenever a change here changes the data."""

START = 1_704_067_200
"""First scrape: 2024-01-01T00:00:00Z, plus the seconds by which a target is offset."""

INTERVAL = 15
"""Seconds between scrapes."""

DEFAULT_REGULARITY = 0.946
"""Share of deltas of deltas that are zero."""

DAY = 86_400.0
# A load fluctuation fades to a third within 40 samples, 10 minutes.
PERSISTENCE = 0.975
FRESHNESS = sqrt(1 - PERSISTENCE * PERSISTENCE)

# Purposes that streams of random numbers are kept apart by.
_TARGET, _LATE, _PAIR, _FLUCTUATION, _SERIES, _NOISE, _SPIKE = map(U, range(7))


def provenance() -> dict[str, str]:
    """Tell what besides size and seed decides the content."""
    return {"version": VERSION}


def generate(
    size: str,
    seed: int,
    *,
    regularity: float = DEFAULT_REGULARITY,
    series: range | None = None,
    workers: int | None = None,
) -> MetricDataset:
    """Make a synthetic data set.

    Parameters
    ----------
    size : {"small", "big", "huge"}
        50, 500 or 10,000 series of 1000, 1000 or 10,000 samples.
    seed : int
        The same seed gives the same bits, whatever the number of workers.
    regularity : float
        Share of deltas of deltas that are zero, from 0.25 to 1: the others come from scrapes that are a second late.
    series : range, optional
        Make these series alone, the same as among all others.
    workers : int, optional
        Threads; one a processor if not given.

    Returns
    -------
    MetricDataset

    Raises
    ------
    InvalidRequestError
        If the regularity is out of range.

    Notes
    -----
    Every pair of host and region has a load: a daily cycle with a phase and amplitude of its own, and fluctuations of
    about ten minutes. All series of a pair follow it, each around its own mean, with noise that is small where the
    pair is stable. Families and their numbers are in `squeezelab.generators._catalog`.

    Examples
    --------
    >>> generate("small", seed=1, regularity=0.8)
    <MetricDataset: 50 series, 50,000 samples>
    """
    if not 0.25 <= regularity <= 1:
        raise InvalidRequestError(f"regularity {regularity} is out of range: give a share from 0.25 to 1")
    shape = SHAPES[size]
    table = np.array([family[1:7] for family in FAMILIES], np.float64)
    late = round(late_share(regularity) * shape.samples_per_series)
    fill = partial(fill_series, U(seed), table, shape.samples_per_series, late)
    return fill_catalog(build_catalog(shape.series, series), shape.samples_per_series, fill, workers)


def late_share(regularity: float) -> float:
    """Return the share of scrapes that must be a second late for this share of zero deltas of deltas.

    A delta of delta is zero where three neighbours are all late or all on time (one late among them, or two, never
    cancel out): with a share p of late ones, (1 - p)**3 + p**3 = 1 - 3 p + 3 p**2.

    Examples
    --------
    >>> round(late_share(0.946), 5)
    0.01834
    """
    return (3 - sqrt(9 - 12 * (1 - regularity))) / 6


def fill_catalog(catalog: Catalog, samples_per_series: int, fill: partial[None], workers: int | None) -> MetricDataset:
    """Let a kernel fill the series of a catalog, a block of them at a time, on several threads.

    Parameters
    ----------
    catalog : Catalog
        The series.
    samples_per_series : int
        Samples of each.
    fill : callable
        Called with the block's rows of family, pair, target and series number, timestamps and values.
    workers : int, optional
        Threads; one a processor if not given.
    """
    series = len(catalog.keys)
    timestamps = np.empty((series, samples_per_series), np.int64)
    values = np.empty((series, samples_per_series), np.float64)
    block = max(1, 500_000 // samples_per_series)

    def fill_block(first: int) -> int:
        rows = slice(first, first + block)
        fill(
            catalog.family[rows],
            catalog.pair[rows],
            catalog.target[rows],
            catalog.number[rows],
            timestamps[rows],
            values[rows],
        )
        return len(timestamps[rows])

    fill_in_blocks(fill_block, series, block, "series", workers)
    offsets: npt.NDArray[np.int64] = np.arange(series + 1, dtype=np.int64) * samples_per_series
    return MetricDataset(catalog.keys, offsets, timestamps.reshape(-1), values.reshape(-1))


@kernel
def fill_series(seed, table, samples, late, family, pair, target, number, timestamps, values):
    """Fill rows of timestamps and values, a row a series."""
    for row in range(family.size):
        kind, low, high, swing, noise, unit = table[family[row]]
        _fill_timestamps(seed, target[row], samples, late, timestamps[row])
        restlessness = _fill_load(seed, pair[row], values[row])
        place = uniform(stream_key(seed, _SERIES, number[row]), U(0))
        mean = low + (high - low) * place * place
        noise_key = stream_key(seed, _NOISE, number[row])
        if kind == COUNTER:
            _count_up(noise_key, mean, swing, noise * restlessness, unit, values[row])
        else:
            _read_gauge(noise_key, mean, swing, noise * restlessness, values[row])
            if kind == DURATION:
                _add_spikes(stream_key(seed, _SPIKE, number[row]), values[row])
                _round_durations(values[row])
            elif kind == PERCENT:
                _round_percentages(values[row])
            elif kind == COUNT:
                _round_counts(values[row])


@kernel
def _fill_timestamps(seed, target, samples, late, timestamps):
    """Scrape every 15 s; of all scrapes, exactly ``late`` ones chosen at random are a second late.

    Knuth's selection sampling (The Art of Computer Programming 2, 3.4.2, algorithm S), in integers.
    """
    first = np.int64(START) + np.int64(bits(stream_key(seed, _TARGET, target), U(0)) % U(INTERVAL))
    key = stream_key(seed, _LATE, target)
    needed = U(late)
    for i in range(samples):
        left = U(samples - i)
        is_late = (bits(key, U(i)) >> U(32)) * left < needed << U(32)
        needed -= U(is_late)
        timestamps[i] = first + INTERVAL * i + is_late


@kernel
def _fill_load(seed, pair, load):
    """Fill in the load of a pair, around 0, mostly within -1 to 1; return how restless the pair is, 0.02 to 1."""
    key = stream_key(seed, _PAIR, pair)
    phase = uniform(key, U(0))
    amplitude = 0.4 + 0.6 * uniform(key, U(1))
    stability = uniform(key, U(2))
    fluctuation_key = stream_key(seed, _FLUCTUATION, pair)
    fluctuation = bell(fluctuation_key, U(0))
    for i in range(load.size):
        turn = INTERVAL * i / DAY + phase
        fluctuation = PERSISTENCE * fluctuation + FRESHNESS * bell(fluctuation_key, U(i + 1))
        load[i] = amplitude * (0.4 * _wave(turn) + 0.4 * fluctuation)
    return 0.02 + 0.98 * (1.0 - stability) * (1.0 - stability)


@kernel(forceinline=True)
def _wave(turn):
    """Return a sine of so many turns, within 0.001, from parabolas: sums and products alone are exact everywhere."""
    turn -= np.floor(turn + 0.5)
    arch = 8.0 * turn - 16.0 * turn * abs(turn)
    return 0.775 * arch + 0.225 * arch * abs(arch)


@kernel
def _read_gauge(key, mean, swing, noise, values):
    """Turn loads into readings around a mean."""
    for i in range(values.size):
        values[i] = mean * max(0.0, 1.0 + swing * values[i] + noise * bell(key, U(i)))


@kernel
def _count_up(key, rate, swing, noise, unit, values):
    """Turn loads into a counter that grows by whole units and never falls."""
    total = np.floor(rate * DAY * (1.0 + 30.0 * uniform(key, U(values.size))) / unit)
    for i in range(values.size):
        growth = max(0.0, 1.0 + swing * values[i] + noise * bell(key, U(i)))
        total += np.rint(rate * INTERVAL * growth / unit)
        values[i] = total * unit


@kernel
def _add_spikes(key, values):
    """Let one request in five hundred take one and a half to two and a half times as long."""
    for i in range(values.size):
        chance = uniform(key, U(i)) * 500.0
        if chance < 1.0:
            values[i] *= 1.5 + chance


@kernel
def _round_percentages(values):
    for i in range(values.size):
        values[i] = np.rint(min(values[i], 100.0) * 10.0) / 10.0


@kernel
def _round_durations(values):
    for i in range(values.size):
        steps = 100.0 if values[i] < 10.0 else 10.0 if values[i] < 100.0 else 1.0
        values[i] = np.rint(values[i] * steps) / steps


@kernel
def _round_counts(values):
    for i in range(values.size):
        values[i] = np.rint(values[i])
