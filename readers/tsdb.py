"""Blocks of a Prometheus TSDB, through promtool."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from squeezelab.errors import DataSourceError
from squeezelab.programs import find_program
from squeezelab.readers._sources import Source, split_pieces
from squeezelab.readers.base import FileFacts, Reader, Samples
from squeezelab.readers.options import ReadOptions
from squeezelab.readers.prometheus import read_pieces
from squeezelab.results import Block
from squeezelab.store.workplace import workplace

PROMTOOL = "promtool"
MILLISECOND = 10**6
UNPRINTED = "samples of the blocks that promtool did not print, as native histograms before its version 3: {}"
_LOG = "wal"
_BLOCK = ("meta.json", "index", "chunks")


class Tsdb(Reader):
    """A Prometheus server's data folder, or one block of it.

    Notes
    -----
    ``promtool tsdb dump`` reads it, in a folder of links to the blocks: nothing is written beside the user's data. What
    it prints has a single NaN, so that stale markers come as plain NaN.
    """

    name = "tsdb"
    suffixes = ()

    def recognises(self, source: Source) -> bool:
        """Tell whether a folder is a block, or has blocks or a server's log in it."""
        return bool(_find_blocks(source.path)) or (source.path / _LOG).is_dir()

    def read(self, source: Source, options: ReadOptions, facts: FileFacts) -> Iterator[Samples]:
        """Yield what promtool dumps."""
        promtool = find_program(PROMTOOL)
        if promtool is None:
            raise DataSourceError(
                f"{facts.name} is a TSDB, read with promtool, which is not there: install Prometheus, "
                "or run squeezelab engines get prometheus"
            )
        blocks = _find_blocks(source.path)
        logged = (source.path / _LOG).is_dir()
        if not blocks and not logged:
            raise DataSourceError(f"{facts.name} holds no TSDB block, a folder with {', '.join(_BLOCK)}")
        facts.say(f"blocks: {len(blocks)}{', and the log of the latest samples' * logged}; dumped with promtool")
        facts.blocks = [_describe(block) for block in blocks]
        with workplace() as folder:
            database = _link_blocks(source.path, dict(zip(blocks, facts.blocks, strict=True)), folder)
            with _dump([str(promtool), "tsdb", "dump", *_span(options), str(database)], facts) as output:
                yield from read_pieces(split_pieces(output, facts.name), replace(options, time_unit="ms"), facts)
        if not logged and not _span(options):
            held = sum(one.samples + (one.histograms or 0) for one in facts.blocks)
            facts.count(UNPRINTED, max(0, held - facts.rows))


def _find_blocks(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in (folder, *sorted(folder.iterdir())) if all((path / name).exists() for name in _BLOCK)]


def _describe(folder: Path) -> Block:
    """Return what a block says of itself, and what it takes on disk."""
    try:
        told = json.loads((folder / "meta.json").read_bytes())
        stats = told.get("stats", {})
        histograms = stats.get("numHistogramSamples")
        samples = stats.get("numFloatSamples", stats.get("numSamples", 0) - (histograms or 0))
        span = int(told["minTime"]), int(told["maxTime"])
        index = (folder / "index").stat().st_size
        chunks = sum(path.stat().st_size for path in (folder / "chunks").iterdir())
        return Block(Path(told["ulid"]).name, *span, int(samples), histograms, chunks, index)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataSourceError(f"{folder / 'meta.json'} does not say what the block is: it is damaged") from error


def _link_blocks(source: Path, blocks: dict[Path, Block], folder: Path) -> Path:
    """Make a database of links: promtool wants blocks in folders that are no links, and a log beside them."""
    for block, facts in blocks.items():
        linked = folder / facts.name
        linked.mkdir()
        for path in block.iterdir():
            (linked / path.name).symlink_to(path.resolve())
    if (source / _LOG).is_dir():
        (folder / _LOG).symlink_to((source / _LOG).resolve())
    else:
        (folder / _LOG).mkdir()
    return folder


def _span(options: ReadOptions) -> list[str]:
    start, stop = options.start_nanoseconds, options.stop_nanoseconds
    first = [] if start is None else [f"--min-time={start // MILLISECOND}"]
    return first + ([] if stop is None else [f"--max-time={-(-stop // MILLISECOND)}"])


@contextmanager
def _dump(command: list[str], facts: FileFacts) -> Iterator[IO[bytes]]:
    """Run promtool, and end it when its output is no longer wanted."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait():
                complaints.seek(0)
                reason = (complaints.read().decode(errors="replace").strip().splitlines() or ["it does not say why"])[0]
                raise DataSourceError(f"{facts.name}: promtool cannot read it: {reason}")
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
