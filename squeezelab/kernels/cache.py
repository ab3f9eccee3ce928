"""Compiling kernels with numba, and keeping what was compiled where it cannot go stale.

numba keeps a compiled kernel until the file of that kernel changes, and does not see the functions of other files that
went into it. So kernels are kept in a folder named after the digest of all files that hold any: when one of them
changes, all are compiled anew. Nor does numba see whether they were compiled to check bounds: such have a folder of
their own.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import xxhash
from platformdirs import user_cache_path

logger = logging.getLogger(__name__)

PROBE = ".writable"
"""The file in each folder that says when it was last used."""
UNUSED_SECONDS = 30 * 86_400
REMOVED = ".removed"
PACKAGES = ("squeezelab.kernels", "squeezelab.codecs", "squeezelab.formats", "squeezelab.generators")
"""Where kernels are, in sub-packages of these as well."""


def kernel(function: Callable[..., Any] | None = None, *, inner: bool = False, **options: Any) -> Any:
    """Compile a function when it is first called: ``njit(nogil=True)``, kept for later runs.

    Parameters
    ----------
    function : callable
        The kernel; unsigned 64-bit throughout, and without allocation.
    inner : bool
        Whether kernels alone call it: then what Python would call it by is not compiled.
    **options
        Further options of `numba.njit`; ``forceinline=True`` for the small functions that kernels are made of.

    Examples
    --------
    >>> @kernel
    ... def double(number):
    ...     return number + number
    >>> double(21)
    42
    """
    if function is None:
        return lambda function: kernel(function, inner=inner, **options)
    if inner:
        options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    folder = kernel_folder()
    if folder is None:
        return numba.njit(nogil=True, **options)(function)
    # numba decides where a function is kept when it is decorated. Others' functions stay where they were.
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        return _forgiving(numba.njit(cache=True, nogil=True, **options)(function))
    except RuntimeError:  # defined where there is no file to keep it by: at a prompt, in a doctest
        return numba.njit(nogil=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before


def _forgiving(dispatcher: Any) -> Any:
    """Let a kernel run that cannot be kept, because the disk is full for instance."""
    save = dispatcher._cache.save_overload

    def save_or_say(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            _say_not_kept(str(error))

    dispatcher._cache.save_overload = save_or_say
    return dispatcher


@cache
def _say_not_kept(reason: str) -> None:
    logger.warning("Kernels cannot be kept (%s): every run compiles them anew.", reason)


def kernel_files() -> list[Path]:
    """Return all files that kernels are made from, in an order that is the same everywhere."""
    specs = filter(None, map(find_spec, PACKAGES))
    places = [Path(place) for spec in specs for place in spec.submodule_search_locations or ()]
    return [path for place in places for path in sorted(place.rglob("*.py"))]


@cache
def kernel_folder() -> Path | None:
    """Return the folder for kernels of these very files; None where none can be made."""
    digest = xxhash.xxh3_64(b"bounds" if numba.config.BOUNDSCHECK else b"")
    for path in kernel_files():
        digest.update(path.read_bytes())
    base = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else user_cache_path("squeezelab")
    folder = base / f"kernels-{digest.hexdigest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / PROBE
        probe.touch()
    except OSError as error:
        _say_not_kept(str(error))
        return None
    _remove_unused(base)
    return folder


def _remove_unused(base: Path) -> None:
    """Remove the kernels of other versions that no process has asked for in a long time.

    A process that uses a folder touches the file in it first, so none in use is old. A folder goes in one step, by
    another name: nobody finds half of it. Whatever cannot be removed stays.
    """
    oldest = time.time() - UNUSED_SECONDS
    for folder in base.glob("kernels-*"):
        with suppress(OSError):
            if folder.name.endswith(REMOVED):
                shutil.rmtree(folder, ignore_errors=True)
            elif re.fullmatch("kernels-[0-9a-f]{16}", folder.name) and (folder / PROBE).stat().st_mtime < oldest:
                shutil.rmtree(folder.rename(folder.with_name(folder.name + REMOVED)), ignore_errors=True)
