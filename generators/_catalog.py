"""Which series the synthetic and the random source make: metric families, hosts, regions, environments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import SeriesKey

PERCENT, DURATION, COUNT, COUNTER = range(4)
"""Kinds of reading; they decide how values move and how they are rounded."""


class Family(NamedTuple):
    """A metric name and how its readings behave.

    ``low`` to ``high`` is where a series has its mean (a counter: its growth a second), ``swing`` how far full load
    takes it from there and ``noise`` how far chance does, both as shares of the mean. Readings are multiples of
    ``unit`` where the kind counts. ``extra`` says which labels its series have besides host, region and environment.
    """

    metric_name: str
    kind: int
    low: float
    high: float
    swing: float
    noise: float
    unit: float
    extra: str


FAMILIES = (
    Family("cpu_usage_percent", PERCENT, 15, 60, 0.50, 0.10, 0.1, ""),
    Family("memory_usage_percent", PERCENT, 30, 75, 0.20, 0.02, 0.1, ""),
    Family("http_requests_total", COUNTER, 0.5, 40, 0.60, 0.15, 1, "http"),
    Family("http_request_duration_ms", DURATION, 2, 120, 0.60, 0.08, 0.01, "http"),
    Family("response_time_ms", DURATION, 5, 300, 0.60, 0.08, 0.01, ""),
    Family("disk_io_bytes_total", COUNTER, 10_000, 2_000_000, 0.60, 0.30, 4096, "disk"),
    Family("network_bytes_total", COUNTER, 5_000, 5_000_000, 0.60, 0.20, 1, "network"),
    Family("active_connections", COUNT, 10, 400, 0.60, 0.05, 1, ""),
    Family("queue_size", COUNT, 3, 30, 0.90, 0.10, 1, ""),
    Family("error_rate_percent", PERCENT, 0.5, 4, 0.80, 0.10, 0.1, ""),
)

REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "ap-southeast-1")
ENVIRONMENTS = ("production", "staging", "development")
METHODS = ("GET", "POST", "PUT", "DELETE")
STATUS_CODES = ("200", "201", "204", "301", "400", "404", "500", "503")
DISKS = ("nvme0n1", "nvme1n1", "sda", "sdb")
INTERFACES = ("eth0", "eth1", "ens5", "bond0")
FEWEST_HOSTS = 5


class Shape(NamedTuple):
    """How many series of how many samples a size has."""

    series: int
    samples_per_series: int


SHAPES = {"small": Shape(50, 1_000), "big": Shape(500, 1_000), "huge": Shape(10_000, 10_000)}


@dataclass(frozen=True)
class Catalog:
    """The series of a data set, and what kernels need to know of each.

    Attributes
    ----------
    keys : list of SeriesKey
        Names and labels.
    family : int64[series]
        Index into `FAMILIES`.
    pair : uint64[series]
        Number of the host and region: series of one pair follow one load.
    target : uint64[series]
        Number of the host, region and environment: series of one target are scraped together.
    number : uint64[series]
        Number of the series itself.
    """

    keys: list[SeriesKey]
    family: npt.NDArray[np.int64]
    pair: npt.NDArray[np.uint64]
    target: npt.NDArray[np.uint64]
    number: npt.NDArray[np.uint64]


def outline(size: str) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
    """Return the series of a size, and how many samples each of them has, without making any."""
    shape = SHAPES[size]
    return build_catalog(shape.series).keys, np.full(shape.series, shape.samples_per_series, np.int64)


def build_catalog(series: int, part: range | None = None) -> Catalog:
    """Lay out this many series, or a part of them: every target has all ten families, as a real exporter would.

    Examples
    --------
    >>> print(build_catalog(50).keys[0])
    cpu_usage_percent{environment="production",host="server-001",region="us-east-1"}
    """
    targets = -(-series // len(FAMILIES))
    hosts = max(FEWEST_HOSTS, -(-targets // (len(REGIONS) * len(ENVIRONMENTS))))
    keys, family, pair, target = [], [], [], []
    chosen = range(series) if part is None else part
    for number in chosen:
        place, kind = divmod(number, len(FAMILIES))
        turn, host = divmod(place, hosts)
        region = (host + turn) % len(REGIONS)
        environment = (host + turn // len(REGIONS)) % len(ENVIRONMENTS)
        labels = {
            "host": f"server-{host + 1:03d}",
            "region": REGIONS[region],
            "environment": ENVIRONMENTS[environment],
        }
        keys.append(SeriesKey(FAMILIES[kind].metric_name, labels | _extra_labels(FAMILIES[kind].extra, place)))
        family.append(kind)
        pair.append(host * len(REGIONS) + region)
        target.append(place)
    return Catalog(
        keys,
        np.array(family, np.int64),
        np.array(pair, np.uint64),
        np.array(target, np.uint64),
        np.array(chosen, np.uint64),
    )


def _extra_labels(extra: str, place: int) -> dict[str, str]:
    match extra:
        case "http":
            turn, method = divmod(place, len(METHODS))
            return {"method": METHODS[method], "status_code": STATUS_CODES[(turn + method) % len(STATUS_CODES)]}
        case "disk":
            return {"device": DISKS[place % len(DISKS)]}
        case "network":
            return {"device": INTERFACES[place % len(INTERFACES)]}
        case _:
            return {}
