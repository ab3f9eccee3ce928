"""A chapter beside the report: words, pictures and tables as one page that needs no script, and as Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from squeezelab.report.page import ASSETS, new_environment
from squeezelab.report.table import Table


@dataclass(frozen=True)
class PictureFile:
    """A PNG, and what it shows for those who do not see it."""

    path: Path
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of a chapter.

    Attributes
    ----------
    id, title : str
        For links, and its head.
    words : sequence of str
        A paragraph each; what stands between backticks is code.
    pictures : sequence of PictureFile
        Below the words.
    tables : sequence of Table
        Below the pictures; long ones are folded.
    """

    id: str
    title: str
    words: Sequence[str] = ()
    pictures: Sequence[PictureFile] = ()
    tables: Sequence[Table] = ()


def chapter_html(title: str, origin: str, sections: Sequence[Section]) -> str:
    """Return the page, its pictures within.

    Examples
    --------
    >>> page = chapter_html("Losses", "one & all", [Section("a", "Words", ["The codec `xor`."])])
    >>> "one &amp; all" in page, "<code>xor</code>" in page
    (True, True)
    """
    environment = new_environment()
    environment.filters["embedded"] = _embedded
    return environment.get_template("chapter.html.jinja").render(
        asset=lambda name: Markup((ASSETS / name).read_text(encoding="utf-8")),
        title=title,
        origin=origin,
        sections=sections,
    )


def chapter_markdown(title: str, origin: str, sections: Sequence[Section]) -> str:
    """Return the chapter as Markdown, its pictures beside it.

    Examples
    --------
    >>> print(chapter_markdown("Losses", "of one series", [Section("a", "Words", ["Yes."])]))
    # Losses
    <BLANKLINE>
    of one series
    <BLANKLINE>
    ## Words
    <BLANKLINE>
    Yes.
    <BLANKLINE>
    """
    lines = [f"# {title}", "", origin, ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        for words in section.words:
            lines += [words, ""]
        lines += [f"![{one.alt}]({one.path.name})\n" for one in section.pictures]
        lines += ["#" + table.to_markdown() for table in section.tables if table.rows]
    return "\n".join(lines)


def _embedded(picture: PictureFile) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode()
