"""The lab on data of your own, from Python: measure a data set, and look at what came out."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from squeezelab.codecs import get_codec
from squeezelab.dataset import MetricDataset
from squeezelab.experiment.run import DEFAULT_CODECS, DEFAULT_FORMATS, measure_dataset
from squeezelab.formats import get_format
from squeezelab.results import Results
from squeezelab.shelf import split_specs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from squeezelab.report.tables import Table

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
        """The ladder of formats, and the codecs of timestamps and of values, where there are any."""
        # The report brings in matplotlib, which is slow to import and not needed to refuse a mistake.
        from squeezelab.report.tables import column_table, ladder_table

        results = self.results
        every = [ladder_table(results), column_table(results, "timestamps"), column_table(results, "values")]
        return [table for table in every if table.rows]

    def __str__(self) -> str:
        return _print(self.tables).export_text().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _print(self.tables).export_html(inline_styles=True, code_format="<pre>{code}</pre>")

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


def bench(
    dataset: MetricDataset,
    codecs: str | Sequence[str] | None = None,
    formats: str | Sequence[str] | None = None,
    *,
    name: str = "data",
    **options: Any,
) -> Bench:
    """Run codecs and formats over a data set: prove every round trip, then time it.

    Parameters
    ----------
    dataset : MetricDataset
        For files, ``squeezelab.readers.load(paths).dataset``.
    codecs, formats : str or sequence of str, optional
        What runs: ``"xor,zstd:level=19"`` or a list; what a run of the lab takes by itself if not given, and none where
        the list is empty.
    name : str
        What to call the data.
    **options
        What else `squeezelab.experiment.run.measure_dataset` takes; ``rounds=0`` times nothing.

    Returns
    -------
    Bench

    Raises
    ------
    InvalidRequestError
        If the data set has no samples, or there is no such codec or format.

    Examples
    --------
    >>> from squeezelab import bench, generate_metric_data
    >>> result = bench(generate_metric_data(), codecs="xor,zstd", formats=[], rounds=0)
    >>> frame = result.to_frame()
    >>> frame[(frame.subject == "values") & frame.metric.isna()].codec.tolist()
    ['xor', 'zstd']
    """
    chosen_codecs, chosen_formats = choose(codecs, formats)
    origin = {"generator": "python", "size": name, "codecs": chosen_codecs, "formats": chosen_formats}
    return Bench(measure_dataset(dataset, **(origin | options)))


def choose(
    codecs: str | Sequence[str] | None, formats: str | Sequence[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the codecs and formats to run: those that are given, or a run's own.

    Raises
    ------
    InvalidRequestError
        If there is no such codec or format.
    """
    chosen_codecs = DEFAULT_CODECS if codecs is None else split_specs(codecs)
    chosen_formats = DEFAULT_FORMATS if formats is None else split_specs(formats)
    for spec in chosen_codecs:
        get_codec(spec)
    for spec in chosen_formats:
        get_format(spec)
    return chosen_codecs, chosen_formats


def _print(tables: Sequence[Table]) -> Console:
    console = Console(file=io.StringIO(), record=True, width=WIDTH, highlight=False, markup=False)
    for table in tables:
        console.print(table.to_rich())
    return console
