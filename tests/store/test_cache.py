"""The cache: what it keeps, what it rejects, and who shares it."""

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from squeezelab import generate_metric_data
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.source import load_or_generate
from squeezelab.store.cache import DATASET_FILE, DESCRIPTION_FILE, cache_key
from squeezelab.store.files import locked


@pytest.fixture(autouse=True)
def _words_reach_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("squeezelab"), "propagate", True)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """List what was really generated."""
    calls = []

    def generate(source: str, size: str, *, seed: int = 0):
        calls.append((source, size, seed))
        return generate_metric_data(source, size, seed=seed)

    monkeypatch.setattr("squeezelab.experiment.source.generate_metric_data", generate)
    return calls


def test_the_key_is_the_md5_of_size_and_generator() -> None:
    import hashlib

    assert cache_key("big-real") == hashlib.md5(b"big-real").hexdigest()


def test_a_second_run_reads_what_the_first_has_made(tmp_path: Path, made: list) -> None:
    first, provenance = load_or_generate("synthetic", "small", folder=tmp_path)
    second, again = load_or_generate("synthetic", "small", folder=tmp_path)
    assert made == [("synthetic", "small", 0)]
    assert second.fingerprint == first.fingerprint
    assert second.keys == first.keys
    assert provenance == again == {"version": "1"}
    visible = {one.name for one in tmp_path.iterdir() if not one.name.startswith(".")}
    assert visible == {DATASET_FILE, DESCRIPTION_FILE}
    assert cache_key("small-synthetic") in (tmp_path / DESCRIPTION_FILE).read_text()


def test_another_generator_size_or_seed_is_made(tmp_path: Path, made: list) -> None:
    for source, size, seed in (("synthetic", "small", 0), ("random", "small", 0), ("random", "small", 1)):
        dataset, _ = load_or_generate(source, size, seed=seed, folder=tmp_path)
        assert dataset.fingerprint == generate_metric_data(source, size, seed=seed).fingerprint
    assert len(made) == 3


def test_a_new_version_of_the_generator_is_made(tmp_path: Path, made: list, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_generate("synthetic", "small", folder=tmp_path)
    monkeypatch.setattr("squeezelab.generators.synthetic.VERSION", "2")
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert len(made) == 2


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_foreign(path: Path) -> None:
    path.write_bytes(pickle.dumps({"keys": [], "offsets": [0], "timestamps": None, "values": "x"}))


def damage_other_type(path: Path) -> None:
    path.write_bytes(pickle.dumps([1, 2, 3]))


def damage_text(path: Path) -> None:
    path.write_text("not a pickle\n")


@pytest.mark.parametrize(
    "damage", [damage_cut, damage_empty, damage_bit, damage_foreign, damage_other_type, damage_text]
)
def test_a_damaged_cache_is_made_anew_with_a_word(damage, tmp_path: Path, made: list, caplog) -> None:
    first, _ = load_or_generate("synthetic", "small", folder=tmp_path)
    damage(tmp_path / DATASET_FILE)
    second, _ = load_or_generate("synthetic", "small", folder=tmp_path)
    assert second.fingerprint == first.fingerprint
    assert len(made) == 2
    assert "anew" in caplog.text
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert len(made) == 2


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("where", ["whole", "keys", "array"])
def test_reading_the_pickle_runs_no_code(where: str, tmp_path: Path, caplog) -> None:
    load_or_generate("synthetic", "small", folder=tmp_path)
    marker = tmp_path / "was-here"
    bad = Malicious(marker)
    array = np.array([bad], dtype=object)
    content = {"whole": bad, "keys": {"keys": [bad]}, "array": {"keys": [], "offsets": array}}[where]
    (tmp_path / DATASET_FILE).write_bytes(pickle.dumps(content))
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert not marker.exists()
    assert "no place in a data set" in caplog.text


def test_names_that_nest_are_rejected(tmp_path: Path, made: list) -> None:
    load_or_generate("synthetic", "small", folder=tmp_path)
    name: object = "x"
    for _ in range(60):
        name = (name, name)  # 2**60 steps to hash
    arrays = {"offsets": bytes(16), "timestamps": b"", "values": b""}
    (tmp_path / DATASET_FILE).write_bytes(pickle.dumps({"keys": [(name, {})], **arrays}, protocol=5))
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert len(made) == 2


def test_not_even_arrays_are_let_through(tmp_path: Path, caplog) -> None:
    load_or_generate("synthetic", "small", folder=tmp_path)
    (tmp_path / DATASET_FILE).write_bytes(pickle.dumps({"offsets": np.zeros(1, np.int64)}))
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert "no place in a data set" in caplog.text


@pytest.mark.parametrize(
    "content", [b"\x80\x05}" + b")" + b"\x85" * 3_000_000 + b"Ns.", b"\x80\x05}" + b"\x8c\x00" * 100]
)
def test_a_pickle_that_would_crash_python_is_only_damaged(content: bytes, tmp_path: Path, made: list) -> None:
    # A tuple that nests three million deep: to hash it overflows the stack.
    load_or_generate("synthetic", "small", folder=tmp_path)
    (tmp_path / DATASET_FILE).write_bytes(content)
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert len(made) == 2


def test_a_wrong_size_is_rejected_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="tiny"):
        load_or_generate("real", "tiny", folder=tmp_path / "output")
    assert not list(tmp_path.iterdir())


def test_waiting_for_another_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr("squeezelab.store.files.PATIENCE", 0.01)
    taken = threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / "lock"):
            taken.set()
            while "Waiting" not in caplog.text:
                time.sleep(0.01)

    other = threading.Thread(target=hold)
    other.start()
    taken.wait()
    with locked(tmp_path / "lock"):
        assert "Waiting for another run" in caplog.text
    other.join()


@pytest.mark.parametrize("description", ["", "nonsense", "key: 0\n", "\0\xff"])
def test_a_damaged_description_is_made_anew(description: str, tmp_path: Path, made: list) -> None:
    load_or_generate("synthetic", "small", folder=tmp_path)
    (tmp_path / DESCRIPTION_FILE).write_text(description)
    load_or_generate("synthetic", "small", folder=tmp_path)
    assert len(made) == 2


def test_a_folder_that_cannot_be_made_costs_the_cache_only(tmp_path: Path, made: list, caplog) -> None:
    (tmp_path / "file").write_text("in the way")
    dataset, _ = load_or_generate("synthetic", "small", folder=tmp_path / "file" / "output")
    assert len(dataset) == 50_000
    assert "without" in caplog.text


def test_two_runs_at_once_do_not_spoil_each_other(tmp_path: Path) -> None:
    program = (
        "import sys; from squeezelab.experiment.source import load_or_generate\n"
        "for turn in range(6):\n"
        "    source = ('synthetic', 'random')[(turn + int(sys.argv[2])) % 2]\n"
        "    print(load_or_generate(source, 'small', folder=sys.argv[1])[0].fingerprint)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path, str(i)], stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    prints = [generate_metric_data(source, "small").fingerprint for source in ("synthetic", "random")]
    outputs = [run.communicate()[0].split() for run in runs]
    assert outputs == [prints * 3, prints[::-1] * 3]
    assert [run.returncode for run in runs] == [0, 0]
