"""Partitions and clusters: the same numbers as on one machine, whatever dies or is damaged on the way."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xxhash
from conftest import PROJECT

from columns import SPECIAL_WORDS
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, generate_metric_data
from squeezelab.codecs import get_codec
from squeezelab.dataset import combine_digests
from squeezelab.errors import DataSourceError, InvalidRequestError
from squeezelab.experiment import cluster as lab
from squeezelab.experiment.machine import package_versions
from squeezelab.experiment.plan import Plan
from squeezelab.experiment.run import measure_dataset, name_missing
from squeezelab.generators import find_source
from squeezelab.results import Measurement, Results
from squeezelab.store.partitions import MANIFEST, PartitionStore, cut

distributed = pytest.importorskip("distributed", reason='clusters need Dask: pip install "squeezelab[dask]"')

CODECS = ["xor", "delta_of_delta", "zlib"]
FORMATS = ["columnar", "ndjson"]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that tells what squeezelab has said; Dask speaks, too."""
    monkeypatch.setattr(logging.getLogger("squeezelab"), "propagate", True)
    caplog.set_level(logging.INFO, "squeezelab")
    return lambda: [one.getMessage() for one in caplog.records if one.name.startswith("squeezelab")]


def start_cluster(workers: int, **settings: object) -> distributed.LocalCluster:
    """Start worker processes."""
    settings |= {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    return distributed.LocalCluster(n_workers=workers, processes=True, **settings)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    with start_cluster(2) as cluster:
        yield cluster


def plain_results(generator: str) -> Results:
    dataset = generate_metric_data(generator, "small")
    provenance = find_source(generator).provenance()
    return measure_dataset(
        dataset, generator=generator, size="small", provenance=provenance, codecs=CODECS, formats=FORMATS, rounds=0
    )


@pytest.fixture(scope="module")
def plain() -> Results:
    """What one machine makes of the small synthetic data set."""
    return plain_results("synthetic")


def measure(
    scheduler: str, store: Path | str, partition_samples: int = lab.PARTITION_SAMPLES, **changed: object
) -> Results:
    chosen = {"generator": "synthetic", "size": "small", "codecs": CODECS, "formats": FORMATS, "rounds": 0} | changed
    origin = {name: chosen.pop(name) for name in ("generator", "size", "seed") if name in chosen}
    plan = Plan.of(**chosen)
    return lab.measure_on_cluster(scheduler, plan, store=str(store), partition_samples=partition_samples, **origin)


def same(one: Results, other: Results) -> bool:
    return one.dataset == other.dataset and list(map(unmeasured, one.measurements)) == list(
        map(unmeasured, other.measurements)
    )


def unmeasured(one: Measurement) -> Measurement:
    """Return a measurement without what no two runs have alike: time and memory."""
    timing = {"timed_samples": 0, "rounds": 0, "timed_seconds": 0.0, "noisy": False}
    names = ("mb_s", "ci", "call_us", "bulk_mb_s", "many_mb_s")
    speeds = dict.fromkeys(f"{verb}_{name}" for verb in ("encode", "decode") for name in names)
    return replace(one, **timing, **speeds, encode_peak_mb=None, decode_peak_mb=None)


# Series and partitions


@pytest.mark.parametrize("generator", ["synthetic", "random"])
def test_any_run_of_series_can_be_made_on_its_own(generator: str) -> None:
    source, whole = find_source(generator), list(generate_metric_data(generator, "small", seed=3))
    keys, lengths = source.outline("small")
    assert [(series.key, len(series.values)) for series in whole] == list(zip(keys, lengths, strict=True))
    for part in (range(7), range(7, 8), range(8, 50)):
        made = source.generate("small", 3, series=part)
        assert [one.digest() for one in made] == [series.digest() for series in whole[part.start : part.stop]]


@pytest.mark.parametrize(
    ("lengths", "samples", "fewest", "parts"),
    [
        ([10] * 6, 20, 1, [(0, 2), (2, 4), (4, 6)]),
        ([10] * 6, 1000, 3, [(0, 2), (2, 4), (4, 6)]),
        ([10] * 6, 1000, 1, [(0, 6)]),
        ([10, 10], 1000, 8, [(0, 1), (1, 2)]),
        ([1, 1, 100, 1, 1], 10, 1, [(0, 3), (3, 5)]),
        ([0, 5, 0, 5, 0], 5, 1, [(0, 2), (2, 5)]),
    ],
)
def test_partitions_are_runs_of_whole_series(lengths: list, samples: int, fewest: int, parts: list) -> None:
    assert cut(np.array(lengths), samples, fewest) == [range(*part) for part in parts]


@pytest.fixture
def odd() -> MetricDataset:
    """Return a data set of everything that a file may lose."""
    words = np.array(SPECIAL_WORDS, np.uint64).view(np.float64)
    times = np.linspace(-(2**62), 2**62, len(words)).astype(np.int64)
    times[:2] = 2**63 - 1, -(2**63)
    return MetricDataset.from_series(
        [
            Series(SeriesKey("wild", {"emoji": "\N{SNOWMAN}", "half": "\ud800"}), times, words),
            Series(SeriesKey("empty", {}), times[:0], words[:0]),
            Series(SeriesKey("tame", {"value": '"', "series": "\n"}), times[:5], words[:5]),
            Series(SeriesKey("last", {}), times[:0], words[:0]),
        ]
    )


@pytest.mark.parametrize("place", ["folder with [brackets]", "memory://test_cluster/odd"])
def test_partitions_keep_every_bit(place: str, odd: MetricDataset, tmp_path: Path) -> None:
    store = PartitionStore(place if "://" in place else str(tmp_path / place))
    store.begin()
    store.write(3, odd)
    read = store.read(3, [series.digest() for series in odd])
    assert read.keys == odd.keys
    assert read.offsets.tolist() == odd.offsets.tolist()
    assert read.timestamps.tobytes() == odd.timestamps.tobytes()
    assert read.values.tobytes() == odd.values.tobytes()


def test_a_damaged_or_missing_partition_is_rejected(odd: MetricDataset, tmp_path: Path) -> None:
    store, digests = PartitionStore(str(tmp_path)), [series.digest() for series in odd]
    store.write(0, odd)
    file = tmp_path / "part-00000.parquet"
    whole = file.read_bytes()
    for at in range(0, len(whole), 7):
        file.write_bytes(whole[:at])
        with pytest.raises(CorruptDataError, match=r"part-00000\.parquet is damaged"):
            store.read(0, digests)
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        # Some bits of a file mean nothing; what is read is right, or it is not read.
        with suppress(CorruptDataError):
            assert store.read(0, digests).values.tobytes() == odd.values.tobytes()
    file.unlink()
    with pytest.raises(CorruptDataError, match="is missing"):
        store.read(0, digests)
    store.write(0, odd.select([0, 1, 2]))
    with pytest.raises(CorruptDataError, match="another data set"):
        store.read(0, digests)


def test_only_partitions_are_cleared_away(odd: MetricDataset, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    foreign = [tmp_path / "notes.txt", tmp_path / "part-00000.parquet.crc", tmp_path / "sub" / "part-00000.parquet"]
    for path in foreign:
        path.write_text("not ours")
    store = PartitionStore(str(tmp_path))
    store.write(12, odd)
    store.finish({}, [range(4)], np.diff(odd.offsets), [series.digest() for series in odd])
    store.begin()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(foreign)


# The same on a cluster


@pytest.mark.parametrize("generator", ["synthetic", "random"])
def test_one_machine_and_a_cluster_give_the_same(
    generator: str, cluster: distributed.LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What every codec runs on is a part, which must be the same one.
    monkeypatch.setattr("squeezelab.experiment.run.COMMON_SAMPLES", 20_000)
    alone = plain_results(generator)
    assert [one.samples for one in alone.common("values")] == [20_000] * 2
    together = measure(cluster.scheduler_address, tmp_path, generator=generator)
    assert same(alone, together)
    assert alone.explanations == together.explanations
    assert len(list(tmp_path.glob(f"small-{generator}-*/part-*.parquet"))) == 8
    assert "2 workers" in together.run.notes[0]
    assert alone.run.notes == name_missing()


def test_the_digest_of_frames_is_that_of_the_bytes_of_all_frames(plain: Results, small: MetricDataset) -> None:
    frames = [get_codec("xor").encode(series.values) for series in small]
    assert plain.get("values", "xor").frames_digest == combine_digests(map(xxhash.xxh3_128_digest, frames))
    cpu = [frame for frame, key in zip(frames, small.keys, strict=True) if key.metric_name == "cpu_usage_percent"]
    family = next(one for one in plain.find("values", "cpu_usage_percent") if one.codec == "xor")
    assert family.frames_digest == combine_digests(map(xxhash.xxh3_128_digest, cpu))


def test_what_was_timed_adds_up(cluster: distributed.LocalCluster, tmp_path: Path, plain: Results) -> None:
    timed = measure(cluster.scheduler_address, tmp_path, rounds=2, budget=0.5)
    assert same(timed, plain)
    assert all(0 < one.timed_samples <= 50_000 for one in timed.find("values") + timed.find("timestamps"))
    for one in timed.find("values"):
        assert one.rounds >= 2
        assert one.encode_ci[0] <= one.encode_mb_s <= one.encode_ci[1]
        assert one.decode_ci[0] <= one.decode_mb_s <= one.decode_ci[1]
    assert set(timed.memcpy_mb_s) == set(timed.memcpy_ci) == {"timestamps", "values", "dataset"}
    assert timed.run.settings["budget"] == 0.5


def test_large_data_have_their_formats_run_on_a_part(
    cluster: distributed.LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Results
) -> None:
    monkeypatch.setattr("squeezelab.experiment.run.FILE_SAMPLES", 10_000)
    part = measure(cluster.scheduler_address, tmp_path)
    assert part.get("dataset", "columnar").samples == part.get("dataset", "columnar").proven_samples == 10_000
    text = part.get("dataset", "ndjson")
    assert (text.samples, text.proven_samples) == (50_000, 10_000)
    assert text.encoded_bytes == plain.get("dataset", "ndjson").encoded_bytes
    assert part.find("values") == plain.find("values")


# Dask runs it twice.
FAIL_AT_PARTITION_10_AND_DIE_AT_20 = """
import os, psutil
from squeezelab.store import partitions
from squeezelab.store.partitions import PartitionStore

write = vars(partitions).setdefault("write", PartitionStore.write)

def write_badly(self, number, dataset):
    write(self, number, dataset)
    if number == 10 and not os.path.exists(self.url + "/failed"):
        open(self.url + "/failed", "w").close()
        raise ConnectionError("a network has its moments")
    if number == 20 and not os.path.exists(self.url + "/killed"):
        with open(self.url + "/killed", "w") as file:
            file.write(str(os.getpid()))
        psutil.Process().kill()

PartitionStore.write = write_badly
"""


def test_a_killed_worker_and_a_failed_task_cost_nothing_but_time(tmp_path: Path, plain: Results) -> None:
    with start_cluster(2, preload=[FAIL_AT_PARTITION_10_AND_DIE_AT_20]) as cluster:
        before = {nanny.pid for nanny in cluster.workers.values()}
        results = measure(cluster.scheduler_address, tmp_path, partition_samples=1_000)
        killed = int((tmp_path / "small-synthetic-0" / "killed").read_text())
        assert killed in before
        assert killed not in {nanny.pid for nanny in cluster.workers.values()}
    assert (tmp_path / "small-synthetic-0" / "failed").exists()
    assert len(list(tmp_path.glob("small-synthetic-0/part-*.parquet"))) == 50
    assert same(results, plain)


# Stores


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Tell files apart by number and content: one that was made anew has another number."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}


def test_a_store_that_is_whole_is_read_and_not_written(
    cluster: distributed.LocalCluster, tmp_path: Path, plain: Results, words: Callable[[], list[str]]
) -> None:
    measure(cluster.scheduler_address, tmp_path)
    before = snapshot(tmp_path / "small-synthetic-0")
    assert same(measure(cluster.scheduler_address, tmp_path), plain)
    assert snapshot(tmp_path / "small-synthetic-0") == before
    assert not words()


def test_a_damaged_partition_is_made_anew_with_a_word(
    cluster: distributed.LocalCluster, tmp_path: Path, plain: Results, words: Callable[[], list[str]]
) -> None:
    measure(cluster.scheduler_address, tmp_path)
    folder = tmp_path / "small-synthetic-0"
    before = snapshot(folder)
    damaged, missing, swapped = (folder / f"part-0000{i}.parquet" for i in (1, 2, 3))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    missing.unlink()
    swapped.write_bytes((folder / "part-00004.parquet").read_bytes())
    assert same(measure(cluster.scheduler_address, tmp_path), plain)
    said = sorted(words())
    assert len(said) == 3
    for complaint, one in zip(
        ["1.parquet is damaged", "2.parquet is missing", "3.parquet was altered"], said, strict=True
    ):
        assert complaint in one
    after = snapshot(folder)
    assert {name: content for name, (_, content) in after.items()} == {name: one[1] for name, one in before.items()}
    assert after["part-00000.parquet"] == before["part-00000.parquet"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda manifest: manifest | {"seed": 1}, "holds another data set"),
        (lambda manifest: manifest | {"layout": 0}, "holds another data set"),
        (lambda manifest: manifest | {"provenance": {"version": "0"}}, "holds another data set"),
        (lambda manifest: manifest | {"partitions": manifest["partitions"][:-1]}, "holds another data set"),
        (lambda manifest: manifest | {"fingerprint": "0" * 32}, "was altered"),
        (lambda manifest: {"layout": 1}, "is damaged"),
        (lambda manifest: [], "is damaged"),
    ],
)
def test_a_manifest_that_does_not_match_is_rejected_with_a_word(
    change: object, word: str, small: MetricDataset, tmp_path: Path, words: Callable[[], list[str]]
) -> None:
    store, parts = PartitionStore(str(tmp_path)), [range(30), range(30, 50)]
    described = {"generator": "synthetic", "size": "small", "seed": 0, "provenance": {"version": "1"}}
    digests = [series.digest() for series in small]
    assert store.find(described, parts) is None
    store.finish(described, parts, np.diff(small.offsets), digests)
    assert store.find(described, parts) == digests
    assert not words()
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["fingerprint"] == small.fingerprint
    assert [one["samples"] for one in manifest["partitions"]] == [30_000, 20_000]
    (tmp_path / MANIFEST).write_text(json.dumps(change(manifest)))
    assert store.find(described, parts) is None
    assert len(words()) == 1
    assert word in words()[0]


def test_a_data_set_that_only_the_client_has_is_given_to_workers(
    odd: MetricDataset,
    cluster: distributed.LocalCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: Callable[[], list[str]],
) -> None:
    # NDJSON, whose size is counted, has no half surrogate pairs.
    odd = MetricDataset([SeriesKey(f"m{i}", {}) for i in range(4)], odd.offsets, odd.timestamps, odd.values)
    monkeypatch.setattr(lab, "find_source", lambda name: SimpleNamespace(generate=None, provenance=None))
    monkeypatch.setattr(lab, "load_or_generate", lambda *one, **other: (odd, {"commit": "0"}))
    described = {"generator": "real", "size": "small", "provenance": {"commit": "0"}}
    alone = measure_dataset(odd, codecs=CODECS, formats=FORMATS, rounds=0, **described)
    assert same(measure(cluster.scheduler_address, tmp_path, generator="real"), alone)
    (tmp_path / "small-real-0" / "part-00001.parquet").write_bytes(b"")
    assert same(measure(cluster.scheduler_address, tmp_path, generator="real"), alone)
    assert len(words()) == 1
    assert "part-00001.parquet is damaged" in words()[0]
    assert PartitionStore(str(tmp_path / "small-real-0")).read(1, [series.digest() for series in odd.select([1, 2])])


# Errors of one line


def test_a_scheduler_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "PATIENCE", 0.3)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DataSourceError, match=f"cannot reach a Dask scheduler at {address}"):
            measure(address, tmp_path)
    for wrong in ("nonsense", "foo://bar:1", "tcp://host", "http://127.0.0.1:1"):
        with pytest.raises(InvalidRequestError, match="no scheduler: give tcp://host:8786"):
            measure(wrong, tmp_path)


def test_what_listens_but_is_no_scheduler_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("squeezelab.experiment.cluster.PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataSourceError, match="cannot reach a Dask scheduler"):
            measure(address, tmp_path)


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "PATIENCE", 0.3)
    with start_cluster(0) as empty, pytest.raises(DataSourceError, match="dask worker"):
        measure(empty.scheduler_address, tmp_path)


def test_workers_that_lack_squeezelab(tmp_path: Path) -> None:
    with (
        start_cluster(1, preload=["import sys; sys.modules['squeezelab'] = None"]) as cluster,
        pytest.raises(DataSourceError, match="install squeezelab there") as error,
    ):
        measure(cluster.scheduler_address, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("versions", "message", "said"), [({"squeezelab": "0"}, "install the same", 0), ({"numpy": "0"}, None, 1)]
)
def test_workers_with_other_versions(
    versions: dict, message: str | None, said: int, words: Callable[[], list[str]]
) -> None:
    worker = lab.Introduction("host", "cpu", package_versions() | versions)
    client = SimpleNamespace(wait_for_workers=lambda *_, **__: None, run=lambda *_, **__: {"tcp://w": worker})
    if message:
        with pytest.raises(DataSourceError, match=message):
            lab._meet_workers(client)
    else:
        assert lab._meet_workers(client) == {"tcp://w": worker}
    assert len(words()) == said


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidRequestError, match=r'pip install "squeezelab\[dask\]"'):
        measure("local", tmp_path)


@pytest.mark.parametrize(
    ("store", "message"), [("{folder}/file/x", "cannot write partitions to .*--store"), ("foo://x", "no place")]
)
def test_a_store_that_cannot_be(store: str, message: str, cluster: distributed.LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((DataSourceError, InvalidRequestError), match=message):
        measure(cluster.scheduler_address, store.format(folder=tmp_path))


@pytest.mark.parametrize("wrong", [{"size": "tiny"}, {"seed": -1}, {"generator": "x"}, {"codecs": ["x"]}])
def test_mistakes_are_told_before_anything_is_started(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError):
        measure("tcp://never.asked:1", tmp_path, **wrong)


def test_the_command_line_starts_a_cluster_and_reports_the_same(tmp_path: Path, plain: Results) -> None:
    chosen = ["--codecs", " ".join(CODECS), "--formats", " ".join(FORMATS), "--store", "elsewhere", "--budget", "1"]
    done = subprocess.run(
        [sys.executable, PROJECT / "main.py", "--scheduler", "local", *chosen],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr.replace("Compiling kernels: this first run takes some seconds longer.\n", "")
    assert "Report: reports/small-synthetic/report.html" in done.stdout
    results = Results.read(tmp_path / "reports" / "small-synthetic" / "results.json")
    assert results.dataset == plain.dataset
    assert same(results, plain)
    assert results.run.notes[0] in (tmp_path / "reports" / "small-synthetic" / "ratios.md").read_text()
    assert (tmp_path / "elsewhere" / "small-synthetic-0" / MANIFEST).exists()
    assert not (tmp_path / "output" / "partitions").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
def test_an_interrupt_closes_the_cluster_and_is_one_line(tmp_path: Path) -> None:
    # As a terminal does it: the signal reaches all processes.
    command = [sys.executable, PROJECT / "main.py", "--scheduler", "local", "--size", "big"]
    running = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE, text=True)
    partitions = tmp_path / "output" / "partitions" / "big-synthetic-0"
    while running.poll() is None and not list(partitions.glob("part-*.parquet")):
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    _, words = running.communicate()
    assert running.returncode == 130
    assert words.splitlines()[-1] == "error: interrupted"
    assert len([line for line in words.splitlines() if not line.startswith("Compiling")]) == 1
    assert not list(partitions.glob("_*"))
