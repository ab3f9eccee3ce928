"""Days of service documents as one NDJSON file, made as fast as a disk takes them."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from squeezelab.console import progress_bar
from squeezelab.errors import InvalidRequestError, SqueezelabError
from squeezelab.generators._random_bits import U
from squeezelab.generators._services import HUNDREDTHS, Bell, Layout, Services, lay_out
from squeezelab.generators.documents import longest_line, write_documents
from squeezelab.store.files import replaceable, replacing

CHUNK_SECONDS = 1_800
MOST_WORKERS = 16
DAY = 86_400
EARLIEST, LATEST = 0, 253_402_300_799
"""1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z: what a time of four-digit year can be."""

Buffer = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Made:
    """A file of documents that was written."""

    documents: int
    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


def make_documents(
    path: str | Path,
    services: Services,
    *,
    end: int,
    seconds: int,
    seed: int = 0,
    workers: int | None = None,
) -> Made:
    """Write the documents of all services for a span of time, in the order of time.

    Parameters
    ----------
    path : path-like
        The file to make or replace; it appears whole, or stays as it was.
    services : Services
        What writes documents, and how: `squeezelab.generators._services.read_services`.
    end : int
        The last second, in Unix time.
    seconds : int
        Length of the span; a service writes a document a second.
    seed : int
        The same seed and end give the same bytes, whatever the number of workers.
    workers : int, optional
        Threads that make documents, at most 16; one a processor if not given.

    Returns
    -------
    Made

    Raises
    ------
    InvalidRequestError
        If the span leaves the years 1970 to 9999, or the disk has too little room.
    SqueezelabError
        If the disk fills up all the same, or fails.

    Notes
    -----
    The span is cut into chunks of half an hour. Threads turn them into text while this one writes them, in their order:
    what a chunk holds follows from seed, second and service alone, so it does not matter who makes it. Nothing is
    left to join, for there are no part files. Few chunks are in memory at a time, however long the span is.
    """
    check_documents(path, services, end=end, seconds=seconds, workers=workers)
    first, layout = end - seconds + 1, lay_out(services)
    threads = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    documents = seconds * len(services.names)
    started = perf_counter()
    try:
        with replacing(path) as file, progress_bar() as progress:
            task = progress.add_task("Making documents", total=documents, unit="documents")
            size = 0
            for seconds_made, text in _make_chunks(layout, range(first, end + 1), U(seed), threads):
                size += file.write(text)
                progress.advance(task, seconds_made * len(services.names))
    except OSError as error:
        raise SqueezelabError(f"cannot write {path}: {error.strerror}; what was there is there still") from error
    return Made(documents, size, perf_counter() - started)


def check_documents(
    path: str | Path, services: Services, *, end: int, seconds: int, workers: int | None = None, files: int = 1
) -> None:
    """Reject what cannot be made, before anything is written.

    Parameters
    ----------
    path, services, end, seconds, workers
        As `make_documents` takes them.
    files : int
        How many files of this size the disk must have room for.

    Raises
    ------
    InvalidRequestError
        If the path is no file, the span or the number of workers out of range, or the room too little.
    """
    path, first = replaceable(path), end - seconds + 1
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise InvalidRequestError(f"{workers} workers are out of range: choose from 1 to {MOST_WORKERS}")
    if seconds < 1 or first < EARLIEST or end > LATEST:
        raise InvalidRequestError("the span must have a second or more, and lie in the years 1970 to 9999")
    layout, some = lay_out(services), min(seconds, 600)
    buffer = np.empty(some * len(services.names) * longest_line(layout), np.uint8)
    needed = files * int(write_documents(U(0), first, some, layout, buffer)) * seconds // some
    folder = next(one for one in path.parents if one.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InvalidRequestError(
            f"{path} needs about {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free: ask for fewer days, "
            "or for a file elsewhere"
        )


def _make_chunks(layout: Layout, span: range, seed: np.uint64, workers: int) -> Iterator[tuple[int, memoryview]]:
    """Yield the seconds and the text of each chunk, in their order; a text is good until the next one is asked for."""
    chunks = iter([span[i : i + CHUNK_SECONDS] for i in range(0, len(span), CHUNK_SECONDS)])
    longest = min(CHUNK_SECONDS, len(span)) * layout.variant_of.shape[0] * longest_line(layout)
    free = [np.empty(longest, np.uint8) for _ in range(workers + 2)]
    waiting: deque[tuple[range, Buffer, Future[int]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while free and (chunk := next(chunks, None)):
                    buffer = free.pop()
                    made = pool.submit(write_documents, seed, chunk[0], len(chunk), layout, buffer)
                    waiting.append((chunk, buffer, made))
                if not waiting:
                    return
                chunk, buffer, made = waiting.popleft()
                yield len(chunk), buffer.data[: int(made.result())]
                free.append(buffer)
        finally:
            pool.shutdown(cancel_futures=True)


def plain_documents(services: Services, *, end: int, seconds: int, seed: int = 0) -> Iterator[str]:
    """Make the same documents the plain way: one process, a dict and ``json.dumps`` each.

    Yields
    ------
    str
        A line, with its newline. Numbers are drawn with Python's own generator: the lines are alike to those of
        `make_documents`, not the same.
    """
    draw = random.Random(seed)
    plans = [
        (
            name,
            services.variants[i],
            list(accumulate(variant.weight for variant in services.variants[i])),
            services.transactions[i],
            list(accumulate(transaction.weight for transaction in services.transactions[i])),
            services.amounts[i],
        )
        for i, name in enumerate(services.names)
    ]
    for second in range(end - seconds + 1, end + 1):
        stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, variants, weights, transactions, transaction_weights, amount in plans:
            variant = draw.choices(variants, cum_weights=weights)[0]
            document = {
                "@timestamp": stamp,
                "service.name": name,
                "http.status_code": variant.status,
                "latency_ms": _draw_bell(draw, variant.latency),
                "log.message": variant.message,
                "trace.id": f"{draw.getrandbits(128):032x}",
                "span.id": f"{draw.getrandbits(64):016x}",
            }
            if amount is not None:
                transaction = draw.choices(transactions, cum_weights=transaction_weights)[0]
                document["transaction"] = {
                    "type": transaction.type,
                    "amount": _draw_bell(draw, amount),
                    "status": transaction.status,
                }
            yield json.dumps(document, separators=(",", ":")) + "\n"


def _draw_bell(draw: random.Random, bell: Bell) -> float:
    value = min(max(draw.gauss(bell.mean, bell.deviation), bell.low), bell.high)
    return round(value / HUNDREDTHS, 2)
