"""A table of texts, drawn as Markdown, for a terminal, and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable

NARROWEST_WORDS = 16
"""Characters that a column of words has at least, where there are so many."""


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first ``names`` columns hold words, the others numbers.

    Examples
    --------
    >>> print(Table("Sizes", ["codec", "bytes"], [["xor", "12"]]).to_markdown())
    ## Sizes
    <BLANKLINE>
    | codec | bytes |
    | :--- | ---: |
    | xor | 12 |
    <BLANKLINE>
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    names: int = 1

    def to_markdown(self) -> str:
        """Return the table as GitHub renders it, title and note included."""
        marks = [":---" if i < self.names else "---:" for i in range(len(self.headers))]
        lines = [
            "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
            for cells in (self.headers, marks, *self.rows)
        ]
        return "\n".join([f"## {self.title}", "", *lines, "", *([self.note, ""] if self.note else [])])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table as wide as a terminal is."""
        yield self.to_rich(options.max_width)

    def to_rich(self, width: int = 120) -> RichTable:
        """Return the table for a terminal of so many characters a line.

        Words are folded where they do not fit, numbers are not: words share what these leave.
        """
        longest = [max(map(len, column)) for column in zip(self.headers, *self.rows, strict=True)]
        left = width - sum(longest[self.names :]) - len(longest) - 1
        table = RichTable(
            title=self.title,
            caption=self.note or None,
            box=SIMPLE,
            padding=0,
            title_justify="left",
            caption_justify="left",
        )
        for i, header in enumerate(self.headers):
            named = i < self.names
            table.add_column(
                header,
                justify="left" if named else "right",
                no_wrap=not named,
                overflow="fold",
                # Else a long text takes all from a short one, which is folded to a letter a line.
                min_width=min(longest[i], NARROWEST_WORDS, max(1, left // self.names)) if named else None,
            )
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_html(self) -> str:
        """Return the table as an HTML table, as a notebook shows it.

        Examples
        --------
        >>> Table("Sizes", ["codec"], [["a<b"]]).to_html()
        '<table><caption>Sizes</caption><thead><tr><th>codec</th></tr></thead><tbody><tr><td>a&lt;b</td></tr></tbody></table>'
        """
        head = "".join(f"<th>{escape(header)}</th>" for header in self.headers)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        caption = f"<caption>{escape(self.title)}</caption>"
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        return table + (f"<p>{escape(self.note)}</p>" if self.note else "")
