"""README and docs: every command that they show runs as it stands there, and every example, too."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
QUICK = {"": ["--budget", "0"], "bench": ["--budget", "0"], "advise": ["--budget", "1"]}
"""What is added to commands that measure: what they time would take the most of the time."""
ELSEWHERE = re.compile(r"real|huge|zfpy|Westermo|s3://|tcp://|/var/lib|\[|exports/|NAME")
"""Commands that need a network, another machine, a package of their own, or much time."""


def commands() -> list[str]:
    """Return the commands of all pages, each once."""
    found: dict[str, None] = {}
    for page in PAGES:
        for line in re.findall(r"^    (?:\S+=\S+ )*(python main\.py .+?)(?:  +#.*)?$", page.read_text(), re.MULTILINE):
            found[line] = None
    return [line for line in found if not ELSEWHERE.search(line)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the commands speak of."""
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(1)
    values = np.round(50 + np.cumsum(rng.normal(size=(400, 2)), axis=0), 1)
    rows = [f"{1_700_000_000 + 15 * i},{a},{b}" for i, (a, b) in enumerate(values.tolist())]
    (folder / "metrics.csv").write_text("\n".join(["time,cpu_user,cpu_system", *rows]) + "\n")
    (folder / "more.csv").write_text("time,cpu_user,cpu_system\n1700100000,1.5,2.5\n1700100015,1.6,2.4\n")
    for name in ("before", "small-synthetic"):
        quick = ["--codecs", "xor", "--formats", "columnar", "--budget", "0.1", "--reports", str(folder / name)]
        subprocess.run([sys.executable, PROJECT / "main.py", *quick], cwd=folder, check=True, capture_output=True)
        (folder / "reports").mkdir(exist_ok=True)
        (folder / name / "small-synthetic").rename(folder / "reports" / name)
    packed = ["pack", "metrics.csv", "--to", "metrics.tally"]
    subprocess.run([sys.executable, PROJECT / "main.py", *packed], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("command", commands())
def test_the_command_runs(command: str, workplace: Path, tmp_path: Path) -> None:
    # In a folder of its own: none may need what another one left, as they run in any order, some beside others.
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True)
    words = shlex.split(command)[2:]
    name = words[0] if words and not words[0].startswith("-") else ""
    if name == "documents":
        words += ["--days", "0.01"]
    if name == "" and "--codecs" not in words:
        words += ["--codecs", "xor", "--formats", "columnar"]
    if name == "atlas":
        words += ["--codecs", "xor,zstd"]
    words = ["sqlite" if word == "all" else word for word in words]
    words += [option for option in QUICK.get(name, []) if "--budget" not in words]
    done = subprocess.run(
        [sys.executable, PROJECT / "main.py", *words],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    allowed = (0, 1) if name == "compare" else (0,)  # two runs may differ by chance
    assert done.returncode in allowed, done.stderr


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 8


def test_examples_in_the_readme_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    (tmp_path / "example.py").write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_results_are_described_field_by_field() -> None:
    described = runpy.run_path(str(PROJECT / "docs" / "describe_results.py"))
    assert (PROJECT / "docs" / "results.md").read_text() == described["page"](), "run docs/describe_results.py"
