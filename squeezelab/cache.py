"""The cache of the last data set: output/raw_dataset.pkl, and output/dataset_cache.txt that says what it is.

Reading it runs no code: the unpickler lets through arrays and plain types and nothing else. A cache that is of another
data set, cut, altered or foreign is made anew.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.files import replacing
from squeezelab.generators import find_source, generate_metric_data

logger = logging.getLogger(__name__)

DATASET_FILE = "raw_dataset.pkl"
DESCRIPTION_FILE = "dataset_cache.txt"
LOCK_FILE = ".dataset_cache.lock"
LAYOUT = "1"
"""Goes up whenever what the pickle holds changes."""

# Everything that pickles of NumPy arrays refer to, in NumPy 1 and 2; no name here can be made to run code.
_ALLOWED = {
    (module, name)
    for module, name in (
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.numeric", "_frombuffer"),
    )
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")
        return super().find_class(module, name)


def cache_key(data_generator: str, dataset_size: str) -> str:
    """Return the MD5 of ``{dataset_size}-{data_generator}``, in hex.

    Examples
    --------
    >>> cache_key("synthetic", "small")
    '53127b7db6cab029c0f302ee7b942247'
    """
    return hashlib.md5(f"{dataset_size}-{data_generator}".encode(), usedforsecurity=False).hexdigest()


def load_or_generate(
    data_generator: str, dataset_size: str, *, seed: int = 0, folder: str | Path = "output"
) -> tuple[MetricDataset, dict[str, str]]:
    """Return a data set from the cache, or make it and keep it there.

    Parameters
    ----------
    data_generator, dataset_size, seed
        As `generate_metric_data` takes them.
    folder : path-like
        Where the cache is; one data set is kept.

    Returns
    -------
    MetricDataset
    dict of str to str
        Its provenance: versions and commits that decide its content besides the other parameters.

    Notes
    -----
    A lock is held while the cache is read or written, not while data are made: two runs do not spoil each other. A
    folder that cannot be written costs the cache, not the run.
    """
    provenance = find_source(data_generator).provenance()
    wanted = {
        "key": cache_key(data_generator, dataset_size),
        "dataset": f"{dataset_size}-{data_generator}",
        "seed": str(seed),
        "layout": LAYOUT,
        **provenance,
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK_FILE):
            dataset = _load(folder, wanted)
    except OSError as error:
        logger.warning("The cache in %s cannot be read (%s): going on without it.", folder, error)
        dataset = None
    if dataset is None:
        dataset = generate_metric_data(data_generator, dataset_size, seed=seed)
        try:
            with FileLock(folder / LOCK_FILE):
                _store(folder, wanted, dataset)
        except OSError as error:
            logger.warning("The data set cannot be cached in %s (%s): going on without.", folder, error)
    return dataset, provenance


def _load(folder: Path, wanted: dict[str, str]) -> MetricDataset | None:
    """Return the cached data set if it is the wanted one, whole and unaltered."""
    description, pickled = folder / DESCRIPTION_FILE, folder / DATASET_FILE
    if not description.exists() or not pickled.exists():
        return None
    found = dict(line.split(": ", 1) for line in description.read_text(errors="replace").splitlines() if ": " in line)
    fingerprint = found.pop("fingerprint", "")
    if found != wanted:
        return None
    try:
        with pickled.open("rb") as file:
            dataset = _from_plain(_ArraysOnly(file).load())
    # Damaged pickles fail in every way there is; whatever they raise, the data set is made anew.
    except Exception as error:
        logger.warning("The cached data set in %s is damaged (%s): making it anew.", pickled, error)
        return None
    if dataset.fingerprint != fingerprint:
        logger.warning("The cached data set in %s was altered: making it anew.", pickled)
        return None
    return dataset


def _store(folder: Path, described: dict[str, str], dataset: MetricDataset) -> None:
    description = described | {"fingerprint": dataset.fingerprint}
    with replacing(folder / DATASET_FILE) as file:
        pickle.dump(_to_plain(dataset), file, protocol=5)
    with replacing(folder / DESCRIPTION_FILE) as file:
        file.write("".join(f"{name}: {value}\n" for name, value in description.items()).encode())


def _to_plain(dataset: MetricDataset) -> dict[str, Any]:
    return {
        "keys": [(key.metric_name, dict(key.labels)) for key in dataset.keys],
        "offsets": dataset.offsets,
        "timestamps": dataset.timestamps,
        "values": dataset.values,
    }


def _from_plain(content: Any) -> MetricDataset:
    arrays = {name: content[name] for name in ("offsets", "timestamps", "values")}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError("it holds no arrays")
    return MetricDataset([SeriesKey(name, labels) for name, labels in content["keys"]], **arrays)
