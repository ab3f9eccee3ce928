"""Engines are found by themselves, those of other packages by entry point, and made from what a user types."""

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from squeezelab import engines, registry
from squeezelab.engines import available_engines, engine_classes, get_engine, missing_engines, showcase_engines
from squeezelab.errors import InvalidRequestError
from toy_engine import Toy


def test_every_engine_says_what_it_is() -> None:
    for name, one in engine_classes().items():
        assert one.name == name
        assert one.title
        assert one.how_to_get()
        assert one.samples_a_second > 0
    assert {*available_engines(), *missing_engines()} == set(engine_classes())
    assert "sqlite" in available_engines()


def test_what_all_runs_can_be_made() -> None:
    for spec in showcase_engines():
        assert get_engine(spec).name == spec


def test_an_unknown_engine_is_rejected_by_the_names_there_are() -> None:
    with pytest.raises(InvalidRequestError, match=r"unknown engine 'nothing': choose from .*sqlite"):
        get_engine("nothing")


def test_an_unknown_setting_is_rejected() -> None:
    with pytest.raises(InvalidRequestError, match="engine 'sqlite' has no parameter 'page=4'"):
        get_engine("sqlite:page=4")


def test_an_engine_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[Any]:
        return [EntryPoint("toy", "toy_engine:Toy", group)] if group == "squeezelab.engines" else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    engines._registry.cache_clear()
    try:
        assert "toy" in available_engines()
        assert isinstance(get_engine("toy:fails=rejects"), Toy)
    finally:
        engines._registry.cache_clear()
