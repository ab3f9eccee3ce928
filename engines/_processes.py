"""Processes of engines: servers that are started, awaited, and never outlive the lab."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from squeezelab.errors import EngineError

LOOPBACK = "127.0.0.1"
LISTENING = "0A"
LAST_LINES = 3
VERSION_SECONDS = 10.0
READY_SECONDS = 60.0
STOP_SECONDS = 15.0


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


def told_version(program: Path, *arguments: str) -> str:
    """Return what a program says of its version; nothing if it does not come to an end, or cannot be run."""
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def not_as_root() -> dict[str, Any]:
    """Return how a program is started that refuses to run as root: as nobody, where the lab does."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


class Server:
    """A server's process, which dies with this one.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    folder : path
        Where it works, and where its log is.
    **options
        What else `subprocess.Popen` takes, as `not_as_root` gives it.

    Raises
    ------
    EngineError
        If the program cannot be run.
    """

    def __init__(self, command: Sequence[str], folder: Path, **options: Any) -> None:
        self.log = folder / "server.log"
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=partial(die_with_parent, os.getpid()),
                    **options,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"{command[0]} cannot be run: {error}") from error

    def await_ready(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; EngineError, with the last lines of its log, if it ends before or takes too long."""
        end = time.monotonic() + READY_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise EngineError(f"the server was not ready after {READY_SECONDS:g} seconds{last_lines(self.log)}")
            time.sleep(0.01)

    def check(self) -> None:
        """Raise EngineError, with the last lines of its log, if it has ended."""
        status = self.process.poll()
        if status is not None:
            how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
            raise EngineError(f"the server ended {how}{last_lines(self.log)}")

    def listens(self, port: int) -> bool:
        """Tell whether it is this server that listens on a port: another program's answer is none of its."""
        process = Path(f"/proc/{self.process.pid}")
        try:
            rows = [line.split() for line in (process / "net" / "tcp").read_text().splitlines()[1:]]
            sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == LISTENING and row[1].endswith(f":{port:04X}")}
            return any(str(link.readlink()) in sockets for link in (process / "fd").iterdir())
        except OSError:
            return sys.platform != "linux"

    def stop(self) -> None:
        """Have it stop in its own way, and kill it where it does not."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
