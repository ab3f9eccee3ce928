"""What notebooks and the command line both call: measure a data set, study a series, and look at what came out."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash
from rich.console import Console

from squeezelab.dataset import MetricDataset, Series
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.run import measure_dataset, name_missing
from squeezelab.report.sentences import explain_text
from squeezelab.results import Explained, Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from squeezelab.report.table import Table

WIDTH = 100


@dataclass(frozen=True, repr=False)
class Bench:
    """What a run measured: prints as tables, also in a notebook.

    Attributes
    ----------
    results : Results
        All of it.
    """

    results: Results

    @property
    def tables(self) -> list[Table]:
        """The ladder of formats, the codecs of both columns, shares of bytes, databases: as far as there are any."""
        # The report brings in matplotlib, which is slow to import and not needed to reject a mistake.
        from squeezelab.report.engines import engine_table
        from squeezelab.report.shares import blocks_table, shares_table
        from squeezelab.report.tables import column_table, ladder_table

        results = self.results
        every = [ladder_table(results, brief=True)]
        every += [column_table(results, subject, brief=True) for subject in ("timestamps", "values")]
        every += [make(results, brief=True) for make in (shares_table, blocks_table, engine_table)]
        return [table for table in every if table.rows]

    def __str__(self) -> str:
        return _print(self.tables).export_text().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self.tables)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame, a row a measurement and a column each of its attributes."""
        import pandas as pd

        return pd.DataFrame([asdict(one) for one in self.results.measurements])

    def plot(self) -> Figure:
        """Draw size against decoding speed, or size alone where nothing was timed.

        Returns
        -------
        matplotlib.figure.Figure
            It shows itself in a notebook; ``.savefig("name.png")`` keeps it.
        """
        import matplotlib as mpl

        from squeezelab.report.charts import STYLE, draw_bits, draw_frontier, draw_ladder

        with mpl.rc_context(STYLE):
            drawn = (draw(self.results) for draw in (draw_frontier, draw_bits, draw_ladder))
            figure = next((one for one in drawn if one is not None), None)
        if figure is None:
            raise ValueError("nothing was measured: there is nothing to plot")
        return figure


def as_dataset(data: Any) -> tuple[MetricDataset, dict[str, Any]]:
    """Return what a user gives as a data set, with what is to be said of its origin.

    Parameters
    ----------
    data : MetricDataset, frame, path-like, or sequence of path-like
        A frame as `MetricDataset.from_frame` takes it, files as `squeezelab.readers.load` reads them.

    Raises
    ------
    TypeError
        If it is something else.

    Examples
    --------
    >>> import pandas as pd
    >>> as_dataset(pd.DataFrame({"time": [0, 15], "cpu": [0.5, 1.0]}))
    (<MetricDataset: 1 series, 2 samples>, {})
    """
    if isinstance(data, MetricDataset):
        return data, {}
    several = isinstance(data, list | tuple) and bool(data) and all(isinstance(one, str | os.PathLike) for one in data)
    if several or isinstance(data, str | os.PathLike):
        from squeezelab.readers import load

        loaded = load(data)
        return loaded.dataset, loaded.described
    if hasattr(data, "to_pandas") or hasattr(data, "columns") or hasattr(data, "to_frame"):
        return MetricDataset.from_frame(data), {}
    raise TypeError(
        f"a MetricDataset, a frame or paths of files are needed, not {type(data).__name__}: arrays become a data set "
        "with MetricDataset.from_series([Series(SeriesKey(name, labels), timestamps, values)])"
    )


def bench(
    data: MetricDataset | pd.DataFrame | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    codecs: str | Sequence[str] | None = None,
    formats: str | Sequence[str] | None = None,
    engines: str | Sequence[Any] | None = None,
    *,
    name: str | None = None,
    **options: Any,
) -> Bench:
    """Run codecs, formats and databases over a data set: prove every round trip, then time it.

    Parameters
    ----------
    data : MetricDataset, frame, path-like, or sequence of path-like
        A data set; a frame of pandas or Polars, long or wide; or files, ``"metrics.csv"``. What is to be said of files
        beyond that, `squeezelab.readers.load` takes.
    codecs, formats : str or sequence of str, optional
        What runs: ``"xor,zstd:level=19"`` or a list; what a run of the lab takes by itself if not given, and none where
        the list is empty.
    engines : str or sequence, optional
        Databases that run as well: ``"prometheus,clickhouse"``, ``"all"``, or objects; none if not given.
    name : str, optional
        What to call the data; after the files if not given.
    **options
        What else `squeezelab.experiment.run.measure_dataset` takes; ``rounds=0`` times nothing.

    Returns
    -------
    Bench

    Raises
    ------
    InvalidRequestError
        If the data set has no samples, or there is no such codec, format or database.

    Examples
    --------
    >>> from squeezelab import bench, generate_metric_data
    >>> result = bench(generate_metric_data(), codecs="xor,zstd", formats=[], rounds=0)
    >>> frame = result.to_frame()
    >>> frame[(frame.subject == "values") & frame.metric.isna()].codec.tolist()
    ['xor', 'zstd']
    """
    dataset, known = as_dataset(data)
    origin = {"generator": "python", "size": "data", "codecs": codecs, "formats": formats, "engines": engines} | known
    named = {} if name is None else {"size": name}
    return Bench(measure_dataset(dataset, **(origin | named | options)))


def _print(tables: Sequence[Table]) -> Console:
    console = Console(file=io.StringIO(), record=True, width=WIDTH, highlight=False, markup=False)
    for table in tables:
        console.print(table)
    return console


# ---- One series ----

MOST_SERIES = 8
"""More series than these at once are too much to read."""
MOST_NAMED = 5
LONGEST_NAME = 80


@dataclass(frozen=True)
class Study:
    """A series, and what came of codecs on it.

    Attributes
    ----------
    series : Series
        What was looked at.
    name : str
        To call a file by.
    time_unit : {"s", "ms", "us", "ns"}
        What its timestamps count.
    results : Results
        Sizes that were proven; nothing was timed.
    """

    series: Series
    name: str
    time_unit: str
    results: Results

    @property
    def explained(self) -> Explained:
        """Its facts and winners."""
        return self.results.explanations[0]

    @property
    def sentences(self) -> list[str]:
        """What a person can check, and what did not run."""
        told = explain_text(self.explained.facts, self.explained.timestamps, self.explained.values)
        return told + [note for note in self.results.run.notes if note not in name_missing()]

    @property
    def tables(self) -> list[Table]:
        """The facts, and the codecs on timestamps and on values."""
        from squeezelab.report.study import facts_table, sizes_table

        every = [facts_table(self), sizes_table(self, "timestamps"), sizes_table(self, "values")]
        return [table for table in every if table.rows]

    def draw(self, folder: Path) -> list[Path]:
        """Draw the series, the distribution of its deltas, and the best codecs beside the floor, as PNG and SVG."""
        from squeezelab.report.study import draw_study

        return draw_study(self, folder / self.name)


def study_each(dataset: MetricDataset, codecs: Sequence[str], *, name: str = "data") -> Iterator[Study]:
    """Look at each series of a data set.

    Parameters
    ----------
    dataset : MetricDataset
        Of a few series.
    codecs : sequence of str
        What runs on them.
    name : str
        What to call the data.

    Raises
    ------
    InvalidRequestError
        If there are too many series, or there is no such codec.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> one = next(study_each(generate_metric_data().select([0]), ["xor", "zstd"]))
    >>> one.name, one.explained.values.codec
    ('data-cpu_usage_percent_environment_production_host_server-001_region_us-east-1', 'zstd')
    """
    if len(dataset.keys) > MOST_SERIES:
        some = ", ".join(str(key) for key in dataset.keys[:MOST_NAMED])
        raise InvalidRequestError(
            f"{len(dataset.keys):,} series are more than the {MOST_SERIES} that can be explained at once: choose some "
            f"with --series, of {some}, ..."
        )
    for i, name_of_one in enumerate(_file_names(name, [str(key) for key in dataset.keys])):
        alone = dataset.select([i])
        results = measure_dataset(alone, generator="file", size=name, codecs=codecs, formats=[], budget=0)
        yield Study(next(iter(alone)), name_of_one, dataset.time_unit, results)


def _file_names(data: str, keys: Sequence[str]) -> list[str]:
    """Return names for files, all different even where case is none, without what file systems do not like."""
    names: list[str] = []
    for key in keys:
        title = key if key.startswith(data) else f"{data}-{key}"
        plain = re.sub(r"[^\w-]+", "_", title).strip("_")
        taken = plain.lower() in (one.lower() for one in names)
        if len(plain) > LONGEST_NAME or taken:
            plain = f"{plain[: LONGEST_NAME - 9]}-{xxhash.xxh32_hexdigest(key.encode('utf-8', 'surrogatepass'))}"
        names.append(plain)
    return names
