"""The process that a system runs in: what fails there is one line here, and nothing outlives the lab."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from squeezelab.advice import worker as module
from squeezelab.advice.worker import SystemFailedError, Worker


class Fragile:
    def pid(self) -> int:
        return os.getpid()

    def folder(self) -> str:
        return str(Path.cwd())

    def reject(self) -> None:
        raise ValueError("two\nlines")

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def hang(self) -> None:
        time.sleep(60)


def test_calls_are_answered_from_a_process_of_its_own_in_its_folder(tmp_path: Path) -> None:
    with Worker(Fragile, tmp_path) as worker:
        assert worker.call("pid") != os.getpid()
        assert worker.call("folder") == str(tmp_path)


def test_what_is_raised_is_one_line_and_the_process_goes_on(tmp_path: Path) -> None:
    with Worker(Fragile, tmp_path) as worker:
        with pytest.raises(SystemFailedError, match=r"^ValueError: two lines$"):
            worker.call("reject")
        assert worker.call("pid")


def test_a_crash_is_one_line(tmp_path: Path) -> None:
    with (
        Worker(Fragile, tmp_path) as worker,
        pytest.raises(SystemFailedError, match=r"^its process ended with SIGSEGV$"),
    ):
        worker.call("crash")


def test_a_hang_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker(Fragile, tmp_path) as worker:
        monkeypatch.setattr(module, "PATIENCE", 0.2)
        with pytest.raises(SystemFailedError, match="no answer within"):
            worker.call("hang")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does it on Linux")
def test_the_process_does_not_outlive_a_lab_that_is_killed(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from squeezelab.advice.worker import Worker\n"
        "from collections import Counter\n"
        f"worker = Worker(Counter, Path({str(tmp_path)!r}))\n"
        "print(worker.child.process.pid, flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as lab:
        assert lab.stdout is not None
        child = int(lab.stdout.readline())
        lab.kill()
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or ") Z " in status.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("the child still runs")
