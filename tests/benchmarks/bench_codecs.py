"""How fast codecs are: each codec and direction on four million values, beside memcpy of the same bytes.

    pytest tests/benchmarks/bench_codecs.py --benchmark-group-by=group

The figures that matter are shares of memcpy within one run; pytest-benchmark's own ``--benchmark-save`` and
``--benchmark-compare`` set two runs side by side.
"""

import numpy as np
import pytest

from squeezelab.codecs import available_codecs, get_codec
from squeezelab.timing import Memcpy

COUNT = 4_000_000
CODECS = [*available_codecs(), "delta_of_delta+zstd", "xor+zstd"]


def regular_timestamps() -> np.ndarray:
    """Every 15 s, a second late so often that 94.6 % of deltas of deltas are zero."""
    late = np.random.default_rng(1).random(COUNT) < 0.01834
    return 1_700_000_000 + 15 * np.arange(COUNT) + late


def random_walk() -> np.ndarray:
    """One decimal, steps of about one."""
    return np.round(50 + np.cumsum(np.random.default_rng(1).normal(size=COUNT)), 1)


SUBJECTS = {"timestamps": regular_timestamps(), "values": random_walk()}
CASES = [
    (subject, codec)
    for subject, column in SUBJECTS.items()
    for codec in ["memcpy", *CODECS]
    if codec == "memcpy" or column.dtype in get_codec(codec).dtypes
]


def find(codec: str):
    return Memcpy() if codec == "memcpy" else get_codec(codec)


@pytest.mark.parametrize(("subject", "codec"), CASES)
def test_encode(benchmark, subject: str, codec: str) -> None:
    benchmark.group = f"encode {subject}"
    column = SUBJECTS[subject]
    frame = benchmark.pedantic(find(codec).encode, (column,), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ratio"] = column.nbytes / memoryview(frame).nbytes


@pytest.mark.parametrize(("subject", "codec"), CASES)
def test_decode(benchmark, subject: str, codec: str) -> None:
    benchmark.group = f"decode {subject}"
    column = SUBJECTS[subject]
    decoded = benchmark.pedantic(find(codec).decode, (find(codec).encode(column),), rounds=5, warmup_rounds=1)
    assert np.array_equal(decoded, column)
