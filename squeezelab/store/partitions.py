"""A data set as partitions: runs of whole series, a Parquet file each, in a folder at any fsspec path.

::

    part-00000.parquet    a row a sample: series (its number within the file), timestamp (Unix seconds), value; names
                          and labels of the series as JSON under ``squeezelab.series`` in the schema's metadata
    _dataset.json         what the data set is, and the digests of all series; written when all partitions are

Every bit is kept, NaN payloads and -0.0 included. What is read is checked against the digests: a file that is cut,
altered or of another data set is rejected.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from squeezelab.dataset import MetricDataset, SeriesKey, combine_digests
from squeezelab.errors import CorruptDataError, DataSourceError, InvalidRequestError
from squeezelab.store.files import replacing

logger = logging.getLogger(__name__)

LAYOUT = 1
"""Goes up whenever what a store holds changes."""

MANIFEST = "_dataset.json"
PARTITION = "part-{:05d}.parquet"
SERIES = b"squeezelab.series"


def cut(lengths: npt.NDArray[np.int64], samples: int, fewest: int = 1) -> list[range]:
    """Return the series of each partition: runs of about so many samples.

    Parameters
    ----------
    lengths : int64[series]
        Samples of each series.
    samples : int
        About how many a partition shall have; no series is cut in two.
    fewest : int
        Make partitions smaller rather than have fewer than this, as far as there are series.

    Examples
    --------
    >>> cut(np.array([40, 40, 40, 200, 40]), 100)
    [range(0, 3), range(3, 4), range(4, 5)]
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    count = max(fewest, -(-total // samples))
    steps = [total * i // count for i in range(1, count)]
    cuts = np.unique([0, *(np.searchsorted(ends, steps) + 1), len(lengths)]).tolist()
    return [range(first, stop) for first, stop in pairwise(cuts)]


@dataclass(frozen=True)
class PartitionStore:
    """A folder of partitions.

    Parameters
    ----------
    url : str
        A local folder, or any URL that fsspec knows: ``s3://bucket/folder``, ``memory://folder``.

    Raises
    ------
    InvalidRequestError
        If fsspec does not know such a place.

    Notes
    -----
    A partition appears whole or not at all on local disks and on object stores; elsewhere, one that was cut short is
    found out by its digests.

    Examples
    --------
    >>> from squeezelab import generate_metric_data
    >>> store, dataset = PartitionStore("memory://example"), generate_metric_data("synthetic", "small")
    >>> store.write(0, dataset)
    >>> store.read(0, [series.digest() for series in dataset])
    <MetricDataset: 50 series, 50,000 samples>
    """

    url: str

    def __post_init__(self) -> None:
        # Workers may run in other folders. os.path leaves a tilde that is nobody's home alone; pathlib raises there.
        if "://" not in self.url:
            object.__setattr__(self, "url", os.path.abspath(os.path.expanduser(self.url)))  # noqa: PTH100, PTH111
        self._open()

    def _open(self) -> tuple[Any, str]:
        """Return the file system, and the folder's path on it."""
        # Here and below: file systems fail in every way there is, and not all of them with an OSError.
        try:
            from fsspec.core import url_to_fs

            file_system, folder = url_to_fs(self.url)
        except Exception as error:
            raise InvalidRequestError(f"{self.url} is no place for partitions: {error}") from error
        return file_system, folder.rstrip("/")

    def begin(self) -> None:
        """Make the folder, and clear it of the partitions of another data set.

        Raises
        ------
        DataSourceError
            If it cannot be written.
        """
        file_system, folder = self._open()
        ours = re.compile(re.escape(MANIFEST) + r"|part-\d{5}\.parquet")
        try:
            file_system.makedirs(folder, exist_ok=True)
            for path in file_system.find(folder, maxdepth=1):
                if ours.fullmatch(path.rpartition("/")[2]):
                    with suppress(FileNotFoundError):  # another run may clear it as well
                        file_system.rm_file(path)
        except Exception as error:
            raise self._refusal(error) from error

    def write(self, number: int, dataset: MetricDataset) -> None:
        """Write a partition.

        Raises
        ------
        DataSourceError
            If that cannot be done.
        """
        series = np.repeat(np.arange(len(dataset.keys), dtype=np.int32), np.diff(dataset.offsets))
        table = pa.table({"series": series, "timestamp": dataset.timestamps, "value": dataset.values})
        keys = json.dumps([[key.metric_name, dict(key.labels)] for key in dataset.keys])
        buffer = pa.BufferOutputStream()
        parquet.write_table(
            table.replace_schema_metadata({SERIES: keys}),
            buffer,
            row_group_size=max(1, len(dataset)),
            compression="zstd",
            use_dictionary=["series"],
            column_encoding={"timestamp": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
        )
        self._put(PARTITION.format(number), buffer.getvalue().to_pybytes())

    def read(self, number: int, digests: Sequence[bytes]) -> MetricDataset:
        """Read a partition, and check that its series have these digests.

        Raises
        ------
        CorruptDataError
            If it is missing, cannot be read, or holds something else.
        """
        file_system, folder = self._open()
        path = f"{folder}/{PARTITION.format(number)}"
        try:
            dataset = _parse(file_system.cat_file(path))
        except FileNotFoundError as error:
            raise CorruptDataError(f"{path} is missing") from error
        except Exception as error:
            raise CorruptDataError(f"{path} is damaged ({error})") from error
        if [series.digest() for series in dataset] != list(digests):
            raise CorruptDataError(f"{path} was altered, or belongs to another data set")
        return dataset

    def finish(
        self,
        described: dict[str, Any],
        parts: Sequence[range],
        lengths: npt.NDArray[np.int64],
        digests: Sequence[bytes],
    ) -> None:
        """Write down what the partitions are, now that all of them are there.

        Parameters
        ----------
        described : dict
            What the data set is; JSON.
        parts : sequence of range
            The series of each partition.
        lengths : int64[series]
            Samples of each series.
        digests : sequence of bytes
            Those of all series.

        Raises
        ------
        DataSourceError
            If that cannot be done.
        """
        manifest = described | {
            "layout": LAYOUT,
            "fingerprint": combine_digests(digests),
            "partitions": [
                {
                    "file": PARTITION.format(number),
                    "series": [part.start, part.stop],
                    "samples": int(lengths[part.start : part.stop].sum()),
                    "digests": [digest.hex() for digest in digests[part.start : part.stop]],
                }
                for number, part in enumerate(parts)
            ],
        }
        self._put(MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")

    def find(self, described: dict[str, Any], parts: Sequence[range]) -> list[bytes] | None:
        """Return the digests of all series, none unless the store holds this data set in these partitions.

        That it holds another one, or is damaged, is told through logging.
        """
        file_system, folder = self._open()
        try:
            manifest = json.loads(file_system.cat_file(f"{folder}/{MANIFEST}"))
            found = {name: manifest[name] for name in (*described, "layout")}
            spans = [range(*one["series"]) for one in manifest["partitions"]]
            digests = [bytes.fromhex(digest) for one in manifest["partitions"] for digest in one["digests"]]
            altered = manifest["fingerprint"] != combine_digests(digests)
        except FileNotFoundError:
            return None
        except Exception as error:
            logger.warning("The manifest of %s is damaged (%s): making the partitions anew.", self.url, error)
            return None
        if found != described | {"layout": LAYOUT} or spans != list(parts):
            logger.info("%s holds another data set: making the partitions anew.", self.url)
            return None
        if altered:
            logger.warning("The manifest of %s was altered: making the partitions anew.", self.url)
            return None
        return digests

    def _put(self, name: str, content: bytes) -> None:
        file_system, folder = self._open()
        try:
            if "file" in file_system.protocol:
                with replacing(f"{folder}/{name}") as file:
                    file.write(content)
            else:
                file_system.pipe_file(f"{folder}/{name}", content)
        except Exception as error:
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> DataSourceError:
        return DataSourceError(f"cannot write partitions to {self.url} ({error}): name another place with --store")


def _parse(content: bytes) -> MetricDataset:
    table = parquet.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    keys = [SeriesKey(name, labels) for name, labels in json.loads(table.schema.metadata[SERIES])]
    # Numbers beyond the last series, which only damage can bring, make the offsets one too many.
    lengths = np.bincount(np.minimum(table.column("series").to_numpy(), len(keys)), minlength=len(keys))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return MetricDataset(keys, offsets, table.column("timestamp").to_numpy(), table.column("value").to_numpy())
