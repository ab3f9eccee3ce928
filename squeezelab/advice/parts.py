"""Parts of a data set: one that represents it, and the earlier half of it."""

from __future__ import annotations

import numpy as np

from squeezelab.dataset import MetricDataset, Series


def part_of(dataset: MetricDataset, samples: int) -> MetricDataset:
    """Return a part that represents a data set: label sets evenly spread, windows of time that are the same for all.

    Every metric family is in it, and series of one label set stay together, as a wide table needs it.

    Parameters
    ----------
    dataset : MetricDataset
    samples : int
        About how many; all that there are where these are not more.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> dataset = generate_metric_data("synthetic", "small")
    >>> part = part_of(dataset, 10_000)
    >>> 5_000 < len(part) < 20_000, {key.metric_name for key in part.keys} == {key.metric_name for key in dataset.keys}
    (True, True)
    """
    if len(dataset) <= samples:
        return dataset
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for number, key in enumerate(dataset.keys):
        groups.setdefault(tuple(key.labels.items()), []).append(number)
    members, lengths = list(groups.values()), np.diff(dataset.offsets)
    # A van der Corput order: whatever number of them is taken from its beginning lies evenly spread.
    bits = max(1, (len(members) - 1).bit_length())
    spread = sorted(range(len(members)), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    chosen: list[int] = []
    families = {key.metric_name for key in dataset.keys}
    for i in spread:
        mine = {dataset.keys[number].metric_name for number in members[i]}
        if lengths[chosen].sum() < samples or mine & families:
            chosen += members[i]
            families -= mine
    part = dataset.select(sorted(chosen))
    share = samples / len(part)
    if share > 0.8:
        return part
    low, high = (np.quantile(part.timestamps, q, method="nearest") for q in (0.5 - share / 2, 0.5 + share / 2))
    windows = []
    for series in part:
        inside = slice(*np.searchsorted(series.timestamps, [low, high]))
        if inside.start < inside.stop:
            windows.append(Series(series.key, series.timestamps[inside], series.values[inside]))
    return MetricDataset.from_series(windows, time_unit=dataset.time_unit)


def first_half(dataset: MetricDataset) -> MetricDataset:
    """Return the earlier half of the samples of each series: with it, what each further sample takes can be told."""
    halves = [
        Series(key, timestamps[: -(-len(timestamps) // 2)], values[: -(-len(values) // 2)])
        for key, timestamps, values in dataset
    ]
    return MetricDataset.from_series(halves, time_unit=dataset.time_unit)
