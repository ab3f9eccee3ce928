"""Settings that all tests share."""

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from squeezelab import MetricDataset, generate_metric_data
from squeezelab.cli import main

# The first example of a property may compile a kernel.
settings.register_profile("lab", deadline=None, max_examples=60, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lab")

PROJECT = Path(__file__).parents[1]
Run = Callable[..., str]


def pytest_addoption(parser: pytest.Parser) -> None:
    seconds = float(os.environ.get("FUZZ_SECONDS", 5))
    seed = 0 if os.environ.get("CI") else random.randrange(2**32)
    parser.addoption("--fuzz-seconds", type=float, default=seconds, help="time that all fuzzing takes; or FUZZ_SECONDS")
    parser.addoption("--fuzz-seed", type=int, default=seed, help="what the damage is drawn from, to have it once more")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "bounds: run once more where NUMBA_BOUNDSCHECK=1 lets kernels check every index")


def pytest_report_header(config: pytest.Config) -> str:
    return f"fuzz: {config.option.fuzz_seconds:g} seconds, --fuzz-seed {config.option.fuzz_seed}"


@pytest.fixture(scope="session")
def small() -> MetricDataset:
    return generate_metric_data("synthetic", "small")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line, and return what it prints; it must end with the code that is asked for."""

    def run(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["squeezelab", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert caught.value.code == code, captured.err
        return captured.out + captured.err * bool(code)

    return run
