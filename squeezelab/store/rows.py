"""Rows of columns as groups: what formats and readers both need of tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def group_rows(columns: Sequence[pa.Array], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Group rows by what their columns say; groups are numbered in the order of their first rows.

    Returns
    -------
    int64[count]
        For each row the number of its group.
    int64[groups]
        The first row of each group.

    Examples
    --------
    >>> group_rows([pa.array(["b", "a", "b"])], 3)
    (array([0, 1, 0]), array([0, 1]))
    """
    groups = np.zeros(count, np.int64)
    for column in columns:
        cells = column.dictionary_encode(null_encoding="encode")
        pairs = groups * len(cells.dictionary) + cells.indices.to_numpy()
        groups = pa.array(pairs).dictionary_encode().indices.to_numpy().astype(np.int64)
    return groups, np.unique(groups, return_index=True)[1]
