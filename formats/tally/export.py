"""Tally files as the files of others: CSV, NDJSON, OpenMetrics, Parquet and Arrow, a sample a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, ipc, parquet

from squeezelab.dataset import DOUBLE, UNITS_PER_SECOND, VALUE_DTYPES, MetricDataset, Series, SeriesKey, to_doubles
from squeezelab.doubles import count_inexact
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.ndjson import Ndjson
from squeezelab.formats.tally.tables import TEXT, sample_columns, sample_fields, text_column
from squeezelab.times import unit_by_size

TEXTS = ("csv", "ndjson", "openmetrics")
UNITLESS = ("csv", "ndjson")
NO_NUL = ("csv", "openmetrics")
"""A text with NUL in it passes for none."""
EXCEL_DAY = 36_526
"""The least number that readers of tables may take for a day of Excel's, 2000-01-01."""
PLAIN_NAN = np.array([np.nan]).view(np.uint64)
_NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
SUFFIXES = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".om": "openmetrics",
    ".openmetrics": "openmetrics",
    ".prom": "openmetrics",
}


@dataclass
class Exported:
    """What was written, and what the form does not keep."""

    form: str
    unit: str
    series: int = 0
    samples: int = 0
    singles: int = 0
    """Series of float32 that are read as doubles."""
    wholes: int = 0
    """Series of integers that are read as doubles."""
    rounded: int = 0
    """Integers that no double holds, of those series."""
    nans: int = 0
    """Values that are NaN with other bits than the usual."""
    span: tuple[int, int] = 2**64, 0
    """The least and the largest distance of a time from 1970."""

    def count(self, one: Series) -> None:
        """Count a series that is written."""
        self.series += 1
        self.samples += one.values.size
        if self.form in TEXTS and one.values.size:
            self._count_losses(one)
            sizes = abs(int(one.timestamps.min())), abs(int(one.timestamps.max()))
            self.span = min(*sizes, self.span[0]), max(*sizes, self.span[1])

    def _count_losses(self, one: Series) -> None:
        inexact = count_inexact(one.values)
        self.singles += one.values.dtype == np.float32
        if one.values.dtype.kind == "i" and (self.form == "openmetrics" or not inexact):
            self.wholes += 1
            self.rounded += inexact
        if self.form != "ndjson":
            values = to_doubles(one.values)
            self.nans += int(np.count_nonzero(np.isnan(values) & (values.view(np.uint64) != PLAIN_NAN[0])))

    @property
    def words(self) -> list[str]:
        """What the form does not keep, in a line, and how to read it in the right unit."""
        losses = {
            "series of float32 that are read as doubles": self.singles,
            "series of integers that are read as doubles": self.wholes,
            "integers beyond 2^53 that are read as the nearest double": self.rounded,
            "NaN with bits of their own, written as plain NaN": self.nans,
        }
        told = "; ".join(f"{what}: {count:,}" for what, count in losses.items() if count)
        words = [f"{self.form} does not keep all: {told}"] if told else []
        if self.form in UNITLESS and self.samples and _may_be_mistaken(*self.span, self.unit):
            words.append(f"{self.form} does not say what its times count: read it with --time-unit {self.unit}")
        return words


def _may_be_mistaken(least: int, most: int, unit: str) -> bool:
    """Tell whether numbers may be taken for times of another unit; small ones may be Excel's days, or 20240131.

    Examples
    --------
    >>> [_may_be_mistaken(1, 5, unit) for unit in ("s", "ms")], _may_be_mistaken(45292, 45292, "s")
    ([False, True], True)
    """
    days = unit == "s" and least < 10**8 and most >= EXCEL_DAY
    return days or not unit_by_size(least) == unit_by_size(most) == unit


def export(
    series: Iterable[Series],
    unit: str,
    file: IO[bytes],
    form: str,
    dtypes: Sequence[np.dtype[Any]] = (DOUBLE,),
) -> Exported:
    """Write series to a file.

    Parameters
    ----------
    series : iterable of Series
        They are held one by one.
    unit : {"s", "ms", "us", "ns"}
        What their timestamps count.
    file : binary file
    form : {"csv", "ndjson", "openmetrics", "parquet", "arrow"}
        Tables have the columns ``metric_name``, ``labels`` (JSON), ``timestamp`` and ``value``: what is read of them is
        what was written, whatever the labels are called.
    dtypes : sequence of numpy.dtype
        Of all values. Where they are several, tables have columns ``value``, ``value_int64`` and ``value_float32``,
        each null in series of others. Texts have float32 as the doubles that they are.

    Raises
    ------
    InvalidRequestError
        If there is no such form, or it cannot hold a name.
    """
    if form not in FORMS:
        raise InvalidRequestError(f"unknown form {form!r}: choose one of {', '.join(FORMS)}")
    exported = Exported(form, unit)
    counted = _counted(series, exported)
    if form in TEXTS:
        counted = map(_without_singles, counted)
        held = {DOUBLE if dtype == np.float32 else dtype for dtype in dtypes}
        dtypes = [dtype for dtype in VALUE_DTYPES if dtype in held]
    try:
        FORMS[form](counted, unit, file, dtypes)
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{form} cannot hold half a surrogate pair: rename {error.object[:40]!a}") from error
    return exported


def _counted(series: Iterable[Series], exported: Exported) -> Iterable[Series]:
    for one in series:
        if exported.form in NO_NUL and "\0" in "".join((one.key.metric_name, *chain(*one.key.labels.items()))):
            raise InvalidRequestError(
                f"{exported.form} cannot hold NUL, which is in {str(one.key)[:40]!a}: use arrow, parquet or ndjson"
            )
        exported.count(one)
        yield one


def _without_singles(one: Series) -> Series:
    """Return a series as texts have it: the digits of a float32 are those of another double."""
    return one._replace(values=to_doubles(one.values)) if one.values.dtype == np.float32 else one


Dtypes = Sequence[np.dtype[Any]]


def _write_csv(series: Iterable[Series], unit: str, file: IO[bytes], dtypes: Dtypes) -> None:
    schema = _schema(pa.int64(), pa.string(), dtypes)
    with csv.CSVWriter(file, schema) as writer:
        for one in series:
            writer.write_batch(_batch(one, schema, dtypes))


def _write_parquet(series: Iterable[Series], unit: str, file: IO[bytes], dtypes: Dtypes) -> None:
    schema = _schema(pa.timestamp(unit, "UTC"), TEXT, dtypes)
    gathered = _Gathered(lambda table: writer.write_table(table))
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for one in series:
            gathered.add(_batch(one, schema, dtypes))
        gathered.flush()


def _write_arrow(series: Iterable[Series], unit: str, file: IO[bytes], dtypes: Dtypes) -> None:
    # Plain text: a file of Arrow's has one dictionary for all batches, which is not known before the last one.
    schema = _schema(pa.timestamp(unit, "UTC"), pa.string(), dtypes)
    with ipc.new_file(file, schema, options=ipc.IpcWriteOptions(compression="zstd")) as writer:
        gathered = _Gathered(lambda table: writer.write_table(table.combine_chunks()))
        for one in series:
            gathered.add(_batch(one, schema, dtypes))
        gathered.flush()


@dataclass
class _Gathered:
    """Batches that are written once they have enough rows."""

    write: Callable[[Any], None]
    batches: list[Any] = field(default_factory=list)

    def add(self, batch: Any) -> None:
        self.batches.append(batch)
        if sum(one.num_rows for one in self.batches) >= 2**20:
            self.flush()

    def flush(self) -> None:
        if self.batches:
            self.write(pa.Table.from_batches(self.batches))
        self.batches = []


def _write_ndjson(series: Iterable[Series], unit: str, file: IO[bytes], dtypes: Dtypes) -> None:
    for one in series:
        for chunk in Ndjson().chunks(MetricDataset.from_series([one], time_unit=unit)):
            file.write(chunk)


def _write_openmetrics(series: Iterable[Series], unit: str, file: IO[bytes], dtypes: Dtypes) -> None:
    for key, timestamps, values in series:
        if not values.size:
            continue
        moments = pa.array(_in_seconds(timestamps.tolist(), unit), pa.string())
        lines = compute.binary_join_element_wise(pa.scalar(openmetrics_name(key)), _texts(values), moments, " ")
        file.write(("\n".join(lines.to_pylist()) + "\n").encode())
    file.write(b"# EOF\n")


def _texts(values: Any) -> Any:
    texts = pa.array(values, from_pandas=False).cast(pa.string())
    odd = ~np.isfinite(values)
    if not odd.any():
        return texts
    written = texts.to_pylist()
    for i in np.flatnonzero(odd).tolist():
        written[i] = "NaN" if np.isnan(values[i]) else "+Inf" if values[i] > 0 else "-Inf"
    return pa.array(written, pa.string())


def _in_seconds(timestamps: list[int], unit: str) -> list[str]:
    """Return timestamps as seconds, exactly."""
    size = UNITS_PER_SECOND[unit]
    if size == 1:
        return list(map(str, timestamps))
    digits = len(str(size)) - 1
    return [f"{'-' * (t < 0)}{abs(t) // size}.{abs(t) % size:0{digits}}" for t in timestamps]


def openmetrics_name(key: SeriesKey) -> str:
    r"""Return a series as OpenMetrics writes it; names that it does not allow are quoted, as of its version 2.

    Examples
    --------
    >>> print(openmetrics_name(SeriesKey("up", {"host": 'a"b'})), openmetrics_name(SeriesKey("load 1m", {"a b": "c"})))
    up{host="a\"b"} {"load 1m","a b"="c"}
    """
    labels = [
        f"{name if _LABEL.fullmatch(name) else _quoted(name)}={_quoted(text)}" for name, text in key.labels.items()
    ]
    if _NAME.fullmatch(key.metric_name):
        return key.metric_name + (f"{{{','.join(labels)}}}" if labels else "")
    return f"{{{','.join([_quoted(key.metric_name), *labels])}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _schema(time_type: Any, text_type: Any, dtypes: Dtypes) -> Any:
    return pa.schema([("metric_name", text_type), ("labels", text_type), *sample_fields(time_type, dtypes)])


def _batch(series: Series, schema: Any, dtypes: Dtypes) -> Any:
    names = [series.key.metric_name, json.dumps(dict(series.key.labels))]
    columns = [text_column([name], [series.values.size]) for name in names]
    if schema.field(0).type != TEXT:
        columns = [column.dictionary_decode() for column in columns]
    return pa.record_batch([*columns, *sample_columns([series], schema.field(2).type, dtypes)], schema=schema)


FORMS: dict[str, Callable[[Iterable[Series], str, IO[bytes], Dtypes], None]] = {
    "csv": _write_csv,
    "ndjson": _write_ndjson,
    "openmetrics": _write_openmetrics,
    "parquet": _write_parquet,
    "arrow": _write_arrow,
}
