"""Reports from results: a page, tables in Markdown and CSV, charts in PNG and SVG. Nothing here runs a codec."""

from __future__ import annotations

from pathlib import Path

from squeezelab.results import Measurement, Results
from squeezelab.store.files import replacing

__all__ = ["write_report"]


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
        What was written.
    """
    # What only tables are wanted of, or only a comparison, needs neither charts nor a template engine.
    from squeezelab.report.charts import draw_charts
    from squeezelab.report.markdown import ratios_markdown
    from squeezelab.report.page import report_html
    from squeezelab.report.tables import to_csv

    folder = Path(folder)
    results.write(folder / "results.json")
    charts = draw_charts(results, folder)
    texts = {
        "report.html": report_html(results, {path.stem: path.name for path in charts if path.suffix == ".png"}),
        "ratios.md": ratios_markdown(results, charts),
        "ratios.csv": to_csv(Measurement, results.measurements + results.shares),
    }
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in ("results.json", *texts)] + charts
