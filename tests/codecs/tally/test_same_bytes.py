"""The same bytes on every machine: what is chosen does not depend on a processor's kernels of BLAS."""

import os
import subprocess
import sys

import numpy as np
import pytest
import xxhash

from squeezelab import MetricDataset, Series, SeriesKey
from squeezelab.codecs import get_codec
from squeezelab.formats.tally import Tally

DATA_SETS = 60


def columns(rng: np.random.Generator) -> list[np.ndarray]:
    """Return a few columns of one host, some of which explain others, as arithmetic of several kinds leaves them."""
    count = int(rng.integers(16, 700))
    one, two = np.cumsum(rng.normal(0, 3, (2, count)), axis=1)
    waves = np.sin(np.arange(count) / rng.uniform(3, 40)) * 10 ** rng.uniform(1, 5)
    decimals = int(rng.integers(0, 4))
    return [
        np.round(one, decimals),
        np.round(two, decimals),
        np.round(one + two * rng.uniform(-2, 2), decimals),
        np.round(waves + rng.normal(size=count), decimals),
        np.cumsum(rng.poisson(rng.uniform(1, 99), count)) * 1.0,
        rng.integers(0, 900, count) * (1 / 20),
    ]


def digest() -> str:
    """Return a digest of frames and files of random data."""
    rng, digest = np.random.default_rng(16), xxhash.xxh3_128()
    for _ in range(DATA_SETS):
        made = columns(rng)
        for column in made:
            digest.update(get_codec("tally").encode(column))
        times = np.cumsum(rng.integers(14, 17, made[0].size))
        series = [Series(SeriesKey(f"m{i}", {"host": "a"}), times, column) for i, column in enumerate(made)]
        digest.update(bytes(Tally().encode(MetricDataset.from_series(series))))
    return digest.hexdigest()


def digest_of_a_child(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stdout.strip()


@pytest.mark.parametrize("core", ["Haswell", "Prescott", "SkylakeX"])
def test_another_core_of_blas_writes_the_same(core: str) -> None:
    assert digest_of_a_child(OPENBLAS_CORETYPE=core) == digest()


if __name__ == "__main__":
    print(digest())
