"""Frames of pandas as data sets: long, a row a sample, or wide, a column a metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from squeezelab.errors import InvalidRequestError
from squeezelab.times import TIME_UNITS, UNITS_PER_SECOND, from_dates, unit_by_size

if TYPE_CHECKING:
    import pandas as pd

NAME_COLUMNS = ("metric_name", "__name__", "metric", "name")
TIME_COLUMNS = ("timestamp", "time", "datetime", "date", "ts")
INT64 = np.iinfo(np.int64)
RESERVED = ("metric_name", "timestamp", "value")
"""Columns of `MetricDataset.to_frame`; labels that are called so have ``label_`` before their name there."""


Part = tuple[str, dict[str, str], npt.NDArray[np.int64], npt.NDArray[Any]]
"""A series: its name, labels, timestamps and values."""


def split_frame(frame: Any, time_unit: str | None = None) -> tuple[list[Part], str]:
    """Return the series of a frame and the unit of their timestamps, as `MetricDataset.from_frame` says."""
    frame = _as_pandas(frame)
    time = _find_time(frame)
    moments = frame.index.to_series() if time is None else frame[time]
    timestamps, unit = _timestamps(moments, time_unit or frame.attrs.get("time_unit"))
    name = next((one for one in NAME_COLUMNS if one in frame.columns), None)
    others = [column for column in frame.columns if column != time]
    if name is not None and "value" in frame.columns:
        labels = [column for column in others if column not in (name, "value")]
        parts = _split(frame, [name, *labels], timestamps, ["value"], long=True)
        return [(str(cells[0]), _labels(labels, cells[1:]), times, values) for _, cells, times, values in parts], unit
    metrics = [column for column in others if frame[column].dtype.kind in "iufb"]
    labels = [column for column in others if frame[column].dtype.kind not in "iufbMmc"]
    if not metrics:
        raise InvalidRequestError(f"no column of the frame holds numbers beside its times: it has {others}")
    parts = _split(frame, labels, timestamps, metrics)
    return [(str(one), _labels(labels, cells), times, values) for one, cells, times, values in parts], unit


def _as_pandas(frame: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(frame, pd.Series):
        return frame.to_frame("value" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame) and hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"a frame of pandas, Polars or Arrow is needed, not {type(frame).__name__}: "
            "for files, squeezelab.readers.load(path).dataset"
        )
    return frame


def _find_time(frame: pd.DataFrame) -> Any:
    """Return the column of the time; None if it is the index."""
    lower = {str(column).lower(): column for column in reversed(frame.columns)}
    dates = [column for column in frame.columns if frame[column].dtype.kind == "M"]
    called = [lower[one] for one in TIME_COLUMNS if one in lower]
    if found := [column for column in called if column in dates] or called or dates:
        return found[0]
    if frame.index.dtype.kind == "M" or str(frame.index.name).lower() in TIME_COLUMNS:
        return None
    raise InvalidRequestError(
        f"no column of the frame holds the time: it has {list(frame.columns)}; call one of them timestamp, "
        "or give it an index of dates"
    )


def _timestamps(moments: pd.Series[Any], unit: str | None) -> tuple[npt.NDArray[np.int64], str]:
    """Return times as whole numbers: dates in the coarsest unit that holds them, numbers as they are."""
    import pandas as pd

    if moments.isna().any():
        at = int(np.flatnonzero(moments.isna())[0])
        raise InvalidRequestError(f"row {at} of the frame has no time: drop such rows with dropna")
    if moments.dtype.kind not in "iufM":
        try:
            moments = pd.to_datetime(moments, utc=True, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise InvalidRequestError(
                f"the frame's times are no dates: {error}; convert with pd.to_datetime"
            ) from error
    if moments.dtype.kind == "M":
        plain = moments.dt.tz_convert("UTC").dt.tz_localize(None) if moments.dt.tz is not None else moments
        numbers, held = from_dates(plain.to_numpy())
        for coarser in TIME_UNITS:
            factor = UNITS_PER_SECOND[held] // UNITS_PER_SECOND[coarser]
            if not np.any(numbers % factor):
                return numbers // factor, coarser
    numbers = moments.to_numpy()
    if numbers.dtype.kind == "f" and np.any(numbers != np.floor(numbers)):
        unit = unit or unit_by_size(float(np.median(np.abs(numbers))))
        return np.rint(numbers * (10**6 // UNITS_PER_SECOND[unit])).astype(np.int64), "us"
    whole = numbers.astype(np.int64)
    return whole, unit or (unit_by_size(float(np.median(np.abs(whole)))) if whole.size else "s")


def _split(
    frame: pd.DataFrame,
    labels: Sequence[Any],
    timestamps: npt.NDArray[np.int64],
    metrics: Sequence[Any],
    *,
    long: bool = False,
) -> Iterator[tuple[Any, list[Any], npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """Yield each metric of each group of rows: its column, labels, and samples in the order of time."""
    import pandas as pd

    groups: npt.NDArray[Any] = np.zeros(len(frame), np.int64)
    if labels:
        groups = frame.groupby(list(labels), dropna=False, sort=False, observed=True).ngroup().to_numpy(np.int64)
    order = np.lexsort((timestamps, groups))
    firsts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for metric in metrics:
        given = frame[metric]
        column = pd.to_numeric(given, errors="raise")
        dtype = _kept_dtype(column)
        values = column.to_numpy(dtype, na_value=0 if dtype.kind == "i" else np.nan)
        # In a wide frame NaN is where a metric has no sample; in a long one it is a value, of doubles.
        absent = column.isna().to_numpy() & (not long or dtype.kind == "i")
        for rows in np.split(order, firsts[1:]):
            kept = rows[~absent[rows]]
            if kept.size:
                own = _as_they_are(given.iloc[kept]) if given.dtype == object else None
                cells = values[kept] if own is None else own
                yield metric, [frame[label].iloc[kept[0]] for label in labels], timestamps[kept], cells


def _as_they_are(cells: pd.Series[Any]) -> npt.NDArray[Any] | None:
    """Return the cells of a series in a column of several dtypes: integers, or float32; None if they are neither."""
    kinds = {type(cell) for cell in cells}
    if kinds <= {int, np.int64} and all(INT64.min <= int(cell) <= INT64.max for cell in cells):
        return np.array([int(cell) for cell in cells], np.int64)
    return np.array(cells.tolist(), np.float32) if kinds == {np.float32} else None


def _kept_dtype(column: pd.Series[Any]) -> np.dtype[Any]:
    """Return what the values of a column are kept as: integers as int64 if they fit, float32 as it is."""
    kind = column.dtype.kind
    if kind == "i" or (kind == "u" and not (column > INT64.max).any()):
        return np.dtype(np.int64)
    return np.dtype(np.float32 if str(column.dtype).lower() == "float32" else np.float64)


def _labels(names: Sequence[Any], cells: Sequence[Any]) -> dict[str, str]:
    import pandas as pd

    labels = {}
    for name, cell in zip(map(str, names), cells, strict=True):
        plain = name.removeprefix("label_")
        if not pd.isna(cell):
            labels[plain if plain in RESERVED else name] = str(cell)
    return labels
