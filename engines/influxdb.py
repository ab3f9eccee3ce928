"""InfluxDB 1.x, its own server: line protocol in, TSM files on disk, InfluxQL out."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from struct import unpack_from
from urllib.parse import urlencode

import msgspec
import numpy as np
import numpy.typing as npt

from squeezelab.dataset import UNITS_PER_SECOND, MetricDataset, Series, SeriesKey
from squeezelab.engines._names import escape, unescape
from squeezelab.engines._remote import take_varint
from squeezelab.engines._server import HttpServer
from squeezelab.engines.base import folder_bytes
from squeezelab.errors import EngineError, InvalidRequestError
from squeezelab.registry import non_default_settings

BATCH = 10_000
"""Lines a request: its documentation wants 5,000 to 10,000."""
PRECISIONS = {"s": "s", "ms": "ms", "us": "u", "ns": "ns"}
PLAIN = r"[^\\\x00-\x1f\x7f]+"
"""What needs no more than the line protocol's own escapes."""
TAG = rf"(?!(?:time|value)$|_){PLAIN}"
"""Names of tags that are not taken."""
MEASUREMENT = r"(?!_|#)[^\\\x00-\x1f\x7f=]+"
SPECIAL, BACKSLASH = re.compile("([,= ])"), r"\\\1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REFUSED = re.compile(b"unable to parse|partial write")
"""Begins the answer where some lines were refused, and the others kept."""
COMPACTED_SECONDS = 240.0
STILL_SECONDS = 2.0

CONFIGURATION = """
reporting-disabled = true
bind-address = "127.0.0.1:{other port}"
[meta]
  dir = "meta"
[data]
  dir = "data"
  wal-dir = "wal"
  index-version = "tsi1"
  cache-snapshot-write-cold-duration = "1s"
  compact-full-write-cold-duration = "1s"
  max-series-per-database = 0
  max-values-per-tag = 0
[coordinator]
  max-select-point = 0
[retention]
  enabled = false
[shard-precreation]
  enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""
"""Its own defaults, but for the index that it recommends for metrics, and cold shards that are compacted at once."""


class _Found(msgspec.Struct):
    """A series of an answer; its rows are left as they came."""

    name: str = ""
    tags: dict[str, str] = {}
    values: msgspec.Raw = msgspec.Raw(b"[]")


class _Result(msgspec.Struct):
    series: list[_Found] = []
    error: str = ""


class _Answer(_Result):
    results: list[_Result] = []


ANSWERS = msgspec.json.Decoder(_Answer)
SAMPLES = msgspec.json.Decoder(list[tuple[int, float]])


class InfluxDB(HttpServer):
    """InfluxDB 1.x: metric names are measurements, labels are tags, the value is a field ``value``.

    Parameters
    ----------
    shard : str
        How long a shard lasts, ``7d`` by default, as where data are kept for ever; longer ones have fewer files.

    Notes
    -----
    Samples come as line protocol, 10,000 lines a request, and go by InfluxQL as JSON. It refuses NaN and infinities
    line by line, and keeps the last of two samples of the same time. A tag without a value is none to it. Names that
    its line protocol cannot hold, as those with line breaks, are escaped as Prometheus does it. Compacted is what has
    no more in the cache, nothing that is being compacted, and one file a shard, or files that stand still.
    Sources: https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_tutorial/,
    https://docs.influxdata.com/influxdb/v1/concepts/schema_and_data_layout/
    """

    name = "influxdb"
    title = "InfluxDB 1.x"
    debian = "influxdb"
    program = "influxd"
    asked = "version"
    told = r"InfluxDB v(\d[0-9.]*)"
    ready = "/ping"
    showcase = ("", "shard=52w")
    samples_a_second = 7e4

    def __init__(self, shard: str = "7d") -> None:
        if not re.fullmatch("[1-9][0-9]{0,3}[hdw]", shard):
            raise InvalidRequestError(f"influxdb has no shard {shard!r}: give hours, days or weeks, as 24h, 7d or 52w")
        self.shard = shard
        self.name += non_default_settings(type(self), vars(self))

    def start(self, folder: Path, time_unit: str) -> None:
        """Start the server with a configuration of its own, and make a database."""
        self.time_unit, self.folder = time_unit, folder
        self.launch(folder, "run", "-config", "{configuration}", configuration=CONFIGURATION)
        policy = f"DURATION INF REPLICATION 1 SHARD DURATION {self.shard} NAME lab"
        list(self._ask(f"CREATE DATABASE lab WITH {policy}"))

    def ingest(self, dataset: MetricDataset) -> None:
        """Send lines, series after series; lines that are refused cost themselves alone."""
        if np.abs(dataset.timestamps.astype(np.float64)).max(initial=0) * self._nanoseconds >= 2.0**63:
            raise EngineError("its nanoseconds in 64 bits cannot hold these times")
        lines: list[str] = []
        for one in dataset:
            head = line_head(one.key)
            pairs = zip(one.values.tolist(), one.timestamps.tolist(), strict=True)
            lines += [f"{head} value={value!r} {moment}" for value, moment in pairs]
            while len(lines) >= BATCH:
                self._write(lines[:BATCH])
                del lines[:BATCH]
        if lines:
            self._write(lines)

    def _write(self, lines: list[str]) -> None:
        query = {"db": "lab", "precision": PRECISIONS[self.time_unit]}
        reply = self.http.ask("/write", query, "\n".join(lines).encode())
        if reply.status >= 300 and not (reply.status == 400 and REFUSED.search(reply.body)):
            raise EngineError(f"/write was answered with {reply.status}: {reply.words}")

    def compact(self) -> None:
        """Wait until caches are written and files merged."""
        end = time.monotonic() + COMPACTED_SECONDS
        before: list[tuple[str, int]] = []
        since = time.monotonic()
        while True:
            files = sorted((str(path), path.stat().st_size) for path in self._files())
            if files != before or not self._rests():
                before, since = files, time.monotonic()
            elif self._merged() or time.monotonic() > since + STILL_SECONDS:
                return
            if time.monotonic() > end:
                raise EngineError(f"files were not merged within {COMPACTED_SECONDS:g} seconds")
            time.sleep(0.05)

    def _files(self) -> Iterator[Path]:
        """Yield the files of all shards, those that are being written among them."""
        return (self.folder / "data").glob("lab/lab/*/*.tsm*")

    def _rests(self) -> bool:
        """Tell whether no cache holds samples, nothing is being compacted, and no file is being written."""
        for told in json.loads(self.http.demand("/debug/vars")).values():
            if isinstance(told, dict) and told.get("name", "").startswith("tsm1_"):
                busy = (n for key, n in told["values"].items() if key == "memBytes" or key.endswith("Active"))
                if any(busy):
                    return False
        return all(path.suffix == ".tsm" for path in self._files())

    def _merged(self) -> bool:
        shards = [path.parent for path in self._files()]
        return len(shards) == len(set(shards))

    def sizes(self) -> dict[str, int]:
        """Return the bytes of blocks' halves, and of all indexes: of files, of series, and of what files hold which."""
        found = {"values": 0, "timestamps": 0, "index": 0, "rest": 0}
        for path in self._files():
            for part, size in block_sizes(path.read_bytes()).items():
                found[part] += size
        whole = folder_bytes(self.folder / "data")
        inner = sum(found.values())
        of_files = sum(path.stat().st_size for path in self._files())
        found["rest"] += of_files - inner
        found["index"] += whole - of_files
        return found | {"log": folder_bytes(self.folder / "wal")}

    def read(self, key: SeriesKey, start: int, stop: int) -> MetricDataset:
        """Query by name and labels; series that have more labels match as well, and are left out here."""
        name, tags = to_names(key)
        wanted = "".join(f" AND {quote(tag)} = {quote(value, chr(39))}" for tag, value in tags.items())
        found = self._read([quote(name)], self._span(start, stop) + wanted)
        return found.select([i for i, one in enumerate(found.keys) if one == to_key(name, tags)])

    def read_family(self, metric_name: str, start: int, stop: int) -> MetricDataset:
        """Query by name."""
        return self._read([quote(to_names(SeriesKey(metric_name, {}))[0])], self._span(start, stop))

    def read_all(self) -> MetricDataset:
        """Query every measurement, one after another: a pattern of all takes the server several times as long."""
        names = [name for one in self._ask("SHOW MEASUREMENTS") for (name,) in msgspec.json.decode(one.values)]
        return self._read([quote(name) for name in names], "")

    @property
    def _nanoseconds(self) -> int:
        """How many a unit of the data has."""
        return 10**9 // UNITS_PER_SECOND[self.time_unit]

    def _span(self, start: int, stop: int) -> str:
        return f" WHERE time >= {start * self._nanoseconds} AND time < {stop * self._nanoseconds}"

    def _read(self, measurements: list[str], within: str) -> MetricDataset:
        parts: dict[SeriesKey, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]] = {}
        queries = (f'SELECT "value" FROM lab.lab.{name}{within} GROUP BY *' for name in measurements)
        for one in chain.from_iterable(map(self._ask, queries)):
            rows = parts.setdefault(to_key(one.name, one.tags), [])
            times, values = zip(*to_samples(bytes(one.values)), strict=True)
            rows.append((np.array(times, np.int64), np.array(values, np.float64)))
        series = [Series(key, *map(np.concatenate, zip(*rows, strict=True))) for key, rows in parts.items()]
        return MetricDataset.from_series(series, time_unit=self.time_unit)

    def _ask(self, query: str) -> Iterator[_Found]:
        """Yield the series of an answer; a long one comes in several pieces."""
        form = {"q": query, "epoch": PRECISIONS[self.time_unit], "chunked": "true", "chunk_size": str(BATCH)}
        body = urlencode(form | {"db": "lab"}).encode()
        answer = self.http.demand("/query", body=body, headers=FORM)
        for line in answer.splitlines():
            told = ANSWERS.decode(line)
            for result in (told, *told.results):
                if result.error:
                    raise EngineError(f"it refuses a query: {result.error}")
                yield from result.series


def line_head(key: SeriesKey) -> str:
    r"""Return what a line begins with.

    Examples
    --------
    >>> print(line_head(SeriesKey("disk io", {"path": "/a b", "time": "x"})))
    disk\ io,U__time=x,path=/a\ b
    """
    name, tags = to_names(key)
    pairs = (f",{SPECIAL.sub(BACKSLASH, tag)}={SPECIAL.sub(BACKSLASH, value)}" for tag, value in tags.items())
    return SPECIAL.sub(BACKSLASH, name) + "".join(pairs)


def to_names(key: SeriesKey) -> tuple[str, dict[str, str]]:
    """Return measurement and tags; a tag without a value is none."""
    tags = {escape(name, TAG): escape(value, PLAIN) for name, value in key.labels.items() if value}
    return escape(key.metric_name, MEASUREMENT), dict(sorted(tags.items()))


def to_key(name: str, tags: Mapping[str, str]) -> SeriesKey:
    """Return the key that `to_names` made names of; tags that other series have are empty in answers."""
    return SeriesKey(unescape(name), {unescape(tag): unescape(value) for tag, value in tags.items() if value})


def quote(text: str, mark: str = '"') -> str:
    r"""Return a name, or with another mark a text, as InfluxQL wants it.

    Examples
    --------
    >>> print(quote('a"b'), quote("it's", "'"))
    "a\"b" 'it\'s'
    """
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def to_samples(rows: bytes) -> list[tuple[int, float]]:
    """Return rows of time and value.

    Examples
    --------
    >>> to_samples(b"[[15,2],[30,-0]]")
    [(15, 2.0), (30, -0.0)]
    """
    # It writes -0.0 like an integer, of which readers of JSON make 0.
    return SAMPLES.decode(rows.replace(b",-0]", b",-0.0]"))


def block_sizes(file: bytes) -> dict[str, int]:
    """Return the bytes of values, timestamps and index in a TSM file.

    Notes
    -----
    A file ends with the place of its index: a key, its kind, and for each of its blocks the times, place and size. A
    block is a CRC, a byte that says its kind, and both halves, the first after its length.

    References
    ----------
    InfluxData, "In-memory indexing and the Time-Structured Merge Tree", and tsdb/engine/tsm1/DESIGN.md.
    """
    (at,) = unpack_from(">Q", file, len(file) - 8)
    found = {"values": 0, "timestamps": 0, "index": len(file) - at}
    while at < len(file) - 8:
        (length,) = unpack_from(">H", file, at)
        (blocks,) = unpack_from(">H", file, at + 2 + length + 1)
        at += 2 + length + 1 + 2
        for _ in range(blocks):
            place, size = unpack_from(">QI", file, at + 16)
            timestamps, begin = take_varint(file, place + 5)
            found["timestamps"] += timestamps
            found["values"] += place + size - begin - timestamps
            at += 28
    return found
