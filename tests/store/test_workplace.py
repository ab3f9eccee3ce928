import os
import signal
import subprocess
import sys
from pathlib import Path

from squeezelab.store import workplace as module
from squeezelab.store.workplace import workplace

HOLD = """
import sys, time
from squeezelab.store.workplace import workplace
with workplace(sys.argv[1]) as folder:
    (folder / "half").write_bytes(b"a")
    print(folder, flush=True)
    time.sleep(60)
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(parent)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip()).parent


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    killed, left = hold(tmp_path)
    living, kept = hold(tmp_path)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    (tmp_path / "sqlab-file").write_bytes(b"of somebody else")
    module._sweep.cache_clear()
    assert left.is_dir()
    with workplace(tmp_path) as folder:
        assert not left.exists()
        assert (kept / "w" / "half").exists()
        assert sorted(tmp_path.iterdir()) == sorted([kept, folder.parent, tmp_path / "sqlab-file"])
    living.kill()
    living.communicate()
    assert not folder.exists()


def test_a_folder_is_gone_after_an_error(tmp_path: Path) -> None:
    try:
        with workplace(tmp_path) as folder:
            (folder / "file").write_bytes(b"a")
            raise ValueError
    except ValueError:
        assert list(tmp_path.iterdir()) == []
