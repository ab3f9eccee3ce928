"""How fast data are made, loaded, cached and written: ``pytest tests/benchmarks/bench_data.py``."""

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT

from squeezelab import cache, generate_metric_data
from squeezelab.documents.writing import DAY, make_documents, plain_documents
from squeezelab.formats import available_formats, get_format
from squeezelab.formats.ndjson import ndjson_bytes
from squeezelab.generators import find_source
from squeezelab.generators._services import read_services


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("source", ["synthetic", "random"])
def test_generate_500_000_samples(benchmark, source: str, workers: int) -> None:
    dataset = benchmark(find_source(source).generate, "big", 0, workers=workers)
    benchmark.extra_info["samples"] = len(dataset)


def test_load_the_cache(benchmark, tmp_path: Path) -> None:
    cache.load_or_generate("synthetic", "big", folder=tmp_path)
    dataset, _ = benchmark(cache.load_or_generate, "synthetic", "big", folder=tmp_path)
    assert len(dataset) == 500_000


def test_load_real_data(benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read four files of 20,000 rows."""
    repository = tmp_path / "repository"
    (repository / "data").mkdir(parents=True)
    header, *rows = (PROJECT / "tests/data/westermo/data/system-2.csv").read_text().splitlines()
    cells = [row.split(",", 1)[1] for row in rows]
    text = "\n".join([header, *(f"{30 * i},{cells[i % len(cells)]}" for i in range(20_000))]) + "\n"
    for number in range(4):
        (repository / "data" / f"system-{number}.csv").write_text(text)
    git = [shutil.which("git") or "git", "-C", repository, "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "rows"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setenv("WESTERMO_REPO_URL", repository.as_uri())
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    find_source("real").provenance()
    dataset = benchmark(generate_metric_data, "real", "huge")
    benchmark.extra_info["samples"] = len(dataset)


@pytest.mark.parametrize("workers", [1, 2])
def test_make_a_day_of_documents(benchmark, workers: int, tmp_path: Path) -> None:
    benchmark.group = "documents"
    options = {"end": 1_700_000_000, "seconds": DAY, "workers": workers}
    made = benchmark(make_documents, tmp_path / "documents", read_services(), **options)
    benchmark.extra_info["documents"] = made.documents


def test_make_ten_minutes_of_documents_plainly(benchmark) -> None:
    benchmark.group = "documents"
    lines = benchmark(lambda: list(plain_documents(read_services(), end=1_700_000_000, seconds=600)))
    benchmark.extra_info["documents"] = len(lines)


@pytest.mark.parametrize("name", available_formats())
def test_write_50_000_samples(benchmark, name: str, small) -> None:
    benchmark.group = "write"
    benchmark(get_format(name).encode, small)


@pytest.mark.parametrize("name", available_formats())
def test_read_50_000_samples(benchmark, name: str, small) -> None:
    benchmark.group = "read"
    benchmark(get_format(name).decode, get_format(name).encode(small))


@pytest.mark.parametrize("name", available_formats())
def test_read_one_series_of_50(benchmark, name: str, small) -> None:
    benchmark.group = "read one series"
    with get_format(name).open(get_format(name).encode(small)) as reader:
        benchmark(reader.read_series, 25)


def test_count_the_bytes_of_ndjson(benchmark, small) -> None:
    assert benchmark(ndjson_bytes, small) == len(get_format("ndjson").encode(small))
