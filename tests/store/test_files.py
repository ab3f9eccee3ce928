"""Files that appear whole or not at all, and kernels that do not pile up."""

import os
import stat
import time
from pathlib import Path

import pytest

from squeezelab.kernels import cache as kernels
from squeezelab.store.files import replacing

posix = pytest.mark.skipif(not hasattr(os, "fchmod"), reason="permissions of this kind are those of POSIX")


@posix
@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_a_replaced_file_keeps_its_permissions(
    mode: int, unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        monkeypatch.setattr("squeezelab.store.files._open_unnamed", lambda folder: None)
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode, "before anything is in it"
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
def test_a_new_file_has_the_permissions_that_new_files_have(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix
def test_behind_a_link_it_is_the_file_that_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


@pytest.mark.parametrize("unnamed", [True, False])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(
    unnamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unnamed:
        monkeypatch.setattr("squeezelab.store.files._open_unnamed", lambda folder: None)
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as file:  # noqa: PT012
        file.write(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_kernels_that_nobody_used_for_long_are_removed(tmp_path: Path) -> None:
    def make(name: str, days: float | None) -> Path:
        folder = tmp_path / name
        (folder / "squeezelab_1234").mkdir(parents=True)
        (folder / "squeezelab_1234" / "kernel.nbi").write_text("x")
        if days is not None:
            (folder / kernels.PROBE).touch()
            os.utime(folder / kernels.PROBE, (time.time() - days * 86_400,) * 2)
        return folder

    kept = [
        make("kernels-0123456789abcdef", 29),
        make("kernels-1123456789abcdef", 0),
        make("kernels-2123456789abcdef", None),  # of no version that says when it was used
        make("kernels-of-mine", 300),
        make("dataset", 300),
    ]
    removed = [make("kernels-3123456789abcdef", 31), make(f"kernels-4123456789abcdef{kernels.REMOVED}", None)]
    kernels._remove_unused(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert not any(folder.exists() for folder in removed)


def test_kernels_in_use_are_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    folder = kernels.kernel_folder.__wrapped__()
    os.utime(folder / kernels.PROBE, (0, 0))
    assert kernels.kernel_folder.__wrapped__() == folder
    assert time.time() - (folder / kernels.PROBE).stat().st_mtime < 86_400


def test_a_folder_that_cannot_be_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels-0123456789abcdef"
    folder.mkdir()
    (folder / kernels.PROBE).touch()
    os.utime(folder / kernels.PROBE, (0, 0))

    def reject(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.rename", reject)
    kernels._remove_unused(tmp_path)
    assert folder.exists()
