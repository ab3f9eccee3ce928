"""Compiling kernels on a first run: in several processes, because numba compiles one kernel at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from squeezelab.codecs import get_codec
from squeezelab.console import stderr, working
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.formats import get_format
from squeezelab.kernels import kernel_folder

SAMPLES = 300


def warm_up(codecs: Sequence[str], formats: Sequence[str]) -> bool:
    """Compile the kernels of codecs and formats, if none are kept yet and there are cores to share the work.

    Return whether that was so. What fails here is left to the run itself, which can say why.
    """
    folder, cores = kernel_folder(), os.cpu_count() or 1
    if folder is None or cores < 2 or any(folder.rglob("*.nbi")):
        return False
    stderr.print(f"Compiling kernels on {cores} cores: this first run takes up to {120 // cores} seconds longer.")
    work = [*(f"codec {spec}" for spec in codecs), *(f"format {spec}" for spec in formats)]
    children = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "squeezelab.experiment.warmup", *work[first::cores]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for first in range(cores)
    ]
    try:
        with working("Compiling kernels"):
            for child in children:
                child.wait()
    finally:
        for child in children:
            child.kill()
            child.wait()
    return True


def use(work: str) -> None:
    """Encode and decode a little with what ``codec <spec>`` or ``format <spec>`` names."""
    kind, _, spec = work.partition(" ")
    rng = np.random.default_rng(0)
    timestamps = 1_700_000_000 + np.cumsum(15 + (rng.random(SAMPLES) < 0.05)).astype(np.int64)
    columns = [np.round(rng.normal(50, 5, SAMPLES), 1), rng.normal(size=SAMPLES), np.repeat([1.0, 2.0], SAMPLES // 2)]
    if kind == "codec":
        codec = get_codec(spec)
        for column in (timestamps, *columns):
            if column.dtype in codec.dtypes:
                codec.decode(codec.encode(column))
                codec.decode_many(codec.encode_many([column] * 2))
        return
    series = [Series(SeriesKey(f"m{i}", {"host": "a"}), timestamps, column) for i, column in enumerate(columns)]
    file = get_format(spec)
    file.decode(file.encode(MetricDataset.from_series(series)))


if __name__ == "__main__":
    for one in sys.argv[1:]:
        use(one)
