"""An engine works in a process of its own: what it does there costs the lab a line at most, and leaves nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

from running import alive, wait_until_gone
from squeezelab import MetricDataset, SeriesKey
from squeezelab.engines import Session, session
from squeezelab.errors import EngineError
from toy_engine import Toy

DATASET = MetricDataset([SeriesKey("up", {})], np.array([0, 2]), np.array([100, 115]), np.array([1.0, 0.0]))


def pids(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "data" / "server.pid").read_text().split()]


def test_an_engine_is_started_filled_and_read(tmp_path: Path) -> None:
    with Session(Toy(), folder=tmp_path) as toy:
        assert toy.start("s").seconds >= 0
        toy.call("ingest", DATASET)
        assert toy.call("read_all").value.fingerprint == DATASET.fingerprint
        assert toy.call("sizes").value == {"values": 16}
        memory = toy.memory_mb()
        assert memory is None or memory >= 0
    assert not list(tmp_path.iterdir()), "the folder is left"


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("rejects", "toy: it takes no data"),
        ("raises", "toy: ValueError: a fault of its own"),
        ("dies", "toy: its process ended in ingest by SIGSEGV: last words"),
        ("hangs", "toy: ingest took more than 0.5 seconds and was ended"),
    ],
)
def test_what_goes_wrong_is_one_line(fails: str, words: str, tmp_path: Path) -> None:
    with Session(Toy(fails), folder=tmp_path) as toy:
        toy.start("s")
        with pytest.raises(EngineError) as caught:
            toy.call("ingest", DATASET, limit=0.5 if fails == "hangs" else 60)
        assert str(caught.value) == words
    assert not list(tmp_path.iterdir())


def test_an_engine_goes_on_after_a_rejection(tmp_path: Path) -> None:
    with Session(Toy("rejects"), folder=tmp_path) as toy:
        toy.start("s")
        with pytest.raises(EngineError):
            toy.call("ingest", DATASET)
        assert len(toy.call("read_all").value) == 0


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with Session(Toy(), folder=tmp_path) as toy, pytest.raises(EngineError, match="toy: AttributeError"):
        toy.call("frobnicate")


@pytest.mark.parametrize("fails", ["", "does not stop"])
def test_a_session_ends_what_the_engine_started(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "FAREWELL", 0.5)
    with Session(Toy(fails, server="true"), folder=tmp_path) as toy:
        toy.start("s")
        running = pids(toy.folder)
        assert all(map(alive, running))
    wait_until_gone(*running)
    assert not list(tmp_path.iterdir())


def interrupt(toy: Session) -> None:
    with toy:
        toy.start("s")
        raise KeyboardInterrupt


def test_who_is_interrupted_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "FAREWELL", 1e9)
    with pytest.raises(KeyboardInterrupt):
        interrupt(Session(Toy("does not stop"), folder=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of who is killed")
def test_kill_9_of_the_lab_ends_the_engine(tmp_path: Path) -> None:
    lab = f"""
import sys; sys.path.insert(0, {str(PROJECT / "tests")!r})
from toy_engine import Toy
from squeezelab.engines import Session
with Session(Toy("hangs"), folder={str(tmp_path)!r}) as toy:
    toy.start("s")
    print(toy._child.process.pid, flush=True)
    toy.call("ingest", None)
"""
    with subprocess.Popen([sys.executable, "-c", lab], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert alive(worker)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_until_gone(worker)
