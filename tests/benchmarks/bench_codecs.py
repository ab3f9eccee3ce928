"""How fast codecs are, with pytest-benchmark: the subjects and codecs of a run of the lab, beside memcpy.

    pytest tests/benchmarks/bench_codecs.py --benchmark-group-by=group

As in a run, a pass encodes or decodes the timestamps or the values of whole series one by one, in one thread and
without garbage collection; ``DATA_GENERATOR`` and ``DATASET_SIZE`` choose others than the small synthetic ones. The
figures that matter are shares of memcpy within one run. ``--benchmark-save=NAME`` keeps a run; to set runs side by side
there are ``--benchmark-compare=NUMBER --benchmark-compare-fail=median:10%`` and ``pytest-benchmark compare``.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from squeezelab import generate_metric_data
from squeezelab.codecs import get_codec
from squeezelab.experiment.parts import choose_windows, take
from squeezelab.experiment.plan import DEFAULT_CODECS
from squeezelab.experiment.run import TIMED_SAMPLES
from squeezelab.experiment.timing import Memcpy, undisturbed

DATASET = generate_metric_data(os.environ.get("DATA_GENERATOR", "synthetic"), os.environ.get("DATASET_SIZE", "small"))
CHOSEN = list(take(DATASET, choose_windows(np.diff(DATASET.offsets), TIMED_SAMPLES)))
SUBJECTS = {"timestamps": [series.timestamps for series in CHOSEN], "values": [series.values for series in CHOSEN]}
CASES = [
    (subject, codec)
    for subject, columns in SUBJECTS.items()
    for codec in ["memcpy", *DEFAULT_CODECS]
    if codec == "memcpy" or columns[0].dtype in get_codec(codec).dtypes
]

pytestmark = pytest.mark.benchmark(warmup=True, warmup_iterations=1, min_rounds=5, max_time=0.2)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with undisturbed():
        yield


def find(codec: str):
    return Memcpy() if codec == "memcpy" else get_codec(codec)


def do_each(verb, subjects: list) -> list:
    return [verb(subject) for subject in subjects]


@pytest.mark.parametrize(("subject", "codec"), CASES)
def test_encode(benchmark, subject: str, codec: str) -> None:
    benchmark.group = f"encode {subject}"
    columns = SUBJECTS[subject]
    frames = benchmark(do_each, find(codec).encode, columns)
    raw = sum(column.nbytes for column in columns)
    benchmark.extra_info |= {"raw_bytes": raw, "ratio": raw / sum(memoryview(frame).nbytes for frame in frames)}


@pytest.mark.parametrize(("subject", "codec"), CASES)
def test_decode(benchmark, subject: str, codec: str) -> None:
    benchmark.group = f"decode {subject}"
    columns = SUBJECTS[subject]
    decoded = benchmark(do_each, find(codec).decode, do_each(find(codec).encode, columns))
    assert np.array_equal(np.concatenate(decoded).view(np.uint64), np.concatenate(columns).view(np.uint64))
    benchmark.extra_info["raw_bytes"] = sum(column.nbytes for column in columns)
