"""Tally files as the files of others: CSV, NDJSON, OpenMetrics, Parquet and Arrow, a sample a row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, csv, ipc, parquet

from squeezelab.dataset import DOUBLE, UNITS_PER_SECOND, MetricDataset, Series, SeriesKey, to_doubles
from squeezelab.errors import InvalidRequestError
from squeezelab.formats.ndjson import Ndjson
from squeezelab.formats.tally.tables import TEXT, sample_columns, sample_fields, text_column

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
    """What was written, and what the form could not hold."""

    series: int = 0
    samples: int = 0
    nans: int = 0
    """Values that are NaN with other bits than the usual, which a text does not tell."""

    def count(self, some: Iterable[Series], *, text: bool) -> None:
        """Count series that are written."""
        for one in some:
            self.series += 1
            self.samples += one.values.size
            if text:
                values = to_doubles(one.values)
                odd = np.isnan(values) & (values.view(np.uint64) != PLAIN_NAN[0])
                self.nans += int(np.count_nonzero(odd))

    @property
    def words(self) -> list[str]:
        """What the form could not hold, a line each."""
        return [f"NaN with bits of their own, written as plain NaN: {self.nans:,}"] * bool(self.nans)


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
        each null in series of others.

    Raises
    ------
    InvalidRequestError
        If there is no such form, or it cannot hold a name.
    """
    if form not in FORMS:
        raise InvalidRequestError(f"unknown form {form!r}: choose one of {', '.join(FORMS)}")
    exported = Exported()
    try:
        FORMS[form](_counted(series, exported, text=form in ("csv", "openmetrics")), unit, file, dtypes)
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{form} cannot hold half a surrogate pair: rename {error.object[:40]!a}") from error
    return exported


def _counted(series: Iterable[Series], exported: Exported, *, text: bool) -> Iterable[Series]:
    for one in series:
        exported.count([one], text=text)
        yield one


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
        if one.values.dtype not in Ndjson.dtypes:
            file.write("".join(_json_lines(one)).encode())
            continue
        for chunk in Ndjson().chunks(MetricDataset.from_series([one], time_unit=unit)):
            file.write(chunk)


def _json_lines(series: Series) -> Iterator[str]:
    """Yield lines as NDJSON has them, of numbers that it does not take for doubles."""
    key = {"metric_name": series.key.metric_name, "labels": dict(series.key.labels)}
    for timestamp, value in zip(series.timestamps.tolist(), series.values.tolist(), strict=True):
        yield json.dumps(key | {"timestamp": timestamp, "value": value}) + "\n"


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
