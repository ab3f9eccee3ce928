"""Settings that all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from squeezelab import MetricDataset, generate_metric_data

# The first example of a property may compile a kernel.
settings.register_profile("lab", deadline=None, max_examples=60, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lab")

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def small() -> MetricDataset:
    return generate_metric_data("synthetic", "small")
