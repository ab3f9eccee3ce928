"""Filling large arrays block by block, on several threads: kernels let go of the interpreter while they run."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from squeezelab.console import progress_bar


def fill_in_blocks(fill: Callable[[int], int], total: int, block: int, unit: str, workers: int | None) -> None:
    """Call a function for the first item of every block, with a progress bar.

    Parameters
    ----------
    fill : callable
        Fills the block that begins with an item, and returns how many items it has.
    total, block : int
        Items in all, and in a block.
    unit : str
        What items are called in the progress bar.
    workers : int, optional
        Threads; one a processor if not given.
    """
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool, progress_bar() as progress:
        task = progress.add_task(f"Making {unit}", total=total, unit=unit)
        for done in pool.map(fill, range(0, total, block)):
            progress.advance(task, done)
