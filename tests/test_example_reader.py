"""examples/tally.c, a reader in C written from docs/format.md, finds what the package finds, bit by bit."""

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fixtures.make import contexts

from columns import SPECIAL_WORDS
from fuzz.forging import forge_tally
from lanes_by_hand import DAMAGED, SMALL, WHOLE, any_head, any_residuals, block_of, file_of, write_lanes
from squeezelab import CorruptDataError, MetricDataset, Series, SeriesKey, TallyFile, generate_metric_data
from squeezelab.dataset import to_words
from squeezelab.formats.tally import Tally, append_series, pack_series

TOP = Path(__file__).parents[1]
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FIXTURES = sorted((TOP / "tests/fixtures/tally_file").glob("*.tally"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


def compiled(folder: Path, *options: str) -> tuple[Path, str]:
    """Compile the reader, and return it with what the compiler says."""
    program = folder / "tally"
    flags = ("-O1", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-ffp-contract=off")
    command = [
        str(COMPILER),
        *flags,
        *options[:1],
        str(TOP / "examples/tally.c"),
        "-o",
        str(program),
        "-lm",
        *options[1:],
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return program, done.stderr


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program, words = compiled(tmp_path_factory.mktemp("reader"))
    assert not words
    return program


@pytest.fixture(scope="module")
def reader_of_version_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library in ("-lzstd", "-l:libzstd.so.1"):
        program, _ = compiled(tmp_path_factory.mktemp("reader"), "-DTALLY_ZSTD", library)
        if program.exists():
            return program
    pytest.skip("libzstd cannot be linked")


def expected(dataset: MetricDataset) -> str:
    lines = []
    for key, timestamps, values in dataset:
        escaped = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in key.labels.items()}
        labels = ",".join(f'{name}="{text}"' for name, text in escaped.items())
        name = key.metric_name + (f"{{{labels}}}" if labels else "")
        words = to_words(values).tolist()
        lines += [f"{name} {time} {word:016x}\n" for time, word in zip(timestamps.tolist(), words, strict=True)]
    return "".join(lines)


def read(program: Path, path: Path) -> str:
    done = subprocess.run([program, "--bits", path], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogatepass")


def of_several_dtypes(rng: np.random.Generator) -> MetricDataset:
    odd = np.array([0x7F800001, 0xFFC00001, 0x80000000, 1, 0x7F800000], np.uint32).view(np.float32)
    columns = {
        "counter": 2**60 + np.cumsum(rng.integers(0, 1000, 9000)),
        "ends": np.array([-(2**63), 2**63 - 1, 0]),
        "decimals": np.round(rng.normal(size=9000), 2).astype(np.float32),
        "noise": rng.normal(size=9000).astype(np.float32),
        "odd": odd,
        "doubles": np.round(rng.normal(size=9000), 2),
        "as many doubles": np.round(rng.normal(size=9000), 2),
    }
    return of_columns(columns)


def of_columns(columns: dict[str, np.ndarray]) -> MetricDataset:
    return MetricDataset.from_series(
        [Series(SeriesKey(name, {}), 15 * np.arange(one.size), one) for name, one in columns.items()]
    )


def several() -> dict[str, MetricDataset]:
    rng = np.random.default_rng(6)
    free, cache = 4096.0 * np.cumsum(rng.integers(-2000, 2001, (2, 9000)), axis=1)
    rates = np.diff(np.cumsum(rng.integers(0, 1000, 301)) / 100 + 1e6) / 30
    columns = {
        "references_and_blocks": [free, cache, free + cache + 4096 * rng.integers(0, 4, 9000)],
        "rates": [rates, np.array([float(f"{rate:.16f}") for rate in rates]), rng.integers(0, 900, 300) * (1 / 20)],
        "any": [rng.integers(0, 2**64, 300, np.uint64).view(float), rng.choice(rng.normal(size=4), 300)],
        "special": [np.array(SPECIAL_WORDS, np.uint64).view(float), np.round(rng.normal(size=len(SPECIAL_WORDS)), 3)],
    }
    made = {}
    for name, group in columns.items():
        times = np.cumsum(rng.integers(-(2**40), 2**40, group[0].size))
        keys = [SeriesKey(f"m{i}", {"host": "a", "path": f'C:\\"{i}"'} if i else {}) for i in range(len(group))]
        made[name] = MetricDataset.from_series([Series(key, times, one) for key, one in zip(keys, group, strict=True)])
    return made | {
        "synthetic": generate_metric_data().select(range(0, 50, 4)),
        "typed": of_several_dtypes(rng),
        "contexts": of_columns(contexts()),
        "nothing": MetricDataset.from_series([]),
    }


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("name", sorted(several()))
def test_it_reads_version_2(reader: Path, tmp_path: Path, name: str, level: int) -> None:
    dataset = several()[name]
    Tally(level).write(dataset, tmp_path / "a.tally")
    assert read(reader, tmp_path / "a.tally") == expected(dataset)


def test_it_reads_all_parts_and_passes_over_an_unfinished_one(reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tally"
    first, second = list(several()["rates"])[:2]
    pack_series([first], path)
    append_series([second], path)
    both = MetricDataset.from_series([first, second])
    assert read(reader, path) == expected(both)
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        file.write(b"the beginning of a part")
        file.seek(19)
        assert int.from_bytes(file.read(8), "big") == end
    assert read(reader, path) == expected(both)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_it_reads_what_was_written(reader_of_version_1: Path, path: Path) -> None:
    assert read(reader_of_version_1, path) == expected(TallyFile.open(path).read_all())


@pytest.mark.parametrize("name", ["contexts", "typed", "rates"])
def test_of_blocks_damaged_under_checksums_that_are_right_it_finds_what_the_package_finds(
    reader: Path, tmp_path: Path, name: str
) -> None:
    make, rng = forge_tally(several()[name], indexes=0), random.Random(8)
    for _ in range(150):
        forged = make(rng)
        (tmp_path / "a.tally").write_bytes(forged)
        done = subprocess.run([reader, "--bits", tmp_path / "a.tally"], capture_output=True, timeout=20)
        try:
            found = Tally().decode(forged)
        except CorruptDataError:
            assert done.returncode == 2
        else:
            assert done.stdout.decode("utf-8", "surrogatepass") == expected(found)


def test_it_reads_all_tables_of_contexts_that_the_page_allows(reader: Path, tmp_path: Path) -> None:
    made = []
    for seed in range(60):
        rng = random.Random(seed)
        head, count = any_head(rng), rng.choice([8, 61, 300, 1537])
        residuals = any_residuals(rng, head, count)
        made.append((block_of(write_lanes(residuals, head)), np.array(residuals)))
    whole = file_of([(block, column.size) for block, column in made])
    (tmp_path / "a.tally").write_bytes(whole)
    columns = [Series(SeriesKey(f"m{i}", {}), np.arange(one.size), one) for i, (_, one) in enumerate(made)]
    assert Tally().decode(whole).fingerprint == MetricDataset.from_series(columns).fingerprint
    assert read(reader, tmp_path / "a.tally") == expected(MetricDataset.from_series(columns))


@pytest.mark.parametrize("name", [*WHOLE, *DAMAGED])
def test_it_rejects_tables_of_contexts_that_must_not_be(reader: Path, tmp_path: Path, name: str) -> None:
    head = (WHOLE | DAMAGED)[name]
    (tmp_path / "a.tally").write_bytes(file_of([(block_of(write_lanes(SMALL, head)), len(SMALL))]))
    done = subprocess.run([reader, tmp_path / "a.tally"], capture_output=True)
    assert done.returncode == (0 if name in WHOLE else 2)


def test_it_gives_back_all_memory(tmp_path: Path) -> None:
    program, words = compiled(tmp_path, "-fsanitize=address")
    Tally().write(several()["typed"], tmp_path / "whole.tally")
    whole = (tmp_path / "whole.tally").read_bytes()
    (tmp_path / "damaged.tally").write_bytes(whole[:35] + bytes(40) + whole[75:])
    if not program.exists() or "LeakSanitizer has encountered" in (words + errors_of(program, tmp_path / "no file")):
        pytest.skip("there is no LeakSanitizer")
    assert "LeakSanitizer" not in errors_of(program, tmp_path / "whole.tally")
    assert errors_of(program, tmp_path / "damaged.tally").endswith(": the file is damaged\n")


def errors_of(program: Path, path: Path) -> str:
    return subprocess.run([program, path], capture_output=True).stderr.decode()


def test_damage_is_an_error_and_no_crash(reader: Path, tmp_path: Path) -> None:
    Tally().write(several()["rates"], tmp_path / "a.tally")
    whole = (tmp_path / "a.tally").read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=3).tolist():
            damaged[place] = int(rng.integers(256))
        (tmp_path / "b.tally").write_bytes(damaged)
        done = subprocess.run([reader, tmp_path / "b.tally"], capture_output=True, timeout=20)
        assert done.returncode in (0, 2)
