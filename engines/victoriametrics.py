"""VictoriaMetrics, its own single-node server: remote write in, its parts on disk, its export out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.engines._remote import (
    HEADERS,
    NAME,
    from_milliseconds,
    plain_labels,
    span_in_milliseconds,
    to_key,
    write_requests,
)
from squeezelab.engines._server import HttpServer
from squeezelab.errors import EngineError

HOUR = 3_600_000
LATEST = 2**43
"""Milliseconds, in the year 2248: no query of everything needs to reach beyond."""
FILES = {"values.bin": "values", "timestamps.bin": "timestamps", "index.bin": "index", "metaindex.bin": "index"}
PENDING = re.compile(r"^vm_(?:pending_rows|active_merges|active_force_merges)(?:\{[^}]*\})? (\S+)", re.MULTILINE)
COMPACTED_SECONDS = 240.0
STILL_SECONDS = 0.5
INFINITY = re.compile(rb'"?\+?(-?)[Ii]nf(?:inity)?"?')


class VictoriaMetrics(HttpServer):
    """VictoriaMetrics, single node, all parts of a month merged.

    Notes
    -----
    Samples come by remote write, and go by ``/api/v1/export``. It keeps about 12 to 15 significant digits in a block of
    decimals with one exponent, no -0.0, no time before 1970, none later than two days from now, and milliseconds; what
    is NaN it does not tell. A label without a value is none to it, of more than 30 labels the rest is dropped, names
    are cut to 256 bytes and values to 16 KiB: its own limits, left as they are.
    Sources: https://docs.victoriametrics.com/single-server-victoriametrics/, lib/decimal of its source
    """

    name = "victoriametrics"
    title = "VictoriaMetrics"
    debian = "victoria-metrics"
    program = "victoria-metrics"
    told = r"-tags-v(\d[0-9.]*)"
    ready = "/health"
    samples_a_second = 1e5
    flags: tuple[str, ...] = ("-retentionPeriod=100y",)
    """What of its command line is for its users to choose."""

    def start(self, folder: Path, time_unit: str) -> None:
        """Start the server; queries see what was written without delay, and nothing is cached for them."""
        self.time_unit, self.data = time_unit, folder / "data"
        self.launch(
            folder,
            f"-storageDataPath={self.data}",
            "-httpListenAddr=127.0.0.1:{port}",
            *self.flags,
            "-search.disableCache",
            "-search.latencyOffset=0s",
        )

    def ingest(self, dataset: MetricDataset) -> None:
        """Send batches in the order of time."""
        for batch in write_requests(dataset, HOUR):
            self.http.demand("/api/v1/write", body=batch.body, headers=HEADERS)

    def compact(self) -> None:
        """Have all flushed and merged, wait until nothing is pending or merged any more, and have a snapshot made."""
        for task in ("force_flush", "force_merge"):
            self.http.demand(f"/internal/{task}")
        end, still = time.monotonic() + COMPACTED_SECONDS, time.monotonic()
        while time.monotonic() < still + STILL_SECONDS:  # a forced merge counts itself when it has begun
            if self._pending():
                still = time.monotonic()
            if time.monotonic() > end:
                raise EngineError(f"parts were not merged within {COMPACTED_SECONDS:g} seconds")
            time.sleep(0.02)
        answer = json.loads(self.http.demand("/snapshot/create"))
        self.snapshot = self.data / "snapshots" / answer["snapshot"]

    def _pending(self) -> float:
        return sum(map(float, PENDING.findall(self.http.demand("/metrics").decode())))

    def sizes(self) -> dict[str, int]:
        """Return the bytes of values, timestamps, the blocks' index and the index of series; it keeps no log."""
        found = {"values": 0, "timestamps": 0, "index": 0, "rest": 0}
        for path in self._files():
            inverted = "indexdb" in path.parts
            found["index" if inverted else FILES.get(path.name, "rest")] += path.stat().st_size
        return found

    def _files(self) -> Iterator[Path]:
        """Yield a snapshot's files: it has symbolic links to folders."""
        folders = [self.snapshot]
        while folders:
            for path in folders.pop().iterdir():
                if path.is_dir():
                    folders.append(path.resolve())
                else:
                    yield path

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels; series that have more labels match as well, and are left out here."""
        labels = plain_labels(key)
        found = self._export(labels, start, stop)
        return found.select([i for i, one in enumerate(found.keys) if one == to_key(labels)])

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._export(plain_labels(SeriesKey(metric_name, {})), start, stop)

    def read_all(self) -> MetricDataset:
        """Query every series."""
        return self._read(f'{{{NAME}!=""}}', 0, LATEST)

    def _export(self, labels: dict[str, str], start: int, stop: int) -> MetricDataset:
        first, last = span_in_milliseconds(start, stop, self.time_unit)
        # JSON's escapes are those of Go, which its selectors are written with.
        wanted = (f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in labels.items())
        return self._read("{" + ",".join(wanted) + "}", first, last)

    def _read(self, selector: str, first: int, last: int) -> MetricDataset:
        query = {"match[]": selector, "start": f"{first / 1000:.3f}", "end": f"{last / 1000:.3f}"}
        lines = self.http.demand("/api/v1/export", query).splitlines()
        return MetricDataset.from_series([self._to_series(line) for line in lines], time_unit=self.time_unit)

    def _to_series(self, line: bytes) -> Series:
        """Read a line of JSON, in which infinities may stand bare."""
        head, mark, rest = line.rpartition(b'"values":[')
        values, end, times = rest.partition(b"]")
        if b"nf" in values:
            values = INFINITY.sub(rb"\1Infinity", values)
        read = json.loads(head + mark + values + end + times)
        order = np.argsort(stamps := np.array(read["timestamps"], np.int64), kind="stable")
        found = np.array(read["values"], np.float64)  # None becomes NaN
        return Series(to_key(read["metric"]), from_milliseconds(stamps[order], self.time_unit), found[order])
