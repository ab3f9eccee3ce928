"""report.html: the whole report as one file that needs no network, and no script for its words and tables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from squeezelab.report import answer
from squeezelab.report.advice import tables_beside, tables_of
from squeezelab.report.columns import Cell, best_first, columns_of, number
from squeezelab.report.cost import cost_table
from squeezelab.report.engines import (
    PARTS,
    TITLE,
    engine_cells,
    engine_points,
    engine_table,
    savings_table,
    tell_losses,
)
from squeezelab.report.labels import KINDS, coverage, frontier, label
from squeezelab.report.shares import block_cells, blocks_table, metric_cells, shares_table
from squeezelab.report.tables import access_table, machine, method, origin, published_table
from squeezelab.report.winners import (
    MOST_FAMILIES,
    codec_of,
    distance_of,
    explained_in_words,
    family_shares,
    family_winners,
    floor_of,
    largest_families,
    runner_up_of,
)
from squeezelab.results import Measurement, Results, finite

ASSETS = Path(__file__).parent / "assets"
VERBS = ("decode", "encode", "decode_bulk", "encode_bulk")
"""Speeds that the chart can show; the last two are without what calls cost."""
SUBJECTS = {"timestamps": "Timestamps", "values": "Values", "dataset": "Files"}
MARKS = {
    "frontier": "no other lossless one beats it in both ratio and decoding speed",
    "noisy": "the interval of its speed is wider than 10 %",
    "whole file": "its times are those of the whole write and read",
}
COLDEST = 4
"""Cells of the heat map lose their colour at so many times the fewest bits."""


class Row(NamedTuple):
    """A row, what marks it and what kind it is of."""

    cells: Sequence[Cell]
    kind: str = ""
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Listing:
    """A table that can be sorted and filtered; the first column holds names."""

    id: str
    title: str
    headers: Sequence[str]
    rows: Sequence[Row]
    note: str = ""
    sorted_by: str = ""


def report_html(results: Results, pictures: Mapping[str, str] | None = None) -> str:
    """Return report.html.

    Parameters
    ----------
    results : Results
        What a run measured.
    pictures : mapping of str to str, optional
        Files of static charts beside the page, by name: shown where there are no scripts.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> from squeezelab.experiment.run import measure_dataset
    >>> results = measure_dataset(
    ...     generate_metric_data(), generator="synthetic", size="small", codecs=["xor"], formats=[], rounds=0
    ... )
    >>> report_html(results).startswith("<!DOCTYPE html>")
    True
    """
    environment = new_environment()
    samples = results.dataset.samples
    return environment.get_template("report.html.jinja").render(
        asset=lambda name: Markup((ASSETS / name).read_text(encoding="utf-8")),
        json=embedded_json,
        facts=results.dataset,
        run=results.run,
        origin=origin(results),
        kinds=KINDS,
        titles=SUBJECTS,
        timed=any(one.decode_mb_s for one in results.measurements),
        answers=answers(results),
        sentence=answer.in_a_sentence(results),
        cost=cost_table(results),
        within=answer.WITHIN,
        coldest=COLDEST,
        lossy_files=any(one.lossy for one in results.find("dataset")),
        listings={subject: listing(results, subject) for subject in SUBJECTS if results.find(subject)},
        heat_maps=[one for one in (heat_map(results, "values"), heat_map(results, "timestamps")) if one.rows],
        winners=family_listing(results),
        families=len({one.metric for one in results.measurements if one.metric}),
        most_families=MOST_FAMILIES,
        about=results.about,
        pictures=pictures or {},
        words=explained_in_words(results),
        series=series_winners(results),
        shares=share_listings(results),
        access=access_table(results),
        engines=engine_listing(results),
        savings=savings_table(results),
        losses=tell_losses(results),
        advice=[(one, tables_of(one)) for one in results.advice],
        advice_beside=tables_beside(results.advice, results.cost),
        published=published_table(results),
        method=method(results),
        machine=machine(results),
        stars=dict.fromkeys(filter(None, (coverage(one, samples) for one in results.measurements if not one.metric))),
        charts=chart_data(results),
        results=result_columns(results),
    )


def new_environment() -> Environment:
    """Return what renders the templates of pages."""
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "breakable": _breakable}
    return environment


def _code(text: str) -> Markup:
    """Set what stands between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _breakable(name: str) -> Markup:
    """Let a long name be broken where its parts meet."""
    return Markup(re.sub("([:+_=,])", r"\1<wbr>", str(escape(name))))


def embedded_json(content: Any) -> Markup:
    r"""Return JSON that may stand inside a script element, whatever texts it holds; what is not finite becomes null.

    Examples
    --------
    >>> print(embedded_json({"</script>": float("inf")}))
    {"\u003c/script>":null}
    """
    text = json.dumps(finite(content), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def result_columns(results: Results) -> dict[str, Any]:
    """Return all of results.json, the measurements as columns, which takes a fraction of the room."""
    content = {name: value for name, value in asdict(results).items() if name != "measurements"}
    names = [one.name for one in fields(Measurement)]
    return content | {"measurements": {name: [getattr(one, name) for one in results.measurements] for name in names}}


class Answer(NamedTuple):
    """The best of codecs or of files, what others use beside it, and what a sample's bytes are called."""

    title: str
    best: Sequence[answer.Choice]
    field: Sequence[answer.Choice]
    unit: str


def answers(results: Results) -> list[Answer]:
    """Return what the report says first, of codecs, of files and of databases."""
    found = []
    for title, subjects in (("A codec for each column", answer.COLUMNS), ("A whole file", answer.FILES)):
        if best := answer.best(results, subjects):
            lone = [subject for subject in subjects if results.find(subject)] if subjects == answer.COLUMNS else []
            unit = f"bytes a {lone[0].removesuffix('s')}" if len(lone) == 1 else "bytes a sample"
            found.append(Answer(title, best, answer.used_in_the_field(results, subjects), unit))
    if databases := answer.best_databases(results):
        found.append(Answer("A database", databases, [], "bytes a further sample"))
    return found


def listing(results: Results, subject: str) -> Listing:
    """Return all codecs or formats of a subject, the best first."""
    columns, group = columns_of(results, subject), results.find(subject)
    edge = {one.codec for one in frontier(results.common(subject))}
    rows = [
        Row(
            [Cell(label(one, results.dataset.samples)), *(column.cell(one) for column in columns)],
            one.kind,
            list(compress(MARKS, (one.codec in edge, one.noisy, one.whole_file))),
        )
        for one in best_first(group)
    ]
    title = "File formats" if subject == "dataset" else f"Codecs of {subject}"
    headers = ["format" if subject == "dataset" else "codec", *(column.header for column in columns)]
    used = {mark for row in rows for mark in row.marks}
    note = " ".join(f"{mark.capitalize()}: {meaning}." for mark, meaning in MARKS.items() if mark in used)
    return Listing(subject, title, headers, rows, note, "vs raw" if subject == "dataset" else "ratio")


def engine_listing(results: Results) -> Listing:
    """Return all databases at all settings, the smallest exact one first."""
    headers, rows = engine_cells(results)
    return Listing("engines", TITLE, headers, [Row(cells, "peers") for _, cells in rows], engine_table(results).note)


def share_listings(results: Results) -> list[Listing]:
    """Return what each metric name takes, and what each block of a TSDB takes."""
    found = (
        ("metrics", shares_table(results), metric_cells(results)),
        ("blocks", blocks_table(results), block_cells(results)),
    )
    return [
        Listing(name, table.title, table.headers, [Row([cell for _, cell in row]) for row in rows], table.note)
        for name, table, rows in found
        if rows
    ]


def heat_map(results: Results, subject: str) -> Listing:
    """Return bits of each codec on each metric family; the fewer beside the fewest of the family, the hotter."""
    cells = {(one.codec, one.metric): one for one in results.measurements if one.subject == subject and one.metric}
    families = largest_families(results, dict.fromkeys(str(metric) for _, metric in cells))
    exact: dict[str, list[float]] = {family: [] for family in families}
    for (_, family), one in cells.items():
        if not one.lossy and family in exact:
            exact[family].append(one.bits_per_item)
    fewest = {family: min(bits, default=0) for family, bits in exact.items()}
    rows = [
        Row(
            [
                Cell(label(whole, results.dataset.samples)),
                *(_heated(cells.get((whole.codec, family)), fewest[family]) for family in families),
            ],
            whole.kind,
        )
        for whole in best_first(results.anywhere(subject))
        if any((whole.codec, family) in cells for family in families)
    ]
    title = f"Metric families: bits a {subject.removesuffix('s')}"
    return Listing(f"families-{subject}", title, ["codec", *families], rows)


def family_listing(results: Results) -> Listing:
    """Return who wins on each metric family, as a table that can be sorted and filtered, with its share of bytes."""
    table, shares = family_winners(results), family_shares(results)
    kinds = {one.codec: one.kind for one in results.measurements}
    families = [one for one in results.explanations if one.series is None]
    rows = []
    for one, texts in zip(families, table.rows, strict=True):
        share = shares.get(one.metric)
        cells = [Cell(texts[0]), number(share and 100 * share, ".1f", " %"), *(Cell(text) for text in texts[1:])]
        rows.append(Row(cells, kinds.get(codec_of(one.values), "")))
    headers = [table.headers[0], "share of bytes", *table.headers[1:]]
    return Listing("family-winners", table.title, headers, rows, table.note)


def _heated(one: Measurement | None, fewest: float) -> Cell:
    """Return a cell whose heat is 1 at the fewest bits and 0 from `COLDEST` times as many."""
    if one is None:
        return Cell("")
    text = f"{one.bits_per_item:.2f}"
    if one.lossy or not fewest:
        return Cell(text, one.bits_per_item)
    if one.bits_per_item == fewest:
        return Cell(text, one.bits_per_item, "", 1)
    heat = 1 - math.log(one.bits_per_item / fewest) / math.log(COLDEST)
    return Cell(text, one.bits_per_item, "", round(min(max(heat, 0), 0.99), 2))


def series_winners(results: Results) -> Listing:
    """Return who wins on each series, and what a person can check of it."""
    headers = [
        "series",
        "timestamps",
        "bits a timestamp",
        "values",
        "bits a value",
        "next",
        "floor",
        "above",
        "same interval",
    ]
    headers += ["repeats", "mean run", "distinct", "decimals", "step"]
    kinds = {one.codec: one.kind for one in results.measurements}
    rows = []
    for one in results.explanations:
        if one.series is not None:
            facts = one.facts
            cells = [
                Cell(one.series),
                Cell(codec_of(one.timestamps)),
                number(one.timestamps.bits if one.timestamps else None, ".2f"),
                Cell(codec_of(one.values)),
                number(one.values.bits if one.values else None, ".2f"),
                Cell(runner_up_of(one.values)),
                Cell(floor_of(one), facts.floor),
                number(distance_of(one), ".2f"),
                number(facts.zero_dod_share, ".1%"),
                number(facts.repeat_share, ".1%"),
                number(facts.mean_run, ".1f"),
                number(facts.distinct, ","),
                number(facts.decimals, "d"),
                number(facts.step, ",.12g"),
            ]
            rows.append(Row(cells, kinds.get(codec_of(one.values), "")))
    return Listing("series-winners", "Which codec for which series", headers, rows)


def chart_data(results: Results) -> dict[str, Any]:
    """Return what the charts draw: a point a codec or format, memcpy, and the shares of deltas of deltas."""
    facts = results.dataset
    ndjson = facts.ndjson_bytes / facts.samples
    edges = {
        (subject, verb): frontier(results.common(subject), f"{verb}_mb_s") for subject in SUBJECTS for verb in VERBS
    }
    # The smallest of each kind is named as well, so that a frontier of few points does not leave the others nameless.
    landmarks = [
        answer.smallest([one for one in results.common(subject) if one.kind == name])
        for subject in SUBJECTS
        for name in KINDS
    ]
    wholes = [one for subject in SUBJECTS for one in results.common(subject)]
    points = [
        {
            "subject": one.subject,
            "name": label(one, facts.samples),
            "kind": one.kind,
            "ratio": one.ratio,
            "bits": one.bits_per_item,
            "against_ndjson": ndjson * one.samples / one.encoded_bytes,
            "decode": one.decode_mb_s,
            "encode": one.encode_mb_s,
            "decode_bulk": one.decode_bulk_mb_s,
            "encode_bulk": one.encode_bulk_mb_s,
            "decode_ci": one.decode_ci,
            "encode_ci": one.encode_ci,
            "lossy": one.lossy,
            "frontier": [verb for verb in VERBS if one in edges[one.subject, verb]],
            "landmark": one in landmarks,
        }
        for one in wholes
    ]
    total, reach = sum(facts.delta_of_delta_counts), len(facts.delta_of_delta_counts) // 2
    shares = [100 * count / total for count in facts.delta_of_delta_counts] if total else []
    deltas = {"reach": reach, "shares": shares}
    return {
        "points": points,
        "kinds": KINDS,
        "subjects": SUBJECTS,
        "memcpy": results.memcpy_mb_s,
        "deltas": deltas,
        "engines": engine_points(results),
        "parts": PARTS,
    }
