"""TileDB's filters by name, for its files and for its databases."""

from __future__ import annotations

from typing import Any


def filters(name: str, level: int) -> Any:
    """Return a filter with zstd after it.

    Parameters
    ----------
    name : {"double_delta", "delta", "byte_shuffle", "bit_shuffle", "xor", "none"}
        The filter before zstd.
    level : int
        Of zstd; 0 is its own default.

    Returns
    -------
    tiledb.FilterList
    """
    import tiledb

    before = {
        "none": [],
        "double_delta": [tiledb.DoubleDeltaFilter()],
        "delta": [tiledb.DeltaFilter()],
        "byte_shuffle": [tiledb.ByteShuffleFilter()],
        "bit_shuffle": [tiledb.BitShuffleFilter()],
        "xor": [tiledb.XORFilter()],
    }
    return tiledb.FilterList([*before[name], tiledb.ZstdFilter(level=level or -1)])
