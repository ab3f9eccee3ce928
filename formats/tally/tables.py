"""Samples of tally files as Arrow's record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from squeezelab.dataset import Series

if TYPE_CHECKING:
    from squeezelab.formats.tally.file import TallyFile

BATCH_ROWS = 2**18
TAKEN = ("metric_name", "timestamp", "value")
TEXT = pa.dictionary(pa.int32(), pa.string())


def record_batches(file: TallyFile) -> Any:
    """Return a reader of batches, a column a label; each is made when it is asked for."""
    names = sorted({name for key in file.keys for name in key.labels})
    titles = [f"label_{name}" if name in TAKEN else name for name in names]
    fields = [("metric_name", TEXT), *((title, TEXT) for title in titles)]
    schema = pa.schema([*fields, ("timestamp", pa.timestamp(file.time_unit, "UTC")), ("value", pa.float64())])

    def batches() -> Iterator[Any]:
        for some in gathered(file):
            counts = [one.values.size for one in some]
            columns = [text_column([one.key.metric_name for one in some], counts)]
            columns += [text_column([one.key.labels.get(name) for one in some], counts) for name in names]
            yield pa.record_batch([*columns, *sample_columns(some, schema.field("timestamp").type)], schema=schema)

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


def sample_columns(some: list[Series], time_type: Any) -> list[Any]:
    """Return the timestamps and the values of series, one after the other."""
    timestamps = pa.array(np.concatenate([one.timestamps for one in some]))
    return [timestamps.cast(time_type), pa.array(np.concatenate([one.values for one in some]), from_pandas=False)]


def text_column(texts: list[str | None], counts: list[int]) -> Any:
    """Return a dictionary column in which each text stands so many times."""
    numbers: dict[str, int] = {}
    codes = [-1 if text is None else numbers.setdefault(text, len(numbers)) for text in texts]
    every = np.repeat(np.array(codes, np.int32), counts)
    return pa.DictionaryArray.from_arrays(pa.array(every, mask=every < 0), pa.array(list(numbers), pa.string()))
