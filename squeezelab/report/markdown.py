"""ratios.md: the whole report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from squeezelab.report import answer
from squeezelab.report.advice import advice_lines
from squeezelab.report.cost import cost_table
from squeezelab.report.engines import engine_table, savings_table, tell_losses
from squeezelab.report.shares import blocks_table, shares_table
from squeezelab.report.tables import (
    access_table,
    calls_table,
    column_table,
    family_table,
    ladder_table,
    machine,
    memory_table,
    method,
    origin,
    published_table,
)
from squeezelab.report.winners import family_winners
from squeezelab.results import Results


def ratios_markdown(results: Results, charts: Sequence[Path]) -> str:
    """Return ratios.md: data, all tables, charts, method and machine."""
    facts = results.dataset
    tables = [ladder_table(results), column_table(results, "timestamps"), column_table(results, "values")]
    tables += [
        calls_table(results),
        access_table(results),
        memory_table(results),
        family_table(results),
        published_table(results),
    ]
    tables += [shares_table(results), blocks_table(results)]
    tables += [family_winners(results), engine_table(results), savings_table(results), cost_table(results)]
    losses = [f"- {line}" for line in tell_losses(results)]
    pictures = [f"![{path.stem.replace('_', ' ')}]({path.name})\n" for path in charts if path.suffix == ".png"]
    return "\n".join(
        [
            f"# Compression of {facts.generator} metrics, {facts.size}",
            "",
            f"{origin(results)}; fingerprint `{facts.fingerprint}`.",
            "",
            *([sentence, ""] if (sentence := answer.in_a_sentence(results)) else []),
            *(table.to_markdown() for table in tables if table.rows),
            *(["## What databases gave back", "", *losses, ""] if losses else []),
            *advice_lines(results.advice, results.cost),
            "## Charts",
            "",
            *pictures,
            "## How it was measured",
            "",
            *(f"- {line}" for line in method(results)),
            "",
            machine(results),
            "",
        ]
    )
