"""Servers that compress by themselves: what little can be set of them, and what they cost beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from squeezelab.advice.base import Setting, Workshop
from squeezelab.advice.engine import EngineSystem, EngineWorkshop
from squeezelab.advice.layout import Layout
from squeezelab.engines.base import Engine
from squeezelab.engines.influxdb import CONFIGURATION, InfluxDB
from squeezelab.engines.prometheus import Prometheus
from squeezelab.engines.victoriametrics import VictoriaMetrics


class _NothingToSet(EngineSystem):
    """A server that is advised as it is; a subclass names it, and what runs it."""

    lossy = True
    works: ClassVar[type[Workshop]]
    flags: ClassVar[tuple[str, ...]]

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return self.works

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the flags that it runs with, for a command line or, after the comments, a file of them."""
        words = (
            f"# {self.title}: there is nothing to set for the size of samples",
            "# 100y keeps all that this was tried on: put the retention that you want in its place",
        )
        return "\n".join([*words, *self.flags, ""])


class _AsItIs(EngineWorkshop):
    """Starts a server with the flags of the text."""

    kind: ClassVar[type[Prometheus] | type[VictoriaMetrics]]

    def make(self, text: str) -> Engine:
        """Return the engine."""
        engine = self.kind()
        engine.flags = tuple(line for line in text.splitlines() if not line.startswith("#"))
        return engine


class PrometheusWorkshop(_AsItIs):
    """Starts Prometheus."""

    kind = Prometheus


class VictoriaMetricsWorkshop(_AsItIs):
    """Starts VictoriaMetrics."""

    kind = VictoriaMetrics


class AdvisedPrometheus(_NothingToSet):
    """Prometheus, of which nothing is to be set for the size of samples."""

    name = "prometheus"
    title = "Prometheus"
    engine = Prometheus
    flags = Prometheus.flags
    file = "prometheus.txt"
    works = PrometheusWorkshop

    @property
    def note(self) -> str:
        """Why there is nothing to set."""
        return (
            "no flag that Prometheus documents changes how samples are compressed. The hidden ones for the length of "
            "blocks make fewer and slightly smaller ones, but keep as much in memory: they are not advised. "
            "Fewer series, longer scrape intervals and shorter retention are what is left"
        )


class AdvisedVictoriaMetrics(_NothingToSet):
    """VictoriaMetrics, of which nothing is to be set that keeps values as they are."""

    name = "victoriametrics"
    title = "VictoriaMetrics"
    engine = VictoriaMetrics
    flags = VictoriaMetrics.flags
    file = "victoriametrics.txt"
    works = VictoriaMetricsWorkshop

    @property
    def note(self) -> str:
        """Why there is nothing to set."""
        return (
            "no flag makes samples smaller as they are: -precisionBits and -dedup.minScrapeInterval do so at a loss, "
            "and are not advised"
        )


class AdvisedInfluxDB(EngineSystem):
    """InfluxDB 1.x: how long a shard lasts."""

    name = "influxdb"
    title = "InfluxDB 1.x"
    engine = InfluxDB
    file = "influxdb.influxql"
    lossy = True
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {"SHARD DURATION": ("7d", "1d", "30d", "52w", "520w")}

    @property
    def note(self) -> str:
        """What a shard's length decides besides bytes."""
        return (
            "samples are dropped by whole shards: one that is longer than the retention keeps them for longer. "
            "Encodings are InfluxDB's own choice; lab is the name of your database, DURATION the retention you want"
        )

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return InfluxDBWorkshop

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return the statement that makes the database."""
        duration = setting.options["SHARD DURATION"]
        return f"CREATE DATABASE lab WITH DURATION INF REPLICATION 1 SHARD DURATION {duration} NAME lab\n"


class InfluxDBWorkshop(EngineWorkshop):
    """A server that makes its database by the text."""

    def make(self, text: str) -> Engine:
        """Return the engine, which executes the text."""
        return _Pasted(text)


class _Pasted(InfluxDB):
    """A server that executes a text instead of its own statement."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def start(self, folder: Path, time_unit: str) -> None:
        """Start the server, and execute the text."""
        self.time_unit, self.folder = time_unit, folder
        self.launch(folder, "run", "-config", "{configuration}", configuration=CONFIGURATION)
        list(self._ask(self.text.strip()))
