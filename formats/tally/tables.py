"""Samples of tally files as Arrow's record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from squeezelab.dataset import Series
from squeezelab.formats._long import value_columns, value_titles

if TYPE_CHECKING:
    from squeezelab.formats.tally.file import TallyFile

BATCH_ROWS = 2**18
TAKEN = ("metric_name", "timestamp")
TEXT = pa.dictionary(pa.int32(), pa.string())


def record_batches(file: TallyFile) -> Any:
    """Return a reader of batches, a column a label; each is made when it is asked for."""
    names = sorted({name for key in file.keys for name in key.labels})
    dtypes = file.value_dtypes
    values = value_titles(dtypes)
    titles = [f"label_{name}" if name in (*TAKEN, *values) else name for name in names]
    fields = [("metric_name", TEXT), *((title, TEXT) for title in titles)]
    schema = pa.schema([*fields, *sample_fields(pa.timestamp(file.time_unit, "UTC"), dtypes)])

    def batches() -> Iterator[Any]:
        for some in gathered(file):
            counts = [one.values.size for one in some]
            columns = [text_column([one.key.metric_name for one in some], counts)]
            columns += [text_column([one.key.labels.get(name) for one in some], counts) for name in names]
            samples = sample_columns(some, schema.field("timestamp").type, dtypes)
            yield pa.record_batch([*columns, *samples], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def gathered(file: TallyFile) -> Iterator[list[Series]]:
    """Yield series in groups of about `BATCH_ROWS` samples; long ones are cut."""
    some: list[Series] = []
    rows = 0
    for key, timestamps, values in file:
        for first in range(0, values.size, BATCH_ROWS):
            part = slice(first, first + BATCH_ROWS)
            some.append(Series(key, timestamps[part], values[part]))
            rows += some[-1].values.size
            if rows >= BATCH_ROWS:
                yield some
                some, rows = [], 0
    if some:
        yield some


def sample_fields(time_type: Any, dtypes: Sequence[np.dtype[Any]]) -> list[tuple[str, Any]]:
    """Return the name and type of the columns that `sample_columns` makes."""
    values = value_titles(dtypes)
    return [("timestamp", time_type), *((title, pa.from_numpy_dtype(dtype)) for title, dtype in values.items())]


def sample_columns(some: list[Series], time_type: Any, dtypes: Sequence[np.dtype[Any]]) -> list[Any]:
    """Return the timestamps and the values of series, one after the other; a column a dtype where there are several."""
    timestamps = pa.array(np.concatenate([one.timestamps for one in some]))
    return [timestamps.cast(time_type), *value_columns(some, dtypes).values()]


def text_column(texts: list[str | None], counts: list[int]) -> Any:
    """Return a dictionary column in which each text stands so many times."""
    numbers: dict[str, int] = {}
    codes = [-1 if text is None else numbers.setdefault(text, len(numbers)) for text in texts]
    every = np.repeat(np.array(codes, np.int32), counts)
    return pa.DictionaryArray.from_arrays(pa.array(every, mask=every < 0), pa.array(list(numbers), pa.string()))
