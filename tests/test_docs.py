"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import squeezelab
import squeezelab.codecs
import squeezelab.formats
import squeezelab.generators
import squeezelab.readers

PACKAGES = (squeezelab, squeezelab.codecs, squeezelab.formats, squeezelab.generators, squeezelab.readers)
MODULES = sorted(
    {package.__name__ for package in PACKAGES}
    | {found.name for package in PACKAGES for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")}
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert not failed
    assert module.__doc__, "a module says in its first line why it exists"
