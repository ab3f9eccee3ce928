"""Every example in a docstring runs and prints what it says; docs/codecs.md tells of every codec and format."""

import doctest
import importlib
import pkgutil
import re
import runpy
from typing import Any

import pytest
from conftest import PROJECT

import squeezelab
import squeezelab.codecs
import squeezelab.engines
import squeezelab.formats
import squeezelab.generators
import squeezelab.readers
from squeezelab import MetricDataset
from squeezelab.codecs import available_codecs, codec_spec, get_codec, missing_codecs
from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.plan import DEFAULT_CODECS, DEFAULT_FORMATS
from squeezelab.experiment.run import measure_dataset
from squeezelab.formats import available_formats, get_format, missing_formats

PACKAGES = (
    squeezelab,
    squeezelab.codecs,
    squeezelab.engines,
    squeezelab.formats,
    squeezelab.generators,
    squeezelab.readers,
)
MODULES = sorted(
    {package.__name__ for package in PACKAGES}
    | {found.name for package in PACKAGES for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")}
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed
    assert module.__doc__, "a module says in its first line why it exists"


# docs/codecs.md

PAGE = (PROJECT / "docs" / "codecs.md").read_text(encoding="utf-8")
MEASURE = runpy.run_path(str(PROJECT / "docs" / "measure.py"))
KINDS = {"ours": "Ours", "papers": "From the papers", "general": "General purpose", "peers": "Peers"}
ENTRY = re.compile(r"^#### `(?P<name>.+?)`\n\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
GROUP = re.compile(r"^### (?P<group>.+?)\n(?P<entries>.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


def read_entries(title: str) -> list[tuple[str, str, str]]:
    """Return group, name and text of all entries under a title of the page."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return [
        (group["group"], entry["name"], entry["text"])
        for group in GROUP.finditer(section)
        for entry in ENTRY.finditer(group["entries"])
    ]


ENTRIES = {"codec": read_entries("Codecs"), "format": read_entries("Files")}
KNOWN = {
    "codec": sorted({*available_codecs(), *missing_codecs()}),
    "format": sorted({MEASURE["name_of"](name) for name in (*available_formats(), *missing_formats())}),
}
SHOWN = {"codec": DEFAULT_CODECS, "format": DEFAULT_FORMATS}


def every(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", KNOWN[kind])


def check_entry(kind: str, name: str) -> str:
    """Check the parts that every entry has; return the group that it stands in."""
    found = [(group, text) for group, one, text in ENTRIES[kind] if one == name]
    assert len(found) == 1, f"docs/codecs.md has {len(found)} entries '#### `{name}`' for this {kind}: write one"
    ((group, text),) = found
    parts = text.strip().split("\n\n")
    assert len(parts) == 4, f"{name}: three sentences, 'Choose it when', 'Source:' and figures, an empty line between"
    what, when, source, figures = parts
    assert len(re.findall(r"[.!?](?=\s|$)", what)) == 3, f"{name}: what it does, in three sentences"
    assert when.startswith("Choose it when "), f"{name}: 'Choose it when ...' follows what it does"
    assert re.match(r"Source: \S", source), f"{name}: 'Source: ...' names a paper with its year, or a project"
    first, *table, last = figures.splitlines()
    assert (first, last) == (f"<!-- figures: {kind} {name} -->", "<!-- /figures -->"), f"{name}: figures come last"
    rows = dict(re.findall(r"^\| `(.+?)` ((?:\| (?:-|(?:lossy: )?[0-9.]+) )+)\|$", "\n".join(table), re.MULTILINE))
    shown = [spec for spec in SHOWN[kind] if MEASURE["name_of"](spec) == name]
    assert set(shown) <= set(rows), (
        f"{name}: no figures of {set(shown) - set(rows)}: docs/measure.py --write fills them in"
    )
    assert rows, f"{name}: no figures: docs/measure.py --write fills them in"
    return group


@every("codec")
def test_every_codec_has_an_entry(name: str) -> None:
    group = check_entry("codec", name)
    if name in available_codecs():
        assert group == KINDS[get_codec(name).kind], (
            f"{name} says of itself that it is of the kind {get_codec(name).kind!r}"
        )


@every("format")
def test_every_format_has_an_entry(name: str) -> None:
    group = check_entry("format", name)
    if name in available_formats():
        assert (group == "Files of other engines") == (get_format(name).kind == "peers")


@pytest.mark.parametrize("kind", ["codec", "format"])
def test_entries_are_of_what_there_is(kind: str) -> None:
    assert sorted(name for _, name, _ in ENTRIES[kind]) == KNOWN[kind]


@pytest.mark.parametrize("kind", ["codec", "format"])
def test_the_table_of_all_has_the_rows_of_every_entry(kind: str) -> None:
    (table,) = re.findall(rf"<!-- figures: {kind} \* -->\n(.*?)<!-- /figures -->", PAGE, re.DOTALL)
    rows = [re.findall(r"^\| `.+", one, re.MULTILINE) for one in (table, *(text for _, _, text in ENTRIES[kind]))]
    assert sorted(rows[0]) == sorted(row for own in rows[1:] for row in own)


@pytest.fixture(scope="module")
def measured(small: MetricDataset) -> Any:
    part = small.select(range(3))
    return measure_dataset(
        part, generator="x", size="x", codecs=["xor", "pcodec", "xor+zstd"], formats=["columnar"], rounds=0, budget=0
    )


def test_figures_are_those_measured(small: MetricDataset, measured: Any) -> None:
    part = small.select(range(3))
    page = "a\n<!-- figures: codec xor -->\nold\n<!-- /figures -->\nb\n<!-- figures: format * -->\n<!-- /figures -->\n"
    filled = MEASURE["fill"](page, measured)
    bits = {
        codec_spec(codec): 8 * sum(len(codec.encode(series.values)) for series in part) / len(part)
        for codec in map(get_codec, ["xor", "xor+zstd"])
    }
    bytes_a_sample = len(get_format("columnar").encode(part)) / len(part)
    assert filled == (
        "a\n<!-- figures: codec xor -->\n"
        "| codec | bits a value | bits a timestamp |\n| --- | ---: | ---: |\n"
        f"| `xor` | {bits['xor']:.2f} | - |\n| `xor+zstd` | {bits['xor+zstd']:.2f} | - |\n<!-- /figures -->\nb\n"
        "<!-- figures: format * -->\n| file | bytes a sample |\n| --- | ---: |\n"
        f"| `columnar` | {bytes_a_sample:.3f} |\n<!-- /figures -->\n"
    )
    assert MEASURE["fill"](filled, measured) == filled


def test_all_codecs_stand_by_size(measured: Any) -> None:
    table = MEASURE["fill"]("<!-- figures: codec * -->\n<!-- /figures -->\n", measured)
    sizes = [float(bits) for bits in re.findall(r"` \| ([0-9.]+) \|", table)]
    assert len(sizes) == 3
    assert sizes == sorted(sizes)


def test_what_was_not_measured_has_no_figures(measured: Any) -> None:
    with pytest.raises(InvalidRequestError, match="codec nothing"):
        MEASURE["fill"]("<!-- figures: codec nothing -->\n<!-- /figures -->\n", measured)
