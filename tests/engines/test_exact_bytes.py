"""Bytes that were the same in three runs, of the versions that they were seen with."""

import pytest

from running import need
from squeezelab import MetricDataset
from squeezelab.engines import Session, engine_classes, get_engine

SEEN = {
    "clickhouse": ("26.9.0", {"values": 29574, "timestamps": 18533, "index": 1407}),
    "clickhouse:timestamps=DoubleDelta,values=NONE,zstd=3": (
        "26.9.0",
        {"values": 21065, "timestamps": 2097, "index": 1407},
    ),
    "clickhouse:table=ids,timestamps=DoubleDelta,values=Gorilla": (
        "26.9.0",
        {"values": 34358, "timestamps": 1710, "index": 1627},
    ),
    "clickhouse:table=timeseries": ("26.9.0", {"values": 21589, "timestamps": 1507, "index": 3489}),
    "influxdb": ("1.6.7", {"values": 39396, "timestamps": 7794}),
    "postgresql": ("18.6", {"samples": 565248, "index": 409600}),
    "prometheus": ("2.42.0", {"samples": 42701, "index": 4295}),
    "prometheus:block=31d": ("2.42.0", {"samples": 43138, "index": 2285}),
    "sqlite": ("3.40.1", {"samples": 196608, "index": 8192}),
    "tiledb": ("0.36.1", {"values": 86432, "timestamps": 3907}),
    "tiledb:timestamps=double_delta,values=none,level=19": ("0.36.1", {"values": 19335, "timestamps": 474}),
}
"""Of 18 series of 600 samples."""


@pytest.mark.parametrize("spec", SEEN)
def test_bytes_are_those_that_were_seen(spec: str, small_fleet: MetricDataset) -> None:
    version, seen = SEEN[spec]
    here = engine_classes()[need(spec).partition(":")[0]].version()
    if here != version:
        pytest.skip(f"these bytes are of version {version}, here is {here}")
    with Session(get_engine(spec), limit=120) as session:
        session.start("s")
        session.call("ingest", small_fleet)
        session.call("compact")
        sizes = session.call("sizes").value
    assert {part: sizes[part] for part in seen} == seen
