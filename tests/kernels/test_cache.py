"""Compiled kernels: kept under a key that covers every file they are made from."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

from squeezelab.kernels import cache


def test_the_key_covers_every_file_that_has_a_kernel() -> None:
    """Also in sub-packages: a kernel in a file that is left out would run as it was compiled once."""
    covered = {path.resolve() for path in cache.kernel_files()}
    folders = ("squeezelab", "codecs", "formats", "generators", "readers")
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    with_kernels = [path for path in files if re.search(r"^ *@kernel\b", path.read_text(), re.MULTILINE)]
    assert len(with_kernels) > 20
    assert [path for path in with_kernels if path.resolve() not in covered] == []
    assert (PROJECT / "codecs" / "tally" / "nibbles.py").resolve() in covered


def test_another_byte_in_a_sub_package_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "outer_kernels"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cache, "PACKAGES", ("outer_kernels",))
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "kept"))
    before = cache.kernel_folder.__wrapped__()
    (package / "inner" / "__init__.py").write_text("# another")
    assert cache.kernel_folder.__wrapped__() != before


def test_warming_up_compiles_kernels(tmp_path: Path) -> None:
    """A first run is told that it takes longer, so that it must do what it says."""
    program = "from squeezelab.experiment.warmup import warm_up; print(warm_up(['xor'], []))"
    run = [sys.executable, "-c", program]
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
    assert list(tmp_path.rglob("*encode_xor*.nbi")), "the kernels of xor are kept"
    again = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == "False", "once they are kept there is nothing to do"


def test_kernels_that_check_bounds_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba would take one for the other: what is to be checked would not be, and all else would be slow."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("numba.config.BOUNDSCHECK", None)
    plain = cache.kernel_folder.__wrapped__()
    monkeypatch.setattr("numba.config.BOUNDSCHECK", 1)
    assert cache.kernel_folder.__wrapped__() != plain
