"""How much memory work takes at its highest, whoever asks for it: Python, NumPy, Arrow, zstd or a kernel.

Only the operating system sees all of them, so what is read is the high-water mark of resident memory, which Linux sets
back on request (``/proc/self/clear_refs``). Elsewhere there is no answer.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from squeezelab.experiment.proof import Coder

Result = TypeVar("Result")

_highest = 0.0


def measure_peak(work: Callable[[], Result]) -> tuple[Result, float | None]:
    """Do some work; return its result, and the megabytes that it took beyond what was in memory before.

    Parameters
    ----------
    work : callable
        Called once. What it has never done before, such as importing and compiling, counts as well.

    Returns
    -------
    result
        What it returned.
    float or None
        Megabytes (10**6) at its highest, what it returned included; None where the system does not tell.

    Notes
    -----
    Once an allocation has failed in a thread, glibc goes on in a heap whose free end it never gives back: what fits
    there seems to take nothing. From 32 MiB on all is mapped apart, and counted in any case.

    Examples
    --------
    >>> result, megabytes = measure_peak(lambda: bytearray(100_000_000))
    >>> megabytes is None or 99 < megabytes < 110
    True
    """
    global _highest
    _give_back()
    _highest = max(_highest, _rss_high_water() or 0.0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return work(), None
    before = _rss_high_water()
    result = work()
    after = _rss_high_water()
    return result, max(0.0, after - before) if before and after else None


def peak_rss_mb() -> float | None:
    """Return the most megabytes of memory that this process has had, None where the system does not tell."""
    return max(_highest, _rss_high_water() or 0.0) or None


@contextmanager
def settled() -> Iterator[None]:
    """Set aside all that is there: collecting garbage looks only at what comes after, which is much quicker."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _rss_high_water() -> float | None:
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def _give_back() -> None:
    """Give memory back to the system that is free already: work that found it there would seem to need none."""
    gc.collect()
    if pyarrow := sys.modules.get("pyarrow"):
        pyarrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


class Metered:
    """A coder that notes the peak memory of its last encoding and decoding, in megabytes or None.

    Parameters
    ----------
    coder : coder
        What does the work.
    """

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self.encode_peak_mb: float | None = None
        self.decode_peak_mb: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coder, name)

    def encode(self, subject: Any, /) -> bytes:
        """Encode, and note the peak."""
        encoded, self.encode_peak_mb = measure_peak(lambda: self.coder.encode(subject))
        return encoded

    def decode(self, encoded: Any, /) -> Any:
        """Decode, and note the peak."""
        decoded, self.decode_peak_mb = measure_peak(lambda: self.coder.decode(encoded))
        return decoded
