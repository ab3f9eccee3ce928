"""What tests of engines share: which are here, and which processes still run."""

import os
import time
from pathlib import Path

import pytest

from squeezelab.engines import engine_classes


def need(spec: str) -> str:
    """Return an engine's specification; skip where it is not here, or fail where all are required, as in CI."""
    one = engine_classes()[spec.partition(":")[0]]
    if one.version() is None:
        message = f"{one.title} is not here: {one.how_to_get()}"
        if os.environ.get("SQUEEZELAB_ENGINES_REQUIRED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return spec


def alive(process: int) -> bool:
    """Tell whether a process runs."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(*processes: int) -> None:
    """Wait until none of them runs; fail if that takes long."""
    end = time.monotonic() + 20
    while any(map(alive, processes)):
        assert time.monotonic() < end, "it is still running"
        time.sleep(0.02)
