"""Peak memory: whoever asks for it is seen, and what is free already does not hide it."""

import subprocess
import sys

import numpy as np
import pytest

from squeezelab import MetricDataset
from squeezelab.experiment.memory import Metered, measure_peak, peak_rss_mb
from squeezelab.formats import get_format

known = pytest.mark.skipif(
    measure_peak(lambda: None)[1] is None, reason="this system does not let a process set its high-water mark back"
)


def peak_in_a_fresh_process(work: str, before: str = "") -> float:
    """Return the peak of an expression where no test has left free memory behind."""
    code = f"import os, numpy as np, zstandard\nfrom squeezelab.experiment.memory import measure_peak\n{before}\n"
    code += f"print(measure_peak(lambda: {work})[1])"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


WORKS = {
    "python": "[0.5 + i for i in range(1_000_000)]",
    "numpy": "np.ones(4_000_000)",
    # A window of 2^25 bytes, which only the C library knows of.
    "c": "zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters("
    "window_log=25, strategy=zstandard.STRATEGY_FAST)).compress(os.urandom(32_000_000))",
}


@known
@pytest.mark.parametrize("kind", WORKS)
def test_memory_of_all_kinds_is_seen(kind: str) -> None:
    assert peak_in_a_fresh_process(WORKS[kind]) > 28


@known
def test_memory_that_was_given_back_within_counts_and_memory_from_before_does_not() -> None:
    kept = np.ones(4_000_000)

    def work() -> int:
        return int(np.ones(8_000_000).sum())

    assert measure_peak(work)[1] == pytest.approx(64, rel=0.1)
    assert measure_peak(lambda: None)[1] < 5
    assert kept.size


@known
def test_freed_memory_does_not_hide_what_work_needs() -> None:
    blocks = "[bytearray(100_000) for _ in range(400)]"
    assert peak_in_a_fresh_process(blocks, before=f"blocks = {blocks}\ndel blocks") > 36


@known
def test_the_highest_of_the_process_is_not_forgotten() -> None:
    np.ones(20_000_000).sum()
    before = peak_rss_mb()
    measure_peak(lambda: None)
    assert peak_rss_mb() >= before > 160


def test_where_the_system_does_not_tell_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.write_text", reject)
    assert measure_peak(lambda: 5) == (5, None)


def test_a_metered_format_does_what_the_format_does(small: MetricDataset) -> None:
    meter = Metered(get_format("columnar"))
    encoded = meter.encode(small)
    assert encoded == get_format("columnar").encode(small)
    assert meter.decode(encoded).fingerprint == small.fingerprint
    assert (meter.encode_peak_mb is None) == (meter.decode_peak_mb is None)
