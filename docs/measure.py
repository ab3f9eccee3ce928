"""The figures of docs/codecs.md: measured on real data, compared with the page, rewritten with ``--write``.

The data are the first 1033 rows of system-2 and the first 928 of system-14 of the Westermo test system performance data
set (P E Strandberg and Y Marklund, CC BY 4.0). From a clone of the whole set they are made, and used, like this::

    mkdir -p slices/data
    head -n 1034 clone/data/system-2.csv > slices/data/system-2.csv
    head -n 929 clone/data/system-14.csv > slices/data/system-14.csv
    git -C slices init && git -C slices add data && git -C slices commit -m "Two slices"
    WESTERMO_REPO_URL=slices python docs/measure.py

All peers must be installed: ``pip install -e ".[peers]"``. Nothing is timed: sizes are the same wherever the versions
of the packages are, which the page names as well.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from difflib import unified_diff
from pathlib import Path

from squeezelab import generate_metric_data
from squeezelab.codecs import missing_codecs
from squeezelab.errors import InvalidRequestError, SqueezelabError
from squeezelab.experiment.machine import PEER_PACKAGES
from squeezelab.experiment.run import measure_dataset
from squeezelab.formats import missing_formats
from squeezelab.registry import PEERS_EXTRA
from squeezelab.results import Measurement, Results

PAGE = Path(__file__).with_name("codecs.md")
FINGERPRINT = "0da3fdf207a30a6a1daaabd9690ffa2b"
"""Of the data set that the two slices make."""
PACKAGES = ("zstandard", "numcodecs", "pyarrow", *PEER_PACKAGES)
EVERY = "*"
BLOCK = re.compile(r"(<!-- figures: (?P<what>.+?) -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
"""``codec xor``, ``format ndjson``, ``codec *`` and ``format *`` for all of them by size, or ``versions``."""


def name_of(spec: str) -> str:
    """Return the codec or format whose entry a specification belongs to."""
    return spec.removesuffix("+zstd").partition(":")[0]


def fill(page: str, results: Results) -> str:
    """Return a page with the figures of all its blocks taken from results.

    Raises
    ------
    InvalidRequestError
        If a block names what was not measured.
    """
    return BLOCK.sub(lambda block: block[1] + _figures(block["what"], results), page)


def without_versions(page: str) -> str:
    """Return a page without what its figures were measured with: other versions that give the same are no fault."""
    return BLOCK.sub(lambda block: block[1] if block["what"] == "versions" else block[0], page)


def _figures(what: str, results: Results) -> str:
    if what == "versions":
        versions = [f"{package} {results.run.versions[package]}" for package in PACKAGES]
        return f"Measured with {', '.join(versions)} and zlib {zlib.ZLIB_RUNTIME_VERSION}.\n"
    kind, name = what.split()
    subjects = {"codec": ("values", "timestamps"), "format": ("dataset",)}[kind]
    rows: dict[str, dict[str, Measurement]] = {}
    for one in results.measurements:
        if one.metric is None and one.subject in subjects and name in (EVERY, name_of(one.codec)):
            rows.setdefault(one.codec, {})[one.subject] = one
    if not rows:
        raise InvalidRequestError(f"a block wants the figures of {what}, which was not measured")
    ranked = sorted(rows, key=lambda spec: [_rank(rows[spec].get(one)) for one in subjects]) if name == EVERY else rows
    if kind == "codec":
        cells = [[_cell(rows[spec].get(subject), _bits) for subject in subjects] for spec in ranked]
        return _table(["codec", "bits a value", "bits a timestamp"], ranked, cells)
    return _table(["file", "bytes a sample"], ranked, [[_cell(rows[spec]["dataset"], _bytes)] for spec in ranked])


def _rank(one: Measurement | None) -> tuple[bool, bool, float]:
    """Rank by size; what loses bits comes after what does not."""
    return (True, True, 0.0) if one is None else (False, one.lossy, one.bits_per_item)


def _bits(one: Measurement) -> str:
    return f"{one.bits_per_item:.2f}"


def _bytes(one: Measurement) -> str:
    return f"{one.bits_per_item / 8:.3f}"


def _cell(one: Measurement | None, shown: Callable[[Measurement], str]) -> str:
    return "-" if one is None else f"lossy: {shown(one)}" if one.lossy else shown(one)


def _table(head: Sequence[str], specs: Iterable[str], cells: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---", *("---:" for _ in head[1:])]]
    rows += [[f"`{spec}`", *row] for spec, row in zip(specs, cells, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measure() -> Results:
    """Measure all codecs and formats that a default run shows on the two slices; time nothing.

    Raises
    ------
    InvalidRequestError
        If a package or the slices are missing.
    """
    if missing := missing_codecs() | missing_formats():
        raise InvalidRequestError(f"not installed: {', '.join(sorted(missing))}: {PEERS_EXTRA}")
    dataset = generate_metric_data("real", "small")
    if dataset.fingerprint != FINGERPRINT:
        raise InvalidRequestError("these are other data than the page is about: docs/measure.py says how to get them")
    results = measure_dataset(dataset, generator="real", size="small", rounds=0, budget=0)
    if parts := [one.codec for one in results.measurements if one.metric is None and one.samples < len(dataset)]:
        raise InvalidRequestError(f"measured on a part of the data only: {', '.join(parts)}")
    return results


def main() -> None:
    """Compare the page with what is measured, or rewrite it."""
    parser = argparse.ArgumentParser(
        description="Measure the figures of docs/codecs.md, and compare them with the page."
    )
    parser.add_argument("--write", action="store_true", help="rewrite the page instead")
    write = parser.parse_args().write
    page = PAGE.read_text(encoding="utf-8")
    try:
        measured = fill(page, measure())
    except SqueezelabError as error:
        sys.exit(f"error: {error}")
    if write and measured != page:
        PAGE.write_text(measured, encoding="utf-8")
        print(f"{PAGE}: rewritten")
    elif without_versions(measured) == without_versions(page):
        print(f"{PAGE}: every figure is what was measured{'' if measured == page else ', though with other versions'}")
    else:
        sys.stdout.writelines(unified_diff(page.splitlines(True), measured.splitlines(True), "page", "measured", n=0))
        sys.exit("error: the page is not what was measured: --write rewrites it")


if __name__ == "__main__":
    main()
