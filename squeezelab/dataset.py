"""What is measured: series of (timestamp, value) samples, held as four flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from squeezelab.times import TIME_UNITS, from_dates
from squeezelab.times import UNITS_PER_SECOND as UNITS_PER_SECOND

if TYPE_CHECKING:
    import pandas as pd

RAW_BYTES_PER_SAMPLE = 16
TIMESTAMP_BYTES = 8
DOUBLE: np.dtype[Any] = np.dtype(np.float64)
VALUE_DTYPES: tuple[np.dtype[Any], ...] = (DOUBLE, np.dtype(np.int64), np.dtype(np.float32))
"""What the values of a series can be."""
WORD = np.dtype(np.uint64)


@dataclass(frozen=True)
class SeriesKey:
    """What names a series: a metric name and a set of labels.

    Parameters
    ----------
    metric_name : str
        Name of the metric, ``cpu_usage_percent`` for instance.
    labels : mapping of str to str
        Labels; kept sorted by label name, so that equal sets are equal keys.

    Examples
    --------
    >>> key = SeriesKey("cpu_user", {"host": "system-2", "environment": "test"})
    >>> print(key)
    cpu_user{environment="test",host="system-2"}
    """

    metric_name: str
    labels: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", MappingProxyType(dict(sorted(self.labels.items()))))

    def __hash__(self) -> int:
        return hash((self.metric_name, tuple(self.labels.items())))

    def __str__(self) -> str:
        return self.metric_name + "{" + ",".join(f'{name}="{value}"' for name, value in self.labels.items()) + "}"

    def __reduce__(self) -> tuple[Any, ...]:
        return SeriesKey, (self.metric_name, dict(self.labels))


class Series(NamedTuple):
    """One series of a data set: its key and views of its samples."""

    key: SeriesKey
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[Any]

    def digest(self) -> bytes:
        """Return XXH3-128 of name, labels, timestamps and the bits of the values; of their dtype, if not float64."""
        kind = () if self.values.dtype == DOUBLE else (self.values.dtype.name,)
        head = repr((self.key.metric_name, list(self.key.labels.items()), len(self.timestamps), *kind))
        digest = xxhash.xxh3_128(head.encode("utf-8", "surrogatepass"))
        for array in (self.timestamps, self.values):
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
        return digest.digest()


def to_words(values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the bits of values as 64-bit words, those of float32 filled up with zeros.

    Examples
    --------
    >>> to_words(np.array([1.0], np.float32)).tolist() == [0x3F800000]
    True
    """
    return values.view(np.uint32).astype(WORD) if values.dtype == np.float32 else values.view(WORD)


def to_doubles(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return values as float64: exact but for integers beyond 2^53, and signalling NaNs, which become quiet.

    Examples
    --------
    >>> to_doubles(np.array([2**53 + 1]))
    array([9.00719925e+15])
    """
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(values, DOUBLE)


def from_words(words: npt.NDArray[np.uint64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values that `to_words` made words of."""
    return words.astype(np.uint32).view(dtype) if dtype == np.float32 else words.view(dtype)


def combine_digests(digests: Iterable[bytes]) -> str:
    """Return the fingerprint of the data set whose series have these digests, in their order."""
    return xxhash.xxh3_128_hexdigest(b"".join(digests))


@dataclass(frozen=True, eq=False)
class MetricDataset:
    """A set of series, their samples laid one series after another.

    Parameters
    ----------
    keys : sequence of SeriesKey
        One a series; no two alike.
    offsets : int64[series + 1]
        ``offsets[i]:offsets[i + 1]`` are the samples of series ``i``.
    timestamps : int64[samples]
        Unix time; or datetime64, whose unit is then the time unit.
    values : float64[samples], int64[samples], float32[samples] or uint64[samples]
        The readings. Where series are of several dtypes, their bits, as `to_words` makes them.
    time_unit : {"s", "ms", "us", "ns"}
        What timestamps count: seconds, but for data that need a finer unit. It is no part of the fingerprint.
    dtypes : sequence of numpy.dtype, optional
        Of the values of each series: float64, int64 or float32; that of ``values`` if not given.

    Raises
    ------
    ValueError
        If the parts do not fit each other.

    Notes
    -----
    ``len(dataset)`` is the number of samples; iterating yields a `Series` of views for each series, nothing is copied.
    The arrays are made read-only: a data set does not change.

    Examples
    --------
    >>> key = SeriesKey("up", {"host": "a"})
    >>> dataset = MetricDataset([key], np.array([0, 2]), np.array([100, 115]), np.array([1.0, 0.0]))
    >>> len(dataset), dataset.raw_bytes
    (2, 32)
    >>> next(iter(dataset)).values
    array([1., 0.])
    >>> next(dataset.records())
    {'metric_name': 'up', 'labels': {'host': 'a'}, 'timestamp': 100, 'value': 1.0}
    """

    keys: Sequence[SeriesKey]
    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[Any]
    time_unit: str = "s"
    dtypes: Sequence[np.dtype[Any]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(self.keys))
        if np.asarray(self.timestamps).dtype.kind == "M":
            numbers, unit = from_dates(np.asarray(self.timestamps))
            object.__setattr__(self, "timestamps", numbers)
            object.__setattr__(self, "time_unit", unit)
        if self.time_unit not in UNITS_PER_SECOND:
            raise ValueError(f"unknown time unit {self.time_unit!r}: choose one of {', '.join(TIME_UNITS)}")
        whole = (np.dtype(np.int64),)
        for name, dtypes in (("offsets", whole), ("timestamps", whole), ("values", self._fitting_dtypes())):
            given = np.asarray(getattr(self, name))
            dtype = given.dtype.newbyteorder("=")
            if given.ndim != 1 or dtype not in dtypes:
                wanted = " or ".join(map(str, dtypes))
                raise ValueError(f"{name} must be one-dimensional {wanted}, not {given.dtype}{given.shape}")
            array = np.ascontiguousarray(given, dtype=dtype).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        self._settle_dtypes()
        if len(self.offsets) != len(self.keys) + 1 or self.offsets[0] != 0 or np.any(np.diff(self.offsets) < 0):
            raise ValueError("offsets must hold one more entry than keys, begin with 0 and never fall")
        if not self.offsets[-1] == len(self.timestamps) == len(self.values):
            raise ValueError("timestamps and values must be as long as the last offset says")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("no two series may share a metric name and labels")

    def _fitting_dtypes(self) -> tuple[np.dtype[Any], ...]:
        """Return which dtypes all values may have: what the series say, or words that stand for it."""
        if self.dtypes is None:
            return VALUE_DTYPES
        kinds = set(self.dtypes)
        if len(self.dtypes) != len(self.keys) or not kinds <= set(VALUE_DTYPES):
            raise ValueError("dtypes must have float64, int64 or float32 for each series")
        return (WORD,) if len(kinds) > 1 else (*(kinds or VALUE_DTYPES), WORD)

    def _settle_dtypes(self) -> None:
        """Let every series have a dtype, and values of one dtype be of it."""
        dtypes = (self.values.dtype,) * len(self.keys) if self.dtypes is None else tuple(self.dtypes)
        object.__setattr__(self, "dtypes", dtypes)
        if self.values.dtype == WORD and len(set(dtypes)) < 2:
            values = from_words(self.values, (*dtypes, DOUBLE)[0])
            values.flags.writeable = False
            object.__setattr__(self, "values", values)

    @cached_property
    def value_dtypes(self) -> tuple[np.dtype[Any], ...]:
        """The dtypes that values have, each once, float64 first."""
        held = set(self.dtypes or ()) or {self.values.dtype}
        return tuple(dtype for dtype in VALUE_DTYPES if dtype in held)

    @cached_property
    def sample_bytes(self) -> npt.NDArray[np.int64]:
        """Raw bytes of a sample of each series: 16, but 12 of float32."""
        return np.array([TIMESTAMP_BYTES + dtype.itemsize for dtype in self.dtypes or ()], np.int64)

    def as_doubles(self) -> MetricDataset:
        """Return the data set with all values as float64: integers beyond 2^53 become the nearest ones.

        Examples
        --------
        >>> dataset = MetricDataset([SeriesKey("up", {})], np.array([0, 1]), np.array([100]), np.array([2**60 + 1]))
        >>> dataset.as_doubles().values == 2.0**60
        array([ True])
        """
        if self.value_dtypes == (DOUBLE,):
            return self
        values = [to_doubles(one.values) for one in self]
        joined = np.concatenate([np.empty(0), *values])
        return MetricDataset(self.keys, self.offsets, self.timestamps, joined, self.time_unit)

    @property
    def second(self) -> int:
        """How many of its time unit make a second.

        Examples
        --------
        >>> MetricDataset.from_series([], time_unit="ms").second
        1000
        """
        return UNITS_PER_SECOND[self.time_unit]

    @classmethod
    def from_series(cls, series: Sequence[Series], *, time_unit: str = "s") -> MetricDataset:
        """Join series into a data set.

        Parameters
        ----------
        series : sequence of Series
            In the order they shall have.
        time_unit : {"s", "ms", "us", "ns"}
            What their timestamps count.
        """
        lengths = [len(one.timestamps) for one in series]
        dtypes = [one.values.dtype.newbyteorder("=") for one in series]
        mixed = len(set(dtypes)) > 1
        values = [to_words(np.ascontiguousarray(one.values)) if mixed else one.values for one in series]
        return cls(
            [one.key for one in series],
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            np.concatenate([one.timestamps for one in series]) if series else np.empty(0, np.int64),
            np.concatenate(values) if series else np.empty(0, np.float64),
            time_unit,
            dtypes if mixed else None,
        )

    def __len__(self) -> int:
        return len(self.timestamps)

    def __iter__(self) -> Iterator[Series]:
        return map(self.series, range(len(self.keys)))

    def series(self, number: int) -> Series:
        """Return one series: views of its samples, but for float32 among other dtypes."""
        span = slice(self.offsets[number], self.offsets[number + 1])
        values = self.values[span]
        if values.dtype == WORD and self.dtypes:
            values = from_words(values, self.dtypes[number])
        return Series(self.keys[number], self.timestamps[span], values)

    def part(self, first: int, stop: int) -> MetricDataset:
        """Return the series from one number up to, and without, another, as views: nothing is copied."""
        offsets = self.offsets[first : stop + 1]
        span = slice(int(offsets[0]), int(offsets[-1]))
        return MetricDataset(
            self.keys[first:stop],
            offsets - offsets[0],
            self.timestamps[span],
            self.values[span],
            self.time_unit,
            (self.dtypes or ())[first:stop],
        )

    def __repr__(self) -> str:
        return f"<MetricDataset: {len(self.keys):,} series, {len(self):,} samples>"

    @property
    def raw_bytes(self) -> int:
        """Bytes of all samples at 16 bytes each, 12 where values are float32: the raw baseline."""
        return int(np.diff(self.offsets) @ self.sample_bytes)

    @cached_property
    def fingerprint(self) -> str:
        """XXH3-128 of the digests of all series, in hex: equal for data sets that are equal bit for bit and dtype."""
        return combine_digests(series.digest() for series in self)

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> MetricDataset:
        """Return a data set of the series at these positions, in this order (samples are copied)."""
        every = list(self)
        return MetricDataset.from_series([every[i] for i in indices], time_unit=self.time_unit)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield every sample as a dict of ``metric_name``, ``labels``, ``timestamp`` and ``value``."""
        for key, timestamps, values in self:
            labels = dict(key.labels)
            for timestamp, value in zip(timestamps.tolist(), values.tolist(), strict=True):
                yield {"metric_name": key.metric_name, "labels": labels, "timestamp": timestamp, "value": value}

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame, a row a sample.

        Returns
        -------
        pandas.DataFrame
            Columns ``metric_name`` and one for each label name (categorical, missing where a series lacks the label),
            ``timestamp`` (int64, as they are) and ``value`` (of the values' dtype; NumPy's numbers where series have
            several). A label whose name is taken by one of these columns is called ``label_<name>``.
        """
        import pandas as pd

        rows = np.diff(self.offsets)

        def column(entries: list[str | None]) -> Any:
            codes, categories = pd.factorize(np.array(entries, dtype=object))
            return pd.Categorical.from_codes(np.repeat(codes, rows), categories=pd.Index(categories))

        columns: dict[str, Any] = {"metric_name": column([key.metric_name for key in self.keys])}
        for name in sorted({name for key in self.keys for name in key.labels}):
            title = f"label_{name}" if name in ("metric_name", "timestamp", "value") else name
            columns[title] = column([key.labels.get(name) for key in self.keys])
        values = self.values
        if values.dtype == WORD:
            # NumPy's own numbers: Python has no float32.
            values = np.empty(len(self), object)
            values[:] = [cell for one in self for cell in one.values]
        frame = pd.DataFrame(columns | {"timestamp": self.timestamps, "value": values})
        frame.attrs["time_unit"] = self.time_unit
        return frame

    @classmethod
    def from_frame(cls, frame: Any, *, time_unit: str | None = None) -> MetricDataset:
        """Make a data set of a frame: the inverse of `to_frame`, for frames of any origin.

        Parameters
        ----------
        frame : pandas.DataFrame
            Or what becomes one with ``to_pandas``: of Polars or Arrow. Long, with a column ``metric_name`` (or
            ``metric``, ``name``), a column ``value`` and a label in each other column; or wide, with a metric in each
            column of numbers and a label in each column of text. The time is a column called ``timestamp`` or ``time``,
            one of dates, or the index.
        time_unit : {"s", "ms", "us", "ns"}, optional
            What times that are numbers count: told by their size if not given, or by the frame that `to_frame` made.

        Returns
        -------
        MetricDataset
            Each series in the order of time. Dates are kept in the coarsest unit that holds them all, in UTC. Integers
            are kept as int64, float32 as it is, all else as float64. A missing value in a wide frame is no sample; in
            a long one NaN is a value.

        Raises
        ------
        TypeError
            If it is no frame.
        InvalidRequestError
            If it has no times, or no numbers.

        Examples
        --------
        >>> import pandas as pd
        >>> index = pd.date_range("2024-01-01", periods=3, freq="15s")
        >>> MetricDataset.from_frame(pd.DataFrame({"cpu": [1.0, 2.0, None], "up": 1}, index=index))
        <MetricDataset: 2 series, 5 samples>
        >>> from squeezelab import generate_metric_data
        >>> dataset = generate_metric_data()
        >>> MetricDataset.from_frame(dataset.to_frame()).fingerprint == dataset.fingerprint
        True
        """
        from squeezelab.frames import split_frame

        parts, unit = split_frame(frame, time_unit)
        series = [Series(SeriesKey(name, labels), timestamps, values) for name, labels, timestamps, values in parts]
        return cls.from_series(series, time_unit=unit)
