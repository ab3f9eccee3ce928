"""How far the advised setting is from the best of its space, which is searched without a shortcut.

    python tests/benchmarks/bench_advice.py clickhouse synthetic:big --budget 120

Every layout, order of rows and combination of options is taken, every choice of every column is sized in each on all of
the data, and the best of them are run together. It takes from minutes to hours: what it found is kept beside the
temporary files, so that a search that was stopped goes on.
"""

import argparse
import itertools
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from squeezelab import generate_metric_data
from squeezelab.advice import get_system
from squeezelab.advice.parts import part_of
from squeezelab.advice.proof import advise_one, workshop
from squeezelab.advice.search import Search
from squeezelab.advice.worker import SystemFailedError
from squeezelab.console import progress_bar
from squeezelab.readers import load


def search_everything(system, dataset, kept: Path, seconds: float) -> tuple[dict[str, int], int]:
    """Return bytes of the best columns by layout, order and options, and how many of these there are.

    All layouts and orders are searched with the first of all options, then with all options: the smallest first, so
    that what was found when the time ended is near what there is to find.
    """
    found = json.loads(kept.read_text()) if kept.exists() else {}
    end = perf_counter() + seconds
    sets = [dict(zip(system.options, values, strict=True)) for values in itertools.product(*system.options.values())]
    with workshop(system) as worker, progress_bar(quiet=True) as bar:
        search = Search(system, worker, 0.0, float("inf"), bar)
        search.take(dataset)
        orders = [(layout, order) for layout in search.taken.values() for order in system.orders(layout)]

        def run(layout, order, options) -> None:
            name = json.dumps([layout.name, order, options])
            if name not in found and perf_counter() < end:
                start = replace(system.default(layout), order=order, options=options)
                found[name] = min((one[0] for one in search.refine(start, search.choices(layout))), default=None)
                kept.write_text(json.dumps(found))
                print(f"{found[name] or 0:>12,} {name}", flush=True)

        for layout, order in orders:
            run(layout, order, sets[0])
        first = {json.dumps([layout.name, order, sets[0]]): (layout, order) for layout, order in orders}
        for name in sorted((one for one in first if found.get(one)), key=found.get):
            for options in sets[1:]:
                run(*first[name], options)
    return {name: size for name, size in found.items() if size is not None}, len(orders) * len(sets)


def main() -> None:
    """Search both ways, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system")
    parser.add_argument("data", help="a generator and size as synthetic:big, or a file or folder")
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--samples", type=int, help="take a part of about so many, as the search itself takes one")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for the search without a shortcut")
    options = parser.parse_args()
    system, (generator, _, size) = get_system(options.system), options.data.partition(":")
    dataset = generate_metric_data(generator, size) if size else load([Path(options.data)]).dataset
    if options.samples:
        dataset = part_of(dataset, options.samples)
    print(f"{dataset}", flush=True)
    try:
        advice = advise_one(system, dataset, budget=options.budget)
    except SystemFailedError as error:
        raise SystemExit(str(error)) from error
    default, advised = advice.get("default"), advice.get("advised")
    print(f"default {default.encoded_bytes:,}, advised {advised.encoded_bytes:,} in {advice.seconds:.0f} s", flush=True)
    kept = Path(tempfile.gettempdir()) / f"bench_advice-{system.name}-{dataset.fingerprint[:12]}.json"
    found, there_are = search_everything(system, dataset, kept, options.seconds)
    best = min(found, key=lambda name: found[name])
    print(f"best of {len(found):,}, of {there_are:,} that there are: {found[best]:,} {best}")
    print(f"advised is {advised.encoded_bytes / found[best]:.4f} times the best, ", end="")
    print(f"{1 - advised.encoded_bytes / default.encoded_bytes:.1%} below the default")


if __name__ == "__main__":
    main()
