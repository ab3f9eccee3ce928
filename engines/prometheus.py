"""Prometheus, its own server: remote write in, blocks of its TSDB, remote read out."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np

from squeezelab.codecs.prometheus_xor import decode_chunk
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.engines._remote import (
    HEADERS,
    NAME,
    Batch,
    from_milliseconds,
    plain_labels,
    read_frames,
    read_request,
    span_in_milliseconds,
    to_key,
    write_requests,
)
from squeezelab.engines._server import HttpServer
from squeezelab.engines.base import folder_bytes
from squeezelab.errors import EngineError
from squeezelab.registry import check_choice, non_default_settings

HOUR = 3_600_000
BLOCKS = {"2h": ("2h", "36h"), "31d": ("31d", "31d")}
"""The smallest and the largest span of a block: Prometheus's own for its 15 days of retention; and all in one."""
COMPACTED_SECONDS = 240.0
FOREVER = 2**62
"""Milliseconds before and after 1970 that a query for everything covers."""


class Prometheus(HttpServer):
    """Prometheus, and its blocks of two hours, which it merges up to 18 hours; or one block of up to 31 days.

    Parameters
    ----------
    block : {"2h", "31d"}
        What its hidden flags ``--storage.tsdb.min-block-duration`` and ``max-`` set: ``2h`` is its own default.

    Notes
    -----
    Samples come by remote write, in the order of time, and go by remote read with streamed chunks, which have every bit
    of a sample. It counts milliseconds, and takes no sample that is older than its series' last one, or more than half
    a block older than the latest of all. Its blocks are sized in a snapshot, which it makes of all that it holds: the
    live folder has files that are allocated ahead. A label without a value is none to it; names that its rules do not
    allow are escaped as its versions 3 do.
    Sources: https://prometheus.io/docs/prometheus/latest/storage/, https://prometheus.io/docs/specs/prw/remote_write_spec/
    """

    name = "prometheus"
    title = "Prometheus"
    debian = "prometheus"
    program = "prometheus"
    told = r"prometheus, version (\d[0-9.]*)"
    ready = "/-/ready"
    showcase = ("", "block=31d")
    flags: tuple[str, ...] = ("--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver")
    """What of its command line is for its users to choose."""
    samples_a_second = 1.4e5

    def __init__(self, block: str = "2h") -> None:
        check_choice("prometheus", "block", block, tuple(BLOCKS))
        self.block = block
        self.name += non_default_settings(type(self), vars(self))

    def prepare(self) -> None:
        """Load the kernel that chunks are decoded with."""
        decode_chunk(bytes(2))

    def start(self, folder: Path, time_unit: str) -> None:
        """Start the server with remote write and its administrative API."""
        self.time_unit, self.data = time_unit, folder / "data"
        smallest, largest = BLOCKS[self.block]
        self.launch(
            folder,
            "--config.file={configuration}",
            f"--storage.tsdb.path={self.data}",
            *self.flags,
            f"--storage.tsdb.min-block-duration={smallest}",
            f"--storage.tsdb.max-block-duration={largest}",
            "--web.enable-admin-api",
            "--web.listen-address=127.0.0.1:{port}",
            configuration="scrape_configs: []\n",
        )

    def ingest(self, dataset: MetricDataset) -> None:
        """Send batches in the order of time; of one that is refused, each series by itself."""
        for batch in write_requests(dataset, HOUR // 4):
            if not self._send(batch):
                for series in batch.series:
                    self._send(Batch([series]))

    def _send(self, batch: Batch) -> bool:
        reply = self.http.ask("/api/v1/write", body=batch.body, headers=HEADERS)
        if reply.status >= 300 and reply.status != 400:
            raise EngineError(f"remote write was answered with {reply.status}: {reply.words}")
        return reply.status < 300

    def compact(self) -> None:
        """Wait until all that can be is in blocks, and have a snapshot made of everything."""
        end = time.monotonic() + COMPACTED_SECONDS
        while self._head_hours() > 1.5 * {"2h": 2, "31d": 31 * 24}[self.block]:
            if time.monotonic() > end:
                raise EngineError(f"blocks were not made within {COMPACTED_SECONDS:g} seconds")
            time.sleep(0.05)
        # It waits for merges that are under way.
        answer = json.loads(self.http.demand("/api/v1/admin/tsdb/snapshot", body=b""))
        self.snapshot = self.data / "snapshots" / answer["data"]["name"]

    def _head_hours(self) -> float:
        """Return how many hours are not in blocks yet."""
        told = self.http.demand("/metrics").decode()
        times = dict(re.findall(r"^prometheus_tsdb_head_(min|max)_time (\S+)", told, re.MULTILINE))
        return (float(times["max"]) - float(times["min"])) / HOUR

    def sizes(self) -> dict[str, int]:
        """Return the bytes of chunks, which hold both halves of samples, of indexes, and of the log."""
        samples = folder_bytes(self.snapshot, "chunks/*")
        index = folder_bytes(self.snapshot, "index")
        return {
            "samples": samples,
            "index": index,
            "rest": folder_bytes(self.snapshot) - samples - index,
            "log": folder_bytes(self.data / "wal"),
        }

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels; series that have more labels match as well, and are left out here."""
        found = self._read(plain_labels(key), span_in_milliseconds(start, stop, self.time_unit))
        wanted = to_key(plain_labels(key))
        return found.select([i for i, one in enumerate(found.keys) if one == wanted])

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._read(plain_labels(SeriesKey(metric_name, {})), span_in_milliseconds(start, stop, self.time_unit))

    def read_all(self) -> MetricDataset:
        """Query every series."""
        return self._read({NAME: ""}, (-FOREVER, FOREVER))

    def _read(self, matchers: dict[str, str], span: tuple[int, int]) -> MetricDataset:
        answer = self.http.demand("/api/v1/read", body=read_request(matchers, *span), headers=HEADERS)
        chunks: dict[SeriesKey, list[bytes]] = {}
        for labels, part in read_frames(answer):
            chunks.setdefault(to_key(labels), []).extend(part)
        series = (self._to_series(key, found, span) for key, found in chunks.items())
        return MetricDataset.from_series([one for one in series if len(one.timestamps)], time_unit=self.time_unit)

    def _to_series(self, key: SeriesKey, chunks: list[bytes], span: tuple[int, int]) -> Series:
        """Decode chunks, which come whole where they overlap what was asked for."""
        times, values = (np.concatenate(parts) for parts in zip(*map(decode_chunk, chunks), strict=True))
        within = (times >= span[0]) & (times <= span[1])
        return Series(key, from_milliseconds(times[within], self.time_unit), values[within])
