"""Who is smallest on each metric family and on each series, and the facts that explain it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.experiment.facts import combine, explain_series
from squeezelab.experiment.proof import Proof
from squeezelab.results import Explained, Explanation, Measurement, Winner

MOST_SERIES = 200
"""Of data sets with more series than these, families alone are explained."""


def explain_dataset(
    part: MetricDataset,
    keys: Sequence[SeriesKey],
    lengths: npt.NDArray[np.int64],
    proofs: Mapping[str, Mapping[str, Mapping[int, Proof]]],
    measurements: Sequence[Measurement],
    threads: int | None = None,
) -> list[Explained]:
    """Name and explain the winners on each metric family, and on each of its series where there are not too many.

    Parameters
    ----------
    part : MetricDataset
        The series that are looked at: all, or some of each family.
    keys : sequence of SeriesKey
        Of the whole data set.
    lengths : int64[series]
        Samples of each.
    proofs : mapping
        By subject, by codec, by number of the series in the whole.
    measurements : sequence of Measurement
        Of families and of all together: what is lossy is known from them.
    threads : int, optional
        That look at series; one a processor if not given.

    Returns
    -------
    list of Explained
        Families first. A series that is all of its family is not told twice.
    """
    with ThreadPoolExecutor(threads) as pool:
        facts = list(pool.map(lambda series: explain_series(series.timestamps, series.values, part.time_unit), part))
    samples: dict[str, int] = {}
    for key, length in zip(keys, lengths.tolist(), strict=True):
        samples[key.metric_name] = samples.get(key.metric_name, 0) + length
    families: dict[str, list[Explanation]] = {}
    for key, one in zip(part.keys, facts, strict=True):
        families.setdefault(key.metric_name, []).append(one)
    measured: dict[tuple[str, str | None], list[Measurement]] = {}
    for each in measurements:
        measured.setdefault((each.subject, each.metric), []).append(each)
    explained = [
        Explained(
            family,
            None,
            samples[family],
            combine(ones),
            **{subject: _family_winner(measured.get((subject, family), ()), samples[family]) for subject in proofs},
        )
        for family, ones in families.items()
    ]
    if len(keys) > MOST_SERIES:
        return explained
    lossless = {(one.subject, one.codec) for one in measurements}
    lossless -= {(one.subject, one.codec) for one in measurements if one.lossy}
    numbers = {key: number for number, key in enumerate(keys)}
    return explained + [
        Explained(
            key.metric_name,
            str(key),
            int(lengths[numbers[key]]),
            one,
            **{
                subject: _winner(
                    (codec, 8 * proven[numbers[key]].encoded_bytes / int(lengths[numbers[key]]))
                    for codec, proven in by_codec.items()
                    if (subject, codec) in lossless and numbers[key] in proven
                )
                for subject, by_codec in proofs.items()
            },
        )
        for key, one in zip(part.keys, facts, strict=True)
        if one.samples and len(families[key.metric_name]) > 1
    ]


def _family_winner(measurements: Sequence[Measurement], samples: int) -> Winner | None:
    """Return the winner of those that ran on the whole family: bits of a part are those of other data."""
    return _winner(
        (one.codec, one.bits_per_item) for one in measurements if one.samples == samples and samples and not one.lossy
    )


def _winner(bits: Iterable[tuple[str, float]]) -> Winner | None:
    order = sorted(bits, key=lambda one: one[1])
    return Winner(*order[0], *(order[1] if len(order) > 1 else ())) if order else None
