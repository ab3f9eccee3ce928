"""Real data: the Westermo test system performance data set, cloned with git on first use and read from its CSV files.

Nineteen servers of a test laboratory, each with some 23 metrics of node_exporter, every 30 seconds for a month
(P E Strandberg and Y Marklund, 2023, CC BY 4.0). The environment variable ``WESTERMO_REPO_URL`` names another
repository to clone, such as a local copy.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from platformdirs import user_data_path
from pyarrow import compute

from squeezelab.console import progress_bar
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import DataSourceError
from squeezelab.readers._numbers import ABSENT, plain_numbers
from squeezelab.readers.csv import cells_of, text_table
from squeezelab.store.files import locked

REPOSITORY = "https://github.com/westermo/test-system-performance-dataset"
REPOSITORY_VARIABLE = "WESTERMO_REPO_URL"
READER_VERSION = "1"
"""Changes whenever the same files would be read as another data set."""

EPOCH = 1_672_531_200
"""2023-01-01T00:00:00Z. The files count seconds from a beginning they do not tell; this one is arbitrary, but fixed."""

TIMESTAMP = "timestamp"
ENVIRONMENTS = {
    "prod": "production",
    "production": "production",
    "stage": "staging",
    "staging": "staging",
    "dev": "development",
    "development": "development",
    "qa": "test",
    "test": "test",
    "testing": "test",
}
DEFAULT_ENVIRONMENT = "test"

GIT_ENVIRONMENT = {
    # Never ask for a password, neither on the terminal nor in a window.
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    # Give up on a connection that brings less than 1 kB/s for 30 seconds.
    "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
    "GIT_HTTP_LOW_SPEED_TIME": "30",
}
LOCAL_UPLOAD_PACK = "git -c core.bigFileThreshold=1m -c pack.compression=1 upload-pack"
"""What serves a repository of this machine: left to itself it looks minutes for likenesses between files of 20 MB."""

logger = logging.getLogger(__name__)


class _Extent(NamedTuple):
    """How much of the data set a size takes."""

    systems: int | None
    samples: int


EXTENTS = {"small": _Extent(3, 50_000), "big": _Extent(20, 500_000), "huge": _Extent(None, 100_000_000)}


class _Table(NamedTuple):
    """A CSV file of metrics over time, one system's."""

    path: Path
    name: str
    columns: list[str]
    labels: dict[str, str]

    @property
    def metrics(self) -> int:
        return len(self.columns) - 1


def generate(size: str, seed: int) -> MetricDataset:
    """Load a part of the Westermo data set.

    Parameters
    ----------
    size : {"small", "big", "huge"}
        About 50,000 samples of 3 systems, 500,000 of up to 20, or all there is: some 37 million, never more than 100
        million. Each system gives a window of rows from its beginning, none left out.
    seed : int
        Decides nothing here: the data are what they are.

    Returns
    -------
    MetricDataset
        System after system in natural order, metrics in the order of their columns; the labels are ``environment``
        and ``host``.

    Raises
    ------
    DataSourceError
        If the repository can neither be cloned nor was before, or holds nothing usable.
    """
    systems, samples = EXTENTS[size]
    with _open_clone() as clone:
        series = _read_tables(_find_tables(clone)[:systems], samples)
    if not series:
        raise DataSourceError(f"{_public(_repository())} holds no CSV file of metrics over time: {_advice()}")
    dataset = MetricDataset.from_series(series)
    if size == "huge":
        logger.info("the real data set ends at %s samples: huge is all there is", f"{len(dataset):,}")
    return dataset


def provenance() -> dict[str, str]:
    """Tell what besides the size decides the content: the repository, its commit and the version of this reader.

    Raises
    ------
    DataSourceError
        If the repository can neither be cloned nor was before.
    """
    with _open_clone() as clone:
        return {"source": _public(_repository()), "commit": str(_commit(clone)), "reader": READER_VERSION}


# The clone


def _repository() -> str:
    """Return the URL to clone; a local path becomes a file URL, for git ignores the depth of a plain path."""
    url = os.environ.get(REPOSITORY_VARIABLE) or REPOSITORY
    try:
        path = Path(url).expanduser()
    except RuntimeError:  # a tilde before a name that nobody has
        return url
    return path.resolve().as_uri() if path.exists() else url


def _public(url: str) -> str:
    """Return a URL without the name and password it may hold."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def _advice() -> str:
    return f"set {REPOSITORY_VARIABLE}=file:///path/to/clone to use a copy of {REPOSITORY}"


@contextmanager
def _open_clone() -> Iterator[Path]:
    """Make or renew the clone where need be, and keep other runs away while it is in use."""
    url = _repository()
    clone = user_data_path("squeezelab") / f"westermo-{sha256(url.encode()).hexdigest()[:12]}"
    try:
        clone.parent.mkdir(parents=True, exist_ok=True)
        with locked(f"{clone}.lock"):
            if not _is_current(clone, url):
                _replace_clone(clone, url)
            yield clone
    except OSError as error:
        raise DataSourceError(f"cannot keep a clone of {_public(url)} in {clone.parent}: {error}") from error


def _is_current(clone: Path, url: str) -> bool:
    """Tell whether a clone is there and, if asking is cheap, whether its origin has not moved on."""
    commit = _commit(clone)
    if commit is None or not url.startswith("file://"):
        return commit is not None
    return _origin_commit(url) in (commit, None)


def _replace_clone(clone: Path, url: str) -> None:
    """Clone into a folder beside, then rename: the clone is there whole or not at all."""
    partial = clone.with_name(f"{clone.name}.partial")
    try:
        _remove(partial)  # what a killed run may have left
        _run_git_clone(url, partial)
        if _commit(partial) is None:
            raise DataSourceError(f"{_public(url)} has no commit: {_advice()}")
        _remove(clone)
        partial.rename(clone)
    finally:
        _remove(partial)


def _run_git_clone(url: str, folder: Path) -> None:
    """Run git and show its progress; where it fails, raise an error that says why."""
    git = _import_git()
    from git.cmd import handle_process_output
    from git.util import CallableRemoteProgress, finalize_process

    logger.info("cloning %s into %s", _public(url), folder.parent)
    lines: list[str] = []
    try:
        with progress_bar() as bar:
            task = bar.add_task("cloning", total=1, unit="objects")

            def show(_stage: int, done: float, total: float | None = None, message: str = "") -> None:
                bar.update(task, description=f"cloning {message}", completed=done, total=total or done)

            show_progress = CallableRemoteProgress(show).new_message_handler()

            def hear(line: str) -> None:
                lines.append(line)
                show_progress(line)

            # Not Repo.clone_from: it leaves git running when it is interrupted.
            process = git.Git().clone(
                "--",
                url,
                str(folder),
                depth=1,
                single_branch=True,
                progress=True,
                upload_pack=LOCAL_UPLOAD_PACK if url.startswith("file://") else None,
                env=GIT_ENVIRONMENT,
                as_process=True,
                universal_newlines=True,
            )
            try:
                handle_process_output(process, None, hear, finalize_process, decode_streams=False)
            finally:
                process.proc.terminate()
                process.proc.wait()
    except git.GitError as error:
        raise DataSourceError(f"cannot clone {_public(url)}: {_reason(lines or [str(error)])}; {_advice()}") from error


def _reason(lines: list[str]) -> str:
    """Condense what git said to one line: its first complaint."""
    words = " ".join(lines)
    complaint = re.search(r"(?:fatal|error): (.*?)(?=fatal:|$)", words, re.DOTALL)
    return shorten(complaint[1] if complaint else words, 300, placeholder=" ...")


def _commit(clone: Path) -> str | None:
    """Return the commit a clone stands at; none where there is no whole clone."""
    git = _import_git()
    try:
        return str(git.Git()(git_dir=clone / ".git").rev_parse("HEAD", verify=True))
    except git.GitError:
        return None


def _origin_commit(url: str) -> str | None:
    """Return the commit a repository's HEAD stands at; none where it does not answer."""
    git = _import_git()
    try:
        return next(iter(git.Git().ls_remote("--", url, "HEAD", env=GIT_ENVIRONMENT).split()), None)
    except git.GitError:
        return None


def _import_git() -> ModuleType:
    """Import GitPython when it is needed: it looks for git at once, and fails where there is none."""
    try:
        import git
    except ImportError as error:
        raise DataSourceError("real data are fetched with git, which is not there: install git") from error
    return git


def _remove(folder: Path) -> None:
    if folder.exists():
        from git.util import rmtree  # unlike shutil's, it removes git's read-only files on Windows too

        rmtree(folder)


# The tables


def _find_tables(clone: Path) -> list[_Table]:
    """Find all CSV files of metrics over time, in natural order: system-2 comes before system-10."""
    found = (path.relative_to(clone) for path in clone.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())
    columns = {}
    for path in sorted((path for path in found if ".git" not in path.parts), key=_natural_order):
        with _skipping_broken(path.as_posix().encode(errors="backslashreplace").decode()):
            path.as_posix().encode()  # a name that is no text cannot be a label
            columns[path] = _read_header(clone / path)
    labels = _name_systems(list(columns))
    return [_Table(clone / path, path.as_posix(), columns[path], labels[path]) for path in columns]


def _natural_order(path: Path) -> tuple[list[str | int], str]:
    pieces = re.split(r"(\d+)", path.as_posix())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], path.as_posix()


@contextmanager
def _skipping_broken(name: str) -> Iterator[None]:
    """Leave out, with a word, what the block finds unusable."""
    try:
        yield
    except (OSError, ValueError) as error:
        logger.warning("skipped %s: %s", name, shorten(str(error), 150, placeholder=" ..."))


def _read_header(path: Path) -> list[str]:
    with path.open("rb") as file:
        columns = [column.strip() for column in cells_of(str(file.readline(), "utf-8-sig").rstrip("\r\n"), ",")]
    if TIMESTAMP not in columns:
        raise ValueError(f"no column is named {TIMESTAMP}")
    if len(columns) == 1:
        raise ValueError("no column holds a metric")
    return columns


def _name_systems(paths: list[Path]) -> dict[Path, dict[str, str]]:
    """Give every file its labels; the host is the file's stem, or as much of its path as no other file shares."""
    labels: dict[Path, dict[str, str]] = {}
    environments = {path: _environment(path) for path in paths}
    for hosts in (
        {path: path.stem for path in paths},
        {path: path.with_suffix("").as_posix() for path in paths},
        {path: path.as_posix() for path in paths},
    ):
        taken = Counter((hosts[path], environments[path]) for path in paths)
        for path, environment in environments.items():
            if taken[hosts[path], environment] == 1:
                labels.setdefault(path, {"environment": environment, "host": hosts[path]})
    return labels


def _environment(path: Path) -> str:
    """Return the environment that the folders of a path name, the innermost first."""
    words = re.findall("[a-z]+", path.parent.as_posix().lower())
    return next((ENVIRONMENTS[word] for word in reversed(words) if word in ENVIRONMENTS), DEFAULT_ENVIRONMENT)


# The samples


def _read_tables(tables: list[_Table], samples: int) -> list[Series]:
    """Read the first rows of each table, as many as together make about so many samples.

    Smaller files come first: what one lacks of its share is left to the larger ones after it.
    """
    series: dict[str, list[Series]] = {}
    samples_left = float(samples)
    metrics_left = sum(table.metrics for table in tables)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(tables), unit="files")
        for table in sorted(tables, key=lambda table: table.path.stat().st_size):
            share = samples_left / metrics_left
            rows = 0
            with _skipping_broken(table.name):
                text = _read_text(table, round(share))
                series[table.name] = _to_series(table, text)
                rows = text.num_rows
            samples_left -= table.metrics * (rows if rows < round(share) else share)
            metrics_left -= table.metrics
            bar.advance(task)
    return [one for table in tables for one in series.get(table.name, [])]


def _read_text(table: _Table, rows: int) -> pa.Table:
    """Read the first rows of a table as text, so that a column that is no number does not spoil the others."""
    with table.path.open("rb") as file:
        file.readline()
        return text_table(b"".join(islice(file, rows)), len(table.columns), absent=ABSENT)


def _to_series(table: _Table, text: pa.Table) -> list[Series]:
    """Turn the columns of a table into series that share their timestamps where no value is missing."""
    series = []
    at = table.columns.index(TIMESTAMP)
    rows, timestamps = _to_timestamps(table, _to_numbers(text.column(at)))
    taken = {TIMESTAMP}
    for i, column in enumerate(table.columns):
        if i == at:
            continue
        with _skipping_broken(f"{table.name}, column {column!r}"):
            metric = _metric_name(column)
            if not column or metric in taken:
                raise ValueError("it has no name of its own")
            taken.add(metric)
            values = _to_numbers(text.column(i))[rows]
            present = ~np.isnan(values)
            if not present.any():
                raise ValueError("it has no values")
            key = SeriesKey(metric, table.labels)
            if present.all():
                series.append(Series(key, timestamps, values))
            else:
                series.append(Series(key, timestamps[present], values[present]))
    return series


def _to_timestamps(
    table: _Table, seconds: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows that have a timestamp, in the order of time, and their timestamps."""
    rows = np.flatnonzero(np.abs(seconds) < 2**53)  # neither missing nor beyond what a float counts
    if not len(rows):
        raise ValueError("no row has a timestamp")
    if len(rows) < len(seconds):
        logger.warning("%s: dropped %d rows without a timestamp", table.name, len(seconds) - len(rows))
    whole = np.rint(seconds[rows])
    if np.any(whole != seconds[rows]):
        logger.warning("%s: rounded its timestamps to whole seconds", table.name)
    if np.any(np.diff(whole) < 0):
        logger.warning("%s: sorted its rows by timestamp", table.name)
    order = np.argsort(whole, kind="stable")
    return rows[order], EPOCH + whole[order].astype(np.int64)


def _to_numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Convert text to the nearest floats, NaN where it is missing; raises ValueError at text that is no number."""
    numbers = plain_numbers(compute.ascii_trim_whitespace(column).combine_chunks())
    return np.where(numbers.present, numbers.values, np.nan)


def _metric_name(column: str) -> str:
    """Turn a column's name into an identifier."""
    return re.sub(r"\W|^(?=\d)", "_", column)
