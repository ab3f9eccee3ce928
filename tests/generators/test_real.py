"""The source "real": a repository of CSV files is cloned once, and read without a bit being changed."""

import csv
import logging
import os
import re
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from squeezelab import MetricDataset, generate_metric_data
from squeezelab.errors import DataSourceError
from squeezelab.generators import real

git = pytest.importorskip("git")

PROJECT = Path(__file__).parents[2]
FIXTURE = PROJECT / "tests" / "data" / "westermo"
SLICES = PROJECT.parent / "shared" / "data" / "westermo"


def commit(repository: Path) -> str:
    """Commit everything that lies in a folder, and return the commit's name."""
    author = git.Actor("test", "test@localhost")
    with git.Repo.init(repository) as repo:
        repo.git.add(all=True)
        return repo.index.commit("data", author=author, committer=author, skip_hooks=True).hexsha


def use(monkeypatch: pytest.MonkeyPatch, repository: Path | str) -> None:
    url = repository.as_uri() if isinstance(repository, Path) else repository
    monkeypatch.setenv("WESTERMO_REPO_URL", url)


@pytest.fixture(autouse=True)
def clones(tmp_path, monkeypatch):
    """Keep clones away from those of the person who runs the tests."""
    folder = tmp_path / "clones"
    monkeypatch.setattr(real, "user_data_path", lambda name: folder)
    return folder


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """Two systems that look like Westermo's, in a repository that is used as the source."""
    repository = tmp_path / "origin"
    shutil.copytree(FIXTURE, repository)
    commit(repository)
    use(monkeypatch, repository)
    return repository


@pytest.fixture
def load(tmp_path, monkeypatch, caplog):
    """Load files given as ``{path: text}`` from a repository made of them."""
    caplog.set_level(logging.INFO)

    def load(files: dict[str, str | bytes], size: str = "small") -> MetricDataset:
        repository = tmp_path / "made"
        for path, content in files.items():
            target = repository / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        commit(repository)
        use(monkeypatch, repository)
        return real.generate(size, 0)

    return load


@pytest.fixture
def words(caplog):
    """Return what was said so far, a line a warning."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def table(rows: int, metrics: int = 1) -> str:
    """Make a CSV file whose first metric counts its rows."""
    header = ["timestamp", *(f"metric-{i}" for i in range(metrics))]
    lines = [[str(30 * row), *[str(row)] * metrics] for row in range(rows)]
    return "".join(",".join(line) + "\n" for line in [header, *lines])


def hosts(dataset: MetricDataset) -> list[str]:
    return list(dict.fromkeys(key.labels["host"] for key in dataset.keys))


def seconds(dataset: MetricDataset) -> list[list[int]]:
    return [(series.timestamps - real.EPOCH).tolist() for series in dataset]


def values(dataset: MetricDataset) -> list[list[float]]:
    return [series.values.tolist() for series in dataset]


# What is loaded


def assert_same_bits_as_text(dataset: MetricDataset, folder: Path) -> None:
    """Compare every sample with Python's own reading of the files: ``float`` of the text, missing ones left out."""
    expected = {}
    for path in folder.rglob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for column in rows[0]:
            if column != "timestamp":
                present = [row for row in rows if row[column]]
                expected[path.stem, column.replace("-", "_")] = (
                    np.array([real.EPOCH + int(row["timestamp"]) for row in present]),
                    np.array([float(row[column]) for row in present]),
                )
    assert {(series.key.labels["host"], series.key.metric_name) for series in dataset} == expected.keys()
    for series in dataset:
        timestamps, floats = expected[series.key.labels["host"], series.key.metric_name]
        np.testing.assert_array_equal(series.timestamps, timestamps)
        np.testing.assert_array_equal(series.values.view(np.uint64), floats.view(np.uint64))


@pytest.mark.parametrize("size", ["small", "big", "huge"])
def test_every_sample_is_loaded_bit_for_bit(origin, size):
    assert_same_bits_as_text(generate_metric_data("real", size), FIXTURE)


@pytest.mark.skipif(not SLICES.exists(), reason="the slices of the real data set are not here")
def test_slices_of_the_real_data_set_are_loaded_bit_for_bit(tmp_path, monkeypatch):
    shutil.copytree(SLICES, tmp_path / "origin" / "data")
    commit(tmp_path / "origin")
    use(monkeypatch, tmp_path / "origin")
    dataset = real.generate("small", 0)
    assert len(dataset) == (1033 + 928) * 23
    assert_same_bits_as_text(dataset, SLICES)


def test_numbers_of_any_spelling_are_those_python_reads(load):
    spellings = ["0.0610000000000582", "2601.1000000000004", "9007199254740993", "18446744073709551617", "-0", "-0.0"]
    spellings += ["5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "-inf", "1E5", "007", " 1.5 "]
    dataset = load({"a.csv": "timestamp,x\n" + "".join(f"{i},{text}\n" for i, text in enumerate(spellings))})
    assert [value.hex() for value in dataset.values.tolist()] == [float(text).hex() for text in spellings]


def test_systems_come_in_natural_order_and_metrics_in_that_of_their_columns(origin):
    dataset = real.generate("small", 0)
    assert hosts(dataset) == ["system-2", "system-10"]
    assert [key.metric_name for key in dataset.keys if key.labels["host"] == "system-10"] == [
        "load_1m",
        "sys_mem_free",
        "sys_mem_total",
        "sys_context_switch_rate",
        "cpu_user",
        "server_up",
    ]


def test_numbers_in_folder_names_count_too(load):
    dataset = load({f"{path}.csv": table(1) for path in ("lab10/b", "lab9/c", "lab9/a20", "lab9/a3")})
    assert hosts(dataset) == ["a3", "a20", "c"]


def test_seed_decides_nothing(origin):
    assert real.generate("small", 1).fingerprint == real.generate("small", 2).fingerprint


def test_csv_files_are_found_anywhere_and_in_any_spelling(load):
    dataset = load({"a/b/c/deep.csv": table(1), "UPPER.CSV": table(1), "notes.txt": table(1)})
    assert sorted(hosts(dataset)) == ["UPPER", "deep"]


def test_csv_files_that_git_keeps_to_itself_are_none_of_the_data(load, clones):
    load({"a.csv": table(1)})
    (clone,) = (path for path in clones.iterdir() if path.is_dir())
    (clone / ".git" / "b.csv").write_text(table(1))
    assert hosts(real.generate("small", 0)) == ["a"]


# Names


def test_a_metric_has_the_name_of_its_column_as_an_identifier(load):
    dataset = load({"a.csv": "timestamp,cpu-user,load-15m,disk io.time,mem (%),5m load, padded \n0,1,2,3,4,5,6\n"})
    names = [key.metric_name for key in dataset.keys]
    assert names == ["cpu_user", "load_15m", "disk_io_time", "mem____", "_5m_load", "padded"]
    assert all(name.isidentifier() for name in names)


def test_environment_is_read_off_the_folders(load):
    environments = {
        "a.csv": "test",
        "data/b.csv": "test",
        "prod/c.csv": "production",
        "data/Production/d.csv": "production",
        "prod-eu1/e.csv": "production",
        "stage/data/f.csv": "staging",
        "staging/g.csv": "staging",
        "dev/h.csv": "development",
        "development/i.csv": "development",
        "qa/j.csv": "test",
        "prod/testing/k.csv": "test",
        "testing/prod/l.csv": "production",
        "products/devices/m.csv": "test",
        "data/prod.csv": "test",
    }
    dataset = load({path: table(1) for path in environments}, "huge")
    labels = [{"environment": environment, "host": Path(path).stem} for path, environment in environments.items()]
    assert sorted((dict(key.labels) for key in dataset.keys), key=lambda one: one["host"]) == labels


def test_folders_above_the_clone_say_nothing_about_the_environment(load, tmp_path, monkeypatch):
    monkeypatch.setattr(real, "user_data_path", lambda name: tmp_path / "prod" / name)
    (key,) = load({"a.csv": table(1)}).keys
    assert key.labels["environment"] == "test"


def test_files_of_the_same_name_are_told_apart_by_their_paths(load):
    files = {"lab1/a.csv": "1", "lab2/a.csv": "2", "lab2/b.csv": "3"}
    dataset = load({path: f"timestamp,x\n0,{value}\n" for path, value in files.items()})
    assert {key.labels["host"]: one for key, _, (one,) in dataset} == {"lab1/a": 1, "lab2/a": 2, "b": 3}


def test_files_of_the_same_name_in_other_environments_need_no_paths(load):
    dataset = load({"prod/a.csv": table(1), "dev/a.csv": table(1)})
    assert [tuple(key.labels.values()) for key in dataset.keys] == [("development", "a"), ("production", "a")]


def test_files_that_differ_in_the_spelling_of_csv_only_are_told_apart():
    labels = real._name_systems([Path("lab/a.csv"), Path("lab/a.CSV")])
    assert [one["host"] for one in labels.values()] == ["lab/a.csv", "lab/a.CSV"]


# Time


def test_time_counts_from_the_epoch(load):
    dataset = load({"a.csv": "timestamp,x\n0,1\n30,2\n"})
    assert [datetime.fromtimestamp(t, UTC).isoformat() for t in dataset.timestamps.tolist()] == [
        "2023-01-01T00:00:00+00:00",
        "2023-01-01T00:00:30+00:00",
    ]


def test_rows_without_a_timestamp_are_dropped_with_a_word(load, words):
    dataset = load({"a.csv": "timestamp,x\n0,1\n,2\nnan,3\n90,4\n1e300,5\n"})
    assert (seconds(dataset), values(dataset)) == ([[0, 90]], [[1, 4]])
    assert words() == ["a.csv: dropped 3 rows without a timestamp"]


def test_timestamps_are_rounded_to_seconds_with_a_word(load, words):
    dataset = load({"a.csv": "timestamp,x\n0.0,1\n29.9,2\n60.4,3\n"})
    assert seconds(dataset) == [[0, 30, 60]]
    assert words() == ["a.csv: rounded its timestamps to whole seconds"]


def test_rows_out_of_order_are_sorted_with_a_word_and_equal_times_keep_theirs(load, words):
    dataset = load({"a.csv": "timestamp,x\n" + "".join(f"{row % 2 * 30},{row}\n" for row in range(100))})
    assert seconds(dataset) == [[0] * 50 + [30] * 50]
    assert values(dataset) == [[*range(0, 100, 2), *range(1, 100, 2)]]
    assert words() == ["a.csv: sorted its rows by timestamp"]


# What is missing or broken


def test_a_missing_value_is_missing_from_its_own_series_only(load, words):
    dataset = load({"a.csv": "timestamp,x,y\n0,1,10\n30,,20\n60,NaN,30\n90,4,NAN\n"})
    assert seconds(dataset) == [[0, 90], [0, 30, 60]]
    assert values(dataset) == [[1, 4], [10, 20, 30]]
    assert words() == []


@pytest.mark.parametrize(
    ("header", "row", "left_out"),
    [
        ("timestamp,x,note", "0,1,rebooted", "note"),
        ("timestamp,x,note", "0,1,true", "note"),
        ("timestamp,x,note", "0,1,wärme", "note"),
        ("timestamp,x,note", '0,1,"two\nlines"', "note"),
        ("timestamp,x,note", "0,1,2023-01-01", "note"),
        ("timestamp,x,gone", "0,1,", "gone"),
        ("timestamp,x,x", "0,1,2", "x"),
        ("timestamp,x,timestamp", "0,1,2", "timestamp"),
        ("timestamp,x,", "0,1,2", ""),
    ],
)
def test_a_column_that_is_no_metric_is_named_and_left_out(load, words, header, row, left_out):
    dataset = load({"data/a.csv": f"{header}\n{row}\n".encode("latin-1")})
    assert [(series.key.metric_name, series.values.tolist()) for series in dataset] == [("x", [1])]
    (word,) = words()
    assert word.startswith(f"skipped data/a.csv, column {left_out!r}: ")
    assert "\n" not in word


def test_columns_that_become_the_same_metric_are_one_and_the_first(load, words):
    dataset = load({"a.csv": "timestamp,cpu-user,cpu_user\n0,1,2\n"})
    assert values(dataset) == [[1]]
    assert words() == ["skipped a.csv, column 'cpu_user': it has no name of its own"]


BROKEN = {
    "ragged": "timestamp,x\n0,1\n30\n",
    "too wide": "timestamp,x\n0,1,2\n",
    "binary": bytes(range(256)) * 8,
    "empty": "",
    "blank": "\n\n",
    "header only": "timestamp,x\n",
    "no timestamp": "time,x\n0,1\n",
    "no metric": "timestamp\n0\n",
    "timestamps in words": "timestamp,x\nnoon,1\n",
    "timestamps missing": "timestamp,x\n,1\n",
    "semicolons": "timestamp;x\n0;1\n",
    "latin-1": "timestamp,wärme\n0,1\n".encode("latin-1"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named_and_left_out(load, words, content):
    dataset = load({"data/broken.csv": content, "data/good.csv": table(3)})
    assert hosts(dataset) == ["good"]
    (word,) = words()
    assert word.startswith("skipped data/broken.csv: ")
    assert "\n" not in word


@pytest.mark.parametrize("files", [{"a.txt": "no table"}, {"a.csv": ""}, {"a.csv": "timestamp,note\n0,none\n"}])
def test_a_repository_without_data_is_an_error_of_one_line(load, files):
    with pytest.raises(DataSourceError, match=r"^file://\S+ holds no CSV file .*WESTERMO_REPO_URL") as caught:
        load(files)
    assert "\n" not in str(caught.value)


def test_what_csv_allows_is_no_trouble(load, words):
    dataset = load({"a.csv": b'\xef\xbb\xbf"timestamp", "x",y\r\n0,"1",2\r\n\r\n30,3,""\r\n'})
    assert (seconds(dataset), values(dataset)) == ([[0, 30], [0]], [[1, 3], [2]])
    assert words() == []


# Sizes


def lengths(dataset: MetricDataset) -> dict[str, int]:
    return {series.key.labels["host"]: len(series.values) for series in dataset}


def test_small_is_a_window_of_each_of_three_systems(load):
    dataset = load({f"system-{i}.csv": table(1100, metrics=23) for i in (1, 2, 3, 10)})
    assert lengths(dataset) == {"system-1": 725, "system-2": 725, "system-3": 725}
    for series in dataset:
        assert series.values.tolist() == list(range(725))
        assert (series.timestamps - real.EPOCH).tolist() == list(range(0, 725 * 30, 30))


def test_big_is_a_window_of_up_to_twenty_systems(load):
    dataset = load({f"system-{i}.csv": table(1300, metrics=20) for i in range(1, 23)}, "big")
    assert lengths(dataset) == {f"system-{i}": 1250 for i in range(1, 21)}


def test_huge_is_all_there_is_and_says_so(load, caplog):
    dataset = load({f"system-{i}.csv": table(10) for i in range(1, 23)}, "huge")
    assert lengths(dataset) == {f"system-{i}": 10 for i in range(1, 23)}
    assert "the real data set ends at 220 samples: huge is all there is" in caplog.messages


@pytest.mark.parametrize("short", ["system-1", "system-2", "system-3"])
def test_what_a_short_system_lacks_is_taken_from_the_longer_ones(load, short):
    rows = {f"system-{i}": 1500 for i in (1, 2, 3)} | {short: 100}
    dataset = load({f"{name}.csv": table(count, metrics=20) for name, count in rows.items()})
    assert lengths(dataset) == {f"system-{i}": 1200 for i in (1, 2, 3)} | {short: 100}


def test_what_a_broken_system_lacks_is_taken_from_the_others(load):
    files = {f"system-{i}.csv": table(1500, metrics=20) for i in (2, 3)} | {
        "system-1.csv": table(9, metrics=20) + "0\n"
    }
    assert lengths(load(files)) == {"system-2": 1250, "system-3": 1250}


def test_systems_with_fewer_metrics_count_as_such(load):
    dataset = load({"a.csv": table(2000, metrics=24), "b.csv": table(2000, metrics=26)})
    assert lengths(dataset) == {"a": 1000, "b": 1000}


def test_a_window_is_not_judged_by_what_lies_beyond_it(load):
    dataset = load({"a.csv": table(25_000, metrics=2) + "ragged\n"})
    assert lengths(dataset) == {"a": 25_000}


def test_a_column_may_turn_from_whole_numbers_to_fractions_late(load):
    lines = "".join(f"{row},{row}\n" for row in range(40_000)) + "40000,0.5\n"
    assert load({"a.csv": "timestamp,x\n" + lines}).values[-1] == 0.5


# The clone


def folders(clones: Path) -> list[Path]:
    """What is kept, lock files aside."""
    return [path for path in clones.glob("*") if path.suffix != ".lock"]


def test_second_use_needs_no_origin(origin, clones):
    first = real.generate("small", 0)
    shutil.rmtree(origin)
    assert real.generate("small", 0).fingerprint == first.fingerprint
    assert [re.fullmatch("westermo-[0-9a-f]+", path.name) is not None for path in folders(clones)] == [True]


def test_second_use_does_not_clone_again(origin, clones):
    real.generate("small", 0)
    (clone,) = folders(clones)
    (clone / "mark").touch()
    real.generate("small", 0)
    assert (clone / "mark").exists()


def test_a_plain_path_will_do_and_is_cloned_without_its_history(origin, clones, monkeypatch):
    (origin / "later").touch()
    commit(origin)
    use(monkeypatch, str(origin))
    real.generate("small", 0)
    with git.Repo(folders(clones)[0]) as clone:
        assert clone.git.rev_list("HEAD", count=True) == "1"


@pytest.mark.parametrize("name", ["with blank", "50% älter"])
def test_a_path_may_hold_any_character(tmp_path, monkeypatch, name):
    shutil.copytree(FIXTURE, tmp_path / name)
    commit(tmp_path / name)
    use(monkeypatch, str(tmp_path / name))
    assert len(real.generate("small", 0)) > 0


def test_an_origin_that_moved_on_is_cloned_anew(origin, clones):
    real.generate("small", 0)
    (origin / "data" / "system-11.csv").write_text(table(5))
    moved_to = commit(origin)
    assert hosts(real.generate("small", 0)) == ["system-2", "system-10", "system-11"]
    assert real.provenance()["commit"] == moved_to
    assert len(folders(clones)) == 1


def test_each_origin_has_its_own_clone(origin, load, clones, monkeypatch):
    assert hosts(real.generate("small", 0)) == ["system-2", "system-10"]
    assert hosts(load({"other.csv": table(1)})) == ["other"]
    shutil.rmtree(origin)
    use(monkeypatch, origin)
    assert hosts(real.generate("small", 0)) == ["system-2", "system-10"]
    assert len(folders(clones)) == 2


def test_a_clone_that_lost_its_git_is_made_again(origin, clones):
    real.generate("small", 0)
    shutil.rmtree(folders(clones)[0] / ".git")
    assert len(real.generate("small", 0)) > 0


def test_what_a_killed_run_left_is_cleared_away(origin, clones):
    real.generate("small", 0)
    (clone,) = folders(clones)
    clone.rename(f"{clone}.partial")
    (origin / "new").touch()
    moved_to = commit(origin)
    assert real.provenance()["commit"] == moved_to
    assert folders(clones) == [clone]


def test_provenance_names_source_commit_and_reader(origin):
    with git.Repo(origin) as repo:
        head = repo.head.commit.hexsha
    assert real.provenance() == {"source": origin.as_uri(), "commit": head, "reader": real.READER_VERSION}


def test_default_source_is_the_repository_of_westermo(monkeypatch):
    monkeypatch.delenv("WESTERMO_REPO_URL", raising=False)
    assert real._repository() == "https://github.com/westermo/test-system-performance-dataset"


def error_line() -> str:
    with pytest.raises(DataSourceError) as caught:
        real.generate("small", 0)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://localhost:1/nobody/listens", "unable to access 'https://localhost:1/nobody/listens/'"),
        ("file:///no/such/repository", "'/no/such/repository' does not appear to be a git repository"),
        ("/no/such/repository", "repository '/no/such/repository' does not exist"),
    ],
)
def test_without_an_origin_one_line_says_why_and_what_to_do(clones, monkeypatch, url, reason):
    use(monkeypatch, url)
    line = error_line()
    assert line.startswith(f"cannot clone {url}: {reason}")
    assert line.endswith(f"set WESTERMO_REPO_URL=file:///path/to/clone to use a copy of {real.REPOSITORY}")
    assert folders(clones) == []


def test_a_repository_without_a_commit_is_no_origin(clones, tmp_path, monkeypatch):
    git.Repo.init(tmp_path / "origin").close()
    use(monkeypatch, tmp_path / "origin")
    assert "has no commit" in error_line()
    assert folders(clones) == []


def test_passwords_are_not_repeated(monkeypatch):
    use(monkeypatch, "https://me:secret@localhost:1/data")
    line = error_line()
    assert line.startswith("cannot clone https://localhost:1/data: ")
    assert "secret" not in line


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(origin, clones):
    clones.write_text("a file stands where the folder should")
    assert error_line().startswith(f"cannot keep a clone of {origin.as_uri()} in {clones}: ")


def test_without_git_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "git", None)
    assert error_line() == "real data are fetched with git, which is not there: install git"


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Return a function that puts shell commands in the place of ``git clone``, and the file that tells git's doings.

    In the commands, ``$folder`` is where the clone shall be and ``$git`` the real git.
    """
    if sys.platform == "win32":
        pytest.skip("needs a POSIX shell")
    script, calls, git_command = tmp_path / "bin" / "git", tmp_path / "calls", shutil.which("git")

    def fake(clone: str) -> Path:
        script.parent.mkdir()
        script.write_text(
            f"""#!/bin/sh
            git={git_command}
            for folder; do :; done
            echo "$@" >>{calls}
            case "$1" in
                clone) {clone} ;;
                *) exec "$git" "$@" ;;
            esac
            """
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
        return calls

    return fake


def test_a_clone_that_fails_half_way_leaves_nothing(origin, clones, fake_git):
    fake_git('mkdir "$folder"; touch "$folder/half"; printf "fatal: gone\\n dead\\nfatal: early EOF\\n" >&2; exit 128')
    assert f"cannot clone {origin.as_uri()}: gone dead; set WESTERMO_REPO_URL" in error_line()
    assert folders(clones) == []


@pytest.fixture
def interruptible():
    """Have Python heed an interrupt also where it was started in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_clone_leaves_nothing_and_stops_git(origin, clones, fake_git, tmp_path, interruptible):
    fake_git(f'mkdir "$folder"; touch "$folder/half"; echo $$ >{tmp_path}/pid; kill -INT $PPID; exec sleep 20')
    with pytest.raises(KeyboardInterrupt) as interrupt:
        real.generate("small", 0)
    assert folders(clones) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    del interrupt  # held until here, for GitPython stops a git that nobody knows of any more


def test_a_failed_renewal_leaves_the_clone_that_is_there(origin, fake_git):
    real.generate("small", 0)
    (origin / "new").touch()
    commit(origin)
    fake_git("exit 1")
    error_line()
    shutil.rmtree(origin)
    assert hosts(real.generate("small", 0)) == ["system-2", "system-10"]


def test_a_clone_from_the_network_does_not_ask_the_network_again(origin, fake_git, monkeypatch):
    use(monkeypatch, "https://localhost:1/data")
    calls = fake_git(f'exec "$git" clone -q {origin.as_uri()} "$folder"')
    first = real.generate("small", 0)
    calls.unlink()
    assert real.generate("small", 0).fingerprint == first.fingerprint
    assert "localhost" not in calls.read_text()


def test_git_never_asks_for_a_password_nor_waits_for_a_dead_network(origin, fake_git, tmp_path):
    fake_git(f"env >{tmp_path}/env; exit 1")
    error_line()
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["GIT_ASKPASS"] == ""
    assert int(environment["GIT_HTTP_LOW_SPEED_LIMIT"]) > 0
    assert int(environment["GIT_HTTP_LOW_SPEED_TIME"]) > 0
