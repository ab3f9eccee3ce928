"""Lines of JSON as columns, by pyarrow, where all records have the fields and types of the first ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json
from pyarrow import compute

from squeezelab.readers._table import LABEL_TEXT_NAMES
from squeezelab.store.rows import group_rows

BITS = "value_bits"
"""The field that tells the bits of a NaN, as the lab writes it."""
_LABELS = re.compile(rb'"(?:labels|tags)"\s*:\s*\{[^{}\n]*\}')
_SOME = 200
_UNREADABLE = (ValueError, OverflowError, TypeError, pa.ArrowException)
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@dataclass
class Shape:
    r"""The fields of records and their types, learnt from some.

    Examples
    --------
    >>> shape = Shape()
    >>> shape.learn([{"time": 1, "labels": {"host": "a"}, "cpu": 0.5}])
    >>> names, columns = shape.read(b'{"time": 2, "labels": {"host": "b"}, "cpu": 1.5}\n', 1)
    >>> names, columns[1].to_pylist()
    (['time', 'labels', 'cpu'], ['{"host": "b"}'])
    >>> shape.read(b'{"time": "2024-01-01"}\n', 1) is None
    True
    """

    kinds: dict[tuple[str, ...], set[type]] = field(default_factory=dict)

    def learn(self, records: Iterable[dict[str, Any]]) -> None:
        """Take note of what these records have."""
        for record in records:
            for name, value in record.items():
                if isinstance(value, dict):
                    self.kinds.setdefault((name,), set())
                    for inner, each in value.items():
                        self.kinds.setdefault((name, inner), set()).add(type(each))
                else:
                    self.kinds.setdefault((name,), set()).add(type(value))

    def learn_from(self, text: bytes, *, labels: bool = False) -> None:
        """Take note of some lines; or of all labels, as lines by the thousand have the same ones."""
        if labels:
            some = [b"{%b}" % each for each in set(_LABELS.findall(text))]
        else:
            lines = text.split(b"\n")
            some = lines[:: max(1, len(lines) // _SOME)]
        for line in some:
            with suppress(ValueError, RecursionError):
                if isinstance(record := json.loads(line), dict):
                    self.learn([record])

    def read(self, text: bytes, count: int) -> tuple[list[str], list[pa.Array]] | None:
        """Return names and columns of so many lines; None where they are not all of this shape."""
        schema = self._schema()
        # pyarrow dies of a null where the first object belongs.
        if schema is None or not re.match(rb"\s*\{", text):
            return None
        with suppress(*_UNREADABLE):
            table = pyarrow.json.read_json(
                pa.BufferReader(text),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
                pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
            )
            if table.num_rows == count:
                columns = dict(_plain(table))
                if not any(map(_may_have_lost, columns.values())):
                    return list(columns), list(columns.values())
        return None

    def _schema(self) -> pa.Schema | None:
        fields: dict[str, Any] = {}
        for path, kinds in self.kinds.items():
            kind = _type_of(kinds)
            outer = fields.get(path[0])
            inner = {name: each for name, *rest in (one for one in self.kinds if one[0] == path[0]) for each in rest}
            if len(path) == 1 and not inner:
                fields[path[0]] = kind
            elif len(path) == 1:
                if kinds - {type(None)}:
                    return None
                fields[path[0]] = {}
            elif isinstance(outer, dict):
                if path[0].lower() in LABEL_TEXT_NAMES and kind != pa.string():
                    return None
                outer[path[1]] = kind
        if any(kind is None or (isinstance(kind, dict) and None in kind.values()) for kind in fields.values()):
            return None
        fields.setdefault(BITS, pa.string())
        return pa.schema(
            [(name, pa.struct(list(kind.items())) if isinstance(kind, dict) else kind) for name, kind in fields.items()]
        )


def _type_of(kinds: set[type]) -> pa.DataType | None:
    kinds = kinds - {type(None)}
    if not kinds:
        return pa.null()
    if kinds == {int, float}:
        return pa.float64()
    return _TYPES.get(kinds.pop()) if len(kinds) == 1 else None


def _plain(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Yield columns without structs: labels as text, other fields as ``outer.inner``."""
    bits = table.column(BITS)
    for name, chunks in zip(table.column_names, table.columns, strict=True):
        column = chunks.combine_chunks()
        if name == BITS:
            continue
        if pa.types.is_struct(column.type) and name.lower() in LABEL_TEXT_NAMES:
            yield name, _label_texts(column)
        elif pa.types.is_struct(column.type):
            for inner, child in zip(column.type, column.flatten(), strict=True):
                yield f"{name}.{inner.name}", child
        elif name == "value" and bits.null_count < len(bits):
            yield name, _with_bits(column, bits)
        else:
            yield name, column


def _label_texts(labels: pa.Array) -> pa.Array:
    """Return labels as JSON, each text made once."""
    numbers, firsts = group_rows(labels.flatten(), len(labels))
    rows = labels.take(pa.array(firsts)).to_pylist()
    told = ({name: cell for name, cell in (row or {}).items() if cell is not None} for row in rows)
    texts = [json.dumps(row) if row else None for row in told]
    return pa.array(texts, pa.string()).take(pa.array(numbers))


def _with_bits(column: pa.Array, bits: pa.ChunkedArray) -> pa.Array:
    """Return values in which NaNs have the bits that were told."""
    rows = np.flatnonzero(bits.is_valid())
    values = column.to_numpy().copy()
    told = np.array([int(text, 16) for text in bits.drop_null().to_pylist()], np.uint64)
    if column.null_count or not np.isnan(values[rows]).all() or not np.isnan(told.view(np.float64)).all():
        raise ValueError("bits of what is no NaN")
    values.view(np.uint64)[rows] = told
    return pa.array(values, pa.float64(), from_pandas=False)


def _may_have_lost(column: pa.Array) -> bool:
    """Tell whether integers beyond 2^53 may have become doubles."""
    if not pa.types.is_floating(column.type):
        return False
    sizes = compute.abs(column)
    within = compute.and_(compute.greater_equal(sizes, 2.0**53), compute.less(sizes, 2.0**64))
    return bool(compute.any(within).as_py())
