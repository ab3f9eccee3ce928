"""The router from a source's name to the module that makes or loads its data."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from squeezelab.dataset import MetricDataset, SeriesKey
from squeezelab.errors import InvalidRequestError

SOURCES = ("synthetic", "random", "real", "documents")
SIZES = ("small", "big", "huge")
DEFAULT_SOURCE = "synthetic"
DEFAULT_SIZE = "small"


class Source(Protocol):
    """What a module of this package offers: how to make its data, and what decides their content."""

    def generate(self, size: str, seed: int) -> MetricDataset:
        """Make or load the data set of this size."""
        ...

    def provenance(self) -> dict[str, str]:
        """Tell what besides size and seed decides the content: versions, commits."""
        ...


class PartedSource(Source, Protocol):
    """A source whose series do not depend on one another: any run of them can be made anywhere, on its own."""

    def outline(self, size: str) -> tuple[list[SeriesKey], npt.NDArray[np.int64]]:
        """Return the series of this size, and how many samples each of them has."""
        ...

    def generate(
        self, size: str, seed: int, *, series: range | None = None, workers: int | None = None
    ) -> MetricDataset:
        """Make the data set of this size, or these series of it, on so many threads."""
        ...


def find_source(data_generator: str) -> Source:
    """Return the module that makes this source's data.

    Raises
    ------
    InvalidRequestError
        If there is no such source; the message names those there are.
    """
    if data_generator not in SOURCES:
        raise InvalidRequestError(f"unknown generator {data_generator!r}: choose one of {', '.join(SOURCES)}")
    return cast(Source, import_module(f"squeezelab.generators.{data_generator}"))


def check_request(dataset_size: str, seed: int) -> None:
    """Reject a size or seed that there is not.

    Raises
    ------
    InvalidRequestError
        If the size is unknown, or the seed out of range.
    """
    if dataset_size not in SIZES:
        raise InvalidRequestError(f"unknown size {dataset_size!r}: choose one of {', '.join(SIZES)}")
    if not 0 <= seed < 2**64:
        raise InvalidRequestError(f"seed {seed} is out of range: give a number from 0 to 2**64 - 1")


def generate_metric_data(
    data_generator: str = DEFAULT_SOURCE, dataset_size: str = DEFAULT_SIZE, *, seed: int = 0
) -> MetricDataset:
    """Make or load a data set of metrics.

    Parameters
    ----------
    data_generator : {"synthetic", "random", "real", "documents"}
        ``synthetic``: server metrics with the patterns of a real fleet. ``random``: the same series without any
        pattern, the baseline. ``real``: the Westermo test system performance data set. ``documents``: what service
        documents say of latencies, statuses and amounts.
    dataset_size : {"small", "big", "huge"}
        About 50,000 samples, 500,000, or 100 million (``real``: all there is, about 37 million).
    seed : int, optional
        From 0 to 2**64 - 1. The same seed gives the same bits; ``real`` takes no notice of it.

    Returns
    -------
    MetricDataset

    Raises
    ------
    InvalidRequestError
        If source or size is unknown, or the seed out of range.
    DataSourceError
        If ``real`` data can be had neither from a clone on this machine nor from the network.

    Examples
    --------
    >>> generate_metric_data("synthetic", "small")
    <MetricDataset: 50 series, 50,000 samples>
    """
    source = find_source(data_generator)
    check_request(dataset_size, seed)
    return source.generate(dataset_size, seed)
