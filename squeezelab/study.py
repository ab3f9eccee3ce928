"""One series looked at closely: what it is like, which codecs are smallest on it, and a picture of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from squeezelab.dataset import MetricDataset, Series
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.run import measure_dataset
from squeezelab.report.sentences import explain_text
from squeezelab.results import Explained, Results

if TYPE_CHECKING:
    from squeezelab.report.tables import Table

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
        """What a person can check."""
        return explain_text(self.explained.facts, self.explained.timestamps, self.explained.values)

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
        results = measure_dataset(alone, generator="file", size=name, codecs=codecs, formats=[], rounds=0, budget=0)
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
