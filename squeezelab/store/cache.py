"""The cache of the last data set: output/raw_dataset.pkl, and output/dataset_cache.txt that says what it is.

Reading it runs no code: the file is a pickle, of texts and bytes alone, but it is read code by code and never run. (An
Unpickler whose `find_class` rejects everything still runs what nests and repeats, by which a small file asks for all
memory.) A cache that is of another data set, cut, altered or foreign is made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import pickletools
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from squeezelab.console import working
from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.store.files import locked, replacing

logger = logging.getLogger(__name__)

DATASET_FILE = "raw_dataset.pkl"
DESCRIPTION_FILE = "dataset_cache.txt"
LOCK_FILE = ".dataset_cache.lock"
LAYOUT = "3"
"""Goes up whenever what the pickle holds changes."""

_ARRAYS: dict[str, Any] = {"offsets": np.int64, "timestamps": np.int64, "values": np.float64}


# What a pickled dict of texts and bytes consists of. Nothing that calls, nests or refers back is among it.
_KEY_CODES = {"SHORT_BINUNICODE"}
_VALUE_CODES = {"BINBYTES8", "BINBYTES", "SHORT_BINBYTES"}
_FRAME_CODES = {"PROTO", "FRAME", "EMPTY_DICT", "MEMOIZE", "MARK", "SETITEM", "SETITEMS", "STOP"}
_MOST_CODES = 40


def cache_key(dataset: str) -> str:
    """Return the MD5 of ``{dataset_size}-{data_generator}``, in hex.

    Examples
    --------
    >>> cache_key("small-synthetic")
    '53127b7db6cab029c0f302ee7b942247'
    """
    return hashlib.md5(dataset.encode(), usedforsecurity=False).hexdigest()


def load_or_make(
    dataset: str, decided: dict[str, str], make: Callable[[], MetricDataset], folder: str | Path
) -> MetricDataset:
    """Return a data set from the cache, or make it and keep it there.

    Parameters
    ----------
    dataset : str
        Its size and generator, as ``small-synthetic``.
    decided : dict of str to str
        What besides decides its content: seed, versions, commits.
    make : callable
        Makes it.
    folder : path-like
        Where the cache is; one data set is kept.

    Notes
    -----
    A lock is held while the cache is read or written, not while data are made: two runs do not spoil each other. A
    folder that cannot be written costs the cache, not the run.
    """
    wanted = {"key": cache_key(dataset), "dataset": dataset, "layout": LAYOUT, **decided}
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK_FILE), working("Reading the cached data set"):
            found = _load(folder, wanted)
    except OSError as error:
        logger.warning("The cache in %s cannot be read (%s): going on without it.", folder, error)
        found = None
    if found is not None:
        return found
    made = make()
    try:
        with locked(folder / LOCK_FILE), working("Keeping the data set"):
            _store(folder, wanted, made)
    except OSError as error:
        logger.warning("The data set cannot be cached in %s (%s): going on without.", folder, error)
    return made


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
            dataset = _from_plain(_read_plain(file))
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
    """Return the data set as a dict of bytes: pickle writes arrays so without copying them."""
    keys = json.dumps([(key.metric_name, dict(key.labels)) for key in dataset.keys]).encode()
    return {"keys": keys, **{name: pickle.PickleBuffer(getattr(dataset, name)) for name in _ARRAYS}}


def _read_plain(file: BinaryIO) -> dict[str, Any]:
    """Read the pickle of a dict of bytes without running it: what pickles can do beyond that is never done."""
    content: dict[str, Any] = {}
    key: Any = ""
    for code, argument, _ in islice(pickletools.genops(file), _MOST_CODES):
        if code.name in _KEY_CODES:
            key = argument
        elif code.name in _VALUE_CODES:
            content[key] = argument
        elif code.name not in _FRAME_CODES:
            raise pickle.UnpicklingError(f"{code.name} has no place in a data set")
    return content


def _from_plain(content: dict[str, Any]) -> MetricDataset:
    keys = []
    for name, labels in json.loads(content["keys"]):
        if {type(text) for text in (name, *labels, *labels.values())} != {str}:
            raise ValueError("a name or label is no text")
        keys.append(SeriesKey(name, labels))
    offsets, timestamps, values = (np.frombuffer(content[name], dtype) for name, dtype in _ARRAYS.items())
    return MetricDataset(keys, offsets, timestamps, values)
