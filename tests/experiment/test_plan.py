"""Plans: what is asked for is checked once, and nothing is not the same as not given."""

import pytest

from squeezelab.errors import InvalidRequestError
from squeezelab.experiment.plan import DEFAULT_CODECS, DEFAULT_FORMATS, Plan


def test_what_is_not_given_is_the_default_and_none_is_none() -> None:
    assert list(Plan.of().codecs) == list(DEFAULT_CODECS)
    assert list(Plan.of().formats) == list(DEFAULT_FORMATS)
    for none in ("none", [], ["none"], ""):
        assert not Plan.of(none, none).codecs
        assert not Plan.of(none, none).formats


def test_a_budget_of_nothing_times_nothing() -> None:
    assert Plan.of(budget=0).rounds == 0
    assert Plan.of(budget=1).rounds > 0
    assert Plan.of(budget=1, rounds=0).rounds == 0


@pytest.mark.parametrize("wrong", [{"codecs": "x"}, {"formats": "x"}, {"budget": -1}, {"budget": float("nan")}])
def test_mistakes_are_told_at_once(wrong: dict) -> None:
    with pytest.raises(InvalidRequestError):
        Plan.of(**wrong)


def test_what_was_chosen_is_recorded() -> None:
    recorded = Plan.of("xor,zstd:level=3", "none", whole=True, settings={"store": "x"}).recorded
    assert (recorded["codecs"], recorded["formats"], recorded["whole"], recorded["store"]) == (
        ["xor", "zstd"],
        [],
        True,
        "x",
    )
