"""What a run ran on: the processor, how its frequency is governed, and which commit of squeezelab it was."""

from __future__ import annotations

import platform
from pathlib import Path


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
    """Return the commit of the checkout that a file is of, with ``-dirty`` behind where tracked files differ from it.

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
