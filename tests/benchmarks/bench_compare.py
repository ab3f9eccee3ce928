"""What `compare` calls sure where nothing changed: the same run many times, each compared with the one before.

    python tests/benchmarks/bench_compare.py [--pairs 40] [--load] [--size small] [--budget 4]

Each run is a process of its own. At 95 of 100 pairs nothing may be called sure, and nothing may exceed 10 %. ``--load``
keeps every other processor busy meanwhile.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import cpu_count
from pathlib import Path

from squeezelab.console import progress_bar
from squeezelab.report.compare import compare_runs, find_exceeded, parse_limits, read_run
from squeezelab.results import Results

MAIN = Path(__file__).parents[2] / "main.py"


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Keep all processors but one busy, if that is wanted."""
    command = [sys.executable, "-c", "while True: sum(range(10**6))"]
    busy = [subprocess.Popen(command) for _ in range(max(1, (cpu_count() or 1) - 1) if wanted else 0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def run(folder: Path, size: str, budget: float) -> Results:
    """Run the lab once, and return its results."""
    options = ["--size", size, "--formats", "none", "--budget", str(budget), "--reports", str(folder)]
    subprocess.run([sys.executable, str(MAIN), *options], check=True, cwd=folder, capture_output=True)
    return read_run(next(folder.glob("*/results.json")))


def main() -> None:
    """Print a line for each pair, and how many were right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--load", action="store_true", help="keep the other processors busy")
    parser.add_argument("--size", default="small")
    parser.add_argument("--budget", type=float, default=4.0)
    options = parser.parse_args()
    print("| pair | speeds compared | called sure | the largest of them | exceeds 10 % | reach |")
    print("|---:|---:|---:|---:|---|---:|")
    sure = exceeded = 0
    with load(options.load), tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        old = run(Path(folder), options.size, options.budget)
        for pair in progress.track(range(1, options.pairs + 1), description="Pairs of the same code"):
            new = run(Path(folder), options.size, options.budget)
            found = compare_runs(old, new)
            over = find_exceeded(found, parse_limits("speed=10%"))
            largest = max((abs(one.change) for one in found.speeds), default=0.0)
            print(
                f"| {pair} | {found.compared_speeds} | {len(found.speeds)} | {largest:.1%} | "
                f"{'yes' if over else 'no'} | {found.drift.reach:.1%} |",
                flush=True,
            )
            sure, exceeded, old = sure + bool(found.speeds), exceeded + bool(over), new
    print(f"\n{options.pairs - sure} of {options.pairs} pairs right; {exceeded} would fail on speed=10%.")


if __name__ == "__main__":
    main()
