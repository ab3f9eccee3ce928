"""Draw docs/architecture.svg: the packages of the lab, and which imports which, from the code itself.

python docs/draw_architecture.py
"""

from __future__ import annotations

import ast
from pathlib import Path

from matplotlib.figure import Figure

PROJECT = Path(__file__).parents[1]
PICTURE = PROJECT / "docs" / "architecture.svg"
LEVELS = (
    ("cli",),
    ("api", "documents"),
    ("experiment", "report", "testing"),
    ("formats", "readers", "generators"),
    ("codecs", "results", "store"),
    ("kernels", "dataset"),
)
"""From what is called to what is built on; what has no place here is left out."""


def find_imports() -> set[tuple[str, str]]:
    """Return the pairs of packages of which the first imports the second."""
    names = {name for level in LEVELS for name in level}
    pairs = set()
    for name in names:
        place = PROJECT / name if (PROJECT / name).is_dir() else PROJECT / "squeezelab" / name
        for path in sorted(place.rglob("*.py")) or [place.with_suffix(".py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("squeezelab."):
                    pairs.add((name, str(node.module).split(".")[1]))
    return {(one, other) for one, other in pairs if one != other and other in names}


def draw() -> Figure:
    """Return the picture."""
    places = {
        name: ((i + 1) / (len(level) + 1), 1 - (row + 0.5) / len(LEVELS))
        for row, level in enumerate(LEVELS)
        for i, name in enumerate(level)
    }
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    for source, target in sorted(find_imports()):
        arrow = {"arrowstyle": "->", "color": "#767676", "alpha": 0.6, "shrinkA": 22, "shrinkB": 22}
        axes.annotate("", places[target], places[source], arrowprops=arrow | {"connectionstyle": "arc3,rad=0.06"})
    for name, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#0072b2", "linewidth": 1.5}
        axes.text(x, y, name, ha="center", va="center", fontsize=13, bbox=box)
    return figure


if __name__ == "__main__":
    draw().savefig(PICTURE, metadata={"Date": None})
    print(PICTURE)
