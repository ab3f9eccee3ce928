"""Rates of counters as Prometheus has them."""

from __future__ import annotations

import numpy as np

from squeezelab.kernels.cache import kernel


@kernel
def prometheus_rate(timestamps, values, moments, span, rates):
    """Fill in ``rate()`` of a counter at each moment, per unit of time; NaN where there are fewer than two samples.

    As Prometheus 3 has it (promql/functions.go, extrapolatedRate): of the samples after ``moment - span``, up to the
    moment, the growth, where a fall counts as a reset to zero; extrapolated to both ends of the range, but over no more
    than half an average interval where the nearest sample is further than 1.1 of them, and to no time at which the
    counter would have been below zero.
    """
    first = last = 0
    for i in range(moments.size):
        start = moments[i] - span
        while first < timestamps.size and timestamps[first] <= start:
            first += 1
        while last < timestamps.size and timestamps[last] <= moments[i]:
            last += 1
        if last - first < 2:
            rates[i] = np.nan
            continue
        growth = values[last - 1] - values[first]
        for k in range(first + 1, last):
            if values[k] < values[k - 1]:
                growth += values[k - 1]
        sampled = float(timestamps[last - 1] - timestamps[first])
        average = sampled / (last - first - 1)
        before, after = float(timestamps[first] - start), float(moments[i] - timestamps[last - 1])
        if before >= 1.1 * average:
            before = average / 2
        if growth > 0 and values[first] >= 0:
            before = min(before, sampled * values[first] / growth)
        if after >= 1.1 * average:
            after = average / 2
        rates[i] = growth * ((sampled + before + after) / sampled) / span if sampled > 0 else np.nan
