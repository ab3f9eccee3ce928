"""Where a run's data come from: a generator, or what an earlier run kept of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from squeezelab.dataset import MetricDataset
from squeezelab.generators import check_request, find_source, generate_metric_data
from squeezelab.store.cache import load_or_make


def load_or_generate(
    data_generator: str, dataset_size: str, *, seed: int = 0, folder: str | Path = "output"
) -> tuple[MetricDataset, dict[str, str]]:
    """Return a data set from the cache, or make it and keep it there.

    Parameters
    ----------
    data_generator, dataset_size, seed
        As `generate_metric_data` takes them.
    folder : path-like
        Where the cache is.

    Returns
    -------
    MetricDataset
    dict of str to str
        Its provenance: versions and commits that decide its content besides the other parameters.
    """
    source = find_source(data_generator)
    check_request(dataset_size, seed)
    provenance = source.provenance()
    make = partial(generate_metric_data, data_generator, dataset_size, seed=seed)
    name = f"{dataset_size}-{data_generator}"
    return load_or_make(name, {"seed": str(seed), **provenance}, make, folder), provenance
