"""What results say of machine and checkout, or that it is not known."""

import subprocess
from pathlib import Path

import pytest

from squeezelab.experiment.machine import cpu_governor, cpu_model, source_commit


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return tmp_path


def head(checkout: Path) -> str:
    found = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def test_a_file_of_a_checkout_has_its_commit(checkout: Path) -> None:
    assert source_commit(checkout / "package" / "module.py") == head(checkout)


def test_changed_files_make_it_dirty_and_new_ones_do_not(checkout: Path) -> None:
    (checkout / "report.md").write_text("made by a run")
    assert source_commit(checkout / "package" / "module.py") == head(checkout)
    (checkout / "package" / "module.py").write_text("two")
    assert source_commit(checkout / "package" / "module.py") == head(checkout) + "-dirty"


def test_an_installed_file_in_somebody_elses_checkout_has_none(checkout: Path) -> None:
    installed = checkout / ".venv" / "site-packages" / "module.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("installed")
    assert source_commit(installed) is None


def test_no_checkout_and_an_empty_one_have_none(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("alone")
    assert source_commit(tmp_path / "module.py") is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    assert source_commit(tmp_path / "module.py") is None


def test_the_processor_has_a_name_and_a_governor_or_none() -> None:
    assert cpu_model()
    assert cpu_governor() is None or cpu_governor().isprintable()
