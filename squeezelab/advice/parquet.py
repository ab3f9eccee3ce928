"""Parquet files, as pyarrow, DuckDB or Polars write them: encoding, compression and level of each column, and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from squeezelab.advice.base import Choices, Order, Place, Setting, Stored, System, Workshop, folder_bytes
from squeezelab.advice.layout import Column, Hour, Layout
from squeezelab.results import Segment

DEFAULT = "dictionary snappy"
ENCODINGS: Mapping[str, tuple[str, ...]] = {
    "label": ("dictionary", "PLAIN", "DELTA_BYTE_ARRAY"),
    "id": ("dictionary", "PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED"),
    "time": ("dictionary", "PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED"),
    "value": ("dictionary", "PLAIN", "BYTE_STREAM_SPLIT"),
}
COMPRESSIONS: tuple[str, ...] = ("snappy", "none", "lz4", "gzip 6", "gzip 9", "brotli 5", "brotli 9", "brotli 11")
COMPRESSIONS += tuple(f"zstd {level}" for level in (1, 3, 6, 9, 12, 15, 19, 22))
EFFORT = {"none": 0, "lz4": 0, "snappy": 0, "zstd 1": 1, "zstd 3": 1, "zstd 6": 2, "zstd 9": 2, "brotli 5": 2}


class Parquet(System):
    """Parquet: the arguments of pyarrow's ``write_table``.

    Notes
    -----
    A file a table; bytes are those of the files. The default is a file without any argument, in the order of the data:
    snappy, and a dictionary for every column. Source: https://parquet.apache.org/docs/file-format/
    """

    name = "parquet"
    title = "Parquet through pyarrow"
    package = None
    file = "parquet.py"
    options: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "row_group_size": ("", "16384", "131072", "16777216"),
        "data_page_size": ("", "65536", "8388608"),
        "write_page_index": ("", "True"),
    }
    default_order = "as given"

    @property
    def workshop(self) -> type[Workshop]:
        """What runs it."""
        return ParquetWorkshop

    def version(self) -> str:
        """Return the version of pyarrow."""
        return f"pyarrow {version('pyarrow')}"

    def choices(self, column: Column, layout: Layout) -> Sequence[str]:
        """Return encodings with compressions; pyarrow's own default first."""
        table = next(one for one in layout.tables if one.name == column.table)
        whole = column.kind == "value" and table.dtype(column.name).kind == "i"
        every = [f"{one} {after}" for one in ENCODINGS["time" if whole else column.kind] for after in COMPRESSIONS]
        return [DEFAULT, *(one for one in every if one != DEFAULT)]

    def effort(self, choice: str) -> int:
        """Return how much a compression costs."""
        return EFFORT.get(choice.partition(" ")[2], 3)

    def family(self, choice: str) -> str:
        """Return the encoding."""
        return choice.partition(" ")[0]

    def orders(self, layout: Layout) -> dict[str, Order]:
        """Return the orders that rows are sorted in, that of the data without a word first."""
        return {"as given": {one.name: () for one in layout.tables}, **super().orders(layout)}

    def text(self, layout: Layout, setting: Setting) -> str:
        """Return Python that writes the tables."""
        order = self.orders(layout)[setting.order]
        lines = ["import pyarrow.parquet as pq"]
        for table in layout.tables:
            columns = {one.name: setting.columns[table.name, one.name] for one in table.columns}
            lines += ["", f"# {table.name}: a pyarrow.Table with the columns {', '.join(map(ascii, columns))}"]
            if order[table.name]:
                keys = ", ".join(f'({one!a}, "ascending")' for one in order[table.name])
                lines.append(f"{table.name} = {table.name}.sort_by([{keys}])")
            arguments = [f"{name}={value}" for name, value in writing(columns, setting.options).items()]
            lines.append(f'pq.write_table(\n    {table.name},\n    "{table.name}.parquet",')
            lines += [f"    {one}," for one in arguments] + [")"]
        return "\n".join(lines) + "\n"


def writing(columns: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments of ``write_table`` as Python.

    Parameters
    ----------
    columns : mapping of str to str
        Encoding, compression and level of each column: ``"BYTE_STREAM_SPLIT zstd 19"``.
    options : mapping of str to str
        Other arguments; what is empty is left out.

    Examples
    --------
    >>> writing({"t": "DELTA_BINARY_PACKED zstd 3", "v": "PLAIN zstd 3"}, {"data_page_size": "65536"})
    ... # doctest: +NORMALIZE_WHITESPACE
    {'use_dictionary': 'False', 'column_encoding': "{'t': 'DELTA_BINARY_PACKED', 'v': 'PLAIN'}",
     'compression': "'zstd'", 'compression_level': '3', 'data_page_size': '65536'}
    """
    arguments = {name: value for name, value in options.items() if value}
    if all(one == DEFAULT for one in columns.values()):
        return arguments
    split = {name: one.split(" ") for name, one in columns.items()}
    dictionary = [name for name, one in split.items() if one[0] == "dictionary"]
    encodings = {name: one[0] for name, one in split.items() if one[0] != "dictionary"}
    compressions = {name: one[1] for name, one in split.items()}
    levels = {name: int(one[2]) for name, one in split.items() if len(one) == 3}
    chosen: dict[str, Any] = {"use_dictionary": dictionary or False}
    if encodings:
        chosen["column_encoding"] = encodings
    alike = len(set(compressions.values())) == 1
    chosen["compression"] = next(iter(compressions.values())) if alike else compressions
    if levels:
        same = len(levels) == len(split) and len(set(levels.values())) == 1
        chosen["compression_level"] = next(iter(levels.values())) if same else levels
    return {name: ascii(value) for name, value in chosen.items()} | arguments


class FileWorkshop(Workshop):
    """Runs Python that writes a Parquet file a table into the working folder, and reads these with pyarrow."""

    def names(self, layout: str) -> list[str]:
        """Return the tables of a layout."""
        return [one.name for one in self.layouts[layout].tables]

    def run(self, layout: str, text: str) -> Stored:
        """Execute the text, with the tables as variables of their names."""
        for path in Path().glob("*.parquet"):
            path.unlink()
        self.execute(text, {one.name: one.rows for one in self.layouts[layout].tables})
        files = folder_bytes(Path())
        size = sum(taken for name, taken in files.items() if name.endswith(".parquet"))
        return Stored(size, self._parts(layout, size))

    def execute(self, text: str, tables: dict[str, pa.Table]) -> None:
        """Execute Python with some names given."""
        exec(compile(text, "statement", "exec"), dict(tables))

    def _parts(self, layout: str, size: int) -> dict[str, int]:
        parts = {"labels": 0, "timestamps": 0, "values": 0}
        names = {"label": "labels", "id": "labels", "time": "timestamps", "value": "values"}
        for table in self.layouts[layout].tables:
            taken = _column_bytes(f"{table.name}.parquet")
            for place, column in enumerate(table.columns):
                parts[names[column.kind]] += taken[place]
        parts["rest"] = size - sum(parts.values())
        return parts

    def read(self, layout: str) -> dict[str, pa.Table]:
        """Read all rows."""
        return {name: pq.read_table(f"{name}.parquet") for name in self.names(layout)}

    def read_all(self, layout: str) -> int:
        """Read all rows."""
        return sum(len(table) for table in self.read(layout).values())

    def read_hour(self, layout: str, hour: Hour) -> int:
        """Read with a filter, which row groups are passed over by."""
        laid = self.layouts[layout]
        table = next(one for one in laid.tables if one.name == hour.table)
        time = table.of_kind("time")[0].name
        wanted = _labelled(hour.labels)
        if not table.of_kind("label") and table.of_kind("id"):
            found = pq.read_table(f"{laid.tables[0].name}.parquet", filters=wanted)
            ident = laid.tables[0].of_kind("id")[0].name
            wanted = pc.field(table.of_kind("id")[0].name).isin(found[ident])
        kind = pq.read_schema(f"{table.name}.parquet").field(time).type
        low, high = (pa.scalar(one, table.rows[time].type).cast(kind) for one in (hour.start, hour.stop))
        within = (pc.field(time) >= low) & (pc.field(time) < high)
        rows = pq.read_table(
            f"{table.name}.parquet",
            columns=[time, hour.value],
            filters=within if wanted is None else wanted & within,
        )
        return len(rows) - int(rows[hour.value].null_count)

    def segments(self, layout: str) -> list[Segment]:
        """Return encodings and bytes of each column's chunks."""
        some: dict[tuple[str, str, str], list[int]] = {}
        for table in self.layouts[layout].tables:
            footer = pq.read_metadata(f"{table.name}.parquet")
            for group in range(footer.num_row_groups):
                for place, column in enumerate(table.columns):
                    chunk = footer.row_group(group).column(place)
                    chosen = f"{', '.join(sorted(set(chunk.encodings)))}, {chunk.compression}"
                    some.setdefault((table.name, column.name, chosen), []).append(chunk.total_compressed_size)
        return [Segment(*what, len(sizes), sum(sizes)) for what, sizes in some.items()]


class ParquetWorkshop(FileWorkshop):
    """Sizes columns one by one: a chunk of a column does not depend on others."""

    def __init__(self) -> None:
        super().__init__()
        self.sorted: dict[tuple[str, str, tuple[str, ...]], pa.Table] = {}

    def take(self, layout: Layout) -> None:
        """Keep a layout; what was sorted of others is of no more use."""
        super().take(layout)
        self.sorted.clear()

    def probe(
        self, layout: str, order: Order, options: Mapping[str, str], choices: Choices
    ) -> dict[Place, dict[str, int]]:
        """Write each column alone, once for each choice."""
        sizes: dict[Place, dict[str, int]] = {place: {} for place in choices}
        for (table, column), some in choices.items():
            alone = self._in_order(layout, table, order[table]).select([column])
            for choice in some:
                arguments = {name: eval(text) for name, text in writing({column: choice}, options).items()}
                file = pa.BufferOutputStream()
                try:
                    pq.write_table(alone, file, **arguments)
                except (OSError, pa.ArrowException):  # an encoding that does not suit the type
                    continue
                sizes[table, column][choice] = sum(_column_bytes(pa.BufferReader(file.getvalue())))
        return sizes

    def _in_order(self, layout: str, table: str, keys: tuple[str, ...]) -> pa.Table:
        rows = next(one.rows for one in self.layouts[layout].tables if one.name == table)
        if not keys:
            return rows
        if (layout, table, keys) not in self.sorted:
            self.sorted[layout, table, keys] = rows.sort_by([(pc.field(one), "ascending") for one in keys])
        return self.sorted[layout, table, keys]


def _labelled(labels: Sequence[tuple[str, str | None]]) -> Any:
    conditions = [pc.field(name).is_null() if text is None else pc.field(name) == text for name, text in labels]
    whole = None
    for one in conditions:
        whole = one if whole is None else whole & one
    return whole


def _column_bytes(file: Any) -> list[int]:
    """Return what the chunks of each column take."""
    footer = pq.read_metadata(file)
    return [
        sum(footer.row_group(group).column(place).total_compressed_size for group in range(footer.num_row_groups))
        for place in range(footer.num_columns)
    ]
