"""Servers: found where they are, started on a free port, and each fault is one line."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from running import alive, need, wait_until_gone
from squeezelab import MetricDataset
from squeezelab.engines import Session, _processes, _server, engine_classes, get_engine
from squeezelab.engines._names import escape, unescape
from squeezelab.engines._processes import descendants
from squeezelab.engines._remote import encode_samples, fields, varint
from squeezelab.engines._server import HttpServer
from squeezelab.errors import EngineError

SERVERS = sorted(name for name, one in engine_classes().items() if issubclass(one, HttpServer))


def make_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder / name


@pytest.mark.parametrize("name", SERVERS)
def test_kill_9_of_the_lab_ends_the_server(name: str, tmp_path: Path) -> None:
    lab = f"""
import time
from squeezelab.engines import Session, get_engine
from squeezelab.engines._processes import descendants
with Session(get_engine({need(name)!r}), folder={str(tmp_path)!r}) as session:
    session.start("s")
    print(session._child.process.pid, *descendants(session._child.process.pid), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", lab], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        running = [int(word) for word in process.stdout.readline().split()]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(running) >= 2
    wait_until_gone(*running)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_dies_in_the_middle_is_one_line(name: str, small_fleet: MetricDataset, tmp_path: Path) -> None:
    with Session(get_engine(need(name)), folder=tmp_path, limit=60) as session:
        session.start("s")
        assert session._child is not None
        (server,) = descendants(session._child.process.pid)
        os.kill(server, signal.SIGKILL)
        with pytest.raises(EngineError) as caught:
            session.call("ingest", small_fleet)
    assert str(caught.value).startswith(f"{name}: the server ended by SIGKILL: ")
    assert "\n" not in str(caught.value)
    assert not alive(server)


@pytest.mark.parametrize("name", SERVERS)
def test_a_port_that_is_taken_is_tried_no_more(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    free = _processes.free_port
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        given: list[Any] = [other.getsockname()[1]]
        monkeypatch.setattr(_processes, "free_port", lambda: given.pop() if given else free())
        engine = get_engine(need(name))
        engine.start(tmp_path, "s")
        engine.stop()
    assert not given


@pytest.mark.parametrize("name", SERVERS)
def test_no_port_at_all_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(_processes, "free_port", lambda: port)
        monkeypatch.setattr(_server, "TRIES", 1)
        engine = get_engine(need(name))
        with pytest.raises(EngineError, match="address already in use"):
            engine.start(tmp_path, "s")
    assert engine.server.process.poll() is not None


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("script", "words"),
    [("echo I am another program; exit 3", "exit code 3: I am another program"), ("exec true", "exit code 0")],
)
def test_a_binary_that_is_no_such_engine_is_one_line(
    name: str, script: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_program(tmp_path / "other", engine_classes()[name].program, script)
    monkeypatch.setenv("SQUEEZELAB_ENGINES", str(tmp_path / "other"))
    with Session(get_engine(name), folder=tmp_path) as session, pytest.raises(EngineError) as caught:
        session.start("s")
    assert str(caught.value).startswith(f"{name}: the server ended with {words}")
    assert "\n" not in str(caught.value)


def test_a_program_that_cannot_be_run_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = make_program(tmp_path / "other", "prometheus", "")
    program.write_bytes(b"\x7fELF and no more")
    monkeypatch.setenv("SQUEEZELAB_ENGINES", str(program.parent))
    with Session(get_engine("prometheus"), folder=tmp_path) as session, pytest.raises(EngineError) as caught:
        session.start("s")
    assert "cannot be run" in str(caught.value)
    assert engine_classes()["prometheus"].version() is None


def test_a_server_that_never_gets_ready_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_program(tmp_path / "other", "prometheus", "echo still busy; exec sleep 600")
    monkeypatch.setenv("SQUEEZELAB_ENGINES", str(tmp_path / "other"))
    monkeypatch.setattr(_processes, "READY_SECONDS", 0.5)
    engine = get_engine("prometheus")
    with pytest.raises(EngineError, match=r"not ready after 0\.5 seconds: still busy"):
        engine.start(tmp_path, "s")
    assert engine.server.process.poll() is not None


def test_folders_that_are_named_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_program(tmp_path / "a" / "usr" / "bin", "prometheus", "echo prometheus, version 9.8.7")
    monkeypatch.setenv("SQUEEZELAB_ENGINES", f"{tmp_path / 'none'}{os.pathsep}{tmp_path / 'a'}")
    assert engine_classes()["prometheus"].version() == "9.8.7"


def test_a_program_that_does_not_answer_has_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_program(tmp_path, "influxd", "exec sleep 600")
    monkeypatch.setenv("SQUEEZELAB_ENGINES", str(tmp_path))
    monkeypatch.setattr(_processes, "VERSION_SECONDS", 0.2)
    assert engine_classes()["influxdb"].version() is None


# Names and messages


@pytest.mark.parametrize("name", ["", "a", "a_b", "U__", "U__a", "_", "a b", "\0\n", "\U0001f600", "_61_"])
def test_names_are_escaped_and_read_back(name: str) -> None:
    assert unescape(escape(name)) == name


def test_names_are_escaped_as_prometheus_does() -> None:
    # model.EscapeName of prometheus/common, ValueEncodingEscaping
    assert escape("no:escaping_required") == "no:escaping_required"
    assert escape("mysystem.prod.west.cpu.load") == "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load"
    assert escape("http.status:sum", "[a-z]+") == "U__http_2e_status_3a_sum"
    assert escape("label with \u56fd") == "U__label_20_with_20__56fd_"


def test_samples_are_messages_of_protobuf() -> None:
    times = np.array([0, 1, 127, 128, 1_700_000_000_000, 2**62, -1])
    values = np.array([0.0, -0.0, 1.5, np.nan, np.inf, 1e300, -1.0])
    message, ends = encode_samples(times, values)
    assert ends[-1] == len(message)
    bounds = [0, *ends.tolist()]
    for time_, value, a, b in zip(times.tolist(), values, bounds, bounds[1:], strict=False):
        want = b"\x09" + np.float64(value).tobytes() + b"\x10" + varint(time_ % 2**64)
        assert message[a:b] == b"\x12" + varint(len(want)) + want


def test_fields_of_a_message_are_read() -> None:
    assert list(fields(b"\x08\x96\x01\x12\x02hi")) == [(1, 150), (2, b"hi")]
