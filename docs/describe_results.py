"""Write docs/results.md: every field of results.json, from the docstrings of squeezelab.results.

python docs/describe_results.py
"""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from squeezelab import results

PAGE = Path(__file__).with_name("results.md")
PARTS: dict[str, type[Any]] = {
    "The file": results.Results,
    "run": results.Run,
    "dataset": results.DatasetFacts,
    "blocks of the dataset, each": results.Block,
    "measurements, each, and shares": results.Measurement,
    "access, each": results.Access,
    "engines, each": results.EngineMeasurement,
    "what came back of an engine": results.Returned,
    "explanations, each": results.Explained,
    "facts of an explanation": results.Explanation,
    "entropies of facts": results.Entropy,
    "winners of an explanation": results.Winner,
    "cost": results.CostBasis,
    "advice, each": results.Advice,
    "settings of advice": results.ProvenSetting,
    "what a system chose by itself": results.Segment,
    "digits that are noise": results.NoisyDigits,
}
HEAD = """# results.json

What a run measured, on what data, on what machine, with what settings. `squeezelab.results.Results.read(path)` reads
it; fields that a later version added are passed over. This page is written by `docs/describe_results.py`.

## History of its schema

- **4**: `advice`; `returned` of engines can be null; `shares`, measurements of what metric names and blocks take: they
  have `block`, and a data set `blocks`; a run says how `busy` its machine was; measurements have `encode_many_mb_s` and
  `decode_many_mb_s`.
- **3**: `engines`.
- **2**: measurements have `scope`, `encode_call_us`, `decode_call_us`, `encode_bulk_mb_s`, `decode_bulk_mb_s`,
  `fixed_bytes` and `further_bytes`; `about` says what codecs and formats are; an infinite `largest_error` is null,
  where it was the text `"inf"`.
- **1**: the first.
"""
_ATTRIBUTE = re.compile(r"^(\w+(?:, \w+)*) : .+\n((?:    .*\n?|\n)+)", re.MULTILINE)


def describe(kind: type[Any]) -> dict[str, str]:
    """Return what a class says of each of its attributes."""
    told: dict[str, str] = {}
    for names, words in _ATTRIBUTE.findall(inspect.cleandoc(kind.__doc__ or "") + "\n"):
        told |= dict.fromkeys(names.split(", "), " ".join(words.replace("``", "`").split()))
    return told


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, kind in PARTS.items():
        rows = ["| `schema` | int | The version of this layout. |"] if kind is results.Results else []
        told = describe(kind)
        for one in fields(kind):
            rows.append(f"| `{one.name}` | {str(one.type).replace('|', 'or')} | {told[one.name].replace('|', 'or')} |")
        parts.append("\n".join([f"## {title}", "", "| field | type | meaning |", "| --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
