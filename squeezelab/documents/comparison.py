"""Making documents the plain way and the fast way, side by side: speed, size, and whether they are alike."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev
from tempfile import TemporaryDirectory
from time import perf_counter

from matplotlib.figure import Figure

from squeezelab.documents.writing import Made, check_documents, make_documents, plain_documents
from squeezelab.experiment.machine import cpu_model
from squeezelab.generators._services import Services
from squeezelab.report.charts import BLUE, GREY, draw_bars, new_figure, save_figure
from squeezelab.report.table import Table
from squeezelab.report.tables import to_csv
from squeezelab.store.files import replacing

MOST_PLAIN_DOCUMENTS = 200_000
WRITE_BYTES = 16 * 2**20
ROUNDS = 3


@dataclass(frozen=True)
class Way:
    """One way of making documents, or of writing as many bytes."""

    way: str
    days: float
    time_s: float
    documents_per_s: float
    documents: int
    bytes: int
    speed_up: float


@dataclass(frozen=True)
class Quality:
    """What the documents of a service say, by the way they were made."""

    service: str
    way: str
    documents: int
    latency_mean_ms: float
    latency_deviation_ms: float
    anomaly_share: float


@dataclass(frozen=True)
class Comparison:
    """The plain way, the fast way and plain writes, measured in one run."""

    ways: tuple[Way, Way, Way]
    quality: list[Quality]
    machine: str

    @property
    def by_plain_writing(self) -> float:
        """Time of the fast way by that of writing the same bytes with plain large writes."""
        return self.ways[1].time_s / self.ways[2].time_s


def compare_ways(
    path: str | Path, services: Services, *, end: int, seconds: int, seed: int = 0, workers: int | None = None
) -> tuple[Made, Comparison]:
    """Make a slice the plain way and the whole span the fast way, then write the same bytes plainly.

    Parameters
    ----------
    path : path-like
        The file of the fast way, which stays; the plain way's is beside it for a while.
    services, end, seconds, seed, workers
        As `make_documents` takes them.

    Returns
    -------
    Made
        What the fast way has made.
    Comparison
    """
    check_documents(path, services, end=end, seconds=seconds, workers=workers, files=2)
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    slice_seconds = max(1, min(seconds, MOST_PLAIN_DOCUMENTS // len(services.names)))
    # On the disk that is measured; the folder is gone afterwards, whatever happens.
    with TemporaryDirectory(dir=path.parent, prefix=".compare-") as folder:
        plain_file, fast_file = Path(folder, "plain"), Path(folder, "fast")
        plain = _make_plainly(plain_file, services, end, slice_seconds, seed)
        quality = list(_measure_quality("plain", plain_file, services, plain.documents))
        # The first call loads the kernels, or compiles them.
        make_documents(fast_file, services, end=end, seconds=1, workers=workers)
        turns = []
        for _ in range(ROUNDS):
            fast_file.unlink()
            made = make_documents(fast_file, services, end=end, seconds=seconds, seed=seed, workers=workers)
            turns.append((made, _write_plainly(plain_file, made)))
        fast_file.replace(path)
    fast, disk = (sorted(way, key=lambda made: made.seconds)[len(way) // 2] for way in zip(*turns, strict=True))
    quality += _measure_quality("squeezelab", path, services, plain.documents)
    first, second, third = (
        Way(name, span / 86_400, made.seconds, made.rate, made.documents, made.bytes, made.rate / plain.rate)
        for name, span, made in (
            ("plain", slice_seconds, plain),
            ("squeezelab", seconds, fast),
            ("plain writes", seconds, disk),
        )
    )
    machine = f"{cpu_model()}, {platform.platform()}, Python {platform.python_version()}"
    return fast, Comparison((first, second, third), sorted(quality, key=lambda one: one.service), machine)


def _make_plainly(path: Path, services: Services, end: int, seconds: int, seed: int) -> Made:
    started = perf_counter()
    with path.open("w", encoding="utf-8") as file:
        for line in plain_documents(services, end=end, seconds=seconds, seed=seed):
            file.write(line)
    return Made(seconds * len(services.names), path.stat().st_size, perf_counter() - started)


def _write_plainly(path: Path, made: Made) -> Made:
    """Write as many bytes with large writes and nothing else, to a new file as the others do."""
    path.unlink(missing_ok=True)
    block, left = bytes(WRITE_BYTES), made.bytes
    started = perf_counter()
    with path.open("wb", buffering=0) as file:
        while left:
            left -= file.write(block[: min(left, WRITE_BYTES)])
    return Made(made.documents, made.bytes, perf_counter() - started)


def _measure_quality(way: str, path: Path, services: Services, most: int) -> Iterator[Quality]:
    """Read the first lines of a file back as JSON, and describe what each service says."""
    anomalies = {
        (variant.service, variant.status, variant.message)
        for group in services.variants
        for variant in group
        if variant.anomaly
    }
    with path.open(encoding="utf-8") as file:
        documents = [json.loads(line) for line in islice(file, most)]
    for name in services.names:
        own = [one for one in documents if one["service.name"] == name]
        strange = [one for one in own if (name, one["http.status_code"], one["log.message"]) in anomalies]
        usual = [
            one["latency_ms"] for one in own if (name, one["http.status_code"], one["log.message"]) not in anomalies
        ]
        yield Quality(
            name, way, len(own), fmean(usual or [0]), pstdev(usual or [0]), len(strange) / len(own) if own else 0.0
        )


def ways_table(comparison: Comparison) -> Table:
    """Return the table that is published for such generators: time, rate, documents, size, speed-up."""
    rows = [
        [
            way.way,
            f"{way.days:.3g}",
            f"{way.time_s:.2f}",
            f"{way.documents_per_s:,.0f}",
            f"{way.documents:,}",
            f"{way.bytes / 1e6:,.1f}",
            f"{way.speed_up:.1f}x",
        ]
        for way in comparison.ways
    ]
    note = (
        "Plain: one process, a dict and json.dumps a document. Plain writes: the same bytes in large writes, like all "
        f"here into the page cache. squeezelab takes {comparison.by_plain_writing:.2f} times as long as these, by the "
        f"medians of {ROUNDS} turns."
    )
    headers = ["way", "days", "time s", "documents/s", "documents", "MB", "speed-up"]
    return Table("Making documents", headers, rows, note)


def quality_table(comparison: Comparison) -> Table:
    """Return latencies and anomalies by service, one way under the other."""
    rows = [
        [
            one.service,
            one.way,
            f"{one.documents:,}",
            f"{one.latency_mean_ms:.2f}",
            f"{one.latency_deviation_ms:.2f}",
            f"{100 * one.anomaly_share:.2f} %",
        ]
        for one in comparison.quality
    ]
    headers = ["service", "way", "documents", "mean ms", "deviation ms", "anomalies"]
    note = "Latencies are those of documents that are no anomaly."
    return Table("What the documents say", headers, rows, note, names=2)


def write_comparison(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write comparison.md, comparison.csv and the chart, and return their paths."""
    folder = Path(folder)
    charts = _draw_rates(comparison, folder)
    markdown = "\n".join(
        [
            "# Documents: the plain way and the fast way",
            "",
            ways_table(comparison).to_markdown(),
            quality_table(comparison).to_markdown(),
            f"![documents a second]({charts[0].name})",
            "",
            f"Measured in one run on {comparison.machine}.",
            "",
        ]
    )
    for name, text in (("comparison.md", markdown), ("comparison.csv", to_csv(Way, comparison.ways))):
        with replacing(folder / name) as file:
            file.write(text.encode())
    return [folder / "comparison.md", folder / "comparison.csv", *charts]


def _draw_rates(comparison: Comparison, folder: Path) -> list[Path]:
    def draw() -> Figure:
        figure, (axes,) = new_figure(4)
        rates = [way.documents_per_s / 1e6 for way in comparison.ways]
        draw_bars(axes, [way.way for way in comparison.ways], rates, [GREY, BLUE, GREY], "{:.2f}")
        axes.set_title("Making service documents")
        axes.set_xlabel(f"million documents a second\n{comparison.machine}")
        return figure

    return save_figure(draw, folder / "rates")
