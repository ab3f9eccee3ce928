"""Tally beside pcodec, as ratios measured in one run: size, decoding and encoding on long and short columns.

    python tests/benchmarks/bench_floors.py [--shared FOLDER]

Codecs take turns, and medians are compared: a slow minute of the machine hits both. ``--shared`` names a folder with
real data: Westermo slices, NAB and vectors of ALP.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from squeezelab import MetricDataset, generate_metric_data
from squeezelab.codecs import get_codec
from squeezelab.codecs._frame import FLOAT64
from squeezelab.codecs.tally import BLOCK, blocks
from squeezelab.codecs.tally.columns import ADAPTIVE
from squeezelab.formats import get_format
from squeezelab.readers import load

Columns = list[np.ndarray]
PEER = get_codec("pcodec:level=8")
SHORT_ROUNDS = 93
"""Of columns of 1,000 values, which take little time: fewer would tell more of the machine than of the codecs."""


def version_1(column: np.ndarray) -> int:
    """Return the bytes of a column in version 1, level 2, with its frame."""
    total = 14
    for first in range(0, column.size, BLOCK):
        part = column[first : first + BLOCK]
        total += 2 + len(blocks.write_block(blocks.plan_block(part), part))
    return total


def medians(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median seconds of each call; they take turns."""
    for call in calls:
        call()
    times = np.empty((len(calls), rounds))
    for turn in range(rounds):
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            times[i, turn] = time.perf_counter() - begin
    return np.median(times, axis=1).tolist()


def compare(title: str, columns: Columns, level: int = 2, rounds: int = 9) -> None:
    """Print a row: bits against version 1 and pcodec, speeds against pcodec; a third of the rounds encode."""
    codec = get_codec(f"tally:level={level}")
    ours, theirs = [codec.encode(column) for column in columns], [PEER.encode(column) for column in columns]
    for frame, column in zip(ours, columns, strict=True):
        assert np.array_equal(codec.decode(frame).view(np.uint64), column.view(np.uint64))
    count = sum(column.size for column in columns)
    size, peer_size = (8 * sum(map(len, frames)) / count for frames in (ours, theirs))
    old = 8 * sum(map(version_1, columns)) / count
    decode = medians(
        [lambda: [codec.decode(frame) for frame in ours], lambda: [PEER.decode(frame) for frame in theirs]], rounds
    )
    encode = medians(
        [lambda: [codec.encode(column) for column in columns], lambda: [PEER.encode(column) for column in columns]],
        max(3, rounds // 3),
    )
    print(
        f"{title:<44} bits {size:7.3f}  / version 1 {size / old:.3f}  / pcodec {size / peer_size:.3f}"
        f"   decode {decode[1] / decode[0]:.2f}x pcodec   encode {encode[1] / encode[0]:.2f}x",
        flush=True,
    )


def compare_sizes(title: str, columns: Columns) -> None:
    """Print a row of sizes alone, and the share of the values that are in adaptive blocks."""
    codec = get_codec("tally")
    count = sum(column.size for column in columns)
    slow, total = 0, 0
    for column in columns:
        payload = codec.pack(column)
        total += len(payload) + 13
        at = 1
        for first in range(0, column.size, BLOCK):
            size, shift = 0, 0
            while payload[at] & 0x80:
                size |= (payload[at] & 0x7F) << shift
                at, shift = at + 1, shift + 7
            size |= payload[at] << shift
            at += 1
            slow += (payload[at] == ADAPTIVE) * min(BLOCK, column.size - first)
            at += size
    old, peer = sum(map(version_1, columns)), sum(len(PEER.encode(column)) for column in columns)
    print(
        f"{title:<44} bits {8 * total / count:7.3f}  / version 1 {total / old:.4f}  / pcodec {total / peer:.3f}"
        f"   adaptive {slow / count:.0%} of values",
        flush=True,
    )


def compare_many(title: str, columns: Columns, rounds: int = 9) -> None:
    """Print a row of many columns in one call, against as many calls of pcodec."""
    codec = get_codec("tally")
    ours, theirs = codec.encode_many(columns), [PEER.encode(column) for column in columns]
    for found, column in zip(codec.decode_many(ours), columns, strict=True):
        assert np.array_equal(found.view(np.uint64), column.view(np.uint64))
    decode = medians([lambda: codec.decode_many(ours), lambda: [PEER.decode(frame) for frame in theirs]], rounds)
    encode = medians(
        [lambda: codec.encode_many(columns), lambda: [PEER.encode(column) for column in columns]], max(3, rounds // 3)
    )
    print(
        f"{title:<44} in one call   decode {decode[1] / decode[0]:.2f}x pcodec   encode {encode[1] / encode[0]:.2f}x",
        flush=True,
    )


def compare_file(title: str, dataset: MetricDataset) -> None:
    """Print how many bytes a sample takes in a tally file."""
    file = get_format("tally").encode(dataset)
    print(f"{title:<44} file {len(file) / dataset.values.size:.4f} bytes a sample", flush=True)


def walk(count: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(0, 5, count).round()) / 10


def families() -> dict[str, Columns]:
    """Return the columns of each metric of the default synthetic data set."""
    found: dict[str, Columns] = {}
    for key, _, values in generate_metric_data("synthetic", "small"):
        found.setdefault(key.metric_name, []).append(values)
    return found


def numbers_of(path: Path, column: int) -> np.ndarray:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return np.array([float(row[column]) for row in rows[1:] if len(row) > column and row[column]], FLOAT64)


def shared(folder: Path) -> None:
    for name in ("westermo", "nab"):
        compare_file(name, load(sorted(folder.glob(f"{name}/*.csv"))).dataset)
    for path in sorted(folder.glob("westermo/*.csv")):
        width = len(path.open(encoding="utf-8").readline().split(","))
        compare_sizes(f"westermo {path.stem}", [numbers_of(path, i) for i in range(1, width)])
    compare_sizes("nab", [numbers_of(path, 1) for path in sorted(folder.glob("nab/*.csv"))])
    vectors = [np.loadtxt(path) for path in sorted(folder.glob("alp/*.csv")) if path.stem != "expected"]
    compare_sizes("alp, vectors of 1024", vectors)
    for path in sorted(folder.glob("alp/*.bin")):
        compare_sizes(f"alp {path.stem}", [np.fromfile(path, "<f8").astype(FLOAT64)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path)
    folder = parser.parse_args().shared
    compare("one-decimal walk, 1 M values", [walk(10**6)])
    compare("the same, level 1", [walk(10**6)], level=1)
    for name, columns in families().items():
        compare(f"{name}, joined", [np.concatenate(columns)], rounds=5)
    for name, columns in families().items():
        compare(f"{name}, 1,000 values, framed", [column[:1000] for column in columns[:20]], rounds=SHORT_ROUNDS)
        compare_many(
            f"{name}, 50 of 1,000 values", [column[:1000] for column in 50 * columns][:50], rounds=SHORT_ROUNDS
        )
    compare_file("synthetic", generate_metric_data("synthetic", "small"))
    if folder:
        shared(folder)


if __name__ == "__main__":
    main()
