"""Processes of engines: servers that are started, awaited, and never outlive the lab."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

LAST_LINES = 3


def last_lines(log: Path) -> str:
    """Return a log's last lines, as the end of a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return ": " + " | ".join(line[-300:] for line in lines[-LAST_LINES:]) if lines else ""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the one that started it ends, however it does (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


def descendants(process: int) -> list[int]:
    """Return the processes that one has started, and these again."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*children, *(one for child in children for one in descendants(child))]
