"""Asking for data by name."""

import pytest

from squeezelab import generate_metric_data
from squeezelab.errors import InvalidRequestError


def test_defaults_are_synthetic_and_small(small) -> None:
    assert generate_metric_data().fingerprint == small.fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("westermo", "small"), "unknown generator 'westermo': choose one of synthetic, random, real, documents"),
        (("", "small"), "unknown generator ''"),
        (("synthetic", "tiny"), "unknown size 'tiny': choose one of small, big, huge"),
    ],
)
def test_unknown_names_are_rejected_with_those_there_are(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        generate_metric_data(*arguments)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_rejected(seed: int) -> None:
    with pytest.raises(InvalidRequestError, match="seed"):
        generate_metric_data(seed=seed)


def test_the_largest_seed_works() -> None:
    assert len(generate_metric_data(seed=2**64 - 1)) == 50_000
