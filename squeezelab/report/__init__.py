"""Reports from results: a page, tables in Markdown and CSV, charts in PNG and SVG. Nothing here runs a codec."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from squeezelab.results import Measurement, Results
from squeezelab.store.files import replacing

__all__ = ["write_report"]

logger = logging.getLogger(__name__)


def write_report(results: Results, folder: str | Path) -> list[Path]:
    """Write results.json, report.html, ratios.md, ratios.csv and the charts into a folder.

    Parameters
    ----------
    results : Results
        What a run measured.
    folder : path-like
        Made where it lacks; files of these names are replaced.

    Returns
    -------
    list of Path
        What was written; a text that cannot be made is left out with a warning.
    """
    # What only tables are wanted of, or only a comparison, needs neither charts nor a template engine.
    from squeezelab.report.charts import draw_charts
    from squeezelab.report.engines import engine_row
    from squeezelab.report.markdown import ratios_markdown
    from squeezelab.report.page import report_html
    from squeezelab.report.tables import to_csv

    folder = Path(folder)
    results.write(folder / "results.json")
    charts = draw_charts(results, folder)
    pictures = {path.stem: path.name for path in charts if path.suffix == ".png"}
    rows = [*results.measurements, *results.shares, *map(engine_row, results.engines)]
    texts: dict[str, Callable[[], str]] = {
        "report.html": lambda: report_html(results, pictures),
        "ratios.md": lambda: ratios_markdown(results, charts),
        "ratios.csv": lambda: to_csv(Measurement, rows),
    }
    return [folder / "results.json", *(folder / name for name in texts if _write(folder / name, texts[name])), *charts]


def _write(path: Path, make: Callable[[], str]) -> bool:
    """Write a text, or say in a line why it cannot be made: what else there is of a report is written all the same."""
    try:
        text = make().encode()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        logger.warning("%s is left out: %s: %s", path.name, type(error).__name__, reason)
        path.unlink(missing_ok=True)  # which may be of an earlier run
        return False
    with replacing(path) as file:
        file.write(text)
    return True
