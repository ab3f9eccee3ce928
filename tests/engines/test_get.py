"""`squeezelab engines`: what is here, and what `get` brings; apt is played by scripts, nothing is downloaded."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import PROJECT

from squeezelab.engines import engine_classes

APT = """#!/bin/sh
echo "$@" >> {log}
{act}
"""
DOWNLOAD = """
for last; do :; done
case " $* " in *" download "*) {refusal} : > "$last"_1_all.deb ;; esac
"""
UNPACK = """#!/bin/sh
mkdir -p "$3/usr/bin" && printf '#!/bin/sh\\necho prometheus, version 1.2.3\\n' > "$3/usr/bin/prometheus"
chmod +x "$3/usr/bin/prometheus"
"""


def run(*words: str, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{path}:/bin:/usr/bin",
        "XDG_DATA_HOME": str(folder / "data"),
        "SQUEEZELAB_ENGINES": "",
        "COLUMNS": "200",
    }
    command = [sys.executable, PROJECT / "main.py", "engines", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def play_apt(folder: Path, refusal: str = "") -> Path:
    programs = folder / "programs"
    programs.mkdir()
    act = DOWNLOAD.format(refusal=refusal)
    for name, text in (("apt-get", APT.format(log=folder / "log", act=act)), ("dpkg-deb", UNPACK)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return programs


def test_engines_are_listed_and_nothing_is_downloaded(tmp_path: Path) -> None:
    done = run(folder=tmp_path, path=play_apt(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == set(engine_classes())
    assert "sqlite: SQLite 3." in done.stdout
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "data").exists()


def test_get_brings_a_server_into_the_data_folder(tmp_path: Path) -> None:
    programs = play_apt(tmp_path)
    done = run("get", "prometheus", "sqlite", folder=tmp_path, path=programs)
    assert done.returncode == 0, done.stderr
    assert "prometheus: Prometheus 1.2.3" in done.stdout
    assert "sqlite: SQLite 3." in done.stdout
    brought = tmp_path / "data" / "squeezelab" / "engines"
    assert [path.name for path in brought.iterdir()] == ["prometheus"]
    assert (tmp_path / "log").read_text().split()[-2:] == ["download", "prometheus"]
    assert "prometheus: Prometheus 1.2.3" in run(folder=tmp_path, path=programs).stdout


def test_get_makes_lists_of_packages_where_there_are_none(tmp_path: Path) -> None:
    unknown = 'case "$*" in *State*) ;; *) echo "E: Unable to locate package $last" >&2; exit 100 ;; esac;'
    done = run("get", "prometheus", folder=tmp_path, path=play_apt(tmp_path, unknown))
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in (tmp_path / "log").read_text().splitlines()] == [
        "prometheus",
        "update",
        "prometheus",
    ]


def test_a_download_that_fails_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    done = run("get", "prometheus", folder=tmp_path, path=play_apt(tmp_path, "echo 'E: no network' >&2; exit 100;"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: apt-get download prometheus failed: E: no network"
    assert not list((tmp_path / "data" / "squeezelab" / "engines").iterdir())


def test_an_unknown_engine_is_one_line(tmp_path: Path) -> None:
    done = run("get", "nothing", folder=tmp_path, path=play_apt(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("error: the lab has no engine 'nothing': choose from ")
    assert not (tmp_path / "log").exists()
