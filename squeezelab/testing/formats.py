"""What every format promises, checked."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from squeezelab.codecs._frame import FLOAT64, INT64
from squeezelab.dataset import MetricDataset, Series, SeriesKey
from squeezelab.errors import InvalidRequestError
from squeezelab.formats import Format
from squeezelab.testing.edges import edge_datasets, tame, typed_datasets
from squeezelab.testing.promises import check_damage, expected_error, promise, same_bits


def check_format(format: Format) -> None:
    """Check that a format keeps its promises.

    Every data set comes back bit for bit, the order of its series and samples included, from bytes and from a file; the
    same data set gives the same bytes; damage is rejected, or makes no difference; so are values of other dtypes than
    its `dtypes`. What a format does not claim, by its attributes `checked`, `repeatable`, `holds_empty_series` and
    `lossy`, is not asked of it: without a checksum damage has to end in data or in CorruptDataError; a lossy one keeps
    the series, and what was decoded once stays as it is.

    Parameters
    ----------
    format : Format

    Raises
    ------
    AssertionError
        If a promise does not hold: which one, and on which input.

    Examples
    --------
    >>> from squeezelab.formats import get_format
    >>> check_format(get_format("columnar"))
    """
    for name, dataset in edge_datasets(format.holds_empty_series):
        _check_file(format, f"{format.name} file of {name}", dataset)
    for name, dataset in typed_datasets(format.holds_empty_series):
        if format.takes(dataset):
            _check_file(format, f"{format.name} file of {name}", dataset)
        else:
            _check_rejection(format, dataset, name)
    few = [_series_of(5, {"host": "a"}), _series_of(1, {})]
    dataset = MetricDataset.from_series(few)
    _check_path(format, dataset)
    whole = format.encode(dataset)
    expected = format.decode(whole)
    check_damage(
        whole,
        lambda damaged: _same_dataset(format.decode(damaged), expected),
        expected_error(format, Format),
        f"{format.name} file of two series",
        must=format.checked,
    )


def _series_of(length: int, labels: dict[str, str]) -> Series:
    return Series(SeriesKey("up", labels), tame(INT64, length), tame(FLOAT64, length))


def _same_dataset(a: MetricDataset, b: MetricDataset) -> bool:
    return (
        list(a.keys) == list(b.keys)
        and a.dtypes == b.dtypes
        and np.array_equal(a.offsets, b.offsets)
        and same_bits(a.timestamps, b.timestamps)
        and same_bits(a.values, b.values)
    )


def _check_rejection(format: Format, dataset: MetricDataset, name: str) -> None:
    """Check that what a format does not take is rejected, not turned into something else."""
    try:
        format.encode(dataset)
    except InvalidRequestError:
        return
    raise AssertionError(f"values of other dtypes than it names are rejected: broken on {format.name} file of {name}")


def _check_file(format: Format, on: str, dataset: MetricDataset) -> None:
    try:
        whole = format.encode(dataset)
        decoded = format.decode(whole)
    except Exception as error:
        raise AssertionError(f"every data set can be written and read: broken on {on}: {error!r}") from error
    promise(isinstance(whole, bytes), "a file is bytes", on)
    promise(not format.repeatable or format.encode(dataset) == whole, "the same data set gives the same bytes", on)
    chunks = b"".join(bytes(chunk) for chunk in format.chunks(dataset))
    promise(not format.repeatable or chunks == whole, "chunks make up the file", on)
    for kind in (bytearray, memoryview):
        promise(_same_dataset(format.decode(kind(whole)), decoded), f"a file is read from a {kind.__name__}", on)
    if format.lossy:
        promise(list(decoded.keys) == list(dataset.keys), "series come back", on)
        again = format.decode(format.encode(decoded))
        promise(_same_dataset(again, decoded), "what was decoded once stays as it is", on)
        promise(format.loss(decoded, decoded).largest == 0, "what was decoded once loses nothing more", on)
    else:
        promise(_same_dataset(decoded, dataset), "every data set comes back bit for bit", on)


def _check_path(format: Format, dataset: MetricDataset) -> None:
    """Check files on disk: whole, and nothing else beside them."""
    whole = format.encode(dataset)
    on = f"{format.name} file of two series"
    with TemporaryDirectory() as folder:
        path = Path(folder, "new", "data")
        size = format.write(dataset, path)
        if path.is_dir():
            files = [one.stat().st_size for one in path.rglob("*") if one.is_file()]
            promise(size == sum(files), "a folder has the size", on)
            promise(size == format.stored_bytes(whole) or not format.repeatable, "a folder counts as its files", on)
        else:
            written = path.read_bytes()
            same = written == whole or not format.repeatable
            promise(same and size == len(written), "a file on disk has the bytes and the size", on)
        promise([one.name for one in path.parent.iterdir()] == ["data"], "nothing lies beside the file", on)
        promise(_same_dataset(format.read(path), format.decode(whole)), "a file on disk is read", on)
