"""What a run ran on: the processor, packages, which commit of squeezelab it was, and what makes its times unsure."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from squeezelab.registry import is_installed

PACKAGES = ("squeezelab", "numpy", "numba", "numcodecs", "zstandard", "pyarrow", "xxhash")
PEER_PACKAGES = (
    "pcodec",
    "brotli",
    "blosc2",
    "openzl",
    "vortex-data",
    "duckdb",
    "chdb",
    "tsfile",
    "pylance",
    "tiledb",
    "hdf5plugin",
    "h5py",
    "zarr",
)
BUSY = 0.5
"""Processes that wait to run beside this one, on average over a minute, from which on a machine is called busy."""
NO_TURBO = Path("/sys/devices/system/cpu/intel_pstate/no_turbo")
BOOST = Path("/sys/devices/system/cpu/cpufreq/boost")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what is measured, of the peers those that are installed."""
    return {package: version(package) for package in (*PACKAGES, *filter(is_installed, PEER_PACKAGES))}


def name_unfit(busy: float | None) -> Iterator[str]:
    """Yield what makes times on this machine unsure, and what helps, as far as the system tells (after pyperf).

    Parameters
    ----------
    busy : float or None
        As `other_processes` tells.
    """
    governor = cpu_governor()
    if governor not in (None, "performance"):
        yield f"The processor's frequency is governed by {governor!r}: 'performance' makes times steadier."
    if _reads(NO_TURBO, "0") or _reads(BOOST, "1"):
        yield "The processor speeds up as heat allows (turbo): times are steadier with it off."
    if busy:
        yield f"About {busy:.1f} other processes were running: times are those of a busy machine."
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2 <= (os.cpu_count() or 1):
        yield "This process may use one core alone: what else runs there disturbs its times."


def other_processes() -> float | None:
    """Return about how many other processes were running in the last minute; None where they hardly matter."""
    busy = os.getloadavg()[0] - 1 if hasattr(os, "getloadavg") else 0.0
    return busy if busy > BUSY else None


def _reads(path: Path, content: str) -> bool:
    try:
        return path.read_text().strip() == content
    except OSError:
        return False


def cpu_model() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_governor() -> str | None:
    """Return how the first processor's frequency is governed, None where the system does not tell."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip() or None
    except OSError:
        return None


def source_commit(path: str | Path = __file__) -> str | None:
    """Return the commit of the checkout that a file is of, with ``-dirty`` appended where tracked files differ from it.

    Returns
    -------
    str or None
        None where the file is of no checkout: in an installed package, for instance, even where its environment lies
        in somebody's repository.
    """
    try:
        import git
    except ImportError:  # there is no git to call
        return None
    path = Path(path).resolve()
    try:
        with git.Repo(path.parent, search_parent_directories=True) as repository:
            repository.git.ls_files("--error-unmatch", "--", str(path))
            return repository.head.commit.hexsha + ("-dirty" if repository.is_dirty() else "")
    except (git.GitError, OSError, ValueError):
        return None
